//! Random programs on a network where everything goes wrong: nothing panics, hangs or loses a frame, and each run can be repeated.
//!
//! `FLUXCAP_SOAK=10000` sets how many seeds are tried, `FLUXCAP_SEED=7` tries one.

use std::collections::HashSet;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

use fluxcap::sim::{Event, Faults, Network, Nic, NicConfig};
use fluxcap::{ErrorKind, FluxRaw, Interest, PacketBatch, Verdict};

use super::tools::{assert_conserved, close, hold, packet, put, small};

/// Seeds that an ordinary test run tries.
const FEW: u64 = 500;
/// Things that each program does.
const ACTS: u32 = 400;

/// Numbers that look random and are the same in each run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// One side: a NIC, its socket, and packets in the user's hands.
struct Side {
    nic: Nic,
    raw: Option<FluxRaw>,
    held: Vec<PacketBatch>,
}

impl Side {
    fn open(&mut self, random: &mut Random) {
        let rings = [4, 16, 64];
        let raw = small(&self.nic)
            .frames(random.one_of(&[16, 50, 128]))
            .headroom(random.one_of(&[0, 32]))
            .fill_size(random.one_of(&rings))
            .rx_size(random.one_of(&rings))
            .tx_size(random.one_of(&rings))
            .completion_size(random.one_of(&rings))
            .tx_budget(32)
            .need_wakeup(random.below(4) > 0)
            .build();
        match raw {
            Ok(raw) => self.raw = Some(raw),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Down, "{error}"),
        }
    }

    fn close(&mut self, random: &mut Random) {
        let Some(raw) = self.raw.take() else { return };
        if random.below(2) == 0 {
            self.held.clear();
            close(raw);
        } else {
            // The packets outlive their socket.
            drop(raw);
        }
    }

    /// Something that a program may do.
    fn act(&mut self, random: &mut Random, network: &Network) {
        let Some(raw) = &mut self.raw else {
            return self.open(random);
        };
        let some = random.below(20) as usize + 1;
        match random.below(17) {
            0 | 1 => {
                let len = random.one_of(&[14, 60, 590, 1514]);
                put(raw, (0..some).map(|number| packet(number, len)));
            }
            2 | 3 => ignore_down(raw.wake_tx()),
            4 => ignore_down(raw.wake_rx()),
            5 => drop(raw.recv_each(some as u32, |packet| assert!(packet.len() >= 14))),
            6 => {
                let verdicts = [Verdict::Send, Verdict::Recycle];
                raw.forward_each(some as u32, |_| random.one_of(&verdicts));
            }
            7 => {
                let batch = hold(raw, some);
                self.held.push(batch);
            }
            8 => {
                self.held.pop();
            }
            9 => {
                if let Some(mut batch) = self.held.pop() {
                    // Packets of an earlier socket lie in another UMEM.
                    let _ = raw.recycle(&mut batch);
                }
            }
            10 => drop(raw.reap()),
            11 => drop(raw.refill()),
            12 => {
                let interests = [Interest::Receive, Interest::Send, Interest::Both];
                let interest = random.one_of(&interests);
                let timeout = Duration::from_micros(random.below(2000));
                raw.wait(interest, Some(timeout)).unwrap();
            }
            13 => {
                network.step(some as u32);
            }
            14 => network.advance(Duration::from_micros(random.below(500))),
            15 => match random.below(12) {
                0 => self.close(random),
                1 => self.nic.set_up(false).unwrap(),
                _ => self.nic.set_up(true).unwrap(),
            },
            _ => {
                let len = random.one_of(&[14, 64, 1518]);
                let result = match random.below(2) {
                    0 => self.nic.inject(0, &packet(some, len)),
                    _ => self.nic.host_send(0, &packet(some, len)),
                };
                if let Err(error) = result {
                    let kinds = [ErrorKind::Down, ErrorKind::Busy];
                    assert!(kinds.contains(&error.kind()), "{error}");
                }
                while self.nic.take_passed().is_some() {}
            }
        }
        if let Some(raw) = &self.raw {
            assert_conserved(raw);
        }
    }
}

fn ignore_down(result: fluxcap::Result<()>) {
    if let Err(error) = result {
        assert_eq!(error.kind(), ErrorKind::Down, "{error}");
    }
}

