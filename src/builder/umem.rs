//! The UMEM of a socket: a new one, or that of another socket.

#![forbid(unsafe_code)]

use super::FluxBuilder;
use crate::backend::{Bound, MemoryRequest, Steering};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::report::{Answer, Hugepages, Report};
use crate::umem::UmemRegion;
use crate::umem::memory::PAGE_SIZE;

/// The UMEM of a socket, and the answers to the wishes for its memory.
pub(super) struct PreparedUmem {
    pub(super) umem: UmemRegion,
    page_size: Answer<Hugepages, usize>,
    numa_node: Answer<Option<u32>>,
}

impl PreparedUmem {
    pub(super) fn report(&self, bound: Bound, steering: Option<&dyn Steering>) -> Report {
        Report {
            bind_mode: bound.bind_mode,
            xdp_mode: steering.and_then(Steering::xdp_mode),
            page_size: self.page_size.clone(),
            numa_node: self.numa_node.clone(),
            need_wakeup: bound.need_wakeup,
            busy_poll: bound.busy_poll,
            tx_budget: bound.tx_budget,
            notes: Vec::new(),
        }
    }
}

impl FluxBuilder {
    /// The UMEM and the answers to the wishes for its memory.
    pub(super) fn prepare_umem(&self) -> Result<PreparedUmem> {
        if let Some(umem) = &self.umem {
            return Ok(PreparedUmem {
                umem: umem.clone(),
                page_size: given(self.memory.hugepages, Hugepages::Never, umem.page_size()),
                numa_node: given(self.memory.numa_node, None, None),
            });
        }
        let geometry = self.memory.geometry()?;
        let bytes = usize::try_from(geometry.bytes().next_multiple_of(PAGE_SIZE as u64));
        let bytes = bytes.map_err(|_| {
            FluxError::new(
                ErrorKind::Memory,
                errno::ENOMEM,
                format_args!("UMEM of {} bytes", geometry.bytes()),
                "it exceeds this machine's address space",
                "ask for fewer frames",
            )
        })?;
        let allocation = self.link.backend().allocate(&MemoryRequest {
            bytes,
            hugepages: self.memory.hugepages,
            numa_node: self.memory.numa_node,
        })?;
        if self.memory.core_dump {
            allocation.memory.dump();
        }
        Ok(PreparedUmem {
            umem: UmemRegion::new(allocation.memory, geometry)?,
            page_size: allocation.page_size,
            numa_node: allocation.numa_node,
        })
    }
}

/// The answer to a wish for the memory of a UMEM that was there already.
fn given<R: PartialEq, A>(wish: R, none: R, achieved: A) -> Answer<R, A> {
    if wish == none {
        Answer::granted(wish, achieved)
    } else {
        Answer::refused(wish, achieved, "the UMEM was given, and stays as it is")
    }
}
