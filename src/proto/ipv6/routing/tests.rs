#![forbid(unsafe_code)]

use super::*;

/// Segment routing over two stations, the first passed.
const SEGMENTS: [u8; 44] = [
    0x11, 0x04, 0x04, 0x01, // UDP, 40 bytes, segment routing, one left
    0x01, 0x00, 0x00, 0x00, // last entry, flags, tag
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // the last station
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // the first station
    0xc0, 0x00, 0x00, 0x35, // first bytes of the payload
];

const FIRST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// What the IPv6 header has.
const NEXT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
const LAST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

fn both_refuse(bytes: &[u8], error: ParseError) {
    assert_eq!(Ipv6Routing::parse(bytes), Err(error));
    assert_eq!(Ipv6Routing::parse_mut(&mut bytes.to_vec()), Err(error));
}

/// Addresses and final destination of [`SEGMENTS`] with these bytes of another type.
fn read(routing_type: u8, segments_left: u8, last_entry: u8) -> (Vec<Ipv6Addr>, Option<Ipv6Addr>) {
    let mut bytes = SEGMENTS;
    bytes[2..5].copy_from_slice(&[routing_type, segments_left, last_entry]);
    let (header, _) = Ipv6Routing::parse(&bytes).unwrap();
    (header.addresses().collect(), header.final_destination(NEXT))
}

#[test]
fn a_header_shows_its_fields_and_payload() {
    let (header, payload) = Ipv6Routing::parse(&SEGMENTS).unwrap();
    assert_eq!(header.header_len(), 40);
    assert_eq!(header.next_header(), IpProtocol::UDP);
    assert_eq!(header.routing_type(), Ipv6Routing::SEGMENT);
    assert_eq!(header.segments_left(), 1);
    assert_eq!(header.specific(), [1, 0, 0, 0]);
    assert_eq!(header.segments(), &SEGMENTS[8..40]);
    assert_eq!(payload, &SEGMENTS[40..]);
    assert_eq!(
        header.to_string(),
        "IPv6 routing type 4 left 1 2001:db8::2 2001:db8::1"
    );
}

#[test]
fn the_order_of_stations_depends_on_the_type() {
    let both = vec![LAST, FIRST];
    assert_eq!(read(Ipv6Routing::SEGMENT, 1, 1), (both.clone(), Some(LAST)));
    let plain = (both.clone(), Some(FIRST));
    assert_eq!(read(Ipv6Routing::SOURCE_ROUTE, 1, 0), plain);
    assert_eq!(
        read(Ipv6Routing::HOME_ADDRESS, 1, 0),
        (vec![LAST], Some(LAST))
    );
    for routing_type in [1, 5, 253] {
        assert_eq!(read(routing_type, 1, 1), (vec![], None));
    }
    let arrived = (both, Some(NEXT));
    assert_eq!(read(Ipv6Routing::SEGMENT, 0, 1), arrived);
}

#[test]
fn of_fewer_addresses_than_segments_left_none_is_the_last() {
    for (routing_type, most) in [
        (Ipv6Routing::SOURCE_ROUTE, 2),
        (Ipv6Routing::HOME_ADDRESS, 1),
        (Ipv6Routing::SEGMENT, 2),
    ] {
        for left in 1..=u8::MAX {
            let (_, last) = read(routing_type, left, 1);
            assert_eq!(last.is_some(), left <= most, "{routing_type} {left}");
        }
    }
}

#[test]
fn the_last_address_for_rpl_begins_as_the_destination_does() {
    // Two addresses of 2 bytes and the last one of 3, one byte of padding (RFC 6554, section 3).
    let mut bytes = [
        17, 1, 3, 1, 0xed, 0x10, 0, 0, 0xa, 1, 0xa, 2, 0xb, 0xc, 0xd, 0,
    ];
    let last = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0xb, 0x0c0d);
    for left in 0..=u8::MAX {
        bytes[3] = left;
        let (header, _) = Ipv6Routing::parse(&bytes).unwrap();
        let found = header.final_destination(NEXT);
        let wanted = match left {
            0 => Some(NEXT),
            1..=3 => Some(last),
            _ => None,
        };
        assert_eq!(found, wanted, "{left}");
    }
    // The last address is longer than all that there is.
    for (compressed, padding) in [(0xe0, 0x10), (0xe7, 0), (0xed, 0x60)] {
        bytes[3..6].copy_from_slice(&[1, compressed, padding]);
        let (header, _) = Ipv6Routing::parse(&bytes).unwrap();
        assert_eq!(header.final_destination(NEXT), None);
    }
    // All of it, uncompressed.
    let whole = [&[17, 2, 3, 1, 0, 0, 0, 0][..], &LAST.octets()].concat();
    let (header, _) = Ipv6Routing::parse(&whole).unwrap();
    assert_eq!(header.final_destination(NEXT), Some(LAST));
}

#[test]
fn a_last_entry_that_lies_gives_no_more_than_there_is() {
    assert_eq!(read(Ipv6Routing::SEGMENT, 1, 0), (vec![LAST], Some(LAST)));
    for last_entry in [2, 255] {
        let (addresses, last) = read(Ipv6Routing::SEGMENT, 1, last_entry);
        assert_eq!((&addresses[..], last), (&[LAST, FIRST][..], None));
    }
    let (header, _) = Ipv6Routing::parse(&[17, 0, 4, 9, 255, 0, 0, 0]).unwrap();
    assert_eq!(header.addresses().len(), 0);
    assert_eq!(header.final_destination(NEXT), None);
}

#[test]
fn a_truncated_header_names_what_is_missing() {
    for available in 0..40 {
        let (field, at, needed) = match available {
            0..8 => ("header", 0, 8),
            _ => ("length", 1, 40),
        };
        let error = ParseError::truncated(("IPv6 routing", field, at), needed, available);
        both_refuse(&SEGMENTS[..available], error);
    }
    assert!(Ipv6Routing::parse(&SEGMENTS[..40]).unwrap().1.is_empty());
}

#[test]
fn every_length_gives_a_view_or_an_error() {
    for units in 0..=u8::MAX {
        for routing_type in 0..5 {
            let mut bytes = [0xee; 2048];
            bytes[1..3].copy_from_slice(&[units, routing_type]);
            for available in [8, 100, 2047, 2048] {
                let len = (usize::from(units) + 1) * 8;
                let parsed = Ipv6Routing::parse(&bytes[..available]);
                assert_eq!(parsed.is_ok(), len <= available);
                if let Ok((header, payload)) = parsed {
                    assert_eq!(header.header_len(), len);
                    assert_eq!(payload.len(), available - len);
                    assert!(header.addresses().len() * 16 <= len);
                }
            }
        }
    }
}

#[test]
fn setters_write_the_header_itself() {
    let mut bytes = [0; 44];
    bytes[1] = 4;
    let (header, payload) = Ipv6Routing::parse_mut(&mut bytes).unwrap();
    header.set_next_header(IpProtocol::UDP);
    header.set_routing_type(Ipv6Routing::SEGMENT);
    header.set_segments_left(1);
    header.set_specific([1, 0, 0, 0]);
    header.segments_mut().copy_from_slice(&SEGMENTS[8..40]);
    payload.copy_from_slice(&SEGMENTS[40..]);
    assert_eq!(bytes, SEGMENTS);
}
