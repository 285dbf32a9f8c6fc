//! A kernel that hands back what was never its own, and callbacks that panic.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::backend::Rings;
use crate::packet::{Leases, PacketRef, PortContext, PortPacket, Slots, VerdictCounts};
use crate::ring::{ConsumerRing, ProducerRing, pair_at};
use crate::socket::fanout::FillMux;
use crate::socket::*;
use crate::umem::UmemConfig;

const FRAMES: u32 = 16;
const CHUNK: u64 = 2048;
const BYTES: u64 = FRAMES as u64 * CHUNK;

/// The four rings with both their ends. Most frames stand in the fill ring of the kernel, which has taken them out.
struct World {
    // Dropped in this order, as in a `FluxRaw`.
    rings: SocketRings,
    _lease: Arc<Leases>,
    umem: UmemRegion,
    fill: ConsumerRing<u64>,
    rx: ProducerRing<Desc>,
    tx: ConsumerRing<Desc>,
    completion: ProducerRing<u64>,
    /// Packets that the user owns all the time.
    held: Vec<Packet>,
}

/// Whether the frames on loan are all those below some number, so that counting them answers what is acceptable.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Path {
    Counting,
    LookUp,
}

const PATHS: [Path; 2] = [Path::Counting, Path::LookUp];

impl World {
    /// `Counting`: frames 0 to 11 are lent, the others free. `LookUp`: the user holds frame 0, 1 to 12 are lent.
    fn new(path: Path) -> Self {
        let mut world = Self::with_fill_ring(64);
        if path == Path::LookUp {
            world.held.extend(world.rings.alloc());
        }
        assert_eq!(world.rings.lend_free(12), 12);
        let lent = world.take_fill();
        let first = world.held.len() as u64;
        assert!(
            lent.into_iter()
                .eq((first..first + 12).map(|frame| frame * CHUNK))
        );
        world
    }

    /// A fill ring of so many slots, and no frame lent yet.
    fn with_fill_ring(slots: u32) -> Self {
        Self::of(slots, 1)
    }

    /// A member of a group, alone in it. Frames 0 to 11 are lent.
    fn member() -> Self {
        let mut world = Self::of(64, 2);
        assert_eq!(world.rings.lend_free(12), 12);
        assert_eq!(world.take_fill().len(), 12);
        world
    }

    /// With so many leases: one for a socket of its own, or else those of a group and its member.
    fn of(slots: u32, leases: u32) -> Self {
        let umem = UmemRegion::heap(UmemConfig {
            frames: FRAMES,
            chunk_size: CHUNK as u32,
            ..UmemConfig::default()
        })
        .unwrap();
        let lease = umem.frames().leases(leases).unwrap();
        let start = u32::MAX - 3;
        let (user_fill, fill) = pair_at(slots, start).unwrap();
        let (rx, user_rx) = pair_at(64, start).unwrap();
        let (user_tx, tx) = pair_at(64, start).unwrap();
        let (completion, user_completion) = pair_at(64, start).unwrap();
        let rings = Rings {
            fill: user_fill,
            rx: user_rx,
            tx: user_tx,
            completion: user_completion,
        };
        let rings = match leases {
            1 => SocketRings::new(rings, &lease[0]).unwrap(),
            _ => {
                let ports = FillMux::ports(rings.fill, rings.completion, &lease);
                let seat = ports.unwrap().pop().unwrap();
                SocketRings::member(seat, rings.rx, rings.tx, FRAMES, 64).unwrap()
            }
        };
        Self {
            rings,
            _lease: lease,
            umem,
            fill,
            rx,
            tx,
            completion,
            held: Vec::new(),
        }
    }

    /// As `new`, with room for `places` of up to four frames in the fill ring.
    fn with_places(path: Path, places: u32) -> Self {
        let mut world = Self::with_fill_ring(4);
        if path == Path::LookUp {
            world.held.extend(world.rings.alloc());
        }
        for _ in 0..3 {
            world.take_fill();
            assert_eq!(world.rings.lend_free(4), 4);
        }
        world.fill.peek(places).release(places);
        world
    }

    fn take_fill(&mut self) -> Vec<u64> {
        take(&mut self.fill)
    }

