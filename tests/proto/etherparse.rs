//! The views against the etherparse crate, over the corpus.

use std::collections::BTreeMap;

use etherparse::{LinkExtSlice, LinkSlice, NetSlice, SlicedPacket, TransportSlice};
use fluxcap::proto::Headers;

use crate::packets;
use crate::value::Value;
use crate::walk::Walk;

type Fields = BTreeMap<&'static str, Value>;

/// What etherparse says of a frame, by the names of [`Walk`]; tags and labels, of which there are several, are left to tshark.
fn theirs(packet: &SlicedPacket<'_>) -> Fields {
    let mut fields = Fields::new();
    let mut number = |name, value: u64| {
        fields.insert(name, Value::Number(value));
    };
    if let Some(NetSlice::Ipv4(ip)) = &packet.net {
        let header = ip.header();
        number("ip.dsfield.dscp", header.dcp().value().into());
        number("ip.dsfield.ecn", header.ecn().value().into());
        number("ip.len", header.total_len().into());
        number("ip.id", header.identification().into());
        number("ip.flags.df", header.dont_fragment().into());
        number("ip.flags.mf", header.more_fragments().into());
        number("ip.frag_offset", header.fragments_offset().value().into());
        number("ip.ttl", header.ttl().into());
        number("ip.proto", header.protocol().0.into());
        number("ip.checksum", header.header_checksum().into());
        let is_right = header.to_header().calc_header_checksum() == header.header_checksum();
        number("ip.checksum.status", is_right.into());
    }
    if let Some(NetSlice::Ipv6(ip)) = &packet.net {
        let header = ip.header();
        number("ipv6.tclass.dscp", (header.traffic_class() >> 2).into());
        number("ipv6.tclass.ecn", (header.traffic_class() & 3).into());
        number("ipv6.flow", header.flow_label().value().into());
        number("ipv6.plen", header.payload_length().into());
        number("ipv6.nxt", header.next_header().0.into());
        number("ipv6.hlim", header.hop_limit().into());
    }
    if let Some(NetSlice::Arp(arp)) = &packet.net {
        number("arp.opcode", arp.operation().0.into());
    }
    match &packet.transport {
        Some(TransportSlice::Udp(udp)) => {
            number("udp.srcport", udp.source_port().into());
            number("udp.dstport", udp.destination_port().into());
            number("udp.length", udp.length().into());
            number("udp.checksum", udp.checksum().into());
        }
        Some(TransportSlice::Tcp(tcp)) => {
            number("tcp.srcport", tcp.source_port().into());
            number("tcp.dstport", tcp.destination_port().into());
            number("tcp.seq", tcp.sequence_number().into());
            number("tcp.ack", tcp.acknowledgment_number().into());
            number("tcp.hdr_len", tcp.header_slice().len() as u64);
            number("tcp.flags", tcp.slice()[13].into());
            number("tcp.window_size_value", tcp.window_size().into());
            number("tcp.checksum", tcp.checksum().into());
            number("tcp.urgent_pointer", tcp.urgent_pointer().into());
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            number("icmp.type", icmp.type_u8().into());
            number("icmp.code", icmp.code_u8().into());
            number("icmp.checksum", icmp.checksum().into());
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            number("icmpv6.type", icmp.type_u8().into());
            number("icmpv6.code", icmp.code_u8().into());
            number("icmpv6.checksum", icmp.checksum().into());
        }
        _ => {}
    }
    if let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link {
        fields.insert("eth.dst", Value::Bytes(ethernet.destination().to_vec()));
        fields.insert("eth.src", Value::Bytes(ethernet.source().to_vec()));
    }
    if let Some(NetSlice::Ipv4(ip)) = &packet.net {
        fields.insert("ip.src", Value::Ip(ip.header().source_addr().into()));
        fields.insert("ip.dst", Value::Ip(ip.header().destination_addr().into()));
    }
    if let Some(NetSlice::Ipv6(ip)) = &packet.net {
        fields.insert("ipv6.src", Value::Ip(ip.header().source_addr().into()));
        fields.insert("ipv6.dst", Value::Ip(ip.header().destination_addr().into()));
    }
    fields
}

