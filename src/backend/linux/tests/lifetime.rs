//! Sockets over time: waiting, closing, opening again, losing the interface.

use std::thread;
use std::time::{Duration, Instant};

use crate::backend::linux::tests::net::{Reserved, in_namespace, ip, near, open, request, umem_of};
use crate::backend::{Backend, Company, Interest, MemoryRequest, Ready};
use crate::error::ErrorKind;
use crate::report::{HugepageSize, Hugepages};
use crate::stats::SocketStatistics;
use crate::umem::{UmemConfig, UmemRegion};

#[test]
fn a_queue_can_be_closed_and_opened_again_200_times_at_once() {
    in_namespace(|| {
        let begin = Instant::now();
        for cycle in 0..200 {
            let opened = open(&request());
            opened
                .socket
                .bind()
                .unwrap_or_else(|error| panic!("cycle {cycle}: {error}"));
        }
        eprintln!("200 cycles took {:?}", begin.elapsed());
    });
}

#[test]
fn statistics_start_at_zero() {
    in_namespace(|| {
        let opened = open(&request());
        opened.socket.bind().unwrap();
        let statistics = opened.socket.statistics().unwrap();
        assert_eq!(statistics, SocketStatistics::default());
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
                .wait(Interest::Receive, Some(timeout), &Company::none())
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
                .wait(interest, None, &Company::none())
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
                .wait(Interest::Receive, None, &Company::none())
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
            assert!(error.to_string().contains("near (index "), "{error}");
            assert!(begin.elapsed() < Duration::from_secs(5));
        });
        // For every later call, too.
        let socket = &opened.socket;
        assert_eq!(
            socket
                .wait(Interest::Receive, None, &Company::none())
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
            &Company::none(),
        );
        assert_eq!(ready.unwrap(), Ready::default());
    });
}

#[test]
fn hugepages_are_behind_the_packets_when_the_machine_has_them() {
    in_namespace(|| {
        let size = HugepageSize::Size2M;
        let Some(_reserved) = Reserved::new(size, 2) else {
            println!("skipped: the machine gives none");
            return;
        };
        // One frame more than a hugepage holds.
        let umem = umem_of(513, Hugepages::Require(size));
        assert_eq!(umem.page_size(), size.bytes());
        assert_eq!(umem.memory().len(), 2 * size.bytes());
        let opened = near().open(&request(), &umem).unwrap();
        opened.socket.bind().unwrap();

        let config = UmemConfig {
            frames: 64,
            chunk_size: 16_384,
            hugepages: Hugepages::Require(size),
            ..UmemConfig::default()
        };
        drop((opened, umem));
        let geometry = config.geometry().unwrap();
        let bytes = geometry.bytes() as usize;
        let memory = near()
            .allocate(&MemoryRequest {
                bytes,
                hugepages: config.hugepages,
                numa_node: Some(0),
            })
            .unwrap()
            .memory;
        let umem = UmemRegion::new(memory, geometry).unwrap();
        match near().open(&request(), &umem) {
            Ok(opened) => drop(opened.socket.bind().unwrap()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}"),
        }
    });
}
