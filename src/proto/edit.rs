//! Headers put in front of a packet and taken off: VLAN tags, MPLS labels, GRE and VXLAN tunnels.
//!
//! The functions take anything that has [`Room`]: an owned [`Packet`](crate::Packet), or a borrowed one as it stands in its ring slot.
//! A packet starts with its Ethernet header and grows at the front: that header moves, the payload stays where it is and is not copied.
//! Linux leaves 256 bytes free in front of a received packet; a tunnel takes 70 at most.
//!
//! [`decrement_ttl`] and [`clamp_mss`] change fields of a whole frame in place, and its checksums; so does
//! [`nat::Rewrite`](crate::proto::nat::Rewrite).
//!
//! After an error the packet is as it was, to the byte.
//!
//! A checksum that the sender left to its network card stays unfinished, and no card finishes it in a tunnel:
//! [`complete`](crate::proto::checksum::complete) such packets, those of senders on the same machine, before they go in.
//!
//! ```
//! use fluxcap::proto::edit::{self, EditError};
//! use fluxcap::proto::{EtherType, Ethernet, Vlan, VlanTag};
//!
//! # let umem = fluxcap::UmemRegion::heap(fluxcap::UmemConfig::default())?;
//! # let bytes = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x06, 0, 1];
//! # let mut packet = umem.copy(&bytes)?.expect("a free frame");
//! edit::push_vlan(&mut packet, 7)?;
//! edit::push_vlan(&mut packet, VlanTag::service(100))?;
//!
//! let (ethernet, rest) = Ethernet::parse(packet.data())?;
//! assert_eq!(ethernet.ether_type(), EtherType::QINQ);
//! assert_eq!(Vlan::parse(rest)?.0.id(), 100);
//!
//! assert_eq!(edit::pop_vlan(&mut packet)?, VlanTag::service(100));
//! assert_eq!(edit::pop_vlan(&mut packet)?, VlanTag::new(7));
//! assert_eq!(edit::pop_vlan(&mut packet), Err(EditError::Absent("VLAN")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod forward;
mod tags;
mod tunnel;

pub use forward::{clamp_mss, decrement_ttl};
pub use tags::{pop_mpls, pop_vlan, push_mpls, push_vlan};
pub use tunnel::{GrePayload, Outer, VxlanFields, gre_decap, gre_encap, vxlan_decap, vxlan_encap};

use crate::error::FluxError;
use crate::proto::ParseError;
use crate::proto::walk::{Link, MAX_VLAN_TAGS};

/// A packet with free room in front and behind, into which it can grow.
///
/// [`Packet`](crate::Packet), [`PacketRef`](crate::PacketRef) and [`PortPacket`](crate::PortPacket) are such packets: their room is that of
/// their frame. The functions of [`edit`](crate::proto::edit) take any.
///
/// Rules for implementations; where one is broken, functions give errors or wrong bytes, but do not panic:
///
/// - An adjustment that fails changes nothing.
/// - Bytes that stay in view keep their values. Those that come into view may hold anything.
/// - An adjustment within [`headroom`](Self::headroom), [`tailroom`](Self::tailroom) and length succeeds, as long as a byte stays.
pub trait Room {
    /// The bytes of the packet.
    #[must_use]
    fn bytes(&self) -> &[u8];

    /// The bytes of the packet, to change in place.
    #[must_use]
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Free bytes in front of the packet.
    #[must_use]
    fn headroom(&self) -> usize;

    /// Free bytes behind the packet.
    #[must_use]
    fn tailroom(&self) -> usize;

    /// Moves the start by `delta` bytes: a negative one puts so many bytes in front, a positive one takes them off.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) (`EMSGSIZE`) beyond the headroom or the packet's length; the packet stays as it was.
    fn adjust_head(&mut self, delta: i32) -> Result<(), FluxError>;

    /// Moves the end by `delta` bytes: a positive one puts so many bytes behind, a negative one takes them off.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) (`EMSGSIZE`) beyond the tailroom or the packet's length; the packet stays as it was.
    fn adjust_tail(&mut self, delta: i32) -> Result<(), FluxError>;
}

