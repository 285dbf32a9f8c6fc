//! The file descriptor of a simulated socket, which programs wait on together with others.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use fluxcap::FluxRaw;
use fluxcap::sim::{Network, Nic};

use super::tools::{close, drain, packet, small};

/// Whether `poll` finds the descriptor readable within a time.
fn is_readable(raw: &FluxRaw, timeout: Duration) -> bool {
    let mut entry = libc::pollfd {
        fd: raw.fd().unwrap().as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: the kernel reads and writes one entry.
    let count = unsafe { libc::poll(&mut entry, 1, timeout.as_millis() as i32) };
    count == 1 && entry.revents & libc::POLLIN != 0
}

fn socket() -> (Network, Nic, FluxRaw) {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let raw = small(&nic).build().unwrap();
    assert!(raw.fd().is_ok());
    (network, nic, raw)
}

#[test]
fn it_is_readable_while_packets_wait() {
    let (network, nic, mut raw) = socket();
    assert!(!is_readable(&raw, Duration::ZERO));
    nic.inject(0, &packet(1, 60)).unwrap();
    nic.inject(0, &packet(2, 60)).unwrap();
    network.settle();
    for _ in 0..2 {
        assert!(is_readable(&raw, Duration::ZERO));
        network.step(1);
    }
    assert_eq!(drain(&mut raw).len(), 2);
    network.step(1);
    assert!(!is_readable(&raw, Duration::ZERO));
    close(raw);
}

#[test]
fn it_wakes_a_program_while_the_thread_runs_and_falls_silent_when_all_is_read() {
    let (network, nic, mut raw) = socket();
    let _running = network.run().unwrap();
    for round in 0..20 {
        nic.inject(0, &packet(round, 60)).unwrap();
        assert!(is_readable(&raw, Duration::from_secs(10)));
        assert_eq!(drain(&mut raw), [packet(round, 60)]);
        let deadline = Instant::now() + Duration::from_secs(10);
        while is_readable(&raw, Duration::ZERO) {
            assert!(Instant::now() < deadline, "it never falls silent");
        }
    }
    close(raw);
}
