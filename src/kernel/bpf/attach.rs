//! The program on an interface: by `bpf_link`, in native or in generic mode.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use libbpf_sys::{XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};

use super::object::{ENOTSUPP, check};
use super::query;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::kernel::linux::errors::{is_out_of_files, out_of_files, unexpected};
use crate::kernel::linux::privileges::{Right, program_refusal};
use crate::report::{Answer, XdpMode};

/// Attaches a loaded program, and says where it runs. Closing the descriptor takes it off.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    ifindex: u32,
    interface: &str,
    mode: XdpMode,
    locked: u64,
) -> Result<(OwnedFd, Answer<XdpMode>)> {
    let attempt = |mode| {
        let flags = match mode {
            XdpMode::Generic => XDP_FLAGS_SKB_MODE,
            XdpMode::Native | XdpMode::Auto => XDP_FLAGS_DRV_MODE,
        };
        link(program, ifindex, flags).map_err(|error| Refused {
            mode,
            error,
            locked,
        })
    };
    match mode {
        XdpMode::Native | XdpMode::Generic => attempt(mode)
            .map(|link| (link, Answer::granted(mode, mode)))
            .map_err(|refused| refused.explain(ifindex, interface)),
        XdpMode::Auto => {
            let native = match attempt(XdpMode::Native) {
                Ok(link) => return Ok((link, Answer::granted(mode, XdpMode::Native))),
                Err(refused) => refused,
            };
            if native.is_final(ifindex) {
                return Err(native.explain(ifindex, interface));
            }
            match attempt(XdpMode::Generic) {
                Ok(link) => Ok((
                    link,
                    Answer::refused(mode, XdpMode::Generic, native.reason()),
                )),
                Err(generic) => Err(generic
                    .explain(ifindex, interface)
                    .with_note(format_args!("before that, {}", native.reason()))),
            }
        }
    }
}

fn link(program: BorrowedFd<'_>, ifindex: u32, flags: u32) -> Result<OwnedFd, i32> {
    let options = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as _,
        flags,
        ..Default::default()
    };
    // SAFETY: the descriptor is open, and `options` is a complete structure of its stated size.
    query::owned(unsafe {
        libbpf_sys::bpf_link_create(
            program.as_raw_fd(),
            ifindex as i32,
            libbpf_sys::BPF_XDP,
            &options,
        )
    })
}

/// Puts another program in the place of the one that a link holds, without a gap.
pub(super) fn replace(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: both descriptors are open; no options.
    let result = unsafe {
        libbpf_sys::bpf_link_update(link.as_raw_fd(), program.as_raw_fd(), std::ptr::null())
    };
    check(result).map(drop).map_err(|error| {
        let tried = "putting the XDP program for fan-out in the place of the plain one";
        match error {
            // The link lost its interface.
            libc::ENOLINK => FluxError::new(
                ErrorKind::Gone,
                errno::ENODEV,
                tried,
                "somebody took it off, or the interface was removed",
                "close the sockets of the interface, and open them anew",
            ),
            _ => unexpected(tried, error),
        }
    })
}

/// An attempt that the kernel refused.
struct Refused {
    mode: XdpMode,
    error: i32,
    /// The packet memory to come.
    locked: u64,
}

impl Refused {
    /// Whether the other mode would be refused for the same reason.
    fn is_final(&self, ifindex: u32) -> bool {
        match self.error {
            errno::EPERM | errno::EBUSY | errno::EEXIST | errno::ENODEV => true,
            error if is_out_of_files(error) => true,
            _ => !exists(ifindex),
        }
    }

    fn is_native(&self) -> bool {
        self.mode != XdpMode::Generic
    }

