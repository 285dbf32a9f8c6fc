//! Handles in a forked child: errors and zeros, never a crash, and no harm to the parent.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use fluxcap::{
    ErrorKind, FanOut, FluxEngine, FluxError, FluxRaw, Interest, Packet, PacketBatch, RingsState,
    UmemConfig, UmemRegion,
};

use super::forked::{fork, fork_without_handlers};
use super::net::{has_program, in_namespace};
use super::traffic::{assert_all_home, carry, close, frame, frames, receive, send, small};

#[track_caller]
fn assert_forked(error: &FluxError) {
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let text = error.to_string();
    let parent = format!("belongs to process {}", std::os::unix::process::parent_id());
    for part in [&*parent, "forked child", "after fork() or daemon()"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_socket_and_its_packets_are_errors_and_zeros_in_a_child_and_go_on_in_the_parent() {
    in_namespace(|| {
        let mut near = Some(small("near").build().unwrap());
        let mut far = small("far").build().unwrap();
        send(&mut far, &frames(30, 300));
        let mut held: Vec<Packet> = receive(near.as_mut().unwrap(), 20).drain().collect();
        let umem = near.as_ref().unwrap().umem().clone();
        let child = fork(|| {
            let mut near = near.take().unwrap();
            for packet in &mut held {
                assert_eq!(packet.data(), [0; 300]);
                packet.data_mut().fill(7);
                assert_eq!(packet.data(), [7; 300]);
            }
            let mut batch = PacketBatch::with_capacity(64);
            assert_eq!(near.receive(&mut batch), 0);
            assert_eq!(near.recv_each(64, |_| panic!("a packet")), 0);
            assert_eq!(near.peek(64).len(), 0);
            for timeout in [Some(Duration::ZERO), None] {
                assert_forked(&near.wait_rx(timeout).unwrap_err());
            }
            assert_forked(&near.wait(Interest::Both, None).unwrap_err());
            assert_forked(&near.check().unwrap_err());
            assert_forked(&near.flush(Duration::from_secs(1)).unwrap_err());
            assert_forked(&near.wake_tx().unwrap_err());
            assert!(umem.alloc().is_none());
            near.refill();
            near.reap();
            drop(near.send_one(held.pop().unwrap()).unwrap_err());
            batch.push(held.pop().unwrap()).unwrap();
            assert_forked(&near.send(&mut batch).unwrap_err());
            assert_forked(&near.recycle(&mut batch).unwrap_err());
            assert!(!near.debug_rings().to_string().is_empty());
            assert_forked(&small("near").umem(&umem).build().unwrap_err());
            held.clear();
            drop((near, batch));
        });
        child.wait();
        assert!(has_program("near"));
        for (number, packet) in held.iter().enumerate() {
            assert_eq!(packet.data(), frame(number, 300));
        }
        drop(held);
        let mut near = near.take().unwrap();
        drop(receive(&mut near, 10));
        carry(&mut far, &mut near, &frames(100, 60), 32);
        carry(&mut near, &mut far, &frames(100, 60), 32);
        close(near);
        assert_all_home(&umem);
        close(far);
    });
}

#[test]
fn halves_engines_and_groups_are_errors_in_a_child_too() {
    in_namespace(|| {
        let mut halves = Some(small("near").build().unwrap().split());
        let mut engine = Some(FluxEngine::new(small("far").build().unwrap()));
        let child = fork(|| {
            let (mut rx, mut tx) = halves.take().unwrap();
            let mut engine = engine.take().unwrap();
            let mut batch = PacketBatch::with_capacity(8);
            assert_eq!(rx.try_recv(&mut batch), 0);
            assert_forked(&rx.recv(&mut batch).unwrap_err());
            assert_forked(&rx.wait(None).unwrap_err());
            assert_forked(&tx.send(&mut batch).unwrap_err());
            let forwarded = rx.forward_each(&mut tx, 8, |_| panic!("a packet"));
            assert_forked(&forwarded.unwrap_err());
            assert!(tx.alloc().is_none());
            assert_forked(&tx.flush(Duration::from_secs(1)).unwrap_err());
            assert_forked(&engine.run(|_| ()).unwrap_err());
            assert_forked(&engine.run_once(|_| ()).unwrap_err());
        });
        child.wait();
        let (mut rx, tx) = halves.take().unwrap();
        assert!(!rx.wait(Some(Duration::ZERO)).unwrap());
        let umem = rx.umem().clone();
        drop((rx, tx, engine));
        assert_all_home(&umem);
        let fan_out = FanOut {
            sockets: 3,
            symmetric: false,
        };
        let mut group = small("near").fan_out(fan_out).build_group().unwrap();
        let umem = group[0].umem().clone();
        let child = fork(|| {
            for raw in &mut group {
                assert_forked(&raw.wait_rx(None).unwrap_err());
            }
            group.clear();
        });
        child.wait();
        for raw in &mut group {
            assert!(!raw.wait_rx(Some(Duration::ZERO)).unwrap());
        }
        drop(group);
        assert_all_home(&umem);
    });
}

#[test]
fn rings_that_are_not_there_in_a_child_are_left_alone() {
    in_namespace(|| {
        // Of one thread, so that its child can be made without the C library.
        let parent = fork(|| {
            let mut raw = Some(small("near").build().unwrap());
            let child = fork_without_handlers(|| {
                let mut near = raw.take().unwrap();
                let mut batch = PacketBatch::with_capacity(8);
                assert_eq!(near.receive(&mut batch), 0);
                assert_eq!(near.recv_each(8, |_| panic!("a packet")), 0);
                assert_eq!(near.forward_each(8, |_| panic!("a packet")), 0);
                assert_eq!(near.peek(8).len(), 0);
                assert!(near.alloc().is_none() && near.copy(b"hello").unwrap().is_none());
                assert_eq!(near.alloc_batch(&mut batch), 0);
                assert_eq!((near.refill(), near.reap(), near.tx_room()), (0, 0, 0));
                assert_eq!(near.debug_rings(), RingsState::default());
                assert_forked(&near.send(&mut batch).unwrap_err());
                assert_forked(&near.recycle(&mut batch).unwrap_err());
                assert_forked(&near.wake_rx().unwrap_err());
                assert_forked(&near.wake_tx().unwrap_err());
                assert_forked(&near.spin().unwrap_err());
                assert_forked(&near.wait_rx(None).unwrap_err());
                assert_forked(&near.wait(Interest::Both, None).unwrap_err());
                assert_forked(&near.flush(Duration::from_secs(1)).unwrap_err());
            });
            child.wait();
            let mut halves = raw.take().map(FluxRaw::split);
            let mut engine = Some(FluxEngine::new(small("far").build().unwrap()));
            let child = fork_without_handlers(|| {
                let (mut rx, mut tx) = halves.take().unwrap();
                let mut batch = PacketBatch::with_capacity(8);
                assert_eq!(rx.try_recv(&mut batch), 0);
                assert_eq!(rx.recv_each(8, |_| panic!("a packet")), 0);
                assert!(rx.try_recv_one().is_none());
                assert_eq!(rx.refill(), 0);
                assert_eq!(rx.debug_rings(), Default::default());
                assert_forked(&rx.recycle(&mut batch).unwrap_err());
                assert_forked(&rx.wait(None).unwrap_err());
                let forwarded = rx.forward_each(&mut tx, 8, |_| panic!("a packet"));
                assert_forked(&forwarded.unwrap_err());
                assert!(tx.alloc().is_none() && tx.copy(b"hello").unwrap().is_none());
                assert_eq!(tx.alloc_batch(&mut batch), 0);
                assert_eq!((tx.reap(), tx.room()), (0, 0));
                assert_eq!(tx.debug_rings(), Default::default());
                assert_forked(&tx.send(&mut batch).unwrap_err());
                assert_forked(&tx.send_each(8, |_| ()).unwrap_err());
                assert_forked(&tx.kick().unwrap_err());
                assert_forked(&tx.wait(None).unwrap_err());
                assert_forked(&tx.flush(Duration::from_secs(1)).unwrap_err());
                let own = UmemRegion::heap(UmemConfig::default()).unwrap();
                let packet = own.copy(b"hello").unwrap().unwrap();
                assert_forked(&tx.send_one(packet).unwrap_err().error());
                let mut engine = engine.take().unwrap();
                assert_forked(&engine.run_once(|_| ()).unwrap_err());
                assert_forked(&engine.wait(None).unwrap_err());
                drop((rx, tx, engine));
            });
            child.wait();
            let (mut rx, tx) = halves.take().unwrap();
            assert!(!rx.wait(Some(Duration::ZERO)).unwrap());
            let umem = rx.umem().clone();
            drop((rx, tx, engine));
            assert_all_home(&umem);
        });
        parent.wait();
    });
}

#[test]
fn an_engine_in_a_child_refuses_a_port_of_its_parent() {
    in_namespace(|| {
        let mut inherited = Some(small("near").build().unwrap());
        let child = fork(|| {
            let mut engine = FluxEngine::new(small("far").build().unwrap());
            engine.set_copying(true);
            let refused = engine.add_port(inherited.take().unwrap()).unwrap_err();
            assert_forked(refused.error());
            engine.run_once(|_| ()).unwrap();
        });
        child.wait();
        close(inherited.unwrap());
    });
}

#[test]
fn a_child_opens_sockets_of_its_own() {
    in_namespace(|| {
        let raw = small("near").build().unwrap();
        let child = fork(|| {
            let mut own = small("far").load_xdp(false).build().unwrap();
            let packet = own.copy(&frame(1, 60)).unwrap().unwrap();
            assert_eq!(packet.data(), frame(1, 60));
            own.send_one(packet).unwrap();
            assert!(own.flush(Duration::from_secs(5)).unwrap());
            let umem = own.umem().clone();
            drop(own);
            umem.reclaim(Duration::from_secs(10));
            assert_eq!(umem.accounting().pool, umem.frame_count());
            assert_forked(&raw.check().unwrap_err());
        });
        child.wait();
        raw.check().unwrap();
        close(raw);
    });
}

#[test]
fn frames_stay_in_quarantine_while_a_child_has_the_socket_open() {
    in_namespace(|| {
        let raw = small("near").build().unwrap();
        let umem = raw.umem().clone();
        let (mut parent, mut child) = UnixStream::pair().unwrap();
        let forked = fork(|| child.read_exact(&mut [0]).unwrap());
        drop(raw);
        assert!(umem.reclaim(Duration::from_millis(300)) > 0);
        parent.write_all(b"x").unwrap();
        forked.wait();
        assert_all_home(&umem);
    });
}
