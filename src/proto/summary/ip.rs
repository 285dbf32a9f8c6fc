//! IP packets and what they carry.

#![forbid(unsafe_code)]

use std::fmt::{Formatter, Result};
use std::net::{IpAddr, Ipv6Addr};

use super::{MAX_DEPTH, broken, icmp, icmpv6, known, transport};
use crate::proto::{EtherType, Gre, IpProtocol, Ipv4, Ipv6, Ipv6Option, Ipv6OptionsHeader};

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

pub(super) fn version_4(f: &mut Formatter<'_>, bytes: &[u8], depth: usize) -> Result {
    let (ip, payload) = match Ipv4::parse_quoted(bytes) {
        Ok(parsed) => parsed,
        Err(error) => return broken(f, "ip", error),
    };
    let total_len = usize::from(ip.total_length());
    if let Some(missing @ 1..) = total_len.checked_sub(bytes.len()) {
        write!(f, "truncated-ip - {missing} bytes missing! ")?;
    }
    let len = total_len.saturating_sub(ip.header_len());
    let mut message = Message {
        source: ip.source().into(),
        destination: ip.destination().into(),
        protocol: ip.protocol(),
        bytes: payload,
        len,
        is_addressed: false,
        is_fragment: ip.is_fragment(),
        depth,
    };
    if ip.fragment_offset() == 0 {
        message.write_behind_ah(f)?;
    } else {
        message.write_addresses(f)?;
        write!(f, "ip-proto-{}", message.protocol.0)?;
    }
    if ip.is_fragment() {
        let (id, offset) = (ip.identification(), ip.fragment_offset());
        let more = if ip.more_fragments() { "+" } else { "" };
        write!(f, " (frag {id}:{len}@{offset}{more})")?;
    }
    Ok(())
}

pub(super) fn version_6(f: &mut Formatter<'_>, bytes: &[u8], depth: usize) -> Result {
    let (ip, mut payload) = match Ipv6::parse_quoted(bytes) {
        Ok(parsed) => parsed,
        Err(error) => return broken(f, "ip6", error),
    };
    let mut len = usize::from(ip.payload_length());
    let behind = bytes.get(Ipv6::LEN..).unwrap_or_default();
    if len == 0 && ip.next_header() == IpProtocol::IPV6_HOP_BY_HOP && !behind.is_empty() {
        let Some(jumbo_len) = jumbo_payload(behind) else {
            let (source, destination) = (ip.source(), ip.destination());
            return write!(f, "{source} > {destination}: [bad ip6 payload length 0]");
        };
        len = jumbo_len;
        payload = behind.get(..len).unwrap_or(behind);
    }
    if let Some(missing @ 1..) = len.checked_sub(payload.len()) {
        write!(f, "truncated-ip6 - {missing} bytes missing! ")?;
    }
    let mut message = Message {
        source: ip.source().into(),
        destination: ip.destination().into(),
        protocol: ip.next_header(),
        bytes: payload,
        len,
        is_addressed: false,
        is_fragment: false,
        depth,
    };
    for number in 0.. {
        if !message.protocol.is_ipv6_extension() {
            return message.write(f);
        }
        if number == Ipv6::MAX_EXTENSION_HEADERS {
            break;
        }
        message.write_addresses(f)?;
        message.is_addressed = true;
        if !message.pass_extension(f)? {
            return Ok(());
        }
    }
    f.write_str("...")
}

