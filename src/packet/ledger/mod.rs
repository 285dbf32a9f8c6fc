//! Who owns each frame: the ledger, the home queue and the count that keeps the memory alive.
//!
//! One [`SharedFrameState`] stands behind a UMEM. Four things in it:
//!
//! - the *ledger*, one owner a chunk: the pool, the user, or the kernel, on loan from one socket (or in
//!   [quarantine](crate::packet::ledger::quarantine), when that was closed). A frame that the kernel
//!   hands back is accepted only if it is on loan from this very socket, so no frame ever has two owners within the program, whatever stands in
//!   a ring. That a kernel does not write to a frame after it has handed it back is its own promise, which nothing here can hold it to: one that
//!   hands a frame back twice keeps it once more, and may change the bytes of the packet in it;
//! - the *return stack*, where dropped packets arrive from any thread, at one exchange of its top each. The links stand in the ledger,
//!   and whoever needs frames takes all of it at once, so that no frame is ever taken while another thread looks at it;
//! - the *home queue*, lock-free, too, for the free frames that nobody keeps at hand;
//! - the *count* of handles and user-owned packets, which goes on to count dropped ones until they are taken off the return stack. It is
//!   adjusted once a batch, and the memory goes when it reaches zero: a packet may outlive socket, UMEM handle and thread. When the last
//!   handle goes, nobody takes frames any more, so it closes the stack, and packets dropped after that count themselves off.

pub(in crate::packet) mod free;
pub(in crate::packet) mod lease;
pub(in crate::packet) mod quarantine;
pub(in crate::packet) mod registry;

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::task::Waker;

use crossbeam_queue::ArrayQueue;

use crate::error::{FluxError, Result};
use crate::sync::{AtomicU32, AtomicU64};
use crate::umem::geometry::{Geometry, KERNEL_HEADROOM};
use crate::umem::memory::{Memory, Process};

pub(in crate::packet) use free::BOTTOM;
pub(crate) use free::Returned;
pub(crate) use lease::{Lease, LeasedSocket, Leases};
use quarantine::{QUARANTINED, Quarantine};
pub use quarantine::{QueueRelease, ReleasedAtClose};

/// Ledger entry: in the pool. Those below are in the pool, too: on the return stack, as links.
pub(in crate::packet) const POOL: u32 = 1 << 31;
/// Ledger entry: owned by a [`Packet`](crate::packet::Packet). The entries above are sockets.
pub(in crate::packet) const USER: u32 = POOL + 1;
/// One handle, in the count; the lower half counts packets in the user's hands.
const HANDLE: u64 = 1 << 32;

/// The state that all handles, sockets and packets of one UMEM share.
pub(crate) struct SharedFrameState {
    memory: Memory,
    geometry: Geometry,
    shift: u32,
    /// One entry a chunk.
    owners: Box<[AtomicU32]>,
    /// Grows with each packet that C gives back: tells a live packet from a stale copy of it.
    #[cfg(feature = "capi")]
    generations: Box<[AtomicU32]>,
    /// The top of the return stack: a chunk, [`BOTTOM`] or `CLOSED`.
    pub(in crate::packet) returned: AtomicU32,
    free_queue: ArrayQueue<u32>,
    /// Who wants to be called when frames come home.
    pub(in crate::packet) waiting: Mutex<Vec<Waker>>,
    count: AtomicU64,
    /// Which marks of sockets are taken.
    pub(in crate::packet) sockets: Mutex<Vec<bool>>,
    pub(in crate::packet) quarantine: Quarantine,
    process: Process,
}

impl SharedFrameState {
    /// The geometry of the UMEM.
    #[must_use]
    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The process whose it is. In a forked child its bytes are zeros, nobody else works on it, and locks that another thread had stay
    /// locked: so nothing is taken, given or waited for there.
    #[inline]
    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// The memory of the UMEM.
    #[must_use]
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The chunk that `addr` lies in, if the UMEM has it.
    pub(in crate::packet) fn chunk_of(&self, addr: u64) -> Option<u32> {
        let chunk = addr >> self.shift;
        (chunk < u64::from(self.geometry.frames())).then_some(chunk as u32)
    }

    /// The number of bits of an address within a chunk.
    #[inline]
    pub(in crate::packet) fn shift(&self) -> u32 {
        self.shift
    }

