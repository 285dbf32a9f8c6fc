//! GRE and VXLAN tunnels, and the headers that carry them.

#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{EditError, Room, grow, keep, put, typed_link};
use crate::proto::checksum::{self, PseudoHeader};
use crate::proto::walk::IpPacket;
use crate::proto::{
    EtherType, Ethernet, FlowKey, Gre, GreFields, IpProtocol, Ipv4, Ipv6, MacAddr, ParseError, Udp,
    Vxlan,
};

/// The Ethernet and IP headers that carry a tunnel: its two ends.
///
/// An IPv4 packet must not be fragmented on its way (RFC 7348, section 4.3; RFC 6864: so its identification means nothing and is 0).
///
/// ```
/// use std::net::Ipv4Addr;
/// use fluxcap::proto::{MacAddr, edit::Outer};
///
/// let (us, router) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
/// let here = Ipv4Addr::new(192, 0, 2, 1);
/// let there = Ipv4Addr::new(198, 51, 100, 1);
/// let outer = Outer::ipv4((us, router), (here, there)).hops(32).dscp(46);
/// assert_eq!(outer.len(), 34);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outer {
    source_mac: MacAddr,
    destination_mac: MacAddr,
    addresses: Addresses,
    hops: u8,
    /// DSCP and ECN.
    traffic_class: u8,
}

/// Source and destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addresses {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Outer {
    /// Over IPv4; both pairs are source and destination. 64 hops, no traffic class.
    #[inline]
    #[must_use]
    pub const fn ipv4(mac: (MacAddr, MacAddr), ip: (Ipv4Addr, Ipv4Addr)) -> Self {
        Self::new(mac, Addresses::V4(ip.0, ip.1))
    }

    /// Over IPv6; both pairs are source and destination. 64 hops, no traffic class.
    #[inline]
    #[must_use]
    pub const fn ipv6(mac: (MacAddr, MacAddr), ip: (Ipv6Addr, Ipv6Addr)) -> Self {
        Self::new(mac, Addresses::V6(ip.0, ip.1))
    }

    #[inline]
    const fn new((source_mac, destination_mac): (MacAddr, MacAddr), addresses: Addresses) -> Self {
        Self {
            source_mac,
            destination_mac,
            addresses,
            hops: 64,
            traffic_class: 0,
        }
    }

    /// Sets how many hops the packet may take: time to live or hop limit.
    #[inline]
    #[must_use]
    pub const fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// Sets the differentiated services code point (RFC 2474), of which the lower 6 bits count.
    #[inline]
    #[must_use]
    pub const fn dscp(mut self, dscp: u8) -> Self {
        self.traffic_class = dscp << 2 | self.traffic_class & 3;
        self
    }

    /// Sets the explicit congestion notification, of which the lower 2 bits count: that of the inner packet (RFC 6040), which is not
    /// looked at here.
    #[inline]
    #[must_use]
    pub const fn ecn(mut self, ecn: u8) -> Self {
        self.traffic_class = self.traffic_class & !3 | ecn & 3;
        self
    }

    /// Length of both headers in bytes: 34 or 54.
    #[inline]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub const fn len(&self) -> usize {
        Ethernet::LEN
            + match self.addresses {
                Addresses::V4(..) => Ipv4::LEN,
                Addresses::V6(..) => Ipv6::LEN,
            }
    }

    #[inline]
    pub(super) const fn is_ipv6(&self) -> bool {
        matches!(self.addresses, Addresses::V6(..))
    }

    #[inline]
    fn pseudo_header(&self) -> PseudoHeader {
        match self.addresses {
            Addresses::V4(source, destination) => PseudoHeader::ipv4(source, destination),
            Addresses::V6(source, destination) => PseudoHeader::ipv6(source, destination),
        }
    }

    /// What the length field says over an IP payload of `len` bytes.
    #[inline]
    fn length_field(&self, len: usize) -> Result<u16, EditError> {
        let len = match self.addresses {
            Addresses::V4(..) => len.saturating_add(Ipv4::LEN),
            Addresses::V6(..) => len,
        };
        u16::try_from(len).map_err(|_| EditError::TooLong { len })
    }

    /// Writes the headers at the start of `frame`; `length` is what [`length_field`](Self::length_field) gave.
    #[inline]
    fn write(&self, frame: &mut [u8], protocol: IpProtocol, length: u16) {
        let ether_type = match self.addresses {
            Addresses::V4(source, destination) => {
                let header = self.ipv4_header((source, destination), protocol, length);
                put(frame, Ethernet::LEN, header);
                EtherType::IPV4
            }
            Addresses::V6(source, destination) => {
                let [high, low] = length.to_be_bytes();
                let (class, protocol) = (self.traffic_class, protocol.0);
                let fixed = [
                    0x60 | class >> 4,
                    class << 4,
                    0,
                    0,
                    high,
                    low,
                    protocol,
                    self.hops,
                ];
                put(frame, Ethernet::LEN, fixed);
                put(frame, Ethernet::LEN + 8, source.octets());
                put(frame, Ethernet::LEN + 24, destination.octets());
                EtherType::IPV6
            }
        };
        if let Ok((ethernet, _)) = Ethernet::parse_mut(frame) {
            ethernet.set_destination(self.destination_mac);
            ethernet.set_source(self.source_mac);
            ethernet.set_ether_type(ether_type);
        }
    }

    #[inline]
    fn ipv4_header(
        &self,
        (source, destination): (Ipv4Addr, Ipv4Addr),
        protocol: IpProtocol,
        length: u16,
    ) -> [u8; Ipv4::LEN] {
        let [high, low] = length.to_be_bytes();
        let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (source.octets(), destination.octets());
        let with = |[c0, c1]: [u8; 2]| {
            [
                0x45,
                self.traffic_class,
                high,
                low, //
                0,
                0,
                0x40,
                0, // not a fragment, and not to become one
                self.hops,
                protocol.0,
                c0,
                c1, //
                s0,
                s1,
                s2,
                s3,
                d0,
                d1,
                d2,
                d3,
            ]
        };
        with(checksum::checksum(&with([0, 0])).to_be_bytes())
    }
}

