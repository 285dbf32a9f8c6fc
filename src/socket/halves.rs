//! Mode B: a socket in two owned halves, one to receive and one to send, each for a thread of its own.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use super::{
    DESCRIPTOR, FluxRaw, FluxRx, FluxTx, MapEntry, SHORT_OF_ROOM, SocketRings, Waiting, Watchdog,
    descriptor_of,
};
use crate::backend::{BorrowedFd, Interest};
use crate::error::Result;
use crate::packet::FramePool;
use crate::poller::Poller;
use crate::stopper::Stopper;

/// How long nothing may move before the sending half says so.
const PATIENCE: Duration = Duration::from_secs(1);

impl FluxRaw {
    /// Mode B: the socket as two halves, which know nothing of each other and may go to different threads.
    ///
    /// It may be done at any time: packets that you hold, that stand in a ring or that are being sent stay good. Either half may be dropped
    /// first. When the receiving half is, no more packets come, and the other one still sends; what the kernel has of the dropped half's
    /// frames comes home when both are gone.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # nic.inject(0, &[0; 60])?;
    /// use fluxcap::{FluxBuilder, PacketBatch};
    ///
    /// let (mut rx, mut tx) = FluxBuilder::new(&nic).build()?.split();
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// std::thread::spawn(move || {
    ///     let mut batch = PacketBatch::with_capacity(64);
    ///     rx.recv(&mut batch).unwrap();
    ///     sender.send(batch).unwrap();
    /// });
    /// let mut batch = receiver.recv()?;
    /// assert_eq!(tx.send(&mut batch)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn split(self) -> (FluxRx, FluxTx) {
        let Self {
            map_entry,
            rings,
            socket,
            umem,
            link,
            interface,
            report,
            // Each half has a stopper of its own.
            waiting: _,
        } = self;
        let SocketRings {
            rx_side,
            tx_side,
            lender,
            pool,
        } = rings;
        let (receiver, sender) = lender.split(tx_side.outstanding() as u32);
        let free = FramePool::new(sender.frames().clone());
        let shared = Arc::new(Shared {
            socket,
            umem,
            link,
            interface,
            report,
        });
        let rx = FluxRx {
            map_entry,
            rx_side,
            lender: receiver,
            pool,
            pacer: Poller::default().pacer(),
            waiting: Waiting::default(),
            shared: shared.clone(),
        };
        let tx = FluxTx {
            tx_side,
            lender: sender,
            pool: free,
            watchdog: Watchdog::new(PATIENCE),
            unkicked: false,
            waiting: Waiting::default(),
            shared,
        };
        (rx, tx)
    }
}

/// How long to pause at a time until all packets have left.
const PAUSE: Duration = Duration::from_micros(50);

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
        self.map_entry.as_ref().map_or(Ok(()), MapEntry::check)
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
    /// Sends everything in the TX ring and takes the frames back, for at most `timeout`.
    ///
    /// Returns whether the kernel has no packet left.
    ///
    /// # Errors
    ///
    /// [`Down`](crate::ErrorKind::Down), [`Gone`](crate::ErrorKind::Gone), [`Stuck`](crate::ErrorKind::Stuck) or
    /// [`Stopped`](crate::ErrorKind::Stopped); the packets stay in the ring.
    pub fn flush(&mut self, timeout: Duration) -> Result<bool> {
        let mut waited = Duration::ZERO;
        loop {
            self.kick()?;
            self.take_back();
            if self.tx_side.outstanding() == 0 {
                return Ok(true);
            }
            if waited >= timeout {
                return Ok(false);
            }
            self.waiting.take_stop()?;
            waited += self.shared.socket.pause(PAUSE);
        }
    }

    /// Waits until the TX ring has room or `timeout` is over; `None` waits for ever. Returns whether it has: `false` also when a signal ended
    /// a sleep, so that the program can look at what its handler did, and when nothing can ever leave on a simulated network.
    ///
    /// It takes sent frames back and calls the kernel meanwhile. If it has to wait, then until the ring is at most half full.
    ///
    /// # Errors
    ///
    /// [`Down`](crate::ErrorKind::Down), [`Gone`](crate::ErrorKind::Gone), [`Stuck`](crate::ErrorKind::Stuck) or
    /// [`Stopped`](crate::ErrorKind::Stopped). A wait of no time leaves a stop to the next one.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<bool> {
        let mut left = timeout.unwrap_or(Duration::MAX);
        loop {
            self.kick()?;
            if self.room() > 0 {
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
            self.waiting.take_stop()?;
            let slice = left.min(SHORT_OF_ROOM);
            let socket = &*self.shared.socket;
            let ready = self
                .waiting
                .sleep(socket, None, Interest::Send, Some(slice), timeout)?;
            if ready.interrupted {
                self.kick()?;
                return Ok(self.room() > 0);
            }
            if timeout.is_some() {
                left -= slice;
            }
        }
    }

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
