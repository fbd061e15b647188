//! Values by patterns: a lookup finds exactly what a search through all values finds.
#![cfg(not(loom))]

use std::rc::Rc;

use proptest::prelude::*;
use ump_router::{
    Pattern, Topic,
    index::{TopicIndex, TopicKey},
};

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap()
}

/// Returns the matching values in ascending order, with duplicates.
fn matching(index: &TopicIndex<u32>, topic: &str) -> Vec<u32> {
    let mut found = Vec::new();
    index
        .for_each_matching(topic, |&value| found.push(value))
        .unwrap();
    found.sort_unstable();
    found
}

fn intersecting(index: &TopicIndex<u32>, text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    index.for_each_intersecting(&pattern(text), |&value| found.push(value));
    found.sort_unstable();
    found
}

fn index_of(patterns: &[&str]) -> TopicIndex<u32> {
    let mut index = TopicIndex::new();
    for (text, value) in patterns.iter().zip(0..) {
        index.insert(&pattern(text), value);
    }
    index
}

#[test]
fn a_topic_finds_each_matching_pattern_once() {
    let index = index_of(&[
        "price/gold/eur",
        "price/*/eur",
        "price/**",
        "**",
        "**/gold/**",
        "price/gold",
        "price/gold/eur/*",
        "*/eur",
        "price/gold/eur",
    ]);
    assert_eq!(matching(&index, "price/gold/eur"), [0, 1, 2, 3, 4, 8]);
    assert_eq!(matching(&index, "price"), [2, 3]);
    assert_eq!(matching(&index, ""), [3]);
    assert_eq!(matching(&index, "gold/gold/gold"), [3, 4]);
}

#[test]
fn a_pattern_finds_each_intersecting_pattern_once() {
    let index = index_of(&["a/b", "a/*", "*/b", "**", "a/b/c", "", "**/c", "b/**"]);
    assert_eq!(intersecting(&index, "a/*"), [0, 1, 2, 3, 6]);
    assert_eq!(intersecting(&index, "**"), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(intersecting(&index, "*/**/c"), [1, 3, 4, 6, 7]);
    assert_eq!(intersecting(&index, "a/b"), matching(&index, "a/b"));
    assert_eq!(intersecting(&index, "*"), [3, 6, 7]);
}

#[test]
fn a_repeated_fragment_is_followed_once() {
    let index = index_of(&["**/a", "**/a/**", "**/a/**/a", "**/a/b/a/**", "*/**/a/*/**"]);
    assert_eq!(matching(&index, "a/a/a/a"), [0, 1, 2, 4]);
    assert_eq!(matching(&index, "a/b/a/b/a"), [0, 1, 2, 3, 4]);
    assert_eq!(intersecting(&index, "a/**/b/a"), [0, 1, 2, 3, 4]);
}

#[test]
fn values_of_one_pattern_keep_insertion_order() {
    let mut index = TopicIndex::new();
    let keys: Vec<TopicKey> = (0..6).map(|n| index.insert(&pattern("a/*"), n)).collect();
    for (removed, rest) in [
        (0, vec![1, 2, 3, 4, 5]),
        (3, vec![1, 2, 4, 5]),
        (5, vec![1, 2, 4]),
    ] {
        assert_eq!(index.remove(keys[removed]), Some(removed));
        let mut found = Vec::new();
        index.for_each_matching("a/b", |&n| found.push(n)).unwrap();
        assert_eq!(found, rest);
    }
}

#[test]
fn equal_patterns_are_removed_independently() {
    let mut index = TopicIndex::new();
    let one = index.insert(&pattern("**/*"), 1);
    let other = index.insert(&pattern("*/**"), 2);
    assert_eq!(matching(&index, "a"), [1, 2]);
    assert_eq!(index.remove(one), Some(1));
    assert_eq!(matching(&index, "a"), [2]);
    assert_eq!(index.remove(other), Some(2));
    assert!(matching(&index, "a").is_empty());
}

#[test]
fn a_key_is_invalid_once_its_value_is_removed() {
    let mut index = TopicIndex::new();
    let key = index.insert(&pattern("a"), 1);
    assert_eq!(index.get(key), Some(&1));
    *index.get_mut(key).unwrap() = 2;
    assert_eq!(index.pattern(key), Some(&pattern("a")));
    assert_eq!(index.remove(key), Some(2));
    let new = index.insert(&pattern("a"), 3);
    assert_ne!(new, key);
    assert_eq!(index.get(key), None);
    assert_eq!(index.get_mut(key), None);
    assert_eq!(index.pattern(key), None);
    assert_eq!(index.remove(key), None);
    assert_eq!(index.remove(new), Some(3));
}

#[test]
fn an_invalid_topic_is_refused() {
    let index = index_of(&["**"]);
    for text in ["a/*", "a//b", "a b"] {
        assert!(index.for_each_matching(text, |_| unreachable!()).is_err());
    }
    let long = ["a"; Topic::MAX_FRAGMENTS + 1].join("/");
    assert!(index.for_each_matching(&long, |_| unreachable!()).is_err());
}

#[test]
fn the_longest_topics_and_patterns_are_found() {
    let topic = ["a"; Topic::MAX_FRAGMENTS].join("/");
    let stars = ["*"; Pattern::MAX_FRAGMENTS].join("/");
    let chain = ["**", "a"].repeat(Pattern::MAX_FRAGMENTS / 2).join("/");
    let index = index_of(&[&topic, &stars, &chain, "**"]);
    assert_eq!(matching(&index, &topic), [0, 2, 3]);
    assert_eq!(intersecting(&index, &chain), [0, 1, 2, 3]);
    assert_eq!(intersecting(&index, &stars), [1, 2, 3]);
    assert_eq!(matching(&index_of(&["**/a/*/b", "**/a/*"]), &topic), [1]);
}

#[test]
fn values_are_dropped_once() {
    let value = Rc::new(());
    let mut index = TopicIndex::new();
    let keys: Vec<TopicKey> = ["a", "a", "*", "**/b"]
        .map(|text| index.insert(&pattern(text), value.clone()))
        .into();
    drop(index.remove(keys[1]));
    assert_eq!(Rc::strong_count(&value), 4);
    drop(index);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn an_index_is_send_and_sync() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&TopicIndex::<u32>::new());
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Pattern),
    /// Removes the n-th of the values in the index.
    Remove(prop::sample::Index),
    RemoveAll,
    Find(Pattern),
}

