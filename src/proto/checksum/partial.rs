//! Checksums that a sender left to its network card.

#![forbid(unsafe_code)]

use super::{PseudoHeader, nonzero};
use crate::proto::locate::Location;
use crate::proto::{IpProtocol, Tcp, Udp};

/// What [`complete`] found, and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Completion {
    /// The checksum was partial; now it is the full one.
    Completed,
    /// The checksum is not partial, or the right one all the same; the packet is as it was.
    NotPartial,
    /// Nothing that could have a partial checksum: neither TCP nor UDP, a fragment, or malformed.
    /// The packet is as it was.
    NotRecognised,
}

/// Finishes the TCP or UDP checksum of an Ethernet frame, if its sender left that to the network
/// card.
///
/// Linux computes no checksum for packets to a card that could do it, and a veth pair or a
/// virtual machine's card says that it could. So packets from a container or virtual machine on
/// the same machine arrive with a *partial* checksum (`CHECKSUM_PARTIAL` inside Linux): the field
/// holds the sum of the pseudo header, [not complemented](super::PseudoHeader::partial). Between
/// parts of one machine that is fine; sent over a wire, or over an `AF_XDP` socket to a receiver
/// that checks it, such a packet is dropped as damaged.
///
/// Behind the Ethernet header, up to four VLAN tags, LLC with SNAP, MPLS labels, IPv4 options and IPv6 extension headers are
/// passed over. Bytes behind the IP packet, such as Ethernet padding, are not summed. Fragments are
/// [`Completion::NotRecognised`]: Linux leaves no partial checksum in them. So are IPv6 packets with
/// segments left of which the last station, which the pseudo header has, is not known.
///
/// # How a partial checksum is recognised
///
/// By the headers alone: the checksum field equals the pseudo header's sum. That costs some tens of
/// instructions, and nothing is summed unless it does. Nothing in a frame tells a partial checksum
/// for sure, so about one ordinary packet in 65536 looks like it by coincidence:
///
/// - If it is intact, summing shows that its checksum was right: it is [`Completion::NotPartial`].
/// - If it was damaged on its way, it gets a right checksum, and its receiver cannot notice any more.
///
/// So do not call this for packets that came over a wire; for those a network card has done the work.
///
/// ```
/// use fluxcap::proto::checksum::{Completion, complete};
///
/// let mut frame = [
///     0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
///     0x45, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, // IPv4
///     0x26, 0xcc, 10, 0, 0, 1, 10, 0, 0, 2, //
///     0xc0, 0x00, 0x00, 0x35, 0x00, 0x0b, 0x14, 0x1f, // UDP with the pseudo header's sum
///     b'd', b'n', b's',
/// ];
/// assert_eq!(complete(&mut frame), Completion::Completed);
/// assert_eq!(frame[40..42], [0x54, 0x31]);
/// assert_eq!(complete(&mut frame), Completion::NotPartial);
/// ```
#[inline]
pub fn complete(frame: &mut [u8]) -> Completion {
    let Ok(Some(headers)) = Location::find(frame) else {
        return Completion::NotRecognised;
    };
    match is_partial(&headers, frame) {
        Some((true, addresses)) => write_full(&headers, addresses, frame),
        Some((false, _)) => Completion::NotPartial,
        None => Completion::NotRecognised,
    }
}

/// Whether the checksum field holds the pseudo header's sum, and that header; `None` if there can be no such field.
#[inline]
fn is_partial(headers: &Location, frame: &[u8]) -> Option<(bool, PseudoHeader)> {
    if headers.is_fragment {
        return None;
    }
    let addresses = headers.addresses?;
    let message = headers.message(frame);
    let (checksum, length) = match headers.protocol {
        IpProtocol::TCP => (Tcp::parse(message).ok()?.0.checksum(), message.len()),
        IpProtocol::UDP => {
            let (udp, _) = Udp::parse(message).ok()?;
            (udp.checksum(), udp.length().into())
        }
        _ => return None,
    };
    let length = u32::try_from(length).ok()?;
    let is_partial = checksum == addresses.partial(headers.protocol, length);
    Some((is_partial, addresses))
}

/// Whether the checksum is partial, and not by coincidence the right full one, too.
#[inline]
pub(in crate::proto) fn is_unfinished(headers: &Location, frame: &[u8]) -> bool {
    match is_partial(headers, frame) {
        Some((true, addresses)) => !is_full(headers, addresses, headers.message(frame)),
        _ => false,
    }
}

fn is_full(headers: &Location, addresses: PseudoHeader, message: &[u8]) -> bool {
    if headers.protocol == IpProtocol::TCP {
        return addresses.is_valid(IpProtocol::TCP, message);
    }
    Udp::parse(message).is_ok_and(|(udp, payload)| udp.verify_checksum(addresses, payload))
}

/// Sums up the message, and puts the checksum into it, unless that stands there already.
fn write_full(headers: &Location, addresses: PseudoHeader, frame: &mut [u8]) -> Completion {
    let message = headers.message_mut(frame);
    if headers.protocol == IpProtocol::TCP {
        let Ok((tcp, data)) = Tcp::parse_mut(message) else {
            return Completion::NotRecognised;
        };
        let before = tcp.checksum();
        tcp.fill_checksum(addresses, data);
        // For TCP, unlike UDP, 0xffff is as right as the 0 that was computed.
        if nonzero(tcp.checksum()) == before {
            tcp.set_checksum(before);
            return Completion::NotPartial;
        }
    } else {
        let Ok((udp, payload)) = Udp::parse_mut(message) else {
            return Completion::NotRecognised;
        };
        let before = udp.checksum();
        udp.fill_checksum(addresses, payload);
        if udp.checksum() == before {
            return Completion::NotPartial;
        }
    }
    Completion::Completed
}

#[cfg(test)]
mod tests;
