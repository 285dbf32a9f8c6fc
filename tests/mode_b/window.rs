//! Packets dropped while others are handed over: where their frames go, and that none has two owners.

use super::*;

/// The frames that the kernel finds in the fill ring, by number.
fn filled(kernel: &Kernel) -> Vec<u64> {
    let frames = kernel.take_fill(u32::MAX);
    frames.iter().map(|addr| addr / CHUNK).collect()
}

fn frame(packet: &Packet) -> u64 {
    packet.address() / CHUNK
}

#[test]
fn frames_of_packets_dropped_at_once_go_straight_back_in_order() {
    let (mut rx, tx, kernel) = halves();
    kernel.deliver(0..64, 60);
    let mut frames = Vec::new();
    let received = rx.recv_each(64, |packet| frames.push(frame(&packet)));
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
            held.push_back(packet);
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
        drop(packet);
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
                    true => drop(packet),
                    false => kept.push(packet),
                }
                assert!(number < 5, "enough");
            })
        }));
        assert!(result.is_err());
        assert_eq!(rx.total(), 6);
        assert_eq!(rx.umem().accounting().user, kept.len() as u32);
        // Nobody's window is open any more.
        drop(kept);
        assert_eq!(rx.umem().accounting().user, 0);
        assert_eq!(rx.recv_each(10, drop), 4);
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
        kept.push(packet);
    });
    assert_eq!(other.umem().accounting().user, 0);
    assert_eq!(rx.umem().accounting().user, 10);
    drop(kept);
    close(rx, tx);
    close(other, other_tx);
}

#[test]
fn halves_that_receive_within_each_other_keep_their_frames_apart() {
    for same in [false, true] {
        let (mut rx, tx, kernel) = halves();
        let (mut inner, inner_tx, inner_kernel) = halves();
        kernel.deliver(0..8, 60);
        inner_kernel.deliver(0..16, 60);
        rx.recv_each(8, |packet| {
            let mut packet = Some(packet);
            if same {
                packet = None;
            }
            let mut seen = 0;
            inner.recv_each(2, |within| {
                seen += 1;
                // The outer one's packet goes home from the inner one's turn.
                packet = None;
                drop(within);
            });
            assert_eq!(seen, 2);
        });
        assert_eq!(rx.umem().accounting().user, 0);
        assert_eq!(inner.umem().accounting().user, 0);
        close(rx, tx);
        close(inner, inner_tx);
    }
}

#[test]
fn a_packet_dropped_by_another_thread_meanwhile_takes_the_long_way() {
    let (mut rx, tx, kernel) = halves();
    kernel.deliver(0..10, 60);
    rx.recv_each(10, |packet| {
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
            rx.recv_each(10, |packet| held.push(packet));
        });
        rx
    });
    let rx = rx.join().unwrap();
    assert_eq!(umem.accounting().user, 0);
    close(rx, tx);
}

#[test]
fn frames_beyond_the_share_go_to_the_pool() {
    let (mut rx, tx, kernel) = halves_of(64, [64; 4]);
    kernel.deliver(0..32, 60);
    let mut held = PacketBatch::with_capacity(64);
    assert_eq!(rx.try_recv(&mut held), 32);
    // Others took their place; with those given back, the receiving side has more than it wants.
    rx.recycle(&mut held).unwrap();
    let before = rx.umem().accounting();
    assert_eq!(before.kernel, 48, "{before}");
    let surplus = before.kernel - 32;
    let delivered = kernel.deliver(0..u64::from(surplus), 60);
    assert_eq!(rx.recv_each(64, drop), delivered);
    let after = rx.umem().accounting();
    assert_eq!((after.user, after.kernel), (0, 32), "{after}");
    close(rx, tx);
}

#[test]
fn frames_that_come_twice_while_dropped_are_accepted_once() {
    let (mut rx, tx, kernel) = halves();
    let addr = kernel.take_fill(1)[0];
    assert!(kernel.push_rx(addr + 256, 60, 0) && kernel.push_rx(addr + 256, 60, 0));
    let mut kept = Vec::new();
    rx.recv_each(2, |packet| kept.push(packet));
    assert_eq!((kept.len(), rx.debug_rings().1.refused), (1, 1));
    let umem = rx.umem().clone();
    drop((rx, tx, kept));
    assert_home(&umem);
}
