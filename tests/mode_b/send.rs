//! Sending: order, back-pressure, refusals, the kick.

use super::*;

#[test]
fn send_puts_packets_in_order_and_leaves_the_rest_in_the_batch() {
    let (rx, mut tx, kernel) = halves_of(256, [64, 64, 8, 64]);
    let mut batch = batch_of(&mut tx, 0..20);
    assert_eq!(tx.send(&mut batch).unwrap(), 8);
    assert_eq!(numbers(&batch), (8..20).collect::<Vec<_>>());
    assert_eq!((tx.send(&mut batch).unwrap(), tx.room()), (0, 0));
    assert_eq!(numbers_sent(&kernel.transmit(3)), [0, 1, 2]);
    assert_eq!(tx.send(&mut batch).unwrap(), 3);
    assert_eq!(
        numbers_sent(&kernel.transmit(64)),
        [3, 4, 5, 6, 7, 8, 9, 10]
    );
    assert_eq!(tx.send(&mut batch).unwrap(), 8);
    kernel.transmit(64);
    assert_eq!(tx.send(&mut batch).unwrap(), 1);
    assert!(batch.is_empty());
    assert_eq!(tx.send(&mut batch).unwrap(), 0);
    assert_eq!(numbers_sent(&kernel.transmit(64)), [19]);
    assert_eq!((tx.reap(), tx.total()), (1, 20));
    close(rx, tx);
}

#[test]
fn send_calls_the_kernel_until_the_batch_is_gone() {
    let plain = Plain::new(Setup {
        kick: 8,
        ..Setup::default()
    });
    // Fewer slots in each ring than packets, and fewer a call than slots.
    let (raw, kernel) = whole(&plain, 256, [64, 64, 32, 16]);
    let (rx, mut tx) = raw.split();
    kernel.set_need_wakeup(false, true);
    let mut batch = batch_of(&mut tx, 0..100);
    plain.events();
    assert_eq!(tx.send(&mut batch).unwrap(), 100);
    assert!(plain.events().iter().all(|event| event == "wake tx"));
    assert!(tx.flush(Duration::ZERO).unwrap());
    assert_eq!(tx.outstanding(), 0);
    close(rx, tx);
}

#[test]
fn a_kernel_that_takes_nothing_is_not_called_for_ever() {
    let plain = Plain::default();
    let (raw, kernel) = whole(&plain, 256, [64; 4]);
    let (rx, mut tx) = raw.split();
    kernel.set_need_wakeup(false, true);
    let mut batch = batch_of(&mut tx, 0..100);
    plain.events();
    assert_eq!(tx.send(&mut batch).unwrap(), 64);
    assert!(plain.events().len() < 10);
    assert_eq!(batch.len(), 36);
    assert!(!tx.wait(Some(Duration::ZERO)).unwrap());
    assert!(!tx.wait(Some(Duration::from_millis(1))).unwrap());
    kernel.transmit(1);
    assert!(tx.wait(None).unwrap());
    close(rx, tx);
}

#[test]
fn send_one_gives_the_packet_back_when_there_is_no_room() {
    let (rx, mut tx, kernel) = halves_of(256, [64, 64, 2, 64]);
    for number in 0..2 {
        let packet = tx.copy(&content(number, 60)).unwrap().unwrap();
        tx.send_one(packet).unwrap();
    }
    let packet = tx.copy(&content(2, 60)).unwrap().unwrap();
    let unsent = tx.send_one(packet).unwrap_err();
    assert!(unsent.is_full());
    assert_eq!(unsent.error().kind(), ErrorKind::Full);
    assert!(unsent.to_string().contains("full"), "{unsent}");
    assert_eq!(numbers_sent(&kernel.transmit(64)), [0, 1]);
    tx.send_one(unsent.into_packet()).unwrap();
    assert_eq!(numbers_sent(&kernel.transmit(64)), [2]);
    close(rx, tx);
}

#[test]
fn packets_put_one_by_one_leave_in_order_across_the_end_of_the_ring() {
    let (mut rx, mut tx, kernel) = halves_of(256, [64, 64, 16, 64]);
    let mut expected = 0;
    for round in 0..500_u64 {
        let first = round * 11;
        assert_eq!(kernel.deliver(first..first + 11, 60), 11);
        let sent = tx.send_each(64, |outbox| {
            assert_eq!(outbox.room(), 16);
            let count = rx.recv_each(64, |packet| outbox.put(packet.into_packet()).unwrap());
            assert_eq!((count, outbox.room()), (11, 5));
        });
        assert_eq!((sent.unwrap(), tx.outstanding()), (11, 11));
        for number in numbers_sent(&kernel.transmit(64)) {
            assert_eq!(number, expected);
            expected += 1;
        }
    }
    assert_eq!((expected, tx.total()), (5500, 5500));
    close(rx, tx);
}

