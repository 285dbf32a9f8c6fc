#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

use super::*;

/// From 10.0.0.1 to 10.0.0.2, with the option of a largest segment.
const SYN: [u8; 24] = [
    0xc3, 0x50, 0x00, 0x50, // ports
    0x12, 0x34, 0x56, 0x78, 0x00, 0x00, 0x00, 0x00, // sequence and acknowledgment numbers
    0x60, 0x02, 0xfa, 0xf0, // 24 bytes of header, SYN, window
    0x5c, 0xe6, 0x00, 0x00, // checksum, urgent pointer
    0x02, 0x04, 0x05, 0xb4, // largest segment 1460
];

/// From 10.0.0.1 to 10.0.0.2, with three bytes of data.
const DATA: [u8; 23] = [
    0xc3, 0x50, 0x00, 0x50, // ports
    0x12, 0x34, 0x56, 0x79, 0x9a, 0xbc, 0xde, 0xf0, // sequence and acknowledgment numbers
    0x50, 0x18, 0x01, 0xf6, // 20 bytes of header, ACK and PSH, window
    0x58, 0x90, 0x00, 0x00, // checksum, urgent pointer
    b'G', b'E', b'T',
];

fn pseudo_header() -> PseudoHeader {
    PseudoHeader::ipv4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2))
}

fn both_refuse(bytes: &[u8], error: ParseError) {
    assert_eq!(Tcp::parse(bytes), Err(error));
    assert_eq!(Tcp::parse_mut(&mut bytes.to_vec()), Err(error));
}

#[test]
fn a_segment_shows_its_fields_and_data() {
    let (tcp, data) = Tcp::parse(&DATA).unwrap();
    assert_eq!(size_of_val(tcp), Tcp::LEN);
    assert_eq!((tcp.source_port(), tcp.destination_port()), (50000, 80));
    assert_eq!(tcp.sequence_number(), 0x1234_5679);
    assert_eq!(tcp.acknowledgment_number(), 0x9abc_def0);
    assert_eq!(tcp.header_len(), 20);
    assert_eq!(tcp.flags(), TcpFlags::ACK | TcpFlags::PSH);
    assert_eq!(tcp.window(), 502);
    assert_eq!(tcp.checksum(), 0x5890);
    assert_eq!(tcp.urgent_pointer(), 0);
    assert!(tcp.options_bytes().is_empty());
    assert_eq!(data, b"GET");
    assert!(tcp.verify_checksum(pseudo_header(), data));
    assert_eq!(
        tcp.to_string(),
        "TCP 50000 > 80 PSH+ACK seq 305419897 ack 2596069104 window 502"
    );
}

#[test]
fn options_belong_to_the_header_and_its_checksum() {
    let mut bytes = SYN;
    let (tcp, data) = Tcp::parse_mut(&mut bytes).unwrap();
    assert_eq!(tcp.header_len(), 24);
    assert_eq!(tcp.options_bytes(), [0x02, 0x04, 0x05, 0xb4]);
    assert!(data.is_empty());
    assert!(tcp.verify_checksum(pseudo_header(), data));
    assert_eq!(
        tcp.to_string(),
        "TCP 50000 > 80 SYN seq 305419896 window 64240"
    );
    tcp.options_mut()[3] = 0;
    assert!(!tcp.verify_checksum(pseudo_header(), data));
    assert_eq!(bytes[23], 0);
}

#[test]
fn a_truncated_header_names_what_is_missing() {
    for available in 0..SYN.len() {
        let needed = if available < 20 { 20 } else { 24 };
        both_refuse(&SYN[..available], truncated(needed, available));
    }
}

#[test]
fn a_data_offset_without_room_for_the_header_is_refused() {
    for offset in 0..5 {
        let mut bytes = DATA;
        bytes[12] = offset << 4;
        let error = ParseError::malformed(("TCP", "data offset", 12), offset.into());
        both_refuse(&bytes, error);
    }
}

#[test]
fn any_change_fails_the_checksum() {
    for bit in 0..DATA.len() * 8 {
        let mut bytes = DATA;
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok((tcp, data)) = Tcp::parse(&bytes) {
            assert!(!tcp.verify_checksum(pseudo_header(), data), "{bit}");
        } else {
            assert_eq!(bit / 8, 12);
        }
    }
}

#[test]
fn a_built_segment_gets_its_checksum() {
    let mut bytes = [0; 23];
    bytes[12] = 0x50;
    bytes[20..].copy_from_slice(b"GET");
    let (tcp, data) = Tcp::parse_mut(&mut bytes).unwrap();
    tcp.set_source_port(80);
    tcp.set_destination_port(50000);
    tcp.swap_ports();
    tcp.set_sequence_number(0x1234_5679);
    tcp.set_acknowledgment_number(0x9abc_def0);
    tcp.set_flags(TcpFlags::ACK | TcpFlags::PSH);
    tcp.set_window(502);
    tcp.set_urgent_pointer(7);
    tcp.set_urgent_pointer(0);
    tcp.set_checksum(0xeeee);
    tcp.fill_checksum(pseudo_header(), data);
    assert_eq!(bytes, DATA);
}

#[test]
fn reserved_bits_change_neither_length_nor_flags() {
    let mut bytes = [0; 24];
    (bytes[12], bytes[13]) = (0x6a, 0x12);
    let (tcp, _) = Tcp::parse_mut(&mut bytes).unwrap();
    assert_eq!(tcp.reserved(), 0x0a);
    tcp.set_reserved(0xf5);
    assert_eq!((tcp.reserved(), tcp.header_len()), (5, 24));
    tcp.set_flags(TcpFlags::ACK);
    assert_eq!(tcp.reserved(), 5);
    assert_eq!(bytes[12..14], [0x65, 0x10]);
}

#[test]
fn flags_print_by_name() {
    assert_eq!(TcpFlags::default().to_string(), "no flags");
    assert_eq!((TcpFlags::SYN | TcpFlags::ACK).to_string(), "SYN+ACK");
    assert_eq!(
        TcpFlags(0xff).to_string(),
        "FIN+SYN+RST+PSH+ACK+URG+ECE+CWR"
    );
    assert!((TcpFlags::SYN | TcpFlags::ACK).contains(TcpFlags::SYN));
    assert!(!TcpFlags::SYN.contains(TcpFlags::SYN | TcpFlags::ACK));
}
