//! The producing end of a ring: reserve slots, fill them, submit.

use std::slice;
use std::sync::atomic::Ordering;

use super::{NEED_WAKEUP, RingArea, RingElement};

/// The end of a ring that writes: the fill and TX rings of a program, the RX and completion rings of the kernel.
///
/// One thread at a time (`&mut self`); `Send`.
#[derive(Debug)]
pub struct ProducerRing<T> {
    area: RingArea<T>,
    /// Our index: everything before it is published.
    producer: u32,
    /// The last index of the other side that made sense.
    consumer: u32,
    violations: u64,
}

impl<T: RingElement> ProducerRing<T> {
    /// The producing end over `area`, starting where its indices stand.
    pub(crate) fn new(area: RingArea<T>) -> Self {
        let producer = area.producer().load(Ordering::Relaxed);
        Self {
            // Until the other side has said how far it is, the ring counts as full.
            consumer: producer.wrapping_sub(area.size),
            area,
            producer,
            violations: 0,
        }
    }

    /// The number of slots.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.area.size
    }

    /// The number of slots free now; asks the other side only when fewer than `wanted` are known to be free.
    #[inline]
    pub fn free(&mut self, wanted: u32) -> u32 {
        let known = self.known_free();
        if known >= wanted {
            known
        } else {
            self.refresh()
        }
    }

    #[inline]
    fn known_free(&self) -> u32 {
        self.area.size - self.producer.wrapping_sub(self.consumer)
    }

    /// Loads the other side's index and returns the number of free slots.
    fn refresh(&mut self) -> u32 {
        let consumer = self.area.consumer().load(Ordering::Acquire);
        if self.producer.wrapping_sub(consumer) > self.area.size {
            self.violations += 1;
            return 0;
        }
        self.consumer = consumer;
        self.known_free()
    }

    /// Reserves up to `wanted` free slots; fewer, even none, when the ring is that full.
    ///
    /// Nothing is visible to the other side before [`Reservation::submit`].
    #[inline]
    pub fn reserve(&mut self, wanted: u32) -> Reservation<'_, T> {
        let len = self.free(wanted).min(wanted);
        Reservation { ring: self, len }
    }

    /// The number of entries that the other side has not consumed yet.
    #[must_use]
    pub fn occupied(&self) -> u32 {
        let consumer = self.area.consumer().load(Ordering::Acquire);
        self.producer.wrapping_sub(consumer).min(self.area.size)
    }

    /// Whether the consumer asks for a system call before it looks at the ring again.
    #[inline]
    #[must_use]
    pub fn needs_wakeup(&self) -> bool {
        self.area.flags().load(Ordering::Relaxed) & NEED_WAKEUP != 0
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

/// Slots that are ours to write until they are submitted; dropped without, they stay free.
#[derive(Debug)]
#[must_use = "reserved slots reach the other side by `submit`"]
pub struct Reservation<'a, T: RingElement> {
    ring: &'a mut ProducerRing<T>,
    len: u32,
}

impl<T: RingElement> Reservation<'_, T> {
    /// The number of reserved slots.
    #[inline]
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether no slot could be reserved.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slots from the `from`th on, up to the end of the reservation or of the array, whichever comes first.
    ///
    /// Empty when `from` is not below [`len`](Self::len). Two calls at most reach every slot.
    #[inline]
    pub fn run_mut(&mut self, from: u32) -> &mut [T] {
        let area = &self.ring.area;
        let from = from.min(self.len);
        let first = self.ring.producer.wrapping_add(from) & (area.size - 1);
        let count = (self.len - from).min(area.size - first);
        // SAFETY: `first + count` is at most `size`, so the slots exist (`RingArea::from_parts`); they lie between our index
        // and the consumer's plus `size`, so by the ring's protocol they are ours alone until `submit`.
        unsafe {
            slice::from_raw_parts_mut(area.slots.as_ptr().add(first as usize), count as usize)
        }
    }

    /// All reserved slots, up to the end of the array and behind it.
    #[inline]
    pub fn runs_mut(&mut self) -> (&mut [T], &mut [T]) {
        let area = &self.ring.area;
        let first = self.ring.producer & (area.size - 1);
        let count = self.len.min(area.size - first);
        // SAFETY: as in `run_mut`. The two do not overlap: no more slots are reserved than there are.
        unsafe {
            let slots = area.slots.as_ptr();
            (
                slice::from_raw_parts_mut(slots.add(first as usize), count as usize),
                slice::from_raw_parts_mut(slots, (self.len - count) as usize),
            )
        }
    }

    /// Writes the slot at `index`, if it is reserved; for those that come in no order.
    #[inline]
    pub(crate) fn put(&mut self, index: u32, entry: T) -> bool {
        match self.run_mut(index) {
            [slot, ..] => {
                *slot = entry;
                true
            }
            [] => false,
        }
    }

    /// Publishes the first `count` reserved slots, in order; more than [`len`](Self::len) means all.
    #[inline]
    pub fn submit(self, count: u32) {
        let count = count.min(self.len);
        self.ring.producer = self.ring.producer.wrapping_add(count);
        self.ring
            .area
            .producer()
            .store(self.ring.producer, Ordering::Release);
    }
}
