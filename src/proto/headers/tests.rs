use super::*;
use crate::proto::ParseError;
use crate::proto::samples::{Fill, ICMPV6, Random, Sample, TCP, UDP};
use crate::proto::{Ethernet, Fault, FlowKey, Ipv4, Ipv6, Tcp, Udp, Vlan};

const ETHERNET: [u8; 12] = [0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1];
/// 49152 > 53, three bytes.
const UDP_DATAGRAM: [u8; 11] = [0xc0, 0, 0, 0x35, 0, 11, 0x54, 0x31, b'd', b'n', b's'];
/// 443 > 50000, SYN and ACK, four bytes of options, two of data.
const TCP_SEGMENT: [u8; 26] = [
    0x01, 0xbb, 0xc3, 0x50, 0, 0, 0, 1, 0, 0, 0, 2, 0x60, 0x12, 0xff, 0xff, 0, 0, 0, 0, //
    2, 4, 0x05, 0xb4, b'o', b'k',
];
const ECHO_REQUEST: [u8; 12] = [8, 0, 0, 0, 0x12, 0x34, 0, 1, b'p', b'i', b'n', b'g'];

/// From 10.0.0.1 to 10.0.0.2, of class 46 with congestion noted, 64 hops.
fn ipv4(protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let header = [
        0x45, 0xbb, high, low, 0, 1, 0, 0, 64, protocol.0, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ];
    [&header[..], payload].concat()
}

/// From 2001:db8::1 to 2001:db8::2, of class 46 with congestion noted, 64 hops.
fn ipv6(next: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x6b, 0xb0, 0, 0, high, low, next.0, 64];
    for last in [1, 2] {
        packet.extend([
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last,
        ]);
    }
    packet.extend(payload);
    packet
}

/// Ethernet, and what comes behind the addresses.
fn frame(pieces: &[&[u8]]) -> Vec<u8> {
    [&ETHERNET[..], &pieces.concat()].concat()
}

fn udp_in_ipv4() -> Vec<u8> {
    frame(&[&[0x08, 0], &ipv4(IpProtocol::UDP, &UDP_DATAGRAM)])
}

