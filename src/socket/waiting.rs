//! How a socket, or one of its halves, waits: what ends its waits, and what has to be well meanwhile.

#![forbid(unsafe_code)]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::backend::machine::WaitFd;
use crate::backend::{BorrowedFd, Interest, Ready, Socket, StopSignal, WaitSet, machine};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::packet::Frames;
use crate::socket::FluxRaw;
use crate::socket::map_entry::MapEntry;
use crate::stopper::Stopper;

/// How long to sleep at a time while frames are short, because nobody tells when a packet is dropped.
pub(crate) const SHORT_OF_FRAMES: Duration = Duration::from_millis(2);

/// How long to sleep at a time while the TX ring has no room: a full completion ring keeps the kernel from sending, and nobody tells when
/// frames are in it.
pub(crate) const SHORT_OF_ROOM: Duration = Duration::from_millis(10);

/// What is tried, for an error.
pub(crate) const DESCRIPTOR: &str = "asking for the descriptor of a socket";

/// How often to look for frames before waiting for them.
const ROUNDS: u32 = 4;

/// The waits of a socket, or of one of its halves.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Made when somebody asks for a stopper.
    stop: OnceLock<StopSignal>,
    /// Made when somebody asks for a descriptor to wait for packets on.
    wait_fd: OnceLock<Box<WaitFd>>,
}

impl Waiting {
    /// A handle that ends a wait.
    pub(crate) fn stopper(&self) -> Stopper {
        Stopper {
            stop_signal: self.stop.get_or_init(machine::stop_signal).clone(),
        }
    }

    /// To be called before and after each sleep.
    ///
    /// # Errors
    ///
    /// [`Stopped`](ErrorKind::Stopped), once for a stop.
    #[inline]
    pub(crate) fn take_stop(&self) -> Result<()> {
        match self.stop.get() {
            Some(stop_signal) if stop_signal.is_raised() && stop_signal.reset() => Err(stopped()),
            _ => Ok(()),
        }
    }

    /// The descriptor to wait for packets on, of a socket with the descriptor `socket`.
    pub(crate) fn rx_fd(&self, socket: &dyn Socket) -> Result<BorrowedFd<'_>> {
        if let Some(wait_fd) = self.wait_fd.get() {
            return Ok(wait_fd.fd());
        }
        let wait_fd = Box::new(WaitFd::of(descriptor_of(socket)?)?);
        Ok(self.wait_fd.get_or_init(|| wait_fd).fd())
    }

    /// After a look, if somebody waits on the descriptor: makes it unreadable but for packets, and, while the receiving side is starved, which
    /// `refill` tells, for frames that come home.
    #[inline]
    pub(crate) fn settle(&self, frames: &Frames, refill: impl FnMut() -> bool) {
        if let Some(wait_fd) = self.wait_fd.get() {
            settle(wait_fd, frames, refill);
        }
    }

    /// One sleep, for at most `slice` of the time that is `left`, in which a stop, too, ends it, and the socket and its place in the XDP
    /// program are looked after.
    pub(crate) fn sleep(
        &self,
        socket: &dyn Socket,
        map_entry: Option<&MapEntry>,
        interest: Interest,
        slice: Option<Duration>,
        left: Option<Duration>,
    ) -> Result<Ready> {
        let wait_set = WaitSet {
            stop_signal: self.stop.get(),
            check: &|| map_entry.map_or(Ok(()), MapEntry::check),
            endless: left.is_none(),
            ..WaitSet::none()
        };
        socket.wait(interest, slice, &wait_set)
    }
}

fn settle(wait_fd: &WaitFd, frames: &Frames, mut refill: impl FnMut() -> bool) {
    wait_fd.clear();
    // Frames that come in between make it go round again; what is left is for the timer.
    for _ in 0..ROUNDS {
        if !refill() || frames.notify_on_return(wait_fd.waker()) {
            break;
        }
    }
}

