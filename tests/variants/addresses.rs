//! Which addresses a checksum covers, where extension headers and options name others than the IP header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fluxcap::proto::checksum::{Completion, Verdict, complete, fill, verify};
use fluxcap::proto::nat::{Rewrite, RewriteError};
use fluxcap::proto::{FrameBuilder, Headers, Ipv6Option};

use crate::tshark::tshark;
use crate::{ethernet, sum};

const HERE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const NEXT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x55);
const LAST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x77, 0x99);
const MIDDLE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

/// From 2001:db8::1 with the home address 2001:db8::55, as a mobile node sends it.
const MOBILE: &str = "02000000000202000000000186dd6000000000213c4020010db800000000000000000000000120010db8000000000000\
    000000000002110201020000c91020010db8000000000000000000000055c000003500097bdd68";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(u8::is_ascii_hexdigit)
        .map(|digit| char::from(digit).to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// An extension header: its number, and its bytes with room for the number of the next.
type Extension = (u8, Vec<u8>);

fn home(padding: usize) -> Extension {
    let pad = [[1, 2, 0, 0], [0, 0, 0, 0]][padding];
    let option = [&[0xc9, 16][..], &HOME.octets()].concat();
    (60, [&[0, 2][..], &pad, &option].concat())
}

fn padding() -> Extension {
    (60, vec![0, 0, 1, 4, 0, 0, 0, 0])
}

/// A routing header with two stations, and where it leads if segments are left and that is known.
fn routing(kind: u8, left: u8) -> (Extension, Option<Ipv6Addr>) {
    let two = |first: Ipv6Addr, second: Ipv6Addr| [first.octets(), second.octets()].concat();
    let (units, specific, data) = match kind {
        0 => (4, [0; 4], two(MIDDLE, LAST)),
        2 => (2, [0; 4], LAST.octets().to_vec()),
        // Both begin with the first 12 bytes of the destination.
        3 => {
            let tails = [&MIDDLE.octets()[12..], &LAST.octets()[12..]].concat();
            (1, [0xcc, 0, 0, 0], tails)
        }
        4 => (4, [1, 0, 0, 0], two(LAST, MIDDLE)),
        _ => (4, [0; 4], two(LAST, LAST)),
    };
    let most = if kind == 2 { 1 } else { 2 };
    let last = match left {
        0 => Some(NEXT),
        _ if left <= most && kind < 5 && kind != 1 => Some(LAST),
        _ => None,
    };
    let bytes = [&[0, units, kind, left][..], &specific, &data].concat();
    ((43, bytes), last)
}

/// TCP, UDP and ICMPv6, each with its checksum at this place.
fn messages() -> [(u8, usize, Vec<u8>); 3] {
    let mut tcp = vec![
        0xc0, 0, 0, 0x35, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0,
    ];
    tcp.extend(b"odd");
    let udp = [&[0xc0, 0, 0, 0x35, 0, 11, 0, 0][..], b"odd"].concat();
    let icmp = vec![128, 0, 0, 0, 0, 1, 0, 2, 3];
    [(6, 16, tcp), (17, 6, udp), (58, 2, icmp)]
}

struct Variant {
    what: String,
    frame: Vec<u8>,
    /// What stands in the header's destination and has no segments left behind it.
    checksum_at: usize,
    protocol: u8,
    message_len: usize,
    covered: Option<(Ipv6Addr, Ipv6Addr)>,
    is_routed: bool,
    is_mobile: bool,
}

impl Variant {
    fn new(extensions: &[Extension], message: &(u8, usize, Vec<u8>)) -> Self {
        let (protocol, at, bytes) = message;
        let mut payload = Vec::new();
        for (number, (_, bytes)) in extensions.iter().enumerate() {
            let next = extensions.get(number + 1).map_or(*protocol, |next| next.0);
            payload.push(next);
            payload.extend(&bytes[1..]);
        }
        let checksum_at = 54 + payload.len() + at;
        payload.extend(bytes);
        let first = extensions.first().map_or(*protocol, |first| first.0);
        let len = (payload.len() as u16).to_be_bytes();
        let head = [0x60, 0, 0, 0, len[0], len[1], first, 64];
        let packet = [&head[..], &HERE.octets(), &NEXT.octets(), &payload].concat();
        Self {
            what: String::new(),
            frame: ethernet(0x86dd, &packet),
            checksum_at,
            protocol: *protocol,
            message_len: bytes.len(),
            covered: Some((HERE, NEXT)),
            is_routed: false,
            is_mobile: false,
        }
    }

    /// The sum of the pseudo header (RFC 8200, section 8.1).
    fn partial(&self) -> u16 {
        let (source, destination) = self.covered.unwrap();
        let rest = [
            &(self.message_len as u32).to_be_bytes()[..],
            &[0, 0, 0, self.protocol],
        ]
        .concat();
        sum(&[&source.octets(), &destination.octets(), &rest])
    }

    fn with(&self, checksum: u16) -> Vec<u8> {
        let mut frame = self.frame.clone();
        frame[self.checksum_at..][..2].copy_from_slice(&checksum.to_be_bytes());
        frame
    }

    fn right(&self) -> Vec<u8> {
        let message = &self.frame[self.frame.len() - self.message_len..];
        self.with(!sum(&[&self.partial().to_be_bytes(), message]))
    }
}

fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for message in messages() {
        for kind in 0..=5 {
            for left in 0..=3 {
                for order in 0..5 {
                    let (routing, last) = routing(kind, left);
                    let fragment = (44, vec![0, 0, 0, 0, 0, 0, 0, 9]); // of all of the packet (RFC 6946)
                    let extensions = match order {
                        0 => vec![routing],
                        1 => vec![routing, home(0)],
                        2 => vec![padding(), routing, padding(), home(1)],
                        3 => vec![home(0), routing, fragment],
                        _ => vec![(0, padding().1), routing, fragment, home(1)],
                    };
                    let mut variant = Variant::new(&extensions, &message);
                    variant.what =
                        format!("{} routing {kind} left {left} order {order}", message.0);
                    variant.is_mobile = order != 0;
                    variant.is_routed = left != 0;
                    let source = if order == 0 { HERE } else { HOME };
                    variant.covered = last.map(|last| (source, last));
                    all.push(variant);
                }
            }
        }
        let mut variant = Variant::new(&[home(0)], &message);
        variant.what = format!("{} mobile", message.0);
        variant.is_mobile = true;
        variant.covered = Some((HOME, NEXT));
        all.push(variant);
    }
    assert!(all.len() > 300);
    all
}

