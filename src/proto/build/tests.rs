#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::proto::checksum::PseudoHeader;
use crate::proto::{
    Arp, ArpOperation, EtherType, Ethernet, Gre, GreFields, IpProtocol, Ipv4, Ipv4Option,
    Ipv4Route, Ipv6, Ipv6Fragment, Ipv6Option, MacAddr, NdpOption, Tcp, TcpFlags, TcpOption, Udp,
    Vxlan,
};

const US: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const THEM: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const OUR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const THEIR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const OUR_IP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const THEIR_IP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

/// As `ping` sends it.
const PING: [u8; 46] = [
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
    0x45, 0x00, 0x00, 0x20, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x01, // IPv4
    0x0a, 0x95, 10, 0, 0, 1, 10, 0, 0, 2, //
    0x08, 0x00, 0x06, 0xfa, 0x12, 0x34, 0x00, 0x01, // ICMP echo request
    b'p', b'i', b'n', b'g', //
];

/// IGMPv2 report, with the router alert option.
const ROUTER_ALERT: [u8; 32] = [
    0x46, 0xc0, 0x00, 0x20, 0x00, 0x00, 0x40, 0x00, // length 32, DSCP CS6
    0x01, 0x02, 0x42, 0x73, // ttl 1, IGMP, checksum
    192, 168, 0, 1, 224, 0, 0, 251, // addresses
    0x94, 0x04, 0x00, 0x00, // router alert
    0x16, 0x00, 0x09, 0x04, 0xe0, 0x00, 0x00, 0xfb, // payload
];

/// UDP over IPv6, without data.
const UDP_OVER_IPV6: [u8; 48] = [
    0x6b, 0x91, 0x23, 0x45, // DSCP EF, ECN 1, flow label
    0x00, 0x08, 0x11, 0x40, // payload length 8, UDP, hop limit 64
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // source
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // destination
    0xc0, 0x00, 0x00, 0x35, 0x00, 0x08, 0xe4, 0x33, // ports, length, checksum
];

const WHO_HAS: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x06, // Ethernet
    0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, // IPv4 over Ethernet, request
    0x02, 0, 0, 0, 0, 0x01, 10, 0, 0, 1, // sender
    0, 0, 0, 0, 0, 0, 10, 0, 0, 2, // target
];

/// A router solicitation from `fe80::1` with its link-layer address.
const SOLICITATION: [u8; 56] = [
    0x60, 0x00, 0x00, 0x00, 0x00, 0x10, 0x3a,
    0xff, // payload length 16, ICMPv6, hop limit 255
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // source
    0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // all routers
    0x85, 0x00, 0x7a, 0x2c, 0, 0, 0, 0, // router solicitation
    0x01, 0x01, 0x02, 0, 0, 0, 0, 0x01, // source link-layer address
];

/// In a buffer of old bytes, so that none is left out.
fn built(
    build: impl for<'a> FnOnce(FrameBuilder<'a>) -> Result<&'a mut [u8], BuildError>,
) -> Result<Vec<u8>, BuildError> {
    let mut buffer = vec![0xee; 4096];
    build(FrameBuilder::new(&mut buffer)).map(|frame| frame.to_vec())
}

fn ping(frame: FrameBuilder<'_>) -> Result<&mut [u8], BuildError> {
    let ip = Ipv4Spec {
        identification: 0x1c46,
        ..Ipv4Spec::new(OUR_IP, THEIR_IP)
    };
    let request = IcmpMessage::EchoRequest {
        identifier: 0x1234,
        sequence: 1,
    };
    frame
        .ethernet(US, THEM)
        .ipv4_with(ip)
        .icmp(request)
        .payload(b"ping")
}

#[test]
fn a_built_ping_is_the_one_on_the_wire() {
    assert_eq!(built(ping).unwrap(), PING);
}

#[test]
fn ip_options_belong_to_the_header_and_its_checksum() {
    let ip = Ipv4Spec {
        ttl: 1,
        dscp: 48,
        ..Ipv4Spec::new(Ipv4Addr::new(192, 168, 0, 1), Ipv4Addr::new(224, 0, 0, 251))
    };
    let report = built(|frame| {
        frame
            .ipv4_with(ip)
            .ipv4_option_bytes(&ROUTER_ALERT[20..24])
            .protocol(IpProtocol::IGMP)
            .payload(&ROUTER_ALERT[24..])
    });
    assert_eq!(report.unwrap(), ROUTER_ALERT);
}

#[test]
fn a_built_ipv6_packet_is_the_one_on_the_wire() {
    let ip = Ipv6Spec {
        dscp: 46,
        ecn: 1,
        flow_label: 0x12345,
        ..Ipv6Spec::new(OUR_IP6, THEIR_IP6)
    };
    let packet = built(|frame| frame.ipv6_with(ip).udp(49152, 53).finish());
    assert_eq!(packet.unwrap(), UDP_OVER_IPV6);
}

