//! Internet Control Message Protocol for IPv4 (RFC 792).

#![forbid(unsafe_code)]

use std::fmt;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::ParseError;
use crate::proto::checksum::Accumulator;

mod echo;
mod error;

pub use echo::IcmpEcho;
pub use error::IcmpError;

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
        Self::ref_from_prefix(bytes).map_err(|_| truncated(bytes.len()))
    }

    /// Like [`Icmp::parse`], to change the message in place.
    ///
    /// # Errors
    ///
    /// As [`Icmp::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let available = bytes.len();
        Self::mut_from_prefix(bytes).map_err(|_| truncated(available))
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

use checksummed;

checksummed!(Icmp);

/// The checksum over a header and what follows it.
#[inline]
fn sum(header: &[u8], payload: &[u8]) -> u16 {
    let mut accumulator = Accumulator::new();
    accumulator.add_bytes(header);
    accumulator.add_bytes(payload);
    accumulator.finish()
}

const fn truncated(available: usize) -> ParseError {
    ParseError::truncated(("ICMP", "header", 0), Icmp::LEN, available)
}

impl fmt::Display for Icmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ICMP {} code {}", self.icmp_type(), self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
