//! From a frame to what it consists of, by the views alone.
//!
//! Only frames that the builder could have made are read: all checksums right, reserved bits zero, nothing behind the end. Of all
//! others the reason is given.

use std::net::{Ipv4Addr, Ipv6Addr};

use fluxcap::proto::build::{IcmpMessage, Icmpv6Message, Ipv4Spec, Ipv6Spec, TcpSpec, VlanTag};
use fluxcap::proto::checksum::PseudoHeader;
use fluxcap::proto::{
    Arp, EtherType, Ethernet, Gre, GreFields, Icmp, IcmpType, Icmpv6, Icmpv6Type, IpProtocol, Ipv4,
    Ipv6, Ipv6Fragment, Llc, Mpls, NdpRedirect, NeighborAdvertisement, NeighborSolicitation,
    ParseError, RouterAdvertisement, Snap, Tcp, Udp, Vlan, Vxlan,
};

use super::layers::Layer;

/// Why a frame is not one that the builder makes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Malformed(ParseError),
    Other(&'static str),
}

impl From<ParseError> for Reason {
    fn from(error: ParseError) -> Self {
        Self::Malformed(error)
    }
}

type Read<T = ()> = Result<T, Reason>;

fn expect(is: bool, what: &'static str) -> Read {
    if is { Ok(()) } else { Err(Reason::Other(what)) }
}

/// What `frame`, which starts with Ethernet, consists of.
pub(crate) fn read(frame: &[u8]) -> Read<Vec<Layer>> {
    let mut reader = Reader::default();
    let end = reader.ethernet(frame)?;
    let padding = &frame[frame.len() - end..];
    if !padding.is_empty() {
        expect(frame.len() == 60, "bytes behind the packet")?;
        expect(
            padding.iter().all(|&byte| byte == 0),
            "padding of other bytes",
        )?;
        reader.layers.insert(0, Layer::Padded);
    }
    Ok(reader.layers)
}

/// What a packet consists of that starts with IP.
pub(crate) fn read_packet(packet: &[u8]) -> Read<Vec<Layer>> {
    let mut reader = Reader::default();
    let end = match packet.first().map(|first| first >> 4) {
        Some(4) => reader.ipv4(packet)?,
        _ => reader.ipv6(packet)?,
    };
    expect(end == 0, "bytes behind the packet")?;
    Ok(reader.layers)
}

/// Each method reads what starts with a header, and gives how many bytes are left behind it.
#[derive(Default)]
struct Reader {
    layers: Vec<Layer>,
}

impl Reader {
    fn ethernet(&mut self, bytes: &[u8]) -> Read<usize> {
        let (ethernet, rest) = Ethernet::parse(bytes)?;
        let (source, destination) = (ethernet.source(), ethernet.destination());
        self.layers.push(Layer::Ethernet(source, destination));
        self.behind_ether_type(ethernet.ether_type(), rest, true)
    }

    fn behind_ether_type(
        &mut self,
        ether_type: EtherType,
        rest: &[u8],
        is_frame: bool,
    ) -> Read<usize> {
        match ether_type {
            length if is_frame && length.is_length() => self.llc(length.0.into(), rest),
            EtherType::VLAN | EtherType::QINQ if is_frame => {
                let (vlan, rest) = Vlan::parse(rest)?;
                self.layers.push(Layer::Vlan(VlanTag {
                    id: vlan.id(),
                    priority: vlan.priority(),
                    drop_eligible: vlan.drop_eligible(),
                    ether_type,
                }));
                self.behind_ether_type(vlan.ether_type(), rest, true)
            }
            EtherType::MPLS => self.mpls(rest),
            EtherType::ARP => self.arp(rest),
            EtherType::IPV4 => self.ipv4(rest),
            EtherType::IPV6 => self.ipv6(rest),
            other => {
                self.layers.push(Layer::EtherType(other));
                Ok(self.payload(rest))
            }
        }
    }

