//! Looking at packets in place.

use super::*;

#[test]
fn receiving_in_place_shows_the_bytes_in_their_frame_and_gives_the_frame_back() {
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
fn receiving_in_place_stops_at_its_maximum() {
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
    raw.recv_each(1, |mut packet| {
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
fn receiving_in_place_over_a_full_fill_ring_puts_the_frames_into_the_pool() {
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

#[test]
fn most_frames_can_be_kept_and_are_counted_at_each_step() {
    let (mut raw, kernel) = socket(64);
    let (mut kept, mut number) = (Vec::new(), 0);
    while kept.len() < 200 {
        raw.refill();
        number += u64::from(kernel.deliver(number..number + 16, 60));
        raw.recv_each(64, |packet| {
            if kept.len() < 200 {
                kept.push(packet.into_packet());
            }
        });
        let state = raw.debug_rings();
        assert_eq!(state.ledger.user as usize, kept.len(), "{state}");
        assert_eq!(state.counted.user as usize, kept.len(), "{state}");
        assert_conserved(&raw);
    }
    // With the others it goes on.
    for round in 0..100 {
        raw.refill();
        assert_eq!(kernel.deliver(round..round + 8, 60), 8);
        assert_eq!(raw.recv_each(64, |_| ()), 8);
        assert_eq!(raw.debug_rings().ledger.user, 200);
    }
    // They come back in no order, some here and some elsewhere.
    let mut elsewhere = kept.split_off(77);
    kept.reverse();
    while let Some(packet) = kept.pop() {
        drop(packet);
        let user = elsewhere.len() + kept.len();
        assert_eq!(raw.debug_rings().counted.user as usize, user);
        assert_conserved(&raw);
    }
    elsewhere.swap(0, 100);
    thread::spawn(move || drop(elsewhere)).join().unwrap();
    let state = raw.debug_rings();
    assert_eq!((state.ledger.user, state.counted.user), (0, 0), "{state}");
    close(raw);
}

#[test]
fn what_is_received_when_all_other_frames_are_kept_is_received_whole() {
    let (mut raw, kernel) = socket(64);
    let mut kept = Vec::new();
    loop {
        raw.refill();
        let first = kept.len() as u64;
        if kernel.deliver(first..first + 64, 60) == 0 {
            break;
        }
        raw.recv_each(64, |packet| kept.push(packet.into_packet()));
    }
    assert_eq!((kept.len(), raw.refill()), (256, 0));
    assert!(kept.iter().map(|packet| number(packet.data())).eq(0..256));
    assert_conserved(&raw);
    kept.pop();
    assert_eq!((raw.refill(), kernel.deliver(7..9, 60)), (1, 1));
    assert_eq!(
        raw.recv_each(64, |packet| assert_eq!(number(packet.data()), 7)),
        1
    );
    drop(kept);
    close(raw);
}

#[test]
fn over_a_full_fill_ring_some_are_taken_and_the_others_go_to_the_pool() {
    for slots in [8, 64, 128] {
        let (mut raw, kernel) = socket_of(512, [slots; 4]);
        kernel.deliver(0..u64::from(slots), 60);
        fill_up(&mut raw, slots);
        let mut taken = Vec::new();
        let count = raw.recv_each(u32::MAX, |packet| {
            if number(packet.data()).is_multiple_of(4) {
                taken.push(packet.into_packet());
            }
        });
        assert_eq!((count, taken.len() as u32), (slots, slots / 4));
        let ledger = raw.debug_rings().ledger;
        assert_eq!((ledger.user, ledger.kernel), (slots / 4, slots));
        assert_eq!(ledger.pool, 512 - slots - slots / 4);
        assert_conserved(&raw);
        drop(taken);
        close(raw);
    }
}
