//! One line about a packet, in the style that people know from tcpdump.

#![forbid(unsafe_code)]

use std::fmt::{self, Display, Formatter, Result};
use std::net::Ipv6Addr;

use crate::proto::walk::{Link, MAX_VLAN_TAGS};
use crate::proto::{
    Arp, ArpOperation, EtherType, Ethernet, Gre, IpProtocol, Ipv4, Ipv6, Ipv6Option,
    Ipv6OptionsHeader, Llc, MacAddr, Mpls, Snap,
};

mod messages;

use messages::{Message, broken};

/// Maximum number of tunnels that are entered.
const MAX_DEPTH: usize = 4;

/// A line about a whole frame, its Ethernet header first; [`summary`] gives it.
///
/// Nothing is read before it is printed, and printing allocates nothing.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a> {
    frame: &'a [u8],
    with_ethernet: bool,
}

/// What `frame`, which starts with its Ethernet header, is: one line in the style of `tcpdump -nn`.
///
/// Takes any bytes. What is cut off is shown as `[|tcp]`, with the header in which the bytes end;
/// an invalid value as `[bad ip IHL 4]`. Sequence numbers are those in the packet, and
/// tunnels (GRE, VXLAN, IP in IP) are looked into. Payloads are not.
///
/// The text is for people and may change from version to version.
///
/// ```
/// use fluxcap::proto::summary;
///
/// let frame = [
///     0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
///     0x45, 0x00, 0x00, 0x2c, 0x00, 0x00, 0x40, 0x00, 0x40, 0x06, // IPv4
///     0x26, 0xca, 10, 0, 0, 1, 10, 0, 0, 2, //
///     0x04, 0xd2, 0x00, 0x50, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, // TCP
///     0x00, 0x00, 0x60, 0x02, 0xfa, 0xf0, 0x00, 0x00, 0x00, 0x00, //
///     0x02, 0x04, 0x05, 0xb4, //
/// ];
/// assert_eq!(
///     summary(&frame).to_string(),
///     "IP 10.0.0.1.1234 > 10.0.0.2.80: Flags [S], seq 1, win 64240, options [mss 1460], length 0"
/// );
/// assert_eq!(
///     summary(&frame[..30]).with_ethernet().to_string(),
///     "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv4 (0x0800), length 30: [|ip]"
/// );
/// ```
#[inline]
#[must_use]
pub const fn summary(frame: &[u8]) -> Summary<'_> {
    Summary {
        frame,
        with_ethernet: false,
    }
}

impl Summary<'_> {
    /// With the Ethernet header, as `tcpdump -e` shows it.
    #[inline]
    #[must_use]
    pub const fn with_ethernet(mut self) -> Self {
        self.with_ethernet = true;
        self
    }
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        ethernet(f, self.frame, self.with_ethernet, 0)
    }
}

/// A frame that starts with its Ethernet header.
fn ethernet(f: &mut Formatter<'_>, frame: &[u8], shown: bool, depth: usize) -> Result {
    let (header, _) = match Ethernet::parse(frame) {
        Ok(parsed) => parsed,
        Err(error) => return broken(f, "ether", error),
    };
    if shown {
        addresses(f, header)?;
        announced(f, header.ether_type())?;
        write!(f, ", length {}: ", frame.len())?;
    }
    let line = Line {
        header,
        frame_len: frame.len(),
        shown,
        depth,
    };
    line.behind(f, frame)
}

fn addresses(f: &mut Formatter<'_>, header: &Ethernet) -> Result {
    write!(f, "{} > {}", header.source(), header.destination())
}

/// What an ether type says that follows.
fn announced(f: &mut Formatter<'_>, kind: EtherType) -> Result {
    let name = match kind {
        _ if kind.is_length() => return f.write_str(", 802.3"),
        EtherType::IPV4 => "IPv4",
        EtherType::ARP => "ARP",
        EtherType::VLAN => "802.1Q",
        EtherType::QINQ => "802.1Q-QinQ",
        EtherType::IPV6 => "IPv6",
        EtherType::MPLS => "MPLS unicast",
        EtherType::MPLS_UPSTREAM => "MPLS multicast",
        _ => "Unknown",
    };
    write!(f, ", ethertype {name} ({:#06x})", kind.0)
}