    /// All that is left is payload.
    fn payload(&mut self, bytes: &[u8]) -> usize {
        if !bytes.is_empty() {
            self.layers.push(Layer::Payload(bytes.to_vec()));
        }
        0
    }

    fn llc(&mut self, length: usize, rest: &[u8]) -> Read<usize> {
        expect(length <= rest.len(), "a length that lies")?;
        let (frame, padding) = rest.split_at(length);
        let (llc, rest) = Llc::parse(frame)?;
        let snap = Snap::parse(rest);
        if llc.is_snap()
            && let Ok((snap, rest)) = snap
            && let Some(ether_type) = snap.ether_type()
        {
            expect(snap.organization() == [0; 3], "another organization")?;
            expect(!ether_type.is_vlan(), "a tag behind SNAP")?;
            self.layers.push(Layer::Snap);
            let behind = self.behind_ether_type(ether_type, rest, false)?;
            expect(behind == 0, "bytes behind the packet")?;
        } else if llc.is_snap()
            && let Ok((snap, rest)) = snap
        {
            let organization = snap.organization();
            self.layers
                .push(Layer::SnapOf(organization, snap.protocol()));
            self.payload(rest);
        } else {
            let control = llc.control();
            self.layers
                .push(Layer::Llc(llc.destination_sap(), llc.source_sap(), control));
            self.payload(rest);
        }
        Ok(padding.len())
    }

    fn mpls(&mut self, bytes: &[u8]) -> Read<usize> {
        let (stack, rest) = Mpls::parse_stack(bytes)?;
        for entry in stack {
            let (label, class) = (entry.label(), entry.traffic_class());
            self.layers.push(Layer::Mpls(label, class, entry.ttl()));
        }
        match stack.last().and_then(|bottom| bottom.guess_payload(rest)) {
            Some(EtherType::IPV4) => self.ipv4(rest),
            Some(_) => self.ipv6(rest),
            None => Ok(self.payload(rest)),
        }
    }

    fn arp(&mut self, bytes: &[u8]) -> Read<usize> {
        let (arp, rest) = Arp::parse(bytes)?;
        expect(arp.hardware_type() == 1, "hardware of IEEE 802")?;
        let sender = (arp.sender_mac(), arp.sender_ip());
        let target = (arp.target_mac(), arp.target_ip());
        self.layers
            .push(Layer::Arp(arp.operation(), sender, target));
        Ok(rest.len())
    }

    fn ipv4(&mut self, bytes: &[u8]) -> Read<usize> {
        let (ip, payload) = Ipv4::parse(bytes)?;
        expect(ip.verify_checksum(), "IPv4 checksum")?;
        expect(bytes[6] & 0x80 == 0, "IPv4 reserved flag")?;
        let spec = Ipv4Spec::from(ip);
        self.layers.push(Layer::Ipv4(spec));
        let options = &bytes[Ipv4::LEN..ip.header_len()];
        if !options.is_empty() {
            self.layers.push(Layer::Ipv4Options(options.to_vec()));
        }
        let behind = bytes.len() - ip.header_len() - payload.len();
        if ip.is_fragment() {
            self.layers.push(Layer::Protocol(ip.protocol()));
            self.payload(payload);
            return Ok(behind);
        }
        let last = last_of_source_route(options).unwrap_or(ip.destination());
        let addresses = PseudoHeader::ipv4(ip.source(), last);
        let inner = self.message(ip.protocol(), payload, addresses, true)?;
        expect(inner == 0, "bytes behind the message")?;
        Ok(behind)
    }

    fn ipv6(&mut self, bytes: &[u8]) -> Read<usize> {
        let (ip, payload) = Ipv6::parse(bytes)?;
        self.layers.push(Layer::Ipv6(Ipv6Spec::from(ip)));
        let behind = bytes.len() - Ipv6::LEN - payload.len();
        let addresses = (ip.source(), ip.destination(), false);
        let inner = self.extensions(ip.next_header(), payload, addresses)?;
        expect(inner == 0, "bytes behind the message")?;
        Ok(behind)
    }

