//! The calls on a bound socket: wake the kernel, wait for it.

use std::os::fd::{AsFd, AsRawFd};
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::errors::{last, unexpected};
use super::options;
use super::socket::XdpSocket;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::kernel::{Interest, Kick, Ready};

/// How long a removal of the interface may go unnoticed: it does not end a `poll`.
const LOOK_UP: Duration = Duration::from_millis(100);

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
        errno::EOPNOTSUPP => poll(socket, libc::POLLIN, Duration::ZERO).map(drop),
        errno::EAGAIN | errno::EBUSY | errno::ENOBUFS | libc::EINTR => Ok(()),
        error => Err(lost(socket, "waking the kernel to receive", error)),
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
        error => Err(lost(socket, "waking the kernel to send", error)),
    }
}

/// Waits in slices, because nothing but a look at the socket's error tells that the interface was removed.
pub(super) fn wait(
    socket: &XdpSocket,
    interest: Interest,
    timeout: Option<Duration>,
) -> Result<Ready> {
    let events = match interest {
        Interest::Receive => libc::POLLIN,
        Interest::Send => libc::POLLOUT,
        Interest::Both => libc::POLLIN | libc::POLLOUT,
    };
    // A time beyond what the clock can count is as good as for ever.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let slice = left.map_or(LOOK_UP, |left| left.min(LOOK_UP));
        let found = poll(socket, events, slice)?;
        let ready = Ready {
            receive: found.is_some_and(|events| events & libc::POLLIN != 0),
            send: found.is_some_and(|events| events & libc::POLLOUT != 0),
        };
        if ready != Ready::default() {
            return Ok(ready);
        }
        if is_gone(socket) {
            return Err(gone(socket, "waiting for packets"));
        }
        // An interrupted call comes back with nothing, so that the caller can look at what the signal handler did.
        if found.is_none() || left.is_some_and(|left| left <= slice) {
            return Ok(ready);
        }
    }
}

/// One `poll`; its events, or `None` when a signal ended it.
fn poll(socket: &XdpSocket, events: i16, timeout: Duration) -> Result<Option<i16>> {
    let mut entry = libc::pollfd {
        fd: socket.fd.as_raw_fd(),
        events,
        revents: 0,
    };
    // Rounded up, or the end of a wait would be a busy loop.
    let millis = i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
    // SAFETY: the kernel reads and writes one entry.
    let result = unsafe { libc::poll(&mut entry, 1, millis) };
    if result >= 0 && entry.revents & libc::POLLNVAL != 0 {
        return Err(FluxError::new(
            ErrorKind::System,
            libc::EBADF,
            "waiting for packets",
            "somebody closed the socket's file descriptor",
            "leave closing to the socket itself",
        ));
    }
    if result >= 0 {
        return Ok(Some(entry.revents));
    }
    match last() {
        libc::EINTR => Ok(None),
        error => Err(unexpected("waiting for packets", error)),
    }
}

/// Whether the interface was removed while the socket was bound to it.
fn is_gone(socket: &XdpSocket) -> bool {
    // The kernel sets ENETDOWN when it takes the socket off its interface, never when the interface goes down.
    if options::pending_error(socket.fd.as_fd()) == errno::ENETDOWN {
        socket.gone.store(true, Ordering::Relaxed);
    }
    socket.gone.load(Ordering::Relaxed)
}

/// Tells down from gone.
fn lost(socket: &XdpSocket, tried: &str, error: i32) -> FluxError {
    match error {
        errno::ENETDOWN | errno::ENXIO | errno::ENODEV | errno::ESHUTDOWN => {
            match socket.control.name(socket.ifindex) {
                Some(name) if !is_gone(socket) => down(&name, tried, error),
                _ => gone(socket, tried),
            }
        }
        _ => unexpected(tried, error),
    }
}

fn down(name: &str, tried: &str, error: i32) -> FluxError {
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

fn gone(socket: &XdpSocket, tried: &str) -> FluxError {
    FluxError::new(
        ErrorKind::Gone,
        errno::ENODEV,
        tried,
        format_args!(
            "the interface with index {} was removed, or moved to another network namespace",
            socket.ifindex
        ),
        "close the socket, and open another one when the interface is back",
    )
}
