//! What to bind to, in which memory, with which options.
//!
//! fluxcap_open() opens one socket, fluxcap_open_queues() one for each queue of an interface, and
//! fluxcap_open_fan_out() several on one queue. Each is a struct fluxcap_raw: use it as it is (mode
//! C), split it (mode B), or give it to an engine (mode A). What to bind to is a name, an index, or
//! a struct fluxcap_link, which may be a simulated NIC.
//!
//! Sockets on one UMEM pass packets on to each other without a copy:
//!
//! ```c
//! static int open_two(const char *one, const char *other, struct fluxcap_raw *raws[2])
//! {
//!     struct fluxcap_config config = {0};
//!     struct fluxcap_umem *umem = NULL;
//!     int result;
//!
//!     config.struct_size = sizeof(config);
//!     config.ifname = one;
//!     config.frames = 16384;
//!     result = fluxcap_open(&config, &raws[0]);
//!     if (result < 0)
//!         return result;
//!     result = fluxcap_raw_get_umem(raws[0], &umem);
//!     if (result == 0) {
//!         config.ifname = other;
//!         config.umem = umem;
//!         result = fluxcap_open(&config, &raws[1]);
//!     }
//!     fluxcap_umem_free(umem); // The sockets keep the memory.
//!     if (result < 0)
//!         fluxcap_raw_free(raws[0]);
//!     return result;
//! }
//! ```

use std::ffi::{CStr, c_char, c_int};
use std::mem::offset_of;
use std::time::Duration;

use super::array::{MAX_HANDLES, check_count, entries, reserved};
use super::error::{count, guard, null};
use super::opaque::{self, Opaque};
use super::poller::timeout;
use super::raw::{self, fluxcap_raw};
use super::sized::{self, Sized32};
use super::umem::fluxcap_umem;
use crate::backend::{FanOut, machine};
use crate::builder::FluxBuilder;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::link::Link;
use crate::queues::Queues;
use crate::report::{BindMode, BusyPoll, HugepageSize, Hugepages, XdpMode};
use crate::sim::Nic;
use crate::socket::FluxRaw;

/// Zero-copy where the driver can and an XDP program is attached in native mode, copy otherwise:
/// without such a program most drivers take a zero-copy socket, but neither send nor receive for
/// it.
pub const FLUXCAP_BIND_AUTO: u32 = 0;
/// The kernel copies each packet once. Works with every driver.
pub const FLUXCAP_BIND_COPY: u32 = 1;
/// The driver reads and writes the UMEM itself. An error where it cannot. Where it can, but only
/// with a native XDP program and there is none, sending fails: -EINVAL.
pub const FLUXCAP_BIND_ZERO_COPY: u32 = 2;

/// Native where the driver can, generic otherwise.
pub const FLUXCAP_XDP_AUTO: u32 = 0;
/// The XDP program runs in the driver. An error where it cannot.
pub const FLUXCAP_XDP_NATIVE: u32 = 1;
/// The XDP program runs in the network stack. Works with every driver, slower. Segments that GRO
/// has merged come in one piece, and are dropped when no frame has room: switch it off (`ethtool -K
/// DEVICE gro off lro off`).
pub const FLUXCAP_XDP_GENERIC: u32 = 2;

/// Attach the bundled XDP program, which directs the packets of bound queues to their sockets.
pub const FLUXCAP_PROGRAM_BUNDLED: u32 = 0;
/// No XDP program: the socket can only send, but still has frames to receive into.
pub const FLUXCAP_PROGRAM_NONE: u32 = 1;
/// Enter the socket into the XSKMAP of your own program, `xskmap_fd`.
pub const FLUXCAP_PROGRAM_XSKMAP: u32 = 2;
/// No XDP program, and nearly all frames for sending: the fill ring gets an eighth of them, 64 at
/// most, because some drivers need some there when the socket is bound; none if there is only one.
pub const FLUXCAP_PROGRAM_SEND_ONLY: u32 = 3;

