//! Memory that packets live in: a start, a length, and whoever owns it.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::fmt;
use std::ptr::NonNull;

use crate::error::{ErrorKind, FluxError, Result, errno};

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
        // SAFETY: the layout is not empty, checked above.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else {
            return Err(FluxError::new(
                ErrorKind::Memory,
                errno::ENOMEM,
                format_args!("packet memory of {len} bytes"),
                "the machine has not enough free memory",
                "ask for fewer frames",
            ));
        };
        let owner = Heap { start, layout };
        // SAFETY: the allocation above is valid, zeroed and aligned to a page until `owner` frees it.
        Ok(unsafe { Self::from_parts(start, len, PAGE_SIZE, Box::new(owner)) })
    }

    /// Memory made of its parts.
    ///
    /// # Safety
    ///
    /// `len` bytes from `start` on, which is aligned to [`PAGE_SIZE`], must be valid for reads and writes, initialised, and used by
    /// nobody else (but the kernel) until `owner` is dropped.
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

struct Heap {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it only owns the allocation and frees it; the bytes are plain.
unsafe impl Send for Heap {}
// SAFETY: it gives no access to the allocation.
unsafe impl Sync for Heap {}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: allocated in `Memory::heap` with this layout, freed once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
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
