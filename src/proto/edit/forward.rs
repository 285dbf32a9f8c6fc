//! What a router changes in a frame that it forwards: the hops left, and the maximum segment size.

#![forbid(unsafe_code)]

use super::{EditError, link};
use crate::proto::checksum;
use crate::proto::walk::{Carried, IpPacket};
use crate::proto::{EtherType, IpProtocol, Ipv4, Ipv6, ParseError, Tcp, TcpFlags, TcpOption};

/// Takes one hop off the TTL of an IPv4 packet and adjusts the header's checksum (RFC 1624), or off the hop limit of an IPv6
/// packet: what a router does with each packet that it forwards. VLAN tags, and LLC
/// with SNAP, are passed over. Behind MPLS labels it is the label's hop that is taken: [`Mpls::decrement_ttl`](crate::proto::Mpls::decrement_ttl).
///
/// # Errors
///
/// [`EditError::NoHopsLeft`] if the packet must not be forwarded: its sender gets an ICMP "time exceeded" (RFC 1812, section
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
    let link = link(frame)?;
    let (ether_type, at) = if link.ether_type.is_length() {
        let carried = Carried::find(frame, link)?;
        let ether_type = carried.ether_type.ok_or(EditError::NotIp)?;
        (ether_type, carried.at)
    } else {
        (link.ether_type, link.at)
    };
    let packet = frame.get_mut(at..).unwrap_or_default();
    let place = |error: ParseError| error.at(at);
    let was_left = match ether_type {
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

/// Where the number is in its option, behind kind and length.
const NUMBER: usize = 2;

/// Lowers the maximum segment size that a TCP connection is opened with to `max` bytes, where it is larger: the ends then send no
/// segments that a tunnel on the way cannot take, also where path MTU discovery fails. Gives whether it was.
///
/// For an MTU of 1,400 bytes, that is 1,360 over IPv4 and 1,340 over IPv6: IP and TCP header come off.
///
/// Only segments with SYN, and SYN and ACK, have that option; all else stays as it is, also what is not TCP or not IP. The option is
/// not added to a segment without it, whose receiver assumes 536 bytes (IPv6: 1,220). Of several, all are lowered. VLAN tags, LLC with SNAP, MPLS labels,
/// IPv4 options and IPv6 extension headers are passed over.
///
/// The checksum is adjusted, not computed anew (RFC 1624), so a damaged segment stays recognisably so. One that its sender left to the
/// network card does not cover the options and stays; [`nat::Rewrite`](crate::proto::nat::Rewrite) says how it is recognised.
///
/// # Errors
///
/// [`EditError::Parse`] if headers or TCP options are malformed. The frame stays as it was.
///
/// ```
/// use fluxcap::proto::edit::{EditError, clamp_mss};
///
/// let mut frame = [
///     0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
///     0x45, 0x00, 0x00, 0x2c, 0x00, 0x00, 0x40, 0x00, 0x40, 0x06, // IPv4
///     0x26, 0xca, 10, 0, 0, 1, 10, 0, 0, 2, //
///     0xc0, 0x00, 0x00, 0x50, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 0x02, // TCP with SYN
///     0xff, 0xff, 0xa3, 0xc0, 0, 0, //
///     0x02, 0x04, 0x05, 0xb4, // maximum segment size 1,460
/// ];
/// assert!(clamp_mss(&mut frame, 1360)?);
/// assert_eq!(frame[54..], [0x02, 0x04, 0x05, 0x50]);
/// assert_eq!(frame[50..52], [0xa4, 0x24]);
/// assert!(!clamp_mss(&mut frame, 1360)?);
/// # Ok::<(), EditError>(())
/// ```
#[inline]
pub fn clamp_mss(frame: &mut [u8], max: u16) -> Result<bool, EditError> {
    let Some(ip) = IpPacket::find(frame)? else {
        return Ok(false);
    };
    if ip.protocol != IpProtocol::TCP || ip.is_later_fragment {
        return Ok(false);
    }
    let place = |error: ParseError| error.at(ip.message);
    let (tcp, _) = Tcp::parse(ip.message(frame)).map_err(place)?;
    if !tcp.flags().contains(TcpFlags::SYN) {
        return Ok(false);
    }
    let places = larger(tcp, max).map_err(place)?;
    if places == 0 {
        return Ok(false);
    }
    // What the field holds tells that it is partial, as long as nothing is changed.
    let is_partial = checksum::is_unfinished(&ip, frame);
    let (tcp, _) = Tcp::parse_mut(ip.message_mut(frame)).map_err(place)?;
    lower(tcp, max, places, is_partial);
    Ok(true)
}

/// The sizes that are larger, as bits: those of the bytes among the options where their options start.
#[inline]
fn larger(tcp: &Tcp, max: u16) -> Result<u64, ParseError> {
    let (mut places, mut start) = (0, 0_u32);
    for option in tcp.options() {
        let option = option?;
        if let TcpOption::MaximumSegmentSize(size) = option
            && size > max
        {
            places |= 1_u64.wrapping_shl(start);
        }
        // No more than the 40 bytes that there can be.
        start = start.wrapping_add(option.wire_len() as u32);
    }
    Ok(places)
}

/// Sets the sizes of the options in `places` to `max`.
#[inline]
fn lower(tcp: &mut Tcp, max: u16, mut places: u64, is_partial: bool) {
    while places != 0 {
        let start = places.trailing_zeros();
        places &= places.wrapping_sub(1);
        let at = (start as usize).wrapping_add(NUMBER);
        let number = tcp.options_mut().get_mut(at..);
        let Some(number) = number.and_then(<[u8]>::first_chunk_mut) else {
            return; // it was there before
        };
        let (mut old, mut new) = (u16::from_be_bytes(*number), max);
        *number = max.to_be_bytes();
        if at % 2 == 1 {
            // Half of it is in each of two words: their sum is that of the bytes exchanged.
            (old, new) = (old.swap_bytes(), new.swap_bytes());
        }
        if !is_partial {
            tcp.set_checksum(checksum::update(tcp.checksum(), old, new));
        }
    }
}

#[cfg(test)]
mod tests {
    mod ttl {
        use super::super::*;
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

    mod mss {
        use super::super::*;
        use crate::proto::checksum::{Completion, complete};
        use crate::proto::samples::{Fill, Random, Sample, TCP, UDP};

        const MAX: u16 = 1360;

        /// A segment that opens a connection, with these options.
        fn opening(random: &mut Random, is_ipv6: bool, flags: u8, options: &[u8]) -> Sample {
            let mut sample = Sample::random(random, is_ipv6, TCP);
            let payload = random.below(50);
            let mut message = random.bytes(20);
            message.extend(options);
            message.resize(message.len().next_multiple_of(4), 0);
            message[12] = u8::try_from(message.len() / 4).unwrap() << 4;
            message[13] = flags;
            message[16..18].fill(0);
            message.extend(random.bytes(payload));
            sample.message = message;
            sample
        }

        /// Asserts that clamping gives `clamped`, with a checksum of every kind.
        fn gives(sample: &Sample, clamped: &Sample) {
            let wrong = Fill::Value(sample.full() ^ 0x0800);
            for fill in [Fill::Full, Fill::Partial, wrong] {
                let mut frame = sample.frame(fill);
                let is_changed = clamp_mss(&mut frame, MAX).unwrap();
                assert_eq!(is_changed, sample.message != clamped.message);
                match fill {
                    Fill::Value(_) => {
                        assert!(frame != clamped.frame(Fill::Full), "{sample:?}");
                        let at = sample.message_at() + 16;
                        frame[at..at + 2].fill(0);
                        assert!(frame == clamped.frame(Fill::Value(0)), "{sample:?}");
                    }
                    Fill::Partial => {
                        assert!(frame == clamped.frame(fill), "{sample:?}");
                        // Finished before or after, it is the same packet.
                        let mut other = sample.frame(fill);
                        assert_eq!(complete(&mut frame), Completion::Completed);
                        assert_eq!(complete(&mut other), Completion::Completed);
                        clamp_mss(&mut other, MAX).unwrap();
                        assert!(frame == other);
                    }
                    Fill::Full => assert!(frame == clamped.frame(fill), "{sample:?}"),
                }
            }
        }

        fn refuses(mut frame: Vec<u8>, text: &str) {
            let before = frame.clone();
            let error = clamp_mss(&mut frame, MAX).unwrap_err();
            assert_eq!(error.to_string(), text);
            assert_eq!(frame, before);
        }

        fn stays(mut frame: Vec<u8>) {
            let before = frame.clone();
            assert_eq!(clamp_mss(&mut frame, 0), Ok(false));
            assert_eq!(frame, before);
        }

        #[test]
        fn a_larger_size_is_lowered_wherever_it_stands() {
            let mut random = Random(31);
            for round in 0..300 {
                let flags = [0x02, 0x12, 0xc2, 0x52][round % 4];
                let size = random.bytes(2);
                let size = u16::from_be_bytes([size[0], size[1]]);
                // In front of it an even or odd number of bytes, behind it other options.
                let mut options = vec![1; random.below(6)];
                options.extend([2, 4]);
                let at = 20 + options.len();
                options.extend(size.to_be_bytes());
                options.extend([1, 3, 3, 7, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0]);
                let sample = opening(&mut random, round % 2 == 1, flags, &options);
                let mut clamped = sample.clone();
                clamped.message[at..at + 2].copy_from_slice(&size.min(MAX).to_be_bytes());
                gives(&sample, &clamped);
            }
        }

        #[test]
        fn of_several_sizes_all_are_lowered() {
            let options = [
                2, 4, 0x05, 0x50, 1, 2, 4, 0xff, 0xff, 2, 4, 0x05, 0x51, 2, 4, 0, 9,
            ];
            let lowered = [
                2, 4, 0x05, 0x50, 1, 2, 4, 0x05, 0x50, 2, 4, 0x05, 0x50, 2, 4, 0, 9,
            ];
            let mut random = Random(32);
            for is_ipv6 in [false, true] {
                let sample = opening(&mut random, is_ipv6, 0x02, &options);
                let mut clamped = sample.clone();
                clamped.message[20..37].copy_from_slice(&lowered);
                gives(&sample, &clamped);
            }
            // As many as there is room for.
            let sample = opening(&mut random, false, 0x02, &[2, 4, 0x80, 0].repeat(10));
            let mut clamped = sample.clone();
            clamped.message[20..60].copy_from_slice(&[2, 4, 0x05, 0x50].repeat(10));
            gives(&sample, &clamped);
        }

        #[test]
        fn a_full_checksum_that_looks_partial_is_adjusted_as_full() {
            for is_ipv6 in [false, true] {
                let mut sample = opening(&mut Random(33), is_ipv6, 0x02, &[2, 4, 0x05, 0xb4]);
                sample.coincide();
                let mut clamped = sample.clone();
                clamped.message[22..24].copy_from_slice(&MAX.to_be_bytes());
                let mut frame = sample.frame(Fill::Full);
                assert_eq!(clamp_mss(&mut frame, MAX), Ok(true));
                assert!(frame == clamped.frame(Fill::Full));
            }
        }

        #[test]
        fn what_opens_no_connection_stays() {
            let mut random = Random(34);
            let options = [2, 4, 0x05, 0xb4];
            for flags in [0x00, 0x10, 0x18, 0x11, 0x04] {
                stays(opening(&mut random, false, flags, &options).frame(Fill::Full));
            }
            // No such option, or behind their end.
            stays(opening(&mut random, false, 0x02, &[1, 3, 3, 7]).frame(Fill::Full));
            stays(
                opening(&mut random, true, 0x02, &[0, 0, 0, 0, 2, 4, 0x05, 0xb4]).frame(Fill::Full),
            );
            stays(opening(&mut random, true, 0x02, &[]).frame(Fill::Full));
            // No TCP, no IP, no first fragment.
            stays(Sample::random(&mut random, false, UDP).frame(Fill::Full));
            stays([&[2; 12][..], &[0x08, 0x06], &[0; 46]].concat());
            let sample = opening(&mut random, false, 0x02, &options);
            let mut fragment = sample.frame(Fill::Full);
            fragment[sample.ip_at() + 7] = 1;
            stays(fragment);
        }

        #[test]
        fn the_first_fragment_is_clamped() {
            let sample = opening(&mut Random(35), false, 0x02, &[2, 4, 0x05, 0xb4]);
            let mut frame = sample.frame(Fill::Full);
            frame[sample.ip_at() + 6] |= 0x20;
            assert_eq!(clamp_mss(&mut frame, MAX), Ok(true));
            frame[sample.ip_at() + 6] &= !0x20;
            let mut clamped = sample.clone();
            clamped.message[22..24].copy_from_slice(&MAX.to_be_bytes());
            assert!(frame == clamped.frame(Fill::Full));
        }

        #[test]
        fn malformed_options_are_refused_also_behind_the_size() {
            let mut random = Random(36);
            let mut sample = opening(&mut random, false, 0x02, &[2, 4, 0x05, 0xb4, 3, 0, 7, 7]);
            sample.tags = 1;
            sample.options = 8;
            let frame = sample.frame(Fill::Full);
            refuses(frame, "TCP option length at byte 71 cannot be 0");
            let mut sample = opening(&mut random, true, 0x12, &[2, 4, 0x05, 0xb4, 3, 4, 7, 7]);
            sample.tags = 0;
            sample.options = 0;
            let frame = sample.frame(Fill::Full);
            refuses(frame, "TCP option length at byte 79 cannot be 4");
            let mut sample = opening(&mut random, false, 0x02, &[1, 1, 2, 5, 0x05, 0xb4, 1, 1]);
            sample.tags = 0;
            sample.options = 0;
            let frame = sample.frame(Fill::Full);
            refuses(frame, "TCP option length at byte 57 cannot be 5");
        }

        #[test]
        fn truncated_frames_are_refused_and_stay() {
            for is_ipv6 in [false, true] {
                let mut sample = opening(&mut Random(37), is_ipv6, 0x02, &[2, 4, 0x05, 0xb4]);
                sample.tags = 2;
                sample.padding = 0;
                let frame = sample.frame(Fill::Full);
                for len in 0..frame.len() {
                    let mut frame = frame[..len].to_vec();
                    let before = frame.clone();
                    let error = clamp_mss(&mut frame, MAX).unwrap_err();
                    assert!(matches!(error, EditError::Parse(_)), "{len} {error}");
                    assert_eq!(frame, before);
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic() {
            let mut random = Random(38);
            for round in 0..20_000 {
                let options = random.bytes(4 * (round % 11));
                let mut frame =
                    opening(&mut random, round % 2 == 1, 0x02, &options).frame(Fill::Full);
                for _ in 0..random.below(3) {
                    let at = random.below(frame.len());
                    frame[at] = random.byte();
                }
                frame.truncate(random.below(4 * frame.len()));
                let before = frame.clone();
                if clamp_mss(&mut frame, 600) != Ok(true) {
                    assert_eq!(frame, before);
                }
            }
        }
    }
}
