//! The control interface: NICs, cables, what goes in and what comes out, time.

use std::time::Duration;

use fluxcap::sim::{Faults, Network, NicConfig, Playback, Speed};
use fluxcap::{ErrorKind, FluxBuilder, Interest, Link};

use super::tools::{close, drain, packet, put, small};

#[test]
fn what_one_nic_sends_the_other_receives_on_the_queue_of_the_same_number() {
    let network = Network::new();
    let nic = |name: &str, queues| {
        network
            .add(NicConfig {
                queues,
                ..NicConfig::new(name)
            })
            .unwrap()
    };
    let (near, far) = (nic("near", 4), nic("far", 2));
    network.join(&near, &far).unwrap();
    let mut to: Vec<_> = (0..2)
        .map(|queue| small(&far).queue(queue).build().unwrap())
        .collect();
    for queue in 0..4 {
        let mut from = small(&near).queue(queue).build().unwrap();
        put(&mut from, [packet(queue as usize, 60)]);
        assert!(from.flush(Duration::from_secs(1)).unwrap());
        close(from);
        // What has fewer queues takes the remainder.
        let arrived = drain(&mut to[queue as usize % 2]);
        assert_eq!(arrived, [packet(queue as usize, 60)]);
    }
    to.into_iter().for_each(close);
}

#[test]
fn the_host_sends_and_receives_beside_the_sockets() {
    let network = Network::new();
    let (near, far) = (network.nic("near").unwrap(), network.nic("far").unwrap());
    network.join(&near, &far).unwrap();
    let mut raw = small(&far).build().unwrap();
    near.host_send(0, &packet(1, 100)).unwrap();
    network.settle();
    assert_eq!(drain(&mut raw), [packet(1, 100)]);
    far.host_send(0, &packet(2, 100)).unwrap();
    network.settle();
    assert_eq!(near.take_passed(), Some(packet(2, 100)));
    assert_eq!(near.take_passed(), None);
    close(raw);
}

#[test]
fn bad_input_is_an_error_that_says_why_and_nothing_arrives() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let kind = |result: fluxcap::Result<()>, part: &str| {
        let error = result.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        (error.kind(), error.errno())
    };
    let long = packet(0, 1519);
    assert_eq!(
        kind(nic.inject(0, &long), "14 to 1518"),
        (ErrorKind::Invalid, 90)
    );
    assert_eq!(kind(nic.inject(0, &[0; 13]), "13 bytes").1, 90);
    assert_eq!(kind(nic.inject(1, &packet(0, 60)), "queue 1").1, 22);
    assert_eq!(kind(nic.host_send(0, &long), "1519").1, 90);
    let packets = [packet(1, 60), long.clone()];
    assert!(nic.inject_batch(0, &packets).is_err());
    assert_eq!(
        kind(nic.play(Playback::of([])).map(drop), "no packets").0,
        ErrorKind::Invalid
    );
    let playback = Playback::of([packet(1, 60), long]);
    kind(nic.play(playback).map(drop), "packet 1");
    assert_eq!((network.settle(), nic.counters().rx_packets), (0, 0));

    assert_eq!(network.nic("sim0").unwrap_err().errno(), 17);
    assert_eq!(
        network.find("sim1").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    for config in [
        NicConfig {
            queues: 0,
            ..NicConfig::new("a")
        },
        NicConfig {
            queues: 257,
            ..NicConfig::new("a")
        },
        NicConfig {
            mtu: 67,
            ..NicConfig::new("a")
        },
        NicConfig {
            cable: 0,
            ..NicConfig::new("a")
        },
        NicConfig::new(""),
    ] {
        let error = network.add(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert!(nic.set_queues(0).is_err() && nic.set_mtu(0).is_err());
    assert!(network.set_faults(Faults::all(1_000_001)).is_err());
}

#[test]
fn a_cable_joins_two_nics_of_one_network_that_have_none() {
    let network = Network::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| network.nic(name).unwrap());
    assert!(network.join(&a, &a).is_err());
    let stranger = Network::new().nic("a").unwrap();
    assert!(network.join(&a, &stranger).is_err());
    network.join(&a, &b).unwrap();
    assert_eq!(network.join(&c, &b).unwrap_err().kind(), ErrorKind::Busy);
    // A removed NIC leaves the other end free.
    b.remove();
    assert!(network.join(&b, &c).is_err());
    network.join(&a, &c).unwrap();
    assert!(network.find("b").is_err());
    network.nic("b").unwrap();
}

#[test]
fn a_full_cable_refuses_what_is_injected_and_loses_nothing() {
    let network = Network::new();
    let nic = network
        .add(NicConfig {
            cable: 3,
            ..NicConfig::new("sim0")
        })
        .unwrap();
    let packets: Vec<_> = (0..5).map(|number| packet(number, 60)).collect();
    assert_eq!(nic.inject_batch(0, &packets).unwrap(), 3);
    let error = nic.inject(0, &packets[3]).unwrap_err();
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Busy, 105));
    assert_eq!(network.step(2), 2);
    assert_eq!(nic.inject_batch(0, &packets[3..]).unwrap(), 2);
    assert_eq!(network.settle(), 3);
    for packet in packets {
        assert_eq!(nic.take_passed(), Some(packet));
    }
}

