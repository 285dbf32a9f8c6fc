//! Mode C: the four rings of one socket, on bare metal.

#![forbid(unsafe_code)]

use crate::backend::{BorrowedFd, Interface, Socket, machine};
use crate::error::Result;
use crate::link::Link;
use crate::packet::PacketBatch;
use crate::packet::{LeasedSocket, Packet, ReceivedPacket, Verdict};
use crate::report::Report;
use crate::ring::Desc;
use crate::stats::{ProgramCounters, SocketStatistics};
use crate::umem::UmemRegion;

use super::{DESCRIPTOR, Kicks, MapEntry, Next, RingsState, SocketRings, Waiting, descriptor_of};

/// Mode C: a bound socket and its four rings.
///
/// You decide when frames move; the library sees to it that none is lost or used twice. The guard-rails:
///
/// - a frame that the kernel has can't be reached: sending moves the [`Packet`] away, a packet seen in place ends with the callback;
/// - what the kernel hands back is accepted only if it is on loan from this socket;
/// - full rings and empty pools are counts that come out smaller, never lost frames;
/// - [`debug_rings`](Self::debug_rings) shows where every frame is.
///
/// What remains yours: keep the fill ring [topped up](Self::refill), take sent frames [back](Self::reap), and
/// [wake](Self::wake_tx) the kernel.
///
/// Made by [`FluxBuilder::build`](crate::FluxBuilder::build). `Send`; one thread at a time. Dropping it takes the socket out of
/// the XDP program's map, detaches the program with its last socket, and closes the socket. It does not wait for the kernel to let go of the
/// frames that it had: these go home [when it has](crate::Accounting::quarantined). [`Packet`]s may outlive it.
///
/// It belongs to the process that opened it. In a forked child, after `daemon()` for instance, its calls are errors of kind
/// [`Invalid`](crate::ErrorKind::Invalid) or find nothing, packets hold zeros, and the parent is not disturbed; but the child keeps the
/// kernel's socket open until it ends or executes another program. Open sockets after the fork. In a child that the C library's `fork()` did not
/// make (`_Fork()`, `clone()`), where its handlers have not run, sockets do the same, but packets in hugepages are not there: touch none.
///
/// ```no_run
/// use fluxcap::{FluxBuilder, PacketBatch};
///
/// let mut raw = FluxBuilder::new("veth0").queue(0).build()?;
/// let mut batch = PacketBatch::with_capacity(64);
/// loop {
///     raw.wait_rx(None)?;
///     while raw.receive(&mut batch) > 0 {
///         for packet in &batch {
///             println!("{} bytes", packet.len());
///         }
///         raw.recycle(&mut batch)?;
///     }
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Debug)]
pub struct FluxRaw {
    // In the order of closing: no more packets come, since some drivers crash when a socket closes while the XDP program still directs
    // packets to it; rings unmapped, for they keep the kernel's socket open; socket closed. Who gets the frames is the last one's to say.
    pub(crate) map_entry: Option<MapEntry>,
    pub(crate) rings: SocketRings,
    pub(crate) umem: UmemRegion,
    pub(crate) link: Link,
    pub(crate) interface: Interface,
    pub(crate) report: Report,
    pub(crate) waiting: Waiting,
    pub(crate) socket: LeasedSocket<dyn Socket>,
}

impl FluxRaw {
    /// The rings, unless this is a forked child, where they are the parent's, and perhaps not there.
    #[inline]
    fn here(&mut self) -> Option<&mut SocketRings> {
        let here = self.umem.process().is_current();
        here.then_some(&mut self.rings)
    }

    /// Takes received packets as owned ones, as many as the batch has room for, and returns how many.
    ///
    /// Each takes a frame out of the rings until it is [sent](Self::send), [recycled](Self::recycle) or dropped; the fill
    /// ring is topped up from the pool.
    pub fn receive(&mut self, batch: &mut PacketBatch) -> u32 {
        self.receive_at_most(batch, u32::MAX)
    }

    /// [`receive`](Self::receive), up to `max` packets.
    pub(crate) fn receive_at_most(&mut self, batch: &mut PacketBatch, max: u32) -> u32 {
        if !self.umem.process().is_current() {
            return 0;
        }
        let received = self.rings.receive(batch, max);
        // Also after none: frames that were held may be free by now.
        self.rings.refill_free();
        self.settle();
        received
    }

