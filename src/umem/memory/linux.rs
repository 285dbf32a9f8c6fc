//! Memory mapped from the kernel, and what becomes of it in a forked child and in a core dump.
//!
//! A forked child must neither get copies of the pages that a network card knows, nor reach the rings of its parent. Nor may it crash on a
//! packet that it has inherited. So in a child, each mapping is there and full of zeros: the kernel sees to that for ordinary memory
//! (`MADV_WIPEONFORK`, Linux 4.14); hugepages and rings are left out of the child (`MADV_DONTFORK`), and a handler that the C library calls
//! in it (`pthread_atfork`) puts zeros in their place.
//!
//! No handler runs in a child of `_Fork()` or of a `clone()` of the program's own: there hugepages and rings are not mapped at all. [`Process`]
//! knows such a child, too, so sockets look at it before they look at a ring; packets in hugepages must not be touched there.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::process;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use crate::error::errno;

/// Readable and writable memory, unmapped when dropped.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
    /// Its place among what is missing in a child.
    missing: Option<&'static Missing>,
    /// The process that made it.
    process: Process,
}

// SAFETY: the mapping is only a range of addresses, and belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: as above; a shared reference gives no access to the bytes.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Zeroed memory of `bytes`, rounded up to pages of `page_size`; `flags` ask for such pages. It is not part of core dumps.
    pub(crate) fn anonymous(bytes: usize, page_size: usize, flags: i32) -> Result<Self, i32> {
        let len = bytes
            .checked_next_multiple_of(page_size)
            .ok_or(errno::ENOMEM)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
        let mut mapping = Self::new(len, flags, -1, 0)?;
        if !mapping.advise(libc::MADV_WIPEONFORK) {
            mapping.leave_out_of_children()?;
        }
        mapping.advise(libc::MADV_DONTDUMP);
        Ok(mapping)
    }

    /// The memory of a socket's ring. It keeps the socket open, as far as the kernel is concerned. The kernel
    /// itself leaves it out of core dumps, as all memory of its own that it maps, and refuses MADV_DODUMP.
    pub(crate) fn ring(socket: BorrowedFd<'_>, len: usize, offset: u64) -> Result<Self, i32> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        let mut mapping = Self::new(len, flags, socket.as_raw_fd(), offset)?;
        mapping.leave_out_of_children()?;
        Ok(mapping)
    }

    fn new(len: usize, flags: i32, fd: i32, offset: u64) -> Result<Self, i32> {
        Ok(Self {
            start: map(len, flags, fd, offset)?,
            len,
            missing: None,
            process: Process::current(),
        })
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn address(&self) -> *mut c_void {
        self.start.as_ptr().cast()
    }

    /// Whether the kernel took the advice.
    fn advise(&self, advice: i32) -> bool {
        // SAFETY: the range is this mapping, and none of the advices used here changes what this process sees in it.
        unsafe { libc::madvise(self.address(), self.len, advice) == 0 }
    }

    /// Without a place for it the mapping cannot be: a child would have nothing there.
    fn leave_out_of_children(&mut self) -> Result<(), i32> {
        // In this order: a child that is forked in between finds the range taken, and leaves it.
        self.missing = Some(Missing::add(self.start, self.len).ok_or(errno::ENOMEM)?);
        self.advise(libc::MADV_DONTFORK);
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // In a child the range may be missing, and by now something else may stand there.
        if !self.process.is_current() {
            return;
        }
        if let Some(missing) = self.missing {
            missing.start.store(ptr::null_mut(), Ordering::Release);
        }
        // SAFETY: mapped in `new` by this process with this length, and unmapped once; whoever was given the address keeps the mapping.
        unsafe { libc::munmap(self.address(), self.len) };
    }
}

/// Maps memory that nothing else is mapped at.
fn map(len: usize, flags: i32, fd: i32, offset: u64) -> Result<NonNull<u8>, i32> {
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
        return Err(io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(errno::EIO));
    }
    NonNull::new(start.cast()).ok_or(errno::ENOMEM)
}

/// Makes memory part of core dumps that was left out.
///
/// # Safety
///
/// The range is a mapping of this process, or within one.
pub(super) unsafe fn dump(start: NonNull<u8>, len: usize) {
    // SAFETY: it changes nothing but that.
    unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_DODUMP) };
}

/// The pages of this system, in bytes.
pub(crate) fn page_size() -> usize {
    // SAFETY: takes a number, returns a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(crate::umem::memory::PAGE_SIZE)
}

/// A range of addresses that is missing in a child until the handler puts zeros there.
struct Missing {
    /// Null: nobody's.
    start: AtomicPtr<u8>,
    len: AtomicUsize,
}

/// Rings of a thousand sockets.
const MOST_MISSING: usize = 4096;
static MISSING: [Missing; MOST_MISSING] = [const {
    Missing {
        start: AtomicPtr::new(ptr::null_mut()),
        len: AtomicUsize::new(0),
    }
}; MOST_MISSING];
/// No entry at or above this was ever used.
static USED: AtomicUsize = AtomicUsize::new(0);

