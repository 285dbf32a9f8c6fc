//! Capabilities of this thread, and the limit of locked memory.

use std::fmt;
use std::fs;

use super::errors::{check, words};
use crate::error::{ErrorKind, FluxError, errno};

pub(super) const CAP_NET_ADMIN: u32 = 12;
pub(super) const CAP_NET_RAW: u32 = 13;
pub(super) const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: u32 = 39;

/// Whether this thread has a capability; `true` when that cannot be found out.
pub(super) fn has(capability: u32) -> bool {
    effective().is_none_or(|set| set >> capability & 1 == 1)
}

/// The effective capabilities of this thread, as a bit set.
fn effective() -> Option<u64> {
    // Capabilities belong to a thread, not to a process.
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// What a program needs besides CAP_NET_RAW, as far as it is missing in `set`.
fn also_missing(set: u64) -> Vec<&'static str> {
    let has = |bit: u32| set >> bit & 1 == 1;
    [
        (has(CAP_NET_ADMIN), "CAP_NET_ADMIN"),
        (has(CAP_BPF) || has(CAP_SYS_ADMIN), "CAP_BPF"),
    ]
    .into_iter()
    .filter_map(|(present, name)| (!present).then_some(name))
    .collect()
}

/// The error for a socket that may not be opened.
pub(super) fn socket_refusal(tried: &str, error: i32) -> FluxError {
    let (happened, fix) = match effective() {
        Some(set) if set >> CAP_NET_RAW & 1 == 0 => {
            let mut happened = "not permitted, CAP_NET_RAW is missing".to_owned();
            let also = also_missing(set);
            if !also.is_empty() {
                happened += " (and ";
                happened += &also.join(" and ");
                happened += ", which attaching the XDP program needs)";
            }
            (
                happened,
                "run as root, or `setcap cap_net_raw,cap_net_admin,cap_bpf+ep PROGRAM`",
            )
        }
        _ => (
            words(error),
            "CAP_NET_RAW is needed, in the user namespace that owns the network namespace; a container's seccomp filter may forbid AF_XDP too",
        ),
    };
    FluxError::new(ErrorKind::Permission, error, tried, happened, fix)
}

/// The limits of locked memory, soft and hard, in bytes.
pub(super) fn memlock() -> libc::rlimit {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the kernel writes one `rlimit`.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    limit
}

/// Raises the limit of locked memory as far as this process may.
pub(super) fn raise_memlock() {
    let old = memlock();
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
pub(super) fn memlock_refusal(tried: impl fmt::Display, needed: u64) -> FluxError {
    let limit = match memlock().rlim_cur {
        libc::RLIM_INFINITY => "no limit, by getrlimit".to_owned(),
        bytes => format!("{bytes} bytes"),
    };
    let lacking = if has(CAP_IPC_LOCK) {
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
    fn missing_capabilities_are_told_apart() {
        assert_eq!(also_missing(0), ["CAP_NET_ADMIN", "CAP_BPF"]);
        assert_eq!(also_missing(1 << CAP_SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert!(also_missing(u64::MAX).is_empty());
    }

    #[test]
    fn a_memlock_refusal_names_the_limit_what_is_needed_and_the_fix() {
        let text = memlock_refusal("registering", 1 << 20).to_string();
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
