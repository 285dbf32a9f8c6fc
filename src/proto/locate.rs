//! Where the message in an IP packet is, for who changes it or its checksum.

#![forbid(unsafe_code)]

use crate::proto::checksum::PseudoHeader;
use crate::proto::{
    EtherType, Ethernet, IpProtocol, Ipv4, Ipv6, Llc, Mpls, ParseError, Snap, Vlan,
};

/// More VLAN tags than anyone stacks.
pub(in crate::proto) const MAX_TAGS: usize = 4;

/// An IP packet in an Ethernet frame, by offsets, so that the frame may change meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proto) struct Location {
    /// Where the IP header starts.
    pub(in crate::proto) ip: usize,
    pub(in crate::proto) is_ipv6: bool,
    /// Where the message starts, behind options and extension headers.
    pub(in crate::proto) message: usize,
    /// Where the packet ends; padding may follow.
    pub(in crate::proto) end: usize,
    pub(in crate::proto) protocol: IpProtocol,
    pub(in crate::proto) is_fragment: bool,
    /// A fragment without the header of `protocol`.
    pub(in crate::proto) is_later_fragment: bool,
    /// The destination in the IP header is not the last one.
    pub(in crate::proto) is_source_routed: bool,
    /// The source in the IP header is not the one that checksums cover.
    pub(in crate::proto) has_home_address: bool,
    /// What checksums cover; `None` if the last destination is not known.
    pub(in crate::proto) addresses: Option<PseudoHeader>,
}

impl Location {
    /// Behind the Ethernet header, VLAN tags, and LLC with SNAP or MPLS labels; `None` for what is not IP.
    // Inlined, what the caller does not need is not even written: a quarter of the instructions.
    #[inline(always)]
    pub(in crate::proto) fn find(frame: &[u8]) -> Result<Option<Self>, ParseError> {
        let (ethernet, mut rest) = Ethernet::parse(frame)?;
        let mut ether_type = ethernet.ether_type();
        for _ in 0..MAX_TAGS {
            if !ether_type.is_vlan() {
                break;
            }
            let start = frame.len().wrapping_sub(rest.len());
            let (vlan, inner) = Vlan::parse(rest).map_err(|error| error.at(start))?;
            ether_type = vlan.ether_type();
            rest = inner;
        }
        // Within the frame, so that no sum below wraps.
        let ip = frame.len().wrapping_sub(rest.len());
        match ether_type {
            EtherType::IPV4 => Self::ipv4(rest, ip).map(Some),
            EtherType::IPV6 => Self::ipv6(rest, ip).map(Some),
            _ => Self::find_behind(ether_type, rest, ip),
        }
    }

    /// What is behind a header that is neither IP nor a VLAN tag; it starts at `start`.
    #[cold]
    #[inline(never)]
    fn find_behind(
        ether_type: EtherType,
        bytes: &[u8],
        start: usize,
    ) -> Result<Option<Self>, ParseError> {
        let Some(found) = carried(ether_type, bytes, start)? else {
            return Ok(None);
        };
        match found.ether_type {
            EtherType::IPV4 => Self::ipv4(found.bytes, found.at).map(Some),
            EtherType::IPV6 => Self::ipv6(found.bytes, found.at).map(Some),
            _ => Ok(None),
        }
    }

    /// An IPv4 packet, which starts at `ip`; padding may follow it.
    #[inline(always)]
    fn ipv4(bytes: &[u8], ip: usize) -> Result<Self, ParseError> {
        let (header, payload) = Ipv4::parse(bytes).map_err(|error| error.at(ip))?;
        let message = ip.wrapping_add(header.header_len());
        Ok(Self {
            ip,
            is_ipv6: false,
            message,
            end: message.wrapping_add(payload.len()),
            protocol: header.protocol(),
            is_fragment: header.is_fragment(),
            is_later_fragment: header.fragment_offset() != 0,
            is_source_routed: header.is_source_routed(),
            has_home_address: false,
            addresses: Some(header.checksum_addresses()),
        })
    }

