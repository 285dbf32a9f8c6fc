//! What ends a wait on a simulated link, what a call tells that does not wait, and which frames a socket has that only sends.

#[cfg(target_os = "linux")]
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fluxcap::sim::{Faults, Network, Nic, NicConfig, Running};
use fluxcap::{
    ErrorKind, FluxBuilder, FluxEngine, FluxRaw, FluxRx, FluxTx, Interest, Packet, PacketBatch,
    Poller, Stopper,
};
#[cfg(target_os = "linux")]
use signal_hook::{consts::SIGUSR1, low_level};

use super::tools::{close, packet, put, small};

/// How long a wait for room sleeps at a time.
const SLICE: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(3600);

fn socket() -> (Network, Nic, FluxRaw) {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let raw = small(&nic).build().unwrap();
    (network, nic, raw)
}

fn halves() -> (Network, Nic, FluxRx, FluxTx) {
    let (network, nic, raw) = socket();
    let (rx, tx) = raw.split();
    (network, nic, rx, tx)
}

/// Packets that hardly ever come back, since their completions are late by up to a minute.
fn stall(network: &Network) {
    let stalled = Faults {
        stalled_completion: 1_000_000,
        max_delay: Duration::from_secs(60),
        ..Faults::default()
    };
    network.set_faults(stalled).unwrap();
}

/// Sends packets until the TX ring is full.
fn fill_up(tx: &mut FluxTx) {
    while let Some(mut fresh) = tx.alloc() {
        fresh.copy_from(&packet(0, 60)).unwrap();
        if tx.send_one(fresh).is_err() {
            return;
        }
    }
}

#[test]
fn every_call_that_finds_nothing_tells_that_the_nic_was_removed() {
    let (_network, nic, mut raw) = socket();
    raw.check().unwrap();
    nic.remove();
    for error in [
        raw.check(),
        raw.wake_rx(),
        raw.wake_tx(),
        raw.spin(),
        raw.wait_rx(Some(Duration::ZERO)).map(drop),
        raw.flush(Duration::ZERO).map(drop),
    ] {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Gone);
    }

    let (_network, nic, mut rx, mut tx) = halves();
    let mut batch = PacketBatch::with_capacity(8);
    assert_eq!(rx.recv_timeout(&mut batch, Duration::ZERO).unwrap(), 0);
    tx.kick().unwrap();
    nic.remove();
    for error in [
        rx.check(),
        rx.recv_timeout(&mut batch, Duration::ZERO).map(drop),
        rx.recv_one_timeout(Duration::ZERO).map(drop),
        rx.wait(Some(Duration::ZERO)).map(drop),
        tx.kick(),
        tx.send(&mut batch).map(drop),
        tx.wait(Some(Duration::ZERO)).map(drop),
        tx.flush(Duration::ZERO).map(drop),
    ] {
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.errno()), (ErrorKind::Gone, 19));
    }

    let (_network, nic, raw) = socket();
    let mut engine = FluxEngine::new(raw);
    assert_eq!(engine.run_once(|_| ()).unwrap(), 0);
    nic.remove();
    let error = engine.run_once(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
}

#[test]
fn what_had_arrived_when_the_nic_was_removed_is_still_received() {
    let (network, nic, mut rx, tx) = halves();
    nic.inject(0, &packet(1, 60)).unwrap();
    network.settle();
    nic.remove();
    let mut batch = PacketBatch::with_capacity(8);
    assert_eq!(rx.recv_timeout(&mut batch, Duration::ZERO).unwrap(), 1);
    assert!(rx.recv_timeout(&mut batch, Duration::ZERO).is_err());
    drop((rx, tx));
}

