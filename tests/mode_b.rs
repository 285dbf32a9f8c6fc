//! Mode B over a kernel in plain memory, which the test plays. Every test ends by counting the frames.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use common::{Kernel, Plain, Setup, content};
use fluxcap::{
    ErrorKind, FluxRaw, FluxRx, FluxTx, Packet, PacketBatch, Poller, UmemRegion, Verdict,
};

mod common;
#[path = "mode_b/forward.rs"]
mod forward;
#[path = "mode_b/hostile.rs"]
mod hostile;
#[path = "mode_b/in_place.rs"]
mod in_place;
#[path = "mode_b/receive.rs"]
mod receive;
#[path = "mode_b/send.rs"]
mod send;
#[path = "mode_b/split.rs"]
mod split;

/// Bytes a frame in all these tests.
const CHUNK: u64 = 2048;

/// A whole socket with rings of its own sizes: fill, RX, TX, completion.
fn whole(plain: &Plain, frames: u32, [fill, rx, tx, completion]: [u32; 4]) -> (FluxRaw, Kernel) {
    let builder = plain.builder().frames(frames).chunk_size(CHUNK as u32);
    let raw = builder
        .fill_size(fill)
        .rx_size(rx)
        .tx_size(tx)
        .completion_size(completion)
        .build()
        .unwrap();
    (raw, plain.kernel())
}

/// The halves of a socket with 256 frames and four rings of 64 slots.
fn halves() -> (FluxRx, FluxTx, Kernel) {
    halves_of(256, [64; 4])
}

fn halves_of(frames: u32, sizes: [u32; 4]) -> (FluxRx, FluxTx, Kernel) {
    let (raw, kernel) = whole(&Plain::default(), frames, sizes);
    let (rx, tx) = raw.split();
    (rx, tx, kernel)
}

/// Drops both halves and sees every frame but those that the user has come home, once.
#[track_caller]
fn close(rx: FluxRx, tx: FluxTx) {
    let (fill, received) = rx.debug_rings();
    let (sending, completion) = tx.debug_rings();
    for ring in [fill, received, sending, completion] {
        assert_eq!((ring.violations, ring.refused), (0, 0), "{ring}");
    }
    let umem = rx.umem().clone();
    drop((rx, tx));
    assert_home(&umem);
}

/// All frames but those that the user has are in the pool, once.
#[track_caller]
fn assert_home(umem: &UmemRegion) {
    let before = umem.accounting();
    assert_eq!(before.kernel, 0, "{before}");
    assert!(before.is_conserved(), "{before}");
    let packets: Vec<_> = std::iter::from_fn(|| umem.alloc()).collect();
    assert_eq!(packets.len() as u32, before.pool);
    let mut frames: Vec<_> = packets.iter().map(|p| p.address() / CHUNK).collect();
    frames.sort_unstable();
    frames.dedup();
    assert_eq!(frames.len(), packets.len());
}

fn batch_of(tx: &mut FluxTx, numbers: std::ops::Range<u64>) -> PacketBatch {
    let mut batch = PacketBatch::with_capacity(numbers.clone().count());
    for number in numbers {
        let packet = tx.copy(&content(number, 60)).unwrap();
        batch.push(packet.expect("a free frame")).unwrap();
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
