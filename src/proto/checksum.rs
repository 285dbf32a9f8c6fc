//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! IPv4, ICMP, TCP and UDP share it: the complement of the one's complement sum of all 16-bit
//! words, with a zero byte after an odd end. Checksums and words are `u16` in host byte order,
//! as the views take and give them.

#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::proto::IpProtocol;

mod frame;
mod simd;

pub(super) use frame::is_unfinished;
pub use frame::{Completion, Verdict, complete, fill, verify};

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

    /// Adds the IP addresses, what `message` is, and its length in bytes, that of its own header
    /// included: the pseudo header of TCP (RFC 9293, section 3.1), UDP (RFC 768) and ICMPv6
    /// (RFC 8200, section 8.1).
    #[inline]
    pub fn add_pseudo_header(
        &mut self,
        addresses: PseudoHeader,
        protocol: IpProtocol,
        length: u32,
    ) {
        let mut sum = addresses.with(protocol, length);
        if self.odd {
            sum = sum.swap_bytes();
        }
        self.native_sum = add(self.native_sum, sum);
    }

    /// The checksum of all pieces so far; 0 if they include a right checksum.
    ///
    /// UDP sends [`nonzero`] instead of 0, which means "no checksum" in its field.
    #[inline]
    #[must_use]
    pub const fn finish(&self) -> u16 {
        !u16::from_be(self.native_sum)
    }
}

/// The IP addresses, which the checksums of TCP, UDP and ICMPv6 cover together with protocol and
/// length (RFC 9293, section 3.1; RFC 8200, section 8.1).
///
/// [`Ipv4::pseudo_header`](crate::proto::Ipv4::pseudo_header) and
/// [`Ipv6::pseudo_header`](crate::proto::Ipv6::pseudo_header) give it. It is a copy: the packet
/// may change meanwhile.
///
/// ```
/// use std::net::Ipv6Addr;
/// use fluxcap::proto::{IpProtocol, checksum::PseudoHeader};
///
/// let mut neighbour_solicitation = [
///     0x87, 0x00, 0x00, 0x00, 0, 0, 0, 0, // type, code, checksum not yet known
///     0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // who is this?
/// ];
/// let from = "fe80::1".parse::<Ipv6Addr>()?;
/// let to = "ff02::1:ff00:2".parse::<Ipv6Addr>()?;
/// let addresses = PseudoHeader::ipv6(from, to);
/// let checksum = addresses.checksum(IpProtocol::ICMPV6, &neighbour_solicitation);
/// neighbour_solicitation[2..4].copy_from_slice(&checksum.to_be_bytes());
/// assert!(addresses.is_valid(IpProtocol::ICMPV6, &neighbour_solicitation));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PseudoHeader {
    /// Sum of the addresses, of pairs of words as this machine reads them from memory.
    native_sum: u64,
    is_ipv6: bool,
}

impl PseudoHeader {
    /// Of no packet.
    pub(super) const NONE: Self = Self {
        native_sum: 0,
        is_ipv6: false,
    };

