//! Two simulated links with the firewall between them, and neighbours at their other ends that send packets and check what arrives.

use std::net::SocketAddr;
use std::path::Path;

use fluxcap::proto::{ArpOperation, EtherType, IpProtocol};
use fluxcap::sim::{Network, Nic, NicConfig, Playback, Speed};
use fluxcap::{FluxError, Link};

use super::frames;

/// How often each generated packet is sent.
const TIMES: u64 = 2000;

/// The two links.
pub(crate) struct Simulation {
    nics: [Nic; 2],
    traffic: Traffic,
}

enum Traffic {
    /// A capture file is replayed; the packets that passed, by the link that they came out of.
    Replay([u64; 2]),
    Generated {
        streams: Vec<Stream>,
        unexpected: u64,
    },
}

/// A packet that is sent again and again.
struct Stream {
    name: &'static str,
    /// The link that it comes from.
    from: usize,
    frame: Vec<u8>,
    /// What should come out of the other link.
    expected: Vec<u8>,
    offered: u64,
    passed: u64,
}

impl Simulation {
    /// Two cards. A capture file may be replayed into the first, or recorded from it.
    pub(crate) fn new(
        queue: u32,
        pcap: Option<&Path>,
        record: Option<&Path>,
        completes: bool,
    ) -> Result<Self, FluxError> {
        let network = Network::new();
        let card = |name| {
            network.add(NicConfig {
                queues: queue.saturating_add(1),
                zero_copy: true,
                ..NicConfig::new(name)
            })
        };
        let nics = [card("in0")?, card("out0")?];
        if let Some(file) = record {
            nics[0].record(file)?;
        }
        let traffic = match pcap {
            None => Traffic::Generated {
                streams: streams(completes),
                unexpected: 0,
            },
            Some(file) => {
                let playback = Playback::read(file)?;
                let count = playback.packet_count();
                nics[0].play(playback.queue(queue).speed(Speed::Paced))?;
                println!("replaying {}: {count} packets", file.display());
                Traffic::Replay([0; 2])
            }
        };
        Ok(Self { nics, traffic })
    }

    pub(crate) fn links(&self) -> [Link; 2] {
        self.nics.each_ref().map(Link::from)
    }

    /// Moves packets. Returns false when no more will come.
    pub(crate) fn poll_once(&mut self, queue: u32) -> Result<bool, FluxError> {
        let more = match &mut self.traffic {
            Traffic::Replay(_) => self.nics[0].is_playing(),
            Traffic::Generated { streams, .. } => {
                let more = streams.iter().any(|stream| stream.offered < TIMES);
                for stream in streams.iter_mut().filter(|_| more) {
                    self.nics[stream.from].inject(queue, &stream.frame)?;
                    stream.offered += 1;
                }
                more
            }
        };
        self.collect();
        Ok(more)
    }

    /// Takes what came out of either link.
    fn collect(&mut self) {
        self.nics[0].network().settle();
        for (to, nic) in self.nics.iter().enumerate() {
            while let Some(frame) = nic.take_sent() {
                match &mut self.traffic {
                    Traffic::Replay(arrived) => arrived[to] += 1,
                    Traffic::Generated {
                        streams,
                        unexpected,
                    } => {
                        let sender = streams
                            .iter_mut()
                            .find(|stream| stream.from != to && stream.expected == frame);
                        match sender {
                            Some(stream) => stream.passed += 1,
                            None => *unexpected += 1,
                        }
                    }
                }
            }
        }
    }

