//! Internet Control Message Protocol for IPv6 (RFC 4443): any message, echoes and errors.

#![forbid(unsafe_code)]

use std::fmt;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::checksum;
use crate::proto::fields::{field_type, fields, message, view};

/// What an ICMPv6 message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Icmpv6Type(pub u8);

impl Icmpv6Type {
    /// The quoted packet could not be delivered.
    pub const DESTINATION_UNREACHABLE: Self = Self(1);
    /// The quoted packet is too long for a link.
    pub const PACKET_TOO_BIG: Self = Self(2);
    /// The quoted packet went through too many routers, or its fragments took too long.
    pub const TIME_EXCEEDED: Self = Self(3);
    /// The quoted packet has a header that was not understood.
    pub const PARAMETER_PROBLEM: Self = Self(4);
    /// Asks for an echo reply with the same data.
    pub const ECHO_REQUEST: Self = Self(128);
    /// Answers an echo request.
    pub const ECHO_REPLY: Self = Self(129);
    /// Asks who listens to which multicast groups (RFC 3810).
    pub const LISTENER_QUERY: Self = Self(130);
    /// Reports a multicast group that is listened to (RFC 2710).
    pub const LISTENER_REPORT: Self = Self(131);
    /// Reports a multicast group that is no longer listened to (RFC 2710).
    pub const LISTENER_DONE: Self = Self(132);
    /// Asks routers to advertise themselves (RFC 4861).
    pub const ROUTER_SOLICITATION: Self = Self(133);
    /// A router advertises itself and its links (RFC 4861).
    pub const ROUTER_ADVERTISEMENT: Self = Self(134);
    /// Asks for the link-layer address of a neighbor (RFC 4861).
    pub const NEIGHBOR_SOLICITATION: Self = Self(135);
    /// Announces a link-layer address (RFC 4861).
    pub const NEIGHBOR_ADVERTISEMENT: Self = Self(136);
    /// A packet should have gone to another router (RFC 4861).
    pub const REDIRECT: Self = Self(137);
    /// Reports which multicast groups are listened to (RFC 3810).
    pub const LISTENER_REPORT_V2: Self = Self(143);

    /// Whether the message quotes a packet that it is about (RFC 4443, section 2.1).
    ///
    /// [`Icmpv6Error`] is the view of those that are defined.
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 < 128
    }
}

field_type!(Icmpv6Type: u8, Icmpv6Type, |value: Icmpv6Type| value.0);

impl fmt::Display for Icmpv6Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DESTINATION_UNREACHABLE => f.pad("destination unreachable"),
            Self::PACKET_TOO_BIG => f.pad("packet too big"),
            Self::TIME_EXCEEDED => f.pad("time exceeded"),
            Self::PARAMETER_PROBLEM => f.pad("parameter problem"),
            Self::ECHO_REQUEST => f.pad("echo request"),
            Self::ECHO_REPLY => f.pad("echo reply"),
            Self::LISTENER_QUERY => f.pad("multicast listener query"),
            Self::LISTENER_REPORT => f.pad("multicast listener report"),
            Self::LISTENER_DONE => f.pad("multicast listener done"),
            Self::ROUTER_SOLICITATION => f.pad("router solicitation"),
            Self::ROUTER_ADVERTISEMENT => f.pad("router advertisement"),
            Self::NEIGHBOR_SOLICITATION => f.pad("neighbor solicitation"),
            Self::NEIGHBOR_ADVERTISEMENT => f.pad("neighbor advertisement"),
            Self::REDIRECT => f.pad("redirect"),
            Self::LISTENER_REPORT_V2 => f.pad("multicast listener report v2"),
            Self(other) => write!(f, "type {other}"),
        }
    }
}

/// What all ICMPv6 messages start with (RFC 4443, section 2.1). The payload is the rest of the
/// message.
///
/// ```text
/// byte   0  type      1
///        1  code      1
///        2  checksum  2   over pseudo header and the whole message
/// ```
///
/// By the type, the same bytes parse as [`Icmpv6Echo`], [`Icmpv6Error`], or as a message of
/// neighbor discovery, such as [`NeighborSolicitation`](crate::proto::NeighborSolicitation).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Icmpv6 {
    icmp_type: u8,
    code: u8,
    checksum: U16,
}

view!(Icmpv6, "ICMPv6":
    /// The header at the start of `bytes`, the upper layer of an IPv6 packet, and the rest of the
    /// message.
);

