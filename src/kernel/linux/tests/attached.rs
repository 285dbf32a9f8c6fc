//! The bundled program through the seam, shared by the sockets of this process.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::mpsc::channel;
use std::thread;

use super::net::{forbid, hide, in_namespace, ip, leave_namespace, near, open, request};
use crate::error::{ErrorKind, errno};
use crate::kernel::bpf::query::{Holder, foreign};
use crate::kernel::linux::LinuxInterface;
use crate::kernel::{Backend, FanOut, Place, Steering};
use crate::report::XdpMode;

const FIRST: Place = Place {
    queue: 0,
    member: 0,
};

#[test]
fn sockets_of_one_interface_share_the_program() {
    in_namespace(|| {
        let first = near().attach(XdpMode::Generic, false, 0).unwrap();
        let second = near().attach(XdpMode::Auto, false, 0).unwrap();
        let answer = second.xdp_mode().unwrap();
        assert_eq!(
            (answer.requested, answer.achieved),
            (XdpMode::Auto, XdpMode::Generic)
        );
        assert!(answer.reason.is_some());
        let opened = open(&request());
        opened.socket.bind().unwrap();
        second.insert(FIRST, &*opened.socket).unwrap();
        drop(second);
        first.remove(FIRST).unwrap();
        first.remove(FIRST).unwrap();
        assert!(first.counters().unwrap().is_some());
        assert_eq!(
            near().attach(XdpMode::Native, false, 0).unwrap_err().kind(),
            ErrorKind::Busy
        );
        drop(first);
        near().attach(XdpMode::Native, false, 0).unwrap();
    });
}

#[test]
fn threads_that_attach_and_detach_at_once_never_meet_their_own_program() {
    in_namespace(|| {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        drop(near().attach(XdpMode::Auto, false, 0).unwrap());
                    }
                });
            }
        });
    });
}

#[test]
fn a_new_interface_in_the_place_of_a_removed_one_gets_a_program_of_its_own() {
    in_namespace(|| {
        let index = near().interface().unwrap().index;
        let old = near().attach(XdpMode::Generic, false, 0).unwrap();
        ip("link del near");
        ip(&format!(
            "link add near index {index} type veth peer name far"
        ));
        let new = near().attach(XdpMode::Native, false, 0).unwrap();
        assert_eq!(new.xdp_mode().unwrap().achieved, XdpMode::Native);
        drop(old);
        assert_eq!(
            near()
                .attach(XdpMode::Generic, false, 0)
                .unwrap_err()
                .kind(),
            ErrorKind::Busy
        );
    });
}

#[test]
fn a_descriptor_that_is_no_xskmap_is_refused() {
    in_namespace(|| {
        let opened = open(&request());
        let fd = opened.socket.fd().unwrap();
        assert_eq!(near().user_map(fd).unwrap_err().kind(), ErrorKind::Invalid);
    });
}

#[test]
fn an_interface_is_not_mistaken_for_its_namesake_in_another_namespace() {
    in_namespace(|| {
        let near = near();
        thread::scope(|scope| {
            scope.spawn(|| {
                // SAFETY: concerns only this thread.
                assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
                ip("link add near type veth peer name far");
                assert_eq!(near.interface().unwrap_err().kind(), ErrorKind::Invalid);
                assert!(LinuxInterface::by_name("near").interface().is_ok());
            });
        });
        assert!(near.interface().is_ok());
        let index = near.interface().unwrap().index;
        assert_eq!(
            LinuxInterface::by_index(index).interface().unwrap().name,
            "near"
        );
        let error = LinuxInterface::by_index(9999).interface().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

/// The id of the program on an interface of this thread's namespace.
fn program_on(interface: &LinuxInterface) -> Option<u32> {
    let index = interface.interface().unwrap().index;
    foreign(index).unwrap().map(|program| program.id)
}

/// Moves `near` to a namespace and does something there.
fn elsewhere<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let (tell, told) = channel();
        let (arrive, arrived) = channel();
        let there = scope.spawn(move || {
            tell.send(leave_namespace()).unwrap();
            arrived.recv().unwrap();
            work()
        });
        ip(&format!("link set near netns {}", told.recv().unwrap()));
        arrive.send(()).unwrap();
        there.join().unwrap()
    })
}

#[test]
fn an_interface_with_the_index_of_one_that_moved_away_gets_a_program_of_its_own() {
    in_namespace(|| {
        let index = near().interface().unwrap().index;
        let old = near().attach(XdpMode::Auto, false, 0).unwrap();
        let id = program_on(&near());
        let (moved, stay) = (channel(), channel());
        thread::scope(|scope| {
            scope.spawn(move || {
                moved.0.send(leave_namespace()).unwrap();
                // The namespace, and the interface, last as long as this thread.
                let _: Result<(), _> = stay.1.recv();
                assert_eq!(near().interface().unwrap().index, index);
                assert_eq!(program_on(&near()), id);
            });
            ip(&format!("link set near netns {}", moved.1.recv().unwrap()));
            ip(&format!(
                "link add near index {index} type veth peer name fur"
            ));
            let new = near().attach(XdpMode::Native, false, 0).unwrap();
            assert!(program_on(&near()).is_some() && program_on(&near()) != id);
            // Both are where they were attached.
            old.check().unwrap();
            new.check().unwrap();
            assert!(old.counters().unwrap().unwrap().attached);
            drop(stay.0);
        });
    });
}

