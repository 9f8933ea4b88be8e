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
