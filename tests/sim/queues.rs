//! Many queues, and a group of engines over them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fluxcap::sim::{Network, Nic, NicConfig};
use fluxcap::{
    BatchRef, EngineGroup, ErrorKind, FanOut, FluxEngine, FluxError, Poller, QueueChange, Queues,
};

use super::tools::{assert_conserved, close, packet, small};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn nic(queues: u32) -> Nic {
    let config = NicConfig {
        queues,
        ..NicConfig::new("sim0")
    };
    Network::new().add(config).unwrap()
}

fn group(nic: &Nic) -> EngineGroup {
    EngineGroup::open(small(nic), ..).unwrap()
}

/// Callbacks that do nothing.
fn idle(_: usize) -> fn(&mut BatchRef<'_>) {
    |_| ()
}

/// Ends the group: no frame was lost, and all go home.
fn finish(group: EngineGroup) {
    for engine in group.into_engines() {
        for raw in engine.into_ports() {
            assert_eq!(raw.debug_rings().counted.user, 0);
            close(raw);
        }
    }
}

/// Waits for something; gives up in time.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn each_queue_gets_a_socket_with_a_umem_of_its_own_or_the_given_one() {
    let nic = nic(4);
    let sockets = small(&nic).build_queues(..).unwrap();
    assert_eq!(sockets.len(), 4);
    assert!(!sockets[0].umem().is_same(sockets[1].umem()));
    assert_eq!(sockets[3].link().info().unwrap().rx_queues, Some(4));
    let error = small(&nic).queue(2).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    // The link of a socket is good for another one.
    nic.set_queues(5).unwrap();
    let fifth = fluxcap::FluxBuilder::new(sockets[0].link()).queue(4);
    close(fifth.build().unwrap());
    sockets.into_iter().for_each(close);

    let first = small(&nic).frames(1024).build().unwrap();
    let others = small(&nic).umem(first.umem()).build_queues(1..4).unwrap();
    assert!(others.iter().all(|raw| raw.umem().is_same(first.umem())));
    let umem = first.umem().clone();
    drop((first, others));
    assert_eq!(umem.accounting().pool, umem.frame_count());
}

#[test]
fn if_one_queue_is_taken_nothing_is_left_behind() {
    let nic = nic(4);
    let third = small(&nic).queue(2).build().unwrap();
    let build = || small(&nic).bind_patience(Duration::ZERO).build_queues(..);
    assert_eq!(build().unwrap_err().kind(), ErrorKind::Busy);
    let others = small(&nic).build_queues([0, 1, 3]).unwrap();
    others.into_iter().for_each(close);
    close(third);
    build().unwrap().into_iter().for_each(close);
}

#[test]
fn bad_queues_and_groups_are_refused() {
    let nic = nic(4);
    let refused = |queues: Queues, part: &str| {
        let error = small(&nic).build_queues(queues.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(part), "{error}");
        let same = EngineGroup::open(small(&nic), queues).unwrap_err();
        assert_eq!(same, error);
    };
    refused([].into(), "there is none");
    refused([3, 1, 3].into(), "queue 3 is named twice");
    refused([0, 4].into(), "0 to 3");
    refused((2..5).into(), "0 to 3");
    let error = EngineGroup::new([]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let mut group = group(&nic);
    let error = group.set_watch(Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    finish(group);
}

#[test]
fn the_packets_of_each_queue_reach_its_engine_and_are_counted() {
    for poller in [Poller::Busy, Poller::Wait, Poller::default()] {
        let nic = nic(4);
        let _running = nic.network().run().unwrap();
        let mut group = group(&nic);
        group.set_poller(poller);
        let stopper = group.stopper();
        // Borrowed by the callbacks, and their own.
        let seen: Vec<AtomicU64> = (0..4).map(|_| AtomicU64::new(0)).collect();
        let mut names = vec![String::new(); 4];
        let mut places = names.iter_mut();
        let statistics = thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..100 {
                    for queue in 0..4 {
                        let count = 1 + queue as usize;
                        let packets = vec![packet(queue as usize, 60 + number); count];
                        assert_eq!(nic.inject_batch(queue, &packets).unwrap(), 1 + queue);
                    }
                    until("they arrived", || {
                        let total: u64 =
                            seen.iter().map(|count| count.load(Ordering::Relaxed)).sum();
                        total == 10 * (number as u64 + 1)
                    });
                }
                stopper.stop();
            });
            group.run_for(2 * LONG, |queue| {
                let (seen, name) = (&seen[queue], places.next().unwrap());
                move |batch| {
                    if name.is_empty() {
                        name.push_str(thread::current().name().unwrap());
                    }
                    batch.for_each(|packet| {
                        assert_eq!(packet.data()[0], queue as u8);
                        packet.send();
                    });
                    seen.fetch_add(batch.len() as u64, Ordering::Relaxed);
                }
            })
        });
        let statistics = statistics.unwrap();
        assert_eq!(names, [0, 1, 2, 3].map(|queue| format!("fluxcap-{queue}")));
        for (queue, engine) in statistics.engines.iter().enumerate() {
            let expected = 100 * (queue as u64 + 1);
            assert_eq!(
                (engine.total().received, engine.total().sent),
                (expected, expected)
            );
        }
        assert_eq!(statistics.total().sent, 1000);
        assert_eq!(statistics.queue_changes, []);
        let text = statistics.to_string();
        assert!(text.contains("engine 3: received 400, sent 400"), "{text}");
        assert!(text.contains("all: received 1000, sent 1000"), "{text}");
        // The engines are there still, and tell of all runs.
        let none = group.run_for(Duration::ZERO, idle);
        assert_eq!(none.unwrap().total().received, 0);
        assert_eq!(group.statistics().total().received, 1000);
        assert!(group.statistics().time >= statistics.time);
        finish(group);
    }
}

