//! Received packets shown to a callback all at once, and what it decides about each.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

#[cfg(feature = "capi")]
use super::SharedFrameState;
use super::tally::{Fault, Tally};
use super::wide;
use super::{Frames, Lender, Packet, PacketRef};
use crate::batch::PacketBatch;
use crate::error::{FluxError, Result};
use crate::ring::{Desc, Reservation};

/// Verdict of a [`Slot`]: back to the fill ring.
pub(crate) const RECYCLE: u32 = 0;
/// Verdict of a [`Slot`]: out through port 0; the ports after it follow.
pub(crate) const SEND: u32 = 1;

/// One borrowed packet: where it is, how long, and what shall become of it. C programs see it as it is, and may write anything into it.
#[repr(C, align(16))]
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
    pub(super) fn new(base: NonNull<u8>, desc: &Desc) -> Self {
        Self {
            data: base.as_ptr().wrapping_add(desc.addr as usize),
            len: desc.len,
            verdict: RECYCLE,
        }
    }

    /// The address, and the length with the verdict above it.
    #[inline]
    #[cfg(any(test, not(target_arch = "x86_64")))]
    pub(super) fn words(self) -> [u64; 2] {
        [
            self.data as u64,
            u64::from(self.len) | u64::from(self.verdict) << 32,
        ]
    }

    /// The slot of these [`words`](Self::words).
    #[inline]
    #[cfg(any(test, not(target_arch = "x86_64")))]
    pub(super) fn of_words([data, rest]: [u64; 2]) -> Self {
        Self {
            data: data as usize as *mut u8,
            len: rest as u32,
            verdict: (rest >> 32) as u32,
        }
    }

    /// The descriptor of the packet as it stands now, in the UMEM that starts at `base`; of any other address something else.
    #[inline]
    pub(super) fn desc(&self, base: NonNull<u8>, options: u32) -> Desc {
        let addr = (self.data as usize).wrapping_sub(base.as_ptr() as usize);
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
        self.slots.iter().for_each(|slot| wide::prefetch(slot.data));
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

    /// Whether all packets shall be recycled.
    #[inline]
    pub(crate) fn is_recycled(&self) -> bool {
        // Lengths in the lower half, verdicts in the upper one.
        self.slots[0].verdict == RECYCLE && wide::unite(self.slots)[1] >> 32 == u64::from(RECYCLE)
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
    /// packet by its descriptor's options, is recycled.
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

impl Lender {
    /// The received packets at the front of a run, to be shown in `slots`, and whether none of the run has options; their frames are
    /// written to the fill run, in case that all of them are recycled. Both are at least as long as the run. `None`: the first packet is
    /// refused.
    ///
    /// The frames stay on loan all the while.
    #[inline(always)]
    pub(crate) fn show<'a>(
        &'a mut self,
        run: &'a [Desc],
        slots: &'a mut [Slot],
        fill: &mut [u64],
        through: Through,
    ) -> Option<(BatchRef<'a>, bool)> {
        let base = self.frames.memory().start().as_ptr() as u64;
        let slots = &mut slots[..run.len()];
        // The options of a plain packet are zero, as is the verdict; the others are seen to below.
        let [addr, rest] = wide::show(run, slots, &mut fill[..run.len()], base);
        let count = self.acceptable_in(run, addr, rest);
        if count == 0 {
            return None;
        }
        let slots = &mut slots[..count];
        let is_plain = rest >> 32 == 0;
        if !is_plain {
            slots.iter_mut().for_each(|slot| slot.verdict = RECYCLE);
        }
        // SAFETY: acceptable. While this `Lender` is borrowed, the frames stay on loan, so nobody else touches them.
        let batch = unsafe { BatchRef::new(&self.frames, (slots, &run[..count]), through) };
        Some((batch, is_plain))
    }

    /// Whether all packets of a batch, which have no options, are as they came and shall leave through `port`. If so, their descriptors
    /// are written to the TX run, which is at least as long.
    #[inline(always)]
    pub(crate) fn send_unchanged(
        &self,
        run: &[Desc],
        slots: &[Slot],
        port: u32,
        tx: &mut [Desc],
    ) -> bool {
        let base = self.frames.memory().start().as_ptr() as u64;
        let verdict = u64::from(SEND + port) << 32;
        wide::unite_differences(run, slots, &mut tx[..run.len()], [base, verdict]) == [0, 0]
    }

    /// Does with each packet what its slot says: writes it to the fill run, which is at least as long as the batch, or to the TX ring, or
    /// puts it into the batch of another port. Returns how many it wrote to the fill run and how many to the TX ring.
    ///
    /// The frames in the rings stay on loan.
    pub(crate) fn settle(
        &mut self,
        (run, slots): (&[Desc], &[Slot]),
        port: u32,
        fill: &mut [u64],
        tx: &mut Reservation<'_, Desc>,
        others: &mut [PacketBatch],
        tally: &mut Tally,
    ) -> (usize, usize) {
        let (mut recycled, mut sent) = (0, 0);
        for (index, (desc, slot)) in run.iter().zip(slots).enumerate() {
            let verdict = if slot.verdict == RECYCLE {
                Ok(false)
            } else if slot.verdict == SEND + port {
                self.fits(desc, slot).map(|fitting| {
                    let room = tx.put(sent, fitting);
                    sent += u32::from(room);
                    tally.crowded += u64::from(!room);
                    room
                })
            } else {
                self.pass_on(desc, slot, others, tally)
            };
            if let Err(fault @ (Fault::OtherFrame | Fault::TooLong | Fault::NoPort)) = verdict {
                tally.unfit.get_or_insert((index, fault));
            }
            if verdict != Ok(true) {
                fill[recycled] = desc.addr;
                recycled += 1;
            }
        }
        tally.sent += u64::from(sent);
        (recycled, sent as usize)
    }

    /// The packet that a slot asks to send, if it lies within the chunk of `desc`, which it was made of, is not empty, and has no options:
    /// those of a received packet mean something else, or nothing, where packets are sent.
    #[inline]
    fn fits(&self, desc: &Desc, slot: &Slot) -> Result<Desc, Fault> {
        let chunk_size = u64::from(self.frames.geometry().chunk_size());
        let fitting = slot.desc(self.frames.memory().start(), desc.options);
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

    /// Makes an owned packet of a received one, in the batch of the port that it shall leave through, if that has room.
    fn pass_on(
        &mut self,
        desc: &Desc,
        slot: &Slot,
        others: &mut [PacketBatch],
        tally: &mut Tally,
    ) -> Result<bool, Fault> {
        let port = (slot.verdict - SEND) as usize;
        let batch = others.get_mut(port).ok_or(Fault::NoPort)?;
        let fitting = self.fits(desc, slot)?;
        if batch.room() == 0 {
            tally.crowded += 1;
            return Ok(false);
        }
        // A frame that came twice is the user's once.
        let Some(chunk) = self.receive(desc) else {
            return Ok(false);
        };
        self.frames.count_up(1);
        self.lent = self.lent.wrapping_sub(1);
        batch.append(Packet::new(self.frames.state(), fitting, chunk));
        tally.passed_on += 1;
        Ok(true)
    }
}
