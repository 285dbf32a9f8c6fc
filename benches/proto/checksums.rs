//! The Internet checksum over a small and a large packet, as the internet-checksum crate has it.

use std::hint::black_box;

use fluxcap::proto::checksum;

use crate::Case;

/// Bytes as they lie in a frame: aligned to a cache line, with a header of Ethernet before them.
#[repr(align(64))]
struct Frame([u8; 1514]);

static FRAME: Frame = {
    let mut bytes = [0; 1514];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at * 7919 / 8) as u8;
        at += 1;
    }
    Frame(bytes)
};

/// Over `bytes`, here and there; equal, or it is no comparison.
fn case(name: &'static str, aim: f64, bytes: &'static [u8]) -> Case {
    let expected = u16::from_be_bytes(internet_checksum::checksum(bytes));
    assert_eq!(checksum::checksum(bytes), expected);
    Case::new(
        name,
        aim,
        move || checksum::checksum(black_box(bytes)),
        move || internet_checksum::checksum(black_box(bytes)),
    )
}

pub(crate) fn cases() -> Vec<Case> {
    let Frame(bytes) = &FRAME;
    vec![
        case("checksum/20/internet", 1.0, &bytes[14..34]),
        case("checksum/64/internet", 1.0, &bytes[14..78]),
        case("checksum/1500/internet", 4.0, &bytes[14..]),
        // From behind an IPv4 header, and at an odd address.
        case("checksum/1480/internet", 4.0, &bytes[34..]),
        case("checksum/odd/internet", 4.0, &bytes[13..1513]),
    ]
}
