//! IPv6 hop-by-hop and destination options (RFC 8200, sections 4.2, 4.3 and 4.6).

#![forbid(unsafe_code)]

use std::fmt;
use std::net::Ipv6Addr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::fields::fields;
use crate::proto::tlv::{self, RawOption, Reader, Tlv};
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
        let options_len = header_len("IPv6 options", bytes)?.wrapping_sub(HEAD);
        Self::ref_from_prefix_with_elems(bytes, options_len)
            .map_err(|_| Self::truncated(bytes.len()))
    }

    /// Like [`Ipv6OptionsHeader::parse`], to change the header in place.
    ///
    /// # Errors
    ///
    /// As [`Ipv6OptionsHeader::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let options_len = header_len("IPv6 options", bytes)?.wrapping_sub(HEAD);
        let too_short = Self::truncated(bytes.len());
        Self::mut_from_prefix_with_elems(bytes, options_len).map_err(|_| too_short)
    }
}

fields!(Ipv6OptionsHeader:
    /// What follows this header.
    next_header() -> IpProtocol;
    /// Sets what follows this header.
    set_next_header(next_header: IpProtocol);
);

impl Ipv6OptionsHeader {
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
        Ipv6Options(Reader::new(HEAD, &self.options))
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

    const fn truncated(available: usize) -> ParseError {
        let place = ("IPv6 options", "header", 0);
        ParseError::truncated(place, Self::LEN, available)
    }
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
    /// Type 0xc9: home address of a mobile node (RFC 6275).
    HomeAddress(Ipv6Addr),
    /// Any other.
    Other {
        /// What it is (IANA's list of destination and hop-by-hop options). The upper two bits say what a node does that
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
pub struct Ipv6Options<'a>(Reader<'a>);

impl<'a> Ipv6Option<'a> {
    /// The next option and what is behind it.
    #[inline]
    fn read(reader: &Reader<'a>) -> Result<(Self, &'a [u8]), ParseError> {
        if let [PAD_1, behind @ ..] = reader.rest() {
            return Ok((Self::Pad1, behind));
        }
        // The length is that of the data: even one of 0 gets two bytes on.
        let data_len = |length| Some(usize::from(length));
        let RawOption {
            kind,
            data,
            behind,
            wrong,
        } = reader.split("IPv6 options", data_len)?;
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

tlv::options_iterator!(Ipv6Options, Ipv6Option);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::samples::Random;

    /// A report of multicast listener discovery.
    const LISTENER: [u8; 10] = [
        0x3a, 0x00, // ICMPv6, 8 bytes
        0x05, 0x02, 0x00, 0x00, // router alert
        0x01, 0x00, // two bytes of padding
        0x8f, 0x00, // first bytes of the payload
    ];

    /// A mobile station, a jumbogram, and an option that nobody knows.
    const MANY: [u8; 40] = [
        0x11, 0x04, // UDP, 40 bytes
        0x01, 0x02, 0x00, 0x00, // four bytes of padding
        0xc9, 0x10, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        1, // home address
        0x04, 0x01, 0x08, // tunnel limit
        0x00, // a byte of padding
        0xc2, 0x04, 0x00, 0x01, 0x00, 0x00, // jumbo payload
        0x1e, 0x03, 0xca, 0xfe, 0x42, // an experiment
        0x00, // a byte of padding
    ];

    fn both_refuse(bytes: &[u8], error: ParseError) {
        assert_eq!(Ipv6OptionsHeader::parse(bytes), Err(error));
        assert_eq!(
            Ipv6OptionsHeader::parse_mut(&mut bytes.to_vec()),
            Err(error)
        );
    }

    fn options(bytes: &[u8]) -> Ipv6Options<'_> {
        Ipv6OptionsHeader::parse(bytes).unwrap().0.options()
    }

    /// A header with these options, of which the number and 2 is a multiple of 8.
    fn header(options: &[u8]) -> Vec<u8> {
        let units = u8::try_from((options.len() + 2) / 8 - 1).unwrap();
        [&[17, units], options].concat()
    }

    #[test]
    fn a_header_shows_its_fields_and_payload() {
        let (header, payload) = Ipv6OptionsHeader::parse(&LISTENER).unwrap();
        assert_eq!(header.header_len(), 8);
        assert_eq!(header.next_header(), IpProtocol::ICMPV6);
        assert_eq!(header.options_bytes(), &LISTENER[2..8]);
        assert_eq!(payload, [0x8f, 0x00]);
        let expected = [Ipv6Option::RouterAlert(0), Ipv6Option::PadN(&[])];
        assert!(header.options().eq(expected.map(Ok)));
        assert_eq!(header.to_string(), "IPv6 options router alert 0");
    }

    #[test]
    fn options_come_typed_in_their_order() {
        let home = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        let expected = [
            Ipv6Option::PadN(&[0, 0]),
            Ipv6Option::HomeAddress(home),
            Ipv6Option::TunnelEncapsulationLimit(8),
            Ipv6Option::Pad1,
            Ipv6Option::JumboPayload(0x1_0000),
            Ipv6Option::Other {
                kind: 0x1e,
                data: &[0xca, 0xfe, 0x42],
            },
            Ipv6Option::Pad1,
        ];
        assert!(options(&MANY).eq(expected.map(Ok)));
        assert_eq!(expected[0].to_string(), "padding 4");
        assert_eq!(expected[3].to_string(), "padding 1");
        let (header, payload) = Ipv6OptionsHeader::parse(&MANY).unwrap();
        assert!(payload.is_empty());
        assert_eq!(
            header.to_string(),
            "IPv6 options home address 2001:db8::1, tunnel limit 8, jumbo payload 65536, type 0x1e length 3"
        );
    }

