//! A packet as plain data, for C: it can be copied, so coming back it proves that it is the one living copy.
//!
//! The proof is the generation of its frame, which moves on by one exchange whenever a packet comes back: of two threads that free copies of one
//! packet at once, one has it, and the other gets an error. It has 32 bits, so that a copy that was kept while C gave 2³² packets in that very
//! frame back counts as the living one again.
//!
//! Before it, the UMEM must be alive. While any handle, socket or other packet of it is there, it is, whatever a stale copy does. What nothing here can
//! see is a stale copy that is used on one thread while another frees the last thing that a UMEM has: the header forbids the use of two copies.

use std::ptr::NonNull;

use super::ledger::registry;
use super::{Frames, Packet, PacketRef, SharedFrameState};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::packet::batch_ref::{PacketSlot, RECYCLE};
use crate::packet::ledger::USER;
use crate::ring::Desc;

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
    /// [`Invalid`](crate::ErrorKind::Invalid) for a stale copy (freed, sent, or taken before), a UMEM that is gone, and a `data` or `len`
    /// that leaves the frame. The packet stays as it was.
    pub(crate) fn claim(self) -> Result<Packet> {
        let state = registry::find(self.umem).ok_or_else(stale)?;
        // SAFETY: it is alive now, and a packet that proves to be counted keeps it so. Otherwise it is a stale copy, and the program has the rule
        // that copies are not used side by side: nobody frees the UMEM now.
        let data = self.check(unsafe { state.as_ref() })?;
        self.end(state, data)
    }

    /// [`claim`](Self::claim) of a packet whose bytes do not matter any more.
    fn claim_to_end(self) -> Result<Packet> {
        let state = registry::find(self.umem).ok_or_else(stale)?;
        // SAFETY: as in `claim`.
        let frames = unsafe { state.as_ref() };
        if self.frame >= frames.geometry().frames() {
            return Err(stale());
        }
        // SAFETY: a frame that the UMEM has.
        let data = unsafe { frames.pointer(frames.address_of(self.frame)) };
        let empty = Self {
            data: data.as_ptr(),
            len: 0,
            ..self
        };
        empty.claim()
    }

    /// [`claim`](Self::claim) of a packet that was checked.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when it was claimed since, through a copy.
    ///
    /// # Safety
    ///
    /// [`check_home`](Self::check_home) found these very fields good in `frames`, and nobody has written to the ledger since but by claims.
    #[inline]
    pub(crate) unsafe fn claim_checked(self, frames: &Frames) -> Result<Packet> {
        // SAFETY: checked, so not null.
        self.end(frames.state(), unsafe { NonNull::new_unchecked(self.data) })
    }

    #[inline]
    fn end(self, state: NonNull<SharedFrameState>, data: NonNull<u8>) -> Result<Packet> {
        // SAFETY: the callers know that it is alive.
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
    /// As [`claim`](Self::claim), and [`Invalid`](crate::ErrorKind::Invalid) for one of another UMEM.
    #[inline]
    pub(crate) fn check_home(self, frames: &Frames) -> Result<()> {
        if self.umem != frames.state().as_ptr() {
            return Err(self.elsewhere());
        }
        self.check(frames).map(drop)
    }

    /// Whether the packet could be claimed now, and sent on a socket that works on `frames`.
    ///
    /// # Errors
    ///
    /// As [`check_home`](Self::check_home), and [`Invalid`](crate::ErrorKind::Invalid) for one that no socket can send.
    #[inline]
    pub(crate) fn check_for_sending(self, frames: &Frames) -> Result<()> {
        self.check_home(frames)?;
        if self.options != 0 {
            return Err(has_options(self.options));
        }
        if self.len == 0 {
            return Err(empty());
        }
        Ok(())
    }

    /// Why a packet of another UMEM is refused.
    #[cold]
    fn elsewhere(self) -> FluxError {
        let found = registry::find(self.umem).ok_or_else(stale);
        // SAFETY: as in `claim`.
        match found.and_then(|state| self.check(unsafe { state.as_ref() })) {
            Ok(_) => FluxError::invalid(
                "use a packet",
                "it lies in the UMEM of another socket",
                "copy its bytes into a packet of this one, as fluxcap_tx_copy() does",
            ),
            Err(error) => error,
        }
    }

    /// Checks the fields against the ledger and the frame of a UMEM that is the packet's, and gives `data`.
    #[inline]
    fn check(self, frames: &SharedFrameState) -> Result<NonNull<u8>> {
        let ours = self.frame < frames.geometry().frames()
            && frames.owner(self.frame) == USER
            && frames.generation(self.frame) == self.generation;
        if !ours {
            return Err(stale());
        }
        let chunk_size = u64::from(frames.geometry().chunk_size());
        // SAFETY: a frame that the UMEM has.
        let frame = unsafe { frames.pointer(frames.address_of(self.frame)) };
        // What lies before the frame is far behind it, counted like this.
        let offset = self.data.addr().wrapping_sub(frame.addr().get()) as u64;
        if offset > chunk_size || u64::from(self.len) > chunk_size - offset {
            return Err(outside(chunk_size.checked_sub(offset)));
        }
        // SAFETY: within the frame, or at its end. The address alone is the caller's.
        Ok(unsafe { frame.add(offset as usize) })
    }
}

