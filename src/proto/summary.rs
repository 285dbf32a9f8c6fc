//! One line about a packet, in the style that people know from tcpdump.

#![forbid(unsafe_code)]

use std::fmt::{self, Display, Formatter, Result};

use crate::proto::{
    Arp, ArpOperation, EtherType, Ethernet, Fault, Llc, MacAddr, Mpls, ParseError, Snap, Vlan,
};

mod icmp;
mod icmpv6;
mod ip;
mod transport;

/// How many packets deep it goes into tunnels.
const MAX_DEPTH: usize = 4;

/// More VLAN tags than anyone stacks.
const MAX_TAGS: usize = 8;

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
    let (header, payload) = match Ethernet::parse(frame) {
        Ok(parsed) => parsed,
        Err(error) => return broken(f, "ether", error),
    };
    let kind = header.ether_type();
    if shown {
        addresses(f, header)?;
        announced(f, kind)?;
        write!(f, ", length {}: ", frame.len())?;
    }
    let line = Line {
        header,
        frame_len: frame.len(),
        shown,
        depth,
    };
    line.behind(f, kind, payload)
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
    fn behind(&self, f: &mut Formatter<'_>, mut kind: EtherType, mut payload: &[u8]) -> Result {
        for _ in 0..MAX_TAGS {
            if !kind.is_vlan() {
                break;
            }
            let (tag, inner) = match Vlan::parse(payload) {
                Ok(parsed) => parsed,
                Err(error) => return broken(f, "vlan", error),
            };
            write!(f, "vlan {}, p {}", tag.id(), tag.priority())?;
            if tag.drop_eligible() {
                f.write_str(", DEI")?;
            }
            (kind, payload) = (tag.ether_type(), inner);
            if self.shown {
                announced(f, kind)?;
            }
            f.write_str(", ")?;
        }
        self.packet(f, kind, payload)
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
        EtherType::IPV4 => ip::version_4(f, payload, depth)?,
        EtherType::IPV6 => ip::version_6(f, payload, depth)?,
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

/// A header that did not parse: cut off, or saying what cannot be.
fn broken(f: &mut Formatter<'_>, name: &str, error: ParseError) -> Result {
    match error.fault() {
        Fault::Truncated { .. } => write!(f, "[|{name}]"),
        Fault::Malformed { value } => write!(f, "[bad {name} {} {value}]", error.field()),
    }
}

#[cfg(test)]
mod tests;
