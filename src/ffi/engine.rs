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
//!     int result = fluxcap_engine_new(raws, 2, NULL, &engine);
//!
//!     if (result < 0)
//!         return result;
//!     result = fluxcap_engine_run(engine, cross, NULL); // Until fluxcap_engine_stop().
//!     fluxcap_engine_free(engine);
//!     return result;
//! }
//! ```

use std::ffi::{c_int, c_void};
use std::sync::{Arc, RwLockReadGuard};

use super::array::{MAX_HANDLES, entries_mut};
use super::callback::{caller, fluxcap_callback};
use super::engine_config::{Settings, fluxcap_engine_config};
use super::error::{guard, null};
use super::handle::{self, Open, Owner, count, fluxcap_raw};
use super::lock::Lock;
use super::opaque::{self, Emptied, Opaque, shared};
use super::poller::timeout;
use crate::batch::PacketBatch;
use crate::engine::FluxEngine;
use crate::error::{FluxError, Result, errno};
use crate::kernel::machine::Uncancelled;
use crate::stopper::Stopper;

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
    const GIVER: &'static str = "fluxcap_engine_new";
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
            // SAFETY: it comes from `handle::port`, and is good for as long as the engine, as the header says.
            unsafe { handle::close_port(port) };
        }
    }
}

impl Running {
    pub(super) fn new(engine: FluxEngine) -> Self {
        let (ports, stopper) = (engine.ports(), engine.stopper());
        let engine = Arc::new(Lock::new(engine));
        let port = |port| handle::port(Owner::Engine(engine.clone()), port);
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
pub unsafe extern "C" fn fluxcap_engine_new(
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
    let _uncancelled = Uncancelled::new();
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
