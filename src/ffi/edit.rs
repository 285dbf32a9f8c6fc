//! Growing and shrinking packets in C: each function once for owned packets, and once for those of a callback.

use std::ffi::c_int;

use super::callback::fluxcap_packet_ref;
use super::change;
use super::packet::fluxcap_packet;
use super::tunnel::{fluxcap_gre_tunnel, fluxcap_mpls_label, fluxcap_tunnel, fluxcap_vlan_tag};

/// Moves the start of a packet by `delta` bytes, as bpf_xdp_adjust_head() does: a negative one puts so many bytes in front, which hold
/// whatever the frame held before, a positive one takes them off.
///
/// Returns 0. -EMSGSIZE beyond the start of the frame or the packet's length, and when it would begin at the very end of its frame; it stays as
/// it was then. Copies of the struct are stale in any case.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_adjust_head(
    packet: *mut fluxcap_packet,
    delta: i32,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::adjust_head(packet, delta) }
}

/// Moves the end of a packet by `delta` bytes, as bpf_xdp_adjust_tail() does: a positive one puts so many bytes behind, which hold
/// whatever the frame held before, a negative one takes them off.
///
/// Returns 0. -EMSGSIZE beyond the end of the frame or the packet's length; it stays as it was then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_adjust_tail(
    packet: *mut fluxcap_packet,
    delta: i32,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::adjust_tail(packet, delta) }
}

/// Puts a VLAN tag in front of what the frame carries, outermost.
///
/// Returns 0. -EMSGSIZE when fewer than 4 bytes are free in front, -EINVAL without an Ethernet header and for a tag that cannot be. After an
/// error the packet is as it was, here and in all functions that follow.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_push_vlan(
    packet: *mut fluxcap_packet,
    tag: *const fluxcap_vlan_tag,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::push_vlan(packet, tag) }
}

/// Takes the outermost VLAN tag off, into `*tag` if that is not NULL. Returns 0; -EINVAL when there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_pop_vlan(
    packet: *mut fluxcap_packet,
    tag: *mut fluxcap_vlan_tag,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::pop_vlan(packet, tag) }
}

/// Puts an MPLS label on top of the stack, behind the Ethernet header and its VLAN tags; the first one makes the packet an MPLS packet.
///
/// Returns 0. -EMSGSIZE when fewer than 4 bytes are free in front, -EINVAL without an Ethernet header and for a label that cannot be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_push_mpls(
    packet: *mut fluxcap_packet,
    label: *const fluxcap_mpls_label,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::push_mpls(packet, label) }
}

/// Takes the label on top of the stack off, into `*label` if that is not NULL. If it was the last one, the packet becomes what
/// `ether_type` says; with 0, what it seems to be, IPv4 or IPv6.
///
/// Returns 0. -EINVAL when there is no label, and when what is behind the last one is neither told nor seen.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_pop_mpls(
    packet: *mut fluxcap_packet,
    ether_type: u16,
    label: *mut fluxcap_mpls_label,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::pop_mpls(packet, ether_type, label) }
}

/// Puts a packet into a GRE tunnel (RFC 2784, RFC 2890). All lengths and checksums are filled in.
/// A checksum inside that was left to the network card stays so: call fluxcap_checksum_complete() first.
///
/// Returns 0. -EMSGSIZE when not enough bytes are free in front, 70 at most, or the packet would be too long, -EINVAL without an Ethernet header
/// and for a tunnel that cannot be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_gre_encap(
    packet: *mut fluxcap_packet,
    tunnel: *const fluxcap_tunnel,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::gre_encap(packet, tunnel) }
}

/// Takes a packet out of a GRE tunnel, with what is behind it, such as padding. What the tunnel said goes into `*tunnel` if that is not
/// NULL. A packet that was carried without its Ethernet header gets the addresses of the outer one. No checksum is looked at.
///
/// Returns 0. -EINVAL when it is no GRE packet, a fragment of one, or malformed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_gre_decap(
    packet: *mut fluxcap_packet,
    tunnel: *mut fluxcap_gre_tunnel,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::gre_decap(packet, tunnel) }
}

