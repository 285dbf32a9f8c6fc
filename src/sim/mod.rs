//! A network without a kernel: the other side of the same rings, on every operating system and without rights.
//!
//! A [`Network`] has NICs, and cables between them. A [`Nic`] takes the place of an interface's name: a socket that is opened on it
//! runs the very code that it runs in production, down to the rings, and the simulator behaves as the kernel does, down to the counters and
//! the errors. The test plays the world around it: it [injects](Nic::inject) packets, takes what was [sent](Nic::take_sent) or
//! [passed](Nic::take_passed) to the host, sets the link down, and lets [things go wrong](Faults) as a seed decides.
//!
//! # Time
//!
//! Without a thread nothing happens by itself, and everything happens in the same order each time: [`Network::step`] moves packets,
//! and a socket that waits moves them, too, until there is one for it. Time is simulated then: a wait of a second is over at
//! once when nothing can happen in that second. A wait without a timeout returns early when nothing can happen at all.
//!
//! [`Network::run`] starts a thread that moves packets in real time, for programs of several threads, and for speed.
//!
//! ```
//! use std::time::Duration;
//! use fluxcap::sim::Network;
//! use fluxcap::{FluxBuilder, Verdict};
//!
//! let network = Network::new();
//! let (near, far) = (network.nic("near")?, network.nic("far")?);
//! network.join(&near, &far)?;
//! let mut near = FluxBuilder::new(&near).build()?;
//! let mut far = FluxBuilder::new(&far).build()?;
//!
//! let mut packet = near.alloc().unwrap();
//! packet.copy_from(&[7; 60])?;
//! near.send_one(packet).unwrap();
//! near.wake_tx()?;
//!
//! assert!(far.wait_rx(Some(Duration::from_secs(1)))?);
//! far.forward_each(64, |_| Verdict::Send);
//! far.wake_tx()?;
//!
//! assert!(near.wait_rx(Some(Duration::from_secs(1)))?);
//! assert!(near.debug_rings().is_conserved() && far.debug_rings().is_conserved());
//! # Ok::<(), fluxcap::FluxError>(())
//! ```
//!
//! # What differs from a kernel
//!
//! - The file descriptor, which Linux alone has, is no socket: it is readable while packets wait, seen at each step or millisecond,
//!   and always writable. Elsewhere `fd()` is an error.
//! - There is no XDP program but the bundled one's rules, and no foreign program: [`xskmap`](crate::FluxBuilder::xskmap) is refused.
//! - A sender whose cable is full finds the device busy, as with a card; the kernel's veth drops.
//! - Memory is ordinary memory, whatever pages were asked for; the [`Report`](crate::Report) says so.

#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "the promise of a backend")]
mod backend;
mod bind;
mod config;
mod faults;
#[allow(unsafe_code, reason = "copies packets into and out of frames")]
mod kernel_rings;
mod network;
mod nic;
mod play;
mod port;
mod random;
mod receive;
mod record;
mod shared;
mod socket;
mod steering;
mod trace;
mod transmit;
mod world;

pub use crate::capture::{
    Capture, CaptureFormat, CaptureWriter, CapturedInterface, CapturedPacket, Direction,
};
pub use config::{NicConfig, NicCounters};
pub use faults::Faults;
pub use network::{Network, Running};
pub use nic::Nic;
pub use play::{Playback, Speed};
pub use trace::{Event, EventKind};