/// Ordinary pages behind the UMEM.
pub const FLUXCAP_HUGEPAGES_NEVER: u32 = 0;
/// Hugepages of 2 MiB if enough are free, ordinary pages otherwise.
pub const FLUXCAP_HUGEPAGES_PREFER_2M: u32 = 1;
/// Hugepages of 2 MiB, or an error.
pub const FLUXCAP_HUGEPAGES_REQUIRE_2M: u32 = 2;
/// Hugepages of 1 GiB if enough are free, ordinary pages otherwise.
pub const FLUXCAP_HUGEPAGES_PREFER_1G: u32 = 3;
/// Hugepages of 1 GiB, or an error.
pub const FLUXCAP_HUGEPAGES_REQUIRE_1G: u32 = 4;

/// Memory from wherever the kernel puts it.
pub const FLUXCAP_NUMA_ANY: u32 = 0;
/// Memory from `numa_node`.
pub const FLUXCAP_NUMA_BIND: u32 = 1;

/// Packets are no part of core dumps: they are other people's data, and large.
pub const FLUXCAP_CORE_DUMP_WITHOUT_PACKETS: u32 = 0;
/// Packets in a new UMEM are part of core dumps. Rings never are: the kernel leaves them out.
pub const FLUXCAP_CORE_DUMP_WITH_PACKETS: u32 = 1;

/// The kernel may ask for wake-ups instead of being called each time (Linux 5.4).
pub const FLUXCAP_WAKEUP_NEEDED: u32 = 0;
/// The kernel is called each time.
pub const FLUXCAP_WAKEUP_ALWAYS: u32 = 1;

/// What a socket shall be. Zero everywhere but in struct_size and ifname (or ifindex, or link) is a
/// good start: `struct fluxcap_config config = { .struct_size = sizeof(config), .ifname = "veth0"
/// };`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_config {
    /// sizeof(struct fluxcap_config).
    pub struct_size: u32,
    /// The queue to bind to, from 0.
    pub queue: u32,
    /// The interface's name, or one of its alternative names (up to 127 bytes); NULL to use
    /// `ifindex` or `link`. Read during the call only.
    pub ifname: *const c_char,
    /// The interface's index, used when `ifname` is NULL.
    pub ifindex: u32,
    /// Frames in the UMEM, 1 to 16777216. 0: 8192.
    ///
    /// The kernel counts the UMEM as locked memory of the user, again for each queue that has a
    /// socket on it; the sockets of fluxcap_open_fan_out() count once. Beyond RLIMIT_MEMLOCK that
    /// takes CAP_IPC_LOCK.
    pub frames: u32,
    /// Bytes a frame, 2048 or 4096 (larger powers of two to 65536 with required hugepages, Linux
    /// 6.6). 0: 4096.
    pub chunk_size: u32,
    /// Bytes to keep free in front of each packet, besides the kernel's own 256.
    pub headroom: u32,
    /// Slots of the fill ring, a power of two. 0: 4096.
    pub fill_size: u32,
    /// Slots of the RX ring, a power of two. 0: 2048.
    pub rx_size: u32,
    /// Slots of the TX ring, a power of two. 0: 2048.
    pub tx_size: u32,
    /// Slots of the completion ring, a power of two. 0: 2048.
    pub completion_size: u32,
    /// FLUXCAP_BIND_….
    pub bind_mode: u32,
    /// FLUXCAP_XDP_…, for the bundled program.
    pub xdp_mode: u32,
    /// FLUXCAP_PROGRAM_….
    pub program: u32,
    /// The XSKMAP of your own program, with FLUXCAP_PROGRAM_XSKMAP. It is duplicated and stays
    /// yours.
    pub xskmap_fd: i32,
    /// FLUXCAP_HUGEPAGES_….
    pub hugepages: u32,
    /// FLUXCAP_NUMA_….
    pub numa: u32,
    /// The NUMA node, with FLUXCAP_NUMA_BIND.
    pub numa_node: u32,
    /// FLUXCAP_WAKEUP_….
    pub wakeup: u32,
    /// Preferred busy polling: microseconds that one call may poll the driver (Linux 5.11). 0: off.
    pub busy_poll_us: u32,
    /// Preferred busy polling: packets that one poll may handle, 1 to 65535. 0: 64.
    pub busy_poll_budget: u32,
    /// Packets that one transmit call may send in copy mode, 32 to tx_size (Linux 6.17; 32 before).
    /// 0: tx_size.
    pub tx_budget: u32,
    /// How long a taken queue is tried again, in milliseconds. 0: 2000; -1: for ever.
    pub bind_patience_ms: c_int,
    /// What to bind to, such as a simulated NIC, in place of `ifname` and `ifindex`, which must be
    /// NULL and 0 then. NULL: those. Used during the call only.
    pub link: *const fluxcap_link,
    /// The UMEM to work on, that of another socket. NULL: a new one. The frames are as they are
    /// then: frames, chunk_size, headroom, hugepages and numa say nothing. Used during the call
    /// only.
    pub umem: *const fluxcap_umem,
    /// FLUXCAP_CORE_DUMP_….
    pub core_dump: u32,
    /// Zero.
    pub reserved: u32,
}

