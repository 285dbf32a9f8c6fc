//! A batch shown to a callback, and each of its packets brought where the callback wants it.

use std::ops::BitOr;
use std::ptr::NonNull;

use crate::error::{FluxError, Result};
use crate::packet::batch_ref::{PacketSlot, RECYCLE, SEND};
use crate::packet::ledger::POOL;
use crate::packet::transfer::accept::Loans;
use crate::packet::{
    BatchRef, FramePool, Lender, Packet, PacketBatch, PortContext, SharedFrameState,
};
use crate::ring::{Desc, Iter, Writer};
use crate::umem::memory;

/// Room for a batch: the slots that a callback sees and may write to, and the descriptors that they were made of, which it never sees.
#[derive(Debug)]
pub(crate) struct BatchSlots {
    shown: Box<[PacketSlot]>,
    descs: Box<[Desc]>,
}

impl BatchSlots {
    /// For so few packets that there is always memory for them.
    pub(crate) fn new(packets: u32) -> Self {
        Self {
            shown: vec![PacketSlot::EMPTY; packets as usize].into(),
            descs: vec![Desc::default(); packets as usize].into(),
        }
    }

    /// For as many packets as a user wants.
    ///
    /// # Errors
    ///
    /// [`Memory`](crate::ErrorKind::Memory).
    pub(crate) fn try_new(packets: u32) -> Result<Self> {
        let shown = memory::filled(packets as usize, PacketSlot::EMPTY);
        let descs = memory::filled(packets as usize, Desc::default());
        let slots = shown.zip(descs).map(|(shown, descs)| Self { shown, descs });
        slots.ok_or_else(|| {
            FluxError::no_memory(
                format_args!("a batch of {packets} packets"),
                "make it smaller",
            )
        })
    }

    /// The number of packets that there is room for.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.shown.len()
    }
}

/// What became of the packets of a batch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BatchResult {
    /// Addresses written to the fill ring.
    pub(crate) recycled: u32,
    /// Frames that went to the pool, because the fill ring was full.
    pub(crate) pooled: u32,
    /// Descriptors written to the TX ring.
    pub(crate) sent: u32,
    /// Packets put into the batches of other ports.
    pub(crate) passed_on: u32,
    /// Those that were not on loan any more, because they came twice.
    pub(crate) twice: u32,
    /// Packets that were not just recycled.
    pub(crate) others: u32,
}

/// Where the packets of a batch go.
pub(crate) struct BatchOutlets<'r, 'a> {
    pub(crate) fill: Writer<'r, u64>,
    pub(crate) pool: &'a mut FramePool,
    pub(crate) tx: Writer<'r, Desc>,
    /// The batches of all ports.
    pub(crate) others: &'a mut [PacketBatch],
}

impl Lender {
    /// The received packets, to be shown in `slots`, which have room for all. `None`: all are refused.
    ///
    /// The frames stay on loan all the while.
    #[inline(always)]
    pub(crate) fn show<'a>(
        &'a mut self,
        received: Iter<'_, Desc>,
        slots: &'a mut BatchSlots,
        context: PortContext,
    ) -> Option<BatchRef<'a>> {
        let count = self.loans().show(received, slots);
        let (shown, descs) = (&mut slots.shown[..count], &slots.descs[..count]);
        // SAFETY: acceptable. While this `Lender` is borrowed, the frames stay on loan, so nobody else touches them.
        let batch = unsafe { BatchRef::new(&self.frames, (shown, descs), context) };
        (count > 0).then_some(batch)
    }

    /// Does with each of the first `count` packets that were shown what its slot says: writes it to the fill or the TX ring, or puts it into
    /// the batch of another port.
    ///
    /// The frames in the rings stay on loan.
    #[inline(always)]
    pub(crate) fn apply_verdicts(
        &mut self,
        (slots, count): (&BatchSlots, usize),
        port: u32,
        outlets: &mut BatchOutlets<'_, '_>,
        counts: &mut VerdictCounts,
    ) -> BatchResult {
        let mut result = BatchResult::default();
        let (state, loans) = (self.frames.state(), self.loans());
        let (shown, descs) = (&slots.shown[..count], &slots.descs[..count]);
        let mut done = 0;
        // Runs of those that are all recycled, or all sent, and one by one those that are neither.
        loop {
            // Where a frame has left another way, one that came twice must not go into a ring, too.
            let is_whole = result.passed_on + result.pooled == 0;
            if is_whole {
                done += loans.recycle_front(&shown[done..], &descs[done..], &mut outlets.fill);
            }
            if done == count {
                break;
            }
            let mut sent = 0;
            if is_whole {
                sent = loans.send_front(&shown[done..], &descs[done..], port, &mut outlets.tx);
                done += sent;
            }
            if sent == 0 {
                let packet = (shown[done], descs[done]);
                match loans.apply_verdict(state, packet, port, outlets, &mut result) {
                    Err(NotSent::NoRoom) => counts.no_room += 1,
                    Err(NotSent::Unsendable) | Ok(()) => {}
                    Err(fault) => drop(counts.unfit.get_or_insert((done, fault))),
                }
                done += 1;
            }
        }
        result.finish(outlets.fill.written(), outlets.tx.written(), counts);
        self.count_returned(result.pooled + result.passed_on);
        result
    }
}

