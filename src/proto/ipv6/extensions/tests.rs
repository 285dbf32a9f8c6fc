#![forbid(unsafe_code)]

use super::*;
use crate::proto::samples::Random;
use crate::proto::{Fault, Ipv6Option};

const HOP_BY_HOP: u8 = 0;
const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AH: u8 = 51;
const DESTINATION: u8 = 60;

/// One of each kind, the packet whole, and four bytes of the upper layer.
const ALL: [u8; 76] = [
    ROUTING,
    0,
    0x05,
    0x02,
    0x00,
    0x00,
    0x01,
    0x00, // hop-by-hop: router alert, padding
    FRAGMENT,
    2,
    4,
    1,
    0,
    0,
    0,
    0, // routing: one segment left
    0x20,
    0x01,
    0x0d,
    0xb8,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    9, // the segment
    AH,
    0,
    0x00,
    0x00,
    0x12,
    0x34,
    0x56,
    0x78, // fragment: all of the packet
    DESTINATION,
    4,
    0,
    0,
    0,
    0,
    1,
    0,
    0,
    0,
    0,
    42, // authentication: index, sequence number
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12, // check value
    UDP,
    0,
    0x04,
    0x01,
    0x08,
    0x01,
    0x01,
    0x00, // destination: tunnel limit, padding
    0xc0,
    0x00,
    0x00,
    0x35, // upper layer
];

/// Where the headers of [`ALL`] start, and where the last one ends.
const STARTS: [usize; 6] = [0, 8, 32, 40, 64, 72];

fn packet(next: u8) -> [u8; 40] {
    let mut bytes = [0; 40];
    (bytes[0], bytes[6]) = (0x60, next);
    bytes
}

fn walk(next: u8, payload: &[u8]) -> Ipv6Extensions<'_> {
    Ipv6Extensions::new(IpProtocol(next), payload)
}

fn last_error(next: u8, payload: &[u8]) -> ParseError {
    walk(next, payload).last().unwrap().unwrap_err()
}

#[test]
fn headers_come_typed_in_their_order() {
    let mut walk = walk(HOP_BY_HOP, &ALL);
    let mut text = Vec::new();
    for (at, next) in STARTS.iter().zip(STARTS.iter().skip(1)) {
        assert_eq!(walk.offset(), *at);
        let protocol = walk.protocol();
        let extension = walk.next().unwrap().unwrap();
        assert_eq!(extension.protocol(), protocol);
        assert_eq!(extension.header_len(), next - at);
        assert_eq!(extension.next_header(), walk.protocol());
        text.push(extension.to_string());
    }
    assert_eq!(walk.next(), None);
    assert_eq!((walk.protocol(), walk.offset()), (IpProtocol::UDP, 72));
    assert_eq!(walk.rest(), &ALL[72..]);
    assert_eq!(
        text,
        [
            "IPv6 hop-by-hop options router alert 0",
            "IPv6 routing type 4 left 1 2001:db8::9",
            "IPv6 fragment 0x12345678 at 0 last",
            "AH spi 0x00000100 seq 42",
            "IPv6 destination options tunnel limit 8",
        ]
    );
}

#[test]
fn a_header_shows_what_only_its_kind_has() {
    let mut walk = walk(HOP_BY_HOP, &ALL).map(Result::unwrap);
    let Some(Ipv6Extension::HopByHop(header)) = walk.next() else {
        panic!("no hop-by-hop header");
    };
    let options = [Ipv6Option::RouterAlert(0), Ipv6Option::PadN(&[])];
    assert!(header.options().eq(options.map(Ok)));
    let Some(Ipv6Extension::Routing(header)) = walk.next() else {
        panic!("no routing header");
    };
    let last = header.final_destination(Ipv6Addr::LOCALHOST).unwrap();
    assert_eq!(last.to_string(), "2001:db8::9");
    let Some(Ipv6Extension::Fragment(header)) = walk.next() else {
        panic!("no fragment header");
    };
    assert!(!header.is_fragment());
    let Some(Ipv6Extension::Authentication(header)) = walk.next() else {
        panic!("no authentication header");
    };
    assert_eq!(header.check_value().len(), 12);
}

