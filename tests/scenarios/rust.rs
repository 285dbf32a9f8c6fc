//! The Rust face of the library.

use std::any::Any;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fluxcap::proto::Ethernet;
use fluxcap::{FluxBuilder, FluxRaw, Interest, Packet, PacketBatch, UmemRegion, Verdict, XdpMode};

use super::place::Place;
use super::world::{
    Options, Pair, Program, RECEIVE, Ready, Rings, SEND, Socket, Statistics, World, Wrong,
};

/// A place, seen through the Rust face.
pub(crate) struct RustWorld {
    pub(crate) place: Box<dyn Place>,
}

impl World for RustWorld {
    fn cycles(&self) -> usize {
        self.place.cycles()
    }

    fn add_pair(&mut self, one: &str, other: &str, pair: Pair) {
        self.place.add_pair(one, other, pair);
    }

    fn open(
        &mut self,
        link: &str,
        options: &Options,
        umem: Option<&dyn Socket>,
    ) -> Result<Box<dyn Socket>, i32> {
        let mut builder = FluxBuilder::new(self.place.link(link))
            .queue(options.queue)
            .frames(options.frames)
            .chunk_size(options.chunk)
            .headroom(options.headroom)
            .fill_size(options.fill)
            .rx_size(options.rx)
            .tx_size(options.tx)
            .completion_size(options.completion)
            .need_wakeup(options.need_wakeup)
            .bind_patience(Duration::from_millis(options.patience_ms.into()));
        if let Some(budget) = options.tx_budget {
            builder = builder.tx_budget(budget);
        }
        if options.generic {
            builder = builder.xdp_mode(XdpMode::Generic);
        }
        if !options.program {
            builder = builder.load_xdp(false);
        }
        let mut sharers = Rc::new(());
        if let Some(other) = umem {
            let other: &RustSocket = other.as_any().downcast_ref().expect("of this face");
            builder = builder.umem(&other.umem);
            sharers = Rc::clone(&other.sharers);
        }
        let raw = builder.build().map_err(|error| {
            println!("{error}");
            error.errno()
        })?;
        Ok(Box::new(RustSocket {
            umem: raw.umem().clone(),
            raw: Some(raw),
            sharers,
            held: VecDeque::new(),
            flood: None,
        }))
    }

    fn listen(&mut self, link: &str) {
        self.place.listen(link);
    }

    fn hear(&mut self, link: &str, ms: u32) -> Option<Vec<u8>> {
        self.place.hear(link, ms)
    }

    fn host_send(&mut self, link: &str, frame: &[u8]) {
        self.place.host_send(link, frame);
    }

    fn set_up(&mut self, link: &str, up: bool) {
        self.place.set_up(link, up);
    }

    fn set_mtu(&mut self, link: &str, mtu: u32) {
        self.place.set_mtu(link, mtu);
    }

    fn pass(&mut self) {
        self.place.pass();
    }
}

/// A socket and the packets in the user's hands.
struct RustSocket {
    /// Not while a flood has it, nor after it was closed.
    raw: Option<FluxRaw>,
    umem: UmemRegion,
    /// One for each socket that was opened on this UMEM and not yet proved to have left nothing there.
    sharers: Rc<()>,
    held: VecDeque<Packet>,
    flood: Option<Flood>,
}

struct Flood {
    stop: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    thread: JoinHandle<FluxRaw>,
}

impl RustSocket {
    fn raw(&mut self) -> &mut FluxRaw {
        self.raw.as_mut().expect("open, and not flooding")
    }
}

fn put(raw: &mut FluxRaw, frames: &[Vec<u8>]) -> usize {
    raw.reap();
    let mut batch = PacketBatch::with_capacity(frames.len());
    for frame in frames {
        let Some(mut packet) = raw.alloc() else { break };
        packet.copy_from(frame).unwrap();
        batch.push(packet).unwrap();
    }
    // What does not fit goes back to the pool.
    raw.send(&mut batch).unwrap() as usize
}

impl Socket for RustSocket {
    fn put(&mut self, frames: &[Vec<u8>]) -> usize {
        put(self.raw(), frames)
    }

    fn wake(&mut self) -> Result<(), i32> {
        self.raw().wake_tx().map_err(|error| error.errno())
    }

    fn receive(&mut self, max: u32) -> Vec<Vec<u8>> {
        let raw = self.raw();
        raw.refill();
        let mut all = Vec::new();
        raw.inspect(max, |packet| all.push(packet.data().to_vec()));
        all
    }

    fn hold(&mut self, max: u32) -> Vec<Vec<u8>> {
        let mut batch = PacketBatch::with_capacity(max as usize);
        self.raw().receive(&mut batch);
        let all = batch.iter().map(|packet| packet.data().to_vec()).collect();
        self.held.extend(batch.drain());
        all
    }

    fn release(&mut self, count: usize) {
        drop(self.held.drain(..count));
    }

    fn send_held(&mut self, count: usize, grow: usize) -> usize {
        let mut batch = PacketBatch::with_capacity(count);
        for mut packet in self.held.drain(..count) {
            packet.push_front(grow).unwrap().fill(0);
            batch.push(packet).unwrap();
        }
        self.raw().send(&mut batch).unwrap() as usize
    }

