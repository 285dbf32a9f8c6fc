//! All headers of a frame, found in one pass.

#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::proto::walk::MAX_VLAN_TAGS;
use crate::proto::{EtherType, IpProtocol, Ipv6, TcpFlags};

mod parse;
mod tunnel;

pub use parse::Parser;

/// Where the headers of a frame are, from Ethernet to TCP, UDP and ICMP, and the fields that most programs look at.
///
/// It is a small copy without a lifetime: the frame may be changed meanwhile, and a view of a header is made at its offset.
/// What the offsets and fields count from is the first byte of the frame, in bytes; all values are in host byte order.
///
/// - Ethernet II with up to [`MAX_VLAN_TAGS`](Self::MAX_VLAN_TAGS) VLAN tags (IEEE 802.1Q, 802.1ad), IEEE 802.3 with LLC and SNAP, and
///   MPLS label stacks (RFC 3032), behind which the first bits tell IPv4 and IPv6 from the rest.
/// - IPv4 (RFC 791) with options, IPv6 (RFC 8200) with up to
///   [`Ipv6::MAX_EXTENSION_HEADERS`](crate::proto::Ipv6::MAX_EXTENSION_HEADERS) extension headers.
/// - TCP, UDP, ICMP, ICMPv6; the ports of SCTP, DCCP and UDP-Lite.
///
/// An unknown protocol is no error: the payload starts behind the last known header, and [`ip_version`](Self::ip_version) or
/// [`l4_offset`](Self::l4_offset) is `None`. So it is behind more VLAN tags than that.
///
/// Of a fragment, only the first has the header of its [`protocol`](Self::protocol), and its data are a part only: lengths that
/// TCP and UDP announce are not checked against it. A later one has no [`l4_offset`](Self::l4_offset) and no ports.
///
/// Checksums are not looked at.
///
/// ```
/// use fluxcap::proto::{EtherType, Headers, IpProtocol, ParseError};
///
/// let frame = [
///     0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x81, 0x00, // Ethernet
///     0xa0, 0x07, 0x08, 0x00, // VLAN 7
///     0x45, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, // IPv4
///     0x26, 0xcc, 10, 0, 0, 1, 10, 0, 0, 2, //
///     0xc0, 0x00, 0x00, 0x35, 0x00, 0x0b, 0x54, 0x31, // UDP
///     b'd', b'n', b's',
/// ];
/// let headers = Headers::parse(&frame)?;
/// assert_eq!((headers.vlan(), headers.ether_type()), (Some(7), EtherType::IPV4));
/// assert_eq!(headers.protocol(), Some(IpProtocol::UDP));
/// assert_eq!(headers.ports(), Some((49152, 53)));
/// assert_eq!(headers.source_ip(&frame), Some([10, 0, 0, 1].into()));
/// assert_eq!(headers.payload(&frame), b"dns");
///
/// let error = Headers::parse(&frame[..44]).unwrap_err();
/// assert_eq!(error.to_string(), "IPv4 total length at byte 20 needs 31 bytes, only 26 are there");
/// # Ok::<(), ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    start: u32,
    /// Where the IP header starts.
    l3: u32,
    /// Where the header behind it starts.
    l4: u32,
    payload: u32,
    payload_end: u32,
    end: u32,
    ether_type: u16,
    outer_tag: u16,
    inner_tag: u16,
    /// Bits of [`flag`].
    flags: u16,
    traffic_class: u8,
    ttl: u8,
    protocol: u8,
    tcp_flags: u8,
    /// What TCP, UDP and the like, and ICMP start with: ports, or type and code.
    first: [u8; 4],
    vlan_tags: u8,
    mpls_labels: u8,
    tunnel: Option<Tunnel>,
}

/// What a packet travels in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Tunnel {
    /// An IP packet directly in another: all four pairs of versions (RFC 2003, RFC 2473, RFC 4213).
    Ip = 1,
    /// Generic routing encapsulation (RFC 2784, RFC 2890) of IP, MPLS or Ethernet; on UDP too (RFC 8086), on the ports given to a [`Parser`].
    Gre = 2,
    /// Virtual extensible LAN (RFC 7348), on UDP port 4789 or those given to a [`Parser`]: Ethernet.
    Vxlan = 3,
}

/// What is known, and what is unusual.
mod flag {
    pub(super) const IPV4: u16 = 1;
    pub(super) const IPV6: u16 = 1 << 1;
    pub(super) const L4: u16 = 1 << 2;
    pub(super) const PORTS: u16 = 1 << 3;
    pub(super) const TCP: u16 = 1 << 4;
    pub(super) const ICMP: u16 = 1 << 5;
    pub(super) const FRAGMENT: u16 = 1 << 6;
    pub(super) const LATER_FRAGMENT: u16 = 1 << 7;
    pub(super) const SOURCE_ROUTED: u16 = 1 << 8;
    pub(super) const ETHERNET: u16 = 1 << 9;
    pub(super) const LLC: u16 = 1 << 10;
    pub(super) const PARTIAL: u16 = 1 << 11;
    pub(super) const HOME_ADDRESS: u16 = 1 << 12;
    /// Of these, a plain IP packet has that of its version alone.
    pub(super) const NOT_PLAIN: u16 = IPV4 | IPV6 | FRAGMENT | LLC | PARTIAL;
}

