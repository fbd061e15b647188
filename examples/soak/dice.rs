//! Chance, from a seed.

use std::time::Duration;

/// xorshift64*: small, and the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        // Not zero, and far from its neighbours.
        let mut dice = Self((seed ^ 0x51ab_77f0_0d31_c45b).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        dice.roll(2);
        dice
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    pub(crate) fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    pub(crate) fn size(&mut self, most: u64) -> usize {
        usize::try_from(self.roll(most)).expect("small")
    }

    pub(crate) fn micros(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.roll(most))
    }

    /// Dice for somebody else.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.roll(u64::MAX))
    }
}
