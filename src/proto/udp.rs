//! User Datagram Protocol (RFC 768).

#![forbid(unsafe_code)]

use std::fmt;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::checksum::{self, PseudoHeader};
use crate::proto::fields::fields;
use crate::proto::{IpProtocol, ParseError};

/// UDP header (RFC 768).
///
/// ```text
/// byte   0  source port       2
///        2  destination port  2
///        4  length            2   header and payload
///        6  checksum          2   over pseudo header, header and payload; 0 for none
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Udp {
    source_port: U16,
    destination_port: U16,
    length: U16,
    checksum: U16,
}

impl Udp {
    /// Length of the header in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// The header at the start of `bytes`, an IP payload, and the datagram's payload.
    ///
    /// The payload ends where `length` says. A fragment holds less than that: only datagrams that
    /// are whole parse.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if the header or the datagram is longer than `bytes`,
    /// [`Fault::Malformed`](crate::proto::Fault) if the length is below 8.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        let length = read_length(bytes)?;
        let too_short = truncated(length, bytes.len());
        let datagram = bytes.get(..length).ok_or(too_short)?;
        Self::ref_from_prefix(datagram).map_err(|_| too_short)
    }

    /// Like [`Udp::parse`], to change the datagram in place.
    ///
    /// # Errors
    ///
    /// As [`Udp::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let length = read_length(bytes)?;
        let too_short = truncated(length, bytes.len());
        let datagram = bytes.get_mut(..length).ok_or(too_short)?;
        Self::mut_from_prefix(datagram).map_err(|_| too_short)
    }
}

fields!(Udp:
    /// The sender's port; 0 if it expects no answer.
    source_port() -> u16;
    /// The receiver's port.
    destination_port() -> u16;
    /// Length of header and payload in bytes.
    length() -> u16;
    /// The checksum as it stands in the header.
    checksum() -> u16;
    /// Sets the sender's port.
    set_source_port(source_port: u16);
    /// Sets the receiver's port.
    set_destination_port(destination_port: u16);
    /// Sets the length of header and payload in bytes; at least [`Udp::LEN`].
    ///
    /// The payload that parsing gave keeps its length.
    set_length(length: u16);
    /// Sets the checksum field as given; 0 for none, which IPv4 alone allows.
    set_checksum(checksum: u16);
);

impl Udp {
    /// Exchanges the ports, to answer. No checksum changes by that.
    #[inline]
    pub fn swap_ports(&mut self) {
        std::mem::swap(&mut self.source_port, &mut self.destination_port);
    }

    /// Whether the checksum is right for this header, `payload` and the IP addresses.
    ///
    /// A checksum of 0 stands for none: right over IPv4, wrong over IPv6 (RFC 8200, section 8.1).
    #[inline]
    #[must_use]
    pub fn verify_checksum(&self, pseudo_header: PseudoHeader, payload: &[u8]) -> bool {
        if self.checksum.get() == 0 {
            return !pseudo_header.is_ipv6();
        }
        self.sum(pseudo_header, payload) == 0
    }

    /// Sets the checksum for this header, `payload` and the IP addresses. It is never 0.
    #[inline]
    pub fn fill_checksum(&mut self, pseudo_header: PseudoHeader, payload: &[u8]) {
        self.checksum.set(0);
        let sum = self.sum(pseudo_header, payload);
        self.checksum.set(checksum::nonzero(sum));
    }

    #[inline]
    fn sum(&self, pseudo_header: PseudoHeader, payload: &[u8]) -> u16 {
        pseudo_header.checksum_of_parts(IpProtocol::UDP, self.as_bytes(), payload)
    }
}

#[inline]
fn read_length(bytes: &[u8]) -> Result<usize, ParseError> {
    let Some(&[_, _, _, _, high, low, ..]) = bytes.first_chunk::<{ Udp::LEN }>() else {
        return Err(truncated(Udp::LEN, bytes.len()));
    };
    let length = u16::from_be_bytes([high, low]);
    if usize::from(length) < Udp::LEN {
        let place = ("UDP", "length", 4);
        return Err(ParseError::malformed(place, length.into()));
    }
    Ok(length.into())
}

const fn truncated(needed: usize, available: usize) -> ParseError {
    // All that is needed beyond the header is what its length says.
    let place = match available {
        ..Udp::LEN => ("UDP", "header", 0),
        _ => ("UDP", "length", 4),
    };
    ParseError::truncated(place, needed, available)
}

