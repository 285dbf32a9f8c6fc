//! A loop that the library runs: it gives packets to your callback, and does the rest.
//!
//! An engine owns one socket or several, its ports. The callback gets what came in through a port,
//! a batch at a time; a packet whose verdict it leaves as it is is recycled, another one leaves
//! through the port that the verdict names. A group runs several engines, each on a thread of its
//! own.
//!
//! ```c
//! // Sends packets on from port 0 to port 1 and back; drops what is shorter than a header.
//! static int cross(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
//! {
//!     (void)user;
//!     for (uint32_t i = 0; i < count; i++) {
//!         if (packets[i].len >= 14)
//!             packets[i].verdict = FLUXCAP_SEND + (1 - port);
//!     }
//!     return 0;
//! }
//!
//! static int bridge(struct fluxcap_raw *raws[2])
//! {
//!     struct fluxcap_engine *engine;
//!     int result = fluxcap_engine_create(raws, 2, NULL, &engine);
//!
//!     if (result < 0)
//!         return result;
//!     result = fluxcap_engine_run(engine, cross, NULL); // Until fluxcap_engine_stop().
//!     fluxcap_engine_free(engine);
//!     return result;
//! }
//! ```

use std::ffi::{c_char, c_int, c_void};
use std::sync::{Arc, RwLockReadGuard};
use std::time::Duration;

use super::array::{MAX_HANDLES, entries_mut, print};
use super::callback::{caller, fluxcap_callback};
use super::error::{count, guard, null};
use super::opaque::{self, Emptied, Lock, Opaque, shared};
use super::poller::{poller, timeout};
use super::raw::{self, Open, Owner, fluxcap_raw};
use super::sized::{self, Sized32};
use crate::backend::machine::CancelGuard;
use crate::engine::{EngineStatistics, FluxEngine, WhenFull};
use crate::error::{FluxError, Result, errno};
use crate::packet::batch::PacketBatch;
use crate::poller::Poller;
use crate::stopper::Stopper;

/// Packets for a full port wait in the RX rings, so that none is lost within the engine.
pub const FLUXCAP_WHEN_FULL_WAIT: u32 = 0;
/// Packets for a full port are dropped and counted, so that it never holds up another one.
pub const FLUXCAP_WHEN_FULL_DROP: u32 = 1;

/// How an engine shall run. Zero everywhere but in struct_size is a good start.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_engine_config {
    /// sizeof(struct fluxcap_engine_config).
    pub struct_size: u32,
    /// FLUXCAP_POLLER_…: how it waits for packets.
    pub poller: u32,
    /// How long FLUXCAP_POLLER_ADAPTIVE spins after the last packet, in microseconds. 0: 50.
    pub spin_us: u32,
    /// The most packets that one call of the callback gets, 1 to 4096. 0: 64.
    pub batch: u32,
    /// FLUXCAP_WHEN_FULL_…: what becomes of packets for a port whose TX ring is full.
    pub when_full: u32,
    /// 1: ports may work on different UMEMs, and packets between them are copied. 0: they may not.
    pub copying: u32,
    /// How long a port may keep packets to send without any of them leaving, in milliseconds, until
    /// a run ends with -ETIME. 0: 1000; -1: for ever.
    pub patience_ms: c_int,
}

// SAFETY: `repr(C)`, begins with a `u32`, and is made of plain numbers.
unsafe impl Sized32 for fluxcap_engine_config {
    const NAME: &'static str = "fluxcap_engine_config";
}

/// A config, checked.
#[derive(Clone, Copy, Default)]
pub(super) struct Settings {
    poller: Poller,
    batch: Option<u32>,
    when_full: WhenFull,
    copying: bool,
    patience: Option<Duration>,
}

impl Settings {
    /// # Safety
    ///
    /// `config` is null, or points to at least as many readable bytes as its `struct_size` says.
    pub(super) unsafe fn read(name: &str, config: *const fluxcap_engine_config) -> Result<Self> {
        match config.is_null() {
            true => Ok(Self::default()),
            // SAFETY: as the caller promises.
            false => Self::new(&unsafe { sized::read(name, config)? }),
        }
    }

