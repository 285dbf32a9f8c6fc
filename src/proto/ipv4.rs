//! Internet Protocol version 4 (RFC 791): the header and its options.

#![forbid(unsafe_code)]

use std::fmt;
use std::net::Ipv4Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::checksum::{self, PseudoHeader};
use crate::proto::fields::fields;
use crate::proto::tlv::{self, RawOption, Reader, Tlv};
use crate::proto::{IpProtocol, ParseError};

/// IPv4 header with its options (RFC 791, section 3.1).
///
/// ```text
/// byte   0  version, header length    4 + 4 bits   header length in 32-bit words
///        1  DSCP, ECN                 6 + 2 bits   RFC 2474, RFC 3168
///        2  total length              2            header and payload
///        4  identification            2
///        6  flags, fragment offset    3 + 13 bits  offset in units of 8 bytes
///        8  time to live              1
///        9  protocol                  1
///       10  header checksum           2            over header and options
///       12  source                    4
///       16  destination               4
///       20  options                   0 to 40      multiple of 4
/// ```
///
/// The view spans the whole header, so the checksum methods need nothing else.
#[derive(Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Ipv4 {
    version_and_header_len: u8,
    dscp_and_ecn: u8,
    total_length: U16,
    identification: U16,
    flags_and_offset: U16,
    ttl: u8,
    protocol: u8,
    header_checksum: U16,
    source: [u8; 4],
    destination: [u8; 4],
    options: [u8],
}

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

impl Ipv4 {
    /// Length of the header without options, in bytes.
    pub const LEN: usize = 20;

    /// The header at the start of `bytes`, options included, and the packet's payload.
    ///
    /// The payload ends where `total_length` says: Ethernet padding after it is left out.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if the header or the packet is longer than `bytes`,
    /// [`Fault::Malformed`](crate::proto::Fault) if the version is not 4, or the header length is below 20 bytes
    /// or above the total length.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        let layout = Layout::read(bytes)?;
        let too_short = too_long("total length", 2, layout.total_len, bytes.len());
        let packet = bytes.get(..layout.total_len).ok_or(too_short)?;
        Self::ref_from_prefix_with_elems(packet, layout.options_len).map_err(|_| too_short)
    }

    /// Like [`Ipv4::parse`], to change the packet in place.
    ///
    /// # Errors
    ///
    /// As [`Ipv4::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let layout = Layout::read(bytes)?;
        let too_short = too_long("total length", 2, layout.total_len, bytes.len());
        let packet = bytes.get_mut(..layout.total_len).ok_or(too_short)?;
        Self::mut_from_prefix_with_elems(packet, layout.options_len).map_err(|_| too_short)
    }

    /// The header at the start of `bytes`, options included, and what is there of the payload.
    ///
    /// For packets that are cut short: those that ICMP errors quote, or that a capture kept the
    /// start of. The payload ends where `total_length` says, or with `bytes`.
    ///
    /// # Errors
    ///
    /// As [`Ipv4::parse`], but for a packet that is longer than `bytes` while its header is not.
    #[inline]
    pub fn parse_quoted(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        let layout = Layout::read_header(bytes)?;
        let packet = bytes.get(..layout.total_len).unwrap_or(bytes);
        Self::ref_from_prefix_with_elems(packet, layout.options_len)
            .map_err(|_| too_long("IHL", 0, Self::LEN, bytes.len()))
    }

    /// Length of the header with its options, in bytes: 20 to 60.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        header_len(self.version_and_header_len)
    }

    /// Differentiated services code point (RFC 2474), 0 to 63.
    #[inline]
    #[must_use]
    pub fn dscp(&self) -> u8 {
        self.dscp_and_ecn >> 2
    }

    /// Explicit congestion notification (RFC 3168), 0 to 3.
    #[inline]
    #[must_use]
    pub fn ecn(&self) -> u8 {
        self.dscp_and_ecn & 3
    }
}

