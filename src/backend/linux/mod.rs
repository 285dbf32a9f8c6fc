//! Network interfaces and AF_XDP sockets of this Linux machine.
//!
//! - `mod`: the traits of the seam ([`Backend`], [`Socket`]) over the other files; `uapi`: the kernel's constants and structures;
//! - opening: `interface` (names, queues, driver; ioctl, sysfs), `netlink` (alternative names, removals), `memory` (packet memory,
//!   hugepages, NUMA), `socket` (an AF_XDP socket and its rings), `af_xdp` (system calls on it), `bind` (to a queue), `notes` (what the
//!   interface does to packets);
//! - running: `wait` (wake the kernel, wait for it), `event_fd` and `async_fd` (descriptors to poll), `thread` (CPUs, cancellation);
//! - closing: `release` (when the kernel has let go of a queue's frames);
//! - errors: `errors` (system calls, and trying again), `rights` (capabilities and locked memory).
//!
//! A file imports only from files that come before it on one of the ways `errors` → `rights` → `af_xdp` → `release` → `socket` → `bind` → `wait` →
//! `mod` and `errors` → `netlink` → `interface` → `socket`. The XDP program is in `backend::bpf`. An interface is looked up in the network
//! namespace of the thread that names it.

mod af_xdp;
#[cfg(feature = "async")]
mod async_fd;
mod bind;
pub(crate) mod errors;
mod event_fd;
mod interface;
mod memory;
mod netlink;
mod notes;
mod release;
pub(crate) mod rights;
mod socket;
#[cfg(test)]
pub(crate) mod tests;
mod thread;
mod uapi;
mod wait;

use std::ffi::CStr;
use std::fmt;
use std::mem::zeroed;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "async")]
pub(crate) use async_fd::{Readiness, TaskFd};
#[cfg(feature = "capi")]
pub(crate) use event_fd::duplicate;
pub(crate) use event_fd::{WaitFd, ready_fd, stop_signal};
use interface::{IoctlSocket, Namespace, no_such_interface};
use socket::XdpSocket;
pub(crate) use thread::{CancelGuard, coarse_time, cpus, pin};

use crate::backend::{
    Allocation, Backend, Bound, Interest, Interface, Kick, MemoryRequest, Opened, Ready, Sharing,
    Socket, SocketRequest, Steering, WaitSet, bpf,
};
use crate::error::{FluxError, Result};
use crate::report::XdpMode;
use crate::stats::SocketStatistics;
use crate::umem::UmemRegion;

/// Room for sockets in the map of an XDP program, at least: queues can be added while it is attached.
const MIN_QUEUES: u32 = 64;

/// The interface of this name in the network namespace of this thread.
pub(crate) fn by_name(name: &str) -> Arc<dyn Backend> {
    Arc::new(LinuxInterface::by_name(name))
}

/// The interface of this index in the network namespace of this thread.
pub(crate) fn by_index(index: u32) -> Arc<dyn Backend> {
    Arc::new(LinuxInterface::by_index(index))
}

/// The path that a C program means: any bytes.
#[cfg(feature = "capi")]
pub(crate) fn path(name: &std::ffi::CStr) -> Result<std::path::PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Ok(std::ffi::OsStr::from_bytes(name.to_bytes()).into())
}

/// A network interface of this machine. Whether it exists is seen at each use.
#[derive(Debug)]
pub(crate) struct LinuxInterface {
    selector: Selector,
    /// That of the thread which named it; `None` where that could not be found out.
    namespace: Option<Namespace>,
}

#[derive(Debug)]
enum Selector {
    Name(String),
    Index(u32),
}

impl LinuxInterface {
    pub(crate) fn by_name(name: &str) -> Self {
        Self::new(Selector::Name(name.to_owned()))
    }

    pub(crate) fn by_index(index: u32) -> Self {
        Self::new(Selector::Index(index))
    }

    fn new(selector: Selector) -> Self {
        Self {
            selector,
            namespace: IoctlSocket::open().ok().and_then(|ioctl| ioctl.namespace()),
        }
    }

    /// The index of the interface, and a way to ask about it.
    fn find(&self) -> Result<(IoctlSocket, u32)> {
        let ioctl = IoctlSocket::open()?;
        // In another network namespace name and index mean another interface, or none.
        if let (Some(here), Some(there)) = (ioctl.namespace(), self.namespace)
            && here != there
        {
            return Err(FluxError::invalid(
                format_args!("using {self} on this thread"),
                "it belongs to another network namespace than the thread",
                "name the interface on the thread that uses it, after entering the namespace",
            ));
        }
        let index = match &self.selector {
            Selector::Name(name) => ioctl.index(name)?,
            Selector::Index(0) => {
                return Err(FluxError::invalid(
                    "looking for an interface by its index",
                    "the index is 0, and they begin at 1",
                    "give a name, or an index of `ip link`",
                ));
            }
            Selector::Index(index) if ioctl.name(*index).is_some() => *index,
            Selector::Index(_) => return Err(no_such_interface(format!("looking for {self}"))),
        };
        Ok((ioctl, index))
    }
}

