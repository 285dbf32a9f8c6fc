//! What makes packets one flow, and the number that says which of several sockets gets them.

#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::proto::walk::Link;
use crate::proto::{EtherType, Headers, IpProtocol, Vlan};

/// Maximum number of VLAN tags that the XDP program skips (`FLOW_TAGS` in bpf/flow.h), and so this: each one more is another round of checks
/// for the verifier, and one more branch for each packet.
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
///   6275), the next station of a packet that is source-routed.
/// - The ports of TCP (RFC 9293), UDP (RFC 768) and SCTP (RFC 9260).
/// - A fragment, also the first, has no ports here, so that all fragments of a packet are one flow. It is not that of the
///   whole packets between the same ports. In IPv6 its protocol is the fragment header, number 44.
/// - Everything else is one flow for each EtherType, whoever sent it: an ARP request and its answer belong together. A length in
///   the place of the EtherType (IEEE 802.3) counts as EtherType 0.
/// - Of a packet that is cut short, what can be read counts.
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
        let ids = link.tags(bytes).iter().map(Vlan::id);
        key.vlan = ids.into_iter().find(|&id| id != 0);
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
mod tests;