fields!(Ipv4:
    /// Length of header and payload in bytes.
    total_length() -> u16;
    /// Identification: the same in all fragments of a packet (RFC 6864).
    identification() -> u16;
    /// Time to live: how many more hops the packet may take.
    ttl() -> u8;
    /// What the payload is.
    protocol() -> IpProtocol;
    /// The checksum as it stands in the header.
    header_checksum() -> u16;
    /// Source address.
    source() -> Ipv4Addr;
    /// Destination address.
    destination() -> Ipv4Addr;
    /// Sets the length of header and payload in bytes; at least [`Ipv4::header_len`].
    ///
    /// The payload that parsing gave keeps its length.
    set_total_length(total_length: u16);
    /// Sets the identification.
    set_identification(identification: u16);
    /// Sets the time to live.
    set_ttl(ttl: u8);
    /// Sets what the payload is.
    set_protocol(protocol: IpProtocol);
    /// Sets the checksum field as given.
    set_header_checksum(header_checksum: u16);
    /// Sets the source address. TCP and UDP checksums cover this too.
    set_source(source: Ipv4Addr);
    /// Sets the destination address. TCP and UDP checksums cover this too.
    set_destination(destination: Ipv4Addr);
);

impl Ipv4 {
    /// Whether routers must drop this packet instead of fragmenting it.
    #[inline]
    #[must_use]
    pub fn dont_fragment(&self) -> bool {
        self.flags_and_offset.get() & DONT_FRAGMENT != 0
    }

    /// Whether this is a fragment, but not the last.
    #[inline]
    #[must_use]
    pub fn more_fragments(&self) -> bool {
        self.flags_and_offset.get() & MORE_FRAGMENTS != 0
    }

    /// Fragment offset: where this payload goes in the whole one, in bytes: a multiple of 8.
    #[inline]
    #[must_use]
    pub fn fragment_offset(&self) -> u16 {
        (self.flags_and_offset.get() & OFFSET_MASK) << 3
    }

    /// Whether this is a fragment. All fragments but the first lack the header of
    /// [`Ipv4::protocol`].
    #[inline]
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.flags_and_offset.get() & (MORE_FRAGMENTS | OFFSET_MASK) != 0
    }

    /// The addresses in the header, which the checksums of TCP and UDP cover.
    ///
    /// Not for a packet that [is source-routed](Self::is_source_routed): they cover its last destination, as
    /// [`checksum_addresses`](Self::checksum_addresses) does.
    #[inline]
    #[must_use]
    pub fn pseudo_header(&self) -> PseudoHeader {
        PseudoHeader::ipv4(self.source(), self.destination())
    }

    /// The addresses that the checksums of TCP and UDP cover: source and [final destination](Self::final_destination).
    #[inline]
    #[must_use]
    pub fn checksum_addresses(&self) -> PseudoHeader {
        PseudoHeader::ipv4(self.source(), self.final_destination())
    }

    /// The options one after the other, each checked as it is read.
    #[inline]
    #[must_use]
    pub fn options(&self) -> Ipv4Options<'_> {
        Ipv4Options::new(&self.options)
    }

    /// The options as they stand in the header: 0 to 40 bytes.
    #[inline]
    #[must_use]
    pub fn options_bytes(&self) -> &[u8] {
        &self.options
    }

    /// Sets the differentiated services code point, of which the lower 6 bits count.
    #[inline]
    pub fn set_dscp(&mut self, dscp: u8) {
        self.dscp_and_ecn = dscp << 2 | self.dscp_and_ecn & 3;
    }

    /// Sets the explicit congestion notification, of which the lower 2 bits count.
    #[inline]
    pub fn set_ecn(&mut self, ecn: u8) {
        self.dscp_and_ecn = self.dscp_and_ecn & !3 | ecn & 3;
    }

    /// Sets whether routers must drop this packet instead of fragmenting it.
    #[inline]
    pub fn set_dont_fragment(&mut self, dont_fragment: bool) {
        self.set_flag(DONT_FRAGMENT, dont_fragment);
    }

    /// Sets whether this is a fragment, but not the last.
    #[inline]
    pub fn set_more_fragments(&mut self, more_fragments: bool) {
        self.set_flag(MORE_FRAGMENTS, more_fragments);
    }

    #[inline]
    fn set_flag(&mut self, flag: u16, is_set: bool) {
        let rest = self.flags_and_offset.get() & !flag;
        self.flags_and_offset
            .set(rest | if is_set { flag } else { 0 });
    }

    /// Sets the fragment offset in bytes: a multiple of 8, to which it is rounded down.
    #[inline]
    pub fn set_fragment_offset(&mut self, offset: u16) {
        let rest = self.flags_and_offset.get() & !OFFSET_MASK;
        self.flags_and_offset.set(rest | offset >> 3);
    }

    /// The options, to change them in place; their length stays. [`Ipv4Option::write_all`] fills it.
    #[inline]
    #[must_use]
    pub fn options_mut(&mut self) -> &mut [u8] {
        &mut self.options
    }

    /// Exchanges source and destination, to answer. No checksum changes by that.
    #[inline]
    pub fn swap_addresses(&mut self) {
        std::mem::swap(&mut self.source, &mut self.destination);
    }

    /// Takes one hop off the time to live and adjusts the checksum (RFC 1624).
    ///
    /// Gives `false`, and changes nothing, if no hop is left: a router must then drop the packet
    /// (RFC 1812, section 5.3.1).
    #[inline]
    #[must_use = "a packet without hops left must not be forwarded"]
    pub fn decrement_ttl(&mut self) -> bool {
        if self.ttl <= 1 {
            return false;
        }
        let old = u16::from_be_bytes([self.ttl, self.protocol]);
        self.ttl = self.ttl.wrapping_sub(1);
        let new = u16::from_be_bytes([self.ttl, self.protocol]);
        self.set_header_checksum(checksum::update(self.header_checksum(), old, new));
        true
    }

    /// Whether the header checksum is right.
    #[inline]
    #[must_use]
    pub fn verify_checksum(&self) -> bool {
        checksum::is_valid(self.as_bytes())
    }

    /// Sets the header checksum. After a change of a few words, [`checksum::update`] is shorter.
    #[inline]
    pub fn fill_checksum(&mut self) {
        self.header_checksum.set(0);
        self.set_header_checksum(checksum::checksum(self.as_bytes()));
    }
}

