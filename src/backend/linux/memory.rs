//! Packet memory from the kernel: ordinary pages or hugepages, on a NUMA node.

use std::fs;

use crate::backend::linux::errors::{
    AFTER_CLOSE, ALLOW_MMAP, Deadline, FORBIDS_MMAP, check, error_text, last, retry, sandboxed_mmap,
};
use crate::backend::{Allocation, MemoryRequest};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::report::{Answer, HugepageSize, Hugepages};
use crate::umem::memory::Memory;
use crate::umem::memory::linux::{Mapping, page_size};

/// Anonymous memory as requested, rounded up to whole pages.
pub(super) fn allocate(request: &MemoryRequest) -> Result<Allocation> {
    let MemoryRequest {
        bytes,
        hugepages,
        numa_node,
    } = *request;
    if let Some(node) = numa_node {
        check_node(node)?;
    }
    let huge = |size| huge_pages(bytes, size, numa_node);
    let (pages, page_size) = match hugepages {
        Hugepages::Never => {
            let pages = ordinary_pages(bytes, numa_node)?;
            let page_size = pages.page_size;
            (pages, Answer::granted(hugepages, page_size))
        }
        Hugepages::Require(size) => {
            let pages = huge(size).map_err(|refused| refused.into_error(bytes, size))?;
            (pages, Answer::granted(hugepages, size.bytes()))
        }
        Hugepages::Prefer(size) => match huge(size) {
            Ok(pages) => (pages, Answer::granted(hugepages, size.bytes())),
            Err(refused) => {
                let pages = ordinary_pages(bytes, numa_node)?;
                let page_size = pages.page_size;
                let answer = Answer::refused(hugepages, page_size, refused.happened);
                (pages, answer)
            }
        },
    };
    let numa_node = match pages.node {
        Ok(achieved) => Answer::granted(numa_node, achieved),
        Err(error) => Answer::refused(numa_node, None, unbound(error)),
    };
    Ok(Allocation {
        memory: pages.into_memory(),
        page_size,
        numa_node,
    })
}

/// Mapped memory, bound to a node where that worked.
struct Pages {
    mapping: Mapping,
    page_size: usize,
    /// The node that the memory is bound to, if any, or why it is not.
    node: Result<Option<u32>, i32>,
}

impl Pages {
    fn into_memory(self) -> Memory {
        let (start, len) = (self.mapping.start(), self.mapping.len());
        // SAFETY: the mapping is page-aligned, readable, writable and zeroed, known to nobody else, and stays until it is dropped
        // as the owner.
        unsafe { Memory::from_parts(start, len, self.page_size, Box::new(self.mapping)) }
    }
}

fn ordinary_pages(bytes: usize, node: Option<u32>) -> Result<Pages> {
    let page_size = page_size();
    let mapping = Mapping::anonymous(bytes, page_size, 0).map_err(|error| {
        let tried = format!("packet memory of {bytes} bytes");
        match error {
            errno::EINVAL => {
                FluxError::invalid(tried, "it must be more than none", "ask for more frames")
            }
            errno::EPERM | errno::EACCES => sandboxed_mmap(tried, error),
            _ => FluxError::new(
                ErrorKind::Memory,
                error,
                tried,
                format_args!(
                    "{}: not enough free memory or address space",
                    error_text(error)
                ),
                "ask for fewer frames",
            ),
        }
    })?;
    let node = mapping.bind_to(node);
    Ok(Pages {
        mapping,
        page_size,
        node,
    })
}

fn huge_pages(bytes: usize, size: HugepageSize, node: Option<u32>) -> Result<Pages, NoHugepages> {
    let page_size = size.bytes();
    let flags = match size {
        HugepageSize::Size2M => libc::MAP_HUGETLB | libc::MAP_HUGE_2MB,
        HugepageSize::Size1G => libc::MAP_HUGETLB | libc::MAP_HUGE_1GB,
    };
    let attempt = || {
        let mapping = Mapping::anonymous(bytes, page_size, flags)?;
        let node = mapping.bind_to(node);
        // The reservation does not know of nodes and groups: where these have no page left, the first touch would end
        // the program by SIGBUS.
        mapping.populate()?;
        Ok(Pages {
            mapping,
            page_size,
            node,
        })
    };
    // Hugepages of a socket that was just closed may still be taken; where there are too few in all, waiting is no use.
    let enough = HugepageFiles::of(size, node)
        .count("nr_hugepages")
        .is_some_and(|count| count >= bytes.div_ceil(page_size));
    retry(Deadline::after(AFTER_CLOSE), |_| enough, attempt)
        .map_err(|error| no_hugepages(error, bytes, size, node))
}

