//! Several sockets on one queue: the same on every network. `near` and `far` are the two ends of a cable.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fluxcap::proto::FlowKey;
use fluxcap::{FanOut, FluxBuilder, FluxRaw, PacketBatch, UmemRegion, Verdict};

use crate::strange::{Random, packet};

const PATIENCE: Duration = Duration::from_secs(20);
const MOMENT: Option<Duration> = Some(Duration::from_millis(2));

pub(crate) fn group(near: FluxBuilder, sockets: u32, symmetric: bool) -> Vec<FluxRaw> {
    let group = near.fan_out(FanOut { sockets, symmetric }).build_group();
    let group = group.unwrap();
    assert_eq!(group.len(), sockets as usize);
    group
}

fn member(bytes: &[u8], sockets: u32, symmetric: bool) -> usize {
    let key = FlowKey::parse(bytes);
    let hash = if symmetric {
        key.symmetric_hash()
    } else {
        key.hash()
    };
    FlowKey::member(hash, sockets) as usize
}

/// Puts packets into the TX ring and wakes the kernel; returns how many had room.
fn put(raw: &mut FluxRaw, packets: &[Vec<u8>]) -> usize {
    raw.reap();
    let mut done = 0;
    for bytes in packets {
        let Some(mut packet) = raw.alloc() else { break };
        packet.copy_from(bytes).unwrap();
        if raw.send_one(packet).is_err() {
            break;
        }
        done += 1;
    }
    raw.wake_tx().unwrap();
    done
}

/// Takes all that a member has, in one of the two ways.
fn take(raw: &mut FluxRaw, in_place: bool) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    if in_place {
        raw.recv_each(u32::MAX, |packet| all.push(packet.data().to_vec()));
    } else {
        let mut batch = PacketBatch::with_capacity(16);
        while raw.receive(&mut batch) > 0 {
            all.extend(batch.iter().map(|packet| packet.data().to_vec()));
            raw.recycle(&mut batch).unwrap();
        }
    }
    raw.refill();
    raw.wake_rx().unwrap();
    all
}

/// Sends packets from `far` and returns what each member got, in order.
fn carry(far: &mut FluxRaw, group: &mut [FluxRaw], packets: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
    let deadline = Instant::now() + PATIENCE;
    let mut got = vec![Vec::new(); group.len()];
    let (mut sent, mut arrived) = (0, 0);
    while arrived < packets.len() {
        let end = packets.len().min(arrived + 16);
        sent += put(far, &packets[sent..end.max(sent)]);
        for (number, (raw, got)) in group.iter_mut().zip(&mut got).enumerate() {
            let new = take(raw, number % 2 == 0);
            arrived += new.len();
            got.extend(new);
        }
        if Instant::now() > deadline {
            panic!("{arrived} of {sent} arrived, {}", group[0].debug_rings());
        }
        group[0].wait_rx(MOMENT).unwrap();
    }
    got
}

#[track_caller]
fn assert_conserved(raw: &FluxRaw) {
    let rings = raw.debug_rings();
    assert!(rings.is_conserved(), "{rings}");
    for ring in [rings.fill, rings.rx, rings.tx, rings.completion] {
        assert_eq!((ring.violations, ring.refused), (0, 0), "{rings}");
    }
}

/// Closes the sockets of a UMEM in this order; every frame is home then.
#[track_caller]
pub(crate) fn close(group: Vec<FluxRaw>) {
    let umem: UmemRegion = group[0].umem().clone();
    for raw in group {
        assert_conserved(&raw);
        drop(raw);
    }
    umem.reclaim(Duration::from_secs(10));
    let accounting = umem.accounting();
    assert_eq!(accounting.pool, umem.frame_count(), "{accounting}");
    assert!(accounting.is_conserved(), "{accounting}");
}