#[test]
fn what_cannot_be_put_is_handed_back() {
    let (rx, mut tx, kernel) = halves_of(256, [64, 64, 4, 64]);
    let (mut other, other_tx, other_kernel) = halves();
    other_kernel.deliver(0..1, 60);
    let stranger = other.try_recv_one().unwrap();
    let empty = tx.alloc().unwrap();
    let mut batch = batch_of(&mut tx, 0..5);
    let mut back = Vec::new();
    let sent = tx.send_each(u32::MAX, |outbox| {
        back.extend(outbox.put(stranger).err());
        back.extend(outbox.put(empty).err());
        assert_eq!((back.len(), outbox.room()), (2, 4));
        back.extend(batch.drain().filter_map(|packet| outbox.put(packet).err()));
    });
    assert_eq!(sent.unwrap(), 4);
    let lens: Vec<_> = back.iter().map(Packet::len).collect();
    assert_eq!(lens, [60, 0, 60]);
    assert_eq!(
        tx.send_each(64, |outbox| assert_eq!(outbox.room(), 0))
            .unwrap(),
        0
    );
    assert_eq!(numbers_sent(&kernel.transmit(64)), [0, 1, 2, 3]);
    // No more than was asked for, nor anything when nothing is put.
    assert_eq!(
        tx.send_each(2, |outbox| assert_eq!(outbox.room(), 2))
            .unwrap(),
        0
    );
    assert!(kernel.tx_entries().is_empty());
    drop(back);
    close(rx, tx);
    close(other, other_tx);
}

