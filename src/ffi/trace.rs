//! What happened in a simulated network, as plain data and as text.

use std::ffi::{c_char, c_int};
use std::fmt;

use super::array::check_count;
use super::error::{guard, null};
use super::handle::count;
use super::sim::{fluxcap_sim, network_of};
use super::text::print;
use crate::sim::{Event, EventKind};

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
pub unsafe extern "C" fn fluxcap_sim_trace_start(sim: *const fluxcap_sim, events: u32) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let sim = unsafe { network_of(sim)? };
        sim.network.start_trace(events as usize);
        Ok(0)
    })
}

/// The first `count` events since fluxcap_sim_trace_start(), in order, or fewer if there are fewer.
///
/// Times are nanoseconds since the network was made.
///
/// Returns how many there are in all, and writes the first ones to `events`.
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_trace_events(
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

/// What happened since fluxcap_sim_trace_start(), in order, as text: one event a line.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_trace_text(
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
