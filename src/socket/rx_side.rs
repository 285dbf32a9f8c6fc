//! The receiving side of a socket: the fill ring and the RX ring.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::error::Result;
use crate::packet::{FramePool, Lender, Packet, PacketBatch};
use crate::ring::{ConsumerRing, Desc, ProducerRing};
use crate::socket::fanout::MuxMember;
use crate::socket::peek::Peeked;
use crate::socket::state::RingState;

/// Frames that the fill ring of a socket gets that only sends: some drivers take garbage out of one that is empty when it is bound.
const LENT_TO_SEND: u32 = 64;
/// As many frames as a driver takes at a time: with fewer the next burst is lost.
const STARVED: u32 = 64;

/// Fill ring and RX ring, the count of what passed, and how many frames may be on their way between them.
#[derive(Debug)]
pub(crate) struct RxSide {
    pub(super) fill: ProducerRing<u64>,
    pub(super) rx: ConsumerRing<Desc>,
    pub(super) share: Share,
    /// Frames given to the kernel, ever.
    pub(super) filled: u64,
    /// Packets received, ever.
    pub(super) received: u64,
    /// Entries of the RX ring that were refused.
    pub(super) refused: u64,
    pub(super) peeked: Peeked,
    /// The way to those that share the fill ring.
    pub(super) group: Option<Arc<MuxMember>>,
}

/// How many frames the receiving side may have, in the fill ring, the RX ring and the kernel between them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// Free frames go to the fill ring up to here.
    pub(super) wanted: u32,
    /// Frames that were sent go there, the shortest way, up to here. The rest of the UMEM stays for sending.
    pub(super) most: u32,
}

impl Share {
    /// Of `free` frames.
    pub(super) fn of(free: u32, fill_slots: u32, rx_slots: u32) -> Self {
        let wanted = free.div_ceil(2).min(fill_slots);
        let most = (free / 4 * 3).min(fill_slots + rx_slots).max(wanted);
        Self { wanted, most }
    }

    /// Of `free` frames, for a socket that only sends.
    pub(super) fn sending(free: u32) -> Self {
        let wanted = (free / 8).clamp(u32::from(free > 1), LENT_TO_SEND);
        Self {
            wanted,
            most: wanted,
        }
    }
}

impl RxSide {
    /// Over these rings, with a share of `free` frames.
    pub(crate) fn new(fill: ProducerRing<u64>, rx: ConsumerRing<Desc>, free: u32) -> Result<Self> {
        Ok(Self {
            share: Share::of(free, fill.size(), rx.size()),
            peeked: Peeked::new(rx.size())?,
            fill,
            rx,
            filled: 0,
            received: 0,
            refused: 0,
            group: None,
        })
    }

    /// The frames that the receiving side has: `lent`, or those of a group.
    #[inline]
    pub(crate) fn outstanding(&self, lent: u32) -> u32 {
        match &self.group {
            Some(group) => group.outstanding(self.filled, self.received),
            None => lent,
        }
    }

    /// Sees to it that what was put into the fill ring reaches the kernel, if others share it.
    #[inline]
    pub(super) fn pass_on(&self) {
        if let Some(group) = &self.group {
            group.pump();
        }
    }

