//! Messages that name their own reply, to a type-erased client.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{Ask, Typed, outcome, posted};
#[cfg(doc)]
use crate::api::request::Request;
use crate::{
    api::dyn_client::{DynClient, DynRequest},
    error::request_error::RequestError,
    error::send_error::SendError,
};

impl<S, R, E> DynClient<S, R, E> {
    /// Creates a request for a message that [names its own reply](Ask). See
    /// [`request`](Self::request).
    #[track_caller]
    pub fn ask<M: Ask<S, R, E>>(&self, message: M) -> Typed<DynRequest<S, R, E>, M> {
        Typed::new(self.request(message.into_request()))
    }
}

impl<S, R, E, M: Ask<S, R, E>> Typed<DynRequest<S, R, E>, M> {
    /// Ends the request when `timeout` has passed from now. See [`Request::timeout`].
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|request| request.timeout(timeout))
    }

    /// Ends the request at `deadline`. See [`Request::deadline`].
    pub fn deadline(self, deadline: Instant) -> Self {
        self.map(|request| request.deadline(deadline))
    }

    /// Lets the request overtake normal requests. See [`Request::urgent`].
    pub fn urgent(self) -> Self {
        self.map(DynRequest::urgent)
    }

    /// Does not wait for room. See [`Request::if_room`].
    pub fn if_room(self) -> Self {
        self.map(DynRequest::if_room)
    }

    /// Sends the request and blocks until its outcome.
    ///
    /// # Errors
    /// See [`RequestError`]. If the request was not executed, the message comes back in the error.
    pub fn wait(self) -> Result<M::Reply, RequestError<M, M::Error>> {
        outcome::<S, R, E, M>(self.stage.wait())
    }

    /// Sends the request as a post. Blocks only while there is no room. See [`Request::post`].
    ///
    /// # Errors
    /// See [`SendError`]. The message comes back in the error.
    pub fn wait_post(self) -> Result<(), SendError<M>> {
        posted::<S, R, E, M>(self.stage.wait_post())
    }

    /// Sends the request as a post, and awaits room. See [`Request::post`].
    ///
    /// # Errors
    /// See [`SendError`]. The message comes back in the error.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, nothing was sent.
    pub fn post(self) -> impl Future<Output = Result<(), SendError<M>>> + Send {
        let posting = self.stage.post();
        async { posted::<S, R, E, M>(posting.await) }
    }
}

/// The future of a request of a [`DynClient`].
type DynFuture<S, R, E> = Pin<Box<dyn Future<Output = Result<R, RequestError<S, E>>> + Send>>;

impl<S, R, E, M: Ask<S, R, E>> IntoFuture for Typed<DynRequest<S, R, E>, M> {
    type Output = Result<M::Reply, RequestError<M, M::Error>>;
    type IntoFuture = Typed<DynFuture<S, R, E>, M>;

    fn into_future(self) -> Self::IntoFuture {
        Typed::new(self.stage.into_future())
    }
}

impl<S, R, E, M: Ask<S, R, E>> Future for Typed<DynFuture<S, R, E>, M> {
    type Output = Result<M::Reply, RequestError<M, M::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.stage.as_mut().poll(cx);
        polled.map(outcome::<S, R, E, M>)
    }
}
