//! Packets that grew or shrank at their ends, sent in each mode over simulated links.

use std::net::Ipv4Addr;

use fluxcap::proto::edit::{self, Outer};
use fluxcap::proto::{MacAddr, Room, Vxlan};
use fluxcap::sim::{Network, Nic};
use fluxcap::{FluxEngine, PacketBatch, PortPacket, Result, UmemConfig, UmemRegion, Verdict};

use super::tools::{assert_conserved, close, packet, small};

/// How far the ends move: (head, tail), as `adjust_head` and `adjust_tail` take them. A packet here has 60 bytes, 256 free ones in front and
/// 1,732 behind. A link takes 14 to 1,514 bytes, and a tag.
const MOVES: [(i32, i32); 9] = [
    (0, 0),
    (-4, 0),
    (-256, 0),
    (14, 0),
    (46, 0),
    (0, 1400),
    (0, -20),
    (-50, -59),
    (-256, 1150),
];
/// More often than there are frames, so that each one goes round.
const ROUNDS: usize = 60;

fn adjust(packet: &mut impl Room, (head, tail): (i32, i32)) -> Result<()> {
    packet.adjust_head(head)?;
    packet.adjust_tail(tail)?;
    if head < 0 {
        packet.bytes_mut()[..head.unsigned_abs() as usize].fill(0xAA);
    }
    if tail > 0 {
        let len = packet.bytes().len();
        packet.bytes_mut()[len - tail as usize..].fill(0xBB);
    }
    Ok(())
}

/// What [`adjust`] makes of these bytes.
fn adjusted(bytes: &[u8], (head, tail): (i32, i32)) -> Vec<u8> {
    let mut all = vec![0xAA; (-head).max(0) as usize];
    all.extend(&bytes[head.max(0) as usize..]);
    all.resize((all.len() as i32 + tail) as usize, 0xBB);
    all
}

/// Packets in each of which something else moves, and what they are afterwards.
fn round(number: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let packets: Vec<_> = (0..MOVES.len()).map(|at| packet(number + at, 60)).collect();
    let moved = packets.iter().zip(MOVES);
    let wanted = moved.map(|(bytes, by)| adjusted(bytes, by)).collect();
    (packets, wanted)
}

fn arrive(nic: &Nic, packets: &[Vec<u8>]) {
    let count = nic.inject_batch(0, packets).unwrap();
    assert_eq!(count as usize, packets.len());
    nic.network().settle();
}

fn sent(nic: &Nic) -> Vec<Vec<u8>> {
    nic.network().settle();
    std::iter::from_fn(|| nic.take_sent()).collect()
}

/// Short when it fails, unlike [`assert_eq`].
#[track_caller]
fn assert_same(packets: &[Vec<u8>], wanted: &[Vec<u8>]) {
    let lengths = |packets: &[Vec<u8>]| packets.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(lengths(packets), lengths(wanted));
    for (number, (packet, wanted)) in packets.iter().zip(wanted).enumerate() {
        let odd = packet
            .iter()
            .zip(wanted)
            .position(|(byte, other)| byte != other);
        assert_eq!(odd, None, "the first wrong byte of packet {number}");
    }
}