#[test]
fn a_checksum_covers_the_home_address_of_a_mobile_node() {
    let mut frame = hex(MOBILE);
    let right = frame.clone();
    assert_eq!(verify(&frame), Ok(Verdict::Right));
    let at = frame.len() - 3;
    frame[at..at + 2].fill(0);
    assert_eq!(fill(&mut frame), Ok(true));
    assert_eq!(frame, right);
    // Where the node is now is no part of the sum.
    let elsewhere = Rewrite::new().source_ip(IpAddr::V6(MIDDLE));
    elsewhere.apply(&mut frame).unwrap();
    assert_eq!(frame[22..38], MIDDLE.octets());
    assert_eq!(frame[38..], right[38..]);
    assert_eq!(verify(&frame), Ok(Verdict::Right));
    assert!(Headers::parse(&frame).unwrap().has_home_address());
}

#[test]
fn checksums_cover_the_last_station_and_the_home_address() {
    for variant in variants() {
        let what = &variant.what;
        let headers = Headers::parse(&variant.frame).unwrap();
        assert_eq!(headers.is_source_routed(), variant.is_routed, "{what}");
        assert_eq!(headers.has_home_address(), variant.is_mobile, "{what}");
        if variant.covered.is_none() {
            let mut frame = variant.with(0x1234);
            assert_eq!(verify(&frame), Ok(Verdict::Unknown), "{what}");
            assert_eq!(fill(&mut frame), Ok(false), "{what}");
            assert_eq!(complete(&mut frame), Completion::NotRecognised, "{what}");
            assert_eq!(frame, variant.with(0x1234), "{what}");
            continue;
        }
        let right = variant.right();
        assert_eq!(verify(&right), Ok(Verdict::Right), "{what}");
        let mut frame = variant.with(0xabcd);
        assert_eq!(verify(&frame), Ok(Verdict::Wrong), "{what}");
        assert_eq!(fill(&mut frame), Ok(true), "{what}");
        assert_eq!(frame, right, "{what}");
        let mut frame = variant.with(variant.partial());
        if variant.protocol == 58 {
            assert_eq!(complete(&mut frame), Completion::NotRecognised, "{what}");
        } else {
            assert_eq!(verify(&frame), Ok(Verdict::Partial), "{what}");
            assert_eq!(complete(&mut frame), Completion::Completed, "{what}");
            assert_eq!(frame, right, "{what}");
        }
    }
}

#[test]
fn new_addresses_and_ports_leave_every_right_checksum_right() {
    for variant in variants()
        .iter()
        .filter(|variant| variant.covered.is_some())
    {
        let what = &variant.what;
        let mut rewrite = Rewrite::new().source_ip(IpAddr::V6(MIDDLE));
        if variant.protocol != 58 {
            rewrite = rewrite.source_port(99).destination_port(7);
        }
        let mut frame = variant.right();
        rewrite.apply(&mut frame).unwrap();
        assert_eq!(frame[22..38], MIDDLE.octets(), "{what}");
        assert_eq!(verify(&frame), Ok(Verdict::Right), "{what}");
        let elsewhere = rewrite.destination_ip(IpAddr::V6(HERE));
        match elsewhere.apply(&mut frame) {
            Ok(()) => assert!(!variant.is_routed, "{what}"),
            Err(error) => {
                assert_eq!(error, RewriteError::SourceRouted, "{what}");
                assert!(variant.is_routed, "{what}");
            }
        }
        assert_eq!(verify(&frame), Ok(Verdict::Right), "{what}");
        // A sum that the network card is to finish stays one.
        if variant.protocol != 58 {
            let mut partial = variant.with(variant.partial());
            rewrite.apply(&mut partial).unwrap();
            assert_eq!(verify(&partial), Ok(Verdict::Partial), "{what}");
        }
    }
}

