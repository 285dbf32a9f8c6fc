//! Packets changed or answered in place: addresses, ports, TTL, MSS; ARP and echo replies.

use std::ffi::{c_int, c_void};
use std::net::IpAddr;

use super::array::{bytes, bytes_mut};
use super::error::{count, malformed, quick, refused};
use super::sized::{self, Sized32};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::proto::edit::{self, EditError};
use crate::proto::nat::Rewrite;
use crate::proto::{
    Arp, ArpOperation, EtherType, Ethernet, IcmpEcho, IcmpType, IpProtocol, Ipv4, MacAddr,
};

/// Change the Ethernet source to `source_mac`.
pub const FLUXCAP_REWRITE_SOURCE_MAC: u32 = 0x01;
/// Change the Ethernet destination to `destination_mac`.
pub const FLUXCAP_REWRITE_DESTINATION_MAC: u32 = 0x02;
/// Change the IP source to `source_ip`.
pub const FLUXCAP_REWRITE_SOURCE_IP: u32 = 0x04;
/// Change the IP destination to `destination_ip`.
pub const FLUXCAP_REWRITE_DESTINATION_IP: u32 = 0x08;
/// Change the source port to `source_port`.
pub const FLUXCAP_REWRITE_SOURCE_PORT: u32 = 0x10;
/// Change the destination port to `destination_port`.
pub const FLUXCAP_REWRITE_DESTINATION_PORT: u32 = 0x20;

/// What to change in a packet. Ports are in host byte order.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_rewrite {
    /// sizeof(struct fluxcap_rewrite).
    pub struct_size: u32,
    /// FLUXCAP_REWRITE_…, joined with |. The fields that it does not name are not read.
    pub change: u32,
    /// 4 or 6: what the IP addresses here are, when there are any.
    pub ip_version: u32,
    /// The new source port.
    pub source_port: u16,
    /// The new destination port.
    pub destination_port: u16,
    /// The new IP source; of version 4, the first four bytes.
    pub source_ip: [u8; 16],
    /// The new IP destination; of version 4, the first four bytes.
    pub destination_ip: [u8; 16],
    /// The new Ethernet source.
    pub source_mac: [u8; 6],
    /// The new Ethernet destination.
    pub destination_mac: [u8; 6],
}

// SAFETY: `repr(C)`, plain numbers without padding, the first a `u32`.
unsafe impl Sized32 for fluxcap_rewrite {
    const NAME: &'static str = "fluxcap_rewrite";
}

const _: () = assert!(size_of::<fluxcap_rewrite>() == 60);

impl fluxcap_rewrite {
    fn to_rust(self) -> Result<Rewrite> {
        let known = FLUXCAP_REWRITE_DESTINATION_PORT * 2 - 1;
        if self.change & !known != 0 {
            return Err(FluxError::invalid(
                format_args!("change of {:#x}", self.change),
                "it has bits that this version does not know",
                "join FLUXCAP_REWRITE_… with |",
            ));
        }
        let changes = |bit| self.change & bit != 0;
        let mut rewrite = Rewrite::new();
        if changes(FLUXCAP_REWRITE_SOURCE_MAC) {
            rewrite = rewrite.source_mac(MacAddr(self.source_mac));
        }
        if changes(FLUXCAP_REWRITE_DESTINATION_MAC) {
            rewrite = rewrite.destination_mac(MacAddr(self.destination_mac));
        }
        if changes(FLUXCAP_REWRITE_SOURCE_IP) {
            rewrite = rewrite.source_ip(self.address(self.source_ip)?);
        }
        if changes(FLUXCAP_REWRITE_DESTINATION_IP) {
            rewrite = rewrite.destination_ip(self.address(self.destination_ip)?);
        }
        if changes(FLUXCAP_REWRITE_SOURCE_PORT) {
            rewrite = rewrite.source_port(self.source_port);
        }
        if changes(FLUXCAP_REWRITE_DESTINATION_PORT) {
            rewrite = rewrite.destination_port(self.destination_port);
        }
        Ok(rewrite)
    }

    fn address(&self, octets: [u8; 16]) -> Result<IpAddr> {
        match self.ip_version {
            4 => {
                let [a, b, c, d, ..] = octets;
                Ok([a, b, c, d].into())
            }
            6 => Ok(octets.into()),
            other => Err(FluxError::invalid(
                format_args!("ip_version of {other}"),
                "an IP address is to change, and there is no such version",
                "set ip_version to 4 or 6",
            )),
        }
    }
}

/// Changes addresses and ports of `packet`, which begins with its Ethernet header, in place.
///
/// All checksums follow; a UDP checksum of 0 stays. A checksum that its sender left to the network
/// card (veth, virtio) stays unfinished, and whoever gets the packet from another machine drops it:
/// a forwarder calls fluxcap_checksum_complete(), too. VLAN tags, IP options and extension headers
/// are passed over.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: not everything can be changed: the packet is of the other IP version, has no ports,
///   or is malformed. Or `change` has unknown bits, or `ip_version` is neither 4 nor 6.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_rewrite_apply(
    rewrite: *const fluxcap_rewrite,
    packet: *mut c_void,
    len: usize,
) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let (rewrite, packet) = unsafe {
            (
                sized::read("rewrite", rewrite)?,
                bytes_mut("packet", packet, len)?,
            )
        };
        let rewrite = rewrite.to_rust()?;
        rewrite.apply(packet).map_err(|error| {
            FluxError::new(
                ErrorKind::Invalid,
                errno::EINVAL,
                "rewrite a packet",
                error,
                "pass it on, or drop it",
            )
        })?;
        Ok(0)
    })
}

/// Takes one hop off the TTL or hop limit of a packet, as routers do.
///
/// `packet` begins with its Ethernet header. The checksum of an IPv4 header follows.
///
/// Returns 1, or 0 when no hop is left and the packet must not be forwarded: it is as it was.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: it is not IP, or malformed.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_ttl_decrement(packet: *mut c_void, len: usize) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let packet = unsafe { bytes_mut("packet", packet, len)? };
        match edit::decrement_ttl(packet) {
            Ok(()) => Ok(1),
            Err(EditError::NoHopsLeft) => Ok(0),
            Err(error) => Err(refused(error)),
        }
    })
}

/// Lowers the maximum segment size that a TCP connection is opened with, where it is above `max`.
///
/// `packet` begins with its Ethernet header. The checksum follows, a partial one too.
///
/// Returns 1, or 0 when the packet is as it was: the size is no larger, it has none, opens no
/// connection, or is no TCP.
///
/// Errors, after which nothing is changed:
/// - -EINVAL: headers or TCP options are malformed.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_mss_clamp(packet: *mut c_void, len: usize, max: u16) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let packet = unsafe { bytes_mut("packet", packet, len)? };
        Ok(edit::clamp_mss(packet, max).map_err(refused)?.into())
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

/// Turns the ARP request in `packet` into the reply that names `mac`.
///
/// The packet begins with its Ethernet header. `mac` are 6 bytes, which may lie in it.
///
/// Returns the length of both headers, 42.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: it is no ARP request.
///
/// Threads: any.
/// cbindgen:ptrs-as-arrays=[[mac; 6]]
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
