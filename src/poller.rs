//! How to wait for packets: spinning, sleeping, or one after the other.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::backend::{Interest, machine};
use crate::error::Result;
use crate::socket::FluxRaw;
use crate::stats::PollerStatistics;

/// Spins in a row after which the sockets want a look: nothing but a call tells that an interface was removed.
const LOOK: u32 = 1 << 16;

/// What to do while there are no packets.
///
/// | | CPU while idle | added latency of a packet after a pause |
/// |---|---|---|
/// | [`Busy`](Self::Busy) | a whole one | none |
/// | [`Wait`](Self::Wait) | none | a wake-up: tens of microseconds, more when the CPU sleeps deeply |
/// | [`Adaptive`](Self::Adaptive) | `spin` per pause | none in short pauses, a wake-up after long ones |
///
/// While packets keep coming, all three do the same: they neither sleep nor read a clock.
///
/// With [preferred busy polling](crate::FluxBuilder::busy_poll) the program's own calls run the driver in place of interrupts. A spin is such
/// a call then, about a microsecond, and `Busy` and `Adaptive` find packets that no interrupt would tell of; `Wait` makes one such call per
/// sleep, and then depends on the interface's timers (`gro_flush_timeout`), so do not combine it with busy polling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Poller {
    /// Never sleeps. For the least latency, on a CPU of its own: [`pin`] the thread there.
    ///
    /// In a simulated network without a thread each spin lets a microsecond pass, so that long waits take long there, too.
    Busy,
    /// Sleeps at once. For machines with other work, and for traffic that may wait.
    Wait,
    /// Spins for a while, then sleeps. Right where nothing is known of the traffic.
    Adaptive {
        /// How long it spins after the last packet. Zero is the same as [`Wait`](Self::Wait).
        spin: Duration,
    },
}

impl Default for Poller {
    /// [`Adaptive`](Self::Adaptive), spinning for 50 µs: about what a sleep and a wake-up take together.
    fn default() -> Self {
        Self::Adaptive {
            spin: Duration::from_micros(50),
        }
    }
}

impl Poller {
    /// A pacer for one thread that waits like this.
    #[must_use]
    pub fn pacer(self) -> Pacer {
        Pacer {
            poller: self,
            turns: 0,
            since: Instant::now(),
            asleep: false,
            statistics: PollerStatistics::default(),
        }
    }
}

/// What to do in a turn without packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Look for packets again at once, after [`FluxRaw::spin`].
    Spin,
    /// As `Spin`, but have each socket looked at, by a [wait](FluxRaw::wait) of no time, which tells of interfaces that were removed.
    Look,
    /// Sleep until there is something to do.
    Sleep,
}

/// A [`Poller`] at work: tell it after each turn of a loop whether there were packets.
///
/// The engine and the halves of a socket have one of their own. In a loop over the rings by hand:
///
/// ```
/// use std::time::Duration;
/// use fluxcap::sim::Network;
/// use fluxcap::{FluxBuilder, Poller};
///
/// # let nic = Network::new().nic("eth0")?;
/// # for _ in 0..10 {
/// #     nic.inject(0, &[0; 60])?;
/// # }
/// let mut raw = FluxBuilder::new(&nic).build()?;
/// let mut pacer = Poller::default().pacer();
/// let mut packets = 0;
/// while packets < 10 {
///     match raw.recv_each(64, |packet| println!("{} bytes", packet.len())) {
///         0 => pacer.idle(&mut raw, Some(Duration::from_secs(1)))?,
///         count => {
///             pacer.worked();
///             packets += count;
///         }
///     }
/// }
/// println!("{:?}", pacer.statistics());
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pacer {
    poller: Poller,
    /// Spins since the last packet or look.
    turns: u32,
    /// When the first of them was.
    since: Instant,
    /// Whether it has spun enough since the last packet.
    asleep: bool,
    statistics: PollerStatistics,
}

impl Pacer {
    /// After a turn with packets.
    #[inline]
    pub fn worked(&mut self) {
        self.turns = 0;
        if self.asleep {
            self.asleep = false;
            self.statistics.switches += 1;
        }
    }

