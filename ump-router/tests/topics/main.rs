//! Topics and patterns: which are valid, and which match.
#![cfg(not(loom))]

mod matching;
mod relations;
mod texts;
mod validity;

use std::iter;

use proptest::prelude::*;
use ump_router::{Pattern, Topic};

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

/// Long patterns, of which many intersect.
fn long_pattern() -> impl Strategy<Value = Pattern> {
    let fragment = prop::sample::select(vec!["a", "a", "b", "*", "**", "**"]);
    let all = prop::collection::vec(fragment, 0..=Pattern::MAX_FRAGMENTS);
    all.prop_map(|fragments| pattern(&fragments.join("/")))
}
