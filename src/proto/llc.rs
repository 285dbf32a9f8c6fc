//! Frames with a length instead of an ether type (IEEE 802.3, 802.2).

#![forbid(unsafe_code)]

use std::fmt;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::fields::{fields, view};
use crate::proto::{EtherType, ParseError};

/// Header of logical link control (IEEE 802.2, section 3.2), which says what a frame of IEEE 802.3 carries.
///
/// ```text
/// byte   0  destination service access point  1
///        1  source service access point       1
///        2  control                           1 or 2  1 in unnumbered frames: bits 0 and 1 are set
/// ```
///
/// It follows an Ethernet header or VLAN tag of which the ether type [is a length](EtherType::is_length). A [`Snap`] header
/// may follow it.
///
/// ```
/// use fluxcap::proto::{EtherType, Ethernet, Llc, ParseError, Snap};
///
/// let mut frame = [0; 60];
/// frame[12..22].copy_from_slice(&[
///     0x00, 0x08, // length
///     0xaa, 0xaa, 0x03, // LLC
///     0x00, 0x00, 0x00, 0x08, 0x00, // SNAP
/// ]);
/// let (ethernet, padded) = Ethernet::parse(&frame)?;
/// let (llc, rest) = Llc::parse(ethernet.ether_type().cut(padded)?)?;
/// assert!(llc.is_snap());
/// let (snap, packet) = Snap::parse(rest)?;
/// assert_eq!(snap.ether_type(), Some(EtherType::IPV4));
/// assert!(packet.is_empty());
/// # Ok::<(), ParseError>(())
/// ```
#[derive(Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Llc {
    destination_sap: u8,
    source_sap: u8,
    control: u8,
    more_control: [u8],
}

impl Llc {
    /// Length of the header of an unnumbered frame, in bytes; the others have one byte more.
    pub const LEN: usize = 3;

    /// Service access point of the spanning tree protocol (IEEE 802.1D).
    pub const SPANNING_TREE: u8 = 0x42;
    /// Service access point that says that a [`Snap`] header follows.
    pub const SNAP: u8 = 0xaa;
    /// Service access point of IS-IS and other protocols of ISO (RFC 1195).
    pub const ISO: u8 = 0xfe;
    /// Control of a frame that carries data and is not numbered.
    pub const UNNUMBERED_INFORMATION: u8 = 0x03;

    /// The header at the start of `bytes`, which [`EtherType::cut`] gave, and all that follows it.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if the header is longer than `bytes`.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        let more = more_control(bytes)?;
        Self::ref_from_prefix_with_elems(bytes, more).map_err(|_| truncated(bytes.len()))
    }

    /// Like [`Llc::parse`], to change the frame in place.
    ///
    /// # Errors
    ///
    /// As [`Llc::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let more = more_control(bytes)?;
        let too_short = truncated(bytes.len());
        Self::mut_from_prefix_with_elems(bytes, more).map_err(|_| too_short)
    }

    /// Makes the start of `bytes` the header of an unnumbered frame with data, from and to the same service access point,
    /// and gives it and all that follows it.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if there are fewer than [`Llc::LEN`] bytes.
    #[inline]
    pub fn write(bytes: &mut [u8], sap: u8) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let too_short = truncated(bytes.len());
        let (llc, rest) = Self::mut_from_prefix_with_elems(bytes, 0).map_err(|_| too_short)?;
        llc.destination_sap = sap;
        llc.source_sap = sap;
        llc.control = Self::UNNUMBERED_INFORMATION;
        Ok((llc, rest))
    }

    /// Length of the header in bytes: 3 or 4.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        size_of_val(self)
    }
}

fields!(Llc:
    /// Which service the frame is for (DSAP); the lowest bit says that it is a group of them.
    destination_sap() -> u8;
    /// Which service sent the frame (SSAP); the lowest bit says that it is a response.
    source_sap() -> u8;
    /// Sets which service the frame is for.
    set_destination_sap(destination_sap: u8);
    /// Sets which service sent the frame.
    set_source_sap(source_sap: u8);
);

impl Llc {
    /// The control field: one byte in unnumbered frames, two in all others, of which the first is the upper one.
    #[inline]
    #[must_use]
    pub fn control(&self) -> u16 {
        match self.more_control {
            [low, ..] => u16::from_be_bytes([self.control, low]),
            [] => self.control.into(),
        }
    }

