//! The receiving half.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::rings::relend;
use super::shared::Shared;
use super::{
    FluxTx, MapEntry, Patience, RingState, RxSide, SHORT_OF_FRAMES, Side, Target, Waiting,
    check_home,
};
#[cfg(feature = "async")]
use crate::backend::Socket;
use crate::backend::{Interest, Interface, Ready, machine};
use crate::error::{FluxError, Result};
use crate::link::Link;
use crate::packet::{FramePool, Lender, Packet, PacketBatch, ReceivedPacket, Verdict};
use crate::poller::{Idle, Pacer, Poller};
use crate::report::Report;
use crate::stats::{PollerStatistics, ProgramCounters, SocketStatistics};
use crate::umem::UmemRegion;

/// Mode B: the receiving half of a socket.
///
/// It hands out owned [`Packet`]s, and keeps the fill ring topped up with the frames of those that were dropped, on whatever thread, or sent.
/// Made by [`FluxRaw::split`](crate::FluxRaw::split). `Send`; one thread at a time.
///
/// ```no_run
/// use fluxcap::{FluxBuilder, PacketBatch};
///
/// let (mut rx, _tx) = FluxBuilder::new("veth0").build()?.split();
/// let mut batch = PacketBatch::with_capacity(64);
/// loop {
///     rx.recv(&mut batch)?;
///     for packet in batch.drain() {
///         println!("{} bytes", packet.len());
///     }
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Debug)]
pub struct FluxRx {
    // The order of closing: no more packets come, rings unmapped, and the rest with the last half.
    pub(super) map_entry: Option<MapEntry>,
    pub(super) rx_side: RxSide,
    pub(super) lender: Lender,
    pub(super) pool: FramePool,
    pub(super) pacer: Pacer,
    pub(super) waiting: Waiting,
    pub(super) shared: Arc<Shared>,
}

impl FluxRx {
    /// Takes received packets, as many as there are and the batch has room for, and returns how many. It never waits.
    ///
    /// After a 0, [`check`](Self::check) tells whether any can still come.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # let (mut rx, _tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
    /// # nic.inject(0, &[0; 60])?;
    /// # network.step(100);
    /// let mut batch = fluxcap::PacketBatch::with_capacity(64);
    /// assert_eq!(rx.try_recv(&mut batch), 1);
    /// assert_eq!(rx.try_recv(&mut batch), 0);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    #[inline]
    pub fn try_recv(&mut self, batch: &mut PacketBatch) -> u32 {
        if !self.shared.umem.process().is_current() {
            return 0;
        }
        let received = self
            .rx_side
            .receive_batch(&mut self.lender, u32::MAX, batch);
        self.top_up();
        received
    }

    /// Gives up to `max` received packets to `put`, which does not panic, and returns how many there were.
    #[cfg(feature = "capi")]
    pub(crate) fn recv_to(&mut self, max: u32, put: impl FnMut(Packet)) -> u32 {
        if !self.shared.umem.process().is_current() {
            return 0;
        }
        let received = self.rx_side.receive(&mut self.lender, max, put);
        self.top_up();
        received
    }

    /// Takes a received packet, if there is one.
    pub fn try_recv_one(&mut self) -> Option<Packet> {
        let mut found = None;
        self.recv_each(1, |packet| found = Some(packet.into_packet()));
        found
    }

