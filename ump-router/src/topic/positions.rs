//! How far a pattern may have been followed.
//!
//! A pattern is a machine whose states are the *positions* between its fragments: position `p` says that the first `p` are done with. As `**` can
//! stand for nothing, and for more after something, several positions are possible at a time. They are the bits of a word, so that a step
//! takes all of them along: the parallel simulation of a nondeterministic automaton (Baeza-Yates and Gonnet, 1992; Navarro and Raffinot, 2002).

use super::Topic;

/// A set of positions in a pattern, or in a topic, which is a pattern without wildcards.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Positions(u128);

// Before the first fragment, and after each.
const _: () = assert!(Topic::MAX_FRAGMENTS < u128::BITS as usize);

impl Positions {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const FIRST: Self = Self(1);

    pub(crate) fn only(position: usize) -> Self {
        Self(1 << position)
    }

    /// From 0 to `last`.
    pub(crate) fn up_to(last: usize) -> Self {
        Self(u128::MAX >> (u128::BITS as usize - 1 - last))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn contains(self, position: usize) -> bool {
        self.0 >> position & 1 == 1
    }

    /// The lowest; there is one.
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

    /// Each one further. There is a fragment after each.
    pub(crate) fn advanced(self) -> Self {
        Self(self.0 << 1)
    }

    /// All from the lowest on: where any number of fragments, of any names, can lead.
    pub(crate) fn and_above(self) -> Self {
        // The lowest bit and all above it; nothing of nothing.
        Self(self.0 | self.0.wrapping_neg())
    }

    /// From the lowest to the highest.
    pub(crate) fn iter(mut self) -> impl Iterator<Item = usize> {
        std::iter::from_fn(move || {
            let lowest = (!self.is_empty()).then(|| self.lowest())?;
            self.0 &= self.0 - 1;
            Some(lowest)
        })
    }
}
