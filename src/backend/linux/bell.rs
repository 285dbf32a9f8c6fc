//! A file descriptor that shows that there is something to receive, for a socket without one of the kernel's.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::linux::errors::{self, check};
use crate::backend::{Alarm, Bell};
#[cfg(feature = "capi")]
use crate::error::FluxError;
use crate::error::Result;

/// An eventfd, readable while it is rung.
#[derive(Debug)]
struct EventFd {
    fd: File,
    rung: AtomicBool,
}

/// A bell that is not rung.
pub(crate) fn bell() -> Result<Arc<dyn Bell>> {
    let fd =
        eventfd().map_err(|error| errors::descriptor("making a descriptor for a socket", error))?;
    Ok(Arc::new(EventFd {
        fd,
        rung: AtomicBool::new(false),
    }))
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
        Err(error) => Err(errors::descriptor(tried, error)),
    }
}

/// An alarm that is not rung. When no more files can be opened, who waits looks at it now and then.
pub(crate) fn alarm() -> Alarm {
    match eventfd() {
        Ok(file) => Alarm::with_counter(file),
        Err(_) => Alarm::unseen(),
    }
}

/// An eventfd that does not block, or the number of the error.
pub(super) fn eventfd() -> Result<File, i32> {
    // SAFETY: plain numbers; the result is checked.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: a new descriptor, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
}

impl Bell for EventFd {
    fn set(&self, rung: bool) {
        if self.rung.swap(rung, Ordering::Relaxed) == rung {
            return;
        }
        // One of each kind alternates with the other, so that neither can block or overflow; a program that reads the descriptor
        // itself loses a wake-up.
        let done = if rung {
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
