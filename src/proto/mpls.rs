//! Multiprotocol label switching (RFC 3032).

#![forbid(unsafe_code)]

use std::fmt;

use zerocopy::network_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::proto::{EtherType, ParseError};

/// MPLS label stack entry (RFC 3032, section 2.1).
///
/// ```text
/// byte   0  label, traffic class, bottom of stack  20 + 3 + 1 bits  RFC 5462
///        3  time to live                           1
/// ```
///
/// Entries follow one another, the topmost first, up to the one at the bottom of the stack: [`Mpls::parse_stack`] reads
/// all of them.
///
/// ```
/// use fluxcap::proto::{EtherType, Mpls, ParseError};
///
/// let bytes = [
///     0x00, 0x06, 0x40, 0x40, // label 100, ttl 64
///     0x00, 0x0c, 0x81, 0x40, // label 200 at the bottom, ttl 64
///     0x45, // an IPv4 packet
/// ];
/// let (stack, packet) = Mpls::parse_stack(&bytes)?;
/// assert_eq!(stack[0].label(), 100);
/// assert_eq!(stack[1].to_string(), "MPLS label 200 class 0 ttl 64 bottom");
/// assert_eq!(stack[1].guess_payload(packet), Some(EtherType::IPV4));
/// # Ok::<(), ParseError>(())
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(transparent)]
pub struct Mpls {
    entry: U32,
}

const LABEL_SHIFT: u32 = 12;
const TRAFFIC_CLASS_SHIFT: u32 = 9;
const TRAFFIC_CLASS_MASK: u32 = 7 << TRAFFIC_CLASS_SHIFT;
const BOTTOM: u32 = 0x100;
const TTL_MASK: u32 = 0xff;

impl Mpls {
    /// Length of an entry in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// How many entries [`Mpls::parse_stack`] reads. Routers push a few; more than a dozen are not seen.
    pub const MAX_STACK: usize = 16;

    /// Label of what is IPv4 behind the bottom of the stack (RFC 3032, section 2.1).
    pub const IPV4_EXPLICIT_NULL: u32 = 0;
    /// Label of a packet that every router must look at; never at the bottom.
    pub const ROUTER_ALERT: u32 = 1;
    /// Label of what is IPv6 behind the bottom of the stack.
    pub const IPV6_EXPLICIT_NULL: u32 = 2;
    /// Label that routers tell each other to have the top entry removed; in no packet.
    pub const IMPLICIT_NULL: u32 = 3;
    /// Label that says that the next one is there to spread the load (RFC 6790).
    pub const ENTROPY_INDICATOR: u32 = 7;

