//! IP of both versions, and what comes behind it.

use std::net::Ipv6Addr;

use fluxcap::proto::checksum::PseudoHeader;
use fluxcap::proto::{
    Authentication, EtherType, IpProtocol, Ipv4, Ipv6, Ipv6Extension, Ipv6Routing, ParseError,
};

use super::{End, Parsed, Scope, Walk};
use crate::tshark_quirks::Quirk;

impl Walk {
    pub(super) fn ipv4(&mut self, bytes: &[u8]) -> Parsed {
        let is_other = bytes.first().is_some_and(|first| first >> 4 == 6);
        if is_other && self.is_tshark(Quirk::Ipv6InIpv4) {
            return self.ipv6(bytes);
        }
        // The length is looked at before the version, in tshark after it.
        let is_cut = (1..Ipv4::LEN).contains(&bytes.len()) && bytes[0] >> 4 != 4;
        if self.is_quoted && is_cut && self.is_tshark(Quirk::QuotedVersion) {
            self.complaint = true;
        }
        let (ip, payload) = match Ipv4::parse(bytes) {
            Err(error) if is_length(error, "total length") => {
                self.fault(error);
                Ipv4::parse_quoted(bytes)?
            }
            parsed => parsed?,
        };
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
        self.is_empty = false;
        let end = self.ipv4_contents(ip, payload);
        self.bytes("padding", &bytes[ip.header_len() + payload.len()..]);
        end
    }

    fn ipv4_contents(&mut self, ip: &Ipv4, payload: &[u8]) -> Parsed {
        let mut last = ip.destination();
        let options = self.ipv4_options(ip, &mut last);
        let is_lost = matches!(options, Err(End::Fault(error)) if is_broken_route(ip, error));
        if !(is_lost && self.is_tshark(Quirk::Ipv4BrokenRoute)) {
            self.ip("ip.dst", last);
        }
        match options {
            Err(End::Fault(error)) => {
                self.ends_at(error);
                if is_too_short(ip, error) {
                    self.end(Quirk::Ipv4OptionTooShort)?;
                }
            }
            _ => options?,
        }
        if ip.fragment_offset() != 0 {
            self.data(payload);
            return Ok(());
        }
        self.set_scope(ip.more_fragments(), false);
        let addresses = if last == ip.destination() {
            ip.pseudo_header()
        } else {
            PseudoHeader::ipv4(ip.source(), last)
        };
        self.message(ip.protocol(), addresses, payload)
    }

    pub(super) fn ipv6(&mut self, bytes: &[u8]) -> Parsed {
        let (ip, payload) = match Ipv6::parse(bytes) {
            Err(error) if is_length(error, "payload length") => {
                self.fault(error);
                Ipv6::parse_quoted(bytes)?
            }
            parsed => parsed?,
        };
        self.number("ipv6.tclass.dscp", ip.dscp());
        self.number("ipv6.tclass.ecn", ip.ecn());
        self.number("ipv6.flow", ip.flow_label());
        self.number("ipv6.plen", ip.payload_length());
        self.number("ipv6.nxt", ip.next_header().0);
        self.number("ipv6.hlim", ip.hop_limit());
        self.ip("ipv6.src", ip.source());
        self.ip("ipv6.dst", ip.destination());
        self.is_empty = ip.payload_length() == 0;
        let is_jumbo = self.is_empty && ip.next_header() == IpProtocol::IPV6_HOP_BY_HOP;
        if is_jumbo && bytes.len() > Ipv6::LEN && self.goes_as_tshark {
            self.complain(Quirk::Jumbogram);
            self.ends.extend(ip.upper_layer(payload).err());
            return Ok(());
        }
        let end = self.ipv6_contents(ip, payload);
        self.bytes("padding", &bytes[Ipv6::LEN + payload.len()..]);
        end
    }

    fn ipv6_contents(&mut self, ip: &Ipv6, payload: &[u8]) -> Parsed {
        let mut extensions = ip.extensions(payload);
        let mut last = None;
        while let Some(extension) = extensions.next() {
            let extension = extension?;
            self.extension(extension, extensions.rest())?;
            if let Ipv6Extension::Routing(header) = extension {
                last = last_station(header).or(last);
            }
        }
        let upper = ip.upper_layer(payload)?;
        assert_eq!(upper.offset, extensions.offset());
        assert_eq!(upper.protocol, extensions.protocol());
        let message = &payload[upper.offset..];
        if upper.is_later_fragment() {
            self.data(message);
            return Ok(());
        }
        let is_part = upper
            .fragment
            .is_some_and(|fragment| fragment.more_fragments);
        let addresses = match last {
            Some(last) if self.is_tshark(Quirk::Ipv6SourceRoute) => {
                PseudoHeader::ipv6(ip.source(), last)
            }
            _ => ip.pseudo_header(),
        };
        self.set_scope(is_part, upper.is_source_routed && !self.goes_as_tshark);
        self.message(upper.protocol, addresses, message)
    }

