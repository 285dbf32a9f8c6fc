#![forbid(unsafe_code)]

use super::*;
use crate::proto::checksum::{Completion, complete};
use crate::proto::samples::{DCCP, Fill, ICMPV6, Random, Sample, TCP, UDP, UDP_LITE};

/// Every kind of message whose checksum covers addresses.
const COVERED: [(bool, u8); 9] = [
    (false, TCP),
    (false, UDP),
    (false, UDP_LITE),
    (false, DCCP),
    (true, TCP),
    (true, UDP),
    (true, UDP_LITE),
    (true, DCCP),
    (true, ICMPV6),
];

fn address(bytes: &[u8]) -> IpAddr {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).unwrap().into(),
        _ => <[u8; 16]>::try_from(bytes).unwrap().into(),
    }
}

/// Changes drawn by lot, and the sample as it should be afterwards.
fn any_change(random: &mut Random, sample: &Sample) -> (Rewrite, Sample) {
    let mut rewrite = Rewrite::new();
    let mut changed = sample.clone();
    let len = sample.source.len();
    if random.below(2) == 0 {
        changed.source = random.bytes(len);
        rewrite = rewrite.source_ip(address(&changed.source));
    }
    if random.below(2) == 0 {
        changed.destination = random.bytes(len);
        rewrite = rewrite.destination_ip(address(&changed.destination));
    }
    if sample.protocol != ICMPV6 {
        if random.below(2) == 0 {
            let port = random.bytes(2);
            changed.message[..2].copy_from_slice(&port);
            rewrite = rewrite.source_port(u16::from_be_bytes([port[0], port[1]]));
        }
        if random.below(2) == 0 {
            let port = random.bytes(2);
            changed.message[2..4].copy_from_slice(&port);
            rewrite = rewrite.destination_port(u16::from_be_bytes([port[0], port[1]]));
        }
    }
    (rewrite, changed)
}

/// Asserts that a frame cannot be changed, and is not.
fn refuses(rewrite: Rewrite, mut frame: Vec<u8>, error: RewriteError) {
    let before = frame.clone();
    assert_eq!(rewrite.apply(&mut frame), Err(error));
    assert_eq!(frame, before);
}

fn simple(protocol: u8, is_ipv6: bool) -> Sample {
    let mut sample = Sample::random(&mut Random(5), is_ipv6, protocol);
    sample.cut(61);
    sample.tags = 0;
    sample.options = 0;
    sample
}

fn everything(is_ipv6: bool) -> Rewrite {
    let (source, destination) = if is_ipv6 {
        ("[2001:db8::77]:1234", "[2001:db8::88]:5678")
    } else {
        ("192.0.2.77:1234", "198.51.100.88:5678")
    };
    Rewrite::new()
        .source_mac(MacAddr([2, 0, 0, 0, 0, 7]))
        .destination_mac(MacAddr([2, 0, 0, 0, 0, 8]))
        .source(source.parse().unwrap())
        .destination(destination.parse().unwrap())
}

#[test]
fn adjusted_checksums_are_what_new_ones_would_be() {
    let mut random = Random(11);
    for round in 0..600 {
        for (is_ipv6, protocol) in COVERED {
            let sample = Sample::random(&mut random, is_ipv6, protocol);
            let (rewrite, changed) = any_change(&mut random, &sample);
            let mut frame = sample.frame(Fill::Full);
            rewrite.apply(&mut frame).unwrap();
            assert!(
                frame == changed.frame(Fill::Full),
                "{round} {rewrite:?} {sample:?}"
            );
        }
    }
}

