//! Binding a socket to a queue of a simulated NIC.

use std::time::Instant;

use super::socket::{LOOK_UP, SimSocket, TX_BUDGET};
use super::world::World;
use crate::backend::Bound;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::report::{Answer, BindMode};

impl SimSocket {
    /// Binds to a queue that nobody has.
    pub(super) fn bind_alone(&self) -> Result<Bound> {
        let queue = self.request.queue;
        let mut world = self.shared().lock("binding a socket")?;
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
            if port.queues[queue as usize].sockets.is_empty() {
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
        world.ports[self.nic.index].queues[queue as usize]
            .sockets
            .push(self.id);
        if let Some(socket) = world.sockets.get_mut(&self.id) {
            socket.bound = true;
            socket.zero_copy = zero_copy;
            socket.budget = tx_budget.achieved;
            // The kernel wants to be called for the first packet, and in copy mode for each (`xp_assign_dev`).
            socket.rings.set_tx_wakeup(socket.need_wakeup);
        }
        Ok(Bound {
            release: self.release(),
            bind_mode,
            need_wakeup: Answer::granted(self.request.need_wakeup, self.request.need_wakeup),
            busy_poll: Answer::granted(self.request.busy_poll, self.request.busy_poll),
            tx_budget,
        })
    }

    /// Binds beside the first socket of the queue; it decides on the mode (`xsk_bind` with `XDP_SHARED_UMEM`).
    pub(super) fn bind_shared(&self) -> Result<Bound> {
        let queue = self.request.queue;
        let mut guard = self.shared().lock("binding a socket")?;
        let world = &mut *guard;
        self.nic_alive(world)?;
        let owner = world.sockets.get(&self.id).map(|socket| socket.owner);
        let owner = owner.and_then(|id| world.sockets.get(&id));
        let Some(owner) = owner.filter(|owner| owner.bound && owner.queue == queue) else {
            return Err(FluxError::invalid(
                format_args!("sharing queue {queue} of a simulated NIC"),
                "the socket to share it with is not bound to it",
                "bind that one first, to the same queue",
            ));
        };
        let (zero_copy, need_wakeup) = (owner.zero_copy, owner.need_wakeup);
        let mode = if zero_copy {
            BindMode::ZeroCopy
        } else {
            BindMode::Copy
        };
        let tx_budget = self.tx_budget(world, mode);
        world.ports[self.nic.index].queues[queue as usize]
            .sockets
            .push(self.id);
        if let Some(socket) = world.sockets.get_mut(&self.id) {
            socket.bound = true;
            socket.zero_copy = zero_copy;
            socket.need_wakeup = need_wakeup;
            socket.budget = tx_budget.achieved;
            socket.rings.set_tx_wakeup(need_wakeup);
        }
        Ok(Bound {
            release: self.release(),
            bind_mode: Answer::granted(self.request.bind_mode, mode),
            need_wakeup: Answer::granted(self.request.need_wakeup, need_wakeup),
            busy_poll: Answer::granted(self.request.busy_poll, self.request.busy_poll),
            tx_budget,
        })
    }

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
