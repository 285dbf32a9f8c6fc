//! System calls on an AF_XDP socket: made, registered memory, options, bound; and what their refusals mean.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::backend::linux::errors::{
    AFTER_CLOSE, Deadline, check, error_text, retry, sandboxed_mmap, unexpected,
};
use crate::backend::linux::rights;
use crate::backend::linux::uapi::{self, Options, Statistics, UmemReg};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::report::{Answer, BindMode, BusyPoll};
use crate::stats::SocketStatistics;
use crate::umem::geometry::Geometry;

/// A socket that is going to register `locked` bytes of packet memory.
pub(super) fn new_socket(locked: u64) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the result is checked.
    let fd = unsafe { libc::socket(uapi::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    let fd = check(fd).map_err(|error| socket_error(error, locked))?;
    // SAFETY: a new descriptor, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Registers memory, and makes room for it under the limit of locked memory if it can.
///
/// # Safety
///
/// As [`register`].
pub(super) unsafe fn register_memory(
    fd: BorrowedFd<'_>,
    registration: &UmemReg,
) -> Result<(), i32> {
    // SAFETY: as the caller promises.
    let register = || unsafe { register(fd, registration) };
    match register() {
        Err(errno::ENOBUFS) => {
            rights::raise_memlock_limit();
            // Memory of a socket that was just closed may still count.
            let is_temporary = |error| {
                error == errno::ENOBUFS && registration.len <= rights::memlock_limit().rlim_cur
            };
            retry(Deadline::after(AFTER_CLOSE), is_temporary, register)
        }
        result => result,
    }
}

/// What the kernel can write an option to: numbers without padding, for which every bit pattern is a value.
///
/// # Safety
///
/// Just that.
pub(super) unsafe trait Plain {}

// SAFETY: a number.
unsafe impl Plain for i32 {}
// SAFETY: numbers.
unsafe impl<const N: usize> Plain for [u32; N] {}
// SAFETY: numbers.
unsafe impl<const N: usize> Plain for [u64; N] {}
// SAFETY: numbers in `repr(C)`, whose sizes add up to its own.
unsafe impl Plain for Statistics {}
// SAFETY: as above.
unsafe impl Plain for Options {}

/// What the kernel calls the network namespace of a socket, for as long as it runs (Linux 5.14).
pub(super) fn namespace_cookie(fd: BorrowedFd<'_>) -> Option<u64> {
    let mut cookie = [0_u64];
    let len = get(fd, libc::SOL_SOCKET, uapi::SO_NETNS_COOKIE, &mut cookie).ok()?;
    (len == size_of::<u64>()).then_some(cookie[0])
}

/// The memory of packets that a socket has sent and that are still under way (`sk_wmem_alloc`); `None` where nothing tells.
pub(super) fn queued_for_sending(fd: BorrowedFd<'_>) -> Option<u32> {
    let mut memory = [0_u32; uapi::SK_MEMINFO_VARS];
    let len = get(fd, libc::SOL_SOCKET, uapi::SO_MEMINFO, &mut memory).ok()?;
    let read = len / size_of::<u32>();
    memory[..read].get(uapi::SK_MEMINFO_WMEM_ALLOC).copied()
}

/// Sets an option that is a number of its own: a size, a time, a switch.
pub(super) fn set(fd: BorrowedFd<'_>, level: i32, option: i32, value: u32) -> Result<(), i32> {
    // SAFETY: a number, which no option of 64-bit kernels takes for an address, nor those of this module on others.
    unsafe { set_raw(fd, level, option, &value) }
}

/// Registers packet memory, whose pages the kernel keeps from then on until the socket is closed.
///
/// # Safety
///
/// The range is mapped. For as long as the socket is open, and a device may finish what it has begun, it is left to the kernel which of these
/// pages it reads and writes: those of frames whose addresses are put into the socket's fill and TX ring. So whatever stands at these
/// addresses while the memory is mapped must bear that.
pub(super) unsafe fn register(fd: BorrowedFd<'_>, memory: &UmemReg) -> Result<(), i32> {
    // SAFETY: as the caller promises.
    unsafe { set_raw(fd, uapi::SOL_XDP, uapi::XDP_UMEM_REG, memory) }
}

/// # Safety
///
/// `value` is initialised to its last byte. Where the option is one that refers to memory, the kernel may use that memory so.
unsafe fn set_raw<T>(fd: BorrowedFd<'_>, level: i32, option: i32, value: &T) -> Result<(), i32> {
    // SAFETY: the kernel reads as many bytes as `value` has; the rest the caller promises.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            (&raw const *value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    check(result).map(drop)
}

/// Reads an option; returns how many bytes of `value` the kernel wrote.
pub(super) fn get<T: Plain>(
    fd: BorrowedFd<'_>,
    level: i32,
    option: i32,
    value: &mut T,
) -> Result<usize, i32> {
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes into `value`, for which every bit pattern is valid.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            option,
            (&raw mut *value).cast(),
            &mut len,
        )
    };
    check(result).map(|_| len as usize)
}

