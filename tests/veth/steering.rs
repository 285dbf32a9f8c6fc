//! The XDP program: ours, the user's own, and somebody else's.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use fluxcap::{Answer, ErrorKind, FluxBuilder, XdpMode};

use super::net::{Elsewhere, Stack, add_pair, has_program, in_namespace, index, wait_until};
use super::process::{Program, example};
use super::rights::{PROGRAM, as_user};
use super::traffic::{carry, close, frames, receive, send, small};

#[test]
fn native_and_generic_mode_are_granted_where_demanded() {
    in_namespace(|| {
        for (mode, shown) in [(XdpMode::Native, "xdp "), (XdpMode::Generic, "xdpgeneric ")] {
            let near = small("near").xdp_mode(mode).build().unwrap();
            assert_eq!(near.report().xdp_mode, Some(Answer::granted(mode, mode)));
            let link = super::net::ip("link show dev near");
            assert!(link.contains(shown), "{link}");
            close(near);
            assert!(!has_program("near"));
        }
        let near = small("near").build().unwrap();
        let granted = Answer::granted(XdpMode::Auto, XdpMode::Native);
        assert_eq!(near.report().xdp_mode, Some(granted));
        close(near);
    });
}

#[test]
fn auto_is_generic_where_native_cannot_be_and_says_why() {
    in_namespace(|| {
        // Fewer receive queues than the peer has transmit queues: no native mode on veth.
        super::net::ip(
            "link add q0 numrxqueues 1 numtxqueues 4 type veth peer name q1 numrxqueues 1 numtxqueues 4",
        );
        super::net::ip("link set q0 up");
        let raw = small("q0").build().unwrap();
        let answer = raw.report().xdp_mode.clone().unwrap();
        assert_eq!(
            (answer.requested, answer.achieved),
            (XdpMode::Auto, XdpMode::Generic)
        );
        let reason = answer.reason.unwrap();
        assert!(reason.contains("native mode was refused"), "{reason}");
        assert!(raw.report().to_string().contains(&reason));
        close(raw);
        let error = small("q0").xdp_mode(XdpMode::Native).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(!has_program("q0"));
    });
}

#[test]
fn two_queues_share_the_program_until_the_last_socket_is_closed() {
    in_namespace(|| {
        add_pair("two", "too", "numrxqueues 2 numtxqueues 2");
        let open = |interface, queue| small(interface).queue(queue).build().unwrap();
        let [mut near0, mut near1] = [0, 1].map(|queue| open("two", queue));
        let [mut far0, mut far1] = [0, 1].map(|queue| open("too", queue));
        carry(&mut far0, &mut near0, &frames(300, 60), 32);
        carry(&mut far1, &mut near1, &frames(500, 60), 32);
        carry(&mut near1, &mut far1, &frames(100, 60), 32);
        assert_eq!((near0.totals().0, near1.totals().0), (300, 500));
        let counters = near0.program_counters().unwrap().unwrap();
        assert_eq!((counters.redirect, counters.pass), (800, 0));
        assert_eq!(near1.program_counters().unwrap().unwrap(), counters);

        close(near0);
        assert!(has_program("two"));
        // The first queue is the kernel's again.
        let stack = Stack::of("two");
        send(&mut far0, &frames(10, 60));
        assert!(stack.receive(Duration::from_secs(5)).is_some());
        carry(&mut far1, &mut near1, &frames(300, 60), 32);
        let counters = near1.program_counters().unwrap().unwrap();
        assert_eq!((counters.redirect, counters.pass), (1100, 10));

        close(near1);
        assert!(!has_program("two"));
        close(far0);
        assert!(has_program("too"));
        close(far1);
        assert!(!has_program("too"));
    });
}

