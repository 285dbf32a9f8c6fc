//! The socket behind its opaque handle.

use std::ffi::c_int;

use super::error::guard;
use super::opaque::{self, Opaque};
use crate::batch::PacketBatch;
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

impl Opaque for fluxcap_raw {
    type Value = Open;
    const KIND: u64 = u64::from_le_bytes(*b"flux_raw");
    const NAME: &'static str = "fluxcap_raw";
    const ARGUMENT: &'static str = "raw";
    const GIVER: &'static str = "fluxcap_open";
}

/// Makes a handle of a socket, to be freed with `fluxcap_raw_free`.
#[must_use]
pub fn open(raw: FluxRaw) -> *mut fluxcap_raw {
    opaque::give(Open {
        raw,
        batch: PacketBatch::with_capacity(BATCH),
    })
}

/// Closes a socket: takes it out of the XDP program, which goes with its last socket, closes it, and frees the handle.
///
/// NULL is a no-op. Packets that you still hold stay good; free them whenever you like. The handle is gone afterwards, and must not
/// be in use on another thread.
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