/// Where header and packet end.
struct Layout {
    options_len: usize,
    total_len: usize,
}

impl Layout {
    #[inline]
    fn read(bytes: &[u8]) -> Result<Self, ParseError> {
        let layout = Self::read_header(bytes)?;
        if layout.total_len > bytes.len() {
            return Err(too_long("total length", 2, layout.total_len, bytes.len()));
        }
        Ok(layout)
    }

    /// Of a packet of which the payload may not be there.
    #[inline]
    fn read_header(bytes: &[u8]) -> Result<Self, ParseError> {
        let available = bytes.len();
        let Some(&[first, _, high, low, ..]) = bytes.first_chunk::<{ Ipv4::LEN }>() else {
            return Err(too_long("header", 0, Ipv4::LEN, available));
        };
        if first >> 4 != 4 {
            return Err(malformed("version", 0, (first >> 4).into()));
        }
        let header_len = header_len(first);
        let Some(options_len) = header_len.checked_sub(Ipv4::LEN) else {
            return Err(malformed("IHL", 0, (first & 0xf).into()));
        };
        if header_len > available {
            return Err(too_long("IHL", 0, header_len, available));
        }
        let total_length = u16::from_be_bytes([high, low]);
        let total_len = usize::from(total_length);
        if total_len < header_len {
            return Err(malformed("total length", 2, total_length.into()));
        }
        Ok(Self {
            options_len,
            total_len,
        })
    }
}

#[inline]
const fn header_len(version_and_header_len: u8) -> usize {
    (version_and_header_len & 0xf) as usize * 4
}

const fn too_long(
    field: &'static str,
    offset: usize,
    needed: usize,
    available: usize,
) -> ParseError {
    ParseError::truncated(("IPv4", field, offset), needed, available)
}

const fn malformed(field: &'static str, offset: usize, value: u32) -> ParseError {
    ParseError::malformed(("IPv4", field, offset), value)
}

impl fmt::Display for Ipv4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (self.source(), self.destination());
        let (protocol, ttl, length) = (self.protocol(), self.ttl, self.total_length);
        write!(
            f,
            "IPv4 {source} > {destination} {protocol} ttl {ttl} length {length}"
        )?;
        if self.is_fragment() {
            write!(f, " fragment at {}", self.fragment_offset())?;
        }
        Ok(())
    }
}

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMPS: u8 = 68;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

/// The most bytes that a header has for options.
const MAX_OPTIONS_LEN: usize = 40;

