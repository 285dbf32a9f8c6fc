//! Packets forwarded in place, from half to half.

use super::*;

#[test]
fn packets_pass_in_order_across_the_ends_of_both_rings() {
    let (mut rx, mut tx, kernel) = halves_of(256, [64, 32, 16, 64]);
    let mut expected = 0;
    for round in 0..500_u64 {
        let first = round * 11;
        assert_eq!(kernel.deliver(first..first + 11, 60), 11);
        let passed = rx.forward_each(&mut tx, 64, |_| Verdict::Send).unwrap();
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
        packet.adjust_head(-14).unwrap();
        packet.data_mut()[..14].fill(7);
        Verdict::Send
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
    let passed = rx.forward_each(&mut tx, 64, |packet| match number(packet.data()) % 6 {
        0 | 3 => Verdict::Send,
        1 => {
            kept.push(packet.into_packet());
            Verdict::Recycle
        }
        4 => {
            // What was taken does not leave, whatever the verdict.
            kept.push(packet.into_packet());
            Verdict::Send
        }
        _ => Verdict::Recycle,
    });
    assert_eq!((passed.unwrap(), tx.total(), kept.len()), (60, 20, 20));
    let sent = numbers_sent(&kernel.transmit(64));
    assert_eq!(sent, (0..60).step_by(3).collect::<Vec<_>>());
    assert_eq!(rx.umem().accounting().user, 20);
    let numbers = kept.iter().map(|packet| number(packet.data()));
    assert!(numbers.eq((1..60).step_by(3)));
    thread::spawn(move || drop(kept)).join().unwrap();
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
}

#[test]
fn a_packet_may_be_taken_and_sent_elsewhere_meanwhile() {
    let plain = Plain::default();
    let (raw, kernel) = whole(&plain, 256, [64; 4]);
    let (mut rx, mut tx) = raw.split();
    let other = plain.builder().umem(rx.umem()).fill_size(64);
    let mut other = other.tx_size(64).build().unwrap();
    let other_kernel = plain.kernel();
    for round in 0..100 {
        kernel.deliver(round * 10..round * 10 + 10, 60);
        let passed = rx.forward_each(&mut tx, 64, |packet| {
            if number(packet.data()) % 5 == 2 {
                other.send_one(packet.into_packet()).unwrap();
            }
            Verdict::Send
        });
        assert_eq!(passed.unwrap(), 10);
        let all = (round * 10)..(round * 10 + 10);
        let (there, here): (Vec<_>, Vec<_>) = all.partition(|number| number % 5 == 2);
        assert_eq!(numbers_sent(&kernel.transmit(64)), here);
        assert_eq!(numbers_sent(&other_kernel.transmit(64)), there);
        other.reap();
        let accounting = rx.umem().accounting();
        assert!(accounting.is_conserved(), "{accounting}");
        assert_eq!(accounting.user, 0, "{accounting}");
    }
    assert_eq!((tx.total(), other.totals().1), (800, 200));
    drop(other);
    close(rx, tx);
}

#[test]
fn what_was_sent_is_completed_to_the_sending_half_alone() {
    let (mut rx, mut tx, kernel) = halves();
    kernel.deliver(0..8, 60);
    assert_eq!(rx.forward_each(&mut tx, 64, |_| Verdict::Send).unwrap(), 8);
    let sent = kernel.take_tx(8);
    assert_eq!(sent.len(), 8);
    // Named by the RX ring they are refused, whether they are shown or taken.
    for desc in &sent {
        assert!(kernel.push_rx(desc.addr, 60, 0));
    }
    assert_eq!(rx.recv_each(4, |_| panic!("a packet")), 0);
    assert_eq!(
        rx.forward_each(&mut tx, 3, |_| panic!("a packet")).unwrap(),
        0
    );
    assert!(rx.try_recv_one().is_none());
    assert_eq!(rx.debug_rings().1.refused, 8);
    assert_eq!((tx.outstanding(), tx.reap()), (8, 0));
    for desc in &sent {
        assert!(kernel.push_completion(desc.addr));
    }
    assert_eq!((tx.reap(), tx.outstanding()), (8, 0));
    let umem = rx.umem().clone();
    drop((rx, tx));
    assert_home(&umem);
}

#[test]
fn no_more_are_shown_than_can_be_sent_and_the_others_stay() {
    let (mut rx, mut tx, kernel) = halves_of(256, [64, 64, 4, 64]);
    kernel.deliver(0..10, 60);
    assert_eq!(rx.forward_each(&mut tx, 3, |_| Verdict::Send).unwrap(), 3);
    assert_eq!(rx.forward_each(&mut tx, 64, |_| Verdict::Send).unwrap(), 1);
    assert_eq!(rx.forward_each(&mut tx, 64, |_| Verdict::Send).unwrap(), 0);
    assert_eq!(numbers_sent(&kernel.transmit(64)), [0, 1, 2, 3]);
    assert_eq!(rx.forward_each(&mut tx, 64, |_| Verdict::Send).unwrap(), 4);
    assert_eq!(numbers_sent(&kernel.transmit(64)), [4, 5, 6, 7]);
    assert_eq!(rx.forward_each(&mut tx, 0, |_| Verdict::Send).unwrap(), 0);
    // Those that are recycled need no room.
    let recycled = rx.forward_each(&mut tx, 64, |_| Verdict::Recycle);
    assert_eq!((recycled.unwrap(), tx.total()), (2, 8));
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
}

#[test]
fn a_packet_that_cannot_be_sent_is_recycled_and_the_others_leave() {
    let (mut rx, mut tx, kernel) = halves();
    kernel.deliver(0..5, 60);
    let frame = kernel.take_fill(1)[0];
    let mut unfit = Vec::new();
    // More of it follows in the next frame.
    assert!(kernel.push_rx(frame + 256, 60, 1));
    let passed = rx.forward_each(&mut tx, 64, |mut packet| {
        if packet.options() == 0 && number(packet.data()) == 3 {
            packet.set_len(0).unwrap();
        }
        if packet.is_empty() || packet.options() != 0 {
            unfit.push(packet.address());
        }
        Verdict::Send
    });
    assert_eq!((passed.unwrap(), tx.total()), (6, 4));
    assert_eq!(numbers_sent(&kernel.transmit(64)), [0, 1, 2, 4]);
    let filled = kernel.fill_entries();
    assert!(unfit.len() == 2 && unfit.iter().all(|addr| filled.contains(addr)));
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
}

#[test]
fn to_the_socket_of_another_umem_a_copy_can_pass() {
    let (mut rx, tx, kernel) = halves();
    let (other_rx, mut other, other_kernel) = halves();
    kernel.deliver(0..4, 60);
    for _ in 0..2 {
        let refused = rx.forward_each(&mut other, 64, |_| panic!("a packet"));
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("another UMEM"), "{error}");
    }
    // They are still there.
    let mut copies = PacketBatch::with_capacity(4);
    rx.recv_each(64, |packet| {
        let copy = other.copy(packet.data()).unwrap();
        copies.push(copy.expect("a free frame")).unwrap();
    });
    assert_eq!(other.send(&mut copies).unwrap(), 4);
    assert_eq!(numbers_sent(&other_kernel.transmit(64)), [0, 1, 2, 3]);
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
    close(other_rx, other);
}

