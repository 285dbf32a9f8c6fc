//! The UMEMs that are alive, so that a C program's stale packet is an error and not a crash.
//!
//! Safe Rust never needs this: a [`Packet`](crate::packet::Packet) keeps its UMEM alive. A C program can keep a copy of a packet that it has
//! freed; its `umem` pointer is looked up here before it is followed.

use std::ptr::{self, NonNull};
#[cfg(feature = "capi")]
use std::sync::atomic::AtomicU32;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::packet::SharedFrameState;

/// The most UMEMs in one process.
const MAX_LIVE: usize = 4096;

static LIVE: [AtomicPtr<SharedFrameState>; MAX_LIVE] =
    [const { AtomicPtr::new(ptr::null_mut()) }; MAX_LIVE];
/// No entry at or above this was ever used.
static USED: AtomicUsize = AtomicUsize::new(0);
#[cfg(feature = "capi")]
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Where the generations of a new UMEM start: far from those of one that lay at the same address before.
#[cfg(feature = "capi")]
pub(in crate::packet) fn first_generation() -> u32 {
    GENERATION.fetch_add(0x9E37_79B9, Ordering::Relaxed)
}

/// Notes a new UMEM.
pub(in crate::packet) fn add(state: NonNull<SharedFrameState>) -> Result<()> {
    for (index, entry) in LIVE.iter().enumerate() {
        let taken = entry.compare_exchange(
            ptr::null_mut(),
            state.as_ptr(),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if taken.is_ok() {
            USED.fetch_max(index + 1, Ordering::AcqRel);
            return Ok(());
        }
    }
    Err(FluxError::new(
        ErrorKind::Memory,
        errno::ENOSPC,
        "one more UMEM",
        format_args!("this process already has {MAX_LIVE}"),
        "share a UMEM between sockets, or drop one",
    ))
}

/// Forgets a UMEM, before it is freed.
pub(in crate::packet) fn remove(state: NonNull<SharedFrameState>) {
    for entry in &LIVE[..USED.load(Ordering::Acquire)] {
        let ours = entry.compare_exchange(
            state.as_ptr(),
            ptr::null_mut(),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if ours.is_ok() {
            return;
        }
    }
}

/// The UMEM at `pointer`, if it is alive.
#[cfg(feature = "capi")]
pub(in crate::packet) fn find(
    pointer: *const SharedFrameState,
) -> Option<NonNull<SharedFrameState>> {
    // The pointer as it was noted, and not the caller's, which may be that of a UMEM which lay here before.
    let noted = LIVE[..USED.load(Ordering::Acquire)]
        .iter()
        .map(|entry| entry.load(Ordering::Acquire))
        .find(|state| state.addr() == pointer.addr());
    noted.and_then(NonNull::new)
}
