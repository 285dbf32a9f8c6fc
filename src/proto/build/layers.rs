//! The parts of a frame that is built: what may follow what, how each layer is completed, and what can go wrong.

#![forbid(unsafe_code)]

use crate::proto::checksum;
use crate::proto::{EtherType, IpProtocol, Ipv4, Ipv6};

/// A step that adds a header.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Ethernet,
    Vlan(EtherType),
    Llc,
    Mpls,
    Arp,
    Ipv4,
    Ipv6,
    Extension(IpProtocol),
    Authentication,
    Udp,
    Tcp,
    Icmp,
    Icmpv6,
    Gre,
    Vxlan,
}

impl Step {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "Ethernet",
            Self::Vlan(_) => "VLAN",
            Self::Llc => "LLC",
            Self::Mpls => "MPLS",
            Self::Arp => "ARP",
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Extension(IpProtocol::IPV6_HOP_BY_HOP) => "hop-by-hop options",
            Self::Extension(IpProtocol::IPV6_ROUTING) => "routing header",
            Self::Extension(IpProtocol::IPV6_FRAGMENT) => "fragment header",
            Self::Extension(_) => "destination options",
            Self::Authentication => "authentication header",
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Icmp => "ICMP",
            Self::Icmpv6 => "ICMPv6",
            Self::Gre => "GRE",
            Self::Vxlan => "VXLAN",
        }
    }
}

/// What may come next, and where the header before announces it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    /// There is nothing before.
    Start,
    /// It has an ether type, which goes to `at`.
    EtherType { at: usize, of: Carrier },
    /// It has an IP protocol number, which goes to `at`.
    Protocol { at: usize, packet: Carried },
    /// The label stack ends or goes on behind the entry at `at`.
    Label { at: usize },
    /// An Ethernet frame.
    Frame,
    /// Data, or a header that a port number announces.
    Data,
    /// Nothing but padding.
    End,
    /// Nothing, since a step failed.
    Failed,
}

/// Whose ether type it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// Ethernet or a tag behind it: the ether type may also be a length.
    Frame,
    Snap,
    Gre,
}

/// What an IP packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    /// A whole message in an IPv4 packet.
    Ipv4,
    /// A whole message in an IPv6 packet.
    Ipv6,
    /// A piece of a message, or one whose checksum covers an address unknown.
    Bytes,
}

/// A header that the end completes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer {
    pub(super) kind: Kind,
    pub(super) start: u16,
}

impl Layer {
    pub(super) const NONE: Self = Self {
        kind: Kind::Llc,
        start: 0,
    };
}

/// How a layer is completed. Two bytes leave no gap in a layer, so that many are written at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Kind {
    /// The two bytes before it are its length.
    Llc,
    Ipv4,
    Ipv6,
    Udp,
    UdpWithoutChecksum,
    Tcp,
    Icmp,
    Icmpv6,
    /// With a checksum; without, there is nothing to complete.
    Gre,
}

/// Maximum value of an Ethernet length field; more is an ether type.
const MOST_IN_802_3: usize = 1500;

/// The most that a length field of two bytes holds.
const MOST: usize = u16::MAX as usize;

/// How an IPv4 header without options begins: with version and length.
const PLAIN_IPV4: u8 = 0x45;

/// Fills in what the header of a layer says of what is in it; `frame` ends where it does.
#[inline(always)]
pub(super) fn complete_layer(frame: &mut [u8], layer: Layer) -> Result<(), BuildError> {
    let start = usize::from(layer.start);
    let Some((before, message)) = frame.split_at_mut_checked(start) else {
        return Ok(()); // no layer starts behind the end
    };
    match layer.kind {
        Kind::Llc => {
            let length = length("Ethernet", message.len(), MOST_IN_802_3)?;
            put(before, start.wrapping_sub(2), length);
        }
        Kind::Ipv4 => {
            put(message, 2, length("IPv4", message.len(), MOST)?);
            put(message, 10, ipv4_checksum(message));
        }
        Kind::Ipv6 => {
            let payload = message.len().saturating_sub(Ipv6::LEN);
            put(message, 4, length("IPv6", payload, MOST)?);
        }
        Kind::Udp => {
            put(message, 4, length("UDP", message.len(), MOST)?);
            put(message, 6, checksum::nonzero(checksum::finish(message)));
        }
        Kind::UdpWithoutChecksum => put(message, 4, length("UDP", message.len(), MOST)?),
        Kind::Tcp => put(message, 16, checksum::finish(message)),
        Kind::Icmpv6 => put(message, 2, checksum::finish(message)),
        Kind::Icmp => put(message, 2, checksum::checksum(message)),
        Kind::Gre => put(message, 4, checksum::checksum(message)),
    }
    Ok(())
}

