//! Something that ends a wait, from any thread and from a signal handler; and who waits without a call.

#![forbid(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::descriptor::{self, BorrowedFd};
use crate::mem::Process;

/// Somebody who waits for a socket, but not in a call.
pub trait Watcher: fmt::Debug + Send + Sync {
    /// A look is worth while. It is told more often than needed, from any thread, and must not call the socket.
    fn news(&self);
}

/// An alarm: rung once, it stays so, and ends every wait that it [keeps company](super::Company), until it is [reset](Self::reset).
///
/// A handle, cheap to clone. Its file descriptor, where there is one, is closed with the last handle, so that nobody can ring an alarm
/// that is gone.
///
/// A forked child has the descriptor, too, and the parent waits on it: there, ringing and draining do nothing.
#[derive(Debug, Clone)]
pub struct Alarm(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rung: AtomicBool,
    /// An eventfd that does not block.
    counter: Option<File>,
    process: Process,
}

impl Alarm {
    /// One without a file descriptor: who waits has to look at it now and then.
    #[must_use]
    pub fn unseen() -> Self {
        Self::new(None)
    }

    /// One with an eventfd that does not block.
    #[must_use]
    pub fn with_counter(file: File) -> Self {
        Self::new(Some(file))
    }

    fn new(counter: Option<File>) -> Self {
        Self(Arc::new(Inner {
            rung: AtomicBool::new(false),
            counter,
            process: Process::current(),
        }))
    }

    /// Rings it. Async-signal-safe: it stores to an atomic and writes to a descriptor, which cannot fail for being full. Nothing in a forked
    /// child.
    pub fn ring(&self) {
        if !self.0.process.is_current() {
            return;
        }
        self.0.rung.store(true, Ordering::Release);
        if let Some(mut counter) = self.0.counter.as_ref() {
            // A write fails when the descriptor is readable beyond measure, and so it is readable.
            let _ = counter.write(&1_u64.to_ne_bytes());
        }
    }

    /// Whether it is rung. Cheap.
    #[inline]
    #[must_use]
    pub fn is_rung(&self) -> bool {
        self.0.rung.load(Ordering::Acquire)
    }

    /// Makes it quiet again, and returns whether it was rung. For the one that waits.
    pub fn reset(&self) -> bool {
        let rung = self.0.rung.swap(false, Ordering::AcqRel);
        self.drain();
        rung
    }

    /// Makes the descriptor unreadable, and leaves the alarm as it is: it is looked at before every sleep. A ring and a reset at once can
    /// leave the one readable although the other is not rung.
    pub fn drain(&self) {
        if !self.0.process.is_current() {
            return;
        }
        if let Some(mut counter) = self.0.counter.as_ref() {
            let _ = counter.read(&mut [0; 8]);
        }
    }

    /// Makes the descriptor alone readable.
    #[cfg(test)]
    pub(crate) fn stray(&self) {
        if let Some(mut counter) = self.0.counter.as_ref() {
            let _ = counter.write(&1_u64.to_ne_bytes());
        }
    }

    /// The descriptor, which is readable while the alarm is rung.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.counter.as_ref().and_then(descriptor::of_file)
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::{elsewhere, machine};

    #[test]
    fn an_alarm_stays_rung_until_it_is_reset() {
        for alarm in [machine::alarm(), elsewhere::alarm()] {
            assert!(!alarm.is_rung());
            assert!(!alarm.reset());
            let other = alarm.clone();
            other.ring();
            other.ring();
            assert!(alarm.is_rung() && alarm.is_rung());
            assert!(alarm.reset());
            assert!(!alarm.is_rung() && !alarm.reset());
            alarm.ring();
            alarm.drain();
            assert!(alarm.is_rung());
        }
    }

    #[test]
    fn elsewhere_an_alarm_has_no_descriptor() {
        assert!(elsewhere::alarm().fd().is_none());
    }
}
