//! What threads share about frames, over all interleavings of their steps: the ledger, the return stack with its count. `make loom`.
//!
//! It is the code itself that runs here, with other atomics under it ([`sync`](crate::sync)). For each frame there is a cell that stands
//! for its bytes: whoever owns a packet writes to it, and loom finds two that do so at once, or without having heard of each other.

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::cell::UnsafeCell;
use loom::thread;

use crate::packet::ledger::{Frames, POOL};
use crate::packet::transfer::pool::FramePool;
use crate::packet::{Handled, Lender, Outlets, Packet, RECYCLE, ReceivedPacket};
use crate::ring::{ConsumerRing, Desc, ProducerRing, RingElement, Writer, pair};
use crate::umem::geometry::Geometry;
use crate::umem::memory::{Memory, PAGE_SIZE};

const CHUNK: u64 = 2048;

/// A UMEM, the cells of its frames, and whether its memory is gone.
struct Model {
    frames: Frames,
    cells: Arc<[UnsafeCell<()>]>,
    gone: Arc<AtomicUsize>,
}

/// Counts how often memory was given back, and gives it back.
struct Owner(
    Arc<AtomicUsize>,
    #[expect(dead_code, reason = "to be dropped")] Memory,
);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Model {
    fn new(frames: u32) -> Self {
        let gone = Arc::new(AtomicUsize::new(0));
        let memory = Memory::heap(PAGE_SIZE * frames as usize).unwrap();
        let (start, len) = (memory.start(), memory.len());
        let owner = Box::new(Owner(gone.clone(), memory));
        // SAFETY: the owner has the memory, which nobody else uses.
        let memory = unsafe { Memory::from_parts(start, len, PAGE_SIZE, owner) };
        let geometry = Geometry::new(frames, CHUNK as u32, 0, PAGE_SIZE).unwrap();
        Self {
            frames: Frames::new(memory, geometry).unwrap(),
            cells: (0..frames).map(|_| UnsafeCell::new(())).collect(),
            gone,
        }
    }

    fn alloc(&self) -> Option<Packet> {
        let chunk = self.frames.pop_free()?;
        Some(self.frames.fresh(chunk))
    }

    /// Every frame is in the pool and can be had, once; and the memory goes with the last handle, once.
    fn finish(self) {
        let count = self.frames.geometry().frames();
        assert_eq!(self.frames.ledger().pool, count);
        assert_eq!(self.frames.with_user(), 0);
        let mut chunks: Vec<_> = std::iter::from_fn(|| self.frames.pop_free()).collect();
        chunks.sort_unstable();
        assert_eq!(chunks, (0..count).collect::<Vec<_>>());
        assert_eq!(self.gone.load(Ordering::Relaxed), 0);
        drop(self.frames);
        assert_eq!(self.gone.load(Ordering::Relaxed), 1);
    }
}

/// Uses the bytes of a packet, as its owner may.
fn touch(cells: &[UnsafeCell<()>], packet: &Packet) {
    cells[packet.chunk as usize].with_mut(|_| ());
}

fn ring_of<T: RingElement>(entries: &[T]) -> (ProducerRing<T>, ConsumerRing<T>) {
    let (mut producer, consumer) = pair(4).unwrap();
    let mut slots = producer.reserve(4);
    let mut writer = slots.writer();
    assert!(entries.iter().all(|entry| writer.push(*entry)));
    slots.submit(entries.len() as u32);
    (producer, consumer)
}

fn desc(chunk: u32) -> Desc {
    Desc {
        addr: u64::from(chunk) * CHUNK + 256,
        len: 60,
        options: 0,
    }
}

/// A lender with these frames on loan.
fn lender(model: &Model, lease: &crate::packet::Lease, count: u32) -> Lender {
    let mut lender = Lender::new(lease);
    let mut pool = FramePool::new(model.frames.clone());
    let (mut fill, _kernel) = pair::<u64>(4).unwrap();
    let mut slots = fill.reserve(count);
    let mut writer = slots.writer();
    lender.lend_free(&mut pool, &mut writer);
    assert_eq!(writer.written(), count);
    lender
}

/// Receives one packet at most, and uses and drops it; whether there was one.
fn receive(lender: &mut Lender, rx: &mut ConsumerRing<Desc>, cells: &[UnsafeCell<()>]) -> bool {
    let entries = rx.peek(1);
    lender.receive(entries.iter(), |packet| touch(cells, &packet)) == 1
}

/// Shows what is received to `look`; recycles to `fill` what it does not take.
fn show(
    lender: &mut Lender,
    rx: &mut ConsumerRing<Desc>,
    fill: Writer<'_, u64>,
    mut look: impl FnMut(ReceivedPacket<'_>),
) -> Handled {
    let mut pool = FramePool::new(lender.frames().clone());
    let outlets = Outlets {
        fill,
        pool: &mut pool,
        tx: None,
        sender: None,
    };
    let handled = Cell::default();
    let decide = |packet: ReceivedPacket<'_>| {
        look(packet);
        (RECYCLE, None::<Infallible>)
    };
    let entries = rx.peek(4);
    lender.each(
        entries.iter(),
        outlets,
        &handled,
        RECYCLE,
        decide,
        |_, _| (),
    );
    handled.get()
}

