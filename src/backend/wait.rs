//! Waiting for a socket: what to wait for, what else ends the wait, and what it found.

#![forbid(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::backend::descriptor::{self, BorrowedFd};
use crate::error::Result;
use crate::umem::memory::Process;

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Received packets.
    Receive,
    /// Free slots in the TX ring.
    Send,
    /// Either.
    Both,
}

/// What a wait found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready {
    /// Packets are in the RX ring.
    pub receive: bool,
    /// Slots of the TX ring are free.
    pub send: bool,
    /// A signal ended the wait early; or the network is simulated, nobody runs it, and nothing is left to happen in it.
    pub interrupted: bool,
}

/// What ends a wait besides the socket and the timeout.
#[derive(Clone, Copy)]
pub struct WaitSet<'a> {
    /// Further file descriptors and what to wait for there, by index up to the first `None`. An entry without a descriptor is skipped. Only
    /// a kernel polls them; the simulator ignores them.
    pub fds: &'a dyn Fn(usize) -> Option<(Option<BorrowedFd<'a>>, Interest)>,
    /// Ends the wait while it is raised.
    pub stop_signal: Option<&'a StopSignal>,
    /// Ends the wait when it returns true, for conditions without a descriptor. It is called before each sleep; the simulator also calls it
    /// whenever its network has moved, and every ten milliseconds. It may read a ring, but must not call a socket.
    pub until: &'a dyn Fn() -> bool,
    /// Ends the wait when it returns an error. It is called before each sleep and ten times a second. The only call to a socket that it may
    /// make is [`check`](crate::backend::Socket::check).
    pub check: &'a dyn Fn() -> Result<()>,
    /// Whether the caller waits without a limit, in several waits one after the other. On a simulated network that nobody runs, such a wait is
    /// [interrupted](Ready::interrupted) when nothing is left to happen.
    pub endless: bool,
}

impl WaitSet<'_> {
    /// Nothing else.
    #[must_use]
    pub fn none() -> Self {
        Self {
            fds: &|_| None,
            stop_signal: None,
            until: &|| false,
            check: &|| Ok(()),
            endless: false,
        }
    }

    /// Whether the stop signal or [`until`](Self::until) ends the wait now.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stop_signal.is_some_and(StopSignal::is_raised) || (self.until)()
    }
}

/// Ends waits, from any thread and from a signal handler.
///
/// Once raised, it ends every wait whose [`WaitSet`] it is in, until it is [reset](Self::reset). A handle; cheap to clone. Its file
/// descriptor, if it has one, is closed with the last handle.
///
/// A forked child shares the descriptor with its parent, who may be waiting on it. There, [`raise`](Self::raise) and [`drain`](Self::drain)
/// do nothing.
#[derive(Debug, Clone)]
pub struct StopSignal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    raised: AtomicBool,
    /// A non-blocking eventfd.
    eventfd: Option<File>,
    process: Process,
}

impl StopSignal {
    /// A signal without a file descriptor: a wait has to check it now and then.
    #[must_use]
    pub fn without_fd() -> Self {
        Self::new(None)
    }

    /// A signal with a non-blocking eventfd.
    #[must_use]
    pub fn with_eventfd(file: File) -> Self {
        Self::new(Some(file))
    }

    fn new(eventfd: Option<File>) -> Self {
        Self(Arc::new(Inner {
            raised: AtomicBool::new(false),
            eventfd,
            process: Process::current(),
        }))
    }

    /// Raises it. Async-signal-safe: it stores to an atomic and writes to a non-blocking descriptor. Does nothing in a forked child.
    pub fn raise(&self) {
        if !self.0.process.is_current() {
            return;
        }
        self.0.raised.store(true, Ordering::Release);
        self.make_readable();
    }

    /// Whether it is raised. One atomic load.
    #[inline]
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
    }

    /// Lowers it, and returns whether it was raised. For the thread that waits.
    pub fn reset(&self) -> bool {
        let raised = self.0.raised.swap(false, Ordering::AcqRel);
        self.drain();
        raised
    }

    /// Makes the descriptor unreadable and leaves the signal as it is. A raise and a reset at the same time can leave the descriptor readable
    /// although the signal is not raised.
    pub fn drain(&self) {
        if !self.0.process.is_current() {
            return;
        }
        if let Some(mut eventfd) = self.0.eventfd.as_ref() {
            let _ = eventfd.read(&mut [0; 8]);
        }
    }

    /// Makes the descriptor readable and leaves the signal as it is.
    pub(crate) fn make_readable(&self) {
        if let Some(mut eventfd) = self.0.eventfd.as_ref() {
            // It fails only when the counter is at its limit, and then the descriptor is readable.
            let _ = eventfd.write(&1_u64.to_ne_bytes());
        }
    }

    /// The descriptor, which is readable while the signal is raised.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.eventfd.as_ref().and_then(descriptor::of_file)
    }
}

/// Waits for a socket without blocking in a call.
pub trait Watcher: fmt::Debug + Send + Sync {
    /// The socket may be ready. It is called from any thread and may be called more often than needed. It must not call the socket.
    fn notify(&self);
}

/// Limits how often a check that costs a system call is made.
#[derive(Debug, Default)]
pub struct Throttle(AtomicU64);

impl Throttle {
    /// Whether the next check is due at the time `now` of some clock: `every` has passed since the last one that was due. The first one is
    /// always due. When several threads ask at once, it may be due for each of them.
    pub fn is_due(&self, now: Duration, every: Duration) -> bool {
        let due = now >= Duration::from_nanos(self.0.load(Ordering::Relaxed));
        if due {
            let next = now.saturating_add(every).as_nanos();
            let next = u64::try_from(next).unwrap_or(u64::MAX);
            self.0.store(next, Ordering::Relaxed);
        }
        due
    }
}
