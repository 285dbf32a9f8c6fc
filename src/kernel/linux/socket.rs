//! An AF_XDP socket: how it is opened, and the calls of the seam.

use std::any::Any;
use std::ffi::CStr;
use std::mem::zeroed;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::errors::{self, check};
use super::interface::Control;
use super::patience::{AFTER_CLOSE, Deadline, patiently};
use super::release::Release;
use super::uapi::{self, UmemReg};
use super::{bind, memlock, options, rings, wait};
use crate::error::{FluxError, Result, errno};
use crate::geometry::Geometry;
use crate::kernel::{
    Bound, Company, Interest, Kick, Opened, Pace, Ready, Sharing, Socket, SocketRequest,
};
use crate::mem::{PAGE_SIZE, Process};
use crate::stats::SocketStatistics;
use crate::umem::UmemRegion;

/// An AF_XDP socket.
///
/// To the kernel it is closed, and its queue free, when this value and all rings mapped from it are dropped.
#[derive(Debug)]
pub(super) struct XdpSocket {
    pub(super) fd: OwnedFd,
    pub(super) control: Control,
    pub(super) ifindex: u32,
    /// The name of the interface when the socket was opened.
    pub(super) name: String,
    pub(super) request: SocketRequest,
    pub(super) geometry: Geometry,
    /// Whether the kernel's rings have a flags word at all (Linux 5.4).
    pub(super) ring_flags: bool,
    /// The kernel tells only once that the interface was removed.
    pub(super) gone: AtomicBool,
    /// When to ask it next.
    pub(super) looks: Pace,
    /// Whether preferred busy polling was granted: the program's calls run the driver.
    pub(super) polls: AtomicBool,
    /// The socket whose queue it shares, if it has none to itself. That one stays open as long.
    pub(super) first: Option<Arc<dyn Socket>>,
    /// Tells when the kernel has let go of the queue; of a socket that has it to itself or is the first on it.
    pub(super) release: Option<Arc<Release>>,
    umem: UmemRegion,
}

/// Opens a socket for an interface in the network namespace of this thread, with the four rings.
pub(super) fn open(
    control: Control,
    ifindex: u32,
    request: &SocketRequest,
    umem: &UmemRegion,
) -> Result<Opened> {
    let fd = new_socket(umem.geometry().bytes())?;
    register(fd.as_fd(), umem)?;
    let release = Release::prepare(ifindex, request.queue, umem.geometry())?;
    let (rings, ring_flags) = rings::make(fd.as_fd(), request.sizes)?;
    let socket = XdpSocket {
        fd,
        name: control.name(ifindex).unwrap_or_default(),
        control,
        ifindex,
        request: request.clone(),
        geometry: umem.geometry(),
        ring_flags,
        gone: AtomicBool::new(false),
        looks: Pace::default(),
        polls: AtomicBool::new(false),
        first: None,
        release: Some(Arc::new(release)),
        umem: umem.clone(),
    };
    Ok(Opened {
        socket: Arc::new(socket),
        rings,
    })
}

/// Opens a socket that will share the queue of `first`, with an RX and a TX ring alone.
pub(super) fn share(
    control: Control,
    ifindex: u32,
    request: &SocketRequest,
    first: &Arc<dyn Socket>,
    umem: &UmemRegion,
) -> Result<Sharing> {
    let socket: &dyn Any = &**first;
    let fits = socket.downcast_ref::<XdpSocket>().is_some_and(|first| {
        let same_umem = first.umem.memory().start() == umem.memory().start();
        first.ifindex == ifindex && first.request.queue == request.queue && same_umem
    });
    if !fits {
        return Err(FluxError::invalid(
            format_args!("sharing queue {}", request.queue),
            "the socket to share it with is on another queue, interface or UMEM",
            "share the queue of one socket, on its UMEM",
        ));
    }
    let fd = new_socket(0)?;
    let (rx, tx, ring_flags) = rings::make_sharing(fd.as_fd(), request.sizes)?;
    let socket = XdpSocket {
        fd,
        name: control.name(ifindex).unwrap_or_default(),
        control,
        ifindex,
        request: request.clone(),
        geometry: umem.geometry(),
        ring_flags,
        gone: AtomicBool::new(false),
        looks: Pace::default(),
        polls: AtomicBool::new(false),
        first: Some(first.clone()),
        release: None,
        umem: umem.clone(),
    };
    Ok(Sharing {
        socket: Arc::new(socket),
        rx,
        tx,
    })
}

