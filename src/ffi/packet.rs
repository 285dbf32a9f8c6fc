//! Owned packets: a small struct that names a frame, and may go to any thread.
//!
//! Modes B and C give them and take them: fluxcap_rx_recv(), fluxcap_tx_alloc(), fluxcap_tx_send()
//! and their like. Their bytes are changed in place; see also @ref fluxcap_editing. A packet in the
//! callback of an engine is not owned: it is a struct fluxcap_packet_ref, and good until the
//! callback returns.
//!
//! ```c
//! // Gives back the packets that are shorter than `least`, and closes the gaps.
//! static uint32_t keep_long(struct fluxcap_packet *packets, uint32_t count, uint32_t least)
//! {
//!     uint32_t kept = 0;
//!
//!     for (uint32_t i = 0; i < count; i++) {
//!         if (packets[i].len < least)
//!             fluxcap_packet_free(&packets[i]);
//!         else
//!             packets[kept++] = packets[i]; // Of the copies, only this one is used from now on.
//!     }
//!     return kept;
//! }
//! ```

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

use super::array::{self, MAX_PACKETS, entries_mut};
use super::error::{null, quick};
use crate::error::{FluxError, Result};
use crate::packet::batch::PacketBatch;
use crate::packet::plain::{Ending, RawPacket};
use crate::packet::{Frames, Packet};
use crate::proto::Room;

/// Packets that one call into the Rust API handles.
pub(super) const BATCH: usize = 256;

/// A packet that you own, in a frame of a UMEM.
///
/// You may change `data` and `len` within the frame, and the bytes. The other fields are the
/// library's. Sending or freeing a packet sets `data` to NULL: it has moved away. The struct may be
/// copied, but only one copy may be used: the others become stale, and using them is an error.
/// Copies are one packet: no two are used on two threads at once. A packet may outlive the socket
/// it came from, and may be freed on any thread.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_packet {
    /// The first byte; NULL when the packet has moved away.
    pub data: *mut u8,
    /// The length in bytes.
    pub len: u32,
    /// The descriptor's option bits, 0 for a plain packet.
    pub options: u32,
    /// The library's.
    pub umem: *const c_void,
    /// The library's.
    pub frame: u32,
    /// The library's.
    pub generation: u32,
}

const _: () = assert!(size_of::<fluxcap_packet>() == size_of::<RawPacket>());

impl fluxcap_packet {
    const MOVED: Self = Self {
        data: std::ptr::null_mut(),
        len: 0,
        options: 0,
        umem: std::ptr::null(),
        frame: 0,
        generation: 0,
    };
}

impl From<RawPacket> for fluxcap_packet {
    fn from(raw: RawPacket) -> Self {
        Self {
            data: raw.data,
            len: raw.len,
            options: raw.options,
            umem: raw.umem.cast(),
            frame: raw.frame,
            generation: raw.generation,
        }
    }
}

impl From<fluxcap_packet> for RawPacket {
    fn from(packet: fluxcap_packet) -> Self {
        Self {
            data: packet.data,
            len: packet.len,
            options: packet.options,
            umem: packet.umem.cast(),
            frame: packet.frame,
            generation: packet.generation,
        }
    }
}

impl From<Packet> for fluxcap_packet {
    #[inline]
    fn from(packet: Packet) -> Self {
        RawPacket::from(packet).into()
    }
}

/// The caller's array of packets.
///
/// # Safety
///
/// `packets` is null or points to `count` packets, each of which was written before, that nobody
/// else uses during `'a`.
pub(super) unsafe fn array<'a>(
    packets: *mut fluxcap_packet,
    count: u32,
) -> Result<&'a mut [fluxcap_packet]> {
    // SAFETY: as the caller promises.
    unsafe { entries_mut("packets", packets, (count, MAX_PACKETS)) }
}

/// The caller's array of places for packets.
///
/// # Safety
///
/// `packets` is null or points to `count` places that nobody else uses during `'a`.
pub(super) unsafe fn places<'a>(
    packets: *mut fluxcap_packet,
    count: u32,
) -> Result<&'a mut [MaybeUninit<fluxcap_packet>]> {
    // SAFETY: as the caller promises.
    unsafe { array::room("packets", packets, (count, MAX_PACKETS)) }
}

/// A struct that stands for a packet in C: an owned one, or one of a callback.
pub(super) trait Editable {
    /// The packet in Rust.
    type Packet<'a>: Room;

