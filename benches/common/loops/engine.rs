//! Mode A in Rust.

use std::hint::black_box;
use std::time::Duration;

use fluxcap::proto::Ethernet;
use fluxcap::{FluxEngine, FluxRaw, PacketBatch, Poller, PortPacket, RingsState};

use super::{Entry, Loop, Result};

struct Engine {
    engine: FluxEngine,
    batch: fn(&mut FluxEngine) -> u32,
    run_for: fn(&mut FluxEngine, Duration) -> u64,
}

pub(super) fn open(entry: &Entry, socket: FluxRaw) -> Result<Box<dyn Loop>> {
    let mut engine = FluxEngine::new(socket);
    // As the others: they sleep as soon as no packet is there.
    engine.set_poller(Poller::Wait);
    let is_each = entry.name.contains("each");
    Ok(match entry.what() {
        "rxdrop" if is_each => Box::new(Engine {
            engine,
            batch: |engine| black_box(rust_a_each_rxdrop)(engine),
            run_for: |engine, time| {
                let mut sum = 0;
                let statistics = engine.run_each_for(time, |packet| look(packet, &mut sum));
                black_box(sum);
                statistics.expect("the interface is up").total().received
            },
        }),
        _ if is_each => Box::new(Engine {
            engine,
            batch: |engine| black_box(rust_a_each_l2fwd)(engine),
            run_for: |engine, time| {
                let statistics = engine.run_each_for(time, swap);
                statistics.expect("the interface is up").total().received
            },
        }),
        "rxdrop" => Box::new(Engine {
            engine,
            batch: |engine| black_box(rust_a_rxdrop)(engine),
            run_for: |engine, time| {
                let mut sum = 0;
                let statistics = engine.run_for(time, |batch| {
                    batch.for_each(|packet| look(packet, &mut sum))
                });
                black_box(sum);
                statistics.expect("the interface is up").total().received
            },
        }),
        _ => Box::new(Engine {
            engine,
            batch: |engine| black_box(rust_a_l2fwd)(engine),
            run_for: |engine, time| {
                let statistics = engine.run_for(time, |batch| batch.for_each(swap));
                statistics.expect("the interface is up").total().received
            },
        }),
    })
}

impl Loop for Engine {
    fn batch(&mut self) -> u32 {
        (self.batch)(&mut self.engine)
    }

    fn run_for(&mut self, time: Duration) -> u64 {
        (self.run_for)(&mut self.engine, time)
    }

    fn receive(&mut self, _batch: &mut PacketBatch) -> u32 {
        0
    }

    fn rings(&self) -> Option<RingsState> {
        Some(self.engine.port(0).debug_rings())
    }
}

#[inline]
fn look(packet: &PortPacket<'_>, sum: &mut u64) {
    if let [first, ..] = packet.data() {
        *sum += u64::from(*first) + packet.len() as u64;
    }
}

#[inline]
fn swap(packet: &mut PortPacket<'_>) {
    if let Ok((ethernet, _)) = Ethernet::parse_mut(packet.data_mut()) {
        ethernet.swap_addresses();
        packet.send();
    }
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_a_rxdrop(engine: &mut FluxEngine) -> u32 {
    let mut sum = 0;
    let count = engine.run_once(|batch| batch.for_each(|packet| look(packet, &mut sum)));
    black_box(sum);
    count.expect("the interface is up")
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_a_l2fwd(engine: &mut FluxEngine) -> u32 {
    let count = engine.run_once(|batch| batch.for_each(swap));
    count.expect("the interface is up")
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_a_each_rxdrop(engine: &mut FluxEngine) -> u32 {
    let mut sum = 0;
    let count = engine.run_each_once(|packet| look(packet, &mut sum));
    black_box(sum);
    count.expect("the interface is up")
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_a_each_l2fwd(engine: &mut FluxEngine) -> u32 {
    engine.run_each_once(swap).expect("the interface is up")
}
