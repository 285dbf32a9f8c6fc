//! What the kernel does, rule by rule. The names in the comments are functions of Linux 6.18, `net/xdp/xsk.c` unless said otherwise.
//!
//! Rules for invalid descriptors, which the safe API cannot make, have their tests in `src/sim/kernel_rings.rs`.

#[cfg(unix)]
use std::fs::File;
use std::time::Duration;

use fluxcap::sim::{EventKind, Faults, Network, Nic, NicConfig};
use fluxcap::{BindMode, ErrorKind, FluxBuilder, FluxRaw, Hugepages, Interest, XdpMode};

use super::tools::{assert_conserved, close, drain, hold, packet, put, small};

fn pair() -> (Network, Nic, Nic) {
    let network = Network::new();
    let (near, far) = (network.nic("near").unwrap(), network.nic("far").unwrap());
    network.join(&near, &far).unwrap();
    (network, near, far)
}

/// A NIC without a cable, and a socket on it.
fn lone(config: NicConfig, build: impl FnOnce(&Nic) -> FluxBuilder) -> (Network, Nic, FluxRaw) {
    let network = Network::new();
    let nic = network.add(config).unwrap();
    let raw = build(&nic).build().unwrap();
    (network, nic, raw)
}

fn zero_copy_nic() -> NicConfig {
    NicConfig {
        zero_copy: true,
        ..NicConfig::new("sim0")
    }
}

#[test]
fn an_empty_fill_ring_counts_as_empty_and_the_packet_as_dropped() {
    // `xp_alloc` counts in the fill ring, `__xsk_rcv` in rx_dropped.
    let (network, nic, mut raw) = lone(NicConfig::new("sim0"), |nic| small(nic).frames(64));
    let mut held = Vec::new();
    for round in 0..2 {
        for number in 0..32 {
            nic.inject(0, &packet(number + 32 * round, 60)).unwrap();
        }
        network.settle();
        held.push(hold(&mut raw, 32));
    }
    for number in 0..10 {
        nic.inject(0, &packet(number, 60)).unwrap();
    }
    network.settle();
    let statistics = raw.statistics().unwrap();
    assert_eq!(statistics.rx_fill_ring_empty_descs, 10);
    assert_eq!(statistics.rx_dropped, 10);
    assert_eq!(statistics.rx_ring_full, 0);
    assert_conserved(&raw);
    drop(held);
    close(raw);
}

#[test]
fn a_full_rx_ring_is_counted_and_its_frame_is_used_again() {
    // `__xsk_rcv_zc` counts rx_queue_full, `xsk_buff_free` keeps the frame.
    let (network, nic, mut raw) = lone(NicConfig::new("sim0"), |nic| small(nic).fill_size(128));
    for number in 0..100 {
        nic.inject(0, &packet(number, 60)).unwrap();
    }
    network.settle();
    let statistics = raw.statistics().unwrap();
    assert_eq!(
        (statistics.rx_ring_full, statistics.rx_dropped),
        (36, 0),
        "{statistics:?}"
    );
    assert_conserved(&raw);
    let arrived = drain(&mut raw);
    assert_eq!(arrived, (0..64).map(|n| packet(n, 60)).collect::<Vec<_>>());
    nic.inject(0, &packet(7, 60)).unwrap();
    network.settle();
    assert_eq!(drain(&mut raw), [packet(7, 60)]);
    close(raw);
}

#[test]
fn a_packet_longer_than_a_frame_is_dropped_and_counted() {
    // `xsk_rcv_check`. The builder refuses such an MTU; it may grow later.
    let (network, nic, mut raw) = lone(NicConfig::new("sim0"), small);
    nic.set_mtu(3000).unwrap();
    nic.inject(0, &packet(1, 1793)).unwrap();
    nic.inject(0, &packet(2, 1792)).unwrap();
    network.settle();
    assert_eq!(raw.statistics().unwrap().rx_dropped, 1);
    assert_eq!(drain(&mut raw), [packet(2, 1792)]);
    close(raw);
}

