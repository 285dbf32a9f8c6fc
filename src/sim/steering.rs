//! The XDP program of a simulated NIC: which queue's packets go to which socket.

use std::sync::Arc;

use super::nic::Nic;
use super::port::Program;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::kernel::{Socket, Steering};
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
    fn insert(&self, queue: u32, _socket: &dyn Socket) -> Result<()> {
        self.nic.with(|world, port| {
            let port = &mut world.ports[port];
            let place = port.queues.get_mut(queue as usize);
            // A socket enters at the queue it is bound to.
            match place {
                Some(queue) if queue.bound.is_some() => {
                    queue.entry = queue.bound;
                    Ok(())
                }
                _ => Err(FluxError::invalid(
                    format_args!("directing packets of queue {queue} of {}", port.config.name),
                    "no socket is bound to it",
                    "bind one first",
                )),
            }
        })
    }

    fn remove(&self, queue: u32) -> Result<()> {
        let mut world = self.nic.shared.lock();
        let port = &mut world.ports[self.nic.index];
        if let Some(queue) = port.queues.get_mut(queue as usize) {
            queue.entry = None;
        }
        Ok(())
    }

    fn counters(&self) -> Result<Option<ProgramCounters>> {
        let world = self.nic.shared.lock();
        let program = world.ports[self.nic.index].program.as_ref();
        Ok(program.map(|program| program.counters))
    }

    fn xdp_mode(&self) -> Option<Answer<XdpMode>> {
        Some(self.mode.clone())
    }
}

impl Drop for SimSteering {
    fn drop(&mut self) {
        let mut world = self.nic.shared.lock();
        let port = &mut world.ports[self.nic.index];
        if let Some(program) = &mut port.program {
            program.shares -= 1;
            if program.shares == 0 {
                port.program = None;
            }
        }
    }
}