    fn set_scope(&mut self, is_part: bool, is_routed: bool) {
        self.scope = match () {
            () if is_part => Scope::Part,
            () if is_routed => Scope::Routed,
            () => Scope::Whole,
        };
    }

    /// What an IP packet carries.
    pub(super) fn message(
        &mut self,
        protocol: IpProtocol,
        addresses: PseudoHeader,
        bytes: &[u8],
    ) -> Parsed {
        let end = self.carried(protocol, addresses, bytes);
        match end {
            Err(End::Fault(error))
                if bytes.is_empty() && !self.is_empty && self.is_tshark(Quirk::NoByte) =>
            {
                self.error.get_or_insert(error);
                self.ends.push(error);
                Ok(())
            }
            _ => end,
        }
    }

    fn carried(&mut self, protocol: IpProtocol, addresses: PseudoHeader, bytes: &[u8]) -> Parsed {
        let is_ipv6 = addresses.is_ipv6();
        match protocol {
            IpProtocol::UDP => self.udp(addresses, bytes),
            IpProtocol::TCP => self.tcp(addresses, bytes),
            IpProtocol::ICMP if !is_ipv6 || self.is_tshark(Quirk::IcmpOfOtherVersion) => {
                self.icmp(bytes)
            }
            IpProtocol::ICMPV6 if is_ipv6 || self.is_tshark(Quirk::IcmpOfOtherVersion) => {
                self.icmpv6(addresses, bytes)
            }
            IpProtocol::GRE => self.gre(bytes),
            IpProtocol::IPV4 => self.ipv4(bytes),
            IpProtocol::IPV6 => self.ipv6(bytes),
            IpProtocol::MPLS => self.network(EtherType::MPLS, bytes),
            IpProtocol::AH if !is_ipv6 && self.is_tshark(Quirk::AuthenticationInIpv4) => {
                let (header, rest) = Authentication::parse(bytes)?;
                self.authentication(header);
                self.message(header.next_header(), addresses, rest)
            }
            IpProtocol::IPV6_HOP_BY_HOP
            | IpProtocol::IPV6_ROUTING
            | IpProtocol::IPV6_FRAGMENT
            | IpProtocol::IPV6_DESTINATION
                if !is_ipv6 && self.is_tshark(Quirk::ExtensionsInIpv4) =>
            {
                let (extension, rest) = super::extension::parse(protocol, bytes)?;
                self.extension(extension, rest)?;
                self.message(extension.next_header(), addresses, rest)
            }
            _ => {
                self.data(bytes);
                Ok(())
            }
        }
    }
}

/// Whether the addresses of a source route are not whole.
fn is_broken_route(ip: &Ipv4, error: ParseError) -> bool {
    !error.is_truncated() && matches!(wrong_option(ip, error), [131 | 137, 5..=255, ..])
}

/// Whether an option lacks what it has in front of addresses.
fn is_too_short(ip: &Ipv4, error: ParseError) -> bool {
    matches!(
        wrong_option(ip, error),
        [7 | 131 | 137, 2, ..] | [68 | 148, 2..=3, ..]
    )
}

/// The options of IPv4 from that on that is wrong.
fn wrong_option(ip: &Ipv4, error: ParseError) -> &[u8] {
    &ip.options_bytes()[error.offset() - 1 - Ipv4::LEN..]
}

/// Where the packet ends its way.
fn last_station(header: &Ipv6Routing) -> Option<Ipv6Addr> {
    let mut addresses = header.addresses();
    match header.routing_type() {
        _ if header.segments_left() == 0 => None,
        Ipv6Routing::SEGMENT => addresses.next(),
        _ => addresses.last(),
    }
}

/// Whether a packet is longer than the bytes that are there.
fn is_length(error: ParseError, field: &str) -> bool {
    error.is_truncated() && error.field() == field
}
