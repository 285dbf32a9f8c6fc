#![forbid(unsafe_code)]

use super::*;

/// Only what every header has.
const PLAIN: [u8; 8] = [
    0x00, 0x00, 0x08, 0x00, // IPv4
    0x45, 0x00, 0x00, 0x14, // first bytes of the payload
];

/// Every optional field, and a payload of odd length.
const FULL: [u8; 19] = [
    0xb0, 0x00, 0x86, 0xdd, // checksum, key, sequence number; IPv6
    0x77, 0x0e, 0x00, 0x00, // checksum, reserved
    0x01, 0x02, 0x03, 0x04, // key
    0x00, 0x00, 0x00, 0x07, // sequence number
    0x60, 0x05, 0xee, // payload
];

const CHECKSUM_AT: usize = 4;

fn both_refuse(bytes: &[u8], error: ParseError) {
    assert_eq!(Gre::parse(bytes), Err(error));
    assert_eq!(Gre::parse_mut(&mut bytes.to_vec()), Err(error));
}

/// Every choice of optional fields.
fn choices() -> impl Iterator<Item = GreFields> {
    (0_u8..8).map(|choice| GreFields {
        checksum: choice & 1 != 0,
        key: (choice & 2 != 0).then_some(0x0102_0304),
        sequence_number: (choice & 4 != 0).then_some(7),
    })
}

#[test]
fn a_plain_header_shows_its_protocol_and_payload() {
    let (gre, payload) = Gre::parse(&PLAIN).unwrap();
    assert_eq!((gre.header_len(), size_of_val(gre)), (Gre::LEN, Gre::LEN));
    assert_eq!(gre.protocol_type(), EtherType::IPV4);
    assert_eq!((gre.checksum(), gre.key()), (None, None));
    assert_eq!(gre.sequence_number(), None);
    assert_eq!(payload, &PLAIN[4..]);
    assert!(gre.verify_checksum(payload), "there is none");
    assert_eq!(gre.to_string(), "GRE IPv4");
}

#[test]
fn optional_fields_belong_to_the_header() {
    let (gre, payload) = Gre::parse(&FULL).unwrap();
    assert_eq!((gre.header_len(), size_of_val(gre)), (16, 16));
    assert_eq!(gre.protocol_type(), EtherType::IPV6);
    assert_eq!(gre.checksum(), Some(0x770e));
    assert_eq!(gre.key(), Some(0x0102_0304));
    assert_eq!(gre.sequence_number(), Some(7));
    assert_eq!(payload, [0x60, 0x05, 0xee]);
    assert!(gre.verify_checksum(payload));
    assert_eq!(gre.to_string(), "GRE IPv6 key 16909060 seq 7");
}

#[test]
fn fields_that_are_absent_leave_no_gap() {
    for fields in choices() {
        let mut bytes = [0xee; 20];
        let len = fields.header_len();
        let (gre, payload) = Gre::write(&mut bytes, EtherType::ETHERNET, fields).unwrap();
        assert_eq!(payload.len(), 20 - len);
        gre.fill_checksum(payload);

        let (gre, payload) = Gre::parse(&bytes).unwrap();
        assert_eq!((gre.header_len(), size_of_val(gre)), (len, len));
        assert_eq!(gre.protocol_type(), EtherType::ETHERNET);
        assert_eq!(gre.checksum().is_some(), fields.checksum);
        assert_eq!(gre.key(), fields.key);
        assert_eq!(gre.sequence_number(), fields.sequence_number);
        assert!(gre.verify_checksum(payload));
        assert!(payload.iter().all(|&byte| byte == 0xee));

        let mut wire = vec![0, 0, 0x65, 0x58];
        wire[0] |= if fields.checksum { 0x80 } else { 0 };
        wire[0] |= if fields.key.is_some() { 0x20 } else { 0 };
        wire[0] |= if fields.sequence_number.is_some() {
            0x10
        } else {
            0
        };
        if let Some(checksum) = gre.checksum() {
            wire.extend(checksum.to_be_bytes());
            wire.extend([0, 0]);
        }
        wire.extend(fields.key.map(u32::to_be_bytes).iter().flatten());
        wire.extend(
            fields
                .sequence_number
                .map(u32::to_be_bytes)
                .iter()
                .flatten(),
        );
        assert_eq!(bytes[..len], wire);
    }
}

