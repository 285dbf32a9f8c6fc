//! Splitting a socket in the midst of traffic, and dropping the halves in any order.

use super::*;

#[test]
fn a_split_in_the_midst_of_traffic_loses_nothing() {
    let (mut raw, kernel) = whole(&Plain::default(), 256, [64, 64, 32, 64]);
    // Held, waiting in the RX ring, waiting in the TX ring, with the kernel, sent and not taken back.
    assert_eq!(kernel.deliver(0..20, 60), 20);
    let mut held = PacketBatch::with_capacity(8);
    assert_eq!(raw.receive(&mut held), 8);
    let mut batch = PacketBatch::with_capacity(30);
    raw.alloc_batch(&mut batch);
    for (number, packet) in batch.iter_mut().enumerate() {
        packet.copy_from(&content(100 + number as u64, 60)).unwrap();
    }
    assert_eq!(raw.send(&mut batch).unwrap(), 30);
    assert_eq!(kernel.transmit(10).len(), 10);
    let on_the_way = kernel.take_tx(5);

    let (mut rx, mut tx) = raw.split();
    assert_eq!((rx.total(), tx.total(), tx.outstanding()), (8, 30, 30));
    assert_eq!(numbers(&held), (0..8).collect::<Vec<_>>());
    let mut received = PacketBatch::with_capacity(64);
    assert_eq!(rx.try_recv(&mut received), 12);
    assert_eq!(numbers(&received), (8..20).collect::<Vec<_>>());
    assert_eq!(tx.reap(), 10);
    assert!(
        on_the_way
            .iter()
            .all(|desc| kernel.push_completion(desc.addr))
    );
    assert_eq!(tx.reap(), 5);
    assert_eq!(
        numbers_sent(&kernel.transmit(64)),
        (115..130).collect::<Vec<_>>()
    );
    assert_eq!((tx.reap(), tx.outstanding()), (15, 0));
    assert_eq!(tx.send(&mut held).unwrap(), 8);
    assert_eq!(tx.send(&mut received).unwrap(), 12);
    assert_eq!(kernel.transmit(64).len(), 20);
    close(rx, tx);
}

#[test]
fn frames_go_round_for_long_after_a_split() {
    let (mut rx, mut tx, kernel) = halves();
    let mut batch = PacketBatch::with_capacity(33);
    let mut expected = 0;
    for round in 0..4000_u64 {
        let count = kernel.deliver(expected..expected + 1 + round % 40, 60);
        assert!(count > 0, "round {round}");
        while rx.try_recv(&mut batch) > 0 {
            for number in numbers(&batch) {
                assert_eq!(number, expected);
                expected += 1;
            }
            if round % 3 == 0 {
                batch.clear();
            } else if round % 3 == 1 {
                rx.recycle(&mut batch).unwrap();
            } else {
                tx.send(&mut batch).unwrap();
                assert!(batch.is_empty());
                kernel.transmit(64);
            }
        }
    }
    assert_eq!(rx.total(), expected);
    close(rx, tx);
}

#[test]
fn sending_goes_on_when_the_receiving_half_is_gone() {
    let (rx, mut tx, kernel) = halves();
    drop(rx);
    let umem = tx.umem().clone();
    // The kernel still has what was in the fill ring.
    assert_eq!(umem.accounting().kernel, 64);
    for round in 0..1000 {
        let mut batch = batch_of(&mut tx, round * 32..round * 32 + 32);
        assert_eq!(tx.send(&mut batch).unwrap(), 32, "round {round}");
        assert_eq!(kernel.transmit(64).len(), 32);
    }
    assert!(tx.flush(Duration::ZERO).unwrap());
    assert_eq!(umem.accounting().kernel, 64);
    drop(tx);
    assert_home(&umem);
}

