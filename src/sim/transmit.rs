//! The simulated kernel: how packets leave, and what happens to them on the cable.

use std::time::Duration;

use super::kernel_rings::InFlight;
use super::port::{Frame, Sock, SocketId};
use super::trace::EventKind;
use super::world::World;
use crate::backend::Kick;

/// Packets that one other may overtake.
const OVERTAKEN: u64 = 8;
/// The shortest packet: an Ethernet header.
const SHORTEST: usize = 14;

impl World {
    /// A transmit call in copy mode (`__xsk_generic_xmit`).
    pub(super) fn transmit_generic(&mut self, id: SocketId) -> Kick {
        let Some(socket) = self.sockets.get(&id) else {
            return Kick::Done;
        };
        let mut budget = socket.budget;
        loop {
            let Some(socket) = self.sockets.get_mut(&id) else {
                return Kick::Done;
            };
            if !socket.rings.has_packet() {
                socket.statistics.tx_ring_empty_descs += 1;
                return Kick::Done;
            }
            if budget == 0 {
                return Kick::Again;
            }
            budget -= 1;
            // A packet that the device drops ends the call, too (NET_XMIT_DROP, EBUSY).
            if self.transmit_one(id) != Transmitted::Sent {
                return Kick::Again;
            }
        }
    }

    /// A zero-copy driver's look at the TX rings of a queue, each in turn.
    pub(super) fn transmit_driver(&mut self, port: usize, queue: usize, most: u32) -> u32 {
        if !self.ports[port].up || queue >= self.ports[port].active as usize {
            return 0;
        }
        let mut done = 0;
        let mut next = 0;
        while let Some(&id) = self.ports[port].queues[queue].sockets.get(next) {
            let sockets = self.ports[port].queues[queue].sockets.len() as u32;
            // None keeps the others waiting.
            let share = (most / sockets).max(1).min(most - done);
            done += self.transmit_ring(id, share);
            next += 1;
        }
        done
    }

    /// A zero-copy driver's look at one TX ring; without packets it asks the program to call.
    fn transmit_ring(&mut self, id: SocketId, most: u32) -> u32 {
        let mut done = 0;
        while done < most {
            let Some(socket) = self.sockets.get_mut(&id) else {
                break;
            };
            if !socket.zero_copy || !socket.tx_active {
                break;
            }
            if !socket.rings.has_packet() {
                socket.statistics.tx_ring_empty_descs += 1;
                go_idle(socket);
                if socket.tx_active {
                    continue;
                }
                break;
            }
            match self.transmit_one(id) {
                Transmitted::Sent | Transmitted::Dropped => done += 1,
                Transmitted::DeviceFull => break,
                Transmitted::CompletionFull => {
                    if let Some(socket) = self.sockets.get_mut(&id) {
                        go_idle(socket);
                    }
                    break;
                }
            }
        }
        done
    }

    /// Sends the next packet, which is there.
    fn transmit_one(&mut self, id: SocketId) -> Transmitted {
        let Some(socket) = self.sockets.get(&id) else {
            return Transmitted::DeviceFull;
        };
        let (port, queue, zero_copy) = (socket.port, socket.queue as usize, socket.zero_copy);
        let owner = socket.owner;
        if !self.has_room(port, queue) {
            return Transmitted::DeviceFull;
        }
        let mut bytes = self.buffer();
        let Some(packet) = self.take_packet(id, owner, &mut bytes) else {
            self.keep(bytes);
            return Transmitted::CompletionFull;
        };
        self.news = true;
        let origin = if zero_copy {
            // The device has read the frame.
            self.complete(owner, packet);
            None
        } else {
            Some((owner, packet))
        };
        if self.leave(port, queue, bytes, origin) {
            Transmitted::Sent
        } else {
            Transmitted::Dropped
        }
    }

    /// Takes the next packet out of a socket's TX ring, with a slot in the completion ring that it uses.
    fn take_packet(
        &mut self,
        id: SocketId,
        owner: SocketId,
        bytes: &mut Vec<u8>,
    ) -> Option<InFlight> {
        if id == owner {
            return self.sockets.get_mut(&id)?.rings.transmit(bytes);
        }
        if !self.sockets.get_mut(&owner)?.rings.reserve() {
            return None;
        }
        let packet = self.sockets.get_mut(&id)?.rings.transmit_reserved(bytes);
        if packet.is_none() {
            self.sockets.get_mut(&owner)?.rings.unreserve();
        }
        packet
    }

    /// Whether the way out of a NIC has room for one more packet.
    pub(super) fn has_room(&self, port: usize, queue: usize) -> bool {
        let nic = &self.ports[port];
        match nic.peer {
            Some(peer) => {
                let queue = queue % self.ports[peer].active as usize;
                !self.is_full(peer, queue) || self.is_stopped(peer, queue)
            }
            None => nic.config.keep == 0 || nic.sent.len() < nic.config.keep as usize,
        }
    }

    /// Whether the cable towards a queue is full.
    fn is_full(&self, port: usize, queue: usize) -> bool {
        let port = &self.ports[port];
        port.queues[queue].inbound.len() >= port.config.cable as usize
    }

    /// Whether a driver without frames receives nothing now. It does not stop the sender: what the cable has no room for is lost,
    /// or two such drivers would wait for each other for ever.
    fn is_stopped(&self, port: usize, queue: usize) -> bool {
        let first = self.ports[port].queues[queue].sockets.first();
        let socket = first.and_then(|id| self.sockets.get(id));
        socket.is_some_and(|socket| socket.zero_copy && socket.rx_stopped)
    }