    /// After a turn without packets: spins for a moment, or sleeps until one has arrived or `timeout` is over; `None` sleeps for ever. It
    /// may return early.
    ///
    /// It takes sent frames back and tops the fill ring up, as [`FluxRaw::wait`] does; to wake the kernel to send remains yours.
    ///
    /// # Errors
    ///
    /// [`Gone`](crate::ErrorKind::Gone) when the interface was removed, [`Down`](crate::ErrorKind::Down).
    pub fn idle(&mut self, raw: &mut FluxRaw, timeout: Option<Duration>) -> Result<()> {
        let timeout = match self.decide() {
            Idle::Spin => return raw.spin(),
            Idle::Look => Some(Duration::ZERO),
            Idle::Sleep => timeout,
        };
        raw.wait(Interest::Receive, timeout).map(drop)
    }

    /// After a turn without packets: what to do. For a loop over several sockets, or one that sleeps in a way of its own;
    /// [`idle`](Self::idle) does it for one socket.
    pub fn decide(&mut self) -> Idle {
        let spins = match self.poller {
            Poller::Busy => true,
            Poller::Wait => false,
            Poller::Adaptive { spin } => self.spins_on(spin),
        };
        if !spins {
            self.statistics.sleeps += 1;
            return Idle::Sleep;
        }
        self.statistics.spins += 1;
        self.turns += 1;
        if self.turns < LOOK {
            return Idle::Spin;
        }
        // Not zero, which would begin the time anew.
        self.turns = 1;
        Idle::Look
    }

    fn spins_on(&mut self, spin: Duration) -> bool {
        if self.asleep || spin.is_zero() {
            return false;
        }
        if self.turns == 0 {
            self.since = Instant::now();
        } else if self.since.elapsed() >= spin {
            self.asleep = true;
            self.statistics.switches += 1;
        }
        !self.asleep
    }

    /// How it waits.
    #[must_use]
    pub fn poller(&self) -> Poller {
        self.poller
    }

    /// What it did so far.
    #[must_use]
    pub fn statistics(&self) -> PollerStatistics {
        self.statistics
    }
}

/// Pins the calling thread to a CPU, counted from 0 as in `/proc/cpuinfo`. A thread that spins wants one that nothing else uses.
///
/// # Errors
///
/// [`Invalid`](crate::ErrorKind::Invalid) when there is no such CPU or this process may not use it, naming those it may;
/// [`Unsupported`](crate::ErrorKind::Unsupported) on systems other than Linux.
pub fn pin(cpu: u32) -> Result<()> {
    machine::pin(cpu)
}

