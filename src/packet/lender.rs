//! A socket's frames changing hands, a contiguous run of ring slots at a time.
//!
//! What the kernel hands back is *accepted* only if it lies within one chunk that is on loan from this socket. There are two ways
//! to know: to look each frame up in the ledger, or by counting. If all frames on loan lie below chunk `z`, and `z` frames are on
//! loan, then every chunk below `z` is on loan, and it is enough that the addresses are below `z`. In a program whose frames all
//! circulate between the four rings, counting always answers, and a packet costs no look-up at all.

use std::sync::atomic::Ordering;

use super::frames::{POOL, USER};
use super::lease::{INWARD, Lease, OUTWARD};
use super::wide;
use super::{Frames, Packet};
use crate::batch::PacketBatch;
use crate::pool::FramePool;
use crate::ring::Desc;

/// One socket as the ledger knows it: lends frames to the kernel and accepts only those back.
///
/// The functions that accept stop at the first entry they refuse and return how many they handled; the caller skips that one.
#[derive(Debug)]
pub(crate) struct Lender {
    pub(super) frames: Frames,
    /// Of what it lends. What has it, nobody else takes back.
    pub(super) mark: u32,
    /// Of what was lent before the socket was split, which both halves may take back; else the same as `mark`.
    former: u32,
    /// Of frames in the fill ring and in packets on their way here: that of a [group](Self::member), or else the same as `mark`.
    pub(super) shared: u32,
    /// Ledger entries with this mark. Means nothing in a group.
    pub(super) lent: u32,
    /// No chunk from here on has this mark.
    bound: u64,
}

/// The bound of a lender that does not count: more than any number of frames on loan.
const UNBOUNDED: u64 = u64::MAX;

impl Lender {
    pub(crate) fn new(lease: &Lease) -> Self {
        Self {
            frames: lease.frames().clone(),
            mark: lease.mark(),
            former: lease.mark(),
            shared: lease.mark(),
            lent: 0,
            bound: 0,
        }
    }

    /// A member of a group of sockets with one fill ring. The frames in it carry the mark of the group, and any member may receive a
    /// packet in one: by changing the mark to its own, which only one of them can.
    pub(crate) fn member(lease: &Lease, group: &Lease) -> Self {
        Self {
            shared: group.mark(),
            bound: UNBOUNDED,
            ..Self::new(lease)
        }
    }

    #[inline]
    fn is_member(&self) -> bool {
        self.shared != self.former
    }

    /// One lender for each half of the socket, to receive and to send; `sending` of the frames on loan are packets being sent.
    ///
    /// The frames that each lends from now on are accepted from its own rings alone, so that the two, on two threads, never take the
    /// same one, whatever stands in the rings. Which of the frames that are on loan already will come back where, only the kernel knows:
    /// of those each is taken by whoever is first.
    pub(crate) fn split(self, sending: u32) -> (Self, Self) {
        let half = |side, lent| Self {
            frames: self.frames.clone(),
            mark: self.former | side,
            former: self.former,
            shared: match self.is_member() {
                true => self.shared,
                false => self.former | side,
            },
            lent,
            bound: UNBOUNDED,
        };
        let sending = sending.min(self.lent);
        (half(INWARD, self.lent - sending), half(OUTWARD, sending))
    }

    /// The UMEM.
    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// The number of frames on loan.
    #[inline]
    pub(crate) fn lent(&self) -> u32 {
        self.lent
    }

    /// Marks a chunk, which the caller owns, as on loan.
    #[inline]
    fn lend_chunk(&mut self, chunk: u32) {
        self.lend_as(chunk, self.mark);
    }

    /// Marks a chunk, which the caller owns, as on loan to receive into.
    #[inline]
    fn lend_to_fill(&mut self, chunk: u32) {
        self.lend_as(chunk, self.shared);
    }

    #[inline]
    fn lend_as(&mut self, chunk: u32, mark: u32) {
        self.frames.set_owner(chunk, mark);
        self.lent = self.lent.wrapping_add(1);
        self.bound = self.bound.max(u64::from(chunk) + 1);
    }

    /// Whether every chunk below the bound is on loan.
    #[inline]
    fn all_below_bound(&self) -> bool {
        u64::from(self.lent) == self.bound
    }

    /// The chunk at an address, if it is on loan.
    #[inline]
    fn chunk_on_loan(&self, addr: u64) -> Option<u32> {
        let chunk = self.frames.chunk_of(addr)?;
        let owner = self.frames.owner_entry(chunk);
        (owner == self.mark || owner == self.former || self.claim(chunk)).then_some(chunk)
    }

    /// Makes a frame of the group its own.
    #[cold]
    fn claim(&self, chunk: u32) -> bool {
        self.is_member() && self.frames.pass(chunk, self.shared, self.mark)
    }

    /// Makes frames that were written to the fill ring the group's.
    #[inline]
    pub(crate) fn share(&self, fill: &[u64]) {
        if self.is_member() {
            self.share_frames(fill);
        }
    }

