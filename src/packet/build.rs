//! Frames built into packets.

use std::ptr;

use super::{Packet, PacketRef};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::proto::Room;
use crate::proto::build::{BuildError, BuildFault, FrameBuilder};

impl Packet {
    /// Replaces the content by a frame that `build` builds in place.
    ///
    /// # Errors
    ///
    /// What `build` returned, as [`Invalid`](ErrorKind::Invalid): `EMSGSIZE` when there was no room, else `EINVAL`, also for bytes that are
    /// not the frame that it was to build. The packet is empty then, as after a panic of `build`.
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
    let mut building = Building { packet, len: 0 };
    let room = building.packet.bytes_mut();
    let (start, most) = (room.as_ptr(), room.len());
    let frame = build(FrameBuilder::new(room))?;
    // A closure can return any bytes that live long enough.
    if !ptr::eq(frame.as_ptr(), start) || frame.len() > most {
        return Err(elsewhere());
    }
    building.len = frame.len();
    Ok(())
}

/// A packet that a frame is being built in; dropped, also by an error or a panic, it has the length of that frame.
struct Building<'a, P: Room> {
    packet: &'a mut P,
    /// Of the frame, once it is complete.
    len: usize,
}

impl<P: Room> Drop for Building<'_, P> {
    fn drop(&mut self) {
        let surplus = self.packet.bytes().len().saturating_sub(self.len);
        // It is no longer than the packet.
        let _ = self.packet.adjust_tail(-(surplus as i32));
    }
}

#[cold]
fn elsewhere() -> FluxError {
    FluxError::invalid(
        "build a frame",
        "the closure returned bytes that do not begin where the packet does",
        "return what the builder returned",
    )
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
