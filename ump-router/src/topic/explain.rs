//! How two patterns relate: why they have a topic in common, or why they have none.

use std::fmt;

use super::{
    fragments::{DEEP, Fragments, STAR},
    matching,
    name::Topic,
    pattern::Pattern,
};

/// How two patterns relate, and why. From [`Pattern::explain`].
///
/// It prints as a sentence for people:
///
/// ```
/// use ump_router::Pattern;
///
/// let euros: Pattern = "price/*/eur".parse()?;
/// assert_eq!(
///     euros.explain(&"price/**".parse()?).to_string(),
///     "'price/*/eur' is part of 'price/**': both match 'price/x/eur'"
/// );
/// assert_eq!(
///     euros.explain(&"**/usd".parse()?).to_string(),
///     "'price/*/eur' and '**/usd' have no topic in common: the last fragment is 'eur' in one and 'usd' in the other"
/// );
/// # Ok::<_, ump_router::TopicError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    one: Pattern,
    other: Pattern,
    relation: Relation,
    reason: Result<Topic, Conflict>,
}

/// How the topics that one pattern matches relate to those that another one matches. From
/// [`Pattern::relation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Relation {
    /// They are the same.
    Equal,
    /// The first has all topics of the second, and more.
    Includes,
    /// The second has all topics of the first, and more.
    IncludedIn,
    /// They have topics in common, and each has others.
    Overlaps,
    /// They have no topic in common.
    Disjoint,
}

/// The reason why two patterns have no topic in common. From [`Explanation::conflict`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Conflict {
    /// A fragment in a fixed place has two names.
    Names {
        /// The place in both patterns. There is no `**` on the way to it.
        place: Place,
        /// The name in the first pattern.
        first: Box<str>,
        /// The name in the second pattern.
        second: Box<str>,
    },
    /// One has topics of at least this number of fragments, the other of fewer.
    Length {
        /// The least number of fragments that topics of the one have.
        at_least: usize,
        /// The greatest number of fragments that topics of the other have.
        at_most: usize,
        /// Whether the longer one is the first pattern.
        first_is_longer: bool,
    },
    /// A fragment of one has no place in the other, after the fragments before it.
    NoPlace {
        /// The number of the fragment, counted from zero.
        index: usize,
        /// Its text.
        fragment: Box<str>,
        /// Whether the fragment is of the first pattern.
        is_of_first: bool,
    },
}

/// The place of a fragment, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Counted from the first fragment.
    FromStart(usize),
    /// Counted from the last fragment, towards the first.
    FromEnd(usize),
}

impl Pattern {
    /// Returns how the topics of two patterns relate.
    ///
    /// It takes a time at most proportional to the product of the two numbers of fragments, and
    /// allocates nothing.
    #[must_use]
    pub fn relation(&self, other: &Self) -> Relation {
        if self == other {
            Relation::Equal
        } else if self.includes(other) {
            Relation::Includes
        } else if other.includes(self) {
            Relation::IncludedIn
        } else if self.intersects(other) {
            Relation::Overlaps
        } else {
            Relation::Disjoint
        }
    }

    /// Explains how two patterns relate: with a topic that both match, or with the reason why there
    /// is none. For people who wonder why a message arrives, or does not.
    ///
    /// ```
    /// use ump_router::{Pattern, topic::Relation};
    ///
    /// let (one, other): (Pattern, Pattern) = ("price/*/eur".parse()?, "**/gold/*".parse()?);
    /// let explanation = one.explain(&other);
    /// assert_eq!(explanation.relation(), Relation::Overlaps);
    /// assert_eq!(explanation.common_topic().unwrap(), "price/gold/eur");
    /// assert_eq!(
    ///     explanation.to_string(),
    ///     "'price/*/eur' and '**/gold/*' overlap: both match 'price/gold/eur'"
    /// );
    /// # Ok::<_, ump_router::TopicError>(())
    /// ```
    #[must_use]
    pub fn explain(&self, other: &Self) -> Explanation {
        Explanation::of(self, other)
    }
}

impl Explanation {
    pub(super) fn of(one: &Pattern, other: &Pattern) -> Self {
        Self {
            one: one.clone(),
            other: other.clone(),
            relation: one.relation(other),
            reason: one
                .common_topic(other)
                .ok_or_else(|| Conflict::between(one.as_str(), other.as_str())),
        }
    }

    /// Returns how the patterns relate.
    #[must_use]
    pub fn relation(&self) -> Relation {
        self.relation
    }

    /// Returns a topic that both match, one of the shortest; see [`Pattern::common_topic`].
    #[must_use]
    pub fn common_topic(&self) -> Option<&Topic> {
        self.reason.as_ref().ok()
    }

