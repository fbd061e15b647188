//! A pattern of topics.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

use smol_str::SmolStr;

use super::{
    error::TopicError,
    fragments::{DEEP, Fragments, STAR},
    grammar::{self, Shape},
    matching,
    name::Topic,
};

/// A pattern that matches topics: `*` stands for exactly one fragment, and `**` for any number of
/// them, also zero.
///
/// | pattern | matches | does not match |
/// |---|---|---|
/// | `price/*/eur` | `price/gold/eur` | `price/eur`, `price/gold/spot/eur` |
/// | `price/**` | `price`, `price/eur`, `price/gold/eur` | `prices` |
/// | `*/alice` | `users/alice` | `alice` |
/// | `**/alice` | `alice`, `users/alice` | `alice/inbox` |
/// | `**` | every topic, also the empty one | |
///
/// A wildcard is a whole fragment: `a*` is an error.
///
/// A pattern is stored in canonical form: in a row of wildcards `**` comes last, and once, so that
/// `a/**/*` becomes `a/*/**`. Two patterns are equal exactly if they match the same topics. They
/// compare, hash and print as their canonical text.
///
/// The text is validated once. A clone shares it and does not allocate.
///
/// ```
/// use ump_router::{Pattern, Topic};
///
/// let pattern: Pattern = "price/*/eur".parse()?;
/// assert!(pattern.matches(&Topic::try_from("price/gold/eur")?));
/// assert!(pattern.intersects(&"**/gold/*".parse()?));
/// assert_eq!(Pattern::try_from("**/*")?, "*/**");
/// # Ok::<_, ump_router::TopicError>(())
/// ```
#[derive(Clone)]
pub struct Pattern(Kind);

#[derive(Clone)]
enum Kind {
    Topic(Topic),
    /// In canonical form.
    Wild(SmolStr),
}

impl Pattern {
    /// The maximum length of a pattern with wildcards, in bytes. (A pattern without wildcards is a
    /// topic, with the limits of topics.) The prefix of its type does not count.
    ///
    /// With this and [`MAX_FRAGMENTS`](Self::MAX_FRAGMENTS), two patterns that intersect have a
    /// common topic within the limits of topics.
    pub const MAX_LENGTH: usize = grammar::WRITTEN.pattern.length;

    /// The maximum number of fragments of a pattern with wildcards.
    pub const MAX_FRAGMENTS: usize = grammar::WRITTEN.pattern.fragments;

    fn of_shape(text: &str, shape: &Shape) -> Self {
        Self(match shape.wildcard {
            None => Kind::Topic(Topic::from_valid(text)),
            Some(_) if shape.is_loose => Kind::Wild(grammar::canonical(text).into()),
            Some(_) => Kind::Wild(text.into()),
        })
    }

    /// Checks a text that may be a full name.
    pub(crate) fn from_full_name(text: &str) -> Result<Self, TopicError> {
        let shape = grammar::check_within(text, grammar::FULL)?;
        Ok(Self::of_shape(text, &shape))
    }

    /// Returns a pattern with another text, which is canonical and has wildcards if this one has.
    pub(crate) fn with_text(&self, text: impl Into<SmolStr>) -> Self {
        Self(match &self.0 {
            Kind::Topic(_) => Kind::Topic(Topic::from_valid(text)),
            Kind::Wild(_) => Kind::Wild(text.into()),
        })
    }

