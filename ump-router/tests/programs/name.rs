//! Names over few fragments, so that many are equal or intersect; and intersection as the
//! documentation defines it.

use proptest::{prelude::*, sample::select};
use ump_router::Pattern;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(Vec<&'static str>);

pub(crate) fn names() -> impl Strategy<Value = Name> {
    let fragment = select(vec!["a", "a", "a", "b", "b", "*", "**"]);
    prop::collection::vec(fragment, 0..4).prop_map(Name)
}

pub(crate) fn topics() -> impl Strategy<Value = Name> {
    prop::collection::vec(select(vec!["a", "a", "b"]), 0..3).prop_map(Name)
}

impl Name {
    /// The pattern that matches all topics.
    pub(crate) fn all() -> Self {
        Self(vec!["**"])
    }

    /// The topic without fragments.
    pub(crate) fn root() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn text(&self) -> String {
        self.0.join("/")
    }

    pub(crate) fn is_concrete(&self) -> bool {
        !self.0.iter().any(|fragment| fragment.starts_with('*'))
    }

    /// The name as the router writes it.
    pub(crate) fn canonical(&self) -> String {
        self.text().parse::<Pattern>().unwrap().to_string()
    }

    /// The canonical name with a prefix.
    pub(crate) fn full(&self, prefix: &str) -> String {
        match self.canonical().as_str() {
            "" => prefix.to_owned(),
            own => format!("{prefix}/{own}"),
        }
    }

    /// Returns whether some topic matches both names.
    pub(crate) fn intersects(&self, other: &Self) -> bool {
        intersect(&self.0, &other.0)
    }
}

fn intersect(one: &[&str], other: &[&str]) -> bool {
    match (one, other) {
        ([], []) => true,
        (["**", rest @ ..], _) => {
            intersect(rest, other)
                || other
                    .split_first()
                    .is_some_and(|(_, other)| intersect(one, other))
        }
        (_, ["**", ..]) => intersect(other, one),
        ([a, one @ ..], [b, other @ ..]) => {
            (a == b || *a == "*" || *b == "*") && intersect(one, other)
        }
        _ => false,
    }
}
