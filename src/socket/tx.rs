//! The sending half.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use super::{Kicks, Next, RingState, Side, TxSide, Waiting, Watchdog, can_send, check_packets};
#[cfg(feature = "async")]
use crate::backend::Socket;
use crate::backend::{Interface, machine};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::link::Link;
use crate::packet::{FramePool, Lender, Outbox, Packet, PacketBatch};
use crate::report::Report;
use crate::stats::SocketStatistics;
use crate::umem::UmemRegion;

/// How often one call of `send` tries to get the rest of a batch into the ring.
const ATTEMPTS: u32 = 4;

/// Mode B: the sending half of a socket.
///
/// It sends owned [`Packet`]s, received or [made](Self::alloc), and takes their frames back when they were sent. What the kernel has no room
/// for is handed back; nothing is lost. Made by [`FluxRaw::split`](crate::FluxRaw::split). `Send`; one thread at a time.
///
/// When packets were given to the kernel and for a second nothing has moved, a call says so, with an error of kind
/// [`Stuck`](crate::ErrorKind::Stuck); see [`set_patience`](Self::set_patience).
///
/// ```no_run
/// use fluxcap::{FluxBuilder, PacketBatch};
///
/// let (mut rx, mut tx) = FluxBuilder::new("veth0").build()?.split();
/// let mut batch = PacketBatch::with_capacity(64);
/// loop {
///     rx.recv(&mut batch)?;
///     while !batch.is_empty() {
///         if tx.send(&mut batch)? == 0 {
///             tx.wait(None)?;
///         }
///     }
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Debug)]
pub struct FluxTx {
    // The order of closing: rings unmapped, and the rest with the last half.
    pub(super) tx_side: TxSide,
    pub(super) lender: Lender,
    pub(super) pool: FramePool,
    pub(super) watchdog: Watchdog,
    /// Whether the kernel could not be called for a packet that is in the ring.
    pub(super) unkicked: bool,
    pub(super) waiting: Waiting,
    pub(super) shared: Arc<Shared>,
}

impl FluxTx {
    /// Sends the packets at the front of the batch, in order, and returns how many the kernel took.
    ///
    /// It takes sent frames back and calls the kernel, as often as that helps. Those that there is no room for stay in the batch:
    /// [wait](Self::wait), and try again.
    ///
    /// Sent means that the kernel took the packet. What the device drops then, it tells nobody here: a packet longer than its MTU, and all
    /// while the peer of a veth is down or the cable is out. Such packets count as sent; `ip -s link show DEVICE` (TX: dropped, carrier) and
    /// `ethtool -S DEVICE` have them.
    ///
    /// # Errors
    ///
    /// - [`Invalid`](crate::ErrorKind::Invalid) when a packet lies in another UMEM ([copy](Self::copy) it) or is empty; nothing is taken then;
    /// - [`Down`](crate::ErrorKind::Down), [`Gone`](crate::ErrorKind::Gone), [`Stuck`](crate::ErrorKind::Stuck): packets that are no longer in
    ///   the batch are in the TX ring, to be sent when that has changed.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # let (_rx, mut tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
    /// let mut batch = fluxcap::PacketBatch::with_capacity(64);
    /// tx.alloc_batch(&mut batch);
    /// for packet in &mut batch {
    ///     packet.copy_from(&[0xff; 60])?;
    /// }
    /// assert_eq!(tx.send(&mut batch)?, 64);
    /// assert!(batch.is_empty());
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    #[inline]
    pub fn send(&mut self, batch: &mut PacketBatch) -> Result<u32> {
        self.shared.umem.process().check("sending packets")?;
        self.take_back();
        let mut sent = self.tx_side.send(&mut self.lender, batch)?;
        self.push()?;
        if !batch.is_empty() {
            sent += self.send_rest(batch)?;
        }
        Ok(sent)
    }

    /// What the ring had no room for at first.
    #[cold]
    fn send_rest(&mut self, batch: &mut PacketBatch) -> Result<u32> {
        let mut sent = 0;
        for _ in 0..ATTEMPTS {
            self.take_back();
            let more = self.tx_side.send(&mut self.lender, batch)?;
            if more == 0 {
                break;
            }
            sent += more;
            self.push()?;
        }
        Ok(sent)
    }

