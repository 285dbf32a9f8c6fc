//! Changing addresses and ports of a whole frame, as load balancers and NAT do (RFC 3022).

#![forbid(unsafe_code)]

use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use zerocopy::FromBytes;

use crate::proto::checksum::{self, Delta};
use crate::proto::walk::IpPacket;
use crate::proto::{EtherType, Ethernet, IpProtocol, Ipv4, MacAddr, ParseError, Udp};

/// What to change in a frame: Ethernet addresses, IP addresses, ports. The rest stays as it is.
///
/// Checksums are adjusted, not computed anew (RFC 1624), so the payload is not read, and a packet
/// that was damaged before stays recognisably so. VLAN tags, LLC with SNAP, MPLS labels, IPv4 options
/// and IPv6 extension headers are passed over.
///
/// ```
/// use fluxcap::proto::nat::Rewrite;
///
/// # let mut frame = [
/// #     0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
/// #     0x45, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, // IPv4
/// #     0x26, 0xcc, 10, 0, 0, 1, 10, 0, 0, 2, //
/// #     0xc0, 0x00, 0x00, 0x35, 0x00, 0x0b, 0x54, 0x31, // UDP
/// #     b'd', b'n', b's',
/// # ];
/// let to_server_3 = Rewrite::new()
///     .destination_mac([0x02, 0, 0, 0, 0, 3].into())
///     .destination("10.0.0.3:5353".parse()?);
/// to_server_3.apply(&mut frame)?;
/// # assert_eq!(frame[36..38], 5353_u16.to_be_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Checksums that are not finished
///
/// A packet of a sender on the same machine may have a partial checksum, see
/// [`checksum::complete`]: the sum of the pseudo header, *not*
/// complemented. Then a new address adds its difference to the field instead of taking it off, and a
/// new port does not touch it: ports are no part of the pseudo header. A partial checksum stays
/// partial; completing it before or after the change gives the same packet.
///
/// If the field looks partial, as one in 65536 finished checksums does by coincidence, the message is
/// summed to know: a checksum that is right counts as finished. So no right packet becomes a wrong
/// one.
///
/// So a forwarder needs one call more: over veth, virtio and the like, [`checksum::complete`] each packet that came from this machine before it
/// goes on. A receiver on another machine drops packets with a partial checksum.
///
/// # What else is covered
///
/// - UDP's 0, "no checksum", stays 0; another checksum never becomes 0.
/// - Of fragments only the first has ports and checksum. Ports of later ones cannot be changed.
/// - The checksums of UDP-Lite, DCCP and ICMPv6 follow the addresses, too. Other protocols keep
///   their bytes: ICMP and SCTP do not cover addresses. Packets quoted inside ICMP errors stay.
/// - The source in the header of an IPv6 packet with a home address option (RFC 6275) changes, and no checksum with it: checksums cover
///   the home address, which stays.
/// - An authentication header (RFC 4302) covers addresses, so such packets do not survive this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "does nothing until applied"]
pub struct Rewrite {
    source_mac: Option<MacAddr>,
    destination_mac: Option<MacAddr>,
    source_ip: Option<IpAddr>,
    destination_ip: Option<IpAddr>,
    source_port: Option<u16>,
    destination_port: Option<u16>,
}

/// Why a frame was not changed. It is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RewriteError {
    /// The frame has no headers to change.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// Neither IPv4 nor IPv6, and more than the Ethernet addresses was to change.
    #[error("the frame carries no IP packet")]
    NotIp,
    /// The new address is of the other IP version than the packet.
    #[error("an IPv{packet} packet cannot have an address of the other version")]
    OtherVersion {
        /// The version of the packet, 4 or 6.
        packet: u8,
    },
    /// The protocol has no ports, or none whose checksum could follow.
    #[error("{0} has no ports that can be changed")]
    NoPorts(IpProtocol),
    /// Ports are in the first fragment alone.
    #[error("a later fragment has no ports")]
    LaterFragment,
    /// A routing header, or an option of IPv4, holds the final destination.
    #[error("a source-routed packet has its last destination elsewhere")]
    SourceRouted,
}

