//! The futures of a request: awaited, submitted or posted.

#![forbid(unsafe_code)]

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::{
    api::client::ClientRef,
    api::wait_reply::WaitReply,
    channel::queue::WaitMode,
    error::request_error::RequestError,
    error::send_error::SendError,
    inflight::pending::{FromRequestError, OutcomeVtable, UnsentRequest},
    inflight::send::Sending,
};

/// A [`Request`](crate::Request) being awaited.
///
/// # Cancel safety
/// Dropped before it was accepted, nothing was sent. Dropped later, the request is cancelled: if it
/// is still queued it is never executed, otherwise its handler can see that nobody waits. It can be
/// polled by different tasks in turn; the latest is woken.
///
/// # Panics
/// If it is polled after it was ready.
#[must_use = "futures do nothing unless awaited"]
pub struct RequestFuture<'a, S, R, E>(pub(super) RequestState<'a, S, R, E, RequestError<S, E>>);

impl<S, R, E> Unpin for RequestFuture<'_, S, R, E> {}

impl<S, R, E> Future for RequestFuture<'_, S, R, E> {
    type Output = Result<R, RequestError<S, E>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<S, R, E> fmt::Debug for RequestFuture<'_, S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.reply {
            None => "RequestFuture(sending)",
            Some(_) => "RequestFuture(waiting)",
        })
    }
}

/// A request being awaited that may end in a regret of the kind `X`.
pub(crate) struct RequestState<'a, S, R, E, X> {
    /// Once it was sent. It is dropped before the client is let go.
    pub(super) reply: Option<WaitReply<R, E, X>>,
    pub(super) sending: Sending<ClientRef<'a, S, R, E>, S, R, E>,
}

impl<S, R, E, X> Unpin for RequestState<'_, S, R, E, X> {}

impl<S, R, E, X: FromRequestError<S, E>> Future for RequestState<'_, S, R, E, X> {
    type Output = Result<R, X>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.sending.coop.begin(cx) {
            return Poll::Pending;
        }
        let polled = self.poll_without_budget(cx);
        self.sending.coop.end(&polled);
        polled
    }
}

impl<S, R, E, X: FromRequestError<S, E>> RequestState<'_, S, R, E, X> {
    #[inline]
    fn poll_without_budget(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, X>> {
        let Self { reply, sending } = self;
        if let Some(reply) = reply {
            return reply.poll_without_budget(cx);
        }
        // Before it is sent, while nobody else can reach it.
        let armed = sending.preregister(cx.waker());
        let send = |unsent: UnsentRequest<_, _, _>, home: &_, mode: WaitMode<'_>| {
            unsent.send(home, mode, &OutcomeVtable::BORROWED)
        };
        let pending = match ready!(sending.poll(cx, send)) {
            Ok(pending) => pending,
            Err(error) => return Poll::Ready(Err(X::new(error.into()))),
        };
        let reply = reply.insert(WaitReply::new(pending, sending.take_timer()));
        if armed && reply.sleeps() {
            return Poll::Pending;
        }
        reply.poll_without_budget(cx)
    }
}

/// A [`Submit`](crate::Submit) being awaited.
///
/// # Cancel safety
/// Dropped before it is ready, nothing was sent.
///
/// # Panics
/// If it is polled after it was ready.
#[must_use = "futures do nothing unless awaited"]
pub struct SubmitFuture<'a, S, R, E>(pub(super) Sending<ClientRef<'a, S, R, E>, S, R, E>);

impl<S, R, E> Unpin for SubmitFuture<'_, S, R, E> {}

impl<S, R, E> Future for SubmitFuture<'_, S, R, E> {
    type Output = Result<WaitReply<R, E, RequestError<S, E>>, SendError<S>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let send = |unsent: UnsentRequest<_, _, _>, home: &_, mode: WaitMode<'_>| {
            unsent.send(home, mode, &OutcomeVtable::DETACHED)
        };
        if !self.0.coop.begin(cx) {
            return Poll::Pending;
        }
        let sent = self.0.poll(cx, send);
        self.0.coop.end(&sent);
        let pending = ready!(sent)?;
        Poll::Ready(Ok(WaitReply::new(pending, self.0.take_timer())))
    }
}

impl<S, R, E> fmt::Debug for SubmitFuture<'_, S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitFuture").finish_non_exhaustive()
    }
}

/// A [`Post`](crate::Post) being awaited.
///
/// # Cancel safety
/// Dropped before it is ready, nothing was sent.
///
/// # Panics
/// If it is polled after it was ready.
#[must_use = "futures do nothing unless awaited"]
pub struct PostFuture<'a, S, R, E>(pub(super) Sending<ClientRef<'a, S, R, E>, S, R, E>);

impl<S, R, E> Unpin for PostFuture<'_, S, R, E> {}

impl<S, R, E> Future for PostFuture<'_, S, R, E> {
    type Output = Result<(), SendError<S>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.0.coop.begin(cx) {
            return Poll::Pending;
        }
        let posted = self.0.poll(cx, UnsentRequest::post);
        self.0.coop.end(&posted);
        let posted = ready!(posted);
        self.0.drop_timer();
        Poll::Ready(posted)
    }
}

impl<S, R, E> fmt::Debug for PostFuture<'_, S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostFuture").finish_non_exhaustive()
    }
}
