//! A packet borrowed while it stands in its RX ring slot, and what becomes of it.

use std::fmt;
use std::slice;

use super::burst::Slot;
use super::lender::Lender;
use super::{SharedFrameState, too_long};
use crate::error::Result;
use crate::ring::Desc;

/// What becomes of a borrowed packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Back to the kernel's fill ring, for the next packet.
    Recycle,
    /// Out through the TX ring, as it is now. A packet that is empty or has [options](PacketRef::options) is recycled instead.
    Send,
}

/// A packet that was just received and is looked at in place: no copy, no ownership, no bookkeeping.
///
/// It lives for one call of a callback; keeping it does not compile:
///
/// ```compile_fail,E0521
/// # fn example(raw: &mut fluxcap::FluxRaw) {
/// let mut kept = None;
/// raw.inspect(64, |packet| kept = Some(packet.data()));
/// # }
/// ```
pub struct PacketRef<'a> {
    pub(super) slot: &'a mut Slot,
    options: u32,
    pub(super) state: &'a SharedFrameState,
}

impl<'a> PacketRef<'a> {
    /// The packet that `slot` describes, in the UMEM of `state`.
    ///
    /// # Safety
    ///
    /// It must lie within one chunk of `state` which for `'a` nobody else reads or writes.
    #[inline]
    pub(super) unsafe fn new(
        state: &'a SharedFrameState,
        slot: &'a mut Slot,
        options: u32,
    ) -> Self {
        Self {
            slot,
            options,
            state,
        }
    }

    /// The bytes of the packet.
    #[inline]
    #[must_use]
    pub fn data(&self) -> &[u8] {
        // SAFETY: `new` promised that the slot's bytes are ours alone, and `set_len` and the adjustments keep them in their chunk; UMEM memory is
        // initialised.
        unsafe { slice::from_raw_parts(self.slot.data, self.slot.len as usize) }
    }

    /// The bytes of the packet, to change in place.
    #[inline]
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `data`.
        unsafe { slice::from_raw_parts_mut(self.slot.data, self.slot.len as usize) }
    }

    /// The length in bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.slot.len as usize
    }

    /// Whether the packet has no bytes.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slot.len == 0
    }

    /// The descriptor's option bits: 0, or `XDP_PKT_CONTD` when more of the packet follows in the next frame. An engine's callback gets 0.
    #[inline]
    #[must_use]
    pub fn options(&self) -> u32 {
        self.options
    }

    /// Sets the length. Bytes that come into view hold whatever the frame held before.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) (`EMSGSIZE`) when the frame has no room for `len` bytes; the packet stays as it was.
    pub fn set_len(&mut self, len: usize) -> Result<()> {
        let chunk_size = u64::from(self.state.geometry().chunk_size());
        let most = (chunk_size - (self.address() & (chunk_size - 1))) as usize;
        if len > most {
            return Err(too_long("packet", len, most));
        }
        self.slot.len = len as u32;
        Ok(())
    }

    /// Offset of the first byte from the start of the UMEM, as a descriptor has it.
    #[inline]
    #[must_use]
    pub fn address(&self) -> u64 {
        let start = self.state.memory().start().as_ptr() as usize;
        (self.slot.data as usize - start) as u64
    }
}

impl fmt::Debug for PacketRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketRef")
            .field("address", &self.address())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// How far [`Lender::forward_run`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Forwarded {
    /// Addresses written to the fill run.
    pub(crate) recycled: usize,
    /// Descriptors written to the TX run.
    pub(crate) sent: usize,
}

impl Lender {
    /// Shows each received packet to `look` and writes its frame to the fill run, which is at least as long.
    ///
    /// The frames stay on loan all the while.
    #[inline]
    pub(crate) fn recycle_run(
        &mut self,
        run: &[Desc],
        fill: &mut [u64],
        mut look: impl FnMut(&mut PacketRef<'_>),
    ) -> usize {
        let run = self.accepted(run);
        let base = self.frames.memory().start();
        for (desc, slot) in run.iter().zip(&mut *fill) {
            *slot = desc.addr;
            let mut packet = Slot::new(base, desc);
            // SAFETY: acceptable. While this `Lender` is borrowed, the frame stays on loan, so nobody else touches it, and one
            // packet is borrowed at a time. A group's frame is this member's until it is shared again below.
            look(&mut unsafe { PacketRef::new(&self.frames, &mut packet, desc.options) });
        }
        self.share(&fill[..run.len()]);
        run.len()
    }

    /// Shows each received packet to `judge` and writes it to the fill or the TX run, both at least as long.
    ///
    /// The frames stay on loan all the while.
    #[inline]
    pub(crate) fn forward_run(
        &mut self,
        run: &[Desc],
        fill: &mut [u64],
        tx: &mut [Desc],
        judge: impl FnMut(&mut PacketRef<'_>) -> Verdict,
    ) -> Forwarded {
        let (addr, rest) = Desc::union(run);
        let run = &run[..self.acceptable_in(run, addr, rest)];
        if rest >> 32 == 0 {
            self.forward_accepted(run, fill, tx, judge, |_| true)
        } else {
            self.forward_some(run, fill, tx, judge)
        }
    }

    /// A run of which some have options: the kernel refuses those that it does not know in this direction, and does not give the
    /// frame back; those that it knows mean something else.
    #[cold]
    #[inline(never)]
    fn forward_some(
        &mut self,
        run: &[Desc],
        fill: &mut [u64],
        tx: &mut [Desc],
        judge: impl FnMut(&mut PacketRef<'_>) -> Verdict,
    ) -> Forwarded {
        self.forward_accepted(run, fill, tx, judge, |desc| desc.options == 0)
    }

    #[inline(always)]
    fn forward_accepted(
        &mut self,
        run: &[Desc],
        fill: &mut [u64],
        tx: &mut [Desc],
        mut judge: impl FnMut(&mut PacketRef<'_>) -> Verdict,
        may_leave: impl Fn(&Desc) -> bool,
    ) -> Forwarded {
        let base = self.frames.memory().start();
        let (fill, mut tx) = (&mut fill[..run.len()], tx[..run.len()].iter_mut());
        let mut places = fill.iter_mut();
        for desc in run {
            let mut slot = Slot::new(base, desc);
            // SAFETY: as in `recycle_run`.
            let mut packet = unsafe { PacketRef::new(&self.frames, &mut slot, desc.options) };
            let verdict = judge(&mut packet);
            match verdict {
                // The kernel refuses empty descriptors and does not give their frames back.
                Verdict::Send if slot.len > 0 && may_leave(desc) => {
                    // SAFETY: each packet takes one place in one of the runs, which are both as long as there are packets.
                    *unsafe { tx.next().unwrap_unchecked() } = slot.desc(base, 0);
                }
                Verdict::Recycle | Verdict::Send => {
                    // SAFETY: as above.
                    *unsafe { places.next().unwrap_unchecked() } = desc.addr;
                }
            }
        }
        let recycled = run.len() - places.len();
        self.share(&fill[..recycled]);
        Forwarded {
            recycled,
            sent: run.len() - tx.len(),
        }
    }
}
