//! What a program without rights is told.

use super::net::{drop_capabilities, in_namespace, near, request, umem, umem_of};
use crate::error::{ErrorKind, errno};
use crate::kernel::linux::memlock;
use crate::kernel::linux::privileges::{CAP_IPC_LOCK, CAP_NET_ADMIN, CAP_NET_RAW};
use crate::kernel::{Backend, SocketRequest};
use crate::report::{BusyPoll, Hugepages};

const CAP_SYS_RESOURCE: u32 = 24;

#[test]
fn without_cap_net_raw_the_error_names_it() {
    in_namespace(|| {
        let umem = umem();
        drop_capabilities(&[CAP_NET_RAW]);
        let error = near().open(&request(), &umem).unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Permission, errno::EPERM)
        );
        let text = error.to_string();
        assert!(text.contains("CAP_NET_RAW is missing"), "{text}");
        assert!(!text.contains("CAP_NET_ADMIN, which"), "{text}");
    });
}

#[test]
fn too_little_locked_memory_is_answered_with_limit_need_and_fix() {
    in_namespace(|| {
        let limit = memlock::limit();
        if limit.rlim_max > 1 << 32 {
            println!("skipped: the hard limit is too high to exceed");
            return;
        }
        let frames = (limit.rlim_max / 4096 + 64) as u32;
        let umem = umem_of(frames, Hugepages::Never);
        drop_capabilities(&[CAP_IPC_LOCK, CAP_SYS_RESOURCE]);
        let error = near().open(&request(), &umem).unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Memory, errno::ENOBUFS)
        );
        let text = error.to_string();
        let limit = memlock::limit().rlim_cur;
        let needed = umem.geometry().bytes();
        for part in [
            format!("is {limit} bytes"),
            format!("{needed} bytes are needed"),
            "ulimit -l".into(),
        ] {
            assert!(text.contains(&part), "{part} in {text}");
        }
    });
}

#[test]
fn busy_polling_without_cap_net_admin_is_answered_with_the_reason() {
    in_namespace(|| {
        let busy_poll = Some(BusyPoll::default());
        let request = SocketRequest {
            busy_poll,
            ..request()
        };
        let opened = near().open(&request, &umem()).unwrap();
        drop_capabilities(&[CAP_NET_ADMIN]);
        let answer = opened.socket.bind().unwrap().busy_poll;
        assert_eq!(answer.achieved, None);
        assert!(answer.reason.unwrap().contains("CAP_NET_ADMIN"));
    });
}

#[test]
fn locked_memory_of_a_closed_socket_does_not_stand_in_the_way_of_the_next_one() {
    in_namespace(|| {
        let limit = memlock::limit().rlim_max;
        if limit > 1 << 32 {
            println!("skipped: the hard limit is too high to fill");
            return;
        }
        // More than half of the limit: two do not fit at once.
        let umem = umem_of((limit / 4096 / 2 + 64) as u32, Hugepages::Never);
        drop_capabilities(&[CAP_IPC_LOCK, CAP_SYS_RESOURCE]);
        for _ in 0..5 {
            let opened = near().open(&request(), &umem).unwrap();
            opened.socket.bind().unwrap();
        }
    });
}
