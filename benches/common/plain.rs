//! A kernel side in plain memory: what the program puts into fill and TX ring comes back through RX and completion ring.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fluxcap::kernel::{
    Allocation, Backend, BorrowedFd, Bound, Company, Interest, Interface, Kick, MemoryRequest,
    Opened, Ready, ReleasedAtClose, Rings, Socket, SocketRequest, Steering,
};
use fluxcap::mem::Memory;
use fluxcap::ring::{ConsumerRing, Desc, ProducerRing, pair};
use fluxcap::{Answer, Link, Result, SocketStatistics, UmemRegion, XdpMode};

/// The benchmarks use the default chunk size.
const CHUNK_SIZE: u64 = 4096;

/// The kernel's ends of the four rings.
#[derive(Debug)]
pub(crate) struct KernelSide {
    fill: ConsumerRing<u64>,
    rx: ProducerRing<Desc>,
    tx: ConsumerRing<Desc>,
    completion: ProducerRing<u64>,
}

impl KernelSide {
    /// Receives `count` packets of `len` bytes into frames of the fill ring.
    pub(crate) fn deliver(&mut self, count: u32, len: u32) {
        let frames = self.fill.peek(count);
        let mut slots = self.rx.reserve(frames.len());
        let mut writer = slots.writer();
        for addr in frames.iter().take(writer.room() as usize) {
            let desc = Desc {
                // As the kernel: any address within a chunk names the chunk.
                addr: (addr & !(CHUNK_SIZE - 1)) + 256,
                len,
                options: 0,
            };
            assert!(writer.push(desc));
        }
        let written = writer.written();
        slots.submit(written);
        frames.release(written);
    }

    /// Sends everything that stands in the TX ring.
    pub(crate) fn transmit(&mut self) {
        let packets = self.tx.peek(u32::MAX);
        let mut slots = self.completion.reserve(packets.len());
        let mut writer = slots.writer();
        for desc in packets.iter().take(writer.room() as usize) {
            assert!(writer.push(desc.addr));
        }
        let written = writer.written();
        slots.submit(written);
        packets.release(written);
    }
}

/// A link whose one queue is played by a [`KernelSide`].
#[derive(Debug, Clone, Default)]
pub(crate) struct PlainLink {
    kernel: Arc<Mutex<Option<KernelSide>>>,
}

impl PlainLink {
    pub(crate) fn link(&self) -> Link {
        Link::new(Arc::new(self.clone()))
    }

    /// The kernel's side of the socket that was opened last.
    pub(crate) fn kernel(&self) -> KernelSide {
        let mut kernel = self.kernel.lock().unwrap();
        kernel.take().expect("a socket was opened")
    }
}

// SAFETY: memory from the heap and rings of its own; the benchmarks close nothing while they use the kernel's side.
unsafe impl Backend for PlainLink {
    fn interface(&self) -> Result<Interface> {
        Ok(Interface {
            name: "plain".to_owned(),
            index: 1,
            mtu: 1500,
            up: true,
            rx_queues: Some(1),
            mac: None,
        })
    }

    fn allocate(&self, request: &MemoryRequest) -> Result<Allocation> {
        let memory = Memory::heap(request.bytes)?;
        Ok(Allocation {
            page_size: Answer::granted(request.hugepages, memory.page_size()),
            numa_node: Answer::granted(request.numa_node, request.numa_node),
            memory,
        })
    }

    fn open(&self, request: &SocketRequest, _umem: &UmemRegion) -> Result<Opened> {
        let (fill, kernel_fill) = pair(request.sizes.fill)?;
        let (kernel_rx, rx) = pair(request.sizes.rx)?;
        let (tx, kernel_tx) = pair(request.sizes.tx)?;
        let (kernel_completion, completion) = pair(request.sizes.completion)?;
        *self.kernel.lock().unwrap() = Some(KernelSide {
            fill: kernel_fill,
            rx: kernel_rx,
            tx: kernel_tx,
            completion: kernel_completion,
        });
        Ok(Opened {
            socket: Arc::new(PlainSocket {
                request: request.clone(),
            }),
            rings: Rings {
                fill,
                rx,
                tx,
                completion,
            },
        })
    }

    fn attach(&self, _mode: XdpMode, _fan_out: bool, _locked: u64) -> Result<Arc<dyn Steering>> {
        unreachable!("the benchmarks load no program")
    }

    fn user_map(&self, _map: BorrowedFd<'_>) -> Result<Arc<dyn Steering>> {
        unreachable!("the benchmarks use no map")
    }
}

#[derive(Debug)]
struct PlainSocket {
    request: SocketRequest,
}

impl Socket for PlainSocket {
    fn bind(&self) -> Result<Bound> {
        Ok(Bound {
            release: Arc::new(ReleasedAtClose),
            bind_mode: Answer::granted(self.request.bind_mode, self.request.bind_mode),
            need_wakeup: Answer::granted(self.request.need_wakeup, true),
            busy_poll: Answer::granted(self.request.busy_poll, self.request.busy_poll),
            tx_budget: Answer::granted(32, 32),
        })
    }

    fn wake_rx(&self) -> Result<()> {
        Ok(())
    }

    fn wake_tx(&self) -> Result<Kick> {
        Ok(Kick::Done)
    }

    fn wait(
        &self,
        _interest: Interest,
        _timeout: Option<Duration>,
        _company: &Company<'_>,
    ) -> Result<Ready> {
        Ok(Ready::default())
    }

    fn statistics(&self) -> Result<SocketStatistics> {
        Ok(SocketStatistics::default())
    }

    fn describe(&self) -> String {
        "a kernel in plain memory".to_owned()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
