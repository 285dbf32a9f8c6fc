//! Packets within packets.

#![forbid(unsafe_code)]

use super::parse::{Collector, Parser};
use super::{Headers, Tunnel};
use crate::proto::{EtherType, Gre, IpProtocol, ParseError, Vxlan};

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
        Parser::STANDARD.parse_tunnels(frame)
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
    #[inline]
    pub fn inner(&self, frame: &[u8]) -> Result<Option<Self>, ParseError> {
        Parser::STANDARD.inner(self, frame)
    }

    /// As [`inner`](Self::inner), as far as it can be read: see [`parse_partial`](Self::parse_partial).
    #[must_use]
    pub fn inner_partial(&self, frame: &[u8]) -> Option<(Self, Option<ParseError>)> {
        Parser::STANDARD.inner_partial(self, frame)
    }
}

impl Parser<'_> {
    /// The headers of the innermost packet, as [`Headers::parse_tunnels`].
    ///
    /// # Errors
    ///
    /// As [`Headers::parse_tunnels`].
    #[inline]
    pub fn parse_tunnels(&self, frame: &[u8]) -> Result<Headers, ParseError> {
        let mut headers = self.parse(frame)?;
        for _ in 0..Headers::MAX_TUNNELS {
            match self.inner(&headers, frame)? {
                Some(inner) => headers = inner,
                None => break,
            }
        }
        Ok(headers)
    }

    /// The headers of the packet within that of `outer`, as [`Headers::inner`].
    ///
    /// # Errors
    ///
    /// As [`Headers::inner`].
    pub fn inner(&self, outer: &Headers, frame: &[u8]) -> Result<Option<Headers>, ParseError> {
        match self.inside(outer, frame)? {
            Some(inside) => {
                let (headers, error) = self.collect(outer, frame, &inside, false);
                error.map_or(Ok(Some(headers)), Err)
            }
            None => Ok(None),
        }
    }

    /// The same as far as it can be read, as [`Headers::inner_partial`].
    #[must_use]
    pub fn inner_partial(
        &self,
        outer: &Headers,
        frame: &[u8],
    ) -> Option<(Headers, Option<ParseError>)> {
        let inside = self.inside(outer, frame).ok()??;
        Some(self.collect(outer, frame, &inside, true))
    }

    fn collect(
        &self,
        outer: &Headers,
        frame: &[u8],
        inside: &Inside,
        is_partial: bool,
    ) -> (Headers, Option<ParseError>) {
        // What is behind the outer payload does not belong to it.
        let frame = frame.get(..outer.payload_end()).unwrap_or(frame);
        let mut collector = Collector::new(frame, self, is_partial);
        collector.headers.tunnel = Some(inside.tunnel);
        let result = match inside.ether_type {
            EtherType::ETHERNET => collector.ethernet(inside.at),
            ether_type => collector.packet(ether_type, inside.at),
        };
        collector.finish(result.err())
    }

    fn inside(&self, outer: &Headers, frame: &[u8]) -> Result<Option<Inside>, ParseError> {
        let Some(l4) = outer.l4_offset().filter(|_| !outer.is_fragment()) else {
            return Ok(None);
        };
        // Of a protocol that is not known, the payload starts where its header does.
        let at = outer.payload_offset();
        let payload = outer.payload(frame);
        let inside = match (IpProtocol(outer.protocol), outer.ports()) {
            (IpProtocol::IPV4, _) => Some(Inside {
                tunnel: Tunnel::Ip,
                ether_type: EtherType::IPV4,
                at: l4,
            }),
            (IpProtocol::IPV6, _) => Some(Inside {
                tunnel: Tunnel::Ip,
                ether_type: EtherType::IPV6,
                at: l4,
            }),
            (IpProtocol::GRE, _) => in_gre(payload, at)?,
            (IpProtocol::UDP, Some((_, port))) if self.is_vxlan(port) => in_vxlan(payload, at)?,
            (IpProtocol::UDP, Some((_, port))) if self.is_gre(port) => in_gre(payload, at)?,
            _ => None,
        };
        let is_known = |inside: &Inside| {
            matches!(
                inside.ether_type,
                EtherType::IPV4 | EtherType::IPV6 | EtherType::ETHERNET
            ) || inside.ether_type.is_mpls()
        };
        Ok(inside.filter(is_known))
    }
}

/// Behind a GRE header at `at`; `None` if it is one of another version.
fn in_gre(payload: &[u8], at: usize) -> Result<Option<Inside>, ParseError> {
    match Gre::parse(payload) {
        Ok((gre, _)) => Ok(Some(Inside {
            tunnel: Tunnel::Gre,
            ether_type: gre.protocol_type(),
            at: at.wrapping_add(gre.header_len()),
        })),
        Err(error) if error.is_truncated() => Err(error.at(at)),
        Err(_) => Ok(None),
    }
}

/// Behind a VXLAN header at `at`; `None` if it lacks its flag.
fn in_vxlan(payload: &[u8], at: usize) -> Result<Option<Inside>, ParseError> {
    match Vxlan::parse(payload) {
        Ok(_) => Ok(Some(Inside {
            tunnel: Tunnel::Vxlan,
            ether_type: EtherType::ETHERNET,
            at: at.wrapping_add(Vxlan::LEN),
        })),
        Err(error) if error.is_truncated() => Err(error.at(at)),
        Err(_) => Ok(None),
    }
}
