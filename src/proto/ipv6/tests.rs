#![forbid(unsafe_code)]

use super::*;

const HOST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const SERVER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

/// UDP with all eight bytes of payload shown.
const PACKET: [u8; 48] = [
    0x6b, 0x91, 0x23, 0x45, // DSCP EF, ECN 1, flow label
    0x00, 0x08, 0x11, 0x40, // payload length 8, UDP, hop limit 64
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // source
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // destination
    0xc0, 0x00, 0x00, 0x35, 0x00, 0x08, 0xe4, 0x33, // payload
];

const HOP_BY_HOP: u8 = 0;
const TCP: u8 = 6;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AH: u8 = 51;
const DESTINATION: u8 = 60;

/// An extension header of `len` bytes, whose length is in its second byte.
fn extension(next: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes[0] = next;
    bytes[1] = u8::try_from(len / 8 - 1).unwrap();
    bytes
}

fn fragment(next: u8, offset_and_flags: u16) -> Vec<u8> {
    let [high, low] = offset_and_flags.to_be_bytes();
    vec![next, 0xee, high, low, 0x01, 0x02, 0x03, 0x04]
}

/// What is found in a payload that starts with `next`.
fn walk(next: u8, payload: &[u8]) -> Result<UpperLayer, ParseError> {
    let mut bytes = PACKET;
    bytes[6] = next;
    Ipv6::parse(&bytes).unwrap().0.upper_layer(payload)
}

fn both_refuse(bytes: &[u8], error: ParseError) {
    assert_eq!(Ipv6::parse(bytes), Err(error));
    assert_eq!(Ipv6::parse_mut(&mut bytes.to_vec()), Err(error));
}

#[test]
fn a_packet_shows_its_fields_and_payload() {
    let (ip, payload) = Ipv6::parse(&PACKET).unwrap();
    assert_eq!(Ipv6::LEN, 40);
    assert_eq!((ip.dscp(), ip.ecn()), (46, 1));
    assert_eq!(ip.flow_label(), 0x1_2345);
    assert_eq!(ip.payload_length(), 8);
    assert_eq!(ip.next_header(), IpProtocol::UDP);
    assert_eq!(ip.hop_limit(), 64);
    assert_eq!((ip.source(), ip.destination()), (HOST, SERVER));
    assert_eq!(payload, &PACKET[40..]);
    assert_eq!(ip.pseudo_header(), PseudoHeader::ipv6(HOST, SERVER));
    assert_eq!(
        ip.to_string(),
        "IPv6 2001:db8::1 > 2001:db8::2 UDP hops 64 length 8"
    );
    let upper = ip.upper_layer(payload).unwrap();
    assert_eq!((upper.protocol, upper.offset), (IpProtocol::UDP, 0));
    assert!(upper.fragment.is_none() && !upper.is_source_routed && !upper.is_later_fragment());
}

#[test]
fn padding_after_the_packet_is_not_payload() {
    let mut padded = [&PACKET[..], &[0xee; 14]].concat();
    assert_eq!(Ipv6::parse(&padded), Ipv6::parse(&PACKET));
    let (_, payload) = Ipv6::parse_mut(&mut padded).unwrap();
    assert_eq!(payload.len(), 8);
}

#[test]
fn a_truncated_packet_names_what_is_missing() {
    for available in 0..PACKET.len() {
        let needed = if available < 40 { 40 } else { 48 };
        both_refuse(&PACKET[..available], Ipv6::truncated(needed, available));
    }
}

#[test]
fn other_versions_are_refused() {
    for version in (0..16).filter(|&version| version != 6) {
        let mut bytes = PACKET;
        bytes[0] = version << 4;
        let error = ParseError::malformed(("IPv6", "version", 0), version.into());
        both_refuse(&bytes, error);
    }
}

#[test]
fn setters_write_the_packet_itself() {
    let mut bytes = [0; 48];
    bytes[..4].copy_from_slice(&PACKET[..4]);
    let (ip, payload) = Ipv6::parse_mut(&mut bytes).unwrap();
    assert!(payload.is_empty());
    ip.set_flow_label(0xffff_ffff);
    assert_eq!((ip.dscp(), ip.ecn()), (46, 1));
    ip.set_flow_label(0x1_2345);
    ip.set_payload_length(8);
    ip.set_next_header(IpProtocol::UDP);
    ip.set_hop_limit(64);
    ip.set_source(SERVER);
    ip.set_destination(HOST);
    ip.swap_addresses();
    assert_eq!(bytes[..40], PACKET[..40]);
}

#[test]
fn a_setter_changes_its_own_bits_only() {
    for fill in [0x00, 0xff] {
        let mut bytes = PACKET;
        bytes[1..4].fill(fill);
        bytes[0] = 0x60 | fill >> 4;
        let (ip, _) = Ipv6::parse_mut(&mut bytes).unwrap();
        let (ecn, label) = (ip.ecn(), ip.flow_label());
        ip.set_dscp(0xea);
        assert_eq!((ip.dscp(), ip.ecn(), ip.flow_label()), (42, ecn, label));
        ip.set_ecn(0xfe);
        assert_eq!((ip.dscp(), ip.ecn(), ip.flow_label()), (42, 2, label));
        assert_eq!(bytes[0] >> 4, 6);
    }
}