#[test]
fn what_is_kept_has_a_limit_at_which_a_sender_waits_and_the_host_drops() {
    let network = Network::new();
    let nic = network
        .add(NicConfig {
            keep: 4,
            ..NicConfig::new("sim0")
        })
        .unwrap();
    for number in 0..6 {
        nic.inject(0, &packet(number, 60)).unwrap();
    }
    network.settle();
    let counters = nic.counters();
    assert_eq!((counters.passed, counters.host_dropped), (6, 2));
    let mut raw = small(&nic).build().unwrap();
    put(&mut raw, (0..6).map(|number| packet(number, 60)));
    raw.wake_tx().unwrap();
    assert_eq!(raw.debug_rings().tx.occupied, 2);
    assert_eq!(nic.take_sent(), Some(packet(0, 60)));
    assert_eq!(nic.take_sent(), Some(packet(1, 60)));
    assert!(raw.flush(Duration::from_secs(1)).unwrap());
    close(raw);
}

#[test]
fn a_step_handles_no_more_than_its_budget() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    for number in 0..100 {
        nic.inject(0, &packet(number, 60)).unwrap();
    }
    assert_eq!(network.step(1), 1);
    assert_eq!(nic.counters().rx_packets, 1);
    assert_eq!(network.step(0), 0);
    assert_eq!(network.step(u32::MAX), 99);
    assert_eq!(network.step(u32::MAX), 0);
}

#[test]
fn recorded_traffic_comes_at_its_times_and_a_wait_brings_the_time() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let mut raw = small(&nic).build().unwrap();
    let times = [0, 1000, 1500].map(Duration::from_micros);
    let packets = times.iter().enumerate();
    nic.play(Playback::at(
        packets.map(|(n, time)| (*time, packet(n, 60))),
    ))
    .unwrap();
    let mut arrivals = Vec::new();
    while nic.is_playing() {
        assert!(raw.wait_rx(Some(Duration::from_secs(1))).unwrap());
        arrivals.extend(drain(&mut raw).into_iter().map(|_| network.now()));
    }
    assert_eq!(arrivals, times);
    // Nothing is left to come, so the time passes at once.
    assert!(!raw.wait_rx(Some(Duration::from_secs(3600))).unwrap());
    assert_eq!(network.now(), times[2] + Duration::from_secs(3600));
    // And a wait without end ends.
    assert!(!raw.wait_rx(None).unwrap());
    close(raw);
}

#[test]
fn traffic_at_full_speed_overruns_a_slow_reader_and_paced_traffic_does_not() {
    let received = |speed| {
        let network = Network::new();
        let nic = network.nic("sim0").unwrap();
        let mut raw = small(&nic).build().unwrap();
        let playback = Playback::of((0..10).map(|number| packet(number, 60)));
        nic.play(playback.times(20).speed(speed)).unwrap();
        let mut count = 0;
        while nic.is_playing() {
            network.step(100);
            count += drain(&mut raw).len();
        }
        let lost = raw.statistics().unwrap().rx_fill_ring_empty_descs;
        close(raw);
        (count, lost)
    };
    assert_eq!(received(Speed::Paced), (200, 0));
    let (count, lost) = received(Speed::Full);
    assert!(
        lost > 0 && count + lost as usize == 200,
        "{count} and {lost}"
    );
}

