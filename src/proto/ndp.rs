//! Neighbor discovery for IPv6 (RFC 4861): messages of ICMPv6 and their options.

#![forbid(unsafe_code)]

use std::fmt;
use std::net::Ipv6Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::fields::{fields, message};
use crate::proto::icmpv6::checksummed;
use crate::proto::tlv::{self, RawOption, Reader, Tlv};
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

/// A router advertises itself and its links (RFC 4861, section 4.2). The payload is options.
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

/// Announces a link-layer address, solicited or not (RFC 4861, section 4.4). The payload is options.
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

/// A router announces a better first hop to a destination (RFC 4861, section 4.5). The payload is
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

fields!(RouterAdvertisement:
    /// What hosts should put into the hop limit of their packets; 0 if unsaid.
    hop_limit() -> u8;
    /// All flags, of which these two are the highest bits.
    flags() -> u8;
    /// For how many seconds this is a default router; 0 if it is none.
    router_lifetime() -> u16;
    /// For how many milliseconds a neighbor counts as reachable; 0 if unsaid.
    reachable_time() -> u32;
    /// How many milliseconds lie between solicitations that are repeated; 0 if unsaid.
    retrans_timer() -> u32;
    /// Sets what hosts should put into the hop limit of their packets.
    set_hop_limit(hop_limit: u8);
    /// Sets all flags.
    set_flags(flags: u8);
    /// Sets for how many seconds this is a default router.
    set_router_lifetime(router_lifetime: u16);
    /// Sets for how many milliseconds a neighbor counts as reachable.
    set_reachable_time(reachable_time: u32);
    /// Sets how many milliseconds lie between solicitations that are repeated.
    set_retrans_timer(retrans_timer: u32);
);

impl RouterAdvertisement {
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
}

fields!(NeighborSolicitation:
    /// The address that is asked about.
    target() -> Ipv6Addr;
    /// Sets the address that is asked about.
    set_target(target: Ipv6Addr);
);

impl NeighborAdvertisement {
    /// Flag: the sender is a router.
    pub const ROUTER: u8 = 0x80;
    /// Flag: this answers a solicitation.
    pub const SOLICITED: u8 = 0x40;
    /// Flag: this replaces what was known before.
    pub const OVERRIDE: u8 = 0x20;
}

fields!(NeighborAdvertisement:
    /// The flags, joined with `|`.
    flags() -> u8;
    /// The address that this is about.
    target() -> Ipv6Addr;
    /// Sets all flags.
    set_flags(flags: u8);
    /// Sets the address that this is about.
    set_target(target: Ipv6Addr);
);

fields!(NdpRedirect:
    /// Where packets for the destination should go; the destination itself if it is a neighbor.
    target() -> Ipv6Addr;
    /// Which packets should go there.
    destination() -> Ipv6Addr;
    /// Sets where packets for the destination should go.
    set_target(target: Ipv6Addr);
    /// Sets which packets should go there.
    set_destination(destination: Ipv6Addr);
);

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

/// A prefix that a router advertises (RFC 4861, section 4.6.2), without type and length.
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

    /// How many bits of the prefix count; values above 128 are invalid, and given as they stand.
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
}

fields!(PrefixInformation:
    /// The prefix; bits behind its length do not count.
    prefix() -> Ipv6Addr;
);

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
pub struct NdpOptions<'a>(Reader<'a>);

impl<'a> NdpOptions<'a> {
    /// Of all the bytes behind the fixed part of a message, which has `start` bytes.
    #[inline]
    pub(super) const fn new(start: usize, options: &'a [u8]) -> Self {
        Self(Reader::new(start, options))
    }
}

