//! The four rings with the frames that go round in them.

#![forbid(unsafe_code)]

use crate::batch::PacketBatch;
use crate::error::Result;
use crate::kernel::Rings;
use crate::packet::{Lease, Lender, Packet};
use crate::pool::FramePool;
use crate::raw::across::{self, Side};
use crate::raw::hub::Seat;
use crate::raw::inward::{Inward, Share};
use crate::raw::outward::{Outward, check_home};
use crate::raw::state::RingsState;
use crate::ring::{ConsumerRing, Desc, ProducerRing};
use crate::umem::Accounting;

/// The two sides of a socket, and its free frames.
#[derive(Debug)]
pub(crate) struct Cycle {
    pub(crate) inward: Inward,
    pub(crate) outward: Outward,
    pub(crate) lender: Lender,
    pub(crate) pool: FramePool,
}

impl Cycle {
    pub(crate) fn new(rings: Rings, lease: &Lease) -> Result<Self> {
        let free = lease.frames().at_home();
        Ok(Self {
            inward: Inward::new(rings.fill, rings.rx, free)?,
            outward: Outward::new(rings.tx, rings.completion),
            lender: Lender::new(lease),
            pool: FramePool::new(lease.frames().clone()),
        })
    }

    /// That of one member of a group, with the RX and TX ring of its own socket. `rx_slots` are the slots of all members' RX rings together.
    pub(crate) fn member(
        seat: Seat,
        rx: ConsumerRing<Desc>,
        tx: ProducerRing<Desc>,
        free: u32,
        rx_slots: u32,
    ) -> Result<Self> {
        let Seat {
            fill,
            completion,
            member,
        } = seat;
        let frames = member.lease().frames().clone();
        let mut inward = Inward::new(fill, rx, free)?;
        inward.share = Share::of(free, inward.fill.size(), rx_slots);
        inward.group = Some(member.clone());
        let mut outward = Outward::new(tx, completion);
        let lender = member.lender();
        outward.group = Some(member);
        Ok(Self {
            inward,
            outward,
            lender,
            pool: FramePool::new(frames),
        })
    }

    pub(crate) fn receive(&mut self, batch: &mut PacketBatch, max: u32) -> u32 {
        self.inward.receive_batch(&mut self.lender, max, batch)
    }

    pub(crate) fn recycle(&mut self, batch: &mut PacketBatch) -> Result<()> {
        check_home(self.lender.frames(), batch)?;
        let outstanding = self.rx_outstanding();
        self.inward.give(&mut self.lender, batch, outstanding);
        batch.clear();
        Ok(())
    }

    pub(crate) fn send(&mut self, batch: &mut PacketBatch) -> Result<u32> {
        self.outward.send(&mut self.lender, batch)
    }

    pub(crate) fn send_one(&mut self, packet: Packet) -> Result<(), Packet> {
        self.outward.send_one(&mut self.lender, packet)
    }

    pub(crate) fn alloc(&mut self) -> Option<Packet> {
        self.outward.alloc(&mut self.lender, &mut self.pool)
    }

    /// Up to `max` fresh packets; reaps if the pool has not enough.
    pub(crate) fn alloc_batch(&mut self, batch: &mut PacketBatch, max: u32) -> u32 {
        self.outward
            .alloc_batch(&mut self.lender, &mut self.pool, batch, max)
    }

    /// Sent frames to the pool.
    pub(crate) fn reap(&mut self) -> u32 {
        self.outward.reap(&mut self.lender, &mut self.pool)
    }

    /// Tops the receiving side up: with frames that were sent, then with free ones. What it does not need of the sent frames goes
    /// to the pool, so that the completion ring is empty afterwards.
    #[inline]
    pub(crate) fn refill(&mut self) -> u32 {
        // In a group the others may have something to move on.
        let alone = self.inward.group.is_none();
        if alone
            && self.outward.completion.available(1) == 0
            && u64::from(self.lender.lent())
                >= u64::from(self.inward.share.wanted) + self.outward.outstanding()
        {
            return 0;
        }
        self.refill_missing()
    }

    fn refill_missing(&mut self) -> u32 {
        let done = self.refill_sent();
        if self.outward.completion.available(1) > 0 {
            self.reap();
        }
        done + self.refill_free()
    }

    /// Frames that were sent here to the fill ring of another port, which they came from.
    pub(crate) fn send_back_to(&mut self, other: &mut Self) {
        let outstanding = other.rx_outstanding();
        let mut from = Side {
            rings: &mut self.outward,
            lender: &mut self.lender,
        };
        let mut to = Side {
            rings: &mut other.inward,
            lender: &mut other.lender,
        };
        across::relend(&mut from, &mut to, outstanding);
    }