    /// Returns why no topic matches both.
    #[must_use]
    pub fn conflict(&self) -> Option<&Conflict> {
        self.reason.as_ref().err()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { one, other, .. } = self;
        match self.relation {
            Relation::Equal => write!(f, "'{one}' and '{other}' match the same topics: ")?,
            Relation::Includes => write!(f, "'{one}' includes '{other}': ")?,
            Relation::IncludedIn => write!(f, "'{one}' is part of '{other}': ")?,
            Relation::Overlaps => write!(f, "'{one}' and '{other}' overlap: ")?,
            Relation::Disjoint => write!(f, "'{one}' and '{other}' have no topic in common: ")?,
        }
        match &self.reason {
            Ok(topic) => write!(f, "both match '{topic}'"),
            Err(Conflict::Names {
                place,
                first,
                second,
            }) => write!(f, "{place} is '{first}' in one and '{second}' in the other"),
            Err(Conflict::Length {
                at_least,
                at_most,
                first_is_longer,
            }) => {
                let (longer, shorter) = if *first_is_longer {
                    (one, other)
                } else {
                    (other, one)
                };
                write!(
                    f,
                    "a topic of '{longer}' has at least {at_least} fragments, one of '{shorter}' at most {at_most}"
                )
            }
            Err(Conflict::NoPlace {
                index,
                fragment,
                is_of_first,
            }) => {
                let (of, beside) = if *is_of_first {
                    (one, other)
                } else {
                    (other, one)
                };
                let number = index + 1;
                write!(
                    f,
                    "after what comes before it in '{of}', fragment {number} ('{fragment}') has no place in '{beside}'"
                )
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromStart(index) => write!(f, "fragment {}", index + 1),
            Self::FromEnd(0) => f.write_str("the last fragment"),
            Self::FromEnd(index) => write!(f, "fragment {} from the end", index + 1),
        }
    }
}

impl Conflict {
    /// The conflict between two patterns that do not intersect.
    fn between(one: &str, other: &str) -> Self {
        let fragments = |text| Fragments::of(text);
        let from_start = names(fragments(one), fragments(other));
        let from_end = || names(fragments(one).rev(), fragments(other).rev());
        if let Some((index, first, second)) = from_start {
            return Self::names(Place::FromStart(index), first, second);
        }
        if let Some((index, first, second)) = from_end() {
            return Self::names(Place::FromEnd(index), first, second);
        }
        let (one_length, other_length) = (Lengths::of(one), Lengths::of(other));
        for (longer, shorter, first_is_longer) in [
            (&one_length, &other_length, true),
            (&other_length, &one_length, false),
        ] {
            if let Some(at_most) = shorter.most.filter(|most| *most < longer.least) {
                return Self::Length {
                    at_least: longer.least,
                    at_most,
                    first_is_longer,
                };
            }
        }
        // Two patterns that both have a `**` intersect if their beginnings and their ends agree. So
        // only one of them has, and some of its names are not in the other, or not in this order.
        let is_of_first = one_length.most.is_none();
        let (of, beside) = if is_of_first {
            (one, other)
        } else {
            (other, one)
        };
        let index = matching::first_without_place(of, beside)
            .expect("patterns with the same ends and lengths differ in a name between");
        let fragment = Fragments::of(of).nth(index).unwrap_or_default();
        Self::NoPlace {
            index,
            fragment: fragment.into(),
            is_of_first,
        }
    }

    fn names(place: Place, first: &str, second: &str) -> Self {
        Self::Names {
            place,
            first: first.into(),
            second: second.into(),
        }
    }
}

/// Returns the first two names that differ, before any `**`.
fn names<'a>(
    one: impl Iterator<Item = &'a str>,
    other: impl Iterator<Item = &'a str>,
) -> Option<(usize, &'a str, &'a str)> {
    let pairs = one.zip(other).enumerate();
    pairs
        .take_while(|(_, (first, second))| *first != DEEP && *second != DEEP)
        .find(|(_, (first, second))| *first != STAR && *second != STAR && first != second)
        .map(|(index, (first, second))| (index, first, second))
}

/// The numbers of fragments that the topics of a pattern have.
struct Lengths {
    least: usize,
    most: Option<usize>,
}

impl Lengths {
    fn of(pattern: &str) -> Self {
        let all = Fragments::of(pattern).count();
        let least = Fragments::of(pattern).filter(|own| *own != DEEP).count();
        Self {
            least,
            most: (least == all).then_some(least),
        }
    }
}