    /// The address where a chunk starts.
    pub(in crate::packet) fn address_of(&self, chunk: u32) -> u64 {
        u64::from(chunk) << self.shift
    }

    /// The address at which a packet starts in a fresh chunk, behind both headrooms.
    pub(in crate::packet) fn fresh_address(&self, chunk: u32) -> u64 {
        self.address_of(chunk) + u64::from(KERNEL_HEADROOM + self.geometry.headroom())
    }

    /// The byte at `addr`.
    ///
    /// # Safety
    ///
    /// `addr` lies in a chunk of this UMEM: [`chunk_of`](Self::chunk_of) knows it.
    pub(in crate::packet) unsafe fn pointer(&self, addr: u64) -> NonNull<u8> {
        debug_assert!(addr < self.geometry.bytes());
        // SAFETY: `Frames::new` has seen that `memory` is as long as the geometry says, and the address lies below that.
        unsafe { self.memory.start().add(addr as usize) }
    }

    /// The byte at `addr`, if its frame is on loan to a kernel. For the simulator, whose kernel lives in this process.
    pub(crate) fn lent_frame(&self, addr: u64) -> Option<NonNull<u8>> {
        let chunk = self.chunk_of(addr)?;
        let is_lent = !matches!(self.owner(chunk), POOL | USER);
        // SAFETY: `chunk_of` knows the address.
        is_lent.then(|| unsafe { self.pointer(addr) })
    }

    /// Lends a chunk, as a socket does when it puts it into a ring.
    #[cfg(test)]
    pub(crate) fn lend_for_test(&self, chunk: u32, lease: &Lease) {
        self.set_owner(chunk, lease.mark());
    }

    /// Who owns a chunk: [`POOL`], [`USER`] or the mark of a socket.
    #[inline]
    pub(in crate::packet) fn owner(&self, chunk: u32) -> u32 {
        // A link counts as the pool.
        self.entry(chunk).load(Ordering::Relaxed).max(POOL)
    }

    /// The ledger's entry of a chunk as it stands: [`owner`](Self::owner), or anything else that is no socket's mark.
    #[inline]
    pub(in crate::packet) fn owner_entry(&self, chunk: u32) -> u32 {
        self.entry(chunk).load(Ordering::Relaxed)
    }

    /// The whole ledger.
    #[inline]
    pub(in crate::packet) fn owners(&self) -> &[AtomicU32] {
        &self.owners
    }

    /// The ledger's entry of a chunk that the UMEM has.
    #[inline]
    pub(in crate::packet) fn entry(&self, chunk: u32) -> &AtomicU32 {
        debug_assert!(chunk < self.geometry.frames());
        // SAFETY: every chunk number in this crate comes from `chunk_of`, the home queue or the return stack of this state, or a packet
        // that was made of one, so it is below the number of frames, for each of which there is an entry.
        unsafe { self.owners.get_unchecked(chunk as usize) }
    }

    #[inline]
    pub(in crate::packet) fn set_owner(&self, chunk: u32, owner: u32) {
        self.entry(chunk).store(owner, Ordering::Relaxed);
    }

