//! The handle with which a handler answers a request.

#![forbid(unsafe_code)]

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::{
    coop::Coop,
    error::panic::PanicMessage,
    error::{Error, NoReply},
    hooks::RequestId,
    slot::completion::Completion,
    slot::server::Responder,
    sync::current,
    time::clock::Clock,
    time::sleep::Timer,
    wait::waiter::Waiter,
};

/// A handle with which a handler answers one request that was taken.
///
/// The handle is independent of the [`Server`](crate::Server) from which it came: it can be sent to
/// another thread or task, kept, and used to answer after the server is gone.
///
/// If it is dropped without an answer, the caller gets [`Error::NoReply`]. If the caller used
/// [`Client::request`](crate::Client::request), its error carries the cause: [`NoReply::Panicked`]
/// if the handle was dropped while its thread was panicking, and [`NoReply::Dropped`] otherwise,
/// unless a [scope](NoReply::scope) sets another cause. If the handle is dropped after the caller's
/// deadline, the request has ended because of the deadline.
///
/// Everything that the handler does before it answers happens before the caller has the answer.
#[must_use = "dropped without an answer it fails the request"]
pub struct ReplyContext<R, E>(Responder<R, E>);

impl<R, E> ReplyContext<R, E> {
    #[inline]
    pub(crate) fn new(handler: Responder<R, E>) -> Self {
        Self(handler)
    }

    /// Answers with a reply. A reply to a post is dropped.
    ///
    /// # Errors
    /// Returns [`Error::OriginDisappeared`] if the caller has left. [`answer`](Self::answer) gives
    /// the value back.
    #[inline]
    pub fn reply(self, data: R) -> Result<(), Error<E>> {
        self.answer(Ok(data)).map_err(|_| Error::OriginDisappeared)
    }

    /// Refuses the request with the application's own error, which the caller gets as
    /// [`Error::App`].
    ///
    /// # Errors
    /// Returns [`Error::OriginDisappeared`] if the caller has left. [`answer`](Self::answer) gives
    /// the value back.
    pub fn fail(self, err: E) -> Result<(), Error<E>> {
        self.answer(Err(err)).map_err(|_| Error::OriginDisappeared)
    }

    /// Answers with a reply or with the application's own error.
    ///
    /// ```
    /// let (server, client) = ump::channel::<u32, String, ()>();
    /// let reply = client.req_async(1).unwrap();
    /// let (n, rctx) = server.wait().unwrap();
    /// drop(reply); // the caller changes its mind
    /// let costly = format!("{n} light");
    /// assert_eq!(rctx.answer(Ok(costly)), Err(Ok("1 light".to_string())));
    /// ```
    ///
    /// # Errors
    /// Returns the answer if the caller has left.
    #[inline]
    pub fn answer(self, answer: Result<R, E>) -> Result<(), Result<R, E>> {
        self.0
            .finish(answer.into())
            .map_err(|completion| match completion {
                Completion::Reply(reply) => Ok(reply),
                Completion::App(error) => Err(error),
                Completion::NoReply(_)
                | Completion::Overdue
                | Completion::ServerDisappeared
                | Completion::Expired => {
                    unreachable!("it comes back as it was")
                }
            })
    }

