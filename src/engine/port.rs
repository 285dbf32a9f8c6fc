//! One socket of an engine.

#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use super::stats::PortStatistics;
use crate::error::{FluxError, Result};
use crate::packet::PacketBatch;
use crate::packet::{NotSent, Packet, VerdictCounts};
use crate::socket::{FluxRaw, Watchdog};

/// How long to sleep at a time while packets stand in the TX ring or frames are short: nobody tells when more can be sent, or when a frame
/// comes back.
const BRIEF: Duration = Duration::from_millis(2);

/// A socket, and what passed through it.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) raw: FluxRaw,
    /// Packets that had come in before the socket was a port.
    before: u64,
    /// What became of them.
    pub(super) counts: VerdictCounts,
    /// What came from other ports.
    posted: PortStatistics,
    /// Whether packets may be in the TX ring, of which the kernel may have to be told.
    unsent: bool,
    watchdog: Watchdog,
}

impl Port {
    pub(super) fn new(raw: FluxRaw, patience: Duration) -> Self {
        Self {
            before: raw.totals().0,
            raw,
            counts: VerdictCounts::default(),
            posted: PortStatistics::default(),
            unsent: false,
            watchdog: Watchdog::new(patience),
        }
    }

    /// After a batch that was not just recycled; returns the first packet that could not be sent for what its slot said, and why.
    #[inline]
    pub(super) fn settle(&mut self) -> Option<(usize, NotSent)> {
        self.unsent = true;
        self.counts.unfit.take()
    }

    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.watchdog.set_patience(patience);
    }

    /// Whether packets that were given to the kernel come back.
    pub(super) fn check_sending(&mut self) -> Result<()> {
        let tx_side = &self.raw.rings.tx_side;
        self.watchdog.look(tx_side, &*self.raw.socket)
    }

    /// Whether it has few frames to receive into.
    pub(super) fn is_short(&self) -> bool {
        self.raw.rings.is_short()
    }

    /// How long to sleep at most, so that packets and frames move on that nobody wakes the engine for, and a link that takes nothing is
    /// noticed; `None`: for ever.
    pub(super) fn longest_sleep(&self) -> Option<Duration> {
        if self.unsent || self.is_short() {
            return Some(BRIEF);
        }
        (self.raw.rings.tx_outstanding() > 0).then(|| self.watchdog.patience())
    }

    pub(super) fn statistics(&self) -> PortStatistics {
        let VerdictCounts {
            sent,
            passed_on,
            no_room,
            ..
        } = self.counts;
        let received = self.raw.totals().0 - self.before;
        PortStatistics {
            received,
            sent: sent + self.posted.sent,
            recycled: received - sent - passed_on - no_room,
            dropped: no_room + self.posted.dropped,
            copied: self.posted.copied,
        }
    }

    /// Sends packets from other ports. What finds no room is dropped.
    pub(super) fn post(&mut self, outbox: &mut PacketBatch) -> Result<()> {
        let count = outbox.len();
        if count == 0 {
            return Ok(());
        }
        let frames = self.raw.umem().frames();
        let sent = if outbox.iter().all(|packet| packet.belongs_to(frames)) {
            self.raw.send(outbox)
        } else {
            Ok(self.post_copies(outbox))
        };
        let taken = u64::from(*sent.as_ref().unwrap_or(&0));
        self.unsent = true;
        self.posted.sent += taken;
        self.posted.dropped += count as u64 - taken;
        outbox.clear();
        sent.map(drop)
    }

    /// Sends packets, and copies of those that lie in another UMEM.
    fn post_copies(&mut self, outbox: &mut PacketBatch) -> u32 {
        let mut sent = 0;
        for packet in outbox.drain() {
            let foreign = !packet.belongs_to(self.raw.umem().frames());
            let packet = match foreign {
                true => self.copy(&packet),
                false => Some(packet),
            };
            if packet.is_some_and(|packet| self.raw.send_one(packet).is_ok()) {
                sent += 1;
                self.posted.copied += u64::from(foreign);
            }
        }
        sent
    }

    /// A copy in the UMEM of this port; `None` when no frame is free, or none is large enough.
    fn copy(&mut self, packet: &Packet) -> Option<Packet> {
        let mut copy = self.raw.alloc()?;
        copy.copy_from(packet.data()).ok().map(|()| copy)
    }

    /// Takes sent frames back, tops the fill ring up, and tells the kernel what it wants to be told.
    #[inline(always)]
    pub(super) fn turn_over(&mut self) -> Result<()> {
        self.raw.refill();
        self.raw.wake_rx_if_needed()?;
        if self.unsent {
            self.kick()?;
        }
        Ok(())
    }

    #[inline]
    fn kick(&mut self) -> Result<()> {
        if self.raw.wants_tx_wakeup() {
            self.raw.wake_tx()?;
        }
        // Also without a call: the kernel may be about to rest, and want one later.
        self.unsent = self.raw.rings.tx_pending() > 0;
        Ok(())
    }
}

/// A socket that an engine did not take: the socket, unharmed, and why.
pub struct PortRefused {
    pub(super) raw: Box<FluxRaw>,
    pub(super) error: FluxError,
}

impl PortRefused {
    /// Why it was refused.
    #[must_use]
    pub fn error(&self) -> &FluxError {
        &self.error
    }

    /// The socket and the error.
    #[must_use]
    pub fn into_parts(self) -> (FluxRaw, FluxError) {
        (*self.raw, self.error)
    }
}

impl From<PortRefused> for FluxError {
    fn from(refused: PortRefused) -> Self {
        refused.error
    }
}

impl fmt::Debug for PortRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PortRefused").field(&self.error).finish()
    }
}

impl fmt::Display for PortRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for PortRefused {}
