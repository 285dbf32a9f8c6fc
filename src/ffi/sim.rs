//! The world around your program, in a test: NICs, cables, traffic, faults. Without root.
//!
//! Sockets are opened on links of a simulated network in place of an interface's name; all the rest
//! of your program is as in production. Time is simulated, and a seed decides what goes wrong, so
//! that a test sees the same each time. NICs play and record capture files.
//!
//! Functions on a NIC take its link; the link of an interface of the machine is -EINVAL.
//!
//! ```c
//! // A packet arrives at a simulated NIC, and is received.
//! static int receive_one(const void *data, size_t len)
//! {
//!     struct fluxcap_sim_nic_config nic = {0};
//!     struct fluxcap_config config = {0};
//!     struct fluxcap_sim *sim = NULL;
//!     struct fluxcap_link *link = NULL;
//!     struct fluxcap_raw *raw = NULL;
//!     struct fluxcap_packet packet;
//!     int result = -1;
//!
//!     nic.struct_size = sizeof(nic);
//!     nic.name = "nic0";
//!     config.struct_size = sizeof(config);
//!     if (fluxcap_sim_create(1, &sim) == 0 && fluxcap_sim_add_nic(sim, &nic, &link) == 0) {
//!         config.link = link;
//!         if (fluxcap_open(&config, &raw) == 0 &&
//!             fluxcap_sim_nic_inject(link, 0, data, len) == 0 &&
//!             fluxcap_sim_settle(sim) >= 0)
//!             result = fluxcap_raw_recv(raw, &packet, 1);
//!     }
//!     if (result == 1)
//!         fluxcap_packet_free(&packet);
//!     fluxcap_raw_free(raw);
//!     fluxcap_link_free(link);
//!     fluxcap_sim_free(sim);
//!     return result;
//! }
//! ```

use std::ffi::{CStr, c_char, c_int};
use std::fmt;
use std::mem::offset_of;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::array::{check_count, print};
use super::config::{self, fluxcap_link};
use super::error::{count, guard, null};
use super::opaque::{self, Opaque, shared};
use super::sized::{self, Sized32};
use crate::error::{FluxError, Result};
use crate::proto::MacAddr;
use crate::sim::{Event, EventKind, Faults, Network, NicConfig, Running};

/// For `keep` of struct fluxcap_sim_nic_config: nothing is kept, only counted.
pub const FLUXCAP_SIM_KEEP_NOTHING: u32 = 0xffff_ffff;

/// A network without a kernel: NICs that sockets can be opened on, and cables between them. Needs
/// no root, and no network.
///
/// Your program opens its sockets on links of this network, in place of an interface's name, and
/// runs as in production: the rings, the counters and the errors are those of the kernel. Your test
/// plays the world around it.
///
/// Nothing moves by itself: packets move in fluxcap_sim_step() and fluxcap_sim_advance(), while a
/// socket waits or flushes, or, in real time, while the network's thread runs
/// (fluxcap_sim_start_thread()). Without the thread time is simulated, and the same calls on one
/// thread give the same results each time. On Linux a socket here has a file descriptor, too, as
/// soon as one asks for it; elsewhere fluxcap_raw_fd() is -EOPNOTSUPP.
pub struct fluxcap_sim {
    _opaque: [u8; 0],
}

/// What is behind the handle.
pub(super) struct Simulation {
    pub(super) network: Network,
    running: Mutex<Option<Running>>,
}

// SAFETY: the only one of this kind.
unsafe impl Opaque for fluxcap_sim {
    type Value = Simulation;
    const KIND: u64 = u64::from_le_bytes(*b"flux_sim");
    const NAME: &'static str = "fluxcap_sim";
    const ARGUMENT: &'static str = "sim";
    const GIVER: &'static str = "fluxcap_sim_create";
}