/// A node that does not exist is a mistake, unlike a node that memory cannot be bound to.
fn check_node(node: u32) -> Result<()> {
    let nodes = "/sys/devices/system/node";
    let exists = match fs::exists(nodes) {
        Ok(true) => fs::exists(format!("{nodes}/node{node}")).unwrap_or(true),
        // A kernel without NUMA.
        _ => node == 0,
    };
    if exists && node < MAX_NODES {
        return Ok(());
    }
    let online = fs::read_to_string(format!("{nodes}/online")).unwrap_or_else(|_| "0".to_owned());
    Err(FluxError::invalid(
        format_args!("packet memory on NUMA node {node}"),
        format_args!("this machine has no such node, but {}", online.trim()),
        "use the node of the interface (/sys/class/net/…/device/numa_node), or none",
    ))
}

fn unbound(error: i32) -> String {
    let cause = match error {
        libc::ENOSYS => "the kernel has no NUMA",
        errno::EPERM => "a sandbox forbids mbind",
        errno::EINVAL => "the node has no memory, or this program may not use it (cpuset)",
        _ => "the kernel refused",
    };
    format!("{cause} ({})", error_text(error))
}

/// The most nodes that Linux can be built for.
const MAX_NODES: u32 = 1024;
const MPOL_BIND: libc::c_long = 2;

