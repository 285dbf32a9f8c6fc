//! What the two halves of a socket have in common, for as long as one of them lives.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::kernel::{Interface, Socket, machine};
use crate::link::Link;
use crate::packet::Lease;
use crate::report::Report;
use crate::umem::UmemRegion;

#[derive(Debug)]
pub(super) struct Shared {
    // The order of closing, as in `FluxRaw`.
    pub(super) socket: Arc<dyn Socket>,
    pub(super) _lease: Arc<[Lease]>,
    pub(super) umem: UmemRegion,
    pub(super) link: Link,
    pub(super) interface: Interface,
    pub(super) report: Report,
}

impl Shared {
    /// The file descriptor, or -1.
    pub(super) fn fd(&self) -> i32 {
        // A simulated socket gets one when somebody asks.
        let hang = || machine::bell().and_then(|bell| self.socket.hang(bell));
        self.socket.fd().or_else(hang).unwrap_or(-1)
    }
}
