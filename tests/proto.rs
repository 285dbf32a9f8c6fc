//! The protocol layer against parsers that others wrote, on the packets of `tests/proto/corpus`: every field that a view gives is
//! compared, and every difference has its reason in a table, or the test fails. Where tshark differs, the test does as tshark does
//! (`tshark_quirks`), so that no field at all may differ.

#[path = "proto/dissect.rs"]
mod dissect;
#[path = "proto/etherparse.rs"]
mod etherparse_too;
#[path = "proto/fields.rs"]
mod fields;
#[path = "proto/headers.rs"]
mod headers;
#[path = "proto/outer.rs"]
mod outer;
#[path = "proto/packets.rs"]
mod packets;
#[path = "proto/tshark.rs"]
mod tshark;
#[path = "proto/tshark_quirks.rs"]
mod tshark_quirks;
#[path = "proto/value.rs"]
mod value;
#[path = "proto/walk.rs"]
mod walk;

use std::collections::HashSet;

#[test]
fn the_corpus_has_two_thousand_packets_and_none_twice() {
    let packets: Vec<Vec<u8>> = packets::files()
        .iter()
        .flat_map(|file| packets::read(file))
        .collect();
    assert!(packets.len() >= 2000, "{}", packets.len());
    let distinct: HashSet<&Vec<u8>> = packets.iter().collect();
    assert_eq!(distinct.len(), packets.len());
}
