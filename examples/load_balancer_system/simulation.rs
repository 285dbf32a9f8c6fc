//! The other end of a simulated link: clients and backends, one of which falls silent, or the replay of a capture file.

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use fluxcap::FluxError;
use fluxcap::proto::{Arp, ArpOperation, EtherType, Ethernet, FlowKey, IpProtocol, MacAddr};
use fluxcap::sim::Nic;

use super::frames;

/// The number of flows, half of them TCP, half of them UDP.
const FLOWS: u32 = 2000;
/// Flows that wait for an answer at the same time.
const IN_FLIGHT: u32 = 32;
/// When the clients begin: by then the backends have answered.
const START: Duration = Duration::from_secs(3);
/// How long they wait after a backend fell silent: long enough to notice it.
const REST: Duration = Duration::from_secs(6);
/// Simulated time that passes in one turn of the wait.
const STEP: Duration = Duration::from_millis(500);
/// It gives up after so many turns without an answer.
const PATIENCE: u32 = 100;
/// Bytes of a request. An answer has `ANSWER` and the number of its backend, so that the length tells it.
const QUESTION: usize = 20;
const ANSWER: usize = 100;

pub(crate) enum Simulation {
    Replay(Nic),
    Neighbours(Neighbours),
}

/// All flows ask once, the last backend falls silent, and all flows ask again.
pub(crate) struct Neighbours {
    nic: Nic,
    queue: u32,
    /// The MAC address of the balancer.
    balancer: MacAddr,
    service: SocketAddrV4,
    backends: Vec<SocketAddrV4>,
    /// The flows by the keys of their answers.
    answers: HashMap<FlowKey, u32>,
    /// The backend that served a flow, in the first and in the second round.
    served: [Vec<Option<usize>>; 2],
    round: usize,
    asked: u32,
    answered: u32,
    arp_answered: bool,
    wrong: u32,
    /// When the next round begins.
    begin: Duration,
    patience: u32,
}

impl Simulation {
    /// Moves packets. Returns false when no more will come.
    pub(crate) fn poll_once(&mut self) -> Result<bool, FluxError> {
        let (nic, more) = match self {
            Self::Replay(nic) => (&*nic, nic.is_playing()),
            Self::Neighbours(neighbours) => {
                let more = neighbours.poll_once()?;
                (&neighbours.nic, more)
            }
        };
        nic.network().settle();
        Ok(more)
    }

    /// Simulated time.
    pub(crate) fn now(&self) -> Duration {
        match self {
            Self::Replay(nic) | Self::Neighbours(Neighbours { nic, .. }) => nic.network().now(),
        }
    }

    /// Returns whether all went well.
    pub(crate) fn finish(self) -> Result<bool, FluxError> {
        let (nic, good) = match self {
            Self::Replay(nic) => (nic, true),
            Self::Neighbours(neighbours) => {
                let good = neighbours.finish();
                (neighbours.nic, good)
            }
        };
        nic.end_recording()?;
        Ok(good)
    }
}

impl Neighbours {
    pub(crate) fn new(
        nic: Nic,
        queue: u32,
        balancer: MacAddr,
        service: SocketAddrV4,
        backends: &[SocketAddrV4],
    ) -> Self {
        let answers = (0..FLOWS).map(|flow| {
            let answer = frames::datagram(protocol(flow), service.into(), client(flow).into(), 0);
            (FlowKey::parse(&answer), flow)
        });
        Self {
            nic,
            queue,
            balancer,
            service,
            backends: backends.to_vec(),
            answers: answers.collect(),
            served: [vec![None; FLOWS as usize], vec![None; FLOWS as usize]],
            round: 0,
            asked: 0,
            answered: 0,
            arp_answered: false,
            wrong: 0,
            begin: START,
            patience: 0,
        }
    }

    /// Takes what the balancer sent, and sends more requests. Returns false at the end, good or bad.
    fn poll_once(&mut self) -> Result<bool, FluxError> {
        self.patience += 1;
        self.nic.network().settle();
        while let Some(frame) = self.nic.take_sent() {
            let good = self.take(&frame)?;
            self.wrong += u32::from(!good);
        }
        let network = self.nic.network();
        if network.now() < self.begin {
            // Simulated time also passes in waits, but not for a balancer that spins.
            network.advance(STEP);
        }
        let now = network.now();
        if self.answered == FLOWS && self.round == 0 {
            (self.round, self.asked, self.answered) = (1, 0, 0);
            self.begin = now + REST;
        }
        if now >= self.begin && !self.arp_answered && self.asked == 0 {
            let mut request = frames::arp(ArpOperation::REQUEST);
            let (arp, _) = Arp::parse_mut(&mut request[Ethernet::LEN..]).expect("long enough");
            arp.set_target_ip(*self.service.ip());
            self.nic.inject(self.queue, &request)?;
        }
        while now >= self.begin && self.asked < FLOWS && self.asked - self.answered < IN_FLIGHT {
            let (flow, to) = (self.asked, self.service);
            let mut frame =
                frames::datagram(protocol(flow), client(flow).into(), to.into(), QUESTION);
            frames::address(&mut frame, frames::SENDER, self.balancer);
            if protocol(flow) == IpProtocol::TCP {
                frames::leave_checksum(&mut frame);
            }
            self.nic.inject(self.queue, &frame)?;
            self.asked += 1;
        }
        Ok(self.answered < FLOWS && self.wrong == 0 && self.patience < PATIENCE)
    }

