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

mod options {
    use super::super::*;
    use crate::proto::samples::Random;

    /// `ping -R` at the second router: two addresses recorded, one slot free.
    const RECORDED: [u8; 36] = [
        0x49, 0x00, 0x00, 0x24, 0x00, 0x00, 0x40, 0x00, // 36 bytes of header, and no payload
        0x40, 0x01, 0x00, 0x00, 10, 0, 0, 1, 10, 0, 2, 1,    // ICMP, addresses
        0x01, // no operation
        0x07, 0x0f, 0x0c, 10, 0, 0, 254, 10, 0, 1, 254, 0, 0, 0, 0, // route
    ];

    /// A source route with its first router passed, and a router alert.
    const ROUTED: [u8; 36] = [
        0x49, 0x00, 0x00, 0x24, 0x00, 0x00, 0x40, 0x00, // 36 bytes of header, and no payload
        0x40, 0x01, 0x00, 0x00, 10, 0, 0, 1, 10, 0, 1, 254, // ICMP, addresses
        0x83, 0x0b, 0x08, 10, 0, 0, 254, 10, 0, 2, 1, // route
        0x94, 0x04, 0x00, 0x00, // router alert
        0x00, // end of list
    ];

    /// Addresses and timestamps, one slot full, and seven routers without one.
    const STAMPED: [u8; 44] = [
        0x4b, 0x00, 0x00, 0x2c, 0x00, 0x00, 0x40, 0x00, // 44 bytes of header, and no payload
        0x40, 0x01, 0x00, 0x00, 10, 0, 0, 1, 10, 0, 2, 1, // ICMP, addresses
        0x44, 0x14, 0x0d, 0x71, // timestamps with addresses
        10, 0, 0, 254, 0x02, 0xde, 0x00, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, // slots
        0x5e, 0x03, 0x2a, // an experiment
        0x00, // end of list
    ];

