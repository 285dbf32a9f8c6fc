//! A test owns both ends of a ring, or one end and the bare memory under it.

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::backend::Rings;
use crate::error::ErrorKind;
use crate::packet::batch::PacketBatch;
use crate::packet::{Leases, PacketRef, PortContext, Slots, Tally, Verdict};
use crate::ring::*;
use crate::socket::SocketRings;
use crate::umem::{UmemConfig, UmemRegion};

/// Where indices start: zero, just before the wrap of the index, and where its sign would change.
const STARTS: [u32; 4] = [0, u32::MAX - 3, u32::MAX, (1 << 31) - 2];

// All interleavings against a model.

/// One step of a side, which the other side cannot interrupt.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Ask how much there is, for so many: the only load of the other side's index in the steps that follow.
    Ask(u32),
    /// Reserve or peek at so many, write or read them, and let go without submit or release.
    Touch(u32),
    /// Reserve or peek again, and submit or release so many of those written or read by the last `Touch`.
    Pass(u32),
    /// All in one: reserve or peek at so many, write or read them, submit or release so many.
    Move(u32, u32),
}
use Step::{Ask, Move, Pass, Touch};

/// Both ends of a ring and what must be true of them.
struct Model {
    producer: ProducerRing<u64>,
    consumer: ConsumerRing<u64>,
    size: u32,
    /// Published and not released yet.
    queue: VecDeque<u64>,
    /// The next value to publish.
    next: u64,
    consumed: u64,
    /// How many slots the last `Touch` wrote, and how many entries it read.
    written: u32,
    read: u32,
}

impl Model {
    fn new(size: u32, start: u32) -> Self {
        let (producer, consumer) = pair_at(size, start).unwrap();
        Self {
            producer,
            consumer,
            size,
            queue: VecDeque::new(),
            next: 1,
            consumed: 0,
            written: 0,
            read: 0,
        }
    }

    /// A side may know less than there is, but only as long as that is enough.
    fn check(told: u32, wanted: u32, real: u32) {
        assert!(told <= real, "told {told} of {real}");
        assert!(
            told >= wanted.min(real),
            "told {told} of {real} for {wanted}"
        );
    }

    fn produce(&mut self, step: Step) {
        let real = self.size - self.queue.len() as u32;
        let (wanted, submitted) = match step {
            Ask(wanted) => return Self::check(self.producer.free(wanted), wanted, real),
            Touch(wanted) => (wanted, 0),
            Pass(count) => (self.written, count),
            Move(wanted, count) => (wanted, count),
        };
        let mut slots = self.producer.reserve(wanted);
        assert_eq!(slots.len(), wanted.min(real));
        if !matches!(step, Pass(_)) {
            let mut writer = slots.writer();
            let mut value = self.next;
            while writer.push(value) {
                value += 1;
            }
            assert_eq!((writer.written(), writer.room()), (wanted.min(real), 0));
        }
        self.written = slots.len();
        let submitted = submitted.min(slots.len());
        if !matches!(step, Touch(_)) {
            slots.submit(submitted);
        }
        for _ in 0..submitted {
            self.queue.push_back(self.next);
            self.next += 1;
        }
    }

    fn consume(&mut self, step: Step) {
        let real = self.queue.len() as u32;
        let (wanted, released) = match step {
            Ask(wanted) => return Self::check(self.consumer.available(wanted), wanted, real),
            Touch(wanted) => (wanted, 0),
            Pass(count) => (self.read, count),
            Move(wanted, count) => (wanted, count),
        };
        let entries = self.consumer.peek(wanted);
        assert_eq!(entries.len(), wanted.min(real));
        let seen: Vec<_> = entries.iter().collect();
        assert!(
            seen.iter().eq(self.queue.iter().take(seen.len())),
            "{seen:?} instead of {:?}",
            self.queue
        );
        assert_eq!(seen.len(), entries.len() as usize);
        self.read = entries.len();
        let released = released.min(entries.len());
        if !matches!(step, Touch(_)) {
            entries.release(released);
        }
        self.consumed += u64::from(released);
        self.queue.drain(..released as usize);
    }

    fn finish(mut self) {
        self.consume(Move(u32::MAX, u32::MAX));
        assert_eq!((self.queue.len(), self.consumed), (0, self.next - 1));
        assert_eq!((self.producer.occupied(), self.consumer.occupied()), (0, 0));
        assert_eq!(
            (self.producer.violations(), self.consumer.violations()),
            (0, 0)
        );
    }
}

