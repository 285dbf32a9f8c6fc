//! The outermost packet of a frame as each parser has it, by the same keys: what `Headers` gives.

use std::collections::BTreeMap;
use std::fmt::Display;

use etherparse::{
    Ipv6ExtensionSlice, Ipv6ExtensionsSlice, LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket,
    LinkExtSlice, NetSlice, SlicedPacket, TransportSlice,
};
use fluxcap::proto::{Headers, ParseError};

use crate::dissect::Dissected;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outer(pub(crate) BTreeMap<&'static str, String>);

impl Outer {
    fn set(&mut self, key: &'static str, value: impl Display) {
        self.0.insert(key, value.to_string());
    }

    fn set_some(&mut self, key: &'static str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    pub(crate) fn ours(frame: &[u8]) -> Self {
        let (headers, error) = Headers::parse_partial(frame);
        assert_eq!(Headers::parse(frame).err(), error);
        assert_eq!(headers.is_partial(), error.is_some());
        let mut outer = Self::default();
        // Not compared: whether parsing ends in a header that is cut short.
        let is_short =
            |error: ParseError| error.is_truncated() && matches!(error.field(), "header" | "IHL");
        outer.set("short", error.is_some_and(is_short));
        outer.set("tags", headers.vlan_tags());
        outer.set_some("outer tag", headers.outer_tag());
        outer.set_some("inner tag", headers.inner_tag());
        outer.set("labels", headers.mpls_labels());
        outer.set_some("source", headers.source_ip(frame));
        outer.set_some("destination", headers.destination_ip(frame));
        outer.set_some("protocol", headers.protocol().map(|protocol| protocol.0));
        if headers.ip_version().is_some() {
            outer.set("dscp", headers.dscp());
            outer.set("ecn", headers.ecn());
            outer.set("ttl", headers.ttl());
            outer.set("fragment", headers.is_fragment());
            outer.set("later", headers.is_later_fragment());
            let lengths = ["total length", "payload length"];
            let is_cut = |error: ParseError| {
                let is_ip = error.protocol() == "IPv4";
                let is_short = is_ip && matches!(error.field(), "header" | "IHL");
                let is_length = lengths.contains(&error.field()) && error.protocol() != "AH";
                error.is_truncated() && (is_short || is_length)
            };
            outer.set("cut", error.is_some_and(is_cut));
        }
        let pair = |(one, other): (u16, u16)| format!("{one} {other}");
        outer.set_some("ports", headers.ports().map(pair));
        outer.set_some("flags", headers.tcp_flags().map(|flags| flags.0));
        let icmp = headers.icmp().map(|(kind, code)| format!("{kind} {code}"));
        outer.set_some("icmp", icmp);
        outer
    }

    /// From the fields that tshark has first, as far as they are those of the outermost packet by the protocols that it saw.
    pub(crate) fn of_tshark(dissected: &Dissected) -> Self {
        let mut outer = Self::default();
        let seen = dissected["frame.protocols"][0].split(':');
        let mut layers = seen
            .filter(|name| !matches!(*name, "ethertype" | "llc"))
            .skip(1)
            .peekable();
        let at = |name: &str, at: usize| Some(number(dissected.get(name)?.get(at)?));
        let first = |name: &str| at(name, 0);
        let mut tags = Vec::new();
        let (mut customer, mut service) = (0, 0);
        while let Some(name) = layers.next_if(|name| matches!(*name, "vlan" | "ieee8021ad")) {
            let count = if name == "vlan" {
                &mut customer
            } else {
                &mut service
            };
            let part = |part| at(&format!("{name}.{part}"), *count);
            // Of a tag that is cut short some fields only.
            let (Some(priority), Some(dei), Some(id), Some(_)) = (
                part("priority"),
                part("dei"),
                part("id"),
                at(
                    if name == "vlan" {
                        "vlan.etype"
                    } else {
                        "ieee8021ah.etype"
                    },
                    *count,
                )
                .or(first("vlan.len")),
            ) else {
                break;
            };
            tags.push(priority << 13 | dei << 12 | id);
            *count += 1;
        }
        outer.set("tags", tags.len());
        outer.set_some("outer tag", tags.first());
        outer.set_some("inner tag", tags.last().filter(|_| tags.len() > 1));
        let mut labels = 0;
        if layers.next_if_eq(&"mpls").is_some() {
            let bottoms = dissected.get("mpls.bottom");
            let bottom = bottoms.and_then(|bits| bits.iter().position(|bit| number(bit) == 1));
            labels = bottom.map_or(0, |at| at + 1);
        }
        outer.set("labels", labels);
        let mut protocol = match layers.next() {
            Some("ip") => {
                let Some(protocol) = first("ip.proto") else {
                    return outer;
                };
                let (more, offset) = (first("ip.flags.mf"), first("ip.frag_offset"));
                outer.ip(
                    dissected,
                    [
                        "ip.src",
                        "ip.dst",
                        "ip.dsfield.dscp",
                        "ip.dsfield.ecn",
                        "ip.ttl",
                    ],
                );
                outer.set("fragment", more != Some(0) || offset != Some(0));
                outer.set("later", offset != Some(0));
                protocol
            }
            Some("ipv6") => {
                let Some(protocol) = first("ipv6.nxt") else {
                    return outer;
                };
                outer.ip(
                    dissected,
                    [
                        "ipv6.src",
                        "ipv6.dst",
                        "ipv6.tclass.dscp",
                        "ipv6.tclass.ecn",
                        "ipv6.hlim",
                    ],
                );
                outer.set("fragment", false);
                outer.set("later", false);
                protocol
            }
            _ => return outer,
        };
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let is_extension = |name: &&str| name.starts_with("ipv6.") || *name == "ah";
        while let Some(name) = layers.next_if(is_extension) {
            let count = counts.entry(name).or_default();
            let is_whole = at("ipv6.fraghdr.ident", *count).is_some();
            if name == "ipv6.fraghdr" && is_whole {
                let (more, offset) = (
                    at("ipv6.fraghdr.more", *count),
                    at("ipv6.fraghdr.offset", *count),
                );
                if offset.is_some_and(|offset| offset != 0) {
                    outer.set("later", true);
                }
                if (more, offset) != (Some(0), Some(0)) {
                    outer.set("fragment", true);
                }
            }
            let next = if name == "ah" {
                "ah.next_header".into()
            } else {
                format!("{name}.nxt")
            };
            protocol = at(&next, *count).unwrap_or(protocol);
            *count += 1;
        }
        outer.set("protocol", protocol);
        let both = |one, other| Some(format!("{} {}", first(one)?, first(other)?));
        match layers.next() {
            Some("udp") => outer.set_some("ports", both("udp.srcport", "udp.dstport")),
            Some("tcp") => {
                outer.set_some("ports", both("tcp.srcport", "tcp.dstport"));
                outer.set_some("flags", first("tcp.flags").map(|flags| flags & 0xff));
            }
            Some("icmp") => outer.set_some("icmp", both("icmp.type", "icmp.code")),
            Some("icmpv6") => outer.set_some("icmp", both("icmpv6.type", "icmpv6.code")),
            _ => {}
        }
        outer
    }

    fn ip(&mut self, dissected: &Dissected, names: [&str; 5]) {
        let keys = ["source", "destination", "dscp", "ecn", "ttl"];
        for (key, name) in keys.into_iter().zip(names) {
            self.set_some(key, dissected.get(name).map(|values| &values[0]));
        }
        // Of which packet it says so is not seen.
        let seen = dissected["frame.protocols"][0].split(':');
        if seen.filter(|name| matches!(*name, "ip" | "ipv6")).count() == 1 {
            let empty = Vec::new();
            let messages = dissected.get("_ws.expert.message").unwrap_or(&empty);
            let texts = ["exceeds packet length", "exceeds framing length"];
            let is_cut = |message: &String| texts.iter().any(|text| message.contains(text));
            self.set("cut", messages.iter().any(is_cut));
        }
    }

    pub(crate) fn of_etherparse(packet: &SlicedPacket<'_>) -> Self {
        let mut outer = Self::default();
        let tags = packet.link_exts.iter().filter_map(|link| match link {
            LinkExtSlice::Vlan(tag) => tag.slice().first_chunk::<2>(),
            LinkExtSlice::Macsec(_) => None,
        });
        outer.tags(tags);
        match &packet.net {
            Some(NetSlice::Ipv4(ip)) => outer.ipv4(&ip.header(), ip.payload_ip_number().0),
            Some(NetSlice::Ipv6(ip)) => {
                let payload = ip.payload();
                outer.ipv6(&ip.header(), payload.ip_number.0, payload.fragmented);
                outer.set("later", has_offset(ip.extensions()));
            }
            _ => {}
        }
        outer.transport(packet.transport.as_ref());
        outer
    }

    /// From what etherparse has of a frame that may be cut short.
    pub(crate) fn of_lax_etherparse(packet: &LaxSlicedPacket<'_>) -> Self {
        let mut outer = Self::default();
        let tags = packet.link_exts.iter().filter_map(|link| match link {
            LaxLinkExtSlice::Vlan(tag) => tag.slice().first_chunk::<2>(),
            LaxLinkExtSlice::Macsec(_) => None,
        });
        outer.tags(tags);
        match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                outer.ipv4(&ip.header(), ip.payload_ip_number().0);
                outer.set("cut", ip.payload().incomplete);
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let payload = ip.payload();
                outer.set("cut", payload.incomplete);
                outer.ipv6(&ip.header(), payload.ip_number.0, payload.fragmented);
                // Their iterator of extensions panics here if one is cut short.
            }
            _ => {}
        }
        outer.transport(packet.transport.as_ref());
        outer
    }

    fn tags<'a>(&mut self, tags: impl Iterator<Item = &'a [u8; 2]>) {
        let tags: Vec<_> = tags.map(|tag| u16::from_be_bytes(*tag)).collect();
        self.set("tags", tags.len());
        self.set_some("outer tag", tags.first());
        self.set_some("inner tag", tags.last().filter(|_| tags.len() > 1));
    }

    fn ipv4(&mut self, header: &etherparse::Ipv4HeaderSlice<'_>, protocol: u8) {
        self.set("source", header.source_addr());
        self.set("destination", header.destination_addr());
        self.set("protocol", protocol);
        self.set("dscp", header.dcp().value());
        self.set("ecn", header.ecn().value());
        self.set("ttl", header.ttl());
        self.set("fragment", header.is_fragmenting_payload());
        self.set("later", header.fragments_offset().value() != 0);
    }

    fn ipv6(&mut self, header: &etherparse::Ipv6HeaderSlice<'_>, protocol: u8, is_fragment: bool) {
        self.set("source", header.source_addr());
        self.set("destination", header.destination_addr());
        self.set("protocol", protocol);
        self.set("dscp", header.traffic_class() >> 2);
        self.set("ecn", header.traffic_class() & 3);
        self.set("ttl", header.hop_limit());
        self.set("fragment", is_fragment);
    }

    fn transport(&mut self, transport: Option<&TransportSlice<'_>>) {
        match transport {
            Some(TransportSlice::Udp(udp)) => {
                let ports = format!("{} {}", udp.source_port(), udp.destination_port());
                self.set("ports", ports);
            }
            Some(TransportSlice::Tcp(tcp)) => {
                let ports = format!("{} {}", tcp.source_port(), tcp.destination_port());
                self.set("ports", ports);
                self.set("flags", tcp.slice()[13]);
            }
            Some(TransportSlice::Icmpv4(icmp)) => {
                self.set("icmp", format!("{} {}", icmp.type_u8(), icmp.code_u8()));
            }
            Some(TransportSlice::Icmpv6(icmp)) => {
                self.set("icmp", format!("{} {}", icmp.type_u8(), icmp.code_u8()));
            }
            _ => {}
        }
    }
}

/// Whether a fragment header is not that of the first fragment.
fn has_offset(extensions: &Ipv6ExtensionsSlice<'_>) -> bool {
    extensions.clone().into_iter().any(|extension| {
        matches!(extension, Ipv6ExtensionSlice::Fragment(header) if header.fragment_offset().value() != 0)
    })
}

/// A number as tshark writes it.
fn number(text: &str) -> u64 {
    match (text, text.strip_prefix("0x")) {
        ("True", _) => 1,
        ("False", _) => 0,
        (_, Some(hex)) => u64::from_str_radix(hex, 16).unwrap(),
        _ => text.parse().unwrap(),
    }
}
