//! A packet as plain data, for C: it can be copied, so coming back it proves that it is the one living copy.

use std::ptr::NonNull;

use super::frames::USER;
use super::{Frames, Packet, SharedFrameState, live};
use crate::error::{ErrorKind, FluxError, Result, errno};

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
            generation: packet.state().generation(packet.chunk),
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
    /// As [`check`](Self::check). The packet stays as it was.
    pub(crate) fn claim(self) -> Result<Packet> {
        let (state, data) = self.check()?;
        // SAFETY: as in `check`.
        if !unsafe { state.as_ref() }.end_generation(self.frame, self.generation) {
            return Err(stale());
        }
        Ok(Packet {
            data,
            len: self.len,
            options: self.options,
            state,
            chunk: self.frame,
            _generation: 0,
        })
    }

    /// Whether the packet could be claimed now, and lies in `frames`.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check), and [`Invalid`](crate::ErrorKind::Invalid) for one of another UMEM.
    pub(crate) fn check_home(self, frames: &Frames) -> Result<()> {
        let (state, _) = self.check()?;
        if state != frames.state() {
            return Err(elsewhere());
        }
        Ok(())
    }

    /// Whether the packet could be claimed now, and sent on a socket that works on `frames`.
    ///
    /// # Errors
    ///
    /// As [`check_home`](Self::check_home), and [`Invalid`](crate::ErrorKind::Invalid) for one that no socket can send.
    pub(crate) fn check_for_sending(self, frames: &Frames) -> Result<()> {
        self.check_home(frames)?;
        if self.options != 0 {
            return Err(FluxError::invalid(
                "send a packet",
                format_args!("its options are {}", self.options),
                "set options to 0",
            ));
        }
        if self.len == 0 {
            return Err(FluxError::new(
                ErrorKind::Invalid,
                errno::EMSGSIZE,
                "send a packet",
                "it is empty",
                "set its length and fill it in",
            ));
        }
        Ok(())
    }

    /// Checks the fields against the ledger and the frame.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for a stale copy (freed, sent, or taken before), a UMEM that is gone, and a `data` or `len`
    /// that leaves the frame.
    fn check(self) -> Result<(NonNull<SharedFrameState>, NonNull<u8>)> {
        let state = live::find(self.umem).ok_or_else(stale)?;
        // SAFETY: it is alive now, and a packet that proves to be counted keeps it so; a program that frees the last
        // packet of a UMEM on one thread while it uses a stale copy on another breaks the rule of exclusive use.
        let frames = unsafe { state.as_ref() };
        let ours = self.frame < frames.geometry().frames()
            && frames.owner(self.frame) == USER
            && frames.generation(self.frame) == self.generation;
        if !ours {
            return Err(stale());
        }
        let (Some(addr), Some(data)) = (frames.offset_of(self.data), NonNull::new(self.data))
        else {
            return Err(outside("data", 0));
        };
        let start = frames.address_of(self.frame);
        let end = start + u64::from(frames.geometry().chunk_size());
        if addr < start {
            return Err(outside("data", 0));
        }
        let room = end.saturating_sub(addr);
        if addr > end || u64::from(self.len) > room {
            return Err(outside("data and len", room));
        }
        Ok((state, data))
    }
}

#[cold]
fn stale() -> FluxError {
    FluxError::invalid(
        "use a packet",
        "it was freed, sent or taken before, perhaps through another copy",
        "use each packet once, through one copy of its struct",
    )
}

#[cold]
fn elsewhere() -> FluxError {
    FluxError::invalid(
        "use a packet",
        "it lies in the UMEM of another socket",
        "copy its bytes into a packet of this one, as fluxcap_tx_copy() does",
    )
}

fn outside(what: &str, room: u64) -> FluxError {
    FluxError::new(
        ErrorKind::Invalid,
        errno::EMSGSIZE,
        "use a packet",
        format_args!("{what} leave its frame, which has room for {room} bytes from there"),
        "keep data and len within the frame",
    )
}