/// What a simulated NIC shall be. Zero everywhere but in struct_size and name is an ordinary one.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_sim_nic_config {
    /// sizeof(struct fluxcap_sim_nic_config).
    pub struct_size: u32,
    /// Its MTU in bytes, 68 to 65535. 0: 1500.
    pub mtu: u32,
    /// Its name, different from the others of its network. Read during the call only.
    pub name: *const c_char,
    /// Its queues, 1 to 256. 0: 1.
    pub queues: u32,
    /// Packets on the way to one of its queues, at most; a sender finds the device busy then. 0:
    /// 2048.
    pub cable: u32,
    /// Packets kept for fluxcap_sim_nic_take_sent() and for fluxcap_sim_nic_take_passed(), at most;
    /// a sender finds the device busy then, and the host drops. 0: 65536. FLUXCAP_SIM_KEEP_NOTHING:
    /// what is sent without a cable, or passed, is only counted.
    pub keep: u32,
    /// 1: its driver has zero-copy. 0: it has not, as that of veth.
    pub zero_copy: u32,
    /// 1: the kernel does not know the TX budget option (Linux before 6.17), so one transmit call
    /// sends 32 packets. 0: it does.
    pub no_tx_budget: u32,
    /// Its Ethernet address. All 0: 02:00:00:00:00:01 for the first NIC of a network, and so on.
    pub mac: [u8; 6],
    /// 0.
    pub reserved: [u8; 6],
    /// How long, in nanoseconds, its driver takes to let go of the queue after a zero-copy socket
    /// was closed. So long the queue is taken, and the socket's frames are in quarantine (struct
    /// fluxcap_accounting).
    pub release_delay_ns: u64,
}

/// What goes wrong on the way into a NIC and in its sockets. Zero everywhere but in struct_size:
/// nothing.
///
/// All but max_delay_ns are chances, in parts per million of packets (or of calls), 0 to 1000000.
/// Which packets are hit follows from the network's seed alone.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_sim_faults {
    /// sizeof(struct fluxcap_sim_faults).
    pub struct_size: u32,
    /// Packets that never arrive.
    pub loss: u32,
    /// Packets that arrive twice.
    pub duplication: u32,
    /// Packets that overtake up to eight others.
    pub reordering: u32,
    /// Packets of which one bit is flipped.
    pub corruption: u32,
    /// Packets that are cut short, to no less than an Ethernet header.
    pub truncation: u32,
    /// Packets that are late, by up to max_delay_ns, and all behind them.
    pub delay: u32,
    /// Packets that start a pause of max_delay_ns, after which all that waited arrive in one burst.
    pub burst: u32,
    /// Packets for which the fill ring seems to be empty; counted as the kernel counts it.
    pub starvation: u32,
    /// Sent packets whose frames come back late, by up to max_delay_ns.
    pub stalled_completion: u32,
    /// Waits that end early, with nothing there. Up to 500000.
    pub spurious_wakeup: u32,
    /// Wake-ups, of the program or of the kernel, that have no effect. Up to 500000.
    pub lost_wakeup: u32,
    /// How late, at most, in nanoseconds. Not more than a minute.
    pub max_delay_ns: u64,
}

// SAFETY: `repr(C)`, begins with a `u32`, plain numbers and a pointer that is checked when used.
unsafe impl Sized32 for fluxcap_sim_nic_config {
    const SIZES: &'static [usize] = &[
        offset_of!(fluxcap_sim_nic_config, release_delay_ns),
        size_of::<fluxcap_sim_nic_config>(),
    ];
    const NAME: &'static str = "fluxcap_sim_nic_config";
}

// SAFETY: `repr(C)`, begins with a `u32`, and is made of plain numbers.
unsafe impl Sized32 for fluxcap_sim_faults {
    const NAME: &'static str = "fluxcap_sim_faults";
}

impl From<fluxcap_sim_faults> for Faults {
    fn from(faults: fluxcap_sim_faults) -> Self {
        Self {
            loss: faults.loss,
            duplication: faults.duplication,
            reordering: faults.reordering,
            corruption: faults.corruption,
            truncation: faults.truncation,
            delay: faults.delay,
            max_delay: Duration::from_nanos(faults.max_delay_ns),
            burst: faults.burst,
            starvation: faults.starvation,
            stalled_completion: faults.stalled_completion,
            spurious_wakeup: faults.spurious_wakeup,
            lost_wakeup: faults.lost_wakeup,
        }
    }
}

/// What is behind a handle, in the process whose it is.
///
/// # Safety
///
/// `sim` is null or an open handle.
pub(super) unsafe fn network_of<'a>(sim: *const fluxcap_sim) -> Result<&'a Simulation> {
    // SAFETY: as the caller promises.
    let sim = unsafe { shared(sim)? };
    sim.network.check().map(|()| sim)
}

/// Makes a network without NICs.
///
/// Its faults follow from `seed`: the same seed and the same calls on one thread give the same
/// trace.
///
/// Returns 0; `*sim` is a handle to be freed with fluxcap_sim_free().
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_create(seed: u64, sim: *mut *mut fluxcap_sim) -> c_int {
    guard(|| {
        if sim.is_null() {
            return Err(null("sim"));
        }
        let simulation = Simulation {
            network: Network::with_seed(seed),
            running: Mutex::new(None),
        };
        // SAFETY: not null, so writable as the header asks.
        unsafe { sim.write(opaque::give(simulation)) };
        Ok(0)
    })
}

