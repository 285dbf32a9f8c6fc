//! Turns the requested configuration into a bound socket.

#![forbid(unsafe_code)]

mod check;
mod fill;
mod group;
mod notes;
mod umem;

use std::sync::Arc;
use std::time::Duration;

#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::{FluxError, Result};
use crate::kernel::{
    self, AsFd, Bound, FanOut, Interface, OwnedFd, RingSizes, Socket, SocketRequest, Steering,
};
use crate::link::Link;
use crate::packet::{LeasedSocket, Leases};
use crate::raw::{Cycle, FluxRaw, Place, Waiting};
use crate::report::{BindMode, BusyPoll, Hugepages, XdpMode};
use crate::umem::{UmemConfig, UmemRegion};
use check::check_up;
use umem::PreparedUmem;

pub(crate) use check::check_queue;

/// Sets up a socket: where to bind, how much memory, which rings, which XDP program.
///
/// Every wish has a default that works. Nothing happens before [`build`](Self::build), which checks all numbers against each other
/// before the first system call.
///
/// ```no_run
/// use fluxcap::{BindMode, FluxBuilder};
///
/// let raw = FluxBuilder::new("veth0")
///     .queue(0)
///     .frames(4096)
///     .bind_mode(BindMode::Auto)
///     .build()?;
/// println!("{}", raw.report()); // copy or zero-copy, native or generic, and why
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing happens before `build`"]
pub struct FluxBuilder {
    pub(crate) link: Link,
    memory: UmemConfig,
    umem: Option<UmemRegion>,
    socket: SocketRequest,
    program: Program,
    fan_out: FanOut,
    /// All queues that are opened together, where it is more than the one.
    queues: Vec<u32>,
}

/// Who decides which packets come to the socket.
#[derive(Debug, Clone)]
enum Program {
    Bundled(XdpMode),
    Xskmap(Arc<OwnedFd>),
    None,
    /// No packets come, and no frames are kept for them.
    SendOnly,
}

impl FluxBuilder {
    /// A socket on `link`: an interface's name, or a [`Link`].
    pub fn new(link: impl Into<Link>) -> Self {
        Self {
            link: link.into(),
            memory: UmemConfig::default(),
            umem: None,
            socket: SocketRequest {
                queue: 0,
                sizes: RingSizes {
                    fill: 4096,
                    rx: 2048,
                    tx: 2048,
                    completion: 2048,
                },
                bind_mode: BindMode::Auto,
                need_wakeup: true,
                busy_poll: None,
                tx_budget: None,
                bind_patience: Duration::from_secs(2),
            },
            program: Program::Bundled(XdpMode::Auto),
            fan_out: FanOut {
                sockets: 1,
                symmetric: false,
            },
            queues: Vec::new(),
        }
    }

    /// The receive and transmit queue to bind to. Default 0.
    pub fn queue(mut self, queue: u32) -> Self {
        self.socket.queue = queue;
        self
    }

    /// The number of frames in the UMEM, 1 to 2²⁴. Default 8192. Half of them, at most, start in the fill ring.
    pub fn frames(mut self, frames: u32) -> Self {
        self.memory.frames = frames;
        self
    }

    /// Bytes a frame: 2048 or 4096; more needs required hugepages and Linux 6.6. Default 4096.
    pub fn chunk_size(mut self, bytes: u32) -> Self {
        self.memory.chunk_size = bytes;
        self
    }

    /// Bytes to keep free in front of each packet, besides the kernel's own 256. Default 0.
    pub fn headroom(mut self, bytes: u32) -> Self {
        self.memory.headroom = bytes;
        self
    }

    /// Hugepages behind the UMEM. Default [`Hugepages::Never`].
    pub fn hugepages(mut self, hugepages: Hugepages) -> Self {
        self.memory.hugepages = hugepages;
        self
    }

    /// The NUMA node to take the UMEM from: best the one that the card is plugged into. Default: wherever the kernel puts it.
    pub fn numa_node(mut self, node: u32) -> Self {
        self.memory.numa_node = Some(node);
        self
    }

    /// Whether the packets in a new UMEM are part of core dumps. Default no: they are other people's data, and large.
    ///
    /// The rings never are: the kernel leaves them out.
    pub fn core_dump(mut self, dump: bool) -> Self {
        self.memory.core_dump = dump;
        self
    }

    /// Works on the frames of an existing UMEM instead of a new one, so that packets can pass between sockets uncopied.
    ///
    /// The wishes for frames, chunk size, headroom, hugepages and NUMA node are those of that UMEM then. Each socket takes half of the
    /// frames that are free when it is built, as far as its fill ring has room, to receive into; the others stay for all to send.
    pub fn umem(mut self, umem: &UmemRegion) -> Self {
        self.umem = Some(umem.clone());
        self
    }

