//! The consuming end of a ring: peek at entries, use them, release.

use std::fmt;
use std::iter::FusedIterator;
use std::mem;
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

    /// How often the other side's index was out of range.
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

impl<T: RingElement> Entries<'_, T> {
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

    /// A copy of the entry at `index`; `None` when that is not below [`len`](Self::len). Another call may find something else there, if the
    /// other side breaks the rules.
    #[inline]
    #[must_use]
    pub fn get(&self, index: u32) -> Option<T> {
        let at = self.ring.consumer.wrapping_add(index);
        (index < self.len).then(|| self.ring.area.slots().load(at))
    }

    /// Copies of the entries, in order, each made when it comes to it.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T> {
        let [run, rest] = self.ring.area.slots().runs(self.ring.consumer, self.len);
        Iter {
            run: Run(run.iter()),
            rest: Run(rest.iter()),
        }
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

impl<'a, T: RingElement> IntoIterator for &'a Entries<'_, T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    #[inline]
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// Copies of entries that stay in the ring. See [`Entries::iter`].
pub struct Iter<'a, T: RingElement> {
    run: Run<'a, T>,
    /// What follows from the start of the ring's slots.
    rest: Run<'a, T>,
}

impl<'a, T: RingElement> Iter<'a, T> {
    /// What is left, in two parts, within each of which a loop need not look for the end of the ring.
    #[inline(always)]
    pub(crate) fn runs(self) -> [Run<'a, T>; 2] {
        [self.run, self.rest]
    }
}

impl<T: RingElement> Iterator for Iter<'_, T> {
    type Item = T;

    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        self.run.next().or_else(|| {
            mem::swap(&mut self.run, &mut self.rest);
            self.run.next()
        })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.run.0.len() + self.rest.0.len();
        (len, Some(len))
    }
}

/// Copies of entries in slots that follow each other in memory.
pub(crate) struct Run<'a, T: RingElement>(slice::Iter<'a, T::Slot>);

impl<T: RingElement> Run<'_, T> {
    /// The number of entries.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Each entry with one of the others. Of slices that is a loop with one index for all.
    #[inline(always)]
    pub(crate) fn with<I: Iterator>(self, others: I) -> impl Iterator<Item = (T, I::Item)> {
        self.0
            .zip(others)
            .map(|(slot, other)| (T::load(slot), other))
    }
}

impl<T: RingElement> Clone for Run<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: RingElement> Iterator for Run<'_, T> {
    type Item = T;

    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        self.0.next().map(T::load)
    }
}

impl<T: RingElement> Clone for Iter<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        Self {
            run: self.run.clone(),
            rest: self.rest.clone(),
        }
    }
}

impl<T: RingElement> ExactSizeIterator for Iter<'_, T> {}
impl<T: RingElement> FusedIterator for Iter<'_, T> {}

impl<T: RingElement> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
