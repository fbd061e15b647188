//! What links do with the servers of a type of requests.
//!
//! The servers of a router in another process are claims here, all of one channel, whose receiver
//! is [`LinkCalls`]. What a link brings goes to servers of this process only. So a request does
//! not come back. A hub passes it on to other links as it came, beside all this.

use std::{
    future::{Future, IntoFuture},
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use ump::Spin;

use super::{
    call::Call,
    channel::{Channel, ChannelFuture, LinkClient, LinkRefusal},
    claim::{Claim, ServeOptions},
    options::RequestOptions,
    servers::Servers,
};
use crate::{
    claims::Role,
    error::{Error, LinkError, RequestError},
    protocol::RequestMessage,
    sync::Shared,
    topic::Topic,
};

type LinkServer<P> = ump::Server<Call<P>, <P as RequestMessage>::Reply, LinkRefusal<P>>;

/// The requests of this process that go over a link.
pub(crate) struct LinkCalls<P: RequestMessage> {
    servers: Arc<Servers<P>>,
    requests: LinkServer<P>,
    client: Shared<LinkClient<P>>,
}

/// A request of this process that goes over a link.
pub(crate) struct LinkCall<P: RequestMessage> {
    pub(crate) topic: Topic,
    pub(crate) message: P,
    pub(crate) context: LinkContext<P>,
}

/// What answers it.
pub(crate) struct LinkContext<P: RequestMessage>(ump::ReplyContext<P::Reply, LinkRefusal<P>>);

impl<P: RequestMessage> LinkCalls<P> {
    pub(crate) fn new(servers: &Arc<Servers<P>>) -> Self {
        // A reply comes from another process: to wait for it awake would be in vain.
        let channel = ump::Builder::new().spin(Spin::Never);
        let built = channel.clock(servers.clock().clone()).build();
        let (requests, client) = built.expect("an unbounded channel has room");
        Self {
            servers: Arc::clone(servers),
            requests,
            client: Shared::new(client),
        }
    }

    /// Claims a topic for the link: as a standby, if it is taken.
    pub(crate) fn claim(&self, topic: Topic) -> Result<Claim, Error> {
        let channel = Channel::Link(Shared::clone(&self.client));
        let options = ServeOptions::new().standby();
        self.servers.claim(topic, channel, options)
    }

    /// Claims a topic for the link, before all that have it.
    #[cfg(feature = "bridge")]
    pub(crate) fn claim_first(&self, topic: Topic) -> Result<Claim, Error> {
        let channel = Channel::Link(Shared::clone(&self.client));
        self.servers.claim_first(topic, channel)
    }

    /// Takes the next request.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<LinkCall<P>>> {
        self.requests.poll_wait(cx).map(|received| {
            let (call, context) = received.ok()?;
            Some(LinkCall {
                topic: call.topic,
                message: call.message,
                context: LinkContext(context),
            })
        })
    }
}

impl<P: RequestMessage> LinkContext<P> {
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.deadline()
    }

    /// Is ready when the caller is gone, or its deadline has passed, of which no waker tells.
    pub(crate) fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_cancelled(cx)
    }

    /// Answers with a reply or the server's own error.
    pub(crate) fn answer(self, answer: Result<P::Reply, P::Error>) {
        // An error if the caller is gone.
        let _ = self.0.answer(answer.map_err(LinkRefusal::App));
    }

    /// Ends the request without a reply. A message that was not executed goes back.
    pub(crate) fn fail(self, message: Option<P>, error: LinkError) {
        let _ = self.0.fail(LinkRefusal::Failed(message, Box::new(error)));
    }
}

/// A request that a link brought, at a server of this process. If it is dropped, it is cancelled.
pub(crate) struct LocalRequest<P: RequestMessage> {
    servers: Arc<Servers<P>>,
    topic: Topic,
    options: RequestOptions,
    future: ChannelFuture<'static, P>,
}

impl<P: RequestMessage> Servers<P> {
    /// Returns the topics that have a server in this process.
    pub(crate) fn local_topics(&self) -> Vec<Topic> {
        let mut topics = Vec::new();
        self.for_each(|topic, channel, role| {
            if role == Role::Serving && !matches!(channel, Channel::Link(_)) {
                topics.push(topic.clone());
            }
        });
        topics
    }

    /// Returns the topics that have a server or a standby in this process.
    #[cfg(feature = "bridge")]
    pub(crate) fn claimed_topics(&self) -> Vec<Topic> {
        let mut topics = Vec::new();
        self.for_each(|topic, channel, _| {
            if !matches!(channel, Channel::Link(_)) {
                topics.push(topic.clone());
            }
        });
        topics
    }

    /// Returns whether a server of this process serves a topic.
    pub(crate) fn has_local_server(&self, topic: &Topic) -> bool {
        loop {
            match self.find(topic.as_str()) {
                // Each time this releases one claim.
                Some(serving) if serving.channel.is_closed() => self.release_if_ended(&serving),
                Some(serving) => return !matches!(serving.channel, Channel::Link(_)),
                None => return false,
            }
        }
    }

    /// Makes a request that a link brought, if the topic has a server in this process. Otherwise
    /// the message comes back.
    pub(crate) fn request_local(
        self: &Arc<Self>,
        topic: Topic,
        message: P,
        deadline: Option<Instant>,
    ) -> Result<LocalRequest<P>, P> {
        let mut options = RequestOptions::new(Location::caller());
        options.deadline = deadline;
        let future = self.send_local(&topic, message, &options)?;
        Ok(LocalRequest {
            servers: Arc::clone(self),
            topic,
            options,
            future,
        })
    }

    fn send_local(
        &self,
        topic: &Topic,
        message: P,
        options: &RequestOptions,
    ) -> Result<ChannelFuture<'static, P>, P> {
        loop {
            match self.find(topic.as_str()) {
                // Each time this releases one claim.
                Some(serving) if serving.channel.is_closed() => self.release_if_ended(&serving),
                Some(serving) if !matches!(serving.channel, Channel::Link(_)) => {
                    let request = serving.channel.request_owned(topic, message, options);
                    let mut request = request.into_future();
                    // The loop of the links polls it. It would keep its turn to poll it again, and
                    // a server that is a task of the same thread would not run meanwhile.
                    request.register_at_once();
                    return Ok(request);
                }
                _ => return Err(message),
            }
        }
    }
}

impl<P: RequestMessage> Future for LocalRequest<P> {
    type Output = Result<P::Reply, RequestError<P>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            let Poll::Ready(outcome) = Pin::new(&mut this.future).poll(cx) else {
                return Poll::Pending;
            };
            let Err(RequestError::Ended(ump::RequestError::ServerDisappeared(message))) = outcome
            else {
                return Poll::Ready(outcome);
            };
            // It was not executed, so the standby that follows may have it.
            match this.servers.send_local(&this.topic, message, &this.options) {
                Ok(next) => this.future = next,
                Err(message) => {
                    let error = ump::RequestError::ServerDisappeared(message);
                    return Poll::Ready(Err(RequestError::Ended(error)));
                }
            }
        }
    }
}

// The only pinned parts are the futures of requests, which do not move by themselves.
impl<P: RequestMessage> Unpin for LocalRequest<P> {}
