//! Waiting for a socket together with others.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::net::{in_namespace, open, request};
use crate::error::ErrorKind;
use crate::kernel::linux::alarm;
use crate::kernel::{Alarm, Company, Interest, Opened, Ready};
use crate::report::BusyPoll;

/// Well below the time after which a wait looks around by itself.
const AT_ONCE: Duration = Duration::from_millis(60);

fn bound() -> Opened {
    let opened = open(&request());
    opened.socket.bind().unwrap();
    opened
}

/// Waits for ever, if nothing in the company ends it; how long it took.
fn wait(opened: &Opened, company: &Company<'_>) -> Duration {
    let start = Instant::now();
    let ready = opened.socket.wait(Interest::Receive, None, company);
    assert_eq!(ready.unwrap(), Ready::default());
    start.elapsed()
}

fn with(alarm: &Alarm) -> Company<'_> {
    Company {
        alarm: Some(alarm),
        ..Company::none()
    }
}

#[test]
fn an_alarm_ends_a_wait_at_once() {
    in_namespace(|| {
        let opened = bound();
        let alarm = alarm();
        // The least of several, as the machine may be busy.
        let took = (0..10).map(|_| {
            let ringer = alarm.clone();
            let thread = thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                ringer.ring();
            });
            let took = wait(&opened, &with(&alarm));
            thread.join().unwrap();
            assert!(alarm.reset());
            took
        });
        assert!(took.min().unwrap() < AT_ONCE);
    });
}

/// Runs `body` in a forked child; whether it was true there.
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

fn is_readable(alarm: &Alarm) -> bool {
    let mut entry = libc::pollfd {
        fd: alarm.fd().unwrap().as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: the kernel reads and writes one entry.
    unsafe { libc::poll(&mut entry, 1, 0) == 1 }
}

#[test]
fn an_alarm_that_a_forked_child_rings_or_resets_stays_as_it_is_in_the_parent() {
    let alarm = alarm();
    assert!(in_child(|| {
        alarm.ring();
        !alarm.is_rung()
    }));
    assert!(!alarm.is_rung() && !is_readable(&alarm));
    alarm.ring();
    assert!(in_child(|| alarm.reset()));
    assert!(is_readable(&alarm) && alarm.reset());
}

#[test]
fn an_alarm_without_a_descriptor_ends_a_wait_at_its_next_look() {
    in_namespace(|| {
        let opened = bound();
        let alarm = Alarm::unseen();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(20));
                alarm.ring();
            });
            wait(&opened, &with(&alarm));
        });
    });
}

#[test]
fn a_descriptor_left_readable_by_an_alarm_that_is_quiet_does_not_end_a_wait() {
    in_namespace(|| {
        let opened = bound();
        let alarm = alarm();
        // What a ring leaves that stores before a reset and writes after it.
        alarm.stray();
        let timeout = Duration::from_millis(30);
        let start = Instant::now();
        let company = with(&alarm);
        let ready = opened
            .socket
            .wait(Interest::Receive, Some(timeout), &company);
        assert_eq!(ready.unwrap(), Ready::default());
        assert!(start.elapsed() >= timeout);
        assert!(!alarm.is_rung());
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
            let company = Company {
                fds: &fds,
                ..Company::none()
            };
            let (_, last) = pairs.last().unwrap();
            let written = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(Duration::from_millis(20));
                    written.store(true, Ordering::Relaxed);
                    (&*last).write_all(b"x").unwrap();
                });
                wait(&opened, &company);
                assert!(written.load(Ordering::Relaxed));
            });
            let sends = |index| (index == 0).then(|| (Some(pairs[0].0.as_fd()), Interest::Send));
            wait(
                &opened,
                &Company {
                    fds: &sends,
                    ..Company::none()
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
        let company = Company {
            fds: &fds,
            ..Company::none()
        };
        let error = opened
            .socket
            .wait(Interest::Receive, None, &company)
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
            let company = Company::none();
            let ready = opened
                .socket
                .wait(Interest::Receive, Some(timeout), &company);
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
            let opened = open(&crate::kernel::SocketRequest {
                busy_poll,
                ..request()
            });
            opened.socket.bind().unwrap();
            (0..1000).for_each(|_| opened.socket.spin());
        }
    });
}