fields!(Icmpv6:
    /// What the message is.
    icmp_type() -> Icmpv6Type;
    /// What it is more exactly; the meaning depends on the type.
    code() -> u8;
    /// The checksum as it stands in the header.
    checksum() -> u16;
    /// Sets what the message is.
    set_icmp_type(icmp_type: Icmpv6Type);
    /// Sets what it is more exactly.
    set_code(code: u8);
    /// Sets the checksum field as given.
    set_checksum(checksum: u16);
);

/// Gives views the calls that check and write their checksum.
macro_rules! checksummed {
    ($($View:ident)*) => { $(
        impl $View {
            /// Whether the checksum is right for this, `payload` (all that follows it) and the IP
            /// addresses.
            #[inline]
            #[must_use]
            pub fn verify_checksum(
                &self,
                pseudo_header: $crate::proto::checksum::PseudoHeader,
                payload: &[u8],
            ) -> bool {
                pseudo_header.checksum_of_parts(
                    $crate::proto::IpProtocol::ICMPV6,
                    self.as_bytes(),
                    payload,
                ) == 0
            }

            /// Sets the checksum for this, `payload` (all that follows it) and the IP addresses.
            #[inline]
            pub fn fill_checksum(
                &mut self,
                pseudo_header: $crate::proto::checksum::PseudoHeader,
                payload: &[u8],
            ) {
                self.checksum.set(0);
                let sum = pseudo_header.checksum_of_parts(
                    $crate::proto::IpProtocol::ICMPV6,
                    self.as_bytes(),
                    payload,
                );
                self.checksum.set(sum);
            }
        }
    )* };
}

checksummed!(Icmpv6);

impl fmt::Display for Icmpv6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ICMPv6 {} code {}", self.icmp_type(), self.code)
    }
}

/// Header of an ICMPv6 echo request or reply (RFC 4443, section 4). The payload is the echoed data.
///
/// ```text
/// byte   0  type        1   128 in a request, 129 in a reply
///        1  code        1   should be 0; echoes with another are answered all the same
///        2  checksum    2   over pseudo header, header and data
///        4  identifier  2
///        6  sequence    2
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Icmpv6Echo {
    icmp_type: u8,
    code: u8,
    checksum: U16,
    identifier: U16,
    sequence: U16,
}

message!(
    Icmpv6Echo,
    "ICMPv6 echo",
    Icmpv6Type,
    Icmpv6Type::ECHO_REQUEST | Icmpv6Type::ECHO_REPLY,
    _
);
checksummed!(Icmpv6Echo);

fields!(Icmpv6Echo:
    /// Identifier: one for each pinging process of the sender.
    identifier() -> u16;
    /// Sequence number of the request within its identifier.
    sequence() -> u16;
    /// Makes this a request or a reply. Other types are no echo and would not parse again.
    set_icmp_type(icmp_type: Icmpv6Type);
    /// Sets the identifier.
    set_identifier(identifier: u16);
    /// Sets the sequence number.
    set_sequence(sequence: u16);
);

impl Icmpv6Echo {
    /// Turns a request into its reply, checksum included. The data are not read, and the addresses
    /// have yet to be swapped, which changes no checksum.
    ///
    /// The checksum is adjusted, so it is right afterwards if it was right before.
    #[inline]
    pub fn into_reply(&mut self) {
        let old = u16::from_be_bytes([self.icmp_type, self.code]);
        (self.icmp_type, self.code) = (Icmpv6Type::ECHO_REPLY.0, 0);
        let new = u16::from_be_bytes([self.icmp_type, self.code]);
        self.set_checksum(checksum::update(self.checksum(), old, new));
    }
}

impl fmt::Display for Icmpv6Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (identifier, sequence) = (self.identifier(), self.sequence());
        let icmp_type = self.icmp_type();
        write!(f, "ICMPv6 {icmp_type} id {identifier:#06x} seq {sequence}")
    }
}

/// Header of an ICMPv6 message that reports an error: destination unreachable, packet too big, time
/// exceeded or parameter problem (RFC 4443, section 3). The payload starts with the packet that met
/// it, of which as a rule only the start is there: [`Ipv6::parse_quoted`] reads that.
///
/// ```text
/// byte   0  type      1
///        1  code      1
///        2  checksum  2   over pseudo header, header and payload
///        4  MTU       4   of packet too big
///     or 4  pointer   4   of a parameter problem
///     or 4  length    1   of the quoted packet in 64-bit words (RFC 4884), or 0
/// ```
///
/// [`Ipv6::parse_quoted`]: crate::proto::Ipv6::parse_quoted
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Icmpv6Error {
    icmp_type: u8,
    code: u8,
    checksum: U16,
    rest: U32,
}

