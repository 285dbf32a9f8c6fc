//! What IP packets carry, as a line shows it: TCP, UDP, SCTP, DCCP, ICMP, ICMPv6, ESP.

#![forbid(unsafe_code)]

use std::fmt::{self, Formatter, Result};
use std::net::{IpAddr, Ipv6Addr};

use zerocopy::FromBytes;

use crate::proto::{
    Fault, Icmp, IcmpEcho, IcmpError, IcmpType, Icmpv6, Icmpv6Echo, Icmpv6Error, Icmpv6Type,
    IpProtocol, Ipv4, Ipv6, NdpRedirect, NeighborAdvertisement, NeighborSolicitation, ParseError,
    RouterAdvertisement, RouterSolicitation, Tcp, TcpFlags, TcpOption, Udp, Vxlan,
};

/// What an IP packet carries.
pub(super) struct Message<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: IpProtocol,
    /// What is there of it.
    pub(super) bytes: &'a [u8],
    /// How long the IP header says that it is.
    pub(super) len: usize,
    /// Whether the addresses were written already.
    pub(super) is_addressed: bool,
    /// Whether it is the first part only.
    pub(super) is_fragment: bool,
    /// In how many tunnels the packet is.
    pub(super) depth: usize,
}

/// The frame that a message carries, if it is that of a tunnel.
type Carrying<'a> = std::result::Result<Option<&'a [u8]>, fmt::Error>;

impl Message<'_> {
    pub(super) fn write_addresses(&self, f: &mut Formatter<'_>) -> Result {
        if self.is_addressed {
            return Ok(());
        }
        write!(f, "{} > {}: ", self.source, self.destination)
    }

    /// Addresses and ports.
    pub(super) fn write_ports(
        &self,
        f: &mut Formatter<'_>,
        source_port: u16,
        destination_port: u16,
    ) -> Result {
        if self.is_addressed {
            return write!(f, "{source_port} > {destination_port}: ");
        }
        let (source, destination) = (self.source, self.destination);
        write!(
            f,
            "{source}.{source_port} > {destination}.{destination_port}: "
        )
    }
}

/// A header that did not parse: cut off, or saying what cannot be.
pub(super) fn broken(f: &mut Formatter<'_>, name: &str, error: ParseError) -> Result {
    match error.fault() {
        Fault::Truncated { .. } => write!(f, "[|{name}]"),
        Fault::Malformed { value } => write!(f, "[bad {name} {} {value}]", error.field()),
    }
}

const FLAGS: [(TcpFlags, &str); 8] = [
    (TcpFlags::FIN, "F"),
    (TcpFlags::SYN, "S"),
    (TcpFlags::RST, "R"),
    (TcpFlags::PSH, "P"),
    (TcpFlags::ACK, "."),
    (TcpFlags::URG, "U"),
    (TcpFlags::ECE, "E"),
    (TcpFlags::CWR, "W"),
];

pub(super) fn tcp(f: &mut Formatter<'_>, message: &Message<'_>) -> Result {
    let (tcp, _) = match Tcp::parse(message.bytes) {
        Ok(parsed) => parsed,
        Err(error) => return bad_tcp(f, message, error),
    };
    message.write_ports(f, tcp.source_port(), tcp.destination_port())?;
    flags(f, tcp.flags())?;
    let length = message.len.saturating_sub(tcp.header_len());
    let is_opening_or_ending = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
    if length > 0 || tcp.flags().0 & is_opening_or_ending.0 != 0 {
        write!(f, ", seq {}", tcp.sequence_number())?;
    }
    if length > 0 {
        // Numbers go on with 0 after the last one.
        let end = (length as u64).wrapping_add(tcp.sequence_number().into()) as u32;
        write!(f, ":{end}")?;
    }
    if tcp.flags().contains(TcpFlags::ACK) {
        write!(f, ", ack {}", tcp.acknowledgment_number())?;
    }
    write!(f, ", win {}", tcp.window())?;
    if tcp.flags().contains(TcpFlags::URG) {
        write!(f, ", urg {}", tcp.urgent_pointer())?;
    }
    let mut separator = ", options [";
    for option in tcp.options() {
        f.write_str(separator)?;
        separator = ",";
        match option {
            Ok(option) => write_option(f, option)?,
            Err(_) => f.write_str("[bad opt]")?,
        }
    }
    if separator == "," {
        f.write_str("]")?;
    }
    write!(f, ", length {length}")
}

