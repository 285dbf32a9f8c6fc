//! Received packets shown to a callback all at once, and what it decides about each.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::SharedFrameState;
use super::frames::POOL;
use super::lender::Loans;
use super::tally::{Fault, Tally};
use super::{Frames, Lender, Packet, PacketRef};
use crate::batch::PacketBatch;
use crate::error::{FluxError, Result};
use crate::pool::FramePool;
use crate::ring::{Desc, Iter, Writer};

/// Verdict of a [`Slot`]: back to the fill ring.
pub(crate) const RECYCLE: u32 = 0;
/// Verdict of a [`Slot`]: out through port 0; the ports after it follow.
pub(crate) const SEND: u32 = 1;

/// One borrowed packet: where it is, how long, and what shall become of it. C programs see it as it is, and may write anything into it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(super) data: *mut u8,
    pub(super) len: u32,
    pub(super) verdict: u32,
}

// SAFETY: an address and two numbers; who follows the address answers for that.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

impl Slot {
    /// A slot of no packet.
    pub(crate) const EMPTY: Self = Self {
        data: std::ptr::null_mut(),
        len: 0,
        verdict: RECYCLE,
    };

    /// The packet that `desc` describes, in the UMEM that starts at `base`.
    #[inline]
    pub(super) fn new(base: NonNull<u8>, desc: Desc) -> Self {
        Self {
            data: base.as_ptr().wrapping_add(desc.addr as usize),
            len: desc.len,
            verdict: RECYCLE,
        }
    }

    /// The descriptor of the packet as it stands now, in the UMEM that starts at `base`; of any other address something else.
    #[inline]
    pub(super) fn desc(&self, base: NonNull<u8>, options: u32) -> Desc {
        let addr = self.data.addr().wrapping_sub(base.addr().get());
        Desc {
            addr: addr as u64,
            len: self.len,
            options,
        }
    }
}

/// Up to a batch of received packets, borrowed for one call of an engine's callback.
///
/// They are the engine's: read and change them in place, and [send](PortPacket::send) those that shall leave. The others are recycled when
/// the callback returns. One packet is looked at at a time:
///
/// ```compile_fail,E0499
/// # fn example(batch: &mut fluxcap::BatchRef<'_>) {
/// let first = batch.packet(0);
/// let second = batch.packet(1); // error: cannot borrow `*batch` as mutable more than once
/// drop(first);
/// # }
/// ```
pub struct BatchRef<'a> {
    slots: &'a mut [Slot],
    /// What each slot was made of.
    #[cfg(feature = "capi")]
    run: &'a [Desc],
    frames: &'a Frames,
    through: Through,
}

/// The port that a batch came through, and how many there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Through {
    pub(crate) port: u32,
    pub(crate) ports: u32,
}

impl<'a> BatchRef<'a> {
    /// The packets of `slots`, made of the descriptors of `run`, which came `through` a port.
    ///
    /// # Safety
    ///
    /// Each must lie within one chunk of `frames`, which for `'a` nobody else reads or writes. Two may lie in the same chunk.
    #[inline]
    unsafe fn new(
        frames: &'a Frames,
        (slots, _run): (&'a mut [Slot], &'a [Desc]),
        through: Through,
    ) -> Self {
        Self {
            slots,
            #[cfg(feature = "capi")]
            run: _run,
            frames,
            through,
        }
    }

    /// The number of packets, at least one.
    #[inline]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Asks the processor for the first bytes of all packets, so that they are at hand when the callback comes to them.
    ///
    /// Where the kernel has copied packets on another core, looking at a packet costs some hundred nanoseconds without this, for waiting. Worth
    /// its one instruction a packet for a callback that looks at headers; no use to one that doesn't. On x86-64 and ARM64; it
    /// does nothing elsewhere.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # let mut engine = fluxcap::FluxEngine::new(fluxcap::FluxBuilder::new(&nic).build()?);
    /// # nic.inject(0, &[0; 60])?;
    /// # network.step(100);
    /// let count = engine.run_once(|batch| {
    ///     batch.prefetch();
    ///     batch.for_each(|packet| assert_eq!(packet.data()[0], 0));
    /// })?;
    /// assert_eq!(count, 1);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    #[inline]
    pub fn prefetch(&self) {
        self.slots.iter().for_each(|slot| prefetch(slot.data));
    }

