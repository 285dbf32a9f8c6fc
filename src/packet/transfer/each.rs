//! Received packets one at a time, in one pass: each is looked at in its frame and brought where it shall go before the next.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::packet::FramePool;
use crate::packet::batch_ref::{PacketSlot, RECYCLE, SEND};
use crate::packet::ledger::{POOL, USER};
use crate::packet::transfer::accept::{Lender, Loans, count_returned};
use crate::packet::{Packet, PacketRef, PortContext, PortPacket, SharedFrameState};
use crate::ring::{Desc, Iter, Run, Writer};

/// A packet that was just received, still in the frame that it came in.
///
/// Look at it and change it in place, as a [`PacketRef`], without a copy or bookkeeping; its frame goes back to the kernel when it is dropped.
/// [`into_packet`](Self::into_packet) keeps it. It lives for one call of a closure; keeping it otherwise does not compile:
///
/// ```compile_fail,E0521
/// # fn example(raw: &mut fluxcap::FluxRaw) {
/// let mut kept = None;
/// raw.recv_each(64, |packet| kept = Some(packet));
/// # }
/// ```
#[derive(Debug)]
pub struct ReceivedPacket<'a> {
    packet: PacketRef<'a>,
    state: NonNull<SharedFrameState>,
    chunk: u32,
    counted: &'a CountedAhead,
}

/// Verdict of the [`PacketSlot`] of a packet that was taken. No engine has so many ports.
const TAKEN: u32 = u32::MAX;

impl ReceivedPacket<'_> {
    /// The packet as one that you own: it may be kept, and go to another thread. Whatever the closure returns, it is neither sent nor
    /// recycled then.
    #[inline]
    #[must_use]
    pub fn into_packet(self) -> Packet {
        let options = self.packet.options();
        let PacketRef { slot, state, .. } = self.packet;
        self.counted.take_one(state);
        state.set_owner(self.chunk, USER);
        slot.verdict = TAKEN;
        let desc = slot.desc(state.memory().start(), options);
        Packet::new(self.state, desc, self.chunk)
    }
}

impl ReceivedPacket<'_> {
    /// As an engine shows it.
    #[inline(always)]
    pub(crate) fn of_port(&mut self, context: PortContext) -> PortPacket<'_> {
        let PacketRef { slot, state, .. } = &mut self.packet;
        // SAFETY: the packet of `self`, borrowed.
        PortPacket::new(unsafe { PacketRef::new(state, slot, 0) }, context)
    }

    /// What was decided of it as one [of a port](Self::of_port).
    #[inline(always)]
    pub(crate) fn exit(&self) -> u32 {
        self.packet.slot.verdict
    }
}

impl<'a> Deref for ReceivedPacket<'a> {
    type Target = PacketRef<'a>;

    #[inline]
    fn deref(&self) -> &PacketRef<'a> {
        &self.packet
    }
}

impl<'a> DerefMut for ReceivedPacket<'a> {
    #[inline]
    fn deref_mut(&mut self) -> &mut PacketRef<'a> {
        &mut self.packet
    }
}

/// Packets that were counted as the user's ahead of being taken: one addition serves many.
#[derive(Debug, Default)]
struct CountedAhead(Cell<u32>);

/// How many packets are counted at a time.
const AHEAD: u32 = 64;

impl CountedAhead {
    /// Counts one more packet.
    #[inline]
    fn take_one(&self, state: &SharedFrameState) {
        let mut ahead = self.0.get();
        if ahead == 0 {
            state.count_up(AHEAD);
            ahead = AHEAD;
        }
        self.0.set(ahead - 1);
    }
}

/// Where packets go.
pub(crate) struct Outlets<'r, 'a> {
    pub(crate) fill: Writer<'r, u64>,
    /// What the fill ring has no room for.
    pub(crate) pool: &'a mut FramePool,
    /// Packets to send, if there is a ring for them.
    pub(crate) tx: Option<Writer<'r, Desc>>,
    /// Whose loans sent packets become, if not the receiver's.
    pub(crate) sender: Option<&'a mut Lender>,
}