#[test]
fn a_truncated_header_names_what_is_missing() {
    for available in 0..16 {
        let (field, needed) = match available {
            0..4 => ("header", 4),
            _ => ("flags", 16),
        };
        let error = ParseError::truncated(("GRE", field, 0), needed, available);
        both_refuse(&FULL[..available], error);
    }
    assert!(Gre::parse(&FULL[..16]).unwrap().1.is_empty());
    for available in 0..4 {
        both_refuse(&PLAIN[..available], truncated(4, available));
    }
}

#[test]
fn other_versions_are_refused() {
    for version in 1..8 {
        let mut bytes = FULL;
        bytes[1] = version;
        let error = ParseError::malformed(("GRE", "version", 1), version.into());
        both_refuse(&bytes, error);
    }
}

#[test]
fn routing_information_is_refused() {
    let mut bytes = FULL;
    bytes[0] |= 0x40;
    let error = Gre::parse(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "GRE routing present at byte 0 cannot be 1"
    );
    both_refuse(&bytes, error);
}

#[test]
fn every_flag_gives_a_view_or_an_error() {
    for flags in 0..=u16::MAX {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&flags.to_be_bytes());
        match Gre::parse(&bytes) {
            Ok((gre, payload)) => {
                assert_eq!(size_of_val(gre), gre.header_len());
                assert_eq!(gre.header_len() + payload.len(), 16);
                assert_eq!(gre.checksum().is_some(), flags & 0x8000 != 0);
                assert_eq!(gre.key().is_some(), flags & 0x2000 != 0);
                assert_eq!(gre.sequence_number().is_some(), flags & 0x1000 != 0);
            }
            Err(_) => assert_ne!(flags & 0x4007, 0),
        }
    }
}

#[test]
fn any_change_fails_the_checksum() {
    for bit in 0..FULL.len() * 8 {
        if bit < 16 {
            continue; // flags and version, which parsing looks at
        }
        let mut bytes = FULL;
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (gre, payload) = Gre::parse(&bytes).unwrap();
        assert!(!gre.verify_checksum(payload), "{bit}");
    }
}

#[test]
fn a_built_packet_is_the_one_on_the_wire() {
    let mut bytes = FULL;
    bytes[..16].fill(0xee);
    let fields = GreFields {
        checksum: true,
        key: Some(0x0102_0304),
        sequence_number: Some(7),
    };
    let (gre, payload) = Gre::write(&mut bytes, EtherType::IPV6, fields).unwrap();
    assert_eq!(gre.checksum(), Some(0));
    gre.fill_checksum(payload);
    assert_eq!(bytes, FULL);
}

#[test]
fn a_header_that_does_not_fit_is_not_written() {
    for fields in choices() {
        for available in 0..fields.header_len() {
            let mut bytes = vec![0xee; available];
            let error = Gre::write(&mut bytes, EtherType::IPV4, fields).unwrap_err();
            assert_eq!(error, truncated(fields.header_len(), available));
            assert!(bytes.iter().all(|&byte| byte == 0xee));
        }
    }
}

#[test]
fn a_setter_writes_its_own_field_if_there_is_one() {
    let mut bytes = FULL;
    let (gre, _) = Gre::parse_mut(&mut bytes).unwrap();
    gre.set_protocol_type(EtherType::IPV4);
    assert!(gre.set_key(0xa0b0_c0d0));
    assert!(gre.set_sequence_number(0xffff_ffff));
    assert!(gre.set_checksum(0x1234));
    let changed = [
        0xb0, 0x00, 0x08, 0x00, 0x12, 0x34, 0, 0, // checksum
        0xa0, 0xb0, 0xc0, 0xd0, 0xff, 0xff, 0xff, 0xff, // key, sequence number
    ];
    assert_eq!(bytes[..16], changed);

    let mut bytes = PLAIN;
    let (gre, payload) = Gre::parse_mut(&mut bytes).unwrap();
    assert!(!gre.set_key(1) && !gre.set_sequence_number(1) && !gre.set_checksum(1));
    gre.fill_checksum(payload);
    assert_eq!(bytes, PLAIN);
}

#[test]
fn reserved_bytes_are_covered_by_the_checksum_and_sent_as_zeros() {
    let mut bytes = FULL;
    bytes[CHECKSUM_AT + 3] = 1;
    let (gre, payload) = Gre::parse_mut(&mut bytes).unwrap();
    assert!(!gre.verify_checksum(payload));
    gre.fill_checksum(payload);
    assert_eq!(bytes, FULL);
}