#[test]
fn engines_with_several_ports_run_side_by_side() {
    let network = Network::new();
    let add = |name: &str| {
        let config = NicConfig {
            queues: 2,
            ..NicConfig::new(name)
        };
        network.add(config).unwrap()
    };
    let (left, right) = (add("left"), add("right"));
    let forwarder = |queue| {
        let here = small(&left).queue(queue).build().unwrap();
        let there = small(&right).queue(queue).umem(here.umem());
        let there = there.build().unwrap();
        let mut engine = FluxEngine::new(here);
        engine.add_port(there).unwrap();
        engine
    };
    let mut group = EngineGroup::new([forwarder(0), forwarder(1)]).unwrap();
    let _running = network.run().unwrap();
    let stopper = group.stopper();
    let watcher = {
        let (left, right) = (left.clone(), right.clone());
        thread::spawn(move || {
            for queue in [0, 1] {
                left.inject(queue, &packet(queue as usize, 60)).unwrap();
            }
            let mut arrived = HashSet::new();
            until("both crossed", || {
                arrived.extend(right.take_sent());
                arrived.len() == 2
            });
            stopper.stop();
        })
    };
    let statistics = group
        .run(|_| {
            |batch| {
                let other = 1 - batch.port();
                batch.for_each(|packet| packet.send_to(other).unwrap());
            }
        })
        .unwrap();
    watcher.join().unwrap();
    for engine in &statistics.engines {
        assert_eq!((engine.ports[0].received, engine.ports[1].sent), (1, 1));
    }
    assert!(
        statistics
            .to_string()
            .contains("engine 1 port 1: received 0, sent 1")
    );
    for engine in group.into_engines() {
        let umem = engine.port(0).umem().clone();
        drop(engine);
        assert_eq!(umem.accounting().pool, umem.frame_count());
    }
}

#[test]
fn engines_share_a_queue_by_flow() {
    let nic = nic(1);
    let _running = nic.network().run().unwrap();
    let sockets = small(&nic).fan_out(FanOut {
        sockets: 3,
        symmetric: false,
    });
    let sockets = sockets.build_group().unwrap();
    let mut group = EngineGroup::new(sockets.into_iter().map(FluxEngine::new)).unwrap();
    let packets: Vec<_> = (0..60).map(|number| packet(number, 60)).collect();
    assert_eq!(nic.inject_batch(0, &packets).unwrap(), 60);
    let (seen, stopper) = (AtomicU64::new(0), group.stopper());
    let (seen, stopper) = (&seen, &stopper);
    let statistics = group.run_for(LONG, |_| {
        move |batch: &mut BatchRef<'_>| {
            let more = batch.len() as u64;
            if seen.fetch_add(more, Ordering::Relaxed) + more == 60 {
                stopper.stop();
            }
        }
    });
    assert_eq!(statistics.unwrap().total().received, 60);
    let umem = group.engines()[0].port(0).umem().clone();
    drop(group);
    assert_eq!(umem.accounting().pool, umem.frame_count());
}

