//! A simulated network card: where a test puts packets in and takes them out.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::backend::SimBackend;
use super::config::{NicConfig, NicCounters};
use super::faults::Faults;
use super::network::Network;
use super::play::{Playback, Player};
use super::port::{Port, Queue, take_fitting};
use super::shared::Shared;
use super::world::World;
use crate::backend::Backend;
use crate::error::{ErrorKind, FluxError, Result, errno};

/// What is tried, for an error.
const USING: &str = "using a simulated NIC";
/// The shortest packet that a test may put in: an Ethernet header.
const SHORTEST: usize = 14;

/// A NIC of a simulated [`Network`]: give it to [`FluxBuilder::new`](crate::FluxBuilder::new), and play the world around it.
///
/// A handle, cheap to clone. Any thread. In a forked child it is as its [`Network`] is.
#[derive(Clone)]
pub struct Nic {
    pub(super) shared: Arc<Shared>,
    pub(super) index: usize,
    pub(super) name: Arc<str>,
}

impl Nic {
    /// The network that it belongs to.
    #[must_use]
    pub fn network(&self) -> Network {
        Network {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.to_string()
    }

    /// The seam's view of it.
    pub(crate) fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(SimBackend { nic: self.clone() })
    }

    /// The error for a NIC that was removed.
    pub(super) fn absent(port: &Port) -> FluxError {
        FluxError::new(
            ErrorKind::NotFound,
            errno::ENODEV,
            format_args!("using the simulated NIC {:?}", port.config.name),
            "it was removed from its network",
            "add another one",
        )
    }

