//! How far a call came along the entries of a ring.

#![forbid(unsafe_code)]

/// Entries looked at, and those of them that were accepted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    pub(super) seen: u32,
    pub(super) taken: u32,
}

impl Progress {
    /// Adds a run in which the first `done` of the `tried` entries were accepted; the one after them, if any, was refused.
    #[inline]
    pub(super) fn add(&mut self, done: usize, tried: usize) {
        self.taken += done as u32;
        self.seen += done as u32 + u32::from(done < tried);
    }

    pub(super) fn refused(self) -> u64 {
        u64::from(self.seen - self.taken)
    }
}
