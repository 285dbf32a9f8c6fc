//! Interfaces that cannot be bound to.

use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::kernel::Interface;

/// The kernel would bind to an interface that is down, and fail at the first packet.
pub(super) fn check_up(interface: &Interface) -> Result<()> {
    if interface.up {
        return Ok(());
    }
    Err(FluxError::new(
        ErrorKind::Down,
        errno::ENETDOWN,
        format_args!("bind to {}", interface.name),
        "the interface is down",
        format_args!("bring it up: ip link set dev {} up", interface.name),
    ))
}

/// Refuses a queue that nothing arrives at.
pub(crate) fn check_queue(interface: &Interface, queue: u32) -> Result<()> {
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
                "use one of them, or add queues: ethtool -L {} combined N, or rx N",
                interface.name
            ),
        )),
        _ => Ok(()),
    }
}