#[test]
fn partial_checksums_stay_partial() {
    let mut random = Random(12);
    for round in 0..600 {
        for (is_ipv6, protocol) in [(false, TCP), (false, UDP), (true, TCP), (true, UDP)] {
            let sample = Sample::random(&mut random, is_ipv6, protocol);
            if sample.partial() == sample.full() {
                continue;
            }
            let (rewrite, changed) = any_change(&mut random, &sample);
            let mut frame = sample.frame(Fill::Partial);
            rewrite.apply(&mut frame).unwrap();
            assert!(
                frame == changed.frame(Fill::Partial),
                "{round} {rewrite:?} {sample:?}"
            );
            // In either order.
            assert_eq!(complete(&mut frame), Completion::Completed);
            let mut other = sample.frame(Fill::Partial);
            complete(&mut other);
            rewrite.apply(&mut other).unwrap();
            assert_eq!(frame, other);
            assert!(frame == changed.frame(Fill::Full));
        }
    }
}

#[test]
fn a_new_port_does_not_touch_a_partial_checksum() {
    let sample = simple(TCP, false);
    let mut frame = sample.frame(Fill::Partial);
    let before = frame.clone();
    let ports = Rewrite::new().source_port(1).destination_port(2);
    ports.apply(&mut frame).unwrap();
    assert_eq!(frame[34..38], [0, 1, 0, 2]);
    assert_eq!(frame[38..], before[38..]);
}

#[test]
fn a_full_checksum_that_looks_partial_is_adjusted_as_full() {
    for (is_ipv6, protocol) in [(false, TCP), (false, UDP), (true, TCP), (true, UDP)] {
        let mut sample = simple(protocol, is_ipv6);
        sample.coincide();
        let mut changed = sample.clone();
        changed.source.reverse();
        changed.source[0] ^= 0x5a;
        changed.message[2..4].copy_from_slice(&[0xab, 0xcd]);
        let mut frame = sample.frame(Fill::Full);
        Rewrite::new()
            .source_ip(address(&changed.source))
            .destination_port(0xabcd)
            .apply(&mut frame)
            .unwrap();
        assert_eq!(frame, changed.frame(Fill::Full));
    }
}

#[test]
fn wrong_checksums_stay_wrong() {
    let mut random = Random(13);
    for _ in 0..400 {
        for (is_ipv6, protocol) in COVERED {
            let sample = Sample::random(&mut random, is_ipv6, protocol);
            let wrong = sample.full() ^ 0x0100;
            if wrong == sample.partial() || wrong == 0 {
                continue;
            }
            let (rewrite, changed) = any_change(&mut random, &sample);
            let mut frame = sample.frame(Fill::Value(wrong));
            rewrite.apply(&mut frame).unwrap();
            assert!(frame != changed.frame(Fill::Full), "{sample:?}");
        }
    }
}

#[test]
fn no_udp_checksum_stays_none() {
    let mut random = Random(14);
    for round in 0..400 {
        let sample = Sample::random(&mut random, round % 2 == 1, UDP);
        let (rewrite, changed) = any_change(&mut random, &sample);
        let mut frame = sample.frame(Fill::Value(0));
        rewrite.apply(&mut frame).unwrap();
        assert!(frame == changed.frame(Fill::Value(0)), "{sample:?}");
    }
}

#[test]
fn a_udp_checksum_never_becomes_none() {
    let before = simple(UDP, false).frame(Fill::Full);
    let mut zeros = 0;
    for port in 0..=u16::MAX {
        let mut frame = before.clone();
        Rewrite::new().source_port(port).apply(&mut frame).unwrap();
        assert_ne!(frame[40..42], [0, 0]);
        zeros += u32::from(frame[40..42] == [0xff, 0xff]);
    }
    assert!(zeros > 0);
}

#[test]
fn ethernet_addresses_change_in_frames_of_any_kind() {
    let mut frame = vec![0xee; 20];
    let macs = Rewrite::new()
        .source_mac(MacAddr([2, 0, 0, 0, 0, 7]))
        .destination_mac(MacAddr::BROADCAST);
    macs.apply(&mut frame).unwrap();
    let ethernet = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7];
    assert_eq!(frame[..12], ethernet);
    assert_eq!(frame[12..], [0xee; 8]);
    let error = macs.apply(&mut [0; 13]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Ethernet header at byte 0 needs 14 bytes, only 13 are there"
    );
}