#[test]
fn a_panic_loses_no_packet_but_the_one_that_was_shown() {
    let (mut rx, mut tx, kernel) = halves();
    kernel.deliver(0..10, 60);
    let result = catch_unwind(AssertUnwindSafe(|| {
        rx.forward_each(&mut tx, 64, |packet| {
            assert!(number(packet.data()) < 4, "enough");
            Verdict::Send
        })
    }));
    assert!(result.is_err());
    assert_eq!((rx.total(), tx.total(), tx.outstanding()), (5, 4, 4));
    let accounting = rx.umem().accounting();
    assert_eq!(
        (accounting.user, accounting.kernel),
        (0, 63),
        "{accounting}"
    );
    tx.kick().unwrap();
    assert_eq!(numbers_sent(&kernel.transmit(64)), [0, 1, 2, 3]);
    assert_eq!(rx.umem().accounting().user, 0);
    assert_eq!(number(rx.try_recv_one().unwrap().data()), 5);
    close(rx, tx);
}

#[test]
fn a_panic_with_a_packet_that_was_taken_loses_nothing() {
    let (mut rx, mut tx, kernel) = halves();
    kernel.deliver(0..10, 60);
    let mut taken = None;
    let result = catch_unwind(AssertUnwindSafe(|| {
        rx.forward_each(&mut tx, 64, |packet| {
            if number(packet.data()) < 4 {
                return Verdict::Send;
            }
            taken = Some(packet.into_packet());
            panic!("enough");
        })
    }));
    assert!(result.is_err());
    assert_eq!((rx.total(), tx.total(), tx.outstanding()), (5, 4, 4));
    assert_eq!(rx.umem().accounting().user, 1);
    tx.send_one(taken.take().unwrap()).unwrap();
    assert_eq!(numbers_sent(&kernel.transmit(64)), [0, 1, 2, 3, 4]);
    assert_eq!(number(rx.try_recv_one().unwrap().data()), 5);
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
}

#[test]
fn sent_frames_come_straight_back_up_to_the_share_and_the_pool_gets_the_rest() {
    let (mut rx, mut tx, kernel) = halves_of(64, [64; 4]);
    // Half of the frames are in the fill ring, and all others are sent from the pool.
    let mut batch = batch_of(&mut tx, 0..32);
    assert_eq!(tx.send(&mut batch).unwrap(), 32);
    kernel.transmit(64);
    assert_eq!(rx.forward_each(&mut tx, 64, |_| Verdict::Send).unwrap(), 0);
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
        .map(|_| rx.forward_each(&mut tx, 64, |_| Verdict::Send).unwrap())
        .sum();
    assert_eq!((passed, tx.total(), rx.debug_rings().1.refused), (1, 1, 4));
    let sent = kernel.take_tx(1)[0].addr;
    for addr in [sent, sent, 1 << 40, u64::MAX, 250 * CHUNK] {
        assert!(kernel.push_completion(addr));
    }
    for _ in 0..5 {
        assert_eq!(rx.forward_each(&mut tx, 64, |_| Verdict::Send).unwrap(), 0);
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
            assert_eq!(rx.forward_each(&mut tx, 64, |_| Verdict::Send).unwrap(), 12);
            kernel.transmit(5);
            assert!(kernel.push_completion(bad));
            kernel.transmit(7);
        }
        rx.forward_each(&mut tx, 64, |_| Verdict::Send).unwrap();
        rx.forward_each(&mut tx, 64, |_| Verdict::Send).unwrap();
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
