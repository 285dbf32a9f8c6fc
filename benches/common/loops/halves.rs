//! Mode B in Rust. Packets are dropped one by one, on the thread that received them.

use std::hint::black_box;
use std::time::Duration;

use fluxcap::proto::Ethernet;
use fluxcap::{FluxRaw, FluxRx, FluxTx, PacketBatch, PacketRef, Poller, Verdict};

use super::{BATCH, Entry, Loop, PACKET, Result, turns};

struct Halves {
    rx: FluxRx,
    tx: FluxTx,
    /// Packets on their way through a turn.
    packets: PacketBatch,
    /// Packets that have been sent and came back.
    back: u64,
    sum: u64,
    what: &'static str,
}

pub(super) fn open(entry: &Entry, socket: FluxRaw) -> Result<Box<dyn Loop>> {
    let (mut rx, tx) = socket.split();
    // As the others: they sleep as soon as no packet is there.
    rx.set_poller(Poller::Wait);
    Ok(Box::new(Halves {
        rx,
        tx,
        packets: PacketBatch::with_capacity(BATCH as usize),
        back: 0,
        sum: 0,
        what: entry.what(),
    }))
}

impl Loop for Halves {
    fn batch(&mut self) -> u32 {
        match self.what {
            "rxdrop" => black_box(rust_b_rxdrop)(&mut self.rx, &mut self.sum),
            "txonly" => black_box(rust_b_txonly)(self),
            _ => black_box(rust_b_l2fwd)(&mut self.rx, &mut self.tx),
        }
    }

    fn run_for(&mut self, time: Duration) -> u64 {
        turns(time, || {
            let count = self.batch();
            if count > 0 || self.what == "txonly" {
                return count;
            }
            let timeout = Some(Duration::from_millis(100));
            if self.what == "l2fwd" && self.tx.room() == 0 {
                self.tx.wait(timeout).expect("the interface is there");
            } else {
                self.rx.wait(timeout).expect("the interface is there");
            }
            0
        })
    }

    fn receive(&mut self, batch: &mut PacketBatch) -> u32 {
        self.rx.try_recv(batch)
    }
}

#[inline]
fn look(packet: &PacketRef<'_>, sum: &mut u64) {
    if let [first, ..] = packet.data() {
        *sum += u64::from(*first) + packet.len() as u64;
    }
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_b_rxdrop(rx: &mut FluxRx, sum: &mut u64) -> u32 {
    let mut part = 0;
    let count = rx.recv_each(BATCH, |packet| look(&packet, &mut part));
    *sum += part;
    count
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_b_l2fwd(rx: &mut FluxRx, tx: &mut FluxTx) -> u32 {
    let count = rx.forward_each(tx, BATCH, |mut packet| {
        if let Ok((ethernet, _)) = Ethernet::parse_mut(packet.data_mut()) {
            ethernet.swap_addresses();
        }
        Verdict::Send
    });
    count.expect("the interface is up")
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_b_txonly(halves: &mut Halves) -> u32 {
    let Halves { tx, packets, .. } = halves;
    let left = packets.len();
    tx.alloc_batch(packets);
    for packet in packets.iter_mut().skip(left) {
        packet.copy_from(&PACKET).expect("a frame has room for it");
    }
    tx.send(packets).expect("they are of this socket");
    let before = std::mem::replace(&mut halves.back, tx.total() - tx.outstanding());
    (halves.back - before) as u32
}
