//! Headers put in front and taken off: what was pushed comes off again, and an error changes nothing. The packets are real ones, in
//! frames of a UMEM.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use fluxcap::proto::edit::{
    EditError, GrePayload, Outer, VxlanFields, clamp_mss, decrement_ttl, gre_decap, gre_encap,
    pop_mpls, pop_vlan, push_mpls, push_vlan, vxlan_decap, vxlan_encap,
};
use fluxcap::proto::{EtherType, GreFields, Headers, MacAddr, Mpls, VlanTag};
use fluxcap::{Packet, UmemConfig, UmemRegion};

use super::mutators::checksums;
use super::{Choices, split};

/// A packet with these bytes; `None` if they are none, or too many.
fn packet(bytes: &[u8]) -> Option<Packet> {
    static UMEM: OnceLock<UmemRegion> = OnceLock::new();
    let umem = UMEM.get_or_init(|| UmemRegion::heap(UmemConfig::default()).unwrap());
    umem.copy(bytes).ok().flatten()
}

/// Does something to a packet, which stays as it was if that fails.
fn attempt<T>(
    packet: &mut Packet,
    edit: impl FnOnce(&mut Packet) -> Result<T, EditError>,
) -> Option<T> {
    let before = packet.data().to_vec();
    match edit(packet) {
        Ok(done) => Some(done),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(packet.data(), before, "changed, and an error: {error}");
            None
        }
    }
}

fn outer(choices: &mut Choices<'_>) -> Outer {
    let macs = (MacAddr(choices.bytes()), MacAddr(choices.bytes()));
    if choices.flag() {
        let ips = (
            Ipv4Addr::from(choices.bytes::<4>()),
            Ipv4Addr::from(choices.bytes::<4>()),
        );
        Outer::ipv4(macs, ips).hops(choices.byte())
    } else {
        let ips = (Ipv6Addr::from(choices.bytes::<16>()), Ipv6Addr::LOCALHOST);
        Outer::ipv6(macs, ips).dscp(choices.byte() & 63)
    }
}

pub(crate) fn tags(data: &[u8]) {
    let (mut choices, bytes) = split(data, 16);
    let Some(mut packet) = packet(bytes) else {
        return;
    };
    let tag = VlanTag {
        id: choices.word() % 4096,
        priority: choices.byte() % 8,
        drop_eligible: choices.flag(),
        ether_type: if choices.flag() {
            EtherType::VLAN
        } else {
            EtherType::QINQ
        },
    };
    if attempt(&mut packet, |packet| push_vlan(packet, tag)).is_some() {
        assert_eq!(packet.len(), bytes.len() + 4);
        assert_eq!(attempt(&mut packet, pop_vlan), Some(tag));
        assert_eq!(packet.data(), bytes);
    }
    let entry = Mpls::new(choices.double_word() & 0xf_ffff, choices.byte());
    if attempt(&mut packet, |packet| push_mpls(packet, entry)).is_some() {
        assert_eq!(packet.len(), bytes.len() + 4);
        let (was, _) = Headers::parse_partial(bytes);
        if was.vlan_tags() == 0 && !was.ether_type().is_vlan() && was.mpls_labels() == 0 {
            let below = (!was.ether_type().is_mpls()).then(|| was.ether_type());
            let popped = attempt(&mut packet, |packet| pop_mpls(packet, below)).unwrap();
            assert_eq!((popped.label(), popped.ttl()), (entry.label(), entry.ttl()));
            assert_eq!(packet.data(), bytes);
        }
    }
    while attempt(&mut packet, pop_vlan).is_some() {}
    while attempt(&mut packet, |packet| pop_mpls(packet, None)).is_some() {}
}