    fn extensions(
        &mut self,
        protocol: IpProtocol,
        bytes: &[u8],
        (mut source, mut destination, mut is_at_home): (Ipv6Addr, Ipv6Addr, bool),
    ) -> Read<usize> {
        let is_first = matches!(self.layers.last(), Some(Layer::Ipv6(_)));
        let extension = |unit, more| {
            let &[next, units, ..] = bytes else {
                return Err(Reason::Other("a cut extension header"));
            };
            let len = (usize::from(units) + more) * unit;
            expect(len <= bytes.len(), "a cut extension header")?;
            let (header, rest) = bytes.split_at(len);
            Ok((IpProtocol(next), header, rest))
        };
        let (next, rest) = match protocol {
            IpProtocol::IPV6_HOP_BY_HOP if is_first => {
                let (next, header, rest) = extension(8, 1)?;
                self.layers.push(Layer::HopByHop(header[2..].to_vec()));
                (next, rest)
            }
            IpProtocol::IPV6_DESTINATION => {
                let (next, header, rest) = extension(8, 1)?;
                self.layers.push(Layer::Destination(header[2..].to_vec()));
                if !is_at_home && let Some(home) = home_address(&header[2..]) {
                    (source, is_at_home) = (home, true);
                }
                (next, rest)
            }
            IpProtocol::IPV6_ROUTING => {
                let (next, header, rest) = extension(8, 1)?;
                let (kind, left, data) = (header[2], header[3], &header[4..]);
                self.layers.push(Layer::Routing(kind, left, data.to_vec()));
                let Some(last) = last_station(kind, left, data, destination) else {
                    self.layers.push(Layer::Protocol(next));
                    return Ok(self.payload(rest));
                };
                destination = last;
                (next, rest)
            }
            IpProtocol::IPV6_FRAGMENT => {
                expect(bytes.len() >= 8, "a cut fragment header")?;
                expect(bytes[1] == 0 && bytes[3] & 6 == 0, "reserved bits")?;
                let offset = u16::from_be_bytes([bytes[2], bytes[3]]);
                let identification = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
                let fragment = Ipv6Fragment {
                    offset: offset & !7,
                    more_fragments: offset & 1 == 1,
                    identification,
                };
                self.layers.push(Layer::Fragment(fragment));
                let next = IpProtocol(bytes[0]);
                if fragment.offset != 0 || fragment.more_fragments {
                    self.layers.push(Layer::Protocol(next));
                    return Ok(self.payload(&bytes[8..]));
                }
                (next, &bytes[8..])
            }
            IpProtocol::AH => {
                let (next, header, rest) = extension(4, 2)?;
                self.authentication(header)?;
                expect(header.len() % 8 == 0, "an uneven authentication header")?;
                (next, rest)
            }
            _ => {
                let addresses = PseudoHeader::ipv6(source, destination);
                return self.message(protocol, bytes, addresses, false);
            }
        };
        self.extensions(next, rest, (source, destination, is_at_home))
    }

    fn authentication(&mut self, header: &[u8]) -> Read {
        expect(header.len() >= 12, "a short authentication header")?;
        expect(header[2..4] == [0; 2], "reserved bits")?;
        let number = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
        let value = header[12..].to_vec();
        self.layers
            .push(Layer::Authentication(number(4), number(8), value));
        Ok(())
    }