/// Frees a network's handle, and ends its thread.
///
/// Links and sockets of the network stay good: it goes with the last of them. NULL is a no-op. The
/// handle is gone afterwards.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_free(sim: *mut fluxcap_sim) {
    guard(|| {
        // SAFETY: null, or a handle that nobody else uses, as the header asks.
        drop(unsafe { opaque::take(sim) });
        Ok(0)
    });
}

/// Adds a NIC to the network. It is up, and without a cable.
///
/// Returns 0; `*link` is a handle to it, to be freed with fluxcap_link_free().
///
/// Errors:
/// - -EINVAL: a number out of its range.
/// - -EEXIST: the network has a NIC of that name already.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_add_nic(
    sim: *const fluxcap_sim,
    config: *const fluxcap_sim_nic_config,
    link: *mut *mut fluxcap_link,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let sim = unsafe { network_of(sim)? };
        if link.is_null() {
            return Err(null("link"));
        }
        // SAFETY: null, or as long as its `struct_size` says, as the header asks.
        let config = unsafe { sized::read("config", config)? };
        // SAFETY: its `name` is null or a C string, as the header asks.
        let nic = sim.network.add(unsafe { nic_config(&config)? })?;
        // SAFETY: not null, so writable as the header asks.
        unsafe { link.write(config::simulated(nic)) };
        Ok(0)
    })
}

/// # Safety
///
/// `name` is null or a C string.
unsafe fn nic_config(config: &fluxcap_sim_nic_config) -> Result<NicConfig> {
    if config.name.is_null() {
        return Err(null("name of struct fluxcap_sim_nic_config"));
    }
    if config.reserved != [0; 6] {
        return Err(field("reserved", "it is not 0", "set it to 0"));
    }
    // SAFETY: not null, so a C string as the caller promises.
    let name = unsafe { CStr::from_ptr(config.name) };
    let usual = NicConfig::new(&name.to_string_lossy());
    let or = |number, usual| if number == 0 { usual } else { number };
    Ok(NicConfig {
        mtu: or(config.mtu, usual.mtu),
        queues: or(config.queues, usual.queues),
        mac: (config.mac != [0; 6]).then_some(MacAddr(config.mac)),
        zero_copy: switch("zero_copy", config.zero_copy)?,
        release_delay: Duration::from_nanos(config.release_delay_ns),
        tx_budget: !switch("no_tx_budget", config.no_tx_budget)?,
        cable: or(config.cable, usual.cable),
        keep: match config.keep {
            FLUXCAP_SIM_KEEP_NOTHING => 0,
            number => or(number, usual.keep),
        },
        ..usual
    })
}

fn switch(name: &str, value: u32) -> Result<bool> {
    match value {
        0 | 1 => Ok(value == 1),
        _ => Err(field(name, &format!("{value} is not known"), "use 0 or 1")),
    }
}

fn field(name: &str, wrong: &str, fix: &str) -> FluxError {
    FluxError::invalid(
        format_args!("field {name} of struct fluxcap_sim_nic_config"),
        wrong,
        fix,
    )
}

/// Finds the NIC of this name.
///
/// Returns 0; `*link` is one more handle to it, to be freed with fluxcap_link_free().
///
/// Errors:
/// - -ENODEV: there is none.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_find_nic(
    sim: *const fluxcap_sim,
    name: *const c_char,
    link: *mut *mut fluxcap_link,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let sim = unsafe { network_of(sim)? };
        if name.is_null() {
            return Err(null("name"));
        }
        if link.is_null() {
            return Err(null("link"));
        }
        // SAFETY: not null, so a C string as the header asks.
        let name = unsafe { CStr::from_ptr(name) };
        let nic = sim.network.find(&name.to_string_lossy())?;
        // SAFETY: not null, so writable as the header asks.
        unsafe { link.write(config::simulated(nic)) };
        Ok(0)
    })
}

/// Joins two NICs of the network by a cable.
///
/// What one sends, the other receives, on the queue of the same number.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: twice the same, or not of this network.
/// - -EBUSY: one has a cable already.
/// - -ENODEV: one was removed.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_join(
    sim: *const fluxcap_sim,
    one: *const fluxcap_link,
    other: *const fluxcap_link,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let (sim, one, other) = unsafe {
            let named = |link, name| config::nic(link).map_err(|error| error.with_note(name));
            (network_of(sim)?, named(one, "one")?, named(other, "other")?)
        };
        sim.network.join(one, other).map(|()| 0)
    })
}