    /// Prints what passed. Returns whether that is what the firewall sent, undamaged.
    pub(crate) fn finish(mut self, passed: u64) -> Result<bool, FluxError> {
        self.collect();
        self.nics[0].end_recording()?;
        let (arrived, unexpected) = match &self.traffic {
            Traffic::Replay(arrived) => {
                println!("let through: {} packets", arrived[1]);
                (arrived.iter().sum::<u64>(), 0)
            }
            Traffic::Generated {
                streams,
                unexpected,
            } => {
                println!("let through:");
                for stream in streams {
                    let (passed, offered) = (stream.passed, stream.offered);
                    println!("{passed:>8} of {offered}  {}", stream.name);
                }
                (
                    streams.iter().map(|stream| stream.passed).sum(),
                    *unexpected,
                )
            }
        };
        if unexpected > 0 {
            println!("WRONG: {unexpected} packets came out that nobody sent");
        }
        if arrived != passed {
            println!("WRONG: {arrived} packets came out, {passed} were passed on");
        }
        Ok(unexpected == 0 && arrived == passed)
    }
}

/// Packets for the rules of the sample file.
fn streams(completes: bool) -> Vec<Stream> {
    let datagram = |name, from, protocol, ends: [&str; 2], payload| {
        let [source, destination] = ends.map(|end| end.parse::<SocketAddr>().expect("an address"));
        let frame = frames::datagram(protocol, source, destination, payload);
        Stream::new(name, from, frame)
    };
    let tcp = |name, from, ends, payload| datagram(name, from, IpProtocol::TCP, ends, payload);
    let udp = |name, from, ends, payload| datagram(name, from, IpProtocol::UDP, ends, payload);
    let icmp = |name, from, ends, payload| datagram(name, from, IpProtocol::ICMP, ends, payload);

    let (web, neighbour) = ("10.0.0.2:80", "10.0.0.1:40000");
    let mut unfinished = tcp(
        "TCP 10.0.0.1 > 10.0.0.2:80, checksum left to the card",
        0,
        [neighbour, web],
        1200,
    );
    frames::leave_checksum(&mut unfinished.frame);
    if !completes {
        unfinished.expected.clone_from(&unfinished.frame);
    }
    vec![
        Stream::new("ARP request", 0, frames::arp(ArpOperation::REQUEST)),
        Stream::new("ARP reply", 1, frames::arp(ArpOperation::REPLY)),
        icmp(
            "ping 10.0.0.1 > 10.0.0.2",
            0,
            ["10.0.0.1:0", "10.0.0.2:0"],
            56,
        ),
        tcp(
            "TCP 198.51.100.7 > 10.0.0.2:80",
            0,
            ["198.51.100.7:40000", web],
            0,
        ),
        tcp(
            "TCP 10.0.0.2:80 > 198.51.100.7",
            1,
            [web, "198.51.100.7:40000"],
            1400,
        ),
        unfinished,
        tcp(
            "TCP 198.51.100.7 > 10.0.0.2:22",
            0,
            ["198.51.100.7:40000", "10.0.0.2:22"],
            0,
        ),
        tcp(
            "TCP 192.0.2.66 > 10.0.0.2:80",
            0,
            ["192.0.2.66:40000", web],
            0,
        ),
        tcp(
            "TCP 2001:db8::7 > fd00::2:443",
            0,
            ["[2001:db8::7]:40000", "[fd00::2]:443"],
            33,
        ),
        tcp(
            "TCP 2001:db8::7 > fd00::2:80",
            0,
            ["[2001:db8::7]:40000", "[fd00::2]:80"],
            33,
        ),
        udp(
            "UDP 10.0.0.2 > 9.9.9.9:53",
            1,
            ["10.0.0.2:50000", "9.9.9.9:53"],
            40,
        ),
        udp(
            "UDP 9.9.9.9:53 > 10.0.0.2",
            0,
            ["9.9.9.9:53", "10.0.0.2:50000"],
            300,
        ),
        udp(
            "UDP 9.9.9.9:54 > 10.0.0.2",
            0,
            ["9.9.9.9:54", "10.0.0.2:50000"],
            300,
        ),
        Stream::new("LLDP", 1, frames::ethernet(EtherType(0x88cc), 50)),
    ]
}

impl Stream {
    fn new(name: &'static str, from: usize, frame: Vec<u8>) -> Self {
        Self {
            name,
            from,
            expected: frame.clone(),
            frame,
            offered: 0,
            passed: 0,
        }
    }
}
