//! Threads of C programs that somebody cancels (pthread_cancel(3)).

use std::ffi::c_int;
use std::marker::PhantomData;

/// `PTHREAD_CANCEL_DISABLE` of glibc and musl.
const DISABLE: c_int = 1;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// While it lives, this thread is not cancelled: a request takes effect at the next cancellation point afterwards.
///
/// A cancellation unwinds the stack, which no Rust function may be left by. It happens in functions of libc, of which every one that may
/// take long, and some others, is such a point: so all calls of those are made under this. Async-signal-safe.
#[derive(Debug)]
pub(crate) struct Uncancelled {
    before: c_int,
    /// It belongs to this thread.
    _thread: PhantomData<*const ()>,
}

impl Uncancelled {
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            before: set(DISABLE),
            _thread: PhantomData,
        }
    }
}

impl Drop for Uncancelled {
    #[inline]
    fn drop(&mut self) {
        set(self.before);
    }
}

/// Sets the state of this thread, and returns the one before.
#[inline]
fn set(state: c_int) -> c_int {
    let mut before = DISABLE;
    // Miri has no such call, and cancels nothing.
    if !cfg!(miri) {
        // SAFETY: `before` is writable. It fails for an unknown state only, and this is one of the two, or what the thread had.
        unsafe { pthread_setcancelstate(state, &mut before) };
    }
    before
}