pub(crate) fn tunnels(data: &[u8]) {
    let (mut choices, bytes) = split(data, 64);
    let Some(mut packet) = packet(bytes) else {
        return;
    };
    let outer = outer(&mut choices);
    let fields = GreFields {
        checksum: choices.flag(),
        key: choices.flag().then(|| choices.double_word()),
        sequence_number: choices.flag().then(|| choices.double_word()),
    };
    if attempt(&mut packet, |packet| {
        gre_encap(packet, &outer, GrePayload::Frame, fields)
    })
    .is_some()
    {
        assert_ne!(checksums(packet.data()).header, Some(false));
        let decapped = attempt(&mut packet, gre_decap);
        assert_eq!(decapped, Some((EtherType::ETHERNET, fields)));
        assert_eq!(packet.data(), bytes);
    }
    let vxlan = VxlanFields {
        vni: choices.double_word() & 0xff_ffff,
        source_port: choices.flag().then(|| choices.word()),
        destination_port: choices.word(),
        checksum: choices.flag().then(|| choices.flag()),
    };
    if attempt(&mut packet, |packet| vxlan_encap(packet, &outer, vxlan)).is_some() {
        let checksums = checksums(packet.data());
        assert_ne!(checksums.header, Some(false));
        let is_zero_over_ipv6 = vxlan.checksum == Some(false) || vxlan.checksum.is_none();
        assert!(checksums.message != Some(false) || is_zero_over_ipv6);
        let port = vxlan.destination_port;
        let decapped = attempt(&mut packet, |packet| vxlan_decap(packet, port));
        assert_eq!(decapped, Some(vxlan.vni));
        assert_eq!(packet.data(), bytes);
    }
    let packed = attempt(&mut packet, |packet| {
        gre_encap(packet, &outer, GrePayload::Packet, fields)
    });
    if packed.is_some() {
        // What was an IP packet is one again.
        let (was, _) = Headers::parse_partial(bytes);
        let done = attempt(&mut packet, gre_decap);
        assert!(done.is_some() || was.ip_version().is_none());
    }
    // What came in, taken apart.
    for _ in 0..8 {
        let gre = attempt(&mut packet, gre_decap).is_some();
        let vxlan = attempt(&mut packet, |packet| vxlan_decap(packet, 4789)).is_some();
        if !gre && !vxlan {
            break;
        }
    }
}

/// The ends of a packet, moved by any distance.
pub(crate) fn adjust(data: &[u8]) {
    let (mut choices, bytes) = split(data, 32);
    let Some(mut packet) = packet(bytes) else {
        return;
    };
    for _ in 0..5 {
        let delta = i32::from_be_bytes(choices.bytes());
        let delta = if choices.flag() { delta % 4096 } else { delta };
        let before = packet.data().to_vec();
        let (headroom, tailroom) = (packet.headroom(), packet.tailroom());
        let at_head = choices.flag();
        let done = if at_head {
            packet.adjust_head(delta)
        } else {
            packet.adjust_tail(delta)
        };
        let (room, by) = (
            if at_head { headroom } else { tailroom },
            delta.unsigned_abs() as usize,
        );
        let grows = at_head == (delta < 0);
        let len = before.len();
        let fits = delta == 0 || if grows { by <= room } else { by <= len };
        // A packet of nothing may start anywhere but at the end of its frame.
        if !at_head || by != len {
            assert_eq!(done.is_ok(), fits, "{delta} at head {at_head}: {done:?}");
        }
        if done.is_err() {
            assert_eq!(packet.data(), before);
            continue;
        }
        let now = packet.data();
        let kept = before.len().min(now.len());
        if at_head {
            assert_eq!(now[now.len() - kept..], before[before.len() - kept..]);
        } else {
            assert_eq!(now[..kept], before[..kept]);
        }
        packet.data_mut().fill(0xaa);
    }
}

pub(crate) fn mss(data: &[u8]) {
    let (mut choices, bytes) = split(data, 2);
    let max = choices.word();
    let mut frame = bytes.to_vec();
    let was = checksums(bytes);
    match clamp_mss(&mut frame, max) {
        Ok(true) => {
            assert_ne!(frame, bytes);
            if was.message == Some(true) {
                assert_eq!(checksums(&frame).message, Some(true));
            }
            assert_eq!(clamp_mss(&mut frame, max), Ok(false), "twice");
        }
        Ok(false) | Err(_) => assert_eq!(frame, bytes),
    }
    let mut frame = bytes.to_vec();
    match decrement_ttl(&mut frame) {
        Ok(()) => assert_eq!(checksums(&frame), was),
        Err(_) => assert_eq!(frame, bytes),
    }
}