/// Runs two scripts in every order that keeps the order within each; returns how many there are.
fn interleave(size: u32, start: u32, producer: &[Step], consumer: &[Step]) -> usize {
    let steps = producer.len() + consumer.len();
    let schedules = (0..1u32 << steps).filter(|turns| turns.count_ones() == producer.len() as u32);
    let mut count = 0;
    for turns in schedules {
        let mut model = Model::new(size, start);
        let (mut produce, mut consume) = (producer.iter(), consumer.iter());
        for turn in 0..steps {
            if turns >> turn & 1 == 1 {
                model.produce(*produce.next().unwrap());
            } else {
                model.consume(*consume.next().unwrap());
            }
        }
        model.finish();
        count += 1;
    }
    count
}

/// Each batch size as three steps: load, write or read, publish or give back.
fn in_small_steps(batches: [(u32, u32); 3]) -> Vec<Step> {
    batches
        .into_iter()
        .flat_map(|(wanted, count)| [Ask(wanted), Touch(wanted), Pass(count)])
        .collect()
}

fn every_interleaving_in_small_steps(size: u32) {
    let producer = in_small_steps([(1, 1), (3, 2), (4, 4)]);
    let consumer = in_small_steps([(2, 1), (1, 1), (4, 4)]);
    for start in [0, u32::MAX - 3] {
        assert_eq!(interleave(size, start, &producer, &consumer), 48_620);
    }
}

#[test]
fn every_interleaving_of_small_steps_is_a_queue_of_size_1() {
    every_interleaving_in_small_steps(1);
}

#[test]
fn every_interleaving_of_small_steps_is_a_queue_of_size_2() {
    every_interleaving_in_small_steps(2);
}

#[test]
fn every_interleaving_of_small_steps_is_a_queue_of_size_4() {
    every_interleaving_in_small_steps(4);
}

#[test]
fn every_interleaving_of_whole_batches_is_a_queue() {
    let scripts: [(&[Step], &[Step]); 4] = [
        // One by one against greedy.
        (
            &[Move(1, 1), Move(1, 1), Move(1, 1), Move(1, 1), Move(1, 1)],
            &[Move(4, 4), Ask(1), Move(4, 4), Ask(4), Move(4, 4)],
        ),
        // Mixed batches with questions between them.
        (
            &[
                Move(3, 3),
                Ask(2),
                Move(2, 2),
                Move(4, 1),
                Ask(1),
                Move(1, 1),
            ],
            &[
                Ask(1),
                Move(2, 1),
                Move(1, 1),
                Ask(4),
                Move(4, 3),
                Move(2, 2),
            ],
        ),
        // More reserved than submitted, more peeked at than released, and nothing at all.
        (
            &[Move(4, 2), Move(2, 0), Touch(4), Move(4, 4), Move(0, 9)],
            &[Touch(2), Move(4, 1), Move(0, 9), Move(4, 0), Move(9, 9)],
        ),
        // Knowledge of the other side that has grown stale.
        (
            &[Ask(4), Move(1, 1), Ask(1), Move(1, 1), Ask(9), Move(9, 9)],
            &[Ask(9), Move(1, 1), Ask(1), Move(1, 1), Ask(2), Move(9, 9)],
        ),
    ];
    for size in [1, 2, 4] {
        for start in STARTS {
            let counts =
                scripts.map(|(producer, consumer)| interleave(size, start, producer, consumer));
            assert_eq!(counts, [252, 924, 252, 924]);
        }
    }
}

#[test]
fn values_keep_their_order_over_many_rounds_across_the_index_wrap() {
    for start in STARTS {
        for size in [1, 2, 8, 64] {
            let mut model = Model::new(size, start.wrapping_sub(100));
            let mut random = Random(u64::from(start) ^ u64::from(size));
            while model.next < 500 {
                let (put, take) = (random.below(size + 2), random.below(size + 2));
                model.produce(Move(put, put));
                model.consume(Move(take, take));
            }
            model.finish();
        }
    }
}

#[test]
fn a_thread_at_each_end_passes_a_million_values_in_order() {
    const VALUES: u64 = 1_000_000;
    let (mut producer, mut consumer) = pair_at::<u64>(256, u32::MAX - 3).unwrap();
    let sender = thread::spawn(move || {
        let mut random = Random(1);
        let mut next = 0;
        while next < VALUES {
            let mut slots = producer.reserve(1 + random.below(300));
            let mut writer = slots.writer();
            while next < VALUES && writer.push(next) {
                next += 1;
            }
            let written = writer.written();
            let waited = slots.is_empty();
            slots.submit(written);
            if waited {
                thread::yield_now();
            }
        }
        producer.violations()
    });
    let mut random = Random(2);
    let (mut expected, mut sum) = (0, 0);
    while expected < VALUES {
        let entries = consumer.peek(1 + random.below(300));
        let read = entries.len();
        for value in &entries {
            assert_eq!(value, expected);
            expected += 1;
            sum += value;
        }
        entries.release(read);
        if read == 0 {
            thread::yield_now();
        }
    }
    assert_eq!(sum, VALUES * (VALUES - 1) / 2);
    assert_eq!((sender.join().unwrap(), consumer.violations()), (0, 0));
    assert_eq!(consumer.available(1), 0);
}

