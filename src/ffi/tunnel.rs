//! What is pushed in front of packets: tags, labels, tunnels.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::sized::Sized32;
use crate::error::{FluxError, Result};
use crate::proto::edit::{GrePayload, Outer, VxlanFields};
use crate::proto::{EtherType, GreFields, MacAddr, Mpls, VlanTag, Vxlan};

/// A VLAN tag (IEEE 802.1Q, 802.1ad), in host byte order.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_vlan_tag {
    /// Which VLAN, 0 to 4095.
    pub id: u16,
    /// What announces the tag: 0x8100, or 0 for the same, the inner one of two; 0x88a8 the outer
    /// one.
    pub ether_type: u16,
    /// Priority, 0 to 7.
    pub priority: u8,
    /// 1 when this frame may be dropped before others.
    pub drop_eligible: u8,
}

impl From<fluxcap_vlan_tag> for VlanTag {
    fn from(tag: fluxcap_vlan_tag) -> Self {
        Self {
            id: tag.id,
            priority: tag.priority,
            drop_eligible: tag.drop_eligible != 0,
            ether_type: match tag.ether_type {
                0 => EtherType::VLAN,
                other => EtherType(other),
            },
        }
    }
}

impl From<VlanTag> for fluxcap_vlan_tag {
    fn from(tag: VlanTag) -> Self {
        Self {
            id: tag.id,
            ether_type: tag.ether_type.0,
            priority: tag.priority,
            drop_eligible: tag.drop_eligible.into(),
        }
    }
}

/// An MPLS label stack entry (RFC 3032), in host byte order.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_mpls_label {
    /// The label, 0 to 1,048,575.
    pub label: u32,
    /// Traffic class, 0 to 7.
    pub traffic_class: u8,
    /// How many more hops the packet may take.
    pub ttl: u8,
    /// 1 when it is the last one of the stack. Not read.
    pub bottom: u8,
    /// Zero.
    pub reserved: u8,
}

impl fluxcap_mpls_label {
    pub(super) fn to_rust(self) -> Result<Mpls> {
        check("label", self.label, 0xf_ffff)?;
        check("traffic_class", self.traffic_class.into(), 7)?;
        let mut entry = Mpls::new(self.label, self.ttl);
        entry.set_traffic_class(self.traffic_class);
        Ok(entry)
    }
}

impl From<Mpls> for fluxcap_mpls_label {
    fn from(entry: Mpls) -> Self {
        Self {
            label: entry.label(),
            traffic_class: entry.traffic_class(),
            ttl: entry.ttl(),
            bottom: entry.is_bottom().into(),
            reserved: 0,
        }
    }
}

/// GRE carries the whole frame; without, it carries the packet without its Ethernet header and VLAN
/// tags.
pub const FLUXCAP_TUNNEL_FRAME: u32 = 0x01;
/// The GRE header has `gre_key`.
pub const FLUXCAP_TUNNEL_KEY: u32 = 0x02;
/// The GRE header has `gre_sequence_number`.
pub const FLUXCAP_TUNNEL_SEQUENCE: u32 = 0x04;
/// The GRE or UDP header has a checksum, which reads the whole packet.
pub const FLUXCAP_TUNNEL_CHECKSUM: u32 = 0x08;
/// The UDP header has none over IPv6 either (RFC 6935).
pub const FLUXCAP_TUNNEL_NO_CHECKSUM: u32 = 0x10;

/// What carries a tunnel, in host byte order: Ethernet and IP, and what the headers of GRE or VXLAN
/// say.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_tunnel {
    /// sizeof(struct fluxcap_tunnel).
    pub struct_size: u32,
    /// FLUXCAP_TUNNEL_…, joined with |.
    pub flags: u32,
    /// 4 or 6: what the addresses here are.
    pub ip_version: u32,
    /// VXLAN network identifier, of 24 bits.
    pub vni: u32,
    /// Which flow or virtual network within a GRE tunnel; see FLUXCAP_TUNNEL_KEY.
    pub gre_key: u32,
    /// Number of the packet within a GRE tunnel; see FLUXCAP_TUNNEL_SEQUENCE.
    pub gre_sequence_number: u32,
    /// The UDP port that VXLAN comes from; 0: it follows from the flow of the packet inside.
    pub source_port: u16,
    /// The UDP port that VXLAN goes to; 0: 4789.
    pub destination_port: u16,
    /// How many hops the packet may take; 0: 64.
    pub hops: u8,
    /// Differentiated services codepoint, 6 bits.
    pub dscp: u8,
    /// Explicit congestion notification, 2 bits.
    pub ecn: u8,
    /// Zero.
    pub reserved: u8,
    /// Where the tunnel begins; of version 4, the first four bytes.
    pub source_ip: [u8; 16],
    /// Where it ends; of version 4, the first four bytes.
    pub destination_ip: [u8; 16],
    /// The Ethernet source.
    pub source_mac: [u8; 6],
    /// The Ethernet destination: that of the next router.
    pub destination_mac: [u8; 6],
}

