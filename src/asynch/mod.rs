//! Mode B in tasks of a [tokio](https://docs.rs/tokio) runtime: the two halves of a socket, waiting without a thread of their own.
//!
//! Each half is made of its blocking twin and can be made into it again:
//!
//! ```
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! # let network = fluxcap::sim::Network::new();
//! # let _running = network.run()?;
//! # let nic = network.nic("eth0")?;
//! use fluxcap::{AsyncFluxRx, AsyncFluxTx, FluxBuilder, PacketBatch};
//!
//! let (rx, tx) = FluxBuilder::new(&nic).build()?.split();
//! # nic.inject(0, &[0; 60])?;
//! let (mut rx, mut tx) = (AsyncFluxRx::new(rx)?, AsyncFluxTx::new(tx)?);
//! let mut batch = PacketBatch::with_capacity(64);
//! rx.recv(&mut batch).await?;
//! tx.send(&mut batch).await?;
//! assert!(batch.is_empty());
//! # Ok::<(), fluxcap::FluxError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Dropped futures
//!
//! Packets move when a future is polled, never while it waits: between two polls each is in a ring or in a batch of yours. So a future may be
//! dropped at any time, by `select!` or a timeout, and no packet is lost.
//!
//! # Who waits, and for what
//!
//! The runtime waits for the socket's file descriptor: to receive, until packets are there; to send, only while the TX ring is full, until it
//! is at most half full. About once a second a half that waits looks whether the interface is still there, and its XDP
//! program, since the kernel does not tell. To stop a wait, drop its future.
//!
//! A simulated network tells by itself, on every operating system. One that [runs](crate::sim::Network::run) is the usual case; on one that
//! nobody runs, a half that waits moves the packets that are due, and lets simulated time pass as it does on the clock.
//!
//! The runtime must have its timer on, and for network interfaces its I/O driver (`enable_all`); tokio panics without.

#![forbid(unsafe_code)]

mod caller;
mod rx;
mod tx;

pub use rx::AsyncFluxRx;
pub use tx::AsyncFluxTx;
