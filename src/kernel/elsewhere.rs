//! Systems without AF_XDP: a network interface can be named there, and every use of it says what to do instead.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant};

#[cfg(feature = "capi")]
use super::OwnedFd;
use super::{
    Alarm, Allocation, Backend, Bell, BorrowedFd, Interface, MemoryRequest, Opened, SocketRequest,
    Steering,
};
use crate::error::{ErrorKind, FluxError, Result, errno};
#[cfg(feature = "async")]
use crate::kernel::Interest;
use crate::report::XdpMode;
use crate::umem::UmemRegion;

/// The interface of this name.
pub(crate) fn by_name(name: &str) -> Arc<dyn Backend> {
    Arc::new(Absent::Name(name.to_owned()))
}

/// The interface of this index.
pub(crate) fn by_index(index: u32) -> Arc<dyn Backend> {
    Arc::new(Absent::Index(index))
}

/// The path that a C program means: UTF-8, which every system understands.
#[cfg(feature = "capi")]
pub(crate) fn path(name: &std::ffi::CStr) -> Result<std::path::PathBuf> {
    name.to_str().map(From::from).map_err(|_| {
        FluxError::invalid(
            format_args!("using the path {name:?}"),
            "it is not UTF-8",
            "give the path in UTF-8",
        )
    })
}

/// A descriptor for a socket without one: there is none to be had here.
pub(crate) fn bell() -> Result<Arc<dyn Bell>> {
    Err(FluxError::new(
        ErrorKind::Unsupported,
        errno::EOPNOTSUPP,
        "making a descriptor for a socket",
        "the library has descriptors on Linux only",
        "wait in a call, or use the `async` halves",
    ))
}

/// A duplicate of a descriptor that C gave as a number: there is none here.
#[cfg(feature = "capi")]
pub(crate) fn duplicate(fd: i32, tried: &str) -> Result<OwnedFd> {
    Err(FluxError::new(
        ErrorKind::Unsupported,
        errno::EOPNOTSUPP,
        format_args!("{tried}, descriptor {fd}"),
        "the library has descriptors on Linux only",
        "use the bundled program",
    ))
}

/// While it lives, this thread is not cancelled. Here no thread is.
#[derive(Debug)]
#[cfg_attr(test, allow(dead_code, reason = "Linux has its own"))]
pub(crate) struct Uncancelled;

#[cfg_attr(test, allow(dead_code, reason = "Linux has its own"))]
impl Uncancelled {
    pub(crate) fn new() -> Self {
        Self
    }
}

/// A descriptor that tasks wait for: there is none here.
#[cfg(feature = "async")]
#[derive(Debug)]
pub(crate) struct Descriptor(Infallible);

#[cfg(feature = "async")]
#[cfg_attr(test, allow(dead_code, reason = "nobody has one"))]
impl Descriptor {
    pub(crate) fn of(_fd: BorrowedFd<'_>) -> Result<Self> {
        Err(FluxError::new(
            ErrorKind::Unsupported,
            errno::EOPNOTSUPP,
            "letting tasks wait for a descriptor",
            "the library waits for descriptors on Linux only",
            "use a simulated network (fluxcap::sim) here",
        ))
    }

    pub(crate) fn readiness(&self, _interest: Interest) -> Result<Readiness> {
        match self.0 {}
    }

    pub(crate) fn into_readiness(self, _interest: Interest) -> Result<Readiness> {
        match self.0 {}
    }
}

/// A descriptor that a runtime looks at.
#[cfg(feature = "async")]
#[derive(Debug)]
#[cfg_attr(test, allow(dead_code, reason = "nobody has one"))]
pub(crate) struct Readiness(Infallible);

#[cfg(feature = "async")]
#[cfg_attr(test, allow(dead_code, reason = "nobody has one"))]
impl Readiness {
    pub(crate) async fn changed(&self) -> Result<()> {
        match self.0 {}
    }
}

/// An alarm; who waits looks at it now and then.
pub(crate) fn alarm() -> Alarm {
    Alarm::unseen()
}

/// A descriptor to wait on: there is none here.
#[derive(Debug)]
#[cfg_attr(test, allow(dead_code, reason = "Linux has one of its own"))]
pub(crate) struct Events(Infallible);

