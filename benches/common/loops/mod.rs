//! Our loops, of each mode through each face. A mode in Rust is a file beside this one, in C a file in `c/`; each of its loops is one
//! more line in [`ENTRIES`].
//!
//! `A_each` is Mode A with the packets shown one at a time.
//!
//! - `rxdrop`: look at one byte and the length of each packet, recycle.
//! - `l2fwd`: swap the Ethernet addresses, send, take sent frames back to the fill ring.
//! - `txonly`: write 60 bytes, send, take sent frames back. What came back counts.

#![allow(dead_code, reason = "each benchmark uses a part")]

mod c;
mod engine;
mod halves;
mod raw;

use std::error::Error;
use std::time::{Duration, Instant};

use fluxcap::{FluxRaw, PacketBatch, RingsState};

pub(crate) use c::compile;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

pub(crate) const BATCH: u32 = 64;

/// A packet to send: to nobody in particular, of an experimental type. As in `c/packet.h`.
pub(crate) const PACKET: [u8; 60] = {
    let mut packet = [0; 60];
    packet[0] = 0x02;
    packet[5] = 0x0b;
    packet[6] = 0x02;
    packet[11] = 0x0a;
    packet[12] = 0x88;
    packet[13] = 0xb5;
    packet
};

pub(crate) const ENTRIES: [Entry; 17] = [
    Entry::new("rust/C/rxdrop", raw::open),
    Entry::new("rust/C/txonly", raw::open),
    Entry::new("rust/C/l2fwd", raw::open),
    Entry::new("rust/A/rxdrop", engine::open),
    Entry::new("rust/A/l2fwd", engine::open),
    Entry::new("rust/A_each/rxdrop", engine::open),
    Entry::new("rust/A_each/l2fwd", engine::open),
    Entry::new("rust/B/rxdrop", halves::open),
    Entry::new("rust/B/txonly", halves::open),
    Entry::new("rust/B/l2fwd", halves::open),
    Entry::new("c/A/rxdrop", c::open),
    Entry::new("c/A/l2fwd", c::open),
    Entry::new("c/B/rxdrop", c::open),
    Entry::new("c/B/l2fwd", c::open),
    Entry::new("c/C/rxdrop", c::open),
    Entry::new("c/C/txonly", c::open),
    Entry::new("c/C/l2fwd", c::open),
];

/// One loop.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// `FACE/MODE/LOOP`.
    pub(crate) name: &'static str,
    open: fn(&Entry, FluxRaw) -> Result<Box<dyn Loop>>,
}

impl Entry {
    const fn new(name: &'static str, open: fn(&Entry, FluxRaw) -> Result<Box<dyn Loop>>) -> Self {
        Self { name, open }
    }

    pub(crate) fn named(name: &str) -> Result<Self> {
        let found = ENTRIES.into_iter().find(|entry| entry.name == name);
        found.ok_or_else(|| format!("there is no loop {name}").into())
    }

    /// `rxdrop`, `txonly` or `l2fwd`.
    pub(crate) fn what(&self) -> &'static str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    /// The function that handles a batch: `FACE_MODE_LOOP`.
    pub(crate) fn function(&self) -> String {
        self.name.to_lowercase().replace('/', "_")
    }

    pub(crate) fn open(&self, socket: FluxRaw) -> Result<Box<dyn Loop>> {
        (self.open)(self, socket)
    }
}

/// A loop over a socket.
pub(crate) trait Loop {
    /// Handles one batch and returns how many packets it had.
    fn batch(&mut self) -> u32;

    /// Handles packets for some time as a program does, and returns how many: wakes the kernel when it asks for it, and sleeps when no
    /// packet is there.
    fn run_for(&mut self, time: Duration) -> u64;

    /// Takes packets to hold them.
    fn receive(&mut self, batch: &mut PacketBatch) -> u32;

    /// The rings, if they can be looked at.
    fn rings(&self) -> Option<RingsState> {
        None
    }
}

/// Makes turns for some time; returns the sum of what they return.
fn turns(time: Duration, mut turn: impl FnMut() -> u32) -> u64 {
    let start = Instant::now();
    let mut packets = 0;
    while start.elapsed() < time {
        packets += u64::from(turn());
    }
    packets
}
