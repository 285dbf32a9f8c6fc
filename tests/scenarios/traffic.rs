//! Frames whose content tells one from another.

use fluxcap::proto::{EtherType, Ethernet, MacAddr};

/// An ethertype that is free for experiments (IEEE 802): the network stack ignores it.
pub(crate) const EXPERIMENTAL: EtherType = EtherType(0x88b5);

/// Frame number `number`: addresses, ethertype, and bytes that follow from number and length.
pub(crate) fn frame(number: usize, len: usize) -> Vec<u8> {
    let mut state = (number as u64) << 16 | len as u64;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        // Numbers that look random (SplitMix64).
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (z ^ (z >> 27)).to_le_bytes()
    })
    .flatten()
    .take(len)
    .collect();
    let (ethernet, _) = Ethernet::parse_mut(&mut bytes).expect("at least a header");
    ethernet.set_destination(MacAddr([0x02, 0, 0, 0, 0, 1]));
    ethernet.set_source(MacAddr([0x02, 0, 0, 0, 0, 2]));
    ethernet.set_ether_type(EXPERIMENTAL);
    bytes
}

/// `count` frames of `len` bytes.
pub(crate) fn frames(count: usize, len: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| frame(number, len)).collect()
}

/// Frames of these lengths.
pub(crate) fn sizes(lengths: impl Iterator<Item = usize>) -> Vec<Vec<u8>> {
    lengths
        .enumerate()
        .map(|(number, len)| frame(number, len))
        .collect()
}

/// The same frame on its way back.
pub(crate) fn swapped(frame: &[u8]) -> Vec<u8> {
    [&frame[6..12], &frame[..6], &frame[12..]].concat()
}
