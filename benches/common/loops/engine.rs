//! Mode A in Rust.

use std::hint::black_box;
use std::time::Duration;

use fluxcap::proto::Ethernet;
use fluxcap::{FluxEngine, FluxRaw, PacketBatch, Poller, RingsState};

use super::{Entry, Loop, Result};

struct Engine {
    engine: FluxEngine,
    batch: fn(&mut FluxEngine) -> u32,
}

pub(super) fn open(entry: &Entry, socket: FluxRaw) -> Result<Box<dyn Loop>> {
    let mut engine = FluxEngine::new(socket);
    engine.set_poller(Poller::Wait);
    Ok(Box::new(Engine {
        engine,
        batch: match entry.what() {
            "rxdrop" => |engine| black_box(rust_a_rxdrop)(engine),
            _ => |engine| black_box(rust_a_l2fwd)(engine),
        },
    }))
}

impl Loop for Engine {
    fn batch(&mut self) -> u32 {
        (self.batch)(&mut self.engine)
    }

    fn wait_rx(&mut self) {
        let timeout = Duration::from_millis(100);
        self.engine
            .wait(Some(timeout))
            .expect("the interface is there");
    }

    fn receive(&mut self, _batch: &mut PacketBatch) -> u32 {
        0
    }

    fn rings(&self) -> Option<RingsState> {
        Some(self.engine.port(0).debug_rings())
    }
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_a_rxdrop(engine: &mut FluxEngine) -> u32 {
    let mut sum = 0;
    let count = engine.run_once(|batch| {
        batch.for_each(|packet| {
            if let [first, ..] = packet.data() {
                sum += u64::from(*first) + packet.len() as u64;
            }
        });
    });
    black_box(sum);
    count.expect("the interface is up")
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_a_l2fwd(engine: &mut FluxEngine) -> u32 {
    let count = engine.run_once(|batch| {
        batch.for_each(|packet| {
            if let Ok((ethernet, _)) = Ethernet::parse_mut(packet.data_mut()) {
                ethernet.swap_addresses();
                packet.send();
            }
        });
    });
    count.expect("the interface is up")
}
