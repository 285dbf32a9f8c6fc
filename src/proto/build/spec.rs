//! What a header says that the builder cannot know.

#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::proto::{Ipv4, Ipv6, Tcp, TcpFlags};

/// An IPv4 header to write (RFC 791), but for what the builder fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Spec {
    /// Who sends the packet.
    pub source: Ipv4Addr,
    /// Whom it is for.
    pub destination: Ipv4Addr,
    /// Time to live: how many hops the packet may take.
    pub ttl: u8,
    /// Differentiated services code point (RFC 2474), 0 to 63.
    pub dscp: u8,
    /// Explicit congestion notification (RFC 3168), 0 to 3.
    pub ecn: u8,
    /// Which fragments belong together; without meaning where there are none.
    pub identification: u16,
    /// Whether routers must drop this packet instead of fragmenting it.
    pub dont_fragment: bool,
    /// Whether this is a fragment, but not the last.
    pub more_fragments: bool,
    /// Where this fragment's payload goes in the whole one, in bytes: a multiple of 8.
    pub fragment_offset: u16,
}

impl Ipv4Spec {
    /// A whole packet that must not be fragmented, of 64 hops and all else 0.
    #[inline]
    #[must_use]
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            source,
            destination,
            ttl: 64,
            dscp: 0,
            ecn: 0,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
        }
    }
}

/// What a header that was parsed says, to write one like it.
impl From<&Ipv4> for Ipv4Spec {
    #[inline]
    fn from(ip: &Ipv4) -> Self {
        Self {
            source: ip.source(),
            destination: ip.destination(),
            ttl: ip.ttl(),
            dscp: ip.dscp(),
            ecn: ip.ecn(),
            identification: ip.identification(),
            dont_fragment: ip.dont_fragment(),
            more_fragments: ip.more_fragments(),
            fragment_offset: ip.fragment_offset(),
        }
    }
}

/// An IPv6 header to write (RFC 8200), but for what the builder fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Spec {
    /// Who sends the packet.
    pub source: Ipv6Addr,
    /// Whom it is for; with a routing header, the next station on the way.
    pub destination: Ipv6Addr,
    /// How many hops the packet may take.
    pub hop_limit: u8,
    /// Differentiated services code point (RFC 2474), 0 to 63.
    pub dscp: u8,
    /// Explicit congestion notification (RFC 3168), 0 to 3.
    pub ecn: u8,
    /// Which packets belong to one flow (RFC 6437), 20 bits; 0 for none.
    pub flow_label: u32,
}

impl Ipv6Spec {
    /// A packet of 64 hops and all else 0.
    #[inline]
    #[must_use]
    pub const fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            source,
            destination,
            hop_limit: 64,
            dscp: 0,
            ecn: 0,
            flow_label: 0,
        }
    }
}

/// What a header that was parsed says, to write one like it.
impl From<&Ipv6> for Ipv6Spec {
    #[inline]
    fn from(ip: &Ipv6) -> Self {
        Self {
            source: ip.source(),
            destination: ip.destination(),
            hop_limit: ip.hop_limit(),
            dscp: ip.dscp(),
            ecn: ip.ecn(),
            flow_label: ip.flow_label(),
        }
    }
}

/// A TCP header to write (RFC 9293), but for what the builder fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSpec {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// The control bits.
    pub flags: TcpFlags,
    /// The reserved bits in front of them, 0 to 15; 0 for whoever does not use them.
    pub reserved: u8,
    /// Number of the first byte of data; with SYN, that before it.
    pub sequence_number: u32,
    /// Number of the next byte expected, with [`TcpFlags::ACK`].
    pub acknowledgment_number: u32,
    /// How many bytes the sender has room for, before scaling.
    pub window: u16,
    /// Where urgent data end, with [`TcpFlags::URG`].
    pub urgent_pointer: u16,
}

impl TcpSpec {
    /// A segment with the largest window and all else 0.
    #[inline]
    #[must_use]
    pub const fn new(source_port: u16, destination_port: u16, flags: TcpFlags) -> Self {
        Self {
            source_port,
            destination_port,
            flags,
            reserved: 0,
            sequence_number: 0,
            acknowledgment_number: 0,
            window: u16::MAX,
            urgent_pointer: 0,
        }
    }
}

/// What a header that was parsed says, to write one like it.
impl From<&Tcp> for TcpSpec {
    #[inline]
    fn from(tcp: &Tcp) -> Self {
        Self {
            source_port: tcp.source_port(),
            destination_port: tcp.destination_port(),
            flags: tcp.flags(),
            reserved: tcp.reserved(),
            sequence_number: tcp.sequence_number(),
            acknowledgment_number: tcp.acknowledgment_number(),
            window: tcp.window(),
            urgent_pointer: tcp.urgent_pointer(),
        }
    }
}
