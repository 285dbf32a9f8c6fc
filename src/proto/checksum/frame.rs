//! The checksums of a whole frame: verified, written, and completed where a sender left that to its network card.

#![forbid(unsafe_code)]

use super::{PseudoHeader, checksum, nonzero};
use crate::proto::walk::IpPacket;
use crate::proto::{IpProtocol, Ipv4, ParseError, Tcp, Udp};

/// What [`verify`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// All checksums are right; UDP over IPv4 may have none.
    Right,
    /// A checksum is wrong: the packet was damaged.
    Wrong,
    /// The message's checksum is left to the network card (see [`complete`](super::complete)); that of the IPv4 header is right.
    Partial,
    /// The message has no checksum that can be checked here, such as that of a fragment; that of the IPv4 header is right, if there is one.
    Unknown,
}

/// Checks the checksums of an Ethernet frame: that of the IPv4 header, and that of TCP, UDP, ICMP or ICMPv6 with its pseudo header.
///
/// VLAN tags, LLC with SNAP, MPLS labels, IPv4 options and IPv6 extension headers are passed over, padding is not summed. The pseudo header has the final destination of
/// a packet that is source-routed (RFC 8200, section 8.1), and the home address of a mobile node (RFC 6275, section 11.3.1). Packets
/// within a tunnel, or quoted by an ICMP error, are data.
///
/// # Errors
///
/// A [`ParseError`] if headers are malformed.
pub fn verify(frame: &[u8]) -> Result<Verdict, ParseError> {
    let Some(ip) = IpPacket::find(frame)? else {
        return Ok(Verdict::Unknown);
    };
    let packet = frame.get(ip.start..).unwrap_or_default();
    if !ip.is_ipv6 && !Ipv4::parse(packet)?.0.verify_checksum() {
        return Ok(Verdict::Wrong);
    }
    let (Some(message), Some(addresses)) = (Message::find(&ip, frame)?, ip.addresses) else {
        return Ok(Verdict::Unknown);
    };
    let is_udp = ip.protocol == IpProtocol::UDP;
    Ok(match message.field(frame) {
        [0, 0] if is_udp && ip.is_ipv6 => Verdict::Wrong,
        [0, 0] if is_udp => Verdict::Right,
        _ if message.sum(&ip, addresses, frame) == 0 => Verdict::Right,
        _ if is_unfinished(&ip, frame) => Verdict::Partial,
        _ => Verdict::Wrong,
    })
}

/// Writes the checksums of an Ethernet frame: that of the IPv4 header, and that of TCP, UDP, ICMP or ICMPv6 with its pseudo header.
/// Gives whether the message has one that can be written: fragments and other protocols have none, nor packets
/// with a routing header and segments left of which the final destination is not known.
///
/// [`verify`] says what is skipped and what is summed.
///
/// # Errors
///
/// A [`ParseError`] if headers are malformed; the frame stays as it was.
///
/// ```
/// use fluxcap::proto::checksum::{Verdict, fill, verify};
///
/// let mut frame = [
///     0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
///     0x45, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, // IPv4
///     0x00, 0x00, 10, 0, 0, 1, 10, 0, 0, 2, //
///     0xc0, 0x00, 0x00, 0x35, 0x00, 0x0b, 0x00, 0x00, // UDP
///     b'd', b'n', b's',
/// ];
/// assert_eq!(verify(&frame)?, Verdict::Wrong);
/// assert!(fill(&mut frame)?);
/// assert_eq!(frame[24..26], [0x26, 0xcc]);
/// assert_eq!(frame[40..42], [0x54, 0x31]);
/// assert_eq!(verify(&frame)?, Verdict::Right);
/// # Ok::<(), fluxcap::proto::ParseError>(())
/// ```
pub fn fill(frame: &mut [u8]) -> Result<bool, ParseError> {
    let Some(ip) = IpPacket::find(frame)? else {
        return Ok(false);
    };
    let message = Message::find(&ip, frame)?;
    if !ip.is_ipv6 {
        let packet = frame.get_mut(ip.start..).unwrap_or_default();
        Ipv4::parse_mut(packet)?.0.fill_checksum();
    }
    let (Some(message), Some(addresses)) = (message, ip.addresses) else {
        return Ok(false);
    };
    message.set(frame, 0);
    let sum = message.sum(&ip, addresses, frame);
    let is_udp = ip.protocol == IpProtocol::UDP;
    message.set(frame, if is_udp { nonzero(sum) } else { sum });
    Ok(true)
}

