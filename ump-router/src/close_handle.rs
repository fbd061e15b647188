//! Ends a subscription or a claim from outside.

use std::{fmt, sync::Arc};

/// Ends a subscription or a claim from outside: from another thread or task, while its owner waits.
/// From [`Subscription::close_handle`](crate::Subscription::close_handle),
/// [`Claim::close_handle`](crate::Claim::close_handle) and
/// [`Server::close_handle`](crate::Server::close_handle).
///
/// Clones end the same one. A handle keeps nothing alive, and dropping it ends nothing. Handles of
/// all types of messages are the same type, so that one list can hold all that a program has to
/// end.
///
/// ```
/// # use std::thread;
/// # use ump_router::{Bytes, RecvError, Router};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router = Router::new();
/// let mut log = router.subscribe::<Bytes>("**")?;
/// let end = log.close_handle();
/// let writer = thread::spawn(move || {
///     let mut lines = 0;
///     for line in &mut log { // blocks for each
///         lines += usize::from(line.is_ok());
///     }
///     lines
/// });
/// router.publish("a", Bytes::from(*b"line")).wait()?;
/// end.close(); // the writer gets the queued line, then its end
/// assert_eq!(writer.join().unwrap(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CloseHandle(Arc<dyn Close>);

/// The end-point that a handle ends.
pub(crate) trait Close: Send + Sync {
    /// Ends it, unless it has ended.
    fn close(&self);

    fn is_closed(&self) -> bool;
}

impl CloseHandle {
    pub(crate) fn new(target: impl Close + 'static) -> Self {
        Self(Arc::new(target))
    }

    /// Ends the subscription or the claim. It never waits; it has no effect on what has ended.
    ///
    /// - A **subscription** gets no message that is published after this has returned. Its owner
    ///   receives the queued messages, then
    ///   [`RecvError::Unsubscribed`](crate::RecvError::Unsubscribed); an iterator or a stream ends.
    ///   Publishers that wait for its room go on. Other subscriptions are not affected. In a
    ///   [group](crate::Router::subscribe_shared) the other members receive the queued messages.
    /// - The topic of a **claim** goes to the first standby, if there is one. The server keeps the
    ///   requests in its queue. A [`Server`](crate::Server) ends when it has served them; the
    ///   server of a claim from [`Router::serve_by`](crate::Router::serve_by) can have other
    ///   clients.
    ///
    /// All that happened before this call happens before the owner gets its end.
    pub fn close(&self) {
        self.0.close();
    }

    /// Returns whether the subscription or the claim has ended, in whichever way. A subscription
    /// that has ended can have messages in its queue.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl fmt::Debug for CloseHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloseHandle")
            .field("is_closed", &self.is_closed())
            .finish()
    }
}
