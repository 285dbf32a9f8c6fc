//! VXLAN tunnels.

#![forbid(unsafe_code)]

use super::outer::{Outer, check_frame, message};
use super::{EditError, grow, keep, put};
use crate::proto::{FlowKey, IpProtocol, Room, Udp, Vxlan};

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
    /// Whether there is a UDP checksum, which reads the whole packet. Without a wish there is none over IPv4, as RFC 7348 recommends, and
    /// one over IPv6, where receivers take packets without only when told to (RFC 6935, RFC 6936).
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
    let location = message(packet, IpProtocol::UDP, "VXLAN")?;
    let at = location.message;
    let datagram = location.message(packet.bytes());
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
