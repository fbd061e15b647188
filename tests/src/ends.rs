//! All kinds of both ends of a channel, for tests with one body for all of them.
//!
//! A kind is a type without values: [`Ask`] and [`Begin`] for clients, [`Take`] for servers. The
//! macro [`for_each!`](crate::for_each) makes the tests.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    thread,
    time::Instant,
};

use futures_core::Stream;
use ump::{
    Client, Error, Executed, NoReply, ReplyContext, Request, RequestError, SendError, Server,
};

use crate::{block_on, poll_once};

/// Makes tests of generic functions, one for each kind, in a module for each kind.
///
/// `for_each!(blocking = Wait, asynchronous = AsyncWait => { order_is_kept })` makes the tests
/// `blocking::order_is_kept` and `asynchronous::order_is_kept`, which call
/// `order_is_kept::<Wait>()` and `order_is_kept::<AsyncWait>()`.
///
/// With a second list of kinds behind a semicolon it makes all the pairs, in nested modules. A test
/// that hangs fails.
#[macro_export]
macro_rules! for_each {
    ($($module:ident = $kind:ty),+ => $tests:tt) => {
        $(mod $module { $crate::for_each!(@one ($kind) $tests); })+
    };
    ($($module:ident = $kind:ty),+ ; $second:tt => $tests:tt) => {
        $(mod $module { $crate::for_each!(@two ($kind) $second $tests); })+
    };
    (@two ($first:ty) ($($module:ident = $kind:ty),+) $tests:tt) => {
        $(mod $module { $crate::for_each!(@pair ($first) ($kind) $tests); })+
    };
    (@one ($kind:ty) { $($test:ident),+ $(,)? }) => {
        use super::*;
        $(#[test] fn $test() { $crate::must_end(super::$test::<$kind>); })+
    };
    (@pair ($first:ty) ($second:ty) { $($test:ident),+ $(,)? }) => {
        use super::super::*;
        $(#[test] fn $test() { $crate::must_end(super::super::$test::<$first, $second>); })+
    };
}

/// The options of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// See [`Request::deadline`].
    pub deadline: Option<Instant>,
    /// See [`Request::urgent`].
    pub urgent: bool,
    /// See [`Request::if_room`].
    pub if_room: bool,
}

impl Options {
    /// Only a deadline.
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        Self {
            deadline: Some(deadline),
            ..Self::default()
        }
    }

    /// Applies the options to a request.
    pub fn request<S, R, E>(self, client: &Client<S, R, E>, message: S) -> Request<'_, S, R, E> {
        let mut request = client.request(message);
        if let Some(deadline) = self.deadline {
            request = request.deadline(deadline);
        }
        if self.urgent {
            request = request.urgent();
        }
        if self.if_room {
            request = request.if_room();
        }
        request
    }
}

/// The outcome of a request without a reply, for all error types.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure<S, E> {
    /// The outcome.
    pub why: Reason<E>,
    /// The details of the error.
    pub executed: Executed,
    /// The message, if it was returned.
    pub message: Option<S>,
}

/// The outcomes that are not replies.
#[derive(Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they have the names of the errors")]
pub enum Reason<E> {
    App(E),
    /// Plain errors do not distinguish them.
    NoReply(Option<NoReply>),
    ServerDisappeared,
    TimeoutQueued,
    TimeoutTaken,
    Full,
    /// An outcome that a request must not have.
    Else,
}

impl<S, E> From<Error<E>> for Failure<S, E> {
    fn from(error: Error<E>) -> Self {
        Self {
            executed: error.executed(),
            message: None,
            why: match error {
                Error::App(error) => Reason::App(error),
                Error::NoReply => Reason::NoReply(None),
                Error::ServerDisappeared => Reason::ServerDisappeared,
                Error::OriginDisappeared | Error::ClientsDisappeared => Reason::Else,
            },
        }
    }
}

