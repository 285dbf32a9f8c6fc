#![forbid(unsafe_code)]

use super::*;

/// Asks for the time (RFC 792, page 16).
const TIMESTAMP: [u8; 20] = [
    0x0d, 0x00, 0x1b, 0x20, 0x00, 0x07, 0x00, 0x01, // type, code, checksum, id, sequence
    0x01, 0x23, 0xd6, 0xb4, 0, 0, 0, 0, 0, 0, 0, 0, // sent, received, sent back
];

#[test]
fn any_message_shows_its_type_and_payload() {
    let (icmp, payload) = Icmp::parse(&TIMESTAMP).unwrap();
    assert_eq!(Icmp::LEN, 4);
    assert_eq!(icmp.icmp_type(), IcmpType::TIMESTAMP_REQUEST);
    assert_eq!((icmp.code(), icmp.checksum()), (0, 0x1b20));
    assert_eq!(payload, &TIMESTAMP[4..]);
    assert!(icmp.verify_checksum(payload));
    assert_eq!(icmp.to_string(), "ICMP timestamp request code 0");
    assert_eq!(IcmpType(99).to_string(), "type 99");
}

#[test]
fn a_truncated_header_names_what_is_missing() {
    for available in 0..Icmp::LEN {
        let mut bytes = TIMESTAMP;
        let error = ParseError::truncated(("ICMP", "header", 0), 4, available);
        assert_eq!(Icmp::parse(&bytes[..available]), Err(error));
        assert_eq!(Icmp::parse_mut(&mut bytes[..available]), Err(error));
    }
}

#[test]
fn setters_write_the_packet_itself() {
    let mut bytes = TIMESTAMP;
    bytes[..4].fill(0xee);
    let (icmp, payload) = Icmp::parse_mut(&mut bytes).unwrap();
    icmp.set_icmp_type(IcmpType::TIMESTAMP_REQUEST);
    icmp.set_code(0);
    icmp.set_checksum(1);
    assert!(!icmp.verify_checksum(payload));
    icmp.fill_checksum(payload);
    assert_eq!(bytes, TIMESTAMP);
}

#[test]
fn errors_are_told_from_questions_and_answers() {
    let errors = (0..=u8::MAX).filter(|&number| IcmpType(number).is_error());
    assert!(errors.eq([3, 4, 5, 11, 12]));
}

mod echo {
    use super::super::*;

    /// As `ping` sends it: the data are a time stamp and counting bytes.
    const REQUEST: [u8; 32] = [
        0x08, 0x00, 0x27, 0x6f, 0x1a, 0x2b, 0x00, 0x03, // echo request
        0x5e, 0x3c, 0x9f, 0x65, 0x00, 0x00, 0x00, 0x00, // time stamp
        0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, //
        0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, //
    ];

    #[test]
    fn a_request_shows_its_fields_and_data() {
        let (echo, data) = IcmpEcho::parse(&REQUEST).unwrap();
        assert_eq!(IcmpEcho::LEN, 8);
        assert_eq!(echo.icmp_type(), IcmpType::ECHO_REQUEST);
        assert_eq!(echo.code(), 0);
        assert_eq!(echo.checksum(), 0x276f);
        assert_eq!(echo.identifier(), 0x1a2b);
        assert_eq!(echo.sequence(), 3);
        assert_eq!(data, &REQUEST[8..]);
        assert!(echo.verify_checksum(data));
        assert_eq!(echo.to_string(), "ICMP echo request id 0x1a2b seq 3");
    }

    #[test]
    fn a_truncated_header_names_what_is_missing() {
        for available in 0..IcmpEcho::LEN {
            let mut bytes = REQUEST;
            let error = IcmpEcho::truncated(available);
            assert_eq!(IcmpEcho::parse(&bytes[..available]), Err(error));
            assert_eq!(IcmpEcho::parse_mut(&mut bytes[..available]), Err(error));
        }
    }

    #[test]
    fn other_messages_are_refused_by_field() {
        let mut bytes = REQUEST;
        bytes[0] = 3;
        let error = ParseError::malformed(("ICMP echo", "type", 0), 3);
        assert_eq!(IcmpEcho::parse(&bytes), Err(error));
        assert_eq!(IcmpEcho::parse_mut(&mut bytes), Err(error));
    }

