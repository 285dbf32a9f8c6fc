//! A simulated NIC, behind the seam.

use std::sync::Arc;

use super::nic::Nic;
use super::port::Sock;
use super::socket::{SimSocket, TX_BUDGET};
use super::steering;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::kernel::{
    Allocation, Backend, Interface, MemoryRequest, Opened, Rings, SocketRequest, Steering,
};
use crate::mem::Memory;
use crate::packet::KernelSide;
use crate::proto::MacAddr;
use crate::report::{Answer, Hugepages, XdpMode};
use crate::ring::pair;
use crate::stats::SocketStatistics;
use crate::umem::UmemRegion;

#[derive(Debug)]
pub(super) struct SimBackend {
    pub(super) nic: Nic,
}

impl Backend for SimBackend {
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
        let side = KernelSide::new(frames, kernel_fill, kernel_rx, kernel_tx, kernel_completion);
        let id = self.nic.with(|world, port| {
            let id = world.next_socket;
            world.next_socket += 1;
            world.sockets.insert(
                id,
                Sock {
                    side,
                    port,
                    queue: request.queue,
                    bound: false,
                    zero_copy: false,
                    need_wakeup: request.need_wakeup,
                    budget: TX_BUDGET,
                    statistics: SocketStatistics::default(),
                    tx_active: false,
                    rx_stopped: false,
                    bell: None,
                },
            );
            Ok(id)
        })?;
        Ok(Opened {
            socket: Arc::new(SimSocket {
                nic: self.nic.clone(),
                request: request.clone(),
                zero_copy_mtu: umem.geometry().zero_copy_mtu(),
                id,
            }),
            rings: Rings {
                fill,
                rx,
                tx,
                completion,
            },
        })
    }

    fn attach(&self, mode: XdpMode) -> Result<Arc<dyn Steering>> {
        steering::attach(&self.nic, mode)
    }

    fn user_map(&self, _fd: i32) -> Result<Arc<dyn Steering>> {
        Err(FluxError::new(
            ErrorKind::Unsupported,
            errno::EOPNOTSUPP,
            "using the given XSKMAP on a simulated NIC",
            "it has no kernel that could run your XDP program",
            "use the bundled program here",
        ))
    }
}