fn with(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

/// Frames of all kinds that are known.
fn all_kinds() -> Vec<Vec<u8>> {
    let datagram = ipv4(IpProtocol::UDP, &UDP_DATAGRAM);
    let segment = ipv6(IpProtocol::TCP, &TCP_SEGMENT);
    let extensions = [
        &[43, 0, 1, 4, 0, 0, 0, 0],
        &[17, 0, 4, 0, 0, 0, 0, 0],
        &UDP_DATAGRAM[..],
    ];
    let fragment = [&[17, 0, 0, 1, 0, 0, 0, 9], &UDP_DATAGRAM[..8]].concat();
    let later = [&[17, 0, 0x01, 0x40, 0, 0, 0, 9], &UDP_DATAGRAM[..8]].concat();
    let options = [
        &[0x46],
        &datagram[1..3],
        &[35],
        &datagram[4..20],
        &[1, 1, 1, 0],
        &datagram[20..],
    ];
    let gre = [&[0x20, 0, 0x08, 0, 0, 0, 0, 7], &datagram[..]].concat();
    let ethernet = frame(&[&[0x86, 0xdd], &segment]);
    let gre_ethernet = [&[0, 0, 0x65, 0x58], &ethernet[..]].concat();
    let vxlan = [&[0x08, 0, 0, 0, 0, 0, 42, 0], &ethernet[..]].concat();
    let udp = |payload: &[u8]| {
        let len = u8::try_from(8 + payload.len()).unwrap();
        [&[0xc0, 1, 0x12, 0xb5, 0, len, 0, 0], payload].concat()
    };
    let snap = [&[0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0], &datagram[..]].concat();
    let sctp = [0x0b, 0x59, 0x0b, 0x5a, 0, 0, 0, 1, 0, 0, 0, 2, 3];
    let dccp = [
        0x0b, 0x59, 0x0b, 0x5a, 4, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, b'!',
    ];
    let arp = [
        0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
    ];
    vec![
        udp_in_ipv4(),
        frame(&[&[0x08, 0], &ipv4(IpProtocol::TCP, &TCP_SEGMENT)]),
        frame(&[&[0x08, 0], &ipv4(IpProtocol::ICMP, &ECHO_REQUEST)]),
        frame(&[&[0x08, 0], &ipv4(IpProtocol::SCTP, &sctp)]),
        frame(&[&[0x08, 0], &ipv4(IpProtocol::DCCP, &dccp)]),
        frame(&[&[0x08, 0], &ipv4(IpProtocol::UDP_LITE, &UDP_DATAGRAM)]),
        frame(&[&[0x08, 0], &ipv4(IpProtocol::ESP, &[7; 9])]),
        frame(&[&[0x08, 0], &options.concat()]),
        frame(&[&[0x86, 0xdd], &ipv6(IpProtocol::UDP, &UDP_DATAGRAM)]),
        frame(&[&[0x86, 0xdd], &segment]),
        frame(&[&[0x86, 0xdd], &ipv6(IpProtocol::ICMPV6, &[135; 24])]),
        frame(&[
            &[0x86, 0xdd],
            &ipv6(IpProtocol::IPV6_HOP_BY_HOP, &extensions.concat()),
        ]),
        frame(&[&[0x86, 0xdd], &ipv6(IpProtocol::IPV6_FRAGMENT, &fragment)]),
        frame(&[&[0x86, 0xdd], &ipv6(IpProtocol::IPV6_FRAGMENT, &later)]),
        frame(&[&[0x86, 0xdd], &ipv6(IpProtocol::IPV6_NO_NEXT, &[])]),
        frame(&[&[0x81, 0, 0xa0, 7, 0x08, 0], &datagram]),
        frame(&[&[0x88, 0xa8, 0, 9, 0x81, 0, 0xa0, 7, 0x86, 0xdd], &segment]),
        frame(&[
            &[0x81, 0, 0, 9, 0x81, 0, 0, 8, 0x81, 0, 0, 7, 0x08, 0],
            &datagram,
        ]),
        frame(&[&[0x88, 0x47, 0, 6, 0x40, 64, 0, 12, 0x81, 64], &datagram]),
        frame(&[&[0x88, 0x47, 0, 6, 0x41, 64], &segment]),
        frame(&[&[0, u8::try_from(snap.len()).unwrap()], &snap]),
        frame(&[&[0x08, 0x06], &arp]),
        frame(&[&[0x08, 0], &ipv4(IpProtocol::IPV4, &datagram)]),
        frame(&[&[0x86, 0xdd], &ipv6(IpProtocol::IPV4, &datagram)]),
        frame(&[&[0x08, 0], &ipv4(IpProtocol::IPV6, &segment)]),
        frame(&[&[0x08, 0], &ipv4(IpProtocol::GRE, &gre)]),
        frame(&[&[0x86, 0xdd], &ipv6(IpProtocol::GRE, &gre_ethernet)]),
        frame(&[&[0x08, 0], &ipv4(IpProtocol::UDP, &udp(&vxlan))]),
    ]
}

/// All kinds, then random ones, then with random bytes changed and cut anywhere.
fn good_and_bad() -> impl Iterator<Item = Vec<u8>> {
    let mut random = Random(0x5eed);
    let mut frames = all_kinds();
    for number in 0..400 {
        let protocol = [UDP, TCP, ICMPV6, 33][number % 4];
        frames.push(Sample::random(&mut random, number % 3 == 0, protocol).frame(Fill::Full));
    }
    (0..40_000).map(move |number| {
        let mut frame = frames[number % frames.len()].clone();
        if number >= frames.len() {
            for _ in 0..random.below(3) {
                let at = random.below(frame.len().min(120));
                frame[at] = random.bytes(1)[0] ^ random.byte() & 0x4f;
            }
            if random.below(3) == 0 {
                frame.truncate(random.below(frame.len().min(150)));
            }
        }
        frame
    })
}

#[test]
fn headers_are_small() {
    assert!(size_of::<Headers>() <= 48);
}

#[test]
fn a_udp_datagram_shows_its_offsets_and_fields_without_padding() {
    let mut frame = udp_in_ipv4();
    frame.resize(60, 0xee);
    let headers = Headers::parse(&frame).unwrap();
    assert_eq!(headers.ether_type(), EtherType::IPV4);
    assert_eq!((headers.vlan_tags(), headers.vlan()), (0, None));
    assert_eq!((headers.outer_tag(), headers.inner_tag()), (None, None));
    assert_eq!(headers.ip_version(), Some(4));
    assert_eq!(headers.protocol(), Some(IpProtocol::UDP));
    assert_eq!((headers.dscp(), headers.ecn(), headers.ttl()), (46, 3, 64));
    assert_eq!((headers.start(), headers.has_ethernet()), (0, true));
    assert_eq!(
        (headers.l3_offset(), headers.l4_offset()),
        (Some(14), Some(34))
    );
    assert_eq!((headers.payload_offset(), headers.payload_end()), (42, 45));
    assert_eq!(headers.end(), 45);
    assert_eq!(headers.payload(&frame), b"dns");
    assert_eq!(headers.ports(), Some((49152, 53)));
    assert_eq!((headers.tcp_flags(), headers.icmp()), (None, None));
    assert_eq!(headers.source_ip(&frame), Some([10, 0, 0, 1].into()));
    assert_eq!(headers.destination_ip(&frame), Some([10, 0, 0, 2].into()));
    assert!(!headers.is_fragment() && !headers.is_later_fragment());
    assert!(!headers.is_source_routed() && !headers.is_partial());
    assert_eq!(headers.tunnel(), None);
}

#[test]
fn a_tcp_segment_in_ipv6_shows_its_offsets_and_fields() {
    let frame = frame(&[&[0x86, 0xdd], &ipv6(IpProtocol::TCP, &TCP_SEGMENT)]);
    let headers = Headers::parse(&frame).unwrap();
    assert_eq!(headers.ether_type(), EtherType::IPV6);
    assert_eq!(headers.ip_version(), Some(6));
    assert_eq!(headers.protocol(), Some(IpProtocol::TCP));
    assert_eq!((headers.dscp(), headers.ecn(), headers.ttl()), (46, 3, 64));
    assert_eq!(
        (headers.l3_offset(), headers.l4_offset()),
        (Some(14), Some(54))
    );
    assert_eq!(headers.ports(), Some((443, 50000)));
    assert_eq!(headers.tcp_flags(), Some(TcpFlags::SYN | TcpFlags::ACK));
    assert_eq!(headers.payload(&frame), b"ok");
    let address = |last| Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into());
    assert_eq!(headers.source_ip(&frame), address(1));
    assert_eq!(headers.destination_ip(&frame), address(2));
}

