//! Headers that come and go, compared with frames that another program (scapy 2.8) made.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::error::{FluxError, Result};
use crate::proto::samples::Random;
use crate::proto::{EtherType, GreFields, Ipv4, Ipv6, MacAddr, Mpls, Udp, VlanTag, Vxlan};

/// A packet in the middle of a small memory.
#[derive(Debug, Clone, PartialEq)]
struct Buffer {
    memory: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    fn new(bytes: &[u8], headroom: usize) -> Self {
        let mut memory = vec![0xA5; headroom];
        memory.extend(bytes);
        let end = memory.len();
        memory.resize(end + 16, 0xA5);
        let start = headroom;
        Self { memory, start, end }
    }
}

/// Where `at` is moved to, within `least` and `most`.
fn moved(at: usize, delta: i32, least: usize, most: usize) -> Result<usize> {
    let to = at as i64 + i64::from(delta);
    if to < least as i64 || to > most as i64 {
        return Err(FluxError::invalid(
            "move",
            "it does not fit",
            "move it less",
        ));
    }
    Ok(to as usize)
}

impl Room for Buffer {
    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.end]
    }

    fn headroom(&self) -> usize {
        self.start
    }

    fn tailroom(&self) -> usize {
        self.memory.len() - self.end
    }

    fn adjust_head(&mut self, delta: i32) -> Result<()> {
        self.start = moved(self.start, delta, 0, self.end)?;
        Ok(())
    }

    fn adjust_tail(&mut self, delta: i32) -> Result<()> {
        self.end = moved(self.end, delta, self.start, self.memory.len())?;
        Ok(())
    }
}

/// UDP over IPv4, of 45 bytes.
const FRAME: [u8; 45] = [
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
    0x45, 0x00, 0x00, 0x1f, 0x12, 0x34, 0x00, 0x00, 0x40, 0x11, 0x54, 0x98, // IPv4
    10, 0, 0, 1, 10, 0, 0, 2, //
    0x04, 0xd2, 0x00, 0x35, 0x00, 0x0b, 0x0f, 0x60, // UDP
    b'd', b'n', b's',
];
/// What is Ethernet in it.
const LINK: usize = 14;

/// The Ethernet header of a tunnel, without its ether type.
const MACS: [u8; 12] = [0x02, 0, 0, 0, 0, 0x0a, 0x02, 0, 0, 0, 0, 0x0b];
const IPV4_ADDRESSES: [u8; 8] = [192, 0, 2, 1, 198, 51, 100, 1];
const IPV6_ADDRESSES: [u8; 32] = [
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, //
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
];

fn ipv4() -> Outer {
    let here = Ipv4Addr::new(192, 0, 2, 1);
    let there = Ipv4Addr::new(198, 51, 100, 1);
    Outer::ipv4(macs(), (here, there)).hops(32).dscp(46).ecn(1)
}

fn ipv6() -> Outer {
    let here = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let there = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
    Outer::ipv6(macs(), (here, there)).ecn(1).dscp(46).hops(32)
}

fn macs() -> (MacAddr, MacAddr) {
    let [.., source] = [[2, 0, 0, 0, 0, 0x0b]];
    (MacAddr(source), MacAddr([2, 0, 0, 0, 0, 0x0a]))
}

fn from_port(vni: u32) -> VxlanFields {
    VxlanFields {
        source_port: Some(50000),
        ..VxlanFields::new(vni)
    }
}

type Edit = fn(&mut Buffer) -> Result<(), EditError>;

/// The error of an edit, which must leave everything as it was.
#[track_caller]
fn refusal(packet: &Buffer, edit: impl FnOnce(&mut Buffer) -> Result<(), EditError>) -> EditError {
    let mut changed = packet.clone();
    let error = edit(&mut changed).unwrap_err();
    assert_eq!(changed, *packet);
    error
}