/// Shows the packets of a round to `look`, and how each shall move. A batch ends where the ring does.
fn run(engine: &mut FluxEngine, mut look: impl FnMut(&mut PortPacket<'_>, (i32, i32))) {
    let mut moves = MOVES.into_iter();
    while moves.len() > 0 {
        let count = engine.run_once(|batch| {
            batch.for_each(|packet| look(packet, moves.next().unwrap()));
        });
        assert_ne!(count.unwrap(), 0);
    }
}

#[test]
fn an_engine_sends_packets_whose_ends_moved_whole() {
    let nic = Network::new().nic("sim0").unwrap();
    let mut engine = FluxEngine::new(small(&nic).build().unwrap());
    for number in 0..ROUNDS {
        let (packets, wanted) = round(number);
        arrive(&nic, &packets);
        run(&mut engine, |packet, by| {
            adjust(packet, by).unwrap();
            packet.send();
        });
        assert_same(&sent(&nic), &wanted);
    }
    assert_conserved(engine.port(0));
    let umem = engine.port(0).umem().clone();
    drop(engine);
    assert_eq!(umem.accounting().pool, umem.frame_count());
}

#[test]
fn an_engine_passes_packets_whose_ends_moved_to_another_port_whole() {
    let network = Network::new();
    let (left, right) = (network.nic("left").unwrap(), network.nic("right").unwrap());
    let here = small(&left).build().unwrap();
    let there = small(&right).umem(here.umem()).build().unwrap();
    let mut engine = FluxEngine::new(here);
    engine.add_port(there).unwrap();
    for number in 0..ROUNDS {
        let (packets, wanted) = round(number);
        arrive(&left, &packets);
        run(&mut engine, |packet, by| {
            adjust(packet, by).unwrap();
            packet.send_to(1).unwrap();
        });
        assert_same(&sent(&right), &wanted);
    }
    assert_conserved(engine.port(0));
    let umem = engine.port(0).umem().clone();
    drop(engine);
    assert_eq!(umem.accounting().pool, umem.frame_count());
}

#[test]
fn an_engine_recycles_packets_whose_ends_moved() {
    let nic = Network::new().nic("sim0").unwrap();
    let mut engine = FluxEngine::new(small(&nic).build().unwrap());
    for number in 0..ROUNDS {
        let (packets, _) = round(number);
        arrive(&nic, &packets);
        run(&mut engine, |packet, by| {
            // It comes as if the frame had never been used.
            assert_eq!((packet.headroom(), packet.tailroom()), (256, 1732));
            adjust(packet, by).unwrap();
        });
        assert_conserved(engine.port(0));
    }
    assert_eq!(sent(&nic), [[0; 0]; 0]);
    let total = engine.statistics().total();
    assert_eq!(total.recycled as usize, ROUNDS * MOVES.len());
    let umem = engine.port(0).umem().clone();
    drop(engine);
    assert_eq!(umem.accounting().pool, umem.frame_count());
}

#[test]
fn halves_send_packets_whose_ends_moved_whole() {
    let nic = Network::new().nic("sim0").unwrap();
    let (mut rx, mut tx) = small(&nic).build().unwrap().split();
    let mut batch = PacketBatch::with_capacity(MOVES.len());
    for number in 0..ROUNDS {
        let (packets, wanted) = round(number);
        arrive(&nic, &packets);
        assert_eq!(rx.try_recv(&mut batch) as usize, MOVES.len());
        for (packet, by) in batch.iter_mut().zip(MOVES) {
            adjust(packet, by).unwrap();
        }
        assert_eq!(tx.send(&mut batch).unwrap() as usize, MOVES.len());
        tx.kick().unwrap();
        assert_same(&sent(&nic), &wanted);
        tx.reap();
    }
    let umem = rx.umem().clone();
    drop((rx, tx));
    assert_eq!(umem.accounting().pool, umem.frame_count());
}

#[test]
fn the_rings_send_packets_whose_ends_moved_whole() {
    let nic = Network::new().nic("sim0").unwrap();
    let mut raw = small(&nic).build().unwrap();
    for number in 0..ROUNDS {
        let (packets, wanted) = round(number);
        arrive(&nic, &packets);
        let mut moves = MOVES.iter();
        let count = raw.forward_each(64, |mut packet| {
            adjust(&mut packet, *moves.next().unwrap()).unwrap();
            Verdict::Send
        });
        assert_eq!(count as usize, MOVES.len());
        raw.wake_tx().unwrap();
        assert_same(&sent(&nic), &wanted);
        // And without being sent.
        raw.refill();
        arrive(&nic, &packets);
        let mut moves = MOVES.iter();
        raw.recv_each(64, |mut packet| {
            assert_eq!((packet.headroom(), packet.tailroom()), (256, 1732));
            adjust(&mut packet, *moves.next().unwrap()).unwrap();
        });
        raw.refill();
        assert_conserved(&raw);
    }
    close(raw);
}

/// In a tunnel between two routers, with a tag.
fn into_tunnel(packet: &mut impl Room) {
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let here = Ipv4Addr::new(192, 0, 2, 1);
    let outer = Outer::ipv4((mac, mac), (here, here));
    edit::vxlan_encap(packet, &outer, 42).unwrap();
    edit::push_vlan(packet, 7).unwrap();
}

/// Packets that came through the tunnel of [`into_tunnel`], taken out of it.
fn out_of_tunnels(packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let umem = UmemRegion::heap(UmemConfig::default()).unwrap();
    let out = |bytes: Vec<u8>| {
        let mut packet = umem.copy(&bytes).unwrap().unwrap();
        assert_eq!(bytes.len(), 60 + 54);
        assert_eq!(edit::pop_vlan(&mut packet), Ok(7.into()));
        assert_eq!(edit::vxlan_decap(&mut packet, Vxlan::PORT), Ok(42));
        packet.data().to_vec()
    };
    packets.into_iter().map(out).collect()
}

#[test]
fn a_packet_goes_into_a_tunnel_in_each_mode_and_comes_out_whole() {
    let packets: Vec<_> = (0..8).map(|number| packet(number, 60)).collect();

    let nic = Network::new().nic("sim0").unwrap();
    let mut engine = FluxEngine::new(small(&nic).build().unwrap());
    arrive(&nic, &packets);
    let count = engine.run_once(|batch| {
        batch.for_each(|packet| {
            into_tunnel(packet);
            packet.send();
        });
    });
    assert_eq!(count.unwrap(), 8);
    assert_same(&out_of_tunnels(sent(&nic)), &packets);

    let nic = Network::new().nic("sim0").unwrap();
    let (mut rx, mut tx) = small(&nic).build().unwrap().split();
    arrive(&nic, &packets);
    let mut batch = PacketBatch::with_capacity(8);
    rx.try_recv(&mut batch);
    batch.iter_mut().for_each(into_tunnel);
    tx.send(&mut batch).unwrap();
    tx.kick().unwrap();
    assert_same(&out_of_tunnels(sent(&nic)), &packets);

    let nic = Network::new().nic("sim0").unwrap();
    let mut raw = small(&nic).build().unwrap();
    arrive(&nic, &packets);
    raw.forward_each(64, |mut packet| {
        into_tunnel(&mut packet);
        Verdict::Send
    });
    raw.wake_tx().unwrap();
    assert_same(&out_of_tunnels(sent(&nic)), &packets);
    close(raw);
}
