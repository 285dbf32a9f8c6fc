//! From header to header, whatever comes.

#![forbid(unsafe_code)]

use super::cut::{whole_ipv4, whole_ipv6};
use super::{Headers, Parser, flag, offset};
use crate::proto::locate::snap;
use crate::proto::{
    EtherType, Ethernet, IpProtocol, Ipv4, Ipv6, Mpls, ParseError, Tcp, Udp, UpperLayer, Vlan,
};

/// A frame, and what is known of it so far.
pub(super) struct Walk<'a> {
    /// Up to where the packet ends.
    pub(super) frame: &'a [u8],
    /// Whether to read on where a packet is longer than the frame.
    is_partial: bool,
    parser: &'a Parser<'a>,
    pub(super) headers: Headers,
}

// No offset is beyond the frame, so that no sum of a few of them wraps.
impl<'a> Walk<'a> {
    pub(super) fn new(frame: &'a [u8], parser: &'a Parser<'a>, is_partial: bool) -> Self {
        let end = offset(frame.len());
        let headers = Headers {
            start: 0,
            l3: 0,
            l4: 0,
            payload: 0,
            payload_end: end,
            end,
            ether_type: 0,
            outer_tag: 0,
            inner_tag: 0,
            flags: 0,
            traffic_class: 0,
            ttl: 0,
            protocol: 0,
            tcp_flags: 0,
            first: [0; 4],
            vlan_tags: 0,
            mpls_labels: 0,
            tunnel: None,
        };
        Self {
            frame,
            is_partial,
            parser,
            headers,
        }
    }

    /// What was found, of which `error` is the first thing wrong.
    pub(super) fn finish(mut self, error: Option<ParseError>) -> (Headers, Option<ParseError>) {
        if error.is_some() {
            self.headers.flags |= flag::PARTIAL;
        }
        (self.headers, error)
    }