    /// Ends the request of a handler that panicked. The caller gets [`NoReply::Panicked`] with the
    /// message, or plain [`Error::NoReply`].
    ///
    /// For loops that keep the reply context and have caught the panic.
    ///
    /// ```
    /// use std::panic::{AssertUnwindSafe, catch_unwind};
    /// use ump::{NoReply, PanicMessage, RequestError};
    ///
    /// let (server, client) = ump::channel::<u32, u32, ()>();
    /// let reply = client.request(0).submit().wait().unwrap();
    /// let (n, rctx) = server.wait().unwrap();
    /// let outcome = catch_unwind(AssertUnwindSafe(|| 7 / n));
    /// match outcome {
    ///     Ok(quotient) => rctx.reply(quotient).unwrap(),
    ///     Err(payload) => rctx.panicked(PanicMessage::of_payload(&*payload)).unwrap(),
    /// }
    /// let Err(RequestError::NoReply(NoReply::Panicked(message))) = reply.wait() else { panic!() };
    /// assert_eq!(message.as_str(), Some("attempt to divide by zero"));
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::OriginDisappeared`] if the caller has left.
    pub fn panicked(self, message: impl Into<PanicMessage>) -> Result<(), Error<E>> {
        let completion = Completion::NoReply(NoReply::Panicked(message.into()));
        self.0
            .finish(completion)
            .map_err(|_| Error::OriginDisappeared)
    }

    /// Returns whether the caller has left (cancelled or timed out) or its deadline has passed. If
    /// so, there is no point in continuing.
    ///
    /// This is never true for a post, which is meant to be executed though no caller waits.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_abandoned() || (!self.is_post() && self.0.core().is_overdue())
    }

    /// Returns a future that resolves when [`is_cancelled`](Self::is_cancelled) becomes true. For a
    /// post, or for a caller that cannot leave, it never resolves.
    ///
    /// Race it against the work:
    ///
    /// ```
    /// # async fn work() -> u32 { 1 }
    /// # async fn race(mut rctx: ump::ReplyContext<u32, ()>) {
    /// tokio::select! {
    ///     () = rctx.cancelled() => {}
    ///     reply = work() => { let _ = rctx.reply(reply); }
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// The future can be dropped, and this method called again, at any time.
    pub fn cancelled(&mut self) -> Cancelled<'_, R, E> {
        Cancelled {
            timer: None,
            rctx: self,
            coop: Coop::new(),
        }
    }

    /// Is ready if [`is_cancelled`](Self::is_cancelled) is true. Otherwise the waker is woken when
    /// the caller leaves. For code that keeps many requests and knows their deadlines.
    ///
    /// Nobody is woken at the caller's [`deadline`](Self::deadline). The last waker stays until the
    /// request ends, or until [`cancelled`](Self::cancelled) or
    /// [`wait_cancelled`](Self::wait_cancelled) registers another one.
    ///
    /// ```
    /// use std::task::{Context, Poll, Waker};
    ///
    /// let (server, client) = ump::channel::<u32, u32, ()>();
    /// let reply = client.req_async(1).unwrap();
    /// let (_, mut rctx) = server.wait().unwrap();
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert_eq!(rctx.poll_cancelled(&mut cx), Poll::Pending);
    /// drop(reply);
    /// assert_eq!(rctx.poll_cancelled(&mut cx), Poll::Ready(()));
    /// ```
    pub fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_cancelled() || !self.0.watch_caller(Some(Waiter::task(cx.waker()))) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Blocks until [`is_cancelled`](Self::is_cancelled) becomes true, for at most `timeout`.
    /// Returns whether it is true.
    pub fn wait_cancelled(&mut self, timeout: Duration) -> bool {
        let deadlines = [self.caller_deadline(), self.clock().after(timeout)];
        let until = deadlines.into_iter().flatten().min();
        if !self.is_cancelled() && self.0.watch_caller(Some(Waiter::Thread(current()))) {
            // The loop checks before it parks for the first time as well: dropping a former waiter
            // runs the user's code, which may use up the unpark.
            while !self.is_cancelled() && !self.clock().park_until(until) {}
        }
        self.is_cancelled()
    }

    /// Returns when the caller stops waiting. For a post, returns the time by which a handler had
    /// to take it.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.core().deadline()
    }

    /// Returns the id of the request, for [`hooks`](crate::hooks).
    #[must_use]
    pub fn id(&self) -> RequestId {
        self.0.core().id()
    }

    /// Returns whether the request is a post, whose answer no caller waits for.
    #[must_use]
    pub fn is_post(&self) -> bool {
        self.0.core().is_post()
    }

    /// Returns where the request was made: the call of [`Client::req`](crate::Client::req),
    /// [`request`](crate::Client::request) or a similar method. To report the caller of a function
    /// that wraps such a call, mark that function `#[track_caller]`.
    ///
    /// ```
    /// let (server, client) = ump::channel::<(), (), ()>();
    /// let line = line!() + 1;
    /// client.post(()).wait().unwrap();
    /// let ((), rctx) = server.wait().unwrap();
    /// assert_eq!((rctx.caller().file(), rctx.caller().line()), (file!(), line));
    /// ```
    #[inline]
    #[must_use]
    pub fn caller(&self) -> &'static Location<'static> {
        self.0.core().origin()
    }

    /// Returns when the request entered the queue, by the channel's clock; `None` unless the
    /// channel [records entry times](crate::Builder::entry_times). If the sender waited for room,
    /// it did so before this time.
    #[must_use]
    pub fn entered(&self) -> Option<Instant> {
        self.0.core().entered()
    }

    fn clock(&self) -> &Clock {
        self.0.core().clock()
    }

    fn caller_deadline(&self) -> Option<Instant> {
        self.deadline().filter(|_| !self.is_post())
    }
}

impl<R, E> fmt::Debug for ReplyContext<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyContext")
            .field("cancelled", &self.is_cancelled())
            .field("deadline", &self.deadline())
            .field("post", &self.is_post())
            .field("caller", &format_args!("{}", self.caller()))
            .finish()
    }
}

/// A future that resolves when no caller waits for the answer any more. From
/// [`ReplyContext::cancelled`].
#[must_use = "futures do nothing unless awaited"]
pub struct Cancelled<'a, R, E> {
    rctx: &'a mut ReplyContext<R, E>,
    timer: Option<Timer>,
    coop: Coop,
}

impl<R, E> Future for Cancelled<'_, R, E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.coop.begin(cx) {
            return Poll::Pending;
        }
        let polled = self.poll_without_budget(cx);
        self.coop.end(&polled);
        polled
    }
}

impl<R, E> Cancelled<'_, R, E> {
    fn poll_without_budget(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let this = self;
        if this.rctx.poll_cancelled(cx).is_ready() {
            return Poll::Ready(());
        }
        if let (None, Some(deadline)) = (&this.timer, this.rctx.caller_deadline()) {
            // If there is no timer (the system refused to start its thread), this task is woken
            // only when the caller leaves.
            this.timer = this.rctx.clock().timer(deadline).ok();
        }
        match &mut this.timer {
            Some(timer) => match timer.poll(cx) {
                Poll::Ready(Ok(())) => Poll::Ready(()),
                Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
            },
            None => Poll::Pending,
        }
    }
}

impl<R, E> Drop for Cancelled<'_, R, E> {
    fn drop(&mut self) {
        // The waker is not needed any more, and may keep its task alive.
        self.rctx.0.watch_caller(None);
    }
}

impl<R, E> fmt::Debug for Cancelled<'_, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled").finish_non_exhaustive()
    }
}