/// Packets of every kind come to the member that the library's hash names, in order within it.
pub(crate) fn each_flow_has_its_socket(near: &FluxBuilder, far: &FluxBuilder) {
    for (sockets, symmetric) in [(4, false), (4, true), (2, false), (16, true), (3, false)] {
        let mut far = far.clone().build().unwrap();
        let mut group = group(near.clone(), sockets, symmetric);
        let mut random = Random::new(u64::from(sockets));
        let packets: Vec<_> = (0..1500).map(|_| packet(&mut random)).collect();
        let got = carry(&mut far, &mut group, &packets);
        for (number, got) in got.iter().enumerate() {
            let its = |bytes: &&Vec<u8>| member(bytes, sockets, symmetric) == number;
            let expected: Vec<_> = packets.iter().filter(its).cloned().collect();
            assert!(!expected.is_empty());
            assert_eq!(*got, expected, "socket {number} of {sockets}");
        }
        close(group);
        close(vec![far]);
    }
}

/// UDP between two hosts of number `flow`, there or back.
fn udp(flow: u16, back: bool) -> Vec<u8> {
    let [a, b] = flow.to_be_bytes();
    let (mut from, mut to) = ([10, 1, a, b, 0x30, b], [10, 2, 0, 1, 0, 53]);
    if back {
        std::mem::swap(&mut from, &mut to);
    }
    let mut bytes = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x00];
    bytes.extend([0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0]);
    bytes.extend([
        from[0], from[1], from[2], from[3], to[0], to[1], to[2], to[3],
    ]);
    bytes.extend([from[4], from[5], to[4], to[5], 0, 26, 0, 0]);
    bytes.extend([0; 18]);
    bytes
}

/// Both directions of a flow come to one socket if that was asked for, and all sockets have work.
pub(crate) fn both_directions_have_one_socket(near: &FluxBuilder, far: &FluxBuilder) {
    let mut far = far.clone().build().unwrap();
    for symmetric in [true, false] {
        let mut group = group(near.clone(), 4, symmetric);
        let way = |back| {
            (0..200)
                .map(move |flow| udp(flow, back))
                .collect::<Vec<_>>()
        };
        let there = carry(&mut far, &mut group, &way(false));
        let back = carry(&mut far, &mut group, &way(true));
        let socket_of = |got: &[Vec<Vec<u8>>], packet: Vec<u8>| {
            let found = got.iter().position(|got| got.contains(&packet));
            found.unwrap()
        };
        let together = (0..200).filter(|&flow| {
            socket_of(&there, udp(flow, false)) == socket_of(&back, udp(flow, true))
        });
        let together = together.count();
        if symmetric {
            assert_eq!(together, 200);
        } else {
            assert!((20..100).contains(&together), "{together}");
        }
        assert!(there.iter().all(|got| got.len() > 20));
        close(group);
    }
    close(vec![far]);
}

