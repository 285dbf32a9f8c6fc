//! Packet I/O over Linux AF_XDP sockets (XDP sockets): packets move between a network card and your own memory, past the
//! kernel's network stack, without a copy where the driver allows it.
//!
//! ```no_run
//! use fluxcap::{FluxBuilder, proto};
//!
//! // Attaches the bundled XDP program to veth0, so that the packets of queue 0 come here.
//! let mut raw = FluxBuilder::new("veth0").queue(0).build()?;
//! println!("{}", raw.report());
//!
//! loop {
//!     raw.wait_rx(None)?;
//!     // Prints a line about each packet; its frame then takes a new one.
//!     raw.recv_each(64, |packet| println!("{}", proto::summary(packet.data())));
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), fluxcap::FluxError>(())
//! ```
//!
//! A socket takes every packet of its queue: on the interface that an ssh session comes through, the session hangs. For a first try,
//! `ip link add veth0 type veth peer name veth1 && ip link set veth0 up && ip link set veth1 up` makes a cable that nothing else uses, and
//! `ping ff02::1%veth1` sends packets to veth0.
//!
//! # The parts
//!
//! - [`FluxBuilder`] takes your wishes and opens a socket; [`Report`] says what became of each, and why.
//! - [`FluxRaw`] is that socket: the four rings it shares with the kernel, with guard-rails.
//! - [`FluxRx`] and [`FluxTx`] are its two halves ([`FluxRaw::split`]), each for a thread of its own: owned packets in, owned packets out.
//!   With the feature `async` they become `AsyncFluxRx` and `AsyncFluxTx`, for tasks of a tokio runtime.
//! - [`FluxEngine`] is the managed loop: it gives packets to a callback and does the rest, over one socket or several:
//!   in batches, to prefetch or sort ([`run`](FluxEngine::run)), or one by one, in a single pass ([`run_each`](FluxEngine::run_each)).
//! - [`Queues`] names the queues to open ([`FluxBuilder::build_queues`]); [`EngineGroup`] runs an engine for each on a thread of its own.
//! - [`Poller`] decides how a loop waits for packets: spinning, sleeping, or one after the other.
//! - [`Packet`] is a packet you own: it moves between threads, outlives its socket, and gives its frame back when dropped.
//!   [`PacketRef`] is one you look at in place.
//! - [`UmemRegion`] is the memory that packets live in. Each of its frames has exactly one owner at any time: the pool, you, or
//!   the kernel (after a close, until it has [let go](Accounting::quarantined)); [`FluxRaw::debug_rings`] proves it.
//! - [`proto`] has views of protocol headers, over any bytes.
//! - [`sim`] is a network without a kernel: the same sockets on simulated links, without root, on every operating system.
//! - [`capture`] reads and writes capture files, pcap and pcapng.
//! - [`ring`] has the rings themselves.
//!
//! # What it needs
//!
//! Linux 5.9 or newer with `CONFIG_XDP_SOCKETS`, and root or these capabilities:
//!
#![doc = include_str!("rights.md")]
//!
//! They are needed while a socket is opened, in the user namespace that owns the network namespace; those for BPF in the first user namespace.
//! `setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep PROGRAM` gives them to a program. CAP_SYS_ADMIN contains CAP_BPF and CAP_PERFMON.
//! An open socket needs none; but before Linux 6.0, where `kernel.unprivileged_bpf_disabled` is set, an XSKMAP of your own, the counters of the XDP program and
//! opening more queues on its interface take CAP_BPF, too. A missing capability is named in the error; where a newer kernel's ability is
//! missing, the [`Report`] says so.
//!
//! # Features
//!
//! - `async`: the module `asynch`, receiving and sending in tasks of a [tokio](https://docs.rs/tokio) runtime.
//! - `capi` (default): exports the C functions of `include/fluxcap.h`. A shared library of yours would export them, too: there, use
//!   `default-features = false, features = ["vendored-libbpf"]`.
//! - `vendored-libbpf` (default): builds the libbpf that comes with `libbpf-sys`; without it, the system's libbpf (1.7 or newer)
//!   is linked.

#[cfg(feature = "async")]
pub mod asynch;
#[doc(hidden)]
pub mod backend;
pub mod builder;
pub mod capture;
pub mod engine;
pub mod error;
#[cfg(feature = "capi")]
#[doc(hidden)]
pub mod ffi;
mod link;
mod packet;
pub mod poller;
pub mod proto;
mod queues;
pub mod report;
pub mod ring;
pub mod sim;
mod socket;
pub mod stats;
mod stopper;
mod sync;
pub mod umem;

#[cfg(feature = "async")]
pub use asynch::{AsyncFluxRx, AsyncFluxTx};
pub use backend::{FanOut, Interest, Interface, Ready};
pub use builder::FluxBuilder;
pub use engine::{
    EngineGroup, EngineStatistics, FluxEngine, GroupStatistics, GroupStopper, PortStatistics,
    QueueChange, WhenFull,
};
pub use error::{ErrorKind, FluxError, Result};
pub use link::Link;
pub use packet::{
    BatchRef, Outbox, Packet, PacketBatch, PacketRef, PortPacket, ReceivedPacket, Verdict,
};
pub use poller::{Idle, Pacer, Poller};
pub use queues::Queues;
pub use report::{Answer, BindMode, BusyPoll, HugepageSize, Hugepages, Report, XdpMode};
pub use ring::{ConsumerRing, Desc, ProducerRing};
pub use socket::{FluxRaw, FluxRx, FluxTx, RingState, RingsState, Unsent};
pub use stats::{PollerStatistics, ProgramCounters, SocketStatistics};
pub use stopper::Stopper;
pub use umem::{Accounting, UmemConfig, UmemRegion};

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
