//! The return stack: dropped packets, from any thread, until somebody needs frames.
//!
//! It is a linked list whose links stand in the ledger. One exchange of its top adds a frame, and one takes all of them, so that a frame
//! is never taken while another thread looks at it. Nothing waits, and nothing is lost when a thread stops anywhere.

use std::sync::atomic::Ordering;

use super::SharedFrameState;

/// Ledger entry, in the pool, too: on the return stack. The other bits are the chunk below, or [`BOTTOM`].
pub(super) const RETURNED: u32 = 1 << 31;
/// The end of the return stack, which no chunk has as its number.
pub(super) const BOTTOM: u32 = RETURNED - 1;

impl SharedFrameState {
    /// Puts a chunk, which the caller owns, onto the return stack. Any thread.
    #[inline]
    pub(super) fn send_home(&self, chunk: u32) {
        let entry = self.entry(chunk);
        let mut top = self.returned.load(Ordering::Relaxed);
        loop {
            entry.store(RETURNED | top, Ordering::Relaxed);
            // Release: what the owner did with the frame, and the link, come before whoever takes it.
            match self.returned.compare_exchange_weak(
                top,
                chunk,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(moved) => top = moved,
            }
        }
    }

    /// A chain of chunks that go home together. Any thread.
    #[inline]
    pub(super) fn chain(&self) -> Chain<'_> {
        Chain {
            state: self,
            first: BOTTOM,
            last: BOTTOM,
        }
    }

    /// Takes all that is on the return stack. Any thread; the chunks are the caller's, while the ledger gives them to the pool.
    #[inline]
    pub(crate) fn take_returned(&self) -> Returned<'_> {
        let mut next = BOTTOM;
        if self.returned.load(Ordering::Relaxed) != BOTTOM {
            next = self.returned.swap(BOTTOM, Ordering::Acquire);
        }
        Returned { state: self, next }
    }
}

/// Chunks that go onto the return stack all at once, by one exchange, when this is dropped.
pub(super) struct Chain<'a> {
    state: &'a SharedFrameState,
    /// The first to come, which will lie on what is there, or [`BOTTOM`].
    first: u32,
    /// The last, which will be the top.
    last: u32,
}

impl Chain<'_> {
    /// Adds a chunk, which the caller owns.
    #[inline]
    pub(super) fn add(&mut self, chunk: u32) {
        if self.first == BOTTOM {
            self.first = chunk;
        }
        let entry = self.state.entry(chunk);
        entry.store(RETURNED | self.last, Ordering::Relaxed);
        self.last = chunk;
    }
}

impl Drop for Chain<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.first == BOTTOM {
            return;
        }
        let entry = self.state.entry(self.first);
        let mut top = self.state.returned.load(Ordering::Relaxed);
        loop {
            entry.store(RETURNED | top, Ordering::Relaxed);
            // Release: as in `send_home`, for all the links.
            match self.state.returned.compare_exchange_weak(
                top,
                self.last,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(moved) => top = moved,
            }
        }
    }
}

/// Chunks taken off the return stack, the last to come first. Those not taken out of it go to the home queue.
pub(crate) struct Returned<'a> {
    state: &'a SharedFrameState,
    next: u32,
}

impl Iterator for Returned<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let chunk = self.next;
        if chunk == BOTTOM {
            return None;
        }
        self.next = self.state.entry(chunk).load(Ordering::Relaxed) & BOTTOM;
        Some(chunk)
    }
}

impl Drop for Returned<'_> {
    #[inline]
    fn drop(&mut self) {
        while let Some(chunk) = self.next() {
            self.state.queue_home(chunk);
        }
    }
}
