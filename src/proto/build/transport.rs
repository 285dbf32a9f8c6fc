//! Steps for what IP carries: UDP, TCP, ICMP and ICMPv6.

#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

use super::ip::copy;
use super::layers::{BuildFault, Kind, Next, Step};
use super::{Failed, FrameBuilder};
use crate::proto::{IcmpType, Icmpv6Type, IpProtocol, NdpOption, Tcp, TcpFlags, TcpOption};

/// A TCP header to write (RFC 9293), but for what the builder fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSpec {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// The control bits.
    pub flags: TcpFlags,
    /// The reserved bits in front of them, 0 to 15; 0 if unused.
    pub reserved: u8,
    /// Number of the first byte of data; with SYN, that before it.
    pub sequence_number: u32,
    /// Number of the next byte expected, with [`TcpFlags::ACK`].
    pub acknowledgment_number: u32,
    /// How many bytes the sender has room for, before scaling.
    pub window: u16,
    /// Where urgent data end, with [`TcpFlags::URG`].
    pub urgent_pointer: u16,
}

impl TcpSpec {
    /// A segment with the largest window and all else 0.
    #[inline]
    #[must_use]
    pub const fn new(source_port: u16, destination_port: u16, flags: TcpFlags) -> Self {
        Self {
            source_port,
            destination_port,
            flags,
            reserved: 0,
            sequence_number: 0,
            acknowledgment_number: 0,
            window: u16::MAX,
            urgent_pointer: 0,
        }
    }
}

/// What a header that was parsed says, to write one like it.
impl From<&Tcp> for TcpSpec {
    #[inline]
    fn from(tcp: &Tcp) -> Self {
        Self {
            source_port: tcp.source_port(),
            destination_port: tcp.destination_port(),
            flags: tcp.flags(),
            reserved: tcp.reserved(),
            sequence_number: tcp.sequence_number(),
            acknowledgment_number: tcp.acknowledgment_number(),
            window: tcp.window(),
            urgent_pointer: tcp.urgent_pointer(),
        }
    }
}

