//! Receiving in a task.

#![forbid(unsafe_code)]

use std::time::Duration;

use tokio::task::coop::consume_budget;
use tokio::time::timeout;

use super::caller::{Caller, LOOK, PollClock};
use crate::backend::Interest;
use crate::backend::machine::Readiness;
use crate::error::Result;
use crate::packet::Packet;
use crate::packet::PacketBatch;
use crate::socket::SHORT_OF_FRAMES;
use crate::socket::{FluxRx, no_room};

/// How long a removal of the interface may go unnoticed: the kernel does not tell.
const GONE: Duration = Duration::from_secs(1);

/// The receiving half of a socket, for a task.
///
/// Made of a [`FluxRx`]. `Send`; one task at a time, and the half that [sends](crate::AsyncFluxTx) may be in another one. See the
/// [module](crate::asynch) for what waits and when.
///
/// ```no_run
/// # async fn example() -> fluxcap::Result<()> {
/// use fluxcap::{AsyncFluxRx, FluxBuilder, PacketBatch};
///
/// let (rx, _tx) = FluxBuilder::new("veth0").build()?.split();
/// let mut rx = AsyncFluxRx::new(rx)?;
/// let mut batch = PacketBatch::with_capacity(64);
/// loop {
///     rx.recv(&mut batch).await?;
///     for packet in batch.drain() {
///         println!("{} bytes", packet.len());
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncFluxRx {
    // The order of closing: the duplicate of the descriptor, and the socket.
    caller: Caller<Readiness>,
    poll_clock: PollClock,
    rx: FluxRx,
}

impl AsyncFluxRx {
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
    /// # let (rx, _tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// let _guard = runtime.enter();
    /// let rx = fluxcap::AsyncFluxRx::new(rx)?;
    /// assert_eq!(rx.get_ref().total(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(rx: FluxRx) -> Result<Self> {
        let caller = match Caller::of(rx.socket(), Interest::Receive)? {
            Caller::Kernel(fd) => Caller::Kernel(fd.into_readiness(Interest::Receive)?),
            Caller::Network(called) => Caller::Network(called),
        };
        Ok(Self {
            caller,
            poll_clock: PollClock::default(),
            rx,
        })
    }

    /// Takes received packets, as many as there are and the batch has room for, and waits until there is one at least; returns how many.
    ///
    /// When the future is dropped, no packet has been taken.
    ///
    /// # Errors
    ///
    /// [`Gone`](crate::ErrorKind::Gone) when the interface was removed or moved to another network namespace, or its XDP program taken off;
    /// [`Invalid`](crate::ErrorKind::Invalid) when the batch has no room.
    ///
    /// ```
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// # let network = fluxcap::sim::Network::new();
    /// # let _running = network.run()?;
    /// # let nic = network.nic("eth0")?;
    /// # let (rx, _tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
    /// # let mut rx = fluxcap::AsyncFluxRx::new(rx)?;
    /// # nic.inject(0, &[0; 60])?;
    /// use std::time::Duration;
    ///
    /// let mut batch = fluxcap::PacketBatch::with_capacity(64);
    /// match tokio::time::timeout(Duration::from_secs(1), rx.recv(&mut batch)).await {
    ///     Ok(received) => println!("{} packets", received?),
    ///     Err(_) => println!("nothing came"),
    /// }
    /// # assert_eq!(batch.len(), 1);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn recv(&mut self, batch: &mut PacketBatch) -> Result<u32> {
        if batch.room() == 0 {
            return Err(no_room(batch));
        }
        self.pursue(|rx| Some(rx.try_recv(batch)).filter(|&received| received > 0))
            .await
    }

    /// Takes a received packet, and waits until there is one.
    ///
    /// # Errors
    ///
    /// [`Gone`](crate::ErrorKind::Gone) when the interface was removed or moved to another network namespace, or its XDP program taken off.
    ///
    /// ```no_run
    /// # async fn example(mut rx: fluxcap::AsyncFluxRx) -> fluxcap::Result<()> {
    /// let packet = rx.recv_one().await?;
    /// println!("{} bytes", packet.len());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv_one(&mut self) -> Result<Packet> {
        self.pursue(FluxRx::try_recv_one).await
    }

    /// Waits until `take` finds something. What it finds goes to the caller in the same poll.
    async fn pursue<T>(&mut self, mut take: impl FnMut(&mut FluxRx) -> Option<T>) -> Result<T> {
        // Where packets always wait, other tasks have their turn, too.
        consume_budget().await;
        loop {
            if let Some(found) = take(&mut self.rx) {
                return Ok(found);
            }
            let every = match self.caller {
                Caller::Kernel(_) => GONE,
                // A look costs nothing there, and may be what moves the packets.
                Caller::Network(_) => Duration::ZERO,
            };
            if self.poll_clock.left(every).is_zero() {
                self.rx.check()?;
                let socket = self.rx.socket();
                if self
                    .poll_clock
                    .poll_once(socket, Some(Interest::Receive))?
                    .receive
                {
                    continue;
                }
            }
            let pause = self.pause();
            match &self.caller {
                Caller::Kernel(readiness) => {
                    if let Ok(changed) = timeout(pause, readiness.changed()).await {
                        changed?;
                    }
                }
                Caller::Network(called) => {
                    let _ = timeout(pause, called.changed()).await;
                }
            }
        }
    }

    /// How long to sleep at most.
    fn pause(&self) -> Duration {
        let pause = match self.caller {
            Caller::Kernel(_) => self.poll_clock.left(GONE),
            Caller::Network(_) => LOOK,
        };
        if self.rx.is_short() {
            // Nobody tells when a packet is dropped.
            pause.min(SHORT_OF_FRAMES)
        } else if self.rx.needs_wakeup() {
            // It was called, and may not have heard.
            pause.min(LOOK)
        } else {
            pause
        }
    }

    /// The half itself: statistics, report, link.
    #[must_use]
    pub fn get_ref(&self) -> &FluxRx {
        &self.rx
    }

    /// The half itself, for what does not wait: [`try_recv`](FluxRx::try_recv), [`recycle`](FluxRx::recycle).
    pub fn get_mut(&mut self) -> &mut FluxRx {
        &mut self.rx
    }

    /// The half for a thread again. No packet is lost.
    #[must_use]
    pub fn into_inner(self) -> FluxRx {
        self.rx
    }
}