impl FluxRaw {
    /// Sends everything in the TX ring and takes the frames back, for at most `timeout`.
    ///
    /// Returns whether the kernel has no packet left.
    ///
    /// # Errors
    ///
    /// [`Down`](crate::ErrorKind::Down), [`Gone`](crate::ErrorKind::Gone), [`Stopped`](crate::ErrorKind::Stopped).
    pub fn flush(&mut self, timeout: Duration) -> Result<bool> {
        const PAUSE: Duration = Duration::from_micros(50);
        self.umem.process().check("sending packets")?;
        let mut waited = Duration::ZERO;
        loop {
            self.wake_tx()?;
            self.reap();
            if self.rings.tx_outstanding() == 0 {
                return Ok(true);
            }
            if waited >= timeout {
                return Ok(false);
            }
            self.waiting.take_stop()?;
            waited += self.socket.pause(PAUSE);
        }
    }

    /// Waits until a packet has arrived or `timeout` is over; `None` waits for ever. Returns whether one has.
    ///
    /// It may return early without one.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_rx(&mut self, timeout: Option<Duration>) -> Result<bool> {
        if !self.has_arrived() {
            self.wait(Interest::Receive, timeout)?;
        }
        Ok(self.rings.rx_available())
    }

    /// Whether a packet waits in the RX ring.
    #[inline]
    pub(crate) fn has_arrived(&mut self) -> bool {
        self.umem.process().is_current() && self.rings.rx_available()
    }

    /// Waits for packets, for free slots in the TX ring, or for either; `None` waits for ever. It may return early, as after a signal.
    ///
    /// It takes sent frames back and tops the fill ring up first, so that a packet can arrive and a slot become free; while frames or
    /// slots are short it goes on to do so. The kernel calls the TX ring free when it is at most half full.
    ///
    /// # Errors
    ///
    /// - [`Gone`](crate::ErrorKind::Gone) when the interface was removed or moved to another network namespace, noticed within a tenth of a
    ///   second, or its XDP program taken off, noticed within a second;
    /// - [`Stopped`](crate::ErrorKind::Stopped) when a [stopper](Self::stopper) ended it. A wait of no time leaves a stop to the next one.
    pub fn wait(&mut self, interest: Interest, timeout: Option<Duration>) -> Result<Ready> {
        self.umem.process().check("waiting for packets")?;
        let mut patience = None;
        loop {
            if timeout != Some(Duration::ZERO) {
                self.waiting.take_stop()?;
            }
            self.rings.refill();
            let left = patience.as_mut().map(Patience::left).or(timeout);
            let slice = left.into_iter().chain(self.longest_sleep(interest)).min();
            if slice != left && patience.is_none() {
                patience = timeout.map(Patience::new);
            }
            let ready = self.waiting.sleep(
                &*self.socket,
                self.map_entry.as_ref(),
                interest,
                slice,
                left,
            )?;
            if ready != Ready::default() || slice == left {
                if timeout != Some(Duration::ZERO) && !ready.receive && !ready.send {
                    self.waiting.take_stop()?;
                }
                return Ok(ready);
            }
            if let (Some(patience), Some(slice)) = (&mut patience, slice) {
                patience.slept(slice);
            }
        }
    }

    /// How long to sleep at a time, to look for frames.
    fn longest_sleep(&self, interest: Interest) -> Option<Duration> {
        match interest {
            Interest::Receive | Interest::Both if self.rings.is_short() => Some(SHORT_OF_FRAMES),
            Interest::Receive => None,
            Interest::Send | Interest::Both => Some(SHORT_OF_ROOM),
        }
    }

    /// A handle that ends a [`wait`](Self::wait) or a [`flush`](Self::flush), from any thread and from a signal handler.
    ///
    /// A stop that comes while none is under way ends the next `wait` with time, or the next `flush` that has to wait. After
    /// [`split`](Self::split), or in an engine, a stopper of the socket has no effect: halves and engines have stoppers of their own.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let _running = network.run()?;
    /// # let nic = network.nic("eth0")?;
    /// use fluxcap::{ErrorKind, FluxBuilder};
    ///
    /// let mut raw = FluxBuilder::new(&nic).build()?;
    /// let stopper = raw.stopper();
    /// std::thread::spawn(move || stopper.stop());
    /// let error = loop {
    ///     if let Err(error) = raw.wait_rx(None) {
    ///         break error;
    ///     }
    /// };
    /// assert_eq!(error.kind(), ErrorKind::Stopped);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.waiting.stopper()
    }

    /// Whether packets can still come and go, for a loop that does not wait: to be called when it found nothing.
    ///
    /// Cheap: it reads a coarse clock, and asks the kernel at most ten times a second for the interface and once a second for the XDP program.
    ///
    /// # Errors
    ///
    /// [`Gone`](crate::ErrorKind::Gone) when the interface was removed or moved to another network namespace, or its XDP program taken off.
    ///
    /// ```no_run
    /// # let mut raw = fluxcap::FluxBuilder::new("eth0").build()?;
    /// loop {
    ///     if raw.recv_each(64, |packet| println!("{} bytes", packet.len())) == 0 {
    ///         raw.check()?;
    ///     }
    /// }
    /// # #[allow(unreachable_code)]
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    #[inline]
    pub fn check(&self) -> Result<()> {
        self.socket.check()?;
        self.map_entry.as_ref().map_or(Ok(()), MapEntry::check)
    }

    /// A file descriptor to wait for packets on, together with others.
    ///
    /// It is readable while packets wait; when frames come home that the fill ring was out of; and about once a second. Then
    /// [receive](Self::receive) or [refill](Self::refill), and [`check`](Self::check) when nothing came.
    ///
    /// # Errors
    ///
    /// [`System`](ErrorKind::System) when too many files are open, [`Unsupported`](ErrorKind::Unsupported) elsewhere than on Linux.
    pub fn rx_fd(&self) -> Result<BorrowedFd<'_>> {
        self.umem.process().check(DESCRIPTOR)?;
        self.waiting.rx_fd(&*self.socket)
    }

    /// Sees to it that the descriptor shows what is worth a look.
    #[inline]
    pub(super) fn settle(&mut self) {
        let rings = &mut self.rings;
        self.waiting
            .settle(self.umem.frames(), || rings.is_starved_after_refill());
    }
}

