//! A descriptor that tasks wait for, in a runtime of tokio.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use tokio::io::Interest as Events;
use tokio::io::unix::AsyncFd;

use crate::backend::Interest;
use crate::backend::linux::errors::unexpected;
use crate::error::{ErrorKind, FluxError, Result, errno};

/// A duplicate of a socket's descriptor: a runtime takes each number once, and a socket has two halves.
#[derive(Debug)]
pub(crate) struct TaskFd(OwnedFd);

impl TaskFd {
    /// Of a descriptor that is open.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> Result<Self> {
        fd.try_clone_to_owned().map(Self).map_err(refusal)
    }

    /// Lets the runtime look at it, until the answer is dropped.
    pub(crate) fn readiness(&self, interest: Interest) -> Result<Readiness<BorrowedFd<'_>>> {
        Readiness::new(self.0.as_fd(), interest)
    }

    /// Lets the runtime look at it for good.
    pub(crate) fn into_readiness(self, interest: Interest) -> Result<Readiness> {
        Readiness::new(self.0, interest)
    }
}

/// A descriptor that the runtime looks at.
#[derive(Debug)]
pub(crate) struct Readiness<T: AsFd + AsRawFd = OwnedFd> {
    fd: AsyncFd<T>,
    events: Events,
}

impl<T: AsFd + AsRawFd> Readiness<T> {
    fn new(fd: T, interest: Interest) -> Result<Self> {
        let events = match interest {
            Interest::Receive => Events::READABLE,
            Interest::Send => Events::WRITABLE,
            Interest::Both => Events::READABLE | Events::WRITABLE,
        };
        // SAFETY: an owned or borrowed descriptor is open and the same for as long as the value lives; it goes down with the `AsyncFd`.
        let fd = unsafe { AsyncFd::register_with_interest(fd, events) };
        let fd = fd.map_err(|error| refusal(error.into_parts().1))?;
        Ok(Self { fd, events })
    }

    /// Waits until there were news since the last call. To be called after a look that found nothing, and followed by another one:
    /// what comes in between is not lost.
    pub(crate) async fn changed(&self) -> Result<()> {
        let mut guard = self.fd.ready(self.events).await.map_err(refusal)?;
        guard.clear_ready();
        Ok(())
    }
}

fn refusal(error: io::Error) -> FluxError {
    let tried = "letting tasks wait for a socket";
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => FluxError::new(
            ErrorKind::System,
            error.raw_os_error().unwrap_or(errno::EIO),
            tried,
            "too many files are open",
            "close some, or raise the limit (`ulimit -n`, LimitNOFILE=)",
        ),
        Some(number) => unexpected(tried, number),
        None => FluxError::new(
            ErrorKind::System,
            errno::EIO,
            tried,
            error,
            "wait while the runtime runs",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn each_half_hears_of_its_own_news_on_one_descriptor_in_one_runtime() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut here, mut there) = UnixStream::pair().unwrap();
            here.set_nonblocking(true).unwrap();
            let receiving = TaskFd::of(here.as_fd()).unwrap();
            let receiving = receiving.into_readiness(Interest::Receive).unwrap();
            let sending = TaskFd::of(here.as_fd()).unwrap();
            // It can be written to, which is no news to who receives.
            assert!(timeout(SHORT, receiving.changed()).await.is_err());
            let room = sending.readiness(Interest::Send).unwrap();
            timeout(LONG, room.changed()).await.unwrap().unwrap();
            drop(room);
            while here.write(&[0; 4096]).is_ok() {}
            let room = sending.readiness(Interest::Send).unwrap();
            assert!(timeout(SHORT, room.changed()).await.is_err());
            there.write_all(b"hello").unwrap();
            timeout(LONG, receiving.changed()).await.unwrap().unwrap();
            assert!(timeout(SHORT, receiving.changed()).await.is_err());
            there.set_nonblocking(true).unwrap();
            while there.read(&mut [0; 65_536]).is_ok() {}
            timeout(LONG, room.changed()).await.unwrap().unwrap();
        });
    }
}