/// The message that carries a tunnel over `protocol`: whole, behind Ethernet, VLAN tags and IP.
#[inline]
fn message(
    packet: &(impl Room + ?Sized),
    protocol: IpProtocol,
    name: &'static str,
) -> Result<IpPacket, EditError> {
    let found = IpPacket::find(packet.bytes())?;
    let ip = found.ok_or(EditError::Absent(name))?;
    if ip.protocol != protocol {
        return Err(EditError::Absent(name));
    }
    if ip.is_fragment {
        return Err(EditError::Fragment);
    }
    Ok(ip)
}

/// Refuses a frame in a tunnel that is too short for an Ethernet header; it starts at byte `start`.
#[inline]
fn check_frame(frame: &[u8], start: usize) -> Result<(), ParseError> {
    Ethernet::parse(frame)
        .map(drop)
        .map_err(|error| error.at(start))
}

/// What a GRE tunnel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrePayload {
    /// The packet without its Ethernet header and VLAN tags, which are lost: the usual tunnel between routers.
    Packet,
    /// The whole frame (transparent Ethernet bridging).
    Frame,
}

/// Puts a packet into a GRE tunnel (RFC 2784, RFC 2890).
///
/// What carries it is `outer`; its lengths and checksum are filled in, and the checksum of the GRE header, if `fields` ask for one, which
/// reads the whole packet.
///
/// # Errors
///
/// [`Parse`](EditError::Parse) without an Ethernet header, [`TooLong`](EditError::TooLong), [`NoHeadroom`](EditError::NoHeadroom). For a
/// [`Packet`](GrePayload::Packet) also [`TooManyTags`](EditError::TooManyTags), and [`NoEtherType`](EditError::NoEtherType) for IEEE 802.3.
#[inline]
pub fn gre_encap(
    packet: &mut (impl Room + ?Sized),
    outer: &Outer,
    payload: GrePayload,
    fields: GreFields,
) -> Result<(), EditError> {
    let bytes = packet.bytes();
    check_frame(bytes, 0)?;
    let (dropped, protocol_type) = match payload {
        GrePayload::Frame => (0, EtherType::ETHERNET),
        GrePayload::Packet => {
            let link = typed_link(bytes)?;
            (link.at, link.ether_type)
        }
    };
    // The lengths of headers, which are small, and of what is left of a packet.
    let kept = bytes.len().saturating_sub(dropped);
    let header_len = fields.header_len();
    let length = outer.length_field(kept.saturating_add(header_len))?;
    let front = outer.len().wrapping_add(header_len);
    match front.checked_sub(dropped) {
        Some(missing) => grow(packet, missing)?,
        // Many tags take more room than the headers that come instead.
        None => keep(packet, dropped.saturating_sub(front), usize::MAX)?,
    }
    let bytes = packet.bytes_mut();
    outer.write(bytes, IpProtocol::GRE, length);
    let message = bytes.get_mut(outer.len()..).unwrap_or_default();
    let (gre, payload) = Gre::write(message, protocol_type, fields)?;
    gre.fill_checksum(payload);
    Ok(())
}

