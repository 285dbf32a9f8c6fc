//! Where the headers of a packet are, and what they say.
//!
//! fluxcap_parse() finds all headers of a packet in one pass, and has the fields that most programs
//! look at; fluxcap_packets_parse() does so for an array. Where you need every field of one header,
//! the function of that protocol reads it from its place: fluxcap_ipv4_header_parse() at
//! `l3_offset`, fluxcap_tcp_header_parse() at `l4_offset`. Then there are checksums, and a line of
//! text about a packet.
//!
//! ```c
//! // Whether a packet opens a TCP connection to this port.
//! static int opens(const struct fluxcap_packet *packet, uint16_t port)
//! {
//!     struct fluxcap_headers headers = {0};
//!
//!     headers.struct_size = sizeof(headers);
//!     return fluxcap_parse(packet->data, packet->len, 0, NULL, &headers) == 0 &&
//!            (headers.flags & FLUXCAP_HEADERS_TCP) != 0 && headers.destination_port == port &&
//!            (headers.tcp_flags & (FLUXCAP_TCP_SYN | FLUXCAP_TCP_ACK)) == FLUXCAP_TCP_SYN;
//! }
//! ```

use std::ffi::{c_char, c_int, c_void};
use std::net::IpAddr;
use std::slice;

use super::array::{MAX_PACKETS, bytes, entries, print};
use super::callback::fluxcap_packet_ref;
use super::error::{count as counted, malformed, quick};
use super::packet::fluxcap_packet;
use super::sized::{self, Sized32};
use crate::error::{FluxError, Result};
use crate::proto::{EtherType, Headers, ParseError, Parser, Tunnel, summary};

/// What packets are parsed as in networks that use other numbers than the standards.
///
/// A list of fewer than four numbers ends with 0. All 0 is the same as no parser.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_parser {
    /// sizeof(struct fluxcap_parser).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// What announces a VLAN tag besides 0x8100 and 0x88a8: devices from before IEEE 802.1ad use
    /// 0x9100, 0x9200 and 0x9300.
    pub vlan_types: [u16; 4],
    /// UDP ports that VXLAN comes to besides 4789: 8472 is what Linux takes unless told otherwise.
    pub vxlan_ports: [u16; 4],
    /// UDP ports that GRE comes to, such as 4754 (RFC 8086).
    pub gre_ports: [u16; 4],
}

// SAFETY: `repr(C)`, plain numbers without padding, the first a `u32`.
unsafe impl Sized32 for fluxcap_parser {
    const NAME: &'static str = "fluxcap_parser";
}

const _: () = assert!(size_of::<fluxcap_parser>() == 32);

