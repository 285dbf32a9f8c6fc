//! Received packets shown to an engine's callback, all at once or one at a time, and their frames brought where they shall go.

#![forbid(unsafe_code)]

use crate::batch::PacketBatch;
use crate::packet::{BatchRef, Exits, Slots, Tally, Through};
use crate::raw::cycle::Cycle;

/// Packets that were shown, and what came of it.
pub(crate) struct Shown<R> {
    /// How many.
    pub(crate) count: u32,
    /// Whether they were all recycled, so that the tally stays as it was.
    pub(crate) all_recycled: bool,
    /// What came of the callback.
    pub(crate) result: R,
}

impl Cycle {
    /// Shows up to `max` received packets to `call`, for which there are `slots`. Then gives each frame to the fill ring, to the TX ring, or,
    /// as a packet, to the batch in `others` of the port that it shall leave through.
    ///
    /// What the TX ring or a batch has no room for is recycled. `None`: there was no packet.
    #[inline]
    pub(crate) fn burst<R>(
        &mut self,
        max: u32,
        slots: &mut Slots,
        through: Through,
        others: &mut [PacketBatch],
        tally: &mut Tally,
        call: impl FnOnce(&mut BatchRef<'_>) -> R,
    ) -> Option<Shown<R>> {
        let (inward, lender) = (&mut self.inward, &mut self.lender);
        let max = max.min(slots.len() as u32);
        loop {
            let entries = inward.rx.peek(max);
            let seen = entries.len();
            if seen == 0 {
                return None;
            }
            let Some(mut batch) = lender.show(entries.iter(), slots, through) else {
                entries.release(seen);
                inward.refused += u64::from(seen);
                continue;
            };
            let result = call(&mut batch);
            let count = batch.len();
            let mut fill = inward.fill.reserve(count as u32);
            let mut tx = self.outward.tx.reserve(count as u32);
            let mut exits = Exits {
                fill: fill.writer(),
                pool: &mut self.pool,
                tx: tx.writer(),
                others,
            };
            let settled = lender.settle((slots, count), through.port, &mut exits, tally);
            fill.submit(settled.recycled);
            tx.submit(settled.sent);
            entries.release(seen);
            inward.filled += u64::from(settled.recycled);
            self.outward.sent += u64::from(settled.sent);
            // A frame that came twice was received once.
            let received = count as u32 - settled.twice;
            inward.received += u64::from(received);
            inward.refused += u64::from(seen - received);
            inward.pass_on();
            return Some(Shown {
                count: count as u32,
                all_recycled: settled.others == 0,
                result,
            });
        }
    }
}
