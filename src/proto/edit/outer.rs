//! The headers that carry a tunnel.

#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{EditError, put};
use crate::proto::checksum::{self, PseudoHeader};
use crate::proto::locate::Location;
use crate::proto::{EtherType, Ethernet, IpProtocol, Ipv4, Ipv6, MacAddr, ParseError, Room};

/// The Ethernet and IP headers in front of a tunnel: from where to where it leads.
///
/// An IPv4 packet must not be fragmented on its way (RFC 7348, section 4.3; RFC 6864: so its identification means nothing and is 0).
///
/// ```
/// use std::net::Ipv4Addr;
/// use fluxcap::proto::{MacAddr, edit::Outer};
///
/// let (us, router) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
/// let here = Ipv4Addr::new(192, 0, 2, 1);
/// let there = Ipv4Addr::new(198, 51, 100, 1);
/// let outer = Outer::ipv4((us, router), (here, there)).hops(32).dscp(46);
/// assert_eq!(outer.len(), 34);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outer {
    source_mac: MacAddr,
    destination_mac: MacAddr,
    addresses: Addresses,
    hops: u8,
    /// DSCP and ECN.
    traffic_class: u8,
}

/// Source and destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addresses {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Outer {
    /// Over IPv4; both pairs are source and destination. 64 hops, no traffic class.
    #[inline]
    #[must_use]
    pub const fn ipv4(mac: (MacAddr, MacAddr), ip: (Ipv4Addr, Ipv4Addr)) -> Self {
        Self::new(mac, Addresses::V4(ip.0, ip.1))
    }

    /// Over IPv6; both pairs are source and destination. 64 hops, no traffic class.
    #[inline]
    #[must_use]
    pub const fn ipv6(mac: (MacAddr, MacAddr), ip: (Ipv6Addr, Ipv6Addr)) -> Self {
        Self::new(mac, Addresses::V6(ip.0, ip.1))
    }

    #[inline]
    const fn new((source_mac, destination_mac): (MacAddr, MacAddr), addresses: Addresses) -> Self {
        Self {
            source_mac,
            destination_mac,
            addresses,
            hops: 64,
            traffic_class: 0,
        }
    }

    /// Sets how many hops the packet may take: time to live or hop limit.
    #[inline]
    #[must_use]
    pub const fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// Sets the differentiated services code point (RFC 2474), of which the lower 6 bits count.
    #[inline]
    #[must_use]
    pub const fn dscp(mut self, dscp: u8) -> Self {
        self.traffic_class = dscp << 2 | self.traffic_class & 3;
        self
    }

    /// Sets the explicit congestion notification, of which the lower 2 bits count: that of the inner packet (RFC 6040), which is not
    /// looked at here.
    #[inline]
    #[must_use]
    pub const fn ecn(mut self, ecn: u8) -> Self {
        self.traffic_class = self.traffic_class & !3 | ecn & 3;
        self
    }

    /// Length of both headers in bytes: 34 or 54.
    #[inline]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub const fn len(&self) -> usize {
        Ethernet::LEN
            + match self.addresses {
                Addresses::V4(..) => Ipv4::LEN,
                Addresses::V6(..) => Ipv6::LEN,
            }
    }

    #[inline]
    pub(super) const fn is_ipv6(&self) -> bool {
        matches!(self.addresses, Addresses::V6(..))
    }

    #[inline]
    pub(super) fn pseudo_header(&self) -> PseudoHeader {
        match self.addresses {
            Addresses::V4(source, destination) => PseudoHeader::ipv4(source, destination),
            Addresses::V6(source, destination) => PseudoHeader::ipv6(source, destination),
        }
    }

    /// What the length field says over an IP payload of `len` bytes.
    #[inline]
    pub(super) fn length_field(&self, len: usize) -> Result<u16, EditError> {
        let len = match self.addresses {
            Addresses::V4(..) => len.saturating_add(Ipv4::LEN),
            Addresses::V6(..) => len,
        };
        u16::try_from(len).map_err(|_| EditError::TooLong { len })
    }

    /// Writes the headers at the start of `frame`; `length` is what [`length_field`](Self::length_field) gave.
    #[inline]
    pub(super) fn write(&self, frame: &mut [u8], protocol: IpProtocol, length: u16) {
        let ether_type = match self.addresses {
            Addresses::V4(source, destination) => {
                let header = self.ipv4_header((source, destination), protocol, length);
                put(frame, Ethernet::LEN, header);
                EtherType::IPV4
            }
            Addresses::V6(source, destination) => {
                let [high, low] = length.to_be_bytes();
                let (class, protocol) = (self.traffic_class, protocol.0);
                let fixed = [
                    0x60 | class >> 4,
                    class << 4,
                    0,
                    0,
                    high,
                    low,
                    protocol,
                    self.hops,
                ];
                put(frame, Ethernet::LEN, fixed);
                put(frame, Ethernet::LEN + 8, source.octets());
                put(frame, Ethernet::LEN + 24, destination.octets());
                EtherType::IPV6
            }
        };
        if let Ok((ethernet, _)) = Ethernet::parse_mut(frame) {
            ethernet.set_destination(self.destination_mac);
            ethernet.set_source(self.source_mac);
            ethernet.set_ether_type(ether_type);
        }
    }

    #[inline]
    fn ipv4_header(
        &self,
        (source, destination): (Ipv4Addr, Ipv4Addr),
        protocol: IpProtocol,
        length: u16,
    ) -> [u8; Ipv4::LEN] {
        let [high, low] = length.to_be_bytes();
        let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (source.octets(), destination.octets());
        let with = |[c0, c1]: [u8; 2]| {
            [
                0x45,
                self.traffic_class,
                high,
                low, //
                0,
                0,
                0x40,
                0, // not a fragment, and not to become one
                self.hops,
                protocol.0,
                c0,
                c1, //
                s0,
                s1,
                s2,
                s3,
                d0,
                d1,
                d2,
                d3,
            ]
        };
        with(checksum::checksum(&with([0, 0])).to_be_bytes())
    }
}

/// The message that carries a tunnel over `protocol`: whole, behind Ethernet, VLAN tags and IP.
#[inline]
pub(super) fn message(
    packet: &(impl Room + ?Sized),
    protocol: IpProtocol,
    name: &'static str,
) -> Result<Location, EditError> {
    let found = Location::find(packet.bytes())?;
    let location = found.ok_or(EditError::Absent(name))?;
    if location.protocol != protocol {
        return Err(EditError::Absent(name));
    }
    if location.is_fragment {
        return Err(EditError::Fragment);
    }
    Ok(location)
}

/// Refuses a frame in a tunnel that is too short for an Ethernet header; it starts at byte `start`.
#[inline]
pub(super) fn check_frame(frame: &[u8], start: usize) -> Result<(), ParseError> {
    Ethernet::parse(frame)
        .map(drop)
        .map_err(|error| error.at(start))
}
