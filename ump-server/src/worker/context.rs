//! The context that a handler is made with.

use std::fmt;

use ump::{Clock, WeakClient};

use crate::{net::Sockets, timer::Timers, worker::stop::Stopper};

/// The context that the factory of a handler gets.
///
/// Its client is weak, because a handler that keeps a strong client of its own loop keeps the loop
/// from ending when all other clients are gone.
pub struct Context<S, R, E, T = ()> {
    pub(crate) client: WeakClient<S, R, E>,
    pub(crate) timers: Timers<T>,
    pub(crate) clock: Clock,
    pub(crate) stopper: Stopper,
    pub(crate) worker: usize,
    pub(crate) restarts: u64,
    #[cfg_attr(
        not(all(feature = "net", unix, not(any(loom, shuttle)))),
        allow(dead_code, reason = "it has no use without sockets")
    )]
    pub(crate) sockets: Sockets,
}

impl<S, R, E, T> Context<S, R, E, T> {
    /// Returns a weak client of this loop.
    #[must_use]
    pub fn weak_client(&self) -> WeakClient<S, R, E> {
        self.client.clone()
    }

    /// Returns the handle that arms timers for the `on_timer` of this handler.
    ///
    /// Each worker of a pool has its own timers, and so has each handler. When the handler is gone,
    /// its armed timers are dropped, and its handle arms no further ones.
    #[must_use]
    pub fn timers(&self) -> Timers<T> {
        self.timers.clone()
    }

    /// Returns the handle that registers sockets for the `on_socket` of this handler. Requires the
    /// feature `net`.
    ///
    /// A loop on a task has sockets with the feature `tokio-net`, if its runtime has an IO driver.
    /// Otherwise the methods of the handle return errors that say so. A handler on a task can also
    /// await the sockets of its runtime, in its [`ready`](crate::task::Service::ready).
    #[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
    #[must_use]
    pub fn sockets(&self) -> Sockets {
        self.sockets.clone()
    }

    /// Returns the clock of this loop.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Returns the name of the loop.
    #[must_use]
    pub fn name(&self) -> &str {
        self.stopper.name()
    }

    /// Returns the handle that stops the loop. A handler can also end the loop by returning
    /// `Break`.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Returns the number of the handler's worker in its pool, from zero.
    #[must_use]
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Returns how often this worker's handler has been rebuilt, after failures and by renewals.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts
    }
}

impl<S, R, E, T> fmt::Debug for Context<S, R, E, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("name", &self.name())
            .field("worker", &self.worker)
            .field("restarts", &self.restarts)
            .finish_non_exhaustive()
    }
}
