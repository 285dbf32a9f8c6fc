//! Packets passed on from a receiving to a sending half.

#![forbid(unsafe_code)]

use super::{Target, handover};
use crate::error::{FluxError, Result};
use crate::packet::{ReceivedPacket, Verdict};
use crate::socket::rx::FluxRx;
use crate::socket::tx::FluxTx;

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
        handover::relend(&mut tx.side(), &mut self.side(), outstanding);
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
