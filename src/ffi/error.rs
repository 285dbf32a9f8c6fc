//! What went wrong, as a number and in words; and which version this is.
//!
//! A function that fails returns a negative errno. fluxcap_last_error() has the text for a log or a
//! person: what was tried, what happened, and what to do.
//!
//! ```c
//! static int open_socket(const char *ifname, struct fluxcap_raw **raw)
//! {
//!     struct fluxcap_config config = {0};
//!     int result;
//!
//!     config.struct_size = sizeof(config);
//!     config.ifname = ifname;
//!     result = fluxcap_open(&config, raw);
//!     if (result < 0)
//!         fprintf(stderr, "%s (%s)\n", fluxcap_last_error(), strerror(-result));
//!     return result;
//! }
//! ```

use std::any::Any;
use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::backend::machine::CancelGuard;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::proto::ParseError;
use crate::proto::edit::EditError;

/// The longest text kept, with its final NUL.
const LONGEST: usize = 1024;

thread_local! {
    // Overwritten in place and never freed: a pointer to it stays good while later calls fail, as in
    // `printf("%d: %s", fluxcap_open(...), fluxcap_last_error())`, whose arguments are evaluated in any order.
    static LAST: [Cell<u8>; LONGEST] = const { [const { Cell::new(0) }; LONGEST] };
}

/// The version of the library, such as "0.1.0".
///
/// Returns a text of the library's own.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn fluxcap_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// What went wrong in the last call that failed on this thread.
///
/// It says what was tried, what happened, and what to do. A call that succeeds leaves it as it is.
///
/// Returns a text, empty before the first failure. It belongs to the library, changes with the next
/// failure on this thread, and goes with the thread.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn fluxcap_last_error() -> *const c_char {
    LAST.try_with(|last| last.as_ptr().cast())
        .unwrap_or(c"".as_ptr())
}

/// Runs the body of an exported function: its value, or the negative `errno` of its error, whose
/// text it keeps.
///
/// A panic ends here, as `-ENOTRECOVERABLE`. The thread is not cancelled meanwhile.
pub(super) fn guard(body: impl FnOnce() -> Result<c_int>) -> c_int {
    let _uncancelled = CancelGuard::new();
    quick(body)
}

/// [`guard`], for the packet path: a body that calls libc, if at all, through a socket's wake-ups
/// and waits, which see to it by themselves that the thread is not cancelled.
#[inline]
pub(super) fn quick(body: impl FnOnce() -> Result<c_int>) -> c_int {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => keep(&error),
        Err(panic) => keep(&panicked(&*panic)),
    }
}

#[cold]
fn keep(error: &FluxError) -> c_int {
    let text = error.to_string().replace('\0', "?");
    let mut len = text.len().min(LONGEST - 1);
    while !text.is_char_boundary(len) {
        len -= 1;
    }
    // At the end of a thread its last error may be gone already; the number still tells.
    let _ = LAST.try_with(|last| {
        for (place, byte) in last.iter().zip(text.bytes().take(len).chain([0])) {
            place.set(byte);
        }
    });
    // A callback may have returned any number.
    error.errno().wrapping_neg()
}

#[cold]
fn panicked(panic: &(dyn Any + Send)) -> FluxError {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    FluxError::new(
        ErrorKind::System,
        errno::ENOTRECOVERABLE,
        "call into libfluxcap",
        format_args!("a fault of the library: {message}"),
        "close the socket and report it",
    )
}

/// The error for a null pointer where there must be something.
#[cold]
pub(super) fn null(what: impl Display) -> FluxError {
    FluxError::invalid(
        format_args!("argument {what}"),
        "it is NULL",
        "pass a valid pointer",
    )
}

/// A count as C functions return it.
#[inline]
pub(super) fn count(value: u32) -> Result<c_int> {
    Ok(c_int::try_from(value).unwrap_or(c_int::MAX))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn last() -> String {
        // SAFETY: the text is good until the next failure on this thread.
        unsafe { CStr::from_ptr(fluxcap_last_error()) }
            .to_string_lossy()
            .into_owned()
    }

    #[test]
    fn an_error_becomes_its_negative_number_and_its_text_is_kept() {
        let number = guard(|| Err(FluxError::invalid("a", "b", "c\0d")));
        assert_eq!((number, last().as_str()), (-22, "a: b; c?d"));
        assert_eq!(guard(|| Ok(7)), 7);
        assert_eq!(last(), "a: b; c?d");
    }

    #[test]
    fn a_text_too_long_is_cut_between_characters_and_a_pointer_to_it_stays_good() {
        let before = fluxcap_last_error();
        guard(|| Err(FluxError::invalid("ä".repeat(2 * LONGEST), "b", "c")));
        assert_eq!(before, fluxcap_last_error());
        assert_eq!(last(), "ä".repeat((LONGEST - 1) / 2));
    }

    #[test]
    fn a_panic_becomes_a_number() {
        assert_eq!(guard(|| panic!("by {}", "test")), -errno::ENOTRECOVERABLE);
        assert!(last().contains("by test"), "{}", last());
    }
}
