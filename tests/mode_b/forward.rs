//! Packets passed on one by one, from half to half.

use super::*;

#[test]
fn packets_pass_in_order_across_the_ends_of_both_rings() {
    let (mut rx, mut tx, kernel) = halves_of(256, [64, 32, 16, 64]);
    let mut expected = 0;
    for round in 0..500_u64 {
        let first = round * 11;
        assert_eq!(kernel.deliver(first..first + 11, 60), 11);
        let passed = rx.forward_each(&mut tx, 64, Some).unwrap();
        assert_eq!((passed, tx.outstanding()), (11, 11));
        for number in numbers_sent(&kernel.transmit(64)) {
            assert_eq!(number, expected);
            expected += 1;
        }
    }
    assert_eq!((expected, rx.total(), tx.total()), (5500, 5500, 5500));
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
}

#[test]
fn what_is_changed_and_what_is_grown_leaves_so() {
    let (mut rx, mut tx, kernel) = halves();
    kernel.deliver(0..5, 60);
    let passed = rx.forward_each(&mut tx, 64, |mut packet| {
        packet.push_front(14).unwrap().fill(7);
        Some(packet)
    });
    assert_eq!(passed.unwrap(), 5);
    let sent = kernel.transmit(64);
    assert_eq!(sent.len(), 5);
    for (index, data) in sent.iter().enumerate() {
        assert_eq!(data[..14], [7; 14]);
        assert_eq!(data[14..], content(index as u64, 60));
    }
    close(rx, tx);
}

#[test]
fn packets_that_are_kept_or_dropped_do_not_leave() {
    let (mut rx, mut tx, kernel) = halves();
    let mut kept = Vec::new();
    kernel.deliver(0..60, 60);
    let passed = rx.forward_each(&mut tx, 64, |packet| match number(packet.data()) % 3 {
        0 => Some(packet),
        1 => {
            kept.push(packet);
            None
        }
        _ => None,
    });
    assert_eq!((passed.unwrap(), tx.total(), kept.len()), (60, 20, 20));
    let sent = numbers_sent(&kernel.transmit(64));
    assert_eq!(sent, (0..60).step_by(3).collect::<Vec<_>>());
    assert_eq!(rx.umem().accounting().user, 20);
    thread::spawn(move || drop(kept)).join().unwrap();
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
}

#[test]
fn another_packet_of_the_umem_may_leave_in_the_place_of_the_one_that_came() {
    let (mut rx, mut tx, kernel) = halves();
    let mut batch = batch_of(&mut tx, 100..104);
    let mut came = Vec::new();
    kernel.deliver(0..6, 60);
    rx.forward_each(&mut tx, 64, |packet| {
        came.push(packet);
        batch.pop()
    })
    .unwrap();
    assert_eq!(numbers_sent(&kernel.transmit(64)), [103, 102, 101, 100]);
    assert_eq!(rx.umem().accounting().user, 6);
    drop(came);
    close(rx, tx);
}

#[test]
fn no_more_are_handed_over_than_can_be_sent_and_the_others_stay() {
    let (mut rx, mut tx, kernel) = halves_of(256, [64, 64, 4, 64]);
    kernel.deliver(0..10, 60);
    assert_eq!(rx.forward_each(&mut tx, 3, Some).unwrap(), 3);
    assert_eq!(rx.forward_each(&mut tx, 64, Some).unwrap(), 1);
    assert_eq!(rx.forward_each(&mut tx, 64, Some).unwrap(), 0);
    assert_eq!(numbers_sent(&kernel.transmit(64)), [0, 1, 2, 3]);
    assert_eq!(rx.forward_each(&mut tx, 64, Some).unwrap(), 4);
    assert_eq!(numbers_sent(&kernel.transmit(64)), [4, 5, 6, 7]);
    assert_eq!(rx.forward_each(&mut tx, 0, Some).unwrap(), 0);
    // Those that are dropped need no room.
    assert_eq!(rx.forward_each(&mut tx, 64, |_| None).unwrap(), 2);
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
}

#[test]
fn a_packet_that_cannot_be_sent_is_handed_back() {
    let (mut rx, mut tx, kernel) = halves();
    let (mut other, other_tx, other_kernel) = halves();
    other_kernel.deliver(7..8, 60);
    kernel.deliver(0..10, 60);
    let mut stranger = other.try_recv_one();
    let failed = rx.forward_each(&mut tx, 64, |packet| match number(packet.data()) {
        3 => stranger.take(),
        _ => Some(packet),
    });
    let failed = failed.unwrap_err();
    assert_eq!(failed.error().kind(), ErrorKind::Invalid);
    assert!(failed.to_string().contains("another socket"), "{failed}");
    assert_eq!(number(failed.into_packet().unwrap().data()), 7);
    let failed = rx.forward_each(&mut tx, 64, |mut packet| {
        packet.set_len(0).unwrap();
        Some(packet)
    });
    let failed = failed.unwrap_err();
    assert!(failed.to_string().contains("empty"), "{failed}");
    assert!(failed.into_packet().unwrap().is_empty());
    // Those before them leave, and those behind them wait.
    assert_eq!(rx.forward_each(&mut tx, 64, Some).unwrap(), 5);
    assert_eq!(numbers_sent(&kernel.transmit(64)), [0, 1, 2, 5, 6, 7, 8, 9]);
    assert_eq!(other.umem().accounting().user, 0);
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
    close(other, other_tx);
}

