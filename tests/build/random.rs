//! Random frames of all protocols.

use std::net::{Ipv4Addr, Ipv6Addr};

use fluxcap::proto::build::{Icmpv6Message, Ipv4Spec, Ipv6Spec, TcpSpec, VlanTag};
use fluxcap::proto::{
    ArpOperation, EtherType, GreFields, IcmpType, Icmpv6Type, IpProtocol, Ipv6Fragment, MacAddr,
    TcpFlags, Vxlan,
};

use super::layers::Layer;
use super::read::{icmp_message, icmpv6_message, last_station};

/// SplitMix64: the same numbers for the same seed, everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.next() as u8
    }

    pub(crate) fn u16(&mut self) -> u16 {
        self.next() as u16
    }

    pub(crate) fn u32(&mut self) -> u32 {
        self.next() as u32
    }

    pub(crate) fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.u8()).collect()
    }

    fn array<const LEN: usize>(&mut self) -> [u8; LEN] {
        std::array::from_fn(|_| self.u8())
    }

    fn mac(&mut self) -> MacAddr {
        MacAddr(self.array())
    }

    fn ipv4(&mut self) -> Ipv4Addr {
        self.array::<4>().into()
    }

    pub(crate) fn ipv6(&mut self) -> Ipv6Addr {
        self.array::<16>().into()
    }

    /// Mostly short; of odd length too, and sometimes all zero, which checksums treat in their own way.
    pub(crate) fn data(&mut self, most: u64) -> Vec<u8> {
        let len = self.below(most + 1) as usize;
        match self.below(8) {
            0 => vec![0; len],
            1 => vec![0xff; len],
            _ => self.bytes(len),
        }
    }
}

/// A random frame that the builder can make and that reads as just these layers.
pub(crate) fn frame(random: &mut Random) -> Vec<Layer> {
    let mut plan = Plan {
        random,
        layers: Vec::new(),
        depth: 0,
    };
    plan.ethernet();
    // What is empty does not show.
    plan.layers
        .retain(|layer| !matches!(layer, Layer::Payload(bytes) if bytes.is_empty()));
    plan.layers
}

struct Plan<'a> {
    random: &'a mut Random,
    layers: Vec<Layer>,
    /// How many tunnels this is in.
    depth: u32,
}

