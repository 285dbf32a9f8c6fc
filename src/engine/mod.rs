//! Mode A: a managed loop that gives packets to a callback, a batch at a time.

#![forbid(unsafe_code)]

mod outcome;
mod port;
mod stats;
mod stopper;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

pub use outcome::Outcome;
pub use port::PortRefused;
pub use stats::{EngineStatistics, PortStatistics};
pub use stopper::Stopper;

use crate::batch::PacketBatch;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::kernel::{Alarm, Company, Interest, machine};
use crate::packet::{BatchRef, Slot, Through};
use crate::poller::{Idle, Pacer, Poller};
use crate::raw::FluxRaw;
use port::Port;

/// The most packets of a batch.
const MAX_BATCH: u32 = 4096;
/// The most ports of an engine.
const MAX_PORTS: usize = 1024;
/// Busy turns between two looks at the clock.
const TURNS: u32 = 64;
/// The longest sleep of an engine with several ports: each sleep notices the removal of one interface.
const ROUND: Duration = Duration::from_millis(100);

/// What an engine does with packets that shall leave through a port whose TX ring is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WhenFull {
    /// It takes no packets in before there is room for all of them in every port, so that no packet is lost within the engine. What
    /// arrives meanwhile waits in the RX rings, and beyond that is dropped and counted by the kernel.
    #[default]
    Wait,
    /// It drops them and counts them, so that a slow port never holds up another one.
    Drop,
}

/// Mode A: owns one or more sockets and gives what they receive to a callback, a batch at a time.
///
/// What the callback leaves in the batch is recycled, what it [sends](crate::PortPacket::send) is sent. Refilling, taking sent frames back,
/// waking the kernel, and [waiting](Poller) are the engine's. Sockets on one UMEM make a forwarder that never copies a packet: each is
/// a port, and a packet may [leave through](crate::PortPacket::send_to) any of them.
///
/// `Send`; one thread at a time. A [`Stopper`] stops it from any thread and from a signal handler.
///
/// ```no_run
/// use fluxcap::{FluxBuilder, FluxEngine};
///
/// // Everything that comes in through one interface goes out through the other.
/// let here = FluxBuilder::new("eth0").build()?;
/// let there = FluxBuilder::new("eth1").umem(here.umem()).build()?;
/// let mut engine = FluxEngine::new(here);
/// engine.add_port(there)?;
/// let statistics = engine.run(|batch| {
///     let other = 1 - batch.port();
///     batch.for_each(|packet| packet.send_to(other).expect("there are two ports"));
/// })?;
/// println!("{statistics}");
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Debug)]
pub struct FluxEngine {
    ports: Vec<Port>,
    /// What to wait for at each port, if it has a descriptor.
    fds: Vec<(i32, Interest)>,
    /// Packets on their way from one port to another, by the port that they leave through.
    outboxes: Vec<PacketBatch>,
    slots: Box<[Slot]>,
    pacer: Pacer,
    alarm: Alarm,
    when_full: WhenFull,
    copying: bool,
    batches: u64,
    stalls: u64,
    /// The port that keeps watch in the next sleep.
    watch: usize,
}

impl FluxEngine {
    /// An engine with one port, a batch of 64 packets and the default [`Poller`].
    #[must_use]
    pub fn new(raw: FluxRaw) -> Self {
        let batch = 64;
        let mut engine = Self {
            ports: Vec::new(),
            fds: Vec::new(),
            outboxes: Vec::new(),
            slots: slots(batch),
            pacer: Poller::default().pacer(),
            alarm: machine::alarm(),
            when_full: WhenFull::default(),
            copying: false,
            batches: 0,
            stalls: 0,
            watch: 0,
        };
        engine.adopt(raw);
        engine
    }

    fn adopt(&mut self, raw: FluxRaw) {
        self.fds.push((-1, Interest::Receive));
        self.outboxes.push(outbox(self.batch()));
        self.ports.push(Port::new(raw));
    }

    /// Adds a port and returns its number, counted from 0 for the first.
    ///
    /// # Errors
    ///
    /// Hands the socket back when its UMEM is not that of the other ports, unless [`set_copying`](Self::set_copying) allows for copies.
    pub fn add_port(&mut self, raw: FluxRaw) -> Result<u32, PortRefused> {
        let refused = |raw, error| PortRefused {
            raw: Box::new(raw),
            error,
        };
        let first = self.ports[0].raw.umem();
        if !self.copying && !first.is_same(raw.umem()) {
            return Err(refused(raw, other_umem()));
        }
        if self.ports.len() == MAX_PORTS {
            let error = FluxError::invalid(
                "add a port to an engine",
                format_args!("it has {MAX_PORTS}"),
                "use a second engine",
            );
            return Err(refused(raw, error));
        }
        self.adopt(raw);
        Ok(self.ports.len() as u32 - 1)
    }