impl FrameBuilder<'_> {
    /// A UDP header (RFC 768), behind either version of IP.
    #[inline(always)]
    pub fn udp(self, source_port: u16, destination_port: u16) -> Self {
        self.then_udp(source_port, destination_port, Kind::Udp)
    }

    /// A UDP header whose checksum is 0, none: right over IPv4; over IPv6 for tunnels alone (RFC 6935).
    #[inline(always)]
    pub fn udp_without_checksum(self, source_port: u16, destination_port: u16) -> Self {
        self.then_udp(source_port, destination_port, Kind::UdpWithoutChecksum)
    }

    #[inline(always)]
    fn then_udp(mut self, source_port: u16, destination_port: u16, kind: Kind) -> Self {
        if self.goes_on() {
            let outcome = self.put_udp(source_port, destination_port, kind);
            self.settle(outcome);
        }
        self
    }

    #[inline(always)]
    fn put_udp(
        &mut self,
        source_port: u16,
        destination_port: u16,
        kind: Kind,
    ) -> Result<(), Failed> {
        self.place(Step::Udp)?;
        self.open(kind)?;
        self.next = Next::Data;
        let checksum = match kind {
            Kind::Udp => self.checksum_of_addresses(IpProtocol::UDP),
            _ => [0; 2],
        };
        let ports = [source_port.to_be_bytes(), destination_port.to_be_bytes()];
        self.append("UDP", [ports.as_flattened(), &[0; 2], &checksum])
    }

    /// A TCP header (RFC 9293) with the largest window and all else 0, behind either version of IP.
    #[inline(always)]
    pub fn tcp(self, source_port: u16, destination_port: u16, flags: TcpFlags) -> Self {
        self.tcp_with(TcpSpec::new(source_port, destination_port, flags))
    }

    /// Like [`tcp`](Self::tcp), with all fields. Options come by a step of their own.
    ///
    /// More than the four reserved bits are an error.
    #[inline(always)]
    pub fn tcp_with(mut self, spec: TcpSpec) -> Self {
        if self.goes_on() {
            let outcome = self.put_tcp(spec);
            self.settle(outcome);
        }
        self
    }

    #[inline(always)]
    fn put_tcp(&mut self, spec: TcpSpec) -> Result<(), Failed> {
        self.check("TCP", "reserved bits", spec.reserved.into(), 15)?;
        self.place(Step::Tcp)?;
        self.open(Kind::Tcp)?;
        self.next = Next::Data;
        let parts = [
            &spec.source_port.to_be_bytes()[..],
            &spec.destination_port.to_be_bytes(),
            &spec.sequence_number.to_be_bytes(),
            &spec.acknowledgment_number.to_be_bytes(),
            &[0x50 | spec.reserved, spec.flags.0],
            &spec.window.to_be_bytes(),
            &self.checksum_of_addresses(IpProtocol::TCP),
            &spec.urgent_pointer.to_be_bytes(),
        ];
        self.append("TCP", parts)
    }

    /// What a checksum field holds until the end sums up the message: addresses and protocol.
    #[inline]
    pub(super) fn checksum_of_addresses(&self, protocol: IpProtocol) -> [u8; 2] {
        self.addresses.partial(protocol, 0).to_be_bytes()
    }

    /// The options of the TCP header just before: at most 40 bytes. They are filled up with zeros, which end them, to whole
    /// words.
    #[inline(always)]
    pub fn tcp_options(self, options: &[TcpOption<'_>]) -> Self {
        self.then(move |frame| {
            let len = TcpOption::total_len(options);
            frame.put_options("TCP options", Kind::Tcp, len, |room| {
                // It has just the length that they take.
                let written = TcpOption::write_all(options, room);
                debug_assert!(written);
            })
        })
    }

    /// Like [`tcp_options`](Self::tcp_options), of bytes.
    #[inline(always)]
    pub fn tcp_option_bytes(self, options: &[u8]) -> Self {
        self.then(move |frame| {
            frame.put_options("TCP options", Kind::Tcp, options.len(), |room| {
                copy(options, room);
            })
        })
    }
}

/// An ICMP message (RFC 792) to write, by its header. What it quotes or echoes is the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IcmpMessage {
    /// Asks for an echo reply with the same payload.
    EchoRequest {
        /// Identifier: one for each pinging process of the sender.
        identifier: u16,
        /// Sequence number of the request within its identifier.
        sequence: u16,
    },
    /// Answers an echo request.
    EchoReply {
        /// As in the request.
        identifier: u16,
        /// As in the request.
        sequence: u16,
    },
    /// The quoted packet could not be delivered.
    DestinationUnreachable {
        /// Why: 0 network, 1 host, 2 protocol, 3 port, 13 forbidden, ….
        code: u8,
    },
    /// The quoted packet is too big and must not be fragmented: unreachable, of code 4 (RFC 1191).
    FragmentationNeeded {
        /// The largest packet in bytes that passes.
        mtu: u16,
    },
    /// The quoted packet should go elsewhere.
    Redirect {
        /// For what: 0 the network, 1 the host, 2 and 3 the same for one type of service.
        code: u8,
        /// Where to.
        gateway: Ipv4Addr,
    },
    /// The quoted packet took too long.
    TimeExceeded {
        /// Where: 0 on the way, 1 as its fragments were put together.
        code: u8,
    },
    /// The quoted packet's header is wrong.
    ParameterProblem {
        /// In which way: 0 as the pointer says, 1 an option is missing, 2 a length is wrong.
        code: u8,
        /// At which byte.
        pointer: u8,
    },
    /// Any other.
    Other {
        /// What it is.
        icmp_type: IcmpType,
        /// Which of its kind.
        code: u8,
        /// The four bytes behind the checksum.
        rest: [u8; 4],
    },
}

