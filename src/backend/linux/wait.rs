//! The calls on a bound socket: wake the kernel, wait for it.

use std::hint;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::backend::linux::bind::zero_copy_wake_error;
use crate::backend::linux::errors::{last, unexpected};
use crate::backend::linux::socket::XdpSocket;
use crate::backend::linux::thread::coarse_time;
use crate::backend::{Interest, Kick, Ready, StopSignal, WaitSet};
use crate::error::{ErrorKind, FluxError, Result, errno};

/// How long a removal of the interface may go unnoticed: it does not end a `poll`.
const GONE_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Descriptors of one `poll` that need no memory of their own.
const INLINE_ENTRIES: usize = 16;
/// No descriptor: `poll` passes over it.
const NO_FD: i32 = -1;
/// The place of the socket among what is polled.
const SOCKET: usize = 0;
/// The place of the stop_signal.
const STOP: usize = 1;

pub(super) fn wake_rx(socket: &XdpSocket) -> Result<()> {
    // SAFETY: a buffer of length zero is never written.
    let result = unsafe {
        libc::recvfrom(
            socket.fd.as_raw_fd(),
            ptr::null_mut(),
            0,
            libc::MSG_DONTWAIT,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    if result >= 0 {
        return Ok(());
    }
    match last() {
        // Before Linux 5.11 there is no such call for AF_XDP; `poll` does it there.
        errno::EOPNOTSUPP => {
            let mut own = [entry(socket.fd.as_raw_fd(), Interest::Receive)];
            poll(&mut own, Duration::ZERO).map(drop)
        }
        errno::EAGAIN | errno::EBUSY | errno::ENOBUFS | libc::EINTR => Ok(()),
        error => Err(wake_error(socket, "waking the kernel to receive", error)),
    }
}

pub(super) fn wake_tx(socket: &XdpSocket) -> Result<Kick> {
    // SAFETY: a buffer of length zero is never read, and there is no address.
    let result = unsafe {
        libc::sendto(
            socket.fd.as_raw_fd(),
            ptr::null(),
            0,
            libc::MSG_DONTWAIT,
            ptr::null(),
            0,
        )
    };
    if result >= 0 {
        return Ok(Kick::Done);
    }
    match last() {
        errno::EAGAIN | errno::EBUSY | errno::ENOBUFS | errno::ENOMEM | libc::EINTR => {
            Ok(Kick::Again)
        }
        error => Err(wake_error(socket, "waking the kernel to send", error)),
    }
}

/// A moment of busy waiting, in which the driver runs if the kernel busy_polls it for us.
pub(super) fn spin(socket: &XdpSocket) {
    if socket.busy_polls.load(Ordering::Relaxed) {
        // A lost interface shows in the next wait.
        let _ = wake_rx(socket);
    } else {
        hint::spin_loop();
    }
}

/// Waits in slices, because nothing but a look at the socket's error tells that the interface was removed.
pub(super) fn wait(
    socket: &XdpSocket,
    interest: Interest,
    timeout: Option<Duration>,
    wait_set: &WaitSet<'_>,
) -> Result<Ready> {
    // A time beyond what the clock can count is as good as for ever.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut inline = [entry(NO_FD, interest); INLINE_ENTRIES];
    let mut heap = Vec::new();
    let entries = entries(socket, interest, wait_set, &mut inline, &mut heap);
    loop {
        let here = wait_set.is_done();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let slice = match left {
            _ if here => Duration::ZERO,
            Some(left) => left.min(GONE_CHECK_INTERVAL),
            None => GONE_CHECK_INTERVAL,
        };
        let interrupted = !poll(entries, slice)?;
        let ready = Ready {
            receive: entries[SOCKET].revents & libc::POLLIN != 0,
            send: entries[SOCKET].revents & libc::POLLOUT != 0,
            interrupted: false,
        };
        if ready != Ready::default() {
            return Ok(ready);
        }
        if socket.is_gone() {
            return Err(gone_error(socket, "waiting for packets"));
        }
        (wait_set.check)()?;
        // What a ring and a reset at the same time left behind.
        if let Some(stop_signal) = wait_set.stop_signal
            && entries[STOP].revents != 0
            && !stop_signal.is_raised()
        {
            stop_signal.drain();
            continue;
        }
        let others = entries[STOP..].iter().any(|entry| entry.revents != 0);
        // An interrupted call comes back with nothing, so that the caller can look at what the signal handler did.
        if interrupted || here || others || left.is_some_and(|left| left <= slice) {
            return Ok(Ready {
                interrupted,
                ..ready
            });
        }
    }
}

/// What to poll: the socket at [`SOCKET`], the stop_signal at [`STOP`], and the others.
fn entries<'a>(
    socket: &XdpSocket,
    interest: Interest,
    wait_set: &WaitSet<'_>,
    inline: &'a mut [libc::pollfd; INLINE_ENTRIES],
    heap: &'a mut Vec<libc::pollfd>,
) -> &'a mut [libc::pollfd] {
    let number = |fd: Option<BorrowedFd<'_>>| fd.map_or(NO_FD, |fd| fd.as_raw_fd());
    let stop_signal = wait_set.stop_signal.and_then(StopSignal::fd);
    let first = [
        entry(socket.fd.as_raw_fd(), interest),
        entry(number(stop_signal), Interest::Receive),
    ];
    let others = (0..).map_while(wait_set.fds);
    let others = others.map(|(fd, interest)| entry(number(fd), interest));
    let mut all = first.into_iter().chain(others);
    let mut count = 0;
    for (place, entry) in inline.iter_mut().zip(&mut all) {
        *place = entry;
        count += 1;
    }
    if count < INLINE_ENTRIES {
        return &mut inline[..count];
    }
    heap.extend_from_slice(inline);
    heap.extend(all);
    heap
}