#[test]
fn a_built_arp_request_is_the_one_on_the_wire_and_needs_no_payload() {
    let request = built(|frame| {
        frame
            .ethernet(US, MacAddr::BROADCAST)
            .arp_request(US, OUR_IP, THEIR_IP)
            .finish()
    });
    assert_eq!(request.unwrap(), WHO_HAS);
    let error = built(|frame| {
        frame
            .ethernet(US, MacAddr::BROADCAST)
            .arp(ArpOperation::REPLY, (US, OUR_IP), (THEM, THEIR_IP))
            .payload(b"")
    });
    assert_eq!(error.unwrap_err().to_string(), "payload cannot follow ARP");
}

#[test]
fn a_built_router_solicitation_is_the_one_on_the_wire() {
    let ip = Ipv6Spec {
        hop_limit: 255,
        ..Ipv6Spec::new("fe80::1".parse().unwrap(), "ff02::2".parse().unwrap())
    };
    let solicitation = built(|frame| {
        frame
            .ipv6_with(ip)
            .icmpv6(Icmpv6Message::RouterSolicitation)
            .payload(&SOLICITATION[48..])
    });
    assert_eq!(solicitation.unwrap(), SOLICITATION);
}

#[test]
fn padding_is_zero_and_no_length_counts_it() {
    let padded = built(|frame| {
        frame
            .padded()
            .ethernet(US, THEM)
            .ipv4(OUR_IP, THEIR_IP)
            .udp(1, 2)
            .payload(b"dns")
    });
    let padded = padded.unwrap();
    assert_eq!(padded.len(), 60);
    assert_eq!(padded[45..], [0; 15]);
    let (ip, message) = Ipv4::parse(&padded[14..]).unwrap();
    assert_eq!((ip.total_length(), message.len()), (31, 11));
    let (udp, payload) = Udp::parse(message).unwrap();
    assert!(udp.verify_checksum(ip.pseudo_header(), payload));

    let long = built(|frame| {
        let frame = frame.ethernet(US, THEM).padded();
        frame.ipv4(OUR_IP, THEIR_IP).udp(1, 2).payload(&[0; 100])
    });
    assert_eq!(long.unwrap().len(), 142);
}

#[test]
fn a_payload_can_be_written_in_place() {
    let copied = built(|frame| frame.ipv4(OUR_IP, THEIR_IP).udp(1, 2).payload(b"place"));
    let in_place = built(|frame| {
        frame
            .ipv4(OUR_IP, THEIR_IP)
            .udp(1, 2)
            .payload_with(5, |room| {
                room.copy_from_slice(b"place");
            })
    });
    assert_eq!(in_place, copied);
}

#[test]
fn a_datagram_may_go_without_a_checksum() {
    let packet = built(|frame| {
        let frame = frame.ipv4(OUR_IP, THEIR_IP);
        frame.udp_without_checksum(1, 2).payload(b"x")
    });
    assert_eq!(packet.unwrap()[20..], [0, 1, 0, 2, 0, 9, 0, 0, b'x']);
}

#[test]
fn a_computed_zero_is_sent_as_ffff() {
    // The source port that brings the sum to 0xffff.
    let packet = built(|frame| frame.ipv4(OUR_IP, THEIR_IP).udp(0x1432, 53).payload(b"dns"));
    assert_eq!(packet.unwrap()[26..28], [0xff, 0xff]);
}

#[test]
fn stacked_tags_announce_one_another() {
    let inner = VlanTag {
        priority: 5,
        drop_eligible: true,
        ..VlanTag::new(100)
    };
    let frame = built(|frame| {
        frame
            .ethernet(US, THEM)
            .vlan(VlanTag::service(7))
            .vlan(inner)
            .ether_type(EtherType(0x88b5))
            .payload(b"!")
    });
    let tags = [
        0x88, 0xa8, 0x00, 0x07, 0x81, 0x00, 0xb0, 0x64, 0x88, 0xb5, b'!',
    ];
    assert_eq!(frame.unwrap()[12..], tags);
}

#[test]
fn an_llc_frame_has_its_length_for_a_type_even_behind_a_tag() {
    let frame = built(|frame| {
        frame
            .ethernet(US, THEM)
            .llc(0x42, 0x42, 3)
            .payload(&[9; 35])
    });
    assert_eq!(frame.unwrap()[12..18], [0, 38, 0x42, 0x42, 0x03, 9]);
    let frame = built(|frame| {
        let frame = frame.padded().ethernet(US, THEM).vlan(1).snap();
        frame.ether_type(EtherType(0x2000)).payload(&[9])
    });
    let start = [
        0x81, 0, 0, 1, 0, 9, 0xaa, 0xaa, 0x03, 0, 0, 0, 0x20, 0x00, 9, 0,
    ];
    assert_eq!(frame.unwrap()[12..28], start);
}

