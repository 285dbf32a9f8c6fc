//! The Internet checksum of bytes, and the checksums of whole packets.

use std::ffi::{c_int, c_void};

use super::array::{bytes, bytes_mut};
use super::error::{malformed, quick};
use crate::proto::checksum::{self, Completion, Verdict};

/// A checksum is wrong: the packet was damaged.
pub const FLUXCAP_CHECKSUM_WRONG: u32 = 0;
/// All checksums are right.
pub const FLUXCAP_CHECKSUM_RIGHT: u32 = 1;
/// The checksum is left to the network card, as fluxcap_checksum_complete() tells.
pub const FLUXCAP_CHECKSUM_PARTIAL: u32 = 2;
/// There is no checksum that can be checked: a fragment, or another protocol.
pub const FLUXCAP_CHECKSUM_UNKNOWN: u32 = 3;

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

/// An Internet checksum after some of the bytes that it covers have changed (RFC 1624).
///
/// `len` of them changed from `old_bytes` to `new_bytes`. They start at an even distance from the
/// first byte covered, and are an even number or the last ones. A checksum that was wrong stays
/// wrong. For UDP, leave a 0 alone, and send 0xffff for 0. NULL counts as no bytes.
///
/// Returns the new checksum, in host byte order as `checksum` is.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_checksum_update(
    checksum: u16,
    old_bytes: *const c_void,
    new_bytes: *const c_void,
    len: usize,
) -> u16 {
    // SAFETY: as the header asks.
    let (old, new) = unsafe {
        (
            bytes("old_bytes", old_bytes, len),
            bytes("new_bytes", new_bytes, len),
        )
    };
    checksum::update_bytes(checksum, old.unwrap_or_default(), new.unwrap_or_default())
}

/// Checks the checksums of `packet`, which begins with its Ethernet header.
///
/// That of the IPv4 header, and that of TCP, UDP, ICMP or ICMPv6, pseudo header included: with the
/// last station of a source-routed packet, and the home address of a mobile node (RFC 6275). VLAN
/// tags, IP options and extension headers are passed over.
///
/// Returns FLUXCAP_CHECKSUM_WRONG, …_RIGHT, …_PARTIAL or …_UNKNOWN.
///
/// Errors:
/// - -EINVAL: headers are malformed.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_checksum_verify(packet: *const c_void, len: usize) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let packet = unsafe { bytes("packet", packet, len)? };
        let verdict = match checksum::verify(packet).map_err(malformed)? {
            Verdict::Wrong => FLUXCAP_CHECKSUM_WRONG,
            Verdict::Right => FLUXCAP_CHECKSUM_RIGHT,
            Verdict::Partial => FLUXCAP_CHECKSUM_PARTIAL,
            Verdict::Unknown => FLUXCAP_CHECKSUM_UNKNOWN,
        };
        Ok(verdict as c_int)
    })
}

/// Writes the checksums that fluxcap_checksum_verify() checks.
///
/// Returns 1, or 0 when only that of the IPv4 header could be written, if there is one: the packet
/// is a fragment, of another protocol, or has yet to pass stations of which the last is not known.
///
/// Errors, after which nothing is written:
/// - -EINVAL: headers are malformed.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_checksum_fill(packet: *mut c_void, len: usize) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let packet = unsafe { bytes_mut("packet", packet, len)? };
        Ok(checksum::fill(packet).map_err(malformed)?.into())
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
