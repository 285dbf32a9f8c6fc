//! Descriptors of our own that programs and waits poll: for a socket without one, for a stop, and for packets and frames together.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::backend::linux::errors::{check, descriptor};
use crate::backend::linux::thread::{CancelGuard, coarse_time};
use crate::backend::{ReadyFd, StopSignal};
#[cfg(feature = "capi")]
use crate::error::FluxError;
use crate::error::Result;

/// An eventfd that is readable while the socket is ready.
#[derive(Debug)]
struct EventFd {
    fd: File,
    ready: AtomicBool,
}

/// A [`ReadyFd`] that is not ready yet.
pub(crate) fn ready_fd() -> Result<Arc<dyn ReadyFd>> {
    let fd = eventfd().map_err(|error| descriptor("making a descriptor for a socket", error))?;
    Ok(Arc::new(EventFd {
        fd,
        ready: AtomicBool::new(false),
    }))
}

impl ReadyFd for EventFd {
    fn set_ready(&self, ready: bool) {
        if self.ready.swap(ready, Ordering::Relaxed) == ready {
            return;
        }
        // Writes and reads alternate, so that neither can block or overflow. A program that reads the descriptor itself loses a wake-up.
        let done = if ready {
            (&self.fd).write(&1_u64.to_ne_bytes())
        } else {
            (&self.fd).read(&mut [0; 8])
        };
        drop(done);
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A duplicate of a descriptor that C gave as a number.
#[cfg(feature = "capi")]
pub(crate) fn duplicate(fd: i32, tried: &str) -> Result<OwnedFd> {
    // SAFETY: takes numbers; fails on a descriptor that is not open.
    match check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) }) {
        // SAFETY: a new descriptor, which nobody else knows.
        Ok(duplicate) => Ok(unsafe { OwnedFd::from_raw_fd(duplicate) }),
        Err(libc::EBADF) => Err(FluxError::invalid(
            tried,
            format_args!("{fd} is not an open descriptor"),
            "give one that is open",
        )),
        Err(error) => Err(descriptor(tried, error)),
    }
}

/// A stop signal that is not raised. Without a descriptor when no more files can be opened: a wait checks it every tenth of a second then.
pub(crate) fn stop_signal() -> StopSignal {
    match eventfd() {
        Ok(file) => StopSignal::with_eventfd(file),
        Err(_) => StopSignal::without_fd(),
    }
}

/// An eventfd that does not block, or the number of the error.
pub(super) fn eventfd() -> Result<File, i32> {
    // SAFETY: plain numbers; the result is checked.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: a new descriptor, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
}

/// How often it becomes readable although nothing came, so that a look shows whether the interface is still there.
const TICK: Duration = Duration::from_secs(1);
/// How far the coarse clock may lag behind the timer's.
const LAG: Duration = Duration::from_millis(20);

/// An epoll descriptor: readable when the socket is, when frames come returned that somebody was out of, and once a second.
#[derive(Debug)]
pub(crate) struct WaitFd {
    epoll: OwnedFd,
    timer: File,
    /// When the timer comes next, in nanoseconds of the coarse clock.
    next: AtomicU64,
    returned: Arc<ReturnedFrames>,
    waker: Waker,
}

/// An eventfd that frames have come returned.
#[derive(Debug)]
struct ReturnedFrames {
    counter: File,
    raised: AtomicBool,
}

impl Wake for ReturnedFrames {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // As `read` in `clear`, it is a cancellation point.
        let _guard = CancelGuard::new();
        // In this order: who sees it raised finds it readable. A write fails when it is readable beyond measure.
        let _ = (&self.counter).write(&1_u64.to_ne_bytes());
        self.raised.store(true, Ordering::Release);
    }
}

impl WaitFd {
    /// Of a socket with this descriptor, which must stay open as long.
    pub(crate) fn of(socket: BorrowedFd<'_>) -> Result<Self> {
        Self::make(socket).map_err(|error| descriptor("making a descriptor to wait on", error))
    }

    fn make(socket: BorrowedFd<'_>) -> Result<Self, i32> {
        // SAFETY: plain numbers; the result is checked.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: a new descriptor, which nobody else knows.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: plain numbers; the result is checked.
        let timer = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        // SAFETY: a new descriptor, which nobody else knows.
        let timer: File = unsafe { OwnedFd::from_raw_fd(timer) }.into();
        let tick = libc::timespec {
            tv_sec: TICK.as_secs() as _,
            tv_nsec: 0,
        };
        let every = libc::itimerspec {
            it_interval: tick,
            it_value: tick,
        };
        // SAFETY: the kernel reads one time, and writes none.
        check(unsafe { libc::timerfd_settime(timer.as_raw_fd(), 0, &every, ptr::null_mut()) })?;
        let returned = Arc::new(ReturnedFrames {
            counter: eventfd()?,
            raised: AtomicBool::new(false),
        });
        for fd in [socket, timer.as_fd(), returned.counter.as_fd()] {
            let mut event = libc::epoll_event {
                events: libc::EPOLLIN as u32,
                u64: 0,
            };
            let add = libc::EPOLL_CTL_ADD;
            // SAFETY: the kernel reads one event.
            check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), add, fd.as_raw_fd(), &mut event) })?;
        }
        Ok(Self {
            epoll,
            timer,
            next: AtomicU64::new(nanoseconds(coarse_time() + TICK)),
            waker: Waker::from(returned.clone()),
            returned,
        })
    }

    /// The descriptor.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// What makes it readable.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Before a look: makes it unreadable again but for packets. It costs a system call only after something happened.
    pub(crate) fn clear(&self) {
        if self.returned.raised.load(Ordering::Acquire) {
            let _guard = CancelGuard::new();
            self.returned.raised.store(false, Ordering::Relaxed);
            let _ = (&self.returned.counter).read(&mut [0; 8]);
        }
        let now = coarse_time();
        if nanoseconds(now + LAG) >= self.next.load(Ordering::Relaxed) {
            self.tick(now);
        }
    }

    #[cold]
    fn tick(&self, now: Duration) {
        let _guard = CancelGuard::new();
        if (&self.timer).read(&mut [0; 8]).is_ok() {
            let next = nanoseconds(now + TICK - LAG);
            self.next.store(next, Ordering::Relaxed);
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Instant;

    /// Whether it becomes readable within `timeout` milliseconds.
    fn readable(events: &WaitFd, timeout: i32) -> bool {
        let mut entry = libc::pollfd {
            fd: events.fd().as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: the kernel reads and writes one entry.
        unsafe { libc::poll(&mut entry, 1, timeout) == 1 }
    }

    #[test]
    fn it_is_readable_for_the_socket_for_frames_and_once_a_second_until_it_is_cleared() {
        let socket = eventfd().unwrap();
        let events = WaitFd::of(socket.as_fd()).unwrap();
        events.waker().wake_by_ref();
        events.waker().wake_by_ref();
        assert!(readable(&events, 0));
        events.clear();
        let start = Instant::now();
        // Nothing until the tick, which a busy machine may have brought by now.
        assert!(!readable(&events, 0) || start.elapsed() > Duration::from_millis(500));
        (&socket).write_all(&1_u64.to_ne_bytes()).unwrap();
        assert!(readable(&events, 0));
        events.clear();
        assert!(readable(&events, 0), "it says what the socket says");
        (&socket).read_exact(&mut [0; 8]).unwrap();
        for _ in 0..2 {
            assert!(readable(&events, 60_000));
            while readable(&events, 0) {
                events.clear();
                thread::yield_now();
            }
        }
    }
}
