//! Internet Control Message Protocol for IPv6 (RFC 4443).

#![forbid(unsafe_code)]

use std::fmt;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::checksum::{Accumulator, PseudoHeader};
use crate::proto::{IpProtocol, ParseError};

mod echo;
mod error;

pub use echo::Icmpv6Echo;
pub use error::Icmpv6Error;

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
    /// Tells of a multicast group that is listened to (RFC 2710).
    pub const LISTENER_REPORT: Self = Self(131);
    /// Tells of a multicast group that is no longer listened to (RFC 2710).
    pub const LISTENER_DONE: Self = Self(132);
    /// Asks routers to advertise themselves (RFC 4861).
    pub const ROUTER_SOLICITATION: Self = Self(133);
    /// A router tells of itself and its links (RFC 4861).
    pub const ROUTER_ADVERTISEMENT: Self = Self(134);
    /// Asks for the link-layer address of a neighbor (RFC 4861).
    pub const NEIGHBOR_SOLICITATION: Self = Self(135);
    /// Tells a link-layer address (RFC 4861).
    pub const NEIGHBOR_ADVERTISEMENT: Self = Self(136);
    /// A packet should have gone to another router (RFC 4861).
    pub const REDIRECT: Self = Self(137);
    /// Tells which multicast groups are listened to (RFC 3810).
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

impl Icmpv6 {
    /// Length of the header in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// The header at the start of `bytes`, the upper layer of an IPv6 packet, and the rest of the
    /// message.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if there are fewer than [`Icmpv6::LEN`] bytes.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        Self::ref_from_prefix(bytes).map_err(|_| truncated(bytes.len()))
    }

    /// Like [`Icmpv6::parse`], to change the message in place.
    ///
    /// # Errors
    ///
    /// As [`Icmpv6::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let available = bytes.len();
        Self::mut_from_prefix(bytes).map_err(|_| truncated(available))
    }

    /// What the message is.
    #[inline]
    #[must_use]
    pub fn icmp_type(&self) -> Icmpv6Type {
        Icmpv6Type(self.icmp_type)
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
    pub fn set_icmp_type(&mut self, icmp_type: Icmpv6Type) {
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
}

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
                $crate::proto::icmpv6::sum(pseudo_header, self.as_bytes(), payload) == 0
            }

            /// Sets the checksum for this, `payload` (all that follows it) and the IP addresses.
            #[inline]
            pub fn fill_checksum(
                &mut self,
                pseudo_header: $crate::proto::checksum::PseudoHeader,
                payload: &[u8],
            ) {
                self.checksum.set(0);
                let sum = $crate::proto::icmpv6::sum(pseudo_header, self.as_bytes(), payload);
                self.checksum.set(sum);
            }
        }
    )* };
}

pub(in crate::proto) use checksummed;

checksummed!(Icmpv6);

/// The checksum over a header and what follows it.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "at most 65535 in a packet")]
pub(in crate::proto) fn sum(pseudo_header: PseudoHeader, header: &[u8], payload: &[u8]) -> u16 {
    let mut accumulator = Accumulator::new();
    let length = header.len().wrapping_add(payload.len()) as u32;
    accumulator.add_pseudo_header(pseudo_header, IpProtocol::ICMPV6, length);
    accumulator.add_bytes(header);
    accumulator.add_bytes(payload);
    accumulator.finish()
}

const fn truncated(available: usize) -> ParseError {
    ParseError::truncated(("ICMPv6", "header", 0), Icmpv6::LEN, available)
}

impl fmt::Display for Icmpv6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ICMPv6 {} code {}", self.icmp_type(), self.code)
    }
}

#[cfg(test)]
mod tests;
