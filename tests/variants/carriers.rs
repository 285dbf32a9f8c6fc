//! IP behind LLC and SNAP, or MPLS labels: what is done to a packet in a plain frame is done to it there.

use fluxcap::proto::checksum::{Completion, Verdict, complete, fill, verify};
use fluxcap::proto::edit::{EditError, clamp_mss, decrement_ttl};
use fluxcap::proto::nat::{Rewrite, RewriteError};
use fluxcap::proto::{Arp, Headers, IcmpEcho, Icmpv6Echo, Mpls};

use crate::ethernet;

/// IPv4 and IPv6 packets with TCP (SYN, a segment size) and UDP, checksums right.
fn packets() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for is_ipv6 in [false, true] {
        for protocol in [6, 17] {
            let message = match protocol {
                6 => vec![
                    0xc0, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 0xff, 0xff, 0, 0, 0, 0, 2, 4,
                    5, 0xb4,
                ],
                _ => [&[0xc0, 0, 0, 53, 0, 11, 0, 0][..], b"odd"].concat(),
            };
            let len = message.len() as u8;
            let head = match is_ipv6 {
                false => vec![
                    0x45,
                    0,
                    0,
                    20 + len,
                    0,
                    0,
                    0x40,
                    0,
                    64,
                    protocol,
                    0,
                    0,
                    10,
                    0,
                    0,
                    1,
                    10,
                    0,
                    0,
                    2,
                ],
                true => {
                    let addresses = [[0x20; 16], [0x21; 16]].concat();
                    [&[0x60, 0, 0, 0, 0, len, protocol, 64][..], &addresses].concat()
                }
            };
            let mut frame = plain(&[head, message].concat());
            assert_eq!(fill(&mut frame), Ok(true));
            packets.push(frame.split_off(14));
        }
    }
    packets
}

fn plain(packet: &[u8]) -> Vec<u8> {
    ethernet(ether_type(packet), packet)
}

fn ether_type(packet: &[u8]) -> u16 {
    if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd }
}

/// The packet behind VLAN tags, and SNAP or that many labels, with padding; and where it starts.
fn carried(packet: &[u8], tags: usize, labels: usize) -> (Vec<u8>, usize) {
    let (kind, head) = if labels == 0 {
        let snap = [0xaa, 0xaa, 3, 0, 0, 0];
        let head = [&snap[..], &ether_type(packet).to_be_bytes()].concat();
        ((head.len() + packet.len()) as u16, head)
    } else {
        let label = |left: usize| [0, 1, u8::from(left == 1), 63];
        (0x8847, (1..=labels).rev().flat_map(label).collect())
    };
    let mut types = vec![0x8100; tags];
    types.push(kind);
    let mut behind: Vec<u8> = Vec::new();
    for next in &types[1..] {
        behind.extend([0, 7]);
        behind.extend(next.to_be_bytes());
    }
    behind.extend(&head);
    let at = 14 + behind.len();
    behind.extend(packet);
    behind.extend([0xee; 9]);
    (ethernet(types[0], &behind), at)
}

fn each(mut check: impl FnMut(&[u8], &[u8], usize, usize)) {
    let mut count = 0;
    for packet in packets() {
        for tags in 0..=Headers::MAX_VLAN_TAGS {
            for labels in 0..=Mpls::MAX_STACK {
                let (frame, at) = carried(&packet, tags, labels);
                assert_eq!(frame[at..at + packet.len()], packet);
                check(&packet, &frame, at, labels);
                count += 1;
            }
        }
    }
    assert!(count >= 100, "{count}");
}

