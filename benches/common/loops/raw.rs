//! Mode C in Rust.

use std::hint::black_box;
use std::time::Duration;

use fluxcap::proto::Ethernet;
use fluxcap::{FluxRaw, PacketBatch, RingsState, Verdict};

use super::{BATCH, Entry, Loop, PACKET, Result};

struct Raw {
    socket: FluxRaw,
    /// Packets that there was no room to send for.
    packets: PacketBatch,
    what: &'static str,
    batch: fn(&mut FluxRaw, &mut PacketBatch) -> u32,
}

pub(super) fn open(entry: &Entry, socket: FluxRaw) -> Result<Box<dyn Loop>> {
    Ok(Box::new(Raw {
        socket,
        packets: PacketBatch::with_capacity(BATCH as usize),
        what: entry.what(),
        batch: match entry.what() {
            "rxdrop" => |socket, _| black_box(rust_c_rxdrop)(socket),
            "txonly" => |socket, packets| black_box(rust_c_txonly)(socket, packets),
            _ => |socket, _| black_box(rust_c_l2fwd)(socket),
        },
    }))
}

impl Loop for Raw {
    fn batch(&mut self) -> u32 {
        (self.batch)(&mut self.socket, &mut self.packets)
    }

    fn run_for(&mut self, time: Duration) -> u64 {
        super::turns(time, || {
            let count = self.batch();
            if self.what != "rxdrop" {
                self.socket.wake_tx().expect("the interface is up");
            }
            if self.what != "txonly" && count == 0 {
                let timeout = Some(Duration::from_millis(100));
                self.socket
                    .wait_rx(timeout)
                    .expect("the interface is there");
            }
            count
        })
    }

    fn receive(&mut self, batch: &mut PacketBatch) -> u32 {
        self.socket.receive(batch)
    }

    fn rings(&self) -> Option<RingsState> {
        Some(self.socket.debug_rings())
    }
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_c_rxdrop(socket: &mut FluxRaw) -> u32 {
    let mut sum = 0;
    let count = socket.recv_each(BATCH, |packet| {
        if let [first, ..] = packet.data() {
            sum += u64::from(*first) + packet.len() as u64;
        }
    });
    black_box(sum);
    count
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_c_txonly(socket: &mut FluxRaw, packets: &mut PacketBatch) -> u32 {
    let back = socket.reap();
    let left = packets.len();
    socket.alloc_batch(packets);
    for packet in packets.iter_mut().skip(left) {
        packet.copy_from(&PACKET).expect("a frame has room for it");
    }
    socket.send(packets).expect("they are of this socket");
    back
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_c_l2fwd(socket: &mut FluxRaw) -> u32 {
    socket.refill();
    socket.forward_each(BATCH, |mut packet| {
        match Ethernet::parse_mut(packet.data_mut()) {
            Ok((ethernet, _)) => {
                ethernet.swap_addresses();
                Verdict::Send
            }
            Err(_) => Verdict::Recycle,
        }
    })
}
