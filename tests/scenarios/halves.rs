//! Mode B, through the Rust face: two owned halves.

use std::any::Any;
use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fluxcap::{FluxRaw, FluxRx, FluxTx, Packet, PacketBatch, Verdict};

use super::rust::{Home, Toil, counted, occupied, program, swap_addresses};
use super::scene::PATIENCE;
use super::world::{Program, RECEIVE, Ready, Rings, SEND, Socket, Statistics, Wrong};

/// Packets of a batch.
const BATCH: usize = 64;

/// Two halves, and the packets in the user's hands.
pub(crate) struct HalvesSocket {
    /// Neither while a thread has it, nor after it was closed.
    rx: Option<FluxRx>,
    tx: Option<FluxTx>,
    home: Home,
    /// What came while it waited.
    arrived: VecDeque<Packet>,
    held: VecDeque<Packet>,
    toil: Option<Work>,
}

/// A thread for each half.
struct Work {
    rx: Toil<FluxRx>,
    tx: Sending,
}

enum Sending {
    /// Until it is stopped.
    Flood(Toil<FluxTx>),
    /// As long as packets come from the other half.
    Serve(JoinHandle<FluxTx>),
}

impl HalvesSocket {
    pub(crate) fn new(raw: FluxRaw, home: Home) -> Self {
        let (rx, mut tx) = raw.split();
        // Scenarios have a patience of their own.
        tx.set_patience(PATIENCE);
        Self {
            rx: Some(rx),
            tx: Some(tx),
            home,
            arrived: VecDeque::new(),
            held: VecDeque::new(),
            toil: None,
        }
    }

    fn rx(&mut self) -> &mut FluxRx {
        self.rx.as_mut().expect("open, and not on a thread")
    }

    fn tx(&mut self) -> &mut FluxTx {
        self.tx.as_mut().expect("open, and not on a thread")
    }

    /// Up to `max` packets: first what came while it waited.
    fn take(&mut self, max: u32) -> Vec<Packet> {
        let max = max as usize;
        let early = self.arrived.len().min(max);
        let mut all: Vec<Packet> = self.arrived.drain(..early).collect();
        let mut batch = PacketBatch::with_capacity(max - early);
        self.rx().try_recv(&mut batch);
        all.extend(batch.drain());
        all
    }

    /// Sends as many packets as there is room for, in order, and drops the others.
    fn send(&mut self, packets: impl ExactSizeIterator<Item = Packet>) -> usize {
        let count = packets.len();
        let mut batch = PacketBatch::with_capacity(count);
        for packet in packets {
            batch.push(packet).unwrap();
        }
        send(self.tx(), &mut batch);
        count - batch.len()
    }

    /// Passes what came to the other side of a bridge, as many packets as there is room for.
    fn pass(&mut self, to: &mut Self, max: u32) -> usize {
        to.tx().reap();
        // First what came while it waited.
        let early = self.arrived.len().min(max.min(to.tx().room()) as usize);
        let packets: Vec<Packet> = self.arrived.drain(..early).collect();
        assert_eq!(to.send(packets.into_iter()), early);
        if !self.arrived.is_empty() {
            return early;
        }
        let passed = self
            .rx()
            .forward_each(to.tx(), max - early as u32, |_| Verdict::Send);
        early + passed.expect("one UMEM") as usize
    }
}

/// Packets that are no longer in the batch were taken, also where the kernel cannot be called: `wake` says so.
fn send(tx: &mut FluxTx, batch: &mut PacketBatch) {
    if let Err(error) = tx.send(batch) {
        println!("{error}");
    }
}

fn put(tx: &mut FluxTx, frames: &[Vec<u8>]) -> usize {
    tx.reap();
    let mut batch = PacketBatch::with_capacity(frames.len());
    for frame in frames {
        let Some(packet) = tx.copy(frame).unwrap() else {
            break;
        };
        batch.push(packet).unwrap();
    }
    let count = batch.len();
    send(tx, &mut batch);
    count - batch.len()
}

