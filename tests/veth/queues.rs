//! Several queues of one interface, with an engine for each.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fluxcap::{BatchRef, EngineGroup, ErrorKind, GroupStatistics, Poller, QueueChange, poller};

use super::net::{add_pair, has_program, in_namespace, ip, wait_until};
use super::traffic::{PATIENCE, assert_all_home, close, frame, frames, receive, send, small};

/// Runs `ethtool`; whether it succeeded, or `None` where there is none.
fn ethtool(words: &str) -> Option<bool> {
    let mut command = Command::new("ethtool");
    let output = command.args(words.split_whitespace()).output().ok()?;
    Some(output.status.success())
}

fn four_queues() {
    add_pair("four", "fore", "numrxqueues 4 numtxqueues 4");
}

fn idle(_: usize) -> fn(&mut BatchRef<'_>) {
    |_| ()
}

/// Ends the group: all frames go home, and the program goes with the last socket.
fn finish(group: EngineGroup) {
    for engine in group.into_engines() {
        assert!(has_program("four"));
        engine.into_ports().into_iter().for_each(close);
    }
    assert!(!has_program("four"));
}

#[test]
fn an_engine_for_each_queue_sends_back_what_arrives_there() {
    in_namespace(|| {
        four_queues();
        let mut group = EngineGroup::open(small("four"), ..).unwrap();
        assert_eq!(group.engines().len(), 4);
        let allowed = poller::cpus().unwrap();
        let pins: Vec<u32> = allowed.iter().copied().cycle().take(4).collect();
        group.pin(&pins).unwrap();
        group.set_poller(Poller::Wait);
        let mut peers = small("fore").build_queues(..).unwrap();
        let stopper = group.stopper();
        let statistics = thread::scope(|scope| {
            let running = scope.spawn(|| {
                group.run_for(PATIENCE, |queue| {
                    let pinned = pins[queue];
                    move |batch: &mut BatchRef<'_>| {
                        assert_eq!(poller::cpus().unwrap(), [pinned]);
                        batch.for_each(|packet| packet.send());
                    }
                })
            });
            for round in 0..20 {
                for (queue, peer) in peers.iter_mut().enumerate() {
                    let sent = frames(10, 60 + 4 * round + queue);
                    assert_eq!(send(peer, &sent), 10);
                    for (number, packet) in receive(peer, 10).iter().enumerate() {
                        assert_eq!(packet.data(), sent[number]);
                    }
                }
            }
            stopper.stop();
            running.join().unwrap().unwrap()
        });
        for engine in &statistics.engines {
            let total = engine.total();
            assert_eq!((total.received, total.sent), (200, 200), "{statistics}");
        }
        peers.into_iter().for_each(close);
        finish(group);
    });
}

#[test]
fn some_queues_have_engines_and_the_others_stay_the_kernels() {
    in_namespace(|| {
        four_queues();
        let mut group = EngineGroup::open(small("four"), [3, 1]).unwrap();
        let mut peers = small("fore").load_xdp(false).build_queues(0..4).unwrap();
        for (queue, peer) in peers.iter_mut().enumerate() {
            send(peer, &frames(queue + 1, 60));
            peer.flush(Duration::from_secs(5)).unwrap();
        }
        let (seen, stopper) = (AtomicU64::new(0), group.stopper());
        let (seen, stopper) = (&seen, &stopper);
        let statistics = group.run_for(PATIENCE, |_| {
            move |batch: &mut BatchRef<'_>| {
                let more = batch.len() as u64;
                if seen.fetch_add(more, Ordering::Relaxed) + more == 6 {
                    stopper.stop();
                }
            }
        });
        let statistics = statistics.unwrap();
        let received: Vec<u64> = statistics
            .engines
            .iter()
            .map(|engine| engine.total().received)
            .collect();
        assert_eq!(received, [4, 2]);
        let counters = group.engines()[0].port(0).program_counters();
        let counters = counters.unwrap().unwrap();
        assert_eq!((counters.redirect, counters.pass), (6, 4));
        peers.into_iter().for_each(close);
        finish(group);
    });
}

#[test]
fn queues_on_one_given_umem_lose_no_frame() {
    in_namespace(|| {
        four_queues();
        let first = small("fore").frames(1024).build().unwrap();
        let umem = first.umem().clone();
        let sockets = small("four").umem(&umem).build_queues(..).unwrap();
        assert!(sockets.iter().all(|raw| raw.umem().is_same(&umem)));
        drop((sockets, first));
        assert_all_home(&umem);
    });
}

#[test]
fn a_queue_that_is_taken_or_not_there_leaves_nothing_behind() {
    in_namespace(|| {
        four_queues();
        let taken = small("four").queue(2).build().unwrap();
        let build = || small("four").bind_patience(Duration::ZERO).build_queues(..);
        let error = build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        let rest = small("four").build_queues([0, 1, 3]).unwrap();
        rest.into_iter().for_each(close);
        close(taken);
        assert!(!has_program("four"));
        let error = small("four").build_queues([0, 4]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("0 to 3"), "{error}");
        assert!(!has_program("four"));
    });
}

