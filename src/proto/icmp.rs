//! Internet Control Message Protocol for IPv4 (RFC 792): any message, echoes and errors.

#![forbid(unsafe_code)]

use std::fmt;
use std::net::Ipv4Addr;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::checksum;
use crate::proto::fields::{field_type, fields, message, view};

/// What an ICMP message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IcmpType(pub u8);

impl IcmpType {
    /// Answers an echo request.
    pub const ECHO_REPLY: Self = Self(0);
    /// The quoted packet could not be delivered.
    pub const DESTINATION_UNREACHABLE: Self = Self(3);
    /// The quoted packet was one too many (no longer in use, RFC 6633).
    pub const SOURCE_QUENCH: Self = Self(4);
    /// The quoted packet should have gone to another router.
    pub const REDIRECT: Self = Self(5);
    /// Asks for an echo reply with the same data.
    pub const ECHO_REQUEST: Self = Self(8);
    /// The quoted packet went through too many routers, or its fragments took too long.
    pub const TIME_EXCEEDED: Self = Self(11);
    /// The quoted packet has a header that was not understood.
    pub const PARAMETER_PROBLEM: Self = Self(12);
    /// Asks what time it is.
    pub const TIMESTAMP_REQUEST: Self = Self(13);
    /// Tells what time it is.
    pub const TIMESTAMP_REPLY: Self = Self(14);

    /// Whether the message quotes a packet that it is about; [`IcmpError`] is its view.
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::DESTINATION_UNREACHABLE
                | Self::SOURCE_QUENCH
                | Self::REDIRECT
                | Self::TIME_EXCEEDED
                | Self::PARAMETER_PROBLEM
        )
    }
}

field_type!(IcmpType: u8, IcmpType, |value: IcmpType| value.0);

impl fmt::Display for IcmpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ECHO_REPLY => f.pad("echo reply"),
            Self::DESTINATION_UNREACHABLE => f.pad("destination unreachable"),
            Self::SOURCE_QUENCH => f.pad("source quench"),
            Self::REDIRECT => f.pad("redirect"),
            Self::ECHO_REQUEST => f.pad("echo request"),
            Self::TIME_EXCEEDED => f.pad("time exceeded"),
            Self::PARAMETER_PROBLEM => f.pad("parameter problem"),
            Self::TIMESTAMP_REQUEST => f.pad("timestamp request"),
            Self::TIMESTAMP_REPLY => f.pad("timestamp reply"),
            Self(other) => write!(f, "type {other}"),
        }
    }
}

/// What all ICMP messages start with (RFC 792). The payload is the rest of the message.
///
/// ```text
/// byte   0  type      1
///        1  code      1
///        2  checksum  2   over the whole message
/// ```
///
/// By the type, the same bytes parse as [`IcmpEcho`] or as [`IcmpError`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Icmp {
    icmp_type: u8,
    code: u8,
    checksum: U16,
}

view!(Icmp, "ICMP":
    /// The header at the start of `bytes`, an IPv4 payload, and the rest of the message.
);

fields!(Icmp:
    /// What the message is.
    icmp_type() -> IcmpType;
    /// What it is more exactly; the meaning depends on the type.
    code() -> u8;
    /// The checksum as it stands in the header.
    checksum() -> u16;
    /// Sets what the message is.
    set_icmp_type(icmp_type: IcmpType);
    /// Sets what it is more exactly.
    set_code(code: u8);
    /// Sets the checksum field as given.
    set_checksum(checksum: u16);
);

/// Gives a view the calls that check and write its checksum.
macro_rules! checksummed {
    ($View:ident) => {
        impl $View {
            /// Whether the checksum is right for this and `payload`, all that follows it.
            #[inline]
            #[must_use]
            pub fn verify_checksum(&self, payload: &[u8]) -> bool {
                $crate::proto::checksum::of_parts(self.as_bytes(), payload) == 0
            }

            /// Sets the checksum for this and `payload`, all that follows it.
            #[inline]
            pub fn fill_checksum(&mut self, payload: &[u8]) {
                self.checksum.set(0);
                let sum = $crate::proto::checksum::of_parts(self.as_bytes(), payload);
                self.checksum.set(sum);
            }
        }
    };
}

checksummed!(Icmp);

impl fmt::Display for Icmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ICMP {} code {}", self.icmp_type(), self.code)
    }
}

/// Header of an ICMP echo request or reply (RFC 792, page 14). The payload is the echoed data.
///
/// ```text
/// byte   0  type        1   8 in a request, 0 in a reply
///        1  code        1   should be 0; echoes with another are answered all the same
///        2  checksum    2   over header and data
///        4  identifier  2
///        6  sequence    2
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct IcmpEcho {
    icmp_type: u8,
    code: u8,
    checksum: U16,
    identifier: U16,
    sequence: U16,
}

