//! A simulated NIC, behind the seam.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use super::kernel_rings::KernelRings;
use super::nic::Nic;
use super::port::Sock;
use super::socket::{SimSocket, TX_BUDGET};
use super::steering;
use crate::backend::{
    Allocation, Backend, BorrowedFd, Interface, MemoryRequest, Opened, Rings, Sharing, Socket,
    SocketRequest, Steering,
};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::proto::MacAddr;
use crate::report::{Answer, Hugepages, XdpMode};
use crate::ring::pair;
use crate::stats::SocketStatistics;
use crate::umem::UmemRegion;
use crate::umem::memory::Memory;

#[derive(Debug)]
pub(super) struct SimBackend {
    pub(super) nic: Nic,
}

// SAFETY: memory from the heap, rings whose other ends the socket's `KernelRings` has, with a handle to the UMEM; that is dropped before
// the release is told, and touches only frames that are on loan.
unsafe impl Backend for SimBackend {
    fn interface(&self) -> Result<Interface> {
        self.nic.with(|world, index| {
            let port = &world.ports[index];
            let number = index as u32 + 1;
            let [_, a, b, c] = number.to_be_bytes();
            Ok(Interface {
                name: port.config.name.clone(),
                index: number,
                mtu: port.config.mtu,
                up: port.up,
                rx_queues: Some(port.active),
                mac: Some(port.config.mac.unwrap_or(MacAddr([2, 0, 0, a, b, c]))),
            })
        })
    }

    fn allocate(&self, request: &MemoryRequest) -> Result<Allocation> {
        let memory = Memory::heap(request.bytes)?;
        let page = memory.page_size();
        let ordinary = "a simulated NIC works in ordinary memory";
        Ok(Allocation {
            page_size: match request.hugepages {
                Hugepages::Never => Answer::granted(request.hugepages, page),
                _ => Answer::refused(request.hugepages, page, ordinary),
            },
            numa_node: match request.numa_node {
                None => Answer::granted(None, None),
                node => Answer::refused(node, None, ordinary),
            },
            memory,
        })
    }

    fn open(&self, request: &SocketRequest, umem: &UmemRegion) -> Result<Opened> {
        let (fill, kernel_fill) = pair(request.sizes.fill)?;
        let (kernel_rx, rx) = pair(request.sizes.rx)?;
        let (tx, kernel_tx) = pair(request.sizes.tx)?;
        let (kernel_completion, completion) = pair(request.sizes.completion)?;
        let frames = umem.frames().clone();
        let rings = KernelRings::new(frames, kernel_fill, kernel_rx, kernel_tx, kernel_completion);
        let socket = self.add(request, umem, rings, None)?;
        Ok(Opened {
            socket,
            rings: Rings {
                fill,
                rx,
                tx,
                completion,
            },
        })
    }

    fn share(
        &self,
        request: &SocketRequest,
        first: &Arc<dyn Socket>,
        umem: &UmemRegion,
    ) -> Result<Sharing> {
        let (kernel_rx, rx) = pair(request.sizes.rx)?;
        let (tx, kernel_tx) = pair(request.sizes.tx)?;
        let rings = KernelRings::new_shared(umem.frames().clone(), kernel_rx, kernel_tx);
        let socket = self.add(request, umem, rings, Some(first))?;
        Ok(Sharing { socket, rx, tx })
    }

    fn attach(&self, mode: XdpMode, _fan_out: bool, _locked: u64) -> Result<Arc<dyn Steering>> {
        steering::attach(&self.nic, mode)
    }

    fn queues_advice(&self, _name: &str, _count: &str) -> String {
        "fluxcap_sim_nic_set_queues(), or set_queues of the NIC in Rust".to_owned()
    }

    fn up_advice(&self, _name: &str) -> String {
        "fluxcap_sim_nic_set_up(), or set_up of the NIC in Rust".to_owned()
    }

    fn user_map(&self, _map: BorrowedFd<'_>) -> Result<Arc<dyn Steering>> {
        Err(FluxError::new(
            ErrorKind::Unsupported,
            errno::EOPNOTSUPP,
            "using the given XSKMAP on a simulated NIC",
            "it has no kernel that could run your XDP program",
            "use the bundled program here",
        ))
    }
}

impl SimBackend {
    /// A new socket, of its own or beside `first`.
    fn add(
        &self,
        request: &SocketRequest,
        umem: &UmemRegion,
        rings: KernelRings,
        first: Option<&Arc<dyn Socket>>,
    ) -> Result<Arc<dyn Socket>> {
        let beside = first.map(|first| {
            let socket: &dyn Any = &**first;
            let socket = socket.downcast_ref::<SimSocket>();
            let here = socket.filter(|socket| Arc::ptr_eq(&socket.nic.shared, &self.nic.shared));
            here.map(|socket| socket.id)
        });
        let (id, gone) = self.nic.with(|world, port| {
            let id = world.next_socket;
            let owner = match beside {
                None => id,
                Some(beside) => beside
                    .filter(|owner| {
                        let owner = world.sockets.get(owner);
                        owner.is_some_and(|owner| {
                            let same_umem = owner.rings.belongs_to(umem.frames());
                            same_umem && owner.port == port && owner.queue == request.queue
                        })
                    })
                    .ok_or_else(|| not_shareable(request.queue))?,
            };
            world.next_socket += 1;
            world.sockets.insert(
                id,
                Sock {
                    rings,
                    owner,
                    port,
                    queue: request.queue,
                    bound: false,
                    closing: None,
                    zero_copy: false,
                    need_wakeup: request.need_wakeup,
                    budget: TX_BUDGET,
                    statistics: SocketStatistics::default(),
                    tx_active: false,
                    rx_stopped: false,
                    ready_fd: None,
                    watchers: Vec::new(),
                },
            );
            Ok((id, world.ports[port].gone.clone()))
        })?;
        Ok(Arc::new(SimSocket {
            nic: self.nic.clone(),
            request: request.clone(),
            zero_copy_mtu: umem.geometry().zero_copy_mtu(),
            id,
            ready_fd: OnceLock::new(),
            gone,
            first: first.cloned(),
        }))
    }
}

fn not_shareable(queue: u32) -> FluxError {
    FluxError::invalid(
        format_args!("sharing queue {queue} of a simulated NIC"),
        "the socket to share it with is on another queue, NIC or UMEM",
        "share the queue of one socket, on its UMEM",
    )
}
