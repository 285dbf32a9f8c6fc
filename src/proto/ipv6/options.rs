//! IPv6 hop-by-hop and destination options (RFC 8200, sections 4.2, 4.3 and 4.6).

#![forbid(unsafe_code)]

use std::fmt;
use std::iter::FusedIterator;
use std::net::Ipv6Addr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::extension;
use crate::proto::{IpProtocol, ParseError};

/// IPv6 hop-by-hop or destination options header (RFC 8200, sections 4.3 and 4.6).
///
/// ```text
/// byte   0  next header  1
///        1  length       1  in units of 8 bytes, without the first
///        2  options      6 and more
/// ```
#[derive(Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Ipv6OptionsHeader {
    next_header: u8,
    length: u8,
    options: [u8],
}

/// What is in front of the options.
const HEAD: usize = 2;

impl Ipv6OptionsHeader {
    /// Length of the shortest header in bytes.
    pub const LEN: usize = 8;

    /// The header at the start of `bytes`, options included, and all that follows it.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if the header is longer than `bytes`.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        let options_len = extension::header_len("IPv6 options", bytes)?.wrapping_sub(HEAD);
        Self::ref_from_prefix_with_elems(bytes, options_len).map_err(|_| truncated(bytes.len()))
    }

    /// Like [`Ipv6OptionsHeader::parse`], to change the header in place.
    ///
    /// # Errors
    ///
    /// As [`Ipv6OptionsHeader::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let options_len = extension::header_len("IPv6 options", bytes)?.wrapping_sub(HEAD);
        let too_short = truncated(bytes.len());
        Self::mut_from_prefix_with_elems(bytes, options_len).map_err(|_| too_short)
    }

    /// What follows this header.
    #[inline]
    #[must_use]
    pub fn next_header(&self) -> IpProtocol {
        IpProtocol(self.next_header)
    }

    /// Length of the header with its options, in bytes: 8 to 2,048, a multiple of 8.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        size_of_val(self)
    }

    /// The options one after the other, padding too, each checked as it is read.
    #[inline]
    #[must_use]
    pub fn options(&self) -> Ipv6Options<'_> {
        Ipv6Options {
            rest: &self.options,
            end: self.header_len(),
        }
    }

    /// The options as they stand in the header: 6 to 2,046 bytes.
    #[inline]
    #[must_use]
    pub fn options_bytes(&self) -> &[u8] {
        &self.options
    }

    /// Sets what follows this header.
    #[inline]
    pub fn set_next_header(&mut self, next_header: IpProtocol) {
        self.next_header = next_header.0;
    }

    /// The options, to change them in place; their length stays. [`Ipv6Option::write_all`] fills it.
    #[inline]
    #[must_use]
    pub fn options_mut(&mut self) -> &mut [u8] {
        &mut self.options
    }

    /// The options but for padding, joined with commas.
    pub(super) fn contents(&self) -> impl fmt::Display + '_ {
        Contents(self)
    }
}

const fn truncated(available: usize) -> ParseError {
    let place = ("IPv6 options", "header", 0);
    ParseError::truncated(place, Ipv6OptionsHeader::LEN, available)
}

impl fmt::Display for Ipv6OptionsHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IPv6 {}", self.contents())
    }
}

struct Contents<'a>(&'a Ipv6OptionsHeader);

