//! A socket's frames changing hands, a contiguous run of ring slots at a time.
//!
//! What the kernel hands back is *accepted* only if it lies within one chunk that is on loan from this socket. There are two ways
//! to know: to look each frame up in the ledger, or by counting. If all frames on loan lie below chunk `z`, and `z` frames are on
//! loan, then every chunk below `z` is on loan, and it is enough that the addresses are below `z`. In a program whose frames all
//! circulate between the four rings, counting always answers, and a packet costs no look-up at all.

use std::cell::Cell;

use super::borrow::{PacketRef, Verdict};
use super::burst::Slot;
use super::frames::{POOL, USER};
use super::lease::{INWARD, Lease, OUTWARD};
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
    mark: u32,
    /// Of what was lent before the socket was split, which both halves may take back; else the same as `mark`.
    former: u32,
    /// Ledger entries with this mark.
    pub(super) lent: u32,
    /// No chunk from here on has this mark.
    bound: u32,
}

/// The bound of a lender that does not count: more than there can be on loan.
const UNBOUNDED: u32 = u32::MAX;

/// How far [`Lender::forward_run`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Forwarded {
    /// Addresses written to the fill run.
    pub(crate) recycled: usize,
    /// Descriptors written to the TX run.
    pub(crate) sent: usize,
}

impl Lender {
    pub(crate) fn new(lease: &Lease) -> Self {
        Self {
            frames: lease.frames().clone(),
            mark: lease.mark(),
            former: lease.mark(),
            lent: 0,
            bound: 0,
        }
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
        self.frames.set_owner(chunk, self.mark);
        self.lent += 1;
        self.bound = self.bound.max(chunk + 1);
    }

    /// Whether every chunk below the bound is on loan.
    #[inline]
    fn all_below_bound(&self) -> bool {
        self.lent == self.bound
    }

    /// The chunk at an address, if it is on loan.
    #[inline]
    fn chunk_on_loan(&self, addr: u64) -> Option<u32> {
        let chunk = self.frames.chunk_of(addr)?;
        let owner = self.frames.owner_entry(chunk);
        (owner == self.mark || owner == self.former).then_some(chunk)
    }

    /// Gives a chunk that is on loan to `owner`; false when it is not.
    #[inline]
    fn take_back(&self, chunk: u32, owner: u32) -> bool {
        if self.frames.owner_entry(chunk) == self.mark {
            self.frames.set_owner(chunk, owner);
            return true;
        }
        self.take_former_back(chunk, owner)
    }

    /// Likewise, a chunk that was lent before the socket was split.
    #[cold]
    fn take_former_back(&self, chunk: u32, owner: u32) -> bool {
        self.frames.pass(chunk, self.former, owner)
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
        let chunk_size = u64::from(self.frames.geometry().chunk_size());
        let (addr, len) = Desc::union(run);
        let fit = len <= chunk_size - (addr & (chunk_size - 1));
        if fit && self.all_below_bound() && addr < self.frames.address_of(self.bound) {
            return run.len();
        }
        self.look_up_descs(run, addr, fit)
    }

