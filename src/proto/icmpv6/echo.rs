//! Echo messages of ICMPv6 (RFC 4443, section 4).

#![forbid(unsafe_code)]

use std::fmt;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksummed;
use crate::proto::Icmpv6Type;
use crate::proto::checksum;
use crate::proto::message::message;

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

impl Icmpv6Echo {
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
    pub fn set_icmp_type(&mut self, icmp_type: Icmpv6Type) {
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