#[test]
fn a_kick_in_copy_mode_sends_32_packets_and_says_again_only_if_there_are_more() {
    // `__xsk_generic_xmit`, `TX_BATCH_SIZE`.
    let (_network, nic, mut raw) = lone(NicConfig::new("sim0"), |nic| small(nic).tx_budget(32));
    assert_eq!(raw.report().tx_budget.achieved, 32);
    assert_eq!(put(&mut raw, (0..64).map(|n| packet(n, 60))), 64);
    // One wait is one kick, as `xsk_poll` does it.
    raw.wait(Interest::Send, Some(Duration::ZERO)).unwrap();
    assert_eq!(raw.debug_rings().tx.occupied, 32);
    // `wake_tx` goes on after EAGAIN.
    raw.wake_tx().unwrap();
    assert_eq!(raw.debug_rings().tx.occupied, 0);
    for number in 0..64 {
        assert_eq!(nic.take_sent(), Some(packet(number, 60)));
    }
    close(raw);
}

#[test]
fn the_budget_option_lets_a_kick_send_more_and_old_kernels_do_not_have_it() {
    let kick = |budget_option, wish: Option<u32>| {
        let config = NicConfig {
            tx_budget: budget_option,
            ..NicConfig::new("sim0")
        };
        let (_network, _nic, mut raw) = lone(config, |nic| match wish {
            Some(wish) => small(nic).tx_budget(wish),
            None => small(nic),
        });
        assert_eq!(put(&mut raw, (0..64).map(|n| packet(n, 60))), 64);
        raw.wait(Interest::Send, Some(Duration::ZERO)).unwrap();
        let left = raw.debug_rings().tx.occupied;
        let budget = raw.report().tx_budget.clone();
        close(raw);
        (64 - left, budget)
    };
    assert_eq!(kick(true, None).0, 64);
    assert_eq!(kick(true, Some(48)).0, 48);
    let (sent, budget) = kick(false, Some(48));
    assert_eq!((sent, budget.requested, budget.achieved), (32, 48, 32));
    assert!(budget.reason.unwrap().contains("6.17"));
}

#[test]
fn in_copy_mode_the_tx_ring_always_asks_for_a_kick_and_nothing_leaves_without() {
    // `xp_assign_dev`: "Tx needs to be explicitly woken up"; the fill ring never asks, for there is no driver to wake.
    let (network, nic, mut raw) = lone(NicConfig::new("sim0"), small);
    let rings = raw.debug_rings();
    assert!(rings.tx.needs_wakeup && !rings.fill.needs_wakeup);
    put(&mut raw, [packet(1, 60)]);
    network.settle();
    assert_eq!(nic.take_sent(), None);
    raw.wake_tx().unwrap();
    assert_eq!(nic.take_sent(), Some(packet(1, 60)));
    assert!(raw.debug_rings().tx.needs_wakeup);
    close(raw);
}

#[test]
fn in_zero_copy_mode_the_driver_sends_by_itself_until_it_finds_nothing() {
    let (network, nic, mut raw) = lone(zero_copy_nic(), small);
    assert_eq!(raw.report().bind_mode.achieved, BindMode::ZeroCopy);
    assert!(raw.debug_rings().tx.needs_wakeup);
    put(&mut raw, [packet(1, 60)]);
    network.settle();
    assert_eq!(nic.take_sent(), None, "a missing kick stops traffic");
    raw.wake_tx().unwrap();
    assert!(!raw.debug_rings().tx.needs_wakeup);
    put(&mut raw, [packet(2, 60)]);
    network.settle();
    assert_eq!(nic.take_sent(), Some(packet(1, 60)));
    assert_eq!(nic.take_sent(), Some(packet(2, 60)), "no second kick");
    assert!(raw.debug_rings().tx.needs_wakeup, "it went idle");
    assert_eq!(raw.reap(), 2);
    close(raw);
}

