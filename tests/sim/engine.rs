//! Mode A over simulated links.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fluxcap::sim::{Faults, Network, Nic, NicConfig};
use fluxcap::{BatchRef, ErrorKind, FluxEngine, FluxError, Poller, WhenFull};

use super::tools::{assert_conserved, close, hold, packet, small};

/// A NIC without a cable: what a socket sends can be taken out.
fn nic() -> Nic {
    Network::new().nic("sim0").unwrap()
}

/// Packets that arrive at once.
fn arrive(nic: &Nic, packets: &[Vec<u8>]) {
    assert_eq!(
        nic.inject_batch(0, packets).unwrap() as usize,
        packets.len()
    );
    nic.network().settle();
}

fn engine(nic: &Nic) -> FluxEngine {
    FluxEngine::new(small(nic).build().unwrap())
}

/// Two ports on one UMEM, on NICs of one network.
fn forwarder() -> (Nic, Nic, FluxEngine) {
    let network = Network::new();
    let (left, right) = (network.nic("left").unwrap(), network.nic("right").unwrap());
    let here = small(&left).build().unwrap();
    let there = small(&right).umem(here.umem()).build().unwrap();
    let mut engine = FluxEngine::new(here);
    assert_eq!(engine.add_port(there).unwrap(), 1);
    (left, right, engine)
}

fn cross(batch: &mut BatchRef<'_>) -> Result<(), FluxError> {
    let other = 1 - batch.port();
    let mut result = Ok(());
    batch.for_each(|packet| {
        if let Err(error) = packet.send_to(other) {
            result = Err(error);
        }
    });
    result
}

/// Ends the engine; all frames are in the pool when the last port is closed.
fn finish(engine: FluxEngine) {
    let umem = engine.port(0).umem().clone();
    drop(engine);
    let accounting = umem.accounting();
    assert_eq!(accounting.pool, umem.frame_count(), "{accounting}");
}

#[test]
fn what_the_callback_sends_is_sent_as_it_left_it_and_the_rest_is_recycled() {
    let nic = nic();
    let mut engine = engine(&nic);
    let packets: Vec<_> = (0..10).map(|number| packet(number, 60)).collect();
    arrive(&nic, &packets);
    let mut seen = 0;
    let count = engine.run_once(|batch| {
        for index in 0..batch.len() {
            let mut packet = batch.packet(index);
            seen += 1;
            if index % 2 == 0 {
                packet.data_mut()[59] = 0xEE;
                packet.set_len(60 + index).unwrap();
                packet.send();
            }
        }
    });
    assert_eq!((count.unwrap(), seen), (10, 10));
    nic.network().settle();
    for number in (0..10).step_by(2) {
        let sent = nic.take_sent().unwrap();
        assert_eq!(sent.len(), 60 + number);
        assert_eq!(sent[..59], packet(number, 60)[..59]);
        assert_eq!(sent[59], 0xEE);
    }
    assert_eq!(nic.take_sent(), None);
    let statistics = engine.statistics();
    let total = statistics.total();
    assert_eq!((total.received, total.sent, total.recycled), (10, 5, 5));
    assert_eq!((statistics.batches, total.dropped), (1, 0));
    assert_conserved(engine.port(0));
    finish(engine);
}

#[test]
fn a_verdict_can_be_changed_until_the_callback_returns() {
    let nic = nic();
    let mut engine = engine(&nic);
    arrive(&nic, &[packet(0, 60), packet(1, 60), packet(2, 60)]);
    engine
        .run_once(|batch| {
            batch.for_each(|packet| packet.send());
            assert_eq!(batch.packet(1).leaves_through(), Some(0));
            batch.packet(1).recycle();
            assert_eq!(batch.packet(1).leaves_through(), None);
        })
        .unwrap();
    nic.network().settle();
    assert_eq!(nic.take_sent(), Some(packet(0, 60)));
    assert_eq!(nic.take_sent(), Some(packet(2, 60)));
    assert_eq!(nic.take_sent(), None);
    finish(engine);
}

