//! Randomness, handed in.

/// Where randomness comes from. The real one is in `control`; the simulator has its own, seeded.
pub trait Rng: Send {
    /// Any number, each equally likely.
    fn next_u64(&mut self) -> u64;

    /// A number below `bound`; zero when `bound` is zero.
    fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the high half of a product fits")
    }
}

/// Numbers that follow from a seed, the same in each run (SplitMix64; Steele, Lea, Flood 2014): for
/// tests and for clients that vary what they ask. Never for what nobody may guess.
#[derive(Clone, Debug)]
pub struct Seeded(pub u64);

impl Rng for Seeded {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