impl Headers {
    /// Maximum number of VLAN tags skipped. More than two are unusual.
    pub const MAX_VLAN_TAGS: usize = MAX_VLAN_TAGS;

    /// Of a frame without a header.
    const EMPTY: Self = Self {
        start: 0,
        l3: 0,
        l4: 0,
        payload: 0,
        payload_end: 0,
        end: 0,
        ether_type: 0,
        outer_tag: 0,
        inner_tag: 0,
        flags: 0,
        traffic_class: 0,
        ttl: 0,
        protocol: 0,
        tcp_flags: 0,
        first: [0; 4],
        vlan_tags: 0,
        mpls_labels: 0,
        tunnel: None,
    };

    /// What the frame carries, behind its VLAN tags: that of MPLS if there are labels. A value below `0x0600` is an IEEE 802.3 length,
    /// behind which there is LLC without a known EtherType.
    #[inline]
    #[must_use]
    pub const fn ether_type(&self) -> EtherType {
        EtherType(self.ether_type)
    }

    /// How many VLAN tags there are.
    #[inline]
    #[must_use]
    pub const fn vlan_tags(&self) -> usize {
        self.vlan_tags as usize
    }

    /// The outermost VLAN tag: priority, drop eligible, VLAN id, 3 + 1 + 12 bits.
    #[inline]
    #[must_use]
    pub const fn outer_tag(&self) -> Option<u16> {
        if self.vlan_tags > 0 {
            Some(self.outer_tag)
        } else {
            None
        }
    }

    /// The innermost of several VLAN tags: priority, drop eligible, VLAN id, 3 + 1 + 12 bits.
    #[inline]
    #[must_use]
    pub const fn inner_tag(&self) -> Option<u16> {
        if self.vlan_tags > 1 {
            Some(self.inner_tag)
        } else {
            None
        }
    }

    /// The number in the outermost VLAN tag, 0 to 4095; 0 is a mere priority.
    #[inline]
    #[must_use]
    pub const fn vlan(&self) -> Option<u16> {
        match self.outer_tag() {
            Some(tag) => Some(tag & 0x0fff),
            None => None,
        }
    }

    /// How many MPLS labels there are.
    #[inline]
    #[must_use]
    pub const fn mpls_labels(&self) -> usize {
        self.mpls_labels as usize
    }

    /// 4 or 6; `None` if the frame carries no IP packet.
    #[inline]
    #[must_use]
    pub const fn ip_version(&self) -> Option<u8> {
        if self.has(flag::IPV4) {
            Some(4)
        } else if self.has(flag::IPV6) {
            Some(6)
        } else {
            None
        }
    }