    /// Shows up to `max` received packets to `look`, one at a time and in place, and returns how many there were. It never waits.
    ///
    /// The fastest way to receive. A packet's frame is recycled, for a new packet, unless `look` [keeps it](ReceivedPacket::into_packet). If
    /// `look` panics, the packet that it has is recycled, and those that it has not seen stay received.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # let (mut rx, _tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
    /// # nic.inject(0, &[0; 60])?;
    /// # nic.inject(0, &[1; 60])?;
    /// # network.step(100);
    /// let mut kept = Vec::new();
    /// let packets = rx.recv_each(64, |packet| {
    ///     if packet.data()[0] == 1 {
    ///         kept.push(packet.into_packet());
    ///     }
    /// });
    /// assert_eq!((packets, kept.len()), (2, 1));
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    #[inline]
    pub fn recv_each(&mut self, max: u32, look: impl FnMut(ReceivedPacket<'_>)) -> u32 {
        if !self.shared.umem.process().is_current() {
            return 0;
        }
        let received = self
            .rx_side
            .recv_each(&mut self.lender, &mut self.pool, max, look);
        self.top_up();
        received
    }

    /// Takes received packets, as many as there are and the batch has room for, and waits until there is one at least.
    ///
    /// How it waits is up to the [poller](Self::set_poller). It may come back with 0: when a signal ended a sleep, so that the program can
    /// look at what its handler did, and when nothing can ever arrive on a simulated network. A signal that comes just before a sleep does not
    /// end it: a [stopper](Self::stopper) does, from a signal handler, too.
    ///
    /// # Errors
    ///
    /// [`Gone`](crate::ErrorKind::Gone) when the interface was removed or moved to another network namespace, or its XDP program taken off;
    /// [`Down`](crate::ErrorKind::Down);
    /// [`Stopped`](crate::ErrorKind::Stopped) when a [stopper](Self::stopper) ended the wait;
    /// [`Invalid`](crate::ErrorKind::Invalid) when the batch has no room.
    pub fn recv(&mut self, batch: &mut PacketBatch) -> Result<u32> {
        self.recv_within(batch, None)
    }

    /// [`recv`](Self::recv), for at most `timeout`; 0 when that is over, or earlier, as there. With no time it does not wait, leaves a stop to
    /// the next call, and tells within a tenth of a second that the interface was removed or moved, within a second that its XDP program was
    /// taken off.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # let (mut rx, _tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
    /// use std::time::Duration;
    ///
    /// let mut batch = fluxcap::PacketBatch::with_capacity(64);
    /// if rx.recv_timeout(&mut batch, Duration::from_millis(10))? == 0 {
    ///     println!("nothing came");
    /// }
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn recv_timeout(&mut self, batch: &mut PacketBatch, timeout: Duration) -> Result<u32> {
        self.recv_within(batch, Some(timeout))
    }

    /// Takes a received packet, and waits for one as [`recv`](Self::recv) does; `None` where that comes back with 0.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_one(&mut self) -> Result<Option<Packet>> {
        self.pursue(None, Self::try_recv_one)
    }

