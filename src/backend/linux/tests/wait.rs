//! Waiting for a socket: what ends a wait, alone and with a wait set, and what becomes of it when the interface is lost.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::linux::stop_signal;
use crate::backend::linux::tests::{in_namespace, ip, open, request};
use crate::backend::{Interest, Opened, Ready, StopSignal, WaitSet};
use crate::error::ErrorKind;
use crate::report::BusyPoll;

/// Well below the time after which a wait looks around by itself.
const AT_ONCE: Duration = Duration::from_millis(60);

fn bound() -> Opened {
    let opened = open(&request());
    opened.socket.bind().unwrap();
    opened
}

/// Waits for ever, if nothing in the wait set ends it; how long it took.
fn wait(opened: &Opened, wait_set: &WaitSet<'_>) -> Duration {
    let start = Instant::now();
    let ready = opened.socket.wait(Interest::Receive, None, wait_set);
    assert_eq!(ready.unwrap(), Ready::default());
    start.elapsed()
}

fn with(stop_signal: &StopSignal) -> WaitSet<'_> {
    WaitSet {
        stop_signal: Some(stop_signal),
        ..WaitSet::none()
    }
}

#[test]
fn a_stop_signal_ends_a_wait_at_once() {
    in_namespace(|| {
        let opened = bound();
        let stop_signal = stop_signal();
        // The least of several, as the machine may be busy.
        let took = (0..10).map(|_| {
            let raiser = stop_signal.clone();
            let thread = thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                raiser.raise();
            });
            let took = wait(&opened, &with(&stop_signal));
            thread.join().unwrap();
            assert!(stop_signal.reset());
            took
        });
        assert!(took.min().unwrap() < AT_ONCE);
    });
}

/// AttachedMode `body` in a forked child; whether it was true there.
fn in_child(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child uses its copy of the memory and system calls, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(!body())) };
    }
    let mut status = -1;
    // SAFETY: the kernel writes one number.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    status == 0
}

fn is_readable(stop_signal: &StopSignal) -> bool {
    let mut entry = libc::pollfd {
        fd: stop_signal.fd().unwrap().as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: the kernel reads and writes one entry.
    unsafe { libc::poll(&mut entry, 1, 0) == 1 }
}

#[test]
fn a_stop_signal_that_a_forked_child_raises_or_resets_stays_as_it_is_in_the_parent() {
    let stop_signal = stop_signal();
    assert!(in_child(|| {
        stop_signal.raise();
        !stop_signal.is_raised()
    }));
    assert!(!stop_signal.is_raised() && !is_readable(&stop_signal));
    stop_signal.raise();
    assert!(in_child(|| stop_signal.reset()));
    assert!(is_readable(&stop_signal) && stop_signal.reset());
}

#[test]
fn a_stop_signal_without_a_descriptor_ends_a_wait_at_its_next_check() {
    in_namespace(|| {
        let opened = bound();
        let stop_signal = StopSignal::without_fd();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(20));
                stop_signal.raise();
            });
            wait(&opened, &with(&stop_signal));
        });
    });
}

#[test]
fn a_descriptor_left_readable_by_a_stop_signal_that_is_not_raised_does_not_end_a_wait() {
    in_namespace(|| {
        let opened = bound();
        let stop_signal = stop_signal();
        // What a ring leaves that stores before a reset and writes after it.
        stop_signal.make_readable();
        let timeout = Duration::from_millis(30);
        let start = Instant::now();
        let wait_set = with(&stop_signal);
        let ready = opened
            .socket
            .wait(Interest::Receive, Some(timeout), &wait_set);
        assert_eq!(ready.unwrap(), Ready::default());
        assert!(start.elapsed() >= timeout);
        assert!(!stop_signal.is_raised());
    });
}

#[test]
fn other_descriptors_end_a_wait_however_many_there_are() {
    in_namespace(|| {
        let opened = bound();
        for count in [1, 14, 15, 100] {
            let pairs: Vec<_> = (0..count).map(|_| UnixStream::pair().unwrap()).collect();
            let fds = |index| match index {
                // The place of a socket without a descriptor.
                0 => Some((None, Interest::Both)),
                _ => {
                    let (near, _) = pairs.get(index - 1)?;
                    Some((Some(near.as_fd()), Interest::Receive))
                }
            };
            let wait_set = WaitSet {
                fds: &fds,
                ..WaitSet::none()
            };
            let (_, last) = pairs.last().unwrap();
            let written = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(Duration::from_millis(20));
                    written.store(true, Ordering::Relaxed);
                    (&*last).write_all(b"x").unwrap();
                });
                wait(&opened, &wait_set);
                assert!(written.load(Ordering::Relaxed));
            });
            let sends = |index| (index == 0).then(|| (Some(pairs[0].0.as_fd()), Interest::Send));
            wait(
                &opened,
                &WaitSet {
                    fds: &sends,
                    ..WaitSet::none()
                },
            );
        }
    });
}

