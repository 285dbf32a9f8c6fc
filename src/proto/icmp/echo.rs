//! Echo messages of ICMP for IPv4 (RFC 792).

#![forbid(unsafe_code)]

use std::fmt;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksummed;
use crate::proto::message::message;
use crate::proto::{IcmpType, checksum};

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

#[cfg(test)]
mod tests {
    use super::*;
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
        for (identifier, data) in [(0, &[][..]), (0, &[0; 5]), (0, &[0xff; 2]), (7, &[1, 2, 3])] {
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
