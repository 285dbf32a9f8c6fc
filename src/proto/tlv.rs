//! Options of a kind, a length and data each, one behind the other: what those of IPv4, IPv6, TCP and
//! neighbor discovery have in common.

#![forbid(unsafe_code)]

use crate::proto::ParseError;

/// Options that are read one by one.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    /// What is left to read.
    rest: &'a [u8],
    /// Where it ends, counted from the start of the header.
    end: usize,
}

/// An option before its data is read.
pub(super) struct RawOption<'a> {
    pub(super) kind: u8,
    /// What is behind kind and length.
    pub(super) data: &'a [u8],
    /// The options behind it.
    pub(super) behind: &'a [u8],
    /// The error if an option of this kind has no such length.
    pub(super) wrong: ParseError,
}

impl<'a> Reader<'a> {
    /// Of all the bytes behind the first `start` of the header.
    #[inline]
    pub(super) const fn new(start: usize, options: &'a [u8]) -> Self {
        Self {
            rest: options,
            end: start.wrapping_add(options.len()),
        }
    }

    /// What is left to read.
    #[inline]
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next option as `read` gives it, with what is behind it: none behind an error.
    #[inline]
    pub(super) fn next<O: Copy>(
        &mut self,
        read: impl FnOnce(&Self) -> Result<(O, &'a [u8]), ParseError>,
    ) -> Option<Result<O, ParseError>> {
        if self.rest.is_empty() {
            return None;
        }
        let read = read(self);
        self.rest = read.map_or(&[], |(_, behind)| behind);
        Some(read.map(|(option, _)| option))
    }

    /// Splits off the next option, which has a length: `data_len` says how many bytes of data that is, `None` for a
    /// length that does not even cover kind and length.
    #[inline]
    pub(super) fn split(
        &self,
        protocol: &'static str,
        data_len: impl FnOnce(u8) -> Option<usize>,
    ) -> Result<RawOption<'a>, ParseError> {
        let start = self.end.wrapping_sub(self.rest.len());
        let place = (protocol, "option length", start.wrapping_add(1));
        let short = |data_len: usize| {
            let needed = start.wrapping_add(2).wrapping_add(data_len);
            ParseError::truncated(place, needed, self.end)
        };
        let &[kind, length, ref rest @ ..] = self.rest else {
            return Err(short(0));
        };
        let wrong = ParseError::malformed(place, length.into());
        // Such a length would never get to the next option.
        let data_len = data_len(length).ok_or(wrong)?;
        let (data, behind) = rest
            .split_at_checked(data_len)
            .ok_or_else(|| short(data_len))?;
        Ok(RawOption {
            kind,
            data,
            behind,
            wrong,
        })
    }
}

/// Makes `$Options`, which holds a [`Reader`], an iterator of `$Option`, which has a `read`.
macro_rules! options_iterator {
    ($Options:ident, $Option:ident) => {
        impl<'a> Iterator for $Options<'a> {
            type Item = Result<$Option<'a>, ParseError>;

            #[inline]
            fn next(&mut self) -> Option<Self::Item> {
                self.0.next($Option::read)
            }
        }

        impl std::iter::FusedIterator for $Options<'_> {}
    };
}

pub(super) use options_iterator;

/// An option to write.
pub(super) trait Tlv {
    /// How many bytes it takes in a packet.
    fn len(&self) -> usize;

    /// Writes it to `bytes`, which are as many as it takes; `None` if it cannot be written.
    fn write(&self, bytes: &mut [u8]) -> Option<()>;
}

/// How many bytes `options` take together.
pub(super) fn total_len(options: &[impl Tlv]) -> usize {
    options
        .iter()
        .fold(0, |sum: usize, option| sum.saturating_add(option.len()))
}

/// Writes `options` to `room`, one behind the other, and gives what is left of it; `None` if they do not fit.
pub(super) fn write<'r>(options: &[impl Tlv], room: &'r mut [u8]) -> Option<&'r mut [u8]> {
    options.iter().try_fold(room, |room, option| {
        let (bytes, rest) = room.split_at_mut_checked(option.len())?;
        option.write(bytes)?;
        Some(rest)
    })
}