#[test]
fn icmp_shows_type_and_code_of_its_own_ip_version_alone() {
    let request = frame(&[&[0x08, 0], &ipv4(IpProtocol::ICMP, &ECHO_REQUEST)]);
    let headers = Headers::parse(&request).unwrap();
    assert_eq!((headers.icmp(), headers.ports()), (Some((8, 0)), None));
    assert_eq!(headers.payload(&request), b"ping");
    let solicitation = frame(&[&[0x86, 0xdd], &ipv6(IpProtocol::ICMPV6, &[135; 24])]);
    assert_eq!(
        Headers::parse(&solicitation).unwrap().icmp(),
        Some((135, 135))
    );
    let wrong = frame(&[&[0x08, 0], &ipv4(IpProtocol::ICMPV6, &[135; 24])]);
    let headers = Headers::parse(&wrong).unwrap();
    assert_eq!((headers.icmp(), headers.payload_offset()), (None, 34));
}

#[test]
fn protocols_that_have_ports_show_them_and_what_is_behind() {
    for (protocol, len) in [
        (IpProtocol::SCTP, 12),
        (IpProtocol::UDP_LITE, 8),
        (IpProtocol::DCCP, 16),
    ] {
        let message = [
            0x0b, 0x59, 0x0b, 0x5a, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let bytes = frame(&[&[0x08, 0], &ipv4(protocol, &message)]);
        let headers = Headers::parse(&bytes).unwrap();
        assert_eq!(headers.ports(), Some((2905, 2906)));
        assert_eq!(headers.payload_offset(), 34 + len);
        let short = frame(&[&[0x08, 0], &ipv4(protocol, &message[..len - 1])]);
        let error = Headers::parse(&short).unwrap_err();
        assert_eq!((error.field(), error.offset()), ("header", 34));
        assert_eq!(error.protocol(), protocol.to_string());
    }
}

#[test]
fn vlan_tags_are_skipped_up_to_eight() {
    let datagram = ipv4(IpProtocol::UDP, &UDP_DATAGRAM);
    for tags in 0..=9 {
        let mut bytes = ETHERNET.to_vec();
        for tag in 0..tags {
            bytes.extend([0x81, 0, 0xa0, tag]);
        }
        bytes.extend([0x08, 0]);
        bytes.extend(&datagram);
        let headers = Headers::parse(&bytes).unwrap();
        let known = usize::from(tags).min(Headers::MAX_VLAN_TAGS);
        assert_eq!(headers.vlan_tags(), known);
        assert_eq!(headers.outer_tag(), (tags > 0).then_some(0xa000));
        let inner = 0xa000 + u16::try_from(known.saturating_sub(1)).unwrap();
        assert_eq!(headers.inner_tag(), (tags > 1).then_some(inner));
        assert_eq!(headers.vlan(), (tags > 0).then_some(0));
        if tags <= 8 {
            assert_eq!(headers.l3_offset(), Some(14 + 4 * known));
            assert_eq!(headers.payload(&bytes), b"dns");
        } else {
            assert_eq!(headers.ether_type(), EtherType::VLAN);
            assert_eq!((headers.ip_version(), headers.l3_offset()), (None, None));
            assert_eq!(headers.payload_offset(), 14 + 32);
        }
    }
}

#[test]
fn ip_is_found_behind_mpls_labels() {
    let segment = ipv6(IpProtocol::TCP, &TCP_SEGMENT);
    let labels = [0x88, 0x47, 0, 6, 0x40, 64, 0, 12, 0x81, 64];
    let bytes = frame(&[&labels, &segment]);
    let headers = Headers::parse(&bytes).unwrap();
    assert_eq!(
        (headers.ether_type(), headers.mpls_labels()),
        (EtherType::MPLS, 2)
    );
    assert_eq!(
        (headers.ip_version(), headers.l3_offset()),
        (Some(6), Some(22))
    );
    assert_eq!(headers.payload(&bytes), b"ok");
    // A pseudowire: who set it up knows what it carries.
    let bytes = frame(&[&labels, &[0, 0, 0, 0], &segment]);
    let headers = Headers::parse(&bytes).unwrap();
    assert_eq!((headers.ip_version(), headers.payload_offset()), (None, 22));
    let error = Headers::parse(&bytes[..20]).unwrap_err();
    assert_eq!((error.protocol(), error.offset()), ("MPLS", 18));
}

#[test]
fn a_length_ends_the_frame_and_snap_tells_what_it_carries() {
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0];
    let mut bytes = frame(&[&[0, 39], &snap, &ipv4(IpProtocol::UDP, &UDP_DATAGRAM)]);
    bytes.resize(60, 0xee);
    let headers = Headers::parse(&bytes).unwrap();
    assert_eq!(
        (headers.ether_type(), headers.l3_offset()),
        (EtherType::IPV4, Some(22))
    );
    assert_eq!((headers.payload(&bytes), headers.end()), (&b"dns"[..], 53));
    // A spanning tree's message.
    let bytes = with(bytes, 14, &[0x42, 0x42]);
    let headers = Headers::parse(&bytes).unwrap();
    assert_eq!(
        (headers.ether_type(), headers.ip_version()),
        (EtherType(39), None)
    );
    assert_eq!((headers.payload_offset(), headers.end()), (14, 53));
    let error = Headers::parse(&bytes[..52]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "IEEE 802.3 length at byte 12 needs 39 bytes, only 38 are there"
    );
    assert_eq!(Headers::parse_partial(&bytes[..52]).1, Some(error));
}

