//! The socket behind its opaque handle.

use std::ffi::c_int;

use super::error::{guard, null};
use crate::batch::PacketBatch;
use crate::error::{FluxError, Result};
use crate::raw::FluxRaw;

/// Packets that one call into the Rust API handles.
pub(super) const BATCH: usize = 256;

const OPEN: u64 = u64::from_le_bytes(*b"flux_raw");

/// A socket in Mode C: its four rings, its frames, its UMEM.
pub struct fluxcap_raw {
    kind: u64,
    pub(super) raw: FluxRaw,
    pub(super) batch: PacketBatch,
}

/// Makes a handle of a socket, to be freed with `fluxcap_raw_free`.
#[must_use]
pub fn open(raw: FluxRaw) -> *mut fluxcap_raw {
    Box::into_raw(Box::new(fluxcap_raw {
        kind: OPEN,
        raw,
        batch: PacketBatch::with_capacity(BATCH),
    }))
}

/// Closes a socket: takes it out of the XDP program, which goes with its last socket, closes it, and frees the handle.
///
/// NULL is a no-op. Packets that you still hold stay good; free them whenever you like. The handle is gone afterwards, and must not
/// be in use on another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_free(raw: *mut fluxcap_raw) {
    guard(|| {
        // SAFETY: null, or a handle that nobody else uses, as the header asks.
        let Ok(handle) = (unsafe { exclusive(raw) }) else {
            return Ok(0);
        };
        handle.kind = 0;
        // SAFETY: made by `open`, and only now taken back.
        drop(unsafe { Box::from_raw(raw) });
        Ok(0)
    });
}

/// The handle for a call that changes it.
///
/// # Safety
///
/// `raw` is null or an open handle that no other thread uses during `'a`.
#[inline]
pub(super) unsafe fn exclusive<'a>(raw: *mut fluxcap_raw) -> Result<&'a mut fluxcap_raw> {
    // SAFETY: as the caller promises.
    match unsafe { raw.as_mut() } {
        Some(handle) if handle.kind == OPEN => Ok(handle),
        other => Err(refuse(other.is_none())),
    }
}

/// The handle for a call that only looks at it.
///
/// # Safety
///
/// `raw` is null or an open handle that no other thread changes during `'a`.
#[inline]
pub(super) unsafe fn shared<'a>(raw: *const fluxcap_raw) -> Result<&'a fluxcap_raw> {
    // SAFETY: as the caller promises.
    match unsafe { raw.as_ref() } {
        Some(handle) if handle.kind == OPEN => Ok(handle),
        other => Err(refuse(other.is_none())),
    }
}

#[cold]
fn refuse(is_null: bool) -> FluxError {
    if is_null {
        null("raw")
    } else {
        FluxError::invalid(
            "argument raw",
            "it is no struct fluxcap_raw, or was freed",
            "pass what fluxcap_open gave",
        )
    }
}

/// A count as C functions return it.
#[inline]
pub(super) fn count(value: u32) -> Result<c_int> {
    Ok(c_int::try_from(value).unwrap_or(c_int::MAX))
}
