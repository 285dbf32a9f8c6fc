//! Capabilities of this thread, and which of them a refused call would have needed.

use std::fs;

use super::errors::words;
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

/// What loading and attaching an XDP program needs, as far as it is missing in `set`.
fn missing_for_program(set: u64) -> Vec<&'static str> {
    let has = |bit: u32| set >> bit & 1 == 1;
    // CAP_SYS_ADMIN stands in for CAP_BPF always, and for CAP_NET_ADMIN in newer kernels; when both are gone, both are named.
    [
        (has(CAP_BPF) || has(CAP_SYS_ADMIN), "CAP_BPF"),
        (has(CAP_NET_ADMIN), "CAP_NET_ADMIN"),
    ]
    .into_iter()
    .filter_map(|(present, name)| (!present).then_some(name))
    .collect()
}

/// The error for an XDP program that may not be loaded or attached.
pub(crate) fn program_refusal(tried: &str) -> FluxError {
    let missing = effective().map(|set| {
        let mut missing = missing_for_program(set);
        // The socket, which comes after the program, would be refused next.
        if !missing.is_empty() && set >> CAP_NET_RAW & 1 == 0 {
            missing.push("CAP_NET_RAW");
        }
        missing
    });
    let (happened, fix) = match missing.as_deref() {
        None => (
            "not permitted".to_owned(),
            "CAP_BPF and CAP_NET_ADMIN are needed (CAP_SYS_ADMIN before Linux 5.8)",
        ),
        Some([]) => (
            "not permitted, although the capabilities are there".to_owned(),
            "they do not count in a user namespace; otherwise a container's seccomp filter or kernel lockdown forbids bpf()",
        ),
        Some(missing) => (
            format!("not permitted, {} missing", missing.join(" and ")),
            "run as root, or `setcap cap_bpf,cap_net_admin,cap_net_raw+ep PROGRAM` (CAP_SYS_ADMIN instead of CAP_BPF before Linux 5.8)",
        ),
    };
    FluxError::new(ErrorKind::Permission, errno::EPERM, tried, happened, fix)
}

/// The error for a socket that may not be opened.
pub(super) fn socket_refusal(tried: &str, error: i32) -> FluxError {
    let (happened, fix) = match effective() {
        Some(set) if set >> CAP_NET_RAW & 1 == 0 => {
            let mut happened = "not permitted, CAP_NET_RAW is missing".to_owned();
            let also = missing_for_program(set);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capabilities_are_told_apart() {
        assert_eq!(missing_for_program(0), ["CAP_BPF", "CAP_NET_ADMIN"]);
        assert_eq!(missing_for_program(1 << CAP_SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert!(missing_for_program(u64::MAX).is_empty());
    }
}