/// A segment of which the header is cut off, or has an invalid length.
fn bad_tcp(f: &mut Formatter<'_>, message: &Message<'_>, error: ParseError) -> Result {
    ports(f, message)?;
    let bits = match message.bytes.get(13) {
        Some(&bits) if message.bytes.len() >= Tcp::LEN => TcpFlags(bits),
        _ => return f.write_str("[|tcp]"),
    };
    match error.fault() {
        Fault::Malformed { value } => {
            let words = value.saturating_mul(4);
            let len = message.len.saturating_sub(words as usize);
            write!(f, "tcp {len} [bad hdr length {words} - too short, < 20]")
        }
        // Cut off in the capture, or wrong from the start?
        Fault::Truncated { needed, .. } if needed as usize > message.len => {
            flags(f, bits)?;
            let available = message.len;
            write!(f, " [bad hdr length {needed} - too long, > {available}]")
        }
        Fault::Truncated { .. } => {
            flags(f, bits)?;
            f.write_str(" [|tcp]")
        }
    }
}

/// The ports of a header that is not whole.
fn ports(f: &mut Formatter<'_>, message: &Message<'_>) -> Result {
    match *message.bytes {
        [a, b, c, d, ..] => {
            message.write_ports(f, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
        }
        _ => message.write_addresses(f),
    }
}

fn flags(f: &mut Formatter<'_>, flags: TcpFlags) -> Result {
    f.write_str("Flags [")?;
    if flags == TcpFlags::default() {
        f.write_str("none")?;
    }
    for (flag, letter) in FLAGS {
        if flags.contains(flag) {
            f.write_str(letter)?;
        }
    }
    f.write_str("]")
}

fn write_option(f: &mut Formatter<'_>, option: TcpOption<'_>) -> Result {
    match option {
        TcpOption::EndOfList => f.write_str("eol"),
        TcpOption::NoOperation => f.write_str("nop"),
        TcpOption::MaximumSegmentSize(size) => write!(f, "mss {size}"),
        TcpOption::WindowScale(shift) => write!(f, "wscale {shift}"),
        TcpOption::SackPermitted => f.write_str("sackOK"),
        TcpOption::Sack(blocks) => {
            write!(f, "sack {} ", blocks.len())?;
            blocks
                .iter()
                .try_for_each(|block| write!(f, "{{{}:{}}}", block.left(), block.right()))
        }
        TcpOption::Timestamps { value, echo } => write!(f, "TS val {value} ecr {echo}"),
        TcpOption::Other { kind, data } => {
            write!(f, "unknown-{kind}")?;
            if !data.is_empty() {
                f.write_str(" 0x")?;
            }
            data.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        }
    }
}

/// Gives the frame of a VXLAN tunnel, which is to be written next.
pub(super) fn udp<'a>(f: &mut Formatter<'_>, message: &Message<'a>) -> Carrying<'a> {
    // The payload may be cut off, so that the whole datagram would not parse.
    let Ok((udp, payload)) = Udp::ref_from_prefix(message.bytes) else {
        ports(f, message)?;
        return f.write_str("[|udp]").map(|()| None);
    };
    message.write_ports(f, udp.source_port(), udp.destination_port())?;
    let announced = match udp.length() {
        // A jumbogram, which has no room for its length (RFC 2675, section 4).
        0 if message.len > usize::from(u16::MAX) => message.len,
        length => length.into(),
    };
    let Some(length) = announced.checked_sub(Udp::LEN) else {
        return write!(f, "[bad udp length {announced}]").map(|()| None);
    };
    if udp.destination_port() == Vxlan::PORT {
        return vxlan(f, payload);
    }
    match announced.checked_sub(message.len) {
        Some(1..) if !message.is_fragment => write!(
            f,
            "UDP, bad length {length} > {}",
            message.len.saturating_sub(Udp::LEN)
        ),
        _ => write!(f, "UDP, length {length}"),
    }
    .map(|()| None)
}

fn vxlan<'a>(f: &mut Formatter<'_>, payload: &'a [u8]) -> Carrying<'a> {
    let (vxlan, frame) = match Vxlan::parse(payload) {
        Ok(parsed) => parsed,
        Err(error) => return broken(f, "vxlan", error).map(|()| None),
    };
    let (flags, network) = (vxlan.flags(), vxlan.vni());
    write!(f, "VXLAN, flags [I] ({flags:#04x}), vni {network}: ")?;
    Ok(Some(frame))
}

/// Stream control transmission (RFC 9260): ports, and which chunks there are.
pub(super) fn sctp(f: &mut Formatter<'_>, message: &Message<'_>) -> Result {
    ports(f, message)?;
    let Some(mut chunks) = message.bytes.get(SCTP_HEADER..) else {
        return f.write_str("[|sctp]");
    };
    f.write_str("sctp")?;
    let mut number = 1_u32;
    while let [kind, _, high, low, ..] = *chunks {
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len < 4 || len > chunks.len() {
            return f.write_str(" [|sctp]");
        }
        write!(f, " ({number}) [")?;
        match SCTP_CHUNKS.get(usize::from(kind)) {
            Some(name) => write!(f, "{name}]")?,
            None => write!(f, "Unknown chunk type: {kind:#x}]")?,
        }
        // Padding to a whole word follows, but for the last.
        chunks = chunks.get(len.next_multiple_of(4)..).unwrap_or_default();
        number = number.wrapping_add(1);
    }
    write!(f, ", length {}", message.len)
}

/// Length of the SCTP header.
const SCTP_HEADER: usize = 12;

/// The chunk types of RFC 9260, section 3.2.
const SCTP_CHUNKS: [&str; 15] = [
    "DATA",
    "INIT",
    "INIT ACK",
    "SACK",
    "HB REQ",
    "HB ACK",
    "ABORT",
    "SHUTDOWN",
    "SHUTDOWN ACK",
    "OP ERR",
    "COOKIE ECHO",
    "COOKIE ACK",
    "ECN ECHO",
    "CWR",
    "SHUTDOWN COMPLETE",
];

/// Datagram congestion control (RFC 4340): ports and packet type.
pub(super) fn dccp(f: &mut Formatter<'_>, message: &Message<'_>) -> Result {
    ports(f, message)?;
    // Twelve bytes, or sixteen with an extended sequence number.
    let kind = match message.bytes.get(8) {
        Some(&kind) if message.bytes.len() >= 12 + usize::from(kind & 1) * 4 => kind >> 1 & 0xf,
        _ => return f.write_str("[|dccp]"),
    };
    f.write_str("DCCP ")?;
    match DCCP_TYPES.get(usize::from(kind)) {
        Some(name) => write!(f, "DCCP-{name}")?,
        None => write!(f, "unknown-type-{kind}")?,
    }
    write!(f, ", length {}", message.len)
}

/// The packet types of RFC 4340, section 5.1.
const DCCP_TYPES: [&str; 10] = [
    "Request", "Response", "Data", "Ack", "DataAck", "CloseReq", "Close", "Reset", "Sync",
    "SyncAck",
];

pub(super) fn esp(f: &mut Formatter<'_>, message: &Message<'_>) -> Result {
    let Some(&[a, b, c, d, e, g, h, i]) = message.bytes.first_chunk::<8>() else {
        return f.write_str("[|esp]");
    };
    let (spi, sequence) = (
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, g, h, i]),
    );
    write!(
        f,
        "ESP(spi={spi:#010x},seq={sequence:#x}), length {}",
        message.len
    )
}

