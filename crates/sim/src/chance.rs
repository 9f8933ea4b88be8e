//! The one source of chance of a run.

use base::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Seeded randomness: the same seed gives the same run.
#[derive(Clone, Debug)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The chance of one seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }
    /// An independent stream, so that one part's draws do not shift another's.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self::of_seed(self.0.next_u64())
    }
    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }
    /// True `ppm` times in a million.
    pub fn happens(&mut self, ppm: u32) -> bool {
        self.below(1_000_000) < u64::from(ppm)
    }
    /// One of them.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let index = self.below(of.len() as u64);
        of[usize::try_from(index).expect("an index below a length fits")]
    }
}

impl Rng for Chance {
    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}
