//! A kernel in plain memory, played by the test: it owns the other ends of the four rings and may put anything into them.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::mem;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fluxcap::kernel::{
    Allocation, Backend, BorrowedFd, Bound, Company, FanOut, Interest, Interface, Kick,
    MemoryRequest, Opened, Place, Ready, ReleasedAtClose, Rings, Socket, SocketRequest, Steering,
};
use fluxcap::mem::Memory;
use fluxcap::ring::{ConsumerRing, Desc, ProducerRing, pair_at};
use fluxcap::{
    Answer, ErrorKind, FluxBuilder, FluxError, Link, ProgramCounters, Result, SocketStatistics,
    UmemRegion, XdpMode,
};

/// How the interface behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) mtu: u32,
    pub(crate) queues: Option<u32>,
    /// Where the indices of all rings start.
    pub(crate) start: u32,
    /// Whether `bind` fails.
    pub(crate) refuse_bind: bool,
    /// Packets that one transmit call sends.
    pub(crate) kick: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            mtu: 1500,
            queues: Some(4),
            start: u32::MAX - 3,
            refuse_bind: false,
            kick: 0,
        }
    }
}

/// An interface whose sockets are served by the test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plain {
    setup: Setup,
    kernels: Arc<Mutex<Vec<Kernel>>>,
    log: Log,
    signalled: Arc<AtomicBool>,
}

impl Plain {
    /// From now on a signal ends every wait.
    pub(crate) fn signal(&self) {
        self.signalled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn new(setup: Setup) -> Self {
        Self {
            setup,
            ..Self::default()
        }
    }

    /// A builder for a socket without an XDP program.
    pub(crate) fn builder(&self) -> FluxBuilder {
        FluxBuilder::new(Link::new(Arc::new(self.clone()))).load_xdp(false)
    }

    /// The kernel's side of the socket that was opened last.
    pub(crate) fn kernel(&self) -> Kernel {
        self.kernels.lock().unwrap().last().unwrap().clone()
    }

    /// What happened to sockets and programs, in order.
    pub(crate) fn events(&self) -> Vec<String> {
        mem::take(&mut self.log.0.lock().unwrap())
    }
}

#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, event: impl Into<String>) {
        self.0.lock().unwrap().push(event.into());
    }
}

// SAFETY: memory from the heap and rings of its own; the tests close nothing while they use the kernel's side.
unsafe impl Backend for Plain {
    fn interface(&self) -> Result<Interface> {
        Ok(Interface {
            name: "plain".to_owned(),
            index: 1,
            mac: None,
            mtu: self.setup.mtu,
            up: true,
            rx_queues: self.setup.queues,
        })
    }

    fn allocate(&self, request: &MemoryRequest) -> Result<Allocation> {
        self.log.add("allocate");
        let memory = Memory::heap(request.bytes)?;
        Ok(Allocation {
            page_size: Answer::granted(request.hugepages, memory.page_size()),
            numa_node: Answer::granted(request.numa_node, request.numa_node),
            memory,
        })
    }

    fn open(&self, request: &SocketRequest, umem: &UmemRegion) -> Result<Opened> {
        self.log.add("open");
        let (fill, kernel_fill) = pair_at(request.sizes.fill, self.setup.start)?;
        let (kernel_rx, rx) = pair_at(request.sizes.rx, self.setup.start)?;
        let (tx, kernel_tx) = pair_at(request.sizes.tx, self.setup.start)?;
        let (kernel_completion, completion) = pair_at(request.sizes.completion, self.setup.start)?;
        let kernel = Kernel(Arc::new(Mutex::new(Side {
            fill: kernel_fill,
            rx: kernel_rx,
            tx: kernel_tx,
            completion: kernel_completion,
            memory: umem.memory().start().as_ptr() as usize,
            chunk_size: u64::from(umem.geometry().chunk_size()),
            headroom: u64::from(256 + umem.geometry().headroom()),
            bytes: umem.geometry().bytes(),
        })));
        self.kernels.lock().unwrap().push(kernel.clone());
        Ok(Opened {
            socket: Arc::new(PlainSocket {
                request: request.clone(),
                plain: self.clone(),
                kernel,
            }),
            rings: Rings {
                fill,
                rx,
                tx,
                completion,
            },
        })
    }