/// Handles up to `budget` packets that are due.
///
/// Those are packets that leave a zero-copy socket, are played, arrive, or are completed late.
///
/// Returns how many; 0: nothing is left to do at this time.
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_step(sim: *const fluxcap_sim, budget: u32) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let sim = unsafe { network_of(sim)? };
        count(sim.network.step(budget))
    })
}

/// Steps until nothing is left to do at this time.
///
/// Ends after some hundred million packets at the latest: a playback for ever has no end.
///
/// Returns how many packets were handled; INT_MAX: that many or more.
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_settle(sim: *const fluxcap_sim) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let sim = unsafe { network_of(sim)? };
        Ok(c_int::try_from(sim.network.settle()).unwrap_or(c_int::MAX))
    })
}

/// Lets `nanoseconds` of simulated time pass, in which all happens that is due.
///
/// Delayed packets arrive, recorded traffic is played. While the network's thread runs, real time
/// counts, and this waits for it. Without it, traffic at full speed comes at one packet a
/// microsecond.
///
/// Returns 0.
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_advance(sim: *const fluxcap_sim, nanoseconds: u64) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let sim = unsafe { network_of(sim)? };
        sim.network.advance(Duration::from_nanos(nanoseconds));
        Ok(0)
    })
}

/// The nanoseconds since the network was made, as its packets see it.
///
/// Returns 0, and writes them to `*nanoseconds`.
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_get_time(
    sim: *const fluxcap_sim,
    nanoseconds: *mut u64,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let sim = unsafe { network_of(sim)? };
        if nanoseconds.is_null() {
            return Err(null("nanoseconds"));
        }
        let now = u64::try_from(sim.network.now().as_nanos()).unwrap_or(u64::MAX);
        // SAFETY: not null, so writable as the header asks.
        unsafe { nanoseconds.write(now) };
        Ok(0)
    })
}

/// Starts a thread that moves packets as they come, in real time.
///
/// With it, programs of several threads run as on a real machine; without it, a single thread sees
/// the same happen each time.
///
/// Returns 0.
///
/// Errors:
/// - -EBUSY: it runs already.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_start_thread(sim: *const fluxcap_sim) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let sim = unsafe { network_of(sim)? };
        let mut running = sim.running.lock().unwrap_or_else(PoisonError::into_inner);
        let started = sim.network.run()?;
        *running = Some(started);
        Ok(0)
    })
}

/// Ends the thread.
///
/// Time is simulated again, and goes on from where it is. Without a thread it is a no-op.
///
/// Returns 0.
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_stop_thread(sim: *const fluxcap_sim) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let sim = unsafe { network_of(sim)? };
        let mut running = sim.running.lock().unwrap_or_else(PoisonError::into_inner);
        drop(running.take());
        Ok(0)
    })
}

/// What goes wrong from now on, at all NICs, and at those to come.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: a chance or the delay is out of its range.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_set_faults(
    sim: *const fluxcap_sim,
    faults: *const fluxcap_sim_faults,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks; `faults` is null or as long as its `struct_size` says.
        let (sim, faults) = unsafe { (network_of(sim)?, sized::read("faults", faults)?) };
        sim.network.set_faults(faults.into()).map(|()| 0)
    })
}

/// The packet reached the NIC.
pub const FLUXCAP_SIM_ARRIVED: u32 = 1;
/// The packet stands in the RX ring of the queue's socket.
pub const FLUXCAP_SIM_RECEIVED: u32 = 2;
/// The packet went on to the host's network stack.
pub const FLUXCAP_SIM_PASSED: u32 = 3;
/// The packet was dropped on arrival: the host's queue or the RX ring full, no frame, too long, or
/// the NIC down.
pub const FLUXCAP_SIM_DROPPED: u32 = 4;
/// The packet was taken out of a TX ring.
pub const FLUXCAP_SIM_SENT: u32 = 5;
/// A frame came back through the completion ring.
pub const FLUXCAP_SIM_COMPLETED: u32 = 6;
/// A fault took the packet.
pub const FLUXCAP_SIM_LOST: u32 = 7;
/// A fault made a second packet.
pub const FLUXCAP_SIM_DUPLICATED: u32 = 8;
/// A fault let the packet overtake others.
pub const FLUXCAP_SIM_REORDERED: u32 = 9;
/// A fault changed a bit of the packet.
pub const FLUXCAP_SIM_CORRUPTED: u32 = 10;
/// A fault cut the packet.
pub const FLUXCAP_SIM_TRUNCATED: u32 = 11;
/// A fault held the packet up.
pub const FLUXCAP_SIM_DELAYED: u32 = 12;
/// A fault made a kick or a wait pass without effect.
pub const FLUXCAP_SIM_WAKEUP_LOST: u32 = 13;
/// A fault ended a wait early.
pub const FLUXCAP_SIM_WAKEUP_SPURIOUS: u32 = 14;
/// A fault hid the frames of the fill ring.
pub const FLUXCAP_SIM_STARVED: u32 = 15;
/// A fault holds a sent frame back.
pub const FLUXCAP_SIM_STALLED: u32 = 16;