impl Mapping {
    /// Binds the memory, none of which was touched yet, to a node.
    fn bind_to(&self, node: Option<u32>) -> Result<Option<u32>, i32> {
        let Some(node) = node else { return Ok(None) };
        const BITS: u32 = libc::c_ulong::BITS;
        let mut mask = [0 as libc::c_ulong; (MAX_NODES / BITS) as usize];
        mask[(node / BITS) as usize] = 1 << (node % BITS);
        // SAFETY: the kernel reads `MAX_NODES` bits from `mask`; the range is this mapping. Its count of bits is one too high
        // by tradition.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mbind,
                self.address(),
                self.len(),
                MPOL_BIND,
                mask.as_ptr(),
                libc::c_ulong::from(MAX_NODES) + 1,
                0_u32,
            )
        };
        if result == 0 {
            Ok(Some(node))
        } else {
            Err(last())
        }
    }

    /// Puts real pages behind all of it, if the kernel knows how to (Linux 5.14).
    fn populate(&self) -> Result<(), i32> {
        // SAFETY: the range is this mapping; its contents stay as they are.
        let result =
            unsafe { libc::madvise(self.address(), self.len(), libc::MADV_POPULATE_WRITE) };
        match check(result) {
            Ok(_) | Err(errno::EINVAL) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Why there are no hugepages, and what would help.
pub(super) struct NoHugepages {
    kind: ErrorKind,
    error: i32,
    pub(super) happened: String,
    fix: String,
}

impl NoHugepages {
    pub(super) fn into_error(self, bytes: usize, size: HugepageSize) -> FluxError {
        FluxError::new(
            self.kind,
            self.error,
            format_args!(
                "packet memory of {bytes} bytes in hugepages of {}",
                name(size)
            ),
            self.happened,
            self.fix,
        )
    }
}

/// What sysfs says of hugepages of one size, in the machine or on a node.
pub(super) struct HugepageFiles {
    directory: String,
    place: String,
}

impl HugepageFiles {
    pub(super) fn of(size: HugepageSize, node: Option<u32>) -> Self {
        let kilobytes = size.bytes() / 1024;
        let machine = Self {
            directory: format!("/sys/kernel/mm/hugepages/hugepages-{kilobytes}kB"),
            place: "the machine".to_owned(),
        };
        let Some(node) = node else { return machine };
        let on_node = Self {
            directory: format!(
                "/sys/devices/system/node/node{node}/hugepages/hugepages-{kilobytes}kB"
            ),
            place: format!("NUMA node {node}"),
        };
        match on_node.count("nr_hugepages") {
            Some(_) => on_node,
            None => machine,
        }
    }

    pub(super) fn count(&self, file: &str) -> Option<usize> {
        let text = fs::read_to_string(format!("{}/{file}", self.directory)).ok()?;
        text.trim().parse().ok()
    }
}

/// Finds out why there were none.
pub(super) fn no_hugepages(
    error: i32,
    bytes: usize,
    size: HugepageSize,
    node: Option<u32>,
) -> NoHugepages {
    if matches!(error, errno::EPERM | errno::EACCES) {
        return NoHugepages {
            kind: ErrorKind::Permission,
            error,
            happened: format!("{}: {FORBIDS_MMAP}", error_text(error)),
            fix: ALLOW_MMAP.to_owned(),
        };
    }
    let kind = ErrorKind::Memory;
    let needed = bytes.div_ceil(size.bytes());
    let files = HugepageFiles::of(size, node);
    let HugepageFiles { directory, place } = &files;
    match files.count("free_hugepages") {
        Some(free) if free < needed => NoHugepages {
            kind,
            error,
            happened: format!(
                "{needed} free hugepages of {} are needed, {place} has {free}",
                name(size)
            ),
            fix: format!(
                "`echo {needed} > {directory}/nr_hugepages` as root, more if others use some"
            ),
        },
        Some(free) => NoHugepages {
            kind,
            error,
            happened: format!(
                "{}: {needed} hugepages of {} are needed, {place} has {free} free, but they are reserved or a limit (cgroup) forbids them",
                error_text(error),
                name(size)
            ),
            fix: "reserve more hugepages or raise the limit".to_owned(),
        },
        None => NoHugepages {
            kind,
            error,
            happened: format!(
                "this kernel or processor has no hugepages of {}, or /sys is not mounted",
                name(size)
            ),
            fix: "use another size of hugepage, or none".to_owned(),
        },
    }
}

fn name(size: HugepageSize) -> &'static str {
    match size {
        HugepageSize::Size2M => "2 MiB",
        HugepageSize::Size1G => "1 GiB",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::linux::tests::free_hugepages;

    fn request(bytes: usize, hugepages: Hugepages) -> MemoryRequest {
        MemoryRequest {
            bytes,
            hugepages,
            numa_node: None,
        }
    }

    fn write_everywhere(memory: &Memory) {
        for offset in (0..memory.len()).step_by(4096) {
            // SAFETY: within the memory, which nobody else uses.
            unsafe { memory.start().add(offset).write(1) };
        }
    }

    #[test]
    fn ordinary_memory_is_rounded_up_to_pages() {
        let allocation = allocate(&request(4097, Hugepages::Never)).unwrap();
        let memory = allocation.memory;
        let page_size = page_size();
        assert_eq!(memory.len(), 4097_usize.next_multiple_of(page_size));
        assert_eq!(memory.start().as_ptr() as usize % page_size, 0);
        assert_eq!(allocation.page_size.achieved, page_size);
        write_everywhere(&memory);
    }

    #[test]
    fn four_gibibytes_of_address_space_are_nothing_special() {
        let allocation = allocate(&request(4 << 30, Hugepages::Never)).unwrap();
        assert_eq!(allocation.memory.len(), 4 << 30);
    }

    #[test]
    fn no_memory_and_absurd_memory_are_errors() {
        let kind = |bytes| {
            allocate(&request(bytes, Hugepages::Never))
                .unwrap_err()
                .kind()
        };
        assert_eq!(kind(0), ErrorKind::Invalid);
        assert_eq!(kind(usize::MAX), ErrorKind::Memory);
        assert_eq!(kind(1 << 60), ErrorKind::Memory);
    }

    /// More than any machine has.
    const HUGE: usize = 1 << 45;

    #[test]
    fn required_hugepages_that_are_missing_are_an_error_with_both_numbers_and_the_fix() {
        let error = allocate(&request(HUGE, Hugepages::Require(HugepageSize::Size2M))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Memory);
        let text = error.to_string();
        for part in [
            "16777216 free hugepages of 2 MiB are needed",
            "the machine has",
            "nr_hugepages",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn preferred_hugepages_that_are_missing_are_answered_with_the_reason() {
        let wish = Hugepages::Prefer(HugepageSize::Size1G);
        if free_hugepages(HugepageSize::Size1G) > 0 {
            println!("skipped: somebody reserved 1 GiB pages");
            return;
        }
        let answer = allocate(&request(8192, wish)).unwrap().page_size;
        assert_eq!((answer.requested, answer.achieved), (wish, page_size()));
        let reason = answer.reason.unwrap();
        assert!(reason.contains("1 GiB"), "{reason}");
    }

    #[test]
    fn a_numa_node_that_exists_is_granted_and_another_one_refused() {
        let on = |node| MemoryRequest {
            numa_node: Some(node),
            ..request(1 << 20, Hugepages::Never)
        };
        let allocation = allocate(&on(0)).unwrap();
        let answer = allocation.numa_node;
        assert!(
            answer.achieved == Some(0) || answer.reason.is_some(),
            "{answer}"
        );
        write_everywhere(&allocation.memory);
        for node in [999, u32::MAX] {
            let error = allocate(&on(node)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("no such node"), "{error}");
        }
    }

    #[test]
    fn each_reason_for_an_unbound_node_is_a_clause() {
        assert!(unbound(libc::ENOSYS).starts_with("the kernel has no NUMA"));
        assert!(unbound(errno::EPERM).contains("sandbox"));
    }
}
