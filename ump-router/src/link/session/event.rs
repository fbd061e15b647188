//! What a session tells its driver.

use std::time::Instant;

use ump::Executed;

use super::Replica;
use crate::{
    link::wire::{Codec, Failure, GoodbyeReason, Hello, Status, WireError},
    protocol::Bytes,
    topic::{Pattern, Topic},
};

/// An event of a session, from [`poll_event`](super::Session::poll_event).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The hellos are exchanged.
    Opened {
        /// The hello of the peer.
        hello: Hello,
        /// The version in use.
        version: u16,
        /// The features in use.
        features: u64,
    },
    /// The peer has told all that it had when the link opened.
    Synced,
    /// The peer subscribes. Answer with
    /// [`answer_subscribe`](super::Session::answer_subscribe).
    Subscribe {
        /// The subscription.
        id: u32,
        /// The pattern.
        pattern: Pattern,
        /// Whether it wants the retained messages first.
        retained: bool,
    },
    /// A subscription of the peer ended.
    Unsubscribe {
        /// The subscription.
        id: u32,
    },
    /// The answer to a subscription of this end, or its end by the peer.
    Subscribed {
        /// The subscription.
        id: u32,
        /// The answer. A refused or ended subscription does not exist.
        status: Status,
        /// An explanation, for people.
        text: String,
    },
    /// A message for subscriptions of this end.
    Message {
        /// The subscriptions.
        to: Vec<u32>,
        /// The topic or pattern that it was published on.
        topic: Pattern,
        /// Whether to retain it.
        retain: bool,
        /// Whether it was retained before the subscription.
        retained: bool,
        /// How the payload is encoded.
        codec: Codec,
        /// The payload.
        payload: Bytes,
    },
    /// A subscription of this end missed messages at this place.
    Gap {
        /// The subscription.
        id: u32,
        /// The number of messages, or 0 if it is not known.
        missed: u64,
    },
    /// The peer does not deliver publications of this end. It tells this now and then.
    Refused {
        /// The reason.
        status: Status,
        /// The topic or pattern of the publications.
        topic: Pattern,
        /// An explanation, for people.
        text: String,
    },
    /// The retained message of a topic is removed.
    Unretain {
        /// The topic.
        topic: Topic,
    },
    /// The retained message of a topic has changed. Only a stamp that is newer than that of the
    /// last change of the topic counts.
    Replicate(Replica),
    /// The peer claims a topic. Answer with [`answer_serve`](super::Session::answer_serve).
    Serve {
        /// The claim.
        id: u32,
        /// The topic.
        topic: Topic,
        /// Whether to stand by if the topic is taken.
        stand_by: bool,
    },
    /// The peer gives up a claim.
    Leave {
        /// The claim.
        id: u32,
    },
    /// What became of a claim of this end.
    Served {
        /// The claim.
        id: u32,
        /// The state. Refused and lost claims do not exist.
        status: Status,
        /// An explanation, for people.
        text: String,
    },
    /// A request of the peer. [Take](super::Session::take) it before it is executed, then answer
    /// it.
    Request {
        /// The request.
        request: u64,
        /// The topic.
        topic: Topic,
        /// The deadline.
        deadline: Option<Instant>,
        /// How the payload is encoded.
        codec: Codec,
        /// The payload.
        payload: Bytes,
    },
    /// A request of the peer ended: nobody waits for it. If it was not taken, it must not be
    /// executed.
    Withdrawn {
        /// The request.
        request: u64,
    },
    /// A handler at the peer has a request of this end.
    Taken {
        /// The request.
        request: u64,
    },
    /// A request of this end ended.
    Ended {
        /// The request.
        request: u64,
        /// The outcome.
        outcome: Outcome,
    },
    /// The session is over. The last event.
    Closed(Closed),
}

/// The outcome of a request of this end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The server replied.
    Reply {
        /// How the payload is encoded.
        codec: Codec,
        /// The payload.
        payload: Bytes,
    },
    /// The server refused it with its own error.
    Refused {
        /// How the payload is encoded.
        codec: Codec,
        /// The payload.
        payload: Bytes,
    },
    /// It has no reply.
    Failed {
        /// The reason.
        failure: Failure,
        /// Whether it was executed.
        executed: Executed,
        /// An explanation, for people.
        text: String,
    },
    /// This end cancelled it.
    Cancelled(Progress),
    /// Its deadline passed.
    TimedOut(Progress),
    /// The link was closed or lost.
    LinkLost(Progress),
}

impl Outcome {
    /// Returns whether the request was executed.
    #[must_use]
    pub fn executed(&self) -> Executed {
        match self {
            Self::Reply { .. } | Self::Refused { .. } => Executed::Yes,
            Self::Failed { executed, .. } => *executed,
            Self::Cancelled(progress) | Self::TimedOut(progress) | Self::LinkLost(progress) => {
                progress.executed()
            }
        }
    }
}

/// How far a request came, as far as this end knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// It was not sent, or the peer has not seen it.
    NotSent,
    /// It was sent. It is not known whether a handler took it.
    Sent,
    /// A handler took it.
    Taken,
}

impl Progress {
    /// Returns whether the request was executed.
    #[must_use]
    pub fn executed(self) -> Executed {
        match self {
            Self::NotSent => Executed::No,
            Self::Sent | Self::Taken => Executed::Perhaps,
        }
    }
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Closed {
    /// This end closed it.
    #[error("the link was closed at this end")]
    Local,
    /// The peer closed it.
    #[error("the peer closed the link ({reason:?}): {text}")]
    Peer {
        /// The reason.
        reason: GoodbyeReason,
        /// An explanation, for people.
        text: String,
    },
    /// The connection ended without a goodbye.
    #[error("the connection was lost")]
    Lost,
    /// The peer sent bytes that are not the protocol.
    #[error("the peer sent what the protocol does not allow: {0}")]
    Wire(#[from] WireError),
    /// The peer broke a rule of the protocol, or exceeded a limit.
    #[error("the peer broke the protocol: {0}")]
    Violation(&'static str),
    /// The peer cannot be a peer: versions, features, or the same router.
    #[error("the link was refused: {1}")]
    Incompatible(GoodbyeReason, String),
    /// A deadline passed.
    #[error("the link was given up: {0}")]
    TimedOut(&'static str),
}

impl Closed {
    /// Returns the reason that the peer gets.
    pub(super) fn reason(&self) -> GoodbyeReason {
        match self {
            Self::Local | Self::Peer { .. } | Self::Lost => GoodbyeReason::Done,
            Self::Wire(_) | Self::Violation(_) => GoodbyeReason::Violation,
            Self::Incompatible(reason, _) => *reason,
            Self::TimedOut(_) => GoodbyeReason::TimedOut,
        }
    }
}

/// Why a session did not do what its user asked for. It changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// The session is not open.
    #[error("the link is not open: wait until it is")]
    NotOpen,
    /// What waits to be sent, or to be answered, is at its maximum.
    #[error("the link is full: try again when some of its work is done")]
    Full,
    /// The peer allows no more of these.
    #[error("the quota of {0} is used up: end one first")]
    Quota(&'static str),
    /// The message does not fit into a frame of the peer.
    #[error("the message is longer than the peer allows: at most {0} bytes")]
    TooLong(usize),
    /// There is nothing with this id, or not any more.
    #[error("there is nothing with this id, or not any more")]
    Unknown,
}