    #[cold]
    fn share_frames(&self, fill: &[u64]) {
        for &addr in fill {
            if let Some(chunk) = self.frames.chunk_of(addr)
                && !self.frames.pass(chunk, self.mark, self.shared)
            {
                self.frames.pass(chunk, self.former, self.shared);
            }
        }
    }

    /// Gives a chunk that is on loan to `owner`; false when it is not.
    #[inline]
    pub(super) fn take_back(&self, chunk: u32, owner: u32) -> bool {
        if self.frames.owner_entry(chunk) == self.mark {
            self.frames.set_owner(chunk, owner);
            return true;
        }
        self.take_former_back(chunk, owner)
    }

    /// Likewise, a chunk that was lent before the socket was split, or by the group.
    #[cold]
    pub(super) fn take_former_back(&self, chunk: u32, owner: u32) -> bool {
        self.frames.pass(chunk, self.former, owner)
            || (self.is_member() && self.frames.pass(chunk, self.shared, owner))
    }

    /// The chunk of an acceptable descriptor, given to the user.
    #[inline]
    pub(super) fn receive(&self, desc: &Desc) -> Option<u32> {
        let chunk_size = u64::from(self.frames.geometry().chunk_size());
        let end = (desc.addr & (chunk_size - 1)) + u64::from(desc.len);
        let chunk = self.frames.chunk_of(desc.addr)?;
        (end <= chunk_size && self.take_back(chunk, USER)).then_some(chunk)
    }

    /// The chunk of a descriptor, if it is acceptable.
    #[inline]
    pub(super) fn accept(&self, desc: &Desc) -> Option<u32> {
        let chunk_size = u64::from(self.frames.geometry().chunk_size());
        let end = (desc.addr & (chunk_size - 1)) + u64::from(desc.len);
        self.chunk_on_loan(desc.addr).filter(|_| end <= chunk_size)
    }

    /// How many descriptors at the front of a run are acceptable.
    ///
    /// The bits of all descriptors are united and the union is checked, at one instruction a packet. It may say no although
    /// each descriptor is fine; then they are looked up one by one.
    #[inline]
    fn acceptable(&self, run: &[Desc]) -> usize {
        let (addr, rest) = Desc::union(run);
        self.acceptable_in(run, addr, rest)
    }

    /// [`acceptable`](Self::acceptable), for a run whose union is known.
    #[inline]
    pub(super) fn acceptable_in(&self, run: &[Desc], addr: u64, len: u64) -> usize {
        let chunk_size = u64::from(self.frames.geometry().chunk_size());
        let fit = len <= chunk_size - (addr & (chunk_size - 1));
        if fit && self.all_below_bound() && addr < self.frames.address_of(self.lent) {
            return run.len();
        }
        self.look_up_descs(run, addr, fit)
    }

    /// As [`acceptable`](Self::acceptable), by the ledger; `fit`: no descriptor leaves its chunk.
    #[inline(never)]
    fn look_up_descs(&self, run: &[Desc], union: u64, fit: bool) -> usize {
        if fit
            && self
                .frames
                .all_owned(run, |desc| desc.addr, union, self.mark)
        {
            return run.len();
        }
        run.iter()
            .position(|desc| self.accept(desc).is_none())
            .unwrap_or(run.len())
    }

    /// How many addresses at the front of a run are on loan, by the ledger.
    #[inline(never)]
    fn look_up_addrs(&self, run: &[u64], union: u64) -> usize {
        if self.frames.all_owned(run, |&addr| addr, union, self.mark) {
            return run.len();
        }
        run.iter()
            .position(|&addr| self.chunk_on_loan(addr).is_none())
            .unwrap_or(run.len())
    }

