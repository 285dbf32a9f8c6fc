//! Transmission Control Protocol (RFC 9293): the header and its options.

#![forbid(unsafe_code)]

use std::fmt;
use std::ops::BitOr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::checksum::PseudoHeader;
use crate::proto::fields::{field_type, fields};
use crate::proto::tlv::{self, RawOption, Reader, Tlv};
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

field_type!(TcpFlags: u8, TcpFlags, |value: TcpFlags| value.0);

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
}

fields!(Tcp:
    /// The sender's port.
    source_port() -> u16;
    /// The receiver's port.
    destination_port() -> u16;
    /// Number of the first byte of data; with SYN, that before it.
    sequence_number() -> u32;
    /// Number of the next byte that the sender expects, if [`TcpFlags::ACK`] is set.
    acknowledgment_number() -> u32;
    /// The control bits.
    flags() -> TcpFlags;
    /// How many bytes the sender has room for, before scaling (RFC 7323).
    window() -> u16;
    /// The checksum as it stands in the header.
    checksum() -> u16;
    /// Where urgent data end, counted from the sequence number, if [`TcpFlags::URG`] is set.
    urgent_pointer() -> u16;
    /// Sets the sender's port.
    set_source_port(source_port: u16);
    /// Sets the receiver's port.
    set_destination_port(destination_port: u16);
    /// Sets the number of the first byte of data.
    set_sequence_number(sequence_number: u32);
    /// Sets the number of the next byte expected.
    set_acknowledgment_number(acknowledgment_number: u32);
    /// Sets all control bits.
    set_flags(flags: TcpFlags);
    /// Sets how many bytes the sender has room for.
    set_window(window: u16);
    /// Sets the checksum field as given.
    set_checksum(checksum: u16);
    /// Sets where urgent data end.
    set_urgent_pointer(urgent_pointer: u16);
);

impl Tcp {
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

