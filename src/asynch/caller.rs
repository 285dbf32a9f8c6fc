//! Who tells a task that a look at its socket is worth while.

#![forbid(unsafe_code)]

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backend::machine::TaskFd;
use crate::backend::{Interest, Ready, Socket, Watcher};
use crate::error::{FluxError, Result};

/// How often to look where no kernel calls: a simulated network may lose a wake-up, or be moved by nobody else.
pub(super) const LOOK: Duration = Duration::from_millis(10);

/// Who tells: a kernel, by a descriptor that the runtime waits for, or a simulated network.
#[derive(Debug)]
pub(super) enum Caller<K> {
    Kernel(K),
    Network(Arc<Called>),
}

impl Caller<TaskFd> {
    /// For a socket, in the runtime of this thread.
    pub(super) fn of(socket: &dyn Socket, interest: Interest) -> Result<Self> {
        if Handle::try_current().is_err() {
            return Err(FluxError::invalid(
                "letting tasks wait for a socket",
                "this thread is in no tokio runtime",
                "do it in a task, in `block_on`, or while you hold `Handle::enter`",
            ));
        }
        let called = Arc::new(Called::default());
        let watcher = Arc::downgrade(&called);
        let watcher: Weak<dyn Watcher> = watcher;
        if socket.watch(interest, watcher) {
            return Ok(Self::Network(called));
        }
        Ok(match socket.fd() {
            Some(fd) => Self::Kernel(TaskFd::of(fd)?),
            None => Self::Network(called),
        })
    }
}

/// Remembers one call.
#[derive(Debug, Default)]
pub(super) struct Called(Notify);

impl Called {
    /// Waits until there were news since the last call.
    pub(super) async fn changed(&self) {
        self.0.notified().await;
    }
}

impl Watcher for Called {
    fn notify(&self) {
        self.0.notify_one();
    }
}

/// When the socket itself was last asked how it is.
#[derive(Debug, Default)]
pub(super) struct PollClock(Option<Instant>);

impl PollClock {
    /// Asks it.
    pub(super) fn poll_once(
        &mut self,
        socket: &dyn Socket,
        interest: Option<Interest>,
    ) -> Result<Ready> {
        let now = Instant::now();
        let before = self.0.replace(now).unwrap_or(now);
        socket.poll_once(interest, now.duration_since(before).min(LOOK))
    }

    /// How long until it is to be asked again.
    pub(super) fn left(&self, every: Duration) -> Duration {
        self.0
            .map_or(Duration::ZERO, |last| every.saturating_sub(last.elapsed()))
    }
}