    fn options(bytes: &[u8]) -> Ipv4Options<'_> {
        Ipv4::parse(bytes).unwrap().0.options()
    }

    /// A header with these options, of which the number is a multiple of 4.
    fn header(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        bytes.extend(options);
        let len = u8::try_from(bytes.len()).unwrap();
        (bytes[0], bytes[3]) = (0x40 | (len / 4), len);
        bytes
    }

    fn malformed(offset: usize, value: u8) -> ParseError {
        ParseError::malformed(("IPv4", "option length", offset), value.into())
    }

    #[test]
    fn a_recorded_route_shows_its_addresses() {
        let route = Ipv4Route {
            pointer: 12,
            slots: &[[10, 0, 0, 254], [10, 0, 1, 254], [0; 4]],
        };
        let expected = [Ipv4Option::NoOperation, Ipv4Option::RecordRoute(route)];
        assert!(options(&RECORDED).eq(expected.map(Ok)));
        assert_eq!(route.done(), 2);
        let addresses: Vec<_> = route.addresses().map(|ip| ip.to_string()).collect();
        assert_eq!(addresses, ["10.0.0.254", "10.0.1.254", "0.0.0.0"]);
        assert_eq!(
            expected[1].to_string(),
            "record route 10.0.0.254 10.0.1.254 >0.0.0.0"
        );
        assert!(!expected[1].is_copied());
    }

    #[test]
    fn a_source_route_is_loose_or_strict() {
        let route = Ipv4Route {
            pointer: 8,
            slots: &[[10, 0, 0, 254], [10, 0, 2, 1]],
        };
        let expected = [
            Ipv4Option::LooseSourceRoute(route),
            Ipv4Option::RouterAlert(0),
            Ipv4Option::EndOfList,
        ];
        assert!(options(&ROUTED).eq(expected.map(Ok)));
        assert!(expected[0].is_copied() && expected[1].is_copied());
        let text = "loose source route 10.0.0.254 >10.0.2.1";
        assert_eq!(expected[0].to_string(), text);
        assert_eq!(expected[1].to_string(), "router alert 0");
        assert_eq!(expected[2].to_string(), "end of list");

        let mut bytes = ROUTED;
        bytes[20] = 0x89;
        let strict = Ipv4Option::StrictSourceRoute(route);
        assert_eq!(options(&bytes).next(), Some(Ok(strict)));
    }

    #[test]
    fn timestamps_come_with_addresses_or_without() {
        let words = [0x0a00_00fe, 0x02de_0010, 0, 0].map(U32::new);
        let stamps = Ipv4Timestamps {
            pointer: 13,
            overflow: 7,
            flag: 1,
            words: &words,
        };
        let expected = [
            Ipv4Option::Timestamps(stamps),
            Ipv4Option::Other {
                kind: 0x5e,
                data: &[0x2a],
            },
            Ipv4Option::EndOfList,
        ];
        assert!(options(&STAMPED).eq(expected.map(Ok)));
        let router = Some(Ipv4Addr::new(10, 0, 0, 254));
        let free = (Some(Ipv4Addr::UNSPECIFIED), 0);
        assert!(stamps.slots().eq([(router, 0x02de_0010), free]));
        assert_eq!(
            expected[0].to_string(),
            "timestamps 10.0.0.254@48103440 0.0.0.0@0 overflow 7"
        );
        assert_eq!(expected[1].to_string(), "type 94 length 3");

        let mut bytes = STAMPED;
        bytes[23] = 0x00;
        let Some(Ok(Ipv4Option::Timestamps(stamps))) = options(&bytes).next() else {
            panic!("no timestamps");
        };
        let timestamps = [0x0a00_00fe, 0x02de_0010, 0, 0];
        assert!(stamps.slots().eq(timestamps.map(|stamp| (None, stamp))));
        assert_eq!((stamps.overflow, stamps.flag), (0, 0));
    }

    #[test]
    fn a_header_without_options_has_none() {
        assert_eq!(options(&header(&[])).next(), None);
    }

    #[test]
    fn a_pointer_that_lies_points_at_no_more_than_there_is() {
        let slots = &[[10, 0, 0, 1]; 3];
        for (pointer, done) in [(0, 0), (3, 0), (4, 0), (7, 0), (8, 1), (16, 3), (255, 3)] {
            assert_eq!(Ipv4Route { pointer, slots }.done(), done, "{pointer}");
        }
    }

    #[test]
    fn an_option_that_ends_behind_the_header_is_named_and_the_last() {
        for (bytes, offset, needed) in [
            ([1, 1, 1, 7], 24, 25),
            ([1, 1, 148, 4], 23, 26),
            ([7, 7, 4, 10], 21, 27),
            ([68, 40, 5, 0], 21, 60),
            ([254, 255, 0, 0], 21, 275),
        ] {
            let bytes = header(&bytes);
            let mut options = options(&bytes);
            let last = options.by_ref().find_map(Result::err);
            let place = ("IPv4", "option length", offset);
            assert_eq!(last, Some(ParseError::truncated(place, needed, 24)));
            assert_eq!(options.next(), None);
        }
    }

    #[test]
    fn a_length_below_two_ends_the_options() {
        for kind in 2..=u8::MAX {
            for len in [0, 1] {
                let bytes = header(&[1, kind, len, 1]);
                let expected = [Ok(Ipv4Option::NoOperation), Err(malformed(22, len))];
                assert!(options(&bytes).eq(expected));
            }
        }
    }

    #[test]
    fn a_length_that_its_type_cannot_have_is_refused() {
        for (kind, flag, is_right) in [
            (7, 0, (|len| len >= 3 && len % 4 == 3) as fn(u8) -> bool),
            (131, 0, |len| len >= 3 && len % 4 == 3),
            (137, 0, |len| len >= 3 && len % 4 == 3),
            (68, 0, |len| len >= 4 && len % 4 == 0),
            (68, 1, |len| len >= 4 && len % 8 == 4),
            (68, 3, |len| len >= 4 && len % 8 == 4),
            (148, 0, |len| len == 4),
            (94, 0, |len| len >= 2),
        ] {
            for len in 0..=40 {
                let mut bytes = [0; 40];
                bytes[..4].copy_from_slice(&[kind, len, 4, flag]);
                let header = header(&bytes);
                let first = options(&header).next().unwrap();
                if is_right(len) {
                    let option = first.unwrap();
                    assert_eq!((option.kind(), option.wire_len()), (kind, usize::from(len)));
                } else {
                    assert_eq!(first, Err(malformed(21, len)), "{kind}");
                }
            }
        }
    }

    #[test]
    fn any_bytes_give_options_that_are_written_as_they_stood() {
        let kinds = [0, 1, 7, 68, 131, 137, 148, 94];
        let mut random = Random(7);
        for _ in 0..50_000 {
            let len = 4 * random.below(11);
            let mut bytes = random.bytes(len);
            for byte in &mut bytes {
                match random.below(4) {
                    0 => *byte = kinds[random.below(8)],
                    1 | 2 => *byte %= 13, // a length
                    _ => {}
                }
            }
            let header = header(&bytes);
            let all: Vec<_> = options(&header).collect();
            assert!(all.len() <= 40);
            let good: Vec<_> = all.iter().copied().map_while(Result::ok).collect();
            assert!(good.len() + 1 >= all.len(), "nothing comes after an error");
            for option in &good {
                assert!(!option.to_string().is_empty());
            }
            let used: usize = good.iter().map(Ipv4Option::wire_len).sum();
            let mut written = [0xee; 40];
            assert!(Ipv4Option::write_all(&good, &mut written));
            assert_eq!(written[..used], bytes[..used]);
            assert_eq!(written[used..], [0; 40][used..]);
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let alert = Ipv4Option::RouterAlert(0);
        assert_eq!(Ipv4Option::total_len(&[alert]), 4);
        assert_eq!(Ipv4Option::total_len(&[alert, Ipv4Option::NoOperation]), 8);
        assert_eq!(Ipv4Option::total_len(&[]), 0);
        for room in 0..4 {
            let mut bytes = [0xee; 4];
            assert!(!Ipv4Option::write_all(&[alert], &mut bytes[..room]));
            assert_eq!(bytes, [0xee; 4]);
        }
        let mut bytes = [0xee; 600];
        let slots = &[[0; 4]; 10];
        let route = Ipv4Option::RecordRoute(Ipv4Route { pointer: 4, slots });
        assert!(!Ipv4Option::write_all(&[route], &mut bytes));
        let data = &[7; 300];
        let other = Ipv4Option::Other { kind: 99, data };
        assert!(!Ipv4Option::write_all(&[other], &mut bytes));
        assert_eq!(bytes, [0xee; 600]);
    }

    #[test]
    fn a_packet_is_source_routed_until_its_route_is_passed() {
        let is_routed = |bytes: &[u8]| Ipv4::parse(bytes).unwrap().0.is_source_routed();
        let mut routed = ROUTED;
        assert!(is_routed(&routed));
        routed[22] = 12; // behind the last address
        assert!(!is_routed(&routed));
        assert!(!is_routed(&RECORDED) && !is_routed(&STAMPED));
        assert!(!is_routed(&header(&[])));
        // Nothing is known behind an option that is malformed.
        assert!(!is_routed(&header(&[
            0x94, 0, 0x83, 7, 4, 10, 0, 0, 1, 0, 0, 0
        ])));
        // A route without an address leads nowhere.
        assert!(!is_routed(&header(&[0x89, 3, 4, 0])));
    }
}