#[test]
fn addresses_ports_and_checksums_change_as_in_a_plain_frame() {
    each(|packet, frame, at, _| {
        let ip = |last| match packet[0] >> 4 {
            4 => [172, 16, 0, last].into(),
            _ => [0x30 + last; 16].into(),
        };
        let rewrite = Rewrite::new()
            .source_ip(ip(1))
            .destination_ip(ip(2))
            .source_port(7)
            .destination_port(9);
        let mut wanted = plain(packet);
        rewrite.apply(&mut wanted).unwrap();
        let mut changed = frame.to_vec();
        rewrite.apply(&mut changed).unwrap();
        assert_eq!(changed[at..at + packet.len()], wanted[14..]);
        assert_eq!(changed[..at], frame[..at]);
        assert_eq!(verify(&changed), Ok(Verdict::Right));
        // The checksum of the message is behind both headers.
        let checksum_at = at + packet.len() - if packet.len() % 2 == 0 { 8 } else { 5 };
        changed[checksum_at] ^= 4;
        assert_eq!(verify(&changed), Ok(Verdict::Wrong));
        assert_eq!(fill(&mut changed), Ok(true));
        assert_eq!(changed[at..at + packet.len()], wanted[14..]);
        assert_eq!(complete(&mut changed), Completion::NotPartial);
    });
}

#[test]
fn segment_sizes_and_hops_change_as_in_a_plain_frame() {
    each(|packet, frame, at, labels| {
        let (mut wanted, mut changed) = (plain(packet), frame.to_vec());
        assert_eq!(clamp_mss(&mut changed, 1000), clamp_mss(&mut wanted, 1000));
        assert_eq!(changed[at..at + packet.len()], wanted[14..]);
        let hops = decrement_ttl(&mut changed);
        if labels > 0 {
            // It is the label's hop that a router takes.
            assert_eq!(hops, Err(EditError::NotIp));
        } else {
            decrement_ttl(&mut wanted).unwrap();
            assert_eq!(hops, Ok(()));
        }
        assert_eq!(changed[at..at + packet.len()], wanted[14..]);
    });
}

#[test]
fn what_is_no_ip_behind_snap_and_labels_stays() {
    for frame in [
        ethernet(8, &[0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x06]), // ARP
        ethernet(8, &[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0x00]), // of Cisco
        ethernet(3, &[0x42, 0x42, 3, 0]),                   // spanning tree
        ethernet(0x8847, &[0, 1, 1, 63, 0, 0, 0, 0]),       // a pseudowire
        ethernet(0x8847, &[0, 1, 1, 63]),                   // nothing
        ethernet(0x88cc, &[0; 8]),
    ] {
        let rewrite = Rewrite::new().source_port(1);
        let mut changed = frame.clone();
        assert_eq!(rewrite.apply(&mut changed), Err(RewriteError::NotIp));
        assert_eq!(decrement_ttl(&mut changed), Err(EditError::NotIp));
        assert_eq!(verify(&changed), Ok(Verdict::Unknown));
        assert_eq!(fill(&mut changed), Ok(false));
        assert_eq!(changed, frame);
    }
}

#[test]
fn a_frame_cut_in_front_of_its_packet_is_refused_and_stays() {
    let packet = &packets()[0];
    for labels in 0..=3 {
        let (frame, at) = carried(packet, 1, labels);
        for len in 0..at + packet.len() {
            let mut cut = frame[..len].to_vec();
            let error = Rewrite::new().source_port(1).apply(&mut cut).unwrap_err();
            // Behind the last label there is nothing to tell IP by.
            let is_label = labels > 0 && len == at;
            assert_eq!(error == RewriteError::NotIp, is_label, "{len} {error}");
            assert_eq!(cut, frame[..len]);
        }
    }
}

#[test]
fn echoes_have_any_code_and_arp_two_hardware_types() {
    for number in 0..=u8::MAX {
        assert!(IcmpEcho::parse(&[8, number, 0, 0, 0, 7, 0, 9]).is_ok());
        assert!(Icmpv6Echo::parse(&[129, number, 0, 0, 0, 7, 0, 9]).is_ok());
    }
    let mut arp = [0; 28];
    arp[2..8].copy_from_slice(&[8, 0, 6, 4, 0, 1]);
    for number in 0..=u16::MAX {
        arp[..2].copy_from_slice(&number.to_be_bytes());
        let hardware_type = Arp::parse(&arp).map(|(arp, _)| arp.hardware_type());
        assert_eq!(hardware_type.is_ok(), matches!(number, 1 | 6), "{number}");
        assert_eq!(hardware_type.unwrap_or(number), number);
    }
}
