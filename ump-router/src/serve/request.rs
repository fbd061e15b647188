//! A request by name that is to be made.

use std::{
    fmt,
    future::IntoFuture,
    panic::Location,
    time::{Duration, Instant},
};

use super::{
    attempt::{Attempt, RequestResult},
    future::RequestFuture,
};
use crate::{error::RequestError, protocol::RequestMessage, registry::Registry, topic::IntoTopic};

/// A request that has not been made yet: say how, then wait for it or await it. From [`Router::request`](crate::Router::request).
///
/// If the server of the topic leaves before it takes the request, and another one follows it, the request goes to that one. It is never
/// executed twice.
///
/// As long as it is neither made nor dropped it keeps the channel of the server that it found from [ending](crate::Router::close).
#[must_use = "nothing is sent before it is waited for or awaited"]
pub struct Request<P: RequestMessage>(Attempt<P>);

impl<P: RequestMessage> Request<P> {
    pub(crate) fn new(
        registry: &Registry,
        topic: impl IntoTopic,
        message: P,
        caller: &'static Location<'static>,
    ) -> Self {
        Self(Attempt::new(registry, topic, message, caller))
    }

    /// Ends the request when this time has passed from now; see [`ump::Request::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let Some(clock) = self.0.clock() {
            self.0.options.deadline = clock.now().checked_add(timeout);
        }
        self
    }

    /// Ends the request at an instant, by the clock of the server's channel: that of the router, unless it is a
    /// channel that was there [already](crate::Router::serve_by). See [`ump::Request::deadline`].
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.0.options.deadline = Some(deadline);
        self
    }

    /// Lets it overtake normal requests; see [`ump::Request::urgent`].
    pub fn urgent(mut self) -> Self {
        self.0.options.is_urgent = true;
        self
    }

    /// Does not wait for room in the server's queue; see [`ump::Request::if_room`].
    pub fn if_room(mut self) -> Self {
        self.0.options.if_room = true;
        self
    }

    /// If nobody serves the topic, waits for somebody who does: until the deadline, if there is one. Otherwise that is
    /// [an error](RequestError::NoServer) at once.
    pub fn wait_for_server(mut self) -> Self {
        self.0.options.waits = true;
        self
    }

    /// Makes the request and blocks until its outcome.
    ///
    /// # Errors
    /// See [`RequestError`]; what was not executed comes back in it.
    pub fn wait(self) -> Result<P::Reply, RequestError<P>> {
        self.0.run_blocking()
    }
}

/// # Cancel safety
/// Dropping the future takes the request back if its server has not taken it; otherwise the handler can see that nobody waits.
impl<P: RequestMessage> IntoFuture for Request<P> {
    type Output = RequestResult<P>;
    type IntoFuture = RequestFuture<P>;

    fn into_future(self) -> RequestFuture<P> {
        RequestFuture::new(self.0)
    }
}

impl<P: RequestMessage> fmt::Debug for Request<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("topic", &self.0.topic())
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
