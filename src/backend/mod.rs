//! The seam between the library and whatever stands on the other side of the rings: a real kernel or a simulated one.
//!
//! ```text
//!      socket, engine, asynch            the same code over both sides
//!   ──────────┼───────────────┼───────
//!      traits of this module    rings    the seam: calls go by dyn traits, packets by shared memory
//!   ──────────┼───────────────┼───────
//!      linux + bpf, or sim               a kernel
//! ```
//!
//! - `mod`: the traits [`Backend`] (a network interface) and [`Socket`], and the plain data of requests and answers;
//! - `wait`: [`Interest`], [`Ready`], [`WaitSet`], [`StopSignal`]: what to wait for and what ends it;
//! - `steering`: the trait [`Steering`], an XDP program and its map of sockets;
//! - `descriptor`: file descriptors, where the system has them;
//! - `linux`, `bpf`: AF_XDP sockets and the XDP program of Linux; `unsupported`: all other systems. The simulator is in `crate::sim`.
//!
//! [`Backend::allocate`] gives the packet memory, [`Backend::open`] a socket with its four rings; the fill ring is filled, then
//! [`Socket::bind`] connects it to the queue and [`Steering::insert`] directs packets to it. From then on packets move through the rings alone;
//! the calls of the traits are those that would be system calls.
//!
//! The module is public so that a backend can be written outside this crate, as the benchmarks do. Its interface is not stable.

#[cfg(target_os = "linux")]
pub(crate) mod bpf;
pub mod descriptor;
#[cfg(target_os = "linux")]
pub(crate) mod linux;
mod steering;
#[cfg(test)]
mod tests;
#[cfg(any(test, not(target_os = "linux")))]
pub(crate) mod unsupported;
mod wait;

#[cfg(target_os = "linux")]
pub(crate) use linux as machine;
/// The network interfaces of this machine. Only here does the library choose by operating system.
#[cfg(not(target_os = "linux"))]
pub(crate) use unsupported as machine;

use std::any::Any;
use std::fmt;
use std::hint;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::proto::MacAddr;
use crate::report::{Answer, BindMode, BusyPoll, Hugepages, XdpMode};
use crate::ring::{ConsumerRing, Desc, ProducerRing};
use crate::stats::SocketStatistics;
use crate::umem::UmemRegion;
use crate::umem::memory::Memory;

pub use descriptor::{AsFd, BorrowedFd, OwnedFd, ReadyFd};
pub use steering::{FanOut, MAX_SOCKETS_PER_QUEUE, MapKey, Steering};
pub use wait::{Interest, Ready, StopSignal, Throttle, WaitSet, Watcher};

pub use crate::packet::{QueueRelease, ReleasedAtClose};

/// One network interface, real or not.
///
/// # Safety
///
/// The soundness of the whole library rests on what a backend hands out, so implementing it is `unsafe`, and no other trait of this
/// module is: sockets, programs and what tells of a [release](QueueRelease) come to the library through a backend alone. It promises that
///
/// - the memory that it [allocates](Self::allocate) is nobody else's, and lives as [`Memory::from_parts`] demands;
/// - the rings of an [opened](Self::open) or [sharing](Self::share) socket are that socket's alone, and their other ends are held by it alone;
/// - of the UMEM it reads and writes only frames whose addresses stand in the fill or the TX ring of a bound socket, until it has handed
///   them back through the RX or the completion ring;
/// - it keeps a handle to the UMEM as long as it may do that, or else the memory itself;
/// - [`Bound::release`] does not say that a queue is released before that is over.
///
/// Safe code cannot make that promise:
///
/// ```compile_fail,E0200
/// use fluxcap::backend::Backend;
///
/// # #[derive(Debug)]
/// struct Mine;
///
/// impl Backend for Mine { // error: requires an `unsafe impl` declaration
/// #   fn interface(&self) -> fluxcap::Result<fluxcap::Interface> { todo!() }
/// #   fn allocate(&self, _: &fluxcap::backend::MemoryRequest) -> fluxcap::Result<fluxcap::backend::Allocation> { todo!() }
/// #   fn open(&self, _: &fluxcap::backend::SocketRequest, _: &fluxcap::UmemRegion) -> fluxcap::Result<fluxcap::backend::Opened> { todo!() }
/// #   fn attach(&self, _: fluxcap::XdpMode, _: bool, _: u64) -> fluxcap::Result<std::sync::Arc<dyn fluxcap::backend::Steering>> { todo!() }
/// #   fn user_map(&self, _: fluxcap::backend::BorrowedFd<'_>) -> fluxcap::Result<std::sync::Arc<dyn fluxcap::backend::Steering>> { todo!() }
/// }
/// ```
pub unsafe trait Backend: fmt::Debug + Send + Sync {
    /// What is known of the interface now.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is none.
    fn interface(&self) -> Result<Interface>;

