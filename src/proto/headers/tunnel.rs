//! Packets within packets.

#![forbid(unsafe_code)]

use super::{Headers, Walk};
use crate::proto::{EtherType, Gre, IpProtocol, ParseError, Vxlan};

/// What a packet travels in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Tunnel {
    /// An IP packet directly in another: all four pairs of versions (RFC 2003, RFC 2473, RFC 4213).
    Ip = 1,
    /// Generic routing encapsulation (RFC 2784, RFC 2890) of IP, MPLS or Ethernet.
    Gre = 2,
    /// Virtual extensible LAN (RFC 7348), on UDP port 4789: Ethernet.
    Vxlan = 3,
}

/// A packet in another.
struct Inside {
    tunnel: Tunnel,
    ether_type: EtherType,
    at: usize,
}

impl Headers {
    /// How many tunnels [`parse_tunnels`](Self::parse_tunnels) passes.
    pub const MAX_TUNNELS: usize = 4;

    /// The headers of the innermost packet of an Ethernet frame: those of [`parse`](Self::parse) if it is no tunnel's.
    ///
    /// Packets in more than [`MAX_TUNNELS`](Self::MAX_TUNNELS) tunnels are not looked for.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), of the outer packet and those in it.
    #[inline]
    pub fn parse_tunnels(frame: &[u8]) -> Result<Self, ParseError> {
        let mut headers = Self::parse(frame)?;
        for _ in 0..Self::MAX_TUNNELS {
            match headers.inner(frame)? {
                Some(inner) => headers = inner,
                None => break,
            }
        }
        Ok(headers)
    }

    /// The headers of the packet within this one, in the bytes that were parsed; `None` if it is no tunnel's, or a fragment.
    ///
    /// Offsets count from the start of `frame`, as before. An IP packet within IP or GRE has no Ethernet header: then the
    /// EtherType is that of the IP version. What only looks like a tunnel, as a packet to port 4789 without the flags of VXLAN or GRE
    /// of another version, has none.
    ///
    /// ```
    /// # use fluxcap::proto::{Headers, ParseError, Tunnel};
    /// # let mut frame = vec![0; 12];
    /// # frame.extend([0x08, 0x00, 0x45, 0, 0, 48, 0, 0, 0, 0, 64, 4, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    /// # frame.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    /// # frame.extend([0, 53, 0, 53, 0, 8, 0, 0]);
    /// let outer = Headers::parse(&frame)?;
    /// if let Some(inner) = outer.inner(&frame)? {
    ///     assert_eq!(inner.tunnel(), Some(Tunnel::Ip));
    ///     assert_eq!(inner.l3_offset(), Some(34));
    ///     assert_eq!(inner.ports(), Some((53, 53)));
    /// }
    /// # assert!(outer.inner(&frame)?.is_some());
    /// # Ok::<(), ParseError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), of GRE or VXLAN and what is in it.
    pub fn inner(&self, frame: &[u8]) -> Result<Option<Self>, ParseError> {
        match self.inside(frame)? {
            Some(inside) => {
                let (headers, error) = self.walk(frame, &inside, false);
                error.map_or(Ok(Some(headers)), Err)
            }
            None => Ok(None),
        }
    }

    /// As [`inner`](Self::inner), as far as it can be read: see [`parse_partial`](Self::parse_partial).
    #[must_use]
    pub fn inner_partial(&self, frame: &[u8]) -> Option<(Self, Option<ParseError>)> {
        let inside = self.inside(frame).ok()??;
        Some(self.walk(frame, &inside, true))
    }

    fn walk(&self, frame: &[u8], inside: &Inside, is_partial: bool) -> (Self, Option<ParseError>) {
        // What is behind the outer payload does not belong to it.
        let frame = frame.get(..self.payload_end()).unwrap_or(frame);
        let mut walk = Walk::new(frame, is_partial);
        walk.headers.tunnel = Some(inside.tunnel);
        let result = match inside.ether_type {
            EtherType::ETHERNET => walk.ethernet(inside.at),
            ether_type => walk.packet(ether_type, inside.at),
        };
        walk.finish(result.err())
    }

    fn inside(&self, frame: &[u8]) -> Result<Option<Inside>, ParseError> {
        let Some(at) = self.l4_offset().filter(|_| !self.is_fragment()) else {
            return Ok(None);
        };
        let (tunnel, ether_type, at) = match IpProtocol(self.protocol) {
            IpProtocol::IPV4 => (Tunnel::Ip, EtherType::IPV4, at),
            IpProtocol::IPV6 => (Tunnel::Ip, EtherType::IPV6, at),
            IpProtocol::GRE => match Gre::parse(self.payload(frame)) {
                Ok((gre, _)) => {
                    let inner = at.wrapping_add(gre.header_len());
                    (Tunnel::Gre, gre.protocol_type(), inner)
                }
                Err(error) if error.is_truncated() => return Err(error.at(at)),
                Err(_) => return Ok(None),
            },
            IpProtocol::UDP if self.ports().is_some_and(|ports| ports.1 == Vxlan::PORT) => {
                let at = self.payload_offset();
                match Vxlan::parse(self.payload(frame)) {
                    Ok(_) => (
                        Tunnel::Vxlan,
                        EtherType::ETHERNET,
                        at.wrapping_add(Vxlan::LEN),
                    ),
                    Err(error) if error.is_truncated() => return Err(error.at(at)),
                    Err(_) => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let is_known = matches!(
            ether_type,
            EtherType::IPV4 | EtherType::IPV6 | EtherType::ETHERNET
        ) || ether_type.is_mpls();
        Ok(is_known.then_some(Inside {
            tunnel,
            ether_type,
            at,
        }))
    }
}