    #[test]
    fn a_truncated_header_names_what_is_missing() {
        for available in 0..MANY.len() {
            let (field, at, needed) = match available {
                0..8 => ("header", 0, 8),
                _ => ("length", 1, 40),
            };
            let error = ParseError::truncated(("IPv6 options", field, at), needed, available);
            both_refuse(&MANY[..available], error);
        }
    }

    #[test]
    fn an_option_that_ends_behind_the_header_is_named_and_the_last() {
        for (bytes, offset, needed) in [
            ([0, 0, 0, 0, 0, 1], 8, 9),
            ([0, 0, 0, 0, 1, 1], 7, 9),
            ([5, 2, 0, 0, 4, 1], 7, 9),
            ([5, 5, 0, 0, 0, 0], 3, 9),
            ([0x1e, 255, 0, 0, 0, 0], 3, 259),
        ] {
            let bytes = header(&bytes);
            let mut options = options(&bytes);
            let last = options.by_ref().find_map(Result::err);
            let place = ("IPv6 options", "option length", offset);
            assert_eq!(last, Some(ParseError::truncated(place, needed, 8)));
            assert_eq!(options.next(), None);
        }
    }

    #[test]
    fn options_without_data_never_loop() {
        let bytes = header(&[0x1e, 0].repeat(7));
        let empty = Ipv6Option::Other {
            kind: 0x1e,
            data: &[],
        };
        assert!(options(&bytes).eq([Ok(empty); 7]));
        assert_eq!(options(&header(&[0; 2046])).count(), 2046);
    }

    #[test]
    fn a_length_that_its_type_cannot_have_is_refused() {
        for (kind, right) in [(4, 1), (5, 2), (0xc2, 4), (0xc9, 16)] {
            for len in 0..=44 {
                let mut bytes = [0; 46];
                bytes[..2].copy_from_slice(&[kind, len]);
                let header = header(&bytes);
                let first = options(&header).next().unwrap();
                if len == right {
                    let option = first.unwrap();
                    let wire_len = usize::from(len) + 2;
                    assert_eq!((option.kind(), option.wire_len()), (kind, wire_len));
                } else {
                    let place = ("IPv6 options", "option length", 3);
                    assert_eq!(first, Err(ParseError::malformed(place, len.into())));
                }
            }
        }
    }

    #[test]
    fn any_bytes_give_options_that_are_written_as_they_stood() {
        let kinds = [0, 1, 4, 5, 0xc2, 0xc9, 0x1e, 0x3e];
        let mut random = Random(7);
        for _ in 0..50_000 {
            let len = 6 + 8 * random.below(8);
            let mut bytes = random.bytes(len);
            for byte in &mut bytes {
                match random.below(4) {
                    0 => *byte = kinds[random.below(8)],
                    1 | 2 => *byte %= 5, // a length
                    _ => {}
                }
            }
            let header = header(&bytes);
            let all: Vec<_> = options(&header).collect();
            let good: Vec<_> = all.iter().copied().map_while(Result::ok).collect();
            assert!(good.len() + 1 >= all.len(), "nothing comes after an error");
            let used: usize = good.iter().map(Ipv6Option::wire_len).sum();
            let mut written = vec![0xee; len];
            assert!(Ipv6Option::write_all(&good, &mut written));
            assert_eq!(written[..used], bytes[..used]);
        }
    }

    #[test]
    fn what_is_left_of_a_header_is_padding() {
        for len in 0..=2046 {
            let mut room = vec![0xee; len];
            assert!(Ipv6Option::write_all(&[], &mut room));
            let padding = Ipv6Options(Reader::new(HEAD, &room));
            let mut sum = 0;
            for option in padding {
                let option = option.unwrap();
                match option {
                    Ipv6Option::Pad1 => {}
                    Ipv6Option::PadN(data) => assert!(data.iter().all(|&byte| byte == 0)),
                    other => panic!("{other}"),
                }
                sum += option.wire_len();
            }
            assert_eq!(sum, len);
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let alert = Ipv6Option::RouterAlert(0);
        assert_eq!(Ipv6Option::total_len(&[]), 6);
        assert_eq!(Ipv6Option::total_len(&[alert]), 6);
        assert_eq!(Ipv6Option::total_len(&[alert, alert]), 14);
        for room in 0..4 {
            let mut bytes = [0xee; 4];
            assert!(!Ipv6Option::write_all(&[alert], &mut bytes[..room]));
            assert_eq!(bytes, [0xee; 4]);
        }
        let mut bytes = [0xee; 600];
        let data = &[7; 256];
        let other = Ipv6Option::Other { kind: 0x1e, data };
        assert!(!Ipv6Option::write_all(&[alert, other], &mut bytes));
        assert_eq!(bytes, [0xee; 600]);
        let data = &[7; 255];
        let other = Ipv6Option::Other { kind: 0x1e, data };
        assert!(Ipv6Option::write_all(&[alert, other], &mut bytes));
    }

    #[test]
    fn setters_write_the_header_itself() {
        let mut bytes = [0; 10];
        let (header, payload) = Ipv6OptionsHeader::parse_mut(&mut bytes).unwrap();
        header.set_next_header(IpProtocol::ICMPV6);
        let options = [Ipv6Option::RouterAlert(0)];
        assert!(Ipv6Option::write_all(&options, header.options_mut()));
        payload.copy_from_slice(&LISTENER[8..]);
        assert_eq!(bytes, LISTENER);
    }
}