/// One option of an IPv4 packet; [`Ipv4::options`] gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ipv4Option<'a> {
    /// Type 0: the options end here, all behind is padding.
    EndOfList,
    /// Type 1: one byte that aligns the next option.
    NoOperation,
    /// Type 7: routers write down that the packet passed them.
    RecordRoute(Ipv4Route<'a>),
    /// Type 131: the packet passes these routers, and others between them.
    LooseSourceRoute(Ipv4Route<'a>),
    /// Type 137: the packet passes these routers and no others.
    StrictSourceRoute(Ipv4Route<'a>),
    /// Type 68: routers write down when the packet passed them.
    Timestamps(Ipv4Timestamps<'a>),
    /// Type 148: every router looks at the packet, if this is 0 (RFC 2113).
    RouterAlert(u16),
    /// Any other.
    Other {
        /// What it is (IANA's list of IP option numbers).
        kind: u8,
        /// What is behind type and length.
        data: &'a [u8],
    },
}

/// The routers of an option that records or prescribes a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Route<'a> {
    /// Which address is next, counted in bytes from the start of the option, that of its type being 1: 4 is the first
    /// address. Given as it stands, even if invalid. Larger than the option: all are done.
    pub pointer: u8,
    /// The addresses, as on the wire.
    pub slots: &'a [[u8; 4]],
}

impl<'a> Ipv4Route<'a> {
    /// All addresses, those done and those to come.
    #[inline]
    pub fn addresses(self) -> impl ExactSizeIterator<Item = Ipv4Addr> + 'a {
        self.slots.iter().map(|&slot| slot.into())
    }

    /// How many of the addresses the packet has passed or recorded: those in front of the pointer.
    #[inline]
    #[must_use]
    pub fn done(self) -> usize {
        (usize::from(self.pointer).saturating_sub(4) / 4).min(self.slots.len())
    }
}

/// When, and maybe where, a packet passed its routers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Timestamps<'a> {
    /// Which slot is next, counted in bytes from the start of the option, that of its type being 1: 5 is the first slot.
    /// Given as it stands, even if invalid. Larger than the option: all are full.
    pub pointer: u8,
    /// How many routers found no slot, 0 to 15.
    pub overflow: u8,
    /// What the slots hold, 0 to 15: timestamps (0), address and timestamp (1), or that with addresses chosen by the sender (3).
    pub flag: u8,
    /// The slots, as on the wire: a timestamp is milliseconds since midnight UT, or anything if its highest bit is set.
    pub words: &'a [U32],
}

impl<'a> Ipv4Timestamps<'a> {
    /// The slots one after the other, full or not: address, if there are addresses, and timestamp.
    #[inline]
    pub fn slots(self) -> impl Iterator<Item = (Option<Ipv4Addr>, u32)> + 'a {
        let each = if self.has_addresses() { 2 } else { 1 };
        self.words
            .chunks_exact(each)
            .filter_map(|slot| match *slot {
                [address, timestamp] => {
                    Some((Some(Ipv4Addr::from(address.get())), timestamp.get()))
                }
                [timestamp] => Some((None, timestamp.get())),
                _ => None,
            })
    }

    const fn has_addresses(self) -> bool {
        matches!(self.flag, 1 | 3)
    }
}

