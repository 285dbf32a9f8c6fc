//! Hugepages: how many there are, and why there are not enough.

use std::fs;

use crate::backend::linux::errors::{ALLOW_MMAP, FORBIDS_MMAP, words};
use crate::error::{ErrorKind, FluxError, errno};
use crate::report::HugepageSize;

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
            happened: format!("{}: {FORBIDS_MMAP}", words(error)),
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
                words(error),
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
