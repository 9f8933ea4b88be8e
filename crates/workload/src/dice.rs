//! Chance that is the same in each run.

/// A small generator (SplitMix64; Steele, Lea, Flood 2014): the same seed gives the same numbers.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl base::Rng for Dice {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
