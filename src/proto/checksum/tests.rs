#![forbid(unsafe_code)]

use super::*;

/// RFC 1071, section 3.
const RFC_EXAMPLE: [u8; 8] = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];

/// The definition, word by word.
fn reference(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| {
        let low = word.get(1).copied().unwrap_or_default();
        u64::from(u16::from_be_bytes([word[0], low]))
    });
    complement(words.sum())
}

/// Complement of the one's complement sum.
fn complement(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap()
}

/// The same bytes on every run (xorshift64), in which 0 and 0xff are frequent.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match state.to_be_bytes() {
            [0..64, ..] => 0x00,
            [64..128, ..] => 0xff,
            [.., byte] => byte,
        }
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn the_example_of_rfc_1071_sums_to_ddf2() {
    assert_eq!(checksum(&RFC_EXAMPLE), !0xddf2);
}

#[test]
fn every_length_and_alignment_matches_the_definition() {
    let bytes = noise(2048 + 128);
    let aligned = bytes.as_ptr().align_offset(64);
    for offset in 0..64 {
        let bytes = &bytes[aligned + offset..];
        let mut sum = 0;
        for len in 0..=2048 {
            let (bytes, next) = (&bytes[..len], u64::from(bytes[len]));
            let expected = complement(sum);
            assert_eq!(checksum(bytes), expected, "{offset} {len}");
            // Each of the ways, of which the length and the CPU choose one.
            for (level, sum) in wide::all(bytes) {
                assert_eq!(!u16::from_be(sum), expected, "{level:?} {offset} {len}");
            }
            assert_eq!(!u16::from_be(short_sum(bytes)), expected, "{offset} {len}");
            sum += if len % 2 == 0 { next << 8 } else { next };
        }
    }
}

#[test]
fn carries_are_never_lost() {
    let ones = vec![0xff; 65535];
    assert_eq!(checksum(&ones[..65534]), 0);
    assert_eq!(checksum(&ones), reference(&ones));
    for len in [65_534, 65_535, 200_000, 200_001] {
        let ones = vec![0xff; len];
        for (level, sum) in wide::all(&ones) {
            assert_eq!(!u16::from_be(sum), reference(&ones), "{level:?} {len}");
        }
    }
    assert_eq!(fold(u64::MAX), 0xffff);
}

#[test]
fn zeros_have_a_checksum_but_are_not_valid() {
    assert_eq!(checksum(&[0; 20]), 0xffff);
    assert_eq!(checksum(&[]), 0xffff);
    assert!(!is_valid(&[0; 20]));
}

#[test]
fn bytes_with_their_checksum_are_valid_until_one_changes() {
    let mut bytes = noise(64);
    let sum = checksum(&bytes);
    bytes.extend(sum.to_be_bytes());
    assert!(is_valid(&bytes));
    bytes[17] ^= 0x10;
    assert!(!is_valid(&bytes));
}

#[test]
fn pieces_of_any_length_add_up_to_the_whole() {
    let bytes = noise(48);
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let mut pieces = Accumulator::new();
            pieces.add_bytes(&bytes[..first]);
            pieces.add_bytes(&bytes[first..second]);
            pieces.add_bytes(&bytes[second..]);
            assert_eq!(pieces.finish(), reference(&bytes), "{first} {second}");
        }
    }
}

#[test]
fn a_udp_datagram_is_checked_with_its_pseudo_header() {
    let datagram = [
        0xc0, 0x00, 0x00, 0x35, 0x00, 0x0b, 0x00, 0x00, b'd', b'n', b's',
    ];
    let pseudo_header = [10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 11];
    let addresses = PseudoHeader::ipv4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    let mut pieces = Accumulator::new();
    pieces.add_pseudo_header(addresses, IpProtocol::UDP, 11);
    pieces.add_bytes(&datagram);
    let whole = [&pseudo_header[..], &datagram].concat();
    assert_eq!(pieces.finish(), reference(&whole));
    assert_eq!(
        addresses.checksum(IpProtocol::UDP, &datagram),
        reference(&whole)
    );
    assert_eq!(
        addresses.partial(IpProtocol::UDP, 11),
        !reference(&pseudo_header)
    );
}

#[test]
fn the_example_of_rfc_1624_updates_to_zero() {
    assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
}

