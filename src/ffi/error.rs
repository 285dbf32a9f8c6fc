//! From results and panics to negative `errno` numbers and a text.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{ErrorKind, FluxError, Result, errno};

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// The version of the library, such as "0.1.0".
///
/// Any thread. The text is the library's own.
#[unsafe(no_mangle)]
pub extern "C" fn fluxcap_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// What went wrong in the last call that failed on this thread: what was tried, what happened, and what to do.
///
/// Empty before the first failure; a call that succeeds leaves it as it is. The text belongs to the library and is good until
/// the next failure on this thread, or the thread's end.
#[unsafe(no_mangle)]
pub extern "C" fn fluxcap_last_error() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr())
        .unwrap_or(c"".as_ptr())
}

/// Runs the body of an exported function: its value, or the negative `errno` of its error, whose text it keeps.
///
/// A panic ends here, as `-ENOTRECOVERABLE`.
pub(super) fn guard(body: impl FnOnce() -> Result<c_int>) -> c_int {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => keep(&error),
        Err(panic) => keep(&panicked(&*panic)),
    }
}

#[cold]
fn keep(error: &FluxError) -> c_int {
    let text = CString::new(error.to_string().replace('\0', "?")).unwrap_or_default();
    // At the end of a thread its last error may be gone already; the number still tells.
    let _ = LAST.try_with(|last| last.replace(text));
    -error.errno()
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
pub(super) fn null(what: &str) -> FluxError {
    FluxError::invalid(
        format_args!("argument {what}"),
        "it is NULL",
        "pass a valid pointer",
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
    fn a_panic_becomes_a_number() {
        assert_eq!(guard(|| panic!("by {}", "test")), -errno::ENOTRECOVERABLE);
        assert!(last().contains("by test"), "{}", last());
    }
}
