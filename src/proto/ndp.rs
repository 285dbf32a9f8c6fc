//! Neighbor discovery for IPv6 (RFC 4861): messages of ICMPv6 and their options.

#![forbid(unsafe_code)]

use std::fmt;
use std::iter::FusedIterator;
use std::net::Ipv6Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::icmpv6::checksummed;
use crate::proto::message::message;
use crate::proto::tlv::{self, Found, Tlv, Walk};
use crate::proto::{Icmpv6Type, MacAddr, ParseError};

/// A host asks routers to advertise themselves (RFC 4861, section 4.1). The payload is options.
///
/// ```text
/// byte   0  type      1   133
///        1  code      1   0
///        2  checksum  2   over pseudo header, message and options
///        4  reserved  4
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct RouterSolicitation {
    icmp_type: u8,
    code: u8,
    checksum: U16,
    reserved: U32,
}

/// A router tells of itself and its links (RFC 4861, section 4.2). The payload is options.
///
/// ```text
/// byte   0  type             1   134
///        1  code             1   0
///        2  checksum         2   over pseudo header, message and options
///        4  hop limit        1   for packets of hosts here; 0 if unsaid
///        5  flags            1
///        6  router lifetime  2   in seconds; 0 for no default router
///        8  reachable time   4   in milliseconds; 0 if unsaid
///       12  retrans timer    4   in milliseconds; 0 if unsaid
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct RouterAdvertisement {
    icmp_type: u8,
    code: u8,
    checksum: U16,
    hop_limit: u8,
    flags: u8,
    router_lifetime: U16,
    reachable_time: U32,
    retrans_timer: U32,
}

/// Asks for the link-layer address of a neighbor, or whether it is still there (RFC 4861,
/// section 4.3). The payload is options.
///
/// ```text
/// byte   0  type      1   135
///        1  code      1   0
///        2  checksum  2   over pseudo header, message and options
///        4  reserved  4
///        8  target    16
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct NeighborSolicitation {
    icmp_type: u8,
    code: u8,
    checksum: U16,
    reserved: U32,
    target: [u8; 16],
}

/// Tells a link-layer address, asked for or not (RFC 4861, section 4.4). The payload is options.
///
/// ```text
/// byte   0  type      1   136
///        1  code      1   0
///        2  checksum  2   over pseudo header, message and options
///        4  flags     1   then 3 bytes reserved
///        8  target    16
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct NeighborAdvertisement {
    icmp_type: u8,
    code: u8,
    checksum: U16,
    flags: u8,
    reserved: [u8; 3],
    target: [u8; 16],
}

/// A router tells of a better first hop to a destination (RFC 4861, section 4.5). The payload is
/// options.
///
/// ```text
/// byte   0  type         1    137
///        1  code         1    0
///        2  checksum     2    over pseudo header, message and options
///        4  reserved     4
///        8  target       16   the better first hop, or the destination itself
///       24  destination  16
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct NdpRedirect {
    icmp_type: u8,
    code: u8,
    checksum: U16,
    reserved: U32,
    target: [u8; 16],
    destination: [u8; 16],
}

message!(
    RouterSolicitation,
    "ICMPv6 router solicitation",
    Icmpv6Type,
    Icmpv6Type::ROUTER_SOLICITATION,
    0
);
message!(
    RouterAdvertisement,
    "ICMPv6 router advertisement",
    Icmpv6Type,
    Icmpv6Type::ROUTER_ADVERTISEMENT,
    0
);
message!(
    NeighborSolicitation,
    "ICMPv6 neighbor solicitation",
    Icmpv6Type,
    Icmpv6Type::NEIGHBOR_SOLICITATION,
    0
);
message!(
    NeighborAdvertisement,
    "ICMPv6 neighbor advertisement",
    Icmpv6Type,
    Icmpv6Type::NEIGHBOR_ADVERTISEMENT,
    0
);
message!(
    NdpRedirect,
    "ICMPv6 redirect",
    Icmpv6Type,
    Icmpv6Type::REDIRECT,
    0
);

checksummed!(RouterSolicitation RouterAdvertisement NeighborSolicitation NeighborAdvertisement NdpRedirect);

/// The options behind the fixed part.
macro_rules! options {
    ($($View:ident)*) => { $(
        impl $View {
            /// The options in `payload`, which parsing gave, one after the other, each checked as
            /// it is read.
            #[inline]
            #[must_use]
            pub fn options<'a>(&self, payload: &'a [u8]) -> NdpOptions<'a> {
                NdpOptions::new(Self::LEN, payload)
            }
        }
    )* };
}

options!(RouterSolicitation RouterAdvertisement NeighborSolicitation NeighborAdvertisement NdpRedirect);

const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;

