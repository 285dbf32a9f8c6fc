//! What the functions do that change a packet, be it an owned one or one of a callback.

use std::ffi::c_int;

use super::error::{null, quick};
use super::sized;
use super::tunnel::{
    fluxcap_gre_tunnel, fluxcap_mpls_label, fluxcap_tunnel, fluxcap_vlan_tag, vxlan_port,
};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::proto::edit::{self, EditError};
use crate::proto::{EtherType, Room};

#[cold]
pub(super) fn refused(error: EditError) -> FluxError {
    let (errno, fix) = match error {
        EditError::NoHeadroom { .. } => (errno::EMSGSIZE, "ask for more headroom in the config"),
        EditError::TooLong { .. } => (errno::EMSGSIZE, "send shorter packets into the tunnel"),
        _ => (errno::EINVAL, "pass it on, or drop it"),
    };
    FluxError::new(
        ErrorKind::Invalid,
        errno,
        "change a packet's headers",
        error,
        fix,
    )
}

/// A struct that stands for a packet in C: an owned one, or one of a callback.
pub(super) trait Editable {
    /// The packet in Rust.
    type Packet<'a>: Room;

    /// Changes the packet, and has the struct tell where it is then.
    ///
    /// # Safety
    ///
    /// `packet` is null, or points to a packet that nobody else uses, or to a copy of its struct. A
    /// packet of a callback is recognised by where it is, before it is followed.
    unsafe fn change<T>(
        packet: *mut Self,
        edit: impl FnOnce(&mut Self::Packet<'_>) -> Result<T>,
    ) -> Result<T>;
}

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