#[test]
fn in_zero_copy_mode_no_call_is_made_while_the_driver_looks_by_itself() {
    // Each second call comes to nothing, which the trace tells: so it shows whether there are calls at all.
    let (network, nic, mut raw) = lone(zero_copy_nic(), small);
    nic.set_faults(Faults {
        lost_wakeup: 500_000,
        ..Faults::default()
    })
    .unwrap();
    let lost_calls = || {
        let trace = network.trace();
        let lost = trace
            .iter()
            .filter(|event| event.kind == EventKind::WakeupLost);
        lost.count()
    };
    let mut lost = 0;
    for round in 0..50 {
        network.start_trace(1000);
        raw.wake_tx().unwrap();
        assert_eq!(lost_calls(), 0, "nothing is there to send");
        put(&mut raw, [packet(round, 60)]);
        while raw.debug_rings().tx.needs_wakeup {
            raw.wake_tx().unwrap();
        }
        lost += lost_calls();
        network.start_trace(1000);
        for more in 0..20 {
            put(&mut raw, [packet(round + more, 60)]);
            raw.wake_tx().unwrap();
        }
        assert_eq!(lost_calls(), 0, "the driver did not ask");
        network.settle();
        assert_eq!(std::iter::from_fn(|| nic.take_sent()).count(), 21);
        assert_eq!(raw.reap(), 21);
    }
    assert!(lost > 10, "the trace tells of {lost} calls");
    close(raw);
}

#[test]
fn in_zero_copy_mode_a_dry_fill_ring_stops_reception_until_the_kick() {
    let (network, nic, mut raw) = lone(zero_copy_nic(), |nic| small(nic).frames(64));
    let mut held = Vec::new();
    for _ in 0..2 {
        for number in 0..32 {
            nic.inject(0, &packet(number, 60)).unwrap();
        }
        network.settle();
        held.push(hold(&mut raw, 32));
    }
    nic.inject(0, &packet(99, 60)).unwrap();
    network.settle();
    assert!(raw.debug_rings().fill.needs_wakeup);
    raw.recycle(&mut held[0]).unwrap();
    network.settle();
    assert!(
        drain(&mut raw).is_empty(),
        "frames alone do not start it again"
    );
    raw.wake_rx().unwrap();
    assert!(!raw.debug_rings().fill.needs_wakeup);
    network.settle();
    assert_eq!(drain(&mut raw), [packet(99, 60)], "the packet had waited");
    let statistics = raw.statistics().unwrap();
    assert_eq!(
        (
            statistics.rx_dropped,
            statistics.rx_fill_ring_empty_descs > 0
        ),
        (0, true)
    );
    drop(held);
    close(raw);
}

#[test]
fn without_need_wakeup_the_flags_are_never_set() {
    for config in [NicConfig::new("sim0"), zero_copy_nic()] {
        let (network, nic, mut raw) = lone(config, |nic| small(nic).need_wakeup(false).frames(64));
        put(&mut raw, [packet(1, 60)]);
        raw.wake_tx().unwrap();
        network.settle();
        assert_eq!(nic.take_sent(), Some(packet(1, 60)));
        let rings = raw.debug_rings();
        assert!(!rings.tx.needs_wakeup && !rings.fill.needs_wakeup);
        close(raw);
    }
}

#[test]
fn a_full_completion_ring_stops_sending_until_it_is_reaped() {
    // `xsk_cq_reserve_locked`.
    let (network, nic, mut raw) = lone(NicConfig::new("sim0"), |nic| {
        small(nic).tx_size(128).completion_size(16)
    });
    assert_eq!(put(&mut raw, (0..100).map(|n| packet(n, 60))), 100);
    raw.wake_tx().unwrap();
    network.settle();
    let rings = raw.debug_rings();
    assert_eq!((rings.completion.occupied, rings.tx.occupied), (16, 84));
    assert_eq!(raw.reap(), 16);
    raw.wake_tx().unwrap();
    assert_eq!(raw.debug_rings().tx.occupied, 68);
    assert!(raw.flush(Duration::from_secs(1)).unwrap());
    assert_eq!(std::iter::from_fn(|| nic.take_sent()).count(), 100);
    close(raw);
}

