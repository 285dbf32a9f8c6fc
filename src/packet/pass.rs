//! Received packets handed over one by one, and sent on; and the frames of those that were sent, lent to receive into again.

use std::cell::Cell;
use std::mem;
use std::sync::atomic::Ordering;

use super::Packet;
use super::frames::USER;
use super::hand::elements;
use super::lender::Lender;
use super::wide;
use crate::ring::Desc;

/// What became of packets that were handed over to be sent on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Passed {
    /// How many there were.
    pub(crate) packets: u32,
    /// How many packets were sent: any that the user had.
    pub(crate) sent: u32,
}

impl Lender {
    /// Hands received packets over, one by one, lends those that `pass` returns to `sending`, and writes their descriptors to the TX slots.
    /// No more than there are slots. It says in `passed` how many, also when `pass` panics.
    ///
    /// It ends early at a descriptor that it refuses, and at a packet that `sending` cannot send, which it returns.
    #[inline]
    pub(crate) fn pass_run(
        &mut self,
        sending: &mut Self,
        run: &[Desc],
        tx: &mut [Desc],
        passed: &Cell<Passed>,
        mut pass: impl FnMut(Packet) -> Option<Packet>,
    ) -> Option<Packet> {
        let run = self.fitting(&run[..run.len().min(tx.len())]);
        let (state, base) = (self.frames.state(), self.frames.memory().start());
        let (target, target_base) = (sending.frames.state(), sending.frames.memory().start());
        // SAFETY: both alive, as long as the lenders have their handles.
        let (owners, target_owners) =
            unsafe { (state.as_ref().owners(), target.as_ref().owners()) };
        let (shift, mark, target_mark) = (self.frames.shift(), self.mark, sending.mark);
        self.frames.count_up(run.len() as u32);
        let (tx, end) = (tx.as_mut_ptr(), run.as_ptr_range().end);
        let mut books = Books {
            first: run.as_ptr(),
            desc: run.as_ptr(),
            end,
            tx,
            slot: tx,
            receiving: self,
            sending,
            passed,
        };
        while books.desc != end {
            // SAFETY: one of the run.
            let desc = unsafe { *books.desc };
            let chunk = (desc.addr >> shift) as usize;
            debug_assert!(chunk < owners.len());
            // SAFETY: fitting, so it lies in a chunk that exists.
            let entry = unsafe { owners.get_unchecked(chunk) };
            // One by one, so that a frame that came twice is the user's once.
            if entry.load(Ordering::Relaxed) == mark {
                entry.store(USER, Ordering::Relaxed);
            } else if !books.receiving.take_former_back(chunk as u32, USER) {
                break;
            }
            // SAFETY: not beyond the end.
            books.desc = unsafe { books.desc.add(1) };
            let Some(packet) = pass(Packet::at(base, state, desc, chunk as u32)) else {
                continue;
            };
            if packet.state != target || !packet.has_content() {
                return Some(packet);
            }
            debug_assert!((packet.chunk as usize) < target_owners.len());
            // SAFETY: a packet of that UMEM lies in a chunk of it.
            let entry = unsafe { target_owners.get_unchecked(packet.chunk as usize) };
            entry.store(target_mark, Ordering::Relaxed);
            // SAFETY: there is a slot for each packet that is handed over, and no more than one packet is sent for each.
            unsafe {
                books.slot.write(packet.desc(target_base));
                books.slot = books.slot.add(1);
            }
            mem::forget(packet);
        }
        None
    }

    /// Lends frames that were sent, at these addresses, to `receiving`, and writes the addresses to the fill run, which is as long.
    ///
    /// It ends at the first that is not on loan from this lender. Both serve the same UMEM, and neither is a member of a group.
    #[inline]
    pub(crate) fn relend_run(
        &mut self,
        receiving: &mut Self,
        run: &[u64],
        fill: &mut [u64],
    ) -> usize {
        debug_assert_eq!(self.frames.state(), receiving.frames.state());
        let union = wide::copy_united(run, fill);
        let done = match self.frames.chunk_of(union) {
            Some(_) => self.relend_chunks(receiving.shared, run),
            None => self.relend_with_strangers(receiving.shared, run),
        };
        self.returned(done as u32);
        receiving.count_lent(done as u32, run[..done].iter().copied());
        done
    }

    /// The ledger's part, for addresses in chunks that exist.
    #[inline]
    fn relend_chunks(&self, mark: u32, run: &[u64]) -> usize {
        let (owners, shift) = (self.frames.owners(), self.frames.shift());
        let relend = |addr: u64| {
            let chunk = (addr >> shift) as usize;
            debug_assert!(chunk < owners.len());
            // SAFETY: the caller has seen that the chunk exists.
            let entry = unsafe { owners.get_unchecked(chunk) };
            let ours = entry.load(Ordering::Relaxed) == self.mark;
            if ours {
                entry.store(mark, Ordering::Relaxed);
            }
            ours || self.take_former_back(chunk as u32, mark)
        };
        let mut done = 0;
        let (eights, rest) = run.as_chunks::<8>();
        for eight in eights {
            for &addr in eight {
                if !relend(addr) {
                    return done;
                }
                done += 1;
            }
        }
        done + rest.iter().take_while(|addr| relend(**addr)).count()
    }

    /// Likewise, for addresses that may lie anywhere.
    #[cold]
    fn relend_with_strangers(&self, mark: u32, run: &[u64]) -> usize {
        let relend = |addr: &&u64| {
            let chunk = self.frames.chunk_of(**addr);
            chunk.is_some_and(|chunk| self.take_back(chunk, mark))
        };
        run.iter().take_while(relend).count()
    }
}

/// The packets that are being passed on; dropped, also by a panic, it puts the counts right.
struct Books<'a> {
    first: *const Desc,
    /// The next one.
    desc: *const Desc,
    end: *const Desc,
    tx: *mut Desc,
    /// The first slot that is free.
    slot: *mut Desc,
    receiving: &'a mut Lender,
    sending: &'a mut Lender,
    passed: &'a Cell<Passed>,
}

impl Drop for Books<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let passed = Passed {
            packets: elements(self.first, self.desc),
            sent: elements(self.tx, self.slot),
        };
        let unreached = elements(self.desc, self.end);
        self.passed.set(passed);
        settle(self.receiving, self.sending, passed, unreached);
    }
}

/// A call, with values alone: so that they can stay in registers until then.
#[inline(never)]
fn settle(receiving: &mut Lender, sending: &mut Lender, passed: Passed, unreached: u32) {
    receiving.returned(passed.packets);
    receiving.frames.uncount(unreached);
    sending.count_sent(passed.sent);
    sending.frames.uncount(passed.sent);
}
