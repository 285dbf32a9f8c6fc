//! The return stack: dropped packets, from any thread, until somebody needs frames.
//!
//! It is a linked list whose links stand in the ledger. One exchange of its top adds a frame, or a chain of them, and one takes all, so that
//! a frame is never taken while another thread looks at it. Nothing waits, and nothing is lost when a thread stops anywhere.
//!
//! Whoever takes frames takes as many packets off the count: one subtraction for all of them.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::task::Waker;

use crate::packet::SharedFrameState;
use crate::packet::ledger::POOL;
use crate::ring::Writer;
use crate::sync::AtomicU32;

/// The end of the return stack, which no chunk has as its number. Links are chunks, or this: all below [`POOL`].
pub(in crate::packet) const BOTTOM: u32 = POOL - 1;
/// In place of the top: the last handle is gone, and nobody will take frames any more.
const CLOSED: u32 = POOL;
/// In place of [`BOTTOM`] as the top, never as a link: the stack is empty, and somebody wants to be called when it no longer is. Whoever puts
/// a frame there finds out by the exchange that does it, at no cost for all others.
const AWAITED: u32 = POOL + 1;

impl SharedFrameState {
    /// Puts the chunk of a packet that ends onto the return stack. Any thread.
    ///
    /// # Safety
    ///
    /// `state` must be live, count the packet, and not be used by the caller afterwards unless it holds a handle or another packet. The
    /// caller owns the chunk.
    #[inline]
    pub(in crate::packet) unsafe fn return_frame(state: NonNull<Self>, chunk: u32) {
        // SAFETY: live, as the caller promises, and counted until the exchange succeeds.
        let this = unsafe { state.as_ref() };
        let entry = this.entry(chunk);
        let mut top = this.returned.load(Ordering::Relaxed);
        // All but `CLOSED` and `AWAITED`.
        while top <= BOTTOM {
            entry.store(top, Ordering::Relaxed);
            // Release: what the owner did with the frame, and the link, come before whoever takes it.
            match this.returned.compare_exchange_weak(
                top,
                chunk,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(moved) => top = moved,
            }
        }
        // SAFETY: as the caller promises.
        unsafe { Self::end(state, chunk) }
    }

    /// Ends a packet of a UMEM that has no handle any more, or whose frames somebody waits for.
    ///
    /// # Safety
    ///
    /// As for [`return_frame`](Self::return_frame).
    #[cold]
    unsafe fn end(state: NonNull<Self>, chunk: u32) {
        // SAFETY: live, as the caller promises, and still so after the exchange, because it is counted once more.
        let this = unsafe { state.as_ref() };
        this.count_up(1);
        let pushed = this.push_and_call(chunk, chunk);
        if !pushed {
            this.set_owner(chunk, POOL);
        }
        // SAFETY: one was counted just now; the packet itself is counted by the stack if it is there.
        unsafe { Self::count_down(state, if pushed { 1 } else { 2 }) }
    }