/// A stop before the wait ends it, and one wait alone; so does a stop from another thread while it sleeps.
fn assert_stops<T>(
    what: &str,
    waits: &mut T,
    stopper: &Stopper,
    wait: impl Fn(&mut T, Duration) -> fluxcap::Result<bool>,
) {
    stopper.stop();
    stopper.stop();
    assert!(stopper.is_stopping());
    // No time is no wait: it leaves the stop to the next.
    assert!(!wait(waits, Duration::ZERO).unwrap(), "{what}");
    let stopped = wait(waits, LONG).unwrap_err();
    assert_eq!(
        (stopped.kind(), stopped.errno()),
        (ErrorKind::Stopped, 125),
        "{what}"
    );
    assert!(!stopper.is_stopping());
    assert!(!wait(waits, Duration::from_millis(1)).unwrap(), "{what}");
    for _ in 0..20 {
        let other = stopper.clone();
        let thread = thread::spawn(move || other.stop());
        let stopped = wait(waits, LONG).unwrap_err();
        assert_eq!(stopped.kind(), ErrorKind::Stopped, "{what}");
        thread.join().unwrap();
    }
}

#[test]
fn a_stopper_ends_each_wait_once_and_is_not_forgotten_before_it() {
    let (network, _nic, mut raw) = socket();
    let running = network.run().unwrap();
    let stopper = raw.stopper();
    for interest in [Interest::Receive, Interest::Both] {
        // To send there is room at once.
        if interest == Interest::Receive {
            assert_stops("wait", &mut raw, &stopper, |raw, time| {
                raw.wait(interest, Some(time)).map(|ready| ready.receive)
            });
        }
    }
    assert_stops("wait_rx", &mut raw, &stopper, |raw, time| {
        raw.wait_rx(Some(time))
    });
    let (mut rx, mut tx) = raw.split();
    assert!(
        rx.recv_one_timeout(Duration::from_millis(1))
            .unwrap()
            .is_none()
    );
    let stopper = rx.stopper();
    assert_stops("recv", &mut rx, &stopper, |rx, time| {
        let mut batch = PacketBatch::with_capacity(8);
        rx.recv_timeout(&mut batch, time).map(|count| count > 0)
    });
    assert_stops("recv_one", &mut rx, &stopper, |rx, time| {
        rx.recv_one_timeout(time).map(|packet| packet.is_some())
    });
    assert_stops("wait of rx", &mut rx, &stopper, |rx, time| {
        rx.wait(Some(time))
    });
    stall(&network);
    tx.set_patience(Duration::MAX);
    let stopper = tx.stopper();
    assert_stops("wait of tx", &mut tx, &stopper, |tx, time| {
        fill_up(tx);
        tx.wait(Some(time))
    });
    assert_stops("flush of tx", &mut tx, &stopper, |tx, time| tx.flush(time));
    drop::<Running>(running);
    drop((rx, tx));
}

#[test]
fn a_stop_ends_a_flush_of_a_whole_socket() {
    let (network, _nic, mut raw) = socket();
    stall(&network);
    assert_eq!(put(&mut raw, (0..32).map(|number| packet(number, 60))), 32);
    let _running = network.run().unwrap();
    let stopper = raw.stopper();
    assert_stops("flush", &mut raw, &stopper, |raw, time| raw.flush(time));
}

/// A stop by a signal handler, on another thread or on the one that waits, ends the wait.
#[cfg(target_os = "linux")]
fn assert_handler_stops<T>(
    what: &str,
    waits: &mut T,
    stopper: Stopper,
    wait: impl Fn(&mut T) -> fluxcap::Result<bool>,
) {
    // SAFETY: a stop is async-signal-safe.
    let handler = unsafe { low_level::register(SIGUSR1, move || stopper.stop()) }.unwrap();
    // SAFETY: it takes nothing and returns a number.
    let waiting = unsafe { libc::gettid() };
    for millis in [0, 1, 5, 20] {
        for on_this_thread in [false, true] {
            let thread = thread::spawn(move || {
                thread::sleep(Duration::from_millis(millis));
                // SAFETY: these take nothing, or numbers. The thread that waits ends after this one.
                let sent = unsafe {
                    let thread = if on_this_thread {
                        waiting
                    } else {
                        libc::gettid()
                    };
                    libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, SIGUSR1)
                };
                assert_eq!(sent, 0);
            });
            let stopped = wait(waits).unwrap_err();
            assert_eq!(stopped.kind(), ErrorKind::Stopped, "{what}: {stopped}");
            thread.join().unwrap();
        }
    }
    assert!(low_level::unregister(handler));
}