    /// An IPv6 packet, likewise.
    #[inline(always)]
    fn ipv6(bytes: &[u8], ip: usize) -> Result<Self, ParseError> {
        let (header, payload) = Ipv6::parse(bytes).map_err(|error| error.at(ip))?;
        let start = ip.wrapping_add(Ipv6::LEN);
        let upper = header
            .upper_layer(payload)
            .map_err(|error| error.at(start))?;
        Ok(Self {
            ip,
            is_ipv6: true,
            message: start.wrapping_add(upper.offset),
            end: start.wrapping_add(payload.len()),
            protocol: upper.protocol,
            is_fragment: upper.fragment.is_some(),
            is_later_fragment: upper.is_later_fragment(),
            is_source_routed: upper.is_source_routed,
            has_home_address: upper.home_address.is_some(),
            addresses: header.checksum_addresses(&upper),
        })
    }

    /// The message: the upper layer's header and its payload, without padding.
    #[inline]
    pub(in crate::proto) fn message<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        frame.get(self.message..self.end).unwrap_or_default()
    }

    /// Like [`Location::message`], to change it in place.
    #[inline]
    pub(in crate::proto) fn message_mut<'a>(&self, frame: &'a mut [u8]) -> &'a mut [u8] {
        frame.get_mut(self.message..self.end).unwrap_or_default()
    }
}

/// A packet behind a header that is neither IP nor a VLAN tag.
pub(in crate::proto) struct Carried<'a> {
    pub(in crate::proto) ether_type: EtherType,
    /// Where it starts.
    pub(in crate::proto) at: usize,
    /// All of it, without the padding of an IEEE 802.3 frame.
    bytes: &'a [u8],
}

/// What is behind LLC and SNAP (IEEE 802.2, RFC 1042), or MPLS labels (RFC 3032), which start at `start`. `None` if that is not told, or
/// `ether_type` is another.
pub(in crate::proto) fn carried(
    ether_type: EtherType,
    bytes: &[u8],
    start: usize,
) -> Result<Option<Carried<'_>>, ParseError> {
    let (found, bytes) = if ether_type.is_length() {
        let length_at = start.wrapping_sub(2);
        let bytes = ether_type.cut(bytes).map_err(|error| error.at(length_at))?;
        (snap(bytes), bytes)
    } else if ether_type.is_mpls() {
        let (stack, packet) = Mpls::parse_stack(bytes).map_err(|error| error.at(start))?;
        let kind = stack.last().and_then(|last| last.guess_payload(packet));
        (kind.map(|kind| (kind, packet)), bytes)
    } else {
        return Ok(None);
    };
    Ok(found.map(|(ether_type, packet)| Carried {
        ether_type,
        at: start.wrapping_add(bytes.len().wrapping_sub(packet.len())),
        bytes: packet,
    }))
}

/// The EtherType behind LLC and SNAP, and what it announces.
pub(in crate::proto) fn snap(bytes: &[u8]) -> Option<(EtherType, &[u8])> {
    let (llc, bytes) = Llc::parse(bytes).ok()?;
    let (snap, packet) = Snap::parse(bytes).ok().filter(|_| llc.is_snap())?;
    Some((snap.ether_type()?, packet))
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
        for tags in 0..=MAX_TAGS {
            let mut frame = tagged(tags);
            let headers = Location::find(&frame).unwrap().unwrap();
            assert_eq!(headers.ip, 14 + 4 * tags);
            assert_eq!(headers.message, 38 + 4 * tags);
            assert_eq!(headers.protocol, IpProtocol::UDP);
            assert!(!headers.is_ipv6 && !headers.is_fragment && !headers.is_source_routed);
            assert_eq!(headers.message(&frame), [0, 1, 0, 2, 0, 8, 0, 0]);
            assert_eq!(headers.message_mut(&mut frame).len(), 8);
        }
        assert!(Location::find(&tagged(MAX_TAGS + 1)).unwrap().is_none());
    }

    #[test]
    fn what_is_not_ip_is_no_error() {
        let mut frame = tagged(0);
        frame[12..14].copy_from_slice(&[0x08, 0x06]);
        assert!(Location::find(&frame).unwrap().is_none());
    }

    #[test]
    fn a_truncated_frame_names_the_header_at_fault() {
        let frame = tagged(1);
        for (len, protocol) in [(13, "Ethernet"), (17, "VLAN"), (37, "IPv4"), (49, "IPv4")] {
            let error = Location::find(&frame[..len]).unwrap_err();
            assert!(error.is_truncated(), "{len}: {error}");
            assert_eq!(error.protocol(), protocol);
        }
        assert!(Location::find(&frame[..50]).is_ok());
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
            let headers = Location::find(&frame).unwrap().unwrap();
            assert_eq!(headers.is_fragment, is_fragment);
            assert_eq!(headers.is_later_fragment, is_later);
        }
    }
}
