//! The duty to answer, lent to a handler.

use std::{fmt, time::Duration};

use ump::{Cancelled, Error};

use crate::deadlock::note_in_hand;

/// The duty to answer the request that a handler was called with.
///
/// It is what [`ump::ReplyContext`] is, but lent by the loop for the length of the call. So the loop knows at each moment whether this call
/// still owes an answer: when the handler panics the caller learns with which message, and who waits in a circle can be told so.
/// A handler that wants to answer later, or from elsewhere, takes it out with [`detach`](Self::detach).
///
/// Dropped without an answer, the caller gets [`NoReply`](ump::NoReply::Dropped) at once.
#[must_use = "dropped without an answer it fails the request"]
pub struct ReplyContext<'a, R, E>(&'a mut Option<ump::ReplyContext<R, E>>);

impl<'a, R, E> ReplyContext<'a, R, E> {
    /// Lends the duty for a call, which leaves in `owed` what it does not do.
    #[inline]
    pub(crate) fn lend(
        owed: &'a mut Option<ump::ReplyContext<R, E>>,
        rctx: ump::ReplyContext<R, E>,
    ) -> Self {
        *owed = Some(rctx);
        Self(owed)
    }

    /// Takes it out of the call: to keep it, send it to another thread or task, and answer there. It does not end with the loop.
    ///
    /// ```
    /// use std::{ops::ControlFlow, thread};
    /// use ump_server::{ReplyContext, thread::spawn};
    ///
    /// let (client, _) = spawn(|_| Ok::<_, ()>(|n: u64, rctx: ReplyContext<u64, ()>| {
    ///     let rctx = rctx.detach();
    ///     thread::spawn(move || rctx.reply(n * n)); // meanwhile the loop goes on
    ///     ControlFlow::<()>::Continue(())
    /// }))
    /// .unwrap();
    /// assert_eq!(client.req(12), Ok(144));
    /// ```
    #[inline]
    #[expect(
        clippy::missing_panics_doc,
        reason = "it is there until it is consumed"
    )]
    pub fn detach(self) -> ump::ReplyContext<R, E> {
        note_in_hand(None);
        self.0.take().expect("it is there until it is consumed")
    }

    /// Answers with a reply. To a post it does nothing more.
    ///
    /// # Errors
    /// [`Error::OriginDisappeared`]: the caller has left. [`answer`](Self::answer) gives the value back.
    #[inline]
    pub fn reply(self, data: R) -> Result<(), Error<E>> {
        self.detach().reply(data)
    }

    /// Refuses the request with the application's own error: the caller gets it as [`Error::App`].
    ///
    /// # Errors
    /// [`Error::OriginDisappeared`]: the caller has left. [`answer`](Self::answer) gives the value back.
    #[inline]
    pub fn fail(self, err: E) -> Result<(), Error<E>> {
        self.detach().fail(err)
    }

    /// Answers with a reply or with the application's own error.
    ///
    /// # Errors
    /// The caller has left: here is the answer back.
    #[inline]
    pub fn answer(self, answer: Result<R, E>) -> Result<(), Result<R, E>> {
        self.detach().answer(answer)
    }

    /// Whether the caller has left (cancelled, timed out) or its deadline has passed: then there is no point in going on. Never true for
    /// a post.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.owed().is_cancelled()
    }

    /// Resolves when [`is_cancelled`](Self::is_cancelled) becomes true; for a post or a caller that cannot leave, never. Made to be raced
    /// against the work.
    ///
    /// # Cancel safety
    /// It can be dropped and called again at any time.
    pub fn cancelled(&mut self) -> Cancelled<'_, R, E> {
        self.owed_mut().cancelled()
    }

    /// Blocks until [`is_cancelled`](Self::is_cancelled), or for so long; tells which it is.
    pub fn wait_cancelled(&mut self, timeout: Duration) -> bool {
        self.owed_mut().wait_cancelled(timeout)
    }

    /// When the caller stops waiting. For a post: when it had to be taken by.
    #[must_use]
    pub fn deadline(&self) -> Option<std::time::Instant> {
        self.owed().deadline()
    }

    /// Whether nobody waits for the answer, by intent.
    #[must_use]
    pub fn is_post(&self) -> bool {
        self.owed().is_post()
    }

    fn owed(&self) -> &ump::ReplyContext<R, E> {
        self.0.as_ref().expect("it is there until it is consumed")
    }

    fn owed_mut(&mut self) -> &mut ump::ReplyContext<R, E> {
        self.0.as_mut().expect("it is there until it is consumed")
    }
}

impl<R, E> Drop for ReplyContext<'_, R, E> {
    #[inline]
    fn drop(&mut self) {
        // While the handler unwinds it stays with the loop, which will know why.
        if self.0.is_some() && !std::thread::panicking() {
            note_in_hand(None);
            *self.0 = None;
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
