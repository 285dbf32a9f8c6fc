//! ICMP of both versions, the packets that errors quote, and neighbor discovery.

use fluxcap::proto::checksum::PseudoHeader;
use fluxcap::proto::{
    Icmp, IcmpEcho, IcmpError, IcmpType, Icmpv6, Icmpv6Echo, Icmpv6Error, Icmpv6Type, NdpOption,
    NdpOptions, NdpRedirect, NeighborAdvertisement, NeighborSolicitation, RouterAdvertisement,
    RouterSolicitation,
};

use super::{Parsed, UNKNOWN, Walk};
use crate::tshark_quirks::Quirk;

impl Walk {
    pub(super) fn icmp(&mut self, bytes: &[u8]) -> Parsed {
        let (icmp, rest) = Icmp::parse(bytes)?;
        if rest.len() < 2 && self.is_tshark(Quirk::IcmpTooShort) {
            return self.end(Quirk::IcmpTooShort);
        }
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
            } else if icmp.icmp_type().0 == 12 && self.is_tshark(Quirk::IcmpPointer) {
                self.number("icmp.pointer", rest[0]);
            }
            let mut quoted = error.quoted(payload);
            let is_redirect = icmp.icmp_type() == IcmpType::REDIRECT;
            if is_redirect && quoted.is_empty() && self.goes_as_tshark {
                return self.end(Quirk::Redirect);
            }
            self.is_quoted = true;
            if is_redirect && self.is_tshark(Quirk::Redirect) {
                let header_len = quoted
                    .first()
                    .map_or(0, |first| usize::from(first & 15) * 4);
                quoted = quoted.get(..header_len + 8).unwrap_or(quoted);
            }
            return self.ipv4(quoted);
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
        match *rest {
            [a, b, c, d, ..]
                if matches!(icmp.icmp_type().0, 13..=18) && self.is_tshark(Quirk::IcmpQuery) =>
            {
                self.number("icmp.ident", u16::from_be_bytes([a, b]));
                self.number("icmp.seq", u16::from_be_bytes([c, d]));
            }
            [a, b, ..]
                if matches!(icmp.icmp_type().0, 42 | 43) && self.is_tshark(Quirk::IcmpQuery) =>
            {
                self.number("icmp.ident", u16::from_be_bytes([a, b]));
            }
            // No routers are listed.
            [0, _, _, _, ref data @ ..]
                if icmp.icmp_type().0 == 9 && self.is_tshark(Quirk::IcmpAdvertisement) =>
            {
                self.data(data);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn icmpv6(&mut self, addresses: PseudoHeader, bytes: &[u8]) -> Parsed {
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
                self.quoted_ipv6(error.quoted(payload))
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
            // The corpus has these with nothing but zeros.
            Icmpv6Type(138 | 145) if self.goes_as_tshark => self.end(Quirk::Icmpv6Others),
            Icmpv6Type(141 | 142 | 148 | 149) if self.goes_as_tshark => {
                self.number("icmpv6.opt.type", 0u8);
                self.number("icmpv6.opt.length", 0u8);
                self.end(Quirk::Icmpv6Others)
            }
            _ => Ok(()),
        }
    }

    fn quoted_ipv6(&mut self, bytes: &[u8]) -> Parsed {
        let version = bytes.first().map(|first| first >> 4);
        if version.is_none() && self.goes_as_tshark {
            return self.end(Quirk::QuotedNothing);
        }
        self.is_quoted = true;
        if version != Some(6) && self.is_tshark(Quirk::QuotedVersion) {
            self.data(bytes);
            return Ok(());
        }
        self.ipv6(bytes)
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
                NdpOption::RedirectedHeader([]) if self.is_tshark(Quirk::QuotedNothing) => {}
                NdpOption::RedirectedHeader(quoted) => {
                    self.quoted_ipv6(quoted)?;
                    self.is_quoted = false;
                }
                NdpOption::Other { kind: 1, data } if self.is_tshark(Quirk::NdpAddress) => {
                    self.bytes("icmpv6.opt.src_linkaddr", data);
                }
                NdpOption::Other { kind: 2, data } if self.is_tshark(Quirk::NdpAddress) => {
                    self.bytes("icmpv6.opt.target_linkaddr", data);
                }
                NdpOption::Other { kind, data }
                    if match kind {
                        // Addresses.
                        9 | 10 | 25 => data.len() >= 6 && (data.len() - 6) % 16 != 0,
                        // Names; the corpus has none that are any.
                        31 => data.len() > 6,
                        _ => false,
                    } && self.goes_as_tshark =>
                {
                    self.end(Quirk::NdpOptionTooShort)?;
                }
                NdpOption::Other { kind: 24, data } if self.is_tshark(Quirk::NdpRoute) => {
                    let mut prefix = [0; 16];
                    let len = data.len() - 6;
                    prefix[..len].copy_from_slice(&data[6..]);
                    self.number("icmpv6.opt.prefix.length", data[0]);
                    self.ip("icmpv6.opt.prefix", prefix);
                }
                _ => {}
            }
        }
        Ok(())
    }
}
