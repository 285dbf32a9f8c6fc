//! What happened in a simulated network, in order.

use std::fmt;
use std::time::Duration;

/// What happened to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// It reached the NIC.
    Arrived,
    /// It stands in the RX ring of the queue's socket.
    Received,
    /// It went on to the host's network stack.
    Passed,
    /// It was dropped on arrival: the host's queue or the RX ring full, no frame, too long, or the NIC down.
    Dropped,
    /// It was taken out of a TX ring.
    Sent,
    /// Its frame came back through the completion ring.
    Completed,
    /// A fault took it.
    Lost,
    /// A fault made a second one.
    Duplicated,
    /// A fault let it overtake others.
    Reordered,
    /// A fault changed a bit.
    Corrupted,
    /// A fault cut it.
    Truncated,
    /// A fault held it up.
    Delayed,
    /// A fault made a kick or a wait pass without effect.
    WakeupLost,
    /// A fault ended a wait early.
    WakeupSpurious,
    /// A fault hid the frames of the fill ring.
    Starved,
    /// A fault holds a sent frame back.
    Stalled,
}

/// One thing that happened. Prints as one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Event {
    /// When, since the network was made.
    pub time: Duration,
    /// The number of the NIC, in the order they were added.
    pub nic: u32,
    /// The queue.
    pub queue: u32,
    /// What.
    pub kind: EventKind,
    /// The packet's length in bytes; 0 where there is none.
    pub len: u32,
    /// A hash of its bytes (FNV-1a); 0 where there is none.
    pub digest: u64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>12} ns  nic {} queue {}  {:<14} {:>5} bytes {:016x}",
            self.time.as_nanos(),
            self.nic,
            self.queue,
            format!("{:?}", self.kind),
            self.len,
            self.digest
        )
    }
}

/// Events, up to a number.
#[derive(Debug, Default)]
pub(super) struct Trace {
    events: Vec<Event>,
    most: usize,
}

impl Trace {
    pub(super) fn start(&mut self, most: usize) {
        self.events = Vec::new();
        self.most = most;
    }

    pub(super) fn is_on(&self) -> bool {
        self.events.len() < self.most
    }

    pub(super) fn add(&mut self, event: Event) {
        // Without memory for more, no more are noted.
        if self.is_on() && self.events.try_reserve(1).is_ok() {
            self.events.push(event);
        }
    }

    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }
}

/// FNV-1a, 64 bits.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
