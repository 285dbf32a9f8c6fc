//! IPv6 extension headers (RFC 8200, section 4): each kind, one after the other, and what is behind them.

#![forbid(unsafe_code)]

use std::fmt;
use std::iter::FusedIterator;
use std::net::Ipv6Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Ipv6;
use super::options::{self, Ipv6OptionsHeader};
use crate::proto::checksum::PseudoHeader;
use crate::proto::fields::{fields, view};
use crate::proto::{Authentication, IpProtocol, ParseError};

/// An IPv6 extension header; [`Ipv6::extensions`] gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ipv6Extension<'a> {
    /// Options that every router on the way looks at.
    HopByHop(&'a Ipv6OptionsHeader),
    /// Nodes that the packet passes.
    Routing(&'a Ipv6Routing),
    /// Which part of a packet this is.
    Fragment(&'a Ipv6FragmentHeader),
    /// Integrity check (RFC 4302).
    Authentication(&'a Authentication),
    /// Options for the destination.
    Destination(&'a Ipv6OptionsHeader),
}

impl<'a> Ipv6Extension<'a> {
    /// The header of this kind at the start of `bytes`, and all that follows it; `None` if `protocol` is no extension header.
    #[inline]
    fn parse(
        protocol: IpProtocol,
        bytes: &'a [u8],
    ) -> Option<Result<(Self, &'a [u8]), ParseError>> {
        Some(match protocol {
            IpProtocol::IPV6_HOP_BY_HOP => {
                Ipv6OptionsHeader::parse(bytes).map(|(header, rest)| (Self::HopByHop(header), rest))
            }
            IpProtocol::IPV6_ROUTING => {
                Ipv6Routing::parse(bytes).map(|(header, rest)| (Self::Routing(header), rest))
            }
            IpProtocol::IPV6_FRAGMENT => Ipv6FragmentHeader::parse(bytes)
                .map(|(header, rest)| (Self::Fragment(header), rest)),
            IpProtocol::AH => Authentication::parse(bytes)
                .map(|(header, rest)| (Self::Authentication(header), rest)),
            IpProtocol::IPV6_DESTINATION => Ipv6OptionsHeader::parse(bytes)
                .map(|(header, rest)| (Self::Destination(header), rest)),
            _ => return None,
        })
    }

    /// Which of them it is.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> IpProtocol {
        match self {
            Self::HopByHop(_) => IpProtocol::IPV6_HOP_BY_HOP,
            Self::Routing(_) => IpProtocol::IPV6_ROUTING,
            Self::Fragment(_) => IpProtocol::IPV6_FRAGMENT,
            Self::Authentication(_) => IpProtocol::AH,
            Self::Destination(_) => IpProtocol::IPV6_DESTINATION,
        }
    }

    /// What follows it.
    #[inline]
    #[must_use]
    pub fn next_header(&self) -> IpProtocol {
        match self {
            Self::HopByHop(header) | Self::Destination(header) => header.next_header(),
            Self::Routing(header) => header.next_header(),
            Self::Fragment(header) => header.next_header(),
            Self::Authentication(header) => header.next_header(),
        }
    }

    /// Its length in bytes.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        match self {
            Self::HopByHop(header) | Self::Destination(header) => header.header_len(),
            Self::Routing(header) => header.header_len(),
            Self::Fragment(_) => Ipv6FragmentHeader::LEN,
            Self::Authentication(header) => header.header_len(),
        }
    }

    /// Whether only a piece of data follows: a fragment other than the first.
    #[inline]
    fn is_later_fragment(&self) -> bool {
        matches!(self, Self::Fragment(header) if header.fragment_offset() != 0)
    }
}

impl fmt::Display for Ipv6Extension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HopByHop(header) => write!(f, "IPv6 hop-by-hop {}", header.contents()),
            Self::Routing(header) => header.fmt(f),
            Self::Fragment(header) => header.fmt(f),
            Self::Authentication(header) => header.fmt(f),
            Self::Destination(header) => write!(f, "IPv6 destination {}", header.contents()),
        }
    }
}