#[test]
fn waiting_ends_in_time_although_a_playback_never_does() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let mut raw = small(&nic).build().unwrap();
    let endless = Playback::of([packet(0, 60)]).times(u64::MAX);
    nic.play(endless.speed(Speed::Full)).unwrap();
    assert!(network.settle() >= 1_000_000);
    nic.set_up(false).unwrap();
    put(&mut raw, (0..64).map(|number| packet(number, 60)));
    let timeout = Duration::from_millis(20);
    let before = network.now();
    assert!(!raw.wait(Interest::Send, Some(timeout)).unwrap().send);
    // It sleeps in two slices; the second is shorter where more time has passed outside than in the network.
    let waited = network.now() - before;
    assert!((timeout / 2..=timeout).contains(&waited), "{waited:?}");
    nic.set_up(true).unwrap();
    assert!(raw.flush(timeout).unwrap());
    assert!(raw.wait_rx(None).unwrap());
    close(raw);
}

#[test]
fn a_receiver_without_frames_does_not_hold_the_frames_of_its_sender() {
    let network = Network::new();
    let near = network.nic("near").unwrap();
    let far = network
        .add(NicConfig {
            zero_copy: true,
            cable: 100,
            ..NicConfig::new("far")
        })
        .unwrap();
    network.join(&near, &far).unwrap();
    let mut near = small(&near).build().unwrap();
    let lazy = small(&far).frames(16).build().unwrap();
    for _ in 0..10 {
        put(&mut near, (0..32).map(|number| packet(number, 60)));
        assert!(near.flush(Duration::from_secs(1)).unwrap());
    }
    let counters = far.counters();
    assert_eq!((counters.rx_packets, counters.rx_missed), (8, 320 - 108));
    close(near);
    close(lazy);
}

#[test]
fn a_link_tells_what_is_known_of_its_nic() {
    let network = Network::new();
    let nic = network
        .add(NicConfig {
            queues: 3,
            mtu: 1400,
            ..NicConfig::new("sim0")
        })
        .unwrap();
    let link = Link::from(&nic);
    let info = link.info().unwrap();
    assert_eq!(
        (
            info.name.as_str(),
            info.index,
            info.mtu,
            info.up,
            info.rx_queues
        ),
        ("sim0", 1, 1400, true, Some(3))
    );
    assert_eq!(info.mac.unwrap().to_string(), "02:00:00:00:00:01");
    nic.set_up(false).unwrap();
    nic.set_queues(5).unwrap();
    nic.set_mtu(900).unwrap();
    let info = link.info().unwrap();
    assert_eq!((info.mtu, info.up, info.rx_queues), (900, false, Some(5)));
    assert_eq!(nic.network().find("sim0").unwrap().name(), "sim0");
    nic.remove();
    assert_eq!(link.info().unwrap_err().kind(), ErrorKind::NotFound);
    let error = FluxBuilder::new(&link).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn sockets_and_packets_outlive_the_handles_of_their_network() {
    let mut raw = {
        let network = Network::new();
        let nic = network.nic("sim0").unwrap();
        let raw = small(&nic).build().unwrap();
        nic.inject(0, &packet(2, 60)).unwrap();
        raw
    };
    assert!(raw.wait_rx(Some(Duration::from_secs(1))).unwrap());
    assert_eq!(drain(&mut raw), [packet(2, 60)]);
    close(raw);
}

#[test]
fn nothing_busy_keeps_the_others_waiting() {
    let network = Network::new();
    let busy: Vec<_> = (0..8)
        .map(|number| network.nic(&format!("busy{number}")).unwrap())
        .collect();
    for nic in &busy {
        let endless = Playback::of([packet(0, 60)]).times(u64::MAX);
        nic.play(endless.speed(Speed::Full)).unwrap();
    }
    let quiet = network.nic("quiet").unwrap();
    quiet.inject(0, &packet(1, 60)).unwrap();
    for _ in 0..100 {
        network.step(64);
    }
    assert_eq!(quiet.take_passed(), Some(packet(1, 60)));
    let counts = busy.iter().map(|nic| nic.counters().rx_packets);
    let (least, most) = (counts.clone().min().unwrap(), counts.max().unwrap());
    assert!(least > 0 && most < 2 * least, "{least} to {most}");
    // What arrives by itself does not keep back what was injected at the same place.
    busy[0].inject(0, &packet(2, 60)).unwrap();
    for _ in 0..200 {
        network.step(1);
    }
    let passed = std::iter::from_fn(|| busy[0].take_passed());
    assert!(passed.into_iter().any(|bytes| bytes == packet(2, 60)));
}

#[test]
fn every_playback_has_its_own_pace_and_hoards_nothing() {
    let network = Network::new();
    let nics = ["one", "two"].map(|name| network.nic(name).unwrap());
    let mut raw = small(&nics[0]).build().unwrap();
    assert!(!raw.wait_rx(Some(Duration::from_secs(10))).unwrap());
    for nic in &nics {
        let endless = Playback::of([packet(0, 60)]).times(u64::MAX);
        nic.play(endless.speed(Speed::Full)).unwrap();
    }
    network.advance(Duration::from_millis(1));
    for nic in &nics {
        let played = nic.counters().rx_packets;
        assert!((936..=1064).contains(&played), "{played}");
    }
    close(raw);
}

#[test]
fn a_look_without_waiting_brings_traffic_at_full_speed_too() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let mut raw = small(&nic).build().unwrap();
    let ten = Playback::of((0..10).map(|number| packet(number, 60)));
    nic.play(ten.speed(Speed::Full)).unwrap();
    let mut arrived = 0;
    for _ in 0..20 {
        raw.wait_rx(Some(Duration::ZERO)).unwrap();
        arrived += drain(&mut raw).len();
    }
    assert_eq!(arrived, 10);
    close(raw);
}

