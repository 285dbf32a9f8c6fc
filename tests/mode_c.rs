//! Mode C over a kernel in plain memory, which the test plays. Every test ends by counting the frames.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use common::{Kernel, Plain, Setup, content};
use fluxcap::{
    Accounting, BindMode, BusyPoll, ErrorKind, FluxBuilder, FluxRaw, PacketBatch, UmemConfig,
    UmemRegion, Verdict, XdpMode,
};
use oracle::Oracle;

mod common;
#[path = "common/oracle.rs"]
mod oracle;

/// Bytes a frame in all these tests.
const CHUNK: u64 = 2048;

/// A socket with 256 frames and four rings of `slots`, half of the frames or `slots` of them in the fill ring.
fn socket(slots: u32) -> (FluxRaw, Kernel) {
    socket_of(256, [slots; 4])
}

/// A socket with rings of its own sizes: fill, RX, TX, completion.
fn socket_of(frames: u32, sizes: [u32; 4]) -> (FluxRaw, Kernel) {
    let plain = Plain::default();
    let raw = sized(plain.builder().frames(frames), sizes)
        .build()
        .unwrap();
    (raw, plain.kernel())
}

fn sized(builder: FluxBuilder, [fill, rx, tx, completion]: [u32; 4]) -> FluxBuilder {
    builder
        .chunk_size(CHUNK as u32)
        .fill_size(fill)
        .rx_size(rx)
        .tx_size(tx)
        .completion_size(completion)
}

/// No frame is lost, none has two owners, and the kernel side saw nothing refused.
#[track_caller]
fn assert_conserved(raw: &FluxRaw) {
    let state = raw.debug_rings();
    assert!(state.is_conserved(), "{state}");
    for ring in [state.fill, state.rx, state.tx, state.completion] {
        assert_eq!((ring.violations, ring.refused), (0, 0), "{state}");
    }
}

/// Drops the socket and sees every frame come home.
#[track_caller]
fn close(raw: FluxRaw) {
    assert_conserved(&raw);
    let umem = raw.umem().clone();
    let user = raw.debug_rings().ledger.user;
    drop(raw);
    let all = umem.frame_count();
    let expected = Accounting {
        frames: all,
        pool: all - user,
        user,
        kernel: 0,
    };
    assert_eq!(umem.accounting(), expected);
    let packets: Vec<_> = std::iter::from_fn(|| umem.alloc()).collect();
    assert_eq!(packets.len() as u32, all - user);
}

/// Fills the fill ring beyond what the library itself would put into it.
fn fill_up(raw: &mut FluxRaw, slots: u32) {
    let mut batch = batch_of(raw, 0..u64::from(slots));
    raw.recycle(&mut batch).unwrap();
    assert_eq!(raw.debug_rings().fill.occupied, slots);
}

fn batch_of(raw: &mut FluxRaw, numbers: std::ops::Range<u64>) -> PacketBatch {
    let mut batch = PacketBatch::with_capacity(numbers.clone().count());
    for number in numbers {
        let mut packet = raw.alloc().expect("a free frame");
        packet.copy_from(&content(number, 60)).unwrap();
        batch.push(packet).unwrap();
    }
    batch
}

/// Numbers of the packets in a batch.
fn numbers(batch: &PacketBatch) -> Vec<u64> {
    batch.iter().map(|packet| number(packet.data())).collect()
}

fn number(data: &[u8]) -> u64 {
    let number = u64::from_le_bytes(data[..8].try_into().unwrap());
    assert_eq!(data, content(number, data.len() as u32));
    number
}

fn numbers_sent(sent: &[Vec<u8>]) -> Vec<u64> {
    sent.iter().map(|data| number(data)).collect()
}