/// The extension headers of an IPv6 packet in their order; [`Ipv6::extensions`] gives it.
///
/// It ends with the first header that is no extension header, behind the header of a later fragment, or after the first
/// error. [`protocol`](Self::protocol) and [`offset`](Self::offset) then say what is there: the same as
/// [`Ipv6::upper_layer`], which fails where this does.
///
/// ```
/// use fluxcap::proto::{IpProtocol, Ipv6, Ipv6Extension, ParseError};
///
/// let mut packet = [0; 40 + 8 + 8];
/// packet[0] = 0x60;
/// packet[5] = 16; // payload length
/// packet[6] = 60; // destination options
/// packet[40..48].copy_from_slice(&[17, 0, 1, 4, 0, 0, 0, 0]); // UDP is next; padding
/// let (ip, payload) = Ipv6::parse(&packet)?;
/// let mut extensions = ip.extensions(payload);
/// while let Some(extension) = extensions.next() {
///     if let Ipv6Extension::Destination(header) = extension? {
///         assert_eq!(header.options().count(), 1);
///     }
/// }
/// assert_eq!((extensions.protocol(), extensions.offset()), (IpProtocol::UDP, 8));
/// # Ok::<(), ParseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ipv6Extensions<'a> {
    /// What is left to read.
    rest: &'a [u8],
    /// Length of the whole payload.
    end: usize,
    /// What `rest` starts with.
    protocol: IpProtocol,
    /// How many headers may yet follow.
    left: usize,
    /// Length of the header that was read last.
    last_len: usize,
    is_done: bool,
}

impl<'a> Ipv6Extensions<'a> {
    /// Of a payload that starts with `protocol`.
    #[inline]
    pub(super) const fn new(protocol: IpProtocol, payload: &'a [u8]) -> Self {
        Self {
            rest: payload,
            end: payload.len(),
            protocol,
            left: Ipv6::MAX_EXTENSION_HEADERS,
            last_len: 0,
            is_done: false,
        }
    }

    /// What is at [`offset`](Self::offset): behind the last extension header the upper layer, or, in a later fragment, what
    /// the piece of data there is a piece of.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> IpProtocol {
        self.protocol
    }

    /// How far the headers given so far reach, in bytes from the start of the payload.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.end.wrapping_sub(self.rest.len())
    }

    /// What is left of the payload, from [`offset`](Self::offset) on.
    #[inline]
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    fn too_many(&self) -> ParseError {
        let place = ("IPv6 extension", "next header of the eighth", 0);
        let last = self.offset().wrapping_sub(self.last_len);
        ParseError::malformed(place, self.protocol.0.into()).at(last)
    }
}

impl<'a> Iterator for Ipv6Extensions<'a> {
    type Item = Result<Ipv6Extension<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        // Until it is known that another header may follow.
        self.is_done = true;
        let (extension, rest) = match Ipv6Extension::parse(self.protocol, self.rest)? {
            _ if self.left == 0 => return Some(Err(self.too_many())),
            Ok(parsed) => parsed,
            Err(error) => return Some(Err(error.at(self.offset()))),
        };
        self.left = self.left.wrapping_sub(1);
        self.last_len = self.rest.len().wrapping_sub(rest.len());
        self.rest = rest;
        self.protocol = extension.next_header();
        self.is_done = extension.is_later_fragment();
        Some(Ok(extension))
    }
}

impl FusedIterator for Ipv6Extensions<'_> {}

/// What an IPv6 packet carries behind its extension headers; [`Ipv6::upper_layer`] finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpperLayer {
    /// What it is: neither a hop-by-hop, routing, fragment, authentication nor destination header.
    pub protocol: IpProtocol,
    /// Where it starts in the payload of the IPv6 header, in bytes.
    pub offset: usize,
    /// Which part of the whole payload this packet has, if it has a part only.
    pub fragment: Option<Ipv6Fragment>,
    /// Whether the packet has yet to pass other nodes: then the destination of the IPv6 header
    /// is the next of them, and TCP, UDP and ICMPv6 checksums cover the last one instead.
    pub is_source_routed: bool,
    /// The last of these nodes, if the packet is source-routed and it is known: see
    /// [`Ipv6Routing::final_destination`](crate::proto::Ipv6Routing::final_destination).
    pub final_destination: Option<Ipv6Addr>,
    /// The address of a mobile node at home (RFC 6275, section 6.3): the source of the IPv6 header
    /// is where it is now, and TCP, UDP and ICMPv6 checksums cover this one instead (section 11.3.1).
    pub home_address: Option<Ipv6Addr>,
}

impl UpperLayer {
    /// Whether this is a fragment other than the first: it lacks the header of
    /// [`UpperLayer::protocol`].
    #[inline]
    #[must_use]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.offset != 0)
    }
}

impl Ipv6 {
    /// How many extension headers [`Ipv6::upper_layer`] passes over. RFC 8200 has senders use
    /// five of the kinds it knows, one of them twice.
    pub const MAX_EXTENSION_HEADERS: usize = 8;