impl fmt::Display for Contents<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("options")?;
        let mut separator = " ";
        for option in self.0.options().flatten() {
            if !matches!(option, Ipv6Option::Pad1 | Ipv6Option::PadN(_)) {
                write!(f, "{separator}{option}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

const PAD_1: u8 = 0;
const PAD_N: u8 = 1;
const TUNNEL_ENCAPSULATION_LIMIT: u8 = 0x04;
const ROUTER_ALERT: u8 = 0x05;
const JUMBO_PAYLOAD: u8 = 0xc2;
const HOME_ADDRESS: u8 = 0xc9;

/// One hop-by-hop or destination option of IPv6; [`Ipv6OptionsHeader::options`] gives them.
///
/// Some want to be at a certain place in the header (RFC 8200, section 4.2): the padding in front of them is an option too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ipv6Option<'a> {
    /// Type 0: one byte of padding.
    Pad1,
    /// Type 1: two or more bytes of padding, those behind type and length given, which should be 0.
    PadN(&'a [u8]),
    /// Type 4: how many more tunnels the packet may enter (RFC 2473).
    TunnelEncapsulationLimit(u8),
    /// Type 5: every router looks at the packet (RFC 2711): 0 for multicast listener discovery.
    RouterAlert(u16),
    /// Type 0xc2: length of a packet above 65,535 bytes (RFC 2675).
    JumboPayload(u32),
    /// Type 0xc9: where a mobile station is at home (RFC 6275).
    HomeAddress(Ipv6Addr),
    /// Any other.
    Other {
        /// What it is (IANA's list of destination and hop-by-hop options). The upper two bits say what a station does that
        /// does not know it: 0 to go on, else to drop the packet. The third says that routers may change the data.
        kind: u8,
        /// What is behind type and length.
        data: &'a [u8],
    },
}

impl Ipv6Option<'_> {
    /// Which type it is, as on the wire.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match *self {
            Self::Pad1 => PAD_1,
            Self::PadN(_) => PAD_N,
            Self::TunnelEncapsulationLimit(_) => TUNNEL_ENCAPSULATION_LIMIT,
            Self::RouterAlert(_) => ROUTER_ALERT,
            Self::JumboPayload(_) => JUMBO_PAYLOAD,
            Self::HomeAddress(_) => HOME_ADDRESS,
            Self::Other { kind, .. } => kind,
        }
    }

    /// How many bytes it takes in a header.
    #[inline]
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        match *self {
            Self::Pad1 => 1,
            Self::TunnelEncapsulationLimit(_) => 3,
            Self::RouterAlert(_) => 4,
            Self::JumboPayload(_) => 6,
            Self::HomeAddress(_) => 18,
            Self::PadN(data) | Self::Other { data, .. } => data.len().saturating_add(2),
        }
    }

    /// How many bytes of a header `options` take together, padding included: 6 and more, so that with the two in front of
    /// them it is a multiple of 8.
    #[inline]
    #[must_use]
    pub fn total_len(options: &[Self]) -> usize {
        let used = used(options).saturating_add(HEAD);
        (used.saturating_add(7) & !7).max(Ipv6OptionsHeader::LEN) - HEAD
    }

    /// Writes `options` to `room`, one after the other, and fills what is left of it with padding.
    ///
    /// Gives `false`, and changes nothing, if they do not fit, or if one has more than 255 bytes of data.
    ///
    /// ```
    /// use fluxcap::proto::{Ipv6Option, Ipv6OptionsHeader};
    ///
    /// let mut bytes = [0; 8];
    /// let (header, _) = Ipv6OptionsHeader::parse_mut(&mut bytes)?;
    /// assert!(Ipv6Option::write_all(&[Ipv6Option::RouterAlert(0)], header.options_mut()));
    /// assert_eq!(bytes, [0, 0, 5, 2, 0, 0, 1, 0]); // two bytes of padding
    /// # Ok::<(), fluxcap::proto::ParseError>(())
    /// ```
    #[must_use = "what does not fit is not written"]
    pub fn write_all(options: &[Self], room: &mut [u8]) -> bool {
        let is_short = |option: &Self| option.wire_len() <= HEAD + usize::from(u8::MAX);
        if used(options) > room.len() || !options.iter().all(is_short) {
            return false;
        }
        let mut rest = room;
        for option in options {
            // That all fit was seen just before.
            let Some((bytes, behind)) = rest.split_at_mut_checked(option.wire_len()) else {
                return false;
            };
            if !option.write(bytes) {
                return false;
            }
            rest = behind;
        }
        pad(rest);
        true
    }

    /// Writes it to `bytes`, which are as many as it takes.
    fn write(&self, bytes: &mut [u8]) -> bool {
        let [kind, rest @ ..] = bytes else {
            return false;
        };
        *kind = self.kind();
        let [length, data @ ..] = rest else {
            return matches!(self, Self::Pad1);
        };
        let Ok(len) = u8::try_from(data.len()) else {
            return false;
        };
        *length = len;
        match *self {
            Self::Pad1 => false,
            Self::TunnelEncapsulationLimit(limit) => [limit].write_to(data).is_ok(),
            Self::RouterAlert(value) => value.to_be_bytes().write_to(data).is_ok(),
            Self::JumboPayload(length) => length.to_be_bytes().write_to(data).is_ok(),
            Self::HomeAddress(address) => address.octets().write_to(data).is_ok(),
            Self::PadN(from) | Self::Other { data: from, .. } => from.write_to(data).is_ok(),
        }
    }
}

