//! What a group of engines did, as plain data and as text.

use std::ffi::{c_char, c_int};

use super::counters::fluxcap_engine_statistics;
use super::error::guard;
use super::group::{fluxcap_group, inspect, no_such_engine};
use super::sized::{self, Sized32};
use super::text::print;

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
pub unsafe extern "C" fn fluxcap_group_engine_statistics(
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
pub unsafe extern "C" fn fluxcap_group_text(
    group: *const fluxcap_group,
    text: *mut c_char,
    size: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        unsafe { print(&inspect(group)?.statistics(), text, size) }
    })
}
