//! The name of a user or a room: one fragment of a topic.

use std::{fmt, str::FromStr};

use ump_router::{Pattern, Topic};

use crate::error::ChatError;

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

impl FromStr for Name {
    type Err = ChatError;

    fn from_str(text: &str) -> Result<Self, ChatError> {
        let topic: Topic = text.parse()?;
        match topic.fragments().count() {
            1 => Ok(Self(topic)),
            _ => Err(ChatError::NotAName(text.to_owned())),
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
