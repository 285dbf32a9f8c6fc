//! Frames as network stacks send them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use fluxcap::proto::checksum::{PseudoHeader, checksum};
use fluxcap::proto::{
    Arp, ArpOperation, EtherType, Ethernet, IpProtocol, Ipv4, Ipv6, MacAddr, Tcp, TcpFlags, Udp,
};

/// The source of all frames.
pub(crate) const SENDER: MacAddr = MacAddr([2, 0, 0, 0, 0x99, 1]);
const RECEIVER: MacAddr = MacAddr([2, 0, 0, 0, 0x99, 2]);

/// A frame with `payload` zeros.
pub(crate) fn ethernet(ether_type: EtherType, payload: usize) -> Vec<u8> {
    let mut frame = vec![0; Ethernet::LEN + payload];
    let (ethernet, _) = Ethernet::parse_mut(&mut frame).expect("long enough");
    ethernet.set_source(SENDER);
    ethernet.set_destination(RECEIVER);
    ethernet.set_ether_type(ether_type);
    frame
}

/// Changes the Ethernet addresses.
#[allow(dead_code, reason = "not every program has several neighbours")]
pub(crate) fn address(frame: &mut [u8], from: MacAddr, to: MacAddr) {
    let (ethernet, _) = Ethernet::parse_mut(frame).expect("a whole frame");
    ethernet.set_source(from);
    ethernet.set_destination(to);
}

/// An ARP request of 10.0.0.1 for 10.0.0.2, or the reply.
#[allow(dead_code, reason = "not every program receives such")]
pub(crate) fn arp(operation: ArpOperation) -> Vec<u8> {
    let mut frame = ethernet(EtherType::ARP, 46);
    let payload = &mut frame[Ethernet::LEN..];
    // Ethernet and IPv4 addresses, and their lengths.
    payload[..6].copy_from_slice(&[0, 1, 8, 0, 6, 4]);
    let (arp, _) = Arp::parse_mut(payload).expect("long enough");
    let mut ends = [1, 2].map(|host| Ipv4Addr::new(10, 0, 0, host));
    if operation == ArpOperation::REPLY {
        ends.reverse();
    }
    arp.set_operation(operation);
    arp.set_sender_mac(SENDER);
    arp.set_sender_ip(ends[0]);
    arp.set_target_ip(ends[1]);
    frame
}

/// A TCP segment, a UDP datagram or (IPv4 only) a ping with `data` bytes of payload and valid checksums.
pub(crate) fn datagram(
    protocol: IpProtocol,
    source: SocketAddr,
    destination: SocketAddr,
    data: usize,
) -> Vec<u8> {
    let header = match protocol {
        IpProtocol::TCP => 20,
        _ => 8,
    };
    let length = header + data;
    let mut frame;
    let (message, addresses) = match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame = ethernet(EtherType::IPV4, 20 + length);
            let packet = &mut frame[Ethernet::LEN..];
            packet[0] = 0x45; // version 4, a header of 5 words
            packet[2..4].copy_from_slice(&(20 + length as u16).to_be_bytes());
            let (ip, message) = Ipv4::parse_mut(packet).expect("a whole header");
            ip.set_ttl(64);
            ip.set_protocol(protocol);
            ip.set_source(from);
            ip.set_destination(to);
            ip.fill_checksum();
            (message, PseudoHeader::ipv4(from, to))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            frame = ethernet(EtherType::IPV6, 40 + length);
            let packet = &mut frame[Ethernet::LEN..];
            packet[0] = 0x60; // version 6
            packet[4..6].copy_from_slice(&(length as u16).to_be_bytes());
            let (ip, message) = Ipv6::parse_mut(packet).expect("a whole header");
            ip.set_hop_limit(64);
            ip.set_next_header(protocol);
            ip.set_source(from);
            ip.set_destination(to);
            (message, PseudoHeader::ipv6(from, to))
        }
        _ => panic!("addresses of two versions"),
    };
    for (place, byte) in message[header..].iter_mut().enumerate() {
        *byte = place as u8;
    }
    write_header(
        protocol,
        message,
        addresses,
        source.port(),
        destination.port(),
    );
    frame
}

fn write_header(
    protocol: IpProtocol,
    message: &mut [u8],
    addresses: PseudoHeader,
    from: u16,
    to: u16,
) {
    let length = message.len() as u16;
    match protocol {
        IpProtocol::TCP => {
            message[12] = 5 << 4; // a header of 5 words
            let (tcp, data) = Tcp::parse_mut(message).expect("a whole header");
            tcp.set_source_port(from);
            tcp.set_destination_port(to);
            tcp.set_flags(TcpFlags::ACK);
            tcp.set_window(65_535);
            tcp.fill_checksum(addresses, data);
        }
        IpProtocol::UDP => {
            message[4..6].copy_from_slice(&length.to_be_bytes());
            let (udp, data) = Udp::parse_mut(message).expect("a whole header");
            udp.set_source_port(from);
            udp.set_destination_port(to);
            udp.fill_checksum(addresses, data);
        }
        _ => {
            message[0] = 8; // ICMP echo request
            let sum = checksum(message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        }
    }
}

/// Makes the checksum of a TCP segment over IPv4 unfinished, as a stack leaves it to veth.
#[allow(dead_code, reason = "not every program receives such")]
pub(crate) fn leave_checksum(frame: &mut [u8]) {
    let (_, packet) = Ethernet::parse_mut(frame).expect("a whole frame");
    let (ip, message) = Ipv4::parse_mut(packet).expect("a whole packet");
    let addresses = ip.pseudo_header();
    let length = message.len() as u32;
    let (tcp, _) = Tcp::parse_mut(message).expect("a whole segment");
    tcp.set_checksum(addresses.partial(IpProtocol::TCP, length));
}
