//! What ends a wait besides the socket's own packets, over the simulator.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::{Alarm, Company, Interest, Ready, machine};
use crate::builder::FluxBuilder;
use crate::sim::Network;
use crate::socket::FluxRaw;

/// A wait that something ended at once is far shorter, one that nothing ended far longer.
const SOON: Duration = Duration::from_secs(5);

fn socket(network: &Network) -> FluxRaw {
    let nic = network.nic("sim0").unwrap();
    FluxBuilder::new(&nic).build().unwrap()
}

/// Waits for ever, if nothing in the company ends it.
fn wait(raw: &FluxRaw, company: &Company<'_>) {
    let start = Instant::now();
    let ready = raw.socket.wait(Interest::Receive, None, company).unwrap();
    assert_eq!(ready, Ready::default());
    assert!(start.elapsed() < SOON);
}

fn with(alarm: &Alarm) -> Company<'_> {
    Company {
        alarm: Some(alarm),
        ..Company::none()
    }
}

#[test]
fn an_alarm_rung_by_another_thread_ends_a_wait() {
    let network = Network::new();
    let _running = network.run().unwrap();
    let raw = socket(&network);
    let alarm = machine::alarm();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            assert!(!alarm.is_rung());
            alarm.ring();
        });
        wait(&raw, &with(&alarm));
    });
    // And every wait to come, until it is reset.
    wait(&raw, &with(&alarm));
    assert!(alarm.reset());
    let short = Duration::from_millis(30);
    let start = Instant::now();
    let wait = |company| {
        raw.socket
            .wait(Interest::Receive, Some(short), company)
            .unwrap()
    };
    assert_eq!(wait(&with(&alarm)), Ready::default());
    assert!(start.elapsed() >= short);
}

#[cfg(unix)]
#[test]
fn an_alarm_rung_by_a_signal_handler_ends_a_wait() {
    use signal_hook::{consts::SIGUSR2, low_level};

    let network = Network::new();
    let _running = network.run().unwrap();
    let raw = socket(&network);
    let alarm = machine::alarm();
    let rung = alarm.clone();
    // SAFETY: ringing an alarm is async-signal-safe.
    let handler = unsafe { low_level::register(SIGUSR2, move || rung.ring()) }.unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            low_level::raise(SIGUSR2).unwrap();
        });
        wait(&raw, &with(&alarm));
    });
    assert!(alarm.is_rung());
    assert!(low_level::unregister(handler));
}

#[test]
fn what_has_no_descriptor_ends_a_wait() {
    let network = Network::new();
    let _running = network.run().unwrap();
    let raw = socket(&network);
    let there = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            there.store(true, Ordering::Relaxed);
        });
        let also = || there.load(Ordering::Relaxed);
        wait(
            &raw,
            &Company {
                also: &also,
                ..Company::none()
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
    let also = || peer.debug_rings().rx.occupied > 0;
    let company = Company {
        also: &also,
        ..Company::none()
    };
    let timeout = Some(Duration::from_secs(3600));
    let ready = raw.socket.wait(Interest::Receive, timeout, &company);
    assert_eq!(ready.unwrap(), Ready::default());
    assert!(also());
    assert!(network.now() < Duration::from_secs(1));
}

#[test]
fn an_alarm_that_is_rung_does_not_keep_a_socket_from_its_packets() {
    let network = Network::new();
    let raw = socket(&network);
    let nic = network.find("sim0").unwrap();
    let alarm = machine::alarm();
    alarm.ring();
    nic.inject(0, &[0; 60]).unwrap();
    network.settle();
    let company = with(&alarm);
    let ready = raw.socket.wait(Interest::Receive, None, &company);
    assert!(ready.unwrap().receive);
}

#[test]
fn a_simulated_socket_tells_what_it_is() {
    let network = Network::new();
    let raw = socket(&network);
    assert_eq!(raw.socket.describe(), "simulated NIC sim0");
    let handle: Arc<dyn crate::backend::Socket> = raw.socket.shared().clone();
    handle.spin();
}
