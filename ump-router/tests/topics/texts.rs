//! A pattern has one text, which its clones share, and by which it is found.

use std::collections::{BTreeMap, HashMap};

use ump_router::{
    Pattern, Topic,
    topic::{IntoPattern, IntoTopic},
};

use crate::{all_patterns, pattern, topic};

#[test]
fn equal_patterns_match_the_same_topics() {
    let mut sets: BTreeMap<Vec<u64>, Pattern> = BTreeMap::new();
    let mut texts: HashMap<Pattern, Vec<u64>> = HashMap::new();
    for (text, set) in all_patterns() {
        let pattern = pattern(&text);
        let same = sets.entry(set.clone()).or_insert_with(|| pattern.clone());
        assert_eq!(*same, pattern, "{text}");
        let same = texts.entry(pattern).or_insert_with(|| set.clone());
        assert_eq!(*same, set, "{text}");
    }
}

#[test]
fn a_pattern_has_one_canonical_text() {
    for (written, kept) in [
        ("**/**", "**"),
        ("**/*", "*/**"),
        ("a/**/*/**/*/b", "a/*/*/**/b"),
        ("*/**/a/**", "*/**/a/**"),
        ("**/a/**/**", "**/a/**"),
    ] {
        let pattern = pattern(written);
        assert_eq!(pattern, kept);
        assert_eq!(pattern.to_string(), kept);
        assert_eq!(format!("{pattern:?}"), format!("{kept:?}"));
    }
}

#[test]
fn clones_share_the_text() {
    // A short topic is stored inline instead.
    let one = topic("long/enough/to/be/worth/sharing");
    let same = [
        one.clone(),
        one.clone().into_topic().unwrap(),
        (&one).into_topic().unwrap(),
        one.clone()
            .into_pattern()
            .unwrap()
            .as_topic()
            .unwrap()
            .clone(),
        (&one).into_pattern().unwrap().as_topic().unwrap().clone(),
    ];
    for other in same {
        assert_eq!(one.as_str().as_ptr(), other.as_str().as_ptr());
    }
    let wild = pattern("long/enough/to/be/worth/*");
    assert_eq!(
        wild.as_str().as_ptr(),
        wild.clone().into_pattern().unwrap().as_str().as_ptr()
    );
    assert!(wild.as_topic().is_none() && !wild.is_concrete());
}

#[test]
fn topics_and_patterns_are_found_by_their_text() {
    let topics = HashMap::from([(topic("a/b"), 1), (Topic::default(), 2)]);
    assert_eq!((topics.get("a/b"), topics.get("")), (Some(&1), Some(&2)));
    let patterns = BTreeMap::from([(pattern("a/*"), 1), (Pattern::default(), 2)]);
    assert_eq!(
        (patterns.get("a/*"), patterns.get("")),
        (Some(&1), Some(&2))
    );
    assert_eq!(topic("").fragments().count(), 0);
    assert!(topic("a/b").fragments().rev().eq(["b", "a"]));
}
