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
/// goes on. Whoever receives a partial checksum from another machine drops the packet.
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
    /// A routing header, or an option of IPv4, says where the packet really goes.
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
        let at = |place| ip.at.wrapping_add(place);
        if ip.is_ipv6 {
            let is_source_covered = !ip.has_home_address;
            for (ip, place, is_covered) in [
                (self.source_ip, 8, is_source_covered),
                // A packet of which the last station is elsewhere was refused.
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
mod tests;
