//! Random numbers from a seed.

use std::time::Duration;

/// xorshift64*: small, and the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        // Not zero, and spread over all bits.
        let mut rng = Self((seed ^ 0x51ab_77f0_0d31_c45b).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        rng.below(2);
        rng
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

    pub(crate) fn size(&mut self, most: u64) -> usize {
        usize::try_from(self.below(most)).expect("small")
    }

    pub(crate) fn micros(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.below(most))
    }

    /// Makes an independent generator.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.below(u64::MAX))
    }
}
