//! The view that a loop has of its server.

use std::{fmt, time::Instant};

use crate::{
    api::{receive::Received, server::Server},
    error::Error,
    hooks::wait::{RequestId, Wait},
};

pub use crate::api::loop_requests::LoopRequests;

/// A view of a [`Server`], with the methods that only loops and their watchers need.
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
    /// Creates the view of a server.
    #[inline]
    #[must_use]
    pub fn new(server: &'a Server<S, R, E>) -> Self {
        Self(server)
    }

    /// Blocks until there is a request and takes it. Returns `Ok(None)` if the deadline passes
    /// first, or if the server has been interrupted more often than `known`.
    ///
    /// It is [`Server::wait_until`] for workers that share a server. Each worker passes the number
    /// of [interruptions](Self::interruptions) that it read before it checked what they announce.
    /// No interruption is missed and none is used up, so each worker reacts to each interruption,
    /// or to several at once.
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
    /// Returns [`Error::ClientsDisappeared`] if the queue is empty, and no client is left or the
    /// server was [closed](Server::close).
    #[inline]
    pub fn wait_since(
        &self,
        known: usize,
        deadline: Option<Instant>,
    ) -> Result<Option<Received<S, R, E>>, Error<E>> {
        self.0.wait_since(known, deadline)
    }

    /// Returns the place of a loop that waits for other events as well, and so sleeps by its own
    /// means.
    #[must_use]
    pub fn requests(&self) -> LoopRequests<'a, S, R, E> {
        self.0.loop_requests()
    }

    /// Returns how often the server has been [interrupted](Server::interrupt). Everything that
    /// happened before a counted interruption is visible after this call.
    #[inline]
    #[must_use]
    pub fn interruptions(&self) -> usize {
        self.0.interruptions()
    }

    /// Returns whether a request of this channel is in the queue: it was accepted, and it was
    /// neither taken, nor withdrawn, nor turned down.
    ///
    /// This searches the whole queue. The answer is true of some moment of the call. If the caller
    /// of a request waits for the reply, and the request is not found, it does not come back into
    /// the queue.
    #[must_use]
    pub fn is_queued(&self, request: RequestId) -> bool {
        self.0.is_queued(request)
    }

    /// Returns the queued requests that may leave the queue without this server, if the lane of a
    /// request that [waits for room](super::Goal::Room) is full.
    ///
    /// These are the requests with a deadline, and those whose callers can drop them. Without a
    /// deadline, posts and the requests of blocking callers stay until they are taken. This
    /// searches the whole queue.
    ///
    /// Returns `None` if there is room, if a [`Permit`](crate::Permit) of that lane may give its
    /// room back, if the server is closed, so that the request waits no more, or if there are more
    /// than 64 such requests.
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
