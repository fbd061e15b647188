//! The channel to the server of a topic. Its messages are calls, which have the topic, or messages
//! without it. Or the server is behind a link: then the channel is that of the link. Requests see
//! no difference.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    task::{Context, Poll},
};

use ump::{Clock, Stats};

use super::{call::Call, options::RequestOptions};
use crate::{
    error::{LinkError, RequestError},
    link,
    protocol::RequestMessage,
    sync::Shared,
    topic::Topic,
};

/// A client of a channel of calls.
pub(crate) type CallClient<P> =
    ump::Client<Call<P>, <P as RequestMessage>::Reply, <P as RequestMessage>::Error>;

/// A client of a channel of messages without their topics.
pub(crate) type MessageClient<P> =
    ump::Client<P, <P as RequestMessage>::Reply, <P as RequestMessage>::Error>;

/// A client of the channel to a link.
pub(crate) type LinkClient<P> = ump::Client<Call<P>, <P as RequestMessage>::Reply, LinkRefusal<P>>;

/// Why a request that went over a link has no reply.
#[cfg_attr(
    not(all(feature = "link", unix, not(any(loom, shuttle)))),
    expect(dead_code, reason = "made by links only")
)]
pub(crate) enum LinkRefusal<P: RequestMessage> {
    /// The server's own error.
    App(P::Error),
    /// What the link says, and the message if it was not executed.
    Failed(Option<P>, Box<LinkError>),
}

/// The outcome of a request at one server.
pub(super) type Outcome<P> = Result<<P as RequestMessage>::Reply, RequestError<P>>;

/// The channel to the server of a topic.
#[cfg_attr(
    not(all(feature = "link", unix, not(any(loom, shuttle)))),
    expect(dead_code, reason = "made by links only")
)]
pub(crate) enum Channel<P: RequestMessage> {
    Calls(Shared<CallClient<P>>),
    Messages(Shared<MessageClient<P>>),
    Link(Shared<LinkClient<P>>),
}

/// A request to the server of a topic that is not sent yet.
pub(super) enum ChannelRequest<'a, P: RequestMessage> {
    Calls(ump::Request<'a, Call<P>, P::Reply, P::Error>),
    Messages(ump::Request<'a, P, P::Reply, P::Error>),
    Link(ump::Request<'a, Call<P>, P::Reply, LinkRefusal<P>>),
}

/// A request to the server of a topic that is sent, or is about to be.
pub(super) enum ChannelFuture<'a, P: RequestMessage> {
    Calls(ump::RequestFuture<'a, Call<P>, P::Reply, P::Error>),
    Messages(ump::RequestFuture<'a, P, P::Reply, P::Error>),
    Link(ump::RequestFuture<'a, Call<P>, P::Reply, LinkRefusal<P>>),
}

/// The future that is ready when the server has ended.
pub(super) enum Closed<P: RequestMessage> {
    Calls(ump::Closed<Call<P>, P::Reply, P::Error>),
    Messages(ump::Closed<P, P::Reply, P::Error>),
    Link(ump::Closed<Call<P>, P::Reply, LinkRefusal<P>>),
}

/// Does the same to each kind of channel.
macro_rules! each {
    ($of:ident: $self:expr, $channel:ident => $body:expr) => {
        match $self {
            $of::Calls($channel) => $body,
            $of::Messages($channel) => $body,
            $of::Link($channel) => $body,
        }
    };
}

impl<P: RequestMessage> Channel<P> {
    /// Creates a request that borrows the client.
    pub(super) fn request(
        &self,
        topic: &Topic,
        message: P,
        options: &RequestOptions,
    ) -> ChannelRequest<'_, P> {
        match self {
            Self::Calls(client) => {
                let request = client.request(Call::new(topic, message));
                ChannelRequest::Calls(options.apply_to(request))
            }
            Self::Messages(client) => {
                ChannelRequest::Messages(options.apply_to(client.request(message)))
            }
            Self::Link(client) => {
                let request = client.request(Call::new(topic, message));
                ChannelRequest::Link(options.apply_to(request))
            }
        }
    }

    /// Creates a request that owns the client, so that it can be stored.
    pub(super) fn request_owned(
        &self,
        topic: &Topic,
        message: P,
        options: &RequestOptions,
    ) -> ChannelRequest<'static, P> {
        match self {
            Self::Calls(client) => {
                let call = Call::new(topic, message);
                let request = ump::Client::request_owned(Shared::clone(client), call);
                ChannelRequest::Calls(options.apply_to(request))
            }
            Self::Messages(client) => {
                let request = ump::Client::request_owned(Shared::clone(client), message);
                ChannelRequest::Messages(options.apply_to(request))
            }
            Self::Link(client) => {
                let call = Call::new(topic, message);
                let request = ump::Client::request_owned(Shared::clone(client), call);
                ChannelRequest::Link(options.apply_to(request))
            }
        }
    }

    /// Returns the future that is ready when the server has ended.
    pub(super) fn closed(&self) -> Closed<P> {
        match self {
            Self::Calls(client) => Closed::Calls(client.closed()),
            Self::Messages(client) => Closed::Messages(client.closed()),
            Self::Link(client) => Closed::Link(client.closed()),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        each!(Self: self, client => client.is_closed())
    }

    pub(super) fn clock(&self) -> &Clock {
        each!(Self: self, client => client.clock())
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        each!(Self: self, client => client.capacity())
    }

    pub(super) fn stats(&self) -> Stats {
        each!(Self: self, client => client.stats())
    }
}

impl<P: RequestMessage> From<CallClient<P>> for Channel<P> {
    fn from(client: CallClient<P>) -> Self {
        Self::Calls(Shared::new(client))
    }
}

impl<P: RequestMessage> From<MessageClient<P>> for Channel<P> {
    fn from(client: MessageClient<P>) -> Self {
        Self::Messages(Shared::new(client))
    }
}

impl<P: RequestMessage> ChannelRequest<'_, P> {
    /// Makes the request, and blocks until its outcome.
    pub(super) fn wait(self) -> Outcome<P> {
        match self {
            Self::Calls(request) => without_topic(request.wait()),
            Self::Messages(request) => request.wait().map_err(RequestError::Ended),
            Self::Link(request) => from_link(link::while_blocking(|| request.wait())),
        }
    }
}

impl<'a, P: RequestMessage> IntoFuture for ChannelRequest<'a, P> {
    type Output = Outcome<P>;
    type IntoFuture = ChannelFuture<'a, P>;

    fn into_future(self) -> ChannelFuture<'a, P> {
        match self {
            Self::Calls(request) => ChannelFuture::Calls(request.into_future()),
            Self::Messages(request) => ChannelFuture::Messages(request.into_future()),
            Self::Link(request) => ChannelFuture::Link(request.into_future()),
        }
    }
}

#[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
impl<P: RequestMessage> ChannelFuture<'_, P> {
    /// Makes the future register its waker as soon as it waits, instead of yielding first.
    pub(super) fn register_at_once(&mut self) {
        each!(Self: self, request => ump::internal::register_at_once(request));
    }
}

