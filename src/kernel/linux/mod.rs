//! A network interface of this Linux machine, behind the seam.
//!
//! Everything belongs to the network namespace of the thread that looked the interface up.

mod altname;
mod bell;
mod bind;
mod cancel;
mod cpu;
pub(crate) mod errors;
mod events;
mod hugepages;
mod interface;
mod memlock;
mod memory;
mod namespace;
mod notes;
mod options;
mod patience;
pub(crate) mod privileges;
#[cfg(feature = "async")]
mod ready;
mod release;
mod rings;
mod socket;
mod steering;
#[cfg(test)]
pub(crate) mod tests;
mod uapi;
mod wait;

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

pub(crate) use bell::alarm;
pub(crate) use bell::bell;
#[cfg(feature = "capi")]
pub(crate) use bell::duplicate;
pub(crate) use cancel::Uncancelled;
pub(crate) use cpu::{cpus, pin};
pub(crate) use events::Events;
use interface::{Control, absent};
use namespace::Namespace;
#[cfg(feature = "async")]
pub(crate) use ready::{Descriptor, Readiness};
pub(crate) use wait::coarse_time;

use super::{
    Allocation, Backend, Interface, MemoryRequest, Opened, Sharing, Socket, SocketRequest, Steering,
};
use crate::error::{FluxError, Result};
use crate::report::XdpMode;
use crate::umem::UmemRegion;

/// Room for sockets in the map of an XDP program, at least: queues can be added while it is attached.
const LEAST_QUEUES: u32 = 64;

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
    wanted: Wanted,
    /// That of the thread which named it; `None` where that could not be found out.
    namespace: Option<Namespace>,
}

#[derive(Debug)]
enum Wanted {
    Name(String),
    Index(u32),
}

impl LinuxInterface {
    pub(crate) fn by_name(name: &str) -> Self {
        Self::new(Wanted::Name(name.to_owned()))
    }

    pub(crate) fn by_index(index: u32) -> Self {
        Self::new(Wanted::Index(index))
    }

    fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            namespace: Control::open().ok().and_then(|control| control.namespace()),
        }
    }

    /// The index of the interface, and a way to ask about it.
    fn find(&self) -> Result<(Control, u32)> {
        let control = Control::open()?;
        // In another network namespace name and index mean another interface, or none.
        if let (Some(here), Some(there)) = (control.namespace(), self.namespace)
            && here != there
        {
            return Err(FluxError::invalid(
                format_args!("using {self} on this thread"),
                "it belongs to another network namespace than the thread",
                "name the interface on the thread that uses it, after entering the namespace",
            ));
        }
        let index = match &self.wanted {
            Wanted::Name(name) => control.index(name)?,
            Wanted::Index(0) => {
                return Err(FluxError::invalid(
                    "looking for an interface by its index",
                    "the index is 0, and they begin at 1",
                    "give a name, or an index of `ip link`",
                ));
            }
            Wanted::Index(index) if control.name(*index).is_some() => *index,
            Wanted::Index(_) => return Err(absent(format!("looking for {self}"))),
        };
        Ok((control, index))
    }
}

impl fmt::Display for LinuxInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wanted {
            Wanted::Name(name) => write!(f, "the interface {name:?}"),
            Wanted::Index(index) => write!(f, "the interface with index {index}"),
        }
    }
}

// SAFETY: the memory is a new mapping each time; the rings are mapped once from a new socket; the kernel keeps to the rules of its rings
// and pins the packet memory; `Release` tells of a queue only what the kernel showed.
unsafe impl Backend for LinuxInterface {
    fn interface(&self) -> Result<Interface> {
        let (control, index) = self.find()?;
        control.interface(index)
    }

    fn allocate(&self, request: &MemoryRequest) -> Result<Allocation> {
        memory::allocate(request)
    }

    fn open(&self, request: &SocketRequest, umem: &UmemRegion) -> Result<Opened> {
        let (control, index) = self.find()?;
        socket::open(control, index, request, umem)
    }

    fn share(
        &self,
        request: &SocketRequest,
        first: &Arc<dyn Socket>,
        umem: &UmemRegion,
    ) -> Result<Sharing> {
        let (control, index) = self.find()?;
        socket::share(control, index, request, first, umem)
    }

    fn attach(&self, mode: XdpMode, fan_out: bool, locked: u64) -> Result<Arc<dyn Steering>> {
        let (control, index) = self.find()?;
        let name = control.interface(index)?.name;
        let most = control
            .queues(&name, index)
            .map_or(0, |queues| queues.most_rx);
        let share = steering::attach(index, &name, most.max(LEAST_QUEUES), mode, fan_out, locked)?;
        Ok(Arc::new(share))
    }

    fn notes(&self, mode: Option<XdpMode>) -> Vec<String> {
        let found = self.find().ok();
        let named = found.and_then(|(control, index)| Some((control.name(index)?, control)));
        named.map_or_else(Vec::new, |(name, control)| {
            notes::notes(&control, &name, mode)
        })
    }

    fn user_map(&self, map: BorrowedFd<'_>) -> Result<Arc<dyn Steering>> {
        Ok(Arc::new(steering::user_map(map)?))
    }
}
