//! A descriptor to wait for packets on, among others.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::backend::linux::bell::eventfd;
use crate::backend::linux::cancel::Uncancelled;
use crate::backend::linux::errors::{check, descriptor};
use crate::backend::linux::wait::coarse_time;
use crate::error::Result;

/// How often it becomes readable although nothing came, so that a look shows whether the interface is still there.
const TICK: Duration = Duration::from_secs(1);
/// How far the coarse clock may lag behind the timer's.
const LAG: Duration = Duration::from_millis(20);

/// An epoll descriptor: readable when the socket is, when frames come home that somebody was out of, and once a second.
#[derive(Debug)]
pub(crate) struct Events {
    epoll: OwnedFd,
    timer: File,
    /// When the timer comes next, in nanoseconds of the coarse clock.
    next: AtomicU64,
    home: Arc<Home>,
    waker: Waker,
}

/// An eventfd that frames have come home.
#[derive(Debug)]
struct Home {
    counter: File,
    rung: AtomicBool,
}

impl Wake for Home {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // As `read` in `clear`, it is a cancellation point.
        let _uncancelled = Uncancelled::new();
        // In this order: who sees it rung finds it readable. A write fails when it is readable beyond measure.
        let _ = (&self.counter).write(&1_u64.to_ne_bytes());
        self.rung.store(true, Ordering::Release);
    }
}

impl Events {
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
        let home = Arc::new(Home {
            counter: eventfd()?,
            rung: AtomicBool::new(false),
        });
        for fd in [socket, timer.as_fd(), home.counter.as_fd()] {
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
            waker: Waker::from(home.clone()),
            home,
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
        if self.home.rung.load(Ordering::Acquire) {
            let _uncancelled = Uncancelled::new();
            self.home.rung.store(false, Ordering::Relaxed);
            let _ = (&self.home.counter).read(&mut [0; 8]);
        }
        let now = coarse_time();
        if nanoseconds(now + LAG) >= self.next.load(Ordering::Relaxed) {
            self.tick(now);
        }
    }

    #[cold]
    fn tick(&self, now: Duration) {
        let _uncancelled = Uncancelled::new();
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
    use std::thread;
    use std::time::Instant;

    use super::*;

    /// Whether it becomes readable within `timeout` milliseconds.
    fn readable(events: &Events, timeout: i32) -> bool {
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
        let events = Events::of(socket.as_fd()).unwrap();
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
