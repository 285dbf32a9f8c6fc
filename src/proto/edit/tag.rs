//! VLAN tags.

#![forbid(unsafe_code)]

use super::{EditError, grow, keep, put};
use crate::proto::{Ethernet, Room, Vlan, VlanTag};

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
