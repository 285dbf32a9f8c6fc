//! What cannot work is refused with its reason, and leaves nothing behind.

use std::collections::HashSet;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::time::{Duration, Instant};

use fluxcap::{ErrorKind, FluxBuilder, PacketBatch};

use super::net::{has_program, in_namespace, ip};
use super::process::Program;
use super::traffic::{carry, close, frames, small};

/// Asserts the kind of a refusal and the parts of its text.
fn assert_refused(builder: FluxBuilder, kind: ErrorKind, parts: &[&str]) {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{part} in: {error}");
    }
}

#[test]
fn interfaces_that_cannot_be_bound_are_refused() {
    in_namespace(|| {
        for name in ["nowhere", "a-name-that-is-much-too-long", "", "a/b"] {
            let error = small(name).build().unwrap_err();
            let kinds = [ErrorKind::NotFound, ErrorKind::Invalid];
            assert!(kinds.contains(&error.kind()), "{error}");
        }
        assert_refused(small("nowhere"), ErrorKind::NotFound, &["nowhere"]);
        ip("link set near down");
        let down = ["near", "down", "ip link set"];
        assert_refused(small("near"), ErrorKind::Down, &down);
        assert_refused(small("near").load_xdp(false), ErrorKind::Down, &down);
        assert!(!has_program("near"));
        ip("link set near up");
        close(small("near").build().unwrap());
    });
}

/// Runs a test of its own in another process, which `prepare` spoils, in this namespace; whether it succeeded, and what it said.
fn carry_elsewhere(
    prepare: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "rights::carries_packets_when_told_to",
            "--nocapture",
        ])
        .env("FLUXCAP_CARRY", "1")
        .env("RUST_BACKTRACE", "0");
    // SAFETY: both closures make system calls, and allocate nothing.
    unsafe { command.pre_exec(prepare) };
    let (status, said) = Program::start(&mut command).finish();
    (status.success(), said)
}

#[test]
fn a_lack_of_descriptors_is_called_that_wherever_it_strikes() {
    in_namespace(|| {
        let mut refusals = HashSet::new();
        // The loader of the program needs one.
        for limit in 4..100 {
            let (succeeded, said) = carry_elsewhere(move || {
                let limit = libc::rlimit {
                    rlim_cur: limit,
                    rlim_max: limit,
                };
                // SAFETY: the kernel reads one `rlimit`.
                match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            });
            if succeeded {
                println!("{limit} are enough; before that: {refusals:#?}");
                assert!(!refusals.is_empty());
                return;
            }
            for part in ["too many files are open", "ulimit -n"] {
                assert!(said.contains(part), "no {part:?} with {limit}: {said}");
            }
            for part in ["libbpf", "dmesg", "memory"] {
                assert!(!said.contains(part), "{part:?} with {limit}: {said}");
            }
            let line = said.lines().find(|line| line.contains("too many files"));
            refusals.extend(line.map(str::to_owned));
        }
        panic!("100 are not enough: {refusals:#?}");
    });
}

