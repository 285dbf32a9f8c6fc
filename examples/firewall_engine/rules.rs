//! The rules: how to read a file of them, and which one matches a packet first.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::{FromStr, SplitWhitespace};

use fluxcap::proto::{EtherType, FlowKey, IpProtocol};

/// The most rules of a file.
const MOST: usize = 65_536;

/// Whether a packet may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Allow,
    Deny,
}

/// The decision about a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) action: Action,
    /// The index of the rule that matched; after the last one comes the default.
    pub(crate) rule: u32,
}

/// The rules of one file.
#[derive(Debug)]
pub(crate) struct Rules {
    patterns: Vec<Pattern>,
    default: Action,
    /// The text of each rule, with its line number.
    lines: Vec<(usize, String)>,
}

/// One rule, or one direction of it. Small, because they are tried one after the other.
#[derive(Debug, Clone)]
struct Pattern {
    source: Prefix,
    destination: Prefix,
    ports: [RangeInclusive<u16>; 2],
    kinds: u8,
    /// For IPv4 and IPv6, which differ for ICMP only; `None`: any.
    protocols: Option<(u8, u8)>,
    has_ports: bool,
    decision: Decision,
}

/// A network: addresses with these bits under the mask. IPv4 addresses use the low bits.
#[derive(Debug, Clone, Copy)]
struct Prefix {
    bits: u128,
    mask: u128,
}

// Kinds of packets; a rule matches one or several.
const V4: u8 = 1;
const V6: u8 = 2;
const ARP: u8 = 4;
const OTHER: u8 = 8;

const SCTP: IpProtocol = IpProtocol(132);
const ANY_PORT: RangeInclusive<u16> = 0..=u16::MAX;

impl Rules {
    /// Reads a file of rules. An error names the line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Self {
            patterns: Vec::new(),
            default: Action::Deny,
            lines: Vec::new(),
        };
        let mut has_default = false;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            let mut words = line.split_whitespace();
            let read = match words.next() {
                None => continue,
                Some("default") if has_default => Err("there is a default already".to_owned()),
                Some("default") => {
                    has_default = true;
                    read_action(words.next())
                        .map(|action| rules.default = action)
                        .and_then(|()| nothing_left(words))
                }
                first => rules.read(first, words),
            };
            read.map_err(|mistake| format!("line {number}: {mistake}"))?;
            if rules.lines.len() < rules.count() {
                rules.lines.push((number, line.to_owned()));
            }
            if rules.count() > MOST {
                return Err(format!("line {number}: more than {MOST} rules"));
            }
        }
        Ok(rules)
    }

    /// Reads a rule.
    fn read(&mut self, first: Option<&str>, mut words: SplitWhitespace<'_>) -> Result<(), String> {
        let action = read_action(first)?;
        let decision = Decision {
            action,
            rule: self.lines.len() as u32,
        };
        let mut pattern = Pattern::read_protocol(words.next(), decision)?;
        let mut left = words.next();
        if left == Some("from") {
            left = pattern.read_end(0, &mut words)?;
        }
        if left == Some("to") {
            left = pattern.read_end(1, &mut words)?;
        }
        let both = left == Some("both") && words.next() == Some("ways");
        if both {
            left = words.next();
        }
        match left {
            Some(word) => return Err(format!("what is '{word}'?")),
            None => nothing_left(words)?,
        }
        if both {
            self.patterns.push(pattern.reversed());
        }
        self.patterns.push(pattern);
        Ok(())
    }

    /// The number of rules, without the default.
    pub(crate) fn count(&self) -> usize {
        self.patterns
            .last()
            .map_or(0, |last| last.decision.rule as usize + 1)
    }

    /// The text of a rule, with its line number; `None`: the default.
    pub(crate) fn line(&self, rule: usize) -> Option<(usize, &str)> {
        let (number, line) = self.lines.get(rule)?;
        Some((*number, line))
    }

    /// The action for packets that no rule matches.
    pub(crate) fn default(&self) -> Action {
        self.default
    }

    /// The first rule that matches.
    pub(crate) fn decide(&self, flow: &FlowKey) -> Decision {
        let facts = Facts::of(flow);
        let found = self.patterns.iter().find(|pattern| pattern.matches(&facts));
        found.map_or(
            Decision {
                action: self.default,
                rule: self.count() as u32,
            },
            |pattern| pattern.decision,
        )
    }
}

impl Pattern {
    fn read_protocol(word: Option<&str>, decision: Decision) -> Result<Self, String> {
        let word = word.ok_or("a protocol is missing: tcp, udp, icmp, arp, any ...")?;
        let ip = |protocol: IpProtocol| (V4 | V6, Some((protocol.0, protocol.0)));
        let (kinds, protocols) = match word {
            "any" => (V4 | V6 | ARP | OTHER, None),
            "arp" => (ARP, None),
            "other" => (OTHER, None),
            "icmp" => (V4 | V6, Some((IpProtocol::ICMP.0, IpProtocol::ICMPV6.0))),
            "tcp" => ip(IpProtocol::TCP),
            "udp" => ip(IpProtocol::UDP),
            number => match number.parse() {
                Ok(number) => ip(IpProtocol(number)),
                Err(_) => return Err(format!("'{number}' is no protocol")),
            },
        };
        let anywhere = Prefix { bits: 0, mask: 0 };
        Ok(Self {
            source: anywhere,
            destination: anywhere,
            ports: [ANY_PORT, ANY_PORT],
            kinds,
            protocols,
            has_ports: false,
            decision,
        })
    }

