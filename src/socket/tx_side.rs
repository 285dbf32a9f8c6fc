//! The sending side of a socket: the TX ring and the completion ring.

#![forbid(unsafe_code)]

use std::sync::Arc;

use std::cell::Cell;

use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::packet::FramePool;
use crate::packet::PacketBatch;
use crate::packet::{Frames, Lender, Outbox, Packet};
use crate::ring::{ConsumerRing, Desc, ProducerRing, Reservation};
use crate::socket::fanout::MuxMember;
use crate::socket::state::RingState;

/// TX ring and completion ring, and the count of what passed.
#[derive(Debug)]
pub(crate) struct TxSide {
    pub(super) tx: ProducerRing<Desc>,
    pub(super) completion: ConsumerRing<u64>,
    /// Packets given to the kernel, ever.
    pub(super) sent: u64,
    /// Packets that came back, ever.
    pub(super) completed: u64,
    /// Entries of the completion ring that were refused.
    pub(super) refused: u64,
    /// The way to those that share the completion ring.
    pub(super) group: Option<Arc<MuxMember>>,
}

impl TxSide {
    pub(crate) fn new(tx: ProducerRing<Desc>, completion: ConsumerRing<u64>) -> Self {
        Self {
            tx,
            completion,
            sent: 0,
            completed: 0,
            refused: 0,
            group: None,
        }
    }

    /// Fetches what has come back, if others share the completion ring.
    #[inline]
    pub(super) fn fetch(&self) {
        if let Some(group) = &self.group {
            group.pump();
        }
    }

    pub(crate) fn send(&mut self, lender: &mut Lender, batch: &mut PacketBatch) -> Result<u32> {
        check_packets(lender.frames(), batch.as_slice())?;
        let mut slots = self.tx.reserve(batch.len() as u32);
        let done = lender.send_batch(batch, &mut slots.writer());
        slots.submit(done);
        self.sent += u64::from(done);
        Ok(done)
    }

    pub(crate) fn send_one(&mut self, lender: &mut Lender, packet: Packet) -> Result<(), Packet> {
        if !can_send(lender.frames(), &packet) {
            return Err(packet);
        }
        let mut slots = self.tx.reserve(1);
        if slots.is_empty() {
            return Err(packet);
        }
        slots.put(0, lender.lend(packet));
        slots.submit(1);
        self.sent += 1;
        Ok(())
    }

