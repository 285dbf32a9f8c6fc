//! Changing addresses and ports, and finishing checksums, in C.

use std::ffi::{c_int, c_void};
use std::net::IpAddr;

use super::array::bytes_mut;
use super::error::quick;
use super::sized::{self, Sized32};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::proto::MacAddr;
use crate::proto::checksum::{self, Completion};
use crate::proto::nat::Rewrite;

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

/// Finishes the TCP or UDP checksum of `packet`, if its sender left that to the network card.
///
/// Linux does so for packets that stay on the machine (veth, virtio). Without that, who receives
/// the packet drops it. The packet begins with its Ethernet header. Such a checksum is recognised
/// by its value, the sum of the pseudo header; of other checksums one in 65536 has it by
/// coincidence. Where that is the right checksum, the packet stays as it is, but a damaged one gets
/// a right checksum: do not call this for packets that came over a wire.
///
/// Returns 1 when the checksum was finished, 0 when the packet is as it was: its checksum is not
/// partial or right all the same, or it is neither TCP nor UDP, a fragment, or malformed.
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_checksum_complete(packet: *mut c_void, len: usize) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let packet = unsafe { bytes_mut("packet", packet, len)? };
        Ok((checksum::complete(packet) == Completion::Completed).into())
    })
}
