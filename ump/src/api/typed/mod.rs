//! The builder of a request whose message [names its own reply](Ask).
//!
//! [`Typed`] wraps whatever the channel returns for a request, and converts what comes out of it.
//! It holds nothing but the wrapped value: no allocation, no dynamic dispatch, no state of its own.
//! So the ways to wait, the outcomes and the cancel safety are those of the wrapped value.
//!
//! - If the handler answers with the variant of another message, the outcome is
//!   [`NoReply::Mismatched`]. Services of `ump-server`'s macro cannot do that.
//! - A message that comes back is the caller's, not the enum: see [`Ask::from_request`].

#![forbid(unsafe_code)]

mod dyn_request;

use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::{
    api::ask::Ask,
    api::client::Client,
    api::permit::Permit,
    api::request::{Post, Request, Submit},
    api::request_future::{PostFuture, RequestFuture, SubmitFuture},
    api::wait_reply::WaitReply,
    error::NoReply,
    error::request_error::RequestError,
    error::send_error::SendError,
    hooks::RequestId,
    sync::Arc,
};

/// A request whose message is `M`, in one of its stages. `T` is the stage.
///
/// | stage `T` | from | yields |
/// |---|---|---|
/// | [`Request`], which can be waited for or awaited | [`Client::ask`] | the reply `M::Reply` or a `RequestError<M, M::Error>` |
/// | [`DynRequest`](crate::DynRequest), the same | [`DynClient::ask`](crate::DynClient::ask) | the same |
/// | [`Submit`] | [`submit`](Self::submit) | a `Typed<WaitReply<..>, M>` or a `SendError<M>` |
/// | [`WaitReply`] | a `Submit` | the reply or a `RequestError<M, M::Error>` |
/// | [`Post`] | [`post`](Self::post) | nothing, or a `SendError<M>` |
/// | [`RequestFuture`], [`SubmitFuture`], [`PostFuture`], a boxed future | `into_future` | the same |
///
/// The methods are those of the stage, which has their documentation. A message that was not
/// executed comes back as the caller's `M`.
///
/// # Cancel safety
/// That of the wrapped stage: dropping it cancels the request.
#[must_use = "dropped, the request is not sent or is cancelled"]
pub struct Typed<T, M> {
    stage: T,
    message: PhantomData<fn() -> M>,
}

impl<S, R, E> Client<S, R, E> {
    /// Creates a request for a message that [names its own reply](Ask).
    ///
    /// Nothing is sent before the request is waited for, awaited, submitted or posted. Its options
    /// are those of a [`request`](Self::request).
    ///
    /// The handler sees the location of this call as [the caller](crate::ReplyContext::caller).
    #[inline]
    #[track_caller]
    pub fn ask<M: Ask<S, R, E>>(&self, message: M) -> Typed<Request<'_, S, R, E>, M> {
        Typed::new(self.request(message.into_request()))
    }

    /// Creates a request for a message that [names its own reply](Ask), which shares ownership of
    /// the client instead of borrowing it. See [`request_owned`](Self::request_owned).
    #[inline]
    #[track_caller]
    pub fn ask_owned<M: Ask<S, R, E>>(
        this: Arc<Self>,
        message: M,
    ) -> Typed<Request<'static, S, R, E>, M> {
        Typed::new(Self::request_owned(this, message.into_request()))
    }
}

impl<'a, S, R, E> Permit<'a, S, R, E> {
    /// Creates the request that uses the room, for a message that [names its own reply](Ask). See
    /// [`request`](Self::request).
    #[track_caller]
    pub fn ask<M: Ask<S, R, E>>(self, message: M) -> Typed<Request<'a, S, R, E>, M> {
        Typed::new(self.request(message.into_request()))
    }
}

impl<T, M> Typed<T, M> {
    #[inline]
    fn new(stage: T) -> Self {
        Self {
            stage,
            message: PhantomData,
        }
    }

    /// Returns the wrapped stage, whose types are those of the channel. A
    /// [`Gather`](crate::Gather), for example, takes the [`WaitReply`]s of different messages.
    #[inline]
    pub fn into_untyped(self) -> T {
        self.stage
    }

    #[inline]
    fn map(self, change: impl FnOnce(T) -> T) -> Self {
        Self::new(change(self.stage))
    }
}

impl<'a, S, R, E, M: Ask<S, R, E>> Typed<Request<'a, S, R, E>, M> {
    /// Sets the location that the handler sees as the caller. See [`Request::on_behalf_of`].
    #[inline]
    pub fn on_behalf_of(self, caller: &'static Location<'static>) -> Self {
        self.map(|request| request.on_behalf_of(caller))
    }