impl RouterAdvertisement {
    /// What hosts should put into the hop limit of their packets; 0 if unsaid.
    #[inline]
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.hop_limit
    }

    /// Whether addresses are to be had by DHCPv6.
    #[inline]
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.flags & MANAGED != 0
    }

    /// Whether other things, such as name servers, are to be had by DHCPv6.
    #[inline]
    #[must_use]
    pub fn has_other_configuration(&self) -> bool {
        self.flags & OTHER != 0
    }

    /// All flags, of which these two are the highest bits.
    #[inline]
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// For how many seconds this is a default router; 0 if it is none.
    #[inline]
    #[must_use]
    pub fn router_lifetime(&self) -> u16 {
        self.router_lifetime.get()
    }

    /// For how many milliseconds a neighbor counts as reachable; 0 if unsaid.
    #[inline]
    #[must_use]
    pub fn reachable_time(&self) -> u32 {
        self.reachable_time.get()
    }

    /// How many milliseconds lie between solicitations that are repeated; 0 if unsaid.
    #[inline]
    #[must_use]
    pub fn retrans_timer(&self) -> u32 {
        self.retrans_timer.get()
    }

    /// Sets what hosts should put into the hop limit of their packets.
    #[inline]
    pub fn set_hop_limit(&mut self, hop_limit: u8) {
        self.hop_limit = hop_limit;
    }

    /// Sets all flags.
    #[inline]
    pub fn set_flags(&mut self, flags: u8) {
        self.flags = flags;
    }

    /// Sets for how many seconds this is a default router.
    #[inline]
    pub fn set_router_lifetime(&mut self, seconds: u16) {
        self.router_lifetime.set(seconds);
    }

    /// Sets for how many milliseconds a neighbor counts as reachable.
    #[inline]
    pub fn set_reachable_time(&mut self, milliseconds: u32) {
        self.reachable_time.set(milliseconds);
    }

    /// Sets how many milliseconds lie between solicitations that are repeated.
    #[inline]
    pub fn set_retrans_timer(&mut self, milliseconds: u32) {
        self.retrans_timer.set(milliseconds);
    }
}

impl NeighborSolicitation {
    /// The address that is asked about.
    #[inline]
    #[must_use]
    pub fn target(&self) -> Ipv6Addr {
        self.target.into()
    }

    /// Sets the address that is asked about.
    #[inline]
    pub fn set_target(&mut self, target: Ipv6Addr) {
        self.target = target.octets();
    }
}

impl NeighborAdvertisement {
    /// Flag: the sender is a router.
    pub const ROUTER: u8 = 0x80;
    /// Flag: this answers a solicitation.
    pub const SOLICITED: u8 = 0x40;
    /// Flag: this holds, whatever was known before.
    pub const OVERRIDE: u8 = 0x20;

    /// The flags, joined with `|`.
    #[inline]
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// The address that this is about.
    #[inline]
    #[must_use]
    pub fn target(&self) -> Ipv6Addr {
        self.target.into()
    }

    /// Sets all flags.
    #[inline]
    pub fn set_flags(&mut self, flags: u8) {
        self.flags = flags;
    }

    /// Sets the address that this is about.
    #[inline]
    pub fn set_target(&mut self, target: Ipv6Addr) {
        self.target = target.octets();
    }
}

impl NdpRedirect {
    /// Where packets for the destination should go; the destination itself if it is a neighbor.
    #[inline]
    #[must_use]
    pub fn target(&self) -> Ipv6Addr {
        self.target.into()
    }

    /// Which packets should go there.
    #[inline]
    #[must_use]
    pub fn destination(&self) -> Ipv6Addr {
        self.destination.into()
    }

    /// Sets where packets for the destination should go.
    #[inline]
    pub fn set_target(&mut self, target: Ipv6Addr) {
        self.target = target.octets();
    }

    /// Sets which packets should go there.
    #[inline]
    pub fn set_destination(&mut self, destination: Ipv6Addr) {
        self.destination = destination.octets();
    }
}

impl fmt::Display for RouterSolicitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("ICMPv6 router solicitation")
    }
}

impl fmt::Display for RouterAdvertisement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hops, lifetime) = (self.hop_limit, self.router_lifetime);
        write!(
            f,
            "ICMPv6 router advertisement hops {hops} lifetime {lifetime}"
        )
    }
}

impl fmt::Display for NeighborSolicitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ICMPv6 neighbor solicitation for {}", self.target())
    }
}

impl fmt::Display for NeighborAdvertisement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ICMPv6 neighbor advertisement of {}", self.target())
    }
}

impl fmt::Display for NdpRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (destination, target) = (self.destination(), self.target());
        write!(f, "ICMPv6 redirect of {destination} to {target}")
    }
}

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
        let is_long = |option: &NdpOption<'_>| option.wire_len() > MAX_OPTION_LEN;
        if Self::total_len(options) != room.len() || options.iter().any(is_long) {
            return false;
        }
        tlv::write(options, room).is_some()
    }
}

/// The most bytes that an option can have.
const MAX_OPTION_LEN: usize = 255 * 8;

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
