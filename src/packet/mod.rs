//! Packets in frames, and who owns each frame: all code that memory safety of frames rests on.
//!
//! ```text
//! RX ring ─▶ transfer::accept ─▶ Packet, PacketRef, BatchRef ─▶ transfer ─▶ fill, TX ring
//!                   │                        │ drop
//!                   └──────── ledger ◀───────┘
//! ```
//!
//! - `mod`: [`Packet`], owned; `packet_ref`: [`PacketRef`], borrowed in place; `batch`, `batch_ref`: several of them; `plain`: an owned packet as C
//!   holds it; `resize`, `build`: changes within the frame;
//! - `ledger`: the owner of each frame, the free ones, and what a closed socket still had;
//! - `transfer`: frames that change hands between a ring and a packet.
//!
//! What is `pub(in crate::packet)` is so because safe code elsewhere could break the ledger with it.

pub(crate) mod batch;
mod batch_ref;
mod build;
pub(crate) mod ledger;
#[cfg(all(test, fluxcap_loom))]
mod models;
mod packet_ref;
#[cfg(feature = "capi")]
pub(crate) mod plain;
mod resize;
#[cfg(test)]
mod tests;
pub(crate) mod transfer;

use std::fmt;
use std::mem;
use std::ptr::{self, NonNull};
use std::slice;

pub use batch::PacketBatch;
#[cfg(feature = "capi")]
pub(crate) use batch_ref::PacketSlot;
pub use batch_ref::{BatchRef, PortPacket};
pub(crate) use batch_ref::{PortContext, RECYCLE, SEND};
#[cfg(feature = "capi")]
pub(crate) use build::build_into;
pub(crate) use ledger::{Frames, Lease, LeasedSocket, Leases, Returned, SharedFrameState};
pub use ledger::{QueueRelease, ReleasedAtClose};
pub use packet_ref::{PacketRef, Verdict};
pub(crate) use transfer::{
    BatchOutlets, BatchSlots, FramePool, Handled, Lender, NotSent, Outlets, VerdictCounts,
};
pub use transfer::{Outbox, ReceivedPacket};

use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::ring::Desc;
use ledger::USER;

/// A packet that the program owns, in a frame of a UMEM.
///
/// It is 32 bytes, moves freely between threads, and keeps the memory of the UMEM alive, even after the socket it came
/// from is gone. Dropping it gives the frame back to the pool, without a lock, from any thread. A packet that was given to the kernel
/// is moved away and can't be touched any more:
///
/// ```compile_fail,E0382
/// # fn example(raw: &mut fluxcap::FluxRaw, mut packet: fluxcap::Packet) {
/// raw.send_one(packet).ok();
/// packet.data_mut()[0] = 0; // error: borrow of moved value
/// # }
/// ```
///
/// Nor can it be sent twice, since it is no `Clone`:
///
/// ```compile_fail,E0382
/// # fn example(raw: &mut fluxcap::FluxRaw, packet: fluxcap::Packet) {
/// raw.send_one(packet).ok();
/// raw.send_one(packet).ok(); // error: use of moved value
/// # }
/// ```
#[repr(C)]
pub struct Packet {
    data: NonNull<u8>,
    len: u32,
    options: u32,
    state: NonNull<SharedFrameState>,
    chunk: u32,
    /// The place of the generation in C.
    _generation: u32,
}

// SAFETY: the ledger names this packet the only owner of its chunk, so the bytes move with it; the shared state is
// Sync and kept alive by the count that includes this packet.
unsafe impl Send for Packet {}
// SAFETY: a shared reference only reads the bytes.
unsafe impl Sync for Packet {}

impl Packet {
    /// The packet that `desc` describes, in a chunk that was just handed to the user.
    ///
    /// The caller has counted it and checked that `desc` lies within `chunk`.
    #[inline]
    fn new(state: NonNull<SharedFrameState>, desc: Desc, chunk: u32) -> Self {
        // SAFETY: counted, so the state is alive.
        let base = unsafe { state.as_ref() }.memory().start();
        Self::at(base, state, desc, chunk)
    }

