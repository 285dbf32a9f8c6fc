//! The XDP program of a simulated NIC: which queue's packets go to which socket.

use std::any::Any;
use std::sync::Arc;

use super::nic::Nic;
use super::port::Program;
use super::socket::SimSocket;
use crate::backend::{FanOut, MAX_SOCKETS_PER_QUEUE, MapKey, Socket, Steering};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::report::{Answer, XdpMode};
use crate::stats::ProgramCounters;

/// Attaches the program, or joins it.
pub(super) fn attach(nic: &Nic, mode: XdpMode) -> Result<Arc<dyn Steering>> {
    let mode = nic.with(|world, port| {
        let port = &mut world.ports[port];
        let achieved = match mode {
            XdpMode::Auto => XdpMode::Native,
            mode => mode,
        };
        let program = port.program.get_or_insert_with(|| Program {
            achieved,
            shares: 0,
            counters: ProgramCounters::default(),
        });
        if mode != XdpMode::Auto && mode != program.achieved {
            return Err(FluxError::new(
                ErrorKind::Busy,
                errno::EBUSY,
                format_args!(
                    "attaching the XDP program to {} in {mode:?} mode",
                    port.config.name
                ),
                format_args!(
                    "it is attached in {:?} mode for another socket",
                    program.achieved
                ),
                "ask for the same mode for all queues of an interface",
            ));
        }
        program.shares += 1;
        Ok(Answer::granted(mode, program.achieved))
    })?;
    Ok(Arc::new(SimSteering {
        nic: nic.clone(),
        mode,
    }))
}

/// A share in the XDP program of a simulated NIC.
#[derive(Debug)]
struct SimSteering {
    nic: Nic,
    mode: Answer<XdpMode>,
}

impl Steering for SimSteering {
    fn insert(&self, place: MapKey, socket: &dyn Socket) -> Result<()> {
        let MapKey { queue, member } = place;
        let socket: &dyn Any = socket;
        let socket = socket.downcast_ref::<SimSocket>();
        self.nic.with(|world, port| {
            let port = &mut world.ports[port];
            let tried = || {
                format!(
                    "directing packets of queue {queue} of {} to socket {member}",
                    port.config.name
                )
            };
            let entries = port.queues.get_mut(queue as usize).zip(socket);
            // A socket enters at the queue it is bound to.
            let entries = entries.filter(|(queue, socket)| queue.sockets.contains(&socket.id));
            let Some((queue, socket)) = entries else {
                return Err(FluxError::invalid(
                    tried(),
                    "the socket is not bound to it",
                    "bind it first",
                ));
            };
            if member >= MAX_SOCKETS_PER_QUEUE {
                return Err(FluxError::invalid(
                    tried(),
                    format_args!("a queue has places for {MAX_SOCKETS_PER_QUEUE}, counted from 0"),
                    "share the queue among fewer sockets",
                ));
            }
            let member = member as usize;
            if queue.entries.len() <= member {
                queue.entries.resize(member + 1, None);
            }
            queue.entries[member] = Some(socket.id);
            Ok(())
        })
    }

    fn remove(&self, place: MapKey) -> Result<()> {
        let mut world = self.nic.shared.lock("leaving the XDP program")?;
        let port = &mut world.ports[self.nic.index];
        let queue = port.queues.get_mut(place.queue as usize);
        if let Some(entry) = queue.and_then(|queue| queue.entries.get_mut(place.member as usize)) {
            *entry = None;
        }
        Ok(())
    }

    fn fan_out(&self, queue: u32, fanout: FanOut) -> Result<()> {
        let mut world = self.nic.shared.lock("sharing out a queue")?;
        let port = &mut world.ports[self.nic.index];
        match port.queues.get_mut(queue as usize) {
            Some(queue) if fanout.sockets <= MAX_SOCKETS_PER_QUEUE => {
                queue.fanout = fanout;
                Ok(())
            }
            _ => Err(FluxError::invalid(
                format_args!(
                    "sharing queue {queue} of {} out among {} sockets",
                    port.config.name, fanout.sockets
                ),
                format_args!(
                    "it has {} queues, with places for {MAX_SOCKETS_PER_QUEUE} each",
                    port.active
                ),
                "use a queue that it has, and fewer sockets",
            )),
        }
    }

    fn counters(&self) -> Result<Option<ProgramCounters>> {
        let world = self
            .nic
            .shared
            .lock("asking the XDP program for its counters")?;
        let program = world.ports[self.nic.index].program.as_ref();
        Ok(program.map(|program| ProgramCounters {
            attached: true,
            ..program.counters
        }))
    }

    fn xdp_mode(&self) -> Option<Answer<XdpMode>> {
        Some(self.mode.clone())
    }
}

impl Drop for SimSteering {
    fn drop(&mut self) {
        let Ok(mut world) = self.nic.shared.lock("detaching the XDP program") else {
            return;
        };
        let port = &mut world.ports[self.nic.index];
        if let Some(program) = &mut port.program {
            program.shares -= 1;
            if program.shares == 0 {
                port.program = None;
            }
        }
    }
}