    /// Sets the reserved bits, of which the lower 4 count. The length of the header stays.
    #[inline]
    pub fn set_reserved(&mut self, reserved: u8) {
        self.offset_and_reserved = self.offset_and_reserved & !RESERVED | reserved & RESERVED;
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
    fn sum(&self, pseudo_header: PseudoHeader, data: &[u8]) -> u16 {
        pseudo_header.checksum_of_parts(IpProtocol::TCP, self.as_bytes(), data)
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
        let available = room.len().min(MAX_OPTIONS_LEN);
        if tlv::total_len(options) > available {
            return false;
        }
        tlv::write(options, room)
            .map(|rest| rest.fill(END))
            .is_some()
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
pub struct TcpOptions<'a>(Reader<'a>);

impl<'a> TcpOptions<'a> {
    /// Of all the bytes behind the fixed part of the header.
    #[inline]
    pub(super) const fn new(options: &'a [u8]) -> Self {
        Self(Reader::new(Tcp::LEN, options))
    }
}

impl<'a> TcpOption<'a> {
    /// The next option and what is behind it.
    #[inline]
    fn read(reader: &Reader<'a>) -> Result<(Self, &'a [u8]), ParseError> {
        match reader.rest() {
            [] | [END, ..] => return Ok((Self::EndOfList, &[])),
            [NO_OPERATION, behind @ ..] => return Ok((Self::NoOperation, behind)),
            _ => {}
        }
        // Kind and length themselves count.
        let data_len = |length| usize::from(length).checked_sub(2);
        let RawOption {
            kind,
            data,
            behind,
            wrong,
        } = reader.split("TCP", data_len)?;
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

tlv::options_iterator!(TcpOptions, TcpOption);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// From 10.0.0.1 to 10.0.0.2, with the option of a largest segment.
    const SYN: [u8; 24] = [
        0xc3, 0x50, 0x00, 0x50, // ports
        0x12, 0x34, 0x56, 0x78, 0x00, 0x00, 0x00, 0x00, // sequence and acknowledgment numbers
        0x60, 0x02, 0xfa, 0xf0, // 24 bytes of header, SYN, window
        0x5c, 0xe6, 0x00, 0x00, // checksum, urgent pointer
        0x02, 0x04, 0x05, 0xb4, // largest segment 1460
    ];

    /// From 10.0.0.1 to 10.0.0.2, with three bytes of data.
    const DATA: [u8; 23] = [
        0xc3, 0x50, 0x00, 0x50, // ports
        0x12, 0x34, 0x56, 0x79, 0x9a, 0xbc, 0xde, 0xf0, // sequence and acknowledgment numbers
        0x50, 0x18, 0x01, 0xf6, // 20 bytes of header, ACK and PSH, window
        0x58, 0x90, 0x00, 0x00, // checksum, urgent pointer
        b'G', b'E', b'T',
    ];

    fn pseudo_header() -> PseudoHeader {
        PseudoHeader::ipv4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2))
    }

    fn both_refuse(bytes: &[u8], error: ParseError) {
        assert_eq!(Tcp::parse(bytes), Err(error));
        assert_eq!(Tcp::parse_mut(&mut bytes.to_vec()), Err(error));
    }

    #[test]
    fn a_segment_shows_its_fields_and_data() {
        let (tcp, data) = Tcp::parse(&DATA).unwrap();
        assert_eq!(size_of_val(tcp), Tcp::LEN);
        assert_eq!((tcp.source_port(), tcp.destination_port()), (50000, 80));
        assert_eq!(tcp.sequence_number(), 0x1234_5679);
        assert_eq!(tcp.acknowledgment_number(), 0x9abc_def0);
        assert_eq!(tcp.header_len(), 20);
        assert_eq!(tcp.flags(), TcpFlags::ACK | TcpFlags::PSH);
        assert_eq!(tcp.window(), 502);
        assert_eq!(tcp.checksum(), 0x5890);
        assert_eq!(tcp.urgent_pointer(), 0);
        assert!(tcp.options_bytes().is_empty());
        assert_eq!(data, b"GET");
        assert!(tcp.verify_checksum(pseudo_header(), data));
        assert_eq!(
            tcp.to_string(),
            "TCP 50000 > 80 PSH+ACK seq 305419897 ack 2596069104 window 502"
        );
    }

    #[test]
    fn options_belong_to_the_header_and_its_checksum() {
        let mut bytes = SYN;
        let (tcp, data) = Tcp::parse_mut(&mut bytes).unwrap();
        assert_eq!(tcp.header_len(), 24);
        assert_eq!(tcp.options_bytes(), [0x02, 0x04, 0x05, 0xb4]);
        assert!(data.is_empty());
        assert!(tcp.verify_checksum(pseudo_header(), data));
        assert_eq!(
            tcp.to_string(),
            "TCP 50000 > 80 SYN seq 305419896 window 64240"
        );
        tcp.options_mut()[3] = 0;
        assert!(!tcp.verify_checksum(pseudo_header(), data));
        assert_eq!(bytes[23], 0);
    }

    #[test]
    fn a_truncated_header_names_what_is_missing() {
        for available in 0..SYN.len() {
            let needed = if available < 20 { 20 } else { 24 };
            both_refuse(&SYN[..available], Tcp::truncated(needed, available));
        }
    }

    #[test]
    fn a_data_offset_without_room_for_the_header_is_refused() {
        for offset in 0..5 {
            let mut bytes = DATA;
            bytes[12] = offset << 4;
            let error = ParseError::malformed(("TCP", "data offset", 12), offset.into());
            both_refuse(&bytes, error);
        }
    }

    #[test]
    fn any_change_fails_the_checksum() {
        for bit in 0..DATA.len() * 8 {
            let mut bytes = DATA;
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok((tcp, data)) = Tcp::parse(&bytes) {
                assert!(!tcp.verify_checksum(pseudo_header(), data), "{bit}");
            } else {
                assert_eq!(bit / 8, 12);
            }
        }
    }

    #[test]
    fn a_built_segment_gets_its_checksum() {
        let mut bytes = [0; 23];
        bytes[12] = 0x50;
        bytes[20..].copy_from_slice(b"GET");
        let (tcp, data) = Tcp::parse_mut(&mut bytes).unwrap();
        tcp.set_source_port(80);
        tcp.set_destination_port(50000);
        tcp.swap_ports();
        tcp.set_sequence_number(0x1234_5679);
        tcp.set_acknowledgment_number(0x9abc_def0);
        tcp.set_flags(TcpFlags::ACK | TcpFlags::PSH);
        tcp.set_window(502);
        tcp.set_urgent_pointer(7);
        tcp.set_urgent_pointer(0);
        tcp.set_checksum(0xeeee);
        tcp.fill_checksum(pseudo_header(), data);
        assert_eq!(bytes, DATA);
    }

    #[test]
    fn reserved_bits_change_neither_length_nor_flags() {
        let mut bytes = [0; 24];
        (bytes[12], bytes[13]) = (0x6a, 0x12);
        let (tcp, _) = Tcp::parse_mut(&mut bytes).unwrap();
        assert_eq!(tcp.reserved(), 0x0a);
        tcp.set_reserved(0xf5);
        assert_eq!((tcp.reserved(), tcp.header_len()), (5, 24));
        tcp.set_flags(TcpFlags::ACK);
        assert_eq!(tcp.reserved(), 5);
        assert_eq!(bytes[12..14], [0x65, 0x10]);
    }

    #[test]
    fn flags_print_by_name() {
        assert_eq!(TcpFlags::default().to_string(), "no flags");
        assert_eq!((TcpFlags::SYN | TcpFlags::ACK).to_string(), "SYN+ACK");
        assert_eq!(
            TcpFlags(0xff).to_string(),
            "FIN+SYN+RST+PSH+ACK+URG+ECE+CWR"
        );
        assert!((TcpFlags::SYN | TcpFlags::ACK).contains(TcpFlags::SYN));
        assert!(!TcpFlags::SYN.contains(TcpFlags::SYN | TcpFlags::ACK));
    }

    mod options {
        use super::super::*;
        use crate::proto::samples::Random;

        /// As Linux opens a connection.
        const SYN: [u8; 40] = [
            0xc3, 0x50, 0x00, 0x50, 0x12, 0x34, 0x56, 0x78, 0x00, 0x00, 0x00,
            0x00, // ports, numbers
            0xa0, 0x02, 0xfa, 0xf0, 0x00, 0x00, 0x00, 0x00, // 40 bytes of header, SYN
            0x02, 0x04, 0x05, 0xb4, // largest segment 1460
            0x04, 0x02, // SACK permitted
            0x08, 0x0a, 0x01, 0x02, 0x03, 0x04, 0x00, 0x00, 0x00, 0x00, // timestamps
            0x01, // no operation
            0x03, 0x03, 0x07, // window scale
        ];

        /// Two blocks that arrived out of order, an option that nobody knows, and three bytes of padding.
        const SACKS: [u8; 48] = [
            0xc3, 0x50, 0x00, 0x50, 0x12, 0x34, 0x56, 0x78, 0x00, 0x00, 0x00,
            0x09, // ports, numbers
            0xc0, 0x10, 0xfa, 0xf0, 0x00, 0x00, 0x00, 0x00, // 48 bytes of header, ACK
            0x01, 0x05, 0x12, 0x00, 0x00, 0x00, 0x0a, 0x00, 0x00, 0x00, 0x14, // NOP, 10 to 20
            0xff, 0xff, 0xff, 0xfe, 0x00, 0x00, 0x00, 0x02, // around the end of the numbers
            0xfd, 0x06, 0xca, 0xfe, 0xba, 0xbe, // an experiment
            0x00, 0x00, 0x00, // end of list
        ];

        fn options(bytes: &[u8]) -> TcpOptions<'_> {
            Tcp::parse(bytes).unwrap().0.options()
        }

        /// A header with these options, of which the number is a multiple of 4.
        fn header(options: &[u8]) -> Vec<u8> {
            let mut bytes = vec![0; 20];
            bytes.extend(options);
            bytes[12] = u8::try_from(bytes.len() / 4).unwrap() << 4;
            bytes
        }

        #[test]
        fn the_options_of_a_new_connection_come_in_their_order() {
            let expected = [
                TcpOption::MaximumSegmentSize(1460),
                TcpOption::SackPermitted,
                TcpOption::Timestamps {
                    value: 0x0102_0304,
                    echo: 0,
                },
                TcpOption::NoOperation,
                TcpOption::WindowScale(7),
            ];
            assert!(options(&SYN).eq(expected.map(Ok)));
            let text: Vec<_> = options(&SYN).flatten().map(|o| o.to_string()).collect();
            assert_eq!(
                text.join(", "),
                "maximum segment size 1460, SACK permitted, timestamps 16909060 echo 0, no operation, window scale 7"
            );
        }

        #[test]
        fn blocks_and_unknown_options_are_read_up_to_the_end_of_the_list() {
            let blocks = [SackBlock::new(10, 20), SackBlock::new(0xffff_fffe, 2)];
            let expected = [
                TcpOption::NoOperation,
                TcpOption::Sack(&blocks),
                TcpOption::Other {
                    kind: 0xfd,
                    data: &[0xca, 0xfe, 0xba, 0xbe],
                },
                TcpOption::EndOfList,
            ];
            assert!(options(&SACKS).eq(expected.map(Ok)));
            assert_eq!((blocks[1].left(), blocks[1].right()), (0xffff_fffe, 2));
            assert_eq!(expected[1].to_string(), "SACK 10-20 4294967294-2");
            assert_eq!(expected[2].to_string(), "kind 253 length 6");
            assert_eq!(expected[3].to_string(), "end of list");
        }

        #[test]
        fn a_header_without_options_has_none() {
            assert_eq!(options(&header(&[])).next(), None);
        }

        #[test]
        fn an_option_that_ends_behind_the_header_is_named_and_the_last() {
            for (bytes, offset, needed) in [
                ([1, 1, 1, 2], 24, 25),
                ([1, 1, 3, 3], 23, 25),
                ([2, 4, 5, 180], 21, 24),
                ([8, 10, 0, 0], 21, 30),
                ([254, 255, 0, 0], 21, 275),
            ] {
                let bytes = header(&bytes);
                let mut options = options(&bytes);
                let last = options.by_ref().find_map(Result::err);
                if needed == 24 {
                    assert_eq!(last, None);
                } else {
                    let place = ("TCP", "option length", offset);
                    assert_eq!(last, Some(ParseError::truncated(place, needed, 24)));
                }
                assert_eq!(options.next(), None);
            }
        }

        #[test]
        fn a_length_that_its_kind_cannot_have_is_refused() {
            for (kind, right) in [
                (2, &[4][..]),
                (3, &[3]),
                (4, &[2]),
                (5, &[10, 18, 26, 34]),
                (8, &[10]),
            ] {
                for len in 0..=40 {
                    let mut bytes = [0; 40];
                    bytes[..2].copy_from_slice(&[kind, len]);
                    let header = header(&bytes);
                    let first = options(&header).next().unwrap();
                    if right.contains(&len) {
                        let option = first.unwrap();
                        assert_eq!((option.kind(), option.wire_len()), (kind, usize::from(len)));
                    } else {
                        let error = ParseError::malformed(("TCP", "option length", 21), len.into());
                        assert_eq!(first, Err(error), "{kind}");
                    }
                }
            }
        }

        #[test]
        fn a_length_below_two_ends_the_options() {
            for kind in 2..=u8::MAX {
                for len in [0, 1] {
                    let bytes = header(&[1, kind, len, 1]);
                    let error = ParseError::malformed(("TCP", "option length", 22), len.into());
                    assert!(options(&bytes).eq([Ok(TcpOption::NoOperation), Err(error)]));
                }
            }
        }

        #[test]
        fn any_bytes_give_options_that_are_written_as_they_stood() {
            let mut random = Random(7);
            for _ in 0..50_000 {
                let len = 4 * random.below(11);
                let mut bytes = random.bytes(len);
                for byte in &mut bytes {
                    // Small numbers are kinds and lengths.
                    if random.below(3) > 0 {
                        *byte %= 11;
                    }
                }
                let header = header(&bytes);
                let all: Vec<_> = options(&header).collect();
                assert!(all.len() <= 40);
                let good: Vec<_> = all.iter().copied().map_while(Result::ok).collect();
                assert!(good.len() + 1 >= all.len(), "nothing comes after an error");
                let used: usize = good.iter().map(TcpOption::wire_len).sum();
                let mut written = [0xee; 40];
                assert!(TcpOption::write_all(&good, &mut written));
                assert_eq!(written[..used], bytes[..used]);
                assert_eq!(written[used..], [0; 40][used..]);
            }
        }

        #[test]
        fn what_does_not_fit_is_not_written() {
            let timestamps = TcpOption::Timestamps { value: 1, echo: 2 };
            assert_eq!(TcpOption::total_len(&[timestamps]), 12);
            assert_eq!(TcpOption::total_len(&[]), 0);
            for room in 0..10 {
                let mut bytes = [0xee; 10];
                assert!(!TcpOption::write_all(&[timestamps], &mut bytes[..room]));
                assert_eq!(bytes, [0xee; 10]);
            }
            let blocks = [SackBlock::new(1, 2); 5];
            let mut bytes = [0xee; 600];
            assert!(!TcpOption::write_all(
                &[TcpOption::Sack(&blocks)],
                &mut bytes
            ));
            let data = &[7; 300];
            assert!(!TcpOption::write_all(
                &[TcpOption::Other { kind: 99, data }],
                &mut bytes
            ));
            assert_eq!(bytes, [0xee; 600]);
        }
    }
}
