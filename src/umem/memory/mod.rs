//! Memory that packets live in: a start, a length, and whoever owns it.

#[cfg(target_os = "linux")]
#[cfg_attr(
    miri,
    allow(
        dead_code,
        reason = "Miri knows no such mappings: it is compiled alone"
    )
)]
pub(crate) mod linux;
#[cfg(not(all(target_os = "linux", not(miri))))]
mod unsupported;

use std::alloc::Layout;
use std::fmt;
use std::ptr::NonNull;

use crate::error::{ErrorKind, FluxError, Result, errno};

#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) use linux::Process;
#[cfg(not(all(target_os = "linux", not(miri))))]
pub(crate) use unsupported::Process;

impl Process {
    /// Whether this is the process.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) in a forked child.
    #[inline]
    pub(crate) fn check(&self, tried: &str) -> Result<()> {
        match self.is_current() {
            true => Ok(()),
            false => Err(self.forked(tried)),
        }
    }

    #[cold]
    fn forked(&self, tried: &str) -> FluxError {
        FluxError::invalid(
            tried,
            format_args!(
                "it belongs to process {}, and this is process {}, a forked child",
                self.id(),
                std::process::id()
            ),
            "open it in the child, after fork() or daemon()",
        )
    }
}

/// The smallest page, and the alignment of all packet memory.
pub const PAGE_SIZE: usize = 4096;

/// A zeroed, page-aligned piece of memory that is given back when dropped.
pub struct Memory {
    start: NonNull<u8>,
    len: usize,
    page_size: usize,
    _owner: Box<dyn Send + Sync>,
}

// SAFETY: `Memory` names a range that its owner, itself Send and Sync, keeps valid; it gives no access to the bytes.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Ordinary memory of `len` bytes, on every operating system.
    ///
    /// On Linux it is a mapping that is full of zeros in a forked child, and [no part of core dumps](Self::dump).
    ///
    /// # Errors
    ///
    /// [`Memory`](ErrorKind::Memory) when there is not enough, [`Invalid`](ErrorKind::Invalid) when `len` is zero or absurd.
    pub fn heap(len: usize) -> Result<Self> {
        let layout = Layout::from_size_align(len, PAGE_SIZE)
            .ok()
            .filter(|_| len > 0);
        let Some(layout) = layout else {
            return Err(FluxError::invalid(
                format_args!("packet memory of {len} bytes"),
                "it must be more than none and less than half the address space",
                "ask for fewer or smaller frames",
            ));
        };
        zeroed(layout).ok_or_else(|| {
            FluxError::new(
                ErrorKind::Memory,
                errno::ENOMEM,
                format_args!("packet memory of {len} bytes"),
                "the machine has not enough free memory",
                "ask for fewer frames",
            )
        })
    }

    /// Memory made of its parts.
    ///
    /// # Safety
    ///
    /// `len` bytes from `start` on, which is aligned to [`PAGE_SIZE`], must be valid for reads and writes, initialised, and used by
    /// nobody else (but the kernel) until `owner` is dropped. If a kernel is given the memory, dropping `owner` has to unmap it, and not give it
    /// to an allocator: a device may write to its pages for a while after the sockets are closed. A forked child must not get copies of
    /// the pages.
    pub unsafe fn from_parts(
        start: NonNull<u8>,
        len: usize,
        page_size: usize,
        owner: Box<dyn Send + Sync>,
    ) -> Self {
        Self {
            start,
            len,
            page_size,
            _owner: owner,
        }
    }

    /// Makes it part of core dumps, which it is not at first, since packets are nobody else's business. On Linux, where there is something to
    /// choose.
    pub fn dump(&self) {
        #[cfg(all(target_os = "linux", not(miri)))]
        // SAFETY: the range is mapped, by us or by who made it of its parts.
        unsafe {
            linux::dump(self.start, self.len);
        }
    }

    /// The first byte.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The length in bytes, never zero.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The size of the pages behind it, in bytes.
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.page_size
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("len", &self.len)
            .field("page_size", &self.page_size)
            .finish_non_exhaustive()
    }
}

/// A list of `count` equal values; `None` when there is not enough memory.
pub(crate) fn filled<T: Clone>(count: usize, value: T) -> Option<Box<[T]>> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).ok()?;
    values.resize(count, value);
    Some(values.into_boxed_slice())
}

/// Zeroed memory from the kernel.
#[cfg(all(target_os = "linux", not(miri)))]
fn zeroed(layout: Layout) -> Option<Memory> {
    let mapping = linux::Mapping::anonymous(layout.size(), linux::page_size(), 0).ok()?;
    let start = mapping.start();
    // SAFETY: the mapping is page-aligned, readable, writable, zeroed and at least as long, known to nobody else, and stays until it is
    // dropped as the owner.
    Some(unsafe { Memory::from_parts(start, layout.size(), PAGE_SIZE, Box::new(mapping)) })
}

/// Zeroed memory from the allocator.
#[cfg(not(all(target_os = "linux", not(miri))))]
fn zeroed(layout: Layout) -> Option<Memory> {
    // SAFETY: the layout is not empty, as the caller has checked.
    let start = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })?;
    let owner = Heap { start, layout };
    // SAFETY: the allocation above is valid, zeroed and aligned to a page until `owner` frees it. No kernel gets it on these systems.
    Some(unsafe { Memory::from_parts(start, layout.size(), PAGE_SIZE, Box::new(owner)) })
}

#[cfg(not(all(target_os = "linux", not(miri))))]
struct Heap {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns the allocation, which any thread may free.
#[cfg(not(all(target_os = "linux", not(miri))))]
unsafe impl Send for Heap {}
// SAFETY: a shared reference gives nothing.
#[cfg(not(all(target_os = "linux", not(miri))))]
unsafe impl Sync for Heap {}

#[cfg(not(all(target_os = "linux", not(miri))))]
impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with this layout, freed once.
        unsafe { std::alloc::dealloc(self.start.as_ptr(), self.layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heap_memory_is_page_aligned_and_knows_its_length() {
        let memory = Memory::heap(3 * PAGE_SIZE).unwrap();
        assert_eq!(memory.start().as_ptr() as usize % PAGE_SIZE, 0);
        assert_eq!(
            (memory.len(), memory.page_size()),
            (3 * PAGE_SIZE, PAGE_SIZE)
        );
    }

    #[test]
    fn no_memory_and_absurd_memory_are_errors() {
        for len in [0, usize::MAX] {
            assert_eq!(Memory::heap(len).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