/// What became of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Handled {
    /// Entries that were taken from the RX ring.
    pub(crate) seen: u32,
    /// Those that were no packets of this socket.
    pub(crate) refused: u32,
    /// Packets whose frames went into the fill ring,
    pub(crate) recycled: u32,
    /// or into the pool.
    pub(crate) pooled: u32,
    /// Packets in the TX ring.
    pub(crate) sent: u32,
    /// Packets that are the user's now.
    pub(crate) taken: u32,
    /// Recycled although they should be sent, because the TX ring was full.
    pub(crate) no_room: u32,
}

impl Handled {
    /// The number of packets.
    #[inline]
    pub(crate) fn packets(&self) -> u32 {
        self.seen - self.refused
    }

    /// Whether none was sent or taken, or should have been sent.
    #[inline]
    pub(crate) fn are_all_recycled(&self) -> bool {
        self.sent + self.taken + self.no_room == 0
    }
}

impl Lender {
    /// Shows each received packet to `decide` and brings it where that says, before the next. What `decide` returns besides ends it early.
    ///
    /// It says in `handled` what became of them, also when `decide` panics: that packet is recycled.
    #[inline]
    pub(crate) fn each<B>(
        &mut self,
        received: Iter<'_, Desc>,
        outlets: Outlets<'_, '_>,
        handled: &Cell<Handled>,
        own: u32,
        mut decide: impl FnMut(ReceivedPacket<'_>) -> (u32, Option<B>),
        mut pass_on: impl FnMut(u32, Packet),
    ) -> Option<B> {
        let state = self.frames.state();
        let (loans, lent) = self.loans_and_lent();
        let Outlets {
            fill,
            pool,
            tx,
            sender,
        } = outlets;
        let (sending_mark, sender_lent) = match sender {
            Some(sender) => (Some(sender.mark), Some(&mut sender.lent)),
            None => (None, None),
        };
        let mut pass = Pass {
            loans,
            received: received.clone(),
            written: Written { fill, tx },
            others: Cell::default(),
            counted: CountedAhead::default(),
            pool,
            is_over: false,
            lent,
            sender_lent,
            handled,
        };
        let mut end = None;
        for run in received.runs() {
            if end.is_none() {
                let others = (&pass.others, &pass.counted, &mut *pass.pool);
                end = loans.each(
                    state,
                    run,
                    &mut pass.written,
                    others,
                    sending_mark,
                    own,
                    &mut decide,
                    &mut pass_on,
                );
            }
        }
        pass.is_over = true;
        end
    }
}

impl Loans<'_> {
    /// A call for each run of entries, so that the loop has all registers for itself.
    #[inline(never)]
    fn each<'r, B>(
        &self,
        state: NonNull<SharedFrameState>,
        run: Run<'_, Desc>,
        written: &mut Written<'r>,
        (others, counted, pool): (&Cell<Others>, &CountedAhead, &mut FramePool),
        sender: Option<u32>,
        own: u32,
        decide: &mut impl FnMut(ReceivedPacket<'_>) -> (u32, Option<B>),
        pass_on: &mut impl FnMut(u32, Packet),
    ) -> Option<B> {
        let loans = *self;
        let mut to = InRegisters {
            fill: written.fill.copy(),
            tx: written.tx.as_ref().map(Writer::copy),
            written,
        };
        for desc in run {
            let Some((chunk, entry)) = loans.accept_entry(desc) else {
                count(others, |others| &mut others.refused);
                continue;
            };
            let mut slot = PacketSlot::new(loans.base, desc);
            // SAFETY: acceptable. While the `Lender` is borrowed, the frame stays on loan, so nobody else touches it, and one packet is
            // borrowed at a time. A group's frame is this member's until it is shared again below.
            let packet = unsafe { PacketRef::new(loans.frames, &mut slot, desc.options) };
            let (exit, end) = decide(ReceivedPacket {
                packet,
                state,
                chunk,
                counted,
            });
            if slot.verdict == TAKEN {
                count(others, |others| &mut others.taken);
            } else if exit == own && to.send(slot.desc(loans.base, desc.options), others) {
                if let Some(mark) = sender {
                    entry.store(mark, Ordering::Relaxed);
                }
            } else if exit != RECYCLE
                && exit != own
                && can_leave(slot.desc(loans.base, desc.options))
            {
                count(others, |others| &mut others.taken);
                counted.take_one(loans.frames);
                entry.store(USER, Ordering::Relaxed);
                let packet = Packet::new(state, slot.desc(loans.base, 0), chunk);
                pass_on(exit - SEND, packet);
            } else if to.fill.has_room() {
                loans.share(chunk);
                to.fill.write(desc.addr);
            } else {
                count(others, |others| &mut others.pooled);
                put_into_pool(loans.frames, pool, chunk);
            }
            if end.is_some() {
                return end;
            }
        }
        None
    }
}

