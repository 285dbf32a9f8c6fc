#![forbid(unsafe_code)]

use super::*;
use crate::proto::samples::Random;

/// As Linux opens a connection.
const SYN: [u8; 40] = [
    0xc3, 0x50, 0x00, 0x50, 0x12, 0x34, 0x56, 0x78, 0x00, 0x00, 0x00, 0x00, // ports, numbers
    0xa0, 0x02, 0xfa, 0xf0, 0x00, 0x00, 0x00, 0x00, // 40 bytes of header, SYN
    0x02, 0x04, 0x05, 0xb4, // largest segment 1460
    0x04, 0x02, // SACK permitted
    0x08, 0x0a, 0x01, 0x02, 0x03, 0x04, 0x00, 0x00, 0x00, 0x00, // timestamps
    0x01, // no operation
    0x03, 0x03, 0x07, // window scale
];

/// Two blocks that arrived out of order, an option that nobody knows, and three bytes of padding.
const SACKS: [u8; 48] = [
    0xc3, 0x50, 0x00, 0x50, 0x12, 0x34, 0x56, 0x78, 0x00, 0x00, 0x00, 0x09, // ports, numbers
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
