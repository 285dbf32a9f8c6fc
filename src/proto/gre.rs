//! Generic routing encapsulation (RFC 2784, RFC 2890).

#![forbid(unsafe_code)]

use std::fmt;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::checksum;
use crate::proto::fields::fields;
use crate::proto::{EtherType, ParseError};

/// GRE header with its optional fields (RFC 2784, section 2; RFC 2890, section 2).
///
/// ```text
/// byte   0  flags, version   13 + 3 bits  which of the optional fields there are; 0
///        2  protocol type    2
///        4  checksum         2 + 2        over header and payload; then zeros
///           key              4
///           sequence number  4
/// ```
///
/// The optional fields follow one another without gaps. Which there are is settled when the header is made
/// ([`Gre::write`]): no setter changes it.
///
/// ```
/// use fluxcap::proto::{EtherType, Gre, GreFields, ParseError};
///
/// let fields = GreFields {
///     checksum: true,
///     key: Some(42),
///     ..GreFields::default()
/// };
/// let mut bytes = *b"\0\0\0\0\0\0\0\0\0\0\0\0payload";
/// let (gre, payload) = Gre::write(&mut bytes, EtherType::IPV4, fields)?;
/// gre.fill_checksum(payload);
///
/// let (gre, payload) = Gre::parse(&bytes)?;
/// assert!(gre.verify_checksum(payload));
/// assert_eq!((gre.key(), gre.sequence_number()), (Some(42), None));
/// # Ok::<(), ParseError>(())
/// ```
#[derive(Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Gre {
    flags_and_version: U16,
    protocol_type: U16,
    fields: [U32],
}

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE_NUMBER: u16 = 0x1000;
const VERSION_MASK: u16 = 7;

/// The optional fields of a [`Gre`] header to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GreFields {
    /// Whether there is a checksum.
    pub checksum: bool,
    /// Which flow or virtual network within the tunnel.
    pub key: Option<u32>,
    /// Number of the packet within the tunnel, or within the key.
    pub sequence_number: Option<u32>,
}

impl GreFields {
    /// Length of a header with these fields, in bytes: 4 to 16.
    #[inline]
    #[must_use]
    pub const fn header_len(self) -> usize {
        header_len(self.flags())
    }

    const fn flags(self) -> u16 {
        let mut flags = 0;
        if self.checksum {
            flags |= CHECKSUM;
        }
        if self.key.is_some() {
            flags |= KEY;
        }
        if self.sequence_number.is_some() {
            flags |= SEQUENCE_NUMBER;
        }
        flags
    }
}

impl Gre {
    /// Length of the header without optional fields, in bytes.
    pub const LEN: usize = 4;

    /// The header at the start of `bytes`, an IP payload, optional fields included, and all that follows it.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if the header is longer than `bytes`,
    /// [`Fault::Malformed`](crate::proto::Fault) if the version is not 0 (1 is that of PPTP, RFC 2637), or if there is
    /// routing information (RFC 1701), which is obsolete and has no length.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        let fields = count_fields(bytes)?;
        Self::ref_from_prefix_with_elems(bytes, fields)
            .map_err(|_| Self::truncated(Self::LEN, bytes.len()))
    }

    /// Like [`Gre::parse`], to change the packet in place.
    ///
    /// # Errors
    ///
    /// As [`Gre::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let fields = count_fields(bytes)?;
        let too_short = Self::truncated(Self::LEN, bytes.len());
        Self::mut_from_prefix_with_elems(bytes, fields).map_err(|_| too_short)
    }

    /// Makes the start of `bytes` a header with these fields, and gives it and all that follows it. The checksum, if there
    /// is one, is 0 until [`Gre::fill_checksum`].
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if `bytes` are fewer than [`GreFields::header_len`]; they are as before
    /// then.
    #[inline]
    pub fn write(
        bytes: &mut [u8],
        protocol_type: EtherType,
        fields: GreFields,
    ) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let flags = fields.flags();
        let too_short = Self::truncated(header_len(flags), bytes.len());
        let (gre, payload) =
            Self::mut_from_prefix_with_elems(bytes, field_count(flags)).map_err(|_| too_short)?;
        gre.flags_and_version.set(flags);
        gre.set_protocol_type(protocol_type);
        let checksum = fields.checksum.then_some(0);
        let values = [checksum, fields.key, fields.sequence_number];
        for (field, value) in gre.fields.iter_mut().zip(values.into_iter().flatten()) {
            field.set(value);
        }
        Ok((gre, payload))
    }

    /// Length of the header with its optional fields, in bytes: 4 to 16.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        header_len(self.flags_and_version.get())
    }
}