/// The descriptor of a socket, which gets a `ReadyFd` if it has none of its own.
pub(crate) fn descriptor_of(socket: &dyn Socket) -> Result<BorrowedFd<'_>> {
    if let Some(fd) = socket.fd() {
        return Ok(fd);
    }
    // A simulated socket gets one when somebody asks.
    socket.notify_through(machine::ready_fd()?).ok_or_else(|| {
        FluxError::new(
            ErrorKind::Unsupported,
            errno::EOPNOTSUPP,
            DESCRIPTOR,
            "sockets of this backend have none",
            "wait in a call",
        )
    })
}

#[cold]
fn stopped() -> FluxError {
    FluxError::new(
        ErrorKind::Stopped,
        errno::ECANCELED,
        "waiting",
        "a stop ended it",
        "wait again, or close the socket",
    )
}

/// A time that runs by the clock, or by what was slept: a simulated network sleeps in no time.
#[derive(Debug)]
pub(crate) struct Patience {
    left: Duration,
    end: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            left: timeout,
            // A time beyond what the clock can count is as good as for ever.
            end: Instant::now().checked_add(timeout),
        }
    }

    pub(crate) fn left(&mut self) -> Duration {
        match self.end {
            Some(end) => self.left.min(end.saturating_duration_since(Instant::now())),
            None => self.left,
        }
    }

    pub(crate) fn slept(&mut self, slice: Duration) {
        self.left = self.left.saturating_sub(slice);
    }
}