impl<S, E> From<RequestError<S, E>> for Failure<S, E> {
    fn from(error: RequestError<S, E>) -> Self {
        let executed = error.executed();
        let (why, message) = match error {
            RequestError::App(error) => (Reason::App(error), None),
            RequestError::NoReply(why) => (Reason::NoReply(Some(why)), None),
            RequestError::ServerDisappeared(message) => (Reason::ServerDisappeared, Some(message)),
            RequestError::TimeoutQueued(message) => (Reason::TimeoutQueued, Some(message)),
            RequestError::TimeoutTaken => (Reason::TimeoutTaken, None),
            RequestError::Full(message) => (Reason::Full, Some(message)),
            RequestError::WouldDeadlock(message, _) | RequestError::NoTimer(message, _) => {
                (Reason::Else, Some(message))
            }
            RequestError::WouldDeadlockTaken(_) => (Reason::Else, None),
        };
        Self {
            why,
            executed,
            message,
        }
    }
}

impl<S, E> From<SendError<S>> for Failure<S, E> {
    fn from(error: SendError<S>) -> Self {
        RequestError::from(error).into()
    }
}

/// A way of making a request and waiting for its outcome.
pub trait Ask {
    /// Whether its errors have details and return the message. If so, it supports options as well.
    const DETAILED: bool;

    /// Makes a request and blocks the thread until its outcome.
    ///
    /// # Errors
    /// Returns the errors of the request.
    fn ask<S: Send + 'static, R: Send, E: Send>(
        client: &Client<S, R, E>,
        message: S,
        options: Options,
    ) -> Result<R, Failure<S, E>>;
}

macro_rules! ask {
    ($($(#[$doc:meta])+ $kind:ident, $detailed:literal, |$client:ident, $message:ident, $options:pat_param| $body:expr;)+) => {$(
        $(#[$doc])+
        #[derive(Debug)]
        pub struct $kind;

        impl Ask for $kind {
            const DETAILED: bool = $detailed;

            fn ask<S: Send + 'static, R: Send, E: Send>(
                $client: &Client<S, R, E>,
                $message: S,
                $options: Options,
            ) -> Result<R, Failure<S, E>> {
                Ok($body)
            }
        }
    )+};
}

ask! {
    /// `req`.
    Req, false, |client, message, _| client.req(message)?;
    /// `areq`.
    Areq, false, |client, message, _| block_on(client.areq(message))?;
    /// `req_async`, then `wait`.
    ReqAsyncWait, false, |client, message, _| client.req_async(message)?.wait()?;
    /// `req_async`, awaited.
    ReqAsyncAwait, false, |client, message, _| block_on(client.req_async(message)?)?;
    /// `request().wait()`.
    RequestWait, true, |client, message, options| options.request(client, message).wait()?;
    /// `request().await`.
    RequestAwait, true, |client, message, options| block_on(options.request(client, message))?;
    /// `submit().wait()`, then `wait`.
    SubmitWait, true, |client, message, options| options.request(client, message).submit().wait()?.wait()?;
    /// `submit().await`, awaited.
    SubmitAwait, true, |client, message, options| block_on(async {
        Ok::<_, Failure<S, E>>(options.request(client, message).submit().await?.await?)
    })?;
    /// `submit().wait()`, awaited.
    SubmitWaitAwait, true, |client, message, options| block_on(options.request(client, message).submit().wait()?)?;
    /// `submit().await`, then `wait`.
    SubmitAwaitWait, true, |client, message, options| block_on(options.request(client, message).submit())?.wait()?;
}

/// A value that is only dropped.
pub trait Droppable {}
impl<T> Droppable for T {}

/// A way of making a request that can be cancelled.
pub trait Begin {
    /// Sends a request while there is room. Dropping the returned value cancels the request.
    fn begin<S: Send + 'static, R: Send, E: Send>(
        client: &Client<S, R, E>,
        message: S,
    ) -> Box<dyn Droppable + '_>;
}

impl Begin for Areq {
    fn begin<S: Send + 'static, R: Send, E: Send>(
        client: &Client<S, R, E>,
        message: S,
    ) -> Box<dyn Droppable + '_> {
        let mut future = Box::pin(client.areq(message));
        assert!(poll_once(&mut future).is_pending());
        Box::new(future)
    }
}

