//! One call at a time, without waiting for one that may take long: who comes second is told so.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::thread;

use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::umem::memory::Process;

/// A value for one call at a time.
#[derive(Debug)]
pub(super) struct Lock<T> {
    value: RwLock<T>,
    /// In a forked child a call of another thread never ends.
    process: Process,
}

impl<T> Lock<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            value: RwLock::new(value),
            process: Process::current(),
        }
    }

    /// For a call that needs it for itself. Calls that only look are short: it lets them end.
    #[inline]
    pub(super) fn exclusive(&self) -> Result<RwLockWriteGuard<'_, T>> {
        loop {
            match self.value.try_write() {
                Ok(value) => return Ok(value),
                // A panic on the way left it whole: it is the library's word that frames are accounted for then, too.
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => {
                    self.check()?;
                    self.look().map(drop)?;
                }
            }
            thread::yield_now();
        }
    }

    /// For a call that only looks at it.
    pub(super) fn look(&self) -> Result<RwLockReadGuard<'_, T>> {
        match self.value.try_read() {
            Ok(value) => Ok(value),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => self.check().and(Err(busy())),
        }
    }

    /// Whether this process may use it.
    pub(super) fn check(&self) -> Result<()> {
        self.process.check("using an engine")
    }

    pub(super) fn into_inner(self) -> T {
        let value = self.value.into_inner();
        value.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cold]
pub(super) fn busy() -> FluxError {
    FluxError::new(
        ErrorKind::Busy,
        errno::EBUSY,
        "use an engine",
        "another call has it, of which this may be the callback",
        "wait until it has returned; fluxcap_engine_stop() and fluxcap_group_stop() end a run",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn who_looks_never_makes_it_busy() {
        let (lock, ended) = (Lock::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !ended.load(Ordering::Relaxed) {
                        let seen = lock.look().map(|value| *value);
                        assert!(seen.is_err() || seen.is_ok_and(|value| value <= 2000));
                    }
                });
            }
            let taken = (0..2000).try_for_each(|_| lock.exclusive().map(|mut value| *value += 1));
            ended.store(true, Ordering::Relaxed);
            assert!(taken.is_ok(), "{taken:?}");
        });
    }

    #[test]
    fn who_needs_it_for_himself_makes_it_busy_for_all() {
        let lock = Lock::new(());
        let held = lock.exclusive();
        assert!(held.is_ok());
        for error in [lock.exclusive().err(), lock.look().err()] {
            assert_eq!(error.map(|error| error.errno()), Some(errno::EBUSY));
        }
        drop(held);
        assert!(lock.exclusive().is_ok() && lock.look().is_ok());
    }
}