impl Ipv4Option<'_> {
    /// Which type it is, as on the wire.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match *self {
            Self::EndOfList => END,
            Self::NoOperation => NO_OPERATION,
            Self::RecordRoute(_) => RECORD_ROUTE,
            Self::LooseSourceRoute(_) => LOOSE_SOURCE_ROUTE,
            Self::StrictSourceRoute(_) => STRICT_SOURCE_ROUTE,
            Self::Timestamps(_) => TIMESTAMPS,
            Self::RouterAlert(_) => ROUTER_ALERT,
            Self::Other { kind, .. } => kind,
        }
    }

    /// Whether each fragment of a packet gets this option, not only the first.
    #[inline]
    #[must_use]
    pub const fn is_copied(&self) -> bool {
        self.kind() & 0x80 != 0
    }

    /// How many bytes it takes in a header.
    #[inline]
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        match *self {
            Self::EndOfList | Self::NoOperation => 1,
            Self::RecordRoute(route)
            | Self::LooseSourceRoute(route)
            | Self::StrictSourceRoute(route) => size_of_val(route.slots).saturating_add(3),
            Self::Timestamps(stamps) => size_of_val(stamps.words).saturating_add(4),
            Self::RouterAlert(_) => 4,
            Self::Other { data, .. } => data.len().saturating_add(2),
        }
    }

    /// How many bytes `options` take in a header together, padding included: a multiple of 4.
    ///
    /// There is room for 40.
    #[inline]
    #[must_use]
    pub fn total_len(options: &[Self]) -> usize {
        tlv::total_len(options).saturating_add(3) & !3
    }

    /// Writes `options` to `room`, one after the other, and fills what is left of it with
    /// [`Ipv4Option::EndOfList`].
    ///
    /// Gives `false`, and changes nothing, if they do not fit or take more than the 40 bytes that
    /// a header has for them.
    ///
    /// ```
    /// use fluxcap::proto::{Ipv4, Ipv4Option};
    ///
    /// let mut packet = [0; 24];
    /// (packet[0], packet[3]) = (0x46, 24); // 24 bytes of header, so 4 of options
    /// let (ip, _) = Ipv4::parse_mut(&mut packet)?;
    /// assert!(Ipv4Option::write_all(&[Ipv4Option::RouterAlert(0)], ip.options_mut()));
    /// assert!(ip.options().eq([Ok(Ipv4Option::RouterAlert(0))]));
    /// # Ok::<(), fluxcap::proto::ParseError>(())
    /// ```
    #[must_use = "what does not fit is not written"]
    pub fn write_all(options: &[Self], room: &mut [u8]) -> bool {
        let available = room.len().min(MAX_OPTIONS_LEN);
        if tlv::total_len(options) > available {
            return false;
        }
        tlv::write(options, room)
            .map(|rest| rest.fill(END))
            .is_some()
    }
}

/// Writes `head` and behind it `tail` to `to`, which has room for just that.
fn write_behind(head: &[u8], tail: &[u8], to: &mut [u8]) -> Option<()> {
    let (start, rest) = to.split_at_mut_checked(head.len())?;
    head.write_to(start).ok()?;
    tail.write_to(rest).ok()
}

impl Tlv for Ipv4Option<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.wire_len()
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most 40")]
    fn write(&self, bytes: &mut [u8]) -> Option<()> {
        let len = bytes.len() as u8;
        let [kind, rest @ ..] = bytes else {
            return None;
        };
        *kind = self.kind();
        let [length, data @ ..] = rest else {
            return (len == 1).then_some(());
        };
        *length = len;
        match *self {
            Self::EndOfList | Self::NoOperation => None,
            Self::RecordRoute(route)
            | Self::LooseSourceRoute(route)
            | Self::StrictSourceRoute(route) => {
                write_behind(&[route.pointer], route.slots.as_bytes(), data)
            }
            Self::Timestamps(stamps) => {
                let head = [stamps.pointer, stamps.overflow << 4 | stamps.flag & 15];
                write_behind(&head, stamps.words.as_bytes(), data)
            }
            Self::RouterAlert(value) => value.to_be_bytes().write_to(data).ok(),
            Self::Other { data: from, .. } => from.write_to(data).ok(),
        }
    }
}

impl fmt::Display for Ipv4Option<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EndOfList => f.pad("end of list"),
            Self::NoOperation => f.pad("no operation"),
            Self::RecordRoute(route) => write!(f, "record route{route}"),
            Self::LooseSourceRoute(route) => write!(f, "loose source route{route}"),
            Self::StrictSourceRoute(route) => write!(f, "strict source route{route}"),
            Self::Timestamps(stamps) => write!(f, "timestamps{stamps}"),
            Self::RouterAlert(value) => write!(f, "router alert {value}"),
            Self::Other { kind, data } => write!(f, "type {kind} length {}", data.len() + 2),
        }
    }
}

/// Each address behind a space, an arrow before the next one.
impl fmt::Display for Ipv4Route<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, address) in self.addresses().enumerate() {
            let arrow = if at == self.done() { ">" } else { "" };
            write!(f, " {arrow}{address}")?;
        }
        Ok(())
    }
}

/// Each slot behind a space, and how many routers found none.
impl fmt::Display for Ipv4Timestamps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (address, timestamp) in self.slots() {
            match address {
                Some(address) => write!(f, " {address}@{timestamp}")?,
                None => write!(f, " {timestamp}")?,
            }
        }
        if self.overflow > 0 {
            write!(f, " overflow {}", self.overflow)?;
        }
        Ok(())
    }
}

