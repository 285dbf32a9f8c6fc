//! A simulated NIC: traffic into it and out of it, captures, and what it counted.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::time::Duration;

use super::array::{MAX_PACKETS, bytes, bytes_room, check_len, copy, entries, reserved};
use super::config::{fluxcap_link, nic};
use super::error::{count, guard, null};
use super::sim::fluxcap_sim_faults;
use super::sized::{self, Sized32};
use crate::backend::machine;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::sim::{Capture, Playback, Speed};

/// At the recorded times, counted from the start of the playback.
pub const FLUXCAP_SIM_SPEED_RECORDED: u32 = 0;
/// As fast as it goes: what the receiver has no frame or room for is dropped and counted, as on a
/// real link.
pub const FLUXCAP_SIM_SPEED_FULL: u32 = 1;
/// As fast as the receiving socket takes them, so that none is dropped. Without a socket: as
/// FLUXCAP_SIM_SPEED_FULL.
pub const FLUXCAP_SIM_SPEED_PACED: u32 = 2;

/// Bytes that come to a simulated NIC. Read during the call only.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_sim_packet {
    /// The first byte, of the Ethernet header.
    pub data: *const u8,
    /// The length in bytes.
    pub len: usize,
    /// When, in nanoseconds from the start of a playback, not going back. For
    /// fluxcap_sim_nic_play() with FLUXCAP_SIM_SPEED_RECORDED.
    pub time_ns: u64,
}

/// What a simulated NIC counted.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_sim_nic_counters {
    /// sizeof(struct fluxcap_sim_nic_counters), set by you.
    pub struct_size: u32,
    /// 1 while a playback is under way.
    pub playing: u32,
    /// Packets that reached it.
    pub rx_packets: u64,
    /// Packets that left it.
    pub tx_packets: u64,
    /// Packets that went on to the host's network stack.
    pub passed: u64,
    /// Of these, packets for which the host had no room.
    pub host_dropped: u64,
    /// Packets that came while it was down, or for a queue that it has not any more.
    pub rx_down: u64,
    /// Packets for which a zero-copy driver had no frame.
    pub rx_missed: u64,
    /// Packets that a fault took on the way.
    pub rx_lost: u64,
    /// Packets too short or too long to leave; the kernel completes them all the same.
    pub tx_dropped: u64,
}

// SAFETY: `repr(C)`, begins with a `u32`, and is made of plain numbers.
unsafe impl Sized32 for fluxcap_sim_nic_counters {
    const NAME: &'static str = "fluxcap_sim_nic_counters";
}

/// The longest packet that any simulated NIC takes: the largest MTU, an Ethernet header and a VLAN
/// tag.
const LONGEST: usize = 65535 + 14 + 4;

/// The bytes of a packet for a NIC, which looks at the length more closely.
///
/// # Safety
///
/// `data` is null or points to `len` bytes that do not change during `'a`.
unsafe fn packet<'a, T>(name: &str, data: *const T, len: usize) -> Result<&'a [u8]> {
    check_len(name, len)?;
    if len > LONGEST {
        return Err(too_long(len));
    }
    // SAFETY: as the caller promises.
    unsafe { bytes(name, data, len) }
}

/// # Safety
///
/// `packets` is null or points to `count` packets, whose `data` is null or points to `len` bytes;
/// nothing of it changes during `'a`.
unsafe fn array<'a>(
    packets: *const fluxcap_sim_packet,
    count: u32,
) -> Result<Vec<(Duration, &'a [u8])>> {
    // SAFETY: as the caller promises.
    let packets = unsafe { entries("packets", packets, (count, MAX_PACKETS))? };
    let mut taken = reserved(packets.len(), "packets")?;
    for (number, entry) in packets.iter().enumerate() {
        // SAFETY: as the caller promises.
        let bytes = unsafe { packet("data", entry.data, entry.len) };
        let bytes =
            bytes.map_err(|error| error.with_note(format_args!("packet {number} of the array")))?;
        taken.push((Duration::from_nanos(entry.time_ns), bytes));
    }
    Ok(taken)
}

#[cold]
fn too_long(len: usize) -> FluxError {
    FluxError::new(
        ErrorKind::Invalid,
        errno::EMSGSIZE,
        format_args!("a packet of {len} bytes"),
        format_args!("no NIC takes more than {LONGEST}"),
        "use another length",
    )
}

/// Lets a packet arrive at a queue of a simulated NIC, as if it came over the cable.
///
/// It is handled in the network's next step.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: no such queue.
/// - -EMSGSIZE: shorter than an Ethernet header, or longer than the MTU with header and VLAN tag.
/// - -ENOBUFS: the cable is full.
/// - -ENETDOWN: the NIC is down.
/// - -ENODEV: it was removed.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_nic_inject(
    link: *const fluxcap_link,
    queue: u32,
    data: *const c_void,
    len: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let (nic, packet) = unsafe { (nic(link)?, packet("data", data, len)?) };
        nic.inject(queue, packet).map(|()| 0)
    })
}