/// Puts a frame into a VXLAN tunnel (RFC 7348). All lengths and checksums are filled in; over IPv4 there is no UDP checksum unless asked for.
/// A checksum inside that was left to the network card stays so: call fluxcap_checksum_complete() first.
///
/// Returns 0. -EMSGSIZE when fewer than 50 bytes are free in front, over IPv6 70, or the packet would be too long, -EINVAL without an Ethernet
/// header and for a tunnel that cannot be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_vxlan_encap(
    packet: *mut fluxcap_packet,
    tunnel: *const fluxcap_tunnel,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::vxlan_encap(packet, tunnel) }
}

/// Takes a frame out of a VXLAN tunnel, with what is behind it, such as padding. The network identifier goes into `*vni` if that is not
/// NULL. `port` is the UDP port that VXLAN comes to; 0: 4789. No checksum is looked at.
///
/// Returns 0. -EINVAL when it is no UDP datagram to that port, a fragment of one, or malformed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_vxlan_decap(
    packet: *mut fluxcap_packet,
    port: u16,
    vni: *mut u32,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::vxlan_decap(packet, port, vni) }
}

/// fluxcap_packet_adjust_head(), of a packet of the callback that runs on this thread: what is sent is the packet as it is then.
///
/// -EINVAL where no callback runs, -EMSGSIZE when `data` and `len` are not those of a packet, here and in all functions that follow.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_adjust_head(
    packet: *mut fluxcap_packet_ref,
    delta: i32,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::adjust_head(packet, delta) }
}

/// fluxcap_packet_adjust_tail(), of a packet of the callback that runs on this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_adjust_tail(
    packet: *mut fluxcap_packet_ref,
    delta: i32,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::adjust_tail(packet, delta) }
}

/// fluxcap_packet_push_vlan(), of a packet of the callback that runs on this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_push_vlan(
    packet: *mut fluxcap_packet_ref,
    tag: *const fluxcap_vlan_tag,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::push_vlan(packet, tag) }
}

/// fluxcap_packet_pop_vlan(), of a packet of the callback that runs on this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_pop_vlan(
    packet: *mut fluxcap_packet_ref,
    tag: *mut fluxcap_vlan_tag,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::pop_vlan(packet, tag) }
}

/// fluxcap_packet_push_mpls(), of a packet of the callback that runs on this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_push_mpls(
    packet: *mut fluxcap_packet_ref,
    label: *const fluxcap_mpls_label,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::push_mpls(packet, label) }
}

/// fluxcap_packet_pop_mpls(), of a packet of the callback that runs on this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_pop_mpls(
    packet: *mut fluxcap_packet_ref,
    ether_type: u16,
    label: *mut fluxcap_mpls_label,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::pop_mpls(packet, ether_type, label) }
}

/// fluxcap_packet_gre_encap(), of a packet of the callback that runs on this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_gre_encap(
    packet: *mut fluxcap_packet_ref,
    tunnel: *const fluxcap_tunnel,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::gre_encap(packet, tunnel) }
}

/// fluxcap_packet_gre_decap(), of a packet of the callback that runs on this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_gre_decap(
    packet: *mut fluxcap_packet_ref,
    tunnel: *mut fluxcap_gre_tunnel,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::gre_decap(packet, tunnel) }
}

/// fluxcap_packet_vxlan_encap(), of a packet of the callback that runs on this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_vxlan_encap(
    packet: *mut fluxcap_packet_ref,
    tunnel: *const fluxcap_tunnel,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::vxlan_encap(packet, tunnel) }
}

/// fluxcap_packet_vxlan_decap(), of a packet of the callback that runs on this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_vxlan_decap(
    packet: *mut fluxcap_packet_ref,
    port: u16,
    vni: *mut u32,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { change::vxlan_decap(packet, port, vni) }
}
