//! Internet Protocol version 6 (RFC 8200): the header. [`extensions`] has the extension headers, [`options`] those that are lists of options.

#![forbid(unsafe_code)]

use std::fmt;
use std::net::Ipv6Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::checksum::PseudoHeader;
use crate::proto::fields::fields;
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

    /// Flow label (RFC 6437), 20 bits; 0 for none.
    #[inline]
    #[must_use]
    pub fn flow_label(&self) -> u32 {
        self.version_class_and_label.get() & LABEL_MASK
    }
}

fields!(Ipv6:
    /// Length of extension headers and upper layer in bytes.
    payload_length() -> u16;
    /// What the payload starts with: an extension header or the upper layer.
    next_header() -> IpProtocol;
    /// How many more hops the packet may take.
    hop_limit() -> u8;
    /// Source address.
    source() -> Ipv6Addr;
    /// Destination address.
    destination() -> Ipv6Addr;
    /// Sets the length of extension headers and upper layer in bytes.
    ///
    /// The payload that parsing gave keeps its length.
    set_payload_length(payload_length: u16);
    /// Sets what the payload starts with.
    set_next_header(next_header: IpProtocol);
    /// Sets how many more hops the packet may take.
    set_hop_limit(hop_limit: u8);
    /// Sets the source address. TCP, UDP and ICMPv6 checksums cover this.
    set_source(source: Ipv6Addr);
    /// Sets the destination address. TCP, UDP and ICMPv6 checksums cover this.
    set_destination(destination: Ipv6Addr);
);

impl Ipv6 {
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

