//! Several sockets on one queue of a simulated NIC.

#[cfg(unix)]
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fluxcap::sim::{Faults, Network, NicConfig, Running};
use fluxcap::{ErrorKind, FanOut, FluxBuilder, FluxRaw};

use super::tools::small;
use crate::group;

/// Runs a scenario on two joined NICs, in copy and in zero-copy mode.
fn on_nics(scenario: fn(&FluxBuilder, &FluxBuilder), threaded: bool) {
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
        let _running: Option<Running> = threaded.then(|| network.run().unwrap());
        scenario(&small(&near), &small(&far));
    }
}

#[test]
fn each_flow_has_its_socket() {
    on_nics(group::each_flow_has_its_socket, false);
}

#[test]
fn both_directions_have_one_socket() {
    on_nics(group::both_directions_have_one_socket, false);
}

#[test]
fn members_work_on_threads_of_their_own() {
    on_nics(group::members_work_on_threads_of_their_own, true);
}

#[test]
fn sockets_are_closed_in_any_order() {
    on_nics(group::sockets_are_closed_in_any_order, false);
}

#[test]
fn a_sending_half_of_a_group_gets_its_frames_back_while_nobody_receives() {
    for zero_copy in [false, true] {
        let config = NicConfig {
            zero_copy,
            ..NicConfig::new("sim0")
        };
        let network = Network::new();
        let nic = network.add(config).unwrap();
        let fan_out = FanOut {
            sockets: 2,
            symmetric: false,
        };
        let group = small(&nic).fan_out(fan_out).build_group().unwrap();
        let mut halves: Vec<_> = group.into_iter().map(FluxRaw::split).collect();
        let mut sent = 0;
        for _ in 0..100 {
            for (_, tx) in &mut halves {
                let packet = tx.copy(&[0xff; 60]).unwrap().expect("a free frame");
                tx.send_one(packet).unwrap();
                network.settle();
                sent += 1;
                assert_eq!(nic.counters().tx_packets, sent);
                assert_eq!((tx.reap(), tx.outstanding()), (1, 0), "{tx:?}");
            }
        }
    }
}

#[test]
fn a_frame_that_another_member_lends_before_a_closure_panics_has_one_owner() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let fan_out = FanOut {
        sockets: 2,
        symmetric: false,
    };
    let mut group = small(&nic).fan_out(fan_out).build_group().unwrap();
    let umem = group[0].umem().clone();
    let arrive = || {
        nic.inject(0, &[0xff; 60]).unwrap();
        network.settle();
    };
    // All come to one member. All frames but those in the fill ring are the user's.
    arrive();
    if group[0].debug_rings().rx.occupied == 0 {
        group.swap(0, 1);
    }
    let [one, other] = &mut group[..] else {
        panic!("two members");
    };
    let mut held = Vec::new();
    for raw in [&mut *one, &mut *other] {
        held.extend(std::iter::from_fn(|| raw.alloc()));
    }
    one.recv_each(1, |packet| held.push(packet.into_packet()));
    assert_eq!((one.refill(), other.refill()), (0, 0));
    let before = umem.accounting();
    assert_eq!(before.pool, 0, "{before}");
    arrive();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        one.recv_each(1, |packet| {
            drop(packet.into_packet());
            assert_eq!(other.refill(), 1);
            panic!("with its frame in the fill ring");
        })
    }));
    assert!(panic.is_err());
    assert_eq!(umem.accounting(), before);
    assert!(one.alloc().is_none() && other.alloc().is_none());
    for raw in &group {
        assert!(raw.debug_rings().is_conserved());
    }
    drop(held);
    group::close(group);
}

#[test]
fn each_member_shows_the_fill_ring_that_all_share() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let fan_out = FanOut {
        sockets: 3,
        symmetric: false,
    };
    let mut group = small(&nic).fan_out(fan_out).build_group().unwrap();
    let lent = group[0].umem().accounting().kernel;
    assert_eq!(lent, 64);
    for raw in &group {
        assert_eq!(raw.debug_rings().fill.occupied, lent);
        assert!(raw.debug_rings().is_conserved());
    }
    let (rx, _tx) = group.remove(2).split();
    assert_eq!(rx.debug_rings().0, group[0].debug_rings().fill);
}

#[test]
fn what_a_sending_half_of_a_group_leaves_behind_comes_home_while_the_other_half_lives() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let fan_out = FanOut {
        sockets: 2,
        symmetric: false,
    };
    let group = small(&nic).fan_out(fan_out).build_group().unwrap();
    let umem = group[0].umem().clone();
    let mut halves: Vec<_> = group.into_iter().map(FluxRaw::split).collect();
    let kernel = umem.accounting().kernel;
    nic.set_faults(Faults {
        stalled_completion: 1_000_000,
        max_delay: Duration::from_millis(1),
        ..Faults::default()
    })
    .unwrap();
    let (_rx, mut tx) = halves.remove(0);
    for _ in 0..10 {
        let packet = tx.copy(&[0xff; 60]).unwrap().expect("a free frame");
        tx.send_one(packet).unwrap();
    }
    assert_eq!(tx.outstanding(), 10);
    drop(tx);
    assert_eq!(umem.accounting().kernel, kernel + 10);
    network.advance(Duration::from_secs(1));
    network.settle();
    halves[0].1.reap();
    assert_eq!(umem.accounting().kernel, kernel, "{}", umem.accounting());
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let fan_out = |sockets| {
        let symmetric = false;
        small(&nic).fan_out(FanOut { sockets, symmetric })
    };
    for sockets in [0, 17, u32::MAX] {
        let error = fan_out(sockets).build_group().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert_eq!(fan_out(2).build().unwrap_err().kind(), ErrorKind::Invalid);
    #[cfg(unix)]
    let error = fan_out(2)
        .xskmap(File::open(std::env::current_exe().unwrap()).unwrap())
        .build_group()
        .unwrap_err();
    #[cfg(unix)]
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    group::close(fan_out(1).build_group().unwrap());
    let pair = fan_out(2).build_group().unwrap();
    let error = small(&nic).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    group::close(pair);
    group::close(vec![small(&nic).build().unwrap()]);
}
