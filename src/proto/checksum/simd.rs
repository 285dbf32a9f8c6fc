//! The sum of many bytes, in vectors as wide as the CPU has them.

#![forbid(unsafe_code)]

use fearless_simd::{Level, dispatch, prelude::*};

/// From here on vectors pay: choosing and filling them takes about as long as 200 bytes by the plain loop.
pub(super) const FROM: usize = 256;

/// The widest vector of any CPU, in bytes.
const WIDEST: usize = 64;

/// What keeps a part of a vector: zeros, ones, zeros.
static MASKS: [u8; 3 * WIDEST] = {
    let mut masks = [0; 3 * WIDEST];
    let (_, ones) = masks.split_at_mut(WIDEST);
    let (ones, _) = ones.split_at_mut(WIDEST);
    let mut at = 0;
    while at < WIDEST {
        ones[at] = 0xff;
        at += 1;
    }
    masks
};

/// Sum of the words as this machine reads them from memory, of at most 16 GiB: the one's complement sum once it is folded.
///
/// `None` if the CPU has no vectors that are known here, or one holds more than `bytes`.
#[inline(never)]
pub(super) fn sum(bytes: &[u8]) -> Option<u64> {
    sum_at(Level::new(), bytes)
}

/// The same for a CPU of that level.
#[inline(always)]
fn sum_at(level: Level, bytes: &[u8]) -> Option<u64> {
    if level.is_fallback() {
        return None;
    }
    dispatch!(level, simd => sum_with(simd, bytes))
}

/// The same with the vectors of `simd`.
///
/// Vectors that lie across two cache lines take twice as long to read, so all but the first and the last lie where
/// they are aligned; those two overlap their neighbours, and what they share is masked out.
#[inline(always)]
fn sum_with<S: Simd>(simd: S, bytes: &[u8]) -> Option<u64> {
    let len = S::u8s::LEN;
    let start = match bytes.as_ptr().align_offset(len) {
        odd if odd % 2 == 1 => 0, // words would be torn
        even => even,
    };
    let first = vector(simd, bytes, 0)? & vector(simd, &MASKS, (2 * WIDEST).wrapping_sub(start))?;
    let mut sums = Sums::<S>::zero(simd).with(first);
    let mut others = Sums::<S>::zero(simd);

    let mut pairs = bytes.get(start..)?.chunks_exact(len.wrapping_mul(2));
    for pair in &mut pairs {
        sums = sums.with(vector(simd, pair, 0)?);
        others = others.with(vector(simd, pair, len)?);
    }
    let mut rest = pairs.remainder();
    if let Some((single, tail)) = rest.split_at_checked(len) {
        sums = sums.with(vector(simd, single, 0)?);
        rest = tail;
    }

    let (words, odd) = rest.as_chunks::<2>();
    let kept = size_of_val(words);
    let end = bytes.len().wrapping_sub(odd.len());
    let last = vector(simd, bytes, end.checked_sub(len)?)?;
    let mask = vector(simd, &MASKS, kept.wrapping_add(WIDEST).wrapping_sub(len))?;
    others = others.with(last & mask);
    let odd = match *odd {
        [byte] => u16::from_ne_bytes([byte, 0]),
        _ => 0,
    };
    let sum = sums.and(others).sum();
    Some(sum.wrapping_add(odd.into()))
}

#[inline(always)]
fn vector<S: Simd>(simd: S, bytes: &[u8], at: usize) -> Option<S::u8s> {
    let bytes = bytes.get(at..)?.get(..S::u8s::LEN)?;
    Some(S::u8s::from_slice(simd, bytes))
}

/// Two sums of four words at a time, lane by lane, that take three operations a vector.
#[derive(Clone, Copy)]
struct Sums<S: Simd> {
    /// Of the four words, without the carries.
    all: S::u64s,
    /// Of the upper two, which has room for the carries. The sum of the lower two follows from both.
    high: S::u64s,
}

impl<S: Simd> Sums<S> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        let zero = S::u64s::splat(simd, 0);
        Self {
            all: zero,
            high: zero,
        }
    }

    #[inline(always)]
    fn with(self, bytes: S::u8s) -> Self {
        let words: S::u64s = bytes.bitcast();
        Self {
            all: self.all + words,
            high: self.high + (words >> 32),
        }
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self {
            all: self.all + other.all,
            high: self.high + other.high,
        }
    }

    /// The lower and the upper two words of all lanes, added up.
    #[inline(always)]
    fn sum(self) -> u64 {
        let low = self.all - (self.high << 32);
        (low + self.high).reduce_sum()
    }
}

/// The sums by all vectors that this CPU has.
#[cfg(test)]
pub(super) fn all(bytes: &[u8]) -> Vec<(Level, u64)> {
    let best = Level::new();
    let mut levels = vec![best];
    #[cfg(target_arch = "x86_64")]
    {
        levels.extend(best.as_sse2().map(Level::Sse2));
        levels.extend(best.as_sse4_2().map(Level::Sse4_2));
        levels.extend(best.as_avx2().map(Level::Avx2));
    }
    let sum = |level| Some((level, sum_at(level, bytes)?));
    levels.into_iter().filter_map(sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_sum_what_fills_one() {
        for len in [0, 1, 15] {
            assert!(all(&vec![1; len]).is_empty());
        }
        if !Level::new().is_fallback() {
            assert!(sum(&[1; FROM]).is_some());
            assert_eq!(all(&[1; WIDEST]).len(), all(&[1; FROM]).len());
        }
    }
}
