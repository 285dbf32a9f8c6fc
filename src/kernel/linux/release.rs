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

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::socket::{XdpSocket, new_socket, register_memory};
use super::uapi::{self, SockAddr, UmemReg};
use super::{errors, options};
use crate::error::{Result, errno};
use crate::geometry::Geometry;
use crate::kernel::{QueueRelease, ReleasedAtClose};
use crate::mem::linux::Mapping;
use crate::mem::{PAGE_SIZE, Process};

/// A queue of an interface, by the cookie of its network namespace.
type Queue = (u64, u32, u32);

/// How often this process has bound a socket to a queue of its own.
static BINDS: Mutex<BTreeMap<Queue, u64>> = Mutex::new(BTreeMap::new());

/// Tells when the kernel has let go of a queue.
#[derive(Debug)]
pub(super) struct Release {
    ifindex: u32,
    queue: u32,
    process: Process,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// With a socket that can be bound, of the network namespace where the interface is, and the count of binds when the queue was bound.
    Watching {
        probe: OwnedFd,
        bind: Option<(Queue, u64)>,
    },
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
    pub(super) fn prepare(ifindex: u32, queue: u32) -> Result<Self> {
        const FRAMES: u32 = 1;
        const SLOTS: u32 = 2;
        let fd = new_socket()?;
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
            .map_err(|error| errors::umem(error, geometry, bytes.into()))?;
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
        if let State::Watching { probe, bind } = &mut *self.state()
            && let Some(cookie) = options::namespace_cookie(probe.as_fd())
        {
            let key = (cookie, self.ifindex, self.queue);
            let mut binds = BINDS.lock().unwrap_or_else(PoisonError::into_inner);
            let count = binds.entry(key).or_default();
            *count += 1;
            *bind = Some((key, *count));
        }
    }

    /// To be called while the socket is open and its interface is gone: the kernel has let go of the queue then, under the lock
    /// that a bind takes, too. After the close it would prove nothing, since the kernel forgets the interface first.
    pub(super) fn see_removal(&self) {
        let mut state = self.state();
        if let State::Watching { probe, .. } = &*state
            && matches!(self.bind(probe), Ok(()) | Err(errno::ENODEV))
        {
            *state = State::Released;
        }
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
        let State::Watching { probe, bind } = &*state else {
            return true;
        };
        let rebound = bind.is_some_and(|(key, own)| {
            let binds = BINDS.lock().unwrap_or_else(PoisonError::into_inner);
            binds.get(&key).is_some_and(|&count| count > own)
        });
        if !rebound && self.bind(probe).is_err() {
            return false;
        }
        // Closes the probe, which gives the queue back.
        *state = State::Released;
        true
    }
}