    /// Reads `ADDRESS [port PORTS]` of the source (0) or the destination (1). Returns the next word.
    fn read_end<'a>(
        &mut self,
        end: usize,
        words: &mut SplitWhitespace<'a>,
    ) -> Result<Option<&'a str>, String> {
        let word = words.next().ok_or("an address is missing")?;
        if word != "any" {
            let (prefix, kind) = read_prefix(word)?;
            *[&mut self.source, &mut self.destination][end] = prefix;
            self.kinds &= kind;
            if self.kinds == 0 {
                return Err(format!(
                    "'{word}' is of another kind than what stands before"
                ));
            }
        }
        let next = words.next();
        if next != Some("port") {
            return Ok(next);
        }
        let with_ports = [IpProtocol::TCP, IpProtocol::UDP, SCTP].map(|protocol| protocol.0);
        if !matches!(self.protocols, Some((protocol, _)) if with_ports.contains(&protocol)) {
            return Err("only tcp, udp and 132 (SCTP) have ports".to_owned());
        }
        self.ports[end] = read_ports(words.next().ok_or("a port is missing")?)?;
        self.has_ports = true;
        Ok(words.next())
    }

    /// The pattern for the answers.
    fn reversed(&self) -> Self {
        let [source, destination] = self.ports.clone();
        Self {
            source: self.destination,
            destination: self.source,
            ports: [destination, source],
            ..self.clone()
        }
    }

    #[inline]
    fn matches(&self, facts: &Facts) -> bool {
        self.kinds & facts.kind != 0
            && self.source.contains(facts.source)
            && self.destination.contains(facts.destination)
            && self.matches_protocol(facts)
    }

    /// If a packet hides its ports or protocol, a deny rule that asks for them matches, and an allow rule does not.
    #[inline]
    fn matches_protocol(&self, facts: &Facts) -> bool {
        let unknown = self.decision.action == Action::Deny;
        let Some((v4, v6)) = self.protocols else {
            return true;
        };
        if facts.protocol != if facts.kind == V4 { v4 } else { v6 } {
            return facts.hides_protocol && unknown;
        }
        match facts.ports {
            _ if !self.has_ports => true,
            None => unknown,
            Some((source, destination)) => {
                self.ports[0].contains(&source) && self.ports[1].contains(&destination)
            }
        }
    }
}

impl Prefix {
    #[inline]
    fn contains(&self, address: u128) -> bool {
        (address ^ self.bits) & self.mask == 0
    }
}

/// The fields of a packet that rules compare.
struct Facts {
    kind: u8,
    source: u128,
    destination: u128,
    protocol: u8,
    hides_protocol: bool,
    ports: Option<(u16, u16)>,
}

impl Facts {
    #[inline]
    fn of(flow: &FlowKey) -> Self {
        let (kind, source, destination) = match flow.addresses() {
            Some((IpAddr::V4(source), IpAddr::V4(destination))) => {
                (V4, source.to_bits().into(), destination.to_bits().into())
            }
            Some((IpAddr::V6(source), IpAddr::V6(destination))) => {
                (V6, source.to_bits(), destination.to_bits())
            }
            _ if flow.ether_type() == EtherType::ARP => (ARP, 0, 0),
            _ => (OTHER, 0, 0),
        };
        let protocol = flow.protocol().unwrap_or(IpProtocol(0));
        Self {
            kind,
            source,
            destination,
            protocol: protocol.0,
            hides_protocol: hides(protocol),
            ports: flow.ports(),
        }
    }
}

/// Extension, fragment and authentication headers: the protocol of the packet comes after them.
fn hides(protocol: IpProtocol) -> bool {
    matches!(
        protocol,
        IpProtocol::IPV6_HOP_BY_HOP
            | IpProtocol::IPV6_ROUTING
            | IpProtocol::IPV6_FRAGMENT
            | IpProtocol::IPV6_DESTINATION
            | IpProtocol::AH
    )
}

fn read_action(word: Option<&str>) -> Result<Action, String> {
    match word {
        Some("allow") => Ok(Action::Allow),
        Some("deny") => Ok(Action::Deny),
        Some(other) => Err(format!(
            "a line starts with allow, deny or default, not '{other}'"
        )),
        None => Err("the default is allow or deny".to_owned()),
    }
}

fn nothing_left(mut words: SplitWhitespace<'_>) -> Result<(), String> {
    words
        .next()
        .map_or(Ok(()), |word| Err(format!("what is '{word}'?")))
}

/// Reads an address or a prefix; also returns its kind.
fn read_prefix(text: &str) -> Result<(Prefix, u8), String> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address = address
        .parse()
        .map_err(|_| format!("'{address}' is no IP address"))?;
    let (bits, most, kind) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32, V4),
        IpAddr::V6(address) => (address.to_bits(), 128, V6),
    };
    let length = match length.map(u32::from_str) {
        None => most,
        Some(Ok(length)) if length <= most => length,
        Some(_) => return Err(format!("the prefix '{text}' has a length from 0 to {most}")),
    };
    let host = u128::MAX.checked_shr(128 - most + length).unwrap_or(0);
    if bits & host != 0 {
        return Err(format!("'{text}' has bits behind its prefix"));
    }
    let mask = (u128::MAX >> (128 - most)) & !host;
    Ok((Prefix { bits, mask }, kind))
}

fn read_ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err(format!("'{text}' is no port and no range of ports")),
    }
}
