//! What makes packets one flow, and the number that says which of several sockets gets them.

#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::proto::walk::Link;
use crate::proto::{EtherType, Headers, IpProtocol, Vlan};

/// Maximum number of VLAN tags skipped, fewer than elsewhere: that of the XDP program (`FLOW_TAGS` in bpf/flow.h), whose loop is unrolled for the
/// verifier, so that each tag more is more code.
const XDP_VLAN_TAGS: usize = 2;
/// Maximum number of IPv6 extension headers skipped there: as many as RFC 8200 (4.1) knows, without authentication and encryption.
const XDP_EXTENSIONS: usize = 5;

/// IEEE 802.3: what is smaller is no EtherType but a length.
const LEAST_ETHER_TYPE: u16 = 0x0600;
/// IEEE 802.1Q: the VLAN's number in a tag.
const VLAN_ID: u16 = 0x0fff;
/// RFC 791: "more fragments" and the offset.
const IPV4_FRAGMENT: u16 = 0x3fff;
/// RFC 8200 (4.5): the offset and "more fragments".
const IPV6_FRAGMENT: u16 = 0xfff9;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// What the packets of one flow have in common: VLAN, addresses, protocol and ports.
///
/// The bundled XDP program computes the same from the same bytes, and shares the packets of a queue out by [`hash`](Self::hash)
/// or [`symmetric_hash`](Self::symmetric_hash).
///
/// - Ethernet II with up to two VLAN tags (IEEE 802.1Q, 802.1ad). The VLAN is the outermost one; the number 0, a mere priority,
///   is none. A tag that the network card has taken out is not there.
/// - IPv4 (RFC 791) with options, IPv6 (RFC 8200) with up to five extension headers: hop-by-hop, routing, destination options,
///   fragment.
/// - The addresses are those of the IP header, also where extension headers tell others: the care-of address of a mobile node (RFC
///   6275), the next node of a packet that is source-routed.
/// - The ports of TCP (RFC 9293), UDP (RFC 768) and SCTP (RFC 9260).
/// - A fragment, also the first, has no ports here, so that all fragments of a packet are one flow. It is not that of the
///   whole packets between the same ports. In IPv6 its protocol is the fragment header, number 44.
/// - Everything else is one flow for each EtherType, whatever its addresses: an ARP request and its answer belong together. A length in
///   the place of the EtherType (IEEE 802.3) counts as EtherType 0.
/// - Of a truncated packet, the fields that are there count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    vlan: Option<u16>,
    ether_type: EtherType,
    addresses: Addresses,
    protocol: u8,
    ports: Option<(u16, u16)>,
}

