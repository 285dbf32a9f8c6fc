//! Fresh packets in frames of the pool, and packets given to the kernel one by one.

use std::cell::Cell;
use std::{fmt, mem};

use crate::packet::ledger::USER;
use crate::packet::transfer::accept::Lender;
use crate::packet::{FramePool, Frames, Packet, PacketBatch, SharedFrameState};
use crate::ring::{Desc, Writer};

/// Free slots of a TX ring, to put packets into one by one. See [`FluxTx::send_each`](crate::FluxTx::send_each).
pub struct Outbox<'a> {
    slots: Writer<'a, Desc>,
    state: &'a SharedFrameState,
    mark: u32,
    lent: &'a mut u32,
    done: &'a Cell<u32>,
}

impl<'a> Outbox<'a> {
    /// For these slots; it says in `done` how many were used.
    #[inline]
    pub(crate) fn new(
        lender: &'a mut Lender,
        slots: Writer<'a, Desc>,
        done: &'a Cell<u32>,
    ) -> Self {
        Self {
            slots,
            state: &lender.frames,
            mark: lender.mark,
            lent: &mut lender.lent,
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
        if !packet.is_of(self.state) || !packet.has_content() {
            return Err(packet);
        }
        let base = self.state.memory().start();
        if !self.slots.push(packet.desc(base)) {
            return Err(packet);
        }
        self.state.set_owner(packet.chunk, self.mark);
        mem::forget(packet);
        Ok(())
    }

    /// The number of packets that there is still room for.
    #[must_use]
    pub fn room(&self) -> usize {
        self.slots.room() as usize
    }
}

impl Drop for Outbox<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        settle(self.state, self.lent, self.done, self.slots.written());
    }
}

/// A call, with values alone: so that they can stay in registers until then.
#[inline(never)]
fn settle(state: &SharedFrameState, lent: &mut u32, done: &Cell<u32>, put: u32) {
    done.set(put);
    *lent = lent.wrapping_add(put);
    state.uncount(put);
}

impl fmt::Debug for Outbox<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("room", &self.room())
            .finish_non_exhaustive()
    }
}

impl Frames {
    /// Fresh packets of length zero in frames of the pool, behind both headrooms, as far as the batch has room and the pool frames.
    pub(crate) fn fresh_batch(
        &self,
        pool: &mut FramePool,
        batch: &mut PacketBatch,
        max: u32,
    ) -> u32 {
        let wanted = batch.room().min(max as usize) as u32;
        self.count_up(wanted);
        let mut done = 0;
        while done < wanted {
            let Some(chunk) = pool.take() else {
                break;
            };
            batch.append(self.unpack(chunk));
            done += 1;
        }
        self.uncount(wanted - done);
        done
    }

    /// A fresh packet of length zero in a frame of the pool, behind both headrooms.
    pub(crate) fn fresh(&self, chunk: u32) -> Packet {
        self.count_up(1);
        self.unpack(chunk)
    }

    /// [`fresh`](Self::fresh), for a packet that is counted already.
    fn unpack(&self, chunk: u32) -> Packet {
        self.set_owner(chunk, USER);
        let desc = Desc {
            addr: self.fresh_address(chunk),
            len: 0,
            options: 0,
        };
        Packet::new(self.state(), desc, chunk)
    }
}
