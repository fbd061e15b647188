//! The outcome of a request that a bridge carries.

use ump::Executed;

use crate::{
    link::{
        sockets::carried,
        wire::{Codec, Failure},
    },
    protocol::Bytes,
};

/// The outcome of a request that a [bridge](crate::bridge) carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The encoded reply of the server.
    Reply(Codec, Bytes),
    /// The encoded error with which the server refused the request.
    Refused(Codec, Bytes),
    /// The request has no reply: why, whether it was executed, and an explanation for people, which
    /// may be empty.
    Failed(Failure, Executed, String),
}

impl From<Outcome> for carried::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Reply(codec, payload) => Self::Reply(codec, payload),
            Outcome::Refused(codec, payload) => Self::Refused(codec, payload),
            Outcome::Failed(failure, executed, text) => Self::Failed(failure, executed, text),
        }
    }
}

impl From<carried::Outcome> for Outcome {
    fn from(outcome: carried::Outcome) -> Self {
        match outcome {
            carried::Outcome::Reply(codec, payload) => Self::Reply(codec, payload),
            carried::Outcome::Refused(codec, payload) => Self::Refused(codec, payload),
            carried::Outcome::Failed(failure, executed, text) => {
                Self::Failed(failure, executed, text)
            }
        }
    }
}