    /// Sent frames to the fill ring.
    #[inline]
    pub(crate) fn refill_sent(&mut self) -> u32 {
        self.outward.fetch();
        let missing = self.inward.share.most.saturating_sub(self.rx_outstanding());
        let available = self.outward.completion.available(missing).min(missing);
        let mut slots = self.inward.fill.reserve(available);
        let entries = self.outward.completion.peek(slots.len());
        let seen = entries.len();
        let taken = self.lender.refill_each(entries.iter(), &mut slots.writer());
        slots.submit(taken);
        entries.release(seen);
        self.inward.filled += u64::from(taken);
        self.outward.completed += u64::from(taken);
        self.outward.refused += u64::from(seen - taken);
        taken
    }

    /// Free frames to the fill ring.
    #[inline]
    pub(crate) fn refill_free(&mut self) -> u32 {
        let outstanding = self.rx_outstanding();
        self.inward
            .refill(&mut self.lender, &mut self.pool, outstanding)
    }

    /// Up to `max` free frames to the fill ring.
    #[cfg(test)]
    pub(crate) fn lend_free(&mut self, max: u32) -> u32 {
        self.inward.lend(&mut self.lender, &mut self.pool, max)
    }

    /// Frames on loan to receive into: all but those of packets that are being sent.
    #[inline]
    fn rx_outstanding(&self) -> u32 {
        let lent = self.lender.lent();
        let sending = self.outward.outstanding() as u32;
        self.inward.outstanding(lent.saturating_sub(sending))
    }

    /// Whether the receiving side has so few frames that more should come to it soon.
    pub(crate) fn is_short(&self) -> bool {
        self.inward.is_short(self.rx_outstanding())
    }

    /// Tops the fill ring up with free frames; whether it is still starved then.
    pub(crate) fn is_starved_after_refill(&mut self) -> bool {
        self.refill_missing();
        self.inward.is_starved(self.rx_outstanding())
    }

    /// Keeps nearly all of `free` frames for sending.
    pub(crate) fn only_send(&mut self, free: u32) {
        self.inward.share = Share::sending(free);
    }

    /// Leaves to others on the same UMEM what comes back beyond the wanted share.
    pub(crate) fn leave_the_rest(&mut self) {
        self.inward.share.most = self.inward.share.wanted;
    }

    #[inline]
    pub(crate) fn rx_available(&mut self) -> bool {
        self.inward.is_ready()
    }

    pub(crate) fn tx_pending(&self) -> u32 {
        self.outward.pending()
    }

    pub(crate) fn tx_room(&mut self) -> u32 {
        self.outward.room()
    }

    /// Whether the TX ring has room for `wanted` packets, or else for how many.
    #[inline]
    pub(crate) fn tx_room_for(&mut self, wanted: u32) -> u32 {
        self.outward.tx.free(wanted)
    }

    pub(crate) fn tx_is_full(&self) -> bool {
        self.outward.pending() == self.outward.tx.size()
    }

    /// Packets that have arrived, by the ring.
    pub(crate) fn rx_occupied(&self) -> u32 {
        self.inward.rx.occupied()
    }

    /// Packets that were given to the kernel and have not come back.
    pub(crate) fn tx_outstanding(&self) -> u64 {
        self.outward.outstanding()
    }

    pub(crate) fn rx_needs_wakeup(&self) -> bool {
        self.inward.needs_wakeup()
    }

    pub(crate) fn tx_needs_wakeup(&self) -> bool {
        self.outward.needs_wakeup()
    }

    /// Packets received and packets sent, ever.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.inward.received, self.outward.sent)
    }

    pub(crate) fn state(&self) -> RingsState {
        let (inward, outward) = (&self.inward, &self.outward);
        let frames = self.lender.frames();
        frames.reclaim();
        let ledger = frames.ledger();
        let count = frames.geometry().frames();
        let ledger = Accounting {
            frames: count,
            pool: ledger.pool,
            user: ledger.user,
            kernel: ledger.kernel,
            quarantined: ledger.quarantined,
        };
        // Frames come from one socket and go to another: none of several can count what is on the way.
        let counted = if frames.sockets() > 1 {
            ledger
        } else {
            let given = inward.filled + outward.sent;
            let back = inward.received + outward.completed;
            Accounting {
                frames: count,
                pool: frames.at_home() + self.pool.len(),
                user: frames.with_user(),
                kernel: (given - back) as u32,
                quarantined: frames.quarantined(),
            }
        };
        let ((fill, rx), (tx, completion)) = (inward.state(), outward.state());
        RingsState {
            fill,
            rx,
            tx,
            completion,
            counted,
            ledger,
        }
    }
}
