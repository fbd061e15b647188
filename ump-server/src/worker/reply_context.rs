//! The reply context of a handler's call, which the loop lends.

use std::{fmt, panic::Location, sync::Arc, time::Duration};

use ump::{Cancelled, Error};

use crate::{deadlock::WaitNode, observe::CallOutcome};

/// The reply context of a handler's call: an [`ump::ReplyContext`] that the loop lends for the
/// call.
///
/// It differs from [`ump::ReplyContext`] in that the loop knows whether the call still owes a
/// reply. So when the handler panics, the caller gets the panic's message, and a cycle of waiting
/// handlers is found. [`detach`](Self::detach) takes the owned one out, to reply later or from
/// elsewhere.
///
/// A handler also has to detach the context if it lends it to a scoped thread and meanwhile blocks
/// for another request: the loop assumes that a lent context is with the call.
///
/// If it is dropped without an answer, the caller gets [`NoReply`](ump::NoReply::Dropped) at once.
#[must_use = "a context that is dropped without an answer fails the request"]
pub struct ReplyContext<'a, R, E>(&'a mut PendingReply<R, E>);

/// The reply that a call owes, and how the call ended. It is kept outside of the code whose panics
/// are caught, so that it survives a panic.
pub(crate) struct PendingReply<R, E> {
    duty: Option<ump::ReplyContext<R, E>>,
    outcome: CallOutcome,
    /// Records whether the call still owes a reply.
    wait_node: Arc<WaitNode>,
}

impl<R, E> PendingReply<R, E> {
    /// Returns an empty `PendingReply`, for the worker with this wait node.
    pub(crate) fn none(wait_node: &Arc<WaitNode>) -> Self {
        Self {
            duty: None,
            outcome: CallOutcome::NoReply,
            wait_node: Arc::clone(wait_node),
        }
    }

    /// Returns how the call ended. Called when it has returned.
    #[inline]
    pub(crate) fn settle(&mut self) -> CallOutcome {
        if self.duty.is_some() {
            // The call has leaked its reply context: without this, the reply would be owed for
            // ever.
            self.wait_node.clear_in_hand();
            self.duty = None;
        }
        self.outcome
    }

    /// Returns the reply context that the call still owes.
    pub(crate) fn into_duty(self) -> Option<ump::ReplyContext<R, E>> {
        self.wait_node.clear_in_hand();
        self.duty
    }
}

impl<'a, R, E> ReplyContext<'a, R, E> {
    /// Lends a reply context for a call. What the call does not answer stays in `owed`.
    #[inline]
    pub(crate) fn lend(owed: &'a mut PendingReply<R, E>, rctx: ump::ReplyContext<R, E>) -> Self {
        owed.wait_node.set_in_hand(rctx.id());
        owed.duty = Some(rctx);
        owed.outcome = CallOutcome::NoReply;
        Self(owed)
    }

    /// Ends the request by `act`, and records the outcome.
    #[inline]
    fn acquit<T, X>(
        mut self,
        outcome: CallOutcome,
        act: impl FnOnce(ump::ReplyContext<R, E>) -> Result<T, X>,
    ) -> Result<T, X> {
        let result = act(self.take());
        self.0.outcome = match result {
            Ok(_) => outcome,
            Err(_) => CallOutcome::CallerGone,
        };
        result
    }

    /// Takes the reply context out of the call, to keep it, or to send it to another thread or task
    /// and answer there. The detached context does not end with the loop.
    ///
    /// ```
    /// use std::{ops::ControlFlow, thread};
    /// use ump_server::{ReplyContext, thread::serve};
    ///
    /// let (client, _) = serve(|n: u64, rctx: ReplyContext<u64, ()>| {
    ///     let rctx = rctx.detach();
    ///     thread::spawn(move || rctx.reply(n * n)); // meanwhile the loop goes on
    ///     ControlFlow::<()>::Continue(())
    /// });
    /// assert_eq!(client.req(12), Ok(144));
    /// ```
    #[inline]
    pub fn detach(mut self) -> ump::ReplyContext<R, E> {
        self.0.outcome = CallOutcome::Detached;
        self.take()
    }

