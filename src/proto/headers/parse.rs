//! Parsing: what [`Headers`] keeps of a walk over a frame, and the fast path for the most frequent packet.

#![forbid(unsafe_code)]

use zerocopy::FromBytes;

use super::{Headers, flag, offset};
use crate::proto::walk::{Carried, IpPacket, Link, MAX_VLAN_TAGS};
use crate::proto::{EtherType, IpProtocol, Ipv4, Ipv6, Mpls, ParseError, Tcp, Udp, Vxlan};

/// How frames are parsed in networks that use other numbers than the standards: VLAN tags, and UDP ports of tunnels.
///
/// [`Headers::parse`] and [`Headers::parse_partial`] know the standard ones. Plain IPv4 with TCP or UDP is parsed as fast here.
///
/// ```
/// use fluxcap::proto::{EtherType, Headers, ParseError, Parser};
///
/// // Tags from before IEEE 802.1ad, VXLAN on the port that Linux had first, GRE in UDP (RFC 8086).
/// let parser = Parser::new()
///     .vlan_types(&[EtherType(0x9100), EtherType(0x9200)])
///     .vxlan_ports(&[8472])
///     .gre_ports(&[4754]);
/// # let mut frame = vec![2; 12];
/// # frame.extend([0x91, 0x00, 0x00, 0x07, 0x08, 0x06]);
/// # frame.extend([0; 42]);
/// let headers = parser.parse(&frame)?;
/// assert_eq!((headers.vlan(), headers.ether_type()), (Some(7), EtherType::ARP));
/// assert_eq!(Headers::parse(&frame)?.ether_type(), EtherType(0x9100));
/// # Ok::<(), ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parser<'a> {
    vlan_types: &'a [EtherType],
    vxlan_ports: &'a [u16],
    gre_ports: &'a [u16],
}

impl<'a> Parser<'a> {
    /// With the standards' numbers only.
    pub(super) const STANDARD: Parser<'static> = Parser::new();

    /// With the standards' numbers only.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            vlan_types: &[],
            vxlan_ports: &[],
            gre_ports: &[],
        }
    }

    /// EtherTypes that announce a VLAN tag besides 0x8100 (IEEE 802.1Q) and 0x88a8 (IEEE 802.1ad): devices from before the latter use 0x9100,
    /// 0x9200 and 0x9300.
    #[inline]
    #[must_use]
    pub const fn vlan_types(mut self, ether_types: &'a [EtherType]) -> Self {
        self.vlan_types = ether_types;
        self
    }

    /// UDP destination ports of VXLAN besides 4789 (RFC 7348): 8472 is the default of Linux.
    #[inline]
    #[must_use]
    pub const fn vxlan_ports(mut self, ports: &'a [u16]) -> Self {
        self.vxlan_ports = ports;
        self
    }

    /// UDP destination ports of GRE, such as 4754 (RFC 8086). Default none: GRE is directly in IP.
    #[inline]
    #[must_use]
    pub const fn gre_ports(mut self, ports: &'a [u16]) -> Self {
        self.gre_ports = ports;
        self
    }

    /// The headers of an Ethernet frame, as [`Headers::parse`].
    ///
    /// # Errors
    ///
    /// As [`Headers::parse`].
    #[inline]
    pub fn parse(&self, frame: &[u8]) -> Result<Headers, ParseError> {
        match Headers::parse_plain(frame) {
            Some(headers) => Ok(headers),
            None => self.parse_any(frame),
        }
    }

    /// As far as the frame can be read, as [`Headers::parse_partial`].
    #[must_use]
    pub fn parse_partial(&self, frame: &[u8]) -> (Headers, Option<ParseError>) {
        let mut collector = Collector::new(frame, self, true);
        let error = collector.ethernet(0).err();
        collector.finish(error)
    }

    // A function of its own, so that what is common stays short where it is inlined.
    #[inline(never)]
    pub(super) fn parse_any(&self, frame: &[u8]) -> Result<Headers, ParseError> {
        let mut collector = Collector::new(frame, self, false);
        collector.ethernet(0)?;
        Ok(collector.headers)
    }

    #[inline]
    pub(super) fn is_vlan(&self, ether_type: EtherType) -> bool {
        ether_type.is_vlan() || self.vlan_types.contains(&ether_type)
    }

    #[inline]
    pub(super) fn is_vxlan(&self, port: u16) -> bool {
        port == Vxlan::PORT || self.vxlan_ports.contains(&port)
    }

    #[inline]
    pub(super) fn is_gre(&self, port: u16) -> bool {
        self.gre_ports.contains(&port)
    }
}

