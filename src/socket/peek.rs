//! Received packets that are looked at by their descriptors before they are consumed.
//!
//! What is consumed then is what was shown: the copies that were checked. The ring is not looked at again.

#![forbid(unsafe_code)]

use crate::error::{FluxError, Result};
use crate::packet::{Lender, Verdict};
use crate::ring::Desc;
use crate::socket::FluxRaw;
use crate::socket::rings::SocketRings;
use crate::socket::rx_side::RxSide;
use crate::umem::memory;

/// Copies of the descriptors that were peeked at last.
#[derive(Debug)]
pub(super) struct Peeked {
    /// Room for a whole RX ring.
    descs: Box<[Desc]>,
    count: u32,
    /// How many entries had been consumed then, ever: the copies are of those at the front for as long as that stands.
    consumed: u64,
    /// How many frames had come back from sending then: one that a kernel names there, too, is not on loan any more.
    completed: u64,
}

impl Peeked {
    /// Room for an RX ring of so many slots.
    ///
    /// # Errors
    ///
    /// [`Memory`](crate::ErrorKind::Memory).
    pub(super) fn new(slots: u32) -> Result<Self> {
        let descs = memory::filled(slots as usize, Desc::default()).ok_or_else(|| {
            FluxError::no_memory(
                format_args!("copies of the {slots} descriptors of an RX ring"),
                "ask for a smaller RX ring",
            )
        })?;
        Ok(Self {
            descs,
            count: 0,
            consumed: 0,
            completed: 0,
        })
    }
}

impl RxSide {
    /// Copies of the descriptors of the first received packets, up to `max`; refused entries in front are skipped.
    fn peek(&mut self, lender: &Lender, max: u32) -> &[Desc] {
        loop {
            let entries = self.rx.peek(max);
            let count = lender.copy_accepted(entries.iter(), &mut self.peeked.descs);
            if count > 0 || entries.is_empty() {
                self.peeked.count = count as u32;
                self.peeked.consumed = self.received + self.refused;
                return &self.peeked.descs[..count];
            }
            entries.release(1);
            self.refused += 1;
        }
    }

    /// The accepted copies of up to `max` packets at the front, if they were peeked at.
    #[inline]
    pub(super) fn peeked(&self, max: u32) -> &[Desc] {
        let is_front = self.peeked.consumed == self.received + self.refused;
        let count = if is_front {
            self.peeked.count.min(max)
        } else {
            0
        };
        &self.peeked.descs[..count as usize]
    }

    /// Gives the frames of up to `max` packets that were [peeked](Self::peeked) at back to the kernel, by the copies.
    pub(crate) fn recycle_peeked(&mut self, lender: &Lender, max: u32) -> u32 {
        let wanted = self.peeked(max).len() as u32;
        let mut slots = self.fill.reserve(wanted);
        let done = slots.len();
        lender.recycle_accepted(&self.peeked.descs[..done as usize], &mut slots.writer());
        slots.submit(done);
        self.rx.peek(done).release(done);
        self.filled += u64::from(done);
        self.received += u64::from(done);
        self.pass_on();
        done
    }
}

impl SocketRings {
    /// Copies of the descriptors of the first received packets, up to `max`; refused entries in front are skipped.
    pub(crate) fn peek(&mut self, max: u32) -> &[Desc] {
        self.rx_side.peeked.completed = self.tx_side.completed;
        self.rx_side.peek(&self.lender, max)
    }

    /// Up to `max`, unless frames have come back from sending since the last peek: then all are looked at anew.
    fn still_checked(&self, max: u32) -> u32 {
        match self.rx_side.peeked.completed == self.tx_side.completed {
            true => max,
            false => 0,
        }
    }

    /// Consumes up to `max` received packets: those that were peeked at as they were then.
    pub(crate) fn recycle_front(&mut self, max: u32) -> u32 {
        let checked = self.still_checked(max);
        let done = self.rx_side.recycle_peeked(&self.lender, checked);
        match done == max {
            true => done,
            false => done + self.recv_each(max - done, |_| {}),
        }
    }

    /// Puts up to `max` received packets into the TX ring: those that were peeked at as they were then.
    pub(crate) fn forward_front(&mut self, max: u32) -> u32 {
        let done = self.forward_peeked(self.still_checked(max));
        match done == max {
            true => done,
            false => done + self.forward_each(max - done, |_| Verdict::Send),
        }
    }

    fn forward_peeked(&mut self, max: u32) -> u32 {
        let (rx_side, tx_side) = (&mut self.rx_side, &mut self.tx_side);
        let wanted = rx_side.peeked(max).len() as u32;
        let mut out = tx_side.tx.reserve(wanted);
        let mut slots = rx_side.fill.reserve(out.len());
        let done = slots.len();
        let (mut fill, mut tx) = (slots.writer(), out.writer());
        let accepted = &rx_side.peeked.descs[..done as usize];
        self.lender.forward_accepted(accepted, &mut fill, &mut tx);
        let (recycled, sent) = (fill.written(), tx.written());
        slots.submit(recycled);
        out.submit(sent);
        rx_side.rx.peek(done).release(done);
        rx_side.filled += u64::from(recycled);
        tx_side.sent += u64::from(sent);
        rx_side.received += u64::from(done);
        rx_side.pass_on();
        done
    }
}

impl FluxRaw {
    /// Consumes up to `max` received packets and gives their frames back to the kernel; returns how many. Those that were
    /// [peeked](Self::peek) at last are consumed as they were shown.
    ///
    /// Frames that the fill ring has no room for go to the pool. It makes no system call and has no errors: that the interface is gone,
    /// [`check`](Self::check) tells. In a forked child it finds nothing.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # let mut raw = fluxcap::FluxBuilder::new(&nic).build()?;
    /// # nic.inject(0, &[0; 60])?;
    /// # network.step(100);
    /// let bytes: u32 = raw.peek(64).iter().map(|desc| desc.len).sum();
    /// assert_eq!((bytes, raw.recycle_front(64)), (60, 1));
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn recycle_front(&mut self, max: u32) -> u32 {
        match self.umem.process().is_current() {
            true => self.rings.recycle_front(max),
            false => 0,
        }
    }

    /// Puts up to `max` received packets into the TX ring, as far as that has room, with their bytes as they are now; returns how many were
    /// consumed. Those that were [peeked](Self::peek) at last go as they were shown. Packets that are empty or have options are
    /// recycled; those for which the TX ring has no room stay in the RX ring.
    ///
    /// They leave with [`wake_tx`](Self::wake_tx); their frames come back with [`refill`](Self::refill) or [`reap`](Self::reap). It makes
    /// no system call and has no errors: that the interface is gone, [`check`](Self::check) tells. In a forked child it finds nothing.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # let mut raw = fluxcap::FluxBuilder::new(&nic).build()?;
    /// # nic.inject(0, &[0; 60])?;
    /// # network.step(100);
    /// let count = raw.peek(64).len() as u32;
    /// assert_eq!(raw.forward_front(count), 1);
    /// raw.wake_tx()?;
    /// # assert_eq!(nic.take_sent(), Some(vec![0; 60]));
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn forward_front(&mut self, max: u32) -> u32 {
        match self.umem.process().is_current() {
            true => self.rings.forward_front(max),
            false => 0,
        }
    }
}
