//! Mode B over simulated links: waiting, sending that gets stuck, and packets that travel between threads.
//!
//! `FLUXCAP_TRAVEL=100000000` sets how many packets are dropped on another thread.

use std::env;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fluxcap::sim::{Faults, Network, Nic, NicConfig, Playback, Speed};
use fluxcap::{ErrorKind, FluxBuilder, FluxRx, FluxTx, PacketBatch, Poller, UmemRegion, Verdict};

use super::tools::{packet, small};

const PATIENCE: Duration = Duration::from_secs(20);
/// Packets that an ordinary test run drops on another thread.
const FEW: u64 = 200_000;
const POLLERS: [Poller; 3] = [
    Poller::Busy,
    Poller::Wait,
    Poller::Adaptive {
        spin: Duration::from_micros(50),
    },
];

fn halves(nic: &Nic) -> (FluxRx, FluxTx) {
    small(nic).build().unwrap().split()
}

/// Drops both halves; all frames are in the pool then, and can be had.
#[track_caller]
fn close(rx: FluxRx, tx: FluxTx) {
    let umem = rx.umem().clone();
    drop((rx, tx));
    assert_home(&umem);
}

#[track_caller]
fn assert_home(umem: &UmemRegion) {
    let accounting = umem.accounting();
    assert_eq!(accounting.pool, umem.frame_count(), "{accounting}");
    let packets: Vec<_> = std::iter::from_fn(|| umem.alloc()).collect();
    assert_eq!(packets.len(), umem.frame_count() as usize);
}

/// A batch of packets, as many as there are frames for.
fn batch_of(tx: &mut FluxTx, count: usize) -> PacketBatch {
    let mut batch = PacketBatch::with_capacity(count);
    tx.alloc_batch(&mut batch);
    for (number, fresh) in batch.iter_mut().enumerate() {
        fresh.copy_from(&packet(number, 60)).unwrap();
    }
    batch
}

#[test]
fn each_poller_waits_for_packets_on_a_stepped_network() {
    for poller in POLLERS {
        let network = Network::new();
        let nic = network.nic("sim0").unwrap();
        let (mut rx, tx) = halves(&nic);
        rx.set_poller(poller);
        let mut batch = PacketBatch::with_capacity(8);
        for number in 0..50 {
            nic.inject(0, &packet(number, 60)).unwrap();
            assert_eq!(rx.recv(&mut batch).unwrap(), 1);
            assert_eq!(batch.pop().unwrap().data(), packet(number, 60));
            nic.inject(0, &packet(number, 61)).unwrap();
            let one = rx.recv_one().unwrap().unwrap();
            assert_eq!(one.data(), packet(number, 61));
        }
        let slept = rx.poller_statistics().sleeps > 0;
        assert_eq!(slept, poller == Poller::Wait, "{poller:?}");
        close(rx, tx);
    }
}

#[test]
fn a_time_passes_on_the_clock_of_the_network() {
    let network = Network::new();
    let (mut rx, tx) = halves(&network.nic("sim0").unwrap());
    rx.set_poller(Poller::Wait);
    let mut batch = PacketBatch::with_capacity(8);
    let hour = Duration::from_secs(3600);
    assert_eq!(rx.recv_timeout(&mut batch, hour).unwrap(), 0);
    // A little less, since the program's own clock runs, too.
    let about = |time: Duration| time - Duration::from_secs(1)..=time + Duration::from_secs(1);
    assert!(about(hour).contains(&network.now()));
    assert!(rx.recv_one_timeout(hour).unwrap().is_none());
    assert!(about(2 * hour).contains(&network.now()));
    // Nothing can come: nobody waits for ever.
    assert_eq!(rx.recv(&mut batch).unwrap(), 0);
    close(rx, tx);
}

#[test]
fn each_poller_waits_for_packets_and_for_a_time_while_a_thread_runs_the_network() {
    for poller in POLLERS {
        let network = Network::new();
        let nic = network.nic("sim0").unwrap();
        let _running = network.run().unwrap();
        let (mut rx, tx) = halves(&nic);
        rx.set_poller(poller);
        let mut batch = PacketBatch::with_capacity(8);
        let start = Instant::now();
        let short = Duration::from_millis(20);
        assert_eq!(rx.recv_timeout(&mut batch, short).unwrap(), 0);
        assert!(start.elapsed() >= short, "{poller:?}");
        assert!(start.elapsed() < PATIENCE, "{poller:?}");
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(short);
                nic.inject(0, &packet(1, 60)).unwrap();
            });
            let one = rx.recv_one_timeout(PATIENCE).unwrap();
            assert_eq!(one.unwrap().data(), packet(1, 60));
        });
        close(rx, tx);
    }
}

