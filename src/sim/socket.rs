//! A socket on a simulated NIC, behind the seam: bind, wake, wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::nic::Nic;
use super::play::GAP;
use super::port::SocketId;
use super::shared::Shared;
use super::trace::EventKind;
use super::world::{SLICE, World};
use crate::backend::{
    BorrowedFd, Bound, Interest, Kick, QueueRelease, Ready, ReadyFd, Socket, SocketRequest,
    WaitSet, Watcher,
};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::stats::SocketStatistics;

/// What one transmit call sends in copy mode unless told otherwise (`TX_BATCH_SIZE`), and the least that can be asked for.
pub(super) const TX_BUDGET: u32 = 32;
/// Packets that a wait moves without one for its socket; it ends early then.
const MOST: u32 = 256 * SLICE;
/// A wake-up may be lost, and the other entries of a wait set give none: nobody sleeps longer without a look.
pub(super) const LOOK_UP: Duration = Duration::from_millis(10);
/// Packets that move while a program spins once.
const MOMENT: u32 = 64;

/// A socket on a simulated NIC.
#[derive(Debug)]
pub(super) struct SimSocket {
    pub(super) nic: Nic,
    pub(super) request: SocketRequest,
    pub(super) zero_copy_mtu: u32,
    pub(super) id: SocketId,
    /// Its descriptor, made when the program asks for one.
    pub(super) ready_fd: OnceLock<Arc<dyn ReadyFd>>,
    /// Whether the NIC was removed.
    pub(super) gone: Arc<AtomicBool>,
    /// The socket whose fill and completion ring it uses, if those are not its own. That one must not be closed before.
    pub(super) first: Option<Arc<dyn Socket>>,
}

impl SimSocket {
    pub(super) fn shared(&self) -> &Shared {
        &self.nic.shared
    }