    /// Gives a chunk that `owner` has to `next`; false if somebody else has it, or was faster.
    pub(in crate::packet) fn pass(&self, chunk: u32, owner: u32, next: u32) -> bool {
        self.entry(chunk)
            // What was done to the frame before comes with it.
            .compare_exchange(owner, next, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    #[cfg(feature = "capi")]
    pub(in crate::packet) fn generation(&self, chunk: u32) -> u32 {
        self.generations[chunk as usize].load(Ordering::Relaxed)
    }

    /// Moves the generation of a user's chunk on from `generation`, once: a second call with the same one fails.
    #[cfg(feature = "capi")]
    pub(in crate::packet) fn end_generation(&self, chunk: u32, generation: u32) -> bool {
        let next = generation.wrapping_add(1);
        self.generations[chunk as usize]
            .compare_exchange(generation, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Queues a chunk that the ledger already gives to the pool.
    pub(crate) fn push_free(&self, chunk: u32) {
        if !self.process.is_current() {
            return;
        }
        let full = self.free_queue.push(chunk);
        debug_assert!(full.is_ok(), "the home queue has room for every frame");
        self.notify_waiting();
    }

    /// Takes a chunk out of the home queue; the ledger gives it to the pool until the caller says otherwise.
    pub(crate) fn pop_free(&self) -> Option<u32> {
        if !self.process.is_current() {
            return None;
        }
        self.free_queue
            .pop()
            .or_else(|| self.take_returned().next())
            .or_else(|| self.take_quarantined())
    }

    fn take_quarantined(&self) -> Option<u32> {
        let may = self.quarantined() > 0 && self.reclaim_if_empty();
        may.then(|| self.take_returned().next()).flatten()
    }

    pub(in crate::packet) fn free_queue_is_empty(&self) -> bool {
        self.free_queue.is_empty()
    }

    /// The number of free frames that nobody keeps at hand.
    #[must_use]
    pub(crate) fn free_count(&self) -> u32 {
        drop(self.take_returned());
        self.free_queue.len() as u32
    }

    /// The number of packets in the user's hands.
    #[must_use]
    pub(crate) fn with_user(&self) -> u32 {
        // Until now those on the return stack count.
        drop(self.take_returned());
        (self.count.load(Ordering::Relaxed) & (HANDLE - 1)) as u32
    }

    /// Counts the ledger: frames of the pool, the user, the kernel, and in quarantine. O(frames); exact when nobody moves frames meanwhile.
    #[must_use]
    pub(crate) fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for owner in &self.owners {
            match owner.load(Ordering::Relaxed) {
                ..=POOL => ledger.pool += 1,
                USER => ledger.user += 1,
                mark if mark & QUARANTINED != 0 => ledger.quarantined += 1,
                _ => ledger.kernel += 1,
            }
        }
        ledger
    }

    /// Adds `packets` to the count, before they come into being.
    pub(in crate::packet) fn count_up(&self, packets: u32) {
        self.count.fetch_add(u64::from(packets), Ordering::Relaxed);
    }

    /// Takes packets off the count that have been dissolved, or never came into being. Only for somebody with a handle, which counts, too.
    #[inline]
    pub(in crate::packet) fn uncount(&self, packets: u32) {
        if packets > 0 {
            let before = self.count.fetch_sub(u64::from(packets), Ordering::Release);
            debug_assert!(before >= HANDLE + u64::from(packets));
        }
    }

    /// Takes `packets` off the count and frees the state if nobody is left.
    ///
    /// # Safety
    ///
    /// `state` must be live with at least `packets` counted packets, which no longer exist, and must not be used by the caller
    /// afterwards unless it holds a handle or another packet.
    #[inline]
    pub(in crate::packet) unsafe fn count_down(state: NonNull<Self>, packets: u32) {
        // SAFETY: live, as the caller promises.
        unsafe { Self::subtract(state, u64::from(packets)) }
    }

    /// # Safety
    ///
    /// As [`count_down`](Self::count_down), for handles or packets.
    #[inline]
    pub(in crate::packet) unsafe fn subtract(state: NonNull<Self>, amount: u64) {
        // SAFETY: live, as the caller promises; the reference ends before the state may be freed.
        let before = unsafe { state.as_ref() }
            .count
            .fetch_sub(amount, Ordering::Release);
        if before == amount {
            // SAFETY: the count reached zero, so this was the last use.
            unsafe { Self::free(state) }
        }
    }

    /// # Safety
    ///
    /// Nobody uses `state`, now or later.
    #[cold]
    unsafe fn free(state: NonNull<Self>) {
        // Everything that others did with the state happens before it is freed. A load and no fence, which ThreadSanitizer does not see.
        // SAFETY: not freed yet.
        unsafe { state.as_ref() }.count.load(Ordering::Acquire);
        registry::remove(state);
        // SAFETY: made by `Box::leak` in `Frames::new`, and not used any more.
        drop(unsafe { Box::from_raw(state.as_ptr()) });
    }
}

impl fmt::Debug for SharedFrameState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFrameState")
            .field("geometry", &self.geometry)
            .field("free_count", &self.free_count())
            .field("with_user", &self.with_user())
            .finish_non_exhaustive()
    }
}

/// How many frames each owner has, by the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ledger {
    /// In the pool.
    pub(crate) pool: u32,
    /// In the user's hands.
    pub(crate) user: u32,
    /// Lent to the kernel.
    pub(crate) kernel: u32,
    /// Of closed sockets whose queue the kernel was not seen to have let go of.
    pub(crate) quarantined: u32,
}

