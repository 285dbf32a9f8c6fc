//! Received packets handed over one by one, each the user's own.

use std::cell::Cell;

use super::Packet;
use super::SharedFrameState;
use super::lender::{Lender, Loans, count_returned};
use super::window::{self, Former};
use crate::batch::PacketBatch;
use crate::ring::{Desc, Iter, Writer};

/// What became of entries that were to be handed over.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Handed {
    /// How many were looked at.
    pub(crate) seen: u32,
    /// How many packets there were.
    pub(crate) packets: u32,
    /// How many frames of dropped packets came back at once.
    pub(crate) back: u32,
}

impl Lender {
    /// Hands received packets over, one by one, and says in `handed` how many, also when `take` panics.
    ///
    /// They are the user's then, and the others still on loan. Frames of packets that `take` drops are lent anew, and their addresses
    /// written to `fill`, as far as it has room.
    #[inline]
    pub(crate) fn hand_over(
        &mut self,
        received: Iter<'_, Desc>,
        fill: Writer<'_, u64>,
        handed: &Cell<Handed>,
        mut take: impl FnMut(Packet),
    ) {
        let state = self.frames.state();
        let counted = received.len() as u32;
        self.frames.count_up(counted);
        // Where there is not room for all, the fill ring has frames enough, and none goes this way.
        let for_frames = (fill.room() >= counted).then_some(state);
        let (loans, lent) = self.loans_and_lent();
        let mut books = Books {
            loans,
            lent,
            counted,
            seen: 0,
            refused: 0,
            fill,
            handed,
            former: Former::now(),
        };
        for run in received.runs() {
            for desc in run {
                books.seen += 1;
                // One by one, so that a frame that came twice is the user's once.
                let Some(chunk) = loans.receive(desc) else {
                    books.refused += 1;
                    continue;
                };
                let packet = Packet::at(loans.base, state, desc, chunk);
                // It is closed again when it was used.
                window::open(for_frames);
                take(packet);
                if let Some(left) = window::left() {
                    books.fill.write(loans.lend_to_fill(left));
                }
            }
        }
    }

    /// Makes owned packets of received ones, for all of which the batch has room; returns how many.
    pub(crate) fn receive_each(
        &mut self,
        received: Iter<'_, Desc>,
        batch: &mut PacketBatch,
    ) -> u32 {
        let counted = received.len() as u32;
        self.frames.count_up(counted);
        let (state, before) = (self.frames.state(), batch.len());
        let loans = self.loans();
        let packets = received.filter_map(|desc| {
            let chunk = loans.receive(desc)?;
            Some(Packet::at(loans.base, state, desc, chunk))
        });
        batch.append_all(packets);
        let count = (batch.len() - before) as u32;
        self.frames.uncount(counted - count);
        self.count_returned(count);
        count
    }
}

/// The packets that are being handed over; dropped, also by a panic, it puts the counts right.
struct Books<'a> {
    loans: Loans<'a>,
    lent: &'a mut u32,
    /// Packets counted before they came into being.
    counted: u32,
    /// Entries that were looked at. The user may have the last one, and may panic.
    seen: u32,
    refused: u32,
    fill: Writer<'a, u64>,
    handed: &'a Cell<Handed>,
    former: Former,
}

impl Books<'_> {
    /// Lends the frame anew that was left in the window, if there is one.
    #[inline(always)]
    fn take_back(&mut self) {
        if let Some(chunk) = window::left() {
            self.fill.write(self.loans.lend_to_fill(chunk));
        }
    }
}

impl Drop for Books<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.take_back();
        self.former.restore();
        let seen = self.seen;
        let handed = Handed {
            seen,
            packets: seen - self.refused,
            back: self.fill.written(),
        };
        self.handed.set(handed);
        settle(self.loans.frames, self.lent, handed, self.counted);
    }
}

/// A call, with values alone: so that they can stay in registers until then.
#[inline(never)]
fn settle(frames: &SharedFrameState, lent: &mut u32, handed: Handed, counted: u32) {
    count_returned(lent, handed.packets);
    *lent = lent.wrapping_add(handed.back);
    frames.uncount(counted - handed.packets + handed.back);
}