    /// Ends the request when `timeout` has passed from now. See [`Request::timeout`].
    #[inline]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|request| request.timeout(timeout))
    }

    /// Ends the request at `deadline`. See [`Request::deadline`].
    #[inline]
    pub fn deadline(self, deadline: Instant) -> Self {
        self.map(|request| request.deadline(deadline))
    }

    /// Lets the request overtake normal requests. See [`Request::urgent`].
    #[inline]
    pub fn urgent(self) -> Self {
        self.map(Request::urgent)
    }

    /// Does not wait for room. See [`Request::if_room`].
    #[inline]
    pub fn if_room(self) -> Self {
        self.map(Request::if_room)
    }

    /// Sends the request and blocks until its outcome. See [`Request::wait`].
    ///
    /// # Errors
    /// See [`RequestError`]. If the request was not executed, the message comes back in the error.
    #[inline]
    pub fn wait(self) -> Result<M::Reply, RequestError<M, M::Error>> {
        outcome::<S, R, E, M>(self.stage.wait())
    }

    /// Separates sending from waiting for the reply. See [`Request::submit`].
    #[inline]
    pub fn submit(self) -> Typed<Submit<'a, S, R, E>, M> {
        Typed::new(self.stage.submit())
    }

    /// Converts the request into a post, whose reply no caller waits for. See [`Request::post`].
    #[inline]
    pub fn post(self) -> Typed<Post<'a, S, R, E>, M> {
        Typed::new(self.stage.post())
    }
}

impl<'a, S, R, E, M: Ask<S, R, E>> IntoFuture for Typed<Request<'a, S, R, E>, M> {
    type Output = Result<M::Reply, RequestError<M, M::Error>>;
    type IntoFuture = Typed<RequestFuture<'a, S, R, E>, M>;

    #[inline]
    fn into_future(self) -> Self::IntoFuture {
        Typed::new(self.stage.into_future())
    }
}

impl<S, R, E, M: Ask<S, R, E>> Future for Typed<RequestFuture<'_, S, R, E>, M> {
    type Output = Result<M::Reply, RequestError<M, M::Error>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.stage).poll(cx);
        polled.map(outcome::<S, R, E, M>)
    }
}

/// The handle for the reply to a request that was submitted.
type Submitted<S, R, E> = WaitReply<R, E, RequestError<S, E>>;

impl<S, R, E, M: Ask<S, R, E>> Typed<Submit<'_, S, R, E>, M> {
    /// Sends the message. Blocks only while there is no room. See [`Submit::wait`].
    ///
    /// # Errors
    /// See [`SendError`]. The message comes back in the error.
    #[inline]
    pub fn wait(self) -> Result<Typed<WaitReply<R, E, RequestError<S, E>>, M>, SendError<M>> {
        sent(self.stage.wait())
    }
}

impl<'a, S, R, E, M: Ask<S, R, E>> IntoFuture for Typed<Submit<'a, S, R, E>, M> {
    type Output = Result<Typed<Submitted<S, R, E>, M>, SendError<M>>;
    type IntoFuture = Typed<SubmitFuture<'a, S, R, E>, M>;

    #[inline]
    fn into_future(self) -> Self::IntoFuture {
        Typed::new(self.stage.into_future())
    }
}

impl<S, R, E, M: Ask<S, R, E>> Future for Typed<SubmitFuture<'_, S, R, E>, M> {
    type Output = Result<Typed<Submitted<S, R, E>, M>, SendError<M>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.stage).poll(cx);
        polled.map(sent)
    }
}

impl<S, R, E, M: Ask<S, R, E>> Typed<WaitReply<R, E, RequestError<S, E>>, M> {
    /// Blocks until the outcome is there and returns it. See [`WaitReply::wait`].
    ///
    /// # Errors
    /// Returns the error of the request.
    #[inline]
    pub fn wait(self) -> Result<M::Reply, RequestError<M, M::Error>> {
        outcome::<S, R, E, M>(self.stage.wait())
    }

    /// Returns the outcome if it is there, and the handle itself otherwise. See
    /// [`WaitReply::try_get`].
    ///
    /// # Errors
    /// Returns the handle itself while there is no outcome. The inner error is that of the request.
    pub fn try_get(self) -> Result<Result<M::Reply, RequestError<M, M::Error>>, Self> {
        ended(self.stage.try_get())
    }

    /// Blocks for at most `timeout`, and returns the handle itself if there is no outcome by then.
    /// See [`WaitReply::wait_timeout`].
    ///
    /// # Errors
    /// Returns the handle itself while there is no outcome. The inner error is that of the request.
    pub fn wait_timeout(
        self,
        timeout: Duration,
    ) -> Result<Result<M::Reply, RequestError<M, M::Error>>, Self> {
        ended(self.stage.wait_timeout(timeout))
    }