    #[test]
    fn an_echo_may_have_any_code_and_its_reply_has_code_0() {
        for code in 0..=u8::MAX {
            let mut bytes = REQUEST;
            bytes[1] = code;
            let (echo, data) = IcmpEcho::parse_mut(&mut bytes).unwrap();
            echo.fill_checksum(data);
            echo.into_reply();
            assert_eq!((echo.icmp_type(), echo.code()), (IcmpType::ECHO_REPLY, 0));
            assert!(echo.verify_checksum(data), "{code}");
        }
    }

    #[test]
    fn changed_data_fail_the_checksum() {
        let mut bytes = REQUEST;
        bytes[31] ^= 1;
        let (echo, data) = IcmpEcho::parse(&bytes).unwrap();
        assert!(!echo.verify_checksum(data));
        assert!(!echo.verify_checksum(&data[..23]));
    }

    #[test]
    fn a_built_request_gets_its_checksum() {
        let mut bytes = REQUEST;
        bytes[..8].fill(0);
        let (echo, data) = IcmpEcho::parse_mut(&mut bytes).unwrap();
        echo.set_icmp_type(IcmpType::ECHO_REQUEST);
        echo.set_identifier(0x1a2b);
        echo.set_sequence(3);
        echo.fill_checksum(data);
        assert_eq!(bytes, REQUEST);
    }

    #[test]
    fn a_request_becomes_the_reply_in_place() {
        let mut bytes = REQUEST;
        let (echo, data) = IcmpEcho::parse_mut(&mut bytes).unwrap();
        echo.into_reply();
        assert_eq!(echo.icmp_type(), IcmpType::ECHO_REPLY);
        assert_eq!(echo.checksum(), 0x2f6f);
        assert!(echo.verify_checksum(data));
        assert_eq!(bytes[4..], REQUEST[4..]);
    }

    #[test]
    fn every_right_request_becomes_a_right_reply() {
        // Sequence and data run through every checksum, and through all-zero replies.
        for (identifier, data) in [(0, &[][..]), (0, &[0; 5]), (0, &[0xff; 2]), (7, &[1, 2, 3])] {
            for sequence in 0..=u16::MAX {
                let mut bytes = [&[0; 8], data].concat();
                let (echo, data) = IcmpEcho::parse_mut(&mut bytes).unwrap();
                echo.set_icmp_type(IcmpType::ECHO_REQUEST);
                echo.set_identifier(identifier);
                echo.set_sequence(sequence);
                echo.fill_checksum(data);
                echo.into_reply();
                assert!(echo.verify_checksum(data), "{echo} {data:?}");
            }
        }
    }

    #[test]
    fn a_wrong_request_becomes_a_wrong_reply() {
        let mut bytes = REQUEST;
        bytes[2] ^= 0x40;
        let (echo, data) = IcmpEcho::parse_mut(&mut bytes).unwrap();
        echo.into_reply();
        assert!(!echo.verify_checksum(data));
    }
}

mod error {
    use super::super::*;
    use crate::proto::{IpProtocol, Ipv4};

    /// A router's answer to a UDP packet of 1500 bytes that must not be fragmented.
    const TOO_LONG: [u8; 36] = [
        0x03, 0x04, 0x31, 0x86, 0x00, 0x00, 0x05, 0x78, // unreachable, next-hop MTU 1400
        0x45, 0x00, 0x05, 0xdc, 0x12, 0x34, 0x40, 0x00, 0x3f, 0x11, 0x0f, 0xdb, // IPv4
        0x0a, 0x00, 0x00, 0x01, 0x0a, 0x00, 0x00, 0x02, //
        0xc0, 0x00, 0x00, 0x35, 0x05, 0xc8, 0x00, 0x00, // UDP, without its payload
    ];

    fn with(change: impl Fn(&mut IcmpError)) -> IcmpError {
        let mut bytes = TOO_LONG;
        let (error, _) = IcmpError::parse_mut(&mut bytes).unwrap();
        change(error);
        *error
    }

    #[test]
    fn an_error_shows_its_fields_and_the_quoted_packet() {
        let (error, payload) = IcmpError::parse(&TOO_LONG).unwrap();
        assert_eq!(IcmpError::LEN, 8);
        assert_eq!(error.icmp_type(), IcmpType::DESTINATION_UNREACHABLE);
        assert_eq!(error.code(), IcmpError::FRAGMENTATION_NEEDED);
        assert_eq!(error.checksum(), 0x3186);
        assert_eq!(error.next_hop_mtu(), Some(1400));
        assert_eq!((error.gateway(), error.pointer()), (None, None));
        assert!(error.verify_checksum(payload));
        assert_eq!(error.quoted(payload), &TOO_LONG[8..]);
        let text = "ICMP destination unreachable code 4 MTU 1400";
        assert_eq!(error.to_string(), text);
        let (ip, start) = Ipv4::parse_quoted(payload).unwrap();
        assert_eq!((ip.total_length(), ip.protocol()), (1500, IpProtocol::UDP));
        assert_eq!(start, &TOO_LONG[28..]);
        assert!(Ipv4::parse(payload).unwrap_err().is_truncated());
    }