#[test]
fn a_control_field_is_as_long_as_its_first_byte_says() {
    for (control, bytes) in [
        (0x03, Ok(&[0x03][..])),
        (0xbf, Ok(&[0xbf])),
        (0x00, Ok(&[0, 0])),
        (0x1234, Ok(&[0x12, 0x34])),
        (0x0301, Err(0x0301)),
    ] {
        let frame = built(|frame| frame.ethernet(US, THEM).llc(4, 6, control).finish());
        match (frame, bytes) {
            (Ok(frame), Ok(bytes)) => assert_eq!(frame[16..], *bytes),
            (Err(error), Err(value)) => {
                let field = "control";
                assert_eq!(error.fault(), BuildFault::Invalid { field, value });
            }
            (frame, _) => panic!("{control:#x}: {frame:?}"),
        }
    }
}

#[test]
fn tcp_options_are_filled_up_to_whole_words() {
    let segment = built(|frame| {
        let frame = frame.ipv4(OUR_IP, THEIR_IP).tcp(1, 2, TcpFlags::SYN);
        let options = [
            TcpOption::MaximumSegmentSize(1460),
            TcpOption::WindowScale(7),
        ];
        frame.tcp_options(&options).payload(b"data")
    });
    let segment = segment.unwrap();
    let (ip, rest) = Ipv4::parse(&segment).unwrap();
    let (tcp, data) = Tcp::parse(rest).unwrap();
    assert_eq!(tcp.options_bytes(), [2, 4, 0x05, 0xb4, 3, 3, 7, 0]);
    assert_eq!(data, b"data");
    assert!(tcp.verify_checksum(ip.pseudo_header(), data));
}