    /// How it waits for packets.
    pub fn set_poller(&mut self, poller: Poller) {
        self.pacer = poller.pacer();
    }

    /// The most packets that one call of the callback gets, 1 to 4096. Default 64.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) for any other number.
    pub fn set_batch(&mut self, packets: u32) -> Result<()> {
        if !(1..=MAX_BATCH).contains(&packets) {
            return Err(FluxError::invalid(
                format_args!("a batch of {packets} packets"),
                format_args!("it has 1 to {MAX_BATCH}"),
                "64 is a good size",
            ));
        }
        self.slots = slots(packets);
        self.outboxes.fill_with(|| outbox(packets));
        Ok(())
    }

    /// What to do with packets for a port that is full. Default [`WhenFull::Wait`].
    pub fn set_when_full(&mut self, when_full: WhenFull) {
        self.when_full = when_full;
    }

    /// Whether ports may work on different UMEMs, so that packets between them are copied. Default no.
    ///
    /// The copies are counted in [`PortStatistics::copied`]. What is already mixed stays so.
    pub fn set_copying(&mut self, allowed: bool) {
        self.copying = allowed;
    }

    /// The most packets that one call of the callback gets.
    #[must_use]
    pub fn batch(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The number of ports.
    #[must_use]
    pub fn ports(&self) -> u32 {
        self.ports.len() as u32
    }

    /// The socket of a port.
    ///
    /// # Panics
    ///
    /// When there is no such port.
    #[must_use]
    pub fn port(&self, port: u32) -> &FluxRaw {
        &self.ports[port as usize].raw
    }

    /// Ends the engine and gives its sockets back, in the order in which it got them.
    #[must_use]
    pub fn into_ports(self) -> Vec<FluxRaw> {
        self.ports.into_iter().map(|port| port.raw).collect()
    }

    /// A handle that ends a run from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper {
            alarm: self.alarm.clone(),
        }
    }

    /// What it did in all its runs.
    #[must_use]
    pub fn statistics(&self) -> EngineStatistics {
        EngineStatistics {
            batches: self.batches,
            stalls: self.stalls,
            poller: self.pacer.statistics(),
            ports: self.ports.iter().map(|port| port.statistics).collect(),
        }
    }

    /// Gives packets to `callback` until a [`Stopper`] ends it, and returns what happened in this run.
    ///
    /// A stop that came before ends it at once. An error that the callback returns ends the run with that error, after the packets of its
    /// batch went where it wanted them; a panic of the callback ends it likewise, with the batch recycled. The engine can run again.
    ///
    /// # Errors
    ///
    /// [`Callback`](ErrorKind::Callback); [`Gone`](ErrorKind::Gone), [`Down`](ErrorKind::Down): an interface.
    pub fn run<O: Outcome>(
        &mut self,
        callback: impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<EngineStatistics> {
        self.run_until(None, callback)
    }

    /// [`run`](Self::run) for at most `time`.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_for<O: Outcome>(
        &mut self,
        time: Duration,
        callback: impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<EngineStatistics> {
        // A time beyond what the clock can count is as good as for ever.
        self.run_until(Instant::now().checked_add(time), callback)
    }

    /// One turn: a batch of each port that has packets, and whatever the kernel needs. It never waits. Returns how many packets there were.
    ///
    /// For a loop of your own. A stop is none of its business.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_once<O: Outcome>(
        &mut self,
        mut callback: impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<u32> {
        self.turn(&mut callback)
    }

    /// Waits as the poller says, for packets, a stop or the end of `timeout`; `None`: for no end. It may return early.
    ///
    /// To be called after a turn of [`run_once`](Self::run_once) without packets.
    ///
    /// # Errors
    ///
    /// [`Gone`](ErrorKind::Gone): an interface was removed.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.idle(timeout)
    }

    fn run_until<O: Outcome>(
        &mut self,
        end: Option<Instant>,
        mut callback: impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<EngineStatistics> {
        let before = self.statistics();
        let mut turns = 0;
        while !self.alarm.is_rung() {
            let busy = self.turn(&mut callback)? > 0;
            if busy {
                self.pacer.worked();
                turns += 1;
                if turns < TURNS {
                    continue;
                }
                turns = 0;
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(self.statistics().since(&before));
            }
            if !busy {
                self.idle(left)?;
            }
        }
        self.alarm.reset();
        Ok(self.statistics().since(&before))
    }

    #[inline]
    fn turn<O: Outcome>(
        &mut self,
        callback: &mut impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<u32> {
        let mut total = 0;
        let mut result = Ok(());
        for port in 0..self.ports.len() {
            match self.serve(port, callback) {
                Ok(count) => total += count,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        for port in &mut self.ports {
            port.turn_over()?;
        }
        result.map(|()| total)
    }

    /// Gives a batch of one port to the callback and sends what it wants sent.
    #[inline]
    fn serve<O: Outcome>(
        &mut self,
        number: usize,
        callback: &mut impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<u32> {
        let max = match self.when_full {
            WhenFull::Wait => self.room(),
            WhenFull::Drop => self.batch(),
        };
        if max == 0 {
            self.stalls += 1;
            return Ok(0);
        }
        let through = Through {
            port: number as u32,
            ports: self.ports.len() as u32,
        };
        let port = &mut self.ports[number];
        let shown =
            port.raw
                .cycle
                .burst(max, &mut self.slots, through, &mut self.outboxes, |batch| {
                    guarded(batch, callback)
                });
        let Some((settled, result)) = shown else {
            return Ok(0);
        };
        self.batches += 1;
        port.settle(settled);
        if settled.passed_on > 0 {
            self.post()?;
        }
        result?;
        match settled.unfit {
            Some(index) => Err(unfit(index)),
            None => Ok(settled.seen as u32),
        }
    }

    /// The number of packets that every port has room for, up to a batch.
    #[inline]
    fn room(&mut self) -> u32 {
        let batch = self.batch();
        let rooms = self.ports.iter_mut();
        rooms.fold(batch, |least, port| {
            least.min(port.raw.cycle.tx_room_for(batch))
        })
    }

    /// Sends what came in through one port and shall leave through another.
    fn post(&mut self) -> Result<()> {
        for (port, outbox) in self.ports.iter_mut().zip(&mut self.outboxes) {
            port.post(outbox)?;
        }
        Ok(())
    }

    /// After a turn without packets: waits as the poller says, for at most `timeout`.
    fn idle(&mut self, timeout: Option<Duration>) -> Result<()> {
        match self.pacer.decide() {
            Idle::Spin => {
                self.ports.iter().for_each(|port| port.raw.socket.spin());
                Ok(())
            }
            Idle::Look => {
                let none = Company::none();
                self.ports.iter().try_for_each(|port| {
                    let socket = &port.raw.socket;
                    socket
                        .wait(Interest::Receive, Some(Duration::ZERO), &none)
                        .map(drop)
                })
            }
            Idle::Sleep => self.sleep(timeout),
        }
    }

    /// Sleeps until a port has packets, or, when packets wait for a full one, until that has room.
    fn sleep(&mut self, timeout: Option<Duration>) -> Result<()> {
        let stalled = self.when_full == WhenFull::Wait && self.room() == 0;
        let interest = if stalled {
            Interest::Send
        } else {
            Interest::Receive
        };
        let ports = &self.ports;
        for (port, (fd, what)) in ports.iter().zip(&mut self.fds) {
            let awaited = !stalled || port.raw.cycle.tx_is_full();
            *fd = port.raw.socket.fd().filter(|_| awaited).unwrap_or(-1);
            *what = interest;
        }
        let also = || match stalled {
            true => !ports.iter().any(|port| port.raw.cycle.tx_is_full()),
            false => ports.iter().any(|port| port.raw.cycle.rx_occupied() > 0),
        };
        let company = Company {
            fds: &self.fds,
            alarm: Some(&self.alarm),
            also: &also,
        };
        // Each socket sees only itself lose its interface: they take turns.
        let timeout = match (ports.len(), timeout) {
            (1, timeout) => timeout,
            (_, timeout) => Some(timeout.unwrap_or(ROUND).min(ROUND)),
        };
        self.watch = (self.watch + 1) % ports.len();
        let keeper = &ports[self.watch].raw.socket;
        keeper.wait(interest, timeout, &company).map(drop)
    }
}

/// Calls the callback; a panic becomes an error, and the whole batch is recycled.
#[inline]
fn guarded<O: Outcome>(
    batch: &mut BatchRef<'_>,
    callback: &mut impl FnMut(&mut BatchRef<'_>) -> O,
) -> Result<()> {
    match catch_unwind(AssertUnwindSafe(|| callback(batch).into_result())) {
        Ok(result) => result,
        Err(panic) => {
            batch.recycle_all();
            Err(outcome::panicked(&*panic))
        }
    }
}

fn slots(batch: u32) -> Box<[Slot]> {
    vec![Slot::EMPTY; batch as usize].into()
}

fn outbox(batch: u32) -> PacketBatch {
    PacketBatch::with_capacity(batch as usize)
}

#[cold]
fn other_umem() -> FluxError {
    FluxError::invalid(
        "add a port to an engine",
        "its packets lie in another UMEM than those of the first port",
        "build it with .umem(first.umem()), or allow for copies with set_copying(true)",
    )
}

#[cold]
fn unfit(index: usize) -> FluxError {
    FluxError::new(
        ErrorKind::Invalid,
        errno::EMSGSIZE,
        format_args!("send packet {index} of a batch"),
        "the callback made it leave its frame, or named a port that is not there",
        "keep data and len within the frame, and send through a port of this engine",
    )
}