    /// Takes a frame that the balancer sent. Returns false if it is wrong.
    fn take(&mut self, frame: &[u8]) -> Result<bool, FluxError> {
        let Ok((ethernet, payload)) = Ethernet::parse(frame) else {
            return Ok(false);
        };
        if ethernet.source() != self.balancer {
            return Ok(false);
        }
        if ethernet.ether_type() == EtherType::ARP {
            let Ok((arp, _)) = Arp::parse(payload) else {
                return Ok(false);
            };
            return self.take_arp(arp, frame);
        }
        let key = FlowKey::parse(frame);
        match self.answers.get(&key) {
            Some(&flow) => Ok(self.take_answer(flow, frame)),
            None => self.take_question(&key, frame),
        }
    }

    /// Takes an ARP request for a backend, or an ARP reply for a client.
    fn take_arp(&mut self, arp: &Arp, frame: &[u8]) -> Result<bool, FluxError> {
        if arp.operation() == ArpOperation::REPLY {
            self.arp_answered = arp.sender_ip() == *self.service.ip();
            return Ok(self.arp_answered && arp.sender_mac() == self.balancer);
        }
        let wanted = arp.target_ip();
        let found = self
            .backends
            .iter()
            .position(|backend| *backend.ip() == wanted);
        let Some(number) = found.filter(|&number| !self.is_silent(number)) else {
            return Ok(found.is_some());
        };
        let mut reply = frame.to_vec();
        let (arp, _) = Arp::parse_mut(&mut reply[Ethernet::LEN..]).expect("as before");
        arp.into_reply(mac(number));
        frames::address(&mut reply, mac(number), self.balancer);
        self.nic.inject(self.queue, &reply)?;
        Ok(true)
    }

    /// A backend answers a request.
    fn take_question(&mut self, key: &FlowKey, frame: &[u8]) -> Result<bool, FluxError> {
        let addresses = key.addresses().zip(key.ports());
        let Some(((source, destination), ports)) = addresses else {
            return Ok(false);
        };
        let asker = (source, ports.0).into();
        let asked = (destination, ports.1).into();
        let backends = &self.backends;
        let number = backends.iter().position(|&backend| asked == backend.into());
        let (Some(number), Some(protocol)) = (number, key.protocol()) else {
            return Ok(false);
        };
        let mut expected = frames::datagram(protocol, asker, asked, QUESTION);
        frames::address(&mut expected, self.balancer, mac(number));
        if frame != expected || source != *self.service.ip() || self.is_silent(number) {
            return Ok(false);
        }
        let mut answer = frames::datagram(protocol, asked, asker, ANSWER + number);
        frames::address(&mut answer, mac(number), self.balancer);
        self.nic.inject(self.queue, &answer)?;
        Ok(true)
    }

    /// A client takes its answer.
    fn take_answer(&mut self, flow: u32, frame: &[u8]) -> bool {
        let (from, to) = (self.service.into(), client(flow).into());
        for number in 0..self.backends.len() {
            let mut expected = frames::datagram(protocol(flow), from, to, ANSWER + number);
            frames::address(&mut expected, self.balancer, frames::SENDER);
            if frame == expected {
                self.answered += 1;
                self.patience = 0;
                let before = self.served[self.round][flow as usize].replace(number);
                return before.is_none();
            }
        }
        false
    }

    fn is_silent(&self, backend: usize) -> bool {
        self.round == 1 && backend + 1 == self.backends.len()
    }

    /// Prints the result. Returns whether every flow was answered, and no flow moved without need.
    fn finish(&self) -> bool {
        let [first, second] = &self.served;
        for (number, backend) in self.backends.iter().enumerate() {
            let count =
                |served: &[Option<usize>]| served.iter().filter(|&&by| by == Some(number)).count();
            let (first, second) = (count(first), count(second));
            println!("{backend} served {first} flows, then {second}");
        }
        let last = self.backends.len() - 1;
        let rounds = first.iter().zip(second);
        let (mut moved, mut astray) = (0, 0);
        for (first, second) in rounds {
            match first == second {
                false if *first == Some(last) => moved += 1,
                false => astray += 1,
                true => {}
            }
        }
        let lost = second.iter().filter(|served| served.is_none()).count();
        println!(
            "{FLOWS} flows: {moved} of a backend that fell silent moved, {astray} others moved, {lost} were lost, {} packets wrong",
            self.wrong
        );
        astray == 0 && lost == 0 && self.wrong == 0 && self.arp_answered
    }
}

fn protocol(flow: u32) -> IpProtocol {
    if flow.is_multiple_of(2) {
        IpProtocol::TCP
    } else {
        IpProtocol::UDP
    }
}

/// A client behind a router.
fn client(flow: u32) -> SocketAddrV4 {
    let address = u32::from_be_bytes([198, 18, 0, 1]) + flow / 10;
    SocketAddrV4::new(address.into(), 40_000 + (flow % 10) as u16)
}

fn mac(backend: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0xbb, backend as u8])
}