#[test]
fn a_stop_before_the_run_ends_it_at_once_and_only_once() {
    let nic = nic(3);
    let _running = nic.network().run().unwrap();
    let mut group = group(&nic);
    let stopper = group.stopper();
    stopper.stop();
    stopper.stop();
    assert!(stopper.is_stopping());
    group.run(idle).unwrap();
    assert!(!stopper.is_stopping());
    let time = Duration::from_millis(50);
    let start = Instant::now();
    group.run_for(time, idle).unwrap();
    assert!(start.elapsed() >= time);
    finish(group);
    stopper.stop();
}

#[test]
fn the_stopper_of_one_engine_ends_all() {
    let nic = nic(3);
    let _running = nic.network().run().unwrap();
    let group = group(&nic);
    let mut engines = group.into_engines();
    let one = engines[1].stopper();
    let mut group = EngineGroup::new(engines.drain(..)).unwrap();
    let stopping = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        one.stop();
    });
    group.run(idle).unwrap();
    stopping.join().unwrap();
    // None of the stops among themselves is left for the next run.
    let time = Duration::from_millis(50);
    let start = Instant::now();
    group.run_for(time, idle).unwrap();
    assert!(start.elapsed() >= time);
    finish(group);
}

#[test]
fn runs_and_stops_at_any_moment_never_hang_and_never_lose_a_stop() {
    let nic = nic(3);
    let _running = nic.network().run().unwrap();
    let mut group = group(&nic);
    for round in 0..300 {
        let stopper = group.stopper();
        let stopping = thread::spawn(move || {
            for _ in 0..round * 50 {
                std::hint::spin_loop();
            }
            stopper.stop();
        });
        // Ends by the stop alone, be it before, in or after the start of its threads.
        group.run(idle).unwrap();
        stopping.join().unwrap();
        // At most the tail of that stop is left.
        while group.stopper().is_stopping() {
            group.run(idle).unwrap();
        }
    }
    finish(group);
}

/// A group over three queues, each with a packet, whose engine 1 ends as `end` says.
fn with_fault<O: fluxcap::engine::Outcome>(end: impl Fn(usize) -> O + Sync) -> FluxError {
    let nic = nic(3);
    let _running = nic.network().run().unwrap();
    let mut group = group(&nic);
    nic.inject(1, &packet(0, 60)).unwrap();
    let (start, end) = (Instant::now(), &end);
    let error = group
        .run(|number| {
            move |batch: &mut BatchRef<'_>| {
                batch.for_each(|packet| packet.send());
                end(number)
            }
        })
        .unwrap_err();
    assert!(start.elapsed() < LONG);
    for engine in group.engines() {
        assert_conserved(engine.port(0));
    }
    // All can run again, and do.
    let statistics = group.run_for(Duration::from_millis(20), idle).unwrap();
    assert!(statistics.time >= Duration::from_millis(20));
    finish(group);
    error
}

#[test]
fn an_error_in_one_engine_stops_all_and_names_it() {
    let error = with_fault(|number| Err::<(), _>(format!("table {number} is full")));
    assert_eq!(error.kind(), ErrorKind::Callback);
    let text = error.to_string();
    assert!(
        text.contains("table 1 is full") && text.contains("engine 1 of the group"),
        "{text}"
    );
}

#[test]
fn a_panic_in_one_engine_stops_all_and_is_an_error() {
    let error = with_fault(|number| {
        if number == 1 {
            panic!("one of three");
        }
    });
    assert_eq!(error.kind(), ErrorKind::Callback);
    assert_eq!(error.errno(), fluxcap::error::errno::ENOTRECOVERABLE);
    let text = error.to_string();
    assert!(
        text.contains("one of three") && text.contains("engine 1 of the group"),
        "{text}"
    );
}

#[test]
fn a_callback_that_panics_as_it_is_dropped_is_an_error() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("as it was dropped");
        }
    }
    let nic = nic(2);
    let _running = nic.network().run().unwrap();
    let mut group = group(&nic);
    let error = group
        .run_for(Duration::from_millis(1), |number| {
            let bomb = (number == 1).then(|| Bomb);
            move |_: &mut BatchRef<'_>| {
                let _ = &bomb;
            }
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Callback);
    let text = error.to_string();
    assert!(
        text.contains("as it was dropped") && text.contains("engine 1"),
        "{text}"
    );
    finish(group);
}

