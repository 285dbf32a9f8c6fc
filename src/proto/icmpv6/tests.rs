#![forbid(unsafe_code)]

use std::net::Ipv6Addr;

use super::*;
use crate::proto::Ipv6;

const HOST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const SERVER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

/// From the host to the server.
const REQUEST: [u8; 13] = [
    0x80, 0x00, 0x0a, 0x44, 0x1a, 0x2b, 0x00, 0x03, // echo request
    b'p', b'i', b'n', b'g', b'!',
];

/// What a router, here the server itself, answers to a packet of 1500 bytes from the host.
const TOO_BIG: [u8; 56] = [
    0x02, 0x00, 0x04, 0xc5, 0x00, 0x00, 0x05, 0x00, // packet too big, MTU 1280
    0x60, 0x00, 0x00, 0x00, 0x05, 0xb4, 0x11, 0x40, // IPv6, UDP
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, //
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, //
    0xc0, 0x00, 0x00, 0x35, 0x05, 0xb4, 0x00, 0x00, // UDP, without its payload
];

fn there() -> PseudoHeader {
    PseudoHeader::ipv6(HOST, SERVER)
}

fn with(change: impl Fn(&mut Icmpv6Error)) -> Icmpv6Error {
    let mut bytes = TOO_BIG;
    let (error, _) = Icmpv6Error::parse_mut(&mut bytes).unwrap();
    change(error);
    *error
}

#[test]
fn any_message_shows_its_type_and_payload() {
    let (icmp, payload) = Icmpv6::parse(&REQUEST).unwrap();
    assert_eq!(Icmpv6::LEN, 4);
    assert_eq!(icmp.icmp_type(), Icmpv6Type::ECHO_REQUEST);
    assert_eq!((icmp.code(), icmp.checksum()), (0, 0x0a44));
    assert_eq!(payload, &REQUEST[4..]);
    assert!(icmp.verify_checksum(there(), payload));
    let elsewhere = PseudoHeader::ipv6(HOST, HOST);
    assert!(!icmp.verify_checksum(elsewhere, payload));
    assert_eq!(icmp.to_string(), "ICMPv6 echo request code 0");
    assert_eq!(Icmpv6Type(200).to_string(), "type 200");
    assert!(Icmpv6Type::PARAMETER_PROBLEM.is_error());
    assert!(!icmp.icmp_type().is_error());
}

#[test]
fn an_echo_shows_its_fields_and_data() {
    let (echo, data) = Icmpv6Echo::parse(&REQUEST).unwrap();
    assert_eq!(Icmpv6Echo::LEN, 8);
    assert_eq!((echo.identifier(), echo.sequence()), (0x1a2b, 3));
    assert_eq!(data, b"ping!");
    assert!(echo.verify_checksum(there(), data));
    let text = "ICMPv6 echo request id 0x1a2b seq 3";
    assert_eq!(echo.to_string(), text);
}

#[test]
fn an_error_shows_its_fields_and_the_quoted_packet() {
    let (error, payload) = Icmpv6Error::parse(&TOO_BIG).unwrap();
    assert_eq!(Icmpv6Error::LEN, 8);
    assert_eq!(error.icmp_type(), Icmpv6Type::PACKET_TOO_BIG);
    assert_eq!((error.code(), error.checksum()), (0, 0x04c5));
    assert_eq!((error.mtu(), error.pointer()), (Some(1280), None));
    assert!(error.verify_checksum(there(), payload));
    assert_eq!(error.quoted(payload), &TOO_BIG[8..]);
    let text = "ICMPv6 packet too big code 0 MTU 1280";
    assert_eq!(error.to_string(), text);
    let (ip, start) = Ipv6::parse_quoted(payload).unwrap();
    assert_eq!((ip.source(), ip.payload_length()), (HOST, 1460));
    assert_eq!(start, &TOO_BIG[48..]);
}

#[test]
fn each_error_has_its_own_fields() {
    let problem = with(|error| {
        error.set_icmp_type(Icmpv6Type::PARAMETER_PROBLEM);
        error.set_code(1);
        error.set_pointer(6);
    });
    assert_eq!((problem.mtu(), problem.pointer()), (None, Some(6)));
    let text = "ICMPv6 parameter problem code 1 at byte 6";
    assert_eq!(problem.to_string(), text);
    let time = with(|error| error.set_icmp_type(Icmpv6Type::TIME_EXCEEDED));
    assert_eq!((time.mtu(), time.pointer()), (None, None));
    assert_eq!(time.to_string(), "ICMPv6 time exceeded code 0");
}