const _: () = assert!(size_of::<fluxcap_tunnel>() == 76);

// SAFETY: `repr(C)`, plain numbers without padding, the first a `u32`.
unsafe impl Sized32 for fluxcap_tunnel {
    const NAME: &'static str = "fluxcap_tunnel";
}

impl fluxcap_tunnel {
    pub(super) fn outer(&self) -> Result<Outer> {
        let known = FLUXCAP_TUNNEL_NO_CHECKSUM * 2 - 1;
        let both = FLUXCAP_TUNNEL_CHECKSUM | FLUXCAP_TUNNEL_NO_CHECKSUM;
        if self.flags & !known != 0 || self.flags & both == both {
            return Err(FluxError::invalid(
                format_args!("flags of {:#x}", self.flags),
                "they contradict each other, or this version does not know them",
                "join FLUXCAP_TUNNEL_… with |",
            ));
        }
        check("dscp", self.dscp.into(), 63)?;
        check("ecn", self.ecn.into(), 3)?;
        check("reserved", self.reserved.into(), 0)?;
        let mac = (MacAddr(self.source_mac), MacAddr(self.destination_mac));
        let (source, destination) = (self.source_ip, self.destination_ip);
        let outer = match self.ip_version {
            4 => {
                let first = |[a, b, c, d, ..]: [u8; 16]| Ipv4Addr::new(a, b, c, d);
                Outer::ipv4(mac, (first(source), first(destination)))
            }
            6 => Outer::ipv6(mac, (Ipv6Addr::from(source), Ipv6Addr::from(destination))),
            other => {
                return Err(FluxError::invalid(
                    format_args!("ip_version of {other}"),
                    "there is no such version",
                    "set ip_version to 4 or 6",
                ));
            }
        };
        let hops = if self.hops == 0 { 64 } else { self.hops };
        Ok(outer.hops(hops).dscp(self.dscp).ecn(self.ecn))
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn gre(&self) -> (GrePayload, GreFields) {
        let payload = match self.has(FLUXCAP_TUNNEL_FRAME) {
            true => GrePayload::Frame,
            false => GrePayload::Packet,
        };
        let fields = GreFields {
            checksum: self.has(FLUXCAP_TUNNEL_CHECKSUM),
            key: self.has(FLUXCAP_TUNNEL_KEY).then_some(self.gre_key),
            sequence_number: self
                .has(FLUXCAP_TUNNEL_SEQUENCE)
                .then_some(self.gre_sequence_number),
        };
        (payload, fields)
    }

    pub(super) fn vxlan(&self) -> VxlanFields {
        let wish = self.flags & (FLUXCAP_TUNNEL_CHECKSUM | FLUXCAP_TUNNEL_NO_CHECKSUM);
        VxlanFields {
            vni: self.vni,
            source_port: (self.source_port != 0).then_some(self.source_port),
            destination_port: vxlan_port(self.destination_port),
            checksum: (wish != 0).then_some(wish == FLUXCAP_TUNNEL_CHECKSUM),
        }
    }
}

/// The UDP port that VXLAN goes to, 0 for the usual one.
pub(super) fn vxlan_port(port: u16) -> u16 {
    if port == 0 { Vxlan::PORT } else { port }
}

/// What a GRE tunnel said of the packet that came out of it, in host byte order.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_gre_tunnel {
    /// FLUXCAP_TUNNEL_…: FRAME, and which of the optional fields there were.
    pub flags: u32,
    /// What it carried: 0x0800 IPv4, 0x86dd IPv6, 0x6558 a whole frame, ….
    pub protocol_type: u32,
    /// Which flow or virtual network; 0 without.
    pub key: u32,
    /// Number of the packet; 0 without.
    pub sequence_number: u32,
}

impl From<(EtherType, GreFields)> for fluxcap_gre_tunnel {
    fn from((protocol_type, fields): (EtherType, GreFields)) -> Self {
        let flag = |is: bool, flag| if is { flag } else { 0 };
        Self {
            flags: flag(protocol_type == EtherType::ETHERNET, FLUXCAP_TUNNEL_FRAME)
                | flag(fields.key.is_some(), FLUXCAP_TUNNEL_KEY)
                | flag(fields.sequence_number.is_some(), FLUXCAP_TUNNEL_SEQUENCE)
                | flag(fields.checksum, FLUXCAP_TUNNEL_CHECKSUM),
            protocol_type: protocol_type.0.into(),
            key: fields.key.unwrap_or_default(),
            sequence_number: fields.sequence_number.unwrap_or_default(),
        }
    }
}

fn check(field: &str, value: u32, most: u32) -> Result<()> {
    if value <= most {
        return Ok(());
    }
    Err(FluxError::invalid(
        format_args!("{field} of {value}"),
        format_args!("it has room for {most}"),
        "use a smaller number",
    ))
}
