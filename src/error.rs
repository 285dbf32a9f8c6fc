//! What went wrong: one error type for both faces of the library.

#![forbid(unsafe_code)]

use std::fmt;

/// The numbers of Linux' `errno`, the native error language of this field.
///
/// They are the same on every operating system, so that a program tested on the
/// simulator sees the numbers that it will see in production.
pub mod errno {
    #![allow(missing_docs, reason = "the names are those of errno(3)")]
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const EIO: i32 = 5;
    pub const ENXIO: i32 = 6;
    pub const E2BIG: i32 = 7;
    pub const EAGAIN: i32 = 11;
    pub const ENOMEM: i32 = 12;
    pub const EACCES: i32 = 13;
    pub const EFAULT: i32 = 14;
    pub const EBUSY: i32 = 16;
    pub const EEXIST: i32 = 17;
    pub const ENODEV: i32 = 19;
    pub const ENOTDIR: i32 = 20;
    pub const EISDIR: i32 = 21;
    pub const EINVAL: i32 = 22;
    pub const EMFILE: i32 = 24;
    pub const EFBIG: i32 = 27;
    pub const ENOSPC: i32 = 28;
    pub const EROFS: i32 = 30;
    pub const EDOM: i32 = 33;
    pub const ENAMETOOLONG: i32 = 36;
    pub const ETIME: i32 = 62;
    pub const ENOPROTOOPT: i32 = 92;
    pub const EPROTONOSUPPORT: i32 = 93;
    pub const EOPNOTSUPP: i32 = 95;
    pub const EAFNOSUPPORT: i32 = 97;
    pub const ENETDOWN: i32 = 100;
    pub const ENOBUFS: i32 = 105;
    pub const EMSGSIZE: i32 = 90;
    pub const ESHUTDOWN: i32 = 108;
    pub const EDQUOT: i32 = 122;
    pub const ECANCELED: i32 = 125;
    pub const ENOTRECOVERABLE: i32 = 131;
}

/// The result of every fallible call of this crate.
pub type Result<T, E = FluxError> = std::result::Result<T, E>;

/// The family that a [`FluxError`] belongs to: what a program can decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request can never work: a geometry, size, name or value out of its range.
    Invalid,
    /// No such interface.
    NotFound,
    /// The interface is down.
    Down,
    /// The interface was removed, or the socket lost it.
    Gone,
    /// The queue or the XDP hook is taken by somebody else.
    Busy,
    /// A capability or permission is missing.
    Permission,
    /// Memory, locked-memory limit or hugepages ran out.
    Memory,
    /// The kernel or the driver cannot do it.
    Unsupported,
    /// The program's own callback returned an error, or panicked.
    Callback,
    /// There is no room now; try again when packets have left.
    Full,
    /// Packets were given to the kernel to send, and nothing has moved for a long time.
    Stuck,
    /// A [`Stopper`](crate::Stopper) ended the wait.
    Stopped,
    /// Any other refusal of the operating system.
    System,
}

/// What went wrong, for a person: what was tried, what happened, the likely cause
/// and what to do about it.
///
/// `Display` gives it all as one line. A program decides on [`kind`](Self::kind) or [`errno`](Self::errno).
///
/// ```
/// use fluxcap::{ErrorKind, FluxBuilder};
///
/// let error = FluxBuilder::new("eth0").chunk_size(1000).build().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Invalid);
/// assert!(error.to_string().contains("chunk size 1000"));
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.text)]
pub struct FluxError(Box<Detail>);

#[derive(Clone, PartialEq, Eq)]
struct Detail {
    kind: ErrorKind,
    errno: i32,
    text: String,
}

impl FluxError {
    /// An error that says what was `tried`, what `happened` and what the `fix` is.
    ///
    /// `errno` is a positive number of [`errno`]. The three texts are joined into one line: `tried: happened; fix`.
    #[must_use]
    pub fn new(
        kind: ErrorKind,
        errno: i32,
        tried: impl fmt::Display,
        happened: impl fmt::Display,
        fix: impl fmt::Display,
    ) -> Self {
        let text = format!("{tried}: {happened}; {fix}");
        Self(Box::new(Detail { kind, errno, text }))
    }

    /// A request that can never work, with the rule it breaks.
    pub(crate) fn invalid(
        tried: impl fmt::Display,
        rule: impl fmt::Display,
        fix: impl fmt::Display,
    ) -> Self {
        Self::new(ErrorKind::Invalid, errno::EINVAL, tried, rule, fix)
    }

    /// Memory whose amount somebody asked for, and that is not there.
    #[cold]
    pub(crate) fn no_memory(tried: impl fmt::Display, fix: impl fmt::Display) -> Self {
        Self::new(
            ErrorKind::Memory,
            errno::ENOMEM,
            tried,
            "the machine, or the limit of this process (`ulimit -v`), has not enough memory for that",
            fix,
        )
    }

    /// The family of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The `errno` number behind the error, always positive. The C functions return it negated.
    #[must_use]
    pub fn errno(&self) -> i32 {
        self.0.errno
    }

    /// The same error with a sentence added, for a caller that knows more of the circumstances.
    #[must_use]
    pub(crate) fn with_note(mut self, note: impl fmt::Display) -> Self {
        self.0.text = format!("{} ({note})", self.0.text);
        self
    }
}

impl fmt::Debug for FluxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "FluxError({:?}, errno {}: {})",
            self.0.kind, self.0.errno, self.0.text
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_one_line_with_attempt_happening_and_fix() {
        let error = FluxError::invalid("chunk size 1000", "not a power of two", "use 2048 or 4096");
        assert_eq!(
            error.to_string(),
            "chunk size 1000: not a power of two; use 2048 or 4096"
        );
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Invalid, errno::EINVAL)
        );
    }

    #[test]
    fn a_result_with_an_error_is_no_larger_than_a_pointer() {
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }
}
