//! A request by name that is to be made.

use std::{
    fmt,
    future::IntoFuture,
    panic::Location,
    sync::Arc,
    time::{Duration, Instant},
};

use ump::Clock;

use super::{
    attempt::{Attempt, Outcome, Terms},
    future::RequestFuture,
    servers::Servers,
    serving::Serving,
};
use crate::{
    error::{Error, RequestError},
    protocol::Request,
    protocols::Protocols,
    sync::Shared,
    topic::{IntoTopic, Topic},
};

/// A request that has not been made yet: say how, then wait for it or await it. From [`Router::request`](crate::Router::request).
///
/// If the server of the topic leaves before it takes the request, and another one follows it, the request goes to that one. It is never
/// executed twice.
///
/// As long as it is neither made nor dropped it keeps the channel of the server that it found from [ending](crate::Router::close).
#[must_use = "nothing is sent before it is waited for or awaited"]
pub struct RequestBuilder<P: Request> {
    target: Result<Target<P>, Error>,
    message: P,
    terms: Terms,
}

/// To whom it goes.
enum Target<P: Request> {
    /// Who serves the topic. Has it left when the request is made, the topic is looked up again.
    Server(Shared<Serving<P>>),
    /// Nobody did when the request was begun.
    Named(Arc<Servers<P>>, Topic),
}

impl<P: Request> RequestBuilder<P> {
    pub(crate) fn new(
        protocols: &Protocols,
        topic: impl IntoTopic,
        message: P,
        caller: &'static Location<'static>,
    ) -> Self {
        Self {
            target: Target::find(protocols, topic),
            message,
            terms: Terms::plain(caller),
        }
    }

    /// Ends the request when this time has passed from now; see [`ump::Request::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let Ok(target) = &self.target {
            self.terms.deadline = target.clock().now().checked_add(timeout);
        }
        self
    }

    /// Ends the request at an instant, by the clock of the server's channel: that of the router, unless it is a
    /// channel that was there [already](crate::Router::serve_by). See [`ump::Request::deadline`].
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.terms.deadline = Some(deadline);
        self
    }

    /// Lets it overtake normal requests; see [`ump::Request::urgent`].
    pub fn urgent(mut self) -> Self {
        self.terms.is_urgent = true;
        self
    }

    /// Does not wait for room in the server's queue; see [`ump::Request::if_room`].
    pub fn if_room(mut self) -> Self {
        self.terms.if_room = true;
        self
    }

    /// If nobody serves the topic, waits for somebody who does: until the deadline, if there is one. Otherwise that is
    /// [an error](RequestError::NoServer) at once.
    pub fn wait_for_server(mut self) -> Self {
        self.terms.waits = true;
        self
    }

    /// Makes the request and blocks until its outcome.
    ///
    /// # Errors
    /// See [`RequestError`]; what was not executed comes back in it.
    pub fn wait(self) -> Result<P::Reply, RequestError<P>> {
        self.begin()?.ask_blocking()
    }

    pub(super) fn begin(self) -> Result<Attempt<P>, RequestError<P>> {
        match self.target {
            Ok(Target::Server(serving)) => Ok(Attempt::at(serving, self.message, self.terms)),
            Ok(Target::Named(servers, topic)) => {
                Ok(Attempt::by_name(servers, topic, self.message, self.terms))
            }
            Err(error) => Err(RequestError::NotMade(self.message, error)),
        }
    }
}

impl<P: Request> Target<P> {
    fn find(protocols: &Protocols, topic: impl IntoTopic) -> Result<Self, Error> {
        // What is served is a topic, so that its name need not be looked at.
        if let Some(serving) = protocols.server(topic.as_text()) {
            return Ok(Self::Server(serving));
        }
        let servers = protocols.servers_of()?;
        Ok(Self::Named(Arc::clone(servers), topic.into_topic()?))
    }

    fn topic(&self) -> &Topic {
        match self {
            Self::Server(serving) => &serving.topic,
            Self::Named(_, topic) => topic,
        }
    }

    /// That by which its deadline is.
    fn clock(&self) -> &Clock {
        match self {
            Self::Server(serving) => serving.client.clock(),
            Self::Named(servers, _) => servers.clock(),
        }
    }
}

/// # Cancel safety
/// Dropping the future takes the request back if its server has not taken it; otherwise the handler can see that nobody waits.
impl<P: Request> IntoFuture for RequestBuilder<P> {
    type Output = Outcome<P>;
    type IntoFuture = RequestFuture<P>;

    fn into_future(self) -> RequestFuture<P> {
        RequestFuture::new(self)
    }
}

impl<P: Request> fmt::Debug for RequestBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = self.target.as_ref().map(Target::topic);
        f.debug_struct("RequestBuilder")
            .field("topic", &topic)
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}
