//! Whole frames built into a buffer, and what etherparse and smoltcp have for that. All give the same bytes.

use std::hint::black_box;
use std::net::Ipv4Addr;

use etherparse::PacketBuilder;
use fluxcap::proto::{FrameBuilder, MacAddr, Vxlan};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Packet,
    Ipv4Repr, UdpPacket, UdpRepr,
};

use crate::Case;

/// From and to, and what is said.
#[derive(Clone, Copy)]
struct Datagram {
    macs: [[u8; 6]; 2],
    addresses: [Ipv4Addr; 2],
    ports: [u16; 2],
    payload: &'static [u8],
}

const QUESTION: Datagram = Datagram {
    macs: [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]],
    addresses: [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 2)],
    ports: [12345, 53],
    payload: &[0x5a; 18],
};

/// Those of the tunnel that the question goes through.
const TUNNEL: Datagram = Datagram {
    macs: [[2, 0, 0, 0, 0, 3], [2, 0, 0, 0, 0, 4]],
    addresses: [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)],
    ports: [50_000, Vxlan::PORT],
    payload: &[],
};

/// What is built is not known when this is compiled.
fn question() -> Datagram {
    black_box(QUESTION)
}

fn put<'a>(builder: FrameBuilder<'a>, datagram: &Datagram) -> FrameBuilder<'a> {
    let [from, to] = datagram.macs;
    let [source, destination] = datagram.addresses;
    let [source_port, destination_port] = datagram.ports;
    builder
        .ethernet(MacAddr(from), MacAddr(to))
        .ipv4(source, destination)
        .udp(source_port, destination_port)
}

fn by_us(buffer: &mut [u8]) -> usize {
    let datagram = question();
    let frame = put(FrameBuilder::new(buffer), &datagram).payload(datagram.payload);
    frame.map_or(0, |frame| frame.len())
}

fn by_etherparse(buffer: &mut [u8], datagram: &Datagram, payload: &[u8]) -> usize {
    let ([from, to], [source, destination]) = (datagram.macs, datagram.addresses);
    let built = PacketBuilder::ethernet2(from, to)
        .ipv4(source.octets(), destination.octets(), 64)
        .udp(datagram.ports[0], datagram.ports[1])
        .write_to_slice(buffer, payload);
    built.unwrap_or(0)
}

fn by_smoltcp(buffer: &mut [u8]) -> usize {
    let datagram = question();
    let [source, destination] = datagram.addresses;
    let payload = datagram.payload;
    let udp = UdpRepr {
        src_port: datagram.ports[0],
        dst_port: datagram.ports[1],
    };
    let ip = Ipv4Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + payload.len(),
        hop_limit: 64,
    };
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress(datagram.macs[0]),
        dst_addr: EthernetAddress(datagram.macs[1]),
        ethertype: EthernetProtocol::Ipv4,
    };
    let len = ethernet.buffer_len() + ip.buffer_len() + ip.payload_len;
    let Some(frame) = buffer.get_mut(..len) else {
        return 0;
    };
    let checksums = ChecksumCapabilities::default();
    let mut frame = EthernetFrame::new_unchecked(frame);
    ethernet.emit(&mut frame);
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet, &checksums);
    udp.emit(
        &mut UdpPacket::new_unchecked(packet.payload_mut()),
        &source.into(),
        &destination.into(),
        payload.len(),
        |room| room.copy_from_slice(payload),
        &checksums,
    );
    len
}

const NETWORK: u32 = 77;

fn tunnel_by_us(buffer: &mut [u8]) -> usize {
    let datagram = question();
    let outer = put(FrameBuilder::new(buffer), &black_box(TUNNEL)).vxlan(NETWORK);
    let frame = put(outer, &datagram).payload(datagram.payload);
    frame.map_or(0, |frame| frame.len())
}

/// It has no VXLAN: what is in the tunnel is built first, and then copied as payload.
fn tunnel_by_etherparse(buffer: &mut [u8], payload: &mut [u8]) -> usize {
    let datagram = question();
    payload[..8].copy_from_slice(&[0x08, 0, 0, 0, 0, 0, NETWORK as u8, 0]);
    let len = 8 + by_etherparse(&mut payload[8..], &datagram, datagram.payload);
    by_etherparse(buffer, &black_box(TUNNEL), &payload[..len])
}

/// The same bytes, or it is no comparison.
fn case(
    name: &'static str,
    ours: fn(&mut [u8]) -> usize,
    mut peer: impl FnMut(&mut [u8]) -> usize + 'static,
) -> Case {
    let (mut our_room, mut peer_room) = (vec![0xee; 2048], vec![0xee; 2048]);
    let lens = (ours(&mut our_room), peer(&mut peer_room));
    assert_eq!(our_room[..lens.0], peer_room[..lens.1], "{name}");
    Case::new(
        name,
        1.0,
        move || ours(black_box(&mut our_room)),
        move || peer(black_box(&mut peer_room)),
    )
}

pub(crate) fn cases() -> Vec<Case> {
    let etherparse = |buffer: &mut [u8]| {
        let datagram = question();
        by_etherparse(buffer, &datagram, datagram.payload)
    };
    let mut inner = vec![0; 2048];
    vec![
        case("build/udp4/etherparse", by_us, etherparse),
        case("build/udp4/smoltcp", by_us, by_smoltcp),
        case("build/vxlan4/etherparse", tunnel_by_us, move |buffer| {
            tunnel_by_etherparse(buffer, &mut inner)
        }),
    ]
}
