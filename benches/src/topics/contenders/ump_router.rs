//! The index of `ump-router`.

use ump_router::{
    Pattern,
    index::{TopicIndex, TopicKey},
};

use super::Index;

pub(in crate::topics) struct Router(TopicIndex<u64>);

fn parse(pattern: &str) -> Pattern {
    pattern.parse().expect("a pattern")
}

impl Index for Router {
    type Key = TopicKey;

    const WILDCARDS: bool = true;

    fn new() -> Self {
        Self(TopicIndex::new())
    }

    fn insert(&mut self, pattern: &str, value: u64) -> TopicKey {
        self.0.insert(&parse(pattern), value)
    }

    fn remove(&mut self, _: &str, value: u64, key: TopicKey) {
        assert_eq!(self.0.remove(key), Some(value));
    }

    fn find(&self, topic: &str, mut found: impl FnMut(u64)) {
        let done = self.0.for_each_matching(topic, |&value| found(value));
        done.expect("a topic");
    }

    fn find_pattern(&self, pattern: &str, mut found: impl FnMut(u64)) {
        self.0
            .for_each_intersecting(&parse(pattern), |&value| found(value));
    }
}