/// Two programs on a joined pair, as the seed decides; returns what happened, up to a number of events.
fn run(seed: u64, events: usize) -> Vec<Event> {
    let mut random = Random(seed);
    let network = Network::with_seed(seed);
    network.start_trace(events);
    let mut sides = ["near", "far"].map(|name| {
        let nic = network.add(NicConfig {
            zero_copy: random.below(2) == 0,
            mtu: random.one_of(&[1500, 1700]),
            cable: random.one_of(&[4, 64, 2048]),
            ..NicConfig::new(name)
        });
        Side {
            nic: nic.unwrap(),
            raw: None,
            held: Vec::new(),
        }
    });
    network.join(&sides[0].nic, &sides[1].nic).unwrap();
    for _ in 0..ACTS {
        if random.below(30) == 0 {
            let chance = random.one_of(&[0, 10_000, 100_000, 500_000]);
            let faults = Faults {
                max_delay: Duration::from_micros(random.below(2000)),
                ..Faults::all(chance)
            };
            network.set_faults(faults).unwrap();
        }
        let side = random.below(2) as usize;
        sides[side].act(&mut random, &network);
    }
    // All is well again: then packets get through, in both directions.
    network.set_faults(Faults::default()).unwrap();
    for side in &mut sides {
        side.held.clear();
        side.nic.set_up(true).unwrap();
        if side.raw.is_none() {
            side.open(&mut random);
        }
    }
    for (from, to) in [(0, 1), (1, 0)] {
        let [near, far] = sides.get_disjoint_mut([from, to]).unwrap();
        let (near, far) = (near.raw.as_mut().unwrap(), far.raw.as_mut().unwrap());
        gets_through(near, far);
        assert_conserved(near);
        assert_conserved(far);
    }
    for side in sides {
        close(side.raw.unwrap());
    }
    network.trace()
}

/// Sends until a marked packet has arrived. Time is simulated, so that a hang is a count.
fn gets_through(near: &mut FluxRaw, far: &mut FluxRaw) {
    let marked = packet(0x5a, 321);
    let mut arrived = false;
    for _ in 0..1000 {
        put(near, [marked.clone()]);
        near.wake_tx().unwrap();
        near.wait(Interest::Send, Some(Duration::from_millis(5)))
            .unwrap();
        far.wait_rx(Some(Duration::from_millis(5))).unwrap();
        far.recv_each(1024, |packet| arrived |= packet.data() == marked);
        if arrived {
            return;
        }
    }
    panic!(
        "nothing gets through\nnear:\n{}\nfar:\n{}",
        near.debug_rings(),
        far.debug_rings()
    );
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    match number("FLUXCAP_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FLUXCAP_SOAK").unwrap_or(FEW),
    }
}

#[test]
fn whatever_goes_wrong_no_frame_is_lost_and_traffic_recovers() {
    let seeds = seeds();
    let threads = thread::available_parallelism().map_or(2, |count| count.get() as u64);
    thread::scope(|scope| {
        for first in 0..threads {
            let mine = seeds.clone().skip(first as usize);
            scope.spawn(move || {
                for seed in mine.step_by(threads as usize) {
                    let result = catch_unwind(AssertUnwindSafe(|| run(seed, 0)));
                    if let Err(panic) = result {
                        eprintln!("failed with seed {seed}: try FLUXCAP_SEED={seed}");
                        resume_unwind(panic);
                    }
                }
            });
        }
    });
}

#[test]
fn the_random_programs_meet_everything_that_can_happen() {
    use fluxcap::sim::EventKind::*;
    let kinds: HashSet<_> = (0..20)
        .flat_map(|seed| run(seed, usize::MAX))
        .map(|event| event.kind)
        .collect();
    let all = [
        Arrived,
        Received,
        Passed,
        Dropped,
        Sent,
        Completed,
        Lost,
        Duplicated,
        Reordered,
        Corrupted,
        Truncated,
        Delayed,
        WakeupLost,
        WakeupSpurious,
        Starved,
        Stalled,
    ];
    for kind in all {
        assert!(kinds.contains(&kind), "{kind:?} never happened");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_one_another() {
    let text = |seed| -> String {
        let lines = run(seed, usize::MAX)
            .into_iter()
            .map(|event| format!("{event}\n"));
        lines.collect()
    };
    for seed in [1, 2, 3] {
        let first = text(seed);
        assert!(first.lines().count() > 100);
        assert_eq!(first, text(seed));
        assert_ne!(first, text(seed + 1000));
    }
}
