//! The limit of locked memory, which a UMEM counts against.

use std::fmt;

use super::errors::check;
use super::privileges::{self, CAP_IPC_LOCK};
use crate::error::{ErrorKind, FluxError, errno};
use crate::mem::PAGE_SIZE;

/// The limits of locked memory, soft and hard, in bytes.
pub(super) fn limit() -> libc::rlimit {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the kernel writes one `rlimit`.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    limit
}

/// Raises the limit of locked memory as far as this process may.
pub(super) fn raise() {
    let old = limit();
    let set = |soft, hard| {
        let limit = libc::rlimit {
            rlim_cur: soft,
            rlim_max: hard,
        };
        // SAFETY: the kernel reads one `rlimit`.
        check(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) }).is_ok()
    };
    if old.rlim_cur != libc::RLIM_INFINITY && !set(libc::RLIM_INFINITY, libc::RLIM_INFINITY) {
        set(old.rlim_max, old.rlim_max);
    }
}

/// Whether so many bytes of packet memory, with a page to watch the queue by, are above what the limit can be raised to without a right. What
/// other sockets of the user have locked is not known.
pub(super) fn exceeded_by(bytes: u64) -> bool {
    bytes.saturating_add(PAGE_SIZE as u64) > limit().rlim_max
}

/// The error for `len` bytes of packet memory, in frames of `chunk_size`, beyond the limit of locked memory, which the kernel reports as ENOBUFS.
pub(super) fn refusal(tried: impl fmt::Display, len: u64, chunk_size: u32) -> FluxError {
    let page = PAGE_SIZE as u64;
    let needed = len + page;
    let (limit, fewer) = match limit().rlim_cur {
        libc::RLIM_INFINITY => ("no limit, by getrlimit".to_owned(), String::new()),
        bytes => (
            format!("{bytes} bytes"),
            format!(
                ": {} fit, of all sockets together",
                bytes.saturating_sub(page) / u64::from(chunk_size)
            ),
        ),
    };
    let (lacking, grant) = if privileges::has(CAP_IPC_LOCK) {
        (
            "; CAP_IPC_LOCK, which would lift it, does not count in a user namespace",
            String::new(),
        )
    } else {
        (
            " and CAP_IPC_LOCK, which would lift it, is missing",
            format!(
                "give the program CAP_IPC_LOCK ({}), ",
                privileges::grant_ipc_lock()
            ),
        )
    };
    // The program has raised its own limit as far as it may: from here on it takes root.
    FluxError::new(
        ErrorKind::Memory,
        errno::ENOBUFS,
        tried,
        format_args!(
            "the limit of locked memory (RLIMIT_MEMLOCK) is {limit} for all processes of this user, {needed} bytes are needed, with a page to watch the queue by{lacking}"
        ),
        format_args!(
            "{grant}raise the limit as root (`sudo prlimit --memlock={needed} --pid $$` in the shell that starts it, or LimitMEMLOCK=infinity in the systemd unit), or ask for fewer frames{fewer}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memlock_refusal_names_the_limit_what_is_needed_and_the_fix() {
        let text = refusal("registering", 1 << 20, 4096).to_string();
        for part in [
            "RLIMIT_MEMLOCK",
            "1052672 bytes",
            "sudo prlimit --memlock=1052672 --pid $$",
            "LimitMEMLOCK",
            "CAP_IPC_LOCK",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let frames = format!("{} fit", limit().rlim_cur / 4096 - 1);
        assert!(text.contains(&frames), "{frames} in {text}");
    }
}