#[cfg_attr(test, allow(dead_code, reason = "Linux has one of its own"))]
impl Events {
    pub(crate) fn of(_fd: BorrowedFd<'_>) -> Result<Self> {
        Err(FluxError::new(
            ErrorKind::Unsupported,
            errno::EOPNOTSUPP,
            "making a descriptor to wait on",
            "the library has descriptors on Linux only",
            "wait in a call, or use the `async` halves",
        ))
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }

    pub(crate) fn waker(&self) -> &Waker {
        match self.0 {}
    }

    pub(crate) fn clear(&self) {
        match self.0 {}
    }
}

/// A clock.
#[cfg_attr(test, allow(dead_code, reason = "Linux has one of its own"))]
pub(crate) fn coarse_time() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Pins the calling thread to a CPU.
pub(crate) fn pin(cpu: u32) -> Result<()> {
    Err(no_pinning(format_args!("pinning this thread to CPU {cpu}")))
}

/// The CPUs that the calling thread may run on.
pub(crate) fn cpus() -> Result<Vec<u32>> {
    Err(no_pinning("asking for the CPUs of this thread"))
}

fn no_pinning(tried: impl fmt::Display) -> FluxError {
    FluxError::new(
        ErrorKind::Unsupported,
        errno::EOPNOTSUPP,
        tried,
        "the library pins threads on Linux only",
        "leave the thread where it is",
    )
}

/// A network interface that nothing here can open.
#[derive(Debug)]
enum Absent {
    Name(String),
    Index(u32),
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "the interface {name:?}"),
            Self::Index(index) => write!(f, "the interface with index {index}"),
        }
    }
}

impl Absent {
    fn refusal(&self) -> FluxError {
        FluxError::new(
            ErrorKind::Unsupported,
            errno::EAFNOSUPPORT,
            format_args!("using {self}"),
            "network interfaces are opened by Linux AF_XDP, which this system does not have",
            "run the program on Linux, or over a simulated network (fluxcap::sim) here",
        )
    }
}

// SAFETY: it hands out nothing.
unsafe impl Backend for Absent {
    fn interface(&self) -> Result<Interface> {
        Err(self.refusal())
    }

    fn allocate(&self, _request: &MemoryRequest) -> Result<Allocation> {
        Err(self.refusal())
    }

    fn open(&self, _request: &SocketRequest, _umem: &UmemRegion) -> Result<Opened> {
        Err(self.refusal())
    }

    fn attach(&self, _: XdpMode, _: bool, _: u64) -> Result<Arc<dyn Steering>> {
        Err(self.refusal())
    }

    fn user_map(&self, _map: BorrowedFd<'_>) -> Result<Arc<dyn Steering>> {
        Err(self.refusal())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::builder::FluxBuilder;
    use crate::kernel::descriptor;
    use crate::link::Link;

    #[cfg(feature = "capi")]
    #[test]
    fn there_is_no_descriptor_to_be_had() {
        assert_eq!(bell().unwrap_err().kind(), ErrorKind::Unsupported);
        let error = duplicate(3, "using the given XSKMAP").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[cfg(feature = "async")]
    #[test]
    fn no_task_waits_for_a_descriptor() {
        let file = File::open("/dev/null").unwrap();
        let file = descriptor::of_file(&file).unwrap();
        let error = Descriptor::of(file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("fluxcap::sim"), "{error}");
    }

    #[test]
    fn threads_are_not_pinned() {
        for error in [pin(0).unwrap_err(), cpus().unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        }
    }

    #[test]
    fn a_path_is_utf_8_or_refused() {
        assert_eq!(
            path(c"übung.pcap").unwrap(),
            std::path::Path::new("übung.pcap")
        );
        let error = path(c"\xfcbung.pcap").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }

    #[test]
    fn every_use_of_an_interface_says_what_to_do_instead() {
        let file = File::open("/dev/null").unwrap();
        let file = descriptor::of_file(&file).unwrap();
        for (backend, name) in [(by_name("eth0"), "\"eth0\""), (by_index(7), "index 7")] {
            for error in [
                backend.interface().unwrap_err(),
                backend.attach(XdpMode::Auto, false, 0).unwrap_err(),
                backend.user_map(file).unwrap_err(),
                FluxBuilder::new(Link::new(backend)).build().unwrap_err(),
            ] {
                assert_eq!(
                    (error.kind(), error.errno()),
                    (ErrorKind::Unsupported, errno::EAFNOSUPPORT)
                );
                let text = error.to_string();
                for word in [name, "Linux", "fluxcap::sim"] {
                    assert!(text.contains(word), "{text}");
                }
            }
        }
    }
}
