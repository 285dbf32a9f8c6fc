//! What the views of single messages of ICMP and ICMPv6 share.

#![forbid(unsafe_code)]

/// Gives a view `parse`, `parse_mut`, the getters of the first three fields, and the setter of the checksum.
///
/// The view's fields begin with `icmp_type: u8`, `code: u8`, `checksum: U16`. Then come its name in errors, how types are
/// numbered, and the types and codes that it is a view of, as patterns.
macro_rules! message {
    ($View:ident, $name:literal, $Type:ident, $types:pat, $codes:pat) => {
        impl $View {
            /// Length of the fixed part in bytes.
            pub const LEN: usize = size_of::<Self>();

            /// The message at the start of `bytes`, which an IP packet carries, and what follows its
            /// fixed part.
            ///
            /// # Errors
            ///
            /// [`Fault::Truncated`](crate::proto::Fault) if there are fewer than `LEN` bytes,
            /// [`Fault::Malformed`](crate::proto::Fault) if the message is another one, by its
            /// type or code.
            #[inline]
            pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), $crate::proto::ParseError> {
                let (message, payload) =
                    Self::ref_from_prefix(bytes).map_err(|_| Self::truncated(bytes.len()))?;
                message.check()?;
                Ok((message, payload))
            }

            /// Like `parse`, to change the message in place.
            ///
            /// # Errors
            ///
            /// As `parse`.
            #[inline]
            pub fn parse_mut(
                bytes: &mut [u8],
            ) -> Result<(&mut Self, &mut [u8]), $crate::proto::ParseError> {
                let available = bytes.len();
                let (message, payload) =
                    Self::mut_from_prefix(bytes).map_err(|_| Self::truncated(available))?;
                message.check()?;
                Ok((message, payload))
            }

            const fn truncated(available: usize) -> $crate::proto::ParseError {
                let place = ($name, "header", 0);
                $crate::proto::ParseError::truncated(place, Self::LEN, available)
            }

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

            /// What the message is.
            #[inline]
            #[must_use]
            pub fn icmp_type(&self) -> $crate::proto::$Type {
                $crate::proto::$Type(self.icmp_type)
            }

            /// What it is more exactly; the meaning depends on the type.
            #[inline]
            #[must_use]
            pub fn code(&self) -> u8 {
                self.code
            }

            /// The checksum as it stands in the message.
            #[inline]
            #[must_use]
            pub fn checksum(&self) -> u16 {
                self.checksum.get()
            }

            /// Sets the checksum field as given.
            #[inline]
            pub fn set_checksum(&mut self, checksum: u16) {
                self.checksum.set(checksum);
            }
        }
    };
}

pub(in crate::proto) use message;