/// What a message's checksum covers besides the pseudo header.
#[derive(Debug, Clone, Copy)]
struct Message {
    start: usize,
    end: usize,
    /// Where the checksum is in the frame.
    at: usize,
}

impl Message {
    /// `None` if it has no checksum, or none that is known.
    fn find(ip: &IpPacket, frame: &[u8]) -> Result<Option<Self>, ParseError> {
        if ip.is_fragment {
            return Ok(None);
        }
        let start = ip.message;
        let bytes = ip.message(frame);
        let place = |error: ParseError| error.at(start);
        let (field, len) = match ip.protocol {
            IpProtocol::TCP => {
                Tcp::parse(bytes).map_err(place)?;
                (16, bytes.len())
            }
            IpProtocol::UDP => {
                let (udp, _) = Udp::parse(bytes).map_err(place)?;
                (6, udp.length().into())
            }
            IpProtocol::ICMP if !ip.is_ipv6 => icmp("ICMP", bytes).map_err(place)?,
            IpProtocol::ICMPV6 if ip.is_ipv6 => icmp("ICMPv6", bytes).map_err(place)?,
            _ => return Ok(None),
        };
        // Within the frame.
        let end = start.wrapping_add(len);
        let at = start.wrapping_add(field);
        Ok(Some(Self { start, end, at }))
    }

    fn field(self, frame: &[u8]) -> [u8; 2] {
        let field = frame.get(self.at..).and_then(<[u8]>::first_chunk);
        field.copied().unwrap_or_default()
    }

    fn set(self, frame: &mut [u8], checksum: u16) {
        let field = frame.get_mut(self.at..);
        if let Some(field) = field.and_then(<[u8]>::first_chunk_mut) {
            *field = checksum.to_be_bytes();
        }
    }

    /// The checksum as it should be if its field holds 0; 0 if the field holds that.
    fn sum(self, ip: &IpPacket, addresses: PseudoHeader, frame: &[u8]) -> u16 {
        let bytes = frame.get(self.start..self.end).unwrap_or_default();
        if ip.protocol == IpProtocol::ICMP {
            return checksum(bytes);
        }
        addresses.checksum(ip.protocol, bytes)
    }
}

/// Where the checksum is, and how long the message.
fn icmp(protocol: &'static str, bytes: &[u8]) -> Result<(usize, usize), ParseError> {
    let len = bytes.len();
    if len < 4 {
        return Err(ParseError::truncated((protocol, "checksum", 2), 4, len));
    }
    Ok((2, len))
}

/// What [`complete`] found, and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Completion {
    /// The checksum was partial; now it is the full one.
    Completed,
    /// The checksum is not partial, or the right one all the same; the packet is as it was.
    NotPartial,
    /// Nothing that could have a partial checksum: neither TCP nor UDP, a fragment, or malformed.
    /// The packet is as it was.
    NotRecognised,
}