impl IcmpMessage {
    /// Type, code and the four bytes behind the checksum.
    #[inline(always)]
    fn header(self) -> ([u8; 2], [u8; 4]) {
        match self {
            Self::EchoRequest {
                identifier,
                sequence,
            } => ([8, 0], pair(identifier, sequence)),
            Self::EchoReply {
                identifier,
                sequence,
            } => ([0, 0], pair(identifier, sequence)),
            Self::DestinationUnreachable { code } => ([3, code], [0; 4]),
            Self::FragmentationNeeded { mtu } => ([3, 4], pair(0, mtu)),
            Self::Redirect { code, gateway } => ([5, code], gateway.octets()),
            Self::TimeExceeded { code } => ([11, code], [0; 4]),
            Self::ParameterProblem { code, pointer } => ([12, code], [pointer, 0, 0, 0]),
            Self::Other {
                icmp_type,
                code,
                rest,
            } => ([icmp_type.0, code], rest),
        }
    }
}

/// An ICMPv6 message (RFC 4443) or one of neighbor discovery (RFC 4861) to write, by its header. What it quotes or echoes
/// is the payload; options of neighbor discovery come by [`FrameBuilder::ndp_options`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Icmpv6Message {
    /// The quoted packet could not be delivered.
    DestinationUnreachable {
        /// Why: 0 no route, 1 forbidden, 3 address, 4 port, ….
        code: u8,
    },
    /// The quoted packet is too big.
    PacketTooBig {
        /// The largest packet in bytes that passes.
        mtu: u32,
    },
    /// The quoted packet took too long.
    TimeExceeded {
        /// Where: 0 on the way, 1 as its fragments were put together.
        code: u8,
    },
    /// The quoted packet's headers are wrong.
    ParameterProblem {
        /// In which way: 0 a field, 1 an unknown next header, 2 an unknown option.
        code: u8,
        /// At which byte.
        pointer: u32,
    },
    /// Asks for an echo reply with the same payload.
    EchoRequest {
        /// Identifier: one for each pinging process of the sender.
        identifier: u16,
        /// Sequence number of the request within its identifier.
        sequence: u16,
    },
    /// Answers an echo request.
    EchoReply {
        /// As in the request.
        identifier: u16,
        /// As in the request.
        sequence: u16,
    },
    /// Asks routers to advertise themselves.
    RouterSolicitation,
    /// A router says who it is.
    RouterAdvertisement {
        /// What hop limit packets should have; 0 for unsaid.
        hop_limit: u8,
        /// Managed addresses 0x80, other configuration 0x40, and newer flags.
        flags: u8,
        /// For how many seconds the router may be the default; 0 if it may not.
        router_lifetime: u16,
        /// For how many milliseconds a neighbor counts as reachable; 0 for unsaid.
        reachable_time: u32,
        /// How many milliseconds to wait before asking again; 0 for unsaid.
        retrans_timer: u32,
    },
    /// Asks who has an address.
    NeighborSolicitation {
        /// The address.
        target: Ipv6Addr,
    },
    /// Says who has an address.
    NeighborAdvertisement {
        /// Router 0x80, solicited 0x40, override 0x20.
        flags: u8,
        /// The address.
        target: Ipv6Addr,
    },
    /// There is a better way to a destination.
    Redirect {
        /// Where to send instead.
        target: Ipv6Addr,
        /// What is to be sent there.
        destination: Ipv6Addr,
    },
    /// Any other.
    Other {
        /// What it is.
        icmp_type: Icmpv6Type,
        /// Which of its kind.
        code: u8,
        /// The four bytes behind the checksum.
        rest: [u8; 4],
    },
}

