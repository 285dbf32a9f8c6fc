//! Ends a wait or a run from another thread or a signal handler.

#![forbid(unsafe_code)]

use crate::kernel::Alarm;

/// Ends the waits of a socket or one of its halves, or the run of an engine: from any thread, and from a signal handler. Cheap to clone; it
/// may outlive what it stops.
///
/// ```
/// use fluxcap::sim::Network;
/// use fluxcap::{ErrorKind, FluxBuilder, FluxEngine, PacketBatch};
///
/// # let network = Network::new();
/// # let _running = network.run()?;
/// # let (nic, other) = (network.nic("eth0")?, network.nic("eth1")?);
/// let mut engine = FluxEngine::new(FluxBuilder::new(&nic).build()?);
/// let stopper = engine.stopper();
/// std::thread::spawn(move || stopper.stop());
/// engine.run(|_| ())?;
///
/// let (mut rx, _tx) = FluxBuilder::new(&other).build()?.split();
/// let stopper = rx.stopper();
/// std::thread::spawn(move || stopper.stop());
/// let error = rx.recv(&mut PacketBatch::with_capacity(64)).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Stopped);
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Stopper {
    pub(crate) alarm: Alarm,
}

impl Stopper {
    /// Ends the run at the end of the turn that it is in, or its sleep; or ends the wait, with an error of kind
    /// [`Stopped`](crate::ErrorKind::Stopped).
    ///
    /// Without one, it ends the next run, or the next wait, so that no stop is ever lost. Async-signal-safe: it stores to an atomic and writes
    /// to a descriptor. In a forked child it does nothing.
    pub fn stop(&self) {
        self.alarm.ring();
    }

    /// Whether a stop was requested that has not taken effect yet.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.alarm.is_rung()
    }
}