#[test]
fn extensions_are_no_part_of_the_quoted_packet() {
    let payload = [7; 140];
    for (icmp_type, words, len) in [
        (Icmpv6Type::TIME_EXCEEDED, 16, 128),
        (Icmpv6Type::DESTINATION_UNREACHABLE, 17, 136),
        (Icmpv6Type::DESTINATION_UNREACHABLE, 18, 140),
        (Icmpv6Type::TIME_EXCEEDED, 0, 140),
        (Icmpv6Type::TIME_EXCEEDED, 255, 140),
        (Icmpv6Type::PACKET_TOO_BIG, 16, 140),
        (Icmpv6Type::PARAMETER_PROBLEM, 16, 140),
    ] {
        let error = with(|error| {
            error.set_icmp_type(icmp_type);
            error.set_pointer(words << 24);
        });
        assert_eq!(error.quoted(&payload).len(), len, "{error} {words}");
    }
}

#[test]
fn a_truncated_message_names_what_is_missing() {
    for available in 0..8 {
        let mut echo = REQUEST;
        let mut error = TOO_BIG;
        let fault = |name, len| ParseError::truncated((name, "header", 0), len, available);
        let wanted = fault("ICMPv6 echo", 8);
        assert_eq!(Icmpv6Echo::parse(&echo[..available]), Err(wanted));
        assert_eq!(Icmpv6Echo::parse_mut(&mut echo[..available]), Err(wanted));
        let wanted = fault("ICMPv6 error", 8);
        assert_eq!(Icmpv6Error::parse(&error[..available]), Err(wanted));
        assert_eq!(Icmpv6Error::parse_mut(&mut error[..available]), Err(wanted));
        if available < 4 {
            let wanted = fault("ICMPv6", 4);
            assert_eq!(Icmpv6::parse(&echo[..available]), Err(wanted));
            assert_eq!(Icmpv6::parse_mut(&mut echo[..available]), Err(wanted));
        }
    }
}

#[test]
fn other_messages_are_refused_by_field() {
    for number in 0..=u8::MAX {
        let mut bytes = REQUEST;
        bytes[0] = number;
        let fault = |name| ParseError::malformed((name, "type", 0), number.into());
        if matches!(number, 128 | 129) {
            assert!(Icmpv6Echo::parse(&bytes).is_ok());
        } else {
            assert_eq!(Icmpv6Echo::parse(&bytes), Err(fault("ICMPv6 echo")));
        }
        if matches!(number, 1..=4) {
            assert!(Icmpv6Error::parse_mut(&mut bytes).is_ok());
        } else {
            let wanted = fault("ICMPv6 error");
            assert_eq!(Icmpv6Error::parse_mut(&mut bytes), Err(wanted));
        }
    }
}

#[test]
fn an_echo_may_have_any_code_and_its_reply_has_code_0() {
    for code in 0..=u8::MAX {
        let mut bytes = REQUEST;
        bytes[1] = code;
        let (echo, data) = Icmpv6Echo::parse_mut(&mut bytes).unwrap();
        echo.fill_checksum(there(), data);
        echo.into_reply();
        assert_eq!((echo.icmp_type(), echo.code()), (Icmpv6Type::ECHO_REPLY, 0));
        assert!(echo.verify_checksum(there(), data), "{code}");
    }
}

#[test]
fn built_messages_get_their_checksum() {
    let mut bytes = REQUEST;
    bytes[..8].fill(0);
    let (icmp, _) = Icmpv6::parse_mut(&mut bytes).unwrap();
    icmp.set_icmp_type(Icmpv6Type::ECHO_REPLY);
    icmp.set_code(0);
    icmp.set_checksum(9);
    let (echo, data) = Icmpv6Echo::parse_mut(&mut bytes).unwrap();
    echo.set_icmp_type(Icmpv6Type::ECHO_REQUEST);
    echo.set_identifier(0x1a2b);
    echo.set_sequence(3);
    echo.fill_checksum(there(), data);
    assert_eq!(bytes, REQUEST);

    let mut bytes = TOO_BIG;
    bytes[..8].fill(0);
    let (icmp, _) = Icmpv6::parse_mut(&mut bytes).unwrap();
    icmp.set_icmp_type(Icmpv6Type::PACKET_TOO_BIG);
    let (error, _) = Icmpv6Error::parse_mut(&mut bytes).unwrap();
    error.set_mtu(1280);
    let (icmp, payload) = Icmpv6::parse_mut(&mut bytes).unwrap();
    icmp.fill_checksum(there(), payload);
    assert_eq!(bytes, TOO_BIG);
}

#[test]
fn every_right_request_becomes_a_right_reply() {
    for sequence in 0..=u16::MAX {
        let mut bytes = REQUEST;
        let (echo, data) = Icmpv6Echo::parse_mut(&mut bytes).unwrap();
        echo.set_sequence(sequence);
        echo.fill_checksum(there(), data);
        echo.into_reply();
        assert_eq!(echo.icmp_type(), Icmpv6Type::ECHO_REPLY);
        assert!(echo.verify_checksum(PseudoHeader::ipv6(SERVER, HOST), data));
        echo.set_checksum(echo.checksum() ^ 1);
        assert!(!echo.verify_checksum(there(), data));
    }
}
