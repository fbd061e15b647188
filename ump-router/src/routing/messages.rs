//! What peers say to a core, and what it says to them.

use std::{error::Error as StdError, fmt, time::Instant};

use ump::Executed;

use crate::topic::{Pattern, Topic};

/// Somebody who takes part: this process, or the other end of a link. From [`Core::connect`](super::Core::connect).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(pub(super) u64);

/// The local_id of a subscription or a request: the peer that makes it chooses it, apart from those that it has in use.
pub type LocalId = u64;

/// A request on its way to its server: the core's local_id for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RequestId(pub(super) u64);

/// What a peer says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input<M> {
    /// It wants what is published on topics that the pattern fits. Nothing is answered: all that is published after it is delivered.
    Subscribe {
        /// Its local_id for it.
        local_id: LocalId,
        /// Of which topics.
        pattern: Pattern,
    },
    /// It wants that no more.
    Unsubscribe {
        /// Which.
        local_id: LocalId,
    },
    /// A message for all who want it, also for itself.
    Publish {
        /// On a topic, or on all topics of a pattern.
        topic: Pattern,
        /// What.
        message: M,
    },
    /// It wants to serve a topic. Answered by [`Output::Serving`], [`Output::StandingBy`] or [`Output::Taken`].
    Serve {
        /// Which one.
        topic: Topic,
        /// And gets in line if somebody else does.
        stand_by: bool,
    },
    /// It serves a topic no more, or stands by no more. First it should [return](Self::Return) what it has not executed.
    Leave {
        /// Which one.
        topic: Topic,
    },
    /// A request to the server of a topic. Answered by one [`Output::Ended`].
    Request {
        /// Its local_id for it.
        local_id: LocalId,
        /// On which topic.
        topic: Topic,
        /// What is asked.
        message: M,
        /// Until when.
        deadline: Option<Instant>,
        /// If nobody serves the topic, wait_for_server until somebody does.
        wait_for_server: bool,
    },
    /// It does not want the outcome of a request any more. It will have none, unless that is [on its way](super::Core::poll_output) already; so the
    /// local_id is better not used again before one knows.
    Cancel {
        /// Which one.
        local_id: LocalId,
    },
    /// The reply to a request that it serves, or what it refuses it with.
    Reply {
        /// To which.
        id: RequestId,
        /// The one or the other.
        reply: Result<M, M>,
    },
    /// A request that it let go of without an answer.
    NoReply {
        /// Which one.
        id: RequestId,
    },
    /// A request that it has not executed and will not execute: it goes to the next server, if there is one.
    Return {
        /// Which one.
        id: RequestId,
        /// What was asked.
        message: M,
    },
}

/// What a peer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output<M> {
    /// A message that it wants.
    Deliver {
        /// By which of its subscriptions, in the order of their local_ids. The message is sent once.
        to: Vec<LocalId>,
        /// Under which name it was published.
        topic: Pattern,
        /// What.
        message: M,
    },
    /// It serves a topic from now on.
    Serving {
        /// Which one.
        topic: Topic,
    },
    /// It is in line to serve a topic.
    StandingBy {
        /// Which one.
        topic: Topic,
    },
    /// Somebody else serves the topic.
    Taken {
        /// Which one.
        topic: Topic,
    },
    /// A request to serve.
    Request {
        /// The core's local_id for it.
        id: RequestId,
        /// On which topic.
        topic: Topic,
        /// What is asked.
        message: M,
        /// Until when somebody wait_for_server.
        deadline: Option<Instant>,
    },
    /// Nobody wait_for_server for a request any more that it was given.
    Cancelled {
        /// Which one.
        id: RequestId,
    },
    /// The outcome of its request.
    Ended {
        /// Its local_id for it.
        local_id: LocalId,
        /// How it ended.
        outcome: Outcome<M>,
    },
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Outcome<M> {
    /// In a reply.
    Reply(M),
    /// The server refused it.
    Refused(M),
    /// The server let go of it without an answer.
    NoReply,
    /// Nobody serves the topic: it was not executed.
    NoServer,
    /// Its server has left, or is not reached any more.
    ServerLost(Executed),
    /// The deadline has passed.
    TimedOut(Executed),
}

/// What a peer said cannot be. Nothing has come of it, and nobody else has noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Violation {
    /// The peer is not connected.
    UnknownPeer,
    /// It uses the local_id already.
    LocalIdInUse(LocalId),
    /// It has no subscription of this local_id.
    UnknownSubscription(LocalId),
    /// It has not claimed the topic, or claims it for a second time.
    WrongClaim,
    /// This request was not given to it. What has ended meanwhile is no violation.
    WrongRequest(RequestId),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPeer => f.write_str("the peer is not connected"),
            Self::LocalIdInUse(local_id) => write!(f, "the local_id {local_id} is in use"),
            Self::UnknownSubscription(local_id) => {
                write!(f, "no subscription has the local_id {local_id}")
            }
            Self::WrongClaim => f.write_str("the topic is not claimed, or is claimed already"),
            Self::WrongRequest(RequestId(id)) => write!(f, "request {id} is not with this peer"),
        }
    }
}

impl StdError for Violation {}