// SAFETY: `repr(C)`, begins with a `u32`, plain numbers and pointers that are checked when used.
unsafe impl Sized32 for fluxcap_config {
    const SIZES: &'static [usize] = &[
        offset_of!(fluxcap_config, link),
        offset_of!(fluxcap_config, umem),
        offset_of!(fluxcap_config, core_dump),
        size_of::<fluxcap_config>(),
    ];
    const NAME: &'static str = "fluxcap_config";
}

/// Opens a socket: UMEM, rings, XDP program, bind.
///
/// All numbers are checked against each other before the first system call. A queue that another
/// socket has is tried again for `bind_patience_ms`.
///
/// Returns 0; `*raw` is a handle to be freed with fluxcap_raw_free().
///
/// Errors, after which nothing is left behind:
/// - -EINVAL: numbers that cannot work.
/// - -ENODEV: there is no such interface.
/// - -ENETDOWN: it is down.
/// - -EBUSY: the queue is taken, or a foreign XDP program is attached.
/// - -EPERM: a capability is missing.
/// - -ENOBUFS: the limit of locked memory.
/// - -ENOMEM: not enough memory or hugepages.
/// - -EMFILE, -ENFILE: no more files can be opened.
/// - -EOPNOTSUPP: a mode was demanded that cannot be had.
/// - -EAFNOSUPPORT: the kernel has no AF_XDP sockets, or they are forbidden here.
///
/// Threads: any. Rights: see the top of this file. Linux 5.9.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_open(
    config: *const fluxcap_config,
    raw: *mut *mut fluxcap_raw,
) -> c_int {
    guard(|| {
        if raw.is_null() {
            return Err(null("raw"));
        }
        // SAFETY: null, or as long as its `struct_size` says, as the header asks.
        let config = unsafe { sized::read("config", config)? };
        // SAFETY: `ifname` is null or a C string, and `link` and `umem` are null or open handles, as the header asks.
        let builder = unsafe { builder(&config)? };
        let opened = raw::open(builder.build()?)?;
        // SAFETY: not null, so writable as the header asks.
        unsafe { raw.write(opened) };
        Ok(0)
    })
}

type Setter = fn(FluxBuilder, u32) -> FluxBuilder;

/// # Safety
///
/// `ifname` is null or a C string, and `link` is null or an open handle.
unsafe fn place(config: &fluxcap_config) -> Result<Link> {
    if !config.link.is_null() {
        if !config.ifname.is_null() || config.ifindex != 0 {
            return Err(FluxError::invalid(
                "struct fluxcap_config",
                "it has a link, and ifname or ifindex, too",
                "set one of them",
            ));
        }
        // SAFETY: an open handle, as the caller promises.
        let found = unsafe { opaque::shared(config.link) };
        return found
            .map(|place| place.link.clone())
            .map_err(|error| error.with_note("the field of struct fluxcap_config"));
    }
    if config.ifname.is_null() {
        return Ok(Link::index(config.ifindex));
    }
    // SAFETY: a C string, as the caller promises.
    let name = unsafe { CStr::from_ptr(config.ifname) };
    Ok(Link::interface(&name.to_string_lossy()))
}