/// Lets packets arrive at a queue of a simulated NIC in order, at once.
///
/// Returns how many had room on the cable.
///
/// Errors, after which no packet arrives:
/// - Those of fluxcap_sim_nic_inject(), but for a full cable, which shows as a smaller count.
/// - -ENOMEM: not enough memory.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_nic_inject_batch(
    link: *const fluxcap_link,
    queue: u32,
    packets: *const fluxcap_sim_packet,
    count: u32,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let (nic, packets) = unsafe { (nic(link)?, array(packets, count)?) };
        let mut bytes = reserved(packets.len(), "packets")?;
        bytes.extend(packets.into_iter().map(|(_, packet)| packet));
        self::count(nic.inject_batch(queue, &bytes)?)
    })
}

/// Lets the host's network stack send a packet through a simulated NIC.
///
/// Returns 0.
///
/// Errors:
/// - Those of fluxcap_sim_nic_inject().
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_nic_host_send(
    link: *const fluxcap_link,
    queue: u32,
    data: *const c_void,
    len: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let (nic, packet) = unsafe { (nic(link)?, packet("data", data, len)?) };
        nic.host_send(queue, packet).map(|()| 0)
    })
}

/// Takes the oldest packet that left a simulated NIC and was not taken yet.
///
/// Only a NIC without a cable keeps what it sent.
///
/// Returns its length, and writes it to `buffer`; 0 when there is none.
///
/// Errors:
/// - -EMSGSIZE: it is longer than `size`, and waits.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_nic_take_sent(
    link: *const fluxcap_link,
    buffer: *mut c_void,
    size: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let (nic, buffer) = unsafe { (nic(link)?, bytes_room("buffer", buffer, size)?) };
        give(nic.take_sent_fitting(buffer.len())?, buffer)
    })
}

/// Takes the oldest packet that the host's network stack received and that was not taken yet.
///
/// Returns its length, and writes it to `buffer`; 0 when there is none.
///
/// Errors:
/// - -EMSGSIZE: it is longer than `size`, and waits.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_nic_take_passed(
    link: *const fluxcap_link,
    buffer: *mut c_void,
    size: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let (nic, buffer) = unsafe { (nic(link)?, bytes_room("buffer", buffer, size)?) };
        give(nic.take_passed_fitting(buffer.len())?, buffer)
    })
}

/// Writes a packet, if there is one, to a buffer that has room for it, and gives its length.
fn give(packet: Option<Vec<u8>>, buffer: &mut [MaybeUninit<u8>]) -> Result<c_int> {
    let packet = packet.unwrap_or_default();
    for (place, byte) in buffer.iter_mut().zip(&packet) {
        place.write(*byte);
    }
    count(packet.len() as u32)
}

/// Sets a simulated NIC up (1) or down (0). It begins up.
///
/// What arrives while it is down is lost, and counted.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: `up` is neither 0 nor 1.
/// - -ENODEV: it was removed.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_nic_set_up(link: *const fluxcap_link, up: u32) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let nic = unsafe { nic(link)? };
        if up > 1 {
            return Err(FluxError::invalid(
                format_args!("argument up is {up}"),
                "a NIC is up or down",
                "use 1 or 0",
            ));
        }
        nic.set_up(up != 0).map(|()| 0)
    })
}

/// Changes the number of queues of a simulated NIC, as `ethtool -L` does.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: a number that cannot be, or a queue that would go has a socket.
/// - -ENODEV: the NIC was removed.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_nic_set_queues(
    link: *const fluxcap_link,
    queues: u32,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let nic = unsafe { nic(link)? };
        nic.set_queues(queues).map(|()| 0)
    })
}

/// Changes the MTU of a simulated NIC.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: it cannot be.
/// - -ENODEV: the NIC was removed.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_nic_set_mtu(link: *const fluxcap_link, mtu: u32) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let nic = unsafe { nic(link)? };
        nic.set_mtu(mtu).map(|()| 0)
    })
}

/// What goes wrong on the way into this simulated NIC and in its sockets, from now on.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: a chance or the delay is out of its range.
/// - -ENODEV: the NIC was removed.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_nic_set_faults(
    link: *const fluxcap_link,
    faults: *const fluxcap_sim_faults,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks; `faults` is null or as long as its `struct_size` says.
        let (nic, faults) = unsafe { (nic(link)?, sized::read("faults", faults)?) };
        nic.set_faults(faults.into()).map(|()| 0)
    })
}

