//! What ends a wait besides the socket's own packets, over the simulator.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::{
    Interest, Ready, Socket, StopSignal, Throttle, WaitSet, machine, unsupported,
};
use crate::builder::FluxBuilder;
use crate::sim::Network;
use crate::socket::FluxRaw;

/// A wait that something ended at once is far shorter, one that nothing ended far longer.
const SOON: Duration = Duration::from_secs(5);

fn socket(network: &Network) -> FluxRaw {
    let nic = network.nic("sim0").unwrap();
    FluxBuilder::new(&nic).build().unwrap()
}

/// Waits for ever, if nothing in the wait set ends it.
fn wait(raw: &FluxRaw, wait_set: &WaitSet<'_>) {
    let start = Instant::now();
    let ready = raw.socket.wait(Interest::Receive, None, wait_set).unwrap();
    assert_eq!(ready, Ready::default());
    assert!(start.elapsed() < SOON);
}

fn with(stop_signal: &StopSignal) -> WaitSet<'_> {
    WaitSet {
        stop_signal: Some(stop_signal),
        ..WaitSet::none()
    }
}

#[test]
fn a_stop_signal_raised_by_another_thread_ends_a_wait() {
    let network = Network::new();
    let _running = network.run().unwrap();
    let raw = socket(&network);
    let stop_signal = machine::stop_signal();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            assert!(!stop_signal.is_raised());
            stop_signal.raise();
        });
        wait(&raw, &with(&stop_signal));
    });
    // And every wait to come, until it is reset.
    wait(&raw, &with(&stop_signal));
    assert!(stop_signal.reset());
    let short = Duration::from_millis(30);
    let start = Instant::now();
    let wait = |wait_set| {
        raw.socket
            .wait(Interest::Receive, Some(short), wait_set)
            .unwrap()
    };
    assert_eq!(wait(&with(&stop_signal)), Ready::default());
    assert!(start.elapsed() >= short);
}

#[cfg(unix)]
#[test]
fn a_stop_signal_raised_by_a_signal_handler_ends_a_wait() {
    use signal_hook::{consts::SIGUSR2, low_level};

    let network = Network::new();
    let _running = network.run().unwrap();
    let raw = socket(&network);
    let stop_signal = machine::stop_signal();
    let raised = stop_signal.clone();
    // SAFETY: raising a stop signal is async-signal-safe.
    let handler = unsafe { low_level::register(SIGUSR2, move || raised.raise()) }.unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            low_level::raise(SIGUSR2).unwrap();
        });
        wait(&raw, &with(&stop_signal));
    });
    assert!(stop_signal.is_raised());
    assert!(low_level::unregister(handler));
}

#[test]
fn a_condition_without_a_descriptor_ends_a_wait() {
    let network = Network::new();
    let _running = network.run().unwrap();
    let raw = socket(&network);
    let there = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            there.store(true, Ordering::Relaxed);
        });
        let until = || there.load(Ordering::Relaxed);
        wait(
            &raw,
            &WaitSet {
                until: &until,
                ..WaitSet::none()
            },
        );
    });
}

#[test]
fn a_packet_for_another_socket_of_a_stepped_network_ends_a_wait_before_its_time_is_over() {
    let network = Network::new();
    let raw = socket(&network);
    let other = network.nic("sim1").unwrap();
    let peer = FluxBuilder::new(&other).build().unwrap();
    other.inject(0, &[0; 60]).unwrap();
    let until = || peer.debug_rings().rx.occupied > 0;
    let wait_set = WaitSet {
        until: &until,
        ..WaitSet::none()
    };
    let timeout = Some(Duration::from_secs(3600));
    let ready = raw.socket.wait(Interest::Receive, timeout, &wait_set);
    assert_eq!(ready.unwrap(), Ready::default());
    assert!(until());
    assert!(network.now() < Duration::from_secs(1));
}

#[test]
fn a_raised_stop_signal_does_not_keep_a_socket_from_its_packets() {
    let network = Network::new();
    let raw = socket(&network);
    let nic = network.find("sim0").unwrap();
    let stop_signal = machine::stop_signal();
    stop_signal.raise();
    nic.inject(0, &[0; 60]).unwrap();
    network.settle();
    let wait_set = with(&stop_signal);
    let ready = raw.socket.wait(Interest::Receive, None, &wait_set);
    assert!(ready.unwrap().receive);
}

#[test]
fn a_simulated_socket_describes_itself() {
    let network = Network::new();
    let raw = socket(&network);
    assert_eq!(raw.socket.describe(), "simulated NIC sim0");
    let handle: Arc<dyn Socket> = raw.socket.shared().clone();
    handle.spin();
}

#[test]
fn a_stop_signal_stays_raised_until_it_is_reset() {
    for stop_signal in [machine::stop_signal(), unsupported::stop_signal()] {
        assert!(!stop_signal.is_raised());
        assert!(!stop_signal.reset());
        let other = stop_signal.clone();
        other.raise();
        other.raise();
        assert!(stop_signal.is_raised() && stop_signal.is_raised());
        assert!(stop_signal.reset());
        assert!(!stop_signal.is_raised() && !stop_signal.reset());
        stop_signal.raise();
        stop_signal.drain();
        assert!(stop_signal.is_raised());
    }
}

#[test]
fn a_system_without_eventfd_has_stop_signals_without_a_descriptor() {
    assert!(unsupported::stop_signal().fd().is_none());
}

#[test]
fn a_check_is_due_at_first_and_not_again_before_its_time() {
    let throttle = Throttle::default();
    let at = |milliseconds| {
        let now = Duration::from_millis(milliseconds);
        throttle.is_due(now, Duration::from_millis(100))
    };
    assert!(at(7));
    assert!(!at(7) && !at(106));
    assert!(at(300) && !at(399) && at(400));
    assert!(throttle.is_due(Duration::MAX, Duration::MAX));
    assert!(!at(1 << 40));
}
