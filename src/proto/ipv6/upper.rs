//! What is behind the extension headers, and which addresses they name.

#![forbid(unsafe_code)]

use std::net::Ipv6Addr;

use super::{Ipv6, Ipv6Extension, Ipv6Fragment};
use crate::proto::checksum::PseudoHeader;
use crate::proto::{IpProtocol, ParseError};

/// What an IPv6 packet carries behind its extension headers; [`Ipv6::upper_layer`] finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpperLayer {
    /// What it is: neither a hop-by-hop, routing, fragment, authentication nor destination header.
    pub protocol: IpProtocol,
    /// Where it starts in the payload of the IPv6 header, in bytes.
    pub offset: usize,
    /// Which part of the whole payload this packet has, if it has a part only.
    pub fragment: Option<Ipv6Fragment>,
    /// Whether the packet has yet to pass other stations: then the destination of the IPv6 header
    /// is the next of them, and TCP, UDP and ICMPv6 checksums cover the last one instead.
    pub is_source_routed: bool,
    /// The last of these stations, if the packet is source-routed and it is known: see
    /// [`Ipv6Routing::final_destination`](crate::proto::Ipv6Routing::final_destination).
    pub final_destination: Option<Ipv6Addr>,
    /// The address of a mobile node at home (RFC 6275, section 6.3): the source of the IPv6 header
    /// is where it is now, and TCP, UDP and ICMPv6 checksums cover this one instead (section 11.3.1).
    pub home_address: Option<Ipv6Addr>,
}

impl UpperLayer {
    /// Whether this is a fragment other than the first: it lacks the header of
    /// [`UpperLayer::protocol`].
    #[inline]
    #[must_use]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.offset != 0)
    }
}

impl Ipv6 {
    /// The addresses that the checksums of TCP, UDP and ICMPv6 cover (RFC 8200, section 8.1): the
    /// [home address](UpperLayer::home_address) of a mobile node or else the source, and the
    /// [last destination](UpperLayer::final_destination) of a packet with segments left or else the destination.
    ///
    /// `upper` is what [`upper_layer`](Self::upper_layer) gave. `None` if the last destination is not known.
    ///
    /// ```
    /// use fluxcap::proto::{Ipv6, ParseError, Udp};
    ///
    /// # let mut packet = vec![0x60, 0, 0, 0, 0, 0x21, 0x3c, 0x40];
    /// # packet.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    /// # packet.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    /// # packet.extend([0x11, 2, 1, 2, 0, 0, 0xc9, 16, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x55]);
    /// # packet.extend([0xc0, 0x00, 0x00, 0x35, 0x00, 0x09, 0x7b, 0xdd, 0x68]);
    /// // From 2001:db8::1, with a home address option.
    /// let (ip, payload) = Ipv6::parse(&packet)?;
    /// let upper = ip.upper_layer(payload)?;
    /// assert_eq!(upper.home_address, Some("2001:db8::55".parse().unwrap()));
    /// let (udp, data) = Udp::parse(&payload[upper.offset..])?;
    /// let addresses = ip.checksum_addresses(&upper).unwrap();
    /// assert!(udp.verify_checksum(addresses, data));
    /// # Ok::<(), ParseError>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn checksum_addresses(&self, upper: &UpperLayer) -> Option<PseudoHeader> {
        let source = match upper.home_address {
            Some(home) => home,
            None => self.source(),
        };
        let destination = match upper.is_source_routed {
            true => upper.final_destination?,
            false => self.destination(),
        };
        Some(PseudoHeader::ipv6(source, destination))
    }

    /// Passes over the extension headers in `payload`, which parsing gave, to what is behind them.
    ///
    /// Hop-by-hop, routing, fragment, authentication and destination headers are passed over; all
    /// else counts as upper layer, encrypted payload (ESP) and no-next-header too. Behind the
    /// header of a later fragment there is only a piece of data, see
    /// [`UpperLayer::is_later_fragment`].
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if an extension header is longer than what is left of `payload`,
    /// [`Fault::Malformed`](crate::proto::Fault) if an authentication header is too short for its fields, and with the
    /// number of the header after [`Ipv6::MAX_EXTENSION_HEADERS`] if there are more.
    #[inline]
    pub fn upper_layer(&self, payload: &[u8]) -> Result<UpperLayer, ParseError> {
        let mut upper = self.first_layer();
        // The common packet has no extension header.
        if upper.protocol.is_ipv6_extension() {
            upper.pass_extensions(self, payload)?;
        }
        Ok(upper)
    }

    /// What the header itself says.
    #[inline]
    const fn first_layer(&self) -> UpperLayer {
        UpperLayer {
            protocol: IpProtocol(self.next_header),
            offset: 0,
            fragment: None,
            is_source_routed: false,
            final_destination: None,
            home_address: None,
        }
    }

    /// Where [`upper_layer`](Self::upper_layer) ends, which may be an extension header that is wrong.
    #[cold]
    pub(in crate::proto) fn known_layer(&self, payload: &[u8]) -> UpperLayer {
        let mut upper = self.first_layer();
        // What is wrong is known.
        let _ = upper.pass_extensions(self, payload);
        upper
    }
}

impl UpperLayer {
    /// From one extension header to the next, as long as there are any.
    fn pass_extensions(&mut self, ip: &Ipv6, payload: &[u8]) -> Result<(), ParseError> {
        let mut extensions = ip.extensions(payload);
        let mut destination = Some(ip.destination());
        let result = extensions.try_for_each(|extension| {
            match extension? {
                // One that is all of the packet is none (RFC 6946).
                Ipv6Extension::Fragment(header) if header.is_fragment() => {
                    self.fragment = Some(header.fragment());
                }
                Ipv6Extension::Routing(header) if header.segments_left() != 0 => {
                    self.is_source_routed = true;
                    destination = destination.and_then(|next| header.final_destination(next));
                    self.final_destination = destination;
                }
                Ipv6Extension::Destination(header) if self.home_address.is_none() => {
                    self.home_address = header.home_address();
                }
                _ => {}
            }
            Ok(())
        });
        self.protocol = extensions.protocol();
        self.offset = extensions.offset();
        result
    }
}
