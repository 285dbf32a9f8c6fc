//! Numbers that look random and are the same for the same seed, on every machine and in every version.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not zero.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // The high half of the product: no division, and a bias that no test will ever see.
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// True with a chance of `per_million` in a million; takes no number when the chance is zero.
    pub(super) fn happens(&mut self, per_million: u32) -> bool {
        per_million > 0 && self.below(1_000_000) < u64::from(per_million)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        let mut random = Random::new(7);
        assert_eq!(
            [random.next(), random.next()],
            [0x63cb_e1e4_5932_0dd7, 0x044c_3cd7_f43c_661c]
        );
    }

    #[test]
    fn a_chance_of_one_always_happens_and_none_never() {
        let mut random = Random::new(1);
        for _ in 0..1000 {
            assert!(random.happens(1_000_000));
            assert!(!random.happens(0));
        }
        let hits = (0..100_000).filter(|_| random.happens(250_000)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
    }
}