#[test]
fn the_last_hop_is_not_taken() {
    let mut bytes = PACKET;
    let (ip, _) = Ipv6::parse_mut(&mut bytes).unwrap();
    assert!(ip.decrement_hop_limit());
    assert_eq!(ip.hop_limit(), 63);
    for left in [0, 1] {
        ip.set_hop_limit(left);
        assert!(!ip.decrement_hop_limit());
        assert_eq!(ip.hop_limit(), left);
    }
}

#[test]
fn extension_headers_are_passed_over_whatever_their_order() {
    let mut authentication = vec![TCP, 4];
    authentication.resize((4 + 2) * 4, 0);
    let payload = [
        extension(DESTINATION, 8),
        extension(ROUTING, 24),
        extension(FRAGMENT, 16),
        fragment(AH, 0),
        authentication,
        vec![0xee; 20],
    ]
    .concat();
    let upper = walk(HOP_BY_HOP, &payload).unwrap();
    assert_eq!(upper.protocol, IpProtocol::TCP);
    assert_eq!(upper.offset, payload.len() - 20);
    assert_eq!(upper.fragment, None, "a fragment that is all of the packet");
    assert!(!upper.is_source_routed);
}

#[test]
fn what_is_no_extension_header_ends_the_walk() {
    for next in [TCP, 17, 50, 58, 59, 132, 135, 253] {
        let upper = walk(DESTINATION, &extension(next, 8)).unwrap();
        assert_eq!((upper.protocol, upper.offset), (IpProtocol(next), 8));
        assert_eq!(walk(next, &[]).unwrap().offset, 0);
    }
}

#[test]
fn the_first_fragment_has_the_upper_header_and_later_ones_have_not() {
    let first = [fragment(DESTINATION, 1), extension(TCP, 8)].concat();
    let upper = walk(FRAGMENT, &first).unwrap();
    assert_eq!((upper.protocol, upper.offset), (IpProtocol::TCP, 16));
    assert!(!upper.is_later_fragment());
    let part = Ipv6Fragment {
        offset: 0,
        more_fragments: true,
        identification: 0x0102_0304,
    };
    assert_eq!(upper.fragment, Some(part));

    // Here the bytes behind the fragment header are data.
    let later = [fragment(DESTINATION, 1448 | 6), vec![0xff; 16]].concat();
    let upper = walk(FRAGMENT, &later).unwrap();
    assert_eq!((upper.protocol.0, upper.offset), (DESTINATION, 8));
    assert!(upper.is_later_fragment());
    let part = upper.fragment.unwrap();
    assert_eq!((part.offset, part.more_fragments), (1448, false));
}

#[test]
fn segments_left_mean_source_routing() {
    let mut routing = extension(TCP, 24);
    routing[3] = 1;
    assert!(walk(ROUTING, &routing).unwrap().is_source_routed);
    // The same byte of another header means nothing.
    assert!(!walk(DESTINATION, &routing).unwrap().is_source_routed);
}

#[test]
fn a_truncated_extension_names_what_is_missing() {
    let payload = [extension(DESTINATION, 16), extension(TCP, 24)].concat();
    for available in 0..payload.len() {
        let (offset, needed, left) = match available {
            0..8 => (0, 8, available),
            8..16 => (0, 16, available),
            16..24 => (16, 8, available - 16),
            _ => (16, 24, available - 16),
        };
        let (field, at) = if left < 8 {
            ("header", 0)
        } else {
            ("length", 1)
        };
        let place = ("IPv6 options", field, offset + at);
        let error = ParseError::truncated(place, needed, left);
        assert_eq!(walk(HOP_BY_HOP, &payload[..available]), Err(error));
    }
    assert_eq!(walk(HOP_BY_HOP, &payload).unwrap().offset, 40);
}

#[test]
fn the_walk_is_bounded() {
    let eight = [extension(DESTINATION, 8).repeat(7), extension(TCP, 8)].concat();
    assert_eq!(walk(DESTINATION, &eight).unwrap().offset, 64);
    let endless = extension(DESTINATION, 8).repeat(1000);
    let error = walk(DESTINATION, &endless).unwrap_err();
    assert_eq!(
        error.to_string(),
        "IPv6 extension next header of the eighth at byte 56 cannot be 60"
    );
}

#[test]
fn of_a_quoted_packet_the_payload_may_be_cut_short() {
    for available in 0..=PACKET.len() {
        let bytes = &PACKET[..available];
        match Ipv6::parse_quoted(bytes) {
            Ok((ip, payload)) => {
                assert!(available >= 40);
                assert_eq!(ip.payload_length(), 8);
                assert_eq!(payload, &bytes[40..]);
            }
            Err(error) => {
                assert!(available < 40);
                assert_eq!(Ipv6::parse(bytes), Err(error));
            }
        }
    }
    let padded = [&PACKET[..], &[0xee; 14]].concat();
    assert_eq!(Ipv6::parse_quoted(&padded), Ipv6::parse(&padded));
}
