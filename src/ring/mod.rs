//! The single-producer single-consumer rings that a packet program shares with the kernel.
//!
//! This is the only code that touches memory which somebody else writes. A ring is an array of slots, a power of two
//! long, with two free-running 32-bit indices: the producer owns the slots in `[producer, consumer + size)`, the
//! consumer owns those in `[consumer, producer)`, all modulo 2³².
//!
//! # Memory ordering
//!
//! The same as the kernel's (`net/xdp/xsk_queue.h`, "acquire/release" scheme since Linux 5.4):
//!
//! | step | who | operation |
//! |---|---|---|
//! | write slots, then publish | producer | `Relaxed` stores, then `producer.store(Release)` |
//! | see slots, then read | consumer | `producer.load(Acquire)`, then `Relaxed` loads |
//! | finish with slots, then give back | consumer | `Relaxed` loads, then `consumer.store(Release)` |
//! | see free slots, then overwrite | producer | `consumer.load(Acquire)`, then `Relaxed` stores |
//! | flags | consumer writes, producer reads | `Relaxed`: a hint; a waiter must not rely on it alone |
//!
//! Each side keeps a copy of the other's index and loads it anew only when the copy promises too little, so that the
//! cache line of an index moves between cores once a batch at most.
//!
//! # Trust
//!
//! The other side's index is never trusted: a value that claims more than `size` entries counts as a
//! [violation](ConsumerRing::violations) and the ring reads as empty (consumer) or full (producer) until the index makes sense again.
//! What stands in a slot is data, not truth: an entry is copied out of its slot once, word by word with atomic loads, which no compiler repeats
//! or splits, and whoever reads it checks the copy. No reference to a slot exists, and what was written to one is never read back. So
//! nothing depends on the other side leaving a slot alone that is ours.
//!
//! The two types serve either side. [`pair`] makes both ends over ordinary memory:
//!
//! ```
//! let (mut kernel, mut user) = fluxcap::ring::pair::<u64>(8)?;
//! let mut slots = kernel.reserve(2);
//! let mut places = slots.writer();
//! assert!(places.push(4096) && places.push(8192));
//! slots.submit(2);
//!
//! let entries = user.peek(64);
//! assert!(entries.iter().eq([4096, 8192]));
//! entries.release(2);
//! # Ok::<(), fluxcap::FluxError>(())
//! ```

mod area;
mod consumer;
mod producer;
#[cfg(test)]
mod tests;

pub(crate) use area::check_size;
pub use area::{RingArea, pair, pair_at};
pub(crate) use consumer::Run;
pub use consumer::{ConsumerRing, Entries, Iter};
pub use producer::{ProducerRing, Reservation, Writer};

use std::sync::atomic::{AtomicU64, Ordering};

/// The largest ring, in slots. The kernel allows more, but never usefully.
pub const MAX_RING_SIZE: u32 = 1 << 20;

/// The bit in a ring's flags that asks for a system call (`XDP_RING_NEED_WAKEUP`).
pub(crate) const NEED_WAKEUP: u32 = 1;

/// A descriptor of the RX and TX rings: where a packet lies in the UMEM.
///
/// Source: `struct xdp_desc` in the kernel's `include/uapi/linux/if_xdp.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Desc {
    /// Offset of the packet's first byte from the start of the UMEM.
    pub addr: u64,
    /// Length in bytes.
    pub len: u32,
    /// `XDP_PKT_CONTD` and `XDP_TX_METADATA`, 0 for a plain packet.
    pub options: u32,
}

/// What a ring can hold: plain data for which every bit pattern is a value.
pub trait RingElement: sealed::Sealed + Copy + Default + Send + 'static {}

impl RingElement for u64 {}
impl RingElement for Desc {}

mod sealed {
    /// What lies in slots as one or several words, each of which is read and written at once.
    pub trait Sealed: Copy {
        /// The words of a slot in memory.
        type Slot;

        /// A copy of what stands in the slot.
        fn load(slot: &Self::Slot) -> Self;

        /// Writes the slot.
        fn store(self, slot: &Self::Slot);
    }
}

impl sealed::Sealed for u64 {
    type Slot = AtomicU64;

    #[inline(always)]
    fn load(slot: &AtomicU64) -> Self {
        slot.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn store(self, slot: &AtomicU64) {
        slot.store(self, Ordering::Relaxed);
    }
}

/// `len` and `options` share a word.
impl sealed::Sealed for Desc {
    type Slot = [AtomicU64; 2];

    #[inline(always)]
    fn load([addr, rest]: &[AtomicU64; 2]) -> Self {
        let addr = addr.load(Ordering::Relaxed);
        let rest = rest.load(Ordering::Relaxed);
        let (low, high) = (rest as u32, (rest >> 32) as u32);
        // The first in memory is the lower half, or the upper one.
        let (len, options) = match cfg!(target_endian = "little") {
            true => (low, high),
            false => (high, low),
        };
        Self { addr, len, options }
    }

    #[inline(always)]
    fn store(self, [addr, rest]: &[AtomicU64; 2]) {
        let (low, high) = match cfg!(target_endian = "little") {
            true => (self.len, self.options),
            false => (self.options, self.len),
        };
        addr.store(self.addr, Ordering::Relaxed);
        rest.store(u64::from(low) | u64::from(high) << 32, Ordering::Relaxed);
    }
}

const _: () = assert!(size_of::<Desc>() == size_of::<[AtomicU64; 2]>());
