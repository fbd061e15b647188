//! A topic.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use smol_str::SmolStr;

use super::{error::TopicError, fragments::Fragments, grammar};

/// A concrete name: fragments joined by slashes.
///
/// A fragment is any text without white space, control characters, invisible characters and
/// `/ * $ ? #`. The empty topic,
/// whose text is `""`, has no fragments; it is the [`default`](Topic::default).
///
/// The text is validated once. A clone does not allocate: a text of up to 23 bytes is stored
/// inline, a longer one is shared. A topic compares, hashes and prints as its text, so that a map
/// with topics as keys can be searched by a `&str`.
///
/// ```
/// use std::collections::HashMap;
/// use ump_router::Topic;
///
/// let topic: Topic = "price/eur".parse()?;
/// assert!(topic.fragments().eq(["price", "eur"]));
///
/// let rates = HashMap::from([(topic, 1.08)]);
/// assert_eq!(rates["price/eur"], 1.08);
/// # Ok::<_, ump_router::TopicError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(SmolStr);

impl Topic {
    /// The maximum length of a topic in bytes, slashes included. The prefix of its type does not
    /// count.
    pub const MAX_LENGTH: usize = grammar::WRITTEN.topic.length;

    /// The maximum number of fragments of a topic.
    pub const MAX_FRAGMENTS: usize = grammar::WRITTEN.topic.fragments;

    /// Checks that a text is a topic, without allocating.
    ///
    /// # Errors
    /// The text is not a topic.
    pub fn check(text: &str) -> Result<(), TopicError> {
        match grammar::check(text)?.wildcard {
            None => Ok(()),
            Some(at) => Err(TopicError::wildcard(text, at)),
        }
    }

    /// Checks a text that may be a full name.
    pub(crate) fn from_full_name(text: &str) -> Result<Self, TopicError> {
        match grammar::check_within(text, grammar::FULL)?.wildcard {
            None => Ok(Self::from_valid(text)),
            Some(at) => Err(TopicError::wildcard(text, at)),
        }
    }

    /// Creates a topic from a text that was checked already.
    pub(crate) fn from_valid(text: impl Into<SmolStr>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the fragments.
    #[must_use]
    pub fn fragments(&self) -> Fragments<'_> {
        Fragments::of(&self.0)
    }

    /// Returns whether the topic has no fragments.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        Self::check(text).map(|()| Self::from_valid(text))
    }
}

impl TryFrom<&str> for Topic {
    type Error = TopicError;

    fn try_from(text: &str) -> Result<Self, TopicError> {
        text.parse()
    }
}

impl TryFrom<String> for Topic {
    type Error = TopicError;

    fn try_from(text: String) -> Result<Self, TopicError> {
        text.parse()
    }
}

impl From<Topic> for Arc<str> {
    fn from(topic: Topic) -> Self {
        topic.0.into()
    }
}

impl AsRef<str> for Topic {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Topic {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Topic {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