#[test]
fn without_sys_nothing_is_refused_and_libbpf_says_nothing() {
    in_namespace(|| {
        let (succeeded, said) = carry_elsewhere(|| {
            // SAFETY: constant strings and plain numbers; it changes the mounts of the new process alone.
            let results = unsafe {
                [
                    libc::unshare(libc::CLONE_NEWNS),
                    libc::mount(
                        ptr::null(),
                        c"/".as_ptr(),
                        ptr::null(),
                        libc::MS_REC | libc::MS_PRIVATE,
                        ptr::null(),
                    ),
                    libc::mount(
                        c"nothing".as_ptr(),
                        c"/sys".as_ptr(),
                        c"tmpfs".as_ptr(),
                        0,
                        ptr::null(),
                    ),
                ]
            };
            match results {
                [0, 0, 0] => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
        assert!(succeeded, "{said}");
        assert!(!said.contains("libbpf"), "{said}");
    });
}

#[test]
fn queues_that_do_not_exist_are_refused_with_their_number() {
    in_namespace(|| {
        for queue in [1, 65_536, u32::MAX] {
            let error = small("near").queue(queue).build().unwrap_err();
            let kinds = [ErrorKind::NotFound, ErrorKind::Invalid];
            assert!(kinds.contains(&error.kind()), "{error}");
            let text = error.to_string();
            assert!(text.contains(&format!("queue {queue} of near")), "{text}");
        }
        assert!(!has_program("near"));
    });
}

#[test]
fn a_taken_queue_is_busy_after_the_patience_and_its_owner_is_not_disturbed() {
    in_namespace(|| {
        let mut near = small("near").build().unwrap();
        let mut far = small("far").build().unwrap();
        let patience = Duration::from_millis(60);
        let begin = Instant::now();
        let second = small("near").bind_patience(patience);
        assert_refused(second, ErrorKind::Busy, &["queue 0 of near is taken"]);
        assert!(begin.elapsed() >= patience && begin.elapsed() < Duration::from_secs(2));
        let second = small("near").load_xdp(false).bind_patience(patience);
        assert_refused(second, ErrorKind::Busy, &["queue 0 of near is taken"]);
        carry(&mut far, &mut near, &frames(100, 60), 32);
        close(near);
        close(far);
    });
}

#[test]
fn numbers_that_cannot_work_are_refused_before_anything_happens() {
    in_namespace(|| {
        let near = || small("near");
        for (builder, part) in [
            (near().frames(0), "frames"),
            (near().frames(u32::MAX), "frames"),
            (near().chunk_size(0), "chunk size 0"),
            (near().chunk_size(1024), "chunk size 1024"),
            (near().chunk_size(3000), "chunk size 3000"),
            (near().chunk_size(8192), "chunk size 8192"),
            (near().headroom(3840), "headroom 3840"),
            (near().headroom(u32::MAX), "headroom"),
            (near().fill_size(0), "fill ring"),
            (near().rx_size(100), "RX ring"),
            (near().tx_size(u32::MAX), "TX ring"),
            (near().completion_size(1 << 31), "completion ring"),
            (near().tx_budget(1), "TX budget 1"),
            (near().numa_node(999), "NUMA node 999"),
        ] {
            assert_refused(builder, ErrorKind::Invalid, &[part]);
        }
        assert!(!has_program("near"));
    });
}

#[test]
fn an_mtu_beyond_the_frame_is_refused_except_for_sending() {
    in_namespace(|| {
        ip("link set near mtu 9000");
        assert_refused(small("near"), ErrorKind::Invalid, &["MTU 9000", "3840"]);
        assert!(!has_program("near"));
        close(small("near").load_xdp(false).build().unwrap());
        ip("link set near mtu 1500");
        let headroom = small("near").chunk_size(2048).headroom(512);
        assert_refused(headroom, ErrorKind::Invalid, &["MTU 1500", "1280"]);
    });
}

#[test]
fn packets_that_cannot_be_sent_are_refused_and_stay_the_users() {
    in_namespace(|| {
        let mut near = small("near").build().unwrap();
        let mut far = small("far").build().unwrap();
        let mut packet = near.alloc().unwrap();
        let error = packet.copy_from(&[0; 4097]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        // Empty, and of another UMEM.
        let packet = near.send_one(packet).unwrap_err();
        let mut foreign = far.alloc().unwrap();
        foreign.copy_from(&[0; 60]).unwrap();
        let foreign = near.send_one(foreign).unwrap_err();
        let mut batch = PacketBatch::with_capacity(1);
        batch.push(packet).unwrap();
        assert_eq!(
            near.send(&mut batch).unwrap_err().kind(),
            ErrorKind::Invalid
        );
        batch.clear();
        batch.push(foreign).unwrap();
        assert_eq!(
            near.send(&mut batch).unwrap_err().kind(),
            ErrorKind::Invalid
        );
        assert_eq!(
            near.recycle(&mut batch).unwrap_err().kind(),
            ErrorKind::Invalid
        );
        far.recycle(&mut batch).unwrap();
        carry(&mut far, &mut near, &frames(50, 60), 32);
        close(near);
        close(far);
    });
}

/// A packet that fits its frame but not the line is dropped by the kernel; the frame comes back.
#[test]
fn a_packet_longer_than_the_mtu_costs_no_frame() {
    in_namespace(|| {
        let mut near = small("near").build().unwrap();
        let mut far = small("far").build().unwrap();
        let mut packet = near.alloc().unwrap();
        packet.set_len(4000.min(packet.tailroom())).unwrap();
        near.send_one(packet).unwrap();
        near.wake_tx().unwrap();
        assert!(near.flush(Duration::from_secs(5)).unwrap());
        assert!(!far.wait_rx(Some(Duration::from_millis(20))).unwrap());
        carry(&mut near, &mut far, &frames(50, 60), 32);
        close(near);
        close(far);
    });
}
