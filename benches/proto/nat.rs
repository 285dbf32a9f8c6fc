//! A new source address and port in a whole frame, and what smoltcp's views need for the same: they sum the packet anew.

use std::hint::black_box;

use fluxcap::proto::nat::Rewrite;
use smoltcp::wire::{EthernetFrame, Ipv4Address, Ipv4Packet, TcpPacket, UdpPacket};

use crate::Case;

const UDP: u8 = 17;
const TCP: u8 = 6;

/// 10.0.0.1:12345 > 198.51.100.2:53 of 64 bytes, with checksums that smoltcp filled in.
fn packet(protocol: u8) -> [u8; 64] {
    let mut packet = [0x5a; 64];
    packet[..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00]);
    packet[14..34].copy_from_slice(&[
        0x45, 0, 0, 50, 0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 198, 51, 100, 2,
    ]);
    packet[34..42].copy_from_slice(&[0x30, 0x39, 0, 53, 0, 30, 0, 0]);
    if protocol == TCP {
        packet[46] = 0x50; // five words of header
        packet[47] = 0x10; // ACK
    }
    by_smoltcp(&mut packet, [10, 0, 0, 1], 12345);
    packet
}

fn by_smoltcp(frame: &mut [u8], address: [u8; 4], port: u16) -> Option<()> {
    let mut ethernet = EthernetFrame::new_checked(frame).ok()?;
    let mut ip = Ipv4Packet::new_checked(ethernet.payload_mut()).ok()?;
    let source = Ipv4Address::from(address);
    ip.set_src_addr(source);
    ip.fill_checksum();
    let destination = ip.dst_addr();
    match u8::from(ip.next_header()) {
        UDP => {
            let mut udp = UdpPacket::new_checked(ip.payload_mut()).ok()?;
            udp.set_src_port(port);
            udp.fill_checksum(&source.into(), &destination.into());
        }
        TCP => {
            let mut tcp = TcpPacket::new_checked(ip.payload_mut()).ok()?;
            tcp.set_src_port(port);
            tcp.fill_checksum(&source.into(), &destination.into());
        }
        _ => return None,
    }
    Some(())
}

/// Packets in turn, as many as in a batch: of one alone, each time would wait for what the time before has written.
const BATCH: usize = 64;

/// Each time the source becomes another, so that no step can be left out.
fn case(name: &'static str, protocol: u8) -> Case {
    let mut ours = vec![packet(protocol); BATCH];
    let mut peer = ours.clone();
    let sources = [([192, 0, 2, 1], 40_000), ([192, 0, 2, 7], 50_000)];
    let rewrites = sources.map(|source| Rewrite::new().source(source.into()));
    let (mut expected, mut rewritten) = (packet(protocol), packet(protocol));
    by_smoltcp(&mut expected, sources[0].0, sources[0].1);
    rewrites[0]
        .apply(&mut rewritten)
        .expect("a packet with ports");
    assert_eq!(rewritten, expected);
    let (mut our_turn, mut peer_turn) = (0, 0);
    Case::new(
        name,
        1.0,
        move || {
            our_turn += 1;
            let which = our_turn / BATCH % 2;
            rewrites[which].apply(black_box(&mut ours[our_turn % BATCH]))
        },
        move || {
            peer_turn += 1;
            let (address, port) = sources[peer_turn / BATCH % 2];
            by_smoltcp(black_box(&mut peer[peer_turn % BATCH]), address, port)
        },
    )
    .within(10.0)
}

pub(crate) fn cases() -> Vec<Case> {
    vec![case("nat/udp4/smoltcp", UDP), case("nat/tcp4/smoltcp", TCP)]
}