/// Starts to play packets into a queue of a simulated NIC, in place of what is played there now.
///
/// `speed` (FLUXCAP_SIM_SPEED_…) says how fast, `times` how often all of them; 0: for ever. The
/// packets are copied.
///
/// Returns 0.
///
/// Errors, after which nothing is played:
/// - -EINVAL: no packet, no such queue, or an unknown speed.
/// - -EMSGSIZE: a packet is too short or too long, and named.
/// - -ENETDOWN: the NIC is down.
/// - -ENODEV: it was removed.
/// - -ENOMEM: not enough memory for the copies.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_nic_play(
    link: *const fluxcap_link,
    queue: u32,
    packets: *const fluxcap_sim_packet,
    count: u32,
    speed: u32,
    times: u64,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let (nic, packets) = unsafe { (nic(link)?, array(packets, count)?) };
        let mut copies = reserved(packets.len(), "packets")?;
        for (time, packet) in packets {
            let Some(copy) = copy(packet) else {
                // The text of the error takes memory, too.
                drop(copies);
                return Err(FluxError::no_memory("a copy of the packets", "pass fewer"));
            };
            copies.push((time, copy));
        }
        let playback = Playback::at(copies)
            .queue(queue)
            .speed(speed_of(speed)?)
            .times(rounds(times));
        nic.play(playback).map(|_| 0)
    })
}

pub(super) fn rounds(times: u64) -> u64 {
    if times == 0 { u64::MAX } else { times }
}

pub(super) fn speed_of(speed: u32) -> Result<Speed> {
    match speed {
        FLUXCAP_SIM_SPEED_RECORDED => Ok(Speed::Recorded),
        FLUXCAP_SIM_SPEED_FULL => Ok(Speed::Full),
        FLUXCAP_SIM_SPEED_PACED => Ok(Speed::Paced),
        _ => Err(FluxError::invalid(
            "argument speed",
            format_args!("{speed} is not known"),
            "use one of FLUXCAP_SIM_SPEED_...",
        )),
    }
}

/// Ends all playbacks into a simulated NIC.
///
/// Returns 0.
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_nic_play_end(link: *const fluxcap_link) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let nic = unsafe { nic(link)? };
        nic.stop_playing();
        Ok(0)
    })
}

/// What a simulated NIC counted.
///
/// Returns 0, and fills in `*counters`, whose `struct_size` must be set.
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_nic_get_counters(
    link: *const fluxcap_link,
    counters: *mut fluxcap_sim_nic_counters,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let nic = unsafe { nic(link)? };
        let counted = nic.counters();
        let value = fluxcap_sim_nic_counters {
            struct_size: 0,
            playing: nic.is_playing().into(),
            rx_packets: counted.rx_packets,
            tx_packets: counted.tx_packets,
            passed: counted.passed,
            host_dropped: counted.host_dropped,
            rx_down: counted.rx_down,
            rx_missed: counted.rx_missed,
            rx_lost: counted.rx_lost,
            tx_dropped: counted.tx_dropped,
        };
        // SAFETY: as the header asks.
        unsafe { sized::write("counters", counters, &value) }.map(|()| 0)
    })
}

/// Takes a simulated NIC out of its network, as when a card is unplugged.
///
/// Its sockets learn that it is gone (-ENODEV); the handle still has to be freed.
///
/// Returns 0.
///
/// Errors: the usual ones.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_nic_remove(link: *const fluxcap_link) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        let nic = unsafe { nic(link)? };
        nic.remove();
        Ok(0)
    })
}

/// `flags`: of a file that is cut off or damaged, play the packets before that place.
pub const FLUXCAP_SIM_REPLAY_DAMAGED: u32 = 0x01;
/// `flags`: leave out packets that are too short or too long for the NIC.
pub const FLUXCAP_SIM_REPLAY_UNFIT: u32 = 0x02;
/// `flags`: refuse a file that has packets other than of Ethernet, which are left out without this.
pub const FLUXCAP_SIM_REPLAY_ETHERNET_ONLY: u32 = 0x04;

/// How fluxcap_sim_nic_replay_with() plays a capture file, and what of it cannot be played.
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
/// not Ethernet are left out; fluxcap_sim_nic_replay_with() counts them.
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
pub unsafe extern "C" fn fluxcap_sim_nic_replay(
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

/// As fluxcap_sim_nic_replay(), of a file of which not everything can be played.
///
/// Returns how many packets are played. `replay->struct_size` must be set, and what the call sets
/// is 0 or anything.
///
/// Errors, after which nothing is played:
/// - -EINVAL: `flags` has unknown bits.
/// - Those of fluxcap_sim_nic_replay(), but for what `flags` allow; a file without a single packet
///   that can be played is an error all the same.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_sim_nic_replay_with(
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
/// It ends with fluxcap_sim_nic_record_end(). It is a pcap file if its name ends so, and otherwise
/// a pcapng file. Times count from when the network was made. A file that is there is overwritten.
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
pub unsafe extern "C" fn fluxcap_sim_nic_record(
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
pub unsafe extern "C" fn fluxcap_sim_nic_record_end(link: *const fluxcap_link) -> c_int {
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
