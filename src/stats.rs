//! Counters: plain numbers, no code of either side.

#![forbid(unsafe_code)]

/// What the kernel counted for one socket since it was opened (`XDP_STATISTICS`).
///
/// Source: `struct xdp_statistics` in the kernel's `include/uapi/linux/if_xdp.h`; the last three since Linux 5.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SocketStatistics {
    /// Packets dropped for reasons other than a full RX ring or an empty fill ring.
    pub rx_dropped: u64,
    /// Descriptors on the fill ring that the kernel refused.
    pub rx_invalid_descs: u64,
    /// Descriptors on the TX ring that the kernel refused; they are not sent, and may not be completed.
    pub tx_invalid_descs: u64,
    /// Packets dropped because the RX ring was full.
    pub rx_ring_full: u64,
    /// Times that the kernel found no frame in the fill ring.
    pub rx_fill_ring_empty_descs: u64,
    /// Times that the kernel looked for a descriptor in the TX ring and found none.
    pub tx_ring_empty_descs: u64,
}

/// What the bundled XDP program decided, summed over all CPUs, for the whole interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ProgramCounters {
    /// Whether the program is on the interface now. Somebody else may have taken it off (`bpftool link detach`), or the interface was
    /// removed: then no packets come any more.
    pub attached: bool,
    /// Packets dropped by the program.
    pub drop: u64,
    /// Packets handed to a socket.
    pub redirect: u64,
    /// Packets passed on to the kernel's network stack.
    pub pass: u64,
}

/// How a program spent the turns in which there were no packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PollerStatistics {
    /// Turns in which it kept looking.
    pub spins: u64,
    /// Turns in which it slept.
    pub sleeps: u64,
    /// Times that it went over from spinning to sleeping, or back.
    pub switches: u64,
}
