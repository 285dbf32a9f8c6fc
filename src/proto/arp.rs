//! Address Resolution Protocol for IPv4 over Ethernet (RFC 826).

#![forbid(unsafe_code)]

use std::fmt;
use std::net::Ipv4Addr;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::fields::{field_type, fields, view};
use crate::proto::{EtherType, MacAddr, ParseError};

/// Operation of an ARP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArpOperation(pub u16);

impl ArpOperation {
    /// Who has the target IP address?
    pub const REQUEST: Self = Self(1);
    /// The sender IP address is at the sender MAC address.
    pub const REPLY: Self = Self(2);
}

field_type!(ArpOperation: U16, |field: U16| ArpOperation(field.get()), |value: ArpOperation| U16::new(value.0));

impl fmt::Display for ArpOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::REQUEST => f.pad("request"),
            Self::REPLY => f.pad("reply"),
            Self(other) => write!(f, "operation {other}"),
        }
    }
}

/// ARP packet for IPv4 over Ethernet (RFC 826).
///
/// ```text
/// byte   0  hardware type    2   1, Ethernet; or 6, IEEE 802 (RFC 1042)
///        2  protocol type    2   0x0800, IPv4
///        4  hardware length  1   6
///        5  protocol length  1   4
///        6  operation        2
///        8  sender MAC       6
///       14  sender IP        4
///       18  target MAC       6
///       24  target IP        4
/// ```
///
/// The three fields behind the first have no getters: parsing allows one value for each.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Arp {
    hardware_type: U16,
    protocol_type: U16,
    hardware_len: u8,
    protocol_len: u8,
    operation: U16,
    sender_mac: MacAddr,
    sender_ip: [u8; 4],
    target_mac: MacAddr,
    target_ip: [u8; 4],
}

/// Hardware types (IANA's ARP parameters).
const ETHERNET: u16 = 1;
const IEEE_802: u16 = 6;

view!(Arp, "ARP", check "if the packet is not about IPv4 over Ethernet":
    /// The ARP packet at the start of `bytes`, and what follows it: Ethernet padding, if any.
);

impl Arp {
    #[inline]
    fn check(&self) -> Result<(), ParseError> {
        let is_ethernet = self.hardware_type == ETHERNET || self.hardware_type == IEEE_802;
        let (field, offset, value) = if !is_ethernet {
            ("hardware type", 0, self.hardware_type.into())
        } else if self.protocol_type != EtherType::IPV4.0 {
            ("protocol type", 2, self.protocol_type.into())
        } else if self.hardware_len != 6 {
            ("hardware length", 4, self.hardware_len.into())
        } else if self.protocol_len != 4 {
            ("protocol length", 5, self.protocol_len.into())
        } else {
            return Ok(());
        };
        Err(ParseError::malformed(("ARP", field, offset), value))
    }
}

fields!(Arp:
    /// 1 for Ethernet, or 6 for IEEE 802, which some send for the same.
    hardware_type() -> u16;
    /// The operation.
    operation() -> ArpOperation;
    /// Ethernet address of the sender.
    sender_mac() -> MacAddr;
    /// IPv4 address of the sender; `0.0.0.0` in a probe (RFC 5227).
    sender_ip() -> Ipv4Addr;
    /// Ethernet address of the target; without meaning in a request.
    target_mac() -> MacAddr;
    /// IPv4 address of the target: in a request, the one asked for.
    target_ip() -> Ipv4Addr;
    /// Sets the operation.
    set_operation(operation: ArpOperation);
    /// Sets the Ethernet address of the sender.
    set_sender_mac(sender_mac: MacAddr);
    /// Sets the IPv4 address of the sender.
    set_sender_ip(sender_ip: Ipv4Addr);
    /// Sets the Ethernet address of the target.
    set_target_mac(target_mac: MacAddr);
    /// Sets the IPv4 address of the target.
    set_target_ip(target_ip: Ipv4Addr);
);

impl Arp {
    /// Turns a request for our IP address into the reply that it is at `our_mac`.
    ///
    /// The caller has checked that this is an [`ArpOperation::REQUEST`] whose target IP is its
    /// own. The Ethernet header is the caller's too: the request's source becomes the
    /// destination, and `our_mac` the source (the request most likely came by broadcast).
    #[inline]
    pub fn into_reply(&mut self, our_mac: MacAddr) {
        self.set_operation(ArpOperation::REPLY);
        std::mem::swap(&mut self.sender_ip, &mut self.target_ip);
        self.target_mac = self.sender_mac;
        self.sender_mac = our_mac;
    }
}

