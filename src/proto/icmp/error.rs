//! Errors that ICMP for IPv4 reports (RFC 792).

#![forbid(unsafe_code)]

use std::fmt;
use std::net::Ipv4Addr;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksummed;
use crate::proto::IcmpType;
use crate::proto::message::message;

/// Header of an ICMP message that reports an error: destination unreachable, source quench,
/// redirect, time exceeded or parameter problem (RFC 792). The payload starts with the packet that
/// met it, of which as a rule only the start is there: [`Ipv4::parse_quoted`] reads that.
///
/// ```text
/// byte   0  type          1
///        1  code          1
///        2  checksum      2   over header and payload
///        4  gateway       4   of a redirect
///     or 4  pointer       1   of a parameter problem
///        5  length        1   of the quoted packet in 32-bit words (RFC 4884), or 0
///        6  next-hop MTU  2   of "fragmentation needed" (RFC 1191)
/// ```
///
/// [`Ipv4::parse_quoted`]: crate::proto::Ipv4::parse_quoted
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct IcmpError {
    icmp_type: u8,
    code: u8,
    checksum: U16,
    rest: [u8; 4],
}

message!(
    IcmpError,
    "ICMP error",
    IcmpType,
    IcmpType::DESTINATION_UNREACHABLE
        | IcmpType::SOURCE_QUENCH
        | IcmpType::REDIRECT
        | IcmpType::TIME_EXCEEDED
        | IcmpType::PARAMETER_PROBLEM,
    _
);
checksummed!(IcmpError);

impl IcmpError {
    /// Code of destination unreachable: there is no way to the network.
    pub const NETWORK_UNREACHABLE: u8 = 0;
    /// Code of destination unreachable: the host does not answer.
    pub const HOST_UNREACHABLE: u8 = 1;
    /// Code of destination unreachable: the host does not speak the protocol.
    pub const PROTOCOL_UNREACHABLE: u8 = 2;
    /// Code of destination unreachable: no program listens on the port.
    pub const PORT_UNREACHABLE: u8 = 3;
    /// Code of destination unreachable: the packet is too long for a link, and must not be
    /// fragmented.
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// Code of destination unreachable: a firewall forbids it (RFC 1812).
    pub const PROHIBITED: u8 = 13;

    /// The longest packet in bytes that goes on, if the error is
    /// [`IcmpError::FRAGMENTATION_NEEDED`]; 0 from routers that do not tell (RFC 1191).
    #[inline]
    #[must_use]
    pub fn next_hop_mtu(&self) -> Option<u16> {
        let [_, _, high, low] = self.rest;
        let is_there = self.icmp_type() == IcmpType::DESTINATION_UNREACHABLE
            && self.code == Self::FRAGMENTATION_NEEDED;
        is_there.then_some(u16::from_be_bytes([high, low]))
    }