    /// [`new`](Self::new), in a UMEM that starts at `base`.
    #[inline]
    fn at(base: NonNull<u8>, state: NonNull<SharedFrameState>, desc: Desc, chunk: u32) -> Self {
        Self {
            // SAFETY: `desc` lies within `chunk`, and that within the UMEM.
            data: unsafe { base.add(desc.addr as usize) },
            len: desc.len,
            options: desc.options,
            state,
            chunk,
            _generation: 0,
        }
    }

    /// The bytes of the packet.
    #[inline]
    #[must_use]
    pub fn data(&self) -> &[u8] {
        // SAFETY: `len` bytes from `data` on lie in the chunk that this packet owns (kept by every method that moves
        // either), and UMEM memory is initialised.
        unsafe { slice::from_raw_parts(self.data.as_ptr(), self.len as usize) }
    }

    /// The bytes of the packet, to change in place.
    #[inline]
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `data`; the chunk has no other owner.
        unsafe { slice::from_raw_parts_mut(self.data.as_ptr(), self.len as usize) }
    }

    /// The length in bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the packet has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The descriptor's option bits: 0, or `XDP_PKT_CONTD` when more of the packet follows in the next frame.
    #[must_use]
    pub fn options(&self) -> u32 {
        self.options
    }

    /// Free bytes in front of the packet, in its frame.
    #[must_use]
    pub fn headroom(&self) -> usize {
        (self.address() - self.state().address_of(self.chunk)) as usize
    }

    /// Free bytes behind the packet, in its frame.
    #[must_use]
    pub fn tailroom(&self) -> usize {
        let chunk_size = self.state().geometry().chunk_size() as usize;
        chunk_size - self.headroom() - self.len()
    }

    /// Sets the length. Bytes that come into view hold whatever the frame held before.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) (`EMSGSIZE`) when the frame has no room for `len` bytes; the packet stays as it was.
    pub fn set_len(&mut self, len: usize) -> Result<()> {
        let most = self.len() + self.tailroom();
        if len > most {
            return Err(too_long("packet", len, most));
        }
        self.len = len as u32;
        Ok(())
    }

    /// Replaces the content.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) (`EMSGSIZE`) when `bytes` do not fit; the packet stays as it was.
    ///
    /// ```
    /// # let umem = fluxcap::UmemRegion::heap(fluxcap::UmemConfig::default())?;
    /// let mut packet = umem.alloc().expect("the pool is full");
    /// packet.copy_from(b"hello")?;
    /// assert_eq!(packet.data(), b"hello");
    /// assert!(packet.copy_from(&[0; 5000]).is_err());
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn copy_from(&mut self, bytes: &[u8]) -> Result<()> {
        self.set_len(bytes.len())?;
        self.data_mut().copy_from_slice(bytes);
        Ok(())
    }

    /// The packet with a copy of `bytes` as its content.
    pub(crate) fn filled(mut self, bytes: &[u8]) -> Result<Self> {
        self.copy_from(bytes)?;
        Ok(self)
    }

    /// Moves the start `bytes` back, to put a header in front, and returns the new first bytes to fill; they hold whatever the frame held
    /// before.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) (`EMSGSIZE`) when the [`headroom`](Self::headroom) is smaller; the packet stays as it was.
    pub fn push_front(&mut self, bytes: usize) -> Result<&mut [u8]> {
        if bytes > self.headroom() {
            return Err(too_long("header in front", bytes, self.headroom()));
        }
        // SAFETY: the headroom lies in the same chunk.
        self.data = unsafe { self.data.sub(bytes) };
        self.len += bytes as u32;
        Ok(&mut self.data_mut()[..bytes])
    }

    /// Moves the start `bytes` forward, to take a header off.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) (`EMSGSIZE`) when the packet is shorter; it stays as it was.
    pub fn pull_front(&mut self, bytes: usize) -> Result<()> {
        if bytes > self.len() {
            return Err(too_long("header to take off", bytes, self.len()));
        }
        // SAFETY: the packet's bytes lie in the same chunk.
        self.data = unsafe { self.data.add(bytes) };
        self.len -= bytes as u32;
        Ok(())
    }

    /// Offset of the first byte from the start of the UMEM, as a descriptor has it.
    #[must_use]
    pub fn address(&self) -> u64 {
        let start = self.state().memory().start();
        (self.data.addr().get() - start.addr().get()) as u64
    }

    /// Whether all packets lie in the UMEM of `frames`, hold something, and have no options.
    #[inline]
    pub(crate) fn can_all_be_sent(packets: &[Self], frames: &Frames) -> bool {
        let wrong = packets.iter().fold(0, |wrong, packet| {
            let elsewhere = packet.state.addr().get() ^ frames.state().addr().get();
            wrong | (packet.content().wrapping_sub(1) >> 31) | elsewhere as u64
        });
        wrong == 0
    }

    /// Length and options. Below 2³¹ after one was taken off: a length, which is far shorter, and nothing else. (Below 2³², it could be a
    /// length of zero and the lowest of the options.)
    #[inline]
    fn content(&self) -> u64 {
        u64::from(self.options) << 32 | u64::from(self.len)
    }

    /// Whether it is not empty and has no options.
    #[inline]
    fn has_content(&self) -> bool {
        self.content().wrapping_sub(1) >> 31 == 0
    }

    /// Whether the packet lies in the UMEM of `frames`.
    #[inline]
    pub(crate) fn belongs_to(&self, frames: &Frames) -> bool {
        self.state == frames.state()
    }

    /// Whether the packet lies in the UMEM of `state`.
    #[inline]
    fn is_of(&self, state: &SharedFrameState) -> bool {
        ptr::eq(self.state.as_ptr(), state)
    }

    #[inline]
    fn state(&self) -> &SharedFrameState {
        // SAFETY: this packet is counted, so the state is alive.
        unsafe { self.state.as_ref() }
    }

    /// The descriptor, in a UMEM that starts at `base`.
    #[inline]
    fn desc(&self, base: NonNull<u8>) -> Desc {
        Desc {
            addr: (self.data.addr().get() - base.addr().get()) as u64,
            len: self.len,
            options: self.options,
        }
    }

    /// Gives up ownership of the chunk without moving it; the caller sets its owner and takes the packet off the count.
    #[inline]
    fn dissolve(self) -> (Desc, u32) {
        let desc = self.desc(self.state().memory().start());
        let chunk = self.chunk;
        mem::forget(self);
        (desc, chunk)
    }
}

fn too_long(what: &str, wanted: usize, room: usize) -> FluxError {
    FluxError::new(
        ErrorKind::Invalid,
        errno::EMSGSIZE,
        format_args!("{what} of {wanted} bytes"),
        format_args!("the frame has room for {room}"),
        "use larger chunks, less headroom, or split the packet",
    )
}

impl Drop for Packet {
    #[inline]
    fn drop(&mut self) {
        // In a child, what another thread of the parent was about to write may be missing.
        debug_assert!(
            self.state().owner(self.chunk) == USER || !self.state().process().is_current()
        );
        // SAFETY: this packet was counted, and owns its chunk, and ends here.
        unsafe { SharedFrameState::return_frame(self.state, self.chunk) }
    }
}

impl AsRef<[u8]> for Packet {
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}

impl AsMut<[u8]> for Packet {
    fn as_mut(&mut self) -> &mut [u8] {
        self.data_mut()
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("len", &self.len)
            .field("chunk", &self.chunk)
            .field("headroom", &self.headroom())
            .finish_non_exhaustive()
    }
}
