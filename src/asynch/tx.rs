//! Sending in a task.

#![forbid(unsafe_code)]

use std::time::Duration;

use tokio::task::coop::consume_budget;
use tokio::time::{sleep, timeout};

use super::caller::{Caller, PollClock};
use crate::backend::Interest;
use crate::backend::machine::TaskFd;
use crate::error::Result;
use crate::packet::Packet;
use crate::packet::PacketBatch;
use crate::socket::FluxTx;
use crate::socket::SHORT_OF_ROOM;

/// How long to sleep at a time until all packets have left: nobody tells.
const PAUSE: Duration = Duration::from_millis(1);

/// The sending half of a socket, for a task.
///
/// Made of a [`FluxTx`]. `Send`; one task at a time, and the half that [receives](crate::AsyncFluxRx) may be in another one. See the
/// [module](crate::asynch) for what waits and when.
///
/// As the blocking half does, it says [`Stuck`](crate::ErrorKind::Stuck) when the kernel has packets and for a second none has left; see
/// [`FluxTx::set_patience`].
///
/// ```no_run
/// # async fn example() -> fluxcap::Result<()> {
/// use fluxcap::{AsyncFluxTx, FluxBuilder};
///
/// let (_rx, tx) = FluxBuilder::new("veth0").build()?.split();
/// let mut tx = AsyncFluxTx::new(tx)?;
/// let mut packet = tx.get_mut().copy(&[0xff; 60])?;
/// tx.send_one(&mut packet).await?;
/// tx.flush().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncFluxTx {
    // The order of closing: the duplicate of the descriptor, and the socket.
    caller: Caller<TaskFd>,
    poll_clock: PollClock,
    tx: FluxTx,
}

impl AsyncFluxTx {
    /// Makes the half one for tasks, of the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) outside a runtime, [`System`](crate::ErrorKind::System) when too many files are open. The half is
    /// dropped then.
    ///
    /// # Panics
    ///
    /// As tokio does, when the runtime has no I/O driver and the socket needs it.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # let (_rx, tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// let _guard = runtime.enter();
    /// let tx = fluxcap::AsyncFluxTx::new(tx)?;
    /// assert_eq!(tx.get_ref().total(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(tx: FluxTx) -> Result<Self> {
        let caller = Caller::of(tx.socket(), Interest::Send)?;
        if let Caller::Kernel(fd) = &caller {
            // What can go wrong with it shall do so now.
            fd.readiness(Interest::Send)?;
        }
        Ok(Self {
            caller,
            poll_clock: PollClock::default(),
            tx,
        })
    }

    /// Sends all packets of the batch, in order, and waits for room as often as needed.
    ///
    /// When the future is dropped, the packets that were not given to the kernel are still in the batch.
    ///
    /// # Errors
    ///
    /// As [`FluxTx::send`]. Packets that are still in the batch were not sent.
    ///
    /// ```
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// # let network = fluxcap::sim::Network::new();
    /// # let _running = network.run()?;
    /// # let nic = network.nic("eth0")?;
    /// # let (_rx, tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
    /// # let mut tx = fluxcap::AsyncFluxTx::new(tx)?;
    /// let mut batch = fluxcap::PacketBatch::with_capacity(64);
    /// tx.get_mut().alloc_batch(&mut batch);
    /// for packet in &mut batch {
    ///     packet.copy_from(&[0xff; 60])?;
    /// }
    /// tx.send(&mut batch).await?;
    /// assert!(batch.is_empty());
    /// # Ok::<(), fluxcap::FluxError>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn send(&mut self, batch: &mut PacketBatch) -> Result<()> {
        loop {
            // Where there always is room, other tasks have their turn, too.
            consume_budget().await;
            self.tx.send(batch)?;
            if batch.is_empty() {
                return Ok(());
            }
            self.make_room().await?;
        }
    }

    /// Sends one packet, and waits for room as long as needed. It is taken out of its place when it is sent; an empty place is no mistake.
    ///
    /// When the future is dropped, the packet is still there, or was given to the kernel.
    ///
    /// # Errors
    ///
    /// As [`FluxTx::send_one`], but for a lack of room. The packet is still there then.
    ///
    /// ```no_run
    /// # async fn example(mut tx: fluxcap::AsyncFluxTx) -> fluxcap::Result<()> {
    /// let mut packet = tx.get_mut().copy(&[0xff; 60])?;
    /// tx.send_one(&mut packet).await?;
    /// assert!(packet.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_one(&mut self, packet: &mut Option<Packet>) -> Result<()> {
        loop {
            consume_budget().await;
            let Some(taken) = packet.take() else {
                return Ok(());
            };
            let Err(unsent) = self.tx.send_one(taken) else {
                return Ok(());
            };
            let failure = (!unsent.is_full()).then(|| unsent.error());
            *packet = Some(unsent.into_packet());
            if let Some(error) = failure {
                return Err(error);
            }
            self.make_room().await?;
        }
    }

    /// Waits until the TX ring has room.
    async fn make_room(&mut self) -> Result<()> {
        self.tx.kick()?;
        if self.tx.room() > 0 {
            return Ok(());
        }
        // Only now: a socket that can be written to wakes the runtime with each packet that leaves.
        let caller = match &self.caller {
            Caller::Kernel(fd) => Caller::Kernel(fd.readiness(Interest::Send)?),
            Caller::Network(called) => Caller::Network(called.clone()),
        };
        loop {
            if let Caller::Network(_) = caller {
                let socket = self.tx.socket();
                self.poll_clock.poll_once(socket, Some(Interest::Send))?;
            }
            self.tx.kick()?;
            if self.tx.room() > 0 {
                return Ok(());
            }
            match &caller {
                Caller::Kernel(readiness) => {
                    if let Ok(changed) = timeout(SHORT_OF_ROOM, readiness.changed()).await {
                        changed?;
                    }
                }
                Caller::Network(called) => {
                    let _ = timeout(SHORT_OF_ROOM, called.changed()).await;
                }
            }
        }
    }

    /// Waits until the kernel has no packet left: all were sent, and their frames are free.
    ///
    /// # Errors
    ///
    /// [`Down`](crate::ErrorKind::Down), [`Gone`](crate::ErrorKind::Gone) or [`Stuck`](crate::ErrorKind::Stuck); the packets stay in the ring.
    ///
    /// ```no_run
    /// # async fn example(mut tx: fluxcap::AsyncFluxTx) -> fluxcap::Result<()> {
    /// use std::time::Duration;
    ///
    /// match tokio::time::timeout(Duration::from_secs(5), tx.flush()).await {
    ///     Ok(flushed) => flushed?,
    ///     Err(_) => println!("{} packets have not left", tx.get_ref().outstanding()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn flush(&mut self) -> Result<()> {
        loop {
            self.tx.kick()?;
            if let Caller::Network(_) = self.caller {
                self.poll_clock.poll_once(self.tx.socket(), None)?;
            }
            self.tx.reap();
            if self.tx.outstanding() == 0 {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    }

    /// The half itself: statistics, report, link.
    #[must_use]
    pub fn get_ref(&self) -> &FluxTx {
        &self.tx
    }

    /// The half itself, for what does not wait: [`alloc`](FluxTx::alloc), [`copy`](FluxTx::copy), [`reap`](FluxTx::reap).
    pub fn get_mut(&mut self) -> &mut FluxTx {
        &mut self.tx
    }

    /// The half for a thread again. No packet is lost.
    #[must_use]
    pub fn into_inner(self) -> FluxTx {
        self.tx
    }
}
