//! Opening and binding: what was requested, what was achieved, and what the errors say.

use std::time::{Duration, Instant};

use crate::backend::linux::tests::{
    Reserved, in_namespace, ip, near, open, request, umem, umem_of,
};
use crate::backend::{Backend, Bound, Kick, MemoryRequest, SocketRequest};
use crate::error::{ErrorKind, Result, errno};
use crate::report::{BindMode, BusyPoll, HugepageSize, Hugepages};
use crate::stats::SocketStatistics;
use crate::umem::{UmemConfig, UmemRegion};

fn bind(request: &SocketRequest) -> Result<Bound> {
    open(request).socket.bind()
}

fn in_mode(bind_mode: BindMode) -> SocketRequest {
    SocketRequest {
        bind_mode,
        ..request()
    }
}

#[test]
fn copy_mode_binds_on_veth_with_wakeup_flags() {
    in_namespace(|| {
        let bound = bind(&SocketRequest {
            bind_patience: Duration::MAX,
            ..in_mode(BindMode::Copy)
        });
        let bound = bound.unwrap();
        assert_eq!(bound.bind_mode.achieved, BindMode::Copy);
        assert_eq!(bound.bind_mode.reason, None);
        assert!(bound.need_wakeup.achieved);
        assert_eq!(bound.busy_poll.achieved, None);
    });
}

#[test]
fn several_sockets_bind_to_one_queue_and_the_first_stays_open_for_them() {
    in_namespace(|| {
        let shared = umem();
        let first = near().open(&request(), &shared).unwrap();
        let share = |request: &SocketRequest| near().share(request, &first.socket, &shared);
        // The kernel wants the first one bound.
        assert!(share(&request()).unwrap().socket.bind().is_err());
        first.socket.bind().unwrap();
        let others: Vec<_> = (0..3).map(|_| share(&request()).unwrap()).collect();
        for other in &others {
            let bound = other.socket.bind().unwrap();
            assert_eq!(bound.bind_mode.achieved, BindMode::Copy);
        }
        let other_queue = SocketRequest {
            queue: 1,
            ..request()
        };
        let error = share(&other_queue).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let error = near()
            .share(&request(), &first.socket, &umem())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);

        drop(first);
        let alone = SocketRequest {
            bind_patience: Duration::ZERO,
            ..request()
        };
        assert_eq!(bind(&alone).unwrap_err().kind(), ErrorKind::Busy);
        drop(others);
        bind(&request()).unwrap();
    });
}

#[test]
fn auto_falls_back_to_copy_and_says_why() {
    in_namespace(|| {
        let bound = bind(&request()).unwrap();
        assert_eq!(bound.bind_mode.achieved, BindMode::Copy);
        let reason = bound.bind_mode.reason.unwrap();
        assert!(
            reason.contains("the driver of near (veth) has no zero-copy"),
            "{reason}"
        );
    });
}

#[test]
fn demanded_zero_copy_is_refused_on_veth_with_the_cause() {
    in_namespace(|| {
        let error = bind(&in_mode(BindMode::ZeroCopy)).unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Unsupported, errno::EOPNOTSUPP)
        );
        assert!(error.to_string().contains("(veth)"), "{error}");
    });
}

#[test]
fn an_interface_that_is_down_can_be_bound_in_copy_mode_but_not_sent_through() {
    in_namespace(|| {
        ip("link set near down");
        assert!(!near().interface().unwrap().up);
        let opened = open(&request());
        opened.socket.bind().unwrap();
        let error = opened.socket.wake_tx().unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Down, errno::ENETDOWN)
        );
        assert!(
            error.to_string().contains("`ip link set near up`"),
            "{error}"
        );
        assert_eq!(opened.socket.wake_rx().unwrap_err().kind(), ErrorKind::Down);
        ip("link set near up");
        opened.socket.wake_rx().unwrap();
        assert_eq!(opened.socket.wake_tx().unwrap(), Kick::Done);
    });
}

#[test]
fn a_queue_out_of_range_is_answered_with_the_number_of_queues() {
    in_namespace(|| {
        assert_eq!(near().interface().unwrap().rx_queues, Some(1));
        // 65,536 would be queue 0 to the kernel.
        for queue in [1, 65_536, u32::MAX] {
            let error = bind(&SocketRequest { queue, ..request() }).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(
                error.to_string().contains("near has 1 queue (0)"),
                "{error}"
            );
        }
    });
}

