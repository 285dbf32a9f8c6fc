//! The consuming end of a ring: peek at entries, use them, release.

use std::slice;
use std::sync::atomic::Ordering;

use super::{NEED_WAKEUP, RingArea, RingElement};

/// The end of a ring that reads: the RX and completion rings of a program, the fill and TX rings of the kernel.
///
/// One thread at a time (`&mut self`); `Send`.
#[derive(Debug)]
pub struct ConsumerRing<T> {
    area: RingArea<T>,
    /// Our index: everything before it is given back.
    consumer: u32,
    /// The last index of the other side that made sense.
    producer: u32,
    violations: u64,
}

impl<T: RingElement> ConsumerRing<T> {
    /// The consuming end over `area`, starting where its indices stand.
    pub(crate) fn new(area: RingArea<T>) -> Self {
        let consumer = area.consumer().load(Ordering::Relaxed);
        Self {
            area,
            consumer,
            producer: consumer,
            violations: 0,
        }
    }

    /// The number of slots.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.area.size
    }

    /// The number of entries to read now; asks the other side only when fewer than `wanted` are known.
    #[inline]
    pub fn available(&mut self, wanted: u32) -> u32 {
        let known = self.producer.wrapping_sub(self.consumer);
        if known >= wanted {
            known
        } else {
            self.refresh()
        }
    }

    /// Loads the other side's index and returns the number of entries.
    fn refresh(&mut self) -> u32 {
        let producer = self.area.producer().load(Ordering::Acquire);
        let entries = producer.wrapping_sub(self.consumer);
        if entries > self.area.size {
            self.violations += 1;
            return 0;
        }
        self.producer = producer;
        entries
    }

    /// Up to `wanted` entries, still in the ring; fewer, even none, when there are no more.
    ///
    /// Their slots go back to the other side with [`Entries::release`].
    #[inline]
    pub fn peek(&mut self, wanted: u32) -> Entries<'_, T> {
        let len = self.available(wanted).min(wanted);
        Entries { ring: self, len }
    }

    /// The number of entries that wait to be consumed.
    #[must_use]
    pub fn occupied(&self) -> u32 {
        let producer = self.area.producer().load(Ordering::Acquire);
        producer.wrapping_sub(self.consumer).min(self.area.size)
    }

    /// Asks the producer for a system call before this side looks at the ring again. For the kernel's part of a ring.
    pub fn set_need_wakeup(&self, needed: bool) {
        let flags = if needed { NEED_WAKEUP } else { 0 };
        self.area.flags().store(flags, Ordering::Relaxed);
    }

    /// The producer and consumer index as they stand in memory.
    #[must_use]
    pub fn indices(&self) -> (u32, u32) {
        (
            self.area.producer().load(Ordering::Relaxed),
            self.area.consumer().load(Ordering::Relaxed),
        )
    }

    /// How often the other side's index claimed the impossible.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.violations
    }
}

/// Entries that wait in the ring; dropped without [`release`](Self::release), they stay there.
#[derive(Debug)]
#[must_use = "entries stay in the ring until `release`"]
pub struct Entries<'a, T: RingElement> {
    ring: &'a mut ConsumerRing<T>,
    len: u32,
}

impl<'a, T: RingElement> Entries<'a, T> {
    /// [`run(0)`](Self::run), which stays in the ring.
    #[inline]
    #[must_use]
    pub fn into_run(self) -> &'a [T] {
        let Self { ring, len } = self;
        let area = &ring.area;
        let first = ring.consumer & (area.size - 1);
        let count = len.min(area.size - first);
        // SAFETY: as in `run`; the ring stays borrowed, so nothing is released while the slice lives.
        unsafe { slice::from_raw_parts(area.slots.as_ptr().add(first as usize), count as usize) }
    }

    /// The number of entries.
    #[inline]
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entries from the `from`th on, up to the last one or the end of the array, whichever comes first.
    ///
    /// Empty when `from` is not below [`len`](Self::len). Two calls at most reach every entry.
    #[inline]
    #[must_use]
    pub fn run(&self, from: u32) -> &[T] {
        let area = &self.ring.area;
        let from = from.min(self.len);
        let first = self.ring.consumer.wrapping_add(from) & (area.size - 1);
        let count = (self.len - from).min(area.size - first);
        // SAFETY: `first + count` is at most `size`, so the slots exist (`RingArea::from_parts`); they lie between our index
        // and the producer's, so by the ring's protocol nobody writes them until `release`.
        unsafe { slice::from_raw_parts(area.slots.as_ptr().add(first as usize), count as usize) }
    }

    /// Gives the first `count` slots back to the producer; more than [`len`](Self::len) means all.
    #[inline]
    pub fn release(self, count: u32) {
        let count = count.min(self.len);
        self.ring.consumer = self.ring.consumer.wrapping_add(count);
        self.ring
            .area
            .consumer()
            .store(self.ring.consumer, Ordering::Release);
    }
}