#[test]
fn to_the_socket_of_another_umem_a_copy_can_pass() {
    let (mut rx, tx, kernel) = halves();
    let (other_rx, mut other, other_kernel) = halves();
    kernel.deliver(0..4, 60);
    let failed = rx.forward_each(&mut other, 64, Some).unwrap_err();
    let packet = failed.into_packet().unwrap();
    let mut copies = batch_of(&mut other, 0..4);
    other.send_one(copies.pop().unwrap()).unwrap();
    assert_eq!(number(packet.data()), 0);
    let passed = rx.forward_each(&mut other, 64, |_| copies.pop());
    assert_eq!(passed.unwrap(), 3);
    assert_eq!(numbers_sent(&other_kernel.transmit(64)), [3, 2, 1, 0]);
    drop(packet);
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
    close(other_rx, other);
}

#[test]
fn a_panic_loses_no_packet_but_the_one_that_was_handed_over() {
    let (mut rx, mut tx, kernel) = halves();
    kernel.deliver(0..10, 60);
    let result = catch_unwind(AssertUnwindSafe(|| {
        rx.forward_each(&mut tx, 64, |packet| {
            assert!(number(packet.data()) < 4, "enough");
            Some(packet)
        })
        .map_err(|failed| failed.to_string())
    }));
    assert!(result.is_err());
    assert_eq!((rx.total(), tx.total(), tx.outstanding()), (5, 4, 4));
    tx.kick().unwrap();
    assert_eq!(numbers_sent(&kernel.transmit(64)), [0, 1, 2, 3]);
    assert_eq!(rx.umem().accounting().user, 0);
    assert_eq!(number(rx.try_recv_one().unwrap().data()), 5);
    close(rx, tx);
}

#[test]
fn sent_frames_come_straight_back_up_to_the_share_and_the_pool_gets_the_rest() {
    let (mut rx, mut tx, kernel) = halves_of(64, [64; 4]);
    // Half of the frames are in the fill ring, and all others are sent from the pool.
    let mut batch = batch_of(&mut tx, 0..32);
    assert_eq!(tx.send(&mut batch).unwrap(), 32);
    kernel.transmit(64);
    assert_eq!(rx.forward_each(&mut tx, 64, Some).unwrap(), 0);
    let after = rx.umem().accounting();
    assert_eq!(
        (after.kernel, after.user, tx.outstanding()),
        (48, 0, 0),
        "{after}"
    );
    assert_eq!(kernel.take_fill(u32::MAX).len(), 48);
    assert!(tx.alloc().is_some());
    close(rx, tx);
}

#[test]
fn frames_that_come_twice_or_from_nowhere_do_not_pass() {
    let (mut rx, mut tx, kernel) = halves();
    let frame = kernel.take_fill(1)[0];
    for addr in [frame, frame, 1 << 40, u64::MAX, 250 * CHUNK] {
        assert!(kernel.push_rx(addr, 60, 0));
    }
    let passed: u32 = (0..5)
        .map(|_| rx.forward_each(&mut tx, 64, Some).unwrap())
        .sum();
    assert_eq!((passed, tx.total(), rx.debug_rings().1.refused), (1, 1, 4));
    let sent = kernel.take_tx(1)[0].addr;
    for addr in [sent, sent, 1 << 40, u64::MAX, 250 * CHUNK] {
        assert!(kernel.push_completion(addr));
    }
    for _ in 0..5 {
        assert_eq!(rx.forward_each(&mut tx, 64, Some).unwrap(), 0);
    }
    assert_eq!((tx.outstanding(), tx.debug_rings().1.refused), (0, 4));
    let umem = rx.umem().clone();
    assert_eq!(umem.accounting().user, 0);
    drop((rx, tx));
    assert_home(&umem);
}

#[test]
fn frames_that_came_back_wrong_are_skipped_among_good_ones() {
    for bad in [1 << 40, u64::MAX, 250 * CHUNK] {
        let (mut rx, mut tx, kernel) = halves();
        for round in 0..20 {
            kernel.deliver(round * 12..(round + 1) * 12, 60);
            assert_eq!(rx.forward_each(&mut tx, 64, Some).unwrap(), 12);
            kernel.transmit(5);
            assert!(kernel.push_completion(bad));
            kernel.transmit(7);
        }
        rx.forward_each(&mut tx, 64, Some).unwrap();
        rx.forward_each(&mut tx, 64, Some).unwrap();
        assert_eq!((tx.outstanding(), tx.debug_rings().1.refused), (0, 20));
        let umem = rx.umem().clone();
        assert_eq!(umem.accounting().user, 0);
        drop((rx, tx));
        assert_home(&umem);
    }
}

#[test]
fn waiting_takes_no_packet() {
    let (mut rx, tx, kernel) = halves();
    assert!(!rx.wait(Some(Duration::ZERO)).unwrap());
    kernel.deliver(0..1, 60);
    for _ in 0..2 {
        assert!(rx.wait(None).unwrap());
    }
    assert_eq!(number(rx.try_recv_one().unwrap().data()), 0);
    close(rx, tx);
}