/// A length as its field has it, if that can hold it.
#[inline]
fn length(step: &'static str, length: usize, most: usize) -> Result<u16, BuildError> {
    match u16::try_from(length) {
        Ok(short) if length <= most => Ok(short),
        _ => Err(BuildError::new(step, BuildFault::TooLong { length, most })),
    }
}

/// Writes the two bytes at `at`.
#[inline(always)]
fn put(header: &mut [u8], at: usize, value: u16) {
    let field = header.get_mut(at..).and_then(|rest| rest.first_chunk_mut());
    if let Some(field) = field {
        *field = value.to_be_bytes();
    }
}

/// Checksum of the IPv4 header at the start of `packet`.
#[inline]
fn ipv4_checksum(packet: &[u8]) -> u16 {
    match packet.first_chunk::<{ Ipv4::LEN }>() {
        // Most have this length, for which the sum is short.
        Some(plain @ [PLAIN_IPV4, ..]) => checksum::checksum(plain),
        _ => ipv4_checksum_with_options(packet),
    }
}

#[inline(never)]
fn ipv4_checksum_with_options(packet: &[u8]) -> u16 {
    let words = packet.first().map_or(0, |first| first & 0xf);
    let header = packet.get(..usize::from(words) * 4);
    checksum::checksum(header.unwrap_or_default())
}

/// Why a frame could not be built: which step of the builder, and what is wrong with it.
///
/// ```
/// use fluxcap::proto::{FrameBuilder, MacAddr};
///
/// let mac = MacAddr::BROADCAST;
/// let mut buffer = [0; 64];
/// let error = FrameBuilder::new(&mut buffer).ethernet(mac, mac).udp(1, 2).finish().unwrap_err();
/// assert_eq!(error.to_string(), "UDP cannot follow Ethernet");
/// assert_eq!(error.step(), "UDP");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{step} {fault}")]
pub struct BuildError {
    step: &'static str,
    fault: BuildFault,
}

/// What is wrong with a step of the [`FrameBuilder`](super::FrameBuilder).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildFault {
    /// The buffer ends too early.
    #[error("needs {needed} bytes, the buffer has {available} left")]
    NoRoom {
        /// How many bytes the step needs.
        needed: usize,
        /// How many are left for it.
        available: usize,
    },
    /// The step is not allowed behind the one before.
    #[error("cannot follow {after}")]
    Misplaced {
        /// What is before it.
        after: &'static str,
    },
    /// The header before does not say what follows it: `ether_type` or `protocol` must.
    #[error("has no type: {before} must say what it is")]
    Untyped {
        /// What is before it.
        before: &'static str,
    },
    /// A length is more than its field holds.
    #[error("would be {length} bytes long, at most {most} are possible")]
    TooLong {
        /// What the length would be, in bytes.
        length: usize,
        /// The most that is possible.
        most: usize,
    },
    /// The length of what the step adds is not a multiple of what the header counts in.
    #[error("of {length} bytes does not fill whole units of {unit} bytes")]
    Uneven {
        /// The length of the whole header in bytes.
        length: usize,
        /// What it must be a multiple of.
        unit: usize,
    },
    /// A value does not fit into its field.
    #[error("cannot have {value} as its {field}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// The value given.
        value: u32,
    },
    /// There are more than [`FrameBuilder::MAX_LAYERS`](super::FrameBuilder::MAX_LAYERS) layers.
    #[error("is one layer too many")]
    TooManyLayers,
}

impl BuildError {
    #[inline]
    pub(super) const fn new(step: &'static str, fault: BuildFault) -> Self {
        Self { step, fault }
    }

    /// The step that failed, such as `"IPv4"` or `"payload"`.
    #[must_use]
    pub const fn step(&self) -> &'static str {
        self.step
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn fault(&self) -> BuildFault {
        self.fault
    }

    /// Whether a larger buffer would do.
    #[must_use]
    pub const fn is_no_room(&self) -> bool {
        matches!(self.fault, BuildFault::NoRoom { .. })
    }
}