impl fluxcap_parser {
    /// Calls `then` with the parser that this describes.
    pub(super) fn with<R>(&self, then: impl FnOnce(&Parser<'_>) -> Result<R>) -> Result<R> {
        if self.reserved != 0 {
            return Err(FluxError::invalid(
                "struct fluxcap_parser",
                "reserved is not 0",
                "set all that is not used to zero",
            ));
        }
        let vlan_types = self.vlan_types.map(EtherType);
        let up_to_0 = |numbers: &[u16; 4]| {
            let end = numbers.iter().position(|&number| number == 0);
            end.unwrap_or(numbers.len())
        };
        let parser = Parser::new()
            .vlan_types(&vlan_types[..up_to_0(&self.vlan_types)])
            .vxlan_ports(&self.vxlan_ports[..up_to_0(&self.vxlan_ports)])
            .gre_ports(&self.gre_ports[..up_to_0(&self.gre_ports)]);
        then(&parser)
    }
}

/// Look into tunnels (GRE, VXLAN, IP in IP): the headers are those of the innermost packet.
pub const FLUXCAP_PARSE_TUNNELS: u32 = 0x01;
/// Of a packet that is cut short or damaged, tell what can be read, and set
/// FLUXCAP_HEADERS_PARTIAL.
pub const FLUXCAP_PARSE_PARTIAL: u32 = 0x02;

/// Knows the standards' numbers alone.
static STANDARD: Parser<'static> = Parser::new();

/// There is an Ethernet header at `start`.
pub const FLUXCAP_HEADERS_ETHERNET: u32 = 0x01;
/// There is a header of `protocol`, known or not, at `l4_offset`.
pub const FLUXCAP_HEADERS_L4: u32 = 0x02;
/// `source_port` and `destination_port` are there.
pub const FLUXCAP_HEADERS_PORTS: u32 = 0x04;
/// `tcp_flags` are there.
pub const FLUXCAP_HEADERS_TCP: u32 = 0x08;
/// `icmp_type` and `icmp_code` are there.
pub const FLUXCAP_HEADERS_ICMP: u32 = 0x10;
/// The IP packet is a part only.
pub const FLUXCAP_HEADERS_FRAGMENT: u32 = 0x20;
/// The IP packet is a fragment other than the first, which lacks the header of `protocol`.
pub const FLUXCAP_HEADERS_LATER_FRAGMENT: u32 = 0x40;
/// An IPv6 routing header or an IPv4 option tells the last destination, and `destination_ip` is a
/// station on the way.
pub const FLUXCAP_HEADERS_SOURCE_ROUTED: u32 = 0x80;
/// The packet is cut short or damaged: this is what can be read.
pub const FLUXCAP_HEADERS_PARTIAL: u32 = 0x100;
/// An IPv6 destination option tells the home address of a mobile node (RFC 6275), which checksums
/// cover; `source_ip` is where it is now.
pub const FLUXCAP_HEADERS_HOME_ADDRESS: u32 = 0x200;

/// `tunnel`: an IP packet directly in another.
pub const FLUXCAP_IN_IP: u32 = 1;
/// `tunnel`: generic routing encapsulation.
pub const FLUXCAP_IN_GRE: u32 = 2;
/// `tunnel`: VXLAN, on UDP port 4789 or those of a struct fluxcap_parser.
pub const FLUXCAP_IN_VXLAN: u32 = 3;

/// Where the headers of a packet are, from Ethernet to TCP, UDP and ICMP, and the fields that most
/// programs look at, in host byte order. Offsets are in bytes from the start of what was parsed.
/// What is not there is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_headers {
    /// sizeof(struct fluxcap_headers).
    pub struct_size: u32,
    /// FLUXCAP_HEADERS_…, joined with |.
    pub flags: u32,
    /// Where the packet starts: 0, but for the inner one of a tunnel.
    pub start: u32,
    /// Where the IP header starts, if ip_version is not 0.
    pub l3_offset: u32,
    /// Where the header of `protocol` starts, with FLUXCAP_HEADERS_L4.
    pub l4_offset: u32,
    /// Where the payload starts: all behind the last header that is known.
    pub payload_offset: u32,
    /// Where the payload ends: `end`, or before it where a UDP datagram is shorter than its packet.
    pub payload_end: u32,
    /// Where the packet ends; padding may follow.
    pub end: u32,
    /// What the frame carries, behind its VLAN tags, or LLC with SNAP: 0x0800 IPv4, 0x86dd IPv6,
    /// 0x8847 MPLS, …; below 0x0600, an IEEE 802.3 length.
    pub ether_type: u16,
    /// The outermost of `vlan_tags`: priority, drop eligible, VLAN id, 3 + 1 + 12 bits.
    pub outer_tag: u16,
    /// The innermost of several `vlan_tags`, likewise.
    pub inner_tag: u16,
    /// From, with FLUXCAP_HEADERS_PORTS.
    pub source_port: u16,
    /// To, with FLUXCAP_HEADERS_PORTS.
    pub destination_port: u16,
    /// 4 or 6; 0 when this is no IP packet.
    pub ip_version: u8,
    /// What the IP packet carries, behind IPv6 extension headers: 1 ICMP, 6 TCP, 17 UDP, ….
    pub protocol: u8,
    /// Differentiated services codepoint, 6 bits.
    pub dscp: u8,
    /// Explicit congestion notification, 2 bits.
    pub ecn: u8,
    /// How many more hops the packet may take.
    pub ttl: u8,
    /// FLUXCAP_TCP_…, joined with |, with FLUXCAP_HEADERS_TCP.
    pub tcp_flags: u8,
    /// With FLUXCAP_HEADERS_ICMP.
    pub icmp_type: u8,
    /// With FLUXCAP_HEADERS_ICMP.
    pub icmp_code: u8,
    /// The number of VLAN tags, at most four: what is behind four is not parsed.
    pub vlan_tags: u8,
    /// How many MPLS labels there are.
    pub mpls_labels: u8,
    /// What the packet was taken out of, FLUXCAP_IN_…; 0 when it is no inner one.
    pub tunnel: u8,
    /// 0.
    pub reserved: [u8; 3],
    /// From; of version 4, the first four bytes.
    pub source_ip: [u8; 16],
    /// To; of version 4, the first four bytes.
    pub destination_ip: [u8; 16],
}

