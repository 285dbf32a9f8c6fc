//! Headers pushed and popped, addresses rewritten, packets built from nothing.
//!
//! What makes a packet longer needs free bytes in front: 256 that the kernel leaves, and `headroom`
//! of struct fluxcap_config. Functions that begin with fluxcap_packet_ref_ do the same as those
//! that begin with fluxcap_packet_, in the callback of an engine. Checksums follow in all of them.
//!
//! ```c
//! // Fills in an empty packet: a UDP datagram in VLAN 7. Returns its length.
//! static int make(struct fluxcap_packet *packet, const char *text)
//! {
//!     struct fluxcap_frame_spec spec = {0};
//!     const uint8_t from[4] = {10, 0, 0, 1}, to[4] = {10, 0, 0, 2};
//!
//!     spec.struct_size = sizeof(spec);
//!     spec.kind = FLUXCAP_FRAME_UDP;
//!     memset(spec.destination_mac, 0xff, 6);
//!     memcpy(spec.source_ip, from, 4);
//!     memcpy(spec.destination_ip, to, 4);
//!     spec.source_port = 1234;
//!     spec.destination_port = 5678;
//!     spec.vlan_count = 1;
//!     spec.vlans[0].id = 7;
//!     return fluxcap_packet_build(packet, &spec, text, strlen(text));
//! }
//! ```

use std::ffi::c_int;

use super::callback::fluxcap_packet_ref;
use super::error::{null, quick, refused};
use super::packet::{Editable, fluxcap_packet};
use super::sized;
use super::tunnel::{
    fluxcap_gre_tunnel, fluxcap_mpls_label, fluxcap_tunnel, fluxcap_vlan_tag, vxlan_port,
};
use crate::error::Result;
use crate::proto::{EtherType, Room, edit};

/// # Safety
///
/// `from` is null or readable.
unsafe fn read<T: Copy>(from: *const T, what: &str) -> Result<T> {
    // SAFETY: as the caller promises.
    unsafe { from.as_ref() }.copied().ok_or_else(|| null(what))
}

/// Writes an output that the caller may not want.
///
/// # Safety
///
/// `to` is null or writable.
unsafe fn write<T>(to: *mut T, value: impl Into<T>) {
    if !to.is_null() {
        // SAFETY: not null, so writable as the caller promises.
        unsafe { to.write(value.into()) };
    }
}

/// Runs a body that has no number to tell.
fn run(body: impl FnOnce() -> Result<()>) -> c_int {
    quick(|| body().map(|()| 0))
}

/// # Safety
///
/// As [`Editable::change`].
pub(super) unsafe fn adjust_head<P: Editable>(packet: *mut P, delta: i32) -> c_int {
    // SAFETY: as the caller promises.
    run(|| unsafe { P::change(packet, |packet| packet.adjust_head(delta)) })
}

/// # Safety
///
/// As [`Editable::change`].
pub(super) unsafe fn adjust_tail<P: Editable>(packet: *mut P, delta: i32) -> c_int {
    // SAFETY: as the caller promises.
    run(|| unsafe { P::change(packet, |packet| packet.adjust_tail(delta)) })
}

/// # Safety
///
/// As [`Editable::change`]; `tag` is null or readable.
pub(super) unsafe fn push_vlan<P: Editable>(packet: *mut P, tag: *const fluxcap_vlan_tag) -> c_int {
    // SAFETY: as the caller promises.
    run(|| unsafe {
        let tag = read(tag, "tag")?;
        P::change(packet, |packet| {
            edit::push_vlan(packet, tag).map_err(refused)
        })
    })
}

/// # Safety
///
/// As [`Editable::change`]; `tag` is null or writable.
pub(super) unsafe fn pop_vlan<P: Editable>(packet: *mut P, tag: *mut fluxcap_vlan_tag) -> c_int {
    // SAFETY: as the caller promises.
    run(|| unsafe {
        let popped = P::change(packet, |packet| edit::pop_vlan(packet).map_err(refused))?;
        write(tag, popped);
        Ok(())
    })
}

/// # Safety
///
/// As [`Editable::change`]; `label` is null or readable.
pub(super) unsafe fn push_mpls<P: Editable>(
    packet: *mut P,
    label: *const fluxcap_mpls_label,
) -> c_int {
    // SAFETY: as the caller promises.
    run(|| unsafe {
        let label = read(label, "label")?;
        P::change(packet, |packet| {
            edit::push_mpls(packet, label.to_rust()?).map_err(refused)
        })
    })
}

/// # Safety
///
/// As [`Editable::change`]; `label` is null or writable.
pub(super) unsafe fn pop_mpls<P: Editable>(
    packet: *mut P,
    ether_type: u16,
    label: *mut fluxcap_mpls_label,
) -> c_int {
    // SAFETY: as the caller promises.
    run(|| unsafe {
        let below = (ether_type != 0).then_some(EtherType(ether_type));
        let entry = P::change(packet, |packet| {
            edit::pop_mpls(packet, below).map_err(refused)
        })?;
        write(label, entry);
        Ok(())
    })
}

