//! Received packets one at a time, in one pass: each is looked at in its frame and brought where it shall go before the next.

use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::packet::batch_ref::{PacketSlot, RECYCLE, SEND};
use crate::packet::ledger::{POOL, USER};
use crate::packet::transfer::accept::{Lender, Loans, count_returned};
use crate::packet::FramePool;
use crate::packet::{Packet, PacketRef, PortContext, PortPacket, SharedFrameState};
use crate::ring::{Desc, Iter, Run, Writer};

/// A packet that was just received, in the frame that the kernel wrote it to.
///
/// It is lent to a closure for one call. Read and change it there as a [`PacketRef`], without a copy. What becomes of it then:
///
/// - dropped, as at the end of the closure: its frame goes back to the kernel, for a new packet, or to where the closure's
///   [verdict](crate::Verdict) says;
/// - [`into_packet`](Self::into_packet): it is yours, as a [`Packet`], to keep for as long as you like, to send, or to give to another thread.
///
/// ```
/// # let network = fluxcap::sim::Network::new();
/// # let nic = network.nic("eth0")?;
/// # let mut raw = fluxcap::FluxBuilder::new(&nic).build()?;
/// # for first in [0x60, 0x45, 0x45] {
/// #     nic.inject(0, &[first; 60])?;
/// # }
/// # network.step(100);
/// let mut kept = Vec::new();
/// let count = raw.recv_each(64, |packet| {
///     // Most are only looked at; a few stay.
///     if packet.data()[0] == 0x60 {
///         kept.push(packet.into_packet());
///     }
/// });
/// assert_eq!((count, kept.len()), (3, 1));
/// // The frame of one that was kept comes back when that is dropped, here or on another thread.
/// std::thread::spawn(move || drop(kept)).join().unwrap();
/// assert_eq!(raw.umem().accounting().user, 0);
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
///
/// Otherwise it cannot be kept. This does not compile:
///
/// ```compile_fail,E0521
/// # fn example(raw: &mut fluxcap::FluxRaw) {
/// let mut kept = None;
/// raw.recv_each(64, |packet| kept = Some(packet)); // error: borrowed data escapes
/// # }
/// ```
pub struct ReceivedPacket<'a> {
    /// The one that this was made with: as it is invariant in `'a`, safe code has no other one to put in its place.
    packet: PacketRef<'a>,
    state: NonNull<SharedFrameState>,
    chunk: u32,
    taking: &'a Taking,
}

/// Verdict of the [`PacketSlot`] of a packet that was taken. No engine has so many ports.
const TAKEN: u32 = u32::MAX;

impl ReceivedPacket<'_> {
    /// The packet as one that you own. What the closure returns does not matter to it then: it is neither sent nor recycled.
    ///
    /// Its frame is missing to the receiving side until the packet is dropped, [recycled](crate::FluxRx::recycle) or sent. While packets that
    /// are kept have all frames, nothing can be received.
    #[inline]
    #[must_use]
    pub fn into_packet(self) -> Packet {
        let options = self.packet.options();
        let PacketRef { slot, state, .. } = self.packet;
        self.taking.take_one(state);
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

impl fmt::Debug for ReceivedPacket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedPacket")
            .field("packet", &self.packet)
            .finish_non_exhaustive()
    }
}

/// The packets that are taken out of a pass.
#[derive(Debug, Default)]
struct Taking {
    /// Packets that are counted as the user's, but not taken yet: one addition serves many.
    ahead: Cell<u32>,
    /// Whether the packet that the closure has, or had last, was taken.
    current: Cell<bool>,
}

/// How many packets are counted at a time.
const AHEAD: u32 = 64;

impl Taking {
    /// Counts the current packet.
    #[inline]
    fn take_one(&self, state: &SharedFrameState) {
        let mut ahead = self.ahead.get();
        if ahead == 0 {
            state.count_up(AHEAD);
            ahead = AHEAD;
        }
        self.ahead.set(ahead - 1);
        self.current.set(true);
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
    /// `own` is the exit to the TX ring; packets with another exit than that go to `pass_on`, with the number of the port. Those that it does
    /// not take are recycled.
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
        mut pass_on: impl FnMut(u32, ReceivedPacket<'_>),
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
            taking: Taking::default(),
            pool,
            is_over: false,
            lent,
            sender_lent,
            handled,
        };
        let mut end = None;
        for run in received.runs() {
            if end.is_none() {
                let books = (state, &pass.others, &pass.taking, &mut *pass.pool);
                let exit = (own, sending_mark);
                end = loans.each(
                    run,
                    &mut pass.written,
                    books,
                    exit,
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
        run: Run<'_, Desc>,
        written: &mut Written<'r>,
        (state, others, taking, pool): Books<'_>,
        (own, sender): (u32, Option<u32>),
        decide: &mut impl FnMut(ReceivedPacket<'_>) -> (u32, Option<B>),
        pass_on: &mut impl FnMut(u32, ReceivedPacket<'_>),
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
                taking,
            });
            if slot.verdict != TAKEN && exit != RECYCLE && exit != own {
                let leaving = slot.desc(loans.base, desc.options);
                if can_leave(leaving) {
                    // SAFETY: as above; the closure's packet is gone.
                    let packet = unsafe { PacketRef::new(loans.frames, &mut slot, 0) };
                    pass_on(
                        exit - SEND,
                        ReceivedPacket {
                            packet,
                            state,
                            chunk,
                            taking,
                        },
                    );
                }
            }
            if slot.verdict == TAKEN {
                count(others, |others| &mut others.taken);
                taking.current.set(false);
            } else if exit == own && to.send(slot.desc(loans.base, desc.options), others) {
                if let Some(mark) = sender {
                    entry.store(mark, Ordering::Relaxed);
                }
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

/// What a pass needs besides the rings: the UMEM's state, what is counted, and the pool.
type Books<'a> = (
    NonNull<SharedFrameState>,
    &'a Cell<Others>,
    &'a Taking,
    &'a mut FramePool,
);

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
    taking: Taking,
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
            // The closure panicked, with this entry's packet.
            let is_taken = self.taking.current.get();
            let current = self.received.nth(seen as usize).filter(|_| !is_taken);
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
        self.loans.frames.uncount(self.taking.ahead.get());
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