impl<'a> NdpOption<'a> {
    /// The next option and what is behind it.
    #[inline]
    fn read(reader: &Reader<'a>) -> Result<(Self, &'a [u8]), ParseError> {
        // In units of 8 bytes; type and length themselves count.
        let data_len = |length| (usize::from(length) * 8).checked_sub(2);
        let RawOption {
            kind,
            data,
            behind,
            wrong,
        } = reader.split("NDP", data_len)?;
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

tlv::options_iterator!(NdpOptions, NdpOption);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Icmpv6;
    use crate::proto::checksum::PseudoHeader;

    const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const NEIGHBOR: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 3);
    const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const SERVER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

    const RS: [u8; 16] = [
        0x85, 0x00, 0x7a, 0x2c, 0x00, 0x00, 0x00, 0x00, // router solicitation
        0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, // source address
    ];

    const RA: [u8; 64] = [
        0x86, 0x00, 0xb1, 0xfe, 0x40, 0xc0, 0x07,
        0x08, // router advertisement, 64 hops, 1800 s
        0x00, 0x00, 0x75, 0x30, 0x00, 0x00, 0x03,
        0xe8, // reachable 30 s, solicitations 1 s apart
        0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, // source address
        0x05, 0x01, 0x00, 0x00, 0x00, 0x00, 0x05, 0xdc, // MTU 1500
        0x03, 0x04, 0x40, 0xc0, 0x00, 0x01, 0x51, 0x80, // prefix of 64 bits, valid a day
        0x00, 0x00, 0x38, 0x40, 0x00, 0x00, 0x00, 0x00, // preferred four hours
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, //
    ];

    const NS: [u8; 32] = [
        0x87, 0x00, 0x7a, 0x97, 0x00, 0x00, 0x00, 0x00, // neighbor solicitation
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, //
        0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, // source address
    ];

    const NA: [u8; 32] = [
        0x88, 0x00, 0x98, 0x19, 0xe0, 0x00, 0x00, 0x00, // neighbor advertisement, all flags
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, //
        0x02, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, // target address
    ];

    const REDIRECT: [u8; 96] = [
        0x89, 0x00, 0x1f, 0x2a, 0x00, 0x00, 0x00, 0x00, // redirect
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // target
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // destination
        0x02, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, // target address
        0x04, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // redirected header
        0x60, 0x00, 0x00, 0x00, 0x00, 0x00, 0x3b, 0x40, // IPv6 without payload
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, //
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, //
    ];

    const HOST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const NEIGHBOR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    #[test]
    fn a_router_is_asked_for() {
        let (message, payload) = RouterSolicitation::parse(&RS).unwrap();
        assert_eq!(RouterSolicitation::LEN, 8);
        assert_eq!(message.icmp_type(), Icmpv6Type::ROUTER_SOLICITATION);
        assert_eq!((message.code(), message.checksum()), (0, 0x7a2c));
        assert!(message.verify_checksum(PseudoHeader::ipv6(HOST, ALL_ROUTERS), payload));
        let source = NdpOption::SourceLinkLayerAddress(HOST_MAC);
        assert!(message.options(payload).eq([Ok(source)]));
        assert_eq!(message.to_string(), "ICMPv6 router solicitation");
    }

