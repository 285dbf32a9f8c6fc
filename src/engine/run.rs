//! The loop: what comes in goes to the callback, and on from there.

#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::outcome::panicked;
use super::port::Port;
use super::{EngineStatistics, FluxEngine, Outcome, WhenFull};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::kernel::{Company, Interest};
use crate::packet::{BatchRef, Fault, Through};
use crate::poller::Idle;
use crate::raw::SHORT_OF_ROOM;

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
    /// [`Callback`](ErrorKind::Callback); [`Gone`](ErrorKind::Gone): an interface was removed or moved to another network namespace, or its XDP
    /// program taken off; [`Down`](ErrorKind::Down): an interface is down;
    /// [`Stuck`](ErrorKind::Stuck): one that takes no packets, see [`set_patience`](Self::set_patience).
    pub fn run<O: Outcome>(
        &mut self,
        callback: impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<EngineStatistics> {
        self.run_until(None, callback)
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
        // A time beyond what the clock can count is as good as for ever.
        self.run_until(Instant::now().checked_add(time), callback)
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
        mut callback: impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<u32> {
        let packets = self.turn(&mut callback)?;
        if packets == 0 {
            self.check_ports()?;
        }
        Ok(packets)
    }

    /// Waits as the poller says, for packets, a stop or the end of `timeout`; `None`: for no end. It may return early.
    ///
    /// To be called after a turn of [`run_once`](Self::run_once) without packets.
    ///
    /// # Errors
    ///
    /// [`Gone`](ErrorKind::Gone), as in [`run`](Self::run); [`Stuck`](ErrorKind::Stuck).
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.check_process("waiting for packets")?;
        if self.batches != self.rested {
            self.rested = self.batches;
            self.pacer.worked();
        }
        self.idle(timeout)
    }

    fn run_until<O: Outcome>(
        &mut self,
        end: Option<Instant>,
        mut callback: impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<EngineStatistics> {
        let before = self.statistics();
        let mut turns = 0;
        while !self.alarm.is_rung() {
            let busy = self.turn(&mut callback)? > 0;
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
        self.alarm.reset();
        Ok(self.statistics().since(&before))
    }

    #[inline]
    fn turn<O: Outcome>(
        &mut self,
        callback: &mut impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<u32> {
        self.check_process("running an engine")?;
        let mut total = 0;
        for port in 0..self.ports.len() {
            match self.serve(port, callback) {
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

    /// Gives a batch of one port to the callback and sends what it wants sent.
    #[inline]
    fn serve<O: Outcome>(
        &mut self,
        number: usize,
        callback: &mut impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<u32> {
        let max = match self.when_full {
            WhenFull::Wait => self.room(),
            WhenFull::Drop => self.batch(),
        };
        if max == 0 {
            self.stalls += 1;
            return Ok(0);
        }
        let through = Through {
            port: number as u32,
            ports: self.ports.len() as u32,
        };
        let port = &mut self.ports[number];
        let shown = port.raw.cycle.burst(
            max,
            &mut self.slots,
            through,
            &mut self.outboxes,
            &mut port.tally,
            |batch| guarded(batch, callback),
        );
        let Some(shown) = shown else {
            return Ok(0);
        };
        self.batches += 1;
        if !shown.all_recycled {
            let unfit = port.settle();
            if self.ports.len() > 1 {
                self.post(number)?;
            }
            if let Some((index, why)) = unfit {
                shown.result?;
                return Err(self::unfit(index, why));
            }
        }
        shown.result.map(|()| shown.count)
    }

    /// The number of packets that every port has room for, up to a batch.
    #[inline]
    fn room(&mut self) -> u32 {
        let batch = self.batch();
        let room = |port: &mut Port| port.raw.cycle.tx_room_for(batch);
        match &mut *self.ports {
            [port] => room(port).min(batch),
            ports => ports
                .iter_mut()
                .fold(batch, |least, port| least.min(room(port))),
        }
    }

    /// Sends what came in through port `from` and shall leave through another, and brings the frames of what has left there back.
    fn post(&mut self, from: usize) -> Result<()> {
        for other in 0..self.ports.len() {
            if let Ok([from, other]) = self.ports.get_disjoint_mut([from, other]) {
                other.raw.cycle.send_back_to(&mut from.raw.cycle);
            }
        }
        let mut result = Ok(());
        for (port, outbox) in self.ports.iter_mut().zip(&mut self.outboxes) {
            // Each outbox is emptied, also after an error.
            result = result.and(port.post(outbox));
        }
        result
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
            let cycles = self.ports.iter_mut().map(|port| &mut port.raw.cycle);
            cycles.for_each(|cycle| cycle.pool.give_up());
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
            let awaited = !stalled || port.raw.cycle.tx_is_full();
            Some((port.raw.socket.fd().filter(|_| awaited), interest))
        };
        let also = || match stalled {
            true => !ports.iter().any(|port| port.raw.cycle.tx_is_full()),
            false => ports.iter().any(|port| port.raw.cycle.rx_occupied() > 0),
        };
        let company = Company {
            fds: &fds,
            alarm: Some(&self.alarm),
            also: &also,
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
        keeper.wait(interest, timeout, &company).map(drop)
    }
}

/// Calls the callback; a panic becomes an error, and the whole batch is recycled.
#[inline]
fn guarded<O: Outcome>(
    batch: &mut BatchRef<'_>,
    callback: &mut impl FnMut(&mut BatchRef<'_>) -> O,
) -> Result<()> {
    match catch_unwind(AssertUnwindSafe(|| callback(batch).into_result())) {
        Ok(result) => result,
        Err(panic) => {
            batch.recycle_all();
            Err(panicked(&*panic))
        }
    }
}

/// Why a packet of a batch was not sent: only a callback in C can cause this.
#[cold]
fn unfit(index: usize, why: Fault) -> FluxError {
    let (errno, happened, fix) = match why {
        Fault::OtherFrame => (
            errno::EINVAL,
            format!("packets[{index}] names a frame that it did not name before the callback"),
            "do not move or swap entries of the array: set the verdict of each in its place, and keep data within its frame",
        ),
        Fault::TooLong | Fault::Unsendable | Fault::Crowded => (
            errno::EMSGSIZE,
            format!("len of packets[{index}] goes beyond the end of its frame"),
            "keep data and len within the frame",
        ),
        Fault::NoPort => (
            errno::EINVAL,
            format!("the verdict of packets[{index}] names a port that the engine does not have"),
            "use FLUXCAP_RECYCLE, or FLUXCAP_SEND + a port of this engine, counted from 0",
        ),
    };
    FluxError::new(
        ErrorKind::Invalid,
        errno,
        format_args!("send packet {index} of a batch"),
        happened,
        fix,
    )
}