#[test]
fn paced_traffic_waits_for_what_is_on_the_way() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let mut raw = small(&nic).build().unwrap();
    let faults = Faults {
        delay: 500_000,
        max_delay: Duration::from_micros(50),
        ..Faults::default()
    };
    nic.set_faults(faults).unwrap();
    nic.inject(0, &packet(99, 60)).unwrap();
    let many = Playback::of((0..200).map(|number| packet(number, 60)));
    nic.play(many.speed(Speed::Paced)).unwrap();
    let mut arrived = 0;
    while nic.is_playing() {
        raw.wait_rx(Some(Duration::from_millis(1))).unwrap();
        arrived += drain(&mut raw).len();
    }
    network.advance(Duration::from_millis(1));
    arrived += drain(&mut raw).len();
    assert_eq!((arrived, raw.statistics().unwrap().rx_dropped), (201, 0));
    close(raw);
}

#[test]
fn a_wait_without_end_beside_an_endless_playback_ends_and_lets_others_in() {
    let network = Network::new();
    let (near, far) = (network.nic("near").unwrap(), network.nic("far").unwrap());
    let mut raw = small(&near).build().unwrap();
    let endless = Playback::of([packet(0, 60)]).times(u64::MAX);
    far.play(endless.speed(Speed::Full)).unwrap();
    assert!(!raw.wait_rx(None).unwrap());
    std::thread::scope(|scope| {
        let stopper = scope.spawn(|| far.stop_playing());
        while far.is_playing() {
            raw.wait_rx(None).unwrap();
        }
        stopper.join().unwrap();
    });
    close(raw);
}

#[test]
fn the_end_of_time_is_no_fault() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let mut raw = small(&nic).build().unwrap();
    assert!(!raw.wait_rx(Some(Duration::MAX)).unwrap());
    nic.set_faults(Faults {
        delay: 1_000_000,
        max_delay: Duration::from_secs(1),
        ..Faults::default()
    })
    .unwrap();
    nic.inject(0, &packet(1, 60)).unwrap();
    drop(network.run().unwrap());
    network.settle();
    assert_eq!(drain(&mut raw), [packet(1, 60)]);
    close(raw);
}

#[test]
fn a_flush_counts_simulated_time_alone() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    nic.set_faults(Faults {
        stalled_completion: 1_000_000,
        max_delay: Duration::from_secs(1),
        ..Faults::default()
    })
    .unwrap();
    let mut raw = small(&nic).build().unwrap();
    put(&mut raw, (0..10).map(|number| packet(number, 60)));
    let before = network.now();
    assert!(raw.flush(Duration::from_secs(2)).unwrap());
    let took = network.now() - before;
    assert!(took > Duration::from_millis(100), "{took:?}");
    close(raw);
}

#[test]
fn the_caller_s_own_type_of_packet_may_use_the_network() {
    struct Curious(fluxcap::sim::Nic);
    impl AsRef<[u8]> for Curious {
        fn as_ref(&self) -> &[u8] {
            assert_eq!(self.0.counters().rx_packets, 0);
            b"to all: from me: hello"
        }
    }
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    assert_eq!(nic.inject_batch(0, &[Curious(nic.clone())]).unwrap(), 1);
    assert_eq!(network.settle(), 1);
}