#[test]
fn what_is_not_known_is_payload() {
    let bytes = frame(&[&[0x88, 0xcc, 1, 2, 3]]);
    let headers = Headers::parse(&bytes).unwrap();
    assert_eq!(headers.ether_type(), EtherType(0x88cc));
    assert_eq!((headers.ip_version(), headers.protocol()), (None, None));
    assert_eq!((headers.l3_offset(), headers.l4_offset()), (None, None));
    assert_eq!(headers.source_ip(&bytes), None);
    assert_eq!(headers.payload(&bytes), [1, 2, 3]);
    let bytes = frame(&[&[0x08, 0], &ipv4(IpProtocol(89), &[1, 2, 3])]);
    let headers = Headers::parse(&bytes).unwrap();
    assert_eq!(headers.l4_offset(), Some(34));
    assert_eq!(headers.payload(&bytes), [1, 2, 3]);
    let bytes = frame(&[&[0x86, 0xdd], &ipv6(IpProtocol::IPV6_NO_NEXT, &[])]);
    let headers = Headers::parse(&bytes).unwrap();
    assert_eq!(
        (headers.protocol(), headers.l4_offset()),
        (Some(IpProtocol::IPV6_NO_NEXT), None)
    );
}

#[test]
fn a_udp_datagram_may_be_shorter_than_its_packet() {
    let datagram = [&UDP_DATAGRAM[..], b"rest"].concat();
    for bytes in [
        frame(&[&[0x08, 0], &ipv4(IpProtocol::UDP, &datagram)]),
        frame(&[&[0x86, 0xdd], &ipv6(IpProtocol::UDP, &datagram)]),
    ] {
        let headers = Headers::parse(&bytes).unwrap();
        assert_eq!(headers.payload(&bytes), b"dns");
        assert_eq!(headers.end(), headers.payload_end() + 4);
    }
}

#[test]
fn ipv6_extension_headers_are_passed_over() {
    let extensions = [
        &[43, 0, 1, 4, 0, 0, 0, 0], // hop-by-hop options
        &[17, 0, 4, 1, 0, 0, 0, 0], // routing, one segment left
        &UDP_DATAGRAM[..],
    ];
    let bytes = frame(&[
        &[0x86, 0xdd],
        &ipv6(IpProtocol::IPV6_HOP_BY_HOP, &extensions.concat()),
    ]);
    let headers = Headers::parse(&bytes).unwrap();
    assert_eq!(headers.protocol(), Some(IpProtocol::UDP));
    assert_eq!(
        (headers.l3_offset(), headers.l4_offset()),
        (Some(14), Some(70))
    );
    assert!(headers.is_source_routed());
    assert_eq!(headers.payload(&bytes), b"dns");
    let error = Headers::parse(&with(bytes, 63, &[9])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "IPv6 routing length at byte 63 needs 80 bytes, only 19 are there"
    );
}

#[test]
fn only_the_first_fragment_has_the_header_of_its_protocol() {
    let v4 = |flags: [u8; 2]| with(udp_in_ipv4(), 20, &flags);
    let v6 = |flags: [u8; 2]| {
        let fragment = [&[17, 0], &flags[..], &[0, 0, 0, 9], &UDP_DATAGRAM].concat();
        frame(&[&[0x86, 0xdd], &ipv6(IpProtocol::IPV6_FRAGMENT, &fragment)])
    };
    for (first, later) in [(v4([0x20, 0]), v4([0, 1])), (v6([0, 1]), v6([0, 8]))] {
        let headers = Headers::parse(&first).unwrap();
        assert!(headers.is_fragment() && !headers.is_later_fragment());
        assert_eq!(headers.ports(), Some((49152, 53)));
        let headers = Headers::parse(&later).unwrap();
        assert!(headers.is_fragment() && headers.is_later_fragment());
        assert_eq!(headers.protocol(), Some(IpProtocol::UDP));
        assert_eq!((headers.l4_offset(), headers.ports()), (None, None));
        assert_eq!(headers.payload(&later), UDP_DATAGRAM);
    }
}

