//! A scenario under way: its sockets by name, and what is told of them at the end.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use super::world::{Mode, Options, Pair, Program, RECEIVE, Socket, World};

/// No step of a scenario takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// One look at what changes by itself, in milliseconds.
const LOOK: u32 = 5;

/// What a scenario told: numbers by name. The same in every world, but for the differences that are listed.
pub(crate) type Outcome = BTreeMap<String, u64>;

/// A scenario under way.
pub(crate) struct Scene<'a> {
    world: &'a mut dyn World,
    mode: Mode,
    outcome: Outcome,
    heard: BTreeMap<String, Digest>,
    open: usize,
}

/// A socket with a name, and the digest of all that it delivered.
pub(crate) struct End {
    name: String,
    socket: Box<dyn Socket>,
    delivered: Digest,
}

/// How many bytes came, and which (FNV-1a over lengths and bytes, in order).
#[derive(Clone, Copy)]
struct Digest {
    packets: u64,
    bytes: u64,
    hash: u64,
}

impl Digest {
    const NONE: Self = Self {
        packets: 0,
        bytes: 0,
        hash: 0xcbf2_9ce4_8422_2325,
    };

    fn add(&mut self, frame: &[u8]) {
        self.packets += 1;
        self.bytes += frame.len() as u64;
        for byte in (frame.len() as u32).to_le_bytes().iter().chain(frame) {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn tell(self, outcome: &mut Outcome, name: &str) {
        outcome.insert(format!("{name} packets"), self.packets);
        outcome.insert(format!("{name} bytes"), self.bytes);
        outcome.insert(format!("{name} digest"), self.hash);
    }
}

impl<'a> Scene<'a> {
    pub(crate) fn new(world: &'a mut dyn World, mode: Mode) -> Self {
        Self {
            world,
            mode,
            outcome: Outcome::new(),
            heard: BTreeMap::new(),
            open: 0,
        }
    }

    /// Ends it: every socket was closed by [`close`](Self::close), with the proof that no frame was lost.
    pub(crate) fn end(mut self) -> Outcome {
        assert_eq!(self.open, 0, "sockets that no proof was asked of");
        for (link, heard) in self.heard {
            heard.tell(&mut self.outcome, &format!("host at {link} heard"));
        }
        self.outcome
    }

    pub(crate) fn world(&mut self) -> &mut dyn World {
        self.world
    }

    /// The links `near` and `far`, and a socket on each.
    pub(crate) fn ends(&mut self, pair: Pair, near: &Options, far: &Options) -> (End, End) {
        self.world.add_pair("near", "far", pair);
        (self.open("near", near), self.open("far", far))
    }

    /// How a socket on this link is used: on links `near` and `left` it is inside.
    fn mode_at(&self, link: &str) -> Mode {
        let inside = ["near", "left"].iter().any(|name| link.starts_with(name));
        match self.mode {
            Mode::Engine if !inside => Mode::Raw,
            mode => mode,
        }
    }

    /// Opens a socket, named as its link.
    pub(crate) fn open(&mut self, link: &str, options: &Options) -> End {
        self.open_as(link, link, options, None)
    }

    pub(crate) fn open_as(
        &mut self,
        name: &str,
        link: &str,
        options: &Options,
        umem: Option<&End>,
    ) -> End {
        let umem = umem.map(|end| &*end.socket);
        let mode = self.mode_at(link);
        let socket = self
            .world
            .open(link, mode, options, umem)
            .unwrap_or_else(|errno| panic!("opening a socket on {link}: errno {errno}"));
        self.open += 1;
        End {
            name: name.to_owned(),
            socket,
            delivered: Digest::NONE,
        }
    }

    /// The errno of a socket that cannot be opened.
    pub(crate) fn refused(&mut self, link: &str, options: &Options) -> i32 {
        let mode = self.mode_at(link);
        match self.world.open(link, mode, options, None) {
            Ok(_) => panic!("a socket on {link} was opened"),
            Err(errno) => errno,
        }
    }

    /// Proves that no frame is lost, tells what was counted and delivered, and closes the socket.
    pub(crate) fn close(&mut self, mut end: End) {
        let frames = end.rings().frames;
        assert_eq!(frames[1], 0, "{} still holds packets", end.name);
        let statistics = end.statistics();
        assert_eq!(
            (statistics.rx_invalid, statistics.tx_invalid),
            (0, 0),
            "the kernel refused descriptors of {}: {statistics:?}",
            end.name
        );
        end.delivered
            .tell(&mut self.outcome, &format!("{} delivered", end.name));
        for (what, count) in [
            ("received", statistics.received),
            ("sent", statistics.sent),
            ("rx_dropped", statistics.rx_dropped),
            ("rx_invalid_descs", statistics.rx_invalid),
            ("tx_invalid_descs", statistics.tx_invalid),
            ("rx_ring_full", statistics.rx_ring_full),
            ("rx_fill_ring_empty_descs", statistics.fill_empty),
            ("tx_ring_empty_descs", statistics.tx_empty),
        ] {
            self.outcome.insert(format!("{} {what}", end.name), count);
        }
        if let Some(Program {
            drop,
            redirect,
            pass,
        }) = end.program()
        {
            for (what, count) in [("drop", drop), ("redirect", redirect), ("pass", pass)] {
                self.outcome
                    .insert(format!("{} program {what}", end.name), count);
            }
        }
        self.close_untold(end);
    }

    /// Proves that no frame is lost and closes the socket; what it counted depends on chance.
    pub(crate) fn close_untold(&mut self, mut end: End) {
        end.socket.close();
        self.gone(end);
    }

    /// Proves that a closed socket left no frame behind.
    pub(crate) fn gone(&mut self, mut end: End) {
        end.socket.prove_all_home();
        self.open -= 1;
    }

    /// Hears these frames, and no others before them, from the host's network stack, and tells so.
    pub(crate) fn hear(&mut self, link: &str, frames: &[Vec<u8>]) {
        let heard = self.heard.entry(link.to_owned()).or_insert(Digest::NONE);
        for (number, frame) in frames.iter().enumerate() {
            let is = self.world.hear(link, PATIENCE.as_millis() as u32);
            assert!(
                is.as_ref() == Some(frame),
                "the host heard {is:?} in place of frame {number}"
            );
            heard.add(frame);
        }
    }

    /// Waits until something becomes true, and lets things happen meanwhile.
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "waited in vain until {what}");
            self.world.pass();
        }
    }

    /// Waits until `count` packets for a socket have met their fate: delivered, waiting in its RX ring, or dropped and counted.
    pub(crate) fn settle(&mut self, end: &mut End, count: u64) {
        let name = end.name.clone();
        self.until(
            &format!("all {count} packets for {name} met their fate"),
            || {
                let statistics = end.statistics();
                let waiting = u64::from(end.rings().occupied[1]);
                let dropped = statistics.rx_dropped + statistics.rx_ring_full;
                let fate = statistics.received + waiting + dropped;
                assert!(fate <= count, "too many packets for {name}: {statistics:?}");
                fate == count
            },
        );
    }

    /// Sends all frames from one socket to the other, never more than `window` at once, and sees that they arrive in order.
    pub(crate) fn carry(
        &mut self,
        from: &mut End,
        to: &mut End,
        frames: &[Vec<u8>],
        window: usize,
    ) {
        let deadline = Instant::now() + PATIENCE;
        let (mut sent, mut arrived) = (0, 0);
        while arrived < frames.len() {
            let end = frames.len().min(arrived + window);
            sent += from.send(&frames[sent..end]);
            let came = to.receive(64);
            same(&came, frames, arrived);
            arrived += came.len();
            if came.is_empty() {
                assert!(
                    Instant::now() < deadline,
                    "{arrived} of {sent} arrived: {:?}",
                    to.statistics()
                );
                to.wait(RECEIVE, LOOK).unwrap();
            }
        }
    }

    /// Sends all frames from `far` to `near`, which sends them back with swapped addresses.
    pub(crate) fn echo(
        &mut self,
        far: &mut End,
        near: &mut End,
        frames: &[Vec<u8>],
        window: usize,
    ) {
        self.bounce(far, frames, window, |idle| {
            if idle {
                near.wait(RECEIVE, 1).unwrap();
            }
            near.refill();
            near.echo(64);
            near.wake().unwrap();
        });
    }

    /// Sends all frames from `far`, and sees that each comes back with swapped addresses. `meanwhile` is told whether nothing came.
    pub(crate) fn bounce(
        &mut self,
        far: &mut End,
        frames: &[Vec<u8>],
        window: usize,
        mut meanwhile: impl FnMut(bool),
    ) {
        let deadline = Instant::now() + PATIENCE;
        let mirrored: Vec<_> = frames
            .iter()
            .map(|frame| super::traffic::swapped(frame))
            .collect();
        let (mut sent, mut back) = (0, 0);
        while back < frames.len() {
            let end = frames.len().min(back + window);
            sent += far.send(&frames[sent..end]);
            meanwhile(false);
            let came = far.receive(64);
            same(&came, &mirrored, back);
            back += came.len();
            if came.is_empty() {
                assert!(Instant::now() < deadline, "{back} of {sent} came back");
                meanwhile(true);
                far.wait(RECEIVE, 1).unwrap();
            }
        }
    }

    /// Takes exactly `count` packets into the user's hands.
    pub(crate) fn hold(&mut self, end: &mut End, count: usize) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        while all.len() < count {
            let came = end.hold((count - all.len()) as u32);
            if came.is_empty() {
                assert!(Instant::now() < deadline, "{} of {count} came", all.len());
                end.wait(RECEIVE, LOOK).unwrap();
            }
            all.extend(came);
        }
        all
    }
}