impl Rewrite {
    /// Changes nothing yet.
    #[inline]
    pub const fn new() -> Self {
        Self {
            source_mac: None,
            destination_mac: None,
            source_ip: None,
            destination_ip: None,
            source_port: None,
            destination_port: None,
        }
    }

    /// Sets the Ethernet source.
    #[inline]
    pub const fn source_mac(mut self, mac: MacAddr) -> Self {
        self.source_mac = Some(mac);
        self
    }

    /// Sets the Ethernet destination.
    #[inline]
    pub const fn destination_mac(mut self, mac: MacAddr) -> Self {
        self.destination_mac = Some(mac);
        self
    }

    /// Sets the IP source.
    #[inline]
    pub const fn source_ip(mut self, ip: IpAddr) -> Self {
        self.source_ip = Some(ip);
        self
    }

    /// Sets the IP destination.
    #[inline]
    pub const fn destination_ip(mut self, ip: IpAddr) -> Self {
        self.destination_ip = Some(ip);
        self
    }

    /// Sets the source port.
    #[inline]
    pub const fn source_port(mut self, port: u16) -> Self {
        self.source_port = Some(port);
        self
    }

    /// Sets the destination port.
    #[inline]
    pub const fn destination_port(mut self, port: u16) -> Self {
        self.destination_port = Some(port);
        self
    }

    /// Sets IP source and source port.
    #[inline]
    pub const fn source(self, address: SocketAddr) -> Self {
        self.source_ip(address.ip()).source_port(address.port())
    }

    /// Sets IP destination and destination port.
    #[inline]
    pub const fn destination(self, address: SocketAddr) -> Self {
        self.destination_ip(address.ip())
            .destination_port(address.port())
    }

    /// Changes an Ethernet frame.
    ///
    /// # Errors
    ///
    /// A [`RewriteError`] if not everything can be changed; then nothing is.
    #[inline]
    pub fn apply(&self, frame: &mut [u8]) -> Result<(), RewriteError> {
        match apply_plain(self, frame) {
            Some(()) => Ok(()),
            None => self.apply_any(frame),
        }
    }

    #[inline]
    const fn changes_ip(&self) -> bool {
        self.source_ip.is_some() || self.destination_ip.is_some()
    }

    #[inline]
    const fn changes_ports(&self) -> bool {
        self.source_port.is_some() || self.destination_port.is_some()
    }

    #[inline(never)]
    fn apply_any(&self, frame: &mut [u8]) -> Result<(), RewriteError> {
        if self.changes_ip() || self.changes_ports() {
            let ip = IpPacket::find(frame)?.ok_or(RewriteError::NotIp)?;
            self.change_at(&ip, frame)?;
        }
        let (ethernet, _) = Ethernet::parse_mut(frame)?;
        self.change_macs(ethernet);
        Ok(())
    }

    #[inline]
    fn change_macs(&self, ethernet: &mut Ethernet) {
        if let Some(mac) = self.source_mac {
            ethernet.set_source(mac);
        }
        if let Some(mac) = self.destination_mac {
            ethernet.set_destination(mac);
        }
    }

    #[inline]
    fn change_at(&self, ip: &IpPacket, frame: &mut [u8]) -> Result<(), RewriteError> {
        // All that can go wrong comes before the first change.
        self.check(ip)?;
        let field = Field::find(ip, frame)?;
        let addresses = self.change_addresses(ip, frame);
        if let Some(field) = field {
            let ports = self.change_ports(ip, frame);
            field.adjust(frame, addresses, ports);
        }
        Ok(())
    }

    /// Whether what is to change is there.
    #[inline]
    fn check(&self, ip: &IpPacket) -> Result<(), RewriteError> {
        let other = |address: Option<IpAddr>| {
            address.is_some_and(|address| address.is_ipv6() != ip.is_ipv6)
        };
        if other(self.source_ip) || other(self.destination_ip) {
            let packet = if ip.is_ipv6 { 6 } else { 4 };
            return Err(RewriteError::OtherVersion { packet });
        }
        if ip.is_source_routed && self.destination_ip.is_some() {
            return Err(RewriteError::SourceRouted);
        }
        if self.changes_ports() {
            if !has_ports(ip.protocol) {
                return Err(RewriteError::NoPorts(ip.protocol));
            }
            if ip.is_later_fragment {
                return Err(RewriteError::LaterFragment);
            }
        }
        Ok(())
    }