    /// The entry at the start of `bytes`, an Ethernet payload, and all that follows it: the next entry, or behind the
    /// [bottom](Mpls::is_bottom) of the stack the packet.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if there are fewer than [`Mpls::LEN`] bytes.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        Self::ref_from_prefix(bytes).map_err(|_| truncated(0, bytes.len()))
    }

    /// Like [`Mpls::parse`], to change the entry in place.
    ///
    /// # Errors
    ///
    /// As [`Mpls::parse`].
    #[inline]
    pub fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let available = bytes.len();
        Self::mut_from_prefix(bytes).map_err(|_| truncated(0, available))
    }

    /// All entries at the start of `bytes`, topmost first, and the packet behind them. The last one, and no other, is the
    /// [bottom](Mpls::is_bottom) of the stack.
    ///
    /// # Errors
    ///
    /// [`Fault::Truncated`](crate::proto::Fault) if `bytes` end before the bottom of the stack,
    /// [`Fault::Malformed`](crate::proto::Fault) if it is not among [`Mpls::MAX_STACK`] entries.
    #[inline]
    pub fn parse_stack(bytes: &[u8]) -> Result<(&[Self], &[u8]), ParseError> {
        let depth = depth(bytes)?;
        <[Self]>::ref_from_prefix_with_elems(bytes, depth).map_err(|_| truncated(0, bytes.len()))
    }

    /// Like [`Mpls::parse_stack`], to change the entries in place.
    ///
    /// # Errors
    ///
    /// As [`Mpls::parse_stack`].
    #[inline]
    pub fn parse_stack_mut(bytes: &mut [u8]) -> Result<(&mut [Self], &mut [u8]), ParseError> {
        let depth = depth(bytes)?;
        let too_short = truncated(0, bytes.len());
        <[Self]>::mut_from_prefix_with_elems(bytes, depth).map_err(|_| too_short)
    }

    /// An entry of `label` and time to live, of traffic class 0, not at the bottom of the stack. Of the label the lower 20
    /// bits count.
    #[inline]
    #[must_use]
    pub const fn new(label: u32, ttl: u8) -> Self {
        Self {
            entry: U32::new(label << LABEL_SHIFT | ttl as u32),
        }
    }

    /// What the router does with the packet, 0 to 1,048,575; below 16 the meaning is fixed.
    #[inline]
    #[must_use]
    pub fn label(&self) -> u32 {
        self.entry.get() >> LABEL_SHIFT
    }

    /// Traffic class (RFC 5462), once called experimental bits: 0 to 7.
    #[inline]
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        let [_, _, class_and_bottom, _] = self.entry.to_bytes();
        class_and_bottom >> 1 & 7
    }

    /// Whether this entry is the last: the packet follows.
    #[inline]
    #[must_use]
    pub fn is_bottom(&self) -> bool {
        self.entry.get() & BOTTOM != 0
    }

    /// Time to live: how many more hops the packet may take.
    #[inline]
    #[must_use]
    pub fn ttl(&self) -> u8 {
        let [.., ttl] = self.entry.to_bytes();
        ttl
    }

    /// What `payload`, behind this entry at the bottom of the stack, seems to be: IPv4, IPv6, or `None` for all else.
    ///
    /// MPLS does not say. Explicit null labels do; behind all others the first four bits are taken for an IP version, as
    /// routers do to spread the load (RFC 4928, section 2). An Ethernet frame without a control word before it, of which the
    /// destination starts with 4 or 6, is taken for IP.
    #[inline]
    #[must_use]
    pub fn guess_payload(&self, payload: &[u8]) -> Option<EtherType> {
        match (self.label(), payload.first().map(|first| first >> 4)) {
            (Self::IPV4_EXPLICIT_NULL, _) => Some(EtherType::IPV4),
            (Self::IPV6_EXPLICIT_NULL, _) => Some(EtherType::IPV6),
            (_, Some(4)) => Some(EtherType::IPV4),
            (_, Some(6)) => Some(EtherType::IPV6),
            _ => None,
        }
    }

    /// Sets the label, of which the lower 20 bits count.
    #[inline]
    pub fn set_label(&mut self, label: u32) {
        let rest = self.entry.get() & (TRAFFIC_CLASS_MASK | BOTTOM | TTL_MASK);
        self.entry.set(label << LABEL_SHIFT | rest);
    }

    /// Sets the traffic class, of which the lower 3 bits count.
    #[inline]
    pub fn set_traffic_class(&mut self, traffic_class: u8) {
        let rest = self.entry.get() & !TRAFFIC_CLASS_MASK;
        let class = u32::from(traffic_class) << TRAFFIC_CLASS_SHIFT & TRAFFIC_CLASS_MASK;
        self.entry.set(rest | class);
    }

    /// Sets whether this entry is the last. The stack that parsing gave keeps its length.
    #[inline]
    pub fn set_bottom(&mut self, is_bottom: bool) {
        let rest = self.entry.get() & !BOTTOM;
        self.entry.set(rest | if is_bottom { BOTTOM } else { 0 });
    }

    /// Sets the time to live.
    #[inline]
    pub fn set_ttl(&mut self, ttl: u8) {
        let rest = self.entry.get() & !TTL_MASK;
        self.entry.set(rest | u32::from(ttl));
    }

    /// Takes one hop off the time to live.
    ///
    /// Gives `false`, and changes nothing, if no hop is left: a router must then drop the packet
    /// (RFC 3032, section 2.4).
    #[inline]
    #[must_use = "a packet without hops left must not be forwarded"]
    pub fn decrement_ttl(&mut self) -> bool {
        let ttl = self.ttl();
        if ttl <= 1 {
            return false;
        }
        self.set_ttl(ttl.wrapping_sub(1));
        true
    }
}

