//! Topics and patterns: which are valid, and which match.
#![cfg(not(loom))]

use std::{
    collections::{BTreeMap, HashMap},
    iter,
};

use proptest::prelude::*;
use ump_router::{
    Pattern, Topic, TopicError, TopicErrorKind as Kind,
    topic::{IntoPattern, IntoTopic},
};

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap()
}

/// Defines matching in as few words as possible. The search is exponential.
fn matches_by_definition(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], _) => topic.is_empty(),
        (["**", rest @ ..], _) => {
            (0..=topic.len()).any(|taken| matches_by_definition(rest, &topic[taken..]))
        }
        (["*", rest @ ..], [_, others @ ..]) => matches_by_definition(rest, others),
        ([name, rest @ ..], [other, others @ ..]) => {
            name == other && matches_by_definition(rest, others)
        }
        (_, []) => false,
    }
}

/// Returns all sequences over an alphabet up to this length.
fn sequences(alphabet: &[&'static str], longest: usize) -> Vec<Vec<&'static str>> {
    let longer = |all: &Vec<Vec<&'static str>>| {
        let add = |one: &Vec<_>| {
            alphabet
                .iter()
                .map(|&name| one.iter().copied().chain([name]).collect())
                .collect::<Vec<_>>()
        };
        Some(all.iter().flat_map(add).collect())
    };
    iter::successors(Some(vec![vec![]]), longer)
        .take(longest + 1)
        .flatten()
        .collect()
}

/// Returns all patterns of at most four fragments. The bits of each pattern say which of the topics
/// of at most eight fragments it matches.
///
/// These are enough to know what two patterns have in common. Each fragment of a shortest common
/// topic is needed by a fragment other than `**` in one of the two patterns, so it has at most
/// eight fragments. A name that occurs in neither pattern can be replaced by any other such name:
/// `z`.
fn all_patterns() -> Vec<(String, Vec<u64>)> {
    let topics = sequences(&["a", "b", "z"], 8);
    let patterns = sequences(&["a", "b", "*", "**"], 4).into_iter();
    let set = |pattern: &[&str]| {
        let bit = |topic: &Vec<&str>| u64::from(matches_by_definition(pattern, topic));
        let word =
            |topics: &[Vec<&str>]| topics.iter().fold(0, |word, topic| word << 1 | bit(topic));
        topics.chunks(64).map(word).collect()
    };
    patterns
        .map(|pattern| (pattern.join("/"), set(&pattern)))
        .collect()
}

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

fn error(text: &str) -> TopicError {
    text.parse::<Pattern>().unwrap_err()
}

#[test]
fn an_error_has_a_reason_and_a_position() {
    for (text, kind, position) in [
        ("/", Kind::EmptyFragment, 0),
        ("/a", Kind::EmptyFragment, 0),
        ("a/", Kind::EmptyFragment, 2),
        ("a//b", Kind::EmptyFragment, 2),
        ("**//b", Kind::EmptyFragment, 3),
        ("a/b*", Kind::PartOfFragment, 3),
        ("a/*b", Kind::PartOfFragment, 2),
        ("***", Kind::PartOfFragment, 0),
        ("a$", Kind::Character('$'), 1),
        ("a/?", Kind::Character('?'), 2),
        ("#", Kind::Character('#'), 0),
        ("é/a b", Kind::Character(' '), 4),
        ("a\u{a0}b", Kind::Character('\u{a0}'), 1),
        ("a/\u{0}", Kind::Character('\0'), 2),
        ("a/\u{85}", Kind::Character('\u{85}'), 2),
        ("a\n", Kind::Character('\n'), 1),
    ] {
        let error = error(text);
        assert_eq!(
            (error.kind(), error.position()),
            (kind, position),
            "{text:?}"
        );
        if kind != Kind::PartOfFragment {
            assert_eq!(text.parse::<Topic>().unwrap_err(), error);
            assert_eq!(Topic::check(text).unwrap_err(), error);
        }
    }
}

#[test]
fn a_topic_has_no_wildcards() {
    for (text, position) in [("*", 0), ("a/**", 2), ("a/*/b/**", 2)] {
        let error = Topic::try_from(text).unwrap_err();
        assert_eq!(
            (error.kind(), error.position()),
            (Kind::Wildcard, position),
            "{text:?}"
        );
    }
}

#[test]
fn limits_are_exact_and_the_error_points_behind_them() {
    let bytes = |count| "é".repeat(count / 2) + &"a".repeat(count % 2);
    assert!(bytes(Topic::MAX_LENGTH).parse::<Topic>().is_ok());
    let long = error(&bytes(Topic::MAX_LENGTH + 1));
    assert_eq!(long.kind(), Kind::TooLong(Topic::MAX_LENGTH));
    assert_eq!(long.position(), Topic::MAX_LENGTH);
    // A character that only partly fits is beyond the limit.
    assert_eq!(
        error(&format!("a{}", bytes(Topic::MAX_LENGTH))).position(),
        Topic::MAX_LENGTH - 1
    );

    let wild = |count: usize| format!("*/{}", "a".repeat(count - 2));
    assert!(wild(Pattern::MAX_LENGTH).parse::<Pattern>().is_ok());
    let long = error(&wild(Pattern::MAX_LENGTH + 1));
    assert_eq!(long.kind(), Kind::TooLong(Pattern::MAX_LENGTH));
    assert_eq!(long.position(), Pattern::MAX_LENGTH);

    let fragments = |count| vec!["a"; count].join("/");
    assert!(fragments(Topic::MAX_FRAGMENTS).parse::<Pattern>().is_ok());
    let many = error(&fragments(Topic::MAX_FRAGMENTS + 1));
    assert_eq!(many.kind(), Kind::TooManyFragments(Topic::MAX_FRAGMENTS));
    assert_eq!(many.position(), 2 * Topic::MAX_FRAGMENTS);

    let wild = |count: usize| fragments(count - 1) + "/*";
    assert!(wild(Pattern::MAX_FRAGMENTS).parse::<Pattern>().is_ok());
    for count in [Pattern::MAX_FRAGMENTS + 1, Topic::MAX_FRAGMENTS] {
        let many = error(&wild(count));
        assert_eq!(many.kind(), Kind::TooManyFragments(Pattern::MAX_FRAGMENTS));
        assert_eq!(many.position(), 2 * Pattern::MAX_FRAGMENTS);
    }
}

#[test]
fn an_error_text_shows_the_position_and_a_remedy() {
    assert_eq!(
        error("price//eur").to_string(),
        r#"empty fragment at byte 6, between "price/" and "/eur": write a name there, or leave out a slash"#
    );
    assert_eq!(
        error("a/").to_string(),
        r#"empty fragment at byte 2, after "a/": write a name there, or leave out a slash"#
    );
    assert_eq!(
        error("\u{7}").to_string(),
        r#"'\u{7}' is not allowed at byte 0, before "\u{7}": write a character other than $, ?, #, white space and control characters"#
    );
    assert_eq!(
        error("a*/b").to_string(),
        r#"'*' is not alone in its fragment at byte 1, between "a" and "*/b": write * for one whole fragment, or ** for any number of fragments"#
    );
    assert_eq!(
        Topic::check("a/*").unwrap_err().to_string(),
        r#"wildcard in a topic at byte 2, between "a/" and "*": write the name of one topic"#
    );
}

#[test]
fn an_error_keeps_only_the_text_around_its_position() {
    let text = format!("{}#{}", "é".repeat(300), "ü".repeat(100));
    let error = error(&text);
    assert_eq!(error.position(), 600);
    let (before, after) = error.around();
    assert_eq!(before, "é".repeat(20));
    assert_eq!(after, format!("#{}", "ü".repeat(19)));
    assert!(text.repeat(1000).parse::<Topic>().is_err());
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

#[test]
fn every_constructor_validates() {
    let owned = String::from("a/b");
    assert_eq!("a/b".into_topic().unwrap(), topic("a/b"));
    assert_eq!((&owned).into_topic().unwrap(), topic("a/b"));
    assert_eq!((&owned).into_pattern().unwrap(), pattern("a/b"));
    assert_eq!(owned.into_topic().unwrap(), topic("a/b"));
    assert!("a/*".into_topic().is_err());
    assert!(String::from("a//b").into_pattern().is_err());
}

/// Long patterns, of which many intersect.
fn long_pattern() -> impl Strategy<Value = Pattern> {
    let fragment = prop::sample::select(vec!["a", "a", "b", "*", "**", "**"]);
    let all = prop::collection::vec(fragment, 0..=Pattern::MAX_FRAGMENTS);
    all.prop_map(|fragments| pattern(&fragments.join("/")))
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

    #[test]
    fn parsing_never_panics(text in "[a-c/*é$ ]{0,12}|\\PC{0,20}") {
        match text.parse::<Pattern>() {
            Ok(pattern) => {
                prop_assert_eq!(pattern.as_str().parse::<Pattern>(), Ok(pattern.clone()));
                prop_assert_eq!(Topic::check(&text).is_ok(), pattern.is_concrete());
            }
            Err(error) => {
                let (before, after) = error.around();
                prop_assert!(text[..error.position()].ends_with(before));
                prop_assert!(text[error.position()..].starts_with(after));
            }
        }
    }
}