impl Begin for RequestAwait {
    fn begin<S: Send + 'static, R: Send, E: Send>(
        client: &Client<S, R, E>,
        message: S,
    ) -> Box<dyn Droppable + '_> {
        let mut future = client.request(message).into_future();
        assert!(poll_once(&mut future).is_pending());
        Box::new(future)
    }
}

impl Begin for ReqAsyncWait {
    fn begin<S: Send + 'static, R: Send, E: Send>(
        client: &Client<S, R, E>,
        message: S,
    ) -> Box<dyn Droppable + '_> {
        Box::new(client.req_async(message).unwrap_or_else(|_| no_server()))
    }
}

impl Begin for ReqAsyncAwait {
    fn begin<S: Send + 'static, R: Send, E: Send>(
        client: &Client<S, R, E>,
        message: S,
    ) -> Box<dyn Droppable + '_> {
        let mut reply = client.req_async(message).unwrap_or_else(|_| no_server());
        assert!(poll_once(&mut reply).is_pending());
        Box::new(reply)
    }
}

impl Begin for SubmitWait {
    fn begin<S: Send + 'static, R: Send, E: Send>(
        client: &Client<S, R, E>,
        message: S,
    ) -> Box<dyn Droppable + '_> {
        Box::new(client.request(message).submit().wait().unwrap())
    }
}

impl Begin for SubmitAwait {
    fn begin<S: Send + 'static, R: Send, E: Send>(
        client: &Client<S, R, E>,
        message: S,
    ) -> Box<dyn Droppable + '_> {
        let mut reply = block_on(client.request(message).submit()).unwrap();
        assert!(poll_once(&mut reply).is_pending());
        Box::new(reply)
    }
}

fn no_server() -> ! {
    panic!("the server is gone")
}

/// A way of waiting for a request and taking it.
pub trait Take {
    /// Blocks until there is a request; `None` if no client is left.
    fn take<S, R, E>(server: &Server<S, R, E>) -> Option<(S, ReplyContext<R, E>)>;
}

macro_rules! take {
    ($($(#[$doc:meta])+ $kind:ident, |$server:ident| $body:expr;)+) => {$(
        $(#[$doc])+
        #[derive(Debug)]
        pub struct $kind;

        impl Take for $kind {
            fn take<S, R, E>($server: &Server<S, R, E>) -> Option<(S, ReplyContext<R, E>)> {
                $body
            }
        }
    )+};
}

take! {
    /// `wait`.
    Wait, |server| server.wait().ok();
    /// `async_wait`.
    AsyncWait, |server| block_on(server.async_wait()).ok();
    /// `try_pop` in a loop.
    TryPop, |server| loop {
        match server.try_pop() {
            Ok(Some(job)) => break Some(job),
            Ok(None) => thread::yield_now(),
            Err(_) => break None,
        }
    };
    /// `wait_many`, one at a time.
    WaitMany, |server| {
        let mut batch = Vec::new();
        let count = server.wait_many(&mut batch, 1).ok()?;
        assert_eq!((count, batch.len()), (1, 1));
        batch.pop()
    };
    /// `async_wait_many`, one at a time.
    AsyncWaitMany, |server| {
        let mut batch = Vec::new();
        let count = block_on(server.async_wait_many(&mut batch, 1)).ok()?;
        assert_eq!((count, batch.len()), (1, 1));
        batch.pop()
    };
    /// The blocking iterator.
    Iterate, |server| server.iter().next();
    /// A stream.
    Streamed, |server| {
        let mut stream = pin!(server.stream());
        block_on(poll_fn(|cx| stream.as_mut().poll_next(cx)))
    };
    /// `poll_wait`.
    PollWait, |server| block_on(poll_fn(|cx| server.poll_wait(cx))).ok();
}

/// Blocks until the next item of a stream.
pub fn next<T: Stream + Unpin>(stream: &mut T) -> Option<T::Item> {
    block_on(poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)))
}
