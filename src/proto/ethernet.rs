//! Ethernet II frames and VLAN tags (RFC 894, IEEE 802.3, 802.1Q, 802.1ad).

#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::ParseError;
use crate::proto::fields::{field_type, fields, view};

/// A 48-bit Ethernet address, in wire order.
///
/// Reads and prints as `02:00:00:00:00:01`.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(transparent)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// The broadcast address, `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The six bytes in wire order.
    #[inline]
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Whether this is [`MacAddr::BROADCAST`].
    #[inline]
    #[must_use]
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    /// Whether this is a multicast address; the broadcast address is one too.
    #[inline]
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl From<[u8; 6]> for MacAddr {
    #[inline]
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let o = self.0;
        write!(
            f,
            "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
            o[0], o[1], o[2], o[3], o[4], o[5]
        )
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a [`MacAddr`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a MAC address is six pairs of hex digits joined by colons, like 02:00:00:00:00:01")]
pub struct ParseMacAddrError(());

impl FromStr for MacAddr {
    type Err = ParseMacAddrError;

    /// Reads six pairs of hex digits, of either case, joined by colons.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut octets = [0; 6];
        let mut pairs = text.split(':');
        for octet in &mut octets {
            *octet = pairs
                .next()
                .and_then(hex_pair)
                .ok_or(ParseMacAddrError(()))?;
        }
        match pairs.next() {
            None => Ok(Self(octets)),
            Some(_) => Err(ParseMacAddrError(())),
        }
    }
}

fn hex_pair(pair: &str) -> Option<u8> {
    // `from_str_radix` alone would take "+f".
    let is_pair = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_pair.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
}

/// What an Ethernet frame carries. Values below `0x0600` are IEEE 802.3 lengths instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4 (RFC 894).
    pub const IPV4: Self = Self(0x0800);
    /// ARP (RFC 826).
    pub const ARP: Self = Self(0x0806);
    /// An Ethernet frame within another protocol (RFC 1701, RFC 7637).
    pub const ETHERNET: Self = Self(0x6558);
    /// IEEE 802.1Q customer VLAN tag.
    pub const VLAN: Self = Self(0x8100);
    /// IPv6 (RFC 2464).
    pub const IPV6: Self = Self(0x86dd);
    /// MPLS (RFC 3032); with labels that the receiver chose, in multicast too (RFC 5332).
    pub const MPLS: Self = Self(0x8847);
    /// MPLS with labels that the sender chose, in multicast (RFC 5332).
    pub const MPLS_UPSTREAM: Self = Self(0x8848);
    /// IEEE 802.1ad service VLAN tag, the outer one of two.
    pub const QINQ: Self = Self(0x88a8);

    /// Whether a VLAN tag follows.
    #[inline]
    #[must_use]
    pub const fn is_vlan(self) -> bool {
        matches!(self, Self::VLAN | Self::QINQ)
    }

    /// Whether an MPLS label stack follows.
    #[inline]
    #[must_use]
    pub const fn is_mpls(self) -> bool {
        matches!(self, Self::MPLS | Self::MPLS_UPSTREAM)
    }

    /// Whether this is an IEEE 802.3 length instead: the LLC header that follows says what the frame carries.
    #[inline]
    #[must_use]
    pub const fn is_length(self) -> bool {
        self.0 < 0x0600
    }

    /// Cuts off the padding from `bytes`, all that follows this field, if it [is a length](EtherType::is_length). What an ether
    /// type announces says by itself where it ends: then `bytes` are given as they are.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if it is a length of more than `bytes`.
    #[inline]
    pub fn cut(self, bytes: &[u8]) -> Result<&[u8], ParseError> {
        if !self.is_length() {
            return Ok(bytes);
        }
        let len = usize::from(self.0);
        bytes.get(..len).ok_or_else(|| too_long(len, bytes.len()))
    }

    /// Like [`EtherType::cut`], to change the payload in place.
    ///
    /// # Errors
    ///
    /// As [`EtherType::cut`].
    #[inline]
    pub fn cut_mut(self, bytes: &mut [u8]) -> Result<&mut [u8], ParseError> {
        if !self.is_length() {
            return Ok(bytes);
        }
        let (len, available) = (usize::from(self.0), bytes.len());
        bytes.get_mut(..len).ok_or(too_long(len, available))
    }
}

