//! The parcel: free frames that a sending side has just got back, laid out for a receiving side to take at once.
//!
//! Sending and receiving sides of one UMEM pass frames on in bulk: at most one parcel's worth lies there, and whoever has it open is alone with
//! it. Nobody waits for it: who finds it open takes the way by the return stack and the home queue.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::SharedFrameState;
use super::frames::POOL;

/// Frames that there is room for.
const ROOM: usize = 64;
/// In place of the number of frames: somebody has it open.
const OPEN: u32 = u32::MAX;

/// Addresses of free frames. Apart from what else all threads read.
#[repr(align(128))]
pub(super) struct Parcel {
    count: AtomicU32,
    addrs: [AtomicU64; ROOM],
}

impl Parcel {
    pub(super) fn new() -> Self {
        Self {
            count: AtomicU32::new(0),
            addrs: [const { AtomicU64::new(0) }; ROOM],
        }
    }

    /// Opens it, unless somebody else has, and says how many frames it holds.
    #[inline]
    fn open(&self) -> Option<usize> {
        let count = self.count.load(Ordering::Relaxed);
        let mine = count != OPEN
            // Acquire: what was done to it, and with its frames, comes before.
            && self
                .count
                .compare_exchange(count, OPEN, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        mine.then_some((count as usize).min(ROOM))
    }

    /// Closes it again, with so many frames in it.
    #[inline]
    fn close(&self, count: usize) {
        self.count.store(count as u32, Ordering::Release);
    }

    /// The number of frames in it, as far as anybody can tell.
    #[inline]
    fn len(&self) -> usize {
        match self.count.load(Ordering::Relaxed) {
            OPEN => 0,
            count => count as usize,
        }
    }
}

impl SharedFrameState {
    /// Puts frames at these addresses, whose chunks exist, into the parcel; returns how many. It ends where there is no room, and at the
    /// first that neither `owner`, who is the caller, has nor the caller can `take`.
    #[inline]
    pub(super) fn pack(&self, addrs: &[u64], owner: u32, take: impl Fn(u32) -> bool) -> usize {
        let (owners, shift) = (self.owners(), self.shift());
        let parcel = self.parcel();
        if addrs.is_empty() || parcel.len() >= ROOM {
            return 0;
        }
        let Some(before) = parcel.open() else {
            return 0;
        };
        let places = &parcel.addrs[before..];
        let pack = |addr: u64, place: &AtomicU64| {
            let chunk = (addr >> shift) as usize;
            debug_assert!(chunk < owners.len());
            // SAFETY: the caller has seen that the chunk exists.
            let entry = unsafe { owners.get_unchecked(chunk) };
            let ours = entry.load(Ordering::Relaxed) == owner || take(chunk as u32);
            if ours {
                entry.store(POOL, Ordering::Relaxed);
                place.store(addr, Ordering::Relaxed);
            }
            ours
        };
        let addrs = &addrs[..addrs.len().min(places.len())];
        let (eights, rest) = addrs.as_chunks::<8>();
        let (places, last) = places[..addrs.len()].as_chunks::<8>();
        let mut done = 0;
        'packing: {
            for (addrs, places) in eights.iter().zip(places) {
                for (addr, place) in addrs.iter().zip(places) {
                    if !pack(*addr, place) {
                        break 'packing;
                    }
                    done += 1;
                }
            }
            for (addr, place) in rest.iter().zip(last) {
                if !pack(*addr, place) {
                    break 'packing;
                }
                done += 1;
            }
        }
        parcel.close(before + done);
        done
    }

    /// Takes frames out of the parcel, gives them to `owner` and writes their addresses to the places, until there are no more of one or
    /// the other; returns how many.
    #[inline]
    pub(super) fn unpack(&self, owner: u32, places: &mut [u64]) -> usize {
        let (owners, shift) = (self.owners(), self.shift());
        let parcel = self.parcel();
        if parcel.len() == 0 {
            return 0;
        }
        let Some(count) = parcel.open() else {
            return 0;
        };
        let done = count.min(places.len());
        let unpack = |addr: &AtomicU64, place: &mut u64| {
            let addr = addr.load(Ordering::Relaxed);
            let chunk = (addr >> shift) as usize;
            debug_assert!(chunk < owners.len());
            // SAFETY: only chunks that exist are put into the parcel.
            let entry = unsafe { owners.get_unchecked(chunk) };
            entry.store(owner, Ordering::Relaxed);
            *place = addr;
        };
        let (eights, rest) = parcel.addrs[count - done..count].as_chunks::<8>();
        let (chunks, last) = places[..done].as_chunks_mut::<8>();
        for (addrs, places) in eights.iter().zip(chunks) {
            for (addr, place) in addrs.iter().zip(places) {
                unpack(addr, place);
            }
        }
        for (addr, place) in rest.iter().zip(last) {
            unpack(addr, place);
        }
        parcel.close(count - done);
        done
    }

    /// Sends what is in the parcel home, for those who are short of frames.
    pub(super) fn empty_parcel(&self) {
        let mut places = [0; ROOM];
        let count = self.unpack(POOL, &mut places);
        for addr in &places[..count] {
            self.queue_home((addr >> self.shift()) as u32);
        }
    }
}
