//! What the kernel's refusals mean when a socket is opened.

use std::io;

use super::{memlock, privileges};
use crate::error::{ErrorKind, FluxError, errno};
use crate::geometry::Geometry;

/// The number of the last failed system call of this thread.
pub(super) fn last() -> i32 {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(errno::EIO)
}

/// Turns the -1 of a system call into its number.
pub(super) fn check(result: i32) -> Result<i32, i32> {
    if result < 0 { Err(last()) } else { Ok(result) }
}

/// The kernel's own words for a number.
pub(super) fn words(error: i32) -> String {
    io::Error::from_raw_os_error(error).to_string()
}

/// Whether the process, or the machine, has as many open files as it may have.
pub(crate) fn is_out_of_files(error: i32) -> bool {
    matches!(error, libc::EMFILE | libc::ENFILE)
}

/// The error for one open file too many.
pub(crate) fn out_of_files(tried: impl std::fmt::Display, error: i32) -> FluxError {
    let (happened, fix) = if error == libc::EMFILE {
        (
            "too many files are open in this process",
            "close some, or raise the limit (`ulimit -n`, LimitNOFILE= of the systemd unit)",
        )
    } else {
        (
            "too many files are open on this machine",
            "close some, or raise the limit (`sysctl fs.file-max`)",
        )
    };
    FluxError::new(ErrorKind::System, error, tried, happened, fix)
}

/// The error for a descriptor that could not be made.
pub(super) fn descriptor(tried: &str, error: i32) -> FluxError {
    if is_out_of_files(error) {
        return out_of_files(tried, error);
    }
    unexpected(tried, error)
}

/// A refusal that nobody expects.
pub(crate) fn unexpected(tried: impl std::fmt::Display, error: i32) -> FluxError {
    if is_out_of_files(error) {
        return out_of_files(tried, error);
    }
    if matches!(error, errno::EPERM | errno::EACCES) {
        return FluxError::new(
            ErrorKind::Permission,
            error,
            tried,
            words(error),
            "a seccomp filter or security module of the container or service may forbid it",
        );
    }
    FluxError::new(
        ErrorKind::System,
        error,
        tried,
        words(error),
        "the kernel log may say more (`dmesg`)",
    )
}

/// The kernel made no AF_XDP socket, which was to register `locked` bytes of packet memory.
pub(super) fn socket(error: i32, locked: u64) -> FluxError {
    let tried = "opening an AF_XDP socket";
    match error {
        errno::EPERM | errno::EACCES => privileges::socket_refusal(tried, error, locked),
        errno::EAFNOSUPPORT => FluxError::new(
            ErrorKind::Unsupported,
            error,
            tried,
            "the kernel has no AF_XDP (CONFIG_XDP_SOCKETS is off), or a sandbox forbids it",
            "use a kernel with CONFIG_XDP_SOCKETS=y, or add AF_XDP to RestrictAddressFamilies= of the systemd unit",
        ),
        _ => unexpected(tried, error),
    }
}

/// The kernel did not accept the packet memory.
pub(super) fn umem(error: i32, geometry: Geometry, bytes: u64) -> FluxError {
    let tried = format!(
        "registering {bytes} bytes of packet memory ({} frames of {} bytes, headroom {})",
        geometry.frames(),
        geometry.chunk_size(),
        geometry.headroom()
    );
    match error {
        errno::ENOBUFS => memlock::refusal(tried, bytes, geometry.chunk_size()),
        errno::ENOMEM => FluxError::new(
            ErrorKind::Memory,
            error,
            tried,
            "the machine has not enough free memory to pin it",
            "ask for fewer frames",
        ),
        errno::EINVAL => FluxError::new(
            ErrorKind::Unsupported,
            error,
            tried,
            "this kernel does not take such a geometry (chunks above a page need hugepages and Linux 6.6)",
            "use chunks of 2048 or 4096 bytes and less headroom",
        ),
        errno::EFAULT => FluxError::new(
            ErrorKind::Memory,
            error,
            tried,
            "the pages cannot be pinned: they are not there, or on a node or in a group (cgroup) with none left",
            "free memory on that node, or raise the group's limit",
        ),
        _ => unexpected(tried, error),
    }
}

/// The kernel made no ring.
pub(super) fn ring(error: i32, name: &str, size: u32) -> FluxError {
    let tried = format!("making the {name} ring of {size} slots");
    match error {
        errno::EINVAL => FluxError::new(
            ErrorKind::Invalid,
            error,
            tried,
            "the kernel refused the size",
            "use a smaller power of two, for example 2048",
        ),
        errno::ENOMEM => FluxError::new(
            ErrorKind::Memory,
            error,
            tried,
            "the kernel has not enough memory for it",
            "use a smaller ring",
        ),
        errno::EPERM | errno::EACCES => sandboxed_mmap(tried, error),
        errno::EAGAIN => FluxError::new(
            ErrorKind::Memory,
            error,
            tried,
            "mapped memory is locked in this process (mlockall), and the limit is reached",
            "raise the limit (`ulimit -l`, LimitMEMLOCK=)",
        ),
        _ => unexpected(tried, error),
    }
}

/// What a refusal of mmap() by EPERM or EACCES means: the kernel itself never forbids what this library asks for.
pub(super) const FORBIDS_MMAP: &str = "a sandbox forbids mmap()";
/// What to do about it.
pub(super) const ALLOW_MMAP: &str =
    "allow it in the seccomp filter or security module of the container or service";

/// The error for memory that a sandbox forbids to map.
pub(super) fn sandboxed_mmap(tried: impl std::fmt::Display, error: i32) -> FluxError {
    FluxError::new(
        ErrorKind::Permission,
        error,
        tried,
        format_args!("{}: {FORBIDS_MMAP}", words(error)),
        ALLOW_MMAP,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::PAGE_SIZE;

    #[test]
    fn a_sandbox_is_suspected_when_the_family_is_unknown() {
        let error = socket(errno::EAFNOSUPPORT, 0);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("CONFIG_XDP_SOCKETS"), "{error}");
        assert!(
            error.to_string().contains("RestrictAddressFamilies"),
            "{error}"
        );
    }

    #[test]
    fn a_refused_geometry_is_repeated_in_the_error() {
        let geometry = Geometry::new(64, 2048, 100, PAGE_SIZE).unwrap();
        let error = umem(errno::EINVAL, geometry, geometry.bytes()).to_string();
        assert!(
            error.contains("64 frames of 2048 bytes, headroom 100"),
            "{error}"
        );
    }
}
