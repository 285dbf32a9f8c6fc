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

/// How many packets deep it goes into tunnels.
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
/// Any bytes will do. What is cut off is told as `[|tcp]`, with the header in which the bytes end;
/// what cannot be is told as `[bad ip IHL 4]`. Sequence numbers are those in the packet, and
/// tunnels (GRE, VXLAN, IP in IP) are looked into. Payloads are not.
///
/// The words may get better from version to version: they are for people.
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
    /// Writes the extension header that comes first, and takes it off. Gives `false` if nothing
    /// can be told of what is behind it.
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
mod tests;