#[test]
fn a_removed_interface_ends_the_wait() {
    for poller in POLLERS {
        let network = Network::new();
        let nic = network.nic("sim0").unwrap();
        let (mut rx, mut tx) = halves(&nic);
        rx.set_poller(poller);
        nic.remove();
        let error = rx.recv_one_timeout(PATIENCE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Gone, "{poller:?}");
        let mut batch = batch_of(&mut tx, 4);
        assert_eq!(tx.send(&mut batch).unwrap_err().kind(), ErrorKind::Gone);
        drop(batch);
        close(rx, tx);
    }
}

#[test]
fn a_receiver_without_frames_looks_for_them_while_it_waits() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let _running = network.run().unwrap();
    let (mut rx, tx) = halves(&nic);
    rx.set_poller(Poller::Wait);
    let mut held = PacketBatch::with_capacity(256);
    while held.room() > 0 {
        nic.inject(0, &packet(7, 60)).unwrap();
        rx.recv(&mut held).unwrap();
    }
    // Nothing tells a sleeping receiver that packets are dropped: it must look.
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            drop(held);
            thread::sleep(Duration::from_millis(20));
            nic.inject(0, &packet(8, 60)).unwrap();
        });
        let one = rx.recv_one_timeout(PATIENCE).unwrap();
        assert_eq!(one.expect("it got frames").data(), packet(8, 60));
    });
    close(rx, tx);
}

#[test]
fn a_link_that_takes_nothing_is_reported_and_loses_nothing() {
    let network = Network::new();
    let nic = |name: &str| {
        let config = NicConfig {
            zero_copy: true,
            cable: 16,
            ..NicConfig::new(name)
        };
        network.add(config).unwrap()
    };
    let (near, far) = (nic("near"), nic("far"));
    network.join(&near, &far).unwrap();
    let (rx, mut tx) = halves(&near);
    tx.set_patience(Duration::from_millis(20));
    // Nobody steps the network: nothing moves.
    let mut batch = batch_of(&mut tx, 40);
    // Before the time that is measured begins, however long this thread is not run.
    let start = Instant::now();
    let sent = tx.send(&mut batch).unwrap();
    let error = loop {
        match tx.kick() {
            Err(error) => break error,
            Ok(()) => assert!(start.elapsed() < PATIENCE),
        }
    };
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert_eq!(error.kind(), ErrorKind::Stuck, "{error}");
    assert!(error.to_string().contains("near"), "{error}");
    assert!(
        error.to_string().contains(&format!("{sent} given")),
        "{error}"
    );
    // It goes on where it was.
    network.settle();
    assert!(tx.flush(PATIENCE).unwrap());
    assert_eq!((sent, tx.outstanding()), (40, 0));
    close(rx, tx);
}

#[test]
fn a_link_that_is_slow_is_not_reported() {
    let network = Network::new();
    let (near, far) = (network.nic("near").unwrap(), network.nic("far").unwrap());
    network.join(&near, &far).unwrap();
    let (rx, mut tx) = halves(&near);
    tx.set_patience(Duration::from_millis(40));
    let mut batch = batch_of(&mut tx, 64);
    let start = Instant::now();
    // One frame comes back every few milliseconds.
    let late = Faults {
        stalled_completion: 1_000_000,
        max_delay: Duration::from_millis(5),
        ..Faults::default()
    };
    network.set_faults(late).unwrap();
    tx.send(&mut batch).unwrap();
    while tx.outstanding() > 0 {
        thread::sleep(Duration::from_millis(5));
        network.advance(Duration::from_micros(100));
        tx.kick().unwrap();
        tx.reap();
    }
    assert!(start.elapsed() > 2 * tx.patience(), "{:?}", start.elapsed());
    close(rx, tx);
}

