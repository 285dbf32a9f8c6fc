//! Transmission Control Protocol (RFC 9293): the header and its options.

#![forbid(unsafe_code)]

use std::fmt;
use std::iter::FusedIterator;
use std::ops::BitOr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::checksum::{Accumulator, PseudoHeader};
use crate::proto::tlv::{self, Found, Tlv, Walk};
use crate::proto::{IpProtocol, ParseError};

/// The control bits of a TCP segment, joined with `|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// The sender has no more data.
    pub const FIN: Self = Self(0x01);
    /// Opens a connection: the sequence number is the first one.
    pub const SYN: Self = Self(0x02);
    /// Resets the connection.
    pub const RST: Self = Self(0x04);
    /// The data should reach the program at once.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// Congestion was met (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// The congestion window was reduced (RFC 3168).
    pub const CWR: Self = Self(0x80);

    const NAMES: [(Self, &'static str); 8] = [
        (Self::FIN, "FIN"),
        (Self::SYN, "SYN"),
        (Self::RST, "RST"),
        (Self::PSH, "PSH"),
        (Self::ACK, "ACK"),
        (Self::URG, "URG"),
        (Self::ECE, "ECE"),
        (Self::CWR, "CWR"),
    ];

    /// Whether all of `flags` are set here.
    #[inline]
    #[must_use]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (flag, name) in Self::NAMES {
            if self.contains(flag) {
                write!(f, "{separator}{name}")?;
                separator = "+";
            }
        }
        if separator.is_empty() {
            f.write_str("no flags")?;
        }
        Ok(())
    }
}

/// TCP header with its options (RFC 9293, section 3.1).
///
/// ```text
/// byte   0  source port             2
///        2  destination port        2
///        4  sequence number         4
///        8  acknowledgment number   4
///       12  data offset, reserved   4 + 4 bits  header length in 32-bit words
///       13  control bits            1
///       14  window                  2
///       16  checksum                2           over pseudo header, header and data
///       18  urgent pointer          2
///       20  options                 0 to 40     multiple of 4
/// ```
///
/// The view spans the whole header, so the checksum methods need only the data besides it.
#[derive(Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Tcp {
    source_port: U16,
    destination_port: U16,
    sequence_number: U32,
    acknowledgment_number: U32,
    offset_and_reserved: u8,
    flags: u8,
    window: U16,
    checksum: U16,
    urgent_pointer: U16,
    options: [u8],
}

/// The lower half of the byte that starts with the data offset.
const RESERVED: u8 = 0x0f;

impl Tcp {
    /// Length of the header without options, in bytes.
    pub const LEN: usize = 20;