/// Runs a group over the four queues, does something with the interface meanwhile, and stops.
fn run_during(group: &mut EngineGroup, work: impl FnOnce() + Send) -> GroupStatistics {
    let stopper = group.stopper();
    thread::scope(|scope| {
        // Not without an end, or a failure in `work` would wait for it.
        let running = scope.spawn(|| group.run_for(PATIENCE, idle));
        work();
        stopper.stop();
        running.join().unwrap().unwrap()
    })
}

/// Linux 6.18 lets queues come and go while sockets are bound to others. A queue with a socket stays: "requested channel counts are
/// too low for existing zerocopy AF_XDP sockets", it says (`ethnl_set_channels`), and means those in copy mode, too.
#[test]
fn a_change_of_the_number_of_queues_is_told_while_engines_run() {
    in_namespace(|| {
        four_queues();
        if ethtool("-L four rx 2 tx 2") != Some(true) {
            println!("skipped: needs ethtool, and a veth whose queues can be changed (Linux 5.13)");
            return;
        }
        ethtool("-L fore rx 2 tx 2").unwrap();
        let mut group = EngineGroup::open(small("four"), ..).unwrap();
        assert_eq!(group.engines().len(), 2);
        group.set_watch(Duration::from_millis(5)).unwrap();
        let told = Arc::new(Mutex::new(Vec::<QueueChange>::new()));
        let changes = Arc::clone(&told);
        group.on_queue_change(move |change| changes.lock().unwrap().push(change.clone()));
        let statistics = run_during(&mut group, || {
            assert_eq!(ethtool("-L four rx 4 tx 2"), Some(true), "more queues");
            wait_until("the change is told", || told.lock().unwrap().len() == 1);
            assert_eq!(ethtool("-L four rx 2 tx 2"), Some(true), "fewer queues");
            wait_until("the change is told", || told.lock().unwrap().len() == 2);
            assert_eq!(ethtool("-L four rx 1 tx 1"), Some(false), "a bound queue");
        });
        let numbers: Vec<_> = statistics
            .queue_changes
            .iter()
            .map(|change| (&*change.interface, change.before, change.now))
            .collect();
        assert_eq!(numbers, [("four", 2, 4), ("four", 4, 2)]);
        println!("{statistics}");
        finish(group);
    });
}

#[test]
fn the_number_of_queues_is_watched_under_a_new_name_and_from_another_namespace() {
    in_namespace(|| {
        four_queues();
        if ethtool("-L fore rx 4 tx 2") != Some(true) {
            println!("skipped: needs ethtool, and a veth whose queues can be changed (Linux 5.13)");
            return;
        }
        let mut group = EngineGroup::open(small("four"), 0..2).unwrap();
        ip("link set four down");
        ip("link set four name vier");
        ip("link set vier up");
        ethtool("-L vier rx 3 tx 4").unwrap();
        let statistics = thread::spawn(move || {
            // SAFETY: concerns only this thread.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
            let statistics = group.run_for(Duration::from_millis(5), idle).unwrap();
            for engine in group.into_engines() {
                engine.into_ports().into_iter().for_each(close);
            }
            statistics
        });
        let statistics = statistics.join().unwrap();
        let [change] = &statistics.queue_changes[..] else {
            panic!("{statistics}");
        };
        assert_eq!((change.before, change.now), (4, 3));
    });
}

#[test]
fn a_signal_handler_stops_engines_that_sleep_and_engines_that_spin() {
    in_namespace(|| {
        four_queues();
        for poller in [Poller::Wait, Poller::Busy] {
            let mut group = EngineGroup::open(small("four"), ..).unwrap();
            group.set_poller(poller);
            let (stopper, handled) = (group.stopper(), Arc::new(AtomicBool::new(false)));
            let called = Arc::clone(&handled);
            let handler = move || {
                called.store(true, Ordering::Release);
                stopper.stop();
            };
            // SAFETY: the handler stores to atomics and writes to descriptors.
            let id = unsafe { signal_hook::low_level::register(libc::SIGUSR2, handler) };
            let start = Instant::now();
            // SAFETY: takes nothing.
            let caller = unsafe { libc::pthread_self() };
            let sending = thread::spawn(move || {
                thread::sleep(Duration::from_millis(50));
                // SAFETY: the thread waits for this one.
                assert_eq!(unsafe { libc::pthread_kill(caller, libc::SIGUSR2) }, 0);
            });
            group.run(idle).unwrap();
            assert!(handled.load(Ordering::Acquire));
            assert!(start.elapsed() < Duration::from_secs(10));
            sending.join().unwrap();
            signal_hook::low_level::unregister(id.unwrap());
            finish(group);
        }
    });
}

#[test]
fn an_interface_that_is_removed_ends_the_group() {
    in_namespace(|| {
        four_queues();
        let mut group = EngineGroup::open(small("four"), ..).unwrap();
        let mut peer = small("fore").build().unwrap();
        send(&mut peer, &[frame(0, 60)]);
        let error = thread::scope(|scope| {
            let running = scope.spawn(|| group.run_for(PATIENCE, idle));
            thread::sleep(Duration::from_millis(50));
            // The namespace belongs to this thread.
            ip("link del four");
            running.join().unwrap().unwrap_err()
        });
        assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
        assert!(error.to_string().contains("of the group"), "{error}");
        for engine in group.into_engines() {
            let umem = engine.port(0).umem().clone();
            drop(engine);
            assert_all_home(&umem);
        }
        drop(peer);
    });
}