impl Icmpv6Message {
    /// Type, code and the four bytes behind the checksum.
    #[inline(always)]
    fn header(self) -> ([u8; 2], [u8; 4]) {
        match self {
            Self::DestinationUnreachable { code } => ([1, code], [0; 4]),
            Self::PacketTooBig { mtu } => ([2, 0], mtu.to_be_bytes()),
            Self::TimeExceeded { code } => ([3, code], [0; 4]),
            Self::ParameterProblem { code, pointer } => ([4, code], pointer.to_be_bytes()),
            Self::EchoRequest {
                identifier,
                sequence,
            } => ([128, 0], pair(identifier, sequence)),
            Self::EchoReply {
                identifier,
                sequence,
            } => ([129, 0], pair(identifier, sequence)),
            Self::RouterSolicitation => ([133, 0], [0; 4]),
            Self::RouterAdvertisement {
                hop_limit,
                flags,
                router_lifetime,
                ..
            } => {
                let [high, low] = router_lifetime.to_be_bytes();
                ([134, 0], [hop_limit, flags, high, low])
            }
            Self::NeighborSolicitation { .. } => ([135, 0], [0; 4]),
            Self::NeighborAdvertisement { flags, .. } => ([136, 0], [flags, 0, 0, 0]),
            Self::Redirect { .. } => ([137, 0], [0; 4]),
            Self::Other {
                icmp_type,
                code,
                rest,
            } => ([icmp_type.0, code], rest),
        }
    }
}

#[inline]
fn pair(first: u16, second: u16) -> [u8; 4] {
    (u32::from(first) << 16 | u32::from(second)).to_be_bytes()
}

impl FrameBuilder<'_> {
    /// An ICMP message (RFC 792), behind IPv4.
    #[inline(always)]
    pub fn icmp(self, message: IcmpMessage) -> Self {
        self.then(move |frame| {
            let (type_and_code, rest) = message.header();
            frame.place(Step::Icmp)?;
            frame.open(Kind::Icmp)?;
            frame.next = Next::Data;
            frame.append("ICMP", [&type_and_code, &[0; 2], &rest])
        })
    }

    /// An ICMPv6 message (RFC 4443, RFC 4861), behind IPv6. Those of neighbor discovery ask for a hop limit of 255.
    #[inline(always)]
    pub fn icmpv6(self, message: Icmpv6Message) -> Self {
        self.then(move |frame| {
            let (type_and_code, rest) = message.header();
            frame.place(Step::Icmpv6)?;
            frame.open(Kind::Icmpv6)?;
            frame.next = Next::Data;
            let checksum = frame.checksum_of_addresses(IpProtocol::ICMPV6);
            frame.append("ICMPv6", [&type_and_code, &checksum, &rest])?;
            match message {
                Icmpv6Message::RouterAdvertisement {
                    reachable_time,
                    retrans_timer,
                    ..
                } => {
                    let times = [reachable_time.to_be_bytes(), retrans_timer.to_be_bytes()];
                    frame.append("ICMPv6", [times.as_flattened()])
                }
                Icmpv6Message::NeighborSolicitation { target }
                | Icmpv6Message::NeighborAdvertisement { target, .. } => {
                    frame.append("ICMPv6", [&target.octets()])
                }
                Icmpv6Message::Redirect {
                    target,
                    destination,
                } => frame.append("ICMPv6", [&target.octets(), &destination.octets()]),
                _ => Ok(()),
            }
        })
    }

    /// Options of the neighbor discovery message just before. There is no limit to their number.
    ///
    /// Nothing or more of them, such as bytes of an unknown one, may follow as payload.
    #[inline(always)]
    pub fn ndp_options(self, options: &[NdpOption<'_>]) -> Self {
        self.then(move |frame| {
            const STEP: &str = "NDP options";
            if !frame.is_right_behind_ndp() {
                return Err(frame.misplaced(STEP));
            }
            if let Some(option) = options.iter().find(|option| option.wire_len() > 2040) {
                let (length, most) = (option.wire_len(), 2040);
                return Err(frame.fail(STEP, BuildFault::TooLong { length, most }));
            }
            let room = frame.claim(STEP, NdpOption::total_len(options))?;
            // It has just the length that they take.
            let written = NdpOption::write_all(options, room);
            debug_assert!(written);
            Ok(())
        })
    }

    /// Whether nothing but a message of neighbor discovery was before, and maybe options of it.
    #[inline]
    fn is_right_behind_ndp(&self) -> bool {
        let Some(top) = self.top().filter(|top| top.kind == Kind::Icmpv6) else {
            return false;
        };
        let icmp_type = self.buffer.get(usize::from(top.start)).copied();
        matches!(icmp_type, Some(133..=137))
    }
}
