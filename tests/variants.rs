//! Frames that differ in one thing from those that everybody sends, by the hundred: what is expected of each follows from a rule
//! that the test itself spells out, and where tshark is installed, it is compared too.

#![forbid(unsafe_code)]

#[path = "variants/addresses.rs"]
mod addresses;
#[path = "variants/captures.rs"]
mod captures;
#[path = "variants/carriers.rs"]
mod carriers;
#[path = "variants/cuts.rs"]
mod cuts;
#[path = "variants/parser.rs"]
mod parser;
#[path = "variants/tshark.rs"]
mod tshark;

/// The sum of 16-bit words, one's complement, not complemented.
fn sum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for word in pieces.concat().chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// An Ethernet header in front of a packet.
fn ethernet(ether_type: u16, packet: &[u8]) -> Vec<u8> {
    let macs = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    [&macs[..], &ether_type.to_be_bytes(), packet].concat()
}
