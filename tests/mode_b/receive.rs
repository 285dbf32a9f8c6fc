//! Receiving: batches, single packets, one by one; waiting.

use super::*;

#[test]
fn packets_arrive_in_order_by_each_door() {
    let (mut rx, tx, kernel) = halves();
    assert_eq!(kernel.deliver(0..30, 60), 30);
    let mut batch = PacketBatch::with_capacity(10);
    assert_eq!(rx.try_recv(&mut batch), 10);
    assert_eq!(numbers(&batch), (0..10).collect::<Vec<_>>());
    let mut seen = Vec::new();
    let count = rx.recv_each(15, |packet| seen.push(number(packet.data())));
    assert_eq!((count, seen), (15, (10..25).collect()));
    assert_eq!(number(rx.try_recv_one().unwrap().data()), 25);
    batch.clear();
    assert_eq!(rx.recv(&mut batch).unwrap(), 4);
    assert_eq!(numbers(&batch), (26..30).collect::<Vec<_>>());
    assert!(rx.try_recv_one().is_none());
    assert_eq!(rx.recv_each(9, |_| panic!("there is none")), 0);
    assert_eq!(rx.total(), 30);
    drop(batch);
    close(rx, tx);
}

#[test]
fn a_batch_without_room_is_refused_where_it_would_wait_for_ever() {
    let (mut rx, tx, kernel) = halves();
    kernel.deliver(0..2, 60);
    for mut batch in [PacketBatch::with_capacity(0), full(&mut rx)] {
        assert_eq!(rx.try_recv(&mut batch), 0);
        for error in [
            rx.recv(&mut batch).unwrap_err(),
            rx.recv_timeout(&mut batch, Duration::ZERO).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains("no room"), "{error}");
        }
    }
    assert_eq!(number(rx.try_recv_one().unwrap().data()), 1);
    assert_eq!(rx.recv_each(0, |_| ()), 0);
    close(rx, tx);
}

fn full(rx: &mut FluxRx) -> PacketBatch {
    let mut batch = PacketBatch::with_capacity(1);
    assert_eq!(rx.try_recv(&mut batch), 1);
    batch
}

#[test]
fn a_time_that_is_over_is_no_error() {
    let (mut rx, tx, _kernel) = halves();
    let mut batch = PacketBatch::with_capacity(1);
    for poller in [Poller::Busy, Poller::Wait, Poller::default()] {
        rx.set_poller(poller);
        let short = Duration::from_millis(2);
        assert_eq!(rx.recv_timeout(&mut batch, Duration::ZERO).unwrap(), 0);
        assert_eq!(rx.recv_timeout(&mut batch, short).unwrap(), 0);
        assert!(rx.recv_one_timeout(short).unwrap().is_none());
    }
    close(rx, tx);
}

#[test]
fn a_panic_of_the_callback_loses_no_frame() {
    let (mut rx, tx, kernel) = halves();
    kernel.deliver(0..10, 60);
    let mut seen = Vec::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        rx.recv_each(10, |packet| {
            seen.push(number(packet.data()));
            assert!(seen.len() < 4, "enough");
        })
    }));
    assert!(result.is_err());
    assert_eq!(rx.total(), 4);
    rx.recv_each(10, |packet| seen.push(number(packet.data())));
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
}

#[test]
fn frames_dropped_on_another_thread_go_back_to_the_fill_ring() {
    let (mut rx, tx, kernel) = halves();
    let mut batch = PacketBatch::with_capacity(256);
    while kernel.deliver(0..64, 60) > 0 {
        rx.try_recv(&mut batch);
    }
    assert_eq!((batch.len(), rx.refill()), (256, 0));
    thread::spawn(move || drop(batch)).join().unwrap();
    assert_eq!((rx.refill(), rx.refill()), (64, 0));
    close(rx, tx);
}

#[test]
fn recycled_packets_go_straight_to_the_fill_ring_and_foreign_ones_are_refused() {
    let (mut rx, mut tx, kernel) = halves();
    let (mut other, other_tx, other_kernel) = halves();
    kernel.deliver(0..20, 60);
    other_kernel.deliver(0..1, 60);
    let mut batch = PacketBatch::with_capacity(21);
    rx.try_recv(&mut batch);
    batch.push(other.try_recv_one().unwrap()).unwrap();
    let pool = rx.umem().accounting().pool;
    assert_eq!(
        rx.recycle(&mut batch).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(batch.len(), 21);
    drop(batch.pop());
    kernel.take_fill(10);
    rx.recycle(&mut batch).unwrap();
    assert!(batch.is_empty());
    assert_eq!(kernel.fill_entries().len(), 64);
    assert_eq!(rx.umem().accounting().pool, pool + 10);
    assert!(tx.alloc().is_some());
    close(rx, tx);
    close(other, other_tx);
}

#[test]
fn the_kernel_is_called_for_frames_only_when_it_asks() {
    let plain = Plain::default();
    let (raw, kernel) = whole(&plain, 256, [64; 4]);
    let (mut rx, tx) = raw.split();
    plain.events();
    kernel.deliver(0..9, 60);
    rx.recv_each(4, |_| ());
    assert_eq!(plain.events(), [""; 0]);
    kernel.set_need_wakeup(true, false);
    rx.recv_each(4, |_| ());
    assert_eq!(plain.events(), ["wake rx"]);
    kernel.set_need_wakeup(false, false);
    assert!(rx.try_recv_one().is_some());
    assert_eq!(plain.events(), [""; 0]);
    close(rx, tx);
}

#[test]
fn a_signal_ends_a_wait_without_end_also_while_frames_are_short() {
    for short in [false, true] {
        let plain = Plain::default();
        let (raw, kernel) = whole(&plain, 64, [64; 4]);
        let (mut rx, mut tx) = raw.split();
        rx.set_poller(Poller::Wait);
        let mut held = PacketBatch::with_capacity(64);
        while short && tx.alloc_batch(&mut held) > 0 {}
        if short {
            kernel.deliver(0..30, 60);
            rx.try_recv(&mut held);
        }
        plain.signal();
        let mut batch = PacketBatch::with_capacity(64);
        assert_eq!(rx.recv(&mut batch).unwrap(), 0);
        assert!(rx.recv_one().unwrap().is_none());
        assert!(!rx.wait(None).unwrap());
        drop(held);
        close(rx, tx);
    }
}
