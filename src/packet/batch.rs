//! Packets handled together.

#![forbid(unsafe_code)]

use std::mem;
use std::slice;
use std::vec;

use crate::error::{FluxError, Result};
use crate::packet::Packet;

/// Up to a fixed number of [`Packet`]s, in order. It never allocates after it was made.
///
/// ```
/// # let umem = fluxcap::UmemRegion::heap(fluxcap::UmemConfig::default())?;
/// let mut batch = fluxcap::PacketBatch::with_capacity(64);
/// batch.push(umem.alloc().expect("the pool is full")).unwrap();
/// for packet in &mut batch {
///     packet.copy_from(b"hello")?;
/// }
/// assert_eq!((batch.len(), batch.room()), (1, 63));
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Debug)]
pub struct PacketBatch {
    packets: Vec<Packet>,
    capacity: usize,
}

impl PacketBatch {
    /// An empty batch for up to `capacity` packets; 64 is a good size.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            packets: Vec::with_capacity(capacity),
            capacity,
        }
    }

    /// [`with_capacity`](Self::with_capacity), with an error instead of the program's end when there is not enough memory.
    ///
    /// ```
    /// # use fluxcap::PacketBatch;
    /// assert_eq!(PacketBatch::try_with_capacity(64)?.room(), 64);
    /// assert!(PacketBatch::try_with_capacity(usize::MAX).is_err());
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Memory`](crate::ErrorKind::Memory).
    pub fn try_with_capacity(capacity: usize) -> Result<Self> {
        let mut packets = Vec::new();
        match packets.try_reserve_exact(capacity) {
            Ok(()) => Ok(Self { packets, capacity }),
            Err(_) => Err(FluxError::no_memory(
                format_args!("a batch for {capacity} packets"),
                "make it smaller",
            )),
        }
    }

    /// The number of packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The number of packets that the batch can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The number of packets that still fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.capacity - self.packets.len()
    }

    /// Adds a packet at the back.
    ///
    /// # Errors
    ///
    /// Gives the packet back when the batch is full.
    pub fn push(&mut self, packet: Packet) -> Result<(), Packet> {
        if self.room() == 0 {
            return Err(packet);
        }
        self.packets.push(packet);
        Ok(())
    }

    /// Adds a packet at the back of a batch that the caller knows to have room.
    pub(crate) fn append(&mut self, packet: Packet) {
        debug_assert!(self.room() > 0);
        self.packets.push(packet);
    }

    /// Takes packets off the front whose frames have got another owner.
    #[inline]
    pub(crate) fn forget_front(&mut self, count: usize) {
        self.packets.drain(..count).for_each(mem::forget);
    }

    /// Takes the packet at the back.
    pub fn pop(&mut self) -> Option<Packet> {
        self.packets.pop()
    }

    /// Takes all packets out, in order. Those not taken from the iterator are dropped: their frames go to the pool.
    pub fn drain(&mut self) -> vec::Drain<'_, Packet> {
        self.packets.drain(..)
    }

    /// Drops all packets: their frames go to the pool.
    pub fn clear(&mut self) {
        self.packets.clear();
    }

    /// The packets, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Packet] {
        &self.packets
    }

    /// The packets, in order.
    pub fn iter(&self) -> slice::Iter<'_, Packet> {
        self.packets.iter()
    }

    /// The packets, in order, to change in place.
    pub fn iter_mut(&mut self) -> slice::IterMut<'_, Packet> {
        self.packets.iter_mut()
    }
}

impl<'a> IntoIterator for &'a PacketBatch {
    type Item = &'a Packet;
    type IntoIter = slice::Iter<'a, Packet>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut PacketBatch {
    type Item = &'a mut Packet;
    type IntoIter = slice::IterMut<'a, Packet>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::umem::{UmemConfig, UmemRegion};

    #[test]
    fn a_full_batch_gives_the_packet_back() {
        let umem = UmemRegion::heap(UmemConfig::default()).unwrap();
        let mut batch = PacketBatch::with_capacity(1);
        batch.push(umem.alloc().unwrap()).unwrap();
        let refused = batch.push(umem.alloc().unwrap()).unwrap_err();
        assert_eq!((refused.len(), batch.len(), batch.room()), (0, 1, 0));
    }

    #[test]
    fn dropping_a_batch_sends_its_frames_home() {
        let umem = UmemRegion::heap(UmemConfig::default()).unwrap();
        let mut batch = PacketBatch::with_capacity(8);
        while batch.room() > 0 {
            batch.push(umem.alloc().unwrap()).unwrap();
        }
        assert_eq!(umem.accounting().user, 8);
        drop(batch);
        assert_eq!(umem.accounting().user, 0);
    }
}