    fn rest(&self, at: usize) -> &'a [u8] {
        self.frame.get(at..).unwrap_or_default()
    }

    /// The packet ends here.
    fn end_at(&mut self, end: usize) {
        self.frame = self.frame.get(..end).unwrap_or(self.frame);
        self.headers.end = offset(self.frame.len());
        self.headers.payload_end = self.headers.end;
    }

    /// An Ethernet header and all behind it.
    pub(super) fn ethernet(&mut self, start: usize) -> Result<(), ParseError> {
        self.headers.start = offset(start);
        self.headers.payload = offset(start);
        let (ethernet, _) = Ethernet::parse(self.rest(start)).map_err(|error| error.at(start))?;
        self.headers.flags |= flag::ETHERNET;
        self.carried(ethernet.ether_type(), start.wrapping_add(Ethernet::LEN))
    }

    /// A packet without an Ethernet header.
    pub(super) fn packet(&mut self, ether_type: EtherType, start: usize) -> Result<(), ParseError> {
        self.headers.start = offset(start);
        self.carried(ether_type, start)
    }

    /// VLAN tags and what they are for.
    fn carried(&mut self, mut ether_type: EtherType, mut at: usize) -> Result<(), ParseError> {
        self.behind(ether_type, at);
        for _ in 0..Headers::MAX_VLAN_TAGS {
            if !self.parser.is_vlan(ether_type) {
                break;
            }
            let bytes = self.rest(at);
            // Of one that is cut short, the first half may be there.
            let parsed = Vlan::parse(bytes);
            if let [high, low, ..] = *bytes {
                self.tag(u16::from_be_bytes([high, low]));
                self.headers.payload = self.headers.end;
            }
            let (vlan, _) = parsed.map_err(|error| error.at(at))?;
            ether_type = vlan.ether_type();
            at = at.wrapping_add(Vlan::LEN);
            self.behind(ether_type, at);
        }
        match ether_type {
            EtherType::IPV4 => self.ipv4(at),
            EtherType::IPV6 => self.ipv6(at),
            _ if ether_type.is_mpls() => self.mpls(at),
            _ if ether_type.is_length() => self.llc(ether_type, at),
            _ => Ok(()),
        }
    }

    fn tag(&mut self, tag: u16) {
        if self.headers.vlan_tags == 0 {
            self.headers.outer_tag = tag;
        } else {
            self.headers.inner_tag = tag;
        }
        self.headers.vlan_tags = self.headers.vlan_tags.wrapping_add(1);
    }

    /// What comes is announced, and starts here.
    fn behind(&mut self, ether_type: EtherType, at: usize) {
        self.headers.ether_type = ether_type.0;
        self.headers.payload = offset(at);
    }

    /// IEEE 802.3: `length` bytes follow, which start with LLC (IEEE 802.2).
    fn llc(&mut self, length: EtherType, at: usize) -> Result<(), ParseError> {
        let cut = length.cut(self.rest(at));
        let error = cut.err().map(|error| error.at(at.wrapping_sub(2)));
        match error {
            Some(error) if !self.is_partial => return Err(error),
            _ => self.end_at(at.wrapping_add(length.0.into())),
        }
        self.headers.flags |= flag::LLC;
        let (ether_type, at) = match snap(self.rest(at)) {
            Some((ether_type, packet)) => (ether_type, self.frame.len().wrapping_sub(packet.len())),
            None => return error.map_or(Ok(()), Err),
        };
        self.behind(ether_type, at);
        let result = match ether_type {
            EtherType::IPV4 => self.ipv4(at),
            EtherType::IPV6 => self.ipv6(at),
            _ => Ok(()),
        };
        error.map_or(result, Err)
    }

    fn mpls(&mut self, at: usize) -> Result<(), ParseError> {
        let bytes = self.rest(at);
        let (stack, packet) = Mpls::parse_stack(bytes).map_err(|error| {
            if error.is_truncated() {
                // Those that are whole.
                let labels = bytes.len() / Mpls::LEN;
                self.headers.mpls_labels = labels.try_into().unwrap_or(u8::MAX);
                self.headers.payload = offset(at.wrapping_add(labels.wrapping_mul(Mpls::LEN)));
            }
            error.at(at)
        })?;
        let at = self.frame.len().wrapping_sub(packet.len());
        self.headers.mpls_labels = stack.len().try_into().unwrap_or(u8::MAX);
        self.headers.payload = offset(at);
        match stack.last().and_then(|last| last.guess_payload(packet)) {
            Some(EtherType::IPV4) => self.ipv4(at),
            Some(EtherType::IPV6) => self.ipv6(at),
            _ => Ok(()),
        }
    }

    fn ipv4(&mut self, at: usize) -> Result<(), ParseError> {
        let bytes = self.rest(at);
        let (parsed, error) = match Ipv4::parse(bytes) {
            Ok(parsed) => (parsed, None),
            Err(error) => match whole_ipv4(bytes) {
                Some(parsed) if self.is_partial => (parsed, Some(error.at(at))),
                _ => {
                    self.cut_ipv4(bytes, at);
                    return Err(error.at(at));
                }
            },
        };
        let (header, payload) = parsed;
        let l4 = at.wrapping_add(header.header_len());
        self.end_at(l4.wrapping_add(payload.len()));
        self.headers.flags |= ipv4_flags(header);
        self.headers.l3 = offset(at);
        self.headers.traffic_class = header.dscp() << 2 | header.ecn();
        self.headers.ttl = header.ttl();
        let result = self.message(header.protocol(), l4);
        error.map_or(result, Err)
    }

    fn ipv6(&mut self, at: usize) -> Result<(), ParseError> {
        let bytes = self.rest(at);
        let (parsed, error) = match Ipv6::parse(bytes) {
            Ok(parsed) => (parsed, None),
            Err(error) => match whole_ipv6(bytes) {
                Some(parsed) if self.is_partial => (parsed, Some(error.at(at))),
                _ => {
                    self.cut_ipv6(bytes, at);
                    return Err(error.at(at));
                }
            },
        };
        let (header, payload) = parsed;
        let start = at.wrapping_add(Ipv6::LEN);
        self.end_at(start.wrapping_add(payload.len()));
        self.headers.flags |= flag::IPV6;
        self.headers.l3 = offset(at);
        self.headers.traffic_class = header.dscp() << 2 | header.ecn();
        self.headers.ttl = header.hop_limit();
        let result = match header.upper_layer(payload) {
            Ok(upper) => self.upper_layer(upper, start),
            Err(error) => {
                let upper = header.known_layer(payload);
                self.extensions(upper, start);
                Err(error.at(start))
            }
        };
        error.map_or(result, Err)
    }

    /// What is behind the extension headers, which start at `start`.
    fn upper_layer(&mut self, upper: UpperLayer, start: usize) -> Result<(), ParseError> {
        self.extensions(upper, start);
        self.message(upper.protocol, start.wrapping_add(upper.offset))
    }

    /// What the extension headers say, and where they end.
    fn extensions(&mut self, upper: UpperLayer, start: usize) {
        let mut flags = 0;
        if upper.fragment.is_some() {
            flags |= flag::FRAGMENT;
        }
        if upper.is_later_fragment() {
            flags |= flag::LATER_FRAGMENT;
        }
        if upper.is_source_routed {
            flags |= flag::SOURCE_ROUTED;
        }
        if upper.home_address.is_some() {
            flags |= flag::HOME_ADDRESS;
        }
        self.headers.flags |= flags;
        self.headers.protocol = upper.protocol.0;
        self.headers.payload = offset(start.wrapping_add(upper.offset));
    }

    /// What an IP packet carries.
    fn message(&mut self, protocol: IpProtocol, at: usize) -> Result<(), ParseError> {
        self.headers.protocol = protocol.0;
        self.headers.payload = offset(at);
        if self.headers.is_later_fragment() || protocol == IpProtocol::IPV6_NO_NEXT {
            return Ok(());
        }
        self.headers.l4 = offset(at);
        self.headers.flags |= flag::L4;
        let bytes = self.rest(at);
        let result = match protocol {
            IpProtocol::UDP => self.udp(bytes, at),
            IpProtocol::TCP => self.tcp(bytes, at),
            IpProtocol::ICMP if self.headers.has(flag::IPV4) => self.other("ICMP", 8, bytes, at),
            IpProtocol::ICMPV6 if self.headers.has(flag::IPV6) => {
                self.other("ICMPv6", 8, bytes, at)
            }
            IpProtocol::SCTP => self.other("SCTP", 12, bytes, at),
            IpProtocol::UDP_LITE => self.other("UDP-Lite", 8, bytes, at),
            IpProtocol::DCCP => {
                let words = bytes.get(4).copied().unwrap_or(0);
                self.other("DCCP", (usize::from(words) * 4).max(12), bytes, at)
            }
            _ => Ok(()),
        };
        match result {
            // The rest of the header is in another fragment.
            Err(error) if !(self.headers.is_fragment() && error.is_truncated()) => {
                Err(error.at(at))
            }
            _ => Ok(()),
        }
    }

    fn udp(&mut self, bytes: &[u8], at: usize) -> Result<(), ParseError> {
        let result = Udp::parse(bytes);
        // Of a datagram that is cut short, the header may be there.
        match first_of(bytes, Udp::LEN) {
            Some(first) => self.starts_with(flag::PORTS, first, at.wrapping_add(Udp::LEN)),
            None => self.cut_message(flag::PORTS, bytes),
        }
        let (_, data) = result?;
        self.headers.payload_end = self.headers.payload.saturating_add(offset(data.len()));
        Ok(())
    }

    fn tcp(&mut self, bytes: &[u8], at: usize) -> Result<(), ParseError> {
        let result = Tcp::parse(bytes);
        if let Some((header, _)) = bytes.split_first_chunk::<{ Tcp::LEN }>() {
            let [a, b, c, d, _, _, _, _, _, _, _, _, _, flags, ..] = *header;
            self.headers.tcp_flags = flags;
            self.starts_with(flag::PORTS | flag::TCP, [a, b, c, d], self.frame.len());
        } else {
            self.cut_message(flag::PORTS, bytes);
            if let Some(&flags) = bytes.get(13) {
                self.headers.tcp_flags = flags;
                self.headers.flags |= flag::TCP;
            }
        }
        let (_, data) = result?;
        self.headers.payload = offset(at.wrapping_add(bytes.len().wrapping_sub(data.len())));
        Ok(())
    }

    /// A header of which only the first bytes matter here.
    fn other(
        &mut self,
        protocol: &'static str,
        len: usize,
        bytes: &[u8],
        at: usize,
    ) -> Result<(), ParseError> {
        let kind = if protocol.starts_with("ICMP") {
            flag::ICMP
        } else {
            flag::PORTS
        };
        let Some(first) = first_of(bytes, len) else {
            self.cut_message(kind, bytes);
            let place = (protocol, "header", 0);
            return Err(ParseError::truncated(place, len, bytes.len()));
        };
        self.starts_with(kind, first, at.wrapping_add(len));
        Ok(())
    }

    pub(super) fn starts_with(&mut self, kind: u16, first: [u8; 4], payload: usize) {
        self.headers.flags |= kind;
        self.headers.first = first;
        self.headers.payload = offset(payload);
    }
}

/// What an IPv4 header tells of the packet.
pub(super) fn ipv4_flags(header: &Ipv4) -> u16 {
    let mut flags = flag::IPV4;
    if header.is_fragment() {
        flags |= flag::FRAGMENT;
    }
    if header.fragment_offset() != 0 {
        flags |= flag::LATER_FRAGMENT;
    }
    if header.is_source_routed() {
        flags |= flag::SOURCE_ROUTED;
    }
    flags
}

/// The first bytes of a header that is there as a whole.
fn first_of(bytes: &[u8], len: usize) -> Option<[u8; 4]> {
    bytes.get(..len)?.first_chunk().copied()
}
