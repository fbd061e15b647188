//! A handle for a pending reply.

#![forbid(unsafe_code)]

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::{
    coop::Coop,
    error::Error,
    error::cycle::Cycle,
    hooks::{self, RequestId, Wait},
    inflight::pending::{ExitReason, PendingRequest},
    inflight::send::POLLED_AGAIN,
    time::clock::Clock,
    time::sleep::Timer,
    wait::YieldState,
    wait::waiter::request_repoll,
};

/// A handle for the reply to a request that was sent. It is a future, and threads can wait for it
/// too.
///
/// `X` is the error type: [`Error<E>`](Error) if the handle comes from
/// [`req_async`](crate::Client::req_async), and [`RequestError<S, E>`](crate::RequestError) if it
/// comes from [`submit`](crate::Request::submit).
///
/// Dropping the handle cancels the request. If the request is still queued, it is never executed;
/// otherwise, its handler can see that no caller waits.
///
/// If a request with a deadline was submitted by a blocking call and is then awaited, it needs the
/// process's timer thread. If the system refuses to start that thread, the request ends at once, as
/// if the deadline had passed.
///
/// # Panics
/// Panics if the handle is polled or waited for after a poll has returned `Ready`.
///
/// # Cancel safety
/// The handle can be awaited by reference (`(&mut reply).await`): if that future is dropped, the
/// handle can be awaited again. Different tasks may poll the handle in turn; the latest is woken.
#[must_use = "dropping it cancels the request"]
pub struct WaitReply<R, E, X = Error<E>> {
    pending: Option<PendingRequest<R, E, X>>,
    timer: Option<Timer>,
    yield_state: YieldState,
    /// Whether a waker was registered.
    has_registered: bool,
    coop: Coop,
}

impl<R, E, X> WaitReply<R, E, X> {
    #[inline]
    pub(crate) fn new(pending: PendingRequest<R, E, X>, timer: Option<Timer>) -> Self {
        Self {
            pending: Some(pending),
            timer,
            yield_state: YieldState::default(),
            has_registered: false,
            coop: Coop::new(),
        }
    }

    /// Blocks until the outcome is there and returns it.
    ///
    /// # Errors
    /// Returns the error of the request. If the request has a deadline, it ends by then.
    #[inline]
    pub fn wait(mut self) -> Result<R, X> {
        let pending = self.take();
        match pending.core().wait(pending.core().deadline()) {
            Ok(true) => pending.settle(),
            Ok(false) => pending.leave(ExitReason::TimedOut),
            Err(cycle) => pending.leave(ExitReason::WouldDeadlock(cycle)),
        }
    }

    /// Awaits the outcome. This is the same as awaiting the handle.
    ///
    /// # Errors
    /// Returns the error of the request.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request.
    pub async fn wait_async(self) -> Result<R, X>
    where
        R: Send,
        E: Send,
    {
        self.await
    }

    /// Returns the outcome if it is there, and the handle itself otherwise.
    ///
    /// ```
    /// let (server, client) = ump::channel::<u32, u32, ()>();
    /// let reply = client.req_async(1).unwrap();
    /// let reply = reply.try_get().expect_err("nobody has answered");
    /// server.wait().unwrap().1.reply(2).unwrap();
    /// assert_eq!(reply.try_get().expect("answered"), Ok(2));
    /// ```
    ///
    /// # Errors
    /// Returns the handle itself while there is no outcome. The inner error is that of the request.
    pub fn try_get(self) -> Result<Result<R, X>, Self> {
        let now = self.clock().now();
        self.get_until(now)
    }