    fn give(&mut self, count: usize) -> Box<dyn Any> {
        let mut batch = PacketBatch::with_capacity(count);
        for packet in self.held.drain(..count) {
            batch.push(packet).unwrap();
        }
        Box::new(batch)
    }

    fn adopt(&mut self, packets: Box<dyn Any>) -> usize {
        let mut batch: Box<PacketBatch> = packets.downcast().expect("of this face");
        self.raw().send(&mut batch).unwrap() as usize
    }

    fn echo(&mut self, max: u32) -> usize {
        self.raw().forward(max, |packet| {
            let (ethernet, _) = Ethernet::parse_mut(packet.data_mut()).unwrap();
            ethernet.swap_addresses();
            Verdict::Send
        }) as usize
    }

    fn send_wrong(&mut self, wrong: Wrong) -> i32 {
        let raw = self.raw();
        let mut packet = raw.alloc().expect("a free frame");
        match wrong {
            Wrong::Empty => {
                let mut batch = PacketBatch::with_capacity(1);
                batch.push(packet).unwrap();
                raw.send(&mut batch)
                    .map_or_else(|error| error.errno(), |_| 0)
            }
            Wrong::TooLong => {
                let room = packet.tailroom() + packet.len();
                packet
                    .set_len(room + 1)
                    .map_or_else(|error| error.errno(), |()| 0)
            }
            // Neither compiles: a packet that was sent has moved, and its options cannot be written.
            Wrong::Stale | Wrong::Options => fluxcap::error::errno::EINVAL,
        }
    }

    fn refill(&mut self) {
        self.raw().refill();
    }

    fn wait(&mut self, interest: u32, ms: u32) -> Result<Ready, i32> {
        let interest = match interest {
            RECEIVE => Interest::Receive,
            SEND => Interest::Send,
            _ => Interest::Both,
        };
        let ready = self
            .raw()
            .wait(interest, Some(Duration::from_millis(ms.into())))
            .map_err(|error| error.errno())?;
        Ok(Ready {
            receive: ready.receive,
            send: ready.send,
        })
    }

    fn has_descriptor(&mut self) -> bool {
        self.raw().fd() >= 0
    }

    fn flush(&mut self, ms: u32) -> bool {
        self.raw().flush(Duration::from_millis(ms.into())).unwrap()
    }

    fn flood(&mut self, frames: &[Vec<u8>]) {
        let mut raw = self.raw.take().expect("open, and not flooding");
        let stop = Arc::new(AtomicBool::new(false));
        let received = Arc::new(AtomicU64::new(0));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&received));
        let frames = frames.to_vec();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                put(&mut raw, &frames);
                // The other side may be gone.
                let _ = raw.wake_tx();
                raw.refill();
                count.fetch_add(raw.inspect(64, |_| {}).into(), Ordering::Relaxed);
                thread::yield_now();
            }
            raw
        });
        self.flood = Some(Flood {
            stop,
            received,
            thread,
        });
    }

    fn flooded(&mut self) -> u64 {
        let flood = self.flood.as_ref().expect("a flood");
        flood.received.load(Ordering::Relaxed)
    }

    fn calm(&mut self) {
        if let Some(Flood { stop, thread, .. }) = self.flood.take() {
            stop.store(true, Ordering::Relaxed);
            self.raw = Some(thread.join().expect("the flood"));
        }
    }

    fn statistics(&mut self) -> Statistics {
        let raw = self.raw();
        let kernel = raw.statistics().unwrap();
        let (received, sent) = raw.totals();
        Statistics {
            received,
            sent,
            rx_dropped: kernel.rx_dropped,
            rx_invalid: kernel.rx_invalid_descs,
            tx_invalid: kernel.tx_invalid_descs,
            rx_ring_full: kernel.rx_ring_full,
            fill_empty: kernel.rx_fill_ring_empty_descs,
            tx_empty: kernel.tx_ring_empty_descs,
        }
    }

    fn program(&mut self) -> Option<Program> {
        let counters = self.raw().program_counters().unwrap()?;
        Some(Program {
            drop: counters.drop,
            redirect: counters.redirect,
            pass: counters.pass,
        })
    }

    fn rings(&mut self) -> Rings {
        let rings = self.raw().debug_rings();
        assert!(rings.ledger.is_conserved(), "{rings}");
        // What is counted where it is adds up when one socket alone uses the UMEM.
        if Rc::strong_count(&self.sharers) == 1 {
            assert!(rings.is_conserved(), "{rings}");
        }
        let all = [rings.fill, rings.rx, rings.tx, rings.completion];
        for ring in all {
            assert_eq!((ring.violations, ring.refused), (0, 0), "{rings}");
        }
        Rings {
            occupied: all.map(|ring| ring.occupied),
            frames: [rings.ledger.pool, rings.ledger.user, rings.ledger.kernel],
        }
    }

    fn close(&mut self) {
        self.calm();
        self.rings();
        self.raw = None;
    }

    fn prove_all_home(&mut self) {
        assert!(self.held.is_empty(), "packets are left in the user's hands");
        if Rc::strong_count(&self.sharers) > 1 {
            return;
        }
        let accounting = self.umem.accounting();
        assert_eq!(accounting.pool, self.umem.frame_count(), "{accounting}");
        assert!(accounting.is_conserved(), "{accounting}");
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
