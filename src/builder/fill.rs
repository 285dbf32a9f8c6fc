//! The first frames of a fill ring.

#![forbid(unsafe_code)]

use super::{FluxBuilder, Program};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::socket::SocketRings;
use crate::umem::UmemRegion;

impl FluxBuilder {
    /// Gives the fill ring its first frames.
    pub(super) fn fill(&self, rings: &mut SocketRings, umem: &UmemRegion) -> Result<()> {
        let free = umem.frames().free_count();
        if self.only_sends() {
            rings.only_send(free);
        }
        // Some drivers use invalid frames when a socket is bound with an empty fill ring, even one that only sends.
        let filled = rings.refill_free() > 0;
        if !filled && (!self.only_sends() || free == 0) {
            return Err(no_free_frame(umem));
        }
        Ok(())
    }

    pub(super) fn only_sends(&self) -> bool {
        matches!(self.program, Program::SendOnly)
    }
}

pub(super) fn no_free_frame(umem: &UmemRegion) -> FluxError {
    let frames = umem.geometry().frames();
    FluxError::new(
        ErrorKind::Memory,
        errno::ENOMEM,
        "fill the fill ring of one more socket on this UMEM",
        format_args!("none of its {frames} frames is free"),
        "make the UMEM larger: each socket takes half of what is free when it is built",
    )
}
