//! Packets received in place, taken and dropped: where their frames go, and that none has two owners.

use fluxcap::ReceivedPacket;

use super::*;

/// The frames that the kernel finds in the fill ring, by number.
fn filled(kernel: &Kernel) -> Vec<u64> {
    let frames = kernel.take_fill(u32::MAX);
    frames.iter().map(|addr| addr / CHUNK).collect()
}

#[test]
fn frames_of_packets_dropped_at_once_go_straight_back_in_order() {
    let (mut rx, tx, kernel) = halves();
    kernel.deliver(0..64, 60);
    let mut frames = Vec::new();
    let received = rx.recv_each(64, |packet| frames.push(packet.address() / CHUNK));
    assert_eq!(received, 64);
    assert_eq!(rx.umem().accounting().user, 0);
    assert_eq!(filled(&kernel), frames);
    drop((rx, tx));
}

#[test]
fn packets_held_from_before_take_the_place_of_those_that_are_kept() {
    let (mut rx, tx, kernel) = halves();
    let mut held: std::collections::VecDeque<Packet> = std::collections::VecDeque::new();
    for turn in 0..20 {
        let delivered = kernel.deliver(turn * 10..(turn + 1) * 10, 60);
        assert_eq!(delivered, 10);
        rx.recv_each(10, |packet| {
            held.push_back(packet.into_packet());
            if held.len() > 25 {
                held.pop_front();
            }
        });
        let numbers: Vec<_> = held.iter().map(|packet| number(packet.data())).collect();
        let end = (turn + 1) * 10;
        assert_eq!(numbers, (end.saturating_sub(25)..end).collect::<Vec<_>>());
        assert_eq!(rx.umem().accounting().user, held.len() as u32);
    }
    thread::spawn(move || drop(held)).join().unwrap();
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
}

#[test]
fn more_packets_dropped_than_received_all_go_home() {
    let (mut rx, tx, kernel) = halves();
    kernel.deliver(0..30, 60);
    let mut batch = PacketBatch::with_capacity(30);
    assert_eq!(rx.try_recv(&mut batch), 30);
    kernel.deliver(0..3, 60);
    let mut turn = 0;
    rx.recv_each(3, |packet| {
        turn += 1;
        drop(packet.into_packet());
        drop(batch.drain().take(turn * 4).collect::<Vec<_>>());
    });
    assert_eq!(turn, 3);
    drop(batch);
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
}

#[test]
fn a_panic_after_the_packet_was_dropped_loses_no_frame() {
    for drops in [false, true] {
        let (mut rx, tx, kernel) = halves();
        kernel.deliver(0..10, 60);
        let mut kept = Vec::new();
        let result = catch_unwind(AssertUnwindSafe(|| {
            rx.recv_each(10, |packet| {
                let number = number(packet.data());
                match number.is_multiple_of(2) || drops {
                    true => drop(packet.into_packet()),
                    false => kept.push(packet.into_packet()),
                }
                assert!(number < 5, "enough");
            })
        }));
        assert!(result.is_err());
        assert_eq!(rx.total(), 6);
        assert_eq!(rx.umem().accounting().user, kept.len() as u32);
        drop(kept);
        assert_eq!(rx.umem().accounting().user, 0);
        assert_eq!(rx.recv_each(10, |_| ()), 4);
        close(rx, tx);
    }
}

#[test]
fn packets_of_another_umem_go_home_to_it() {
    let (mut rx, tx, kernel) = halves();
    let (mut other, other_tx, other_kernel) = halves();
    kernel.deliver(0..10, 60);
    other_kernel.deliver(0..10, 60);
    let mut foreign = PacketBatch::with_capacity(10);
    other.try_recv(&mut foreign);
    let mut kept = Vec::new();
    rx.recv_each(10, |packet| {
        drop(foreign.pop());
        kept.push(packet.into_packet());
    });
    assert_eq!(other.umem().accounting().user, 0);
    assert_eq!(rx.umem().accounting().user, 10);
    drop(kept);
    close(rx, tx);
    close(other, other_tx);
}

#[test]
fn halves_that_receive_within_each_other_keep_their_frames_apart() {
    for (takes, before) in [(false, false), (false, true), (true, false), (true, true)] {
        let (mut rx, tx, kernel) = halves();
        let (mut inner, inner_tx, inner_kernel) = halves();
        kernel.deliver(0..8, 60);
        inner_kernel.deliver(0..16, 60);
        let mut kept = Vec::new();
        rx.recv_each(8, |packet| {
            let mut packet = Some(packet);
            let mut end = |packet: ReceivedPacket<'_>| {
                if takes {
                    kept.push(packet.into_packet());
                }
            };
            if before {
                packet.take().map(&mut end);
            }
            let mut seen = 0;
            inner.recv_each(2, |within| {
                seen += 1;
                // The outer one's packet ends in the inner one's turn.
                packet.take().map(&mut end);
                end(within);
            });
            assert_eq!(seen, 2);
        });
        let of_each = [rx.umem(), inner.umem()].map(|umem| umem.accounting().user);
        assert_eq!(of_each, if takes { [8, 16] } else { [0, 0] });
        let numbers: Vec<_> = kept.iter().map(|packet| number(packet.data())).collect();
        let expected = (0..8).flat_map(|outer| [outer, 2 * outer, 2 * outer + 1]);
        assert!(!takes || expected.eq(numbers));
        drop(kept);
        assert_eq!(rx.umem().accounting().user, 0);
        assert_eq!(inner.umem().accounting().user, 0);
        close(rx, tx);
        close(inner, inner_tx);
    }
}