    /// Behind all headers of IP.
    fn message(
        &mut self,
        protocol: IpProtocol,
        bytes: &[u8],
        addresses: PseudoHeader,
        is_ipv4: bool,
    ) -> Read<usize> {
        match protocol {
            IpProtocol::UDP => {
                let (udp, payload) = Udp::parse(bytes)?;
                expect(
                    payload.len() + Udp::LEN == bytes.len(),
                    "bytes behind the message",
                )?;
                let (source, destination) = (udp.source_port(), udp.destination_port());
                if udp.checksum() == 0 {
                    self.layers
                        .push(Layer::UdpWithoutChecksum(source, destination));
                } else {
                    expect(udp.verify_checksum(addresses, payload), "UDP checksum")?;
                    self.layers.push(Layer::Udp(source, destination));
                }
                if destination == Vxlan::PORT
                    && let Ok((vxlan, frame)) = Vxlan::parse(payload)
                    && payload[..4] == [8, 0, 0, 0]
                    && payload[7] == 0
                {
                    self.layers.push(Layer::Vxlan(vxlan.vni()));
                    let behind = self.ethernet(frame)?;
                    expect(behind == 0, "padding of an inner frame")?;
                    return Ok(0);
                }
                Ok(self.payload(payload))
            }
            IpProtocol::TCP => {
                let (tcp, data) = Tcp::parse(bytes)?;
                expect(tcp.verify_checksum(addresses, data), "TCP checksum")?;
                self.layers.push(Layer::Tcp(TcpSpec::from(tcp)));
                if !tcp.options_bytes().is_empty() {
                    self.layers
                        .push(Layer::TcpOptions(tcp.options_bytes().to_vec()));
                }
                Ok(self.payload(data))
            }
            IpProtocol::ICMP if is_ipv4 => self.icmp(bytes),
            IpProtocol::ICMPV6 if !is_ipv4 => self.icmpv6(bytes, addresses),
            IpProtocol::GRE => self.gre(bytes),
            IpProtocol::MPLS => self.mpls(bytes),
            IpProtocol::IPV4 => self.ipv4(bytes),
            IpProtocol::IPV6 => self.ipv6(bytes),
            IpProtocol::AH if is_ipv4 => {
                let &[next, words, ..] = bytes else {
                    return Err(Reason::Other("a cut authentication header"));
                };
                let len = (usize::from(words) + 2) * 4;
                expect(len <= bytes.len(), "a cut authentication header")?;
                self.authentication(&bytes[..len])?;
                self.message(IpProtocol(next), &bytes[len..], addresses, true)
            }
            other => {
                self.layers.push(Layer::Protocol(other));
                Ok(self.payload(bytes))
            }
        }
    }

    fn icmp(&mut self, bytes: &[u8]) -> Read<usize> {
        let (icmp, rest) = Icmp::parse(bytes)?;
        expect(icmp.verify_checksum(rest), "ICMP checksum")?;
        let (&rest, payload) = split(rest)?;
        let message = icmp_message(icmp.icmp_type(), icmp.code(), rest);
        self.layers.push(Layer::Icmp(message));
        Ok(self.payload(payload))
    }

    fn icmpv6(&mut self, bytes: &[u8], addresses: PseudoHeader) -> Read<usize> {
        let (icmp, rest) = Icmpv6::parse(bytes)?;
        expect(icmp.verify_checksum(addresses, rest), "ICMPv6 checksum")?;
        let (&four, payload) = split(rest)?;
        let other = icmpv6_message(icmp.icmp_type(), icmp.code(), four);
        let (message, payload) = match (icmp.icmp_type(), icmp.code(), four) {
            (Icmpv6Type::ROUTER_ADVERTISEMENT, 0, _) => {
                let (view, options) = RouterAdvertisement::parse(bytes)?;
                let message = Icmpv6Message::RouterAdvertisement {
                    hop_limit: view.hop_limit(),
                    flags: view.flags(),
                    router_lifetime: view.router_lifetime(),
                    reachable_time: view.reachable_time(),
                    retrans_timer: view.retrans_timer(),
                };
                (message, options)
            }
            (Icmpv6Type::NEIGHBOR_SOLICITATION, 0, [0, 0, 0, 0]) => {
                let (view, options) = NeighborSolicitation::parse(bytes)?;
                let target = view.target();
                (Icmpv6Message::NeighborSolicitation { target }, options)
            }
            (Icmpv6Type::NEIGHBOR_ADVERTISEMENT, 0, [flags, 0, 0, 0]) => {
                let (view, options) = NeighborAdvertisement::parse(bytes)?;
                let target = view.target();
                (
                    Icmpv6Message::NeighborAdvertisement { flags, target },
                    options,
                )
            }
            (Icmpv6Type::REDIRECT, 0, [0, 0, 0, 0]) => {
                let (view, options) = NdpRedirect::parse(bytes)?;
                let (target, destination) = (view.target(), view.destination());
                let message = Icmpv6Message::Redirect {
                    target,
                    destination,
                };
                (message, options)
            }
            _ => (other, payload),
        };
        self.layers.push(Layer::Icmpv6(message));
        Ok(self.payload(payload))
    }

