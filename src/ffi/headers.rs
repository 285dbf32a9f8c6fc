//! More protocol views in C: what firewalls and load balancers look at.

use std::ffi::{c_int, c_void};

use super::array::bytes;
use super::error::quick;
use super::proto::{malformed, put};
use crate::proto::{Ipv6, Tcp, Udp, Vlan};

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
