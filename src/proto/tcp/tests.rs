#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

use super::*;

/// From 10.0.0.1 to 10.0.0.2, with the option of a largest segment.
const SYN: [u8; 24] = [
    0xc3, 0x50, 0x00, 0x50, // ports
    0x12, 0x34, 0x56, 0x78, 0x00, 0x00, 0x00, 0x00, // sequence and acknowledgment numbers
    0x60, 0x02, 0xfa, 0xf0, // 24 bytes of header, SYN, window
    0x5c, 0xe6, 0x00, 0x00, // checksum, urgent pointer
    0x02, 0x04, 0x05, 0xb4, // largest segment 1460
];

/// From 10.0.0.1 to 10.0.0.2, with three bytes of data.
const DATA: [u8; 23] = [
    0xc3, 0x50, 0x00, 0x50, // ports
    0x12, 0x34, 0x56, 0x79, 0x9a, 0xbc, 0xde, 0xf0, // sequence and acknowledgment numbers
    0x50, 0x18, 0x01, 0xf6, // 20 bytes of header, ACK and PSH, window
    0x58, 0x90, 0x00, 0x00, // checksum, urgent pointer
    b'G', b'E', b'T',
];

fn pseudo_header() -> PseudoHeader {
    PseudoHeader::ipv4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2))
}

fn both_refuse(bytes: &[u8], error: ParseError) {
    assert_eq!(Tcp::parse(bytes), Err(error));
    assert_eq!(Tcp::parse_mut(&mut bytes.to_vec()), Err(error));
}

#[test]
fn a_segment_shows_its_fields_and_data() {
    let (tcp, data) = Tcp::parse(&DATA).unwrap();
    assert_eq!(size_of_val(tcp), Tcp::LEN);
    assert_eq!((tcp.source_port(), tcp.destination_port()), (50000, 80));
    assert_eq!(tcp.sequence_number(), 0x1234_5679);
    assert_eq!(tcp.acknowledgment_number(), 0x9abc_def0);
    assert_eq!(tcp.header_len(), 20);
    assert_eq!(tcp.flags(), TcpFlags::ACK | TcpFlags::PSH);
    assert_eq!(tcp.window(), 502);
    assert_eq!(tcp.checksum(), 0x5890);
    assert_eq!(tcp.urgent_pointer(), 0);
    assert!(tcp.options_bytes().is_empty());
    assert_eq!(data, b"GET");
    assert!(tcp.verify_checksum(pseudo_header(), data));
    assert_eq!(
        tcp.to_string(),
        "TCP 50000 > 80 PSH+ACK seq 305419897 ack 2596069104 window 502"
    );
}

#[test]
fn options_belong_to_the_header_and_its_checksum() {
    let mut bytes = SYN;
    let (tcp, data) = Tcp::parse_mut(&mut bytes).unwrap();
    assert_eq!(tcp.header_len(), 24);
    assert_eq!(tcp.options_bytes(), [0x02, 0x04, 0x05, 0xb4]);
    assert!(data.is_empty());
    assert!(tcp.verify_checksum(pseudo_header(), data));
    assert_eq!(
        tcp.to_string(),
        "TCP 50000 > 80 SYN seq 305419896 window 64240"
    );
    tcp.options_mut()[3] = 0;
    assert!(!tcp.verify_checksum(pseudo_header(), data));
    assert_eq!(bytes[23], 0);
}

#[test]
fn a_truncated_header_names_what_is_missing() {
    for available in 0..SYN.len() {
        let needed = if available < 20 { 20 } else { 24 };
        both_refuse(&SYN[..available], Tcp::truncated(needed, available));
    }
}

#[test]
fn a_data_offset_without_room_for_the_header_is_refused() {
    for offset in 0..5 {
        let mut bytes = DATA;
        bytes[12] = offset << 4;
        let error = ParseError::malformed(("TCP", "data offset", 12), offset.into());
        both_refuse(&bytes, error);
    }
}

#[test]
fn any_change_fails_the_checksum() {
    for bit in 0..DATA.len() * 8 {
        let mut bytes = DATA;
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok((tcp, data)) = Tcp::parse(&bytes) {
            assert!(!tcp.verify_checksum(pseudo_header(), data), "{bit}");
        } else {
            assert_eq!(bit / 8, 12);
        }
    }
}

