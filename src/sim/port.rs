//! What the simulated kernel knows of NICs and sockets: plain state.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::config::{NicConfig, NicCounters};
use super::faults::Faults;
use super::kernel_rings::{InFlight, KernelRings};
use super::play::Player;
use super::record::Recorder;
use crate::backend::{FanOut, Interest, ReadyFd, Watcher};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::proto::FlowKey;
use crate::report::XdpMode;
use crate::stats::{ProgramCounters, SocketStatistics};

/// Names a socket. Never used twice.
pub(super) type SocketId = u64;

/// One NIC.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) config: NicConfig,
    pub(super) up: bool,
    pub(super) removed: bool,
    /// The same, for sockets to see without the lock.
    pub(super) gone: Arc<AtomicBool>,
    /// Queues in use; there may be more in `queues`, that were in use once.
    pub(super) active: u32,
    pub(super) queues: Vec<Queue>,
    /// The NIC at the other end of the cable.
    pub(super) peer: Option<usize>,
    pub(super) program: Option<Program>,
    pub(super) faults: Faults,
    /// What left a NIC without a cable.
    pub(super) sent: VecDeque<Vec<u8>>,
    /// What the host's network stack received.
    pub(super) passed: VecDeque<Vec<u8>>,
    pub(super) counters: NicCounters,
    pub(super) recorder: Option<Recorder>,
}

impl Port {
    pub(super) fn new(config: NicConfig, faults: Faults) -> Self {
        let mut queues = Vec::new();
        queues.resize_with(config.queues as usize, Queue::default);
        Self {
            up: true,
            removed: false,
            gone: Arc::default(),
            active: config.queues,
            queues,
            peer: None,
            program: None,
            faults,
            sent: VecDeque::new(),
            passed: VecDeque::new(),
            counters: NicCounters::default(),
            recorder: None,
            config,
        }
    }

    /// The longest packet that passes: the MTU, an Ethernet header and one VLAN tag.
    pub(super) fn longest(&self) -> usize {
        self.config.mtu as usize + 14 + 4
    }
}

/// One receive and transmit queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Packets on their way to the NIC.
    pub(super) inbound: VecDeque<Frame>,
    /// No packet arrives before those in front of it.
    pub(super) last_due: Duration,
    /// The sockets that are bound to it. The first has the fill and the completion ring for all.
    pub(super) sockets: Vec<SocketId>,
    /// The entries in the XDP program's map.
    pub(super) entries: Vec<Option<SocketId>>,
    pub(super) fanout: FanOut,
    pub(super) player: Option<Player>,
}

impl Queue {
    /// The socket that the XDP program directs a packet to.
    pub(super) fn entry_for(&self, packet: &[u8]) -> Option<SocketId> {
        let FanOut { sockets, symmetric } = self.fanout;
        let member = if sockets < 2 {
            0
        } else {
            let key = FlowKey::parse(packet);
            let hash = if symmetric {
                key.symmetric_hash()
            } else {
                key.hash()
            };
            FlowKey::member(hash, sockets)
        };
        *self.entries.get(member as usize)?
    }
}

/// A packet on its way.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    pub(super) due: Duration,
    /// Whose frame it came from, if that is completed on arrival.
    pub(super) origin: Option<(SocketId, InFlight)>,
}

/// The XDP program on a NIC.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) achieved: XdpMode,
    pub(super) shares: usize,
    pub(super) counters: ProgramCounters,
}

/// One socket.
#[derive(Debug)]
pub(super) struct Sock {
    pub(super) rings: KernelRings,
    /// The socket whose fill and completion ring it uses: itself, or the first on its queue.
    pub(super) owner: SocketId,
    pub(super) port: usize,
    pub(super) queue: u32,
    pub(super) bound: bool,
    /// It was closed, and its driver lets go of it then.
    pub(super) closing: Option<Duration>,
    pub(super) zero_copy: bool,
    pub(super) need_wakeup: bool,
    /// Packets that one kick sends in copy mode.
    pub(super) budget: u32,
    pub(super) statistics: SocketStatistics,
    /// In zero-copy mode: the driver looks at the TX ring by itself.
    pub(super) tx_active: bool,
    /// In zero-copy mode: the driver found no frame, and waits for a wake-up.
    pub(super) rx_stopped: bool,
    /// Made when the program asks for a file descriptor.
    pub(super) ready_fd: Option<Arc<dyn ReadyFd>>,
    /// Who waits for it without sleeping in a call, and what for.
    pub(super) watchers: Vec<(Interest, Weak<dyn Watcher>)>,
}

impl Sock {
    /// Lets the file descriptor show what stands in the RX ring.
    pub(super) fn show(&mut self) {
        let waiting = self.rings.rx_waiting() > 0;
        if let Some(ready_fd) = &self.ready_fd {
            ready_fd.set_ready(waiting);
        }
    }

    /// Tells those who watch it; `sends` is whether a call would get packets out of the TX ring.
    pub(super) fn tell(&mut self, sends: bool) {
        let receives = self.rings.rx_waiting() > 0;
        let sends = sends || self.rings.is_writable();
        self.watchers.retain(|(interest, watcher)| {
            let Some(watcher) = watcher.upgrade() else {
                return false;
            };
            let worth_while = match interest {
                Interest::Receive => receives,
                Interest::Send => sends,
                Interest::Both => receives || sends,
            };
            if worth_while {
                watcher.notify();
            }
            true
        });
    }

    /// Whether somebody wants to know what stands in its rings.
    pub(super) fn is_followed(&self) -> bool {
        self.ready_fd.is_some() || !self.watchers.is_empty()
    }

    /// What the kernel counted.
    pub(super) fn statistics(&self) -> SocketStatistics {
        let (rx_invalid_descs, tx_invalid_descs) = self.rings.invalid();
        SocketStatistics {
            rx_invalid_descs,
            tx_invalid_descs,
            ..self.statistics
        }
    }
}

/// Moves the oldest of the kept packets to the front of a buffer that has room for it; its length.
pub(super) fn take_fitting(kept: &mut VecDeque<Vec<u8>>, room: usize) -> Result<Option<Vec<u8>>> {
    if let Some(len) = kept.front().map(Vec::len)
        && len > room
    {
        return Err(FluxError::new(
            ErrorKind::Invalid,
            errno::EMSGSIZE,
            format_args!("a packet of {len} bytes into a buffer of {room}"),
            "it does not fit",
            "use a larger buffer; the packet waits",
        ));
    }
    Ok(kept.pop_front())
}
