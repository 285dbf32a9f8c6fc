//! Protocol views in C: parse into plain structs, answer in place.

use std::ffi::{c_int, c_void};

use super::array::{bytes, bytes_mut};
use super::error::{null, quick};
use super::handle::count;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::proto::{
    Arp, ArpOperation, EtherType, Ethernet, IcmpEcho, IcmpType, IpProtocol, Ipv4, MacAddr,
    ParseError, checksum,
};

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

pub(super) fn malformed(error: ParseError) -> FluxError {
    FluxError::new(
        ErrorKind::Invalid,
        errno::EINVAL,
        "parse a packet",
        error,
        "pass it on, or drop it",
    )
}

/// Refuses a packet that is not what it is to be answered as.
fn expect(is: bool, what: &str) -> Result<()> {
    if is {
        return Ok(());
    }
    Err(FluxError::new(
        ErrorKind::Invalid,
        errno::EINVAL,
        "answer a packet",
        format_args!("it is not {what}"),
        "pass it on, or drop it",
    ))
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

/// Swaps the addresses of the Ethernet header at the start of `data`.
///
/// Returns its length, 14.
///
/// Errors:
/// - -EINVAL: there is none.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_ethernet_header_swap(data: *mut c_void, len: usize) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (view, _) =
            Ethernet::parse_mut(unsafe { bytes_mut("data", data, len)? }).map_err(malformed)?;
        view.swap_addresses();
        count(Ethernet::LEN as u32)
    })
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

/// Turns the ARP request in `packet` into the reply that names `mac`.
///
/// The packet begins with its Ethernet header. `mac` may lie in it.
///
/// Returns the length of both headers, 42.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: it is no ARP request.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_arp_reply(
    packet: *mut c_void,
    len: usize,
    mac: *const u8,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let mac = unsafe { bytes("mac", mac, 6)? };
        // A copy: it may lie in the packet.
        let mac = MacAddr(mac.try_into().unwrap_or_default());
        // SAFETY: as the header asks.
        let packet = unsafe { bytes_mut("packet", packet, len)? };
        let (ethernet, rest) = Ethernet::parse_mut(packet).map_err(malformed)?;
        expect(ethernet.ether_type() == EtherType::ARP, "ARP")?;
        let (arp, _) = Arp::parse_mut(rest).map_err(malformed)?;
        expect(arp.operation() == ArpOperation::REQUEST, "an ARP request")?;
        arp.into_reply(mac);
        ethernet.set_destination(ethernet.source());
        ethernet.set_source(mac);
        count((Ethernet::LEN + Arp::LEN) as u32)
    })
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

/// Turns the ICMP echo request in `packet` into the reply.
///
/// The packet begins with its Ethernet header. The addresses are swapped, the type is changed, the
/// checksum is updated.
///
/// Returns the length of all headers.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: it is no ICMP echo request over IPv4, or a fragment of one.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_icmp_echo_reply(packet: *mut c_void, len: usize) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let packet = unsafe { bytes_mut("packet", packet, len)? };
        let (ethernet, rest) = Ethernet::parse_mut(packet).map_err(malformed)?;
        expect(ethernet.ether_type() == EtherType::IPV4, "IPv4")?;
        let (ipv4, rest) = Ipv4::parse_mut(rest).map_err(malformed)?;
        expect(ipv4.protocol() == IpProtocol::ICMP, "ICMP")?;
        expect(!ipv4.is_fragment(), "a whole message")?;
        let (echo, _) = IcmpEcho::parse_mut(rest).map_err(malformed)?;
        expect(
            echo.icmp_type() == IcmpType::ECHO_REQUEST,
            "an ICMP echo request",
        )?;
        ethernet.swap_addresses();
        ipv4.swap_addresses();
        echo.into_reply();
        count((Ethernet::LEN + ipv4.header_len() + IcmpEcho::LEN) as u32)
    })
}

/// The Internet checksum of `len` bytes (RFC 1071).
///
/// Returns it in host byte order: 0 over data that contains its right checksum. NULL counts as no
/// bytes.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_checksum(data: *const c_void, len: usize) -> u16 {
    // SAFETY: as the header asks.
    checksum::checksum(unsafe { bytes("data", data, len) }.unwrap_or_default())
}