/// Uses the bytes of a packet in place.
fn touch_in_place(cells: &[UnsafeCell<()>], packet: &ReceivedPacket<'_>) {
    cells[(packet.address() / CHUNK) as usize].with_mut(|_| ());
}

#[test]
fn packets_dropped_on_several_threads_all_come_home() {
    loom::model(|| {
        let model = Model::new(2);
        let threads = [(); 2].map(|()| {
            let (packet, cells) = (model.alloc().unwrap(), model.cells.clone());
            thread::spawn(move || {
                touch(&cells, &packet);
                drop(packet);
            })
        });
        // While they are on their way.
        let early = model.alloc();
        if let Some(packet) = &early {
            touch(&model.cells, packet);
        }
        drop(early);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        model.finish();
    });
}

#[test]
fn a_frame_is_never_taken_by_two_threads() {
    loom::model(|| {
        let model = Model::new(1);
        drop(model.alloc().unwrap());
        let (frames, cells) = (model.frames.clone(), model.cells.clone());
        let other = thread::spawn(move || {
            if let Some(chunk) = frames.pop_free() {
                let packet = frames.fresh(chunk);
                touch(&cells, &packet);
            }
        });
        if let Some(packet) = model.alloc() {
            touch(&model.cells, &packet);
        }
        other.join().unwrap();
        model.finish();
    });
}

