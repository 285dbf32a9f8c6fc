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
pub(crate) struct Looked<R> {
    /// Entries that were looked at.
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
    pub(crate) fn look_at_each<'r, R>(
        &mut self,
        received: Iter<'r, Desc>,
        through: Through,
        mut exits: Exits<'r, '_>,
        tally: &mut Tally,
        mut look: impl FnMut(&mut PortPacket<'_>) -> ControlFlow<R>,
    ) -> Looked<R> {
        let (state, loans) = (self.frames.state(), self.loans());
        let mut settled = Settled::default();
        let mut refused = 0;
        let mut runs = received.clone().runs();
        let mut ended = None;
        let result = catch_unwind(AssertUnwindSafe(|| {
            for run in &mut runs {
                while run.len() > 0 && ended.is_none() {
                    let progress = Progress::new(run, &mut exits);
                    let (seldom, end) =
                        loans.look_at_stretch(progress, through, &mut refused, &mut look);
                    ended = end;
                    if let Some(packet) = seldom {
                        let settling = (&mut exits, &mut settled, &mut *tally);
                        loans.settle_seldom(state, packet, through, settling);
                    }
                }
            }
        }));
        let seen = (received.len() - runs.iter().map(Run::len).sum::<usize>()) as u32;
        let ended = match result {
            Ok(()) => ended.map(Ok),
            Err(panic) => {
                // The last one that was seen is still to be recycled.
                if let Some(desc) = received.clone().nth(seen as usize - 1) {
                    let packet = (Slot::new(loans.base, desc), desc);
                    let settling = (&mut exits, &mut settled, &mut *tally);
                    loans.settle_seldom(state, packet, through, settling);
                }
                Some(Err(panic))
            }
        };
        settled.finish(exits.fill.written(), exits.tx.written(), tally);
        self.count_returned(settled.pooled + settled.passed_on);
        Looked {
            seen,
            packets: seen - refused,
            settled,
            ended,
        }
    }
}

/// How far a loop is, in variables of its own, which stay in registers; written back when it is dropped, also by a panic.
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
    /// Up to a packet that is neither recycled nor sent through the port that it came through, or finds no room there, which is returned; or up
    /// to one that `look` breaks with.
    ///
    /// A call, so that the loop has all registers for itself.
    #[inline(never)]
    fn look_at_stretch<R>(
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
            let mut seldom = None;
            if slot.verdict == RECYCLE && fill.has_room() {
                loans.share(chunk);
                fill.write(desc.addr);
            } else if slot.verdict == SEND + through.port
                && can_leave(slot.len, desc.options)
                && tx.has_room()
            {
                tx.write(slot.desc(loans.base, 0));
            } else {
                seldom = Some((slot, desc));
            }
            if seldom.is_some() || end.is_some() {
                return (seldom, end);
            }
        }
        (None, None)
    }

    /// What cannot be sent, being empty or not a whole packet, is just recycled.
    fn settle_seldom(
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
