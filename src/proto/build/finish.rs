//! The end: lengths and checksums, from the innermost layer to the outermost.

#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

use super::place::{Kind, Layer};
use super::{BuildError, BuildFault, FrameBuilder};
use crate::proto::checksum::{self, PseudoHeader};
use crate::proto::{IpProtocol, Ipv4, Ipv4Option, Ipv4Options};

/// The longest packet an Ethernet length field tells of; more is an ether type.
const MOST_IN_802_3: usize = 1500;

impl<'a> FrameBuilder<'a> {
    #[inline]
    pub(super) fn complete(mut self) -> Result<&'a mut [u8], BuildError> {
        let end = self.len;
        let layers = self.layers;
        let mut open = layers.get(..self.layer_count).unwrap_or_default();
        while let [outer @ .., layer] = open {
            self.complete_layer(outer, *layer)?;
            open = outer;
        }
        if let Some(missing) = self.least_len.checked_sub(end) {
            self.claim("padding", missing)?.fill(0);
        }
        let (buffer, len) = (self.buffer, self.len);
        Ok(buffer.get_mut(..len).unwrap_or_default())
    }

    #[inline]
    fn complete_layer(&mut self, outer: &[Layer], layer: Layer) -> Result<(), BuildError> {
        let start = layer.start as usize;
        match layer.kind {
            Kind::Llc => {
                let length = self.length_of("Ethernet", start, MOST_IN_802_3)?;
                self.patch(start.wrapping_sub(2), length.to_be_bytes());
            }
            Kind::Ipv4 => {
                let length = self.length_of("IPv4", start, u16::MAX.into())?;
                self.patch(start.wrapping_add(2), length.to_be_bytes());
                let checksum = checksum::checksum(ipv4_header(self.written_from(start)));
                self.patch(start.wrapping_add(10), checksum.to_be_bytes());
            }
            Kind::Ipv6 => {
                let payload = start.wrapping_add(40);
                let length = self.length_of("IPv6", payload, u16::MAX.into())?;
                self.patch(start.wrapping_add(4), length.to_be_bytes());
            }
            Kind::Routing => {}
            Kind::Udp | Kind::UdpWithoutChecksum => {
                let length = self.length_of("UDP", start, u16::MAX.into())?;
                self.patch(start.wrapping_add(4), length.to_be_bytes());
                if layer.kind == Kind::Udp {
                    let checksum = self.sum_with_addresses(outer, IpProtocol::UDP, start);
                    let checksum = checksum::nonzero(checksum);
                    self.patch(start.wrapping_add(6), checksum.to_be_bytes());
                }
            }
            Kind::Tcp => {
                let checksum = self.sum_with_addresses(outer, IpProtocol::TCP, start);
                self.patch(start.wrapping_add(16), checksum.to_be_bytes());
            }
            Kind::Icmpv6 => {
                let checksum = self.sum_with_addresses(outer, IpProtocol::ICMPV6, start);
                self.patch(start.wrapping_add(2), checksum.to_be_bytes());
            }
            Kind::Icmp => {
                let checksum = checksum::checksum(self.written_from(start));
                self.patch(start.wrapping_add(2), checksum.to_be_bytes());
            }
            Kind::Gre => {
                let checksum = checksum::checksum(self.written_from(start));
                self.patch(start.wrapping_add(4), checksum.to_be_bytes());
            }
        }
        Ok(())
    }

    /// All that is written from `start` on.
    #[inline]
    fn written_from(&self, start: usize) -> &[u8] {
        self.buffer.get(start..self.len).unwrap_or_default()
    }

    /// How much that is, if a field can hold it.
    #[inline]
    fn length_of(&self, step: &'static str, start: usize, most: usize) -> Result<u16, BuildError> {
        let length = self.len.wrapping_sub(start);
        match u16::try_from(length) {
            Ok(short) if length <= most => Ok(short),
            _ => Err(BuildError::new(step, BuildFault::TooLong { length, most })),
        }
    }

    /// Checksum of the message at `start` and of the IP addresses around it.
    #[inline]
    fn sum_with_addresses(&self, outer: &[Layer], protocol: IpProtocol, start: usize) -> u16 {
        let message = self.written_from(start);
        self.addresses(outer).checksum(protocol, message)
    }

    /// Of the innermost of these IP layers.
    #[inline]
    fn addresses(&self, layers: &[Layer]) -> PseudoHeader {
        let mut last = None;
        for layer in layers.iter().rev() {
            let header = self.written_from(layer.start as usize);
            match layer.kind {
                Kind::Routing => last = last.or_else(|| last_destination(header)),
                Kind::Ipv4 => {
                    let source = Ipv4Addr::from(octets(header, 12));
                    let destination = || octets(header, 16).into();
                    let last = last_of_source_route(header);
                    return PseudoHeader::ipv4(source, last.unwrap_or_else(destination));
                }
                Kind::Ipv6 => {
                    let source = Ipv6Addr::from(octets::<16>(header, 8));
                    let destination = last.unwrap_or_else(|| octets(header, 24));
                    return PseudoHeader::ipv6(source, destination.into());
                }
                _ => {}
            }
        }
        // The order of steps puts an IP layer around every message.
        PseudoHeader::ipv4(Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED)
    }
}

/// The IPv4 header at the start of `bytes`.
#[inline]
fn ipv4_header(bytes: &[u8]) -> &[u8] {
    let words = bytes.first().map_or(0, |first| first & 0xf);
    bytes.get(..usize::from(words) * 4).unwrap_or_default()
}

/// Where a packet goes in the end whose options prescribe routers that it has yet to pass: checksums cover that (RFC 9293,
/// section 3.1).
#[inline]
fn last_of_source_route(packet: &[u8]) -> Option<Ipv4Addr> {
    let options = ipv4_header(packet).get(Ipv4::LEN..)?;
    if options.is_empty() {
        return None;
    }
    Ipv4Options::new(options).find_map(|option| match option {
        Ok(Ipv4Option::LooseSourceRoute(route) | Ipv4Option::StrictSourceRoute(route)) => {
            let last = route
                .slots
                .last()
                .filter(|_| route.done() < route.slots.len());
            last.map(|&last| last.into())
        }
        _ => None,
    })
}

/// Where the packet behind this routing header goes in the end.
fn last_destination(header: &[u8]) -> Option<[u8; 16]> {
    let &[_, units, routing_type, ..] = header else {
        return None;
    };
    let address = match routing_type {
        // The last of the list.
        0 => (usize::from(units) * 8).wrapping_sub(8),
        // The home address; the first segment, since the list is in reverse.
        _ => 8,
    };
    header.get(address..)?.first_chunk().copied()
}

#[inline]
fn octets<const LEN: usize>(header: &[u8], at: usize) -> [u8; LEN] {
    let octets = header.get(at..).and_then(|rest| rest.first_chunk());
    octets.copied().unwrap_or([0; LEN])
}
