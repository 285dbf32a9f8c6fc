//! A wait: what for, what else ends it, and what it found.

#![forbid(unsafe_code)]

use crate::backend::{Alarm, BorrowedFd};
use crate::error::Result;

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Received packets.
    Receive,
    /// Free slots in the TX ring.
    Send,
    /// Either.
    Both,
}

/// What else ends a wait.
#[derive(Clone, Copy)]
pub struct Company<'a> {
    /// Other descriptors, and what to wait for there, by their number up to the first `None`. A missing descriptor stands for nothing. Only a
    /// kernel looks at them.
    pub fds: &'a dyn Fn(usize) -> Option<(Option<BorrowedFd<'a>>, Interest)>,
    /// An alarm.
    pub alarm: Option<&'a Alarm>,
    /// Anything that has no descriptor. It is asked before each sleep, by the simulator whenever its network has moved and every ten
    /// milliseconds, and must not call a socket: a ring may be looked at.
    pub also: &'a dyn Fn() -> bool,
    /// Whether all else is well, asked before each sleep and ten times a second: an error ends the wait. Of sockets it may call
    /// [`check`](crate::backend::Socket::check) alone.
    pub check: &'a dyn Fn() -> Result<()>,
    /// Whether the caller would sleep for ever, again and again for a while: on a simulated network that nobody runs, the wait is
    /// [interrupted](Ready::interrupted) when nothing can ever move.
    pub endless: bool,
}

impl Company<'_> {
    /// Nothing.
    #[must_use]
    pub fn none() -> Self {
        Self {
            fds: &|_| None,
            alarm: None,
            also: &|| false,
            check: &|| Ok(()),
            endless: false,
        }
    }

    /// Whether the alarm or the rest ends the wait now.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.alarm.is_some_and(Alarm::is_rung) || (self.also)()
    }
}

/// What a wait found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready {
    /// Packets are in the RX ring.
    pub receive: bool,
    /// Slots of the TX ring are free.
    pub send: bool,
    /// A signal ended the wait early; or nothing can ever move, on a simulated network that nobody runs.
    pub interrupted: bool,
}