/// Whether a reason fits.
type When = fn(&Case<'_>) -> bool;

/// What is different, and why.
const EXPLAINED: &[(When, &str)] = &[
    (
        |case| case.old_tag,
        "0x9100 is a VLAN tag for etherparse; it was in no standard",
    ),
    (
        |case| case.field == "tags",
        "etherparse skips three link extensions, we eight VLAN tags",
    ),
    (
        |case| case.field == "ip.checksum.status",
        "etherparse sums up the fields that it has read, without the reserved bit; tshark says what is right",
    ),
    (
        |case| case.field == "arp.opcode" && case.ours.is_none(),
        "etherparse reads ARP for other hardware and protocols, too",
    ),
    (
        |case| case.their_error.starts_with("Address Resolution Protocol"),
        "`Headers` does not look into ARP",
    ),
    (
        |case| case.ours.is_none() && case.field.starts_with("udp."),
        "etherparse looks behind an authentication header in IPv4; for us it is what the packet carries",
    ),
    (
        |case| {
            case.their_error.contains("IP Authentication Header")
                || case.is_ah && !case.their_error.is_empty()
        },
        "the same",
    ),
    (
        |case| case.ours.is_none() && case.field.starts_with("icmp"),
        "ICMP in an IPv6 packet, or ICMPv6 in IPv4, is none for us",
    ),
    (
        |case| {
            case.their_error.starts_with("ICMP Packet")
                || case.their_error.starts_with("ICMPv6 Packet")
        },
        "the same",
    ),
    (
        |case| case.their_error.starts_with("IGMP") || case.their_error.starts_with("MACsec"),
        "there is no view of IGMP and MACsec",
    ),
    (
        |case| {
            case.their_error
                .contains("hop-by-hop header not directly after")
        },
        "a hop-by-hop header that is not the first is passed over",
    ),
    (
        |case| {
            case.their_error.is_empty()
                && is_any(
                    case.our_error,
                    &[
                        "IEEE 802.3",
                        "LLC",
                        "SNAP",
                        "MPLS",
                        "DCCP",
                        "UDP-Lite",
                        "SCTP",
                        "GRE",
                    ],
                )
        },
        "etherparse does not look into these",
    ),
    (
        |case| case.their_error.is_empty() && case.is_deeper,
        "nor at what is behind LLC and MPLS",
    ),
    (
        |case| case.our_error.starts_with("UDP length") && case.our_error.ends_with("cannot be 0"),
        "a UDP length of 0 is that of the IP packet for etherparse; only a jumbogram may have it (RFC 2675)",
    ),
    (
        |case| case.their_error.is_empty() && case.our_error.ends_with("only 0 are there"),
        "an IPv6 payload length of 0 is that of the frame for etherparse; here it is 0",
    ),
    (
        |case| {
            case.their_error
                .starts_with("IPv6 Extension Header Error: Not enough")
        },
        "mobility, HIP and shim6 headers are extension headers for etherparse; for us they are what the packet carries",
    ),
    (
        |case| case.our_error.contains("next header of the eighth"),
        "we look behind eight extension headers",
    ),
];

fn is_any(text: &str, starts: &[&str]) -> bool {
    starts.iter().any(|start| text.starts_with(start))
}

struct Case<'a> {
    field: &'a str,
    ours: Option<&'a Value>,
    our_error: &'a str,
    their_error: &'a str,
    /// Whether a tag is one of [`OLD_TAGS`].
    old_tag: bool,
    /// Whether IPv4 carries an authentication header.
    is_ah: bool,
    /// Whether there is LLC or MPLS.
    is_deeper: bool,
}

const OLD_TAGS: [[u8; 2]; 2] = [[0x91, 0], [0x92, 0]];

#[test]
fn every_field_is_as_etherparse_has_it() {
    let mut uses = vec![0; EXPLAINED.len()];
    let mut compared = 0;
    let mut unexplained = Vec::new();
    for file in packets::files() {
        for (number, frame) in packets::read(&file).iter().enumerate() {
            let walk = Walk::of(frame);
            let mut ours = Fields::new();
            for (name, value) in &walk.fields {
                ours.entry(name).or_insert_with(|| value.clone());
            }
            let parsed = Headers::parse(frame);
            let sliced = SlicedPacket::from_ethernet(frame);
            let our_error = parsed
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            let their_error = sliced
                .as_ref()
                .err()
                .map(ToString::to_string)
                .unwrap_or_default();
            let packet = sliced.as_ref().ok();
            let (headers, _) = Headers::parse_partial(frame);
            let type_at = 12 + 4 * headers.vlan_tags();
            let ether_type = frame.get(type_at..type_at + 2);
            let old_tag = OLD_TAGS.iter().any(|old| ether_type == Some(&old[..]));
            let is_ah = ours.get("ip.proto") == Some(&Value::Number(51));
            let is_deeper = headers.mpls_labels() > 0 || ours.contains_key("llc.dsap");
            let mut check = |field: &str, ours: Option<&Value>, theirs: Option<&Value>| {
                let case = Case {
                    field,
                    ours,
                    our_error: &our_error,
                    their_error: &their_error,
                    old_tag,

                    is_ah,
                    is_deeper,
                };
                match EXPLAINED.iter().position(|(when, _)| when(&case)) {
                    Some(at) => uses[at] += 1,
                    None => unexplained.push(format!("{} {}: {field}: {ours:?}, but etherparse {theirs:?}; {our_error:?} {their_error:?}",
                        file.file_stem().unwrap().to_str().unwrap(), number + 1)),
                }
            };
            if our_error.is_empty() != their_error.is_empty() {
                check("error", None, None);
                continue;
            }
            let Some(packet) = packet else { continue };
            for (name, value) in theirs(packet) {
                compared += 1;
                if ours.get(name) != Some(&value) {
                    check(name, ours.get(name), Some(&value));
                }
            }
            let tags = packet
                .link_exts
                .iter()
                .filter(|tag| matches!(tag, LinkExtSlice::Vlan(_)))
                .count();
            if parsed.is_ok_and(|headers| headers.vlan_tags() != tags) {
                check("tags", None, None);
            }
        }
    }
    println!("{compared} values compared");
    for ((_, reason), uses) in EXPLAINED.iter().zip(&uses) {
        println!("{uses:5} times: {reason}");
    }
    let shown = unexplained.join("\n");
    assert!(
        unexplained.is_empty(),
        "{} differences:\n{shown}",
        unexplained.len()
    );
    let unused = EXPLAINED.iter().zip(&uses).find(|(_, uses)| **uses == 0);
    assert_eq!(
        unused.map(|((_, reason), _)| reason),
        None,
        "explains nothing any more"
    );
}
