//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! IPv4, ICMP, TCP and UDP share it: the complement of the one's complement sum of all 16-bit
//! words, with a zero byte after an odd end. Checksums and words are `u16` in host byte order,
//! as the views take and give them.

#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

use crate::proto::IpProtocol;

/// The checksum of `bytes`, of any length, odd or even, up to 16 GiB.
///
/// Over bytes with a zeroed checksum field, this is the value for that field. Over bytes with
/// the field filled in, it is 0 if they are intact (see [`is_valid`]).
#[inline]
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    !u16::from_be(native_sum(bytes))
}

/// Whether `bytes`, which include their checksum field, are intact.
///
/// All-zero bytes are not: the checksum of zeros is `0xffff`.
#[inline]
#[must_use]
pub fn is_valid(bytes: &[u8]) -> bool {
    checksum(bytes) == 0
}

/// A checksum over several pieces, as if they were joined end to end.
///
/// A piece may have any length; after an odd one, the next goes on in the middle of a word.
///
/// ```
/// use fluxcap::proto::checksum::{self, Accumulator};
///
/// let mut accumulator = Accumulator::new();
/// accumulator.add_bytes(b"odd");
/// accumulator.add_bytes(b"pieces");
/// assert_eq!(accumulator.finish(), checksum::checksum(b"oddpieces"));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Accumulator {
    /// Sum so far, of words as this machine reads them from memory.
    native_sum: u16,
    /// Whether the next byte is the second one of its word.
    odd: bool,
}

impl Accumulator {
    /// A checksum over nothing yet.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            native_sum: 0,
            odd: false,
        }
    }

    /// Adds the next piece.
    #[inline]
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        let mut sum = native_sum(bytes);
        if self.odd {
            // Shifting data by one byte swaps the bytes of its sum (RFC 1071, section 2 (B)).
            sum = sum.swap_bytes();
        }
        self.native_sum = add(self.native_sum, sum);
        self.odd ^= bytes.len() % 2 == 1;
    }

    /// Adds the IPv4 pseudo header of TCP (RFC 9293, section 3.1) and UDP (RFC 768).
    ///
    /// `length` is that of the TCP or UDP header and its payload, in bytes.
    #[inline]
    pub fn add_ipv4_pseudo_header(
        &mut self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: IpProtocol,
        length: u16,
    ) {
        self.add_bytes(&source.octets());
        self.add_bytes(&destination.octets());
        self.add_bytes(&u16::from(protocol.0).to_be_bytes());
        self.add_bytes(&length.to_be_bytes());
    }

    /// The checksum of all pieces so far; 0 if they include a right checksum.
    ///
    /// UDP sends 0 as `0xffff`, since 0 in its field means "no checksum" (RFC 768).
    #[inline]
    #[must_use]
    pub const fn finish(&self) -> u16 {
        !u16::from_be(self.native_sum)
    }
}

/// The checksum after one of the words it covers changed (RFC 1624, equation 3).
///
/// The words are those at even distance from the start of the covered bytes. A checksum that was
/// wrong stays wrong. The result is what [`checksum`] gives over the changed bytes, but for one
/// case: if they are now all zero, it is 0 and should be `0xffff`. That cannot happen to an IPv4
/// header, or under a pseudo header.
///
/// For UDP, leave a 0 ("no checksum") alone and send `0xffff` for a result of 0 (RFC 768).
#[inline]
#[must_use]
pub const fn update(old_checksum: u16, old_word: u16, new_word: u16) -> u16 {
    !add(add(!old_checksum, !old_word), new_word)
}

/// Like [`update`], for two words in a row: an IPv4 address as [`Ipv4Addr::to_bits`] gives it.
#[inline]
#[must_use]
pub const fn update_u32(old_checksum: u16, old: u32, new: u32) -> u16 {
    // The halves of a 32-bit word add up like words on their own.
    !fold(!old_checksum as u64 + !old as u64 + new as u64)
}

/// One's complement sum of two words.
#[inline]
const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(carry as u16)
}

/// One's complement sum of the words as this machine reads them from memory.
///
/// The sum of byte-swapped words is the byte-swapped sum (RFC 1071, section 2 (B)), so the result
/// is swapped once instead of each word.
#[inline]
fn native_sum(bytes: &[u8]) -> u16 {
    // Two words at a time; the upper half of the sum is room for the carries of 16 GiB.
    let (chunks, tail) = bytes.as_chunks::<4>();
    let mut sum = chunks.iter().fold(0_u64, |sum, chunk| {
        sum.wrapping_add(u32::from_ne_bytes(*chunk).into())
    });
    let last = match *tail {
        [a] => [a, 0, 0, 0],
        [a, b] => [a, b, 0, 0],
        [a, b, c] => [a, b, c, 0],
        _ => [0; 4],
    };
    sum = sum.wrapping_add(u32::from_ne_bytes(last).into());
    fold(sum)
}

/// Adds the four words of `sum` to one.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "takes single words")]
const fn fold(sum: u64) -> u16 {
    add(
        add(sum as u16, (sum >> 16) as u16),
        add((sum >> 32) as u16, (sum >> 48) as u16),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071, section 3.
    const RFC_EXAMPLE: [u8; 8] = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];

    /// The definition, word by word.
    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0;
        for word in bytes.chunks(2) {
            sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
            if sum > 0xffff {
                sum -= 0xffff;
            }
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
    fn every_length_and_offset_matches_the_definition() {
        let bytes = noise(2048);
        for offset in 0..9 {
            for len in (0..200).chain(1400..1520) {
                let bytes = &bytes[offset..][..len];
                assert_eq!(checksum(bytes), reference(bytes), "{offset} {len}");
            }
        }
    }

    #[test]
    fn carries_are_never_lost() {
        let ones = vec![0xff; 65535];
        assert_eq!(checksum(&ones[..65534]), 0);
        assert_eq!(checksum(&ones), reference(&ones));
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
        let mut pieces = Accumulator::new();
        pieces.add_ipv4_pseudo_header(
            Ipv4Addr::new(10, 0, 0, 1),
            Ipv4Addr::new(10, 0, 0, 2),
            IpProtocol::UDP,
            11,
        );
        pieces.add_bytes(&datagram);
        let whole = [&pseudo_header[..], &datagram].concat();
        assert_eq!(pieces.finish(), reference(&whole));
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
}