/// The kernel's counters; what it does not count stays zero.
pub(super) fn statistics(fd: BorrowedFd<'_>) -> Result<SocketStatistics> {
    let mut counted = Statistics::default();
    get(fd, uapi::SOL_XDP, uapi::XDP_STATISTICS, &mut counted)
        .map_err(|error| unexpected("reading the socket's statistics", error))?;
    Ok(SocketStatistics {
        rx_dropped: counted.rx_dropped,
        rx_invalid_descs: counted.rx_invalid_descs,
        tx_invalid_descs: counted.tx_invalid_descs,
        rx_ring_full: counted.rx_ring_full,
        rx_fill_ring_empty_descs: counted.rx_fill_ring_empty_descs,
        tx_ring_empty_descs: counted.tx_ring_empty_descs,
    })
}

/// Whether a bound socket is in zero-copy mode; `None` on kernels that do not tell (before 5.3).
pub(super) fn is_zero_copy(fd: BorrowedFd<'_>) -> Option<bool> {
    let mut options = Options::default();
    get(fd, uapi::SOL_XDP, uapi::XDP_OPTIONS, &mut options).ok()?;
    Some(options.flags & uapi::XDP_OPTIONS_ZEROCOPY != 0)
}

/// The error of a socket, which reading clears; 0 is none.
pub(super) fn pending_error(fd: BorrowedFd<'_>) -> i32 {
    let mut error = 0_i32;
    match get(fd, libc::SOL_SOCKET, libc::SO_ERROR, &mut error) {
        Ok(_) => error,
        Err(_) => 0,
    }
}

/// Turns on preferred busy polling.
pub(super) fn busy_poll(
    fd: BorrowedFd<'_>,
    requested: Option<BusyPoll>,
) -> Answer<Option<BusyPoll>> {
    let Some(BusyPoll {
        microseconds,
        budget,
    }) = requested
    else {
        return Answer::granted(None, None);
    };
    let steps = [
        (uapi::SO_PREFER_BUSY_POLL, "SO_PREFER_BUSY_POLL", 1),
        (uapi::SO_BUSY_POLL, "SO_BUSY_POLL", microseconds),
        (uapi::SO_BUSY_POLL_BUDGET, "SO_BUSY_POLL_BUDGET", budget),
    ];
    for (option, name, value) in steps {
        let Err(error) = set(fd, libc::SOL_SOCKET, option, value) else {
            continue;
        };
        for option in [uapi::SO_PREFER_BUSY_POLL, uapi::SO_BUSY_POLL] {
            let _ = set(fd, libc::SOL_SOCKET, option, 0);
        }
        let cause = match error {
            errno::EPERM => "CAP_NET_ADMIN is missing",
            errno::ENOPROTOOPT => "it needs Linux 5.11 with CONFIG_NET_RX_BUSY_POLL",
            errno::EINVAL => "the value is out of its range",
            _ => "the kernel refused",
        };
        let reason = format!("{cause} ({name} = {value}: {})", error_text(error));
        return Answer::refused(requested, None, reason);
    }
    Answer::granted(requested, requested)
}

/// Sets how many packets a transmit call may send in copy mode; as many as the ring has slots unless told otherwise.
pub(super) fn tx_budget(fd: BorrowedFd<'_>, requested: Option<u32>, tx_slots: u32) -> Answer<u32> {
    let smallest = uapi::DEFAULT_TX_BUDGET;
    let wanted = requested.unwrap_or(tx_slots.max(smallest));
    let allowed = wanted.clamp(smallest, tx_slots.max(smallest));
    let limited = (allowed != wanted)
        .then(|| format!("the kernel allows {smallest} up to the {tx_slots} slots of the TX ring"));
    let refused = if allowed == smallest {
        // It stands there already, on every kernel.
        None
    } else {
        set(fd, uapi::SOL_XDP, uapi::XDP_MAX_TX_SKB_BUDGET, allowed).err()
    };
    match refused {
        None => Answer {
            requested: wanted,
            achieved: allowed,
            reason: limited,
        },
        Some(errno::ENOPROTOOPT) => Answer::refused(wanted, smallest, "more needs Linux 6.17"),
        Some(error) => Answer::refused(wanted, smallest, error_text(error)),
    }
}

/// The budget after bind: zero-copy mode does not know it.
pub(super) fn tx_budget_in(mode: BindMode, mut answer: Answer<u32>) -> Answer<u32> {
    if mode == BindMode::ZeroCopy {
        answer.reason = Some("zero-copy mode has no such limit".to_owned());
    }
    answer
}

/// The kernel made no AF_XDP socket, which was to register `locked` bytes of packet memory.
pub(super) fn socket_error(error: i32, locked: u64) -> FluxError {
    let tried = "opening an AF_XDP socket";
    match error {
        errno::EPERM | errno::EACCES => rights::socket_refusal(tried, error, locked),
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
pub(super) fn umem_error(error: i32, geometry: Geometry, bytes: u64) -> FluxError {
    let tried = format!(
        "registering {bytes} bytes of packet memory ({} frames of {} bytes, headroom {})",
        geometry.frames(),
        geometry.chunk_size(),
        geometry.headroom()
    );
    match error {
        errno::ENOBUFS => rights::memlock_refusal(tried, bytes, geometry.chunk_size()),
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
pub(super) fn ring_error(error: i32, name: &str, size: u32) -> FluxError {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::umem::memory::PAGE_SIZE;

    #[test]
    fn a_sandbox_is_suspected_when_the_family_is_unknown() {
        let error = socket_error(errno::EAFNOSUPPORT, 0);
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
        let error = umem_error(errno::EINVAL, geometry, geometry.bytes()).to_string();
        assert!(
            error.contains("64 frames of 2048 bytes, headroom 100"),
            "{error}"
        );
    }
}