message!(
    IcmpEcho,
    "ICMP echo",
    IcmpType,
    IcmpType::ECHO_REQUEST | IcmpType::ECHO_REPLY,
    _
);
checksummed!(IcmpEcho);

fields!(IcmpEcho:
    /// Identifier: one for each pinging process of the sender.
    identifier() -> u16;
    /// Sequence number of the request within its identifier.
    sequence() -> u16;
    /// Makes this a request or a reply. Other types are no echo and would not parse again.
    set_icmp_type(icmp_type: IcmpType);
    /// Sets the identifier.
    set_identifier(identifier: u16);
    /// Sets the sequence number.
    set_sequence(sequence: u16);
);

impl IcmpEcho {
    /// Turns a request into its reply with code 0, checksum included. The data are not read.
    ///
    /// The checksum is adjusted, so it is right afterwards if it was right before.
    #[inline]
    pub fn into_reply(&mut self) {
        let old = u16::from_be_bytes([self.icmp_type, self.code]);
        self.icmp_type = IcmpType::ECHO_REPLY.0;
        self.code = 0;
        let mut checksum = checksum::update(self.checksum(), old, 0);
        // If all the rest is zero too, 0 would be wrong (see `update`). The data are unknown, but
        // 0xffff is taken as right whatever they are.
        if checksum == 0 && self.identifier == 0 && self.sequence == 0 {
            checksum = 0xffff;
        }
        self.set_checksum(checksum);
    }
}

impl fmt::Display for IcmpEcho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (identifier, sequence) = (self.identifier(), self.sequence());
        let icmp_type = self.icmp_type();
        write!(f, "ICMP {icmp_type} id {identifier:#06x} seq {sequence}")
    }
}

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
}

fields!(IcmpError:
    /// Sets which error. Types that are none would not parse again.
    set_icmp_type(icmp_type: IcmpType);
    /// Sets which error more exactly.
    set_code(code: u8);
    /// Sets the router that the packet should have gone to. The field is all others of other types.
    set_gateway(rest: Ipv4Addr);
);

