//! Several engines, each on a thread of its own, and what they did.

use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::{Arc, RwLockReadGuard};
use std::time::Duration;

use super::array::{MAX_HANDLES, entries, entries_mut, print};
use super::callback::{Entered, caller, fluxcap_callback};
use super::config::{builder, fluxcap_config, queues};
use super::engine::{
    Ports, Running, Settings, fluxcap_engine, fluxcap_engine_config, fluxcap_engine_statistics,
};
use super::error::{guard, null};
use super::opaque::{self, Emptied, Lock, Opaque, busy, shared};
use super::poller::{poller, timeout};
use super::raw::{self, Owner, fluxcap_raw};
use super::sized::{self, Sized32};
use crate::backend::machine::CancelGuard;
use crate::engine::{EngineGroup, FluxEngine, GroupStopper};
use crate::error::{FluxError, Result, errno};

/// Several engines, each on a thread of its own, which run and stop together: in the common case
/// one for each queue of an interface.
///
/// One call at a time runs them; another one meanwhile, from a callback or another thread, is
/// -EBUSY and does no harm.
pub struct fluxcap_group {
    _opaque: [u8; 0],
}

/// What is behind the handle.
pub(super) struct Engines {
    group: Arc<Lock<EngineGroup>>,
    stopper: GroupStopper,
    ports: Vec<Ports>,
}

// SAFETY: the only one of this kind.
unsafe impl Opaque for fluxcap_group {
    type Value = Engines;
    const KIND: u64 = u64::from_le_bytes(*b"fluxgrup");
    const NAME: &'static str = "fluxcap_group";
    const ARGUMENT: &'static str = "group";
    const GIVER: &'static str = "fluxcap_group_create or fluxcap_group_open";
}

/// Told of an interface whose number of receive queues changed from `before` to `now` during a run:
/// packets go where no engine sees them then.
///
/// Called on the thread that called fluxcap_group_run(). It may stop the group. `interface` is good
/// until it returns. It must return, as a fluxcap_callback.
pub type fluxcap_queue_callback = Option<
    unsafe extern "C-unwind" fn(user: *mut c_void, interface: *const c_char, before: u32, now: u32),
>;

/// Makes a group of engines, numbered from 0.
///
/// The engines are the group's then, their handles are gone, and the array is all NULL.
///
/// Returns 0; `*group` is a handle to be freed with fluxcap_group_free().
///
/// Errors, after which all engines are still yours:
/// - -EINVAL: no engine, or one twice.
/// - -EBUSY: one runs.
///
/// Threads: any, which has all the engines for itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_group_create(
    engines: *mut *mut fluxcap_engine,
    count: u32,
    group: *mut *mut fluxcap_group,
) -> c_int {
    guard(|| {
        if group.is_null() {
            return Err(null("group"));
        }
        if engines.is_null() {
            return Err(null("engines"));
        }
        // SAFETY: an array of handles as the header asks.
        let engines = unsafe { entries_mut("engines", engines, (count, MAX_HANDLES))? };
        // SAFETY: nobody else uses the engines, as the header asks.
        let taken = unsafe { assemble(engines)? };
        engines.fill(std::ptr::null_mut());
        let made = EngineGroup::new(taken)?;
        // SAFETY: not null, so writable as the header asks.
        unsafe { group.write(open(made)) };
        Ok(0)
    })
}

/// Opens sockets, and makes a group of one engine for each.
///
/// One for each of `count` queues of an interface, whose numbers `queues` has, or with NULL of all
/// that it has, whatever `count`. The sockets are those of fluxcap_open_queues(), the engines run
/// as `engine_config` says, which may be NULL.
///
/// Returns 0; `*group` is a handle to be freed with fluxcap_group_free().
///
/// Errors, after which nothing is left behind:
/// - Those of fluxcap_open_queues() and fluxcap_engine_create().
///
/// Threads: any. Rights: as fluxcap_open().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_group_open(
    config: *const fluxcap_config,
    queues: *const u32,
    count: u32,
    engine_config: *const fluxcap_engine_config,
    group: *mut *mut fluxcap_group,
) -> c_int {
    guard(|| {
        if group.is_null() {
            return Err(null("group"));
        }
        // SAFETY: as the header asks.
        let (settings, builder, queues) = unsafe {
            (
                Settings::read("engine_config", engine_config)?,
                builder(&sized::read("config", config)?)?,
                self::queues(queues, count)?,
            )
        };
        let sockets = builder.build_queues(queues)?.into_iter();
        let engines: Result<Vec<FluxEngine>> = sockets
            .map(|raw| {
                let mut engine = FluxEngine::new(raw);
                settings.apply(&mut engine).map(|()| engine)
            })
            .collect();
        let made = EngineGroup::new(engines?)?;
        // SAFETY: not null, so writable as the header asks.
        unsafe { group.write(open(made)) };
        Ok(0)
    })
}

