//! ICMPv6 and neighbor discovery.

#![forbid(unsafe_code)]

use std::fmt::{Formatter, Result};
use std::net::Ipv6Addr;

use super::ip::Message;
use super::{broken, icmp};
use crate::proto::{
    Icmpv6, Icmpv6Echo, Icmpv6Error, Icmpv6Type, Ipv6, NdpRedirect, NeighborAdvertisement,
    NeighborSolicitation, ParseError, RouterAdvertisement, RouterSolicitation,
};

pub(super) fn write(f: &mut Formatter<'_>, message: &Message<'_>) -> Result {
    let (icmp, payload) = match Icmpv6::parse(message.bytes) {
        Ok(parsed) => parsed,
        Err(error) => return broken(f, "icmp6", error),
    };
    let kind = icmp.icmp_type();
    f.write_str("ICMP6, ")?;
    let written = match kind {
        Icmpv6Type::ECHO_REQUEST | Icmpv6Type::ECHO_REPLY => {
            Icmpv6Echo::parse(message.bytes).map(|(echo, _)| {
                let (id, sequence) = (echo.identifier(), echo.sequence());
                write!(f, "{kind}, id {id}, seq {sequence}")
            })
        }
        Icmpv6Type::DESTINATION_UNREACHABLE
        | Icmpv6Type::PACKET_TOO_BIG
        | Icmpv6Type::TIME_EXCEEDED
        | Icmpv6Type::PARAMETER_PROBLEM => Icmpv6Error::parse(message.bytes)
            .map(|(error, payload)| write_error(f, error, error.quoted(payload))),
        Icmpv6Type::LISTENER_QUERY | Icmpv6Type::LISTENER_REPORT | Icmpv6Type::LISTENER_DONE => {
            listener(f, kind, payload)
        }
        Icmpv6Type::LISTENER_REPORT_V2 => listener_v2(f, payload),
        _ => discovery(f, kind, message.bytes),
    };
    match written {
        Ok(written) => written?,
        Err(error) => return broken(f, "icmp6", error),
    }
    write!(f, ", length {}", message.len)
}

/// Multicast listener discovery (RFC 2710).
fn listener(
    f: &mut Formatter<'_>,
    kind: Icmpv6Type,
    payload: &[u8],
) -> std::result::Result<Result, ParseError> {
    let Some((&[high, low, _, _], rest)) = payload.split_first_chunk::<4>() else {
        return Err(ParseError::truncated(
            ("MLD", "header", 0),
            24,
            payload.len(),
        ));
    };
    let Some(&group) = rest.first_chunk::<16>() else {
        return Err(ParseError::truncated(
            ("MLD", "header", 0),
            24,
            payload.len(),
        ));
    };
    let (delay, group) = (u16::from_be_bytes([high, low]), Ipv6Addr::from(group));
    Ok(write!(f, "{kind} max resp delay: {delay} addr: {group}"))
}

/// Of the new version (RFC 3810).
fn listener_v2(f: &mut Formatter<'_>, payload: &[u8]) -> std::result::Result<Result, ParseError> {
    let &[_, _, high, low, ..] = payload else {
        return Err(ParseError::truncated(
            ("MLD", "header", 0),
            8,
            payload.len(),
        ));
    };
    let records = u16::from_be_bytes([high, low]);
    let kind = Icmpv6Type::LISTENER_REPORT_V2;
    Ok(write!(f, "{kind}, {records} group record(s)"))
}

fn discovery(
    f: &mut Formatter<'_>,
    kind: Icmpv6Type,
    bytes: &[u8],
) -> std::result::Result<Result, ParseError> {
    Ok(match kind {
        Icmpv6Type::ROUTER_SOLICITATION => {
            RouterSolicitation::parse(bytes)?;
            write!(f, "{kind}")
        }
        Icmpv6Type::ROUTER_ADVERTISEMENT => {
            RouterAdvertisement::parse(bytes)?;
            write!(f, "{kind}")
        }
        Icmpv6Type::NEIGHBOR_SOLICITATION => {
            let (message, _) = NeighborSolicitation::parse(bytes)?;
            write!(f, "{kind}, who has {}", message.target())
        }
        Icmpv6Type::NEIGHBOR_ADVERTISEMENT => {
            let (message, _) = NeighborAdvertisement::parse(bytes)?;
            write!(f, "{kind}, tgt is {}", message.target())
        }
        Icmpv6Type::REDIRECT => {
            let (message, _) = NdpRedirect::parse(bytes)?;
            let (destination, target) = (message.destination(), message.target());
            write!(f, "{kind}, {destination} to {target}")
        }
        Icmpv6Type(other) => write!(f, "unknown icmp6 type ({other})"),
    })
}

fn write_error(f: &mut Formatter<'_>, error: &Icmpv6Error, quoted: &[u8]) -> Result {
    let code = error.code();
    match error.icmp_type() {
        Icmpv6Type::PACKET_TOO_BIG => {
            return write!(f, "packet too big, mtu {}", error.mtu().unwrap_or_default());
        }
        Icmpv6Type::PARAMETER_PROBLEM => {
            let pointer = error.pointer().unwrap_or_default();
            return match code {
                0 => write!(f, "parameter problem, erroneous - octet {pointer}"),
                1 => write!(f, "parameter problem, next header - octet {pointer}"),
                2 => write!(f, "parameter problem, option - octet {pointer}"),
                3 => write!(
                    f,
                    "parameter problem, incomplete header chain - octet {pointer}"
                ),
                code => write!(f, "parameter problem, code-#{code}"),
            };
        }
        _ => {}
    }
    let (ip, payload) = match Ipv6::parse_quoted(quoted) {
        Ok(parsed) => parsed,
        Err(problem) => {
            write!(f, "{} ", error.icmp_type())?;
            return broken(f, "icmp6", problem);
        }
    };
    let to = ip.destination();
    if error.icmp_type() == Icmpv6Type::TIME_EXCEEDED {
        return match code {
            0 => write!(f, "time exceeded in-transit for {to}"),
            1 => f.write_str("time exceeded in-transit (reassembly)"),
            code => write!(f, "time exceeded in-transit, unknown code ({code})"),
        };
    }
    f.write_str("destination unreachable, ")?;
    match code {
        0 => write!(f, "unreachable route {to}"),
        1 => write!(f, "unreachable prohibited {to}"),
        2 => write!(f, "beyond scope {to}, source address {}", ip.source()),
        3 => write!(f, "unreachable address {to}"),
        4 => {
            write!(f, "unreachable port, {to} ")?;
            match ip.upper_layer(payload) {
                Ok(upper) if !upper.is_later_fragment() => {
                    let message = payload.get(upper.offset..).unwrap_or_default();
                    icmp::port(f, upper.protocol, message)
                }
                _ => f.write_str("[|icmp6]"),
            }
        }
        code => write!(f, "unknown unreach code ({code})"),
    }
}
