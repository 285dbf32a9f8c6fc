//! Programs with too few rights: each missing one is named.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use fluxcap::{
    BindMode, BusyPoll, ErrorKind, FanOut, FluxBuilder, FluxRaw, HugepageSize, Hugepages, XdpMode,
    poller,
};

use super::net::{Stack, add_pair, has_program, in_namespace};
use super::process::{Program, example, is_installed};
use super::steering::{OwnProgram, attach_by_link};
use super::traffic::{carry, close, frames, send, small};

const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_RESOURCE: u32 = 24;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// The table of the documentation.
const TABLE: &str = include_str!("../../src/rights.md");

/// Takes capabilities from this thread.
fn drop_capabilities(numbers: &[u32]) {
    set_capabilities(|effective| numbers.iter().fold(effective, |set, bit| set & !(1 << bit)));
}

/// Changes the capabilities of this thread.
fn set_capabilities(change: impl Fn(u64) -> u64) {
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
    let effective = change(u64::from(data[1].effective) << 32 | u64::from(data[0].effective));
    data[0].effective = effective as u32;
    data[1].effective = (effective >> 32) as u32;
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

/// Runs something in this namespace on a thread of an ordinary user with exactly these capabilities.
pub(crate) fn as_user<R: Send>(numbers: &[u32], work: impl FnOnce() -> R + Send) -> R {
    const NOBODY: libc::uid_t = 65_534;
    thread::scope(|scope| {
        let user = scope.spawn(|| {
            // Unlike the functions of libc, which change all threads, the system calls change this one.
            // SAFETY: plain numbers, which concern this thread alone.
            let results = unsafe {
                [
                    libc::syscall(libc::SYS_prctl, libc::PR_SET_KEEPCAPS, 1, 0, 0, 0),
                    libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()),
                    libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY),
                    libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY),
                ]
            };
            assert_eq!(results, [0; 4], "{}", io::Error::last_os_error());
            set_capabilities(|_| numbers.iter().fold(0, |set, bit| set | 1 << bit));
            work()
        });
        user.join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A feature of the table: how it is asked for, what that takes beside what the row names, and whether it was granted or why not.
struct Feature {
    row: &'static str,
    beside: &'static [u32],
    ask: fn() -> Result<(), String>,
}

const SOCKET: &[u32] = &[CAP_NET_RAW];
/// What attaching the bundled XDP program takes.
pub(crate) const PROGRAM: &[u32] = &[CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF];

const FEATURES: [Feature; 6] = [
    Feature {
        row: "a socket,",
        beside: &[],
        ask: || open(small("near").load_xdp(false)).map(drop),
    },
    Feature {
        row: "the bundled XDP program",
        beside: &[],
        ask: || open(small("near")).map(drop),
    },
    Feature {
        row: "fan-out:",
        beside: &[],
        ask: || {
            let group = small("near").fan_out(TWO).build_group();
            group.map(drop).map_err(|error| error.to_string())
        },
    },
    Feature {
        row: "preferred busy polling",
        beside: SOCKET,
        ask: || {
            let builder = small("near").load_xdp(false).busy_poll(BusyPoll::default());
            let answer = open(builder)?.report().busy_poll.clone();
            answer.reason.map_or(Ok(()), Err)
        },
    },
    Feature {
        row: "packet memory above",
        beside: SOCKET,
        ask: || {
            let frames = (memlock_limit() / 4096) as u32 + 64;
            let builder = FluxBuilder::new("near").load_xdp(false).frames(frames);
            open(builder).map(drop)
        },
    },
    Feature {
        row: "the name of a foreign",
        beside: PROGRAM,
        ask: || {
            let error = small("far").build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
            match error.to_string() {
                text if text.contains("foreigner") => Ok(()),
                text => Err(text),
            }
        },
    },
];

type Unrestricted = (&'static str, fn() -> String);

/// What takes nothing beside the capabilities of a socket: its row, and all answers that depend on it.
const UNRESTRICTED: [Unrestricted; 2] = [
    ("zero-copy, hugepages,", || {
        let zero_copy = small("near").load_xdp(false).bind_mode(BindMode::ZeroCopy);
        let memory = small("near").load_xdp(false).numa_node(0);
        let memory = open(memory.hugepages(Hugepages::Prefer(HugepageSize::Size2M)));
        let memory = memory.map(|raw| {
            (
                raw.report().page_size.clone(),
                raw.report().numa_node.clone(),
            )
        });
        // SAFETY: takes nothing, returns a number.
        let pinned = poller::pin(unsafe { libc::sched_getcpu() } as u32);
        format!("{:?} {memory:?} {pinned:?}", open(zero_copy).map(drop))
    }),
    ("a TX budget above 32", || {
        let raw = open(small("near").load_xdp(false).tx_budget(64));
        format!("{:?}", raw.map(|raw| raw.report().tx_budget.clone()))
    }),
];

/// What is asked for on another thread.
type Ask<'a> = &'a (dyn Fn() -> Result<(), String> + Sync);

const TWO: FanOut = FanOut {
    sockets: 2,
    symmetric: false,
};

/// Opens a socket; the error as text.
fn open(builder: FluxBuilder) -> Result<FluxRaw, String> {
    builder.build().map_err(|error| error.to_string())
}

/// The capabilities that a row of the table names.
fn named(row: &str) -> Vec<(u32, &'static str)> {
    let all = [
        (CAP_NET_ADMIN, "CAP_NET_ADMIN"),
        (CAP_NET_RAW, "CAP_NET_RAW"),
        (CAP_IPC_LOCK, "CAP_IPC_LOCK"),
        (CAP_SYS_ADMIN, "CAP_SYS_ADMIN"),
        (CAP_PERFMON, "CAP_PERFMON"),
        (CAP_BPF, "CAP_BPF"),
    ];
    all.into_iter()
        .filter(|(_, name)| row.contains(name))
        .collect()
}

/// The first two numbers of a version: (5, 11) of "5.11" and "5.11.0-1-amd64".
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

/// That of the kernel.
fn running() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    version(&release).expect(&release)
}

#[test]
fn each_feature_takes_the_capabilities_of_the_table_and_no_more() {
    in_namespace(|| {
        let foreign = super::steering::pass();
        let _link = super::steering::attach_by_link("far", foreign.as_raw_fd());
        for feature in FEATURES {
            let rows = TABLE
                .lines()
                .filter(|line| line[2..].starts_with(feature.row));
            let [row] = rows.collect::<Vec<_>>()[..] else {
                panic!("no row for {:?}", feature.row);
            };
            let named = named(row);
            assert!(!named.is_empty(), "{row}");
            let since = row.split('|').nth(2).and_then(version).expect(row);
            if running() < since {
                println!(
                    "skipped: {} needs Linux {}.{}",
                    feature.row, since.0, since.1
                );
                let error = as_user(&[PROGRAM, &[CAP_SYS_ADMIN]].concat(), feature.ask);
                assert!(error.is_err(), "{row}");
                continue;
            }
            if feature.row == "packet memory above" && memlock_limit() > 1 << 31 {
                println!("skipped: the hard limit of locked memory is too high to exceed");
                continue;
            }
            let all = named.iter().map(|&(number, _)| number);
            let all: Vec<_> = all.chain(feature.beside.iter().copied()).collect();
            as_user(&all, feature.ask).unwrap_or_else(|error| panic!("{row}: {error}"));
            for (missing, name) in named {
                let rest: Vec<_> = all.iter().copied().filter(|&one| one != missing).collect();
                let error = as_user(&rest, feature.ask).expect_err(name);
                assert!(error.contains(name), "no {name} in: {error}");
            }
            assert!(!has_program("near"));
        }
    });
}

#[test]
fn no_row_of_the_table_is_without_a_test() {
    for row in TABLE.lines().skip(2) {
        let is = |tested: &str| row[2..].starts_with(tested);
        let restricted = FEATURES.iter().any(|feature| is(feature.row));
        let unrestricted = UNRESTRICTED.iter().any(|(tested, _)| is(tested));
        let none_beside = row.contains("none beside");
        assert_eq!(
            (restricted, unrestricted),
            (!none_beside, none_beside),
            "{row}"
        );
    }
}

#[test]
fn what_takes_no_capability_beside_a_socket_is_answered_to_a_user_as_to_root() {
    in_namespace(|| {
        for (row, ask) in UNRESTRICTED {
            // On a thread of its own, for it is pinned.
            let of_root = thread::spawn(ask).join().unwrap();
            assert!(!of_root.contains("CAP_"), "{row}: {of_root}");
            assert_eq!(as_user(SOCKET, ask), of_root, "{row}");
        }
    });
}

#[test]
fn an_xskmap_counters_and_more_queues_take_cap_bpf_before_linux_6_0_alone() {
    in_namespace(|| {
        add_pair("two", "too", "numrxqueues 2 numtxqueues 2");
        let own = OwnProgram::load();
        let _link = attach_by_link("near", own.program());
        let first = small("two").build().unwrap();
        let map = own.map();
        let xskmap = || open(small("near").xskmap(map.try_clone_to_owned().unwrap())).map(drop);
        let counters = || {
            let counted = first.program_counters();
            counted.map(drop).map_err(|error| error.to_string())
        };
        let queue = || open(small("two").queue(1)).map(drop);
        let cases: [(&str, Ask<'_>); 3] = [
            ("an XSKMAP of one's own", &xskmap),
            ("the counters", &counters),
            ("one more queue", &queue),
        ];
        let sysctl = "/proc/sys/kernel/unprivileged_bpf_disabled";
        let disabled = std::fs::read_to_string(sysctl).unwrap().trim() != "0";
        for (what, ask) in cases {
            let answer = as_user(SOCKET, ask);
            let refused = running() < (6, 0) && disabled;
            assert_eq!(answer.is_err(), refused, "{what}: {answer:?}");
            as_user(&[CAP_NET_RAW, CAP_BPF], ask).unwrap();
        }
        close(first);
    });
}

#[test]
fn packets_come_to_an_ordinary_user_with_three_capabilities_and_flows_with_four() {
    in_namespace(|| {
        for mode in [XdpMode::Native, XdpMode::Generic] {
            as_user(PROGRAM, move || {
                let mut near = small("near").xdp_mode(mode).build().unwrap();
                let mut far = small("far").build().unwrap();
                carry(&mut far, &mut near, &frames(50, 60), 32);
                assert_eq!(
                    near.program_counters().unwrap().unwrap().redirect,
                    near.totals().0
                );
                let error = small("near").fan_out(TWO).build_group().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
                let text = error.to_string();
                assert!(text.contains("CAP_PERFMON missing"), "{text}");
                assert!(text.contains("cap_perfmon"), "{text}");
                // The plain program was not disturbed.
                carry(&mut far, &mut near, &frames(50, 60), 32);
                close(near);
                close(far);
            });
        }
        let four = [PROGRAM, &[CAP_PERFMON]].concat();
        as_user(&four, || {
            drop(small("near").fan_out(TWO).build_group().unwrap());
        });
    });
}

/// A copy of a program to which its file gives capabilities.
struct WithFileCapabilities(PathBuf);

impl WithFileCapabilities {
    fn new(program: &Path, capabilities: &str) -> Self {
        let name = format!("fluxcap-{}-{capabilities}", std::process::id());
        let copy = Self(std::env::temp_dir().join(name));
        std::fs::copy(program, &copy.0).unwrap();
        let mut setcap = Command::new("setcap");
        let status = setcap
            .arg(format!("{capabilities}+ep"))
            .arg(&copy.0)
            .status();
        assert!(status.expect("setcap of libcap2-bin").success());
        copy
    }
}

impl Drop for WithFileCapabilities {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_capabilities_of_a_file_are_enough_for_an_ordinary_user() {
    if !is_installed("setcap") || !is_installed("setpriv") {
        println!("skipped: setcap or setpriv is not installed");
        return;
    }
    in_namespace(|| {
        let output = |capabilities: &str| {
            let copy = WithFileCapabilities::new(&std::env::current_exe().unwrap(), capabilities);
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(&copy.0)
                .args([
                    "--exact",
                    "rights::carries_packets_when_told_to",
                    "--nocapture",
                ])
                .env("FLUXCAP_CARRY", "1");
            Program::start(&mut command).finish()
        };
        let (status, said) = output("cap_net_raw,cap_net_admin,cap_bpf");
        assert!(
            status.success() && said.contains("carried as 65534"),
            "{said}"
        );
        assert!(!has_program("near"));
        let (status, said) = output("cap_net_raw,cap_net_admin");
        assert!(!status.success());
        assert!(said.contains("CAP_BPF missing"), "{said}");
        assert!(!has_program("near"));
    });
}

/// The part of the other process; alone it does nothing.
#[test]
fn carries_packets_when_told_to() {
    if std::env::var_os("FLUXCAP_CARRY").is_some() {
        let mut near = small("near").build().unwrap();
        let mut far = small("far").build().unwrap();
        carry(&mut far, &mut near, &frames(50, 60), 32);
        close(near);
        close(far);
        // SAFETY: takes nothing, returns a number.
        println!("carried as {}", unsafe { libc::geteuid() });
    }
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
            let needed = format!("{} bytes are needed", u64::from(frames + 1) * 4096);
            let fit = format!("fewer frames: {} fit", limit / 4096 - 1);
            for part in ["RLIMIT_MEMLOCK", &needed, "LimitMEMLOCK", &fit] {
                assert!(error.to_string().contains(part), "{part} in: {error}");
            }
        });
        assert!(!has_program("near"));
    });
}