impl fmt::Display for Udp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (self.source_port(), self.destination_port());
        write!(f, "UDP {source} > {destination} length {}", self.length())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    /// To port 53 of 10.0.0.2 from 10.0.0.1, with a payload of odd length.
    const DATAGRAM: [u8; 11] = [
        0xc0, 0x00, 0x00, 0x35, // ports
        0x00, 0x0b, 0x54, 0x31, // length 11, checksum
        b'd', b'n', b's',
    ];

    fn pseudo_header() -> PseudoHeader {
        PseudoHeader::ipv4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2))
    }

    fn both_refuse(bytes: &[u8], error: ParseError) {
        assert_eq!(Udp::parse(bytes), Err(error));
        assert_eq!(Udp::parse_mut(&mut bytes.to_vec()), Err(error));
    }

    #[test]
    fn a_datagram_shows_its_fields_and_payload() {
        let (udp, payload) = Udp::parse(&DATAGRAM).unwrap();
        assert_eq!(Udp::LEN, 8);
        assert_eq!((udp.source_port(), udp.destination_port()), (49152, 53));
        assert_eq!(udp.length(), 11);
        assert_eq!(udp.checksum(), 0x5431);
        assert_eq!(payload, b"dns");
        assert!(udp.verify_checksum(pseudo_header(), payload));
        assert_eq!(udp.to_string(), "UDP 49152 > 53 length 11");
    }

    #[test]
    fn bytes_after_the_datagram_are_not_payload() {
        let mut padded = [&DATAGRAM[..], &[0xee; 7]].concat();
        assert_eq!(Udp::parse(&padded), Udp::parse(&DATAGRAM));
        let (_, payload) = Udp::parse_mut(&mut padded).unwrap();
        assert_eq!(payload, b"dns");
    }

    #[test]
    fn a_truncated_datagram_names_what_is_missing() {
        for available in 0..DATAGRAM.len() {
            let needed = if available < 8 { 8 } else { 11 };
            both_refuse(&DATAGRAM[..available], truncated(needed, available));
        }
    }

    #[test]
    fn a_length_without_room_for_the_header_is_refused() {
        for length in 0..8 {
            let mut bytes = DATAGRAM;
            bytes[5] = length;
            let error = ParseError::malformed(("UDP", "length", 4), length.into());
            both_refuse(&bytes, error);
        }
    }

    #[test]
    fn any_change_fails_the_checksum() {
        for bit in 0..DATAGRAM.len() * 8 {
            if (32..48).contains(&bit) {
                continue; // the length, which parsing looks at
            }
            let mut bytes = DATAGRAM;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (udp, payload) = Udp::parse(&bytes).unwrap();
            assert!(!udp.verify_checksum(pseudo_header(), payload), "{bit}");
        }
        let others = PseudoHeader::ipv4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 3));
        let (udp, payload) = Udp::parse(&DATAGRAM).unwrap();
        assert!(!udp.verify_checksum(others, payload));
    }

    #[test]
    fn no_checksum_is_right_over_ipv4_alone() {
        let mut bytes = DATAGRAM;
        let (udp, payload) = Udp::parse_mut(&mut bytes).unwrap();
        udp.set_checksum(0);
        assert!(udp.verify_checksum(pseudo_header(), payload));
        let ipv6 = PseudoHeader::ipv6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        assert!(!udp.verify_checksum(ipv6, payload));
    }

    #[test]
    fn a_built_datagram_gets_its_checksum() {
        let mut bytes = DATAGRAM;
        bytes[..4].fill(0);
        bytes[6..8].fill(0xee);
        let (udp, payload) = Udp::parse_mut(&mut bytes).unwrap();
        udp.set_source_port(53);
        udp.set_destination_port(49152);
        udp.swap_ports();
        udp.set_length(11);
        udp.fill_checksum(pseudo_header(), payload);
        assert_eq!(bytes, DATAGRAM);
    }

    #[test]
    fn a_computed_zero_is_sent_as_ffff() {
        let mut bytes = DATAGRAM;
        // The port that brings the sum to 0xffff.
        let (udp, payload) = Udp::parse_mut(&mut bytes).unwrap();
        udp.set_source_port(0x1432);
        udp.fill_checksum(pseudo_header(), payload);
        assert_eq!(udp.checksum(), 0xffff);
        assert!(udp.verify_checksum(pseudo_header(), payload));
    }
}
