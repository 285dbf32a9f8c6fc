//! The memory of one ring: two indices, a flags word and the slots.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{ConsumerRing, MAX_RING_SIZE, ProducerRing, RingElement};
use crate::error::{FluxError, Result};

/// Where the parts of a ring lie, and what keeps that memory alive.
#[derive(Clone)]
pub struct RingArea<T> {
    pub(super) producer: NonNull<AtomicU32>,
    pub(super) consumer: NonNull<AtomicU32>,
    pub(super) flags: NonNull<AtomicU32>,
    pub(super) slots: NonNull<T>,
    pub(super) size: u32,
    _memory: Arc<dyn Send + Sync>,
}

// SAFETY: the area is a set of addresses of memory that `_memory`, itself Send and Sync, keeps alive; the indices and the words of the
// slots are atomics.
unsafe impl<T: RingElement> Send for RingArea<T> {}
// SAFETY: as above; a shared reference gives access to the atomics alone.
unsafe impl<T: RingElement> Sync for RingArea<T> {}

impl<T: RingElement> RingArea<T> {
    /// An area made of its parts.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when `size` is zero, not a power of two or above [`MAX_RING_SIZE`].
    ///
    /// # Safety
    ///
    /// The three words and `size` slots, aligned to eight bytes, must be initialised and valid for reads and writes for as long as `memory`
    /// lives, and whoever else in this program uses them meanwhile does it atomically. At most one [`ProducerRing`] and one
    /// [`ConsumerRing`] may ever be made over them (one of them may be the kernel's). What stands in them may be anything, and change at
    /// any time.
    pub unsafe fn from_parts(
        producer: NonNull<u32>,
        consumer: NonNull<u32>,
        flags: NonNull<u32>,
        slots: NonNull<T>,
        size: u32,
        memory: Arc<dyn Send + Sync>,
    ) -> Result<Self> {
        check_size("ring", size)?;
        Ok(Self {
            producer: producer.cast(),
            consumer: consumer.cast(),
            flags: flags.cast(),
            slots,
            size,
            _memory: memory,
        })
    }

    pub(super) fn producer(&self) -> &AtomicU32 {
        // SAFETY: `from_parts` promised a valid, aligned word for as long as `_memory` lives, which is at least as
        // long as `self`; it is only ever accessed atomically.
        unsafe { self.producer.as_ref() }
    }

    pub(super) fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as for `producer`.
        unsafe { self.consumer.as_ref() }
    }

    pub(super) fn flags(&self) -> &AtomicU32 {
        // SAFETY: as for `producer`.
        unsafe { self.flags.as_ref() }
    }

    /// The slots, to reach them from a free-running index.
    #[inline]
    pub(super) fn slots(&self) -> Slots<'_, T> {
        Slots {
            first: self.slots.cast(),
            mask: self.size - 1,
            _area: PhantomData,
        }
    }
}

/// The slots of a ring, whose number is a power of two.
pub(super) struct Slots<'a, T: RingElement> {
    first: NonNull<T::Slot>,
    /// Their number less one.
    mask: u32,
    _area: PhantomData<&'a RingArea<T>>,
}

impl<T: RingElement> Clone for Slots<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: RingElement> Copy for Slots<'_, T> {}

impl<'a, T: RingElement> Slots<'a, T> {
    #[inline(always)]
    fn at(&self, index: u32) -> &T::Slot {
        // SAFETY: masked, so the slot exists; it is valid for as long as the area lives, and is made of atomics alone (`from_parts`).
        unsafe { self.first.add((index & self.mask) as usize).as_ref() }
    }

    /// A copy of what stands in the slot at `index`.
    #[inline(always)]
    pub(super) fn load(&self, index: u32) -> T {
        T::load(self.at(index))
    }

    /// Writes the slot at `index`.
    #[inline(always)]
    pub(super) fn store(&self, index: u32, entry: T) {
        entry.store(self.at(index));
    }

    /// `len` slots, at most all, from `index` on: those up to the end of the array, and the others from its start.
    #[inline]
    pub(super) fn runs(&self, index: u32, len: u32) -> [&'a [T::Slot]; 2] {
        let start = index & self.mask;
        let len = len.min(self.mask + 1);
        let straight = len.min(self.mask + 1 - start);
        // SAFETY: both runs lie within the slots, which are valid for as long as the area lives, and made of atomics alone (`from_parts`).
        unsafe {
            let from_start = self.first.add(start as usize).as_ptr();
            [
                slice::from_raw_parts(from_start, straight as usize),
                slice::from_raw_parts(self.first.as_ptr(), (len - straight) as usize),
            ]
        }
    }
}

