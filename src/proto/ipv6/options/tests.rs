#![forbid(unsafe_code)]

use super::*;
use crate::proto::samples::Random;

/// A report of multicast listener discovery.
const LISTENER: [u8; 10] = [
    0x3a, 0x00, // ICMPv6, 8 bytes
    0x05, 0x02, 0x00, 0x00, // router alert
    0x01, 0x00, // two bytes of padding
    0x8f, 0x00, // first bytes of the payload
];

/// A mobile station, a jumbogram, and an option that nobody knows.
const MANY: [u8; 40] = [
    0x11, 0x04, // UDP, 40 bytes
    0x01, 0x02, 0x00, 0x00, // four bytes of padding
    0xc9, 0x10, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // home address
    0x04, 0x01, 0x08, // tunnel limit
    0x00, // a byte of padding
    0xc2, 0x04, 0x00, 0x01, 0x00, 0x00, // jumbo payload
    0x1e, 0x03, 0xca, 0xfe, 0x42, // an experiment
    0x00, // a byte of padding
];

fn both_refuse(bytes: &[u8], error: ParseError) {
    assert_eq!(Ipv6OptionsHeader::parse(bytes), Err(error));
    assert_eq!(
        Ipv6OptionsHeader::parse_mut(&mut bytes.to_vec()),
        Err(error)
    );
}

fn options(bytes: &[u8]) -> Ipv6Options<'_> {
    Ipv6OptionsHeader::parse(bytes).unwrap().0.options()
}

/// A header with these options, of which the number and 2 is a multiple of 8.
fn header(options: &[u8]) -> Vec<u8> {
    let units = u8::try_from((options.len() + 2) / 8 - 1).unwrap();
    [&[17, units], options].concat()
}

#[test]
fn a_header_shows_its_fields_and_payload() {
    let (header, payload) = Ipv6OptionsHeader::parse(&LISTENER).unwrap();
    assert_eq!(header.header_len(), 8);
    assert_eq!(header.next_header(), IpProtocol::ICMPV6);
    assert_eq!(header.options_bytes(), &LISTENER[2..8]);
    assert_eq!(payload, [0x8f, 0x00]);
    let expected = [Ipv6Option::RouterAlert(0), Ipv6Option::PadN(&[])];
    assert!(header.options().eq(expected.map(Ok)));
    assert_eq!(header.to_string(), "IPv6 options router alert 0");
}

#[test]
fn options_come_typed_in_their_order() {
    let home = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let expected = [
        Ipv6Option::PadN(&[0, 0]),
        Ipv6Option::HomeAddress(home),
        Ipv6Option::TunnelEncapsulationLimit(8),
        Ipv6Option::Pad1,
        Ipv6Option::JumboPayload(0x1_0000),
        Ipv6Option::Other {
            kind: 0x1e,
            data: &[0xca, 0xfe, 0x42],
        },
        Ipv6Option::Pad1,
    ];
    assert!(options(&MANY).eq(expected.map(Ok)));
    assert_eq!(expected[0].to_string(), "padding 4");
    assert_eq!(expected[3].to_string(), "padding 1");
    let (header, payload) = Ipv6OptionsHeader::parse(&MANY).unwrap();
    assert!(payload.is_empty());
    assert_eq!(
        header.to_string(),
        "IPv6 options home address 2001:db8::1, tunnel limit 8, jumbo payload 65536, type 0x1e length 3"
    );
}

#[test]
fn a_truncated_header_names_what_is_missing() {
    for available in 0..MANY.len() {
        let (field, at, needed) = match available {
            0..8 => ("header", 0, 8),
            _ => ("length", 1, 40),
        };
        let error = ParseError::truncated(("IPv6 options", field, at), needed, available);
        both_refuse(&MANY[..available], error);
    }
}

#[test]
fn an_option_that_ends_behind_the_header_is_named_and_the_last() {
    for (bytes, offset, needed) in [
        ([0, 0, 0, 0, 0, 1], 8, 9),
        ([0, 0, 0, 0, 1, 1], 7, 9),
        ([5, 2, 0, 0, 4, 1], 7, 9),
        ([5, 5, 0, 0, 0, 0], 3, 9),
        ([0x1e, 255, 0, 0, 0, 0], 3, 259),
    ] {
        let bytes = header(&bytes);
        let mut options = options(&bytes);
        let last = options.by_ref().find_map(Result::err);
        let place = ("IPv6 options", "option length", offset);
        assert_eq!(last, Some(ParseError::truncated(place, needed, 8)));
        assert_eq!(options.next(), None);
    }
}

