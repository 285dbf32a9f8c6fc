//! Mode B: a socket in two owned halves, one to receive and one to send, each for a thread of its own.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use super::{FluxRaw, FluxRx, FluxTx, SocketRings, Waiting, Watchdog};
use crate::packet::FramePool;
use crate::poller::Poller;

/// How long nothing may move before the sending half says so.
const PATIENCE: Duration = Duration::from_secs(1);

impl FluxRaw {
    /// Mode B: the socket as two halves, which know nothing of each other and may go to different threads.
    ///
    /// It may be done at any time: packets that you hold, that stand in a ring or that are being sent stay good. Either half may be dropped
    /// first. When the receiving half is, no more packets come, and the other one still sends; what the kernel has of the dropped half's
    /// frames comes home when both are gone.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # nic.inject(0, &[0; 60])?;
    /// use fluxcap::{FluxBuilder, PacketBatch};
    ///
    /// let (mut rx, mut tx) = FluxBuilder::new(&nic).build()?.split();
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// std::thread::spawn(move || {
    ///     let mut batch = PacketBatch::with_capacity(64);
    ///     rx.recv(&mut batch).unwrap();
    ///     sender.send(batch).unwrap();
    /// });
    /// let mut batch = receiver.recv()?;
    /// assert_eq!(tx.send(&mut batch)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn split(self) -> (FluxRx, FluxTx) {
        let Self {
            map_entry,
            rings,
            socket,
            umem,
            link,
            interface,
            report,
            // Each half has a stopper of its own.
            waiting: _,
        } = self;
        let SocketRings {
            rx_side,
            tx_side,
            lender,
            pool,
        } = rings;
        let (receiver, sender) = lender.split(tx_side.outstanding() as u32);
        let free = FramePool::new(sender.frames().clone());
        let shared = Arc::new(Shared {
            socket,
            umem,
            link,
            interface,
            report,
        });
        let rx = FluxRx {
            map_entry,
            rx_side,
            lender: receiver,
            pool,
            pacer: Poller::default().pacer(),
            waiting: Waiting::default(),
            shared: shared.clone(),
        };
        let tx = FluxTx {
            tx_side,
            lender: sender,
            pool: free,
            watchdog: Watchdog::new(PATIENCE),
            unkicked: false,
            waiting: Waiting::default(),
            shared,
        };
        (rx, tx)
    }
}
