//! Intersection and inclusion of two patterns. A topic is a pattern, too.

use super::{
    fragments::{DEEP, Fragments, STAR},
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

/// Returns the first fragment of `one`, by its index, that no topic of `other` can have after the
/// fragments before it. `None` if the patterns intersect, or if only the end is missing.
pub(super) fn first_without_place(one: &str, other: &str) -> Option<usize> {
    let length = Fragments::of(other).count();
    let mut reached = past_deep(Positions::FIRST, other);
    Fragments::of(one).position(|fragment| {
        let next = if fragment == DEEP {
            reached.and_above().and(Positions::up_to(length))
        } else {
            step(reached, fragment, other)
        };
        reached = past_deep(next, other);
        reached.is_empty()
    })
}

/// Returns whether `one` matches every topic that `other` matches.
///
/// It reads `other` from left to right, and keeps the set of positions in `one` that the fragments
/// so far lead to. Where `other` leaves a choice it takes the one that leads to the fewest topics.
/// If these are matched all the same, so are those of every other choice, and if not, there is a
/// topic outside. There is always one such choice:
///
/// - For `*` it is a name that `one` does not have, because every other name leads to the same
///   positions and perhaps to more.
/// - For `**` it is a row of such names, so long that only a `**` of `one` can take it. What is
///   left then is the last `**` that was reached, which every row leads to.
/// - Except if a later position was reached, before a row of `*` that ends in another `**`. From
///   there `one` matches all that it matches from the others, as soon as there are as many
///   fragments as the row has `*`. A name less leaves one more to come, so the choice is no name.
pub(super) fn include(one: &str, other: &str) -> bool {
    let length = Fragments::of(one).count();
    let mut reached = past_deep(Positions::FIRST, one);
    for fragment in Fragments::of(other) {
        let next = if fragment == DEEP {
            past_worst_row(reached, one)
        } else {
            step_of_all(reached, fragment, one)
        };
        reached = past_deep(next, one);
        if reached.is_empty() {
            return false;
        }
    }
    reached.contains(length)
}

/// Returns where a name leads. For `*`, where every name leads.
fn step_of_all(reached: Positions, fragment: &str, one: &str) -> Positions {
    let mut next = Positions::NONE;
    for (at, own) in Fragments::of(one).enumerate() {
        if !reached.contains(at) {
            continue;
        }
        if own == DEEP {
            next.insert(at);
        } else if own == fragment || own == STAR {
            next.insert(at + 1);
        }
    }
    next
}

/// Returns where that row of names leads, perhaps an empty one, that leads to the fewest topics.
fn past_worst_row(reached: Positions, one: &str) -> Positions {
    let mut last_deep = Positions::NONE;
    // Whether a position before one of the last `*` in a row was reached; and whether a `**`
    // followed the row, after the last `**` that was reached.
    let (mut in_row, mut needs_more) = (false, false);
    for (at, own) in Fragments::of(one).enumerate() {
        match own {
            STAR => in_row |= reached.contains(at),
            DEEP if reached.contains(at) => {
                last_deep = Positions::only(at);
                (in_row, needs_more) = (false, false);
            }
            DEEP => needs_more |= std::mem::take(&mut in_row),
            _ => in_row = false,
        }
    }
    if needs_more { reached } else { last_deep }
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