#[test]
fn a_built_segment_gets_its_checksum() {
    let mut bytes = [0; 23];
    bytes[12] = 0x50;
    bytes[20..].copy_from_slice(b"GET");
    let (tcp, data) = Tcp::parse_mut(&mut bytes).unwrap();
    tcp.set_source_port(80);
    tcp.set_destination_port(50000);
    tcp.swap_ports();
    tcp.set_sequence_number(0x1234_5679);
    tcp.set_acknowledgment_number(0x9abc_def0);
    tcp.set_flags(TcpFlags::ACK | TcpFlags::PSH);
    tcp.set_window(502);
    tcp.set_urgent_pointer(7);
    tcp.set_urgent_pointer(0);
    tcp.set_checksum(0xeeee);
    tcp.fill_checksum(pseudo_header(), data);
    assert_eq!(bytes, DATA);
}

#[test]
fn reserved_bits_change_neither_length_nor_flags() {
    let mut bytes = [0; 24];
    (bytes[12], bytes[13]) = (0x6a, 0x12);
    let (tcp, _) = Tcp::parse_mut(&mut bytes).unwrap();
    assert_eq!(tcp.reserved(), 0x0a);
    tcp.set_reserved(0xf5);
    assert_eq!((tcp.reserved(), tcp.header_len()), (5, 24));
    tcp.set_flags(TcpFlags::ACK);
    assert_eq!(tcp.reserved(), 5);
    assert_eq!(bytes[12..14], [0x65, 0x10]);
}

#[test]
fn flags_print_by_name() {
    assert_eq!(TcpFlags::default().to_string(), "no flags");
    assert_eq!((TcpFlags::SYN | TcpFlags::ACK).to_string(), "SYN+ACK");
    assert_eq!(
        TcpFlags(0xff).to_string(),
        "FIN+SYN+RST+PSH+ACK+URG+ECE+CWR"
    );
    assert!((TcpFlags::SYN | TcpFlags::ACK).contains(TcpFlags::SYN));
    assert!(!TcpFlags::SYN.contains(TcpFlags::SYN | TcpFlags::ACK));
}

mod options {
    use super::super::*;
    use crate::proto::samples::Random;

    /// As Linux opens a connection.
    const SYN: [u8; 40] = [
        0xc3, 0x50, 0x00, 0x50, 0x12, 0x34, 0x56, 0x78, 0x00, 0x00, 0x00,
        0x00, // ports, numbers
        0xa0, 0x02, 0xfa, 0xf0, 0x00, 0x00, 0x00, 0x00, // 40 bytes of header, SYN
        0x02, 0x04, 0x05, 0xb4, // largest segment 1460
        0x04, 0x02, // SACK permitted
        0x08, 0x0a, 0x01, 0x02, 0x03, 0x04, 0x00, 0x00, 0x00, 0x00, // timestamps
        0x01, // no operation
        0x03, 0x03, 0x07, // window scale
    ];

    /// Two blocks that arrived out of order, an option that nobody knows, and three bytes of padding.
    const SACKS: [u8; 48] = [
        0xc3, 0x50, 0x00, 0x50, 0x12, 0x34, 0x56, 0x78, 0x00, 0x00, 0x00,
        0x09, // ports, numbers
        0xc0, 0x10, 0xfa, 0xf0, 0x00, 0x00, 0x00, 0x00, // 48 bytes of header, ACK
        0x01, 0x05, 0x12, 0x00, 0x00, 0x00, 0x0a, 0x00, 0x00, 0x00, 0x14, // NOP, 10 to 20
        0xff, 0xff, 0xff, 0xfe, 0x00, 0x00, 0x00, 0x02, // around the end of the numbers
        0xfd, 0x06, 0xca, 0xfe, 0xba, 0xbe, // an experiment
        0x00, 0x00, 0x00, // end of list
    ];