    /// The header at the start of `bytes`, an IP payload, options included, and the data after it.
    ///
    /// TCP has no length of its own: the data end where the IP packet does.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if the header is longer than `bytes`, [`Fault::Malformed`](crate::proto::Fault)
    /// if the data offset is below 5 words, that is 20 bytes.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        let options_len = options_len(bytes)?;
        Self::ref_from_prefix_with_elems(bytes, options_len)
            .map_err(|_| Self::truncated(Self::LEN, bytes.len()))
    }

    /// Like [`Tcp::parse`], to change the segment in place.
    ///
    /// # Errors
    ///
    /// As [`Tcp::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let options_len = options_len(bytes)?;
        let too_short = Self::truncated(Self::LEN, bytes.len());
        Self::mut_from_prefix_with_elems(bytes, options_len).map_err(|_| too_short)
    }

    /// The sender's port.
    #[inline]
    #[must_use]
    pub fn source_port(&self) -> u16 {
        self.source_port.get()
    }

    /// The receiver's port.
    #[inline]
    #[must_use]
    pub fn destination_port(&self) -> u16 {
        self.destination_port.get()
    }

    /// Number of the first byte of data; with SYN, that before it.
    #[inline]
    #[must_use]
    pub fn sequence_number(&self) -> u32 {
        self.sequence_number.get()
    }

    /// Number of the next byte that the sender expects, if [`TcpFlags::ACK`] is set.
    #[inline]
    #[must_use]
    pub fn acknowledgment_number(&self) -> u32 {
        self.acknowledgment_number.get()
    }

    /// Length of the header with its options, in bytes: 20 to 60.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        header_len(self.offset_and_reserved)
    }

    /// The reserved bits between data offset and control bits, 0 to 15: 0, as long as nothing is known that uses them. The
    /// lowest was the nonce sum of RFC 3540, and counts for accurate ECN (RFC 9768).
    #[inline]
    #[must_use]
    pub fn reserved(&self) -> u8 {
        self.offset_and_reserved & RESERVED
    }

    /// The control bits.
    #[inline]
    #[must_use]
    pub fn flags(&self) -> TcpFlags {
        TcpFlags(self.flags)
    }

    /// How many bytes the sender has room for, before scaling (RFC 7323).
    #[inline]
    #[must_use]
    pub fn window(&self) -> u16 {
        self.window.get()
    }

    /// The checksum as it stands in the header.
    #[inline]
    #[must_use]
    pub fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// Where urgent data end, counted from the sequence number, if [`TcpFlags::URG`] is set.
    #[inline]
    #[must_use]
    pub fn urgent_pointer(&self) -> u16 {
        self.urgent_pointer.get()
    }

    /// The options one after the other, each checked as it is read.
    #[inline]
    #[must_use]
    pub fn options(&self) -> TcpOptions<'_> {
        TcpOptions::new(&self.options)
    }

    /// The options as they stand in the header: 0 to 40 bytes.
    #[inline]
    #[must_use]
    pub fn options_bytes(&self) -> &[u8] {
        &self.options
    }

    /// Sets the sender's port.
    #[inline]
    pub fn set_source_port(&mut self, port: u16) {
        self.source_port.set(port);
    }

    /// Sets the receiver's port.
    #[inline]
    pub fn set_destination_port(&mut self, port: u16) {
        self.destination_port.set(port);
    }

    /// Sets the number of the first byte of data.
    #[inline]
    pub fn set_sequence_number(&mut self, number: u32) {
        self.sequence_number.set(number);
    }

    /// Sets the number of the next byte expected.
    #[inline]
    pub fn set_acknowledgment_number(&mut self, number: u32) {
        self.acknowledgment_number.set(number);
    }

    /// Sets the reserved bits, of which the lower 4 count. The length of the header stays.
    #[inline]
    pub fn set_reserved(&mut self, reserved: u8) {
        self.offset_and_reserved = self.offset_and_reserved & !RESERVED | reserved & RESERVED;
    }

    /// Sets all control bits.
    #[inline]
    pub fn set_flags(&mut self, flags: TcpFlags) {
        self.flags = flags.0;
    }

    /// Sets how many bytes the sender has room for.
    #[inline]
    pub fn set_window(&mut self, window: u16) {
        self.window.set(window);
    }

    /// Sets the checksum field as given.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        self.checksum.set(checksum);
    }

    /// Sets where urgent data end.
    #[inline]
    pub fn set_urgent_pointer(&mut self, urgent_pointer: u16) {
        self.urgent_pointer.set(urgent_pointer);
    }

    /// The options, to change them in place; their length stays. [`TcpOption::write_all`] fills it.
    #[inline]
    #[must_use]
    pub fn options_mut(&mut self) -> &mut [u8] {
        &mut self.options
    }

    /// Exchanges the ports, to answer. No checksum changes by that.
    #[inline]
    pub fn swap_ports(&mut self) {
        std::mem::swap(&mut self.source_port, &mut self.destination_port);
    }

    /// Whether the checksum is right for this header, `data` and the IP addresses.
    #[inline]
    #[must_use]
    pub fn verify_checksum(&self, pseudo_header: PseudoHeader, data: &[u8]) -> bool {
        self.sum(pseudo_header, data) == 0
    }

    /// Sets the checksum for this header, `data` and the IP addresses.
    #[inline]
    pub fn fill_checksum(&mut self, pseudo_header: PseudoHeader, data: &[u8]) {
        self.checksum.set(0);
        self.checksum.set(self.sum(pseudo_header, data));
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most 65535 in a packet")]
    fn sum(&self, pseudo_header: PseudoHeader, data: &[u8]) -> u16 {
        let mut accumulator = Accumulator::new();
        let length = size_of_val(self).wrapping_add(data.len()) as u32;
        accumulator.add_pseudo_header(pseudo_header, IpProtocol::TCP, length);
        accumulator.add_bytes(self.as_bytes());
        accumulator.add_bytes(data);
        accumulator.finish()
    }

    const fn truncated(needed: usize, available: usize) -> ParseError {
        // All that is needed beyond the fixed part is what the data offset says.
        let place = match available {
            ..Self::LEN => ("TCP", "header", 0),
            _ => ("TCP", "data offset", 12),
        };
        ParseError::truncated(place, needed, available)
    }
}

#[inline]
fn options_len(bytes: &[u8]) -> Result<usize, ParseError> {
    let available = bytes.len();
    let Some(&[.., offset, _, _, _, _, _, _, _]) = bytes.first_chunk::<{ Tcp::LEN }>() else {
        return Err(Tcp::truncated(Tcp::LEN, available));
    };
    let header_len = header_len(offset);
    let Some(options_len) = header_len.checked_sub(Tcp::LEN) else {
        let place = ("TCP", "data offset", 12);
        return Err(ParseError::malformed(place, (offset >> 4).into()));
    };
    if header_len > available {
        return Err(Tcp::truncated(header_len, available));
    }
    Ok(options_len)
}

#[inline]
const fn header_len(offset_and_reserved: u8) -> usize {
    (offset_and_reserved >> 4) as usize * 4
}

impl fmt::Display for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (self.source_port(), self.destination_port());
        let (flags, sequence) = (self.flags(), self.sequence_number());
        write!(f, "TCP {source} > {destination} {flags} seq {sequence}")?;
        if self.flags().contains(TcpFlags::ACK) {
            write!(f, " ack {}", self.acknowledgment_number())?;
        }
        write!(f, " window {}", self.window())
    }
}

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
        if tlv::total_len(options) > room.len().min(MAX_OPTIONS_LEN) {
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
const MAX_OPTIONS_LEN: usize = 40;

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
