//! ICMP for IPv4.

#![forbid(unsafe_code)]

use std::fmt::{Formatter, Result};

use super::broken;
use super::ip::Message;
use crate::proto::{Icmp, IcmpEcho, IcmpError, IcmpType, IpProtocol, Ipv4};

pub(super) fn write(f: &mut Formatter<'_>, message: &Message<'_>) -> Result {
    let (icmp, payload) = match Icmp::parse(message.bytes) {
        Ok(parsed) => parsed,
        Err(error) => return broken(f, "icmp", error),
    };
    f.write_str("ICMP ")?;
    match icmp.icmp_type() {
        kind @ (IcmpType::ECHO_REQUEST | IcmpType::ECHO_REPLY) => {
            match IcmpEcho::parse(message.bytes) {
                Ok((echo, _)) => {
                    let (id, sequence) = (echo.identifier(), echo.sequence());
                    write!(f, "{kind}, id {id}, seq {sequence}")?;
                }
                Err(error) => return broken(f, "icmp", error),
            }
        }
        kind if kind.is_error() => match IcmpError::parse(message.bytes) {
            Ok((error, quoted)) => write_error(f, error, quoted)?,
            Err(error) => return broken(f, "icmp", error),
        },
        kind @ (IcmpType::TIMESTAMP_REQUEST | IcmpType::TIMESTAMP_REPLY) => {
            f.write_str(match kind {
                IcmpType::TIMESTAMP_REQUEST => "time stamp query",
                _ => "time stamp reply",
            })?;
            let &[a, b, c, d, ..] = payload else {
                return f.write_str(" [|icmp]");
            };
            let (id, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            write!(f, " id {id} seq {sequence}")?;
        }
        IcmpType(9) => f.write_str("router advertisement")?,
        IcmpType(10) => f.write_str("router solicitation")?,
        IcmpType(17) => f.write_str("address mask request")?,
        IcmpType(18) => f.write_str("address mask reply")?,
        IcmpType(other) => write!(f, "type-#{other}")?,
    }
    write!(f, ", length {}", message.len)
}

fn write_error(f: &mut Formatter<'_>, error: &IcmpError, quoted: &[u8]) -> Result {
    match (error.icmp_type(), error.code()) {
        (IcmpType::SOURCE_QUENCH, _) => return f.write_str("source quench"),
        (IcmpType::TIME_EXCEEDED, 0) => return f.write_str("time exceeded in-transit"),
        (IcmpType::TIME_EXCEEDED, 1) => return f.write_str("ip reassembly time exceeded"),
        (IcmpType::TIME_EXCEEDED, code) => return write!(f, "time exceeded-#{code}"),
        (IcmpType::PARAMETER_PROBLEM, code) => {
            return match error.pointer() {
                Some(pointer) => write!(f, "parameter problem - octet {pointer}"),
                None => write!(f, "parameter problem - code {code}"),
            };
        }
        _ => {}
    }
    let (ip, message) = match Ipv4::parse_quoted(quoted) {
        Ok(parsed) => parsed,
        Err(problem) => {
            write!(f, "{} ", error.icmp_type())?;
            return broken(f, "icmp", problem);
        }
    };
    let to = ip.destination();
    if let Some(gateway) = error.gateway() {
        return match error.code() {
            0 => write!(f, "redirect {to} to net {gateway}"),
            1 => write!(f, "redirect {to} to host {gateway}"),
            2 => write!(f, "redirect-tos {to} to net {gateway}"),
            3 => write!(f, "redirect-tos {to} to host {gateway}"),
            code => write!(f, "redirect-#{code} {to} to {gateway}"),
        };
    }
    match error.code() {
        0 => write!(f, "net {to} unreachable"),
        1 => write!(f, "host {to} unreachable"),
        2 => write!(f, "{to} protocol {} unreachable", ip.protocol().0),
        3 => {
            write!(f, "{to} ")?;
            port(f, ip.protocol(), message)?;
            f.write_str(" unreachable")
        }
        4 => {
            write!(f, "{to} unreachable - need to frag")?;
            match error.next_hop_mtu() {
                Some(mtu @ 1..) => write!(f, " (mtu {mtu})"),
                _ => Ok(()),
            }
        }
        5 => write!(f, "{to} unreachable - source route failed"),
        6 => write!(f, "net {to} unreachable - unknown"),
        7 => write!(f, "host {to} unreachable - unknown"),
        8 => write!(f, "{to} unreachable - source host isolated"),
        9 => write!(f, "net {to} unreachable - admin prohibited"),
        10 => write!(f, "host {to} unreachable - admin prohibited"),
        11 => write!(f, "net {to} unreachable - tos prohibited"),
        12 => write!(f, "host {to} unreachable - tos prohibited"),
        13 => write!(f, "host {to} unreachable - admin prohibited filter"),
        14 => write!(f, "host {to} unreachable - host precedence violation"),
        15 => write!(f, "host {to} unreachable - precedence cutoff"),
        code => write!(f, "{to} unreachable - #{code}"),
    }
}

/// The port that a quoted message, of which the start may be all, was sent to.
pub(super) fn port(f: &mut Formatter<'_>, protocol: IpProtocol, message: &[u8]) -> Result {
    let &[_, _, high, low, ..] = message else {
        return f.write_str("[|port]");
    };
    let port = u16::from_be_bytes([high, low]);
    match protocol {
        IpProtocol::TCP => write!(f, "tcp port {port}"),
        IpProtocol::UDP => write!(f, "udp port {port}"),
        IpProtocol(other) => write!(f, "protocol {other} port {port}"),
    }
}
