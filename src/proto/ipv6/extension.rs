//! IPv6 extension headers, one after the other (RFC 8200, section 4).

#![forbid(unsafe_code)]

use std::fmt;
use std::iter::FusedIterator;

use crate::proto::{
    Authentication, IpProtocol, Ipv6, Ipv6FragmentHeader, Ipv6OptionsHeader, Ipv6Routing,
    ParseError,
};

/// An IPv6 extension header; [`Ipv6::extensions`] gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ipv6Extension<'a> {
    /// Options that every router on the way looks at.
    HopByHop(&'a Ipv6OptionsHeader),
    /// Stations that the packet passes.
    Routing(&'a Ipv6Routing),
    /// Which part of a packet this is.
    Fragment(&'a Ipv6FragmentHeader),
    /// Shows that nobody changed the packet.
    Authentication(&'a Authentication),
    /// Options for the destination.
    Destination(&'a Ipv6OptionsHeader),
}

impl<'a> Ipv6Extension<'a> {
    /// The header of this kind at the start of `bytes`, and all that follows it; `None` if `protocol` is no extension header.
    #[inline]
    fn parse(
        protocol: IpProtocol,
        bytes: &'a [u8],
    ) -> Option<Result<(Self, &'a [u8]), ParseError>> {
        Some(match protocol {
            IpProtocol::IPV6_HOP_BY_HOP => {
                Ipv6OptionsHeader::parse(bytes).map(|(header, rest)| (Self::HopByHop(header), rest))
            }
            IpProtocol::IPV6_ROUTING => {
                Ipv6Routing::parse(bytes).map(|(header, rest)| (Self::Routing(header), rest))
            }
            IpProtocol::IPV6_FRAGMENT => Ipv6FragmentHeader::parse(bytes)
                .map(|(header, rest)| (Self::Fragment(header), rest)),
            IpProtocol::AH => Authentication::parse(bytes)
                .map(|(header, rest)| (Self::Authentication(header), rest)),
            IpProtocol::IPV6_DESTINATION => Ipv6OptionsHeader::parse(bytes)
                .map(|(header, rest)| (Self::Destination(header), rest)),
            _ => return None,
        })
    }

    /// Which of them it is.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> IpProtocol {
        match self {
            Self::HopByHop(_) => IpProtocol::IPV6_HOP_BY_HOP,
            Self::Routing(_) => IpProtocol::IPV6_ROUTING,
            Self::Fragment(_) => IpProtocol::IPV6_FRAGMENT,
            Self::Authentication(_) => IpProtocol::AH,
            Self::Destination(_) => IpProtocol::IPV6_DESTINATION,
        }
    }

    /// What follows it.
    #[inline]
    #[must_use]
    pub fn next_header(&self) -> IpProtocol {
        match self {
            Self::HopByHop(header) | Self::Destination(header) => header.next_header(),
            Self::Routing(header) => header.next_header(),
            Self::Fragment(header) => header.next_header(),
            Self::Authentication(header) => header.next_header(),
        }
    }

    /// Its length in bytes.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        match self {
            Self::HopByHop(header) | Self::Destination(header) => header.header_len(),
            Self::Routing(header) => header.header_len(),
            Self::Fragment(_) => Ipv6FragmentHeader::LEN,
            Self::Authentication(header) => header.header_len(),
        }
    }

    /// Whether only a piece of data follows: a fragment other than the first.
    #[inline]
    fn is_later_fragment(&self) -> bool {
        matches!(self, Self::Fragment(header) if header.fragment_offset() != 0)
    }
}

impl fmt::Display for Ipv6Extension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HopByHop(header) => write!(f, "IPv6 hop-by-hop {}", header.contents()),
            Self::Routing(header) => header.fmt(f),
            Self::Fragment(header) => header.fmt(f),
            Self::Authentication(header) => header.fmt(f),
            Self::Destination(header) => write!(f, "IPv6 destination {}", header.contents()),
        }
    }
}

