//! TCP segments and UDP datagrams.

#![forbid(unsafe_code)]

use std::fmt::{Formatter, Result};

use zerocopy::FromBytes;

use super::ip::Message;
use super::{MAX_DEPTH, broken, ethernet};
use crate::proto::{Fault, ParseError, Tcp, TcpFlags, TcpOption, Udp, Vxlan};

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

/// A segment of which the header is cut off, or of an impossible length.
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
        // Cut off by whoever kept the packet, or wrong from the start?
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

pub(super) fn udp(f: &mut Formatter<'_>, message: &Message<'_>) -> Result {
    // The payload may be cut off, so that the whole datagram would not parse.
    let Ok((udp, payload)) = Udp::ref_from_prefix(message.bytes) else {
        ports(f, message)?;
        return f.write_str("[|udp]");
    };
    message.write_ports(f, udp.source_port(), udp.destination_port())?;
    let announced = match udp.length() {
        // A jumbogram, which has no room for its length (RFC 2675, section 4).
        0 if message.len > usize::from(u16::MAX) => message.len,
        length => length.into(),
    };
    let Some(length) = announced.checked_sub(Udp::LEN) else {
        return write!(f, "[bad udp length {announced}]");
    };
    if udp.destination_port() == Vxlan::PORT {
        return vxlan(f, payload, message.depth);
    }
    match announced.checked_sub(message.len) {
        Some(1..) if !message.is_fragment => write!(
            f,
            "UDP, bad length {length} > {}",
            message.len.saturating_sub(Udp::LEN)
        ),
        _ => write!(f, "UDP, length {length}"),
    }
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

fn vxlan(f: &mut Formatter<'_>, payload: &[u8], depth: usize) -> Result {
    let (vxlan, frame) = match Vxlan::parse(payload) {
        Ok(parsed) => parsed,
        Err(error) => return broken(f, "vxlan", error),
    };
    let (flags, network) = (vxlan.flags(), vxlan.vni());
    write!(f, "VXLAN, flags [I] ({flags:#04x}), vni {network}: ")?;
    let depth = depth.saturating_add(1);
    if depth > MAX_DEPTH {
        return f.write_str("...");
    }
    ethernet(f, frame, false, depth)
}