fields!(Gre:
    /// What the payload is; 0 in the keepalives of some routers.
    protocol_type() -> EtherType;
    /// Sets what the payload is.
    set_protocol_type(protocol_type: EtherType);
);

impl Gre {
    /// The checksum as it stands in the header, if there is one.
    #[inline]
    #[must_use]
    pub fn checksum(&self) -> Option<u16> {
        let [high, low, ..] = self.field(CHECKSUM)?.to_bytes();
        Some(u16::from_be_bytes([high, low]))
    }

    /// Which flow or virtual network within the tunnel, if the header says.
    #[inline]
    #[must_use]
    pub fn key(&self) -> Option<u32> {
        self.field(KEY).map(|key| key.get())
    }

    /// Number of the packet within the tunnel, or within the key, if the sender counts.
    #[inline]
    #[must_use]
    pub fn sequence_number(&self) -> Option<u32> {
        self.field(SEQUENCE_NUMBER).map(|number| number.get())
    }

    /// Sets the checksum field as given. Gives `false`, and changes nothing, if there is none.
    #[inline]
    #[must_use = "a header without a checksum stays without"]
    pub fn set_checksum(&mut self, checksum: u16) -> bool {
        // The rest is reserved: sent as zeros.
        self.set_field(CHECKSUM, u32::from(checksum) << 16)
    }

    /// Sets which flow or virtual network. Gives `false`, and changes nothing, if the header has no key.
    #[inline]
    #[must_use = "a header without a key stays without"]
    pub fn set_key(&mut self, key: u32) -> bool {
        self.set_field(KEY, key)
    }

    /// Sets the number of the packet. Gives `false`, and changes nothing, if the header has none.
    #[inline]
    #[must_use = "a header without a sequence number stays without"]
    pub fn set_sequence_number(&mut self, number: u32) -> bool {
        self.set_field(SEQUENCE_NUMBER, number)
    }

    /// Whether the checksum is right for this header and `payload`, all that follows it. None is right too.
    #[inline]
    #[must_use]
    pub fn verify_checksum(&self, payload: &[u8]) -> bool {
        self.field(CHECKSUM).is_none() || self.sum(payload) == 0
    }

    /// Sets the checksum for this header and `payload`, all that follows it; does nothing if the header has none.
    #[inline]
    pub fn fill_checksum(&mut self, payload: &[u8]) {
        if self.set_checksum(0) {
            let sum = self.sum(payload);
            let _ = self.set_checksum(sum);
        }
    }

    #[inline]
    fn sum(&self, payload: &[u8]) -> u16 {
        checksum::of_parts(self.as_bytes(), payload)
    }

    /// The optional field that `flag` stands for.
    #[inline]
    fn field(&self, flag: u16) -> Option<U32> {
        let at = position(self.flags_and_version.get(), flag)?;
        self.fields.get(at).copied()
    }

    #[inline]
    fn set_field(&mut self, flag: u16, value: u32) -> bool {
        let at = position(self.flags_and_version.get(), flag);
        let Some(field) = at.and_then(|at| self.fields.get_mut(at)) else {
            return false;
        };
        field.set(value);
        true
    }

    const fn truncated(needed: usize, available: usize) -> ParseError {
        // All that is needed beyond the fixed part is what the flags say.
        let field = match available {
            ..Self::LEN => "header",
            _ => "flags",
        };
        ParseError::truncated(("GRE", field, 0), needed, available)
    }
}

/// How many optional fields there are, of which each has 4 bytes.
#[inline]
const fn field_count(flags: u16) -> usize {
    (flags & (CHECKSUM | KEY | SEQUENCE_NUMBER)).count_ones() as usize
}

#[inline]
const fn header_len(flags: u16) -> usize {
    Gre::LEN + 4 * field_count(flags)
}

/// How many optional fields precede the one of `flag`. They come in the order of their flags, from the highest.
#[inline]
const fn position(flags: u16, flag: u16) -> Option<usize> {
    if flags & flag == 0 {
        return None;
    }
    // No flag is so low that this overflows.
    Some(field_count(flags & !(flag | flag.wrapping_sub(1))))
}

#[inline]
fn count_fields(bytes: &[u8]) -> Result<usize, ParseError> {
    let available = bytes.len();
    let Some(&[high, low, ..]) = bytes.first_chunk::<{ Gre::LEN }>() else {
        return Err(Gre::truncated(Gre::LEN, available));
    };
    let flags = u16::from_be_bytes([high, low]);
    let version = flags & VERSION_MASK;
    if version != 0 {
        let place = ("GRE", "version", 1);
        return Err(ParseError::malformed(place, version.into()));
    }
    if flags & ROUTING != 0 {
        return Err(ParseError::malformed(("GRE", "routing present", 0), 1));
    }
    let header_len = header_len(flags);
    if header_len > available {
        return Err(Gre::truncated(header_len, available));
    }
    Ok(field_count(flags))
}

