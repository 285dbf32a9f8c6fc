//! What a callback may return.

#![forbid(unsafe_code)]

use std::any::Any;
use std::fmt;

use crate::error::{ErrorKind, FluxError, Result, errno};

/// What an engine's callback returns: nothing, or a result whose error ends the run.
///
/// ```
/// use fluxcap::engine::Outcome;
///
/// assert!(().into_result().is_ok());
/// assert!(Ok::<(), String>(()).into_result().is_ok());
/// let error = Err::<(), _>("no route").into_result().unwrap_err();
/// assert_eq!(error.kind(), fluxcap::ErrorKind::Callback);
/// assert!(error.to_string().contains("no route"));
/// ```
pub trait Outcome {
    /// As a result of this crate: an error becomes one of kind [`Callback`](ErrorKind::Callback), with its text.
    ///
    /// # Errors
    ///
    /// The callback's own.
    fn into_result(self) -> Result<()>;
}

impl Outcome for () {
    #[inline]
    fn into_result(self) -> Result<()> {
        Ok(())
    }
}

impl<E: fmt::Display> Outcome for Result<(), E> {
    #[inline]
    fn into_result(self) -> Result<()> {
        self.map_err(|error| failed(&error))
    }
}

#[cold]
fn failed(error: &dyn fmt::Display) -> FluxError {
    FluxError::new(
        ErrorKind::Callback,
        errno::ECANCELED,
        "run the engine",
        format_args!("its callback returned an error: {error}"),
        "every frame is accounted for; run it again to go on",
    )
}

/// The error for a callback that panicked.
#[cold]
pub(super) fn panicked(panic: &(dyn Any + Send)) -> FluxError {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    FluxError::new(
        ErrorKind::Callback,
        errno::ENOTRECOVERABLE,
        "run the engine",
        format_args!("its callback panicked: {message}"),
        "what it was shown was recycled and every frame is accounted for; mend the callback",
    )
}
