//! Received packets one at a time: from the RX ring past a closure into the fill ring or a TX ring, in one pass.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::convert::Infallible;

use crate::packet::FramePool;
use crate::packet::{Handled, Lender, Outlets, RECYCLE, ReceivedPacket, SEND, Verdict};
use crate::ring::{Desc, Entries, Reservation};
use crate::socket::{RxSide, SocketRings, TxSide};

impl RxSide {
    /// Shows up to `max` received packets to `decide`, one at a time, and does with each what it says. What it returns besides ends that early.
    /// It says in `handled` what became of them, also when `decide` panics.
    ///
    /// Frames go back to the fill ring, or where that has no room to `pool`; packets to send go `to` the TX ring.
    #[inline]
    pub(crate) fn each<B>(
        &mut self,
        (lender, pool): (&mut Lender, &mut FramePool),
        to: Option<Target<'_>>,
        max: u32,
        handled: &Cell<Handled>,
        decide: impl FnMut(ReceivedPacket<'_>) -> (u32, Option<B>),
        pass_on: impl FnMut(u32, ReceivedPacket<'_>),
    ) -> Option<B> {
        let entries = self.rx.peek(max);
        if entries.is_empty() {
            return None;
        }
        let count = entries.len();
        let port = to.as_ref().map_or(0, |to| to.port);
        let (tx, sent, sender) = match to {
            Some(Target { rings, sender, .. }) => {
                (Some(rings.tx.reserve(count)), Some(&mut rings.sent), sender)
            }
            None => (None, None, None),
        };
        let mut guard = PassGuard {
            entries: Some(entries),
            fill: Some(self.fill.reserve(count)),
            tx,
            handled,
            received: &mut self.received,
            filled: &mut self.filled,
            refused: &mut self.refused,
            sent,
        };
        let mut end = None;
        if let (Some(entries), Some(fill)) = (&guard.entries, &mut guard.fill) {
            let outlets = Outlets {
                fill: fill.writer(),
                pool,
                tx: guard.tx.as_mut().map(Reservation::writer),
                sender,
            };
            end = lender.each(
                entries.iter(),
                outlets,
                handled,
                SEND + port,
                decide,
                pass_on,
            );
        }
        drop(guard);
        self.pass_on();
        end
    }

    /// Shows up to `max` received packets to `look`; returns how many there were.
    #[inline]
    pub(crate) fn recv_each(
        &mut self,
        lender: &mut Lender,
        pool: &mut FramePool,
        max: u32,
        mut look: impl FnMut(ReceivedPacket<'_>),
    ) -> u32 {
        let handled = Cell::default();
        let look = |packet: ReceivedPacket<'_>| {
            look(packet);
            (RECYCLE, None::<Infallible>)
        };
        self.each((lender, pool), None, max, &handled, look, |_, _| ());
        handled.get().packets()
    }

    /// Shows up to `max` received packets to `judge`, but no more than the TX ring has room for, and sends or recycles them; returns how many
    /// there were.
    #[inline]
    pub(crate) fn forward_each(
        &mut self,
        lender: &mut Lender,
        pool: &mut FramePool,
        to: Target<'_>,
        max: u32,
        mut judge: impl FnMut(ReceivedPacket<'_>) -> Verdict,
    ) -> u32 {
        let handled = Cell::default();
        let room = to.rings.tx.free(max).min(max);
        let own = SEND + to.port;
        let judge = |packet: ReceivedPacket<'_>| match judge(packet) {
            Verdict::Recycle => (RECYCLE, None::<Infallible>),
            Verdict::Send => (own, None),
        };
        self.each((lender, pool), Some(to), room, &handled, judge, |_, _| ());
        handled.get().packets()
    }
}

/// Where packets to send go.
pub(crate) struct Target<'a> {
    pub(crate) rings: &'a mut TxSide,
    /// Number of these rings in an engine.
    pub(crate) port: u32,
    /// Of these rings, unless it is the one that receives.
    pub(crate) sender: Option<&'a mut Lender>,
}

/// The guard of the rings in a pass. Dropped, also by a panic, they tell the kernel what was done.
struct PassGuard<'a> {
    entries: Option<Entries<'a, Desc>>,
    fill: Option<Reservation<'a, u64>>,
    tx: Option<Reservation<'a, Desc>>,
    handled: &'a Cell<Handled>,
    received: &'a mut u64,
    filled: &'a mut u64,
    refused: &'a mut u64,
    sent: Option<&'a mut u64>,
}

impl Drop for PassGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let handled = self.handled.get();
        *self.received += u64::from(handled.packets());
        *self.refused += u64::from(handled.refused);
        *self.filled += u64::from(handled.recycled);
        if let Some(fill) = self.fill.take() {
            fill.submit(handled.recycled);
        }
        if let (Some(tx), Some(sent)) = (self.tx.take(), &mut self.sent) {
            tx.submit(handled.sent);
            **sent += u64::from(handled.sent);
        }
        if let Some(entries) = self.entries.take() {
            entries.release(handled.seen);
        }
    }
}

impl SocketRings {
    /// [`each`](RxSide::each) packet; those to send go into the TX ring.
    #[inline]
    pub(crate) fn each<B>(
        &mut self,
        max: u32,
        handled: &Cell<Handled>,
        port: u32,
        decide: impl FnMut(ReceivedPacket<'_>) -> (u32, Option<B>),
        pass_on: impl FnMut(u32, ReceivedPacket<'_>),
    ) -> Option<B> {
        let to = Target {
            rings: &mut self.tx_side,
            port,
            sender: None,
        };
        let from = (&mut self.lender, &mut self.pool);
        self.rx_side
            .each(from, Some(to), max, handled, decide, pass_on)
    }

    /// Shows up to `max` received packets to `look`; returns how many there were.
    #[inline]
    pub(crate) fn recv_each(&mut self, max: u32, look: impl FnMut(ReceivedPacket<'_>)) -> u32 {
        self.rx_side
            .recv_each(&mut self.lender, &mut self.pool, max, look)
    }

    /// Shows up to `max` received packets to `judge`, but no more than the TX ring has room for, and sends or recycles them; returns how many
    /// there were.
    #[inline]
    pub(crate) fn forward_each(
        &mut self,
        max: u32,
        judge: impl FnMut(ReceivedPacket<'_>) -> Verdict,
    ) -> u32 {
        let to = Target {
            rings: &mut self.tx_side,
            port: 0,
            sender: None,
        };
        self.rx_side
            .forward_each(&mut self.lender, &mut self.pool, to, max, judge)
    }
}