impl Socket for HalvesSocket {
    fn put(&mut self, frames: &[Vec<u8>]) -> usize {
        put(self.tx(), frames)
    }

    fn wake(&mut self) -> Result<(), i32> {
        self.tx().kick().map_err(|error| error.errno())
    }

    fn receive(&mut self, max: u32) -> Vec<Vec<u8>> {
        self.rx().refill();
        let mut all: Vec<_> = self
            .arrived
            .drain(..)
            .map(|packet| packet.data().to_vec())
            .collect();
        assert!(all.len() <= max as usize, "more came than was asked for");
        let left = max - all.len() as u32;
        // Each is dropped at once.
        self.rx()
            .recv_each(left, |packet| all.push(packet.data().to_vec()));
        all
    }

    fn hold(&mut self, max: u32) -> Vec<Vec<u8>> {
        let came = self.take(max);
        let all = came.iter().map(|packet| packet.data().to_vec()).collect();
        self.held.extend(came);
        all
    }

    fn release(&mut self, count: usize) {
        drop(self.held.drain(..count));
    }

    fn send_held(&mut self, count: usize, grow: usize) -> usize {
        let mut packets: Vec<Packet> = self.held.drain(..count).collect();
        for packet in &mut packets {
            packet.push_front(grow).unwrap().fill(0);
        }
        self.send(packets.into_iter())
    }

    fn give(&mut self, count: usize) -> Box<dyn Any> {
        let packets: Vec<Packet> = self.held.drain(..count).collect();
        Box::new(packets)
    }

    fn adopt(&mut self, packets: Box<dyn Any>) -> usize {
        let packets: Box<Vec<Packet>> = packets.downcast().expect("of this mode");
        self.send(packets.into_iter())
    }

    fn echo(&mut self, max: u32) -> usize {
        let Self {
            rx, tx, arrived, ..
        } = self;
        let rx = rx.as_mut().expect("open, and not on a thread");
        let tx = tx.as_mut().expect("open, and not on a thread");
        let sent = tx.send_each(max, |outbox| {
            let early = arrived.len().min(outbox.room());
            for mut packet in arrived.drain(..early) {
                swap_addresses(packet.data_mut());
                outbox.put(packet).expect("room");
            }
            // One by one, from ring to ring.
            rx.recv_each(outbox.room() as u32, |mut packet| {
                swap_addresses(packet.data_mut());
                outbox.put(packet.into_packet()).expect("room");
            });
        });
        sent.unwrap() as usize
    }

