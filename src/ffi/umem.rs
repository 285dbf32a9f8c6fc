//! The packet memory: to share it, to count its frames, to wait for them.

use std::ffi::c_int;
use std::time::Duration;

use super::error::{guard, null};
use super::opaque::{self, Opaque};
use super::poller::timeout;
use super::raw::{fluxcap_raw, look};
use crate::error::Result;
use crate::umem::{Accounting, UmemRegion};

/// The memory that packets live in, cut into equal frames. Sockets that share one can pass packets
/// on uncopied.
///
/// It stays mapped until the last handle, socket and packet is gone. Then it is unmapped, also when
/// frames are still in quarantine (`quarantined` of struct fluxcap_accounting): the kernel holds
/// their pages for itself, and gives them to nobody else before it has released them.
pub struct fluxcap_umem {
    _opaque: [u8; 0],
}

// SAFETY: the only one of this kind.
unsafe impl Opaque for fluxcap_umem {
    type Value = UmemRegion;
    const KIND: u64 = u64::from_le_bytes(*b"fluxumem");
    const NAME: &'static str = "fluxcap_umem";
    const ARGUMENT: &'static str = "umem";
    const GIVER: &'static str = "fluxcap_raw_get_umem";
}

/// Gives a handle to the UMEM of a socket.
///
/// It is for opening more sockets on it (`umem` in struct fluxcap_config), and for counting its
/// frames. The memory stays mapped until the last handle, socket and packet is gone.
///
/// Returns 0; `*umem` is a handle to be freed with fluxcap_umem_free().
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_raw_get_umem(
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

/// Who has the frames. pool + user + kernel + quarantined = frames, always.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_accounting {
    /// All frames.
    pub frames: u32,
    /// Free frames.
    pub pool: u32,
    /// Frames of packets in your hands.
    pub user: u32,
    /// Frames in the four rings or in the kernel behind them.
    pub kernel: u32,
    /// Frames that the kernel had when a socket was closed, and may still use: a device in
    /// zero-copy mode may write to them. They return to the pool when the kernel is seen to have
    /// released the queue, usually some 25 ms after the close: the library looks whenever the pool
    /// is empty, a socket is opened on the UMEM, the frames are counted, or fluxcap_umem_reclaim()
    /// is called. If it is never seen, they are lost to the pool for as long as the UMEM exists: a
    /// child of fork() keeps the socket open, another process took the queue at once, or the
    /// interface was removed just then. They do not keep the memory mapped: see struct
    /// fluxcap_umem.
    pub quarantined: u32,
}

pub(super) fn accounting(accounting: Accounting) -> fluxcap_accounting {
    fluxcap_accounting {
        frames: accounting.frames,
        pool: accounting.pool,
        user: accounting.user,
        kernel: accounting.kernel,
        quarantined: accounting.quarantined,
    }
}

/// Counts who has the frames of a UMEM now, by the ledger.
///
/// Exact when nobody moves frames meanwhile. In a forked child the numbers are those of the fork.
///
/// Returns 0, and fills in `*accounting`.
///
/// Errors: the usual ones.
///
/// Threads: any. System calls: first it asks, by one or more for each closed socket, whether the
/// kernel has released frames in quarantine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_umem_get_accounting(
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

/// Waits until the kernel has released the frames of closed sockets.
///
/// It waits for at most `timeout_ms` milliseconds; -1: for ever. Calling it is optional: frames
/// return without it. It is for a program that wants all of them before it goes on. It sleeps
/// between looks at the kernel. Neither a stop nor a signal ends it: with -1 it returns only when
/// all frames have been released, which may be never (see `quarantined`). On a simulated network
/// simulated time passes meanwhile. In a forked child it does not wait.
///
/// Returns how many frames are still in quarantine; 0: none.
///
/// Errors: the usual ones.
///
/// Threads: any. Sockets on the UMEM may be used, opened and closed meanwhile.
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

/// Frees a handle to a UMEM.
///
/// Sockets and packets on it stay good. NULL is a no-op. The handle is gone afterwards.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_umem_free(umem: *mut fluxcap_umem) {
    guard(|| {
        // SAFETY: null, or a handle that nobody else uses, as the header asks.
        drop(unsafe { opaque::take(umem) });
        Ok(0)
    });
}
