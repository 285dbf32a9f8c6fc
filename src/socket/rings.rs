//! The four rings with the frames that go round in them.

#![forbid(unsafe_code)]

use crate::backend::Rings;
use crate::error::Result;
use crate::packet::{FramePool, Lease, Lender, Packet, PacketBatch};
use crate::ring::{ConsumerRing, Desc, ProducerRing};
use crate::socket::fanout::MuxPort;
use crate::socket::rx_side::{RxSide, Share};
use crate::socket::state::RingsState;
use crate::socket::tx_side::{TxSide, check_home};
use crate::umem::Accounting;

/// The two sides of a socket, and its free frames.
#[derive(Debug)]
pub(crate) struct SocketRings {
    pub(crate) rx_side: RxSide,
    pub(crate) tx_side: TxSide,
    pub(crate) lender: Lender,
    pub(crate) pool: FramePool,
}

impl SocketRings {
    pub(crate) fn new(rings: Rings, lease: &Lease) -> Result<Self> {
        let free = lease.frames().free_count();
        Ok(Self {
            rx_side: RxSide::new(rings.fill, rings.rx, free)?,
            tx_side: TxSide::new(rings.tx, rings.completion),
            lender: Lender::new(lease),
            pool: FramePool::new(lease.frames().clone()),
        })
    }

    /// That of one member of a group, with the RX and TX ring of its own socket. `rx_slots` are the slots of all members' RX rings together.
    pub(crate) fn member(
        port: MuxPort,
        rx: ConsumerRing<Desc>,
        tx: ProducerRing<Desc>,
        free: u32,
        rx_slots: u32,
    ) -> Result<Self> {
        let MuxPort {
            fill,
            completion,
            member,
        } = port;
        let frames = member.lease().frames().clone();
        let mut rx_side = RxSide::new(fill, rx, free)?;
        rx_side.share = Share::of(free, rx_side.fill.size(), rx_slots);
        rx_side.group = Some(member.clone());
        let mut tx_side = TxSide::new(tx, completion);
        let lender = member.lender();
        tx_side.group = Some(member);
        Ok(Self {
            rx_side,
            tx_side,
            lender,
            pool: FramePool::new(frames),
        })
    }

    pub(crate) fn receive(&mut self, batch: &mut PacketBatch, max: u32) -> u32 {
        self.rx_side.receive_batch(&mut self.lender, max, batch)
    }

    pub(crate) fn recycle(&mut self, batch: &mut PacketBatch) -> Result<()> {
        check_home(self.lender.frames(), batch)?;
        let outstanding = self.rx_outstanding();
        self.rx_side.give(&mut self.lender, batch, outstanding);
        batch.clear();
        Ok(())
    }

    pub(crate) fn send(&mut self, batch: &mut PacketBatch) -> Result<u32> {
        self.tx_side.send(&mut self.lender, batch)
    }

    pub(crate) fn send_one(&mut self, packet: Packet) -> Result<(), Packet> {
        self.tx_side.send_one(&mut self.lender, packet)
    }

    pub(crate) fn alloc(&mut self) -> Option<Packet> {
        self.tx_side.alloc(&mut self.lender, &mut self.pool)
    }

    /// Up to `max` fresh packets; reaps if the pool has not enough.
    pub(crate) fn alloc_batch(&mut self, batch: &mut PacketBatch, max: u32) -> u32 {
        self.tx_side
            .alloc_batch(&mut self.lender, &mut self.pool, batch, max)
    }

    /// Sent frames to the pool.
    pub(crate) fn reap(&mut self) -> u32 {
        self.tx_side.reap(&mut self.lender, &mut self.pool)
    }

    /// Tops the receiving side up: with frames that were sent, then with free ones. What it does not need of the sent frames goes
    /// to the pool, so that the completion ring is empty afterwards.
    #[inline]
    pub(crate) fn refill(&mut self) -> u32 {
        // In a group the others may have something to move on.
        let alone = self.rx_side.group.is_none();
        if alone
            && self.tx_side.completion.available(1) == 0
            && u64::from(self.lender.lent())
                >= u64::from(self.rx_side.share.wanted) + self.tx_side.outstanding()
        {
            return 0;
        }
        self.refill_missing()
    }

    fn refill_missing(&mut self) -> u32 {
        let done = self.refill_sent();
        if self.tx_side.completion.available(1) > 0 {
            self.reap();
        }
        done + self.refill_free()
    }

    /// Frames that were sent here to the fill ring of another port, which they came from.
    pub(crate) fn send_back_to(&mut self, other: &mut Self) {
        let outstanding = other.rx_outstanding();
        let mut from = Side {
            rings: &mut self.tx_side,
            lender: &mut self.lender,
        };
        let mut to = Side {
            rings: &mut other.rx_side,
            lender: &mut other.lender,
        };
        relend(&mut from, &mut to, outstanding);
    }