#[test]
fn a_first_fragment_may_end_before_what_its_message_announces() {
    let longer = with(with(udp_in_ipv4(), 20, &[0x20, 0]), 38, &[5, 0xdc]);
    let headers = Headers::parse(&longer).unwrap();
    assert_eq!(headers.payload(&longer), b"dns");
    // The rest of the header comes with the next fragment.
    for len in 0..8 {
        let packet = ipv4(IpProtocol::UDP, &UDP_DATAGRAM[..len]);
        let bytes = with(frame(&[&[0x08, 0], &packet]), 20, &[0x20, 0]);
        let headers = Headers::parse(&bytes).unwrap();
        let ports = (len >= 4).then_some((49152, 53));
        let payload = if len < 4 { 34 } else { 34 + len };
        assert_eq!(
            (headers.ports(), headers.payload_offset()),
            (ports, payload)
        );
        assert!(Headers::parse(&with(bytes, 20, &[0, 0])).is_err());
    }
}

#[test]
fn lengths_that_lie_are_named_with_their_place() {
    let tcp = frame(&[&[0x08, 0], &ipv4(IpProtocol::TCP, &TCP_SEGMENT)]);
    let tagged = frame(&[
        &[0x81, 0, 0, 7, 0x08, 0],
        &ipv4(IpProtocol::UDP, &UDP_DATAGRAM),
    ]);
    let cases: [(&[u8], usize, &[u8], &str); 12] = [
        (
            &udp_in_ipv4(),
            14,
            &[0x55],
            "IPv4 version at byte 14 cannot be 5",
        ),
        (
            &udp_in_ipv4(),
            14,
            &[0x44],
            "IPv4 IHL at byte 14 cannot be 4",
        ),
        (
            &udp_in_ipv4(),
            14,
            &[0x4f],
            "IPv4 IHL at byte 14 needs 60 bytes, only 31 are there",
        ),
        (
            &udp_in_ipv4(),
            16,
            &[0, 19],
            "IPv4 total length at byte 16 cannot be 19",
        ),
        (
            &udp_in_ipv4(),
            16,
            &[0, 32],
            "IPv4 total length at byte 16 needs 32 bytes, only 31 are there",
        ),
        (
            &udp_in_ipv4(),
            16,
            &[0, 27],
            "UDP header at byte 34 needs 8 bytes, only 7 are there",
        ),
        (
            &udp_in_ipv4(),
            38,
            &[0, 7],
            "UDP length at byte 38 cannot be 7",
        ),
        (
            &udp_in_ipv4(),
            38,
            &[0, 12],
            "UDP length at byte 38 needs 12 bytes, only 11 are there",
        ),
        (
            &tagged,
            42,
            &[0, 12],
            "UDP length at byte 42 needs 12 bytes, only 11 are there",
        ),
        (&tcp, 46, &[0x40], "TCP data offset at byte 46 cannot be 4"),
        (
            &tcp,
            46,
            &[0x70],
            "TCP data offset at byte 46 needs 28 bytes, only 26 are there",
        ),
        (
            &tcp,
            16,
            &[0, 39],
            "TCP header at byte 34 needs 20 bytes, only 19 are there",
        ),
    ];
    for (bytes, at, change, message) in cases {
        let error = Headers::parse(&with(bytes.to_vec(), at, change)).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn every_truncation_is_named_within_the_frame() {
    for bytes in all_kinds() {
        let whole = Headers::parse(&bytes).unwrap();
        for len in 0..bytes.len() {
            let Err(error) = Headers::parse(&bytes[..len]) else {
                // No length says that there was more; behind a label, no EtherType does.
                let known = if whole.mpls_labels() > 0 {
                    whole.l3_offset().unwrap()
                } else {
                    assert_eq!(whole.ip_version(), None);
                    whole.payload_offset()
                };
                let is_end = len == known || whole.ip_version().is_none() && len > known;
                assert!(is_end, "{len}: {bytes:02x?}");
                continue;
            };
            assert!(
                error.is_truncated() && error.offset() <= len,
                "{len}: {error}"
            );
            let Fault::Truncated { needed, available } = error.fault() else {
                panic!("{error}");
            };
            assert!(needed > available, "{error}");
        }
    }
}

#[test]
fn of_a_frame_that_is_cut_short_what_is_there_is_shown() {
    let bytes = frame(&[
        &[0x81, 0, 0, 7, 0x08, 0],
        &ipv4(IpProtocol::TCP, &TCP_SEGMENT),
    ]);
    for len in 0..bytes.len() {
        let (headers, error) = Headers::parse_partial(&bytes[..len]);
        assert_eq!(error, Headers::parse(&bytes[..len]).err());
        assert!(headers.is_partial());
        assert_eq!((headers.end(), headers.payload_end()), (len, len));
        assert_eq!(headers.has_ethernet(), len >= 14);
        assert_eq!(headers.vlan(), (len >= 16).then_some(7));
        assert_eq!(headers.ip_version(), (len >= 28).then_some(4));
        assert_eq!(headers.protocol().is_some(), len >= 28);
        assert_eq!(headers.ports().is_some(), len >= 42, "{len}");
        assert_eq!(headers.tcp_flags().is_some(), len >= 52, "{len}");
        let payload = match len {
            ..14 => 0,
            14 | 15 => 14,
            18..28 => 18,
            38..42 => 38,
            _ => len.min(62),
        };
        assert_eq!(headers.payload_offset(), payload, "{len}");
    }
    assert_eq!(
        Headers::parse_partial(&bytes),
        (Headers::parse(&bytes).unwrap(), None)
    );

    let bytes = frame(&[&[0x86, 0xdd], &ipv6(IpProtocol::UDP, &UDP_DATAGRAM)]);
    let (headers, error) = Headers::parse_partial(&bytes[..64]);
    assert_eq!(error.unwrap().field(), "payload length");
    assert_eq!(headers.ports(), Some((49152, 53)));
    assert_eq!(headers.payload(&bytes), b"dn");
}

#[test]
fn a_partial_parse_goes_up_to_the_extension_header_that_is_wrong() {
    let mut bytes = [0; 14 + 40 + 8 + 8 + 4];
    bytes[12..14].copy_from_slice(&[0x86, 0xdd]);
    bytes[14] = 0x60;
    bytes[19] = 20; // payload length
    bytes[20] = 0; // hop-by-hop is next
    bytes[54..62].copy_from_slice(&[44, 0, 1, 4, 0, 0, 0, 0]);
    bytes[62..70].copy_from_slice(&[43, 0, 0, 1, 0, 0, 0, 7]); // the first fragment
    bytes[70..74].copy_from_slice(&[17, 0, 0, 0]); // half a routing header
    let (headers, error) = Headers::parse_partial(&bytes);
    let error = error.unwrap();
    assert_eq!((error.protocol(), error.offset()), ("IPv6 routing", 70));
    assert_eq!(Headers::parse(&bytes), Err(error));
    assert_eq!(headers.protocol(), Some(IpProtocol::IPV6_ROUTING));
    assert!(headers.is_fragment() && !headers.is_later_fragment());
    assert_eq!((headers.payload_offset(), headers.payload_end()), (70, 74));
    assert_eq!((headers.l4_offset(), headers.ports()), (None, None));
}

#[test]
fn a_partial_parse_of_what_is_whole_is_the_parse_and_the_first_error_is_the_same() {
    for bytes in good_and_bad() {
        let (headers, error) = Headers::parse_partial(&bytes);
        match Headers::parse(&bytes) {
            Ok(whole) => assert_eq!((headers, error), (whole, None)),
            Err(same) => assert_eq!(error, Some(same), "{bytes:02x?}"),
        }
        let (payload, end) = (headers.payload_offset(), headers.payload_end());
        assert!(headers.start() <= payload && payload <= end, "{headers:?}");
        assert!(
            end <= headers.end() && headers.end() <= bytes.len(),
            "{headers:?}"
        );
        assert_eq!(headers.is_partial(), error.is_some());
    }
}

#[test]
fn the_short_way_and_the_long_way_are_one() {
    let mut short = 0;
    for bytes in good_and_bad() {
        if let Some(headers) = Headers::parse_plain(&bytes) {
            assert_eq!(Ok(headers), Headers::parse_any(&bytes));
            short += 1;
        }
    }
    assert!(short > 1000, "{short}");
}

/// Where the message is, of which protocol, its ports and payload.
type Found<'a> = (usize, IpProtocol, Option<(u16, u16)>, &'a [u8]);

/// The views one after the other, as a program without `Headers` would use them.
fn by_views(bytes: &[u8]) -> Result<Found<'_>, ParseError> {
    let (ethernet, mut rest) = Ethernet::parse(bytes)?;
    let mut ether_type = ethernet.ether_type();
    let at = |rest: &[u8]| bytes.len() - rest.len();
    while ether_type.is_vlan() {
        let (vlan, inner) = Vlan::parse(rest).map_err(|error| error.at(at(rest)))?;
        ether_type = vlan.ether_type();
        rest = inner;
    }
    let start = at(rest);
    let (protocol, l4, message) = if ether_type == EtherType::IPV4 {
        let (ip, message) = Ipv4::parse(rest).map_err(|error| error.at(start))?;
        (ip.protocol(), start + ip.header_len(), message)
    } else {
        let (ip, payload) = Ipv6::parse(rest).map_err(|error| error.at(start))?;
        let upper = ip
            .upper_layer(payload)
            .map_err(|error| error.at(start + 40))?;
        (
            upper.protocol,
            start + 40 + upper.offset,
            &payload[upper.offset..],
        )
    };
    Ok(match protocol {
        IpProtocol::UDP => {
            let (udp, data) = Udp::parse(message).map_err(|error| error.at(l4))?;
            (
                l4,
                protocol,
                Some((udp.source_port(), udp.destination_port())),
                data,
            )
        }
        IpProtocol::TCP => {
            let (tcp, data) = Tcp::parse(message).map_err(|error| error.at(l4))?;
            (
                l4,
                protocol,
                Some((tcp.source_port(), tcp.destination_port())),
                data,
            )
        }
        _ => (l4, protocol, None, message),
    })
}

