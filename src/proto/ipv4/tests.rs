#![forbid(unsafe_code)]

use super::*;

const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 199);

/// UDP with four bytes of payload shown.
const PACKET: [u8; 24] = [
    0x45, 0x00, 0x00, 0x18, 0x00, 0x00, 0x40, 0x00, // length 24, don't fragment
    0x40, 0x11, 0xb8, 0xbc, // ttl 64, UDP, checksum
    192, 168, 0, 1, 192, 168, 0, 199, // addresses
    0x00, 0x35, 0xe9, 0x7c, // payload
];

/// IGMPv2 report: 24 bytes of header, of which 4 are the router alert option (RFC 2113).
const ROUTER_ALERT: [u8; 32] = [
    0x46, 0xc0, 0x00, 0x20, 0x00, 0x00, 0x40, 0x00, // length 32, DSCP CS6
    0x01, 0x02, 0x42, 0x73, // ttl 1, IGMP, checksum
    192, 168, 0, 1, 224, 0, 0, 251, // addresses
    0x94, 0x04, 0x00, 0x00, // router alert
    0x16, 0x00, 0x09, 0x04, 0xe0, 0x00, 0x00, 0xfb, // payload
];

fn both_refuse(bytes: &[u8], error: ParseError) {
    assert_eq!(Ipv4::parse(bytes), Err(error));
    assert_eq!(Ipv4::parse_mut(&mut bytes.to_vec()), Err(error));
}

#[test]
fn a_packet_shows_its_fields_and_payload() {
    let (ip, payload) = Ipv4::parse(&PACKET).unwrap();
    assert_eq!(size_of_val(ip), Ipv4::LEN);
    assert_eq!(ip.header_len(), 20);
    assert_eq!((ip.dscp(), ip.ecn()), (0, 0));
    assert_eq!(ip.total_length(), 24);
    assert_eq!(ip.identification(), 0);
    assert!(ip.dont_fragment() && !ip.is_fragment());
    assert_eq!(ip.ttl(), 64);
    assert_eq!(ip.protocol(), IpProtocol::UDP);
    assert_eq!(ip.header_checksum(), 0xb8bc);
    assert_eq!((ip.source(), ip.destination()), (HOST, SERVER));
    assert!(ip.options_bytes().is_empty());
    assert_eq!(payload, &PACKET[20..]);
    assert!(ip.verify_checksum());
    assert_eq!(
        ip.to_string(),
        "IPv4 192.168.0.1 > 192.168.0.199 UDP ttl 64 length 24"
    );
}

#[test]
fn options_belong_to_the_header_and_its_checksum() {
    let mut bytes = ROUTER_ALERT;
    let (ip, payload) = Ipv4::parse_mut(&mut bytes).unwrap();
    assert_eq!(ip.header_len(), 24);
    assert_eq!((ip.dscp(), ip.ecn()), (48, 0));
    assert_eq!(ip.options_bytes(), [0x94, 0x04, 0x00, 0x00]);
    assert_eq!(payload, &ROUTER_ALERT[24..]);
    assert!(ip.verify_checksum());
    bytes[23] = 1;
    assert!(!Ipv4::parse(&bytes).unwrap().0.verify_checksum());
}

#[test]
fn padding_after_the_packet_is_not_payload() {
    let mut padded = [&ROUTER_ALERT[..], &[0xee; 14]].concat();
    assert_eq!(Ipv4::parse(&padded), Ipv4::parse(&ROUTER_ALERT));
    let (_, payload) = Ipv4::parse_mut(&mut padded).unwrap();
    assert_eq!(payload.len(), 8);
}

#[test]
fn a_truncated_packet_names_what_is_missing() {
    for available in 0..ROUTER_ALERT.len() {
        let (field, offset, needed) = match available {
            0..20 => ("header", 0, 20),
            20..24 => ("IHL", 0, 24),
            _ => ("total length", 2, 32),
        };
        let error = too_long(field, offset, needed, available);
        both_refuse(&ROUTER_ALERT[..available], error);
    }
}

#[test]
fn impossible_headers_are_refused_by_field() {
    for (at, byte, error) in [
        (0, 0x65, malformed("version", 0, 6)),
        (0, 0x44, malformed("IHL", 0, 4)),
        (0, 0x4f, too_long("IHL", 0, 60, 24)),
        (3, 0, malformed("total length", 2, 0)),
        (3, 19, malformed("total length", 2, 19)),
        (3, 25, too_long("total length", 2, 25, 24)),
    ] {
        let mut bytes = PACKET;
        bytes[at] = byte;
        both_refuse(&bytes, error);
    }
}

#[test]
fn every_first_byte_and_length_gives_a_view_or_an_error() {
    for first in 0..=u8::MAX {
        for total in 0..=80 {
            let mut bytes = [0; 72];
            (bytes[0], bytes[3]) = (first, total);
            if let Ok((ip, payload)) = Ipv4::parse(&bytes) {
                assert_eq!(size_of_val(ip), ip.header_len());
                assert_eq!(ip.header_len() + payload.len(), usize::from(total));
            }
        }
    }
}

