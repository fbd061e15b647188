//! The parts of a topic.

use std::{iter::FusedIterator, str::Split};

/// The fragments of a [`Topic`](super::Topic) or a [`Pattern`](super::Pattern), from either end.
#[derive(Clone, Debug)]
pub struct Fragments<'a>(Split<'a, char>);

impl<'a> Fragments<'a> {
    /// Of a valid text.
    pub(crate) fn of(text: &'a str) -> Self {
        let mut split = text.split('/');
        if text.is_empty() {
            split.next(); // it has none, rather than an empty one
        }
        Self(split)
    }
}

impl<'a> Iterator for Fragments<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }
}

impl DoubleEndedIterator for Fragments<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back()
    }
}

impl FusedIterator for Fragments<'_> {}