#[test]
fn an_empty_packet_is_recycled_whatever_the_callback_wants() {
    let nic = nic();
    let mut engine = engine(&nic);
    arrive(&nic, &[packet(0, 60)]);
    engine
        .run_once(|batch| {
            let mut packet = batch.packet(0);
            packet.set_len(0).unwrap();
            packet.send();
        })
        .unwrap();
    nic.network().settle();
    assert_eq!(nic.take_sent(), None);
    assert_eq!(engine.statistics().total().recycled, 1);
    assert_conserved(engine.port(0));
    finish(engine);
}

#[test]
fn packets_cross_between_two_ports_uncopied_and_in_order() {
    let (left, right, mut engine) = forwarder();
    let start = engine.port(0).umem().memory().start().as_ptr() as usize;
    for round in 0..100 {
        let to_right = |number| packet(number, 60 + round);
        let to_left = |number| packet(100 + number, 64);
        arrive(&left, &(0..20).map(to_right).collect::<Vec<_>>());
        arrive(&right, &(0..20).map(to_left).collect::<Vec<_>>());
        let (mut count, mut addresses) = (0, 0);
        // A batch ends at the end of the ring's array.
        while count < 40 {
            let more = engine.run_once(|batch| {
                batch.for_each(|packet| {
                    let offset = packet.data().as_ptr() as usize - start;
                    addresses += usize::from(offset as u64 == packet.address());
                });
                cross(batch)
            });
            let more = more.unwrap();
            assert!(more > 0);
            count += more;
        }
        assert_eq!((count, addresses), (40, 40));
        left.network().settle();
        for number in 0..20 {
            assert_eq!(right.take_sent(), Some(to_right(number)));
            assert_eq!(left.take_sent(), Some(to_left(number)));
        }
    }
    let statistics = engine.statistics();
    for port in &statistics.ports {
        assert_eq!((port.received, port.sent, port.copied), (2000, 2000, 0));
    }
    let text = statistics.to_string();
    assert!(text.contains("port 1: received 2000, sent 2000"), "{text}");
    assert_conserved_ledger(&engine);
    finish(engine);
}

#[test]
fn frames_of_packets_that_cross_come_straight_back_to_where_they_came_from() {
    // So many that no batch ends at the end of a ring's array.
    const COUNT: usize = 16;
    let (left, right, mut engine) = forwarder();
    let share = engine.port(0).debug_rings().fill.occupied as usize;
    let mut frames = std::collections::BTreeSet::new();
    for round in 0..200 {
        let packets: Vec<_> = (0..COUNT)
            .map(|number| packet(round + number, 60))
            .collect();
        arrive(&left, &packets);
        let count = engine.run_once(|batch| {
            batch.prefetch();
            batch.for_each(|packet| {
                frames.insert(packet.address() / 2048);
            });
            cross(batch)
        });
        assert_eq!(count.unwrap() as usize, COUNT);
        left.network().settle();
        for packet in packets {
            assert_eq!(right.take_sent(), Some(packet));
        }
    }
    // The others are never touched: so fewer lie in the cache.
    assert_eq!(frames.len(), share + COUNT);
    finish(engine);
}

#[test]
fn a_port_that_is_not_there_is_refused_and_the_verdict_stays() {
    let nic = nic();
    let mut engine = engine(&nic);
    arrive(&nic, &[packet(0, 60)]);
    engine
        .run_once(|batch| {
            let mut packet = batch.packet(0);
            let error = packet.send_to(1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("port 1"), "{error}");
            assert_eq!(packet.leaves_through(), None);
        })
        .unwrap();
    finish(engine);
}

#[test]
fn an_error_of_the_callback_ends_the_run_after_its_batch_was_settled() {
    let nic = nic();
    let mut engine = engine(&nic);
    arrive(&nic, &[packet(0, 60), packet(1, 60)]);
    let result = engine.run(|batch| {
        batch.packet(0).send();
        Err("table is full")
    });
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Callback);
    assert!(error.to_string().contains("table is full"), "{error}");
    nic.network().settle();
    assert_eq!(nic.take_sent(), Some(packet(0, 60)));
    assert_eq!(nic.take_sent(), None);
    assert_conserved(engine.port(0));
    // It runs again.
    arrive(&nic, &[packet(2, 60)]);
    assert_eq!(engine.run_once(|_| ()).unwrap(), 1);
    finish(engine);
}

