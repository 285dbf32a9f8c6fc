//! Internet Protocol version 4 (RFC 791).

#![forbid(unsafe_code)]

use std::fmt;
use std::net::Ipv4Addr;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::checksum::{self, PseudoHeader};
use crate::proto::{IpProtocol, ParseError};

mod options;

pub use options::{Ipv4Option, Ipv4Options, Ipv4Route, Ipv4Timestamps};

/// IPv4 header with its options (RFC 791, section 3.1).
///
/// ```text
/// byte   0  version, header length    4 + 4 bits   header length in 32-bit words
///        1  DSCP, ECN                 6 + 2 bits   RFC 2474, RFC 3168
///        2  total length              2            header and payload
///        4  identification            2
///        6  flags, fragment offset    3 + 13 bits  offset in units of 8 bytes
///        8  time to live              1
///        9  protocol                  1
///       10  header checksum           2            over header and options
///       12  source                    4
///       16  destination               4
///       20  options                   0 to 40      multiple of 4
/// ```
///
/// The view spans the whole header, so the checksum methods need nothing else.
#[derive(Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Ipv4 {
    version_and_header_len: u8,
    dscp_and_ecn: u8,
    total_length: U16,
    identification: U16,
    flags_and_offset: U16,
    ttl: u8,
    protocol: u8,
    header_checksum: U16,
    source: [u8; 4],
    destination: [u8; 4],
    options: [u8],
}

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

impl Ipv4 {
    /// Length of the header without options, in bytes.
    pub const LEN: usize = 20;

