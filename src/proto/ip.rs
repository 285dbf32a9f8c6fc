//! What both versions of the Internet Protocol share: protocol numbers and the authentication header (RFC 4302).

#![forbid(unsafe_code)]

use std::fmt;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::ParseError;
use crate::proto::fields::{field_type, fields};

/// What an IP packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpProtocol(pub u8);

impl IpProtocol {
    /// IPv6 hop-by-hop options (RFC 8200, section 4.3).
    pub const IPV6_HOP_BY_HOP: Self = Self(0);
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: Self = Self(1);
    /// Internet Group Management Protocol (RFC 9776).
    pub const IGMP: Self = Self(2);
    /// An IPv4 packet within another (RFC 2003).
    pub const IPV4: Self = Self(4);
    /// TCP (RFC 9293).
    pub const TCP: Self = Self(6);
    /// UDP (RFC 768).
    pub const UDP: Self = Self(17);
    /// Datagram Congestion Control Protocol (RFC 4340).
    pub const DCCP: Self = Self(33);
    /// An IPv6 packet within another (RFC 2473).
    pub const IPV6: Self = Self(41);
    /// IPv6 routing header (RFC 8200, section 4.4).
    pub const IPV6_ROUTING: Self = Self(43);
    /// IPv6 fragment header (RFC 8200, section 4.5).
    pub const IPV6_FRAGMENT: Self = Self(44);
    /// Generic routing encapsulation (RFC 2784).
    pub const GRE: Self = Self(47);
    /// Encapsulating security payload (RFC 4303).
    pub const ESP: Self = Self(50);
    /// Authentication header (RFC 4302).
    pub const AH: Self = Self(51);
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: Self = Self(58);
    /// Nothing follows the IPv6 headers (RFC 8200, section 4.7).
    pub const IPV6_NO_NEXT: Self = Self(59);
    /// IPv6 destination options (RFC 8200, section 4.6).
    pub const IPV6_DESTINATION: Self = Self(60);
    /// Stream Control Transmission Protocol (RFC 9260).
    pub const SCTP: Self = Self(132);
    /// UDP with a checksum over a part of the datagram only (RFC 3828).
    pub const UDP_LITE: Self = Self(136);
    /// An MPLS label stack (RFC 4023).
    pub const MPLS: Self = Self(137);

    /// Whether this is an IPv6 header that tells what follows it.
    #[inline]
    pub(super) const fn is_ipv6_extension(self) -> bool {
        matches!(
            self,
            Self::IPV6_HOP_BY_HOP
                | Self::IPV6_ROUTING
                | Self::IPV6_FRAGMENT
                | Self::AH
                | Self::IPV6_DESTINATION
        )
    }
}

field_type!(IpProtocol: u8, IpProtocol, |value: IpProtocol| value.0);

impl fmt::Display for IpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV6_HOP_BY_HOP => f.pad("IPv6 hop-by-hop"),
            Self::ICMP => f.pad("ICMP"),
            Self::IGMP => f.pad("IGMP"),
            Self::IPV4 => f.pad("IPv4"),
            Self::TCP => f.pad("TCP"),
            Self::UDP => f.pad("UDP"),
            Self::DCCP => f.pad("DCCP"),
            Self::IPV6 => f.pad("IPv6"),
            Self::IPV6_ROUTING => f.pad("IPv6 routing"),
            Self::IPV6_FRAGMENT => f.pad("IPv6 fragment"),
            Self::GRE => f.pad("GRE"),
            Self::ESP => f.pad("ESP"),
            Self::AH => f.pad("AH"),
            Self::ICMPV6 => f.pad("ICMPv6"),
            Self::IPV6_NO_NEXT => f.pad("no next header"),
            Self::IPV6_DESTINATION => f.pad("IPv6 destination"),
            Self::SCTP => f.pad("SCTP"),
            Self::UDP_LITE => f.pad("UDP-Lite"),
            Self::MPLS => f.pad("MPLS"),
            Self(other) => write!(f, "protocol {other}"),
        }
    }
}

/// IP authentication header (RFC 4302, section 2), behind either version of IP.
///
/// ```text
/// byte   0  next header           1
///        1  payload length        1  in units of 4 bytes, without the first two
///        2  reserved              2
///        4  security parameters   4  index of them (SPI)
///        8  sequence number       4
///       12  integrity check value    multiple of 4
/// ```
#[derive(Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Authentication {
    next_header: u8,
    payload_length: u8,
    reserved: U16,
    spi: U32,
    sequence_number: U32,
    check_value: [u8],
}

impl Authentication {
    /// Length of the header without integrity check value, in bytes.
    pub const LEN: usize = 12;

    /// The header at the start of `bytes`, and all that follows it.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if the header is longer than `bytes`,
    /// [`Fault::Malformed`](crate::proto::Fault) if its length is below 12 bytes.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        let value_len = value_len(bytes)?;
        Self::ref_from_prefix_with_elems(bytes, value_len)
            .map_err(|_| Self::truncated(Self::LEN, bytes.len()))
    }

    /// Like [`Authentication::parse`], to change the header in place.
    ///
    /// # Errors
    ///
    /// As [`Authentication::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let value_len = value_len(bytes)?;
        let too_short = Self::truncated(Self::LEN, bytes.len());
        Self::mut_from_prefix_with_elems(bytes, value_len).map_err(|_| too_short)
    }
}

