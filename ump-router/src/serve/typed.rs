//! Requests by topic whose message names its own reply.

use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ump::{Ask, NoReply};

use super::{attempt::RequestResult, future::RequestFuture, request::Request};
use crate::{error::RequestError, protocol::RequestMessage};

/// A request by topic whose message is `M`, before it is made or while it is awaited. `T` is the
/// [`Request`] or the [`RequestFuture`]. From [`Router::ask`](crate::Router::ask).
///
/// The methods are those of the [`Request`], which has their documentation. It holds nothing but
/// what it wraps. A message that was not executed comes back as the caller's `M`.
///
/// # Cancel safety
/// That of the wrapped value: dropping it cancels the request.
#[must_use = "nothing is sent before `wait` or `.await`"]
pub struct Typed<T, M> {
    stage: T,
    message: PhantomData<fn() -> M>,
}

/// The outcome of a request whose message is `M`, to a server of messages `P`.
type Outcome<P, M> = Result<
    <M as Ask<P, <P as RequestMessage>::Reply, <P as RequestMessage>::Error>>::Reply,
    RequestError<
        M,
        <M as Ask<P, <P as RequestMessage>::Reply, <P as RequestMessage>::Error>>::Error,
    >,
>;

impl<T, M> Typed<T, M> {
    pub(crate) fn new(stage: T) -> Self {
        Self {
            stage,
            message: PhantomData,
        }
    }

    /// Returns the wrapped value, whose types are those of the topic's server.
    pub fn into_untyped(self) -> T {
        self.stage
    }

    fn map(self, change: impl FnOnce(T) -> T) -> Self {
        Self::new(change(self.stage))
    }
}

impl<P, M> Typed<Request<P>, M>
where
    P: RequestMessage,
    M: Ask<P, P::Reply, P::Error>,
{
    /// Sets the deadline to this time from now. See [`Request::timeout`].
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|request| request.timeout(timeout))
    }

    /// Sets the deadline. See [`Request::deadline`].
    pub fn deadline(self, deadline: Instant) -> Self {
        self.map(|request| request.deadline(deadline))
    }

    /// Lets the request overtake normal ones. See [`Request::urgent`].
    pub fn urgent(self) -> Self {
        self.map(Request::urgent)
    }

    /// Does not wait for room in the server's queue. See [`Request::if_room`].
    pub fn if_room(self) -> Self {
        self.map(Request::if_room)
    }

    /// Waits for a server if the topic has none. See [`Request::wait_for_server`].
    pub fn wait_for_server(self) -> Self {
        self.map(Request::wait_for_server)
    }

    /// Makes the request and blocks until its outcome. See [`Request::wait`].
    ///
    /// # Errors
    /// See [`RequestError`]. A message that was not executed comes back in it.
    pub fn wait(self) -> Result<M::Reply, RequestError<M, M::Error>> {
        outcome(self.stage.wait())
    }
}

impl<P, M> IntoFuture for Typed<Request<P>, M>
where
    P: RequestMessage,
    M: Ask<P, P::Reply, P::Error>,
{
    type Output = Result<M::Reply, RequestError<M, M::Error>>;
    type IntoFuture = Typed<RequestFuture<P>, M>;

    fn into_future(self) -> Self::IntoFuture {
        Typed::new(self.stage.into_future())
    }
}

impl<P, M> Future for Typed<RequestFuture<P>, M>
where
    P: RequestMessage,
    M: Ask<P, P::Reply, P::Error>,
{
    type Output = Result<M::Reply, RequestError<M, M::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.stage).poll(cx).map(outcome)
    }
}

impl<T: fmt::Debug, M> fmt::Debug for Typed<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Typed").field(&self.stage).finish()
    }
}

/// Converts the outcome of a request.
fn outcome<P, M>(outcome: RequestResult<P>) -> Outcome<P, M>
where
    P: RequestMessage,
    M: Ask<P, P::Reply, P::Error>,
{
    let answer = match outcome {
        Ok(reply) => Ok(reply),
        Err(RequestError::Ended(ump::RequestError::App(error))) => Err(error),
        Err(error) => return Err(not_answered(error)),
    };
    match M::from_answer(answer) {
        Some(answer) => answer.map_err(|error| RequestError::Ended(ump::RequestError::App(error))),
        None => Err(RequestError::Ended(ump::RequestError::NoReply(
            NoReply::Mismatched,
        ))),
    }
}

/// Converts the error of a request that has no answer.
#[cold]
fn not_answered<P, M>(error: RequestError<P>) -> RequestError<M, M::Error>
where
    P: RequestMessage,
    M: Ask<P, P::Reply, P::Error>,
{
    match error {
        RequestError::NoServer(message) => RequestError::NoServer(M::from_request(message)),
        RequestError::Link(message, error) => {
            RequestError::Link(message.map(M::from_request), error)
        }
        RequestError::NotMade(message, error) => {
            RequestError::NotMade(M::from_request(message), error)
        }
        RequestError::Ended(error) => RequestError::Ended(
            error
                .map_message(M::from_request)
                .map_app(|_| unreachable!("an application error is an answer")),
        ),
    }
}