#[test]
fn a_panic_of_the_callback_ends_the_run_with_the_batch_recycled() {
    let nic = nic();
    let mut engine = engine(&nic);
    arrive(&nic, &[packet(0, 60), packet(1, 60)]);
    let result = engine.run(|batch| {
        batch.packet(0).send();
        if batch.len() == 2 {
            panic!("at packet {}", 1);
        }
    });
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Callback);
    assert!(error.to_string().contains("at packet 1"), "{error}");
    nic.network().settle();
    assert_eq!(nic.take_sent(), None);
    assert_eq!(engine.statistics().total().recycled, 2);
    assert_conserved(engine.port(0));
    arrive(&nic, &[packet(2, 60)]);
    assert_eq!(engine.run_once(|_| ()).unwrap(), 1);
    finish(engine);
}

#[test]
fn a_stop_before_the_run_ends_it_at_once_and_only_once() {
    let nic = nic();
    let mut engine = engine(&nic);
    let stopper = engine.stopper();
    stopper.stop();
    stopper.stop();
    assert!(stopper.is_stopping());
    let statistics = engine.run(|_| ()).unwrap();
    assert_eq!(statistics.poller.sleeps, 0);
    assert!(!stopper.is_stopping());
    arrive(&nic, &[packet(0, 60)]);
    let mut seen = 0;
    let second = engine.stopper();
    engine
        .run(|batch| {
            seen += batch.len();
            second.stop();
        })
        .unwrap();
    assert_eq!(seen, 1);
    finish(engine);
    stopper.stop();
}

#[test]
fn another_thread_stops_an_engine_that_sleeps() {
    for poller in [Poller::Busy, Poller::Wait, Poller::default()] {
        let nic = nic();
        let network = nic.network();
        let running = network.run().unwrap();
        let mut engine = engine(&nic);
        engine.set_poller(poller);
        let stopper = engine.stopper();
        let start = Instant::now();
        let stopping = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            stopper.stop();
        });
        engine.run(|_| ()).unwrap();
        assert!(start.elapsed() < Duration::from_secs(5));
        stopping.join().unwrap();
        drop(running);
        finish(engine);
    }
}

#[test]
fn a_run_of_limited_time_ends_then_and_tells_of_itself_only() {
    let nic = nic();
    let mut engine = engine(&nic);
    arrive(&nic, &[packet(0, 60)]);
    assert_eq!(engine.run_once(|_| ()).unwrap(), 1);
    let running = nic.network().run().unwrap();
    arrive(&nic, &[packet(0, 60), packet(1, 60)]);
    let start = Instant::now();
    let statistics = engine.run_for(Duration::from_millis(50), |_| ()).unwrap();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(50) && took < Duration::from_secs(5));
    assert_eq!(statistics.total().received, 2);
    assert_eq!(engine.statistics().total().received, 3);
    drop(running);
    finish(engine);
}

#[test]
fn a_socket_on_another_umem_is_refused_and_handed_back() {
    let network = Network::new();
    let (left, right) = (network.nic("left").unwrap(), network.nic("right").unwrap());
    let mut engine = engine(&left);
    let refused = engine.add_port(small(&right).build().unwrap()).unwrap_err();
    assert_eq!(refused.error().kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("UMEM"), "{refused}");
    let (raw, _) = refused.into_parts();
    engine.set_copying(true);
    assert_eq!(engine.add_port(raw).unwrap(), 1);
    arrive(&left, &[packet(7, 90)]);
    arrive(&right, &[packet(8, 91)]);
    assert_eq!(engine.run_once(cross).unwrap(), 2);
    network.settle();
    assert_eq!(right.take_sent(), Some(packet(7, 90)));
    assert_eq!(left.take_sent(), Some(packet(8, 91)));
    for port in engine.statistics().ports {
        assert_eq!((port.sent, port.copied), (1, 1));
    }
    for raw in engine.into_ports() {
        close(raw);
    }
}

#[test]
fn a_batch_of_zero_or_of_too_many_is_refused() {
    let nic = nic();
    let mut engine = engine(&nic);
    for packets in [0, 4097, u32::MAX] {
        let error = engine.set_batch(packets).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(&packets.to_string()), "{error}");
    }
    engine.set_batch(3).unwrap();
    let packets: Vec<_> = (0..10).map(|number| packet(number, 60)).collect();
    arrive(&nic, &packets);
    let mut lens = Vec::new();
    while engine.run_once(|batch| lens.push(batch.len())).unwrap() > 0 {}
    assert_eq!(lens.iter().sum::<usize>(), 10);
    assert!(lens.iter().all(|&len| len <= 3), "{lens:?}");
    finish(engine);
}

