//! The bundled XDP program, attached once for all sockets of this process on an interface; and the user's own.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::errors::{is_out_of_files, out_of_files};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::kernel::bpf::query::program_ids;
use crate::kernel::bpf::{Program, UserMap};
use crate::kernel::{FanOut, Place, Socket, Steering};
use crate::mem::Process;
use crate::report::{Answer, XdpMode};
use crate::stats::ProgramCounters;

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
pub(super) struct Share {
    /// `None` only while it is being dropped.
    program: Option<Arc<Program>>,
    mode: Answer<XdpMode>,
    /// The name of the interface when it was attached, for messages.
    interface: String,
    /// The process that attached it. A forked child has a copy of everything, but the program is not its own.
    process: Process,
}

/// Joins the program on the interface, or attaches it with room for `queues` sockets; `locked` as in
/// [`Backend::attach`](crate::kernel::Backend::attach).
pub(super) fn attach(
    ifindex: u32,
    name: &str,
    queues: u32,
    mode: XdpMode,
    fan_out: bool,
    locked: u64,
) -> Result<Share> {
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
    Ok(Share {
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

impl Share {
    fn program(&self) -> &Program {
        self.program.as_ref().expect("taken in drop alone")
    }
}

impl Share {
    fn is_forked(&self) -> bool {
        !self.process.is_current()
    }
}

impl Drop for Share {
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

impl Steering for Share {
    fn insert(&self, place: Place, socket: &dyn Socket) -> Result<()> {
        self.program().insert(place, descriptor(socket)?)
    }

    fn remove(&self, place: Place) -> Result<()> {
        if self.is_forked() {
            return Ok(());
        }
        self.program().remove(place)
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

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share")
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
pub(super) struct Foreign(UserMap);

/// Takes a copy of the descriptor of an XSKMAP.
pub(super) fn user_map(map: BorrowedFd<'_>) -> Result<Foreign> {
    UserMap::new(map).map(Foreign)
}

impl Steering for Foreign {
    fn insert(&self, place: Place, socket: &dyn Socket) -> Result<()> {
        self.0.insert(place, descriptor(socket)?)
    }

    fn remove(&self, place: Place) -> Result<()> {
        self.0.remove(place)
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