    /// Packet memory of `bytes`, a multiple of [`PAGE_SIZE`](crate::umem::memory::PAGE_SIZE).
    ///
    /// # Errors
    ///
    /// [`Memory`](crate::ErrorKind::Memory) when there is not enough, or no hugepage although required.
    fn allocate(&self, request: &MemoryRequest) -> Result<Allocation>;

    /// A socket with its four rings, which is not bound to a queue yet.
    ///
    /// # Errors
    ///
    /// Whatever the kernel refuses, with its cause.
    fn open(&self, request: &SocketRequest, umem: &UmemRegion) -> Result<Opened>;

    /// A socket that will share the queue of `first`, which is on the same interface and UMEM and bound already.
    ///
    /// It has no fill and no completion ring: those of `first` serve both. It keeps `first` open. Of the request, queue and mode are
    /// those of `first`, and the sizes of the missing rings mean nothing.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when one socket alone can have a queue, or whatever the kernel refuses.
    fn share(
        &self,
        request: &SocketRequest,
        first: &Arc<dyn Socket>,
        umem: &UmemRegion,
    ) -> Result<Sharing> {
        let _ = (first, umem);
        Err(FluxError::new(
            ErrorKind::Unsupported,
            errno::EOPNOTSUPP,
            format_args!("sharing queue {} among several sockets", request.queue),
            "this backend has one socket for each",
            "use one socket",
        ))
    }

    /// Attaches the bundled XDP program, or joins the one that this process has attached already. `fan_out` says that a queue is going to be
    /// [shared out](Steering::fan_out) among several sockets, which takes more rights; `locked` is how many bytes of packet memory are going to be
    /// registered, for which a refusal names a right, too, if it takes one.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::ErrorKind::Busy) when somebody else's program is attached, [`Permission`](crate::ErrorKind::Permission),
    /// [`Unsupported`](crate::ErrorKind::Unsupported).
    fn attach(&self, mode: XdpMode, fan_out: bool, locked: u64) -> Result<Arc<dyn Steering>>;

    /// What the interface takes away from packets before a receiving socket gets them, a sentence each, with the words against it. `mode` is
    /// where the bundled program runs, if it was attached.
    fn notes(&self, mode: Option<XdpMode>) -> Vec<String> {
        let _ = mode;
        Vec::new()
    }

    /// What to type to give the interface `name` as many receive queues as `count` says, for messages.
    fn queues_advice(&self, name: &str, count: &str) -> String {
        format!("ethtool -L {name} combined {count}, or rx {count}")
    }

    /// What to type to bring the interface `name` up, for messages.
    fn up_advice(&self, name: &str) -> String {
        format!("ip link set dev {name} up")
    }

