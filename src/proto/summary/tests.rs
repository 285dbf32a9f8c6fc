#![forbid(unsafe_code)]

use super::*;
use crate::proto::samples::Random;

const MACS: [u8; 12] = [0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1];
const IP: [u8; 2] = [0x08, 0x00];
const IP6: [u8; 2] = [0x86, 0xdd];
const VLAN: [u8; 6] = [0x81, 0x00, 0xb0, 0x64, 0x08, 0x00];
const A_TO_B: [u8; 8] = [10, 0, 0, 1, 10, 0, 0, 2];
const A6_TO_B6: [u8; 32] = [
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, //
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
];

const SYN: [u8; 40] = [
    0x04, 0xd2, 0x00, 0x50, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, // ports, numbers
    0xa0, 0x02, 0xfa, 0xf0, 0x00, 0x00, 0x00, 0x00, // 40 bytes of header, SYN
    0x02, 0x04, 0x05, 0xb4, 0x04, 0x02, // largest segment, SACK permitted
    0x08, 0x0a, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x09, // timestamps
    0x01, 0x03, 0x03, 0x07, // window scale
];
const DATA: [u8; 23] = [
    0x00, 0x50, 0x04, 0xd2, 0xff, 0xff, 0xff, 0xfe, 0x00, 0x00, 0x00, 0x02, // ports, numbers
    0x50, 0x38, 0x01, 0xf6, 0x00, 0x00, 0x00, 0x05, // PSH, ACK, URG
    b'G', b'E', b'T',
];
const SACK: [u8; 44] = [
    0x00, 0x50, 0x04, 0xd2, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x02, // ports, numbers
    0xb0, 0xd0, 0x01, 0xf6, 0x00, 0x00, 0x00, 0x00, // ACK, ECE, CWR
    0x05, 0x12, 0x00, 0x00, 0x00, 0x0a, 0x00, 0x00, 0x00, 0x14, // blocks
    0x00, 0x00, 0x00, 0x1e, 0x00, 0x00, 0x00, 0x28, //
    0xfd, 0x04, 0xab, 0xcd, 0x00, 0x00, // an experiment, the end
];
const DNS: [u8; 11] = [0xc0, 0x00, 0x00, 0x35, 0x00, 0x0b, 0, 0, b'd', b'n', b's'];
const PING: [u8; 12] = [8, 0, 0, 0, 0, 7, 0, 9, b'p', b'i', b'n', b'g'];
const PING6: [u8; 12] = [128, 0, 0, 0, 0, 7, 0, 9, b'p', b'i', b'n', b'g'];
const ARP_REQUEST: [u8; 28] = [
    0, 1, 8, 0, 6, 4, 0, 1, 0x02, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
];
/// The last chunk lacks its padding.
const SCTP: [u8; 36] = [
    0x04, 0xd2, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, // ports, tag, checksum
    3, 0, 0, 8, 1, 2, 3, 4, 0xc1, 0, 0, 6, 1, 2, 0, 0, 13, 0, 0, 8, 0, 0, 0, 7,
];
const DCCP: [u8; 20] = [
    0x04, 0xd2, 0, 80, 5, 0, 0, 0, 0x01, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 7,
];
const SOLICITATION: [u8; 24] = [
    135, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
];

fn ip(protocol: u8, message: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(20 + message.len()).unwrap().to_be_bytes();
    let head = [0x45, 0, high, low, 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0];
    [&head[..], &A_TO_B, message].concat()
}

fn ip6(next: u8, message: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(message.len()).unwrap().to_be_bytes();
    [
        &[0x60, 0, 0, 0, high, low, next, 64][..],
        &A6_TO_B6,
        message,
    ]
    .concat()
}

fn frame(kind: &[u8], packet: &[u8]) -> Vec<u8> {
    [&MACS[..], kind, packet].concat()
}

fn frame4(protocol: u8, message: &[u8]) -> Vec<u8> {
    frame(&IP, &ip(protocol, message))
}