    fn new(config: &fluxcap_engine_config) -> Result<Self> {
        Ok(Self {
            poller: poller(config.poller, config.spin_us)?,
            batch: (config.batch != 0).then_some(config.batch),
            when_full: match config.when_full {
                FLUXCAP_WHEN_FULL_WAIT => WhenFull::Wait,
                FLUXCAP_WHEN_FULL_DROP => WhenFull::Drop,
                other => {
                    return Err(field(
                        "when_full",
                        other,
                        "use one of FLUXCAP_WHEN_FULL_...",
                    ));
                }
            },
            copying: match config.copying {
                0 | 1 => config.copying == 1,
                other => return Err(field("copying", other, "use 0 or 1")),
            },
            patience: match config.patience_ms {
                0 => None,
                time => {
                    let time = timeout("patience_ms", time).map_err(|error| {
                        error.with_note("the field of struct fluxcap_engine_config")
                    })?;
                    Some(time.unwrap_or(Duration::MAX))
                }
            },
        })
    }

    pub(super) fn apply(self, engine: &mut FluxEngine) -> Result<()> {
        engine.set_poller(self.poller);
        engine.set_when_full(self.when_full);
        engine.set_copying(self.copying);
        if let Some(patience) = self.patience {
            engine.set_patience(patience);
        }
        self.batch.map_or(Ok(()), |batch| engine.set_batch(batch))
    }
}

fn field(name: &str, value: u32, fix: &str) -> FluxError {
    FluxError::invalid(
        format_args!("field {name} of struct fluxcap_engine_config"),
        format_args!("{value} is not known"),
        fix,
    )
}

/// Mode A: owns one or more sockets, its ports, and gives what they receive to a callback, a batch
/// at a time.
///
/// What the callback leaves as it is is recycled, what it wants sent is sent. Refilling, taking
/// sent frames back, waking the kernel, and waiting are the engine's. A packet that leaves through
/// another port on the same UMEM is not copied.
///
/// One call at a time runs it; another one meanwhile, from the callback or another thread, is
/// -EBUSY and does no harm.
pub struct fluxcap_engine {
    _opaque: [u8; 0],
}

/// What is behind the handle.
pub(super) struct Running {
    engine: Arc<Lock<FluxEngine>>,
    stopper: Stopper,
    ports: Ports,
}

// SAFETY: the only one of this kind.
unsafe impl Opaque for fluxcap_engine {
    type Value = Running;
    const KIND: u64 = u64::from_le_bytes(*b"flux_eng");
    const NAME: &'static str = "fluxcap_engine";
    const ARGUMENT: &'static str = "engine";
    const GIVER: &'static str = "fluxcap_engine_create";
}

/// Handles to look at ports, which are gone with this.
pub(super) struct Ports(pub(super) Vec<*mut fluxcap_raw>);

impl Ports {
    /// The handle of a port.
    pub(super) fn get(&self, port: u32) -> Result<*const fluxcap_raw> {
        let found = self.0.get(port as usize).copied();
        Ok(found
            .ok_or_else(|| no_port(port, self.0.len()))?
            .cast_const())
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        for &port in &self.0 {
            // SAFETY: it comes from `raw::port`, and is good for as long as the engine, as the header says.
            unsafe { raw::close_port(port) };
        }
    }
}

impl Running {
    pub(super) fn new(engine: FluxEngine) -> Self {
        let (ports, stopper) = (engine.ports(), engine.stopper());
        let engine = Arc::new(Lock::new(engine));
        let port = |port| raw::port(Owner::Engine(engine.clone()), port);
        Self {
            ports: Ports((0..ports).map(port).collect()),
            engine,
            stopper,
        }
    }

    /// That it can go to another owner: it is this process's, and no call has it.
    pub(super) fn check_idle(&self) -> Result<()> {
        self.engine.check()?;
        self.engine.exclusive().map(drop)
    }

    /// The engine itself; `None` while a call has it.
    pub(super) fn into_engine(self) -> Option<FluxEngine> {
        drop(self.ports);
        Arc::into_inner(self.engine).map(Lock::into_inner)
    }
}

/// Makes an engine of `count` sockets, its ports, counted from 0.
///
/// The sockets are the engine's then, their handles are gone, and the array is all NULL. `config`
/// may be NULL.
///
/// Returns 0; `*engine` is a handle to be freed with fluxcap_engine_free().
///
/// Errors, after which all sockets are still yours:
/// - -EINVAL: no socket, or one twice; one on another UMEM than the first, without `copying`; a
///   number out of its range.
/// - -ENOMEM: not enough memory for batches of that size.
///
/// Threads: any, which has all the sockets for itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_engine_create(
    raws: *mut *mut fluxcap_raw,
    count: u32,
    config: *const fluxcap_engine_config,
    engine: *mut *mut fluxcap_engine,
) -> c_int {
    guard(|| {
        if engine.is_null() {
            return Err(null("engine"));
        }
        if raws.is_null() {
            return Err(null("raws"));
        }
        // SAFETY: null, or as long as its `struct_size` says, as the header asks.
        let config = unsafe { Settings::read("config", config)? };
        // SAFETY: an array of handles as the header asks.
        let raws = unsafe { entries_mut("raws", raws, (count, MAX_HANDLES))? };
        // SAFETY: nobody else uses the sockets, as the header asks.
        let made = unsafe { assemble(raws, config)? };
        raws.fill(std::ptr::null_mut());
        // SAFETY: not null, so writable as the header asks.
        unsafe { engine.write(opaque::give(Running::new(made))) };
        Ok(0)
    })
}

