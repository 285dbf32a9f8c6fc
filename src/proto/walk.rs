//! The walk over the headers of a frame, from Ethernet to the message in its IP packet.
//!
//! ```text
//! Link      Ethernet, up to MAX_VLAN_TAGS VLAN tags
//!   ▼
//! Carried   behind LLC with SNAP, behind up to Mpls::MAX_STACK labels, or right there
//!   ▼
//! IpPacket  IPv4 with options, IPv6 with up to Ipv6::MAX_EXTENSION_HEADERS extension headers; its message
//! ```
//!
//! [`Headers`](crate::proto::Headers), [`FlowKey`](crate::proto::FlowKey), [`summary`](fn@crate::proto::summary), checksums of frames,
//! [`nat`](crate::proto::nat) and [`edit`](crate::proto::edit) rest on it; they differ in what they do with an error, and `FlowKey` in
//! how far it walks. The parts are offsets, so that the frame may change meanwhile. A packet in a tunnel is another walk.

#![forbid(unsafe_code)]

use zerocopy::FromBytes;

use crate::proto::checksum::PseudoHeader;
use crate::proto::{
    EtherType, Ethernet, IpProtocol, Ipv4, Ipv6, Llc, Mpls, ParseError, Snap, UpperLayer, Vlan,
};

/// Maximum number of VLAN tags skipped, for all but flows: that of Linux (`VLAN_MAX_DEPTH`). Two are usual (IEEE 802.1ad).
pub(super) const MAX_VLAN_TAGS: usize = 8;

/// Ethernet header and VLAN tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// What follows: another tag, if the frame ends in it or there are more than were to be passed.
    pub(super) ether_type: EtherType,
    /// Where that starts.
    pub(super) at: usize,
    /// Number of VLAN tags passed.
    pub(super) tags: usize,
}

// No offset is beyond the frame, so that no sum of a few of them wraps.
impl Link {
    /// The longest one in bytes.
    pub(super) const MAX_LEN: usize = Ethernet::LEN + MAX_VLAN_TAGS * Vlan::LEN;

    /// Of a frame that starts with its Ethernet header.
    #[inline(always)]
    pub(super) fn find(frame: &[u8]) -> Result<Self, ParseError> {
        let mut link = Self::ethernet(frame, 0)?;
        link.pass_tags(frame, MAX_VLAN_TAGS, EtherType::is_vlan)?;
        Ok(link)
    }

    /// The Ethernet header at byte `start`, without tags.
    #[inline(always)]
    pub(super) fn ethernet(frame: &[u8], start: usize) -> Result<Self, ParseError> {
        let (ethernet, _) = Ethernet::parse(rest(frame, start)).map_err(|error| error.at(start))?;
        let at = start.wrapping_add(Ethernet::LEN);
        Ok(Self::new(ethernet.ether_type(), at))
    }

    /// What is announced as `ether_type`, and starts at byte `at`.
    #[inline(always)]
    pub(super) const fn new(ether_type: EtherType, at: usize) -> Self {
        Self {
            ether_type,
            at,
            tags: 0,
        }
    }

    /// Passes up to `max` VLAN tags. After an error, those in front of the one at fault are passed.
    #[inline(always)]
    pub(super) fn pass_tags(
        &mut self,
        frame: &[u8],
        max: usize,
        is_vlan: impl Fn(EtherType) -> bool,
    ) -> Result<(), ParseError> {
        for _ in 0..max {
            if !is_vlan(self.ether_type) {
                break;
            }
            let parsed = Vlan::parse(rest(frame, self.at));
            let (vlan, _) = parsed.map_err(|error| error.at(self.at))?;
            self.ether_type = vlan.ether_type();
            self.at = self.at.wrapping_add(Vlan::LEN);
            self.tags = self.tags.wrapping_add(1);
        }
        Ok(())
    }

    /// The tags that were passed, outermost first.
    #[inline]
    pub(super) fn tags<'a>(&self, frame: &'a [u8]) -> &'a [Vlan] {
        let start = self.at.wrapping_sub(self.tags.wrapping_mul(Vlan::LEN));
        let tags = frame.get(start..self.at).unwrap_or_default();
        <[Vlan]>::ref_from_bytes(tags).unwrap_or_default()
    }
}

/// What a link announces, behind LLC and SNAP (IEEE 802.2, RFC 1042) or MPLS labels (RFC 3032).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carried {
    /// What it is, if that is known.
    pub(super) ether_type: Option<EtherType>,
    /// Where it starts; if it is not known, behind the link or the labels.
    pub(super) at: usize,
    /// Where the frame ends without the padding of IEEE 802.3.
    pub(super) end: usize,
    /// Number of MPLS labels.
    pub(super) labels: usize,
}

