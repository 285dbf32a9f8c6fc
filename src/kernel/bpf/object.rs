//! The compiled program, embedded in the library, and its way into the kernel.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::kernel::MEMBERS;
use crate::kernel::linux::errors::{is_out_of_files, out_of_files};
use crate::kernel::linux::privileges::{self, Right, program_refusal};

/// ELF structures are read in place, so the bytes start where they may.
#[repr(C, align(16))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!("../../../bpf/fluxcap.bpf.o"));

/// Room for the verifier's log. It is address space only, until the verifier writes it.
const LOG_SIZE: usize = 1 << 20;

/// Error numbers from here on are libbpf's own (`LIBBPF_ERRNO__…`): the object does not fit this machine.
const LIBBPF_ERRNO_START: i32 = 4000;

/// The kernel's internal "not supported", which leaks from `bpf()`; no libc knows it.
pub(super) const ENOTSUPP: i32 = 524;

/// The two programs of the object. Both use the same maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// All packets of a queue go to its first socket.
    Plain,
    /// Packets of a queue are shared out among its sockets. Loading it takes CAP_PERFMON, too.
    FanOut,
}

impl Variant {
    fn name(self) -> &'static CStr {
        match self {
            Self::Plain => c"fluxcap_xdp",
            Self::FanOut => c"fluxcap_fan_out",
        }
    }

    fn of(fan_out: bool) -> Self {
        if fan_out { Self::FanOut } else { Self::Plain }
    }
}

/// Whether a program of this name is one of this library, in this process or another one.
pub(super) fn is_bundled(name: &str) -> bool {
    [Variant::Plain, Variant::FanOut]
        .iter()
        .any(|variant| variant.name().to_bytes() == name.as_bytes())
}

/// The maps that a program is loaded with.
#[derive(Clone, Copy)]
pub(super) enum Maps<'a> {
    /// New ones, with room for the sockets of so many queues, at least of one.
    New { queues: u32 },
    /// Those of a program that was loaded before.
    Shared {
        sockets: BorrowedFd<'a>,
        fanouts: BorrowedFd<'a>,
        counters: BorrowedFd<'a>,
    },
}

/// A program and its maps in the kernel, not attached to anything yet.
pub(super) struct Loaded {
    pub(super) program: OwnedFd,
    pub(super) sockets: OwnedFd,
    pub(super) fanouts: OwnedFd,
    pub(super) counters: OwnedFd,
}

/// Loads one of the programs. `locked` is the packet memory to come, for a refusal.
pub(super) fn load(fan_out: bool, maps: Maps<'_>, locked: u64) -> Result<Loaded> {
    // Multi-buffer packets where the kernel knows them (5.18), without them elsewhere.
    load_with(fan_out, maps, &[libbpf_sys::BPF_F_XDP_HAS_FRAGS, 0], locked)
}

/// Loads with the first of these program flags that the kernel knows.
pub(super) fn load_with(
    fan_out: bool,
    maps: Maps<'_>,
    flags: &[u32],
    locked: u64,
) -> Result<Loaded> {
    let variant = Variant::of(fan_out);
    let _quiet = Quiet::new();
    let mut log = log_buffer()?;
    let mut error = errno::EINVAL;
    for &flags in flags {
        match load_once(variant, maps, flags, &mut log) {
            Ok(loaded) => return Ok(loaded),
            Err(refused) => error = refused,
        }
        // EINVAL without a word of the verifier: an unknown flag.
        if error != errno::EINVAL || log[0] != 0 {
            break;
        }
    }
    Err(refusal(variant, error, &log_tail(&log), locked))
}

/// Room for what the verifier says.
fn log_buffer() -> Result<Vec<u8>> {
    let mut log = Vec::new();
    if log.try_reserve_exact(LOG_SIZE).is_err() {
        return Err(FluxError::no_memory(
            "loading the XDP program",
            "free memory",
        ));
    }
    log.resize(LOG_SIZE, 0);
    Ok(log)
}

