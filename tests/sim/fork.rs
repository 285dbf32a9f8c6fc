//! Simulated sockets and heap memory in a forked child.

use std::time::Duration;

use fluxcap::sim::Network;
use fluxcap::{ErrorKind, UmemConfig, UmemRegion};

use super::forked::fork;
use super::tools::{close, hold, packet, small};

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
        assert_eq!(raw.inspect(64, |_| panic!("a packet")), 0);
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
