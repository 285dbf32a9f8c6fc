//! File descriptors, where the system has them: those of the standard library on Unix.
//!
//! Elsewhere the names are there, so that programs compile everywhere, and there is no value of these types.

#![forbid(unsafe_code)]

use std::fmt;
use std::fs::File;

#[cfg(unix)]
pub use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

#[cfg(not(unix))]
pub use none::{AsFd, BorrowedFd, OwnedFd};

/// A file descriptor that is readable while a socket has packets.
pub trait ReadyFd: fmt::Debug + Send + Sync {
    /// Makes it readable, or unreadable. One thread at a time.
    fn set_ready(&self, ready: bool);

    /// The descriptor.
    fn fd(&self) -> BorrowedFd<'_>;
}

/// The descriptor of a file.
#[cfg(unix)]
pub(crate) fn of_file(file: &File) -> Option<BorrowedFd<'_>> {
    Some(file.as_fd())
}

/// The number of a descriptor, for C.
#[cfg(unix)]
#[cfg_attr(
    not(feature = "capi"),
    allow(dead_code, reason = "C has numbers alone")
)]
pub(crate) fn number(fd: BorrowedFd<'_>) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(&fd)
}

/// The descriptor of a file.
#[cfg(not(unix))]
pub(crate) fn of_file(_file: &File) -> Option<BorrowedFd<'_>> {
    None
}

/// The number of a descriptor, for C.
#[cfg(not(unix))]
#[cfg_attr(
    not(feature = "capi"),
    allow(dead_code, reason = "C has numbers alone")
)]
pub(crate) fn number(fd: BorrowedFd<'_>) -> i32 {
    fd.never()
}

#[cfg(not(unix))]
mod none {
    use std::convert::Infallible;
    use std::marker::PhantomData;

    /// A descriptor that the value closes: there is none on this system.
    #[derive(Debug)]
    pub struct OwnedFd(Infallible);

    /// A descriptor that somebody else closes: there is none on this system.
    #[derive(Debug, Clone, Copy)]
    pub struct BorrowedFd<'a>(Infallible, PhantomData<&'a OwnedFd>);

    impl BorrowedFd<'_> {
        pub(super) fn never(self) -> i32 {
            match self.0 {}
        }
    }

    /// What has a descriptor: nothing on this system.
    pub trait AsFd {
        /// Its descriptor.
        fn as_fd(&self) -> BorrowedFd<'_>;
    }

    impl AsFd for OwnedFd {
        fn as_fd(&self) -> BorrowedFd<'_> {
            match self.0 {}
        }
    }
}
