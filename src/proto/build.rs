//! Whole frames written front to back, every length, type and checksum filled in.
//!
//! [`FrameBuilder`] takes one step a header, from the outermost to the innermost, and ends with
//! the payload. No step returns an error: the first one that fails is kept, the steps after it do
//! nothing, and the end tells. Nothing is allocated and the payload is copied once.
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
//! Tunnels are more of the same: after [`vxlan`](FrameBuilder::vxlan) comes Ethernet again, after
//! [`gre`](FrameBuilder::gre) or an IP header another packet, and each layer's lengths and
//! checksums cover all that is in it. A frame that exists already is a payload too.
//!
//! What has no step of its own is built by its number: [`ether_type`](FrameBuilder::ether_type)
//! or [`protocol`](FrameBuilder::protocol), then the bytes as payload. A fragment is built so as
//! well, since the checksum of its message covers bytes that are not in it.

#![forbid(unsafe_code)]

mod error;
mod finish;
mod icmp;
mod ip;
mod link;
mod place;
mod spec;
mod transport;
mod tunnel;

use error::Failed;
pub use error::{BuildError, BuildFault};
pub use icmp::{IcmpMessage, Icmpv6Message};
pub use spec::{Ipv4Spec, Ipv6Spec, TcpSpec};

pub use crate::proto::VlanTag;

use place::{Layer, Next};

use crate::proto::checksum::PseudoHeader;

/// More than any packet has.
const MAX_LAYERS: usize = 16;

/// Writes a frame into a buffer, header by header; see the [module](self).
///
/// A step that cannot be (too little room, wrong order, a value too large) is kept as the error
/// that the end gives; after it no step does anything.
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
        self.least_len = super::Ethernet::MIN_FRAME_LEN;
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

    /// Ends a step. That what is next says so, not only the error, lets the compiler see which steps go on: it then knows where
    /// each header goes, and joins the steps to one piece.
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

#[cold]
#[inline(never)]
const fn no_room(step: &'static str, needed: usize, available: usize) -> BuildError {
    BuildError::new(step, BuildFault::NoRoom { needed, available })
}

#[cfg(test)]
mod tests;
