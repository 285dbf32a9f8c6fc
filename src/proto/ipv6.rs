//! Internet Protocol version 6 (RFC 8200).

#![forbid(unsafe_code)]

use std::fmt;
use std::net::Ipv6Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::checksum::PseudoHeader;
use crate::proto::{IpProtocol, ParseError};

mod extension;
mod fragment;
mod options;
mod routing;

pub use extension::{Ipv6Extension, Ipv6Extensions};
pub use fragment::Ipv6FragmentHeader;
pub use options::{Ipv6Option, Ipv6Options, Ipv6OptionsHeader};
pub use routing::Ipv6Routing;

/// IPv6 header (RFC 8200, section 3). Extension headers are part of the payload.
///
/// ```text
/// byte   0  version, traffic class, flow label  4 + 8 + 20 bits
///        4  payload length                      2            extension headers included
///        6  next header                         1            see `upper_layer`
///        7  hop limit                           1
///        8  source                              16
///       24  destination                         16
/// ```
///
/// Jumbograms (RFC 2675), whose payload length is 0, are seen without a payload.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Ipv6 {
    version_class_and_label: U32,
    payload_length: U16,
    next_header: u8,
    hop_limit: u8,
    source: [u8; 16],
    destination: [u8; 16],
}

const DSCP_MASK: u32 = 0x0fc0_0000;
const ECN_MASK: u32 = 0x0030_0000;
const LABEL_MASK: u32 = 0x000f_ffff;

/// What an IPv6 packet carries behind its extension headers; [`Ipv6::upper_layer`] finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpperLayer {
    /// What it is: neither a hop-by-hop, routing, fragment, authentication nor destination header.
    pub protocol: IpProtocol,
    /// Where it starts in the payload of the IPv6 header, in bytes.
    pub offset: usize,
    /// Which part of the whole payload this packet has, if it has a part only.
    pub fragment: Option<Ipv6Fragment>,
    /// Whether the packet has yet to pass other stations: then the destination of the IPv6 header
    /// is the next of them, and TCP, UDP and ICMPv6 checksums cover the last one instead.
    pub is_source_routed: bool,
    /// The last of these stations, if the packet is source-routed and it is known: see
    /// [`Ipv6Routing::final_destination`].
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

impl Ipv6 {
    /// Length of the header in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// How many extension headers [`Ipv6::upper_layer`] passes over. RFC 8200 has senders use
    /// five of the kinds it knows, one of them twice.
    pub const MAX_EXTENSION_HEADERS: usize = 8;

