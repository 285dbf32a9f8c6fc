//! Seeing the kernel let go of a queue, and only when it has.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::net::{in_namespace, ip, near, open, request, umem};
use crate::kernel::{Backend, Bound, Opened, QueueRelease};

fn bound() -> (Opened, Arc<dyn QueueRelease>) {
    let opened = open(&request());
    let Bound { release, .. } = opened.socket.bind().unwrap();
    (opened, release)
}

/// Looks again and again, for as long as the kernel may take.
fn comes(release: &dyn QueueRelease) -> bool {
    let begin = Instant::now();
    while !release.is_released() {
        if begin.elapsed() > Duration::from_secs(20) {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Looks often enough to see what happens at once.
fn stays_held(release: &dyn QueueRelease) -> bool {
    (0..60).all(|_| {
        thread::sleep(Duration::from_millis(2));
        !release.is_released()
    })
}

fn duplicate(opened: &Opened) -> OwnedFd {
    opened.socket.fd().unwrap().try_clone_to_owned().unwrap()
}

#[test]
fn a_queue_is_held_while_its_socket_is_open_and_released_after_the_close() {
    in_namespace(|| {
        let (opened, release) = bound();
        assert!(stays_held(&*release));
        drop(opened);
        assert!(comes(&*release));
        assert!(release.is_released(), "it stays so");
        // The probe has given the queue back.
        drop(bound());
    });
}

#[test]
fn a_duplicate_of_the_descriptor_holds_the_queue() {
    in_namespace(|| {
        let (opened, release) = bound();
        let duplicate = duplicate(&opened);
        drop(opened);
        assert!(stays_held(&*release));
        drop(duplicate);
        assert!(comes(&*release));
    });
}

#[test]
fn a_mapped_ring_holds_the_queue() {
    in_namespace(|| {
        let (opened, release) = bound();
        let Opened { socket, rings } = opened;
        drop(socket);
        assert!(stays_held(&*release));
        drop(rings);
        assert!(comes(&*release));
    });
}

#[test]
fn a_socket_that_took_the_queue_next_proves_it() {
    in_namespace(|| {
        let (opened, release) = bound();
        drop(opened);
        // It waits for the queue.
        let next = bound();
        assert!(release.is_released());
        assert!(!next.1.is_released());
    });
}

#[test]
fn every_socket_that_shares_the_queue_holds_it() {
    in_namespace(|| {
        let umem = umem();
        let opened = near().open(&request(), &umem).unwrap();
        let release = opened.socket.bind().unwrap().release;
        let beside = near().share(&request(), &opened.socket, &umem).unwrap();
        beside.socket.bind().unwrap();
        drop(opened);
        assert!(stays_held(&*release));
        drop(beside);
        assert!(comes(&*release));
    });
}

#[test]
fn an_interface_that_is_removed_while_the_socket_is_open_has_let_go() {
    in_namespace(|| {
        let (opened, release) = bound();
        assert!(!release.is_released());
        ip("link del near");
        drop(opened);
        assert!(release.is_released());
    });
}

#[test]
fn a_removal_that_comes_after_the_close_proves_nothing() {
    in_namespace(|| {
        let (opened, release) = bound();
        let duplicate = duplicate(&opened);
        drop(opened);
        ip("link del near");
        // Nobody looked while the socket was known to be open.
        assert!(stays_held(&*release));
        drop(duplicate);
        assert!(stays_held(&*release));
    });
}
