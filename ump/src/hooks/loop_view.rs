//! What a loop asks of its server.

use std::{fmt, time::Instant};

use crate::{
    api::{receive::Received, server::Server},
    error::Error,
    hooks::wait::{RequestId, Wait},
};

/// A [`Server`], as a loop sees it: what only loops need, and what their watchers ask.
///
/// ```
/// use ump::hooks::LoopView;
///
/// let (server, client) = ump::channel::<u32, u32, ()>();
/// server.interrupt();
/// assert_eq!(LoopView::new(&server).interruptions(), 1);
/// # drop(client);
/// ```
pub struct LoopView<'a, S, R, E>(&'a Server<S, R, E>);

impl<'a, S, R, E> LoopView<'a, S, R, E> {
    /// Returns the view of a server.
    #[inline]
    #[must_use]
    pub fn new(server: &'a Server<S, R, E>) -> Self {
        Self(server)
    }

    /// Blocks until there is a request, the deadline passes (then there is none), or the server has
    /// been interrupted more often than `known`.
    ///
    /// It is [`Server::wait_until`] for workers that share a server: each passes the number of
    /// [interruptions](Self::interruptions) that it knew of before it looked at what they announce.
    /// No interruption is missed and none is used up, so each worker reacts to each, or to several
    /// at once.
    ///
    /// ```
    /// # use std::{sync::atomic::{AtomicBool, Ordering}, thread};
    /// use ump::hooks::LoopView;
    ///
    /// let (server, client) = ump::channel::<u32, u32, ()>();
    /// let refresh = AtomicBool::new(false);
    /// thread::scope(|scope| {
    ///     for _ in 0..2 {
    ///         scope.spawn(|| loop {
    ///             let view = LoopView::new(&server);
    ///             let known = view.interruptions(); // before it looks at what they announce
    ///             if refresh.load(Ordering::Relaxed) {
    ///                 break;
    ///             }
    ///             if let Some((n, rctx)) = view.wait_since(known, None).unwrap() {
    ///                 let _ = rctx.reply(n + 1);
    ///             }
    ///         });
    ///     }
    ///     assert_eq!(client.req(1), Ok(2));
    ///     refresh.store(true, Ordering::Relaxed);
    ///     server.interrupt();
    /// });
    /// ```
    ///
    /// # Errors
    /// [`Error::ClientsDisappeared`]: the queue is empty, and no client is left or the server was [closed](Server::close).
    #[inline]
    pub fn wait_since(
        &self,
        known: usize,
        deadline: Option<Instant>,
    ) -> Result<Option<Received<S, R, E>>, Error<E>> {
        self.0.wait_since(known, deadline)
    }

    /// Returns how often the server has been [interrupted](Server::interrupt). All that happened
    /// before an interruption that is counted is visible afterwards.
    #[inline]
    #[must_use]
    pub fn interruptions(&self) -> usize {
        self.0.interruptions()
    }

    /// Returns whether a request of this channel is in the queue: accepted, and neither taken, nor
    /// withdrawn, nor turned down.
    ///
    /// It searches the whole queue. The answer holds at some moment of the call. A request whose
    /// caller waits for the reply, and that is not found, does not come back into the queue.
    #[must_use]
    pub fn is_queued(&self, request: RequestId) -> bool {
        self.0.is_queued(request)
    }

    /// Returns the queued requests that may make room without this server, if the lane of a request
    /// that [waits for room](super::Goal::Room) is full.
    ///
    /// These are the requests with a deadline, and those whose callers can drop them. Posts, and
    /// callers that block without a deadline, stay until they are taken. It searches the whole
    /// queue.
    ///
    /// `None`: there is room, or the server is closed, so that the request waits no more; or there
    /// are more than 64 such requests.
    #[must_use]
    pub fn without_room(&self, wait: &Wait) -> Option<Vec<RequestId>> {
        self.0.without_room(wait)
    }
}

impl<S, R, E> Clone for LoopView<'_, S, R, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, R, E> Copy for LoopView<'_, S, R, E> {}

impl<S, R, E> fmt::Debug for LoopView<'_, S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoopView").field(self.0).finish()
    }
}
