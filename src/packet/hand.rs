//! Received packets handed over one by one, each the user's own.

use std::cell::Cell;
use std::ops::Range;
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Packet;
use super::frames::USER;
use super::lender::Lender;
use super::window::{self, Former};
use crate::batch::PacketBatch;
use crate::ring::Desc;

/// What became of packets that were handed over.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Handed {
    /// How many there were.
    pub(crate) packets: u32,
    /// How many frames of dropped packets came back at once.
    pub(crate) back: u32,
}

impl Lender {
    /// Hands received packets over, one by one, and says in `handed` how many, also when `take` panics. No more than there are places.
    ///
    /// They are the user's then, and the others still on loan. Frames of packets that `take` drops are lent anew, as many as packets were
    /// handed over, and their addresses written to the places.
    #[inline]
    pub(crate) fn hand_over(
        &mut self,
        run: &[Desc],
        places: &mut [u64],
        handed: &Cell<Handed>,
        mut take: impl FnMut(Packet),
    ) -> usize {
        let run = self.fitting(&run[..run.len().min(places.len())]);
        let (state, base) = (self.frames.state(), self.frames.memory().start());
        let mark = self.mark;
        // SAFETY: alive, as long as this lender has a handle.
        let owners = unsafe { state.as_ref() }.owners();
        self.frames.count_up(run.len() as u32);
        let (places, Range { start, end }) = (places.as_mut_ptr(), run.as_ptr_range());
        let mut books = Books {
            owners,
            shift: self.frames.shift(),
            shared: self.shared,
            lender: self,
            first: start,
            desc: start,
            end,
            places,
            next: places,
            taking: false,
            handed,
            former: Former::now(),
        };
        while books.desc != end {
            // SAFETY: one of the run.
            let desc = unsafe { *books.desc };
            let chunk = (desc.addr >> books.shift) as usize;
            debug_assert!(chunk < owners.len());
            // SAFETY: fitting, so it lies in a chunk that exists.
            let entry = unsafe { owners.get_unchecked(chunk) };
            // One by one, so that a frame that came twice is the user's once.
            if entry.load(Ordering::Relaxed) == mark {
                entry.store(USER, Ordering::Relaxed);
            } else if !books.lender.take_former_back(chunk as u32, USER) {
                break;
            }
            let packet = Packet::at(base, state, desc, chunk as u32);
            window::open(state);
            books.taking = true;
            take(packet);
            books.taking = false;
            books.take_back();
            // SAFETY: not beyond the end.
            books.desc = unsafe { books.desc.add(1) };
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
    pub(super) fn fitting<'r>(&self, run: &'r [Desc]) -> &'r [Desc] {
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
struct Books<'a> {
    lender: &'a mut Lender,
    owners: &'a [AtomicU32],
    shift: u32,
    /// The mark of frames that are lent anew.
    shared: u32,
    first: *const Desc,
    /// The next one.
    desc: *const Desc,
    end: *const Desc,
    /// As many as packets may be handed over, and nobody else's meanwhile.
    places: *mut u64,
    /// The first of them that is free.
    next: *mut u64,
    /// Whether the user has the next one already, and may panic.
    taking: bool,
    handed: &'a Cell<Handed>,
    former: Former,
}

impl Books<'_> {
    #[inline]
    fn done(&self) -> u32 {
        elements(self.first, self.desc) + u32::from(self.taking)
    }

    /// Lends the frame anew that was left in the window, if there is one. Once for each packet that was taken.
    #[inline(always)]
    fn take_back(&mut self) {
        let Some(chunk) = window::left() else {
            return;
        };
        debug_assert!((chunk as usize) < self.owners.len());
        // SAFETY: it was that of a packet of this UMEM, for which alone the window was open, so it exists.
        let entry = unsafe { self.owners.get_unchecked(chunk as usize) };
        entry.store(self.shared, Ordering::Relaxed);
        // SAFETY: there is a place for each packet that is handed over, and no more than one frame for each of those.
        unsafe {
            self.next.write(u64::from(chunk) << self.shift);
            self.next = self.next.add(1);
        }
    }
}

impl Drop for Books<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.taking {
            self.take_back();
        }
        let handed = Handed {
            packets: self.done(),
            back: elements(self.places, self.next),
        };
        let counted = elements(self.first, self.end);
        self.former.restore();
        self.handed.set(handed);
        // SAFETY: those that `take_back` wrote.
        let back = unsafe { slice::from_raw_parts(self.places, handed.back as usize) };
        settle(self.lender, back, handed.packets, counted);
    }
}

/// How many lie between two places of one array.
#[inline]
pub(super) fn elements<T>(from: *const T, to: *const T) -> u32 {
    ((to.addr() - from.addr()) / size_of::<T>()) as u32
}

/// A call, with values alone: so that they can stay in registers until then.
#[inline(never)]
fn settle(lender: &mut Lender, back: &[u64], packets: u32, counted: u32) {
    lender.returned(packets);
    lender.count_lent(back.len() as u32, back.iter().copied());
    lender.frames.uncount(counted - packets + back.len() as u32);
}