    /// Does something with the NIC, unless it was removed.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut World, usize) -> Result<R>) -> Result<R> {
        let mut world = self.shared.lock(USING)?;
        let port = &world.ports[self.index];
        if port.removed {
            return Err(Self::absent(port));
        }
        let result = work(&mut world, self.index);
        self.shared.announce(&mut world);
        result
    }

    /// Lets a packet arrive at `queue`, as if it came over the cable; it is handled in the network's next step.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid): no such queue, or a packet shorter than an Ethernet header or longer than the MTU with
    /// header and VLAN tag; [`Busy`](ErrorKind::Busy): the cable is full; [`Down`](ErrorKind::Down); [`NotFound`](ErrorKind::NotFound)
    /// when the NIC was removed.
    pub fn inject(&self, queue: u32, packet: &[u8]) -> Result<()> {
        self.with(|world, port| inject(world, port, queue, packet))
    }

    /// Lets packets arrive in order; returns how many had room on the cable.
    ///
    /// # Errors
    ///
    /// As [`inject`](Self::inject), but for a full cable, which shows as a smaller count. No packet arrives if one of them is invalid.
    pub fn inject_batch<P: AsRef<[u8]>>(&self, queue: u32, packets: &[P]) -> Result<u32> {
        // What the caller's type does stays outside of the lock.
        let mut list: Vec<&[u8]> = Vec::new();
        if list.try_reserve_exact(packets.len()).is_err() {
            return Err(FluxError::no_memory(
                format_args!("a list of {} packets", packets.len()),
                "let fewer arrive at a time",
            ));
        }
        list.extend(packets.iter().map(AsRef::as_ref));
        self.with(|world, port| {
            for packet in &list {
                check_packet(&world.ports[port], queue, packet)?;
            }
            let mut done = 0;
            for packet in list {
                match inject(world, port, queue, packet) {
                    Ok(()) => done += 1,
                    Err(error) if error.kind() == ErrorKind::Busy => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(done)
        })
    }

    /// Lets the host's network stack send a packet through this NIC.
    ///
    /// # Errors
    ///
    /// As [`inject`](Self::inject).
    pub fn host_send(&self, queue: u32, packet: &[u8]) -> Result<()> {
        self.with(|world, port| {
            check_packet(&world.ports[port], queue, packet)?;
            if !world.has_room(port, queue as usize) {
                return Err(busy(&world.ports[port]));
            }
            let mut bytes = world.buffer();
            bytes.clear();
            bytes.extend_from_slice(packet);
            world.leave(port, queue as usize, bytes, None);
            Ok(())
        })
    }

    /// The oldest packet that left this NIC and was not taken yet. Only a NIC without a cable keeps what it sent.
    #[must_use]
    pub fn take_sent(&self) -> Option<Vec<u8>> {
        let mut world = self.shared.lock(USING).ok()?;
        world.ports[self.index].sent.pop_front()
    }

    /// The oldest packet that the host's network stack received from this NIC and that was not taken yet.
    #[must_use]
    pub fn take_passed(&self) -> Option<Vec<u8>> {
        let mut world = self.shared.lock(USING).ok()?;
        world.ports[self.index].passed.pop_front()
    }

    /// Copies the packet that [`take_sent`](Self::take_sent) would give to the front of `buffer`; returns its length.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) (EMSGSIZE) when the buffer is too short; the packet stays then.
    pub fn take_sent_into(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let taken = self.take_sent_fitting(buffer.len())?;
        Ok(taken.map(|packet| copy_to_front(buffer, &packet)))
    }

    /// Copies the packet that [`take_passed`](Self::take_passed) would give to the front of `buffer`; returns its length.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) (EMSGSIZE) when the buffer is too short; the packet stays then.
    pub fn take_passed_into(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let taken = self.take_passed_fitting(buffer.len())?;
        Ok(taken.map(|packet| copy_to_front(buffer, &packet)))
    }

    /// [`take_sent`](Self::take_sent), of a packet of up to `room` bytes; an error for a longer one, which stays.
    pub(crate) fn take_sent_fitting(&self, room: usize) -> Result<Option<Vec<u8>>> {
        take_fitting(&mut self.shared.lock(USING)?.ports[self.index].sent, room)
    }

    /// [`take_passed`](Self::take_passed), likewise.
    pub(crate) fn take_passed_fitting(&self, room: usize) -> Result<Option<Vec<u8>>> {
        take_fitting(&mut self.shared.lock(USING)?.ports[self.index].passed, room)
    }

    /// Sets the NIC up or down. It begins up. What arrives while it is down is lost, and counted.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) when it was removed.
    pub fn set_up(&self, up: bool) -> Result<()> {
        self.with(|world, port| {
            world.ports[port].up = up;
            Ok(())
        })
    }

    /// Changes the number of queues, as `ethtool -L` does.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) for a number that cannot be; [`Busy`](ErrorKind::Busy) when a queue that would go has
    /// a socket: the kernel refuses that, too (`ethnl_set_channels`).
    pub fn set_queues(&self, queues: u32) -> Result<()> {
        self.with(|world, index| {
            let port = &world.ports[index];
            let config = NicConfig {
                queues,
                ..port.config.clone()
            };
            config.check()?;
            let sockets = &world.sockets;
            let in_use = port.queues.iter().skip(queues as usize).any(|queue| {
                let mut bound = queue.sockets.iter();
                bound.any(|id| sockets.contains_key(id))
            });
            if in_use {
                return Err(FluxError::new(
                    ErrorKind::Busy,
                    errno::EINVAL,
                    format_args!("{queues} queues for {}", port.config.name),
                    "a queue that would go has a socket",
                    "close it first",
                ));
            }
            let port = &mut world.ports[index];
            let most = port.queues.len().max(queues as usize);
            port.queues.resize_with(most, Queue::default);
            port.active = queues;
            port.config.queues = queues;
            world.assign();
            Ok(())
        })
    }

    /// Changes the MTU.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) for one that cannot be.
    pub fn set_mtu(&self, mtu: u32) -> Result<()> {
        self.with(|world, port| {
            let config = NicConfig {
                mtu,
                ..world.ports[port].config.clone()
            };
            config.check()?;
            world.ports[port].config = config;
            Ok(())
        })
    }

    /// What goes wrong on the way into this NIC and in its sockets, from now on.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) for a chance or a delay out of its range.
    pub fn set_faults(&self, faults: Faults) -> Result<()> {
        faults.check()?;
        self.with(|world, port| {
            world.ports[port].faults = faults;
            Ok(())
        })
    }

    /// Starts to play packets into a queue, in place of what is played there now. Returns how many were left out, which is 0 unless they
    /// [may be](Playback::skip_unfit).
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid): no packets, no such queue, or a packet too short or too long, which is named; nothing is played then.
    pub fn play(&self, mut playback: Playback) -> Result<u64> {
        self.with(|world, port| {
            if playback.packets.is_empty() {
                return Err(FluxError::invalid(
                    "a playback",
                    "it has no packets",
                    "give it some",
                ));
            }
            let count = playback.packets.len();
            let queue = playback.queue;
            let check = |packet: &[u8]| check_packet(&world.ports[port], queue, packet);
            if playback.skips_unfit {
                playback.leave_out(|packet| {
                    check(packet).is_err_and(|error| error.errno() == errno::EMSGSIZE)
                });
            }
            for (number, (_, packet)) in playback.packets.iter().enumerate() {
                check(packet).map_err(|error| error.with_note(format_args!("packet {number}")))?;
            }
            let left_out = count - playback.packets.len();
            let player = Player::new(playback.clone(), world.now);
            world.ports[port].queues[queue as usize].player = Some(player);
            Ok(left_out as u64)
        })
    }

    /// Whether a playback is under way.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        let Ok(world) = self.shared.lock(USING) else {
            return false;
        };
        let queues = &world.ports[self.index].queues;
        queues.iter().any(|queue| queue.player.is_some())
    }

    /// Ends all playbacks.
    pub fn stop_playing(&self) {
        let Ok(mut world) = self.shared.lock(USING) else {
            return;
        };
        for queue in &mut world.ports[self.index].queues {
            queue.player = None;
        }
    }

    /// What it counted.
    #[must_use]
    pub fn counters(&self) -> NicCounters {
        self.shared.lock(USING).map_or_else(
            |_| NicCounters::default(),
            |world| world.ports[self.index].counters,
        )
    }

    /// Takes the NIC out of its network, as when a card is unplugged. Its sockets learn that it is gone.
    pub fn remove(&self) {
        let Ok(mut world) = self.shared.lock(USING) else {
            return;
        };
        let port = &mut world.ports[self.index];
        port.removed = true;
        port.gone.store(true, Ordering::Release);
        port.up = false;
        let peer = port.peer.take();
        let mut waiting = Vec::new();
        for queue in &mut port.queues {
            queue.player = None;
            waiting.extend(queue.inbound.drain(..).filter_map(|frame| frame.origin));
        }
        port.sent = VecDeque::new();
        port.passed = VecDeque::new();
        for (socket, packet) in waiting {
            world.complete(socket, packet);
        }
        if let Some(peer) = peer {
            world.ports[peer].peer = None;
        }
        world.news = true;
        world.assign();
        self.shared.announce(&mut world);
    }
}

