//! What the functions that put headers in front of a packet and take them off need of it.

#![forbid(unsafe_code)]

use crate::error::FluxError;

/// A packet with free room in front and behind, into which it can grow.
///
/// [`Packet`](crate::Packet), [`PacketRef`](crate::PacketRef) and [`PortPacket`](crate::PortPacket) are such packets: their room is that of
/// their frame. The functions of [`edit`](crate::proto::edit) take any.
///
/// Whoever implements it keeps these rules; where they are broken, functions give errors or wrong bytes, but do not panic:
///
/// - An adjustment that fails changes nothing.
/// - Bytes that stay in view keep their values. Those that come into view may hold anything.
/// - An adjustment within [`headroom`](Self::headroom), [`tailroom`](Self::tailroom) and length succeeds, as long as a byte stays.
pub trait Room {
    /// The bytes of the packet.
    #[must_use]
    fn bytes(&self) -> &[u8];

    /// The bytes of the packet, to change in place.
    #[must_use]
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Free bytes in front of the packet.
    #[must_use]
    fn headroom(&self) -> usize;

    /// Free bytes behind the packet.
    #[must_use]
    fn tailroom(&self) -> usize;

    /// Moves the start by `delta` bytes: a negative one puts so many bytes in front, a positive one takes them off.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) (`EMSGSIZE`) beyond the headroom or the packet's length; the packet stays as it was.
    fn adjust_head(&mut self, delta: i32) -> Result<(), FluxError>;

    /// Moves the end by `delta` bytes: a positive one puts so many bytes behind, a negative one takes them off.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) (`EMSGSIZE`) beyond the tailroom or the packet's length; the packet stays as it was.
    fn adjust_tail(&mut self, delta: i32) -> Result<(), FluxError>;
}