/// Takes a packet out of a GRE tunnel: the headers that carry it, and what is behind it, such as padding. Gives what the tunnel said it
/// carries, and the optional fields.
///
/// A whole frame is then what it was. A mere packet keeps the outer Ethernet addresses, without what is between them and the packet, such as VLAN tags.
///
/// No checksum is looked at: verify before, if it matters, with [`Ipv4::verify_checksum`](crate::proto::Ipv4::verify_checksum) and
/// [`Gre::verify_checksum`].
///
/// # Errors
///
/// [`Absent`](EditError::Absent) when it is no GRE packet, [`Fragment`](EditError::Fragment) when it is a part of one,
/// [`Parse`](EditError::Parse) when a header, or that of the frame inside, is malformed or cut short, or the protocol type is no ether type,
/// as in keepalives.
#[inline]
pub fn gre_decap(packet: &mut (impl Room + ?Sized)) -> Result<(EtherType, GreFields), EditError> {
    let ip = message(packet, IpProtocol::GRE, "GRE")?;
    let bytes = packet.bytes();
    let (gre, payload) = Gre::parse(ip.message(bytes)).map_err(|error| error.at(ip.message))?;
    let protocol_type = gre.protocol_type();
    let fields = GreFields {
        checksum: gre.checksum().is_some(),
        key: gre.key(),
        sequence_number: gre.sequence_number(),
    };
    // Both within the packet.
    let start = ip.message.wrapping_add(gre.header_len());
    let end = start.wrapping_add(payload.len());
    if protocol_type == EtherType::ETHERNET {
        check_frame(payload, start)?;
        keep(packet, start, end)?;
        return Ok((protocol_type, fields));
    }
    if protocol_type.is_length() {
        let place = ("GRE", "protocol type", 2);
        let error = ParseError::malformed(place, protocol_type.0.into());
        return Err(error.at(ip.message).into());
    }
    let (&ethernet, _) = Ethernet::parse(bytes)?;
    keep(packet, start.saturating_sub(Ethernet::LEN), end)?;
    let bytes = packet.bytes_mut();
    put(bytes, 0, ethernet.destination().octets());
    put(bytes, 6, ethernet.source().octets());
    put(bytes, 12, protocol_type.0.to_be_bytes());
    Ok((protocol_type, fields))
}

/// The largest network identifier.
const MAX_VNI: u32 = 0xff_ffff;

/// What the UDP and VXLAN headers of a tunnel say. A network identifier alone is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VxlanFields {
    /// VXLAN network identifier: which virtual network, 0 to 16,777,215.
    pub vni: u32,
    /// The UDP port that it comes from. Without one, it follows from the flow of the packet inside, in the range of 49152 to 65535
    /// (RFC 7348, section 5), so that routers share the flows out over their links.
    pub source_port: Option<u16>,
    /// The UDP port that it goes to: [`Vxlan::PORT`], or what the two ends have agreed on.
    pub destination_port: u16,
    /// Whether there is a UDP checksum, which reads the whole packet. By default there is none over IPv4, as RFC 7348 recommends, and
    /// one over IPv6, where receivers accept none only if configured so (RFC 6935, RFC 6936).
    pub checksum: Option<bool>,
}