/// One thing that happened in a simulated network. There may be more kinds in later versions.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_sim_event {
    /// When, in nanoseconds since the network was made.
    pub time_ns: u64,
    /// A hash of the packet's bytes (FNV-1a); 0 where there is none.
    pub digest: u64,
    /// The number of the NIC, from 0, in the order they were added.
    pub nic: u32,
    /// The queue.
    pub queue: u32,
    /// FLUXCAP_SIM_…: what.
    pub kind: u32,
    /// The packet's length in bytes; 0 where there is none.
    pub len: u32,
}

impl From<&Event> for fluxcap_sim_event {
    fn from(event: &Event) -> Self {
        Self {
            time_ns: u64::try_from(event.time.as_nanos()).unwrap_or(u64::MAX),
            digest: event.digest,
            nic: event.nic,
            queue: event.queue,
            kind: match event.kind {
                EventKind::Arrived => FLUXCAP_SIM_ARRIVED,
                EventKind::Received => FLUXCAP_SIM_RECEIVED,
                EventKind::Passed => FLUXCAP_SIM_PASSED,
                EventKind::Dropped => FLUXCAP_SIM_DROPPED,
                EventKind::Sent => FLUXCAP_SIM_SENT,
                EventKind::Completed => FLUXCAP_SIM_COMPLETED,
                EventKind::Lost => FLUXCAP_SIM_LOST,
                EventKind::Duplicated => FLUXCAP_SIM_DUPLICATED,
                EventKind::Reordered => FLUXCAP_SIM_REORDERED,
                EventKind::Corrupted => FLUXCAP_SIM_CORRUPTED,
                EventKind::Truncated => FLUXCAP_SIM_TRUNCATED,
                EventKind::Delayed => FLUXCAP_SIM_DELAYED,
                EventKind::WakeupLost => FLUXCAP_SIM_WAKEUP_LOST,
                EventKind::WakeupSpurious => FLUXCAP_SIM_WAKEUP_SPURIOUS,
                EventKind::Starved => FLUXCAP_SIM_STARVED,
                EventKind::Stalled => FLUXCAP_SIM_STALLED,
            },
            len: event.len,
        }
    }
}

/// Notes down what happens in the network from now on, up to `events` of it; 0 ends that.
///
/// What was noted before is gone.
///
/// Returns 0.
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_start_trace(sim: *const fluxcap_sim, events: u32) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let sim = unsafe { network_of(sim)? };
        sim.network.start_trace(events as usize);
        Ok(0)
    })
}

/// The first `count` events since fluxcap_sim_start_trace(), in order, or fewer if there are fewer.
///
/// Times are nanoseconds since the network was made.
///
/// Returns how many there are in all, and writes the first ones to `events`.
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_get_trace(
    sim: *const fluxcap_sim,
    events: *mut fluxcap_sim_event,
    count: u32,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let sim = unsafe { network_of(sim)? };
        if events.is_null() && count > 0 {
            return Err(null("events"));
        }
        let room = check_count("events", count, c_int::MAX as u32)?;
        let trace = sim.network.trace();
        for (place, event) in trace.iter().take(room).enumerate() {
            // SAFETY: `place` is less than `room`, and as many are writable as the header asks.
            unsafe { events.add(place).write(event.into()) };
        }
        self::count(trace.len() as u32)
    })
}

/// What happened since fluxcap_sim_start_trace(), in order, as text: one event a line.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_format_trace(
    sim: *const fluxcap_sim,
    text: *mut c_char,
    size: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let sim = unsafe { network_of(sim)? };
        // SAFETY: as the header asks.
        unsafe { print(&Lines(sim.network.trace()), text, size) }
    })
}

struct Lines(Vec<Event>);

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}