    /// The extension headers in `payload`, which parsing gave, one after the other, each checked as it is read.
    #[inline]
    #[must_use]
    pub const fn extensions<'a>(&self, payload: &'a [u8]) -> Ipv6Extensions<'a> {
        Ipv6Extensions::new(IpProtocol(self.next_header), payload)
    }

    /// The addresses that the checksums of TCP, UDP and ICMPv6 cover (RFC 8200, section 8.1): the
    /// [home address](UpperLayer::home_address) of a mobile node or else the source, and the
    /// [last destination](UpperLayer::final_destination) of a packet with segments left or else the destination.
    ///
    /// `upper` is what [`upper_layer`](Self::upper_layer) gave. `None` if the last destination is not known.
    ///
    /// ```
    /// use fluxcap::proto::{Ipv6, ParseError, Udp};
    ///
    /// # let mut packet = vec![0x60, 0, 0, 0, 0, 0x21, 0x3c, 0x40];
    /// # packet.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    /// # packet.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    /// # packet.extend([0x11, 2, 1, 2, 0, 0, 0xc9, 16, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x55]);
    /// # packet.extend([0xc0, 0x00, 0x00, 0x35, 0x00, 0x09, 0x7b, 0xdd, 0x68]);
    /// // From 2001:db8::1, with a home address option.
    /// let (ip, payload) = Ipv6::parse(&packet)?;
    /// let upper = ip.upper_layer(payload)?;
    /// assert_eq!(upper.home_address, Some("2001:db8::55".parse().unwrap()));
    /// let (udp, data) = Udp::parse(&payload[upper.offset..])?;
    /// let addresses = ip.checksum_addresses(&upper).unwrap();
    /// assert!(udp.verify_checksum(addresses, data));
    /// # Ok::<(), ParseError>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn checksum_addresses(&self, upper: &UpperLayer) -> Option<PseudoHeader> {
        let source = match upper.home_address {
            Some(home) => home,
            None => self.source(),
        };
        let destination = match upper.is_source_routed {
            true => upper.final_destination?,
            false => self.destination(),
        };
        Some(PseudoHeader::ipv6(source, destination))
    }

    /// Passes over the extension headers in `payload`, which parsing gave, to what is behind them.
    ///
    /// Hop-by-hop, routing, fragment, authentication and destination headers are passed over; all
    /// else counts as upper layer, encrypted payload (ESP) and no-next-header too. Behind the
    /// header of a later fragment there is only a piece of data, see
    /// [`UpperLayer::is_later_fragment`].
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if an extension header is longer than what is left of `payload`,
    /// [`Fault::Malformed`](crate::proto::Fault) if an authentication header is too short for its fields, and with the
    /// number of the header after [`Ipv6::MAX_EXTENSION_HEADERS`] if there are more.
    #[inline]
    pub fn upper_layer(&self, payload: &[u8]) -> Result<UpperLayer, ParseError> {
        let mut upper = self.first_layer();
        // The common packet has no extension header.
        if upper.protocol.is_ipv6_extension() {
            upper.pass_extensions(self, payload)?;
        }
        Ok(upper)
    }

    /// What the header itself says.
    #[inline]
    const fn first_layer(&self) -> UpperLayer {
        UpperLayer {
            protocol: IpProtocol(self.next_header),
            offset: 0,
            fragment: None,
            is_source_routed: false,
            final_destination: None,
            home_address: None,
        }
    }

    /// Where [`upper_layer`](Self::upper_layer) ends, which may be an extension header that is wrong.
    #[cold]
    pub(in crate::proto) fn known_layer(&self, payload: &[u8]) -> UpperLayer {
        let mut upper = self.first_layer();
        // What is wrong is known.
        let _ = upper.pass_extensions(self, payload);
        upper
    }
}

impl UpperLayer {
    /// From one extension header to the next, as long as there are any.
    fn pass_extensions(&mut self, ip: &Ipv6, payload: &[u8]) -> Result<(), ParseError> {
        let mut extensions = ip.extensions(payload);
        let mut destination = Some(ip.destination());
        let result = extensions.try_for_each(|extension| {
            match extension? {
                // One that is all of the packet is none (RFC 6946).
                Ipv6Extension::Fragment(header) if header.is_fragment() => {
                    self.fragment = Some(header.fragment());
                }
                Ipv6Extension::Routing(header) if header.segments_left() != 0 => {
                    self.is_source_routed = true;
                    destination = destination.and_then(|next| header.final_destination(next));
                    self.final_destination = destination;
                }
                Ipv6Extension::Destination(header) if self.home_address.is_none() => {
                    self.home_address = header.home_address();
                }
                _ => {}
            }
            Ok(())
        });
        self.protocol = extensions.protocol();
        self.offset = extensions.offset();
        result
    }
}

/// Which part of a packet a fragment is (RFC 8200, section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Fragment {
    /// Where this part goes in the whole one, in bytes: a multiple of 8.
    pub offset: u16,
    /// Whether this is not the last part.
    pub more_fragments: bool,
    /// Which fragments belong together.
    pub identification: u32,
}

/// IPv6 fragment header (RFC 8200, section 4.5).
///
/// ```text
/// byte   0  next header                     1
///        1  reserved                        1
///        2  fragment offset, reserved, flag 13 + 2 + 1 bits  offset in units of 8 bytes
///        4  identification                  4
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Ipv6FragmentHeader {
    next_header: u8,
    reserved: u8,
    offset_and_flag: U16,
    identification: U32,
}