message!(
    Icmpv6Error,
    "ICMPv6 error",
    Icmpv6Type,
    Icmpv6Type::DESTINATION_UNREACHABLE
        | Icmpv6Type::PACKET_TOO_BIG
        | Icmpv6Type::TIME_EXCEEDED
        | Icmpv6Type::PARAMETER_PROBLEM,
    _
);
checksummed!(Icmpv6Error);

impl Icmpv6Error {
    /// Code of destination unreachable: there is no route.
    pub const NO_ROUTE: u8 = 0;
    /// Code of destination unreachable: a firewall forbids it.
    pub const PROHIBITED: u8 = 1;
    /// Code of destination unreachable: the host does not answer, or for any other reason.
    pub const ADDRESS_UNREACHABLE: u8 = 3;
    /// Code of destination unreachable: no program listens on the port.
    pub const PORT_UNREACHABLE: u8 = 4;

    /// The longest packet in bytes that goes on, if this packet was too big.
    #[inline]
    #[must_use]
    pub fn mtu(&self) -> Option<u32> {
        let is_there = self.icmp_type() == Icmpv6Type::PACKET_TOO_BIG;
        is_there.then_some(self.rest.get())
    }

    /// Which byte of the quoted packet was not understood, if this is a parameter problem.
    #[inline]
    #[must_use]
    pub fn pointer(&self) -> Option<u32> {
        let is_there = self.icmp_type() == Icmpv6Type::PARAMETER_PROBLEM;
        is_there.then_some(self.rest.get())
    }

    /// The quoted packet without the extensions that may follow it (RFC 4884); `payload` is what
    /// parsing gave.
    ///
    /// All of `payload`, if the header does not say where the packet ends, or says that it is
    /// longer.
    #[inline]
    #[must_use]
    pub fn quoted<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        let [words, ..] = self.rest.to_bytes();
        match self.icmp_type() {
            Icmpv6Type::PACKET_TOO_BIG | Icmpv6Type::PARAMETER_PROBLEM => payload,
            _ if words == 0 => payload,
            _ => payload.get(..usize::from(words) * 8).unwrap_or(payload),
        }
    }
}

fields!(Icmpv6Error:
    /// Sets which error. Types that are none would not parse again.
    set_icmp_type(icmp_type: Icmpv6Type);
    /// Sets which error more exactly.
    set_code(code: u8);
    /// Sets the longest packet in bytes that goes on: the same field as [`Icmpv6Error::pointer`].
    set_mtu(rest: u32);
    /// Sets which byte of the quoted packet was not understood: the same field as
    /// [`Icmpv6Error::mtu`].
    set_pointer(rest: u32);
);

impl fmt::Display for Icmpv6Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ICMPv6 {} code {}", self.icmp_type(), self.code)?;
        if let Some(mtu) = self.mtu() {
            write!(f, " MTU {mtu}")?;
        }
        if let Some(pointer) = self.pointer() {
            write!(f, " at byte {pointer}")?;
        }
        Ok(())
    }
}

