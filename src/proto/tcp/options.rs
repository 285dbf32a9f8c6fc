//! Options of the Transmission Control Protocol (RFC 9293, section 3.2).

#![forbid(unsafe_code)]

use std::fmt;
use std::iter::FusedIterator;

use zerocopy::network_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::tlv::{self, Found, Tlv, Walk};
use crate::proto::{ParseError, Tcp};

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

/// One option of a TCP segment; [`Tcp::options`] gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TcpOption<'a> {
    /// Kind 0: the options end here, all behind is padding.
    EndOfList,
    /// Kind 1: one byte that aligns the next option.
    NoOperation,
    /// Kind 2, with SYN: the most data in bytes that the sender takes in one segment.
    MaximumSegmentSize(u16),
    /// Kind 3, with SYN: by how many bits the sender's window is shifted (RFC 7323), 0 to 14.
    /// Larger values, which count as 14, are given as they stand.
    WindowScale(u8),
    /// Kind 4, with SYN: the sender understands selective acknowledgments (RFC 2018).
    SackPermitted,
    /// Kind 5: what the sender has beyond the acknowledgment number (RFC 2018), 1 to 4 blocks.
    Sack(&'a [SackBlock]),
    /// Kind 8: the sender's clock (RFC 7323).
    Timestamps {
        /// The clock when this segment left.
        value: u32,
        /// The other side's clock that this segment answers, with ACK.
        echo: u32,
    },
    /// Any other.
    Other {
        /// What it is (IANA's list of TCP option kind numbers).
        kind: u8,
        /// What is behind kind and length.
        data: &'a [u8],
    },
}

/// Data that arrived out of order (RFC 2018, section 3).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct SackBlock {
    left: U32,
    right: U32,
}

impl SackBlock {
    /// A block from the sequence number `left` up to, but not including, `right`.
    #[inline]
    #[must_use]
    pub const fn new(left: u32, right: u32) -> Self {
        Self {
            left: U32::new(left),
            right: U32::new(right),
        }
    }

    /// The first sequence number of the block.
    #[inline]
    #[must_use]
    pub const fn left(self) -> u32 {
        self.left.get()
    }

    /// The sequence number after the last one of the block.
    #[inline]
    #[must_use]
    pub const fn right(self) -> u32 {
        self.right.get()
    }
}

impl TcpOption<'_> {
    /// Which kind it is, as on the wire.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match *self {
            Self::EndOfList => END,
            Self::NoOperation => NO_OPERATION,
            Self::MaximumSegmentSize(_) => MAXIMUM_SEGMENT_SIZE,
            Self::WindowScale(_) => WINDOW_SCALE,
            Self::SackPermitted => SACK_PERMITTED,
            Self::Sack(_) => SACK,
            Self::Timestamps { .. } => TIMESTAMPS,
            Self::Other { kind, .. } => kind,
        }
    }

    /// How many bytes it takes in a header.
    #[inline]
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        match *self {
            Self::EndOfList | Self::NoOperation => 1,
            Self::SackPermitted => 2,
            Self::WindowScale(_) => 3,
            Self::MaximumSegmentSize(_) => 4,
            Self::Timestamps { .. } => 10,
            Self::Sack(blocks) => size_of_val(blocks).saturating_add(2),
            Self::Other { data, .. } => data.len().saturating_add(2),
        }
    }

    /// How many bytes `options` take in a header together, padding included: a multiple of 4.
    ///
    /// There is room for 40.
    #[inline]
    #[must_use]
    pub fn total_len(options: &[Self]) -> usize {
        tlv::total_len(options).saturating_add(3) & !3
    }

    /// Writes `options` to `room`, one after the other, and fills what is left of it with
    /// [`TcpOption::EndOfList`].
    ///
    /// Gives `false`, and changes nothing, if they do not fit or take more than the 40 bytes that
    /// a header has for them.
    ///
    /// ```
    /// use fluxcap::proto::{Tcp, TcpOption};
    ///
    /// let mut segment = [0; 32];
    /// segment[12] = 0x80; // 32 bytes of header, so 12 of options
    /// let (tcp, _) = Tcp::parse_mut(&mut segment)?;
    /// let timestamps = TcpOption::Timestamps { value: 7, echo: 0 };
    /// let options = [TcpOption::NoOperation, TcpOption::NoOperation, timestamps];
    /// assert!(TcpOption::write_all(&options, tcp.options_mut()));
    /// assert!(tcp.options().eq(options.map(Ok)));
    /// # Ok::<(), fluxcap::proto::ParseError>(())
    /// ```
    #[must_use = "what does not fit is not written"]
    pub fn write_all(options: &[Self], room: &mut [u8]) -> bool {
        if tlv::total_len(options) > room.len().min(MAX_LEN) {
            return false;
        }
        let Some(rest) = tlv::write(options, room) else {
            return false;
        };
        rest.fill(END);
        true
    }
}