pub(super) fn icmp(f: &mut Formatter<'_>, message: &Message<'_>) -> Result {
    let (header, payload) = match Icmp::parse(message.bytes) {
        Ok(parsed) => parsed,
        Err(error) => return broken(f, "icmp", error),
    };
    f.write_str("ICMP ")?;
    match header.icmp_type() {
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
            Ok((error, quoted)) => icmp_error(f, error, quoted)?,
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

fn icmp_error(f: &mut Formatter<'_>, error: &IcmpError, quoted: &[u8]) -> Result {
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
fn port(f: &mut Formatter<'_>, protocol: IpProtocol, message: &[u8]) -> Result {
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

pub(super) fn icmpv6(f: &mut Formatter<'_>, message: &Message<'_>) -> Result {
    let (header, payload) = match Icmpv6::parse(message.bytes) {
        Ok(parsed) => parsed,
        Err(error) => return broken(f, "icmp6", error),
    };
    let kind = header.icmp_type();
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
            .map(|(error, payload)| icmpv6_error(f, error, error.quoted(payload))),
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

fn icmpv6_error(f: &mut Formatter<'_>, error: &Icmpv6Error, quoted: &[u8]) -> Result {
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
                    port(f, upper.protocol, message)
                }
                _ => f.write_str("[|icmp6]"),
            }
        }
        code => write!(f, "unknown unreach code ({code})"),
    }
}
