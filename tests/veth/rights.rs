//! Programs with too few rights: each missing one is named.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

use fluxcap::{ErrorKind, FluxBuilder};

use super::net::{Stack, has_program, in_namespace};
use super::process::{Program, example};
use super::traffic::{carry, close, frames, send, small};

const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_RESOURCE: u32 = 24;
const CAP_BPF: u32 = 39;

/// Takes capabilities from this thread.
fn drop_capabilities(numbers: &[u32]) {
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
    // Version 3; process 0 is this thread.
    let header = Header {
        version: 0x2008_0522,
        pid: 0,
    };
    let mut data = [Data::default(); 2];
    // SAFETY: the kernel writes two `Data` for version 3.
    let got = unsafe { libc::syscall(libc::SYS_capget, &header, &mut data) };
    assert_eq!(got, 0);
    for number in numbers {
        data[(number / 32) as usize].effective &= !(1 << (number % 32));
    }
    // SAFETY: the kernel reads two `Data` for version 3.
    let set = unsafe { libc::syscall(libc::SYS_capset, &header, &data) };
    assert_eq!(set, 0);
}

/// Runs something in this namespace on a thread that lacks these capabilities.
fn without(numbers: &'static [u32], work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope.spawn(|| {
            drop_capabilities(numbers);
            work();
        });
    });
}

#[test]
fn each_missing_capability_is_named() {
    in_namespace(|| {
        // For loading and attaching a program CAP_SYS_ADMIN contains the other two.
        let cases: [(&[u32], &[&str]); 4] = [
            (&[CAP_NET_RAW], &["CAP_NET_RAW"]),
            (&[CAP_NET_ADMIN, CAP_SYS_ADMIN], &["CAP_NET_ADMIN"]),
            (&[CAP_BPF, CAP_SYS_ADMIN], &["CAP_BPF"]),
            (
                &[CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_SYS_ADMIN],
                &["CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_BPF"],
            ),
        ];
        for (numbers, names) in cases {
            without(numbers, || {
                let error = small("near").build().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
                let text = error.to_string().to_uppercase();
                // What is missing, not what would be the right set.
                let happened = text.split(';').next().unwrap();
                for name in names {
                    assert!(happened.contains(name), "{name} in: {error}");
                }
            });
            assert!(!has_program("near"));
        }
        close(small("near").build().unwrap());
    });
}

#[test]
fn sending_alone_needs_nothing_but_cap_net_raw() {
    in_namespace(|| {
        let stack = Stack::of("far");
        without(&[CAP_NET_ADMIN, CAP_BPF, CAP_SYS_ADMIN], || {
            let mut near = small("near").load_xdp(false).build().unwrap();
            assert_eq!(send(&mut near, &frames(5, 60)), 5);
            close(near);
        });
        for frame in frames(5, 60) {
            assert_eq!(
                stack.receive(std::time::Duration::from_secs(5)),
                Some(frame)
            );
        }
    });
}

#[test]
fn more_memory_than_may_be_locked_is_an_error_with_limit_need_and_fix() {
    in_namespace(|| {
        let limit = memlock_limit();
        if limit > 1 << 31 {
            println!("skipped: the hard limit of locked memory is too high to exceed");
            return;
        }
        let frames = (limit / 4096) as u32 + 64;
        without(&[CAP_IPC_LOCK, CAP_SYS_RESOURCE], || {
            let error = FluxBuilder::new("near").frames(frames).build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Memory, "{error}");
            let needed = format!("{} bytes are needed", u64::from(frames) * 4096);
            for part in ["RLIMIT_MEMLOCK", &needed, "ulimit -l", "LimitMEMLOCK"] {
                assert!(error.to_string().contains(part), "{part} in: {error}");
            }
        });
        assert!(!has_program("near"));
    });
}

/// A process that may lock only so much memory, and not raise the limit.
fn limited(command: &mut Command, bytes: u64) -> &mut Command {
    // SAFETY: the closure makes system calls with plain numbers and a structure of its own, and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            for capability in [CAP_IPC_LOCK, CAP_SYS_RESOURCE] {
                // Fails when it is not there anyway.
                libc::prctl(libc::PR_CAPBSET_DROP, capability);
            }
            let limit = libc::rlimit {
                rlim_cur: bytes,
                rlim_max: bytes,
            };
            match libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        })
    }
}

#[test]
fn a_limit_that_cannot_be_raised_is_fatal_only_when_it_is_too_low() {
    in_namespace(|| {
        let mut responder = example("ping_responder", "-i near -a 10.0.0.2");
        // Its UMEM has 32 MiB.
        let (status, said) = Program::start(limited(&mut responder, 1 << 20)).finish();
        assert_eq!(status.code(), Some(1), "{said}");
        for part in [
            "RLIMIT_MEMLOCK",
            "is 1048576 bytes",
            "CAP_IPC_LOCK",
            "ulimit -l 32768",
        ] {
            assert!(said.contains(part), "{part} in: {said}");
        }
        assert!(!has_program("near"));

        // Here the limit cannot be raised either, but it is high enough.
        without(&[CAP_IPC_LOCK, CAP_SYS_RESOURCE], || {
            let mut near = small("near").build().unwrap();
            let mut far = small("far").build().unwrap();
            carry(&mut far, &mut near, &frames(50, 60), 32);
            close(near);
            close(far);
        });
    });
}

/// How much memory this process may lock without CAP_IPC_LOCK, if it raised its limit.
fn memlock_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one `rlimit`.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    assert_eq!(result, 0);
    limit.rlim_max
}