/// # Safety
///
/// As [`Editable::change`]; `tunnel` is null or readable.
pub(super) unsafe fn gre_encap<P: Editable>(
    packet: *mut P,
    tunnel: *const fluxcap_tunnel,
) -> c_int {
    // SAFETY: as the caller promises.
    run(|| unsafe {
        let tunnel = sized::read("tunnel", tunnel)?;
        let (payload, fields) = tunnel.gre();
        P::change(packet, |packet| {
            edit::gre_encap(packet, &tunnel.outer()?, payload, fields).map_err(refused)
        })
    })
}

/// # Safety
///
/// As [`Editable::change`]; `tunnel` is null or writable.
pub(super) unsafe fn gre_decap<P: Editable>(
    packet: *mut P,
    tunnel: *mut fluxcap_gre_tunnel,
) -> c_int {
    // SAFETY: as the caller promises.
    run(|| unsafe {
        let fields = P::change(packet, |packet| edit::gre_decap(packet).map_err(refused))?;
        write(tunnel, fields);
        Ok(())
    })
}

/// # Safety
///
/// As [`Editable::change`]; `tunnel` is null or readable.
pub(super) unsafe fn vxlan_encap<P: Editable>(
    packet: *mut P,
    tunnel: *const fluxcap_tunnel,
) -> c_int {
    // SAFETY: as the caller promises.
    run(|| unsafe {
        let tunnel = sized::read("tunnel", tunnel)?;
        P::change(packet, |packet| {
            edit::vxlan_encap(packet, &tunnel.outer()?, tunnel.vxlan()).map_err(refused)
        })
    })
}

/// # Safety
///
/// As [`Editable::change`]; `vni` is null or writable.
pub(super) unsafe fn vxlan_decap<P: Editable>(packet: *mut P, port: u16, vni: *mut u32) -> c_int {
    // SAFETY: as the caller promises.
    run(|| unsafe {
        let port = vxlan_port(port);
        let told = P::change(packet, |packet| {
            edit::vxlan_decap(packet, port).map_err(refused)
        })?;
        write(vni, told);
        Ok(())
    })
}

/// Moves the start of a packet by `delta` bytes, as bpf_xdp_adjust_head() does.
///
/// A negative one puts so many bytes in front, which hold whatever the frame held before, a
/// positive one takes them off. Copies of the struct are stale then, also after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EMSGSIZE: beyond the start of the frame or the packet's length, and when it would begin at
///   the very end of its frame.
/// - -EINVAL: the packet has moved away, or is a stale copy.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_adjust_head(
    packet: *mut fluxcap_packet,
    delta: i32,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { adjust_head(packet, delta) }
}

/// Moves the end of a packet by `delta` bytes, as bpf_xdp_adjust_tail() does.
///
/// A positive one puts so many bytes behind, which hold whatever the frame held before, a negative
/// one takes them off. Copies of the struct are stale then, also after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EMSGSIZE: beyond the end of the frame or the packet's length.
/// - -EINVAL: the packet has moved away, or is a stale copy.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_adjust_tail(
    packet: *mut fluxcap_packet,
    delta: i32,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { adjust_tail(packet, delta) }
}

/// Puts a VLAN tag in front of what the frame carries, outermost.
///
/// Copies of the struct are stale then, also after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EMSGSIZE: fewer than 4 bytes are free in front.
/// - -EINVAL: there is no Ethernet header; a tag that cannot be; the packet has moved away, or is a
///   stale copy.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_push_vlan(
    packet: *mut fluxcap_packet,
    tag: *const fluxcap_vlan_tag,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { push_vlan(packet, tag) }
}

/// Takes the outermost VLAN tag off, into `*tag` if that is not NULL.
///
/// Copies of the struct are stale then, also after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: there is no tag; the packet has moved away, or is a stale copy.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_pop_vlan(
    packet: *mut fluxcap_packet,
    tag: *mut fluxcap_vlan_tag,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { pop_vlan(packet, tag) }
}

/// Puts an MPLS label on top of the stack, behind the Ethernet header and its VLAN tags.
///
/// The first one makes the packet an MPLS packet. Copies of the struct are stale then, also after
/// an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EMSGSIZE: fewer than 4 bytes are free in front.
/// - -EINVAL: there is no Ethernet header; a label that cannot be; the packet has moved away, or is
///   a stale copy.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_push_mpls(
    packet: *mut fluxcap_packet,
    label: *const fluxcap_mpls_label,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { push_mpls(packet, label) }
}

/// Takes the label on top of the stack off, into `*label` if that is not NULL.
///
/// If it was the last one, the packet becomes what `ether_type` says; with 0, what it seems to be,
/// IPv4 or IPv6. Copies of the struct are stale then, also after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: there is no label; what is behind the last one is neither told nor seen; the packet
///   has moved away, or is a stale copy.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_pop_mpls(
    packet: *mut fluxcap_packet,
    ether_type: u16,
    label: *mut fluxcap_mpls_label,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { pop_mpls(packet, ether_type, label) }
}

