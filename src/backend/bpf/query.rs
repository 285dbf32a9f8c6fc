//! Which XDP program is on an interface, and who holds it there.

use std::ffi::{CStr, c_void};
use std::fmt;
use std::io;
use std::mem::{offset_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libbpf_sys::{bpf_link_info, bpf_prog_info, bpf_xdp_query_opts};

use crate::backend::bpf::object::{LibbpfSilencer, check, is_bundled};
use crate::backend::linux::errors::{is_out_of_files, out_of_files};
use crate::error::{ErrorKind, FluxError, Result};

/// The place on an interface where an XDP program sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
    /// In the network card.
    Offload,
}

/// What keeps an XDP program on its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The `bpf_link` of this id, until the last process that has it open ends.
    Link(u32),
    /// The interface itself, until somebody takes the program off by netlink.
    Netlink,
    /// Not known: looking it up needs CAP_SYS_ADMIN.
    Unknown,
}

/// An XDP program on an interface, whoever attached it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignProgram {
    /// The kernel's id of the program.
    pub(crate) id: u32,
    /// Its name; `None` without CAP_SYS_ADMIN or a name.
    pub(crate) name: Option<String>,
    /// Where it runs.
    pub(crate) hook: Hook,
    /// What keeps it there.
    pub(crate) holder: Holder,
}

impl ForeignProgram {
    /// Whether another process holds it that uses this library, too.
    fn is_bundled(&self) -> bool {
        let name = self.name.as_deref();
        self.holder != Holder::Netlink && name.is_some_and(is_bundled)
    }

    /// What a person does about it.
    pub(crate) fn removal(&self, interface: &str) -> String {
        if self.name.as_deref() == Some(DISPATCHER) {
            return format!(
                "`xdp-loader unload {interface} --all` takes it off, with all programs that it runs"
            );
        }
        let off = match self.hook {
            Hook::Native => "xdp",
            Hook::Generic => "xdpgeneric",
            Hook::Offload => "xdpoffload",
        };
        let off = format!("`ip link set dev {interface} {off} off`");
        let end = if self.is_bundled() {
            format!(
                "one process has to open all queues of {interface}: open this one there, or end that process"
            )
        } else {
            "end the process that holds it".to_owned()
        };
        match self.holder {
            Holder::Link(id) => format!("{end}, or `bpftool link detach id {id}`"),
            Holder::Netlink => format!("{off} takes it off"),
            Holder::Unknown => format!(
                "{end}, or {off}; with CAP_SYS_ADMIN this message would name it, and if it belongs to another process with this library, \
                 one process has to open all queues"
            ),
        }
    }
}

/// The program that libxdp attaches to run several others.
const DISPATCHER: &str = "xdp_dispatcher";

impl fmt::Display for ForeignProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hook = match self.hook {
            Hook::Native => "native",
            Hook::Generic => "generic",
            Hook::Offload => "offload",
        };
        match &self.name {
            Some(name) => write!(f, "program `{name}` (id {}", self.id)?,
            None => write!(f, "a program (id {}", self.id)?,
        }
        write!(f, ", {hook} mode")?;
        match self.holder {
            Holder::Link(id) => write!(f, ", attached by bpf_link {id})"),
            Holder::Netlink => write!(f, ", attached by netlink)"),
            Holder::Unknown => write!(f, ")"),
        }?;
        if self.is_bundled() {
            write!(f, " of another process with this library")?;
        }
        Ok(())
    }
}

/// The ids of the programs on an interface of this thread's network namespace: native, generic, offloaded. 0 is none.
pub(crate) fn program_ids(ifindex: u32) -> Result<[u32; 3], i32> {
    let mut found = bpf_xdp_query_opts {
        // Without the fields after the ids: they would cost another request, which old kernels do not know.
        sz: offset_of!(bpf_xdp_query_opts, feature_flags) as _,
        ..Default::default()
    };
    let _silencer = LibbpfSilencer::new();
    // SAFETY: `found` is at least as large as its `sz` says.
    check(unsafe { libbpf_sys::bpf_xdp_query(ifindex as i32, 0, &mut found) })?;
    Ok([found.drv_prog_id, found.skb_prog_id, found.hw_prog_id])
}

/// Whether the driver says that it has zero-copy for AF_XDP; `None` where the kernel does not tell (before Linux 6.3).
pub(crate) fn claims_zero_copy(ifindex: u32) -> Option<bool> {
    // `enum netdev_xdp_act`, include/uapi/linux/netdev.h.
    const BASIC: u64 = 1 << 0;
    const XSK_ZEROCOPY: u64 = 1 << 3;
    let mut found = bpf_xdp_query_opts {
        sz: size_of::<bpf_xdp_query_opts>() as _,
        ..Default::default()
    };
    let _silencer = LibbpfSilencer::new();
    // SAFETY: `found` is as large as its `sz` says.
    check(unsafe { libbpf_sys::bpf_xdp_query(ifindex as i32, 0, &mut found) }).ok()?;
    // An older kernel, or a driver without XDP.
    (found.feature_flags & BASIC != 0).then_some(found.feature_flags & XSK_ZEROCOPY != 0)
}

