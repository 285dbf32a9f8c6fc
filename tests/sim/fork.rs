//! Simulated sockets and heap memory in a forked child.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use fluxcap::sim::{Capture, Network};
use fluxcap::{EngineGroup, ErrorKind, FluxEngine, FluxError, FluxRx, UmemConfig, UmemRegion};

use super::forked::fork;
use super::tools::{close, drain, hold, packet, small};

#[test]
fn a_child_finds_errors_and_zeros_even_while_the_network_has_a_thread() {
    let network = Network::new();
    let running = network.run().unwrap();
    let nic = network.nic("sim0").unwrap();
    let mut raw = Some(small(&nic).build().unwrap());
    for number in 0..8 {
        nic.inject(0, &packet(number, 60)).unwrap();
    }
    let near = raw.as_mut().unwrap();
    assert!(near.wait_rx(None).unwrap());
    let mut held = hold(near, 1);
    let umem = near.umem().clone();
    let child = fork(|| {
        let mut raw = raw.take().unwrap();
        for packet in held.iter_mut() {
            assert_eq!(packet.data(), [0; 60]);
            packet.data_mut().fill(7);
        }
        assert_eq!(raw.recv_each(64, |_| panic!("a packet")), 0);
        for error in [
            raw.wait_rx(None).unwrap_err(),
            raw.check().unwrap_err(),
            raw.wake_tx().unwrap_err(),
            raw.flush(Duration::MAX).unwrap_err(),
            raw.statistics().map(drop).unwrap_err(),
            small(&nic).umem(&umem).build().map(drop).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains("forked child"), "{error}");
        }
        assert!(umem.alloc().is_none());
        held.clear();
        drop(raw);
    });
    child.wait();
    assert_eq!(held.iter().next().unwrap().data(), packet(0, 60));
    drop((held, running));
    close(raw.unwrap());
}

#[test]
fn a_child_that_drops_a_network_and_its_thread_ends_them_for_itself_alone() {
    let mut network = Some(Network::new());
    let mut running = Some(network.as_ref().unwrap().run().unwrap());
    let mut nic = Some(network.as_ref().unwrap().nic("sim0").unwrap());
    let mut raw = Some(small(nic.as_ref().unwrap()).build().unwrap());
    let mut umem = Some(raw.as_ref().unwrap().umem().clone());
    // In either order: the thread before what it serves, and behind it.
    for thread_first in [true, false] {
        let child = fork(|| {
            if thread_first {
                drop(running.take());
            }
            drop((raw.take(), umem.take(), nic.take(), network.take()));
            drop(running.take());
        });
        child.wait();
    }
    // Nobody but the thread moves the packet.
    let (near, nic) = (raw.as_mut().unwrap(), nic.unwrap());
    for number in 0..3 {
        nic.inject(0, &packet(number, 60)).unwrap();
        assert!(near.wait_rx(None).unwrap());
        assert_eq!(drain(near), [packet(number, 60)]);
    }
    drop(running);
    close(raw.unwrap());
}

#[test]
fn memory_from_the_heap_is_zeros_in_a_child() {
    let umem = UmemRegion::heap(UmemConfig::default()).unwrap();
    let packet = umem.copy(b"hello").unwrap().unwrap();
    let child = fork(|| {
        assert_eq!(packet.data(), [0; 5]);
        assert!(umem.alloc().is_none());
    });
    child.wait();
    assert_eq!(packet.data(), b"hello");
}

#[test]
fn a_packet_that_a_child_drops_wakes_nobody_in_the_parent() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let (mut rx, _tx) = small(&nic).build().unwrap().split();
    rx.fd().unwrap();
    let mut held = Vec::new();
    // Until the fill ring is out of frames, so that the descriptor tells when the next one comes home.
    let mut arrived = 1;
    while arrived > 0 {
        for number in 0..8 {
            nic.inject(0, &packet(number, 60)).unwrap();
        }
        network.settle();
        arrived = rx.recv_each(64, |packet| held.push(packet.into_packet()));
    }
    network.settle();
    // Shortly after a tick, of which there is one a second.
    while !readable(&rx, Duration::from_secs(1)) {}
    rx.recv_each(64, |_| ());
    let start = Instant::now();
    let in_time = || start.elapsed() < Duration::from_millis(500);
    let child = fork(|| held.clear());
    child.wait();
    assert!(!readable(&rx, Duration::ZERO) || !in_time());
    held.pop();
    assert!(readable(&rx, Duration::ZERO), "the parent wakes itself");
}

/// Whether the descriptor of a receiving half becomes readable within a time.
fn readable(rx: &FluxRx, within: Duration) -> bool {
    let mut entry = libc::pollfd {
        fd: rx.fd().unwrap().as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: the kernel reads and writes one entry.
    unsafe { libc::poll(&mut entry, 1, within.as_millis() as i32) == 1 }
}

#[test]
fn a_network_an_engine_and_a_group_are_errors_in_a_child_or_find_nothing() {
    let network = Network::with_seed(9);
    let nic = network.nic("sim0").unwrap();
    let other = network.nic("sim1").unwrap();
    network.advance(Duration::from_secs(1));
    nic.host_send(0, &packet(1, 60)).unwrap();
    let mut engine = Some(FluxEngine::new(small(&nic).build().unwrap()));
    let mut raw = Some(small(&other).build().unwrap());
    let child = fork(|| {
        let mut engine = engine.take().unwrap();
        let wait = engine.wait(None).unwrap_err();
        engine.set_copying(true);
        let add_port = engine.add_port(raw.take().unwrap()).unwrap_err();
        let errors: [FluxError; 8] = [
            wait,
            add_port.into(),
            EngineGroup::new([engine]).map(drop).unwrap_err(),
            network.nic("sim2").map(drop).unwrap_err(),
            network.find("sim0").map(drop).unwrap_err(),
            network.run().map(drop).unwrap_err(),
            nic.inject(0, &packet(1, 60)).unwrap_err(),
            nic.end_recording().unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains("forked child"), "{error}");
        }
        assert_eq!((network.seed(), nic.name().as_str()), (9, "sim0"));
        assert_eq!((network.now(), network.settle()), (Duration::ZERO, 0));
        assert_eq!((nic.take_sent(), nic.is_playing()), (None, false));
        assert_eq!(format!("{network:?}"), "Network { seed: 9, .. }");
        nic.remove();
        network.advance(Duration::MAX);
    });
    child.wait();
    assert_eq!(network.now(), Duration::from_secs(1));
    assert_eq!(nic.take_sent(), Some(packet(1, 60)));
    engine.unwrap().wait(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_recording_is_the_parents_alone() {
    let file = std::env::temp_dir().join(format!("fluxcap-fork-{}.pcapng", std::process::id()));
    let mut network = Some(Network::new());
    let mut nic = Some(network.as_ref().unwrap().nic("sim0").unwrap());
    let near = nic.as_ref().unwrap();
    near.record(&file).unwrap();
    near.inject(0, &packet(1, 60)).unwrap();
    network.as_ref().unwrap().settle();
    let child = fork(|| drop((nic.take(), network.take())));
    child.wait();
    nic.unwrap().end_recording().unwrap();
    let capture = Capture::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(capture.complete().unwrap().packets.len(), 1);
}
