//! Sending, allocating, reaping, refilling.

use super::*;

#[test]
fn send_puts_packets_in_order_and_leaves_the_rest_in_the_batch() {
    let (mut raw, kernel) = socket_of(256, [64, 64, 8, 64]);
    let mut batch = batch_of(&mut raw, 0..20);
    assert_eq!(raw.send(&mut batch).unwrap(), 8);
    assert_eq!(numbers(&batch), (8..20).collect::<Vec<_>>());
    assert_eq!(raw.send(&mut batch).unwrap(), 0);
    assert_eq!(numbers_sent(&kernel.transmit(3)), [0, 1, 2]);
    assert_eq!(raw.send(&mut batch).unwrap(), 3);
    assert_eq!(
        numbers_sent(&kernel.transmit(64)),
        [3, 4, 5, 6, 7, 8, 9, 10]
    );
    assert_eq!(raw.send(&mut batch).unwrap(), 8);
    kernel.transmit(64);
    assert_eq!(raw.send(&mut batch).unwrap(), 1);
    assert!(batch.is_empty());
    assert_eq!(raw.send(&mut batch).unwrap(), 0);
    assert_eq!(numbers_sent(&kernel.transmit(64)), [19]);
    assert_eq!((raw.reap(), raw.totals()), (20, (0, 20)));
    close(raw);
}

#[test]
fn send_one_gives_the_packet_back_when_the_ring_is_full() {
    let (mut raw, kernel) = socket_of(256, [64, 64, 2, 64]);
    let mut batch = batch_of(&mut raw, 0..3);
    for packet in batch.drain() {
        let expected = number(packet.data());
        match raw.send_one(packet) {
            Ok(()) => assert!(expected < 2),
            Err(packet) => assert_eq!((expected, number(packet.data())), (2, 2)),
        }
    }
    assert_eq!(numbers_sent(&kernel.transmit(64)), [0, 1]);
    close(raw);
}

#[test]
fn empty_packets_are_refused_because_the_kernel_would_never_complete_them() {
    let (mut raw, kernel) = socket(64);
    let mut batch = batch_of(&mut raw, 0..3);
    batch.push(raw.alloc().unwrap()).unwrap_err();
    let mut mixed = PacketBatch::with_capacity(4);
    batch.drain().for_each(|packet| mixed.push(packet).unwrap());
    mixed.push(raw.alloc().unwrap()).unwrap();
    let error = raw.send(&mut mixed).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(mixed.len(), 4);
    let empty = raw.send_one(mixed.pop().unwrap()).unwrap_err();
    assert!(empty.is_empty());
    assert!(kernel.tx_entries().is_empty());
    assert_eq!(raw.send(&mut mixed).unwrap(), 3);
    drop(empty);
    close(raw);
}

#[test]
fn a_packet_pulled_to_the_end_of_its_frame_never_names_the_next_frame() {
    let (mut raw, kernel) = socket(64);
    let mut packet = raw.alloc().unwrap();
    let all = packet.tailroom();
    packet.set_len(all).unwrap();
    packet.pull_front(all).unwrap();
    assert_eq!((packet.headroom() as u64, packet.tailroom()), (CHUNK, 0));
    let frame = packet
        .push_front(8)
        .map(|_| ())
        .map(|()| packet.address() / CHUNK)
        .unwrap();
    packet.pull_front(8).unwrap();
    if raw.send_one(packet).is_ok() {
        assert_eq!(kernel.tx_entries()[0].addr / CHUNK, frame);
    }
    close(raw);
}

#[test]
fn alloc_ends_with_none_and_reaps_by_itself_when_frames_were_sent() {
    let (mut raw, kernel) = socket_of(64, [16, 64, 64, 64]);
    let mut batch = batch_of(&mut raw, 0..48);
    assert!(raw.alloc().is_none());
    raw.send(&mut batch).unwrap();
    assert!(raw.alloc().is_none());
    assert_eq!(kernel.transmit(5).len(), 5);
    let packets: Vec<_> = std::iter::from_fn(|| raw.alloc()).collect();
    assert_eq!(packets.len(), 5);
    for packet in &packets {
        assert_eq!(
            (packet.len(), packet.headroom(), packet.tailroom()),
            (0, 256, 1792)
        );
    }
    drop(packets);
    assert_eq!(raw.debug_rings().ledger.pool, 5);
    close(raw);
}