fn open(group: EngineGroup) -> *mut fluxcap_group {
    let sizes: Vec<u32> = group.engines().iter().map(FluxEngine::ports).collect();
    let stopper = group.stopper();
    let group = Arc::new(Lock::new(group));
    let ports = sizes.into_iter().enumerate().map(|(engine, ports)| {
        let port = |port| raw::port(Owner::Group(group.clone(), engine), port);
        Ports((0..ports).map(port).collect())
    });
    opaque::give(Engines {
        ports: ports.collect(),
        group,
        stopper,
    })
}

/// The engines, whose handles are gone then. After an error they are as they were.
///
/// # Safety
///
/// Each is null or an open handle that nobody else uses.
unsafe fn assemble(engines: &[*mut fluxcap_engine]) -> Result<Vec<FluxEngine>> {
    let mut places: Vec<(Emptied<fluxcap_engine>, Running)> = Vec::new();
    for (number, &handle) in engines.iter().enumerate() {
        let emptied = if engines[..number].contains(&handle) {
            Err(twice())
        } else {
            // SAFETY: as the caller promises.
            unsafe { shared(handle) }.and_then(|running| {
                running.check_idle()?;
                // SAFETY: as the caller promises; no call has it.
                unsafe { opaque::empty(handle) }
            })
        };
        match emptied {
            Ok(taken) => places.push(taken),
            Err(error) => {
                for (place, running) in places {
                    place.refill(running);
                }
                return Err(error.with_note(format_args!("entry {number} of engines")));
            }
        }
    }
    if places.is_empty() {
        return Err(no_engine());
    }
    let running = places.into_iter().map(|(_, running)| running);
    running
        .map(|running| running.into_engine().ok_or_else(busy))
        .collect()
}

#[cold]
fn twice() -> FluxError {
    FluxError::invalid(
        "make a group of engines",
        "it got the same engine twice",
        "make one for each thread",
    )
}

#[cold]
fn no_engine() -> FluxError {
    FluxError::invalid(
        "make a group of engines",
        "it got none",
        "make one at least with fluxcap_engine_create()",
    )
}

/// Gives each engine's thread a CPU, in the order of the engines.
///
/// A `count` of 0 leaves them to the scheduler again. Two may have the same.
///
/// Returns 0.
///
/// Errors, after which all stays as it was:
/// - -EINVAL: not as many as engines; there is no such CPU, or this process may not use it, and
///   fluxcap_last_error() names those it may.
/// - -EBUSY: the group runs.
/// - -EOPNOTSUPP: not on Linux.
///
/// Threads: any, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_group_pin(
    group: *mut fluxcap_group,
    cpus: *const u32,
    count: u32,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let engines = unsafe { shared(group)? };
        // SAFETY: as the header asks.
        let cpus = unsafe { entries("cpus", cpus, (count, MAX_HANDLES))? };
        engines.group.exclusive()?.pin(cpus).map(|()| 0)
    })
}

/// Sets how all engines wait for packets.
///
/// `poller` and `spin_us` are those of fluxcap_rx_set_poller().
///
/// Returns 0.
///
/// Errors, after which the pollers are as before:
/// - -EINVAL: a poller that is not known, or a `spin_us` other than 0 with a poller other than
///   FLUXCAP_POLLER_ADAPTIVE.
/// - -EBUSY: the group runs.
///
/// Threads: any, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_group_set_poller(
    group: *mut fluxcap_group,
    poller: u32,
    spin_us: u32,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let engines = unsafe { shared(group)? };
        let poller = self::poller(poller, spin_us)?;
        engines.group.exclusive()?.set_poller(poller);
        Ok(0)
    })
}

/// Sets how often the number of queues is looked at during a run.
///
/// In milliseconds, 1 or more; -1: only at its start and its end. At first it is 1000.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: `interval_ms` is 0 or below -1.
/// - -EBUSY: the group runs.
///
/// Threads: any, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_group_set_watch(
    group: *mut fluxcap_group,
    interval_ms: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let engines = unsafe { shared(group)? };
        if interval_ms < -1 {
            return Err(FluxError::invalid(
                format_args!("argument interval_ms is {interval_ms}"),
                "it is a number of milliseconds",
                "use 1 or more, or -1 to look only at the start and the end of a run",
            ));
        }
        let interval = timeout("interval_ms", interval_ms)?.unwrap_or(Duration::MAX);
        engines.group.exclusive()?.set_watch(interval).map(|()| 0)
    })
}