    fn gre(&mut self, bytes: &[u8]) -> Read<usize> {
        let (gre, rest) = Gre::parse(bytes)?;
        expect(bytes[0] & 0x4f == 0 && bytes[1] == 0, "GRE reserved bits")?;
        if gre.checksum().is_some() {
            expect(gre.verify_checksum(rest), "GRE checksum")?;
            expect(bytes[6..8] == [0; 2], "GRE reserved bits")?;
        }
        self.layers.push(Layer::Gre(GreFields {
            checksum: gre.checksum().is_some(),
            key: gre.key(),
            sequence_number: gre.sequence_number(),
        }));
        let behind = match gre.protocol_type() {
            EtherType::ETHERNET => self.ethernet(rest)?,
            EtherType::ARP => return Err(Reason::Other("ARP behind GRE")),
            other => self.behind_ether_type(other, rest, false)?,
        };
        expect(behind == 0, "bytes behind the inner packet")?;
        Ok(0)
    }
}

/// Where a packet to `destination` with this routing header goes in the end, if that is known; `data` is what is behind the
/// segments left.
pub(crate) fn last_station(
    kind: u8,
    left: u8,
    data: &[u8],
    destination: Ipv6Addr,
) -> Option<Ipv6Addr> {
    let (specific, list) = data.split_at(4);
    let address = |at: usize| Some(<[u8; 16]>::try_from(list.get(at..at + 16)?).unwrap().into());
    let (count, left) = (list.len() / 16, usize::from(left));
    match kind {
        _ if left == 0 => Some(destination),
        0 if left <= count => address(16 * (count - 1)),
        2 if left == 1 => address(0),
        3 => {
            let (other, last) = (16 - (specific[0] >> 4), 16 - (specific[0] & 15));
            let len = list.len().checked_sub((specific[1] >> 4).into())?;
            let others = len.checked_sub(last.into())?;
            let mut octets = destination.octets();
            octets[usize::from(16 - last)..].copy_from_slice(&list[others..len]);
            (left <= others / usize::from(other) + 1).then(|| octets.into())
        }
        4 if usize::from(specific[0]) < count && left <= usize::from(specific[0]) + 1 => address(0),
        _ => None,
    }
}

/// The first home address among options, as far as they can be told apart.
fn home_address(mut options: &[u8]) -> Option<Ipv6Addr> {
    loop {
        let (kind, length) = match *options {
            [0, ..] => {
                options = &options[1..];
                continue;
            }
            [kind, length, ..] => (kind, usize::from(length)),
            _ => return None,
        };
        let data = options.get(2..2 + length)?;
        match (kind, length) {
            (0xc9, 16) => return Some(<[u8; 16]>::try_from(data).unwrap().into()),
            // Of a length that they cannot have.
            (0x04, length) if length != 1 => return None,
            (0x05, length) if length != 2 => return None,
            (0xc2, length) if length != 4 => return None,
            (0xc9, _) => return None,
            _ => options = &options[2 + length..],
        }
    }
}

