//! Mode A: a managed loop that gives packets to a callback, a batch at a time.

#![forbid(unsafe_code)]

mod group;
mod group_run;
mod port;
mod queue_monitor;
mod run;
mod serve;
mod stats;

use std::time::Duration;

pub use group::EngineGroup;
pub use group_run::GroupStopper;
pub use port::PortRefused;
pub use queue_monitor::QueueChange;
pub use run::Outcome;
pub use stats::{EngineStatistics, GroupStatistics, PortStatistics};

use crate::backend::{Alarm, machine};
use crate::error::{FluxError, Result};
use crate::packet::BatchSlots;
use crate::packet::PacketBatch;
use crate::poller::{Pacer, Poller};
use crate::socket::{FluxRaw, SocketRings};
use crate::stopper::Stopper;
use port::Port;

/// The most packets of a batch.
const MAX_BATCH: u32 = 4096;
/// The most ports of an engine.
const MAX_PORTS: usize = 1024;
/// How long a link may take nothing, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(1);

/// What an engine does with packets that shall leave through a port whose TX ring is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WhenFull {
    /// It takes no packets in before there is room for all of them in every port, so that no packet is lost within the engine. What
    /// arrives meanwhile waits in the RX rings, and beyond that is dropped and counted by the kernel. A copy for another UMEM that has no free
    /// frame is dropped all the same, and counted.
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
/// let here = FluxBuilder::new("veth0").build()?;
/// let there = FluxBuilder::new("veth2").umem(here.umem()).build()?;
/// let mut engine = FluxEngine::new(here);
/// engine.add_port(there)?;
/// let statistics = engine.run(|batch| {
///     let other = 1 - batch.port();
///     batch.for_each(|packet| packet.send_to(other).expect("there are two ports"));
/// })?;
/// println!("{statistics}");
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
///
/// Over veth and virtio, packets of a sender on the same machine come without their checksum: a forwarder
/// [completes](crate::proto::checksum::complete) it before they go on.
#[derive(Debug)]
pub struct FluxEngine {
    ports: Vec<Port>,
    /// Packets on their way from one port to another, by the port that they leave through.
    outboxes: Vec<PacketBatch>,
    slots: BatchSlots,
    pacer: Pacer,
    alarm: Alarm,
    when_full: WhenFull,
    copying: bool,
    patience: Duration,
    batches: u64,
    /// As many there were at the last wait by hand.
    rested: u64,
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
            outboxes: Vec::new(),
            slots: BatchSlots::new(batch),
            pacer: Poller::default().pacer(),
            alarm: machine::alarm(),
            when_full: WhenFull::default(),
            copying: false,
            patience: PATIENCE,
            batches: 0,
            rested: 0,
            stalls: 0,
            watch: 0,
        };
        engine.adopt(raw, PacketBatch::with_capacity(batch as usize));
        engine
    }

    fn adopt(&mut self, raw: FluxRaw, outbox: PacketBatch) {
        self.outboxes.push(outbox);
        self.ports.push(Port::new(raw, self.patience));
        if self.ports.len() > 1 {
            // Or one that only sends would end up with the frames of those that receive.
            let cycles = self.ports.iter_mut().map(|port| &mut port.raw.rings);
            cycles.for_each(SocketRings::leave_the_rest);
        }
    }

    /// Adds a port and returns its number, counted from 0 for the first.
    ///
    /// # Errors
    ///
    /// Hands the socket back when its UMEM is not that of the other ports, unless [`set_copying`](Self::set_copying) allows for copies, when
    /// the socket or the engine belongs to the parent of this process, and when there is no memory for one more batch.
    pub fn add_port(&mut self, raw: FluxRaw) -> Result<u32, PortRefused> {
        let refused = |raw, error| PortRefused {
            raw: Box::new(raw),
            error,
        };
        let first = self.ports[0].raw.umem();
        // So that a look at the process of the first port is one for all.
        for process in [first.process(), raw.umem().process()] {
            if let Err(error) = process.check("adding a port to an engine") {
                return Err(refused(raw, error));
            }
        }
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
        match PacketBatch::try_with_capacity(self.slots.len()) {
            Ok(outbox) => self.adopt(raw, outbox),
            Err(error) => return Err(refused(raw, error)),
        }
        Ok(self.ports.len() as u32 - 1)
    }

    /// How it waits for packets. The poller's statistics begin anew.
    pub fn set_poller(&mut self, poller: Poller) {
        self.pacer = poller.pacer();
    }

    /// The most packets that one call of the callback gets, 1 to 4096. Default 64.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for any other number, and [`Memory`](crate::ErrorKind::Memory) when there is not enough for so
    /// many. The batch is as it was then.
    pub fn set_batch(&mut self, packets: u32) -> Result<()> {
        if !(1..=MAX_BATCH).contains(&packets) {
            return Err(FluxError::invalid(
                format_args!("a batch of {packets} packets"),
                format_args!("it has 1 to {MAX_BATCH}"),
                "64 is a good size",
            ));
        }
        let slots = BatchSlots::try_new(packets)?;
        let outboxes = self.ports.iter();
        let outboxes = outboxes.map(|_| PacketBatch::try_with_capacity(packets as usize));
        self.outboxes = outboxes.collect::<Result<_>>()?;
        self.slots = slots;
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

    /// How long a port may keep packets to send without any of them leaving, before the run ends with an error of kind
    /// [`Stuck`](crate::ErrorKind::Stuck) that names the driver and the kernel. Default 1 s; [`Duration::MAX`]: for ever.
    ///
    /// It has packets to send when some wait in its TX ring, or more are out than half of that ring has slots. They stay where they are, and
    /// the engine can run on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
        for port in &mut self.ports {
            port.set_patience(patience);
        }
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
            ports: self.ports.iter().map(Port::statistics).collect(),
        }
    }
}

#[cold]
fn other_umem() -> FluxError {
    FluxError::invalid(
        "add a port to an engine",
        "its packets lie in another UMEM than those of the first port",
        "open it on the UMEM of the first port, or allow the engine to copy between ports (copying)",
    )
}
