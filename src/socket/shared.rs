//! What the two halves of a socket have in common, for as long as one of them lives.

#![forbid(unsafe_code)]

use crate::backend::{Interface, Socket};
use crate::link::Link;
use crate::packet::LeasedSocket;
use crate::report::Report;
use crate::umem::UmemRegion;

#[derive(Debug)]
pub(super) struct Shared {
    // The order of closing, as in `FluxRaw`.
    pub(super) umem: UmemRegion,
    pub(super) link: Link,
    pub(super) interface: Interface,
    pub(super) report: Report,
    pub(super) socket: LeasedSocket<dyn Socket>,
}
