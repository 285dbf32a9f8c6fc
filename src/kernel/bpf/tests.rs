//! The program on real interfaces: veth pairs in network namespaces that vanish with their test.

mod flows;
mod net;

use std::thread;
use std::time::Duration;

use super::query::{Holder, Hook, foreign};
use super::*;
use crate::error::{ErrorKind, errno};
use net::{Child, bound_socket, in_namespace, index, ip, send};

fn attach(interface: &str, mode: XdpMode) -> Result<Program> {
    Program::attach(index(interface), interface, 1, mode, false, 0)
}

/// Maps for one queue.
const ONE: object::Maps<'static> = object::Maps::New { queues: 1 };

fn load(fan_out: bool) -> Result<object::Loaded> {
    object::load(fan_out, ONE, 0)
}

/// Attaches a copy of the program by netlink, as `ip link` does. Nothing of it belongs to this process.
fn attach_by_netlink(interface: &str, flags: u32) {
    let object = load(false).unwrap();
    // SAFETY: the descriptor is open; no options.
    let result = unsafe {
        libbpf_sys::bpf_xdp_attach(
            index(interface) as i32,
            object.program.as_raw_fd(),
            flags,
            std::ptr::null(),
        )
    };
    assert_eq!(result, 0, "attaching by netlink");
}

/// Waits until the counters satisfy `enough`: packets take their time through the stack.
fn wait_for(program: &Program, enough: impl Fn(ProgramCounters) -> bool) -> ProgramCounters {
    for _ in 0..200 {
        let counters = program.counters().unwrap();
        if enough(counters) {
            return counters;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain, counted {:?}", program.counters());
}

/// The place of a socket that has its queue to itself.
fn at(queue: u32) -> Place {
    Place { queue, member: 0 }
}

fn create_map(map_type: u32, key: u32, value: u32) -> OwnedFd {
    // SAFETY: no name, no options.
    let map = unsafe {
        libbpf_sys::bpf_map_create(map_type, std::ptr::null(), key, value, 4, std::ptr::null())
    };
    query::owned(map).expect("creating a map")
}

#[test]
fn auto_on_veth_is_native_and_dropping_it_clears_the_interface() {
    in_namespace(|| {
        let near = index("near");
        assert_eq!(foreign(near).unwrap(), None);
        let program = attach("near", XdpMode::Auto).unwrap();
        assert_eq!(
            *program.xdp_mode(),
            Answer::granted(XdpMode::Auto, XdpMode::Native)
        );
        assert!(program.is_attached());
        let found = foreign(near).unwrap().unwrap();
        assert_eq!(found.name.as_deref(), Some("fluxcap_xdp"));
        assert_eq!(found.hook, Hook::Native);
        assert!(matches!(found.holder, Holder::Link(_)));
        drop(program);
        assert_eq!(foreign(near).unwrap(), None);
    });
}

#[test]
fn a_demanded_mode_is_the_achieved_mode() {
    in_namespace(|| {
        for (mode, hook) in [
            (XdpMode::Native, Hook::Native),
            (XdpMode::Generic, Hook::Generic),
        ] {
            let program = attach("near", mode).unwrap();
            assert_eq!(*program.xdp_mode(), Answer::granted(mode, mode));
            assert_eq!(foreign(index("near")).unwrap().unwrap().hook, hook);
        }
    });
}

#[test]
fn it_is_seen_where_a_program_runs_whoever_attached_it() {
    in_namespace(|| {
        let runs = || runs_on(index("near"));
        assert_eq!(runs(), Some(Runs::Nowhere));
        for (flag, hook) in [
            (libbpf_sys::XDP_FLAGS_SKB_MODE, Runs::Generic),
            (libbpf_sys::XDP_FLAGS_DRV_MODE, Runs::Native),
        ] {
            attach_by_netlink("near", flag);
            assert_eq!(runs(), Some(hook));
            ip(&format!(
                "link set near {} off",
                if hook == Runs::Generic {
                    "xdpgeneric"
                } else {
                    "xdpdrv"
                }
            ));
        }
        let program = attach("near", XdpMode::Native).unwrap();
        assert_eq!(runs(), Some(Runs::Native));
        drop(program);
        assert_eq!(runs(), Some(Runs::Nowhere));
    });
}

#[test]
fn auto_falls_back_to_generic_and_says_why() {
    in_namespace(|| {
        let program = attach("lo", XdpMode::Auto).unwrap();
        let answer = program.xdp_mode();
        assert_eq!(answer.achieved, XdpMode::Generic);
        let reason = answer.reason.as_deref().unwrap();
        assert!(reason.contains("the driver has no XDP"), "{reason}");
        drop(program);

        let error = attach("lo", XdpMode::Native).unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Unsupported, errno::EOPNOTSUPP)
        );
    });
}