    #[test]
    fn each_type_has_its_own_fields() {
        let redirect = with(|error| {
            error.set_icmp_type(IcmpType::REDIRECT);
            error.set_code(1);
            error.set_gateway(Ipv4Addr::new(10, 0, 0, 254));
        });
        assert_eq!(redirect.gateway(), Some(Ipv4Addr::new(10, 0, 0, 254)));
        assert_eq!((redirect.next_hop_mtu(), redirect.pointer()), (None, None));
        assert_eq!(redirect.to_string(), "ICMP redirect code 1 to 10.0.0.254");
        let problem = with(|error| {
            error.set_icmp_type(IcmpType::PARAMETER_PROBLEM);
            error.set_code(0);
            error.set_pointer(20);
        });
        assert_eq!(problem.pointer(), Some(20));
        assert_eq!((problem.next_hop_mtu(), problem.gateway()), (None, None));
        assert_eq!(
            problem.to_string(),
            "ICMP parameter problem code 0 at byte 20"
        );
        let missing = with(|error| {
            error.set_icmp_type(IcmpType::PARAMETER_PROBLEM);
            error.set_code(1);
        });
        assert_eq!(missing.pointer(), None);
        let time = with(|error| error.set_icmp_type(IcmpType::TIME_EXCEEDED));
        assert_eq!((time.next_hop_mtu(), time.gateway()), (None, None));
        let port = with(|error| error.set_code(IcmpError::PORT_UNREACHABLE));
        assert_eq!(port.next_hop_mtu(), None);
    }

    #[test]
    fn extensions_are_no_part_of_the_quoted_packet() {
        let payload = [7; 140];
        for (icmp_type, words, len) in [
            (IcmpType::TIME_EXCEEDED, 32, 128),
            (IcmpType::DESTINATION_UNREACHABLE, 32, 128),
            (IcmpType::PARAMETER_PROBLEM, 35, 140),
            (IcmpType::TIME_EXCEEDED, 0, 140),
            (IcmpType::TIME_EXCEEDED, 36, 140),
            (IcmpType::TIME_EXCEEDED, 255, 140),
            (IcmpType::REDIRECT, 32, 140),
            (IcmpType::SOURCE_QUENCH, 32, 140),
        ] {
            let error = with(|error| {
                error.set_icmp_type(icmp_type);
                error.set_gateway(Ipv4Addr::new(0, words, 0, 0));
            });
            assert_eq!(error.quoted(&payload).len(), len, "{error} {words}");
        }
    }

    #[test]
    fn a_truncated_header_names_what_is_missing() {
        for available in 0..IcmpError::LEN {
            let mut bytes = TOO_LONG;
            let error = IcmpError::truncated(available);
            assert_eq!(IcmpError::parse(&bytes[..available]), Err(error));
            assert_eq!(IcmpError::parse_mut(&mut bytes[..available]), Err(error));
        }
    }

    #[test]
    fn messages_that_report_no_error_are_refused() {
        for number in 0..=u8::MAX {
            let mut bytes = TOO_LONG;
            bytes[0] = number;
            let parsed = IcmpError::parse(&bytes);
            if IcmpType(number).is_error() {
                assert!(parsed.is_ok());
            } else {
                let error = ParseError::malformed(("ICMP error", "type", 0), number.into());
                assert_eq!(parsed, Err(error));
                assert_eq!(IcmpError::parse_mut(&mut bytes), Err(error));
            }
        }
    }

    #[test]
    fn a_built_error_gets_its_checksum() {
        let mut bytes = TOO_LONG;
        bytes[..8].fill(0);
        let (icmp, _) = Icmp::parse_mut(&mut bytes).unwrap();
        icmp.set_icmp_type(IcmpType::DESTINATION_UNREACHABLE);
        let (error, payload) = IcmpError::parse_mut(&mut bytes).unwrap();
        error.set_code(IcmpError::FRAGMENTATION_NEEDED);
        error.set_next_hop_mtu(1400);
        error.set_checksum(9);
        error.fill_checksum(payload);
        assert_eq!(bytes, TOO_LONG);
    }
}