    /// Whether a [`Snap`] header follows.
    #[inline]
    #[must_use]
    pub fn is_snap(&self) -> bool {
        (self.destination_sap, self.source_sap) == (Self::SNAP, Self::SNAP)
            && self.control == Self::UNNUMBERED_INFORMATION
    }
}

/// How many bytes of control there are behind the first.
#[inline]
fn more_control(bytes: &[u8]) -> Result<usize, ParseError> {
    let more = match *bytes {
        [_, _, control, ..] => usize::from(control & 3 != 3),
        _ => return Err(truncated(bytes.len())),
    };
    // A fourth byte is needed for two of control.
    if bytes.len() < Llc::LEN.wrapping_add(more) {
        return Err(truncated(bytes.len()));
    }
    Ok(more)
}

const fn truncated(available: usize) -> ParseError {
    match available {
        ..Llc::LEN => ParseError::truncated(("LLC", "header", 0), Llc::LEN, available),
        _ => ParseError::truncated(("LLC", "control", 2), Llc::LEN + 1, available),
    }
}

impl fmt::Display for Llc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (self.source_sap, self.destination_sap);
        let control = self.control();
        write!(
            f,
            "LLC {source:#04x} > {destination:#04x} control {control:#x}"
        )
    }
}

/// Subnetwork access protocol header (IEEE 802, section 9; RFC 1042), behind [`Llc`].
///
/// ```text
/// byte   0  organization  3   0, that an ether type follows
///        3  protocol      2
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Snap {
    organization: [u8; 3],
    protocol: U16,
}

/// Of frames translated between kinds of networks (IEEE 802.1H).
const BRIDGE_TUNNEL: [u8; 3] = [0x00, 0x00, 0xf8];

view!(Snap, "SNAP":
    /// The header at the start of `bytes`, the payload of [`Llc`], and all that follows it.
);

impl Snap {
    /// Whose number the protocol is: an organizationally unique identifier (OUI).
    #[inline]
    #[must_use]
    pub fn organization(&self) -> [u8; 3] {
        self.organization
    }
}

fields!(Snap:
    /// What follows, as the organization numbers it.
    protocol() -> u16;
    /// Sets what follows, as the organization numbers it.
    set_protocol(protocol: u16);
);

impl Snap {
    /// What follows, if the organization says that it is an ether type (RFC 1042, IEEE 802.1H).
    #[inline]
    #[must_use]
    pub fn ether_type(&self) -> Option<EtherType> {
        let is_ether_type = self.organization == [0; 3] || self.organization == BRIDGE_TUNNEL;
        is_ether_type.then_some(EtherType(self.protocol.get()))
    }

    /// Sets whose number the protocol is.
    #[inline]
    pub fn set_organization(&mut self, organization: [u8; 3]) {
        self.organization = organization;
    }

    /// Sets what follows, and that it is an ether type (RFC 1042).
    #[inline]
    pub fn set_ether_type(&mut self, ether_type: EtherType) {
        self.organization = [0; 3];
        self.protocol.set(ether_type.0);
    }
}

