//! How two patterns relate, and why.

use std::{collections::BTreeSet, iter};

use proptest::prelude::*;
use ump_router::{
    Pattern,
    topic::{Conflict, Place, Relation},
};

use crate::{all_patterns, long_pattern, pattern, sequences};

#[test]
fn a_pattern_includes_another_if_it_matches_all_its_topics() {
    let all = all_patterns();
    let parsed: Vec<Pattern> = all.iter().map(|(text, _)| pattern(text)).collect();
    for (one, (text, set)) in parsed.iter().zip(&all) {
        for (other, (other_text, other_set)) in parsed.iter().zip(&all) {
            let is_subset = iter::zip(set, other_set).all(|(one, other)| other & !one == 0);
            assert_eq!(one.includes(other), is_subset, "{text} {other_text}");
        }
    }
}

#[test]
fn a_relation_says_how_the_topics_relate() {
    for (one, other, relation) in [
        ("a/**/*", "a/*/**", Relation::Equal),
        ("**", "a", Relation::Includes),
        ("a/*", "a/**", Relation::IncludedIn),
        ("a/*", "*/b", Relation::Overlaps),
        ("a/*", "b/*", Relation::Disjoint),
        ("", "*", Relation::Disjoint),
        ("", "**", Relation::IncludedIn),
    ] {
        assert_eq!(pattern(one).relation(&pattern(other)), relation);
        let reverse = match relation {
            Relation::Includes => Relation::IncludedIn,
            Relation::IncludedIn => Relation::Includes,
            relation => relation,
        };
        assert_eq!(pattern(other).relation(&pattern(one)), reverse);
    }
}

#[test]
fn an_explanation_shows_a_topic_or_the_conflict() {
    for (one, other, text) in [
        (
            "a/*",
            "a/*",
            "'a/*' and 'a/*' match the same topics: both match 'a/x'",
        ),
        ("**", "a", "'**' includes 'a': both match 'a'"),
        ("a", "*", "'a' is part of '*': both match 'a'"),
        ("a/*", "*/b", "'a/*' and '*/b' overlap: both match 'a/b'"),
        (
            "*/a/**",
            "*/b",
            "'*/a/**' and '*/b' have no topic in common: fragment 2 is 'a' in one and 'b' in the other",
        ),
        (
            "**/a/*",
            "**/b/c",
            "'**/a/*' and '**/b/c' have no topic in common: fragment 2 from the end is 'a' in one and 'b' in the other",
        ),
        (
            "a/*",
            "a/*/*/**",
            "'a/*' and 'a/*/*/**' have no topic in common: a topic of 'a/*/*/**' has at least 3 fragments, one of 'a/*' at most 2",
        ),
        (
            "",
            "*/*",
            "'' and '*/*' have no topic in common: a topic of '*/*' has at least 2 fragments, one of '' at most 0",
        ),
        (
            "a/x/y/c",
            "a/**/b/**/c",
            "'a/x/y/c' and 'a/**/b/**/c' have no topic in common: after what comes before it in 'a/**/b/**/c', fragment 3 ('b') has no place in 'a/x/y/c'",
        ),
    ] {
        let explanation = pattern(one).explain(&pattern(other));
        assert_eq!(explanation.to_string(), text);
    }
}

/// Returns whether a conflict is real: whether its statement holds, and rules out a common topic.
fn is_real(conflict: &Conflict, one: &Pattern, other: &Pattern) -> bool {
    let fragments =
        |pattern: &Pattern| -> Vec<String> { pattern.fragments().map(str::to_owned).collect() };
    let (mut one, mut other) = (fragments(one), fragments(other));
    match conflict {
        Conflict::Names {
            place,
            first,
            second,
        } => {
            let index = match *place {
                Place::FromStart(index) => index,
                Place::FromEnd(index) => {
                    one.reverse();
                    other.reverse();
                    index
                }
            };
            let is_fixed = |all: &[String]| all[..=index].iter().all(|own| own != "**");
            is_fixed(&one)
                && is_fixed(&other)
                && one[index] == **first
                && other[index] == **second
                && first != second
                && **first != *"*"
                && **second != *"*"
        }
        Conflict::Length {
            at_least,
            at_most,
            first_is_longer,
        } => {
            let (longer, shorter) = if *first_is_longer {
                (one, other)
            } else {
                (other, one)
            };
            longer.iter().filter(|own| *own != "**").count() == *at_least
                && shorter.len() == *at_most
                && !shorter.contains(&"**".to_owned())
                && at_most < at_least
        }
        Conflict::NoPlace {
            index,
            fragment,
            is_of_first,
        } => {
            let (of, beside) = if *is_of_first {
                (one, other)
            } else {
                (other, one)
            };
            let beside = pattern(&beside.join("/"));
            // What comes before it has its place, whatever follows.
            let begins = |count: usize| {
                let begin = [&of[..count], &["**".to_owned()]].concat();
                pattern(&begin.join("/")).intersects(&beside)
            };
            of[*index] == **fragment && begins(*index) && !begins(index + 1)
        }
        _ => false,
    }
}

