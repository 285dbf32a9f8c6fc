//! Looking at packets in place.

use super::*;

#[test]
fn inspect_shows_the_bytes_in_their_frame_and_gives_the_frame_back() {
    let (mut raw, kernel) = socket(64);
    let start = raw.umem().memory().start().as_ptr() as usize;
    kernel.deliver(0..20, 100);
    let frames_before = kernel.fill_entries().len();
    let mut seen = Vec::new();
    let count = raw.recv_each(64, |packet| {
        assert_eq!(
            (packet.len(), packet.options(), packet.is_empty()),
            (100, 0, false)
        );
        let offset = packet.data().as_ptr() as u64 - start as u64;
        assert_eq!(offset % CHUNK, 256);
        seen.push((number(packet.data()), offset / CHUNK));
    });
    assert_eq!(count, 20);
    assert!(seen.iter().map(|(number, _)| *number).eq(0..20));
    let given = kernel.fill_entries()[frames_before..].to_vec();
    assert!(
        given
            .iter()
            .map(|addr| addr / CHUNK)
            .eq(seen.iter().map(|(_, frame)| *frame))
    );
    assert_eq!(raw.recv_each(64, |_| panic!("there is none")), 0);
    assert_eq!(raw.totals(), (20, 0));
    close(raw);
}

#[test]
fn inspect_stops_at_its_maximum() {
    let (mut raw, kernel) = socket(64);
    kernel.deliver(0..10, 100);
    for (max, expected) in [(0, 0), (3, 3), (1, 1), (u32::MAX, 6), (4, 0)] {
        assert_eq!(raw.recv_each(max, |_| ()), expected);
    }
    close(raw);
}

#[test]
fn a_packet_in_place_grows_and_shrinks_within_its_frame_only() {
    let (mut raw, kernel) = socket(64);
    kernel.deliver(0..1, 100);
    let most = CHUNK as usize - 256;
    raw.recv_each(1, |packet| {
        packet.set_len(most).unwrap();
        packet.data_mut()[most - 1] = 9;
        let error = packet.set_len(most + 1).unwrap_err();
        assert_eq!((error.errno(), packet.len()), (90, most));
        assert!(packet.set_len(usize::MAX).is_err());
        packet.set_len(8).unwrap();
        assert_eq!(number(packet.data()), 0);
    });
    close(raw);
}

#[test]
fn inspect_over_a_full_fill_ring_puts_the_frames_into_the_pool() {
    for slots in [8, 64, 128] {
        let (mut raw, kernel) = socket_of(512, [slots; 4]);
        kernel.deliver(0..u64::from(slots), 60);
        fill_up(&mut raw, slots);
        let mut count = 0;
        assert_eq!(raw.recv_each(u32::MAX, |_| count += 1), slots);
        assert_eq!(count, slots);
        let ledger = raw.debug_rings().ledger;
        assert_eq!((ledger.pool, ledger.kernel), (512 - slots, slots));
        assert_conserved(&raw);
        // Partly full.
        let taken = slots / 4 + 1;
        kernel.deliver(0..u64::from(slots), 60);
        fill_up(&mut raw, slots);
        let held = kernel.take_fill(taken);
        assert_eq!(raw.recv_each(u32::MAX, |_| ()), slots);
        assert_eq!(kernel.fill_entries().len() as u32, slots);
        assert_eq!(raw.debug_rings().ledger.kernel, slots + held.len() as u32);
        close(raw);
    }
}