#[test]
fn a_pushed_tag_is_the_outermost_and_the_payload_stays_where_it_is() {
    let mut packet = Buffer::new(&FRAME, 8);
    push_vlan(&mut packet, 7).unwrap();
    let tag = VlanTag {
        id: 0xfff,
        priority: 5,
        drop_eligible: true,
        ether_type: EtherType::QINQ,
    };
    push_vlan(&mut packet, tag).unwrap();
    assert_eq!(packet.headroom(), 0);
    assert_eq!(packet.bytes()[..12], FRAME[..12]);
    let tags = [0x88, 0xa8, 0xbf, 0xff, 0x81, 0x00, 0x00, 0x07];
    assert_eq!(packet.bytes()[12..20], tags);
    assert_eq!(packet.bytes()[20..], FRAME[12..]);
    assert_eq!(pop_vlan(&mut packet), Ok(tag));
    assert_eq!(pop_vlan(&mut packet), Ok(VlanTag::new(7)));
    assert_eq!(packet.bytes(), FRAME);
    assert_eq!(packet.headroom(), 8);
    let pop: Edit = |packet| pop_vlan(packet).map(drop);
    assert_eq!(refusal(&packet, pop), EditError::Absent("VLAN"));
}

#[test]
fn a_length_stays_behind_a_tag() {
    let mut frame = FRAME;
    frame[12..14].copy_from_slice(&[0, 31]); // IEEE 802.3
    let mut packet = Buffer::new(&frame, 4);
    push_vlan(&mut packet, 7).unwrap();
    assert_eq!(packet.bytes()[12..18], [0x81, 0x00, 0x00, 0x07, 0, 31]);
    pop_vlan(&mut packet).unwrap();
    assert_eq!(packet.bytes(), frame);
}