    /// The header at the start of `bytes` and the packet's payload.
    ///
    /// The payload ends where `payload_length` says: Ethernet padding after it is left out.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if the header or the packet is longer than `bytes`,
    /// [`Fault::Malformed`](crate::proto::Fault) if the version is not 6.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        let total_len = read_total_len(bytes)?;
        let too_short = truncated(total_len, bytes.len());
        let packet = bytes.get(..total_len).ok_or(too_short)?;
        Self::ref_from_prefix(packet).map_err(|_| too_short)
    }

    /// Like [`Ipv6::parse`], to change the packet in place.
    ///
    /// # Errors
    ///
    /// As [`Ipv6::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let total_len = read_total_len(bytes)?;
        let too_short = truncated(total_len, bytes.len());
        let packet = bytes.get_mut(..total_len).ok_or(too_short)?;
        Self::mut_from_prefix(packet).map_err(|_| too_short)
    }

    /// The header at the start of `bytes` and what is there of the payload.
    ///
    /// For packets that are cut short: those that ICMPv6 errors quote, or that a capture kept the
    /// start of. The payload ends where `payload_length` says, or with `bytes`.
    ///
    /// # Errors
    ///
    /// As [`Ipv6::parse`], but for a packet that is longer than `bytes` while its header is not.
    #[inline]
    pub fn parse_quoted(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        let total_len = read_announced_len(bytes)?;
        let packet = bytes.get(..total_len).unwrap_or(bytes);
        Self::ref_from_prefix(packet).map_err(|_| truncated(Self::LEN, bytes.len()))
    }

    /// Differentiated services code point (RFC 2474), 0 to 63.
    #[inline]
    #[must_use]
    pub fn dscp(&self) -> u8 {
        self.traffic_class() >> 2
    }

    /// Explicit congestion notification (RFC 3168), 0 to 3.
    #[inline]
    #[must_use]
    pub fn ecn(&self) -> u8 {
        self.traffic_class() & 3
    }

    #[inline]
    fn traffic_class(&self) -> u8 {
        let [first, second, ..] = self.version_class_and_label.to_bytes();
        first << 4 | second >> 4
    }

    /// Which packets belong to one flow (RFC 6437), 20 bits; 0 for none.
    #[inline]
    #[must_use]
    pub fn flow_label(&self) -> u32 {
        self.version_class_and_label.get() & LABEL_MASK
    }

    /// Length of extension headers and upper layer in bytes.
    #[inline]
    #[must_use]
    pub fn payload_length(&self) -> u16 {
        self.payload_length.get()
    }

    /// What the payload starts with: an extension header or the upper layer.
    #[inline]
    #[must_use]
    pub fn next_header(&self) -> IpProtocol {
        IpProtocol(self.next_header)
    }

    /// How many more hops the packet may take.
    #[inline]
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.hop_limit
    }

    /// Who sent the packet.
    #[inline]
    #[must_use]
    pub fn source(&self) -> Ipv6Addr {
        self.source.into()
    }

    /// Whom the packet is for.
    #[inline]
    #[must_use]
    pub fn destination(&self) -> Ipv6Addr {
        self.destination.into()
    }

    /// The addresses in the header, which the checksums of TCP, UDP and ICMPv6 cover.
    ///
    /// Extension headers may name others: [`checksum_addresses`](Self::checksum_addresses) looks at them.
    #[inline]
    #[must_use]
    pub fn pseudo_header(&self) -> PseudoHeader {
        PseudoHeader::ipv6(self.source(), self.destination())
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

    /// The extension headers in `payload`, which parsing gave, one after the other, each checked as it is read.
    #[inline]
    #[must_use]
    pub const fn extensions<'a>(&self, payload: &'a [u8]) -> Ipv6Extensions<'a> {
        Ipv6Extensions::new(IpProtocol(self.next_header), payload)
    }

    /// Sets the differentiated services code point, of which the lower 6 bits count.
    #[inline]
    pub fn set_dscp(&mut self, dscp: u8) {
        let rest = self.version_class_and_label.get() & !DSCP_MASK;
        let dscp = u32::from(dscp) << 22 & DSCP_MASK;
        self.version_class_and_label.set(rest | dscp);
    }

    /// Sets the explicit congestion notification, of which the lower 2 bits count.
    #[inline]
    pub fn set_ecn(&mut self, ecn: u8) {
        let rest = self.version_class_and_label.get() & !ECN_MASK;
        let ecn = u32::from(ecn) << 20 & ECN_MASK;
        self.version_class_and_label.set(rest | ecn);
    }

    /// Sets which packets belong to one flow, of which the lower 20 bits count.
    #[inline]
    pub fn set_flow_label(&mut self, flow_label: u32) {
        let rest = self.version_class_and_label.get() & !LABEL_MASK;
        self.version_class_and_label
            .set(rest | flow_label & LABEL_MASK);
    }

    /// Sets the length of extension headers and upper layer in bytes.
    ///
    /// The payload that parsing gave keeps its length.
    #[inline]
    pub fn set_payload_length(&mut self, payload_length: u16) {
        self.payload_length.set(payload_length);
    }

    /// Sets what the payload starts with.
    #[inline]
    pub fn set_next_header(&mut self, next_header: IpProtocol) {
        self.next_header = next_header.0;
    }

    /// Sets how many more hops the packet may take.
    #[inline]
    pub fn set_hop_limit(&mut self, hop_limit: u8) {
        self.hop_limit = hop_limit;
    }

    /// Sets who sent the packet. TCP, UDP and ICMPv6 checksums cover this.
    #[inline]
    pub fn set_source(&mut self, source: Ipv6Addr) {
        self.source = source.octets();
    }

    /// Sets whom the packet is for. TCP, UDP and ICMPv6 checksums cover this.
    #[inline]
    pub fn set_destination(&mut self, destination: Ipv6Addr) {
        self.destination = destination.octets();
    }

    /// Exchanges source and destination, to answer. No checksum changes by that.
    #[inline]
    pub fn swap_addresses(&mut self) {
        std::mem::swap(&mut self.source, &mut self.destination);
    }

    /// Takes one hop off the hop limit, which no checksum covers.
    ///
    /// Gives `false`, and changes nothing, if no hop is left: a router must then drop the packet
    /// (RFC 8200, section 3).
    #[inline]
    #[must_use = "a packet without hops left must not be forwarded"]
    pub fn decrement_hop_limit(&mut self) -> bool {
        if self.hop_limit <= 1 {
            return false;
        }
        self.hop_limit = self.hop_limit.wrapping_sub(1);
        true
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

#[inline]
fn read_total_len(bytes: &[u8]) -> Result<usize, ParseError> {
    let total_len = read_announced_len(bytes)?;
    if total_len > bytes.len() {
        return Err(truncated(total_len, bytes.len()));
    }
    Ok(total_len)
}

/// Of a packet of which the payload may not be there.
#[inline]
fn read_announced_len(bytes: &[u8]) -> Result<usize, ParseError> {
    let available = bytes.len();
    let Some(&[first, _, _, _, high, low, ..]) = bytes.first_chunk::<{ Ipv6::LEN }>() else {
        return Err(truncated(Ipv6::LEN, available));
    };
    if first >> 4 != 6 {
        let place = ("IPv6", "version", 0);
        return Err(ParseError::malformed(place, (first >> 4).into()));
    }
    Ok(Ipv6::LEN + usize::from(u16::from_be_bytes([high, low])))
}

const fn truncated(needed: usize, available: usize) -> ParseError {
    // All that is needed beyond the header is what its payload length says.
    let place = match available {
        ..Ipv6::LEN => ("IPv6", "header", 0),
        _ => ("IPv6", "payload length", 4),
    };
    ParseError::truncated(place, needed, available)
}

impl fmt::Display for Ipv6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (self.source(), self.destination());
        let (next, hops, length) = (self.next_header(), self.hop_limit, self.payload_length);
        write!(
            f,
            "IPv6 {source} > {destination} {next} hops {hops} length {length}"
        )
    }
}

#[cfg(test)]
mod tests;
