//! Mode C over a kernel in plain memory, which the test plays. Every test ends by counting the frames.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use common::{Kernel, Plain, Setup, content};
use fluxcap::{
    Accounting, BindMode, BusyPoll, ErrorKind, FluxBuilder, FluxRaw, PacketBatch, ReceivedPacket,
    UmemConfig, UmemRegion, Verdict, XdpMode,
};
use oracle::Oracle;

#[path = "mode_c/close.rs"]
mod close;
mod common;
#[path = "mode_c/forward.rs"]
mod forward;
#[path = "mode_c/hostile.rs"]
mod hostile;
#[path = "mode_c/in_place.rs"]
mod in_place;
#[path = "common/oracle.rs"]
mod oracle;
#[path = "mode_c/receive.rs"]
mod receive;
#[path = "mode_c/refusals.rs"]
mod refusals;
#[path = "mode_c/send.rs"]
mod send;
#[path = "mode_c/wake.rs"]
mod wake;

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
        quarantined: 0,
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
