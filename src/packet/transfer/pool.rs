//! Frames that wait for work: one side's own stack in front of the UMEM's home queue.

#![forbid(unsafe_code)]

use crate::packet::{Frames, Packet, Returned};

/// Free frames of one thread. Takes from the shared home queue when it runs dry and gives back when it grows too tall.
///
/// The stack never holds more than a bounded part of the UMEM, the smaller the more sockets work on it, so that one cannot starve the others.
#[derive(Debug)]
pub(crate) struct FramePool {
    frames: Frames,
    stack: Vec<u32>,
    most: usize,
}

/// Frames moved between stack and queue at a time.
const BATCH: usize = 64;

impl FramePool {
    pub(crate) fn new(frames: Frames) -> Self {
        let sockets = frames.sockets().max(1);
        let most = (2 * BATCH).min(frames.geometry().frames() as usize / 8 / sockets);
        Self {
            frames,
            stack: Vec::with_capacity(most),
            most,
        }
    }

    /// A free chunk, if there is one. The ledger gives it to the pool until the caller says otherwise.
    pub(crate) fn take(&mut self) -> Option<u32> {
        self.stack.pop().or_else(|| {
            self.restock();
            self.stack.pop().or_else(|| self.frames.pop_free())
        })
    }

    /// Gives up to `max` free chunks to `give` and returns how many.
    #[inline]
    pub(crate) fn take_run(&mut self, max: usize, mut give: impl FnMut(u32)) -> usize {
        let mut done = self.take_at_hand(max, &mut give);
        if done == max {
            return done;
        }
        let mut returned = self.frames.take_returned();
        while done < max
            && let Some(chunk) = returned.next()
        {
            give(chunk);
            done += 1;
        }
        // What is too much even for the stack goes to the queue.
        self.stack.extend(returned.by_ref().take(self.most));
        drop(returned);
        while done < max
            && let Some(chunk) = self.frames.pop_free()
        {
            give(chunk);
            done += 1;
        }
        done
    }

    /// Keeps returned chunks for itself, as many as it has room for; the others go to the queue.
    #[inline]
    pub(crate) fn keep(&mut self, mut returned: Returned<'_>) {
        if !returned.is_empty() {
            let room = self.room();
            self.stack.extend(returned.by_ref().take(room));
        }
    }

    #[inline]
    fn take_at_hand(&mut self, max: usize, mut give: impl FnMut(u32)) -> usize {
        let rest = self.stack.len().saturating_sub(max);
        let taken = self.stack.drain(rest..).rev();
        taken.map(&mut give).count()
    }

    /// Fills the empty stack half: with frames just returned, then from the queue.
    #[cold]
    fn restock(&mut self) {
        let most = self.most / 2;
        self.stack
            .extend(self.frames.take_returned().by_ref().take(most));
        while self.stack.len() < most
            && let Some(chunk) = self.frames.pop_free()
        {
            self.stack.push(chunk);
        }
        // First out of the queue, first in use: frames on loan stay contiguous.
        self.stack.reverse();
    }

    /// Adds a chunk that the ledger gives to the pool.
    pub(crate) fn put(&mut self, chunk: u32) {
        if self.stack.len() == self.most {
            for chunk in self.stack.drain(self.most / 2..) {
                self.frames.push_free(chunk);
            }
        }
        if self.stack.len() < self.most {
            self.stack.push(chunk);
        } else {
            self.frames.push_free(chunk);
        }
    }

    /// Gives all that it keeps at hand to those that look for frames.
    pub(crate) fn give_up(&mut self) {
        for chunk in self.stack.drain(..) {
            self.frames.push_free(chunk);
        }
    }

    /// A fresh packet of length zero, if there is a free frame.
    pub(crate) fn alloc(&mut self) -> Option<Packet> {
        self.take().map(|chunk| self.frames.fresh(chunk))
    }

    /// The number of frames that the stack has room for.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.most.saturating_sub(self.stack.len())
    }

    /// The number of frames on the stack.
    pub(crate) fn len(&self) -> u32 {
        self.stack.len() as u32
    }
}

impl Drop for FramePool {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::umem::{UmemConfig, UmemRegion};

    fn umem(frames: u32) -> UmemRegion {
        UmemRegion::heap(UmemConfig {
            frames,
            ..UmemConfig::default()
        })
        .unwrap()
    }

    #[test]
    fn many_sockets_keep_no_more_than_an_eighth_of_the_frames() {
        for sockets in [1, 2, 16] {
            let umem = umem(512);
            let leases = umem.frames().leases(sockets).unwrap();
            let mut pools: Vec<_> = (0..sockets)
                .map(|_| FramePool::new(umem.frames().clone()))
                .collect();
            for pool in &mut pools {
                let chunk = pool.take().unwrap();
                pool.put(chunk);
            }
            let kept: u32 = pools.iter().map(FramePool::len).sum();
            assert!(kept <= 64, "{kept}");
            let rest = std::iter::from_fn(|| pools[0].take()).count() as u32;
            assert!(rest >= 512 - 64, "{rest}");
            drop((pools, leases));
        }
    }

    #[test]
    fn every_frame_can_be_taken_and_put_back() {
        for frames in [1, 2, 7, 64, 1000] {
            let umem = umem(frames);
            let mut pool = FramePool::new(umem.frames().clone());
            let mut taken: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
            taken.sort_unstable();
            assert_eq!(taken, (0..frames).collect::<Vec<_>>());
            for chunk in taken {
                pool.put(chunk);
                assert!(pool.len() <= frames / 8);
            }
            drop(pool);
            assert_eq!(umem.frames().free_count(), frames);
        }
    }
}
