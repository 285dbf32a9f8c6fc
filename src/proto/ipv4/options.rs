//! Options of the Internet Protocol version 4 (RFC 791, section 3.1).

#![forbid(unsafe_code)]

use std::fmt;
use std::iter::FusedIterator;
use std::net::Ipv4Addr;

use zerocopy::network_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

use crate::proto::tlv::{self, Found, Tlv, Walk};
use crate::proto::{Ipv4, ParseError};

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMPS: u8 = 68;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

/// The most bytes that a header has for options.
const MAX_LEN: usize = 40;

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
    /// address. Given as it stands, however wrong. Larger than the option: all are done.
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
    /// Given as it stands, however wrong. Larger than the option: all are full.
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
        if tlv::total_len(options) > room.len().min(MAX_LEN) {
            return false;
        }
        let Some(rest) = tlv::write(options, room) else {
            return false;
        };
        rest.fill(END);
        true
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
pub struct Ipv4Options<'a>(Walk<'a>);

impl<'a> Ipv4Options<'a> {
    /// Of all the bytes behind the fixed part of the header.
    #[inline]
    pub(in crate::proto) const fn new(options: &'a [u8]) -> Self {
        Self(Walk::new(Ipv4::LEN, options))
    }

    /// The last address of the first source route that has an address yet to be reached.
    #[cold]
    pub(in crate::proto) fn final_destination(mut self) -> Option<Ipv4Addr> {
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
    /// The last station of the packet: the destination, or the last address of a source route that is not yet done (RFC 791,
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

    /// Whether an option says that the packet has yet to pass other stations: then the destination is the next of them, and TCP and
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
    fn read(walk: &Walk<'a>) -> Result<(Self, &'a [u8]), ParseError> {
        match walk.rest() {
            [] | [END, ..] => return Ok((Self::EndOfList, &[])),
            [NO_OPERATION, behind @ ..] => return Ok((Self::NoOperation, behind)),
            _ => {}
        }
        // Kind and length themselves count.
        let data_len = |length| usize::from(length).checked_sub(2);
        let Found {
            kind,
            data,
            behind,
            wrong,
        } = walk.split("IPv4", data_len)?;
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

impl<'a> Iterator for Ipv4Options<'a> {
    type Item = Result<Ipv4Option<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(Ipv4Option::read)
    }
}

impl FusedIterator for Ipv4Options<'_> {}

#[cfg(test)]
mod tests;
