//! What an engine did, as plain data and as text.

use std::ffi::{c_char, c_int};

use super::engine::{fluxcap_engine, inspect, no_port};
use super::error::guard;
use super::sized::{self, Sized32};
use super::text::print;
use crate::engine::EngineStatistics;

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
pub unsafe extern "C" fn fluxcap_engine_port_statistics(
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
pub unsafe extern "C" fn fluxcap_engine_text(
    engine: *const fluxcap_engine,
    text: *mut c_char,
    size: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        unsafe { print(&inspect(engine)?.statistics(), text, size) }
    })
}