    /// The acceptable descriptors at the front of a run.
    #[inline]
    pub(crate) fn accepted<'a>(&self, run: &'a [Desc]) -> &'a [Desc] {
        &run[..self.acceptable(run)]
    }

    /// Writes the addresses of sent frames to the fill run. They stay on loan.
    #[inline]
    pub(crate) fn refill_run(&mut self, run: &[u64], fill: &mut [u64]) -> usize {
        let union = wide::copy_united(run, fill);
        let counted = self.all_below_bound() && union < self.frames.address_of(self.lent);
        let done = if counted {
            run.len()
        } else {
            self.look_up_addrs(run, union)
        };
        self.share(&fill[..done]);
        done
    }

    /// Takes frames back into the pool.
    pub(crate) fn reap_run(&mut self, run: &[u64], pool: &mut FramePool) -> usize {
        for (done, &addr) in run.iter().enumerate() {
            let chunk = self.frames.chunk_of(addr);
            let Some(chunk) = chunk.filter(|&chunk| self.take_back(chunk, POOL)) else {
                return done;
            };
            self.returned(1);
            pool.put(chunk);
        }
        run.len()
    }

    /// Sends frames home by the return stack, but first takes as many into the pool as it is short of.
    #[inline]
    pub(crate) fn reap_run_home(&mut self, run: &[u64], pool: &mut FramePool) -> usize {
        let kept = run.len().min(pool.room());
        let mut done = self.reap_run(&run[..kept], pool);
        if done < kept {
            return done;
        }
        let rest = &run[kept..];
        let union = rest.iter().fold(0, |all, addr| all | addr);
        done += match self.frames.chunk_of(union) {
            Some(_) => {
                let former = |chunk| self.take_former_back(chunk, POOL);
                self.frames.send_home_run(rest, self.mark, former)
            }
            None => self.reap_run_with_strangers(rest),
        };
        self.returned((done - kept) as u32);
        done
    }

    /// Frames home, of addresses that may lie anywhere.
    #[cold]
    fn reap_run_with_strangers(&self, run: &[u64]) -> usize {
        let mine = |addr| {
            let chunk = self.frames.chunk_of(addr);
            chunk.is_some_and(|chunk| self.take_back(chunk, POOL))
        };
        for (done, addr) in run.iter().enumerate() {
            if !mine(*addr) {
                return done;
            }
            self.frames
                .send_home_run(std::slice::from_ref(addr), POOL, |_| false);
        }
        run.len()
    }

    /// Counts frames that came back.
    #[inline]
    pub(super) fn returned(&mut self, frames: u32) {
        // Frames lent before a split may come back to the other half than was counted on.
        self.lent = self.lent.saturating_sub(frames);
    }

    /// Puts received frames into the pool, but for those that are not on loan any more, because they came twice.
    pub(crate) fn pool_run(&mut self, run: &[u64], pool: &mut FramePool) -> u32 {
        let mut taken = 0;
        for addr in run {
            taken += self.reap_run(std::slice::from_ref(addr), pool) as u32;
        }
        taken
    }

    /// Lends the packets at the front of the batch and writes their descriptors to the TX run.
    ///
    /// The caller has seen that they all [belong](Packet::belongs_to) to this UMEM.
    pub(crate) fn send_run(&mut self, batch: &mut PacketBatch, tx: &mut [Desc]) -> usize {
        let count = batch.len().min(tx.len());
        let (base, owners, mark) = (
            self.frames.memory().start(),
            self.frames.owners(),
            self.mark,
        );
        for (packet, slot) in batch.as_slice().iter().zip(&mut tx[..count]) {
            *slot = packet.desc(base);
            debug_assert!((packet.chunk as usize) < owners.len());
            // SAFETY: a packet of this UMEM lies in a chunk of it.
            let entry = unsafe { owners.get_unchecked(packet.chunk as usize) };
            entry.store(mark, Ordering::Relaxed);
        }
        self.count_lent(count as u32, tx[..count].iter().map(|desc| desc.addr));
        batch.forget_front(count);
        self.frames.uncount(count as u32);
        count
    }

    /// Lends one packet and returns its descriptor. The caller has seen that it [belongs](Packet::belongs_to) to this UMEM.
    pub(crate) fn lend(&mut self, packet: Packet) -> Desc {
        let (desc, chunk) = packet.dissolve();
        self.lend_chunk(chunk);
        self.frames.uncount(1);
        desc
    }

    /// Lends the frames of the packets at the back of the batch and writes their addresses to the fill run.
    ///
    /// The caller has seen that they all [belong](Packet::belongs_to) to this UMEM.
    pub(crate) fn give_run(&mut self, batch: &mut PacketBatch, fill: &mut [u64]) -> usize {
        let mut done = 0;
        for slot in fill {
            let Some(packet) = batch.pop() else {
                break;
            };
            let (_, chunk) = packet.dissolve();
            self.lend_to_fill(chunk);
            *slot = self.frames.address_of(chunk);
            done += 1;
        }
        self.frames.uncount(done);
        done as usize
    }

    /// Lends free frames and writes their addresses to the fill run: first those on the return stack, then those of the pool.
    #[inline]
    pub(crate) fn lend_run(&mut self, pool: &mut FramePool, fill: &mut [u64]) -> usize {
        let mut returned = self.frames.take_returned();
        let done = returned.lend(self.shared, fill);
        pool.keep(returned);
        self.count_lent(done as u32, fill[..done].iter().copied());
        match &mut fill[done..] {
            [] => done,
            rest => done + self.lend_pooled(pool, rest),
        }
    }

    #[inline(never)]
    fn lend_pooled(&mut self, pool: &mut FramePool, fill: &mut [u64]) -> usize {
        let mut slots = fill.iter_mut();
        pool.take_run(slots.len(), |chunk| {
            self.lend_to_fill(chunk);
            if let Some(slot) = slots.next() {
                *slot = self.frames.address_of(chunk);
            }
        })
    }

    /// Counts frames that were lent to send, by a lender of a half, which does not count which they are.
    pub(super) fn count_sent(&mut self, frames: u32) {
        debug_assert_eq!(self.bound, UNBOUNDED);
        self.lent = self.lent.wrapping_add(frames);
    }

    /// Counts frames that were lent, at these addresses.
    #[inline]
    pub(super) fn count_lent(&mut self, frames: u32, addrs: impl Iterator<Item = u64>) {
        self.lent = self.lent.wrapping_add(frames);
        if self.bound != UNBOUNDED {
            let chunks = addrs.map(|addr| (addr >> self.frames.shift()) + 1);
            self.bound = chunks.fold(self.bound, u64::max);
        }
    }
}
