//! The types that travel, without their types: what the driver needs of them.

mod codec;
mod messages;
mod requests;

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use ump::Executed;

use self::{messages::MessagesOf, requests::RequestsOf};
use crate::{
    error::Error,
    link::wire::Failure,
    protocol::{Bytes, Message, RequestMessage},
    publish::Bus,
    serve::{Claim, Servers},
    topic::{Pattern, Topic},
};

/// A payload that the type does not have, or a message that could not be encoded.
#[derive(Debug)]
pub(super) struct Malformed;

/// A type that travels.
#[derive(Clone)]
pub(super) enum Carried {
    Messages(Arc<dyn CarriedMessages>),
    Requests(Arc<dyn CarriedRequests>),
}

impl Carried {
    pub(super) fn messages<M>(bus: &Arc<Bus<M>>) -> Self
    where
        M: Message + serde::Serialize + serde::de::DeserializeOwned,
    {
        Self::Messages(Arc::new(MessagesOf(Arc::clone(bus))))
    }

    pub(super) fn requests<P>(servers: &Arc<Servers<P>>) -> Self
    where
        P: RequestMessage + serde::Serialize + serde::de::DeserializeOwned,
        P::Reply: serde::Serialize + serde::de::DeserializeOwned,
        P::Error: serde::Serialize + serde::de::DeserializeOwned,
    {
        Self::Requests(Arc::new(RequestsOf(Arc::clone(servers))))
    }

    /// Returns whether the two are the same type. Prefixes of messages are unique, and so are those
    /// of requests.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Messages(own), Self::Messages(other)) => own.prefix() == other.prefix(),
            (Self::Requests(own), Self::Requests(other)) => own.prefix() == other.prefix(),
            _ => false,
        }
    }
}

/// A type of messages. Names are without the prefix.
pub(super) trait CarriedMessages: Send + Sync {
    fn prefix(&self) -> &'static str;

    /// The patterns of the subscriptions of this process.
    fn local_patterns(&self) -> Vec<Pattern>;

    /// Publishes a message that a link brought, to subscriptions with one of these patterns.
    fn publish(
        &self,
        topic: &Pattern,
        payload: &[u8],
        is_meant: &dyn Fn(&Pattern) -> bool,
    ) -> Result<(), Malformed>;

    /// Tells subscriptions with one of these patterns that they miss messages.
    fn miss(&self, count: u64, is_link_lost: bool, is_meant: &dyn Fn(&Pattern) -> bool);

    /// The messages for the link with this name.
    fn outbox(&self, link: &Arc<str>) -> Box<dyn Outbox>;
}

/// The messages of a type for a link.
pub(super) trait Outbox: Send {
    /// Sets the patterns, which are all different.
    fn set_patterns(&mut self, patterns: Vec<Pattern>) -> Result<(), Error>;

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outgoing>>;
}

/// What comes out of an outbox.
pub(super) enum Outgoing {
    Message {
        topic: Pattern,
        payload: Bytes,
    },
    /// A message that could not be encoded.
    Malformed {
        topic: Pattern,
    },
    /// So many messages had no room.
    Missed(u64),
}

/// A type of requests. Names are without the prefix.
pub(super) trait CarriedRequests: Send + Sync {
    fn prefix(&self) -> &'static str;

    /// The topics that have a server in this process.
    fn local_topics(&self) -> Vec<Topic>;

    /// Whether a server of this process serves a topic.
    fn has_server(&self, topic: &Topic) -> bool;

    /// The requests of this process for a link with this name.
    fn calls(&self, link: &Arc<str>) -> Box<dyn Calls>;

    /// Makes a request that a link brought.
    fn request(
        &self,
        topic: Topic,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Box<dyn LocalCall>, Failure>;
}

/// The requests of a type for a link.
pub(super) trait Calls: Send {
    /// Claims a topic for the link.
    fn claim(&self, topic: Topic) -> Result<Claim, Error>;

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<OutgoingCall>>;
}

/// A request of this process for a link.
pub(super) struct OutgoingCall {
    pub(super) topic: Topic,
    pub(super) deadline: Option<Instant>,
    pub(super) payload: Result<Bytes, Malformed>,
    pub(super) pending: Box<dyn Pending>,
}

/// A request of this process that has no outcome yet. If it is dropped, it ends as not answered.
pub(super) trait Pending: Send {
    /// Is ready when the caller is gone, or its deadline has passed. Then it has ended.
    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Ends the request.
    fn finish(self: Box<Self>, outcome: Outcome);
}

/// The outcome of a request at another router.
pub(super) enum Outcome {
    Reply(Bytes),
    Refused(Bytes),
    Failed(Failure, Executed, String),
}

/// A request that a link brought, at a server of this process. If it is dropped, it is cancelled.
pub(super) trait LocalCall: Send {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome>;
}
