//! The simulated kernel: its clock, its turns, and frames that come back.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::faults::Faults;
use super::kernel_rings::InFlight;
use super::play::GAP;
use super::port::{Port, Sock, SocketId};
use super::random::Random;
use super::trace::{Event, EventKind, Trace, digest};

/// Packets that one queue handles before the next has its turn, as NAPI does.
const TURN: u32 = 64;
/// Packets that are handled before others may look in, while simulated time passes.
pub(super) const SLICE: u32 = 4096;
/// Buffers kept for packets to come.
const SPARE: usize = 1024;

/// Something that a NIC does again and again, at one of its queues.
#[derive(Debug, Clone, Copy)]
enum Chore {
    Transmit(usize, usize),
    Play(usize, usize),
    Arrive(usize, usize),
}

/// Everything that a network consists of.
#[derive(Debug)]
pub(super) struct World {
    /// The time since the network was made: real while its thread runs, simulated otherwise.
    pub(super) now: Duration,
    /// While the thread runs: when it started, and the time it was then.
    pub(super) running: Option<(Instant, Duration)>,
    pub(super) ports: Vec<Port>,
    pub(super) sockets: BTreeMap<SocketId, Sock>,
    pub(super) next_socket: SocketId,
    pub(super) random: Random,
    /// For NICs to come.
    pub(super) faults: Faults,
    pub(super) trace: Trace,
    /// Sent packets whose frames come back late.
    pub(super) stalled: VecDeque<(Duration, SocketId, InFlight)>,
    /// When the first of them is due, of which there may be thousands; [`Duration::MAX`] without any.
    stalled_until: Duration,
    /// Simulated time passes: traffic at full speed comes at its pace.
    pub(super) paced: bool,
    /// What is done in turn, so that nothing busy keeps the others waiting: all that the NICs have to do, and who is next.
    chores: Vec<Chore>,
    next_chore: usize,
    pub(super) spare: Vec<Vec<u8>>,
    /// Closed sockets that a driver has not let go of.
    pub(super) closing: u32,
    /// Sockets that have a file descriptor or are watched, at the last look.
    pub(super) followed: u32,
    /// Something happened that a waiting program wants to know.
    pub(super) news: bool,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            running: None,
            ports: Vec::new(),
            sockets: BTreeMap::new(),
            next_socket: 0,
            random: Random::new(seed),
            faults: Faults::default(),
            trace: Trace::default(),
            stalled: VecDeque::new(),
            stalled_until: Duration::MAX,
            paced: false,
            chores: Vec::new(),
            next_chore: 0,
            spare: Vec::new(),
            closing: 0,
            followed: 0,
            news: false,
        }
    }

    /// Reads the clock, if real time counts.
    pub(super) fn tick(&mut self) {
        if let Some((start, before)) = self.running {
            self.now = before.saturating_add(start.elapsed());
        }
    }

    /// Handles up to `budget` packets that are due; returns how many.
    pub(super) fn step(&mut self, budget: u32) -> u32 {
        let done = self.turns(budget);
        self.let_go_of_closed();
        // The program empties its rings unseen: so descriptors are looked after at each step.
        if self.followed > 0 {
            self.tell();
        }
        done
    }

    /// Ends what a driver had of a closed socket.
    pub(super) fn let_go(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.remove(&id) {
            let queues = &mut self.ports[socket.port].queues;
            for queue in queues {
                queue.sockets.retain(|other| *other != id);
            }
        }
    }

    fn let_go_of_closed(&mut self) {
        if self.closing == 0 {
            return;
        }
        while let Some(id) = self
            .sockets
            .iter()
            .find_map(|(&id, socket)| socket.closing.filter(|&due| due <= self.now).map(|_| id))
        {
            self.let_go(id);
            self.closing -= 1;
            self.news = true;
        }
    }

    /// Shows those who wait outside a call what there is, and counts the sockets that they wait for.
    fn tell(&mut self) {
        self.followed = 0;
        let mut next = 0;
        while let Some((&id, socket)) = self.sockets.range(next..).next() {
            next = id + 1;
            if !socket.is_followed() {
                continue;
            }
            let (port, queue) = (socket.port, socket.queue as usize);
            let sends = !socket.zero_copy && self.has_room(port, queue);
            if let Some(socket) = self.sockets.get_mut(&id) {
                socket.show();
                socket.tell(sends);
                self.followed += u32::from(socket.is_followed());
            }
        }
    }

    fn turns(&mut self, budget: u32) -> u32 {
        let mut left = budget;
        // Chores in a row that found nothing to do.
        let mut idle = 0;
        while left > 0 && idle <= self.chores.len() {
            let before = left;
            left -= self.unstall(left);
            if let Some(&chore) = self.chores.get(self.next_chore) {
                let most = left.min(TURN);
                left -= match chore {
                    Chore::Transmit(port, queue) => self.transmit_driver(port, queue, most),
                    Chore::Play(port, queue) => self.play(port, queue, most),
                    Chore::Arrive(port, queue) => self.arrivals(port, queue, most),
                };
                self.next_chore = (self.next_chore + 1) % self.chores.len();
            }
            idle = if left == before { idle + 1 } else { 0 };
        }
        budget - left
    }

    /// Makes the list of chores anew, after NICs or queues came or went.
    pub(super) fn assign(&mut self) {
        let ports = self.ports.iter().enumerate();
        let queues = ports
            .filter(|(_, port)| !port.removed)
            .flat_map(|(index, port)| (0..port.queues.len()).map(move |queue| (index, queue)));
        self.chores = queues
            .flat_map(|(port, queue)| {
                [
                    Chore::Transmit(port, queue),
                    Chore::Play(port, queue),
                    Chore::Arrive(port, queue),
                ]
            })
            .collect();
        self.next_chore = 0;
    }

    /// The next time at which something happens by itself.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let queues = self.ports.iter().flat_map(|port| &port.queues);
        queues
            .flat_map(|queue| {
                let frame = queue.inbound.front().map(|frame| frame.due);
                let player = queue.player.as_ref();
                let player = player.and_then(|player| player.next_due(self.now));
                [frame, player]
            })
            .flatten()
            .chain([self.stalled_until])
            .chain(self.sockets.values().filter_map(|socket| socket.closing))
            .filter(|&due| due > self.now && due < Duration::MAX)
            .min()
    }

    /// Lets simulated time pass until `end`, in which what is due happens; handles some packets at most, and returns whether that was all.
    pub(super) fn advance(&mut self, end: Duration) -> bool {
        self.paced = true;
        let mut left = SLICE;
        loop {
            left -= self.step(left);
            if left == 0 {
                return false;
            }
            match self.next_due() {
                Some(due) if due < end => self.pass_to(due),
                _ if self.now < end => self.pass_to(end),
                _ => return true,
            }
        }
    }

    /// Sets the simulated clock forward.
    pub(super) fn pass_to(&mut self, time: Duration) {
        let passed = time.saturating_sub(self.now).as_nanos() / GAP.as_nanos();
        self.allow(u64::try_from(passed).unwrap_or(u64::MAX));
        self.now = self.now.max(time);
    }

    /// Lets so many packets more come at full speed.
    pub(super) fn allow(&mut self, packets: u64) {
        let queues = self.ports.iter_mut().flat_map(|port| &mut port.queues);
        for player in queues.filter_map(|queue| queue.player.as_mut()) {
            player.allow(packets);
        }
    }

    fn stall(&mut self, due: Duration, socket: SocketId, packet: InFlight) {
        self.stalled_until = self.stalled_until.min(due);
        self.stalled.push_back((due, socket, packet));
    }

    /// Completes what was stalled long enough.
    fn unstall(&mut self, most: u32) -> u32 {
        let mut done = 0;
        if self.stalled_until > self.now {
            return 0;
        }
        self.stalled_until = Duration::MAX;
        for _ in 0..self.stalled.len() {
            let Some((due, socket, packet)) = self.stalled.pop_front() else {
                break;
            };
            if due <= self.now && done < most {
                self.complete_now(socket, packet);
                done += 1;
            } else {
                self.stall(due, socket, packet);
            }
        }
        done
    }

    /// Gives the frame of a sent packet back, unless a fault holds it.
    pub(super) fn complete(&mut self, socket: SocketId, packet: InFlight) {
        let Some(owner) = self.sockets.get(&socket) else {
            return;
        };
        let (port, queue) = (owner.port, owner.queue as usize);
        let faults = self.ports[port].faults;
        if self.random.happens(faults.stalled_completion) {
            let due = self.now.saturating_add(self.some_time(faults.max_delay));
            self.note(port, queue, EventKind::Stalled, &[]);
            self.stall(due, socket, packet);
        } else {
            self.complete_now(socket, packet);
        }
    }

    fn complete_now(&mut self, id: SocketId, packet: InFlight) {
        // The frames of a socket that was closed went home with it.
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.rings.complete(packet);
            self.news = true;
            let (port, queue) = (socket.port, socket.queue as usize);
            self.note(port, queue, EventKind::Completed, &[]);
        }
    }

    /// A time between zero and `most`.
    pub(super) fn some_time(&mut self, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX - 1);
        Duration::from_nanos(self.random.below(nanos + 1))
    }

    pub(super) fn note(&mut self, port: usize, queue: usize, kind: EventKind, bytes: &[u8]) {
        if self.trace.is_on() {
            self.trace.add(Event {
                time: self.now,
                nic: port as u32,
                queue: queue as u32,
                kind,
                len: bytes.len() as u32,
                digest: if bytes.is_empty() { 0 } else { digest(bytes) },
            });
        }
    }

    /// An empty buffer.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Keeps a buffer for later.
    pub(super) fn keep(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE {
            self.spare.push(buffer);
        }
    }
}
