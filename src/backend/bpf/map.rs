//! The maps of an XDP program: which sockets a queue's packets go to, and the counters.

use std::ffi::{CStr, c_void};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libbpf_sys::bpf_map_info;

use crate::backend::bpf::object::check;
use crate::backend::bpf::query;
use crate::backend::linux::errors::unexpected;
use crate::backend::{FanOut, MAX_SOCKETS_PER_QUEUE, MapKey};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::stats::ProgramCounters;

/// An XSKMAP: the sockets of each queue.
#[derive(Debug)]
pub(super) struct SocketMap {
    map: OwnedFd,
    /// Places for each queue.
    members: u32,
}

impl SocketMap {
    /// The caller knows that `map` is an XSKMAP with so many places for each queue.
    pub(super) fn new(map: OwnedFd, members: u32) -> Self {
        Self { map, members }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }

    /// The key of a key, if the map can have it at all.
    fn index(&self, key: MapKey) -> Option<u32> {
        let first = key.queue.checked_mul(self.members)?;
        let member = (key.member < self.members).then_some(key.member)?;
        first.checked_add(member)
    }

    pub(super) fn insert(&self, key: MapKey, socket: BorrowedFd<'_>) -> Result<()> {
        let Some(index) = self.index(key) else {
            return Err(self.refusal("putting the socket into", key, errno::E2BIG));
        };
        let value = socket.as_raw_fd();
        // SAFETY: the map is an XSKMAP, whose keys and values are four bytes, as are `index` and `value`.
        let result = unsafe {
            libbpf_sys::bpf_map_update_elem(
                self.map.as_raw_fd(),
                (&raw const index).cast::<c_void>(),
                (&raw const value).cast::<c_void>(),
                // A socket that is there already keeps its key.
                libbpf_sys::BPF_NOEXIST.into(),
            )
        };
        match check(result) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.refusal("putting the socket into", key, error)),
        }
    }

    /// Takes the socket of a key out; an absent one is fine.
    pub(super) fn remove(&self, key: MapKey) -> Result<()> {
        let Some(index) = self.index(key) else {
            return Ok(());
        };
        // SAFETY: the map is an XSKMAP, whose keys are four bytes, as is `index`.
        let result = unsafe {
            libbpf_sys::bpf_map_delete_elem(
                self.map.as_raw_fd(),
                (&raw const index).cast::<c_void>(),
            )
        };
        match check(result) {
            Ok(_) | Err(libc::ENOENT) => Ok(()),
            // There is nothing at a key that the map has no room for.
            Err(errno::EINVAL) => Ok(()),
            Err(error) => Err(self.refusal("taking the socket out of", key, error)),
        }
    }

    fn refusal(&self, tried: &str, key: MapKey, error: i32) -> FluxError {
        let MapKey { queue, member } = key;
        let tried = format!("{tried} the XDP program's map for queue {queue}");
        match error {
            _ if member >= self.members => FluxError::invalid(
                tried,
                format_args!(
                    "it is socket {member} of the queue, and the map has {} for each, counted from 0",
                    self.members
                ),
                "share the queue among fewer sockets, by the bundled program",
            ),
            errno::E2BIG => {
                let room = query::info::<bpf_map_info>(self.map.as_fd()).map_or_else(
                    |_| "too few".to_owned(),
                    |info| (info.max_entries / self.members).to_string(),
                );
                FluxError::new(
                    ErrorKind::Invalid,
                    error,
                    tried,
                    format_args!("the map has room for {room} queues, counted from 0"),
                    "use a queue below that, or a larger map",
                )
            }
            // The queue was free, or the socket would not be bound to it.
            errno::EEXIST if self.members == MAX_SOCKETS_PER_QUEUE => FluxError::new(
                ErrorKind::Busy,
                errno::EBUSY,
                tried,
                "an older socket of this process is still open there, which lost the interface when that was moved",
                "close the older socket first",
            ),
            errno::EEXIST => FluxError::new(
                ErrorKind::Busy,
                errno::EBUSY,
                tried,
                "another socket has this key in the map",
                "use one map for each interface, and each queue once",
            ),
            errno::EOPNOTSUPP | libc::ENOTSOCK => FluxError::new(
                ErrorKind::Invalid,
                error,
                tried,
                "the descriptor is not an AF_XDP socket",
                "give the descriptor of an AF_XDP socket",
            ),
            errno::EPERM => FluxError::new(
                ErrorKind::Permission,
                error,
                tried,
                "not permitted",
                "the map must be writable and not frozen, and CAP_BPF is needed where unprivileged BPF is off",
            ),
            _ => FluxError::new(
                ErrorKind::System,
                error,
                tried,
                io::Error::from_raw_os_error(error),
                "the map and the socket must be open",
            ),
        }
    }
}

/// An XSKMAP that belongs to a program of the user, who has attached it.
#[derive(Debug)]
pub(crate) struct UserMap(SocketMap);

