//! From the receiving side of a socket straight to the sending side of one, and back.

#![forbid(unsafe_code)]

use crate::packet::Lender;
use crate::socket::{RxSide, TxSide};

/// One side of a socket with its place in the ledger.
#[derive(Debug)]
pub(crate) struct Side<'a, T> {
    pub(crate) rings: &'a mut T,
    pub(crate) lender: &'a mut Lender,
}

/// Frames of sent packets to the fill ring, the shortest way, up to the receiving side's share. The others stay in the completion ring.
/// `outstanding`: the frames that the receiving side has now.
#[inline]
pub(crate) fn relend(from: &mut Side<'_, TxSide>, to: &mut Side<'_, RxSide>, outstanding: u32) {
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