/// # Safety
///
/// `ifname` is null or a C string, and `link` and `umem` are null or open handles.
pub(super) unsafe fn builder(config: &fluxcap_config) -> Result<FluxBuilder> {
    // SAFETY: as the caller promises.
    let link = unsafe { place(config)? };
    let mut builder = FluxBuilder::new(&link).queue(config.queue);
    if !config.umem.is_null() {
        // SAFETY: an open handle, as the caller promises.
        let found = unsafe { opaque::shared(config.umem) };
        builder = builder
            .umem(found.map_err(|error| error.with_note("the field of struct fluxcap_config"))?);
    }
    let numbers: [(u32, Setter); 8] = [
        (config.frames, FluxBuilder::frames),
        (config.chunk_size, FluxBuilder::chunk_size),
        (config.headroom, FluxBuilder::headroom),
        (config.fill_size, FluxBuilder::fill_size),
        (config.rx_size, FluxBuilder::rx_size),
        (config.tx_size, FluxBuilder::tx_size),
        (config.completion_size, FluxBuilder::completion_size),
        (config.tx_budget, FluxBuilder::tx_budget),
    ];
    for (number, set) in numbers {
        if number != 0 {
            builder = set(builder, number);
        }
    }
    builder = builder.bind_mode(match config.bind_mode {
        FLUXCAP_BIND_AUTO => BindMode::Auto,
        FLUXCAP_BIND_COPY => BindMode::Copy,
        FLUXCAP_BIND_ZERO_COPY => BindMode::ZeroCopy,
        other => return Err(unknown("bind_mode", "FLUXCAP_BIND_", other)),
    });
    let xdp_mode = match config.xdp_mode {
        FLUXCAP_XDP_AUTO => XdpMode::Auto,
        FLUXCAP_XDP_NATIVE => XdpMode::Native,
        FLUXCAP_XDP_GENERIC => XdpMode::Generic,
        other => return Err(unknown("xdp_mode", "FLUXCAP_XDP_", other)),
    };
    builder = match config.program {
        FLUXCAP_PROGRAM_BUNDLED => builder.xdp_mode(xdp_mode),
        FLUXCAP_PROGRAM_NONE => builder.load_xdp(false),
        FLUXCAP_PROGRAM_SEND_ONLY => builder.send_only(),
        FLUXCAP_PROGRAM_XSKMAP => builder.xskmap(machine::duplicate(
            config.xskmap_fd,
            "using the given XSKMAP",
        )?),
        other => return Err(unknown("program", "FLUXCAP_PROGRAM_", other)),
    };
    builder = builder.core_dump(match config.core_dump {
        FLUXCAP_CORE_DUMP_WITHOUT_PACKETS => false,
        FLUXCAP_CORE_DUMP_WITH_PACKETS => true,
        other => return Err(unknown("core_dump", "FLUXCAP_CORE_DUMP_", other)),
    });
    if config.reserved != 0 {
        return Err(FluxError::invalid(
            "struct fluxcap_config",
            format_args!("reserved is {}", config.reserved),
            "set it to 0",
        ));
    }
    builder = builder.hugepages(match config.hugepages {
        FLUXCAP_HUGEPAGES_NEVER => Hugepages::Never,
        FLUXCAP_HUGEPAGES_PREFER_2M => Hugepages::Prefer(HugepageSize::Size2M),
        FLUXCAP_HUGEPAGES_REQUIRE_2M => Hugepages::Require(HugepageSize::Size2M),
        FLUXCAP_HUGEPAGES_PREFER_1G => Hugepages::Prefer(HugepageSize::Size1G),
        FLUXCAP_HUGEPAGES_REQUIRE_1G => Hugepages::Require(HugepageSize::Size1G),
        other => return Err(unknown("hugepages", "FLUXCAP_HUGEPAGES_", other)),
    });
    builder = match config.numa {
        FLUXCAP_NUMA_ANY => builder,
        FLUXCAP_NUMA_BIND => builder.numa_node(config.numa_node),
        other => return Err(unknown("numa", "FLUXCAP_NUMA_", other)),
    };
    builder = builder.need_wakeup(match config.wakeup {
        FLUXCAP_WAKEUP_NEEDED => true,
        FLUXCAP_WAKEUP_ALWAYS => false,
        other => return Err(unknown("wakeup", "FLUXCAP_WAKEUP_", other)),
    });
    if config.busy_poll_us != 0 {
        let usual = BusyPoll::default();
        builder = builder.busy_poll(BusyPoll {
            microseconds: config.busy_poll_us,
            budget: match config.busy_poll_budget {
                0 => usual.budget,
                budget => budget,
            },
        });
    }
    if config.bind_patience_ms != 0 {
        let patience = timeout("bind_patience_ms", config.bind_patience_ms)
            .map_err(|error| error.with_note("the field of struct fluxcap_config"))?;
        builder = builder.bind_patience(patience.unwrap_or(Duration::MAX));
    }
    Ok(builder)
}