#[test]
fn options_without_data_never_loop() {
    let bytes = header(&[0x1e, 0].repeat(7));
    let empty = Ipv6Option::Other {
        kind: 0x1e,
        data: &[],
    };
    assert!(options(&bytes).eq([Ok(empty); 7]));
    assert_eq!(options(&header(&[0; 2046])).count(), 2046);
}

#[test]
fn a_length_that_its_type_cannot_have_is_refused() {
    for (kind, right) in [(4, 1), (5, 2), (0xc2, 4), (0xc9, 16)] {
        for len in 0..=44 {
            let mut bytes = [0; 46];
            bytes[..2].copy_from_slice(&[kind, len]);
            let header = header(&bytes);
            let first = options(&header).next().unwrap();
            if len == right {
                let option = first.unwrap();
                let wire_len = usize::from(len) + 2;
                assert_eq!((option.kind(), option.wire_len()), (kind, wire_len));
            } else {
                let place = ("IPv6 options", "option length", 3);
                assert_eq!(first, Err(ParseError::malformed(place, len.into())));
            }
        }
    }
}

#[test]
fn any_bytes_give_options_that_are_written_as_they_stood() {
    let kinds = [0, 1, 4, 5, 0xc2, 0xc9, 0x1e, 0x3e];
    let mut random = Random(7);
    for _ in 0..50_000 {
        let len = 6 + 8 * random.below(8);
        let mut bytes = random.bytes(len);
        for byte in &mut bytes {
            match random.below(4) {
                0 => *byte = kinds[random.below(8)],
                1 | 2 => *byte %= 5, // a length
                _ => {}
            }
        }
        let header = header(&bytes);
        let all: Vec<_> = options(&header).collect();
        let good: Vec<_> = all.iter().copied().map_while(Result::ok).collect();
        assert!(good.len() + 1 >= all.len(), "nothing comes after an error");
        let used: usize = good.iter().map(Ipv6Option::wire_len).sum();
        let mut written = vec![0xee; len];
        assert!(Ipv6Option::write_all(&good, &mut written));
        assert_eq!(written[..used], bytes[..used]);
    }
}

#[test]
fn what_is_left_of_a_header_is_padding() {
    for len in 0..=2046 {
        let mut room = vec![0xee; len];
        assert!(Ipv6Option::write_all(&[], &mut room));
        let padding = Ipv6Options(Walk::new(HEAD, &room));
        let mut sum = 0;
        for option in padding {
            let option = option.unwrap();
            match option {
                Ipv6Option::Pad1 => {}
                Ipv6Option::PadN(data) => assert!(data.iter().all(|&byte| byte == 0)),
                other => panic!("{other}"),
            }
            sum += option.wire_len();
        }
        assert_eq!(sum, len);
    }
}

#[test]
fn what_does_not_fit_is_not_written() {
    let alert = Ipv6Option::RouterAlert(0);
    assert_eq!(Ipv6Option::total_len(&[]), 6);
    assert_eq!(Ipv6Option::total_len(&[alert]), 6);
    assert_eq!(Ipv6Option::total_len(&[alert, alert]), 14);
    for room in 0..4 {
        let mut bytes = [0xee; 4];
        assert!(!Ipv6Option::write_all(&[alert], &mut bytes[..room]));
        assert_eq!(bytes, [0xee; 4]);
    }
    let mut bytes = [0xee; 600];
    let data = &[7; 256];
    let other = Ipv6Option::Other { kind: 0x1e, data };
    assert!(!Ipv6Option::write_all(&[alert, other], &mut bytes));
    assert_eq!(bytes, [0xee; 600]);
    let data = &[7; 255];
    let other = Ipv6Option::Other { kind: 0x1e, data };
    assert!(Ipv6Option::write_all(&[alert, other], &mut bytes));
}

#[test]
fn setters_write_the_header_itself() {
    let mut bytes = [0; 10];
    let (header, payload) = Ipv6OptionsHeader::parse_mut(&mut bytes).unwrap();
    header.set_next_header(IpProtocol::ICMPV6);
    let options = [Ipv6Option::RouterAlert(0)];
    assert!(Ipv6Option::write_all(&options, header.options_mut()));
    payload.copy_from_slice(&LISTENER[8..]);
    assert_eq!(bytes, LISTENER);
}
