//! The messages.

use std::time::Duration;

use ump::Executed;

use super::{
    kind::Kind,
    values::{Codec, Failure, GoodbyeReason, Status},
};
use crate::{
    protocol::Bytes,
    stamp::Stamp,
    topic::{Pattern, Topic},
};

/// What a peer can bear. Each end tells its own limits; the other keeps to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The maximum length of the body of a bulk frame.
    pub frame: u32,
    /// The number of topics that the peer may define: their numbers are below it.
    pub topics: u32,
    /// The number of subscriptions that the peer may have.
    pub subscriptions: u32,
    /// The number of topics that the peer may claim.
    pub claims: u32,
    /// The number of requests of the peer that have not ended.
    pub requests: u32,
    /// The number of subscribes and serves of the peer without an answer.
    pub operations: u32,
    /// The bytes of bulk frames that the peer may send before the first `Window`.
    pub window: u64,
}

/// The first message in either direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hello {
    /// The lowest version that the sender speaks.
    pub min_version: u16,
    /// The highest version that the sender speaks.
    pub max_version: u16,
    /// The features that the sender offers, as bits. One that both offer is in use.
    pub features: u64,
    /// The features without which the sender does not work.
    pub required: u64,
    /// The limits of the sender.
    pub limits: Limits,
    /// A random number of the sender's router.
    pub router: u128,
    /// A name of the sender, for people.
    pub name: String,
}

/// A change of the retained message of a topic. The newest one of a topic wins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RetainedChange {
    /// The topic.
    pub topic: Topic,
    /// When it was made, and by which router.
    pub stamp: Stamp,
    /// Whether the message is removed. Then there is no payload.
    pub removed: bool,
    /// Whether it is older than the link. Otherwise it was made just now.
    pub retained: bool,
    /// The rest of the time to live.
    pub remaining: Option<Duration>,
    /// How the payload is encoded.
    pub codec: Codec,
    /// The payload.
    pub payload: Bytes,
}

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// See [`Hello`].
    Hello(Hello),
    /// The last message in either direction.
    Goodbye {
        /// The reason.
        reason: GoodbyeReason,
        /// The last request that the sender has seen. Later ones were not executed.
        last_request: u64,
        /// An explanation, for people.
        text: String,
    },
    /// Asks for a pong with the same token.
    Ping {
        /// The token.
        token: u64,
    },
    /// The answer to the last ping.
    Pong {
        /// The token of the ping.
        token: u64,
    },
    /// Defines, or redefines, the number of a topic or pattern for what follows.
    Topic {
        /// The number.
        number: u32,
        /// The topic or pattern.
        topic: Pattern,
    },
    /// Subscribes, with a first credit.
    Subscribe {
        /// The subscription: higher than all before.
        id: u32,
        /// Whether to send the retained messages first.
        retained: bool,
        /// The number of messages that the peer may send.
        messages: u64,
        /// The bytes of payload that the peer may send.
        bytes: u64,
        /// The pattern.
        pattern: Pattern,
    },
    /// The answer to a subscribe.
    Subscribed {
        /// The subscription.
        id: u32,
        /// The answer. A refused subscription does not exist.
        status: Status,
        /// An explanation, for people.
        text: String,
    },
    /// Ends a subscription.
    Unsubscribe {
        /// The subscription.
        id: u32,
    },
    /// Raises the credit of a subscription. The numbers count from its beginning.
    Credit {
        /// The subscription.
        id: u32,
        /// The number of messages that the peer may send in all.
        messages: u64,
        /// The bytes of payload that the peer may send in all.
        bytes: u64,
    },
    /// Raises the credit of the link.
    Window {
        /// The bytes of bulk frames that the peer may send, counted from the beginning.
        bytes: u64,
    },
    /// Tells that a subscription missed messages at this place.
    Gap {
        /// The subscription.
        id: u32,
        /// The number of messages.
        missed: u64,
    },
    /// Claims a topic.
    Serve {
        /// The claim: higher than all before.
        id: u32,
        /// Whether to stand by if the topic is taken.
        stand_by: bool,
        /// The topic.
        topic: Topic,
    },
    /// The answer to a serve, and what becomes of the claim later.
    Served {
        /// The claim.
        id: u32,
        /// The state of the claim.
        status: Status,
        /// An explanation, for people.
        text: String,
    },
    /// Gives up a claim.
    Leave {
        /// The claim.
        id: u32,
    },
    /// A handler has the request.
    Taken {
        /// The request.
        request: u64,
    },
    /// The caller waits no longer. The request still gets one answer.
    Cancel {
        /// The request.
        request: u64,
        /// Whether its deadline passed.
        expired: bool,
    },
    /// A request ended without a reply.
    Outcome {
        /// The request.
        request: u64,
        /// The reason.
        failure: Failure,
        /// Whether it was executed.
        executed: Executed,
        /// An explanation, for people.
        text: String,
    },
    /// Tells that publications of the peer are not delivered.
    Refused {
        /// The reason.
        status: Status,
        /// The topic or pattern of the publications.
        topic: Pattern,
        /// An explanation, for people.
        text: String,
    },
    /// Removes the retained message of a topic.
    Unretain {
        /// The topic.
        topic: Topic,
    },
    /// The sender has told all subscriptions and claims that it had when the link opened.
    Synced,
    /// A publication, once for all subscriptions of the receiver.
    Publish {
        /// The number of its topic or pattern.
        topic: u32,
        /// Whether the receiver is asked to retain it.
        retain: bool,
        /// Whether it was retained before the subscription.
        retained: bool,
        /// How the payload is encoded.
        codec: Codec,
        /// The subscriptions of the receiver.
        to: Vec<u32>,
        /// The payload.
        payload: Bytes,
    },
    /// A request.
    Request {
        /// The request: higher than all before.
        request: u64,
        /// The number of its topic.
        topic: u32,
        /// The time that the caller still waits.
        remaining: Option<Duration>,
        /// How the payload is encoded.
        codec: Codec,
        /// The payload.
        payload: Bytes,
    },
    /// The reply to a request.
    Reply {
        /// The request.
        request: u64,
        /// Whether it is the server's own error.
        refused: bool,
        /// How the payload is encoded.
        codec: Codec,
        /// The payload.
        payload: Bytes,
    },
    /// A change of the retained message of a topic.
    Replicate(RetainedChange),
}