    /// Blocks until `at` at most, and returns the handle itself if there is no outcome by then. See
    /// [`WaitReply::wait_deadline`].
    ///
    /// # Errors
    /// Returns the handle itself while there is no outcome. The inner error is that of the request.
    pub fn wait_deadline(
        self,
        at: Instant,
    ) -> Result<Result<M::Reply, RequestError<M, M::Error>>, Self> {
        ended(self.stage.wait_deadline(at))
    }

    /// Returns whether the outcome is there, so that waiting for it does not block.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.stage.is_ready()
    }

    /// Returns the id of the request, for [`hooks`](crate::hooks).
    ///
    /// # Panics
    /// Panics after a poll has returned `Ready`.
    #[must_use]
    pub fn id(&self) -> RequestId {
        self.stage.id()
    }
}

impl<S, R, E, M: Ask<S, R, E>> Future for Typed<WaitReply<R, E, RequestError<S, E>>, M> {
    type Output = Result<M::Reply, RequestError<M, M::Error>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.stage).poll(cx);
        polled.map(outcome::<S, R, E, M>)
    }
}

impl<S, R, E, M: Ask<S, R, E>> Typed<Post<'_, S, R, E>, M> {
    /// Bounds the time from now within which a handler has to take the post. See [`Post::timeout`].
    #[inline]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|post| post.timeout(timeout))
    }

    /// Sets the deadline before which a handler has to take the post. See [`Post::deadline`].
    #[inline]
    pub fn deadline(self, deadline: Instant) -> Self {
        self.map(|post| post.deadline(deadline))
    }

    /// Lets the post overtake normal requests. See [`Post::urgent`].
    #[inline]
    pub fn urgent(self) -> Self {
        self.map(Post::urgent)
    }

    /// Does not wait for room. See [`Post::if_room`].
    #[inline]
    pub fn if_room(self) -> Self {
        self.map(Post::if_room)
    }

    /// Sends the message. Blocks only while there is no room. See [`Post::wait`].
    ///
    /// # Errors
    /// See [`SendError`]. The message comes back in the error.
    #[inline]
    pub fn wait(self) -> Result<(), SendError<M>> {
        posted::<S, R, E, M>(self.stage.wait())
    }
}

impl<'a, S, R, E, M: Ask<S, R, E>> IntoFuture for Typed<Post<'a, S, R, E>, M> {
    type Output = Result<(), SendError<M>>;
    type IntoFuture = Typed<PostFuture<'a, S, R, E>, M>;

    #[inline]
    fn into_future(self) -> Self::IntoFuture {
        Typed::new(self.stage.into_future())
    }
}

impl<S, R, E, M: Ask<S, R, E>> Future for Typed<PostFuture<'_, S, R, E>, M> {
    type Output = Result<(), SendError<M>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.stage).poll(cx);
        polled.map(posted::<S, R, E, M>)
    }
}

impl<T: fmt::Debug, M> fmt::Debug for Typed<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Typed").field(&self.stage).finish()
    }
}

/// Converts the outcome of a request.
#[inline]
fn outcome<S, R, E, M: Ask<S, R, E>>(
    outcome: Result<R, RequestError<S, E>>,
) -> Result<M::Reply, RequestError<M, M::Error>> {
    let answer = match outcome {
        Ok(reply) => Ok(reply),
        Err(RequestError::App(error)) => Err(error),
        Err(error) => return Err(not_answered(error)),
    };
    match M::from_answer(answer) {
        Some(answer) => answer.map_err(RequestError::App),
        None => Err(RequestError::NoReply(NoReply::Mismatched)),
    }
}

/// Converts the error of a request that has no answer.
#[cold]
fn not_answered<S, R, E, M: Ask<S, R, E>>(error: RequestError<S, E>) -> RequestError<M, M::Error> {
    error
        .map_message(M::from_request)
        .map_app(|_| unreachable!("an application error is an answer"))
}

/// Converts the outcome of sending a request.
#[inline]
fn sent<S, R, E, M: Ask<S, R, E>>(
    sent: Result<Submitted<S, R, E>, SendError<S>>,
) -> Result<Typed<Submitted<S, R, E>, M>, SendError<M>> {
    match sent {
        Ok(reply) => Ok(Typed::new(reply)),
        Err(error) => Err(error.map_message(M::from_request)),
    }
}

/// Converts the outcome of sending a post.
#[inline]
fn posted<S, R, E, M: Ask<S, R, E>>(posted: Result<(), SendError<S>>) -> Result<(), SendError<M>> {
    posted.map_err(|error| error.map_message(M::from_request))
}

/// Converts the outcome of a wait that may end before the request does.
fn ended<S, R, E, M: Ask<S, R, E>>(
    ended: Result<Result<R, RequestError<S, E>>, Submitted<S, R, E>>,
) -> Result<Result<M::Reply, RequestError<M, M::Error>>, Typed<Submitted<S, R, E>, M>> {
    ended.map(outcome::<S, R, E, M>).map_err(Typed::new)
}