    /// Of an IPv4 packet.
    #[inline]
    #[must_use]
    pub fn ipv4(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            native_sum: native_pairs(&source.octets())
                .wrapping_add(native_pairs(&destination.octets())),
            is_ipv6: false,
        }
    }

    /// Of an IPv6 packet; `destination` is the last one, if there is a routing header.
    #[inline]
    #[must_use]
    pub fn ipv6(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            native_sum: native_pairs(&source.octets())
                .wrapping_add(native_pairs(&destination.octets())),
            is_ipv6: true,
        }
    }

    /// Whether the addresses are those of IPv6.
    #[inline]
    #[must_use]
    pub const fn is_ipv6(self) -> bool {
        self.is_ipv6
    }

    /// The sum of the pseudo header itself, *not* complemented: what a sender puts into the
    /// checksum field for its network card to finish (see [`complete`]).
    ///
    /// `length` is that of the message with its header, in bytes.
    #[inline]
    #[must_use]
    pub const fn partial(self, protocol: IpProtocol, length: u32) -> u16 {
        u16::from_be(self.with(protocol, length))
    }

    /// The checksum of `message`, whose checksum field is zero, with this pseudo header.
    ///
    /// UDP sends [`nonzero`] of it.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "at most 65535 in a packet")]
    pub fn checksum(self, protocol: IpProtocol, message: &[u8]) -> u16 {
        let sum = self.with(protocol, message.len() as u32);
        !u16::from_be(add(sum, native_sum(message)))
    }

    /// Whether `message`, which includes its checksum field, is intact.
    ///
    /// For UDP without a checksum, see [`Udp::verify_checksum`](crate::proto::Udp::verify_checksum).
    #[inline]
    #[must_use]
    pub fn is_valid(self, protocol: IpProtocol, message: &[u8]) -> bool {
        self.checksum(protocol, message) == 0
    }

    /// The checksum of a message of which `header` and `payload` are the parts; 0 if it includes a right one.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most 65535 in a packet")]
    pub(super) fn checksum_of_parts(
        self,
        protocol: IpProtocol,
        header: &[u8],
        payload: &[u8],
    ) -> u16 {
        let length = header.len().wrapping_add(payload.len()) as u32;
        let mut accumulator = Accumulator::new();
        accumulator.add_pseudo_header(self, protocol, length);
        accumulator.add_bytes(header);
        accumulator.add_bytes(payload);
        accumulator.finish()
    }

    /// The sum with protocol and length, of words as this machine reads them from memory.
    #[inline]
    const fn with(self, protocol: IpProtocol, length: u32) -> u16 {
        // Where this wraps, the packet is larger than any.
        let rest = length.wrapping_add(protocol.0 as u32);
        fold(self.native_sum.wrapping_add(rest.to_be() as u64))
    }
}

/// The checksum over a header and what follows it; 0 if it includes a right one.
#[inline]
pub(super) fn of_parts(header: &[u8], payload: &[u8]) -> u16 {
    let mut accumulator = Accumulator::new();
    accumulator.add_bytes(header);
    accumulator.add_bytes(payload);
    accumulator.finish()
}

/// The checksum of `message`, whose checksum field holds what [`PseudoHeader::partial`] is without a length: with that of
/// the message.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "at most 65535 in a packet")]
pub(super) fn finish(message: &[u8]) -> u16 {
    let length = (message.len() as u16).to_be();
    !u16::from_be(add(native_sum(message), length))
}

/// The checksum after one of the words it covers changed (RFC 1624, equation 3).
///
/// The words are those at even distance from the start of the covered bytes. A checksum that was
/// wrong stays wrong. The result is what [`checksum`] gives over the changed bytes, but for one
/// case: if they are now all zero, it is 0 and should be `0xffff`. That cannot happen to an IPv4
/// header, or under a pseudo header.
///
/// For UDP, leave a 0 ("no checksum") alone and send [`nonzero`] of the result.
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
    let mut delta = Delta(0);
    delta.add_u32(old, new);
    delta.update(old_checksum)
}

/// Like [`update`], for eight words in a row: an IPv6 address as [`Ipv6Addr::to_bits`] gives it.
#[inline]
#[must_use]
pub const fn update_u128(old_checksum: u16, old: u128, new: u128) -> u16 {
    let mut delta = Delta(0);
    delta.add_u128(old, new);
    delta.update(old_checksum)
}

/// Like [`update`], for any bytes: an even number of them, as they are on the wire, or those at the end.
#[inline]
#[must_use]
pub fn update_bytes(old_checksum: u16, old: &[u8], new: &[u8]) -> u16 {
    !add(add(!old_checksum, checksum(old)), !checksum(new))
}

/// A checksum as UDP sends it: `0xffff` for 0, since 0 means "no checksum" there (RFC 768). Both
/// are the same number when it is checked.
#[inline]
#[must_use]
pub const fn nonzero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

/// What a checksum has to be adjusted by after several of the words it covers changed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Delta(u64);

impl Delta {
    /// One word changed.
    #[inline]
    pub(super) const fn add_u16(&mut self, old: u16, new: u16) {
        self.0 = self.0.wrapping_add(!old as u64 + new as u64);
    }