    /// Blocks for at most `timeout`, and returns the handle itself if there is no outcome by then.
    /// The request goes on; dropping the handle cancels it.
    ///
    /// This is so even if the caller is the handler that would have to answer the request: see
    /// [`hooks`](crate::hooks#what-is-watched).
    ///
    /// # Errors
    /// Returns the handle itself while there is no outcome. The inner error is that of the request.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Result<R, X>, Self> {
        match self.clock().after(timeout) {
            Some(at) => self.wait_deadline(at),
            None => Ok(self.wait()),
        }
    }

    /// Blocks until `at` at most, and returns the handle itself if there is no outcome by then. The
    /// request goes on; dropping the handle cancels it.
    ///
    /// This is so even if the caller is the handler that would have to answer the request: see
    /// [`hooks`](crate::hooks#what-is-watched).
    ///
    /// # Errors
    /// Returns the handle itself while there is no outcome. The inner error is that of the request.
    pub fn wait_deadline(mut self, at: Instant) -> Result<Result<R, X>, Self> {
        let core = self.pending().core();
        let until = core.deadline().map_or(at, |deadline| deadline.min(at));
        if let Err(cycle) = core.wait(Some(until)) {
            return Ok(self.take().leave(ExitReason::WouldDeadlock(cycle)));
        }
        let now = core.clock().now();
        self.get_until(until.max(now))
    }

    /// Returns the id of the request, for [`hooks`].
    ///
    /// # Panics
    /// Panics after a poll has returned `Ready`.
    #[must_use]
    pub fn id(&self) -> RequestId {
        self.pending().core().id()
    }

    /// Describes the wait for this reply to the watchers.
    pub(crate) fn awaited(&self) -> Wait {
        let core = self.pending().core();
        core.awaited(core.deadline(), !self.has_registered)
    }

    /// Ends the request, as its caller would wait for itself.
    pub(crate) fn would_deadlock(&mut self, cycle: Cycle) -> Result<R, X> {
        self.take().leave(ExitReason::WouldDeadlock(cycle))
    }

    /// Returns whether the outcome is there, so that waiting for it does not block.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|pending| pending.core().is_done())
    }

    /// Begins to wait after the task's waker was registered before the request was sent. Returns
    /// whether there is nothing to do until the task is woken.
    #[inline]
    pub(crate) fn sleeps(&mut self) -> bool {
        if let Some(pending) = &self.pending {
            let yields = &pending.core().shared().wait_policy.yields;
            yields.skip(&mut self.yield_state);
        }
        self.has_registered = true;
        // A request with a deadline first has to set the timer, or to register the task with the
        // timer that it has.
        !self.is_ready() && self.pending().core().deadline().is_none()
    }

    /// Makes the next poll register its waker at once, instead of yielding first.
    pub(crate) fn registers_at_once(&mut self) {
        self.yield_state = YieldState::Registered;
    }

    fn get_until(mut self, now: Instant) -> Result<Result<R, X>, Self> {
        let core = self.pending().core();
        if core.is_done() {
            Ok(self.take().settle())
        } else if core.deadline().is_some_and(|deadline| deadline <= now) {
            Ok(self.take().leave(ExitReason::TimedOut))
        } else {
            Err(self)
        }
    }

    #[inline]
    pub(crate) fn clock(&self) -> &Clock {
        self.pending().core().clock()
    }

    #[inline]
    fn pending(&self) -> &PendingRequest<R, E, X> {
        self.pending.as_ref().expect(POLLED_AGAIN)
    }

    #[inline]
    fn take(&mut self) -> PendingRequest<R, E, X> {
        self.timer = None;
        self.pending.take().expect(POLLED_AGAIN)
    }
}

impl<R, E, X> Unpin for WaitReply<R, E, X> {}

impl<R, E, X> Future for WaitReply<R, E, X> {
    type Output = Result<R, X>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.coop.begin(cx) {
            return Poll::Pending;
        }
        let polled = self.poll_without_budget(cx);
        self.coop.end(&polled);
        polled
    }
}

impl<R, E, X> WaitReply<R, E, X> {
    /// Polls without accounting for the task's budget. The calling future does that.
    #[inline]
    pub(crate) fn poll_without_budget(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, X>> {
        let this = self;
        let core = this.pending.as_ref().expect(POLLED_AGAIN).core();
        let yields = &core.shared().wait_policy.yields;
        if core.is_done() || core.is_answered_at_once() {
            yields.found(&mut this.yield_state);
            return Poll::Ready(this.take().settle());
        }
        // A request with a deadline does not yield, as nothing bounds the time for which other
        // tasks run.
        if core.deadline().is_none() && yields.should_yield(&mut this.yield_state) {
            request_repoll(cx.waker());
            return Poll::Pending;
        }
        let is_first = !this.has_registered;
        let wait = || core.awaited(core.deadline(), is_first);
        let exchanged = match hooks::polled(cx.waker(), wait) {
            Ok(exchanged) => exchanged,
            Err(cycle) => return Poll::Ready(this.take().leave(ExitReason::WouldDeadlock(cycle))),
        };
        this.has_registered = true;
        let waker = exchanged.as_ref().unwrap_or(cx.waker());
        if !core.sleep_as_task(waker) {
            return Poll::Ready(this.take().settle());
        }
        if let Some(deadline) = core.deadline() {
            if this.timer.is_none() {
                // The request was sent by a blocking call and is now awaited. If the system refuses
                // the timer thread, the request ends here, as nothing else would end it in time.
                this.timer = core.clock().timer(deadline).ok();
            }
            let timer = this.timer.as_mut();
            let mut cx = Context::from_waker(waker);
            if timer.is_none_or(|timer| timer.poll(&mut cx).is_ready()) {
                return Poll::Ready(this.take().leave(ExitReason::TimedOut));
            }
        }
        Poll::Pending
    }
}

impl<R, E, X> fmt::Debug for WaitReply<R, E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitReply")
            .field("ready", &self.is_ready())
            .finish_non_exhaustive()
    }
}
