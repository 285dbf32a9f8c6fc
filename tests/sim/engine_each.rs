//! Mode A over simulated links, with the packets shown one at a time.

use std::time::Duration;

use fluxcap::sim::{Network, Nic};
use fluxcap::{ErrorKind, FluxEngine, WhenFull};

use super::tools::{assert_conserved, packet, small};

fn nic() -> Nic {
    Network::new().nic("sim0").unwrap()
}

fn engine(nic: &Nic) -> FluxEngine {
    FluxEngine::new(small(nic).build().unwrap())
}

/// Packets that arrive at once, with the numbers from `first` on.
fn arrive(nic: &Nic, first: usize, count: usize) {
    let packets: Vec<_> = (first..first + count)
        .map(|number| packet(number, 60))
        .collect();
    assert_eq!(nic.inject_batch(0, &packets).unwrap() as usize, count);
    nic.network().settle();
}

/// The packets that were sent, in order.
fn sent(nic: &Nic) -> Vec<Vec<u8>> {
    nic.network().settle();
    std::iter::from_fn(|| nic.take_sent()).collect()
}

/// Ends the engine; all frames are in the pool when the last port is closed.
fn finish(engine: FluxEngine) {
    let umem = engine.port(0).umem().clone();
    assert_conserved(engine.port(0));
    drop(engine);
    let accounting = umem.accounting();
    assert_eq!(accounting.pool, umem.frame_count(), "{accounting}");
}

#[test]
fn each_packet_is_shown_in_order_and_goes_where_the_closure_wants() {
    let nic = nic();
    let mut engine = engine(&nic);
    arrive(&nic, 0, 6);
    let mut seen = Vec::new();
    let count = engine.run_each_once(|shown| {
        seen.push(shown.data().to_vec());
        match seen.len() {
            2 => {
                shown.set_len(40).unwrap();
                shown.data_mut()[0] = 0xee;
                shown.send();
            }
            3 => shown.send(),
            4 => {
                shown.send();
                shown.recycle();
            }
            _ => {}
        }
    });
    assert_eq!(count.unwrap(), 6);
    let all: Vec<_> = (0..6).map(|number| packet(number, 60)).collect();
    assert_eq!(seen, all);
    let mut changed = packet(1, 40);
    changed.copy_from_slice(&packet(1, 60)[..40]);
    changed[0] = 0xee;
    assert_eq!(sent(&nic), [changed, packet(2, 60)]);
    let total = engine.statistics().total();
    assert_eq!((total.received, total.sent, total.recycled), (6, 2, 4));
    finish(engine);
}

#[test]
fn traffic_goes_round_and_round_with_every_frame_accounted_for() {
    let nic = nic();
    let mut engine = engine(&nic);
    for round in 0..200 {
        arrive(&nic, round * 8, 8);
        let mut number = 0;
        let count = engine.run_each_once(|shown| {
            number += 1;
            if (number + round) % 3 == 0 {
                shown.send();
            }
        });
        assert_eq!(count.unwrap(), 8);
        sent(&nic);
        assert_conserved(engine.port(0));
    }
    assert_eq!(engine.statistics().total().received, 1600);
    finish(engine);
}

#[test]
fn an_empty_packet_is_recycled_whatever_the_closure_wants() {
    let nic = nic();
    let mut engine = engine(&nic);
    arrive(&nic, 0, 2);
    let count = engine.run_each_once(|shown| {
        shown.set_len(0).unwrap();
        shown.send();
    });
    assert_eq!(count.unwrap(), 2);
    assert_eq!(sent(&nic), [] as [Vec<u8>; 0]);
    assert_eq!(engine.statistics().total().recycled, 2);
    finish(engine);
}

#[test]
fn an_error_ends_the_run_behind_its_packet_and_the_others_stay_received() {
    let nic = nic();
    let mut engine = engine(&nic);
    arrive(&nic, 0, 5);
    let mut shown_before = 0;
    let result = engine.run_each(|shown| {
        shown_before += 1;
        shown.send();
        if shown_before == 2 {
            return Err("table is full");
        }
        Ok(())
    });
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Callback);
    assert!(error.to_string().contains("table is full"), "{error}");
    assert_conserved(engine.port(0));
    assert_eq!(sent(&nic), [packet(0, 60), packet(1, 60)]);
    let mut rest = Vec::new();
    let count = engine.run_each_once(|shown| rest.push(shown.data().to_vec()));
    assert_eq!(count.unwrap(), 3);
    assert_eq!(rest, [packet(2, 60), packet(3, 60), packet(4, 60)]);
    finish(engine);
}

#[test]
fn a_panic_ends_the_run_with_its_packet_recycled_and_the_others_stay_received() {
    let nic = nic();
    let mut engine = engine(&nic);
    arrive(&nic, 0, 4);
    let mut shown_before = 0;
    let result = engine.run_each(|shown| {
        shown_before += 1;
        shown.send();
        assert!(shown_before < 3, "at packet {shown_before}");
    });
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Callback);
    assert!(error.to_string().contains("at packet 3"), "{error}");
    assert_conserved(engine.port(0));
    assert_eq!(sent(&nic), [packet(0, 60), packet(1, 60)]);
    let total = engine.statistics().total();
    assert_eq!((total.received, total.sent, total.recycled), (3, 2, 1));
    let mut rest = Vec::new();
    let count = engine.run_each_once(|shown| rest.push(shown.data().to_vec()));
    assert_eq!(count.unwrap(), 1);
    assert_eq!(rest, [packet(3, 60)]);
    finish(engine);
}

