//! Packets that grow and shrink at both ends, within their frames.

use super::{Packet, PacketRef, PortPacket, ReceivedPacket, too_long};
use crate::error::Result;
use crate::proto::Room;

/// Where a packet lies in its frame.
///
/// `offset + len` never exceeds `frame`, which is at most 65,536.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    /// From the start of the frame.
    offset: u32,
    len: u32,
    /// The length of the frame.
    frame: u32,
}

impl Extent {
    #[inline]
    fn tailroom(self) -> u32 {
        self.frame - self.offset - self.len
    }

    /// The start stays within the frame: an empty packet at the very end would be one at the start of the next frame.
    #[inline]
    fn adjust_head(self, delta: i32) -> Result<Self> {
        let bytes = delta.unsigned_abs();
        if delta <= 0 {
            if bytes > self.offset {
                return Err(too_long(
                    "header in front",
                    bytes as usize,
                    self.offset as usize,
                ));
            }
            return Ok(Self {
                offset: self.offset - bytes,
                len: self.len + bytes,
                ..self
            });
        }
        let most = self.len.min(self.frame.saturating_sub(self.offset + 1));
        if bytes > most {
            return Err(too_long(
                "header to take off",
                bytes as usize,
                most as usize,
            ));
        }
        Ok(Self {
            offset: self.offset + bytes,
            len: self.len - bytes,
            ..self
        })
    }

    #[inline]
    fn adjust_tail(self, delta: i32) -> Result<Self> {
        let bytes = delta.unsigned_abs();
        let (what, most) = match delta {
            0.. => ("trailer behind", self.tailroom()),
            _ => ("trailer to take off", self.len),
        };
        if bytes > most {
            return Err(too_long(what, bytes as usize, most as usize));
        }
        let len = match delta {
            0.. => self.len + bytes,
            _ => self.len - bytes,
        };
        Ok(Self { len, ..self })
    }
}

impl Packet {
    #[inline]
    fn extent(&self) -> Extent {
        Extent {
            offset: self.headroom() as u32,
            len: self.len,
            frame: self.state().geometry().chunk_size(),
        }
    }

    #[inline]
    fn move_to(&mut self, extent: Extent) {
        let start = self.state().address_of(self.chunk);
        let base = self.state().memory().start();
        // SAFETY: `place` lies within the frame of the chunk, which is this packet's.
        self.data = unsafe { base.add(start as usize + extent.offset as usize) };
        self.len = extent.len;
    }

    /// Moves the start by `delta` bytes, as `bpf_xdp_adjust_head` does: a negative one puts so many bytes in front, which hold whatever
    /// the frame held before, a positive one takes them off.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) (`EMSGSIZE`) beyond the [`headroom`](Self::headroom) or the packet's length, and when the
    /// start would reach the end of the frame; the packet stays as it was.
    ///
    /// ```
    /// # let umem = fluxcap::UmemRegion::heap(fluxcap::UmemConfig::default())?;
    /// let mut packet = umem.copy(b"payload")?.expect("a free frame");
    /// packet.adjust_head(-4)?;
    /// packet.data_mut()[..4].copy_from_slice(b"head");
    /// assert_eq!(packet.data(), b"headpayload");
    /// packet.adjust_head(6)?;
    /// assert_eq!(packet.data(), b"yload");
    /// assert!(packet.adjust_head(6).is_err());
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    #[inline]
    pub fn adjust_head(&mut self, delta: i32) -> Result<()> {
        let extent = self.extent().adjust_head(delta)?;
        self.move_to(extent);
        Ok(())
    }

    /// Moves the end by `delta` bytes, as `bpf_xdp_adjust_tail` does: a positive one puts so many bytes behind, which hold whatever the
    /// frame held before, a negative one takes them off.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) (`EMSGSIZE`) beyond the [`tailroom`](Self::tailroom) or the packet's length; the packet
    /// stays as it was.
    #[inline]
    pub fn adjust_tail(&mut self, delta: i32) -> Result<()> {
        self.len = self.extent().adjust_tail(delta)?.len;
        Ok(())
    }
}

impl PacketRef<'_> {
    #[inline]
    fn extent(&self) -> Extent {
        let frame = self.state.geometry().chunk_size();
        Extent {
            offset: self.address() as u32 & (frame - 1),
            len: self.slot.len,
            frame,
        }
    }

    /// Free bytes in front of the packet, in its frame: 256 at least in a packet as it came.
    #[inline]
    #[must_use]
    pub fn headroom(&self) -> usize {
        self.extent().offset as usize
    }

    /// Free bytes behind the packet, in its frame.
    #[inline]
    #[must_use]
    pub fn tailroom(&self) -> usize {
        self.extent().tailroom() as usize
    }

    /// Moves the start by `delta` bytes, as `bpf_xdp_adjust_head` does: a negative one puts so many bytes in front, which hold whatever
    /// the frame held before, a positive one takes them off. What is sent is the packet as it is then.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) (`EMSGSIZE`) beyond the [`headroom`](Self::headroom) or the packet's length, and when the
    /// start would reach the end of the frame; the packet stays as it was.
    #[inline]
    pub fn adjust_head(&mut self, delta: i32) -> Result<()> {
        let before = self.extent();
        let extent = before.adjust_head(delta)?;
        // Within the same frame.
        self.slot.data = self.slot.data.wrapping_offset(delta as isize);
        self.slot.len = extent.len;
        Ok(())
    }

    /// Moves the end by `delta` bytes, as `bpf_xdp_adjust_tail` does: a positive one puts so many bytes behind, which hold whatever the
    /// frame held before, a negative one takes them off.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) (`EMSGSIZE`) beyond the [`tailroom`](Self::tailroom) or the packet's length; the packet
    /// stays as it was.
    #[inline]
    pub fn adjust_tail(&mut self, delta: i32) -> Result<()> {
        self.slot.len = self.extent().adjust_tail(delta)?.len;
        Ok(())
    }
}

macro_rules! has_room {
    ($packet:ty, $inherent:ident) => {
        impl Room for $packet {
            #[inline]
            fn bytes(&self) -> &[u8] {
                self.data()
            }

            #[inline]
            fn bytes_mut(&mut self) -> &mut [u8] {
                self.data_mut()
            }

            #[inline]
            fn headroom(&self) -> usize {
                $inherent::headroom(self)
            }

            #[inline]
            fn tailroom(&self) -> usize {
                $inherent::tailroom(self)
            }

            #[inline]
            fn adjust_head(&mut self, delta: i32) -> Result<()> {
                $inherent::adjust_head(self, delta)
            }

            #[inline]
            fn adjust_tail(&mut self, delta: i32) -> Result<()> {
                $inherent::adjust_tail(self, delta)
            }
        }
    };
}

has_room!(Packet, Packet);
has_room!(PacketRef<'_>, PacketRef);
// By what it dereferences to.
has_room!(PortPacket<'_>, PacketRef);
has_room!(ReceivedPacket<'_>, PacketRef);

#[cfg(test)]
mod tests;