/// Finishes the TCP or UDP checksum of an Ethernet frame, if its sender left that to the network
/// card.
///
/// Linux computes no checksum for packets to a card that could do it, and a veth pair or a
/// virtual machine's card says that it could. So packets from a container or virtual machine on
/// the same machine arrive with a *partial* checksum (`CHECKSUM_PARTIAL` inside Linux): the field
/// holds the sum of the pseudo header, [not complemented](super::PseudoHeader::partial). Between
/// parts of one machine that is fine; sent over a wire, or over an `AF_XDP` socket to a receiver
/// that checks it, such a packet is dropped as damaged.
///
/// Behind the Ethernet header, up to eight VLAN tags, LLC with SNAP, MPLS labels, IPv4 options and IPv6 extension headers are
/// passed over. Bytes behind the IP packet, such as Ethernet padding, are not summed. Fragments are
/// [`Completion::NotRecognised`]: Linux leaves no partial checksum in them. So are IPv6 packets with
/// segments left of which the final destination, which the pseudo header has, is not known.
///
/// # How a partial checksum is recognised
///
/// By the headers alone: the checksum field equals the pseudo header's sum. That costs some tens of
/// instructions, and nothing is summed unless it does. Nothing in a frame tells a partial checksum
/// for sure, so about one ordinary packet in 65536 looks like it by coincidence:
///
/// - If it is intact, summing shows that its checksum was right: it is [`Completion::NotPartial`].
/// - If it was damaged on its way, it gets a right checksum, and its receiver cannot notice any more.
///
/// So do not call this for packets that came over a wire; for those a network card has done the work.
///
/// ```
/// use fluxcap::proto::checksum::{Completion, complete};
///
/// let mut frame = [
///     0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
///     0x45, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, // IPv4
///     0x26, 0xcc, 10, 0, 0, 1, 10, 0, 0, 2, //
///     0xc0, 0x00, 0x00, 0x35, 0x00, 0x0b, 0x14, 0x1f, // UDP with the pseudo header's sum
///     b'd', b'n', b's',
/// ];
/// assert_eq!(complete(&mut frame), Completion::Completed);
/// assert_eq!(frame[40..42], [0x54, 0x31]);
/// assert_eq!(complete(&mut frame), Completion::NotPartial);
/// ```
#[inline]
pub fn complete(frame: &mut [u8]) -> Completion {
    let Ok(Some(ip)) = IpPacket::find(frame) else {
        return Completion::NotRecognised;
    };
    match is_partial(&ip, frame) {
        Some((true, addresses)) => write_full(&ip, addresses, frame),
        Some((false, _)) => Completion::NotPartial,
        None => Completion::NotRecognised,
    }
}

/// Whether the checksum field holds the pseudo header's sum, and that header; `None` if there can be no such field.
#[inline]
fn is_partial(ip: &IpPacket, frame: &[u8]) -> Option<(bool, PseudoHeader)> {
    if ip.is_fragment {
        return None;
    }
    let addresses = ip.addresses?;
    let message = ip.message(frame);
    let (checksum, length) = match ip.protocol {
        IpProtocol::TCP => (Tcp::parse(message).ok()?.0.checksum(), message.len()),
        IpProtocol::UDP => {
            let (udp, _) = Udp::parse(message).ok()?;
            (udp.checksum(), udp.length().into())
        }
        _ => return None,
    };
    let length = u32::try_from(length).ok()?;
    let is_partial = checksum == addresses.partial(ip.protocol, length);
    Some((is_partial, addresses))
}

/// Whether the checksum is partial, and not by coincidence the right full one, too.
#[inline]
pub(in crate::proto) fn is_unfinished(ip: &IpPacket, frame: &[u8]) -> bool {
    match is_partial(ip, frame) {
        Some((true, addresses)) => !is_full(ip, addresses, ip.message(frame)),
        _ => false,
    }
}

fn is_full(ip: &IpPacket, addresses: PseudoHeader, message: &[u8]) -> bool {
    if ip.protocol == IpProtocol::TCP {
        return addresses.is_valid(IpProtocol::TCP, message);
    }
    Udp::parse(message).is_ok_and(|(udp, payload)| udp.verify_checksum(addresses, payload))
}