#[test]
fn a_packet_taken_and_dropped_by_another_thread_meanwhile_comes_home() {
    let (mut rx, tx, kernel) = halves();
    kernel.deliver(0..10, 60);
    rx.recv_each(10, |packet| {
        let packet = packet.into_packet();
        thread::spawn(move || drop(packet)).join().unwrap();
    });
    assert_eq!(rx.umem().accounting().user, 0);
    close(rx, tx);
}

#[test]
fn packets_that_end_with_their_thread_come_home() {
    thread_local! {
        static HELD: std::cell::RefCell<Vec<Packet>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    let (mut rx, tx, kernel) = halves();
    kernel.deliver(0..10, 60);
    let umem = rx.umem().clone();
    // What a thread keeps for itself is dropped when it ends, after most else of it.
    let rx = thread::spawn(move || {
        HELD.with_borrow_mut(|held| {
            rx.recv_each(10, |packet| held.push(packet.into_packet()));
        });
        rx
    });
    let rx = rx.join().unwrap();
    assert_eq!(umem.accounting().user, 0);
    close(rx, tx);
}

#[test]
fn frames_that_the_receiving_side_was_given_stay_with_it_up_to_three_quarters() {
    let (mut rx, mut tx, kernel) = halves_of(64, [64; 4]);
    kernel.deliver(0..32, 60);
    let mut held = PacketBatch::with_capacity(64);
    assert_eq!(rx.try_recv(&mut held), 32);
    // Others took their place; with those given back, the receiving side has more than it takes by itself.
    rx.recycle(&mut held).unwrap();
    let before = rx.umem().accounting();
    assert_eq!(before.kernel, 48, "{before}");
    for _ in 0..4 {
        let delivered = kernel.deliver(0..40, 60);
        assert_eq!((rx.recv_each(64, |_| ()), delivered), (40, 40));
        let after = rx.umem().accounting();
        assert_eq!((after.user, after.kernel), (0, 48), "{after}");
    }
    // What is taken and dropped is replaced only as far as that.
    kernel.deliver(0..40, 60);
    rx.recv_each(64, |packet| drop(packet.into_packet()));
    let after = rx.umem().accounting();
    assert_eq!((after.user, after.kernel), (0, 32), "{after}");
    assert!(tx.alloc().is_some());
    close(rx, tx);
}

#[test]
fn frames_that_come_twice_and_are_taken_are_accepted_once() {
    let (mut rx, tx, kernel) = halves();
    let addr = kernel.take_fill(1)[0];
    assert!(kernel.push_rx(addr + 256, 60, 0) && kernel.push_rx(addr + 256, 60, 0));
    let mut kept = Vec::new();
    rx.recv_each(2, |packet| kept.push(packet.into_packet()));
    assert_eq!((kept.len(), rx.debug_rings().1.refused), (1, 1));
    let umem = rx.umem().clone();
    drop((rx, tx, kept));
    assert_home(&umem);
}

#[test]
fn over_a_full_fill_ring_frames_go_to_the_pool() {
    for takes in [false, true] {
        let (mut rx, mut tx, kernel) = halves_of(256, [16, 64, 64, 64]);
        // All slots of the fill ring are taken again before the packets are looked at.
        assert_eq!((kernel.deliver(0..16, 60), rx.refill()), (16, 0));
        let mut batch = batch_of(&mut tx, 0..16);
        rx.recycle(&mut batch).unwrap();
        assert_eq!(kernel.fill_entries().len(), 16);
        let before = rx.umem().accounting();
        let mut taken = Vec::new();
        let received = rx.recv_each(64, |packet| {
            if takes && number(packet.data()).is_multiple_of(2) {
                taken.push(packet.into_packet());
            }
        });
        assert_eq!(received, 16);
        let after = rx.umem().accounting();
        assert!(after.is_conserved(), "{after}");
        assert_eq!(after.user as usize, taken.len(), "{after}");
        assert_eq!(after.pool, before.pool + 16 - after.user, "{after}");
        assert_eq!(kernel.fill_entries().len(), 16);
        drop(taken);
        close(rx, tx);
    }
}

#[test]
fn what_has_arrived_when_the_receiving_half_is_dropped_can_be_sent_by_the_other() {
    let (mut rx, mut tx, kernel) = halves_of(64, [64; 4]);
    kernel.deliver(0..32, 60);
    let mut kept = Vec::new();
    rx.recv_each(8, |packet| kept.push(packet.into_packet()));
    let waiting = 24;
    let frames = rx.umem().accounting().kernel - waiting;
    drop(rx);
    let accounting = tx.umem().accounting();
    assert_eq!((accounting.kernel, accounting.user), (frames, 8));
    let free = accounting.pool;
    let mut batch = batch_of(&mut tx, 0..u64::from(free));
    assert!(tx.alloc().is_none());
    assert_eq!(tx.send(&mut batch).unwrap(), free);
    assert_eq!(kernel.transmit(64).len() as u32, free);
    assert!(kept.iter().map(|packet| number(packet.data())).eq(0..8));
    let umem = tx.umem().clone();
    drop((tx, kept));
    assert_home(&umem);
}