    /// [`recv_one`](Self::recv_one), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_one_timeout(&mut self, timeout: Duration) -> Result<Option<Packet>> {
        self.pursue(Some(timeout), Self::try_recv_one)
    }

    /// Waits until a packet has arrived, without taking it, or `timeout` is over; `None` waits for ever. Returns whether one has: it may come
    /// back early with `false`, as [`recv`](Self::recv) may with 0.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<bool> {
        let arrived = self.pursue(timeout, |rx| {
            rx.top_up();
            rx.rx_side.is_ready().then_some(())
        });
        Ok(arrived?.is_some())
    }

    fn recv_within(&mut self, batch: &mut PacketBatch, timeout: Option<Duration>) -> Result<u32> {
        if batch.room() == 0 {
            return Err(no_room(batch));
        }
        let take = |rx: &mut Self| Some(rx.try_recv(batch)).filter(|&received| received > 0);
        Ok(self.pursue(timeout, take)?.unwrap_or(0))
    }

    /// Waits until `take` finds something, or the time is over, or a sleep ends early.
    fn pursue<T>(
        &mut self,
        timeout: Option<Duration>,
        mut take: impl FnMut(&mut Self) -> Option<T>,
    ) -> Result<Option<T>> {
        self.shared.umem.process().check("waiting for packets")?;
        if timeout != Some(Duration::ZERO) {
            self.waiting.take_stop()?;
        }
        let mut patience = timeout.map(Patience::new);
        loop {
            if let Some(found) = take(self) {
                self.pacer.worked();
                return Ok(Some(found));
            }
            let left = patience.as_mut().map(Patience::left);
            if left == Some(Duration::ZERO) {
                return self.check().map(|()| None);
            }
            self.waiting.take_stop()?;
            match self.pacer.decide() {
                Idle::Spin => self.spin()?,
                Idle::Look => self.check()?,
                Idle::Sleep => {
                    let slice = self.slice(left);
                    let ready = self.sleep(slice, left)?;
                    if let (Some(patience), Some(slice)) = (&mut patience, slice) {
                        patience.slept(slice);
                    }
                    if !ready.receive && (ready.interrupted || slice == left) {
                        let found = take(self);
                        if found.is_none() {
                            self.waiting.take_stop()?;
                        }
                        return Ok(found);
                    }
                }
            }
        }
    }

    /// How long to sleep, of the time that is left.
    fn slice(&self, left: Option<Duration>) -> Option<Duration> {
        match self.is_short() {
            true => Some(left.map_or(SHORT_OF_FRAMES, |left| left.min(SHORT_OF_FRAMES))),
            false => left,
        }
    }

    fn sleep(&mut self, slice: Option<Duration>, left: Option<Duration>) -> Result<Ready> {
        let _guard = machine::CancelGuard::new();
        let (socket, map_entry) = (&*self.shared.socket, self.map_entry.as_ref());
        self.waiting
            .sleep(socket, map_entry, Interest::Receive, slice, left)
    }

    fn spin(&mut self) -> Result<()> {
        let _guard = machine::CancelGuard::new();
        if self.rx_side.needs_wakeup() {
            self.shared.socket.wake_rx()?;
        }
        self.shared.socket.spin();
        Ok(())
    }

    /// Gives the frames of owned packets straight back to the kernel, for new packets: cheaper than to drop them.
    ///
    /// The batch is empty afterwards: frames that the fill ring has no room for, or that the receiving side would have beyond
    /// three quarters of the UMEM, go to the pool.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when a packet lies in another UMEM; nothing is taken then.
    pub fn recycle(&mut self, batch: &mut PacketBatch) -> Result<()> {
        self.shared.umem.process().check("recycling packets")?;
        check_home(self.lender.frames(), batch)?;
        let outstanding = self.rx_side.outstanding(self.lender.lent());
        self.rx_side.give(&mut self.lender, batch, outstanding);
        batch.clear();
        Ok(())
    }

    /// Tops the fill ring up with free frames, up to half of the UMEM, and returns how many. All ways to receive do that, too.
    #[inline]
    pub fn refill(&mut self) -> u32 {
        match self.shared.umem.process().is_current() {
            true => self.lend_free(),
            false => 0,
        }
    }

    #[inline]
    fn lend_free(&mut self) -> u32 {
        let outstanding = self.rx_side.outstanding(self.lender.lent());
        self.rx_side
            .refill(&mut self.lender, &mut self.pool, outstanding)
    }

    /// The socket, for those who wait by other means.
    #[cfg(feature = "async")]
    pub(crate) fn socket(&self) -> &dyn Socket {
        &*self.shared.socket
    }

    /// Whether it has so few frames that it should look for more.
    pub(crate) fn is_short(&self) -> bool {
        self.rx_side
            .is_short(self.rx_side.outstanding(self.lender.lent()))
    }

    /// Whether the kernel asks to be called for the fill ring.
    #[cfg(feature = "async")]
    pub(crate) fn needs_wakeup(&self) -> bool {
        self.shared.umem.process().is_current() && self.rx_side.needs_wakeup()
    }

    /// Its rings and its place in the ledger.
    #[inline]
    pub(super) fn side(&mut self) -> Side<'_, RxSide> {
        Side {
            rings: &mut self.rx_side,
            lender: &mut self.lender,
        }
    }

    /// Tops the fill ring up and wakes the kernel if it asks for that. Not in a forked child.
    #[inline]
    pub(super) fn top_up(&mut self) {
        self.lend_free();
        if self.rx_side.needs_wakeup() {
            self.wake();
        }
        let Self {
            rx_side,
            lender,
            pool,
            waiting,
            shared,
            ..
        } = self;
        waiting.settle(shared.umem.frames(), || {
            rx_side.refill(lender, pool, rx_side.outstanding(lender.lent()));
            rx_side.is_starved(rx_side.outstanding(lender.lent()))
        });
    }

    #[cold]
    fn wake(&self) {
        let _guard = machine::CancelGuard::new();
        // What goes wrong shows in the next wait.
        let _ = self.shared.socket.wake_rx();
    }

    /// How to wait for packets. Default [`Poller::default`].
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # let (mut rx, _tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
    /// rx.set_poller(fluxcap::Poller::Wait);
    /// assert_eq!(rx.poller_statistics().sleeps, 0);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn set_poller(&mut self, poller: Poller) {
        self.pacer = poller.pacer();
    }

    /// What the poller did since it was set.
    #[must_use]
    pub fn poller_statistics(&self) -> PollerStatistics {
        self.pacer.statistics()
    }

    /// What became of the wishes: requested, achieved and why.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.shared.report
    }

    /// What the socket was bound to: to ask how the interface [is now](Link::info), or for another socket there.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.shared.link
    }

    /// The interface, as it was when the socket was bound.
    #[must_use]
    pub fn interface(&self) -> &Interface {
        &self.shared.interface
    }

    /// The UMEM.
    #[must_use]
    pub fn umem(&self) -> &UmemRegion {
        &self.shared.umem
    }

    /// The kernel's counters for the socket, both halves.
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System).
    pub fn statistics(&self) -> Result<SocketStatistics> {
        self.shared.socket.statistics()
    }

    /// What the bundled XDP program counted, for the whole interface; `None` when it was not loaded by this library.
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System).
    pub fn program_counters(&self) -> Result<Option<ProgramCounters>> {
        self.map_entry.as_ref().map_or(Ok(None), MapEntry::counters)
    }

    /// Packets received, ever.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.rx_side.received()
    }

    /// The fill and the RX ring as they stand, for a person with a question. All zero in a forked child.
    #[must_use]
    pub fn debug_rings(&self) -> (RingState, RingState) {
        match self.shared.umem.process().is_current() {
            true => self.rx_side.state(),
            false => Default::default(),
        }
    }
}

