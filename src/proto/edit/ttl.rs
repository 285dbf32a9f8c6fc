//! One hop less.

#![forbid(unsafe_code)]

use super::{EditError, Link};
use crate::proto::{EtherType, Ipv4, Ipv6, ParseError};

/// Takes one hop off the TTL of an IPv4 packet and adjusts the header's checksum (RFC 1624), or off the hop limit of an IPv6
/// packet: what a router does with each packet that it forwards. VLAN tags, and LLC
/// with SNAP, are passed over. Behind MPLS labels it is the label's hop that is taken: [`Mpls::decrement_ttl`](crate::proto::Mpls::decrement_ttl).
///
/// # Errors
///
/// [`EditError::NoHopsLeft`] if the packet must not be forwarded: its sender is told by an ICMP "time exceeded" (RFC 1812, section
/// 5.3.1). [`EditError::NotIp`] if it carries neither IPv4 nor IPv6, [`EditError::Parse`] if its headers are malformed. The frame stays
/// as it was.
///
/// ```
/// use fluxcap::proto::edit::{EditError, decrement_ttl};
///
/// let mut frame = [
///     0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
///     0x45, 0x00, 0x00, 0x14, 0x00, 0x00, 0x40, 0x00, 0x02, 0xfd, // IPv4, TTL 2
///     0x63, 0xec, 10, 0, 0, 1, 10, 0, 0, 2,
/// ];
/// decrement_ttl(&mut frame)?;
/// assert_eq!(frame[22], 1);
/// assert_eq!(frame[24..26], [0x64, 0xec]);
/// assert_eq!(decrement_ttl(&mut frame), Err(EditError::NoHopsLeft));
/// # Ok::<(), EditError>(())
/// ```
#[inline]
pub fn decrement_ttl(frame: &mut [u8]) -> Result<(), EditError> {
    let mut link = Link::find(frame)?;
    if link.ether_type.is_length() {
        link = link.behind_snap(frame)?;
    }
    let packet = frame.get_mut(link.len..).unwrap_or_default();
    let place = |error: ParseError| error.at(link.len);
    let was_left = match link.ether_type {
        EtherType::IPV4 => Ipv4::parse_mut(packet).map_err(place)?.0.decrement_ttl(),
        EtherType::IPV6 => {
            let (header, _) = Ipv6::parse_mut(packet).map_err(place)?;
            header.decrement_hop_limit()
        }
        _ => return Err(EditError::NotIp),
    };
    if was_left {
        Ok(())
    } else {
        Err(EditError::NoHopsLeft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::samples::{Fill, Random, Sample, TCP, UDP};

    /// Where the hops are in the frame.
    fn hops_at(sample: &Sample) -> usize {
        sample.ip_at() + if sample.is_ipv6() { 7 } else { 8 }
    }

    fn with_hops(sample: &Sample, hops: u8) -> Vec<u8> {
        let mut frame = sample.frame(Fill::Full);
        frame[hops_at(sample)] = hops;
        if let Ok((ip, _)) = Ipv4::parse_mut(&mut frame[sample.ip_at()..]) {
            ip.fill_checksum();
        }
        frame
    }

    fn refuses(mut frame: Vec<u8>, error: EditError) {
        let before = frame.clone();
        assert_eq!(decrement_ttl(&mut frame), Err(error));
        assert_eq!(frame, before);
    }

    #[test]
    fn a_hop_less_is_the_only_change_besides_the_checksum_of_ipv4() {
        let mut random = Random(21);
        for round in 0..400 {
            let protocol = [TCP, UDP][random.below(2)];
            let sample = Sample::random(&mut random, round % 2 == 1, protocol);
            for hops in [2, 3, 64, 128, 255] {
                let mut frame = with_hops(&sample, hops);
                assert_eq!(decrement_ttl(&mut frame), Ok(()));
                assert!(frame == with_hops(&sample, hops - 1), "{hops} {sample:?}");
            }
        }
    }

    #[test]
    fn a_wrong_checksum_stays_wrong() {
        let sample = Sample::random(&mut Random(22), false, UDP);
        let mut frame = with_hops(&sample, 64);
        frame[sample.ip_at() + 10] ^= 0x40;
        decrement_ttl(&mut frame).unwrap();
        let (ip, _) = Ipv4::parse(&frame[sample.ip_at()..]).unwrap();
        assert!(!ip.verify_checksum());
    }

    #[test]
    fn the_last_hop_is_not_taken() {
        for is_ipv6 in [false, true] {
            let sample = Sample::random(&mut Random(23), is_ipv6, UDP);
            for hops in [0, 1] {
                refuses(with_hops(&sample, hops), EditError::NoHopsLeft);
            }
        }
    }

    #[test]
    fn what_is_not_ip_is_refused() {
        refuses(
            [&[2; 12][..], &[0x08, 0x06], &[0; 46]].concat(),
            EditError::NotIp,
        );
        refuses(
            [&[2; 12][..], &[0x00, 0x2e], &[0; 46]].concat(),
            EditError::NotIp,
        );
    }

    #[test]
    fn truncated_frames_are_refused_and_stay() {
        for is_ipv6 in [false, true] {
            let mut sample = Sample::random(&mut Random(24), is_ipv6, UDP);
            sample.tags = 2;
            sample.padding = 0;
            let frame = with_hops(&sample, 64);
            for len in 0..frame.len() {
                let mut frame = frame[..len].to_vec();
                let before = frame.clone();
                let error = decrement_ttl(&mut frame).unwrap_err();
                assert!(matches!(error, EditError::Parse(_)), "{len} {error}");
                assert_eq!(frame, before);
            }
        }
    }

    #[test]
    fn an_error_tells_the_byte_of_the_frame() {
        let mut sample = Sample::random(&mut Random(25), false, UDP);
        sample.tags = 1;
        let mut frame = sample.frame(Fill::Full);
        frame[18] = 0x43;
        let error = decrement_ttl(&mut frame).unwrap_err();
        assert_eq!(error.to_string(), "IPv4 IHL at byte 18 cannot be 3");
    }
}
