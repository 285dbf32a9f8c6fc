//! What a program without rights is told.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::net::{
    drop_capabilities, forbid, hide, in_namespace, near, open, request, umem, umem_of,
};
use crate::error::{ErrorKind, errno};
use crate::kernel::linux::memlock;
use crate::kernel::linux::privileges::{CAP_IPC_LOCK, CAP_NET_ADMIN, CAP_NET_RAW};
use crate::kernel::{Backend, MemoryRequest, Place, SocketRequest};
use crate::report::{BusyPoll, HugepageSize, Hugepages, XdpMode};

const CAP_SYS_RESOURCE: u32 = 24;
/// Locked memory counts for all threads: one test at a time takes most of what there may be.
static MOST_OF_THE_LIMIT: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    MOST_OF_THE_LIMIT
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn memory_that_a_sandbox_forbids_to_map_is_not_called_missing() {
    in_namespace(|| {
        const LENGTH: u32 = 1;
        const FLAGS: u32 = 3;
        let forbidden = |error: crate::FluxError| {
            assert_eq!(
                (error.kind(), error.errno()),
                (ErrorKind::Permission, errno::EPERM),
                "{error}"
            );
            assert!(
                error.to_string().contains("a sandbox forbids mmap()"),
                "{error}"
            );
        };
        let bytes = 12_345 * 4096;
        let memory = |hugepages| MemoryRequest {
            bytes,
            hugepages,
            numa_node: None,
        };
        let umem = umem();
        forbid(libc::SYS_mmap, LENGTH, bytes as u32);
        forbidden(near().allocate(&memory(Hugepages::Never)).unwrap_err());
        let huge = HugepageSize::Size2M;
        let whole = bytes.next_multiple_of(huge.bytes());
        forbid(libc::SYS_mmap, LENGTH, whole as u32);
        let required = memory(Hugepages::Require(huge));
        forbidden(near().allocate(&required).unwrap_err());
        forbid(
            libc::SYS_mmap,
            FLAGS,
            (libc::MAP_SHARED | libc::MAP_POPULATE) as u32,
        );
        forbidden(near().open(&request(), &umem).unwrap_err());
    });
}

#[test]
fn without_sys_a_socket_works_all_the_same() {
    in_namespace(|| {
        hide(c"/sys");
        let steering = near().attach(XdpMode::Auto, true, 0).unwrap();
        let opened = open(&request());
        opened.socket.bind().unwrap();
        let place = Place {
            queue: 0,
            member: 0,
        };
        steering.insert(place, &*opened.socket).unwrap();
        assert_eq!(steering.counters().unwrap().unwrap().redirect, 0);
        let request = MemoryRequest {
            bytes: 1 << 45,
            hugepages: Hugepages::Require(HugepageSize::Size2M),
            numa_node: None,
        };
        let error = near().allocate(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Memory);
        assert!(error.to_string().contains("/sys is not mounted"), "{error}");
    });
}

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
        let needed = umem.geometry().bytes() + 4096;
        for part in [
            format!("is {limit} bytes"),
            format!("{needed} bytes are needed"),
            format!("prlimit --memlock={needed} "),
            "cap_net_raw,".into(),
            ",cap_ipc_lock+ep".into(),
            format!("{} fit", limit / 4096 - 1),
        ] {
            assert!(text.contains(&part), "{part} in {text}");
        }
    });
}

/// The page that the queue is watched by does not fit beside it.
#[test]
fn packet_memory_of_the_whole_limit_is_too_much() {
    let _alone = alone();
    in_namespace(|| {
        let limit = memlock::limit().rlim_max;
        if limit > 1 << 32 {
            println!("skipped: the hard limit is too high to fill");
            return;
        }
        let umem = umem_of((limit / 4096) as u32, Hugepages::Never);
        drop_capabilities(&[CAP_IPC_LOCK, CAP_SYS_RESOURCE]);
        let error = near().open(&request(), &umem).unwrap_err();
        assert_eq!(error.errno(), errno::ENOBUFS, "{error}");
        let text = error.to_string();
        for part in [
            format!("{} bytes are needed", limit + 4096),
            format!("{} fit", limit / 4096 - 1),
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
        let reason = answer.reason.unwrap();
        if reason.contains("it needs Linux 5.11") {
            println!("skipped: {reason}");
            return;
        }
        assert!(reason.contains("CAP_NET_ADMIN"), "{reason}");
    });
}

#[test]
fn locked_memory_counts_again_for_each_registration_and_once_for_sockets_that_share_a_queue() {
    let _alone = alone();
    in_namespace(|| {
        let limit = memlock::limit().rlim_max;
        if limit > 1 << 32 {
            println!("skipped: the hard limit is too high to fill");
            return;
        }
        // More than half of the limit: one fits.
        let umem = umem_of((limit / 4096 / 2 + 64) as u32, Hugepages::Never);
        drop_capabilities(&[CAP_IPC_LOCK, CAP_SYS_RESOURCE]);
        let first = near().open(&request(), &umem).unwrap();
        first.socket.bind().unwrap();
        near().share(&request(), &first.socket, &umem).unwrap();
        let error = near().open(&request(), &umem).unwrap_err();
        assert_eq!(error.errno(), errno::ENOBUFS, "{error}");
    });
}

#[test]
fn locked_memory_of_a_closed_socket_does_not_stand_in_the_way_of_the_next_one() {
    let _alone = alone();
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
