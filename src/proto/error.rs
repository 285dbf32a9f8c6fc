//! Why bytes are not what they were parsed as.

#![forbid(unsafe_code)]

/// Why bytes are not a header of the protocol they were parsed as: which field, where, and what is wrong with it.
///
/// ```
/// use fluxcap::proto::{Fault, Ipv4};
///
/// let mut packet = [0; 20];
/// packet[0] = 0x44;
/// let error = Ipv4::parse(&packet).unwrap_err();
/// assert_eq!(error.to_string(), "IPv4 IHL at byte 0 cannot be 4");
/// assert_eq!((error.field(), error.offset()), ("IHL", 0));
/// assert_eq!(error.fault(), Fault::Malformed { value: 4 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{protocol} {field} at byte {offset} {fault}")]
pub struct ParseError {
    protocol: &'static str,
    field: &'static str,
    offset: u32,
    fault: Fault,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes end before the header does, or before the length that the field announces.
    #[error("needs {needed} bytes, only {available} are there")]
    Truncated {
        /// How many bytes are needed at least, counted from the start of the header.
        needed: u32,
        /// How many bytes there are, counted from the start of the header.
        available: u32,
    },
    /// The field holds a value that the protocol, or this view of it, does not allow.
    #[error("cannot be {value}")]
    Malformed {
        /// What the field holds.
        value: u32,
    },
}

impl ParseError {
    /// The header, or what `field` at byte `offset` of it announces, ends beyond the bytes.
    #[inline]
    pub(super) const fn truncated(
        (protocol, field, offset): (&'static str, &'static str, usize),
        needed: usize,
        available: usize,
    ) -> Self {
        Self {
            protocol,
            field,
            offset: number(offset),
            fault: Fault::Truncated {
                needed: number(needed),
                available: number(available),
            },
        }
    }

    /// `field` at byte `offset` of the header holds what it must not.
    #[inline]
    pub(super) const fn malformed(
        (protocol, field, offset): (&'static str, &'static str, usize),
        value: u32,
    ) -> Self {
        Self {
            protocol,
            field,
            offset: number(offset),
            fault: Fault::Malformed { value },
        }
    }

    /// The same, of a header that starts at byte `start`.
    #[inline]
    pub(super) const fn at(mut self, start: usize) -> Self {
        self.offset = self.offset.saturating_add(number(start));
        self
    }

    /// The protocol parsed, such as `"IPv4"`.
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// The field at fault, such as `"version"`; `"header"` where the fixed part of the header is cut short.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// Where the field starts, in bytes from the start of what was parsed.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset as usize
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        self.fault
    }

    /// Whether the bytes just end too early.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        matches!(self.fault, Fault::Truncated { .. })
    }
}

/// No packet is so large that this changes it.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "checked just before")]
const fn number(value: usize) -> u32 {
    if value > u32::MAX as usize {
        return u32::MAX;
    }
    value as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_sentences() {
        let truncated = ParseError::truncated(("ARP", "header", 0), 28, 9);
        let text = "ARP header at byte 0 needs 28 bytes, only 9 are there";
        assert_eq!(truncated.to_string(), text);
        assert!(truncated.is_truncated());
        let malformed = ParseError::malformed(("IPv4", "version", 0), 6).at(14);
        assert_eq!(malformed.to_string(), "IPv4 version at byte 14 cannot be 6");
        assert_eq!(malformed.offset(), 14);
        assert!(!malformed.is_truncated());
    }
}
