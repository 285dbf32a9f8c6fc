//! Spinning, sleeping, or one after the other; in the library's loops or in your own.
//!
//! Mode A and fluxcap_rx_recv() wait as their poller says. All calls that wait have a `timeout_ms`,
//! and are ended by the stop function of their handle, from any thread or a signal handler. To wait
//! together with other things, take the descriptors: fluxcap_rx_fd() and fluxcap_raw_rx_fd() for
//! packets, fluxcap_tx_fd() for room.
//!
//! ```c
//! // Waits for packets or for `other`. Returns how many packets there are.
//! static int wait_for_either(struct fluxcap_rx *rx, int other, struct fluxcap_packet packets[64])
//! {
//!     struct pollfd fds[2] = {{fluxcap_rx_fd(rx), POLLIN, 0}, {other, POLLIN, 0}};
//!
//!     if (poll(fds, 2, -1) < 0)
//!         return -errno;
//!     if (fds[0].revents == 0)
//!         return 0;
//!     return fluxcap_rx_recv(rx, packets, 64, 0);
//! }
//! ```

use std::ffi::c_int;
use std::time::Duration;

use super::error::guard;
use super::sized::Sized32;
use crate::error::{FluxError, Result};
use crate::poller::{self, Poller};

/// Spin for a while after the last packet, then sleep.
pub const FLUXCAP_POLLER_ADAPTIVE: u32 = 0;
/// Never sleep. For the least latency, on a CPU of its own.
pub const FLUXCAP_POLLER_BUSY: u32 = 1;
/// Sleep at once.
pub const FLUXCAP_POLLER_WAIT: u32 = 2;

/// The poller of a constant and a time to spin, 0: the usual one.
pub(super) fn poller(kind: u32, spin_us: u32) -> Result<Poller> {
    match (kind, spin_us) {
        (FLUXCAP_POLLER_ADAPTIVE, 0) => Ok(Poller::default()),
        (FLUXCAP_POLLER_ADAPTIVE, spin_us) => Ok(Poller::Adaptive {
            spin: Duration::from_micros(spin_us.into()),
        }),
        (FLUXCAP_POLLER_BUSY, 0) => Ok(Poller::Busy),
        (FLUXCAP_POLLER_WAIT, 0) => Ok(Poller::Wait),
        (FLUXCAP_POLLER_BUSY | FLUXCAP_POLLER_WAIT, _) => Err(FluxError::invalid(
            "a poller",
            format_args!(
                "{spin_us} microseconds to spin, which only FLUXCAP_POLLER_ADAPTIVE does for a while"
            ),
            "set spin_us to 0",
        )),
        (other, _) => Err(FluxError::invalid(
            "a poller",
            format_args!("{other} is not known"),
            "use one of FLUXCAP_POLLER_...",
        )),
    }
}

/// A time in milliseconds, `None` for -1: for ever.
pub(super) fn timeout(name: &str, time_ms: c_int) -> Result<Option<Duration>> {
    match u64::try_from(time_ms) {
        Ok(time) => Ok(Some(Duration::from_millis(time))),
        Err(_) if time_ms == -1 => Ok(None),
        Err(_) => Err(no_time(name, time_ms)),
    }
}

#[cold]
fn no_time(name: &str, time_ms: c_int) -> FluxError {
    FluxError::invalid(
        format_args!("argument {name} is {time_ms}"),
        "it is a number of milliseconds, and of the negative ones -1 alone means something",
        "use 0 or more, or -1 for no end",
    )
}

/// How a loop that waits for packets spent its time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_poller_statistics {
    /// sizeof(struct fluxcap_poller_statistics), set by you.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Turns without packets in which it kept looking.
    pub spins: u64,
    /// Turns without packets in which it slept.
    pub sleeps: u64,
    /// Times that it went over from spinning to sleeping, or back.
    pub switches: u64,
}

// SAFETY: `repr(C)`, begins with a `u32`, and is made of plain numbers.
unsafe impl Sized32 for fluxcap_poller_statistics {
    const NAME: &'static str = "fluxcap_poller_statistics";
}

/// Pins the calling thread to a CPU, counted from 0 as in /proc/cpuinfo.
///
/// A thread that spins wants one that nothing else uses.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: there is no such CPU, or this process may not use it; fluxcap_last_error() names
///   those it may.
/// - -EOPNOTSUPP: not on Linux.
///
/// Threads: any. System calls: sched_setaffinity().
#[unsafe(no_mangle)]
pub extern "C" fn fluxcap_poller_pin(cpu: u32) -> c_int {
    guard(|| poller::pin(cpu).map(|()| 0))
}