impl fmt::Display for Arp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sender, target) = (self.sender_ip(), self.target_ip());
        match self.operation() {
            ArpOperation::REQUEST => write!(f, "ARP who has {target}, tell {sender}"),
            ArpOperation::REPLY => write!(f, "ARP {sender} is at {}", self.sender_mac),
            other => write!(f, "ARP {other} {sender} > {target}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTER: MacAddr = MacAddr([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
    const US: MacAddr = MacAddr([0x02, 0x00, 0x00, 0x00, 0x00, 0x02]);
    const WHO_HAS: [u8; 28] = [
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, // IPv4 over Ethernet
        0x00, 0x01, // request
        0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 192, 168, 1, 10, // sender
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 192, 168, 1, 1, // target
    ];

    #[test]
    fn a_request_shows_its_fields_and_the_padding_after_it() {
        let frame_payload = [&WHO_HAS[..], &[0; 18]].concat();
        let (arp, padding) = Arp::parse(&frame_payload).unwrap();
        assert_eq!(Arp::LEN, 28);
        assert_eq!(arp.operation(), ArpOperation::REQUEST);
        assert_eq!(arp.sender_mac(), REQUESTER);
        assert_eq!(arp.sender_ip(), Ipv4Addr::new(192, 168, 1, 10));
        assert_eq!(arp.target_mac(), MacAddr([0; 6]));
        assert_eq!(arp.target_ip(), Ipv4Addr::new(192, 168, 1, 1));
        assert_eq!(padding, [0; 18]);
        assert_eq!(
            arp.to_string(),
            "ARP who has 192.168.1.1, tell 192.168.1.10"
        );
    }

    #[test]
    fn a_truncated_packet_names_what_is_missing() {
        for available in 0..Arp::LEN {
            let mut bytes = WHO_HAS;
            let error = Arp::truncated(available);
            assert_eq!(Arp::parse(&bytes[..available]), Err(error));
            assert_eq!(Arp::parse_mut(&mut bytes[..available]), Err(error));
        }
    }

    #[test]
    fn other_hardware_and_protocols_are_refused_by_field() {
        for (at, field, value) in [
            (1, "hardware type", 7),
            (3, "protocol type", 0x0807),
            (4, "hardware length", 7),
            (5, "protocol length", 7),
        ] {
            let mut bytes = WHO_HAS;
            bytes[at] = 7;
            let error = ParseError::malformed(("ARP", field, at & !usize::from(at < 4)), value);
            assert_eq!(Arp::parse(&bytes), Err(error));
            assert_eq!(Arp::parse_mut(&mut bytes), Err(error));
        }
    }

    #[test]
    fn a_request_becomes_the_reply_in_place() {
        let mut bytes = WHO_HAS;
        let (arp, _) = Arp::parse_mut(&mut bytes).unwrap();
        arp.into_reply(US);
        assert_eq!(arp.to_string(), "ARP 192.168.1.1 is at 02:00:00:00:00:02");
        let is_at = [
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, // IPv4 over Ethernet
            0x00, 0x02, // reply
            0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 192, 168, 1, 1, // sender
            0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 192, 168, 1, 10, // target
        ];
        assert_eq!(bytes, is_at);
    }

    #[test]
    fn setters_write_the_packet_itself() {
        let mut bytes = WHO_HAS;
        let (arp, _) = Arp::parse_mut(&mut bytes).unwrap();
        arp.set_operation(ArpOperation(8));
        arp.set_sender_mac(US);
        arp.set_sender_ip(Ipv4Addr::new(10, 0, 0, 1));
        arp.set_target_mac(REQUESTER);
        arp.set_target_ip(Ipv4Addr::new(10, 0, 0, 2));
        assert_eq!(arp.to_string(), "ARP operation 8 10.0.0.1 > 10.0.0.2");
        assert_eq!(bytes[6..8], [0, 8]);
        assert_eq!(bytes[8..18], [0x02, 0, 0, 0, 0, 0x02, 10, 0, 0, 1]);
        assert_eq!(
            bytes[18..],
            [0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 10, 0, 0, 2]
        );
    }
}
