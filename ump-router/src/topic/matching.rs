//! Intersection of two patterns. A topic is a pattern, too.

use super::{
    fragments::Fragments,
    grammar::{DEEP, STAR},
    positions::Positions,
};

/// Returns whether there is a topic that both patterns match.
///
/// It reads the one from left to right, and keeps the set of positions in the other that the
/// fragments so far can lead to. Each fragment of the one is compared with each of the other at
/// most once.
pub(super) fn intersect(one: &str, other: &str) -> bool {
    let length = Fragments::of(other).count();
    let mut reached = past_deep(Positions::FIRST, other);
    for fragment in Fragments::of(one) {
        let next = if fragment == DEEP {
            reached.and_above().and(Positions::up_to(length))
        } else {
            step(reached, fragment, other)
        };
        reached = past_deep(next, other);
        if reached.is_empty() {
            return false;
        }
    }
    reached.contains(length)
}

/// Returns where one fragment leads, which is a name or `*`.
fn step(reached: Positions, fragment: &str, other: &str) -> Positions {
    let mut next = Positions::NONE;
    for (at, theirs) in Fragments::of(other).enumerate() {
        if !reached.contains(at) {
            continue;
        }
        if theirs == DEEP {
            next.insert(at);
        } else if theirs == fragment || theirs == STAR || fragment == STAR {
            next.insert(at + 1);
        }
    }
    next
}

/// Adds the positions after `**`, which can match no fragment. (In canonical form no other wildcard
/// follows it.)
fn past_deep(mut reached: Positions, pattern: &str) -> Positions {
    for (at, fragment) in Fragments::of(pattern).enumerate() {
        if fragment == DEEP && reached.contains(at) {
            reached.insert(at + 1);
        }
    }
    reached
}

/// The name of a fragment that neither pattern names.
const ANY: &str = "x";

/// Returns one of the shortest topics that both patterns match.
///
/// By dynamic programming: for each pair of positions, from the last to the first, it finds the
/// number of fragments to the end and the best next move; then it makes the moves.
pub(super) fn common(one: &str, other: &str) -> Option<String> {
    let one: Vec<&str> = Fragments::of(one).collect();
    let other: Vec<&str> = Fragments::of(other).collect();
    let width = other.len() + 1;
    let mut best: Vec<Option<(usize, Move<'_>)>> = vec![None; (one.len() + 1) * width];
    for at in (0..best.len()).rev() {
        let (i, j) = (at / width, at % width);
        if (i, j) == (one.len(), other.len()) {
            best[at] = Some((0, Move::END));
            continue;
        }
        let moves = Move::all(one.get(i).copied(), other.get(j).copied());
        best[at] = moves
            .into_iter()
            .flatten()
            .filter_map(|next| {
                let (missing, _) = best[at + next.one * width + next.other]?;
                Some((missing + usize::from(next.name.is_some()), next))
            })
            .min_by_key(|(missing, _)| *missing);
    }
    let mut names = Vec::new();
    let mut at = 0;
    while at + 1 < best.len() {
        let (_, next) = best[at]?;
        names.extend(next.name);
        at += next.one * width + next.other;
    }
    Some(names.join("/"))
}

/// How far to advance in each pattern, and the resulting fragment.
#[derive(Clone, Copy)]
struct Move<'a> {
    one: usize,
    other: usize,
    name: Option<&'a str>,
}

impl<'a> Move<'a> {
    const END: Self = Self::by(0, 0, None);

    const fn by(one: usize, other: usize, name: Option<&'a str>) -> Self {
        Self { one, other, name }
    }

    /// Returns the possible moves at the next fragments. `**` ends, or matches the fragment of the
    /// other.
    fn all(one: Option<&'a str>, other: Option<&'a str>) -> [Option<Self>; 2] {
        let named = |name| Some(if name == STAR { ANY } else { name });
        match (one, other) {
            (Some(DEEP), Some(DEEP)) => [Some(Self::by(1, 0, None)), Some(Self::by(0, 1, None))],
            (Some(DEEP), other) => [
                Some(Self::by(1, 0, None)),
                other.map(|name| Self::by(0, 1, named(name))),
            ],
            (one, Some(DEEP)) => [
                Some(Self::by(0, 1, None)),
                one.map(|name| Self::by(1, 0, named(name))),
            ],
            (Some(STAR), Some(name)) | (Some(name), Some(STAR)) => {
                [Some(Self::by(1, 1, named(name))), None]
            }
            (Some(one), Some(other)) if one == other => [Some(Self::by(1, 1, named(one))), None],
            _ => [None, None],
        }
    }
}
