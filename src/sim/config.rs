//! What a simulated NIC shall be, and what it counted: plain data.

use std::time::Duration;

use crate::error::{FluxError, Result};
use crate::proto::MacAddr;

/// The largest number of queues of a NIC.
const MOST_QUEUES: u32 = 256;

/// What a simulated NIC shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicConfig {
    /// Its name, different from the others of its network.
    pub name: String,
    /// Its MTU in bytes, 68 to 65,535. Default 1500.
    pub mtu: u32,
    /// Its queues, 1 to 256. Default 1.
    pub queues: u32,
    /// Its Ethernet address. Default: 02:00:00:00:00:01 for the first NIC, and so on.
    pub mac: Option<MacAddr>,
    /// Whether its driver has zero-copy. Default no, as veth.
    pub zero_copy: bool,
    /// How long, after a zero-copy socket was closed, its driver takes to let go of the queue. The socket's frames are in
    /// [quarantine](crate::Accounting::quarantined) so long, and the queue is taken. Default zero.
    pub release_delay: Duration,
    /// Whether the kernel knows the TX budget option (Linux 6.17); without it one transmit call sends 32 packets. Default yes.
    pub tx_budget: bool,
    /// Packets on the way to one of its queues, at most; a sender finds the device busy then. Default 2048.
    pub cable: u32,
    /// Packets kept for [`take_sent`](super::Nic::take_sent) and for [`take_passed`](super::Nic::take_passed), at most. A sender finds the device busy
    /// then; the host drops. 0: what is sent without a cable, or passed, is only counted. Default 65,536.
    pub keep: u32,
}

impl NicConfig {
    /// An ordinary NIC with this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            mtu: 1500,
            queues: 1,
            mac: None,
            zero_copy: false,
            release_delay: Duration::ZERO,
            tx_budget: true,
            cable: 2048,
            keep: 65_536,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let refuse = |what: &str, value: u32, least: u32, most: u32| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(FluxError::invalid(
                format_args!("simulated NIC {:?} with {what} {value}", self.name),
                format_args!("it lies between {least} and {most}"),
                "use a number in that range",
            ))
        };
        if self.name.is_empty() || self.name.len() > 255 {
            return Err(FluxError::invalid(
                format_args!("simulated NIC {:?}", self.name),
                "a name has 1 to 255 bytes",
                "use another name",
            ));
        }
        refuse("MTU", self.mtu, 68, 65_535)?;
        refuse("queues", self.queues, 1, MOST_QUEUES)?;
        refuse("cable", self.cable, 1, 1 << 20)
    }
}

/// What a simulated NIC counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NicCounters {
    /// Packets that reached it.
    pub rx_packets: u64,
    /// Packets that left it.
    pub tx_packets: u64,
    /// Packets that went on to the host's network stack.
    pub passed: u64,
    /// Of these, packets for which the host had no room.
    pub host_dropped: u64,
    /// Packets that came while it was down, or for a queue that it has not any more.
    pub rx_down: u64,
    /// Packets for which neither a zero-copy driver had a frame nor the cable room.
    pub rx_missed: u64,
    /// Packets that a fault took on the way.
    pub rx_lost: u64,
    /// Packets too short or too long to leave; the kernel completes them all the same.
    pub tx_dropped: u64,
}
