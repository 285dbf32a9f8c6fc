//! Socket options: typed access, and the wishes that are options.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::backend::linux::errors::{check, unexpected, words};
use crate::backend::linux::uapi::{self, Options, Statistics, UmemReg};
use crate::error::{Result, errno};
use crate::report::{Answer, BindMode, BusyPoll};
use crate::stats::SocketStatistics;

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
pub(super) fn busy_poll(fd: BorrowedFd<'_>, wish: Option<BusyPoll>) -> Answer<Option<BusyPoll>> {
    let Some(BusyPoll {
        microseconds,
        budget,
    }) = wish
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
        let reason = format!("{cause} ({name} = {value}: {})", words(error));
        return Answer::refused(wish, None, reason);
    }
    Answer::granted(wish, wish)
}

/// Sets how many packets a transmit call may send in copy mode; as many as the ring has slots unless told otherwise.
pub(super) fn tx_budget(fd: BorrowedFd<'_>, wish: Option<u32>, tx_slots: u32) -> Answer<u32> {
    let smallest = uapi::DEFAULT_TX_BUDGET;
    let wanted = wish.unwrap_or(tx_slots.max(smallest));
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
        Some(error) => Answer::refused(wanted, smallest, words(error)),
    }
}

/// The budget after bind: zero-copy mode does not know it.
pub(super) fn tx_budget_in(mode: BindMode, mut answer: Answer<u32>) -> Answer<u32> {
    if mode == BindMode::ZeroCopy {
        answer.reason = Some("zero-copy mode has no such limit".to_owned());
    }
    answer
}
