//! Options of neighbor discovery (RFC 4861, section 4.6).

#![forbid(unsafe_code)]

use std::fmt;
use std::iter::FusedIterator;
use std::net::Ipv6Addr;

use zerocopy::network_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::tlv::{self, Found, Tlv, Walk};
use crate::proto::{MacAddr, ParseError};

const SOURCE_ADDRESS: u8 = 1;
const TARGET_ADDRESS: u8 = 2;
const PREFIX_INFORMATION: u8 = 3;
const REDIRECTED_HEADER: u8 = 4;
const MTU: u8 = 5;

/// One option of a neighbor discovery message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NdpOption<'a> {
    /// Type 1: the sender's link-layer address, on Ethernet.
    SourceLinkLayerAddress(MacAddr),
    /// Type 2: the target's link-layer address, on Ethernet.
    TargetLinkLayerAddress(MacAddr),
    /// Type 3: addresses that are on the link, or to be made up from.
    PrefixInformation(&'a PrefixInformation),
    /// Type 4: the packet that was redirected, as a rule cut short, and padding.
    RedirectedHeader(&'a [u8]),
    /// Type 5: the longest packet in bytes for all on the link.
    Mtu(u32),
    /// Any other.
    Other {
        /// What it is (IANA's list of IPv6 neighbor discovery option formats).
        kind: u8,
        /// What is behind type and length: a multiple of 8 bytes, less 2.
        data: &'a [u8],
    },
}

/// A prefix that a router tells of (RFC 4861, section 4.6.2), without type and length.
///
/// ```text
/// byte   2  prefix length       1    in bits
///        3  flags               1
///        4  valid lifetime      4    in seconds; u32::MAX for ever
///        8  preferred lifetime  4    in seconds; u32::MAX for ever
///       12  reserved            4
///       16  prefix              16
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct PrefixInformation {
    prefix_length: u8,
    flags: u8,
    valid_lifetime: U32,
    preferred_lifetime: U32,
    reserved: U32,
    prefix: [u8; 16],
}

impl PrefixInformation {
    /// Flag: all addresses of the prefix are on the link.
    pub const ON_LINK: u8 = 0x80;
    /// Flag: hosts may make up an address of the prefix (RFC 4862).
    pub const AUTONOMOUS: u8 = 0x40;

    /// `prefix_length` bits of `prefix`, with these flags, valid and preferred for so many seconds.
    #[must_use]
    pub const fn new(
        prefix: Ipv6Addr,
        prefix_length: u8,
        flags: u8,
        (valid_lifetime, preferred_lifetime): (u32, u32),
    ) -> Self {
        Self {
            prefix_length,
            flags,
            valid_lifetime: U32::new(valid_lifetime),
            preferred_lifetime: U32::new(preferred_lifetime),
            reserved: U32::new(0),
            prefix: prefix.octets(),
        }
    }

    /// How many bits of the prefix count; more than 128 is nonsense that may be there.
    #[inline]
    #[must_use]
    pub const fn prefix_length(&self) -> u8 {
        self.prefix_length
    }

    /// The flags, joined with `|`.
    #[inline]
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// For how many seconds addresses of the prefix are good; `u32::MAX` for ever.
    #[inline]
    #[must_use]
    pub const fn valid_lifetime(&self) -> u32 {
        self.valid_lifetime.get()
    }

    /// For how many seconds addresses of the prefix are first choice; `u32::MAX` for ever.
    #[inline]
    #[must_use]
    pub const fn preferred_lifetime(&self) -> u32 {
        self.preferred_lifetime.get()
    }

    /// The prefix; bits behind its length do not count.
    #[inline]
    #[must_use]
    pub fn prefix(&self) -> Ipv6Addr {
        self.prefix.into()
    }
}

impl NdpOption<'_> {
    /// Which type it is, as on the wire.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match *self {
            Self::SourceLinkLayerAddress(_) => SOURCE_ADDRESS,
            Self::TargetLinkLayerAddress(_) => TARGET_ADDRESS,
            Self::PrefixInformation(_) => PREFIX_INFORMATION,
            Self::RedirectedHeader(_) => REDIRECTED_HEADER,
            Self::Mtu(_) => MTU,
            Self::Other { kind, .. } => kind,
        }
    }

    /// How many bytes it takes in a message, padding included: a multiple of 8.
    #[inline]
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        let len = match *self {
            Self::SourceLinkLayerAddress(_) | Self::TargetLinkLayerAddress(_) | Self::Mtu(_) => 8,
            Self::PrefixInformation(_) => 32,
            Self::RedirectedHeader(packet) => packet.len().saturating_add(8),
            Self::Other { data, .. } => data.len().saturating_add(2),
        };
        len.saturating_add(7) & !7
    }

    /// How many bytes `options` take in a message together.
    #[inline]
    #[must_use]
    pub fn total_len(options: &[Self]) -> usize {
        tlv::total_len(options)
    }

    /// Writes `options` to `room`, one after the other. `room` has as many bytes as they take
    /// ([`NdpOption::total_len`]), since nothing pads them.
    ///
    /// Gives `false` if it has not, or if one of them takes more than the 2040 bytes that an
    /// option can have; then nothing is written.
    ///
    /// ```
    /// use fluxcap::proto::{MacAddr, NdpOption, NeighborSolicitation};
    ///
    /// let mut message = [0; 32];
    /// message[0] = 135;
    /// let options = [NdpOption::SourceLinkLayerAddress(MacAddr([2, 0, 0, 0, 0, 1]))];
    /// assert!(NdpOption::write_all(&options, &mut message[24..]));
    /// let (solicitation, payload) = NeighborSolicitation::parse(&message)?;
    /// assert!(solicitation.options(payload).eq(options.map(Ok)));
    /// # Ok::<(), fluxcap::proto::ParseError>(())
    /// ```
    #[must_use = "what does not fit is not written"]
    pub fn write_all(options: &[Self], room: &mut [u8]) -> bool {
        let is_long = |option: &NdpOption<'_>| option.wire_len() > MAX_LEN;
        if Self::total_len(options) != room.len() || options.iter().any(is_long) {
            return false;
        }
        tlv::write(options, room).is_some()
    }
}