#[test]
fn a_tag_that_cannot_be_is_refused() {
    let packet = Buffer::new(&FRAME, 4);
    let tag = VlanTag::new(1);
    for (tag, text) in [
        (VlanTag::new(4096), "VLAN number cannot be 0x1000"),
        (
            VlanTag { priority: 8, ..tag },
            "VLAN priority cannot be 0x8",
        ),
        (
            VlanTag {
                ether_type: EtherType::IPV4,
                ..tag
            },
            "ether type of a VLAN tag cannot be 0x800",
        ),
    ] {
        let error = refusal(&packet, |packet| push_vlan(packet, tag));
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn labels_go_behind_the_tags_and_the_first_one_is_the_bottom() {
    let mut packet = Buffer::new(&FRAME, 12);
    push_vlan(&mut packet, 7).unwrap();
    let mut inner = Mpls::new(100, 64);
    inner.set_traffic_class(3);
    push_mpls(&mut packet, inner).unwrap();
    let mut outer = Mpls::new(0xf_ffff, 1);
    outer.set_bottom(true); // which it is not
    push_mpls(&mut packet, outer).unwrap();
    assert_eq!(packet.bytes()[..12], FRAME[..12]);
    let front = [
        0x81, 0x00, 0x00, 0x07, 0x88, 0x47, // the tag, MPLS
        0xff, 0xff, 0xf0, 0x01, // label 1,048,575, ttl 1
        0x00, 0x06, 0x47, 0x40, // label 100, class 3, bottom, ttl 64
    ];
    assert_eq!(packet.bytes()[12..26], front);
    assert_eq!(packet.bytes()[26..], FRAME[14..]);

    let top = pop_mpls(&mut packet, None).unwrap();
    assert_eq!((top.label(), top.is_bottom()), (0xf_ffff, false));
    assert_eq!(packet.bytes()[16..18], [0x88, 0x47]);
    let last = pop_mpls(&mut packet, None).unwrap();
    assert_eq!((last.label(), last.traffic_class()), (100, 3));
    assert!(last.is_bottom());
    pop_vlan(&mut packet).unwrap();
    assert_eq!(packet.bytes(), FRAME);
    let pop: Edit = |packet| pop_mpls(packet, None).map(drop);
    assert_eq!(refusal(&packet, pop), EditError::Absent("MPLS"));
}

#[test]
fn what_is_below_the_last_label_is_told_or_seen() {
    let mut arp = FRAME;
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    arp[14] = 0;
    let mut packet = Buffer::new(&arp, 4);
    push_mpls(&mut packet, Mpls::new(100, 64)).unwrap();
    let error = refusal(&packet, |packet| pop_mpls(packet, None).map(drop));
    assert_eq!(error, EditError::UnknownPayload);
    let length = Some(EtherType(0x05ff));
    let error = refusal(&packet, |packet| pop_mpls(packet, length).map(drop));
    let text = "ether type below the last label cannot be 0x5ff";
    assert_eq!(error.to_string(), text);
    pop_mpls(&mut packet, Some(EtherType::ARP)).unwrap();
    assert_eq!(packet.bytes(), arp);
}

#[test]
fn a_stack_of_upstream_labels_stays_one() {
    let mut packet = Buffer::new(&FRAME, 8);
    push_mpls(&mut packet, Mpls::new(100, 64)).unwrap();
    packet.bytes_mut()[13] = 0x48;
    push_mpls(&mut packet, Mpls::new(200, 64)).unwrap();
    assert_eq!(packet.bytes()[12..14], [0x88, 0x48]);
    pop_mpls(&mut packet, None).unwrap();
    assert_eq!(packet.bytes()[12..14], [0x88, 0x48]);
}

/// The Ethernet and IPv4 header of a tunnel with these bytes where packets differ.
fn over_ipv4(length: u8, protocol: u8, checksum: [u8; 2], rest: &[u8]) -> Vec<u8> {
    let [high, low] = checksum;
    let ip = [
        0x45, 0xb9, 0, length, 0, 0, 0x40, 0, 32, protocol, high, low,
    ];
    [&MACS[..], &[0x08, 0x00], &ip, &IPV4_ADDRESSES, rest].concat()
}

fn over_ipv6(length: u8, protocol: u8, rest: &[u8]) -> Vec<u8> {
    let ip = [0x6b, 0x90, 0, 0, 0, length, protocol, 32];
    [&MACS[..], &[0x86, 0xdd], &ip, &IPV6_ADDRESSES, rest].concat()
}

#[test]
fn a_vxlan_tunnel_is_that_of_the_reference() {
    let with = |checksum| VxlanFields {
        checksum: Some(checksum),
        ..from_port(0x12_3456)
    };
    let rest = |checksum: [u8; 2]| {
        let [high, low] = checksum;
        [
            0xc3, 0x50, 0x12, 0xb5, 0x00, 0x3d, high, low, // UDP
            0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0, // VXLAN
        ]
    };
    let sum = [0x6d, 0xad];
    for (outer, fields, front) in [
        (
            ipv4(),
            from_port(0x12_3456),
            over_ipv4(0x51, 17, sum, &rest([0, 0])),
        ),
        (
            ipv4(),
            with(true),
            over_ipv4(0x51, 17, sum, &rest([0xd5, 0x1f])),
        ),
        (
            ipv6(),
            from_port(0x12_3456),
            over_ipv6(0x3d, 17, &rest([0x65, 0xe1])),
        ),
        (ipv6(), with(false), over_ipv6(0x3d, 17, &rest([0, 0]))),
    ] {
        let mut packet = Buffer::new(&FRAME, front.len());
        vxlan_encap(&mut packet, &outer, fields).unwrap();
        assert_eq!(packet.bytes(), [&front[..], &FRAME].concat());
        let wrong = refusal(&packet, |packet| vxlan_decap(packet, 8472).map(drop));
        assert_eq!(wrong, EditError::Absent("VXLAN"));
        assert_eq!(vxlan_decap(&mut packet, Vxlan::PORT), Ok(0x12_3456));
        assert_eq!(packet.bytes(), FRAME);
    }
}

#[test]
fn a_gre_tunnel_is_that_of_the_reference() {
    let all = GreFields {
        checksum: true,
        key: Some(42),
        sequence_number: Some(7),
    };
    let key = GreFields {
        key: Some(42),
        ..GreFields::default()
    };
    let none = GreFields::default();
    let (frame, mere) = (GrePayload::Frame, GrePayload::Packet);
    let all_bytes = [
        0xb0, 0, 0x65, 0x58, 0xf2, 0x91, 0, 0, 0, 0, 0, 42, 0, 0, 0, 7,
    ];
    for (outer, payload, fields, front) in [
        (
            ipv4(),
            mere,
            none,
            over_ipv4(0x37, 47, [0x6d, 0xa9], &[0, 0, 8, 0]),
        ),
        (
            ipv4(),
            frame,
            all,
            over_ipv4(0x51, 47, [0x6d, 0x8f], &all_bytes),
        ),
        (
            ipv6(),
            mere,
            key,
            over_ipv6(0x27, 47, &[0x20, 0, 8, 0, 0, 0, 0, 42]),
        ),
        (
            ipv6(),
            frame,
            none,
            over_ipv6(0x31, 47, &[0, 0, 0x65, 0x58]),
        ),
    ] {
        let dropped = if payload == mere { LINK } else { 0 };
        let mut packet = Buffer::new(&FRAME, front.len() - dropped);
        gre_encap(&mut packet, &outer, payload, fields).unwrap();
        assert_eq!(packet.bytes(), [&front[..], &FRAME[dropped..]].concat());
        assert_eq!(packet.headroom(), 0);
        let (protocol_type, found) = gre_decap(&mut packet).unwrap();
        assert_eq!(found, fields);
        if payload == mere {
            assert_eq!(protocol_type, EtherType::IPV4);
            assert_eq!(packet.bytes()[..12], MACS);
            assert_eq!(packet.bytes()[12..], FRAME[12..]);
        } else {
            assert_eq!(protocol_type, EtherType::ETHERNET);
            assert_eq!(packet.bytes(), FRAME);
        }
    }
}

#[test]
fn a_mere_packet_in_gre_loses_its_tags() {
    let mut packet = Buffer::new(&FRAME, 64);
    push_vlan(&mut packet, 7).unwrap();
    push_vlan(&mut packet, VlanTag::service(100)).unwrap();
    let none = GreFields::default();
    gre_encap(&mut packet, &ipv4(), GrePayload::Packet, none).unwrap();
    let front = over_ipv4(0x37, 47, [0x6d, 0xa9], &[0, 0, 8, 0]);
    assert_eq!(packet.bytes(), [&front[..], &FRAME[LINK..]].concat());
}

#[test]
fn a_packet_with_more_tags_than_the_tunnel_has_headers_shrinks() {
    for tags in 0..=MAX_VLAN_TAGS {
        let mut packet = Buffer::new(&FRAME, 64);
        for _ in 0..tags {
            push_vlan(&mut packet, 7).unwrap();
        }
        let mut room = packet.headroom();
        gre_encap(
            &mut packet,
            &ipv4(),
            GrePayload::Packet,
            GreFields::default(),
        )
        .unwrap();
        let front = over_ipv4(0x37, 47, [0x6d, 0xa9], &[0, 0, 8, 0]);
        assert_eq!(packet.bytes(), [&front[..], &FRAME[LINK..]].concat());
        room += LINK + 4 * tags;
        assert_eq!(packet.headroom() + front.len(), room);
    }
}

#[test]
fn what_is_behind_the_tunnel_goes_with_it() {
    let mut packet = Buffer::new(&FRAME[..LINK], 64);
    vxlan_encap(&mut packet, &ipv4(), 1).unwrap();
    // As a card pads it, and with a tag that a switch has put on.
    packet.adjust_tail(6).unwrap();
    push_vlan(&mut packet, 7).unwrap();
    assert_eq!(vxlan_decap(&mut packet, Vxlan::PORT), Ok(1));
    assert_eq!(packet.bytes(), &FRAME[..LINK]);
    let mut packet = Buffer::new(&FRAME, 64);
    gre_encap(
        &mut packet,
        &ipv6(),
        GrePayload::Frame,
        GreFields::default(),
    )
    .unwrap();
    packet.adjust_tail(16).unwrap();
    gre_decap(&mut packet).unwrap();
    assert_eq!(packet.bytes(), FRAME);
}

#[test]
fn one_flow_comes_from_one_port_of_the_upper_range_and_others_from_others() {
    let port = |frame: &[u8]| {
        let mut packet = Buffer::new(frame, 50);
        vxlan_encap(&mut packet, &ipv4(), 1).unwrap();
        let (udp, _) = Udp::parse(&packet.bytes()[34..]).unwrap();
        udp.source_port()
    };
    let mut ports = std::collections::HashSet::new();
    for number in 0..100 {
        let mut frame = FRAME;
        frame[35] = number;
        let found = port(&frame);
        assert!(found >= 49152);
        frame[44] ^= 1; // other data of the same flow
        assert_eq!(port(&frame), found);
        ports.insert(found);
    }
    assert!(ports.len() > 90, "{}", ports.len());
}

#[test]
fn a_network_of_more_than_24_bits_is_refused() {
    let packet = Buffer::new(&FRAME, 50);
    let error = refusal(&packet, |packet| vxlan_encap(packet, &ipv4(), 1 << 24));
    let text = "VXLAN network identifier cannot be 0x1000000";
    assert_eq!(error.to_string(), text);
    vxlan_encap(&mut packet.clone(), &ipv4(), 0xff_ffff).unwrap();
}

/// All that grow a packet, and by how much.
const PUSHES: [(Edit, usize); 7] = [
    (|packet| push_vlan(packet, 7), 4),
    (|packet| push_mpls(packet, Mpls::new(100, 64)), 4),
    (|packet| vxlan_encap(packet, &ipv4(), 1), 50),
    (|packet| vxlan_encap(packet, &ipv6(), 1), 70),
    (
        |packet| gre_encap(packet, &ipv4(), GrePayload::Packet, GreFields::default()),
        24,
    ),
    (
        |packet| gre_encap(packet, &ipv4(), GrePayload::Frame, GreFields::default()),
        38,
    ),
    (
        |packet| gre_encap(packet, &ipv6(), GrePayload::Frame, GreFields::default()),
        58,
    ),
];
/// All that shrink one.
const POPS: [Edit; 4] = [
    |packet| pop_vlan(packet).map(drop),
    |packet| pop_mpls(packet, Some(EtherType::IPV4)).map(drop),
    |packet| vxlan_decap(packet, Vxlan::PORT).map(drop),
    |packet| gre_decap(packet).map(drop),
];

#[test]
fn the_headroom_suffices_to_the_byte() {
    for (push, needed) in PUSHES {
        for available in 0..needed {
            let error = refusal(&Buffer::new(&FRAME, available), push);
            assert_eq!(error, EditError::NoHeadroom { needed, available });
        }
        let mut packet = Buffer::new(&FRAME, needed);
        push(&mut packet).unwrap();
        assert_eq!(packet.headroom(), 0);
        assert_eq!(packet.memory[needed + LINK..needed + 45], FRAME[LINK..]);
        assert_eq!(packet.memory[needed + 45..], [0xA5; 16]);
    }
}

#[test]
fn a_frame_too_short_for_its_headers_is_refused() {
    for available in 0..LINK {
        let packet = Buffer::new(&FRAME[..available], 100);
        for edit in PUSHES.map(|(push, _)| push).into_iter().chain(POPS) {
            let error = refusal(&packet, edit);
            let EditError::Parse(error) = error else {
                panic!("{error}");
            };
            assert_eq!((error.protocol(), error.is_truncated()), ("Ethernet", true));
        }
    }
}

#[test]
fn a_header_to_take_off_that_is_cut_short_or_absent_is_refused_at_every_byte() {
    let pushes = PUSHES.into_iter().map(|(push, _)| push);
    for (push, pop) in pushes.zip([0, 1, 2, 2, 3, 3, 3].map(|pop| POPS[pop])) {
        let mut whole = Buffer::new(&FRAME, 70);
        push(&mut whole).unwrap();
        let most = whole.bytes().len();
        let needed = (0..=most).find(|&len| {
            let mut packet = Buffer::new(&whole.bytes()[..len], 0);
            pop(&mut packet).is_ok()
        });
        let needed = needed.unwrap();
        for len in 0..needed {
            refusal(&Buffer::new(&whole.bytes()[..len], 0), pop);
        }
        // Tags and labels do not say how long the packet is; tunnels do.
        let tells = whole.headroom() < 66;
        assert_eq!(needed, if tells { most } else { 18 });
        for other in POPS {
            if !std::ptr::fn_addr_eq(other, pop) {
                let error = refusal(&whole, other);
                assert!(matches!(error, EditError::Absent(_)), "{error}");
            }
        }
    }
}

#[test]
fn parts_of_a_packet_of_the_tunnel_are_refused() {
    for (push, pop) in [(PUSHES[2].0, POPS[2]), (PUSHES[5].0, POPS[3])] {
        for flags in [[0x20, 0x00], [0x20, 0x01], [0x00, 0x01]] {
            let mut packet = Buffer::new(&FRAME, 70);
            push(&mut packet).unwrap();
            packet.bytes_mut()[20..22].copy_from_slice(&flags);
            assert_eq!(refusal(&packet, pop), EditError::Fragment);
        }
    }
}

#[test]
fn a_gre_packet_that_carries_nothing_known_is_refused() {
    let mut packet = Buffer::new(&FRAME, 70);
    PUSHES[4].0(&mut packet).unwrap();
    packet.bytes_mut()[36..38].fill(0); // a keepalive
    let error = refusal(&packet, POPS[3]);
    let text = "GRE protocol type at byte 36 cannot be 0";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_frame_that_does_not_say_what_it_carries_is_neither_labelled_nor_stripped() {
    let mut frame = FRAME;
    frame[12..14].copy_from_slice(&[0, 31]); // IEEE 802.3
    let packet = Buffer::new(&frame, 100);
    for push in [PUSHES[1].0, PUSHES[4].0] {
        assert_eq!(refusal(&packet, push), EditError::NoEtherType);
    }
    // Whole, it goes through tunnels.
    for (push, pop) in [(PUSHES[2].0, POPS[2]), (PUSHES[5].0, POPS[3])] {
        let mut packet = packet.clone();
        push(&mut packet).unwrap();
        pop(&mut packet).unwrap();
        assert_eq!(packet.bytes(), frame);
    }
}

#[test]
fn what_is_behind_too_many_tags_is_not_looked_for() {
    let mut packet = Buffer::new(&FRAME, 100);
    for _ in 0..=MAX_VLAN_TAGS {
        push_vlan(&mut packet, 7).unwrap();
    }
    for edit in [PUSHES[1].0, PUSHES[4].0, POPS[1]] {
        assert_eq!(refusal(&packet, edit), EditError::TooManyTags);
    }
    pop_vlan(&mut packet).unwrap();
    PUSHES[1].0(&mut packet).unwrap();
    assert_eq!(packet.bytes().len(), FRAME.len() + 4 * MAX_VLAN_TAGS + 4);
}

#[test]
fn a_packet_that_would_be_too_long_is_refused() {
    for (push, pop, overhead) in [
        (PUSHES[2].0, POPS[2], 36),
        (PUSHES[3].0, POPS[2], 16),
        (PUSHES[5].0, POPS[3], 24),
        (PUSHES[6].0, POPS[3], 4),
    ] {
        let most = 65535 - overhead;
        let mut frame = vec![0; most + 1];
        frame[..45].copy_from_slice(&FRAME);
        let error = refusal(&Buffer::new(&frame, 70), push);
        assert_eq!(error, EditError::TooLong { len: 65536 });
        frame.pop();
        let mut packet = Buffer::new(&frame, 70);
        push(&mut packet).unwrap();
        pop(&mut packet).unwrap();
        assert_eq!(packet.bytes(), frame);
    }
}

/// A packet that says it has room and then does not move.
struct Stubborn(Buffer);

impl Room for Stubborn {
    fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }

    fn headroom(&self) -> usize {
        usize::MAX
    }

    fn tailroom(&self) -> usize {
        usize::MAX
    }

    fn adjust_head(&mut self, _: i32) -> Result<()> {
        Err(FluxError::invalid("move", "it does not want", "leave it"))
    }

    fn adjust_tail(&mut self, _: i32) -> Result<()> {
        self.adjust_head(0)
    }
}

#[test]
fn a_packet_that_does_not_move_stays_as_it_was() {
    type Edit = fn(&mut Stubborn) -> Result<(), EditError>;
    let all: [Edit; 8] = [
        |packet| push_vlan(packet, 7),
        |packet| push_mpls(packet, Mpls::new(100, 64)),
        |packet| vxlan_encap(packet, &ipv4(), 1),
        |packet| gre_encap(packet, &ipv4(), GrePayload::Packet, GreFields::default()),
        |packet| pop_vlan(packet).map(drop),
        |packet| pop_mpls(packet, None).map(drop),
        |packet| vxlan_decap(packet, Vxlan::PORT).map(drop),
        |packet| gre_decap(packet).map(drop),
    ];
    let made = [0, 1, 2, 4].map(|push: usize| {
        let mut packet = Buffer::new(&FRAME, 70);
        PUSHES[push].0(&mut packet).unwrap();
        packet
    });
    for (number, edit) in all.into_iter().enumerate() {
        let before = match number.checked_sub(4) {
            None => Buffer::new(&FRAME, 70),
            Some(number) => made[number].clone(),
        };
        let mut packet = Stubborn(before.clone());
        assert_eq!(edit(&mut packet), Err(EditError::Immovable));
        assert_eq!(packet.0, before);
    }
}

/// Parses all headers of a frame, tunnels included; every length must reach to the end, and every checksum be right.
fn assert_whole(frame: &[u8]) {
    match link(frame) {
        Err(EditError::TooManyTags) => {}
        found => {
            let link = found.unwrap();
            assert_packet(link.ether_type, &frame[link.at..]);
        }
    }
}

fn assert_packet(ether_type: EtherType, bytes: &[u8]) {
    match ether_type {
        EtherType::ETHERNET => assert_whole(bytes),
        EtherType::MPLS => {
            let (stack, packet) = Mpls::parse_stack(bytes).unwrap();
            let below = stack.last().unwrap().guess_payload(packet);
            assert_packet(below.unwrap(), packet);
        }
        EtherType::IPV4 => {
            let (ip, payload) = Ipv4::parse(bytes).unwrap();
            assert!(ip.verify_checksum());
            assert_eq!(ip.header_len() + payload.len(), bytes.len());
            assert_message(ip.protocol().0, ip.pseudo_header(), payload);
        }
        EtherType::IPV6 => {
            let (ip, payload) = Ipv6::parse(bytes).unwrap();
            assert_eq!(Ipv6::LEN + payload.len(), bytes.len());
            assert_message(ip.next_header().0, ip.pseudo_header(), payload);
        }
        other => panic!("{other}"),
    }
}

fn assert_message(protocol: u8, pseudo: crate::proto::checksum::PseudoHeader, bytes: &[u8]) {
    if protocol == 47 {
        let (gre, payload) = crate::proto::Gre::parse(bytes).unwrap();
        assert!(gre.verify_checksum(payload));
        return assert_packet(gre.protocol_type(), payload);
    }
    assert_eq!(protocol, 17);
    let (udp, payload) = Udp::parse(bytes).unwrap();
    assert_eq!(Udp::LEN + payload.len(), bytes.len());
    assert!(udp.verify_checksum(pseudo, payload));
    if udp.destination_port() == Vxlan::PORT {
        let (_, frame) = Vxlan::parse(payload).unwrap();
        assert_whole(frame);
    }
}

/// Pushes something at random, and returns what takes it off again.
fn push_at_random(packet: &mut Buffer, random: &mut Random) -> Result<Edit, EditError> {
    let outer = if random.below(2) == 0 { ipv4() } else { ipv6() };
    let coin = |random: &mut Random| random.below(2) == 0;
    let fields = GreFields {
        checksum: coin(random),
        key: coin(random).then_some(42),
        sequence_number: coin(random).then_some(7),
    };
    let number = random.below(4096);
    Ok(match random.below(6) {
        0 => {
            push_vlan(packet, u16::try_from(number).unwrap())?;
            POPS[0]
        }
        1 => {
            push_vlan(packet, VlanTag::service(u16::try_from(number).unwrap()))?;
            POPS[0]
        }
        2 => {
            let below = typed_link(packet.bytes())?.ether_type;
            push_mpls(packet, Mpls::new(16 + u32::try_from(number).unwrap(), 64))?;
            match below {
                EtherType::IPV6 => |packet| pop_mpls(packet, None).map(drop),
                _ => POPS[1],
            }
        }
        3 => {
            let fields = VxlanFields {
                checksum: (coin(random) || outer.is_ipv6()).then_some(true),
                ..from_port(random.below(1 << 24).try_into().unwrap())
            };
            vxlan_encap(packet, &outer, fields)?;
            POPS[2]
        }
        4 => {
            gre_encap(packet, &outer, GrePayload::Frame, fields)?;
            POPS[3]
        }
        _ => {
            gre_encap(packet, &outer, GrePayload::Packet, fields)?;
            POPS[3]
        }
    })
}

#[test]
fn a_packet_stays_a_packet_whatever_comes_and_goes() {
    let mut random = Random(0x5EED_CAFE);
    let (mut pushed, mut deepest, mut refused) = (0, 0, 0);
    for _ in 0..2000 {
        let payload = LINK..45;
        let mut packet = Buffer::new(&FRAME, random.below(500));
        let place = packet.headroom();
        let mut stack: Vec<(Edit, Vec<u8>)> = Vec::new();
        for _ in 0..random.below(30) {
            let before = packet.clone();
            match (random.below(3), stack.pop()) {
                (0, Some((pop, frame))) => {
                    pop(&mut packet).unwrap();
                    // A mere packet in GRE has got the addresses of the tunnel, and has lost its tags.
                    if packet.bytes() != frame {
                        let (lost, now) = (link(&frame), link(packet.bytes()));
                        let (lost, now) = (lost.unwrap(), now.unwrap());
                        assert_eq!(now.ether_type, lost.ether_type);
                        assert_eq!((now.at, &packet.bytes()[..12]), (LINK, &MACS[..]));
                        assert_eq!(packet.bytes()[LINK..], frame[lost.at..]);
                        // Nor is there anything left that was to be taken off before.
                        stack.clear();
                    }
                }
                (_, top) => {
                    stack.extend(top);
                    match push_at_random(&mut packet, &mut random) {
                        Ok(pop) => {
                            pushed += 1;
                            stack.push((pop, before.bytes().to_vec()));
                        }
                        Err(_) => {
                            refused += 1;
                            assert_eq!(packet, before);
                        }
                    }
                }
            }
            deepest = deepest.max(stack.len());
            assert_whole(packet.bytes());
            // The payload has not moved.
            assert_eq!(packet.end, place + payload.end);
            let stands = place + payload.start..place + payload.end;
            assert_eq!(packet.memory[stands], FRAME[payload.clone()]);
            assert_eq!(packet.memory[packet.end..], [0xA5; 16]);
            // What is not there cannot be taken off.
            for pop in POPS {
                let mut copy = packet.clone();
                if pop(&mut copy).is_err() {
                    assert_eq!(copy, packet);
                }
            }
        }
    }
    assert!(
        pushed > 10_000 && refused > 1000 && deepest > 8,
        "{pushed} {refused} {deepest}"
    );
}
