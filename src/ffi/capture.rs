//! Capture files on a simulated NIC.

use std::ffi::{CStr, c_char, c_int};
use std::path::PathBuf;

use super::error::{guard, null};
use super::handle::count;
use super::link::{fluxcap_link, nic};
use super::nic::{rounds, speed_of};
use super::sized::{self, Sized32};
use crate::error::{FluxError, Result};
use crate::kernel::machine;
use crate::sim::{Capture, Playback};

/// `flags`: of a file that is cut off or damaged, play the packets before that place.
pub const FLUXCAP_SIM_REPLAY_DAMAGED: u32 = 0x01;
/// `flags`: leave out packets that are too short or too long for the NIC.
pub const FLUXCAP_SIM_REPLAY_UNFIT: u32 = 0x02;
/// `flags`: refuse a file that has packets other than of Ethernet, which are left out without this.
pub const FLUXCAP_SIM_REPLAY_ETHERNET_ONLY: u32 = 0x04;

/// How fluxcap_sim_replay_with() plays a capture file, and what of it cannot be played.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_sim_replay_config {
    /// sizeof(struct fluxcap_sim_replay_config).
    pub struct_size: u32,
    /// FLUXCAP_SIM_REPLAY_…, joined with |.
    pub flags: u32,
    /// FLUXCAP_SIM_SPEED_….
    pub speed: u32,
    /// Set by the call: 1 when the file is cut off or damaged, and the packets before are played.
    pub damaged: u32,
    /// How often all of it; 0: for ever.
    pub times: u64,
    /// Set by the call: how many packets were left out, being of a link type other than Ethernet.
    pub skipped: u64,
    /// Set by the call: how many packets were left out, being too short or too long for the NIC.
    pub unfit: u64,
}

const _: () = assert!(size_of::<fluxcap_sim_replay_config>() == 40);

// SAFETY: `repr(C)`, begins with a `u32`, and is made of plain numbers without padding.
unsafe impl Sized32 for fluxcap_sim_replay_config {
    const NAME: &'static str = "fluxcap_sim_replay_config";
}

/// Starts to play a capture file into a queue of a simulated NIC, in place of what is played there.
///
/// The file is pcap or pcapng. `speed` (FLUXCAP_SIM_SPEED_…) says how fast, `times` how often all
/// of it; 0: for ever. The file is read whole before this returns. Packets of interfaces that are
/// not Ethernet are left out; fluxcap_sim_replay_with() counts them.
///
/// Returns how many packets it has.
///
/// Errors, after which nothing is played:
/// - -ENOENT: no such file.
/// - -EACCES: it may not be read.
/// - -EINVAL: it is no capture file, a damaged or an empty one; there is no such queue, or the
///   speed is unknown.
/// - -EOPNOTSUPP: its packets are not of Ethernet.
/// - -EMSGSIZE: a packet is too short or too long for the NIC, and named.
/// - -ENETDOWN: the NIC is down.
/// - -ENODEV: it was removed.
/// - -ENOMEM: not enough memory.
///
/// Threads: any.
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

/// As fluxcap_sim_replay(), of a file of which not everything can be played.
///
/// Returns how many packets are played. `replay->struct_size` must be set, and what the call sets
/// is 0 or anything.
///
/// Errors, after which nothing is played:
/// - -EINVAL: `flags` has unknown bits.
/// - Those of fluxcap_sim_replay(), but for what `flags` allow; a file without a single packet that
///   can be played is an error all the same.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_replay_with(
    link: *const fluxcap_link,
    queue: u32,
    path: *const c_char,
    replay: *mut fluxcap_sim_replay_config,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let (nic, path) = unsafe { (nic(link)?, file(path)?) };
        // SAFETY: as the header asks.
        let mut asked = unsafe { sized::read("replay", replay)? };
        let known = FLUXCAP_SIM_REPLAY_DAMAGED
            | FLUXCAP_SIM_REPLAY_UNFIT
            | FLUXCAP_SIM_REPLAY_ETHERNET_ONLY;
        if asked.flags & !known != 0 {
            return Err(FluxError::invalid(
                format_args!("flags of {:#x}", asked.flags),
                "they have bits that this version does not know",
                "join FLUXCAP_SIM_REPLAY_… with |",
            ));
        }
        let has = |flag| asked.flags & flag != 0;
        let mut capture = Capture::read(path)?;
        let damage = capture.damage.take();
        let skipped = capture.skipped;
        match &damage {
            Some(damage) if !has(FLUXCAP_SIM_REPLAY_DAMAGED) => return Err(damage.clone()),
            _ => {}
        }
        if has(FLUXCAP_SIM_REPLAY_ETHERNET_ONLY) {
            capture = capture.complete()?;
        }
        let playback = Playback::from(capture)
            .queue(queue)
            .speed(speed_of(asked.speed)?)
            .times(rounds(asked.times));
        let packets = playback.packet_count() as u64;
        let unfit = match has(FLUXCAP_SIM_REPLAY_UNFIT) {
            true => nic.play(playback.skip_unfit())?,
            false => nic.play(playback)?,
        };
        (asked.damaged, asked.skipped, asked.unfit) = (damage.is_some().into(), skipped, unfit);
        // SAFETY: it was read before, and nobody else uses it, as the header asks.
        unsafe { sized::write("replay", replay, &asked)? };
        count((packets - unfit) as u32)
    })
}

/// Writes what arrives at a simulated NIC and what leaves it into a capture file.
///
/// It ends with fluxcap_sim_record_end(). It is a pcap file if its name ends so, and otherwise a
/// pcapng file. Times count from when the network was made. A file that is there is overwritten.
///
/// Returns 0.
///
/// Errors:
/// - -EBUSY: the NIC is recorded already.
/// - -ENOENT: no such directory.
/// - -EACCES: the file may not be written to.
/// - -ENODEV: the NIC was removed.
/// - Another errno of the operating system.
///
/// Threads: any.
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

/// Ends the recording of a simulated NIC, and the file is complete.
///
/// Without one it is a no-op.
///
/// Returns 0.
///
/// Errors, after which the file is incomplete:
/// - -ENOSPC, or another errno of the operating system: what went wrong since the recording began.
///
/// Threads: any.
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