#[test]
fn a_change_of_everything_is_one() {
    let mut frame = simple(TCP, false).frame(Fill::Full);
    everything(false).apply(&mut frame).unwrap();
    assert_eq!(frame[..12], [2, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0, 7]);
    assert_eq!(frame[26..34], [192, 0, 2, 77, 198, 51, 100, 88]);
    assert_eq!(frame[34..38], [0x04, 0xd2, 0x16, 0x2e]);
}

#[test]
fn protocols_without_addresses_in_their_checksum_keep_their_bytes() {
    for protocol in [1, 47, 132] {
        let sample = simple(protocol, false);
        let mut changed = sample.clone();
        changed.source = vec![192, 0, 2, 1];
        let mut frame = sample.frame(Fill::Value(0x1234));
        let source = Rewrite::new().source_ip(address(&changed.source));
        source.apply(&mut frame).unwrap();
        assert_eq!(frame, changed.frame(Fill::Value(0x1234)));
    }
}

#[test]
fn later_fragments_change_their_addresses_alone() {
    let sample = simple(UDP, false);
    let mut frame = sample.frame(Fill::Full);
    frame[20..22].copy_from_slice(&[0x20, 0x10]);
    let (ip, _) = Ipv4::parse_mut(&mut frame[14..]).unwrap();
    ip.fill_checksum();
    refuses(
        everything(false),
        frame.clone(),
        RewriteError::LaterFragment,
    );
    let before = frame.clone();
    let destination = Rewrite::new().destination_ip(address(&[192, 0, 2, 9]));
    destination.apply(&mut frame).unwrap();
    let (ip, message) = Ipv4::parse(&frame[14..]).unwrap();
    assert!(ip.verify_checksum());
    assert_eq!(ip.destination().octets(), [192, 0, 2, 9]);
    assert_eq!(message, &before[34..34 + message.len()]);
}

#[test]
fn the_first_fragment_counts_as_finished() {
    let sample = simple(UDP, false);
    let mut frame = sample.frame(Fill::Partial);
    frame[20] = 0x20; // more fragments
    let before = u16::from_be_bytes([frame[40], frame[41]]);
    Rewrite::new().source_port(0).apply(&mut frame).unwrap();
    let old_port = u16::from_be_bytes([sample.message[0], sample.message[1]]);
    let after = u16::from_be_bytes([frame[40], frame[41]]);
    assert_eq!(after, checksum::update(before, old_port, 0));
}

#[test]
fn what_cannot_change_is_refused_and_stays() {
    let mut arp = simple(TCP, false).frame(Fill::Full);
    arp[13] = 0x06;
    refuses(everything(false), arp, RewriteError::NotIp);
    for (is_ipv6, packet) in [(false, 4), (true, 6)] {
        let frame = simple(TCP, is_ipv6).frame(Fill::Full);
        let error = RewriteError::OtherVersion { packet };
        refuses(everything(!is_ipv6), frame, error);
    }
    let icmp = simple(1, false).frame(Fill::Full);
    let error = RewriteError::NoPorts(IpProtocol::ICMP);
    assert_eq!(error.to_string(), "ICMP has no ports that can be changed");
    refuses(everything(false), icmp, error);

    let mut routed = simple(TCP, true);
    routed.options = 8;
    let mut routed = routed.frame(Fill::Full);
    routed[20] = 43;
    routed[57] = 1;
    refuses(everything(true), routed.clone(), RewriteError::SourceRouted);
    let source = Rewrite::new().source_ip(address(&[0x20; 16]));
    assert_eq!(source.apply(&mut routed), Ok(()));

    // The checksum covers the address in the option, not that in the header.
    let mut routed = simple(TCP, false);
    routed.options = 8;
    let mut routed = routed.frame(Fill::Full);
    routed[34..42].copy_from_slice(&[0x83, 7, 4, 10, 9, 8, 7, 0]);
    refuses(
        everything(false),
        routed.clone(),
        RewriteError::SourceRouted,
    );
    let source = Rewrite::new().source_ip(address(&[0x20; 4]));
    assert_eq!(source.apply(&mut routed), Ok(()));
    // At its end, it is as all others.
    routed[36] = 8;
    assert_eq!(everything(false).apply(&mut routed), Ok(()));
}

