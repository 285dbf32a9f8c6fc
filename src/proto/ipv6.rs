//! Internet Protocol version 6 (RFC 8200): the header. [`extensions`] has the extension headers, [`options`] those that are lists of options.

#![forbid(unsafe_code)]

use std::fmt;
use std::net::Ipv6Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::checksum::PseudoHeader;
use crate::proto::{IpProtocol, ParseError};

mod extensions;
mod options;

pub use extensions::{
    Ipv6Extension, Ipv6Extensions, Ipv6Fragment, Ipv6FragmentHeader, Ipv6Routing, UpperLayer,
};
pub use options::{Ipv6Option, Ipv6Options, Ipv6OptionsHeader};

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

impl Ipv6 {
    /// Length of the header in bytes.
    pub const LEN: usize = size_of::<Self>();

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
        let too_short = Self::truncated(total_len, bytes.len());
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
        let too_short = Self::truncated(total_len, bytes.len());
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
        Self::ref_from_prefix(packet).map_err(|_| Self::truncated(Self::LEN, bytes.len()))
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

    const fn truncated(needed: usize, available: usize) -> ParseError {
        // All that is needed beyond the header is what its payload length says.
        let place = match available {
            ..Self::LEN => ("IPv6", "header", 0),
            _ => ("IPv6", "payload length", 4),
        };
        ParseError::truncated(place, needed, available)
    }
}

#[inline]
fn read_total_len(bytes: &[u8]) -> Result<usize, ParseError> {
    let total_len = read_announced_len(bytes)?;
    if total_len > bytes.len() {
        return Err(Ipv6::truncated(total_len, bytes.len()));
    }
    Ok(total_len)
}

/// Of a packet of which the payload may not be there.
#[inline]
fn read_announced_len(bytes: &[u8]) -> Result<usize, ParseError> {
    let available = bytes.len();
    let Some(&[first, _, _, _, high, low, ..]) = bytes.first_chunk::<{ Ipv6::LEN }>() else {
        return Err(Ipv6::truncated(Ipv6::LEN, available));
    };
    if first >> 4 != 6 {
        let place = ("IPv6", "version", 0);
        return Err(ParseError::malformed(place, (first >> 4).into()));
    }
    Ok(Ipv6::LEN + usize::from(u16::from_be_bytes([high, low])))
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