/// All in one test, since a signal is for the whole process.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_handler_may_stop_every_wait() {
    let (network, _nic, mut raw) = socket();
    stall(&network);
    let _running = network.run().unwrap();
    let stopper = raw.stopper();
    assert_handler_stops("wait", &mut raw, stopper.clone(), |raw| {
        raw.wait(Interest::Receive, None).map(|ready| ready.receive)
    });
    assert_handler_stops("wait_rx", &mut raw, stopper.clone(), |raw| {
        raw.wait_rx(None)
    });
    assert_eq!(put(&mut raw, (0..32).map(|number| packet(number, 60))), 32);
    assert_handler_stops("flush", &mut raw, stopper, |raw| raw.flush(LONG));

    let (mut rx, mut tx) = raw.split();
    for poller in [Poller::Busy, Poller::Wait, Poller::default()] {
        rx.set_poller(poller);
        let stopper = rx.stopper();
        assert_handler_stops("recv", &mut rx, stopper.clone(), |rx| {
            rx.recv(&mut PacketBatch::with_capacity(8))
                .map(|count| count > 0)
        });
        assert_handler_stops("recv_one", &mut rx, stopper.clone(), |rx| {
            rx.recv_one().map(|packet| packet.is_some())
        });
        assert_handler_stops("wait of rx", &mut rx, stopper, |rx| rx.wait(None));
    }
    tx.set_patience(Duration::MAX);
    let stopper = tx.stopper();
    assert_handler_stops("wait of tx", &mut tx, stopper.clone(), |tx| {
        // A few completions are early.
        loop {
            fill_up(tx);
            tx.wait(None)?;
        }
    });
    assert_handler_stops("flush of tx", &mut tx, stopper, |tx| tx.flush(LONG));
    drop((rx, tx));
}

#[test]
fn packets_that_are_there_do_not_hide_a_stop() {
    let (network, nic, mut rx, tx) = halves();
    nic.inject(0, &packet(1, 60)).unwrap();
    network.settle();
    rx.stopper().stop();
    assert_eq!(rx.recv_one().unwrap_err().kind(), ErrorKind::Stopped);
    assert_eq!(rx.recv_one().unwrap().unwrap().data(), packet(1, 60));
    drop((rx, tx));
}

#[test]
fn a_flush_in_vain_takes_its_time_on_the_clock_of_the_network() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let mut raw = FluxBuilder::new(&nic).build().unwrap();
    stall(&network);
    let count = put(&mut raw, (0..2048).map(|number| packet(number, 60)));
    assert_eq!(count, 2048);
    assert!(!raw.flush(Duration::from_secs(1)).unwrap());
    assert_eq!(network.now(), Duration::from_secs(1));
}

/// A socket whose TX ring is full, and whose completion ring is too small for what must leave until there is room, on a NIC of which so many
/// packets leave.
fn crowded(leave: u32) -> (Network, FluxRaw) {
    let network = Network::new();
    let config = NicConfig {
        keep: leave,
        ..NicConfig::new("sim0")
    };
    let nic = network.add(config).unwrap();
    let mut raw = small(&nic).completion_size(16).build().unwrap();
    assert_eq!(put(&mut raw, (0..65).map(|number| packet(number, 60))), 64);
    (network, raw)
}

#[test]
fn a_wait_for_room_takes_sent_frames_back_meanwhile() {
    let (_network, mut raw) = crowded(64);
    assert!(raw.wait(Interest::Send, Some(LONG)).unwrap().send);
    assert!(raw.flush(LONG).unwrap());
    close(raw);

    let (_network, raw) = crowded(64);
    let (rx, mut tx) = raw.split();
    assert!(tx.wait(Some(LONG)).unwrap());
    drop((rx, tx));
}

