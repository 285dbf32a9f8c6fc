//! Packets given to the kernel one by one.

use std::cell::Cell;
use std::fmt;
use std::mem;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use super::lender::Lender;
use super::{Packet, SharedFrameState};
use crate::ring::Desc;

/// Free slots of a TX ring, to put packets into one by one. See [`FluxTx::send_each`](crate::FluxTx::send_each).
pub struct Outbox<'a> {
    slots: slice::IterMut<'a, Desc>,
    /// Behind the end of the ring's array.
    more: &'a mut [Desc],
    /// How many there were at first.
    all: usize,
    state: NonNull<SharedFrameState>,
    owners: &'a [AtomicU32],
    base: NonNull<u8>,
    mark: u32,
    lender: &'a mut Lender,
    done: &'a Cell<u32>,
}

impl<'a> Outbox<'a> {
    /// For these slots; it says in `done` how many were used.
    #[inline]
    pub(crate) fn new(
        lender: &'a mut Lender,
        (slots, more): (&'a mut [Desc], &'a mut [Desc]),
        done: &'a Cell<u32>,
    ) -> Self {
        let state = lender.frames.state();
        Self {
            all: slots.len() + more.len(),
            slots: slots.iter_mut(),
            more,
            state,
            // SAFETY: alive, as long as the lender has a handle.
            owners: unsafe { state.as_ref() }.owners(),
            base: lender.frames.memory().start(),
            mark: lender.mark,
            lender,
            done,
        }
    }

    /// Puts a packet into the ring.
    ///
    /// # Errors
    ///
    /// Gives the packet back when there is no room, when it lies in another UMEM, or is empty;
    /// [`send_one`](crate::FluxTx::send_one) tells which.
    #[inline]
    pub fn put(&mut self, packet: Packet) -> Result<(), Packet> {
        if packet.state != self.state || !packet.has_content() {
            return Err(packet);
        }
        if self.slots.as_slice().is_empty() {
            self.slots = behind(mem::take(&mut self.more));
        }
        let Some(slot) = self.slots.next() else {
            return Err(packet);
        };
        *slot = packet.desc(self.base);
        debug_assert!((packet.chunk as usize) < self.owners.len());
        // SAFETY: a packet of this UMEM lies in a chunk of it.
        let entry = unsafe { self.owners.get_unchecked(packet.chunk as usize) };
        entry.store(self.mark, Ordering::Relaxed);
        mem::forget(packet);
        Ok(())
    }

    /// The number of packets that there is still room for.
    #[must_use]
    pub fn room(&self) -> usize {
        self.slots.len() + self.more.len()
    }
}

impl Drop for Outbox<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        settle(self.lender, self.done, (self.all - self.room()) as u32);
    }
}

/// The slots behind the end of the array. A call, because it is rare.
#[cold]
#[inline(never)]
fn behind(more: &mut [Desc]) -> slice::IterMut<'_, Desc> {
    more.iter_mut()
}

/// A call, with values alone: so that they can stay in registers until then.
#[inline(never)]
fn settle(lender: &mut Lender, done: &Cell<u32>, put: u32) {
    done.set(put);
    lender.count_sent(put);
    lender.frames.uncount(put);
}

impl fmt::Debug for Outbox<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("room", &self.room())
            .finish_non_exhaustive()
    }
}