    fn attach(&self, mode: XdpMode, _fan_out: bool, _locked: u64) -> Result<Arc<dyn Steering>> {
        self.log.add("attach");
        Ok(Arc::new(PlainProgram {
            mode,
            queues: self.setup.queues.unwrap_or(u32::MAX),
            log: self.log.clone(),
        }))
    }

    fn user_map(&self, map: BorrowedFd<'_>) -> Result<Arc<dyn Steering>> {
        Err(refusal("user map", format!("{map:?} is none")))
    }
}

fn refusal(tried: &str, happened: impl std::fmt::Display) -> FluxError {
    FluxError::new(ErrorKind::Busy, 16, tried, happened, "ask the test")
}

#[derive(Debug)]
struct PlainSocket {
    request: SocketRequest,
    plain: Plain,
    kernel: Kernel,
}

impl Socket for PlainSocket {
    fn bind(&self) -> Result<Bound> {
        self.plain.log.add("bind");
        if self.plain.setup.refuse_bind {
            return Err(refusal("bind", "the queue is taken"));
        }
        Ok(Bound {
            release: Arc::new(ReleasedAtClose),
            bind_mode: Answer::granted(self.request.bind_mode, self.request.bind_mode),
            need_wakeup: Answer::granted(self.request.need_wakeup, self.request.need_wakeup),
            busy_poll: Answer::granted(self.request.busy_poll, self.request.busy_poll),
            tx_budget: Answer::granted(32, 32),
        })
    }

    fn wake_rx(&self) -> Result<()> {
        self.plain.log.add("wake rx");
        Ok(())
    }

    fn wake_tx(&self) -> Result<Kick> {
        self.plain.log.add("wake tx");
        self.kernel.transmit(self.plain.setup.kick);
        let left = self.kernel.tx_entries().len();
        Ok(if left > 0 { Kick::Again } else { Kick::Done })
    }