const OFFSET_MASK: u16 = !7;
const MORE_FRAGMENTS: u16 = 1;

view!(Ipv6FragmentHeader, "IPv6 fragment":
    /// The header at the start of `bytes`, and the part of the packet behind it.
);

fields!(Ipv6FragmentHeader:
    /// What the whole packet has behind this header; of a later fragment, what the data are a piece of.
    next_header() -> IpProtocol;
    /// Which fragments belong together.
    identification() -> u32;
    /// Sets what the whole packet has behind this header.
    set_next_header(next_header: IpProtocol);
    /// Sets which fragments belong together.
    set_identification(identification: u32);
);

impl Ipv6FragmentHeader {
    /// Where this part goes in the whole one, in bytes: a multiple of 8.
    #[inline]
    #[must_use]
    pub fn fragment_offset(&self) -> u16 {
        self.offset_and_flag.get() & OFFSET_MASK
    }

    /// Whether this is not the last part.
    #[inline]
    #[must_use]
    pub fn more_fragments(&self) -> bool {
        self.offset_and_flag.get() & MORE_FRAGMENTS != 0
    }

    /// Whether the packet is a part only. A header may say that it is whole (RFC 6946).
    #[inline]
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.offset_and_flag.get() & (OFFSET_MASK | MORE_FRAGMENTS) != 0
    }

    /// All fields about the fragment, as [`Ipv6::upper_layer`](crate::proto::Ipv6::upper_layer) gives them.
    #[inline]
    #[must_use]
    pub fn fragment(&self) -> Ipv6Fragment {
        Ipv6Fragment {
            offset: self.fragment_offset(),
            more_fragments: self.more_fragments(),
            identification: self.identification(),
        }
    }

    /// Sets where this part goes in the whole one, in bytes: a multiple of 8, to which it is rounded down.
    #[inline]
    pub fn set_fragment_offset(&mut self, offset: u16) {
        let rest = self.offset_and_flag.get() & !OFFSET_MASK;
        self.offset_and_flag.set(offset & OFFSET_MASK | rest);
    }

    /// Sets whether this is not the last part.
    #[inline]
    pub fn set_more_fragments(&mut self, more_fragments: bool) {
        let rest = self.offset_and_flag.get() & !MORE_FRAGMENTS;
        self.offset_and_flag
            .set(rest | if more_fragments { MORE_FRAGMENTS } else { 0 });
    }
}

impl fmt::Display for Ipv6FragmentHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (offset, id) = (self.fragment_offset(), self.identification());
        let last = match self.more_fragments() {
            true => "",
            false => " last",
        };
        write!(f, "IPv6 fragment {id:#010x} at {offset}{last}")
    }
}

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

    /// Type of a plain list of nodes (RFC 2460), which RFC 5095 forbids.
    pub const SOURCE_ROUTE: u8 = 0;
    /// Type of the home address of a mobile node (RFC 6275).
    pub const HOME_ADDRESS: u8 = 2;
    /// Type of a list of nodes in a sensor network, addresses compressed (RFC 6554).
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
        let segments_len = options::header_len("IPv6 routing", bytes)?.wrapping_sub(Self::LEN);
        Self::ref_from_prefix_with_elems(bytes, segments_len)
            .map_err(|_| Self::truncated(bytes.len()))
    }

    /// Like [`Ipv6Routing::parse`], to change the header in place.
    ///
    /// # Errors
    ///
    /// As [`Ipv6Routing::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let segments_len = options::header_len("IPv6 routing", bytes)?.wrapping_sub(Self::LEN);
        let too_short = Self::truncated(bytes.len());
        Self::mut_from_prefix_with_elems(bytes, segments_len).map_err(|_| too_short)
    }
}

fields!(Ipv6Routing:
    /// What follows this header.
    next_header() -> IpProtocol;
    /// What the data are.
    routing_type() -> u8;
    /// Segments left: how many nodes the packet has yet to pass, without that in the IPv6 header.
    segments_left() -> u8;
    /// Sets what follows this header.
    set_next_header(next_header: IpProtocol);
    /// Sets what the data are.
    set_routing_type(routing_type: u8);
    /// Sets how many nodes the packet has yet to pass.
    set_segments_left(segments_left: u8);
);

impl Ipv6Routing {
    /// Length of the header in bytes: 8 to 2,048, a multiple of 8.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        size_of_val(self)
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
    /// node. None of other types.
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

    /// The final destination of a packet with this header and `destination` in its IPv6 header: that, if there are no segments left.
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

    const fn truncated(available: usize) -> ParseError {
        let place = ("IPv6 routing", "header", 0);
        ParseError::truncated(place, Self::LEN, available)
    }
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
