//! Sets of positions in a pattern.
//!
//! A pattern is a nondeterministic automaton whose states are the *positions* between its
//! fragments: position `p` means that the first `p` fragments are matched. Because `**` can match
//! any number of fragments, several positions are possible at a time. They are the bits of a word,
//! so that one step advances all of them: bit-parallel simulation (Baeza-Yates and Gonnet, 1992;
//! Navarro and Raffinot, 2002).

use super::grammar::MAX_FRAGMENTS;

/// A set of positions in a pattern or topic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Positions(u128);

// There is a position before the first fragment, and one after each.
const _: () = assert!(MAX_FRAGMENTS < u128::BITS as usize);

impl Positions {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const FIRST: Self = Self(1);

    pub(crate) fn only(position: usize) -> Self {
        Self(1 << position)
    }

    /// The positions from 0 to `last`.
    pub(crate) fn up_to(last: usize) -> Self {
        Self(u128::MAX >> (u128::BITS as usize - 1 - last))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn contains(self, position: usize) -> bool {
        self.0 >> position & 1 == 1
    }

    /// Returns the lowest position. The set must not be empty.
    pub(crate) fn lowest(self) -> usize {
        self.0.trailing_zeros() as usize
    }

    pub(crate) fn insert(&mut self, position: usize) {
        self.0 |= 1 << position;
    }

    pub(crate) fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    pub(crate) fn or(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    pub(crate) fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Each position moved on by one. There must be a fragment after each.
    pub(crate) fn advanced(self) -> Self {
        Self(self.0 << 1)
    }

    /// All positions from the lowest on: where any number of fragments can lead.
    pub(crate) fn and_above(self) -> Self {
        // The lowest bit and all above it; the empty set stays empty.
        Self(self.0 | self.0.wrapping_neg())
    }

    /// Iterates from the lowest to the highest.
    pub(crate) fn iter(mut self) -> impl Iterator<Item = usize> {
        std::iter::from_fn(move || {
            let lowest = (!self.is_empty()).then(|| self.lowest())?;
            self.0 &= self.0 - 1;
            Some(lowest)
        })
    }
}