#[test]
fn packets_for_a_queue_without_socket_go_on_to_the_kernel() {
    in_namespace(|| {
        add_pair("two", "too", "numrxqueues 2 numtxqueues 2");
        let near = small("two").queue(1).build().unwrap();
        let mut far = small("too").queue(0).load_xdp(false).build().unwrap();
        let stack = Stack::of("two");
        let frames = frames(20, 60);
        send(&mut far, &frames);
        for frame in &frames {
            assert_eq!(stack.receive(Duration::from_secs(5)).as_ref(), Some(frame));
        }
        assert_eq!(near.totals(), (0, 0));
        close(near);
        close(far);
    });
}

#[test]
fn a_foreign_program_is_named_and_left_alone() {
    in_namespace(|| {
        let foreign = pass();
        for flags in [
            libbpf_sys::XDP_FLAGS_DRV_MODE,
            libbpf_sys::XDP_FLAGS_SKB_MODE,
        ] {
            attach_by_netlink("near", foreign.as_raw_fd(), flags);
            for mode in [XdpMode::Auto, XdpMode::Native, XdpMode::Generic] {
                let error = small("near").xdp_mode(mode).build().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
                assert!(error.to_string().contains("foreigner"), "{error}");
            }
            assert!(has_program("near"));
            attach_by_netlink("near", -1, flags);
        }
        let link = attach_by_link("near", foreign.as_raw_fd());
        let error = small("near").build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(error.to_string().contains("foreigner"), "{error}");
        // Sending needs no program, so it is in nobody's way.
        let mut near = small("near").load_xdp(false).build().unwrap();
        let mut far = small("far").build().unwrap();
        carry(&mut near, &mut far, &frames(50, 60), 32);
        close(near);
        assert!(has_program("near"));
        drop(link);
        wait_until("it is gone", || !has_program("near"));
        let mut near = small("near").build().unwrap();
        carry(&mut far, &mut near, &frames(50, 60), 32);
        close(near);
        assert!(!has_program("near"));
        close(far);
    });
}

fn duplicate(fd: BorrowedFd<'_>) -> OwnedFd {
    fd.try_clone_to_owned().unwrap()
}

#[test]
fn a_program_of_the_users_own_is_used_by_its_map_and_stays() {
    in_namespace(|| {
        let own = OwnProgram::load();
        let link = attach_by_link("near", own.program());
        let mut far = small("far").build().unwrap();
        for _ in 0..2 {
            let mut near = small("near").xskmap(duplicate(own.map())).build().unwrap();
            assert_eq!(near.report().xdp_mode, None);
            assert_eq!(near.program_counters().unwrap(), None);
            carry(&mut far, &mut near, &frames(100, 60), 32);
            close(near);
            assert!(has_program("near"));
        }
        // The socket's entry is out of the map, so the program passes packets on.
        let stack = Stack::of("near");
        send(&mut far, &frames(1, 60));
        assert!(stack.receive(Duration::from_secs(5)).is_some());

        let error = small("near")
            .queue(0)
            .xskmap(duplicate(link.as_fd()))
            .build()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        drop(link);
        close(far);
    });
}

