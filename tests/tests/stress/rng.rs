//! Random numbers from a seed.

use std::time::{Duration, Instant};

/// A small random number generator: xorshift64*.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        // The state is not zero, and is spread over all bits.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    pub(crate) fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }

    /// Returns a deadline that is often missed, and sometimes has passed already.
    pub(crate) fn deadline(&mut self) -> Instant {
        Instant::now() + Duration::from_micros(self.below(200).saturating_sub(20))
    }
}
