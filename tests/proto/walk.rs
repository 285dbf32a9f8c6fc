//! A frame read from the outside inwards by our views, as fields by the names that tshark has for them.

use std::net::{IpAddr, Ipv6Addr};

use fluxcap::proto::checksum::PseudoHeader;
use fluxcap::proto::{
    Arp, EtherType, Ethernet, Gre, Icmp, IcmpEcho, IcmpError, IcmpType, Icmpv6, Icmpv6Echo,
    Icmpv6Error, Icmpv6Type, IpProtocol, Ipv4, Ipv4Option, Ipv6, Llc, MacAddr, Mpls, NdpOption,
    NdpOptions, NdpRedirect, NeighborAdvertisement, NeighborSolicitation, ParseError,
    RouterAdvertisement, RouterSolicitation, Snap, Tcp, TcpOption, Udp, Vlan, Vxlan,
};

/// What a field holds, as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Number(u64),
    Ip(IpAddr),
    Bytes(Vec<u8>),
}

/// What tshark says of a checksum, besides 0 for wrong and 1 for right.
const UNKNOWN: u64 = 2;
const NONE: u64 = 3;
const ILLEGAL: u64 = 4;

/// What of a message is here, for its checksum.
#[derive(Debug, Default, Clone, Copy)]
enum Scope {
    #[default]
    Whole,
    /// All, but the last destination is in a routing header.
    Routed,
    /// A fragment, or what an error quotes.
    Part,
}

/// Options of IPv4 without a type of ours that tshark knows.
const KNOWN_OPTIONS: [u8; 9] = [11, 12, 25, 82, 130, 133, 134, 136, 149];

/// UDP's port for VXLAN.
const VXLAN_PORT: u16 = 4789;

/// All fields of a frame, and where reading ended.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// In the order of the headers.
    pub(crate) fields: Vec<(&'static str, Value)>,
    /// Why not all was read.
    pub(crate) error: Option<ParseError>,
    /// Inside the packet that an ICMP error quotes, which as a rule is cut short.
    pub(crate) is_quoted: bool,
    scope: Scope,
}

type Parsed = Result<(), ParseError>;

impl Walk {
    pub(crate) fn of(frame: &[u8]) -> Self {
        let mut walk = Self::default();
        walk.error = walk.ethernet(frame).err();
        walk
    }

    fn number(&mut self, field: &'static str, value: impl Into<u64>) {
        self.fields.push((field, Value::Number(value.into())));
    }

    fn ip(&mut self, field: &'static str, address: impl Into<IpAddr>) {
        self.fields.push((field, Value::Ip(address.into())));
    }

