//! `Headers::parse` of a 64-byte UDP packet in IPv4 and Ethernet, and what other crates have for that.

use std::hint::black_box;

use etherparse::SlicedPacket;
use fluxcap::proto::{FlowKey, Headers};
use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, UdpPacket};

use crate::Case;

/// 192.0.2.1:12345 > 198.51.100.2:53, 22 bytes.
const PACKET: [u8; 64] = {
    let mut packet = [0x5a; 64];
    let headers = [
        0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
        0x45, 0x00, 0x00, 0x32, 0x00, 0x01, 0x40, 0x00, 0x40, 0x11, // IPv4
        0x66, 0xb7, 192, 0, 2, 1, 198, 51, 100, 2, //
        0x30, 0x39, 0x00, 0x35, 0x00, 0x1e, 0x00, 0x00, // UDP
    ];
    let mut at = 0;
    while at < headers.len() {
        packet[at] = headers[at];
        at += 1;
    }
    packet
};

/// What `Headers` knows of the packet.
#[expect(dead_code, reason = "what is read counts")]
struct Fields {
    ether_type: u16,
    dscp: u8,
    ecn: u8,
    ttl: u8,
    protocol: u8,
    is_fragment: bool,
    is_later_fragment: bool,
    ports: (u16, u16),
    l3: usize,
    l4: usize,
    payload: usize,
    payload_end: usize,
    end: usize,
}

fn by_headers(frame: &[u8]) -> Option<Fields> {
    let headers = Headers::parse(frame).ok()?;
    Some(Fields {
        ether_type: headers.ether_type().0,
        dscp: headers.dscp(),
        ecn: headers.ecn(),
        ttl: headers.ttl(),
        protocol: headers.protocol()?.0,
        is_fragment: headers.is_fragment(),
        is_later_fragment: headers.is_later_fragment(),
        ports: headers.ports()?,
        l3: headers.l3_offset()?,
        l4: headers.l4_offset()?,
        payload: headers.payload_offset(),
        payload_end: headers.payload_end(),
        end: headers.end(),
    })
}

fn by_smoltcp(frame: &[u8]) -> Option<Fields> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    if ethernet.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let ip = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
    if ip.version() != 4 || ip.next_header() != IpProtocol::Udp {
        return None;
    }
    let udp = UdpPacket::new_checked(ip.payload()).ok()?;
    let (l3, l4) = (14, 14 + usize::from(ip.header_len()));
    Some(Fields {
        ether_type: ethernet.ethertype().into(),
        dscp: ip.dscp(),
        ecn: ip.ecn(),
        ttl: ip.hop_limit(),
        protocol: ip.next_header().into(),
        is_fragment: ip.more_frags() || ip.frag_offset() != 0,
        is_later_fragment: ip.frag_offset() != 0,
        ports: (udp.src_port(), udp.dst_port()),
        l3,
        l4,
        payload: l4 + 8,
        payload_end: l4 + usize::from(udp.len()),
        end: l3 + usize::from(ip.total_len()),
    })
}

/// The packet; how long it is, is not known when this is compiled.
fn packet() -> &'static [u8] {
    black_box(&PACKET[..])
}

pub(crate) fn cases() -> Vec<Case> {
    let headers = Headers::parse(packet()).expect("it is whole");
    vec![
        Case::new(
            "headers/parse/etherparse",
            5.0,
            || Headers::parse(packet()),
            || SlicedPacket::from_ethernet(packet()),
        ),
        Case::new(
            "headers/fields/smoltcp",
            1.0,
            || by_headers(packet()),
            || by_smoltcp(packet()),
        ),
        Case::new(
            "headers/flow/parse",
            1.0,
            move || FlowKey::of(black_box(&headers), packet()),
            || FlowKey::parse(packet()),
        ),
    ]
}