    /// Answers with a reply. For a post it does nothing more.
    ///
    /// # Errors
    /// [`Error::OriginDisappeared`] if the caller has left. [`answer`](Self::answer) returns the
    /// value in that case.
    #[inline]
    pub fn reply(self, data: R) -> Result<(), Error<E>> {
        self.acquit(CallOutcome::Replied, |duty| duty.reply(data))
    }

    /// Refuses the request with the application's own error: the caller gets it as [`Error::App`].
    ///
    /// # Errors
    /// [`Error::OriginDisappeared`] if the caller has left. [`answer`](Self::answer) returns the
    /// value in that case.
    #[inline]
    pub fn fail(self, err: E) -> Result<(), Error<E>> {
        self.acquit(CallOutcome::Failed, |duty| duty.fail(err))
    }

    /// Answers with a reply or with the application's own error.
    ///
    /// # Errors
    /// Returns the answer if the caller has left.
    #[inline]
    pub fn answer(self, answer: Result<R, E>) -> Result<(), Result<R, E>> {
        let outcome = match answer {
            Ok(_) => CallOutcome::Replied,
            Err(_) => CallOutcome::Failed,
        };
        self.acquit(outcome, |duty| duty.answer(answer))
    }

    /// Returns whether the caller has left (cancelled or timed out) or its deadline has passed. The
    /// handler can then give up the work. Never true for a post.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.owed().is_cancelled()
    }

    /// Waits until [`is_cancelled`](Self::is_cancelled) becomes true. For a post, or for a caller
    /// that cannot leave, it never resolves. A handler can race it against its work.
    ///
    /// # Cancel safety
    /// The future can be dropped, and the method called again, at any time.
    pub fn cancelled(&mut self) -> Cancelled<'_, R, E> {
        self.owed_mut().cancelled()
    }

    /// Blocks until [`is_cancelled`](Self::is_cancelled) becomes true, at most for `timeout`.
    /// Returns whether it is true.
    pub fn wait_cancelled(&mut self, timeout: Duration) -> bool {
        self.owed_mut().wait_cancelled(timeout)
    }

    /// Returns the instant at which the caller stops waiting, or `None` if it waits without a
    /// limit. For a post it is the instant by which the post had to be taken.
    #[must_use]
    pub fn deadline(&self) -> Option<std::time::Instant> {
        self.owed().deadline()
    }

    /// Returns whether the request is a post: its sender does not wait for an answer.
    #[must_use]
    pub fn is_post(&self) -> bool {
        self.owed().is_post()
    }

    /// Returns the place where the request was made. See [`ump::ReplyContext::caller`].
    #[must_use]
    pub fn caller(&self) -> &'static Location<'static> {
        self.owed().caller()
    }

    pub(crate) fn owed(&self) -> &ump::ReplyContext<R, E> {
        self.0.duty.as_ref().expect(THERE)
    }

    fn owed_mut(&mut self) -> &mut ump::ReplyContext<R, E> {
        self.0.duty.as_mut().expect(THERE)
    }
}

impl<R, E> ReplyContext<'_, R, E> {
    #[inline]
    fn take(&mut self) -> ump::ReplyContext<R, E> {
        self.0.wait_node.clear_in_hand();
        self.0.duty.take().expect(THERE)
    }

    /// Drops the reply context, and records the outcome. A post needs no reply.
    fn let_go(&mut self) {
        self.0.outcome = match &self.0.duty {
            Some(duty) if duty.is_post() => CallOutcome::Replied,
            Some(duty) if duty.is_cancelled() => CallOutcome::CallerGone,
            _ => CallOutcome::NoReply,
        };
        self.0.wait_node.clear_in_hand();
        self.0.duty = None;
    }
}

const THERE: &str = "the reply is owed until the context is consumed";

impl<R, E> Drop for ReplyContext<'_, R, E> {
    #[inline]
    fn drop(&mut self) {
        // While the handler unwinds, the reply context stays with the loop, which ends the request
        // with the panic's message.
        if self.0.duty.is_some() && !std::thread::panicking() {
            self.let_go();
        }
    }
}

impl<R, E> From<ReplyContext<'_, R, E>> for ump::ReplyContext<R, E> {
    fn from(lent: ReplyContext<'_, R, E>) -> Self {
        lent.detach()
    }
}

impl<R, E> fmt::Debug for ReplyContext<'_, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplyContext").field(self.owed()).finish()
    }
}