#[test]
fn a_receiver_that_held_all_frames_hears_again_when_they_are_free() {
    for frames in [1, 2, 3, 64, 8192] {
        let (mut raw, kernel) = socket_of(frames, [4096, 2048, 64, 64]);
        let mut batch = PacketBatch::with_capacity(frames as usize);
        let mut held = Vec::new();
        while kernel.deliver(0..2048, 60) > 0 {
            raw.receive(&mut batch);
            held.extend(batch.drain());
        }
        assert!(!held.is_empty());
        drop(held);
        for _ in 0..3 {
            raw.receive(&mut batch);
            assert!(batch.is_empty());
            let half = frames.div_ceil(2).min(4096);
            assert_eq!(raw.debug_rings().fill.occupied, half, "{frames} frames");
            // And again and again: the level does not sink.
            assert!(kernel.deliver(0..1, 60) == 1);
            assert_eq!(raw.receive(&mut batch), 1);
            batch.clear();
        }
        close(raw);
    }
}

#[test]
fn waiting_tops_the_fill_ring_up_so_that_a_packet_can_arrive() {
    let (mut raw, kernel) = socket_of(8, [8, 8, 8, 8]);
    let mut batch = PacketBatch::with_capacity(8);
    while kernel.deliver(0..8, 60) > 0 {
        raw.receive(&mut batch);
    }
    assert_eq!((batch.len(), raw.debug_rings().fill.occupied), (8, 0));
    batch.clear();
    raw.wait(fluxcap::Interest::Receive, Some(Duration::ZERO))
        .unwrap();
    assert_eq!(raw.debug_rings().fill.occupied, 4);
    close(raw);
}

#[test]
fn refill_leaves_frames_for_sending() {
    for frames in [2, 4096, 8192] {
        let (mut raw, kernel) = socket_of(frames, [4096, 2048, 2048, 2048]);
        raw.refill();
        let mut packet = raw.alloc().expect("half of the frames are for sending");
        packet.copy_from(b"hello").unwrap();
        raw.send_one(packet).unwrap();
        kernel.transmit(1);
        raw.refill();
        assert!(raw.alloc().is_some(), "{frames} frames");
        close(raw);
    }
}

#[test]
fn a_sender_that_only_refills_is_never_stuck() {
    let (mut raw, kernel) = socket_of(16_384, [4096, 64, 64, 64]);
    let mut batch = PacketBatch::with_capacity(64);
    let mut sent = 0;
    for _ in 0..1000 {
        raw.alloc_batch(&mut batch);
        for packet in &mut batch {
            packet.copy_from(b"hello").unwrap();
        }
        sent += raw.send(&mut batch).unwrap();
        kernel.transmit(64);
        raw.refill();
    }
    assert_eq!(sent, 64_000);
    drop(batch);
    close(raw);
}

#[test]
fn a_forwarder_that_also_sends_its_own_packets_is_never_stuck() {
    let (mut raw, kernel) = socket_of(256, [128, 64, 64, 64]);
    for round in 0..5000_u64 {
        assert!(kernel.deliver(0..8, 60) > 0, "round {round}");
        assert!(raw.forward_each(64, |_| Verdict::Send) > 0);
        if let Some(mut packet) = raw.alloc() {
            packet.copy_from(b"hello").unwrap();
            raw.send_one(packet).ok();
        }
        kernel.transmit(9);
        raw.refill();
    }
    close(raw);
}