#[test]
fn truncated_frames_are_refused_and_stay() {
    for (is_ipv6, protocol) in COVERED {
        let mut sample = simple(protocol, is_ipv6);
        sample.tags = 1;
        sample.options = 8;
        sample.padding = 0;
        let rewrite = Rewrite::new().source_ip(address(&vec![9; sample.source.len()]));
        let frame = sample.frame(Fill::Full);
        for len in 0..frame.len() {
            let mut frame = frame[..len].to_vec();
            let before = frame.clone();
            let error = rewrite.apply(&mut frame).unwrap_err();
            assert!(matches!(error, RewriteError::Parse(_)), "{error}");
            assert_eq!(frame, before);
        }
        // A packet that ends before the checksum does.
        sample.message.truncate(sample.checksum_at() + 2);
        let mut frame = sample.frame(Fill::Value(0));
        frame.pop();
        let at = sample.ip_at() + if is_ipv6 { 5 } else { 3 };
        frame[at] -= 1;
        let error = rewrite.apply(&mut frame).unwrap_err();
        assert!(error.to_string().contains("bytes, only"), "{error}");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let mut random = Random(15);
    for _ in 0..5000 {
        let (is_ipv6, protocol) = COVERED[random.below(COVERED.len())];
        let mut sample = Sample::random(&mut random, is_ipv6, protocol);
        sample.cut(60);
        let (rewrite, _) = any_change(&mut random, &sample);
        let mut frame = sample.frame(Fill::Full);
        for _ in 0..random.below(4) {
            let at = random.below(frame.len());
            frame[at] = random.byte();
        }
        frame.truncate(random.below(frame.len() + 1));
        let before = frame.clone();
        if rewrite.apply(&mut frame).is_err() {
            assert_eq!(frame, before);
        }
    }
}

fn changes(random: &mut Random) -> Rewrite {
    let ip = |byte| IpAddr::from([192, 0, byte, 1]);
    let mut rewrite = Rewrite::new().source_mac(MacAddr([2; 6]));
    if random.below(2) == 0 {
        rewrite = rewrite.source_ip(ip(random.byte()));
    }
    if random.below(2) == 0 {
        rewrite = rewrite.destination_ip(ip(random.byte()));
    }
    if random.below(2) == 0 {
        rewrite = rewrite.source_port(random.byte().into());
    }
    if random.below(2) == 0 {
        rewrite = rewrite.destination_port(random.byte().into());
    }
    rewrite
}

#[test]
fn the_short_way_does_what_the_long_one_does_or_nothing() {
    let mut random = Random(51);
    let mut done = 0;
    for round in 0..20_000 {
        let protocol = [TCP, UDP][round % 2];
        let mut sample = Sample::random(&mut random, round % 5 == 0, protocol);
        sample.cut(60);
        sample.tags = random.below(2);
        let fill = [Fill::Full, Fill::Full, Fill::Partial, Fill::Value(0)];
        let mut frame = sample.frame(fill[random.below(fill.len())]);
        for _ in 0..random.below(3) {
            let at = random.below(42);
            frame[at] = random.byte();
        }
        frame.truncate(random.below(3 * frame.len()));
        let rewrite = changes(&mut random);
        let (mut short, mut long) = (frame.clone(), frame.clone());
        match apply_plain(&rewrite, &mut short) {
            None => assert_eq!(short, frame),
            Some(()) => {
                rewrite.apply_any(&mut long).unwrap();
                assert_eq!(short, long, "{rewrite:?}");
                done += 1;
            }
        }
    }
    assert!(done > 1000, "{done}");
}
