//! The fields of single headers: a struct and a function for each protocol.

use std::ffi::{c_int, c_void};

use super::array::bytes;
use super::error::{count, malformed, null, quick};
use crate::error::Result;
use crate::proto::{Arp, Ethernet, IcmpEcho, Ipv4, Ipv6, Tcp, Udp, Vlan};

/// Writes a parsed header for the caller and returns its length.
///
/// # Safety
///
/// `to` is null or writable.
pub(super) unsafe fn put<T>(to: *mut T, header: T, len: usize) -> Result<c_int> {
    if to.is_null() {
        return Err(null("header"));
    }
    // SAFETY: not null, so writable as the caller promises.
    unsafe { to.write(header) };
    count(len as u32)
}

/// An Ethernet header, in host byte order.
#[repr(C)]
pub struct fluxcap_ethernet_header {
    /// To.
    pub destination: [u8; 6],
    /// From.
    pub source: [u8; 6],
    /// What follows: 0x0800 IPv4, 0x0806 ARP, ….
    pub ether_type: u16,
}

/// Reads the Ethernet header at the start of `data`.
///
/// Returns its length, 14, and fills in `*header`.
///
/// Errors:
/// - -EINVAL: there is none.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_ethernet_header_parse(
    data: *const c_void,
    len: usize,
    header: *mut fluxcap_ethernet_header,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (view, _) = Ethernet::parse(unsafe { bytes("data", data, len)? }).map_err(malformed)?;
        let value = fluxcap_ethernet_header {
            destination: view.destination().octets(),
            source: view.source().octets(),
            ether_type: view.ether_type().0,
        };
        // SAFETY: as the header asks.
        unsafe { put(header, value, Ethernet::LEN) }
    })
}

/// A VLAN tag (IEEE 802.1Q), in host byte order.
#[repr(C)]
pub struct fluxcap_vlan_header {
    /// Which VLAN; 0 for none.
    pub id: u16,
    /// What follows: 0x0800 IPv4, 0x86dd IPv6, 0x8100 another tag, ….
    pub ether_type: u16,
    /// Priority, 3 bits.
    pub priority: u8,
    /// 1 when this frame may be dropped before others.
    pub drop_eligible: u8,
}

/// Reads the VLAN tag at the start of `data`, which is behind the Ethernet header.
///
/// Returns its length, 4, and fills in `*header`.
///
/// Errors:
/// - -EINVAL: there is none.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_vlan_header_parse(
    data: *const c_void,
    len: usize,
    header: *mut fluxcap_vlan_header,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (view, _) = Vlan::parse(unsafe { bytes("data", data, len)? }).map_err(malformed)?;
        let value = fluxcap_vlan_header {
            id: view.id(),
            ether_type: view.ether_type().0,
            priority: view.priority(),
            drop_eligible: view.drop_eligible().into(),
        };
        // SAFETY: as the header asks.
        unsafe { put(header, value, Vlan::LEN) }
    })
}

/// An ARP message for IPv4 over Ethernet (RFC 826), in host byte order.
#[repr(C)]
pub struct fluxcap_arp_header {
    /// 1 request, 2 reply.
    pub operation: u16,
    /// From.
    pub sender_mac: [u8; 6],
    /// From.
    pub sender_ip: [u8; 4],
    /// To.
    pub target_mac: [u8; 6],
    /// To, or asked for.
    pub target_ip: [u8; 4],
}

/// Reads the ARP message at the start of `data`, which is behind the Ethernet header.
///
/// Returns its length, 28, and fills in `*header`.
///
/// Errors:
/// - -EINVAL: there is none.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_arp_header_parse(
    data: *const c_void,
    len: usize,
    header: *mut fluxcap_arp_header,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (view, _) = Arp::parse(unsafe { bytes("data", data, len)? }).map_err(malformed)?;
        let value = fluxcap_arp_header {
            operation: view.operation().0,
            sender_mac: view.sender_mac().octets(),
            sender_ip: view.sender_ip().octets(),
            target_mac: view.target_mac().octets(),
            target_ip: view.target_ip().octets(),
        };
        // SAFETY: as the header asks.
        unsafe { put(header, value, Arp::LEN) }
    })
}

/// An IPv4 header (RFC 791), in host byte order.
#[repr(C)]
pub struct fluxcap_ipv4_header {
    /// Length of the header with its options, in bytes.
    pub header_len: u8,
    /// Differentiated services codepoint, 6 bits.
    pub dscp: u8,
    /// Explicit congestion notification, 2 bits.
    pub ecn: u8,
    /// Time to live.
    pub ttl: u8,
    /// What follows: 1 ICMP, 6 TCP, 17 UDP, ….
    pub protocol: u8,
    /// 1 when routers must not fragment.
    pub dont_fragment: u8,
    /// 1 when more fragments follow.
    pub more_fragments: u8,
    /// 1 when the header checksum is right.
    pub checksum_ok: u8,
    /// Length of header and payload, in bytes. What is behind it is padding.
    pub total_length: u16,
    /// Groups fragments.
    pub identification: u16,
    /// Where this fragment belongs, in bytes.
    pub fragment_offset: u16,
    /// The header checksum as it stands.
    pub header_checksum: u16,
    /// From.
    pub source: [u8; 4],
    /// To.
    pub destination: [u8; 4],
}

