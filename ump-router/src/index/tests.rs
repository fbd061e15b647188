//! Properties that cannot be seen from outside: steps, memory, and whether the parts agree.

use std::iter;

use super::{TopicIndex, tree::ROOT};
use crate::topic::{Pattern, Topic};

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap()
}

/// All sequences of four of these, and of one that no topic has.
fn adversarial(fragments: &[&str]) -> Vec<String> {
    let one: Vec<String> = fragments.iter().map(|&text| text.into()).collect();
    let longer = |all: &Vec<String>| {
        let add = |one: &String| {
            fragments
                .iter()
                .map(move |next| format!("{one}/{next}"))
                .collect::<Vec<_>>()
        };
        Some(all.iter().flat_map(add).collect())
    };
    let all = iter::successors(Some(one), longer).take(5).flatten();
    all.map(|text| text + "/nowhere").collect()
}

fn nodes(index: &TopicIndex<u32>) -> usize {
    index.topics.nodes() + index.wild.nodes()
}

#[test]
fn a_lookup_visits_each_node_once_at_most() {
    let mut index = TopicIndex::new();
    for text in adversarial(&["a", "b", "*", "**"]) {
        index.insert(&pattern(&text), 0);
    }
    for asked in [
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a",
        "a/b/a/b/a/b/a/b/a/b/a/b/a/b/a/b",
        "a",
    ] {
        let fragments = pattern(asked).fragments().count();
        let steps = index.walk_topic(asked, |_| panic!("nothing fits"));
        assert!(
            steps <= index.wild.nodes() * (fragments + 1),
            "{steps} steps for {asked}"
        );
    }
    for asked in [
        "**/a/**/b/**/a/**/b/**/x",
        "**/x",
        "a/**/a/**/a/**/a/**/a/**/x",
        "*/*/*/*/*/*/*/x",
    ] {
        let fragments = pattern(asked).fragments().count();
        let steps = index.walk_pattern(&pattern(asked), |_| panic!("nothing meets it"));
        assert!(
            steps <= nodes(&index) * (fragments + 2),
            "{steps} steps for {asked}"
        );
    }
}

#[test]
fn steps_of_a_chain_of_wildcards_are_linear() {
    let chain = format!(
        "{}/nowhere",
        ["**", "a"].repeat(Pattern::MAX_FRAGMENTS / 2 - 1).join("/")
    );
    let topic = ["a"; Topic::MAX_FRAGMENTS].join("/");
    let mut index = TopicIndex::new();
    index.insert(&pattern(&chain), 0);
    let steps = index.walk_topic(&topic, |_| panic!("it does not fit"));
    assert!(steps <= 2 * Pattern::MAX_FRAGMENTS, "{steps} steps"); // a node, and one look for the only name that there is
}

#[test]
fn steps_do_not_grow_with_subscriptions() {
    let mut index = TopicIndex::new();
    let mut steps = |count: u32| {
        for n in 0..count {
            index.insert(&pattern(&format!("a/{n}/b")), n);
            index.insert(&pattern(&format!("a/*/b{n}")), n);
            index.insert(&pattern(&format!("**/c{n}")), n);
        }
        index.walk_topic("a/1/b1", |_| {})
    };
    let few = steps(2);
    assert_eq!(few, steps(2_000));
}

#[test]
fn removing_all_gives_memory_back() {
    let mut index = TopicIndex::new();
    for kept in [0, 1, 100] {
        let texts = |n| {
            [
                format!("a/{n}/b"),
                format!("{n}/*/c/{n}"),
                format!("**/{n}"),
                "same/**".into(),
            ]
        };
        let mut keys: Vec<_> = (0..10_000)
            .flat_map(texts)
            .map(|text| index.insert(&pattern(&text), 0))
            .collect();
        let full = index.slots();
        for key in keys.drain(kept..) {
            index.remove(key);
        }
        let used = index.used();
        assert!(
            index.slots() <= (4 * used).max(super::MIN_SLOTS),
            "{} slots for {used}, of {full}",
            index.slots()
        );
        for key in keys {
            index.remove(key);
        }
        assert_eq!(index.slots(), 2, "only the roots are left");
        assert_eq!(nodes(&index), 2);
    }
}

#[test]
fn a_pattern_that_comes_and_goes_leaves_nothing() {
    let mut index = TopicIndex::new();
    let _stays = index.insert(&pattern("a/b"), 0);
    let before = (index.used(), nodes(&index));
    for text in ["a/b/c/d", "a/*/**/c", "**/a", "a", "", "**", "*"] {
        let key = index.insert(&pattern(text), 1);
        index.remove(key);
        assert_eq!((index.used(), nodes(&index)), before, "{text}");
        assert!(index.wild.node(ROOT).is_bare());
    }
}
