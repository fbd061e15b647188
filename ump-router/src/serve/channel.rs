//! The channel to the server of a topic. Its messages are calls, which have the topic, or messages
//! without it. Requests see no difference.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    task::{Context, Poll},
};

use ump::{Clock, Stats};

use super::{call::Call, options::RequestOptions};
use crate::{protocol::RequestMessage, sync::Shared, topic::Topic};

/// A client of a channel of calls.
pub(crate) type CallClient<P> =
    ump::Client<Call<P>, <P as RequestMessage>::Reply, <P as RequestMessage>::Error>;

/// A client of a channel of messages without their topics.
pub(crate) type MessageClient<P> =
    ump::Client<P, <P as RequestMessage>::Reply, <P as RequestMessage>::Error>;

/// The outcome of a request at one server.
pub(super) type Outcome<P> =
    Result<<P as RequestMessage>::Reply, ump::RequestError<P, <P as RequestMessage>::Error>>;

/// The channel to the server of a topic.
pub(crate) enum Channel<P: RequestMessage> {
    Calls(Shared<CallClient<P>>),
    Messages(Shared<MessageClient<P>>),
}

/// A request to the server of a topic that is not sent yet.
pub(super) enum ChannelRequest<'a, P: RequestMessage> {
    Calls(ump::Request<'a, Call<P>, P::Reply, P::Error>),
    Messages(ump::Request<'a, P, P::Reply, P::Error>),
}

/// A request to the server of a topic that is sent, or is about to be.
pub(super) enum ChannelFuture<'a, P: RequestMessage> {
    Calls(ump::RequestFuture<'a, Call<P>, P::Reply, P::Error>),
    Messages(ump::RequestFuture<'a, P, P::Reply, P::Error>),
}

/// The future that is ready when the server has ended.
pub(super) enum Closed<P: RequestMessage> {
    Calls(ump::Closed<Call<P>, P::Reply, P::Error>),
    Messages(ump::Closed<P, P::Reply, P::Error>),
}

/// Does the same to either channel.
macro_rules! either {
    ($of:ident: $self:expr, $channel:ident => $body:expr) => {
        match $self {
            $of::Calls($channel) => $body,
            $of::Messages($channel) => $body,
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
        }
    }

    /// Returns the future that is ready when the server has ended.
    pub(super) fn closed(&self) -> Closed<P> {
        match self {
            Self::Calls(client) => Closed::Calls(client.closed()),
            Self::Messages(client) => Closed::Messages(client.closed()),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        either!(Self: self, client => client.is_closed())
    }

    pub(super) fn clock(&self) -> &Clock {
        either!(Self: self, client => client.clock())
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        either!(Self: self, client => client.capacity())
    }

    pub(super) fn stats(&self) -> Stats {
        either!(Self: self, client => client.stats())
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
            Self::Messages(request) => request.wait(),
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
        }
    }
}

impl<P: RequestMessage> Future for ChannelFuture<'_, P> {
    type Output = Outcome<P>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<P>> {
        match &mut *self {
            Self::Calls(request) => Pin::new(request).poll(cx).map(without_topic),
            Self::Messages(request) => Pin::new(request).poll(cx),
        }
    }
}

impl<P: RequestMessage> Future for Closed<P> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        either!(Self: &mut *self, closed => Pin::new(closed).poll(cx))
    }
}

fn without_topic<P: RequestMessage>(
    outcome: Result<P::Reply, ump::RequestError<Call<P>, P::Error>>,
) -> Outcome<P> {
    outcome.map_err(|error| error.map_message(Call::into_message))
}