/// Reads the IPv4 header at the start of `data`, which is behind the Ethernet header.
///
/// Returns its length with options, and fills in `*header`.
///
/// Errors:
/// - -EINVAL: there is none, or its `total_length` exceeds `len`.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_ipv4_header_parse(
    data: *const c_void,
    len: usize,
    header: *mut fluxcap_ipv4_header,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (view, _) = Ipv4::parse(unsafe { bytes("data", data, len)? }).map_err(malformed)?;
        let value = fluxcap_ipv4_header {
            header_len: view.header_len() as u8,
            dscp: view.dscp(),
            ecn: view.ecn(),
            ttl: view.ttl(),
            protocol: view.protocol().0,
            dont_fragment: view.dont_fragment().into(),
            more_fragments: view.more_fragments().into(),
            checksum_ok: view.verify_checksum().into(),
            total_length: view.total_length(),
            identification: view.identification(),
            fragment_offset: view.fragment_offset(),
            header_checksum: view.header_checksum(),
            source: view.source().octets(),
            destination: view.destination().octets(),
        };
        // SAFETY: as the header asks.
        unsafe { put(header, value, view.header_len()) }
    })
}

/// An IPv6 header (RFC 8200) and what its extension headers tell, in host byte order.
#[repr(C)]
pub struct fluxcap_ipv6_header {
    /// From.
    pub source: [u8; 16],
    /// To.
    pub destination: [u8; 16],
    /// Which packets belong to one flow, 20 bits.
    pub flow_label: u32,
    /// Groups fragments; 0 when this is none.
    pub identification: u32,
    /// Length of extension headers and payload, in bytes. What is behind it is padding.
    pub payload_length: u16,
    /// Where this fragment belongs, in bytes. Fragments but the first lack the header of
    /// `protocol`.
    pub fragment_offset: u16,
    /// Differentiated services codepoint, 6 bits.
    pub dscp: u8,
    /// Explicit congestion notification, 2 bits.
    pub ecn: u8,
    /// How many more hops the packet may take.
    pub hop_limit: u8,
    /// What follows this header: an extension header, or the same as `protocol`.
    pub next_header: u8,
    /// What follows the extension headers: 6 TCP, 17 UDP, 58 ICMPv6, ….
    pub protocol: u8,
    /// 1 when more fragments follow.
    pub more_fragments: u8,
    /// 1 when a routing header tells the last destination, and `destination` is a station on the
    /// way.
    pub source_routed: u8,
    /// 1 when a destination option tells the home address of a mobile node (RFC 6275), and `source`
    /// is where it is now.
    pub home_address: u8,
}

const _: () = assert!(size_of::<fluxcap_ipv6_header>() == 52);

/// Reads the IPv6 header and its extension headers at the start of `data`.
///
/// `data` is what is behind the Ethernet header.
///
/// Returns the length with extension headers, behind which `protocol` starts, and fills in
/// `*header`.
///
/// Errors:
/// - -EINVAL: there is none, its `payload_length` exceeds `len`, or there are more than eight
///   extension headers.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_ipv6_header_parse(
    data: *const c_void,
    len: usize,
    header: *mut fluxcap_ipv6_header,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (view, payload) =
            Ipv6::parse(unsafe { bytes("data", data, len)? }).map_err(malformed)?;
        let upper = view.upper_layer(payload).map_err(malformed)?;
        let value = fluxcap_ipv6_header {
            source: view.source().octets(),
            destination: view.destination().octets(),
            flow_label: view.flow_label(),
            identification: upper.fragment.map_or(0, |part| part.identification),
            payload_length: view.payload_length(),
            fragment_offset: upper.fragment.map_or(0, |part| part.offset),
            dscp: view.dscp(),
            ecn: view.ecn(),
            hop_limit: view.hop_limit(),
            next_header: view.next_header().0,
            protocol: upper.protocol.0,
            more_fragments: upper
                .fragment
                .is_some_and(|part| part.more_fragments)
                .into(),
            source_routed: upper.is_source_routed.into(),
            home_address: upper.home_address.is_some().into(),
        };
        // SAFETY: as the header asks.
        unsafe { put(header, value, Ipv6::LEN + upper.offset) }
    })
}

/// An ICMP echo request or reply (RFC 792), in host byte order.
#[repr(C)]
pub struct fluxcap_icmp_echo_header {
    /// 8 request, 0 reply.
    pub icmp_type: u8,
    /// 1 when the checksum over header and data is right.
    pub checksum_ok: u8,
    /// The checksum as it stands.
    pub checksum: u16,
    /// Who asks.
    pub identifier: u16,
    /// Which question.
    pub sequence: u16,
}

