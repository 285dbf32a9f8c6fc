//! The Rust face of the library, and Mode C.

use std::any::Any;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fluxcap::proto::Ethernet;
use fluxcap::{
    FluxBuilder, FluxRaw, Interest, Packet, PacketBatch, ProgramCounters, RingState, RingsState,
    SocketStatistics, UmemRegion, Verdict, XdpMode,
};

use super::engine::EngineSocket;
use super::halves::HalvesSocket;
use super::place::Place;
use super::world::{
    Mode, Options, Pair, Program, RECEIVE, Ready, Rings, SEND, Socket, Statistics, World, Wrong,
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
        mode: Mode,
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
            let other: &Home = other.as_any().downcast_ref().expect("of this face");
            builder = builder.umem(&other.umem);
            sharers = Rc::clone(&other.sharers);
        }
        let raw = builder.build().map_err(|error| {
            println!("{error}");
            error.errno()
        })?;
        let home = Home {
            umem: raw.umem().clone(),
            sharers,
        };
        Ok(match mode {
            Mode::Engine => Box::new(EngineSocket::new(raw, home)),
            Mode::Halves => Box::new(HalvesSocket::new(raw, home)),
            Mode::Raw => Box::new(RawSocket {
                raw: Some(raw),
                home,
                held: VecDeque::new(),
                toil: None,
            }),
        })
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

/// The frames of a socket.
pub(crate) struct Home {
    pub(crate) umem: UmemRegion,
    /// One for each socket that was opened on this UMEM and not yet proved to have left nothing there.
    sharers: Rc<()>,
}

impl Home {
    /// Whether one socket alone uses the UMEM: only then what is counted where it is adds up.
    pub(crate) fn is_alone(&self) -> bool {
        Rc::strong_count(&self.sharers) == 1
    }

    /// Proves that all frames are free once the last socket on them is closed.
    pub(crate) fn prove_all_free(&self) {
        if self.is_alone() {
            self.umem.reclaim(Duration::from_secs(10));
            let accounting = self.umem.accounting();
            assert_eq!(accounting.pool, self.umem.frame_count(), "{accounting}");
            assert!(accounting.is_conserved(), "{accounting}");
        }
    }

    /// Proves that each frame has one owner; where packets and frames are.
    pub(crate) fn rings(&self, rings: &RingsState, alone: bool) -> Rings {
        assert!(rings.ledger.is_conserved(), "{rings}");
        if alone {
            assert!(rings.is_conserved(), "{rings}");
        }
        Rings {
            occupied: occupied([rings.fill, rings.rx, rings.tx, rings.completion]),
            frames: [rings.ledger.pool, rings.ledger.user, rings.ledger.kernel],
        }
    }
}

/// Asserts that no ring saw anything strange; how full they are.
pub(crate) fn occupied(all: [RingState; 4]) -> [u32; 4] {
    for ring in &all {
        assert_eq!((ring.violations, ring.refused), (0, 0), "{all:?}");
    }
    all.map(|ring| ring.occupied)
}

/// What the kernel counted, and packets received and sent.
pub(crate) fn counted(kernel: SocketStatistics, (received, sent): (u64, u64)) -> Statistics {
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

pub(crate) fn program(counters: ProgramCounters) -> Program {
    Program {
        drop: counters.drop,
        redirect: counters.redirect,
        pass: counters.pass,
    }
}

/// Work on a thread, which ends with what it was given.
pub(crate) struct Toil<T> {
    stop: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Toil<T> {
    /// `turn` returns how many packets it received.
    pub(crate) fn start(mut with: T, mut turn: impl FnMut(&mut T) -> u32 + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let received = Arc::new(AtomicU64::new(0));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&received));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                count.fetch_add(turn(&mut with).into(), Ordering::Relaxed);
                thread::yield_now();
            }
            with
        });
        Self {
            stop,
            received,
            thread,
        }
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn end(self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the thread")
    }
}

pub(crate) fn swap_addresses(packet: &mut [u8]) {
    let (ethernet, _) = Ethernet::parse_mut(packet).unwrap();
    ethernet.swap_addresses();
}

/// Mode C: a socket and the packets in the user's hands.
struct RawSocket {
    /// Not while a thread has it, nor after it was closed.
    raw: Option<FluxRaw>,
    home: Home,
    held: VecDeque<Packet>,
    toil: Option<Toil<FluxRaw>>,
}

impl RawSocket {
    fn raw(&mut self) -> &mut FluxRaw {
        self.raw.as_mut().expect("open, and not on a thread")
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

/// Moves up to `max` packets from one socket to the other, as many as there is room for.
fn pass(from: &mut FluxRaw, to: &mut FluxRaw, max: u32) -> usize {
    from.refill();
    to.reap();
    let room = max.min(to.tx_room());
    let mut batch = PacketBatch::with_capacity(room as usize);
    let count = from.receive(&mut batch) as usize;
    assert_eq!(to.send(&mut batch).unwrap() as usize, count);
    to.wake_tx().unwrap();
    count
}

impl Socket for RawSocket {
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
        raw.recv_each(max, |packet| all.push(packet.data().to_vec()));
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
        self.raw().forward_each(max, |mut packet| {
            swap_addresses(packet.data_mut());
            Verdict::Send
        }) as usize
    }

    fn bridge(&mut self, other: &mut dyn Socket, max: u32) -> usize {
        let other: &mut Self = other.as_any_mut().downcast_mut().expect("of this mode");
        let (one, other) = (self.raw(), other.raw());
        pass(one, other, max) + pass(other, one, max)
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
        self.raw().fd().is_ok()
    }

    fn flush(&mut self, ms: u32) -> bool {
        self.raw().flush(Duration::from_millis(ms.into())).unwrap()
    }

    fn flood(&mut self, frames: &[Vec<u8>]) {
        let raw = self.raw.take().expect("open, and not on a thread");
        let frames = frames.to_vec();
        self.toil = Some(Toil::start(raw, move |raw| {
            put(raw, &frames);
            // The other side may be gone.
            let _ = raw.wake_tx();
            raw.refill();
            raw.recv_each(64, |_| {})
        }));
    }

    fn flooded(&mut self) -> u64 {
        self.toil.as_ref().expect("a flood").received()
    }

    fn serve(&mut self) {
        let raw = self.raw.take().expect("open, and not on a thread");
        self.toil = Some(Toil::start(raw, |raw| {
            raw.wait_rx(Some(Duration::from_millis(1))).unwrap();
            raw.refill();
            let count = raw.forward_each(64, |mut packet| {
                swap_addresses(packet.data_mut());
                Verdict::Send
            });
            raw.wake_tx().unwrap();
            count
        }));
    }

    fn calm(&mut self) {
        if let Some(toil) = self.toil.take() {
            self.raw = Some(toil.end());
        }
    }

    fn statistics(&mut self) -> Statistics {
        let raw = self.raw();
        counted(raw.statistics().unwrap(), raw.totals())
    }

    fn program(&mut self) -> Option<Program> {
        self.raw().program_counters().unwrap().map(program)
    }

    fn rings(&mut self) -> Rings {
        let rings = self.raw().debug_rings();
        self.home.rings(&rings, self.home.is_alone())
    }

    fn close(&mut self) {
        self.calm();
        self.rings();
        self.raw = None;
    }

    fn prove_all_home(&mut self) {
        assert!(self.held.is_empty(), "packets are left in the user's hands");
        self.home.prove_all_free();
    }

    fn as_any(&self) -> &dyn Any {
        &self.home
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