#[test]
fn headers_and_views_agree() {
    let mut random = Random(0xa9ee);
    for number in 0..20_000 {
        let protocol = [UDP, TCP, 89][number % 3];
        let sample = Sample::random(&mut random, number % 2 == 0, protocol);
        let mut bytes = sample.frame(Fill::Full);
        // The lengths, and cuts.
        let end = bytes.len() - 1;
        let length = sample.ip_at() + if sample.is_ipv6() { 5 } else { 3 };
        let message = sample.message_at();
        let at = [
            length,
            length - 1,
            message + 4,
            message + 5,
            message + 12,
            bytes.len() - 1,
        ];
        match number % 4 {
            0 => bytes[at[random.below(6)].min(end)] = random.byte(),
            1 => bytes.truncate(random.below(bytes.len())),
            _ => {}
        }
        let found = Headers::parse(&bytes).map(|headers| {
            let l4 = headers.l4_offset().unwrap();
            let protocol = headers.protocol().unwrap();
            (l4, protocol, headers.ports(), headers.payload(&bytes))
        });
        assert_eq!(found, by_views(&bytes), "{bytes:02x?}");
    }
}

#[test]
fn the_flow_of_the_headers_is_that_of_the_bytes() {
    for bytes in good_and_bad() {
        let key = FlowKey::parse(&bytes);
        if let Ok(headers) = Headers::parse(&bytes) {
            assert_eq!(FlowKey::of(&headers, &bytes), key, "{bytes:02x?}");
        }
        let (headers, _) = Headers::parse_partial(&bytes);
        assert_eq!(FlowKey::of(&headers, &bytes), key, "{bytes:02x?}");
    }
}

