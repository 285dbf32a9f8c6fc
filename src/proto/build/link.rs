//! Steps for what is in front of IP and around it: Ethernet, tags, labels, ARP, and the headers of tunnels.

#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

use super::layers::{Carrier, Kind, Next, Step};
use super::{Failed, FrameBuilder, VlanTag};
use crate::proto::{ArpOperation, GreFields, MacAddr};

impl FrameBuilder<'_> {
    /// An Ethernet header (RFC 894), at the start or in a tunnel.
    #[inline(always)]
    pub fn ethernet(mut self, source: MacAddr, destination: MacAddr) -> Self {
        if self.goes_on() {
            let outcome = self.put_ethernet(source, destination);
            self.settle(outcome);
        }
        self
    }

    #[inline(always)]
    fn put_ethernet(&mut self, source: MacAddr, destination: MacAddr) -> Result<(), Failed> {
        self.place(Step::Ethernet)?;
        self.append("Ethernet", [&destination.0, &source.0, &[0; 2]])?;
        self.ends_with_ether_type(Carrier::Frame)
    }

    /// A VLAN tag (802.1Q, 802.1ad), behind Ethernet or another tag: a number, or a [`VlanTag`] that says more.
    ///
    /// An id above 4095 or a priority above 7 is an error, as is an ether type that announces no tag.
    #[inline(always)]
    pub fn vlan(mut self, tag: impl Into<VlanTag>) -> Self {
        if self.goes_on() {
            let outcome = self.put_vlan(tag.into());
            self.settle(outcome);
        }
        self
    }

    #[inline(always)]
    fn put_vlan(&mut self, tag: VlanTag) -> Result<(), Failed> {
        self.check("VLAN", "id", tag.id.into(), 0xfff)?;
        self.check("VLAN", "priority", tag.priority.into(), 7)?;
        if !tag.ether_type.is_vlan() {
            return Err(self.invalid("VLAN", "ether type", tag.ether_type.0.into()));
        }
        self.place(Step::Vlan(tag.ether_type))?;
        let priority = u16::from(tag.priority) << 13;
        let control = priority | u16::from(tag.drop_eligible) << 12 | tag.id;
        self.append("VLAN", [&control.to_be_bytes(), &[0; 2]])?;
        self.ends_with_ether_type(Carrier::Frame)
    }

    /// An LLC header (IEEE 802.2), behind Ethernet or a tag, whose ether type becomes the length of what follows: at most
    /// 1500 bytes. The payload comes next.
    ///
    /// `control` is 3 for unnumbered information, which most protocols use. Where the two lowest bits of a number below 256
    /// are not both set, it is a field of two bytes, the upper one first.
    #[inline(always)]
    pub fn llc(self, destination_sap: u8, source_sap: u8, control: u16) -> Self {
        self.then(move |frame| {
            let [first, second] = control.to_be_bytes();
            let (control_bytes, first_control): (&[u8], _) = match control {
                0..=0xff if control & 3 == 3 => (&[second], second),
                _ => (&[first, second], first),
            };
            // The receiver tells by the first byte how many there are.
            if (first_control & 3 == 3) != (control_bytes.len() == 1) {
                return Err(frame.invalid("LLC", "control", control.into()));
            }
            frame.place(Step::Llc)?;
            frame.open(Kind::Llc)?;
            frame.next = Next::Data;
            frame.append("LLC", [&[destination_sap, source_sap], control_bytes])
        })
    }

    /// An LLC header with SNAP behind it (RFC 1042), which has an ether type: what may follow Ethernet may follow here.
    #[inline(always)]
    pub fn snap(self) -> Self {
        self.then(move |frame| {
            frame.place(Step::Llc)?;
            frame.open(Kind::Llc)?;
            frame.append("SNAP", [&[0xaa, 0xaa, 0x03, 0, 0, 0, 0, 0]])?;
            frame.ends_with_ether_type(Carrier::Snap)
        })
    }

    /// An LLC header with SNAP of an organization behind it (IEEE 802, section 9), which has numbers of its own for what
    /// follows, such as 0x00000c of Cisco. The payload comes next.
    #[inline(always)]
    pub fn snap_with(self, organization: [u8; 3], protocol: u16) -> Self {
        self.then(move |frame| {
            frame.place(Step::Llc)?;
            frame.open(Kind::Llc)?;
            frame.next = Next::Data;
            let parts = [
                &[0xaa, 0xaa, 0x03][..],
                &organization,
                &protocol.to_be_bytes(),
            ];
            frame.append("SNAP", parts)
        })
    }

    /// An MPLS label (RFC 3032) of traffic class 0 and 64 hops. The last one in a row becomes the bottom of the stack; then
    /// comes IP, Ethernet or any payload.
    ///
    /// A label above 1,048,575 is an error.
    #[inline(always)]
    pub fn mpls(self, label: u32) -> Self {
        self.mpls_with(label, 0, 64)
    }

    /// Like [`mpls`](Self::mpls), with traffic class (0 to 7) and time to live.
    #[inline(always)]
    pub fn mpls_with(self, label: u32, traffic_class: u8, ttl: u8) -> Self {
        self.then(move |frame| {
            frame.check("MPLS", "label", label, 0xf_ffff)?;
            frame.check("MPLS", "traffic class", traffic_class.into(), 7)?;
            frame.place(Step::Mpls)?;
            frame.next = Next::Label { at: frame.len };
            let entry = label << 12 | u32::from(traffic_class) << 9 | u32::from(ttl);
            frame.append("MPLS", [&entry.to_be_bytes()])
        })
    }

    /// An ARP packet (RFC 826), behind Ethernet, a tag or SNAP. Nothing follows: [`finish`](Self::finish).
    #[inline(always)]
    pub fn arp(
        self,
        operation: ArpOperation,
        (sender_mac, sender_ip): (MacAddr, Ipv4Addr),
        (target_mac, target_ip): (MacAddr, Ipv4Addr),
    ) -> Self {
        self.then(move |frame| {
            frame.place(Step::Arp)?;
            frame.next = Next::End;
            let parts = [
                &[0x00, 0x01, 0x08, 0x00, 6, 4][..], // IPv4 over Ethernet
                &operation.0.to_be_bytes(),
                &sender_mac.0,
                &sender_ip.octets(),
                &target_mac.0,
                &target_ip.octets(),
            ];
            frame.append("ARP", parts)
        })
    }

    /// The ARP packet that asks who has `target_ip`, by broadcast if the Ethernet header says so.
    #[inline(always)]
    pub fn arp_request(
        self,
        sender_mac: MacAddr,
        sender_ip: Ipv4Addr,
        target_ip: Ipv4Addr,
    ) -> Self {
        let target = (MacAddr([0; 6]), target_ip);
        self.arp(ArpOperation::REQUEST, (sender_mac, sender_ip), target)
    }

    /// The ARP packet that answers: the sender has the address that the target asked for.
    #[inline(always)]
    pub fn arp_reply(self, sender: (MacAddr, Ipv4Addr), target: (MacAddr, Ipv4Addr)) -> Self {
        self.arp(ArpOperation::REPLY, sender, target)
    }

    /// A GRE header (RFC 2784) without optional fields, behind either version of IP. IP, MPLS or Ethernet follows, or
    /// [`ether_type`](Self::ether_type) and a payload.
    #[inline(always)]
    pub fn gre(self) -> Self {
        self.gre_with(GreFields::default())
    }

    /// Like [`gre`](Self::gre), with checksum, key or sequence number (RFC 2890).
    #[inline(always)]
    pub fn gre_with(self, fields: GreFields) -> Self {
        self.then(move |frame| {
            frame.place(Step::Gre)?;
            let mut flags = 0;
            if fields.checksum {
                frame.open(Kind::Gre)?;
                flags |= 0x80;
            }
            if fields.key.is_some() {
                flags |= 0x20;
            }
            if fields.sequence_number.is_some() {
                flags |= 0x10;
            }
            frame.append("GRE", [&[flags, 0, 0, 0]])?;
            frame.ends_with_ether_type(Carrier::Gre)?;
            let checksum = fields.checksum.then_some(0);
            for field in [checksum, fields.key, fields.sequence_number]
                .into_iter()
                .flatten()
            {
                frame.append("GRE", [&field.to_be_bytes()])?;
            }
            Ok(())
        })
    }

    /// A VXLAN header (RFC 7348) of this network, right behind UDP, mostly to port [`Vxlan::PORT`](crate::proto::Vxlan).
    /// Ethernet follows, or a frame as payload.
    ///
    /// A network above 16,777,215 is an error.
    #[inline(always)]
    pub fn vxlan(self, network: u32) -> Self {
        self.then(move |frame| {
            frame.check("VXLAN", "network", network, 0xff_ffff)?;
            frame.place(Step::Vxlan)?;
            frame.next = Next::Frame;
            frame.append("VXLAN", [&[0x08, 0, 0, 0], &(network << 8).to_be_bytes()])
        })
    }
}