#[test]
fn receiving_goes_on_when_the_sending_half_is_gone() {
    let (mut rx, mut tx, kernel) = halves();
    let mut batch = batch_of(&mut tx, 0..16);
    tx.send(&mut batch).unwrap();
    kernel.transmit(8);
    drop(tx);
    let umem = rx.umem().clone();
    // What was sent came home with the half, what was not is still the kernel's.
    assert_eq!(umem.accounting().kernel, 64 + 8);
    for round in 0..1000 {
        assert_eq!(kernel.deliver(round..round + 1, 60), 1);
        assert_eq!(number(rx.try_recv_one().unwrap().data()), round);
    }
    drop(rx);
    assert_home(&umem);
}

#[test]
fn a_dropped_receiving_half_gives_up_what_has_arrived() {
    let (rx, tx, kernel) = halves();
    assert_eq!(kernel.deliver(0..40, 60), 40);
    drop(rx);
    assert_eq!(tx.umem().accounting().kernel, 24);
    assert_eq!(tx.umem().accounting().pool, 256 - 24);
    let umem = tx.umem().clone();
    drop(tx);
    assert_home(&umem);
}

#[test]
fn the_map_entry_goes_with_the_receiving_half_and_the_socket_with_the_last() {
    for receiver_first in [true, false] {
        let plain = Plain::default();
        let raw = plain.builder().frames(64).load_xdp(true).build().unwrap();
        let (rx, tx) = raw.split();
        plain.events();
        if receiver_first {
            drop(rx);
            assert_eq!(plain.events(), ["remove 0", "detach"]);
            drop(tx);
            assert_eq!(plain.events(), ["close"]);
        } else {
            drop(tx);
            assert_eq!(plain.events(), [""; 0]);
            drop(rx);
            assert_eq!(plain.events(), ["remove 0", "detach", "close"]);
        }
    }
}

#[test]
fn packets_outlive_both_halves() {
    let (mut rx, tx, kernel) = halves();
    kernel.deliver(0..10, 60);
    let mut batch = PacketBatch::with_capacity(10);
    rx.try_recv(&mut batch);
    let umem = rx.umem().clone();
    close(rx, tx);
    let read = thread::spawn(move || numbers(&batch)).join().unwrap();
    assert_eq!(read, (0..10).collect::<Vec<_>>());
    assert_eq!(umem.accounting().pool, 256);
}

#[test]
fn halves_and_packets_go_to_threads_of_their_own() {
    fn sendable<T: Send + 'static>() {}
    sendable::<FluxRx>();
    sendable::<FluxTx>();
    sendable::<fluxcap::Unsent>();
}

#[test]
fn a_umem_of_few_frames_starves_neither_half() {
    for frames in [2, 3, 8, 64] {
        let (mut rx, mut tx, kernel) = halves_of(frames, [64; 4]);
        let mut batch = PacketBatch::with_capacity(64);
        // All that the receiving side can get is held, sent, and comes back.
        for round in 0..200 {
            while kernel.deliver(0..64, 60) > 0 {
                rx.try_recv(&mut batch);
            }
            assert!(!batch.is_empty(), "{frames} frames, round {round}");
            while !batch.is_empty() {
                tx.send(&mut batch).unwrap();
                kernel.transmit(64);
            }
            tx.reap();
            assert_eq!(rx.try_recv(&mut batch), 0);
            let packet = tx.alloc();
            assert!(packet.is_some(), "{frames} frames, round {round}");
        }
        close(rx, tx);
    }
}

#[test]
fn a_umem_of_one_frame_works() {
    let (mut rx, mut tx, kernel) = halves_of(1, [1; 4]);
    for round in 0..20 {
        assert_eq!(kernel.deliver(round..round + 2, 60), 1);
        assert!(tx.alloc().is_none());
        tx.send_one(rx.try_recv_one().unwrap()).unwrap();
        assert_eq!(numbers_sent(&kernel.transmit(9)), [round]);
        assert_eq!((tx.reap(), rx.refill()), (1, 1));
    }
    close(rx, tx);
}