/// Sums up the message, and puts the checksum into it, unless that stands there already.
fn write_full(ip: &IpPacket, addresses: PseudoHeader, frame: &mut [u8]) -> Completion {
    let message = ip.message_mut(frame);
    if ip.protocol == IpProtocol::TCP {
        let Ok((tcp, data)) = Tcp::parse_mut(message) else {
            return Completion::NotRecognised;
        };
        let before = tcp.checksum();
        tcp.fill_checksum(addresses, data);
        // For TCP, unlike UDP, 0xffff is as right as the 0 that was computed.
        if nonzero(tcp.checksum()) == before {
            tcp.set_checksum(before);
            return Completion::NotPartial;
        }
    } else {
        let Ok((udp, payload)) = Udp::parse_mut(message) else {
            return Completion::NotRecognised;
        };
        let before = udp.checksum();
        udp.fill_checksum(addresses, payload);
        if udp.checksum() == before {
            return Completion::NotPartial;
        }
    }
    Completion::Completed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::samples::{DCCP, Fill, ICMPV6, Random, Sample, TCP, UDP};

    const COVERED: [(bool, u8); 5] = [
        (false, TCP),
        (false, UDP),
        (true, TCP),
        (true, UDP),
        (true, ICMPV6),
    ];

    /// An echo request without options or tags.
    const ECHO: [u8; 47] = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00, // Ethernet
        0x45, 0x00, 0x00, 0x20, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x01, // IPv4
        0x0a, 0x95, 10, 0, 0, 1, 10, 0, 0, 2, //
        0x08, 0x00, 0x06, 0xfa, 0x12, 0x34, 0x00, 0x01, // ICMP
        b'p', b'i', b'n', b'g', 0xee,
    ];

    #[test]
    fn filled_checksums_are_right_and_verified() {
        let mut random = Random(41);
        for _ in 0..200 {
            for (is_ipv6, protocol) in COVERED {
                let sample = Sample::random(&mut random, is_ipv6, protocol);
                let full = sample.frame(Fill::Full);
                assert_eq!(verify(&full), Ok(Verdict::Right));
                let garbage = u16::from_be_bytes([random.byte(), random.byte()]);
                let mut frame = sample.frame(Fill::Value(garbage));
                if !is_ipv6 {
                    frame[sample.ip_at() + 10] = random.byte();
                }
                assert_eq!(fill(&mut frame), Ok(true));
                assert!(frame == full, "{sample:?}");
            }
        }
    }

    #[test]
    fn partial_wrong_and_missing_checksums_are_told_apart() {
        let mut random = Random(42);
        for _ in 0..200 {
            for (is_ipv6, protocol) in COVERED {
                let sample = Sample::random(&mut random, is_ipv6, protocol);
                let is_checked = |value: u16, verdict| {
                    let found = verify(&sample.frame(Fill::Value(value)));
                    assert_eq!(found, Ok(verdict), "{value:#x} {sample:?}");
                };
                let (full, partial) = (sample.full(), sample.partial());
                if full != partial && protocol != ICMPV6 && partial != 0 {
                    is_checked(partial, Verdict::Partial);
                }
                let wrong = full ^ 0x0400;
                if wrong != partial && wrong != 0 {
                    is_checked(wrong, Verdict::Wrong);
                }
                if protocol == UDP {
                    is_checked(
                        0,
                        if is_ipv6 {
                            Verdict::Wrong
                        } else {
                            Verdict::Right
                        },
                    );
                }
            }
        }
    }

    #[test]
    fn icmp_has_no_pseudo_header() {
        let mut frame = ECHO;
        assert_eq!(verify(&frame), Ok(Verdict::Right));
        frame[36..38].fill(0x77);
        assert_eq!(verify(&frame), Ok(Verdict::Wrong));
        assert_eq!(fill(&mut frame), Ok(true));
        assert_eq!(frame, ECHO);
        // What a frame of IPv6 calls ICMP, and one of IPv4 ICMPv6, is neither.
        frame[23] = ICMPV6;
        assert_eq!(fill(&mut frame), Ok(false));
        assert_eq!(verify(&frame), Ok(Verdict::Unknown));
    }

    #[test]
    fn a_wrong_ipv4_header_is_wrong_whatever_it_carries() {
        for protocol in [TCP, UDP, DCCP, 47] {
            let sample = Sample::random(&mut Random(43), false, protocol);
            let mut frame = sample.frame(Fill::Full);
            frame[sample.ip_at() + 5] ^= 1;
            assert_eq!(verify(&frame), Ok(Verdict::Wrong));
        }
    }

    #[test]
    fn of_fragments_and_others_the_ipv4_header_alone_is_summed() {
        let mut random = Random(44);
        let sample = Sample::random(&mut random, false, UDP);
        let mut fragment = sample.frame(Fill::Full);
        fragment[sample.ip_at() + 6] = 0x20;
        let message = fragment[sample.message_at()..].to_vec();
        assert_eq!(verify(&fragment), Ok(Verdict::Wrong));
        assert_eq!(fill(&mut fragment), Ok(false));
        assert_eq!(verify(&fragment), Ok(Verdict::Unknown));
        assert_eq!(fragment[sample.message_at()..], message);
        for (is_ipv6, protocol) in [(false, DCCP), (true, DCCP), (false, 132), (true, 1)] {
            let mut frame = Sample::random(&mut random, is_ipv6, protocol).frame(Fill::Value(9));
            let before = frame.clone();
            assert_eq!(verify(&frame), Ok(Verdict::Unknown));
            assert_eq!(fill(&mut frame), Ok(false));
            assert_eq!(frame, before);
        }
        let mut arp = [&[2; 12][..], &[0x08, 0x06], &[0; 46]].concat();
        assert_eq!(verify(&arp), Ok(Verdict::Unknown));
        assert_eq!(fill(&mut arp), Ok(false));
    }

    #[test]
    fn truncated_frames_are_refused_and_stay() {
        for (is_ipv6, protocol) in COVERED {
            let mut sample = Sample::random(&mut Random(45), is_ipv6, protocol);
            sample.padding = 0;
            let frame = sample.frame(Fill::Value(0x1234));
            for len in 0..frame.len() {
                let mut cut = frame[..len].to_vec();
                assert!(verify(&cut).is_err(), "{len}");
                assert!(fill(&mut cut).is_err());
                assert_eq!(cut, frame[..len]);
            }
        }
        // An ICMP message of two bytes.
        let mut short = ECHO;
        short[17] = 22;
        let error = fill(&mut short).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ICMP checksum at byte 36 needs 4 bytes, only 2 are there"
        );
        assert_eq!(short[24..26], ECHO[24..26]);
    }

    mod partial {
        use super::super::*;
        use crate::proto::samples::{Fill, ICMPV6, Random, Sample, TCP, UDP, UDP_LITE};

        const TCP_AND_UDP: [(bool, u8); 4] = [(false, TCP), (false, UDP), (true, TCP), (true, UDP)];

        /// A message of up to 61 bytes right behind the IP header.
        fn simple(protocol: u8, is_ipv6: bool) -> Sample {
            let mut sample = Sample::random(&mut Random(7), is_ipv6, protocol);
            sample.cut(61);
            sample.tags = 0;
            sample.options = 0;
            sample.padding = 3;
            sample
        }

        /// Asserts that a frame stays as it is.
        fn stays(mut frame: Vec<u8>, completion: Completion) {
            let before = frame.clone();
            assert_eq!(complete(&mut frame), completion);
            assert_eq!(frame, before);
        }

        #[test]
        fn partial_checksums_become_the_full_ones() {
            let mut random = Random(1);
            for round in 0..1000 {
                for (is_ipv6, protocol) in TCP_AND_UDP {
                    let sample = Sample::random(&mut random, is_ipv6, protocol);
                    let mut frame = sample.frame(Fill::Partial);
                    assert_eq!(complete(&mut frame), Completion::Completed, "{sample:?}");
                    assert!(frame == sample.frame(Fill::Full), "{round} {sample:?}");
                }
            }
        }

        #[test]
        fn other_checksums_stay_right_or_wrong() {
            let mut random = Random(2);
            for _ in 0..300 {
                for (is_ipv6, protocol) in TCP_AND_UDP {
                    let sample = Sample::random(&mut random, is_ipv6, protocol);
                    let partial = sample.partial();
                    let other = u16::from_be_bytes([random.byte(), random.byte()]);
                    for value in [
                        0,
                        !partial,
                        partial ^ 1,
                        partial.swap_bytes(),
                        other,
                        sample.full(),
                    ] {
                        if value != partial {
                            stays(sample.frame(Fill::Value(value)), Completion::NotPartial);
                        }
                    }
                }
            }
        }

        #[test]
        fn full_checksums_that_look_partial_stay_and_wrong_ones_become_right() {
            for (is_ipv6, protocol) in TCP_AND_UDP {
                let mut sample = simple(protocol, is_ipv6);
                sample.coincide();
                stays(sample.frame(Fill::Full), Completion::NotPartial);

                let last = sample.message.len() - 1;
                sample.message[last] ^= 1;
                let mut damaged = sample.frame(Fill::Partial);
                assert_eq!(complete(&mut damaged), Completion::Completed);
                assert_eq!(damaged, sample.frame(Fill::Full));
            }
        }

        #[test]
        fn ffff_that_looks_partial_stays_where_zero_is_the_same() {
            for (is_ipv6, protocol) in TCP_AND_UDP {
                let mut sample = simple(protocol, is_ipv6);
                // With this end of the source address the pseudo header sums up to 0xffff, and then
                // with this source port the message does.
                let end = sample.source.len() - 2;
                sample.source[end..].fill(0);
                let word = !sample.partial();
                sample.source[end..].copy_from_slice(&word.to_be_bytes());
                assert_eq!(sample.partial(), 0xffff);
                sample.message[..2].fill(0);
                let port = sample.full();
                sample.message[..2].copy_from_slice(&port.to_be_bytes());
                assert_eq!(sample.full(), if protocol == TCP { 0 } else { 0xffff });
                stays(sample.frame(Fill::Value(0xffff)), Completion::NotPartial);
            }
        }

        #[test]
        fn a_udp_checksum_that_comes_out_as_zero_is_written_as_ffff() {
            let mut sample = simple(UDP, false);
            // With this source port the rest sums up to 0xffff.
            sample.message[..2].fill(0);
            let port = sample.full();
            sample.message[..2].copy_from_slice(&port.to_be_bytes());
            assert_eq!(sample.full(), 0xffff);
            let mut frame = sample.frame(Fill::Partial);
            assert_eq!(complete(&mut frame), Completion::Completed);
            assert_eq!(frame, sample.frame(Fill::Full));
        }

        #[test]
        fn fragments_stay_as_they_are() {
            for protocol in [TCP, UDP] {
                for flags in [0x2000_u16, 0x2001, 0x0001, 0x1fff] {
                    let mut frame = simple(protocol, false).frame(Fill::Partial);
                    frame[20..22].copy_from_slice(&flags.to_be_bytes());
                    stays(frame, Completion::NotRecognised);
                }
                let mut sample = simple(protocol, true);
                sample.options = 8;
                for (offset_and_flags, completion) in [
                    (0x0000_u16, Completion::Completed),
                    (0x0001, Completion::NotRecognised),
                    (0x0008, Completion::NotRecognised),
                    (0x0009, Completion::NotRecognised),
                ] {
                    let mut frame = sample.frame(Fill::Partial);
                    frame[20] = 44; // in place of the options
                    frame[56..58].copy_from_slice(&offset_and_flags.to_be_bytes());
                    if completion == Completion::Completed {
                        assert_eq!(complete(&mut frame), completion);
                    } else {
                        stays(frame, completion);
                    }
                }
            }
        }

        #[test]
        fn packets_for_another_station_than_the_sum_is_of_stay_as_they_are() {
            let mut sample = simple(TCP, true);
            sample.options = 8;
            let mut frame = sample.frame(Fill::Partial);
            frame[20] = 43;
            frame[57] = 1; // segments left
            // There is no address in that header.
            stays(frame.clone(), Completion::NotRecognised);
            frame[57] = 0;
            assert_eq!(complete(&mut frame), Completion::Completed);
            for kind in [0x83, 0x89] {
                let mut sample = simple(TCP, false);
                sample.options = 8;
                let mut frame = sample.frame(Fill::Partial);
                frame[34..42].copy_from_slice(&[1, kind, 7, 4, 10, 9, 8, 7]);
                // The sum would have to be of the last address.
                stays(frame.clone(), Completion::NotPartial);
                frame[37] = 8;
                assert_eq!(complete(&mut frame), Completion::Completed);
            }
        }

        #[test]
        fn other_protocols_stay_as_they_are() {
            for protocol in [1, ICMPV6, UDP_LITE, 47, 50, 132] {
                for is_ipv6 in [false, true] {
                    let sample = simple(protocol, is_ipv6);
                    stays(sample.frame(Fill::Partial), Completion::NotRecognised);
                }
            }
            let mut frame = simple(TCP, false).frame(Fill::Partial);
            frame[13] = 0x06;
            stays(frame, Completion::NotRecognised);
        }

        #[test]
        fn truncated_and_malformed_frames_stay_as_they_are() {
            for (is_ipv6, protocol) in TCP_AND_UDP {
                let mut sample = simple(protocol, is_ipv6);
                sample.tags = 2;
                sample.options = 16;
                let frame = sample.frame(Fill::Partial);
                for len in 0..frame.len() - sample.padding {
                    stays(frame[..len].to_vec(), Completion::NotRecognised);
                }
                // A data offset, or a UDP length, that cannot be.
                let mut frame = sample.frame(Fill::Partial);
                let at = sample.message_at() + if protocol == TCP { 12 } else { 4 };
                frame[at..at + 2].copy_from_slice(&[0x40, 0x00]);
                stays(frame, Completion::NotRecognised);
            }
        }

        #[test]
        fn a_udp_datagram_shorter_than_its_packet_is_summed_to_its_own_end() {
            let mut sample = simple(UDP, false);
            sample.padding = 0;
            let full = sample.frame(Fill::Full);
            let mut frame = sample.frame(Fill::Partial);
            frame.extend([0xaa; 4]);
            let len = u16::try_from(frame.len() - 14).unwrap();
            frame[16..18].copy_from_slice(&len.to_be_bytes());
            assert_eq!(complete(&mut frame), Completion::Completed);
            assert_eq!(frame[34..full.len()], full[34..]);
            assert_eq!(frame[full.len()..], [0xaa; 4]);
        }

        #[test]
        fn no_bytes_make_it_panic() {
            let mut random = Random(3);
            for _ in 0..5000 {
                let protocol = [TCP, UDP][random.below(2)];
                let is_ipv6 = random.below(2) == 1;
                let mut sample = Sample::random(&mut random, is_ipv6, protocol);
                sample.cut(60);
                let mut frame = sample.frame(Fill::Partial);
                for _ in 0..random.below(4) {
                    let at = random.below(frame.len().min(120));
                    frame[at] = random.byte();
                }
                frame.truncate(random.below(frame.len() + 1));
                let before = frame.clone();
                match complete(&mut frame) {
                    Completion::Completed => assert_eq!(frame.len(), before.len()),
                    Completion::NotPartial | Completion::NotRecognised => assert_eq!(frame, before),
                }
            }
        }
    }
}