// SAFETY: `repr(C)`, plain numbers without padding, the first a `u32`.
unsafe impl Sized32 for fluxcap_headers {
    const NAME: &'static str = "fluxcap_headers";
}

const _: () = assert!(size_of::<fluxcap_headers>() == 88);

impl fluxcap_headers {
    #[inline]
    fn new(headers: &Headers, packet: &[u8]) -> Self {
        let (source_port, destination_port) = headers.ports().unwrap_or_default();
        let (icmp_type, icmp_code) = headers.icmp().unwrap_or_default();
        Self {
            struct_size: 0,
            flags: flags(headers),
            start: headers.start() as u32,
            l3_offset: headers.l3_offset().unwrap_or(0) as u32,
            l4_offset: headers.l4_offset().unwrap_or(0) as u32,
            payload_offset: headers.payload_offset() as u32,
            payload_end: headers.payload_end() as u32,
            end: headers.end() as u32,
            ether_type: headers.ether_type().0,
            outer_tag: headers.outer_tag().unwrap_or(0),
            inner_tag: headers.inner_tag().unwrap_or(0),
            source_port,
            destination_port,
            ip_version: headers.ip_version().unwrap_or(0),
            protocol: headers.protocol().map_or(0, |protocol| protocol.0),
            dscp: headers.dscp(),
            ecn: headers.ecn(),
            ttl: headers.ttl(),
            tcp_flags: headers.tcp_flags().unwrap_or_default().0,
            icmp_type,
            icmp_code,
            vlan_tags: headers.vlan_tags() as u8,
            mpls_labels: headers.mpls_labels() as u8,
            tunnel: headers.tunnel().map_or(0, tunnel) as u8,
            reserved: [0; 3],
            source_ip: address(headers.source_ip(packet)),
            destination_ip: address(headers.destination_ip(packet)),
        }
    }
}

#[inline]
fn flags(headers: &Headers) -> u32 {
    let bit = |is_set: bool, bit: u32| if is_set { bit } else { 0 };
    bit(headers.has_ethernet(), FLUXCAP_HEADERS_ETHERNET)
        | bit(headers.l4_offset().is_some(), FLUXCAP_HEADERS_L4)
        | bit(headers.ports().is_some(), FLUXCAP_HEADERS_PORTS)
        | bit(headers.tcp_flags().is_some(), FLUXCAP_HEADERS_TCP)
        | bit(headers.icmp().is_some(), FLUXCAP_HEADERS_ICMP)
        | bit(headers.is_fragment(), FLUXCAP_HEADERS_FRAGMENT)
        | bit(headers.is_later_fragment(), FLUXCAP_HEADERS_LATER_FRAGMENT)
        | bit(headers.is_source_routed(), FLUXCAP_HEADERS_SOURCE_ROUTED)
        | bit(headers.is_partial(), FLUXCAP_HEADERS_PARTIAL)
        | bit(headers.has_home_address(), FLUXCAP_HEADERS_HOME_ADDRESS)
}

const fn tunnel(tunnel: Tunnel) -> u32 {
    match tunnel {
        Tunnel::Ip => FLUXCAP_IN_IP,
        Tunnel::Gre => FLUXCAP_IN_GRE,
        Tunnel::Vxlan => FLUXCAP_IN_VXLAN,
    }
}