impl Tlv for TcpOption<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.wire_len()
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most 40")]
    fn write(&self, bytes: &mut [u8]) -> Option<()> {
        let len = bytes.len() as u8;
        let [kind, rest @ ..] = bytes else {
            return None;
        };
        *kind = self.kind();
        let [length, data @ ..] = rest else {
            return (len == 1).then_some(());
        };
        *length = len;
        match *self {
            Self::EndOfList | Self::NoOperation | Self::SackPermitted => {
                data.is_empty().then_some(())
            }
            Self::MaximumSegmentSize(size) => size.to_be_bytes().write_to(data).ok(),
            Self::WindowScale(shift) => [shift].write_to(data).ok(),
            Self::Sack(blocks) => blocks.write_to(data).ok(),
            Self::Timestamps { value, echo } => {
                let clocks = [U32::new(value), U32::new(echo)];
                clocks.write_to(data).ok()
            }
            Self::Other { data: from, .. } => from.write_to(data).ok(),
        }
    }
}

impl fmt::Display for TcpOption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EndOfList => f.pad("end of list"),
            Self::NoOperation => f.pad("no operation"),
            Self::MaximumSegmentSize(size) => write!(f, "maximum segment size {size}"),
            Self::WindowScale(shift) => write!(f, "window scale {shift}"),
            Self::SackPermitted => f.pad("SACK permitted"),
            Self::Sack(blocks) => {
                f.write_str("SACK")?;
                blocks
                    .iter()
                    .try_for_each(|block| write!(f, " {}-{}", block.left(), block.right()))
            }
            Self::Timestamps { value, echo } => write!(f, "timestamps {value} echo {echo}"),
            Self::Other { kind, data } => write!(f, "kind {kind} length {}", data.len() + 2),
        }
    }
}

/// The most bytes that a header has for options.
const MAX_LEN: usize = 40;

/// The options of a TCP segment in their order; [`Tcp::options`] gives it.
///
/// It ends after [`TcpOption::EndOfList`], after the first error, or with the header.
#[derive(Debug, Clone)]
pub struct TcpOptions<'a>(Walk<'a>);

impl<'a> TcpOptions<'a> {
    /// Of all the bytes behind the fixed part of the header.
    #[inline]
    pub(super) const fn new(options: &'a [u8]) -> Self {
        Self(Walk::new(Tcp::LEN, options))
    }
}

impl<'a> TcpOption<'a> {
    /// The next option and what is behind it.
    #[inline]
    fn read(walk: &Walk<'a>) -> Result<(Self, &'a [u8]), ParseError> {
        match walk.rest() {
            [] | [END, ..] => return Ok((Self::EndOfList, &[])),
            [NO_OPERATION, behind @ ..] => return Ok((Self::NoOperation, behind)),
            _ => {}
        }
        // Kind and length themselves count.
        let data_len = |length| usize::from(length).checked_sub(2);
        let Found {
            kind,
            data,
            behind,
            wrong,
        } = walk.split("TCP", data_len)?;
        let option = match (kind, data) {
            (MAXIMUM_SEGMENT_SIZE, &[high, low]) => {
                Self::MaximumSegmentSize(u16::from_be_bytes([high, low]))
            }
            (WINDOW_SCALE, &[shift]) => Self::WindowScale(shift),
            (SACK_PERMITTED, []) => Self::SackPermitted,
            (SACK, _) => match <[SackBlock]>::ref_from_bytes(data) {
                Ok(blocks) if !blocks.is_empty() => Self::Sack(blocks),
                _ => return Err(wrong),
            },
            (TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => Self::Timestamps {
                value: u32::from_be_bytes([a, b, c, d]),
                echo: u32::from_be_bytes([e, f, g, h]),
            },
            (MAXIMUM_SEGMENT_SIZE | WINDOW_SCALE | SACK_PERMITTED | TIMESTAMPS, _) => {
                return Err(wrong);
            }
            _ => Self::Other { kind, data },
        };
        Ok((option, behind))
    }
}

impl<'a> Iterator for TcpOptions<'a> {
    type Item = Result<TcpOption<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(TcpOption::read)
    }
}

impl FusedIterator for TcpOptions<'_> {}

#[cfg(test)]
mod tests;
