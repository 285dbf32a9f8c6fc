//! What is between the Ethernet header and the packet: VLAN tags and MPLS labels.

#![forbid(unsafe_code)]

use zerocopy::IntoBytes;

use super::{EditError, Room, grow, keep, link, put, typed_link};
use crate::proto::walk::Link;
use crate::proto::{EtherType, Ethernet, Mpls, Vlan, VlanTag};

/// Both addresses of an Ethernet header, which stay in front of all tags.
const ADDRESSES: usize = 12;

/// Puts a VLAN tag in front of what the frame carries, outermost: an [802.1Q tag](VlanTag::new), for which a number is enough, or an
/// [802.1ad one](VlanTag::service).
///
/// # Errors
///
/// [`Parse`](EditError::Parse) without an Ethernet header, [`OutOfRange`](EditError::OutOfRange) for a number above 4095, a priority above
/// 7 and an ether type that announces no tag, [`NoHeadroom`](EditError::NoHeadroom) when fewer than 4 bytes are free in front.
#[inline]
pub fn push_vlan(
    packet: &mut (impl Room + ?Sized),
    tag: impl Into<VlanTag>,
) -> Result<(), EditError> {
    let tag = tag.into();
    let control = control(tag)?;
    let addresses = addresses(packet.bytes())?;
    grow(packet, Vlan::LEN)?;
    let bytes = packet.bytes_mut();
    put(bytes, 0, addresses);
    put(bytes, ADDRESSES, tag.ether_type.0.to_be_bytes());
    // The ether type that was there before follows.
    put(bytes, ADDRESSES + 2, control.to_be_bytes());
    Ok(())
}

/// Takes the outermost VLAN tag off.
///
/// # Errors
///
/// [`Parse`](EditError::Parse) without an Ethernet header or when the frame ends in the tag, [`Absent`](EditError::Absent) when there is none.
#[inline]
pub fn pop_vlan(packet: &mut (impl Room + ?Sized)) -> Result<VlanTag, EditError> {
    let bytes = packet.bytes();
    let addresses = addresses(bytes)?;
    let (ethernet, rest) = Ethernet::parse(bytes)?;
    if !ethernet.ether_type().is_vlan() {
        return Err(EditError::Absent("VLAN"));
    }
    let (vlan, _) = Vlan::parse(rest).map_err(|error| error.at(Ethernet::LEN))?;
    let tag = VlanTag {
        id: vlan.id(),
        priority: vlan.priority(),
        drop_eligible: vlan.drop_eligible(),
        ether_type: ethernet.ether_type(),
    };
    let end = bytes.len();
    keep(packet, Vlan::LEN, end)?;
    put(packet.bytes_mut(), 0, addresses);
    Ok(tag)
}

/// Destination and source.
#[inline]
fn addresses(frame: &[u8]) -> Result<[u8; ADDRESSES], EditError> {
    Ethernet::parse(frame)?;
    frame.first_chunk().copied().ok_or(EditError::Immovable)
}

/// What is behind the ether type that announces the tag.
#[inline]
fn control(tag: VlanTag) -> Result<u16, EditError> {
    let wrong = |field, value: u16| EditError::OutOfRange {
        field,
        value: value.into(),
    };
    if tag.id > 0x0fff {
        return Err(wrong("VLAN number", tag.id));
    }
    if tag.priority > 7 {
        return Err(wrong("VLAN priority", tag.priority.into()));
    }
    if !tag.ether_type.is_vlan() {
        return Err(wrong("ether type of a VLAN tag", tag.ether_type.0));
    }
    Ok(u16::from(tag.priority) << 13 | u16::from(tag.drop_eligible) << 12 | tag.id)
}

/// Where the ether type is that the last byte of a [`Link`] ends.
const TYPE_LEN: usize = 2;

