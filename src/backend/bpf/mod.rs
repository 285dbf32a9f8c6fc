//! The bundled XDP program on an interface: load, attach, direct packets to sockets, count.
//!
//! - `mod`: [`Program`], the attached program and its maps; the programs of this process, shared by its sockets ([`SharedProgram`]); the map of a
//!   program of the user ([`UserProgram`]);
//! - `object`: the compiled program and how it is loaded; `map`: its maps;
//! - `attach`: attaching it by `bpf_link`; `query`: which XDP programs are on an interface.
//!
//! A packet that arrives at a queue runs the program, which looks up the socket in the XSKMAP (by queue, and by flow where several sockets
//! share the queue) and redirects it there, or passes it to the network stack. The program is attached by a `bpf_link` and nothing is
//! pinned, so the kernel detaches it when the last descriptor of the link is closed, also when the process is killed.

mod attach;
mod map;
mod object;
mod query;
#[cfg(test)]
mod tests;

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::backend::linux::errors::{is_out_of_files, out_of_files, unexpected};
use crate::backend::{FanOut, MAX_SOCKETS_PER_QUEUE, MapKey, Socket, Steering};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::report::{Answer, XdpMode};
use crate::stats::ProgramCounters;
use crate::umem::memory::Process;

use map::UserMap;
pub(crate) use query::claims_zero_copy;
use query::program_ids;

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
            sockets: map::SocketMap::new(object.sockets, MAX_SOCKETS_PER_QUEUE),
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

    /// Puts the program that shares queues out in the key of the plain one, on the same maps and without a gap.
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

    /// Sends the packets of `key` to `socket` from now on.
    ///
    /// The socket must be bound to the queue of that interface and have an RX ring. The kernel does not check it here:
    /// it drops the packets for a socket of another queue, and Linux 5.10 crashes on one for a socket without RX ring.
    pub(crate) fn insert(&self, key: MapKey, socket: BorrowedFd<'_>) -> Result<()> {
        self.sockets.insert(key, socket)
    }

    /// Sends the packets of `key` to the kernel's network stack again. A key without a socket is fine.
    pub(crate) fn remove(&self, key: MapKey) -> Result<()> {
        self.sockets.remove(key)
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

    /// Whether the program is on an interface still: nobody took it off or put another one in its key, and the interface exists.
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
pub(crate) fn attached_mode(ifindex: u32) -> Option<AttachedMode> {
    let [native, generic, _] = query::program_ids(ifindex).ok()?;
    Some(match (native, generic) {
        (0, 0) => AttachedMode::None,
        (0, _) => AttachedMode::Generic,
        _ => AttachedMode::Native,
    })
}

/// Where an XDP program runs on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttachedMode {
    /// In the driver.
    Native,
    /// In the network stack alone.
    Generic,
    /// There is none, or the card runs it.
    None,
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

/// The programs that this process has attached. Attaching and detaching happen under its lock, or one socket's attach could meet
/// the program that another one is just about to detach.
///
/// Which interface a program is on, the kernel is asked each time: an interface keeps its index and its program when it goes to another
/// network namespace, and another one may have the index by then.
static ATTACHED: Mutex<Vec<Weak<Program>>> = Mutex::new(Vec::new());

fn attached() -> MutexGuard<'static, Vec<Weak<Program>>> {
    // Each change of the list is one call, so that it is whole also after a panic.
    ATTACHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One socket's share in an attached program.
pub(crate) struct SharedProgram {
    /// `None` only while it is being dropped.
    program: Option<Arc<Program>>,
    mode: Answer<XdpMode>,
    /// The name of the interface when it was attached, for messages.
    interface: String,
    /// The process that attached it. A forked child has a copy of everything, but the program is not its own.
    process: Process,
}

/// Joins the program on the interface, or attaches it with room for `queues` sockets; `locked` as in
/// [`Backend::attach`](crate::backend::Backend::attach).
pub(crate) fn attach(
    ifindex: u32,
    name: &str,
    queues: u32,
    mode: XdpMode,
    fan_out: bool,
    locked: u64,
) -> Result<SharedProgram> {
    let mut list = attached();
    // The last share of a program goes away under the lock, so a program that is still here stays attached meanwhile, unless
    // the interface went away.
    list.retain(|program| program.strong_count() > 0);
    let find = |fits: &dyn Fn(&Program) -> bool| {
        list.iter()
            .filter_map(Weak::upgrade)
            .find(|program| fits(program))
    };
    let on_interface = program_ids(ifindex);
    let here = match on_interface {
        Ok(programs) => find(&|program| program.is_among(programs)),
        Err(error) if is_out_of_files(error) => {
            let tried = format!("asking for the XDP program of {name}");
            return Err(out_of_files(tried, error));
        }
        // A sandbox forbids netlink.
        Err(_) => None,
    };
    let attached = match here {
        Some(program) => Ok((program, false)),
        None => Program::attach(ifindex, name, queues, mode, fan_out, locked)
            .map(|program| (Arc::new(program), true)),
    };
    let (program, is_new) = match attached {
        // The kernel does not say whose program is there.
        Err(error) if error.kind() == ErrorKind::Busy && on_interface.is_err() => {
            let program = find(&|program| program.may_be_on(ifindex));
            (program.ok_or(error)?, false)
        }
        attached => attached?,
    };
    let mode = if is_new {
        list.push(Arc::downgrade(&program));
        program.xdp_mode().clone()
    } else {
        let mode = join(&program, name, mode)?;
        if fan_out {
            program.allow_fan_out(locked)?;
        }
        mode
    };
    // Not before: dropping a share takes the lock.
    drop(list);
    Ok(SharedProgram {
        program: Some(program),
        mode,
        interface: name.to_owned(),
        process: Process::current(),
    })
}

/// The answer to a wish for a mode by a program that is there already.
fn join(program: &Program, name: &str, mode: XdpMode) -> Result<Answer<XdpMode>> {
    let first = program.xdp_mode();
    if mode == XdpMode::Auto {
        let mut answer = first.clone();
        if first.achieved == XdpMode::Generic && first.requested == XdpMode::Generic {
            answer.reason =
                Some("another socket of this process asked for generic mode".to_owned());
        }
        answer.requested = mode;
        Ok(answer)
    } else if mode == first.achieved {
        Ok(Answer::granted(mode, mode))
    } else {
        Err(FluxError::new(
            ErrorKind::Busy,
            errno::EBUSY,
            format_args!("attaching the XDP program to {name} in {mode:?} mode"),
            format_args!(
                "this process has attached it in {:?} mode for another socket",
                first.achieved
            ),
            "ask for the same mode for all queues of an interface",
        ))
    }
}

impl SharedProgram {
    fn program(&self) -> &Program {
        self.program.as_ref().expect("taken in drop alone")
    }
}

impl SharedProgram {
    fn is_forked(&self) -> bool {
        !self.process.is_current()
    }
}

impl Drop for SharedProgram {
    fn drop(&mut self) {
        if self.is_forked() {
            // Detaching would take the parent's packets away. The child's descriptors go with its process.
            std::mem::forget(self.program.take());
            return;
        }
        let _list = attached();
        drop(self.program.take());
    }
}

impl Steering for SharedProgram {
    fn insert(&self, key: MapKey, socket: &dyn Socket) -> Result<()> {
        self.program().insert(key, descriptor(socket)?)
    }

    fn remove(&self, key: MapKey) -> Result<()> {
        if self.is_forked() {
            return Ok(());
        }
        self.program().remove(key)
    }

    fn fan_out(&self, queue: u32, fanout: FanOut) -> Result<()> {
        if self.is_forked() {
            return Ok(());
        }
        self.program().fan_out(queue, fanout)
    }

    fn counters(&self) -> Result<Option<ProgramCounters>> {
        self.program().counters().map(Some)
    }

    fn check(&self) -> Result<()> {
        if self.is_forked() || self.program().is_attached() {
            return Ok(());
        }
        Err(FluxError::new(
            ErrorKind::Gone,
            errno::ENODEV,
            format_args!("waiting for packets from {}", self.interface),
            "its XDP program was taken off or replaced by somebody else, or the interface was removed: no packets come any more",
            "close all sockets of the interface, and open them anew (`bpftool net` shows what is attached now)",
        ))
    }

    fn xdp_mode(&self) -> Option<Answer<XdpMode>> {
        Some(self.mode.clone())
    }
}

impl fmt::Debug for SharedProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedProgram")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// The descriptor of a socket, which has it open.
fn descriptor(socket: &dyn Socket) -> Result<BorrowedFd<'_>> {
    socket.fd().ok_or_else(|| {
        FluxError::invalid(
            "directing packets to a socket",
            "it is not a socket of this kernel",
            "use program and socket of the same interface",
        )
    })
}