field_type!(EtherType: U16, |field: U16| EtherType(field.get()), |value: EtherType| U16::new(value.0));

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV4 => f.pad("IPv4"),
            Self::ARP => f.pad("ARP"),
            Self::ETHERNET => f.pad("Ethernet"),
            Self::VLAN => f.pad("VLAN"),
            Self::IPV6 => f.pad("IPv6"),
            Self::MPLS => f.pad("MPLS"),
            Self::MPLS_UPSTREAM => f.pad("MPLS upstream"),
            Self::QINQ => f.pad("QinQ"),
            Self(other) => write!(f, "{other:#06x}"),
        }
    }
}

/// Ethernet II header (RFC 894), without preamble and frame check sequence.
///
/// ```text
/// byte   0  destination   6
///        6  source        6
///       12  ether type    2
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Ethernet {
    destination: MacAddr,
    source: MacAddr,
    ether_type: U16,
}

view!(Ethernet, "Ethernet":
    /// The header at the start of `bytes`, and all that follows it.
    ///
    /// The payload may end in padding: its own length field says where it really ends.
);

impl Ethernet {
    /// Shortest frame in bytes, without the frame check sequence. Shorter ones must be padded
    /// with zeros before they go out on a wire.
    pub const MIN_FRAME_LEN: usize = 60;
}

fields!(Ethernet:
    /// Destination address.
    destination() -> MacAddr;
    /// Source address.
    source() -> MacAddr;
    /// What follows this header.
    ether_type() -> EtherType;
    /// Sets the destination address.
    set_destination(destination: MacAddr);
    /// Sets the source address.
    set_source(source: MacAddr);
    /// Sets what follows this header.
    set_ether_type(ether_type: EtherType);
);

impl Ethernet {
    /// Exchanges destination and source, to send the frame back.
    ///
    /// A frame that came to a group address needs [`Ethernet::set_source`] afterwards: such an
    /// address must never be a source.
    #[inline]
    pub fn swap_addresses(&mut self) {
        std::mem::swap(&mut self.destination, &mut self.source);
    }
}

/// Counted from behind the length.
const fn too_long(needed: usize, available: usize) -> ParseError {
    ParseError::truncated(("IEEE 802.3", "length", 0), needed, available)
}

impl fmt::Display for Ethernet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (self.source(), self.destination());
        write!(f, "Ethernet {source} > {destination} {}", self.ether_type())
    }
}

/// VLAN tag (IEEE 802.1Q, section 9.6), without the ether type before it that announces it.
///
/// ```text
/// byte   0  priority, drop eligible, VLAN id  3 + 1 + 12 bits
///        2  ether type                        2               of what follows
/// ```
///
/// Of two tags the outer one is announced by [`EtherType::QINQ`], of which the payload is another
/// tag; [`EtherType::is_vlan`] tells both.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Vlan {
    tag_control: U16,
    ether_type: U16,
}

const DROP_ELIGIBLE: u16 = 0x1000;
const ID_MASK: u16 = 0x0fff;

view!(Vlan, "VLAN":
    /// The tag at the start of `bytes`, an Ethernet payload, and all that follows it.
);

impl Vlan {
    /// Priority code point, 0 to 7.
    #[inline]
    #[must_use]
    pub fn priority(&self) -> u8 {
        self.tag_control.to_bytes()[0] >> 5
    }

    /// Whether this frame may be dropped before others.
    #[inline]
    #[must_use]
    pub fn drop_eligible(&self) -> bool {
        self.tag_control.get() & DROP_ELIGIBLE != 0
    }

