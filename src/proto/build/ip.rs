//! Steps for IP: both versions, options and extension headers.

#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

use zerocopy::FromBytes;

use super::layers::{BuildFault, Carried, Kind, Next, Step};
use super::{Failed, FrameBuilder};
use crate::proto::checksum::PseudoHeader;
use crate::proto::{IpProtocol, Ipv4, Ipv4Option, Ipv4Options, Ipv6, Ipv6Fragment, Ipv6Option};

/// An IPv4 header to write (RFC 791), but for what the builder fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Spec {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Time to live: how many hops the packet may take.
    pub ttl: u8,
    /// Differentiated services code point (RFC 2474), 0 to 63.
    pub dscp: u8,
    /// Explicit congestion notification (RFC 3168), 0 to 3.
    pub ecn: u8,
    /// Identification: the same in all fragments of a packet; without meaning where there are none.
    pub identification: u16,
    /// Whether routers must drop this packet instead of fragmenting it.
    pub dont_fragment: bool,
    /// Whether this is a fragment, but not the last.
    pub more_fragments: bool,
    /// Fragment offset in bytes: a multiple of 8.
    pub fragment_offset: u16,
}

impl Ipv4Spec {
    /// A whole packet that must not be fragmented, of 64 hops and all else 0.
    #[inline]
    #[must_use]
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            source,
            destination,
            ttl: 64,
            dscp: 0,
            ecn: 0,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
        }
    }
}

/// What a header that was parsed says, to write one like it.
impl From<&Ipv4> for Ipv4Spec {
    #[inline]
    fn from(ip: &Ipv4) -> Self {
        Self {
            source: ip.source(),
            destination: ip.destination(),
            ttl: ip.ttl(),
            dscp: ip.dscp(),
            ecn: ip.ecn(),
            identification: ip.identification(),
            dont_fragment: ip.dont_fragment(),
            more_fragments: ip.more_fragments(),
            fragment_offset: ip.fragment_offset(),
        }
    }
}

/// An IPv6 header to write (RFC 8200), but for what the builder fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Spec {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address; with a routing header, the next node on the way.
    pub destination: Ipv6Addr,
    /// How many hops the packet may take.
    pub hop_limit: u8,
    /// Differentiated services code point (RFC 2474), 0 to 63.
    pub dscp: u8,
    /// Explicit congestion notification (RFC 3168), 0 to 3.
    pub ecn: u8,
    /// Flow label (RFC 6437), 20 bits; 0 for none.
    pub flow_label: u32,
}

impl Ipv6Spec {
    /// A packet of 64 hops and all else 0.
    #[inline]
    #[must_use]
    pub const fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            source,
            destination,
            hop_limit: 64,
            dscp: 0,
            ecn: 0,
            flow_label: 0,
        }
    }
}

/// What a header that was parsed says, to write one like it.
impl From<&Ipv6> for Ipv6Spec {
    #[inline]
    fn from(ip: &Ipv6) -> Self {
        Self {
            source: ip.source(),
            destination: ip.destination(),
            hop_limit: ip.hop_limit(),
            dscp: ip.dscp(),
            ecn: ip.ecn(),
            flow_label: ip.flow_label(),
        }
    }
}

/// The most bytes of options in an IPv4 or TCP header.
const MOST_OPTIONS: usize = 40;

/// The most bytes of an IPv6 option: its length does not count type and length.
const MOST_IN_IPV6_OPTION: usize = 2 + 255;

/// Length of an IPv4 or TCP header without options.
const WITHOUT_OPTIONS: usize = 20;

