//! The parts of a topic.

use std::iter::FusedIterator;

/// The fragments of a [`Topic`](super::Topic) or a [`Pattern`](super::Pattern), from either end.
#[derive(Clone, Debug)]
pub struct Fragments<'a> {
    /// What is between the ends, without the slashes there.
    rest: Option<&'a str>,
}

impl<'a> Fragments<'a> {
    /// Of a valid text.
    pub(crate) fn of(text: &'a str) -> Self {
        let is_empty = text.is_empty(); // it has no fragment, rather than an empty one
        Self {
            rest: (!is_empty).then_some(text),
        }
    }
}

// Fragments are short: to look at one byte after the other takes half of the time of `str::split`.
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