#[test]
fn the_last_label_alone_is_the_bottom_of_the_stack() {
    for payload in [false, true] {
        let frame = built(|frame| {
            let frame = frame
                .ethernet(US, THEM)
                .mpls(100)
                .mpls_with(0xf_ffff, 7, 255);
            if payload {
                return frame.payload(b"");
            }
            frame.ipv6(OUR_IP6, THEIR_IP6).udp(1, 2).finish()
        });
        let labels = [0x88, 0x47, 0x00, 0x06, 0x40, 0x40, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(frame.unwrap()[12..22], labels);
    }
}

#[test]
fn each_layer_of_a_tunnel_covers_all_that_is_in_it() {
    let fields = GreFields {
        checksum: true,
        key: Some(5),
        sequence_number: None,
    };
    let frame = built(|frame| {
        frame
            .ethernet(US, THEM)
            .ipv6(OUR_IP6, THEIR_IP6)
            .gre_with(fields)
            .ethernet(THEM, US)
            .ipv4(OUR_IP, THEIR_IP)
            .udp(49152, Vxlan::PORT)
            .vxlan(0xab_cdef)
            .ethernet(US, US)
            .ipv4(THEIR_IP, OUR_IP)
            .ipv6(THEIR_IP6, OUR_IP6)
            .tcp(1, 2, TcpFlags::SYN)
            .payload(b"inner")
    });
    let frame = frame.unwrap();
    let (ethernet, rest) = Ethernet::parse(&frame).unwrap();
    assert_eq!(ethernet.ether_type(), EtherType::IPV6);
    let (ip, rest) = Ipv6::parse(rest).unwrap();
    assert_eq!(ip.next_header(), IpProtocol::GRE);
    let (gre, rest) = Gre::parse(rest).unwrap();
    assert!(gre.verify_checksum(rest));
    assert_eq!(
        (gre.protocol_type(), gre.key()),
        (EtherType::ETHERNET, Some(5))
    );
    let (_, rest) = Ethernet::parse(rest).unwrap();
    let (ip, rest) = Ipv4::parse(rest).unwrap();
    assert!(ip.verify_checksum());
    let (udp, rest) = Udp::parse(rest).unwrap();
    assert!(udp.verify_checksum(ip.pseudo_header(), rest));
    let (vxlan, rest) = Vxlan::parse(rest).unwrap();
    assert_eq!(vxlan.vni(), 0xab_cdef);
    let (_, rest) = Ethernet::parse(rest).unwrap();
    let (ip, rest) = Ipv4::parse(rest).unwrap();
    assert_eq!(ip.protocol(), IpProtocol::IPV6);
    let (ip, rest) = Ipv6::parse(rest).unwrap();
    let (tcp, data) = Tcp::parse(rest).unwrap();
    assert!(tcp.verify_checksum(ip.pseudo_header(), data));
    assert_eq!(data, b"inner");
}

#[test]
fn extension_headers_are_chained_and_padded() {
    let fragment = Ipv6Fragment {
        offset: 0,
        more_fragments: false,
        identification: 0x0102_0304,
    };
    let packet = built(|frame| {
        frame
            .ipv6(OUR_IP6, THEIR_IP6)
            .hop_by_hop_bytes(&[5, 2, 0, 0])
            .destination_options(&[])
            .routing(0, 0, &[0; 4])
            .fragment(fragment)
            .authentication(6, 7, &[8; 12])
            .protocol(IpProtocol::IPV6_NO_NEXT)
            .finish()
    });
    let packet = packet.unwrap();
    assert_eq!((packet[5], packet[6]), (56, 0));
    assert_eq!(packet[40..48], [60, 0, 5, 2, 0, 0, 1, 0]);
    assert_eq!(packet[48..56], [43, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(packet[56..64], [44, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(packet[64..72], [51, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(packet[72..84], [59, 4, 0, 0, 0, 0, 0, 6, 0, 0, 0, 7]);
    assert_eq!(packet[84..], [8; 12]);
}

#[test]
fn options_given_by_value_are_written_and_padded() {
    let home = Ipv6Option::HomeAddress(OUR_IP6);
    let packet = built(|frame| {
        frame
            .ipv6(OUR_IP6, THEIR_IP6)
            .hop_by_hop(&[Ipv6Option::JumboPayload(70_000), Ipv6Option::RouterAlert(1)])
            .destination_options(&[Ipv6Option::PadN(&[0; 2]), home])
            .protocol(IpProtocol::IPV6_NO_NEXT)
            .finish()
    });
    let packet = packet.unwrap();
    assert_eq!(packet[40..46], [60, 1, 0xc2, 4, 0, 1]);
    assert_eq!(packet[46..56], [0x11, 0x70, 5, 2, 0, 1, 1, 2, 0, 0]);
    assert_eq!(packet[56..64], [59, 2, 1, 2, 0, 0, 0xc9, 16]);
    assert_eq!(packet[64..], OUR_IP6.octets());
}

#[test]
fn options_by_value_fill_a_header_and_no_more() {
    let (most, least) = ([7; 255], [7; 243]);
    let option = |data| Ipv6Option::Other { kind: 0x1e, data };
    let build = |options: &[Ipv6Option<'_>]| {
        built(|frame| {
            let frame = frame.ipv6(OUR_IP6, THEIR_IP6).destination_options(options);
            frame.protocol(IpProtocol::IPV6_NO_NEXT).finish()
        })
    };
    let mut options = [option(&most); 8];
    options[7] = option(&least);
    assert_eq!(build(&options).unwrap().len(), 40 + 2048);
    options[7] = option(&most);
    let too_long = "destination options would be 2064 bytes long, at most 2048 are possible";
    assert_eq!(build(&options).unwrap_err().to_string(), too_long);
    let too_long = "destination options would be 258 bytes long, at most 257 are possible";
    let error = build(&[option(&[0; 256])]).unwrap_err();
    assert_eq!(error.to_string(), too_long);
}

#[test]
fn a_frame_of_an_organization_has_its_number() {
    let frame = built(|frame| {
        let frame = frame.ethernet(US, THEM).snap_with([0, 0, 0x0c], 0x2000);
        frame.payload(&[9])
    });
    let start = [0, 9, 0xaa, 0xaa, 0x03, 0, 0, 0x0c, 0x20, 0x00, 9];
    assert_eq!(frame.unwrap()[12..], start);
    let error = built(|frame| frame.snap_with([0, 0, 0x0c], 1).finish());
    assert_eq!(error.unwrap_err().to_string(), "LLC cannot follow nothing");
}

#[test]
fn an_answer_to_an_arp_request_says_who_it_is() {
    let frame = built(|frame| {
        let frame = frame.ethernet(THEM, US);
        frame.arp_reply((THEM, THEIR_IP), (US, OUR_IP)).finish()
    });
    let frame = frame.unwrap();
    let (arp, _) = Arp::parse(&frame[14..]).unwrap();
    assert_eq!(arp.operation(), ArpOperation::REPLY);
    assert_eq!((arp.sender_mac(), arp.sender_ip()), (THEM, THEIR_IP));
    assert_eq!((arp.target_mac(), arp.target_ip()), (US, OUR_IP));
}

#[test]
fn reserved_bits_of_tcp_stay_beside_options_and_no_more_fit() {
    let build = |reserved| {
        built(|frame| {
            let spec = TcpSpec::new(1, 2, TcpFlags::SYN);
            let frame = frame.ipv4(OUR_IP, THEIR_IP);
            let frame = frame.tcp_with(TcpSpec { reserved, ..spec });
            frame.tcp_options(&[TcpOption::SackPermitted]).finish()
        })
    };
    assert_eq!(build(9).unwrap()[32], 0x69);
    let error = build(16).unwrap_err();
    assert_eq!(error.to_string(), "TCP cannot have 16 as its reserved bits");
}

#[test]
fn every_length_of_options_is_padded_to_whole_units() {
    for len in 0..64 {
        let packet = built(|frame| {
            let frame = frame.ipv6(OUR_IP6, THEIR_IP6);
            frame.hop_by_hop_bytes(&vec![0; len]).udp(1, 2).finish()
        });
        let packet = packet.unwrap();
        let (ip, payload) = Ipv6::parse(&packet).unwrap();
        let upper = ip.upper_layer(payload).unwrap();
        assert_eq!(upper.offset, (len + 2).next_multiple_of(8));
        assert_eq!(payload.len(), upper.offset + 8);
        // Skips what was padded.
        let mut options = &payload[2 + len..upper.offset];
        while let [kind, rest @ ..] = options {
            options = match kind {
                0 => rest,
                _ => &rest[1 + usize::from(rest[0])..],
            };
        }
    }
}

#[test]
fn a_checksum_covers_the_last_destination_of_a_source_route() {
    let last = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
    let [first, second] = [last.octets(), THEIR_IP6.octets()];
    for (kind, list) in [
        (0, [second, first].concat()),
        (4, [first, second].concat()),
        (2, first.to_vec()),
    ] {
        let data = [&[0; 4][..], &list].concat();
        for (left, destination) in [(1, last), (0, THEIR_IP6)] {
            let packet = built(|frame| {
                let frame = frame.ipv6(OUR_IP6, THEIR_IP6).routing(kind, left, &data);
                frame.udp(1, 2).payload(b"far")
            });
            let packet = packet.unwrap();
            let (udp, payload) = Udp::parse(&packet[packet.len() - 11..]).unwrap();
            let addresses = PseudoHeader::ipv6(OUR_IP6, destination);
            assert!(udp.verify_checksum(addresses, payload), "{kind} {left}");
        }
    }
    let unknown = built(|frame| {
        let frame = frame.ipv6(OUR_IP6, THEIR_IP6).routing(5, 1, &[0; 20]);
        frame.udp(1, 2).finish()
    });
    let text = "UDP cannot follow routing header";
    assert_eq!(unknown.unwrap_err().to_string(), text);
}

#[test]
fn a_checksum_covers_the_last_address_of_an_ipv4_source_route() {
    let last = Ipv4Addr::new(10, 9, 9, 9);
    let slots = [[10, 8, 8, 8], last.octets()];
    for (pointer, destination) in [(4, last), (8, last), (12, THEIR_IP), (0xff, THEIR_IP)] {
        let route = Ipv4Route {
            pointer,
            slots: &slots,
        };
        for option in [
            Ipv4Option::LooseSourceRoute(route),
            Ipv4Option::StrictSourceRoute(route),
        ] {
            let packet = built(|frame| {
                let frame = frame.ipv4(OUR_IP, THEIR_IP);
                let frame = frame.ipv4_options(&[Ipv4Option::NoOperation, option]);
                frame.udp(1, 2).payload(b"far")
            });
            let packet = packet.unwrap();
            let (ip, rest) = Ipv4::parse(&packet).unwrap();
            assert!(ip.verify_checksum());
            let (udp, payload) = Udp::parse(rest).unwrap();
            let addresses = PseudoHeader::ipv4(OUR_IP, destination);
            assert!(udp.verify_checksum(addresses, payload), "{option}");
        }
    }
}

#[test]
fn neighbor_discovery_options_follow_their_message_and_no_other() {
    let ip = Ipv6Spec {
        hop_limit: 255,
        ..Ipv6Spec::new("fe80::1".parse().unwrap(), "ff02::2".parse().unwrap())
    };
    let solicitation = built(|frame| {
        let frame = frame
            .ipv6_with(ip)
            .icmpv6(Icmpv6Message::RouterSolicitation);
        let options = [NdpOption::SourceLinkLayerAddress(US)];
        frame.ndp_options(&options).finish()
    });
    assert_eq!(solicitation.unwrap(), SOLICITATION);
    let error = built(|frame| {
        let frame = frame.ipv6_with(ip);
        let frame = frame.icmpv6(Icmpv6Message::PacketTooBig { mtu: 1280 });
        frame.ndp_options(&[]).finish()
    });
    let text = "NDP options cannot follow ICMPv6";
    assert_eq!(error.unwrap_err().to_string(), text);
    let long = vec![0; 2041];
    let error = built(|frame| {
        let frame = frame
            .ipv6_with(ip)
            .icmpv6(Icmpv6Message::RouterSolicitation);
        let options = [
            NdpOption::RedirectedHeader(&long[..2032]),
            NdpOption::RedirectedHeader(&long[..2033]),
        ];
        frame.ndp_options(&options).finish()
    });
    let (length, most) = (2048, 2040);
    assert_eq!(
        error.unwrap_err().fault(),
        BuildFault::TooLong { length, most }
    );
}

#[test]
fn what_cannot_follow_is_refused_by_name() {
    type Build = fn(FrameBuilder<'_>) -> Result<&mut [u8], BuildError>;
    let cases: [(Build, &str); 14] = [
        (|frame| frame.finish(), "payload cannot follow nothing"),
        (
            |frame| frame.udp(1, 2).finish(),
            "UDP cannot follow nothing",
        ),
        (
            |frame| frame.ethernet(US, US).ethernet(US, US).finish(),
            "Ethernet cannot follow Ethernet",
        ),
        (
            |frame| frame.ethernet(US, US).payload(b"x"),
            "payload has no type: Ethernet must say what it is",
        ),
        (
            |frame| frame.ipv4(OUR_IP, OUR_IP).finish(),
            "payload has no type: IPv4 must say what it is",
        ),
        (
            |frame| frame.ipv4(OUR_IP, OUR_IP).vlan(1).finish(),
            "VLAN cannot follow IPv4",
        ),
        (
            |frame| frame.ipv4(OUR_IP, OUR_IP).hop_by_hop(&[]).finish(),
            "hop-by-hop options cannot follow IPv4",
        ),
        (
            |frame| {
                frame
                    .ipv4(OUR_IP, OUR_IP)
                    .icmpv6(Icmpv6Message::RouterSolicitation)
                    .finish()
            },
            "ICMPv6 cannot follow IPv4",
        ),
        (
            |frame| {
                frame
                    .ipv6(OUR_IP6, OUR_IP6)
                    .icmp(IcmpMessage::TimeExceeded { code: 0 })
                    .finish()
            },
            "ICMP cannot follow IPv6",
        ),
        (
            |frame| {
                frame
                    .ipv6(OUR_IP6, OUR_IP6)
                    .destination_options(&[])
                    .hop_by_hop(&[])
                    .finish()
            },
            "hop-by-hop options cannot follow destination options",
        ),
        (
            |frame| {
                frame
                    .ipv4(OUR_IP, OUR_IP)
                    .tcp(1, 2, TcpFlags::SYN)
                    .vxlan(1)
                    .finish()
            },
            "VXLAN cannot follow TCP",
        ),
        (
            |frame| {
                frame
                    .ipv4(OUR_IP, OUR_IP)
                    .udp(1, 2)
                    .tcp_option_bytes(&[])
                    .finish()
            },
            "TCP options cannot follow UDP",
        ),
        (
            |frame| frame.ethernet(US, US).protocol(IpProtocol::UDP).finish(),
            "protocol cannot follow Ethernet",
        ),
        (
            |frame| {
                frame
                    .ipv4(OUR_IP, OUR_IP)
                    .ether_type(EtherType::ARP)
                    .finish()
            },
            "ether type cannot follow IPv4",
        ),
    ];
    for (build, text) in cases {
        assert_eq!(built(build).unwrap_err().to_string(), text);
    }
}

#[test]
fn the_message_of_a_fragment_is_not_built() {
    for (more, offset) in [(true, 0), (false, 8), (true, 1480)] {
        let spec = Ipv4Spec {
            more_fragments: more,
            fragment_offset: offset,
            dont_fragment: false,
            ..Ipv4Spec::new(OUR_IP, THEIR_IP)
        };
        let error = built(|frame| frame.ipv4_with(spec).udp(1, 2).finish()).unwrap_err();
        assert_eq!(error.to_string(), "UDP cannot follow IPv4");
        let piece = built(|frame| {
            let frame = frame.ipv4_with(spec).protocol(IpProtocol::UDP);
            frame.payload(&[7; 16])
        });
        let piece = piece.unwrap();
        let (ip, payload) = Ipv4::parse(&piece).unwrap();
        assert_eq!((ip.more_fragments(), ip.fragment_offset()), (more, offset));
        assert_eq!((ip.protocol(), payload), (IpProtocol::UDP, &[7; 16][..]));

        let fragment = Ipv6Fragment {
            offset,
            more_fragments: more,
            identification: 1,
        };
        let error = built(|frame| {
            let frame = frame.ipv6(OUR_IP6, THEIR_IP6).fragment(fragment);
            frame.udp(1, 2).finish()
        });
        let text = "UDP cannot follow fragment header";
        assert_eq!(error.unwrap_err().to_string(), text);
    }
}

#[test]
fn values_too_large_for_their_field_are_refused() {
    type Build = fn(FrameBuilder<'_>) -> FrameBuilder<'_>;
    let cases: [(Build, &str, u32); 10] = [
        (|frame| frame.ethernet(US, US).vlan(4096), "id", 4096),
        (
            |frame| {
                frame.ethernet(US, US).vlan(VlanTag {
                    priority: 8,
                    ..VlanTag::new(1)
                })
            },
            "priority",
            8,
        ),
        (
            |frame| {
                frame.ethernet(US, US).vlan(VlanTag {
                    ether_type: EtherType::ARP,
                    ..VlanTag::new(1)
                })
            },
            "ether type",
            0x806,
        ),
        (
            |frame| frame.ethernet(US, US).mpls(1 << 20),
            "label",
            1 << 20,
        ),
        (
            |frame| frame.ethernet(US, US).ether_type(EtherType(1500)),
            "value",
            1500,
        ),
        (
            |frame| {
                frame.ipv4_with(Ipv4Spec {
                    dscp: 64,
                    ..Ipv4Spec::new(OUR_IP, OUR_IP)
                })
            },
            "DSCP",
            64,
        ),
        (
            |frame| {
                frame.ipv4_with(Ipv4Spec {
                    fragment_offset: 9,
                    ..Ipv4Spec::new(OUR_IP, OUR_IP)
                })
            },
            "fragment offset",
            9,
        ),
        (
            |frame| {
                frame.ipv6_with(Ipv6Spec {
                    ecn: 4,
                    ..Ipv6Spec::new(OUR_IP6, OUR_IP6)
                })
            },
            "ECN",
            4,
        ),
        (
            |frame| {
                frame.ipv6_with(Ipv6Spec {
                    flow_label: 1 << 20,
                    ..Ipv6Spec::new(OUR_IP6, OUR_IP6)
                })
            },
            "flow label",
            1 << 20,
        ),
        (
            |frame| {
                frame
                    .ipv4(OUR_IP, OUR_IP)
                    .udp(1, Vxlan::PORT)
                    .vxlan(1 << 24)
            },
            "network",
            1 << 24,
        ),
    ];
    for (build, field, value) in cases {
        let error = built(|frame| build(frame).finish()).unwrap_err();
        assert_eq!(error.fault(), BuildFault::Invalid { field, value });
    }
}

#[test]
fn lengths_beyond_their_field_are_refused() {
    let mut buffer = vec![0; 70_000];
    let mut refused =
        |build: fn(FrameBuilder<'_>, &[u8]) -> Option<BuildError>, len, step, length, most| {
            let error = build(FrameBuilder::new(&mut buffer), &vec![0; len]);
            let fault = BuildFault::TooLong { length, most };
            assert_eq!(error, Some(BuildError::new(step, fault)));
            let fits = build(
                FrameBuilder::new(&mut buffer),
                &vec![0; len - (length - most)],
            );
            assert_eq!(fits, None);
        };
    let udp = |frame: FrameBuilder<'_>, bytes: &[u8]| {
        frame.ipv4(OUR_IP, OUR_IP).udp(1, 2).payload(bytes).err()
    };
    refused(udp, 65_508, "IPv4", 65_536, 65_535);
    let udp = |frame: FrameBuilder<'_>, bytes: &[u8]| {
        frame.ipv6(OUR_IP6, OUR_IP6).udp(1, 2).payload(bytes).err()
    };
    refused(udp, 65_528, "UDP", 65_536, 65_535);
    let tcp = |frame: FrameBuilder<'_>, bytes: &[u8]| {
        let frame = frame.ipv6(OUR_IP6, OUR_IP6);
        frame.tcp(1, 2, TcpFlags::ACK).payload(bytes).err()
    };
    refused(tcp, 65_516, "IPv6", 65_536, 65_535);
    let llc = |frame: FrameBuilder<'_>, bytes: &[u8]| {
        frame.ethernet(US, US).llc(1, 1, 3).payload(bytes).err()
    };
    refused(llc, 1498, "Ethernet", 1501, 1500);
    let options = |frame: FrameBuilder<'_>, bytes: &[u8]| {
        let frame = frame.ipv4(OUR_IP, OUR_IP).tcp(1, 2, TcpFlags::SYN);
        frame.tcp_option_bytes(bytes).finish().err()
    };
    refused(options, 41, "TCP options", 41, 40);
    let extension = |frame: FrameBuilder<'_>, bytes: &[u8]| {
        let frame = frame.ipv6(OUR_IP6, OUR_IP6).routing(0, 0, bytes);
        frame.udp(1, 2).finish().err()
    };
    refused(extension, 2052, "routing header", 2056, 2048);
}

#[test]
fn headers_that_fill_no_whole_unit_are_refused() {
    let error = built(|frame| frame.ipv6(OUR_IP6, OUR_IP6).routing(0, 0, &[0; 5]).finish());
    let text = "routing header of 9 bytes does not fill whole units of 8 bytes";
    assert_eq!(error.unwrap_err().to_string(), text);
    let authentication = |frame: FrameBuilder<'_>| {
        let frame = frame.authentication(1, 2, &[0; 16]);
        frame
            .udp(1, 2)
            .finish()
            .map(|frame| frame.len())
            .map_err(|error| error.fault())
    };
    let mut buffer = [0; 200];
    let over_ipv4 = authentication(FrameBuilder::new(&mut buffer).ipv4(OUR_IP, OUR_IP));
    assert_eq!(over_ipv4, Ok(20 + 28 + 8));
    let over_ipv6 = authentication(FrameBuilder::new(&mut buffer).ipv6(OUR_IP6, OUR_IP6));
    let (length, unit) = (28, 8);
    assert_eq!(over_ipv6, Err(BuildFault::Uneven { length, unit }));
}

#[test]
fn too_many_layers_are_refused_and_as_many_as_said_are_not() {
    for (layers, fits) in [
        (FrameBuilder::MAX_LAYERS, true),
        (FrameBuilder::MAX_LAYERS + 1, false),
    ] {
        let result = built(|frame| {
            let frame = (0..layers).fold(frame, |frame, _| frame.ipv4(OUR_IP, THEIR_IP));
            frame.protocol(IpProtocol(253)).finish()
        });
        match result {
            Ok(packet) => assert!(fits && packet.len() == layers * 20),
            Err(error) => {
                assert!(!fits);
                assert_eq!(error.to_string(), "IPv4 is one layer too many");
            }
        }
    }
}

#[test]
fn a_buffer_too_small_is_told_by_the_step_that_does_not_fit() {
    for room in 0..PING.len() {
        let mut buffer = vec![0; room];
        let error = ping(FrameBuilder::new(&mut buffer)).unwrap_err();
        let (step, needed, start) = match room {
            0..14 => ("Ethernet", 14, 0),
            14..34 => ("IPv4", 20, 14),
            34..42 => ("ICMP", 8, 34),
            _ => ("payload", 4, 42),
        };
        let available = room - start;
        let fault = BuildFault::NoRoom { needed, available };
        assert_eq!(error, BuildError::new(step, fault));
        assert!(error.is_no_room());
    }
    let mut buffer = PING;
    buffer.fill(0);
    assert!(ping(FrameBuilder::new(&mut buffer)).is_ok());
    let mut short = [0; 59];
    let frame = FrameBuilder::new(&mut short).ethernet(US, US).padded();
    let error = frame
        .arp_request(US, OUR_IP, THEIR_IP)
        .finish()
        .unwrap_err();
    assert_eq!(error.step(), "padding");
}

#[test]
fn headers_too_long_to_say_where_the_next_starts_are_an_error() {
    let mut buffer = vec![0; 70_000];
    for (labels, is_ok) in [(16_375, true), (16_376, false)] {
        let mut frame = FrameBuilder::new(&mut buffer).ethernet(US, THEM);
        for label in 0..labels {
            frame = frame.mpls(label);
        }
        let built = frame.ipv4(OUR_IP, THEIR_IP).udp(1, 2).finish();
        assert_eq!(built.is_ok(), is_ok);
        if let Err(error) = built {
            let message = "headers would be 65538 bytes long, at most 65535 are possible";
            assert_eq!(error.to_string(), message);
        }
    }
}

#[test]
fn the_first_error_stays_and_nothing_is_written_after_it() {
    let mut buffer = [0xee; 64];
    let frame = FrameBuilder::new(&mut buffer).ethernet(US, THEM).udp(1, 2);
    assert_eq!(frame.written(), 14);
    let error = frame.ipv4(OUR_IP, OUR_IP).vlan(5000).finish().unwrap_err();
    assert_eq!(error.step(), "UDP");
    assert_eq!(buffer[14..], [0xee; 50]);
}

#[test]
fn what_was_parsed_can_be_built_again() {
    let (ip, payload) = Ipv6::parse(&UDP_OVER_IPV6).unwrap();
    let packet = built(|frame| {
        let frame = frame.ipv6_with(ip.into()).protocol(ip.next_header());
        frame.payload(payload)
    });
    assert_eq!(packet.unwrap(), UDP_OVER_IPV6);
    let (arp, _) = Arp::parse(&WHO_HAS[14..]).unwrap();
    let frame = built(|frame| {
        let sender = (arp.sender_mac(), arp.sender_ip());
        let target = (arp.target_mac(), arp.target_ip());
        let frame = frame.ethernet(US, MacAddr::BROADCAST);
        frame.arp(arp.operation(), sender, target).finish()
    });
    assert_eq!(frame.unwrap(), WHO_HAS);
}