    /// Puts descriptors into the RX ring.
    fn arrive(&mut self, descs: &[Desc]) {
        put(&mut self.rx, descs);
    }

    fn complete(&mut self, addrs: &[u64]) {
        put(&mut self.completion, addrs);
    }

    fn receive(&mut self) -> Vec<Packet> {
        let mut batch = PacketBatch::with_capacity(64);
        let count = self.rings.receive(&mut batch, u32::MAX);
        assert_eq!(count as usize, batch.len());
        batch.drain().collect()
    }

    /// [`receive`](Self::receive), out of the frames one at a time.
    fn take_each(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        let count = self
            .rings
            .recv_each(u32::MAX, |packet| packets.push(packet.into_packet()));
        assert_eq!(count as usize, packets.len());
        packets
    }

    /// Entries refused so far, of the RX and the completion ring.
    fn refused(&self) -> (u64, u64) {
        let state = self.rings.state();
        (state.rx.refused, state.completion.refused)
    }

    /// Both accounts add up, agree, and tell what the user holds.
    #[track_caller]
    fn assert_conserved(&self, packets: usize) {
        let state = self.rings.state();
        assert!(state.is_conserved(), "{state}");
        assert_eq!(
            state.ledger.user as usize,
            self.held.len() + packets,
            "{state}"
        );
    }

    /// Drops everything and sees each frame come home once.
    #[track_caller]
    fn close(self) {
        self.assert_conserved(0);
        let Self {
            rings,
            _lease: lease,
            umem,
            held,
            ..
        } = self;
        drop((held, rings));
        drop(lease);
        let mut home: Vec<_> = std::iter::from_fn(|| umem.alloc()).collect();
        home.sort_by_key(Packet::address);
        let frames: Vec<_> = home.iter().map(|packet| packet.address() / CHUNK).collect();
        assert_eq!(frames, (0..u64::from(FRAMES)).collect::<Vec<_>>());
    }
}

fn take<T: crate::ring::RingElement>(ring: &mut ConsumerRing<T>) -> Vec<T> {
    let entries = ring.peek(u32::MAX);
    let taken = entries.iter().collect();
    entries.release(u32::MAX);
    taken
}

fn put<T: crate::ring::RingElement>(ring: &mut ProducerRing<T>, entries: &[T]) {
    let mut slots = ring.reserve(entries.len() as u32);
    assert_eq!(slots.len() as usize, entries.len(), "the ring is full");
    let mut writer = slots.writer();
    assert!(entries.iter().all(|entry| writer.push(*entry)));
    slots.submit(u32::MAX);
}

fn desc(addr: u64, len: u32, options: u32) -> Desc {
    Desc { addr, len, options }
}

/// A packet in a frame that is lent in every [`World`].
fn good(frame: u64) -> Desc {
    assert!((1..12).contains(&frame));
    desc(frame * CHUNK + 256, 60, 0)
}

/// Descriptors that lie outside the UMEM or leave their chunk.
fn impossible() -> Vec<Desc> {
    let chunk = CHUNK as u32;
    let mut list = Vec::new();
    for options in [0, 1, u32::MAX] {
        for addr in [
            BYTES,
            BYTES + 256,
            1 << 32,
            1 << 63,
            u64::MAX - 4095,
            u64::MAX,
        ] {
            list.extend([0, 1, 60, u32::MAX].map(|len| desc(addr, len, options)));
        }
        for (offset, len) in [
            (0, chunk + 1),
            (1, chunk),
            (256, chunk - 255),
            (chunk - 1, 2),
            (256, 1 << 31),
            (0, u32::MAX),
            (1, u32::MAX),
            (256, u32::MAX),
            (chunk - 1, u32::MAX),
            (256, u32::MAX - 100),
        ] {
            for frame in [2, 11] {
                list.push(desc(frame * CHUNK + u64::from(offset), len, options));
            }
        }
    }
    list
}

/// A way to consume the RX ring; returns what it showed: length and options.
type Way = fn(&mut World) -> Vec<(usize, u32)>;

