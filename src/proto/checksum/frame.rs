//! All checksums of a frame at once.

#![forbid(unsafe_code)]

use super::{PseudoHeader, checksum, is_unfinished, nonzero};
use crate::proto::locate::Location;
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
/// VLAN tags, LLC with SNAP, MPLS labels, IPv4 options and IPv6 extension headers are passed over, padding is not summed. The pseudo header has the last station of
/// a packet that is source-routed (RFC 8200, section 8.1), and the home address of a mobile node (RFC 6275, section 11.3.1). Packets
/// within a tunnel, or quoted by an ICMP error, are data.
///
/// # Errors
///
/// A [`ParseError`] if headers are malformed.
pub fn verify(frame: &[u8]) -> Result<Verdict, ParseError> {
    let Some(location) = Location::find(frame)? else {
        return Ok(Verdict::Unknown);
    };
    let packet = frame.get(location.ip..).unwrap_or_default();
    if !location.is_ipv6 && !Ipv4::parse(packet)?.0.verify_checksum() {
        return Ok(Verdict::Wrong);
    }
    let (Some(message), Some(addresses)) = (Message::find(&location, frame)?, location.addresses)
    else {
        return Ok(Verdict::Unknown);
    };
    let is_udp = location.protocol == IpProtocol::UDP;
    Ok(match message.field(frame) {
        [0, 0] if is_udp && location.is_ipv6 => Verdict::Wrong,
        [0, 0] if is_udp => Verdict::Right,
        _ if message.sum(&location, addresses, frame) == 0 => Verdict::Right,
        _ if is_unfinished(&location, frame) => Verdict::Partial,
        _ => Verdict::Wrong,
    })
}

/// Writes the checksums of an Ethernet frame: that of the IPv4 header, and that of TCP, UDP, ICMP or ICMPv6 with its pseudo header.
/// Gives whether the message has one that can be written: fragments and other protocols have none, nor packets
/// with a routing header and segments left of which the last station is not known.
///
/// What is passed over and what is summed is told at [`verify`].
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
    let Some(location) = Location::find(frame)? else {
        return Ok(false);
    };
    let message = Message::find(&location, frame)?;
    if !location.is_ipv6 {
        let packet = frame.get_mut(location.ip..).unwrap_or_default();
        Ipv4::parse_mut(packet)?.0.fill_checksum();
    }
    let (Some(message), Some(addresses)) = (message, location.addresses) else {
        return Ok(false);
    };
    message.set(frame, 0);
    let sum = message.sum(&location, addresses, frame);
    let is_udp = location.protocol == IpProtocol::UDP;
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
    fn find(location: &Location, frame: &[u8]) -> Result<Option<Self>, ParseError> {
        if location.is_fragment {
            return Ok(None);
        }
        let start = location.message;
        let bytes = location.message(frame);
        let place = |error: ParseError| error.at(start);
        let (field, len) = match location.protocol {
            IpProtocol::TCP => {
                Tcp::parse(bytes).map_err(place)?;
                (16, bytes.len())
            }
            IpProtocol::UDP => {
                let (udp, _) = Udp::parse(bytes).map_err(place)?;
                (6, udp.length().into())
            }
            IpProtocol::ICMP if !location.is_ipv6 => icmp("ICMP", bytes).map_err(place)?,
            IpProtocol::ICMPV6 if location.is_ipv6 => icmp("ICMPv6", bytes).map_err(place)?,
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
    fn sum(self, location: &Location, addresses: PseudoHeader, frame: &[u8]) -> u16 {
        let bytes = frame.get(self.start..self.end).unwrap_or_default();
        if location.protocol == IpProtocol::ICMP {
            return checksum(bytes);
        }
        addresses.checksum(location.protocol, bytes)
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
}