    /// How many addresses at the front of a run are on loan.
    #[inline]
    fn on_loan(&self, run: &[u64]) -> usize {
        let union = run.iter().fold(0, |all, addr| all | addr);
        if self.all_below_bound() && union < self.frames.address_of(self.bound) {
            return run.len();
        }
        self.look_up_addrs(run, union)
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

    /// As [`on_loan`](Self::on_loan), by the ledger.
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

    /// Shows each received packet to `look` and writes its frame to the fill run, which is at least as long.
    ///
    /// The frames stay on loan all the while.
    #[inline]
    pub(crate) fn recycle_run(
        &mut self,
        run: &[Desc],
        fill: &mut [u64],
        mut look: impl FnMut(&mut PacketRef<'_>),
    ) -> usize {
        let run = self.accepted(run);
        let base = self.frames.memory().start();
        for (desc, slot) in run.iter().zip(fill) {
            *slot = desc.addr;
            let mut packet = Slot::new(base, desc);
            // SAFETY: acceptable. While this `Lender` is borrowed, the frame stays on loan, so nobody else touches it, and one
            // packet is borrowed at a time.
            look(&mut unsafe { PacketRef::new(&self.frames, &mut packet, desc.options) });
        }
        run.len()
    }

    /// Shows each received packet to `judge` and writes it to the fill or the TX run, both at least as long.
    ///
    /// The frames stay on loan all the while.
    #[inline]
    pub(crate) fn forward_run(
        &mut self,
        run: &[Desc],
        fill: &mut [u64],
        tx: &mut [Desc],
        mut judge: impl FnMut(&mut PacketRef<'_>) -> Verdict,
    ) -> Forwarded {
        let run = self.accepted(run);
        let base = self.frames.memory().start();
        let (mut fill, mut tx) = (fill[..run.len()].iter_mut(), tx[..run.len()].iter_mut());
        for desc in run {
            let mut slot = Slot::new(base, desc);
            // SAFETY: as in `recycle_run`.
            let mut packet = unsafe { PacketRef::new(&self.frames, &mut slot, desc.options) };
            let verdict = judge(&mut packet);
            match verdict {
                // The kernel refuses empty descriptors and does not give their frames back.
                Verdict::Send if slot.len > 0 => {
                    // SAFETY: each packet takes one place in one of the runs, which are both as long as there are packets.
                    *unsafe { tx.next().unwrap_unchecked() } = slot.desc(base, desc.options);
                }
                Verdict::Recycle | Verdict::Send => {
                    // SAFETY: as above.
                    *unsafe { fill.next().unwrap_unchecked() } = desc.addr;
                }
            }
        }
        Forwarded {
            recycled: run.len() - fill.len(),
            sent: run.len() - tx.len(),
        }
    }

    /// Writes the addresses of sent frames to the fill run. They stay on loan.
    #[inline]
    pub(crate) fn refill_run(&mut self, run: &[u64], fill: &mut [u64]) -> usize {
        let done = self.on_loan(run);
        fill[..done].copy_from_slice(&run[..done]);
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
        let mut chain = self.frames.chain();
        for &addr in &run[kept..] {
            let chunk = self.frames.chunk_of(addr);
            let Some(chunk) = chunk.filter(|&chunk| self.take_back(chunk, POOL)) else {
                break;
            };
            chain.add(chunk);
            done += 1;
        }
        drop(chain);
        self.returned((done - kept) as u32);
        done
    }

    /// Counts frames that came back.
    #[inline]
    fn returned(&mut self, frames: u32) {
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

    /// Makes owned packets of received ones, as far as the batch has room.
    pub(crate) fn receive_run(&mut self, run: &[Desc], batch: &mut PacketBatch) -> usize {
        let run = &run[..run.len().min(batch.room())];
        self.frames.count_up(run.len() as u32);
        let mut done = 0;
        for desc in run {
            let Some(chunk) = self.receive(desc) else {
                break;
            };
            batch.append(Packet::new(self.frames.state(), *desc, chunk));
            done += 1;
        }
        self.returned(done);
        self.frames.uncount(run.len() as u32 - done);
        done as usize
    }
    /// Hands received packets over, one by one, and counts them in `handed`, before each.
    ///
    /// Should `take` panic, those handed over are the user's, and the others still on loan.
    #[inline]
    pub(crate) fn hand_over(
        &mut self,
        run: &[Desc],
        handed: &Cell<u32>,
        mut take: impl FnMut(Packet),
    ) -> usize {
        let chunk_size = u64::from(self.frames.geometry().chunk_size());
        let (addr, len) = Desc::union(run);
        // As in `acceptable`: the union may say no although all is well.
        let fit =
            len <= chunk_size - (addr & (chunk_size - 1)) && self.frames.chunk_of(addr).is_some();
        let state = self.frames.state();
        self.frames.count_up(run.len() as u32);
        let before = handed.get();
        let books = Books {
            lender: self,
            counted: run.len() as u32,
            before,
            handed,
        };
        let frames = &books.lender.frames;
        for desc in run {
            // One by one, so that a frame that came twice is the user's once.
            let chunk = match fit {
                true => Some((desc.addr >> frames.shift()) as u32)
                    .filter(|&chunk| books.lender.take_back(chunk, USER)),
                false => books.lender.receive(desc),
            };
            let Some(chunk) = chunk else {
                break;
            };
            handed.set(handed.get() + 1);
            take(Packet::new(state, *desc, chunk));
        }
        (handed.get() - before) as usize
    }

    /// Lends the packets at the front of the batch and writes their descriptors to the TX run.
    ///
    /// The caller has seen that they all [belong](Packet::belongs_to) to this UMEM.
    pub(crate) fn send_run(&mut self, batch: &mut PacketBatch, tx: &mut [Desc]) -> usize {
        let mut done = 0;
        for (packet, slot) in batch.take_front(tx.len()).zip(tx) {
            let (desc, chunk) = packet.dissolve();
            self.lend_chunk(chunk);
            *slot = desc;
            done += 1;
        }
        self.frames.uncount(done);
        done as usize
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
            self.lend_chunk(chunk);
            *slot = self.frames.address_of(chunk);
            done += 1;
        }
        self.frames.uncount(done);
        done as usize
    }

    /// Lends frames of the pool and writes their addresses to the fill run.
    pub(crate) fn lend_run(&mut self, pool: &mut FramePool, fill: &mut [u64]) -> usize {
        let mut slots = fill.iter_mut();
        pool.take_run(slots.len(), |chunk| {
            self.lend_chunk(chunk);
            if let Some(slot) = slots.next() {
                *slot = self.frames.address_of(chunk);
            }
        })
    }
}
/// The count of packets that are being handed over, put right at the end, also by a panic.
struct Books<'a> {
    lender: &'a mut Lender,
    counted: u32,
    before: u32,
    handed: &'a Cell<u32>,
}

impl Drop for Books<'_> {
    #[inline]
    fn drop(&mut self) {
        let done = self.handed.get() - self.before;
        self.lender.returned(done);
        self.lender.frames.uncount(self.counted - done);
    }
}