/// The extension headers of an IPv6 packet in their order; [`Ipv6::extensions`] gives it.
///
/// It ends with the first header that is no extension header, behind the header of a later fragment, or after the first
/// error. [`protocol`](Self::protocol) and [`offset`](Self::offset) then say what is there: the same as
/// [`Ipv6::upper_layer`], which fails where this does.
///
/// ```
/// use fluxcap::proto::{IpProtocol, Ipv6, Ipv6Extension, ParseError};
///
/// let mut packet = [0; 40 + 8 + 8];
/// packet[0] = 0x60;
/// packet[5] = 16; // payload length
/// packet[6] = 60; // destination options
/// packet[40..48].copy_from_slice(&[17, 0, 1, 4, 0, 0, 0, 0]); // UDP is next; padding
/// let (ip, payload) = Ipv6::parse(&packet)?;
/// let mut extensions = ip.extensions(payload);
/// while let Some(extension) = extensions.next() {
///     if let Ipv6Extension::Destination(header) = extension? {
///         assert_eq!(header.options().count(), 1);
///     }
/// }
/// assert_eq!((extensions.protocol(), extensions.offset()), (IpProtocol::UDP, 8));
/// # Ok::<(), ParseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ipv6Extensions<'a> {
    /// What is left to read.
    rest: &'a [u8],
    /// Length of the whole payload.
    end: usize,
    /// What `rest` starts with.
    protocol: IpProtocol,
    /// How many headers may yet follow.
    left: usize,
    /// Length of the header that was read last.
    last_len: usize,
    is_done: bool,
}

impl<'a> Ipv6Extensions<'a> {
    /// Of a payload that starts with `protocol`.
    #[inline]
    pub(super) const fn new(protocol: IpProtocol, payload: &'a [u8]) -> Self {
        Self {
            rest: payload,
            end: payload.len(),
            protocol,
            left: Ipv6::MAX_EXTENSION_HEADERS,
            last_len: 0,
            is_done: false,
        }
    }

    /// What is at [`offset`](Self::offset): behind the last extension header the upper layer, or, in a later fragment, what
    /// the piece of data there is a piece of.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> IpProtocol {
        self.protocol
    }

    /// How far the headers given so far reach, in bytes from the start of the payload.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.end.wrapping_sub(self.rest.len())
    }

    /// What is left of the payload, from [`offset`](Self::offset) on.
    #[inline]
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    fn too_many(&self) -> ParseError {
        let place = ("IPv6 extension", "next header of the eighth", 0);
        let last = self.offset().wrapping_sub(self.last_len);
        ParseError::malformed(place, self.protocol.0.into()).at(last)
    }
}

impl<'a> Iterator for Ipv6Extensions<'a> {
    type Item = Result<Ipv6Extension<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        // Until it is known that another header may follow.
        self.is_done = true;
        let (extension, rest) = match Ipv6Extension::parse(self.protocol, self.rest)? {
            _ if self.left == 0 => return Some(Err(self.too_many())),
            Ok(parsed) => parsed,
            Err(error) => return Some(Err(error.at(self.offset()))),
        };
        self.left = self.left.wrapping_sub(1);
        self.last_len = self.rest.len().wrapping_sub(rest.len());
        self.rest = rest;
        self.protocol = extension.next_header();
        self.is_done = extension.is_later_fragment();
        Some(Ok(extension))
    }
}

impl FusedIterator for Ipv6Extensions<'_> {}

/// Length of the header at the start of `bytes`, in bytes: all kinds but fragment and authentication say it alike.
#[inline]
pub(super) fn header_len(protocol: &'static str, bytes: &[u8]) -> Result<usize, ParseError> {
    // No extension header is shorter.
    let Some(&[_, units, ..]) = bytes.first_chunk::<8>() else {
        return Err(ParseError::truncated(
            (protocol, "header", 0),
            8,
            bytes.len(),
        ));
    };
    let header_len = (usize::from(units) + 1) * 8;
    if header_len > bytes.len() {
        let place = (protocol, "length", 1);
        return Err(ParseError::truncated(place, header_len, bytes.len()));
    }
    Ok(header_len)
}

#[cfg(test)]
mod tests;
