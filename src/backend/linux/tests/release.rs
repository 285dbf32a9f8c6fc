//! Seeing the kernel let go of a queue, and only when it has.

use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::linux::tests::{
    in_namespace, ip, leave_namespace, near, open, request, succeeds, umem,
};
use crate::backend::{Backend, Bound, Opened, QueueRelease};
use crate::ring::Desc;
use crate::umem::UmemRegion;

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

#[test]
fn another_interface_with_the_index_of_a_removed_one_proves_nothing() {
    in_namespace(|| {
        let (opened, release) = bound();
        let duplicate = duplicate(&opened);
        let index = near().interface().unwrap().index;
        drop(opened);
        ip("link del near");
        ip(&format!(
            "link add near index {index} type veth peer name far"
        ));
        assert_eq!(near().interface().unwrap().index, index);
        assert!(stays_held(&*release));
        // Nor does a socket on it.
        let next = bound();
        assert!(!release.is_released());
        drop((duplicate, next));
        assert!(stays_held(&*release), "nothing can be seen any more");
    });
}

#[test]
fn another_interface_with_the_index_of_one_that_moved_away_proves_nothing() {
    in_namespace(|| {
        let (opened, release) = bound();
        let duplicate = duplicate(&opened);
        let index = near().interface().unwrap().index;
        drop(opened);
        let (tell, told) = channel();
        let (end, ended) = channel::<()>();
        let elsewhere = thread::spawn(move || {
            tell.send(leave_namespace()).unwrap();
            let _ = ended.recv();
        });
        ip(&format!("link set near netns {}", told.recv().unwrap()));
        ip(&format!(
            "link add near index {index} type veth peer name other"
        ));
        assert!(stays_held(&*release));
        drop((duplicate, end));
        elsewhere.join().unwrap();
    });
}

#[test]
fn what_becomes_of_other_interfaces_and_a_new_name_do_not_matter() {
    in_namespace(|| {
        ip("link add other type veth peer name beside");
        let (opened, release) = bound();
        ip("link del other");
        ip("link set near down");
        ip("link set near name renamed");
        ip("link set renamed up");
        ip("link add bridge type bridge");
        ip("link set renamed master bridge");
        ip("link set renamed nomaster");
        drop(opened);
        assert!(comes(&*release));
    });
}

/// Behind `far`, a bridge and a queue that lets next to nothing out, so that packets of `near` are under way until it is taken away.
/// False where this kernel has none.
fn hold_packets() -> bool {
    ip("link add out type veth peer name beyond");
    if !succeeds("ip link add bridge type bridge")
        || !succeeds("tc qdisc add dev out root tbf rate 8bit burst 100 limit 100000")
    {
        println!("skipped: no bridge, or no tc with tbf");
        return false;
    }
    for port in ["far", "out"] {
        ip(&format!("link set {port} master bridge"));
        ip(&format!("link set {port} up"));
    }
    ip("link set beyond up");
    ip("link set bridge up");
    // The kernel sees a carrier some time later. Until then a bridge drops what the port shall send.
    let begin = Instant::now();
    while !["far", "out"].into_iter().all(forwards) {
        assert!(begin.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Whether a port of a bridge takes part.
fn forwards(port: &str) -> bool {
    let words = ["-details", "link", "show", port];
    let shown = Command::new("ip").args(words).output().unwrap().stdout;
    String::from_utf8_lossy(&shown).contains("state forwarding")
}

fn let_packets_go() {
    assert!(succeeds("tc qdisc del dev out root"));
}

/// Sends packets of which not all come back.
fn send(opened: &mut Opened, umem: &UmemRegion) {
    const PACKETS: u32 = 3;
    // To a neighbour that nobody knows, which the bridge looks for at all its ports.
    let mut frame = [0; 100];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    let mut slots = opened.rings.tx.reserve(PACKETS);
    let mut packets: Vec<_> = (0..PACKETS).map(|_| umem.alloc().unwrap()).collect();
    for (number, packet) in (0..).zip(&mut packets) {
        packet.copy_from(&frame).unwrap();
        let desc = Desc {
            addr: packet.address(),
            len: frame.len() as u32,
            options: 0,
        };
        slots.put(number, desc);
    }
    slots.submit(PACKETS);
    opened.socket.wake_tx().unwrap();
    let begin = Instant::now();
    // The bucket is full at the beginning, so the first one may pass.
    while opened.rings.tx.occupied() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(2));
    }
    assert!(opened.rings.completion.occupied() < PACKETS, "none is held");
}

#[test]
fn a_packet_that_is_under_way_holds_the_queue() {
    in_namespace(|| {
        if !hold_packets() {
            return;
        }
        let umem = umem();
        let mut opened = near().open(&request(), &umem).unwrap();
        let release = opened.socket.bind().unwrap().release;
        send(&mut opened, &umem);
        drop(opened);
        assert!(stays_held(&*release));
        let_packets_go();
        assert!(comes(&*release));
    });
}

#[test]
fn a_packet_that_is_under_way_when_the_interface_is_removed_holds_the_frames() {
    in_namespace(|| {
        if !hold_packets() {
            return;
        }
        let umem = umem();
        let mut opened = near().open(&request(), &umem).unwrap();
        let release = opened.socket.bind().unwrap().release;
        send(&mut opened, &umem);
        ip("link del near");
        drop(opened);
        assert!(stays_held(&*release));
        let_packets_go();
        assert!(comes(&*release));
    });
}

#[test]
fn a_packet_of_a_closed_socket_that_shared_the_queue_does_so_for_good() {
    in_namespace(|| {
        if !hold_packets() {
            return;
        }
        let umem = umem();
        let first = near().open(&request(), &umem).unwrap();
        let release = first.socket.bind().unwrap().release;
        let beside = near().share(&request(), &first.socket, &umem).unwrap();
        beside.socket.bind().unwrap();
        let mut beside = Opened {
            socket: beside.socket,
            rings: crate::backend::Rings {
                tx: beside.tx,
                rx: beside.rx,
                ..first.rings
            },
        };
        send(&mut beside, &umem);
        drop(beside);
        ip("link del near");
        drop(first.socket);
        assert!(stays_held(&*release));
        let_packets_go();
        assert!(stays_held(&*release), "nobody can ask for that socket");
    });
}