    fn options(bytes: &[u8]) -> TcpOptions<'_> {
        Tcp::parse(bytes).unwrap().0.options()
    }

    /// A header with these options, of which the number is a multiple of 4.
    fn header(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        bytes.extend(options);
        bytes[12] = u8::try_from(bytes.len() / 4).unwrap() << 4;
        bytes
    }

    #[test]
    fn the_options_of_a_new_connection_come_in_their_order() {
        let expected = [
            TcpOption::MaximumSegmentSize(1460),
            TcpOption::SackPermitted,
            TcpOption::Timestamps {
                value: 0x0102_0304,
                echo: 0,
            },
            TcpOption::NoOperation,
            TcpOption::WindowScale(7),
        ];
        assert!(options(&SYN).eq(expected.map(Ok)));
        let text: Vec<_> = options(&SYN).flatten().map(|o| o.to_string()).collect();
        assert_eq!(
            text.join(", "),
            "maximum segment size 1460, SACK permitted, timestamps 16909060 echo 0, no operation, window scale 7"
        );
    }

    #[test]
    fn blocks_and_unknown_options_are_read_up_to_the_end_of_the_list() {
        let blocks = [SackBlock::new(10, 20), SackBlock::new(0xffff_fffe, 2)];
        let expected = [
            TcpOption::NoOperation,
            TcpOption::Sack(&blocks),
            TcpOption::Other {
                kind: 0xfd,
                data: &[0xca, 0xfe, 0xba, 0xbe],
            },
            TcpOption::EndOfList,
        ];
        assert!(options(&SACKS).eq(expected.map(Ok)));
        assert_eq!((blocks[1].left(), blocks[1].right()), (0xffff_fffe, 2));
        assert_eq!(expected[1].to_string(), "SACK 10-20 4294967294-2");
        assert_eq!(expected[2].to_string(), "kind 253 length 6");
        assert_eq!(expected[3].to_string(), "end of list");
    }

    #[test]
    fn a_header_without_options_has_none() {
        assert_eq!(options(&header(&[])).next(), None);
    }

    #[test]
    fn an_option_that_ends_behind_the_header_is_named_and_the_last() {
        for (bytes, offset, needed) in [
            ([1, 1, 1, 2], 24, 25),
            ([1, 1, 3, 3], 23, 25),
            ([2, 4, 5, 180], 21, 24),
            ([8, 10, 0, 0], 21, 30),
            ([254, 255, 0, 0], 21, 275),
        ] {
            let bytes = header(&bytes);
            let mut options = options(&bytes);
            let last = options.by_ref().find_map(Result::err);
            if needed == 24 {
                assert_eq!(last, None);
            } else {
                let place = ("TCP", "option length", offset);
                assert_eq!(last, Some(ParseError::truncated(place, needed, 24)));
            }
            assert_eq!(options.next(), None);
        }
    }

    #[test]
    fn a_length_that_its_kind_cannot_have_is_refused() {
        for (kind, right) in [
            (2, &[4][..]),
            (3, &[3]),
            (4, &[2]),
            (5, &[10, 18, 26, 34]),
            (8, &[10]),
        ] {
            for len in 0..=40 {
                let mut bytes = [0; 40];
                bytes[..2].copy_from_slice(&[kind, len]);
                let header = header(&bytes);
                let first = options(&header).next().unwrap();
                if right.contains(&len) {
                    let option = first.unwrap();
                    assert_eq!((option.kind(), option.wire_len()), (kind, usize::from(len)));
                } else {
                    let error = ParseError::malformed(("TCP", "option length", 21), len.into());
                    assert_eq!(first, Err(error), "{kind}");
                }
            }
        }
    }

    #[test]
    fn a_length_below_two_ends_the_options() {
        for kind in 2..=u8::MAX {
            for len in [0, 1] {
                let bytes = header(&[1, kind, len, 1]);
                let error = ParseError::malformed(("TCP", "option length", 22), len.into());
                assert!(options(&bytes).eq([Ok(TcpOption::NoOperation), Err(error)]));
            }
        }
    }

    #[test]
    fn any_bytes_give_options_that_are_written_as_they_stood() {
        let mut random = Random(7);
        for _ in 0..50_000 {
            let len = 4 * random.below(11);
            let mut bytes = random.bytes(len);
            for byte in &mut bytes {
                // Small numbers are kinds and lengths.
                if random.below(3) > 0 {
                    *byte %= 11;
                }
            }
            let header = header(&bytes);
            let all: Vec<_> = options(&header).collect();
            assert!(all.len() <= 40);
            let good: Vec<_> = all.iter().copied().map_while(Result::ok).collect();
            assert!(good.len() + 1 >= all.len(), "nothing comes after an error");
            let used: usize = good.iter().map(TcpOption::wire_len).sum();
            let mut written = [0xee; 40];
            assert!(TcpOption::write_all(&good, &mut written));
            assert_eq!(written[..used], bytes[..used]);
            assert_eq!(written[used..], [0; 40][used..]);
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let timestamps = TcpOption::Timestamps { value: 1, echo: 2 };
        assert_eq!(TcpOption::total_len(&[timestamps]), 12);
        assert_eq!(TcpOption::total_len(&[]), 0);
        for room in 0..10 {
            let mut bytes = [0xee; 10];
            assert!(!TcpOption::write_all(&[timestamps], &mut bytes[..room]));
            assert_eq!(bytes, [0xee; 10]);
        }
        let blocks = [SackBlock::new(1, 2); 5];
        let mut bytes = [0xee; 600];
        assert!(!TcpOption::write_all(
            &[TcpOption::Sack(&blocks)],
            &mut bytes
        ));
        let data = &[7; 300];
        assert!(!TcpOption::write_all(
            &[TcpOption::Other { kind: 99, data }],
            &mut bytes
        ));
        assert_eq!(bytes, [0xee; 600]);
    }
}
