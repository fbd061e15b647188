//! What a handler is made with.

use std::fmt;

use ump::{Clock, WeakClient};

use crate::{timer::Timers, worker::stop::Stopper};

/// What the factory of a handler is given.
///
/// Its client is weak: a handler that kept a strong one would keep its own loop from ending when
/// all other clients are gone.
pub struct Context<S, R, E, T = ()> {
    pub(crate) client: WeakClient<S, R, E>,
    pub(crate) timers: Timers<T>,
    pub(crate) clock: Clock,
    pub(crate) stopper: Stopper,
    pub(crate) worker: usize,
    pub(crate) restarts: u64,
}

impl<S, R, E, T> Context<S, R, E, T> {
    /// A client of this loop.
    #[must_use]
    pub fn weak_client(&self) -> WeakClient<S, R, E> {
        self.client.clone()
    }

    /// What arms timers that end in the `on_timer` of this handler. Each worker of a pool has its
    /// own, and so has the next handler: when this one is gone, whatever it has armed is dropped,
    /// and nothing more can be armed with its handle.
    #[must_use]
    pub fn timers(&self) -> Timers<T> {
        self.timers.clone()
    }

    /// What time it is for this loop.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The name of the loop.
    #[must_use]
    pub fn name(&self) -> &str {
        self.stopper.name()
    }

    /// What stops the loop. A handler can also end it by breaking off.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Which worker of a pool the handler is for, from zero.
    #[must_use]
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// How often this worker's handler has been made anew, by failures and by renewals.
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