#[test]
fn packets_cross_between_two_ports_and_back_uncopied() {
    let network = Network::new();
    let nics = ["left", "right"].map(|name| network.nic(name).unwrap());
    let here = small(&nics[0]).build().unwrap();
    let there = small(&nics[1]).umem(here.umem()).build().unwrap();
    let mut engine = FluxEngine::new(here);
    engine.add_port(there).unwrap();
    for round in 0..100 {
        arrive(&nics[0], round, 4);
        arrive(&nics[1], 1000 + round, 3);
        let mut number = 0;
        let count = engine.run_each_once(|shown| {
            number += 1;
            // Of four, two cross, one is recycled, and one goes back.
            match number % 4 {
                0 => shown.send(),
                3 => {}
                _ => {
                    let other = 1 - shown.port();
                    shown.send_to(other).unwrap();
                }
            }
        });
        assert_eq!(count.unwrap(), 7);
        assert_eq!(sent(&nics[0]).len() + sent(&nics[1]).len(), 5);
        assert_conserved(engine.port(0));
        assert_conserved(engine.port(1));
    }
    let statistics = engine.statistics();
    assert_eq!(
        (statistics.total().copied, statistics.total().dropped),
        (0, 0)
    );
    finish(engine);
}

#[test]
fn what_a_full_tx_ring_has_no_room_for_is_dropped_and_counted_when_told_so() {
    let nic = nic();
    let mut engine = FluxEngine::new(small(&nic).tx_size(8).build().unwrap());
    engine.set_when_full(WhenFull::Drop);
    arrive(&nic, 0, 20);
    assert_eq!(engine.run_each_once(|shown| shown.send()).unwrap(), 20);
    let total = engine.statistics().total();
    assert_eq!((total.received, total.sent, total.dropped), (20, 8, 12));
    let first: Vec<_> = (0..8).map(|number| packet(number, 60)).collect();
    assert_eq!(sent(&nic), first);
    finish(engine);
}

#[test]
fn no_more_packets_are_shown_than_the_tx_ring_has_room_for() {
    let nic = nic();
    let mut engine = FluxEngine::new(small(&nic).tx_size(8).build().unwrap());
    arrive(&nic, 0, 20);
    let mut all = Vec::new();
    while all.len() < 20 {
        assert!(engine.run_each_once(|shown| shown.send()).unwrap() <= 8);
        all.extend(sent(&nic));
    }
    let expected: Vec<_> = (0..20).map(|number| packet(number, 60)).collect();
    assert_eq!(all, expected);
    assert_eq!(engine.statistics().total().dropped, 0);
    finish(engine);
}

#[test]
fn a_run_of_limited_time_ends_then() {
    let nic = nic();
    let mut engine = engine(&nic);
    arrive(&nic, 0, 3);
    let mut count = 0;
    let statistics = engine.run_each_for(Duration::from_millis(20), |_| count += 1);
    assert_eq!((statistics.unwrap().total().received, count), (3, 3));
    finish(engine);
}

#[test]
fn an_error_or_a_panic_after_packets_went_to_another_port_loses_none() {
    for panics in [false, true] {
        let network = Network::new();
        let nics = ["left", "right"].map(|name| network.nic(name).unwrap());
        let here = small(&nics[0]).build().unwrap();
        let there = small(&nics[1]).umem(here.umem()).build().unwrap();
        let mut engine = FluxEngine::new(here);
        engine.add_port(there).unwrap();
        // More often than there are frames.
        for round in 0..100 {
            arrive(&nics[0], round, 6);
            let mut number = 0;
            let result = engine.run_each_once(|shown| {
                number += 1;
                shown.send_to(1).unwrap();
                match number {
                    3 if panics => panic!("at packet 3"),
                    3 => Err("at packet 3"),
                    _ => Ok(()),
                }
            });
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Callback);
            assert!(error.to_string().contains("at packet 3"), "{error}");
            // The packet of an error goes where it shall, that of a panic is recycled.
            let left = if panics { 2 } else { 3 };
            let crossed: Vec<_> = (round..round + left)
                .map(|number| packet(number, 60))
                .collect();
            assert_eq!(sent(&nics[1]), crossed);
            let mut rest = Vec::new();
            let count = engine.run_each_once(|shown| rest.push(shown.data().to_vec()));
            assert_eq!(count.unwrap(), 3);
            let behind = (round + 3..round + 6).map(|number| packet(number, 60));
            assert!(behind.eq(rest));
            for port in 0..2 {
                assert_conserved(engine.port(port));
                assert_eq!(engine.port(port).umem().accounting().user, 0);
            }
        }
        let total = engine.statistics().total();
        let left = if panics { 200 } else { 300 };
        assert_eq!((total.received, total.sent, total.dropped), (600, left, 0));
        finish(engine);
    }
}

#[test]
fn what_another_port_has_no_room_for_is_recycled_and_counted_when_told_so() {
    let network = Network::new();
    let nics = ["left", "right"].map(|name| network.nic(name).unwrap());
    let here = small(&nics[0]).build().unwrap();
    let there = small(&nics[1]).tx_size(8).umem(here.umem());
    let mut engine = FluxEngine::new(here);
    engine.add_port(there.build().unwrap()).unwrap();
    engine.set_when_full(WhenFull::Drop);
    for round in 0..50 {
        arrive(&nics[0], round, 20);
        let count = engine.run_each_once(|shown| shown.send_to(1).unwrap());
        assert_eq!(count.unwrap(), 20);
        let first: Vec<_> = (round..round + 8)
            .map(|number| packet(number, 60))
            .collect();
        assert_eq!(sent(&nics[1]), first);
        assert_conserved(engine.port(0));
        assert_conserved(engine.port(1));
    }
    let total = engine.statistics().total();
    assert_eq!((total.sent, total.dropped), (400, 600));
    finish(engine);
}
