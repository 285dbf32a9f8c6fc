//! The packet memory behind its opaque handle.

use std::ffi::c_int;
use std::time::Duration;

use super::error::{guard, null};
use super::handle::{fluxcap_raw, look};
use super::info::{accounting, fluxcap_accounting};
use super::opaque::{self, Opaque};
use super::poller::timeout;
use crate::error::Result;
use crate::umem::UmemRegion;

/// The memory that packets live in, cut into equal frames. Sockets that share one can pass packets on uncopied.
pub struct fluxcap_umem {
    _opaque: [u8; 0],
}

// SAFETY: the only one of this kind.
unsafe impl Opaque for fluxcap_umem {
    type Value = UmemRegion;
    const KIND: u64 = u64::from_le_bytes(*b"fluxumem");
    const NAME: &'static str = "fluxcap_umem";
    const ARGUMENT: &'static str = "umem";
    const GIVER: &'static str = "fluxcap_raw_umem";
}

/// The UMEM of a socket, to open more sockets on it (`umem` in struct fluxcap_config), or to ask for its frames.
///
/// On success `*umem` is a handle to be freed with fluxcap_umem_free(), and the result 0. The memory lives until the last handle, socket
/// and packet is gone. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_umem(
    raw: *const fluxcap_raw,
    umem: *mut *mut fluxcap_umem,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        unsafe { write_umem(umem, look(raw)?.umem()) }
    })
}

/// # Safety
///
/// `umem` is null or writable.
pub(super) unsafe fn write_umem(
    umem: *mut *mut fluxcap_umem,
    region: &UmemRegion,
) -> Result<c_int> {
    if umem.is_null() {
        return Err(null("umem"));
    }
    // SAFETY: not null, so writable as the caller promises.
    unsafe { umem.write(opaque::give(region.clone())) };
    Ok(0)
}

/// Who has the frames of a UMEM now, by the ledger, into `*accounting`. Exact when nobody moves frames meanwhile. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_umem_accounting(
    umem: *const fluxcap_umem,
    accounting: *mut fluxcap_accounting,
) -> c_int {
    guard(|| {
        // SAFETY: null or an open handle, as the header asks.
        let region = unsafe { opaque::shared(umem)? };
        if accounting.is_null() {
            return Err(null("accounting"));
        }
        // SAFETY: not null, so writable as the header asks.
        unsafe { accounting.write(self::accounting(region.accounting())) };
        Ok(0)
    })
}

/// Waits until the kernel has let go of the frames of sockets that were closed, or `timeout_ms` milliseconds are over; -1 waits for ever.
/// Returns how many frames are still in quarantine. Any thread.
///
/// Nothing has to call it: frames come home without. It is for a program that wants all of them before it goes on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_umem_reclaim(
    umem: *const fluxcap_umem,
    timeout_ms: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: null or an open handle, as the header asks.
        let region = unsafe { opaque::shared(umem)? };
        let time = timeout("timeout_ms", timeout_ms)?.unwrap_or(Duration::MAX);
        Ok(region.reclaim(time) as c_int)
    })
}

/// Frees a handle to a UMEM. NULL is a no-op. Sockets and packets on it stay good.
///
/// The handle is gone afterwards, and must not be in use on another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_umem_free(umem: *mut fluxcap_umem) {
    guard(|| {
        // SAFETY: null, or a handle that nobody else uses, as the header asks.
        drop(unsafe { opaque::take(umem) });
        Ok(0)
    });
}