#[test]
fn an_echo_of_two_threads_answers_every_packet() {
    for zero_copy in [false, true] {
        let network = Network::new();
        let nic = |name: &str| {
            let config = NicConfig {
                zero_copy,
                ..NicConfig::new(name)
            };
            network.add(config).unwrap()
        };
        let (near, far) = (nic("near"), nic("far"));
        network.join(&near, &far).unwrap();
        let _running = network.run().unwrap();
        let (mut near_rx, mut near_tx) = halves(&near);
        let (mut far_rx, mut far_tx) = halves(&far);
        let (sender, receiver) = mpsc::sync_channel::<PacketBatch>(2);
        const COUNT: usize = 5000;
        thread::scope(|scope| {
            let receiving = scope.spawn(move || {
                let mut left = COUNT;
                while left > 0 {
                    let mut batch = PacketBatch::with_capacity(16);
                    let timeout = Duration::from_millis(100);
                    left -= far_rx.recv_timeout(&mut batch, timeout).unwrap() as usize;
                    sender.send(batch).unwrap();
                }
                far_rx
            });
            let sending = scope.spawn(move || {
                for mut batch in receiver {
                    while !batch.is_empty() {
                        far_tx.send(&mut batch).unwrap();
                        far_tx.wait(Some(Duration::from_millis(10))).unwrap();
                    }
                }
                assert!(far_tx.flush(PATIENCE).unwrap());
                far_tx
            });
            let (mut sent, mut back) = (0, 0);
            let start = Instant::now();
            while back < COUNT && start.elapsed() < PATIENCE {
                // Never more on the way than the rings hold.
                while sent < COUNT && sent < back + 32 {
                    let fresh = near_tx.copy(&packet(sent, 60)).unwrap();
                    let Some(fresh) = fresh else { break };
                    match near_tx.send_one(fresh) {
                        Ok(()) => sent += 1,
                        Err(unsent) => assert!(unsent.is_full(), "{unsent}"),
                    }
                }
                near_tx.kick().unwrap();
                if let Some(one) = near_rx.recv_one_timeout(Duration::from_millis(5)).unwrap() {
                    assert_eq!(one.data(), packet(back, 60));
                    back += 1;
                }
            }
            assert_eq!((sent, back), (COUNT, COUNT));
            close(receiving.join().unwrap(), sending.join().unwrap());
        });
        close(near_rx, near_tx);
    }
}

#[test]
fn packets_dropped_on_another_thread_all_come_home() {
    let count = match env::var("FLUXCAP_TRAVEL") {
        Ok(count) => count.parse().expect("FLUXCAP_TRAVEL is a number"),
        Err(_) => FEW,
    };
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let (mut rx, tx) = FluxBuilder::new(&nic).build().unwrap().split();
    rx.set_poller(Poller::Busy);
    let umem = rx.umem().clone();
    let playback = Playback::of((0..100).map(|number| packet(number, 64)));
    nic.play(playback.times(count.div_ceil(100)).speed(Speed::Paced))
        .unwrap();
    let count = count.div_ceil(100) * 100;
    let _running = network.run().unwrap();
    // Full batches one way, empty ones back: at most so many packets are on the way.
    let (full, received) = mpsc::sync_channel::<PacketBatch>(16);
    let (empty, returned) = mpsc::channel::<PacketBatch>();
    for _ in 0..16 {
        empty.send(PacketBatch::with_capacity(64)).unwrap();
    }
    let start = Instant::now();
    thread::scope(|scope| {
        let dropping = scope.spawn(move || {
            let (mut dropped, mut busy) = (0_u64, Duration::ZERO);
            for mut batch in received {
                let begin = Instant::now();
                for one in batch.drain() {
                    assert_eq!(one.data()[0], (dropped % 100) as u8);
                    dropped += 1;
                }
                busy += begin.elapsed();
                // The other side may be done.
                let _ = empty.send(batch);
            }
            (dropped, busy)
        });
        let (mut left, mut busy) = (count, Duration::ZERO);
        while left > 0 {
            let Ok(mut batch) = returned.recv() else {
                break;
            };
            assert!(
                rx.recv_timeout(&mut batch, PATIENCE).unwrap() > 0,
                "{left} left"
            );
            left -= batch.len() as u64;
            let begin = Instant::now();
            rx.refill();
            busy += begin.elapsed();
            full.send(batch).unwrap();
        }
        drop(full);
        let (dropped, dropping) = dropping.join().unwrap();
        assert_eq!((dropped, rx.total()), (count, count));
        let each = |time: Duration| time.as_nanos() as f64 / count as f64;
        println!(
            "{count} packets received on one thread and dropped on another: {:.1} ns each, {:.1} ns of them to look at and drop, {:.1} ns to refill",
            each(start.elapsed()),
            each(dropping),
            each(busy),
        );
    });
    let state = umem.accounting();
    assert_eq!(state.user, 0, "{state}");
    let statistics = rx.statistics().unwrap();
    assert_eq!((statistics.rx_dropped, statistics.rx_ring_full), (0, 0));
    close(rx, tx);
}

