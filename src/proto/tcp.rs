//! Transmission Control Protocol (RFC 9293).

#![forbid(unsafe_code)]

use std::fmt;
use std::ops::BitOr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::checksum::{Accumulator, PseudoHeader};
use crate::proto::{IpProtocol, ParseError};

mod options;

pub use options::{SackBlock, TcpOption, TcpOptions};

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
            .map_err(|_| truncated(Self::LEN, bytes.len()))
    }

    /// Like [`Tcp::parse`], to change the segment in place.
    ///
    /// # Errors
    ///
    /// As [`Tcp::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let options_len = options_len(bytes)?;
        let too_short = truncated(Self::LEN, bytes.len());
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
}

#[inline]
fn options_len(bytes: &[u8]) -> Result<usize, ParseError> {
    let available = bytes.len();
    let Some(&[.., offset, _, _, _, _, _, _, _]) = bytes.first_chunk::<{ Tcp::LEN }>() else {
        return Err(truncated(Tcp::LEN, available));
    };
    let header_len = header_len(offset);
    let Some(options_len) = header_len.checked_sub(Tcp::LEN) else {
        let place = ("TCP", "data offset", 12);
        return Err(ParseError::malformed(place, (offset >> 4).into()));
    };
    if header_len > available {
        return Err(truncated(header_len, available));
    }
    Ok(options_len)
}

#[inline]
const fn header_len(offset_and_reserved: u8) -> usize {
    (offset_and_reserved >> 4) as usize * 4
}

const fn truncated(needed: usize, available: usize) -> ParseError {
    // All that is needed beyond the fixed part is what the data offset says.
    let place = match available {
        ..Tcp::LEN => ("TCP", "header", 0),
        _ => ("TCP", "data offset", 12),
    };
    ParseError::truncated(place, needed, available)
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

#[cfg(test)]
mod tests;
