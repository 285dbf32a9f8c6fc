//! What an engine did, and what the engines of a group did, in numbers.

#![forbid(unsafe_code)]

use std::fmt;
use std::ops::{AddAssign, Sub};
use std::time::Duration;

use crate::engine::queue_monitor::QueueChange;
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

/// What the engines of a group did. Printable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GroupStatistics {
    /// Each engine, in the order in which the group got them.
    pub engines: Vec<EngineStatistics>,
    /// How long they ran, from the start of the first to the end of the last.
    pub time: Duration,
    /// Changes of the number of queues of an interface, in the order in which they were seen.
    pub queue_changes: Vec<QueueChange>,
}

impl GroupStatistics {
    /// The sum over all ports of all engines.
    #[must_use]
    pub fn total(&self) -> PortStatistics {
        let mut sum = PortStatistics::default();
        for engine in &self.engines {
            sum += engine.total();
        }
        sum
    }

    /// Calls of the callbacks, of all engines.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.engines.iter().map(|engine| engine.batches).sum()
    }

    /// Turns in which packets waited because a TX ring was full, of all engines.
    #[must_use]
    pub fn stalls(&self) -> u64 {
        self.engines.iter().map(|engine| engine.stalls).sum()
    }

    /// The turns without packets, of all engines.
    #[must_use]
    pub fn poller(&self) -> PollerStatistics {
        let mut sum = PollerStatistics::default();
        for engine in &self.engines {
            sum.spins += engine.poller.spins;
            sum.sleeps += engine.poller.sleeps;
            sum.switches += engine.poller.switches;
        }
        sum
    }

    /// Adds what happened in another run.
    pub(super) fn add(&mut self, run: &Self) {
        self.time += run.time;
        self.queue_changes.extend_from_slice(&run.queue_changes);
    }
}

impl fmt::Display for GroupStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, engine) in self.engines.iter().enumerate() {
            match &engine.ports[..] {
                [port] => writeln!(f, "engine {number}: {port}; {}", engine.turns())?,
                ports => {
                    for (port, statistics) in ports.iter().enumerate() {
                        writeln!(f, "engine {number} port {port}: {statistics}")?;
                    }
                    writeln!(f, "engine {number}: {}", engine.turns())?;
                }
            }
        }
        let total = self.total();
        write!(f, "all: {total}; {:.1} s", self.time.as_secs_f64())?;
        // Less says nothing of a rate.
        if self.time >= Duration::from_millis(1) {
            let rate = total.received as f64 / self.time.as_secs_f64();
            write!(f, ", {rate:.0} received/s")?;
        }
        for change in &self.queue_changes {
            write!(f, "\n{change}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(ports: &[(u64, u64)], stalls: u64) -> EngineStatistics {
        EngineStatistics {
            batches: 3,
            stalls,
            poller: PollerStatistics {
                spins: 4,
                sleeps: 5,
                switches: 6,
            },
            ports: ports
                .iter()
                .map(|&(received, sent)| PortStatistics {
                    received,
                    sent,
                    recycled: received - sent,
                    ..PortStatistics::default()
                })
                .collect(),
        }
    }

    #[test]
    fn statistics_of_a_group_add_up_and_read_well() {
        let statistics = GroupStatistics {
            engines: vec![engine(&[(10, 4)], 0), engine(&[(20, 5), (30, 0)], 7)],
            time: Duration::from_millis(1500),
            queue_changes: Vec::new(),
        };
        let total = statistics.total();
        assert_eq!((total.received, total.sent, total.recycled), (60, 9, 51));
        assert_eq!((statistics.batches(), statistics.stalls()), (6, 7));
        let poller = statistics.poller();
        assert_eq!((poller.spins, poller.sleeps, poller.switches), (8, 10, 12));
        let expected = "\
engine 0: received 10, sent 4, recycled 6; 3 batches, 4 spins, 5 sleeps, 6 switches
engine 1 port 0: received 20, sent 5, recycled 15
engine 1 port 1: received 30, sent 0, recycled 30
engine 1: 3 batches, 4 spins, 5 sleeps, 6 switches, 7 stalls
all: received 60, sent 9, recycled 51; 1.5 s, 40 received/s";
        assert_eq!(statistics.to_string(), expected);
        let nothing = GroupStatistics::default().to_string();
        assert_eq!(nothing, "all: received 0, sent 0, recycled 0; 0.0 s");
    }
}