// Receiving.

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
fn recycled_frames_stand_in_the_fill_ring_again() {
    let (mut raw, kernel) = socket_of(64, [64; 4]);
    let mut batch = PacketBatch::with_capacity(64);
    for round in 0..10 {
        kernel.deliver(round * 32..round * 32 + 32, 60);
        raw.receive(&mut batch);
        let mut frames: Vec<_> = batch
            .iter()
            .map(|packet| packet.address() / CHUNK)
            .collect();
        let before = kernel.fill_entries().len();
        raw.recycle(&mut batch).unwrap();
        assert!(batch.is_empty());
        let mut given: Vec<_> = kernel.fill_entries()[before..]
            .iter()
            .map(|addr| addr / CHUNK)
            .collect();
        frames.sort_unstable();
        given.sort_unstable();
        assert_eq!(given, frames);
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

// Looking in place.

#[test]
fn inspect_shows_the_bytes_in_their_frame_and_gives_the_frame_back() {
    let (mut raw, kernel) = socket(64);
    let start = raw.umem().memory().start().as_ptr() as usize;
    kernel.deliver(0..20, 100);
    let frames_before = kernel.fill_entries().len();
    let mut seen = Vec::new();
    let count = raw.inspect(64, |packet| {
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
    assert_eq!(raw.inspect(64, |_| panic!("there is none")), 0);
    assert_eq!(raw.totals(), (20, 0));
    close(raw);
}

#[test]
fn inspect_stops_at_its_maximum() {
    let (mut raw, kernel) = socket(64);
    kernel.deliver(0..10, 100);
    for (max, expected) in [(0, 0), (3, 3), (1, 1), (u32::MAX, 6), (4, 0)] {
        assert_eq!(raw.inspect(max, |_| ()), expected);
    }
    close(raw);
}

#[test]
fn a_packet_in_place_grows_and_shrinks_within_its_frame_only() {
    let (mut raw, kernel) = socket(64);
    kernel.deliver(0..1, 100);
    let most = CHUNK as usize - 256;
    raw.inspect(1, |packet| {
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
fn inspect_over_a_full_fill_ring_puts_the_frames_into_the_pool() {
    for slots in [8, 64, 128] {
        let (mut raw, kernel) = socket_of(512, [slots; 4]);
        kernel.deliver(0..u64::from(slots), 60);
        fill_up(&mut raw, slots);
        let mut count = 0;
        assert_eq!(raw.inspect(u32::MAX, |_| count += 1), slots);
        assert_eq!(count, slots);
        let ledger = raw.debug_rings().ledger;
        assert_eq!((ledger.pool, ledger.kernel), (512 - slots, slots));
        assert_conserved(&raw);
        // Partly full.
        let taken = slots / 4 + 1;
        kernel.deliver(0..u64::from(slots), 60);
        fill_up(&mut raw, slots);
        let held = kernel.take_fill(taken);
        assert_eq!(raw.inspect(u32::MAX, |_| ()), slots);
        assert_eq!(kernel.fill_entries().len() as u32, slots);
        assert_eq!(raw.debug_rings().ledger.kernel, slots + held.len() as u32);
        close(raw);
    }
}

// Forwarding.

#[test]
fn forward_sends_and_recycles_by_verdict() {
    let (mut raw, kernel) = socket(64);
    kernel.deliver(0..30, 60);
    let before = kernel.fill_entries().len();
    let count = raw.forward(64, |packet| {
        let number = number(packet.data());
        packet
            .data_mut()
            .copy_from_slice(&content(number + 1000, 60));
        if number.is_multiple_of(3) {
            Verdict::Send
        } else {
            Verdict::Recycle
        }
    });
    assert_eq!(count, 30);
    assert_eq!(kernel.fill_entries().len() - before, 20);
    let sent = kernel.transmit(64);
    assert!(numbers_sent(&sent).into_iter().eq((1000..1030).step_by(3)));
    assert_eq!(raw.totals(), (30, 10));
    assert_eq!(raw.reap(), 10);
    close(raw);
}

#[test]
fn a_forwarded_packet_leaves_with_the_length_it_was_given() {
    let (mut raw, kernel) = socket(64);
    kernel.deliver(0..2, 100);
    let mut lengths = [1400, 9].into_iter();
    raw.forward(2, |packet| {
        packet.set_len(lengths.next().unwrap()).unwrap();
        Verdict::Send
    });
    let sent = kernel.transmit(2);
    assert_eq!([sent[0].len(), sent[1].len()], [1400, 9]);
    assert_eq!(sent[1], content(1, 9));
    close(raw);
}

#[test]
fn forward_handles_no_more_than_the_tx_ring_has_room_for_and_loses_nothing() {
    let (mut raw, kernel) = socket_of(256, [64, 64, 8, 64]);
    kernel.deliver(0..20, 60);
    let mut seen = Vec::new();
    let mut judge = |packet: &mut fluxcap::PacketRef<'_>| {
        seen.push(number(packet.data()));
        Verdict::Send
    };
    assert_eq!(raw.forward(64, &mut judge), 8);
    assert_eq!(raw.forward(64, &mut judge), 0);
    assert_eq!(raw.tx_room(), 0);
    assert_eq!(kernel.transmit(5).len(), 5);
    assert_eq!(raw.tx_room(), 5);
    assert_eq!(raw.forward(64, &mut judge), 5);
    kernel.transmit(64);
    assert_eq!(raw.forward(3, &mut judge), 3);
    assert_eq!(raw.forward(64, &mut judge), 4);
    assert!(seen.into_iter().eq(0..20));
    assert_eq!(kernel.transmit(64).len(), 7);
    assert_eq!(raw.reap(), 20);
    close(raw);
}

#[test]
fn forward_over_a_full_fill_ring_puts_recycled_frames_into_the_pool() {
    for slots in [8, 64, 128] {
        let (mut raw, kernel) = socket_of(512, [slots; 4]);
        kernel.deliver(0..u64::from(slots), 60);
        fill_up(&mut raw, slots);
        let count = raw.forward(u32::MAX, |packet| {
            if number(packet.data()).is_multiple_of(2) {
                Verdict::Send
            } else {
                Verdict::Recycle
            }
        });
        assert_eq!(count, slots);
        let ledger = raw.debug_rings().ledger;
        assert_eq!(
            (ledger.pool, ledger.kernel),
            (512 - slots - slots / 2, slots + slots / 2)
        );
        assert!(
            numbers_sent(&kernel.transmit(slots))
                .into_iter()
                .eq((0..u64::from(slots)).step_by(2))
        );
        raw.reap();
        close(raw);
    }
}

// A panic in the callback.

#[test]
fn after_a_panic_in_the_callback_no_packet_or_frame_is_lost() {
    // With places in the fill ring, and without: few, and more than are put aside at once.
    for (slots, full) in [(64, false), (16, true), (256, true)] {
        for forward in [false, true] {
            let (mut raw, kernel) = socket_of(1024, [slots; 4]);
            let last = u64::from(slots) - 1;
            kernel.deliver(0..=last, 60);
            if full {
                raw.refill();
            }
            let mut handled = Vec::new();
            let panic = catch_unwind(AssertUnwindSafe(|| {
                run(&mut raw, forward, |packet| {
                    let number = number(packet.data());
                    assert!(number < last - 1, "as planned");
                    handled.push(number);
                })
            }));
            assert!(panic.is_err());
            assert!(handled.into_iter().eq(0..last - 1));
            assert_conserved(&raw);
            // The one that it stopped at comes again, those behind it, and perhaps some before.
            let mut again = Vec::new();
            while run(&mut raw, forward, |packet| {
                again.push(number(packet.data()))
            }) > 0
            {}
            let first = again[0];
            assert!(first < last, "{again:?}");
            assert!(again.into_iter().eq(first..=last));
            assert_eq!(raw.totals().0, last + 1);
            close(raw);
        }
    }
}

/// Inspects, or forwards without sending.
fn run(raw: &mut FluxRaw, forward: bool, mut look: impl FnMut(&mut fluxcap::PacketRef<'_>)) -> u32 {
    if forward {
        raw.forward(u32::MAX, |packet| {
            look(packet);
            Verdict::Recycle
        })
    } else {
        raw.inspect(u32::MAX, look)
    }
}

// Sending.

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
        assert!(raw.forward(64, |_| Verdict::Send) > 0);
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
    for socket in &sockets {
        assert!(socket.debug_rings().fill.occupied > 0);
    }
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

// Waking the kernel.

#[test]
fn the_kernel_is_called_only_when_it_asks() {
    let plain = Plain::new(Setup {
        kick: 8,
        ..Setup::default()
    });
    let mut raw = sized(plain.builder().frames(256), [64; 4]).build().unwrap();
    let kernel = plain.kernel();
    plain.events();
    raw.wake_rx().unwrap();
    let mut batch = batch_of(&mut raw, 0..20);
    raw.send(&mut batch).unwrap();
    raw.wake_tx().unwrap();
    assert_eq!(plain.events(), [""; 0]);
    kernel.set_need_wakeup(true, true);
    raw.wake_rx().unwrap();
    assert_eq!(plain.events(), ["wake rx"]);
    // 20 packets at 8 a call.
    raw.wake_tx().unwrap();
    assert_eq!(plain.events(), ["wake tx"; 3]);
    raw.wake_tx().unwrap();
    assert_eq!(plain.events(), [""; 0]);
    assert_eq!(raw.reap(), 20);
    close(raw);
}

#[test]
fn a_kernel_that_cannot_ask_is_called_each_time() {
    let plain = Plain::new(Setup {
        kick: 64,
        ..Setup::default()
    });
    let builder = plain.builder().frames(256).need_wakeup(false);
    let mut raw = sized(builder, [64; 4]).build().unwrap();
    plain.events();
    raw.wake_rx().unwrap();
    raw.wake_tx().unwrap();
    assert_eq!(plain.events(), ["wake rx"]);
    let mut batch = batch_of(&mut raw, 0..20);
    raw.send(&mut batch).unwrap();
    raw.wake_tx().unwrap();
    assert_eq!(plain.events(), ["wake tx"]);
    assert_eq!(raw.reap(), 20);
    close(raw);
}

#[test]
fn wake_tx_gives_up_when_nothing_leaves() {
    let plain = Plain::default();
    let mut raw = sized(plain.builder().frames(256), [64; 4]).build().unwrap();
    plain.kernel().set_need_wakeup(false, true);
    let mut batch = batch_of(&mut raw, 0..20);
    raw.send(&mut batch).unwrap();
    plain.events();
    raw.wake_tx().unwrap();
    assert_eq!(plain.events(), ["wake tx"]);
    assert!(!raw.flush(Duration::ZERO).unwrap());
    close(raw);
}

#[test]
fn flush_sends_everything_and_takes_the_frames_back() {
    let plain = Plain::new(Setup {
        kick: 7,
        ..Setup::default()
    });
    // The completion ring is smaller than what is sent.
    let mut raw = sized(plain.builder().frames(256), [64, 64, 64, 8])
        .build()
        .unwrap();
    plain.kernel().set_need_wakeup(false, true);
    let mut batch = batch_of(&mut raw, 0..50);
    raw.send(&mut batch).unwrap();
    assert!(raw.flush(Duration::from_secs(10)).unwrap());
    assert_eq!(raw.debug_rings().ledger.pool, 256 - 64);
    assert!(raw.flush(Duration::ZERO).unwrap());
    close(raw);
}

#[test]
fn wait_rx_asks_the_kernel_only_when_no_packet_is_there() {
    let plain = Plain::default();
    let mut raw = sized(plain.builder().frames(256), [64; 4]).build().unwrap();
    plain.events();
    assert!(!raw.wait_rx(Some(Duration::ZERO)).unwrap());
    assert_eq!(plain.events(), ["wait"]);
    plain.kernel().deliver(0..1, 60);
    assert!(raw.wait_rx(None).unwrap());
    assert_eq!(plain.events(), [""; 0]);
    assert_eq!(raw.fd(), -1);
    close(raw);
}

// What the rings look like.

#[test]
fn debug_rings_shows_all_four_rings_and_where_the_frames_are() {
    let (mut raw, kernel) = socket_of(256, [64, 32, 16, 8]);
    kernel.deliver(0..5, 60);
    let mut batch = batch_of(&mut raw, 0..6);
    raw.send(&mut batch).unwrap();
    kernel.transmit(2);
    kernel.set_need_wakeup(true, false);
    let packet = raw.alloc().unwrap();

    let state = raw.debug_rings();
    assert_eq!(
        (
            state.fill.size,
            state.rx.size,
            state.tx.size,
            state.completion.size
        ),
        (64, 32, 16, 8)
    );
    assert_eq!(
        [state.fill, state.rx, state.tx, state.completion].map(|ring| ring.occupied),
        [59, 5, 4, 2]
    );
    assert_eq!(
        (state.fill.needs_wakeup, state.tx.needs_wakeup),
        (true, false)
    );
    let start = u32::MAX - 3;
    assert_eq!(
        (state.tx.producer, state.tx.consumer),
        (start.wrapping_add(6), start.wrapping_add(2))
    );
    let expected = Accounting {
        frames: 256,
        pool: 256 - 64 - 6 - 1,
        user: 1,
        kernel: 64 + 6,
    };
    assert_eq!((state.counted, state.ledger), (expected, expected));
    assert!(state.is_conserved());

    let text = state.to_string();
    let lines: Vec<_> = text.lines().collect();
    let starts = [
        "fill       ",
        "rx         ",
        "tx         ",
        "completion ",
        "frames     ",
    ];
    assert_eq!(lines.len(), starts.len());
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{text}");
    }
    assert!(
        lines[0].contains("59 of 64") && lines[0].ends_with("needs wake-up"),
        "{text}"
    );
    assert!(
        lines[2].contains("4 of 16") && lines[2].contains("producer 2 "),
        "{text}"
    );
    assert_eq!(
        lines[4],
        "frames     pool 185 + user 1 + kernel 70 = 256 frames"
    );
    drop(packet);
    close(raw);
}

// Long runs.

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
                raw.inspect(size as u32, |packet| check(packet.data()));
            }
            _ => {
                let mut turn = 0;
                raw.forward(size as u32, |packet| {
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

// Closing.

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
        (two.receive(&mut batch), two.inspect(1, |_| ()), two.reap()),
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
        assert_eq!(raw.forward(9, |_| Verdict::Send), 1);
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

// Refusals before anything happens.

/// The text of the refusal; nothing was allocated, opened or attached.
#[track_caller]
fn refusal(plain: &Plain, builder: FluxBuilder) -> String {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(plain.events(), [""; 0]);
    error.to_string()
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn impossible_ring_sizes_are_refused_by_the_name_of_the_ring() {
    let plain = Plain::default();
    for (size, rule, fix) in [
        (0, "power of two", "use for example 2"),
        (3, "power of two", "use for example 4"),
        (1 << 21, "at most 1048576 slots", "use 2048"),
    ] {
        let builder = || plain.builder();
        for (name, builder) in [
            ("fill ring", builder().fill_size(size)),
            ("RX ring", builder().rx_size(size)),
            ("TX ring", builder().tx_size(size)),
            ("completion ring", builder().completion_size(size)),
        ] {
            let text = refusal(&plain, builder);
            assert_says(&text, &[&format!("{name} size {size}: "), rule, fix]);
        }
    }
}

#[test]
fn impossible_geometries_are_refused_with_rule_and_fix() {
    let plain = Plain::default();
    let builder = || plain.builder();
    for (builder, parts) in [
        (
            builder().frames(0),
            ["0 frames", "1 to 16777216", "use 4096"],
        ),
        (
            builder().frames(u32::MAX),
            ["4294967295 frames", "1 to 16777216", "use 4096"],
        ),
        (
            builder().chunk_size(0),
            ["chunk size 0", "power of two", "use 2048 or 4096"],
        ),
        (
            builder().chunk_size(3000),
            ["chunk size 3000", "power of two", "use 2048 or 4096"],
        ),
        (
            builder().chunk_size(1024),
            ["chunk size 1024", "between 2048 and 65536", "use 2048"],
        ),
        (
            builder().chunk_size(8192),
            ["chunk size 8192", "larger than a page", "hugepages"],
        ),
        (
            builder().headroom(3840),
            ["headroom 3840", "below 3840", "smaller headroom"],
        ),
        (
            builder().headroom(u32::MAX),
            ["headroom 4294967295", "below 3840", "larger chunk"],
        ),
    ] {
        assert_says(&refusal(&plain, builder), &parts);
    }
}

#[test]
fn an_mtu_that_does_not_fit_a_frame_is_refused_unless_nothing_is_received() {
    let plain = Plain::new(Setup {
        mtu: 9000,
        ..Setup::default()
    });
    let text = refusal(&plain, plain.builder().load_xdp(true));
    assert_says(&text, &["MTU 9000", "9018", "3840", "use larger chunks"]);
    close(plain.builder().build().unwrap());
    plain.events();

    let plain = Plain::default();
    let builder = || {
        plain
            .builder()
            .chunk_size(2048)
            .bind_mode(BindMode::ZeroCopy)
    };
    let text = refusal(&plain, builder().headroom(257));
    assert_says(
        &text,
        &[
            "zero-copy on plain with MTU 1500",
            "headroom 257",
            "1382",
            "larger chunks",
        ],
    );
    close(builder().headroom(256).build().unwrap());
}

#[test]
fn impossible_budgets_are_refused_with_rule_and_fix() {
    let plain = Plain::default();
    let busy = |microseconds, budget| {
        plain.builder().busy_poll(BusyPoll {
            microseconds,
            budget,
        })
    };
    for (builder, parts) in [
        (
            plain.builder().tx_budget(31),
            ["TX budget 31", "between 32 and", "2048"],
        ),
        (
            plain.builder().tx_budget(2049),
            ["TX budget 2049", "between 32 and", "default"],
        ),
        (
            plain.builder().tx_size(16).tx_budget(33),
            ["TX budget 33", "size of the TX ring", "16"],
        ),
        (
            busy(0, 64),
            ["microseconds: 0", "1 to 2,147,483,647", "leave it off"],
        ),
        (
            busy(1 << 31, 64),
            ["2147483648", "1 to 2,147,483,647", "use 20"],
        ),
        (busy(20, 0), ["budget: 0", "1 to 65,535 packets", "use 20"]),
        (busy(20, 65_536), ["65536", "1 to 65,535 packets", "use 20"]),
    ] {
        assert_says(&refusal(&plain, builder), &parts);
    }
    for builder in [
        plain.builder().tx_budget(32),
        plain.builder().tx_budget(2048),
        plain.builder().tx_size(16).tx_budget(32),
        busy(1, 1),
        busy(i32::MAX as u32, 65_535),
        plain.builder().queue(3),
    ] {
        close(builder.build().unwrap());
    }
}

// A hostile kernel.

/// Plays random acts of program and kernel against the model, with more or less of them in the user's hands.
fn play(seeds: std::ops::Range<u64>, steps: u32, frames: u32, ring: u32, in_place_only: bool) {
    for seed in seeds {
        let mut oracle = Oracle::new(seed, frames, ring);
        for step in 0..steps {
            oracle.step(in_place_only);
            if step % 64 == 0 {
                oracle.check_counts();
            }
        }
        assert!(oracle.delivered > u64::from(steps) / 100);
        let (refused_rx, refused_completions) = oracle.close();
        let few = u64::from(steps) / 400;
        assert!(refused_rx > few && refused_completions > few);
    }
}

#[test]
fn whatever_the_kernel_hands_back_no_frame_gets_two_owners() {
    play(0..5, 10_000, 48, 16, false);
}

#[test]
fn whatever_the_kernel_hands_back_frames_that_are_all_on_loan_stay_on_loan() {
    play(0..5, 10_000, 16, 16, true);
}

#[test]
fn whatever_the_kernel_hands_back_rings_of_any_size_hold() {
    for (frames, ring) in [(1, 1), (3, 2), (8, 4), (33, 4), (300, 64)] {
        play(0..2, 4_000, frames, ring, false);
    }
}
