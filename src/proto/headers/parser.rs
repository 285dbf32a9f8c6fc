//! Where parsing starts, and which numbers announce VLAN tags and tunnels.

#![forbid(unsafe_code)]

use super::{Headers, Walk};
use crate::proto::{EtherType, ParseError, Vxlan};

/// How frames are parsed in networks that use other numbers than the standards: VLAN tags, and UDP ports of tunnels.
///
/// [`Headers::parse`] and [`Headers::parse_partial`] know the standard ones. Plain IPv4 with TCP or UDP is parsed as fast here.
///
/// ```
/// use fluxcap::proto::{EtherType, Headers, ParseError, Parser};
///
/// // Tags from before IEEE 802.1ad, VXLAN on the port that Linux had first, GRE in UDP (RFC 8086).
/// let parser = Parser::new()
///     .vlan_types(&[EtherType(0x9100), EtherType(0x9200)])
///     .vxlan_ports(&[8472])
///     .gre_ports(&[4754]);
/// # let mut frame = vec![2; 12];
/// # frame.extend([0x91, 0x00, 0x00, 0x07, 0x08, 0x06]);
/// # frame.extend([0; 42]);
/// let headers = parser.parse(&frame)?;
/// assert_eq!((headers.vlan(), headers.ether_type()), (Some(7), EtherType::ARP));
/// assert_eq!(Headers::parse(&frame)?.ether_type(), EtherType(0x9100));
/// # Ok::<(), ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parser<'a> {
    vlan_types: &'a [EtherType],
    vxlan_ports: &'a [u16],
    gre_ports: &'a [u16],
}

impl<'a> Parser<'a> {
    /// Knows the standards' numbers alone.
    pub(super) const STANDARD: Parser<'static> = Parser::new();

    /// One that knows the standards' numbers alone.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            vlan_types: &[],
            vxlan_ports: &[],
            gre_ports: &[],
        }
    }

    /// EtherTypes that announce a VLAN tag besides 0x8100 (IEEE 802.1Q) and 0x88a8 (IEEE 802.1ad): devices from before the latter use 0x9100,
    /// 0x9200 and 0x9300.
    #[inline]
    #[must_use]
    pub const fn vlan_types(mut self, ether_types: &'a [EtherType]) -> Self {
        self.vlan_types = ether_types;
        self
    }

    /// UDP destination ports of VXLAN besides 4789 (RFC 7348): 8472 is the default of Linux.
    #[inline]
    #[must_use]
    pub const fn vxlan_ports(mut self, ports: &'a [u16]) -> Self {
        self.vxlan_ports = ports;
        self
    }

    /// UDP destination ports of GRE, such as 4754 (RFC 8086). Default none: GRE is directly in IP.
    #[inline]
    #[must_use]
    pub const fn gre_ports(mut self, ports: &'a [u16]) -> Self {
        self.gre_ports = ports;
        self
    }

    /// The headers of an Ethernet frame, as [`Headers::parse`].
    ///
    /// # Errors
    ///
    /// As [`Headers::parse`].
    #[inline]
    pub fn parse(&self, frame: &[u8]) -> Result<Headers, ParseError> {
        match Headers::parse_plain(frame) {
            Some(headers) => Ok(headers),
            None => self.parse_any(frame),
        }
    }

    /// As far as the frame can be read, as [`Headers::parse_partial`].
    #[must_use]
    pub fn parse_partial(&self, frame: &[u8]) -> (Headers, Option<ParseError>) {
        let mut walk = Walk::new(frame, self, true);
        let error = walk.ethernet(0).err();
        walk.finish(error)
    }

    // A function of its own, so that what is common stays short where it is inlined.
    #[inline(never)]
    pub(super) fn parse_any(&self, frame: &[u8]) -> Result<Headers, ParseError> {
        let mut walk = Walk::new(frame, self, false);
        walk.ethernet(0)?;
        Ok(walk.headers)
    }

    #[inline]
    pub(super) fn is_vlan(&self, ether_type: EtherType) -> bool {
        ether_type.is_vlan() || self.vlan_types.contains(&ether_type)
    }

    #[inline]
    pub(super) fn is_vxlan(&self, port: u16) -> bool {
        port == Vxlan::PORT || self.vxlan_ports.contains(&port)
    }

    #[inline]
    pub(super) fn is_gre(&self, port: u16) -> bool {
        self.gre_ports.contains(&port)
    }
}

impl Headers {
    /// The headers of an Ethernet frame. What is in a tunnel is payload, see [`inner`](Self::inner).
    ///
    /// # Errors
    ///
    /// A [`ParseError`] if a header, or what it announces, is cut short, or a length or version is one that cannot be. Its
    /// [`offset`](ParseError::offset) is that of the field in `frame`.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<Self, ParseError> {
        // The common packet takes a fifth of the time this way; a test holds that both ways are one.
        match Self::parse_plain(frame) {
            Some(headers) => Ok(headers),
            None => Self::parse_any(frame),
        }
    }

    /// As [`parse`](Self::parse), for monitors: all that can be read of a frame that is cut short or damaged, and the first
    /// thing that is wrong with it.
    ///
    /// An IP packet that announces more than there is counts as ending where the frame does. An IPv6 extension header that is wrong
    /// is the [`protocol`](Self::protocol) and the payload. Of a header that is cut short, the fields that are there are told: an IP header
    /// from its protocol and TTL on, each address when it is whole, ports, type and code of ICMP, the flags of TCP, the number in a VLAN
    /// tag, labels. No payload follows.
    #[must_use]
    pub fn parse_partial(frame: &[u8]) -> (Self, Option<ParseError>) {
        Parser::STANDARD.parse_partial(frame)
    }

    pub(super) fn parse_any(frame: &[u8]) -> Result<Self, ParseError> {
        Parser::STANDARD.parse_any(frame)
    }
}