#[test]
fn too_few_queues_for_native_mode_are_named() {
    in_namespace(|| {
        ip(
            "link add q0 numrxqueues 1 numtxqueues 4 type veth peer name q1 numrxqueues 1 numtxqueues 4",
        );
        let error = attach("q0", XdpMode::Native).unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Unsupported, errno::ENOSPC)
        );
        assert!(error.to_string().contains("receive queues"), "{error}");
    });
}

#[test]
fn a_foreign_program_is_named_and_left_alone() {
    in_namespace(|| {
        let near = index("near");
        let refused = |hook: &str, holder: &str, removal: &str| {
            let before = foreign(near).unwrap().unwrap();
            for mode in [XdpMode::Auto, XdpMode::Native, XdpMode::Generic] {
                let error = attach("near", mode).unwrap_err();
                assert_eq!(
                    (error.kind(), error.errno()),
                    (ErrorKind::Busy, errno::EBUSY)
                );
                let text = error.to_string();
                let id = format!("`fluxcap_xdp` (id {}", before.id);
                for part in [&id, hook, holder, removal] {
                    assert!(text.contains(part), "no {part:?} in: {text}");
                }
                // No program of this library is attached by netlink.
                let ours = "one process has to open all queues of near";
                assert_eq!(text.contains(ours), holder == "by bpf_link", "{text}");
            }
            assert_eq!(foreign(near).unwrap().unwrap(), before);
        };

        let by_link = attach("near", XdpMode::Native).unwrap();
        refused("native mode", "by bpf_link", "bpftool link detach id");
        drop(by_link);
        let by_link = attach("near", XdpMode::Generic).unwrap();
        refused("generic mode", "by bpf_link", "bpftool link detach id");
        drop(by_link);
        attach_by_netlink("near", libbpf_sys::XDP_FLAGS_DRV_MODE);
        refused("native mode", "by netlink", "ip link set dev near xdp off");
        ip("link set dev near xdp off");
        attach_by_netlink("near", libbpf_sys::XDP_FLAGS_SKB_MODE);
        refused(
            "generic mode",
            "by netlink",
            "ip link set dev near xdpgeneric off",
        );
        ip("link set dev near xdpgeneric off");
        attach("near", XdpMode::Auto).unwrap();
    });
}

#[test]
fn packets_pass_without_a_socket_and_are_redirected_with_one() {
    in_namespace(|| {
        for mode in [XdpMode::Native, XdpMode::Generic] {
            let program = attach("near", mode).unwrap();
            send("far", 50);
            let passed = wait_for(&program, |now| now.pass >= 50);
            assert_eq!((passed.redirect, passed.drop), (0, 0));

            let socket = bound_socket("near");
            program.insert(at(0), socket.as_fd()).unwrap();
            send("far", 50);
            wait_for(&program, |now| now.redirect >= 50);

            program.remove(at(0)).unwrap();
            let before = program.counters().unwrap();
            send("far", 50);
            let after = wait_for(&program, |now| now.pass >= before.pass + 50);
            assert_eq!(after.redirect, before.redirect);
        }
    });
}

#[test]
fn the_map_takes_sockets_for_its_queues_only() {
    in_namespace(|| {
        let program = Program::attach(index("near"), "near", 2, XdpMode::Auto, false, 0).unwrap();
        let socket = bound_socket("near");
        program.insert(at(1), socket.as_fd()).unwrap();
        let error = program.insert(at(2), socket.as_fd()).unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Invalid, errno::E2BIG)
        );
        assert!(error.to_string().contains("room for 2 queues"), "{error}");
        let file = std::fs::File::open("/dev/null").unwrap();
        let error = program.insert(at(0), file.as_fd()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        for queue in [0, 1, 1, 2] {
            program.remove(at(queue)).unwrap();
        }
    });
}