#[test]
fn a_sender_of_single_packets_hears_that_nothing_moves() {
    let config = NicConfig {
        keep: 1,
        ..NicConfig::new("sim0")
    };
    let nic = Network::new().add(config).unwrap();
    let (rx, mut tx) = halves(&nic);
    tx.set_patience(Duration::from_millis(20));
    let start = Instant::now();
    let unsent = loop {
        let packet = tx.copy(&packet(0, 60)).unwrap().unwrap();
        match tx.send_one(packet) {
            Ok(()) => thread::sleep(Duration::from_millis(5)),
            Err(unsent) => break unsent,
        }
    };
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert_eq!(unsent.error().kind(), ErrorKind::Stuck, "{unsent}");
    assert!(tx.room() > 0 && unsent.into_packet().len() == 60);
    // It is said once a patience, and once things move again not at all.
    let packet = tx.copy(&packet(1, 60)).unwrap().unwrap();
    tx.send_one(packet).unwrap();
    thread::sleep(Duration::from_millis(30));
    nic.network().settle();
    while nic.take_sent().is_some() {
        tx.kick().unwrap();
        nic.network().settle();
    }
    assert_eq!(tx.outstanding(), 0);
    close(rx, tx);
}

/// Passes packets on until so many have come, every fifth dropped; gives how many left.
fn pass_on(rx: &mut FluxRx, tx: &mut FluxTx, count: u32) -> u64 {
    let start = Instant::now();
    let (mut came, mut kept) = (0, Vec::new());
    while came < count {
        assert!(start.elapsed() < PATIENCE, "{came} of {count} came");
        let passed = rx.forward_each(tx, 16, |packet| {
            if packet.data()[0].is_multiple_of(5) {
                kept.push(packet.into_packet());
            }
            // Those that were kept are not sent.
            Verdict::Send
        });
        came += passed.unwrap();
        if kept.len() > 4 {
            kept.clear();
        }
        thread::yield_now();
    }
    while tx.outstanding() > 0 {
        assert!(start.elapsed() < PATIENCE);
        tx.kick().unwrap();
        tx.reap();
    }
    tx.total()
}

#[test]
fn packets_cross_between_the_halves_of_two_sockets_on_two_threads() {
    const COUNT: u32 = 2_000;
    let network = Network::new();
    let (left, right) = (network.nic("left").unwrap(), network.nic("right").unwrap());
    let here = small(&left).build().unwrap();
    let there = small(&right).umem(here.umem()).build().unwrap();
    let umem = here.umem().clone();
    let (mut left_rx, mut left_tx) = here.split();
    let (mut right_rx, mut right_tx) = there.split();
    let running = network.run().unwrap();
    thread::scope(|scope| {
        let to_right = scope.spawn(move || {
            let sent = pass_on(&mut left_rx, &mut right_tx, COUNT);
            (left_rx, right_tx, sent)
        });
        let to_left = scope.spawn(move || {
            let sent = pass_on(&mut right_rx, &mut left_tx, COUNT);
            (right_rx, left_tx, sent)
        });
        for (from, to) in [(&left, &right), (&right, &left)] {
            scope.spawn(move || {
                let start = Instant::now();
                let (mut next, mut expected) = (0, 0);
                while expected < COUNT {
                    assert!(start.elapsed() < PATIENCE, "{expected} of {next} left");
                    // No more than there is room for, so that none is dropped.
                    if next < COUNT && next - expected < 16 {
                        from.inject(0, &packet(next as usize, 60)).unwrap();
                        next += 1;
                    }
                    // In order, and unchanged.
                    if packet(expected as usize, 60)[0].is_multiple_of(5) {
                        expected += u32::from(expected < next);
                    } else if let Some(sent) = to.take_sent() {
                        assert_eq!(sent, packet(expected as usize, 60));
                        expected += 1;
                    } else {
                        thread::yield_now();
                    }
                }
            });
        }
        let (left_rx, right_tx, first) = to_right.join().unwrap();
        let (right_rx, left_tx, second) = to_left.join().unwrap();
        assert_eq!(first, second);
        assert_eq!(umem.accounting().user, 0);
        drop((left_rx, right_rx, left_tx, right_tx));
    });
    drop(running);
    assert_home(&umem);
}
