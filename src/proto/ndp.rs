//! Neighbor discovery for IPv6 (RFC 4861): messages of ICMPv6.

#![forbid(unsafe_code)]

use std::fmt;
use std::net::Ipv6Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::Icmpv6Type;
use crate::proto::icmpv6::checksummed;
use crate::proto::message::message;

mod options;

pub use options::{NdpOption, NdpOptions, PrefixInformation};

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

#[cfg(test)]
mod tests;