    /// The port that the packets came through, counted from 0 in the order in which the engine got its sockets.
    #[inline]
    #[must_use]
    pub fn port(&self) -> u32 {
        self.through.port
    }

    /// The number of ports of the engine.
    #[must_use]
    pub fn ports(&self) -> u32 {
        self.through.ports
    }

    /// The packet at `index`.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`len`](Self::len).
    #[inline]
    pub fn packet(&mut self, index: usize) -> PortPacket<'_> {
        PortPacket {
            // SAFETY: as `new` promised; while this packet lives no other one can be had, so it does no harm that two may share a chunk.
            packet: unsafe { PacketRef::new(self.frames, &mut self.slots[index], 0) },
            through: self.through,
        }
    }

    /// Shows each packet to `look`, in the order in which they came.
    #[inline]
    pub fn for_each(&mut self, mut look: impl FnMut(&mut PortPacket<'_>)) {
        for slot in &mut *self.slots {
            look(&mut PortPacket {
                // SAFETY: as in `packet`.
                packet: unsafe { PacketRef::new(self.frames, slot, 0) },
                through: self.through,
            });
        }
    }

    /// Recycles all of them, whatever was decided before.
    pub fn recycle_all(&mut self) {
        for slot in &mut *self.slots {
            slot.verdict = RECYCLE;
        }
    }

    /// The UMEM that they lie in.
    #[cfg(feature = "capi")]
    pub(crate) fn frames(&self) -> &'a SharedFrameState {
        self.frames
    }

    /// The slots themselves, for C, and the descriptor of each as the packet came.
    #[cfg(feature = "capi")]
    pub(crate) fn slots(&mut self) -> (&mut [Slot], &'a [Desc]) {
        (self.slots, self.run)
    }
}

impl fmt::Debug for BatchRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchRef")
            .field("len", &self.len())
            .field("through", &self.through)
            .finish_non_exhaustive()
    }
}

/// A borrowed packet that came through a port of an engine, and can leave through each of them. See [`PacketRef`] for its bytes.
#[derive(Debug)]
pub struct PortPacket<'a> {
    packet: PacketRef<'a>,
    through: Through,
}

impl PortPacket<'_> {
    /// Sends the packet back through the port that it came through, as it is when the callback returns. One that is empty, or not a whole
    /// packet by its descriptor's options, is recycled. One that the device drops, being longer than its MTU or without a peer, counts as sent:
    /// `ip -s link show DEVICE` has it.
    #[inline]
    pub fn send(&mut self) {
        self.packet.slot.verdict = SEND + self.through.port;
    }

    /// Sends the packet through `port`, as it is when the callback returns. One that is empty, or not a whole
    /// packet by its descriptor's options, is recycled.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when the engine has no such port; the packet's verdict stays as it was.
    #[inline]
    pub fn send_to(&mut self, port: u32) -> Result<()> {
        if port >= self.through.ports {
            return Err(no_port(port, self.through.ports));
        }
        self.packet.slot.verdict = SEND + port;
        Ok(())
    }

    /// Recycles the packet after all: its frame goes back to the kernel when the callback returns.
    pub fn recycle(&mut self) {
        self.packet.slot.verdict = RECYCLE;
    }

    /// The port that it will leave through; `None`: it will be recycled.
    #[must_use]
    pub fn leaves_through(&self) -> Option<u32> {
        self.packet.slot.verdict.checked_sub(SEND)
    }
}

impl<'a> Deref for PortPacket<'a> {
    type Target = PacketRef<'a>;

    #[inline]
    fn deref(&self) -> &PacketRef<'a> {
        &self.packet
    }
}

impl<'a> DerefMut for PortPacket<'a> {
    #[inline]
    fn deref_mut(&mut self) -> &mut PacketRef<'a> {
        &mut self.packet
    }
}

