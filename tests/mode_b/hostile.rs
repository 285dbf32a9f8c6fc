//! A kernel that hands back what it should not.

use super::*;

#[test]
fn frames_lent_by_one_half_are_not_accepted_by_the_other() {
    let (mut rx, mut tx, kernel) = halves();
    // All frames that were lent before the split come back, and are lent anew.
    kernel.deliver(0..64, 60);
    assert_eq!(rx.recv_each(64, |_| ()), 64);
    let mut batch = batch_of(&mut tx, 0..8);
    tx.send(&mut batch).unwrap();
    let sending = kernel.take_tx(1)[0];
    assert!(kernel.push_rx(sending.addr, 60, 0));
    let receiving = kernel.take_fill(1)[0];
    assert!(kernel.push_completion(receiving));
    assert_eq!(rx.recv_each(64, |_| ()), 0);
    assert!(rx.try_recv_one().is_none());
    assert_eq!(tx.reap(), 0);
    let refused = (rx.debug_rings().1.refused, tx.debug_rings().1.refused);
    assert_eq!(refused, (1, 1));
    let umem = rx.umem().clone();
    assert_eq!((umem.accounting().kernel, umem.accounting().user), (72, 0));
    drop((rx, tx));
    assert_home(&umem);
}

#[test]
fn frames_lent_before_the_split_are_taken_by_whoever_is_first() {
    for receiver_first in [true, false] {
        let (mut rx, mut tx, kernel) = halves();
        let frame = kernel.take_fill(1)[0];
        assert!(kernel.push_rx(frame + 256, 60, 0) && kernel.push_completion(frame));
        if receiver_first {
            let packet = rx.try_recv_one().expect("it is on loan");
            assert_eq!((packet.address(), tx.reap()), (frame + 256, 0));
        } else {
            assert_eq!(tx.reap(), 1);
            assert!(rx.try_recv_one().is_none());
        }
        let umem = rx.umem().clone();
        drop((rx, tx));
        assert_home(&umem);
    }
}

#[test]
fn frames_that_come_twice_or_from_nowhere_are_refused() {
    let (mut rx, mut tx, kernel) = halves();
    let frame = kernel.take_fill(1)[0];
    for addr in [frame, frame, 1 << 40, u64::MAX, 250 * CHUNK] {
        assert!(kernel.push_rx(addr, 60, 0));
    }
    let mut batch = PacketBatch::with_capacity(64);
    assert_eq!(rx.try_recv(&mut batch), 1);
    assert_eq!(rx.try_recv(&mut batch), 0);
    let mut other = batch_of(&mut tx, 0..1);
    tx.send(&mut other).unwrap();
    let sent = kernel.take_tx(1)[0].addr;
    for addr in [sent, sent, 1 << 40, u64::MAX, 250 * CHUNK] {
        assert!(kernel.push_completion(addr));
    }
    assert_eq!((tx.reap(), tx.reap()), (1, 0));
    let refused = (rx.debug_rings().1.refused, tx.debug_rings().1.refused);
    assert_eq!(refused, (4, 4));
    drop(batch);
    let umem = rx.umem().clone();
    drop((rx, tx));
    assert_home(&umem);
}

#[test]
fn good_packets_beside_bad_ones_arrive_by_each_door() {
    for one_by_one in [true, false] {
        let (mut rx, tx, kernel) = halves();
        let mut expected = 0;
        for bad in [1 << 40, u64::MAX, 250 * CHUNK, 255 * CHUNK + 2047] {
            assert_eq!(kernel.deliver(expected..expected + 3, 60), 3);
            assert!(kernel.push_rx(bad, 60, 0));
            assert_eq!(kernel.deliver(expected + 3..expected + 6, 60), 3);
            let mut batch = PacketBatch::with_capacity(64);
            // It ends at the bad one, and goes on behind it.
            for _ in 0..3 {
                if one_by_one {
                    rx.recv_each(64, |packet| batch.push(packet.into_packet()).unwrap());
                } else {
                    rx.try_recv(&mut batch);
                }
            }
            assert_eq!(
                numbers(&batch),
                (expected..expected + 6).collect::<Vec<_>>()
            );
            expected += 6;
        }
        assert_eq!((rx.total(), rx.debug_rings().1.refused), (24, 4));
        let umem = rx.umem().clone();
        drop((rx, tx));
        assert_home(&umem);
    }
}

#[test]
fn an_empty_packet_with_options_leaves_in_no_way() {
    let (mut rx, mut tx, kernel) = halves();
    for _ in 0..3 {
        let frame = kernel.take_fill(1)[0];
        assert!(kernel.push_rx(frame, 60, 1));
    }
    let forwarded = rx.forward_each(&mut tx, 1, |mut packet| {
        assert_eq!(packet.options(), 1);
        packet.set_len(0).unwrap();
        Verdict::Send
    });
    assert_eq!((forwarded.unwrap(), tx.total()), (1, 0));
    let emptied = |mut packet: Packet| {
        assert_eq!(packet.options(), 1);
        packet.set_len(0).unwrap();
        packet
    };
    let mut batch = PacketBatch::with_capacity(1);
    assert!(batch.push(emptied(rx.try_recv_one().unwrap())).is_ok());
    assert_eq!(tx.send(&mut batch).unwrap_err().kind(), ErrorKind::Invalid);
    let packet = emptied(rx.try_recv_one().unwrap());
    assert!(tx.send_one(packet).is_err());
    assert!(kernel.take_tx(1).is_empty());
    drop(batch);
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
}