    /// The router that the packet should have gone to, if this is a redirect.
    #[inline]
    #[must_use]
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        let is_there = self.icmp_type() == IcmpType::REDIRECT;
        is_there.then_some(self.rest.into())
    }

    /// Which byte of the quoted packet was not understood, if this is a parameter problem with
    /// code 0.
    #[inline]
    #[must_use]
    pub fn pointer(&self) -> Option<u8> {
        let [pointer, ..] = self.rest;
        let is_there = self.icmp_type() == IcmpType::PARAMETER_PROBLEM && self.code == 0;
        is_there.then_some(pointer)
    }

    /// The quoted packet without the extensions that may follow it (RFC 4884); `payload` is what
    /// parsing gave.
    ///
    /// All of `payload`, if the header does not say where the packet ends, or says that it is
    /// longer.
    #[inline]
    #[must_use]
    pub fn quoted<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        let [_, words, _, _] = self.rest;
        match self.icmp_type() {
            IcmpType::SOURCE_QUENCH | IcmpType::REDIRECT => payload,
            _ if words == 0 => payload,
            _ => payload.get(..usize::from(words) * 4).unwrap_or(payload),
        }
    }

    /// Sets which error. Types that are none would not parse again.
    #[inline]
    pub fn set_icmp_type(&mut self, icmp_type: IcmpType) {
        self.icmp_type = icmp_type.0;
    }

    /// Sets which error more exactly.
    #[inline]
    pub fn set_code(&mut self, code: u8) {
        self.code = code;
    }

    /// Sets the longest packet in bytes that goes on. The field is half of the
    /// [`IcmpError::gateway`] of a redirect.
    #[inline]
    pub fn set_next_hop_mtu(&mut self, mtu: u16) {
        let [.., high, low] = &mut self.rest;
        [*high, *low] = mtu.to_be_bytes();
    }

    /// Sets the router that the packet should have gone to. The field is all others of other types.
    #[inline]
    pub fn set_gateway(&mut self, gateway: Ipv4Addr) {
        self.rest = gateway.octets();
    }

    /// Sets which byte of the quoted packet was not understood. The field is a byte of the
    /// [`IcmpError::gateway`] of a redirect.
    #[inline]
    pub fn set_pointer(&mut self, pointer: u8) {
        let [first, ..] = &mut self.rest;
        *first = pointer;
    }
}