#[test]
fn a_stop_that_meets_an_error_is_kept_for_the_next_run() {
    let nic = nic(2);
    let _running = nic.network().run().unwrap();
    let mut group = group(&nic);
    nic.inject(0, &packet(0, 60)).unwrap();
    let stopper = group.stopper();
    let error = group.run(|_| {
        let stopper = stopper.clone();
        move |_: &mut BatchRef<'_>| {
            stopper.stop();
            Err("both at once")
        }
    });
    error.unwrap_err();
    assert!(stopper.is_stopping());
    group.run(idle).unwrap();
    assert!(!stopper.is_stopping());
    finish(group);
}

#[test]
fn an_interface_that_is_removed_ends_all() {
    let nic = nic(2);
    let network = nic.network();
    let _running = network.run().unwrap();
    let other = network.nic("sim1").unwrap();
    let mut engines = group(&nic).into_engines();
    engines.push(FluxEngine::new(small(&other).build().unwrap()));
    let mut group = EngineGroup::new(engines).unwrap();
    let removing = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        other.remove();
    });
    let error = group.run(idle).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
    assert!(
        error.to_string().contains("engine 2 of the group"),
        "{error}"
    );
    removing.join().unwrap();
    drop(group);
}

#[test]
fn a_change_of_the_number_of_queues_is_told_once_while_they_run() {
    let nic = nic(2);
    let _running = nic.network().run().unwrap();
    let mut group = group(&nic);
    nic.set_queues(1).unwrap_err();
    group.set_watch(Duration::from_millis(1)).unwrap();
    let told = Arc::new(Mutex::new(Vec::<QueueChange>::new()));
    let (changes, stopper) = (Arc::clone(&told), group.stopper());
    group.on_queue_change(move |change| {
        let mut changes = changes.lock().unwrap();
        changes.push(change.clone());
        if changes.len() == 3 {
            stopper.stop();
        }
    });
    let changing = {
        let (nic, told) = (nic.clone(), Arc::clone(&told));
        thread::spawn(move || {
            for (number, queues) in [8, 2, 3].into_iter().enumerate() {
                nic.set_queues(queues).unwrap();
                until("the change is told", || told.lock().unwrap().len() > number);
            }
        })
    };
    let statistics = group.run(idle).unwrap();
    changing.join().unwrap();
    let pairs: Vec<_> = statistics
        .queue_changes
        .iter()
        .map(|change| (change.interface.as_str(), change.before, change.now))
        .collect();
    assert_eq!(pairs, [("sim0", 2, 8), ("sim0", 8, 2), ("sim0", 2, 3)]);
    assert_eq!(*told.lock().unwrap(), statistics.queue_changes);
    let text = statistics.to_string();
    assert!(text.contains("queues 2 to 7 go to the kernel"), "{text}");
    assert!(text.contains("nothing arrives at queues 2 to 7"), "{text}");
    finish(group);
}

#[test]
fn a_change_before_or_just_before_the_end_of_a_run_is_told_in_it() {
    let nic = nic(2);
    let _running = nic.network().run().unwrap();
    let mut group = group(&nic);
    group.set_watch(Duration::MAX).unwrap();
    nic.set_queues(3).unwrap();
    let run = |group: &mut EngineGroup| {
        let quick = Duration::from_millis(5);
        group.run_for(quick, idle).unwrap()
    };
    assert_eq!(run(&mut group).queue_changes.len(), 1);
    assert_eq!(run(&mut group).queue_changes, []);
    // The packet waits until there are engines to take it.
    nic.inject(0, &packet(0, 60)).unwrap();
    let stopper = group.stopper();
    let statistics = group.run(|_| {
        let (nic, stopper) = (nic.clone(), stopper.clone());
        move |_: &mut BatchRef<'_>| {
            nic.set_queues(4).unwrap();
            stopper.stop();
        }
    });
    assert_eq!(statistics.unwrap().queue_changes.len(), 1);
    assert_eq!(group.statistics().queue_changes.len(), 2);
    finish(group);
}

#[test]
fn a_hook_that_panics_ends_all_engines_and_goes_on_to_the_caller() {
    let nic = nic(2);
    let _running = nic.network().run().unwrap();
    let mut group = group(&nic);
    nic.set_queues(3).unwrap();
    group.on_queue_change(|_| panic!("in the hook"));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| group.run(idle)));
    assert_eq!(
        *caught.unwrap_err().downcast::<&str>().unwrap(),
        "in the hook"
    );
    let time = Duration::from_millis(20);
    let statistics = group.run_for(time, idle).unwrap();
    assert!(statistics.time >= time);
    finish(group);
}