/// A frame about which a line is written.
struct Line<'a> {
    header: &'a Ethernet,
    frame_len: usize,
    /// Whether the Ethernet header was written already.
    shown: bool,
    depth: usize,
}

impl Line<'_> {
    /// What is behind the Ethernet header.
    fn behind(&self, f: &mut Formatter<'_>, frame: &[u8]) -> Result {
        let mut link = Link::new(self.header.ether_type(), Ethernet::LEN);
        let passed = link.pass_tags(frame, MAX_VLAN_TAGS, EtherType::is_vlan);
        for tag in link.tags(frame) {
            write!(f, "vlan {}, p {}", tag.id(), tag.priority())?;
            if tag.drop_eligible() {
                f.write_str(", DEI")?;
            }
            if self.shown {
                announced(f, tag.ether_type())?;
            }
            f.write_str(", ")?;
        }
        if let Err(error) = passed {
            return broken(f, "vlan", error);
        }
        self.packet(f, link.ether_type, frame.get(link.at..).unwrap_or_default())
    }

    /// What is behind VLAN tags.
    fn packet(&self, f: &mut Formatter<'_>, kind: EtherType, payload: &[u8]) -> Result {
        if kind.is_length() {
            let payload = match kind.cut(payload) {
                Ok(payload) => payload,
                Err(error) => return broken(f, "802.3", error),
            };
            return self.llc(f, payload);
        }
        if known(f, kind, payload, !self.shown, self.depth)? {
            return Ok(());
        }
        if self.shown {
            return write!(f, "length {}", payload.len());
        }
        addresses(f, self.header)?;
        announced(f, kind)?;
        write!(f, ", length {}", self.frame_len)
    }

    fn llc(&self, f: &mut Formatter<'_>, payload: &[u8]) -> Result {
        let (llc, rest) = match Llc::parse(payload) {
            Ok(parsed) => parsed,
            Err(error) => return broken(f, "llc", error),
        };
        if !llc.is_snap() {
            let (to, from) = (llc.destination_sap(), llc.source_sap());
            let (control, length) = (llc.control(), rest.len());
            return write!(
                f,
                "LLC, dsap {to:#04x}, ssap {from:#04x}, ctrl {control:#04x}, length {length}"
            );
        }
        let (snap, rest) = match Snap::parse(rest) {
            Ok(parsed) => parsed,
            Err(error) => return broken(f, "snap", error),
        };
        if let Some(kind) = snap.ether_type()
            && known(f, kind, rest, true, self.depth)?
        {
            return Ok(());
        }
        let [a, b, c] = snap.organization();
        let (protocol, length) = (snap.protocol(), rest.len());
        write!(
            f,
            "SNAP, oui {a:02x}:{b:02x}:{c:02x}, pid {protocol:#06x}, length {length}"
        )
    }
}