#[test]
fn a_wait_for_room_takes_its_time_where_nothing_moves_and_one_without_end_comes_back() {
    let (network, mut raw) = crowded(1);
    assert!(!raw.wait(Interest::Send, None).unwrap().send);
    assert_eq!(network.now(), SLICE);
    assert!(!raw.wait(Interest::Send, Some(5 * SLICE)).unwrap().send);
    // It goes by the clock outside, too, if more time passes there.
    let waited = network.now() - SLICE;
    assert!((SLICE..=5 * SLICE).contains(&waited), "{waited:?}");

    let (rx, mut tx) = raw.split();
    fill_up(&mut tx);
    let before = network.now();
    assert!(!tx.wait(None).unwrap());
    assert_eq!(network.now(), before + SLICE);
    assert!(!tx.wait(Some(5 * SLICE)).unwrap());
    assert_eq!(network.now(), before + 6 * SLICE);
    drop((rx, tx));
}

/// All frames of a half are held, and the fill ring is empty.
fn held(rx: &mut FluxRx, nic: &Nic, network: &Network) -> Vec<Packet> {
    let mut held = Vec::new();
    loop {
        nic.inject(0, &packet(held.len(), 60)).unwrap();
        network.settle();
        match rx.try_recv_one() {
            Some(packet) => held.push(packet),
            None => return held,
        }
    }
}

#[test]
fn a_wait_goes_on_to_look_for_frames_that_come_home() {
    // Step by step, where nothing moves by itself: it ends.
    let (network, nic, mut rx, tx) = halves();
    let packets = held(&mut rx, &nic, &network);
    assert!(rx.recv_one().unwrap().is_none());
    drop(packets);
    drop((rx, tx));
    // With a thread, frames come home while it sleeps.
    for whole in [false, true] {
        let (network, nic, mut raw) = socket();
        let mut batch = PacketBatch::with_capacity(256);
        loop {
            nic.inject(0, &packet(0, 60)).unwrap();
            network.settle();
            if raw.receive(&mut batch) == 0 {
                break;
            }
        }
        let _running = network.run().unwrap();
        let received = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                drop(batch);
                // Those that come before the frames are in the fill ring are lost.
                while !received.load(Ordering::Relaxed) {
                    let _ = nic.inject(0, &packet(7, 60));
                    thread::sleep(Duration::from_millis(1));
                }
            });
            if whole {
                assert!(raw.wait_rx(None).unwrap());
            } else {
                let (mut rx, _tx) = raw.split();
                assert!(rx.recv_one().unwrap().is_some());
            }
            received.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_socket_that_only_sends_has_nearly_all_frames_to_send() {
    let network = Network::new();
    for (frames, expected) in [(1, 1), (2, 1), (8, 7), (64, 56), (512, 448), (4096, 4032)] {
        let nic = network.nic(&format!("sim{frames}")).unwrap();
        let mut raw = FluxBuilder::new(&nic)
            .frames(frames)
            .send_only()
            .build()
            .unwrap();
        let mut batch = PacketBatch::with_capacity(frames as usize);
        // Many times, since frames that were sent must not stay in the fill ring.
        for _ in 0..3 {
            assert_eq!(raw.alloc_batch(&mut batch), expected, "of {frames}");
            for (number, fresh) in batch.iter_mut().enumerate() {
                fresh.copy_from(&packet(number, 60)).unwrap();
            }
            while !batch.is_empty() {
                raw.send(&mut batch).unwrap();
                assert!(raw.flush(LONG).unwrap());
                raw.refill();
            }
        }
        assert_eq!(nic.counters().tx_packets, 3 * u64::from(expected));
        close(raw);
    }
}

#[test]
fn a_socket_that_only_sends_has_no_notes_and_lends_an_eighth_of_its_frames_to_the_fill_ring() {
    let network = Network::new();
    let config = NicConfig {
        queues: 4,
        ..NicConfig::new("sim0")
    };
    let nic = network.add(config).unwrap();
    let builder = || FluxBuilder::new(&nic).frames(256);
    let receiving = builder().build().unwrap();
    let notes = receiving.report().notes.clone();
    assert!(notes[0].contains("packets of queues 1, 2, 3"), "{notes:?}");
    assert!(receiving.report().to_string().contains("note: "));
    assert_eq!(receiving.debug_rings().fill.occupied, 128);
    close(receiving);
    for (builder, lent) in [
        (builder().send_only(), 32),
        (builder().send_only().frames(1024), 64),
        (builder().load_xdp(false), 128),
    ] {
        let sending = builder.build().unwrap();
        let report = sending.report();
        assert_eq!(report.notes, [""; 0]);
        assert!(!report.to_string().contains("note"), "{report}");
        let rings = sending.debug_rings();
        assert_eq!((rings.fill.occupied, rings.ledger.kernel), (lent, lent));
        close(sending);
    }
}

