//! A place to bind to, behind its opaque handle.

use std::ffi::{CStr, c_char, c_int};

use super::error::{guard, null};
use super::opaque::{self, Opaque};
use crate::error::{FluxError, Result};
use crate::link::Link;
use crate::sim::Nic;

/// A place to bind to: a network interface of this machine, or a simulated NIC. Goes into struct
/// fluxcap_config.
pub struct fluxcap_link {
    _opaque: [u8; 0],
}

/// What is behind the handle.
pub(super) struct Place {
    pub(super) link: Link,
    nic: Option<Nic>,
}

// SAFETY: the only one of this kind.
unsafe impl Opaque for fluxcap_link {
    type Value = Place;
    const KIND: u64 = u64::from_le_bytes(*b"fluxlink");
    const NAME: &'static str = "fluxcap_link";
    const ARGUMENT: &'static str = "link";
    const GIVER: &'static str = "fluxcap_sim_add or fluxcap_link_interface";
}

/// Makes a handle of a simulated NIC.
pub(super) fn simulated(nic: Nic) -> *mut fluxcap_link {
    opaque::give(Place {
        link: Link::from(&nic),
        nic: Some(nic),
    })
}

/// The simulated NIC behind a link, in the process whose it is.
///
/// # Safety
///
/// `link` is null or an open handle.
pub(super) unsafe fn nic<'a>(link: *const fluxcap_link) -> Result<&'a Nic> {
    // SAFETY: as the caller promises.
    let place = unsafe { opaque::shared(link)? };
    let nic = place.nic.as_ref().ok_or_else(|| {
        FluxError::invalid(
            "argument link",
            "it is an interface of this machine, and no simulated NIC",
            "pass what fluxcap_sim_add gave",
        )
    })?;
    nic.network().check().map(|()| nic)
}

/// Makes a link to a network interface of this machine.
///
/// Whether there is such an interface is seen when the link is used, in the network namespace of
/// the thread that uses it.
///
/// Returns 0; `*link` is a handle to be freed with fluxcap_link_free().
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_link_interface(
    name: *const c_char,
    link: *mut *mut fluxcap_link,
) -> c_int {
    guard(|| {
        if name.is_null() {
            return Err(null("name"));
        }
        if link.is_null() {
            return Err(null("link"));
        }
        // SAFETY: not null, so a C string as the header asks.
        let name = unsafe { CStr::from_ptr(name) };
        let place = Place {
            link: Link::interface(&name.to_string_lossy()),
            nic: None,
        };
        // SAFETY: not null, so writable as the header asks.
        unsafe { link.write(opaque::give(place)) };
        Ok(0)
    })
}

/// Frees a link.
///
/// Sockets on it stay open, and a simulated NIC stays in its network. NULL is a no-op. The handle
/// is gone afterwards.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_link_free(link: *mut fluxcap_link) {
    guard(|| {
        // SAFETY: null, or a handle that nobody else uses, as the header asks.
        drop(unsafe { opaque::take(link) });
        Ok(0)
    });
}
