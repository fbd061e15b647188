//! Messages that name their own reply.
//!
//! A channel has one type of message, one of reply and one of error. A server with several kinds of
//! requests makes enums of them, and each caller would unpack the enums. With [`Ask`], a message
//! says once how it gets into the enum and how its reply comes out, and its callers see neither:
//!
//! ```text
//!   Get(1) ──into_request──► Request::Get(Get(1)) ──channel──► handler
//!                                                                 │
//!   Option<String> ◄──from_answer── Reply::Get(Option<String>) ◄──┘
//! ```
//!
//! [`Typed`] wraps whatever the channel returns for a request, and converts what comes out of it.
//! It holds nothing but the wrapped value: no allocation, no dynamic dispatch, no state of its own.
//! So the ways to wait, the outcomes and the cancel safety are those of the wrapped value.
//!
//! - If the handler answers with the variant of another message, the outcome is
//!   [`NoReply::Mismatched`]. Services of `ump-server`'s macro cannot do that.
//! - A message that comes back is the caller's, not the enum: see [`Ask::from_request`].

#![forbid(unsafe_code)]

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

/// A message that names its own reply and error, on channels of messages `S`, replies `R` and
/// errors `E`.
///
/// [`Client::ask`] sends it. The methods convert between the message and the channel's types,
/// usually enums with a variant for each message. [`impl_ask!`](crate::impl_ask) writes them, and
/// the attribute `service` of `ump-server` writes all of it, for the methods of an `impl` block.
///
/// ```
/// use std::{collections::HashMap, convert::Infallible, thread};
///
/// struct Get(u32);
/// struct Put(u32, String);
///
/// enum Request { Get(Get), Put(Put) }
/// enum Reply { Get(Option<String>), Put(bool) }
///
/// ump::impl_ask!(Request, Reply, Infallible: Get => Option<String>, Put => bool);
///
/// let (server, client) = ump::channel();
/// let serving = thread::spawn(move || {
///     let mut values = HashMap::new();
///     for (request, rctx) in &server {
///         let _ = rctx.reply(match request {
///             Request::Get(Get(key)) => Reply::Get(values.get(&key).cloned()),
///             Request::Put(Put(key, value)) => Reply::Put(values.insert(key, value).is_none()),
///         });
///     }
/// });
/// let is_new: bool = client.ask(Put(1, "one".to_owned())).wait().unwrap();
/// let value: Option<String> = client.ask(Get(1)).wait().unwrap(); // or `.await`
/// assert_eq!((is_new, value.as_deref()), (true, Some("one")));
/// # drop(client);
/// # serving.join().unwrap();
/// ```
///
/// The methods run on the thread or task of the caller.
pub trait Ask<S, R, E>: Sized {
    /// The reply to this message.
    type Reply;
    /// The error with which the handler refuses this message.
    type Error;

    /// Converts the message into a message of the channel.
    fn into_request(self) -> S;

    /// Converts a message of the channel back, because it was not executed and returns to its
    /// caller.
    ///
    /// It gets only messages that [`into_request`](Self::into_request) of this type has made.
    fn from_request(request: S) -> Self;

    /// Converts the handler's answer.
    ///
    /// Returns `None` if it is the answer to another message. The request then ends with
    /// [`NoReply::Mismatched`].
    fn from_answer(answer: Result<R, E>) -> Option<Result<Self::Reply, Self::Error>>;
}

/// Implements [`Ask`] for messages that are variants of an enum.
///
/// The arguments are the types of the channel, then each message with its reply. The first two
/// types are enums with a variant of the same name as each message. Each message has the channel's
/// error. See the [example](Ask); `Get => Option<String>` there stands for this:
///
/// ```
/// # use std::convert::Infallible;
/// # use ump::Ask;
/// # struct Get(u32);
/// # enum Request { Get(Get), Put(u32, String) }
/// # enum Reply { Get(Option<String>), Put(bool) }
/// impl Ask<Request, Reply, Infallible> for Get {
///     type Reply = Option<String>;
///     type Error = Infallible;
///
///     fn into_request(self) -> Request {
///         Request::Get(self)
///     }
///
///     fn from_request(request: Request) -> Self {
///         match request {
///             Request::Get(message) => message,
///             _ => unreachable!("`into_request` made this message"),
///         }
///     }
///
///     fn from_answer(answer: Result<Reply, Infallible>) -> Option<Result<Self::Reply, Infallible>> {
///         match answer {
///             Ok(Reply::Get(reply)) => Some(Ok(reply)),
///             Ok(_) => None,
///             Err(error) => Some(Err(error)),
///         }
///     }
/// }
/// # assert!(Get::from_answer(Ok(Reply::Put(true))).is_none());
/// # let Request::Get(Get(1)) = Get(1).into_request() else { panic!() };
/// # let Get(0) = Get::from_request(Request::Get(Get(0))) else { panic!() };
/// # let _ = Request::Put(1, String::new());
/// ```
#[macro_export]
macro_rules! impl_ask {
    (
        $request:ident, $reply:ident, $error:ty:
        $($message:ident => $own_reply:ty),+ $(,)?
    ) => {$(
        impl $crate::Ask<$request, $reply, $error> for $message {
            type Reply = $own_reply;
            type Error = $error;

            #[inline]
            fn into_request(self) -> $request {
                $request::$message(self)
            }

            #[inline]
            fn from_request(request: $request) -> Self {
                match request {
                    $request::$message(message) => message,
                    #[allow(unreachable_patterns)]
                    _ => ::core::unreachable!("`into_request` made this message"),
                }
            }

            #[inline]
            fn from_answer(
                answer: ::core::result::Result<$reply, $error>,
            ) -> ::core::option::Option<::core::result::Result<$own_reply, $error>> {
                match answer {
                    ::core::result::Result::Ok($reply::$message(reply)) => {
                        ::core::option::Option::Some(::core::result::Result::Ok(reply))
                    }
                    #[allow(unreachable_patterns)]
                    ::core::result::Result::Ok(_) => ::core::option::Option::None,
                    #[allow(unreachable_patterns)]
                    ::core::result::Result::Err(error) => {
                        ::core::option::Option::Some(::core::result::Result::Err(error))
                    }
                }
            }
        }
    )+};
}

/// A request whose message is `M`, in one of its stages. `T` is the stage.
///
/// | stage `T` | from | yields |
/// |---|---|---|
/// | [`Request`], which can be waited for or awaited | [`Client::ask`] | the reply `M::Reply` or a `RequestError<M, M::Error>` |
/// | [`Submit`] | [`submit`](Self::submit) | a `Typed<WaitReply<..>, M>` or a `SendError<M>` |
/// | [`WaitReply`] | a `Submit` | the reply or a `RequestError<M, M::Error>` |
/// | [`Post`] | [`post`](Self::post) | nothing, or a `SendError<M>` |
/// | [`RequestFuture`], [`SubmitFuture`], [`PostFuture`] | `into_future` | the same |
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