impl fmt::Display for Gre {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GRE {}", self.protocol_type())?;
        if let Some(key) = self.key() {
            write!(f, " key {key}")?;
        }
        if let Some(number) = self.sequence_number() {
            write!(f, " seq {number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what every header has.
    const PLAIN: [u8; 8] = [
        0x00, 0x00, 0x08, 0x00, // IPv4
        0x45, 0x00, 0x00, 0x14, // first bytes of the payload
    ];

    /// Every optional field, and a payload of odd length.
    const FULL: [u8; 19] = [
        0xb0, 0x00, 0x86, 0xdd, // checksum, key, sequence number; IPv6
        0x77, 0x0e, 0x00, 0x00, // checksum, reserved
        0x01, 0x02, 0x03, 0x04, // key
        0x00, 0x00, 0x00, 0x07, // sequence number
        0x60, 0x05, 0xee, // payload
    ];

    const CHECKSUM_AT: usize = 4;

    fn both_refuse(bytes: &[u8], error: ParseError) {
        assert_eq!(Gre::parse(bytes), Err(error));
        assert_eq!(Gre::parse_mut(&mut bytes.to_vec()), Err(error));
    }

    /// Every choice of optional fields.
    fn choices() -> impl Iterator<Item = GreFields> {
        (0_u8..8).map(|choice| GreFields {
            checksum: choice & 1 != 0,
            key: (choice & 2 != 0).then_some(0x0102_0304),
            sequence_number: (choice & 4 != 0).then_some(7),
        })
    }

    #[test]
    fn a_plain_header_shows_its_protocol_and_payload() {
        let (gre, payload) = Gre::parse(&PLAIN).unwrap();
        assert_eq!((gre.header_len(), size_of_val(gre)), (Gre::LEN, Gre::LEN));
        assert_eq!(gre.protocol_type(), EtherType::IPV4);
        assert_eq!((gre.checksum(), gre.key()), (None, None));
        assert_eq!(gre.sequence_number(), None);
        assert_eq!(payload, &PLAIN[4..]);
        assert!(gre.verify_checksum(payload), "there is none");
        assert_eq!(gre.to_string(), "GRE IPv4");
    }

    #[test]
    fn optional_fields_belong_to_the_header() {
        let (gre, payload) = Gre::parse(&FULL).unwrap();
        assert_eq!((gre.header_len(), size_of_val(gre)), (16, 16));
        assert_eq!(gre.protocol_type(), EtherType::IPV6);
        assert_eq!(gre.checksum(), Some(0x770e));
        assert_eq!(gre.key(), Some(0x0102_0304));
        assert_eq!(gre.sequence_number(), Some(7));
        assert_eq!(payload, [0x60, 0x05, 0xee]);
        assert!(gre.verify_checksum(payload));
        assert_eq!(gre.to_string(), "GRE IPv6 key 16909060 seq 7");
    }

    #[test]
    fn fields_that_are_absent_leave_no_gap() {
        for fields in choices() {
            let mut bytes = [0xee; 20];
            let len = fields.header_len();
            let (gre, payload) = Gre::write(&mut bytes, EtherType::ETHERNET, fields).unwrap();
            assert_eq!(payload.len(), 20 - len);
            gre.fill_checksum(payload);

            let (gre, payload) = Gre::parse(&bytes).unwrap();
            assert_eq!((gre.header_len(), size_of_val(gre)), (len, len));
            assert_eq!(gre.protocol_type(), EtherType::ETHERNET);
            assert_eq!(gre.checksum().is_some(), fields.checksum);
            assert_eq!(gre.key(), fields.key);
            assert_eq!(gre.sequence_number(), fields.sequence_number);
            assert!(gre.verify_checksum(payload));
            assert!(payload.iter().all(|&byte| byte == 0xee));

            let mut wire = vec![0, 0, 0x65, 0x58];
            wire[0] |= if fields.checksum { 0x80 } else { 0 };
            wire[0] |= if fields.key.is_some() { 0x20 } else { 0 };
            wire[0] |= if fields.sequence_number.is_some() {
                0x10
            } else {
                0
            };
            if let Some(checksum) = gre.checksum() {
                wire.extend(checksum.to_be_bytes());
                wire.extend([0, 0]);
            }
            wire.extend(fields.key.map(u32::to_be_bytes).iter().flatten());
            wire.extend(
                fields
                    .sequence_number
                    .map(u32::to_be_bytes)
                    .iter()
                    .flatten(),
            );
            assert_eq!(bytes[..len], wire);
        }
    }

    #[test]
    fn a_truncated_header_names_what_is_missing() {
        for available in 0..16 {
            let (field, needed) = match available {
                0..4 => ("header", 4),
                _ => ("flags", 16),
            };
            let error = ParseError::truncated(("GRE", field, 0), needed, available);
            both_refuse(&FULL[..available], error);
        }
        assert!(Gre::parse(&FULL[..16]).unwrap().1.is_empty());
        for available in 0..4 {
            both_refuse(&PLAIN[..available], Gre::truncated(4, available));
        }
    }

    #[test]
    fn other_versions_are_refused() {
        for version in 1..8 {
            let mut bytes = FULL;
            bytes[1] = version;
            let error = ParseError::malformed(("GRE", "version", 1), version.into());
            both_refuse(&bytes, error);
        }
    }

    #[test]
    fn routing_information_is_refused() {
        let mut bytes = FULL;
        bytes[0] |= 0x40;
        let error = Gre::parse(&bytes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "GRE routing present at byte 0 cannot be 1"
        );
        both_refuse(&bytes, error);
    }

    #[test]
    fn every_flag_gives_a_view_or_an_error() {
        for flags in 0..=u16::MAX {
            let mut bytes = [0; 16];
            bytes[..2].copy_from_slice(&flags.to_be_bytes());
            match Gre::parse(&bytes) {
                Ok((gre, payload)) => {
                    assert_eq!(size_of_val(gre), gre.header_len());
                    assert_eq!(gre.header_len() + payload.len(), 16);
                    assert_eq!(gre.checksum().is_some(), flags & 0x8000 != 0);
                    assert_eq!(gre.key().is_some(), flags & 0x2000 != 0);
                    assert_eq!(gre.sequence_number().is_some(), flags & 0x1000 != 0);
                }
                Err(_) => assert_ne!(flags & 0x4007, 0),
            }
        }
    }

    #[test]
    fn any_change_fails_the_checksum() {
        for bit in 0..FULL.len() * 8 {
            if bit < 16 {
                continue; // flags and version, which parsing looks at
            }
            let mut bytes = FULL;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (gre, payload) = Gre::parse(&bytes).unwrap();
            assert!(!gre.verify_checksum(payload), "{bit}");
        }
    }

    #[test]
    fn a_built_packet_is_the_one_on_the_wire() {
        let mut bytes = FULL;
        bytes[..16].fill(0xee);
        let fields = GreFields {
            checksum: true,
            key: Some(0x0102_0304),
            sequence_number: Some(7),
        };
        let (gre, payload) = Gre::write(&mut bytes, EtherType::IPV6, fields).unwrap();
        assert_eq!(gre.checksum(), Some(0));
        gre.fill_checksum(payload);
        assert_eq!(bytes, FULL);
    }

    #[test]
    fn a_header_that_does_not_fit_is_not_written() {
        for fields in choices() {
            for available in 0..fields.header_len() {
                let mut bytes = vec![0xee; available];
                let error = Gre::write(&mut bytes, EtherType::IPV4, fields).unwrap_err();
                assert_eq!(error, Gre::truncated(fields.header_len(), available));
                assert!(bytes.iter().all(|&byte| byte == 0xee));
            }
        }
    }

    #[test]
    fn a_setter_writes_its_own_field_if_there_is_one() {
        let mut bytes = FULL;
        let (gre, _) = Gre::parse_mut(&mut bytes).unwrap();
        gre.set_protocol_type(EtherType::IPV4);
        assert!(gre.set_key(0xa0b0_c0d0));
        assert!(gre.set_sequence_number(0xffff_ffff));
        assert!(gre.set_checksum(0x1234));
        let changed = [
            0xb0, 0x00, 0x08, 0x00, 0x12, 0x34, 0, 0, // checksum
            0xa0, 0xb0, 0xc0, 0xd0, 0xff, 0xff, 0xff, 0xff, // key, sequence number
        ];
        assert_eq!(bytes[..16], changed);

        let mut bytes = PLAIN;
        let (gre, payload) = Gre::parse_mut(&mut bytes).unwrap();
        assert!(!gre.set_key(1) && !gre.set_sequence_number(1) && !gre.set_checksum(1));
        gre.fill_checksum(payload);
        assert_eq!(bytes, PLAIN);
    }

    #[test]
    fn reserved_bytes_are_covered_by_the_checksum_and_sent_as_zeros() {
        let mut bytes = FULL;
        bytes[CHECKSUM_AT + 3] = 1;
        let (gre, payload) = Gre::parse_mut(&mut bytes).unwrap();
        assert!(!gre.verify_checksum(payload));
        gre.fill_checksum(payload);
        assert_eq!(bytes, FULL);
    }
}