impl Missing {
    /// Taken, but not known yet.
    const TAKEN: *mut u8 = ptr::without_provenance_mut(1);

    fn add(start: NonNull<u8>, len: usize) -> Option<&'static Self> {
        static HANDLER: OnceLock<bool> = OnceLock::new();
        // SAFETY: the handler does nothing that is forbidden in a child of a process with threads. Its code is there whenever the C library
        // calls it: the shared library is linked to stay (`nodelete`), and where this is part of another one that is unloaded, glibc takes
        // the handlers of that library out, while musl unloads nothing.
        let register = || unsafe { libc::pthread_atfork(None, None, Some(fill_what_is_missing)) };
        if !HANDLER.get_or_init(|| register() == 0) {
            return None;
        }
        let free = |entry: &&Self| {
            entry
                .start
                .compare_exchange(
                    ptr::null_mut(),
                    Self::TAKEN,
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                )
                .is_ok()
        };
        let (index, entry) = MISSING.iter().enumerate().find(|(_, entry)| free(entry))?;
        entry.len.store(len, Ordering::Relaxed);
        entry.start.store(start.as_ptr(), Ordering::Release);
        USED.fetch_max(index + 1, Ordering::AcqRel);
        Some(entry)
    }
}

/// In a new child: puts zeros where hugepages and rings are in the parent. Async-signal-safe.
unsafe extern "C" fn fill_what_is_missing() {
    for entry in &MISSING[..USED.load(Ordering::Acquire)] {
        let start = entry.start.load(Ordering::Acquire);
        if start.is_null() || start == Missing::TAKEN {
            continue;
        }
        let len = entry.len.load(Ordering::Relaxed);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a mapping that replaces none, where this process has none. Kernels before 4.17 may put it elsewhere, where it does no harm.
        unsafe { libc::mmap(start.cast(), len, access, flags, -1, 0) };
    }
}

/// Zero in a new process, however it was forked, and the [token](Process::token) of the process once somebody asked for it. `None` where
/// there is no memory for it, or no kernel that clears it in children.
fn word() -> Option<&'static AtomicU32> {
    static WORD: OnceLock<Option<&AtomicU32>> = OnceLock::new();
    *WORD.get_or_init(|| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let len = page_size();
        let page = map(len, flags, -1, 0).ok()?;
        // SAFETY: the range was mapped just now, and the advice changes nothing here.
        let wiped = unsafe { libc::madvise(page.as_ptr().cast(), len, libc::MADV_WIPEONFORK) };
        if wiped != 0 {
            // SAFETY: mapped just now with this length, and known to nobody.
            unsafe { libc::munmap(page.as_ptr().cast(), len) };
            return None;
        }
        // SAFETY: the page is aligned, zeroed, never unmapped, and used for nothing else.
        Some(unsafe { page.cast().as_ref() })
    })
}

/// A process, told from those that it was forked from and those that are forked from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    id: u32,
    /// Differs from that of each process that this one descends from, unlike the number: the first process of each PID namespace is 1, and
    /// the numbers of processes that have ended come again.
    token: u32,
    word: Option<&'static AtomicU32>,
}

impl Process {
    /// This one.
    pub(crate) fn current() -> Self {
        let word = word();
        Self {
            id: process::id(),
            token: word.map_or(0, token),
            word,
        }
    }

    /// Whether this is the process, and not a child that it forked since.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        match self.word {
            Some(word) => word.load(Ordering::Relaxed) == self.token,
            // A system call each time, and no proof, but all there is.
            None => process::id() == self.id,
        }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }
}

