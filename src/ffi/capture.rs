//! Capture files on a simulated NIC.

use std::ffi::{CStr, c_char, c_int};
use std::path::PathBuf;

use super::error::{guard, null};
use super::handle::count;
use super::link::{fluxcap_link, nic};
use super::nic::{rounds, speed_of};
use crate::error::Result;
use crate::kernel::machine;
use crate::sim::Playback;

/// Starts to play a capture file, pcap or pcapng, into a queue of a simulated NIC, in place of what is played there now.
///
/// `speed` (FLUXCAP_SIM_SPEED_…) says how fast, `times` how often all of it; 0: for ever. The file is read whole before this returns how many
/// packets it has. -ENOENT: no such file; -EACCES: it may not be read; -EINVAL: it is no capture file, a damaged or an empty one, there is
/// no such queue, or the speed is unknown; -EOPNOTSUPP: its packets are not of Ethernet; -EMSGSIZE: a packet is too short or too long for the
/// NIC, and named. Nothing is played then. -ENETDOWN: the NIC is down; -ENODEV: it was removed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_replay(
    link: *const fluxcap_link,
    queue: u32,
    path: *const c_char,
    speed: u32,
    times: u64,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let (nic, path) = unsafe { (nic(link)?, file(path)?) };
        let speed = speed_of(speed)?;
        let playback = Playback::read(path)?;
        let packets = playback.packet_count();
        nic.play(playback.queue(queue).speed(speed).times(rounds(times)))?;
        count(packets as u32)
    })
}

/// Writes what arrives at a simulated NIC and what leaves it into a capture file, until fluxcap_sim_record_end(): a pcap file if its name
/// ends so, and otherwise a pcapng file. Times count from when the network was made.
///
/// A file that is there is overwritten. -EBUSY: the NIC is recorded already; -ENOENT: no such directory; -EACCES: it may not be written to;
/// -ENODEV: the NIC was removed; or another errno of the operating system. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_record(
    link: *const fluxcap_link,
    path: *const c_char,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let (nic, path) = unsafe { (nic(link)?, file(path)?) };
        nic.record(path).map(|()| 0)
    })
}

/// Ends the recording of a simulated NIC, and the file is complete. Without one it is a no-op.
///
/// A negative result, such as -ENOSPC, tells what went wrong since the recording began: the file is incomplete then. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_record_end(link: *const fluxcap_link) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let nic = unsafe { nic(link)? };
        nic.end_recording().map(|()| 0)
    })
}

/// # Safety
///
/// `path` is null or a C string.
unsafe fn file(path: *const c_char) -> Result<PathBuf> {
    if path.is_null() {
        return Err(null("path"));
    }
    // SAFETY: not null, so a C string as the caller promises.
    machine::path(unsafe { CStr::from_ptr(path) })
}
