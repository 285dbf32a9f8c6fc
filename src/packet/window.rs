//! The receiving window: the shortest way of a dropped packet's frame, straight back to a fill ring.
//!
//! While packets are handed over one by one, the thread that does so has a window, open for one frame a packet. The first packet of the same
//! UMEM that this thread drops meanwhile leaves its frame there, without any exchange between threads, and whoever hands over takes it
//! out when it goes on. Packets that are dropped later, or by other threads, take the way by the return stack.

use std::cell::Cell;
use std::ptr::NonNull;

use super::SharedFrameState;
use crate::sync::thread_local;

#[cfg(not(fluxcap_loom))]
thread_local! {
    // It has no destructor, so it is there for as long as the thread can drop anything.
    static WINDOW: Window = const { Window::new() };
}

#[cfg(fluxcap_loom)]
thread_local! {
    static WINDOW: Window = Window::new();
}

struct Window {
    /// The address of the state of the UMEM that it is open for, which is never looked at by it; or `CLOSED`.
    open: Cell<usize>,
    /// The chunk that was left, or `NONE`.
    chunk: Cell<u32>,
}

const CLOSED: usize = 0;
/// What no chunk has as its number.
const NONE: u32 = u32::MAX;

impl Window {
    const fn new() -> Self {
        Self {
            open: Cell::new(CLOSED),
            chunk: Cell::new(NONE),
        }
    }
}

/// Opens the window of this thread for a frame of a UMEM, or closes it.
#[inline(always)]
pub(super) fn open(state: Option<NonNull<SharedFrameState>>) {
    let open = state.map_or(CLOSED, |state| state.addr().get());
    WINDOW.with(|window| window.open.set(open));
}

/// Leaves the frame of a packet that ends in the window; false when that is not open for it. Once left, the chunk is that of whoever opened the
/// window, who sees to the ledger and the count.
#[inline(always)]
pub(super) fn leave(state: NonNull<SharedFrameState>, chunk: u32) -> bool {
    WINDOW.with(|window| {
        let open = window.open.get() == state.addr().get();
        if open {
            window.chunk.set(chunk);
            window.open.set(CLOSED);
        }
        open
    })
}

/// Takes out the frame that was left.
#[inline(always)]
pub(super) fn left() -> Option<u32> {
    WINDOW.with(|window| {
        let chunk = window.chunk.get();
        if chunk == NONE {
            return None;
        }
        window.chunk.set(NONE);
        Some(chunk)
    })
}

/// The window of somebody further up the stack, while another one takes its place.
#[derive(Debug)]
pub(super) struct Former(usize, u32);

impl Former {
    /// The window as it stands; from now on it is closed, and nothing is left in it.
    #[inline]
    pub(super) fn now() -> Self {
        WINDOW.with(|window| Self(window.open.replace(CLOSED), window.chunk.replace(NONE)))
    }

    /// Puts it back into its place.
    #[inline]
    pub(super) fn restore(&self) {
        WINDOW.with(|window| {
            window.open.set(self.0);
            window.chunk.set(self.1);
        });
    }
}
