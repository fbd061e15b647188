//! The name of a user or a room: one fragment of a topic.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use ump_router::{Pattern, Topic, TopicError};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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
    #[error("a name is not empty")]
    Empty,
    #[error("{0:?} is not a name: it contains a slash")]
    Slash(String),
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let topic: Topic = text.parse()?;
        match topic.fragments().count() {
            0 => Err(NameError::Empty),
            1 => Ok(Self(topic)),
            _ => Err(NameError::Slash(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.to_string()
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