impl Headers {
    /// The headers of an Ethernet frame. What is in a tunnel is payload, see [`inner`](Self::inner).
    ///
    /// # Errors
    ///
    /// A [`ParseError`] if a header, or what it announces, is cut short, or a length or version is invalid. Its
    /// [`offset`](ParseError::offset) is that of the field in `frame`.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<Self, ParseError> {
        // The common packet takes a fifth of the time this way; a test holds that both ways are one.
        match Self::parse_plain(frame) {
            Some(headers) => Ok(headers),
            None => Self::parse_any(frame),
        }
    }

    /// As [`parse`](Self::parse), for monitors: all that can be read of a frame that is cut short or damaged, and the first
    /// thing that is wrong with it.
    ///
    /// An IP packet that announces more than there is counts as ending where the frame does. An IPv6 extension header that is wrong
    /// is the [`protocol`](Self::protocol) and the payload. Of a header that is cut short, the fields that are there are given: an IP header
    /// from its protocol and TTL on, each address when it is whole, ports, type and code of ICMP, the flags of TCP, the number in a VLAN
    /// tag, labels. No payload follows.
    #[must_use]
    pub fn parse_partial(frame: &[u8]) -> (Self, Option<ParseError>) {
        Parser::STANDARD.parse_partial(frame)
    }

    pub(super) fn parse_any(frame: &[u8]) -> Result<Self, ParseError> {
        Parser::STANDARD.parse_any(frame)
    }
}

impl Headers {
    /// IPv4 without options, fragments and tags, with TCP or UDP: what most frames are. `None` for all else, and all that is wrong.
    #[inline]
    pub(super) fn parse_plain(frame: &[u8]) -> Option<Self> {
        let bytes: &[u8; 42] = frame.first_chunk()?;
        let [.., e0, e1, version_and_len, traffic_class] = *bytes.first_chunk::<16>()?;
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let is_plain = [e0, e1, version_and_len] == [0x08, 0x00, 0x45] && word(20) & 0x3fff == 0;
        let ip_end = 14 + usize::from(word(16));
        if !is_plain || ip_end > frame.len() {
            return None;
        }
        let (kind, payload, payload_end, tcp_flags) = match IpProtocol(bytes[23]) {
            IpProtocol::UDP => {
                let udp_end = 34 + usize::from(word(38));
                if udp_end < 42 || udp_end > ip_end {
                    return None;
                }
                (0, 42, udp_end, 0)
            }
            IpProtocol::TCP => {
                let tcp: &[u8; 20] = frame.get(34..)?.first_chunk()?;
                let payload = 34 + usize::from(tcp[12] >> 4) * 4;
                if payload < 54 || payload > ip_end {
                    return None;
                }
                (flag::TCP, payload, ip_end, tcp[13])
            }
            _ => return None,
        };
        Some(Self {
            start: 0,
            l3: 14,
            l4: 34,
            payload: offset(payload),
            payload_end: offset(payload_end),
            end: offset(ip_end),
            ether_type: EtherType::IPV4.0,
            outer_tag: 0,
            inner_tag: 0,
            flags: flag::ETHERNET | flag::IPV4 | flag::L4 | flag::PORTS | kind,
            traffic_class,
            ttl: bytes[22],
            protocol: bytes[23],
            tcp_flags,
            first: [bytes[34], bytes[35], bytes[36], bytes[37]],
            vlan_tags: 0,
            mpls_labels: 0,
            tunnel: None,
        })
    }
}

/// A frame, and what is known of it so far.
pub(super) struct Collector<'a> {
    /// Up to where the packet ends.
    frame: &'a [u8],
    /// Whether to read on where a packet is longer than the frame.
    is_partial: bool,
    parser: &'a Parser<'a>,
    pub(super) headers: Headers,
}