impl IcmpError {
    /// Sets the longest packet in bytes that goes on. The field is half of the
    /// [`IcmpError::gateway`] of a redirect.
    #[inline]
    pub fn set_next_hop_mtu(&mut self, mtu: u16) {
        let [.., high, low] = &mut self.rest;
        [*high, *low] = mtu.to_be_bytes();
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
    use crate::proto::ParseError;

    /// Asks for the time (RFC 792, page 16).
    const TIMESTAMP: [u8; 20] = [
        0x0d, 0x00, 0x1b, 0x20, 0x00, 0x07, 0x00, 0x01, // type, code, checksum, id, sequence
        0x01, 0x23, 0xd6, 0xb4, 0, 0, 0, 0, 0, 0, 0, 0, // sent, received, sent back
    ];

    #[test]
    fn any_message_shows_its_type_and_payload() {
        let (icmp, payload) = Icmp::parse(&TIMESTAMP).unwrap();
        assert_eq!(Icmp::LEN, 4);
        assert_eq!(icmp.icmp_type(), IcmpType::TIMESTAMP_REQUEST);
        assert_eq!((icmp.code(), icmp.checksum()), (0, 0x1b20));
        assert_eq!(payload, &TIMESTAMP[4..]);
        assert!(icmp.verify_checksum(payload));
        assert_eq!(icmp.to_string(), "ICMP timestamp request code 0");
        assert_eq!(IcmpType(99).to_string(), "type 99");
    }

    #[test]
    fn a_truncated_header_names_what_is_missing() {
        for available in 0..Icmp::LEN {
            let mut bytes = TIMESTAMP;
            let error = ParseError::truncated(("ICMP", "header", 0), 4, available);
            assert_eq!(Icmp::parse(&bytes[..available]), Err(error));
            assert_eq!(Icmp::parse_mut(&mut bytes[..available]), Err(error));
        }
    }

    #[test]
    fn setters_write_the_packet_itself() {
        let mut bytes = TIMESTAMP;
        bytes[..4].fill(0xee);
        let (icmp, payload) = Icmp::parse_mut(&mut bytes).unwrap();
        icmp.set_icmp_type(IcmpType::TIMESTAMP_REQUEST);
        icmp.set_code(0);
        icmp.set_checksum(1);
        assert!(!icmp.verify_checksum(payload));
        icmp.fill_checksum(payload);
        assert_eq!(bytes, TIMESTAMP);
    }

    #[test]
    fn errors_are_told_from_questions_and_answers() {
        let errors = (0..=u8::MAX).filter(|&number| IcmpType(number).is_error());
        assert!(errors.eq([3, 4, 5, 11, 12]));
    }

    mod echo {
        use super::super::*;
        use crate::proto::ParseError;

        /// As `ping` sends it: the data are a time stamp and counting bytes.
        const REQUEST: [u8; 32] = [
            0x08, 0x00, 0x27, 0x6f, 0x1a, 0x2b, 0x00, 0x03, // echo request
            0x5e, 0x3c, 0x9f, 0x65, 0x00, 0x00, 0x00, 0x00, // time stamp
            0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, //
            0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, //
        ];

        #[test]
        fn a_request_shows_its_fields_and_data() {
            let (echo, data) = IcmpEcho::parse(&REQUEST).unwrap();
            assert_eq!(IcmpEcho::LEN, 8);
            assert_eq!(echo.icmp_type(), IcmpType::ECHO_REQUEST);
            assert_eq!(echo.code(), 0);
            assert_eq!(echo.checksum(), 0x276f);
            assert_eq!(echo.identifier(), 0x1a2b);
            assert_eq!(echo.sequence(), 3);
            assert_eq!(data, &REQUEST[8..]);
            assert!(echo.verify_checksum(data));
            assert_eq!(echo.to_string(), "ICMP echo request id 0x1a2b seq 3");
        }

        #[test]
        fn a_truncated_header_names_what_is_missing() {
            for available in 0..IcmpEcho::LEN {
                let mut bytes = REQUEST;
                let error = IcmpEcho::truncated(available);
                assert_eq!(IcmpEcho::parse(&bytes[..available]), Err(error));
                assert_eq!(IcmpEcho::parse_mut(&mut bytes[..available]), Err(error));
            }
        }

        #[test]
        fn other_messages_are_refused_by_field() {
            let mut bytes = REQUEST;
            bytes[0] = 3;
            let error = ParseError::malformed(("ICMP echo", "type", 0), 3);
            assert_eq!(IcmpEcho::parse(&bytes), Err(error));
            assert_eq!(IcmpEcho::parse_mut(&mut bytes), Err(error));
        }

        #[test]
        fn an_echo_may_have_any_code_and_its_reply_has_code_0() {
            for code in 0..=u8::MAX {
                let mut bytes = REQUEST;
                bytes[1] = code;
                let (echo, data) = IcmpEcho::parse_mut(&mut bytes).unwrap();
                echo.fill_checksum(data);
                echo.into_reply();
                assert_eq!((echo.icmp_type(), echo.code()), (IcmpType::ECHO_REPLY, 0));
                assert!(echo.verify_checksum(data), "{code}");
            }
        }

        #[test]
        fn changed_data_fail_the_checksum() {
            let mut bytes = REQUEST;
            bytes[31] ^= 1;
            let (echo, data) = IcmpEcho::parse(&bytes).unwrap();
            assert!(!echo.verify_checksum(data));
            assert!(!echo.verify_checksum(&data[..23]));
        }

        #[test]
        fn a_built_request_gets_its_checksum() {
            let mut bytes = REQUEST;
            bytes[..8].fill(0);
            let (echo, data) = IcmpEcho::parse_mut(&mut bytes).unwrap();
            echo.set_icmp_type(IcmpType::ECHO_REQUEST);
            echo.set_identifier(0x1a2b);
            echo.set_sequence(3);
            echo.fill_checksum(data);
            assert_eq!(bytes, REQUEST);
        }

        #[test]
        fn a_request_becomes_the_reply_in_place() {
            let mut bytes = REQUEST;
            let (echo, data) = IcmpEcho::parse_mut(&mut bytes).unwrap();
            echo.into_reply();
            assert_eq!(echo.icmp_type(), IcmpType::ECHO_REPLY);
            assert_eq!(echo.checksum(), 0x2f6f);
            assert!(echo.verify_checksum(data));
            assert_eq!(bytes[4..], REQUEST[4..]);
        }

        #[test]
        fn every_right_request_becomes_a_right_reply() {
            // Sequence and data run through every checksum, and through all-zero replies.
            for (identifier, data) in [(0, &[][..]), (0, &[0; 5]), (0, &[0xff; 2]), (7, &[1, 2, 3])]
            {
                for sequence in 0..=u16::MAX {
                    let mut bytes = [&[0; 8], data].concat();
                    let (echo, data) = IcmpEcho::parse_mut(&mut bytes).unwrap();
                    echo.set_icmp_type(IcmpType::ECHO_REQUEST);
                    echo.set_identifier(identifier);
                    echo.set_sequence(sequence);
                    echo.fill_checksum(data);
                    echo.into_reply();
                    assert!(echo.verify_checksum(data), "{echo} {data:?}");
                }
            }
        }

        #[test]
        fn a_wrong_request_becomes_a_wrong_reply() {
            let mut bytes = REQUEST;
            bytes[2] ^= 0x40;
            let (echo, data) = IcmpEcho::parse_mut(&mut bytes).unwrap();
            echo.into_reply();
            assert!(!echo.verify_checksum(data));
        }
    }

    mod error {
        use super::super::*;
        use crate::proto::ParseError;
        use crate::proto::{IpProtocol, Ipv4};

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
}