impl fmt::Display for Snap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ether_type) = self.ether_type() {
            return write!(f, "SNAP {ether_type}");
        }
        let ([a, b, c], protocol) = (self.organization, self.protocol());
        write!(f, "SNAP {a:02x}:{b:02x}:{c:02x} protocol {protocol:#06x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 packet in an 802.3 frame: behind the length, up to the packet.
    const IPV4: [u8; 9] = [
        0xaa, 0xaa, 0x03, // LLC: SNAP, unnumbered
        0x00, 0x00, 0x00, 0x08, 0x00, // SNAP: IPv4
        0x45, // first byte of the payload
    ];
    /// A spanning tree message.
    const TREE: [u8; 5] = [0x42, 0x42, 0x03, 0x00, 0x00];
    /// A numbered frame of NetBIOS.
    const NUMBERED: [u8; 5] = [0xf0, 0xf1, 0x04, 0x06, 0xee];

    #[test]
    fn a_header_shows_its_fields_and_payload() {
        let (llc, payload) = Llc::parse(&TREE).unwrap();
        assert_eq!((llc.header_len(), Llc::LEN), (3, 3));
        assert_eq!(llc.destination_sap(), Llc::SPANNING_TREE);
        assert_eq!(llc.source_sap(), Llc::SPANNING_TREE);
        assert_eq!(llc.control(), 3);
        assert!(!llc.is_snap());
        assert_eq!(payload, [0, 0]);
        assert_eq!(llc.to_string(), "LLC 0x42 > 0x42 control 0x3");
    }

    #[test]
    fn numbered_frames_have_two_bytes_of_control() {
        for control in 0..=u8::MAX {
            let mut bytes = NUMBERED;
            bytes[2] = control;
            let (llc, payload) = Llc::parse(&bytes).unwrap();
            let len = if control & 3 == 3 { 3 } else { 4 };
            assert_eq!((llc.header_len(), payload), (len, &bytes[len..]));
        }
        let (llc, payload) = Llc::parse(&NUMBERED).unwrap();
        assert_eq!((llc.control(), payload), (0x0406, &[0xee][..]));
        assert_eq!(llc.to_string(), "LLC 0xf1 > 0xf0 control 0x406");
    }

    #[test]
    fn an_ether_type_follows_in_a_snap_header() {
        let (llc, rest) = Llc::parse(&IPV4).unwrap();
        assert!(llc.is_snap());
        let (snap, payload) = Snap::parse(rest).unwrap();
        assert_eq!(Snap::LEN, 5);
        assert_eq!((snap.organization(), snap.protocol()), ([0; 3], 0x0800));
        assert_eq!(snap.ether_type(), Some(EtherType::IPV4));
        assert_eq!(payload, [0x45]);
        assert_eq!(snap.to_string(), "SNAP IPv4");
        for at in 0..3 {
            let mut bytes = IPV4;
            bytes[at] ^= 0x10;
            assert!(!Llc::parse(&bytes).unwrap().0.is_snap());
        }
    }

    #[test]
    fn numbers_of_an_organization_are_no_ether_types() {
        let discovery = [0x00, 0x00, 0x0c, 0x20, 0x00];
        let (snap, _) = Snap::parse(&discovery).unwrap();
        assert_eq!(snap.ether_type(), None);
        assert_eq!(snap.to_string(), "SNAP 00:00:0c protocol 0x2000");
        let translated = [0x00, 0x00, 0xf8, 0x08, 0x06];
        let (snap, _) = Snap::parse(&translated).unwrap();
        assert_eq!(snap.ether_type(), Some(EtherType::ARP));
    }

    #[test]
    fn a_truncated_header_names_what_is_missing() {
        for available in 0..4 {
            let (field, at, needed) = match available {
                0..3 => ("header", 0, 3),
                _ => ("control", 2, 4),
            };
            let error = ParseError::truncated(("LLC", field, at), needed, available);
            let mut bytes = NUMBERED;
            assert_eq!(Llc::parse(&bytes[..available]), Err(error));
            assert_eq!(Llc::parse_mut(&mut bytes[..available]), Err(error));
        }
        assert!(Llc::parse(&TREE[..3]).unwrap().1.is_empty());
        for available in 0..Snap::LEN {
            let mut bytes = IPV4;
            let error = Snap::truncated(available);
            assert_eq!(Snap::parse(&bytes[..available]), Err(error));
            assert_eq!(Snap::parse_mut(&mut bytes[..available]), Err(error));
        }
    }

    #[test]
    fn a_built_frame_is_the_one_on_the_wire() {
        let mut bytes = [0xee; 9];
        let (_, rest) = Llc::write(&mut bytes, Llc::SNAP).unwrap();
        let (snap, payload) = Snap::parse_mut(rest).unwrap();
        snap.set_ether_type(EtherType::IPV4);
        payload[0] = 0x45;
        assert_eq!(bytes, IPV4);
        for available in 0..Llc::LEN {
            let error = truncated(available);
            assert_eq!(Llc::write(&mut bytes[..available], 0), Err(error));
        }
        assert_eq!(bytes, IPV4);
    }

    #[test]
    fn setters_write_the_frame_itself() {
        let mut bytes = [0x00, 0x00, 0xff, 0, 0, 0, 0, 0];
        let (llc, rest) = Llc::parse_mut(&mut bytes).unwrap();
        llc.set_destination_sap(Llc::ISO);
        llc.set_source_sap(0xff);
        let (snap, _) = Snap::parse_mut(rest).unwrap();
        snap.set_organization([0x00, 0x00, 0x0c]);
        snap.set_protocol(0x2000);
        assert_eq!(bytes, [0xfe, 0xff, 0xff, 0x00, 0x00, 0x0c, 0x20, 0x00]);
    }
}