    /// Gives the frames of owned packets back to the kernel, for new packets.
    ///
    /// The batch is empty afterwards: frames that the fill ring has no room for, or that the receiving side would have beyond
    /// three quarters of the UMEM, go to the pool.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when a packet lies in another UMEM; nothing is taken then.
    pub fn recycle(&mut self, batch: &mut PacketBatch) -> Result<()> {
        self.umem.process().check("recycling packets")?;
        self.rings.recycle(batch)
    }

    /// Shows up to `max` received packets to `look`, one at a time and in place, and returns how many there were.
    ///
    /// The cheapest way to receive. A packet's frame is recycled into the fill ring, or where that has no room into the pool,
    /// unless `look` [keeps it](ReceivedPacket::into_packet). If `look` panics, the packet that it has is recycled, and those that it has not
    /// seen stay received.
    ///
    /// ```no_run
    /// # let mut raw = fluxcap::FluxBuilder::new("eth0").build()?;
    /// let mut bytes = 0;
    /// let packets = raw.recv_each(64, |packet| bytes += packet.len());
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    #[inline]
    pub fn recv_each(&mut self, max: u32, look: impl FnMut(ReceivedPacket<'_>)) -> u32 {
        self.here().map_or(0, |rings| rings.recv_each(max, look))
    }

    /// Copies of the descriptors of up to `max` received packets, accepted but still in the RX ring.
    ///
    /// They end before an entry that is refused, so there may be more behind them. Consume them from the front, with
    /// [`recycle_front`](Self::recycle_front), [`forward_front`](Self::forward_front) or [`receive`](Self::receive).
    pub fn peek(&mut self, max: u32) -> &[Desc] {
        self.here().map_or(&[], |rings| rings.peek(max))
    }

    /// Shows up to `max` received packets to `judge`, one at a time and in place, sends or recycles each, and returns how many there were.
    ///
    /// No more are shown than the TX ring has room for: back-pressure shows as a smaller count, and nothing is lost. Packets to send leave with
    /// the next [`wake_tx`](Self::wake_tx); their frames come back with [`refill`](Self::refill) or [`reap`](Self::reap). One that is empty or
    /// has [options](crate::PacketRef::options) is recycled instead. If `judge` panics, the packet that it has is recycled, and those that it has not seen
    /// stay received.
    ///
    /// ```no_run
    /// use fluxcap::{FluxBuilder, Verdict, proto::Ethernet};
    ///
    /// // Sends every packet back to the other end of a cable of one's own.
    /// let mut raw = FluxBuilder::new("veth0").build()?;
    /// loop {
    ///     raw.refill();
    ///     raw.forward_each(64, |mut packet| match Ethernet::parse_mut(packet.data_mut()) {
    ///         Ok((ethernet, _)) => {
    ///             ethernet.swap_addresses();
    ///             Verdict::Send
    ///         }
    ///         Err(_) => Verdict::Recycle,
    ///     });
    ///     raw.wake_tx()?;
    /// }
    /// # #[allow(unreachable_code)]
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    #[inline]
    pub fn forward_each(
        &mut self,
        max: u32,
        judge: impl FnMut(ReceivedPacket<'_>) -> Verdict,
    ) -> u32 {
        self.here()
            .map_or(0, |rings| rings.forward_each(max, judge))
    }

    /// Puts the packets at the front of the batch into the TX ring, in order, and returns how many.
    ///
    /// Those that the ring has no room for stay in the batch: [wake](Self::wake_tx) the kernel, [reap](Self::reap), and try again.
    ///
    /// Sent means that the kernel took the packet. What the device drops then, it tells nobody here: a packet longer than its MTU, and all
    /// while the peer of a veth is down or the cable is out. Such packets count as sent; `ip -s link show DEVICE` (TX: dropped, carrier) and
    /// `ethtool -S DEVICE` have them.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when a packet lies in another UMEM or is empty; nothing is taken then.
    pub fn send(&mut self, batch: &mut PacketBatch) -> Result<u32> {
        self.umem.process().check("sending packets")?;
        self.rings.send(batch)
    }

    /// Puts one packet into the TX ring.
    ///
    /// # Errors
    ///
    /// Gives the packet back when the ring is full, or when the packet lies in another UMEM or is empty.
    pub fn send_one(&mut self, packet: Packet) -> Result<(), Packet> {
        if !self.umem.process().is_current() {
            return Err(packet);
        }
        self.rings.send_one(packet)
    }

    /// A packet of length zero in a free frame. Reaps if the pool is empty, and `None` when that does not help.
    pub fn alloc(&mut self) -> Option<Packet> {
        self.here()?.alloc()
    }

    /// Fills the batch with packets of length zero in free frames, and returns how many were added.
    ///
    /// Reaps if the pool has not enough; fewer, even none, when that does not help.
    pub fn alloc_batch(&mut self, batch: &mut PacketBatch) -> u32 {
        self.alloc_at_most(batch, u32::MAX)
    }

    /// [`alloc_batch`](Self::alloc_batch), up to `max` packets.
    pub(crate) fn alloc_at_most(&mut self, batch: &mut PacketBatch, max: u32) -> u32 {
        self.here().map_or(0, |rings| rings.alloc_batch(batch, max))
    }

    /// A packet with a copy of `bytes`, in a free frame; `None` when there is none now. For packets that lie in another UMEM.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) (`EMSGSIZE`) when `bytes` do not fit into a frame.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let (one, two) = (network.nic("eth0")?, network.nic("eth1")?);
    /// # let mut inside = fluxcap::FluxBuilder::new(&one).build()?;
    /// let mut outside = fluxcap::FluxBuilder::new(&two).build()?; // with a UMEM of its own
    /// # one.inject(0, &[0; 60])?;
    /// # inside.wait_rx(None)?;
    /// # let mut batch = fluxcap::PacketBatch::with_capacity(1);
    /// # inside.receive(&mut batch);
    /// # let packet = batch.pop().unwrap();
    /// if let Err(refused) = outside.send_one(packet)
    ///     && let Some(copy) = outside.copy(refused.data())?
    /// {
    ///     outside.send_one(copy).ok();
    /// }
    /// # assert_eq!(outside.totals().1, 1);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn copy(&mut self, bytes: &[u8]) -> Result<Option<Packet>> {
        self.alloc().map(|packet| packet.filled(bytes)).transpose()
    }

    /// Takes all sent frames back into the pool and returns how many.
    ///
    /// Call it (or [`refill`](Self::refill)) regularly: the kernel stops sending when the completion ring is full.
    pub fn reap(&mut self) -> u32 {
        self.here().map_or(0, SocketRings::reap)
    }

    /// Tops the fill ring up, with frames just sent and then with free ones, and returns how many.
    ///
    /// It leaves a part of the UMEM for sending: the receiving side gets half of the frames, and up to three quarters when it can
    /// take them straight from the completion ring. The rest of the sent frames goes to the pool. Without frames in the fill ring the
    /// kernel drops what arrives.
    #[inline]
    pub fn refill(&mut self) -> u32 {
        if !self.umem.process().is_current() {
            return 0;
        }
        let done = self.rings.refill();
        self.settle();
        done
    }

    /// The number of packets that the TX ring has room for now.
    pub fn tx_room(&mut self) -> u32 {
        self.here().map_or(0, SocketRings::tx_room)
    }

    /// Makes the kernel look at the fill ring, if it asks for that.
    ///
    /// # Errors
    ///
    /// [`Down`](crate::ErrorKind::Down) or [`Gone`](crate::ErrorKind::Gone).
    pub fn wake_rx(&self) -> Result<()> {
        self.umem.process().check("waking the kernel to receive")?;
        if self.rings.rx_needs_wakeup() || !self.report.need_wakeup.achieved {
            let _guard = machine::CancelGuard::new();
            self.socket.wake_rx()
        } else {
            self.socket.check()
        }
    }

    /// As [`wake_rx`](Self::wake_rx), for a loop that runs all the time: without need-wakeup flags it leaves the kernel alone.
    #[inline]
    pub(crate) fn wake_rx_if_needed(&self) -> Result<()> {
        if self.rings.rx_needs_wakeup() {
            self.socket.wake_rx()?;
        }
        Ok(())
    }

    /// Whether the kernel has to be called to send what is in the TX ring.
    #[inline]
    pub(crate) fn wants_tx_wakeup(&self) -> bool {
        self.rings.tx_needs_wakeup() || !self.report.need_wakeup.achieved
    }

    /// Makes the kernel send what is in the TX ring, if it asks for that.
    ///
    /// In copy mode one system call sends a bounded number of packets ([`Report::tx_budget`]); this calls as long as packets
    /// leave. What the device has no room for stays in the ring, for a later call.
    ///
    /// # Errors
    ///
    /// [`Down`](crate::ErrorKind::Down) or [`Gone`](crate::ErrorKind::Gone); the packets stay in the ring.
    pub fn wake_tx(&self) -> Result<()> {
        self.umem.process().check("waking the kernel to send")?;
        let always = !self.report.need_wakeup.achieved;
        let mut kicks = Kicks::new(self.rings.tx_pending());
        let mut called = false;
        while kicks.wanted() && (always || self.rings.tx_needs_wakeup()) {
            let _guard = machine::CancelGuard::new();
            let come_back = self.rings.tx_side.come_back();
            let kick = self.socket.wake_tx()?;
            called = true;
            match kicks.after(kick, self.rings.tx_pending()) {
                Next::Kick => {}
                // They are taken back elsewhere; here it is enough that there are more.
                Next::Reap if self.rings.tx_side.come_back() > come_back => {}
                Next::Reap | Next::Rest => break,
            }
        }
        // A call tells by itself.
        if called { Ok(()) } else { self.socket.check() }
    }

    /// One moment of busy waiting, for a loop that doesn't sleep.
    ///
    /// It takes sent frames back and tops the fill ring up first, and wakes the kernel if it asks for that, so that a packet can arrive.
    /// With preferred busy polling it runs the driver. A simulated network without a thread makes a step.
    ///
    /// # Errors
    ///
    /// [`Down`](crate::ErrorKind::Down) or [`Gone`](crate::ErrorKind::Gone).
    pub fn spin(&mut self) -> Result<()> {
        self.umem.process().check("looking for packets")?;
        self.rings.refill();
        self.wake_rx_if_needed()?;
        self.socket.spin();
        self.socket.check()
    }

    /// The socket's file descriptor, to wait on together with others.
    ///
    /// It is readable while packets wait, and writable while the TX ring is at most half full. Wake-ups may be spurious. A duplicate of it
    /// keeps the kernel's socket open, and its frames in [quarantine](crate::Accounting::quarantined), when this one is dropped.
    /// Where packets are [received](Self::receive) as owned ones and dropped elsewhere, wait on [`rx_fd`](Self::rx_fd): this one stays
    /// silent when the fill ring has run dry. A simulated socket gets an eventfd when somebody asks, readable while packets wait.
    ///
    /// It is borrowed, so that nobody uses the number after the close:
    ///
    /// ```compile_fail,E0505
    /// # fn example(raw: fluxcap::FluxRaw) -> fluxcap::Result<()> {
    /// let fd = raw.fd()?;
    /// drop(raw);
    /// println!("{fd:?}"); // error: cannot move out of `raw` because it is borrowed
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System) when too many files are open, [`Unsupported`](crate::ErrorKind::Unsupported) elsewhere than on Linux.
    pub fn fd(&self) -> Result<BorrowedFd<'_>> {
        self.umem.process().check(DESCRIPTOR)?;
        descriptor_of(&*self.socket)
    }

    /// What became of the wishes: requested, achieved and why.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What it was bound to: to ask how the interface [is now](Link::info), or for another socket there.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The interface, as it was when the socket was bound.
    #[must_use]
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The UMEM.
    #[must_use]
    pub fn umem(&self) -> &UmemRegion {
        &self.umem
    }

    /// The kernel's counters for this socket.
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System).
    pub fn statistics(&self) -> Result<SocketStatistics> {
        self.socket.statistics()
    }

    /// What the bundled XDP program counted, for the whole interface; `None` when it was not loaded by this library.
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System).
    pub fn program_counters(&self) -> Result<Option<ProgramCounters>> {
        self.map_entry.as_ref().map_or(Ok(None), MapEntry::counters)
    }

    /// Packets received from the kernel and packets given to it to send, ever.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        self.rings.totals()
    }

    /// The four rings and the whereabouts of every frame, for a person with a question. O(frames). All zero in a forked child.
    #[must_use]
    pub fn debug_rings(&self) -> RingsState {
        if !self.umem.process().is_current() {
            return RingsState::default();
        }
        self.rings.state()
    }
}
