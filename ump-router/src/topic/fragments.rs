//! The fragments of a topic.

use std::iter::FusedIterator;

/// The wildcard for exactly one fragment.
pub(crate) const STAR: &str = "*";
/// The wildcard for any number of fragments.
pub(crate) const DEEP: &str = "**";

/// An iterator over the fragments of a [`Topic`](super::Topic) or a [`Pattern`](super::Pattern),
/// from either end.
#[derive(Clone, Debug)]
pub struct Fragments<'a> {
    /// The remaining text, without the slashes at its ends.
    rest: Option<&'a str>,
}

impl<'a> Fragments<'a> {
    /// Returns the fragments of a valid text.
    pub(crate) fn of(text: &'a str) -> Self {
        let is_empty = text.is_empty(); // it has no fragment, rather than an empty one
        Self {
            rest: (!is_empty).then_some(text),
        }
    }
}

// Fragments are short: a loop over the bytes takes half of the time of `str::split`.
impl<'a> Iterator for Fragments<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let slash = rest.bytes().position(|byte| byte == b'/');
        self.rest = slash.map(|at| &rest[at + 1..]);
        Some(&rest[..slash.unwrap_or(rest.len())])
    }
}

impl DoubleEndedIterator for Fragments<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        let slash = rest.bytes().rposition(|byte| byte == b'/');
        self.rest = slash.map(|at| &rest[..at]);
        Some(&rest[slash.map_or(0, |at| at + 1)..])
    }
}

impl FusedIterator for Fragments<'_> {}