impl Drop for FluxRx {
    fn drop(&mut self) {
        self.map_entry = None;
        // In a child the rings are the parent's, and perhaps not there.
        if !self.shared.umem.process().is_current() {
            return;
        }
        // What has arrived already is nobody's now; the other half can use the frames.
        self.rx_side.abandon(&mut self.lender, &mut self.pool);
    }
}

#[cold]
pub(crate) fn no_room(batch: &PacketBatch) -> FluxError {
    FluxError::invalid(
        "wait for packets",
        format_args!(
            "the batch has no room for one: it holds {} of {}",
            batch.len(),
            batch.capacity()
        ),
        "take packets out of it first, or use a larger batch",
    )
}

impl FluxRx {
    /// Shows up to `max` received packets to `judge`, one at a time and in place, sends or recycles each, and returns how many there were. It
    /// never waits.
    ///
    /// From the halves of one socket, or of two that share a UMEM, when both are on one thread. The frames of packets that `tx` has sent come
    /// straight back to be received into. What `judge` [keeps](ReceivedPacket::into_packet) is its own. A packet that is empty or has
    /// [options](crate::PacketRef::options) is recycled instead of sent.
    ///
    /// No more packets are shown than `tx` has room for; the others stay received. So when there was none although packets have
    /// arrived, [wait](FluxTx::wait) for `tx`, and when none have, [wait](Self::wait) for more. If `judge` panics, the packet that it has is
    /// recycled, those before it are sent with the next call, and those behind it stay received.
    ///
    /// # Errors
    ///
    /// - [`Invalid`](crate::ErrorKind::Invalid) when `tx` works on another UMEM: [`copy`](FluxTx::copy) packets for it;
    /// - [`Down`](crate::ErrorKind::Down), [`Gone`](crate::ErrorKind::Gone), [`Stuck`](crate::ErrorKind::Stuck): packets to send are in the TX
    ///   ring, to leave when that has changed.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// use fluxcap::{Verdict, proto::Ethernet};
    ///
    /// let (mut rx, mut tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
    /// # nic.inject(0, &[0; 60])?;
    /// # nic.inject(0, &[0; 60])?;
    /// # network.step(100);
    /// let mut turn = 0;
    /// let packets = rx.forward_each(&mut tx, 64, |mut packet| {
    ///     turn += 1;
    ///     match Ethernet::parse_mut(packet.data_mut()) {
    ///         // Every second one.
    ///         Ok((ethernet, _)) if turn % 2 == 1 => {
    ///             ethernet.swap_addresses();
    ///             Verdict::Send
    ///         }
    ///         _ => Verdict::Recycle,
    ///     }
    /// })?;
    /// assert_eq!((packets, tx.total()), (2, 1));
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    #[inline]
    pub fn forward_each(
        &mut self,
        tx: &mut FluxTx,
        max: u32,
        judge: impl FnMut(ReceivedPacket<'_>) -> Verdict,
    ) -> Result<u32> {
        for shared in [&self.shared, &tx.shared] {
            shared.umem.process().check("forwarding packets")?;
        }
        if !self.shared.umem.is_same(&tx.shared.umem) {
            return Err(other_umem());
        }
        let outstanding = self.lender.lent();
        relend(&mut tx.side(), &mut self.side(), outstanding);
        if tx.tx_side.has_come_back() {
            tx.take_back();
        }
        let to = Target {
            rings: &mut tx.tx_side,
            port: 0,
            sender: Some(&mut tx.lender),
        };
        let packets = self
            .rx_side
            .forward_each(&mut self.lender, &mut self.pool, to, max, judge);
        let pushed = tx.push();
        self.top_up();
        pushed?;
        Ok(packets)
    }
}

#[cold]
fn other_umem() -> FluxError {
    FluxError::invalid(
        "forward packets",
        "the sending half works on another UMEM",
        "copy each into a packet of that half (copy(), alloc()), or let both sockets share one UMEM",
    )
}
