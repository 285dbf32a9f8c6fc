//! The seam to an XDP program: which packets come to which socket.

#![forbid(unsafe_code)]

use std::fmt;

use crate::backend::Socket;
use crate::error::Result;
use crate::report::{Answer, XdpMode};
use crate::stats::ProgramCounters;

/// Sockets that can share a queue. The XDP program has as many places for each.
pub const MAX_SOCKETS_PER_QUEUE: u32 = 16;

/// Where a socket stands in the map of an XDP program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MapKey {
    /// The queue.
    pub queue: u32,
    /// Which of the sockets that share the queue it is, below [`MAX_SOCKETS_PER_QUEUE`]. A socket that has a queue to itself is 0.
    pub member: u32,
}

/// How the packets of a queue are shared out among several sockets, by the hash of their [flow](crate::proto::FlowKey).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FanOut {
    /// Sockets that share it, up to 16. With fewer than two, the first gets all.
    pub sockets: u32,
    /// Whether both directions of a flow go to the same one.
    pub symmetric: bool,
}

/// An attached XDP program and its map of sockets. Dropping the last handle detaches it.
pub trait Steering: fmt::Debug + Send + Sync {
    /// Directs the packets of `key` to `socket`.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when the map has no such key.
    fn insert(&self, key: MapKey, socket: &dyn Socket) -> Result<()>;

    /// Directs the packets of `key` to the kernel again. Removing an absent entry is fine.
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System).
    fn remove(&self, key: MapKey) -> Result<()>;

    /// Says how the packets of `queue` are shared out from now on, by the hash of their [flow](crate::proto::FlowKey). Those for a key
    /// without a socket go on to the kernel.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when there is no such queue or too many sockets,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when the program is a foreign one.
    fn fan_out(&self, queue: u32, fanout: FanOut) -> Result<()>;

    /// What the program counted; `None` for a foreign program.
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System).
    fn counters(&self) -> Result<Option<ProgramCounters>>;

    /// Whether packets can still come this way: whoever waits asks once a second.
    ///
    /// # Errors
    ///
    /// What became of the program.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Where the program runs; `None` for a foreign program.
    fn xdp_mode(&self) -> Option<Answer<XdpMode>>;
}
