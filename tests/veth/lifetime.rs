//! Sockets and packets that come and go in any order.

use std::sync::mpsc::{channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use fluxcap::{Packet, PacketBatch};

use super::net::{add_pair, has_program, in_namespace, wait_until};
use super::process::{Program, example};
use super::traffic::{assert_all_home, carry, close, frame, frames, receive, send, small};

#[test]
fn packets_outlive_their_socket_and_go_home_from_another_thread() {
    in_namespace(|| {
        let mut near = small("near").build().unwrap();
        let mut far = small("far").build().unwrap();
        send(&mut far, &frames(30, 300));
        let mut batch = receive(&mut near, 30);
        let umem = near.umem().clone();
        drop(near);
        assert_eq!(umem.accounting().user, 30);
        let (give, take) = channel::<Packet>();
        let other = thread::spawn(move || {
            for (number, mut packet) in (0..).zip(take) {
                assert_eq!(packet.data(), frame(number, 300));
                packet.data_mut().fill(0);
            }
        });
        for packet in batch.drain() {
            give.send(packet).unwrap();
        }
        drop(give);
        other.join().unwrap();
        assert_all_home(&umem);
        // Their memory is still good for a new socket.
        let mut near = small("near").umem(&umem).build().unwrap();
        carry(&mut far, &mut near, &frames(100, 60), 32);
        close(near);
        close(far);
    });
}

#[test]
fn packets_dropped_on_another_thread_come_back_into_the_running_socket() {
    in_namespace(|| {
        // At most three batches are under way, so half of the frames are always left to receive into.
        let mut near = small("near").frames(128).build().unwrap();
        let mut far = small("far").build().unwrap();
        let (give, take) = sync_channel::<PacketBatch>(1);
        let other = thread::spawn(move || take.into_iter().for_each(drop));
        for _ in 0..100 {
            send(&mut far, &frames(20, 60));
            give.send(receive(&mut near, 20)).unwrap();
            near.refill();
        }
        drop(give);
        other.join().unwrap();
        close(near);
        close(far);
    });
}

#[test]
fn a_socket_is_closed_and_opened_again_100_times_back_to_back() {
    in_namespace(|| {
        let begin = Instant::now();
        let mut far = small("far").build().unwrap();
        for cycle in 0..100 {
            let mut near = small("near")
                .build()
                .unwrap_or_else(|error| panic!("cycle {cycle}: {error}"));
            carry(&mut far, &mut near, &frames(5, 60), 5);
            close(near);
        }
        assert!(!has_program("near"));
        println!("100 cycles took {:?}", begin.elapsed());
        close(far);
    });
}

#[test]
fn a_socket_closed_with_traffic_in_every_ring_leaves_no_frame_behind() {
    in_namespace(|| {
        let mut far = small("far").build().unwrap();
        for _ in 0..5 {
            let mut near = small("near").build().unwrap();
            send(&mut far, &frames(40, 60));
            far.flush(Duration::from_secs(5)).unwrap();
            let mut waiting = near.alloc().unwrap();
            waiting.copy_from(&frame(0, 60)).unwrap();
            near.send_one(waiting).unwrap();
            close(near);
        }
        close(far);
    });
}

#[test]
fn many_sockets_are_open_at_once() {
    in_namespace(|| {
        let mut pairs = Vec::new();
        for number in 0..8 {
            let [one, other] = ["a", "b"].map(|end| format!("{end}{number}"));
            add_pair(&one, &other, "");
            pairs.push([one, other].map(|end| small(&end).build().unwrap()));
        }
        for (number, [one, other]) in pairs.iter_mut().enumerate() {
            carry(one, other, &frames(50 + number, 90), 32);
            carry(other, one, &frames(50 + number, 90), 32);
        }
        for [one, other] in pairs {
            close(other);
            close(one);
        }
    });
}

#[test]
fn a_killed_program_leaves_nothing_behind() {
    in_namespace(|| {
        for _ in 0..3 {
            let mut command = example("ping_responder", "-i near -a 10.0.0.2");
            let mut program = Program::start(&mut command);
            program.wait_for("answering 10.0.0.2 on near queue 0");
            assert!(has_program("near"));
            program.signal(libc::SIGKILL);
            let (status, _) = program.finish();
            assert!(!status.success());
            wait_until("the program is off", || !has_program("near"));
        }
        let mut near = small("near").build().unwrap();
        let mut far = small("far").build().unwrap();
        carry(&mut far, &mut near, &frames(50, 60), 16);
        close(near);
        close(far);
    });
}
