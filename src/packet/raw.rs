//! A packet as plain data, for C: it can be copied, so coming back it proves that it is the one living copy.

use std::ptr::NonNull;

use super::frames::USER;
use super::{Packet, SharedFrameState, live};
use crate::error::{FluxError, Result};

/// The fields of a [`Packet`], in its memory layout. `data` is null when the packet has moved away.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawPacket {
    pub(crate) data: *mut u8,
    pub(crate) len: u32,
    pub(crate) options: u32,
    pub(crate) umem: *const SharedFrameState,
    pub(crate) frame: u32,
    pub(crate) generation: u32,
}

const _: () = assert!(size_of::<RawPacket>() == 32 && size_of::<Packet>() == 32);

impl From<Packet> for RawPacket {
    fn from(packet: Packet) -> Self {
        let raw = Self {
            data: packet.data.as_ptr(),
            len: packet.len,
            options: packet.options,
            umem: packet.state.as_ptr(),
            frame: packet.chunk,
            generation: packet.generation,
        };
        std::mem::forget(packet);
        raw
    }
}

impl RawPacket {
    /// Makes a packet of its fields again. It succeeds once for each packet that became raw, whatever copies there are:
    /// the generation of the frame moves on, and copies of the fields are stale from then on.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for a stale copy (freed, sent, or taken before), a UMEM that is gone, and a `data` or `len`
    /// that leaves the frame. The packet stays as it was.
    pub(crate) fn claim(self) -> Result<Packet> {
        let state = live::find(self.umem).ok_or_else(|| stale("its UMEM is gone, or never was"))?;
        // SAFETY: it is alive now, and a packet that proves to be counted keeps it so; a program that frees the last
        // packet of a UMEM on one thread while it uses a stale copy on another breaks the rule of exclusive use.
        let frames = unsafe { state.as_ref() };
        if self.frame >= frames.geometry().frames() || frames.owner(self.frame) != USER {
            return Err(stale("its frame has another owner"));
        }
        let (Some(addr), Some(data)) = (frames.offset_of(self.data), NonNull::new(self.data))
        else {
            return Err(outside("data", 0));
        };
        let chunk_size = frames.geometry().chunk_size();
        let start = frames.address_of(self.frame);
        let end = start + u64::from(chunk_size);
        if !(start..=end).contains(&addr) || u64::from(self.len) > end - addr {
            let room = if addr < start {
                0
            } else {
                end.saturating_sub(addr)
            };
            return Err(outside("data and len", room));
        }
        let generation = frames
            .next_generation(self.frame, self.generation)
            .ok_or_else(|| stale("it was freed, sent or taken through another copy"))?;
        Ok(Packet {
            data,
            len: self.len,
            options: self.options,
            state,
            chunk: self.frame,
            generation,
        })
    }
}

fn stale(how: &str) -> FluxError {
    FluxError::invalid(
        "use a packet",
        how,
        "use each packet once, through one copy of its struct",
    )
}

fn outside(what: &str, room: u64) -> FluxError {
    FluxError::new(
        crate::error::ErrorKind::Invalid,
        crate::error::errno::EMSGSIZE,
        "use a packet",
        format_args!("{what} leave its frame, which has room for {room} bytes from there"),
        "keep data and len within the frame",
    )
}
