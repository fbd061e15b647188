//! What can be wrong with a line, told to the one who wrote it.

use std::{error::Error, fmt};

use ump_router::{RequestError, TopicError};

use crate::{name::Name, protocol::Ask};

#[derive(Debug)]
pub(crate) enum ChatError {
    /// No command begins with this word.
    Unknown(String),
    /// The command needs more than its name.
    Incomplete {
        command: String,
        needs: &'static str,
    },
    /// There is a slash in it.
    NotAName(String),
    /// Nobody has been named who could do that.
    Nobody,
    /// The user is in no room.
    Nowhere(Name),
    NotThere {
        user: Name,
        room: Name,
    },
    NotListening {
        user: Name,
        pattern: String,
    },
    /// The router refused.
    Router(ump_router::Error),
    /// A request came to no good end.
    Asking(RequestError<Ask>),
    /// There was no thread to be had.
    Thread(String),
}

impl fmt::Display for ChatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(word) => {
                write!(f, "there is no {word:?}; /help lists what there is")
            }
            Self::Incomplete { command, needs } => write!(f, "{command} needs {needs}"),
            Self::NotAName(text) => write!(f, "{text:?} is no name; leave out the slash"),
            Self::Nobody => f.write_str("nobody speaks yet; /as NAME says who does"),
            Self::Nowhere(user) => write!(f, "{user} is in no room; /join ROOM enters one"),
            Self::NotThere { user, room } => write!(f, "{user} is not in {room}"),
            Self::NotListening { user, pattern } => {
                write!(f, "{user} does not listen to {pattern}")
            }
            Self::Router(error) => error.fmt(f),
            Self::Asking(error) => error.fmt(f),
            Self::Thread(why) => write!(f, "no seat could be made: {why}"),
        }
    }
}

impl Error for ChatError {}

impl From<ump_router::Error> for ChatError {
    fn from(error: ump_router::Error) -> Self {
        Self::Router(error)
    }
}

impl From<TopicError> for ChatError {
    fn from(error: TopicError) -> Self {
        Self::Router(error.into())
    }
}
