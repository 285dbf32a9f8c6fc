//! One call at a time, without ever waiting: who comes second is told so.

use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use crate::error::{ErrorKind, FluxError, Result, errno};

/// For a call that needs it for itself.
#[inline]
pub(super) fn exclusive<T>(lock: &RwLock<T>) -> Result<RwLockWriteGuard<'_, T>> {
    match lock.try_write() {
        Ok(value) => Ok(value),
        // A panic on the way left it whole: it is the library's word that frames are accounted for then, too.
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(busy()),
    }
}

/// For a call that only looks at it.
pub(super) fn look<T>(lock: &RwLock<T>) -> Result<RwLockReadGuard<'_, T>> {
    match lock.try_read() {
        Ok(value) => Ok(value),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(busy()),
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