#[test]
fn the_first_refusal_names_cap_ipc_lock_where_the_packet_memory_takes_it() {
    in_namespace(|| {
        let limit = memlock_limit();
        if limit > 1 << 31 {
            println!("skipped: the hard limit of locked memory is too high to exceed");
            return;
        }
        add_pair("two", "too", "numrxqueues 2 numtxqueues 2");
        let half = (limit / 4096 / 2) as u32 + 64;
        let one = |builder: FluxBuilder| open(builder).map(drop);
        let two = |builder: FluxBuilder| {
            let sockets = builder.build_queues(..);
            sockets.map(drop).map_err(|error| error.to_string())
        };
        let cases: [(Ask<'_>, bool); 6] = [
            (&|| one(small("near").frames(2 * half)), true),
            (
                &|| one(small("near").frames(2 * half).load_xdp(false)),
                true,
            ),
            (&|| one(small("near").frames(half)), false),
            (&|| one(small("near").frames(half).load_xdp(false)), false),
            // Each queue counts.
            (&|| two(small("two").frames(half)), true),
            (&|| two(small("two")), false),
        ];
        for (number, (ask, takes_it)) in cases.into_iter().enumerate() {
            let error = as_user(&[], ask).unwrap_err();
            let named = error.contains("cap_net_raw,cap_ipc_lock+ep PROGRAM");
            assert_eq!(named, takes_it, "case {number}: {error}");
            assert_eq!(error.contains("ipc_lock"), takes_it, "{error}");
        }
        // With what it named, nothing is missing.
        let all = [PROGRAM, SOCKET, &[CAP_IPC_LOCK]].concat();
        as_user(&all, || one(small("near").frames(2 * half))).unwrap();
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
        // Its UMEM has 8 MiB.
        let (status, said) = Program::start(limited(&mut responder, 1 << 20)).finish();
        assert_eq!(status.code(), Some(1), "{said}");
        for part in [
            "RLIMIT_MEMLOCK",
            "is 1048576 bytes",
            "CAP_IPC_LOCK",
            "prlimit --memlock=8392704",
            // With the capabilities that it has, which setcap would take away.
            "cap_net_admin,cap_net_raw,",
            "cap_ipc_lock+ep",
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
