//! A request by topic that is about to be made.

use std::{
    fmt,
    future::IntoFuture,
    panic::Location,
    time::{Duration, Instant},
};

use super::{
    attempt::{Attempt, RequestResult},
    future::RequestFuture,
    options::Candidates,
    target::Target,
};
use crate::{error::RequestError, protocol::RequestMessage};

/// A request to the server of a topic: choose the options, then call [`wait`](Self::wait) or
/// `.await` it. From [`Router::request`](crate::Router::request).
///
/// If the server leaves before it takes the request, and a standby follows, the request goes to
/// that one. It is never executed twice.
///
/// # Order
/// A server takes requests in the order in which they entered its queue. If it leaves, each queued
/// request goes to the standby by itself, when its caller runs: no caller that does not run delays
/// another one. So of two requests that are under way at the same time the later one can come first
/// then, even one that was made after the change.
///
/// - A caller that makes its next request once it has the outcome of the last one keeps its order.
/// - A caller with several requests under way, in one thread or in many, keeps their order with a
///   [`PinnedClient`](crate::PinnedClient): its requests come back instead of changing servers.
///
/// # Lifetime
/// While it is neither made nor dropped, it keeps the channel of the server that it found
/// [alive](crate::Router::close).
///
/// # Cancel safety
/// If the future is dropped while the request is in a queue, the request is never executed. If a
/// handler has it, the handler can see that its caller is gone.
#[must_use = "nothing is sent before `wait` or `.await`"]
pub struct Request<P: RequestMessage>(Attempt<P>);

impl<P: RequestMessage> Request<P> {
    pub(crate) fn new(target: Target<P>, message: P, caller: &'static Location<'static>) -> Self {
        Self(Attempt::new(target, message, caller))
    }

    /// A request that does not go to another server.
    pub(super) fn pinned(
        target: Target<P>,
        message: P,
        caller: &'static Location<'static>,
    ) -> Self {
        let mut request = Self::new(target, message, caller);
        request.0.options.servers = Candidates::Pinned;
        request
    }

    /// Sets the deadline to this time from now; see [`ump::Request::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let Some(clock) = self.0.clock() {
            self.0.options.deadline = clock.now().checked_add(timeout);
        }
        self
    }

    /// Sets the deadline; see [`ump::Request::deadline`].
    ///
    /// The deadline is by the clock of the server's channel. That is the router's clock, except for
    /// a channel that was passed to [`Router::serve_by`](crate::Router::serve_by).
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.0.options.deadline = Some(deadline);
        self
    }

    /// Lets the request overtake normal ones; see [`ump::Request::urgent`].
    pub fn urgent(mut self) -> Self {
        self.0.options.is_urgent = true;
        self
    }

    /// Does not wait for room in the server's queue: if it is full, the request ends at once; see
    /// [`ump::Request::if_room`].
    pub fn if_room(mut self) -> Self {
        self.0.options.if_room = true;
        self
    }

    /// Waits for a server if the topic has none, until the deadline if there is one. Without this
    /// option the request ends at once with [`RequestError::NoServer`].
    pub fn wait_for_server(mut self) -> Self {
        let servers = &mut self.0.options.servers;
        if *servers == Candidates::Present {
            *servers = Candidates::Awaited;
        }
        self
    }

    /// Makes the request and blocks until its outcome.
    ///
    /// If the request goes over a link that has no other one, the thread reads the link by itself:
    /// it also decodes what else the link brings, drops messages and wakes others. So do not call
    /// it with a lock that these take.
    ///
    /// # Errors
    /// See [`RequestError`]. A message that was not executed comes back in it.
    pub fn wait(self) -> Result<P::Reply, RequestError<P>> {
        self.0.run_blocking()
    }
}

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