fn load_once(variant: Variant, maps: Maps<'_>, flags: u32, log: &mut [u8]) -> Result<Loaded, i32> {
    log[0] = 0;
    let object = Object::open(log)?;
    let raw = object.0.as_ptr();
    // SAFETY: `raw` is an open object until `object` is dropped, and the programs and maps that it
    // returns belong to it. libbpf answers NULL arguments with an error, and copies the descriptors that it is given.
    unsafe {
        for other in [Variant::Plain, Variant::FanOut] {
            let program = libbpf_sys::bpf_object__find_program_by_name(raw, other.name().as_ptr());
            check(libbpf_sys::bpf_program__set_autoload(
                program,
                other == variant,
            ))?;
        }
        let program = libbpf_sys::bpf_object__find_program_by_name(raw, variant.name().as_ptr());
        let map = |name: &CStr| libbpf_sys::bpf_object__find_map_by_name(raw, name.as_ptr());
        let names = [c"xsks_map", c"fanouts", c"counters"];
        let [sockets, fanouts, counters] = names.map(map);
        match maps {
            Maps::New { queues } => {
                let queues = queues.clamp(1, u32::MAX / MEMBERS);
                let places = queues * MEMBERS;
                check(libbpf_sys::bpf_map__set_max_entries(sockets, places))?;
                check(libbpf_sys::bpf_map__set_max_entries(fanouts, queues))?;
            }
            Maps::Shared {
                sockets: own_sockets,
                fanouts: own_fanouts,
                counters: own_counters,
            } => {
                let own = [own_sockets, own_fanouts, own_counters];
                for (map, own) in [sockets, fanouts, counters].into_iter().zip(own) {
                    check(libbpf_sys::bpf_map__reuse_fd(map, own.as_raw_fd()))?;
                }
            }
        }
        check(libbpf_sys::bpf_program__set_flags(program, flags))?;
        check(libbpf_sys::bpf_object__load(raw))?;
        Ok(Loaded {
            program: duplicate(libbpf_sys::bpf_program__fd(program))?,
            sockets: duplicate(libbpf_sys::bpf_map__fd(sockets))?,
            fanouts: duplicate(libbpf_sys::bpf_map__fd(fanouts))?,
            counters: duplicate(libbpf_sys::bpf_map__fd(counters))?,
        })
    }
}

/// A libbpf object; dropping it closes libbpf's own descriptors.
struct Object(NonNull<libbpf_sys::bpf_object>);

impl Object {
    /// Opens the embedded object. `log` must outlive it: the verifier writes there.
    fn open(log: &mut [u8]) -> Result<Self, i32> {
        let options = libbpf_sys::bpf_object_open_opts {
            sz: size_of::<libbpf_sys::bpf_object_open_opts>() as _,
            object_name: c"fluxcap".as_ptr(),
            kernel_log_buf: log.as_mut_ptr().cast(),
            kernel_log_size: log.len() as _,
            ..Default::default()
        };
        // SAFETY: the bytes are static and aligned, `options` is a complete structure of its stated size,
        // and the only caller keeps `log` borrowed for longer than the object lives.
        let object = unsafe {
            libbpf_sys::bpf_object__open_mem(
                OBJECT.0.as_ptr().cast(),
                OBJECT.0.len() as _,
                &options,
            )
        };
        NonNull::new(object).map(Self).ok_or_else(last_errno)
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: opened by `Object::open`, closed only here.
        unsafe { libbpf_sys::bpf_object__close(self.0.as_ptr()) };
    }
}

/// Our own copy of a descriptor that libbpf owns, or the error that stands in its place.
///
/// # Safety
///
/// `fd` is negative or open.
unsafe fn duplicate(fd: i32) -> Result<OwnedFd, i32> {
    check(fd)?;
    // SAFETY: not negative, so open, as the caller promises.
    unsafe { BorrowedFd::borrow_raw(fd) }
        .try_clone_to_owned()
        .map_err(|error| error.raw_os_error().unwrap_or(errno::EIO))
}

/// Turns libbpf's "negative errno" into a result.
pub(super) fn check(result: i32) -> Result<i32, i32> {
    if result < 0 { Err(-result) } else { Ok(result) }
}

fn last_errno() -> i32 {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(errno::EIO)
}

/// Keeps libbpf from writing to stderr: everything it would say is in the error.
///
/// The print function is one per process. Loads take turns, and each puts back what it found, so a program that uses
/// libbpf itself keeps its own. `LIBBPF_LOG_LEVEL` in the environment lets everything through.
pub(super) struct Quiet {
    previous: Option<libbpf_sys::libbpf_print_fn_t>,
    _turn: MutexGuard<'static, ()>,
}

