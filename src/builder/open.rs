//! The steps to a socket: checks, memory, first frames, and what the report tells of packets that do not come.

#![forbid(unsafe_code)]

use super::{FluxBuilder, Program};
use crate::backend::{Backend, Bound, Interface, MemoryRequest, Steering};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::report::{Answer, Hugepages, Report};
use crate::ring::check_size;
use crate::socket::SocketRings;
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

impl FluxBuilder {
    pub(super) fn check_sizes(&self) -> Result<()> {
        let sizes = self.socket.sizes;
        check_size("fill ring", sizes.fill)?;
        check_size("RX ring", sizes.rx)?;
        check_size("TX ring", sizes.tx)?;
        check_size("completion ring", sizes.completion)?;
        if let Some(budget) = self.socket.tx_budget
            && !(32..=sizes.tx.max(32)).contains(&budget)
        {
            return Err(FluxError::invalid(
                format_args!("TX budget {budget}"),
                format_args!(
                    "it lies between 32 and the size of the TX ring, {}",
                    sizes.tx
                ),
                "leave it at its default, the size of the TX ring",
            ));
        }
        if let Some(busy_poll) = self.socket.busy_poll
            && (busy_poll.microseconds == 0
                || i32::try_from(busy_poll.microseconds).is_err()
                || !(1..=u32::from(u16::MAX)).contains(&busy_poll.budget))
        {
            return Err(FluxError::invalid(
                format_args!(
                    "preferred busy polling for {} microseconds and {} packets",
                    busy_poll.microseconds, busy_poll.budget
                ),
                "it polls for 1 to 2,147,483,647 microseconds and 1 to 65,535 packets",
                "use 20 microseconds and 64 packets, or leave it off",
            ));
        }
        Ok(())
    }
}

/// The kernel would bind to an interface that is down, and fail at the first packet.
pub(super) fn check_up(interface: &Interface, backend: &dyn Backend) -> Result<()> {
    if interface.up {
        return Ok(());
    }
    Err(FluxError::new(
        ErrorKind::Down,
        errno::ENETDOWN,
        format_args!("bind to {}", interface.name),
        "the interface is down",
        format_args!("bring it up: {}", backend.up_advice(&interface.name)),
    ))
}

/// Refuses a queue that nothing arrives at.
pub(crate) fn check_queue(interface: &Interface, backend: &dyn Backend, queue: u32) -> Result<()> {
    match interface.rx_queues {
        Some(queues) if queue >= queues => Err(FluxError::invalid(
            format_args!("bind to queue {queue} of {}", interface.name),
            match queues {
                1 => "the interface has 1 receive queue, 0".to_owned(),
                _ => format!(
                    "the interface has {queues} receive queues, 0 to {}",
                    queues.saturating_sub(1)
                ),
            },
            format_args!(
                "use one of them, or add queues: {}",
                backend.queues_advice(&interface.name, "N")
            ),
        )),
        _ => Ok(()),
    }
}

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

impl FluxBuilder {
    /// The notes for the report of a socket that this makes.
    pub(super) fn notes(
        &self,
        interface: &Interface,
        steering: Option<&dyn Steering>,
    ) -> Vec<String> {
        if !self.receives() {
            return Vec::new();
        }
        let opened = match self.queues.as_slice() {
            [] => &[self.socket.queue],
            queues => queues,
        };
        let mode = steering.and_then(Steering::xdp_mode);
        let backend = self.link.backend();
        let others = other_queues(interface, backend, opened);
        let mut notes: Vec<String> = others.into_iter().collect();
        notes.extend(backend.notes(mode.map(|answer| answer.achieved)));
        notes
    }
}

/// That there are more queues than the opened ones.
fn other_queues(interface: &Interface, backend: &dyn Backend, opened: &[u32]) -> Option<String> {
    let count = interface.rx_queues?;
    let others: Vec<String> = (0..count)
        .filter(|queue| !opened.contains(queue))
        .map(|queue| queue.to_string())
        .collect();
    let name = &interface.name;
    if others.is_empty() {
        return None;
    }
    let others = others.join(", ");
    let one = backend.queues_advice(name, "1");
    Some(format!(
        "{name} has {count} receive queues: packets of queues {others} do not come here, but go to other sockets or to the kernel's network stack; \
         open all queues (build_queues, fluxcap_open_queues()), or leave one: {one}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::machine;
    use crate::sim::Network;

    #[test]
    fn queues_without_a_socket_are_named() {
        let interface = |rx_queues| Interface {
            name: "eth0".to_owned(),
            index: 2,
            mtu: 1500,
            up: true,
            rx_queues,
            mac: None,
        };
        let machine = machine::by_name("eth0");
        let note =
            |rx_queues, opened: &[u32]| other_queues(&interface(rx_queues), &*machine, opened);
        assert_eq!(note(Some(1), &[0]), None);
        assert_eq!(note(None, &[0]), None);
        assert_eq!(note(Some(4), &[0, 1, 2, 3]), None);
        let some = note(Some(4), &[1]).unwrap();
        assert!(some.contains("has 4 receive queues"), "{some}");
        assert!(some.contains("queues 0, 2, 3 do not come"), "{some}");
        assert!(some.contains("ethtool -L eth0 combined 1"), "{some}");
        let simulated = Network::new().nic("eth0").unwrap().backend();
        let some = other_queues(&interface(Some(4)), &*simulated, &[1]).unwrap();
        assert!(
            some.ends_with(
                "leave one: fluxcap_sim_nic_set_queues(), or set_queues of the NIC in Rust"
            ),
            "{some}"
        );
    }
}