#[test]
fn a_descriptor_that_is_not_open_is_named() {
    in_namespace(|| {
        let opened = bound();
        // SAFETY: not kept, but nothing is done with it either: somebody closed it behind the library's back.
        let closed = unsafe { BorrowedFd::borrow_raw(1_000_000) };
        let fds = |index| (index == 0).then_some((Some(closed), Interest::Receive));
        let wait_set = WaitSet {
            fds: &fds,
            ..WaitSet::none()
        };
        let error = opened
            .socket
            .wait(Interest::Receive, None, &wait_set)
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::System, libc::EBADF)
        );
        assert!(error.to_string().contains("1000000"), "{error}");
    });
}

#[test]
fn a_wait_of_less_than_a_millisecond_takes_less() {
    in_namespace(|| {
        let opened = bound();
        let timeout = Duration::from_micros(200);
        let took = (0..20).map(|_| {
            let start = Instant::now();
            let wait_set = WaitSet::none();
            let ready = opened
                .socket
                .wait(Interest::Receive, Some(timeout), &wait_set);
            assert_eq!(ready.unwrap(), Ready::default());
            let took = start.elapsed();
            assert!(took >= timeout);
            took
        });
        assert!(took.min().unwrap() < Duration::from_millis(1));
    });
}

#[test]
fn a_socket_tells_its_driver_its_interface_and_the_kernel() {
    in_namespace(|| {
        let text = bound().socket.describe();
        assert!(text.starts_with("driver veth on near, Linux "), "{text}");
        assert!(text.ends_with(|last: char| last != ' '), "{text}");
    });
}

#[test]
fn spinning_is_harmless_with_and_without_busy_polling() {
    in_namespace(|| {
        for busy_poll in [None, Some(BusyPoll::default())] {
            let opened = open(&crate::backend::SocketRequest {
                busy_poll,
                ..request()
            });
            opened.socket.bind().unwrap();
            (0..1000).for_each(|_| opened.socket.spin());
        }
    });
}

#[test]
fn a_wait_ends_when_its_time_is_over_and_not_before() {
    in_namespace(|| {
        let opened = open(&request());
        opened.socket.bind().unwrap();
        for millis in [0, 30, 250] {
            let timeout = Duration::from_millis(millis);
            let begin = Instant::now();
            let ready = opened
                .socket
                .wait(Interest::Receive, Some(timeout), &WaitSet::none())
                .unwrap();
            assert_eq!(ready, Ready::default());
            assert!(begin.elapsed() >= timeout);
            assert!(begin.elapsed() < timeout + Duration::from_secs(2));
        }
    });
}

#[test]
fn an_empty_tx_ring_is_ready_to_send() {
    in_namespace(|| {
        let opened = open(&request());
        opened.socket.bind().unwrap();
        for interest in [Interest::Send, Interest::Both] {
            let ready = opened
                .socket
                .wait(interest, None, &WaitSet::none())
                .unwrap();
            assert_eq!((ready.receive, ready.send), (false, true));
        }
    });
}

#[test]
fn an_interface_removed_while_somebody_waits_is_gone() {
    in_namespace(|| {
        let opened = open(&request());
        opened.socket.bind().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(50));
                ip("link del near");
            });
            let begin = Instant::now();
            let error = opened
                .socket
                .wait(Interest::Receive, None, &WaitSet::none())
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
            assert!(error.to_string().contains("near (index "), "{error}");
            assert!(begin.elapsed() < Duration::from_secs(5));
        });
        // For every later call, too.
        let socket = &opened.socket;
        assert_eq!(
            socket
                .wait(Interest::Receive, None, &WaitSet::none())
                .unwrap_err()
                .kind(),
            ErrorKind::Gone
        );
        assert_eq!(socket.wake_tx().unwrap_err().kind(), ErrorKind::Gone);
        assert_eq!(socket.wake_rx().unwrap_err().kind(), ErrorKind::Gone);
    });
}

#[test]
fn an_interface_that_goes_down_while_somebody_waits_is_waited_for() {
    in_namespace(|| {
        let opened = open(&request());
        opened.socket.bind().unwrap();
        ip("link set near down");
        let ready = opened.socket.wait(
            Interest::Receive,
            Some(Duration::from_millis(250)),
            &WaitSet::none(),
        );
        assert_eq!(ready.unwrap(), Ready::default());
    });
}