impl Plan<'_> {
    /// A protocol that nobody parses.
    fn unknown(&mut self) -> IpProtocol {
        IpProtocol(150 + self.random.u8() % 50)
    }

    fn payload(&mut self) {
        let data = self.random.data(70);
        self.layers.push(Layer::Payload(data));
    }

    fn ethernet(&mut self) {
        let (source, destination) = (self.random.mac(), self.random.mac());
        self.layers.push(Layer::Ethernet(source, destination));
        for _ in 0..self.random.below(4).saturating_sub(1) {
            let tag = VlanTag {
                id: self.random.u16() & 0xfff,
                priority: self.random.u8() & 7,
                drop_eligible: self.random.one_in(2),
                ether_type: if self.random.one_in(2) {
                    EtherType::QINQ
                } else {
                    EtherType::VLAN
                },
            };
            self.layers.push(Layer::Vlan(tag));
        }
        match self.random.below(24) {
            0 => {
                // None that says SNAP.
                let saps = (self.random.u8() & 0x7f, self.random.u8());
                let control = match self.random.u16() {
                    unnumbered if unnumbered & 0x300 == 0x300 => unnumbered & 0xff | 3,
                    numbered => numbered,
                };
                self.layers.push(Layer::Llc(saps.0, saps.1, control));
                self.payload();
            }
            1 => {
                let organization = [0x80 | self.random.u8(), 0, 0x0c];
                let protocol = self.random.u16();
                self.layers.push(Layer::SnapOf(organization, protocol));
                self.payload();
            }
            2 => {
                self.layers.push(Layer::Snap);
                self.packet(true);
            }
            _ => self.packet(true),
        }
    }

    /// What an ether type announces.
    fn packet(&mut self, may_be_arp: bool) {
        match self.random.below(12) {
            0 if may_be_arp => {
                let operation = ArpOperation(self.random.u16());
                let sender = (self.random.mac(), self.random.ipv4());
                let target = (self.random.mac(), self.random.ipv4());
                self.layers.push(Layer::Arp(operation, sender, target));
            }
            1 => {
                let ether_type = EtherType(0x8900 + self.random.u16() % 0x700);
                self.layers.push(Layer::EtherType(ether_type));
                self.payload();
            }
            2 => self.mpls(),
            3..=7 => self.ipv4(),
            _ => self.ipv6(),
        }
    }

    fn mpls(&mut self) {
        for _ in 0..=self.random.below(3) {
            // Those below say what follows.
            let label = 16 + self.random.u32() % 0xf_fff0;
            let (class, ttl) = (self.random.u8() & 7, self.random.u8());
            self.layers.push(Layer::Mpls(label, class, ttl));
        }
        match self.random.below(3) {
            0 => self.ipv4(),
            1 => self.ipv6(),
            _ => {
                // Neither IPv4 nor IPv6.
                let mut data = self.random.data(20);
                if let Some(first) = data.first_mut() {
                    *first &= 0x0f;
                }
                self.layers.push(Layer::Payload(data));
            }
        }
    }

    fn ipv4(&mut self) {
        let random = &mut *self.random;
        let is_fragment = random.one_in(16);
        let spec = Ipv4Spec {
            source: random.ipv4(),
            destination: random.ipv4(),
            ttl: random.u8(),
            dscp: random.u8() & 63,
            ecn: random.u8() & 3,
            identification: random.u16(),
            dont_fragment: random.one_in(2),
            more_fragments: is_fragment,
            fragment_offset: if is_fragment {
                random.u16() & 0xfff8
            } else {
                0
            },
        };
        let options = 4 * random.below(11).saturating_sub(5) as usize;
        let options = random.bytes(options);
        self.layers.push(Layer::Ipv4(spec));
        if !options.is_empty() {
            self.layers.push(Layer::Ipv4Options(options));
        }
        if is_fragment {
            let protocol = self.unknown();
            self.layers.push(Layer::Protocol(protocol));
            return self.payload();
        }
        if self.random.one_in(16) {
            let value = 4 * self.random.below(5) as usize;
            self.authentication(value);
        }
        self.message(true);
    }

    fn authentication(&mut self, len: usize) {
        let random = &mut *self.random;
        let (index, number) = (random.u32(), random.u32());
        let value = random.bytes(len);
        self.layers
            .push(Layer::Authentication(index, number, value));
    }

    fn ipv6(&mut self) {
        let random = &mut *self.random;
        let spec = Ipv6Spec {
            source: random.ipv6(),
            destination: random.ipv6(),
            hop_limit: random.u8(),
            dscp: random.u8() & 63,
            ecn: random.u8() & 3,
            flow_label: random.u32() & 0xf_ffff,
        };
        self.layers.push(Layer::Ipv6(spec));
        // As many bytes as the builder need not pad.
        if self.random.one_in(8) {
            let len = 6 + 8 * self.random.below(3) as usize;
            let options = self.random.bytes(len);
            self.layers.push(Layer::HopByHop(options));
        }
        if self.random.one_in(8) {
            let len = 6 + 8 * self.random.below(3) as usize;
            let options = self.random.bytes(len);
            self.layers.push(Layer::Destination(options));
        }
        if self.random.one_in(8) {
            let addresses = self.random.below(4);
            let data = self.random.bytes(4 + 16 * addresses as usize);
            let kind = self.random.below(6) as u8;
            let left = self.random.below(addresses + 1) as u8;
            let is_unknown = last_station(kind, left, &data, spec.destination).is_none();
            self.layers.push(Layer::Routing(kind, left, data));
            if is_unknown {
                let protocol = self.unknown();
                self.layers.push(Layer::Protocol(protocol));
                return self.payload();
            }
        }
        if self.random.one_in(8) {
            let is_part = self.random.one_in(2);
            self.layers.push(Layer::Fragment(Ipv6Fragment {
                offset: if is_part {
                    self.random.u16() & 0xfff8
                } else {
                    0
                },
                more_fragments: is_part,
                identification: self.random.u32(),
            }));
            if is_part {
                let protocol = self.unknown();
                self.layers.push(Layer::Protocol(protocol));
                return self.payload();
            }
        }
        if self.random.one_in(16) {
            let value = 4 + 8 * self.random.below(3) as usize;
            self.authentication(value);
        }
        self.message(false);
    }

    fn message(&mut self, is_ipv4: bool) {
        // Deeper tunnels would have more layers than there may be.
        let kinds = if self.depth < 3 { 14 } else { 10 };
        match self.random.below(kinds) {
            0 => {
                let protocol = self.unknown();
                self.layers.push(Layer::Protocol(protocol));
                self.payload();
            }
            1..=3 => {
                let ports = (self.random.u16(), self.random.u16() % Vxlan::PORT);
                self.layers.push(match self.random.one_in(4) {
                    true => Layer::UdpWithoutChecksum(ports.0, ports.1),
                    false => Layer::Udp(ports.0, ports.1),
                });
                self.payload();
            }
            4..=6 => self.tcp(),
            7..=9 => match is_ipv4 {
                true => {
                    let kinds = [0, 3, 5, 8, 11, 12, self.random.u8()];
                    let kind = IcmpType(kinds[self.random.below(7) as usize]);
                    let (code, rest) = (self.random.u8() % 6, self.random.array());
                    let rest = if self.random.one_in(2) { [0; 4] } else { rest };
                    self.layers
                        .push(Layer::Icmp(icmp_message(kind, code, rest)));
                    self.payload();
                }
                false => {
                    let message = self.icmpv6();
                    self.layers.push(Layer::Icmpv6(message));
                    self.payload();
                }
            },
            10 => {
                self.depth += 1;
                let random = &mut *self.random;
                let fields = GreFields {
                    checksum: random.one_in(2),
                    key: random.one_in(2).then(|| random.u32()),
                    sequence_number: random.one_in(2).then(|| random.u32()),
                };
                self.layers.push(Layer::Gre(fields));
                match self.random.one_in(3) {
                    true => self.ethernet(),
                    false => self.packet(false),
                }
            }
            11 => {
                self.depth += 1;
                let source = self.random.u16();
                self.layers.push(match self.random.one_in(2) {
                    true => Layer::UdpWithoutChecksum(source, Vxlan::PORT),
                    false => Layer::Udp(source, Vxlan::PORT),
                });
                let network = self.random.u32() & 0xff_ffff;
                self.layers.push(Layer::Vxlan(network));
                self.ethernet();
            }
            12 => {
                self.depth += 1;
                self.mpls();
            }
            _ => {
                self.depth += 1;
                match self.random.one_in(2) {
                    true => self.ipv4(),
                    false => self.ipv6(),
                }
            }
        }
    }

    fn tcp(&mut self) {
        let random = &mut *self.random;
        let spec = TcpSpec {
            source_port: random.u16(),
            destination_port: random.u16(),
            flags: TcpFlags(random.u8()),
            reserved: random.u8() & 15,
            sequence_number: random.u32(),
            acknowledgment_number: random.u32(),
            window: random.u16(),
            urgent_pointer: random.u16(),
        };
        let options = 4 * random.below(11) as usize;
        let options = random.bytes(options);
        self.layers.push(Layer::Tcp(spec));
        if !options.is_empty() {
            self.layers.push(Layer::TcpOptions(options));
        }
        self.payload();
    }

    fn icmpv6(&mut self) -> Icmpv6Message {
        let random = &mut *self.random;
        match random.below(12) {
            0..=2 => {
                let kind = Icmpv6Type([1, 2, 3, 4, 128, 129][random.below(6) as usize]);
                let (code, rest) = (random.u8() % 6, random.array());
                let rest = if random.one_in(2) { [0; 4] } else { rest };
                icmpv6_message(kind, code, rest)
            }
            // The types of messages that are longer are not among them.
            3 => icmpv6_message(
                Icmpv6Type(138 + random.u8() % 100),
                random.u8(),
                random.array(),
            ),
            4 => Icmpv6Message::RouterSolicitation,
            5 | 6 => Icmpv6Message::RouterAdvertisement {
                hop_limit: random.u8(),
                flags: random.u8(),
                router_lifetime: random.u16(),
                reachable_time: random.u32(),
                retrans_timer: random.u32(),
            },
            7 | 8 => Icmpv6Message::NeighborSolicitation {
                target: random.ipv6(),
            },
            9 | 10 => Icmpv6Message::NeighborAdvertisement {
                flags: random.u8(),
                target: random.ipv6(),
            },
            _ => Icmpv6Message::Redirect {
                target: random.ipv6(),
                destination: random.ipv6(),
            },
        }
    }
}