// Batches, runs and their limits.

#[test]
fn a_full_ring_grants_no_slot_and_an_empty_one_no_entry() {
    let (mut producer, mut consumer) = pair::<u64>(4).unwrap();
    assert!(consumer.peek(4).is_empty());
    assert_eq!(consumer.available(1), 0);
    producer.reserve(4).submit(4);
    let mut slots = producer.reserve(1);
    assert!(slots.is_empty());
    assert!(!slots.put(0, 7) && !slots.writer().push(7));
    slots.submit(1);
    assert_eq!((producer.free(1), producer.occupied()), (0, 4));
    assert_eq!((consumer.available(9), consumer.occupied()), (4, 4));
    assert_eq!((producer.size(), consumer.size()), (4, 4));
}

#[test]
fn a_batch_larger_than_the_ring_is_granted_in_part() {
    for wanted in [3, 4, 5, u32::MAX] {
        let (mut producer, mut consumer) = pair_at::<u64>(4, u32::MAX - 3).unwrap();
        assert_eq!(producer.reserve(wanted).len(), wanted.min(4));
        producer.reserve(2).submit(2);
        assert_eq!(producer.reserve(wanted).len(), 2);
        assert_eq!(consumer.peek(wanted).len(), 2);
    }
}

#[test]
fn entries_keep_their_order_where_the_array_ends() {
    let (mut producer, mut consumer) = pair_at::<u64>(8, 5).unwrap();
    let mut slots = producer.reserve(7);
    let mut writer = slots.writer();
    for (written, value) in (1..).zip([1, 2, 9]) {
        assert!(writer.push(value));
        assert_eq!((writer.written(), writer.room()), (written, 7 - written));
    }
    for (index, value) in (2..7).zip([3, 4, 5, 6, 7]) {
        assert!(slots.put(index, value));
    }
    slots.submit(7);
    let entries = consumer.peek(7);
    assert_eq!(entries.iter().len(), 7);
    assert_eq!(entries.iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!((entries.get(2), entries.get(6)), (Some(3), Some(7)));
    entries.release(7);
    assert_eq!(producer.free(8), 8);
}

#[test]
fn beyond_the_batch_nothing_is_read_and_nothing_written() {
    let (mut producer, mut consumer) = pair_at::<u64>(4, u32::MAX).unwrap();
    let mut slots = producer.reserve(3);
    for index in [3, 4, u32::MAX] {
        assert!(!slots.put(index, 9));
    }
    let mut writer = slots.writer();
    assert!(writer.push(1) && writer.push(2) && writer.push(3));
    assert!(!writer.push(4));
    assert_eq!((writer.written(), writer.room()), (3, 0));
    slots.submit(3);
    let entries = consumer.peek(3);
    for index in [3, 4, u32::MAX] {
        assert_eq!(entries.get(index), None);
    }
    assert!(entries.iter().eq([1, 2, 3]));
    assert_eq!(consumer.peek(2).iter().count(), 2);
    assert_eq!(consumer.peek(2).get(2), None);
}

#[test]
fn a_descriptor_has_the_kernels_layout_in_its_slot() {
    let bare = Bare::<Desc>::new(2, 0);
    let mut producer = bare.producer();
    let desc = Desc {
        addr: 0x0102_0304_0506_0708,
        len: 0x1112_1314,
        options: 0x2122_2324,
    };
    let mut slots = producer.reserve(2);
    assert!(slots.put(1, desc));
    slots.submit(2);
    // `struct xdp_desc`: eight bytes, four and four.
    let bytes: Vec<u8> = [
        &desc.addr.to_ne_bytes()[..],
        &desc.len.to_ne_bytes(),
        &desc.options.to_ne_bytes(),
    ]
    .concat();
    assert_eq!(bare.bytes(1), bytes);
    assert_eq!(bare.consumer_from(0).peek(2).get(1), Some(desc));
}

#[test]
fn submitting_or_releasing_more_than_granted_means_all_of_it() {
    let (mut producer, mut consumer) = pair_at::<u64>(4, u32::MAX - 1).unwrap();
    producer.reserve(3).submit(u32::MAX);
    assert_eq!(consumer.available(9), 3);
    consumer.peek(2).release(u32::MAX);
    assert_eq!((consumer.available(9), producer.free(9)), (1, 3));
    producer.reserve(0).submit(1);
    consumer.peek(0).release(1);
    assert_eq!((consumer.occupied(), producer.occupied()), (1, 1));
}

#[test]
fn a_reservation_that_is_dropped_publishes_nothing() {
    let (mut producer, mut consumer) = pair::<u64>(4).unwrap();
    let mut slots = producer.reserve(4);
    assert!((0..4).all(|index| slots.put(index, 7)));
    drop(slots);
    assert_eq!((consumer.available(1), producer.free(4)), (0, 4));
    assert_eq!(producer.indices(), (0, 0));
    let mut slots = producer.reserve(2);
    assert!(slots.put(0, 8) && slots.put(1, 9));
    slots.submit(1);
    assert!(consumer.peek(4).iter().eq([8]));
}

#[test]
fn entries_that_are_dropped_come_again() {
    let (mut producer, mut consumer) = pair::<u64>(4).unwrap();
    let mut slots = producer.reserve(2);
    assert!(slots.put(0, 8) && slots.put(1, 9));
    slots.submit(2);
    for _ in 0..3 {
        assert!(consumer.peek(4).iter().eq([8, 9]));
        assert_eq!(producer.free(4), 2);
    }
    consumer.peek(4).release(1);
    assert!(consumer.peek(4).iter().eq([9]));
    assert_eq!(consumer.indices(), (2, 1));
}

#[test]
fn the_wish_for_a_wake_up_is_seen_at_the_other_end() {
    let (producer, consumer) = pair::<Desc>(4).unwrap();
    assert!(!producer.needs_wakeup());
    consumer.set_need_wakeup(true);
    assert!(producer.needs_wakeup());
    consumer.set_need_wakeup(false);
    assert!(!producer.needs_wakeup());
}

#[test]
fn unknown_flags_ask_for_no_wake_up() {
    let bare = Bare::<u64>::new(4, 0);
    bare.area().flags().store(!NEED_WAKEUP, Ordering::Relaxed);
    assert!(!bare.producer().needs_wakeup());
    bare.area().flags().store(u32::MAX, Ordering::Relaxed);
    assert!(bare.producer().needs_wakeup());
}

#[test]
fn an_impossible_size_names_the_ring_and_a_size_that_works() {
    for (size, rule, fix) in [
        (
            0,
            "a ring holds a power of two of slots",
            "use for example 2",
        ),
        (
            3,
            "a ring holds a power of two of slots",
            "use for example 4",
        ),
        (
            MAX_RING_SIZE - 1,
            "a power of two",
            "use for example 1048576",
        ),
        (
            MAX_RING_SIZE + 1,
            "a power of two",
            "use for example 1048576",
        ),
        (u32::MAX, "a power of two", "use for example 1048576"),
        (2 * MAX_RING_SIZE, "at most 1048576 slots", "use 2048"),
        (1 << 31, "at most 1048576 slots", "use 2048"),
    ] {
        let error = check_size("fill ring", size).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("fill ring size {size}: ")),
            "{text}"
        );
        assert!(text.contains(rule) && text.contains(fix), "{text}");
        assert_eq!(pair::<u64>(size).unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn the_smallest_and_the_largest_ring_work() {
    for size in [1, MAX_RING_SIZE] {
        let (mut producer, mut consumer) = pair_at::<Desc>(size, u32::MAX).unwrap();
        let mut slots = producer.reserve(u32::MAX);
        let last = slots.len() - 1;
        let desc = Desc {
            len: 9,
            ..Desc::default()
        };
        assert!(slots.put(last, desc));
        slots.submit(u32::MAX);
        assert_eq!(consumer.available(u32::MAX), size);
        assert_eq!(consumer.peek(u32::MAX).get(last), Some(desc));
    }
}

// A hostile other side.

/// The memory of a ring, with nothing between it and the test.
struct Bare<T: RingElement> {
    area: RingArea<T>,
    parts: Arc<Parts>,
}

struct Parts {
    words: [AtomicU32; 3],
    /// A guard, two words for each slot, of which a number takes one, and a guard.
    slots: Box<[AtomicU64]>,
}

/// What stands in front of the slots and behind them.
const GUARD: u64 = 0x5a5a_5a5a_a5a5_a5a5;

impl<T: RingElement> Bare<T> {
    const WORDS: usize = size_of::<T>() / 8;

    fn new(size: u32, index: u32) -> Self {
        let words = size as usize * Self::WORDS;
        let parts = Arc::new(Parts {
            words: [index, index, 0].map(AtomicU32::new),
            slots: (0..words + 2)
                .map(|word| {
                    AtomicU64::new(if (1..=words).contains(&word) {
                        0
                    } else {
                        GUARD
                    })
                })
                .collect(),
        });
        let [producer, consumer, flags] =
            [0, 1, 2].map(|word| NonNull::from(&parts.words[word]).cast());
        let slots = NonNull::from(&parts.slots[1..=words]).cast();
        let owner = parts.clone();
        // SAFETY: words and slots lie in `parts`, which the area keeps alive, and are atomics; the tests make one end over an area.
        let area =
            unsafe { RingArea::from_parts(producer, consumer, flags, slots, size, owner) }.unwrap();
        Self { area, parts }
    }

    fn area(&self) -> &RingArea<T> {
        &self.area
    }

    fn producer(&self) -> ProducerRing<T> {
        ProducerRing::new(self.area.clone())
    }

    fn consumer(&self) -> ConsumerRing<T> {
        ConsumerRing::new(self.area.clone())
    }

    /// The consuming end, as it would stand at an index.
    fn consumer_from(&self, index: u32) -> ConsumerRing<T> {
        self.claim_consumed(index);
        self.consumer()
    }

    /// Writes a slot as the other side would, whenever it likes.
    fn write(&self, slot: usize, entry: T) {
        self.area.slots().store(slot as u32, entry);
    }

    /// The bytes of a slot.
    fn bytes(&self, slot: usize) -> Vec<u8> {
        let words = &self.parts.slots[1 + slot * Self::WORDS..][..Self::WORDS];
        words
            .iter()
            .flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes())
            .collect()
    }

    /// What the other side claims.
    fn claim_produced(&self, index: u32) {
        self.area.producer().store(index, Ordering::Release);
    }

    fn claim_consumed(&self, index: u32) {
        self.area.consumer().store(index, Ordering::Release);
    }

    /// Whether nobody wrote beside the slots.
    fn is_whole(&self) -> bool {
        let ends = [self.parts.slots.first(), self.parts.slots.last()];
        ends.iter()
            .flatten()
            .all(|guard| guard.load(Ordering::Relaxed) == GUARD)
    }
}

#[test]
fn a_claim_of_more_entries_than_slots_reads_as_empty_and_is_counted() {
    for start in STARTS {
        let bare = Bare::<u64>::new(4, start);
        let mut consumer = bare.consumer();
        let lies = [5, 6, 1 << 16, 1 << 31, u32::MAX];
        for (count, lie) in (1..).zip(lies) {
            bare.claim_produced(start.wrapping_add(lie));
            assert!(consumer.peek(4).is_empty());
            assert_eq!(consumer.violations(), count);
            assert!(consumer.occupied() <= 4);
        }
        bare.claim_produced(start.wrapping_add(4));
        assert_eq!(consumer.peek(9).len(), 4);
        assert_eq!(consumer.violations(), lies.len() as u64);
        consumer.peek(4).release(4);
        assert_eq!(
            bare.area().consumer().load(Ordering::Relaxed),
            start.wrapping_add(4)
        );
    }
}

#[test]
fn a_claim_to_have_consumed_the_impossible_reads_as_full_and_is_counted() {
    for start in STARTS {
        let bare = Bare::<u64>::new(4, start);
        let mut producer = bare.producer();
        assert_eq!(producer.free(4), 4);
        producer.reserve(4).submit(4);
        // Beyond what was produced, or further back than the ring is long.
        let lies = [5, 6, 1 << 31, u32::MAX, u32::MAX - 7];
        for (count, lie) in (1..).zip(lies) {
            bare.claim_consumed(start.wrapping_add(lie));
            assert!(producer.reserve(1).is_empty());
            assert_eq!(producer.violations(), count);
            assert!(producer.occupied() <= 4);
        }
        bare.claim_consumed(start.wrapping_add(3));
        assert_eq!(producer.reserve(9).len(), 3);
        assert_eq!(producer.violations(), lies.len() as u64);
    }
}

#[test]
fn what_was_known_before_a_false_claim_can_still_be_used() {
    let bare = Bare::<u64>::new(8, u32::MAX - 3);
    let mut consumer = bare.consumer();
    bare.claim_produced(2);
    assert_eq!(consumer.available(6), 6);
    bare.claim_produced(1000);
    assert_eq!(consumer.peek(2).len(), 2);
    consumer.peek(2).release(2);
    assert_eq!((consumer.available(5), consumer.violations()), (0, 1));
    assert_eq!(consumer.peek(4).len(), 4);
    bare.claim_produced(3);
    assert_eq!((consumer.available(5), consumer.violations()), (5, 1));
}

#[test]
fn an_index_that_goes_back_takes_unread_entries_away_and_nothing_else() {
    let bare = Bare::<u64>::new(8, 0);
    let mut consumer = bare.consumer();
    bare.claim_produced(6);
    consumer.peek(2).release(2);
    bare.claim_produced(3);
    assert_eq!(consumer.available(5), 1);
    bare.claim_produced(1); // Behind what was consumed: one less than none.
    assert_eq!((consumer.available(5), consumer.violations()), (0, 1));
}

#[test]
fn a_producer_over_a_wild_index_starts_full_and_recovers() {
    let bare = Bare::<u64>::new(4, 0);
    bare.claim_consumed(77);
    let mut producer = bare.producer();
    assert_eq!((producer.free(1), producer.violations()), (0, 1));
    bare.claim_consumed(0);
    assert_eq!((producer.free(1), producer.violations()), (4, 1));
}

#[test]
fn random_claims_of_the_other_side_never_lead_outside_the_slots() {
    for seed in 0..8 {
        let mut random = Random(seed);
        let size = 1 << random.below(5);
        let start = STARTS[random.below(4) as usize];
        let (produced, consumed) = (Bare::<u64>::new(size, start), Bare::<u64>::new(size, start));
        let (mut producer, mut consumer) = (produced.producer(), consumed.consumer());
        for _ in 0..20_000 {
            let (ours, theirs) = (producer.indices().0, consumer.indices().1);
            // Half of the claims are near the truth, so that the ring goes on.
            let mut wild = |near: u32| match random.below(4) {
                0 => random.next() as u32,
                1 => near.wrapping_add(random.below(3 * size)).wrapping_sub(size),
                _ => near.wrapping_add(random.below(size + 1)),
            };
            produced.claim_consumed(wild(ours.wrapping_sub(size)));
            consumed.claim_produced(wild(theirs));
            let (wanted, passed) = (random.below(2 * size + 1), random.below(2 * size + 1));

            let mut slots = producer.reserve(wanted);
            let len = slots.len();
            assert!(len <= size.min(wanted));
            let mut writer = slots.writer();
            while writer.push(1) {}
            assert_eq!(writer.written(), len);
            assert!(produced.is_whole());
            slots.submit(passed);
            assert_eq!(producer.indices().0, ours.wrapping_add(passed.min(len)));
            assert!(producer.occupied() <= size);

            let entries = consumer.peek(wanted);
            let len = entries.len();
            assert!(len <= size.min(wanted));
            assert_eq!(entries.iter().len(), len as usize);
            // Not what stands beside the slots.
            assert!(entries.iter().all(|entry| entry == 0));
            assert!((0..2 * size).all(|index| entries.get(index).is_some() == (index < len)));
            entries.release(passed);
            assert_eq!(consumer.indices().1, theirs.wrapping_add(passed.min(len)));
            assert!(consumer.occupied() <= size);
        }
        assert!(producer.violations() > 1000 && consumer.violations() > 1000);
        // The other side comes to its senses.
        let (ours, theirs) = (producer.indices().0, consumer.indices().1);
        produced.claim_consumed(ours);
        consumed.claim_produced(theirs.wrapping_add(size));
        assert_eq!(
            (producer.free(size), consumer.available(size)),
            (size, size)
        );
    }
}

#[test]
fn a_socket_over_wild_rings_never_gives_a_frame_two_owners() {
    const FRAMES: u32 = 24;
    for seed in 0..8 {
        let mut random = Random(seed);
        let umem = UmemRegion::heap(UmemConfig {
            frames: FRAMES,
            chunk_size: 2048,
            ..UmemConfig::default()
        })
        .unwrap();
        let lease = umem.frames().leases(1).unwrap();
        let start = STARTS[random.below(4) as usize];
        let (fill, completion) = (Bare::<u64>::new(8, start), Bare::<u64>::new(16, start));
        let (tx, rx) = (Bare::<Desc>::new(4, start), Bare::<Desc>::new(16, start));
        let rings = Rings {
            fill: fill.producer(),
            rx: rx.consumer(),
            tx: tx.producer(),
            completion: completion.consumer(),
        };
        let mut rings = SocketRings::new(rings, &lease[0]).unwrap();
        let mut batch = PacketBatch::with_capacity(8);
        let mut held = Vec::new();
        let mut received = 0;
        for _ in 0..10_000 {
            // The kernel: anything in the slots, and indices that may be true or not.
            let mut claim = |ours: &AtomicU32, behind, range| {
                let near = ours.load(Ordering::Relaxed).wrapping_sub(behind);
                match random.below(8) {
                    0 => random.next() as u32,
                    1 => near.wrapping_sub(1 + random.below(20)),
                    _ => near.wrapping_add(random.below(range)),
                }
            };
            fill.claim_consumed(claim(fill.area().producer(), 8, 9));
            tx.claim_consumed(claim(tx.area().producer(), 4, 5));
            rx.claim_produced(claim(rx.area().consumer(), 0, 5));
            completion.claim_produced(claim(completion.area().consumer(), 0, 5));
            for slot in 0..16 {
                let addr = u64::from(random.below((FRAMES + 2) * 2048));
                completion.write(slot, addr);
                let len = random.below(2048);
                rx.write(
                    slot,
                    Desc {
                        addr,
                        len,
                        options: 0,
                    },
                );
            }
            // The program.
            match random.below(8) {
                0 | 1 => {
                    received += rings.receive(&mut batch, u32::MAX);
                    held.extend(batch.drain());
                }
                2 => {
                    rings.recv_each(8, |mut packet| packet.data_mut().fill(1));
                }
                3 => {
                    rings.forward_each(8, |_| Verdict::Send);
                }
                4 => {
                    rings.refill_sent();
                    rings.lend_free(u32::MAX);
                }
                5 => {
                    rings.reap();
                }
                6 => {
                    let kept = held.split_off(held.len().min(3));
                    for packet in std::mem::replace(&mut held, kept) {
                        let _ = rings.send_one(packet);
                    }
                }
                _ => held.extend(rings.alloc()),
            }
            let mut frames: Vec<_> = held.iter().map(|packet| packet.address() / 2048).collect();
            frames.sort_unstable();
            frames.dedup();
            assert_eq!(frames.len(), held.len());
            let state = rings.state();
            assert!(state.is_conserved(), "{state}");
            assert_eq!(state.ledger.user as usize, held.len());
        }
        assert!(received > 100);
        let state = rings.state();
        for ring in [state.fill, state.rx, state.tx, state.completion] {
            assert!(ring.violations > 100, "{state}");
        }
        assert!(state.rx.refused > 100 && state.completion.refused > 100);
        drop((rings, held));
        drop(lease);
        assert_eq!(umem.accounting().pool, FRAMES);
    }
}

/// A socket with eight frames, four of them on loan, whose other side may write to its rings at any time.
struct Rewritten {
    // Dropped in this order, as in a `FluxRaw`.
    rings: SocketRings,
    _leases: Arc<Leases>,
    umem: UmemRegion,
    fill: Bare<u64>,
    rx: Bare<Desc>,
    tx: Bare<Desc>,
}

const GOOD: [Desc; 4] = {
    let mut descs = [Desc {
        addr: 0,
        len: 60,
        options: 0,
    }; 4];
    let mut frame = 0;
    while frame < 4 {
        descs[frame].addr = frame as u64 * 2048 + 256;
        frame += 1;
    }
    descs
};

impl Rewritten {
    fn new() -> Self {
        let umem = UmemRegion::heap(UmemConfig {
            frames: 8,
            chunk_size: 2048,
            ..UmemConfig::default()
        })
        .unwrap();
        let leases = umem.frames().leases(1).unwrap();
        let (fill, completion) = (Bare::<u64>::new(16, 0), Bare::<u64>::new(16, 0));
        let (tx, rx) = (Bare::<Desc>::new(4, 0), Bare::<Desc>::new(4, 0));
        let rings = Rings {
            fill: fill.producer(),
            rx: rx.consumer(),
            tx: tx.producer(),
            completion: completion.consumer(),
        };
        let mut rings = SocketRings::new(rings, &leases[0]).unwrap();
        assert_eq!(rings.lend_free(4), 4);
        fill.claim_consumed(4);
        for (slot, desc) in GOOD.into_iter().enumerate() {
            rx.write(slot, desc);
        }
        rx.claim_produced(4);
        Self {
            rings,
            _leases: leases,
            umem,
            fill,
            rx,
            tx,
        }
    }

    /// What was put into the fill ring since.
    fn filled(&self) -> Vec<u64> {
        let end = self.fill.area().producer().load(Ordering::Acquire);
        let slots = self.fill.area().slots();
        (4..end).map(|index| slots.load(index)).collect()
    }

    /// What was put into the TX ring.
    fn sent(&self) -> Vec<Desc> {
        let end = self.tx.area().producer().load(Ordering::Acquire);
        let slots = self.tx.area().slots();
        (0..end).map(|index| slots.load(index)).collect()
    }
}

/// Makes all entries of an RX ring name memory that is nobody's.
fn wreck(rx: &Bare<Desc>) {
    for slot in 0..4 {
        let desc = Desc {
            addr: 1 << 40,
            len: u32::MAX,
            options: 0,
        };
        rx.write(slot, desc);
    }
}

/// Uses a packet, which must be the one that was announced.
fn use_packet(address: u64, bytes: &mut [u8]) {
    assert_eq!((address, bytes.len()), (GOOD[0].addr, 60));
    bytes.fill(1);
}

#[test]
fn an_entry_that_is_rewritten_once_it_was_seen_stays_what_it_was() {
    type Way = fn(&mut Rewritten) -> u32;
    // Each rewrites the ring while the first packet is looked at: that one stays, the others are refused.
    let ways: [Way; 5] = [
        |world| {
            let rx = &world.rx;
            world.rings.recv_each(4, |mut packet| {
                wreck(rx);
                use_packet(packet.address(), packet.data_mut());
            })
        },
        |world| {
            let rx = &world.rx;
            world.rings.forward_each(4, |mut packet| {
                wreck(rx);
                use_packet(packet.address(), packet.data_mut());
                Verdict::Send
            })
        },
        |world| {
            let rx = &world.rx;
            world.rings.recv_each(4, |packet| {
                wreck(rx);
                let mut packet = packet.into_packet();
                wreck(rx);
                use_packet(packet.address(), packet.data_mut());
            })
        },
        |world| {
            let rx = &world.rx;
            let SocketRings {
                rx_side, lender, ..
            } = &mut world.rings;
            rx_side.receive(lender, 4, |mut packet| {
                wreck(rx);
                use_packet(packet.address(), packet.data_mut());
            })
        },
        |world| {
            let peeked = world.rings.peek(4);
            assert_eq!(peeked, GOOD);
            wreck(&world.rx);
            assert_eq!(peeked, GOOD);
            world.rings.recv_each(1, |_| ());
            1
        },
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let mut world = Rewritten::new();
        assert_eq!(way(&mut world), 1, "way {number}");
        let first = GOOD[0];
        match number {
            0 => assert_eq!(world.filled(), [first.addr]),
            1 => assert_eq!(world.sent(), [first]),
            _ => assert_eq!(world.filled(), [0; 0]),
        }
        assert!(world.rings.state().is_conserved());
        drop((world.rings, world._leases));
        assert_eq!(world.umem.accounting().pool, 8);
    }
}

#[test]
fn entries_that_are_rewritten_while_a_callback_has_their_packets_go_where_they_came_from() {
    for sends in [false, true] {
        let mut world = Rewritten::new();
        let mut slots = Slots::new(4);
        let mut tally = Tally::default();
        let through = PortContext { port: 0, ports: 1 };
        let rx = &world.rx;
        let shown = world
            .rings
            .show_batch(4, &mut slots, through, &mut [], &mut tally, |batch| {
                wreck(rx);
                batch.for_each(|packet| {
                    packet.data_mut().fill(1);
                    if sends {
                        packet.send();
                    }
                });
            })
            .unwrap();
        assert_eq!((shown.count, shown.all_recycled), (4, !sends));
        let addrs = GOOD.map(|desc| desc.addr);
        assert_eq!(world.filled(), if sends { &[][..] } else { &addrs[..] });
        assert_eq!(world.sent(), if sends { &GOOD[..] } else { &[][..] });
        assert!(world.rings.state().is_conserved());
    }
}

#[test]
fn entries_that_change_all_the_time_lead_to_no_other_memory() {
    let rounds = if cfg!(miri) { 50 } else { 20_000 };
    let mut world = Rewritten::new();
    let bytes = world.umem.geometry().bytes();
    let (rx, done) = (&world.rx, &AtomicU32::new(0));
    thread::scope(|scope| {
        scope.spawn(move || {
            while done.load(Ordering::Relaxed) == 0 {
                wreck(rx);
                for (slot, desc) in GOOD.into_iter().enumerate() {
                    rx.write(slot, desc);
                }
                if cfg!(miri) {
                    thread::yield_now();
                }
            }
        });
        for round in 0..rounds {
            rx.claim_produced(rx.area().consumer().load(Ordering::Relaxed).wrapping_add(4));
            let (fill, tx) = (world.fill.area(), world.tx.area());
            world
                .fill
                .claim_consumed(fill.producer().load(Ordering::Relaxed));
            world
                .tx
                .claim_consumed(tx.producer().load(Ordering::Relaxed));
            let look = |packet: &mut PacketRef<'_>| {
                let (address, len) = (packet.address(), packet.len() as u64);
                assert!(address < bytes && address % 2048 + len <= 2048);
                packet.data_mut().fill(1);
            };
            if round % 2 == 0 {
                world.rings.recv_each(4, |mut packet| look(&mut packet));
            } else {
                world.rings.forward_each(4, |mut packet| {
                    look(&mut packet);
                    Verdict::Send
                });
            }
        }
        done.store(1, Ordering::Relaxed);
    });
    // Each of them was refused or shown.
    let state = world.rings.state();
    assert_eq!(
        state.rx.refused + world.rings.totals().0,
        4 * rounds,
        "{state}"
    );
    for desc in world.sent().into_iter().rev().take(4) {
        assert!(GOOD.contains(&desc), "{desc:?}");
    }
}

/// A small generator of numbers that look random and are the same in each run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u32) -> u32 {
        (self.next() % u64::from(end)) as u32
    }
}