    /// Sends the packets that `give` puts into an [`Outbox`], one by one, as many as there is room for and up to `max`; returns how many.
    ///
    /// The fastest way to send, and together with [`FluxRx::recv_each`](crate::FluxRx::recv_each) to pass packets on. When `give` returns,
    /// the kernel is called, once for all. Should `give` panic, the packets that it has put are sent with the next call.
    ///
    /// # Errors
    ///
    /// [`Down`](crate::ErrorKind::Down), [`Gone`](crate::ErrorKind::Gone), [`Stuck`](crate::ErrorKind::Stuck): packets that were put are in the
    /// TX ring, to be sent when that has changed.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # let (mut rx, mut tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
    /// # nic.inject(0, &[0; 60])?;
    /// # network.step(100);
    /// let sent = tx.send_each(64, |outbox| {
    ///     rx.recv_each(outbox.room() as u32, |mut packet| {
    ///         packet.data_mut()[0] ^= 1;
    ///         // Made owned, to be sent; what cannot be is dropped.
    ///         drop(outbox.put(packet.into_packet()));
    ///     });
    /// })?;
    /// assert_eq!(sent, 1);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    #[inline]
    pub fn send_each(&mut self, max: u32, give: impl FnOnce(&mut Outbox<'_>)) -> Result<u32> {
        self.shared.umem.process().check("sending packets")?;
        self.take_back();
        let sent = self.tx_side.send_each(&mut self.lender, max, give);
        self.push()?;
        Ok(sent)
    }

    /// Sends one packet. For many, [`send`](Self::send) is faster: it calls the kernel once for all.
    ///
    /// When the packet was taken but the kernel could not be called, the next call says why.
    ///
    /// # Errors
    ///
    /// Gives the packet back when there is no room, when it lies in another UMEM ([copy](Self::copy) it) or is empty, and when the kernel can't
    /// be called; see [`Unsent::error`].
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # let (_rx, mut tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
    /// if let Some(packet) = tx.copy(b"hello")? {
    ///     tx.send_one(packet)?;
    /// }
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn send_one(&mut self, packet: Packet) -> Result<(), Unsent> {
        if let Err(error) = self.shared.umem.process().check("sending packets") {
            return Err(Unsent::new(packet, error));
        }
        self.take_back();
        if self.unkicked
            && let Err(error) = self.push()
        {
            return Err(Unsent::new(packet, error));
        }
        let packet = match self.tx_side.send_one(&mut self.lender, packet) {
            Ok(()) => {
                self.push_quietly();
                return Ok(());
            }
            Err(packet) => packet,
        };
        if !can_send(self.lender.frames(), &packet) {
            let packets = std::slice::from_ref(&packet);
            return match check_packets(self.lender.frames(), packets) {
                Err(error) => Err(Unsent::new(packet, error)),
                Ok(()) => Err(Unsent::full(packet)),
            };
        }
        if let Err(error) = self.kick() {
            return Err(Unsent::new(packet, error));
        }
        self.tx_side
            .send_one(&mut self.lender, packet)
            .map_err(Unsent::full)?;
        self.push_quietly();
        Ok(())
    }

    /// [`push`](Self::push), for a packet that was taken: what goes wrong is for the next call to say.
    fn push_quietly(&mut self) {
        if let Err(error) = self.push() {
            self.unkicked = true;
            if error.kind() == ErrorKind::Stuck {
                self.watchdog.tell_again();
            }
        }
    }

    /// A packet of length zero in a free frame. Takes sent frames back if the pool is empty, and `None` when that does not help.
    pub fn alloc(&mut self) -> Option<Packet> {
        if !self.shared.umem.process().is_current() {
            return None;
        }
        self.tx_side.alloc(&mut self.lender, &mut self.pool)
    }

    /// Fills the batch with packets of length zero in free frames, and returns how many were added.
    ///
    /// Takes sent frames back if the pool has not enough; fewer, even none, when that does not help.
    pub fn alloc_batch(&mut self, batch: &mut PacketBatch) -> u32 {
        self.alloc_at_most(batch, u32::MAX)
    }

    /// [`alloc_batch`](Self::alloc_batch), up to `max` packets.
    pub(crate) fn alloc_at_most(&mut self, batch: &mut PacketBatch, max: u32) -> u32 {
        if !self.shared.umem.process().is_current() {
            return 0;
        }
        self.tx_side
            .alloc_batch(&mut self.lender, &mut self.pool, batch, max)
    }

    /// A packet with a copy of `bytes`, in a free frame; `None` when there is none now. For packets that lie in another UMEM.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) (`EMSGSIZE`) when `bytes` do not fit into a frame.
    pub fn copy(&mut self, bytes: &[u8]) -> Result<Option<Packet>> {
        self.alloc().map(|packet| packet.filled(bytes)).transpose()
    }

    /// Takes the frames of sent packets back and returns how many: as many as it is short of for itself, the others for all to use.
    ///
    /// All ways to send do that, too. A half that does not send for a while keeps them, so call it then.
    #[inline]
    pub fn reap(&mut self) -> u32 {
        match self.shared.umem.process().is_current() {
            true => self.take_back(),
            false => 0,
        }
    }

    /// [`reap`](Self::reap), not in a forked child.
    #[inline]
    pub(super) fn take_back(&mut self) -> u32 {
        self.tx_side.reap_to_stack(&mut self.lender, &mut self.pool)
    }

    /// Its rings and its place in the ledger.
    #[inline]
    pub(super) fn side(&mut self) -> Side<'_, TxSide> {
        Side {
            rings: &mut self.tx_side,
            lender: &mut self.lender,
        }
    }