/// An engine of the sockets, whose handles are gone then. After an error they are as they were.
///
/// # Safety
///
/// Each is null or an open handle that nobody else uses.
unsafe fn assemble(raws: &[*mut fluxcap_raw], settings: Settings) -> Result<FluxEngine> {
    let mut places: Vec<(Emptied<fluxcap_raw>, PacketBatch)> = Vec::new();
    let mut engine: Option<FluxEngine> = None;
    let mut refused = None;
    let mut result = Ok(());
    for (number, &handle) in raws.iter().enumerate() {
        result = if raws[..number].contains(&handle) {
            Err(twice())
        } else {
            // SAFETY: as the caller promises.
            unsafe { emptied(handle) }.and_then(|(place, Open { raw, batch })| {
                places.push((place, batch));
                let Some(engine) = &mut engine else {
                    return settings.apply(engine.insert(FluxEngine::new(raw)));
                };
                engine.add_port(raw).map(drop).map_err(|rejected| {
                    let (raw, error) = rejected.into_parts();
                    refused = Some(raw);
                    error
                })
            })
        };
        result = result.map_err(|error| error.with_note(format_args!("entry {number} of raws")));
        if result.is_err() {
            break;
        }
    }
    match (engine, result) {
        (Some(engine), Ok(())) => Ok(engine),
        (None, Ok(())) => Err(no_ports()),
        (engine, Err(error)) => {
            let taken = engine.map_or_else(Vec::new, FluxEngine::into_ports);
            for (raw, (place, batch)) in taken.into_iter().chain(refused).zip(places) {
                place.refill(Open { raw, batch });
            }
            Err(error)
        }
    }
}

/// Takes a socket out of its handle, in the process whose it is.
///
/// # Safety
///
/// As [`opaque::empty`].
unsafe fn emptied(handle: *mut fluxcap_raw) -> Result<(Emptied<fluxcap_raw>, Open)> {
    // SAFETY: as the caller promises.
    unsafe {
        let process = shared(handle)?.raw.umem().process();
        process.check("making an engine")?;
        opaque::empty(handle)
    }
}

#[cold]
fn twice() -> FluxError {
    FluxError::invalid(
        "make an engine",
        "it got the same socket twice",
        "open one for each port",
    )
}

#[cold]
fn no_ports() -> FluxError {
    FluxError::invalid(
        "make an engine",
        "it got no socket",
        "open at least one with fluxcap_open()",
    )
}

/// Gives packets to `callback` until fluxcap_engine_stop() ends it.
///
/// A stop that came before ends it at once. `user` is for your callback.
///
/// Returns 0 after a stop.
///
/// Errors, after which no frame is lost, and the engine can run again:
/// - A negative number that the callback returned, after the packets of its batch went where the
///   callback wanted them.
/// - -EMSGSIZE: the callback made a packet that is to be sent end behind its frame.
/// - -EINVAL: an entry that is to be sent names the frame of another packet, or a port that is not
///   there. That packet was recycled, the others went where they should.
/// - -ENODEV: an interface was removed, or moved to another network namespace, which shows within a
///   tenth of a second, or its XDP program was taken off, within a second.
/// - -ENETDOWN: an interface is down, and the kernel had to be called for it, as when it has
///   packets to send.
/// - -ETIME: an interface sends nothing any more: see `patience_ms` of struct
///   fluxcap_engine_config.
/// - -EBUSY: it runs already.
///
/// Threads: any, one at a time: a second call meanwhile, from the callback or another thread, is
/// -EBUSY and does no harm. System calls: recvfrom() and sendto(), where the kernel asks for a
/// wake-up; ppoll() to sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_engine_run(
    engine: *mut fluxcap_engine,
    callback: fluxcap_callback,
    user: *mut c_void,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let (running, callback) = unsafe { (shared(engine)?, caller(callback, user)?) };
        running.engine.exclusive()?.run(callback).map(|_| 0)
    })
}