impl Message {
    /// Returns the kind of the message.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::HELLO,
            Self::Goodbye { .. } => Kind::GOODBYE,
            Self::Ping { .. } => Kind::PING,
            Self::Pong { .. } => Kind::PONG,
            Self::Topic { .. } => Kind::TOPIC,
            Self::Subscribe { .. } => Kind::SUBSCRIBE,
            Self::Subscribed { .. } => Kind::SUBSCRIBED,
            Self::Unsubscribe { .. } => Kind::UNSUBSCRIBE,
            Self::Credit { .. } => Kind::CREDIT,
            Self::Window { .. } => Kind::WINDOW,
            Self::Gap { .. } => Kind::GAP,
            Self::Serve { .. } => Kind::SERVE,
            Self::Served { .. } => Kind::SERVED,
            Self::Leave { .. } => Kind::LEAVE,
            Self::Taken { .. } => Kind::TAKEN,
            Self::Cancel { .. } => Kind::CANCEL,
            Self::Outcome { .. } => Kind::OUTCOME,
            Self::Unretain { .. } => Kind::UNRETAIN,
            Self::Refused { .. } => Kind::REFUSED,
            Self::Synced => Kind::SYNCED,
            Self::Publish { .. } => Kind::PUBLISH,
            Self::Request { .. } => Kind::REQUEST,
            Self::Reply { .. } => Kind::REPLY,
            Self::Replicate(_) => Kind::REPLICATE,
        }
    }
}
