//! What can be read of headers and packets that are cut short.

#![forbid(unsafe_code)]

use zerocopy::FromBytes;

use super::walk::{Walk, ipv4_flags};
use super::{flag, offset};
use crate::proto::{IpProtocol, Ipv4, Ipv6};

impl Walk<'_> {
    /// An IPv4 header that ends with the frame: what is there of it, from its protocol on.
    #[cold]
    pub(super) fn cut_ipv4(&mut self, bytes: &[u8], at: usize) {
        let mut fixed = [0; Ipv4::LEN];
        for (to, from) in fixed.iter_mut().zip(bytes) {
            *to = *from;
        }
        let options_len = bytes.len().saturating_sub(Ipv4::LEN);
        let header = match Ipv4::ref_from_prefix_with_elems(bytes, options_len) {
            Ok((header, _)) => Some(header),
            Err(_) => Ipv4::ref_from_prefix_with_elems(&fixed, 0)
                .ok()
                .map(|(header, _)| header),
        };
        let Some(header) = header.filter(|_| bytes.len() >= 10) else {
            return;
        };
        let header_len = usize::from(fixed[0] & 0xf) * 4;
        // Whole headers, and lengths and versions that cannot be, are none of this.
        if fixed[0] >> 4 != 4 || header_len < Ipv4::LEN || header_len <= bytes.len() {
            return;
        }
        self.headers.flags |= ipv4_flags(header);
        self.headers.traffic_class = header.dscp() << 2 | header.ecn();
        self.headers.ttl = header.ttl();
        self.cut_packet(header.protocol(), at);
    }

    /// The same of IPv6, from the hop limit on.
    #[cold]
    pub(super) fn cut_ipv6(&mut self, bytes: &[u8], at: usize) {
        let mut fixed = [0; Ipv6::LEN];
        for (to, from) in fixed.iter_mut().zip(bytes) {
            *to = *from;
        }
        let (false, Ok((header, _))) = (bytes.len() < 8, Ipv6::ref_from_prefix(&fixed)) else {
            return;
        };
        if fixed[0] >> 4 != 6 || bytes.len() >= Ipv6::LEN {
            return;
        }
        self.headers.flags |= flag::IPV6;
        self.headers.traffic_class = header.dscp() << 2 | header.ecn();
        self.headers.ttl = header.hop_limit();
        self.cut_packet(header.next_header(), at);
    }

    /// A packet of which there is a part of the header alone.
    fn cut_packet(&mut self, protocol: IpProtocol, at: usize) {
        self.headers.l3 = offset(at);
        self.headers.protocol = protocol.0;
        self.headers.payload = self.headers.end;
    }

    /// A header that ends with the packet: ports, or type and code, if they are there.
    #[cold]
    pub(super) fn cut_message(&mut self, kind: u16, bytes: &[u8]) {
        let first = match *bytes {
            [a, b, c, d, ..] => [a, b, c, d],
            [a, b, ..] if kind == flag::ICMP => [a, b, 0, 0],
            _ => return,
        };
        self.starts_with(kind, first, self.frame.len());
    }
}

/// A header that is whole, of a packet that is not.
#[cold]
pub(super) fn whole_ipv4(bytes: &[u8]) -> Option<(&Ipv4, &[u8])> {
    let first = *bytes.first()?;
    let options_len = (usize::from(first & 0xf) * 4).checked_sub(Ipv4::LEN)?;
    if first >> 4 != 4 {
        return None;
    }
    Ipv4::ref_from_prefix_with_elems(bytes, options_len).ok()
}

/// A header that is whole, of a packet that is not.
#[cold]
pub(super) fn whole_ipv6(bytes: &[u8]) -> Option<(&Ipv6, &[u8])> {
    let (header, payload) = Ipv6::ref_from_prefix(bytes).ok()?;
    (*bytes.first()? >> 4 == 6).then_some((header, payload))
}