/// As fluxcap_engine_run(), for at most `timeout_ms` milliseconds; -1: no such end.
///
/// Returns 0 after that time, or a stop.
///
/// Errors:
/// - Those of fluxcap_engine_run(): the number of the callback, -EMSGSIZE, -EINVAL, -ENODEV,
///   -ENETDOWN, -ETIME, -EBUSY.
///
/// Threads: any, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_engine_run_for(
    engine: *mut fluxcap_engine,
    timeout_ms: c_int,
    callback: fluxcap_callback,
    user: *mut c_void,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let (running, callback) = unsafe { (shared(engine)?, caller(callback, user)?) };
        let time = timeout("timeout_ms", timeout_ms)?;
        let mut engine = running.engine.exclusive()?;
        let statistics = match time {
            Some(time) => engine.run_for(time, callback),
            None => engine.run(callback),
        };
        statistics.map(|_| 0)
    })
}

/// One turn: a batch of each port that has packets, and whatever the kernel needs.
///
/// It never waits, and ignores a stop. For a loop of your own, with fluxcap_engine_wait() after a
/// turn without packets.
///
/// Returns how many packets there were.
///
/// Errors:
/// - Those of fluxcap_engine_run(), but not -ETIME, which fluxcap_engine_wait() reports. -ENODEV
///   may show only in a turn without packets.
///
/// Threads: any, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_engine_run_once(
    engine: *mut fluxcap_engine,
    callback: fluxcap_callback,
    user: *mut c_void,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let (running, callback) = unsafe { (shared(engine)?, caller(callback, user)?) };
        count(running.engine.exclusive()?.run_once(callback)?)
    })
}

/// Waits for packets as the engine's poller says.
///
/// It waits for at most `timeout_ms` milliseconds; -1: for ever. A stop ends the wait, with 0; it
/// stays for the next run, which it ends before it begins, and ends further waits until then.
///
/// Returns 0, perhaps early.
///
/// Errors:
/// - -ENODEV: an interface was removed, or moved to another network namespace, which shows within a
///   tenth of a second, or its XDP program was taken off, within a second.
/// - -ETIME: an interface sends nothing any more: see `patience_ms` of struct
///   fluxcap_engine_config.
/// - -EBUSY: the engine runs.
///
/// Threads: any, one at a time. System calls: ppoll(), to sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_engine_wait(
    engine: *mut fluxcap_engine,
    timeout_ms: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let running = unsafe { shared(engine)? };
        running
            .engine
            .exclusive()?
            .wait(timeout("timeout_ms", timeout_ms)?)
            .map(|()| 0)
    })
}

/// Ends the run at the end of the turn that it is in, or its sleep.
///
/// Without one it ends the next run before it begins, so that no stop is lost.
///
/// Returns 0.
///
/// Errors, without a text:
/// - -EINVAL: `engine` is no open engine.
///
/// Threads: any, at any time while the handle is open; the callback; and signal handlers, where a
/// write() to a descriptor is all it does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_engine_stop(engine: *const fluxcap_engine) -> c_int {
    // The write() is a cancellation point.
    let _uncancelled = CancelGuard::new();
    // SAFETY: null or an open handle, as the header asks, of which the part that is used never changes.
    match unsafe { opaque::find(engine) } {
        Some(running) => running.stopper.stop(),
        None => return -errno::EINVAL,
    }
    0
}

/// A handle to look at the socket of a port.
///
/// It is for all functions that take a const struct fluxcap_raw. It is the engine's and goes with
/// it. While the engine runs those functions return -EBUSY, or NULL.
///
/// Returns the handle; NULL when there is no such port.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_engine_port(
    engine: *const fluxcap_engine,
    port: u32,
) -> *const fluxcap_raw {
    let mut found = std::ptr::null();
    guard(|| {
        // SAFETY: null or an open handle, as the header asks.
        found = unsafe { shared(engine)? }.ports.get(port)?;
        Ok(0)
    });
    found
}

#[cold]
pub(super) fn no_port(port: u32, ports: usize) -> FluxError {
    FluxError::invalid(
        format_args!("port {port} of an engine"),
        format_args!("it has {ports}, counted from 0"),
        "use one of them",
    )
}

/// What an engine is behind its handle, for calls that look at it.
///
/// # Safety
///
/// `engine` is null or an open handle.
pub(super) unsafe fn inspect<'a>(
    engine: *const fluxcap_engine,
) -> Result<RwLockReadGuard<'a, FluxEngine>> {
    // SAFETY: as the caller promises.
    unsafe { shared(engine)? }.engine.look()
}