/// Puts a label on top of the stack, behind the Ethernet header and its VLAN tags; the first one makes the packet an MPLS packet.
///
/// Whether the entry is at the bottom of the stack is set here, whatever `entry` says. The packet no longer holds its
/// former ether type: [`pop_mpls`] has to be given it.
///
/// # Errors
///
/// [`Parse`](EditError::Parse) without an Ethernet header or when the frame ends in a VLAN tag, [`TooManyTags`](EditError::TooManyTags),
/// [`NoEtherType`](EditError::NoEtherType) for IEEE 802.3, [`NoHeadroom`](EditError::NoHeadroom) when fewer than 4 bytes are free in front.
#[inline]
pub fn push_mpls(packet: &mut (impl Room + ?Sized), mut entry: Mpls) -> Result<(), EditError> {
    let link = typed_link(packet.bytes())?;
    let is_mpls = link.ether_type.is_mpls();
    entry.set_bottom(!is_mpls);
    grow(packet, Mpls::LEN)?;
    let bytes = packet.bytes_mut();
    // The link's headers, and the room in front of them.
    let front = link.at.wrapping_add(Mpls::LEN);
    if let Some(front) = bytes.get_mut(..front) {
        front.copy_within(Mpls::LEN.., 0);
    }
    if !is_mpls {
        set_ether_type(bytes, link.at, EtherType::MPLS);
    }
    let [a, b, c, d] = *entry.as_bytes() else {
        return Ok(()); // an entry is four bytes
    };
    put(bytes, link.at, [a, b, c, d]);
    Ok(())
}

/// Takes the label on top of the stack off.
///
/// If it was the last one, the packet becomes what `below` says; with `None`, what is [recognised](Mpls::guess_payload), IPv4 or IPv6.
/// [`is_bottom`](Mpls::is_bottom) of the label says whether it was.
///
/// # Errors
///
/// [`Parse`](EditError::Parse) without an Ethernet header or when the frame ends in a VLAN tag or in the label, [`Absent`](EditError::Absent)
/// when there is none, [`TooManyTags`](EditError::TooManyTags), [`UnknownPayload`](EditError::UnknownPayload) when it was the last one and
/// what is behind it is neither given nor recognised, [`OutOfRange`](EditError::OutOfRange) when `below` is no ether type.
#[inline]
pub fn pop_mpls(
    packet: &mut (impl Room + ?Sized),
    below: Option<EtherType>,
) -> Result<Mpls, EditError> {
    let bytes = packet.bytes();
    let link = link(bytes)?;
    if !link.ether_type.is_mpls() {
        return Err(EditError::Absent("MPLS"));
    }
    let rest = bytes.get(link.at..).unwrap_or_default();
    let (&entry, payload) = Mpls::parse(rest).map_err(|error| error.at(link.at))?;
    let ether_type = if entry.is_bottom() {
        below.or_else(|| entry.guess_payload(payload))
    } else {
        Some(link.ether_type)
    };
    let ether_type = ether_type.ok_or(EditError::UnknownPayload)?;
    if ether_type.is_length() {
        return Err(EditError::OutOfRange {
            field: "ether type below the last label",
            value: ether_type.0.into(),
        });
    }
    // Bytes that are out of view once the packet is shorter.
    let mut front = [0; Link::MAX_LEN];
    let (Some(front), Some(found)) = (front.get_mut(..link.at), bytes.get(..link.at)) else {
        return Err(EditError::TooManyTags);
    };
    front.copy_from_slice(found);
    let end = bytes.len();
    keep(packet, Mpls::LEN, end)?;
    let bytes = packet.bytes_mut();
    if let Some(place) = bytes.get_mut(..link.at) {
        place.copy_from_slice(front);
    }
    set_ether_type(bytes, link.at, ether_type);
    Ok(entry)
}

/// Says what follows the headers of a link, which are `len` bytes long.
#[inline]
fn set_ether_type(bytes: &mut [u8], len: usize, ether_type: EtherType) {
    let at = len.saturating_sub(TYPE_LEN);
    put(bytes, at, ether_type.0.to_be_bytes());
}