impl<P: RequestMessage> Future for ChannelFuture<'_, P> {
    type Output = Outcome<P>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<P>> {
        match &mut *self {
            Self::Calls(request) => Pin::new(request).poll(cx).map(without_topic),
            Self::Messages(request) => {
                let polled = Pin::new(request).poll(cx);
                polled.map_err(RequestError::Ended)
            }
            Self::Link(request) => Pin::new(request).poll(cx).map(from_link),
        }
    }
}

impl<P: RequestMessage> Future for Closed<P> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        each!(Self: &mut *self, closed => Pin::new(closed).poll(cx))
    }
}

fn without_topic<P: RequestMessage>(
    outcome: Result<P::Reply, ump::RequestError<Call<P>, P::Error>>,
) -> Outcome<P> {
    outcome.map_err(|error| RequestError::Ended(error.map_message(Call::into_message)))
}

/// Returns the outcome of a request at a link.
fn from_link<P: RequestMessage>(
    outcome: Result<P::Reply, ump::RequestError<Call<P>, LinkRefusal<P>>>,
) -> Outcome<P> {
    use ump::RequestError as Ended;
    outcome.map_err(|error| {
        RequestError::Ended(match error.map_message(Call::into_message) {
            Ended::App(LinkRefusal::App(error)) => Ended::App(error),
            Ended::App(LinkRefusal::Failed(message, error)) => {
                return RequestError::Link(message, error);
            }
            Ended::NoReply(reason) => Ended::NoReply(reason),
            Ended::ServerDisappeared(message) => Ended::ServerDisappeared(message),
            Ended::TimeoutQueued(message) => Ended::TimeoutQueued(message),
            Ended::TimeoutTaken => Ended::TimeoutTaken,
            Ended::WouldDeadlock(message, cycle) => Ended::WouldDeadlock(message, cycle),
            Ended::WouldDeadlockTaken(cycle) => Ended::WouldDeadlockTaken(cycle),
            Ended::Full(message) => Ended::Full(message),
            Ended::NoTimer(message, error) => Ended::NoTimer(message, error),
        })
    })
}