    /// Steering by the user's own program: `map` is its XSKMAP, of which a backend that keeps it makes a duplicate.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when it is none.
    fn user_map(&self, map: BorrowedFd<'_>) -> Result<Arc<dyn Steering>>;
}

/// An open socket. Dropping it closes it.
pub trait Socket: Any + fmt::Debug + Send + Sync {
    /// Binds to the queue it was opened for. Called once, after the fill ring was filled.
    ///
    /// An interface that is down may well be bound (seen in copy mode on Linux 6.18); the first wake-up fails then.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::ErrorKind::Busy) when the queue is taken, [`Unsupported`](crate::ErrorKind::Unsupported) when zero-copy was
    /// required and is not available, [`Down`](crate::ErrorKind::Down), [`NotFound`](crate::ErrorKind::NotFound).
    fn bind(&self) -> Result<Bound>;

    /// Wakes the kernel to process the fill ring.
    ///
    /// # Errors
    ///
    /// [`Down`](crate::ErrorKind::Down) or [`Gone`](crate::ErrorKind::Gone).
    fn wake_rx(&self) -> Result<()>;

    /// Wakes the kernel to process the TX ring.
    ///
    /// # Errors
    ///
    /// [`Down`](crate::ErrorKind::Down) or [`Gone`](crate::ErrorKind::Gone).
    fn wake_tx(&self) -> Result<Kick>;

    /// Waits until packets are there, or TX slots are free, or the wait set ends the wait, or `timeout` is over; `None`
    /// waits for ever. It may return early with nothing, as after a signal.
    ///
    /// Result and error concern this socket only. The caller checks the others of the wait set itself.
    ///
    /// # Errors
    ///
    /// [`Gone`](crate::ErrorKind::Gone) when the interface was removed or moved to another network namespace; [`System`](crate::ErrorKind::System)
    /// when a descriptor is not open.
    fn wait(
        &self,
        interest: Interest,
        timeout: Option<Duration>,
        wait_set: &WaitSet<'_>,
    ) -> Result<Ready>;

    /// One moment of busy waiting. With preferred busy polling it is a system call that runs the driver. What goes wrong shows in the next
    /// [`wait`](Self::wait).
    fn spin(&self) {
        hint::spin_loop();
    }

    /// Lets `time` pass, so that the other side gets on; returns how much has passed on its clock.
    fn pause(&self, time: Duration) -> Duration {
        let start = Instant::now();
        thread::sleep(time);
        start.elapsed()
    }

    /// Whether the socket still has its interface. Any thread may ask, and after each call that found nothing: the kernel is asked ten
    /// times a second at most. It takes no lock that a [`wait`](Self::wait) holds.
    ///
    /// # Errors
    ///
    /// [`Gone`](crate::ErrorKind::Gone) when the interface was removed or moved to another network namespace. It does not come back.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The kernel's counters.
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System).
    fn statistics(&self) -> Result<SocketStatistics>;

    /// What it is a socket of, for a message: the driver, the interface, the kernel.
    fn describe(&self) -> String;

    /// The number of receive queues that its interface has now, as far as known. Any thread may ask.
    fn rx_queues(&self) -> Option<u32> {
        None
    }

    /// The file descriptor, where there is one.
    fn fd(&self) -> Option<BorrowedFd<'_>>;

    /// Notifies `watcher`, for as long as it lives, whenever the socket may be ready for `interest`. False when the socket has a descriptor
    /// for that or cannot notify: poll now and then.
    fn watch(&self, interest: Interest, watcher: Weak<dyn Watcher>) -> bool {
        let _ = (interest, watcher);
        false
    }

    /// Checks once, without sleep, for a caller that waits by other means. Without an interest it only reports errors. A simulated network
    /// that nobody runs advances by the time `passed` since the last call.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    fn poll_once(&self, interest: Option<Interest>, passed: Duration) -> Result<Ready> {
        let _ = passed;
        let interest = interest.unwrap_or(Interest::Both);
        self.wait(interest, Some(Duration::ZERO), &WaitSet::none())
    }

    /// Keeps `ready_fd` readable while packets wait, for a socket without a descriptor of its own; returns the descriptor. `None` when the
    /// socket needs none.
    fn notify_through(&self, ready_fd: Arc<dyn ReadyFd>) -> Option<BorrowedFd<'_>> {
        drop(ready_fd);
        None
    }
}

