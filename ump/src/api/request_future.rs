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

/// The future of a [`Request`](crate::Request) that is awaited.
///
/// # Panics
/// Panics if it is polled after it was ready.
///
/// # Cancel safety
/// If the future is dropped before the request was accepted, nothing was sent. If it is dropped
/// later, the request is cancelled: if the request is still queued, it is never executed;
/// otherwise, its handler can see that no caller waits. Different tasks may poll the future in
/// turn; the latest is woken.
#[must_use = "futures do nothing unless awaited"]
pub struct RequestFuture<'a, S, R, E>(pub(super) RequestState<'a, S, R, E, RequestError<S, E>>);

impl<S, R, E> RequestFuture<'_, S, R, E> {
    /// Makes the future register its waker as soon as it waits, instead of yielding first.
    pub(crate) fn registers_at_once(&mut self) {
        self.0.registers_at_once = true;
    }
}

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

/// The state of an awaited request whose error type is `X`.
pub(crate) struct RequestState<'a, S, R, E, X> {
    /// The reply, once the request was sent. This field is dropped before the client.
    pub(super) reply: Option<WaitReply<R, E, X>>,
    pub(super) sending: Sending<ClientRef<'a, S, R, E>, S, R, E>,
    /// Whether it does not yield before it registers its waker.
    pub(super) registers_at_once: bool,
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
        let Self { reply, sending, .. } = self;
        if let Some(reply) = reply {
            return reply.poll_without_budget(cx);
        }
        // The waker is registered before the request is sent, while no other thread can reach the
        // slot.
        let armed = sending.preregister(cx.waker());
        let send = |unsent: UnsentRequest<_, _, _>, home: &_, mode: WaitMode<'_>| {
            unsent.send(home, mode, &OutcomeVtable::BORROWED)
        };
        let pending = match ready!(sending.poll(cx, send)) {
            Ok(pending) => pending,
            Err(error) => return Poll::Ready(Err(X::new(error.into()))),
        };
        let reply = reply.insert(WaitReply::new(pending, sending.take_timer()));
        if self.registers_at_once {
            reply.registers_at_once();
        }
        if armed && reply.sleeps() {
            return Poll::Pending;
        }
        reply.poll_without_budget(cx)
    }
}

/// The future of a [`Submit`](crate::Submit) that is awaited.
///
/// # Panics
/// Panics if it is polled after it was ready.
///
/// # Cancel safety
/// If the future is dropped before it is ready, nothing was sent.
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

/// The future of a [`Post`](crate::Post) that is awaited.
///
/// # Panics
/// Panics if it is polled after it was ready.
///
/// # Cancel safety
/// If the future is dropped before it is ready, nothing was sent.
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