    fn mode_name(&self) -> &'static str {
        if self.is_native() {
            "native"
        } else {
            "generic"
        }
    }

    /// One clause that says what was refused and why.
    fn reason(&self) -> String {
        format!("{} mode was refused: {}", self.mode_name(), self.happened())
    }

    /// What the kernel said, and what that means.
    fn happened(&self) -> String {
        let said = match self.error {
            ENOTSUPP => "Not supported (error 524)".to_owned(),
            error => io::Error::from_raw_os_error(error).to_string(),
        };
        format!("{said}: {}", self.cause())
    }

    /// The likely cause of the refusal. The kernel itself gives a `bpf_link` nothing but the number.
    fn cause(&self) -> &'static str {
        let native = self.is_native();
        match self.error {
            errno::EOPNOTSUPP | ENOTSUPP if native => {
                "the driver has no XDP, or none with the interface's queues and offloads"
            }
            libc::ERANGE if native => "the MTU, for veth that of the peer, is too large for XDP",
            errno::EINVAL if native => {
                "the driver does not allow XDP with the interface's MTU, LRO, or number of queues"
            }
            errno::ENOSPC if native => {
                "the interface has fewer receive queues than the peer has transmit queues, or no queues left for XDP"
            }
            errno::ENOMEM if native => "no memory, or no transmit queues left for XDP",
            libc::ENOTCONN if native => "the interface has no peer",
            errno::EEXIST | errno::EBUSY => {
                "an XDP program of a bond or bridge above the interface is in the way, or one was taken off just now"
            }
            _ => "the kernel did not say why",
        }
    }

    /// The error for the user, after asking the kernel for what it did not say.
    fn explain(self, ifindex: u32, interface: &str) -> FluxError {
        let tried = format!(
            "attaching the XDP program to {interface} in {} mode",
            self.mode_name()
        );
        match self.error {
            errno::EPERM => return program_refusal(&tried, &Right::PROGRAM, self.locked),
            error if is_out_of_files(error) => return out_of_files(tried, error),
            errno::EBUSY | errno::EEXIST => {
                if let Ok(Some(foreign)) = query::foreign(ifindex) {
                    return FluxError::new(
                        ErrorKind::Busy,
                        errno::EBUSY,
                        tried,
                        format_args!("{foreign} is already there, and was left alone"),
                        foreign.removal(interface),
                    );
                }
            }
            // A missing interface is EINVAL to the kernel, like much else.
            errno::EINVAL | errno::ENODEV if !exists(ifindex) => {
                return FluxError::new(
                    ErrorKind::NotFound,
                    errno::ENODEV,
                    tried,
                    format_args!("there is no interface with index {ifindex}"),
                    "look at `ip link`; each network namespace has its own interfaces",
                );
            }
            _ => {}
        }
        let native = self.is_native();
        let (kind, fix) = match self.error {
            errno::EBUSY | errno::EEXIST => (ErrorKind::Busy, "look at `ip -d link` and try again"),
            errno::ENOMEM => (
                ErrorKind::Memory,
                "free memory, or lower the number of queues (`ethtool -L`)",
            ),
            libc::ERANGE | errno::EINVAL if native => (
                ErrorKind::Unsupported,
                "lower the MTU (`ip link set mtu`), switch LRO off (`ethtool -K … lro off`), or use generic mode",
            ),
            errno::ENOSPC if native => (
                ErrorKind::Unsupported,
                "give both ends as many queues (`ethtool -L`), or use generic mode",
            ),
            errno::EOPNOTSUPP | ENOTSUPP if native => (ErrorKind::Unsupported, "use generic mode"),
            errno::EOPNOTSUPP | ENOTSUPP | errno::EINVAL => {
                (ErrorKind::Unsupported, "use another interface")
            }
            _ => (ErrorKind::System, "the kernel log may say more (`dmesg`)"),
        };
        let number = match self.error {
            ENOTSUPP => errno::EOPNOTSUPP,
            errno::EEXIST => errno::EBUSY,
            other => other,
        };
        FluxError::new(kind, number, tried, self.happened(), fix)
    }
}

fn exists(ifindex: u32) -> bool {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the size that the call asks for.
    let found = unsafe { libc::if_indextoname(ifindex, name.as_mut_ptr()) };
    !found.is_null()
}