impl FrameBuilder<'_> {
    /// An IPv4 header (RFC 791) of 64 hops, "don't fragment" and all else 0: at the start, behind a header with an ether
    /// type, behind an MPLS label, or within another IP packet.
    #[inline(always)]
    pub fn ipv4(self, source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        self.ipv4_with(Ipv4Spec::new(source, destination))
    }

    /// Like [`ipv4`](Self::ipv4), with all fields. Options come by a step of their own.
    ///
    /// Behind the header of a fragment only [`protocol`](Self::protocol) and a piece of data may follow. Values that do
    /// not fit, such as an offset that is no multiple of 8, are an error.
    #[inline(always)]
    pub fn ipv4_with(mut self, spec: Ipv4Spec) -> Self {
        if self.goes_on() {
            let outcome = self.put_ipv4(spec);
            self.settle(outcome);
        }
        self
    }

    #[inline(always)]
    fn put_ipv4(&mut self, spec: Ipv4Spec) -> Result<(), Failed> {
        self.check("IPv4", "DSCP", spec.dscp.into(), 63)?;
        self.check("IPv4", "ECN", spec.ecn.into(), 3)?;
        if !spec.fragment_offset.is_multiple_of(8) {
            return Err(self.invalid("IPv4", "fragment offset", spec.fragment_offset.into()));
        }
        self.place(Step::Ipv4)?;
        self.open(Kind::Ipv4)?;
        self.addresses = PseudoHeader::ipv4(spec.source, spec.destination);
        let is_fragment = spec.more_fragments || spec.fragment_offset != 0;
        self.next = Next::Protocol {
            at: self.len.wrapping_add(9),
            packet: if is_fragment {
                Carried::Bytes
            } else {
                Carried::Ipv4
            },
        };
        let flags = u16::from(spec.dont_fragment) << 14 | u16::from(spec.more_fragments) << 13;
        let parts = [
            &[0x45, spec.dscp << 2 | spec.ecn, 0, 0][..],
            &spec.identification.to_be_bytes(),
            &(flags | spec.fragment_offset >> 3).to_be_bytes(),
            &[spec.ttl, 0, 0, 0],
            &spec.source.octets(),
            &spec.destination.octets(),
        ];
        self.append("IPv4", parts)
    }

    /// The options of the IPv4 header just before: at most 40 bytes. They are filled up with zeros, which end them, to whole
    /// words.
    ///
    /// With a source route that is not yet done, the checksums of TCP and UDP cover its last address.
    #[inline(always)]
    pub fn ipv4_options(self, options: &[Ipv4Option<'_>]) -> Self {
        self.then(move |frame| {
            let len = Ipv4Option::total_len(options);
            frame.put_options("IPv4 options", Kind::Ipv4, len, |room| {
                // It has just the length that they take.
                let written = Ipv4Option::write_all(options, room);
                debug_assert!(written);
            })
        })
    }

    /// Like [`ipv4_options`](Self::ipv4_options), of bytes.
    #[inline(always)]
    pub fn ipv4_option_bytes(self, options: &[u8]) -> Self {
        self.then(move |frame| {
            frame.put_options("IPv4 options", Kind::Ipv4, options.len(), |room| {
                copy(options, room);
            })
        })
    }

    /// An IPv6 header (RFC 8200) of 64 hops and all else 0: wherever IPv4 may be.
    #[inline(always)]
    pub fn ipv6(self, source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        self.ipv6_with(Ipv6Spec::new(source, destination))
    }

    /// Like [`ipv6`](Self::ipv6), with all fields. Extension headers come by steps of their own.
    #[inline(always)]
    pub fn ipv6_with(mut self, spec: Ipv6Spec) -> Self {
        if self.goes_on() {
            let outcome = self.put_ipv6(spec);
            self.settle(outcome);
        }
        self
    }

    #[inline(always)]
    fn put_ipv6(&mut self, spec: Ipv6Spec) -> Result<(), Failed> {
        self.check("IPv6", "DSCP", spec.dscp.into(), 63)?;
        self.check("IPv6", "ECN", spec.ecn.into(), 3)?;
        self.check("IPv6", "flow label", spec.flow_label, 0xf_ffff)?;
        self.place(Step::Ipv6)?;
        self.open(Kind::Ipv6)?;
        self.addresses = PseudoHeader::ipv6(spec.source, spec.destination);
        self.next = Next::Protocol {
            at: self.len.wrapping_add(6),
            packet: Carried::Ipv6,
        };
        let class = u32::from(spec.dscp << 2 | spec.ecn);
        let parts = [
            &(6 << 28 | class << 20 | spec.flow_label).to_be_bytes()[..],
            &[0, 0, 0, spec.hop_limit],
            &spec.source.octets(),
            &spec.destination.octets(),
        ];
        self.append("IPv6", parts)
    }

    /// IPv6 options for every node on the way (RFC 8200, section 4.3), such as a router alert; right behind the IPv6
    /// header. They are padded to whole units of 8 bytes, 2,048 at most.
    ///
    /// An option with more than 255 bytes of data is an error. Some want to be at a certain place: the padding in front of
    /// them is an option too. [`Ipv6Option::JumboPayload`] is written as given; a packet that needs it is none that can be
    /// built here, being longer than any frame.
    ///
    /// ```
    /// use std::net::Ipv6Addr;
    /// use fluxcap::proto::{BuildError, FrameBuilder, IpProtocol, Ipv6Option};
    ///
    /// let mut buffer = [0; 128];
    /// let packet = FrameBuilder::new(&mut buffer)
    ///     .ipv6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST)
    ///     .hop_by_hop(&[Ipv6Option::RouterAlert(0)])
    ///     .protocol(IpProtocol::IPV6_NO_NEXT)
    ///     .finish()?;
    /// assert_eq!(packet[40..], [59, 0, 5, 2, 0, 0, 1, 0]); // two bytes of padding
    /// # Ok::<(), BuildError>(())
    /// ```
    #[inline(always)]
    pub fn hop_by_hop(self, options: &[Ipv6Option<'_>]) -> Self {
        self.typed_extension(IpProtocol::IPV6_HOP_BY_HOP, options)
    }

    /// Like [`hop_by_hop`](Self::hop_by_hop), of bytes.
    #[inline(always)]
    pub fn hop_by_hop_bytes(self, options: &[u8]) -> Self {
        self.padded_extension(IpProtocol::IPV6_HOP_BY_HOP, options)
    }

    /// IPv6 options for the destination (RFC 8200, section 4.6), padded as those [hop by hop](Self::hop_by_hop).
    ///
    /// The checksums of what follows cover a home address (RFC 6275, section 6.3) instead of the source.
    #[inline(always)]
    pub fn destination_options(self, options: &[Ipv6Option<'_>]) -> Self {
        self.typed_extension(IpProtocol::IPV6_DESTINATION, options)
    }

    /// Like [`destination_options`](Self::destination_options), of bytes.
    #[inline(always)]
    pub fn destination_option_bytes(self, options: &[u8]) -> Self {
        self.padded_extension(IpProtocol::IPV6_DESTINATION, options)
    }

    /// An IPv6 routing header (RFC 8200, section 4.4): its type, how many segments are left, and what is behind these two,
    /// the four reserved bytes of some types included.
    ///
    /// The checksums of what follows cover the last destination, which is known of the types 0 (RFC 2460), 2 (RFC 6275), 3 (RFC
    /// 6554) and 4 (RFC 8754). Behind another type with segments left, or fewer addresses than these, only
    /// [`protocol`](Self::protocol) and bytes may follow.
    #[inline(always)]
    pub fn routing(self, routing_type: u8, segments_left: u8, data: &[u8]) -> Self {
        self.then(move |frame| {
            let step = Step::Extension(IpProtocol::IPV6_ROUTING);
            let len = data.len().saturating_add(4);
            let units = frame.units(step.name(), len, 8, 1)?;
            frame.place(step)?;
            let at = frame.len;
            let header = [0, units, routing_type, segments_left];
            frame.put_extension(step.name(), Carried::Ipv6, [&header, data, &[]])?;
            if segments_left != 0 && !frame.cover_addresses(at) {
                let packet = Carried::Bytes;
                frame.next = Next::Protocol { at, packet };
            }
            Ok(())
        })
    }

    /// An IPv6 fragment header (RFC 8200, section 4.5).
    ///
    /// Unless it says that the fragment is the whole packet, only [`protocol`](Self::protocol) and a piece of data may
    /// follow. An offset that is no multiple of 8 is an error.
    #[inline(always)]
    pub fn fragment(self, fragment: Ipv6Fragment) -> Self {
        self.then(move |frame| {
            let step = Step::Extension(IpProtocol::IPV6_FRAGMENT);
            if !fragment.offset.is_multiple_of(8) {
                return Err(frame.invalid(step.name(), "offset", fragment.offset.into()));
            }
            frame.place(step)?;
            let is_part = fragment.more_fragments || fragment.offset != 0;
            let packet = if is_part {
                Carried::Bytes
            } else {
                Carried::Ipv6
            };
            let place = fragment.offset | u16::from(fragment.more_fragments);
            let identification = fragment.identification.to_be_bytes();
            let parts = [&[0; 2][..], &place.to_be_bytes(), &identification];
            frame.put_extension(step.name(), packet, parts)
        })
    }

    /// An authentication header (RFC 4302), behind either version of IP: security parameters index, sequence number and
    /// integrity check value, which the caller has computed.
    ///
    /// It is an error if the header with its 12 bytes in front does not fill whole units: of 8 bytes in IPv6, of 4 in IPv4.
    #[inline(always)]
    pub fn authentication(self, index: u32, sequence_number: u32, check_value: &[u8]) -> Self {
        self.then(move |frame| {
            let step = Step::Authentication;
            let packet = match frame.next {
                Next::Protocol { packet, .. } => packet,
                _ => Carried::Bytes,
            };
            let unit = if packet == Carried::Ipv6 { 8 } else { 4 };
            let len = check_value.len().saturating_add(12);
            frame.units(step.name(), len, unit, 1)?;
            let words = frame.units(step.name(), len, 4, 2)?;
            frame.place(step)?;
            let [i0, i1, i2, i3] = index.to_be_bytes();
            let [s0, s1, s2, s3] = sequence_number.to_be_bytes();
            let header = [0, words, 0, 0, i0, i1, i2, i3, s0, s1, s2, s3];
            frame.put_extension(step.name(), packet, [&header, check_value, &[]])
        })
    }

    #[inline(always)]
    fn padded_extension(self, protocol: IpProtocol, options: &[u8]) -> Self {
        self.then(move |frame| {
            let step = Step::Extension(protocol);
            let padding: &[u8] = match options.len() % 8 {
                6 => &[],
                5 => &[0],
                4 => &[1, 0],
                3 => &[1, 1, 0],
                2 => &[1, 2, 0, 0],
                1 => &[1, 3, 0, 0, 0],
                0 => &[1, 4, 0, 0, 0, 0],
                _ => &[1, 5, 0, 0, 0, 0, 0],
            };
            let len = options
                .len()
                .saturating_add(2)
                .saturating_add(padding.len());
            let units = frame.units(step.name(), len, 8, 1)?;
            frame.place(step)?;
            let at = frame.len;
            frame.put_extension(step.name(), Carried::Ipv6, [&[0, units], options, padding])?;
            if protocol == IpProtocol::IPV6_DESTINATION {
                frame.cover_addresses(at);
            }
            Ok(())
        })
    }

    #[inline]
    fn typed_extension(self, protocol: IpProtocol, options: &[Ipv6Option<'_>]) -> Self {
        self.then(move |frame| {
            let step = Step::Extension(protocol);
            let lengths = options.iter().map(Ipv6Option::wire_len);
            if let Some(length) = lengths.max().filter(|&length| length > MOST_IN_IPV6_OPTION) {
                let most = MOST_IN_IPV6_OPTION;
                return Err(frame.fail(step.name(), BuildFault::TooLong { length, most }));
            }
            let len = Ipv6Option::total_len(options).saturating_add(2);
            let units = frame.units(step.name(), len, 8, 1)?;
            frame.place(step)?;
            let at = frame.len;
            frame.put_extension(step.name(), Carried::Ipv6, [&[0, units], &[], &[]])?;
            let room = frame.claim(step.name(), len.saturating_sub(2))?;
            // It has just the length that they take.
            let written = Ipv6Option::write_all(options, room);
            debug_assert!(written);
            if protocol == IpProtocol::IPV6_DESTINATION {
                frame.cover_addresses(at);
            }
            Ok(())
        })
    }

    /// Has checksums cover the addresses that the extension headers so far tell, the last of which starts at `at`. Gives `false` if the
    /// last destination is not known.
    #[cold]
    #[inline(never)]
    fn cover_addresses(&mut self, at: usize) -> bool {
        // What follows is not known yet: nothing, for now.
        self.patch(at, [IpProtocol::IPV6_NO_NEXT.0]);
        let start = self.top().map_or(0, |top| top.start.into());
        let addresses = match Ipv6::ref_from_prefix(self.written_from(start)) {
            Ok((ip, payload)) => ip.checksum_addresses(&ip.known_layer(payload)),
            Err(_) => None, // the headers are behind one
        };
        self.patch(at, [0]);
        if let Some(addresses) = addresses {
            self.addresses = addresses;
        }
        addresses.is_some()
    }

    /// A header whose first byte is the number of what follows.
    #[inline]
    fn put_extension(
        &mut self,
        step: &'static str,
        packet: Carried,
        parts: [&[u8]; 3],
    ) -> Result<(), Failed> {
        let at = self.len;
        self.next = Next::Protocol { at, packet };
        self.append(step, parts)
    }

    /// Options of the IPv4 or TCP header just before, zeros behind them up to a whole word.
    #[inline]
    pub(super) fn put_options(
        &mut self,
        step: &'static str,
        of: Kind,
        len: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), Failed> {
        let Some(start) = self.start_of_bare(of) else {
            return Err(self.misplaced(step));
        };
        if len > MOST_OPTIONS {
            let (length, most) = (len, MOST_OPTIONS);
            return Err(self.fail(step, BuildFault::TooLong { length, most }));
        }
        let padded = len.next_multiple_of(4);
        let room = self.claim(step, padded)?;
        room.fill(0);
        write(room);
        let words = words(WITHOUT_OPTIONS.wrapping_add(padded));
        if of == Kind::Tcp {
            let at = start.wrapping_add(12);
            let reserved = self.buffer.get(at).map_or(0, |byte| byte & 0x0f);
            self.patch(at, [words << 4 | reserved]);
            return Ok(());
        }
        self.patch(start, [0x40 | words]);
        let options = self.written_from(start).get(WITHOUT_OPTIONS..);
        if let Some(last) = options.and_then(|bytes| Ipv4Options::new(bytes).final_destination()) {
            let source: [u8; 4] = octets(self.written_from(start), 12);
            self.addresses = PseudoHeader::ipv4(source.into(), last);
        }
        Ok(())
    }

    /// All that is written from `start` on.
    fn written_from(&self, start: usize) -> &[u8] {
        self.buffer.get(start..self.len).unwrap_or_default()
    }

    /// The length field of a header of `length` bytes, which counts units behind the first few.
    #[inline]
    fn units(
        &mut self,
        step: &'static str,
        length: usize,
        unit: usize,
        less: usize,
    ) -> Result<u8, Failed> {
        if !length.is_multiple_of(unit) {
            return Err(self.fail(step, BuildFault::Uneven { length, unit }));
        }
        // No header is shorter than what is not counted.
        u8::try_from((length / unit).saturating_sub(less)).map_err(|_| {
            let most = (less.wrapping_add(255)).wrapping_mul(unit);
            self.fail(step, BuildFault::TooLong { length, most })
        })
    }

    /// Where the header just before starts, if it is of this kind and has no options yet.
    #[inline]
    fn start_of_bare(&self, kind: Kind) -> Option<usize> {
        let top = self.top().filter(|top| top.kind == kind)?;
        let start = usize::from(top.start);
        (self.len.wrapping_sub(start) == WITHOUT_OPTIONS).then_some(start)
    }
}

/// A header length of at most 60 bytes in words.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "at most 15")]
const fn words(len: usize) -> u8 {
    (len / 4) as u8
}

fn octets<const LEN: usize>(header: &[u8], at: usize) -> [u8; LEN] {
    let octets = header.get(at..).and_then(|rest| rest.first_chunk());
    octets.copied().unwrap_or([0; LEN])
}

/// Copies `from` to the start of `to`, which is at least as long.
#[inline]
pub(super) fn copy(from: &[u8], to: &mut [u8]) {
    if let Some(to) = to.get_mut(..from.len()) {
        to.copy_from_slice(from);
    }
}