#[test]
fn sockets_share_the_program_where_netlink_is_forbidden_too() {
    in_namespace(|| {
        let index = near().interface().unwrap().index;
        let old = near().attach(XdpMode::Auto, false, 0).unwrap();
        let id = program_on(&near());
        let (moved, stay) = (channel(), channel());
        thread::scope(|scope| {
            scope.spawn(|| {
                forbid(libc::SYS_socket, 0, libc::AF_NETLINK as u32);
                let new = near().attach(XdpMode::Auto, false, 0).unwrap();
                assert!(new.counters().unwrap().unwrap().attached);
            });
        });
        assert_eq!(program_on(&near()), id);
        old.check().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                moved.0.send(leave_namespace()).unwrap();
                // The namespace, and the interface, last as long as this thread.
                let _: Result<(), _> = stay.1.recv();
            });
            ip(&format!("link set near netns {}", moved.1.recv().unwrap()));
            ip(&format!(
                "link add near index {index} type veth peer name fur"
            ));
            thread::scope(|scope| {
                scope.spawn(|| {
                    forbid(libc::SYS_socket, 0, libc::AF_NETLINK as u32);
                    // It has no program yet, whatever index the other one has.
                    let new = near().attach(XdpMode::Generic, false, 0).unwrap();
                    assert_eq!(new.xdp_mode().unwrap().achieved, XdpMode::Generic);
                });
            });
            drop(stay.0);
        });
    });
}

#[test]
fn an_interface_that_moved_is_known_by_its_program() {
    in_namespace(|| {
        let old = near().attach(XdpMode::Auto, false, 0).unwrap();
        let id = program_on(&near());
        elsewhere(|| {
            let new = near().attach(XdpMode::Auto, false, 0).unwrap();
            assert_eq!(program_on(&near()), id);
            assert!(new.counters().unwrap().unwrap().attached);
        });
        drop(old);
    });
}

#[test]
fn equal_indices_in_two_namespaces_are_told_apart_without_proc() {
    in_namespace(|| {
        hide(c"/proc");
        let near = near();
        let index = near.interface().unwrap().index;
        let here = near.attach(XdpMode::Auto, false, 0).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                leave_namespace();
                ip(&format!(
                    "link add near index {index} type veth peer name far"
                ));
                assert_eq!(near.interface().unwrap_err().kind(), ErrorKind::Invalid);
                let there = LinuxInterface::by_index(index);
                let steering = there.attach(XdpMode::Generic, false, 0).unwrap();
                let achieved = steering.xdp_mode().unwrap().achieved;
                assert_eq!(achieved, XdpMode::Generic);
                assert!(program_on(&there).is_some());
            });
        });
        here.check().unwrap();
    });
}

#[test]
fn whoever_waits_is_told_that_the_program_was_taken_off() {
    in_namespace(|| {
        let steering = near().attach(XdpMode::Auto, false, 0).unwrap();
        steering.check().unwrap();
        detach(&near());
        let error = steering.check().unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Gone, errno::ENODEV)
        );
        let text = error.to_string();
        assert!(
            text.contains("near") && text.contains("taken off"),
            "{text}"
        );
        assert!(!steering.counters().unwrap().unwrap().attached);
        // The next one attaches anew.
        let next = near().attach(XdpMode::Auto, false, 0).unwrap();
        next.check().unwrap();
        ip("link del near");
        assert_eq!(next.check().unwrap_err().kind(), ErrorKind::Gone);
    });
}

/// Takes the program off as `bpftool link detach` does.
fn detach(interface: &LinuxInterface) {
    let index = interface.interface().unwrap().index;
    let program = foreign(index).unwrap().unwrap();
    let Holder::Link(id) = program.holder else {
        panic!("{program}");
    };
    // SAFETY: takes a number, returns a descriptor or an error.
    let link = unsafe { libbpf_sys::bpf_link_get_fd_by_id(id) };
    assert!(link >= 0);
    // SAFETY: a new descriptor, which nobody else knows.
    let link = unsafe { OwnedFd::from_raw_fd(link) };
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libbpf_sys::bpf_link_detach(link.as_raw_fd()) }, 0);
}

#[test]
fn a_queue_is_shared_out_on_an_interface_with_a_plain_program_and_the_other_way_round() {
    in_namespace(|| {
        let name = |steering: &dyn Steering| {
            steering.check().unwrap();
            let index = near().interface().unwrap().index;
            foreign(index).unwrap().unwrap().name.unwrap()
        };
        let plain = near().attach(XdpMode::Auto, false, 0).unwrap();
        assert_eq!(name(&*plain), "fluxcap_xdp");
        plain.fan_out(0, FanOut::default()).unwrap();
        assert_eq!(name(&*plain), "fluxcap_xdp");
        let shared = near().attach(XdpMode::Auto, true, 0).unwrap();
        assert_eq!(name(&*shared), "fluxcap_fan_out");
        plain.check().unwrap();
        drop((plain, shared));
        let shared = near().attach(XdpMode::Auto, true, 0).unwrap();
        let plain = near().attach(XdpMode::Auto, false, 0).unwrap();
        assert_eq!(name(&*plain), "fluxcap_fan_out");
        drop(shared);
        plain.check().unwrap();
    });
}