    #[test]
    fn a_router_advertises_itself_and_its_link() {
        let (message, payload) = RouterAdvertisement::parse(&RA).unwrap();
        assert_eq!(RouterAdvertisement::LEN, 16);
        assert_eq!((message.hop_limit(), message.flags()), (64, 0xc0));
        assert!(message.is_managed() && message.has_other_configuration());
        assert_eq!(message.router_lifetime(), 1800);
        assert_eq!(message.reachable_time(), 30_000);
        assert_eq!(message.retrans_timer(), 1000);
        assert!(message.verify_checksum(PseudoHeader::ipv6(NEIGHBOR, ALL_NODES), payload));
        let network = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);
        let flags = PrefixInformation::ON_LINK | PrefixInformation::AUTONOMOUS;
        let prefix = PrefixInformation::new(network, 64, flags, (86400, 14400));
        assert_eq!((prefix.prefix(), prefix.prefix_length()), (network, 64));
        assert_eq!(prefix.flags(), 0xc0);
        assert_eq!(prefix.valid_lifetime(), 86400);
        assert_eq!(prefix.preferred_lifetime(), 14400);
        let expected = [
            NdpOption::SourceLinkLayerAddress(NEIGHBOR_MAC),
            NdpOption::Mtu(1500),
            NdpOption::PrefixInformation(&prefix),
        ];
        assert!(message.options(payload).eq(expected.map(Ok)));
        let text: Vec<_> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(
            text.join(", "),
            "source address 02:00:00:00:00:02, MTU 1500, prefix 2001:db8::/64"
        );
        assert_eq!(
            message.to_string(),
            "ICMPv6 router advertisement hops 64 lifetime 1800"
        );
    }

    #[test]
    fn a_neighbor_is_asked_for_and_answers() {
        let (question, payload) = NeighborSolicitation::parse(&NS).unwrap();
        assert_eq!(NeighborSolicitation::LEN, 24);
        assert_eq!(question.target(), NEIGHBOR);
        let group = "ff02::1:ff00:2".parse().unwrap();
        assert!(question.verify_checksum(PseudoHeader::ipv6(HOST, group), payload));
        let source = NdpOption::SourceLinkLayerAddress(HOST_MAC);
        assert!(question.options(payload).eq([Ok(source)]));
        let text = "ICMPv6 neighbor solicitation for fe80::2";
        assert_eq!(question.to_string(), text);

        let (answer, payload) = NeighborAdvertisement::parse(&NA).unwrap();
        assert_eq!(NeighborAdvertisement::LEN, 24);
        assert_eq!(answer.target(), NEIGHBOR);
        let all = NeighborAdvertisement::ROUTER
            | NeighborAdvertisement::SOLICITED
            | NeighborAdvertisement::OVERRIDE;
        assert_eq!(answer.flags(), all);
        assert!(answer.verify_checksum(PseudoHeader::ipv6(NEIGHBOR, HOST), payload));
        let target = NdpOption::TargetLinkLayerAddress(NEIGHBOR_MAC);
        assert!(answer.options(payload).eq([Ok(target)]));
        let text = "ICMPv6 neighbor advertisement of fe80::2";
        assert_eq!(answer.to_string(), text);
    }

    #[test]
    fn a_router_tells_of_a_better_one() {
        let (message, payload) = NdpRedirect::parse(&REDIRECT).unwrap();
        assert_eq!(NdpRedirect::LEN, 40);
        assert_eq!(
            (message.target(), message.destination()),
            (NEIGHBOR, SERVER)
        );
        assert!(message.verify_checksum(PseudoHeader::ipv6(ROUTER, GLOBAL), payload));
        let expected = [
            NdpOption::TargetLinkLayerAddress(NEIGHBOR_MAC),
            NdpOption::RedirectedHeader(&REDIRECT[56..]),
        ];
        assert!(message.options(payload).eq(expected.map(Ok)));
        assert_eq!(expected[0].to_string(), "target address 02:00:00:00:00:02");
        assert_eq!(expected[1].to_string(), "redirected length 40");
        assert_eq!(
            message.to_string(),
            "ICMPv6 redirect of 2001:db8::2 to fe80::2"
        );
    }

    /// Cut short anywhere, of another type, or with a code: refused as such by both ways to parse.
    macro_rules! refuses {
        ($View:ident, $name:literal, $sample:expr) => {
            for available in 0..$View::LEN {
                let mut bytes = $sample;
                let place = ($name, "header", 0);
                let error = ParseError::truncated(place, $View::LEN, available);
                assert_eq!($View::parse(&bytes[..available]), Err(error));
                assert_eq!($View::parse_mut(&mut bytes[..available]), Err(error));
            }
            for number in 0..=u8::MAX {
                let mut bytes = $sample;
                if bytes[0] != number {
                    bytes[0] = number;
                    let error = ParseError::malformed(($name, "type", 0), number.into());
                    assert_eq!($View::parse(&bytes), Err(error));
                    assert_eq!($View::parse_mut(&mut bytes), Err(error));
                }
                let mut bytes = $sample;
                if number > 0 {
                    bytes[1] = number;
                    let error = ParseError::malformed(($name, "code", 1), number.into());
                    assert_eq!($View::parse(&bytes), Err(error));
                    assert_eq!($View::parse_mut(&mut bytes), Err(error));
                }
            }
        };
    }

    #[test]
    fn truncated_and_other_messages_are_refused_by_field() {
        refuses!(RouterSolicitation, "ICMPv6 router solicitation", RS);
        refuses!(RouterAdvertisement, "ICMPv6 router advertisement", RA);
        refuses!(NeighborSolicitation, "ICMPv6 neighbor solicitation", NS);
        refuses!(NeighborAdvertisement, "ICMPv6 neighbor advertisement", NA);
        refuses!(NdpRedirect, "ICMPv6 redirect", REDIRECT);
    }

    /// Zeros of which the type alone is known, and the options.
    fn blank<const LEN: usize>(wanted: [u8; LEN], options: usize) -> [u8; LEN] {
        let mut bytes = wanted;
        bytes[..options].fill(0);
        let (icmp, _) = Icmpv6::parse_mut(&mut bytes).unwrap();
        icmp.set_icmp_type(Icmpv6Type(wanted[0]));
        bytes
    }

    #[test]
    fn built_messages_are_those_on_the_wire() {
        let mut bytes = blank(RS, 8);
        let (message, payload) = RouterSolicitation::parse_mut(&mut bytes).unwrap();
        message.set_checksum(9);
        message.fill_checksum(PseudoHeader::ipv6(HOST, ALL_ROUTERS), payload);
        assert_eq!(bytes, RS);

        let mut bytes = blank(RA, 16);
        let (message, payload) = RouterAdvertisement::parse_mut(&mut bytes).unwrap();
        message.set_hop_limit(64);
        message.set_flags(0xc0);
        message.set_router_lifetime(1800);
        message.set_reachable_time(30_000);
        message.set_retrans_timer(1000);
        message.fill_checksum(PseudoHeader::ipv6(NEIGHBOR, ALL_NODES), payload);
        assert_eq!(bytes, RA);

        let mut bytes = blank(NS, 24);
        let (message, payload) = NeighborSolicitation::parse_mut(&mut bytes).unwrap();
        message.set_target(NEIGHBOR);
        let group = "ff02::1:ff00:2".parse().unwrap();
        message.fill_checksum(PseudoHeader::ipv6(HOST, group), payload);
        assert_eq!(bytes, NS);

        let mut bytes = blank(NA, 24);
        let (message, payload) = NeighborAdvertisement::parse_mut(&mut bytes).unwrap();
        message.set_flags(0xe0);
        message.set_target(NEIGHBOR);
        message.fill_checksum(PseudoHeader::ipv6(NEIGHBOR, HOST), payload);
        assert_eq!(bytes, NA);

        let mut bytes = blank(REDIRECT, 40);
        let (message, payload) = NdpRedirect::parse_mut(&mut bytes).unwrap();
        message.set_target(NEIGHBOR);
        message.set_destination(SERVER);
        message.fill_checksum(PseudoHeader::ipv6(ROUTER, GLOBAL), payload);
        assert_eq!(bytes, REDIRECT);
    }

    mod options {
        use super::super::*;
        use crate::proto::samples::Random;

        /// As they stand behind a neighbor solicitation.
        fn options(bytes: &[u8]) -> NdpOptions<'_> {
            NdpOptions::new(24, bytes)
        }

        #[test]
        fn a_message_without_options_has_none() {
            assert_eq!(options(&[]).next(), None);
        }

        #[test]
        fn a_length_of_zero_ends_the_options() {
            for kind in 0..=u8::MAX {
                let bytes = [5, 1, 0, 0, 0, 0, 5, 220, kind, 0, 1, 1, 1, 1, 1, 1];
                let error = ParseError::malformed(("NDP", "option length", 33), 0);
                assert!(options(&bytes).eq([Ok(NdpOption::Mtu(1500)), Err(error)]));
            }
        }

        #[test]
        fn an_option_that_ends_behind_the_message_is_named_and_the_last() {
            let bytes = [
                5, 1, 0, 0, 0, 0, 5, 220, 77, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
            ];
            for available in 9..bytes.len() {
                let needed = if available < 10 { 34 } else { 48 };
                let place = ("NDP", "option length", 33);
                let error = ParseError::truncated(place, needed, 24 + available);
                let expected = [Ok(NdpOption::Mtu(1500)), Err(error)];
                assert!(options(&bytes[..available]).eq(expected), "{available}");
            }
            let last = NdpOption::Other {
                kind: 77,
                data: &bytes[10..],
            };
            assert!(options(&bytes).eq([Ok(NdpOption::Mtu(1500)), Ok(last)]));
            assert_eq!(last.to_string(), "type 77 length 16");
        }

        #[test]
        fn a_length_that_its_type_cannot_have_is_refused() {
            for (kind, right) in [(PREFIX_INFORMATION, 4), (MTU, 1)] {
                for units in 1..=255 {
                    let mut bytes = [0; MAX_OPTION_LEN];
                    bytes[..2].copy_from_slice(&[kind, units]);
                    let first = options(&bytes).next().unwrap();
                    if units == right {
                        assert_eq!(first.unwrap().kind(), kind);
                    } else {
                        let error =
                            ParseError::malformed(("NDP", "option length", 25), units.into());
                        assert_eq!(first, Err(error));
                    }
                }
            }
        }

        #[test]
        fn addresses_of_other_links_are_given_as_they_stand() {
            let bytes = [1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0];
            let data = &bytes[2..];
            let expected = NdpOption::Other { kind: 1, data };
            assert!(options(&bytes).eq([Ok(expected)]));
        }

        #[test]
        fn any_bytes_give_options_that_are_written_as_they_stood() {
            let mut random = Random(7);
            for _ in 0..20_000 {
                let len = random.below(120);
                let mut bytes = random.bytes(len);
                for byte in &mut bytes {
                    // Small numbers are types and lengths.
                    if random.below(3) > 0 {
                        *byte %= 6;
                    }
                }
                let all: Vec<_> = options(&bytes).collect();
                let good: Vec<_> = all.iter().copied().map_while(Result::ok).collect();
                assert!(good.len() + 1 >= all.len(), "nothing comes after an error");
                let used = NdpOption::total_len(&good);
                let mut written = vec![0xee; used];
                assert!(NdpOption::write_all(&good, &mut written));
                // The same but for reserved bytes, which are zero when written.
                assert!(options(&written).eq(good.into_iter().map(Ok)));
            }
        }

        #[test]
        fn what_does_not_fit_is_not_written() {
            let mtu = NdpOption::Mtu(1500);
            for room in [0, 7, 9, 16] {
                let mut bytes = vec![0xee; room];
                assert!(!NdpOption::write_all(&[mtu], &mut bytes));
                assert_eq!(bytes, vec![0xee; room]);
            }
            let longest = NdpOption::RedirectedHeader(&[7; MAX_OPTION_LEN - 8]);
            assert!(NdpOption::write_all(&[longest], &mut [0; MAX_OPTION_LEN]));
            let longer = NdpOption::RedirectedHeader(&[7; MAX_OPTION_LEN - 7]);
            assert!(!NdpOption::write_all(
                &[longer],
                &mut [0; MAX_OPTION_LEN + 8]
            ));
        }

        #[test]
        fn a_redirected_packet_of_any_length_is_padded() {
            let mut bytes = [0xee; 16];
            assert!(NdpOption::write_all(
                &[NdpOption::RedirectedHeader(&[1, 2, 3])],
                &mut bytes
            ));
            assert_eq!(bytes, [4, 2, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0]);
        }
    }
}