#[inline]
fn address(ip: Option<IpAddr>) -> [u8; 16] {
    match ip {
        Some(IpAddr::V4(ip)) => {
            let [a, b, c, d] = ip.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        Some(IpAddr::V6(ip)) => ip.octets(),
        None => [0; 16],
    }
}

/// What a call asks for.
fn check(flags: u32) -> Result<()> {
    if flags & !(FLUXCAP_PARSE_TUNNELS | FLUXCAP_PARSE_PARTIAL) == 0 {
        return Ok(());
    }
    Err(FluxError::invalid(
        format_args!("flags of {flags:#x}"),
        "they have bits that this version does not know",
        "join FLUXCAP_PARSE_… with |",
    ))
}

/// The headers, and what is wrong if they are partial.
// A function of its own, so that a test finds the whole of it in the compiled library.
#[inline(never)]
fn parse_headers(
    parser: &Parser<'_>,
    packet: &[u8],
    flags: u32,
) -> std::result::Result<Headers, ParseError> {
    if flags & FLUXCAP_PARSE_TUNNELS == 0 {
        parser.parse(packet)
    } else {
        parser.parse_tunnels(packet)
    }
}

/// The headers for the caller, and what is wrong if they are partial.
#[inline]
fn read(parser: &Parser<'_>, packet: &[u8], flags: u32) -> (fluxcap_headers, Option<ParseError>) {
    match parse_headers(parser, packet, flags) {
        Ok(headers) => (fluxcap_headers::new(&headers, packet), None),
        Err(error) => (read_what_is_there(parser, packet, flags), Some(error)),
    }
}

#[cold]
#[inline(never)]
fn read_what_is_there(parser: &Parser<'_>, packet: &[u8], flags: u32) -> fluxcap_headers {
    let (mut headers, _) = parser.parse_partial(packet);
    if flags & FLUXCAP_PARSE_TUNNELS != 0 {
        for _ in 0..Headers::MAX_TUNNELS {
            match parser.inner_partial(&headers, packet) {
                Some((inner, _)) => headers = inner,
                None => break,
            }
        }
    }
    let mut value = fluxcap_headers::new(&headers, packet);
    // Also where it is the tunnel's own header that is cut short.
    value.flags |= FLUXCAP_HEADERS_PARTIAL;
    value
}

/// Finds all headers of `data`, a packet that begins with its Ethernet header, in one pass.
///
/// VLAN tags, MPLS labels, IPv4, IPv6 with its extension headers, TCP, UDP, ICMP. Unknown protocols
/// are payload. Checksums are not looked at. `flags` are FLUXCAP_PARSE_…, joined with |, or 0.
/// `parser` is for networks that use other numbers than the standards; NULL: the standards.
///
/// Returns 0, and fills in `*headers`, whose `struct_size` must be set.
///
/// Errors:
/// - -EINVAL: a header is cut short or a length cannot be, and fluxcap_last_error() names field and
///   offset; with FLUXCAP_PARSE_PARTIAL that is 0 and FLUXCAP_HEADERS_PARTIAL. Or `flags` has
///   unknown bits.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_parse(
    data: *const c_void,
    len: usize,
    flags: u32,
    parser: *const fluxcap_parser,
    headers: *mut fluxcap_headers,
) -> c_int {
    // SAFETY: as the header asks.
    quick(|| unsafe {
        parsing(parser, |parser| {
            parse_one(parser, data, len, flags, headers)
        })
    })
}

/// Calls `then` with the parser that the struct describes, or that of the standards for null.
///
/// # Safety
///
/// `parser` is null or as long as its `struct_size` says.
#[inline]
unsafe fn parsing(
    parser: *const fluxcap_parser,
    then: impl FnOnce(&Parser<'_>) -> Result<c_int>,
) -> Result<c_int> {
    if parser.is_null() {
        return then(&STANDARD);
    }
    // SAFETY: as the caller promises.
    unsafe { sized::read("parser", parser)? }.with(then)
}

/// # Safety
///
/// `data` is null or points to `len` readable bytes; `headers` is null or as long as its
/// `struct_size` says.
#[inline]
unsafe fn parse_one(
    parser: &Parser<'_>,
    data: *const c_void,
    len: usize,
    flags: u32,
    headers: *mut fluxcap_headers,
) -> Result<c_int> {
    check(flags)?;
    // SAFETY: as the caller promises.
    let packet = unsafe { bytes("data", data, len)? };
    let value = match read(parser, packet, flags) {
        (_, Some(error)) if flags & FLUXCAP_PARSE_PARTIAL == 0 => return Err(malformed(error)),
        (value, _) => value,
    };
    // SAFETY: null, or as long as its `struct_size` says, as the caller promises.
    unsafe { sized::write("headers", headers, &value)? };
    Ok(0)
}

/// Finds the headers of `count` packets, as fluxcap_parse() with FLUXCAP_PARSE_PARTIAL does.
///
/// `flags` and `parser` are those of fluxcap_parse(). Packets that are cut short or damaged have
/// FLUXCAP_HEADERS_PARTIAL, and one that has moved away is empty. A packet is never an error.
/// `headers` is an array of `count` structs, of which the first one's `struct_size` must be set: it
/// counts for all, and is written into each.
///
/// Returns how many packets are whole, and fills in `headers`.
///
/// Errors, after which nothing is written:
/// - -EINVAL: `flags` has unknown bits.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packets_parse(
    packets: *const fluxcap_packet,
    count: u32,
    flags: u32,
    parser: *const fluxcap_parser,
    headers: *mut fluxcap_headers,
) -> c_int {
    // SAFETY: as the header asks.
    quick(|| unsafe {
        parsing(parser, |parser| {
            parse_all(parser, packets, count, flags, headers, |packet| {
                (packet.data, packet.len)
            })
        })
    })
}