#[test]
fn fragments_say_where_they_belong() {
    for (field, more, offset) in [
        ([0x20, 0x00], true, 0),
        ([0x20, 0xb9], true, 1480),
        ([0x1f, 0xff], false, 65528),
    ] {
        let mut bytes = PACKET;
        bytes[6..8].copy_from_slice(&field);
        let (ip, _) = Ipv4::parse(&bytes).unwrap();
        assert!(ip.is_fragment() && !ip.dont_fragment());
        assert_eq!((ip.more_fragments(), ip.fragment_offset()), (more, offset));
        let summary = ip.to_string();
        assert!(summary.ends_with(&format!(" length 24 fragment at {offset}")));
    }
}

#[test]
fn a_setter_changes_its_own_bits_only() {
    for fill in [0x00, 0xff] {
        let mut bytes = PACKET;
        bytes[1] = fill;
        bytes[6..8].fill(fill);
        let (ip, _) = Ipv4::parse_mut(&mut bytes).unwrap();
        let ecn = ip.ecn();
        ip.set_dscp(0xea);
        assert_eq!((ip.dscp(), ip.ecn()), (42, ecn));
        ip.set_ecn(0xfe);
        assert_eq!((ip.dscp(), ip.ecn()), (42, 2));
        let (df, more) = (ip.dont_fragment(), ip.more_fragments());
        ip.set_fragment_offset(1487);
        assert_eq!((ip.dont_fragment(), ip.more_fragments()), (df, more));
        ip.set_dont_fragment(!df);
        assert_eq!((ip.dont_fragment(), ip.more_fragments()), (!df, more));
        ip.set_more_fragments(!more);
        assert_eq!((ip.dont_fragment(), ip.more_fragments()), (!df, !more));
        assert_eq!(ip.fragment_offset(), 1480);
        assert_eq!(bytes[6] & 0x80, fill & 0x80);
    }
}

#[test]
fn swapped_addresses_keep_the_checksum() {
    let mut bytes = PACKET;
    let (ip, _) = Ipv4::parse_mut(&mut bytes).unwrap();
    ip.swap_addresses();
    assert_eq!((ip.source(), ip.destination()), (SERVER, HOST));
    assert!(ip.verify_checksum());
}

#[test]
fn a_hop_adjusts_the_checksum_until_none_is_left() {
    let mut bytes = PACKET;
    let (ip, _) = Ipv4::parse_mut(&mut bytes).unwrap();
    for ttl in (1..64).rev() {
        assert!(ip.decrement_ttl());
        assert_eq!(ip.ttl(), ttl);
        assert!(ip.verify_checksum());
    }
    assert!(!ip.decrement_ttl());
    ip.set_ttl(0);
    assert!(!ip.decrement_ttl());
    assert_eq!(ip.ttl(), 0);
}

#[test]
fn an_address_translation_can_adjust_the_checksum() {
    let mut bytes = PACKET;
    let (ip, _) = Ipv4::parse_mut(&mut bytes).unwrap();
    let public = Ipv4Addr::new(203, 0, 113, 7);
    let updated = checksum::update_u32(ip.header_checksum(), HOST.to_bits(), public.to_bits());
    ip.set_source(public);
    ip.fill_checksum();
    assert_eq!(ip.header_checksum(), updated);
    assert!(ip.verify_checksum());
}

#[test]
fn setters_write_the_packet_itself() {
    let mut bytes = [0; 24];
    (bytes[0], bytes[3], bytes[6]) = (0x45, 20, 0x40);
    let (ip, _) = Ipv4::parse_mut(&mut bytes).unwrap();
    ip.set_total_length(24);
    ip.set_identification(0x1234);
    ip.set_ttl(64);
    ip.set_protocol(IpProtocol::UDP);
    ip.set_source(HOST);
    ip.set_destination(SERVER);
    ip.set_header_checksum(0xffff);
    ip.fill_checksum();
    assert!(ip.verify_checksum());
    ip.set_identification(0);
    ip.set_header_checksum(0xb8bc);
    assert_eq!(bytes[..20], PACKET[..20]);
}

#[test]
fn of_a_quoted_packet_the_payload_may_be_cut_short() {
    for available in 0..=ROUTER_ALERT.len() {
        let bytes = &ROUTER_ALERT[..available];
        match Ipv4::parse_quoted(bytes) {
            Ok((ip, payload)) => {
                assert!(available >= 24);
                assert_eq!((ip.header_len(), ip.total_length()), (24, 32));
                assert_eq!(payload, &bytes[24..]);
            }
            Err(error) => {
                assert!(available < 24);
                assert_eq!(Ipv4::parse(bytes), Err(error));
            }
        }
    }
    let padded = [&ROUTER_ALERT[..], &[0xee; 14]].concat();
    assert_eq!(Ipv4::parse_quoted(&padded), Ipv4::parse(&padded));
}