    fn wait(
        &self,
        _interest: Interest,
        _timeout: Option<Duration>,
        _company: &Company<'_>,
    ) -> Result<Ready> {
        self.plain.log.add("wait");
        Ok(Ready {
            interrupted: self.plain.signalled.load(Ordering::Relaxed),
            ..Ready::default()
        })
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

impl Drop for PlainSocket {
    fn drop(&mut self) {
        self.plain.log.add("close");
    }
}

#[derive(Debug)]
struct PlainProgram {
    mode: XdpMode,
    queues: u32,
    log: Log,
}

impl Steering for PlainProgram {
    fn insert(&self, place: Place, _socket: &dyn Socket) -> Result<()> {
        let queue = place.queue;
        self.log.add(format!("insert {queue}"));
        if queue < self.queues {
            Ok(())
        } else {
            Err(refusal("insert", "the map has no such queue"))
        }
    }

    fn remove(&self, place: Place) -> Result<()> {
        self.log.add(format!("remove {}", place.queue));
        Ok(())
    }

    fn fan_out(&self, _queue: u32, fanout: FanOut) -> Result<()> {
        if fanout.sockets < 2 {
            Ok(())
        } else {
            Err(refusal("share out", "one socket has the queue"))
        }
    }

    fn counters(&self) -> Result<Option<ProgramCounters>> {
        Ok(None)
    }

    fn xdp_mode(&self) -> Option<Answer<XdpMode>> {
        Some(Answer::granted(self.mode, self.mode))
    }
}

impl Drop for PlainProgram {
    fn drop(&mut self) {
        self.log.add("detach");
    }
}

/// The kernel's ends of the four rings of one socket. It keeps the UMEM's address, not the UMEM.
#[derive(Debug, Clone)]
pub(crate) struct Kernel(Arc<Mutex<Side>>);

#[derive(Debug)]
struct Side {
    fill: ConsumerRing<u64>,
    rx: ProducerRing<Desc>,
    tx: ConsumerRing<Desc>,
    completion: ProducerRing<u64>,
    memory: usize,
    chunk_size: u64,
    headroom: u64,
    bytes: u64,
}

impl Side {
    /// The memory of a packet. Only as long as the UMEM lives.
    fn bytes_of(&mut self, desc: Desc) -> &mut [u8] {
        assert!(desc.addr + u64::from(desc.len) <= self.bytes);
        // SAFETY: within the UMEM, which the tests keep alive; the frame is the kernel's, so no reference to it exists.
        unsafe {
            slice::from_raw_parts_mut(
                (self.memory as *mut u8).add(desc.addr as usize),
                desc.len as usize,
            )
        }
    }
}

/// The content of the packet with a number: bytes that tell it from its neighbours.
pub(crate) fn content(number: u64, len: u32) -> Vec<u8> {
    number
        .to_le_bytes()
        .into_iter()
        .cycle()
        .take(len as usize)
        .collect()
}

impl Kernel {
    /// Receives packets of `len` bytes with the [`content`] of these numbers, as long as there are frames and room; returns how many.
    pub(crate) fn deliver(&self, numbers: impl IntoIterator<Item = u64>, len: u32) -> u32 {
        let side = &mut *self.0.lock().unwrap();
        let mut count = 0;
        for number in numbers {
            if side.rx.free(1) == 0 {
                break;
            }
            let Some(addr) = take_one(&mut side.fill) else {
                break;
            };
            let desc = Desc {
                addr: (addr & !(side.chunk_size - 1)) + side.headroom,
                len,
                options: 0,
            };
            side.bytes_of(desc).copy_from_slice(&content(number, len));
            assert!(put_one(&mut side.rx, desc));
            count += 1;
        }
        count
    }

    /// Sends up to `most` packets and completes them, as long as there is room; returns what they held.
    pub(crate) fn transmit(&self, most: u32) -> Vec<Vec<u8>> {
        let side = &mut *self.0.lock().unwrap();
        let mut sent = Vec::new();
        while (sent.len() as u32) < most && side.completion.free(1) > 0 {
            let Some(desc) = take_one(&mut side.tx) else {
                break;
            };
            sent.push(side.bytes_of(desc).to_vec());
            assert!(put_one(&mut side.completion, desc.addr));
        }
        sent
    }

    /// Takes up to `most` addresses out of the fill ring, for whatever purpose.
    pub(crate) fn take_fill(&self, most: u32) -> Vec<u64> {
        let side = &mut *self.0.lock().unwrap();
        (0..most).map_while(|_| take_one(&mut side.fill)).collect()
    }

    /// Takes up to `most` descriptors out of the TX ring.
    pub(crate) fn take_tx(&self, most: u32) -> Vec<Desc> {
        let side = &mut *self.0.lock().unwrap();
        (0..most).map_while(|_| take_one(&mut side.tx)).collect()
    }

    /// Puts anything into the RX ring; false when it is full.
    pub(crate) fn push_rx(&self, addr: u64, len: u32, options: u32) -> bool {
        let desc = Desc { addr, len, options };
        put_one(&mut self.0.lock().unwrap().rx, desc)
    }

    /// Puts anything into the completion ring; false when it is full.
    pub(crate) fn push_completion(&self, addr: u64) -> bool {
        put_one(&mut self.0.lock().unwrap().completion, addr)
    }

    /// What stands in the fill ring.
    pub(crate) fn fill_entries(&self) -> Vec<u64> {
        entries(&mut self.0.lock().unwrap().fill)
    }

    /// What stands in the TX ring.
    pub(crate) fn tx_entries(&self) -> Vec<Desc> {
        entries(&mut self.0.lock().unwrap().tx)
    }

    /// How many entries the program has not taken yet out of the RX and the completion ring.
    pub(crate) fn waiting(&self) -> (u32, u32) {
        let side = self.0.lock().unwrap();
        (side.rx.occupied(), side.completion.occupied())
    }

    /// Sets the need-wakeup flags of fill and TX ring.
    pub(crate) fn set_need_wakeup(&self, rx: bool, tx: bool) {
        let side = self.0.lock().unwrap();
        side.fill.set_need_wakeup(rx);
        side.tx.set_need_wakeup(tx);
    }
}

fn take_one<T: fluxcap::ring::RingElement>(ring: &mut ConsumerRing<T>) -> Option<T> {
    let entries = ring.peek(1);
    let entry = entries.get(0);
    entries.release(1);
    entry
}

fn put_one<T: fluxcap::ring::RingElement>(ring: &mut ProducerRing<T>, entry: T) -> bool {
    let mut slots = ring.reserve(1);
    let put = slots.put(0, entry);
    slots.submit(1);
    put
}

fn entries<T: fluxcap::ring::RingElement>(ring: &mut ConsumerRing<T>) -> Vec<T> {
    ring.peek(u32::MAX).iter().collect()
}

/// A small generator of numbers that look random and are the same in each run (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from zero up to but not including `end`.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        (self.next() % u64::from(end)) as u32
    }
}