/// Patterns over few names, so that many are equal or intersect.
fn patterns() -> impl Strategy<Value = Pattern> {
    let fragment = prop::sample::select(vec!["a", "a", "a", "b", "c", "*", "*", "**"]);
    let all = prop::collection::vec(fragment, 0..6);
    all.prop_map(|fragments| pattern(&fragments.join("/")))
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => patterns().prop_map(Step::Insert),
        15 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => Just(Step::RemoveAll),
        15 => patterns().prop_map(Step::Find),
    ]
}

/// Runs the steps against an index and a plain list.
fn run(steps: Vec<Step>) {
    let mut index = TopicIndex::new();
    let mut list: Vec<(TopicKey, Pattern, u32)> = Vec::new();
    for (step, value) in steps.into_iter().zip(0..) {
        match step {
            Step::Insert(pattern) => list.push((index.insert(&pattern, value), pattern, value)),
            Step::Remove(_) if list.is_empty() => {}
            Step::Remove(nth) => {
                let (key, _, value) = list.swap_remove(nth.index(list.len()));
                assert_eq!(index.remove(key), Some(value));
                assert_eq!(index.remove(key), None);
            }
            Step::RemoveAll => {
                for (key, _, value) in list.drain(..) {
                    assert_eq!(index.remove(key), Some(value));
                }
            }
            Step::Find(asked) => check(&index, &list, &asked),
        }
        assert_eq!(index.len(), list.len());
    }
    check_all(&index, list);
}

fn check(index: &TopicIndex<u32>, list: &[(TopicKey, Pattern, u32)], asked: &Pattern) {
    let intersecting_values = list
        .iter()
        .filter(|(_, pattern, _)| pattern.intersects(asked));
    let mut expected: Vec<u32> = intersecting_values.map(|(.., value)| *value).collect();
    expected.sort_unstable();
    assert_eq!(intersecting(index, asked.as_str()), expected, "{asked}");
    if asked.is_concrete() {
        assert_eq!(matching(index, asked.as_str()), expected, "{asked}");
    }
}

fn check_all(index: &TopicIndex<u32>, mut list: Vec<(TopicKey, Pattern, u32)>) {
    for (key, pattern, value) in &list {
        assert_eq!(index.get(*key), Some(value));
        assert_eq!(index.pattern(*key), Some(pattern));
        assert!(intersecting(index, pattern.as_str()).contains(value));
    }
    let mut all: Vec<(Pattern, u32)> = index.iter().map(|(p, v)| (p.clone(), *v)).collect();
    all.sort_by_key(|(_, value)| *value);
    list.sort_by_key(|(.., value)| *value);
    assert!(all.into_iter().eq(list.into_iter().map(|(_, p, v)| (p, v))));
}

proptest! {
    #[test]
    fn lookups_match_a_linear_search(steps in prop::collection::vec(steps(), 0..150)) {
        run(steps);
    }

    /// Inserts more values, so that the index frees memory on the way.
    #[test]
    fn remaining_values_are_found_after_removals(
        many in prop::collection::vec(patterns(), 500..600),
        left in 0_usize..60,
        asked in prop::collection::vec(patterns(), 20),
    ) {
        let mut index = TopicIndex::new();
        let mut list: Vec<_> = many
            .into_iter()
            .zip(0..)
            .map(|(pattern, value)| (index.insert(&pattern, value), pattern, value))
            .collect();
        while list.len() > left {
            let (key, _, value) = list.swap_remove(list.len() / 3);
            prop_assert_eq!(index.remove(key), Some(value));
        }
        for pattern in &asked {
            check(&index, &list, pattern);
        }
        check_all(&index, list);
    }
}
