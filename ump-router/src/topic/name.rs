//! One name.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use smol_str::SmolStr;

use super::{Fragments, TopicError, TopicErrorKind, grammar};

/// A concrete name: fragments joined by slashes.
///
/// A fragment is any text without white space, control characters and `/ * $ ? #`. There may be none: the empty topic, which is the text `""`, is
/// the [`default`](Topic::default).
///
/// It is validated once. A clone allocates nothing: a text of up to 23 bytes is in the topic itself, a longer one is shared. It compares, hashes and is printed as its text, so that a map
/// with topics as keys can be asked with a `&str`.
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
    /// The most bytes that a topic can have, slashes included.
    pub const MAX_LENGTH: usize = 1024;

    /// The most fragments that a topic can have.
    pub const MAX_FRAGMENTS: usize = 64;

    /// Would the text be a topic? For whoever only looks something up by it: nothing is allocated.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub fn check(text: &str) -> Result<(), TopicError> {
        match grammar::check(text)?.wildcard {
            None => Ok(()),
            Some(at) => Err(TopicError::new(TopicErrorKind::Wildcard, text, at)),
        }
    }

    /// What has been checked already.
    pub(crate) fn from_valid(text: impl Into<SmolStr>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is between the slashes.
    #[must_use]
    pub fn fragments(&self) -> Fragments<'_> {
        Fragments::of(&self.0)
    }

    /// Are there no fragments?
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
