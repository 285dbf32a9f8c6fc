//! Which capabilities a thread lacks for loading and attaching XDP programs.

use std::fs;

use crate::error::{ErrorKind, FluxError, errno};

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: u32 = 39;

/// The error for an EPERM of `bpf()`: which capabilities are missing, and where they come from.
pub(super) fn refusal(tried: &str) -> FluxError {
    let (happened, fix) = match effective() {
        Some(capabilities) => explain(capabilities),
        None => (
            "not permitted".to_owned(),
            "CAP_BPF and CAP_NET_ADMIN are needed (CAP_SYS_ADMIN before Linux 5.8)",
        ),
    };
    FluxError::new(ErrorKind::Permission, errno::EPERM, tried, happened, fix)
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

fn explain(capabilities: u64) -> (String, &'static str) {
    let has = |bit: u32| capabilities >> bit & 1 == 1;
    // CAP_SYS_ADMIN contains CAP_BPF, but not CAP_NET_ADMIN.
    let missing: Vec<&str> = [
        (has(CAP_BPF) || has(CAP_SYS_ADMIN), "CAP_BPF"),
        (has(CAP_NET_ADMIN), "CAP_NET_ADMIN"),
    ]
    .into_iter()
    .filter_map(|(present, name)| (!present).then_some(name))
    .collect();
    if missing.is_empty() {
        (
            "not permitted, although the capabilities are there".to_owned(),
            "they do not count in a user namespace; otherwise a container's seccomp filter or kernel lockdown forbids bpf()",
        )
    } else {
        (
            format!("not permitted, {} missing", missing.join(" and ")),
            "run as root, or `setcap cap_bpf,cap_net_admin,cap_net_raw+ep PROGRAM` (CAP_SYS_ADMIN instead of CAP_BPF before Linux 5.8)",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_capabilities_are_named() {
        let text = |capabilities| explain(capabilities).0;
        assert_eq!(text(0), "not permitted, CAP_BPF and CAP_NET_ADMIN missing");
        assert_eq!(
            text(1 << CAP_SYS_ADMIN),
            "not permitted, CAP_NET_ADMIN missing"
        );
        assert_eq!(text(1 << CAP_NET_ADMIN), "not permitted, CAP_BPF missing");
        assert!(text(1 << CAP_NET_ADMIN | 1 << CAP_BPF).contains("although"));
    }
}