#[test]
fn tshark_finds_the_filled_checksums_right() {
    let variants = variants();
    // tshark 4.0 knows the stations of types 0, 2 and 4.
    let is_known = |variant: &&Variant| {
        variant.covered.is_some() && (!variant.is_routed || !variant.what.contains("routing 3"))
    };
    let known: Vec<&Variant> = variants.iter().filter(is_known).collect();
    let frames: Vec<Vec<u8>> = known.iter().map(|variant| variant.right()).collect();
    for (protocol, field) in [
        (6, "tcp.checksum.status"),
        (17, "udp.checksum.status"),
        (58, "icmpv6.checksum.status"),
    ] {
        let Some(status) = tshark("filled", &frames, field) else {
            return;
        };
        let mut held = 0;
        for (variant, status) in known.iter().zip(&status) {
            if variant.protocol == protocol {
                assert_eq!(status, "1", "{}", variant.what);
                held += 1;
            }
        }
        assert!(held > 50, "{held}");
    }
}

#[test]
fn a_built_frame_has_the_checksum_that_fill_writes() {
    let data = |kind: u8| match kind {
        2 => [&[0; 4][..], &LAST.octets()].concat(),
        3 => vec![0xcc, 0, 0, 0, 0, 0, 0, 7, 0, 0x77, 0, 0x99],
        _ => [&[0; 4][..], &LAST.octets()].concat(),
    };
    let home = [Ipv6Option::PadN(&[0; 2]), Ipv6Option::HomeAddress(HOME)];
    let mut bytes = vec![1, 2, 0, 0, 0xc9, 16];
    bytes.extend(HOME.octets());
    for kind in [0, 2, 3, 4] {
        for order in 0..6 {
            let mut buffer = [0; 256];
            let frame = FrameBuilder::new(&mut buffer)
                .ethernet([2, 0, 0, 0, 0, 1].into(), [2, 0, 0, 0, 0, 2].into())
                .ipv6(HERE, NEXT);
            let data = data(kind);
            let frame = match order {
                0 => frame.destination_options(&home),
                1 => frame.destination_option_bytes(&bytes),
                2 => frame.routing(kind, 1, &data).destination_options(&home),
                3 => frame.destination_options(&home).routing(kind, 1, &data),
                4 => frame.destination_options(&[]).routing(kind, 1, &data),
                _ => frame
                    .routing(kind, 0, &data)
                    .destination_option_bytes(&bytes),
            };
            let frame = frame.udp(49152, 53).payload(b"odd").unwrap();
            assert_eq!(verify(frame), Ok(Verdict::Right), "{kind} {order}");
            let mut filled = frame.to_vec();
            assert_eq!(fill(&mut filled), Ok(true));
            assert_eq!(filled, frame);
            let at = frame.len() - 11;
            let partial = |source: Ipv6Addr, destination: Ipv6Addr| {
                sum(&[
                    &source.octets(),
                    &destination.octets(),
                    &[0, 11, 0, 17],
                    &frame[at..],
                ])
            };
            let source = if order == 4 { HERE } else { HOME };
            let last = if (2..=4).contains(&order) { LAST } else { NEXT };
            assert_eq!(partial(source, last), 0xffff, "{kind} {order}");
        }
    }
}

#[test]
fn a_checksum_covers_the_last_station_of_an_ipv4_source_route() {
    let last = Ipv4Addr::new(10, 9, 9, 9);
    for kind in [0x83, 0x89] {
        for (pointer, covered) in [(4, last), (8, last), (12, Ipv4Addr::new(10, 0, 0, 2))] {
            let mut packet = vec![
                0x48, 0, 0, 43, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
            ];
            packet.extend([kind, 11, pointer, 10, 8, 8, 8, 10, 9, 9, 9, 0]);
            packet.extend([0xc0, 0, 0, 0x35, 0, 11, 0, 0]);
            packet.extend(b"odd");
            let mut frame = ethernet(0x0800, &packet);
            assert_eq!(fill(&mut frame), Ok(true));
            assert_eq!(verify(&frame), Ok(Verdict::Right));
            let message = &frame[46..];
            let pseudo = [&[10, 0, 0, 1][..], &covered.octets(), &[0, 17, 0, 11]].concat();
            assert_eq!(sum(&[&pseudo, message]), 0xffff, "{kind:#x} {pointer}");
            let source = Rewrite::new().source_ip(Ipv4Addr::new(172, 16, 0, 9).into());
            source.source_port(7).apply(&mut frame).unwrap();
            assert_eq!(verify(&frame), Ok(Verdict::Right));
        }
    }
}
