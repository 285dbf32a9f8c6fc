//! The bundled program through the seam, shared by the sockets of this process.

use std::thread;

use super::net::{in_namespace, ip, near, open, request};
use crate::error::ErrorKind;
use crate::kernel::linux::LinuxInterface;
use crate::kernel::{Backend, Place};
use crate::report::XdpMode;

const FIRST: Place = Place {
    queue: 0,
    member: 0,
};

#[test]
fn sockets_of_one_interface_share_the_program() {
    in_namespace(|| {
        let first = near().attach(XdpMode::Generic).unwrap();
        let second = near().attach(XdpMode::Auto).unwrap();
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
            near().attach(XdpMode::Native).unwrap_err().kind(),
            ErrorKind::Busy
        );
        drop(first);
        near().attach(XdpMode::Native).unwrap();
    });
}

#[test]
fn threads_that_attach_and_detach_at_once_never_meet_their_own_program() {
    in_namespace(|| {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        drop(near().attach(XdpMode::Auto).unwrap());
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
        let old = near().attach(XdpMode::Generic).unwrap();
        ip("link del near");
        ip(&format!(
            "link add near index {index} type veth peer name far"
        ));
        let new = near().attach(XdpMode::Native).unwrap();
        assert_eq!(new.xdp_mode().unwrap().achieved, XdpMode::Native);
        drop(old);
        assert_eq!(
            near().attach(XdpMode::Generic).unwrap_err().kind(),
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
