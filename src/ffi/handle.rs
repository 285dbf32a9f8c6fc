//! The socket behind its opaque handle.

use std::ffi::c_int;
use std::ops::Deref;
use std::sync::{Arc, RwLockReadGuard};

use super::error::guard;
use super::lock::Lock;
use super::opaque::{self, Opaque};
use crate::batch::PacketBatch;
use crate::engine::{EngineGroup, FluxEngine};
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::raw::FluxRaw;

/// Packets that one call into the Rust API handles.
pub(super) const BATCH: usize = 256;

/// A socket in Mode C: its four rings, its frames, its UMEM.
pub struct fluxcap_raw {
    _opaque: [u8; 0],
}

/// What is behind the handle.
pub(super) struct Open {
    pub(super) raw: FluxRaw,
    pub(super) batch: PacketBatch,
}

// SAFETY: the only one of this kind.
unsafe impl Opaque for fluxcap_raw {
    type Value = Open;
    const KIND: u64 = u64::from_le_bytes(*b"flux_raw");
    const NAME: &'static str = "fluxcap_raw";
    const ARGUMENT: &'static str = "raw";
    const GIVER: &'static str = "fluxcap_open";
}

/// Makes a handle of a socket, to be freed with `fluxcap_raw_free`.
///
/// # Errors
///
/// [`Memory`](ErrorKind::Memory).
pub fn open(raw: FluxRaw) -> Result<*mut fluxcap_raw> {
    let batch = PacketBatch::try_with_capacity(BATCH)?;
    let stopper = raw.stopper();
    Ok(opaque::give_stoppable(Open { raw, batch }, stopper))
}

/// A socket that is a port of an engine: what a `const struct fluxcap_raw *` may also be.
pub(super) struct Port;

/// Where it is.
pub(super) struct Place {
    owner: Owner,
    port: u32,
}

/// Who has a port.
pub(super) enum Owner {
    Engine(Arc<Lock<FluxEngine>>),
    /// The engine of this number.
    Group(Arc<Lock<EngineGroup>>, usize),
}

// SAFETY: the only one of this kind.
unsafe impl Opaque for Port {
    type Value = Place;
    const KIND: u64 = u64::from_le_bytes(*b"fluxport");
    const NAME: &'static str = "fluxcap_raw";
    const ARGUMENT: &'static str = "raw";
    const GIVER: &'static str = "fluxcap_engine_port";
}

/// Makes a handle to look at a port of an engine, to be freed with [`close_port`].
pub(super) fn port(owner: Owner, port: u32) -> *mut fluxcap_raw {
    opaque::give::<Port>(Place { owner, port }).cast()
}

/// # Safety
///
/// `raw` comes from [`port`], and nobody uses it any more.
pub(super) unsafe fn close_port(raw: *mut fluxcap_raw) {
    // SAFETY: as the caller promises.
    drop(unsafe { opaque::take::<Port>(raw.cast()) });
}

/// A socket to look at.
pub(super) enum Look<'a> {
    Own(&'a FluxRaw),
    Port(RwLockReadGuard<'a, FluxEngine>, u32),
    OfGroup(RwLockReadGuard<'a, EngineGroup>, usize, u32),
}

impl Deref for Look<'_> {
    type Target = FluxRaw;

    #[inline]
    fn deref(&self) -> &FluxRaw {
        match self {
            Self::Own(raw) => raw,
            Self::Port(engine, port) => engine.port(*port),
            Self::OfGroup(group, engine, port) => group.engines()[*engine].port(*port),
        }
    }
}

/// Looks at a socket, through a handle of its own or as a port of an engine.
///
/// # Safety
///
/// `raw` is null or an open handle that no other thread changes during `'a`.
#[inline]
pub(super) unsafe fn look<'a>(raw: *const fluxcap_raw) -> Result<Look<'a>> {
    // SAFETY: as the caller promises.
    if let Some(place) = unsafe { opaque::find::<Port>(raw.cast()) } {
        let port = place.port;
        return Ok(match &place.owner {
            Owner::Engine(engine) => Look::Port(engine.look()?, port),
            Owner::Group(group, engine) => Look::OfGroup(group.look()?, *engine, port),
        });
    }
    // SAFETY: as the caller promises.
    Ok(Look::Own(&unsafe { opaque::shared(raw)? }.raw))
}

/// Closes a socket, and frees the handle.
///
/// It is taken out of the XDP program, which goes with its last socket. Packets that you still hold
/// stay good; free them whenever you like. NULL is a no-op. The handle is gone afterwards.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_free(raw: *mut fluxcap_raw) {
    guard(|| {
        // SAFETY: null, or a handle that nobody else uses, as the header asks.
        drop(unsafe { opaque::take(raw) });
        Ok(0)
    });
}

/// A count as C functions return it.
#[inline]
pub(super) fn count(value: u32) -> Result<c_int> {
    Ok(c_int::try_from(value).unwrap_or(c_int::MAX))
}
