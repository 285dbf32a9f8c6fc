//! What an engine did, in numbers.

#![forbid(unsafe_code)]

use std::fmt;
use std::ops::{AddAssign, Sub};

use crate::stats::PollerStatistics;

/// What passed through one port of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PortStatistics {
    /// Packets that came in and were shown to the callback.
    pub received: u64,
    /// Packets that the kernel took to send; what a device drops then, [`FluxRaw::send`](crate::FluxRaw::send) tells of.
    pub sent: u64,
    /// Packets that came in and were recycled, as the callback left them.
    pub recycled: u64,
    /// Packets that should have gone out and found no room ([`WhenFull::Drop`](super::WhenFull::Drop)).
    pub dropped: u64,
    /// Packets among the sent ones that were copied from another UMEM.
    pub copied: u64,
}

impl AddAssign for PortStatistics {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.sent += other.sent;
        self.recycled += other.recycled;
        self.dropped += other.dropped;
        self.copied += other.copied;
    }
}

impl Sub for PortStatistics {
    type Output = Self;

    /// What happened since `earlier`.
    fn sub(self, earlier: Self) -> Self {
        Self {
            received: self.received - earlier.received,
            sent: self.sent - earlier.sent,
            recycled: self.recycled - earlier.recycled,
            dropped: self.dropped - earlier.dropped,
            copied: self.copied - earlier.copied,
        }
    }
}

impl fmt::Display for PortStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            received,
            sent,
            recycled,
            dropped,
            copied,
        } = self;
        write!(f, "received {received}, sent {sent}, recycled {recycled}")?;
        if *dropped > 0 {
            write!(f, ", dropped {dropped}")?;
        }
        if *copied > 0 {
            write!(f, ", copied {copied}")?;
        }
        Ok(())
    }
}

/// What an engine did. Printable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EngineStatistics {
    /// Calls of the callback.
    pub batches: u64,
    /// Times that a port was not looked at because a TX ring was full.
    pub stalls: u64,
    /// The turns without packets.
    pub poller: PollerStatistics,
    /// Each port, in the order in which the engine got them.
    pub ports: Vec<PortStatistics>,
}

impl EngineStatistics {
    /// The sum over all ports.
    #[must_use]
    pub fn total(&self) -> PortStatistics {
        let mut sum = PortStatistics::default();
        for port in &self.ports {
            sum += *port;
        }
        sum
    }

    /// All but the ports, to be printed.
    pub(super) fn turns(&self) -> Turns<'_> {
        Turns(self)
    }

    /// What happened since `earlier`, of the same engine.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            batches: self.batches - earlier.batches,
            stalls: self.stalls - earlier.stalls,
            poller: PollerStatistics {
                spins: self.poller.spins - earlier.poller.spins,
                sleeps: self.poller.sleeps - earlier.poller.sleeps,
                switches: self.poller.switches - earlier.poller.switches,
            },
            ports: self
                .ports
                .iter()
                .enumerate()
                .map(|(port, &now)| now - earlier.ports.get(port).copied().unwrap_or_default())
                .collect(),
        }
    }
}

impl fmt::Display for EngineStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, port) in self.ports.iter().enumerate() {
            writeln!(f, "port {number}: {port}")?;
        }
        self.turns().fmt(f)
    }
}

/// How an engine spent its turns, as one line.
pub(super) struct Turns<'a>(&'a EngineStatistics);

impl fmt::Display for Turns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PollerStatistics {
            spins,
            sleeps,
            switches,
        } = self.0.poller;
        write!(
            f,
            "{} batches, {spins} spins, {sleeps} sleeps, {switches} switches",
            self.0.batches
        )?;
        if self.0.stalls > 0 {
            write!(f, ", {} stalls", self.0.stalls)?;
        }
        Ok(())
    }
}