    /// Sets the flow label, of which the lower 20 bits count.
    #[inline]
    pub fn set_flow_label(&mut self, flow_label: u32) {
        let rest = self.version_class_and_label.get() & !LABEL_MASK;
        self.version_class_and_label
            .set(rest | flow_label & LABEL_MASK);
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
mod tests {
    use super::*;

    const HOST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const SERVER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

    /// UDP with all eight bytes of payload shown.
    const PACKET: [u8; 48] = [
        0x6b, 0x91, 0x23, 0x45, // DSCP EF, ECN 1, flow label
        0x00, 0x08, 0x11, 0x40, // payload length 8, UDP, hop limit 64
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // source
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // destination
        0xc0, 0x00, 0x00, 0x35, 0x00, 0x08, 0xe4, 0x33, // payload
    ];

    const HOP_BY_HOP: u8 = 0;
    const TCP: u8 = 6;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AH: u8 = 51;
    const DESTINATION: u8 = 60;

    /// An extension header of `len` bytes, whose length is in its second byte.
    fn extension(next: u8, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        bytes[0] = next;
        bytes[1] = u8::try_from(len / 8 - 1).unwrap();
        bytes
    }

    fn fragment(next: u8, offset_and_flags: u16) -> Vec<u8> {
        let [high, low] = offset_and_flags.to_be_bytes();
        vec![next, 0xee, high, low, 0x01, 0x02, 0x03, 0x04]
    }

    /// What is found in a payload that starts with `next`.
    fn walk(next: u8, payload: &[u8]) -> Result<UpperLayer, ParseError> {
        let mut bytes = PACKET;
        bytes[6] = next;
        Ipv6::parse(&bytes).unwrap().0.upper_layer(payload)
    }

    fn both_refuse(bytes: &[u8], error: ParseError) {
        assert_eq!(Ipv6::parse(bytes), Err(error));
        assert_eq!(Ipv6::parse_mut(&mut bytes.to_vec()), Err(error));
    }

    #[test]
    fn a_packet_shows_its_fields_and_payload() {
        let (ip, payload) = Ipv6::parse(&PACKET).unwrap();
        assert_eq!(Ipv6::LEN, 40);
        assert_eq!((ip.dscp(), ip.ecn()), (46, 1));
        assert_eq!(ip.flow_label(), 0x1_2345);
        assert_eq!(ip.payload_length(), 8);
        assert_eq!(ip.next_header(), IpProtocol::UDP);
        assert_eq!(ip.hop_limit(), 64);
        assert_eq!((ip.source(), ip.destination()), (HOST, SERVER));
        assert_eq!(payload, &PACKET[40..]);
        assert_eq!(ip.pseudo_header(), PseudoHeader::ipv6(HOST, SERVER));
        assert_eq!(
            ip.to_string(),
            "IPv6 2001:db8::1 > 2001:db8::2 UDP hops 64 length 8"
        );
        let upper = ip.upper_layer(payload).unwrap();
        assert_eq!((upper.protocol, upper.offset), (IpProtocol::UDP, 0));
        assert!(upper.fragment.is_none() && !upper.is_source_routed && !upper.is_later_fragment());
    }

    #[test]
    fn padding_after_the_packet_is_not_payload() {
        let mut padded = [&PACKET[..], &[0xee; 14]].concat();
        assert_eq!(Ipv6::parse(&padded), Ipv6::parse(&PACKET));
        let (_, payload) = Ipv6::parse_mut(&mut padded).unwrap();
        assert_eq!(payload.len(), 8);
    }

    #[test]
    fn a_truncated_packet_names_what_is_missing() {
        for available in 0..PACKET.len() {
            let needed = if available < 40 { 40 } else { 48 };
            both_refuse(&PACKET[..available], Ipv6::truncated(needed, available));
        }
    }

    #[test]
    fn other_versions_are_refused() {
        for version in (0..16).filter(|&version| version != 6) {
            let mut bytes = PACKET;
            bytes[0] = version << 4;
            let error = ParseError::malformed(("IPv6", "version", 0), version.into());
            both_refuse(&bytes, error);
        }
    }

    #[test]
    fn setters_write_the_packet_itself() {
        let mut bytes = [0; 48];
        bytes[..4].copy_from_slice(&PACKET[..4]);
        let (ip, payload) = Ipv6::parse_mut(&mut bytes).unwrap();
        assert!(payload.is_empty());
        ip.set_flow_label(0xffff_ffff);
        assert_eq!((ip.dscp(), ip.ecn()), (46, 1));
        ip.set_flow_label(0x1_2345);
        ip.set_payload_length(8);
        ip.set_next_header(IpProtocol::UDP);
        ip.set_hop_limit(64);
        ip.set_source(SERVER);
        ip.set_destination(HOST);
        ip.swap_addresses();
        assert_eq!(bytes[..40], PACKET[..40]);
    }

    #[test]
    fn a_setter_changes_its_own_bits_only() {
        for fill in [0x00, 0xff] {
            let mut bytes = PACKET;
            bytes[1..4].fill(fill);
            bytes[0] = 0x60 | fill >> 4;
            let (ip, _) = Ipv6::parse_mut(&mut bytes).unwrap();
            let (ecn, label) = (ip.ecn(), ip.flow_label());
            ip.set_dscp(0xea);
            assert_eq!((ip.dscp(), ip.ecn(), ip.flow_label()), (42, ecn, label));
            ip.set_ecn(0xfe);
            assert_eq!((ip.dscp(), ip.ecn(), ip.flow_label()), (42, 2, label));
            assert_eq!(bytes[0] >> 4, 6);
        }
    }

    #[test]
    fn the_last_hop_is_not_taken() {
        let mut bytes = PACKET;
        let (ip, _) = Ipv6::parse_mut(&mut bytes).unwrap();
        assert!(ip.decrement_hop_limit());
        assert_eq!(ip.hop_limit(), 63);
        for left in [0, 1] {
            ip.set_hop_limit(left);
            assert!(!ip.decrement_hop_limit());
            assert_eq!(ip.hop_limit(), left);
        }
    }

    #[test]
    fn extension_headers_are_passed_over_whatever_their_order() {
        let mut authentication = vec![TCP, 4];
        authentication.resize((4 + 2) * 4, 0);
        let payload = [
            extension(DESTINATION, 8),
            extension(ROUTING, 24),
            extension(FRAGMENT, 16),
            fragment(AH, 0),
            authentication,
            vec![0xee; 20],
        ]
        .concat();
        let upper = walk(HOP_BY_HOP, &payload).unwrap();
        assert_eq!(upper.protocol, IpProtocol::TCP);
        assert_eq!(upper.offset, payload.len() - 20);
        assert_eq!(upper.fragment, None, "a fragment that is all of the packet");
        assert!(!upper.is_source_routed);
    }

    #[test]
    fn what_is_no_extension_header_ends_the_walk() {
        for next in [TCP, 17, 50, 58, 59, 132, 135, 253] {
            let upper = walk(DESTINATION, &extension(next, 8)).unwrap();
            assert_eq!((upper.protocol, upper.offset), (IpProtocol(next), 8));
            assert_eq!(walk(next, &[]).unwrap().offset, 0);
        }
    }

    #[test]
    fn the_first_fragment_has_the_upper_header_and_later_ones_have_not() {
        let first = [fragment(DESTINATION, 1), extension(TCP, 8)].concat();
        let upper = walk(FRAGMENT, &first).unwrap();
        assert_eq!((upper.protocol, upper.offset), (IpProtocol::TCP, 16));
        assert!(!upper.is_later_fragment());
        let part = Ipv6Fragment {
            offset: 0,
            more_fragments: true,
            identification: 0x0102_0304,
        };
        assert_eq!(upper.fragment, Some(part));

        // Here the bytes behind the fragment header are data.
        let later = [fragment(DESTINATION, 1448 | 6), vec![0xff; 16]].concat();
        let upper = walk(FRAGMENT, &later).unwrap();
        assert_eq!((upper.protocol.0, upper.offset), (DESTINATION, 8));
        assert!(upper.is_later_fragment());
        let part = upper.fragment.unwrap();
        assert_eq!((part.offset, part.more_fragments), (1448, false));
    }

    #[test]
    fn segments_left_mean_source_routing() {
        let mut routing = extension(TCP, 24);
        routing[3] = 1;
        assert!(walk(ROUTING, &routing).unwrap().is_source_routed);
        // The same byte of another header means nothing.
        assert!(!walk(DESTINATION, &routing).unwrap().is_source_routed);
    }

    #[test]
    fn a_truncated_extension_names_what_is_missing() {
        let payload = [extension(DESTINATION, 16), extension(TCP, 24)].concat();
        for available in 0..payload.len() {
            let (offset, needed, left) = match available {
                0..8 => (0, 8, available),
                8..16 => (0, 16, available),
                16..24 => (16, 8, available - 16),
                _ => (16, 24, available - 16),
            };
            let (field, at) = if left < 8 {
                ("header", 0)
            } else {
                ("length", 1)
            };
            let place = ("IPv6 options", field, offset + at);
            let error = ParseError::truncated(place, needed, left);
            assert_eq!(walk(HOP_BY_HOP, &payload[..available]), Err(error));
        }
        assert_eq!(walk(HOP_BY_HOP, &payload).unwrap().offset, 40);
    }

    #[test]
    fn the_walk_is_bounded() {
        let eight = [extension(DESTINATION, 8).repeat(7), extension(TCP, 8)].concat();
        assert_eq!(walk(DESTINATION, &eight).unwrap().offset, 64);
        let endless = extension(DESTINATION, 8).repeat(1000);
        let error = walk(DESTINATION, &endless).unwrap_err();
        assert_eq!(
            error.to_string(),
            "IPv6 extension next header of the eighth at byte 56 cannot be 60"
        );
    }

    #[test]
    fn of_a_quoted_packet_the_payload_may_be_cut_short() {
        for available in 0..=PACKET.len() {
            let bytes = &PACKET[..available];
            match Ipv6::parse_quoted(bytes) {
                Ok((ip, payload)) => {
                    assert!(available >= 40);
                    assert_eq!(ip.payload_length(), 8);
                    assert_eq!(payload, &bytes[40..]);
                }
                Err(error) => {
                    assert!(available < 40);
                    assert_eq!(Ipv6::parse(bytes), Err(error));
                }
            }
        }
        let padded = [&PACKET[..], &[0xee; 14]].concat();
        assert_eq!(Ipv6::parse_quoted(&padded), Ipv6::parse(&padded));
    }
}