// No offset is beyond the frame, so that no sum of a few of them wraps.
impl<'a> Collector<'a> {
    pub(super) fn new(frame: &'a [u8], parser: &'a Parser<'a>, is_partial: bool) -> Self {
        let end = offset(frame.len());
        Self {
            frame,
            is_partial,
            parser,
            headers: Headers {
                payload_end: end,
                end,
                ..Headers::EMPTY
            },
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
        let link = Link::ethernet(self.frame, start)?;
        self.headers.flags |= flag::ETHERNET;
        self.tags(link)
    }

    /// A packet without an Ethernet header.
    pub(super) fn packet(&mut self, ether_type: EtherType, start: usize) -> Result<(), ParseError> {
        self.headers.start = offset(start);
        self.tags(Link::new(ether_type, start))
    }

    /// VLAN tags and what they are for.
    fn tags(&mut self, mut link: Link) -> Result<(), ParseError> {
        let parser = self.parser;
        let result = link.pass_tags(self.frame, MAX_VLAN_TAGS, |kind| parser.is_vlan(kind));
        for tag in link.tags(self.frame) {
            self.tag(tag.tag_control());
        }
        self.behind(link.ether_type, link.at);
        if let Err(error) = result {
            // Of a tag that is cut short, the first half may be there.
            if let [high, low, ..] = *self.rest(link.at) {
                self.tag(u16::from_be_bytes([high, low]));
                self.headers.payload = self.headers.end;
            }
            return Err(error);
        }
        match link.ether_type {
            EtherType::IPV4 | EtherType::IPV6 => self.ip(link.ether_type, link.at),
            _ => self.carried(link),
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

    /// What is behind LLC or MPLS labels.
    fn carried(&mut self, link: Link) -> Result<(), ParseError> {
        let is_llc = link.ether_type.is_length();
        let (carried, error) = match Carried::find(self.frame, link) {
            Ok(carried) => (carried, None),
            // The length is more than there is.
            Err(error) if self.is_partial && is_llc => {
                let carried = Carried::behind_llc(self.rest(link.at), link.at);
                (carried, Some(error))
            }
            Err(error) => {
                if link.ether_type.is_mpls() && error.is_truncated() {
                    // The labels that are whole.
                    let (labels, cut) = self.rest(link.at).as_chunks::<{ Mpls::LEN }>();
                    self.headers.mpls_labels = labels.len().try_into().unwrap_or(u8::MAX);
                    self.headers.payload = offset(self.frame.len().wrapping_sub(cut.len()));
                }
                return Err(error);
            }
        };
        if is_llc {
            self.headers.flags |= flag::LLC;
            self.end_at(carried.end);
        }
        self.headers.mpls_labels = carried.labels.try_into().unwrap_or(u8::MAX);
        self.headers.payload = offset(carried.at);
        if let (true, Some(ether_type)) = (is_llc, carried.ether_type) {
            self.headers.ether_type = ether_type.0;
        }
        let result = match carried.ether_type {
            Some(ether_type) => self.ip(ether_type, carried.at),
            None => Ok(()),
        };
        error.map_or(result, Err)
    }

    /// What is announced, if it is an IP packet.
    fn ip(&mut self, ether_type: EtherType, at: usize) -> Result<(), ParseError> {
        let error = match IpPacket::at(self.frame, ether_type, at) {
            Ok(Some(packet)) => return self.ip_packet(packet),
            Ok(None) => return Ok(()),
            Err(error) => error,
        };
        if self.is_partial {
            match IpPacket::partial(self.frame, ether_type, at) {
                Some(packet) => {
                    // The first error counts, not one of the message.
                    let _ = self.ip_packet(packet);
                }
                None if ether_type == EtherType::IPV6 => self.cut_ipv6(at),
                None => self.cut_ipv4(at),
            }
        }
        Err(error)
    }

    fn ip_packet(&mut self, packet: IpPacket) -> Result<(), ParseError> {
        self.end_at(packet.end);
        self.fields(&packet);
        self.headers.payload = offset(packet.message);
        // Behind an extension header that is wrong there is no message.
        let is_wrong = packet.is_ipv6 && packet.protocol.is_ipv6_extension();
        if packet.is_later_fragment || packet.protocol == IpProtocol::IPV6_NO_NEXT || is_wrong {
            return Ok(());
        }
        self.message(packet.protocol, packet.message)
    }

    /// What the IP header says.
    fn fields(&mut self, packet: &IpPacket) {
        let mut flags = if packet.is_ipv6 {
            flag::IPV6
        } else {
            flag::IPV4
        };
        for (is_set, flag) in [
            (packet.is_fragment, flag::FRAGMENT),
            (packet.is_later_fragment, flag::LATER_FRAGMENT),
            (packet.is_source_routed, flag::SOURCE_ROUTED),
            (packet.has_home_address, flag::HOME_ADDRESS),
        ] {
            if is_set {
                flags |= flag;
            }
        }
        self.headers.flags |= flags;
        self.headers.l3 = offset(packet.start);
        self.headers.traffic_class = packet.traffic_class;
        self.headers.ttl = packet.hops;
        self.headers.protocol = packet.protocol.0;
    }

    /// What an IP packet carries.
    fn message(&mut self, protocol: IpProtocol, at: usize) -> Result<(), ParseError> {
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

    fn starts_with(&mut self, kind: u16, first: [u8; 4], payload: usize) {
        self.headers.flags |= kind;
        self.headers.first = first;
        self.headers.payload = offset(payload);
    }

    /// An IPv4 header that ends with the frame: what is there of it, from its protocol on.
    #[cold]
    fn cut_ipv4(&mut self, at: usize) {
        let bytes = self.rest(at);
        let fixed = filled_up::<{ Ipv4::LEN }>(bytes);
        let options_len = bytes.len().saturating_sub(Ipv4::LEN);
        let whole = Ipv4::ref_from_prefix_with_elems(bytes, options_len);
        let header = whole.or_else(|_| Ipv4::ref_from_prefix_with_elems(&fixed, 0));
        let (true, Ok((header, _))) = (bytes.len() >= 10, header) else {
            return;
        };
        let header_len = usize::from(fixed[0] & 0xf) * 4;
        // Whole headers, and lengths and versions that cannot be, are none of this.
        if fixed[0] >> 4 == 4 && header_len >= Ipv4::LEN && header_len > bytes.len() {
            self.cut_packet(IpPacket::of_ipv4(header, 0, at));
        }
    }

    /// The same of IPv6, from the hop limit on.
    #[cold]
    fn cut_ipv6(&mut self, at: usize) {
        let bytes = self.rest(at);
        let fixed = filled_up::<{ Ipv6::LEN }>(bytes);
        let Ok((header, _)) = Ipv6::ref_from_prefix(&fixed) else {
            return;
        };
        if fixed[0] >> 4 == 6 && (8..Ipv6::LEN).contains(&bytes.len()) {
            let upper = header.known_layer(&[]);
            self.cut_packet(IpPacket::of_ipv6(header, upper, 0, at));
        }
    }

    /// A packet of which there is a part of the header alone.
    fn cut_packet(&mut self, packet: IpPacket) {
        self.fields(&packet);
        self.headers.payload = self.headers.end;
    }

    /// A header that ends with the packet: ports, or type and code, if they are there.
    #[cold]
    fn cut_message(&mut self, kind: u16, bytes: &[u8]) {
        let first = match *bytes {
            [a, b, c, d, ..] => [a, b, c, d],
            [a, b, ..] if kind == flag::ICMP => [a, b, 0, 0],
            _ => return,
        };
        self.starts_with(kind, first, self.frame.len());
    }
}

/// The first bytes of a header that is there as a whole.
fn first_of(bytes: &[u8], len: usize) -> Option<[u8; 4]> {
    bytes.get(..len)?.first_chunk().copied()
}

/// The start of `bytes`, zeros where they end.
fn filled_up<const LEN: usize>(bytes: &[u8]) -> [u8; LEN] {
    let mut fixed = [0; LEN];
    for (to, from) in fixed.iter_mut().zip(bytes) {
        *to = *from;
    }
    fixed
}