    /// The kernel's first look at each call (`xsk_check_common`), and whether a fault lets the call come to nothing.
    fn check(&self, world: &mut World, tried: &str) -> Result<bool> {
        let port = &world.ports[self.nic.index];
        if port.removed {
            return Err(removed(&port.config.name, tried));
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
                socket.rings.set_tx_wakeup(false);
                Kick::Done
            }
            _ => world.transmit_generic(self.id),
        }
    }

    /// The look of a `poll`: makes the kernel look at both sides, and tells what is there.
    fn look(&self, world: &mut World, interest: impl Into<Option<Interest>>) -> Result<Ready> {
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
        let owner = world.sockets.get(&self.id).map(|socket| socket.owner);
        if let Some(socket) = owner.and_then(|id| world.sockets.get_mut(&id))
            && socket.zero_copy
        {
            socket.rx_stopped = false;
            socket.rings.set_rx_wakeup(false);
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

    fn ready(&self, world: &World, interest: impl Into<Option<Interest>>) -> Ready {
        let (Some(socket), Some(interest)) = (world.sockets.get(&self.id), interest.into()) else {
            return Ready::default();
        };
        let port = &world.ports[self.nic.index];
        if !port.up {
            return Ready::default();
        }
        Ready {
            receive: interest != Interest::Send && socket.rings.rx_waiting() > 0,
            send: interest != Interest::Receive && socket.rings.is_writable(),
            interrupted: false,
        }
    }
}

impl Socket for SimSocket {
    fn bind(&self) -> Result<Bound> {
        match self.first {
            Some(_) => self.bind_shared(),
            None => self.bind_alone(),
        }
    }

    fn wake_rx(&self) -> Result<()> {
        let mut world = self.shared().lock("waking the kernel to receive")?;
        if !self.check(&mut world, "waking the kernel to receive")? {
            self.restart(&mut world);
        }
        self.shared().announce(&mut world);
        Ok(())
    }

    fn wake_tx(&self) -> Result<Kick> {
        let mut world = self.shared().lock("waking the kernel to send")?;
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
        wait_set: &WaitSet<'_>,
    ) -> Result<Ready> {
        let shared = self.shared();
        let mut world = shared.lock("waiting for packets")?;
        if self.is_spurious(&mut world) {
            return Ok(Ready::default());
        }
        let simulated_end = timeout.map(|timeout| world.now.saturating_add(timeout));
        let real_end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut ready = self.look(&mut world, interest)?;
        shared.announce(&mut world);
        world.allow(1);
        let mut handled = 0;
        while ready == Ready::default() && !wait_set.is_done() {
            (wait_set.check)()?;
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
                    (due, _) => {
                        ready.interrupted = due.is_none() && wait_set.endless;
                        break;
                    }
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
        let Ok(mut world) = shared.lock("spinning") else {
            return;
        };
        world.paced = true;
        if world.step(MOMENT) == 0 {
            let end = world.now.saturating_add(GAP);
            world.pass_to(end);
        }
        shared.announce(&mut world);
    }

    fn pause(&self, time: Duration) -> Duration {
        self.shared().advance(time)
    }

    fn check(&self) -> Result<()> {
        self.shared().process.check("looking for packets")?;
        // Without the lock: the conditions of the wait set take it.
        match self.gone.load(Ordering::Acquire) {
            true => Err(removed(&self.nic.name, "looking for packets")),
            false => Ok(()),
        }
    }

    fn statistics(&self) -> Result<SocketStatistics> {
        let world = self.shared().lock("asking for statistics")?;
        let Some(socket) = world.sockets.get(&self.id) else {
            return Ok(SocketStatistics::default());
        };
        let owner = world.sockets.get(&socket.owner).unwrap_or(socket);
        Ok(SocketStatistics {
            rx_fill_ring_empty_descs: owner.statistics.rx_fill_ring_empty_descs,
            ..socket.statistics()
        })
    }

    fn describe(&self) -> String {
        format!("simulated NIC {}", self.nic.name)
    }

    fn rx_queues(&self) -> Option<u32> {
        let world = self.shared().lock("asking for queues").ok()?;
        let port = &world.ports[self.nic.index];
        (!port.removed).then_some(port.active)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        let ready_fd = self.ready_fd.get()?;
        if let Ok(mut world) = self.shared().lock("asking for a descriptor") {
            world.sockets.get_mut(&self.id)?.show();
        }
        Some(ready_fd.fd())
    }

    fn watch(&self, interest: Interest, watcher: Weak<dyn Watcher>) -> bool {
        let Ok(mut world) = self.shared().lock("watching a socket") else {
            return false;
        };
        let Some(socket) = world.sockets.get_mut(&self.id) else {
            return false;
        };
        socket.watchers.push((interest, watcher));
        world.followed += 1;
        true
    }

    fn poll_once(&self, interest: Option<Interest>, passed: Duration) -> Result<Ready> {
        let shared = self.shared();
        let mut world = shared.lock("waiting for packets")?;
        let mut ready = self.look(&mut world, interest)?;
        shared.announce(&mut world);
        if world.running.is_some() {
            return Ok(ready);
        }
        // Nobody else moves the packets.
        world.paced = true;
        world.allow(1);
        let end = world.now.saturating_add(passed);
        for _ in 0..SLICE {
            if ready != Ready::default() {
                break;
            }
            if world.step(1) == 0 {
                match world.next_due() {
                    Some(due) if due <= end => world.pass_to(due),
                    _ if world.now < end => world.pass_to(end),
                    _ => break,
                }
            }
            ready = self.ready(&world, interest);
        }
        shared.announce(&mut world);
        Ok(ready)
    }

    fn notify_through(&self, ready_fd: Arc<dyn ReadyFd>) -> Option<BorrowedFd<'_>> {
        let mut guard = self.shared().lock("asking for a descriptor").ok()?;
        let world = &mut *guard;
        let socket = world.sockets.get_mut(&self.id)?;
        let ready_fd = self.ready_fd.get_or_init(|| ready_fd);
        if socket.ready_fd.is_none() {
            socket.ready_fd = Some(ready_fd.clone());
            world.followed += 1;
        }
        socket.show();
        Some(ready_fd.fd())
    }
}

/// Tells when the driver has let go of a closed socket.
#[derive(Debug)]
struct SimRelease {
    nic: Nic,
    id: SocketId,
}

impl QueueRelease for SimRelease {
    fn is_released(&self) -> bool {
        let world = self.nic.shared.lock("looking after a closed socket");
        world.is_ok_and(|world| !world.sockets.contains_key(&self.id))
    }

    fn pause(&self, time: Duration) -> Duration {
        self.nic.shared.advance(time);
        time
    }
}

impl SimSocket {
    /// What tells when the driver has let go of it.
    pub(super) fn release(&self) -> Arc<dyn QueueRelease> {
        Arc::new(SimRelease {
            nic: self.nic.clone(),
            id: self.id,
        })
    }

    /// Sleeps until there are news, or `time` is over.
    pub(super) fn sleep<'a>(
        &self,
        world: MutexGuard<'a, World>,
        time: Duration,
    ) -> MutexGuard<'a, World> {
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

#[cold]
fn removed(name: &str, tried: &str) -> FluxError {
    FluxError::new(
        ErrorKind::Gone,
        errno::ENODEV,
        tried,
        format_args!("the simulated NIC {name} was removed"),
        "close the socket",
    )
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        let Ok(mut guard) = self.shared().lock("closing a socket") else {
            return;
        };
        let world = &mut *guard;
        let port = &mut world.ports[self.nic.index];
        for queue in &mut port.queues {
            for entry in &mut queue.entries {
                entry.take_if(|id| *id == self.id);
            }
        }
        let delay = port.config.release_delay;
        match world.sockets.get_mut(&self.id) {
            Some(socket) if socket.bound && socket.zero_copy && !delay.is_zero() => {
                socket.closing = Some(world.now.saturating_add(delay));
                world.closing += 1;
            }
            _ => world.let_go(self.id),
        }
        world.news = true;
        self.nic.shared.announce(world);
    }
}
