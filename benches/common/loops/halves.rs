//! Mode B in Rust. Packets are dropped one by one, on the thread that received them.

use std::hint::black_box;
use std::time::Duration;

use fluxcap::proto::Ethernet;
use fluxcap::{FluxRaw, FluxRx, FluxTx, Packet, PacketBatch, Poller};

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
            _ => black_box(rust_b_l2fwd)(self),
        }
    }

    fn run_for(&mut self, time: Duration) -> u64 {
        turns(time, || {
            let count = self.batch();
            if count > 0 || self.what == "txonly" {
                return count;
            }
            let timeout = Duration::from_millis(100);
            let left = self.packets.len();
            let count = self.rx.recv_timeout(&mut self.packets, timeout);
            match self.what {
                "rxdrop" => self
                    .packets
                    .drain()
                    .for_each(|packet| look(packet, &mut self.sum)),
                _ => self.swap_and_send(left),
            }
            count.expect("the interface is there")
        })
    }

    fn receive(&mut self, batch: &mut PacketBatch) -> u32 {
        self.rx.try_recv(batch)
    }
}

impl Halves {
    /// Sends what was left over, and swaps and sends what has come since.
    #[inline]
    fn swap_and_send(&mut self, left: usize) {
        for packet in self.packets.iter_mut().skip(left) {
            if let Ok((ethernet, _)) = Ethernet::parse_mut(packet.data_mut()) {
                ethernet.swap_addresses();
            }
        }
        self.tx
            .send(&mut self.packets)
            .expect("they are of this socket");
    }
}

#[inline]
fn look(packet: Packet, sum: &mut u64) {
    if let [first, ..] = packet.data() {
        *sum += u64::from(*first) + packet.len() as u64;
    }
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_b_rxdrop(rx: &mut FluxRx, sum: &mut u64) -> u32 {
    let mut part = 0;
    let count = rx.recv_each(BATCH, |packet| look(packet, &mut part));
    *sum += part;
    count
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_b_l2fwd(halves: &mut Halves) -> u32 {
    let Halves {
        rx, tx, packets, ..
    } = halves;
    if !packets.is_empty() {
        tx.send(packets).expect("they are of this socket");
    }
    let mut count = 0;
    let sent = tx.send_each(BATCH, |outbox| {
        let max = outbox.room().min(packets.room()) as u32;
        count = rx.recv_each(max, |mut packet| {
            if let Ok((ethernet, _)) = Ethernet::parse_mut(packet.data_mut()) {
                ethernet.swap_addresses();
            }
            if let Err(packet) = outbox.put(packet) {
                packets.push(packet).expect("there is room");
            }
        });
    });
    sent.expect("the interface is up");
    count
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
