//! A frame read from the outside inwards by our views, as fields by the names that tshark has for them.

use std::collections::HashMap;
use std::net::IpAddr;

use fluxcap::proto::{Arp, EtherType, Ethernet, Llc, MacAddr, Mpls, ParseError, Snap, Vlan};

use crate::tshark_quirks::{Quirk, quirk_of};
use crate::value::Value;

#[path = "walk/extension.rs"]
mod extension;
#[path = "walk/icmp.rs"]
mod icmp;
#[path = "walk/ip.rs"]
mod ip;
#[path = "walk/option.rs"]
mod option;
#[path = "walk/transport.rs"]
mod transport;

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

/// All fields of a frame, and where reading ended.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// In the order of the headers.
    pub(crate) fields: Vec<(&'static str, Value)>,
    /// What is wrong first.
    pub(crate) error: Option<ParseError>,
    /// Where reading ended early.
    pub(crate) ends: Vec<ParseError>,
    /// Whether something is so wrong that tshark says so.
    pub(crate) complaint: bool,
    /// Inside a packet that an ICMP error quotes, which as a rule is cut short: no reason to complain.
    pub(crate) is_quoted: bool,
    /// Where the walk went as tshark goes.
    pub(crate) quirks: Vec<Quirk>,
    /// tshark goes on where there is no view of ours, and may find things wrong there.
    pub(crate) is_behind: bool,
    goes_as_tshark: bool,
    /// The payload length of IPv6 is 0.
    is_empty: bool,
    scope: Scope,
}

/// Why a walk ends early.
enum End {
    Fault(ParseError),
    /// tshark ends here.
    Quirk,
}

impl From<ParseError> for End {
    fn from(error: ParseError) -> Self {
        Self::Fault(error)
    }
}

type Parsed = Result<(), End>;

impl Walk {
    /// As far as our views go.
    pub(crate) fn of(frame: &[u8]) -> Self {
        Self::default().through(frame)
    }

    /// As tshark goes, where it has a [`Quirk`].
    pub(crate) fn as_tshark(frame: &[u8]) -> Self {
        let walk = Self {
            goes_as_tshark: true,
            ..Self::default()
        };
        walk.through(frame)
    }

    fn through(mut self, frame: &[u8]) -> Self {
        if let Err(End::Fault(error)) = self.ethernet(frame) {
            self.ends_at(error);
        }
        self
    }

    /// Something is wrong here.
    fn fault(&mut self, error: ParseError) {
        let is_part = matches!(self.scope, Scope::Part);
        match quirk_of(error, is_part).filter(|_| self.goes_as_tshark) {
            Some(quirk) => {
                self.quirks.push(quirk);
                self.is_behind = !matches!(quirk, Quirk::FirstFragment | Quirk::NoByte);
            }
            // As a rule it is cut short; but for the header of IP.
            None if self.is_quoted
                && error.is_truncated()
                && (error.protocol(), error.field()) != ("IPv6", "header") => {}
            None => self.complaint = true,
        }
        self.error.get_or_insert(error);
    }

    /// Something is wrong here, so that a walk, or a list of options, ends.
    fn ends_at(&mut self, error: ParseError) {
        self.fault(error);
        self.ends.push(error);
    }

    /// Something that tshark alone minds.
    fn complain(&mut self, quirk: Quirk) {
        if self.is_tshark(quirk) && !self.is_quoted {
            self.complaint = true;
        }
    }

    /// Where tshark alone ends.
    fn end(&mut self, quirk: Quirk) -> Parsed {
        if !self.goes_as_tshark {
            return Ok(());
        }
        self.complain(quirk);
        Err(End::Quirk)
    }

    /// Whether to do as tshark does.
    fn is_tshark(&mut self, quirk: Quirk) -> bool {
        if self.goes_as_tshark {
            self.quirks.push(quirk);
        }
        self.goes_as_tshark
    }

    /// The values of each field.
    pub(crate) fn by_name(&self) -> HashMap<&'static str, Vec<&Value>> {
        let mut fields: HashMap<_, Vec<_>> = HashMap::new();
        for (name, value) in &self.fields {
            fields.entry(*name).or_default().push(value);
        }
        fields
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

