//! From the receiving side of a socket straight to the sending side of one, and back.

#![forbid(unsafe_code)]

use std::cell::Cell;

use super::{Inward, Outward};
use crate::packet::{Lender, Packet, Passed};
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
    let seen = entries.len();
    let taken = from
        .lender
        .relend_each(to.lender, entries.iter(), &mut slots.writer());
    slots.submit(taken);
    entries.release(seen);
    to.rings.filled += u64::from(taken);
    from.rings.completed += u64::from(taken);
    from.rings.refused += u64::from(seen - taken);
}

/// Hands up to `max` received packets to `pass`, one by one, as many as the TX ring has room for, and puts those that it returns there. How many
/// were handed over, and a packet that can't be sent, with which it ends.
#[inline]
pub(crate) fn pass(
    from: &mut Side<'_, Inward>,
    to: &mut Side<'_, Outward>,
    max: u32,
    pass: impl FnMut(Packet) -> Option<Packet>,
) -> (u32, Option<Packet>) {
    let slots = to.rings.tx.reserve(from.rings.rx.available(max).min(max));
    let mut passing = Passing {
        entries: Some(from.rings.rx.peek(slots.len())),
        slots: Some(slots),
        passed: Cell::default(),
        received: &mut from.rings.received,
        refused: &mut from.rings.refused,
        sent: &mut to.rings.sent,
    };
    let unfit = match (&passing.entries, &mut passing.slots) {
        (Some(entries), Some(slots)) => {
            let (entries, slots) = (entries.iter(), slots.writer());
            from.lender
                .pass_each(to.lender, entries, slots, &passing.passed, pass)
        }
        _ => None,
    };
    (passing.passed.get().packets, unfit)
}

/// Entries of the RX ring whose packets are being passed on; dropped, also by a panic, it gives them back and publishes the packets that are to be
/// sent.
struct Passing<'a> {
    entries: Option<Entries<'a, Desc>>,
    slots: Option<Reservation<'a, Desc>>,
    passed: Cell<Passed>,
    received: &'a mut u64,
    refused: &'a mut u64,
    sent: &'a mut u64,
}

impl Drop for Passing<'_> {
    #[inline]
    fn drop(&mut self) {
        let Passed {
            seen,
            packets,
            sent,
        } = self.passed.get();
        *self.received += u64::from(packets);
        *self.refused += u64::from(seen - packets);
        *self.sent += u64::from(sent);
        if let Some(slots) = self.slots.take() {
            slots.submit(sent);
        }
        if let Some(entries) = self.entries.take() {
            entries.release(seen);
        }
    }
}
