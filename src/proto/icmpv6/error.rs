//! Errors that ICMPv6 reports (RFC 4443, section 3).

#![forbid(unsafe_code)]

use std::fmt;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksummed;
use crate::proto::Icmpv6Type;
use crate::proto::message::message;

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

    /// Sets which error. Types that are none would not parse again.
    #[inline]
    pub fn set_icmp_type(&mut self, icmp_type: Icmpv6Type) {
        self.icmp_type = icmp_type.0;
    }

    /// Sets which error more exactly.
    #[inline]
    pub fn set_code(&mut self, code: u8) {
        self.code = code;
    }

    /// Sets the longest packet in bytes that goes on: the same field as [`Icmpv6Error::pointer`].
    #[inline]
    pub fn set_mtu(&mut self, mtu: u32) {
        self.rest.set(mtu);
    }

    /// Sets which byte of the quoted packet was not understood: the same field as
    /// [`Icmpv6Error::mtu`].
    #[inline]
    pub fn set_pointer(&mut self, pointer: u32) {
        self.rest.set(pointer);
    }
}

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