    /// Two words in a row changed.
    #[inline]
    pub(super) const fn add_u32(&mut self, old: u32, new: u32) {
        self.0 = self.0.wrapping_add(!old as u64 + new as u64);
    }

    /// Eight words in a row changed.
    #[inline]
    pub(super) const fn add_u128(&mut self, old: u128, new: u128) {
        self.0 = self.0.wrapping_add(words(!old) + words(new));
    }

    /// Both changes.
    #[inline]
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// The new checksum, as [`update`].
    #[inline]
    pub(super) const fn update(self, checksum: u16) -> u16 {
        !self.update_sum(!checksum)
    }

    /// The new sum, not complemented.
    #[inline]
    pub(super) const fn update_sum(self, sum: u16) -> u16 {
        fold(self.0.wrapping_add(sum as u64))
    }
}

/// The four 32-bit parts of `bits`, added up.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "takes single parts")]
const fn words(bits: u128) -> u64 {
    let (high, low) = ((bits >> 64) as u64, bits as u64);
    (high >> 32) + (high as u32 as u64) + (low >> 32) + (low as u32 as u64)
}

/// One's complement sum of two words.
#[inline]
const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(carry as u16)
}

/// Sum of the pairs of words in an address as this machine reads them from memory.
#[inline]
fn native_pairs<const LEN: usize>(address: &[u8; LEN]) -> u64 {
    let (pairs, _) = address.as_chunks::<4>();
    pairs.iter().fold(0, |sum, pair| {
        sum.wrapping_add(u32::from_ne_bytes(*pair).into())
    })
}

/// One's complement sum of the words as this machine reads them from memory.
///
/// The sum of byte-swapped words is the byte-swapped sum (RFC 1071, section 2 (B)), so the result
/// is swapped once instead of each word.
#[inline]
fn native_sum(bytes: &[u8]) -> u16 {
    if bytes.len() >= simd::FROM
        && let Some(sum) = simd::sum(bytes)
    {
        return fold(sum);
    }
    short_sum(bytes)
}

/// The same by plain means, which is faster for a header or a small packet.
#[inline]
fn short_sum(bytes: &[u8]) -> u16 {
    // Four words at a time. The sum of them all lacks the carries, that of the upper two has room for
    // those of 16 GiB; the sum of the lower two follows from both.
    let (chunks, tail) = bytes.as_chunks::<8>();
    let (mut all, mut high) = (0_u64, 0_u64);
    for chunk in chunks {
        let words = u64::from_ne_bytes(*chunk);
        all = all.wrapping_add(words);
        high = high.wrapping_add(words >> 32);
    }
    let low = all.wrapping_sub(high << 32);
    let tail = match bytes.last_chunk() {
        // What of the last four words was in a chunk is shifted out, which takes no branches.
        Some(&last) => {
            let counted = u64::BITS.wrapping_sub(bits(tail));
            u64::from_le_bytes(last).checked_shr(counted).unwrap_or(0)
        }
        None => tail
            .iter()
            .rev()
            .fold(0, |words, &byte| words << 8 | u64::from(byte)),
    };
    let tail = tail.to_le();
    let tail = (tail >> 32).wrapping_add(tail & u64::from(u32::MAX));
    fold(low.wrapping_add(high).wrapping_add(tail))
}

/// How many bits are in at most 8 bytes.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "at most 64")]
const fn bits(bytes: &[u8]) -> u32 {
    (bytes.len() as u32).wrapping_mul(8)
}

/// Adds the four words of `sum` to one.
#[inline]
const fn fold(sum: u64) -> u16 {
    // Both halves get the same sum; the carry of the lower one goes into the upper one.
    let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

#[cfg(test)]
mod tests {
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
                for (level, sum) in simd::all(bytes) {
                    assert_eq!(
                        !u16::from_be(fold(sum)),
                        expected,
                        "{level:?} {offset} {len}"
                    );
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
            for (level, sum) in simd::all(&ones) {
                assert_eq!(
                    !u16::from_be(fold(sum)),
                    reference(&ones),
                    "{level:?} {len}"
                );
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
            let pseudo_header =
                [source, destination, &len.to_be_bytes()[..], &[0, 0, 0, 58]].concat();
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
}
