//! Headers put in front of packets and taken off, a hop less, a smaller MSS: against smoltcp's views, which sum headers and packets
//! anew, and where no crate does it, against a copy of the frame as a yardstick.

use std::hint::black_box;
use std::net::Ipv4Addr;

use fluxcap::proto::edit::{self, Outer};
use fluxcap::proto::{FrameBuilder, MacAddr, TcpFlags, TcpOption, Vxlan};
use fluxcap::{Packet, UmemConfig, UmemRegion};
use smoltcp::wire::{EthernetFrame, Ipv4Packet, TcpOption as SmolOption, TcpPacket};

use crate::Case;

const MACS: (MacAddr, MacAddr) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
const ADDRESSES: (Ipv4Addr, Ipv4Addr) =
    (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 2));

/// A UDP packet of `len` bytes.
fn datagram(len: usize) -> Vec<u8> {
    let mut frame = vec![0; len];
    let payload = vec![0x5a; len - 42];
    let builder = FrameBuilder::new(&mut frame).ethernet(MACS.0, MACS.1);
    let builder = builder.ipv4(ADDRESSES.0, ADDRESSES.1).udp(12345, 53);
    builder.payload(&payload).expect("as much room as it takes");
    frame
}

/// A packet that opens a connection, as Linux sends it.
fn syn() -> Vec<u8> {
    let mut buffer = [0; 128];
    let frame = FrameBuilder::new(&mut buffer)
        .ethernet(MACS.0, MACS.1)
        .ipv4(ADDRESSES.0, ADDRESSES.1)
        .tcp(40_000, 443, TcpFlags::SYN)
        .tcp_options(&[
            TcpOption::MaximumSegmentSize(1460),
            TcpOption::SackPermitted,
            TcpOption::NoOperation,
            TcpOption::WindowScale(7),
        ]);
    frame.finish().expect("there is room").to_vec()
}

/// In a frame of its own, with room in front as of a received one.
fn packet(frame: &[u8]) -> Packet {
    let umem = UmemRegion::heap(UmemConfig::default()).expect("memory");
    umem.copy(frame).expect("it fits").expect("a free frame")
}

/// Steps that take back what they do, with a copy of the frame as the peer.
fn there_and_back(
    name: &'static str,
    frame: Vec<u8>,
    steps: impl Fn(&mut Packet) + 'static,
) -> Case {
    let mut ours = packet(&frame);
    steps(&mut ours);
    assert_eq!(ours.data(), frame, "{name}");
    let mut copy = vec![0; frame.len()];
    Case::new(
        name,
        1.0,
        move || steps(black_box(&mut ours)),
        move || copy.copy_from_slice(black_box(&frame)),
    )
}

/// A change of a frame that is made anew for each time, here and there.
fn change(
    name: &'static str,
    frame: Vec<u8>,
    ours: fn(&mut [u8]) -> bool,
    peer: fn(&mut [u8]) -> Option<()>,
) -> Case {
    let (mut our_frame, mut peer_frame) = (frame.clone(), frame.clone());
    assert!(ours(&mut our_frame) && peer(&mut peer_frame).is_some());
    assert_eq!(our_frame, peer_frame, "{name}");
    assert_ne!(our_frame, frame, "{name}");
    let again = frame.clone();
    Case::new(
        name,
        1.0,
        move || {
            our_frame.copy_from_slice(&frame);
            ours(black_box(&mut our_frame))
        },
        move || {
            peer_frame.copy_from_slice(&again);
            peer(black_box(&mut peer_frame))
        },
    )
}

fn ttl_by_smoltcp(frame: &mut [u8]) -> Option<()> {
    let mut ethernet = EthernetFrame::new_checked(frame).ok()?;
    let mut ip = Ipv4Packet::new_checked(ethernet.payload_mut()).ok()?;
    let hops = ip.hop_limit();
    if hops <= 1 {
        return None;
    }
    ip.set_hop_limit(hops - 1);
    ip.fill_checksum();
    Some(())
}

const MSS: u16 = 1360;

fn mss_by_smoltcp(frame: &mut [u8]) -> Option<()> {
    let mut ethernet = EthernetFrame::new_checked(frame).ok()?;
    let mut ip = Ipv4Packet::new_checked(ethernet.payload_mut()).ok()?;
    let (source, destination) = (ip.src_addr(), ip.dst_addr());
    let mut tcp = TcpPacket::new_checked(ip.payload_mut()).ok()?;
    if !tcp.syn() {
        return None;
    }
    let mut options = tcp.options_mut();
    while !options.is_empty() {
        let (rest, option) = SmolOption::parse(options).ok()?;
        let len = options.len() - rest.len();
        if matches!(option, SmolOption::MaxSegmentSize(mss) if mss > MSS) {
            options[2..4].copy_from_slice(&MSS.to_be_bytes());
        }
        options = &mut options[len..];
    }
    tcp.fill_checksum(&source.into(), &destination.into());
    Some(())
}

pub(crate) fn cases() -> Vec<Case> {
    let outer = Outer::ipv4(MACS, ADDRESSES);
    vec![
        there_and_back("edit/vlan/copy", datagram(1514), |packet| {
            edit::push_vlan(packet, 7).expect("there is headroom");
            edit::pop_vlan(packet).expect("the tag just pushed");
        }),
        there_and_back("edit/vxlan/copy", datagram(1464), move |packet| {
            edit::vxlan_encap(packet, &outer, 77).expect("there is headroom");
            edit::vxlan_decap(packet, Vxlan::PORT).expect("the tunnel just made");
        }),
        change(
            "edit/ttl/smoltcp",
            datagram(64),
            |frame| edit::decrement_ttl(frame).is_ok(),
            ttl_by_smoltcp,
        ),
        change(
            "edit/mss/smoltcp",
            syn(),
            |frame| edit::clamp_mss(frame, MSS) == Ok(true),
            mss_by_smoltcp,
        ),
    ]
}
