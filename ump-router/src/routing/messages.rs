//! The inputs and outputs of a core.

use std::time::Instant;

use ump::Executed;

use crate::topic::{Pattern, Topic};

/// Identifies a peer: this process, or the other end of a link. From
/// [`Core::connect`](super::Core::connect).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub(super) u64);

/// Identifies a subscription or a request of a peer. The peer chooses it, different from those that
/// it has in use.
pub type LocalId = u64;

/// Identifies a request that was assigned to a server. The core chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RequestId(pub(super) u64);

/// A message from a peer to the core.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input<M> {
    /// Subscribes to the messages whose topics match a pattern. There is no answer: every message
    /// that is published after it is delivered.
    Subscribe {
        /// The peer's id for the subscription.
        local_id: LocalId,
        /// The pattern.
        pattern: Pattern,
    },
    /// Ends a subscription.
    Unsubscribe {
        /// The peer's id for the subscription.
        local_id: LocalId,
    },
    /// Publishes a message to all subscribers, the publisher included.
    Publish {
        /// A topic, or a pattern for all topics that match it.
        topic: Pattern,
        /// The message.
        message: M,
    },
    /// Asks to serve a topic. The answer is [`Output::Serving`], [`Output::StandingBy`] or
    /// [`Output::Taken`].
    Serve {
        /// The topic.
        topic: Topic,
        /// Whether to stand by if the topic is taken.
        stand_by: bool,
    },
    /// Stops serving a topic, or standing by. Before, the peer should [return](Self::Return) the
    /// requests that it has not executed.
    Leave {
        /// The topic.
        topic: Topic,
    },
    /// Makes a request to the server of a topic. The answer is one [`Output::Ended`].
    Request {
        /// The peer's id for the request.
        local_id: LocalId,
        /// The topic.
        topic: Topic,
        /// The message.
        message: M,
        /// The deadline.
        deadline: Option<Instant>,
        /// Whether to wait for a server if the topic has none.
        wait_for_server: bool,
    },
    /// Cancels a request. It has no outcome then, unless that is
    /// [in the outputs](super::Core::poll_output) already; so the id should not be used again
    /// before the peer knows.
    Cancel {
        /// The peer's id for the request.
        local_id: LocalId,
    },
    /// Answers a request that the peer serves.
    Reply {
        /// The request.
        id: RequestId,
        /// The reply, or the server's own error.
        reply: Result<M, M>,
    },
    /// Gives up a request that the peer serves, without an answer.
    NoReply {
        /// The request.
        id: RequestId,
    },
    /// Returns a request that the peer has not executed and will not execute. It goes to the next
    /// server, if there is one.
    Return {
        /// The request.
        id: RequestId,
        /// The message of the request.
        message: M,
    },
}

/// A message from the core to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output<M> {
    /// Delivers a message, once for all subscriptions of the peer.
    Deliver {
        /// The subscriptions that match, in ascending order.
        to: Vec<LocalId>,
        /// The topic or pattern that it was published on.
        topic: Pattern,
        /// The message.
        message: M,
    },
    /// The peer serves a topic from now on.
    Serving {
        /// The topic.
        topic: Topic,
    },
    /// The peer stands by for a topic.
    StandingBy {
        /// The topic.
        topic: Topic,
    },
    /// Another peer serves the topic.
    Taken {
        /// The topic.
        topic: Topic,
    },
    /// Assigns a request to the peer, which serves its topic.
    Request {
        /// The request.
        id: RequestId,
        /// The topic.
        topic: Topic,
        /// The message.
        message: M,
        /// The deadline.
        deadline: Option<Instant>,
    },
    /// The caller of an assigned request does not wait any more.
    Cancelled {
        /// The request.
        id: RequestId,
    },
    /// The outcome of a request that the peer made.
    Ended {
        /// The peer's id for the request.
        local_id: LocalId,
        /// The outcome.
        outcome: Outcome<M>,
    },
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Outcome<M> {
    /// The server replied.
    Reply(M),
    /// The server refused it with its own error.
    Refused(M),
    /// The server gave it up without an answer.
    NoReply,
    /// The topic has no server. The request was not executed.
    NoServer,
    /// The server left, or was disconnected.
    ServerLost(Executed),
    /// The deadline passed.
    TimedOut(Executed),
}

/// The error of an input that the protocol does not allow. It changes nothing, and no other peer
/// notices it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Violation {
    /// The peer is not connected.
    #[error("the peer is not connected: connect it, and use its new id")]
    UnknownPeer,
    /// The peer has a subscription or a request with this id already.
    #[error("the peer already uses local id {0}: choose an unused one")]
    LocalIdInUse(LocalId),
    /// The peer has no subscription with this id.
    #[error(
        "the peer has no subscription with local id {0}: unsubscribe with the id of a live subscription"
    )]
    UnknownSubscription(LocalId),
    /// The peer leaves a topic that it has not claimed, or claims a topic twice.
    #[error(
        "the peer left a topic without a claim, or claimed a topic twice: claim a topic once before leaving it"
    )]
    WrongClaim,
    /// The request was never assigned to the peer. A request that has ended meanwhile is no
    /// violation.
    #[error("request {id} was never assigned to the peer: only its server can answer it", id = .0.0)]
    WrongRequest(RequestId),
}