/// Source and destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Addresses {
    None,
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl FlowKey {
    const EMPTY: Self = Self {
        vlan: None,
        ether_type: EtherType(0),
        addresses: Addresses::None,
        protocol: 0,
        ports: None,
    };

    /// The flow of a packet, which starts with its Ethernet header.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut key = Self::EMPTY;
        let Ok(mut link) = Link::ethernet(bytes, 0) else {
            return key;
        };
        // A tag that is cut short ends the walk.
        let _ = link.pass_tags(bytes, XDP_VLAN_TAGS, EtherType::is_vlan);
        let mut ids = link.tags(bytes).iter().map(Vlan::id);
        key.vlan = ids.find(|&id| id != 0);
        key.read(link.ether_type, bytes.get(link.at..).unwrap_or_default());
        key
    }

    fn read(&mut self, ether_type: EtherType, packet: &[u8]) {
        self.ether_type = ether_type;
        match ether_type {
            EtherType::IPV4 => self.read_ipv4(packet),
            EtherType::IPV6 => self.read_ipv6(packet),
            EtherType(..LEAST_ETHER_TYPE) => self.ether_type = EtherType(0),
            _ => {}
        }
    }

    /// The flow of a packet of which the headers are known: that of [`parse`](Self::parse), with most of the work done.
    ///
    /// `bytes` are those that the headers were parsed from. The flow of the
    /// [inner](Headers::inner) packet of a tunnel is that which it would have without the tunnel.
    ///
    /// ```
    /// use fluxcap::proto::{FlowKey, Headers};
    ///
    /// # let frame = [0; 60];
    /// let headers = Headers::parse(&frame)?;
    /// assert_eq!(FlowKey::of(&headers, &frame), FlowKey::parse(&frame));
    /// # Ok::<(), fluxcap::proto::ParseError>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn of(headers: &Headers, bytes: &[u8]) -> Self {
        match Self::of_plain(headers, bytes) {
            Some(key) => key,
            None => Self::of_any(headers, bytes),
        }
    }

    /// Of an IP packet with ports, in which there is nothing that the key looks at otherwise than the headers do.
    #[inline]
    fn of_plain(headers: &Headers, bytes: &[u8]) -> Option<Self> {
        if headers.vlan_tags() > XDP_VLAN_TAGS {
            return None;
        }
        let addresses = if headers.is_plain_ipv4() {
            let packet: &[u8; 20] = bytes.get(headers.l3_offset()?..)?.first_chunk()?;
            let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *packet;
            Addresses::V4([s0, s1, s2, s3].into(), [d0, d1, d2, d3].into())
        } else if headers.is_plain_ipv6() {
            let source = headers.source_ip(bytes)?;
            let destination = headers.destination_ip(bytes)?;
            match (source, destination) {
                (IpAddr::V6(source), IpAddr::V6(destination)) => Addresses::V6(source, destination),
                _ => return None,
            }
        } else {
            return None;
        };
        let protocol = headers.protocol()?;
        let (TCP | UDP | SCTP) = protocol.0 else {
            return None;
        };
        let id = |tag: Option<u16>| tag.map(|tag| tag & VLAN_ID).filter(|&id| id != 0);
        Some(Self {
            vlan: id(headers.outer_tag()).or(id(headers.inner_tag())),
            ether_type: headers.ether_type(),
            addresses,
            protocol: protocol.0,
            ports: Some(headers.ports()?),
        })
    }

    #[inline(never)]
    fn of_any(headers: &Headers, bytes: &[u8]) -> Self {
        if headers.start() == 0 {
            return Self::parse(bytes);
        }
        // What is behind an inner packet is not its own, such as the padding of the outer frame.
        let packet = bytes.get(headers.start()..headers.end());
        let packet = packet.unwrap_or_default();
        if headers.has_ethernet() {
            return Self::parse(packet);
        }
        // In a tunnel without Ethernet, nothing is in front of the packet.
        let mut key = Self::EMPTY;
        key.read(headers.ether_type(), packet);
        key
    }

    /// Without a whole header of version 4, there is only the EtherType.
    fn read_ipv4(&mut self, packet: &[u8]) {
        let Some(header) = packet.first_chunk::<20>() else {
            return;
        };
        let words = usize::from(header[0] & 0xf);
        if header[0] >> 4 != 4 || words < 5 {
            return;
        }
        let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
        self.addresses = Addresses::V4([s0, s1, s2, s3].into(), [d0, d1, d2, d3].into());
        self.protocol = header[9];
        if u16::from_be_bytes([header[6], header[7]]) & IPV4_FRAGMENT == 0 {
            self.read_ports(packet.get(words * 4..).unwrap_or_default());
        }
    }

    fn read_ipv6(&mut self, packet: &[u8]) {
        let Some((header, mut rest)) = packet.split_first_chunk::<40>() else {
            return;
        };
        if header[0] >> 4 != 6 {
            return;
        }
        let address = |at: usize| {
            let mut octets = [0; 16];
            octets.copy_from_slice(&header[at..at + 16]);
            Ipv6Addr::from(octets)
        };
        self.addresses = Addresses::V6(address(8), address(24));
        self.protocol = header[6];
        for _ in 0..XDP_EXTENSIONS {
            let len = match (self.protocol, rest) {
                // RFC 8200 (4.5): only the first fragment need say what comes next.
                (FRAGMENT, &[_, _, a, b, _, _, _, _, ..]) => {
                    if u16::from_be_bytes([a, b]) & IPV6_FRAGMENT != 0 {
                        return;
                    }
                    8
                }
                (HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS, &[_, len, _, _, _, _, _, _, ..]) => {
                    (usize::from(len) + 1) * 8
                }
                _ => break,
            };
            self.protocol = rest[0];
            rest = rest.get(len..).unwrap_or_default();
        }
        self.read_ports(rest);
    }

    fn read_ports(&mut self, message: &[u8]) {
        if let (TCP | UDP | SCTP, &[a, b, c, d, ..]) = (self.protocol, message) {
            self.ports = Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])));
        }
    }

    /// The number of the outermost VLAN.
    #[must_use]
    pub fn vlan(&self) -> Option<u16> {
        self.vlan
    }

    /// What the frame carries, behind its VLAN tags.
    #[must_use]
    pub fn ether_type(&self) -> EtherType {
        self.ether_type
    }

    /// Source and destination.
    #[must_use]
    pub fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        match self.addresses {
            Addresses::None => None,
            Addresses::V4(source, destination) => Some((source.into(), destination.into())),
            Addresses::V6(source, destination) => Some((source.into(), destination.into())),
        }
    }

    /// What the IP packet carries, behind the extension headers.
    #[must_use]
    pub fn protocol(&self) -> Option<IpProtocol> {
        (self.addresses != Addresses::None).then_some(IpProtocol(self.protocol))
    }

    /// Ports of source and destination.
    #[must_use]
    pub fn ports(&self) -> Option<(u16, u16)> {
        self.ports
    }

    /// The other direction of the flow.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self {
            addresses: match self.addresses {
                Addresses::None => Addresses::None,
                Addresses::V4(source, destination) => Addresses::V4(destination, source),
                Addresses::V6(source, destination) => Addresses::V6(destination, source),
            },
            ports: self
                .ports
                .map(|(source, destination)| (destination, source)),
            ..self
        }
    }

    /// A number of which all bits depend on the whole key.
    ///
    /// It is the same on every machine and in every run: who chooses the addresses of many flows can choose where they go.
    #[must_use]
    pub fn hash(&self) -> u32 {
        let (source, destination) = self.ends();
        self.join(source, destination)
    }

    /// As [`hash`](Self::hash), the same for both directions of a flow.
    #[must_use]
    pub fn symmetric_hash(&self) -> u32 {
        let (source, destination) = self.ends();
        self.join(source.min(destination), source.max(destination))
    }

    /// Which of `members` sockets a hash stands for: a number below `members`, or 0.
    #[must_use]
    pub fn member(hash: u32, members: u32) -> u32 {
        ((u64::from(hash) * u64::from(members)) >> 32) as u32
    }

    /// Source and destination, each address with its port. The words are those of the packet as a little-endian machine reads them.
    fn ends(&self) -> (u32, u32) {
        let (source, destination) = match self.addresses {
            Addresses::None => return (0, 0),
            Addresses::V4(source, destination) => {
                (absorb(&source.octets()), absorb(&destination.octets()))
            }
            Addresses::V6(source, destination) => {
                (absorb(&source.octets()), absorb(&destination.octets()))
            }
        };
        let (source_port, destination_port) = self.ports.unwrap_or_default();
        (
            mix(source, u32::from(source_port.swap_bytes())),
            mix(destination, u32::from(destination_port.swap_bytes())),
        )
    }

    fn join(&self, first: u32, second: u32) -> u32 {
        let kind = match self.addresses {
            Addresses::None => self.ether_type.0,
            _ => self.protocol.into(),
        };
        let rest = u32::from(self.vlan.unwrap_or(0)) << 16 | u32::from(kind);
        finish(mix(mix(mix(0, first), second), rest))
    }
}