    /// Which VLAN, 0 to 4095; 0 is none: such a tag has a priority only.
    #[inline]
    #[must_use]
    pub fn id(&self) -> u16 {
        self.tag_control.get() & ID_MASK
    }
}

fields!(Vlan:
    /// What follows this tag.
    ether_type() -> EtherType;
    /// Sets what follows this tag.
    set_ether_type(ether_type: EtherType);
);

impl Vlan {
    /// Priority, drop eligible, VLAN id: 3 + 1 + 12 bits.
    #[inline]
    pub(super) fn tag_control(&self) -> u16 {
        self.tag_control.get()
    }

    /// Sets the priority, of which the lower 3 bits count.
    #[inline]
    pub fn set_priority(&mut self, priority: u8) {
        let rest = self.tag_control.get() & (DROP_ELIGIBLE | ID_MASK);
        self.tag_control.set(u16::from(priority & 7) << 13 | rest);
    }

    /// Sets whether this frame may be dropped before others.
    #[inline]
    pub fn set_drop_eligible(&mut self, drop_eligible: bool) {
        let rest = self.tag_control.get() & !DROP_ELIGIBLE;
        self.tag_control
            .set(rest | if drop_eligible { DROP_ELIGIBLE } else { 0 });
    }

    /// Sets which VLAN, of which the lower 12 bits count.
    #[inline]
    pub fn set_id(&mut self, id: u16) {
        let rest = self.tag_control.get() & !ID_MASK;
        self.tag_control.set(rest | id & ID_MASK);
    }
}

/// A VLAN tag to write (IEEE 802.1Q, section 9.6).
///
/// A number alone is a tag too: a customer's, of priority 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanTag {
    /// Which VLAN, 0 to 4095.
    pub id: u16,
    /// Priority code point, 0 to 7.
    pub priority: u8,
    /// Whether this frame may be dropped before others.
    pub drop_eligible: bool,
    /// What announces the tag: [`EtherType::VLAN`] or [`EtherType::QINQ`].
    pub ether_type: EtherType,
}

impl VlanTag {
    /// A customer tag (802.1Q), the inner one of two: priority 0, not drop eligible.
    #[inline]
    #[must_use]
    pub const fn new(id: u16) -> Self {
        Self {
            id,
            priority: 0,
            drop_eligible: false,
            ether_type: EtherType::VLAN,
        }
    }

    /// A service tag (802.1ad), the outer one of two: priority 0, not drop eligible.
    #[inline]
    #[must_use]
    pub const fn service(id: u16) -> Self {
        Self {
            ether_type: EtherType::QINQ,
            ..Self::new(id)
        }
    }
}

impl From<u16> for VlanTag {
    #[inline]
    fn from(id: u16) -> Self {
        Self::new(id)
    }
}

