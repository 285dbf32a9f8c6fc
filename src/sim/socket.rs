//! A socket on a simulated NIC, behind the seam: bind, wake, wait.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::network::Shared;
use super::nic::Nic;
use super::play::GAP;
use super::port::{Sock, SocketId};
use super::trace::EventKind;
use super::world::{SLICE, World};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::kernel::{Bell, Bound, Company, Interest, Kick, Ready, Socket, SocketRequest};
use crate::report::{Answer, BindMode};
use crate::stats::SocketStatistics;

/// What one transmit call sends in copy mode unless told otherwise (`TX_BATCH_SIZE`), and the least that can be asked for.
pub(super) const TX_BUDGET: u32 = 32;
/// Packets that a wait moves without one for its socket; it ends early then.
const MOST: u32 = 256 * SLICE;
/// A wake-up may be lost, and who keeps company gives none: nobody sleeps longer without a look.
const LOOK_UP: Duration = Duration::from_millis(10);
/// Packets that move while a program spins once.
const MOMENT: u32 = 64;

/// A socket on a simulated NIC.
#[derive(Debug)]
pub(super) struct SimSocket {
    pub(super) nic: Nic,
    pub(super) request: SocketRequest,
    pub(super) zero_copy_mtu: u32,
    pub(super) id: SocketId,
}

impl SimSocket {
    fn shared(&self) -> &Shared {
        &self.nic.shared
    }

    /// The kernel's first look at each call (`xsk_check_common`), and whether a fault lets the call come to nothing.
    fn check(&self, world: &mut World, tried: &str) -> Result<bool> {
        let port = &world.ports[self.nic.index];
        if port.removed {
            return Err(FluxError::new(
                ErrorKind::Gone,
                errno::ENODEV,
                tried,
                format_args!("the simulated NIC {} was removed", port.config.name),
                "close the socket",
            ));
        }
        if !port.up {
            return Err(FluxError::new(
                ErrorKind::Down,
                errno::ENETDOWN,
                tried,
                format_args!("the simulated NIC {} is down", port.config.name),
                "set it up",
            ));
        }
        let chance = port.faults.lost_wakeup;
        let lost = world.random.happens(chance);
        if lost {
            world.note(
                self.nic.index,
                self.request.queue as usize,
                EventKind::WakeupLost,
                &[],
            );
        }
        Ok(lost)
    }

    /// Makes the kernel look at the TX ring.
    fn kick(&self, world: &mut World) -> Kick {
        match world.sockets.get_mut(&self.id) {
            Some(socket) if socket.zero_copy => {
                socket.tx_active = true;
                socket.side.set_tx_wakeup(false);
                Kick::Done
            }
            _ => world.transmit_generic(self.id),
        }
    }

    /// The look of a `poll`: makes the kernel look at both sides, and tells what is there.
    fn look(&self, world: &mut World, interest: Interest) -> Result<Ready> {
        match self.check(world, "waiting for packets") {
            Ok(true) => {}
            Ok(false) => {
                self.kick(world);
                self.restart(world);
            }
            // The kernel tells nothing in `poll`; that the interface was removed, the library notices.
            Err(error) if error.kind() == ErrorKind::Gone => return Err(error),
            Err(_) => return Ok(Ready::default()),
        }
        Ok(self.ready(world, interest))
    }

    /// Makes a zero-copy driver look at the fill ring.
    fn restart(&self, world: &mut World) {
        if let Some(socket) = world.sockets.get_mut(&self.id)
            && socket.zero_copy
        {
            socket.rx_stopped = false;
            socket.side.set_rx_wakeup(false);
        }
    }

    /// Whether a fault ends a wait early.
    fn is_spurious(&self, world: &mut World) -> bool {
        let chance = world.ports[self.nic.index].faults.spurious_wakeup;
        let spurious = world.random.happens(chance);
        if spurious {
            let queue = self.request.queue as usize;
            world.note(self.nic.index, queue, EventKind::WakeupSpurious, &[]);
        }
        spurious
    }

    fn ready(&self, world: &World, interest: Interest) -> Ready {
        let Some(socket) = world.sockets.get(&self.id) else {
            return Ready::default();
        };
        let port = &world.ports[self.nic.index];
        if !port.up {
            return Ready::default();
        }
        Ready {
            receive: interest != Interest::Send && socket.side.rx_waiting() > 0,
            send: interest != Interest::Receive && socket.side.is_writable(),
        }
    }