/// The token of this process, which `word` holds from now on.
fn token(word: &AtomicU32) -> u32 {
    /// The last one. A child has a copy, and goes on from there.
    static LAST: AtomicU32 = AtomicU32::new(0);
    match word.load(Ordering::Relaxed) {
        0 => {
            let next = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            let taken = word.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed);
            taken.map_or_else(|first| first, |_| next)
        }
        token => token,
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use std::fs;

    use super::*;

    /// Memory of a kind that a child cannot get zeros for from the kernel, as rings and hugepages.
    fn shared(pages: usize) -> Mapping {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let mut mapping = Mapping::new(pages * page_size(), flags, -1, 0).unwrap();
        mapping.leave_out_of_children().unwrap();
        mapping
    }

    fn bytes(mapping: &mut Mapping) -> &mut [u8] {
        // SAFETY: the mapping is initialised and nobody else's.
        unsafe { std::slice::from_raw_parts_mut(mapping.start().as_ptr(), mapping.len()) }
    }

    /// How a child ends that runs `body`: 0 if it is true.
    fn in_child(body: impl FnOnce() -> bool) -> i32 {
        // SAFETY: the child reads and writes memory and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(!body())) };
        }
        let mut status = -1;
        // SAFETY: the kernel writes one number.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        status
    }

    #[test]
    fn a_child_finds_zeros_that_are_its_own_in_every_kind_of_memory() {
        let ordinary = Mapping::anonymous(3, page_size(), 0).unwrap();
        for mut mapping in [ordinary, shared(2)] {
            bytes(&mut mapping).fill(7);
            let status = in_child(|| {
                let bytes = bytes(&mut mapping);
                let zeros = bytes.iter().all(|byte| *byte == 0);
                bytes.fill(9);
                zeros
            });
            assert_eq!(status, 0);
            assert!(bytes(&mut mapping).iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn a_child_is_another_process_and_can_be_one_of_its_own() {
        let parent = Process::current();
        assert!(parent.is_current() && parent.id() == std::process::id());
        let status = in_child(|| {
            let before = parent.is_current();
            let child = Process::current();
            !before && child.is_current() && !parent.is_current() && child.id() != parent.id()
        });
        assert_eq!(status, 0);
        assert!(parent.is_current());
    }

    #[test]
    fn a_child_with_its_parents_number_is_another_process() {
        let status = in_child(|| {
            // SAFETY: concerns the children of this thread alone.
            let new_namespace = || unsafe { libc::unshare(libc::CLONE_NEWPID) } == 0;
            if !new_namespace() {
                println!("skipped: no PID namespace can be made here");
                return true;
            }
            let first = in_child(|| {
                let parent = Process::current();
                let second = || {
                    let child = Process::current();
                    parent.id() == child.id() && child.is_current() && !parent.is_current()
                };
                parent.id() == 1 && new_namespace() && in_child(second) == 0 && parent.is_current()
            });
            first == 0
        });
        assert_eq!(status, 0);
    }

    #[test]
    fn a_child_is_another_process_also_where_no_page_tells() {
        let parent = Process {
            word: None,
            ..Process::current()
        };
        assert!(parent.is_current());
        assert_eq!(in_child(|| !parent.is_current()), 0);
    }

    #[test]
    fn a_child_that_no_handler_ran_in_is_another_process_and_leaves_mappings_alone() {
        let mut ring = shared(1);
        bytes(&mut ring).fill(7);
        let mut ring = Some(ring);
        // The first child has one thread, so that all locks are good in the second.
        let status = in_child(|| {
            let mut own = Some(shared(1));
            let parent = Process::current();
            // SAFETY: as `fork`, but for the handlers; the child looks at its own memory and ends.
            let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
            if child == 0 {
                let other = !parent.is_current();
                drop((own.take(), ring.take()));
                // SAFETY: ends the child.
                unsafe { libc::_exit(i32::from(!other)) };
            }
            let mut status = -1;
            // SAFETY: the kernel writes one number.
            unsafe { libc::waitpid(child as i32, &mut status, 0) };
            status == 0 && own.is_some_and(|mut own| bytes(&mut own).iter().all(|&byte| byte == 0))
        });
        assert_eq!(status, 0);
        assert!(bytes(&mut ring.unwrap()).iter().all(|byte| *byte == 7));
    }

    #[test]
    fn a_child_that_drops_a_mapping_unmaps_nothing_that_stands_in_its_place_by_now() {
        let status = in_child(|| {
            let mut ring = Some(shared(1));
            let (start, len) = (ring.as_ref().unwrap().start(), page_size());
            // SAFETY: as `fork`, but for the handlers: the range is missing in the child, which maps another page there and ends.
            let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
            if child == 0 {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
                let access = libc::PROT_READ | libc::PROT_WRITE;
                let place = start.as_ptr().cast();
                // SAFETY: with this flag nothing that exists is replaced.
                let own = unsafe { libc::mmap(place, len, access, flags, -1, 0) };
                if own != place {
                    // SAFETY: ends the child.
                    unsafe { libc::_exit(2) };
                }
                // SAFETY: mapped just now with this length.
                let own = unsafe { std::slice::from_raw_parts_mut(own.cast::<u8>(), len) };
                own.fill(5);
                drop(ring.take());
                let all = own.iter().all(|byte| *byte == 5);
                // SAFETY: ends the child.
                unsafe { libc::_exit(i32::from(!all)) };
            }
            let mut status = -1;
            // SAFETY: the kernel writes one number.
            unsafe { libc::waitpid(child as i32, &mut status, 0) };
            status == 0
        });
        assert_eq!(status, 0);
    }

    /// The kernel's flags of the mapping that an address lies in.
    fn flags(address: NonNull<u8>) -> String {
        let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
        let address = address.as_ptr() as usize;
        let here = |line: &&str| {
            let range = line
                .split(' ')
                .next()
                .and_then(|range| range.split_once('-'));
            let range =
                range.map(|(start, end)| [start, end].map(|n| usize::from_str_radix(n, 16)));
            matches!(range, Some([Ok(start), Ok(end)]) if (start..end).contains(&address))
        };
        let mut lines = smaps.lines().skip_while(|line| !here(line));
        let flags = lines.find(|line| line.starts_with("VmFlags:"));
        flags.unwrap().to_owned()
    }

    #[test]
    fn packets_are_no_part_of_core_dumps_unless_somebody_wants_them_there() {
        let mapping = Mapping::anonymous(5 * page_size(), page_size(), 0).unwrap();
        assert!(flags(mapping.start()).contains(" dd"));
        // SAFETY: the whole mapping.
        unsafe { dump(mapping.start(), mapping.len()) };
        assert!(!flags(mapping.start()).contains(" dd"));
    }
}