/// Sets what is called when the number of queues of an interface has changed during a run.
///
/// It takes the place of the callback before; NULL calls none. It is called with `user`, on the
/// thread that called fluxcap_group_run(), until another one takes its place or the group is freed:
/// `user` must be good so long.
///
/// Returns 0.
///
/// Errors:
/// - -EBUSY: the group runs; so a callback cannot change it.
///
/// Threads: any, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_group_on_queue_change(
    group: *mut fluxcap_group,
    callback: fluxcap_queue_callback,
    user: *mut c_void,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let engines = unsafe { shared(group)? };
        let teller = Teller { callback, user };
        engines.group.exclusive()?.on_queue_change(move |change| {
            teller.tell(&change.interface, change.before, change.now);
        });
        Ok(0)
    })
}

/// A callback for changes, and what it is called with.
struct Teller {
    callback: fluxcap_queue_callback,
    user: *mut c_void,
}

// SAFETY: the header says on which thread it is called.
unsafe impl Send for Teller {}

impl Teller {
    fn tell(&self, interface: &str, before: u32, now: u32) {
        // The name of an interface has no zero byte.
        if let (Some(callback), Ok(interface)) = (self.callback, CString::new(interface)) {
            let entered = Entered::new();
            // SAFETY: such a function, which may be called with `user`, as the header asks.
            unsafe { callback(self.user, interface.as_ptr(), before, now) };
            entered.leave();
        }
    }
}

/// Runs all engines, each on a thread of its own, until fluxcap_group_stop() ends them.
///
/// A stop that came before ends it at once. Each thread calls `callback` with the entry of `users`
/// for its engine; NULL for `users`: with NULL. When one engine ends, for whatever reason, all end.
/// The group can run again.
///
/// Returns 0 after a stop.
///
/// Errors:
/// - The first error of an engine, as fluxcap_engine_run().
/// - -EAGAIN: a thread cannot be had.
/// - -EBUSY: the group runs already.
///
/// Threads: any, one at a time: a second call meanwhile, from a callback or another thread, is
/// -EBUSY and does no harm.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_group_run(
    group: *mut fluxcap_group,
    callback: fluxcap_callback,
    users: *const *mut c_void,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { fluxcap_group_run_for(group, -1, callback, users) }
}

/// As fluxcap_group_run(), for at most `timeout_ms` milliseconds; -1: no such end.
///
/// Returns 0 after that time, or a stop.
///
/// Errors:
/// - Those of fluxcap_group_run(): the first error of an engine, -EAGAIN, -EBUSY.
///
/// Threads: any, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_group_run_for(
    group: *mut fluxcap_group,
    timeout_ms: c_int,
    callback: fluxcap_callback,
    users: *const *mut c_void,
) -> c_int {
    guard(|| {
        let time = timeout("timeout_ms", timeout_ms)?;
        // SAFETY: as the header asks.
        let mut group = unsafe { shared(group)? }.group.exclusive()?;
        let user = |engine| match users.is_null() {
            true => std::ptr::null_mut(),
            // SAFETY: not null, so one for each engine, as the header asks.
            false => unsafe { *users.add(engine) },
        };
        // SAFETY: null or such a function, as the header asks.
        let callers: Result<Vec<_>> = (0..group.engines().len())
            .map(|engine| unsafe { caller(callback, user(engine)) })
            .collect();
        let mut callers = callers?.into_iter().map(Some).collect::<Vec<_>>();
        let take = |engine: usize| callers[engine].take().expect("each engine gets one");
        let run = match time {
            Some(time) => group.run_for(time, take),
            None => group.run(take),
        };
        run.map(|_| 0)
    })
}

/// Ends the run of all engines.
///
/// Without one it ends the next run before it begins, so that no stop is lost.
///
/// Returns 0.
///
/// Errors, without a text:
/// - -EINVAL: `group` is no open group.
///
/// Threads: any, at any time while the handle is open; a callback; and signal handlers, where a
/// write() to a descriptor for each engine is all it does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_group_stop(group: *const fluxcap_group) -> c_int {
    // The write() is a cancellation point.
    let _uncancelled = CancelGuard::new();
    // SAFETY: null or an open handle, as the header asks, of which the part that is used never changes.
    match unsafe { opaque::find(group) } {
        Some(engines) => {
            engines.stopper.stop();
            0
        }
        None => -errno::EINVAL,
    }
}