    fn bind_mode(&self, world: &World) -> Result<Answer<BindMode>> {
        let config = &world.ports[self.nic.index].config;
        let wanted = self.request.bind_mode;
        let obstacle = if !config.zero_copy {
            Some(format!(
                "the simulated NIC {} has no zero-copy",
                config.name
            ))
        } else if config.mtu > self.zero_copy_mtu {
            Some(format!(
                "the MTU of {} is {}, and zero-copy with these chunks takes at most {}",
                config.name, config.mtu, self.zero_copy_mtu
            ))
        } else {
            None
        };
        match (wanted, obstacle) {
            (BindMode::Copy, _) => Ok(Answer::granted(wanted, BindMode::Copy)),
            (_, None) => Ok(Answer::granted(wanted, BindMode::ZeroCopy)),
            (BindMode::Auto, Some(reason)) => Ok(Answer::refused(wanted, BindMode::Copy, reason)),
            (BindMode::ZeroCopy, Some(reason)) => Err(FluxError::new(
                ErrorKind::Unsupported,
                errno::EOPNOTSUPP,
                format_args!(
                    "binding to queue {} of {} in zero-copy mode",
                    self.request.queue, config.name
                ),
                reason,
                "leave the mode open, or ask for copy mode",
            )),
        }
    }

    /// As the kernel's option (Linux 6.17): 32 up to the size of the TX ring.
    fn tx_budget(&self, world: &World, mode: BindMode) -> Answer<u32> {
        let slots = self.request.sizes.tx.max(TX_BUDGET);
        let wanted = self.request.tx_budget.unwrap_or(slots);
        let mut answer = if world.ports[self.nic.index].config.tx_budget || wanted == TX_BUDGET {
            Answer::granted(wanted, wanted)
        } else {
            Answer::refused(wanted, TX_BUDGET, "more needs Linux 6.17")
        };
        if mode == BindMode::ZeroCopy {
            answer.reason = Some("zero-copy mode has no such limit".to_owned());
        }
        answer
    }
}

impl Socket for SimSocket {
    fn bind(&self) -> Result<Bound> {
        let queue = self.request.queue;
        let mut world = self.shared().lock();
        let start = Instant::now();
        loop {
            self.nic_alive(&world)?;
            let port = &world.ports[self.nic.index];
            if queue >= port.active {
                return Err(FluxError::invalid(
                    format_args!("binding to queue {queue} of {}", port.config.name),
                    format_args!("it has {} queues, counted from 0", port.active),
                    "use one of them",
                ));
            }
            if port.queues[queue as usize].bound.is_none() {
                break;
            }
            let left = self.request.bind_patience.checked_sub(start.elapsed());
            // Without the thread, simulated time stands still, and so does whoever has the queue.
            let Some(left) = left.filter(|_| world.running.is_some()) else {
                return Err(FluxError::new(
                    ErrorKind::Busy,
                    errno::EBUSY,
                    format_args!("binding to queue {queue} of {}", port.config.name),
                    "it is taken by another socket",
                    "close that one, or take another queue",
                ));
            };
            world = self.sleep(world, left.min(LOOK_UP));
        }
        let bind_mode = self.bind_mode(&world)?;
        let zero_copy = bind_mode.achieved == BindMode::ZeroCopy;
        let tx_budget = self.tx_budget(&world, bind_mode.achieved);
        world.ports[self.nic.index].queues[queue as usize].bound = Some(self.id);
        if let Some(socket) = world.sockets.get_mut(&self.id) {
            socket.bound = true;
            socket.zero_copy = zero_copy;
            socket.budget = tx_budget.achieved;
            // The kernel wants to be called for the first packet, and in copy mode for each (`xp_assign_dev`).
            socket.side.set_tx_wakeup(socket.need_wakeup);
        }
        Ok(Bound {
            grace: Duration::ZERO,
            bind_mode,
            need_wakeup: Answer::granted(self.request.need_wakeup, self.request.need_wakeup),
            busy_poll: Answer::granted(self.request.busy_poll, self.request.busy_poll),
            tx_budget,
        })
    }

    fn wake_rx(&self) -> Result<()> {
        let mut world = self.shared().lock();
        if !self.check(&mut world, "waking the kernel to receive")? {
            self.restart(&mut world);
        }
        self.shared().announce(&mut world);
        Ok(())
    }

    fn wake_tx(&self) -> Result<Kick> {
        let mut world = self.shared().lock();
        let kick = if self.check(&mut world, "waking the kernel to send")? {
            Kick::Done
        } else {
            self.kick(&mut world)
        };
        self.shared().announce(&mut world);
        Ok(kick)
    }