/// The first two make owned packets.
const WAYS: [Way; 6] = [
    |world| {
        let packets = world.receive();
        packets
            .iter()
            .map(|packet| (packet.len(), packet.options()))
            .collect()
    },
    |world| {
        let packets = world.take_each();
        packets
            .iter()
            .map(|packet| (packet.len(), packet.options()))
            .collect()
    },
    |world| {
        let mut shown = Vec::new();
        let count = world.rings.recv_each(u32::MAX, |packet| {
            shown.push((packet.len(), packet.options()));
        });
        assert_eq!(count as usize, shown.len());
        shown
    },
    |world| {
        let mut shown = Vec::new();
        let count = world.rings.forward_each(u32::MAX, |packet| {
            shown.push((packet.len(), packet.options()));
            if shown.len() % 2 == 0 {
                Verdict::Recycle
            } else {
                Verdict::Send
            }
        });
        assert_eq!(count as usize, shown.len());
        shown
    },
    |world| {
        let mut shown = Vec::new();
        loop {
            let peeked: Vec<_> = world.rings.peek(u32::MAX).to_vec();
            if peeked.is_empty() {
                return shown;
            }
            shown.extend(peeked.iter().map(|desc| (desc.len as usize, desc.options)));
            let count = peeked.len() as u32;
            assert_eq!(world.rings.recycle_front(count), count);
        }
    },
    |world| {
        let mut shown = Vec::new();
        loop {
            let peeked: Vec<_> = world.rings.peek(1).to_vec();
            if peeked.is_empty() {
                return shown;
            }
            shown.extend(peeked.iter().map(|desc| (desc.len as usize, desc.options)));
            assert_eq!(world.rings.forward_front(1), 1);
        }
    },
];

#[test]
fn impossible_descriptors_are_refused_and_counted_and_the_others_pass() {
    for path in PATHS {
        for way in WAYS {
            for bad in impossible() {
                let mut world = World::new(path);
                world.arrive(&[good(3), bad, good(4), bad]);
                assert_eq!(way(&mut world), [(60, 0); 2], "{bad:?}");
                assert_eq!(world.refused(), (2, 0), "{bad:?}");
                world.arrive(&[bad]);
                assert_eq!(way(&mut world), [], "{bad:?}");
                assert_eq!(world.refused(), (3, 0), "{bad:?}");
                world.close();
            }
        }
    }
}

#[test]
fn descriptors_that_just_fit_and_strange_options_pass() {
    let chunk = CHUNK as u32;
    for path in PATHS {
        for way in WAYS {
            for (offset, len) in [
                (0, chunk),
                (1, chunk - 1),
                (256, chunk - 256),
                (chunk - 1, 1),
            ] {
                for options in [0, 1, 2, u32::MAX] {
                    let mut world = World::new(path);
                    let fits = desc(5 * CHUNK + u64::from(offset), len, options);
                    world.arrive(&[good(2), fits, good(9)]);
                    assert_eq!(way(&mut world), [(60, 0), (len as usize, options), (60, 0)]);
                    assert_eq!(world.refused(), (0, 0));
                    world.close();
                }
            }
        }
    }
}

#[test]
fn packets_in_frames_of_the_pool_or_the_user_are_refused() {
    for path in PATHS {
        for way in WAYS {
            let mut world = World::new(path);
            // The last two frames are free; frame 0 is the user's when frames are processed up, and one more with its packet.
            let mut foreign = vec![desc(14 * CHUNK, 60, 0), desc(15 * CHUNK + 256, 60, 0)];
            foreign.extend(
                world
                    .held
                    .iter()
                    .map(|packet| desc(packet.address(), 60, 0)),
            );
            world.arrive(&[good(8)]);
            let packets = world.receive();
            foreign.push(good(8));
            world.arrive(&foreign);
            world.arrive(&[good(1)]);
            assert_eq!(way(&mut world), [(60, 0)]);
            assert_eq!(world.refused(), (foreign.len() as u64, 0));
            world.assert_conserved(1);
            drop(packets);
            world.close();
        }
    }
}

#[test]
fn a_frame_that_arrives_twice_is_received_once() {
    for path in PATHS {
        for receive in [World::receive, World::take_each] {
            let mut world = World::new(path);
            world.arrive(&[good(3), good(4), good(3), good(3), good(5)]);
            let packets = receive(&mut world);
            let frames: Vec<_> = packets
                .iter()
                .map(|packet| packet.address() / CHUNK)
                .collect();
            assert_eq!(frames, [3, 4, 5]);
            assert_eq!(world.refused(), (2, 0));
            world.assert_conserved(3);
            drop(packets);
            world.close();
        }
    }
}