/// A packet of this ether type, if it is one that is known.
fn known(
    f: &mut Formatter<'_>,
    kind: EtherType,
    payload: &[u8],
    named: bool,
    depth: usize,
) -> std::result::Result<bool, fmt::Error> {
    if named {
        f.write_str(match kind {
            EtherType::IPV4 => "IP ",
            EtherType::IPV6 => "IP6 ",
            EtherType::ARP => "ARP, ",
            _ => "",
        })?;
    }
    match kind {
        EtherType::IPV4 => version_4(f, payload, depth)?,
        EtherType::IPV6 => version_6(f, payload, depth)?,
        EtherType::ARP => arp(f, payload)?,
        _ if kind.is_mpls() => mpls(f, payload, depth)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn arp(f: &mut Formatter<'_>, payload: &[u8]) -> Result {
    let (arp, _) = match Arp::parse(payload) {
        Ok(parsed) => parsed,
        Err(error) => return broken(f, "arp", error),
    };
    let (sender, target) = (arp.sender_ip(), arp.target_ip());
    let (by, of) = (arp.sender_mac(), arp.target_mac());
    match arp.operation() {
        ArpOperation::REQUEST => {
            write!(f, "Request who-has {target}")?;
            if of != MacAddr([0; 6]) {
                write!(f, " ({of})")?;
            }
            write!(f, " tell {sender}")?;
        }
        ArpOperation::REPLY => write!(f, "Reply {sender} is-at {by}")?,
        // Questions for the IP address of a MAC address (RFC 903, RFC 2390).
        ArpOperation(3) => write!(f, "Reverse Request who-is {of} tell {by}")?,
        ArpOperation(4) => write!(f, "Reverse Reply {of} at {target}")?,
        ArpOperation(8) => write!(f, "Inverse Request who-is {of} tell {by}")?,
        ArpOperation(9) => write!(f, "Inverse Reply {by} at {sender}")?,
        ArpOperation(other) => write!(f, "Unknown ({other})")?,
    }
    write!(f, ", length {}", payload.len())
}

fn mpls(f: &mut Formatter<'_>, payload: &[u8], depth: usize) -> Result {
    let mut rest = payload;
    f.write_str("MPLS")?;
    for _ in 0..Mpls::MAX_STACK {
        let (entry, behind) = match Mpls::parse(rest) {
            Ok(parsed) => parsed,
            Err(error) => {
                f.write_str(" ")?;
                return broken(f, "mpls", error);
            }
        };
        rest = behind;
        let (label, class, ttl) = (entry.label(), entry.traffic_class(), entry.ttl());
        let bottom = if entry.is_bottom() { "[S], " } else { "" };
        write!(f, " (label {label}, tc {class}, {bottom}ttl {ttl})")?;
        if entry.is_bottom() {
            f.write_str(" ")?;
            return match entry.guess_payload(rest) {
                Some(kind) => known(f, kind, rest, true, depth).map(|_| ()),
                None => write!(f, "length {}", rest.len()),
            };
        }
    }
    f.write_str(" ...")
}

fn version_4(f: &mut Formatter<'_>, bytes: &[u8], depth: usize) -> Result {
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

fn version_6(f: &mut Formatter<'_>, bytes: &[u8], depth: usize) -> Result {
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
    /// Writes the extension header that comes first, and takes it off. Gives `false` if what is behind it is
    /// unknown.
    fn pass_extension(&mut self, f: &mut Formatter<'_>) -> std::result::Result<bool, fmt::Error> {
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
            IpProtocol::TCP => return messages::tcp(f, self),
            IpProtocol::UDP => {
                return match messages::udp(f, self)? {
                    Some(frame) => self.inner(f, EtherType::ETHERNET, frame),
                    None => Ok(()),
                };
            }
            IpProtocol::SCTP => return messages::sctp(f, self),
            IpProtocol::DCCP => return messages::dccp(f, self),
            _ => self.write_addresses(f)?,
        }
        match self.protocol {
            IpProtocol::ICMP => messages::icmp(f, self),
            IpProtocol::ICMPV6 => messages::icmpv6(f, self),
            IpProtocol::GRE => self.gre(f),
            IpProtocol::IPV4 => self.inner(f, EtherType::IPV4, self.bytes),
            IpProtocol::IPV6 => self.inner(f, EtherType::IPV6, self.bytes),
            IpProtocol::IPV6_NO_NEXT => f.write_str("no next header"),
            IpProtocol::ESP => messages::esp(f, self),
            IpProtocol(other) => write!(f, "ip-proto-{other} {}", self.len),
        }
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
            return ethernet(f, packet, false, depth);
        }
        if known(f, kind, packet, true, depth)? {
            return Ok(());
        }
        write!(f, "gre-proto-{:#x}", kind.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::samples::Random;

    const MACS: [u8; 12] = [0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1];
    const IP: [u8; 2] = [0x08, 0x00];
    const IP6: [u8; 2] = [0x86, 0xdd];
    const VLAN: [u8; 6] = [0x81, 0x00, 0xb0, 0x64, 0x08, 0x00];
    const A_TO_B: [u8; 8] = [10, 0, 0, 1, 10, 0, 0, 2];
    const A6_TO_B6: [u8; 32] = [
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, //
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
    ];

    const SYN: [u8; 40] = [
        0x04, 0xd2, 0x00, 0x50, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
        0x00, // ports, numbers
        0xa0, 0x02, 0xfa, 0xf0, 0x00, 0x00, 0x00, 0x00, // 40 bytes of header, SYN
        0x02, 0x04, 0x05, 0xb4, 0x04, 0x02, // largest segment, SACK permitted
        0x08, 0x0a, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x09, // timestamps
        0x01, 0x03, 0x03, 0x07, // window scale
    ];
    const DATA: [u8; 23] = [
        0x00, 0x50, 0x04, 0xd2, 0xff, 0xff, 0xff, 0xfe, 0x00, 0x00, 0x00,
        0x02, // ports, numbers
        0x50, 0x38, 0x01, 0xf6, 0x00, 0x00, 0x00, 0x05, // PSH, ACK, URG
        b'G', b'E', b'T',
    ];
    const SACK: [u8; 44] = [
        0x00, 0x50, 0x04, 0xd2, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
        0x02, // ports, numbers
        0xb0, 0xd0, 0x01, 0xf6, 0x00, 0x00, 0x00, 0x00, // ACK, ECE, CWR
        0x05, 0x12, 0x00, 0x00, 0x00, 0x0a, 0x00, 0x00, 0x00, 0x14, // blocks
        0x00, 0x00, 0x00, 0x1e, 0x00, 0x00, 0x00, 0x28, //
        0xfd, 0x04, 0xab, 0xcd, 0x00, 0x00, // an experiment, the end
    ];
    const DNS: [u8; 11] = [0xc0, 0x00, 0x00, 0x35, 0x00, 0x0b, 0, 0, b'd', b'n', b's'];
    const PING: [u8; 12] = [8, 0, 0, 0, 0, 7, 0, 9, b'p', b'i', b'n', b'g'];
    const PING6: [u8; 12] = [128, 0, 0, 0, 0, 7, 0, 9, b'p', b'i', b'n', b'g'];
    const ARP_REQUEST: [u8; 28] = [
        0, 1, 8, 0, 6, 4, 0, 1, 0x02, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
    ];
    /// The last chunk lacks its padding.
    const SCTP: [u8; 36] = [
        0x04, 0xd2, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, // ports, tag, checksum
        3, 0, 0, 8, 1, 2, 3, 4, 0xc1, 0, 0, 6, 1, 2, 0, 0, 13, 0, 0, 8, 0, 0, 0, 7,
    ];
    const DCCP: [u8; 20] = [
        0x04, 0xd2, 0, 80, 5, 0, 0, 0, 0x01, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 7,
    ];
    const SOLICITATION: [u8; 24] = [
        135, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
    ];

    fn ip(protocol: u8, message: &[u8]) -> Vec<u8> {
        let [high, low] = u16::try_from(20 + message.len()).unwrap().to_be_bytes();
        let head = [0x45, 0, high, low, 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0];
        [&head[..], &A_TO_B, message].concat()
    }

    fn ip6(next: u8, message: &[u8]) -> Vec<u8> {
        let [high, low] = u16::try_from(message.len()).unwrap().to_be_bytes();
        [
            &[0x60, 0, 0, 0, high, low, next, 64][..],
            &A6_TO_B6,
            message,
        ]
        .concat()
    }

    fn frame(kind: &[u8], packet: &[u8]) -> Vec<u8> {
        [&MACS[..], kind, packet].concat()
    }

    fn frame4(protocol: u8, message: &[u8]) -> Vec<u8> {
        frame(&IP, &ip(protocol, message))
    }

    fn frame6(next: u8, message: &[u8]) -> Vec<u8> {
        frame(&IP6, &ip6(next, message))
    }

    /// A packet that is longer than its length field can tell (RFC 2675).
    fn jumbogram(protocol: u8, message: &[u8]) -> Vec<u8> {
        let [a, b, c, d] = u32::try_from(8 + message.len()).unwrap().to_be_bytes();
        let packet = [
            &ip6(0, &[])[..],
            &[protocol, 0, 0xc2, 4, a, b, c, d],
            message,
        ];
        frame(&IP6, &packet.concat())
    }

    /// An ICMP error about a datagram.
    fn icmp_error(kind: u8, code: u8, rest: [u8; 4]) -> Vec<u8> {
        let message = [&[kind, code, 0, 0][..], &rest, &ip(17, &DNS)].concat();
        frame4(1, &message)
    }

    fn icmp6_error(kind: u8, code: u8, rest: [u8; 4]) -> Vec<u8> {
        let message = [&[kind, code, 0, 0][..], &rest, &ip6(17, &DNS)].concat();
        frame6(58, &message)
    }

    /// One of each kind, and its line.
    fn samples() -> Vec<(Vec<u8>, &'static str)> {
        let first = [&[17, 0, 0, 1, 0, 0, 0, 9][..], &DNS].concat();
        let later = [&[17, 0, 0x05, 0xa8, 0, 0, 0, 9][..], &DNS].concat();
        let extensions = [
            &[60, 0, 1, 4, 0, 0, 0, 0][..], // hop-by-hop
            &[51, 0, 1, 4, 0, 0, 0, 0],     // destination
            &[17, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xab, 0xcd, 0xef, 0x01], // authentication
            &DNS,
        ]
        .concat();
        let labels = [0x88, 0x47, 0, 1, 0, 64, 0, 1, 0x15, 63];
        let gre = [&[0x30, 0, 8, 0, 0, 0, 1, 2, 0, 0, 0, 3][..], &ip(17, &DNS)].concat();
        let bridged = [&[0, 0, 0x65, 0x58][..], &frame(&VLAN, &ip(1, &PING))].concat();
        let inner = frame(&[0x08, 0x06], &ARP_REQUEST);
        let vxlan = [
            &[0xc0, 0, 0x12, 0xb5, 0, 58, 0, 0, 8, 0, 0, 0, 0, 0, 42, 0][..],
            &inner,
        ]
        .concat();
        let mut piece = frame4(17, &DNS);
        piece[20..22].copy_from_slice(&[0x20, 0xb9]);
        let mut start = frame4(17, &DNS);
        start[20..22].copy_from_slice(&[0x20, 0x00]);
        vec![
            (
                frame4(6, &SYN),
                "IP 10.0.0.1.1234 > 10.0.0.2.80: Flags [S], seq 1, win 64240, \
                 options [mss 1460,sackOK,TS val 7 ecr 9,nop,wscale 7], length 0",
            ),
            (
                frame6(6, &DATA),
                "IP6 2001:db8::1.80 > 2001:db8::2.1234: Flags [P.U], seq 4294967294:1, ack 2, win 502, urg 5, length 3",
            ),
            (
                frame(&VLAN, &ip(6, &SACK)),
                "vlan 100, p 5, DEI, IP 10.0.0.1.80 > 10.0.0.2.1234: Flags [.EW], ack 2, win 502, \
                 options [sack 2 {10:20}{30:40},unknown-253 0xabcd,eol], length 0",
            ),
            (
                frame4(17, &DNS),
                "IP 10.0.0.1.49152 > 10.0.0.2.53: UDP, length 3",
            ),
            (
                frame4(1, &PING),
                "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 9, length 12",
            ),
            (
                frame6(58, &PING6),
                "IP6 2001:db8::1 > 2001:db8::2: ICMP6, echo request, id 7, seq 9, length 12",
            ),
            (
                frame(&[0x08, 0x06], &ARP_REQUEST),
                "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28",
            ),
            (
                frame6(58, &SOLICITATION),
                "IP6 2001:db8::1 > 2001:db8::2: ICMP6, neighbor solicitation, who has fe80::2, length 24",
            ),
            (
                piece,
                "IP 10.0.0.1 > 10.0.0.2: ip-proto-17 (frag 4660:11@1480+)",
            ),
            (
                start,
                "IP 10.0.0.1.49152 > 10.0.0.2.53: UDP, length 3 (frag 4660:11@0+)",
            ),
            (
                frame6(44, &first),
                "IP6 2001:db8::1 > 2001:db8::2: frag (0|11) 49152 > 53: UDP, length 3",
            ),
            (
                frame6(44, &later),
                "IP6 2001:db8::1 > 2001:db8::2: frag (1448|11)",
            ),
            (
                frame6(0, &extensions),
                "IP6 2001:db8::1 > 2001:db8::2: HBH DSTOPT AH(spi=0x00000001,seq=0x2,icv=0xabcdef01): \
                 49152 > 53: UDP, length 3",
            ),
            (
                frame(&labels, &ip(17, &DNS)),
                "MPLS (label 16, tc 0, ttl 64) (label 17, tc 2, [S], ttl 63) IP 10.0.0.1.49152 > 10.0.0.2.53: UDP, length 3",
            ),
            (
                frame4(47, &gre),
                "IP 10.0.0.1 > 10.0.0.2: GREv0, key=0x102, seq 3, length 43: IP 10.0.0.1.49152 > 10.0.0.2.53: UDP, length 3",
            ),
            (
                frame6(47, &bridged),
                "IP6 2001:db8::1 > 2001:db8::2: GREv0, length 54: vlan 100, p 5, DEI, \
                 IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 9, length 12",
            ),
            (
                frame4(17, &vxlan),
                "IP 10.0.0.1.49152 > 10.0.0.2.4789: VXLAN, flags [I] (0x08), vni 42: \
                 ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28",
            ),
            (
                frame4(41, &ip6(58, &PING6)),
                "IP 10.0.0.1 > 10.0.0.2: IP6 2001:db8::1 > 2001:db8::2: ICMP6, echo request, id 7, seq 9, length 12",
            ),
            (
                frame4(132, &SCTP),
                "IP 10.0.0.1.1234 > 10.0.0.2.80: sctp (1) [SACK] (2) [Unknown chunk type: 0xc1] (3) [CWR], length 36",
            ),
            (
                frame6(33, &DCCP),
                "IP6 2001:db8::1.1234 > 2001:db8::2.80: DCCP DCCP-Request, length 20",
            ),
            (
                frame(&[0x08, 0x06], &[&[0, 6][..], &ARP_REQUEST[2..]].concat()),
                "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28",
            ),
            (
                frame4(1, &[&[8, 9][..], &PING[2..]].concat()),
                "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 9, length 12",
            ),
            (
                frame6(58, &[&[129, 9][..], &PING6[2..]].concat()),
                "IP6 2001:db8::1 > 2001:db8::2: ICMP6, echo reply, id 7, seq 9, length 12",
            ),
            (
                jumbogram(
                    17,
                    &[&[0x04, 0xd2, 0, 80, 0, 0, 0, 0][..], &[0; 70_000]].concat(),
                ),
                "IP6 2001:db8::1 > 2001:db8::2: HBH 1234 > 80: UDP, length 70000",
            ),
            (
                jumbogram(6, &[&DATA[..20], &[0; 65_536]].concat()),
                "IP6 2001:db8::1 > 2001:db8::2: HBH 80 > 1234: Flags [P.U], seq 4294967294:65534, ack 2, win 502, urg 5, length 65536",
            ),
            (
                frame(
                    &IP6,
                    &[&ip6(0, &[])[..], &[17, 0, 1, 4, 0, 0, 0, 0], &DNS].concat(),
                ),
                "IP6 2001:db8::1 > 2001:db8::2: [bad ip6 payload length 0]",
            ),
            (
                frame(&[0x88, 0xcc], &[0; 10]),
                "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype Unknown (0x88cc), length 24",
            ),
            (
                frame(&[0, 8, 0xaa, 0xaa, 3, 0, 0, 0, 8, 6], &ARP_REQUEST)[..22].to_vec(),
                "ARP, [|arp]",
            ),
            (
                frame(&[0, 7, 0x42, 0x42, 3], &[0; 43]),
                "LLC, dsap 0x42, ssap 0x42, ctrl 0x03, length 4",
            ),
        ]
    }

    #[test]
    fn each_kind_of_packet_has_its_line() {
        for (bytes, line) in samples() {
            assert_eq!(summary(&bytes).to_string(), line);
        }
    }

    #[test]
    fn errors_say_what_could_not_be_reached() {
        let four = "IP 10.0.0.1 > 10.0.0.2: ICMP ";
        for (kind, code, rest, line) in [
            (3, 0, [0; 4], "net 10.0.0.2 unreachable"),
            (3, 1, [0; 4], "host 10.0.0.2 unreachable"),
            (3, 2, [0; 4], "10.0.0.2 protocol 17 unreachable"),
            (3, 3, [0; 4], "10.0.0.2 udp port 53 unreachable"),
            (
                3,
                4,
                [0, 0, 5, 120],
                "10.0.0.2 unreachable - need to frag (mtu 1400)",
            ),
            (
                3,
                13,
                [0; 4],
                "host 10.0.0.2 unreachable - admin prohibited filter",
            ),
            (
                5,
                1,
                [10, 0, 0, 254],
                "redirect 10.0.0.2 to host 10.0.0.254",
            ),
            (11, 0, [0; 4], "time exceeded in-transit"),
            (12, 0, [20, 0, 0, 0], "parameter problem - octet 20"),
        ] {
            let bytes = icmp_error(kind, code, rest);
            assert_eq!(
                summary(&bytes).to_string(),
                format!("{four}{line}, length 39")
            );
        }
        let six = "IP6 2001:db8::1 > 2001:db8::2: ICMP6, ";
        for (kind, code, rest, line) in [
            (
                1,
                0,
                [0; 4],
                "destination unreachable, unreachable route 2001:db8::2",
            ),
            (
                1,
                4,
                [0; 4],
                "destination unreachable, unreachable port, 2001:db8::2 udp port 53",
            ),
            (2, 0, [0, 0, 5, 0], "packet too big, mtu 1280"),
            (3, 0, [0; 4], "time exceeded in-transit for 2001:db8::2"),
            (
                4,
                1,
                [0, 0, 0, 6],
                "parameter problem, next header - octet 6",
            ),
        ] {
            let bytes = icmp6_error(kind, code, rest);
            assert_eq!(
                summary(&bytes).to_string(),
                format!("{six}{line}, length 59")
            );
        }
    }

    #[test]
    fn the_ethernet_header_is_shown_when_asked_for() {
        let macs = "02:00:00:00:00:01 > 02:00:00:00:00:02";
        let plain = frame4(17, &DNS);
        assert_eq!(
            summary(&plain).with_ethernet().to_string(),
            format!(
                "{macs}, ethertype IPv4 (0x0800), length 45: 10.0.0.1.49152 > 10.0.0.2.53: UDP, length 3"
            )
        );
        let tagged = frame(&VLAN, &ip(17, &DNS));
        assert_eq!(
            summary(&tagged).with_ethernet().to_string(),
            format!(
                "{macs}, ethertype 802.1Q (0x8100), length 49: vlan 100, p 5, DEI, ethertype IPv4 (0x0800), \
                 10.0.0.1.49152 > 10.0.0.2.53: UDP, length 3"
            )
        );
    }

    #[test]
    fn what_cannot_be_is_told() {
        let mut words = frame4(17, &DNS);
        words[14] = 0x44;
        assert_eq!(summary(&words).to_string(), "IP [bad ip IHL 4]");
        let mut long = frame4(6, &SYN);
        long[46] = 0xf0;
        assert_eq!(
            summary(&long).to_string(),
            "IP 10.0.0.1.1234 > 10.0.0.2.80: Flags [S] [bad hdr length 60 - too long, > 40]"
        );
        long[46] = 0x40;
        assert_eq!(
            summary(&long).to_string(),
            "IP 10.0.0.1.1234 > 10.0.0.2.80: tcp 24 [bad hdr length 16 - too short, < 20]"
        );
        let mut option = frame4(6, &SYN);
        option[55] = 0;
        assert_eq!(
            summary(&option).to_string(),
            "IP 10.0.0.1.1234 > 10.0.0.2.80: Flags [S], seq 1, win 64240, options [[bad opt]], length 0"
        );
        let mut datagram = frame4(17, &DNS);
        datagram[39] = 12;
        assert_eq!(
            summary(&datagram).to_string(),
            "IP 10.0.0.1.49152 > 10.0.0.2.53: UDP, bad length 4 > 3"
        );
    }

    #[test]
    fn what_is_cut_off_is_told_by_the_header_that_lacks() {
        let bytes = frame4(6, &SYN);
        for (available, line) in [
            (0, "[|ether]"),
            (13, "[|ether]"),
            (14, "IP [|ip]"),
            (33, "IP [|ip]"),
            (
                34,
                "IP truncated-ip - 40 bytes missing! 10.0.0.1 > 10.0.0.2: [|tcp]",
            ),
            (
                38,
                "IP truncated-ip - 36 bytes missing! 10.0.0.1.1234 > 10.0.0.2.80: [|tcp]",
            ),
            (
                54,
                "IP truncated-ip - 20 bytes missing! 10.0.0.1.1234 > 10.0.0.2.80: Flags [S] [|tcp]",
            ),
        ] {
            assert_eq!(summary(&bytes[..available]).to_string(), line);
        }
        let bytes = frame4(17, &DNS);
        assert_eq!(
            summary(&bytes[..43]).to_string(),
            "IP truncated-ip - 2 bytes missing! 10.0.0.1.49152 > 10.0.0.2.53: UDP, length 3"
        );
    }

    /// Prints any bytes as one line that is not much longer than they are.
    fn one_line(bytes: &[u8]) {
        for line in [summary(bytes), summary(bytes).with_ethernet()] {
            let text = line.to_string();
            assert!(
                !text.is_empty() && !text.contains('\n'),
                "{bytes:x?}: {text}"
            );
            assert!(text.len() < 500 + 8 * bytes.len(), "{bytes:x?}: {text}");
        }
    }

    #[test]
    fn any_start_of_a_packet_has_a_line() {
        for (bytes, _) in samples() {
            for available in 0..bytes.len() {
                one_line(&bytes[..available]);
            }
        }
    }

    #[test]
    fn any_bytes_have_a_line() {
        let mut random = Random(11);
        let samples = samples();
        for _ in 0..100_000 {
            let (bytes, _) = &samples[random.below(samples.len())];
            let mut bytes = bytes.clone();
            for _ in 0..random.below(6) {
                let at = random.below(bytes.len());
                bytes[at] = random.byte();
            }
            one_line(&bytes);
            let behind = 12 + random.below(40);
            let len = random.below(200);
            bytes.truncate(behind);
            bytes.extend(random.bytes(len));
            one_line(&bytes);
        }
    }

    #[test]
    fn tunnels_in_tunnels_come_to_an_end() {
        let mut packet = ip(17, &DNS);
        for _ in 0..50 {
            packet = ip(4, &packet);
        }
        let line = summary(&frame(&IP, &packet)).to_string();
        assert_eq!(line.matches("IP 10.0.0.1").count(), MAX_DEPTH + 1);
        assert!(line.ends_with(": ..."), "{line}");
        let mut packet = vec![];
        for _ in 0..50 {
            packet = ip6(
                60,
                &[&[60, 0, 1, 4, 0, 0, 0, 0].repeat(20)[..], &packet].concat(),
            );
        }
        one_line(&frame(&IP6, &packet));
    }
}