impl<T> fmt::Debug for RingArea<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingArea")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Checks a ring size, in slots, before any memory or system call is spent on it.
///
/// # Errors
///
/// [`Invalid`](crate::ErrorKind::Invalid), naming `what`, when it is zero, not a power of two or above [`MAX_RING_SIZE`].
pub(crate) fn check_size(what: &str, size: u32) -> Result<()> {
    if size == 0 || !size.is_power_of_two() {
        let near = size.clamp(2, MAX_RING_SIZE).next_power_of_two();
        return Err(FluxError::invalid(
            format_args!("{what} size {size}"),
            "a ring holds a power of two of slots",
            format_args!("use for example {near}"),
        ));
    }
    if size > MAX_RING_SIZE {
        return Err(FluxError::invalid(
            format_args!("{what} size {size}"),
            format_args!("a ring holds at most {MAX_RING_SIZE} slots"),
            "use 2048, or as many as the interface's own ring (ethtool -g)",
        ));
    }
    Ok(())
}

/// Both ends of a new ring of `size` slots in ordinary memory, indices at zero.
///
/// # Errors
///
/// [`Invalid`](crate::ErrorKind::Invalid) when `size` is zero, not a power of two or above [`MAX_RING_SIZE`], and
/// [`Memory`](crate::ErrorKind::Memory) when there is not enough.
pub fn pair<T: RingElement>(size: u32) -> Result<(ProducerRing<T>, ConsumerRing<T>)> {
    pair_at(size, 0)
}

/// [`pair`] with both indices starting at `index`, to see a ring pass the wrap of its 32-bit indices early.
///
/// # Errors
///
/// As [`pair`].
pub fn pair_at<T: RingElement>(
    size: u32,
    index: u32,
) -> Result<(ProducerRing<T>, ConsumerRing<T>)> {
    check_size("ring", size)?;
    let area = heap_area(size)?;
    area.producer().store(index, Ordering::Relaxed);
    area.consumer().store(index, Ordering::Relaxed);
    Ok((ProducerRing::new(area.clone()), ConsumerRing::new(area)))
}

/// A cache line each for the two indices and the flags, as in the kernel, so that the sides do not disturb each other.
const LINE: usize = 64;

fn heap_area<T: RingElement>(size: u32) -> Result<RingArea<T>> {
    let layout = Layout::array::<T>(size as usize)
        .and_then(|slots| Layout::from_size_align(3 * LINE + slots.size(), LINE))
        .expect("MAX_RING_SIZE slots fit an address space");
    let heap = Heap::<T>::new(layout).ok_or_else(|| {
        FluxError::no_memory(
            format_args!("a ring of {size} slots"),
            "ask for fewer slots, or for fewer frames where a ring has room for all",
        )
    })?;
    let start = heap.start;
    // SAFETY: the offsets lie within the allocation, which holds three lines and then the slots.
    let (consumer, flags, slots) =
        unsafe { (start.add(LINE), start.add(2 * LINE), start.add(3 * LINE)) };
    // SAFETY: words and slots lie in the allocation that `heap` owns, at multiples of 64 bytes (no element is aligned more),
    // zeroed, which is a value of every element; `pair_at` makes one end of each kind.
    unsafe {
        RingArea::from_parts(
            start.cast(),
            consumer.cast(),
            flags.cast(),
            slots.cast(),
            size,
            Arc::new(heap),
        )
    }
}

struct Heap<T> {
    start: NonNull<u8>,
    layout: Layout,
    _slots: PhantomData<T>,
}

// SAFETY: `Heap` only owns the allocation and frees it; `T` is plain data.
unsafe impl<T: RingElement> Send for Heap<T> {}
// SAFETY: `Heap` gives no access to the allocation.
unsafe impl<T: RingElement> Sync for Heap<T> {}

impl<T> Heap<T> {
    /// `None`: there is not enough memory.
    fn new(layout: Layout) -> Option<Self> {
        // SAFETY: the layout is never empty, it holds the three lines at least.
        let start = unsafe { alloc_zeroed(layout) };
        Some(Self {
            start: NonNull::new(start)?,
            layout,
            _slots: PhantomData,
        })
    }
}

impl<T> Drop for Heap<T> {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, freed once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