#[test]
fn a_frame_that_arrives_twice_in_place_stays_on_loan_and_never_becomes_the_users() {
    for path in PATHS {
        for way in &WAYS[2..] {
            let mut world = World::new(path);
            world.arrive(&[good(3), good(3), good(4), good(3)]);
            assert_eq!(way(&mut world).len(), 4);
            world.assert_conserved(0);
            // Now it stands in the rings several times, and still only one packet comes of it.
            world.arrive(&[good(3), good(3)]);
            let packets = world.receive();
            assert_eq!(packets.len(), 1);
            world.assert_conserved(1);
            drop(packets);
            world.close();
        }
    }
}

#[test]
fn a_frame_that_arrives_twice_over_a_full_fill_ring_goes_to_the_pool_once() {
    for path in PATHS {
        for way in &WAYS[2..4] {
            let mut world = World::with_fill_ring(4);
            if path == Path::LookUp {
                world.held.extend(world.rings.alloc());
            }
            // Twelve lent frames, four of which fill the fill ring.
            for _ in 0..3 {
                assert_eq!(world.rings.lend_free(4), 4);
                if world.rings.state().ledger.kernel < 12 {
                    world.take_fill();
                }
            }
            for _ in 0..10 {
                world.arrive(&[good(3); 4]);
                way(&mut world);
                // Forwarding may have sent it: then it is on loan until it is completed.
                let sent = take(&mut world.tx);
                let addrs: Vec<_> = sent.iter().map(|desc| desc.addr).collect();
                world.complete(&addrs);
                world.rings.reap();
                world.assert_conserved(0);
            }
            world.close();
        }
    }
}

/// What a callback decides about each packet of a batch, as a number.
const VERDICTS: u32 = 4;
/// The batch of this port takes packets; that of the port after it is full.
const OTHER_PORT: u32 = 1;

/// What becomes of the packets of a batch: a frame is handed over to one owner, and stays on loan however often it stands in rings.
#[derive(Debug, Default, PartialEq)]
struct Becomes {
    fill: Vec<u64>,
    sent: Vec<u64>,
    passed_on: Vec<u64>,
    pooled: u32,
    twice: u64,
}

impl Becomes {
    /// With so many places in the fill ring; and the verdicts on those that are still here when their turn comes.
    fn of(frames: &[u64], verdicts: &[u32], places: usize) -> (Self, Vec<u32>) {
        let mut becomes = Self::default();
        let mut here = Vec::new();
        let mut gone: Vec<u64> = Vec::new();
        for (&frame, &verdict) in frames.iter().zip(verdicts) {
            let gone_before = gone.contains(&frame);
            if !gone_before {
                here.push(verdict);
            }
            match verdict {
                _ if gone_before => becomes.twice += 1,
                1 => becomes.sent.push(frame),
                2 => {
                    becomes.passed_on.push(frame);
                    gone.push(frame);
                }
                // Recycled, or for a port without room.
                _ if becomes.fill.len() < places => becomes.fill.push(frame),
                _ => {
                    becomes.pooled += 1;
                    gone.push(frame);
                }
            }
        }
        (becomes, here)
    }
}

#[test]
fn a_frame_that_comes_twice_in_a_batch_has_one_owner_whatever_is_decided_about_each() {
    let rooms = PATHS.map(|path| [4, 2, 1, 0].map(|places| (path, places)));
    for (path, places) in rooms.into_iter().flatten() {
        check_batches(&format!("{path:?}"), places, || {
            World::with_places(path, places)
        });
    }
    check_batches("member of a group", 4, World::member);
}

/// Every batch of a few arrivals, with all verdicts.
fn check_batches(what: &str, places: u32, new: impl Fn() -> World) {
    let arrivals: [&[u64]; 4] = [&[3, 3, 3], &[3, 3, 4, 3], &[4, 3, 3], &[3, 4, 3, 4]];
    for frames in arrivals {
        // Miri takes a second for a few.
        let step = if cfg!(miri) { 101 } else { 1 };
        for number in (0..VERDICTS.pow(frames.len() as u32)).step_by(step) {
            let verdict = |index: u32| number / VERDICTS.pow(index) % VERDICTS;
            let verdicts: Vec<_> = (0..frames.len() as u32).map(verdict).collect();
            let what = format!("{what}: {frames:?} {verdicts:?} {places} places");
            for one_at_a_time in [false, true] {
                let mut world = new();
                let what = format!("{what}, one at a time: {one_at_a_time}");
                check_batch(
                    &mut world,
                    (frames, &verdicts),
                    one_at_a_time,
                    &what,
                    places,
                );
                world.close();
            }
        }
    }
}

