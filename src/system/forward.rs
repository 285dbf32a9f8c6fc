//! Packets passed on from a receiving to a sending half.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;

use super::rx::FluxRx;
use super::tx::FluxTx;
use crate::error::FluxError;
use crate::packet::Packet;
use crate::raw::{across, check_packets};

impl FluxRx {
    /// Hands up to `max` received packets to `pass`, one by one, sends those that it returns, and returns how many were handed over. It
    /// never waits.
    ///
    /// The fastest way to pass owned packets on: from the halves of one socket, or of two that share a UMEM, when both are on one
    /// thread. The frames of packets that `tx` has sent come straight back to be received into. What `pass` keeps is its own, to drop now or
    /// later, on any thread, and it may send other packets than it was given.
    ///
    /// No more packets are handed over than `tx` has room for; the others stay received. So when nothing is handed over although packets
    /// have arrived, [wait](FluxTx::wait) for `tx`, and when none have, [wait](Self::wait) for more. Should `pass` panic, the packets that it has
    /// returned are sent with the next call, and none is lost but the one that it has.
    ///
    /// # Errors
    ///
    /// - [`Invalid`](crate::ErrorKind::Invalid) at a packet that `tx` cannot send, because it lies in another UMEM or is empty: it is
    ///   [handed back](ForwardError::into_packet);
    /// - [`Down`](crate::ErrorKind::Down), [`Gone`](crate::ErrorKind::Gone), [`Stuck`](crate::ErrorKind::Stuck): packets that were returned are
    ///   in the TX ring, to be sent when that has changed.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// use fluxcap::proto::Ethernet;
    ///
    /// let (mut rx, mut tx) = fluxcap::FluxBuilder::new(&nic).build()?.split();
    /// # nic.inject(0, &[0; 60])?;
    /// # nic.inject(0, &[0; 60])?;
    /// # network.step(100);
    /// let mut turn = 0;
    /// let packets = rx.forward_each(&mut tx, 64, |mut packet| {
    ///     let (ethernet, _) = Ethernet::parse_mut(packet.data_mut()).ok()?;
    ///     ethernet.swap_addresses();
    ///     turn += 1;
    ///     // Every second one is dropped.
    ///     (turn % 2 == 1).then_some(packet)
    /// })?;
    /// assert_eq!((packets, tx.total()), (2, 1));
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    #[inline]
    pub fn forward_each(
        &mut self,
        tx: &mut FluxTx,
        max: u32,
        pass: impl FnMut(Packet) -> Option<Packet>,
    ) -> Result<u32, ForwardError> {
        for shared in [&self.shared, &tx.shared] {
            shared.umem.process().check("forwarding packets")?;
        }
        let outstanding = self.lender.lent();
        across::relend(&mut tx.side(), &mut self.side(), outstanding);
        if tx.outward.has_come_back() {
            tx.take_back();
        }
        let (packets, unfit) = across::pass(&mut self.side(), &mut tx.side(), max, pass);
        let pushed = tx.push();
        self.top_up();
        if let Some(packet) = unfit {
            return Err(ForwardError::unfit(tx, packet));
        }
        pushed?;
        Ok(packets)
    }
}

/// Forwarding ended early; see [`FluxRx::forward_each`].
#[derive(Debug)]
pub struct ForwardError {
    error: FluxError,
    packet: Option<Packet>,
}

impl ForwardError {
    #[cold]
    fn unfit(tx: &FluxTx, packet: Packet) -> Self {
        let checked = check_packets(tx.lender.frames(), std::slice::from_ref(&packet));
        Self {
            error: checked.err().unwrap_or_else(super::unsent::no_room),
            packet: Some(packet),
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn error(&self) -> &FluxError {
        &self.error
    }

    /// The packet that could not be sent, if it was for one.
    #[must_use]
    pub fn into_packet(self) -> Option<Packet> {
        self.packet
    }
}

impl fmt::Display for ForwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for ForwardError {}

impl From<FluxError> for ForwardError {
    fn from(error: FluxError) -> Self {
        Self {
            error,
            packet: None,
        }
    }
}

impl From<ForwardError> for FluxError {
    /// What went wrong; the packet, if there is one, is dropped.
    fn from(failed: ForwardError) -> Self {
        failed.error
    }
}