/// Forwards 320 packets to a port whose cable takes 10 at a time, of which it loses none.
fn crowd(when_full: WhenFull) -> (u64, FluxEngine) {
    let left = nic();
    let network = Network::new();
    let right = network.nic("right").unwrap();
    let far = network
        .add(NicConfig {
            cable: 10,
            ..NicConfig::new("far")
        })
        .unwrap();
    network.join(&right, &far).unwrap();
    let mut engine = engine(&left);
    let umem = engine.port(0).umem().clone();
    engine
        .add_port(small(&right).umem(&umem).build().unwrap())
        .unwrap();
    engine.set_when_full(when_full);
    let packets: Vec<_> = (0..16).map(|number| packet(number, 60)).collect();
    for _ in 0..20 {
        arrive(&left, &packets);
        engine.run_once(cross).unwrap();
    }
    let mut arrived = 0;
    for _ in 0..100 {
        network.settle();
        engine.run_once(cross).unwrap();
        while far.take_passed().is_some() {
            arrived += 1;
        }
    }
    assert_conserved(engine.port(0));
    assert_conserved(engine.port(1));
    assert_conserved_ledger(&engine);
    (arrived, engine)
}

fn assert_conserved_ledger(engine: &FluxEngine) {
    let accounting = engine.port(0).umem().accounting();
    assert!(accounting.is_conserved(), "{accounting}");
    assert_eq!(accounting.user, 0, "{accounting}");
}

#[test]
fn a_full_port_holds_packets_back_and_the_engine_loses_none() {
    let (arrived, engine) = crowd(WhenFull::Wait);
    let statistics = engine.statistics();
    assert!(statistics.stalls > 0);
    assert_eq!(statistics.total().dropped, 0);
    let counters = engine.port(0).statistics().unwrap();
    let overflow = counters.rx_ring_full + counters.rx_dropped;
    assert!(overflow > 0, "{counters:?}");
    assert_eq!(arrived + overflow, 320, "{counters:?}");
    finish(engine);
}

#[test]
fn a_full_port_drops_and_counts_when_told_so() {
    let (arrived, engine) = crowd(WhenFull::Drop);
    let statistics = engine.statistics();
    assert_eq!((statistics.stalls, statistics.ports[0].received), (0, 320));
    assert!(statistics.ports[1].dropped > 0);
    assert_eq!(arrived + statistics.ports[1].dropped, 320);
    finish(engine);
}

#[test]
fn a_link_that_takes_nothing_ends_the_run_and_nothing_is_lost() {
    let nic = nic();
    nic.set_faults(Faults {
        stalled_completion: 1_000_000,
        max_delay: Duration::from_secs(60),
        ..Faults::default()
    })
    .unwrap();
    let mut engine = engine(&nic);
    engine.set_poller(Poller::Busy);
    engine.set_patience(Duration::from_millis(20));
    let send_all = |batch: &mut BatchRef<'_>| batch.for_each(|packet| packet.send());
    let packets: Vec<_> = (0..20).map(|number| packet(number, 60)).collect();
    arrive(&nic, &packets);
    // A driver may keep the last ones.
    let run = engine.run_for(Duration::from_millis(60), send_all).unwrap();
    assert_eq!(run.total().sent, 20);
    arrive(&nic, &packets);
    let start = Instant::now();
    let error = engine.run(send_all).unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert_eq!(error.kind(), ErrorKind::Stuck, "{error}");
    assert!(error.to_string().contains("sim0"), "{error}");
    assert_conserved(engine.port(0));
    // With patience it goes on.
    engine.set_patience(Duration::MAX);
    let run = engine.run_for(Duration::from_millis(50), |_| ()).unwrap();
    assert_eq!(run.total().received, 0);
    nic.network().advance(Duration::from_secs(61));
    engine.run_once(|_| ()).unwrap();
    assert_eq!(engine.port(0).debug_rings().tx.occupied, 0);
    finish(engine);
}