/// A socket that is going to register `locked` bytes of packet memory.
pub(super) fn new_socket(locked: u64) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the result is checked.
    let fd = unsafe { libc::socket(uapi::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    let fd = check(fd).map_err(|error| errors::socket(error, locked))?;
    // SAFETY: a new descriptor, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Registers the packet memory, which pins it.
fn register(fd: BorrowedFd<'_>, umem: &UmemRegion) -> Result<()> {
    let geometry = umem.geometry();
    let memory = umem.memory();
    // Kernels before 5.7 forget a last page that is only half used.
    let whole_pages = geometry.bytes().next_multiple_of(PAGE_SIZE as u64);
    let len = if whole_pages <= memory.len() as u64 {
        whole_pages
    } else {
        geometry.bytes()
    };
    let registration = UmemReg {
        addr: memory.start().as_ptr() as u64,
        len,
        chunk_size: geometry.chunk_size(),
        headroom: geometry.headroom(),
        ..Default::default()
    };
    // SAFETY: the memory lives as long as the UMEM, which the socket keeps a handle to (`XdpSocket`). Its frames reach a ring through the ledger
    // alone, and what the kernel has of them then nobody else looks at until it is seen to have let go (`Leases`).
    unsafe { register_memory(fd, &registration) }
        .map_err(|error| errors::umem(error, geometry, len))
}

/// Registers memory, and makes room for it under the limit of locked memory if it can.
///
/// # Safety
///
/// As [`options::register`].
pub(super) unsafe fn register_memory(
    fd: BorrowedFd<'_>,
    registration: &UmemReg,
) -> Result<(), i32> {
    // SAFETY: as the caller promises.
    let register = || unsafe { options::register(fd, registration) };
    match register() {
        Err(errno::ENOBUFS) => {
            memlock::raise();
            // Memory of a socket that was just closed may still count.
            let passing =
                |error| error == errno::ENOBUFS && registration.len <= memlock::limit().rlim_cur;
            patiently(Deadline::after(AFTER_CLOSE), passing, register)
        }
        result => result,
    }
}

/// The release of the kernel: "6.18.0".
fn release() -> String {
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

impl XdpSocket {
    /// The process whose socket it is.
    #[inline]
    fn process(&self) -> Process {
        self.umem.frames().process()
    }

    /// The answer of the socket whose queue it shares.
    fn first_release(&self) -> Option<&Release> {
        let first: &dyn Any = &**self.first.as_ref()?;
        first.downcast_ref::<Self>()?.release.as_deref()
    }

    /// What to call the interface in a message: by its name now, or by its last one when it is gone.
    pub(super) fn interface_name(&self) -> String {
        let name = self.control.name(self.ifindex);
        name.unwrap_or_else(|| self.name.clone())
    }
}

impl Drop for XdpSocket {
    fn drop(&mut self) {
        if !self.process().is_current() {
            return;
        }
        let is_gone = || wait::is_gone(self);
        if let Some(release) = &self.release {
            if is_gone() || self.control.name(self.ifindex).is_none() {
                release.see_removal(self.fd.as_fd(), is_gone);
            }
        } else if let Some(release) = self.first_release() {
            release.leave_beside(self.fd.as_fd());
        }
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
        company: &Company<'_>,
    ) -> Result<Ready> {
        self.process().check("waiting for packets")?;
        wait::wait(self, interest, timeout, company)
    }

    fn spin(&self) {
        wait::spin(self);
    }

    fn check(&self) -> Result<()> {
        self.process().check("looking for packets")?;
        wait::check(self)
    }

    fn statistics(&self) -> Result<SocketStatistics> {
        options::statistics(self.fd.as_fd())
    }

    fn describe(&self) -> String {
        let name = self.interface_name();
        let driver = self.control.driver(&name);
        let driver = driver.as_deref().unwrap_or("unknown");
        format!("driver {driver} on {name}, Linux {}", release())
    }

    fn rx_queues(&self) -> Option<u32> {
        let name = self.control.name(self.ifindex)?;
        let queues = self.control.queues(&name, self.ifindex);
        queues.map(|queues| queues.rx)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }
}