#[test]
fn a_taken_queue_is_busy_after_the_patience_and_not_before() {
    in_namespace(|| {
        let first = open(&request());
        first.socket.bind().unwrap();
        let bind_patience = Duration::from_millis(120);
        let second = open(&SocketRequest {
            bind_patience,
            ..request()
        });
        let begin = Instant::now();
        let error = second.socket.bind().unwrap_err();
        assert!(begin.elapsed() >= bind_patience);
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Busy, errno::EBUSY)
        );
        // Both pieces of advice, and when the first is none; the second works without help by the kernel.
        for part in [
            "queue 0 of near is taken by another socket, and was for all of 120ms;",
            "ss --xdp -p",
            "CONFIG_XDP_SOCKETS_DIAG",
            "grep -l socket: /proc/[0-9]*/maps",
        ] {
            assert!(error.to_string().contains(part), "{part} in: {error}");
        }
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(maps.contains("socket:"));
        drop(first);
        // The kernel frees the queue a moment later, within the patience or not.
        let end = Instant::now() + Duration::from_secs(10);
        while let Err(error) = second.socket.bind() {
            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
            assert!(Instant::now() < end, "the queue was never freed");
        }
    });
}

#[test]
fn a_queue_that_is_freed_within_the_patience_is_bound() {
    in_namespace(|| {
        let first = open(&request());
        first.socket.bind().unwrap();
        let second = open(&request());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                drop(first);
            });
            second.socket.bind().unwrap();
        });
    });
}

#[test]
fn an_interface_that_went_away_before_bind_is_not_found() {
    in_namespace(|| {
        let opened = open(&request());
        ip("link del near");
        let error = opened.socket.bind().unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::NotFound, errno::ENODEV)
        );
        assert_eq!(near().interface().unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn an_mtu_above_the_frame_is_no_matter_to_copy_mode() {
    in_namespace(|| {
        ip("link set near mtu 9000");
        let bound = bind(&request()).unwrap();
        assert_eq!(bound.bind_mode.achieved, BindMode::Copy);
        assert_eq!(near().interface().unwrap().mtu, 9000);
    });
}

#[test]
fn the_tx_budget_is_the_ring_unless_told_otherwise_and_limits_are_explained() {
    in_namespace(|| {
        let budget = |tx_budget, tx| {
            let mut request = request();
            request.tx_budget = tx_budget;
            request.sizes.tx = tx;
            bind(&request).unwrap().tx_budget
        };
        let whole = budget(None, 64);
        if whole.achieved == 32 {
            assert!(whole.reason.unwrap().contains("Linux 6.17"));
            println!("skipped: an older kernel");
            return;
        }
        assert_eq!(
            (whole.requested, whole.achieved, whole.reason),
            (64, 64, None)
        );
        assert_eq!(budget(Some(40), 64).achieved, 40);
        let more = budget(Some(100), 64);
        assert_eq!((more.requested, more.achieved), (100, 64));
        assert!(more.reason.unwrap().contains("64 slots"));
        let less = budget(Some(1), 64);
        assert_eq!(less.achieved, 32);
        assert!(less.reason.is_some());
        let small = budget(None, 16);
        assert_eq!((small.achieved, small.reason), (32, None));
    });
}

#[test]
fn busy_polling_is_granted_or_explained() {
    in_namespace(|| {
        let busy_poll = Some(BusyPoll::default());
        let answer = bind(&SocketRequest {
            busy_poll,
            ..request()
        })
        .unwrap()
        .busy_poll;
        assert!(
            answer.achieved == busy_poll || answer.reason.is_some(),
            "{answer}"
        );
        let busy_poll = Some(BusyPoll {
            microseconds: 20,
            budget: 70_000,
        });
        let answer = bind(&SocketRequest {
            busy_poll,
            ..request()
        })
        .unwrap()
        .busy_poll;
        assert_eq!(answer.achieved, None);
        assert!(answer.reason.is_some(), "{answer}");
    });
}

#[test]
fn without_wakeup_flags_the_answer_says_so() {
    in_namespace(|| {
        let bound = bind(&SocketRequest {
            need_wakeup: false,
            ..request()
        });
        assert!(!bound.unwrap().need_wakeup.achieved);
    });
}

#[test]
fn a_ring_size_that_the_kernel_refuses_is_named() {
    in_namespace(|| {
        let mut request = request();
        request.sizes.rx = 63;
        let error = near().open(&request, &umem()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error.to_string().contains("the RX ring of 63 slots"),
            "{error}"
        );
    });
}

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
