//! Seeing the kernel let go of a queue.
//!
//! What is relied on, in the kernel's own names (`net/xdp`, Linux 5.9 to 7.3 alike):
//!
//! - A bound socket has a buffer pool, which is entered at its queue (`xsk_reg_pool_at_qid`); the sockets that share a queue share the pool.
//!   A bind to a queue with an entry is refused with EBUSY (`xsk_get_pool_from_qid` in `xp_assign_dev`), before the driver is asked
//!   anything, and a refused socket can be bound again.
//! - Nothing but `xp_clear_dev` takes the entry out, under rtnl and after it: the driver has let go of the pool (`ndo_bpf` with
//!   `XDP_SETUP_XSK_POOL` and no pool). It runs in a work queue (`xp_release_deferred`) when the last socket of the pool is destroyed, or
//!   when the interface is removed or moved to another network namespace (`xsk_notifier`).
//! - A socket is destroyed (`xsk_destruct`) when its last file and mapping are gone *and* when no packet of it is under way: an skb
//!   holds it by `sk_wmem_alloc` until its destructor has run. So the entry stays, too, while a packet is queued that points into the
//!   packet memory (`xsk_build_skb_zerocopy`, of drivers with `IFF_TX_SKB_NO_LINEAR`).
//!
//! So a bind to the same queue that succeeds proves it: by a socket that is made for this and has one page as its packet memory, or by any
//! other of this process.
//!
//! A queue is told by the index of its interface. When that interface is removed, or moved to another network namespace, another one may get
//! the index, and a bind to it proves nothing. So the kernel's message of a removal (`RTM_DELLINK`) is listened for from the open on.
//!
//! A removal while the socket is open is proof of its own, except for packets under way: the pool is taken off the interface then, whether
//! or not an skb still points into the packet memory. So the socket is asked for its `sk_wmem_alloc`, and is kept until that is zero.

use std::collections::BTreeMap;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::namespace::Namespace;
use super::socket::{XdpSocket, new_socket, register_memory};
use super::uapi::{self, SockAddr, UmemReg};
use super::{errors, options};
use crate::error::{Result, errno};
use crate::geometry::Geometry;
use crate::kernel::{QueueRelease, ReleasedAtClose};
use crate::mem::linux::Mapping;
use crate::mem::{PAGE_SIZE, Process};

/// A queue of an interface: network namespace, index, queue.
type Queue = (Namespace, u32, u32);

/// How often this process has bound a socket to a queue of its own.
static BINDS: Mutex<BTreeMap<Queue, u64>> = Mutex::new(BTreeMap::new());

/// Tells when the kernel has let go of a queue.
#[derive(Debug)]
pub(super) struct Release {
    ifindex: u32,
    queue: u32,
    process: Process,
    /// The network namespace of the interface.
    namespace: Option<Namespace>,
    /// Hears of the removal of the interface. Where netlink is forbidden, there is none, and the index is trusted.
    removal: Option<OwnedFd>,
    /// Whether a socket that shared the queue was closed while packets of it were under way.
    left_packets: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// With a socket that can be bound, of the network namespace where the interface is, and the count of binds when the queue was bound.
    ///
    /// As long as the probe is open, its namespace stays, so that no other one gets the same file.
    Watching {
        probe: OwnedFd,
        bind: Option<(Queue, u64)>,
    },
    /// The interface is gone, and packets of this socket are under way.
    Removed {
        socket: OwnedFd,
    },
    /// The interface was removed after the close, so that nothing will be seen.
    Lost,
    Released,
}

/// The answer for a socket that was just bound.
pub(super) fn of(socket: &XdpSocket) -> Arc<dyn QueueRelease> {
    match &socket.release {
        Some(release) => {
            release.count_bind();
            release.clone()
        }
        // The first socket on the queue answers for this one.
        None => Arc::new(ReleasedAtClose),
    }
}

