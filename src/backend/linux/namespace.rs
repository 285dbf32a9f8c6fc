//! Which network namespace a thread is in.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use crate::backend::linux::errors::check;
use crate::backend::linux::{options, uapi};

/// The identity of a network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Namespace {
    /// A number that the kernel gives to no other one, ever (Linux 5.14).
    Cookie(u64),
    /// Device and inode of its file, which may come again when it is gone.
    File(u64, u64),
}

impl Namespace {
    /// That of a socket; `None` where nothing tells.
    pub(super) fn of(socket: BorrowedFd<'_>) -> Option<Self> {
        cookie(socket)
            .or_else(|| by_socket(socket))
            .or_else(by_thread)
    }
}

fn cookie(socket: BorrowedFd<'_>) -> Option<Namespace> {
    options::namespace_cookie(socket).map(Namespace::Cookie)
}

/// By a descriptor of the namespace, which the kernel gives to those who have CAP_NET_ADMIN in it.
fn by_socket(socket: BorrowedFd<'_>) -> Option<Namespace> {
    // SAFETY: the call takes a socket and no argument, and returns a new descriptor or an error.
    let fd = check(unsafe { libc::ioctl(socket.as_raw_fd(), uapi::SIOCGSKNS as _) }).ok()?;
    // SAFETY: a new descriptor, which nobody else knows.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    of_file(&file.metadata().ok()?)
}

/// Of the thread, where /proc is mounted.
fn by_thread() -> Option<Namespace> {
    of_file(&fs::metadata("/proc/thread-self/ns/net").ok()?)
}

fn of_file(file: &fs::Metadata) -> Option<Namespace> {
    Some(Namespace::File(file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;
    use std::thread;

    use super::*;
    use crate::backend::linux::tests::net::in_namespace;

    /// What each way says on this thread.
    fn here() -> [Option<Namespace>; 3] {
        let socket = UnixDatagram::unbound().unwrap();
        let socket = socket.as_fd();
        [cookie(socket), by_socket(socket), by_thread()]
    }

    #[test]
    fn each_way_tells_namespaces_apart_and_knows_one_again() {
        in_namespace(|| {
            let first = here();
            assert_eq!(here(), first);
            let second = thread::spawn(|| {
                // SAFETY: concerns only this thread.
                assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
                here()
            });
            let second = second.join().unwrap();
            for (first, second) in first.into_iter().zip(second) {
                match (first, second) {
                    (Some(first), Some(second)) => assert_ne!(first, second),
                    _ => println!("skipped: one of the ways, which this kernel does not know"),
                }
            }
            // The two files are the same one, so the ways can be mixed.
            assert_eq!(first[1], first[2]);
        });
    }
}
