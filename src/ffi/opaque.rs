//! Values behind opaque handles, each with a word in front that tells its kind; and a lock for
//! those that several calls may reach.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::thread;

use super::error::null;
use crate::backend::machine::CancelGuard;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::stopper::Stopper;
use crate::umem::memory::Process;

/// An opaque struct of the C face: a name for pointers to a value, of which C sees nothing.
///
/// # Safety
///
/// [`KIND`](Self::KIND) is that of no other implementation: it decides what a pointer from C is
/// followed as.
pub(super) unsafe trait Opaque {
    /// What is behind the handle.
    type Value;
    /// The word in front, different from that of all other kinds.
    const KIND: u64;
    /// The name of the struct, for messages.
    const NAME: &'static str;
    /// The name of an argument of this kind, for messages.
    const ARGUMENT: &'static str;
    /// The function that gives such a handle, for messages.
    const GIVER: &'static str;

    /// What to say of a handle of another kind that C may take for one of this.
    fn mistaken(_kind: u64) -> Option<FluxError> {
        None
    }
}

/// `repr(C)`, so that the word is in front whatever the value: the wrong handle can be told from
/// the right one by looking there.
#[repr(C)]
struct Marked<T> {
    kind: AtomicU64,
    /// What ends a wait of the value, while another call has the value for itself.
    stopper: Option<Stopper>,
    value: T,
}

/// Makes a handle, to be taken back with [`take`].
pub(super) fn give<H: Opaque>(value: H::Value) -> *mut H {
    place::<H>(value, None)
}

/// [`give`], for a handle whose waits can be ended with [`stop`].
pub(super) fn give_stoppable<H: Opaque>(value: H::Value, stopper: Stopper) -> *mut H {
    place::<H>(value, Some(stopper))
}

fn place<H: Opaque>(value: H::Value, stopper: Option<Stopper>) -> *mut H {
    let marked = Marked {
        kind: AtomicU64::new(H::KIND),
        stopper,
        value,
    };
    Box::into_raw(Box::new(marked)).cast()
}

/// Ends a wait behind a handle, now or as soon as there is one; -EINVAL, without a text, for what
/// is no such handle. Signal handlers may call it.
///
/// # Safety
///
/// `handle` is null or an open handle, until this returns. Other threads, and the one that a signal
/// interrupted, may be within calls that use it, but within none that takes it away: [`take`] and
/// [`empty`] end what "open" means when they begin.
pub(super) unsafe fn stop<H: Opaque>(handle: *const H) -> c_int {
    // The write() is a cancellation point.
    let _uncancelled = CancelGuard::new();
    // SAFETY: as the caller promises.
    if !unsafe { is(handle) } {
        return -errno::EINVAL;
    }
    // SAFETY: it has the kind of `H`, so `place` made it. The stopper stands beside the value, so that nobody has it for himself, and never
    // changes while the handle is open.
    let stopper = unsafe { &(*handle.cast::<Marked<H::Value>>()).stopper };
    match stopper {
        Some(stopper) => {
            stopper.stop();
            0
        }
        None => -errno::EINVAL,
    }
}

/// Takes back what is behind a handle, which is gone then; `None` for null and for a handle of
/// another kind.
///
/// # Safety
///
/// `handle` is null or an open handle that nobody else uses.
pub(super) unsafe fn take<H: Opaque>(handle: *mut H) -> Option<H::Value> {
    // SAFETY: as the caller promises.
    unsafe { check(handle).ok()? };
    let marked: *mut Marked<H::Value> = handle.cast();
    // SAFETY: it has the kind of `H`, so `give` made it, and it is taken back but once.
    let marked = unsafe {
        disown(&(*marked).kind);
        Box::from_raw(marked)
    };
    Some(marked.value)
}

