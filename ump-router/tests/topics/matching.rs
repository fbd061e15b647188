//! Which topics a pattern matches, and which two patterns have in common.

use std::iter;

use proptest::prelude::*;
use ump_router::{Pattern, Topic};

use crate::{all_patterns, long_pattern, matches_by_definition, pattern, sequences, topic};

#[test]
fn documented_examples_hold() {
    let matching = [
        ("price/*/eur", "price/gold/eur"),
        ("price/**", "price"),
        ("price/**", "price/eur"),
        ("price/**", "price/gold/eur"),
        ("*/alice", "users/alice"),
        ("**/alice", "alice"),
        ("**/alice", "a/b/alice"),
        ("a/**/b", "a/b"),
        ("a/**/b", "a/x/b/y/b"),
        ("**", ""),
        ("**", "anything/at/all"),
        ("**/*", "one"),
        ("", ""),
    ];
    let not_fitting = [
        ("price/*/eur", "price/eur"),
        ("price/*/eur", "price/gold/spot/eur"),
        ("price/**", "prices"),
        ("price/**", ""),
        ("*/alice", "alice"),
        ("*/alice", "a/b/alice"),
        ("**/alice", "alice/inbox"),
        ("**/*", ""),
        ("*", ""),
        ("", "a"),
    ];
    for (text, name) in matching {
        assert!(pattern(text).matches(&topic(name)), "{text} fits {name}");
    }
    for (text, name) in not_fitting {
        assert!(!pattern(text).matches(&topic(name)), "{text} fits {name}");
    }
}

#[test]
fn a_pattern_matches_as_documented() {
    let topics = sequences(&["a", "b", "z"], 5);
    for fragments in sequences(&["a", "b", "*", "**"], 4) {
        let pattern = pattern(&fragments.join("/"));
        for name in &topics {
            let topic = topic(&name.join("/"));
            assert_eq!(
                pattern.matches(&topic),
                matches_by_definition(&fragments, name),
                "{pattern} {topic}"
            );
        }
    }
}

#[test]
fn patterns_intersect_if_one_topic_matches_both() {
    let all = all_patterns();
    let parsed: Vec<Pattern> = all.iter().map(|(text, _)| pattern(text)).collect();
    for (one, (text, set)) in parsed.iter().zip(&all) {
        for (other, (other_text, other_set)) in parsed.iter().zip(&all) {
            let common = iter::zip(set, other_set).any(|(one, other)| one & other != 0);
            assert_eq!(one.intersects(other), common, "{text} {other_text}");
            let example = one.common_topic(other);
            assert_eq!(example.is_some(), common, "{text} {other_text}");
            let is_in_both = |topic: &Topic| one.matches(topic) && other.matches(topic);
            assert!(example.iter().all(is_in_both), "{text} {other_text}");
        }
    }
}

#[test]
fn a_common_topic_is_short_and_uses_given_names() {
    for (one, other, common) in [
        ("price/*/eur", "**/gold/*", "price/gold/eur"),
        ("**", "**", ""),
        ("**", "*/**/a", "x/a"),
        ("a/**", "**/b", "a/b"),
        ("a/**/c", "**/b/**", "a/b/c"),
        ("*/b", "a/*", "a/b"),
        ("", "**", ""),
        ("a/b", "a/b", "a/b"),
    ] {
        let (one, other) = (pattern(one), pattern(other));
        assert_eq!(one.common_topic(&other).unwrap(), common);
        assert_eq!(other.common_topic(&one).unwrap(), common);
    }
    assert_eq!(pattern("a/*").common_topic(&pattern("b/**")), None);
}

#[test]
fn the_longest_patterns_have_a_common_topic() {
    let long = |name: &str, fragments: usize, bytes: usize| {
        let rest = bytes - 2 * fragments; // the first takes what the others leave
        let mut text = name.repeat(rest + 1);
        (1..fragments).for_each(|_| text.extend(["/", name]));
        text
    };
    let fragments = Pattern::MAX_FRAGMENTS - 1;
    let begins = pattern(&format!(
        "{}/**",
        long("a", fragments, Pattern::MAX_LENGTH - 2)
    ));
    let ends = pattern(&format!(
        "**/{}",
        long("b", fragments, Pattern::MAX_LENGTH - 2)
    ));
    assert_eq!(begins.as_str().len(), Pattern::MAX_LENGTH);
    assert_eq!(begins.fragments().count(), Pattern::MAX_FRAGMENTS);
    let common = begins.common_topic(&ends).unwrap();
    assert_eq!(Topic::check(common.as_str()), Ok(()));
    assert!(begins.matches(&common) && ends.matches(&common) && begins.intersects(&ends));

    let stars = pattern(&["*"; Pattern::MAX_FRAGMENTS].join("/"));
    assert_eq!(
        stars.common_topic(&stars).unwrap().fragments().count(),
        Pattern::MAX_FRAGMENTS
    );
}

#[test]
fn chains_of_wildcards_are_matched_and_intersected() {
    let chain = |ends| {
        let links = ["**/a"; Pattern::MAX_FRAGMENTS / 2 - 1].join("/");
        pattern(&format!("{links}/{ends}"))
    };
    let all_a = topic(&["a"; Topic::MAX_FRAGMENTS].join("/"));
    assert!(chain("**").matches(&all_a));
    assert!(!chain("b").matches(&all_a));
    assert!(chain("b").intersects(&chain("*")));
    assert!(!chain("b").intersects(&chain("c")));
    assert_eq!(chain("b").common_topic(&chain("c")), None);
}

proptest! {
    #[test]
    fn intersection_agrees_with_common_topic(one in long_pattern(), other in long_pattern()) {
        let example = one.common_topic(&other);
        prop_assert_eq!(one.intersects(&other), example.is_some());
        prop_assert_eq!(other.intersects(&one), example.is_some());
        if let Some(example) = example {
            prop_assert_eq!(Topic::check(example.as_str()), Ok(()));
            prop_assert!(one.matches(&example) && other.matches(&example));
        }
    }
}
