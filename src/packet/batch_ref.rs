//! Received packets shown to a callback all at once, and what it decides about each.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::error::{FluxError, Result};
#[cfg(feature = "capi")]
use crate::packet::SharedFrameState;
use crate::packet::{Frames, PacketRef};
use crate::ring::Desc;

/// Verdict of a [`PacketSlot`]: back to the fill ring.
pub(crate) const RECYCLE: u32 = 0;
/// Verdict of a [`PacketSlot`]: out through port 0; the ports after it follow.
pub(crate) const SEND: u32 = 1;

/// One borrowed packet: where it is, how long, and what shall become of it. C programs see it as it is, and may write anything into it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct PacketSlot {
    pub(super) data: *mut u8,
    pub(super) len: u32,
    pub(super) verdict: u32,
}

// SAFETY: an address and two numbers; who follows the address answers for that.
unsafe impl Send for PacketSlot {}
// SAFETY: as above.
unsafe impl Sync for PacketSlot {}

impl PacketSlot {
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
    slots: &'a mut [PacketSlot],
    /// What each slot was made of.
    #[cfg(feature = "capi")]
    run: &'a [Desc],
    frames: &'a Frames,
    context: PortContext,
}

/// The port that a batch came through, and how many there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PortContext {
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
    pub(super) unsafe fn new(
        frames: &'a Frames,
        (slots, _run): (&'a mut [PacketSlot], &'a [Desc]),
        context: PortContext,
    ) -> Self {
        Self {
            slots,
            #[cfg(feature = "capi")]
            run: _run,
            frames,
            context,
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
        self.context.port
    }

    /// The number of ports of the engine.
    #[must_use]
    pub fn ports(&self) -> u32 {
        self.context.ports
    }

    /// The packet at `index`.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`len`](Self::len).
    #[inline]
    pub fn packet(&mut self, index: usize) -> PortPacket<'_> {
        // SAFETY: as `new` promised; while this packet lives no other one can be had, so it does no harm that two may share a chunk.
        let packet = unsafe { PacketRef::new(self.frames, &mut self.slots[index], 0) };
        PortPacket::new(packet, self.context)
    }

    /// Shows each packet to `look`, in the order in which they came.
    #[inline]
    pub fn for_each(&mut self, mut look: impl FnMut(&mut PortPacket<'_>)) {
        for slot in &mut *self.slots {
            // SAFETY: as in `packet`.
            let packet = unsafe { PacketRef::new(self.frames, slot, 0) };
            look(&mut PortPacket::new(packet, self.context));
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
    pub(crate) fn slots(&mut self) -> (&mut [PacketSlot], &'a [Desc]) {
        (self.slots, self.run)
    }
}

impl fmt::Debug for BatchRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchRef")
            .field("len", &self.len())
            .field("through", &self.context)
            .finish_non_exhaustive()
    }
}

/// A borrowed packet that came through a port of an engine, and can leave through each of them. See [`PacketRef`] for its bytes.
#[derive(Debug)]
pub struct PortPacket<'a> {
    packet: PacketRef<'a>,
    context: PortContext,
}

impl<'a> PortPacket<'a> {
    #[inline]
    pub(super) fn new(packet: PacketRef<'a>, context: PortContext) -> Self {
        Self { packet, context }
    }
}

impl PortPacket<'_> {
    /// The port that the packet came through, counted from 0 in the order in which the engine got its sockets.
    #[inline]
    #[must_use]
    pub fn port(&self) -> u32 {
        self.context.port
    }

    /// The number of ports of the engine.
    #[inline]
    #[must_use]
    pub fn ports(&self) -> u32 {
        self.context.ports
    }

    /// Sends the packet back through the port that it came through, as it is when the callback returns. One that is empty, or not a whole
    /// packet by its descriptor's options, is recycled. One that the device drops, being longer than its MTU or without a peer, counts as sent:
    /// `ip -s link show DEVICE` has it.
    #[inline]
    pub fn send(&mut self) {
        self.packet.slot.verdict = SEND + self.context.port;
    }

    /// Sends the packet through `port`, as it is when the callback returns. One that is empty, or not a whole
    /// packet by its descriptor's options, is recycled.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when the engine has no such port; the packet's verdict stays as it was.
    #[inline]
    pub fn send_to(&mut self, port: u32) -> Result<()> {
        if port >= self.context.ports {
            return Err(no_port(port, self.context.ports));
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