#[test]
fn packets_on_the_cable_hold_their_slots_of_the_completion_ring_in_copy_mode() {
    // `xsk_destruct_skb` completes when the receiver is done.
    let (network, near, far) = pair();
    let mut near = small(&near).completion_size(8).build().unwrap();
    let mut far = small(&far).build().unwrap();
    put(&mut near, (0..20).map(|n| packet(n, 60)));
    near.wake_tx().unwrap();
    assert_eq!(near.debug_rings().tx.occupied, 12);
    assert_eq!(near.reap(), 0, "none has arrived");
    assert_eq!(network.step(3), 3);
    assert_eq!(near.reap(), 3);
    network.settle();
    assert_eq!(near.reap(), 5);
    assert_eq!(drain(&mut far).len(), 8);
    close(near);
    close(far);
}

#[test]
fn a_full_cable_is_a_busy_device_and_nothing_is_lost() {
    // NETDEV_TX_BUSY: EAGAIN, and the descriptor stays.
    let network = Network::new();
    let near = network.nic("near").unwrap();
    let far = network
        .add(NicConfig {
            cable: 10,
            ..NicConfig::new("far")
        })
        .unwrap();
    network.join(&near, &far).unwrap();
    let mut near = small(&near).build().unwrap();
    let mut far = small(&far).build().unwrap();
    put(&mut near, (0..30).map(|n| packet(n, 60)));
    near.wake_tx().unwrap();
    assert_eq!(near.debug_rings().tx.occupied, 20);
    let mut arrived = Vec::new();
    for _ in 0..3 {
        network.settle();
        near.wake_tx().unwrap();
        arrived.extend(drain(&mut far));
    }
    assert_eq!(arrived, (0..30).map(|n| packet(n, 60)).collect::<Vec<_>>());
    close(near);
    close(far);
}

#[test]
fn a_taken_queue_is_busy_until_its_socket_is_closed() {
    // `xp_assign_dev`, EBUSY.
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let first = small(&nic).build().unwrap();
    let error = small(&nic).build().unwrap_err();
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Busy, 16));
    assert!(error.to_string().contains("queue 0 of sim0"), "{error}");
    close(first);
    close(small(&nic).build().unwrap());
}

#[test]
fn a_queue_that_the_nic_has_not_is_invalid() {
    // `xsk_reg_pool_at_qid`; a sending socket asks no program.
    let nic = Network::new().nic("sim0").unwrap();
    for builder in [small(&nic), small(&nic).load_xdp(false)] {
        let error = builder.queue(1).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}

#[test]
fn a_nic_that_is_down_refuses_sockets_and_kicks_but_keeps_the_packets() {
    // `xsk_check_common`, ENETDOWN.
    let (network, nic, mut raw) = lone(NicConfig::new("sim0"), small);
    put(&mut raw, [packet(1, 60)]);
    nic.set_up(false).unwrap();
    let error = raw.wake_tx().unwrap_err();
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Down, 100));
    assert_eq!(small(&nic).build().unwrap_err().kind(), ErrorKind::Down);
    let error = nic.inject(0, &packet(2, 60)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Down);
    let ready = raw.wait(Interest::Both, Some(Duration::ZERO)).unwrap();
    assert!(!ready.send, "poll tells nothing");
    nic.set_up(true).unwrap();
    raw.wake_tx().unwrap();
    network.settle();
    assert_eq!(nic.take_sent(), Some(packet(1, 60)));
    close(raw);
}

#[test]
fn a_removed_nic_is_gone_for_its_socket_and_unknown_to_others() {
    let (_network, nic, mut raw) = lone(NicConfig::new("sim0"), small);
    put(&mut raw, [packet(1, 60)]);
    nic.remove();
    assert_eq!(raw.wake_tx().unwrap_err().kind(), ErrorKind::Gone);
    assert_eq!(raw.wait_rx(None).unwrap_err().kind(), ErrorKind::Gone);
    assert_eq!(small(&nic).build().unwrap_err().kind(), ErrorKind::NotFound);
    close(raw);
}