    /// Changes the packet, and has the struct tell where it is then.
    ///
    /// # Safety
    ///
    /// `packet` is null, or points to a packet that nobody else uses, or to a copy of its struct. A
    /// packet of a callback is recognised by where it is, before it is followed.
    unsafe fn change<T>(
        packet: *mut Self,
        edit: impl FnOnce(&mut Self::Packet<'_>) -> Result<T>,
    ) -> Result<T>;
}

impl Editable for fluxcap_packet {
    type Packet<'a> = Packet;

    /// Copies of the struct are stale then.
    unsafe fn change<T>(
        packet: *mut Self,
        edit: impl FnOnce(&mut Packet) -> Result<T>,
    ) -> Result<T> {
        // SAFETY: as the caller promises.
        let place = unsafe { packet.as_mut() }.ok_or_else(|| null("packet"))?;
        let mut packet = RawPacket::from(*place).claim()?;
        let result = edit(&mut packet);
        *place = packet.into();
        result
    }
}

/// Moves the packets of the array, at most a batch, into the empty batch: all lie in these frames.
/// After an error they are all back.
pub(super) fn pop_free(
    packets: &mut [fluxcap_packet],
    frames: &Frames,
    batch: &mut PacketBatch,
) -> Result<()> {
    take(packets, frames, batch, RawPacket::check_home)
}

/// [`pop_free`], of packets that can all be sent.
pub(super) fn take_for_sending(
    packets: &mut [fluxcap_packet],
    frames: &Frames,
    batch: &mut PacketBatch,
) -> Result<()> {
    take(packets, frames, batch, RawPacket::check_for_sending)
}

/// [`pop_free`], of packets that pass a check, which includes that of home. One that does not
/// leaves all untouched.
#[inline]
fn take(
    packets: &mut [fluxcap_packet],
    frames: &Frames,
    batch: &mut PacketBatch,
    check: impl Fn(RawPacket, &Frames) -> Result<()>,
) -> Result<()> {
    for (number, &packet) in packets.iter().enumerate() {
        check(packet.into(), frames).map_err(|error| numbered(error, number))?;
    }
    for taken in 0..packets.len() {
        // SAFETY: checked just now, and nobody else uses the array.
        match unsafe { RawPacket::from(packets[taken]).claim_checked(frames) } {
            Ok(packet) => {
                packets[taken] = fluxcap_packet::MOVED;
                batch.append(packet);
            }
            Err(error) => {
                give(batch, &mut packets[..taken]);
                return Err(numbered(error, taken));
            }
        }
    }
    Ok(())
}

#[cold]
fn numbered(error: FluxError, number: usize) -> FluxError {
    error.with_note(format_args!("packet {number} of the array"))
}

/// Moves the packets of the batch to the front of the array, which has room for them.
pub(super) fn give(batch: &mut PacketBatch, packets: &mut [fluxcap_packet]) {
    for (packet, place) in batch.drain().zip(packets) {
        *place = packet.into();
    }
}

/// Fills the places from the front with packets that `more` adds to the batch, as far as it has
/// any.
pub(super) fn fill(
    places: &mut [MaybeUninit<fluxcap_packet>],
    batch: &mut PacketBatch,
    mut more: impl FnMut(&mut PacketBatch, u32) -> u32,
) -> c_int {
    let mut done = 0;
    for part in places.chunks_mut(BATCH) {
        more(batch, part.len() as u32);
        let filled = batch.len();
        for (packet, place) in batch.drain().zip(&mut *part) {
            place.write(packet.into());
        }
        done += filled;
        if filled < part.len() {
            break;
        }
    }
    done as c_int
}

/// Frees a packet: its frame returns to the pool.
///
/// NULL, and a packet that has moved away, are no-ops.
///
/// Returns 0; its `data` is NULL then.
///
/// Errors:
/// - -EINVAL: it is a stale copy.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_free(packet: *mut fluxcap_packet) -> c_int {
    // SAFETY: null, or one packet, as the header asks.
    unsafe { fluxcap_packets_free(packet, u32::from(!packet.is_null())) }
}

/// Frees all packets of an array.
///
/// Those that have moved away are skipped.
///
/// Returns 0; their `data` is NULL then.
///
/// Errors:
/// - -EINVAL: one is a stale copy, and the others were freed all the same.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packets_free(packets: *mut fluxcap_packet, count: u32) -> c_int {
    quick(|| {
        // SAFETY: as the header asks.
        let packets = unsafe { array(packets, count)? };
        let mut result = Ok(0);
        let mut ending = Ending::default();
        for packet in packets.iter_mut().filter(|packet| !packet.data.is_null()) {
            match ending.add(RawPacket::from(*packet)) {
                Ok(()) => *packet = fluxcap_packet::MOVED,
                Err(error) => result = Err(error),
            }
        }
        result
    })
}
