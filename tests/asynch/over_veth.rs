//! Over veth pairs: the runtime waits for descriptors.

use std::fs;
use std::time::Duration;

use fluxcap::{ErrorKind, PacketBatch};

use super::net::{in_namespace, ip};
use super::traffic::{frame, small};
use super::{Whims, close, current_thread, halves, multi_thread, soon};

const PACKETS: usize = 3000;

/// The CPU time of this thread, in seconds.
fn used() -> f64 {
    let all = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos: f64 = all.split_whitespace().next().unwrap().parse().unwrap();
    nanos / 1e9
}

#[test]
fn an_echo_sends_every_packet_back_although_futures_are_dropped() {
    for several in [false, true] {
        in_namespace(move || {
            // Descriptors are the process's: whichever thread of the runtime may wait for them.
            let runtime = if several {
                multi_thread()
            } else {
                current_thread()
            };
            runtime.block_on(async {
                let (mut rx, mut tx) = halves(small("far"));
                let (mut near_rx, mut near_tx) = halves(small("near"));
                let echoing = tokio::spawn(async move {
                    let mut whims = Whims::new(3);
                    let mut batch = PacketBatch::with_capacity(16);
                    let mut left = PACKETS;
                    while left > 0 {
                        if let Some(received) = whims.indulge(rx.recv(&mut batch)).await {
                            left -= received.unwrap() as usize;
                        }
                        while !batch.is_empty() {
                            if let Some(sent) = whims.indulge(tx.send(&mut batch)).await {
                                sent.unwrap();
                            }
                        }
                    }
                    soon(tx.flush()).await.unwrap();
                    (rx, tx)
                });
                let (mut sent, mut back) = (0, 0);
                while back < PACKETS {
                    while sent < PACKETS.min(back + 32) {
                        let copied = near_tx.get_mut().copy(&frame(sent, 100)).unwrap();
                        let mut question = Some(copied.expect("a free frame"));
                        soon(near_tx.send_one(&mut question)).await.unwrap();
                        sent += 1;
                    }
                    let answer = soon(near_rx.recv_one()).await.unwrap();
                    assert_eq!(answer.data(), frame(back, 100));
                    back += 1;
                }
                let (rx, tx) = soon(echoing).await.unwrap();
                close(rx, tx);
                close(near_rx, near_tx);
            });
        });
    }
}

#[test]
fn sending_waits_until_the_ring_has_room_again() {
    in_namespace(|| {
        current_thread().block_on(async {
            let (mut rx, far_tx) = halves(small("far"));
            let (near_rx, mut tx) = halves(small("near"));
            // Several times the ring, in one call.
            let sending = tokio::spawn(async move {
                let mut sent = 0;
                while sent < PACKETS {
                    let mut batch = PacketBatch::with_capacity(150);
                    if tx.get_mut().alloc_batch(&mut batch) == 0 {
                        soon(tx.flush()).await.unwrap();
                        continue;
                    }
                    for fresh in &mut batch {
                        fresh.copy_from(&frame(sent, 60)).unwrap();
                        sent += 1;
                    }
                    soon(tx.send(&mut batch)).await.unwrap();
                    assert!(batch.is_empty());
                }
                soon(tx.flush()).await.unwrap();
                (tx, sent)
            });
            let mut batch = PacketBatch::with_capacity(64);
            let (mut received, mut next) = (0_u64, 0);
            while tokio::time::timeout(Duration::from_secs(2), rx.recv(&mut batch))
                .await
                .is_ok()
            {
                for packet in batch.drain() {
                    // A veth pair may drop what comes too fast; the order stays.
                    while packet.data() != frame(next, 60) {
                        next += 1;
                        assert!(next < PACKETS + 150, "damaged");
                    }
                    received += 1;
                }
            }
            let (tx, sent) = soon(sending).await.unwrap();
            assert_eq!(tx.get_ref().total(), sent as u64);
            assert!(received > 0 && received <= sent as u64, "{received}");
            close(rx, far_tx);
            close(near_rx, tx);
        });
    });
}

#[test]
fn a_wait_costs_next_to_nothing() {
    in_namespace(|| {
        current_thread().block_on(async {
            let (mut rx, tx) = halves(small("near"));
            let mut batch = PacketBatch::with_capacity(8);
            let before = used();
            let time = Duration::from_millis(2500);
            let waited = tokio::time::timeout(time, rx.recv(&mut batch)).await;
            let used = used() - before;
            assert!(waited.is_err(), "{waited:?}");
            println!("{:.0} µs of CPU time in {time:?}", used * 1e6);
            assert!(used < 0.01 * time.as_secs_f64(), "{used} s of {time:?}");
            close(rx, tx);
        });
    });
}

#[test]
fn a_removed_interface_ends_the_wait() {
    in_namespace(|| {
        current_thread().block_on(async {
            let (mut rx, tx) = halves(small("near"));
            let receiving = tokio::spawn(async move {
                let error = soon(rx.recv_one()).await.unwrap_err();
                (rx, error)
            });
            tokio::time::sleep(Duration::from_millis(50)).await;
            let start = std::time::Instant::now();
            ip("link delete near");
            let (rx, error) = soon(receiving).await.unwrap();
            assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
            assert!(start.elapsed() < Duration::from_secs(3));
            close(rx, tx);
        });
    });
}

#[test]
fn the_queue_is_free_when_both_halves_are_gone() {
    in_namespace(|| {
        current_thread().block_on(async {
            for _ in 0..3 {
                let (rx, tx) = halves(small("near"));
                close(rx, tx);
                let (rx, tx) = halves(small("near"));
                let (rx, tx) = (rx.into_inner(), tx.into_inner());
                let umem = rx.umem().clone();
                drop((rx, tx));
                super::assert_home(&umem);
            }
        });
    });
}
