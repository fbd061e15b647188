//! The types that travel, without their types: what the driver needs of them.

mod messages;
mod requests;

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use ump::Executed;

use self::{
    messages::MessagesOf,
    requests::{Coders, RequestsOf},
};
use crate::{
    error::Error,
    link::{
        session::Replica,
        sockets::codec::{Coder, PayloadCodec},
        wire::{Codec, Failure, Stamp},
    },
    protocol::{Bytes, Message, RequestMessage},
    publish::{Bus, LinkRetention, StampClock},
    serve::{Claim, Servers},
    topic::{Pattern, Topic},
};

/// A type that travels.
#[derive(Clone)]
pub(crate) enum Carried {
    Messages(Arc<dyn CarriedMessages>),
    Requests(Arc<dyn CarriedRequests>),
}

impl Carried {
    pub(crate) fn messages<M: Message>(bus: &Arc<Bus<M>>, codec: &impl PayloadCodec<M>) -> Self {
        let bus = Arc::clone(bus);
        let coder = Coder::of(codec);
        Self::Messages(Arc::new(MessagesOf { bus, coder }))
    }

    pub(crate) fn requests<P: RequestMessage>(
        servers: &Arc<Servers<P>>,
        codec: &(impl PayloadCodec<P> + PayloadCodec<P::Reply> + PayloadCodec<P::Error>),
    ) -> Self {
        let servers = Arc::clone(servers);
        let coders = Coders::of(codec);
        Self::Requests(Arc::new(RequestsOf { servers, coders }))
    }

    /// The prefix of the type, and the codec in which it is sent.
    pub(crate) fn prefix_and_codec(&self) -> (&'static str, Codec) {
        match self {
            Self::Messages(own) => (own.prefix(), own.codec()),
            Self::Requests(own) => (own.prefix(), own.codec()),
        }
    }

    /// Returns whether the two are the same type. Prefixes of messages are unique, and so are those
    /// of requests.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Messages(own), Self::Messages(other)) => own.prefix() == other.prefix(),
            (Self::Requests(own), Self::Requests(other)) => own.prefix() == other.prefix(),
            _ => false,
        }
    }
}

/// A type of messages. Names are without the prefix.
pub(crate) trait CarriedMessages: Send + Sync {
    fn prefix(&self) -> &'static str;

    /// The codec in which messages are sent.
    fn codec(&self) -> Codec;

    /// The patterns of the subscriptions of this process.
    fn local_patterns(&self) -> Vec<Pattern>;

    /// Publishes a message that a link brought, to subscriptions with one of these patterns.
    /// Returns whether it could be decoded.
    #[must_use]
    fn publish(
        &self,
        topic: &Pattern,
        payload: (Codec, &[u8]),
        is_meant: &dyn Fn(&Pattern) -> bool,
    ) -> bool;

    /// Notes the changes of retained messages from here on, and wakes a waker for them.
    fn begin_changes(&self, clock: Arc<StampClock>, waker: Waker);

    /// Takes the changes of this process that were noted.
    fn take_changes(&self) -> Vec<OwnChange>;

    /// Applies a change that a link brought. Returns false if it is new and its payload cannot be
    /// decoded: then nothing is retained.
    fn apply(&self, topic: &Topic, replica: &Replica) -> bool;

    /// Tells subscriptions with one of these patterns that they miss messages.
    fn miss(&self, count: u64, is_link_lost: bool, is_meant: &dyn Fn(&Pattern) -> bool);

    /// The messages for the link with this name.
    fn outbox(&self, link: &Arc<str>) -> Box<dyn Outbox>;
}

/// The messages of a type for a link.
pub(crate) trait Outbox: Send {
    /// Sets the patterns, which are all different.
    fn set_patterns(&mut self, patterns: Vec<Pattern>) -> Result<(), Error>;

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outgoing>>;
}

/// A change of a retained message by this process.
pub(crate) struct OwnChange {
    pub(crate) topic: Topic,
    pub(crate) stamp: Stamp,
    pub(crate) codec: Codec,
    /// What is retained now, or nothing if it was removed, and when it expires.
    /// The payload is missing if the message could not be encoded.
    pub(crate) message: Option<(Option<Bytes>, Option<Instant>)>,
}

/// What comes out of an outbox.
pub(crate) enum Outgoing {
    Message {
        topic: Pattern,
        codec: Codec,
        payload: Bytes,
        /// If it is retained.
        retention: Option<LinkRetention>,
    },
    /// A message that could not be encoded.
    Malformed { topic: Pattern },
    /// So many messages had no room.
    Missed(u64),
}

/// A type of requests. Names are without the prefix.
pub(crate) trait CarriedRequests: Send + Sync {
    fn prefix(&self) -> &'static str;

    /// The codec in which requests are sent.
    fn codec(&self) -> Codec;

    /// The topics that have a server in this process.
    fn local_topics(&self) -> Vec<Topic>;

    /// The topics that have a server or a standby in this process.
    #[cfg(feature = "bridge")]
    fn claimed_topics(&self) -> Vec<Topic>;

    /// Whether a server of this process serves a topic.
    fn has_server(&self, topic: &Topic) -> bool;

    /// The requests of this process for a link with this name.
    fn calls(&self, link: &Arc<str>) -> Box<dyn Calls>;

    /// Makes a request that a link brought, which is answered in its own codec. Returns a failure
    /// and its explanation if it cannot be executed.
    fn request(
        &self,
        topic: Topic,
        payload: (Codec, &[u8]),
        deadline: Option<Instant>,
    ) -> Result<Box<dyn LocalCall>, (Failure, String)>;
}

/// The requests of a type for a link.
pub(crate) trait Calls: Send {
    /// Claims a topic for the link.
    fn claim(&self, topic: Topic) -> Result<Claim, Error>;

    /// Claims a topic for the link, before all that have it: they become standbys.
    #[cfg(feature = "bridge")]
    fn claim_first(&self, topic: Topic) -> Result<Claim, Error>;

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<OutgoingCall>>;
}

/// A request of this process for a link.
pub(crate) struct OutgoingCall {
    pub(crate) topic: Topic,
    pub(crate) deadline: Option<Instant>,
    pub(crate) codec: Codec,
    /// `None` if it could not be encoded.
    pub(crate) payload: Option<Bytes>,
    pub(crate) pending: Box<dyn Pending>,
}

/// A request of this process that has no outcome yet. If it is dropped, it ends as not answered.
pub(crate) trait Pending: Send {
    /// Is ready when the caller is gone, or its deadline has passed. The waker is woken when the
    /// caller leaves.
    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// When the caller leaves, if it does.
    fn deadline(&self) -> Option<Instant>;

    /// Ends the request.
    fn finish(self: Box<Self>, outcome: Outcome);
}

/// The outcome of a request at another router.
pub(crate) enum Outcome {
    Reply(Codec, Bytes),
    Refused(Codec, Bytes),
    Failed(Failure, Executed, String),
}

/// A request that a link brought, at a server of this process. If it is dropped, it is cancelled.
pub(crate) trait LocalCall: Send {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome>;
}
