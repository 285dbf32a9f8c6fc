//! Steps for tunnels: GRE and VXLAN.

#![forbid(unsafe_code)]

use super::FrameBuilder;
use super::place::{Carrier, Kind, Next, Step};
use crate::proto::GreFields;

impl FrameBuilder<'_> {
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
