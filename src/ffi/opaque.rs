//! Values behind opaque handles, each with a word in front that tells its kind.

use super::error::null;
use crate::error::{FluxError, Result};

/// An opaque struct of the C face: a name for pointers to a value, of which C sees nothing.
pub(super) trait Opaque {
    /// What is behind the handle.
    type Value;
    /// The word in front, different from that of all other kinds.
    const KIND: u64;
    /// The name of the struct, for messages.
    const NAME: &'static str;
    /// The name of an argument of this kind, for messages.
    const ARGUMENT: &'static str;
    /// The function that gives such a handle, for messages.
    const GIVER: &'static str;
}

/// `repr(C)`, so that the word is in front whatever the value: the wrong handle can be told from the right one by looking there.
#[repr(C)]
struct Marked<T> {
    kind: u64,
    value: T,
}

/// Makes a handle, to be taken back with [`take`].
pub(super) fn give<H: Opaque>(value: H::Value) -> *mut H {
    let kind = H::KIND;
    Box::into_raw(Box::new(Marked { kind, value })).cast()
}

/// Takes back what is behind a handle, which is gone then; `None` for null and for a handle of another kind.
///
/// # Safety
///
/// `handle` is null or an open handle that nobody else uses.
pub(super) unsafe fn take<H: Opaque>(handle: *mut H) -> Option<H::Value> {
    // SAFETY: as the caller promises.
    unsafe { check(handle).ok()? };
    let marked: *mut Marked<H::Value> = handle.cast();
    // SAFETY: it has the kind of `H`, so `give` made it, and it is taken back but once.
    let marked = unsafe {
        // For whoever uses it later, which is forbidden, but should not go unnoticed where it can be noticed.
        (&raw mut (*marked).kind).write_volatile(0);
        Box::from_raw(marked)
    };
    Some(marked.value)
}

/// What is behind a handle, for a call that changes it.
///
/// # Safety
///
/// `handle` is null or an open handle that no other thread uses during `'a`.
#[inline]
pub(super) unsafe fn exclusive<'a, H: Opaque>(handle: *mut H) -> Result<&'a mut H::Value> {
    // SAFETY: as the caller promises.
    unsafe { check(handle)? };
    // SAFETY: it has the kind of `H`, so `give` made it; nobody else uses it, as the caller promises.
    Ok(unsafe { &mut (*handle.cast::<Marked<H::Value>>()).value })
}

/// What is behind a handle, for a call that only looks at it.
///
/// # Safety
///
/// `handle` is null or an open handle that no other thread changes during `'a`.
#[inline]
pub(super) unsafe fn shared<'a, H: Opaque>(handle: *const H) -> Result<&'a H::Value> {
    // SAFETY: as the caller promises.
    unsafe { check(handle)? };
    // SAFETY: it has the kind of `H`, so `give` made it; nobody changes it, as the caller promises.
    Ok(unsafe { &(*handle.cast::<Marked<H::Value>>()).value })
}

/// # Safety
///
/// `handle` is null or points to at least eight readable bytes.
#[inline]
unsafe fn check<H: Opaque>(handle: *const H) -> Result<()> {
    // SAFETY: not null, so readable as the caller promises.
    if !handle.is_null() && unsafe { handle.cast::<u64>().read_unaligned() } == H::KIND {
        return Ok(());
    }
    Err(refuse::<H>(handle.is_null()))
}

#[cold]
fn refuse<H: Opaque>(is_null: bool) -> FluxError {
    if is_null {
        return null(H::ARGUMENT);
    }
    FluxError::invalid(
        format_args!("argument {}", H::ARGUMENT),
        format_args!("it is no struct {}, or was freed", H::NAME),
        format_args!("pass what {} gave", H::GIVER),
    )
}
