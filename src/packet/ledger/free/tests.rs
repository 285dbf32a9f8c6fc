//! Whoever waits for frames is called, once, however they come home.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::packet::FramePool;
use crate::packet::Packet;
use crate::packet::PacketBatch;
use crate::umem::{UmemConfig, UmemRegion};

fn umem(frames: u32) -> UmemRegion {
    UmemRegion::heap(UmemConfig {
        frames,
        chunk_size: 2048,
        ..UmemConfig::default()
    })
    .unwrap()
}

fn alloc_all(umem: &UmemRegion) -> Vec<Packet> {
    std::iter::from_fn(|| umem.alloc()).collect()
}

#[derive(Default)]
struct Calls(AtomicU32);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counted() -> (Arc<Calls>, Waker) {
    let calls = Arc::new(Calls::default());
    (calls.clone(), Waker::from(calls))
}

#[test]
fn frames_that_are_there_are_no_news() {
    let umem = umem(4);
    let (calls, waker) = counted();
    // In the home queue, and on the return stack.
    assert!(!umem.frames().notify_on_return(&waker));
    let packets = alloc_all(&umem);
    drop(packets);
    assert!(!umem.frames().notify_on_return(&waker));
    assert_eq!(calls.0.load(Ordering::Relaxed), 0);
}

#[test]
fn whoever_waits_is_called_once_by_the_first_frame_however_it_comes_home() {
    type Return = fn(&UmemRegion, &mut Vec<Packet>);
    let ways: [(&str, Return); 3] = [
        ("a packet that is dropped", |_, packets| {
            packets.truncate(packets.len() - 1);
        }),
        ("a batch that is dropped", |_, packets| {
            let mut batch = PacketBatch::with_capacity(2);
            for packet in packets.drain(..2) {
                batch.push(packet).unwrap();
            }
        }),
        ("frames that a pool had at hand", |umem, packets| {
            let mut pool = FramePool::new(umem.frames().clone());
            drop(packets.pop());
            // It takes the frame away from whoever was called, and gives it up later.
            let chunk = pool.take().unwrap();
            let (_, waker) = counted();
            assert!(umem.frames().notify_on_return(&waker));
            pool.put(chunk);
            pool.give_up();
        }),
    ];
    for (what, way) in ways {
        let umem = umem(32);
        let frames = umem.frames();
        let mut packets = alloc_all(&umem);
        let (calls, waker) = counted();
        for round in 1..=3 {
            // Twice is once.
            assert!(frames.notify_on_return(&waker), "{what}");
            assert!(frames.notify_on_return(&waker), "{what}");
            let (others, other) = counted();
            assert!(frames.notify_on_return(&other), "{what}");
            way(&umem, &mut packets);
            assert_eq!(calls.0.load(Ordering::Relaxed), round, "{what}");
            assert_eq!(others.0.load(Ordering::Relaxed), 1, "{what}");
            drop(packets.pop());
            assert_eq!(calls.0.load(Ordering::Relaxed), round, "{what}");
            assert!(umem.alloc().is_some());
            let taken = alloc_all(&umem);
            packets.extend(taken);
        }
        drop(packets);
        assert_eq!(frames.free_count(), 32);
        assert_eq!(frames.with_user(), 0);
    }
}

#[test]
fn packets_outlive_a_umem_whose_frames_somebody_waited_for() {
    let umem = umem(4);
    let mut packets = alloc_all(&umem);
    let (calls, waker) = counted();
    assert!(umem.frames().notify_on_return(&waker));
    drop(umem);
    drop(packets.pop());
    drop(packets);
    // Nobody is left who could use them.
    assert_eq!(calls.0.load(Ordering::Relaxed), 0);
    assert_eq!(Arc::strong_count(&calls), 2);
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn no_call_is_lost_between_threads() {
    const ROUNDS: u32 = if cfg!(miri) { 20 } else { 20_000 };
    let umem = umem(3);
    let (give, take) = std::sync::mpsc::channel::<Packet>();
    let (give_too, take_too) = std::sync::mpsc::channel::<Packet>();
    let (frames, waker) = (
        umem.frames(),
        Waker::from(Arc::new(Unpark(thread::current()))),
    );
    thread::scope(|scope| {
        scope.spawn(|| take.into_iter().for_each(drop));
        // This one also takes frames, and puts back what it did not need.
        scope.spawn(|| {
            let mut pool = FramePool::new(umem.frames().clone());
            for packet in take_too {
                drop(packet);
                if let Some(chunk) = pool.take() {
                    pool.put(chunk);
                    pool.give_up();
                }
            }
        });
        let mut received = 0;
        while received < ROUNDS {
            match umem.alloc() {
                Some(packet) => {
                    received += 1;
                    let way = if received % 2 == 0 { &give } else { &give_too };
                    way.send(packet).unwrap();
                }
                None if frames.notify_on_return(&waker) => {
                    thread::park_timeout(Duration::from_secs(60));
                }
                None => {}
            }
        }
        drop((give, give_too));
    });
    assert_eq!(frames.free_count(), 3);
}