/// The payload length of a jumbogram (RFC 2675), which a hop-by-hop option tells.
fn jumbo_payload(payload: &[u8]) -> Option<usize> {
    let (header, _) = Ipv6OptionsHeader::parse(payload).ok()?;
    header.options().find_map(|option| match option {
        Ok(Ipv6Option::JumboPayload(len)) => usize::try_from(len).ok(),
        _ => None,
    })
}

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

    /// Writes the extension header that comes first, and takes it off. Gives `false` if nothing
    /// can be told of what is behind it.
    fn pass_extension(
        &mut self,
        f: &mut Formatter<'_>,
    ) -> std::result::Result<bool, std::fmt::Error> {
        // No extension header is shorter.
        let Some(&[next, len, a, b, c, d, e, g]) = self.bytes.first_chunk::<8>() else {
            f.write_str(match self.protocol {
                IpProtocol::IPV6_HOP_BY_HOP => "[|hbhopt]",
                IpProtocol::IPV6_ROUTING => "[|rt6]",
                IpProtocol::IPV6_FRAGMENT => "[|frag]",
                IpProtocol::AH => "[|ah]",
                _ => "[|dstopt]",
            })?;
            return Ok(false);
        };
        let header_len = match self.protocol {
            IpProtocol::IPV6_FRAGMENT => 8,
            IpProtocol::AH => (usize::from(len) + 2) * 4,
            _ => (usize::from(len) + 1) * 8,
        };
        let mut goes_on = true;
        match self.protocol {
            IpProtocol::IPV6_HOP_BY_HOP => f.write_str("HBH ")?,
            IpProtocol::IPV6_ROUTING => self.routing(f, [len, a, b, c], [e, g])?,
            IpProtocol::IPV6_FRAGMENT => {
                let field = u16::from_be_bytes([a, b]);
                let (offset, len) = (field & !7, self.len.saturating_sub(8));
                write!(f, "frag ({offset}|{len})")?;
                goes_on = offset == 0;
                if goes_on {
                    f.write_str(" ")?;
                }
                self.is_fragment |= field & 1 == 1;
            }
            IpProtocol::AH => {
                write!(f, "AH(spi={:#010x}", u32::from_be_bytes([c, d, e, g]))?;
                let rest = self.bytes.get(8..header_len).unwrap_or_default();
                if let Some((&sequence, check)) = rest.split_first_chunk::<4>() {
                    write!(f, ",seq={:#x},icv=0x", u32::from_be_bytes(sequence))?;
                    check.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                }
                f.write_str("): ")?;
            }
            _ => f.write_str("DSTOPT ")?,
        }
        let Some(rest) = self.bytes.get(header_len..) else {
            f.write_str("[|ip6]")?;
            return Ok(false);
        };
        self.protocol = IpProtocol(next);
        self.bytes = rest;
        self.len = self.len.saturating_sub(header_len);
        Ok(goes_on)
    }

    fn routing(
        &self,
        f: &mut Formatter<'_>,
        [len, kind, left, last]: [u8; 4],
        tag: [u8; 2],
    ) -> Result {
        write!(f, "RT6 (len={len}, type={kind}")?;
        // Source routes as they once were, those of mobile hosts, and segments (RFC 8754).
        let is_known = matches!(kind, 0 | 2 | 4);
        if kind == 0 {
            f.write_str(" [Deprecated]")?;
        }
        write!(f, ", segleft={left}")?;
        if kind == 4 {
            write!(f, ", last-entry={last}, tag={:x}", u16::from_be_bytes(tag))?;
        }
        let (addresses, _) = self.bytes.get(8..).unwrap_or_default().as_chunks::<16>();
        let addresses = addresses.iter().take(usize::from(len / 2));
        for (i, &address) in addresses.enumerate().filter(|_| is_known) {
            write!(f, ", [{i}]{}", Ipv6Addr::from(address))?;
        }
        f.write_str(") ")
    }

    /// The message behind an authentication header, which IPv4 has as well as IPv6.
    fn write_behind_ah(&mut self, f: &mut Formatter<'_>) -> Result {
        if self.protocol == IpProtocol::AH {
            self.write_addresses(f)?;
            self.is_addressed = true;
            if !self.pass_extension(f)? {
                return Ok(());
            }
        }
        self.write(f)
    }

    /// The message itself, behind the addresses.
    fn write(&self, f: &mut Formatter<'_>) -> Result {
        match self.protocol {
            IpProtocol::TCP => return transport::tcp(f, self),
            IpProtocol::UDP => return transport::udp(f, self),
            IpProtocol::SCTP => return transport::sctp(f, self),
            IpProtocol::DCCP => return transport::dccp(f, self),
            _ => self.write_addresses(f)?,
        }
        match self.protocol {
            IpProtocol::ICMP => icmp::write(f, self),
            IpProtocol::ICMPV6 => icmpv6::write(f, self),
            IpProtocol::GRE => self.gre(f),
            IpProtocol::IPV4 => self.inner(f, EtherType::IPV4, self.bytes),
            IpProtocol::IPV6 => self.inner(f, EtherType::IPV6, self.bytes),
            IpProtocol::IPV6_NO_NEXT => f.write_str("no next header"),
            IpProtocol::ESP => self.esp(f),
            IpProtocol(other) => write!(f, "ip-proto-{other} {}", self.len),
        }
    }

    fn esp(&self, f: &mut Formatter<'_>) -> Result {
        let Some(&[a, b, c, d, e, g, h, i]) = self.bytes.first_chunk::<8>() else {
            return f.write_str("[|esp]");
        };
        let (spi, sequence) = (
            u32::from_be_bytes([a, b, c, d]),
            u32::from_be_bytes([e, g, h, i]),
        );
        write!(
            f,
            "ESP(spi={spi:#010x},seq={sequence:#x}), length {}",
            self.len
        )
    }

    fn gre(&self, f: &mut Formatter<'_>) -> Result {
        let (gre, payload) = match Gre::parse(self.bytes) {
            Ok(parsed) => parsed,
            Err(error) => return broken(f, "gre", error),
        };
        f.write_str("GREv0")?;
        if let Some(key) = gre.key() {
            write!(f, ", key={key:#x}")?;
        }
        if let Some(number) = gre.sequence_number() {
            write!(f, ", seq {number}")?;
        }
        write!(f, ", length {}: ", self.len)?;
        self.inner(f, gre.protocol_type(), payload)
    }

    /// A packet in this one.
    fn inner(&self, f: &mut Formatter<'_>, kind: EtherType, packet: &[u8]) -> Result {
        let depth = self.depth.saturating_add(1);
        if depth > MAX_DEPTH {
            return f.write_str("...");
        }
        if kind == EtherType::ETHERNET {
            return super::ethernet(f, packet, false, depth);
        }
        if known(f, kind, packet, true, depth)? {
            return Ok(());
        }
        write!(f, "gre-proto-{:#x}", kind.0)
    }
}
