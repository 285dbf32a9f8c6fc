//! The limit of locked memory, which a UMEM counts against.

use std::fmt;

use super::errors::check;
use super::privileges::{self, CAP_IPC_LOCK};
use crate::error::{ErrorKind, FluxError, errno};

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

/// The error for packet memory beyond the limit of locked memory, which the kernel reports as ENOBUFS.
pub(super) fn refusal(tried: impl fmt::Display, needed: u64) -> FluxError {
    let limit = match limit().rlim_cur {
        libc::RLIM_INFINITY => "no limit, by getrlimit".to_owned(),
        bytes => format!("{bytes} bytes"),
    };
    let lacking = if privileges::has(CAP_IPC_LOCK) {
        ""
    } else {
        " and CAP_IPC_LOCK, which would lift it, is missing"
    };
    FluxError::new(
        ErrorKind::Memory,
        errno::ENOBUFS,
        tried,
        format_args!(
            "the limit of locked memory (RLIMIT_MEMLOCK) is {limit} for all processes of this user, {needed} bytes are needed{lacking}"
        ),
        format_args!(
            "raise it (`ulimit -l {}`, or LimitMEMLOCK=infinity in the systemd unit), give the program CAP_IPC_LOCK, or ask for fewer frames",
            needed.div_ceil(1024)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memlock_refusal_names_the_limit_what_is_needed_and_the_fix() {
        let text = refusal("registering", 1 << 20).to_string();
        for part in [
            "RLIMIT_MEMLOCK",
            "1048576 bytes",
            "ulimit -l 1024",
            "LimitMEMLOCK",
            "CAP_IPC_LOCK",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