#[test]
fn a_program_taken_off_by_somebody_else_ends_waits_for_packets_and_nothing_else() {
    in_namespace(|| {
        let mut near = small("near").build().unwrap();
        let mut far = small("far").build().unwrap();
        carry(&mut far, &mut near, &frames(10, 60), 8);
        let id = link_id("near");
        // SAFETY: takes a number, returns a descriptor or an error.
        let link = owned(unsafe { libbpf_sys::bpf_link_get_fd_by_id(id) });
        // SAFETY: an open descriptor.
        assert_eq!(unsafe { libbpf_sys::bpf_link_detach(link.as_raw_fd()) }, 0);
        assert!(!has_program("near"));
        carry(&mut near, &mut far, &frames(10, 60), 8);
        let error = near.wait_rx(None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
        assert!(error.to_string().contains("taken off"), "{error}");
        assert!(!near.program_counters().unwrap().unwrap().attached);
        carry(&mut near, &mut far, &frames(10, 60), 8);
        close(near);
        // A new socket attaches a new one.
        let mut near = small("near").build().unwrap();
        carry(&mut far, &mut near, &frames(10, 60), 8);
        close(near);
        close(far);
    });
}

#[test]
fn a_program_that_another_process_with_this_library_holds_is_called_that() {
    in_namespace(|| {
        let mut responder = Program::start(&mut example("ping_responder", "-i near -a 10.0.0.2"));
        wait_until("the other process has its program there", || {
            has_program("near")
        });
        let error = small("near").build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        for part in [
            "`fluxcap_xdp`",
            "of another process with this library",
            "one process has to open all queues of near",
        ] {
            assert!(error.to_string().contains(part), "{part} in: {error}");
        }
        // Without CAP_SYS_ADMIN nobody knows whose it is.
        let error = as_user(PROGRAM, || small("near").build().unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        for part in ["CAP_SYS_ADMIN", "one process has to open all queues"] {
            assert!(error.to_string().contains(part), "{part} in: {error}");
        }
        responder.signal(libc::SIGTERM);
        responder.wait_for("answered");
    });
}

#[test]
fn packets_come_to_an_interface_with_the_index_of_one_that_moved_away() {
    in_namespace(|| {
        let place = index("near");
        let mut old = small("near").build().unwrap();
        let elsewhere = Elsewhere::with("near", "10.99.0.1/24");
        super::net::ip(&format!(
            "link add near index {place} type veth peer name fur"
        ));
        super::net::ip("link set near up");
        super::net::ip("link set fur up");
        let mut near = small("near").build().unwrap();
        let mut fur = small("fur").build().unwrap();
        assert!(has_program("near"));
        carry(&mut fur, &mut near, &frames(50, 60), 32);
        let counters = near.program_counters().unwrap().unwrap();
        assert!(counters.attached && counters.redirect >= 50);

        // The old one lost its interface, but its program is on it as long as the socket is open.
        let error = old.wait_rx(None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
        elsewhere.run(|| assert!(has_program("near")));
        close(old);
        elsewhere.run(|| {
            assert!(!has_program("near"));
            close(small("near").build().unwrap());
        });
        carry(&mut fur, &mut near, &frames(50, 60), 32);
        close(near);
        close(fur);
    });
}

#[test]
fn an_interface_that_moved_is_opened_anew_when_the_old_socket_is_closed() {
    in_namespace(|| {
        let old = small("near").build().unwrap();
        let elsewhere = Elsewhere::with("near", "10.99.0.1/24");
        elsewhere.run(|| {
            let error = small("near").build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
            assert!(
                error.to_string().contains("close the older socket"),
                "{error}"
            );
        });
        close(old);
        elsewhere.run(|| {
            let near = small("near").build().unwrap();
            assert!(near.program_counters().unwrap().unwrap().attached);
            close(near);
        });
    });
}

#[test]
fn an_interface_is_bound_by_index_and_by_link_too() {
    in_namespace(|| {
        let link = fluxcap::Link::index(index("near"));
        assert_eq!(link.info().unwrap().name, "near");
        let mut near = FluxBuilder::new(&link).frames(256).build().unwrap();
        assert_eq!(near.interface().name, "near");
        let mut far = small("far").build().unwrap();
        send(&mut far, &frames(3, 60));
        drop(receive(&mut near, 3));
        close(near);
        close(far);
    });
}

/// A program `foreigner` that passes every packet on.
pub(crate) fn pass() -> OwnedFd {
    let instruction = |code, imm| libbpf_sys::bpf_insn {
        code,
        imm,
        ..Default::default()
    };
    // r0 = XDP_PASS; exit
    let code = [instruction(0xb7, 2), instruction(0x95, 0)];
    // SAFETY: strings that end with NUL, and instructions with their own number; no options.
    owned(unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_XDP,
            c"foreigner".as_ptr(),
            c"GPL".as_ptr(),
            code.as_ptr(),
            code.len() as _,
            ptr::null_mut(),
        )
    })
}

/// Attaches a program as `ip link` does; -1 takes it off.
fn attach_by_netlink(interface: &str, program: i32, flags: u32) {
    // SAFETY: plain numbers; no options.
    let result =
        unsafe { libbpf_sys::bpf_xdp_attach(index(interface) as i32, program, flags, ptr::null()) };
    assert_eq!(result, 0, "attaching by netlink");
}

/// Attaches a program until the link is dropped.
pub(crate) fn attach_by_link(interface: &str, program: i32) -> OwnedFd {
    // SAFETY: plain numbers; no options.
    owned(unsafe {
        libbpf_sys::bpf_link_create(
            program,
            index(interface) as i32,
            libbpf_sys::BPF_XDP,
            ptr::null(),
        )
    })
}

/// The id of the link that holds the program of an interface of this namespace.
fn link_id(interface: &str) -> u32 {
    let shown = super::net::ip(&format!("-d link show dev {interface}"));
    let program = shown.split("prog/xdp id ").nth(1).expect("a program");
    let program: u32 = program.split_whitespace().next().unwrap().parse().unwrap();
    let mut id = 0;
    loop {
        // SAFETY: the call reads the first number and writes the second.
        let result = unsafe { libbpf_sys::bpf_link_get_next_id(id, &mut id) };
        assert_eq!(result, 0, "no link holds program {program}");
        // SAFETY: takes a number, returns a descriptor or an error.
        let link = unsafe { libbpf_sys::bpf_link_get_fd_by_id(id) };
        if link < 0 {
            continue;
        }
        let link = owned(link);
        let mut info = libbpf_sys::bpf_link_info::default();
        let mut length = size_of_val(&info) as u32;
        // SAFETY: the kernel writes at most `length` bytes into a structure of numbers.
        let result = unsafe {
            libbpf_sys::bpf_obj_get_info_by_fd(
                link.as_raw_fd(),
                (&raw mut info).cast(),
                &mut length,
            )
        };
        assert_eq!(result, 0);
        if info.prog_id == program {
            return id;
        }
    }
}

fn owned(fd: i32) -> OwnedFd {
    assert!(fd >= 0, "{}", io::Error::from_raw_os_error(-fd));
    // SAFETY: a new descriptor, which nobody else knows.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A program with an XSKMAP that the library did not load.
pub(crate) struct OwnProgram(*mut libbpf_sys::bpf_object);

impl OwnProgram {
    pub(crate) fn load() -> Self {
        // Aligned, and also in a guest, which has no sources.
        let bytes = include_bytes!("../../bpf/fluxcap.bpf.o").to_vec();
        // SAFETY: the bytes are there until the object was read; no options.
        let object = unsafe {
            libbpf_sys::bpf_object__open_mem(bytes.as_ptr().cast(), bytes.len() as _, ptr::null())
        };
        assert!(!object.is_null(), "{}", io::Error::last_os_error());
        let own = Self(object);
        // SAFETY: the object is open, and its map belongs to it.
        unsafe {
            let map = libbpf_sys::bpf_object__find_map_by_name(object, c"xsks_map".as_ptr());
            assert_eq!(libbpf_sys::bpf_map__set_max_entries(map, 4), 0);
            assert_eq!(libbpf_sys::bpf_object__load(object), 0);
        }
        own
    }

    pub(crate) fn program(&self) -> i32 {
        // SAFETY: the object is loaded, and the program belongs to it.
        unsafe {
            let name = c"fluxcap_xdp".as_ptr();
            let program = libbpf_sys::bpf_object__find_program_by_name(self.0, name);
            libbpf_sys::bpf_program__fd(program)
        }
    }

    pub(crate) fn map(&self) -> BorrowedFd<'_> {
        // SAFETY: the object is loaded.
        let fd =
            unsafe { libbpf_sys::bpf_object__find_map_fd_by_name(self.0, c"xsks_map".as_ptr()) };
        // SAFETY: the object keeps it open.
        unsafe { BorrowedFd::borrow_raw(fd) }
    }
}

impl Drop for OwnProgram {
    fn drop(&mut self) {
        // SAFETY: opened by `load`, closed only here.
        unsafe { libbpf_sys::bpf_object__close(self.0) };
    }
}
