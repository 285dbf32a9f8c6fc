//! The short way for the most frequent packet: TCP or UDP in a whole IPv4 packet without options, right behind the Ethernet header.

#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr};

use zerocopy::FromBytes;

use crate::proto::checksum::{self, Delta};
use crate::proto::nat::Rewrite;
use crate::proto::{EtherType, Ethernet, IpProtocol, Ipv4, Udp};

/// Changes what is to change; `None` for what needs the long way, which is then as it was.
///
/// Words are as this machine reads them from memory: to sums it is all the same (RFC 1071, section 2 (B)).
#[inline(always)]
pub(super) fn apply(rewrite: &Rewrite, frame: &mut [u8]) -> Option<()> {
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
    use crate::proto::MacAddr;
    use crate::proto::samples::{Fill, Random, Sample, TCP, UDP};

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
            match apply(&rewrite, &mut short) {
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