impl UserMap {
    /// Takes a copy of the descriptor of an XSKMAP; an error for anything else.
    pub(crate) fn new(map: BorrowedFd<'_>) -> Result<Self> {
        let refused = |found: &str| {
            FluxError::invalid(
                "using the given XSKMAP",
                format_args!("the descriptor is {found}"),
                "give the descriptor of a map of type BPF_MAP_TYPE_XSKMAP",
            )
        };
        if let Some(kind) = other_than_map(map) {
            return Err(refused(&kind));
        }
        let info: bpf_map_info = query::info(map).map_err(|_| refused("not a BPF object"))?;
        // The sizes are those of every XSKMAP; where /proc is missing they tell a map from a program.
        if info.type_ != libbpf_sys::BPF_MAP_TYPE_XSKMAP
            || (info.key_size, info.value_size) != (4, 4)
        {
            return Err(refused(&format!("a map of type {}", type_name(info.type_))));
        }
        let map = map.try_clone_to_owned().map_err(|error| {
            unexpected(
                "copying the descriptor of the given XSKMAP",
                error.raw_os_error().unwrap_or(errno::EIO),
            )
        })?;
        Ok(Self(SocketMap::new(map, 1)))
    }

    /// Enters `socket` for a queue: a bound one with an RX ring, as for [`Program`](crate::backend::bpf::Program::insert). The key is the queue, and
    /// the only member 0.
    pub(crate) fn insert(&self, key: MapKey, socket: BorrowedFd<'_>) -> Result<()> {
        self.0.insert(key, socket)
    }

    /// Takes the socket of a queue out; an absent one is fine.
    pub(crate) fn remove(&self, key: MapKey) -> Result<()> {
        self.0.remove(key)
    }
}

/// What a descriptor is, if /proc knows it to be anything but a BPF map.
///
/// `bpf()` itself describes programs, links and maps with the same call, each in its own layout.
fn other_than_map(fd: BorrowedFd<'_>) -> Option<String> {
    let target = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    let target = target.to_string_lossy();
    let kind = target.strip_prefix("anon_inode:").unwrap_or(&target);
    (kind != "bpf-map").then(|| kind.to_owned())
}

fn type_name(map_type: u32) -> String {
    // SAFETY: takes a number, returns a static string or NULL.
    let name = unsafe { libbpf_sys::libbpf_bpf_map_type_str(map_type) };
    if name.is_null() {
        return map_type.to_string();
    }
    // SAFETY: not NULL, so one of libbpf's static strings.
    let name = unsafe { CStr::from_ptr(name) };
    name.to_string_lossy().into_owned()
}

/// How the bundled program shares out the packets of each queue.
#[derive(Debug)]
pub(super) struct FanoutMap(OwnedFd);

impl FanoutMap {
    /// The caller knows that `map` is the `fanouts` map of the bundled program.
    pub(super) fn new(map: OwnedFd) -> Self {
        Self(map)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(super) fn set(&self, queue: u32, fanout: FanOut) -> Result<()> {
        let tried = format!(
            "sharing queue {queue} out among {} sockets by the XDP program",
            fanout.sockets
        );
        if fanout.sockets > MAX_SOCKETS_PER_QUEUE {
            return Err(FluxError::invalid(
                tried,
                format_args!("it has {MAX_SOCKETS_PER_QUEUE} places for each queue"),
                "use fewer sockets",
            ));
        }
        let value = [fanout.sockets, fanout.symmetric.into()];
        // SAFETY: the map is an array with values of two words, as is `value`; its keys are four bytes, as is `queue`.
        let result = unsafe {
            libbpf_sys::bpf_map_update_elem(
                self.0.as_raw_fd(),
                (&raw const queue).cast::<c_void>(),
                (&raw const value).cast::<c_void>(),
                libbpf_sys::BPF_ANY.into(),
            )
        };
        match check(result) {
            Ok(_) => Ok(()),
            Err(errno::E2BIG) => Err(FluxError::invalid(
                tried,
                "it has no room for such a queue",
                "use a queue that the interface has",
            )),
            Err(error) => Err(FluxError::new(
                ErrorKind::System,
                error,
                tried,
                io::Error::from_raw_os_error(error),
                "writing needs the capabilities that loading needed",
            )),
        }
    }
}

/// The per-CPU counters of the bundled program.
#[derive(Debug)]
pub(super) struct CounterMap(OwnedFd);

/// The most CPUs that Linux can be built for, on any architecture (`NR_CPUS` in `arch/*/Kconfig`). The kernel copies out one value for
/// each that the machine could have; how many these are stands only in /sys, which may not be mounted.
const MAX_CPUS: usize = 8192;

impl CounterMap {
    /// The caller knows that `map` is the `counters` map of the bundled program.
    pub(super) fn new(map: OwnedFd) -> Self {
        Self(map)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// What was counted. Whether the program is attached, the map does not know.
    pub(super) fn read(&self) -> Result<ProgramCounters> {
        Ok(ProgramCounters {
            attached: false,
            drop: self.sum(0)?,
            redirect: self.sum(1)?,
            pass: self.sum(2)?,
        })
    }

    fn sum(&self, counter: u32) -> Result<u64> {
        let mut values = vec![0_u64; MAX_CPUS];
        // SAFETY: keys are four bytes, values eight for each possible CPU, and `values` has room for as many as there can be.
        let result = unsafe {
            libbpf_sys::bpf_map_lookup_elem(
                self.0.as_raw_fd(),
                (&raw const counter).cast::<c_void>(),
                values.as_mut_ptr().cast::<c_void>(),
            )
        };
        match check(result) {
            Ok(_) => Ok(values.iter().sum()),
            Err(error) => Err(FluxError::new(
                ErrorKind::System,
                error,
                "reading the counters of the XDP program",
                io::Error::from_raw_os_error(error),
                "reading needs the capabilities that loading needed",
            )),
        }
    }
}