/// The XDP program on an interface, if there is one; the native one first if there are two.
///
/// It names any program, also one of this process: the caller knows which are its own.
pub(crate) fn foreign(ifindex: u32) -> Result<Option<ForeignProgram>> {
    let ids = program_ids(ifindex).map_err(|error| {
        let tried = format!("asking for the XDP program of interface {ifindex}");
        if is_out_of_files(error) {
            return out_of_files(tried, error);
        }
        FluxError::new(
            ErrorKind::System,
            error,
            tried,
            io::Error::from_raw_os_error(error),
            "netlink must be allowed in this sandbox",
        )
    })?;
    Ok(ids
        .into_iter()
        .zip([Hook::Native, Hook::Generic, Hook::Offload])
        .find(|&(id, _)| id != 0)
        .map(|(id, hook)| ForeignProgram {
            id,
            name: program_name(id),
            hook,
            holder: holder(id, ifindex),
        }))
}

/// The name of a program, if it has one and this process may know it.
fn program_name(id: u32) -> Option<String> {
    // SAFETY: takes a number, returns a descriptor or an error.
    let program = owned(unsafe { libbpf_sys::bpf_prog_get_fd_by_id(id) }).ok()?;
    let info: bpf_prog_info = info(program.as_fd()).ok()?;
    // SAFETY: the kernel ends the name within its field, and the field was zeroed before.
    let name = unsafe { CStr::from_ptr(info.name.as_ptr()) };
    let name = name.to_string_lossy().into_owned();
    (!name.is_empty()).then_some(name)
}

/// Looks through all links of the machine for the one that holds this program on this interface.
fn holder(program: u32, ifindex: u32) -> Holder {
    let mut id = 0;
    loop {
        // SAFETY: the call reads the first number and writes the second.
        match check(unsafe { libbpf_sys::bpf_link_get_next_id(id, &mut id) }) {
            Ok(_) => {}
            Err(libc::ENOENT) => return Holder::Netlink,
            Err(_) => return Holder::Unknown,
        }
        // SAFETY: takes a number, returns a descriptor or an error.
        match owned(unsafe { libbpf_sys::bpf_link_get_fd_by_id(id) }) {
            Ok(link) => {
                let wanted = LinkTarget { program, ifindex };
                if link_target(link.as_fd()).is_ok_and(|target| target == wanted) {
                    return Holder::Link(id);
                }
            }
            // It was closed since, or another process is just making it.
            Err(libc::ENOENT | libc::EAGAIN) => {}
            Err(_) => return Holder::Unknown,
        }
    }
}

/// What a link connects.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LinkTarget {
    /// The id of the program.
    pub(super) program: u32,
    /// The interface; 0 after a detach, or for a link of another kind.
    pub(super) ifindex: u32,
}

/// Asks a link what it connects.
pub(super) fn link_target(link: BorrowedFd<'_>) -> Result<LinkTarget, i32> {
    let info: bpf_link_info = info(link)?;
    let ifindex = if info.type_ == libbpf_sys::BPF_LINK_TYPE_XDP {
        // SAFETY: the type says that this member of the union is the one that was written; it is a number.
        unsafe { info.__bindgen_anon_1.xdp.ifindex }
    } else {
        0
    };
    Ok(LinkTarget {
        program: info.prog_id,
        ifindex,
    })
}

/// The kernel's structures that describe a BPF object, and ask for nothing when they are all zero.
///
/// # Safety
///
/// The type is plain data of the kernel's `bpf_…_info`, for which all zeros are valid.
pub(super) unsafe trait Info {}

// SAFETY: numbers, arrays of numbers, and unions of them.
unsafe impl Info for bpf_prog_info {}
// SAFETY: as above.
unsafe impl Info for bpf_link_info {}
// SAFETY: as above.
unsafe impl Info for libbpf_sys::bpf_map_info {}

/// What the kernel says of a BPF object. The caller knows that `object` is of the kind that `T` describes.
pub(super) fn info<T: Info>(object: BorrowedFd<'_>) -> Result<T, i32> {
    // SAFETY: all zeros are valid, as `Info` promises.
    let mut info: T = unsafe { zeroed() };
    let mut length = size_of::<T>() as u32;
    // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes. An object of another kind
    // writes other numbers, which are valid too; it follows no pointer, for they are all NULL.
    check(unsafe {
        libbpf_sys::bpf_obj_get_info_by_fd(
            object.as_raw_fd(),
            (&raw mut info).cast::<c_void>(),
            &mut length,
        )
    })?;
    Ok(info)
}

/// Takes over a descriptor that libbpf returned, or its negative errno.
pub(super) fn owned(result: i32) -> Result<OwnedFd, i32> {
    let fd = check(result)?;
    // SAFETY: a new descriptor, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
