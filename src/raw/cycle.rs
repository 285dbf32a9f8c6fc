//! The four rings with the frames that go round in them.

#![forbid(unsafe_code)]

use crate::batch::PacketBatch;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::kernel::Rings;
use crate::packet::{Lease, Lender, Packet, PacketRef, Verdict};
use crate::pool::FramePool;
use crate::raw::state::{RingState, RingsState};
use crate::ring::{ConsumerRing, Desc, ProducerRing};
use crate::umem::Accounting;

/// The four rings of a socket, its free frames, and the count of what passed.
#[derive(Debug)]
pub(crate) struct Cycle {
    fill: ProducerRing<u64>,
    rx: ConsumerRing<Desc>,
    tx: ProducerRing<Desc>,
    completion: ConsumerRing<u64>,
    lender: Lender,
    pool: FramePool,
    passed: Passed,
    share: Share,
    /// Where addresses go that the fill ring has no room for, on their way to the pool.
    spare: Box<[u64; 64]>,
}

/// How many frames the receiving side may have, in the fill ring, the RX ring and the kernel between them.
#[derive(Debug, Clone, Copy)]
struct Share {
    /// Free frames go to the fill ring up to here.
    wanted: u32,
    /// Frames that were sent go there, the shortest way, up to here. The rest of the UMEM stays for sending.
    most: u32,
}

impl Share {
    /// Of `free` frames.
    fn of(free: u32, fill_slots: u32, rx_slots: u32) -> Self {
        let wanted = free.div_ceil(2).min(fill_slots);
        let most = (free / 4 * 3).min(fill_slots + rx_slots).max(wanted);
        Self { wanted, most }
    }
}

/// Frames that passed through each ring, ever, and entries that were refused.
#[derive(Debug, Clone, Copy, Default)]
struct Passed {
    fill: u64,
    rx: u64,
    tx: u64,
    completion: u64,
    rx_refused: u64,
    completion_refused: u64,
}

/// How far a call came along the entries of a ring.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// Entries looked at.
    seen: u32,
    /// Entries accepted.
    taken: u32,
}

impl Progress {
    /// Adds a run in which the first `done` of the `tried` entries were accepted; the one after them, if any, was refused.
    #[inline]
    fn add(&mut self, done: usize, tried: usize) {
        self.taken += done as u32;
        self.seen += done as u32 + u32::from(done < tried);
    }

    fn refused(self) -> u64 {
        u64::from(self.seen - self.taken)
    }
}

impl Cycle {
    pub(crate) fn new(rings: Rings, lease: &Lease) -> Self {
        let free = lease.frames().at_home();
        Self {
            share: Share::of(free, rings.fill.size(), rings.rx.size()),
            fill: rings.fill,
            rx: rings.rx,
            tx: rings.tx,
            completion: rings.completion,
            lender: Lender::new(lease),
            pool: FramePool::new(lease.frames().clone()),
            passed: Passed::default(),
            spare: Box::new([0; 64]),
        }
    }