    fn send_wrong(&mut self, wrong: Wrong) -> i32 {
        let tx = self.tx();
        let mut packet = tx.alloc().expect("a free frame");
        match wrong {
            Wrong::Empty => {
                let unsent = tx.send_one(packet).expect_err("it is empty");
                unsent.error().errno()
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

    fn bridge(&mut self, other: &mut dyn Socket, max: u32) -> usize {
        let other: &mut Self = other.as_any_mut().downcast_mut().expect("of this mode");
        self.pass(other, max) + other.pass(self, max)
    }

    fn refill(&mut self) {
        self.rx().refill();
    }

    fn wait(&mut self, interest: u32, ms: u32) -> Result<Ready, i32> {
        let time = Duration::from_millis(ms.into());
        let mut ready = Ready::default();
        if interest == RECEIVE {
            let mut batch = PacketBatch::with_capacity(BATCH);
            if self.arrived.is_empty() {
                let received = self.rx().recv_timeout(&mut batch, time);
                received.map_err(|error| error.errno())?;
            }
            self.arrived.extend(batch.drain());
            ready.receive = !self.arrived.is_empty();
        } else {
            assert_eq!(interest, SEND, "each half waits for itself");
            let room = self.tx().wait(Some(time));
            ready.send = room.map_err(|error| error.errno())?;
        }
        Ok(ready)
    }

    fn has_descriptor(&mut self) -> bool {
        let (rx, tx) = (self.rx.as_ref(), self.tx.as_ref());
        let (receiving, sending) = (rx.unwrap().fd(), tx.unwrap().fd());
        let (Ok(receiving), Ok(sending)) = (receiving, sending) else {
            return false;
        };
        let numbers = [receiving, sending].map(|fd| fd.as_raw_fd());
        assert_ne!(numbers[0], numbers[1], "each half has one of its own");
        true
    }

    fn flush(&mut self, ms: u32) -> bool {
        self.tx().flush(Duration::from_millis(ms.into())).unwrap()
    }

    fn flood(&mut self, frames: &[Vec<u8>]) {
        let rx = self.rx.take().expect("open, and not on a thread");
        let tx = self.tx.take().expect("open, and not on a thread");
        let frames = frames.to_vec();
        self.toil = Some(Work {
            rx: Toil::start(rx, |rx| rx.recv_each(BATCH as u32, |_| ())),
            tx: Sending::Flood(Toil::start(tx, move |tx| {
                put(tx, &frames);
                0
            })),
        });
    }

    fn flooded(&mut self) -> u64 {
        self.toil.as_ref().expect("a flood").rx.received()
    }

    fn serve(&mut self) {
        let rx = self.rx.take().expect("open, and not on a thread");
        let mut tx = self.tx.take().expect("open, and not on a thread");
        let (pass, passed) = mpsc::sync_channel::<PacketBatch>(4);
        let sending = thread::spawn(move || {
            loop {
                let mut batch = match passed.recv_timeout(Duration::from_millis(1)) {
                    Ok(batch) => batch,
                    Err(RecvTimeoutError::Timeout) => {
                        tx.reap();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break tx,
                };
                for packet in &mut batch {
                    swap_addresses(packet.data_mut());
                }
                while !batch.is_empty() {
                    tx.send(&mut batch).unwrap();
                    assert!(batch.is_empty() || tx.wait(Some(PATIENCE)).unwrap());
                }
            }
        });
        let receiving = Toil::start(rx, move |rx| {
            let mut batch = PacketBatch::with_capacity(BATCH);
            let time = Duration::from_millis(1);
            let count = rx.recv_timeout(&mut batch, time).unwrap();
            if count > 0 {
                pass.send(batch).unwrap();
            }
            count
        });
        self.toil = Some(Work {
            rx: receiving,
            tx: Sending::Serve(sending),
        });
    }

    fn calm(&mut self) {
        if let Some(Work { rx, tx }) = self.toil.take() {
            self.rx = Some(rx.end());
            self.tx = Some(match tx {
                Sending::Flood(toil) => toil.end(),
                Sending::Serve(thread) => thread.join().expect("the thread"),
            });
        }
    }

    fn statistics(&mut self) -> Statistics {
        let kernel = self.rx().statistics().unwrap();
        let totals = (self.rx().total(), self.tx().total());
        counted(kernel, totals)
    }

    fn program(&mut self) -> Option<Program> {
        self.rx().program_counters().unwrap().map(program)
    }

    fn rings(&mut self) -> Rings {
        let (fill, rx) = self.rx().debug_rings();
        let (tx, completion) = self.tx().debug_rings();
        let frames = self.home.umem.accounting();
        assert!(frames.is_conserved(), "{frames}");
        Rings {
            occupied: occupied([fill, rx, tx, completion]),
            frames: [frames.pool, frames.user, frames.kernel],
        }
    }

    fn close(&mut self) {
        self.calm();
        self.rings();
        // Either half may go first.
        if self.rx().total().is_multiple_of(2) {
            self.rx = None;
            self.tx = None;
        } else {
            self.tx = None;
            self.rx = None;
        }
    }

    fn prove_all_home(&mut self) {
        assert!(self.arrived.is_empty(), "packets came that nobody took");
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
