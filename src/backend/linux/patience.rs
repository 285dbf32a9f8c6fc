//! Trying again: the kernel takes back what a closed socket had only a moment after the close.

use std::thread;
use std::time::{Duration, Instant};

/// How long queue, locked memory and hugepages of a closed socket may still be taken. Some 25 ms are usual.
pub(super) const AFTER_CLOSE: Duration = Duration::from_millis(250);

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Repeats `attempt` for as long as `passing` says that its error may pass, until `deadline` is over.
pub(super) fn patiently<T>(
    deadline: Deadline,
    passing: impl Fn(i32) -> bool,
    attempt: impl Fn() -> Result<T, i32>,
) -> Result<T, i32> {
    let mut pause = FIRST_PAUSE;
    loop {
        let result = attempt();
        let left = deadline.left();
        match result {
            Err(error) if passing(error) && !left.is_zero() => {}
            result => return result,
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The end of a patience, which may be longer than the clock can count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    begin: Instant,
    patience: Duration,
}

impl Deadline {
    pub(super) fn after(patience: Duration) -> Self {
        Self {
            begin: Instant::now(),
            patience,
        }
    }

    pub(super) fn left(self) -> Duration {
        self.patience.saturating_sub(self.begin.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

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
        assert_eq!(patiently(deadline, |error| error == 16, third), Ok("there"));
        calls.set(0);
        assert_eq!(patiently(deadline, |error| error == 17, third), Err(16));
        assert_eq!(calls.get(), 1);
    }

    #[test]
    fn patience_ends() {
        let deadline = Deadline::after(Duration::from_millis(5));
        let never = || Err::<(), _>(16);
        assert_eq!(patiently(deadline, |_| true, never), Err(16));
        assert!(deadline.left().is_zero());
    }
}
