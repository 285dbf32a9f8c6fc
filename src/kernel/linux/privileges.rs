//! Capabilities of this thread, and which of them a refused call would have needed.

use super::errors::words;
use super::memlock;
use crate::error::{ErrorKind, FluxError, errno};

pub(super) const CAP_NET_ADMIN: u32 = 12;
pub(super) const CAP_NET_RAW: u32 = 13;
pub(super) const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// A capability that opening a socket may take. Which feature takes which is in `src/rights.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Bpf,
    NetAdmin,
    NetRaw,
    Perfmon,
}

impl Right {
    /// What loading and attaching the plain XDP program takes.
    pub(crate) const PROGRAM: [Self; 2] = [Self::Bpf, Self::NetAdmin];
    /// What the program for fan-out takes.
    pub(crate) const FAN_OUT: [Self; 3] = [Self::Bpf, Self::NetAdmin, Self::Perfmon];

    fn name(self) -> &'static str {
        match self {
            Self::Bpf => "CAP_BPF",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::NetRaw => "CAP_NET_RAW",
            Self::Perfmon => "CAP_PERFMON",
        }
    }

    fn is_in(self, set: u64) -> bool {
        let has = |bit: u32| set >> bit & 1 == 1;
        match self {
            // CAP_SYS_ADMIN stands in for these two always, and for CAP_NET_ADMIN in newer kernels; when both are gone, both are named.
            Self::Bpf => has(CAP_BPF) || has(CAP_SYS_ADMIN),
            Self::Perfmon => has(CAP_PERFMON) || has(CAP_SYS_ADMIN),
            Self::NetAdmin => has(CAP_NET_ADMIN),
            Self::NetRaw => has(CAP_NET_RAW),
        }
    }
}

/// Whether this thread has a capability; `true` when that cannot be found out.
pub(super) fn has(capability: u32) -> bool {
    effective().is_none_or(|set| set >> capability & 1 == 1)
}

/// Whether this thread has what a right stands for; `true` when that cannot be found out.
pub(crate) fn has_right(right: Right) -> bool {
    effective().is_none_or(|set| right.is_in(set))
}

/// The effective capabilities of this thread, as a bit set. They belong to a thread, not to a process.
fn effective() -> Option<u64> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    // `_LINUX_CAPABILITY_VERSION_3`; process 0 is this thread.
    let mut header = Header {
        version: 0x2008_0522,
        pid: 0,
    };
    let mut data = [Data::default(); 2];
    // SAFETY: the kernel reads and writes one header, and writes two `Data` for this version.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, &raw mut data) };
    (result == 0).then(|| u64::from(data[1].effective) << 32 | u64::from(data[0].effective))
}

/// The names of those rights that are missing in `set`.
fn missing(rights: &[Right], set: u64) -> Vec<&'static str> {
    let missing = rights.iter().filter(|right| !right.is_in(set));
    missing.map(|right| right.name()).collect()
}

/// The words that give a program these rights, and those that its socket takes next: CAP_NET_RAW, and CAP_IPC_LOCK when it `exceeds` the limit
/// of locked memory.
fn grant(rights: &[Right], exceeds: bool) -> String {
    let names = rights.iter().chain([&Right::NetRaw]);
    let mut names: Vec<_> = names.map(|right| right.name().to_lowercase()).collect();
    if exceeds {
        names.push("cap_ipc_lock".to_owned());
    }
    let reason = match exceeds {
        true => " (the last one for packet memory above RLIMIT_MEMLOCK)",
        false => "",
    };
    format!(
        "run as root, or `setcap {}+ep PROGRAM`{reason}",
        names.join(",")
    )
}

/// The words that give a program CAP_IPC_LOCK. They name what it has, too: `setcap` takes away what it is not told.
pub(super) fn grant_ipc_lock() -> String {
    set_with_ipc_lock(effective().unwrap_or(u64::MAX))
}

