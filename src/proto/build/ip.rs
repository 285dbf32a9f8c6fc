//! Steps for IP: both versions, options and extension headers.

#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

use super::link::{check, invalid};
use super::place::{Carried, Kind, Next, Step};
use super::{BuildError, BuildFault, FrameBuilder, Ipv4Spec, Ipv6Spec};
use crate::proto::{IpProtocol, Ipv4Option, Ipv6Fragment};

/// The most bytes of options in an IPv4 or TCP header.
const MOST_OPTIONS: usize = 40;

/// Length of an IPv4 or TCP header without options.
const WITHOUT_OPTIONS: usize = 20;

impl FrameBuilder<'_> {
    /// An IPv4 header (RFC 791) of 64 hops, "don't fragment" and all else 0: at the start, behind a header with an ether
    /// type, behind an MPLS label, or within another IP packet.
    #[inline]
    pub fn ipv4(self, source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        self.ipv4_with(Ipv4Spec::new(source, destination))
    }

    /// Like [`ipv4`](Self::ipv4), with all fields. Options come by a step of their own.
    ///
    /// Behind the header of a fragment only [`protocol`](Self::protocol) and a piece of data may follow. Values that do
    /// not fit, such as an offset that is no multiple of 8, are an error.
    #[inline]
    pub fn ipv4_with(self, spec: Ipv4Spec) -> Self {
        self.then(|frame| {
            check("IPv4", "DSCP", spec.dscp.into(), 63)?;
            check("IPv4", "ECN", spec.ecn.into(), 3)?;
            if !spec.fragment_offset.is_multiple_of(8) {
                return Err(invalid(
                    "IPv4",
                    "fragment offset",
                    spec.fragment_offset.into(),
                ));
            }
            frame.place(Step::Ipv4)?;
            frame.open(Kind::Ipv4)?;
            let is_fragment = spec.more_fragments || spec.fragment_offset != 0;
            frame.next = Next::Protocol {
                at: frame.len.wrapping_add(9),
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
            frame.append("IPv4", parts)
        })
    }

    /// The options of the IPv4 header just before: at most 40 bytes. They are filled up with zeros, which end them, to whole
    /// words.
    ///
    /// With a source route that is not yet done, the checksums of TCP and UDP cover its last address.
    #[inline]
    pub fn ipv4_options(self, options: &[Ipv4Option<'_>]) -> Self {
        self.then(|frame| {
            let len = Ipv4Option::total_len(options);
            frame.put_options("IPv4 options", Kind::Ipv4, len, |room| {
                // It has just the length that they take.
                let written = Ipv4Option::write_all(options, room);
                debug_assert!(written);
            })
        })
    }

    /// Like [`ipv4_options`](Self::ipv4_options), of bytes.
    #[inline]
    pub fn ipv4_option_bytes(self, options: &[u8]) -> Self {
        self.then(|frame| {
            frame.put_options("IPv4 options", Kind::Ipv4, options.len(), |room| {
                copy(options, room);
            })
        })
    }

    /// An IPv6 header (RFC 8200) of 64 hops and all else 0: wherever IPv4 may be.
    #[inline]
    pub fn ipv6(self, source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        self.ipv6_with(Ipv6Spec::new(source, destination))
    }

    /// Like [`ipv6`](Self::ipv6), with all fields. Extension headers come by steps of their own.
    #[inline]
    pub fn ipv6_with(self, spec: Ipv6Spec) -> Self {
        self.then(|frame| {
            check("IPv6", "DSCP", spec.dscp.into(), 63)?;
            check("IPv6", "ECN", spec.ecn.into(), 3)?;
            check("IPv6", "flow label", spec.flow_label, 0xf_ffff)?;
            frame.place(Step::Ipv6)?;
            frame.open(Kind::Ipv6)?;
            frame.next = Next::Protocol {
                at: frame.len.wrapping_add(6),
                packet: Carried::Ipv6,
            };
            let class = u32::from(spec.dscp << 2 | spec.ecn);
            let parts = [
                &(6 << 28 | class << 20 | spec.flow_label).to_be_bytes()[..],
                &[0, 0, 0, spec.hop_limit],
                &spec.source.octets(),
                &spec.destination.octets(),
            ];
            frame.append("IPv6", parts)
        })
    }

    /// IPv6 options for every station on the way (RFC 8200, section 4.3), as bytes; right behind the IPv6 header. They are
    /// padded to whole units of 8 bytes.
    #[inline]
    pub fn hop_by_hop(self, options: &[u8]) -> Self {
        self.padded_extension(IpProtocol::IPV6_HOP_BY_HOP, options)
    }

    /// IPv6 options for the destination (RFC 8200, section 4.6), as bytes, padded to whole units of 8.
    #[inline]
    pub fn destination_options(self, options: &[u8]) -> Self {
        self.padded_extension(IpProtocol::IPV6_DESTINATION, options)
    }

    /// An IPv6 routing header (RFC 8200, section 4.4): its type, how many segments are left, and what is behind these two,
    /// the four reserved bytes of some types included.
    ///
    /// The checksums of what follows cover the last destination, which is known of the types 0 (RFC 2460), 2 (RFC 6275) and
    /// 4 (RFC 8754). Behind another type with segments left, only [`protocol`](Self::protocol) and bytes may follow.
    #[inline]
    pub fn routing(self, routing_type: u8, segments_left: u8, data: &[u8]) -> Self {
        self.then(|frame| {
            let step = Step::Extension(IpProtocol::IPV6_ROUTING);
            let len = data.len().saturating_add(4);
            let units = units(step.name(), len, 8, 1)?;
            frame.place(step)?;
            let mut packet = Carried::Ipv6;
            if segments_left > 0 {
                let is_known = matches!(routing_type, 0 | 2 | 4) && len >= 24;
                if is_known {
                    frame.open(Kind::Routing)?;
                } else {
                    packet = Carried::Bytes;
                }
            }
            let header = [0, units, routing_type, segments_left];
            frame.put_extension(step.name(), packet, [&header, data, &[]])
        })
    }

    /// An IPv6 fragment header (RFC 8200, section 4.5).
    ///
    /// Unless it says that the fragment is the whole packet, only [`protocol`](Self::protocol) and a piece of data may
    /// follow. An offset that is no multiple of 8 is an error.
    #[inline]
    pub fn fragment(self, fragment: Ipv6Fragment) -> Self {
        self.then(|frame| {
            let step = Step::Extension(IpProtocol::IPV6_FRAGMENT);
            if !fragment.offset.is_multiple_of(8) {
                return Err(invalid(step.name(), "offset", fragment.offset.into()));
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
    #[inline]
    pub fn authentication(self, index: u32, sequence_number: u32, check_value: &[u8]) -> Self {
        self.then(|frame| {
            let step = Step::Authentication;
            let packet = match frame.next {
                Next::Protocol { packet, .. } => packet,
                _ => Carried::Bytes,
            };
            let unit = if packet == Carried::Ipv6 { 8 } else { 4 };
            let len = check_value.len().saturating_add(12);
            units(step.name(), len, unit, 1)?;
            let words = units(step.name(), len, 4, 2)?;
            frame.place(step)?;
            let [i0, i1, i2, i3] = index.to_be_bytes();
            let [s0, s1, s2, s3] = sequence_number.to_be_bytes();
            let header = [0, words, 0, 0, i0, i1, i2, i3, s0, s1, s2, s3];
            frame.put_extension(step.name(), packet, [&header, check_value, &[]])
        })
    }

    #[inline]
    fn padded_extension(self, protocol: IpProtocol, options: &[u8]) -> Self {
        self.then(|frame| {
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
            let units = units(step.name(), len, 8, 1)?;
            frame.place(step)?;
            frame.put_extension(step.name(), Carried::Ipv6, [&[0, units], options, padding])
        })
    }

    /// A header whose first byte is the number of what follows.
    #[inline]
    fn put_extension(
        &mut self,
        step: &'static str,
        packet: Carried,
        parts: [&[u8]; 3],
    ) -> Result<(), BuildError> {
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
    ) -> Result<(), BuildError> {
        let Some(start) = self.start_of_bare(of) else {
            return Err(self.misplaced(step));
        };
        if len > MOST_OPTIONS {
            let (length, most) = (len, MOST_OPTIONS);
            return Err(BuildError::new(step, BuildFault::TooLong { length, most }));
        }
        let padded = len.next_multiple_of(4);
        let room = self.claim(step, padded)?;
        room.fill(0);
        write(room);
        let words = words(WITHOUT_OPTIONS.wrapping_add(padded));
        match of {
            Kind::Tcp => self.patch(start.wrapping_add(12), [words << 4]),
            _ => self.patch(start, [0x40 | words]),
        }
        Ok(())
    }

    /// Where the header just before starts, if it is of this kind and has no options yet.
    #[inline]
    fn start_of_bare(&self, kind: Kind) -> Option<usize> {
        let top = self.top().filter(|top| top.kind == kind)?;
        let start = top.start as usize;
        (self.len.wrapping_sub(start) == WITHOUT_OPTIONS).then_some(start)
    }
}

/// A header length of at most 60 bytes in words.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "at most 15")]
const fn words(len: usize) -> u8 {
    (len / 4) as u8
}

/// The length field of a header of `len` bytes, which counts units behind the first few.
#[inline]
fn units(step: &'static str, len: usize, unit: usize, less: usize) -> Result<u8, BuildError> {
    if !len.is_multiple_of(unit) {
        let length = len;
        return Err(BuildError::new(step, BuildFault::Uneven { length, unit }));
    }
    // No header is shorter than what is not counted.
    u8::try_from((len / unit).saturating_sub(less)).map_err(|_| {
        let most = (less.wrapping_add(255)).wrapping_mul(unit);
        BuildError::new(step, BuildFault::TooLong { length: len, most })
    })
}

/// Copies `from` to the start of `to`, which is at least as long.
#[inline]
pub(super) fn copy(from: &[u8], to: &mut [u8]) {
    if let Some(to) = to.get_mut(..from.len()) {
        to.copy_from_slice(from);
    }
}