/// Asserts that these packets are `frames` from number `first` on.
pub(crate) fn same(came: &[Vec<u8>], frames: &[Vec<u8>], first: usize) {
    for (number, packet) in (first..).zip(came) {
        let frame = &frames[number];
        assert_eq!(
            packet.len(),
            frame.len(),
            "packet {number} has another length"
        );
        assert!(
            packet == frame,
            "packet {number} is damaged, or is number {:?}",
            frames.iter().position(|frame| frame == packet)
        );
    }
}

impl End {
    /// Puts frames into the TX ring, and wakes the kernel; returns how many had room.
    pub(crate) fn send(&mut self, frames: &[Vec<u8>]) -> usize {
        let sent = self.socket.put(frames);
        self.socket.wake().unwrap();
        sent
    }

    pub(crate) fn receive(&mut self, max: u32) -> Vec<Vec<u8>> {
        let came = self.socket.receive(max);
        came.iter().for_each(|packet| self.delivered.add(packet));
        came
    }

    /// Passes packets between two sockets on the same frames, both ways.
    pub(crate) fn bridge(&mut self, other: &mut Self, max: u32) -> usize {
        self.socket.bridge(&mut *other.socket, max)
    }

    pub(crate) fn hold(&mut self, max: u32) -> Vec<Vec<u8>> {
        let came = self.socket.hold(max);
        came.iter().for_each(|packet| self.delivered.add(packet));
        came
    }
}

impl Deref for End {
    type Target = dyn Socket;

    fn deref(&self) -> &Self::Target {
        &*self.socket
    }
}

impl DerefMut for End {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.socket
    }
}