    /// Sent frames to the fill ring.
    #[inline]
    pub(crate) fn refill_sent(&mut self) -> u32 {
        self.tx_side.fetch();
        let missing = self
            .rx_side
            .share
            .most
            .saturating_sub(self.rx_outstanding());
        let available = self.tx_side.completion.available(missing).min(missing);
        let mut slots = self.rx_side.fill.reserve(available);
        let entries = self.tx_side.completion.peek(slots.len());
        let seen = entries.len();
        let taken = self.lender.refill_each(entries.iter(), &mut slots.writer());
        slots.submit(taken);
        entries.release(seen);
        self.rx_side.filled += u64::from(taken);
        self.tx_side.completed += u64::from(taken);
        self.tx_side.refused += u64::from(seen - taken);
        taken
    }

    /// Free frames to the fill ring.
    #[inline]
    pub(crate) fn refill_free(&mut self) -> u32 {
        let outstanding = self.rx_outstanding();
        self.rx_side
            .refill(&mut self.lender, &mut self.pool, outstanding)
    }

    /// Up to `max` free frames to the fill ring.
    #[cfg(test)]
    pub(crate) fn lend_free(&mut self, max: u32) -> u32 {
        self.rx_side.lend(&mut self.lender, &mut self.pool, max)
    }

    /// Frames on loan to receive into: all but those of packets that are being sent.
    #[inline]
    fn rx_outstanding(&self) -> u32 {
        let lent = self.lender.lent();
        let sending = self.tx_side.outstanding() as u32;
        self.rx_side.outstanding(lent.saturating_sub(sending))
    }

    /// Whether the receiving side has so few frames that more should come to it soon.
    pub(crate) fn is_short(&self) -> bool {
        self.rx_side.is_short(self.rx_outstanding())
    }

    /// Tops the fill ring up with free frames; whether it is still starved then.
    pub(crate) fn is_starved_after_refill(&mut self) -> bool {
        self.refill_missing();
        self.rx_side.is_starved(self.rx_outstanding())
    }

    /// Keeps nearly all of `free` frames for sending.
    pub(crate) fn only_send(&mut self, free: u32) {
        self.rx_side.share = Share::sending(free);
    }

    /// Leaves to others on the same UMEM what comes back beyond the wanted share.
    pub(crate) fn leave_the_rest(&mut self) {
        self.rx_side.share.most = self.rx_side.share.wanted;
    }

    #[inline]
    pub(crate) fn rx_available(&mut self) -> bool {
        self.rx_side.is_ready()
    }

    pub(crate) fn tx_pending(&self) -> u32 {
        self.tx_side.pending()
    }

    pub(crate) fn tx_room(&mut self) -> u32 {
        self.tx_side.room()
    }

    /// Whether the TX ring has room for `wanted` packets, or else for how many.
    #[inline]
    pub(crate) fn tx_room_for(&mut self, wanted: u32) -> u32 {
        self.tx_side.tx.free(wanted)
    }

    pub(crate) fn tx_is_full(&self) -> bool {
        self.tx_side.pending() == self.tx_side.tx.size()
    }

    /// Packets that have arrived, by the ring.
    pub(crate) fn rx_occupied(&self) -> u32 {
        self.rx_side.rx.occupied()
    }

    /// Packets that were given to the kernel and have not come back.
    pub(crate) fn tx_outstanding(&self) -> u64 {
        self.tx_side.outstanding()
    }

    pub(crate) fn rx_needs_wakeup(&self) -> bool {
        self.rx_side.needs_wakeup()
    }

    pub(crate) fn tx_needs_wakeup(&self) -> bool {
        self.tx_side.needs_wakeup()
    }

    /// Packets received and packets sent, ever.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.rx_side.received, self.tx_side.sent)
    }

    pub(crate) fn state(&self) -> RingsState {
        let (rx_side, tx_side) = (&self.rx_side, &self.tx_side);
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
            let given = rx_side.filled + tx_side.sent;
            let back = rx_side.received + tx_side.completed;
            Accounting {
                frames: count,
                pool: frames.free_count() + self.pool.len(),
                user: frames.with_user(),
                kernel: (given - back) as u32,
                quarantined: frames.quarantined(),
            }
        };
        let ((fill, rx), (tx, completion)) = (rx_side.state(), tx_side.state());
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

/// One side of a socket with its place in the ledger.
#[derive(Debug)]
pub(crate) struct Side<'a, T> {
    pub(crate) rings: &'a mut T,
    pub(crate) lender: &'a mut Lender,
}

/// Frames of sent packets to the fill ring, the shortest way, up to the receiving side's share. The others stay in the completion ring.
/// `outstanding`: the frames that the receiving side has now.
#[inline]
pub(crate) fn relend(from: &mut Side<'_, TxSide>, to: &mut Side<'_, RxSide>, outstanding: u32) {
    let same = from.lender.frames().is(to.lender.frames());
    if !same || from.rings.group.is_some() || to.rings.group.is_some() {
        return;
    }
    let missing = to.rings.share.most.saturating_sub(outstanding);
    let available = from.rings.completion.available(missing).min(missing);
    let mut slots = to.rings.fill.reserve(available);
    let entries = from.rings.completion.peek(slots.len());
    let seen = entries.len();
    let taken = from
        .lender
        .relend_each(to.lender, entries.iter(), &mut slots.writer());
    slots.submit(taken);
    entries.release(seen);
    to.rings.filled += u64::from(taken);
    from.rings.completed += u64::from(taken);
    from.rings.refused += u64::from(seen - taken);
}