    /// Returns the text, in canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kind::Topic(topic) => topic.as_str(),
            Kind::Wild(text) => text,
        }
    }

    /// Returns the fragments. Wildcards are fragments, too.
    #[must_use]
    pub fn fragments(&self) -> Fragments<'_> {
        Fragments::of(self.as_str())
    }

    /// Returns whether the pattern has no wildcard, so that it matches one topic only.
    #[must_use]
    pub fn is_concrete(&self) -> bool {
        self.as_topic().is_some()
    }

    /// Returns the only topic that the pattern matches, if it has no wildcard.
    #[must_use]
    pub fn as_topic(&self) -> Option<&Topic> {
        match &self.0 {
            Kind::Topic(topic) => Some(topic),
            Kind::Wild(_) => None,
        }
    }

    /// Returns the only topic that the pattern matches.
    pub(crate) fn concrete(&self) -> Result<&Topic, TopicError> {
        match &self.0 {
            Kind::Topic(topic) => Ok(topic),
            Kind::Wild(text) => {
                let mut position = 0;
                for fragment in Fragments::of(text) {
                    if matches!(fragment, STAR | DEEP) {
                        break;
                    }
                    position += fragment.len() + 1;
                }
                Err(TopicError::wildcard(text, position))
            }
        }
    }

    /// Returns whether the pattern matches a topic.
    ///
    /// It takes a time at most proportional to the product of the two numbers of fragments, and
    /// allocates nothing.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        match &self.0 {
            Kind::Topic(only) => only == topic,
            Kind::Wild(text) => matching::intersect(text, topic.as_str()),
        }
    }

    /// Returns whether there is a topic that both patterns match.
    ///
    /// It is exact and symmetric. It takes a time at most proportional to the product of the two
    /// numbers of fragments, and allocates nothing.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        match (self.as_topic(), other.as_topic()) {
            (Some(one), Some(other)) => one == other,
            _ => matching::intersect(self.as_str(), other.as_str()),
        }
    }

    /// Returns whether the pattern matches every topic that the other one matches.
    ///
    /// It is exact, also for patterns with several wildcards. Two patterns that include each other
    /// are equal. It takes a time at most proportional to the product of the two numbers of
    /// fragments, and allocates nothing.
    ///
    /// ```
    /// use ump_router::Pattern;
    ///
    /// let pattern = |text: &str| text.parse::<Pattern>().unwrap();
    /// assert!(pattern("price/**").includes(&pattern("price/*/eur")));
    /// assert!(pattern("*/**").includes(&pattern("**/eur")));
    /// assert!(!pattern("*/eur").includes(&pattern("**/eur"))); // not `eur`
    /// ```
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Topic(only), Kind::Topic(other)) => only == other,
            (Kind::Topic(_), Kind::Wild(_)) => false, // a wildcard matches more than one topic
            (Kind::Wild(text), Kind::Topic(other)) => matching::intersect(text, other.as_str()),
            (Kind::Wild(text), Kind::Wild(other)) => matching::include(text, other),
        }
    }

    /// Returns a topic that both patterns match, or `None` if they do not
    /// [intersect](Self::intersects).
    ///
    /// It explains why two patterns intersect. It is one of the topics with the fewest fragments; a
    /// fragment that neither pattern names is `x`.
    ///
    /// ```
    /// use ump_router::{Pattern, Topic};
    ///
    /// let (one, other): (Pattern, Pattern) = ("price/*/eur".parse()?, "**/gold/*".parse()?);
    /// assert_eq!(one.common_topic(&other).unwrap(), "price/gold/eur");
    /// # Ok::<_, ump_router::TopicError>(())
    /// ```
    #[must_use]
    pub fn common_topic(&self, other: &Self) -> Option<Topic> {
        matching::common(self.as_str(), other.as_str()).map(Topic::from_valid)
    }
}

impl FromStr for Pattern {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let shape = grammar::check(text)?;
        Ok(Self::of_shape(text, &shape))
    }
}

impl TryFrom<&str> for Pattern {
    type Error = TopicError;

    fn try_from(text: &str) -> Result<Self, TopicError> {
        text.parse()
    }
}

impl TryFrom<String> for Pattern {
    type Error = TopicError;

    fn try_from(text: String) -> Result<Self, TopicError> {
        text.parse()
    }
}

/// Shares the text.
impl From<Topic> for Pattern {
    fn from(topic: Topic) -> Self {
        Self(Kind::Topic(topic))
    }
}

/// Shares the text.
impl From<&Topic> for Pattern {
    fn from(topic: &Topic) -> Self {
        Self::from(topic.clone())
    }
}

impl From<Pattern> for Arc<str> {
    fn from(pattern: Pattern) -> Self {
        match pattern.0 {
            Kind::Topic(topic) => topic.into(),
            Kind::Wild(text) => text.into(),
        }
    }
}

/// The empty topic.
impl Default for Pattern {
    fn default() -> Self {
        Topic::default().into()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl AsRef<str> for Pattern {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Pattern {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Pattern {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Pattern {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