/// How many entries the stack has.
#[inline]
fn depth(bytes: &[u8]) -> Result<usize, ParseError> {
    let (entries, _) = bytes.as_chunks::<{ Mpls::LEN }>();
    for (above, &[_, _, class_and_bottom, _]) in entries.iter().take(Mpls::MAX_STACK).enumerate() {
        if class_and_bottom & 1 == 1 {
            return Ok(above.wrapping_add(1));
        }
    }
    if entries.len() < Mpls::MAX_STACK {
        let start = entries.len().wrapping_mul(Mpls::LEN);
        return Err(truncated(start, bytes.len()));
    }
    let last = (Mpls::MAX_STACK - 1) * Mpls::LEN;
    let place = ("MPLS", "bottom of the sixteenth entry", last);
    Err(ParseError::malformed(place, 0))
}

/// Of an entry that starts at `offset`.
const fn truncated(offset: usize, available: usize) -> ParseError {
    let left = available.saturating_sub(offset);
    ParseError::truncated(("MPLS", "header", 0), Mpls::LEN, left).at(offset)
}

impl fmt::Display for Mpls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (label, class, ttl) = (self.label(), self.traffic_class(), self.ttl());
        write!(f, "MPLS label {label} class {class} ttl {ttl}")?;
        if self.is_bottom() {
            f.write_str(" bottom")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Label 16 of class 5, below it label 1,048,575 at the bottom, then IPv4.
    const STACK: [u8; 10] = [
        0x00, 0x01, 0x0a, 0xfe, // label 16, class 5, ttl 254
        0xff, 0xff, 0xf1, 0x01, // label 1,048,575, bottom, ttl 1
        0x45, 0x00, // first bytes of the packet
    ];

    fn both_refuse_stack(bytes: &[u8], error: ParseError) {
        assert_eq!(Mpls::parse_stack(bytes), Err(error));
        assert_eq!(Mpls::parse_stack_mut(&mut bytes.to_vec()), Err(error));
    }

    #[test]
    fn an_entry_shows_its_fields_and_what_follows() {
        let (top, rest) = Mpls::parse(&STACK).unwrap();
        assert_eq!(Mpls::LEN, 4);
        assert_eq!((top.label(), top.traffic_class(), top.ttl()), (16, 5, 254));
        assert!(!top.is_bottom());
        assert_eq!(top.to_string(), "MPLS label 16 class 5 ttl 254");
        let (bottom, packet) = Mpls::parse(rest).unwrap();
        assert_eq!((bottom.label(), bottom.traffic_class()), (0xf_ffff, 0));
        assert!(bottom.is_bottom());
        assert_eq!(packet, [0x45, 0x00]);
        let text = "MPLS label 1048575 class 0 ttl 1 bottom";
        assert_eq!(bottom.to_string(), text);
    }

    #[test]
    fn a_stack_ends_at_its_bottom() {
        let (stack, packet) = Mpls::parse_stack(&STACK).unwrap();
        assert_eq!(stack.len(), 2);
        assert!(!stack[0].is_bottom() && stack[1].is_bottom());
        assert_eq!(packet, [0x45, 0x00]);
        let mut bytes = STACK;
        let (stack, packet) = Mpls::parse_stack_mut(&mut bytes).unwrap();
        stack[1].set_ttl(9);
        packet[1] = 7;
        assert_eq!(bytes[7..], [9, 0x45, 7]);
        // What follows the bottom may look like an entry.
        let (stack, packet) = Mpls::parse_stack(&[0xff; 12]).unwrap();
        assert_eq!((stack.len(), packet.len()), (1, 8));
    }

    #[test]
    fn a_truncated_entry_names_what_is_missing() {
        for available in 0..Mpls::LEN {
            let mut bytes = STACK;
            let error = truncated(0, available);
            assert_eq!(Mpls::parse(&bytes[..available]), Err(error));
            assert_eq!(Mpls::parse_mut(&mut bytes[..available]), Err(error));
        }
    }

    #[test]
    fn a_truncated_stack_names_the_entry_that_is_missing() {
        for available in 0..8 {
            let error = truncated(available / 4 * 4, available);
            both_refuse_stack(&STACK[..available], error);
        }
        let error = Mpls::parse_stack(&STACK[..7]).unwrap_err();
        let text = "MPLS header at byte 4 needs 4 bytes, only 3 are there";
        assert_eq!(error.to_string(), text);
        assert!(Mpls::parse_stack(&STACK[..8]).is_ok());
    }

    #[test]
    fn a_stack_without_a_bottom_is_bounded() {
        let mut bytes = [0; 4 * 1000];
        let error = ParseError::malformed(("MPLS", "bottom of the sixteenth entry", 60), 0);
        both_refuse_stack(&bytes, error);
        both_refuse_stack(&bytes[..64], error);
        both_refuse_stack(&bytes[..63], truncated(60, 63));
        bytes[62] = 1;
        let (stack, rest) = Mpls::parse_stack(&bytes).unwrap();
        assert_eq!(stack.len(), Mpls::MAX_STACK);
        assert_eq!(rest.len(), bytes.len() - 64);
    }

    #[test]
    fn the_payload_is_guessed_by_label_and_version() {
        for (label, payload, guess) in [
            (16, &[0x45_u8][..], Some(EtherType::IPV4)),
            (16, &[0x60], Some(EtherType::IPV6)),
            (16, &[0x00], None), // the control word of a pseudowire (RFC 4385)
            (16, &[], None),
            (Mpls::IPV4_EXPLICIT_NULL, &[0x60], Some(EtherType::IPV4)),
            (Mpls::IPV6_EXPLICIT_NULL, &[], Some(EtherType::IPV6)),
        ] {
            assert_eq!(Mpls::new(label, 64).guess_payload(payload), guess);
        }
    }

    #[test]
    fn a_setter_changes_its_own_bits_only() {
        for fill in [0x00, 0xff] {
            let mut bytes = [fill; 5];
            let (mpls, _) = Mpls::parse_mut(&mut bytes).unwrap();
            let before = *mpls;
            mpls.set_label(0xffa_bcde);
            assert_eq!(mpls.label(), 0xa_bcde);
            assert_eq!(mpls.traffic_class(), before.traffic_class());
            mpls.set_traffic_class(0x0a);
            assert_eq!((mpls.label(), mpls.traffic_class()), (0xa_bcde, 2));
            assert_eq!(mpls.is_bottom(), before.is_bottom());
            mpls.set_bottom(!before.is_bottom());
            assert_ne!(mpls.is_bottom(), before.is_bottom());
            assert_eq!((mpls.label(), mpls.traffic_class()), (0xa_bcde, 2));
            assert_eq!(mpls.ttl(), fill);
            mpls.set_ttl(0x5a);
            assert_eq!((mpls.ttl(), mpls.label()), (0x5a, 0xa_bcde));
            assert_ne!(mpls.is_bottom(), before.is_bottom());
            assert_eq!(bytes[4], fill);
        }
    }

    #[test]
    fn a_built_stack_is_the_one_on_the_wire() {
        let mut bytes = [0; 10];
        let (top, rest) = Mpls::parse_mut(&mut bytes).unwrap();
        *top = Mpls::new(16, 254);
        top.set_traffic_class(5);
        let (bottom, packet) = Mpls::parse_mut(rest).unwrap();
        *bottom = Mpls::new(0xfff_ffff, 1);
        bottom.set_bottom(true);
        packet.copy_from_slice(&STACK[8..]);
        assert_eq!(bytes, STACK);
    }

    #[test]
    fn the_last_hop_is_not_taken() {
        let mut mpls = Mpls::new(16, 2);
        assert!(mpls.decrement_ttl());
        for left in [1, 0] {
            mpls.set_ttl(left);
            assert!(!mpls.decrement_ttl());
            assert_eq!((mpls.ttl(), mpls.label()), (left, 16));
        }
    }
}