fn decide(packet: &mut PortPacket<'_>, verdict: u32) {
    match verdict {
        0 => packet.recycle(),
        1 => packet.send(),
        _ => packet.send_to(verdict - 2 + OTHER_PORT).unwrap(),
    }
}

/// Shows one batch, and compares what came of it with what should.
fn check_batch(
    world: &mut World,
    (frames, verdicts): (&[u64], &[u32]),
    one_at_a_time: bool,
    what: &str,
    places: u32,
) {
    let (expected, here) = Becomes::of(frames, verdicts, places as usize);
    let before = world.rings.state();
    let descs: Vec<_> = frames.iter().map(|frame| good(*frame)).collect();
    world.arrive(&descs);
    let through = PortContext { port: 0, ports: 3 };
    let mut slots = Slots::new(8);
    let mut others = [8, 8, 1].map(PacketBatch::with_capacity);
    let filler = world.umem.alloc().unwrap();
    others[2].push(filler).unwrap();
    let mut counts = VerdictCounts::default();
    let rings = &mut world.rings;
    let count = if one_at_a_time {
        let mut verdicts = here.iter();
        let decide_next = |mut packet: ReceivedPacket<'_>| {
            let verdict = *verdicts.next().expect("no more are shown");
            decide(&mut packet.of_port(through), verdict);
            (packet.exit(), None::<()>)
        };
        let pass_on = |port, packet: ReceivedPacket<'_>| {
            let other = &mut others[port as usize];
            if other.room() > 0 {
                other.push(packet.into_packet()).unwrap();
                counts.passed_on += 1;
            }
        };
        let handled = Cell::default();
        assert!(rings.each(8, &handled, 0, decide_next, pass_on).is_none());
        let handled = handled.get();
        counts.sent += u64::from(handled.sent);
        assert_eq!(handled.seen as usize, frames.len());
        assert_eq!(handled.packets() as usize, here.len());
        handled.seen as usize
    } else {
        let shown = rings.show_batch(8, &mut slots, through, &mut others, &mut counts, |batch| {
            for (index, verdict) in verdicts.iter().enumerate() {
                decide(&mut batch.packet(index), *verdict);
            }
        });
        shown.unwrap().count as usize
    };
    assert_eq!(count, frames.len(), "{what}");

    let number = |addr: &u64| addr / CHUNK;
    let mut fill = world.take_fill();
    let new = fill.split_off(fill.len() - expected.fill.len());
    let sent: Vec<_> = take(&mut world.tx).iter().map(|desc| desc.addr).collect();
    let passed_on: Vec<_> = others[1].iter().map(Packet::address).collect();
    let state = world.rings.state();
    let pooled = (state.ledger.pool + 1).wrapping_sub(before.ledger.pool);
    let became = Becomes {
        fill: new.iter().map(number).collect(),
        sent: sent.iter().map(number).collect(),
        passed_on: passed_on.iter().map(number).collect(),
        pooled,
        twice: state.rx.refused,
    };
    assert_eq!(became, expected, "{what}");
    world.assert_conserved(1 + passed_on.len());
    assert_eq!(
        (counts.sent, counts.passed_on),
        (sent.len() as u64, passed_on.len() as u64)
    );

    // Whatever the kernel says of these frames now, each has one owner.
    world.complete(&sent);
    world.rings.reap();
    world.assert_conserved(1 + passed_on.len());
    world.arrive(&descs);
    let again = world.receive();
    let users: Vec<_> = again
        .iter()
        .chain(others[1].iter())
        .map(Packet::address)
        .collect();
    let distinct: std::collections::HashSet<_> = users.iter().collect();
    assert_eq!(distinct.len(), users.len(), "{what}");
    world.assert_conserved(1 + users.len());
}

