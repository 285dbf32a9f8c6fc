//! Two simulated links with the firewall between them, and neighbours at their other ends who send and watch what arrives.

use std::net::SocketAddr;
use std::path::Path;

use fluxcap::proto::{ArpOperation, EtherType, IpProtocol};
use fluxcap::sim::{Network, Nic, NicConfig, Playback, Speed};
use fluxcap::{FluxError, Link};

use super::frames;

/// How often each packet of the made-up traffic is sent.
const TIMES: u64 = 2000;

/// The two links.
pub(crate) struct World {
    nics: [Nic; 2],
    traffic: Traffic,
}

enum Traffic {
    /// A capture file that is played, and the packets that came through.
    Replay([u64; 2]),
    MadeUp {
        streams: Vec<Stream>,
        strange: u64,
    },
}

/// One packet, sent again and again.
struct Stream {
    name: &'static str,
    /// The link that it comes from.
    from: usize,
    frame: Vec<u8>,
    /// As it should be at the other link.
    expected: Vec<u8>,
    offered: u64,
    passed: u64,
}

impl World {
    /// Two cards, the first of which a capture file may be replayed into, or recorded from.
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
            None => Traffic::MadeUp {
                streams: streams(completes),
                strange: 0,
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

    /// Lets packets move. False when no more will come.
    pub(crate) fn turn(&mut self, queue: u32) -> Result<bool, FluxError> {
        let more = match &mut self.traffic {
            Traffic::Replay(_) => self.nics[0].is_playing(),
            Traffic::MadeUp { streams, .. } => {
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

    /// Takes what came out at either link.
    fn collect(&mut self) {
        self.nics[0].network().settle();
        for (to, nic) in self.nics.iter().enumerate() {
            while let Some(frame) = nic.take_sent() {
                match &mut self.traffic {
                    Traffic::Replay(arrived) => arrived[to] += 1,
                    Traffic::MadeUp { streams, strange } => {
                        let sender = streams
                            .iter_mut()
                            .find(|stream| stream.from != to && stream.expected == frame);
                        match sender {
                            Some(stream) => stream.passed += 1,
                            None => *strange += 1,
                        }
                    }
                }
            }
        }
    }

    /// Says what came through; whether that is what the firewall passed on, unharmed.
    pub(crate) fn finish(mut self, passed: u64) -> Result<bool, FluxError> {
        self.collect();
        self.nics[0].end_recording()?;
        let (arrived, strange) = match &self.traffic {
            Traffic::Replay(arrived) => {
                println!("let through: {} packets", arrived[1]);
                (arrived.iter().sum::<u64>(), 0)
            }
            Traffic::MadeUp { streams, strange } => {
                println!("let through:");
                for stream in streams {
                    let (passed, offered) = (stream.passed, stream.offered);
                    println!("{passed:>8} of {offered}  {}", stream.name);
                }
                (streams.iter().map(|stream| stream.passed).sum(), *strange)
            }
        };
        if strange > 0 {
            println!("WRONG: {strange} packets came out that nobody sent");
        }
        if arrived != passed {
            println!("WRONG: {arrived} packets came out, {passed} were passed on");
        }
        Ok(strange == 0 && arrived == passed)
    }
}

/// A little of everything, for the rules of the sample file to decide about.
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