    /// Slots of the fill ring, a power of two. Default 4096: the RX ring's and as many for the device.
    pub fn fill_size(mut self, slots: u32) -> Self {
        self.socket.sizes.fill = slots;
        self
    }

    /// Slots of the RX ring, a power of two. Default 2048.
    pub fn rx_size(mut self, slots: u32) -> Self {
        self.socket.sizes.rx = slots;
        self
    }

    /// Slots of the TX ring, a power of two. Default 2048.
    pub fn tx_size(mut self, slots: u32) -> Self {
        self.socket.sizes.tx = slots;
        self
    }

    /// Slots of the completion ring, a power of two. Default 2048.
    pub fn completion_size(mut self, slots: u32) -> Self {
        self.socket.sizes.completion = slots;
        self
    }

    /// Copy or zero-copy. Default [`BindMode::Auto`].
    pub fn bind_mode(mut self, mode: BindMode) -> Self {
        self.socket.bind_mode = mode;
        self
    }

    /// Whether the kernel may ask for wake-ups instead of being called each time (Linux 5.4). Default yes.
    pub fn need_wakeup(mut self, wanted: bool) -> Self {
        self.socket.need_wakeup = wanted;
        self
    }

    /// Preferred busy polling (Linux 5.11). Default off.
    pub fn busy_poll(mut self, busy_poll: BusyPoll) -> Self {
        self.socket.busy_poll = Some(busy_poll);
        self
    }

    /// Packets that one transmit call may send in copy mode, 32 to the size of the TX ring (Linux 6.17; 32 before).
    /// Default: the size of the TX ring.
    pub fn tx_budget(mut self, packets: u32) -> Self {
        self.socket.tx_budget = Some(packets);
        self
    }

    /// How long [`build`](Self::build) tries a queue again that is taken: right after another socket was closed, the kernel
    /// may need a moment. Default 2 s.
    pub fn bind_patience(mut self, patience: Duration) -> Self {
        self.socket.bind_patience = patience;
        self
    }

    /// Whether to attach the bundled XDP program, which directs the packets of bound queues to their sockets. Default yes.
    ///
    /// Without it, and without [`xskmap`](Self::xskmap), the socket can only send, but still has frames to receive into: see
    /// [`send_only`](Self::send_only).
    pub fn load_xdp(mut self, load: bool) -> Self {
        self.program = match (load, self.program) {
            (false, Program::SendOnly) => Program::SendOnly,
            (false, _) => Program::None,
            (true, Program::Bundled(mode)) => Program::Bundled(mode),
            (true, _) => Program::Bundled(XdpMode::Auto),
        };
        self
    }

