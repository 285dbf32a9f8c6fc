//! What the threads of a group's run share: how many are at work, and how the first of them ended.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::FluxError;
use crate::kernel::Alarm;

/// Stops all engines of a group, from any thread and from a signal handler. Cheap to clone; it may outlive the group.
#[derive(Debug, Clone)]
pub struct GroupStopper {
    alarms: Arc<[Alarm]>,
    /// A stop that no run has seen: the alarms alone ring for other reasons, too.
    wanted: Arc<AtomicBool>,
}

impl GroupStopper {
    pub(super) fn new(alarms: Arc<[Alarm]>) -> Self {
        Self {
            alarms,
            wanted: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Ends the run of all engines, each at the end of the turn that it is in, or its sleep.
    ///
    /// Without one, it ends the next run before it begins, so that no stop is ever lost. Async-signal-safe: it stores to an atomic for each
    /// engine and writes to its descriptor. In a forked child it stops nothing.
    pub fn stop(&self) {
        self.wanted.store(true, Ordering::Release);
        self.ring();
    }

    /// Whether a stop is on its way that no run has seen to its end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Makes every engine end.
    pub(super) fn ring(&self) {
        self.alarms.iter().for_each(Alarm::ring);
    }

    /// Between two runs: makes all quiet again. `obeyed`: a stop was what ended the run.
    fn settle(&self, obeyed: bool) {
        for alarm in &*self.alarms {
            alarm.reset();
        }
        if obeyed {
            self.wanted.store(false, Ordering::Release);
        }
    }
}

/// A run of a group.
#[derive(Debug)]
pub(super) struct Course {
    stopper: GroupStopper,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Threads at work.
    running: usize,
    /// Whether one has ended.
    ending: bool,
    /// Whether a stop was wanted when the first one ended.
    obeyed: bool,
    error: Option<FluxError>,
}

impl Course {
    pub(super) fn new(stopper: GroupStopper) -> Self {
        if stopper.is_stopping() {
            // Its alarms may have been made quiet at the end of the run before.
            stopper.ring();
        }
        Self {
            stopper,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is whole also after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's part in it, which ends when it is dropped. With the first, all end.
    pub(super) fn part(&self) -> Part<'_> {
        self.lock().running += 1;
        Part(self)
    }

    /// Ends the run with an error, unless there is one already.
    pub(super) fn fail(&self, error: FluxError) {
        self.lock().error.get_or_insert(error);
        self.stopper.ring();
    }

    /// Ends the run, without an error.
    pub(super) fn end(&self) {
        self.stopper.ring();
    }

    /// Waits until all threads have ended, or for `time`; returns whether some are at work still.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let end = Instant::now().checked_add(time);
        let mut state = self.lock();
        while state.running > 0 {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return true;
            }
            // A time beyond what the clock can count is as good as for ever.
            let left = left.unwrap_or(Duration::from_secs(3600));
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// After all threads have ended: the first error.
    pub(super) fn finish(self) -> Option<FluxError> {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        self.stopper.settle(state.obeyed && state.error.is_none());
        state.error
    }
}

/// One thread's part in a run.
#[derive(Debug)]
pub(super) struct Part<'a>(&'a Course);

impl Drop for Part<'_> {
    fn drop(&mut self) {
        let course = self.0;
        let mut state = course.lock();
        state.running -= 1;
        if !state.ending {
            state.ending = true;
            state.obeyed = course.stopper.is_stopping();
        }
        let last = state.running == 0;
        drop(state);
        course.stopper.ring();
        if last {
            course.changed.notify_all();
        }
    }
}
