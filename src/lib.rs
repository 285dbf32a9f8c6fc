//! Packet I/O over Linux AF_XDP sockets (XDP sockets): packets move between a network card and your own memory, past the
//! kernel's network stack, without a copy where the driver allows it.
//!
//! ```no_run
//! use fluxcap::{FluxBuilder, Verdict, proto::Ethernet};
//!
//! // Attaches the bundled XDP program to eth0, so that the packets of queue 0 come here.
//! let mut raw = FluxBuilder::new("eth0").queue(0).build()?;
//! println!("{}", raw.report());
//!
//! loop {
//!     raw.wait_rx(None)?;
//!     raw.refill();
//!     // Sends every packet back to where it came from.
//!     raw.forward(64, |packet| match Ethernet::parse_mut(packet.data_mut()) {
//!         Ok((ethernet, _)) => {
//!             ethernet.swap_addresses();
//!             Verdict::Send
//!         }
//!         Err(_) => Verdict::Recycle,
//!     });
//!     raw.wake_tx()?;
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), fluxcap::FluxError>(())
//! ```
//!
//! # The parts
//!
//! - [`FluxBuilder`] takes your wishes and opens a socket; [`Report`] says what became of each, and why.
//! - [`FluxRaw`] is that socket: the four rings it shares with the kernel, with guard-rails.
//! - [`FluxRx`] and [`FluxTx`] are its two halves ([`FluxRaw::split`]), each for a thread of its own: owned packets in, owned packets out.
//!   With the feature `async` they become `AsyncFluxRx` and `AsyncFluxTx`, for tasks of a tokio runtime.
//! - [`FluxEngine`] is the managed loop: it gives batches to a callback and does the rest, over one socket or several.
//! - [`Queues`] names the queues to open ([`FluxBuilder::build_queues`]); [`EngineGroup`] runs an engine for each on a thread of its own.
//! - [`Poller`] decides how a loop waits for packets: spinning, sleeping, or one after the other.
//! - [`Packet`] is a packet you own: it moves between threads, outlives its socket, and gives its frame back when dropped.
//!   [`PacketRef`] is one you look at in place.
//! - [`UmemRegion`] is the memory that packets live in. Each of its frames has exactly one owner at any time: the pool, you, or
//!   the kernel; [`FluxRaw::debug_rings`] proves it.
//! - [`proto`] has views of protocol headers, over any bytes.
//! - [`sim`] is a network without a kernel: the same sockets on simulated links, without root, on every operating system.
//! - [`ring`] has the rings themselves.
//!
//! # What it needs
//!
//! Linux 5.9 or newer with `CONFIG_XDP_SOCKETS`, and CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF (or root) to open a socket with its
//! XDP program. Newer kernels add abilities; where one is missing, the [`Report`] says so.
//!
//! # Features
//!
//! - `async`: the module `asynch`, receiving and sending in tasks of a [tokio](https://docs.rs/tokio) runtime.
//! - `capi` (default): exports the C functions of `include/fluxcap.h`.
//! - `vendored-libbpf` (default): builds the libbpf that comes with `libbpf-sys`; without it, the system's libbpf (1.7 or newer)
//!   is linked.

#[cfg(feature = "async")]
pub mod asynch;
pub mod batch;
pub mod builder;
pub mod engine;
pub mod error;
#[cfg(feature = "capi")]
#[doc(hidden)]
pub mod ffi;
pub mod geometry;
pub mod kernel;
pub mod link;
pub mod mem;
pub mod packet;
pub mod poller;
mod pool;
pub mod proto;
pub mod queues;
pub mod raw;
pub mod report;
pub mod ring;
pub mod sim;
pub mod stats;
mod sync;
pub mod system;
pub mod umem;

#[cfg(feature = "async")]
pub use asynch::{AsyncFluxRx, AsyncFluxTx};
pub use batch::PacketBatch;
pub use builder::FluxBuilder;
pub use engine::{
    EngineGroup, EngineStatistics, FluxEngine, GroupStatistics, GroupStopper, PortStatistics,
    QueueChange, Stopper, WhenFull,
};
pub use error::{ErrorKind, FluxError, Result};
pub use kernel::{FanOut, Interest, Interface, Ready};
pub use link::Link;
pub use packet::{BatchRef, Outbox, Packet, PacketRef, PortPacket, Verdict};
pub use poller::{Idle, Pacer, Poller};
pub use queues::Queues;
pub use raw::{FluxRaw, RingState, RingsState};
pub use report::{Answer, BindMode, BusyPoll, HugepageSize, Hugepages, Report, XdpMode};
pub use ring::{ConsumerRing, Desc, ProducerRing};
pub use stats::{PollerStatistics, ProgramCounters, SocketStatistics};
pub use system::{FluxRx, FluxTx, ForwardError, Unsent};
pub use umem::{Accounting, UmemConfig, UmemRegion};

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