impl Quiet {
    pub(super) fn new() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let previous = std::env::var_os("LIBBPF_LOG_LEVEL")
            .is_none()
            // SAFETY: libbpf exchanges the function atomically, and takes NULL for "print nothing".
            .then(|| unsafe { libbpf_sys::libbpf_set_print(None) });
        Self {
            previous,
            _turn: turn,
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(previous) = self.previous {
            // SAFETY: the function was in place before, put there by libbpf or by the program.
            unsafe { libbpf_sys::libbpf_set_print(previous) };
        }
    }
}

/// The last lines of the verifier's log, as one line; empty if it said nothing.
fn log_tail(log: &[u8]) -> String {
    let text = CStr::from_bytes_until_nul(log).map_or_else(
        |_| String::from_utf8_lossy(log),
        |text| text.to_string_lossy(),
    );
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("processed "))
        .collect();
    lines[lines.len().saturating_sub(4)..].join(" | ")
}

/// What it means that the kernel did not take the program.
fn refusal(variant: Variant, error: i32, log: &str, locked: u64) -> FluxError {
    let (tried, rights): (_, &[Right]) = match variant {
        Variant::Plain => ("loading the XDP program into the kernel", &Right::PROGRAM),
        Variant::FanOut => (
            "loading the XDP program for fan-out into the kernel",
            &Right::FAN_OUT,
        ),
    };
    let cause = match error {
        ENOTSUPP => "not supported by this kernel (error 524)".to_owned(),
        LIBBPF_ERRNO_START.. => format!("libbpf cannot use the object here (libbpf error {error})"),
        _ => io::Error::from_raw_os_error(error).to_string(),
    };
    let happened = if log.is_empty() {
        cause
    } else {
        format!("{cause}; the verifier's last words: {log}")
    };
    let (kind, number, fix) = match error {
        // The verifier also says EACCES and EPERM, but never without a log.
        errno::EPERM if log.is_empty() => return program_refusal(tried, rights, locked),
        // What it says depends on the kernel's version, but never passes without the right.
        errno::EPERM | errno::EACCES | errno::EINVAL
            if variant == Variant::FanOut && !privileges::has_right(Right::Perfmon) =>
        {
            return program_refusal(tried, rights, locked);
        }
        error if is_out_of_files(error) => return out_of_files(tried, error),
        libc::ENOSYS => (
            ErrorKind::Unsupported,
            error,
            "the kernel needs CONFIG_BPF_SYSCALL, and a container must not filter bpf()",
        ),
        errno::ENOMEM => (
            ErrorKind::Memory,
            error,
            "free memory, or raise the memory limit of the container or service (before Linux 5.11: `ulimit -l`)",
        ),
        errno::EPERM
        | errno::EACCES
        | errno::EINVAL
        | errno::E2BIG
        | errno::EOPNOTSUPP
        | ENOTSUPP
        | LIBBPF_ERRNO_START.. => (
            ErrorKind::Unsupported,
            match error {
                ENOTSUPP => errno::EOPNOTSUPP,
                LIBBPF_ERRNO_START.. => errno::EINVAL,
                _ => error,
            },
            "Linux 5.9 or newer with CONFIG_BPF_SYSCALL and CONFIG_XDP_SOCKETS is needed; \
             LIBBPF_LOG_LEVEL=debug shows libbpf's messages",
        ),
        _ => (
            ErrorKind::System,
            error,
            "LIBBPF_LOG_LEVEL=debug in the environment shows libbpf's messages",
        ),
    };
    FluxError::new(kind, number, tried, happened, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_verifier_log_is_its_last_lines_without_the_statistics() {
        let log = b"0: R1=ctx()\n1: (61) r2 = 1\n2: (79)\n3: (bf)\n\
            invalid access to packet\nprocessed 3 insns (limit 1000000)\n\0rest";
        assert_eq!(
            log_tail(log),
            "1: (61) r2 = 1 | 2: (79) | 3: (bf) | invalid access to packet"
        );
        assert_eq!(log_tail(b"\0"), "");
    }

    #[test]
    fn a_refusal_by_the_verifier_shows_its_last_words() {
        let error = refusal(Variant::Plain, errno::EACCES, "R2 is gone", 0);
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Unsupported, errno::EACCES)
        );
        assert!(error.to_string().contains("last words: R2 is gone"));
    }

    #[test]
    fn numbers_that_no_libc_knows_do_not_leave_the_library() {
        assert_eq!(
            refusal(Variant::Plain, ENOTSUPP, "", 0).errno(),
            errno::EOPNOTSUPP
        );
        assert_eq!(refusal(Variant::Plain, 4003, "", 0).errno(), errno::EINVAL);
    }
}
