//! Whole frames written front to back, every length, type and checksum filled in.
//!
//! [`FrameBuilder`] takes one step a header, from the outermost to the innermost, and ends with
//! the payload. No step returns an error: the first error is kept, later steps do nothing, and
//! `payload` or `finish` returns it. Nothing is allocated and the payload is copied once.
//!
//! ```
//! use std::net::Ipv4Addr;
//! use fluxcap::proto::{BuildError, FrameBuilder, MacAddr};
//!
//! let (our_mac, their_mac) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
//! let (our_ip, their_ip) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
//! let mut buffer = [0; 2048];
//! let frame = FrameBuilder::new(&mut buffer)
//!     .ethernet(our_mac, their_mac)
//!     .ipv4(our_ip, their_ip)
//!     .udp(49152, 53)
//!     .payload(b"a question")?;
//! assert_eq!(frame.len(), 14 + 20 + 8 + 10);
//! # Ok::<(), BuildError>(())
//! ```
//!
//! Where a header has more to say than its step takes, a step that ends in `_with` takes all of
//! it, with defaults for what is left out:
//!
//! ```
//! use std::net::Ipv6Addr;
//! use fluxcap::proto::build::{BuildError, FrameBuilder, Ipv6Spec, TcpSpec, VlanTag};
//! use fluxcap::proto::{MacAddr, TcpFlags, TcpOption};
//!
//! let mac = MacAddr([2, 0, 0, 0, 0, 1]);
//! let (us, them) = (Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
//! let mut buffer = [0; 2048];
//! let syn = FrameBuilder::new(&mut buffer)
//!     .ethernet(mac, MacAddr::BROADCAST)
//!     .vlan(VlanTag::service(100)) // 802.1ad
//!     .vlan(7)
//!     .ipv6_with(Ipv6Spec { hop_limit: 3, ..Ipv6Spec::new(us, them) })
//!     .tcp_with(TcpSpec { sequence_number: 77, ..TcpSpec::new(49152, 443, TcpFlags::SYN) })
//!     .tcp_options(&[TcpOption::MaximumSegmentSize(1440), TcpOption::SackPermitted])
//!     .finish()?;
//! # Ok::<(), BuildError>(())
//! ```
//!
//! Tunnels are built in the same way: after [`vxlan`](FrameBuilder::vxlan) comes Ethernet again, after
//! [`gre`](FrameBuilder::gre) or an IP header another packet, and each layer's lengths and
//! checksums cover all that is in it. A frame that exists already is a payload too.
//!
//! What has no step of its own is built by its number: [`ether_type`](FrameBuilder::ether_type)
//! or [`protocol`](FrameBuilder::protocol), then the bytes as payload. A fragment is built so as
//! well, since the checksum of its message covers bytes that are not in it.

#![forbid(unsafe_code)]

use std::mem;

use crate::proto::checksum::PseudoHeader;
use crate::proto::{EtherType, Ethernet, IpProtocol, Udp};

mod ip;
mod layers;
mod link;
mod transport;

pub use ip::{Ipv4Spec, Ipv6Spec};
pub use layers::{BuildError, BuildFault};
pub use transport::{IcmpMessage, Icmpv6Message, TcpSpec};

pub use crate::proto::VlanTag;

use layers::{Carried, Carrier, Kind, Layer, Next, Step, complete_layer};

/// Maximum number of layers that the end completes.
const MAX_LAYERS: usize = 16;

/// Writes a frame into a buffer, header by header; see the [module](self).
///
/// The first error of a step (too little room, wrong order, a value too large) is kept and returned
/// at the end; later steps do nothing.
#[derive(Debug)]
#[must_use = "only `payload` or `finish` completes a frame"]
pub struct FrameBuilder<'a> {
    buffer: &'a mut [u8],
    /// How much of it is written.
    len: usize,
    /// What may come next.
    next: Next,
    /// The step before, for messages.
    last: &'static str,
    /// What the end has to complete, outermost first.
    layers: [Layer; MAX_LAYERS],
    layer_count: usize,
    /// Of the innermost IP packet, as the checksums in it cover them.
    addresses: PseudoHeader,
    /// What the frame is padded to.
    least_len: usize,
    error: Option<BuildError>,
}