#[test]
fn more_returns_of_one_frame_than_frames_on_loan_do_not_upset_the_count() {
    let mut world = World::with_fill_ring(1);
    assert_eq!(world.rings.lend_free(1), 1);
    world.take_fill();
    assert_eq!(world.rings.lend_free(1), 1);
    world.arrive(&[desc(0, 60, 0); 64]);
    assert!(world.rings.recv_each(u32::MAX, |_| ()) > 0);
    world.close();
}

#[test]
fn completions_of_frames_that_were_not_lent_are_refused_and_counted() {
    for path in PATHS {
        for refill in [false, true] {
            let mut world = World::new(path);
            let mut foreign = vec![
                BYTES,
                BYTES + 1,
                1 << 63,
                u64::MAX,
                14 * CHUNK,
                15 * CHUNK + 2047,
            ];
            foreign.extend(world.held.iter().map(Packet::address));
            let all: Vec<_> = foreign.iter().flat_map(|&addr| [addr, addr]).collect();
            world.complete(&all);
            let done = if refill {
                world.rings.refill()
            } else {
                world.rings.reap()
            };
            assert_eq!((done, world.refused()), (0, (0, all.len() as u64)));
            assert_eq!(world.take_fill(), [0; 0]);
            world.close();
        }
    }
}

#[test]
fn a_frame_that_is_completed_twice_comes_home_once() {
    for path in PATHS {
        let mut world = World::new(path);
        let mut packet = world.rings.alloc().unwrap();
        packet.copy_from(b"sent").unwrap();
        let address = packet.address();
        world.rings.send_one(packet).unwrap();
        assert_eq!(take(&mut world.tx).len(), 1);
        world.complete(&[address, address, address]);
        assert_eq!((world.rings.reap(), world.refused()), (1, (0, 2)));
        assert_eq!(world.rings.tx_outstanding(), 0);
        world.close();
    }
}

#[test]
fn a_frame_that_is_completed_twice_stays_on_loan_when_it_is_refilled() {
    for path in PATHS {
        let mut world = World::new(path);
        let mut packet = world.rings.alloc().unwrap();
        packet.copy_from(b"sent").unwrap();
        let address = packet.address();
        world.rings.send_one(packet).unwrap();
        world.complete(&[address, address]);
        world.rings.refill_sent();
        world.assert_conserved(0);
        world.arrive(&[desc(address, 60, 0), desc(address, 60, 0)]);
        let packets = world.receive();
        assert_eq!(packets.len(), 1);
        world.assert_conserved(1);
        drop(packets);
        world.close();
    }
}

#[test]
fn completions_of_frames_lent_for_receiving_do_not_upset_the_count_of_sent_packets() {
    for path in PATHS {
        for refill in [false, true] {
            let mut world = World::new(path);
            world.complete(&[3 * CHUNK, 4 * CHUNK]);
            if refill {
                world.rings.refill_sent();
            } else {
                world.rings.reap();
            }
            assert_eq!(world.rings.tx_outstanding(), 0);
            // Whoever has the frames now, they are not received as well as free.
            world.arrive(&[good(3), good(3), good(4)]);
            let packets = world.receive();
            assert_eq!(packets.len(), if refill { 2 } else { 0 });
            world.assert_conserved(packets.len());
            drop(packets);
            world.close();
        }
    }
}

#[test]
fn a_packet_in_place_that_was_cut_to_nothing_never_reaches_the_tx_ring() {
    for path in PATHS {
        let mut world = World::new(path);
        world.arrive(&[good(3), desc(4 * CHUNK, 0, 0), good(5)]);
        let count = world.rings.forward_each(u32::MAX, |mut packet| {
            if !packet.is_empty() {
                packet.set_len(0).unwrap();
            }
            Verdict::Send
        });
        assert_eq!(count, 3);
        // The kernel refuses empty descriptors and does not give their frames back.
        assert_eq!(take(&mut world.tx), []);
        assert_eq!(world.take_fill().len(), 3);
        world.close();
    }
}