    /// Takes sent frames back, and makes the kernel send what is in the TX ring, if it asks for that.
    ///
    /// # Errors
    ///
    /// [`Down`](crate::ErrorKind::Down), [`Gone`](crate::ErrorKind::Gone) or [`Stuck`](crate::ErrorKind::Stuck); the packets stay in the ring.
    pub fn kick(&mut self) -> Result<()> {
        self.shared.umem.process().check("sending packets")?;
        self.take_back();
        self.push()
    }

    /// Calls the kernel as long as that helps, and sees whether anything moves. Sent frames were taken back just now.
    #[inline]
    pub(super) fn push(&mut self) -> Result<()> {
        self.shared.umem.process().check("sending packets")?;
        let always = !self.shared.report.need_wakeup.achieved;
        let mut kicks = Kicks::new(self.tx_side.pending());
        if !kicks.wanted() {
            self.shared.socket.check()?;
        }
        while kicks.wanted() && (always || self.tx_side.needs_wakeup()) {
            let _guard = machine::CancelGuard::new();
            let kick = self.shared.socket.wake_tx()?;
            match kicks.after(kick, self.tx_side.pending()) {
                Next::Rest => break,
                Next::Kick => {}
                Next::Reap if self.take_back() == 0 => break,
                Next::Reap => {}
            }
        }
        self.unkicked = false;
        self.watchdog.look(&self.tx_side, &*self.shared.socket)
    }

    /// The socket, for those who wait by other means.
    #[cfg(feature = "async")]
    pub(crate) fn socket(&self) -> &dyn Socket {
        &*self.shared.socket
    }

    /// The number of packets that the TX ring has room for now.
    pub fn room(&mut self) -> u32 {
        match self.shared.umem.process().is_current() {
            true => self.tx_side.room(),
            false => 0,
        }
    }

    /// Packets that were given to the kernel and whose frames have not been taken back.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.tx_side.outstanding()
    }

    /// How long nothing may move, while the kernel has packets to send, until a call says so. Default 1 s; [`Duration::MAX`] is for ever.
    ///
    /// It has packets to send when some wait in the TX ring, or more are out than half of that ring has slots. Fewer may stay out: some drivers
    /// keep the last ones until more are sent. It runs while the half is in use: `send`, `kick`, `flush` and `wait` look.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # let (_rx, mut tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
    /// tx.set_patience(std::time::Duration::from_secs(5));
    /// # assert_eq!(tx.patience().as_secs(), 5);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn set_patience(&mut self, patience: Duration) {
        self.watchdog.set_patience(patience);
    }

    /// How long nothing may move until a call says so.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.watchdog.patience()
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

    /// Packets given to the kernel, ever.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.tx_side.sent()
    }

    /// The TX and the completion ring as they stand, for a person with a question. All zero in a forked child.
    #[must_use]
    pub fn debug_rings(&self) -> (RingState, RingState) {
        match self.shared.umem.process().is_current() {
            true => self.tx_side.state(),
            false => Default::default(),
        }
    }
}

impl Drop for FluxTx {
    fn drop(&mut self) {
        self.reap();
    }
}

/// A packet that was not sent, handed back, and why.
///
/// ```
/// # let network = fluxcap::sim::Network::new();
/// # let nic = network.nic("eth0")?;
/// # let (_rx, mut tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
/// let empty = tx.alloc().expect("a free frame");
/// let unsent = tx.send_one(empty).unwrap_err();
/// assert!(!unsent.is_full());
/// println!("{unsent}");
/// let mut packet = unsent.into_packet();
/// packet.copy_from(b"hello")?;
/// # assert!(tx.send_one(packet).is_ok());
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Debug)]
pub struct Unsent {
    packet: Packet,
    /// `None`: the ring is full.
    error: Option<FluxError>,
}

impl Unsent {
    /// The ring is full. Allocation-free: this case is common.
    pub(super) fn full(packet: Packet) -> Self {
        Self {
            packet,
            error: None,
        }
    }

    pub(super) fn new(packet: Packet, error: FluxError) -> Self {
        Self {
            packet,
            error: Some(error),
        }
    }

    /// The packet.
    #[must_use]
    pub fn into_packet(self) -> Packet {
        self.packet
    }

    /// Whether there was just no room: it can be sent when others have left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.error.is_none()
    }

    /// Why it was not sent.
    #[must_use]
    pub fn error(&self) -> FluxError {
        self.error.clone().unwrap_or_else(no_tx_room)
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl Error for Unsent {}

impl From<Unsent> for FluxError {
    /// Why it was not sent; the packet is dropped.
    fn from(unsent: Unsent) -> Self {
        unsent.error.unwrap_or_else(no_tx_room)
    }
}

fn no_tx_room() -> FluxError {
    FluxError::new(
        ErrorKind::Full,
        errno::EAGAIN,
        "send a packet",
        "the TX ring is full, and the kernel takes no more now",
        "wait for room, or drop the packet",
    )
}
