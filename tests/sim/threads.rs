//! The simulator's thread, and programs of several threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fluxcap::sim::{Network, NicConfig, Playback, Speed};
use fluxcap::{ErrorKind, Interest, Verdict};

use super::tools::{close, drain, packet, put, small};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn an_echo_on_another_thread_answers_every_packet() {
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
        let mut near = small(&near).build().unwrap();
        let mut far = small(&far).build().unwrap();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    far.wait(Interest::Receive, Some(Duration::from_millis(5)))
                        .unwrap();
                    far.forward_each(64, |_| Verdict::Send);
                    far.wake_tx().unwrap();
                    far.wake_rx().unwrap();
                }
            });
            let deadline = Instant::now() + PATIENCE;
            let (mut sent, mut back) = (0, Vec::new());
            while back.len() < 5000 && Instant::now() < deadline {
                // Never more on the way than the rings hold.
                let more = (back.len() + 32).min(5000).saturating_sub(sent);
                near.reap();
                sent += put(&mut near, (0..more).map(|n| packet(sent + n, 60)));
                near.wake_tx().unwrap();
                near.wait_rx(Some(Duration::from_millis(5))).unwrap();
                near.refill();
                near.wake_rx().unwrap();
                back.extend(drain(&mut near));
            }
            stop.store(true, Ordering::Relaxed);
            assert_eq!(back.len(), 5000, "{:?}", near.statistics());
            assert!(back.iter().enumerate().all(|(n, p)| *p == packet(n, 60)));
        });
        close(near);
        close(far);
    }
}

#[test]
fn a_wait_takes_real_time_while_the_thread_runs_and_ends_when_a_packet_comes() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let running = network.run().unwrap();
    let mut raw = small(&nic).build().unwrap();
    let start = Instant::now();
    assert!(!raw.wait_rx(Some(Duration::from_millis(30))).unwrap());
    assert!(start.elapsed() >= Duration::from_millis(30));
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            nic.inject(0, &packet(1, 60)).unwrap();
        });
        let deadline = Instant::now() + PATIENCE;
        while !raw.wait_rx(None).unwrap() {
            assert!(Instant::now() < deadline);
        }
    });
    assert_eq!(drain(&mut raw), [packet(1, 60)]);
    // The clock goes on where it was when the thread ends.
    let now = network.now();
    drop(running);
    assert!(network.now() >= now);
    let now = network.now();
    network.advance(Duration::from_secs(5));
    assert_eq!(network.now(), now + Duration::from_secs(5));
    close(raw);
}

#[test]
fn a_network_has_one_thread_at_a_time() {
    let network = Network::new();
    let running = network.run().unwrap();
    assert_eq!(network.run().unwrap_err().kind(), ErrorKind::Busy);
    drop(running);
    drop(network.run().unwrap());
}

#[test]
fn paced_traffic_loses_nothing_at_full_speed() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let mut raw = small(&nic).build().unwrap();
    let playback = Playback::of((0..100).map(|n| packet(n, 64))).times(500);
    nic.play(playback.speed(Speed::Paced)).unwrap();
    let _running = network.run().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut count = 0;
    while count < 50_000 && Instant::now() < deadline {
        raw.recv_each(64, |arrived| {
            assert_eq!(arrived.data()[0], (count % 100) as u8);
            count += 1;
        });
    }
    assert_eq!(count, 50_000);
    let statistics = raw.statistics().unwrap();
    assert_eq!((statistics.rx_dropped, statistics.rx_ring_full), (0, 0));
    close(raw);
}

#[test]
fn closing_and_opening_while_traffic_flows_loses_no_frame() {
    let network = Network::new();
    let (near, far) = (network.nic("near").unwrap(), network.nic("far").unwrap());
    network.join(&near, &far).unwrap();
    let noise = Playback::of((0..10).map(|n| packet(n, 64))).times(u64::MAX);
    far.play(noise.speed(Speed::Full)).unwrap();
    let _running = network.run().unwrap();
    for round in 0..200 {
        let mut from = small(&near).build().unwrap();
        let mut to = small(&far).build().unwrap();
        put(&mut from, (0..20).map(|n| packet(n, 100)));
        from.wake_tx().unwrap();
        to.wait_rx(Some(Duration::from_millis(1))).unwrap();
        to.recv_each(8, |_| {});
        if round % 2 == 0 {
            close(from);
            close(to);
        } else {
            close(to);
            close(from);
        }
    }
}

#[test]
fn a_taken_queue_is_waited_for() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let _running = network.run().unwrap();
    let first = small(&nic).build().unwrap();
    let second = thread::scope(|scope| {
        let second = scope.spawn(|| small(&nic).bind_patience(PATIENCE).build());
        thread::sleep(Duration::from_millis(20));
        close(first);
        second.join().unwrap()
    });
    close(second.unwrap());
}
