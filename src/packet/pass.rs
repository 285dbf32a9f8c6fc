//! Received packets handed over one by one, and sent on; and the frames of those that were sent, lent to receive into again.

use std::cell::Cell;
use std::mem;

use super::lender::{Lender, Loans, count_returned};
use super::{Packet, SharedFrameState};
use crate::ring::{Desc, Iter, Writer};

/// What became of packets that were handed over to be sent on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Passed {
    /// How many entries were looked at.
    pub(crate) seen: u32,
    /// How many packets there were.
    pub(crate) packets: u32,
    /// How many packets were sent: any that the user had.
    pub(crate) sent: u32,
}

impl Lender {
    /// Hands received packets over, one by one, lends those that `pass` returns to `sending`, and writes their descriptors to `tx`, which has
    /// room for all. It says in `passed` how many, also when `pass` panics.
    ///
    /// It ends early at a packet that `sending` cannot send, which it returns.
    #[inline]
    pub(crate) fn pass_each(
        &mut self,
        sending: &mut Self,
        received: Iter<'_, Desc>,
        tx: Writer<'_, Desc>,
        passed: &Cell<Passed>,
        mut pass: impl FnMut(Packet) -> Option<Packet>,
    ) -> Option<Packet> {
        let state = self.frames.state();
        let counted = received.len() as u32;
        self.frames.count_up(counted);
        let (loans, lent) = self.loans_and_lent();
        let target: &SharedFrameState = &sending.frames;
        let mut books = Books {
            loans,
            lent,
            counted,
            seen: 0,
            refused: 0,
            tx,
            target,
            target_lent: &mut sending.lent,
            passed,
        };
        for desc in received {
            books.seen += 1;
            // One by one, so that a frame that came twice is the user's once.
            let Some(chunk) = loans.receive(desc) else {
                books.refused += 1;
                continue;
            };
            let Some(packet) = pass(Packet::at(loans.base, state, desc, chunk)) else {
                continue;
            };
            if !packet.is_of(target) || !packet.has_content() {
                return Some(packet);
            }
            let base = target.memory().start();
            if !books.tx.push(packet.desc(base)) {
                return Some(packet);
            }
            target.set_owner(packet.chunk, sending.mark);
            mem::forget(packet);
        }
        None
    }

    /// Lends frames that were sent to `receiving`, and writes their addresses to `fill`, which has room for all; returns how many.
    ///
    /// Both serve the same UMEM, and neither is a member of a group.
    #[inline]
    pub(crate) fn relend_each(
        &mut self,
        receiving: &mut Self,
        sent: Iter<'_, u64>,
        fill: &mut Writer<'_, u64>,
    ) -> u32 {
        debug_assert!(self.frames.is(&receiving.frames));
        let loans = self.loans();
        let before = fill.written();
        for addr in sent {
            if loans.take_frame(addr, receiving.shared).is_some() {
                fill.write(addr);
            }
        }
        let done = fill.written() - before;
        self.count_returned(done);
        receiving.count_lent(done);
        done
    }
}

/// The packets that are being passed on; dropped, also by a panic, it puts the counts right.
struct Books<'a> {
    loans: Loans<'a>,
    lent: &'a mut u32,
    /// Packets counted before they came into being.
    counted: u32,
    /// Entries that were looked at. The user may have the last one, and may panic.
    seen: u32,
    refused: u32,
    tx: Writer<'a, Desc>,
    target: &'a SharedFrameState,
    target_lent: &'a mut u32,
    passed: &'a Cell<Passed>,
}

impl Drop for Books<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let seen = self.seen;
        let passed = Passed {
            seen,
            packets: seen - self.refused,
            sent: self.tx.written(),
        };
        self.passed.set(passed);
        let receiving = (self.loans.frames, &mut *self.lent);
        settle(
            receiving,
            (self.target, self.target_lent),
            passed,
            self.counted,
        );
    }
}

/// A call, with values alone: so that they can stay in registers until then.
#[inline(never)]
fn settle(
    (frames, lent): (&SharedFrameState, &mut u32),
    (target, target_lent): (&SharedFrameState, &mut u32),
    passed: Passed,
    counted: u32,
) {
    count_returned(lent, passed.packets);
    frames.uncount(counted - passed.packets);
    *target_lent = target_lent.wrapping_add(passed.sent);
    target.uncount(passed.sent);
}