/// The options of an IPv4 packet in their order; [`Ipv4::options`] gives it.
///
/// It ends after [`Ipv4Option::EndOfList`], after the first error, or with the header.
#[derive(Debug, Clone)]
pub struct Ipv4Options<'a>(Reader<'a>);

impl<'a> Ipv4Options<'a> {
    /// Of all the bytes behind the fixed part of the header.
    #[inline]
    pub(super) const fn new(options: &'a [u8]) -> Self {
        Self(Reader::new(Ipv4::LEN, options))
    }

    /// The last address of the first source route that has an address yet to be reached.
    #[cold]
    pub(super) fn final_destination(mut self) -> Option<Ipv4Addr> {
        self.find_map(|option| match option {
            Ok(Ipv4Option::LooseSourceRoute(route) | Ipv4Option::StrictSourceRoute(route)) => {
                let (&last, _) = route.slots.split_last()?;
                (route.done() < route.slots.len()).then(|| last.into())
            }
            _ => None,
        })
    }
}

impl Ipv4 {
    /// The final destination of the packet: the destination, or the last address of a source route that is not yet done (RFC 791,
    /// section 3.1).
    #[inline]
    #[must_use]
    pub fn final_destination(&self) -> Ipv4Addr {
        match self.options.is_empty() {
            true => self.destination(),
            false => {
                let last = self.options().final_destination();
                last.unwrap_or_else(|| self.destination())
            }
        }
    }

    /// Whether an option lists nodes that the packet has yet to pass: then the destination is the next of them, and TCP and
    /// UDP checksums cover the last one instead, which is the last address of the option.
    #[inline]
    #[must_use]
    pub fn is_source_routed(&self) -> bool {
        // Few packets have options, and routers drop most that have this one.
        !self.options.is_empty() && self.options().final_destination().is_some()
    }
}

/// `None` unless the addresses are whole.
#[inline]
fn read_route(data: &[u8]) -> Option<Ipv4Route<'_>> {
    let (&pointer, slots) = data.split_first()?;
    let slots = <[[u8; 4]]>::ref_from_bytes(slots).ok()?;
    Some(Ipv4Route { pointer, slots })
}

/// `None` unless the slots are whole.
#[inline]
fn read_timestamps(data: &[u8]) -> Option<Ipv4Timestamps<'_>> {
    let (&[pointer, overflow_and_flag], words) = data.split_first_chunk()?;
    let stamps = Ipv4Timestamps {
        pointer,
        overflow: overflow_and_flag >> 4,
        flag: overflow_and_flag & 15,
        words: <[U32]>::ref_from_bytes(words).ok()?,
    };
    let is_whole = !stamps.has_addresses() || stamps.words.len().is_multiple_of(2);
    is_whole.then_some(stamps)
}

impl<'a> Ipv4Option<'a> {
    /// The next option and what is behind it.
    #[inline]
    fn read(reader: &Reader<'a>) -> Result<(Self, &'a [u8]), ParseError> {
        match reader.rest() {
            [] | [END, ..] => return Ok((Self::EndOfList, &[])),
            [NO_OPERATION, behind @ ..] => return Ok((Self::NoOperation, behind)),
            _ => {}
        }
        // Kind and length themselves count.
        let data_len = |length| usize::from(length).checked_sub(2);
        let RawOption {
            kind,
            data,
            behind,
            wrong,
        } = reader.split("IPv4", data_len)?;
        let option = match kind {
            RECORD_ROUTE => Self::RecordRoute(read_route(data).ok_or(wrong)?),
            LOOSE_SOURCE_ROUTE => Self::LooseSourceRoute(read_route(data).ok_or(wrong)?),
            STRICT_SOURCE_ROUTE => Self::StrictSourceRoute(read_route(data).ok_or(wrong)?),
            TIMESTAMPS => Self::Timestamps(read_timestamps(data).ok_or(wrong)?),
            ROUTER_ALERT => match *data {
                [high, low] => Self::RouterAlert(u16::from_be_bytes([high, low])),
                _ => return Err(wrong),
            },
            _ => Self::Other { kind, data },
        };
        Ok((option, behind))
    }
}

tlv::options_iterator!(Ipv4Options, Ipv4Option);

#[cfg(test)]
mod tests;
