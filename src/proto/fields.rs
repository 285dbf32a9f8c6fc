//! What header views have in common: a fixed part laid over bytes, and fields that are read and written.

#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

use zerocopy::network_endian::{U16, U32};

/// A field of a header, and the type that users see.
pub(super) trait Field<T> {
    fn read(&self) -> T;
    fn write(&mut self, value: T);
}

impl<T: Copy> Field<T> for T {
    #[inline]
    fn read(&self) -> T {
        *self
    }

    #[inline]
    fn write(&mut self, value: T) {
        *self = value;
    }
}

/// Makes a field of another type one that is read as `$Type`, by these conversions.
macro_rules! field_type {
    ($Type:ty: $Field:ty, $read:expr, $write:expr) => {
        impl $crate::proto::fields::Field<$Type> for $Field {
            #[inline]
            fn read(&self) -> $Type {
                $read(*self)
            }

            #[inline]
            fn write(&mut self, value: $Type) {
                *self = $write(value);
            }
        }
    };
}

field_type!(u16: U16, U16::get, U16::new);
field_type!(u32: U32, U32::get, U32::new);
field_type!(Ipv4Addr: [u8; 4], Ipv4Addr::from, |address: Ipv4Addr| address.octets());
field_type!(Ipv6Addr: [u8; 16], Ipv6Addr::from, |address: Ipv6Addr| address.octets());

/// Gives a view getters and setters. A getter has the name of its field; a setter names it as its argument.
macro_rules! fields {
    ($View:ident: $($(#[$doc:meta])* $name:ident($($field:ident: $Set:ty)?) $(-> $Get:ty)?;)*) => {
        impl $View {
            $($crate::proto::fields::field!($(#[$doc])* $name($($field: $Set)?) $(-> $Get)?);)*
        }
    };
}

/// One of them.
macro_rules! field {
    ($(#[$doc:meta])* $name:ident() -> $Get:ty) => {
        $(#[$doc])*
        #[inline]
        #[must_use]
        pub fn $name(&self) -> $Get {
            $crate::proto::fields::Field::read(&self.$name)
        }
    };
    ($(#[$doc:meta])* $name:ident($field:ident: $Set:ty)) => {
        $(#[$doc])*
        #[inline]
        pub fn $name(&mut self, $field: $Set) {
            $crate::proto::fields::Field::write(&mut self.$field, $field);
        }
    };
}

/// Gives a view of fixed length `LEN`, `parse` and `parse_mut`. Errors have its name. With `check`, the view's own
/// `check(&self) -> Result<(), ParseError>` refuses values, and the words behind it say which.
macro_rules! view {
    ($View:ident, $name:literal $(, check $refused:literal)?: $(#[$doc:meta])*) => {
        impl $View {
            /// Length in bytes; of a message, that of the fixed part.
            pub const LEN: usize = size_of::<Self>();

            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// [`Fault::Truncated`](crate::proto::Fault) if there are fewer than `LEN` bytes.
            $(#[doc = concat!("[`Fault::Malformed`](crate::proto::Fault) ", $refused, ".")])?
            #[inline]
            pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), $crate::proto::ParseError> {
                let parsed = Self::ref_from_prefix(bytes);
                let (view, rest) = parsed.map_err(|_| Self::truncated(bytes.len()))?;
                $($crate::proto::fields::checked!(view, $refused);)?
                Ok((view, rest))
            }

            /// Like `parse`, to change the bytes in place.
            ///
            /// # Errors
            ///
            /// As `parse`.
            #[inline]
            pub fn parse_mut(
                bytes: &mut [u8],
            ) -> Result<(&mut Self, &mut [u8]), $crate::proto::ParseError> {
                let available = bytes.len();
                let parsed = Self::mut_from_prefix(bytes);
                let (view, rest) = parsed.map_err(|_| Self::truncated(available))?;
                $($crate::proto::fields::checked!(view, $refused);)?
                Ok((view, rest))
            }

            const fn truncated(available: usize) -> $crate::proto::ParseError {
                let place = ($name, "header", 0);
                $crate::proto::ParseError::truncated(place, Self::LEN, available)
            }
        }
    };
}

macro_rules! checked {
    ($view:ident, $refused:literal) => {
        $view.check()?
    };
}

/// Gives a view of a single message of ICMP or ICMPv6 what [`view!`] gives, and its first three fields.
///
/// The view's fields begin with `icmp_type`, `code` and `checksum`. Then come its name in errors, how types are numbered, and the types
/// and codes that it is a view of, as patterns.
macro_rules! message {
    ($View:ident, $name:literal, $Type:ident, $types:pat, $codes:pat) => {
        $crate::proto::fields::view!($View, $name, check "if the message is another one, by its type or code":
            /// The message at the start of `bytes`, which an IP packet carries, and what follows its
            /// fixed part.
        );

        $crate::proto::fields::fields!($View:
            /// What the message is.
            icmp_type() -> $crate::proto::$Type;
            /// What it is more exactly; the meaning depends on the type.
            code() -> u8;
            /// The checksum as it stands in the message.
            checksum() -> u16;
            /// Sets the checksum field as given.
            set_checksum(checksum: u16);
        );

        impl $View {
            #[inline]
            fn check(&self) -> Result<(), $crate::proto::ParseError> {
                let (field, offset, value) = match (self.icmp_type(), self.code) {
                    ($types, $codes) => return Ok(()),
                    #[allow(unreachable_patterns, reason = "where any code will do")]
                    ($types, code) => ("code", 1, code),
                    (other, _) => ("type", 0, other.0),
                };
                let place = ($name, field, offset);
                Err($crate::proto::ParseError::malformed(place, value.into()))
            }
        }
    };
}

pub(super) use {checked, field, field_type, fields, message, view};