    /// As `poll` on a socket: one look that drives both sides on (`xsk_poll`), and another one after each sleep.
    fn wait(
        &self,
        interest: Interest,
        timeout: Option<Duration>,
        company: &Company<'_>,
    ) -> Result<Ready> {
        let shared = self.shared();
        let mut world = shared.lock();
        if self.is_spurious(&mut world) {
            return Ok(Ready::default());
        }
        let simulated_end = timeout.map(|timeout| world.now.saturating_add(timeout));
        let real_end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut ready = self.look(&mut world, interest)?;
        shared.announce(&mut world);
        world.allow(1);
        let mut handled = 0;
        while ready == Ready::default() && !company.is_here() {
            if world.running.is_some() {
                let left = real_end.map(|end| end.saturating_duration_since(Instant::now()));
                if left == Some(Duration::ZERO) {
                    break;
                }
                world = self.sleep(world, left.map_or(LOOK_UP, |left| left.min(LOOK_UP)));
                ready = self.look(&mut world, interest)?;
                shared.announce(&mut world);
                continue;
            }
            // Nobody else moves the packets: so waiting does, and lets simulated time pass.
            world.paced = true;
            if world.step(1) > 0 {
                handled += 1;
                if handled % SLICE == 0 {
                    world = shared.let_in(world);
                }
                // An endless playback may bring nothing for this socket.
                if handled == MOST {
                    break;
                }
            } else {
                match (world.next_due(), simulated_end) {
                    (Some(due), end) if end.is_none_or(|end| due <= end) => world.pass_to(due),
                    (_, Some(end)) if world.now < end => world.pass_to(end),
                    _ => break,
                }
            }
            ready = self.ready(&world, interest);
        }
        Ok(ready)
    }

    fn spin(&self) {
        let shared = self.shared();
        if shared.has_thread.load(Ordering::Relaxed) {
            return thread::yield_now();
        }
        let mut world = shared.lock();
        world.paced = true;
        if world.step(MOMENT) == 0 {
            let end = world.now.saturating_add(GAP);
            world.pass_to(end);
        }
        shared.announce(&mut world);
    }

    fn pause(&self, time: Duration) -> Duration {
        self.shared().advance(time);
        time
    }

    fn statistics(&self) -> Result<SocketStatistics> {
        let world = self.shared().lock();
        let socket = world.sockets.get(&self.id);
        Ok(socket.map(Sock::statistics).unwrap_or_default())
    }

    fn describe(&self) -> String {
        let world = self.shared().lock();
        let name = &world.ports[self.nic.index].config.name;
        format!("simulated NIC {name}")
    }

    fn fd(&self) -> Option<i32> {
        let mut world = self.shared().lock();
        let socket = world.sockets.get_mut(&self.id)?;
        socket.show();
        socket.bell.as_ref().map(|bell| bell.fd())
    }

    fn hang(&self, bell: Box<dyn Bell>) -> Option<i32> {
        let mut guard = self.shared().lock();
        let world = &mut *guard;
        let socket = world.sockets.get_mut(&self.id)?;
        if socket.bell.is_none() {
            socket.bell = Some(bell);
            world.bells += 1;
        }
        socket.show();
        socket.bell.as_ref().map(|bell| bell.fd())
    }
}

impl SimSocket {
    fn nic_alive(&self, world: &World) -> Result<()> {
        let port = &world.ports[self.nic.index];
        if !port.removed {
            return Ok(());
        }
        Err(FluxError::new(
            ErrorKind::NotFound,
            errno::ENODEV,
            format_args!(
                "binding to queue {} of {}",
                self.request.queue, port.config.name
            ),
            "the simulated NIC was removed",
            "add another one",
        ))
    }

    /// Sleeps until there are news, or `time` is over.
    fn sleep<'a>(&self, world: MutexGuard<'a, World>, time: Duration) -> MutexGuard<'a, World> {
        let shared = self.shared();
        shared.sleepers.fetch_add(1, Ordering::Relaxed);
        let (mut world, _) = shared
            .news
            .wait_timeout(world, time)
            .unwrap_or_else(PoisonError::into_inner);
        shared.sleepers.fetch_sub(1, Ordering::Relaxed);
        world.tick();
        world
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        let mut world = self.shared().lock();
        let socket = world.sockets.remove(&self.id);
        world.bells -= u32::from(socket.is_some_and(|socket| socket.bell.is_some()));
        for queue in &mut world.ports[self.nic.index].queues {
            for place in [&mut queue.bound, &mut queue.entry] {
                if *place == Some(self.id) {
                    *place = None;
                }
            }
        }
        world.news = true;
        self.nic.shared.announce(&mut world);
    }
}