#[test]
fn a_panic_between_two_packets_loses_neither() {
    let (mut rx, mut tx, kernel) = halves();
    kernel.deliver(0..10, 60);
    let result = catch_unwind(AssertUnwindSafe(|| {
        tx.send_each(64, |outbox| {
            rx.recv_each(64, |packet| {
                assert!(number(packet.data()) < 4, "enough");
                outbox.put(packet.into_packet()).unwrap();
            });
        })
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
fn empty_packets_are_refused_because_the_kernel_would_never_complete_them() {
    let (rx, mut tx, kernel) = halves();
    let empty = tx.alloc().unwrap();
    let unsent = tx.send_one(empty).unwrap_err();
    assert!(!unsent.is_full());
    assert_eq!(unsent.error().kind(), ErrorKind::Invalid);
    assert!(unsent.to_string().contains("empty"), "{unsent}");
    let mut batch = batch_of(&mut tx, 0..2);
    let mut mixed = PacketBatch::with_capacity(3);
    batch.drain().for_each(|packet| mixed.push(packet).unwrap());
    mixed.push(unsent.into_packet()).unwrap();
    assert_eq!(tx.send(&mut mixed).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!((mixed.len(), kernel.tx_entries().len()), (3, 0));
    drop(mixed);
    close(rx, tx);
}

#[test]
fn packets_of_another_umem_are_handed_back_and_can_be_copied() {
    let (rx, mut tx, kernel) = halves();
    let (mut other, other_tx, other_kernel) = halves();
    other_kernel.deliver(0..3, 60);
    let unsent = tx.send_one(other.try_recv_one().unwrap()).unwrap_err();
    assert_eq!(unsent.error().kind(), ErrorKind::Invalid);
    assert!(unsent.to_string().contains("copy"), "{unsent}");
    let mut batch = PacketBatch::with_capacity(2);
    other.try_recv(&mut batch);
    assert_eq!(tx.send(&mut batch).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(numbers(&batch), [1, 2]);
    let strangers = batch.drain().chain([unsent.into_packet()]);
    for packet in strangers {
        let copy = tx.copy(packet.data()).unwrap().unwrap();
        tx.send_one(copy).unwrap();
    }
    assert_eq!(numbers_sent(&kernel.transmit(64)), [1, 2, 0]);
    close(rx, tx);
    close(other, other_tx);
}

#[test]
fn what_does_not_fit_into_a_frame_is_no_copy() {
    let (rx, mut tx, _kernel) = halves();
    let error = tx.copy(&[0; CHUNK as usize]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let umem = tx.umem().clone();
    assert_eq!(umem.copy(&[0; CHUNK as usize]).unwrap_err(), error);
    let packets: Vec<Packet> = std::iter::from_fn(|| tx.alloc()).collect();
    assert_eq!(packets.len(), 256 - 64);
    assert!(tx.copy(b"hello").unwrap().is_none());
    assert!(umem.copy(b"hello").unwrap().is_none());
    drop(packets);
    assert_eq!(umem.copy(b"hello").unwrap().unwrap().data(), b"hello");
    close(rx, tx);
}

#[test]
fn alloc_takes_sent_frames_back_by_itself() {
    let (rx, mut tx, kernel) = halves_of(64, [16, 64, 64, 64]);
    let mut batch = batch_of(&mut tx, 0..48);
    assert!(tx.alloc().is_none());
    tx.send(&mut batch).unwrap();
    assert!(tx.alloc().is_none());
    assert_eq!(kernel.transmit(5).len(), 5);
    assert_eq!(
        (tx.alloc_batch(&mut batch), tx.alloc_batch(&mut batch)),
        (5, 0)
    );
    drop(batch);
    close(rx, tx);
}

#[test]
fn sent_frames_go_where_the_receiving_half_finds_them() {
    let (mut rx, mut tx, kernel) = halves();
    let mut batch = PacketBatch::with_capacity(256);
    while kernel.deliver(0..64, 60) > 0 {
        rx.try_recv(&mut batch);
    }
    while !batch.is_empty() {
        tx.send(&mut batch).unwrap();
        kernel.transmit(64);
    }
    assert_eq!(tx.reap(), 64);
    // The sending half keeps an eighth.
    assert_eq!((rx.refill(), tx.umem().accounting().pool), (64, 192));
    let others: Vec<_> = std::iter::from_fn(|| tx.umem().alloc()).collect();
    assert!(others.len() >= 192 - 32 - 32, "{}", others.len());
    drop(others);
    close(rx, tx);
}

#[test]
fn the_kernel_is_called_only_when_it_asks() {
    let plain = Plain::new(Setup {
        kick: 64,
        ..Setup::default()
    });
    let (raw, kernel) = whole(&plain, 256, [64; 4]);
    let (rx, mut tx) = raw.split();
    let mut batch = batch_of(&mut tx, 0..20);
    plain.events();
    tx.send(&mut batch).unwrap();
    assert_eq!(plain.events(), [""; 0]);
    kernel.set_need_wakeup(false, true);
    tx.kick().unwrap();
    assert_eq!(plain.events(), ["wake tx"]);
    tx.kick().unwrap();
    assert_eq!(plain.events(), [""; 0]);
    assert_eq!((tx.reap(), tx.outstanding()), (0, 0));
    close(rx, tx);
}

#[test]
fn nothing_that_moves_for_longer_than_the_patience_is_told_once() {
    let (rx, mut tx, kernel) = halves();
    tx.set_patience(Duration::from_millis(5));
    let mut batch = batch_of(&mut tx, 0..20);
    assert_eq!(tx.send(&mut batch).unwrap(), 20);
    let error = tx.wait_for_stuck();
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Stuck, 62));
    let text = error.to_string();
    for word in [
        "a kernel in plain memory",
        "20 given",
        "20 of them",
        "0.0 s",
    ] {
        assert!(text.contains(word), "{text}");
    }
    // Said once; when something moves, time begins anew.
    tx.kick().unwrap();
    kernel.transmit(1);
    thread::sleep(Duration::from_millis(6));
    tx.kick().unwrap();
    tx.kick().unwrap();
    kernel.transmit(64);
    assert!(tx.flush(Duration::ZERO).unwrap());
    thread::sleep(Duration::from_millis(6));
    for _ in 0..3 {
        tx.kick().unwrap();
    }
    // Never.
    tx.set_patience(Duration::MAX);
    let mut batch = batch_of(&mut tx, 0..2);
    tx.send(&mut batch).unwrap();
    thread::sleep(Duration::from_millis(6));
    tx.kick().unwrap();
    assert!(!tx.flush(Duration::from_millis(6)).unwrap());
    close(rx, tx);
}

trait WaitForStuck {
    fn wait_for_stuck(&mut self) -> fluxcap::FluxError;
}

impl WaitForStuck for FluxTx {
    fn wait_for_stuck(&mut self) -> fluxcap::FluxError {
        let mut rounds = 0;
        loop {
            match self.kick() {
                Err(error) => return error,
                Ok(()) => rounds += 1,
            }
            assert!(rounds < 10_000);
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_signal_ends_a_wait_for_room() {
    let plain = Plain::default();
    let (raw, kernel) = whole(&plain, 64, [64, 64, 4, 64]);
    let (rx, mut tx) = raw.split();
    let mut batch = batch_of(&mut tx, 0..5);
    assert_eq!(tx.send(&mut batch).unwrap(), 4);
    plain.signal();
    assert!(!tx.wait(None).unwrap());
    assert_eq!(kernel.transmit(64).len(), 4);
    assert!(tx.wait(None).unwrap());
    drop(batch);
    close(rx, tx);
}
