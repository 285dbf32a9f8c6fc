//! The bundled XDP program on a real interface (Linux only): load, attach, map entries, counters.
//!
//! The program is attached by a `bpf_link`, and nothing is pinned: the kernel takes it off the
//! interface when the last descriptor of the link is closed, also when the process is killed.

mod attach;
mod map;
mod object;
pub(crate) mod query;
#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::kernel::linux::errors::unexpected;
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
    attached: Mutex<Attached>,
}

/// Which of the programs the link holds.
#[derive(Debug, Clone, Copy)]
struct Attached {
    /// The kernel's id of it, which no other program has.
    id: u32,
    fan_out: bool,
}

impl Program {
    /// Loads the program with room for the sockets of `queues` (at least one) and attaches it to the interface.
    ///
    /// `interface` is the name of `ifindex`, and `locked` the packet memory to come, for messages; `fan_out` says whether queues are going to be shared out, which takes CAP_PERFMON.
    /// A program of somebody else on the interface is left alone and named in an error of kind
    /// [`Busy`](crate::error::ErrorKind::Busy).
    pub(crate) fn attach(
        ifindex: u32,
        interface: &str,
        queues: u32,
        mode: XdpMode,
        fan_out: bool,
        locked: u64,
    ) -> Result<Self> {
        let object = object::load(fan_out, object::Maps::New { queues }, locked)?;
        let id = program_id(object.program.as_fd())?;
        let (link, mode) =
            attach::attach(object.program.as_fd(), ifindex, interface, mode, locked)?;
        // The program itself needs no descriptor any more: the link holds it.
        Ok(Self {
            link,
            sockets: map::SocketMap::new(object.sockets, MEMBERS),
            fanouts: map::FanoutMap::new(object.fanouts),
            counters: map::CounterMap::new(object.counters),
            mode,
            attached: Mutex::new(Attached { id, fan_out }),
        })
    }

    fn attached(&self) -> MutexGuard<'_, Attached> {
        // It is written as a whole.
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the program that shares queues out in the place of the plain one, on the same maps and without a gap.
    pub(crate) fn allow_fan_out(&self, locked: u64) -> Result<()> {
        let mut attached = self.attached();
        if attached.fan_out {
            return Ok(());
        }
        let maps = object::Maps::Shared {
            sockets: self.sockets.fd(),
            fanouts: self.fanouts.fd(),
            counters: self.counters.fd(),
        };
        let program = object::load(true, maps, locked)?.program;
        let id = program_id(program.as_fd())?;
        attach::replace(self.link.as_fd(), program.as_fd())?;
        *attached = Attached { id, fan_out: true };
        Ok(())
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
        if fanout.sockets > 1 {
            self.allow_fan_out(0)?;
        }
        self.fanouts.set(queue, fanout)
    }

    /// What the program decided so far, summed over all CPUs, and whether it is still there.
    pub(crate) fn counters(&self) -> Result<ProgramCounters> {
        let counted = self.counters.read()?;
        Ok(ProgramCounters {
            attached: self.is_attached(),
            ..counted
        })
    }

    /// Where the program runs, and why not where it was wished to.
    pub(crate) fn xdp_mode(&self) -> &Answer<XdpMode> {
        &self.mode
    }

    /// Whether the program is on an interface still: nobody took it off or put another one in its place, and the interface exists.
    ///
    /// The interface may be in another network namespace by now. What cannot be found out is taken to be as it was.
    pub(crate) fn is_attached(&self) -> bool {
        let attached = self.attached();
        query::link_target(self.link.as_fd()).map_or(true, |target| {
            target.ifindex != 0 && target.program == attached.id
        })
    }

    /// Whether this is one of the programs on an interface.
    pub(crate) fn is_among(&self, programs: [u32; 3]) -> bool {
        programs.contains(&self.attached().id)
    }

    /// Whether this can be the program of an interface, as far as the link knows: in another network namespace another interface may have
    /// the same index.
    pub(crate) fn may_be_on(&self, ifindex: u32) -> bool {
        let attached = self.attached();
        let expected = query::LinkTarget {
            program: attached.id,
            ifindex,
        };
        query::link_target(self.link.as_fd()).is_ok_and(|target| target == expected)
    }
}

/// In which mode an XDP program runs on an interface of this thread's network namespace, whoever attached it, native first; `None`
/// where nobody can say.
pub(crate) fn runs_on(ifindex: u32) -> Option<Runs> {
    let [native, generic, _] = query::program_ids(ifindex).ok()?;
    Some(match (native, generic) {
        (0, 0) => Runs::Nowhere,
        (0, _) => Runs::Generic,
        _ => Runs::Native,
    })
}

/// Where an XDP program runs on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runs {
    /// In the driver.
    Native,
    /// In the network stack alone.
    Generic,
    /// There is none, or the card runs it.
    Nowhere,
}

fn program_id(program: BorrowedFd<'_>) -> Result<u32> {
    let info: libbpf_sys::bpf_prog_info = query::info(program)
        .map_err(|error| unexpected("asking for the id of the XDP program", error))?;
    Ok(info.id)
}

impl Drop for Program {
    fn drop(&mut self) {
        // Closing the descriptor would do, but not while a forked child still has a copy of it.
        // SAFETY: the descriptor is open, `self.link` owns it. A failure means "already detached".
        unsafe { libbpf_sys::bpf_link_detach(self.link.as_raw_fd()) };
    }
}
