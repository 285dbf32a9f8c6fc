//! A socket's place in the ledger.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use super::Frames;
use super::frames::{POOL, USER};
use crate::error::{ErrorKind, FluxError, Result, errno};

/// Entries of the ledger above `USER` are sockets, up to this many.
const MAX_SOCKETS: u32 = u16::MAX as u32;
/// In the ledger entry of a socket that was split: on loan from its receiving half.
pub(super) const INWARD: u32 = 1 << 29;
/// Likewise, from its sending half.
pub(super) const OUTWARD: u32 = 1 << 30;

impl Frames {
    /// A place in the ledger for a socket that will lend frames to the kernel.
    ///
    /// # Errors
    ///
    /// [`Busy`](ErrorKind::Busy) when the UMEM already serves as many sockets as the ledger can tell apart.
    pub(crate) fn lease(&self) -> Result<Lease> {
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
            grace: OnceLock::new(),
        })
    }

    /// The number of places that are taken.
    pub(crate) fn sockets(&self) -> usize {
        let sockets = self.sockets.lock().unwrap_or_else(|e| e.into_inner());
        sockets.iter().filter(|taken| **taken).count()
    }
}

/// One socket's place in the ledger. Dropped after the socket is closed, it takes back what the kernel still had.
#[derive(Debug)]
pub(crate) struct Lease {
    frames: Frames,
    index: u32,
    grace: OnceLock<Duration>,
}

impl Lease {
    /// The UMEM.
    #[must_use]
    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    pub(super) fn mark(&self) -> u32 {
        USER + 1 + self.index
    }

    /// How long the device may still write to frames after the socket was closed.
    pub(crate) fn set_grace(&self, grace: Duration) {
        let _ = self.grace.set(grace);
    }

    /// The socket that has lent the frame at an address.
    pub(crate) fn lender_of(leases: &[Self], addr: u64) -> Option<usize> {
        let frames = &leases.first()?.frames;
        let mark = frames.owner_entry(frames.chunk_of(addr)?) & !(INWARD | OUTWARD);
        leases.iter().position(|lease| lease.mark() == mark)
    }

    /// Takes a frame home that this socket has lent, which is closed; false when it has not.
    pub(crate) fn take_home(&self, addr: u64) -> bool {
        let Some(chunk) = self.frames.chunk_of(addr) else {
            return false;
        };
        // The receiving half, which may live on, takes its own back itself.
        let sides = [0, OUTWARD];
        let lent = sides
            .iter()
            .any(|side| self.frames.pass(chunk, self.mark() | side, POOL));
        if lent {
            self.frames.queue_home(chunk);
        }
        lent
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Frames that go home can be used at once, by packets and other sockets, where there are any.
        thread::sleep(self.grace.get().copied().unwrap_or_default());
        for chunk in 0..self.frames.geometry().frames() {
            if self.frames.owner(chunk) & !(INWARD | OUTWARD) == self.mark() {
                self.frames.add_chain(chunk, chunk, 1);
            }
        }
        let mut sockets = self
            .frames
            .sockets
            .lock()
            .unwrap_or_else(|e| e.into_inner());
        sockets[self.index as usize] = false;
    }
}