#[test]
fn the_group_ends_with_its_engines_and_does_not_wait_for_the_next_look() {
    let nic = nic(2);
    let _running = nic.network().run().unwrap();
    let mut group = group(&nic);
    group.set_watch(LONG).unwrap();
    let start = Instant::now();
    let quick = Duration::from_millis(5);
    group.run_for(quick, idle).unwrap();
    assert!(start.elapsed() < LONG / 4);
    finish(group);
}

#[test]
fn all_engines_run_at_the_same_time() {
    let nic = nic(4);
    let _running = nic.network().run().unwrap();
    let mut group = group(&nic);
    for queue in 0..4 {
        nic.inject(queue, &packet(0, 60)).unwrap();
    }
    // Nobody passes before all are here.
    let (barrier, stopper) = (Barrier::new(4), group.stopper());
    let (barrier, stopper) = (&barrier, &stopper);
    let statistics = group.run(|_| {
        move |_: &mut BatchRef<'_>| {
            barrier.wait();
            stopper.stop();
        }
    });
    assert_eq!(statistics.unwrap().total().received, 4);
    finish(group);
}

#[cfg(target_os = "linux")]
#[test]
fn each_thread_is_pinned_to_its_cpu() {
    let nic = nic(2);
    let _running = nic.network().run().unwrap();
    let mut group = group(&nic);
    let allowed = fluxcap::poller::cpus().unwrap();
    let pins = [allowed[allowed.len() - 1], allowed[0]];
    group.pin(&pins).unwrap();
    assert_eq!(
        fluxcap::poller::cpus().unwrap(),
        allowed,
        "the caller stays where it was"
    );
    for queue in 0..2 {
        nic.inject(queue, &packet(0, 60)).unwrap();
    }
    let seen = Mutex::new([Vec::new(), Vec::new()]);
    let run = |group: &mut EngineGroup| {
        let stopper = group.stopper();
        let (seen, stopper) = (&seen, &stopper);
        let run = group.run(|number| {
            move |_: &mut BatchRef<'_>| {
                let mut seen = seen.lock().unwrap();
                seen[number] = fluxcap::poller::cpus().unwrap();
                if seen.iter().all(|cpus| !cpus.is_empty()) {
                    stopper.stop();
                }
            }
        });
        run.unwrap();
        std::mem::take(&mut *seen.lock().unwrap())
    };
    assert_eq!(run(&mut group), pins.map(|cpu| vec![cpu]));
    group.pin(&[]).unwrap();
    for queue in 0..2 {
        nic.inject(queue, &packet(0, 60)).unwrap();
    }
    assert_eq!(run(&mut group), [allowed.clone(), allowed]);
    finish(group);
}

#[cfg(target_os = "linux")]
#[test]
fn cpus_that_do_not_exist_or_are_not_as_many_as_engines_are_refused() {
    let nic = nic(2);
    let mut group = group(&nic);
    let allowed = fluxcap::poller::cpus().unwrap();
    let error = group.pin(&[allowed[0], 1_000_000]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(
        text.contains("CPU 1000000") && text.contains("use one of"),
        "{text}"
    );
    let error = group.pin(&[allowed[0]]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error
            .to_string()
            .contains("pin 2 engines to CPUs: 1 are named"),
        "{error}"
    );
    finish(group);
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_handler_stops_a_group() {
    let nic = nic(3);
    let _running = nic.network().run().unwrap();
    for poller in [Poller::Busy, Poller::Wait] {
        let mut group = group(&nic);
        group.set_poller(poller);
        let (stopper, handled) = (
            group.stopper(),
            Arc::new(std::sync::atomic::AtomicBool::new(false)),
        );
        let called = Arc::clone(&handled);
        // SAFETY: the handler stores to atomics and writes to descriptors.
        let id = unsafe {
            signal_hook::low_level::register(signal_hook::consts::SIGUSR2, move || {
                called.store(true, Ordering::Release);
                stopper.stop();
            })
        };
        let raise =
            || signal_hook::low_level::raise(signal_hook::consts::SIGUSR2).expect("it is handled");
        let sending = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            raise();
        });
        group.run(idle).unwrap();
        sending.join().unwrap();
        assert!(handled.swap(false, Ordering::AcqRel));
        // On the thread of an engine.
        nic.inject(1, &packet(0, 60)).unwrap();
        group.run(|_| move |_: &mut BatchRef<'_>| raise()).unwrap();
        assert!(handled.load(Ordering::Acquire));
        signal_hook::low_level::unregister(id.unwrap());
        finish(group);
    }
}