#[test]
fn a_later_socket_on_a_shared_umem_gets_half_of_what_is_free_or_an_error() {
    let plain = Plain::default();
    let builder = || sized(plain.builder().frames(4), [64; 4]);
    let first = builder().build().unwrap();
    let umem = first.umem().clone();
    let mut sockets = vec![first];
    sockets.push(builder().umem(&umem).build().unwrap());
    sockets.push(builder().umem(&umem).build().unwrap());
    let error = builder().umem(&umem).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Memory);
    assert!(
        error.to_string().contains("none of its 4 frames is free"),
        "{error}"
    );
    let lent = sockets.iter().map(|raw| raw.debug_rings().fill.occupied);
    assert!(lent.eq([2, 1, 1]));
    drop(sockets);
    assert_eq!(umem.accounting().pool, 4);
}

#[test]
fn wishes_for_the_memory_of_a_given_umem_are_answered_as_refused() {
    let plain = Plain::default();
    let first = plain.builder().build().unwrap();
    let second = plain
        .builder()
        .umem(first.umem())
        .hugepages(fluxcap::Hugepages::Require(fluxcap::HugepageSize::Size2M))
        .numa_node(1)
        .build()
        .unwrap();
    assert!(second.report().page_size.reason.is_some());
    assert!(second.report().numa_node.reason.is_some());
    assert!(first.report().page_size.reason.is_none());
}

#[test]
fn alloc_batch_fills_the_batch_and_reaps_when_the_pool_has_not_enough() {
    let (mut raw, kernel) = socket_of(64, [16, 64, 64, 64]);
    let mut batch = PacketBatch::with_capacity(32);
    assert_eq!(
        (raw.alloc_batch(&mut batch), raw.alloc_batch(&mut batch)),
        (32, 0)
    );
    for packet in &mut batch {
        packet.copy_from(b"to be sent").unwrap();
    }
    assert_eq!(raw.send(&mut batch).unwrap(), 32);
    // 16 are left, 7 come back.
    assert_eq!(kernel.transmit(7).len(), 7);
    assert_eq!(raw.alloc_batch(&mut batch), 23);
    assert_eq!(raw.alloc_batch(&mut batch), 0);
    assert!(
        batch
            .iter()
            .all(|packet| packet.is_empty() && packet.headroom() == 256)
    );
    assert_eq!(raw.debug_rings().counted.user, 23);
    drop(batch);
    assert_eq!(raw.debug_rings().counted.user, 0);
    close(raw);
}

#[test]
fn reap_brings_sent_frames_back_once() {
    let (mut raw, kernel) = socket(64);
    let mut batch = batch_of(&mut raw, 0..40);
    raw.send(&mut batch).unwrap();
    assert_eq!(raw.reap(), 0);
    kernel.transmit(30);
    assert_eq!((raw.reap(), raw.reap()), (30, 0));
    let ledger = raw.debug_rings().ledger;
    assert_eq!((ledger.pool, ledger.kernel), (256 - 64 - 10, 64 + 10));
    close(raw);
}

#[test]
fn refill_takes_the_frames_just_sent_before_those_of_the_pool() {
    let (mut raw, kernel) = socket(64);
    let mut batch = batch_of(&mut raw, 0..10);
    let frames: Vec<_> = batch
        .iter()
        .map(|packet| packet.address() / CHUNK)
        .collect();
    raw.send(&mut batch).unwrap();
    kernel.transmit(10);
    let held = kernel.take_fill(24);
    let pool = raw.debug_rings().ledger.pool;
    assert_eq!(raw.refill(), 10);
    let entries = kernel.fill_entries();
    assert!(entries[40..50].iter().map(|addr| addr / CHUNK).eq(frames));
    assert_eq!(raw.debug_rings().ledger.pool, pool);
    assert_eq!((raw.refill(), held.len()), (0, 24));
    close(raw);
}

#[test]
fn refill_puts_sent_frames_that_do_not_fit_into_the_pool() {
    let (mut raw, kernel) = socket(16);
    let mut batch = batch_of(&mut raw, 0..10);
    raw.send(&mut batch).unwrap();
    kernel.transmit(10);
    kernel.take_fill(4);
    assert_eq!(raw.refill(), 4);
    assert_eq!(kernel.waiting().1, 0);
    assert_eq!(raw.debug_rings().ledger.pool, 256 - 20);
    assert_eq!((raw.refill(), raw.reap()), (0, 0));
    close(raw);
}