/// Shows `edit` the borrowed packet that `data` and `len` describe, which came as `desc`, and changes them as it does. `None`: `data` points
/// into another frame than that.
///
/// # Errors
///
/// [`Invalid`](crate::ErrorKind::Invalid) when they leave the UMEM, or one frame of it.
///
/// # Safety
///
/// Nobody else uses the frame of `desc` meanwhile.
pub(crate) unsafe fn in_place<T>(
    (frames, desc): (&SharedFrameState, &Desc),
    (data, len): (&mut *mut u8, &mut u32),
    edit: impl FnOnce(&mut PacketRef<'_>) -> T,
) -> Result<Option<T>> {
    let chunk_size = u64::from(frames.geometry().chunk_size());
    let start = frames.memory().start();
    // What lies before the UMEM is far behind it, counted like this.
    let address = data.addr().wrapping_sub(start.addr().get()) as u64;
    if address >= frames.geometry().bytes() {
        return Err(outside(None));
    }
    if address ^ desc.addr >= chunk_size {
        return Ok(None);
    }
    let room = chunk_size - (address & (chunk_size - 1));
    if u64::from(*len) > room {
        return Err(outside(Some(room)));
    }
    let mut slot = PacketSlot {
        // The address alone is the caller's.
        // SAFETY: it lies below the end of the UMEM.
        data: unsafe { frames.pointer(address) }.as_ptr(),
        len: *len,
        verdict: RECYCLE,
    };
    // SAFETY: within the frame of `desc`, which is nobody else's, as the caller promises.
    let result = edit(&mut unsafe { PacketRef::new(frames, &mut slot, 0) });
    (*data, *len) = (slot.data, slot.len);
    Ok(Some(result))
}

/// Packets that end together: the frames of those that lie in the UMEM of the first go home by one exchange for all.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// Keeps the UMEM alive.
    first: Option<Packet>,
    /// Chunks linked in the ledger, down to `bottom`.
    top: u32,
    bottom: u32,
    linked: u32,
}

impl Ending {
    /// Ends a packet.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for a stale copy and a UMEM that is gone. Wherever `data` and `len` point, the frame goes home.
    #[inline]
    pub(crate) fn add(&mut self, raw: RawPacket) -> Result<()> {
        match &self.first {
            Some(first) if first.state.as_ptr().cast_const() == raw.umem => {
                let state = first.state;
                // SAFETY: the first one keeps it alive.
                self.link(unsafe { state.as_ref() }, raw)
            }
            Some(_) => raw.claim_to_end().map(drop),
            None => {
                self.first = Some(raw.claim_to_end()?);
                Ok(())
            }
        }
    }

    #[inline]
    fn link(&mut self, state: &SharedFrameState, raw: RawPacket) -> Result<()> {
        let ours = raw.frame < state.geometry().frames()
            && state.owner_entry(raw.frame) == USER
            && state.end_generation(raw.frame, raw.generation);
        if !ours {
            return Err(stale());
        }
        if self.linked == 0 {
            self.bottom = raw.frame;
        }
        state.set_owner(raw.frame, self.top);
        self.top = raw.frame;
        self.linked += 1;
        Ok(())
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let (Some(first), 1..) = (&self.first, self.linked) {
            // SAFETY: the first one keeps the state alive; the packets were counted, and their chunks are linked from `top` to `bottom`.
            unsafe {
                SharedFrameState::return_packets(first.state, self.bottom, self.top, self.linked);
            }
        }
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
fn has_options(options: u32) -> FluxError {
    FluxError::invalid(
        "send a packet",
        format_args!("its options are {options}"),
        "set options to 0",
    )
}

#[cold]
fn empty() -> FluxError {
    FluxError::new(
        ErrorKind::Invalid,
        errno::EMSGSIZE,
        "send a packet",
        "it is empty",
        "set its length and fill it in",
    )
}

/// `room`: in the frame from `data` on; `None` when that is not in it.
#[cold]
fn outside(room: Option<u64>) -> FluxError {
    let happened = match room {
        Some(room) => {
            format!("data and len leave its frame, which has room for {room} bytes from there")
        }
        None => "data is outside of its frame".to_owned(),
    };
    FluxError::new(
        ErrorKind::Invalid,
        errno::EMSGSIZE,
        "use a packet",
        happened,
        "keep data and len within the frame",
    )
}
