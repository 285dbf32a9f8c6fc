//! The TX kick: how often to call the kernel, and when to say that nothing moves.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::backend::{Kick, Socket, machine};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::socket::tx_side::TxSide;

/// What to do after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: the kernel has taken all, or what is left must wait.
    Rest,
    /// Call again: packets leave.
    Kick,
    /// Take sent frames back, and call again if there were any: perhaps the completion ring was full. Or packets left and the ring
    /// does not show it: before Linux 6.17 the kernel moves its index on when it has taken all that it saw, not when it stops early.
    Reap,
}

/// A row of calls that make the kernel send.
///
/// That the kernel stops early (EAGAIN, EBUSY, ENOBUFS) is normal: its budget is used up, the completion ring is full, or the device is. The
/// packets stay in the TX ring. So it is called again as long as that helps, and no longer.
#[derive(Debug)]
pub(crate) struct Kicks {
    pending: u32,
}

impl Kicks {
    /// Before the first call; `pending` packets stand in the TX ring.
    #[inline]
    pub(crate) fn new(pending: u32) -> Self {
        Self { pending }
    }

    /// Whether there is anything to send.
    #[inline]
    pub(crate) fn wanted(&self) -> bool {
        self.pending > 0
    }

    /// After a call that left `pending` packets in the TX ring.
    pub(crate) fn after(&mut self, kick: Kick, pending: u32) -> Next {
        let moved = pending < self.pending;
        self.pending = pending;
        if kick == Kick::Done || pending == 0 {
            Next::Rest
        } else if moved {
            // Each such call takes a packet off the ring: they come to an end.
            Next::Kick
        } else {
            // These, too: there are so many frames to come back.
            Next::Reap
        }
    }
}

/// Notices when packets are given to the kernel and none leaves.
///
/// Some that are out of the TX ring and do not come back are no reason: drivers may keep the last ones until more are sent.
///
/// It reads a clock only while nothing moves.
#[derive(Debug)]
pub(crate) struct Watchdog {
    patience: Duration,
    /// How far sending had come at the last look: packets that came back, and the kernel's place in the TX ring.
    come: (u64, u32),
    /// The first look at which it had come no further.
    since: Option<Instant>,
    /// That look, once it was told.
    told: Option<Instant>,
}

impl Watchdog {
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            patience,
            come: (0, 0),
            since: None,
            told: None,
        }
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
        self.since = None;
    }

    /// To be called after sent frames were taken back and the kernel was called.
    ///
    /// # Errors
    ///
    /// [`Stuck`](ErrorKind::Stuck), once a patience; [`Gone`](ErrorKind::Gone).
    #[inline]
    pub(crate) fn look(&mut self, tx_side: &TxSide, socket: &dyn Socket) -> Result<()> {
        let come = tx_side.come();
        if come != self.come || !tx_side.wants_to_move() {
            self.come = come;
            self.since = None;
            return Ok(());
        }
        self.bide(tx_side, socket)
    }

    #[cold]
    fn bide(&mut self, tx_side: &TxSide, socket: &dyn Socket) -> Result<()> {
        // A driver that sends by itself is not called, and would not tell.
        socket.check()?;
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.patience == Duration::MAX {
            return Ok(());
        }
        let waited = since.elapsed();
        if waited <= self.patience {
            return Ok(());
        }
        self.told = self.since.take();
        Err(stuck(tx_side, waited, socket))
    }

    /// Tells once more, at the next look, what nobody heard.
    #[cold]
    pub(crate) fn tell_again(&mut self) {
        self.since = self.told.take();
    }
}

fn stuck(tx_side: &TxSide, waited: Duration, socket: &dyn Socket) -> FluxError {
    // To describe it, the driver is asked for.
    let _guard = machine::CancelGuard::new();
    let (given, waiting) = (tx_side.outstanding(), tx_side.pending());
    FluxError::new(
        ErrorKind::Stuck,
        errno::ETIME,
        format_args!("sending packets ({})", socket.describe()),
        format_args!(
            "{given} given to the kernel have not come back, {waiting} of them still in the TX ring, and nothing has moved for {:.1} s",
            waited.as_secs_f64()
        ),
        "see whether the link is up and whether its other end takes packets; if so, the driver is at fault: copy mode \
         or another kernel may help, or a longer patience, if this link is that slow",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_go_on_as_long_as_packets_leave() {
        let mut kicks = Kicks::new(100);
        assert!(kicks.wanted());
        for pending in [68, 36, 4] {
            assert_eq!(kicks.after(Kick::Again, pending), Next::Kick);
        }
        assert_eq!(kicks.after(Kick::Again, 0), Next::Rest);
        assert!(!kicks.wanted());
    }

    #[test]
    fn a_kernel_that_took_what_it_could_is_left_alone() {
        assert_eq!(Kicks::new(100).after(Kick::Done, 90), Next::Rest);
    }

    #[test]
    fn where_the_ring_does_not_show_that_packets_leave_the_frames_that_come_back_do() {
        let mut kicks = Kicks::new(100);
        for _ in 0..10 {
            assert_eq!(kicks.after(Kick::Again, 100), Next::Reap);
        }
        assert_eq!(kicks.after(Kick::Again, 99), Next::Kick);
        assert_eq!(kicks.after(Kick::Again, 99), Next::Reap);
    }

    #[test]
    fn there_is_nothing_to_call_for_when_the_ring_is_empty() {
        assert!(!Kicks::new(0).wanted());
    }
}