#[test]
fn a_packet_in_place_with_options_never_reaches_the_tx_ring() {
    for path in PATHS {
        for options in [1, 2, 3, 1 << 31, u32::MAX] {
            let mut world = World::new(path);
            let strange = [4, 5].map(|frame| desc(frame * CHUNK + 256, 60, options));
            world.arrive(&[good(3), strange[0], good(6)]);
            assert_eq!(world.rings.forward_each(u32::MAX, |_| Verdict::Send), 3);
            assert_eq!(take(&mut world.tx), [good(3), good(6)]);
            assert_eq!(world.take_fill(), [strange[0].addr]);
            world.close();

            for port in 0..4 {
                let mut world = World::new(path);
                world.arrive(&strange);
                let through = PortContext { port: 0, ports: 4 };
                let mut slots = Slots::new(4);
                let mut others = [(); 4].map(|()| PacketBatch::with_capacity(4));
                let mut counts = VerdictCounts::default();
                let shown = world
                    .rings
                    .show_batch(4, &mut slots, through, &mut others, &mut counts, |batch| {
                        batch.for_each(|packet| packet.send_to(port).unwrap());
                    })
                    .unwrap();
                assert_eq!((shown.count, shown.all_recycled), (2, false));
                assert_eq!(counts, VerdictCounts::default());
                assert_eq!(take(&mut world.tx), []);
                assert!(others.iter().all(PacketBatch::is_empty));
                assert_eq!(world.take_fill(), strange.map(|desc| desc.addr));
                world.close();
            }
        }
    }
}

#[test]
fn frames_stay_acceptable_when_loans_become_contiguous_again() {
    let mut world = World::new(Path::LookUp);
    // The user gives frame 0 away: now all frames below 13 are on loan.
    let mut packet = world.held.pop().unwrap();
    packet.copy_from(b"sent").unwrap();
    world.rings.send_one(packet).unwrap();
    world.arrive(&[desc(256, 60, 0), good(1), good(11), desc(13 * CHUNK, 60, 0)]);
    assert_eq!(world.rings.recv_each(64, |_| ()), 3);
    assert_eq!(world.refused(), (1, 0));
    // One in the middle leaves: all others are acceptable still, it is not.
    world.arrive(&[good(6)]);
    let packets = world.receive();
    world.arrive(&[good(1), good(6), good(11)]);
    assert_eq!(world.rings.recv_each(64, |_| ()), 2);
    assert_eq!(world.refused(), (2, 0));
    drop(packets);
    world.close();
}

#[test]
fn a_panic_in_the_callback_loses_no_packet_and_no_frame() {
    for path in PATHS {
        // Places for all frames in the fill ring, for some, for none.
        for slots in [64, 4, 1] {
            for forward in [false, true] {
                let mut world = World::with_fill_ring(slots);
                if path == Path::LookUp {
                    world.held.extend(world.rings.alloc());
                }
                while world.rings.state().ledger.kernel < 12 {
                    world.take_fill();
                    let missing = 12 - world.rings.state().ledger.kernel;
                    world.rings.lend_free(missing);
                }
                let frames: Vec<_> = (1..9).map(good).collect();
                world.arrive(&frames);
                let mut left = 6;
                let panic = catch_unwind(AssertUnwindSafe(|| {
                    run(&mut world, forward, |_| {
                        left -= 1;
                        assert!(left > 0, "as planned");
                    })
                }));
                assert!(panic.is_err());
                world.assert_conserved(0);
                // The one that it stopped at is recycled, those behind it come again.
                let mut again = 0;
                while run(&mut world, forward, |_| again += 1) > 0 {}
                assert_eq!(again, 2);
                assert_eq!(world.refused(), (0, 0));
                world.close();
            }
        }
    }
}