impl<'a> FrameBuilder<'a> {
    /// How many headers with a length or checksum a frame may have. Tags and labels have none.
    pub const MAX_LAYERS: usize = MAX_LAYERS;

    /// A frame that starts at the start of `buffer`, and may take all of it.
    ///
    /// It begins with Ethernet or, for devices without, with IP.
    #[inline(always)]
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            buffer,
            len: 0,
            next: Next::Start,
            last: "nothing",
            layers: [Layer::NONE; MAX_LAYERS],
            layer_count: 0,
            addresses: PseudoHeader::NONE,
            least_len: 0,
            error: None,
        }
    }

    /// How many bytes are written so far: headers only, until the end.
    #[inline]
    #[must_use]
    pub const fn written(&self) -> usize {
        self.len
    }

    /// Has the end fill the frame up with zeros to the 60 bytes that Ethernet asks for. Network
    /// cards mostly do so by themselves; lengths and checksums do not count it.
    #[inline(always)]
    pub const fn padded(mut self) -> Self {
        self.least_len = Ethernet::MIN_FRAME_LEN;
        self
    }

    /// Ends the frame with a copy of `payload`, and gives all of it.
    ///
    /// # Errors
    ///
    /// The [`BuildError`] of the first step that failed, or of this one: no room, a header before
    /// that does not say what follows it, or one whose length field cannot hold that much.
    #[inline(always)]
    pub fn payload(mut self, payload: &[u8]) -> Result<&'a mut [u8], BuildError> {
        if self.goes_on() {
            let outcome = self.put_payload(payload);
            self.settle(outcome);
        }
        self.complete()
    }

    #[inline(always)]
    fn put_payload(&mut self, payload: &[u8]) -> Result<(), Failed> {
        self.place_payload()?;
        self.append("payload", [payload])
    }

    /// Ends the frame with `len` bytes of payload that `fill` writes in place, which saves a copy.
    /// They hold what the buffer held.
    ///
    /// # Errors
    ///
    /// As [`payload`](Self::payload). Then `fill` may not have been called.
    #[inline(always)]
    pub fn payload_with(
        mut self,
        len: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<&'a mut [u8], BuildError> {
        self.step(|frame| {
            frame.place_payload()?;
            frame.claim("payload", len).map(fill)
        });
        self.complete()
    }

    /// Ends the frame without a payload, and gives all of it.
    ///
    /// # Errors
    ///
    /// As [`payload`](Self::payload).
    #[inline(always)]
    pub fn finish(mut self) -> Result<&'a mut [u8], BuildError> {
        self.step(|frame| match frame.next {
            Next::End => Ok(()),
            _ => frame.place_payload(),
        });
        self.complete()
    }

    /// Completes all layers and pads the frame, unless a step has failed.
    #[inline(never)]
    fn complete(&mut self) -> Result<&'a mut [u8], BuildError> {
        let end = self.len;
        if end < self.least_len {
            self.step(Self::pad);
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let frame = mem::take(&mut self.buffer).get_mut(..self.len);
        let layers = self.layers.get(..self.layer_count);
        let (Some(frame), Some(layers)) = (frame, layers) else {
            return Ok(&mut []); // there are as many
        };
        for layer in layers.iter().rev() {
            // No layer counts the padding.
            if let Some(content) = frame.get_mut(..end) {
                complete_layer(content, *layer)?;
            }
        }
        Ok(frame)
    }

    fn pad(&mut self) -> Result<(), Failed> {
        let missing = self.least_len.saturating_sub(self.len);
        self.claim("padding", missing)?.fill(0);
        Ok(())
    }

    /// Goes on with a step, unless one failed before.
    #[inline(always)]
    fn then(mut self, step: impl FnOnce(&mut Self) -> Result<(), Failed>) -> Self {
        self.step(step);
        self
    }

    /// Takes a step, unless one failed before.
    #[inline(always)]
    fn step(&mut self, step: impl FnOnce(&mut Self) -> Result<(), Failed>) {
        if self.goes_on() {
            let outcome = step(self);
            self.settle(outcome);
        }
    }

    /// Whether no step failed so far.
    #[inline(always)]
    const fn goes_on(&self) -> bool {
        !matches!(self.next, Next::Failed)
    }

    /// Ends a step. `next` holds the failure, not only `error`: so the compiler sees which steps go on, knows where each header goes,
    /// and joins the steps.
    #[inline(always)]
    const fn settle(&mut self, outcome: Result<(), Failed>) {
        if outcome.is_err() {
            self.next = Next::Failed;
        }
    }

    /// Keeps why this step cannot be.
    #[cold]
    #[inline(never)]
    fn fail(&mut self, step: &'static str, fault: BuildFault) -> Failed {
        self.error = Some(BuildError::new(step, fault));
        Failed
    }

    /// The next `len` bytes, which count as written.
    #[inline(always)]
    fn claim(&mut self, step: &'static str, len: usize) -> Result<&mut [u8], Failed> {
        let available = self.buffer.len().wrapping_sub(self.len);
        let rest = self.buffer.get_mut(self.len..);
        match rest.and_then(|rest| rest.get_mut(..len)) {
            Some(bytes) => {
                // Within the buffer.
                self.len = self.len.wrapping_add(len);
                Ok(bytes)
            }
            None => {
                self.error = Some(no_room(step, len, available));
                Err(Failed)
            }
        }
    }

    /// Writes the next bytes, one part after the other: all of them, or none.
    #[inline(always)]
    fn append<const PARTS: usize>(
        &mut self,
        step: &'static str,
        parts: [&[u8]; PARTS],
    ) -> Result<(), Failed> {
        // A sum that saturates is more than any buffer has.
        let len = parts
            .iter()
            .fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        let mut rest = self.claim(step, len)?;
        for part in parts {
            let Some((bytes, behind)) = rest.split_at_mut_checked(part.len()) else {
                break;
            };
            bytes.copy_from_slice(part);
            rest = behind;
        }
        Ok(())
    }

    /// Writes over bytes that were written before.
    #[inline(always)]
    fn patch<const LEN: usize>(&mut self, at: usize, bytes: [u8; LEN]) {
        if let Some(place) = self
            .buffer
            .get_mut(at..)
            .and_then(|rest| rest.first_chunk_mut())
        {
            *place = bytes;
        }
    }
}

