//! Each fault by itself, and seeds.

use std::time::Duration;

use fluxcap::sim::{Event, EventKind, Faults, Network, Nic};
use fluxcap::{FluxRaw, Interest};

use super::tools::{assert_conserved, close, drain, packet, put, small};

const HALF: u32 = 500_000;
const COUNT: usize = 1000;

fn always(set: impl FnOnce(&mut Faults)) -> Faults {
    let mut faults = Faults {
        max_delay: Duration::from_millis(1),
        ..Faults::default()
    };
    set(&mut faults);
    faults
}

/// A NIC with these faults, and a socket with room for all packets.
fn faulty(seed: u64, faults: Faults) -> (Network, Nic, FluxRaw) {
    let network = Network::with_seed(seed);
    network.set_faults(faults).unwrap();
    let nic = network.nic("sim0").unwrap();
    let raw = small(&nic).frames(4096).fill_size(2048).rx_size(2048);
    let raw = raw.build().unwrap();
    (network, nic, raw)
}

/// What arrives of a thousand packets.
fn arrivals(faults: Faults) -> Vec<Vec<u8>> {
    let (network, nic, mut raw) = faulty(1, faults);
    for number in 0..COUNT {
        nic.inject(0, &packet(number, 100)).unwrap();
    }
    network.advance(Duration::from_secs(10));
    let arrived = drain(&mut raw);
    close(raw);
    arrived
}

fn sent() -> Vec<Vec<u8>> {
    (0..COUNT).map(|number| packet(number, 100)).collect()
}

#[test]
fn nothing_goes_wrong_unless_asked_for() {
    assert_eq!(arrivals(Faults::default()), sent());
}

#[test]
fn lost_packets_are_missing_and_the_others_come_in_order() {
    let arrived = arrivals(always(|faults| faults.loss = HALF));
    assert!((400..600).contains(&arrived.len()), "{}", arrived.len());
    let mut all = sent().into_iter();
    assert!(arrived.iter().all(|packet| all.any(|sent| sent == *packet)));
    assert!(arrivals(always(|faults| faults.loss = 1_000_000)).is_empty());
}

#[test]
fn duplicated_packets_come_twice_in_a_row() {
    let arrived = arrivals(always(|faults| faults.duplication = 1_000_000));
    assert_eq!(arrived.len(), 2 * COUNT);
    assert!(arrived.chunks(2).all(|twins| twins[0] == twins[1]));
}

#[test]
fn reordered_packets_all_come_but_not_in_order() {
    let mut arrived = arrivals(always(|faults| faults.reordering = HALF));
    assert_ne!(arrived, sent());
    let mut all = sent();
    arrived.sort();
    all.sort();
    assert_eq!(arrived, all);
}

#[test]
fn a_corrupted_packet_differs_in_one_bit() {
    let arrived = arrivals(always(|faults| faults.corruption = 1_000_000));
    for (arrived, sent) in arrived.iter().zip(&sent()) {
        let bits = arrived.iter().zip(sent).map(|(a, b)| (a ^ b).count_ones());
        assert_eq!(bits.sum::<u32>(), 1);
    }
}

#[test]
fn a_truncated_packet_is_the_beginning_of_what_was_sent() {
    let arrived = arrivals(always(|faults| faults.truncation = 1_000_000));
    assert_eq!(arrived.len(), COUNT);
    for (arrived, sent) in arrived.iter().zip(&sent()) {
        assert!((14..100).contains(&arrived.len()));
        assert!(sent.starts_with(arrived));
    }
}

#[test]
fn delayed_packets_come_in_order_and_within_the_time() {
    let (network, nic, mut raw) = faulty(1, always(|faults| faults.delay = 1_000_000));
    nic.inject(0, &packet(1, 60)).unwrap();
    network.settle();
    assert!(drain(&mut raw).is_empty());
    network.advance(Duration::from_millis(1));
    assert_eq!(drain(&mut raw), [packet(1, 60)]);
    close(raw);
    let faults = always(|faults| faults.delay = HALF);
    assert_eq!(arrivals(faults), sent());
}