#[test]
fn every_conflict_is_real() {
    let all: BTreeSet<Pattern> = sequences(&["a", "b", "*", "**"], 4)
        .iter()
        .map(|fragments| pattern(&fragments.join("/")))
        .collect();
    for one in &all {
        for other in &all {
            let explanation = one.explain(other);
            match explanation.conflict() {
                Some(conflict) => {
                    assert!(
                        !one.intersects(other) && is_real(conflict, one, other),
                        "{explanation}"
                    );
                }
                None => assert_eq!(explanation.common_topic(), one.common_topic(other).as_ref()),
            }
        }
    }
}

/// Shorter patterns with the same names, of which many are included in a long one.
fn related_pattern() -> impl Strategy<Value = Pattern> {
    let fragment = prop::sample::select(vec!["a", "a", "a", "b", "*", "**"]);
    let all = prop::collection::vec(fragment, 0..10);
    all.prop_map(|fragments| pattern(&fragments.join("/")))
}

/// Whether a pattern matches a topic, which may be longer than a `Topic`.
fn matches(pattern: &Pattern, topic: &[&str]) -> bool {
    let mut reached = vec![false; topic.len() + 1];
    reached[0] = true;
    for fragment in pattern.fragments() {
        let before = reached;
        reached = vec![false; topic.len() + 1];
        for taken in 0..=topic.len() {
            reached[taken] = match (fragment, taken.checked_sub(1)) {
                ("**", last) => before[taken] || last.is_some_and(|last| reached[last]),
                (_, None) => false,
                (name, Some(last)) => before[last] && (name == "*" || name == topic[last]),
            };
        }
    }
    reached[topic.len()]
}

/// Whether `other` matches a topic that `one` does not match. Both have only names `a` and `b`.
///
/// If there is such a topic, there is one with `z` for each `*`, and for each `**` up to as many
/// `z` as `one` has fragments: of more, a `**` of `one` takes some, and takes more as well. All
/// sets of positions in `one` that such topics lead to are tried.
fn has_topic_outside(one: &Pattern, other: &Pattern) -> bool {
    let own: Vec<&str> = one.fragments().collect();
    let past_deep = |mut set: Vec<bool>| {
        for (at, fragment) in own.iter().enumerate() {
            set[at + 1] |= *fragment == "**" && set[at];
        }
        set
    };
    let step = |set: &Vec<bool>, name: &str| {
        let mut next = vec![false; own.len() + 1];
        for (at, fragment) in own.iter().enumerate() {
            if set[at] && *fragment == "**" {
                next[at] = true;
            } else if set[at] && (*fragment == "*" || *fragment == name) {
                next[at + 1] = true;
            }
        }
        past_deep(next)
    };
    let mut first = vec![false; own.len() + 1];
    first[0] = true;
    let mut sets = BTreeSet::from([past_deep(first)]);
    for fragment in other.fragments() {
        sets = match fragment {
            "*" => sets.iter().map(|set| step(set, "z")).collect(),
            "**" => {
                let rows = |set: &Vec<bool>| {
                    let row = iter::successors(Some(set.clone()), |set| Some(step(set, "z")));
                    row.take(own.len() + 2).collect::<Vec<_>>()
                };
                sets.iter().flat_map(rows).collect()
            }
            name => sets.iter().map(|set| step(set, name)).collect(),
        };
    }
    sets.iter().any(|set| !set[own.len()])
}

proptest! {
    #[test]
    fn inclusion_agrees_with_the_topics(
        one in long_pattern(),
        other in related_pattern(),
        picks in prop::collection::vec(0..20_usize, 64),
    ) {
        // A topic of the other one: each wildcard is replaced at random.
        let mut picks = picks.into_iter().cycle();
        let mut pick = |of: usize| picks.next().unwrap() % of;
        let mut topic = Vec::new();
        for fragment in other.fragments() {
            let count = if fragment == "**" { pick(5) } else { 1 };
            for _ in 0..count {
                let any = ["a", "b", "z", "z"][pick(4)];
                topic.push(if fragment.starts_with('*') { any } else { fragment });
            }
        }
        prop_assert!(matches(&other, &topic));
        let is_outside = !matches(&one, &topic);
        prop_assert!(!(one.includes(&other) && is_outside), "{}", topic.join("/"));
        prop_assert_eq!(one.includes(&other), !has_topic_outside(&one, &other));
        prop_assert_eq!(other.includes(&one), !has_topic_outside(&other, &one));
        prop_assert!(one.includes(&one) && pattern("**").includes(&one));
        prop_assert_eq!(one.includes(&other) && other.includes(&one), one == other);
        prop_assert!(!one.includes(&other) || one.intersects(&other));
    }

    #[test]
    fn explanations_of_long_patterns_are_real(one in long_pattern(), other in related_pattern()) {
        let explanation = one.explain(&other);
        prop_assert_eq!(explanation.conflict().is_none(), one.intersects(&other));
        let reverse = other.explain(&one);
        prop_assert_eq!(explanation.common_topic().is_some(), reverse.common_topic().is_some());
        prop_assert!(explanation.conflict().is_none_or(|conflict| is_real(conflict, &one, &other)));
    }
}