fn set_with_ipc_lock(set: u64) -> String {
    let rights = [Right::Bpf, Right::NetAdmin, Right::NetRaw, Right::Perfmon];
    let held = rights.iter().filter(|right| right.is_in(set));
    let mut names: Vec<_> = held.map(|right| right.name().to_lowercase()).collect();
    names.push("cap_ipc_lock".to_owned());
    format!("`setcap {}+ep PROGRAM`", names.join(","))
}

/// The error for an XDP program that may not be loaded or attached, and takes these rights. `locked` bytes of packet memory are to be
/// registered next.
pub(crate) fn program_refusal(tried: &str, rights: &[Right], locked: u64) -> FluxError {
    let exceeds = memlock::exceeded_by(locked);
    let absent = effective().map(|set| {
        let mut absent = missing(rights, set);
        // The socket, which comes after the program, would be refused next.
        if !absent.is_empty() && !Right::NetRaw.is_in(set) {
            absent.push(Right::NetRaw.name());
        }
        absent
    });
    let (happened, fix) = match absent.as_deref() {
        None => (
            format!("not permitted, {} needed", missing(rights, 0).join(" and ")),
            grant(rights, exceeds),
        ),
        Some([]) => (
            "not permitted, although the capabilities are there".to_owned(),
            "they do not count in a user namespace; otherwise a container's seccomp filter or kernel lockdown forbids bpf()".to_owned(),
        ),
        Some(absent) => (
            format!("not permitted, {} missing", absent.join(" and ")),
            grant(rights, exceeds),
        ),
    };
    FluxError::new(ErrorKind::Permission, errno::EPERM, tried, happened, fix)
}

/// The error for a socket that may not be opened, and was to register `locked` bytes of packet memory.
pub(super) fn socket_refusal(tried: &str, error: i32, locked: u64) -> FluxError {
    let (happened, fix) = match effective() {
        Some(set) if !Right::NetRaw.is_in(set) => {
            let mut happened = "not permitted, CAP_NET_RAW is missing".to_owned();
            let also = missing(&Right::PROGRAM, set);
            if !also.is_empty() {
                happened += " (and ";
                happened += &also.join(" and ");
                happened += ", which attaching the XDP program needs)";
            }
            (
                happened,
                grant(&Right::PROGRAM, memlock::exceeded_by(locked)),
            )
        }
        _ => (
            words(error),
            "CAP_NET_RAW is needed, in the user namespace that owns the network namespace; a container's seccomp filter may forbid AF_XDP too".to_owned(),
        ),
    };
    FluxError::new(ErrorKind::Permission, error, tried, happened, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capabilities_are_told_apart() {
        let plain = |set| missing(&Right::PROGRAM, set);
        let fan_out = |set| missing(&Right::FAN_OUT, set);
        assert_eq!(plain(0), ["CAP_BPF", "CAP_NET_ADMIN"]);
        assert_eq!(plain(1 << CAP_SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert!(plain(u64::MAX).is_empty());
        let three = 1 << CAP_BPF | 1 << CAP_NET_ADMIN | 1 << CAP_NET_RAW;
        assert!(plain(three).is_empty());
        assert_eq!(fan_out(three), ["CAP_PERFMON"]);
        assert!(fan_out(three | 1 << CAP_PERFMON).is_empty());
        assert_eq!(
            grant(&Right::FAN_OUT, false),
            "run as root, or `setcap cap_bpf,cap_net_admin,cap_perfmon,cap_net_raw+ep PROGRAM`"
        );
        let with_lock = grant(&Right::PROGRAM, true);
        assert!(
            with_lock
                .contains("`setcap cap_bpf,cap_net_admin,cap_net_raw,cap_ipc_lock+ep PROGRAM`")
        );
        assert_eq!(
            set_with_ipc_lock(three),
            "`setcap cap_bpf,cap_net_admin,cap_net_raw,cap_ipc_lock+ep PROGRAM`"
        );
    }
}