/// A handle to look at the socket of a port of an engine, as fluxcap_engine_port().
///
/// It is the group's and goes with it.
///
/// Returns the handle; NULL when there is no such engine or port.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_group_port(
    group: *const fluxcap_group,
    engine: u32,
    port: u32,
) -> *const fluxcap_raw {
    let mut found = std::ptr::null();
    guard(|| {
        // SAFETY: null or an open handle, as the header asks.
        let engines = &unsafe { shared(group)? }.ports;
        let ports = engines.get(engine as usize);
        found = ports
            .ok_or_else(|| no_such_engine(engine, engines.len()))?
            .get(port)?;
        Ok(0)
    });
    found
}

#[cold]
pub(super) fn no_such_engine(engine: u32, engines: usize) -> FluxError {
    FluxError::invalid(
        format_args!("engine {engine} of a group"),
        format_args!("it has {engines}, counted from 0"),
        "use one of them",
    )
}

/// The engines behind a handle, for calls that look at them.
///
/// # Safety
///
/// `group` is null or an open handle.
pub(super) unsafe fn inspect<'a>(
    group: *const fluxcap_group,
) -> Result<RwLockReadGuard<'a, EngineGroup>> {
    // SAFETY: as the caller promises.
    unsafe { shared(group)? }.group.look()
}

/// Ends a group and closes its sockets.
///
/// Packets that you still hold stay good. NULL is a no-op. While it runs, as in a callback, nothing
/// happens, and fluxcap_last_error() says so. Otherwise the handle is gone afterwards.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_group_free(group: *mut fluxcap_group) {
    if group.is_null() {
        return;
    }
    guard(|| {
        // SAFETY: as the header asks.
        drop(unsafe { shared(group)? }.group.exclusive()?);
        // SAFETY: a handle that nobody else uses, as the header asks.
        drop(unsafe { opaque::take(group) });
        Ok(0)
    });
}

/// What the engines of a group did in all their runs, summed up.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_group_statistics {
    /// sizeof(struct fluxcap_group_statistics), set by you.
    pub struct_size: u32,
    /// The number of engines.
    pub engines: u32,
    /// Packets that came in and were shown to a callback.
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
    /// Turns without packets in which an engine kept looking.
    pub spins: u64,
    /// Turns without packets in which an engine slept.
    pub sleeps: u64,
    /// Times that an engine went over from spinning to sleeping, or back.
    pub switches: u64,
    /// How long they ran, in nanoseconds.
    pub time_ns: u64,
    /// Changes of the number of queues of an interface that were seen.
    pub queue_changes: u64,
}

// SAFETY: `repr(C)`, begins with a `u32`, and is made of plain numbers.
unsafe impl Sized32 for fluxcap_group_statistics {
    const NAME: &'static str = "fluxcap_group_statistics";
}

/// What the engines did, all together.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: they run.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_group_get_statistics(
    group: *const fluxcap_group,
    statistics: *mut fluxcap_group_statistics,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let counted = unsafe { inspect(group)? }.statistics();
        let (total, poller) = (counted.total(), counted.poller());
        let value = fluxcap_group_statistics {
            struct_size: 0,
            engines: counted.engines.len() as u32,
            received: total.received,
            sent: total.sent,
            recycled: total.recycled,
            dropped: total.dropped,
            copied: total.copied,
            batches: counted.batches(),
            stalls: counted.stalls(),
            spins: poller.spins,
            sleeps: poller.sleeps,
            switches: poller.switches,
            time_ns: u64::try_from(counted.time.as_nanos()).unwrap_or(u64::MAX),
            queue_changes: counted.queue_changes.len() as u64,
        };
        // SAFETY: as the header asks.
        unsafe { sized::write("statistics", statistics, &value) }.map(|()| 0)
    })
}

/// What one engine did.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: they run.
/// - -EINVAL: there is no such engine.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_group_get_engine_statistics(
    group: *const fluxcap_group,
    engine: u32,
    statistics: *mut fluxcap_engine_statistics,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let group = unsafe { inspect(group)? };
        let engines = group.engines();
        let found = engines.get(engine as usize);
        let found = found.ok_or_else(|| no_such_engine(engine, engines.len()))?;
        // SAFETY: as the header asks.
        unsafe { sized::write("statistics", statistics, &found.statistics().into()) }.map(|()| 0)
    })
}

/// What the engines did as text, for a person.
///
/// A line for each, one for the whole, and one for each change of a number of queues.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors:
/// - -EBUSY: they run.
///
/// Threads: several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_group_format_statistics(
    group: *const fluxcap_group,
    text: *mut c_char,
    size: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        unsafe { print(&inspect(group)?.statistics(), text, size) }
    })
}
