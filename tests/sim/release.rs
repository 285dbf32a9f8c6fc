//! Zero-copy drivers that let go of a queue only some time after the close.

use std::thread;
use std::time::Duration;

use fluxcap::sim::{Network, Nic, NicConfig};
use fluxcap::{BindMode, ErrorKind, FluxBuilder, FluxRaw};

use super::tools::small;

const DELAY: Duration = Duration::from_secs(1);

fn network() -> (Network, Nic) {
    let network = Network::new();
    let config = NicConfig {
        zero_copy: true,
        queues: 2,
        release_delay: DELAY,
        ..NicConfig::new("slow")
    };
    let nic = network.add(config).unwrap();
    (network, nic)
}

fn open(nic: &Nic) -> FluxBuilder {
    small(nic).bind_mode(BindMode::ZeroCopy)
}

/// Closes a socket, of whose frames the kernel has some.
fn close(raw: FluxRaw) -> u32 {
    let lent = raw.debug_rings().fill.occupied;
    assert_eq!(lent, 64, "the fill ring is full");
    drop(raw);
    lent
}

#[test]
fn frames_that_a_device_may_still_write_to_come_home_when_it_has_let_go_and_not_before() {
    let (network, nic) = network();
    let raw = open(&nic).build().unwrap();
    let umem = raw.umem().clone();
    let lent = close(raw);
    for _ in 0..9 {
        let accounting = umem.accounting();
        assert_eq!(accounting.quarantined, lent, "{accounting}");
        assert!(accounting.is_conserved(), "{accounting}");
        let free: Vec<_> = std::iter::from_fn(|| umem.alloc()).collect();
        assert_eq!(free.len() as u32, umem.frame_count() - lent);
        network.advance(DELAY / 10);
    }
    network.advance(DELAY);
    assert_eq!(umem.accounting().pool, umem.frame_count());
}

#[test]
fn the_close_waits_for_nothing_and_the_queue_is_taken_meanwhile() {
    let (network, nic) = network();
    let raw = open(&nic).build().unwrap();
    let before = network.now();
    close(raw);
    assert_eq!(network.now(), before);
    assert_eq!(open(&nic).build().unwrap_err().kind(), ErrorKind::Busy);
    network.advance(DELAY);
    drop(open(&nic).build().unwrap());
}

#[test]
fn another_socket_on_the_umem_runs_on_and_gets_the_frames_in_its_need() {
    let (network, nic) = network();
    let raw = open(&nic).build().unwrap();
    let umem = raw.umem().clone();
    let mut other = open(&nic).queue(1).umem(&umem).build().unwrap();
    let lent = close(raw);
    assert_eq!(umem.accounting().quarantined, lent);
    let mut held: Vec<_> = std::iter::from_fn(|| other.alloc()).collect();
    assert!(other.alloc().is_none());
    let rings = other.debug_rings();
    assert!(rings.is_conserved(), "{rings}");
    network.advance(DELAY);
    // The pool, when it is dry, looks for itself.
    let more = (0..10_000).find_map(|_| {
        thread::sleep(Duration::from_millis(1));
        other.alloc()
    });
    assert!(more.is_some());
    held.extend(more);
    assert_eq!(umem.accounting().quarantined, 0);
    drop((held, other));
    network.advance(DELAY);
    assert_eq!(umem.accounting().pool, umem.frame_count());
}

#[test]
fn halves_and_groups_end_in_quarantine_too() {
    let (network, nic) = network();
    let (rx, tx) = open(&nic).build().unwrap().split();
    let umem = rx.umem().clone();
    let lent = umem.accounting().kernel;
    assert_eq!(lent, 64, "the fill ring is full");
    drop(tx);
    assert_eq!(umem.accounting().quarantined, 0, "one half is open");
    drop(rx);
    assert_eq!(umem.accounting().quarantined, lent);
    network.advance(DELAY);
    assert_eq!(umem.accounting().pool, umem.frame_count());
    let group = open(&nic)
        .umem(&umem)
        .fan_out(fluxcap::FanOut {
            sockets: 3,
            symmetric: false,
        })
        .build_group()
        .unwrap();
    let lent = umem.accounting().kernel;
    assert_eq!(lent, 64, "the fill ring that all share is full");
    drop(group);
    assert_eq!(umem.accounting().quarantined, lent);
    network.advance(DELAY);
    assert_eq!(umem.accounting().pool, umem.frame_count());
}
