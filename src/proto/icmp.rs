//! Internet Control Message Protocol for IPv4 (RFC 792): any message, echoes and errors.

#![forbid(unsafe_code)]

use std::fmt;
use std::net::Ipv4Addr;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::ParseError;
use crate::proto::checksum::{self, Accumulator};
use crate::proto::message::message;

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

impl Icmp {
    /// Length of the header in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// The header at the start of `bytes`, an IPv4 payload, and the rest of the message.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if there are fewer than [`Icmp::LEN`] bytes.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        Self::ref_from_prefix(bytes).map_err(|_| Self::truncated(bytes.len()))
    }

    /// Like [`Icmp::parse`], to change the message in place.
    ///
    /// # Errors
    ///
    /// As [`Icmp::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let available = bytes.len();
        Self::mut_from_prefix(bytes).map_err(|_| Self::truncated(available))
    }

    /// What the message is.
    #[inline]
    #[must_use]
    pub fn icmp_type(&self) -> IcmpType {
        IcmpType(self.icmp_type)
    }

    /// What it is more exactly; the meaning depends on the type.
    #[inline]
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }

    /// The checksum as it stands in the header.
    #[inline]
    #[must_use]
    pub fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// Sets what the message is.
    #[inline]
    pub fn set_icmp_type(&mut self, icmp_type: IcmpType) {
        self.icmp_type = icmp_type.0;
    }

    /// Sets what it is more exactly.
    #[inline]
    pub fn set_code(&mut self, code: u8) {
        self.code = code;
    }

    /// Sets the checksum field as given.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        self.checksum.set(checksum);
    }

    const fn truncated(available: usize) -> ParseError {
        ParseError::truncated(("ICMP", "header", 0), Self::LEN, available)
    }
}

/// Gives a view the calls that check and write its checksum.
macro_rules! checksummed {
    ($View:ident) => {
        impl $View {
            /// Whether the checksum is right for this and `payload`, all that follows it.
            #[inline]
            #[must_use]
            pub fn verify_checksum(&self, payload: &[u8]) -> bool {
                $crate::proto::icmp::sum(self.as_bytes(), payload) == 0
            }

            /// Sets the checksum for this and `payload`, all that follows it.
            #[inline]
            pub fn fill_checksum(&mut self, payload: &[u8]) {
                self.checksum.set(0);
                let sum = $crate::proto::icmp::sum(self.as_bytes(), payload);
                self.checksum.set(sum);
            }
        }
    };
}

checksummed!(Icmp);

/// The checksum over a header and what follows it.
#[inline]
fn sum(header: &[u8], payload: &[u8]) -> u16 {
    let mut accumulator = Accumulator::new();
    accumulator.add_bytes(header);
    accumulator.add_bytes(payload);
    accumulator.finish()
}

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

impl IcmpEcho {
    /// Tells the sender's pinging processes apart.
    #[inline]
    #[must_use]
    pub fn identifier(&self) -> u16 {
        self.identifier.get()
    }

    /// Tells the requests of one process apart.
    #[inline]
    #[must_use]
    pub fn sequence(&self) -> u16 {
        self.sequence.get()
    }

    /// Makes this a request or a reply. Other types are no echo and would not parse again.
    #[inline]
    pub fn set_icmp_type(&mut self, icmp_type: IcmpType) {
        self.icmp_type = icmp_type.0;
    }

    /// Sets the identifier.
    #[inline]
    pub fn set_identifier(&mut self, identifier: u16) {
        self.identifier.set(identifier);
    }

    /// Sets the sequence number.
    #[inline]
    pub fn set_sequence(&mut self, sequence: u16) {
        self.sequence.set(sequence);
    }

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
mod tests;
