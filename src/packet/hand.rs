//! Received packets handed over one by one, each the user's own.

use std::cell::Cell;
use std::slice;
use std::sync::atomic::Ordering;

use super::Packet;
use super::frames::USER;
use super::lender::Lender;
use crate::batch::PacketBatch;
use crate::ring::Desc;

impl Lender {
    /// Hands received packets over, one by one, and says in `handed` how many, also when `take` panics.
    ///
    /// Those handed over are the user's then, and the others still on loan.
    #[inline]
    pub(crate) fn hand_over(
        &mut self,
        run: &[Desc],
        handed: &Cell<u32>,
        mut take: impl FnMut(Packet),
    ) -> usize {
        let run = self.fitting(run);
        let (state, base) = (self.frames.state(), self.frames.memory().start());
        let (shift, mark) = (self.frames.shift(), self.mark);
        // SAFETY: alive, as long as this lender has a handle.
        let owners = unsafe { state.as_ref() }.owners();
        self.frames.count_up(run.len() as u32);
        let mut books = Books {
            lender: self,
            rest: run.iter(),
            refused: 0,
            counted: run.len() as u32,
            handed,
        };
        for desc in books.rest.by_ref() {
            let chunk = (desc.addr >> shift) as u32;
            debug_assert!((chunk as usize) < owners.len());
            // SAFETY: fitting, so it lies in a chunk that exists.
            let entry = unsafe { owners.get_unchecked(chunk as usize) };
            // One by one, so that a frame that came twice is the user's once.
            if entry.load(Ordering::Relaxed) == mark {
                entry.store(USER, Ordering::Relaxed);
            } else if !books.lender.take_former_back(chunk, USER) {
                books.refused = 1;
                break;
            }
            take(Packet::at(base, state, *desc, chunk));
        }
        books.done() as usize
    }

    /// Makes owned packets of received ones, as far as the batch has room.
    pub(crate) fn receive_run(&mut self, run: &[Desc], batch: &mut PacketBatch) -> usize {
        let run = &run[..run.len().min(batch.room())];
        let run = self.fitting(run);
        let shift = self.frames.shift();
        let theirs = |desc: &Desc| !self.take_back((desc.addr >> shift) as u32, USER);
        let ours = run.iter().position(theirs);
        let run = &run[..ours.unwrap_or(run.len())];
        self.frames.count_up(run.len() as u32);
        self.returned(run.len() as u32);
        let (state, base) = (self.frames.state(), self.frames.memory().start());
        batch.append_all(run.iter().map(|desc| {
            let chunk = (desc.addr >> shift) as u32;
            Packet::at(base, state, *desc, chunk)
        }));
        run.len()
    }

    /// The descriptors at the front of a run that lie each within one chunk that exists.
    #[inline]
    fn fitting<'r>(&self, run: &'r [Desc]) -> &'r [Desc] {
        let (addr, len) = Desc::union(run);
        match self.lies_within(addr, len) {
            true => run,
            false => self.fitting_one_by_one(run),
        }
    }

    /// The union may say no although each descriptor is fine.
    #[cold]
    fn fitting_one_by_one<'r>(&self, run: &'r [Desc]) -> &'r [Desc] {
        let unfit = |desc: &Desc| !self.lies_within(desc.addr, u64::from(desc.len));
        &run[..run.iter().position(unfit).unwrap_or(run.len())]
    }

    #[inline]
    fn lies_within(&self, addr: u64, len: u64) -> bool {
        let chunk_size = u64::from(self.frames.geometry().chunk_size());
        len <= chunk_size - (addr & (chunk_size - 1)) && self.frames.chunk_of(addr).is_some()
    }
}

/// The packets that are being handed over; dropped, also by a panic, it puts the counts right.
struct Books<'a, 'r> {
    lender: &'a mut Lender,
    rest: slice::Iter<'r, Desc>,
    /// Whether the last one taken was refused.
    refused: u32,
    counted: u32,
    handed: &'a Cell<u32>,
}

impl Books<'_, '_> {
    #[inline]
    fn done(&self) -> u32 {
        self.counted - self.rest.len() as u32 - self.refused
    }
}

impl Drop for Books<'_, '_> {
    #[inline(always)]
    fn drop(&mut self) {
        settle(self.lender, self.handed, self.counted, self.done());
    }
}

/// A call, with values alone: so that they can stay in registers until then.
#[inline(never)]
fn settle(lender: &mut Lender, handed: &Cell<u32>, counted: u32, done: u32) {
    handed.set(done);
    lender.returned(done);
    lender.frames.uncount(counted - done);
}