impl fmt::Display for IcmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ICMP {} code {}", self.icmp_type(), self.code)?;
        if let Some(mtu) = self.next_hop_mtu() {
            write!(f, " MTU {mtu}")?;
        }
        if let Some(gateway) = self.gateway() {
            write!(f, " to {gateway}")?;
        }
        if let Some(pointer) = self.pointer() {
            write!(f, " at byte {pointer}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Icmp, IpProtocol, Ipv4, ParseError};

    /// A router's answer to a UDP packet of 1500 bytes that must not be fragmented.
    const TOO_LONG: [u8; 36] = [
        0x03, 0x04, 0x31, 0x86, 0x00, 0x00, 0x05, 0x78, // unreachable, next-hop MTU 1400
        0x45, 0x00, 0x05, 0xdc, 0x12, 0x34, 0x40, 0x00, 0x3f, 0x11, 0x0f, 0xdb, // IPv4
        0x0a, 0x00, 0x00, 0x01, 0x0a, 0x00, 0x00, 0x02, //
        0xc0, 0x00, 0x00, 0x35, 0x05, 0xc8, 0x00, 0x00, // UDP, without its payload
    ];

    fn with(change: impl Fn(&mut IcmpError)) -> IcmpError {
        let mut bytes = TOO_LONG;
        let (error, _) = IcmpError::parse_mut(&mut bytes).unwrap();
        change(error);
        *error
    }

    #[test]
    fn an_error_shows_its_fields_and_the_quoted_packet() {
        let (error, payload) = IcmpError::parse(&TOO_LONG).unwrap();
        assert_eq!(IcmpError::LEN, 8);
        assert_eq!(error.icmp_type(), IcmpType::DESTINATION_UNREACHABLE);
        assert_eq!(error.code(), IcmpError::FRAGMENTATION_NEEDED);
        assert_eq!(error.checksum(), 0x3186);
        assert_eq!(error.next_hop_mtu(), Some(1400));
        assert_eq!((error.gateway(), error.pointer()), (None, None));
        assert!(error.verify_checksum(payload));
        assert_eq!(error.quoted(payload), &TOO_LONG[8..]);
        let text = "ICMP destination unreachable code 4 MTU 1400";
        assert_eq!(error.to_string(), text);
        let (ip, start) = Ipv4::parse_quoted(payload).unwrap();
        assert_eq!((ip.total_length(), ip.protocol()), (1500, IpProtocol::UDP));
        assert_eq!(start, &TOO_LONG[28..]);
        assert!(Ipv4::parse(payload).unwrap_err().is_truncated());
    }

    #[test]
    fn each_type_has_its_own_fields() {
        let redirect = with(|error| {
            error.set_icmp_type(IcmpType::REDIRECT);
            error.set_code(1);
            error.set_gateway(Ipv4Addr::new(10, 0, 0, 254));
        });
        assert_eq!(redirect.gateway(), Some(Ipv4Addr::new(10, 0, 0, 254)));
        assert_eq!((redirect.next_hop_mtu(), redirect.pointer()), (None, None));
        assert_eq!(redirect.to_string(), "ICMP redirect code 1 to 10.0.0.254");
        let problem = with(|error| {
            error.set_icmp_type(IcmpType::PARAMETER_PROBLEM);
            error.set_code(0);
            error.set_pointer(20);
        });
        assert_eq!(problem.pointer(), Some(20));
        assert_eq!((problem.next_hop_mtu(), problem.gateway()), (None, None));
        assert_eq!(
            problem.to_string(),
            "ICMP parameter problem code 0 at byte 20"
        );
        let missing = with(|error| {
            error.set_icmp_type(IcmpType::PARAMETER_PROBLEM);
            error.set_code(1);
        });
        assert_eq!(missing.pointer(), None);
        let time = with(|error| error.set_icmp_type(IcmpType::TIME_EXCEEDED));
        assert_eq!((time.next_hop_mtu(), time.gateway()), (None, None));
        let port = with(|error| error.set_code(IcmpError::PORT_UNREACHABLE));
        assert_eq!(port.next_hop_mtu(), None);
    }

    #[test]
    fn extensions_are_no_part_of_the_quoted_packet() {
        let payload = [7; 140];
        for (icmp_type, words, len) in [
            (IcmpType::TIME_EXCEEDED, 32, 128),
            (IcmpType::DESTINATION_UNREACHABLE, 32, 128),
            (IcmpType::PARAMETER_PROBLEM, 35, 140),
            (IcmpType::TIME_EXCEEDED, 0, 140),
            (IcmpType::TIME_EXCEEDED, 36, 140),
            (IcmpType::TIME_EXCEEDED, 255, 140),
            (IcmpType::REDIRECT, 32, 140),
            (IcmpType::SOURCE_QUENCH, 32, 140),
        ] {
            let error = with(|error| {
                error.set_icmp_type(icmp_type);
                error.set_gateway(Ipv4Addr::new(0, words, 0, 0));
            });
            assert_eq!(error.quoted(&payload).len(), len, "{error} {words}");
        }
    }

    #[test]
    fn a_truncated_header_names_what_is_missing() {
        for available in 0..IcmpError::LEN {
            let mut bytes = TOO_LONG;
            let error = IcmpError::truncated(available);
            assert_eq!(IcmpError::parse(&bytes[..available]), Err(error));
            assert_eq!(IcmpError::parse_mut(&mut bytes[..available]), Err(error));
        }
    }

    #[test]
    fn messages_that_report_no_error_are_refused() {
        for number in 0..=u8::MAX {
            let mut bytes = TOO_LONG;
            bytes[0] = number;
            let parsed = IcmpError::parse(&bytes);
            if IcmpType(number).is_error() {
                assert!(parsed.is_ok());
            } else {
                let error = ParseError::malformed(("ICMP error", "type", 0), number.into());
                assert_eq!(parsed, Err(error));
                assert_eq!(IcmpError::parse_mut(&mut bytes), Err(error));
            }
        }
    }

    #[test]
    fn a_built_error_gets_its_checksum() {
        let mut bytes = TOO_LONG;
        bytes[..8].fill(0);
        let (icmp, _) = Icmp::parse_mut(&mut bytes).unwrap();
        icmp.set_icmp_type(IcmpType::DESTINATION_UNREACHABLE);
        let (error, payload) = IcmpError::parse_mut(&mut bytes).unwrap();
        error.set_code(IcmpError::FRAGMENTATION_NEEDED);
        error.set_next_hop_mtu(1400);
        error.set_checksum(9);
        error.fill_checksum(payload);
        assert_eq!(bytes, TOO_LONG);
    }
}