/// Takes the value out of a handle, which stays where it is, empty and of no kind, until it gets a
/// value back or goes.
///
/// # Safety
///
/// `handle` is null or an open handle that nobody else uses while it is empty.
pub(super) unsafe fn empty<H: Opaque>(handle: *mut H) -> Result<(Emptied<H>, H::Value)> {
    // SAFETY: as the caller promises.
    unsafe { check(handle)? };
    let marked: *mut Marked<H::Value> = handle.cast();
    // SAFETY: it has the kind of `H`, so `give` made it and it is not null. Without its kind nobody takes the value for there any more.
    unsafe {
        disown(&(*marked).kind);
        let value = (&raw const (*marked).value).read();
        Ok((Emptied(NonNull::new_unchecked(marked)), value))
    }
}

/// For whoever uses a handle later, or stops it in a signal handler meanwhile, which is forbidden,
/// but should not go unnoticed where it can be noticed.
#[inline]
fn disown(kind: &AtomicU64) {
    kind.store(0, Ordering::Relaxed);
    // Before anything of the value is touched, as this thread sees it, and so its signal handlers.
    compiler_fence(Ordering::SeqCst);
}

/// A handle without a value. Dropped, it is gone.
pub(super) struct Emptied<H: Opaque>(NonNull<Marked<H::Value>>);

impl<H: Opaque> Emptied<H> {
    /// Makes it a good handle again.
    pub(super) fn refill(self, value: H::Value) {
        let marked = self.0.as_ptr();
        // SAFETY: `empty` took the value out, so that none is overwritten, and nobody else uses the handle.
        unsafe {
            (&raw mut (*marked).value).write(value);
            compiler_fence(Ordering::SeqCst);
            (*marked).kind.store(H::KIND, Ordering::Relaxed);
        }
        std::mem::forget(self);
    }
}

impl<H: Opaque> Drop for Emptied<H> {
    fn drop(&mut self) {
        // SAFETY: `give` made it, and its value, which was taken out, is not dropped again; `repr(C)` gives both types one layout.
        drop(unsafe { Box::from_raw(self.0.cast::<Marked<MaybeUninit<H::Value>>>().as_ptr()) });
    }
}

/// What is behind a handle, if it is one of this kind. Nothing is written and nothing allocated, so
/// that signal handlers may call it.
///
/// # Safety
///
/// `handle` is null or an open handle that no other thread changes during `'a`.
#[inline]
pub(super) unsafe fn find<'a, H: Opaque>(handle: *const H) -> Option<&'a H::Value> {
    // SAFETY: as the caller promises.
    if !unsafe { is(handle) } {
        return None;
    }
    // SAFETY: it has the kind of `H`, so `give` made it; nobody changes it, as the caller promises.
    Some(unsafe { &(*handle.cast::<Marked<H::Value>>()).value })
}

/// What is behind a handle, for a call that changes it.
///
/// # Safety
///
/// `handle` is null or an open handle that no other thread uses during `'a`.
#[inline]
pub(super) unsafe fn exclusive<'a, H: Opaque>(handle: *mut H) -> Result<&'a mut H::Value> {
    // SAFETY: as the caller promises.
    unsafe { check(handle)? };
    // SAFETY: it has the kind of `H`, so `give` made it; nobody else uses it, as the caller promises.
    Ok(unsafe { &mut (*handle.cast::<Marked<H::Value>>()).value })
}

/// What is behind a handle, for a call that only looks at it.
///
/// # Safety
///
/// `handle` is null or an open handle that no other thread changes during `'a`.
#[inline]
pub(super) unsafe fn shared<'a, H: Opaque>(handle: *const H) -> Result<&'a H::Value> {
    // SAFETY: as the caller promises.
    unsafe { check(handle)? };
    // SAFETY: it has the kind of `H`, so `give` made it; nobody changes it, as the caller promises.
    Ok(unsafe { &(*handle.cast::<Marked<H::Value>>()).value })
}

/// # Safety
///
/// `handle` is null or points to at least eight readable bytes.
#[inline]
unsafe fn check<H: Opaque>(handle: *const H) -> Result<()> {
    // SAFETY: as the caller promises.
    match unsafe { kind_of(handle) } {
        kind if kind == H::KIND => Ok(()),
        kind => Err(refuse::<H>(handle.is_null(), kind)),
    }
}