pub(super) use checksummed;

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::proto::checksum::PseudoHeader;
    use crate::proto::{Ipv6, ParseError};

    const HOST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const SERVER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

    /// From the host to the server.
    const REQUEST: [u8; 13] = [
        0x80, 0x00, 0x0a, 0x44, 0x1a, 0x2b, 0x00, 0x03, // echo request
        b'p', b'i', b'n', b'g', b'!',
    ];

    /// What a router, here the server itself, answers to a packet of 1500 bytes from the host.
    const TOO_BIG: [u8; 56] = [
        0x02, 0x00, 0x04, 0xc5, 0x00, 0x00, 0x05, 0x00, // packet too big, MTU 1280
        0x60, 0x00, 0x00, 0x00, 0x05, 0xb4, 0x11, 0x40, // IPv6, UDP
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, //
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, //
        0xc0, 0x00, 0x00, 0x35, 0x05, 0xb4, 0x00, 0x00, // UDP, without its payload
    ];

    fn there() -> PseudoHeader {
        PseudoHeader::ipv6(HOST, SERVER)
    }

    fn with(change: impl Fn(&mut Icmpv6Error)) -> Icmpv6Error {
        let mut bytes = TOO_BIG;
        let (error, _) = Icmpv6Error::parse_mut(&mut bytes).unwrap();
        change(error);
        *error
    }

    #[test]
    fn any_message_shows_its_type_and_payload() {
        let (icmp, payload) = Icmpv6::parse(&REQUEST).unwrap();
        assert_eq!(Icmpv6::LEN, 4);
        assert_eq!(icmp.icmp_type(), Icmpv6Type::ECHO_REQUEST);
        assert_eq!((icmp.code(), icmp.checksum()), (0, 0x0a44));
        assert_eq!(payload, &REQUEST[4..]);
        assert!(icmp.verify_checksum(there(), payload));
        let elsewhere = PseudoHeader::ipv6(HOST, HOST);
        assert!(!icmp.verify_checksum(elsewhere, payload));
        assert_eq!(icmp.to_string(), "ICMPv6 echo request code 0");
        assert_eq!(Icmpv6Type(200).to_string(), "type 200");
        assert!(Icmpv6Type::PARAMETER_PROBLEM.is_error());
        assert!(!icmp.icmp_type().is_error());
    }

    #[test]
    fn an_echo_shows_its_fields_and_data() {
        let (echo, data) = Icmpv6Echo::parse(&REQUEST).unwrap();
        assert_eq!(Icmpv6Echo::LEN, 8);
        assert_eq!((echo.identifier(), echo.sequence()), (0x1a2b, 3));
        assert_eq!(data, b"ping!");
        assert!(echo.verify_checksum(there(), data));
        let text = "ICMPv6 echo request id 0x1a2b seq 3";
        assert_eq!(echo.to_string(), text);
    }

    #[test]
    fn an_error_shows_its_fields_and_the_quoted_packet() {
        let (error, payload) = Icmpv6Error::parse(&TOO_BIG).unwrap();
        assert_eq!(Icmpv6Error::LEN, 8);
        assert_eq!(error.icmp_type(), Icmpv6Type::PACKET_TOO_BIG);
        assert_eq!((error.code(), error.checksum()), (0, 0x04c5));
        assert_eq!((error.mtu(), error.pointer()), (Some(1280), None));
        assert!(error.verify_checksum(there(), payload));
        assert_eq!(error.quoted(payload), &TOO_BIG[8..]);
        let text = "ICMPv6 packet too big code 0 MTU 1280";
        assert_eq!(error.to_string(), text);
        let (ip, start) = Ipv6::parse_quoted(payload).unwrap();
        assert_eq!((ip.source(), ip.payload_length()), (HOST, 1460));
        assert_eq!(start, &TOO_BIG[48..]);
    }

    #[test]
    fn each_error_has_its_own_fields() {
        let problem = with(|error| {
            error.set_icmp_type(Icmpv6Type::PARAMETER_PROBLEM);
            error.set_code(1);
            error.set_pointer(6);
        });
        assert_eq!((problem.mtu(), problem.pointer()), (None, Some(6)));
        let text = "ICMPv6 parameter problem code 1 at byte 6";
        assert_eq!(problem.to_string(), text);
        let time = with(|error| error.set_icmp_type(Icmpv6Type::TIME_EXCEEDED));
        assert_eq!((time.mtu(), time.pointer()), (None, None));
        assert_eq!(time.to_string(), "ICMPv6 time exceeded code 0");
    }

    #[test]
    fn extensions_are_no_part_of_the_quoted_packet() {
        let payload = [7; 140];
        for (icmp_type, words, len) in [
            (Icmpv6Type::TIME_EXCEEDED, 16, 128),
            (Icmpv6Type::DESTINATION_UNREACHABLE, 17, 136),
            (Icmpv6Type::DESTINATION_UNREACHABLE, 18, 140),
            (Icmpv6Type::TIME_EXCEEDED, 0, 140),
            (Icmpv6Type::TIME_EXCEEDED, 255, 140),
            (Icmpv6Type::PACKET_TOO_BIG, 16, 140),
            (Icmpv6Type::PARAMETER_PROBLEM, 16, 140),
        ] {
            let error = with(|error| {
                error.set_icmp_type(icmp_type);
                error.set_pointer(words << 24);
            });
            assert_eq!(error.quoted(&payload).len(), len, "{error} {words}");
        }
    }

    #[test]
    fn a_truncated_message_names_what_is_missing() {
        for available in 0..8 {
            let mut echo = REQUEST;
            let mut error = TOO_BIG;
            let fault = |name, len| ParseError::truncated((name, "header", 0), len, available);
            let wanted = fault("ICMPv6 echo", 8);
            assert_eq!(Icmpv6Echo::parse(&echo[..available]), Err(wanted));
            assert_eq!(Icmpv6Echo::parse_mut(&mut echo[..available]), Err(wanted));
            let wanted = fault("ICMPv6 error", 8);
            assert_eq!(Icmpv6Error::parse(&error[..available]), Err(wanted));
            assert_eq!(Icmpv6Error::parse_mut(&mut error[..available]), Err(wanted));
            if available < 4 {
                let wanted = fault("ICMPv6", 4);
                assert_eq!(Icmpv6::parse(&echo[..available]), Err(wanted));
                assert_eq!(Icmpv6::parse_mut(&mut echo[..available]), Err(wanted));
            }
        }
    }

    #[test]
    fn other_messages_are_refused_by_field() {
        for number in 0..=u8::MAX {
            let mut bytes = REQUEST;
            bytes[0] = number;
            let fault = |name| ParseError::malformed((name, "type", 0), number.into());
            if matches!(number, 128 | 129) {
                assert!(Icmpv6Echo::parse(&bytes).is_ok());
            } else {
                assert_eq!(Icmpv6Echo::parse(&bytes), Err(fault("ICMPv6 echo")));
            }
            if matches!(number, 1..=4) {
                assert!(Icmpv6Error::parse_mut(&mut bytes).is_ok());
            } else {
                let wanted = fault("ICMPv6 error");
                assert_eq!(Icmpv6Error::parse_mut(&mut bytes), Err(wanted));
            }
        }
    }

    #[test]
    fn an_echo_may_have_any_code_and_its_reply_has_code_0() {
        for code in 0..=u8::MAX {
            let mut bytes = REQUEST;
            bytes[1] = code;
            let (echo, data) = Icmpv6Echo::parse_mut(&mut bytes).unwrap();
            echo.fill_checksum(there(), data);
            echo.into_reply();
            assert_eq!((echo.icmp_type(), echo.code()), (Icmpv6Type::ECHO_REPLY, 0));
            assert!(echo.verify_checksum(there(), data), "{code}");
        }
    }

    #[test]
    fn built_messages_get_their_checksum() {
        let mut bytes = REQUEST;
        bytes[..8].fill(0);
        let (icmp, _) = Icmpv6::parse_mut(&mut bytes).unwrap();
        icmp.set_icmp_type(Icmpv6Type::ECHO_REPLY);
        icmp.set_code(0);
        icmp.set_checksum(9);
        let (echo, data) = Icmpv6Echo::parse_mut(&mut bytes).unwrap();
        echo.set_icmp_type(Icmpv6Type::ECHO_REQUEST);
        echo.set_identifier(0x1a2b);
        echo.set_sequence(3);
        echo.fill_checksum(there(), data);
        assert_eq!(bytes, REQUEST);

        let mut bytes = TOO_BIG;
        bytes[..8].fill(0);
        let (icmp, _) = Icmpv6::parse_mut(&mut bytes).unwrap();
        icmp.set_icmp_type(Icmpv6Type::PACKET_TOO_BIG);
        let (error, _) = Icmpv6Error::parse_mut(&mut bytes).unwrap();
        error.set_mtu(1280);
        let (icmp, payload) = Icmpv6::parse_mut(&mut bytes).unwrap();
        icmp.fill_checksum(there(), payload);
        assert_eq!(bytes, TOO_BIG);
    }

    #[test]
    fn every_right_request_becomes_a_right_reply() {
        for sequence in 0..=u16::MAX {
            let mut bytes = REQUEST;
            let (echo, data) = Icmpv6Echo::parse_mut(&mut bytes).unwrap();
            echo.set_sequence(sequence);
            echo.fill_checksum(there(), data);
            echo.into_reply();
            assert_eq!(echo.icmp_type(), Icmpv6Type::ECHO_REPLY);
            assert!(echo.verify_checksum(PseudoHeader::ipv6(SERVER, HOST), data));
            echo.set_checksum(echo.checksum() ^ 1);
            assert!(!echo.verify_checksum(there(), data));
        }
    }
}
