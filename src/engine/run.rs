//! The loop: what comes in goes to the callback, and on from there; and what a callback may return.

#![forbid(unsafe_code)]

use std::any::Any;
use std::fmt;
use std::time::{Duration, Instant};

use super::port::Port;
use super::{EngineStatistics, FluxEngine, WhenFull};
use crate::backend::{Interest, WaitSet};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::packet::{BatchRef, PortPacket};
use crate::poller::Idle;
use crate::socket::SHORT_OF_ROOM;

/// Busy turns between two looks at the clock.
const TURNS: u32 = 64;
/// The longest sleep of an engine with several ports.
const ROUND: Duration = Duration::from_millis(100);

impl FluxEngine {
    /// Gives packets to `callback` until a [`Stopper`](super::Stopper) ends it, and returns what happened in this run.
    ///
    /// A stop that came before ends it at once. An error that the callback returns ends the run with that error, after the packets of its
    /// batch went where it wanted them; a panic of the callback ends it likewise, with the batch recycled. The engine can run again.
    ///
    /// # Errors
    ///
    /// - [`Callback`](crate::ErrorKind::Callback): what the callback returned, or its panic;
    /// - [`Gone`](crate::ErrorKind::Gone): an interface was removed or moved to another network namespace, or its XDP program taken off;
    /// - [`Down`](crate::ErrorKind::Down): an interface is down;
    /// - [`Stuck`](crate::ErrorKind::Stuck): one that takes no packets, see [`set_patience`](Self::set_patience).
    pub fn run<O: Outcome>(
        &mut self,
        callback: impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<EngineStatistics> {
        lend(callback, |callback| {
            self.run_until(None, |engine, port| engine.serve(port, callback))
        })
    }

    /// [`run`](Self::run) for at most `time`.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_for<O: Outcome>(
        &mut self,
        time: Duration,
        callback: impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<EngineStatistics> {
        lend(callback, |callback| {
            self.run_until(end_of(time), |engine, port| engine.serve(port, callback))
        })
    }

    /// Shows packets to `look`, one at a time, until a [`Stopper`](super::Stopper) ends it, and returns what happened in this run.
    ///
    /// As [`run`](Self::run), in a single pass over the ring: faster, where `look` needs one packet at a time. It is inlined, so
    /// that C has no such call.
    ///
    /// An error that `look` returns ends the run with that error, after its packet went where it wanted it; a panic of `look` ends it likewise,
    /// with its packet recycled. Packets that have not been shown then stay received, for the next run.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// # let mut engine = fluxcap::FluxEngine::new(fluxcap::FluxBuilder::new(&nic).build()?);
    /// # nic.inject(0, &[0; 60])?;
    /// # network.step(100);
    /// use fluxcap::proto::Ethernet;
    ///
    /// let stopper = engine.stopper();
    /// let statistics = engine.run_each(|packet| {
    ///     if let Ok((ethernet, _)) = Ethernet::parse_mut(packet.data_mut()) {
    ///         ethernet.swap_addresses();
    ///         packet.send();
    ///     }
    ///     stopper.stop();
    /// })?;
    /// assert_eq!(statistics.total().sent, 1);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_each<O: Outcome>(
        &mut self,
        look: impl FnMut(&mut PortPacket<'_>) -> O,
    ) -> Result<EngineStatistics> {
        lend(look, |look| {
            self.run_until(None, |engine, port| engine.serve_each(port, look))
        })
    }

    /// [`run_each`](Self::run_each) for at most `time`.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_each_for<O: Outcome>(
        &mut self,
        time: Duration,
        look: impl FnMut(&mut PortPacket<'_>) -> O,
    ) -> Result<EngineStatistics> {
        lend(look, |look| {
            self.run_until(end_of(time), |engine, port| engine.serve_each(port, look))
        })
    }

    /// One turn of [`run_each`](Self::run_each): up to a batch of packets of each port, and whatever the kernel needs. It never waits. Returns
    /// how many packets there were.
    ///
    /// For a loop of your own. Ignores the stopper.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    #[inline]
    pub fn run_each_once<O: Outcome>(
        &mut self,
        look: impl FnMut(&mut PortPacket<'_>) -> O,
    ) -> Result<u32> {
        lend(look, |look| {
            self.run_turn(|engine, port| engine.serve_each(port, look))
        })
    }

    /// One turn: a batch of each port that has packets, and whatever the kernel needs. It never waits. Returns how many packets there were.
    ///
    /// For a loop of your own. Ignores the stopper.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_once<O: Outcome>(
        &mut self,
        callback: impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<u32> {
        lend(callback, |callback| {
            self.run_turn(|engine, port| engine.serve(port, callback))
        })
    }

    /// Waits as the poller says, for packets, a stop or the end of `timeout`; `None`: for no end. It may return early.
    ///
    /// To be called after a turn of [`run_once`](Self::run_once) without packets.
    ///
    /// # Errors
    ///
    /// [`Gone`](crate::ErrorKind::Gone), as in [`run`](Self::run); [`Stuck`](crate::ErrorKind::Stuck).
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.check_process("waiting for packets")?;
        if self.batches != self.rested {
            self.rested = self.batches;
            self.pacer.worked();
        }
        self.idle(timeout)
    }

    /// Turns until a stop or the end. `serve` gives packets of one port to the callback, and says how many.
    fn run_until(
        &mut self,
        end: Option<Instant>,
        mut serve: impl FnMut(&mut Self, usize) -> Result<u32>,
    ) -> Result<EngineStatistics> {
        let before = self.statistics();
        let mut turns = 0;
        while !self.stop_signal.is_raised() {
            let busy = self.turn(&mut serve)? > 0;
            if busy {
                self.pacer.worked();
                turns += 1;
                if turns < TURNS {
                    continue;
                }
                turns = 0;
                self.share_out();
                self.check_sending()?;
                self.check_ports()?;
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(self.statistics().since(&before));
            }
            if !busy {
                self.idle(left)?;
            }
        }
        self.stop_signal.reset();
        Ok(self.statistics().since(&before))
    }

    /// A single turn.
    #[inline]
    fn run_turn(&mut self, mut serve: impl FnMut(&mut Self, usize) -> Result<u32>) -> Result<u32> {
        let packets = self.turn(&mut serve)?;
        if packets == 0 {
            self.check_ports()?;
        }
        Ok(packets)
    }

    #[inline]
    fn turn(&mut self, serve: &mut impl FnMut(&mut Self, usize) -> Result<u32>) -> Result<u32> {
        self.check_process("running an engine")?;
        let mut total = 0;
        for port in 0..self.ports.len() {
            match serve(self, port) {
                Ok(count) => total += count,
                Err(error) => return self.end_turn(error),
            }
        }
        for port in &mut self.ports {
            if let Err(error) = port.turn_over() {
                return self.end_turn(error);
            }
        }
        Ok(total)
    }

    /// Whether this process may use it.
    #[inline]
    pub(super) fn check_process(&self, tried: &str) -> Result<()> {
        let port = self.ports.first();
        port.map_or(Ok(()), |port| port.raw.umem.process().check(tried))
    }

    /// Ends a turn with an error, after what was sent is on its way.
    #[cold]
    fn end_turn(&mut self, error: FluxError) -> Result<u32> {
        for port in &mut self.ports {
            // What goes wrong here shows in the next turn.
            let _ = port.turn_over();
        }
        Err(error)
    }

    /// After a turn without packets: waits as the poller says, for at most `timeout`.
    fn idle(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.share_out();
        self.check_sending()?;
        match self.pacer.decide() {
            Idle::Spin => {
                self.ports.iter().for_each(|port| port.raw.socket.spin());
                Ok(())
            }
            Idle::Look => self.check_ports(),
            Idle::Sleep => self.sleep(timeout),
        }
    }

    /// Brings the frames that ports keep at hand to one that is short of them.
    fn share_out(&mut self) {
        if self.ports.len() > 1 && self.ports.iter().any(Port::is_short) {
            let cycles = self.ports.iter_mut().map(|port| &mut port.raw.rings);
            cycles.for_each(|rings| rings.pool.give_up());
        }
    }

    /// Whether all interfaces are there, and their XDP programs.
    fn check_ports(&self) -> Result<()> {
        self.ports.iter().try_for_each(|port| port.raw.check())
    }

    fn check_sending(&mut self) -> Result<()> {
        self.ports.iter_mut().try_for_each(Port::check_sending)
    }

    /// Sleeps until a port has packets, or, when packets wait for a full one, until that has room.
    fn sleep(&mut self, timeout: Option<Duration>) -> Result<()> {
        let stalled = self.when_full == WhenFull::Wait && self.room() == 0;
        let interest = if stalled {
            Interest::Send
        } else {
            Interest::Receive
        };
        let ports = &self.ports;
        let fds = |index: usize| {
            let port = ports.get(index)?;
            let awaited = !stalled || port.raw.rings.tx_is_full();
            Some((port.raw.socket.fd().filter(|_| awaited), interest))
        };
        let until = || match stalled {
            true => !ports.iter().any(|port| port.raw.rings.tx_is_full()),
            false => ports.iter().any(|port| port.raw.rings.rx_occupied() > 0),
        };
        let wait_set = WaitSet {
            fds: &fds,
            stop_signal: Some(&self.stop_signal),
            until: &until,
            check: &|| ports.iter().try_for_each(|port| port.raw.check()),
            endless: false,
        };
        // Each simulated socket drives only itself on: they take turns.
        let round = (ports.len() > 1).then_some(ROUND);
        let watched = ports.iter().filter_map(Port::longest_sleep);
        let room = stalled.then_some(SHORT_OF_ROOM);
        let timeout = watched.chain(round).chain(room).chain(timeout).min();
        self.watch = (self.watch + 1) % ports.len();
        let keeper = &ports[self.watch].raw.socket;
        keeper.wait(interest, timeout, &wait_set).map(drop)
    }
}

/// Lends a callback to `work` and drops it before the result is returned.
///
/// A callback that panics as it is dropped then frees the result. Dropped as a parameter it would leak it: Rust drops parameters after the
/// result is written, and does not drop the result if one of them panics (rust-lang/rust#47949).
#[inline]
pub(super) fn lend<C, T>(mut callback: C, work: impl FnOnce(&mut C) -> T) -> T {
    let result = work(&mut callback);
    drop(callback);
    result
}

/// When `time` is over; `None`: never, being beyond what the clock can count.
fn end_of(time: Duration) -> Option<Instant> {
    Instant::now().checked_add(time)
}

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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    use super::lend;

    #[test]
    fn a_callback_that_panics_as_it_is_dropped_frees_the_result() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("as it was dropped");
            }
        }
        let result = Rc::new(());
        let lent = AssertUnwindSafe(|| lend(Bomb, |_| result.clone()));
        assert!(catch_unwind(lent).is_err());
        assert_eq!(Rc::strong_count(&result), 1);
    }
}
