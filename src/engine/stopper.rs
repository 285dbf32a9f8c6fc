//! Ending a run from elsewhere.

#![forbid(unsafe_code)]

use crate::kernel::Alarm;

/// Stops an engine, from any thread and from a signal handler. Cheap to clone; it may outlive the engine.
///
/// ```
/// use fluxcap::sim::Network;
/// use fluxcap::{FluxBuilder, FluxEngine};
///
/// # let nic = Network::new().nic("eth0")?;
/// let mut engine = FluxEngine::new(FluxBuilder::new(&nic).build()?);
/// let stopper = engine.stopper();
/// std::thread::spawn(move || stopper.stop());
/// engine.run(|_| ())?;
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Stopper {
    pub(super) alarm: Alarm,
}

impl Stopper {
    /// Ends the run at the end of the turn that it is in, or its sleep.
    ///
    /// Without one, it ends the next run before it begins, so that no stop is ever lost. Async-signal-safe: it stores to an atomic and writes
    /// to a descriptor.
    pub fn stop(&self) {
        self.alarm.ring();
    }

    /// Whether a stop is on its way that no run has seen.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.alarm.is_rung()
    }
}