#[test]
fn the_memory_goes_once_when_the_last_handle_and_packets_end_at_once() {
    loom::model(|| {
        let Model {
            frames,
            cells,
            gone,
        } = Model::new(2);
        let take = || frames.fresh(frames.pop_free().unwrap());
        let (first, second) = (take(), take());
        let there = cells.clone();
        let other = thread::spawn(move || {
            touch(&there, &first);
            drop(first);
        });
        drop(frames);
        touch(&cells, &second);
        drop(second);
        other.join().unwrap();
        assert_eq!(gone.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn the_memory_goes_once_when_two_handles_and_a_packet_end_at_once() {
    loom::model(|| {
        let Model { frames, gone, .. } = Model::new(1);
        let packet = frames.fresh(frames.pop_free().unwrap());
        let handle = frames.clone();
        let threads = [
            thread::spawn(move || drop(packet)),
            thread::spawn(move || drop(handle)),
        ];
        drop(frames);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(gone.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_frame_lent_before_the_split_goes_to_one_half() {
    loom::model(|| {
        let model = Model::new(1);
        let lease = model.frames.leases(1).unwrap();
        let (mut rx_side, mut tx_side) = lender(&model, &lease[0], 1).split(0);
        let cells = model.cells.clone();
        let receiving = thread::spawn(move || {
            let (_kernel, mut rx) = ring_of(&[desc(0)]);
            receive(&mut rx_side, &mut rx, &cells)
        });
        let mut pool = FramePool::new(model.frames.clone());
        let (_kernel, mut completion) = ring_of(&[0_u64]);
        let reaped = tx_side.reap_each(completion.peek(1).iter(), &mut pool) == 1;
        if reaped {
            touch(&model.cells, &pool.alloc().unwrap());
        }
        assert_ne!(receiving.join().unwrap(), reaped);
        drop((tx_side, pool, lease));
        model.finish();
    });
}

#[test]
fn a_frame_lent_before_the_split_is_looked_at_by_one_half_alone() {
    loom::model(|| {
        let model = Model::new(1);
        let lease = model.frames.leases(1).unwrap();
        let (mut rx_side, mut tx_side) = lender(&model, &lease[0], 1).split(0);
        let cells = model.cells.clone();
        let looking = thread::spawn(move || {
            let (_kernel, mut rx) = ring_of(&[desc(0)]);
            let (mut fill, _) = pair::<u64>(4).unwrap();
            let mut slots = fill.reserve(1);
            let look = |packet: ReceivedPacket<'_>| touch_in_place(&cells, &packet);
            show(&mut rx_side, &mut rx, slots.writer(), look).packets()
        });
        let mut pool = FramePool::new(model.frames.clone());
        let (_kernel, mut completion) = ring_of(&[0_u64]);
        let reaped = tx_side.reap_each(completion.peek(1).iter(), &mut pool);
        if reaped == 1 {
            touch(&model.cells, &pool.alloc().unwrap());
        }
        assert_eq!(looking.join().unwrap() + reaped, 1);
        drop((tx_side, pool, lease));
        model.finish();
    });
}

#[test]
fn a_frame_of_a_group_goes_to_one_of_its_members() {
    loom::model(|| {
        let model = Model::new(1);
        let [group, one, other] = [(); 3].map(|()| model.frames.leases(1).unwrap());
        drop(lender(&model, &group[0], 1));
        let mut other_lender = Lender::member(&other[0], &group[0]);
        let cells = model.cells.clone();
        let there = thread::spawn(move || {
            let (_kernel, mut rx) = ring_of(&[desc(0)]);
            receive(&mut other_lender, &mut rx, &cells)
        });
        let (_kernel, mut rx) = ring_of(&[desc(0)]);
        let here = receive(
            &mut Lender::member(&one[0], &group[0]),
            &mut rx,
            &model.cells,
        );
        assert_ne!(there.join().unwrap(), here);
        drop((group, one, other));
        model.finish();
    });
}

#[test]
fn a_frame_that_a_member_shares_again_is_looked_at_by_one_at_a_time() {
    loom::model(|| {
        let model = Model::new(1);
        let [group, one, other] = [(); 3].map(|()| model.frames.leases(1).unwrap());
        drop(lender(&model, &group[0], 1));
        let mut other_lender = Lender::member(&other[0], &group[0]);
        let cells = model.cells.clone();
        let look = |lender: &mut Lender, cells: &[UnsafeCell<()>]| {
            let (_kernel, mut rx) = ring_of(&[desc(0)]);
            let (mut fill, _) = pair::<u64>(4).unwrap();
            let mut slots = fill.reserve(1);
            let look = |packet: ReceivedPacket<'_>| touch_in_place(cells, &packet);
            show(lender, &mut rx, slots.writer(), look).packets()
        };
        let there = thread::spawn(move || look(&mut other_lender, &cells));
        let here = look(&mut Lender::member(&one[0], &group[0]), &model.cells);
        assert!(there.join().unwrap() + here >= 1);
        assert_ne!(model.frames.owner(0), POOL);
        drop((group, one, other));
        model.finish();
    });
}

#[test]
fn a_packet_taken_on_one_thread_and_dropped_on_another_comes_home() {
    loom::model(|| {
        let model = Model::new(2);
        let lease = model.frames.leases(1).unwrap();
        let (mut rx_side, tx_side) = lender(&model, &lease[0], 2).split(0);
        let (_kernel, mut rx) = ring_of(&[desc(0), desc(1)]);
        let (mut fill, mut filled) = pair::<u64>(4).unwrap();
        let mut slots = fill.reserve(2);
        let mut away = None;
        let handled = show(&mut rx_side, &mut rx, slots.writer(), |packet| {
            touch_in_place(&model.cells, &packet);
            if away.is_none() {
                let (packet, cells) = (packet.into_packet(), model.cells.clone());
                away = Some(thread::spawn(move || {
                    touch(&cells, &packet);
                    drop(packet);
                }));
            }
        });
        assert_eq!((handled.taken, handled.recycled), (1, 1));
        slots.submit(handled.recycled);
        assert_eq!(filled.peek(2).iter().collect::<Vec<_>>(), [desc(1).addr]);
        // The other frame comes by the stack, sooner or later.
        let mut pool = FramePool::new(model.frames.clone());
        let mut slots = fill.reserve(1);
        rx_side.lend_free(&mut pool, &mut slots.writer());
        away.unwrap().join().unwrap();
        assert_eq!(model.frames.owner_entry(1), rx_side.mark);
        drop((rx_side, tx_side, pool, lease));
        model.finish();
    });
}

#[test]
fn a_packet_dropped_while_its_umem_ends_frees_the_memory_once() {
    loom::model(|| {
        let Model {
            frames,
            cells,
            gone,
        } = Model::new(1);
        let model = Model {
            frames: frames.clone(),
            cells: cells.clone(),
            gone: gone.clone(),
        };
        let lease = frames.leases(1).unwrap();
        let mut lender = lender(&model, &lease[0], 1);
        drop(model);
        let (_kernel, mut rx) = ring_of(&[desc(0)]);
        let (mut fill, _filled) = pair::<u64>(4).unwrap();
        let mut slots = fill.reserve(1);
        let mut away = None;
        show(&mut lender, &mut rx, slots.writer(), |packet| {
            let (packet, cells) = (packet.into_packet(), cells.clone());
            away = Some(thread::spawn(move || {
                touch(&cells, &packet);
                drop(packet);
            }));
        });
        // Packets that were counted ahead are taken off before.
        drop((lender, lease, frames));
        away.unwrap().join().unwrap();
        assert_eq!(gone.load(Ordering::Relaxed), 1);
    });
}

#[cfg(feature = "capi")]
#[test]
fn of_two_copies_of_a_packet_one_is_claimed() {
    use crate::packet::plain::RawPacket;

    loom::model(|| {
        let model = Model::new(1);
        let raw = RawPacket::from(model.alloc().unwrap());
        let fields = (raw.data.expose_provenance(), raw.umem.expose_provenance());
        let there = thread::spawn(move || {
            let copy = RawPacket {
                data: std::ptr::with_exposed_provenance_mut(fields.0),
                umem: std::ptr::with_exposed_provenance(fields.1),
                ..RawPacket {
                    data: std::ptr::null_mut(),
                    len: 0,
                    options: 0,
                    umem: std::ptr::null(),
                    frame: 0,
                    generation: raw.generation,
                }
            };
            copy.claim().is_ok()
        });
        let here = raw.claim().is_ok();
        assert_ne!(there.join().unwrap(), here);
        model.finish();
    });
}