#[test]
fn an_mtu_that_frames_cannot_hold_is_refused_before_the_bind() {
    let network = Network::new();
    let nic = network
        .add(NicConfig {
            mtu: 1775,
            zero_copy: true,
            ..NicConfig::new("sim0")
        })
        .unwrap();
    let error = small(&nic).build().unwrap_err().to_string();
    assert!(error.contains("1793") && error.contains("1792"), "{error}");
    nic.set_mtu(1774).unwrap();
    // Linux 7.0: zero-copy asks for more (`xp_assign_dev`), and copy mode is the answer.
    let raw = small(&nic).build().unwrap();
    assert_eq!(raw.report().bind_mode.achieved, BindMode::Copy);
    let reason = raw.report().bind_mode.reason.clone().unwrap();
    assert!(reason.contains("1766"), "{reason}");
    close(raw);
    let error = small(&nic).bind_mode(BindMode::ZeroCopy).build();
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
    nic.set_mtu(1766).unwrap();
    close(small(&nic).bind_mode(BindMode::ZeroCopy).build().unwrap());
}

#[test]
fn zero_copy_demanded_of_a_driver_without_is_unsupported_with_its_name() {
    let nic = Network::new().nic("sim0").unwrap();
    let error = small(&nic)
        .bind_mode(BindMode::ZeroCopy)
        .build()
        .unwrap_err();
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Unsupported, 95));
    assert!(error.to_string().contains("sim0"), "{error}");
    // Any descriptor will do.
    #[cfg(unix)]
    let error = small(&nic)
        .xskmap(File::open(std::env::current_exe().unwrap()).unwrap())
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn several_sockets_share_a_umem_and_pass_packets_between_queues_uncopied() {
    let network = Network::new();
    let nic = network
        .add(NicConfig {
            queues: 2,
            ..NicConfig::new("sim0")
        })
        .unwrap();
    let mut first = small(&nic).build().unwrap();
    let umem = first.umem().clone();
    let mut second = small(&nic).umem(&umem).queue(1).build().unwrap();
    for number in 0..32 {
        nic.inject(number % 2, &packet(number as usize, 60))
            .unwrap();
    }
    network.settle();
    let mut batch = hold(&mut first, 16);
    assert_eq!(second.send(&mut batch).unwrap(), 16);
    second.wake_tx().unwrap();
    let sent: Vec<_> = std::iter::from_fn(|| nic.take_sent()).collect();
    assert_eq!(sent, (0..16).map(|n| packet(2 * n, 60)).collect::<Vec<_>>());
    assert_eq!(drain(&mut second).len(), 16);
    assert!(umem.accounting().is_conserved());
    drop(first);
    close(second);
}

#[test]
fn a_wait_sees_what_poll_sees_and_drives_copy_mode_sending() {
    // `xsk_poll`, `xsk_tx_writeable`: at most half full.
    let (_network, nic, mut raw) = lone(NicConfig::new("sim0"), |nic| small(nic).tx_budget(32));
    let now = Some(Duration::ZERO);
    let ready = raw.wait(Interest::Both, now).unwrap();
    assert!(ready.send && !ready.receive);
    nic.inject(0, &packet(1, 60)).unwrap();
    let second = Some(Duration::from_secs(1));
    assert!(raw.wait(Interest::Receive, second).unwrap().receive);
    let ready = raw.wait(Interest::Both, now).unwrap();
    assert!(ready.send && ready.receive);
    nic.set_up(false).unwrap();
    put(&mut raw, (0..33).map(|n| packet(n, 60)));
    assert!(!raw.wait(Interest::Send, now).unwrap().send);
    nic.set_up(true).unwrap();
    assert!(raw.wait(Interest::Send, now).unwrap().send);
    assert_eq!(raw.debug_rings().tx.occupied, 1, "one kick sent 32");
    drain(&mut raw);
    raw.flush(Duration::from_secs(1)).unwrap();
    close(raw);
}

#[test]
fn a_bound_queue_is_taken_and_every_other_packet_passes_to_the_host() {
    let config = NicConfig {
        queues: 3,
        ..NicConfig::new("sim0")
    };
    let (network, nic, mut raw) = lone(config, |nic| small(nic).queue(1));
    for number in 0..30 {
        nic.inject(number % 3, &packet(number as usize, 60))
            .unwrap();
    }
    network.settle();
    assert_eq!(drain(&mut raw).len(), 10);
    let counters = raw.program_counters().unwrap().unwrap();
    assert_eq!(
        (counters.redirect, counters.pass, counters.drop),
        (10, 20, 0)
    );
    assert_eq!(std::iter::from_fn(|| nic.take_passed()).count(), 20);
    close(raw);
    // The program went with its last socket.
    nic.inject(1, &packet(1, 60)).unwrap();
    network.settle();
    assert_eq!(nic.take_passed(), Some(packet(1, 60)));
}

