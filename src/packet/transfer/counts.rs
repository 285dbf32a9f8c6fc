//! What became of the packets of an engine's batches, and why some of them could not be sent.

#![forbid(unsafe_code)]

/// What became of the packets that were not just recycled, ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct VerdictCounts {
    /// Into the TX ring of the same socket.
    pub(crate) sent: u64,
    /// Into the batches of other ports.
    pub(crate) passed_on: u64,
    /// Recycled although they should be sent, because there was no room.
    pub(crate) no_room: u64,
    /// The first of the last batch that was recycled because what its slot says can't be sent.
    pub(crate) unfit: Option<(usize, NotSent)>,
}

/// Why a packet can't be sent. All but the first two only C programs can cause, which write what they like into a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// It is empty, or not a whole packet.
    Unsendable,
    /// There is no room for it.
    NoRoom,
    /// It begins in another frame than it came in.
    OtherFrame,
    /// It ends behind its frame.
    TooLong,
    /// It names a port that is not there.
    NoPort,
}
