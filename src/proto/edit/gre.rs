//! GRE tunnels.

#![forbid(unsafe_code)]

use super::outer::{Outer, check_frame, message};
use super::{EditError, Link, grow, keep, put};
use crate::proto::{EtherType, Ethernet, Gre, GreFields, IpProtocol, ParseError, Room};

/// What a GRE tunnel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrePayload {
    /// The packet without its Ethernet header and VLAN tags, of which nothing is left: the usual tunnel between routers.
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
            let link = Link::find_typed(bytes)?;
            (link.len, link.ether_type)
        }
    };
    // The lengths of headers, which are small, and of what is left of a packet.
    let kept = bytes.len().saturating_sub(dropped);
    let header_len = fields.header_len();
    let length = outer.length_field(kept.saturating_add(header_len))?;
    let front = outer.len().wrapping_add(header_len);
    // At least 38, of which a link is at most 30.
    grow(packet, front.saturating_sub(dropped))?;
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
    let location = message(packet, IpProtocol::GRE, "GRE")?;
    let bytes = packet.bytes();
    let (gre, payload) =
        Gre::parse(location.message(bytes)).map_err(|error| error.at(location.message))?;
    let protocol_type = gre.protocol_type();
    let fields = GreFields {
        checksum: gre.checksum().is_some(),
        key: gre.key(),
        sequence_number: gre.sequence_number(),
    };
    // Both within the packet.
    let start = location.message.wrapping_add(gre.header_len());
    let end = start.wrapping_add(payload.len());
    if protocol_type == EtherType::ETHERNET {
        check_frame(payload, start)?;
        keep(packet, start, end)?;
        return Ok((protocol_type, fields));
    }
    if protocol_type.is_length() {
        let place = ("GRE", "protocol type", 2);
        let error = ParseError::malformed(place, protocol_type.0.into());
        return Err(error.at(location.message).into());
    }
    let (&ethernet, _) = Ethernet::parse(bytes)?;
    keep(packet, start.saturating_sub(Ethernet::LEN), end)?;
    let bytes = packet.bytes_mut();
    put(bytes, 0, ethernet.destination().octets());
    put(bytes, 6, ethernet.source().octets());
    put(bytes, 12, protocol_type.0.to_be_bytes());
    Ok((protocol_type, fields))
}
