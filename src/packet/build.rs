//! Frames built into packets.

use super::{Packet, PacketRef};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::proto::Room;
use crate::proto::build::{BuildError, BuildFault, FrameBuilder};

impl Packet {
    /// Replaces the content by a frame that `build` builds in place.
    ///
    /// # Errors
    ///
    /// What `build` returned, as [`Invalid`](ErrorKind::Invalid): `EMSGSIZE` when there was no room, else `EINVAL`. The packet is
    /// empty then.
    ///
    /// ```
    /// # use std::net::Ipv4Addr;
    /// # use fluxcap::proto::MacAddr;
    /// # let umem = fluxcap::UmemRegion::heap(fluxcap::UmemConfig::default())?;
    /// # let (us, them) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    /// # let (our_ip, their_ip) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    /// let mut packet = umem.alloc().expect("the pool is full");
    /// packet.build(|frame| frame.ethernet(us, them).ipv4(our_ip, their_ip).udp(49152, 53).payload(b"?"))?;
    /// assert_eq!(packet.len(), 14 + 20 + 8 + 1);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn build(
        &mut self,
        build: impl for<'a> FnOnce(FrameBuilder<'a>) -> Result<&'a mut [u8], BuildError>,
    ) -> Result<()> {
        build_into(self, build)
    }
}

impl PacketRef<'_> {
    /// Replaces the content by a frame that `build` builds in place, such as an answer.
    ///
    /// # Errors
    ///
    /// As [`Packet::build`].
    pub fn build(
        &mut self,
        build: impl for<'a> FnOnce(FrameBuilder<'a>) -> Result<&'a mut [u8], BuildError>,
    ) -> Result<()> {
        build_into(self, build)
    }
}

/// [`Packet::build`], of any packet with room.
pub(crate) fn build_into<P: Room>(
    packet: &mut P,
    build: impl for<'a> FnOnce(FrameBuilder<'a>) -> Result<&'a mut [u8], BuildError>,
) -> Result<()> {
    // All of these are lengths within a frame.
    packet.adjust_tail(packet.tailroom() as i32)?;
    let room = packet.bytes().len();
    let built = build(FrameBuilder::new(packet.bytes_mut())).map(|frame| frame.len());
    packet.adjust_tail(built.unwrap_or(0) as i32 - room as i32)?;
    built.map(drop).map_err(FluxError::from)
}

impl From<BuildError> for FluxError {
    fn from(error: BuildError) -> Self {
        let (number, fix) = match error.fault() {
            BuildFault::NoRoom { .. } => (
                errno::EMSGSIZE,
                "use larger chunks, less headroom, or a smaller payload",
            ),
            _ => (errno::EINVAL, "change what is built"),
        };
        Self::new(ErrorKind::Invalid, number, "build a frame", error, fix)
    }
}
