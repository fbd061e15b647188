//! The name of a user or a room: one fragment of a topic.

use std::{fmt, str::FromStr};

use thiserror::Error;
use ump_router::{Pattern, Topic, TopicError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(Topic);

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the topic of a user in this room.
    pub(crate) fn topic_of(&self, user: &Self) -> String {
        format!("{self}/{user}")
    }
}

/// Why a text is not a name.
#[derive(Debug, Error)]
pub(crate) enum NameError {
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error("{0:?} is not a name: it contains a slash")]
    Slash(String),
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let topic: Topic = text.parse()?;
        match topic.fragments().count() {
            1 => Ok(Self(topic)),
            _ => Err(NameError::Slash(text.to_owned())),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns the user at the end of a topic.
pub(crate) fn user_of(topic: &Pattern) -> &str {
    topic.fragments().next_back().unwrap_or_default()
}