#[test]
fn other_bytes_than_those_parsed_give_nothing_and_no_panic() {
    for bytes in all_kinds() {
        let headers = Headers::parse(&bytes).unwrap();
        for len in 0..bytes.len() {
            let other = &bytes[..len];
            let _ = FlowKey::of(&headers, other);
            let _ = headers.inner(other);
            let _ = headers.inner_partial(other);
            assert!(headers.payload(other).len() <= len);
            assert!(headers.source_ip(other).is_none() || len >= 14 + 16);
        }
    }
}

#[test]
fn packets_in_tunnels_are_found_when_asked_for() {
    let datagram = ipv4(IpProtocol::UDP, &UDP_DATAGRAM);
    let segment = ipv6(IpProtocol::TCP, &TCP_SEGMENT);
    let ethernet = frame(&[&[0x81, 0, 0, 7, 0x86, 0xdd], &segment]);
    let vxlan = [&[0x08, 0, 0, 0, 0, 0, 42, 0], &ethernet[..]].concat();
    let len = u8::try_from(8 + vxlan.len()).unwrap();
    let vxlan = [&[0xc0, 1, 0x12, 0xb5, 0, len, 0, 0], &vxlan[..]].concat();
    let keyed = [&[0x20, 0, 0x08, 0, 0, 0, 0, 7], &datagram[..]].concat();
    let bridged = [&[0, 0, 0x65, 0x58], &ethernet[..]].concat();
    let labelled = [&[0, 0, 0x88, 0x47, 0, 6, 0x41, 64], &segment[..]].concat();
    for (protocol, payload, tunnel, offset, has_ethernet, ether_type) in [
        (
            IpProtocol::IPV4,
            &datagram,
            Tunnel::Ip,
            0,
            false,
            EtherType::IPV4,
        ),
        (
            IpProtocol::IPV6,
            &segment,
            Tunnel::Ip,
            0,
            false,
            EtherType::IPV6,
        ),
        (
            IpProtocol::GRE,
            &keyed,
            Tunnel::Gre,
            8,
            false,
            EtherType::IPV4,
        ),
        (
            IpProtocol::GRE,
            &bridged,
            Tunnel::Gre,
            4,
            true,
            EtherType::IPV6,
        ),
        (
            IpProtocol::GRE,
            &labelled,
            Tunnel::Gre,
            4,
            false,
            EtherType::MPLS,
        ),
        (
            IpProtocol::UDP,
            &vxlan,
            Tunnel::Vxlan,
            16,
            true,
            EtherType::IPV6,
        ),
    ] {
        let mut bytes = frame(&[&[0x86, 0xdd], &ipv6(protocol, payload)]);
        bytes.extend([0xee; 4]);
        let outer = Headers::parse(&bytes).unwrap();
        let inner = outer.inner(&bytes).unwrap().unwrap();
        assert_eq!(inner.tunnel(), Some(tunnel));
        assert_eq!(
            (inner.start(), inner.has_ethernet()),
            (54 + offset, has_ethernet)
        );
        assert_eq!(inner.ether_type(), ether_type);
        assert_eq!(inner.end(), bytes.len() - 4);
        let (ports, text) = if inner.ip_version() == Some(4) {
            ((49152, 53), &b"dns"[..])
        } else {
            ((443, 50000), &b"ok"[..])
        };
        assert_eq!(inner.ports(), Some(ports));
        assert_eq!(inner.payload(&bytes), text);
        assert_eq!(inner.vlan(), has_ethernet.then_some(7));
        assert_eq!(Headers::parse_tunnels(&bytes), Ok(inner));
        assert_eq!(outer.inner_partial(&bytes), Some((inner, None)));
        // The flow is the one it would be without the tunnel.
        let bare = match (has_ethernet, inner.ether_type()) {
            (true, _) => ethernet.clone(),
            (_, EtherType::MPLS) => frame(&[&[0x88, 0x47], &labelled[4..]]),
            (_, EtherType::IPV4) => frame(&[&[0x08, 0], &datagram]),
            _ => frame(&[&[0x86, 0xdd], &segment]),
        };
        assert_eq!(FlowKey::of(&inner, &bytes), FlowKey::parse(&bare));
    }
}

