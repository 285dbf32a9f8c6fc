//! Mode B over veth pairs: two halves, each dropped first, waiting in each way.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fluxcap::{FluxRx, FluxTx, PacketBatch, Poller, UmemRegion};

use super::net::in_namespace;
use super::traffic::{PATIENCE, frame, frames, small};

const POLLERS: [Poller; 3] = [
    Poller::Busy,
    Poller::Wait,
    Poller::Adaptive {
        spin: Duration::from_micros(50),
    },
];

fn halves(interface: &str) -> (FluxRx, FluxTx) {
    small(interface).build().unwrap().split()
}

/// All frames are in the pool, and can be had.
#[track_caller]
fn assert_home(umem: &UmemRegion) {
    umem.reclaim(Duration::from_secs(10));
    let accounting = umem.accounting();
    assert_eq!(accounting.pool, umem.frame_count(), "{accounting}");
    let packets: Vec<_> = std::iter::from_fn(|| umem.alloc()).collect();
    assert_eq!(packets.len(), umem.frame_count() as usize);
}

#[track_caller]
fn close(rx: FluxRx, tx: FluxTx) {
    let umem = rx.umem().clone();
    drop((rx, tx));
    assert_home(&umem);
}

/// Sends all frames, as many at once as `rx` at the other end has taken before, and sees that they arrive in order.
fn carry(tx: &mut FluxTx, rx: &mut FluxRx, frames: &[Vec<u8>]) {
    let deadline = Instant::now() + PATIENCE;
    let mut batch = PacketBatch::with_capacity(32);
    for some in frames.chunks(32) {
        for frame in some {
            batch.push(tx.copy(frame).unwrap().unwrap()).unwrap();
        }
        while !batch.is_empty() {
            tx.send(&mut batch).unwrap();
            assert!(tx.wait(Some(PATIENCE)).unwrap());
        }
        let mut expected = some.iter();
        while expected.len() > 0 {
            assert!(Instant::now() < deadline);
            rx.recv_timeout(&mut batch, PATIENCE).unwrap();
            for packet in batch.drain() {
                assert_eq!(Some(packet.data()), expected.next().map(Vec::as_slice));
            }
        }
    }
}

#[test]
fn sending_goes_on_when_the_receiving_half_is_gone() {
    in_namespace(|| {
        let (near_rx, mut near_tx) = halves("near");
        let (mut far_rx, far_tx) = halves("far");
        carry(&mut near_tx, &mut far_rx, &frames(100, 60));
        drop(near_rx);
        carry(&mut near_tx, &mut far_rx, &frames(2000, 1000));
        assert!(near_tx.flush(PATIENCE).unwrap());
        let umem = near_tx.umem().clone();
        // In the fill ring, until the socket is closed.
        assert_eq!(umem.accounting().kernel, 64);
        drop(near_tx);
        assert_home(&umem);
        close(far_rx, far_tx);
    });
}

#[test]
fn receiving_goes_on_when_the_sending_half_is_gone() {
    in_namespace(|| {
        let (near_rx, mut near_tx) = halves("near");
        let (mut far_rx, far_tx) = halves("far");
        carry(&mut near_tx, &mut far_rx, &frames(100, 60));
        let umem = far_tx.umem().clone();
        drop(far_tx);
        carry(&mut near_tx, &mut far_rx, &frames(2000, 1000));
        drop(far_rx);
        assert_home(&umem);
        close(near_rx, near_tx);
    });
}

#[test]
fn the_queue_is_free_when_both_halves_are_gone_in_either_order() {
    in_namespace(|| {
        for receiver_first in [true, false, true] {
            let (rx, mut tx) = halves("near");
            let umem = rx.umem().clone();
            let packet = tx.copy(&frame(1, 60)).unwrap().unwrap();
            tx.send_one(packet).unwrap();
            if receiver_first {
                drop(rx);
                drop(tx);
            } else {
                drop(tx);
                drop(rx);
            }
            assert_home(&umem);
        }
    });
}

#[test]
fn each_poller_waits_for_a_packet_and_for_a_time() {
    in_namespace(|| {
        let (near_rx, mut near_tx) = halves("near");
        let (mut far_rx, far_tx) = halves("far");
        let mut batch = PacketBatch::with_capacity(8);
        for poller in POLLERS {
            far_rx.set_poller(poller);
            let start = Instant::now();
            let short = Duration::from_millis(30);
            assert_eq!(far_rx.recv_timeout(&mut batch, short).unwrap(), 0);
            assert!(start.elapsed() >= short, "{poller:?}");
            assert!(start.elapsed() < PATIENCE, "{poller:?}");
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(short);
                    let packet = near_tx.copy(&frame(7, 60)).unwrap().unwrap();
                    near_tx.send_one(packet).unwrap();
                });
                assert_eq!(far_rx.recv(&mut batch).unwrap(), 1, "{poller:?}");
                assert_eq!(batch.pop().unwrap().data(), frame(7, 60));
            });
        }
        close(near_rx, near_tx);
        close(far_rx, far_tx);
    });
}

#[test]
fn packets_go_from_the_thread_that_receives_to_the_one_that_sends() {
    in_namespace(|| {
        let (mut near_rx, mut near_tx) = halves("near");
        let (mut far_rx, mut far_tx) = halves("far");
        let all = frames(3000, 200);
        let (sender, receiver) = mpsc::sync_channel::<PacketBatch>(2);
        let echo = thread::scope(|scope| {
            let receiving = scope.spawn(move || {
                let mut left = 3000;
                while left > 0 {
                    let mut batch = PacketBatch::with_capacity(32);
                    let count = far_rx.recv_timeout(&mut batch, PATIENCE).unwrap();
                    assert!(count > 0, "{left} did not come");
                    left -= count;
                    sender.send(batch).unwrap();
                }
                far_rx
            });
            let sending = scope.spawn(move || {
                for mut batch in receiver {
                    while !batch.is_empty() {
                        far_tx.send(&mut batch).unwrap();
                        assert!(far_tx.wait(Some(PATIENCE)).unwrap());
                    }
                }
                assert!(far_tx.flush(PATIENCE).unwrap());
                far_tx
            });
            carry(&mut near_tx, &mut near_rx, &all);
            (receiving.join().unwrap(), sending.join().unwrap())
        });
        close(echo.0, echo.1);
        close(near_rx, near_tx);
    });
}