#[test]
fn packets_held_by_the_program_are_not_the_engines() {
    let nic = nic();
    let mut raw = small(&nic).build().unwrap();
    arrive(&nic, &[packet(0, 60), packet(1, 60)]);
    let held = hold(&mut raw, 2);
    let mut engine = FluxEngine::new(raw);
    arrive(&nic, &[packet(2, 60)]);
    assert_eq!(engine.run_once(|_| ()).unwrap(), 1);
    assert_eq!(engine.port(0).umem().accounting().user, 2);
    assert_conserved(engine.port(0));
    drop(held);
    finish(engine);
}

#[test]
fn an_engine_that_waits_over_a_thread_gets_every_packet() {
    let network = Network::new();
    let (near, far) = (network.nic("near").unwrap(), network.nic("far").unwrap());
    network.join(&near, &far).unwrap();
    for poller in [Poller::Busy, Poller::Wait, Poller::default()] {
        let running = network.run().unwrap();
        let mut engine = engine(&far);
        engine.set_poller(poller);
        let stopper = engine.stopper();
        let seen = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&seen);
        let thread = thread::spawn(move || {
            let result = engine.run(|batch| {
                count.fetch_add(batch.len() as u32, Ordering::Relaxed);
            });
            (engine, result)
        });
        for number in 0..200 {
            near.host_send(0, &packet(number, 60)).unwrap();
            while seen.load(Ordering::Relaxed) as usize <= number {
                thread::yield_now();
            }
        }
        stopper.stop();
        let (engine, result) = thread.join().unwrap();
        assert_eq!(result.unwrap().total().received, 200);
        drop(running);
        finish(engine);
    }
}

#[test]
fn an_interface_that_is_removed_ends_the_run() {
    for (poller, ports) in [(Poller::Wait, 1), (Poller::Busy, 1), (Poller::Wait, 2)] {
        let network = Network::new();
        let nics: Vec<_> = (0..ports)
            .map(|number| network.nic(&format!("sim{number}")).unwrap())
            .collect();
        let mut engine = engine(&nics[0]);
        for nic in &nics[1..] {
            let umem = engine.port(0).umem().clone();
            engine
                .add_port(small(nic).umem(&umem).build().unwrap())
                .unwrap();
        }
        engine.set_poller(poller);
        let running = network.run().unwrap();
        let last = nics.last().unwrap().clone();
        let remover = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            last.remove();
        });
        let error = engine.run(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
        remover.join().unwrap();
        drop(running);
        finish(engine);
    }
}

#[test]
fn a_port_that_only_sends_does_not_take_the_frames_of_those_that_receive() {
    let network = Network::new();
    let nics: Vec<_> = ["out", "idle", "in"]
        .iter()
        .map(|name| network.nic(name).unwrap())
        .collect();
    let mut engine = FluxEngine::new(small(&nics[0]).frames(64).build().unwrap());
    for nic in &nics[1..] {
        let umem = engine.port(0).umem().clone();
        engine
            .add_port(small(nic).umem(&umem).build().unwrap())
            .unwrap();
    }
    for round in 0..100 {
        let packets: Vec<_> = (0..4).map(|number| packet(round + number, 60)).collect();
        arrive(&nics[2], &packets);
        while engine
            .run_once(|batch| batch.for_each(|packet| packet.send_to(0).unwrap()))
            .unwrap()
            > 0
        {}
        network.settle();
        for expected in packets {
            assert_eq!(nics[0].take_sent(), Some(expected), "round {round}");
        }
    }
    assert_conserved_ledger(&engine);
    finish(engine);
}

#[test]
fn packets_bring_an_adaptive_poller_back_to_spinning_in_a_loop_of_single_turns() {
    let nic = nic();
    let mut engine = engine(&nic);
    let spin = Duration::from_millis(20);
    engine.set_poller(Poller::Adaptive { spin });
    for round in 1..=3 {
        while engine.statistics().poller.switches < 2 * round - 1 {
            engine.wait(Some(Duration::ZERO)).unwrap();
        }
        arrive(&nic, &[packet(0, 60)]);
        assert_eq!(engine.run_once(|_| ()).unwrap(), 1);
        let before = engine.statistics().poller;
        engine.wait(Some(Duration::ZERO)).unwrap();
        let after = engine.statistics().poller;
        assert_eq!((after.switches, after.sleeps), (2 * round, before.sleeps));
        assert_eq!(after.spins, before.spins + 1);
    }
    finish(engine);
}