#[test]
fn what_is_no_extension_header_ends_the_walk() {
    for next in [6, UDP, 50, 58, 59, 132, 135, 253] {
        let mut walk = walk(next, &ALL);
        assert_eq!(walk.next(), None);
        assert_eq!((walk.protocol().0, walk.offset()), (next, 0));
    }
}

#[test]
fn a_truncated_header_is_named_with_its_place() {
    for available in 0..72 {
        let (at, protocol, least, len) = match available {
            0..8 => (0, "IPv6 options", 8, 8),
            8..32 => (8, "IPv6 routing", 8, 24),
            32..40 => (32, "IPv6 fragment", 8, 8),
            40..64 => (40, "AH", 12, 24),
            _ => (64, "IPv6 options", 8, 8),
        };
        let left = available - at;
        let (field, place, needed) = match protocol {
            _ if left < least => ("header", 0, least),
            "AH" => ("payload length", 1, len),
            _ => ("length", 1, len),
        };
        let error = ParseError::truncated((protocol, field, place), needed, left).at(at);
        let mut walk = walk(HOP_BY_HOP, &ALL[..available]);
        assert_eq!(walk.by_ref().find_map(Result::err), Some(error));
        assert_eq!(walk.next(), None, "nothing comes after an error");
        assert_eq!(walk.offset(), at);
    }
    assert!(walk(HOP_BY_HOP, &ALL[..72]).all(|header| header.is_ok()));
}

#[test]
fn a_length_beyond_the_packet_is_refused() {
    for (at, len) in [(0, 2048), (8, 2048), (40, 1028), (64, 2048)] {
        let mut bytes = ALL;
        bytes[at + 1] = 255;
        let error = last_error(HOP_BY_HOP, &bytes);
        assert_eq!(error.offset(), at + 1);
        let (needed, available) = (len, u32::try_from(ALL.len() - at).unwrap());
        assert_eq!(error.fault(), Fault::Truncated { needed, available });
    }
}

#[test]
fn behind_a_later_fragment_there_are_only_data() {
    let mut bytes = ALL;
    bytes[34..36].copy_from_slice(&[0x05, 0xa8]);
    let mut walk = walk(HOP_BY_HOP, &bytes);
    assert_eq!(walk.by_ref().count(), 3);
    assert_eq!((walk.protocol().0, walk.offset()), (AH, 40));
    // The first fragment has the headers behind it.
    bytes[34..36].copy_from_slice(&[0x00, 0x01]);
    assert_eq!(super::tests::walk(HOP_BY_HOP, &bytes).count(), 5);
}

#[test]
fn endless_headers_are_bounded() {
    let endless = [DESTINATION, 0, 1, 4, 0, 0, 0, 0].repeat(1000);
    let mut walk = walk(DESTINATION, &endless);
    assert_eq!(walk.by_ref().take(8).filter(Result::is_ok).count(), 8);
    let error = walk.next().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "IPv6 extension next header of the eighth at byte 56 cannot be 60"
    );
    assert_eq!(walk.next(), None);
    // Whether the ninth is there does not matter.
    assert_eq!(last_error(DESTINATION, &endless[..64]), error);
    let mut eight = endless[..64].to_vec();
    eight[56] = UDP;
    assert!(super::tests::walk(DESTINATION, &eight).all(|header| header.is_ok()));
}

