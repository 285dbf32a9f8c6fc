//! A frame as a list of what it consists of, and how the builder is told.

use std::net::Ipv4Addr;

use fluxcap::proto::build::{
    BuildError, FrameBuilder, IcmpMessage, Icmpv6Message, Ipv4Spec, Ipv6Spec, TcpSpec, VlanTag,
};
use fluxcap::proto::{ArpOperation, EtherType, GreFields, IpProtocol, Ipv6Fragment, MacAddr};

/// A step of the builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layer {
    Padded,
    Ethernet(MacAddr, MacAddr),
    Vlan(VlanTag),
    Llc(u8, u8, u16),
    Snap,
    SnapOf([u8; 3], u16),
    Mpls(u32, u8, u8),
    Arp(ArpOperation, (MacAddr, Ipv4Addr), (MacAddr, Ipv4Addr)),
    Ipv4(Ipv4Spec),
    Ipv4Options(Vec<u8>),
    Ipv6(Ipv6Spec),
    HopByHop(Vec<u8>),
    Destination(Vec<u8>),
    Routing(u8, u8, Vec<u8>),
    Fragment(Ipv6Fragment),
    Authentication(u32, u32, Vec<u8>),
    Udp(u16, u16),
    UdpWithoutChecksum(u16, u16),
    Tcp(TcpSpec),
    TcpOptions(Vec<u8>),
    Icmp(IcmpMessage),
    Icmpv6(Icmpv6Message),
    Gre(GreFields),
    Vxlan(u32),
    EtherType(EtherType),
    Protocol(IpProtocol),
    Payload(Vec<u8>),
}

impl Layer {
    fn add<'a>(&self, frame: FrameBuilder<'a>) -> FrameBuilder<'a> {
        match self {
            Self::Padded => frame.padded(),
            Self::Ethernet(source, destination) => frame.ethernet(*source, *destination),
            Self::Vlan(tag) => frame.vlan(*tag),
            Self::Llc(destination, source, control) => frame.llc(*destination, *source, *control),
            Self::Snap => frame.snap(),
            Self::SnapOf(organization, protocol) => frame.snap_with(*organization, *protocol),
            Self::Mpls(label, class, ttl) => frame.mpls_with(*label, *class, *ttl),
            Self::Arp(operation, sender, target) => frame.arp(*operation, *sender, *target),
            Self::Ipv4(spec) => frame.ipv4_with(*spec),
            Self::Ipv4Options(bytes) => frame.ipv4_option_bytes(bytes),
            Self::Ipv6(spec) => frame.ipv6_with(*spec),
            Self::HopByHop(options) => frame.hop_by_hop_bytes(options),
            Self::Destination(options) => frame.destination_option_bytes(options),
            Self::Routing(kind, left, data) => frame.routing(*kind, *left, data),
            Self::Fragment(fragment) => frame.fragment(*fragment),
            Self::Authentication(index, number, value) => {
                frame.authentication(*index, *number, value)
            }
            Self::Udp(source, destination) => frame.udp(*source, *destination),
            Self::UdpWithoutChecksum(source, destination) => {
                frame.udp_without_checksum(*source, *destination)
            }
            Self::Tcp(spec) => frame.tcp_with(*spec),
            Self::TcpOptions(bytes) => frame.tcp_option_bytes(bytes),
            Self::Icmp(message) => frame.icmp(*message),
            Self::Icmpv6(message) => frame.icmpv6(*message),
            Self::Gre(fields) => frame.gre_with(*fields),
            Self::Vxlan(network) => frame.vxlan(*network),
            Self::EtherType(ether_type) => frame.ether_type(*ether_type),
            Self::Protocol(protocol) => frame.protocol(*protocol),
            Self::Payload(_) => unreachable!("ends the frame"),
        }
    }
}

/// Builds into `buffer`, and gives the length.
pub(crate) fn build_into(buffer: &mut [u8], layers: &[Layer]) -> Result<usize, BuildError> {
    let mut frame = FrameBuilder::new(buffer);
    for layer in layers {
        if let Layer::Payload(payload) = layer {
            return frame.payload(payload).map(|frame| frame.len());
        }
        frame = layer.add(frame);
    }
    frame.finish().map(|frame| frame.len())
}

/// Builds over old bytes, so that one that is left out shows.
pub(crate) fn build(layers: &[Layer]) -> Result<Vec<u8>, BuildError> {
    let mut buffer = vec![0xee; 70_000];
    let len = build_into(&mut buffer, layers)?;
    buffer.truncate(len);
    Ok(buffer)
}