/// A network interface as it was when asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its MTU in bytes, without Ethernet header.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Its number of receive queues, as far as known.
    pub rx_queues: Option<u32>,
    /// Its Ethernet address, where it has one.
    pub mac: Option<MacAddr>,
}

/// A request for packet memory.
#[derive(Debug, Clone, Copy)]
pub struct MemoryRequest {
    /// Its size in bytes.
    pub bytes: usize,
    /// The pages behind it.
    pub hugepages: Hugepages,
    /// The NUMA node to take it from.
    pub numa_node: Option<u32>,
}

/// Packet memory, and what of the request was achieved.
#[derive(Debug)]
pub struct Allocation {
    /// The memory.
    pub memory: Memory,
    /// Its page size in bytes.
    pub page_size: Answer<Hugepages, usize>,
    /// Its NUMA node.
    pub numa_node: Answer<Option<u32>>,
}

/// A request for a socket.
#[derive(Debug, Clone)]
pub struct SocketRequest {
    /// The queue to bind to.
    pub queue: u32,
    /// Slots of the four rings.
    pub sizes: RingSizes,
    /// Copy or zero-copy.
    pub bind_mode: BindMode,
    /// Whether the rings shall carry need-wakeup flags.
    pub need_wakeup: bool,
    /// Preferred busy polling.
    pub busy_poll: Option<BusyPoll>,
    /// Packets that one transmit call may send in copy mode; `None` leaves it to the backend.
    pub tx_budget: Option<u32>,
    /// How long a taken queue is tried again: right after another socket was closed, the kernel may need a moment.
    pub bind_patience: Duration,
}

/// Slots of the four rings, each a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSizes {
    /// The fill ring.
    pub fill: u32,
    /// The RX ring.
    pub rx: u32,
    /// The TX ring.
    pub tx: u32,
    /// The completion ring.
    pub completion: u32,
}

/// The program's ends of the four rings.
#[derive(Debug)]
pub struct Rings {
    /// Frames to the kernel, to receive into.
    pub fill: ProducerRing<u64>,
    /// Received packets.
    pub rx: ConsumerRing<Desc>,
    /// Packets to send.
    pub tx: ProducerRing<Desc>,
    /// Sent frames.
    pub completion: ConsumerRing<u64>,
}

/// A socket before it is bound.
#[derive(Debug)]
pub struct Opened {
    /// The socket.
    pub socket: Arc<dyn Socket>,
    /// Its rings.
    pub rings: Rings,
}

/// A socket that will share the queue of another one, before it is bound.
#[derive(Debug)]
pub struct Sharing {
    /// The socket.
    pub socket: Arc<dyn Socket>,
    /// Received packets.
    pub rx: ConsumerRing<Desc>,
    /// Packets to send.
    pub tx: ProducerRing<Desc>,
}

/// What of the request was achieved when a socket was bound.
#[derive(Debug, Clone)]
pub struct Bound {
    /// Copy or zero-copy.
    pub bind_mode: Answer<BindMode>,
    /// Whether the rings carry need-wakeup flags.
    pub need_wakeup: Answer<bool>,
    /// Preferred busy polling.
    pub busy_poll: Answer<Option<BusyPoll>>,
    /// Packets that one transmit call may send in copy mode.
    pub tx_budget: Answer<u32>,
    /// Tells, after the close, when neither the kernel nor a device will touch a frame any more that the socket was given. That of the first
    /// socket of a queue speaks for all that [share](Backend::share) it.
    pub release: Arc<dyn QueueRelease>,
}

/// The result of a transmit call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kick {
    /// The kernel took what was there.
    Done,
    /// The kernel stopped early, by its budget or because the completion ring or the device is full: call again.
    Again,
}