    /// Bytes that are there even if there are none.
    fn raw(&mut self, field: &'static str, bytes: &[u8]) {
        self.fields.push((field, Value::Bytes(bytes.to_vec())));
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
        self.announced("eth.len", "eth.type", ethernet.ether_type(), payload)
    }

    /// An EtherType or length, and what it announces.
    fn announced(
        &mut self,
        length_name: &'static str,
        type_name: &'static str,
        ether_type: EtherType,
        payload: &[u8],
    ) -> Parsed {
        if ether_type.0 == 0 && self.is_tshark(Quirk::LengthZero) {
            self.number(type_name, 0u16);
            self.data(payload);
        } else if (1501..1536).contains(&ether_type.0) && self.is_tshark(Quirk::LengthAbove1500) {
            if type_name != "eth.type" {
                self.number(type_name, ether_type.0);
            }
            self.data(payload);
        } else {
            let is_length = ether_type.is_length();
            let name = if is_length { length_name } else { type_name };
            self.number(name, ether_type.0);
            return self.network(ether_type, payload);
        }
        Ok(())
    }

    fn llc(&mut self, bytes: &[u8]) -> Parsed {
        let (llc, rest) = Llc::parse(bytes)?;
        self.number("llc.dsap", llc.destination_sap());
        self.number("llc.ssap", llc.source_sap());
        let control = llc.control();
        if bytes[2] & 3 != 3 && self.is_tshark(Quirk::LlcControl) {
            self.number("llc.control", control.swap_bytes());
        } else {
            self.number("llc.control", control);
        }
        if llc.destination_sap() == 6 && self.is_tshark(Quirk::LlcIp) {
            return self.ipv4(rest);
        }
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
            EtherType::VLAN | EtherType::QINQ => self.vlan(ether_type, bytes),
            EtherType(0x9100) if self.is_tshark(Quirk::OldTag) => self.vlan(EtherType::VLAN, bytes),
            EtherType::MPLS | EtherType::MPLS_UPSTREAM => {
                let (stack, rest) = Mpls::parse_stack(bytes)?;
                for entry in stack {
                    self.number("mpls.label", entry.label());
                    self.number("mpls.exp", entry.traffic_class());
                    self.number("mpls.bottom", entry.is_bottom());
                    self.number("mpls.ttl", entry.ttl());
                }
                let bottom = stack.last().expect("a stack has a bottom");
                if rest.is_empty() && self.goes_as_tshark {
                    return self.end(Quirk::MplsNothing);
                }
                if bottom.label() == 13 && self.is_tshark(Quirk::ChannelLabel) {
                    self.data(rest);
                    return Ok(());
                }
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

    fn vlan(&mut self, ether_type: EtherType, bytes: &[u8]) -> Parsed {
        let (vlan, rest) = Vlan::parse(bytes)?;
        let [priority, dei, id, next] = if ether_type == EtherType::VLAN {
            ["vlan.priority", "vlan.dei", "vlan.id", "vlan.etype"]
        } else {
            [
                "ieee8021ad.priority",
                "ieee8021ad.dei",
                "ieee8021ad.id",
                "ieee8021ah.etype",
            ]
        };
        self.number(priority, vlan.priority());
        self.number(dei, vlan.drop_eligible());
        self.number(id, vlan.id());
        self.announced("vlan.len", next, vlan.ether_type(), rest)
    }

    fn arp(&mut self, bytes: &[u8]) -> Parsed {
        let (arp, padding) = Arp::parse(bytes)?;
        self.number("arp.opcode", arp.operation().0);
        self.mac("arp.src.hw_mac", arp.sender_mac());
        self.ip("arp.src.proto_ipv4", arp.sender_ip());
        self.mac("arp.dst.hw_mac", arp.target_mac());
        if !(arp.operation().0 == 7 && self.is_tshark(Quirk::ArpError)) {
            self.ip("arp.dst.proto_ipv4", arp.target_ip());
        }
        self.bytes("padding", padding);
        Ok(())
    }
}