fn entry(fd: i32, interest: Interest) -> libc::pollfd {
    libc::pollfd {
        fd,
        events: match interest {
            Interest::Receive => libc::POLLIN,
            Interest::Send => libc::POLLOUT,
            Interest::Both => libc::POLLIN | libc::POLLOUT,
        },
        revents: 0,
    }
}

/// One `poll`; false when a signal ended it.
fn poll(entries: &mut [libc::pollfd], timeout: Duration) -> Result<bool> {
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs() as _,
        tv_nsec: timeout.subsec_nanos().into(),
    };
    let count = entries.len() as libc::nfds_t;
    // SAFETY: the kernel reads and writes `count` entries; it reads the time, and no signal mask.
    let result = unsafe { libc::ppoll(entries.as_mut_ptr(), count, &timeout, ptr::null()) };
    if result < 0 {
        return match last() {
            libc::EINTR => Ok(false),
            error => Err(unexpected("waiting for packets", error)),
        };
    }
    let closed = |entry: &libc::pollfd| entry.revents & libc::POLLNVAL != 0;
    match entries.iter().position(closed) {
        None => Ok(true),
        Some(index) => Err(closed_descriptor(entries[index].fd, index)),
    }
}

fn closed_descriptor(fd: i32, index: usize) -> FluxError {
    let happened = if index == SOCKET {
        "somebody closed the socket's file descriptor".to_owned()
    } else {
        format!("file descriptor {fd}, to be waited for as well, is not open")
    };
    FluxError::new(
        ErrorKind::System,
        libc::EBADF,
        "waiting for packets",
        happened,
        "leave closing to what the descriptor belongs to",
    )
}

/// A look that a loop can afford after each call that found nothing.
pub(super) fn check(socket: &XdpSocket) -> Result<()> {
    let gone = socket.gone.load(Ordering::Relaxed);
    if gone || (socket.gone_check.is_due(coarse_time(), GONE_CHECK_INTERVAL) && socket.is_gone()) {
        return Err(self::gone_error(socket, "looking for packets"));
    }
    Ok(())
}

/// Tells down from gone.
fn wake_error(socket: &XdpSocket, tried: &str, error: i32) -> FluxError {
    if matches!(error, errno::EINVAL | errno::ENXIO)
        && let Some(cause) = zero_copy_wake_error(socket, tried, error)
    {
        return cause;
    }
    match error {
        errno::ENETDOWN | errno::ENXIO | errno::ENODEV | errno::ESHUTDOWN => {
            match socket.ioctl.name(socket.ifindex) {
                Some(name) if !socket.is_gone() => down_error(&name, tried, error),
                _ => gone_error(socket, tried),
            }
        }
        _ => unexpected(tried, error),
    }
}

fn down_error(name: &str, tried: &str, error: i32) -> FluxError {
    let happened = if error == errno::ENXIO {
        format!(
            "{name} does not run the queue now: the socket is not bound, the interface down, or its XDP program off"
        )
    } else {
        format!("{name} is down")
    };
    FluxError::new(
        ErrorKind::Down,
        errno::ENETDOWN,
        tried,
        happened,
        format_args!("`ip link set {name} up`"),
    )
}

fn gone_error(socket: &XdpSocket, tried: &str) -> FluxError {
    FluxError::new(
        ErrorKind::Gone,
        errno::ENODEV,
        tried,
        format_args!(
            "{} (index {}) was removed, or moved to another network namespace",
            socket.name, socket.ifindex
        ),
        "close the socket, and open another one when the interface is back",
    )
}