    /// Changes the IP header and its checksum.
    #[inline]
    fn change_addresses(&self, ip: &IpPacket, frame: &mut [u8]) -> Delta {
        let mut delta = Delta::default();
        // Where the fields are stands at `Ipv4` and `Ipv6`.
        let at = |place| ip.start.wrapping_add(place);
        if ip.is_ipv6 {
            let is_source_covered = !ip.has_home_address;
            for (ip, place, is_covered) in [
                (self.source_ip, 8, is_source_covered),
                // A packet of which the final destination is elsewhere was refused.
                (self.destination_ip, 24, true),
            ] {
                if let Some(IpAddr::V6(new)) = ip {
                    let old = replace(frame, at(place), new.octets());
                    if is_covered {
                        delta.add_u128(u128::from_be_bytes(old), new.to_bits());
                    }
                }
            }
            return delta;
        }
        for (ip, place) in [(self.source_ip, 12), (self.destination_ip, 16)] {
            if let Some(IpAddr::V4(new)) = ip {
                let old = replace(frame, at(place), new.octets());
                delta.add_u32(u32::from_be_bytes(old), new.to_bits());
            }
        }
        if let (true, Some(checksum)) = (self.changes_ip(), bytes_at(frame, at(10))) {
            let old = u16::from_be_bytes(*checksum);
            *checksum = delta.update(old).to_be_bytes();
        }
        delta
    }

    /// Changes the ports, with which the message starts.
    #[inline]
    fn change_ports(&self, ip: &IpPacket, frame: &mut [u8]) -> Delta {
        let mut delta = Delta::default();
        for (port, place) in [(self.source_port, 0), (self.destination_port, 2)] {
            if let Some(new) = port {
                let at = ip.message.wrapping_add(place);
                let old = replace(frame, at, new.to_be_bytes());
                delta.add_u16(u16::from_be_bytes(old), new);
            }
        }
        delta
    }
}

#[inline]
const fn has_ports(protocol: IpProtocol) -> bool {
    matches!(
        protocol,
        IpProtocol::TCP | IpProtocol::UDP | IpProtocol::DCCP | IpProtocol::UDP_LITE
    )
}

#[inline]
fn bytes_at<const LEN: usize>(frame: &mut [u8], at: usize) -> Option<&mut [u8; LEN]> {
    frame.get_mut(at..)?.first_chunk_mut()
}

/// Puts bytes into the frame, and gives those that were there.
#[inline]
fn replace<const LEN: usize>(frame: &mut [u8], at: usize, new: [u8; LEN]) -> [u8; LEN] {
    match bytes_at(frame, at) {
        Some(place) => mem::replace(place, new),
        None => new, // not where a header was found
    }
}

/// A checksum that covers the addresses.
#[derive(Debug, Clone, Copy)]
struct Field {
    /// Where it is in the frame.
    at: usize,
    /// Whether 0 stands for none.
    is_optional: bool,
    is_partial: bool,
}

impl Field {
    /// `None` if the message has none.
    #[inline]
    fn find(ip: &IpPacket, frame: &[u8]) -> Result<Option<Self>, ParseError> {
        let (protocol, at) = match ip.protocol {
            _ if ip.is_later_fragment => return Ok(None),
            IpProtocol::TCP => ("TCP", 16),
            IpProtocol::UDP => ("UDP", 6),
            IpProtocol::DCCP => ("DCCP", 6),
            IpProtocol::UDP_LITE => ("UDP-Lite", 6),
            IpProtocol::ICMPV6 if ip.is_ipv6 => ("ICMPv6", 2),
            _ => return Ok(None),
        };
        let available = ip.message(frame).len();
        let needed = at + 2;
        if available < needed {
            let place = (protocol, "checksum", at);
            return Err(ParseError::truncated(place, needed, available).at(ip.message));
        }
        Ok(Some(Self {
            at: ip.message.wrapping_add(at),
            is_optional: ip.protocol == IpProtocol::UDP,
            is_partial: checksum::is_unfinished(ip, frame),
        }))
    }