/// Puts a packet into a GRE tunnel (RFC 2784, RFC 2890).
///
/// All lengths and checksums are filled in. A checksum inside that was left to the network card
/// stays so: call fluxcap_checksum_complete() first. Copies of the struct are stale then, also
/// after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EMSGSIZE: not enough bytes are free in front, 70 at most, or the packet would be too long.
/// - -EINVAL: there is no Ethernet header; a tunnel that cannot be; the packet has moved away, or
///   is a stale copy.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_gre_encap(
    packet: *mut fluxcap_packet,
    tunnel: *const fluxcap_tunnel,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { gre_encap(packet, tunnel) }
}

/// Takes a packet out of a GRE tunnel, with what is behind it, such as padding.
///
/// What the tunnel said goes into `*tunnel` if that is not NULL. A packet that was carried without
/// its Ethernet header gets the addresses of the outer one. No checksum is looked at. Copies of the
/// struct are stale then, also after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: it is no GRE packet, a fragment of one, or malformed; the packet has moved away, or
///   is a stale copy.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_gre_decap(
    packet: *mut fluxcap_packet,
    tunnel: *mut fluxcap_gre_tunnel,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { gre_decap(packet, tunnel) }
}

/// Puts a frame into a VXLAN tunnel (RFC 7348).
///
/// All lengths and checksums are filled in; over IPv4 there is no UDP checksum unless asked for. A
/// checksum inside that was left to the network card stays so: call fluxcap_checksum_complete()
/// first. Copies of the struct are stale then, also after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EMSGSIZE: fewer than 50 bytes are free in front, over IPv6 70, or the packet would be too
///   long.
/// - -EINVAL: there is no Ethernet header; a tunnel that cannot be; the packet has moved away, or
///   is a stale copy.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_vxlan_encap(
    packet: *mut fluxcap_packet,
    tunnel: *const fluxcap_tunnel,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { vxlan_encap(packet, tunnel) }
}

/// Takes a frame out of a VXLAN tunnel, with what is behind it, such as padding.
///
/// The network identifier goes into `*vni` if that is not NULL. `port` is the UDP port that VXLAN
/// comes to; 0: 4789. No checksum is looked at. Copies of the struct are stale then, also after an
/// error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: it is no UDP datagram to that port, a fragment of one, or malformed; the packet has
///   moved away, or is a stale copy.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_vxlan_decap(
    packet: *mut fluxcap_packet,
    port: u16,
    vni: *mut u32,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { vxlan_decap(packet, port, vni) }
}

/// As fluxcap_packet_adjust_head(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_adjust_head(
    packet: *mut fluxcap_packet_ref,
    delta: i32,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { adjust_head(packet, delta) }
}

/// As fluxcap_packet_adjust_tail(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_adjust_tail(
    packet: *mut fluxcap_packet_ref,
    delta: i32,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { adjust_tail(packet, delta) }
}

/// As fluxcap_packet_push_vlan(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_push_vlan(
    packet: *mut fluxcap_packet_ref,
    tag: *const fluxcap_vlan_tag,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { push_vlan(packet, tag) }
}

/// As fluxcap_packet_pop_vlan(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_pop_vlan(
    packet: *mut fluxcap_packet_ref,
    tag: *mut fluxcap_vlan_tag,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { pop_vlan(packet, tag) }
}

/// As fluxcap_packet_push_mpls(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_push_mpls(
    packet: *mut fluxcap_packet_ref,
    label: *const fluxcap_mpls_label,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { push_mpls(packet, label) }
}

/// As fluxcap_packet_pop_mpls(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_pop_mpls(
    packet: *mut fluxcap_packet_ref,
    ether_type: u16,
    label: *mut fluxcap_mpls_label,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { pop_mpls(packet, ether_type, label) }
}

/// As fluxcap_packet_gre_encap(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_gre_encap(
    packet: *mut fluxcap_packet_ref,
    tunnel: *const fluxcap_tunnel,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { gre_encap(packet, tunnel) }
}

/// As fluxcap_packet_gre_decap(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_gre_decap(
    packet: *mut fluxcap_packet_ref,
    tunnel: *mut fluxcap_gre_tunnel,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { gre_decap(packet, tunnel) }
}

/// As fluxcap_packet_vxlan_encap(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_vxlan_encap(
    packet: *mut fluxcap_packet_ref,
    tunnel: *const fluxcap_tunnel,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { vxlan_encap(packet, tunnel) }
}

/// As fluxcap_packet_vxlan_decap(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_vxlan_decap(
    packet: *mut fluxcap_packet_ref,
    port: u16,
    vni: *mut u32,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { vxlan_decap(packet, port, vni) }
}