/// As fluxcap_packets_parse(), of the packets that a callback gets.
///
/// Returns how many packets are whole, and fills in `headers`.
///
/// Errors, after which nothing is written:
/// - -EINVAL: `flags` has unknown bits.
///
/// Threads: the one that the callback runs on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_refs_parse(
    packets: *const fluxcap_packet_ref,
    count: u32,
    flags: u32,
    parser: *const fluxcap_parser,
    headers: *mut fluxcap_headers,
) -> c_int {
    // SAFETY: as the header asks.
    quick(|| unsafe {
        parsing(parser, |parser| {
            parse_all(parser, packets, count, flags, headers, |packet| {
                (packet.data, packet.len)
            })
        })
    })
}

/// # Safety
///
/// `packets` is null or points to `count` packets, of which `bytes_of` gives null or an address and
/// how many bytes are readable there; `headers` is null or points to `count` structs as long as the
/// first one's `struct_size` says.
#[inline]
unsafe fn parse_all<P>(
    parser: &Parser<'_>,
    packets: *const P,
    count: u32,
    flags: u32,
    headers: *mut fluxcap_headers,
    bytes_of: impl Fn(&P) -> (*mut u8, u32),
) -> Result<c_int> {
    check(flags)?;
    if count == 0 {
        return Ok(0);
    }
    // SAFETY: as the caller promises.
    let (packets, size) = unsafe {
        let packets = entries("packets", packets, (count, MAX_PACKETS))?;
        (packets, sized::size("headers", headers)?)
    };
    let mut whole = 0;
    for (number, packet) in packets.iter().enumerate() {
        let packet = match bytes_of(packet) {
            (data, _) if data.is_null() => &[],
            // SAFETY: not null, so as the caller promises.
            (data, len) => unsafe { slice::from_raw_parts(data.cast_const(), len as usize) },
        };
        let (value, error) = read(parser, packet, flags);
        whole += u32::from(error.is_none());
        // SAFETY: there are `count` structs of `size` bytes, as the caller promises.
        unsafe {
            let to = headers.byte_add(number * size);
            to.cast::<u32>().write_unaligned(size as u32);
            sized::write("headers", to, &value)?;
        }
    }
    counted(whole)
}

/// Show the Ethernet header, as `tcpdump -e` does.
pub const FLUXCAP_FORMAT_ETHERNET: u32 = 0x01;

fn with_ethernet(flags: u32) -> Result<bool> {
    if flags & !FLUXCAP_FORMAT_ETHERNET != 0 {
        return Err(FluxError::invalid(
            format_args!("flags of {flags:#x}"),
            "they have bits that this version does not know",
            "join FLUXCAP_FORMAT_… with |, or pass 0",
        ));
    }
    Ok(flags & FLUXCAP_FORMAT_ETHERNET != 0)
}

/// Writes one line about a packet, in the style of `tcpdump -nn`, without a line end.
///
/// `data` are `len` bytes, which begin with the Ethernet header. A line is `IP 10.0.0.1.1234 >
/// 10.0.0.2.80: Flags [S], seq 1, win 64240, length 0`. Any bytes will do: what is cut off is told
/// as `[|tcp]`, what cannot be as `[bad ip IHL 4]`. `flags` are 0 or FLUXCAP_FORMAT_…. Nothing is
/// allocated. `text` and `data` do not overlap.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors:
/// - -EINVAL: `flags` has unknown bits.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_format(
    data: *const c_void,
    len: usize,
    flags: u32,
    text: *mut c_char,
    size: usize,
) -> c_int {
    quick(|| {
        let with_ethernet = with_ethernet(flags)?;
        // SAFETY: as the header asks.
        let mut line = summary(unsafe { bytes("data", data, len)? });
        if with_ethernet {
            line = line.with_ethernet();
        }
        // SAFETY: as the header asks.
        unsafe { print(&line, text, size) }
    })
}
