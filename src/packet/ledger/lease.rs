//! A socket's place in the ledger, and the socket together with it.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::packet::ledger::quarantine::QueueRelease;
use crate::packet::ledger::{POOL, USER};
use crate::packet::{Frames, SharedFrameState};

/// Entries of the ledger above `USER` are sockets, up to this many.
const MAX_SOCKETS: u32 = u16::MAX as u32;
/// How long an opening socket waits for frames in quarantine. Some 25 ms are usual on Linux.
const AFTER_CLOSE: Duration = Duration::from_millis(250);
/// In the ledger entry of a socket that was split: on loan from its receiving half.
pub(in crate::packet) const RX_HALF: u32 = 1 << 29;
/// Likewise, from its sending half.
pub(in crate::packet) const TX_HALF: u32 = 1 << 30;

impl Frames {
    /// Places in the ledger for one socket, or `count` that share a queue, which will lend frames to the kernel.
    ///
    /// Waits a moment for frames of sockets that were just closed, which the caller is about to share out.
    ///
    /// # Errors
    ///
    /// [`Busy`](ErrorKind::Busy) when the UMEM already serves as many sockets as the ledger can tell apart, [`Invalid`](ErrorKind::Invalid)
    /// in a forked child.
    pub(crate) fn leases(&self, count: u32) -> Result<Arc<Leases>> {
        self.process().check("opening a socket on a UMEM")?;
        self.reclaim_within(AFTER_CLOSE);
        let leases: Result<_> = (0..count).map(|_| self.lease()).collect();
        Ok(Arc::new(Leases {
            leases: leases?,
            release: OnceLock::new(),
        }))
    }

    fn lease(&self) -> Result<Lease> {
        let mut sockets = self.sockets.lock().unwrap_or_else(|e| e.into_inner());
        let index = sockets
            .iter()
            .position(|taken| !taken)
            .unwrap_or(sockets.len());
        if index >= MAX_SOCKETS as usize {
            return Err(FluxError::new(
                ErrorKind::Busy,
                errno::ENOSPC,
                "one more socket on this UMEM",
                format_args!("it already serves {MAX_SOCKETS}"),
                "use a second UMEM",
            ));
        }
        if index == sockets.len() {
            sockets.push(true);
        } else {
            sockets[index] = true;
        }
        drop(sockets);
        Ok(Lease {
            frames: self.clone(),
            index: index as u32,
        })
    }

    /// The number of places that are taken.
    pub(crate) fn sockets(&self) -> usize {
        if !self.process().is_current() {
            return 0;
        }
        let sockets = self.sockets.lock().unwrap_or_else(|e| e.into_inner());
        sockets.iter().filter(|taken| **taken).count()
    }
}

impl SharedFrameState {
    /// Gives a place in the ledger to the next socket that wants one. No frame has its mark any more.
    pub(in crate::packet) fn free_place(&self, index: u32) {
        let mut sockets = self.sockets.lock().unwrap_or_else(|e| e.into_inner());
        sockets[index as usize] = false;
    }
}

/// One socket's place in the ledger.
#[derive(Debug)]
pub(crate) struct Lease {
    frames: Frames,
    index: u32,
}

impl Lease {
    /// The UMEM.
    #[must_use]
    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    pub(in crate::packet) fn mark(&self) -> u32 {
        USER + 1 + self.index
    }

    /// The socket that has lent the frame at an address.
    pub(crate) fn lender_of(leases: &[Self], addr: u64) -> Option<usize> {
        let frames = &leases.first()?.frames;
        let mark = frames.owner_entry(frames.chunk_of(addr)?) & !(RX_HALF | TX_HALF);
        leases.iter().position(|lease| lease.mark() == mark)
    }

    /// Takes a frame home that this socket has lent, which is closed; false when it has not.
    pub(crate) fn pop_free(&self, addr: u64) -> bool {
        let Some(chunk) = self.frames.chunk_of(addr) else {
            return false;
        };
        // The receiving half, which may live on, takes its own back itself.
        let sides = [0, TX_HALF];
        let lent = sides
            .iter()
            .any(|side| self.frames.pass(chunk, self.mark() | side, POOL));
        if lent {
            self.frames.push_free(chunk);
        }
        lent
    }
}

/// The places in the ledger of the sockets of one queue. Dropped, they take back what the kernel still had: at once if nothing was ever
/// bound, or else as soon as the kernel is seen to have let go of the queue.
///
/// This is what the safety of frames rests on at a close: from the bind on, a frame with one of these marks goes to the pool only after
/// the kernel handed it back through a ring, or after [`QueueRelease`] said so. The order in which rings, socket and this are dropped
/// decides only how soon that is.
#[derive(Debug)]
pub(crate) struct Leases {
    leases: Box<[Lease]>,
    release: OnceLock<Arc<dyn QueueRelease>>,
}

impl Deref for Leases {
    type Target = [Lease];

    fn deref(&self) -> &[Lease] {
        &self.leases
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        let frames = self.leases.first().map(Lease::frames);
        if frames.is_some_and(|frames| !frames.process().is_current()) {
            return;
        }
        for lease in &self.leases {
            let held = match self.release.get() {
                Some(release) => {
                    lease
                        .frames
                        .quarantine(lease.index, lease.mark(), release.clone())
                }
                None => lease.give_back(),
            };
            if held == 0 {
                lease.frames.free_place(lease.index);
            }
        }
    }
}

impl Lease {
    /// Sends home what was lent to a socket that the kernel never bound; nothing is left.
    fn give_back(&self) -> u32 {
        for chunk in 0..self.frames.geometry().frames() {
            if self.frames.owner(chunk) & !(RX_HALF | TX_HALF) == self.mark() {
                self.frames.add_chain(chunk, chunk, 1);
            }
        }
        0
    }
}

/// A bound socket and its places in the ledger: it is closed before they end.
///
/// There is no other way to a bound socket, so that none is without the promise of its [`QueueRelease`].
#[derive(Debug)]
pub(crate) struct LeasedSocket<S: ?Sized> {
    // In this order: until the socket is closed, the kernel is not seen to have let go.
    socket: Arc<S>,
    _leases: Arc<Leases>,
}

impl<S: ?Sized> LeasedSocket<S> {
    /// Binds a socket by `bind`, which has to tell how the kernel will be seen to let go of the queue. If it fails, the kernel
    /// has got nothing.
    pub(crate) fn bind<B>(
        socket: Arc<S>,
        leases: Arc<Leases>,
        bind: impl FnOnce(&S) -> Result<B>,
        release: impl FnOnce(&B) -> Arc<dyn QueueRelease>,
    ) -> Result<(Self, B)> {
        let bound = bind(&socket)?;
        // The sockets that share a queue have one in common: that of the first.
        leases.release.get_or_init(|| release(&bound));
        let bound_socket = Self {
            socket,
            _leases: leases,
        };
        Ok((bound_socket, bound))
    }

    /// The socket, for another handle.
    pub(crate) fn shared(&self) -> &Arc<S> {
        &self.socket
    }
}

impl<S: ?Sized> Deref for LeasedSocket<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.socket
    }
}