#[test]
fn a_socket_without_a_program_sends_and_all_that_arrives_passes() {
    let (network, nic, mut raw) = lone(NicConfig::new("sim0"), |nic| small(nic).load_xdp(false));
    nic.inject(0, &packet(1, 60)).unwrap();
    put(&mut raw, [packet(2, 60)]);
    raw.wake_tx().unwrap();
    network.settle();
    assert!(drain(&mut raw).is_empty());
    assert_eq!(nic.take_passed(), Some(packet(1, 60)));
    assert_eq!(nic.take_sent(), Some(packet(2, 60)));
    assert!(raw.program_counters().unwrap().is_none());
    close(raw);
}

#[test]
fn the_program_has_one_mode_for_all_queues() {
    let network = Network::new();
    let nic = network
        .add(NicConfig {
            queues: 2,
            ..NicConfig::new("sim0")
        })
        .unwrap();
    let first = small(&nic).xdp_mode(XdpMode::Generic).build().unwrap();
    let second = small(&nic).queue(1);
    let error = second.clone().xdp_mode(XdpMode::Native).build();
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Busy);
    let second = second.build().unwrap();
    let mode = second.report().xdp_mode.clone().unwrap();
    assert_eq!(mode.achieved, XdpMode::Generic);
    close(first);
    close(second);
}

#[test]
fn packets_that_no_link_carries_are_completed_all_the_same() {
    // `is_skb_forwardable`, and veth's own rule for less than an Ethernet header.
    let (network, near, far) = pair();
    let mut socket = small(&near).build().unwrap();
    put(
        &mut socket,
        [
            packet(1, 13),
            packet(2, 14),
            packet(3, 1518),
            packet(4, 1519),
        ],
    );
    // NET_XMIT_DROP ends the call with EBUSY.
    socket.wait(Interest::Send, Some(Duration::ZERO)).unwrap();
    assert_eq!(socket.debug_rings().tx.occupied, 3);
    assert!(socket.flush(Duration::from_secs(1)).unwrap());
    network.settle();
    assert_eq!(far.take_passed(), Some(packet(2, 14)));
    assert_eq!(far.take_passed(), Some(packet(3, 1518)));
    assert_eq!(far.take_passed(), None);
    let counters = near.counters();
    assert_eq!((counters.tx_packets, counters.tx_dropped), (2, 2));
    close(socket);
}

#[test]
fn a_queue_with_a_socket_cannot_go() {
    // `ethnl_set_channels` looks for the pool of a socket, which one in copy mode has, too; it names zero-copy alone.
    for zero_copy in [false, true] {
        let config = NicConfig {
            queues: 3,
            zero_copy,
            ..NicConfig::new("sim0")
        };
        let (network, nic, mut raw) = lone(config, |nic| small(nic).queue(1));
        let error = nic.set_queues(1).unwrap_err();
        assert_eq!((error.kind(), error.errno()), (ErrorKind::Busy, 22));
        // Those without one come and go.
        nic.set_queues(2).unwrap();
        nic.set_queues(4).unwrap();
        nic.inject(1, &packet(1, 60)).unwrap();
        network.settle();
        assert_eq!(drain(&mut raw), [packet(1, 60)]);
        close(raw);
        nic.set_queues(1).unwrap();
        assert!(nic.inject(1, &packet(2, 60)).is_err());
    }
}

#[test]
fn hugepages_are_answered_with_what_there_is() {
    let nic = Network::new().nic("sim0").unwrap();
    let raw = small(&nic)
        .hugepages(Hugepages::Prefer(Default::default()))
        .build()
        .unwrap();
    let answer = &raw.report().page_size;
    assert_eq!(answer.achieved, 4096);
    assert!(answer.reason.as_ref().unwrap().contains("simulated"));
    close(raw);
}