#[cold]
pub(super) fn no_port(port: u32, ports: u32) -> FluxError {
    FluxError::invalid(
        format_args!("send a packet through port {port}"),
        format_args!("the engine has {ports}, counted from 0"),
        "use one of them",
    )
}

/// Room for a batch: the slots that a callback sees and may write to, and the descriptors that they were made of, which it never sees.
#[derive(Debug)]
pub(crate) struct Slots {
    shown: Box<[Slot]>,
    descs: Box<[Desc]>,
}

impl Slots {
    /// For so many packets.
    pub(crate) fn new(packets: u32) -> Self {
        Self {
            shown: vec![Slot::EMPTY; packets as usize].into(),
            descs: vec![Desc::default(); packets as usize].into(),
        }
    }

    /// The number of packets that there is room for.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.shown.len()
    }
}

/// What became of the packets of a batch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Settled {
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
pub(crate) struct Exits<'a> {
    pub(crate) fill: Writer<'a, u64>,
    pub(crate) pool: &'a mut FramePool,
    pub(crate) tx: Writer<'a, Desc>,
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
        slots: &'a mut Slots,
        through: Through,
    ) -> Option<BatchRef<'a>> {
        let count = self.loans().show(received, slots);
        // SAFETY: acceptable. While this `Lender` is borrowed, the frames stay on loan, so nobody else touches them.
        let (shown, descs) = (&mut slots.shown[..count], &slots.descs[..count]);
        let batch = unsafe { BatchRef::new(&self.frames, (shown, descs), through) };
        (count > 0).then_some(batch)
    }

    /// Does with each of the first `count` packets that were shown what its slot says: writes it to the fill or the TX ring, or puts it into
    /// the batch of another port.
    ///
    /// The frames in the rings stay on loan.
    #[inline(always)]
    pub(crate) fn settle(
        &mut self,
        (slots, count): (&Slots, usize),
        port: u32,
        exits: &mut Exits<'_>,
        tally: &mut Tally,
    ) -> Settled {
        let mut settled = Settled::default();
        let (state, loans) = (self.frames.state(), self.loans());
        let (shown, descs) = (&slots.shown[..count], &slots.descs[..count]);
        let mut done = 0;
        // Runs of those that are all recycled, or all sent, and one by one those that are neither.
        loop {
            done += loans.recycle_front(&shown[done..], &descs[done..], &mut exits.fill);
            if done == count {
                break;
            }
            let sent = loans.send_front(&shown[done..], &descs[done..], port, &mut exits.tx);
            done += sent;
            if sent == 0 {
                let packet = (shown[done], descs[done]);
                match loans.settle_one(state, packet, port, exits, &mut settled) {
                    Err(Fault::Crowded) => tally.crowded += 1,
                    Err(Fault::Unsendable) | Ok(()) => {}
                    Err(fault) => drop(tally.unfit.get_or_insert((done, fault))),
                }
                done += 1;
            }
        }
        settled.recycled = exits.fill.written();
        settled.sent = exits.tx.written();
        settled.others += settled.sent;
        self.count_returned(settled.pooled + settled.passed_on);
        tally.sent += u64::from(settled.sent);
        tally.passed_on += u64::from(settled.passed_on);
        settled
    }
}