#[test]
fn an_interface_that_does_not_exist_is_not_found() {
    in_namespace(|| {
        for mode in [XdpMode::Auto, XdpMode::Native, XdpMode::Generic] {
            let error = Program::attach(999, "nope", 1, mode, false, 0).unwrap_err();
            assert_eq!(
                (error.kind(), error.errno()),
                (ErrorKind::NotFound, errno::ENODEV)
            );
        }
    });
}

#[test]
fn a_program_knows_when_its_interface_is_gone() {
    in_namespace(|| {
        let program = attach("near", XdpMode::Auto).unwrap();
        ip("link del near");
        assert!(!program.is_attached());
    });
}

#[test]
fn a_killed_process_leaves_nothing_on_the_interface() {
    in_namespace(|| {
        let near = index("near");
        let object = load(false).unwrap();
        let (link, _) =
            attach::attach(object.program.as_fd(), near, "near", XdpMode::Auto, 0).unwrap();
        let child = Child::holding(link.as_fd());
        drop((object, link));
        assert!(foreign(near).unwrap().is_some());
        // It is killed with SIGKILL.
        drop(child);
        // Another test may start a process at this moment, which has all descriptors until its exec.
        for _ in 0..100 {
            if foreign(near).unwrap().is_none() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("left behind: {:?}", foreign(near));
    });
}

#[test]
fn dropping_detaches_while_a_child_has_a_copy_of_the_link() {
    in_namespace(|| {
        let program = attach("near", XdpMode::Auto).unwrap();
        let _child = Child::holding(program.link.as_fd());
        drop(program);
        assert_eq!(foreign(index("near")).unwrap(), None);
    });
}

#[test]
fn a_flag_that_the_kernel_does_not_know_is_left_out() {
    in_namespace(|| {
        let unknown = 1 << 30;
        assert!(object::load_with(false, ONE, &[unknown, 0], 0).is_ok());
        let error = object::load_with(false, ONE, &[unknown], 0).err().unwrap();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Unsupported, errno::EINVAL)
        );
    });
}

#[test]
fn missing_capabilities_are_named() {
    in_namespace(|| {
        let near = index("near");
        // Of this thread only: version 3 of the structure, and no capability at all.
        let header = [0x2008_0522_u32, 0];
        let none = [0_u32; 6];
        // SAFETY: both structures have the size that version 3 has.
        let dropped = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
        assert_eq!(dropped, 0);
        let error = Program::attach(near, "near", 1, XdpMode::Auto, false, 0).unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Permission, errno::EPERM)
        );
        let text = error.to_string();
        assert!(
            text.contains("CAP_BPF and CAP_NET_ADMIN and CAP_NET_RAW missing"),
            "{text}"
        );
    });
}

#[test]
fn a_users_map_must_be_an_xskmap() {
    in_namespace(|| {
        let map = UserMap::new(create_map(libbpf_sys::BPF_MAP_TYPE_XSKMAP, 4, 4).as_fd()).unwrap();
        let socket = bound_socket("near");
        map.insert(at(3), socket.as_fd()).unwrap();
        map.remove(at(3)).unwrap();
        map.remove(at(3)).unwrap();

        let refused = |fd: BorrowedFd<'_>, name: &str| {
            let error = UserMap::new(fd).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(name), "{error}");
        };
        let hash = create_map(libbpf_sys::BPF_MAP_TYPE_HASH, 4, 4);
        refused(hash.as_fd(), "a map of type hash");
        refused(load(false).unwrap().program.as_fd(), "bpf-prog");
        refused(socket.as_fd(), "socket:");
    });
}