    /// A socket that only sends: no XDP program, and nearly all frames for sending.
    ///
    /// Its fill ring gets an eighth of the frames, at most 64, because some drivers need frames there when the socket is bound; none if there
    /// is only one frame.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// use fluxcap::{FluxBuilder, PacketBatch};
    ///
    /// let mut raw = FluxBuilder::new(&nic).frames(64).send_only().build()?;
    /// let mut batch = PacketBatch::with_capacity(64);
    /// assert_eq!(raw.alloc_batch(&mut batch), 56);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn send_only(mut self) -> Self {
        self.program = Program::SendOnly;
        self
    }

    /// Where the bundled XDP program shall run. Default [`XdpMode::Auto`]. Implies [`load_xdp`](Self::load_xdp).
    pub fn xdp_mode(mut self, mode: XdpMode) -> Self {
        self.program = Program::Bundled(mode);
        self
    }

    /// Enters the socket into the XSKMAP of your own XDP program instead of attaching the bundled one.
    ///
    /// `map` is a descriptor of the map, a duplicate as a rule (`map.as_fd().try_clone_to_owned()?`). The builder closes it; the socket makes
    /// one of its own.
    pub fn xskmap(mut self, map: impl Into<OwnedFd>) -> Self {
        self.program = Program::Xskmap(Arc::new(map.into()));
        self
    }

    /// Makes the socket: UMEM, rings, XDP program, bind, entry in the program's map.
    ///
    /// # Errors
    ///
    /// - [`Invalid`](ErrorKind::Invalid): numbers that cannot work, with the rule and a fix;
    /// - [`NotFound`](ErrorKind::NotFound), [`Down`](ErrorKind::Down): the interface;
    /// - [`Busy`](ErrorKind::Busy): the queue is taken, or a foreign XDP program is attached, which is named and left alone;
    /// - [`Permission`](ErrorKind::Permission): names the missing [capability](crate#what-it-needs);
    /// - [`Memory`](ErrorKind::Memory): locked-memory limit, hugepages, or not enough for frames and rings;
    /// - [`Unsupported`](ErrorKind::Unsupported): zero-copy or native XDP was demanded in vain, or the kernel lacks AF_XDP.
    ///
    /// After an error nothing is left behind.
    pub fn build(self) -> Result<FluxRaw> {
        if self.fan_out.sockets != 1 {
            return Err(FluxError::invalid(
                format_args!(
                    "one socket for a queue shared out among {}",
                    self.fan_out.sockets
                ),
                "each of them gets only a part of the packets",
                "use build_group, or leave fan_out away",
            ));
        }
        let (interface, prepared) = self.prepare()?;
        let leases = prepared.umem.frames().leases(1)?;
        let steering = self.steering(&prepared.umem)?;
        let opened = self.link.backend().open(&self.socket, &prepared.umem)?;
        let mut cycle = Cycle::new(opened.rings, &leases[0])?;
        self.fill(&mut cycle, &prepared.umem)?;
        let (socket, bound) = bind(opened.socket, leases)?;
        let mut report = prepared.report(bound, steering.as_deref());
        report.notes = self.notes(&interface, steering.as_deref());
        let place = match steering {
            Some(steering) => {
                let queue = self.socket.queue;
                // It may have been shared out before.
                steering.fan_out(queue, FanOut::default())?;
                let key = kernel::Place { queue, member: 0 };
                Some(Place::take(steering, key, &*socket)?)
            }
            None => None,
        };
        let raw = FluxRaw {
            cycle,
            place,
            umem: prepared.umem,
            link: self.link.clone(),
            interface,
            report,
            waiting: Waiting::default(),
            socket,
        };
        raw.wake_rx()?;
        Ok(raw)
    }

    /// Checks everything that can be checked without a socket, and gets the memory.
    fn prepare(&self) -> Result<(Interface, PreparedUmem)> {
        self.check_sizes()?;
        let geometry = match &self.umem {
            Some(umem) => {
                umem.process().check("opening a socket on a UMEM")?;
                umem.geometry()
            }
            None => self.memory.geometry()?,
        };
        let interface = self.link.backend().interface()?;
        check_up(&interface, self.link.backend())?;
        if self.receives() {
            check_queue(&interface, self.link.backend(), self.socket.queue)?;
            geometry.check_mtu(interface.mtu)?;
        }
        if self.socket.bind_mode == BindMode::ZeroCopy && interface.mtu > geometry.zero_copy_mtu() {
            return Err(FluxError::invalid(
                format_args!("zero-copy on {} with MTU {}", interface.name, interface.mtu),
                format_args!(
                    "chunks of {} bytes with headroom {} allow an MTU of {}",
                    geometry.chunk_size(),
                    geometry.headroom(),
                    geometry.zero_copy_mtu()
                ),
                "use larger chunks or less headroom, or lower the MTU",
            ));
        }
        Ok((interface, self.prepare_umem()?))
    }

    /// One of the sockets that are opened together on `queues`.
    pub(crate) fn one_of(mut self, queues: &[u32], queue: u32) -> Self {
        self.queues = queues.to_vec();
        self.queue(queue)
    }

    /// The interface as it is now.
    pub(crate) fn interface(&self) -> Result<Interface> {
        self.link.backend().interface()
    }

    /// Whether packets shall come to the socket.
    pub(crate) fn receives(&self) -> bool {
        !matches!(self.program, Program::None | Program::SendOnly)
    }

    fn steering(&self, umem: &UmemRegion) -> Result<Option<Arc<dyn Steering>>> {
        match &self.program {
            Program::Bundled(mode) => {
                // The kernel counts the memory of each queue, also when all have the same.
                let queues = self.queues.len().max(1) as u64;
                let locked = umem.geometry().bytes() * queues;
                let fan_out = self.fan_out.sockets > 1;
                let backend = self.link.backend();
                backend.attach(*mode, fan_out, locked).map(Some)
            }
            Program::Xskmap(map) => self.link.backend().user_map(map.as_fd()).map(Some),
            Program::None | Program::SendOnly => Ok(None),
        }
    }
}

/// Binds a socket that holds these places in the ledger.
fn bind(socket: Arc<dyn Socket>, leases: Arc<Leases>) -> Result<(LeasedSocket<dyn Socket>, Bound)> {
    LeasedSocket::bind(
        socket,
        leases,
        |socket| socket.bind(),
        |bound| bound.release.clone(),
    )
}
