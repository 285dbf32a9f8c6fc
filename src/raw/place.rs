//! A socket's entry in the map of an XDP program.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::error::Result;
use crate::kernel::{self, Socket, Steering};
use crate::stats::ProgramCounters;

/// A socket's entry in the map of an XDP program.
#[derive(Debug)]
pub(crate) struct Place {
    steering: Arc<dyn Steering>,
    key: kernel::Place,
}

impl Place {
    /// Enters a bound socket.
    pub(crate) fn take(
        steering: Arc<dyn Steering>,
        key: kernel::Place,
        socket: &dyn Socket,
    ) -> Result<Self> {
        steering.insert(key, socket)?;
        Ok(Self { steering, key })
    }

    /// What the program counted.
    pub(crate) fn counters(&self) -> Result<Option<ProgramCounters>> {
        self.steering.counters()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // An entry that cannot be removed now goes with its socket.
        let _ = self.steering.remove(self.key);
    }
}
