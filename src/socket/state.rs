//! What the four rings look like now, for a person with a question.

#![forbid(unsafe_code)]

use std::fmt;

use crate::ring::{ConsumerRing, ProducerRing, RingElement};
use crate::umem::Accounting;

/// One ring, as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RingState {
    /// Slots.
    pub size: u32,
    /// The producer's index, which runs freely and wraps at 2³².
    pub producer: u32,
    /// The consumer's index, likewise.
    pub consumer: u32,
    /// Entries that the consumer has not taken yet.
    pub occupied: u32,
    /// Whether the kernel asks for a wake-up; always `false` for RX and completion rings, which have no such flag.
    pub needs_wakeup: bool,
    /// How often the kernel's index was out of range. Anything but 0 is a fault.
    pub violations: u64,
    /// Entries that named a frame which was not the kernel's to give. Anything but 0 is a fault.
    pub refused: u64,
}

impl RingState {
    pub(super) fn of_producer<T: RingElement>(ring: &ProducerRing<T>) -> Self {
        let (producer, consumer) = ring.indices();
        Self {
            size: ring.size(),
            producer,
            consumer,
            occupied: ring.occupied(),
            needs_wakeup: ring.needs_wakeup(),
            violations: ring.violations(),
            refused: 0,
        }
    }

    pub(super) fn of_consumer<T: RingElement>(ring: &ConsumerRing<T>, refused: u64) -> Self {
        let (producer, consumer) = ring.indices();
        Self {
            size: ring.size(),
            producer,
            consumer,
            occupied: ring.occupied(),
            needs_wakeup: false,
            violations: ring.violations(),
            refused,
        }
    }
}

impl fmt::Display for RingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>6} of {:<6} producer {:<10} consumer {:<10}",
            self.occupied, self.size, self.producer, self.consumer
        )?;
        if self.needs_wakeup {
            write!(f, " needs wake-up")?;
        }
        if self.violations > 0 {
            write!(f, " {} impossible indices", self.violations)?;
        }
        if self.refused > 0 {
            write!(f, " {} refused entries", self.refused)?;
        }
        Ok(())
    }
}

/// The four rings and the frames of a socket, as they stand. Printable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RingsState {
    /// The fill ring. With [`build_group`](crate::FluxBuilder::build_group) it is the one that all sockets share.
    pub fill: RingState,
    /// The RX ring.
    pub rx: RingState,
    /// The TX ring.
    pub tx: RingState,
    /// The completion ring. With [`build_group`](crate::FluxBuilder::build_group) it is what this socket has got of the shared one and not taken
    /// yet.
    pub completion: RingState,
    /// Where the frames are, counted where they are: free frames in queues, packets by the user's count, the kernel's
    /// by what went through the rings. The same as the ledger while several sockets use the UMEM, of which none can count alone.
    pub counted: Accounting,
    /// Where the frames are by the ledger, frame by frame.
    pub ledger: Accounting,
}

impl RingsState {
    /// Whether no frame is lost or owned twice: both accounts add up and agree.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        self.counted.is_conserved() && self.ledger.is_conserved() && self.counted == self.ledger
    }
}

impl fmt::Display for RingsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "fill       {}", self.fill)?;
        writeln!(f, "rx         {}", self.rx)?;
        writeln!(f, "tx         {}", self.tx)?;
        writeln!(f, "completion {}", self.completion)?;
        write!(f, "frames     {}", self.counted)?;
        if self.counted != self.ledger {
            write!(f, "; the ledger says {}", self.ledger)?;
        }
        Ok(())
    }
}
