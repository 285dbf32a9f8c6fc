//! Received packets shown to an engine's callback, all at once or one at a time, and their frames brought where they shall go.

#![forbid(unsafe_code)]

use crate::packet::PacketBatch;
use crate::packet::{BatchOutlets, BatchRef, BatchSlots, PortContext, VerdictCounts};
use crate::socket::rings::SocketRings;

/// Packets that were shown, and what came of it.
pub(crate) struct Shown<R> {
    /// How many.
    pub(crate) count: u32,
    /// Whether they were all recycled, so that the tally stays as it was.
    pub(crate) all_recycled: bool,
    /// What came of the callback.
    pub(crate) result: R,
}

impl SocketRings {
    /// Shows up to `max` received packets to `call`, for which there are `slots`. Then gives each frame to the fill ring, to the TX ring, or,
    /// as a packet, to the batch in `others` of the port that it shall leave through.
    ///
    /// What the TX ring or a batch has no room for is recycled. `None`: there was no packet.
    #[inline]
    pub(crate) fn show_batch<R>(
        &mut self,
        max: u32,
        slots: &mut BatchSlots,
        context: PortContext,
        others: &mut [PacketBatch],
        counts: &mut VerdictCounts,
        call: impl FnOnce(&mut BatchRef<'_>) -> R,
    ) -> Option<Shown<R>> {
        let (rx_side, lender) = (&mut self.rx_side, &mut self.lender);
        let max = max.min(slots.len() as u32);
        loop {
            let entries = rx_side.rx.peek(max);
            let seen = entries.len();
            if seen == 0 {
                return None;
            }
            let Some(mut batch) = lender.show(entries.iter(), slots, context) else {
                entries.release(seen);
                rx_side.refused += u64::from(seen);
                continue;
            };
            let result = call(&mut batch);
            let count = batch.len();
            let mut fill = rx_side.fill.reserve(count as u32);
            let mut tx = self.tx_side.tx.reserve(count as u32);
            let mut outlets = BatchOutlets {
                fill: fill.writer(),
                pool: &mut self.pool,
                tx: tx.writer(),
                others,
            };
            let done = lender.apply_verdicts((slots, count), context.port, &mut outlets, counts);
            fill.submit(done.recycled);
            tx.submit(done.sent);
            entries.release(seen);
            rx_side.filled += u64::from(done.recycled);
            self.tx_side.sent += u64::from(done.sent);
            // A frame that came twice was received once.
            let received = count as u32 - done.twice;
            rx_side.received += u64::from(received);
            rx_side.refused += u64::from(seen - received);
            rx_side.pass_on();
            return Some(Shown {
                count: count as u32,
                all_recycled: done.others == 0,
                result,
            });
        }
    }
}