fn unknown(field: &str, names: &str, value: u32) -> FluxError {
    FluxError::invalid(
        format_args!("field {field} of struct fluxcap_config"),
        format_args!("{value} is not known"),
        format_args!("use one of {names}..."),
    )
}

/// Opens a socket on each of `count` queues, all behind one XDP program.
///
/// `queues` are their numbers; with NULL it is each queue that the interface has for receiving, of
/// which there may be `count` at most. Each socket has a UMEM of its own, so that threads share
/// nothing, unless the config gives one. Either way each queue counts as locked memory of the size
/// of its UMEM. The config's `queue` says nothing here.
///
/// Returns how many sockets were opened; the first entries of `raws` are their handles, in the
/// order of `queues`, to be freed with fluxcap_raw_free().
///
/// Errors, after which nothing is left behind:
/// - -EINVAL: no queue, one twice, or one that is not there.
/// - -ENOSPC: the interface has more queues than `count`.
/// - Those of fluxcap_open().
///
/// Threads: any. Rights: as fluxcap_open().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_open_queues(
    config: *const fluxcap_config,
    queues: *const u32,
    count: u32,
    raws: *mut *mut fluxcap_raw,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        unsafe {
            let queues = self::queues(queues, count)?;
            write(raws, count, || {
                builder(&sized::read("config", config)?)?.build_queues(queues)
            })
        }
    })
}

/// Opens `count` sockets, up to 16, on one queue and one UMEM.
///
/// For an interface with fewer queues than threads that shall work on its packets. All packets of a
/// flow come to the same socket, with `symmetric` 1 those of both its directions; with 0 the
/// directions may differ. The sockets can be used on threads of their own, and closed in any order.
///
/// Returns `count`; `raws` has the handles, to be freed with fluxcap_raw_free().
///
/// Errors, after which nothing is left behind:
/// - -EINVAL: `count` is out of its range; `symmetric` is neither 0 nor 1.
/// - -EOPNOTSUPP: the config has an XSKMAP of your own.
/// - Those of fluxcap_open(); -EPERM also without CAP_PERFMON.
///
/// Threads: any. Rights: those of fluxcap_open(), and CAP_PERFMON.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_open_fan_out(
    config: *const fluxcap_config,
    count: u32,
    symmetric: u32,
    raws: *mut *mut fluxcap_raw,
) -> c_int {
    guard(|| {
        let symmetric = match symmetric {
            0 | 1 => symmetric == 1,
            other => {
                return Err(FluxError::invalid(
                    "argument symmetric",
                    format_args!("{other} is not known"),
                    "use 0 or 1",
                ));
            }
        };
        let fan_out = FanOut {
            sockets: count,
            symmetric,
        };
        // SAFETY: as the header asks.
        unsafe {
            write(raws, count, || {
                builder(&sized::read("config", config)?)?
                    .fan_out(fan_out)
                    .build_group()
            })
        }
    })
}

/// The numbers of queues, or all for null.
///
/// # Safety
///
/// `queues` is null or points to `count` numbers.
pub(super) unsafe fn queues(queues: *const u32, count: u32) -> Result<Queues> {
    match queues.is_null() {
        true => Ok(Queues::All),
        // SAFETY: as the caller promises.
        false => unsafe { entries("queues", queues, (count, MAX_HANDLES)) }.map(Queues::from),
    }
}