    /// The header at the start of `bytes`, options included, and the packet's payload.
    ///
    /// The payload ends where `total_length` says: Ethernet padding after it is left out.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if the header or the packet is longer than `bytes`,
    /// [`Fault::Malformed`](crate::proto::Fault) if the version is not 4, or the header length is below 20 bytes
    /// or above the total length.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        let layout = Layout::read(bytes)?;
        let too_short = too_long("total length", 2, layout.total_len, bytes.len());
        let packet = bytes.get(..layout.total_len).ok_or(too_short)?;
        Self::ref_from_prefix_with_elems(packet, layout.options_len).map_err(|_| too_short)
    }

    /// Like [`Ipv4::parse`], to change the packet in place.
    ///
    /// # Errors
    ///
    /// As [`Ipv4::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let layout = Layout::read(bytes)?;
        let too_short = too_long("total length", 2, layout.total_len, bytes.len());
        let packet = bytes.get_mut(..layout.total_len).ok_or(too_short)?;
        Self::mut_from_prefix_with_elems(packet, layout.options_len).map_err(|_| too_short)
    }

    /// The header at the start of `bytes`, options included, and what is there of the payload.
    ///
    /// For packets that are cut short: those that ICMP errors quote, or that a capture kept the
    /// start of. The payload ends where `total_length` says, or with `bytes`.
    ///
    /// # Errors
    ///
    /// As [`Ipv4::parse`], but for a packet that is longer than `bytes` while its header is not.
    #[inline]
    pub fn parse_quoted(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        let layout = Layout::read_header(bytes)?;
        let packet = bytes.get(..layout.total_len).unwrap_or(bytes);
        Self::ref_from_prefix_with_elems(packet, layout.options_len)
            .map_err(|_| too_long("IHL", 0, Self::LEN, bytes.len()))
    }

    /// Length of the header with its options, in bytes: 20 to 60.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        header_len(self.version_and_header_len)
    }

    /// Differentiated services code point (RFC 2474), 0 to 63.
    #[inline]
    #[must_use]
    pub fn dscp(&self) -> u8 {
        self.dscp_and_ecn >> 2
    }

    /// Explicit congestion notification (RFC 3168), 0 to 3.
    #[inline]
    #[must_use]
    pub fn ecn(&self) -> u8 {
        self.dscp_and_ecn & 3
    }

    /// Length of header and payload in bytes.
    #[inline]
    #[must_use]
    pub fn total_length(&self) -> u16 {
        self.total_length.get()
    }

    /// Which fragments belong together (RFC 6864).
    #[inline]
    #[must_use]
    pub fn identification(&self) -> u16 {
        self.identification.get()
    }

    /// Whether routers must drop this packet instead of fragmenting it.
    #[inline]
    #[must_use]
    pub fn dont_fragment(&self) -> bool {
        self.flags_and_offset.get() & DONT_FRAGMENT != 0
    }

    /// Whether this is a fragment, but not the last.
    #[inline]
    #[must_use]
    pub fn more_fragments(&self) -> bool {
        self.flags_and_offset.get() & MORE_FRAGMENTS != 0
    }

    /// Where this fragment's payload goes in the whole one, in bytes: a multiple of 8.
    #[inline]
    #[must_use]
    pub fn fragment_offset(&self) -> u16 {
        (self.flags_and_offset.get() & OFFSET_MASK) << 3
    }

    /// Whether the payload is a part only. All parts but the first lack the header of
    /// [`Ipv4::protocol`].
    #[inline]
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.flags_and_offset.get() & (MORE_FRAGMENTS | OFFSET_MASK) != 0
    }

    /// Time to live: how many more hops the packet may take.
    #[inline]
    #[must_use]
    pub fn ttl(&self) -> u8 {
        self.ttl
    }

    /// What the payload is.
    #[inline]
    #[must_use]
    pub fn protocol(&self) -> IpProtocol {
        IpProtocol(self.protocol)
    }

    /// The checksum as it stands in the header.
    #[inline]
    #[must_use]
    pub fn header_checksum(&self) -> u16 {
        self.header_checksum.get()
    }

    /// Who sent the packet.
    #[inline]
    #[must_use]
    pub fn source(&self) -> Ipv4Addr {
        self.source.into()
    }

    /// Whom the packet is for.
    #[inline]
    #[must_use]
    pub fn destination(&self) -> Ipv4Addr {
        self.destination.into()
    }

    /// The addresses in the header, which the checksums of TCP and UDP cover.
    ///
    /// Not for a packet that [is source-routed](Self::is_source_routed): they cover its last destination, as
    /// [`checksum_addresses`](Self::checksum_addresses) does.
    #[inline]
    #[must_use]
    pub fn pseudo_header(&self) -> PseudoHeader {
        PseudoHeader::ipv4(self.source(), self.destination())
    }

    /// The addresses that the checksums of TCP and UDP cover: source and [final destination](Self::final_destination).
    #[inline]
    #[must_use]
    pub fn checksum_addresses(&self) -> PseudoHeader {
        PseudoHeader::ipv4(self.source(), self.final_destination())
    }

    /// The options one after the other, each checked as it is read.
    #[inline]
    #[must_use]
    pub fn options(&self) -> Ipv4Options<'_> {
        Ipv4Options::new(&self.options)
    }

    /// The options as they stand in the header: 0 to 40 bytes.
    #[inline]
    #[must_use]
    pub fn options_bytes(&self) -> &[u8] {
        &self.options
    }

    /// Sets the differentiated services code point, of which the lower 6 bits count.
    #[inline]
    pub fn set_dscp(&mut self, dscp: u8) {
        self.dscp_and_ecn = dscp << 2 | self.dscp_and_ecn & 3;
    }

    /// Sets the explicit congestion notification, of which the lower 2 bits count.
    #[inline]
    pub fn set_ecn(&mut self, ecn: u8) {
        self.dscp_and_ecn = self.dscp_and_ecn & !3 | ecn & 3;
    }

    /// Sets the length of header and payload in bytes; at least [`Ipv4::header_len`].
    ///
    /// The payload that parsing gave keeps its length.
    #[inline]
    pub fn set_total_length(&mut self, total_length: u16) {
        self.total_length.set(total_length);
    }

    /// Sets which fragments belong together.
    #[inline]
    pub fn set_identification(&mut self, identification: u16) {
        self.identification.set(identification);
    }

    /// Sets whether routers must drop this packet instead of fragmenting it.
    #[inline]
    pub fn set_dont_fragment(&mut self, dont_fragment: bool) {
        self.set_flag(DONT_FRAGMENT, dont_fragment);
    }

    /// Sets whether this is a fragment, but not the last.
    #[inline]
    pub fn set_more_fragments(&mut self, more_fragments: bool) {
        self.set_flag(MORE_FRAGMENTS, more_fragments);
    }

    #[inline]
    fn set_flag(&mut self, flag: u16, is_set: bool) {
        let rest = self.flags_and_offset.get() & !flag;
        self.flags_and_offset
            .set(rest | if is_set { flag } else { 0 });
    }

    /// Sets where this fragment's payload goes in the whole one, in bytes: a multiple of 8, to which it is rounded down.
    #[inline]
    pub fn set_fragment_offset(&mut self, offset: u16) {
        let rest = self.flags_and_offset.get() & !OFFSET_MASK;
        self.flags_and_offset.set(rest | offset >> 3);
    }

    /// Sets the time to live.
    #[inline]
    pub fn set_ttl(&mut self, ttl: u8) {
        self.ttl = ttl;
    }

    /// Sets what the payload is.
    #[inline]
    pub fn set_protocol(&mut self, protocol: IpProtocol) {
        self.protocol = protocol.0;
    }

    /// Sets the checksum field as given.
    #[inline]
    pub fn set_header_checksum(&mut self, checksum: u16) {
        self.header_checksum.set(checksum);
    }

    /// Sets who sent the packet. TCP and UDP checksums cover this too.
    #[inline]
    pub fn set_source(&mut self, source: Ipv4Addr) {
        self.source = source.octets();
    }

    /// Sets whom the packet is for. TCP and UDP checksums cover this too.
    #[inline]
    pub fn set_destination(&mut self, destination: Ipv4Addr) {
        self.destination = destination.octets();
    }

    /// The options, to change them in place; their length stays. [`Ipv4Option::write_all`] fills it.
    #[inline]
    #[must_use]
    pub fn options_mut(&mut self) -> &mut [u8] {
        &mut self.options
    }

    /// Exchanges source and destination, to answer. No checksum changes by that.
    #[inline]
    pub fn swap_addresses(&mut self) {
        std::mem::swap(&mut self.source, &mut self.destination);
    }

    /// Takes one hop off the time to live and adjusts the checksum (RFC 1624).
    ///
    /// Gives `false`, and changes nothing, if no hop is left: a router must then drop the packet
    /// (RFC 1812, section 5.3.1).
    #[inline]
    #[must_use = "a packet without hops left must not be forwarded"]
    pub fn decrement_ttl(&mut self) -> bool {
        if self.ttl <= 1 {
            return false;
        }
        let old = u16::from_be_bytes([self.ttl, self.protocol]);
        self.ttl = self.ttl.wrapping_sub(1);
        let new = u16::from_be_bytes([self.ttl, self.protocol]);
        self.set_header_checksum(checksum::update(self.header_checksum(), old, new));
        true
    }

    /// Whether the header checksum is right.
    #[inline]
    #[must_use]
    pub fn verify_checksum(&self) -> bool {
        checksum::is_valid(self.as_bytes())
    }

    /// Sets the header checksum. After a change of a few words, [`checksum::update`] is shorter.
    #[inline]
    pub fn fill_checksum(&mut self) {
        self.header_checksum.set(0);
        self.set_header_checksum(checksum::checksum(self.as_bytes()));
    }
}