fn frame6(next: u8, message: &[u8]) -> Vec<u8> {
    frame(&IP6, &ip6(next, message))
}

/// A packet that is longer than its length field can tell (RFC 2675).
fn jumbogram(protocol: u8, message: &[u8]) -> Vec<u8> {
    let [a, b, c, d] = u32::try_from(8 + message.len()).unwrap().to_be_bytes();
    let packet = [
        &ip6(0, &[])[..],
        &[protocol, 0, 0xc2, 4, a, b, c, d],
        message,
    ];
    frame(&IP6, &packet.concat())
}

/// An ICMP error about a datagram.
fn icmp_error(kind: u8, code: u8, rest: [u8; 4]) -> Vec<u8> {
    let message = [&[kind, code, 0, 0][..], &rest, &ip(17, &DNS)].concat();
    frame4(1, &message)
}

fn icmp6_error(kind: u8, code: u8, rest: [u8; 4]) -> Vec<u8> {
    let message = [&[kind, code, 0, 0][..], &rest, &ip6(17, &DNS)].concat();
    frame6(58, &message)
}

/// One of each kind, and its line.
fn samples() -> Vec<(Vec<u8>, &'static str)> {
    let first = [&[17, 0, 0, 1, 0, 0, 0, 9][..], &DNS].concat();
    let later = [&[17, 0, 0x05, 0xa8, 0, 0, 0, 9][..], &DNS].concat();
    let extensions = [
        &[60, 0, 1, 4, 0, 0, 0, 0][..], // hop-by-hop
        &[51, 0, 1, 4, 0, 0, 0, 0],     // destination
        &[17, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xab, 0xcd, 0xef, 0x01], // authentication
        &DNS,
    ]
    .concat();
    let labels = [0x88, 0x47, 0, 1, 0, 64, 0, 1, 0x15, 63];
    let gre = [&[0x30, 0, 8, 0, 0, 0, 1, 2, 0, 0, 0, 3][..], &ip(17, &DNS)].concat();
    let bridged = [&[0, 0, 0x65, 0x58][..], &frame(&VLAN, &ip(1, &PING))].concat();
    let inner = frame(&[0x08, 0x06], &ARP_REQUEST);
    let vxlan = [
        &[0xc0, 0, 0x12, 0xb5, 0, 58, 0, 0, 8, 0, 0, 0, 0, 0, 42, 0][..],
        &inner,
    ]
    .concat();
    let mut piece = frame4(17, &DNS);
    piece[20..22].copy_from_slice(&[0x20, 0xb9]);
    let mut start = frame4(17, &DNS);
    start[20..22].copy_from_slice(&[0x20, 0x00]);
    vec![
        (
            frame4(6, &SYN),
            "IP 10.0.0.1.1234 > 10.0.0.2.80: Flags [S], seq 1, win 64240, \
             options [mss 1460,sackOK,TS val 7 ecr 9,nop,wscale 7], length 0",
        ),
        (
            frame6(6, &DATA),
            "IP6 2001:db8::1.80 > 2001:db8::2.1234: Flags [P.U], seq 4294967294:1, ack 2, win 502, urg 5, length 3",
        ),
        (
            frame(&VLAN, &ip(6, &SACK)),
            "vlan 100, p 5, DEI, IP 10.0.0.1.80 > 10.0.0.2.1234: Flags [.EW], ack 2, win 502, \
             options [sack 2 {10:20}{30:40},unknown-253 0xabcd,eol], length 0",
        ),
        (
            frame4(17, &DNS),
            "IP 10.0.0.1.49152 > 10.0.0.2.53: UDP, length 3",
        ),
        (
            frame4(1, &PING),
            "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 9, length 12",
        ),
        (
            frame6(58, &PING6),
            "IP6 2001:db8::1 > 2001:db8::2: ICMP6, echo request, id 7, seq 9, length 12",
        ),
        (
            frame(&[0x08, 0x06], &ARP_REQUEST),
            "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28",
        ),
        (
            frame6(58, &SOLICITATION),
            "IP6 2001:db8::1 > 2001:db8::2: ICMP6, neighbor solicitation, who has fe80::2, length 24",
        ),
        (
            piece,
            "IP 10.0.0.1 > 10.0.0.2: ip-proto-17 (frag 4660:11@1480+)",
        ),
        (
            start,
            "IP 10.0.0.1.49152 > 10.0.0.2.53: UDP, length 3 (frag 4660:11@0+)",
        ),
        (
            frame6(44, &first),
            "IP6 2001:db8::1 > 2001:db8::2: frag (0|11) 49152 > 53: UDP, length 3",
        ),
        (
            frame6(44, &later),
            "IP6 2001:db8::1 > 2001:db8::2: frag (1448|11)",
        ),
        (
            frame6(0, &extensions),
            "IP6 2001:db8::1 > 2001:db8::2: HBH DSTOPT AH(spi=0x00000001,seq=0x2,icv=0xabcdef01): \
             49152 > 53: UDP, length 3",
        ),
        (
            frame(&labels, &ip(17, &DNS)),
            "MPLS (label 16, tc 0, ttl 64) (label 17, tc 2, [S], ttl 63) IP 10.0.0.1.49152 > 10.0.0.2.53: UDP, length 3",
        ),
        (
            frame4(47, &gre),
            "IP 10.0.0.1 > 10.0.0.2: GREv0, key=0x102, seq 3, length 43: IP 10.0.0.1.49152 > 10.0.0.2.53: UDP, length 3",
        ),
        (
            frame6(47, &bridged),
            "IP6 2001:db8::1 > 2001:db8::2: GREv0, length 54: vlan 100, p 5, DEI, \
             IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 9, length 12",
        ),
        (
            frame4(17, &vxlan),
            "IP 10.0.0.1.49152 > 10.0.0.2.4789: VXLAN, flags [I] (0x08), vni 42: \
             ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28",
        ),
        (
            frame4(41, &ip6(58, &PING6)),
            "IP 10.0.0.1 > 10.0.0.2: IP6 2001:db8::1 > 2001:db8::2: ICMP6, echo request, id 7, seq 9, length 12",
        ),
        (
            frame4(132, &SCTP),
            "IP 10.0.0.1.1234 > 10.0.0.2.80: sctp (1) [SACK] (2) [Unknown chunk type: 0xc1] (3) [CWR], length 36",
        ),
        (
            frame6(33, &DCCP),
            "IP6 2001:db8::1.1234 > 2001:db8::2.80: DCCP DCCP-Request, length 20",
        ),
        (
            frame(&[0x08, 0x06], &[&[0, 6][..], &ARP_REQUEST[2..]].concat()),
            "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28",
        ),
        (
            frame4(1, &[&[8, 9][..], &PING[2..]].concat()),
            "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 9, length 12",
        ),
        (
            frame6(58, &[&[129, 9][..], &PING6[2..]].concat()),
            "IP6 2001:db8::1 > 2001:db8::2: ICMP6, echo reply, id 7, seq 9, length 12",
        ),
        (
            jumbogram(
                17,
                &[&[0x04, 0xd2, 0, 80, 0, 0, 0, 0][..], &[0; 70_000]].concat(),
            ),
            "IP6 2001:db8::1 > 2001:db8::2: HBH 1234 > 80: UDP, length 70000",
        ),
        (
            jumbogram(6, &[&DATA[..20], &[0; 65_536]].concat()),
            "IP6 2001:db8::1 > 2001:db8::2: HBH 80 > 1234: Flags [P.U], seq 4294967294:65534, ack 2, win 502, urg 5, length 65536",
        ),
        (
            frame(
                &IP6,
                &[&ip6(0, &[])[..], &[17, 0, 1, 4, 0, 0, 0, 0], &DNS].concat(),
            ),
            "IP6 2001:db8::1 > 2001:db8::2: [bad ip6 payload length 0]",
        ),
        (
            frame(&[0x88, 0xcc], &[0; 10]),
            "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype Unknown (0x88cc), length 24",
        ),
        (
            frame(&[0, 8, 0xaa, 0xaa, 3, 0, 0, 0, 8, 6], &ARP_REQUEST)[..22].to_vec(),
            "ARP, [|arp]",
        ),
        (
            frame(&[0, 7, 0x42, 0x42, 3], &[0; 43]),
            "LLC, dsap 0x42, ssap 0x42, ctrl 0x03, length 4",
        ),
    ]
}