/// Reads the ICMP echo message at the start of `data`.
///
/// `data` ends with the message, so that its checksum can be checked.
///
/// Returns the length of its header, 8, and fills in `*header`.
///
/// Errors:
/// - -EINVAL: it is no echo request or reply.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_icmp_echo_header_parse(
    data: *const c_void,
    len: usize,
    header: *mut fluxcap_icmp_echo_header,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (view, rest) =
            IcmpEcho::parse(unsafe { bytes("data", data, len)? }).map_err(malformed)?;
        let value = fluxcap_icmp_echo_header {
            icmp_type: view.icmp_type().0,
            checksum_ok: view.verify_checksum(rest).into(),
            checksum: view.checksum(),
            identifier: view.identifier(),
            sequence: view.sequence(),
        };
        // SAFETY: as the header asks.
        unsafe { put(header, value, IcmpEcho::LEN) }
    })
}

/// A UDP header (RFC 768), in host byte order.
#[repr(C)]
pub struct fluxcap_udp_header {
    /// From.
    pub source_port: u16,
    /// To.
    pub destination_port: u16,
    /// Length of header and payload, in bytes.
    pub length: u16,
    /// The checksum as it stands; 0 for none.
    pub checksum: u16,
}

/// Reads the UDP header at the start of `data`, which is behind the IP header.
///
/// Returns its length, 8, and fills in `*header`.
///
/// Errors:
/// - -EINVAL: there is none, or its `length` exceeds `len`.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_udp_header_parse(
    data: *const c_void,
    len: usize,
    header: *mut fluxcap_udp_header,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (view, _) = Udp::parse(unsafe { bytes("data", data, len)? }).map_err(malformed)?;
        let value = fluxcap_udp_header {
            source_port: view.source_port(),
            destination_port: view.destination_port(),
            length: view.length(),
            checksum: view.checksum(),
        };
        // SAFETY: as the header asks.
        unsafe { put(header, value, Udp::LEN) }
    })
}

/// TCP control bit: no more data.
pub const FLUXCAP_TCP_FIN: u32 = 0x01;
/// TCP control bit: opens a connection.
pub const FLUXCAP_TCP_SYN: u32 = 0x02;
/// TCP control bit: resets the connection.
pub const FLUXCAP_TCP_RST: u32 = 0x04;
/// TCP control bit: the data should reach the program at once.
pub const FLUXCAP_TCP_PSH: u32 = 0x08;
/// TCP control bit: the acknowledgment number counts.
pub const FLUXCAP_TCP_ACK: u32 = 0x10;
/// TCP control bit: the urgent pointer counts.
pub const FLUXCAP_TCP_URG: u32 = 0x20;
/// TCP control bit: congestion was met (RFC 3168).
pub const FLUXCAP_TCP_ECE: u32 = 0x40;
/// TCP control bit: the congestion window was reduced (RFC 3168).
pub const FLUXCAP_TCP_CWR: u32 = 0x80;

/// A TCP header (RFC 9293), in host byte order.
#[repr(C)]
pub struct fluxcap_tcp_header {
    /// Number of the first byte of data.
    pub sequence_number: u32,
    /// Number of the next byte expected, with FLUXCAP_TCP_ACK.
    pub acknowledgment_number: u32,
    /// From.
    pub source_port: u16,
    /// To.
    pub destination_port: u16,
    /// How many bytes the sender has room for, before scaling.
    pub window: u16,
    /// The checksum as it stands.
    pub checksum: u16,
    /// Where urgent data end, with FLUXCAP_TCP_URG.
    pub urgent_pointer: u16,
    /// Length of the header with its options, in bytes. The options start at byte 20.
    pub header_len: u8,
    /// FLUXCAP_TCP_…, joined with |.
    pub flags: u8,
}

/// Reads the TCP header at the start of `data`, which is behind the IP header.
///
/// Returns its length with options, and fills in `*header`.
///
/// Errors:
/// - -EINVAL: there is none.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_tcp_header_parse(
    data: *const c_void,
    len: usize,
    header: *mut fluxcap_tcp_header,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (view, _) = Tcp::parse(unsafe { bytes("data", data, len)? }).map_err(malformed)?;
        let value = fluxcap_tcp_header {
            sequence_number: view.sequence_number(),
            acknowledgment_number: view.acknowledgment_number(),
            source_port: view.source_port(),
            destination_port: view.destination_port(),
            window: view.window(),
            checksum: view.checksum(),
            urgent_pointer: view.urgent_pointer(),
            header_len: view.header_len() as u8,
            flags: view.flags().0,
        };
        // SAFETY: as the header asks.
        unsafe { put(header, value, view.header_len()) }
    })
}