    #[inline]
    fn adjust(self, frame: &mut [u8], addresses: Delta, ports: Delta) {
        let Some(place) = bytes_at(frame, self.at) else {
            return; // it was there before
        };
        let old = u16::from_be_bytes(*place);
        let new = if self.is_partial {
            addresses.update_sum(old)
        } else if !self.is_optional {
            addresses.and(ports).update(old)
        } else if old != 0 {
            checksum::nonzero(addresses.and(ports).update(old))
        } else {
            0
        };
        *place = new.to_be_bytes();
    }
}

/// The fast path for the most frequent packet: TCP or UDP in a whole IPv4 packet without options, right behind the Ethernet header.
///
/// Changes what is to change; `None` for what needs the long way, which is then as it was.
///
/// Words are as this machine reads them from memory: to sums it is all the same (RFC 1071, section 2 (B)).
#[inline(always)]
fn apply_plain(rewrite: &Rewrite, frame: &mut [u8]) -> Option<()> {
    let source = version_4(rewrite.source_ip)?;
    let destination = version_4(rewrite.destination_ip)?;
    if source.is_none() && destination.is_none() && !rewrite.changes_ports() {
        return None;
    }
    let (ethernet, packet) = Ethernet::parse_mut(frame).ok()?;
    if ethernet.ether_type() != EtherType::IPV4 || packet.first() != Some(&0x45) {
        return None;
    }
    let (ip, behind) = Ipv4::mut_from_prefix_with_elems(packet, 0).ok()?;
    let len = ip.total_length().checked_sub(Ipv4::LEN as u16)?;
    let message = behind.get_mut(..len.into())?;
    if ip.is_fragment() {
        return None;
    }
    let protocol = ip.protocol();
    let is_udp = protocol == IpProtocol::UDP;
    let (ports, field) = match protocol {
        IpProtocol::TCP => ports_and_checksum::<18>(message)?,
        IpProtocol::UDP if Udp::ref_from_prefix(message).ok()?.0.length() == len => {
            ports_and_checksum::<8>(message)?
        }
        _ => return None,
    };
    let old = u16::from_ne_bytes(*field);
    if u16::from_be(old) == ip.pseudo_header().partial(protocol, len.into()) {
        return None; // partial, or by coincidence not
    }

    let mut delta = Delta::default();
    if let Some(new) = source {
        delta.add_u32(pair(ip.source()), pair(new));
        ip.set_source(new);
    }
    if let Some(new) = destination {
        delta.add_u32(pair(ip.destination()), pair(new));
        ip.set_destination(new);
    }
    if source.is_some() || destination.is_some() {
        let new = delta.update(ip.header_checksum().to_be());
        ip.set_header_checksum(u16::from_be(new));
    }
    let [a, b, c, d] = ports;
    for (port, [high, low]) in [
        (rewrite.source_port, [a, b]),
        (rewrite.destination_port, [c, d]),
    ] {
        if let Some(new) = port {
            delta.add_u16(u16::from_ne_bytes([*high, *low]), new.to_be());
            [*high, *low] = new.to_be_bytes();
        }
    }
    if !is_udp {
        *field = delta.update(old).to_ne_bytes();
    } else if old != 0 {
        *field = checksum::nonzero(delta.update(old)).to_ne_bytes();
    }
    rewrite.change_macs(ethernet);
    Some(())
}

/// The address if it is one of IPv4, or there is none; `None` if it is one of IPv6.
#[inline]
const fn version_4(ip: Option<IpAddr>) -> Option<Option<Ipv4Addr>> {
    match ip {
        None => Some(None),
        Some(IpAddr::V4(address)) => Some(Some(address)),
        Some(IpAddr::V6(_)) => None,
    }
}

