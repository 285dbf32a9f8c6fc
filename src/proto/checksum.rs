//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! IPv4, ICMP, TCP and UDP share it: the complement of the one's complement sum of all 16-bit
//! words, with a zero byte after an odd end. Checksums and words are `u16` in host byte order,
//! as the views take and give them.

#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::proto::IpProtocol;

mod frame;
mod partial;
mod wide;

pub use frame::{Verdict, fill, verify};
pub(super) use partial::is_unfinished;
pub use partial::{Completion, complete};

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

    /// The sum with protocol and length, of words as this machine reads them from memory.
    #[inline]
    const fn with(self, protocol: IpProtocol, length: u32) -> u16 {
        // Where this wraps, the packet is larger than any.
        let rest = length.wrapping_add(protocol.0 as u32);
        fold(self.native_sum.wrapping_add(rest.to_be() as u64))
    }
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
/// are the same number to whoever checks it.
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
    if bytes.len() >= wide::FROM
        && let Some(sum) = wide::sum(bytes)
    {
        return sum;
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
mod tests;