impl Loans<'_> {
    /// Fills the slots with the packets that are acceptable; returns how many. A call, so that all it needs stays in registers.
    #[inline(never)]
    fn show(&self, received: Iter<'_, Desc>, slots: &mut Slots) -> usize {
        let loans = *self;
        let mut places = slots.shown.iter_mut().zip(&mut slots.descs);
        let all = places.len();
        for desc in received {
            if loans.accept(desc).is_none() {
                continue;
            }
            let Some((shown, kept)) = places.next() else {
                break;
            };
            *shown = Slot::new(loans.base, desc);
            *kept = desc;
        }
        all - places.len()
    }

    /// Writes the packets at the front that shall be recycled to the fill ring; returns how many. It may end early.
    #[inline(never)]
    fn recycle_front(&self, shown: &[Slot], descs: &[Desc], fill: &mut Writer<'_, u64>) -> usize {
        if self.is_member() {
            return 0;
        }
        let room = fill.room() as usize;
        let mut done = 0;
        for (slot, desc) in shown.iter().zip(descs).take(room) {
            if slot.verdict != RECYCLE {
                break;
            }
            fill.write(desc.addr);
            done += 1;
        }
        done
    }

    /// Writes the packets at the front that shall leave through the port that they came through to the TX ring; returns how many. It may end
    /// early.
    #[inline(never)]
    fn send_front(
        &self,
        shown: &[Slot],
        descs: &[Desc],
        port: u32,
        tx: &mut Writer<'_, Desc>,
    ) -> usize {
        let loans = *self;
        let room = tx.room() as usize;
        let mut done = 0;
        for (slot, desc) in shown.iter().zip(descs).take(room) {
            if slot.verdict != SEND + port {
                break;
            }
            let Ok(fitting) = loans.fit(*slot, *desc) else {
                break;
            };
            tx.write(fitting);
            done += 1;
        }
        done
    }

    /// Does with one packet what its slot says; where that cannot be, it is recycled.
    #[inline(never)]
    fn settle_one(
        &self,
        state: NonNull<SharedFrameState>,
        (slot, desc): (Slot, Desc),
        port: u32,
        exits: &mut Exits<'_>,
        settled: &mut Settled,
    ) -> Result<(), Fault> {
        let mut result = Ok(());
        if slot.verdict != RECYCLE {
            let fitting = self.fit(slot, desc);
            let sent = fitting.and_then(|fitting| match slot.verdict == SEND + port {
                true => exits
                    .tx
                    .push(fitting)
                    .then_some(Sent::Gone)
                    .ok_or(Fault::Crowded),
                false => {
                    let to = (slot.verdict - SEND, &mut *exits.others);
                    self.pass_on(desc, to, |chunk| Packet::new(state, fitting, chunk))
                }
            });
            // What was sent is counted in the end.
            settled.others += u32::from(sent != Ok(Sent::Gone));
            match sent {
                Ok(Sent::Gone) => return Ok(()),
                Ok(Sent::PassedOn) => {
                    settled.passed_on += 1;
                    return Ok(());
                }
                Ok(Sent::Twice) => {
                    settled.twice += 1;
                    return Ok(());
                }
                Err(fault) => result = Err(fault),
            }
        }
        self.share_frame(desc.addr);
        if !exits.fill.push(desc.addr) {
            match self.take_frame(desc.addr, POOL) {
                Some(chunk) => {
                    exits.pool.put(chunk);
                    settled.pooled += 1;
                }
                None => settled.twice += 1,
            }
        }
        result
    }

    /// The packet that a slot asks to send, if it lies within the chunk of `desc`, which it was made of, is not empty, and has no options:
    /// those of a received packet mean something else, or nothing, where packets are sent.
    #[inline(always)]
    fn fit(&self, slot: Slot, desc: Desc) -> Result<Desc, Fault> {
        let chunk_size = self.chunk_size();
        let fitting = slot.desc(self.base, desc.options);
        let end = (fitting.addr & (chunk_size - 1)) + u64::from(fitting.len);
        if fitting.addr ^ desc.addr >= chunk_size {
            return Err(Fault::OtherFrame);
        }
        if end > chunk_size {
            return Err(Fault::TooLong);
        }
        if fitting.len == 0 || fitting.options != 0 {
            return Err(Fault::Unsendable);
        }
        Ok(fitting)
    }

    /// Puts an owned packet, made of the chunk of a received one, into the batch of the port that it shall leave through, if that has room.
    fn pass_on(
        &self,
        desc: Desc,
        (port, others): (u32, &mut [PacketBatch]),
        packet: impl FnOnce(u32) -> Packet,
    ) -> Result<Sent, Fault> {
        let batch = others.get_mut(port as usize).ok_or(Fault::NoPort)?;
        if batch.room() == 0 {
            return Err(Fault::Crowded);
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

/// Asks for the cache line at an address. That may be any: nothing is read from it, and it cannot fault.
#[inline(always)]
fn prefetch(at: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: every x86-64 processor has it, and it takes any address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: a hint, which takes any address and changes nothing that a program can see.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) at, options(nostack, readonly, preserves_flags));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = at;
}
