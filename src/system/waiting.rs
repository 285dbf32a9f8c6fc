//! What ends the waits of the halves, and how to wait by other means.

#![forbid(unsafe_code)]

use super::{FluxRx, FluxTx};
use crate::error::Result;
use crate::kernel::BorrowedFd;
use crate::raw::{DESCRIPTOR, Place, descriptor_of};
use crate::stopper::Stopper;

impl FluxRx {
    /// A handle that ends a wait of this half, from any thread and from a signal handler. A stop that comes while none is under way ends the
    /// next.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.waiting.stopper()
    }

    /// Whether packets can still come, for a loop that does not wait: to be called when it found nothing.
    ///
    /// Cheap: it reads a coarse clock, and asks the kernel at most ten times a second for the interface and once a second for the XDP program.
    ///
    /// # Errors
    ///
    /// [`Gone`](crate::ErrorKind::Gone) when the interface was removed or moved to another network namespace, or its XDP program taken off.
    ///
    /// ```no_run
    /// # let (mut rx, _tx) = fluxcap::FluxBuilder::new("eth0").build()?.split();
    /// loop {
    ///     if rx.recv_each(64, |packet| println!("{} bytes", packet.len())) == 0 {
    ///         rx.check()?;
    ///     }
    /// }
    /// # #[allow(unreachable_code)]
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    #[inline]
    pub fn check(&self) -> Result<()> {
        self.shared.socket.check()?;
        self.place.as_ref().map_or(Ok(()), Place::check)
    }

    /// A file descriptor to wait for packets on, together with others.
    ///
    /// It is readable while packets wait; when frames come home that the fill ring was out of, from whatever thread; and about once a second,
    /// so that whoever waits sees whether the interface is still there. Then receive, without waiting, and [`check`](Self::check) when nothing
    /// came.
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System) when too many files are open, [`Unsupported`](crate::ErrorKind::Unsupported) elsewhere than on Linux.
    pub fn fd(&self) -> Result<BorrowedFd<'_>> {
        self.shared.umem.process().check(DESCRIPTOR)?;
        self.waiting.rx_fd(&*self.shared.socket)
    }
}

impl FluxTx {
    /// A handle that ends a [`wait`](Self::wait) or a [`flush`](Self::flush) of this half, from any thread and from a signal handler. A stop
    /// that comes while none is under way ends the next that has to wait.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.waiting.stopper()
    }

    /// The socket's file descriptor, writable while the TX ring is at most half full, to be waited for together with others.
    ///
    /// Wake-ups may be spurious. A duplicate of it keeps the kernel's socket open, and its frames in
    /// [quarantine](crate::Accounting::quarantined), when both halves are dropped.
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System) when too many files are open, [`Unsupported`](crate::ErrorKind::Unsupported) elsewhere than on Linux.
    pub fn fd(&self) -> Result<BorrowedFd<'_>> {
        self.shared.umem.process().check(DESCRIPTOR)?;
        descriptor_of(&*self.shared.socket)
    }
}