/// The most bytes that an option can have.
const MAX_LEN: usize = 255 * 8;

impl Tlv for NdpOption<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.wire_len()
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most 255 units of 8")]
    fn write(&self, bytes: &mut [u8]) -> Option<()> {
        bytes.fill(0);
        let units = (bytes.len() / 8) as u8;
        let (head, data) = bytes.split_first_chunk_mut::<2>()?;
        *head = [self.kind(), units];
        match *self {
            Self::SourceLinkLayerAddress(mac) | Self::TargetLinkLayerAddress(mac) => {
                mac.octets().write_to(data).ok()
            }
            Self::PrefixInformation(prefix) => prefix.write_to(data).ok(),
            Self::RedirectedHeader(packet) => packet.write_to_prefix(data.get_mut(6..)?).ok(),
            Self::Mtu(mtu) => mtu.to_be_bytes().write_to(data.get_mut(2..)?).ok(),
            Self::Other { data: from, .. } => from.write_to_prefix(data).ok(),
        }
    }
}

impl fmt::Display for NdpOption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::SourceLinkLayerAddress(mac) => write!(f, "source address {mac}"),
            Self::TargetLinkLayerAddress(mac) => write!(f, "target address {mac}"),
            Self::PrefixInformation(prefix) => {
                write!(f, "prefix {}/{}", prefix.prefix(), prefix.prefix_length())
            }
            Self::RedirectedHeader(packet) => write!(f, "redirected length {}", packet.len()),
            Self::Mtu(mtu) => write!(f, "MTU {mtu}"),
            Self::Other { kind, data } => write!(f, "type {kind} length {}", data.len() + 2),
        }
    }
}

/// The options of a neighbor discovery message in their order, such as
/// [`NeighborSolicitation::options`](crate::proto::NeighborSolicitation::options) gives.
///
/// It ends after the first error, or with the message.
#[derive(Debug, Clone)]
pub struct NdpOptions<'a>(Walk<'a>);

impl<'a> NdpOptions<'a> {
    /// Of all the bytes behind the fixed part of a message, which has `start` bytes.
    #[inline]
    pub(super) const fn new(start: usize, options: &'a [u8]) -> Self {
        Self(Walk::new(start, options))
    }
}

impl<'a> NdpOption<'a> {
    /// The next option and what is behind it.
    #[inline]
    fn read(walk: &Walk<'a>) -> Result<(Self, &'a [u8]), ParseError> {
        // In units of 8 bytes; type and length themselves count.
        let data_len = |length| (usize::from(length) * 8).checked_sub(2);
        let Found {
            kind,
            data,
            behind,
            wrong,
        } = walk.split("NDP", data_len)?;
        let option = match (kind, data) {
            (SOURCE_ADDRESS, &[a, b, c, d, e, f]) => {
                Self::SourceLinkLayerAddress(MacAddr([a, b, c, d, e, f]))
            }
            (TARGET_ADDRESS, &[a, b, c, d, e, f]) => {
                Self::TargetLinkLayerAddress(MacAddr([a, b, c, d, e, f]))
            }
            (PREFIX_INFORMATION, _) => {
                Self::PrefixInformation(PrefixInformation::ref_from_bytes(data).map_err(|_| wrong)?)
            }
            (REDIRECTED_HEADER, [_, _, _, _, _, _, packet @ ..]) => Self::RedirectedHeader(packet),
            (MTU, &[_, _, a, b, c, d]) => Self::Mtu(u32::from_be_bytes([a, b, c, d])),
            (MTU, _) => return Err(wrong),
            // Links other than Ethernet have longer addresses, too.
            _ => Self::Other { kind, data },
        };
        Ok((option, behind))
    }
}

impl<'a> Iterator for NdpOptions<'a> {
    type Item = Result<NdpOption<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(NdpOption::read)
    }
}

impl FusedIterator for NdpOptions<'_> {}

#[cfg(test)]
mod tests;
