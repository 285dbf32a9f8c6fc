//! IPv6 fragment header (RFC 8200, section 4.5).

#![forbid(unsafe_code)]

use std::fmt;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::{IpProtocol, Ipv6Fragment, ParseError};

/// IPv6 fragment header (RFC 8200, section 4.5).
///
/// ```text
/// byte   0  next header                     1
///        1  reserved                        1
///        2  fragment offset, reserved, flag 13 + 2 + 1 bits  offset in units of 8 bytes
///        4  identification                  4
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Ipv6FragmentHeader {
    next_header: u8,
    reserved: u8,
    offset_and_flag: U16,
    identification: U32,
}

const OFFSET_MASK: u16 = !7;
const MORE_FRAGMENTS: u16 = 1;

impl Ipv6FragmentHeader {
    /// Length of the header in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// The header at the start of `bytes`, and the part of the packet behind it.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if there are fewer than [`Ipv6FragmentHeader::LEN`] bytes.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        Self::ref_from_prefix(bytes).map_err(|_| truncated(bytes.len()))
    }

    /// Like [`Ipv6FragmentHeader::parse`], to change the header in place.
    ///
    /// # Errors
    ///
    /// As [`Ipv6FragmentHeader::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let available = bytes.len();
        Self::mut_from_prefix(bytes).map_err(|_| truncated(available))
    }

    /// What the whole packet has behind this header; of a later fragment, what the data are a piece of.
    #[inline]
    #[must_use]
    pub fn next_header(&self) -> IpProtocol {
        IpProtocol(self.next_header)
    }

    /// Where this part goes in the whole one, in bytes: a multiple of 8.
    #[inline]
    #[must_use]
    pub fn fragment_offset(&self) -> u16 {
        self.offset_and_flag.get() & OFFSET_MASK
    }

    /// Whether this is not the last part.
    #[inline]
    #[must_use]
    pub fn more_fragments(&self) -> bool {
        self.offset_and_flag.get() & MORE_FRAGMENTS != 0
    }

    /// Which fragments belong together.
    #[inline]
    #[must_use]
    pub fn identification(&self) -> u32 {
        self.identification.get()
    }

    /// Whether the packet is a part only. A header may say that it is whole (RFC 6946).
    #[inline]
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.offset_and_flag.get() & (OFFSET_MASK | MORE_FRAGMENTS) != 0
    }

    /// All fields about the fragment, as [`Ipv6::upper_layer`](crate::proto::Ipv6::upper_layer) gives them.
    #[inline]
    #[must_use]
    pub fn fragment(&self) -> Ipv6Fragment {
        Ipv6Fragment {
            offset: self.fragment_offset(),
            more_fragments: self.more_fragments(),
            identification: self.identification(),
        }
    }

    /// Sets what the whole packet has behind this header.
    #[inline]
    pub fn set_next_header(&mut self, next_header: IpProtocol) {
        self.next_header = next_header.0;
    }

    /// Sets where this part goes in the whole one, in bytes: a multiple of 8, to which it is rounded down.
    #[inline]
    pub fn set_fragment_offset(&mut self, offset: u16) {
        let rest = self.offset_and_flag.get() & !OFFSET_MASK;
        self.offset_and_flag.set(offset & OFFSET_MASK | rest);
    }

    /// Sets whether this is not the last part.
    #[inline]
    pub fn set_more_fragments(&mut self, more_fragments: bool) {
        let rest = self.offset_and_flag.get() & !MORE_FRAGMENTS;
        self.offset_and_flag
            .set(rest | if more_fragments { MORE_FRAGMENTS } else { 0 });
    }

    /// Sets which fragments belong together.
    #[inline]
    pub fn set_identification(&mut self, identification: u32) {
        self.identification.set(identification);
    }
}

const fn truncated(available: usize) -> ParseError {
    let place = ("IPv6 fragment", "header", 0);
    ParseError::truncated(place, Ipv6FragmentHeader::LEN, available)
}

impl fmt::Display for Ipv6FragmentHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (offset, id) = (self.fragment_offset(), self.identification());
        let last = match self.more_fragments() {
            true => "",
            false => " last",
        };
        write!(f, "IPv6 fragment {id:#010x} at {offset}{last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the middle of a UDP datagram.
    const HEADER: [u8; 10] = [
        0x11, 0x00, // UDP
        0x05, 0xa9, // offset 1448, more fragments
        0x12, 0x34, 0x56, 0x78, // identification
        0xaa, 0xbb, // data
    ];

    #[test]
    fn a_header_shows_its_fields_and_the_part() {
        let (header, part) = Ipv6FragmentHeader::parse(&HEADER).unwrap();
        assert_eq!(Ipv6FragmentHeader::LEN, 8);
        assert_eq!(header.next_header(), IpProtocol::UDP);
        assert_eq!(header.fragment_offset(), 1448);
        assert!(header.more_fragments() && header.is_fragment());
        assert_eq!(header.identification(), 0x1234_5678);
        assert_eq!(part, [0xaa, 0xbb]);
        assert_eq!(header.to_string(), "IPv6 fragment 0x12345678 at 1448");
        let fragment = header.fragment();
        assert_eq!((fragment.offset, fragment.more_fragments), (1448, true));
        assert_eq!(fragment.identification, 0x1234_5678);
    }

    #[test]
    fn a_packet_may_be_whole_or_a_part() {
        for (field, is_fragment) in [(0, false), (6, false), (1, true), (8, true), (9, true)] {
            let mut bytes = HEADER;
            bytes[2..4].copy_from_slice(&u16::to_be_bytes(field));
            let (header, _) = Ipv6FragmentHeader::parse(&bytes).unwrap();
            assert_eq!(header.is_fragment(), is_fragment);
        }
    }

    #[test]
    fn a_truncated_header_names_what_is_missing() {
        for available in 0..Ipv6FragmentHeader::LEN {
            let mut bytes = HEADER;
            let error = truncated(available);
            let bytes = &mut bytes[..available];
            assert_eq!(Ipv6FragmentHeader::parse(bytes), Err(error));
            assert_eq!(Ipv6FragmentHeader::parse_mut(bytes), Err(error));
        }
    }

    #[test]
    fn a_setter_changes_its_own_bits_only() {
        for fill in [0x00, 0xff] {
            let mut bytes = [fill; 8];
            let (header, _) = Ipv6FragmentHeader::parse_mut(&mut bytes).unwrap();
            let before = *header;
            header.set_fragment_offset(1455);
            assert_eq!(header.fragment_offset(), 1448);
            assert_eq!(header.more_fragments(), before.more_fragments());
            header.set_more_fragments(!before.more_fragments());
            assert_ne!(header.more_fragments(), before.more_fragments());
            assert_eq!(header.fragment_offset(), 1448);
            header.set_identification(0x1234_5678);
            header.set_next_header(IpProtocol::UDP);
            assert_eq!(bytes[1], fill);
            assert_eq!(bytes[3] & 6, fill & 6);
            assert_eq!((bytes[0], &bytes[4..]), (17, &HEADER[4..8]));
        }
    }
}
