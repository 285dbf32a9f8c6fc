//! A packet that was not sent.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;

use crate::error::{ErrorKind, FluxError, errno};
use crate::packet::Packet;

/// A packet that was not sent, handed back, and why.
///
/// ```
/// # let network = fluxcap::sim::Network::new();
/// # let nic = network.nic("eth0")?;
/// # let (_rx, mut tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
/// let empty = tx.alloc().expect("a free frame");
/// let unsent = tx.send_one(empty).unwrap_err();
/// assert!(!unsent.is_full());
/// println!("{unsent}");
/// let mut packet = unsent.into_packet();
/// packet.copy_from(b"hello")?;
/// # assert!(tx.send_one(packet).is_ok());
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Debug)]
pub struct Unsent {
    packet: Packet,
    /// `None`: the ring is full.
    error: Option<FluxError>,
}

impl Unsent {
    /// The ring is full. Allocation-free: this case is common.
    pub(super) fn full(packet: Packet) -> Self {
        Self {
            packet,
            error: None,
        }
    }

    pub(super) fn new(packet: Packet, error: FluxError) -> Self {
        Self {
            packet,
            error: Some(error),
        }
    }

    /// The packet.
    #[must_use]
    pub fn into_packet(self) -> Packet {
        self.packet
    }

    /// Whether there was just no room: it can be sent when others have left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.error.is_none()
    }

    /// Why it was not sent.
    #[must_use]
    pub fn error(&self) -> FluxError {
        self.error.clone().unwrap_or_else(no_room)
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl Error for Unsent {}

impl From<Unsent> for FluxError {
    /// Why it was not sent; the packet is dropped.
    fn from(unsent: Unsent) -> Self {
        unsent.error.unwrap_or_else(no_room)
    }
}

pub(super) fn no_room() -> FluxError {
    FluxError::new(
        ErrorKind::Full,
        errno::EAGAIN,
        "send a packet",
        "the TX ring is full, and the kernel takes no more now",
        "wait for room, or drop the packet",
    )
}