/// Writes handles of what `open` opens.
///
/// # Safety
///
/// `raws` is null or has room for `room` handles.
unsafe fn write(
    raws: *mut *mut fluxcap_raw,
    room: u32,
    open: impl FnOnce() -> Result<Vec<FluxRaw>>,
) -> Result<c_int> {
    if raws.is_null() {
        return Err(null("raws"));
    }
    check_count("raws", room, MAX_HANDLES)?;
    let opened = open()?;
    let number = opened.len();
    if number > room as usize {
        return Err(no_room(number, room));
    }
    let mut handles = reserved(number, "raws")?;
    let mut result = Ok(());
    for raw in opened {
        match raw::open(raw) {
            Ok(handle) => handles.push(handle),
            Err(error) => result = Err(error),
        }
    }
    if let Err(error) = result {
        for handle in handles {
            // SAFETY: made just now, and known to nobody.
            unsafe { raw::fluxcap_raw_free(handle) };
        }
        return Err(error);
    }
    for (index, handle) in handles.into_iter().enumerate() {
        // SAFETY: not null, with room for so many, as the caller promises.
        unsafe { raws.add(index).write(handle) };
    }
    count(number as u32)
}

#[cold]
fn no_room(number: usize, room: u32) -> FluxError {
    FluxError::new(
        ErrorKind::Invalid,
        errno::ENOSPC,
        "open all queues of an interface",
        format_args!("it has {number}, and there is room for {room} handles"),
        "make room for more, or name the queues",
    )
}

/// A place to bind to: a network interface of this machine, or a simulated NIC. Goes into struct
/// fluxcap_config.
pub struct fluxcap_link {
    _opaque: [u8; 0],
}

/// What is behind the handle.
pub(super) struct Place {
    pub(super) link: Link,
    nic: Option<Nic>,
}

// SAFETY: the only one of this kind.
unsafe impl Opaque for fluxcap_link {
    type Value = Place;
    const KIND: u64 = u64::from_le_bytes(*b"fluxlink");
    const NAME: &'static str = "fluxcap_link";
    const ARGUMENT: &'static str = "link";
    const GIVER: &'static str = "fluxcap_sim_add_nic or fluxcap_link_create";
}

/// Makes a handle of a simulated NIC.
pub(super) fn simulated(nic: Nic) -> *mut fluxcap_link {
    opaque::give(Place {
        link: Link::from(&nic),
        nic: Some(nic),
    })
}

/// The simulated NIC behind a link, in the process whose it is.
///
/// # Safety
///
/// `link` is null or an open handle.
pub(super) unsafe fn nic<'a>(link: *const fluxcap_link) -> Result<&'a Nic> {
    // SAFETY: as the caller promises.
    let place = unsafe { opaque::shared(link)? };
    let nic = place.nic.as_ref().ok_or_else(|| {
        FluxError::invalid(
            "argument link",
            "it is an interface of this machine, and no simulated NIC",
            "pass what fluxcap_sim_add_nic gave",
        )
    })?;
    nic.network().check().map(|()| nic)
}

/// Makes a link to a network interface of this machine.
///
/// Whether there is such an interface is seen when the link is used, in the network namespace of
/// the thread that uses it.
///
/// Returns 0; `*link` is a handle to be freed with fluxcap_link_free().
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_link_create(
    name: *const c_char,
    link: *mut *mut fluxcap_link,
) -> c_int {
    guard(|| {
        if name.is_null() {
            return Err(null("name"));
        }
        if link.is_null() {
            return Err(null("link"));
        }
        // SAFETY: not null, so a C string as the header asks.
        let name = unsafe { CStr::from_ptr(name) };
        let place = Place {
            link: Link::interface(&name.to_string_lossy()),
            nic: None,
        };
        // SAFETY: not null, so writable as the header asks.
        unsafe { link.write(opaque::give(place)) };
        Ok(0)
    })
}

/// Frees a link.
///
/// Sockets on it stay open, and a simulated NIC stays in its network. NULL is a no-op. The handle
/// is gone afterwards.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_link_free(link: *mut fluxcap_link) {
    guard(|| {
        // SAFETY: null, or a handle that nobody else uses, as the header asks.
        drop(unsafe { opaque::take(link) });
        Ok(0)
    });
}