impl fmt::Display for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, priority) = (self.id(), self.priority());
        write!(f, "VLAN {id} priority {priority} {}", self.ether_type())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: MacAddr = MacAddr([0x00, 0x1b, 0x21, 0x3c, 0x9d, 0xf8]);
    const HOST: MacAddr = MacAddr([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
    const IPV4_FRAME: [u8; 18] = [
        0x00, 0x1b, 0x21, 0x3c, 0x9d, 0xf8, // to the router
        0x52, 0x54, 0x00, 0x12, 0x34, 0x56, // from the host
        0x08, 0x00, // IPv4
        0x45, 0x00, 0x00, 0x54, // first bytes of the payload
    ];

    #[test]
    fn a_frame_shows_its_fields_and_payload() {
        let (ethernet, payload) = Ethernet::parse(&IPV4_FRAME).unwrap();
        assert_eq!(Ethernet::LEN, 14);
        assert_eq!(ethernet.destination(), ROUTER);
        assert_eq!(ethernet.source(), HOST);
        assert_eq!(ethernet.ether_type(), EtherType::IPV4);
        assert_eq!(payload, [0x45, 0x00, 0x00, 0x54]);
        assert_eq!(
            ethernet.to_string(),
            "Ethernet 52:54:00:12:34:56 > 00:1b:21:3c:9d:f8 IPv4"
        );
    }

    #[test]
    fn a_truncated_header_names_what_is_missing() {
        for available in 0..Ethernet::LEN {
            let mut bytes = IPV4_FRAME;
            let error = Ethernet::truncated(available);
            assert_eq!(Ethernet::parse(&bytes[..available]), Err(error));
            assert_eq!(Ethernet::parse_mut(&mut bytes[..available]), Err(error));
        }
    }

    #[test]
    fn setters_write_the_packet_itself() {
        let mut bytes = [0; 15];
        let (ethernet, payload) = Ethernet::parse_mut(&mut bytes).unwrap();
        ethernet.set_destination(MacAddr::BROADCAST);
        ethernet.set_source(HOST);
        ethernet.set_ether_type(EtherType::ARP);
        payload[0] = 9;
        assert_eq!(bytes[..6], [0xff; 6]);
        assert_eq!(bytes[6..12], HOST.octets());
        assert_eq!(bytes[12..], [0x08, 0x06, 9]);
    }

    #[test]
    fn swapping_addresses_sends_the_frame_back() {
        let mut bytes = IPV4_FRAME;
        let (ethernet, _) = Ethernet::parse_mut(&mut bytes).unwrap();
        ethernet.swap_addresses();
        assert_eq!((ethernet.destination(), ethernet.source()), (HOST, ROUTER));
        assert_eq!(bytes[12..], IPV4_FRAME[12..]);
    }

    #[test]
    fn mac_addresses_read_what_they_print() {
        assert_eq!("52:54:00:12:34:56".parse(), Ok(HOST));
        assert_eq!("FF:ff:Ff:fF:ff:ff".parse(), Ok(MacAddr::BROADCAST));
        assert_eq!(ROUTER.to_string().parse(), Ok(ROUTER));
    }

    #[test]
    fn texts_that_are_no_mac_address_are_refused() {
        for text in [
            "",
            "52:54:00:12:34",
            "52:54:00:12:34:56:78",
            "52:54:00:12:34:56:",
            "52-54-00-12-34-56",
            "525400123456",
            "52:54:0:12:34:56",
            "+2:54:00:12:34:56",
            "52:54:00:12:34:5g",
            "52:54:00:12:34:é",
        ] {
            assert!(text.parse::<MacAddr>().is_err(), "{text}");
        }
    }

    #[test]
    fn group_addresses_are_told_apart() {
        assert!(MacAddr::BROADCAST.is_broadcast() && MacAddr::BROADCAST.is_multicast());
        let all_hosts = MacAddr::from([0x01, 0x00, 0x5e, 0, 0, 1]);
        assert!(all_hosts.is_multicast() && !all_hosts.is_broadcast());
        assert!(!HOST.is_multicast() && !HOST.is_broadcast());
    }

    #[test]
    fn unknown_ether_types_print_as_numbers() {
        assert_eq!(EtherType::IPV6.to_string(), "IPv6");
        assert_eq!(EtherType(0x00cc).to_string(), "0x00cc");
    }

    #[test]
    fn both_kinds_of_vlan_tags_are_told() {
        assert!(EtherType::VLAN.is_vlan() && EtherType::QINQ.is_vlan());
        assert!(!EtherType::IPV4.is_vlan() && !EtherType::IPV6.is_vlan());
    }

    #[test]
    fn both_kinds_of_label_stacks_are_told() {
        assert!(EtherType::MPLS.is_mpls() && EtherType::MPLS_UPSTREAM.is_mpls());
        assert!(!EtherType::IPV4.is_mpls() && !EtherType::VLAN.is_mpls());
    }

    #[test]
    fn lengths_are_told_from_types() {
        assert!(EtherType(0).is_length() && EtherType(1500).is_length());
        assert!(EtherType(0x05ff).is_length() && !EtherType(0x0600).is_length());
        assert!(!EtherType::IPV4.is_length());
    }

    #[test]
    fn a_length_cuts_off_the_padding() {
        let mut bytes = [1, 2, 3, 4];
        for len in 0..=4 {
            let expected = &[1, 2, 3, 4][..usize::from(len)];
            assert_eq!(EtherType(len).cut(&bytes), Ok(expected));
            assert_eq!(EtherType(len).cut_mut(&mut bytes).unwrap(), expected);
        }
        assert_eq!(EtherType(0x0600).cut(&bytes), Ok(&[1, 2, 3, 4][..]));
        assert_eq!(EtherType::IPV4.cut_mut(&mut bytes).unwrap().len(), 4);
    }

    #[test]
    fn a_length_beyond_the_frame_is_refused() {
        let error = EtherType(5).cut(&[0; 4]).unwrap_err();
        assert_eq!(EtherType(5).cut_mut(&mut [0; 4]), Err(error));
        let text = "IEEE 802.3 length at byte 0 needs 5 bytes, only 4 are there";
        assert_eq!(error.to_string(), text);
        assert!(EtherType(0x05ff).cut(&[0; 0x05fe]).is_err());
    }

    mod vlan {
        use super::super::*;

        /// Behind an Ethernet header: VLAN 100 at priority 5, drop eligible, then IPv4.
        const TAG: [u8; 6] = [0xb0, 0x64, 0x08, 0x00, 0x45, 0x00];

        #[test]
        fn a_tag_shows_its_fields_and_payload() {
            let (vlan, payload) = Vlan::parse(&TAG).unwrap();
            assert_eq!(Vlan::LEN, 4);
            assert_eq!((vlan.id(), vlan.priority()), (100, 5));
            assert!(vlan.drop_eligible());
            assert_eq!(vlan.ether_type(), EtherType::IPV4);
            assert_eq!(payload, [0x45, 0x00]);
            assert_eq!(vlan.to_string(), "VLAN 100 priority 5 IPv4");
        }

        #[test]
        fn a_truncated_tag_names_what_is_missing() {
            for available in 0..Vlan::LEN {
                let mut bytes = TAG;
                let error = Vlan::truncated(available);
                assert_eq!(Vlan::parse(&bytes[..available]), Err(error));
                assert_eq!(Vlan::parse_mut(&mut bytes[..available]), Err(error));
            }
        }

        #[test]
        fn a_setter_changes_its_own_bits_only() {
            for fill in [0x00, 0xff] {
                let mut bytes = [fill; 4];
                let (vlan, _) = Vlan::parse_mut(&mut bytes).unwrap();
                let before = *vlan;
                vlan.set_id(0x1abc);
                assert_eq!(vlan.id(), 0xabc);
                assert_eq!(vlan.priority(), before.priority());
                assert_eq!(vlan.drop_eligible(), before.drop_eligible());
                vlan.set_priority(0x0a);
                assert_eq!((vlan.priority(), vlan.id()), (2, 0xabc));
                assert_eq!(vlan.drop_eligible(), before.drop_eligible());
                vlan.set_drop_eligible(!before.drop_eligible());
                assert_ne!(vlan.drop_eligible(), before.drop_eligible());
                assert_eq!((vlan.priority(), vlan.id()), (2, 0xabc));
                assert_eq!(bytes[2..], [fill; 2]);
            }
        }

        #[test]
        fn a_built_tag_is_the_one_on_the_wire() {
            let mut bytes = [0; 6];
            let (vlan, payload) = Vlan::parse_mut(&mut bytes).unwrap();
            vlan.set_id(100);
            vlan.set_priority(5);
            vlan.set_drop_eligible(true);
            vlan.set_ether_type(EtherType::IPV4);
            payload.copy_from_slice(&TAG[4..]);
            assert_eq!(bytes, TAG);
        }
    }
}
