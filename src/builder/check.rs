//! Sizes that cannot work, and interfaces that cannot be bound to.

use super::FluxBuilder;
use crate::backend::{Backend, Interface};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::ring::check_size;

impl FluxBuilder {
    pub(super) fn check_sizes(&self) -> Result<()> {
        let sizes = self.socket.sizes;
        check_size("fill ring", sizes.fill)?;
        check_size("RX ring", sizes.rx)?;
        check_size("TX ring", sizes.tx)?;
        check_size("completion ring", sizes.completion)?;
        if let Some(budget) = self.socket.tx_budget
            && !(32..=sizes.tx.max(32)).contains(&budget)
        {
            return Err(FluxError::invalid(
                format_args!("TX budget {budget}"),
                format_args!(
                    "it lies between 32 and the size of the TX ring, {}",
                    sizes.tx
                ),
                "leave it at its default, the size of the TX ring",
            ));
        }
        if let Some(busy_poll) = self.socket.busy_poll
            && (busy_poll.microseconds == 0
                || i32::try_from(busy_poll.microseconds).is_err()
                || !(1..=u32::from(u16::MAX)).contains(&busy_poll.budget))
        {
            return Err(FluxError::invalid(
                format_args!(
                    "preferred busy polling for {} microseconds and {} packets",
                    busy_poll.microseconds, busy_poll.budget
                ),
                "it polls for 1 to 2,147,483,647 microseconds and 1 to 65,535 packets",
                "use 20 microseconds and 64 packets, or leave it off",
            ));
        }
        Ok(())
    }
}

/// The kernel would bind to an interface that is down, and fail at the first packet.
pub(super) fn check_up(interface: &Interface, backend: &dyn Backend) -> Result<()> {
    if interface.up {
        return Ok(());
    }
    Err(FluxError::new(
        ErrorKind::Down,
        errno::ENETDOWN,
        format_args!("bind to {}", interface.name),
        "the interface is down",
        format_args!("bring it up: {}", backend.up_advice(&interface.name)),
    ))
}

/// Refuses a queue that nothing arrives at.
pub(crate) fn check_queue(interface: &Interface, backend: &dyn Backend, queue: u32) -> Result<()> {
    match interface.rx_queues {
        Some(queues) if queue >= queues => Err(FluxError::invalid(
            format_args!("bind to queue {queue} of {}", interface.name),
            match queues {
                1 => "the interface has 1 receive queue, 0".to_owned(),
                _ => format!(
                    "the interface has {queues} receive queues, 0 to {}",
                    queues.saturating_sub(1)
                ),
            },
            format_args!(
                "use one of them, or add queues: {}",
                backend.queues_advice(&interface.name, "N")
            ),
        )),
        _ => Ok(()),
    }
}
