//! A file descriptor that shows that there is something to receive, for a socket without one of the kernel's.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::errors::check;
use crate::kernel::{Alarm, Bell};

/// An eventfd, readable while it is rung.
#[derive(Debug)]
struct EventFd {
    fd: File,
    rung: bool,
}

/// A bell that is not rung; `None` when no more files can be opened.
pub(crate) fn bell() -> Option<Box<dyn Bell>> {
    let fd = eventfd().ok()?;
    Some(Box::new(EventFd { fd, rung: false }))
}

/// An alarm that is not rung. When no more files can be opened, who waits looks at it now and then.
pub(crate) fn alarm() -> Alarm {
    match eventfd() {
        Ok(file) => {
            let fd = file.as_raw_fd();
            Alarm::with_counter(file, fd)
        }
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
    fn set(&mut self, rung: bool) {
        if rung == self.rung {
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
        self.rung = rung;
    }

    fn fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}
