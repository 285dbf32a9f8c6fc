//! The seam between this library and whatever stands on the other side of the rings.
//!
//! Traits and plain data, no code of either side: everything above is the same over a real kernel and over a simulated one.
//! A backend hands out ring memory once and answers a few calls that would be system calls anyway; ring operations never
//! come through here.
//!
//! This module is public so that a backend can be written outside this crate (the benchmarks do); it is not covered by the
//! promise of a stable interface.

pub mod alarm;
#[cfg(target_os = "linux")]
pub(crate) mod bpf;
mod company;
pub mod descriptor;
#[cfg(any(test, not(target_os = "linux")))]
pub(crate) mod elsewhere;
#[cfg(target_os = "linux")]
pub(crate) mod linux;
mod pace;
mod steering;
#[cfg(test)]
mod tests;

/// The network interfaces of the machine: the only place where the library asks what system it is built for.
#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere as machine;
#[cfg(target_os = "linux")]
pub(crate) use linux as machine;

use std::any::Any;
use std::fmt;
use std::hint;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::mem::Memory;
use crate::proto::MacAddr;
use crate::report::{Answer, BindMode, BusyPoll, Hugepages, XdpMode};
use crate::ring::{ConsumerRing, Desc, ProducerRing};
use crate::stats::SocketStatistics;
use crate::umem::UmemRegion;

pub use alarm::{Alarm, Watcher};
pub use company::{Company, Interest, Ready};
pub use descriptor::{AsFd, Bell, BorrowedFd, OwnedFd};
pub use pace::Pace;
pub use steering::{FanOut, MEMBERS, Place, Steering};

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
/// use fluxcap::kernel::Backend;
///
/// # #[derive(Debug)]
/// struct Mine;
///
/// impl Backend for Mine { // error: requires an `unsafe impl` declaration
/// #   fn interface(&self) -> fluxcap::Result<fluxcap::Interface> { todo!() }
/// #   fn allocate(&self, _: &fluxcap::kernel::MemoryRequest) -> fluxcap::Result<fluxcap::kernel::Allocation> { todo!() }
/// #   fn open(&self, _: &fluxcap::kernel::SocketRequest, _: &fluxcap::UmemRegion) -> fluxcap::Result<fluxcap::kernel::Opened> { todo!() }
/// #   fn attach(&self, _: fluxcap::XdpMode, _: bool, _: u64) -> fluxcap::Result<std::sync::Arc<dyn fluxcap::kernel::Steering>> { todo!() }
/// #   fn user_map(&self, _: fluxcap::kernel::BorrowedFd<'_>) -> fluxcap::Result<std::sync::Arc<dyn fluxcap::kernel::Steering>> { todo!() }
/// }
/// ```
pub unsafe trait Backend: fmt::Debug + Send + Sync {
    /// What is known of the interface now.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is none.
    fn interface(&self) -> Result<Interface>;

    /// Packet memory of `bytes`, a multiple of [`PAGE_SIZE`](crate::mem::PAGE_SIZE).
    ///
    /// # Errors
    ///
    /// [`Memory`](crate::ErrorKind::Memory) when there is not enough, or no hugepage although required.
    fn allocate(&self, request: &MemoryRequest) -> Result<Allocation>;

    /// A socket with its four rings, which is not bound to a queue yet.
    ///
    /// # Errors
    ///
    /// Whatever the kernel refuses, translated to its cause.
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
    /// [`Busy`](crate::ErrorKind::Busy) when the queue is taken, [`Unsupported`](crate::ErrorKind::Unsupported) when zero-copy was demanded in
    /// vain, [`Down`](crate::ErrorKind::Down), [`NotFound`](crate::ErrorKind::NotFound).
    fn bind(&self) -> Result<Bound>;

    /// Makes the kernel look at the fill ring.
    ///
    /// # Errors
    ///
    /// [`Down`](crate::ErrorKind::Down) or [`Gone`](crate::ErrorKind::Gone).
    fn wake_rx(&self) -> Result<()>;

    /// Makes the kernel look at the TX ring.
    ///
    /// # Errors
    ///
    /// [`Down`](crate::ErrorKind::Down) or [`Gone`](crate::ErrorKind::Gone).
    fn wake_tx(&self) -> Result<Kick>;

    /// Waits until packets are there, or TX slots are free, or something in its company ends the wait, or `timeout` is over; `None`
    /// waits for ever. It may return early with nothing, as after a signal.
    ///
    /// The answer tells of this socket alone, and the error, too: the others want a look of their own.
    ///
    /// # Errors
    ///
    /// [`Gone`](crate::ErrorKind::Gone) when the interface was removed or moved to another network namespace; [`System`](crate::ErrorKind::System)
    /// when a descriptor is not open.
    fn wait(
        &self,
        interest: Interest,
        timeout: Option<Duration>,
        company: &Company<'_>,
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

    /// Tells a watcher from now on, for as long as it lives, whenever a look may find what it is interested in. False when the socket has a
    /// descriptor for that, or none can be told: look now and then.
    fn watch(&self, interest: Interest, watcher: Weak<dyn Watcher>) -> bool {
        let _ = (interest, watcher);
        false
    }

    /// A look for somebody who waits by other means, as a [`wait`](Self::wait) without sleep; with nothing to wait for, it tells what is wrong
    /// alone. A simulated network that nobody moves gets on by the time that has `passed` since the last one.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    fn attend(&self, interest: Option<Interest>, passed: Duration) -> Result<Ready> {
        let _ = passed;
        let interest = interest.unwrap_or(Interest::Both);
        self.wait(interest, Some(Duration::ZERO), &Company::none())
    }

    /// Takes a bell, to be rung while packets wait, in place of a file descriptor; returns its descriptor. A socket with a descriptor of
    /// its own needs none.
    fn hang(&self, bell: Arc<dyn Bell>) -> Option<BorrowedFd<'_>> {
        drop(bell);
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

/// A wish for packet memory.
#[derive(Debug, Clone, Copy)]
pub struct MemoryRequest {
    /// Its size in bytes.
    pub bytes: usize,
    /// The pages behind it.
    pub hugepages: Hugepages,
    /// The NUMA node to take it from.
    pub numa_node: Option<u32>,
}

/// Packet memory and what became of the wishes.
#[derive(Debug)]
pub struct Allocation {
    /// The memory.
    pub memory: Memory,
    /// Its page size in bytes.
    pub page_size: Answer<Hugepages, usize>,
    /// Its NUMA node.
    pub numa_node: Answer<Option<u32>>,
}

/// A wish for a socket.
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

/// What became of the wishes when a socket was bound.
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

/// What a transmit call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kick {
    /// The kernel took what was there.
    Done,
    /// The kernel stopped early, by its budget or because the completion ring or the device is full: call again.
    Again,
}