#[test]
fn an_update_gives_what_a_new_sum_would() {
    let words = noise(4000);
    let mut packet = noise(40);
    packet[0] = 0x45; // never all zeros
    for (round, new) in words.as_chunks::<4>().0.iter().enumerate() {
        let before = checksum(&packet);
        let at = 2 + round % 18 * 2;
        let mut old = [0; 4];
        old.copy_from_slice(&packet[at..at + 4]);
        packet[at..at + 4].copy_from_slice(new);
        let updated = update_u32(before, u32::from_be_bytes(old), u32::from_be_bytes(*new));
        assert_eq!(updated, reference(&packet), "{round}");
    }
}

#[test]
fn pseudo_headers_of_ipv6_are_summed_as_rfc_8200_lays_them_out() {
    let bytes = noise(32 * 200 + 100);
    for round in 0..200_u32 {
        let (source, rest) = bytes[32 * round as usize..]
            .split_first_chunk::<16>()
            .unwrap();
        let (destination, rest) = rest.split_first_chunk::<16>().unwrap();
        let addresses = PseudoHeader::ipv6((*source).into(), (*destination).into());
        assert!(addresses.is_ipv6());
        let message = &rest[..round as usize % 60];
        let len = u32::try_from(message.len()).unwrap();
        let pseudo_header = [source, destination, &len.to_be_bytes()[..], &[0, 0, 0, 58]].concat();
        let whole = [&pseudo_header, message].concat();
        let checksum = addresses.checksum(IpProtocol::ICMPV6, message);
        assert_eq!(checksum, reference(&whole), "{round}");
        assert_eq!(
            addresses.partial(IpProtocol::ICMPV6, len),
            !reference(&pseudo_header)
        );
        // The first place of an accumulator is as good as any other.
        let mut pieces = Accumulator::new();
        pieces.add_bytes(message);
        pieces.add_pseudo_header(addresses, IpProtocol::ICMPV6, len);
        let shifted = [message, &pseudo_header].concat();
        assert_eq!(pieces.finish(), reference(&shifted), "{round}");
        let mut message = [&message[..message.len() & !1], &[0; 2]].concat();
        let at = message.len() - 2;
        let checksum = addresses.checksum(IpProtocol::ICMPV6, &message);
        message[at..].copy_from_slice(&checksum.to_be_bytes());
        assert!(addresses.is_valid(IpProtocol::ICMPV6, &message));
        message[at] ^= 1;
        assert!(!addresses.is_valid(IpProtocol::ICMPV6, &message));
    }
}

#[test]
fn a_length_beyond_16_bits_counts_in_full() {
    let addresses = PseudoHeader::ipv6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    let pseudo_header = [
        &Ipv6Addr::LOCALHOST.octets()[..],
        &Ipv6Addr::LOCALHOST.octets(),
        &[0x00, 0x12, 0x34, 0x56, 0, 0, 0, 6],
    ]
    .concat();
    assert_eq!(
        addresses.partial(IpProtocol::TCP, 0x0012_3456),
        !reference(&pseudo_header)
    );
}

#[test]
fn an_update_of_an_ipv6_address_gives_what_a_new_sum_would() {
    let addresses = noise(16 * 1000);
    let mut packet = noise(60);
    packet[0] = 0x60; // never all zeros
    for (round, new) in addresses.as_chunks::<16>().0.iter().enumerate() {
        let before = checksum(&packet);
        let at = 2 + round % 21 * 2;
        let mut old = [0; 16];
        old.copy_from_slice(&packet[at..at + 16]);
        packet[at..at + 16].copy_from_slice(new);
        let updated = update_u128(before, u128::from_be_bytes(old), u128::from_be_bytes(*new));
        assert_eq!(updated, reference(&packet), "{round}");
    }
    assert_eq!(update_u128(0, u128::MAX, u128::MAX), 0);
    assert_eq!(update_u128(0, 0, u128::MAX), 0);
}

#[test]
fn an_update_of_any_bytes_gives_what_a_new_sum_would() {
    let old = noise(301);
    for len in 0..=200 {
        for at in [0, 2, 100] {
            // An odd number of bytes only at the end.
            let end = if len % 2 == 0 { old.len() } else { at + len };
            let mut packet = old[..end].to_vec();
            packet[at..at + len].reverse();
            let (old, new) = (&old[..end], &packet[..]);
            let updated = update_bytes(reference(old), &old[at..at + len], &new[at..at + len]);
            assert_eq!(updated, reference(new), "{at} {len}");
        }
    }
}

#[test]
fn zero_alone_becomes_ffff() {
    assert_eq!(nonzero(0), 0xffff);
    assert!((1..=0xffff).all(|checksum| nonzero(checksum) == checksum));
}