/// # Safety
///
/// As [`check`].
#[inline]
unsafe fn is<H: Opaque>(handle: *const H) -> bool {
    // SAFETY: as the caller promises.
    unsafe { kind_of(handle) == H::KIND }
}

/// The word in front of what may be a handle, which is 0 for none.
///
/// # Safety
///
/// As [`check`].
#[inline]
unsafe fn kind_of<H>(handle: *const H) -> u64 {
    let kind: *const AtomicU64 = handle.cast();
    // Ours are aligned: what is not is something else.
    if kind.is_null() || !kind.is_aligned() {
        return 0;
    }
    // SAFETY: not null, so readable as the caller promises; another thread may look at it, too, or empty it.
    unsafe { &*kind }.load(Ordering::Relaxed)
}

#[cold]
fn refuse<H: Opaque>(is_null: bool, kind: u64) -> FluxError {
    if is_null {
        return null(H::ARGUMENT);
    }
    if let Some(error) = H::mistaken(kind) {
        return error;
    }
    FluxError::invalid(
        format_args!("argument {}", H::ARGUMENT),
        format_args!("it is no struct {}, or was freed", H::NAME),
        format_args!("pass what {} gave", H::GIVER),
    )
}

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
mod opaque_tests {
    use std::collections::BTreeSet;
    use std::ptr;

    use super::*;
    use crate::backend::machine;
    use crate::ffi::{config, engine, group, raw, rx, sim, tx, umem};

    struct Thing;

    // SAFETY: the only one of this kind.
    unsafe impl Opaque for Thing {
        type Value = String;
        const KIND: u64 = u64::from_le_bytes(*b"fluxtest");
        const NAME: &'static str = "thing";
        const ARGUMENT: &'static str = "thing";
        const GIVER: &'static str = "a test";
    }

    #[test]
    fn no_two_kinds_of_handle_are_alike() {
        let kinds = [
            Thing::KIND,
            engine::fluxcap_engine::KIND,
            group::fluxcap_group::KIND,
            raw::Port::KIND,
            raw::fluxcap_raw::KIND,
            config::fluxcap_link::KIND,
            rx::fluxcap_rx::KIND,
            sim::fluxcap_sim::KIND,
            tx::fluxcap_tx::KIND,
            umem::fluxcap_umem::KIND,
        ];
        assert_eq!(BTreeSet::from(kinds).len(), kinds.len());
        assert!(kinds.iter().all(|&kind| kind != 0), "that of no handle");
    }

    #[test]
    fn a_handle_is_good_but_while_it_is_empty() {
        let stopper = Stopper {
            stop_signal: machine::stop_signal(),
        };
        let handle = give_stoppable::<Thing>("one".to_owned(), stopper.clone());
        // SAFETY: an open handle, which nobody else uses.
        unsafe {
            assert_eq!(stop(handle), 0);
            let (emptied, value) = empty(handle).ok().unwrap();
            assert_eq!(stop(handle), -errno::EINVAL);
            assert!(
                find(handle).is_none() && shared(handle).is_err() && exclusive(handle).is_err()
            );
            emptied.refill(value + " and two");
            assert_eq!(stop(handle), 0);
            assert_eq!(shared(handle).unwrap(), "one and two");
            assert_eq!(take(handle).unwrap(), "one and two");
            let (emptied, _) = empty(give::<Thing>(String::new())).ok().unwrap();
            drop(emptied);
        }
        assert!(stopper.is_stopping());
    }

    #[test]
    fn what_is_no_handle_is_refused() {
        let mut words = [0_u64, Thing::KIND, 0];
        let start = (&raw mut words).cast::<u8>();
        for offset in 0..16 {
            // SAFETY: eight bytes are readable from each of these places.
            let found = unsafe { is(start.add(offset).cast::<Thing>()) };
            assert_eq!(found, offset == 8);
        }
        // SAFETY: null.
        assert_eq!(unsafe { stop(ptr::null::<Thing>()) }, -errno::EINVAL);
    }
}

#[cfg(test)]
mod lock_tests {
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
