//! The ledger, counted.

use std::sync::atomic::Ordering;

use super::SharedFrameState;
use super::frames::{POOL, USER};
use super::quarantine::QUARANTINED;

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

impl SharedFrameState {
    /// Counts the ledger: frames of the pool, the user, the kernel, and in quarantine. O(frames); exact when nobody moves frames meanwhile.
    #[must_use]
    pub(crate) fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for owner in self.owners() {
            match owner.load(Ordering::Relaxed) {
                ..=POOL => ledger.pool += 1,
                USER => ledger.user += 1,
                mark if mark & QUARANTINED != 0 => ledger.quarantined += 1,
                _ => ledger.kernel += 1,
            }
        }
        ledger
    }
}