/// A counted handle to the shared state of one UMEM.
pub(crate) struct Frames {
    state: NonNull<SharedFrameState>,
}

// SAFETY: the state is made of atomics, a lock-free queue, a mutex and addresses of memory; the bytes are reached only through
// the owner that the ledger names.
unsafe impl Send for Frames {}
// SAFETY: as above.
unsafe impl Sync for Frames {}

impl Frames {
    /// New state over `memory`, every frame in the pool.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) when the memory is too small for the geometry, [`Memory`](ErrorKind::Memory) when too many
    /// UMEMs are alive, or there is not enough memory for the ledger.
    pub(crate) fn new(memory: Memory, geometry: Geometry) -> Result<Self> {
        if (memory.len() as u64) < geometry.bytes() {
            return Err(FluxError::invalid(
                format_args!("UMEM of {} bytes", geometry.bytes()),
                format_args!("its memory has only {}", memory.len()),
                "ask for fewer frames",
            ));
        }
        let frames = geometry.frames();
        let owners = entries(frames, POOL)?;
        #[cfg(feature = "capi")]
        let generations = entries(frames, registry::first_generation())?;
        let free_queue = queue(frames)?;
        for chunk in 0..frames {
            let full = free_queue.push(chunk);
            debug_assert!(full.is_ok());
        }
        let state = SharedFrameState {
            shift: geometry.chunk_size().trailing_zeros(),
            memory,
            geometry,
            owners,
            #[cfg(feature = "capi")]
            generations,
            returned: AtomicU32::new(BOTTOM),
            free_queue,
            waiting: Mutex::default(),
            count: AtomicU64::new(HANDLE),
            sockets: Mutex::new(Vec::new()),
            quarantine: Quarantine::default(),
            process: Process::current(),
        };
        let state = NonNull::from(Box::leak(Box::new(state)));
        let handle = Self { state };
        registry::add(state).map(|()| handle)
    }

    /// Whether both are handles to the state of one UMEM.
    #[inline]
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.state == other.state
    }

    pub(in crate::packet) fn state(&self) -> NonNull<SharedFrameState> {
        self.state
    }
}

/// One entry a frame.
fn entries(frames: u32, value: u32) -> Result<Box<[AtomicU32]>> {
    let mut entries = Vec::new();
    if entries.try_reserve_exact(frames as usize).is_err() {
        return Err(no_memory(frames));
    }
    entries.extend((0..frames).map(|_| AtomicU32::new(value)));
    Ok(entries.into_boxed_slice())
}

/// A queue with room for every frame.
fn queue(frames: u32) -> Result<ArrayQueue<u32>> {
    // It ends the program when there is no memory for its slots, each of a stamp and a chunk: so it is seen before whether there is.
    let mut room = Vec::<(usize, u32)>::new();
    if room.try_reserve_exact(frames as usize).is_err() {
        return Err(no_memory(frames));
    }
    drop(room);
    Ok(ArrayQueue::new(frames as usize))
}

#[cold]
fn no_memory(frames: u32) -> FluxError {
    FluxError::no_memory(
        format_args!("a UMEM of {frames} frames and its ledger"),
        "ask for fewer frames",
    )
}

impl Deref for Frames {
    type Target = SharedFrameState;

    #[inline]
    fn deref(&self) -> &SharedFrameState {
        // SAFETY: this handle is counted, so the state is alive.
        unsafe { self.state.as_ref() }
    }
}

impl Clone for Frames {
    fn clone(&self) -> Self {
        let before = self.count.fetch_add(HANDLE, Ordering::Relaxed);
        // As `Arc`: who forgets so many handles must not bring the count round.
        if before >> 32 > i32::MAX as u64 {
            std::process::abort();
        }
        Self { state: self.state }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        let before = self.count.fetch_sub(HANDLE, Ordering::Release);
        if before == HANDLE {
            // SAFETY: the count reached zero, so this was the last use.
            unsafe { SharedFrameState::free(self.state) }
        } else if before < 2 * HANDLE {
            // What was done through other handles happens before the stack is closed. A load and no fence, as in `free`.
            self.count.load(Ordering::Acquire);
            // SAFETY: the last handle, with packets left. They count until somebody takes them off the return stack or, once that is
            // closed, themselves: so the state is alive until then.
            unsafe { SharedFrameState::close(self.state) }
        }
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