/// Where header and packet end.
struct Layout {
    options_len: usize,
    total_len: usize,
}

impl Layout {
    #[inline]
    fn read(bytes: &[u8]) -> Result<Self, ParseError> {
        let layout = Self::read_header(bytes)?;
        if layout.total_len > bytes.len() {
            return Err(too_long("total length", 2, layout.total_len, bytes.len()));
        }
        Ok(layout)
    }

    /// Of a packet of which the payload may not be there.
    #[inline]
    fn read_header(bytes: &[u8]) -> Result<Self, ParseError> {
        let available = bytes.len();
        let Some(&[first, _, high, low, ..]) = bytes.first_chunk::<{ Ipv4::LEN }>() else {
            return Err(too_long("header", 0, Ipv4::LEN, available));
        };
        if first >> 4 != 4 {
            return Err(malformed("version", 0, (first >> 4).into()));
        }
        let header_len = header_len(first);
        let Some(options_len) = header_len.checked_sub(Ipv4::LEN) else {
            return Err(malformed("IHL", 0, (first & 0xf).into()));
        };
        if header_len > available {
            return Err(too_long("IHL", 0, header_len, available));
        }
        let total_length = u16::from_be_bytes([high, low]);
        let total_len = usize::from(total_length);
        if total_len < header_len {
            return Err(malformed("total length", 2, total_length.into()));
        }
        Ok(Self {
            options_len,
            total_len,
        })
    }
}

#[inline]
const fn header_len(version_and_header_len: u8) -> usize {
    (version_and_header_len & 0xf) as usize * 4
}

const fn too_long(
    field: &'static str,
    offset: usize,
    needed: usize,
    available: usize,
) -> ParseError {
    ParseError::truncated(("IPv4", field, offset), needed, available)
}

const fn malformed(field: &'static str, offset: usize, value: u32) -> ParseError {
    ParseError::malformed(("IPv4", field, offset), value)
}

impl fmt::Display for Ipv4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (self.source(), self.destination());
        let (protocol, ttl, length) = (self.protocol(), self.ttl, self.total_length);
        write!(
            f,
            "IPv4 {source} > {destination} {protocol} ttl {ttl} length {length}"
        )?;
        if self.is_fragment() {
            write!(f, " fragment at {}", self.fragment_offset())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