#[test]
fn tunnels_in_tunnels_are_passed_up_to_four() {
    let mut packet = ipv4(IpProtocol::UDP, &UDP_DATAGRAM);
    for depth in 0..=6 {
        let bytes = frame(&[&[0x08, 0], &packet]);
        let headers = Headers::parse_tunnels(&bytes).unwrap();
        let passed = depth.min(Headers::MAX_TUNNELS);
        assert_eq!(headers.l3_offset(), Some(14 + 20 * passed));
        assert_eq!(headers.ports().is_some(), depth <= 4);
        packet = ipv4(IpProtocol::IPV4, &packet);
    }
}

#[test]
fn what_only_looks_like_a_tunnel_has_no_inner_packet() {
    let gre = |header: [u8; 4]| ipv4(IpProtocol::GRE, &[&header[..], &[0; 12]].concat());
    let vxlan = |flags| {
        ipv4(
            IpProtocol::UDP,
            &[0, 9, 0x12, 0xb5, 0, 16, 0, 0, flags, 0, 0, 0, 0, 0, 0, 0],
        )
    };
    let fragment = with(
        ipv4(IpProtocol::IPV4, &ipv4(IpProtocol::UDP, &UDP_DATAGRAM)),
        6,
        &[0x20, 0],
    );
    for packet in [
        ipv4(IpProtocol::UDP, &UDP_DATAGRAM),
        gre([0x20, 0x01, 0x88, 0x0b]), // PPTP
        gre([0x40, 0, 0x08, 0]),       // routed as RFC 1701 had it
        gre([0, 0, 0x88, 0xbe]),       // a mirror's copy
        vxlan(0),
        fragment,
    ] {
        let bytes = frame(&[&[0x08, 0], &packet]);
        let outer = Headers::parse(&bytes).unwrap();
        assert_eq!(outer.inner(&bytes), Ok(None), "{packet:02x?}");
        assert_eq!(outer.inner_partial(&bytes), None);
        assert_eq!(Headers::parse_tunnels(&bytes), Ok(outer));
    }
    assert_eq!(
        Headers::parse(&frame(&[&[0x88, 0xcc]])).unwrap().inner(&[]),
        Ok(None)
    );
}

#[test]
fn an_inner_packet_that_is_cut_short_is_named_with_its_place_in_the_frame() {
    let datagram = ipv4(IpProtocol::UDP, &UDP_DATAGRAM);
    for len in 0..datagram.len() {
        let gre = [&[0x20, 0, 0x08, 0, 0, 0, 0, 7], &datagram[..len]].concat();
        let mut bytes = frame(&[&[0x08, 0], &ipv4(IpProtocol::GRE, &gre)]);
        // Not the inner packet's.
        bytes.extend([0; 40]);
        let error = Headers::parse_tunnels(&bytes).unwrap_err();
        assert_eq!(error.protocol(), "IPv4");
        assert_eq!(error.offset(), if len < 20 { 42 } else { 44 });
        let outer = Headers::parse(&bytes).unwrap();
        let (inner, same) = outer.inner_partial(&bytes).unwrap();
        assert_eq!(same, Some(error));
        assert_eq!(inner.ports().is_some(), len >= 24);
        assert_eq!(inner.source_ip(&bytes).is_some(), len >= 16, "{len}");
        assert_eq!(inner.destination_ip(&bytes).is_some(), len >= 20);
        assert_eq!(inner.end(), 42 + len);
    }
    for len in 0..8 {
        let gre = [0x20, 0, 0x08, 0, 0, 0, 0, 7];
        let bytes = frame(&[&[0x08, 0], &ipv4(IpProtocol::GRE, &gre[..len])]);
        let error = Headers::parse_tunnels(&bytes).unwrap_err();
        assert_eq!((error.protocol(), error.offset()), ("GRE", 34));
    }
    let vxlan = ipv4(
        IpProtocol::UDP,
        &[0, 9, 0x12, 0xb5, 0, 12, 0, 0, 8, 0, 0, 0],
    );
    let error = Headers::parse_tunnels(&frame(&[&[0x08, 0], &vxlan])).unwrap_err();
    assert_eq!((error.protocol(), error.offset()), ("VXLAN", 42));
}