/// What starts a message of TCP or UDP, up to the checksum, which is at the end of `LEN` bytes.
#[inline]
fn ports_and_checksum<const LEN: usize>(
    message: &mut [u8],
) -> Option<(&mut [u8; 4], &mut [u8; 2])> {
    let start: &mut [u8; LEN] = message.first_chunk_mut()?;
    let (ports, rest) = start.split_first_chunk_mut()?;
    Some((ports, rest.last_chunk_mut()?))
}

#[inline]
const fn pair(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::checksum::{Completion, complete};
    use crate::proto::samples::{DCCP, Fill, ICMPV6, Random, Sample, TCP, UDP, UDP_LITE};

    /// Every kind of message whose checksum covers addresses.
    const COVERED: [(bool, u8); 9] = [
        (false, TCP),
        (false, UDP),
        (false, UDP_LITE),
        (false, DCCP),
        (true, TCP),
        (true, UDP),
        (true, UDP_LITE),
        (true, DCCP),
        (true, ICMPV6),
    ];

    fn address(bytes: &[u8]) -> IpAddr {
        match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes).unwrap().into(),
            _ => <[u8; 16]>::try_from(bytes).unwrap().into(),
        }
    }

    /// Changes drawn by lot, and the sample as it should be afterwards.
    fn any_change(random: &mut Random, sample: &Sample) -> (Rewrite, Sample) {
        let mut rewrite = Rewrite::new();
        let mut changed = sample.clone();
        let len = sample.source.len();
        if random.below(2) == 0 {
            changed.source = random.bytes(len);
            rewrite = rewrite.source_ip(address(&changed.source));
        }
        if random.below(2) == 0 {
            changed.destination = random.bytes(len);
            rewrite = rewrite.destination_ip(address(&changed.destination));
        }
        if sample.protocol != ICMPV6 {
            if random.below(2) == 0 {
                let port = random.bytes(2);
                changed.message[..2].copy_from_slice(&port);
                rewrite = rewrite.source_port(u16::from_be_bytes([port[0], port[1]]));
            }
            if random.below(2) == 0 {
                let port = random.bytes(2);
                changed.message[2..4].copy_from_slice(&port);
                rewrite = rewrite.destination_port(u16::from_be_bytes([port[0], port[1]]));
            }
        }
        (rewrite, changed)
    }

    /// Asserts that a frame cannot be changed, and is not.
    fn refuses(rewrite: Rewrite, mut frame: Vec<u8>, error: RewriteError) {
        let before = frame.clone();
        assert_eq!(rewrite.apply(&mut frame), Err(error));
        assert_eq!(frame, before);
    }

    fn simple(protocol: u8, is_ipv6: bool) -> Sample {
        let mut sample = Sample::random(&mut Random(5), is_ipv6, protocol);
        sample.cut(61);
        sample.tags = 0;
        sample.options = 0;
        sample
    }

    fn everything(is_ipv6: bool) -> Rewrite {
        let (source, destination) = if is_ipv6 {
            ("[2001:db8::77]:1234", "[2001:db8::88]:5678")
        } else {
            ("192.0.2.77:1234", "198.51.100.88:5678")
        };
        Rewrite::new()
            .source_mac(MacAddr([2, 0, 0, 0, 0, 7]))
            .destination_mac(MacAddr([2, 0, 0, 0, 0, 8]))
            .source(source.parse().unwrap())
            .destination(destination.parse().unwrap())
    }

    #[test]
    fn adjusted_checksums_are_what_new_ones_would_be() {
        let mut random = Random(11);
        for round in 0..600 {
            for (is_ipv6, protocol) in COVERED {
                let sample = Sample::random(&mut random, is_ipv6, protocol);
                let (rewrite, changed) = any_change(&mut random, &sample);
                let mut frame = sample.frame(Fill::Full);
                rewrite.apply(&mut frame).unwrap();
                assert!(
                    frame == changed.frame(Fill::Full),
                    "{round} {rewrite:?} {sample:?}"
                );
            }
        }
    }

    #[test]
    fn partial_checksums_stay_partial() {
        let mut random = Random(12);
        for round in 0..600 {
            for (is_ipv6, protocol) in [(false, TCP), (false, UDP), (true, TCP), (true, UDP)] {
                let sample = Sample::random(&mut random, is_ipv6, protocol);
                if sample.partial() == sample.full() {
                    continue;
                }
                let (rewrite, changed) = any_change(&mut random, &sample);
                let mut frame = sample.frame(Fill::Partial);
                rewrite.apply(&mut frame).unwrap();
                assert!(
                    frame == changed.frame(Fill::Partial),
                    "{round} {rewrite:?} {sample:?}"
                );
                // In either order.
                assert_eq!(complete(&mut frame), Completion::Completed);
                let mut other = sample.frame(Fill::Partial);
                complete(&mut other);
                rewrite.apply(&mut other).unwrap();
                assert_eq!(frame, other);
                assert!(frame == changed.frame(Fill::Full));
            }
        }
    }

    #[test]
    fn a_new_port_does_not_touch_a_partial_checksum() {
        let sample = simple(TCP, false);
        let mut frame = sample.frame(Fill::Partial);
        let before = frame.clone();
        let ports = Rewrite::new().source_port(1).destination_port(2);
        ports.apply(&mut frame).unwrap();
        assert_eq!(frame[34..38], [0, 1, 0, 2]);
        assert_eq!(frame[38..], before[38..]);
    }

    #[test]
    fn a_full_checksum_that_looks_partial_is_adjusted_as_full() {
        for (is_ipv6, protocol) in [(false, TCP), (false, UDP), (true, TCP), (true, UDP)] {
            let mut sample = simple(protocol, is_ipv6);
            sample.coincide();
            let mut changed = sample.clone();
            changed.source.reverse();
            changed.source[0] ^= 0x5a;
            changed.message[2..4].copy_from_slice(&[0xab, 0xcd]);
            let mut frame = sample.frame(Fill::Full);
            Rewrite::new()
                .source_ip(address(&changed.source))
                .destination_port(0xabcd)
                .apply(&mut frame)
                .unwrap();
            assert_eq!(frame, changed.frame(Fill::Full));
        }
    }

    #[test]
    fn wrong_checksums_stay_wrong() {
        let mut random = Random(13);
        for _ in 0..400 {
            for (is_ipv6, protocol) in COVERED {
                let sample = Sample::random(&mut random, is_ipv6, protocol);
                let wrong = sample.full() ^ 0x0100;
                if wrong == sample.partial() || wrong == 0 {
                    continue;
                }
                let (rewrite, changed) = any_change(&mut random, &sample);
                let mut frame = sample.frame(Fill::Value(wrong));
                rewrite.apply(&mut frame).unwrap();
                assert!(frame != changed.frame(Fill::Full), "{sample:?}");
            }
        }
    }

    #[test]
    fn no_udp_checksum_stays_none() {
        let mut random = Random(14);
        for round in 0..400 {
            let sample = Sample::random(&mut random, round % 2 == 1, UDP);
            let (rewrite, changed) = any_change(&mut random, &sample);
            let mut frame = sample.frame(Fill::Value(0));
            rewrite.apply(&mut frame).unwrap();
            assert!(frame == changed.frame(Fill::Value(0)), "{sample:?}");
        }
    }

    #[test]
    fn a_udp_checksum_never_becomes_none() {
        let before = simple(UDP, false).frame(Fill::Full);
        let mut zeros = 0;
        for port in 0..=u16::MAX {
            let mut frame = before.clone();
            Rewrite::new().source_port(port).apply(&mut frame).unwrap();
            assert_ne!(frame[40..42], [0, 0]);
            zeros += u32::from(frame[40..42] == [0xff, 0xff]);
        }
        assert!(zeros > 0);
    }

    #[test]
    fn ethernet_addresses_change_in_frames_of_any_kind() {
        let mut frame = vec![0xee; 20];
        let macs = Rewrite::new()
            .source_mac(MacAddr([2, 0, 0, 0, 0, 7]))
            .destination_mac(MacAddr::BROADCAST);
        macs.apply(&mut frame).unwrap();
        let ethernet = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7];
        assert_eq!(frame[..12], ethernet);
        assert_eq!(frame[12..], [0xee; 8]);
        let error = macs.apply(&mut [0; 13]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Ethernet header at byte 0 needs 14 bytes, only 13 are there"
        );
    }

    #[test]
    fn a_change_of_everything_is_one() {
        let mut frame = simple(TCP, false).frame(Fill::Full);
        everything(false).apply(&mut frame).unwrap();
        assert_eq!(frame[..12], [2, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0, 7]);
        assert_eq!(frame[26..34], [192, 0, 2, 77, 198, 51, 100, 88]);
        assert_eq!(frame[34..38], [0x04, 0xd2, 0x16, 0x2e]);
    }

    #[test]
    fn protocols_without_addresses_in_their_checksum_keep_their_bytes() {
        for protocol in [1, 47, 132] {
            let sample = simple(protocol, false);
            let mut changed = sample.clone();
            changed.source = vec![192, 0, 2, 1];
            let mut frame = sample.frame(Fill::Value(0x1234));
            let source = Rewrite::new().source_ip(address(&changed.source));
            source.apply(&mut frame).unwrap();
            assert_eq!(frame, changed.frame(Fill::Value(0x1234)));
        }
    }

    #[test]
    fn later_fragments_change_their_addresses_alone() {
        let sample = simple(UDP, false);
        let mut frame = sample.frame(Fill::Full);
        frame[20..22].copy_from_slice(&[0x20, 0x10]);
        let (ip, _) = Ipv4::parse_mut(&mut frame[14..]).unwrap();
        ip.fill_checksum();
        refuses(
            everything(false),
            frame.clone(),
            RewriteError::LaterFragment,
        );
        let before = frame.clone();
        let destination = Rewrite::new().destination_ip(address(&[192, 0, 2, 9]));
        destination.apply(&mut frame).unwrap();
        let (ip, message) = Ipv4::parse(&frame[14..]).unwrap();
        assert!(ip.verify_checksum());
        assert_eq!(ip.destination().octets(), [192, 0, 2, 9]);
        assert_eq!(message, &before[34..34 + message.len()]);
    }

    #[test]
    fn the_first_fragment_counts_as_finished() {
        let sample = simple(UDP, false);
        let mut frame = sample.frame(Fill::Partial);
        frame[20] = 0x20; // more fragments
        let before = u16::from_be_bytes([frame[40], frame[41]]);
        Rewrite::new().source_port(0).apply(&mut frame).unwrap();
        let old_port = u16::from_be_bytes([sample.message[0], sample.message[1]]);
        let after = u16::from_be_bytes([frame[40], frame[41]]);
        assert_eq!(after, checksum::update(before, old_port, 0));
    }

    #[test]
    fn what_cannot_change_is_refused_and_stays() {
        let mut arp = simple(TCP, false).frame(Fill::Full);
        arp[13] = 0x06;
        refuses(everything(false), arp, RewriteError::NotIp);
        for (is_ipv6, packet) in [(false, 4), (true, 6)] {
            let frame = simple(TCP, is_ipv6).frame(Fill::Full);
            let error = RewriteError::OtherVersion { packet };
            refuses(everything(!is_ipv6), frame, error);
        }
        let icmp = simple(1, false).frame(Fill::Full);
        let error = RewriteError::NoPorts(IpProtocol::ICMP);
        assert_eq!(error.to_string(), "ICMP has no ports that can be changed");
        refuses(everything(false), icmp, error);

        let mut routed = simple(TCP, true);
        routed.options = 8;
        let mut routed = routed.frame(Fill::Full);
        routed[20] = 43;
        routed[57] = 1;
        refuses(everything(true), routed.clone(), RewriteError::SourceRouted);
        let source = Rewrite::new().source_ip(address(&[0x20; 16]));
        assert_eq!(source.apply(&mut routed), Ok(()));

        // The checksum covers the address in the option, not that in the header.
        let mut routed = simple(TCP, false);
        routed.options = 8;
        let mut routed = routed.frame(Fill::Full);
        routed[34..42].copy_from_slice(&[0x83, 7, 4, 10, 9, 8, 7, 0]);
        refuses(
            everything(false),
            routed.clone(),
            RewriteError::SourceRouted,
        );
        let source = Rewrite::new().source_ip(address(&[0x20; 4]));
        assert_eq!(source.apply(&mut routed), Ok(()));
        // At its end, it is as all others.
        routed[36] = 8;
        assert_eq!(everything(false).apply(&mut routed), Ok(()));
    }

    #[test]
    fn truncated_frames_are_refused_and_stay() {
        for (is_ipv6, protocol) in COVERED {
            let mut sample = simple(protocol, is_ipv6);
            sample.tags = 1;
            sample.options = 8;
            sample.padding = 0;
            let rewrite = Rewrite::new().source_ip(address(&vec![9; sample.source.len()]));
            let frame = sample.frame(Fill::Full);
            for len in 0..frame.len() {
                let mut frame = frame[..len].to_vec();
                let before = frame.clone();
                let error = rewrite.apply(&mut frame).unwrap_err();
                assert!(matches!(error, RewriteError::Parse(_)), "{error}");
                assert_eq!(frame, before);
            }
            // A packet that ends before the checksum does.
            sample.message.truncate(sample.checksum_at() + 2);
            let mut frame = sample.frame(Fill::Value(0));
            frame.pop();
            let at = sample.ip_at() + if is_ipv6 { 5 } else { 3 };
            frame[at] -= 1;
            let error = rewrite.apply(&mut frame).unwrap_err();
            assert!(error.to_string().contains("bytes, only"), "{error}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut random = Random(15);
        for _ in 0..5000 {
            let (is_ipv6, protocol) = COVERED[random.below(COVERED.len())];
            let mut sample = Sample::random(&mut random, is_ipv6, protocol);
            sample.cut(60);
            let (rewrite, _) = any_change(&mut random, &sample);
            let mut frame = sample.frame(Fill::Full);
            for _ in 0..random.below(4) {
                let at = random.below(frame.len());
                frame[at] = random.byte();
            }
            frame.truncate(random.below(frame.len() + 1));
            let before = frame.clone();
            if rewrite.apply(&mut frame).is_err() {
                assert_eq!(frame, before);
            }
        }
    }

    fn changes(random: &mut Random) -> Rewrite {
        let ip = |byte| IpAddr::from([192, 0, byte, 1]);
        let mut rewrite = Rewrite::new().source_mac(MacAddr([2; 6]));
        if random.below(2) == 0 {
            rewrite = rewrite.source_ip(ip(random.byte()));
        }
        if random.below(2) == 0 {
            rewrite = rewrite.destination_ip(ip(random.byte()));
        }
        if random.below(2) == 0 {
            rewrite = rewrite.source_port(random.byte().into());
        }
        if random.below(2) == 0 {
            rewrite = rewrite.destination_port(random.byte().into());
        }
        rewrite
    }

    #[test]
    fn the_short_way_does_what_the_long_one_does_or_nothing() {
        let mut random = Random(51);
        let mut done = 0;
        for round in 0..20_000 {
            let protocol = [TCP, UDP][round % 2];
            let mut sample = Sample::random(&mut random, round % 5 == 0, protocol);
            sample.cut(60);
            sample.tags = random.below(2);
            let fill = [Fill::Full, Fill::Full, Fill::Partial, Fill::Value(0)];
            let mut frame = sample.frame(fill[random.below(fill.len())]);
            for _ in 0..random.below(3) {
                let at = random.below(42);
                frame[at] = random.byte();
            }
            frame.truncate(random.below(3 * frame.len()));
            let rewrite = changes(&mut random);
            let (mut short, mut long) = (frame.clone(), frame.clone());
            match apply_plain(&rewrite, &mut short) {
                None => assert_eq!(short, frame),
                Some(()) => {
                    rewrite.apply_any(&mut long).unwrap();
                    assert_eq!(short, long, "{rewrite:?}");
                    done += 1;
                }
            }
        }
        assert!(done > 1000, "{done}");
    }
}
