//! VLAN tags (IEEE 802.1Q and 802.1ad).

#![forbid(unsafe_code)]

use std::fmt;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::{EtherType, ParseError};

/// VLAN tag (IEEE 802.1Q, section 9.6), without the ether type before it that announces it.
///
/// ```text
/// byte   0  priority, drop eligible, VLAN id  3 + 1 + 12 bits
///        2  ether type                        2               of what follows
/// ```
///
/// Of two tags the outer one is announced by [`EtherType::QINQ`], of which the payload is another
/// tag; [`EtherType::is_vlan`] tells both.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Vlan {
    tag_control: U16,
    ether_type: U16,
}

const DROP_ELIGIBLE: u16 = 0x1000;
const ID_MASK: u16 = 0x0fff;

impl Vlan {
    /// Length of the tag in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// The tag at the start of `bytes`, an Ethernet payload, and all that follows it.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if there are fewer than [`Vlan::LEN`] bytes.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        Self::ref_from_prefix(bytes).map_err(|_| truncated(bytes.len()))
    }

    /// Like [`Vlan::parse`], to change the tag in place.
    ///
    /// # Errors
    ///
    /// As [`Vlan::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let available = bytes.len();
        Self::mut_from_prefix(bytes).map_err(|_| truncated(available))
    }

    /// Priority code point, 0 to 7.
    #[inline]
    #[must_use]
    pub fn priority(&self) -> u8 {
        self.tag_control.to_bytes()[0] >> 5
    }

    /// Whether this frame may be dropped before others.
    #[inline]
    #[must_use]
    pub fn drop_eligible(&self) -> bool {
        self.tag_control.get() & DROP_ELIGIBLE != 0
    }

    /// Which VLAN, 0 to 4095; 0 is none: such a tag has a priority only.
    #[inline]
    #[must_use]
    pub fn id(&self) -> u16 {
        self.tag_control.get() & ID_MASK
    }

    /// What follows this tag.
    #[inline]
    #[must_use]
    pub fn ether_type(&self) -> EtherType {
        EtherType(self.ether_type.get())
    }

    /// Priority, drop eligible, VLAN id: 3 + 1 + 12 bits.
    #[inline]
    pub(in crate::proto) fn tag_control(&self) -> u16 {
        self.tag_control.get()
    }

    /// Sets the priority, of which the lower 3 bits count.
    #[inline]
    pub fn set_priority(&mut self, priority: u8) {
        let rest = self.tag_control.get() & (DROP_ELIGIBLE | ID_MASK);
        self.tag_control.set(u16::from(priority & 7) << 13 | rest);
    }

    /// Sets whether this frame may be dropped before others.
    #[inline]
    pub fn set_drop_eligible(&mut self, drop_eligible: bool) {
        let rest = self.tag_control.get() & !DROP_ELIGIBLE;
        self.tag_control
            .set(rest | if drop_eligible { DROP_ELIGIBLE } else { 0 });
    }

    /// Sets which VLAN, of which the lower 12 bits count.
    #[inline]
    pub fn set_id(&mut self, id: u16) {
        let rest = self.tag_control.get() & !ID_MASK;
        self.tag_control.set(rest | id & ID_MASK);
    }

    /// Sets what follows this tag.
    #[inline]
    pub fn set_ether_type(&mut self, ether_type: EtherType) {
        self.ether_type.set(ether_type.0);
    }
}

/// A VLAN tag to write (IEEE 802.1Q, section 9.6).
///
/// A number alone is a tag too: a customer's, of priority 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanTag {
    /// Which VLAN, 0 to 4095.
    pub id: u16,
    /// Priority code point, 0 to 7.
    pub priority: u8,
    /// Whether this frame may be dropped before others.
    pub drop_eligible: bool,
    /// What announces the tag: [`EtherType::VLAN`] or [`EtherType::QINQ`].
    pub ether_type: EtherType,
}

impl VlanTag {
    /// A customer tag (802.1Q), the inner one of two: priority 0, not drop eligible.
    #[inline]
    #[must_use]
    pub const fn new(id: u16) -> Self {
        Self {
            id,
            priority: 0,
            drop_eligible: false,
            ether_type: EtherType::VLAN,
        }
    }

    /// A service tag (802.1ad), the outer one of two: priority 0, not drop eligible.
    #[inline]
    #[must_use]
    pub const fn service(id: u16) -> Self {
        Self {
            ether_type: EtherType::QINQ,
            ..Self::new(id)
        }
    }
}

impl From<u16> for VlanTag {
    #[inline]
    fn from(id: u16) -> Self {
        Self::new(id)
    }
}

const fn truncated(available: usize) -> ParseError {
    ParseError::truncated(("VLAN", "header", 0), Vlan::LEN, available)
}

impl fmt::Display for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, priority) = (self.id(), self.priority());
        write!(f, "VLAN {id} priority {priority} {}", self.ether_type())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Behind an Ethernet header: VLAN 100 at priority 5, drop eligible, then IPv4.
    const TAG: [u8; 6] = [0xb0, 0x64, 0x08, 0x00, 0x45, 0x00];

    #[test]
    fn a_tag_shows_its_fields_and_payload() {
        let (vlan, payload) = Vlan::parse(&TAG).unwrap();
        assert_eq!(Vlan::LEN, 4);
        assert_eq!((vlan.id(), vlan.priority()), (100, 5));
        assert!(vlan.drop_eligible());
        assert_eq!(vlan.ether_type(), EtherType::IPV4);
        assert_eq!(payload, [0x45, 0x00]);
        assert_eq!(vlan.to_string(), "VLAN 100 priority 5 IPv4");
    }

    #[test]
    fn a_truncated_tag_names_what_is_missing() {
        for available in 0..Vlan::LEN {
            let mut bytes = TAG;
            let error = truncated(available);
            assert_eq!(Vlan::parse(&bytes[..available]), Err(error));
            assert_eq!(Vlan::parse_mut(&mut bytes[..available]), Err(error));
        }
    }

    #[test]
    fn a_setter_changes_its_own_bits_only() {
        for fill in [0x00, 0xff] {
            let mut bytes = [fill; 4];
            let (vlan, _) = Vlan::parse_mut(&mut bytes).unwrap();
            let before = *vlan;
            vlan.set_id(0x1abc);
            assert_eq!(vlan.id(), 0xabc);
            assert_eq!(vlan.priority(), before.priority());
            assert_eq!(vlan.drop_eligible(), before.drop_eligible());
            vlan.set_priority(0x0a);
            assert_eq!((vlan.priority(), vlan.id()), (2, 0xabc));
            assert_eq!(vlan.drop_eligible(), before.drop_eligible());
            vlan.set_drop_eligible(!before.drop_eligible());
            assert_ne!(vlan.drop_eligible(), before.drop_eligible());
            assert_eq!((vlan.priority(), vlan.id()), (2, 0xabc));
            assert_eq!(bytes[2..], [fill; 2]);
        }
    }

    #[test]
    fn a_built_tag_is_the_one_on_the_wire() {
        let mut bytes = [0; 6];
        let (vlan, payload) = Vlan::parse_mut(&mut bytes).unwrap();
        vlan.set_id(100);
        vlan.set_priority(5);
        vlan.set_drop_eligible(true);
        vlan.set_ether_type(EtherType::IPV4);
        payload.copy_from_slice(&TAG[4..]);
        assert_eq!(bytes, TAG);
    }
}