impl fmt::Display for LinuxInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.selector {
            Selector::Name(name) => write!(f, "the interface {name:?}"),
            Selector::Index(index) => write!(f, "the interface with index {index}"),
        }
    }
}

// SAFETY: the memory is a new mapping each time; the rings are mapped once from a new socket; the kernel keeps to the rules of its rings
// and pins the packet memory; `ReleaseProbe` reports a queue as released only after the kernel has shown it.
unsafe impl Backend for LinuxInterface {
    fn interface(&self) -> Result<Interface> {
        let (ioctl, index) = self.find()?;
        ioctl.interface(index)
    }

    fn allocate(&self, request: &MemoryRequest) -> Result<Allocation> {
        memory::allocate(request)
    }

    fn open(&self, request: &SocketRequest, umem: &UmemRegion) -> Result<Opened> {
        let (ioctl, index) = self.find()?;
        socket::open(ioctl, index, request, umem)
    }

    fn share(
        &self,
        request: &SocketRequest,
        first: &Arc<dyn Socket>,
        umem: &UmemRegion,
    ) -> Result<Sharing> {
        let (ioctl, index) = self.find()?;
        socket::share(ioctl, index, request, first, umem)
    }

    fn attach(&self, mode: XdpMode, fan_out: bool, locked: u64) -> Result<Arc<dyn Steering>> {
        let (ioctl, index) = self.find()?;
        let name = ioctl.interface(index)?.name;
        let most = ioctl.queues(&name, index).map_or(0, |queues| queues.max_rx);
        let program = bpf::attach(index, &name, most.max(MIN_QUEUES), mode, fan_out, locked)?;
        Ok(Arc::new(program))
    }

    fn notes(&self, mode: Option<XdpMode>) -> Vec<String> {
        let found = self.find().ok();
        let named = found.and_then(|(ioctl, index)| Some((ioctl.name(index)?, ioctl)));
        named.map_or_else(Vec::new, |(name, ioctl)| notes::notes(&ioctl, &name, mode))
    }

    fn user_map(&self, map: BorrowedFd<'_>) -> Result<Arc<dyn Steering>> {
        Ok(Arc::new(bpf::user_map(map)?))
    }
}

impl Socket for XdpSocket {
    fn bind(&self) -> Result<Bound> {
        bind::bind(self)
    }

    fn wake_rx(&self) -> Result<()> {
        self.process().check("waking the kernel to receive")?;
        wait::wake_rx(self)
    }

    fn wake_tx(&self) -> Result<Kick> {
        self.process().check("waking the kernel to send")?;
        wait::wake_tx(self)
    }

    fn wait(
        &self,
        interest: Interest,
        timeout: Option<Duration>,
        wait_set: &WaitSet<'_>,
    ) -> Result<Ready> {
        self.process().check("waiting for packets")?;
        wait::wait(self, interest, timeout, wait_set)
    }

    fn spin(&self) {
        wait::spin(self);
    }

    fn check(&self) -> Result<()> {
        self.process().check("looking for packets")?;
        wait::check(self)
    }

    fn statistics(&self) -> Result<SocketStatistics> {
        af_xdp::statistics(self.fd.as_fd())
    }

    fn describe(&self) -> String {
        let name = self.interface_name();
        let driver = self.ioctl.driver(&name);
        let driver = driver.as_deref().unwrap_or("unknown");
        format!("driver {driver} on {name}, Linux {}", kernel_release())
    }

    fn rx_queues(&self) -> Option<u32> {
        let name = self.ioctl.name(self.ifindex)?;
        let queues = self.ioctl.queues(&name, self.ifindex);
        queues.map(|queues| queues.rx)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }
}

/// The release of the running kernel, such as "6.18.0".
fn kernel_release() -> String {
    // SAFETY: arrays of bytes: all zeros are valid.
    let mut names: libc::utsname = unsafe { zeroed() };
    // SAFETY: the kernel writes one `utsname`.
    if unsafe { libc::uname(&mut names) } != 0 {
        return "of an unknown release".to_owned();
    }
    // SAFETY: the kernel ends the release within its array, and zeros would, too.
    let release = unsafe { CStr::from_ptr(names.release.as_ptr()) };
    release.to_string_lossy().into_owned()
}
