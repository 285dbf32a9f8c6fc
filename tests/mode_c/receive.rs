//! Receiving.

use super::*;

#[test]
fn received_packets_have_the_bytes_that_arrived_in_order() {
    let (mut raw, kernel) = socket(64);
    assert_eq!(kernel.deliver(0..10, 1500), 10);
    let mut batch = PacketBatch::with_capacity(64);
    assert_eq!(raw.receive(&mut batch), 10);
    assert_eq!(numbers(&batch), (0..10).collect::<Vec<_>>());
    for packet in &batch {
        assert_eq!(
            (packet.len(), packet.headroom(), packet.options()),
            (1500, 256, 0)
        );
    }
    assert_eq!(raw.receive(&mut batch), 0);
    assert_eq!(raw.totals(), (10, 0));
    close(raw);
}

#[test]
fn receive_takes_what_the_batch_has_room_for_and_leaves_the_rest() {
    let (mut raw, kernel) = socket(64);
    kernel.deliver(0..10, 100);
    let mut batch = PacketBatch::with_capacity(4);
    for expected in [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]] {
        assert_eq!(raw.receive(&mut batch), expected.len() as u32);
        assert_eq!(raw.receive(&mut batch), 0);
        assert_eq!(numbers(&batch), expected);
        raw.recycle(&mut batch).unwrap();
    }
    assert_eq!(raw.receive(&mut PacketBatch::with_capacity(0)), 0);
    close(raw);
}

#[test]
fn receive_tops_the_fill_ring_up_from_the_pool() {
    let (mut raw, kernel) = socket(64);
    assert_eq!(kernel.fill_entries().len(), 64);
    kernel.deliver(0..64, 60);
    assert_eq!(kernel.fill_entries().len(), 0);
    let mut batch = PacketBatch::with_capacity(40);
    raw.receive(&mut batch);
    assert_eq!(kernel.fill_entries().len(), 40);
    close(raw);
}

#[test]
fn recycled_frames_stand_in_the_fill_ring_again_but_a_quarter_stays_for_sending() {
    let (mut raw, kernel) = socket_of(64, [64; 4]);
    let mut batch = PacketBatch::with_capacity(64);
    for round in 0..10 {
        kernel.deliver(round * 32..round * 32 + 32, 60);
        raw.receive(&mut batch);
        let frames: Vec<_> = batch
            .iter()
            .map(|packet| packet.address() / CHUNK)
            .collect();
        // While they were held, others took their place.
        let before = kernel.fill_entries().len();
        assert_eq!(before, 32);
        raw.recycle(&mut batch).unwrap();
        assert!(batch.is_empty());
        let given = kernel.fill_entries()[before..].to_vec();
        assert_eq!(given.len(), 16);
        assert!(given.iter().all(|addr| frames.contains(&(addr / CHUNK))));
        assert_eq!(raw.debug_rings().ledger.pool, 16);
        assert_conserved(&raw);
    }
    close(raw);
}

#[test]
fn recycle_sends_home_what_the_fill_ring_has_no_room_for() {
    let (mut raw, kernel) = socket(16);
    kernel.deliver(0..16, 60);
    let mut batch = PacketBatch::with_capacity(16);
    raw.receive(&mut batch);
    assert_eq!(kernel.fill_entries().len(), 16);
    raw.recycle(&mut batch).unwrap();
    assert!(batch.is_empty());
    let ledger = raw.debug_rings().ledger;
    assert_eq!((ledger.pool, ledger.user, ledger.kernel), (240, 0, 16));
    close(raw);
}

#[test]
fn a_packet_of_another_umem_is_refused_and_the_batch_stays_as_it_is() {
    let (mut raw, kernel) = socket(64);
    let other = UmemRegion::heap(UmemConfig::default()).unwrap();
    let mut batch = batch_of(&mut raw, 0..5);
    let mut stranger = other.alloc().unwrap();
    stranger.copy_from(&content(5, 60)).unwrap();
    let mut mixed = PacketBatch::with_capacity(8);
    batch.drain().for_each(|packet| mixed.push(packet).unwrap());
    mixed.push(stranger).unwrap();
    let before = (kernel.fill_entries().len(), kernel.tx_entries().len());

    for error in [
        raw.send(&mut mixed).unwrap_err(),
        raw.recycle(&mut mixed).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(
            text.contains("UMEM of another socket") && text.contains("alloc()"),
            "{text}"
        );
    }
    assert_eq!(numbers(&mixed), [0, 1, 2, 3, 4, 5]);
    assert_eq!(
        (kernel.fill_entries().len(), kernel.tx_entries().len()),
        before
    );
    let stranger = raw.send_one(mixed.pop().unwrap()).unwrap_err();
    assert_eq!(number(stranger.data()), 5);
    assert_eq!(other.accounting().user, 1);
    drop(stranger);
    assert_eq!(raw.send(&mut mixed).unwrap(), 5);
    assert_eq!(other.accounting().pool, other.frame_count());
    close(raw);
}
