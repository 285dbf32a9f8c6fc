//! Errors of system calls: what the common ones mean, and trying again for those that pass.

use std::fmt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{ErrorKind, FluxError, errno};

/// The number of the last failed system call of this thread.
pub(super) fn last() -> i32 {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(errno::EIO)
}

/// Turns the -1 of a system call into its number.
pub(super) fn check(result: i32) -> Result<i32, i32> {
    if result < 0 { Err(last()) } else { Ok(result) }
}

/// The kernel's own words for a number.
pub(super) fn error_text(error: i32) -> String {
    io::Error::from_raw_os_error(error).to_string()
}

/// Whether the process, or the machine, has as many open files as it may have.
pub(crate) fn is_out_of_files(error: i32) -> bool {
    matches!(error, libc::EMFILE | libc::ENFILE)
}

/// The error for one open file too many.
pub(crate) fn out_of_files(tried: impl fmt::Display, error: i32) -> FluxError {
    let (happened, fix) = if error == libc::EMFILE {
        (
            "too many files are open in this process",
            "close some, or raise the limit (`ulimit -n`, LimitNOFILE= of the systemd unit)",
        )
    } else {
        (
            "too many files are open on this machine",
            "close some, or raise the limit (`sysctl fs.file-max`)",
        )
    };
    FluxError::new(ErrorKind::System, error, tried, happened, fix)
}

/// The error for a descriptor that could not be made.
pub(super) fn descriptor(tried: &str, error: i32) -> FluxError {
    if is_out_of_files(error) {
        return out_of_files(tried, error);
    }
    unexpected(tried, error)
}

/// A refusal that nobody expects.
pub(crate) fn unexpected(tried: impl fmt::Display, error: i32) -> FluxError {
    if is_out_of_files(error) {
        return out_of_files(tried, error);
    }
    if matches!(error, errno::EPERM | errno::EACCES) {
        return FluxError::new(
            ErrorKind::Permission,
            error,
            tried,
            error_text(error),
            "a seccomp filter or security module of the container or service may forbid it",
        );
    }
    FluxError::new(
        ErrorKind::System,
        error,
        tried,
        error_text(error),
        "the kernel log may say more (`dmesg`)",
    )
}

/// What a refusal of mmap() by EPERM or EACCES means: the kernel itself never forbids what this library asks for.
pub(super) const FORBIDS_MMAP: &str = "a sandbox forbids mmap()";
/// What to do about it.
pub(super) const ALLOW_MMAP: &str =
    "allow it in the seccomp filter or security module of the container or service";

/// The error for memory that a sandbox forbids to map.
pub(super) fn sandboxed_mmap(tried: impl fmt::Display, error: i32) -> FluxError {
    FluxError::new(
        ErrorKind::Permission,
        error,
        tried,
        format_args!("{}: {FORBIDS_MMAP}", error_text(error)),
        ALLOW_MMAP,
    )
}

/// How long queue, locked memory and hugepages of a closed socket may still be taken. Some 25 ms are usual.
pub(super) const AFTER_CLOSE: Duration = Duration::from_millis(250);

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Repeats `attempt` for as long as `is_temporary` says that its error may pass, until `deadline` is over.
pub(super) fn retry<T>(
    deadline: Deadline,
    is_temporary: impl Fn(i32) -> bool,
    attempt: impl Fn() -> Result<T, i32>,
) -> Result<T, i32> {
    let mut pause = FIRST_PAUSE;
    loop {
        let result = attempt();
        let left = deadline.left();
        match result {
            Err(error) if is_temporary(error) && !left.is_zero() => {}
            result => return result,
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The end of a patience, which may be longer than the clock can count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    start: Instant,
    timeout: Duration,
}

impl Deadline {
    pub(super) fn after(timeout: Duration) -> Self {
        Self {
            start: Instant::now(),
            timeout,
        }
    }

    pub(super) fn left(self) -> Duration {
        self.timeout.saturating_sub(self.start.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn an_error_that_passes_is_waited_for_and_another_one_is_not() {
        let calls = Cell::new(0);
        let third = || {
            calls.set(calls.get() + 1);
            if calls.get() < 3 {
                Err(16)
            } else {
                Ok("there")
            }
        };
        let deadline = Deadline::after(Duration::MAX);
        assert_eq!(retry(deadline, |error| error == 16, third), Ok("there"));
        calls.set(0);
        assert_eq!(retry(deadline, |error| error == 17, third), Err(16));
        assert_eq!(calls.get(), 1);
    }

    #[test]
    fn patience_ends() {
        let deadline = Deadline::after(Duration::from_millis(5));
        let never = || Err::<(), _>(16);
        assert_eq!(retry(deadline, |_| true, never), Err(16));
        assert!(deadline.left().is_zero());
    }
}
