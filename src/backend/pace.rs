//! How often to look at something that costs a system call.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Tells when the next look is due.
#[derive(Debug, Default)]
pub struct Pace(AtomicU64);

impl Pace {
    /// Whether `every` has passed since it last said so, `now` by some clock. The first time it has.
    pub fn is_due(&self, now: Duration, every: Duration) -> bool {
        // Several threads may look at once, now and then.
        let due = now >= Duration::from_nanos(self.0.load(Ordering::Relaxed));
        if due {
            let next = now.saturating_add(every).as_nanos();
            let next = u64::try_from(next).unwrap_or(u64::MAX);
            self.0.store(next, Ordering::Relaxed);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_due_at_first_and_not_again_before_its_time() {
        let pace = Pace::default();
        let at = |milliseconds| {
            let now = Duration::from_millis(milliseconds);
            pace.is_due(now, Duration::from_millis(100))
        };
        assert!(at(7));
        assert!(!at(7) && !at(106));
        assert!(at(300) && !at(399) && at(400));
        assert!(pace.is_due(Duration::MAX, Duration::MAX));
        assert!(!at(1 << 40));
    }
}