#[test]
fn each_kind_of_packet_has_its_line() {
    for (bytes, line) in samples() {
        assert_eq!(summary(&bytes).to_string(), line);
    }
}

#[test]
fn errors_say_what_could_not_be_reached() {
    let four = "IP 10.0.0.1 > 10.0.0.2: ICMP ";
    for (kind, code, rest, line) in [
        (3, 0, [0; 4], "net 10.0.0.2 unreachable"),
        (3, 1, [0; 4], "host 10.0.0.2 unreachable"),
        (3, 2, [0; 4], "10.0.0.2 protocol 17 unreachable"),
        (3, 3, [0; 4], "10.0.0.2 udp port 53 unreachable"),
        (
            3,
            4,
            [0, 0, 5, 120],
            "10.0.0.2 unreachable - need to frag (mtu 1400)",
        ),
        (
            3,
            13,
            [0; 4],
            "host 10.0.0.2 unreachable - admin prohibited filter",
        ),
        (
            5,
            1,
            [10, 0, 0, 254],
            "redirect 10.0.0.2 to host 10.0.0.254",
        ),
        (11, 0, [0; 4], "time exceeded in-transit"),
        (12, 0, [20, 0, 0, 0], "parameter problem - octet 20"),
    ] {
        let bytes = icmp_error(kind, code, rest);
        assert_eq!(
            summary(&bytes).to_string(),
            format!("{four}{line}, length 39")
        );
    }
    let six = "IP6 2001:db8::1 > 2001:db8::2: ICMP6, ";
    for (kind, code, rest, line) in [
        (
            1,
            0,
            [0; 4],
            "destination unreachable, unreachable route 2001:db8::2",
        ),
        (
            1,
            4,
            [0; 4],
            "destination unreachable, unreachable port, 2001:db8::2 udp port 53",
        ),
        (2, 0, [0, 0, 5, 0], "packet too big, mtu 1280"),
        (3, 0, [0; 4], "time exceeded in-transit for 2001:db8::2"),
        (
            4,
            1,
            [0, 0, 0, 6],
            "parameter problem, next header - octet 6",
        ),
    ] {
        let bytes = icmp6_error(kind, code, rest);
        assert_eq!(
            summary(&bytes).to_string(),
            format!("{six}{line}, length 59")
        );
    }
}