/// The XSKMAP of a program that the user has attached.
#[derive(Debug)]
pub(crate) struct UserProgram(UserMap);

/// Takes a copy of the descriptor of an XSKMAP.
pub(crate) fn user_map(map: BorrowedFd<'_>) -> Result<UserProgram> {
    UserMap::new(map).map(UserProgram)
}

impl Steering for UserProgram {
    fn insert(&self, key: MapKey, socket: &dyn Socket) -> Result<()> {
        self.0.insert(key, descriptor(socket)?)
    }

    fn remove(&self, key: MapKey) -> Result<()> {
        self.0.remove(key)
    }

    fn fan_out(&self, queue: u32, fanout: FanOut) -> Result<()> {
        if fanout.sockets < 2 {
            return Ok(());
        }
        Err(FluxError::new(
            ErrorKind::Unsupported,
            errno::EOPNOTSUPP,
            format_args!("sharing queue {queue} out among {} sockets", fanout.sockets),
            "the XSKMAP was given, and its own program decides where packets go",
            "use the bundled program, or direct the packets by yours",
        ))
    }

    fn counters(&self) -> Result<Option<ProgramCounters>> {
        Ok(None)
    }

    fn xdp_mode(&self) -> Option<Answer<XdpMode>> {
        None
    }
}
