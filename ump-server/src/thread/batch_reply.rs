//! The reply context of a request in a batch, whose answer is held until the batch is done.

use std::{fmt, ops::Deref, time::Duration};

use ump::{Cancelled, ReplyContext as OwnedReplyContext};

use crate::catch::catch_user_panic;

/// A request that was handled, or is being handled if it is the last one.
pub(super) struct Handled<R, E> {
    context: OwnedReplyContext<R, E>,
    /// Not present while the request is being handled, or if it is to end without a reply.
    answer: Option<Result<R, E>>,
}

/// The reply context of a request in a batch, from
/// [`Batch::answer_each`](super::Batch::answer_each). It holds its answer until
/// [`BatchService::handle`](super::BatchService::handle) has returned.
///
/// It derefs to the [`ump::ReplyContext`], which knows the caller and its deadline.
///
/// If it is dropped without an answer, the caller gets [`NoReply`](ump::NoReply::Dropped) at once.
#[must_use = "a context that is dropped without an answer fails the request"]
pub struct BatchReply<'a, R, E>(
    /// The last one is that of this request, until it is answered or detached. All others have an
    /// answer (except those whose `BatchReply` was leaked).
    &'a mut Vec<Handled<R, E>>,
);

impl<R, E> Handled<R, E> {
    /// Replaces a reply by the error that is made of it.
    pub(super) fn fail_reply(&mut self, error: impl FnOnce(R) -> Option<E>) {
        if let Some(Ok(_)) = self.answer {
            let reply = self.answer.take().and_then(Result::ok);
            self.answer = reply.and_then(error).map(Err);
        }
    }

    /// Ends the request.
    pub(super) fn send(self) {
        let Some(answer) = self.answer else {
            return;
        };
        if let Err(unwanted) = self.context.answer(answer) {
            // The drop of an answer is user code, and no fault of the handler.
            catch_user_panic(|| drop(unwanted));
        }
    }

    /// Returns the reply context, without the answer.
    pub(super) fn into_owed(self) -> OwnedReplyContext<R, E> {
        catch_user_panic(|| drop(self.answer));
        self.context
    }
}

impl<'a, R, E> BatchReply<'a, R, E> {
    pub(super) fn new(
        handled: &'a mut Vec<Handled<R, E>>,
        context: OwnedReplyContext<R, E>,
    ) -> Self {
        handled.push(Handled {
            context,
            answer: None,
        });
        Self(handled)
    }

    /// Holds this reply. A post needs none.
    pub fn reply(self, reply: R) {
        self.answer(Ok(reply));
    }

    /// Holds this error, with which the request is refused.
    pub fn fail(self, error: E) {
        self.answer(Err(error));
    }

    /// Holds this answer.
    pub fn answer(mut self, answer: Result<R, E>) {
        self.own_mut().answer = Some(answer);
    }

    /// Takes the reply context out of the batch, to answer later or elsewhere. It is not held: its
    /// answer is sent at once.
    pub fn detach(mut self) -> OwnedReplyContext<R, E> {
        self.take().context
    }

    /// Waits until the caller has left. See [`ump::ReplyContext::cancelled`].
    ///
    /// # Cancel safety
    /// The future can be dropped, and the method called again, at any time.
    pub fn cancelled(&mut self) -> Cancelled<'_, R, E> {
        self.own_mut().context.cancelled()
    }

    /// Blocks until the caller has left, at most for `timeout`. Returns whether it has. See
    /// [`ump::ReplyContext::wait_cancelled`].
    pub fn wait_cancelled(&mut self, timeout: Duration) -> bool {
        self.own_mut().context.wait_cancelled(timeout)
    }

    fn own_mut(&mut self) -> &mut Handled<R, E> {
        self.0.last_mut().expect(THERE)
    }

    fn take(&mut self) -> Handled<R, E> {
        self.0.pop().expect(THERE)
    }
}

const THERE: &str = "the context is in the batch until it is consumed";

impl<R, E> Deref for BatchReply<'_, R, E> {
    type Target = OwnedReplyContext<R, E>;

    fn deref(&self) -> &Self::Target {
        &self.0.last().expect(THERE).context
    }
}

impl<R, E> Drop for BatchReply<'_, R, E> {
    fn drop(&mut self) {
        // While the handler unwinds, the reply context stays in the batch, and the loop ends the
        // request with the panic's message.
        let is_owed = self.0.last().is_some_and(|last| last.answer.is_none());
        if is_owed && !std::thread::panicking() {
            self.0.pop();
        }
    }
}

impl<R, E> fmt::Debug for BatchReply<'_, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BatchReply").field(&**self).finish()
    }
}