    /// Gives up to `max` received packets to `put`, which does not panic; returns how many there were.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        lender: &mut Lender,
        max: u32,
        put: impl FnMut(Packet),
    ) -> u32 {
        let entries = self.rx.peek(max);
        let seen = entries.len();
        let taken = lender.receive(entries.iter(), put);
        entries.release(seen);
        self.received += u64::from(taken);
        self.refused += u64::from(seen - taken);
        taken
    }

    /// [`receive`](Self::receive), as far as the batch has room.
    pub(crate) fn receive_batch(
        &mut self,
        lender: &mut Lender,
        max: u32,
        batch: &mut PacketBatch,
    ) -> u32 {
        let room = u32::try_from(batch.room()).unwrap_or(u32::MAX);
        self.receive(lender, room.min(max), |packet| batch.append(packet))
    }

    /// Gives the frames of what has arrived to `pool`: nobody will ask for the packets.
    pub(crate) fn abandon(&mut self, lender: &mut Lender, pool: &mut FramePool) {
        let entries = self.rx.peek(u32::MAX);
        let seen = entries.len();
        let taken = lender.abandon_each(entries.iter(), pool);
        entries.release(seen);
        self.received += u64::from(taken);
        self.refused += u64::from(seen - taken);
    }

    /// Gives the frames of packets at the back of the batch to the kernel, as many as the fill ring has room for and the share allows.
    /// `outstanding`: the frames that the receiving side has now.
    pub(crate) fn give(&mut self, lender: &mut Lender, batch: &mut PacketBatch, outstanding: u32) {
        // While they were held, others took their place: without a limit the receiving side would end up with every frame.
        let missing = self.share.most.saturating_sub(outstanding);
        let mut slots = self.fill.reserve(missing.min(batch.len() as u32));
        let mut writer = slots.writer();
        lender.give_batch(batch, &mut writer);
        let done = writer.written();
        slots.submit(done);
        self.filled += u64::from(done);
        self.pass_on();
    }

    /// Free frames to the fill ring, up to the wanted share. `outstanding`: the frames that the receiving side has now.
    #[inline]
    pub(crate) fn refill(
        &mut self,
        lender: &mut Lender,
        pool: &mut FramePool,
        outstanding: u32,
    ) -> u32 {
        let missing = self.share.wanted.saturating_sub(outstanding);
        if missing == 0 {
            return 0;
        }
        self.lend(lender, pool, missing)
    }

    /// Up to `max` free frames to the fill ring.
    #[inline]
    pub(crate) fn lend(&mut self, lender: &mut Lender, pool: &mut FramePool, max: u32) -> u32 {
        let mut slots = self.fill.reserve(max);
        let mut writer = slots.writer();
        lender.lend_free(pool, &mut writer);
        let done = writer.written();
        slots.submit(done);
        self.filled += u64::from(done);
        self.pass_on();
        done
    }

    /// Whether it has so few frames that more should come to it before it sleeps. `outstanding`: the frames that it has now.
    pub(crate) fn is_short(&self, outstanding: u32) -> bool {
        outstanding < self.share.wanted.div_ceil(2)
    }

    /// Whether it has so few frames that traffic may stop before anybody brings more. `outstanding`: the frames that it has now.
    pub(crate) fn is_starved(&self, outstanding: u32) -> bool {
        outstanding < self.share.wanted.div_ceil(2).min(STARVED)
    }

    /// Packets received, ever.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// The fill ring, in a group the one that all share, and the RX ring.
    pub(crate) fn state(&self) -> (RingState, RingState) {
        let shared = self.group.as_ref().and_then(|group| group.fill_state());
        (
            shared.unwrap_or_else(|| RingState::of_producer(&self.fill)),
            RingState::of_consumer(&self.rx, self.refused),
        )
    }

    #[inline]
    pub(crate) fn is_ready(&mut self) -> bool {
        self.rx.available(1) > 0
    }

    pub(crate) fn needs_wakeup(&self) -> bool {
        self.fill.needs_wakeup()
    }
}

impl Drop for RxSide {
    /// Leaves to the other members of a group what has arrived.
    fn drop(&mut self) {
        let Some(group) = &self.group else {
            return;
        };
        // The rings of a parent are not there in a child.
        if !group.lease().frames().process().is_current() {
            return;
        }
        let entries = self.rx.peek(u32::MAX);
        for desc in &entries {
            self.received += u64::from(group.take_received(desc.addr));
        }
        entries.release(u32::MAX);
        group.outstanding(self.filled, self.received);
        group.pump();
    }
}