/// Copies a packet to a buffer that has room for it.
fn copy_to_front(buffer: &mut [u8], packet: &[u8]) -> usize {
    for (place, byte) in buffer.iter_mut().zip(packet) {
        *place = *byte;
    }
    packet.len()
}

/// Whether a packet may come to a queue.
fn check_packet(port: &Port, queue: u32, packet: &[u8]) -> Result<()> {
    let name = &port.config.name;
    if queue >= port.active {
        return Err(FluxError::invalid(
            format_args!("a packet for queue {queue} of {name}"),
            format_args!("it has {} queues, counted from 0", port.active),
            "use one of them, or add queues",
        ));
    }
    if !(SHORTEST..=port.longest()).contains(&packet.len()) {
        return Err(FluxError::new(
            ErrorKind::Invalid,
            errno::EMSGSIZE,
            format_args!("a packet of {} bytes for {name}", packet.len()),
            format_args!(
                "{SHORTEST} to {} bytes pass: the MTU of {}, an Ethernet header and a VLAN tag",
                port.longest(),
                port.config.mtu
            ),
            "use another length or set the MTU",
        ));
    }
    if !port.up {
        return Err(FluxError::new(
            ErrorKind::Down,
            errno::ENETDOWN,
            format_args!("a packet for {name}"),
            "the simulated NIC is down",
            "set it up first",
        ));
    }
    Ok(())
}

fn busy(port: &Port) -> FluxError {
    FluxError::new(
        ErrorKind::Busy,
        errno::ENOBUFS,
        format_args!("a packet for {}", port.config.name),
        "the cable, or what is kept of the packets sent, is full",
        "let the network step, or take sent packets out",
    )
}

fn inject(world: &mut World, port: usize, queue: u32, packet: &[u8]) -> Result<()> {
    check_packet(&world.ports[port], queue, packet)?;
    let nic = &world.ports[port];
    if nic.queues[queue as usize].inbound.len() >= nic.config.cable as usize {
        return Err(busy(nic));
    }
    let mut bytes = world.buffer();
    bytes.clear();
    bytes.extend_from_slice(packet);
    world.enter(port, queue as usize, bytes, None);
    Ok(())
}

impl fmt::Debug for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Nic").field(&self.name).finish()
    }
}