/// The CPUs that the calling thread may run on, as it was started (`taskset`, control groups) and [pinned](pin) since.
///
/// # Errors
///
/// [`Unsupported`](crate::ErrorKind::Unsupported) on systems other than Linux.
pub fn cpus() -> Result<Vec<u32>> {
    machine::cpus()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::builder::FluxBuilder;
    use crate::error::ErrorKind;
    use crate::sim::{Faults, Network, Nic};

    const LONG: Duration = Duration::from_secs(3600);

    fn socket() -> (Network, Nic, FluxRaw) {
        let network = Network::new();
        let nic = network.nic("sim0").unwrap();
        let raw = FluxBuilder::new(&nic).build().unwrap();
        (network, nic, raw)
    }

    /// Idles until there is a packet, and takes it.
    fn receive(pacer: &mut Pacer, raw: &mut FluxRaw) {
        while raw.recv_each(64, |_| {}) == 0 {
            pacer.idle(raw, Some(LONG)).unwrap();
        }
        pacer.worked();
    }

    #[test]
    fn busy_moves_a_stepped_network_and_never_sleeps() {
        let (network, nic, mut raw) = socket();
        let mut pacer = Poller::Busy.pacer();
        for _ in 0..100 {
            nic.inject(0, &[0; 60]).unwrap();
            receive(&mut pacer, &mut raw);
        }
        let statistics = pacer.statistics();
        assert_eq!((statistics.sleeps, statistics.switches), (0, 0));
        assert!(statistics.spins >= 100);
        // Spinning takes simulated time, too, or a packet that is late would never come.
        let late = Faults {
            delay: 1_000_000,
            max_delay: Duration::from_micros(50),
            ..Faults::default()
        };
        network.set_faults(late).unwrap();
        nic.inject(0, &[0; 60]).unwrap();
        receive(&mut pacer, &mut raw);
        assert_eq!(pacer.statistics().sleeps, 0);
    }

    #[test]
    fn busy_notices_that_the_interface_was_removed() {
        let (_network, nic, mut raw) = socket();
        let mut pacer = Poller::Busy.pacer();
        nic.remove();
        let error = (0..2 * LOOK).find_map(|_| pacer.idle(&mut raw, None).err());
        assert_eq!(error.unwrap().kind(), ErrorKind::Gone);
    }

    #[test]
    fn wait_sleeps_at_once() {
        for poller in [
            Poller::Wait,
            Poller::Adaptive {
                spin: Duration::ZERO,
            },
        ] {
            let (_network, nic, mut raw) = socket();
            let mut pacer = poller.pacer();
            for count in 1..=3 {
                nic.inject(0, &[0; 60]).unwrap();
                receive(&mut pacer, &mut raw);
                let expected = PollerStatistics {
                    sleeps: count,
                    ..PollerStatistics::default()
                };
                assert_eq!(pacer.statistics(), expected);
            }
            assert_eq!(pacer.decide(), Idle::Sleep);
        }
    }

    #[test]
    fn a_sleep_ends_when_its_time_is_over() {
        let (network, _nic, mut raw) = socket();
        let mut pacer = Poller::Wait.pacer();
        pacer.idle(&mut raw, Some(LONG)).unwrap();
        assert_eq!(network.now(), LONG);
    }

    #[test]
    fn adaptive_spins_then_sleeps_and_spins_again_after_a_packet() {
        let (_network, nic, mut raw) = socket();
        let spin = Duration::from_millis(5);
        let mut pacer = Poller::Adaptive { spin }.pacer();
        for round in 1..=3 {
            let before = pacer.statistics();
            let start = Instant::now();
            while pacer.decide() != Idle::Sleep {}
            assert!(start.elapsed() >= spin);
            assert_eq!(pacer.decide(), Idle::Sleep);
            let statistics = pacer.statistics();
            assert!(statistics.spins > before.spins);
            assert_eq!(statistics.sleeps, 2 * round);
            assert_eq!(statistics.switches, 2 * round - 1);
            nic.inject(0, &[0; 60]).unwrap();
            receive(&mut pacer, &mut raw);
            // One sleep to take the packet: not counted twice.
            pacer.statistics.sleeps -= 1;
            assert_eq!(pacer.statistics().switches, 2 * round);
            assert_eq!(pacer.decide(), Idle::Spin);
            pacer.worked();
        }
    }

    #[test]
    fn adaptive_does_not_sleep_while_packets_keep_coming() {
        let spin = Duration::from_millis(200);
        let mut pacer = Poller::Adaptive { spin }.pacer();
        let start = Instant::now();
        while start.elapsed() < 2 * spin {
            pacer.worked();
            for _ in 0..3 {
                assert_eq!(pacer.decide(), Idle::Spin);
            }
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(pacer.statistics().switches, 0);
    }

    #[test]
    fn a_spin_without_end_is_looked_after_and_goes_on() {
        let mut pacer = Poller::Adaptive {
            spin: Duration::MAX,
        }
        .pacer();
        let looks = (0..3 * LOOK).filter(|_| pacer.decide() == Idle::Look);
        assert_eq!(looks.count(), 3);
        assert_eq!(pacer.statistics().spins, u64::from(3 * LOOK));
    }

    #[test]
    fn a_spinning_program_keeps_pace_with_the_thread_of_a_network() {
        let (network, nic, mut raw) = socket();
        let _running = network.run().unwrap();
        let mut pacer = Poller::Busy.pacer();
        for _ in 0..100 {
            nic.inject(0, &[0; 60]).unwrap();
            receive(&mut pacer, &mut raw);
        }
        assert_eq!(pacer.statistics().sleeps, 0);
    }
}
