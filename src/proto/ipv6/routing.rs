//! IPv6 routing header (RFC 8200, section 4.4).

#![forbid(unsafe_code)]

use std::fmt;
use std::net::Ipv6Addr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::extension;
use crate::proto::{IpProtocol, ParseError};

/// IPv6 routing header (RFC 8200, section 4.4).
///
/// ```text
/// byte   0  next header     1
///        1  length          1  in units of 8 bytes, without the first
///        2  routing type    1
///        3  segments left   1
///        4  data            4 and more; as the type says
/// ```
///
/// Of the types that list whole addresses, [`addresses`](Self::addresses) gives them. The types in use are 2 (RFC 6275, section
/// 6.4), 3 (RFC 6554) and 4 (RFC 8754); of the compact headers 5 and 6 (RFC 9631), the addresses are known to the routers alone.
#[derive(Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Ipv6Routing {
    next_header: u8,
    length: u8,
    routing_type: u8,
    segments_left: u8,
    /// What the type says of its own, or zeros.
    specific: [u8; 4],
    segments: [u8],
}

impl Ipv6Routing {
    /// Length of the shortest header in bytes.
    pub const LEN: usize = 8;

    /// Type of a plain list of stations (RFC 2460), which RFC 5095 forbids.
    pub const SOURCE_ROUTE: u8 = 0;
    /// Type of the home address of a mobile station (RFC 6275).
    pub const HOME_ADDRESS: u8 = 2;
    /// Type of a list of stations in a sensor network, addresses shortened (RFC 6554).
    pub const RPL: u8 = 3;
    /// Type of segment routing (RFC 8754).
    pub const SEGMENT: u8 = 4;

    /// The header at the start of `bytes`, and all that follows it.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if the header is longer than `bytes`.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        let segments_len = extension::header_len("IPv6 routing", bytes)?.wrapping_sub(Self::LEN);
        Self::ref_from_prefix_with_elems(bytes, segments_len).map_err(|_| truncated(bytes.len()))
    }

    /// Like [`Ipv6Routing::parse`], to change the header in place.
    ///
    /// # Errors
    ///
    /// As [`Ipv6Routing::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let segments_len = extension::header_len("IPv6 routing", bytes)?.wrapping_sub(Self::LEN);
        let too_short = truncated(bytes.len());
        Self::mut_from_prefix_with_elems(bytes, segments_len).map_err(|_| too_short)
    }

    /// What follows this header.
    #[inline]
    #[must_use]
    pub fn next_header(&self) -> IpProtocol {
        IpProtocol(self.next_header)
    }

    /// Length of the header in bytes: 8 to 2,048, a multiple of 8.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        size_of_val(self)
    }

    /// What the data are.
    #[inline]
    #[must_use]
    pub fn routing_type(&self) -> u8 {
        self.routing_type
    }

    /// How many stations the packet has yet to pass, that in the IPv6 header left out.
    #[inline]
    #[must_use]
    pub fn segments_left(&self) -> u8 {
        self.segments_left
    }

    /// The first four bytes of the data: zeros, or what the type says of its own.
    #[inline]
    #[must_use]
    pub fn specific(&self) -> [u8; 4] {
        self.specific
    }

    /// The data behind the first four bytes.
    #[inline]
    #[must_use]
    pub fn segments(&self) -> &[u8] {
        &self.segments
    }

    /// The addresses in the order they stand in the header, if its type is [`SOURCE_ROUTE`](Self::SOURCE_ROUTE),
    /// [`HOME_ADDRESS`](Self::HOME_ADDRESS) or [`SEGMENT`](Self::SEGMENT); that of segment routing begins with the last
    /// station. None of other types.
    #[inline]
    pub fn addresses(&self) -> impl ExactSizeIterator<Item = Ipv6Addr> + '_ {
        let (all, _) = self.segments.as_chunks::<16>();
        let [last_entry, ..] = self.specific;
        let count = match self.routing_type {
            Self::SOURCE_ROUTE => all.len(),
            Self::HOME_ADDRESS => 1,
            // Behind the last entry there may be options.
            Self::SEGMENT => usize::from(last_entry).wrapping_add(1),
            _ => 0,
        };
        all.iter().take(count).map(|&address| address.into())
    }

    /// The last station of a packet with this header and `destination` in its IPv6 header: that, if there are no segments left.
    /// Checksums of what follows cover it (RFC 8200, section 8.1).
    ///
    /// `None` if it is not known: of another type than those above, or if the header has fewer addresses than segments left.
    #[must_use]
    pub fn final_destination(&self, destination: Ipv6Addr) -> Option<Ipv6Addr> {
        if self.segments_left == 0 {
            return Some(destination);
        }
        if self.routing_type == Self::RPL {
            return self.last_of_rpl(destination);
        }
        let addresses = self.addresses();
        let [last_entry, ..] = self.specific;
        let is_whole = match self.routing_type {
            Self::SEGMENT => addresses.len() > usize::from(last_entry),
            _ => true,
        };
        if !is_whole || addresses.len() < self.segments_left.into() {
            return None;
        }
        match self.routing_type {
            // In reverse (RFC 8754, section 2).
            Self::SEGMENT => self.addresses().next(),
            _ => addresses.last(),
        }
    }

    /// The last address of a source route header for RPL (RFC 6554, section 3), which begins as the destination does.
    fn last_of_rpl(&self, destination: Ipv6Addr) -> Option<Ipv6Addr> {
        let [compressed, padding, ..] = self.specific;
        let (others, last) = (16 - (compressed >> 4), 16 - (compressed & 0xf));
        let addresses_len = self.segments.len().checked_sub((padding >> 4).into())?;
        let others_len = addresses_len.checked_sub(last.into())?;
        let count = others_len / usize::from(others) + 1;
        if count < self.segments_left.into() {
            return None;
        }
        let mut octets = destination.octets();
        let end = octets.len().checked_sub(last.into())?;
        let from = self.segments.get(others_len..addresses_len)?;
        octets.get_mut(end..)?.copy_from_slice(from);
        Some(octets.into())
    }

    /// Sets what follows this header.
    #[inline]
    pub fn set_next_header(&mut self, next_header: IpProtocol) {
        self.next_header = next_header.0;
    }

    /// Sets what the data are.
    #[inline]
    pub fn set_routing_type(&mut self, routing_type: u8) {
        self.routing_type = routing_type;
    }

    /// Sets how many stations the packet has yet to pass.
    #[inline]
    pub fn set_segments_left(&mut self, segments_left: u8) {
        self.segments_left = segments_left;
    }

    /// Sets the first four bytes of the data.
    #[inline]
    pub fn set_specific(&mut self, specific: [u8; 4]) {
        self.specific = specific;
    }

    /// The data behind the first four bytes, to change them in place; their length stays.
    #[inline]
    #[must_use]
    pub fn segments_mut(&mut self) -> &mut [u8] {
        &mut self.segments
    }
}

const fn truncated(available: usize) -> ParseError {
    let place = ("IPv6 routing", "header", 0);
    ParseError::truncated(place, Ipv6Routing::LEN, available)
}

impl fmt::Display for Ipv6Routing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (routing_type, left) = (self.routing_type, self.segments_left);
        write!(f, "IPv6 routing type {routing_type} left {left}")?;
        self.addresses()
            .try_for_each(|address| write!(f, " {address}"))
    }
}

#[cfg(test)]
mod tests;
