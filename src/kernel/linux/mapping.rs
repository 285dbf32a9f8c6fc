//! Memory mapped from the kernel.

use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

use super::errors::last;
use crate::error::errno;

/// Readable and writable memory, unmapped when dropped.
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is only a range of addresses, and belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: as above; a shared reference gives no access to the bytes.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Zeroed memory of `bytes`, rounded up to pages of `page_size`; `flags` ask for such pages.
    pub(super) fn anonymous(bytes: usize, page_size: usize, flags: i32) -> Result<Self, i32> {
        let len = bytes
            .checked_next_multiple_of(page_size)
            .ok_or(errno::ENOMEM)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
        let mapping = Self::new(len, flags, -1, 0)?;
        // A forked child would get a copy of every pinned page, which the network card knows nothing of.
        // SAFETY: the range is this mapping.
        unsafe { libc::madvise(mapping.address(), len, libc::MADV_DONTFORK) };
        Ok(mapping)
    }

    /// The memory of a socket's ring. It keeps the socket open, as far as the kernel is concerned.
    pub(super) fn ring(socket: BorrowedFd<'_>, len: usize, offset: u64) -> Result<Self, i32> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        Self::new(len, flags, socket.as_raw_fd(), offset)
    }

    fn new(len: usize, flags: i32, fd: i32, offset: u64) -> Result<Self, i32> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists. The ring offsets need 64 bits
        // on 32-bit machines too.
        let start = unsafe {
            libc::mmap64(
                ptr::null_mut(),
                len,
                access,
                flags,
                fd,
                offset as libc::off64_t,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(last());
        }
        let start = NonNull::new(start.cast()).ok_or(errno::ENOMEM)?;
        Ok(Self { start, len })
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn address(&self) -> *mut c_void {
        self.start.as_ptr().cast()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length and unmapped once; whoever was given the address keeps the mapping.
        unsafe { libc::munmap(self.address(), self.len) };
    }
}
