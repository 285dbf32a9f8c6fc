//! From the receiving side of a socket straight to the sending side of one, and back.

#![forbid(unsafe_code)]

use std::cell::Cell;

use super::{Inward, Outward};
use crate::packet::{Lender, Packet, Passed};
use crate::raw::progress::Progress;
use crate::ring::{Desc, Entries, Reservation};

/// One side of a socket with its place in the ledger.
#[derive(Debug)]
pub(crate) struct Side<'a, T> {
    pub(crate) rings: &'a mut T,
    pub(crate) lender: &'a mut Lender,
}

/// Frames of sent packets to the fill ring, the shortest way, up to the receiving side's share. The others stay in the completion ring.
/// `outstanding`: the frames that the receiving side has now.
#[inline]
pub(crate) fn relend(from: &mut Side<'_, Outward>, to: &mut Side<'_, Inward>, outstanding: u32) {
    let same = from.lender.frames().is(to.lender.frames());
    if !same || from.rings.group.is_some() || to.rings.group.is_some() {
        return;
    }
    let missing = to.rings.share.most.saturating_sub(outstanding);
    let available = from.rings.completion.available(missing).min(missing);
    let mut slots = to.rings.fill.reserve(available);
    let entries = from.rings.completion.peek(slots.len());
    let mut progress = Progress::default();
    while progress.seen < entries.len() {
        let run = entries.run(progress.seen);
        let places = slots.run_mut(progress.taken);
        let run = &run[..run.len().min(places.len())];
        let done = from.lender.relend_run(to.lender, run, places);
        progress.add(done, run.len());
    }
    slots.submit(progress.taken);
    entries.release(progress.seen);
    to.rings.filled += u64::from(progress.taken);
    from.rings.completed += u64::from(progress.taken);
    from.rings.refused += progress.refused();
}

/// Hands up to `max` received packets to `pass`, one by one, as many as the TX ring has room for, and puts those that it returns there. How many
/// were handed over, and a packet that can't be sent, with which it ends.
#[inline]
pub(crate) fn pass(
    from: &mut Side<'_, Inward>,
    to: &mut Side<'_, Outward>,
    max: u32,
    mut pass: impl FnMut(Packet) -> Option<Packet>,
) -> (u32, Option<Packet>) {
    let mut left = from.rings.rx.available(max).min(max);
    let mut total = 0;
    // A turn ends where the array of one ring does.
    while left > 0 {
        let mut passing = Passing {
            entries: Some(from.rings.rx.peek(left)),
            slots: Some(to.rings.tx.reserve(left)),
            passed: Cell::default(),
            refused: Cell::new(false),
            received: &mut from.rings.received,
            sent: &mut to.rings.sent,
        };
        let (tried, unfit) = passing.pass(from.lender, to.lender, &mut pass);
        let done = passing.passed.get().packets;
        passing.refused.set(done < tried && unfit.is_none());
        let refused = u32::from(passing.refused.get());
        drop(passing);
        from.rings.refused += u64::from(refused);
        left -= done + refused;
        total += done;
        if tried == 0 || unfit.is_some() {
            return (total, unfit);
        }
    }
    (total, None)
}

/// Entries of the RX ring whose packets are being passed on; dropped, also by a panic, it gives them back and publishes the packets that are to be
/// sent.
struct Passing<'a> {
    entries: Option<Entries<'a, Desc>>,
    slots: Option<Reservation<'a, Desc>>,
    passed: Cell<Passed>,
    /// Whether the entry after them was refused.
    refused: Cell<bool>,
    received: &'a mut u64,
    sent: &'a mut u64,
}

impl Passing<'_> {
    /// Passes the first entries on: how many were tried, and a packet that can't be sent.
    #[inline(always)]
    fn pass(
        &mut self,
        receiving: &mut Lender,
        sending: &mut Lender,
        pass: impl FnMut(Packet) -> Option<Packet>,
    ) -> (u32, Option<Packet>) {
        let run = match &self.entries {
            Some(entries) => entries.run(0),
            None => &[],
        };
        let slots = match &mut self.slots {
            Some(slots) => slots.run_mut(0),
            None => &mut [],
        };
        let tried = run.len().min(slots.len());
        let unfit = receiving.pass_run(sending, &run[..tried], slots, &self.passed, pass);
        (tried as u32, unfit)
    }
}

impl Drop for Passing<'_> {
    #[inline]
    fn drop(&mut self) {
        let Passed { packets, sent } = self.passed.get();
        *self.received += u64::from(packets);
        *self.sent += u64::from(sent);
        if let Some(slots) = self.slots.take() {
            slots.submit(sent);
        }
        if let Some(entries) = self.entries.take() {
            entries.release(packets + u32::from(self.refused.get()));
        }
    }
}