impl Release {
    /// Makes the socket to probe with. This takes the capabilities and the thread's network namespace of an open; the probe, which
    /// may come after a program has given them up, takes none.
    ///
    /// Its page counts against the limit of locked memory, beside the packet memory of geometry `watched`, which the error is about.
    pub(super) fn prepare(ifindex: u32, queue: u32, watched: Geometry) -> Result<Self> {
        const FRAMES: u32 = 1;
        const SLOTS: u32 = 2;
        let fd = new_socket(0)?;
        let bytes = PAGE_SIZE as u32;
        let geometry = Geometry::new(FRAMES, bytes, 0, PAGE_SIZE)?;
        // The kernel keeps the page for itself. No frame of it is ever put into a ring.
        let page = Mapping::anonymous(PAGE_SIZE, PAGE_SIZE, 0);
        let page = page.map_err(|error| errors::umem(error, geometry, bytes.into()))?;
        let registration = UmemReg {
            addr: page.start().as_ptr() as u64,
            len: bytes.into(),
            chunk_size: bytes,
            ..Default::default()
        };
        // SAFETY: the page is mapped now, and its socket has no ring that a frame could be put into: none is mapped.
        unsafe { register_memory(fd.as_fd(), &registration) }
            .map_err(|error| errors::umem(error, watched, watched.bytes()))?;
        for (option, name) in [
            (uapi::XDP_UMEM_FILL_RING, "fill"),
            (uapi::XDP_UMEM_COMPLETION_RING, "completion"),
            (uapi::XDP_RX_RING, "RX"),
        ] {
            options::set(fd.as_fd(), uapi::SOL_XDP, option, SLOTS)
                .map_err(|error| errors::ring(error, name, SLOTS))?;
        }
        Ok(Self {
            ifindex,
            queue,
            process: Process::current(),
            namespace: Namespace::of(fd.as_fd()),
            removal: hear_of_removal(ifindex).ok(),
            left_packets: AtomicBool::new(false),
            state: Mutex::new(State::Watching {
                probe: fd,
                bind: None,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the bind of the socket itself.
    fn count_bind(&self) {
        if let State::Watching { bind, .. } = &mut *self.state()
            && let Some(namespace) = self.namespace
        {
            let key = (namespace, self.ifindex, self.queue);
            let mut binds = BINDS.lock().unwrap_or_else(PoisonError::into_inner);
            let count = binds.entry(key).or_default();
            *count += 1;
            *bind = Some((key, *count));
        }
    }

    /// To be called when a socket is closed that shares the queue.
    pub(super) fn leave_beside(&self, socket: BorrowedFd<'_>) {
        if options::queued_for_sending(socket) != Some(0) {
            self.left_packets.store(true, Ordering::Relaxed);
        }
    }

    /// To be called while `socket` is open and its interface seems to be gone; `is_gone` tells whether the kernel has taken the
    /// socket off it. If so, it has let go of the queue. After the close that cannot be asked any more.
    pub(super) fn see_removal(&self, socket: BorrowedFd<'_>, is_gone: impl Fn() -> bool) {
        let mut state = self.state();
        let State::Watching { probe, .. } = &*state else {
            return;
        };
        // Whatever the answer: it waits for the lock under which an interface is removed.
        let _ = self.bind(probe);
        if !is_gone() || self.left_packets.load(Ordering::Relaxed) {
            return;
        }
        match options::queued_for_sending(socket) {
            Some(0) => *state = State::Released,
            Some(_) => {
                if let Ok(socket) = socket.try_clone_to_owned() {
                    *state = State::Removed { socket };
                }
            }
            None => {}
        }
    }

    /// Whether the interface was removed, or moved to another namespace, since the open.
    fn was_removed(&self) -> bool {
        let Some(removal) = &self.removal else {
            return false;
        };
        let mut byte = 0_u8;
        // SAFETY: a buffer of one byte; the kernel leaves out what does not fit.
        let received = unsafe {
            libc::recvfrom(
                removal.as_raw_fd(),
                (&raw mut byte).cast(),
                1,
                libc::MSG_PEEK | libc::MSG_DONTWAIT,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        // An error would be lost messages.
        received >= 0 || errors::last() != errno::EAGAIN
    }

    /// Binds the probe.
    fn bind(&self, probe: &OwnedFd) -> Result<(), i32> {
        let address = SockAddr {
            family: uapi::AF_XDP as u16,
            flags: uapi::XDP_COPY,
            ifindex: self.ifindex,
            queue_id: self.queue,
            shared_umem_fd: 0,
        };
        // SAFETY: the kernel reads an address of the stated size.
        let result = unsafe {
            libc::bind(
                probe.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<SockAddr>() as libc::socklen_t,
            )
        };
        errors::check(result).map(drop)
    }
}

impl QueueRelease for Release {
    fn is_released(&self) -> bool {
        // The probe of a forked child is its parent's, too.
        if !self.process.is_current() {
            return false;
        }
        let mut state = self.state();
        let (probe, bind) = match &*state {
            State::Released => return true,
            State::Lost => return false,
            State::Watching { probe, bind } => (probe, bind),
            State::Removed { socket } => {
                let released = options::queued_for_sending(socket.as_fd()) == Some(0);
                if released {
                    *state = State::Released;
                }
                return released;
            }
        };
        let rebound = bind.is_some_and(|(key, own)| {
            let binds = BINDS.lock().unwrap_or_else(PoisonError::into_inner);
            binds.get(&key).is_some_and(|&count| count > own)
        });
        if !rebound && self.bind(probe).is_err() {
            return false;
        }
        // Either bind was to the interface that has the index now. It waited for the lock under which one is removed, so the message
        // of a removal before it is there.
        if self.was_removed() {
            *state = State::Lost;
            return false;
        }
        // Closes the probe, which gives the queue back.
        *state = State::Released;
        true
    }
}

/// A netlink socket in the network namespace of this thread that gets one kind of message: that this interface was removed or moved.
fn hear_of_removal(ifindex: u32) -> Result<OwnedFd, i32> {
    // SAFETY: plain numbers; the result is checked.
    let fd = errors::check(unsafe {
        libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            libc::NETLINK_ROUTE,
        )
    })?;
    // SAFETY: a new descriptor, which nobody else knows.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // Places in a message: header of 16 bytes with the type behind the length, then `struct ifinfomsg`.
    const TYPE: u32 = 4;
    const FAMILY: u32 = 16;
    const INDEX: u32 = 20;
    let load = |size: u32, k| libc::sock_filter {
        code: (libc::BPF_LD | size | libc::BPF_ABS) as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let unless = |k, skip| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: skip,
        k,
    };
    let end = |k| libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k,
    };
    // The filter loads in network byte order, and messages are in that of the machine. A bridge tells by another family that it
    // gave the interface up.
    let mut filter = [
        load(libc::BPF_H, TYPE),
        unless(u32::from(libc::RTM_DELLINK.to_be()), 5),
        load(libc::BPF_B, FAMILY),
        unless(libc::AF_UNSPEC as u32, 3),
        load(libc::BPF_W, INDEX),
        unless(ifindex.to_be(), 1),
        end(u32::MAX),
        end(0),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the kernel reads the program and its filter, and keeps a copy.
    errors::check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    })?;
    // SAFETY: numbers, for which zero is valid.
    let mut address: libc::sockaddr_nl = unsafe { zeroed() };
    address.nl_family = libc::AF_NETLINK as u16;
    address.nl_groups = libc::RTMGRP_LINK as u32;
    // SAFETY: the kernel reads an address of the stated size.
    errors::check(unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    })?;
    Ok(fd)
}