#[test]
fn any_bytes_give_the_upper_layer_that_the_headers_lead_to() {
    let kinds = [HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION, UDP];
    let mut random = Random(11);
    let mut found = [0; 2];
    for _ in 0..50_000 {
        let len = random.below(120);
        let mut payload = random.bytes(len);
        for header in payload.chunks_mut(8) {
            header[0] = kinds[random.below(6)];
            if let [_, length, ..] = header {
                *length %= 3;
            }
        }
        let next = kinds[random.below(6)];
        let packet = packet(next);
        let upper = Ipv6::parse(&packet).unwrap().0.upper_layer(&payload);

        let mut walk = walk(next, &payload);
        let headers: Vec<_> = walk.by_ref().collect();
        assert!(headers.len() <= Ipv6::MAX_EXTENSION_HEADERS + 1);
        for header in headers.iter().flatten() {
            assert!(!header.to_string().is_empty());
        }
        match upper {
            Err(error) => assert_eq!(headers.last(), Some(&Err(error))),
            Ok(upper) => {
                assert!(headers.iter().all(Result::is_ok));
                let end = (walk.protocol(), walk.offset());
                assert_eq!((upper.protocol, upper.offset), end);
                let is_later = |header: &Ipv6Extension<'_>| header.is_later_fragment();
                let later = headers.iter().flatten().any(is_later);
                assert_eq!(upper.is_later_fragment(), later);
            }
        }
        found[usize::from(upper.is_ok())] += 1;
    }
    assert!(found.iter().all(|&count| count > 10_000), "{found:?}");
}

mod fragment {
    use super::super::*;

    /// In the middle of a UDP datagram.
    const HEADER: [u8; 10] = [
        0x11, 0x00, // UDP
        0x05, 0xa9, // offset 1448, more fragments
        0x12, 0x34, 0x56, 0x78, // identification
        0xaa, 0xbb, // data
    ];

    #[test]
    fn a_header_shows_its_fields_and_the_part() {
        let (header, part) = Ipv6FragmentHeader::parse(&HEADER).unwrap();
        assert_eq!(Ipv6FragmentHeader::LEN, 8);
        assert_eq!(header.next_header(), IpProtocol::UDP);
        assert_eq!(header.fragment_offset(), 1448);
        assert!(header.more_fragments() && header.is_fragment());
        assert_eq!(header.identification(), 0x1234_5678);
        assert_eq!(part, [0xaa, 0xbb]);
        assert_eq!(header.to_string(), "IPv6 fragment 0x12345678 at 1448");
        let fragment = header.fragment();
        assert_eq!((fragment.offset, fragment.more_fragments), (1448, true));
        assert_eq!(fragment.identification, 0x1234_5678);
    }

    #[test]
    fn a_packet_may_be_whole_or_a_part() {
        for (field, is_fragment) in [(0, false), (6, false), (1, true), (8, true), (9, true)] {
            let mut bytes = HEADER;
            bytes[2..4].copy_from_slice(&u16::to_be_bytes(field));
            let (header, _) = Ipv6FragmentHeader::parse(&bytes).unwrap();
            assert_eq!(header.is_fragment(), is_fragment);
        }
    }

    #[test]
    fn a_truncated_header_names_what_is_missing() {
        for available in 0..Ipv6FragmentHeader::LEN {
            let mut bytes = HEADER;
            let error = Ipv6FragmentHeader::truncated(available);
            let bytes = &mut bytes[..available];
            assert_eq!(Ipv6FragmentHeader::parse(bytes), Err(error));
            assert_eq!(Ipv6FragmentHeader::parse_mut(bytes), Err(error));
        }
    }

    #[test]
    fn a_setter_changes_its_own_bits_only() {
        for fill in [0x00, 0xff] {
            let mut bytes = [fill; 8];
            let (header, _) = Ipv6FragmentHeader::parse_mut(&mut bytes).unwrap();
            let before = *header;
            header.set_fragment_offset(1455);
            assert_eq!(header.fragment_offset(), 1448);
            assert_eq!(header.more_fragments(), before.more_fragments());
            header.set_more_fragments(!before.more_fragments());
            assert_ne!(header.more_fragments(), before.more_fragments());
            assert_eq!(header.fragment_offset(), 1448);
            header.set_identification(0x1234_5678);
            header.set_next_header(IpProtocol::UDP);
            assert_eq!(bytes[1], fill);
            assert_eq!(bytes[3] & 6, fill & 6);
            assert_eq!((bytes[0], &bytes[4..]), (17, &HEADER[4..8]));
        }
    }
}

mod routing {
    use super::super::*;

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
    fn read(
        routing_type: u8,
        segments_left: u8,
        last_entry: u8,
    ) -> (Vec<Ipv6Addr>, Option<Ipv6Addr>) {
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
}