/// Why a packet was not changed. It is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The packet has no headers to change.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The packet does not have the header that is to be taken off.
    #[error("the packet has no {0} header to take off")]
    Absent(&'static str),
    /// There is not enough room in front of the packet.
    #[error("{needed} bytes are needed in front of the packet, {available} are free")]
    NoHeadroom {
        /// How many bytes the headers in front take more than before.
        needed: usize,
        /// How many bytes are free.
        available: usize,
    },
    /// The packet would be longer than its headers can tell.
    #[error("the packet would be too long, at {len} bytes in IP")]
    TooLong {
        /// How long the IP packet, or the payload of IPv6, would be.
        len: usize,
    },
    /// A value does not fit its field.
    #[error("{field} cannot be {value:#x}")]
    OutOfRange {
        /// Which one.
        field: &'static str,
        /// What it should be.
        value: u32,
    },
    /// The frame has an IEEE 802.3 length instead of an ether type, so the new header could not announce what it carries.
    #[error("the frame does not say what it carries, it has an IEEE 802.3 length")]
    NoEtherType,
    /// More VLAN tags than are skipped: what they are in front of is not looked for.
    #[error("the frame has more than {MAX_VLAN_TAGS} VLAN tags")]
    TooManyTags,
    /// What is behind the last label is neither given nor recognised.
    #[error("it is unknown what is behind the last label")]
    UnknownPayload,
    /// Part of a packet, which must be put together before it leaves the tunnel.
    #[error("the packet of the tunnel is a fragment")]
    Fragment,
    /// Neither IPv4 nor IPv6.
    #[error("the frame carries no IP packet")]
    NotIp,
    /// The time to live, or hop limit, is used up.
    #[error("no hop is left, so the packet must not be forwarded")]
    NoHopsLeft,
    /// The packet does not move although there is room: it breaks the rules of [`Room`], or would begin at the very end of its frame.
    #[error("the packet cannot be moved in its frame")]
    Immovable,
}

/// The Ethernet header of a frame and all its VLAN tags.
fn link(frame: &[u8]) -> Result<Link, EditError> {
    let link = Link::find(frame)?;
    if link.ether_type.is_vlan() {
        return Err(EditError::TooManyTags);
    }
    Ok(link)
}

/// The same of a frame that says what it carries.
fn typed_link(frame: &[u8]) -> Result<Link, EditError> {
    let link = link(frame)?;
    if link.ether_type.is_length() {
        return Err(EditError::NoEtherType);
    }
    Ok(link)
}

/// Puts `bytes` of room in front of the packet.
#[inline]
fn grow(packet: &mut (impl Room + ?Sized), bytes: usize) -> Result<(), EditError> {
    let available = packet.headroom();
    if bytes > available {
        let needed = bytes;
        return Err(EditError::NoHeadroom { needed, available });
    }
    let delta = i32::try_from(bytes).map_err(|_| EditError::Immovable)?;
    let moved = packet.adjust_head(delta.wrapping_neg());
    moved.map_err(|_| EditError::Immovable)
}

/// Takes `front` bytes off the front of the packet, and all that is behind `end`, both counted from the start.
#[inline]
fn keep(packet: &mut (impl Room + ?Sized), front: usize, end: usize) -> Result<(), EditError> {
    let behind = packet.bytes().len().saturating_sub(end);
    let (Ok(head), Ok(tail)) = (i32::try_from(front), i32::try_from(behind)) else {
        return Err(EditError::Immovable);
    };
    packet.adjust_head(head).map_err(|_| EditError::Immovable)?;
    // Within its length: that is never refused.
    let _ = packet.adjust_tail(tail.wrapping_neg());
    Ok(())
}

/// Writes `new` at byte `at` of the packet, where there is room.
#[inline]
fn put<const LEN: usize>(bytes: &mut [u8], at: usize, new: [u8; LEN]) {
    let place = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
    if let Some(place) = place {
        *place = new;
    }
}

#[cfg(test)]
mod tests;
