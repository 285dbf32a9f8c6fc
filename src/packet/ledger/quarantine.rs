//! Frames of closed sockets that the kernel may still use.
//!
//! When a socket is closed, the kernel lets go of its queue later, in a work queue of its own and without a bound. Until then a device in
//! zero-copy mode may write to the frames that it had, packets that are sent straight from the frames may still be queued, and a
//! duplicate of the descriptor, in a forked child for instance, may keep the socket open. A clock proves nothing of that.
//!
//! So the frames that the kernel had at the close are in *quarantine*: they are nobody's, in the ledger and in
//! [`Accounting`](crate::umem::Accounting), until the backend has [seen](QueueRelease) the kernel let go of the queue. Nobody looks at
//! the close, for the look itself may have to wait for the kernel. It is looked for when the pool runs dry, when a socket is opened on the
//! UMEM, and when somebody counts the frames or reclaims them. Frames of which it is never seen stay lost to the pool.
//!
//! # How long the memory stays mapped
//!
//! Until the last handle, socket and packet of the UMEM is gone. So nothing in this process refers to a frame whose memory is unmapped.
//! Frames in quarantine do not prolong that, and need not:
//!
//! - The kernel and the device never use the mapping, but the pages. `xdp_umem_pin_pages` pins them (`pin_user_pages`, `FOLL_LONGTERM`) when
//!   the memory is registered, and `xdp_umem_release` unpins them after the driver has released the queue. A packet that is sent
//!   straight from a frame holds a reference to the frame's page (`get_page` in `xsk_build_skb_zerocopy`).
//! - So `munmap` takes away this process's view of pages that a device may still write to, and no more. They are given to nobody else
//!   before the kernel releases them, and whatever is mapped at the same addresses later has other pages.
//! - Until then the machine lacks the pages, and they count as locked memory of a user without CAP_IPC_LOCK.
//!
//! This holds for memory that is unmapped at the end, which [`Memory::from_parts`](crate::umem::memory::Memory::from_parts) demands. Memory that went back
//! to an allocator would be given to others with the same pages. In the simulator nobody writes to a frame after the close: its kernel's
//! side has a handle to the UMEM.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::packet::SharedFrameState;
use crate::packet::ledger::USER;
use crate::packet::ledger::lease::{RX_HALF, TX_HALF};

/// In the ledger entry of a frame in quarantine, beside the mark of the socket that was closed.
pub(in crate::packet) const QUARANTINED: u32 = 1 << 28;
/// How long the pool, when it is dry, leaves the kernel alone between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
const PAUSE: Duration = Duration::from_millis(2);

/// Tells when the kernel has let go of the queue of a socket.
///
/// Made by a backend when it binds a socket; see [`Bound::release`](crate::backend::Bound::release).
pub trait QueueRelease: fmt::Debug + Send + Sync {
    /// Whether the kernel was *seen* to have let go: neither it nor a device will read or write a frame that the socket, or another
    /// one that shares its queue, was given. Never true while such a socket is open. Once true, it stays so. The answer may
    /// take a system call that has to wait while the kernel's network configuration changes.
    fn is_released(&self) -> bool;

    /// Lets `time` pass, so that the kernel gets on; returns how much has passed on its clock.
    fn pause(&self, time: Duration) -> Duration {
        let start = Instant::now();
        thread::sleep(time);
        start.elapsed()
    }
}

/// For a backend whose sockets have let go of all frames when they are dropped.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReleasedAtClose;

impl QueueRelease for ReleasedAtClose {
    fn is_released(&self) -> bool {
        true
    }
}

/// What a UMEM knows of its frames in quarantine.
#[derive(Debug, Default)]
pub(in crate::packet) struct Quarantine {
    /// The frames of all closed sockets; a glance without the lock.
    frames: AtomicU32,
    closed: Mutex<Closed>,
}

#[derive(Debug, Default)]
struct Closed {
    sockets: Vec<ClosedSocket>,
    last_look: Option<Instant>,
}

/// A socket's place in the ledger that stays taken as long as it has frames in quarantine.
#[derive(Debug)]
struct ClosedSocket {
    index: u32,
    frames: u32,
    release: Arc<dyn QueueRelease>,
}

impl SharedFrameState {
    /// Puts the frames of a closed socket into quarantine; returns how many there are. Its place in the ledger stays taken if there are any.
    pub(in crate::packet) fn quarantine(
        &self,
        index: u32,
        mark: u32,
        release: Arc<dyn QueueRelease>,
    ) -> u32 {
        let mut frames = 0;
        for chunk in 0..self.geometry().frames() {
            let owner = self.owner(chunk);
            // In a group, another member may take a frame of the group meanwhile.
            if owner & !(RX_HALF | TX_HALF) == mark && self.pass(chunk, owner, mark | QUARANTINED) {
                frames += 1;
            }
        }
        if frames > 0 {
            self.quarantine.frames.fetch_add(frames, Ordering::Relaxed);
            self.closed().sockets.push(ClosedSocket {
                index,
                frames,
                release,
            });
        }
        frames
    }

    /// The number of frames in quarantine.
    pub(crate) fn quarantined(&self) -> u32 {
        self.quarantine.frames.load(Ordering::Relaxed)
    }

    fn closed(&self) -> std::sync::MutexGuard<'_, Closed> {
        // Each change of the list is one call, so that it is whole also after a panic.
        let closed = self.quarantine.closed.lock();
        closed.unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends those frames home that the kernel was seen to have let go of. By somebody who has a handle.
    pub(crate) fn reclaim(&self) {
        if self.quarantined() > 0 && self.process().is_current() {
            self.look(&mut self.closed());
        }
    }

    /// [`reclaim`](Self::reclaim), until no frame is in quarantine or `patience` is over.
    pub(crate) fn reclaim_within(&self, patience: Duration) {
        let mut waited = Duration::ZERO;
        while self.quarantined() > 0 && self.process().is_current() {
            let mut closed = self.closed();
            self.look(&mut closed);
            let Some(first) = closed.sockets.first() else {
                return;
            };
            let release = first.release.clone();
            drop(closed);
            let left = patience.saturating_sub(waited);
            if left.is_zero() {
                return;
            }
            waited += release.pause(PAUSE.min(left));
        }
    }

    /// [`reclaim`](Self::reclaim), now and then; for somebody who finds no free frame. Whether there may be one now.
    #[cold]
    pub(in crate::packet) fn reclaim_if_empty(&self) -> bool {
        let Ok(mut closed) = self.quarantine.closed.try_lock() else {
            return false;
        };
        let now = Instant::now();
        let early = closed
            .last_look
            .is_some_and(|last| now.duration_since(last) < BETWEEN_LOOKS);
        !early && self.look(&mut closed)
    }

    /// Whether any frame came home.
    fn look(&self, closed: &mut Closed) -> bool {
        closed.last_look = Some(Instant::now());
        let before = closed.sockets.len();
        closed.sockets.retain(|socket| {
            let released = socket.release.is_released();
            if released {
                self.end_quarantine(socket);
            }
            !released
        });
        closed.sockets.len() < before
    }

    fn end_quarantine(&self, socket: &ClosedSocket) {
        let mark = (USER + 1 + socket.index) | QUARANTINED;
        let mut left = socket.frames;
        for chunk in 0..self.geometry().frames() {
            if left == 0 {
                break;
            }
            if self.owner_entry(chunk) == mark {
                self.add_chain(chunk, chunk, 1);
                left -= 1;
            }
        }
        self.quarantine
            .frames
            .fetch_sub(socket.frames, Ordering::Relaxed);
        self.free_place(socket.index);
    }
}