fields!(Authentication:
    /// What follows this header.
    next_header() -> IpProtocol;
    /// Security parameters index: by which keys the receiver checks the packet.
    spi() -> u32;
    /// Number of the packet among those of the same keys.
    sequence_number() -> u32;
    /// Sets what follows this header.
    set_next_header(next_header: IpProtocol);
    /// Sets the security parameters index.
    set_spi(spi: u32);
    /// Sets the number of the packet.
    set_sequence_number(sequence_number: u32);
);

impl Authentication {
    /// Length of the header in bytes: 12 to 1,028, a multiple of 4.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        size_of_val(self)
    }

    /// The integrity check value, padding included.
    #[inline]
    #[must_use]
    pub fn check_value(&self) -> &[u8] {
        &self.check_value
    }

    /// The integrity check value, to change it in place; its length stays.
    #[inline]
    #[must_use]
    pub fn check_value_mut(&mut self) -> &mut [u8] {
        &mut self.check_value
    }

    const fn truncated(needed: usize, available: usize) -> ParseError {
        let place = match available {
            ..Self::LEN => ("AH", "header", 0),
            _ => ("AH", "payload length", 1),
        };
        ParseError::truncated(place, needed, available)
    }
}

/// Length of the integrity check value in bytes.
#[inline]
fn value_len(bytes: &[u8]) -> Result<usize, ParseError> {
    let available = bytes.len();
    let Some(&[_, words, ..]) = bytes.first_chunk::<{ Authentication::LEN }>() else {
        return Err(Authentication::truncated(Authentication::LEN, available));
    };
    let header_len = (usize::from(words) + 2) * 4;
    let Some(value_len) = header_len.checked_sub(Authentication::LEN) else {
        let place = ("AH", "payload length", 1);
        return Err(ParseError::malformed(place, words.into()));
    };
    if header_len > available {
        return Err(Authentication::truncated(header_len, available));
    }
    Ok(value_len)
}

impl fmt::Display for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (spi, number) = (self.spi(), self.sequence_number());
        write!(f, "AH spi {spi:#010x} seq {number}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_print_by_name_or_number() {
        assert_eq!(IpProtocol::UDP.to_string(), "UDP");
        assert_eq!(IpProtocol(89).to_string(), "protocol 89");
    }

    /// Before TCP, with a check value of 96 bits.
    const HEADER: [u8; 26] = [
        0x06, 0x04, 0x00, 0x00, // TCP, 24 bytes
        0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x2a, // index, sequence number
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, // check value
        0xc3, 0x50, // first bytes of the payload
    ];

    fn both_refuse(bytes: &[u8], error: ParseError) {
        assert_eq!(Authentication::parse(bytes), Err(error));
        assert_eq!(Authentication::parse_mut(&mut bytes.to_vec()), Err(error));
    }

    #[test]
    fn a_header_shows_its_fields_and_payload() {
        let (header, payload) = Authentication::parse(&HEADER).unwrap();
        assert_eq!(header.header_len(), 24);
        assert_eq!(header.next_header(), IpProtocol::TCP);
        assert_eq!((header.spi(), header.sequence_number()), (256, 42));
        assert_eq!(header.check_value(), &HEADER[12..24]);
        assert_eq!(payload, [0xc3, 0x50]);
        assert_eq!(header.to_string(), "AH spi 0x00000100 seq 42");
    }

    #[test]
    fn a_truncated_header_names_what_is_missing() {
        for available in 0..24 {
            let (field, at, needed) = match available {
                0..12 => ("header", 0, 12),
                _ => ("payload length", 1, 24),
            };
            let error = ParseError::truncated(("AH", field, at), needed, available);
            both_refuse(&HEADER[..available], error);
        }
        assert!(Authentication::parse(&HEADER[..24]).unwrap().1.is_empty());
    }

    #[test]
    fn a_length_without_room_for_the_sequence_number_is_refused() {
        let mut bytes = HEADER;
        bytes[1] = 0;
        let error = ParseError::malformed(("AH", "payload length", 1), 0);
        both_refuse(&bytes, error);
    }

    #[test]
    fn every_length_gives_a_view_or_an_error() {
        for words in 0..=u8::MAX {
            let mut bytes = [0xee; 1028];
            bytes[1] = words;
            for available in [12, 16, 1027, 1028] {
                if let Ok((header, payload)) = Authentication::parse(&bytes[..available]) {
                    assert_eq!(header.header_len(), usize::from(words) * 4 + 8);
                    assert_eq!(header.check_value().len(), header.header_len() - 12);
                    assert_eq!(header.header_len() + payload.len(), available);
                } else {
                    assert!(words == 0 || usize::from(words) * 4 + 8 > available);
                }
            }
        }
    }

    #[test]
    fn setters_write_the_header_itself() {
        let mut bytes = [0; 26];
        bytes[1] = 4;
        let (header, payload) = Authentication::parse_mut(&mut bytes).unwrap();
        header.set_next_header(IpProtocol::TCP);
        header.set_spi(256);
        header.set_sequence_number(42);
        header.check_value_mut().copy_from_slice(&HEADER[12..24]);
        payload.copy_from_slice(&HEADER[24..]);
        assert_eq!(bytes, HEADER);
    }
}
