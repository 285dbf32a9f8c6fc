//! The producing end of a ring: reserve slots, fill them, submit.

use std::fmt;
use std::sync::atomic::Ordering;

use super::area::Slots;
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

    /// How often the other side's index was out of range.
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

    /// Writes the slot at `index`; false when that is not below [`len`](Self::len).
    #[inline]
    pub fn put(&mut self, index: u32, entry: T) -> bool {
        let reserved = index < self.len;
        if reserved {
            let at = self.ring.producer.wrapping_add(index);
            self.ring.area.slots().store(at, entry);
        }
        reserved
    }

    /// Writes the slots, in order from the first one on.
    #[inline]
    pub fn writer(&mut self) -> Writer<'_, T> {
        Writer {
            slots: self.ring.area.slots(),
            first: self.ring.producer,
            next: self.ring.producer,
            end: self.ring.producer.wrapping_add(self.len),
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

/// Reserved slots that are written one after the other. What was written is published by [`Reservation::submit`].
pub struct Writer<'a, T: RingElement> {
    slots: Slots<'a, T>,
    /// Free-running, as the ring's own index.
    first: u32,
    next: u32,
    end: u32,
}

impl<T: RingElement> Writer<'_, T> {
    /// Writes the next slot; false when there is none.
    #[inline(always)]
    #[must_use = "false: nothing was written"]
    pub fn push(&mut self, entry: T) -> bool {
        let has_room = self.has_room();
        if has_room {
            self.write(entry);
        }
        has_room
    }

    /// [`push`](Self::push), where the caller knows of room: it has cut what it writes to the reserved slots, or counted them.
    ///
    /// Without room it would stay within the ring, but overwrite an entry that the other side has not taken.
    #[inline(always)]
    pub(crate) fn write(&mut self, entry: T) {
        debug_assert!(self.has_room(), "there is room for each entry");
        self.slots.store(self.next, entry);
        self.next = self.next.wrapping_add(1);
    }

    /// A writer of the same slots, to take the place of this one later: as a variable of its own it stays in registers.
    #[inline(always)]
    pub(crate) fn copy(&self) -> Self {
        Self { ..*self }
    }

    /// [`write`](Self::write), for each of them.
    #[inline(always)]
    pub(crate) fn write_all(&mut self, entries: impl Iterator<Item = T>) {
        let mut writer = self.copy();
        entries.for_each(|entry| writer.write(entry));
        self.next = writer.next;
    }

    /// The number of slots written.
    #[inline]
    #[must_use]
    pub fn written(&self) -> u32 {
        self.next.wrapping_sub(self.first)
    }

    /// Whether there is a slot left.
    #[inline(always)]
    pub(crate) fn has_room(&self) -> bool {
        self.next != self.end
    }

    /// The number of slots left.
    #[inline]
    #[must_use]
    pub fn room(&self) -> u32 {
        self.end.wrapping_sub(self.next)
    }
}

impl<T: RingElement> fmt::Debug for Writer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("written", &self.written())
            .field("room", &self.room())
            .finish_non_exhaustive()
    }
}
