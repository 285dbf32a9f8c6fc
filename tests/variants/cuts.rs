//! Frames cut at every byte: a field is told from where its last byte is there, and never before.

use fluxcap::proto::{Headers, TcpFlags};

use crate::ethernet;

/// A field: what it is, behind how many bytes it is whole, and how it is read.
type Field = (&'static str, usize, fn(&Headers, &[u8]) -> Option<u64>);

const fn number(value: Option<u8>) -> Option<u64> {
    match value {
        Some(value) => Some(value as u64),
        None => None,
    }
}

fn with_ip(headers: &Headers, value: u8) -> Option<u64> {
    headers.ip_version().map(|_| value.into())
}

fn ports(headers: &Headers, _: &[u8]) -> Option<u64> {
    headers
        .ports()
        .map(|(from, to)| u64::from(from) << 16 | u64::from(to))
}

fn icmp(headers: &Headers, _: &[u8]) -> Option<u64> {
    headers
        .icmp()
        .map(|(kind, code)| u64::from(kind) << 8 | u64::from(code))
}

fn flags(headers: &Headers, _: &[u8]) -> Option<u64> {
    headers.tcp_flags().map(|TcpFlags(flags)| flags.into())
}

/// Some bytes of an address tell it from others.
fn source(headers: &Headers, frame: &[u8]) -> Option<u64> {
    headers.source_ip(frame).map(|_| 1)
}

fn destination(headers: &Headers, frame: &[u8]) -> Option<u64> {
    headers.destination_ip(frame).map(|_| 1)
}

/// The fields of an IP header at `at`.
fn ip_fields(at: usize, is_ipv6: bool) -> Vec<Field> {
    let (known, from, to) = match is_ipv6 {
        true => (8, 24, 40),
        false => (10, 16, 20),
    };
    vec![
        ("version", at + known, |headers, _| {
            number(headers.ip_version())
        }),
        ("protocol", at + known, |headers, _| {
            headers.protocol().map(|protocol| protocol.0.into())
        }),
        ("ttl", at + known, |headers, _| {
            with_ip(headers, headers.ttl())
        }),
        ("dscp", at + known, |headers, _| {
            with_ip(headers, headers.dscp())
        }),
        ("source", at + from, source),
        ("destination", at + to, destination),
    ]
}

/// Parses the frame cut at each of its bytes; gives how many that were.
fn check(what: &str, frame: &[u8], fields: &[Field]) -> usize {
    let (whole, error) = Headers::parse_partial(frame);
    assert_eq!(error, None, "{what}");
    for len in 0..frame.len() {
        // In memory that ends there, and in memory that does not.
        let cut = frame[..len].to_vec();
        let (headers, error) = Headers::parse_partial(&cut);
        assert_eq!(Headers::parse(&cut).err(), error, "{what} {len}");
        for (name, end, read) in fields {
            let wanted = read(&whole, frame).filter(|_| len >= *end);
            assert_eq!(
                read(&headers, &cut),
                wanted,
                "{what}: {name} of {len} bytes"
            );
        }
        assert!(headers.payload_offset() <= len && headers.payload_end() <= len);
        assert_eq!(headers.is_partial(), error.is_some());
    }
    frame.len()
}

/// A message of each protocol and where its fields are whole.
fn messages() -> Vec<(&'static str, u8, Vec<u8>, Vec<Field>)> {
    let bytes = |len: usize| {
        let mut bytes = vec![0xc0, 0x01, 0x00, 0x35];
        bytes.resize(len, 0);
        bytes
    };
    let mut tcp = bytes(24);
    (tcp[12], tcp[13]) = (0x60, 0x12);
    tcp[20..].copy_from_slice(&[2, 4, 5, 0xb4]);
    let mut udp = bytes(11);
    udp[5] = 11;
    let mut dccp = bytes(20);
    (dccp[4], dccp[8]) = (5, 1);
    let ports = |end| -> Field { ("ports", end, ports) };
    let icmp = |end| -> Field { ("type and code", end, icmp) };
    vec![
        ("TCP", 6, tcp, vec![ports(4), ("flags", 14, flags)]),
        ("UDP", 17, udp, vec![ports(4)]),
        ("SCTP", 132, bytes(16), vec![ports(4)]),
        ("DCCP", 33, dccp, vec![ports(4)]),
        ("UDP-Lite", 136, bytes(12), vec![ports(4)]),
        ("ICMP", 1, bytes(12), vec![icmp(2)]),
        ("ICMPv6", 58, bytes(12), vec![icmp(2)]),
        ("ESP", 50, bytes(12), vec![]),
    ]
}

#[test]
fn every_field_is_told_once_it_is_there() {
    let mut cuts = 0;
    for (name, protocol, message, behind) in messages() {
        for options in [0, 4, 40] {
            if protocol == 58 {
                continue;
            }
            let words = (20 + options) / 4;
            let len = 20 + options + message.len();
            let mut packet = vec![
                0x40 | words as u8,
                0xb9,
                0,
                len as u8,
                0,
                0,
                0x40,
                0,
                63,
                protocol,
                0,
                0,
            ];
            packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
            packet.resize(20 + options, 1);
            packet.extend(&message);
            let frame = ethernet(0x0800, &packet);
            let mut fields = ip_fields(14, false);
            fields.extend(
                behind
                    .iter()
                    .map(|&(name, end, read)| (name, 34 + options + end, read)),
            );
            cuts += check(&format!("{name} in IPv4, {options}"), &frame, &fields);
        }
        for extensions in 0..3 {
            if protocol == 1 {
                continue;
            }
            let len = 8 * extensions + message.len();
            let first = if extensions == 0 { protocol } else { 60 };
            let mut packet = vec![0x6b, 0x90, 0, 0, 0, len as u8, first, 63];
            packet.extend([0x20; 32]);
            for left in (0..extensions).rev() {
                let next = if left == 0 { protocol } else { 60 };
                packet.extend([next, 0, 1, 4, 0, 0, 0, 0]);
            }
            packet.extend(&message);
            let frame = ethernet(0x86dd, &packet);
            let mut fields = ip_fields(14, true);
            // What the last extension header is, before it is whole.
            fields.retain(|(name, ..)| *name != "protocol" || extensions == 0);
            let at = 54 + 8 * extensions;
            fields.extend(
                behind
                    .iter()
                    .map(|&(name, end, read)| (name, at + end, read)),
            );
            cuts += check(&format!("{name} in IPv6, {extensions}"), &frame, &fields);
        }
    }
    assert!(cuts > 2000, "{cuts}");
}

#[test]
fn tags_and_labels_are_told_once_they_are_there() {
    let arp = [0; 28];
    let tagged = [&[0xb0, 0x64, 0x81, 0, 0, 7, 0x08, 0x06][..], &arp].concat();
    let outer: Field = ("outer tag", 16, |headers, _| {
        headers.outer_tag().map(u64::from)
    });
    let inner: Field = ("inner tag", 20, |headers, _| {
        headers.inner_tag().map(u64::from)
    });
    check("tags", &ethernet(0x88a8, &tagged), &[outer, inner]);

    let packet = [&[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 59, 0, 0][..], &[10; 8]].concat();
    let labelled = [&[0, 1, 0, 64, 0, 2, 0, 64, 0, 3, 1, 64][..], &packet].concat();
    let frame = ethernet(0x8847, &labelled);
    for len in 14..frame.len() {
        let (headers, _) = Headers::parse_partial(&frame[..len]);
        assert_eq!(headers.mpls_labels(), ((len - 14) / 4).min(3), "{len}");
    }
    check("labels", &frame, &ip_fields(26, false));
}

#[test]
fn what_is_behind_a_cut_packet_in_a_tunnel_is_none_of_it() {
    let inner = [
        &[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0][..],
        &[10; 8],
        &[1, 2, 3, 4, 0, 8, 0, 0],
    ]
    .concat();
    for len in 0..inner.len() {
        let mut packet = vec![0x45, 0, 0, 20 + len as u8, 0, 0, 0, 0, 64, 4, 0, 0];
        packet.extend([10; 8]);
        packet.extend(&inner[..len]);
        packet.extend([0xee; 40]); // padding
        let frame = ethernet(0x0800, &packet);
        let outer = Headers::parse(&frame).unwrap();
        let (headers, error) = outer.inner_partial(&frame).unwrap();
        assert!(error.is_some());
        assert_eq!(headers.ip_version().is_some(), len >= 10, "{len}");
        assert_eq!(headers.source_ip(&frame).is_some(), len >= 16, "{len}");
        assert_eq!(headers.destination_ip(&frame).is_some(), len >= 20, "{len}");
        assert_eq!(
            headers.ports(),
            (len >= 24).then_some((0x0102, 0x0304)),
            "{len}"
        );
    }
}

#[test]
fn a_packet_that_is_cut_is_as_partial_as_before() {
    // TCP of which a capture kept eight bytes: 49152 > 80.
    let mut packet = vec![
        0x45, 0, 0, 0x33, 0, 1, 0, 0, 0x40, 6, 0x8e, 0x8d, 192, 0, 2, 1, 0xc6, 0x33, 0x64, 2,
    ];
    packet.extend([0xc0, 0, 0, 0x50, 0, 0, 0, 1]);
    let (headers, error) = Headers::parse_partial(&ethernet(0x0800, &packet));
    assert_eq!(error.unwrap().field(), "total length");
    assert_eq!(headers.ports(), Some((49152, 80)));
    assert_eq!((headers.tcp_flags(), headers.l4_offset()), (None, Some(34)));
    // An IHL or version that cannot be tells nothing more.
    for first in [0x44, 0x55, 0x65] {
        packet[0] = first;
        let (headers, _) = Headers::parse_partial(&ethernet(0x0800, &packet[..15]));
        assert_eq!((headers.ip_version(), headers.payload_offset()), (None, 14));
    }
}
