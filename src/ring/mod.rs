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
//! | write slots, then publish | producer | plain writes, then `producer.store(Release)` |
//! | see slots, then read | consumer | `producer.load(Acquire)`, then plain reads |
//! | finish with slots, then give back | consumer | plain reads, then `consumer.store(Release)` |
//! | see free slots, then overwrite | producer | `consumer.load(Acquire)`, then plain writes |
//! | flags | consumer writes, producer reads | `Relaxed`: a hint; a waiter must not rely on it alone |
//!
//! Each side keeps a copy of the other's index and loads it anew only when the copy promises too little, so that the
//! cache line of an index moves between cores once a batch at most.
//!
//! # Trust
//!
//! The other side's index is never trusted: a value that claims more than `size` entries counts as a
//! [violation](ConsumerRing::violations) and the ring reads as empty (consumer) or full (producer) until the index makes sense again.
//! What stands in a slot is data, not truth; whoever reads it checks it. That a slot does not change while it is ours is the protocol
//! itself: safe code on the other side cannot break it, and a kernel that would can write anywhere anyway.
//!
//! The two types serve either side. [`pair`] makes both ends over ordinary memory:
//!
//! ```
//! let (mut kernel, mut user) = fluxcap::ring::pair::<u64>(8)?;
//! let mut slots = kernel.reserve(2);
//! slots.run_mut(0).copy_from_slice(&[4096, 8192]);
//! slots.submit(2);
//!
//! let entries = user.peek(64);
//! assert_eq!(entries.run(0), [4096, 8192]);
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
pub use consumer::{ConsumerRing, Entries};
pub use producer::{ProducerRing, Reservation};

/// The largest ring, in slots. The kernel allows more, but never usefully.
pub const MAX_RING_SIZE: u32 = 1 << 20;

/// The bit in a ring's flags that asks for a system call (`XDP_RING_NEED_WAKEUP`).
pub(crate) const NEED_WAKEUP: u32 = 1;

/// A descriptor of the RX and TX rings: where a packet lies in the UMEM.
///
/// Source: `struct xdp_desc` in the kernel's `include/uapi/linux/if_xdp.h`. The alignment is that of the slots in a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C, align(16))]
pub struct Desc {
    /// Offset of the packet's first byte from the start of the UMEM.
    pub addr: u64,
    /// Length in bytes.
    pub len: u32,
    /// `XDP_PKT_CONTD` and `XDP_TX_METADATA`, 0 for a plain packet.
    pub options: u32,
}

impl Desc {
    /// The address, and the length with the options above it.
    #[cfg(any(test, not(target_arch = "x86_64")))]
    pub(crate) fn words(self) -> [u64; 2] {
        [
            self.addr,
            u64::from(self.len) | u64::from(self.options) << 32,
        ]
    }

    /// The descriptor of these [`words`](Self::words).
    #[cfg(any(test, not(target_arch = "x86_64")))]
    pub(crate) fn of_words([addr, rest]: [u64; 2]) -> Self {
        Self {
            addr,
            len: rest as u32,
            options: (rest >> 32) as u32,
        }
    }

    /// The bits of all descriptors, united: addresses, and lengths with the options above them.
    #[inline]
    pub(crate) fn union(run: &[Self]) -> (u64, u64) {
        let (mut addr, mut rest) = (0, 0);
        let mut unite = |desc: &Self| {
            addr |= desc.addr;
            rest |= u64::from(desc.len) | u64::from(desc.options) << 32;
        };
        let (quads, last) = run.as_chunks::<4>();
        quads.iter().flatten().for_each(&mut unite);
        last.iter().for_each(&mut unite);
        (addr, rest)
    }
}

/// What a ring can hold: plain data for which every bit pattern is a value.
pub trait RingElement: sealed::Sealed + Copy + Default + Send + 'static {}

impl RingElement for u64 {}
impl RingElement for Desc {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u64 {}
    impl Sealed for super::Desc {}
}
