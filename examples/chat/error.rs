//! Errors of commands.

use std::convert::Infallible;

use thiserror::Error;
use ump_router::{RequestErrorKind, TopicError};
use ump_server::SpawnError;

use crate::name::{Name, NameError};

#[derive(Debug, Error)]
pub(crate) enum ChatError {
    #[error("unknown command {0:?}; /help lists the commands")]
    UnknownCommand(String),
    #[error("{command} needs {needs}")]
    Incomplete {
        command: String,
        needs: &'static str,
    },
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("no current user; /as NAME chooses one")]
    NoCurrentUser,
    #[error("{0} is in no room; /join ROOM joins one")]
    InNoRoom(Name),
    #[error("{user} is not in {room}")]
    NotAMember { user: Name, room: Name },
    #[error("another terminal is {user} in {room}: choose another name")]
    NameTaken { user: Name, room: Name },
    #[error("a terminal is one user: start another terminal with --as NAME")]
    OneUser,
    #[error("{user} does not listen to {pattern}")]
    NotListening { user: Name, pattern: String },
    #[error(transparent)]
    Router(#[from] ump_router::Error),
    #[error(transparent)]
    Request(#[from] RequestErrorKind<Infallible>),
    #[error("cannot start the thread of a membership: {0}")]
    Thread(#[from] SpawnError<Infallible>),
}

impl From<TopicError> for ChatError {
    fn from(error: TopicError) -> Self {
        Self::Router(error.into())
    }
}