/// Steps in any order, with any values, right and wrong.
pub(crate) fn steps(random: &mut Random) -> Vec<Layer> {
    let mut steps = Vec::new();
    for _ in 0..random.below(6) {
        let mut frame = frame(random);
        // Beyond what fields hold.
        for layer in &mut frame {
            match layer {
                Layer::Vlan(tag) if random.one_in(4) => tag.id = random.u16(),
                Layer::Mpls(label, ..) if random.one_in(4) => *label = random.u32(),
                Layer::Ipv4(spec) if random.one_in(8) => spec.fragment_offset = random.u16(),
                Layer::Ipv4Options(options) | Layer::TcpOptions(options) if random.one_in(4) => {
                    *options = random.data(50);
                }
                Layer::HopByHop(data) | Layer::Destination(data) | Layer::Routing(_, _, data)
                    if random.one_in(2) =>
                {
                    *data = random.data(2100);
                }
                Layer::Authentication(_, _, value) if random.one_in(2) => {
                    *value = random.data(1100);
                }
                _ => {}
            }
        }
        let start = random.below(frame.len() as u64) as usize;
        let start = if random.one_in(2) { 0 } else { start };
        let end = start + random.below((frame.len() - start) as u64 + 1) as usize;
        steps.extend_from_slice(&frame[start..end]);
    }
    steps
}