    /// What the IP packet carries, behind IPv6 extension headers.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> Option<IpProtocol> {
        if self.is_ip() {
            Some(IpProtocol(self.protocol))
        } else {
            None
        }
    }

    /// Differentiated services code point of the IP packet (RFC 2474), 0 to 63.
    #[inline]
    #[must_use]
    pub const fn dscp(&self) -> u8 {
        self.traffic_class >> 2
    }

    /// Explicit congestion notification of the IP packet (RFC 3168), 0 to 3.
    #[inline]
    #[must_use]
    pub const fn ecn(&self) -> u8 {
        self.traffic_class & 3
    }

    /// How many more hops the IP packet may take: time to live, or hop limit.
    #[inline]
    #[must_use]
    pub const fn ttl(&self) -> u8 {
        self.ttl
    }

    /// Whether the IP packet is a fragment.
    #[inline]
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        self.has(flag::FRAGMENT)
    }

    /// Whether the IP packet is a fragment other than the first, which lacks the header of its protocol.
    #[inline]
    #[must_use]
    pub const fn is_later_fragment(&self) -> bool {
        self.has(flag::LATER_FRAGMENT)
    }

    /// Whether an IPv6 routing header or an IPv4 option lists nodes that the packet has yet to pass: `destination_ip` is a node on the way,
    /// and checksums cover the last one.
    #[inline]
    #[must_use]
    pub const fn is_source_routed(&self) -> bool {
        self.has(flag::SOURCE_ROUTED)
    }

    /// Whether an IPv6 destination option tells the home address of a mobile node (RFC 6275, section 6.3): `source_ip` is where it is
    /// now, and checksums cover the home address. [`Ipv6::upper_layer`] gives it.
    #[inline]
    #[must_use]
    pub const fn has_home_address(&self) -> bool {
        self.has(flag::HOME_ADDRESS)
    }

    /// Whether the frame was [parsed partially](Self::parse_partial), and something is missing or wrong.
    #[inline]
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        self.has(flag::PARTIAL)
    }

    /// What the packet was taken out of, if it is the [inner](Self::inner) one of a tunnel.
    #[inline]
    #[must_use]
    pub const fn tunnel(&self) -> Option<Tunnel> {
        self.tunnel
    }

    /// Ports of source and destination: TCP, UDP, SCTP, DCCP, UDP-Lite.
    #[inline]
    #[must_use]
    pub const fn ports(&self) -> Option<(u16, u16)> {
        if self.has(flag::PORTS) {
            let [a, b, c, d] = self.first;
            Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
        } else {
            None
        }
    }

    /// The control bits of TCP.
    #[inline]
    #[must_use]
    pub const fn tcp_flags(&self) -> Option<TcpFlags> {
        if self.has(flag::TCP) {
            Some(TcpFlags(self.tcp_flags))
        } else {
            None
        }
    }

    /// Type and code of ICMP or ICMPv6.
    #[inline]
    #[must_use]
    pub const fn icmp(&self) -> Option<(u8, u8)> {
        if self.has(flag::ICMP) {
            Some((self.first[0], self.first[1]))
        } else {
            None
        }
    }

    /// Where the packet starts: 0, but for the inner one of a tunnel.
    #[inline]
    #[must_use]
    pub const fn start(&self) -> usize {
        self.start as usize
    }

    /// Whether there is an Ethernet header at the start. The inner packet of a tunnel may have none.
    #[inline]
    #[must_use]
    pub const fn has_ethernet(&self) -> bool {
        self.has(flag::ETHERNET)
    }

    /// Where the IP header starts.
    #[inline]
    #[must_use]
    pub const fn l3_offset(&self) -> Option<usize> {
        if self.is_ip() {
            Some(self.l3 as usize)
        } else {
            None
        }
    }

    /// Where the header of [`protocol`](Self::protocol) starts, known or not; `None` of a later fragment.
    #[inline]
    #[must_use]
    pub const fn l4_offset(&self) -> Option<usize> {
        if self.has(flag::L4) {
            Some(self.l4 as usize)
        } else {
            None
        }
    }

    /// Where the payload starts: all behind the last header that is known.
    #[inline]
    #[must_use]
    pub const fn payload_offset(&self) -> usize {
        self.payload as usize
    }

    /// Where the payload ends: [`end`](Self::end), or before it where a UDP datagram is shorter than its packet.
    #[inline]
    #[must_use]
    pub const fn payload_end(&self) -> usize {
        self.payload_end as usize
    }

    /// Where the packet ends; padding may follow.
    #[inline]
    #[must_use]
    pub const fn end(&self) -> usize {
        self.end as usize
    }

    /// The payload, in the bytes that were parsed.
    #[inline]
    #[must_use]
    pub fn payload<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        frame
            .get(self.payload_offset()..self.payload_end())
            .unwrap_or_default()
    }

    /// Source address of the IP packet, from the bytes that were parsed.
    #[inline]
    #[must_use]
    pub fn source_ip(&self, frame: &[u8]) -> Option<IpAddr> {
        self.ip_at(frame, 12, 8)
    }

    /// Destination address of the IP packet, from the bytes that were parsed.
    #[inline]
    #[must_use]
    pub fn destination_ip(&self, frame: &[u8]) -> Option<IpAddr> {
        self.ip_at(frame, 16, 24)
    }

    #[inline]
    fn ip_at(&self, frame: &[u8], place_v4: usize, place_v6: usize) -> Option<IpAddr> {
        // What is behind the packet is none of it.
        let packet = frame.get(self.l3_offset()?..self.end())?;
        if self.has(flag::IPV4) {
            let octets: &[u8; 4] = packet.get(place_v4..)?.first_chunk()?;
            Some(Ipv4Addr::from(*octets).into())
        } else {
            let octets: &[u8; 16] = packet.get(place_v6..)?.first_chunk()?;
            Some(Ipv6Addr::from(*octets).into())
        }
    }

    /// Whether this is a whole IPv4 packet, behind VLAN tags or right behind Ethernet.
    #[inline]
    pub(super) const fn is_plain_ipv4(&self) -> bool {
        self.flags & flag::NOT_PLAIN == flag::IPV4 && self.mpls_labels == 0
    }

    /// Whether this is a whole IPv6 packet without extension headers, behind VLAN tags or right behind Ethernet.
    #[inline]
    pub(super) const fn is_plain_ipv6(&self) -> bool {
        self.flags & flag::NOT_PLAIN == flag::IPV6
            && self.mpls_labels == 0
            && self.l4.wrapping_sub(self.l3) as usize == Ipv6::LEN
    }

    #[inline]
    const fn is_ip(&self) -> bool {
        self.has(flag::IPV4 | flag::IPV6)
    }

    /// Whether one of these bits is set.
    #[inline]
    const fn has(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }
}

/// As it is kept. No frame is so long that this changes it.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "checked just before")]
const fn offset(value: usize) -> u32 {
    if value > u32::MAX as usize {
        return u32::MAX;
    }
    value as u32
}

#[cfg(test)]
mod tests;
