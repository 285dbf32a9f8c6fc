//! What the versions of the Internet Protocol share.

#![forbid(unsafe_code)]

use std::fmt;

/// What an IP packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpProtocol(pub u8);

impl IpProtocol {
    /// IPv6 hop-by-hop options (RFC 8200, section 4.3).
    pub const IPV6_HOP_BY_HOP: Self = Self(0);
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: Self = Self(1);
    /// Internet Group Management Protocol (RFC 9776).
    pub const IGMP: Self = Self(2);
    /// An IPv4 packet within another (RFC 2003).
    pub const IPV4: Self = Self(4);
    /// TCP (RFC 9293).
    pub const TCP: Self = Self(6);
    /// UDP (RFC 768).
    pub const UDP: Self = Self(17);
    /// Datagram Congestion Control Protocol (RFC 4340).
    pub const DCCP: Self = Self(33);
    /// An IPv6 packet within another (RFC 2473).
    pub const IPV6: Self = Self(41);
    /// IPv6 routing header (RFC 8200, section 4.4).
    pub const IPV6_ROUTING: Self = Self(43);
    /// IPv6 fragment header (RFC 8200, section 4.5).
    pub const IPV6_FRAGMENT: Self = Self(44);
    /// Generic routing encapsulation (RFC 2784).
    pub const GRE: Self = Self(47);
    /// Encapsulating security payload (RFC 4303).
    pub const ESP: Self = Self(50);
    /// Authentication header (RFC 4302).
    pub const AH: Self = Self(51);
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: Self = Self(58);
    /// Nothing follows the IPv6 headers (RFC 8200, section 4.7).
    pub const IPV6_NO_NEXT: Self = Self(59);
    /// IPv6 destination options (RFC 8200, section 4.6).
    pub const IPV6_DESTINATION: Self = Self(60);
    /// Stream Control Transmission Protocol (RFC 9260).
    pub const SCTP: Self = Self(132);
    /// UDP with a checksum over a part of the datagram only (RFC 3828).
    pub const UDP_LITE: Self = Self(136);
    /// An MPLS label stack (RFC 4023).
    pub const MPLS: Self = Self(137);

    /// Whether this is an IPv6 header that tells what follows it.
    #[inline]
    pub(super) const fn is_ipv6_extension(self) -> bool {
        matches!(
            self,
            Self::IPV6_HOP_BY_HOP
                | Self::IPV6_ROUTING
                | Self::IPV6_FRAGMENT
                | Self::AH
                | Self::IPV6_DESTINATION
        )
    }
}

impl fmt::Display for IpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV6_HOP_BY_HOP => f.pad("IPv6 hop-by-hop"),
            Self::ICMP => f.pad("ICMP"),
            Self::IGMP => f.pad("IGMP"),
            Self::IPV4 => f.pad("IPv4"),
            Self::TCP => f.pad("TCP"),
            Self::UDP => f.pad("UDP"),
            Self::DCCP => f.pad("DCCP"),
            Self::IPV6 => f.pad("IPv6"),
            Self::IPV6_ROUTING => f.pad("IPv6 routing"),
            Self::IPV6_FRAGMENT => f.pad("IPv6 fragment"),
            Self::GRE => f.pad("GRE"),
            Self::ESP => f.pad("ESP"),
            Self::AH => f.pad("AH"),
            Self::ICMPV6 => f.pad("ICMPv6"),
            Self::IPV6_NO_NEXT => f.pad("no next header"),
            Self::IPV6_DESTINATION => f.pad("IPv6 destination"),
            Self::SCTP => f.pad("SCTP"),
            Self::UDP_LITE => f.pad("UDP-Lite"),
            Self::MPLS => f.pad("MPLS"),
            Self(other) => write!(f, "protocol {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_print_by_name_or_number() {
        assert_eq!(IpProtocol::UDP.to_string(), "UDP");
        assert_eq!(IpProtocol(89).to_string(), "protocol 89");
    }
}
