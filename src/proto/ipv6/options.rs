//! IPv6 hop-by-hop and destination options (RFC 8200, sections 4.2, 4.3 and 4.6).

#![forbid(unsafe_code)]

use std::fmt;
use std::iter::FusedIterator;
use std::net::Ipv6Addr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::extension;
use crate::proto::tlv::{self, Found, Tlv, Walk};
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
        Ipv6Options(Walk::new(HEAD, &self.options))
    }

    /// The first home address among the options (RFC 6275, section 6.3); none behind an option that is malformed.
    #[must_use]
    pub fn home_address(&self) -> Option<Ipv6Addr> {
        self.options().find_map(|option| match option {
            Ok(Ipv6Option::HomeAddress(address)) => Some(address),
            _ => None,
        })
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
        let used = tlv::total_len(options).saturating_add(HEAD);
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
        if tlv::total_len(options) > room.len() || !options.iter().all(is_short) {
            return false;
        }
        let Some(rest) = tlv::write(options, room) else {
            return false;
        };
        pad(rest);
        true
    }
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

impl Tlv for Ipv6Option<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.wire_len()
    }

    fn write(&self, bytes: &mut [u8]) -> Option<()> {
        let [kind, rest @ ..] = bytes else {
            return None;
        };
        *kind = self.kind();
        let [length, data @ ..] = rest else {
            return matches!(self, Self::Pad1).then_some(());
        };
        *length = u8::try_from(data.len()).ok()?;
        match *self {
            Self::Pad1 => None,
            Self::TunnelEncapsulationLimit(limit) => [limit].write_to(data).ok(),
            Self::RouterAlert(value) => value.to_be_bytes().write_to(data).ok(),
            Self::JumboPayload(length) => length.to_be_bytes().write_to(data).ok(),
            Self::HomeAddress(address) => address.octets().write_to(data).ok(),
            Self::PadN(from) | Self::Other { data: from, .. } => from.write_to(data).ok(),
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
pub struct Ipv6Options<'a>(Walk<'a>);

impl<'a> Ipv6Option<'a> {
    /// The next option and what is behind it.
    #[inline]
    fn read(walk: &Walk<'a>) -> Result<(Self, &'a [u8]), ParseError> {
        if let [PAD_1, behind @ ..] = walk.rest() {
            return Ok((Self::Pad1, behind));
        }
        // The length is that of the data: even one of 0 gets two bytes on.
        let data_len = |length| Some(usize::from(length));
        let Found {
            kind,
            data,
            behind,
            wrong,
        } = walk.split("IPv6 options", data_len)?;
        let option = match (kind, data) {
            (PAD_N, _) => Self::PadN(data),
            (TUNNEL_ENCAPSULATION_LIMIT, &[limit]) => Self::TunnelEncapsulationLimit(limit),
            (ROUTER_ALERT, &[a, b]) => Self::RouterAlert(u16::from_be_bytes([a, b])),
            (JUMBO_PAYLOAD, &[a, b, c, d]) => Self::JumboPayload(u32::from_be_bytes([a, b, c, d])),
            (HOME_ADDRESS, _) => {
                Self::HomeAddress(<[u8; 16]>::read_from_bytes(data).map_err(|_| wrong)?.into())
            }
            (TUNNEL_ENCAPSULATION_LIMIT | ROUTER_ALERT | JUMBO_PAYLOAD, _) => return Err(wrong),
            _ => Self::Other { kind, data },
        };
        Ok((option, behind))
    }
}

impl<'a> Iterator for Ipv6Options<'a> {
    type Item = Result<Ipv6Option<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(Ipv6Option::read)
    }
}

impl FusedIterator for Ipv6Options<'_> {}

#[cfg(test)]
mod tests;
