//! A socket's entry in the map of an XDP program.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{self, Socket, Steering, Throttle, machine};
use crate::error::Result;
use crate::stats::ProgramCounters;
use crate::umem::memory::Process;

/// How long it may go unnoticed that somebody took the program off.
const LOOK: Duration = Duration::from_secs(1);

/// A socket's entry in the map of an XDP program.
#[derive(Debug)]
pub(crate) struct MapEntry {
    steering: Arc<dyn Steering>,
    key: backend::MapKey,
    process: Process,
    /// When to ask next how the program is.
    throttle: Throttle,
}

impl MapEntry {
    /// Enters a bound socket.
    pub(crate) fn take(
        steering: Arc<dyn Steering>,
        key: backend::MapKey,
        socket: &dyn Socket,
    ) -> Result<Self> {
        steering.insert(key, socket)?;
        Ok(Self {
            steering,
            key,
            process: Process::current(),
            throttle: Throttle::default(),
        })
    }

    /// Whether packets can still come here. The program is asked once a second at most.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        match self.throttle.is_due(machine::coarse_time(), LOOK) {
            true => self.look(),
            false => Ok(()),
        }
    }

    #[cold]
    fn look(&self) -> Result<()> {
        let _guard = machine::CancelGuard::new();
        self.steering.check()
    }

    /// What the program counted.
    pub(crate) fn counters(&self) -> Result<Option<ProgramCounters>> {
        self.steering.counters()
    }
}

impl Drop for MapEntry {
    fn drop(&mut self) {
        // The entry is the parent's, too. One that cannot be removed now goes with its socket.
        if self.process.is_current() {
            let _ = self.steering.remove(self.key);
        }
    }
}