/// A step failed. The builder keeps the error, which is too large to hand on at each step.
#[derive(Debug)]
struct Failed;

impl FrameBuilder<'_> {
    /// Writes into the header before that `step` follows it.
    #[inline(always)]
    fn place(&mut self, step: Step) -> Result<(), Failed> {
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
    fn place_payload(&mut self) -> Result<(), Failed> {
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
    fn misplaced(&mut self, step: &'static str) -> Failed {
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
    fn top(&self) -> Option<Layer> {
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
    fn open(&mut self, kind: Kind) -> Result<(), Failed> {
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

    /// The last two bytes are the ether type, which the next step fills in.
    #[inline]
    fn ends_with_ether_type(&mut self, of: Carrier) -> Result<(), Failed> {
        let at = self.len.wrapping_sub(2);
        self.next = Next::EtherType { at, of };
        Ok(())
    }

    /// An error if the value of a field is above the most that it holds.
    #[inline]
    fn check(
        &mut self,
        step: &'static str,
        field: &'static str,
        value: u32,
        most: u32,
    ) -> Result<(), Failed> {
        if value > most {
            return Err(self.invalid(step, field, value));
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn invalid(&mut self, step: &'static str, field: &'static str, value: u32) -> Failed {
        self.fail(step, BuildFault::Invalid { field, value })
    }
}

#[cold]
#[inline(never)]
const fn no_room(step: &'static str, needed: usize, available: usize) -> BuildError {
    BuildError::new(step, BuildFault::NoRoom { needed, available })
}

#[cfg(test)]
mod tests;