    /// Puts a chain of chunks onto the return stack, and calls those who wait for frames; false when it is closed.
    #[cold]
    fn push_and_call(&self, first: u32, last: u32) -> bool {
        let entry = self.entry(first);
        let mut top = self.returned.load(Ordering::Relaxed);
        while top != CLOSED {
            // No link is `AWAITED`: all that is above the bottom lies on it.
            entry.store(top.min(BOTTOM), Ordering::Relaxed);
            // Release: as in `return_frame`.
            match self.returned.compare_exchange_weak(
                top,
                last,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    if top == AWAITED {
                        self.call();
                    }
                    return true;
                }
                Err(moved) => top = moved,
            }
        }
        false
    }

    /// Has `waker` called, once, when frames come home, and returns true; false when some are there already.
    ///
    /// Whoever calls it has a handle, and has found no frame.
    pub(crate) fn notify_on_return(&self, waker: &Waker) -> bool {
        if !self.free_queue_is_empty() {
            return false;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(|e| e.into_inner());
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
        drop(waiting);
        // Sequentially consistent, as the queue is: who puts a frame there sees this, or it is seen below.
        let empty =
            self.returned
                .compare_exchange(BOTTOM, AWAITED, Ordering::SeqCst, Ordering::Relaxed);
        !matches!(empty, Err(..BOTTOM)) && self.free_queue_is_empty()
    }

    /// Calls those who wait for frames, after one was put into the home queue.
    #[inline]
    pub(in crate::packet) fn notify_waiting(&self) {
        if self.returned.load(Ordering::SeqCst) == AWAITED {
            self.call_off();
        }
    }

    #[cold]
    fn call_off(&self) {
        let ours =
            self.returned
                .compare_exchange(AWAITED, BOTTOM, Ordering::Relaxed, Ordering::Relaxed);
        if ours.is_ok() {
            self.call();
        }
    }

    #[cold]
    fn call(&self) {
        // In a forked child it is the parent's threads that wait, and one of them may have had the lock.
        if !self.process().is_current() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(|e| e.into_inner());
        let called = std::mem::take(&mut *waiting);
        drop(waiting);
        called.into_iter().for_each(Waker::wake);
    }

    /// Puts the chunks of packets that end onto the return stack, by one exchange for all. From `top` on they are linked, and `bottom`
    /// will lie on what is there. Any thread.
    ///
    /// # Safety
    ///
    /// As for [`return_frame`](Self::return_frame), for all `packets`; and something else keeps the state alive meanwhile.
    #[cfg(feature = "capi")]
    #[inline]
    pub(in crate::packet) unsafe fn return_packets(
        state: NonNull<Self>,
        bottom: u32,
        top: u32,
        packets: u32,
    ) {
        // SAFETY: as the caller promises.
        let this = unsafe { state.as_ref() };
        if this.push_chain(bottom, top) {
            return;
        }
        // Nobody will take them off any more.
        let mut chunk = top;
        for _ in 0..packets {
            let next = this.entry(chunk).load(Ordering::Relaxed);
            this.set_owner(chunk, POOL);
            chunk = next;
        }
        // SAFETY: they were counted and are no more.
        unsafe { Self::count_down(state, packets) }
    }

    /// Closes the return stack, and takes what is on it off the count.
    ///
    /// # Safety
    ///
    /// There is no handle any more, but there were packets when the last one went.
    #[cold]
    pub(in crate::packet) unsafe fn close(state: NonNull<Self>) {
        // SAFETY: packets count until they are taken off the stack, which nobody else does now, or until it is closed.
        let this = unsafe { state.as_ref() };
        let mut chunk = this.returned.swap(CLOSED, Ordering::Acquire);
        let mut packets = 0;
        // Those on the stack keep the state alive.
        while chunk < BOTTOM {
            chunk = this.entry(chunk).load(Ordering::Relaxed);
            packets += 1;
        }
        if packets > 0 {
            // SAFETY: they were counted and do not exist any more.
            unsafe { Self::count_down(state, packets) }
        }
    }

    /// Puts a chain of chunks, which are the caller's, onto the return stack, by one exchange for all. Any thread that has a handle.
    #[inline]
    pub(in crate::packet) fn send_chain(&self, chain: Chain) {
        if chain.len > 0 {
            self.add_chain(chain.first, chain.last, chain.len);
        }
    }

    /// Puts a chain of chunks onto the return stack: from the `last` one on they are linked, and the `first` will lie on what is there.
    #[inline]
    pub(in crate::packet) fn add_chain(&self, first: u32, last: u32, count: u32) {
        // Whoever takes them takes them off the count.
        self.count_up(count);
        // Not closed: there is a handle, the caller's.
        self.push_chain(first, last);
    }

    /// Puts a chain of chunks onto the return stack; false when it is closed.
    #[inline]
    fn push_chain(&self, first: u32, last: u32) -> bool {
        let entry = self.entry(first);
        let mut top = self.returned.load(Ordering::Relaxed);
        while top <= BOTTOM {
            entry.store(top, Ordering::Relaxed);
            // Release: as in `return_frame`, for all the links.
            match self.returned.compare_exchange_weak(
                top,
                last,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(moved) => top = moved,
            }
        }
        self.push_and_call(first, last)
    }

    /// Takes all that is on the return stack. Any thread that has a handle; the chunks are the caller's, while the ledger gives them to
    /// the pool.
    #[inline]
    pub(crate) fn take_returned(&self) -> Returned<'_> {
        let mut next = BOTTOM;
        if self.returned.load(Ordering::Relaxed) < BOTTOM {
            next = self.returned.swap(BOTTOM, Ordering::Acquire);
            if next == AWAITED {
                // Another thread was faster, and somebody waits since: a look costs them nothing.
                self.call();
                next = BOTTOM;
            }
        }
        Returned {
            state: self,
            next,
            taken: 0,
        }
    }
}

/// Chunks linked in the ledger, on their way to the return stack.
pub(in crate::packet) struct Chain {
    first: u32,
    last: u32,
    len: u32,
}

impl Chain {
    /// One of none.
    pub(in crate::packet) fn new() -> Self {
        Self {
            first: BOTTOM,
            last: BOTTOM,
            len: 0,
        }
    }

    /// Adds a chunk, which is the caller's, with its entry in the ledger.
    #[inline(always)]
    pub(in crate::packet) fn add(&mut self, chunk: u32, entry: &AtomicU32) {
        if self.len == 0 {
            self.first = chunk;
        }
        entry.store(self.last, Ordering::Relaxed);
        self.last = chunk;
        self.len += 1;
    }

    /// The number of chunks.
    #[inline]
    pub(in crate::packet) fn len(&self) -> u32 {
        self.len
    }
}

/// Chunks taken off the return stack, the last to come first. Those not taken out of it go to the home queue.
pub(crate) struct Returned<'a> {
    state: &'a SharedFrameState,
    next: u32,
    taken: u32,
}

impl Returned<'_> {
    /// Whether there is none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.next == BOTTOM
    }

    /// Gives chunks to a socket and writes their addresses, until there are no more chunks or slots; returns how many.
    #[inline]
    pub(in crate::packet) fn lend(&mut self, mark: u32, slots: &mut Writer<'_, u64>) -> u32 {
        let shift = self.state.shift();
        let before = slots.written();
        // The link of a chunk is read before its entry names the new owner.
        while self.next != BOTTOM && slots.push(u64::from(self.next) << shift) {
            let entry = self.state.entry(self.next);
            self.next = entry.load(Ordering::Relaxed);
            entry.store(mark, Ordering::Relaxed);
        }
        let done = slots.written() - before;
        self.taken += done;
        done
    }
}

impl Iterator for Returned<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let chunk = self.next;
        if chunk == BOTTOM {
            return None;
        }
        let entry = self.state.entry(chunk);
        self.next = entry.load(Ordering::Relaxed);
        entry.store(POOL, Ordering::Relaxed);
        self.taken += 1;
        Some(chunk)
    }
}

impl Drop for Returned<'_> {
    #[inline]
    fn drop(&mut self) {
        while let Some(chunk) = self.next() {
            self.state.push_free(chunk);
        }
        // Packets on the return stack are counted, and these are no more; whoever has taken them has a handle.
        self.state.uncount(self.taken);
    }
}

#[cfg(test)]
mod tests;