    fn bytes(&mut self, field: &'static str, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.fields.push((field, Value::Bytes(bytes.to_vec())));
        }
    }

    fn mac(&mut self, field: &'static str, mac: MacAddr) {
        self.bytes(field, &mac.octets());
    }

    /// A checksum; a part of the message, or of its addresses, does not do.
    fn checked(&mut self, field: &'static str, is_right: bool) {
        self.number(
            field,
            match self.scope {
                _ if field == "ip.checksum.status" || field == "gre.checksum.status" => {
                    u64::from(is_right)
                }
                Scope::Part => UNKNOWN,
                Scope::Routed => return,
                Scope::Whole => u64::from(is_right),
            },
        );
    }

    fn data(&mut self, bytes: &[u8]) {
        self.bytes("data.data", bytes);
    }

    fn ethernet(&mut self, frame: &[u8]) -> Parsed {
        let (ethernet, payload) = Ethernet::parse(frame)?;
        self.mac("eth.dst", ethernet.destination());
        self.mac("eth.src", ethernet.source());
        let ether_type = ethernet.ether_type();
        self.number(
            if ether_type.is_length() {
                "eth.len"
            } else {
                "eth.type"
            },
            ether_type.0,
        );
        self.network(ether_type, payload)
    }

    fn llc(&mut self, bytes: &[u8]) -> Parsed {
        let (llc, rest) = Llc::parse(bytes)?;
        self.number("llc.dsap", llc.destination_sap());
        self.number("llc.ssap", llc.source_sap());
        self.number("llc.control", llc.control());
        if !llc.is_snap() {
            self.data(rest);
            return Ok(());
        }
        let (snap, rest) = Snap::parse(rest)?;
        let [a, b, c] = snap.organization();
        self.number("llc.oui", u32::from_be_bytes([0, a, b, c]));
        match snap.ether_type() {
            Some(ether_type) => {
                self.number("llc.type", ether_type.0);
                self.network(ether_type, rest)
            }
            None => {
                self.number("llc.pid", snap.protocol());
                self.data(rest);
                Ok(())
            }
        }
    }

    /// What has an ether type, and padding behind it.
    fn network(&mut self, ether_type: EtherType, bytes: &[u8]) -> Parsed {
        match ether_type {
            _ if ether_type.is_length() => {
                let payload = ether_type.cut(bytes)?;
                self.llc(payload)?;
                self.bytes("padding", &bytes[payload.len()..]);
                Ok(())
            }
            EtherType::VLAN | EtherType::QINQ => {
                let (vlan, rest) = Vlan::parse(bytes)?;
                let names = if ether_type == EtherType::VLAN {
                    ["vlan.priority", "vlan.dei", "vlan.id", "vlan.etype"]
                } else {
                    [
                        "ieee8021ad.priority",
                        "ieee8021ad.dei",
                        "ieee8021ad.id",
                        "ieee8021ah.etype",
                    ]
                };
                self.number(names[0], vlan.priority());
                self.number(names[1], vlan.drop_eligible());
                self.number(names[2], vlan.id());
                let is_length = vlan.ether_type().is_length();
                self.number(
                    if is_length { "vlan.len" } else { names[3] },
                    vlan.ether_type().0,
                );
                self.network(vlan.ether_type(), rest)
            }
            EtherType::MPLS | EtherType::MPLS_UPSTREAM => {
                let (stack, rest) = Mpls::parse_stack(bytes)?;
                for entry in stack {
                    self.number("mpls.label", entry.label());
                    self.number("mpls.exp", entry.traffic_class());
                    self.number("mpls.bottom", entry.is_bottom());
                    self.number("mpls.ttl", entry.ttl());
                }
                let bottom = stack.last().expect("a stack has a bottom");
                match bottom.guess_payload(rest) {
                    Some(ether_type) => self.network(ether_type, rest),
                    None => {
                        self.data(rest);
                        Ok(())
                    }
                }
            }
            EtherType::ARP => self.arp(bytes),
            EtherType::IPV4 => self.ipv4(bytes),
            EtherType::IPV6 => self.ipv6(bytes),
            _ => {
                self.data(bytes);
                Ok(())
            }
        }
    }

    fn arp(&mut self, bytes: &[u8]) -> Parsed {
        let (arp, padding) = Arp::parse(bytes)?;
        self.number("arp.opcode", arp.operation().0);
        self.mac("arp.src.hw_mac", arp.sender_mac());
        self.ip("arp.src.proto_ipv4", arp.sender_ip());
        self.mac("arp.dst.hw_mac", arp.target_mac());
        self.ip("arp.dst.proto_ipv4", arp.target_ip());
        self.bytes("padding", padding);
        Ok(())
    }

    fn ipv4(&mut self, bytes: &[u8]) -> Parsed {
        let (ip, payload) = Ipv4::parse(bytes)?;
        self.number("ip.hdr_len", ip.header_len() as u64);
        self.number("ip.dsfield.dscp", ip.dscp());
        self.number("ip.dsfield.ecn", ip.ecn());
        self.number("ip.len", ip.total_length());
        self.number("ip.id", ip.identification());
        self.number("ip.flags.df", ip.dont_fragment());
        self.number("ip.flags.mf", ip.more_fragments());
        self.number("ip.frag_offset", ip.fragment_offset() / 8);
        self.number("ip.ttl", ip.ttl());
        self.number("ip.proto", ip.protocol().0);
        self.number("ip.checksum", ip.header_checksum());
        self.checked("ip.checksum.status", ip.verify_checksum());
        self.ip("ip.src", ip.source());
        self.ip("ip.dst", ip.destination());
        let options = self.ipv4_options(ip);
        if ip.fragment_offset() != 0 {
            self.data(payload);
        } else {
            self.set_scope(ip.more_fragments(), false);
            self.message(ip.protocol(), ip.pseudo_header(), payload)?;
        }
        self.bytes("padding", &bytes[ip.header_len() + payload.len()..]);
        options
    }

    fn ipv4_options(&mut self, ip: &Ipv4) -> Parsed {
        for option in ip.options() {
            let option = option?;
            // tshark shows no field of other options than these.
            if matches!(option, Ipv4Option::Other { kind, .. } if !KNOWN_OPTIONS.contains(&kind)) {
                continue;
            }
            self.number("ip.opt.type", option.kind());
            if !matches!(option, Ipv4Option::EndOfList | Ipv4Option::NoOperation) {
                self.number("ip.opt.len", option.wire_len() as u64);
            }
            match option {
                Ipv4Option::RouterAlert(value) => self.number("ip.opt.ra", value),
                Ipv4Option::RecordRoute(route)
                | Ipv4Option::LooseSourceRoute(route)
                | Ipv4Option::StrictSourceRoute(route) => {
                    self.number("ip.opt.ptr", route.pointer);
                }
                Ipv4Option::Timestamps(stamps) => {
                    self.number("ip.opt.ptr", stamps.pointer);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn ipv6(&mut self, bytes: &[u8]) -> Parsed {
        let (ip, payload) = Ipv6::parse(bytes)?;
        self.number("ipv6.tclass.dscp", ip.dscp());
        self.number("ipv6.tclass.ecn", ip.ecn());
        self.number("ipv6.flow", ip.flow_label());
        self.number("ipv6.plen", ip.payload_length());
        self.number("ipv6.nxt", ip.next_header().0);
        self.number("ipv6.hlim", ip.hop_limit());
        self.ip("ipv6.src", ip.source());
        self.ip("ipv6.dst", ip.destination());
        let upper = ip.upper_layer(payload)?;
        let message = &payload[upper.offset..];
        if upper.is_later_fragment() {
            self.data(message);
        } else {
            let is_part = upper
                .fragment
                .is_some_and(|fragment| fragment.more_fragments);
            self.set_scope(is_part, upper.is_source_routed);
            self.message(upper.protocol, ip.pseudo_header(), message)?;
        }
        self.bytes("padding", &bytes[Ipv6::LEN + payload.len()..]);
        Ok(())
    }

    fn set_scope(&mut self, is_part: bool, is_routed: bool) {
        self.scope = match () {
            () if is_part => Scope::Part,
            () if is_routed => Scope::Routed,
            () => Scope::Whole,
        };
    }

    /// What an IP packet carries.
    fn message(&mut self, protocol: IpProtocol, addresses: PseudoHeader, bytes: &[u8]) -> Parsed {
        match protocol {
            IpProtocol::UDP => self.udp(addresses, bytes),
            IpProtocol::TCP => self.tcp(addresses, bytes),
            IpProtocol::ICMP if !addresses.is_ipv6() => self.icmp(bytes),
            IpProtocol::ICMPV6 if addresses.is_ipv6() => self.icmpv6(addresses, bytes),
            IpProtocol::GRE => self.gre(bytes),
            IpProtocol::IPV4 => self.ipv4(bytes),
            IpProtocol::IPV6 => self.ipv6(bytes),
            _ => {
                self.data(bytes);
                Ok(())
            }
        }
    }

    fn udp(&mut self, addresses: PseudoHeader, bytes: &[u8]) -> Parsed {
        let (udp, payload) = Udp::parse(bytes)?;
        self.number("udp.srcport", udp.source_port());
        self.number("udp.dstport", udp.destination_port());
        self.number("udp.length", udp.length());
        self.number("udp.checksum", udp.checksum());
        let is_right = udp.verify_checksum(addresses, payload);
        match (udp.checksum(), addresses.is_ipv6()) {
            (0, false) => self.number("udp.checksum.status", NONE),
            (0, true) if !is_right => self.number("udp.checksum.status", ILLEGAL),
            _ => self.checked("udp.checksum.status", is_right),
        }
        self.bytes("udp.payload", payload);
        if udp.destination_port() == VXLAN_PORT {
            return self.vxlan(payload);
        }
        self.data(payload);
        Ok(())
    }

    fn vxlan(&mut self, bytes: &[u8]) -> Parsed {
        let (vxlan, frame) = Vxlan::parse(bytes)?;
        self.number("vxlan.flags", u16::from_be_bytes([vxlan.flags(), bytes[1]]));
        self.number("vxlan.vni", vxlan.vni());
        self.ethernet(frame)
    }

    fn tcp(&mut self, addresses: PseudoHeader, bytes: &[u8]) -> Parsed {
        let (tcp, data) = Tcp::parse(bytes)?;
        self.number("tcp.srcport", tcp.source_port());
        self.number("tcp.dstport", tcp.destination_port());
        self.number("tcp.seq_raw", tcp.sequence_number());
        self.number("tcp.ack_raw", tcp.acknowledgment_number());
        self.number("tcp.hdr_len", tcp.header_len() as u64);
        self.number("tcp.flags", tcp.flags().0);
        self.number("tcp.window_size_value", tcp.window());
        self.number("tcp.checksum", tcp.checksum());
        self.checked("tcp.checksum.status", tcp.verify_checksum(addresses, data));
        self.number("tcp.urgent_pointer", tcp.urgent_pointer());
        self.bytes("tcp.options", tcp.options_bytes());
        let options = self.tcp_options(tcp);
        self.bytes("tcp.payload", data);
        self.data(data);
        options
    }

    fn tcp_options(&mut self, tcp: &Tcp) -> Parsed {
        for option in tcp.options() {
            let option = option?;
            self.number("tcp.option_kind", option.kind());
            if !matches!(option, TcpOption::EndOfList | TcpOption::NoOperation) {
                self.number("tcp.option_len", option.wire_len() as u64);
            }
            match option {
                TcpOption::MaximumSegmentSize(size) => self.number("tcp.options.mss_val", size),
                TcpOption::WindowScale(shift) => self.number("tcp.options.wscale.shift", shift),
                TcpOption::Timestamps { value, echo } => {
                    self.number("tcp.options.timestamp.tsval", value);
                    self.number("tcp.options.timestamp.tsecr", echo);
                }
                TcpOption::Sack(blocks) => {
                    for block in blocks {
                        self.number("tcp.options.sack_le", block.left());
                        self.number("tcp.options.sack_re", block.right());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn gre(&mut self, bytes: &[u8]) -> Parsed {
        let (gre, payload) = Gre::parse(bytes)?;
        self.number("gre.flags.checksum", gre.checksum().is_some());
        self.number("gre.flags.key", gre.key().is_some());
        self.number("gre.flags.sequence_number", gre.sequence_number().is_some());
        self.number("gre.proto", gre.protocol_type().0);
        if let Some(checksum) = gre.checksum() {
            self.number("gre.checksum", checksum);
            self.checked("gre.checksum.status", gre.verify_checksum(payload));
        }
        if let Some(key) = gre.key() {
            self.number("gre.key", key);
        }
        if let Some(number) = gre.sequence_number() {
            self.number("gre.sequence_number", number);
        }
        match gre.protocol_type() {
            EtherType::ETHERNET => self.ethernet(payload),
            ether_type => self.network(ether_type, payload),
        }
    }

    fn icmp(&mut self, bytes: &[u8]) -> Parsed {
        let (icmp, rest) = Icmp::parse(bytes)?;
        self.number("icmp.type", icmp.icmp_type().0);
        self.number("icmp.code", icmp.code());
        self.number("icmp.checksum", icmp.checksum());
        if self.is_quoted {
            self.number("icmp.checksum.status", UNKNOWN); // tshark leaves it at that
        } else {
            self.checked("icmp.checksum.status", icmp.verify_checksum(rest));
        }
        if icmp.icmp_type().is_error() {
            let (error, payload) = IcmpError::parse(bytes)?;
            if let Some(mtu) = error.next_hop_mtu() {
                self.number("icmp.mtu", mtu);
            }
            if let Some(gateway) = error.gateway() {
                self.ip("icmp.redir_gw", gateway);
            }
            if let Some(pointer) = error.pointer() {
                self.number("icmp.pointer", pointer);
            }
            self.is_quoted = true;
            return self.ipv4(error.quoted(payload));
        }
        if matches!(
            icmp.icmp_type(),
            IcmpType::ECHO_REQUEST | IcmpType::ECHO_REPLY
        ) {
            let (echo, data) = IcmpEcho::parse(bytes)?;
            self.number("icmp.ident", echo.identifier());
            self.number("icmp.seq", echo.sequence());
            self.data(data);
        }
        Ok(())
    }

    fn icmpv6(&mut self, addresses: PseudoHeader, bytes: &[u8]) -> Parsed {
        let (icmp, rest) = Icmpv6::parse(bytes)?;
        self.number("icmpv6.type", icmp.icmp_type().0);
        self.number("icmpv6.code", icmp.code());
        self.number("icmpv6.checksum", icmp.checksum());
        if self.is_quoted {
            self.number("icmpv6.checksum.status", UNKNOWN);
        } else {
            self.checked(
                "icmpv6.checksum.status",
                icmp.verify_checksum(addresses, rest),
            );
        }
        match icmp.icmp_type() {
            Icmpv6Type::DESTINATION_UNREACHABLE
            | Icmpv6Type::PACKET_TOO_BIG
            | Icmpv6Type::TIME_EXCEEDED
            | Icmpv6Type::PARAMETER_PROBLEM => {
                let (error, payload) = Icmpv6Error::parse(bytes)?;
                if let Some(mtu) = error.mtu() {
                    self.number("icmpv6.mtu", mtu);
                }
                if let Some(pointer) = error.pointer() {
                    self.number("icmpv6.pointer", pointer);
                }
                self.is_quoted = true;
                self.ipv6(error.quoted(payload))
            }
            Icmpv6Type::ECHO_REQUEST | Icmpv6Type::ECHO_REPLY => {
                let (echo, data) = Icmpv6Echo::parse(bytes)?;
                self.number("icmpv6.echo.identifier", echo.identifier());
                self.number("icmpv6.echo.sequence_number", echo.sequence());
                self.data(data);
                Ok(())
            }
            Icmpv6Type::ROUTER_SOLICITATION => {
                let (message, options) = RouterSolicitation::parse(bytes)?;
                self.ndp_options(message.options(options))
            }
            Icmpv6Type::ROUTER_ADVERTISEMENT => {
                let (message, options) = RouterAdvertisement::parse(bytes)?;
                self.number("icmpv6.nd.ra.cur_hop_limit", message.hop_limit());
                self.number("icmpv6.nd.ra.flag", message.flags());
                self.number("icmpv6.nd.ra.flag.m", message.is_managed());
                self.number("icmpv6.nd.ra.flag.o", message.has_other_configuration());
                self.number("icmpv6.nd.ra.router_lifetime", message.router_lifetime());
                self.number("icmpv6.nd.ra.reachable_time", message.reachable_time());
                self.number("icmpv6.nd.ra.retrans_timer", message.retrans_timer());
                self.ndp_options(message.options(options))
            }
            Icmpv6Type::NEIGHBOR_SOLICITATION => {
                let (message, options) = NeighborSolicitation::parse(bytes)?;
                self.ip("icmpv6.nd.ns.target_address", message.target());
                self.ndp_options(message.options(options))
            }
            Icmpv6Type::NEIGHBOR_ADVERTISEMENT => {
                let (message, options) = NeighborAdvertisement::parse(bytes)?;
                let flags = message.flags();
                self.number(
                    "icmpv6.nd.na.flag.r",
                    flags & NeighborAdvertisement::ROUTER != 0,
                );
                self.number(
                    "icmpv6.nd.na.flag.s",
                    flags & NeighborAdvertisement::SOLICITED != 0,
                );
                self.number(
                    "icmpv6.nd.na.flag.o",
                    flags & NeighborAdvertisement::OVERRIDE != 0,
                );
                self.ip("icmpv6.nd.na.target_address", message.target());
                self.ndp_options(message.options(options))
            }
            Icmpv6Type::REDIRECT => {
                let (message, options) = NdpRedirect::parse(bytes)?;
                self.ip("icmpv6.nd.rd.target_address", message.target());
                self.ip("icmpv6.rd.na.destination_address", message.destination());
                self.ndp_options(message.options(options))
            }
            _ => Ok(()),
        }
    }

    fn ndp_options(&mut self, options: NdpOptions<'_>) -> Parsed {
        for option in options {
            let option = option?;
            self.number("icmpv6.opt.type", option.kind());
            self.number("icmpv6.opt.length", option.wire_len() as u64 / 8);
            match option {
                NdpOption::SourceLinkLayerAddress(mac) => self.mac("icmpv6.opt.src_linkaddr", mac),
                NdpOption::TargetLinkLayerAddress(mac) => {
                    self.mac("icmpv6.opt.target_linkaddr", mac);
                }
                NdpOption::PrefixInformation(prefix) => {
                    self.number("icmpv6.opt.prefix.length", prefix.prefix_length());
                    self.number("icmpv6.opt.prefix.flag", prefix.flags());
                    self.number("icmpv6.opt.prefix.valid_lifetime", prefix.valid_lifetime());
                    let preferred = prefix.preferred_lifetime();
                    self.number("icmpv6.opt.prefix.preferred_lifetime", preferred);
                    self.ip("icmpv6.opt.prefix", prefix.prefix());
                }
                NdpOption::Mtu(mtu) => self.number("icmpv6.opt.mtu", mtu),
                NdpOption::RedirectedHeader(quoted) => {
                    self.is_quoted = true;
                    self.ipv6(quoted)?;
                    self.is_quoted = false;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads what tshark says as the same kind of value.
pub(crate) fn read_as(kind: &Value, text: &str) -> Option<Value> {
    match kind {
        Value::Number(_) => {
            let number = match text.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None => match text {
                    "True" => Some(1),
                    "False" => Some(0),
                    _ => text.parse().ok(),
                },
            };
            number.map(Value::Number)
        }
        Value::Ip(_) => text
            .parse()
            .ok()
            .or_else(|| Some(IpAddr::V6(text.parse::<Ipv6Addr>().ok()?)))
            .map(Value::Ip),
        Value::Bytes(_) => {
            let digits: Vec<u8> = text.bytes().filter(|&byte| byte != b':').collect();
            let pairs = digits.chunks(2).map(|pair| {
                let pair = std::str::from_utf8(pair).ok()?;
                u8::from_str_radix(pair, 16).ok()
            });
            pairs.collect::<Option<Vec<u8>>>().map(Value::Bytes)
        }
    }
}