#[test]
fn a_burst_holds_packets_up_and_lets_them_come_at_once() {
    let (network, nic, mut raw) = faulty(1, always(|faults| faults.burst = 1_000_000));
    nic.inject(0, &packet(0, 60)).unwrap();
    network.set_faults(Faults::default()).unwrap();
    for number in 1..10 {
        nic.inject(0, &packet(number, 60)).unwrap();
    }
    network.advance(Duration::from_micros(999));
    assert!(drain(&mut raw).is_empty());
    network.advance(Duration::from_micros(1));
    assert_eq!(drain(&mut raw).len(), 10);
    close(raw);
}

#[test]
fn starvation_is_counted_as_the_kernel_counts_an_empty_fill_ring() {
    let (network, nic, mut raw) = faulty(1, always(|faults| faults.starvation = 1_000_000));
    nic.inject(0, &packet(1, 60)).unwrap();
    network.settle();
    assert!(drain(&mut raw).is_empty());
    let statistics = raw.statistics().unwrap();
    assert_eq!(
        (statistics.rx_fill_ring_empty_descs, statistics.rx_dropped),
        (1, 1)
    );
    close(raw);
}

#[test]
fn stalled_completions_come_late_and_frames_add_up_meanwhile() {
    let faults = always(|faults| faults.stalled_completion = 1_000_000);
    let (network, nic, mut raw) = faulty(1, faults);
    put(&mut raw, (0..10).map(|number| packet(number, 60)));
    raw.wake_tx().unwrap();
    assert_eq!(std::iter::from_fn(|| nic.take_sent()).count(), 10);
    assert_eq!(raw.reap(), 0);
    assert_conserved(&raw);
    network.advance(Duration::from_millis(1));
    assert_eq!(raw.reap(), 10);
    close(raw);
}

#[test]
fn lost_kicks_leave_packets_in_the_ring_until_one_works() {
    let (_network, nic, mut raw) = faulty(1, always(|faults| faults.lost_wakeup = HALF));
    let mut kicks = 0;
    for number in 0..100 {
        put(&mut raw, [packet(number, 60)]);
        raw.reap();
        while raw.debug_rings().tx.occupied > 0 {
            raw.wake_tx().unwrap();
            kicks += 1;
            assert!(kicks < 1000, "{}", raw.debug_rings());
        }
        assert_eq!(nic.take_sent(), Some(packet(number, 60)));
    }
    assert!((150..300).contains(&kicks), "{kicks}");
    assert!(raw.flush(Duration::from_secs(1)).unwrap());
    close(raw);
}

#[test]
fn spurious_wakeups_end_waits_with_nothing() {
    let (network, nic, mut raw) = faulty(1, always(|faults| faults.spurious_wakeup = HALF));
    nic.inject(0, &packet(1, 60)).unwrap();
    network.settle();
    let empty = (0..100)
        .filter(|_| !raw.wait(Interest::Receive, None).unwrap().receive)
        .count();
    // A wait for room looks again and again.
    assert!(raw.wait(Interest::Send, None).unwrap().send);
    assert!((25..75).contains(&empty), "{empty}");
    close(raw);
}

#[test]
fn faults_change_while_packets_are_on_their_way() {
    let (network, nic, mut raw) = faulty(1, Faults::default());
    nic.inject(0, &packet(1, 60)).unwrap();
    nic.set_faults(always(|faults| faults.loss = 1_000_000))
        .unwrap();
    nic.inject(0, &packet(2, 60)).unwrap();
    network.settle();
    assert_eq!(drain(&mut raw), [packet(1, 60)]);
    assert_eq!(nic.counters().rx_lost, 1);
    close(raw);
}

#[test]
fn the_trace_tells_what_happened_to_a_packet_in_order_and_stops_at_its_limit() {
    let network = Network::with_seed(3);
    let nic = network.nic("sim0").unwrap();
    let raw = small(&nic).build().unwrap();
    network.start_trace(3);
    for number in 0..2 {
        nic.inject(0, &packet(number, 60)).unwrap();
    }
    network.settle();
    let trace: Vec<Event> = network.trace();
    let kinds: Vec<_> = trace.iter().map(|event| event.kind).collect();
    assert_eq!(
        kinds,
        [EventKind::Arrived, EventKind::Received, EventKind::Arrived]
    );
    assert_eq!((trace[0].digest, trace[0].len), (trace[1].digest, 60));
    assert_ne!(trace[0].digest, trace[2].digest);
    assert!(trace[0].to_string().contains("Arrived"));
    close(raw);
}