#[test]
fn the_ethernet_header_is_shown_when_asked_for() {
    let macs = "02:00:00:00:00:01 > 02:00:00:00:00:02";
    let plain = frame4(17, &DNS);
    assert_eq!(
        summary(&plain).with_ethernet().to_string(),
        format!(
            "{macs}, ethertype IPv4 (0x0800), length 45: 10.0.0.1.49152 > 10.0.0.2.53: UDP, length 3"
        )
    );
    let tagged = frame(&VLAN, &ip(17, &DNS));
    assert_eq!(
        summary(&tagged).with_ethernet().to_string(),
        format!(
            "{macs}, ethertype 802.1Q (0x8100), length 49: vlan 100, p 5, DEI, ethertype IPv4 (0x0800), \
             10.0.0.1.49152 > 10.0.0.2.53: UDP, length 3"
        )
    );
}

#[test]
fn what_cannot_be_is_told() {
    let mut words = frame4(17, &DNS);
    words[14] = 0x44;
    assert_eq!(summary(&words).to_string(), "IP [bad ip IHL 4]");
    let mut long = frame4(6, &SYN);
    long[46] = 0xf0;
    assert_eq!(
        summary(&long).to_string(),
        "IP 10.0.0.1.1234 > 10.0.0.2.80: Flags [S] [bad hdr length 60 - too long, > 40]"
    );
    long[46] = 0x40;
    assert_eq!(
        summary(&long).to_string(),
        "IP 10.0.0.1.1234 > 10.0.0.2.80: tcp 24 [bad hdr length 16 - too short, < 20]"
    );
    let mut option = frame4(6, &SYN);
    option[55] = 0;
    assert_eq!(
        summary(&option).to_string(),
        "IP 10.0.0.1.1234 > 10.0.0.2.80: Flags [S], seq 1, win 64240, options [[bad opt]], length 0"
    );
    let mut datagram = frame4(17, &DNS);
    datagram[39] = 12;
    assert_eq!(
        summary(&datagram).to_string(),
        "IP 10.0.0.1.49152 > 10.0.0.2.53: UDP, bad length 4 > 3"
    );
}