    #[inline]
    pub(crate) fn inspect(&mut self, max: u32, mut look: impl FnMut(&mut PacketRef<'_>)) -> u32 {
        let mut left = self.rx.available(max).min(max);
        let mut total = 0;
        // A run at a time, each finished before the next begins, so that a panic of `look` leaves no frame half-way.
        while left > 0 {
            let entries = self.rx.peek(left);
            let run = entries.run(0);
            let mut slots = self.fill.reserve(run.len() as u32);
            let places = slots.run_mut(0);
            let full = places.is_empty();
            let places = if full { &mut self.spare[..] } else { places };
            let tried = run.len().min(places.len());
            let done = self.lender.recycle_run(&run[..tried], places, &mut look);
            let seen = done as u32 + u32::from(done < tried);
            let taken = if full {
                self.lender.pool_run(&self.spare[..done], &mut self.pool)
            } else {
                slots.submit(done as u32);
                self.passed.fill += done as u64;
                done as u32
            };
            entries.release(seen);
            self.passed.rx += u64::from(taken);
            self.passed.rx_refused += u64::from(seen - taken);
            left -= seen;
            total += done as u32;
        }
        total
    }

    /// The first received packets, as far as they stand in one piece, up to `max`; refused entries in front are skipped.
    pub(crate) fn peek(&mut self, max: u32) -> &[Desc] {
        while self.rx.available(1) > 0 {
            let entries = self.rx.peek(max);
            if entries.is_empty() || !self.lender.accepted(&entries.run(0)[..1]).is_empty() {
                break;
            }
            entries.release(1);
            self.passed.rx_refused += 1;
        }
        self.lender.accepted(self.rx.peek(max).into_run())
    }

    #[inline]
    pub(crate) fn forward(
        &mut self,
        max: u32,
        mut judge: impl FnMut(&mut PacketRef<'_>) -> Verdict,
    ) -> u32 {
        let mut left = self.rx.available(max).min(max);
        let mut total = 0;
        // A run at a time, as in `inspect`.
        while left > 0 {
            let entries = self.rx.peek(left);
            let run = entries.run(0);
            let mut out = self.tx.reserve(run.len() as u32);
            let mut slots = self.fill.reserve(run.len() as u32);
            let (sent, places) = (out.run_mut(0), slots.run_mut(0));
            let full = places.is_empty();
            let places = if full { &mut self.spare[..] } else { places };
            let tried = run.len().min(places.len()).min(sent.len());
            if tried == 0 {
                break;
            }
            let done = self
                .lender
                .forward_run(&run[..tried], places, sent, &mut judge);
            let (recycled, sent) = (done.recycled as u32, done.sent as u32);
            let seen = recycled + sent + u32::from(done.recycled + done.sent < tried);
            let kept = if !full {
                slots.submit(recycled);
                self.passed.fill += u64::from(recycled);
                recycled
            } else if recycled > 0 {
                self.lender
                    .pool_run(&self.spare[..done.recycled], &mut self.pool)
            } else {
                0
            };
            out.submit(sent);
            entries.release(seen);
            self.passed.tx += u64::from(sent);
            self.passed.rx += u64::from(kept + sent);
            self.passed.rx_refused += u64::from(seen - kept - sent);
            left -= seen;
            total += recycled + sent;
        }
        total
    }

    pub(crate) fn receive(&mut self, batch: &mut PacketBatch, max: u32) -> u32 {
        let room = u32::try_from(batch.room()).unwrap_or(u32::MAX);
        let entries = self.rx.peek(room.min(max));
        let mut progress = Progress::default();
        while progress.seen < entries.len() {
            let run = entries.run(progress.seen);
            progress.add(self.lender.receive_run(run, batch), run.len());
        }
        entries.release(progress.seen);
        self.passed.rx += u64::from(progress.taken);
        self.passed.rx_refused += progress.refused();
        progress.taken
    }

    pub(crate) fn recycle(&mut self, batch: &mut PacketBatch) -> Result<()> {
        self.check_home(batch)?;
        // While they were held, others took their place: without a limit the receiving side would end up with every frame.
        let missing = self.share.most.saturating_sub(self.rx_outstanding());
        let mut slots = self.fill.reserve(missing.min(batch.len() as u32));
        let mut done = 0;
        while done < slots.len() {
            done += self.lender.give_run(batch, slots.run_mut(done)) as u32;
        }
        slots.submit(done);
        self.passed.fill += u64::from(done);
        batch.clear();
        Ok(())
    }

    pub(crate) fn send(&mut self, batch: &mut PacketBatch) -> Result<u32> {
        if !batch.iter().all(|packet| self.can_send(packet)) {
            self.check_home(batch)?;
            return Err(unfit_to_send(batch));
        }
        let mut slots = self.tx.reserve(batch.len() as u32);
        let mut done = 0;
        while done < slots.len() {
            done += self.lender.send_run(batch, slots.run_mut(done)) as u32;
        }
        slots.submit(done);
        self.passed.tx += u64::from(done);
        Ok(done)
    }

    pub(crate) fn send_one(&mut self, packet: Packet) -> Result<(), Packet> {
        if !self.can_send(&packet) {
            return Err(packet);
        }
        let mut slots = self.tx.reserve(1);
        let [slot, ..] = slots.run_mut(0) else {
            return Err(packet);
        };
        *slot = self.lender.lend(packet);
        slots.submit(1);
        self.passed.tx += 1;
        Ok(())
    }

    pub(crate) fn alloc(&mut self) -> Option<Packet> {
        self.pool.alloc().or_else(|| {
            self.reap();
            self.pool.alloc()
        })
    }

    /// Up to `max` fresh packets; reaps if the pool has not enough.
    pub(crate) fn alloc_batch(&mut self, batch: &mut PacketBatch, max: u32) -> u32 {
        let wanted = batch.room().min(max as usize) as u32;
        let mut done = self.lender.frames().fresh_batch(&mut self.pool, batch, max);
        if done < wanted && self.reap() > 0 {
            let rest = wanted - done;
            done += self
                .lender
                .frames()
                .fresh_batch(&mut self.pool, batch, rest);
        }
        done
    }

    /// Sent frames to the pool.
    pub(crate) fn reap(&mut self) -> u32 {
        let entries = self.completion.peek(u32::MAX);
        let mut progress = Progress::default();
        while progress.seen < entries.len() {
            let run = entries.run(progress.seen);
            progress.add(self.lender.reap_run(run, &mut self.pool), run.len());
        }
        entries.release(progress.seen);
        self.passed.completion += u64::from(progress.taken);
        self.passed.completion_refused += progress.refused();
        progress.taken
    }

    /// Tops the receiving side up: with frames that were sent, then with free ones. What it does not need of the sent frames goes
    /// to the pool, so that the completion ring is empty afterwards.
    #[inline]
    pub(crate) fn refill(&mut self) -> u32 {
        let sent = self.refill_sent();
        if self.completion.available(1) > 0 {
            self.reap();
        }
        sent + self.refill_free()
    }

    /// Sent frames to the fill ring.
    #[inline]
    pub(crate) fn refill_sent(&mut self) -> u32 {
        let missing = self.share.most.saturating_sub(self.rx_outstanding());
        let entries = self.completion.peek(missing);
        let mut slots = self.fill.reserve(entries.len());
        let mut progress = Progress::default();
        while progress.taken < slots.len() && progress.seen < entries.len() {
            let (run, places) = (entries.run(progress.seen), slots.run_mut(progress.taken));
            let tried = run.len().min(places.len());
            progress.add(self.lender.refill_run(&run[..tried], places), tried);
        }
        slots.submit(progress.taken);
        entries.release(progress.seen);
        self.passed.fill += u64::from(progress.taken);
        self.passed.completion += u64::from(progress.taken);
        self.passed.completion_refused += progress.refused();
        progress.taken
    }

    /// Free frames to the fill ring.
    #[inline]
    pub(crate) fn refill_free(&mut self) -> u32 {
        let missing = self.share.wanted.saturating_sub(self.rx_outstanding());
        if missing == 0 {
            return 0;
        }
        self.lend_free(missing)
    }

    pub(crate) fn lend_free(&mut self, max: u32) -> u32 {
        let mut slots = self.fill.reserve(max);
        let mut done = 0;
        while done < slots.len() {
            let lent = self.lender.lend_run(&mut self.pool, slots.run_mut(done));
            if lent == 0 {
                break;
            }
            done += lent as u32;
        }
        slots.submit(done);
        self.passed.fill += u64::from(done);
        done
    }

    /// Frames on loan to receive into: all but those of packets that are being sent.
    #[inline]
    fn rx_outstanding(&self) -> u32 {
        self.lender
            .lent()
            .saturating_sub(self.tx_outstanding() as u32)
    }

    fn check_home(&self, batch: &PacketBatch) -> Result<()> {
        let frames = self.lender.frames();
        if batch.iter().all(|packet| packet.belongs_to(frames)) {
            return Ok(());
        }
        Err(FluxError::invalid(
            "give packets to this socket",
            "one of them lies in the UMEM of another socket",
            "copy it into a packet from alloc(), or let both sockets share one UMEM",
        ))
    }

    /// The kernel refuses empty descriptors, and may not give their frames back; options that the socket was not bound for
    /// can block its TX ring.
    #[inline]
    fn can_send(&self, packet: &Packet) -> bool {
        packet.belongs_to(self.lender.frames()) && packet.options() == 0 && !packet.is_empty()
    }

    pub(crate) fn rx_available(&mut self) -> bool {
        self.rx.available(1) > 0
    }

    pub(crate) fn tx_pending(&self) -> u32 {
        self.tx.occupied()
    }

    pub(crate) fn tx_room(&mut self) -> u32 {
        self.tx.free(self.tx.size())
    }

    /// Packets that were given to the kernel and have not come back.
    pub(crate) fn tx_outstanding(&self) -> u64 {
        self.passed.tx.saturating_sub(self.passed.completion)
    }

    pub(crate) fn rx_needs_wakeup(&self) -> bool {
        self.fill.needs_wakeup()
    }

    pub(crate) fn tx_needs_wakeup(&self) -> bool {
        self.tx.needs_wakeup()
    }

    /// Packets received and packets sent, ever.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.passed.rx, self.passed.tx)
    }

    pub(crate) fn state(&self) -> RingsState {
        let passed = self.passed;
        let frames = self.lender.frames();
        let ledger = frames.ledger();
        let count = frames.geometry().frames();
        let on_the_way = (passed.fill + passed.tx) - (passed.rx + passed.completion);
        RingsState {
            fill: RingState::of_producer(&self.fill),
            rx: RingState::of_consumer(&self.rx, passed.rx_refused),
            tx: RingState::of_producer(&self.tx),
            completion: RingState::of_consumer(&self.completion, passed.completion_refused),
            counted: Accounting {
                frames: count,
                pool: frames.at_home() + self.pool.len(),
                user: frames.with_user(),
                kernel: on_the_way as u32,
            },
            ledger: Accounting {
                frames: count,
                pool: ledger.pool,
                user: ledger.user,
                kernel: ledger.kernel,
            },
        }
    }
}

#[cold]
fn unfit_to_send(batch: &PacketBatch) -> FluxError {
    if batch.iter().any(|packet| packet.options() != 0) {
        return FluxError::invalid(
            "send packets",
            "one of them has option bits set",
            "set options to 0",
        );
    }
    FluxError::new(
        ErrorKind::Invalid,
        errno::EMSGSIZE,
        "send packets",
        "one of them is empty",
        "set its length and fill it in",
    )
}