impl BatchResult {
    /// Counts what was written to the fill and the TX ring, and the whole in `tally`.
    #[inline(always)]
    pub(in crate::packet) fn finish(
        &mut self,
        recycled: u32,
        sent: u32,
        counts: &mut VerdictCounts,
    ) {
        self.recycled = recycled;
        self.sent = sent;
        self.others += sent;
        counts.sent += u64::from(sent);
        counts.passed_on += u64::from(self.passed_on);
    }
}

impl Loans<'_> {
    /// Fills the slots with the packets that are acceptable; returns how many. A call, so that all it needs stays in registers.
    #[inline(never)]
    fn show(&self, received: Iter<'_, Desc>, slots: &mut BatchSlots) -> usize {
        let loans = *self;
        let mut done = 0;
        for run in received.clone().runs() {
            let (shown, kept) = (&mut slots.shown[done..], &mut slots.descs[done..]);
            done += run.len().min(shown.len());
            let is_plain = run
                .with(shown.iter_mut().zip(kept))
                .all(|(desc, (shown, kept))| {
                    *shown = PacketSlot::new(loans.base, desc);
                    *kept = desc;
                    loans.is_own_loan(desc)
                });
            if !is_plain {
                return self.show_each(received, slots);
            }
        }
        done
    }

    /// [`show`](Self::show), where some are refused, or were lent before a split or by a group.
    #[cold]
    #[inline(never)]
    fn show_each(&self, received: Iter<'_, Desc>, slots: &mut BatchSlots) -> usize {
        let mut places = slots.shown.iter_mut().zip(&mut slots.descs);
        let all = places.len();
        for desc in received {
            if self.accept(desc).is_some()
                && let Some((shown, kept)) = places.next()
            {
                *shown = PacketSlot::new(self.base, desc);
                *kept = desc;
            }
        }
        all - places.len()
    }

    /// Writes the packets at the front that shall be recycled to the fill ring; returns how many. It may end early.
    #[inline(never)]
    fn recycle_front(
        &self,
        shown: &[PacketSlot],
        descs: &[Desc],
        fill: &mut Writer<'_, u64>,
    ) -> usize {
        if self.is_member() {
            return 0;
        }
        let room = fill.room() as usize;
        let all = shown.len().min(room);
        let verdicts = shown[..all].iter().map(|slot| slot.verdict);
        let done = match verdicts.clone().fold(0, BitOr::bitor) {
            RECYCLE => all,
            _ => verdicts.take_while(|verdict| *verdict == RECYCLE).count(),
        };
        fill.write_all(descs[..done].iter().map(|desc| desc.addr));
        done
    }

    /// Writes the packets at the front that shall leave through the port that they came through to the TX ring; returns how many. It may end
    /// early.
    #[inline(never)]
    fn send_front(
        &self,
        shown: &[PacketSlot],
        descs: &[Desc],
        port: u32,
        tx: &mut Writer<'_, Desc>,
    ) -> usize {
        let loans = *self;
        let (room, before) = (tx.room() as usize, tx.written());
        let all = shown.len().min(room);
        let packets = shown[..all].iter().zip(&descs[..all]);
        if packets.clone().fold(0, |odd, (slot, desc)| {
            odd | loans.mismatch(slot, desc, SEND + port)
        }) == 0
        {
            tx.write_all(packets.map(|(slot, _)| slot.desc(loans.base, 0)));
            return all;
        }
        tx.write_all(packets.map_while(|(slot, desc)| {
            let leaves = slot.verdict == SEND + port;
            leaves.then(|| loans.fit(*slot, *desc).ok()).flatten()
        }));
        (tx.written() - before) as usize
    }

    /// Does with one packet what its slot says; where that cannot be, it is recycled.
    #[inline(never)]
    pub(in crate::packet) fn apply_verdict(
        &self,
        state: NonNull<SharedFrameState>,
        (slot, desc): (PacketSlot, Desc),
        port: u32,
        outlets: &mut BatchOutlets<'_, '_>,
        batch: &mut BatchResult,
    ) -> Result<(), NotSent> {
        if self.accept(desc).is_none() {
            batch.others += u32::from(slot.verdict != RECYCLE);
            batch.twice += 1;
            return Ok(());
        }
        let mut result = Ok(());
        if slot.verdict != RECYCLE {
            let fitting = self.fit(slot, desc);
            let sent = fitting.and_then(|fitting| match slot.verdict == SEND + port {
                true => outlets
                    .tx
                    .push(fitting)
                    .then_some(Sent::Gone)
                    .ok_or(NotSent::NoRoom),
                false => {
                    let to = (slot.verdict - SEND, &mut *outlets.others);
                    self.pass_on(desc, to, |chunk| Packet::new(state, fitting, chunk))
                }
            });
            // What was sent is counted in the end.
            batch.others += u32::from(sent != Ok(Sent::Gone));
            match sent {
                Ok(Sent::Gone) => return Ok(()),
                Ok(Sent::PassedOn) => {
                    batch.passed_on += 1;
                    return Ok(());
                }
                Ok(Sent::Twice) => {
                    batch.twice += 1;
                    return Ok(());
                }
                Err(fault) => result = Err(fault),
            }
        }
        self.share_frame(desc.addr);
        if !outlets.fill.push(desc.addr) {
            match self.take_frame(desc.addr, POOL) {
                Some(chunk) => {
                    outlets.pool.put(chunk);
                    batch.pooled += 1;
                }
                None => batch.twice += 1,
            }
        }
        result
    }

    /// 0 if the slot has this verdict and [fits](Self::fit): as numbers to be united over a batch, which a processor does for several at once.
    #[inline(always)]
    fn mismatch(&self, slot: &PacketSlot, desc: &Desc, verdict: u32) -> u64 {
        const SIGN: u32 = 63;
        let chunk_size = self.chunk_size();
        let Desc { addr, len, .. } = slot.desc(self.base, 0);
        let other_chunk = (addr ^ desc.addr) & !(chunk_size - 1);
        let too_long = chunk_size.wrapping_sub((addr & (chunk_size - 1)) + u64::from(len)) >> SIGN;
        let empty = u64::from(len).wrapping_sub(1) >> SIGN;
        let other_verdict = slot.verdict ^ verdict;
        other_chunk | too_long | empty | u64::from(other_verdict | desc.options)
    }

    /// The packet that a slot asks to send, if it lies within the chunk of `desc`, which it was made of, is not empty, and has no options:
    /// those of a received packet mean something else, or nothing, where packets are sent.
    #[inline(always)]
    fn fit(&self, slot: PacketSlot, desc: Desc) -> Result<Desc, NotSent> {
        let chunk_size = self.chunk_size();
        let fitting = slot.desc(self.base, desc.options);
        let end = (fitting.addr & (chunk_size - 1)) + u64::from(fitting.len);
        if fitting.addr ^ desc.addr >= chunk_size {
            return Err(NotSent::OtherFrame);
        }
        if end > chunk_size {
            return Err(NotSent::TooLong);
        }
        if fitting.len == 0 || fitting.options != 0 {
            return Err(NotSent::Unsendable);
        }
        Ok(fitting)
    }

    /// Puts an owned packet, made of the chunk of a received one, into the batch of the port that it shall leave through, if that has room.
    fn pass_on(
        &self,
        desc: Desc,
        (port, others): (u32, &mut [PacketBatch]),
        packet: impl FnOnce(u32) -> Packet,
    ) -> Result<Sent, NotSent> {
        let batch = others.get_mut(port as usize).ok_or(NotSent::NoPort)?;
        if batch.room() == 0 {
            return Err(NotSent::NoRoom);
        }
        // A frame that came twice is the user's once, and goes nowhere else then.
        let Some(chunk) = self.receive(desc) else {
            return Ok(Sent::Twice);
        };
        self.frames.count_up(1);
        batch.append(packet(chunk));
        Ok(Sent::PassedOn)
    }
}

/// What became of a packet that could be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// It stands in the TX ring.
    Gone,
    /// It is in the batch of another port.
    PassedOn,
    /// Its frame went another way before.
    Twice,
}

/// What became of the packets that were not just recycled, ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct VerdictCounts {
    /// Into the TX ring of the same socket.
    pub(crate) sent: u64,
    /// Into the batches of other ports.
    pub(crate) passed_on: u64,
    /// Recycled although they should be sent, because there was no room.
    pub(crate) no_room: u64,
    /// The first of the last batch that was recycled because what its slot says can't be sent.
    pub(crate) unfit: Option<(usize, NotSent)>,
}

/// Why a packet can't be sent. All but the first two only C programs can cause, which write what they like into a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// It is empty, or not a whole packet.
    Unsendable,
    /// There is no room for it.
    NoRoom,
    /// It begins in another frame than it came in.
    OtherFrame,
    /// It ends behind its frame.
    TooLong,
    /// It names a port that is not there.
    NoPort,
}