#[test]
fn what_is_cut_off_is_told_by_the_header_that_lacks() {
    let bytes = frame4(6, &SYN);
    for (available, line) in [
        (0, "[|ether]"),
        (13, "[|ether]"),
        (14, "IP [|ip]"),
        (33, "IP [|ip]"),
        (
            34,
            "IP truncated-ip - 40 bytes missing! 10.0.0.1 > 10.0.0.2: [|tcp]",
        ),
        (
            38,
            "IP truncated-ip - 36 bytes missing! 10.0.0.1.1234 > 10.0.0.2.80: [|tcp]",
        ),
        (
            54,
            "IP truncated-ip - 20 bytes missing! 10.0.0.1.1234 > 10.0.0.2.80: Flags [S] [|tcp]",
        ),
    ] {
        assert_eq!(summary(&bytes[..available]).to_string(), line);
    }
    let bytes = frame4(17, &DNS);
    assert_eq!(
        summary(&bytes[..43]).to_string(),
        "IP truncated-ip - 2 bytes missing! 10.0.0.1.49152 > 10.0.0.2.53: UDP, length 3"
    );
}

/// Prints any bytes as one line that is not much longer than they are.
fn one_line(bytes: &[u8]) {
    for line in [summary(bytes), summary(bytes).with_ethernet()] {
        let text = line.to_string();
        assert!(
            !text.is_empty() && !text.contains('\n'),
            "{bytes:x?}: {text}"
        );
        assert!(text.len() < 500 + 8 * bytes.len(), "{bytes:x?}: {text}");
    }
}

#[test]
fn any_start_of_a_packet_has_a_line() {
    for (bytes, _) in samples() {
        for available in 0..bytes.len() {
            one_line(&bytes[..available]);
        }
    }
}

#[test]
fn any_bytes_have_a_line() {
    let mut random = Random(11);
    let samples = samples();
    for _ in 0..100_000 {
        let (bytes, _) = &samples[random.below(samples.len())];
        let mut bytes = bytes.clone();
        for _ in 0..random.below(6) {
            let at = random.below(bytes.len());
            bytes[at] = random.byte();
        }
        one_line(&bytes);
        let behind = 12 + random.below(40);
        let len = random.below(200);
        bytes.truncate(behind);
        bytes.extend(random.bytes(len));
        one_line(&bytes);
    }
}

#[test]
fn tunnels_in_tunnels_come_to_an_end() {
    let mut packet = ip(17, &DNS);
    for _ in 0..50 {
        packet = ip(4, &packet);
    }
    let line = summary(&frame(&IP, &packet)).to_string();
    assert_eq!(line.matches("IP 10.0.0.1").count(), MAX_DEPTH + 1);
    assert!(line.ends_with(": ..."), "{line}");
    let mut packet = vec![];
    for _ in 0..50 {
        packet = ip6(
            60,
            &[&[60, 0, 1, 4, 0, 0, 0, 0].repeat(20)[..], &packet].concat(),
        );
    }
    one_line(&frame(&IP6, &packet));
}
