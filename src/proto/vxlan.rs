//! Virtual extensible LAN (RFC 7348).

#![forbid(unsafe_code)]

use std::fmt;

use zerocopy::network_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::ParseError;
use crate::proto::fields::{fields, view};

/// VXLAN header (RFC 7348, section 5). The payload is an Ethernet frame.
///
/// ```text
/// byte   0  flags     1   0x08, that there is a network identifier
///        1  reserved  3
///        4  network   3   VXLAN network identifier (VNI)
///        7  reserved  1
/// ```
///
/// ```
/// use fluxcap::proto::{ParseError, Vxlan};
///
/// let mut payload = *b"\0\0\0\0\0\0\0\0an Ethernet frame"; // of UDP to Vxlan::PORT
/// Vxlan::write(&mut payload, 42)?;
/// let (vxlan, frame) = Vxlan::parse(&payload)?;
/// assert_eq!((vxlan.vni(), frame), (42, &b"an Ethernet frame"[..]));
/// # Ok::<(), ParseError>(())
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Vxlan {
    flags: u8,
    reserved: [u8; 3],
    vni_and_reserved: U32,
}

const VNI_PRESENT: u8 = 0x08;

view!(Vxlan, "VXLAN", check "if the flags say that there is no network identifier":
    /// The header at the start of `bytes`, a UDP payload, and the frame behind it.
    ///
    /// Of the reserved bits any value is taken (RFC 7348, section 5).
);

impl Vxlan {
    /// The UDP port that VXLAN is sent to. Linux uses 8472 unless told otherwise.
    pub const PORT: u16 = 4789;

    /// Makes the start of `bytes` a header of this network, of which the lower 24 bits count, and gives it and the room for
    /// the frame.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if there are fewer than [`Vxlan::LEN`] bytes.
    #[inline]
    pub fn write(bytes: &mut [u8], vni: u32) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let available = bytes.len();
        let (vxlan, frame) =
            Self::mut_from_prefix(bytes).map_err(|_| Self::truncated(available))?;
        *vxlan = Self {
            flags: VNI_PRESENT,
            reserved: [0; 3],
            vni_and_reserved: U32::new(vni << 8),
        };
        Ok((vxlan, frame))
    }

    #[inline]
    fn check(&self) -> Result<(), ParseError> {
        if self.flags & VNI_PRESENT == 0 {
            let place = ("VXLAN", "flags", 0);
            return Err(ParseError::malformed(place, self.flags.into()));
        }
        Ok(())
    }
}

fields!(Vxlan:
    /// The flags: 0x08, and what extensions of the protocol add.
    flags() -> u8;
);

impl Vxlan {
    /// VXLAN network identifier: which virtual network, 0 to 16,777,215.
    #[inline]
    #[must_use]
    pub fn vni(&self) -> u32 {
        self.vni_and_reserved.get() >> 8
    }

    /// Sets which virtual network, of which the lower 24 bits count.
    #[inline]
    pub fn set_vni(&mut self, vni: u32) {
        let reserved = self.vni_and_reserved.get() & 0xff;
        self.vni_and_reserved.set(vni << 8 | reserved);
    }
}

impl fmt::Display for Vxlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VXLAN {}", self.vni())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: [u8; 10] = [
        0x08, 0x00, 0x00, 0x00, // flags
        0x12, 0x34, 0x56, 0x00, // network
        0x02, 0x00, // first bytes of the frame
    ];

    #[test]
    fn a_header_shows_its_fields_and_the_frame() {
        let (vxlan, frame) = Vxlan::parse(&PACKET).unwrap();
        assert_eq!(Vxlan::LEN, 8);
        assert_eq!((vxlan.flags(), vxlan.vni()), (0x08, 0x12_3456));
        assert_eq!(frame, [0x02, 0x00]);
        assert_eq!(vxlan.to_string(), "VXLAN 1193046");
    }

    #[test]
    fn a_truncated_header_names_what_is_missing() {
        for available in 0..Vxlan::LEN {
            let mut bytes = PACKET;
            let error = Vxlan::truncated(available);
            assert_eq!(Vxlan::parse(&bytes[..available]), Err(error));
            assert_eq!(Vxlan::parse_mut(&mut bytes[..available]), Err(error));
            assert_eq!(Vxlan::write(&mut bytes[..available], 1), Err(error));
            assert_eq!(bytes, PACKET);
        }
    }

    #[test]
    fn a_header_needs_its_network_flag_and_no_other() {
        for flags in 0..=u8::MAX {
            let mut bytes = PACKET;
            bytes[0] = flags;
            let error = ParseError::malformed(("VXLAN", "flags", 0), flags.into());
            let is_valid = flags & 0x08 != 0;
            assert_eq!(Vxlan::parse(&bytes).err(), (!is_valid).then_some(error));
            assert_eq!(Vxlan::parse_mut(&mut bytes).is_ok(), is_valid);
        }
    }

    #[test]
    fn a_setter_changes_its_own_bits_only() {
        let mut bytes = [0xff; 10];
        let (vxlan, _) = Vxlan::parse_mut(&mut bytes).unwrap();
        assert_eq!(vxlan.vni(), 0xff_ffff);
        vxlan.set_vni(0x9912_3456);
        assert_eq!(vxlan.vni(), 0x12_3456);
        assert_eq!(
            bytes,
            [0xff, 0xff, 0xff, 0xff, 0x12, 0x34, 0x56, 0xff, 0xff, 0xff]
        );
    }

    #[test]
    fn a_built_header_is_the_one_on_the_wire() {
        let mut bytes = [0xee; 10];
        let (vxlan, frame) = Vxlan::write(&mut bytes, 0x9900_0001).unwrap();
        assert_eq!(vxlan.vni(), 1);
        vxlan.set_vni(0x12_3456);
        frame.copy_from_slice(&PACKET[8..]);
        assert_eq!(bytes, PACKET);
    }
}