/// Each call that waits, on a network that runs, while its NIC is removed.
#[test]
fn every_wait_ends_when_the_nic_is_removed() {
    type Wait = fn(FluxRaw) -> fluxcap::Result<()>;
    let waits: [(&str, Wait); 8] = [
        ("wait", |mut raw| {
            raw.wait(Interest::Receive, None).map(drop)
        }),
        ("wait_rx", |mut raw| raw.wait_rx(None).map(drop)),
        ("flush", |mut raw| {
            put(&mut raw, (0..32).map(|number| packet(number, 60)));
            raw.flush(LONG).map(drop)
        }),
        ("recv", |raw| {
            let (mut rx, _tx) = raw.split();
            rx.recv(&mut PacketBatch::with_capacity(8)).map(drop)
        }),
        ("wait of rx", |raw| raw.split().0.wait(None).map(drop)),
        ("wait of tx", |raw| {
            let (_rx, mut tx) = raw.split();
            tx.set_patience(Duration::MAX);
            loop {
                fill_up(&mut tx);
                tx.wait(None)?;
            }
        }),
        ("flush of tx", |raw| {
            let (_rx, mut tx) = raw.split();
            tx.set_patience(Duration::MAX);
            fill_up(&mut tx);
            tx.flush(LONG).map(drop)
        }),
        ("run", |raw| FluxEngine::new(raw).run(|_| ()).map(drop)),
    ];
    for (what, wait) in waits {
        let (network, nic, raw) = socket();
        stall(&network);
        let _running = network.run().unwrap();
        let waiting = thread::spawn(move || wait(raw));
        thread::sleep(Duration::from_millis(20));
        nic.remove();
        let error = waiting.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Gone, "{what}: {error}");
    }
}

/// A descriptor to wait on: whether `poll` finds it readable now.
#[cfg(target_os = "linux")]
fn is_readable(fd: &OwnedFd) -> bool {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: the kernel reads and writes one entry.
    unsafe { libc::poll(&mut entry, 1, 0) == 1 }
}

#[cfg(target_os = "linux")]
#[test]
fn frames_that_come_home_make_the_descriptor_readable_at_once() {
    let (network, nic, mut rx, tx) = halves();
    let number = rx.fd().unwrap().as_raw_fd();
    assert_eq!(number, rx.fd().unwrap().as_raw_fd());
    let fd = rx.fd().unwrap().try_clone_to_owned().unwrap();
    for _ in 0..3 {
        let mut packets = held(&mut rx, &nic, &network);
        // It may be its tick.
        while is_readable(&fd) {
            assert!(rx.try_recv_one().is_none());
        }
        thread::scope(|scope| {
            scope.spawn(|| drop(packets.pop()));
        });
        assert!(is_readable(&fd), "a frame came home");
        assert!(rx.try_recv_one().is_none());
        // Now there is one to receive into.
        nic.inject(0, &packet(7, 60)).unwrap();
        network.settle();
        assert!(is_readable(&fd));
        assert!(rx.try_recv_one().is_some());
        drop(packets);
        rx.refill();
    }
    drop((rx, tx));

    let (network, nic, mut raw) = socket();
    let fd = raw.rx_fd().unwrap().try_clone_to_owned().unwrap();
    let mut batch = PacketBatch::with_capacity(256);
    loop {
        nic.inject(0, &packet(0, 60)).unwrap();
        network.settle();
        if raw.receive(&mut batch) == 0 {
            break;
        }
    }
    while is_readable(&fd) {
        raw.refill();
    }
    drop(batch);
    assert!(is_readable(&fd));
    assert!(raw.refill() > 0);
    close(raw);
}
