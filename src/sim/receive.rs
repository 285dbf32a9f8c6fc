//! The simulated kernel: what happens when packets arrive.

use super::kernel_rings::Received;
use super::port::{Frame, Sock, SocketId};
use super::trace::EventKind;
use super::world::World;

impl World {
    /// Takes packets off the cable.
    pub(super) fn arrivals(&mut self, port: usize, queue: usize, most: u32) -> u32 {
        let mut done = 0;
        while done < most {
            let inbound = &self.ports[port].queues[queue].inbound;
            if inbound.front().is_none_or(|frame| frame.due > self.now) {
                break;
            }
            if self.is_driver_dry(port, queue) {
                self.complete_waiting(port, queue);
                break;
            }
            let Some(frame) = self.ports[port].queues[queue].inbound.pop_front() else {
                break;
            };
            let Frame { bytes, origin, .. } = frame;
            self.arrive(port, queue, &bytes);
            if let Some((socket, packet)) = origin {
                self.complete(socket, packet);
            }
            self.keep(bytes);
            done += 1;
        }
        if done > 0 {
            self.flush(port, queue);
        }
        done
    }

    /// Completes packets that wait for a receiver without frames: they have left their sender all the same.
    fn complete_waiting(&mut self, port: usize, queue: usize) {
        let mut away = Vec::new();
        for frame in &mut self.ports[port].queues[queue].inbound {
            if frame.due <= self.now {
                away.extend(frame.origin.take());
            }
        }
        for (socket, packet) in away {
            self.complete(socket, packet);
        }
    }

    /// Whether a zero-copy driver has no frame to receive into: packets stay on the cable then, and the program is asked to call.
    ///
    /// In copy mode the kernel looks at the fill ring when a packet has come, and drops it if there is no frame.
    pub(super) fn is_driver_dry(&mut self, port: usize, queue: usize) -> bool {
        let Some(socket) = self.receiver(port, queue) else {
            return false;
        };
        if !socket.zero_copy {
            return false;
        }
        if socket.rx_stopped && socket.need_wakeup {
            return true;
        }
        if socket.rings.has_frame() {
            socket.rx_stopped = false;
            return false;
        }
        if !socket.rx_stopped {
            socket.rx_stopped = true;
            socket.statistics.rx_fill_ring_empty_descs += 1;
        }
        if socket.need_wakeup {
            socket.rings.set_rx_wakeup(true);
            // The program may have looked at the flag just before.
            if socket.rings.has_frame() {
                socket.rings.set_rx_wakeup(false);
                socket.rx_stopped = false;
            }
        }
        socket.rx_stopped
    }

    /// The socket whose fill ring the packets of a queue need, if they go to a socket at all.
    pub(super) fn receiver(&mut self, port: usize, queue: usize) -> Option<&mut Sock> {
        let port = &self.ports[port];
        port.program.as_ref()?;
        if queue >= port.active as usize || !port.up {
            return None;
        }
        let queue = &port.queues[queue];
        queue.entries.iter().find_map(|entry| *entry)?;
        self.sockets.get_mut(queue.sockets.first()?)
    }

    /// A packet for a socket, into a frame of the fill ring that it uses.
    fn receive(&mut self, id: SocketId, bytes: &[u8]) -> Received {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return Received::RxFull;
        };
        let owner = socket.owner;
        if owner == id {
            return socket.rings.receive(bytes);
        }
        if !socket.rings.fits(bytes) {
            return Received::TooLong;
        }
        let frame = self
            .sockets
            .get_mut(&owner)
            .and_then(|owner| owner.rings.take_frame());
        let (Some(frame), Some(socket)) = (frame, self.sockets.get_mut(&id)) else {
            return Received::NoFrame;
        };
        match socket.rings.receive_into(frame, bytes) {
            Ok(()) => Received::Done,
            Err(frame) => {
                if let Some(owner) = self.sockets.get_mut(&owner) {
                    owner.rings.keep_frame(frame);
                }
                Received::RxFull
            }
        }
    }

    /// One packet reaches a NIC: to a socket, to the host, or nowhere. Sockets see it after [`flush`](Self::flush).
    pub(super) fn arrive(&mut self, port: usize, queue: usize, bytes: &[u8]) {
        self.note(port, queue, EventKind::Arrived, bytes);
        let now = self.now;
        let nic = &mut self.ports[port];
        nic.counters.rx_packets += 1;
        if !nic.up || nic.removed || queue >= nic.active as usize {
            nic.counters.rx_down += 1;
            return self.note(port, queue, EventKind::Dropped, bytes);
        }
        if let Some(recorder) = &mut nic.recorder {
            recorder.arrived(now, bytes);
        }
        let starved = self.random.happens(nic.faults.starvation);
        let entry = nic.queues[queue].entry_for(bytes);
        let kind = match (&mut nic.program, entry) {
            (Some(program), Some(id)) => {
                program.counters.redirect += 1;
                let received = if starved {
                    Received::NoFrame
                } else {
                    self.receive(id, bytes)
                };
                self.count(id, received, starved)
            }
            (program, _) => {
                if let Some(program) = program {
                    program.counters.pass += 1;
                }
                nic.counters.passed += 1;
                if nic.passed.len() < nic.config.keep as usize {
                    nic.passed.push_back(bytes.to_vec());
                    EventKind::Passed
                } else {
                    nic.counters.host_dropped += 1;
                    EventKind::Dropped
                }
            }
        };
        self.note(port, queue, kind, bytes);
    }

    /// Counts what became of a packet for a socket.
    fn count(&mut self, id: SocketId, received: Received, starved: bool) -> EventKind {
        if received == Received::Done {
            return EventKind::Received;
        }
        let Some(socket) = self.sockets.get_mut(&id) else {
            return EventKind::Dropped;
        };
        let owner = socket.owner;
        match received {
            Received::Done => {}
            // `xsk_rcv_check`: the packet does not fit a frame.
            Received::TooLong => socket.statistics.rx_dropped += 1,
            // `xp_alloc` counts the empty fill ring, `__xsk_rcv` the packet.
            Received::NoFrame => {
                socket.statistics.rx_dropped += 1;
                if let Some(owner) = self.sockets.get_mut(&owner) {
                    owner.statistics.rx_fill_ring_empty_descs += 1;
                }
                if starved {
                    return EventKind::Starved;
                }
            }
            // `__xsk_rcv_zc`.
            Received::RxFull => socket.statistics.rx_ring_full += 1,
        }
        EventKind::Dropped
    }

    /// Shows the sockets of a queue what was received.
    pub(super) fn flush(&mut self, port: usize, queue: usize) {
        let port = &self.ports[port];
        if port.program.is_none() || queue >= port.active as usize || !port.up {
            return;
        }
        for id in &port.queues[queue].sockets {
            if let Some(socket) = self.sockets.get_mut(id)
                && socket.rings.flush() > 0
            {
                self.news = true;
            }
        }
    }
}