#[test]
fn fan_out_replaces_the_plain_program_on_the_same_maps_without_a_gap() {
    in_namespace(|| {
        let near = index("near");
        let program = attach("near", XdpMode::Auto).unwrap();
        let socket = bound_socket("near");
        program.insert(at(0), socket.as_fd()).unwrap();
        send("far", 50);
        wait_for(&program, |now| now.redirect >= 50);
        let before = foreign(near).unwrap().unwrap();

        let two = FanOut {
            sockets: 2,
            symmetric: false,
        };
        program.fan_out(0, two).unwrap();
        let after = foreign(near).unwrap().unwrap();
        assert_eq!(after.name.as_deref(), Some("fluxcap_fan_out"));
        assert_eq!((after.hook, after.holder), (before.hook, before.holder));
        assert!(program.is_attached() && program.is_among(query::program_ids(near).unwrap()));
        // Nobody is at the second place, so a part of the flows goes on; all are of one flow here.
        program.fan_out(0, FanOut::default()).unwrap();
        send("far", 50);
        wait_for(&program, |now| now.redirect >= 100);
        // Not one of those; the network stack of the other end may have sent something before.
        assert!(program.counters().unwrap().pass < 50);
        // Once is enough.
        program.allow_fan_out(0).unwrap();
        assert_eq!(foreign(near).unwrap().unwrap(), after);
    });
}

#[test]
fn a_program_that_somebody_takes_off_or_replaces_is_not_attached() {
    in_namespace(|| {
        let near = index("near");
        let program = attach("near", XdpMode::Auto).unwrap();
        assert!(program.counters().unwrap().attached);
        // SAFETY: the descriptor is open.
        let detached = unsafe { libbpf_sys::bpf_link_detach(program.link.as_raw_fd()) };
        assert_eq!(detached, 0);
        assert!(!program.counters().unwrap().attached);
        assert!(!program.is_among(query::program_ids(near).unwrap()));
        let error = program.allow_fan_out(0).unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Gone, errno::ENODEV),
            "{error}"
        );

        let program = attach("near", XdpMode::Auto).unwrap();
        let other = load(false).unwrap();
        attach::replace(program.link.as_fd(), other.program.as_fd()).unwrap();
        assert!(!program.counters().unwrap().attached);
        assert!(!program.is_among(query::program_ids(near).unwrap()));
    });
}

#[test]
fn netlink_neither_takes_the_program_off_nor_replaces_it() {
    in_namespace(|| {
        let near = index("near");
        let program = attach("near", XdpMode::Auto).unwrap();
        let other = load(false).unwrap();
        for flags in [
            libbpf_sys::XDP_FLAGS_DRV_MODE,
            libbpf_sys::XDP_FLAGS_SKB_MODE,
        ] {
            for descriptor in [-1, other.program.as_raw_fd()] {
                let quiet = object::Quiet::new();
                // SAFETY: plain numbers; no options.
                let result = unsafe {
                    libbpf_sys::bpf_xdp_attach(near as i32, descriptor, flags, std::ptr::null())
                };
                drop(quiet);
                // Taking off what is not there is no error.
                assert!(result < 0 || descriptor == -1);
                assert!(
                    program.is_attached() && program.is_among(query::program_ids(near).unwrap())
                );
            }
        }
    });
}

#[test]
fn a_dispatcher_is_taken_off_by_its_own_loader() {
    let program = |name: Option<&str>, holder| query::ForeignProgram {
        id: 7,
        name: name.map(str::to_owned),
        hook: Hook::Native,
        holder,
    };
    for holder in [Holder::Netlink, Holder::Link(3), Holder::Unknown] {
        let removal = program(Some("xdp_dispatcher"), holder).removal("eth0");
        assert!(
            removal.contains("`xdp-loader unload eth0 --all`"),
            "{removal}"
        );
        let removal = program(Some("xdp_pass"), holder).removal("eth0");
        assert!(!removal.contains("xdp-loader"), "{removal}");
    }
    let unknown = program(None, Holder::Unknown).removal("eth0");
    assert!(unknown.contains("CAP_SYS_ADMIN"), "{unknown}");
    for name in ["fluxcap_xdp", "fluxcap_fan_out"] {
        let ours = program(Some(name), Holder::Link(3));
        let shown = ours.to_string();
        assert!(
            shown.contains("of another process with this library"),
            "{shown}"
        );
        assert!(ours.removal("eth0").contains("all queues of eth0"));
    }
}