    /// Sends the packets that `give` puts into up to `max` slots of the ring, and returns how many; also when `give` panics, they are sent.
    #[inline]
    pub(crate) fn send_each(
        &mut self,
        lender: &mut Lender,
        max: u32,
        give: impl FnOnce(&mut Outbox<'_>),
    ) -> u32 {
        let before = self.sent;
        let mut guard = SendGuard {
            slots: Some(self.tx.reserve(max)),
            done: Cell::new(0),
            sent: &mut self.sent,
        };
        if let Some(slots) = &mut guard.slots {
            give(&mut Outbox::new(lender, slots.writer(), &guard.done));
        }
        drop(guard);
        (self.sent - before) as u32
    }

    /// Sent frames to the pool.
    pub(crate) fn reap(&mut self, lender: &mut Lender, pool: &mut FramePool) -> u32 {
        self.fetch();
        let entries = self.completion.peek(u32::MAX);
        let seen = entries.len();
        let taken = lender.reap_each(entries.iter(), pool);
        entries.release(seen);
        self.completed += u64::from(taken);
        self.refused += u64::from(seen - taken);
        taken
    }

    /// Fresh packets in free frames, up to `max`; reaps if the pool has not enough.
    pub(crate) fn alloc_batch(
        &mut self,
        lender: &mut Lender,
        pool: &mut FramePool,
        batch: &mut PacketBatch,
        max: u32,
    ) -> u32 {
        let wanted = batch.room().min(max as usize) as u32;
        let mut done = lender.frames().fresh_batch(pool, batch, max);
        if done < wanted && self.reap(lender, pool) > 0 {
            done += lender.frames().fresh_batch(pool, batch, wanted - done);
        }
        done
    }

    /// A fresh packet in a free frame; reaps if the pool is empty.
    pub(crate) fn alloc(&mut self, lender: &mut Lender, pool: &mut FramePool) -> Option<Packet> {
        pool.alloc().or_else(|| {
            self.reap(lender, pool);
            pool.alloc()
        })
    }

    /// Sent frames home, where all sides find them, but for those that the pool is short of.
    #[inline]
    pub(crate) fn reap_to_stack(&mut self, lender: &mut Lender, pool: &mut FramePool) -> u32 {
        self.fetch();
        let entries = self.completion.peek(u32::MAX);
        let seen = entries.len();
        let taken = lender.reap_each_to_stack(entries.iter(), pool);
        entries.release(seen);
        self.completed += u64::from(taken);
        self.refused += u64::from(seen - taken);
        taken
    }

    /// Whether sent frames may be there to be taken back.
    #[inline]
    pub(crate) fn has_come_back(&mut self) -> bool {
        self.group.is_some() || self.completion.available(1) > 0
    }

    /// Frames that wait in the completion ring to be taken back.
    pub(crate) fn come_back(&self) -> u32 {
        self.fetch();
        self.completion.occupied()
    }

    pub(crate) fn pending(&self) -> u32 {
        self.tx.occupied()
    }

    pub(crate) fn room(&mut self) -> u32 {
        self.tx.free(self.tx.size())
    }

    /// Whether packets wait in the TX ring, or so many are on their way that some have to come back.
    pub(super) fn wants_to_move(&self) -> bool {
        self.pending() > 0 || self.outstanding() > u64::from(self.tx.size() / 2)
    }

    /// Packets that were given to the kernel and have not come back.
    #[inline]
    pub(crate) fn outstanding(&self) -> u64 {
        self.sent.saturating_sub(self.completed)
    }

    /// Packets that were given to the kernel, ever.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// How far sending has come: packets that came back, ever, and the kernel's place in the TX ring.
    #[inline]
    pub(crate) fn come(&self) -> (u64, u32) {
        (self.completed, self.tx.indices().1)
    }

    /// The TX and the completion ring.
    pub(crate) fn state(&self) -> (RingState, RingState) {
        (
            RingState::of_producer(&self.tx),
            RingState::of_consumer(&self.completion, self.refused),
        )
    }

    pub(crate) fn needs_wakeup(&self) -> bool {
        self.tx.needs_wakeup()
    }
}

impl Drop for TxSide {
    /// Frees this socket's completed frames, if it is one of a group. Frames that complete later are freed by the remaining sockets.
    fn drop(&mut self) {
        let Some(group) = &self.group else {
            return;
        };
        group.close();
        group.pump();
        let entries = self.completion.peek(u32::MAX);
        for addr in &entries {
            group.take_sent(addr);
        }
        entries.release(u32::MAX);
    }
}

/// Slots of the TX ring that are being filled; dropped, also by a panic, it publishes those that were.
struct SendGuard<'a> {
    slots: Option<Reservation<'a, Desc>>,
    done: Cell<u32>,
    sent: &'a mut u64,
}

impl Drop for SendGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let done = self.done.get();
        *self.sent += u64::from(done);
        if let Some(slots) = self.slots.take() {
            slots.submit(done);
        }
    }
}

/// Whether all packets of a batch lie in this UMEM.
pub(crate) fn check_home(frames: &Frames, batch: &PacketBatch) -> Result<()> {
    match batch.iter().all(|packet| packet.belongs_to(frames)) {
        true => Ok(()),
        false => Err(foreign()),
    }
}

/// Whether all packets can be sent.
#[inline]
pub(crate) fn check_packets(frames: &Frames, packets: &[Packet]) -> Result<()> {
    match Packet::can_all_be_sent(packets, frames) {
        true => Ok(()),
        false => Err(unfit_to_send(frames, packets)),
    }
}

/// The kernel refuses empty descriptors, and may not give their frames back; options that the socket was not bound for
/// can block its TX ring.
#[inline]
pub(crate) fn can_send(frames: &Frames, packet: &Packet) -> bool {
    packet.belongs_to(frames) && packet.options() == 0 && !packet.is_empty()
}

#[cold]
fn foreign() -> FluxError {
    FluxError::invalid(
        "give packets to this socket",
        "one of them lies in the UMEM of another socket",
        "copy it into a packet of its own (copy(), alloc()), or let both sockets share one UMEM",
    )
}

#[cold]
fn unfit_to_send(frames: &Frames, packets: &[Packet]) -> FluxError {
    if packets.iter().any(|packet| !packet.belongs_to(frames)) {
        return foreign();
    }
    if packets.iter().any(|packet| packet.options() != 0) {
        return FluxError::invalid(
            "send packets",
            "one of them has option bits set",
            "set options to 0",
        );
    }
    FluxError::new(
        ErrorKind::Invalid,
        errno::EMSGSIZE,
        "send packets",
        "one of them is empty",
        "set its length and fill it in",
    )
}