/// The rings that a pass writes to.
struct Written<'r> {
    fill: Writer<'r, u64>,
    tx: Option<Writer<'r, Desc>>,
}

/// Copies, which stay in registers. Dropped, also by a panic, they are written back.
struct InRegisters<'r, 'w> {
    fill: Writer<'r, u64>,
    tx: Option<Writer<'r, Desc>>,
    written: &'w mut Written<'r>,
}

impl Drop for InRegisters<'_, '_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.written.fill = self.fill.copy();
        self.written.tx = self.tx.as_ref().map(Writer::copy);
    }
}

impl InRegisters<'_, '_> {
    /// Puts a packet into the TX ring, if that has room and the kernel takes it.
    #[inline(always)]
    fn send(&mut self, desc: Desc, others: &Cell<Others>) -> bool {
        if !can_leave(desc) {
            return false;
        }
        match &mut self.tx {
            Some(tx) if tx.has_room() => tx.write(desc),
            _ => {
                count(others, |others| &mut others.no_room);
                return false;
            }
        }
        true
    }
}

/// Entries that went another way than most do.
#[derive(Debug, Clone, Copy, Default)]
struct Others {
    refused: u32,
    taken: u32,
    pooled: u32,
    no_room: u32,
}

#[cold]
#[inline(never)]
fn count(others: &Cell<Others>, which: impl FnOnce(&mut Others) -> &mut u32) {
    let mut counts = others.get();
    *which(&mut counts) += 1;
    others.set(counts);
}

/// A pass over received packets. Dropped, also by a panic, it sees to the packet that the closure had and puts the counts right.
struct Pass<'r, 'a> {
    loans: Loans<'a>,
    received: Iter<'r, Desc>,
    /// Into the fill and the TX ring.
    written: Written<'r>,
    others: Cell<Others>,
    counted: CountedAhead,
    pool: &'a mut FramePool,
    is_over: bool,
    lent: &'a mut u32,
    sender_lent: Option<&'a mut u32>,
    handled: &'a Cell<Handled>,
}

impl Drop for Pass<'_, '_> {
    fn drop(&mut self) {
        let recycled = self.written.fill.written();
        let sent = self.written.tx.as_ref().map_or(0, Writer::written);
        let mut others = self.others.get();
        let mut seen = recycled + sent + others.refused + others.taken + others.pooled;
        if !self.is_over {
            // The closure panicked, with this entry's packet. If it is still here, it has not taken it.
            let current = self.received.nth(seen as usize);
            match current.and_then(|desc| self.loans.accept(desc)) {
                Some(chunk) => {
                    put_into_pool(self.loans.frames, self.pool, chunk);
                    others.pooled += 1;
                }
                None => others.taken += 1,
            }
            seen += 1;
        }
        self.handled.set(Handled {
            seen,
            refused: others.refused,
            recycled,
            pooled: others.pooled,
            sent,
            taken: others.taken,
            no_room: others.no_room,
        });
        self.loans.frames.uncount(self.counted.0.get());
        count_returned(self.lent, others.taken + others.pooled);
        if let Some(sender_lent) = &mut self.sender_lent {
            count_returned(self.lent, sent);
            **sender_lent = sender_lent.wrapping_add(sent);
        }
    }
}

#[cold]
#[inline(never)]
fn put_into_pool(frames: &SharedFrameState, pool: &mut FramePool, chunk: u32) {
    frames.set_owner(chunk, POOL);
    pool.put(chunk);
}

/// Whether the kernel takes a packet to send. It refuses empty ones, and those with options that it does not know in this direction, and does
/// not give the frames back; options that it knows mean something else there.
#[inline(always)]
pub(in crate::packet) fn can_leave(desc: Desc) -> bool {
    desc.len > 0 && desc.options == 0
}