/// Ends an engine and closes its sockets.
///
/// Packets that you still hold stay good. NULL is a no-op. While it runs, as in its own callback,
/// nothing happens, and fluxcap_last_error() says so. Otherwise the handle is gone afterwards.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_engine_free(engine: *mut fluxcap_engine) {
    if engine.is_null() {
        return;
    }
    guard(|| {
        // SAFETY: as the header asks.
        drop(unsafe { shared(engine)? }.engine.exclusive()?);
        // SAFETY: a handle that nobody else uses, as the header asks.
        drop(unsafe { opaque::take(engine) });
        Ok(0)
    });
}

/// What an engine did in all its runs. The packets are the sum over all ports.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_engine_statistics {
    /// sizeof(struct fluxcap_engine_statistics), set by you.
    pub struct_size: u32,
    /// The number of ports.
    pub ports: u32,
    /// Packets that came in and were shown to the callback.
    pub received: u64,
    /// Packets that went out.
    pub sent: u64,
    /// Packets that came in and were recycled.
    pub recycled: u64,
    /// Packets that should have gone out and found no room.
    pub dropped: u64,
    /// Packets among the sent ones that were copied from another UMEM.
    pub copied: u64,
    /// Calls of the callback.
    pub batches: u64,
    /// Turns in which packets waited because a TX ring was full.
    pub stalls: u64,
    /// Turns without packets in which it kept looking.
    pub spins: u64,
    /// Turns without packets in which it slept.
    pub sleeps: u64,
    /// Times that it went over from spinning to sleeping, or back.
    pub switches: u64,
}

/// What passed through one port of an engine.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_port_statistics {
    /// sizeof(struct fluxcap_port_statistics), set by you.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Packets that came in and were shown to the callback.
    pub received: u64,
    /// Packets that went out.
    pub sent: u64,
    /// Packets that came in and were recycled.
    pub recycled: u64,
    /// Packets that should have gone out and found no room.
    pub dropped: u64,
    /// Packets among the sent ones that were copied from another UMEM.
    pub copied: u64,
}

// SAFETY: `repr(C)`, begins with a `u32`, and is made of plain numbers.
unsafe impl Sized32 for fluxcap_engine_statistics {
    const NAME: &'static str = "fluxcap_engine_statistics";
}

// SAFETY: `repr(C)`, begins with a `u32`, and is made of plain numbers.
unsafe impl Sized32 for fluxcap_port_statistics {
    const NAME: &'static str = "fluxcap_port_statistics";
}

/// What an engine did.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: it runs.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_engine_get_statistics(
    engine: *const fluxcap_engine,
    statistics: *mut fluxcap_engine_statistics,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let counted = unsafe { inspect(engine)? }.statistics();
        // SAFETY: as the header asks.
        unsafe { sized::write("statistics", statistics, &counted.into()) }.map(|()| 0)
    })
}

impl From<EngineStatistics> for fluxcap_engine_statistics {
    fn from(counted: EngineStatistics) -> Self {
        let total = counted.total();
        Self {
            struct_size: 0,
            ports: counted.ports.len() as u32,
            received: total.received,
            sent: total.sent,
            recycled: total.recycled,
            dropped: total.dropped,
            copied: total.copied,
            batches: counted.batches,
            stalls: counted.stalls,
            spins: counted.poller.spins,
            sleeps: counted.poller.sleeps,
            switches: counted.poller.switches,
        }
    }
}

/// What passed through a port.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: the engine runs.
/// - -EINVAL: there is no such port.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_engine_get_port_statistics(
    engine: *const fluxcap_engine,
    port: u32,
    statistics: *mut fluxcap_port_statistics,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let ports = unsafe { inspect(engine)? }.statistics().ports;
        let counted = ports
            .get(port as usize)
            .ok_or_else(|| no_port(port, ports.len()))?;
        let value = fluxcap_port_statistics {
            struct_size: 0,
            reserved: 0,
            received: counted.received,
            sent: counted.sent,
            recycled: counted.recycled,
            dropped: counted.dropped,
            copied: counted.copied,
        };
        // SAFETY: as the header asks.
        unsafe { sized::write("statistics", statistics, &value) }.map(|()| 0)
    })
}

/// What an engine did as text, for a person: a line for each port, and one for the whole.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors:
/// - -EBUSY: it runs.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_engine_format_statistics(
    engine: *const fluxcap_engine,
    text: *mut c_char,
    size: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        unsafe { print(&inspect(engine)?.statistics(), text, size) }
    })
}
