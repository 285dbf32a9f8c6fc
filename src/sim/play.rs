//! Packets that come by themselves: a capture replayed, or traffic made up.

use std::sync::Arc;
use std::time::Duration;

use super::trace::EventKind;
use super::world::World;

/// How fast a [`Playback`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Speed {
    /// At the recorded times, counted from the start of the playback.
    #[default]
    Recorded,
    /// As fast as it goes: what the receiver has no frame or room for is dropped and counted, as on a real link. When simulated
    /// time passes, one packet a microsecond.
    Full,
    /// As fast as the receiving socket takes them, so that none is dropped. Without a socket: as [`Full`](Self::Full).
    Paced,
}

/// Packets to be played into a NIC.
///
/// ```
/// use std::time::Duration;
/// use fluxcap::sim::{Network, Playback, Speed};
///
/// let network = Network::new();
/// let nic = network.nic("sim0")?;
/// nic.play(Playback::of([vec![0; 64]]).speed(Speed::Full).times(1000))?;
/// network.settle();
/// assert_eq!(nic.counters().rx_packets, 1000);
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "it starts with `Nic::play`"]
pub struct Playback {
    pub(super) packets: Arc<Vec<(Duration, Vec<u8>)>>,
    pub(super) queue: u32,
    pub(super) speed: Speed,
    pub(super) times: u64,
    pub(super) skips_unfit: bool,
}

impl Playback {
    /// Packets at their times, which are counted from the start and should not go back.
    pub fn at(packets: impl IntoIterator<Item = (Duration, Vec<u8>)>) -> Self {
        Self {
            // A vector stays where it is.
            packets: Arc::new(packets.into_iter().collect()),
            queue: 0,
            speed: Speed::Recorded,
            times: 1,
            skips_unfit: false,
        }
    }

    /// Packets without times: all are due at once.
    pub fn of(packets: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self::at(packets.into_iter().map(|bytes| (Duration::ZERO, bytes)))
    }

    /// How many packets there are, in one round.
    #[must_use]
    pub fn packet_count(&self) -> usize {
        self.packets.len()
    }

    /// The queue to play into. Default 0.
    pub fn queue(mut self, queue: u32) -> Self {
        self.queue = queue;
        self
    }

    /// How fast. Default [`Speed::Recorded`].
    pub fn speed(mut self, speed: Speed) -> Self {
        self.speed = speed;
        self
    }

    /// Leaves out the packets that are too short or too long for the NIC, which without this make [`Nic::play`](super::Nic::play) refuse
    /// all of them. The others keep their times.
    ///
    /// ```
    /// use fluxcap::sim::{Network, Playback};
    ///
    /// let network = Network::new();
    /// let nic = network.nic("sim0")?;
    /// let playback = Playback::of([vec![0; 60], vec![0; 9000], vec![0; 60]]);
    /// assert!(nic.play(playback.clone()).is_err());
    /// assert_eq!(nic.play(playback.skip_unfit())?, 1);
    /// network.settle();
    /// assert_eq!(nic.counters().rx_packets, 2);
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn skip_unfit(mut self) -> Self {
        self.skips_unfit = true;
        self
    }

    /// How often all packets are played; `u64::MAX` is as good as for ever. Default once.
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }
}

impl Playback {
    /// Takes out the packets that do not fit, unless that is all of them.
    pub(super) fn leave_out(&mut self, is_unfit: impl Fn(&[u8]) -> bool) {
        let is_fit = |(_, packet): &&(Duration, Vec<u8>)| !is_unfit(packet);
        let count = self.packets.iter().filter(is_fit).count();
        if count > 0 && count < self.packets.len() {
            Arc::make_mut(&mut self.packets).retain(|packet| is_fit(&packet));
        }
    }
}

/// A playback under way.
#[derive(Debug)]
pub(super) struct Player {
    playback: Playback,
    start: Duration,
    next: usize,
    round: u64,
    /// The receiver takes nothing now.
    blocked: bool,
    /// Packets that may come at full speed while simulated time passes.
    credit: u64,
}

/// What one packet takes at full speed, when simulated time passes.
pub(super) const GAP: Duration = Duration::from_micros(1);
/// Packets that come at once then.
const CROWD: u32 = 64;

impl Player {
    pub(super) fn new(playback: Playback, start: Duration) -> Self {
        Self {
            playback,
            start,
            next: 0,
            round: 0,
            blocked: false,
            credit: 0,
        }
    }

    /// Lets so many packets more come at full speed; what is not used is soon forgotten.
    pub(super) fn allow(&mut self, packets: u64) {
        let most = 2 * u64::from(CROWD);
        self.credit = self.credit.saturating_add(packets).min(most);
    }

    /// When time has to pass until, for the next packet to come; `None` when time changes nothing.
    pub(super) fn next_due(&self, now: Duration) -> Option<Duration> {
        let due = self.due()?;
        match self.playback.speed {
            Speed::Recorded => Some(due),
            Speed::Full | Speed::Paced => {
                (!self.blocked).then(|| now.saturating_add(CROWD * GAP).max(due))
            }
        }
    }