/// Members on threads of their own send everything back, and nothing is lost.
pub(crate) fn members_work_on_threads_of_their_own(near: &FluxBuilder, far: &FluxBuilder) {
    const PACKETS: usize = 6000;
    let mut far = far.clone().build().unwrap();
    let large = near.clone().frames(4096).fill_size(2048);
    let group = group(large, 3, false);
    let stop = AtomicBool::new(false);
    let echoed = [0; 3].map(AtomicUsize::new);
    let mut group: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = group
            .into_iter()
            .zip(&echoed)
            .enumerate()
            .map(|(number, (mut raw, echoed))| {
                let stop = &stop;
                scope.spawn(move || {
                    let mut batch = PacketBatch::with_capacity(8);
                    while !stop.load(Ordering::Relaxed) {
                        raw.wait_rx(MOMENT).unwrap();
                        raw.refill();
                        raw.wake_rx().unwrap();
                        // In place, and as owned packets.
                        if number == 0 {
                            raw.receive(&mut batch);
                            let sent = raw.send(&mut batch).unwrap();
                            echoed.fetch_add(sent as usize, Ordering::Relaxed);
                        } else {
                            let sent = raw.forward_each(64, |_| Verdict::Send);
                            echoed.fetch_add(sent as usize, Ordering::Relaxed);
                        }
                        raw.wake_tx().unwrap();
                    }
                    while !batch.is_empty() {
                        let sent = raw.send(&mut batch).unwrap();
                        echoed.fetch_add(sent as usize, Ordering::Relaxed);
                        raw.wake_tx().unwrap();
                        raw.reap();
                    }
                    raw
                })
            })
            .collect();
        let packets: Vec<_> = (0..PACKETS)
            .map(|number| udp(number as u16, false))
            .collect();
        let (mut sent, mut back) = (0, Vec::new());
        let mut last = Instant::now();
        while back.len() < PACKETS && last.elapsed() < Duration::from_secs(2) {
            let end = PACKETS.min(back.len() + 32).max(sent);
            sent += put(&mut far, &packets[sent..end]);
            far.wait_rx(MOMENT).unwrap();
            let new = take(&mut far, true);
            if !new.is_empty() {
                last = Instant::now();
            }
            back.extend(new);
        }
        stop.store(true, Ordering::Relaxed);
        let group: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        // A thread that is held up while it moves frames for all can leave the fill ring empty. The kernel counts that.
        let dropped = group.iter().map(|raw| raw.statistics().unwrap().rx_dropped);
        let dropped = dropped.sum::<u64>() as usize;
        assert_eq!(back.len() + dropped, sent, "{}", group[0].debug_rings());
        assert!(dropped < PACKETS / 100, "{dropped} packets dropped");
        back.sort();
        let all = back.len();
        back.dedup();
        assert_eq!(back.len(), all, "each comes once");
        let mut packets = packets;
        packets.sort();
        assert!(
            back.iter()
                .all(|bytes| packets.binary_search(bytes).is_ok())
        );
        group
    });
    for (raw, echoed) in group.iter_mut().zip(&echoed) {
        assert!(echoed.load(Ordering::Relaxed) > PACKETS / 10);
        // Each member gets its own frames back.
        assert!(raw.flush(PATIENCE).unwrap(), "{}", raw.debug_rings());
    }
    close(group);
    close(vec![far]);
}

/// Whichever sockets are closed first, with packets in all their rings, the others go on and no frame is lost.
pub(crate) fn sockets_are_closed_in_any_order(near: &FluxBuilder, far: &FluxBuilder) {
    for order in [
        [0, 1, 2],
        [2, 1, 0],
        [1, 0, 2],
        [0, 2, 1],
        [2, 0, 1],
        [1, 2, 0],
    ] {
        let mut far = far.clone().build().unwrap();
        let group = group(near.clone(), 3, false);
        let umem = group[0].umem().clone();
        let mut members: Vec<_> = group.into_iter().map(Some).collect();
        let packets: Vec<_> = (0..200).map(|flow| udp(flow, false)).collect();
        for first in order {
            // Some stand in the RX rings, and some in the TX rings.
            put(&mut far, &packets[..24]);
            far.flush(PATIENCE).unwrap();
            for raw in members.iter_mut().flatten() {
                raw.wait_rx(MOMENT).unwrap();
                raw.forward_each(2, |_| Verdict::Send);
                assert_conserved(raw);
            }
            let closed = members[first].take().unwrap();
            drop(closed);
            // Those that are left get their packets as before, more than there are frames.
            for _ in 0..6 {
                for (number, raw) in members.iter_mut().enumerate() {
                    let Some(raw) = raw else { continue };
                    take(raw, true);
                    let its: Vec<_> = packets
                        .iter()
                        .filter(|bytes| member(bytes, 3, false) == number)
                        .cloned()
                        .collect();
                    let got = carry(&mut far, std::slice::from_mut(raw), &its);
                    assert_eq!(got[0], its, "socket {number} after {first} in {order:?}");
                }
            }
            assert!(umem.accounting().is_conserved());
        }
        umem.reclaim(Duration::from_secs(10));
        let accounting = umem.accounting();
        assert_eq!(accounting.pool, umem.frame_count(), "{accounting}");
        take(&mut far, true);
        close(vec![far]);
    }
}
