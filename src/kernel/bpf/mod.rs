//! The bundled XDP program on a real interface (Linux only): load, attach, map entries, counters.
//!
//! The program is attached by a `bpf_link`, and nothing is pinned: the kernel takes it off the
//! interface when the last descriptor of the link is closed, also when the process is killed.

mod attach;
mod map;
mod object;
mod query;
#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::error::Result;
use crate::kernel::{FanOut, MEMBERS, Place};
use crate::report::{Answer, XdpMode};
use crate::stats::ProgramCounters;

pub(crate) use map::UserMap;

/// The bundled XDP program, attached to one interface.
///
/// A packet goes to the socket that is inserted for its queue, or to that one of several which its flow
/// belongs to, and on to the kernel's network stack where there is none. Dropping it takes the program off the interface.
#[derive(Debug)]
pub(crate) struct Program {
    link: OwnedFd,
    sockets: map::SocketMap,
    fanouts: map::FanoutMap,
    counters: map::CounterMap,
    mode: Answer<XdpMode>,
}

impl Program {
    /// Loads the program with room for the sockets of `queues` (at least one) and attaches it to the interface.
    ///
    /// `interface` is the name of `ifindex`, for messages. A program of somebody else on the interface is
    /// left alone and named in an error of kind [`Busy`](crate::error::ErrorKind::Busy).
    pub(crate) fn attach(
        ifindex: u32,
        interface: &str,
        queues: u32,
        mode: XdpMode,
    ) -> Result<Self> {
        let object = object::load(queues)?;
        let (link, mode) = attach::attach(object.program.as_fd(), ifindex, interface, mode)?;
        // The program itself needs no descriptor any more: the link holds it.
        Ok(Self {
            link,
            sockets: map::SocketMap::new(object.sockets, MEMBERS),
            fanouts: map::FanoutMap::new(object.fanouts),
            counters: map::CounterMap::new(object.counters)?,
            mode,
        })
    }

    /// Sends the packets of `place` to `socket` from now on.
    ///
    /// The socket must be bound to the queue of that interface and have an RX ring. The kernel does not check it here:
    /// it drops the packets for a socket of another queue, and Linux 5.10 crashes on one for a socket without RX ring.
    pub(crate) fn insert(&self, place: Place, socket: BorrowedFd<'_>) -> Result<()> {
        self.sockets.insert(place, socket)
    }

    /// Sends the packets of `place` to the kernel's network stack again. A place without a socket is fine.
    pub(crate) fn remove(&self, place: Place) -> Result<()> {
        self.sockets.remove(place)
    }

    /// Shares the packets of `queue` out as said from now on.
    pub(crate) fn fan_out(&self, queue: u32, fanout: FanOut) -> Result<()> {
        self.fanouts.set(queue, fanout)
    }

    /// What the program decided so far, summed over all CPUs.
    pub(crate) fn counters(&self) -> Result<ProgramCounters> {
        self.counters.read()
    }

    /// Where the program runs, and why not where it was wished to.
    pub(crate) fn xdp_mode(&self) -> &Answer<XdpMode> {
        &self.mode
    }

    /// Whether the program is still on the interface: nobody detached it and the interface exists.
    pub(crate) fn is_attached(&self) -> bool {
        query::link_target(self.link.as_fd()).is_ok_and(|target| target.ifindex != 0)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Closing the descriptor would do, but not while a forked child still has a copy of it.
        // SAFETY: the descriptor is open, `self.link` owns it. A failure means "already detached".
        unsafe { libbpf_sys::bpf_link_detach(self.link.as_raw_fd()) };
    }
}
