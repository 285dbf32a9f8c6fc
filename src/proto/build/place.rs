//! What may follow what, and how the header before is told.

#![forbid(unsafe_code)]

use super::{BuildFault, Failed, FrameBuilder};
use crate::proto::{EtherType, IpProtocol, Udp};

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

/// What may come next, and where the header before has to be told.
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
    /// Data, or what tells by a port number what it is.
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

impl FrameBuilder<'_> {
    /// Tells the header before that `step` follows it.
    #[inline(always)]
    pub(super) fn place(&mut self, step: Step) -> Result<(), Failed> {
        let placed = match self.next {
            Next::EtherType { at, of } => self.place_by_ether_type(step, at, of),
            Next::Protocol { at, packet } => self.place_by_protocol(step, at, packet),
            Next::Start => matches!(step, Step::Ethernet | Step::Ipv4 | Step::Ipv6),
            Next::Data => matches!(step, Step::Vxlan) && self.is_right_behind_udp(),
            Next::Frame => matches!(step, Step::Ethernet),
            Next::Label { at } => match step {
                Step::Mpls => true,
                Step::Ethernet | Step::Ipv4 | Step::Ipv6 => {
                    self.end_stack(at);
                    true
                }
                _ => false,
            },
            Next::End | Next::Failed => false,
        };
        if !placed {
            return Err(self.misplaced(step.name()));
        }
        self.last = step.name();
        Ok(())
    }

    #[inline(always)]
    fn place_by_ether_type(&mut self, step: Step, at: usize, of: Carrier) -> bool {
        let ether_type = match step {
            Step::Ethernet if of == Carrier::Gre => EtherType::ETHERNET,
            Step::Vlan(ether_type) if of == Carrier::Frame => ether_type,
            // The length is written at the end.
            Step::Llc if of == Carrier::Frame => return true,
            Step::Arp if of != Carrier::Gre => EtherType::ARP,
            Step::Mpls => EtherType::MPLS,
            Step::Ipv4 => EtherType::IPV4,
            Step::Ipv6 => EtherType::IPV6,
            _ => return false,
        };
        self.patch(at, ether_type.0.to_be_bytes());
        true
    }

    #[inline(always)]
    fn place_by_protocol(&mut self, step: Step, at: usize, packet: Carried) -> bool {
        let is_ipv6 = packet == Carried::Ipv6;
        let protocol = match step {
            _ if packet == Carried::Bytes => return false,
            // Right behind the IPv6 header and nowhere else (RFC 8200, section 4.1).
            Step::Extension(IpProtocol::IPV6_HOP_BY_HOP) if self.last != Step::Ipv6.name() => {
                return false;
            }
            Step::Extension(protocol) if is_ipv6 => protocol,
            Step::Icmp if !is_ipv6 => IpProtocol::ICMP,
            Step::Icmpv6 if is_ipv6 => IpProtocol::ICMPV6,
            Step::Authentication => IpProtocol::AH,
            Step::Ipv4 => IpProtocol::IPV4,
            Step::Ipv6 => IpProtocol::IPV6,
            Step::Udp => IpProtocol::UDP,
            Step::Tcp => IpProtocol::TCP,
            Step::Gre => IpProtocol::GRE,
            Step::Mpls => IpProtocol::MPLS,
            _ => return false,
        };
        self.patch(at, [protocol.0]);
        true
    }

    /// Checks that the header before says what the payload is.
    #[inline(always)]
    pub(super) fn place_payload(&mut self) -> Result<(), Failed> {
        match self.next {
            Next::Data | Next::Frame => {}
            Next::Label { at } => self.end_stack(at),
            Next::Start | Next::End | Next::Failed => return Err(self.misplaced("payload")),
            Next::EtherType { .. } | Next::Protocol { .. } => {
                let before = self.last;
                return Err(self.fail("payload", BuildFault::Untyped { before }));
            }
        }
        self.last = "payload";
        Ok(())
    }

    /// Says what follows by its ether type: then bytes, which this builder does not know.
    ///
    /// Behind Ethernet, a VLAN tag, [`snap`](Self::snap) or [`gre`](Self::gre).
    #[inline(always)]
    pub fn ether_type(self, ether_type: EtherType) -> Self {
        self.then(|frame| {
            let Next::EtherType { at, of } = frame.next else {
                return Err(frame.misplaced("ether type"));
            };
            if of == Carrier::Frame && ether_type.is_length() {
                let value = ether_type.0.into();
                let field = "value";
                return Err(frame.invalid("ether type", field, value));
            }
            frame.patch(at, ether_type.0.to_be_bytes());
            frame.go_on("ether type", Next::Data);
            Ok(())
        })
    }

    /// Says what follows by its IP protocol number: then bytes, which this builder does not know,
    /// or a piece of a message in a fragment.
    ///
    /// Behind IPv4, IPv6 or an extension header.
    #[inline(always)]
    pub fn protocol(self, protocol: IpProtocol) -> Self {
        self.then(|frame| {
            let Next::Protocol { at, .. } = frame.next else {
                return Err(frame.misplaced("protocol"));
            };
            frame.patch(at, [protocol.0]);
            frame.go_on("protocol", Next::Data);
            Ok(())
        })
    }

    #[inline(always)]
    fn go_on(&mut self, last: &'static str, next: Next) {
        self.last = last;
        self.next = next;
    }

    #[cold]
    #[inline(never)]
    pub(super) fn misplaced(&mut self, step: &'static str) -> Failed {
        let after = self.last;
        self.fail(step, BuildFault::Misplaced { after })
    }

    /// Sets the bottom-of-stack bit of the label at `at`.
    #[inline(always)]
    fn end_stack(&mut self, at: usize) {
        let place = self
            .buffer
            .get_mut(at..)
            .and_then(|rest| rest.first_chunk_mut());
        if let Some([_, _, class_and_bottom, _]) = place {
            *class_and_bottom |= 1;
        }
    }

    #[inline(always)]
    fn is_right_behind_udp(&self) -> bool {
        self.top().is_some_and(|layer| {
            matches!(layer.kind, Kind::Udp | Kind::UdpWithoutChecksum)
                && self.len.wrapping_sub(usize::from(layer.start)) == Udp::LEN
        })
    }

    /// The innermost layer.
    #[inline(always)]
    pub(super) fn top(&self) -> Option<Layer> {
        let index = self.layer_count.checked_sub(1)?;
        self.layers.get(index).copied()
    }

    #[cold]
    #[inline(never)]
    fn too_far(&mut self) -> Failed {
        let (length, most) = (self.len, u16::MAX.into());
        self.fail("headers", BuildFault::TooLong { length, most })
    }

    /// Has the end complete the header that comes next.
    #[inline(always)]
    pub(super) fn open(&mut self, kind: Kind) -> Result<(), Failed> {
        let Ok(start) = u16::try_from(self.len) else {
            return Err(self.too_far());
        };
        match self.layers.get_mut(self.layer_count) {
            Some(layer) => *layer = Layer { kind, start },
            None => return Err(self.fail(self.last, BuildFault::TooManyLayers)),
        }
        // At most as many as there are layers.
        self.layer_count = self.layer_count.wrapping_add(1);
        Ok(())
    }
}