/// Without padding.
fn used(options: &[Ipv6Option<'_>]) -> usize {
    options.iter().fold(0, |sum: usize, option| {
        sum.saturating_add(option.wire_len())
    })
}

/// Fills `rest` with options that say nothing.
fn pad(rest: &mut [u8]) {
    for part in rest.chunks_mut(HEAD + usize::from(u8::MAX)) {
        part.fill(0);
        if let [kind, length, data @ ..] = part {
            *kind = PAD_N;
            *length = u8::try_from(data.len()).unwrap_or(u8::MAX);
        }
    }
}

impl fmt::Display for Ipv6Option<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Pad1 => f.pad("padding 1"),
            Self::PadN(data) => write!(f, "padding {}", data.len() + 2),
            Self::TunnelEncapsulationLimit(limit) => write!(f, "tunnel limit {limit}"),
            Self::RouterAlert(value) => write!(f, "router alert {value}"),
            Self::JumboPayload(length) => write!(f, "jumbo payload {length}"),
            Self::HomeAddress(address) => write!(f, "home address {address}"),
            Self::Other { kind, data } => write!(f, "type {kind:#04x} length {}", data.len()),
        }
    }
}

/// The options of a header in their order; [`Ipv6OptionsHeader::options`] gives it.
///
/// It ends after the first error, or with the header.
#[derive(Debug, Clone)]
pub struct Ipv6Options<'a> {
    /// What is left to read.
    rest: &'a [u8],
    /// Where it ends, counted from the start of the header.
    end: usize,
}

impl<'a> Ipv6Options<'a> {
    /// The next option and what is behind it.
    #[inline]
    fn read(&self) -> Result<(Ipv6Option<'a>, &'a [u8]), ParseError> {
        let start = self.end.wrapping_sub(self.rest.len());
        let place = ("IPv6 options", "option length", start.wrapping_add(1));
        let data_start = start.wrapping_add(HEAD);
        let (kind, len, behind_head) = match *self.rest {
            [] => return Ok((Ipv6Option::Pad1, &[])),
            [PAD_1, ref behind @ ..] => return Ok((Ipv6Option::Pad1, behind)),
            [_] => return Err(ParseError::truncated(place, data_start, self.end)),
            [kind, len, ref behind @ ..] => (kind, len, behind),
        };
        // The length is that of the data: even one of 0 gets two bytes on.
        let (data, behind) = behind_head.split_at_checked(len.into()).ok_or_else(|| {
            let needed = data_start.wrapping_add(len.into());
            ParseError::truncated(place, needed, self.end)
        })?;
        let option = match (kind, data) {
            (PAD_N, _) => Ipv6Option::PadN(data),
            (TUNNEL_ENCAPSULATION_LIMIT, &[limit]) => Ipv6Option::TunnelEncapsulationLimit(limit),
            (ROUTER_ALERT, &[a, b]) => Ipv6Option::RouterAlert(u16::from_be_bytes([a, b])),
            (JUMBO_PAYLOAD, &[a, b, c, d]) => {
                Ipv6Option::JumboPayload(u32::from_be_bytes([a, b, c, d]))
            }
            (HOME_ADDRESS, _) => match <[u8; 16]>::read_from_bytes(data) {
                Ok(address) => Ipv6Option::HomeAddress(address.into()),
                Err(_) => return Err(ParseError::malformed(place, len.into())),
            },
            (TUNNEL_ENCAPSULATION_LIMIT | ROUTER_ALERT | JUMBO_PAYLOAD, _) => {
                return Err(ParseError::malformed(place, len.into()));
            }
            _ => Ipv6Option::Other { kind, data },
        };
        Ok((option, behind))
    }
}

impl<'a> Iterator for Ipv6Options<'a> {
    type Item = Result<Ipv6Option<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        // Nothing is left behind an error.
        self.rest = read.map_or(&[], |(_, behind)| behind);
        Some(read.map(|(option, _)| option))
    }
}

impl FusedIterator for Ipv6Options<'_> {}

#[cfg(test)]
mod tests;