impl Carried {
    /// Behind `link`.
    #[cold]
    #[inline(never)]
    pub(super) fn find(frame: &[u8], link: Link) -> Result<Self, ParseError> {
        let (Link { ether_type, at, .. }, bytes) = (link, rest(frame, link.at));
        if ether_type.is_length() {
            let length_at = at.wrapping_sub(2);
            let cut = ether_type.cut(bytes);
            let bytes = cut.map_err(|error| error.at(length_at))?;
            return Ok(Self::behind_llc(bytes, at));
        }
        let end = frame.len();
        if ether_type.is_mpls() {
            let (stack, packet) = Mpls::parse_stack(bytes).map_err(|error| error.at(at))?;
            return Ok(Self {
                ether_type: stack.last().and_then(|last| last.guess_payload(packet)),
                at: end.wrapping_sub(packet.len()),
                end,
                labels: stack.len(),
            });
        }
        Ok(Self {
            ether_type: Some(ether_type),
            at,
            end,
            labels: 0,
        })
    }

    /// Behind LLC and SNAP, with which `bytes` begin; they start at byte `at` of the frame and end without padding.
    pub(super) fn behind_llc(bytes: &[u8], at: usize) -> Self {
        let end = at.wrapping_add(bytes.len());
        let (ether_type, at) = match snap(bytes) {
            Some((ether_type, packet)) => (Some(ether_type), end.wrapping_sub(packet.len())),
            None => (None, at),
        };
        Self {
            ether_type,
            at,
            end,
            labels: 0,
        }
    }
}

/// The ether type in a SNAP header behind LLC, and what it announces.
fn snap(bytes: &[u8]) -> Option<(EtherType, &[u8])> {
    let (llc, bytes) = Llc::parse(bytes).ok()?;
    let (snap, packet) = Snap::parse(bytes).ok().filter(|_| llc.is_snap())?;
    Some((snap.ether_type()?, packet))
}

/// An IP packet, and the message that it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IpPacket {
    /// Where the IP header starts.
    pub(super) start: usize,
    pub(super) is_ipv6: bool,
    /// DSCP and ECN.
    pub(super) traffic_class: u8,
    /// Time to live, or hop limit.
    pub(super) hops: u8,
    /// Where the message starts, behind options and extension headers.
    pub(super) message: usize,
    /// Where the packet ends; padding may follow.
    pub(super) end: usize,
    /// What the message is.
    pub(super) protocol: IpProtocol,
    pub(super) is_fragment: bool,
    /// A fragment without the header of `protocol`.
    pub(super) is_later_fragment: bool,
    /// The destination in the IP header is not the last one.
    pub(super) is_source_routed: bool,
    /// The source in the IP header is not the one that checksums cover.
    pub(super) has_home_address: bool,
    /// What checksums cover; `None` if the last destination is not known.
    pub(super) addresses: Option<PseudoHeader>,
}

impl IpPacket {
    /// In a frame that starts with its Ethernet header; `None` if it carries no IP packet.
    // Inlined, what the caller does not need is not even written: a quarter of the instructions.
    #[inline(always)]
    pub(super) fn find(frame: &[u8]) -> Result<Option<Self>, ParseError> {
        let link = Link::find(frame)?;
        match link.ether_type {
            EtherType::IPV4 | EtherType::IPV6 => Self::at(frame, link.ether_type, link.at),
            _ => Self::find_carried(frame, link),
        }
    }

    /// Behind LLC or labels.
    #[cold]
    #[inline(never)]
    fn find_carried(frame: &[u8], link: Link) -> Result<Option<Self>, ParseError> {
        let carried = Carried::find(frame, link)?;
        let frame = frame.get(..carried.end).unwrap_or(frame);
        match carried.ether_type {
            Some(ether_type) => Self::at(frame, ether_type, carried.at),
            None => Ok(None),
        }
    }

    /// The packet at byte `at`, which is announced as `ether_type`; `None` if that is neither IPv4 nor IPv6.
    #[inline(always)]
    pub(super) fn at(
        frame: &[u8],
        ether_type: EtherType,
        at: usize,
    ) -> Result<Option<Self>, ParseError> {
        let bytes = rest(frame, at);
        Ok(Some(match ether_type {
            EtherType::IPV4 => {
                let (header, payload) = Ipv4::parse(bytes).map_err(|error| error.at(at))?;
                Self::of_ipv4(header, payload.len(), at)
            }
            EtherType::IPV6 => {
                let (header, payload) = Ipv6::parse(bytes).map_err(|error| error.at(at))?;
                let start = at.wrapping_add(Ipv6::LEN);
                let upper = header.upper_layer(payload);
                let upper = upper.map_err(|error| error.at(start))?;
                Self::of_ipv6(header, upper, payload.len(), at)
            }
            _ => return Ok(None),
        }))
    }

    /// What is there of a packet for which [`IpPacket::at`] gives an error: one that is longer than the frame or of an invalid
    /// length, or one up to an extension header that is wrong, which is then its protocol. `None` if the IP header itself is not whole.
    #[cold]
    pub(super) fn partial(frame: &[u8], ether_type: EtherType, at: usize) -> Option<Self> {
        let bytes = rest(frame, at);
        let first = *bytes.first()?;
        match (ether_type, first >> 4) {
            (EtherType::IPV4, 4) => {
                let options_len = (usize::from(first & 0xf) * 4).checked_sub(Ipv4::LEN)?;
                let parsed = Ipv4::ref_from_prefix_with_elems(bytes, options_len);
                let (header, payload) = parsed.ok()?;
                Some(Self::of_ipv4(header, payload.len(), at))
            }
            (EtherType::IPV6, 6) => {
                let (header, payload) = match Ipv6::parse(bytes) {
                    Ok(parsed) => parsed,
                    Err(_) => Ipv6::ref_from_prefix(bytes).ok()?,
                };
                let upper = header.known_layer(payload);
                Some(Self::of_ipv6(header, upper, payload.len(), at))
            }
            _ => None,
        }
    }