/// Takes in the words of an address.
fn absorb(octets: &[u8]) -> u32 {
    let (words, _) = octets.as_chunks::<4>();
    words
        .iter()
        .fold(0, |hash, word| mix(hash, u32::from_le_bytes(*word)))
}

/// One word more, as MurmurHash3 does it.
fn mix(hash: u32, word: u32) -> u32 {
    let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15);
    let hash = hash ^ word.wrapping_mul(0x1b87_3593);
    hash.rotate_left(13)
        .wrapping_mul(5)
        .wrapping_add(0xe654_6b64)
}

/// The end of MurmurHash3: each bit of the result depends on each bit of `hash`.
fn finish(mut hash: u32) -> u32 {
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(vlan) = self.vlan {
            write!(f, "VLAN {vlan} ")?;
        }
        let Some((source, destination)) = self.addresses() else {
            return fmt::Display::fmt(&self.ether_type, f);
        };
        match self.ports {
            Some((from, to)) => {
                let from = std::net::SocketAddr::from((source, from));
                let to = std::net::SocketAddr::from((destination, to));
                write!(f, "{from} > {to} ")?;
            }
            None => write!(f, "{source} > {destination} ")?,
        }
        fmt::Display::fmt(&IpProtocol(self.protocol), f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::SocketAddr;

    use super::*;

    const UDP_IN_IPV4: [u8; 42] = [
        0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
        0x45, 0x00, 0x00, 0x1c, 0x00, 0x01, 0x40, 0x00, 0x40,
        0x11, // IPv4, not to be fragmented
        0x66, 0xcd, 192, 0, 2, 1, 198, 51, 100, 2, //
        0x30, 0x39, 0x00, 0x35, 0x00, 0x08, 0x00, 0x00, // UDP 12345 > 53
    ];

    const ARP_REQUEST: [u8; 42] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x06, // Ethernet
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, // ARP
        0x02, 0, 0, 0, 0, 0x01, 192, 0, 2, 1, //
        0, 0, 0, 0, 0, 0, 192, 0, 2, 2, //
    ];

    const ETHERNET_IPV6: [u8; 14] = [0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x86, 0xdd];
    const TCP_443_TO_50000: [u8; 4] = [0x01, 0xbb, 0xc3, 0x50];

    /// 2001:db8::1 > 2001:db8::2.
    fn ipv6(next: u8, payload: &[&[u8]]) -> Vec<u8> {
        let mut packet = ETHERNET_IPV6.to_vec();
        packet.extend([0x60, 0, 0, 0, 0, 0, next, 64]);
        for last in [1, 2] {
            packet.extend([
                0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last,
            ]);
        }
        packet.extend(payload.concat());
        packet
    }

    /// Puts a tag behind the addresses.
    fn tagged(packet: &[u8], tag: [u8; 4]) -> Vec<u8> {
        [&packet[..12], &tag, &packet[12..]].concat()
    }

    fn with(mut packet: Vec<u8>, changes: &[(usize, u8)]) -> Vec<u8> {
        for &(at, value) in changes {
            packet[at] = value;
        }
        packet
    }

    /// Addresses and ports, from one to the other.
    #[track_caller]
    fn assert_ends(key: FlowKey, from: &str, to: &str) {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        assert_eq!(key.addresses(), Some((from.ip(), to.ip())));
        assert_eq!(key.ports(), Some((from.port(), to.port())));
    }

    #[test]
    fn an_ipv4_packet_shows_addresses_protocol_and_ports() {
        let key = FlowKey::parse(&UDP_IN_IPV4);
        assert_eq!((key.vlan(), key.ether_type()), (None, EtherType::IPV4));
        assert_ends(key, "192.0.2.1:12345", "198.51.100.2:53");
        assert_eq!(key.protocol(), Some(IpProtocol::UDP));
        assert_eq!(key.to_string(), "192.0.2.1:12345 > 198.51.100.2:53 UDP");
        for protocol in [TCP, SCTP] {
            let key = FlowKey::parse(&with(UDP_IN_IPV4.to_vec(), &[(23, protocol)]));
            assert_eq!(key.protocol(), Some(IpProtocol(protocol)));
            assert_eq!(key.ports(), Some((12345, 53)));
        }
        let icmp = FlowKey::parse(&with(UDP_IN_IPV4.to_vec(), &[(23, 1)]));
        assert_eq!(
            (icmp.protocol(), icmp.ports()),
            (Some(IpProtocol::ICMP), None)
        );
        assert_eq!(icmp.to_string(), "192.0.2.1 > 198.51.100.2 ICMP");
    }

    #[test]
    fn ports_stand_behind_the_options_of_ipv4() {
        let mut packet = with(UDP_IN_IPV4.to_vec(), &[(14, 0x47)]);
        packet.splice(34..34, [1; 8]);
        assert_eq!(FlowKey::parse(&packet).ports(), Some((12345, 53)));
        // The options are longer than the packet.
        packet[14] = 0x4f;
        let key = FlowKey::parse(&packet);
        assert_eq!((key.protocol(), key.ports()), (Some(IpProtocol::UDP), None));
    }

    #[test]
    fn all_fragments_of_an_ipv4_packet_are_one_flow_without_ports() {
        let whole = FlowKey::parse(&UDP_IN_IPV4);
        let fragments = [[0x20, 0x00], [0x20, 0xb9], [0x00, 0x01], [0x1f, 0xff]];
        let keys = fragments.map(|[a, b]| {
            // What stands where the ports would be is data in all but the first.
            FlowKey::parse(&with(UDP_IN_IPV4.to_vec(), &[(20, a), (21, b), (35, a)]))
        });
        for key in keys {
            assert_eq!(
                key,
                FlowKey {
                    ports: None,
                    ..whole
                }
            );
        }
        // "May be fragmented", "must not be" and the reserved bit make no fragment.
        for flags in [0x00, 0x40, 0x80] {
            assert_eq!(
                FlowKey::parse(&with(UDP_IN_IPV4.to_vec(), &[(20, flags)])),
                whole
            );
        }
    }

    #[test]
    fn what_is_no_ipv4_header_counts_by_its_ether_type() {
        for start in [0x35, 0x44, 0x65, 0x00] {
            let key = FlowKey::parse(&with(UDP_IN_IPV4.to_vec(), &[(14, start)]));
            assert_eq!((key.ether_type(), key.addresses()), (EtherType::IPV4, None));
            assert_eq!(key.protocol(), None);
            assert_eq!(key.to_string(), "IPv4");
        }
    }

    #[test]
    fn an_ipv6_packet_shows_addresses_protocol_and_ports() {
        let key = FlowKey::parse(&ipv6(TCP, &[&TCP_443_TO_50000]));
        assert_ends(key, "[2001:db8::1]:443", "[2001:db8::2]:50000");
        assert_eq!(
            key.to_string(),
            "[2001:db8::1]:443 > [2001:db8::2]:50000 TCP"
        );
        let not_six = with(ipv6(TCP, &[&TCP_443_TO_50000]), &[(14, 0x40)]);
        assert_eq!(FlowKey::parse(&not_six).addresses(), None);
    }

    #[test]
    fn ports_stand_behind_the_extension_headers_of_ipv6() {
        let plain = FlowKey::parse(&ipv6(TCP, &[&TCP_443_TO_50000]));
        let hop_by_hop = [DESTINATION_OPTIONS, 0, 5, 2, 0, 0, 1, 0];
        let destination = [ROUTING, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let routing = [FRAGMENT, 0, 4, 0, 0, 0, 0, 0];
        let whole = [DESTINATION_OPTIONS, 0, 0, 0, 1, 2, 3, 4];
        let last = [TCP, 0, 1, 4, 0, 0, 0, 0];
        let all = [&hop_by_hop[..], &destination, &routing, &whole, &last];
        let packet = ipv6(HOP_BY_HOP, &[&all.concat(), &TCP_443_TO_50000]);
        assert_eq!(FlowKey::parse(&packet), plain);

        // One more is not looked behind.
        let sixth = with(packet.clone(), &[(54 + 40, DESTINATION_OPTIONS)]);
        let key = FlowKey::parse(&sixth);
        assert_eq!((key.protocol(), key.ports()), (Some(IpProtocol(60)), None));
        // Nor an encrypted one.
        let encrypted = FlowKey::parse(&ipv6(50, &[&TCP_443_TO_50000]));
        assert_eq!(
            (encrypted.protocol(), encrypted.ports()),
            (Some(IpProtocol(50)), None)
        );
    }

    #[test]
    fn all_fragments_of_an_ipv6_packet_are_one_flow_without_ports() {
        let fragment = |next: u8, [a, b]: [u8; 2]| {
            let header = [next, 0, a, b, 1, 2, 3, 4];
            FlowKey::parse(&ipv6(FRAGMENT, &[&header, &TCP_443_TO_50000]))
        };
        let first = fragment(TCP, [0x00, 0x01]);
        assert_eq!(
            (first.protocol(), first.ports()),
            (Some(IpProtocol(44)), None)
        );
        // What the later ones say comes next means nothing.
        for later in [fragment(TCP, [0x05, 0x01]), fragment(99, [0x05, 0xa8])] {
            assert_eq!(later, first);
        }
    }

    #[test]
    fn the_outermost_vlan_counts_and_a_mere_priority_is_none() {
        let plain = FlowKey::parse(&UDP_IN_IPV4);
        let in_vlan = |vlan| FlowKey { vlan, ..plain };
        // Priority 5, "may be dropped", VLAN 100.
        let inner = tagged(&UDP_IN_IPV4, [0x81, 0x00, 0xb0, 0x64]);
        assert_eq!(FlowKey::parse(&inner), in_vlan(Some(100)));
        assert_eq!(
            FlowKey::parse(&inner).to_string(),
            "VLAN 100 192.0.2.1:12345 > 198.51.100.2:53 UDP"
        );
        let outer = tagged(&inner, [0x88, 0xa8, 0x0f, 0xff]);
        assert_eq!(FlowKey::parse(&outer), in_vlan(Some(4095)));
        let priority = tagged(&UDP_IN_IPV4, [0x81, 0x00, 0xe0, 0x00]);
        assert_eq!(FlowKey::parse(&priority), plain);
        let both = tagged(&inner, [0x81, 0x00, 0xe0, 0x00]);
        assert_eq!(FlowKey::parse(&both), in_vlan(Some(100)));

        let three = FlowKey::parse(&tagged(&outer, [0x81, 0x00, 0x00, 0x07]));
        assert_eq!(
            (three.vlan(), three.ether_type()),
            (Some(7), EtherType::VLAN)
        );
        assert_eq!(three.addresses(), None);
    }

    #[test]
    fn other_packets_are_one_flow_for_each_ether_type() {
        let request = FlowKey::parse(&ARP_REQUEST);
        assert_eq!(
            (request.ether_type(), request.addresses()),
            (EtherType::ARP, None)
        );
        let mut answer = ARP_REQUEST;
        answer[..6].copy_from_slice(&ARP_REQUEST[6..12]);
        answer[11] = 2;
        answer[21] = 2;
        assert_eq!(FlowKey::parse(&answer), request);
        // Lengths differ from packet to packet.
        for length in [0_u16, 3, 0x05dc, 0x05ff] {
            let [a, b] = length.to_be_bytes();
            let key = FlowKey::parse(&with(ARP_REQUEST.to_vec(), &[(12, a), (13, b)]));
            assert_eq!((key.ether_type(), key.vlan()), (EtherType(0), None));
        }
    }

    #[test]
    fn of_a_packet_that_is_cut_short_what_is_there_counts() {
        for len in 0..UDP_IN_IPV4.len() {
            let key = FlowKey::parse(&UDP_IN_IPV4[..len]);
            let ether_type = if len < 14 {
                EtherType(0)
            } else {
                EtherType::IPV4
            };
            assert_eq!(key.ether_type(), ether_type, "{len} bytes");
            assert_eq!(key.addresses().is_some(), len >= 34, "{len} bytes");
            assert_eq!(key.ports().is_some(), len >= 38, "{len} bytes");
        }
        let in_vlan = tagged(&UDP_IN_IPV4, [0x81, 0x00, 0x00, 0x64]);
        for len in 14..18 {
            let key = FlowKey::parse(&in_vlan[..len]);
            assert_eq!((key.ether_type(), key.vlan()), (EtherType::VLAN, None));
        }
        let options = [TCP, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let packet = ipv6(DESTINATION_OPTIONS, &[&options, &TCP_443_TO_50000]);
        for len in 0..packet.len() {
            let key = FlowKey::parse(&packet[..len]);
            assert_eq!(key.addresses().is_some(), len >= 54, "{len} bytes");
            let protocol = match len {
                ..54 => None,
                // The header that says so is there.
                54..62 => Some(IpProtocol(60)),
                _ => Some(IpProtocol::TCP),
            };
            assert_eq!(key.protocol(), protocol, "{len} bytes");
            assert_eq!(key.ports(), None);
        }
    }

    /// An IPv4 packet around `inner`, padded to 70 bytes or more.
    fn carried(protocol: u8, inner: &[u8]) -> Vec<u8> {
        let mut frame = UDP_IN_IPV4[..34].to_vec();
        frame[17] = u8::try_from(20 + inner.len()).unwrap();
        frame[23] = protocol;
        frame.extend(inner);
        frame.extend([0x11; 36]);
        frame
    }

    #[test]
    fn the_padding_behind_a_tunnel_has_no_ports() {
        let in_ipv6 = ipv6(UDP, &[]);
        let vxlan = [
            0, 9, 0x12, 0xb5, 0, 66, 0,
            0, // UDP to port 4789, with 8 + 8 + 14 + 20 + 16 bytes
            8, 0, 0, 0, 0, 0, 7, 0, // VXLAN
        ];
        let cut = &UDP_IN_IPV4[..34];
        let mut short = UDP_IN_IPV4;
        short[17] = 20; // the packet ends before the ports
        for frame in [
            carried(4, &cut[14..]),
            carried(41, &with(in_ipv6, &[(19, 8)])[14..]),
            carried(4, &short[14..]),
            carried(47, &[&[0, 0, 0x08, 0x00], &cut[14..]].concat()),
            carried(17, &with([&vxlan, cut].concat(), &[(5, 50)])),
            carried(17, &[&vxlan[..], &short, &[0x11; 8]].concat()),
        ] {
            let (inner, error) = Headers::parse(&frame)
                .unwrap()
                .inner_partial(&frame)
                .unwrap();
            assert!(error.is_some() && inner.ports().is_none(), "{error:?}");
            let key = FlowKey::of(&inner, &frame);
            assert_eq!(key.ports(), None, "{key}");
            assert_eq!(key.protocol(), Some(IpProtocol::UDP));
            assert_eq!(key.addresses().is_some(), inner.ip_version().is_some());
        }
    }

    #[test]
    fn hashes_never_change() {
        let udp = FlowKey::parse(&UDP_IN_IPV4);
        let tcp = FlowKey::parse(&ipv6(TCP, &[&TCP_443_TO_50000]));
        let arp = FlowKey::parse(&ARP_REQUEST);
        let vlan = FlowKey::parse(&tagged(&UDP_IN_IPV4, [0x81, 0x00, 0x00, 0x64]));
        assert_eq!(
            [udp, tcp, arp, vlan].map(|key| (key.hash(), key.symmetric_hash())),
            [
                (0x3f49_cd78, 0x3f49_cd78),
                (0xed5c_99d4, 0x0684_8702),
                (0xa072_224c, 0xa072_224c),
                (0xc311_ad28, 0xc311_ad28),
            ]
        );
    }

    #[test]
    fn both_directions_have_one_symmetric_hash_and_two_others() {
        for packet in [UDP_IN_IPV4.to_vec(), ipv6(TCP, &[&TCP_443_TO_50000])] {
            let key = FlowKey::parse(&packet);
            let back = key.reversed();
            assert_ne!(key, back);
            assert_eq!(key.symmetric_hash(), back.symmetric_hash());
            assert_ne!(key.hash(), back.hash());
            assert_eq!(back.reversed(), key);
        }
        // Which address has which port matters.
        let key = FlowKey::parse(&UDP_IN_IPV4);
        let crossed = FlowKey {
            ports: key.ports.map(|(source, destination)| (destination, source)),
            ..key
        };
        assert_ne!(key.symmetric_hash(), crossed.symmetric_hash());
    }

    #[test]
    fn every_part_of_the_key_changes_the_hash() {
        let key = FlowKey::parse(&UDP_IN_IPV4);
        let mut keys = vec![key, key.reversed()];
        keys.push(FlowKey {
            vlan: Some(1),
            ..key
        });
        keys.push(FlowKey {
            protocol: TCP,
            ..key
        });
        for bit in 0..32 {
            let change =
                |address: [u8; 4]| Ipv4Addr::from(u32::from_be_bytes(address) ^ (1 << bit));
            let (from, to) = ([192, 0, 2, 1], [198, 51, 100, 2]);
            let one = Addresses::V4(change(from), to.into());
            let other = Addresses::V4(from.into(), change(to));
            keys.extend([one, other].map(|addresses| FlowKey { addresses, ..key }));
        }
        for bit in 0..16 {
            keys.push(FlowKey {
                ports: Some((12345 ^ (1 << bit), 53)),
                ..key
            });
            keys.push(FlowKey {
                ports: Some((12345, 53 ^ (1 << bit))),
                ..key
            });
        }
        let hashes: HashSet<_> = keys.iter().map(FlowKey::hash).collect();
        assert_eq!(hashes.len(), keys.len());
    }

    /// Clients with consecutive ports or addresses, as they come in practice: no socket gets far more than another.
    #[test]
    fn flows_are_spread_evenly() {
        let key = FlowKey::parse(&UDP_IN_IPV4);
        let six = FlowKey::parse(&ipv6(TCP, &[&TCP_443_TO_50000]));
        let client = |number: u32| Addresses::V4(number.into(), [198, 51, 100, 2].into());
        let host = |number: u32| {
            let prefix = 0x2001_0db8_u128 << 96;
            Addresses::V6((prefix + u128::from(number)).into(), prefix.into())
        };
        let kinds: [&dyn Fn(u32) -> FlowKey; 4] = [
            &|number| FlowKey {
                ports: Some((number as u16, 53)),
                ..key
            },
            &|number| FlowKey {
                addresses: client(0x0a00_0000 + number),
                ..key
            },
            &|number| FlowKey {
                addresses: client(0x0a00_0000 + (number << 8)),
                ..key
            },
            &|number| FlowKey {
                addresses: host(number),
                ..six
            },
        ];
        const FLOWS: u32 = 16_000;
        for (kind, flow) in kinds.iter().enumerate() {
            for members in 2..=16 {
                for hash in [FlowKey::hash, FlowKey::symmetric_hash] {
                    let mut counts = vec![0_u32; members as usize];
                    for number in 0..FLOWS {
                        counts[FlowKey::member(hash(&flow(number)), members) as usize] += 1;
                    }
                    let fair = FLOWS / members;
                    for count in &counts {
                        assert!(count.abs_diff(fair) < fair / 5, "{kind}: {counts:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn members_are_below_their_number() {
        assert_eq!(FlowKey::member(u32::MAX, 16), 15);
        assert_eq!(FlowKey::member(0, 16), 0);
        assert_eq!(FlowKey::member(u32::MAX, 1), 0);
        assert_eq!(FlowKey::member(u32::MAX, 0), 0);
    }
}