/// Receives in place, or forwards without sending.
fn run(world: &mut World, forward: bool, mut look: impl FnMut(&mut PacketRef<'_>)) -> u32 {
    if forward {
        world.rings.forward_each(u32::MAX, |mut packet| {
            look(&mut packet);
            Verdict::Recycle
        })
    } else {
        world
            .rings
            .recv_each(u32::MAX, |mut packet| look(&mut packet))
    }
}

#[test]
fn packets_that_were_peeked_at_and_consumed_otherwise_are_not_consumed_again() {
    for path in PATHS {
        let mut world = World::new(path);
        world.arrive(&[good(3), good(4), good(5)]);
        assert_eq!(world.rings.peek(2), [good(3), good(4)]);
        assert_eq!(world.rings.recv_each(1, |_| ()), 1);
        // What follows is processed at anew.
        assert_eq!(world.rings.recycle_front(1), 1);
        assert_eq!(world.rings.peek(64), [good(5)]);
        assert_eq!(world.rings.forward_front(64), 1);
        assert_eq!(
            (world.rings.recycle_front(64), world.rings.totals()),
            (0, (3, 1))
        );
        world.close();
    }
}

#[test]
fn a_frame_that_comes_back_from_sending_after_it_was_peeked_at_is_not_given_to_the_kernel() {
    let ways = [SocketRings::recycle_front, SocketRings::forward_front];
    for (path, consume) in PATHS
        .into_iter()
        .flat_map(|path| ways.map(|way| (path, way)))
    {
        let mut world = World::new(path);
        world.arrive(&[good(3), good(4)]);
        assert_eq!(world.rings.peek(2), [good(3), good(4)]);
        world.complete(&[good(3).addr]);
        assert_eq!(world.rings.reap(), 1);
        assert_eq!(consume(&mut world.rings, 2), 1);
        assert_eq!(world.refused(), (1, 0));
        world.close();
    }
}

#[test]
fn peek_shows_packets_without_taking_them() {
    for path in PATHS {
        let mut world = World::new(path);
        world.arrive(&[
            desc(BYTES, 1, 0),
            good(3),
            good(4),
            desc(BYTES, 1, 0),
            good(5),
        ]);
        // The first one is refused; the ring's array ends after the third.
        for _ in 0..3 {
            assert_eq!(world.rings.peek(64), [good(3), good(4)]);
            assert_eq!(world.rings.peek(1), [good(3)]);
            assert_eq!(world.rings.peek(0), []);
        }
        assert_eq!((world.refused(), world.rings.totals()), ((1, 0), (0, 0)));
        assert_eq!(
            world
                .rings
                .recv_each(2, |packet| assert_eq!(packet.len(), 60)),
            2
        );
        assert_eq!(world.rings.peek(64), [good(5)]);
        assert_eq!(world.refused(), (2, 0));
        assert_eq!(world.receive().len(), 1);
        world.close();
    }
}

#[test]
fn a_ring_prints_its_faults_only_when_there_are_any() {
    let mut state = RingState {
        size: 64,
        producer: u32::MAX,
        consumer: 7,
        occupied: 3,
        ..RingState::default()
    };
    assert_eq!(
        state
            .to_string()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
        "3 of 64 producer 4294967295 consumer 7"
    );
    state.needs_wakeup = true;
    state.violations = 2;
    state.refused = 5;
    assert!(
        state
            .to_string()
            .ends_with(" needs wake-up 2 impossible indices 5 refused entries")
    );
}

#[test]
fn accounts_that_differ_or_do_not_add_up_are_shown_and_not_conserved() {
    let good = crate::umem::Accounting {
        frames: 8,
        pool: 4,
        user: 1,
        kernel: 3,
        quarantined: 0,
    };
    let moved = crate::umem::Accounting {
        pool: 3,
        user: 2,
        ..good
    };
    let lost = crate::umem::Accounting { pool: 3, ..good };
    for (counted, ledger, conserved) in [
        (good, good, true),
        (good, moved, false),
        (lost, lost, false),
    ] {
        let state = RingsState {
            counted,
            ledger,
            ..RingsState::default()
        };
        assert_eq!(state.is_conserved(), conserved);
        let text = state.to_string();
        assert_eq!(
            text.contains("the ledger says"),
            counted != ledger,
            "{text}"
        );
        assert_eq!(text.contains("WRONG"), counted == lost, "{text}");
    }
}

#[test]
fn a_pause_of_a_running_network_tells_how_long_it_took() {
    use crate::builder::FluxBuilder;
    use crate::sim::Network;
    use std::time::Duration;

    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let raw = FluxBuilder::new(&nic).build().unwrap();
    let short = Duration::from_micros(50);
    assert_eq!(raw.socket.pause(short), short, "simulated time is exact");
    let _running = network.run().unwrap();
    for _ in 0..10 {
        let before = network.now();
        let took = raw.socket.pause(short);
        // No sleep is as short as it was asked for: who counts what was asked for waits for a multiple of it.
        assert!(took > short && took <= network.now() - before);
    }
}