    #[inline(always)]
    pub(super) fn of_ipv4(header: &Ipv4, payload_len: usize, at: usize) -> Self {
        let message = at.wrapping_add(header.header_len());
        Self {
            start: at,
            is_ipv6: false,
            traffic_class: header.dscp() << 2 | header.ecn(),
            hops: header.ttl(),
            message,
            end: message.wrapping_add(payload_len),
            protocol: header.protocol(),
            is_fragment: header.is_fragment(),
            is_later_fragment: header.fragment_offset() != 0,
            is_source_routed: header.is_source_routed(),
            has_home_address: false,
            addresses: Some(header.checksum_addresses()),
        }
    }

    #[inline(always)]
    pub(super) fn of_ipv6(header: &Ipv6, upper: UpperLayer, payload_len: usize, at: usize) -> Self {
        let start = at.wrapping_add(Ipv6::LEN);
        Self {
            start: at,
            is_ipv6: true,
            traffic_class: header.dscp() << 2 | header.ecn(),
            hops: header.hop_limit(),
            message: start.wrapping_add(upper.offset),
            end: start.wrapping_add(payload_len),
            protocol: upper.protocol,
            is_fragment: upper.fragment.is_some(),
            is_later_fragment: upper.is_later_fragment(),
            is_source_routed: upper.is_source_routed,
            has_home_address: upper.home_address.is_some(),
            addresses: header.checksum_addresses(&upper),
        }
    }

    /// The message: the upper layer's header and its payload, without padding.
    #[inline]
    pub(super) fn message<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        frame.get(self.message..self.end).unwrap_or_default()
    }

    /// Like [`IpPacket::message`], to change it in place.
    #[inline]
    pub(super) fn message_mut<'a>(&self, frame: &'a mut [u8]) -> &'a mut [u8] {
        frame.get_mut(self.message..self.end).unwrap_or_default()
    }
}

/// All bytes from `at` on.
#[inline(always)]
fn rest(frame: &[u8], at: usize) -> &[u8] {
    frame.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IPv4 with four bytes of options behind `tags`, then UDP, then padding.
    fn tagged(tags: usize) -> Vec<u8> {
        let mut frame = vec![0; 12];
        for _ in 0..tags {
            frame.extend([0x81, 0x00, 0x00, 0x07]);
        }
        frame.extend([0x08, 0x00]);
        frame.extend([0x46, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 1]);
        frame.extend([0, 1, 0, 2, 0, 8, 0, 0]);
        frame.resize(80, 0xee);
        frame
    }

    #[test]
    fn the_message_is_found_behind_tags_and_options_without_padding() {
        for tags in 0..=MAX_VLAN_TAGS {
            let mut frame = tagged(tags);
            let headers = IpPacket::find(&frame).unwrap().unwrap();
            assert_eq!(headers.start, 14 + 4 * tags);
            assert_eq!(headers.message, 38 + 4 * tags);
            assert_eq!(headers.protocol, IpProtocol::UDP);
            assert!(!headers.is_ipv6 && !headers.is_fragment && !headers.is_source_routed);
            assert_eq!(headers.message(&frame), [0, 1, 0, 2, 0, 8, 0, 0]);
            assert_eq!(headers.message_mut(&mut frame).len(), 8);
        }
        assert!(
            IpPacket::find(&tagged(MAX_VLAN_TAGS + 1))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn what_is_not_ip_is_no_error() {
        let mut frame = tagged(0);
        frame[12..14].copy_from_slice(&[0x08, 0x06]);
        assert!(IpPacket::find(&frame).unwrap().is_none());
    }

    #[test]
    fn a_truncated_frame_names_the_header_at_fault() {
        let frame = tagged(1);
        for (len, protocol) in [(13, "Ethernet"), (17, "VLAN"), (37, "IPv4"), (49, "IPv4")] {
            let error = IpPacket::find(&frame[..len]).unwrap_err();
            assert!(error.is_truncated(), "{len}: {error}");
            assert_eq!(error.protocol(), protocol);
        }
        assert!(IpPacket::find(&frame[..50]).is_ok());
    }

    #[test]
    fn fragments_are_told_apart() {
        for (flags, is_fragment, is_later) in [
            (0x4000, false, false),
            (0x2000, true, false),
            (0x2001, true, true),
            (0x0001, true, true),
        ] {
            let mut frame = tagged(0);
            frame[20..22].copy_from_slice(&u16::to_be_bytes(flags));
            let headers = IpPacket::find(&frame).unwrap().unwrap();
            assert_eq!(headers.is_fragment, is_fragment);
            assert_eq!(headers.is_later_fragment, is_later);
        }
    }
}