    /// When the next packet is due; `None` when there is none.
    pub(super) fn due(&self) -> Option<Duration> {
        if self.round >= self.playback.times {
            return None;
        }
        let (time, _) = self.playback.packets.get(self.next)?;
        match self.playback.speed {
            Speed::Recorded => Some(self.start.saturating_add(*time)),
            Speed::Full | Speed::Paced => Some(self.start),
        }
    }

    fn advance(&mut self) {
        self.next += 1;
        if self.next == self.playback.packets.len() {
            // The next round begins when this one ends; without regard to times, it begins at once.
            if let (Speed::Recorded, Some((last, _))) =
                (self.playback.speed, self.playback.packets.last())
            {
                // Rounds without end must not come all at once.
                self.start = self.start.saturating_add((*last).max(GAP));
            }
            self.next = 0;
            self.round += 1;
        }
    }
}

impl World {
    /// Whether a queue's receiver takes what is on the way and one packet more, as far as can be known.
    fn takes_one_more(&mut self, port: usize, queue: usize) -> bool {
        let on_the_way = !self.ports[port].queues[queue].inbound.is_empty();
        let Some(owner) = self.receiver(port, queue) else {
            return true;
        };
        if on_the_way || !owner.rings.has_frame() {
            return false;
        }
        // Which of several sockets it will be for is not known yet.
        let bound = &self.ports[port].queues[queue].sockets;
        bound.iter().all(|id| {
            let socket = self.sockets.get_mut(id);
            socket.is_none_or(|socket| socket.rings.rx_has_room())
        })
    }

    /// Whether traffic waits for its receiver.
    pub(super) fn is_blocked(&self) -> bool {
        let queues = self.ports.iter().flat_map(|port| &port.queues);
        let mut players = queues.filter_map(|queue| queue.player.as_ref());
        players.any(|player| player.blocked)
    }

    /// Plays up to `most` packets that are due into a queue.
    pub(super) fn play(&mut self, port: usize, queue: usize, most: u32) -> u32 {
        if self.ports[port].queues[queue].player.is_none() {
            return 0;
        }
        let Some(mut player) = self.ports[port].queues[queue].player.take() else {
            return 0;
        };
        let packets = Arc::clone(&player.playback.packets);
        let direct = self.ports[port].faults.spare_packets();
        let metered = self.paced && player.playback.speed != Speed::Recorded;
        let most = if metered {
            most.min(u32::try_from(player.credit).unwrap_or(u32::MAX))
        } else {
            most
        };
        player.blocked = false;
        let mut done = 0;
        while done < most && player.due().is_some_and(|due| due <= self.now) {
            let (_, bytes) = &packets[player.next];
            let paced = player.playback.speed == Speed::Paced;
            if paced && !self.takes_one_more(port, queue) {
                player.blocked = true;
                break;
            }
            let waiting = self.ports[port].queues[queue].inbound.len();
            if direct && waiting == 0 && !self.is_driver_dry(port, queue) {
                self.arrive(port, queue, bytes);
            } else if waiting < self.ports[port].config.cable as usize {
                let mut copy = self.buffer();
                copy.clone_from(bytes);
                self.enter(port, queue, copy, None);
            } else if player.playback.speed == Speed::Full {
                self.ports[port].counters.rx_missed += 1;
                self.note(port, queue, EventKind::Dropped, bytes);
            } else {
                player.blocked = true;
                break;
            }
            player.advance();
            done += 1;
        }
        if done > 0 {
            self.flush(port, queue);
        }
        if metered {
            player.credit -= u64::from(done);
        }
        if player.due().is_some() {
            self.ports[port].queues[queue].player = Some(player);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Network;

    #[test]
    fn an_endless_playback_plays_a_packet_a_microsecond_when_time_passes() {
        for speed in [Speed::Full, Speed::Recorded] {
            let network = Network::new();
            let nic = network.nic("sim0").unwrap();
            let endless = Playback::of([vec![0; 60]]).times(u64::MAX);
            nic.play(endless.speed(speed)).unwrap();
            network.advance(Duration::from_millis(1));
            let played = nic.counters().rx_packets;
            assert!((1000..=1001).contains(&played), "{speed:?}: {played}");
            assert_eq!(network.step(10), if speed == Speed::Full { 10 } else { 0 });
        }
    }

    #[test]
    fn time_that_cannot_be_counted_is_no_fault() {
        let network = Network::new();
        let nic = network.nic("sim0").unwrap();
        nic.play(Playback::at([(Duration::MAX, vec![0; 60])]).times(2))
            .unwrap();
        network.advance(Duration::from_secs(1));
        network.advance(Duration::MAX);
        assert_eq!(network.now(), Duration::MAX);
    }

    #[test]
    fn rounds_follow_each_other_at_once_unless_recorded_times_count() {
        let at = |nanos| (Duration::from_nanos(nanos), vec![0; 60]);
        for (speed, wanted) in [(Speed::Full, 30), (Speed::Paced, 30), (Speed::Recorded, 1)] {
            let network = Network::new();
            let nic = network.nic("sim0").unwrap();
            let playback = Playback::at([at(0), at(500), at(1000)]);
            nic.play(playback.speed(speed).times(10)).unwrap();
            assert_eq!(network.settle(), wanted, "{speed:?}");
            network.advance(Duration::from_micros(10));
            assert_eq!(nic.counters().rx_packets, 30, "{speed:?}");
        }
    }
}
