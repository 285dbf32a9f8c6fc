//! Long runs. Closing, and sharing a UMEM.

use super::*;

#[test]
fn indices_wrap_the_slots_in_all_alignments_and_batch_sizes() {
    let (mut raw, kernel) = socket_of(256, [64; 4]);
    let mut batch = PacketBatch::with_capacity(65);
    let (mut next, mut expected) = (0, 0);
    let sizes = [1, 63, 64, 65, 7];
    for round in 0_usize.. {
        if expected > 1 << 17 {
            break;
        }
        let size = sizes[round % sizes.len()];
        let delivered = kernel.deliver(next..next + size, 60);
        next += u64::from(delivered);
        let mut check = |data: &[u8]| {
            assert_eq!(number(data), expected);
            expected += 1;
        };
        match round / sizes.len() % 4 {
            0 => {
                raw.receive(&mut batch);
                batch.iter().for_each(|packet| check(packet.data()));
                raw.recycle(&mut batch).unwrap();
            }
            1 => {
                raw.receive(&mut batch);
                batch.iter().for_each(|packet| check(packet.data()));
                raw.send(&mut batch).unwrap();
                assert!(batch.is_empty());
            }
            2 => {
                raw.recv_each(size as u32, |packet| check(packet.data()));
            }
            _ => {
                let mut turn = 0;
                raw.forward_each(size as u32, |packet| {
                    check(packet.data());
                    turn += 1;
                    if turn % 3 == 0 {
                        Verdict::Recycle
                    } else {
                        Verdict::Send
                    }
                });
            }
        }
        assert_eq!(expected, next);
        let sent = kernel.transmit(64);
        assert!(sent.iter().all(|data| number(data) < next));
        raw.refill();
        raw.reap();
        if round % 64 == 0 {
            assert_conserved(&raw);
        }
    }
    assert_eq!(raw.totals().0, next);
    close(raw);
}

#[test]
fn packets_outlive_their_socket_and_come_home_from_another_thread() {
    let (mut raw, kernel) = socket(64);
    kernel.deliver(0..10, 60);
    let mut batch = PacketBatch::with_capacity(10);
    raw.receive(&mut batch);
    let mut sent = batch_of(&mut raw, 0..5);
    raw.send(&mut sent).unwrap();
    let umem = raw.umem().clone();
    assert_conserved(&raw);
    drop(raw);
    // What the kernel had is back in the pool; what the user has is still the user's.
    assert_eq!((umem.accounting().pool, umem.accounting().user), (246, 10));
    for packet in &mut batch {
        let bytes = number(packet.data()) + 100;
        packet.copy_from(&content(bytes, 1000)).unwrap();
    }
    let read = thread::spawn(move || numbers(&batch)).join().unwrap();
    assert_eq!(read, (100..110).collect::<Vec<_>>());
    assert_eq!(umem.accounting().pool, 256);
}

#[test]
fn packets_outlive_socket_and_umem_handles() {
    let (mut raw, kernel) = socket(64);
    kernel.deliver(0..10, 60);
    let mut batch = PacketBatch::with_capacity(10);
    raw.receive(&mut batch);
    assert_conserved(&raw);
    drop(raw);
    assert_eq!(numbers(&batch), (0..10).collect::<Vec<_>>());
    batch
        .iter_mut()
        .for_each(|packet| packet.data_mut().fill(7));
    let last = batch.pop().unwrap();
    drop(batch);
    assert!(last.data().iter().all(|byte| *byte == 7));
}

#[test]
fn closing_takes_the_map_entry_out_first_and_the_socket_last() {
    let plain = Plain::default();
    let raw = sized(plain.builder().frames(64).queue(3), [16; 4])
        .xdp_mode(XdpMode::Generic)
        .build()
        .unwrap();
    assert_eq!(
        plain.events(),
        ["allocate", "attach", "open", "bind", "insert 3"]
    );
    assert_eq!(
        raw.report().xdp_mode.as_ref().unwrap().achieved,
        XdpMode::Generic
    );
    let umem = raw.umem().clone();
    drop(raw);
    assert_eq!(plain.events(), ["remove 3", "detach", "close"]);
    assert_eq!(umem.accounting().pool, 64);
}

