#![forbid(unsafe_code)]

use std::net::Ipv6Addr;

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