impl VxlanFields {
    /// Of this network, and all else as usual.
    #[inline]
    #[must_use]
    pub const fn new(vni: u32) -> Self {
        Self {
            vni,
            source_port: None,
            destination_port: Vxlan::PORT,
            checksum: None,
        }
    }
}

impl From<u32> for VxlanFields {
    #[inline]
    fn from(vni: u32) -> Self {
        Self::new(vni)
    }
}

/// Puts a frame into a VXLAN tunnel (RFC 7348).
///
/// What carries it is `outer`; all lengths and checksums are filled in.
///
/// # Errors
///
/// [`Parse`](EditError::Parse) without an Ethernet header, [`OutOfRange`](EditError::OutOfRange) for a network identifier of more than 24
/// bits, [`TooLong`](EditError::TooLong), [`NoHeadroom`](EditError::NoHeadroom) when fewer than 50 bytes are free in front, over IPv6 70.
#[inline]
pub fn vxlan_encap(
    packet: &mut (impl Room + ?Sized),
    outer: &Outer,
    fields: impl Into<VxlanFields>,
) -> Result<(), EditError> {
    let fields = fields.into();
    if fields.vni > MAX_VNI {
        return Err(EditError::OutOfRange {
            field: "VXLAN network identifier",
            value: fields.vni,
        });
    }
    let frame = packet.bytes();
    check_frame(frame, 0)?;
    let source_port = match fields.source_port {
        Some(port) => port,
        None => 0xc000 | (FlowKey::parse(frame).hash() >> 18) as u16,
    };
    let len = frame.len().saturating_add(Udp::LEN + Vxlan::LEN);
    let length = outer.length_field(len)?;
    let udp_length = u16::try_from(len).map_err(|_| EditError::TooLong { len })?;
    grow(packet, outer.len().wrapping_add(Udp::LEN + Vxlan::LEN))?;
    let bytes = packet.bytes_mut();
    outer.write(bytes, IpProtocol::UDP, length);
    let message = bytes.get_mut(outer.len()..).unwrap_or_default();
    put(message, 4, udp_length.to_be_bytes());
    put(message, 6, [0; 2]);
    let (udp, payload) = Udp::parse_mut(message)?;
    udp.set_source_port(source_port);
    udp.set_destination_port(fields.destination_port);
    Vxlan::write(payload, fields.vni)?;
    if fields.checksum.unwrap_or(outer.is_ipv6()) {
        udp.fill_checksum(outer.pseudo_header(), payload);
    }
    Ok(())
}

/// Takes a frame out of a VXLAN tunnel: the headers that carry it, and what is behind it, such as padding. Gives the network identifier.
///
/// `port` is the UDP port that VXLAN comes to: [`Vxlan::PORT`], or what the two ends have agreed on.
///
/// No checksum is looked at: verify before, if it matters, with [`Ipv4::verify_checksum`](crate::proto::Ipv4::verify_checksum) and
/// [`Udp::verify_checksum`].
///
/// # Errors
///
/// [`Absent`](EditError::Absent) when it is no UDP datagram to that port, [`Fragment`](EditError::Fragment) when it is a part of one,
/// [`Parse`](EditError::Parse) when a header, or that of the frame inside, is malformed or cut short, or there is no network identifier.
#[inline]
pub fn vxlan_decap(packet: &mut (impl Room + ?Sized), port: u16) -> Result<u32, EditError> {
    let ip = message(packet, IpProtocol::UDP, "VXLAN")?;
    let at = ip.message;
    let datagram = ip.message(packet.bytes());
    let (udp, payload) = Udp::parse(datagram).map_err(|error| error.at(at))?;
    if udp.destination_port() != port {
        return Err(EditError::Absent("VXLAN"));
    }
    // All within the packet.
    let at = at.wrapping_add(Udp::LEN);
    let (vxlan, frame) = Vxlan::parse(payload).map_err(|error| error.at(at))?;
    let vni = vxlan.vni();
    let start = at.wrapping_add(Vxlan::LEN);
    check_frame(frame, start)?;
    let end = start.wrapping_add(frame.len());
    keep(packet, start, end)?;
    Ok(vni)
}