/// Runs an echo over the thread of a network until `done`, for at most `time`; whether it came to that.
fn echo_until(mut engine: FluxEngine, time: Duration, done: impl Fn() -> bool) -> bool {
    let stopper = engine.stopper();
    let thread = thread::spawn(move || {
        let result = engine.run(|batch| batch.for_each(|packet| packet.send()));
        (engine, result)
    });
    let start = Instant::now();
    while !done() && start.elapsed() < time {
        thread::sleep(Duration::from_millis(1));
    }
    let came = done();
    stopper.stop();
    let (engine, result) = thread.join().unwrap();
    result.unwrap();
    assert_conserved(engine.port(0));
    finish(engine);
    came
}

#[test]
fn packets_that_the_completion_ring_had_no_room_for_are_sent_while_nothing_comes_in() {
    for (zero_copy, poller) in [
        (false, Poller::Wait),
        (false, Poller::Busy),
        (true, Poller::Wait),
        (true, Poller::Busy),
    ] {
        let config = NicConfig {
            zero_copy,
            ..NicConfig::new("sim0")
        };
        let nic = Network::new().add(config).unwrap();
        let raw = small(&nic).completion_size(4).build().unwrap();
        let packets: Vec<_> = (0..60).map(|number| packet(number, 60)).collect();
        arrive(&nic, &packets);
        let running = nic.network().run().unwrap();
        let mut engine = FluxEngine::new(raw);
        engine.set_poller(poller);
        engine.set_patience(Duration::MAX);
        let sent = || nic.counters().tx_packets == 60;
        let came = echo_until(engine, Duration::from_secs(5), sent);
        assert!(came, "{poller:?} {zero_copy} {:?}", nic.counters());
        drop(running);
    }
}

#[test]
fn an_engine_asleep_without_frames_receives_again_when_they_come_back() {
    let nic = nic();
    let raw = small(&nic).frames(16).build().unwrap();
    let umem = raw.umem().clone();
    let running = nic.network().run().unwrap();
    let late = Faults {
        stalled_completion: 1_000_000,
        max_delay: Duration::from_millis(200),
        ..Faults::default()
    };
    nic.set_faults(late).unwrap();
    let sender = nic.clone();
    let arrivals = thread::spawn(move || {
        for number in 0..16 {
            sender.inject(0, &packet(number, 60)).unwrap();
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(Duration::from_millis(500));
        for number in 0..4 {
            sender.inject(0, &packet(number, 60)).unwrap();
        }
    });
    let sent = || nic.counters().tx_packets >= 20;
    let mut engine = FluxEngine::new(raw);
    engine.set_poller(Poller::Wait);
    engine.set_patience(Duration::MAX);
    let came = echo_until(engine, Duration::from_secs(10), sent);
    arrivals.join().unwrap();
    drop(running);
    assert!(came, "{:?} {}", nic.counters(), umem.accounting());
}

#[test]
fn an_error_of_the_callback_is_told_although_a_port_is_down() {
    let nic = nic();
    let mut engine = engine(&nic);
    arrive(&nic, &[packet(0, 60)]);
    let error = engine
        .run_once(|batch| {
            batch.packet(0).send();
            nic.set_up(false).unwrap();
            Err("table is full")
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Callback, "{error}");
    // The next turn tells of the port.
    assert_eq!(engine.run_once(|_| ()).unwrap_err().kind(), ErrorKind::Down);
    nic.set_up(true).unwrap();
    engine.run_once(|_| ()).unwrap();
    nic.network().settle();
    assert_eq!(nic.take_sent(), Some(packet(0, 60)));
    finish(engine);
}

#[test]
fn a_port_that_is_down_does_not_keep_what_another_one_sends() {
    let (left, right, mut engine) = forwarder();
    arrive(&left, &[packet(0, 60), packet(1, 60)]);
    let error = engine
        .run_once(|batch| {
            batch.packet(0).send();
            batch.packet(1).send_to(1).unwrap();
            left.set_up(false).unwrap();
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Down);
    left.network().settle();
    assert_eq!(right.take_sent(), Some(packet(1, 60)));
    finish(engine);
}
