//! Received packets shown one at a time, each brought where it shall go before the next: the engine's single pass.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::thread;

use super::borrow::can_leave;
use super::burst::{RECYCLE, SEND, Slot};
use super::lender::{Lender, Loans};
use super::settle::{Exits, Settled};
use super::tally::{Fault, Tally};
use super::{PacketRef, PortPacket, SharedFrameState, Through};
use crate::ring::{Desc, Iter, Run, Writer};

/// What came of packets that were shown one at a time.
pub(crate) struct Processed<R> {
    /// Entries that were taken from the ring.
    pub(crate) seen: u32,
    /// How many of them were packets.
    pub(crate) packets: u32,
    pub(crate) settled: Settled,
    /// Why it ended early: what `look` broke with, or its panic.
    pub(crate) ended: Option<thread::Result<R>>,
}

impl Lender {
    /// Shows each received packet to `look` and brings it where it shall go. `look` may end that early; what it has not seen stays in the ring.
    ///
    /// The frames in the rings stay on loan.
    #[inline]
    pub(crate) fn process_each<'r, R>(
        &mut self,
        received: Iter<'r, Desc>,
        through: Through,
        mut exits: Exits<'r, '_>,
        tally: &mut Tally,
        mut look: impl FnMut(&mut PortPacket<'_>) -> ControlFlow<R>,
    ) -> Processed<R> {
        let (state, loans) = (self.frames.state(), self.loans());
        let mut settled = Settled::default();
        let mut refused = 0;
        let mut runs = received.clone().runs();
        let mut ended = None;
        let result = catch_unwind(AssertUnwindSafe(|| {
            for run in &mut runs {
                while run.len() > 0 && ended.is_none() {
                    let progress = Progress::new(run, &mut exits);
                    let (other, end) =
                        loans.process_run(progress, through, &mut refused, &mut look);
                    ended = end;
                    if let Some(packet) = other {
                        let settling = (&mut exits, &mut settled, &mut *tally);
                        loans.settle_other(state, packet, through, settling);
                    }
                }
            }
        }));
        let seen = (received.len() - runs.iter().map(Run::len).sum::<usize>()) as u32;
        let ended = match result {
            Ok(()) => ended.map(Ok),
            Err(panic) => {
                // The packet that `look` had is still to be recycled.
                let last = (seen as usize).checked_sub(1);
                if let Some(desc) = last.and_then(|last| received.clone().nth(last)) {
                    let packet = (Slot::new(loans.base, desc), desc);
                    let settling = (&mut exits, &mut settled, &mut *tally);
                    loans.settle_other(state, packet, through, settling);
                }
                Some(Err(panic))
            }
        };
        settled.finish(exits.fill.written(), exits.tx.written(), tally);
        self.count_returned(settled.pooled + settled.passed_on);
        Processed {
            seen,
            packets: seen - refused,
            settled,
            ended,
        }
    }
}

/// The positions of a loop in its rings, as variables of its own that stay in registers. Dropped, also by a panic, it writes them back.
struct Progress<'p, 'r> {
    received: Run<'r, Desc>,
    fill: Writer<'r, u64>,
    tx: Writer<'r, Desc>,
    to: (
        &'p mut Run<'r, Desc>,
        &'p mut Writer<'r, u64>,
        &'p mut Writer<'r, Desc>,
    ),
}

impl<'p, 'r> Progress<'p, 'r> {
    #[inline(always)]
    fn new(received: &'p mut Run<'r, Desc>, exits: &'p mut Exits<'r, '_>) -> Self {
        let Exits { fill, tx, .. } = exits;
        Self {
            received: received.clone(),
            fill: fill.copy(),
            tx: tx.copy(),
            to: (received, fill, tx),
        }
    }
}

impl Drop for Progress<'_, '_> {
    #[inline(always)]
    fn drop(&mut self) {
        let (received, fill, tx) = &mut self.to;
        **received = self.received.clone();
        **fill = self.fill.copy();
        **tx = self.tx.copy();
    }
}

impl Loans<'_> {
    /// Processes packets until one goes another way than into the fill ring or the TX ring of its own port, which is returned, or `look` breaks.
    ///
    /// A call, so that the loop has all registers for itself.
    #[inline(never)]
    fn process_run<R>(
        &self,
        mut progress: Progress<'_, '_>,
        through: Through,
        refused: &mut u32,
        look: &mut impl FnMut(&mut PortPacket<'_>) -> ControlFlow<R>,
    ) -> (Option<(Slot, Desc)>, Option<R>) {
        let loans = *self;
        let Progress {
            received, fill, tx, ..
        } = &mut progress;
        for desc in received {
            let Some(chunk) = loans.accept(desc) else {
                *refused += 1;
                continue;
            };
            let mut slot = Slot::new(loans.base, desc);
            // SAFETY: acceptable. While the `Lender` is borrowed, the frame stays on loan, so nobody else touches it, and one packet is
            // borrowed at a time. A group's frame is this member's until it is shared again below.
            let packet = unsafe { PacketRef::new(loans.frames, &mut slot, 0) };
            let end = look(&mut PortPacket::new(packet, through)).break_value();
            let mut other = None;
            if slot.verdict == RECYCLE && fill.has_room() {
                loans.share(chunk);
                fill.write(desc.addr);
            } else if slot.verdict == SEND + through.port
                && can_leave(slot.len, desc.options)
                && tx.has_room()
            {
                tx.write(slot.desc(loans.base, 0));
            } else {
                other = Some((slot, desc));
            }
            if other.is_some() || end.is_some() {
                return (other, end);
            }
        }
        (None, None)
    }

    /// Settles a packet that goes another way, and counts it if there was no room. One that cannot be sent is recycled.
    fn settle_other(
        &self,
        state: NonNull<SharedFrameState>,
        packet: (Slot, Desc),
        through: Through,
        (exits, settled, tally): (&mut Exits<'_, '_>, &mut Settled, &mut Tally),
    ) {
        let result = self.settle_one(state, packet, through.port, exits, settled);
        tally.crowded += u64::from(result == Err(Fault::Crowded));
    }
}
