//! A packet borrowed while it stands in its RX ring slot, and what becomes of it.

use std::fmt;
use std::marker::PhantomData;
use std::slice;

use super::transfer::Lender;
use super::transfer::can_leave;
use crate::error::Result;
use crate::packet::batch_ref::PacketSlot;
use crate::packet::{SharedFrameState, too_long};
use crate::ring::{Desc, Writer};

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
/// raw.recv_each(64, |packet| kept = Some(packet.data()));
/// # }
/// ```
///
/// Nor can two be exchanged:
///
/// ```compile_fail,E0521
/// # fn example(one: &mut fluxcap::FluxRaw, other: &mut fluxcap::FluxRaw) {
/// one.recv_each(64, |first| {
///     let mut first = Some(first);
///     other.recv_each(64, |mut second| {
///         let mut first = first.take().unwrap();
///         std::mem::swap(&mut *first, &mut *second); // error: borrowed data escapes
///     });
/// });
/// # }
/// ```
pub struct PacketRef<'a> {
    pub(super) slot: &'a mut PacketSlot,
    options: u32,
    pub(super) state: &'a SharedFrameState,
    /// Makes it invariant in `'a`: no two packets in two closures have the same type, so that they cannot be swapped. What has a packet with
    /// its chunk may rely on that.
    _invariant: PhantomData<fn(&'a ()) -> &'a ()>,
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
        slot: &'a mut PacketSlot,
        options: u32,
    ) -> Self {
        Self {
            slot,
            options,
            state,
            _invariant: PhantomData,
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
        let start = self.state.memory().start();
        (self.slot.data.addr() - start.addr().get()) as u64
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

impl Lender {
    /// Writes the frames of accepted packets to `fill`, which has room for all.
    pub(crate) fn recycle_accepted(&self, accepted: &[Desc], fill: &mut Writer<'_, u64>) {
        let loans = self.loans();
        fill.write_all(accepted.iter().map(|desc| {
            loans.share_frame(desc.addr);
            desc.addr
        }));
    }

    /// Writes accepted packets to `tx`, or those that cannot leave to `fill`, which both have room for all.
    pub(crate) fn forward_accepted(
        &self,
        accepted: &[Desc],
        fill: &mut Writer<'_, u64>,
        tx: &mut Writer<'_, Desc>,
    ) {
        for desc in accepted {
            if can_leave(*desc) {
                tx.write(*desc);
            } else {
                self.recycle_accepted(slice::from_ref(desc), fill);
            }
        }
    }
}