/// The last address of the first source route that the packet is still on.
fn last_of_source_route(mut options: &[u8]) -> Option<Ipv4Addr> {
    loop {
        match *options {
            [1, ref rest @ ..] => options = rest,
            [131 | 137, len, pointer, ..] if usize::from(len) <= options.len() => {
                // Whole addresses only.
                if len < 3 || len % 4 != 3 {
                    return None;
                }
                let (option, rest) = options.split_at(len.into());
                let done = usize::from(pointer.saturating_sub(4)) / 4;
                if done < option.len() / 4 {
                    return option.last_chunk::<4>().map(|&last| last.into());
                }
                options = rest;
            }
            [(1..), len, ..] if (2..=options.len()).contains(&len.into()) => {
                options = &options[len.into()..];
            }
            _ => return None,
        }
    }
}

fn split(rest: &[u8]) -> Read<(&[u8; 4], &[u8])> {
    rest.split_first_chunk()
        .ok_or(Reason::Other("a message below eight bytes"))
}

fn pair([a, b, c, d]: [u8; 4]) -> (u16, u16) {
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

/// The message of a name, if there is one, else [`IcmpMessage::Other`].
pub(crate) fn icmp_message(icmp_type: IcmpType, code: u8, rest: [u8; 4]) -> IcmpMessage {
    let (identifier, sequence) = pair(rest);
    match (icmp_type, code, rest) {
        (IcmpType::ECHO_REQUEST, 0, _) => IcmpMessage::EchoRequest {
            identifier,
            sequence,
        },
        (IcmpType::ECHO_REPLY, 0, _) => IcmpMessage::EchoReply {
            identifier,
            sequence,
        },
        (IcmpType::DESTINATION_UNREACHABLE, 4, [0, 0, _, _]) => {
            IcmpMessage::FragmentationNeeded { mtu: sequence }
        }
        (IcmpType::DESTINATION_UNREACHABLE, code, [0, 0, 0, 0]) => {
            IcmpMessage::DestinationUnreachable { code }
        }
        (IcmpType::REDIRECT, code, gateway) => IcmpMessage::Redirect {
            code,
            gateway: gateway.into(),
        },
        (IcmpType::TIME_EXCEEDED, code, [0, 0, 0, 0]) => IcmpMessage::TimeExceeded { code },
        (IcmpType::PARAMETER_PROBLEM, code, [pointer, 0, 0, 0]) => {
            IcmpMessage::ParameterProblem { code, pointer }
        }
        _ => IcmpMessage::Other {
            icmp_type,
            code,
            rest,
        },
    }
}

/// The message of a name, if there is one of eight bytes, else [`Icmpv6Message::Other`].
pub(crate) fn icmpv6_message(icmp_type: Icmpv6Type, code: u8, rest: [u8; 4]) -> Icmpv6Message {
    let (identifier, sequence) = pair(rest);
    let number = u32::from_be_bytes(rest);
    match (icmp_type, code, rest) {
        (Icmpv6Type::DESTINATION_UNREACHABLE, code, [0, 0, 0, 0]) => {
            Icmpv6Message::DestinationUnreachable { code }
        }
        (Icmpv6Type::PACKET_TOO_BIG, 0, _) => Icmpv6Message::PacketTooBig { mtu: number },
        (Icmpv6Type::TIME_EXCEEDED, code, [0, 0, 0, 0]) => Icmpv6Message::TimeExceeded { code },
        (Icmpv6Type::PARAMETER_PROBLEM, code, _) => Icmpv6Message::ParameterProblem {
            code,
            pointer: number,
        },
        (Icmpv6Type::ECHO_REQUEST, 0, _) => Icmpv6Message::EchoRequest {
            identifier,
            sequence,
        },
        (Icmpv6Type::ECHO_REPLY, 0, _) => Icmpv6Message::EchoReply {
            identifier,
            sequence,
        },
        (Icmpv6Type::ROUTER_SOLICITATION, 0, [0, 0, 0, 0]) => Icmpv6Message::RouterSolicitation,
        _ => Icmpv6Message::Other {
            icmp_type,
            code,
            rest,
        },
    }
}
