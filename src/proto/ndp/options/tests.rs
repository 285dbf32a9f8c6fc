#![forbid(unsafe_code)]

use super::*;
use crate::proto::samples::Random;

/// As they stand behind a neighbor solicitation.
fn options(bytes: &[u8]) -> NdpOptions<'_> {
    NdpOptions::new(24, bytes)
}

#[test]
fn a_message_without_options_has_none() {
    assert_eq!(options(&[]).next(), None);
}

#[test]
fn a_length_of_zero_ends_the_options() {
    for kind in 0..=u8::MAX {
        let bytes = [5, 1, 0, 0, 0, 0, 5, 220, kind, 0, 1, 1, 1, 1, 1, 1];
        let error = ParseError::malformed(("NDP", "option length", 33), 0);
        assert!(options(&bytes).eq([Ok(NdpOption::Mtu(1500)), Err(error)]));
    }
}

#[test]
fn an_option_that_ends_behind_the_message_is_named_and_the_last() {
    let bytes = [
        5, 1, 0, 0, 0, 0, 5, 220, 77, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    ];
    for available in 9..bytes.len() {
        let needed = if available < 10 { 34 } else { 48 };
        let place = ("NDP", "option length", 33);
        let error = ParseError::truncated(place, needed, 24 + available);
        let expected = [Ok(NdpOption::Mtu(1500)), Err(error)];
        assert!(options(&bytes[..available]).eq(expected), "{available}");
    }
    let last = NdpOption::Other {
        kind: 77,
        data: &bytes[10..],
    };
    assert!(options(&bytes).eq([Ok(NdpOption::Mtu(1500)), Ok(last)]));
    assert_eq!(last.to_string(), "type 77 length 16");
}

#[test]
fn a_length_that_its_type_cannot_have_is_refused() {
    for (kind, right) in [(PREFIX_INFORMATION, 4), (MTU, 1)] {
        for units in 1..=255 {
            let mut bytes = [0; MAX_LEN];
            bytes[..2].copy_from_slice(&[kind, units]);
            let first = options(&bytes).next().unwrap();
            if units == right {
                assert_eq!(first.unwrap().kind(), kind);
            } else {
                let error = ParseError::malformed(("NDP", "option length", 25), units.into());
                assert_eq!(first, Err(error));
            }
        }
    }
}

#[test]
fn addresses_of_other_links_are_given_as_they_stand() {
    let bytes = [1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0];
    let data = &bytes[2..];
    let expected = NdpOption::Other { kind: 1, data };
    assert!(options(&bytes).eq([Ok(expected)]));
}

#[test]
fn any_bytes_give_options_that_are_written_as_they_stood() {
    let mut random = Random(7);
    for _ in 0..20_000 {
        let len = random.below(120);
        let mut bytes = random.bytes(len);
        for byte in &mut bytes {
            // Small numbers are types and lengths.
            if random.below(3) > 0 {
                *byte %= 6;
            }
        }
        let all: Vec<_> = options(&bytes).collect();
        let good: Vec<_> = all.iter().copied().map_while(Result::ok).collect();
        assert!(good.len() + 1 >= all.len(), "nothing comes after an error");
        let used = NdpOption::total_len(&good);
        let mut written = vec![0xee; used];
        assert!(NdpOption::write_all(&good, &mut written));
        // The same but for reserved bytes, which are zero when written.
        assert!(options(&written).eq(good.into_iter().map(Ok)));
    }
}

#[test]
fn what_does_not_fit_is_not_written() {
    let mtu = NdpOption::Mtu(1500);
    for room in [0, 7, 9, 16] {
        let mut bytes = vec![0xee; room];
        assert!(!NdpOption::write_all(&[mtu], &mut bytes));
        assert_eq!(bytes, vec![0xee; room]);
    }
    let longest = NdpOption::RedirectedHeader(&[7; MAX_LEN - 8]);
    assert!(NdpOption::write_all(&[longest], &mut [0; MAX_LEN]));
    let longer = NdpOption::RedirectedHeader(&[7; MAX_LEN - 7]);
    assert!(!NdpOption::write_all(&[longer], &mut [0; MAX_LEN + 8]));
}

#[test]
fn a_redirected_packet_of_any_length_is_padded() {
    let mut bytes = [0xee; 16];
    assert!(NdpOption::write_all(
        &[NdpOption::RedirectedHeader(&[1, 2, 3])],
        &mut bytes
    ));
    assert_eq!(bytes, [4, 2, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0]);
}
