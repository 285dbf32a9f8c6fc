//! VLAN tags and tunnels by other numbers than the standards'.

use fluxcap::proto::{EtherType, Headers, IpProtocol, Parser, Tunnel};

use crate::ethernet;

const UDP: [u8; 28] = [
    0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 9, 0, 53, 0, 8, 0, 0,
];

fn udp_to(port: u16, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u8;
    let mut packet = vec![
        0x45,
        0,
        0,
        28 + len,
        0,
        0,
        0x40,
        0,
        64,
        17,
        0,
        0,
        10,
        9,
        9,
        9,
        10,
        9,
        9,
        8,
    ];
    packet.extend([0xc0, 0]);
    packet.extend(port.to_be_bytes());
    packet.extend([0, 8 + len, 0, 0]);
    packet.extend(payload);
    packet
}

#[test]
fn other_tags_are_looked_behind_when_told() {
    let others = [0x9100, 0x9200, 0x9300];
    let types = others.map(EtherType);
    let parser = Parser::new().vlan_types(&types);
    for outer in [0x8100, 0x88a8, 0x9100, 0x9200, 0x9300, 0x9400] {
        for inner in [0x8100, 0x9100, 0x9300] {
            let mut tags = vec![0, 7];
            tags.extend(u16::to_be_bytes(inner));
            tags.extend([0, 9, 0x08, 0x00]);
            let frame = ethernet(outer, &[&tags[..], &UDP].concat());
            let headers = parser.parse(&frame).unwrap();
            let standard = Headers::parse(&frame).unwrap();
            if outer == 0x9400 {
                assert_eq!((headers, headers.vlan_tags()), (standard, 0));
                continue;
            }
            assert_eq!(headers.vlan_tags(), 2, "{outer:#x} {inner:#x}");
            assert_eq!(
                (headers.outer_tag(), headers.inner_tag()),
                (Some(7), Some(9))
            );
            assert_eq!(headers.ports(), Some((9, 53)));
            let known = usize::from(matches!(outer, 0x8100 | 0x88a8));
            let known = known + usize::from(known == 1 && inner == 0x8100);
            assert_eq!(standard.vlan_tags(), known, "{outer:#x} {inner:#x}");
            assert_eq!(standard == headers, known == 2);
            let (cut, error) = parser.parse_partial(&frame[..30]);
            assert!(error.is_some() && cut.vlan_tags() == 2);
        }
    }
    // As the only tag, also of a frame that is plain behind it.
    let frame = ethernet(0x9100, &[&[0, 7, 0x08, 0x00][..], &UDP].concat());
    assert_eq!(parser.parse(&frame).unwrap().vlan(), Some(7));
}

#[test]
fn tunnels_are_found_on_other_ports_when_told() {
    let parser = Parser::new().vxlan_ports(&[8472, 1]).gre_ports(&[4754, 2]);
    let vxlan = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &ethernet(0x0800, &UDP)].concat();
    let gre = [&[0x20, 0, 0x08, 0, 0, 0, 0, 7][..], &UDP].concat();
    let bridged = [&[0, 0, 0x65, 0x58][..], &ethernet(0x0800, &UDP)].concat();
    for (payload, tunnel, ports, l3) in [
        (&vxlan, Tunnel::Vxlan, &[4789, 8472, 1][..], 64),
        (&gre, Tunnel::Gre, &[4754, 2], 50),
        (&bridged, Tunnel::Gre, &[4754, 2], 60),
    ] {
        for port in [1, 2, 3, 53, 4754, 4789, 4790, 8472] {
            let frame = ethernet(0x0800, &udp_to(port, payload));
            let outer = parser.parse(&frame).unwrap();
            assert_eq!(Headers::parse(&frame), Ok(outer));
            let inner = parser.inner(&outer, &frame).unwrap();
            if !ports.contains(&port) {
                assert_eq!(inner, None, "{port}");
                continue;
            }
            let inner = inner.unwrap();
            assert_eq!(
                (inner.tunnel(), inner.l3_offset()),
                (Some(tunnel), Some(l3))
            );
            assert_eq!(inner.ports(), Some((9, 53)));
            assert_eq!(parser.parse_tunnels(&frame), Ok(inner));
            let standard = Headers::parse_tunnels(&frame).unwrap();
            assert_eq!(standard == inner, port == 4789, "{port}");
        }
    }
    // Behind the protocol number, GRE needs no port, as ever.
    let mut packet = vec![0x45, 0, 0, 20 + gre.len() as u8, 0, 0, 0, 0, 64, 47, 0, 0];
    packet.extend([10; 8]);
    let frame = ethernet(0x0800, &[&packet[..], &gre].concat());
    assert_eq!(parser.parse_tunnels(&frame), Headers::parse_tunnels(&frame));
}

#[test]
fn a_tunnel_on_another_port_that_is_cut_short_is_named() {
    let parser = Parser::new().vxlan_ports(&[8472]).gre_ports(&[4754]);
    for (port, payload, protocol) in [
        (8472, vec![8, 0, 0, 0], "VXLAN"),
        (4754, vec![0x20, 0, 8, 0], "GRE"),
        (4754, vec![0, 0], "GRE"),
    ] {
        let frame = ethernet(0x0800, &udp_to(port, &payload));
        let error = parser.parse_tunnels(&frame).unwrap_err();
        assert_eq!((error.protocol(), error.offset()), (protocol, 42));
        let outer = parser.parse(&frame).unwrap();
        assert_eq!(parser.inner_partial(&outer, &frame), None);
    }
    // Of another version (PPTP), and without the flag of VXLAN: none.
    for (port, payload) in [(4754, [0x20, 1, 0x88, 0x0b]), (8472, [0; 4])] {
        let frame = ethernet(0x0800, &udp_to(port, &[&payload[..], &[0; 12]].concat()));
        let headers = parser.parse_tunnels(&frame).unwrap();
        assert_eq!(
            (headers.tunnel(), headers.protocol()),
            (None, Some(IpProtocol::UDP))
        );
    }
}

#[test]
fn a_tag_in_a_tunnel_is_known_too() {
    let parser = Parser::new().vlan_types(&[EtherType(0x9100)]);
    let tagged = ethernet(0x9100, &[&[0, 7, 0x08, 0x00][..], &UDP].concat());
    let vxlan = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &tagged].concat();
    let frame = ethernet(0x0800, &udp_to(4789, &vxlan));
    let headers = parser.parse_tunnels(&frame).unwrap();
    assert_eq!((headers.vlan(), headers.ports()), (Some(7), Some((9, 53))));
}