    /// A packet leaves a NIC, which has room for it; false when it is dropped instead, for its length.
    pub(super) fn leave(
        &mut self,
        port: usize,
        queue: usize,
        bytes: Vec<u8>,
        origin: Option<(SocketId, InFlight)>,
    ) -> bool {
        self.note(port, queue, EventKind::Sent, &bytes);
        let now = self.now;
        let nic = &mut self.ports[port];
        let fits = (SHORTEST..=nic.longest()).contains(&bytes.len());
        let peer = nic.peer;
        if fits {
            nic.counters.tx_packets += 1;
            if let Some(recorder) = &mut nic.recorder {
                recorder.left(now, &bytes);
            }
        } else {
            // As the kernel's veth: it is gone without a word, but for a counter.
            nic.counters.tx_dropped += 1;
        }
        if let (true, Some(peer)) = (fits, peer) {
            let queue = queue % self.ports[peer].active as usize;
            if !self.is_full(peer, queue) {
                self.enter(peer, queue, bytes, origin);
                return true;
            }
            self.ports[peer].counters.rx_missed += 1;
            self.note(peer, queue, EventKind::Dropped, &bytes);
            self.keep(bytes);
        } else if fits && self.ports[port].config.keep > 0 {
            self.ports[port].sent.push_back(bytes);
        } else {
            self.keep(bytes);
        }
        if let Some((socket, packet)) = origin {
            self.complete(socket, packet);
        }
        fits
    }

    /// A packet enters the cable towards a NIC, where faults wait for it.
    pub(super) fn enter(
        &mut self,
        port: usize,
        queue: usize,
        mut bytes: Vec<u8>,
        origin: Option<(SocketId, InFlight)>,
    ) {
        let faults = self.ports[port].faults;
        if faults.spare_packets() {
            return self.queue(port, queue, bytes, origin, Duration::ZERO);
        }
        if self.random.happens(faults.loss) {
            self.note(port, queue, EventKind::Lost, &bytes);
            self.ports[port].counters.rx_lost += 1;
            if let Some((socket, packet)) = origin {
                self.complete(socket, packet);
            }
            return self.keep(bytes);
        }
        if self.random.happens(faults.corruption) {
            let bit = self.random.below(bytes.len() as u64 * 8) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
            self.note(port, queue, EventKind::Corrupted, &bytes);
        }
        if self.random.happens(faults.truncation) && bytes.len() > SHORTEST {
            let cut = self.random.below((bytes.len() - SHORTEST) as u64) as usize;
            bytes.truncate(SHORTEST + cut);
            self.note(port, queue, EventKind::Truncated, &bytes);
        }
        let mut late = Duration::ZERO;
        if self.random.happens(faults.delay) {
            late = self.some_time(faults.max_delay);
            self.note(port, queue, EventKind::Delayed, &bytes);
        } else if self.random.happens(faults.burst) {
            late = faults.max_delay;
            self.note(port, queue, EventKind::Delayed, &bytes);
        }
        let twin = self.random.happens(faults.duplication);
        let overtakes = self.random.happens(faults.reordering);
        if twin {
            let mut copy = self.buffer();
            copy.clone_from(&bytes);
            self.note(port, queue, EventKind::Duplicated, &copy);
            self.queue(port, queue, bytes, origin, late);
            self.queue(port, queue, copy, None, late);
        } else {
            self.queue(port, queue, bytes, origin, late);
        }
        if overtakes {
            self.overtake(port, queue);
        }
    }

    /// Puts a packet behind all others; it is due in `late`, and not before them.
    fn queue(
        &mut self,
        port: usize,
        queue: usize,
        bytes: Vec<u8>,
        origin: Option<(SocketId, InFlight)>,
        late: Duration,
    ) {
        let due = self.now.saturating_add(late);
        let queue = &mut self.ports[port].queues[queue];
        queue.last_due = due.max(queue.last_due);
        queue.inbound.push_back(Frame {
            bytes,
            due: queue.last_due,
            origin,
        });
    }

    /// Moves the last packet before some of the others, if there are any.
    fn overtake(&mut self, port: usize, queue: usize) {
        let by = self.random.below(OVERTAKEN) as usize + 1;
        let inbound = &mut self.ports[port].queues[queue].inbound;
        let Some(mut last) = inbound.pop_back() else {
            return;
        };
        let place = inbound.len().saturating_sub(by);
        let Some(other) = inbound.get(place) else {
            return inbound.push_back(last);
        };
        // Due when the packet is whose place it takes, so that the queue stays in the order of time.
        last.due = other.due;
        let bytes = std::mem::take(&mut last.bytes);
        self.note(port, queue, EventKind::Reordered, &bytes);
        last.bytes = bytes;
        self.ports[port].queues[queue].inbound.insert(place, last);
    }
}

/// What became of an attempt to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transmitted {
    Sent,
    Dropped,
    /// The cable has no room.
    DeviceFull,
    /// The completion ring has no room.
    CompletionFull,
}

/// The driver stops looking at the TX ring until it is called, unless there is something to do after all.
fn go_idle(socket: &mut Sock) {
    socket.tx_active = false;
    if socket.need_wakeup {
        socket.rings.set_tx_wakeup(true);
        // The program may have looked at the flag just before.
        if socket.rings.can_transmit() {
            socket.rings.set_tx_wakeup(false);
            socket.tx_active = true;
        }
    }
}