#[test]
fn a_failed_build_gives_every_frame_back() {
    let umem = UmemRegion::heap(UmemConfig {
        frames: 64,
        ..UmemConfig::default()
    })
    .unwrap();
    let busy = Plain::new(Setup {
        refuse_bind: true,
        ..Setup::default()
    });
    let error = busy
        .builder()
        .umem(&umem)
        .load_xdp(true)
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(umem.accounting().pool, 64);
    assert_eq!(
        busy.events()
            .iter()
            .filter(|event| *event == "detach" || *event == "close")
            .count(),
        2
    );
    // The map has no such queue.
    let few = Plain::new(Setup {
        queues: None,
        ..Setup::default()
    });
    few.builder()
        .umem(&umem)
        .queue(u32::MAX)
        .load_xdp(true)
        .build()
        .unwrap_err();
    assert_eq!(umem.accounting().pool, 64);
    assert_eq!(
        few.events()
            .iter()
            .filter(|event| *event == "detach" || *event == "close")
            .count(),
        2
    );
    // The place in the ledger is free again too.
    for _ in 0..70_000 / 64 {
        busy.builder().umem(&umem).build().unwrap_err();
    }
    assert_eq!(umem.accounting().pool, 64);
}

#[test]
fn two_sockets_on_one_umem_pass_packets_on_uncopied() {
    let plain = Plain::default();
    let mut one = sized(plain.builder().frames(256), [64; 4]).build().unwrap();
    let kernel_one = plain.kernel();
    let umem = one.umem().clone();
    let mut two = sized(plain.builder().umem(&umem).queue(1), [64; 4])
        .build()
        .unwrap();
    let kernel_two = plain.kernel();
    let mut batch = PacketBatch::with_capacity(32);
    for round in 0..100 {
        let first = round * 32;
        kernel_one.deliver(first..first + 32, 60);
        one.receive(&mut batch);
        let addresses: Vec<_> = batch.iter().map(fluxcap::Packet::address).collect();
        assert_eq!(two.send(&mut batch).unwrap(), 32);
        assert!(
            kernel_two
                .tx_entries()
                .iter()
                .map(|desc| desc.addr)
                .eq(addresses)
        );
        assert!(
            numbers_sent(&kernel_two.transmit(32))
                .into_iter()
                .eq(first..first + 32)
        );
        assert_eq!(two.reap(), 32);
        one.refill();
        assert!(umem.accounting().is_conserved());
    }
    assert_eq!((one.totals(), two.totals()), ((3200, 0), (0, 3200)));
    // A frame on loan from one socket is not accepted by the other.
    let foreign = kernel_one.take_fill(1)[0];
    assert!(kernel_two.push_rx(foreign, 60, 0) && kernel_two.push_completion(foreign));
    assert_eq!(
        (
            two.receive(&mut batch),
            two.recv_each(1, |_| ()),
            two.reap()
        ),
        (0, 0, 0)
    );
    let state = two.debug_rings();
    assert_eq!((state.rx.refused, state.completion.refused), (1, 1));
    drop(one);
    let ledger = umem.accounting();
    assert_eq!((ledger.kernel, ledger.user), (64, 0));
    drop(two);
    assert_eq!(umem.accounting().pool, 256);
}

#[test]
fn a_new_socket_on_the_umem_of_a_closed_one_finds_all_frames() {
    let plain = Plain::default();
    let umem = UmemRegion::heap(UmemConfig {
        frames: 64,
        chunk_size: CHUNK as u32,
        ..UmemConfig::default()
    })
    .unwrap();
    for round in 0..50 {
        let mut raw = sized(plain.builder().umem(&umem), [32; 4]).build().unwrap();
        let kernel = plain.kernel();
        assert_eq!(kernel.deliver(round..round + 32, 60), 32);
        let mut batch = PacketBatch::with_capacity(8);
        assert_eq!(raw.receive(&mut batch), 8);
        raw.send(&mut batch).unwrap();
        assert_conserved(&raw);
        drop(raw);
        assert_eq!(umem.accounting().pool, 64);
    }
}

#[test]
fn a_umem_of_one_frame_works() {
    let (mut raw, kernel) = socket_of(1, [1; 4]);
    for round in 0..20 {
        assert_eq!(kernel.deliver(round..round + 2, 60), 1);
        assert!(raw.alloc().is_none());
        assert_eq!(raw.forward_each(9, |_| Verdict::Send), 1);
        assert_eq!(numbers_sent(&kernel.transmit(9)), [round]);
        assert_eq!(raw.refill(), 1);
        assert_conserved(&raw);
    }
    close(raw);
}

#[test]
fn half_of_the_frames_and_no_more_than_fit_start_in_the_fill_ring() {
    for (frames, fill, expected) in [(1, 64, 1), (7, 64, 4), (64, 64, 32), (256, 64, 64)] {
        let (raw, kernel) = socket_of(frames, [fill, 64, 64, 64]);
        assert_eq!(kernel.fill_entries().len(), expected);
        close(raw);
    }
}
