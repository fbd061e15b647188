//! A hash map, without wildcards: the floor of a lookup by text.

use std::collections::HashMap;

use super::{Index, remove_one};

pub(in crate::topics) struct Map(HashMap<Box<str>, Vec<u64>>);

impl Index for Map {
    type Key = ();

    const WILDCARDS: bool = false;

    fn new() -> Self {
        Self(HashMap::new())
    }

    fn insert(&mut self, pattern: &str, value: u64) {
        self.0.entry(pattern.into()).or_default().push(value);
    }

    fn remove(&mut self, pattern: &str, value: u64, (): ()) {
        let values = self.0.get_mut(pattern).expect("it is there");
        remove_one(values, value);
        if values.is_empty() {
            self.0.remove(pattern);
        }
    }

    fn find(&self, topic: &str, found: impl FnMut(u64)) {
        let values = self.0.get(topic).into_iter();
        values.flatten().copied().for_each(found);
    }

    fn find_pattern(&self, _: &str, _: impl FnMut(u64)) {
        unreachable!("it knows no wildcards")
    }
}
