//! The interface of a watcher.

use std::{any::Any, fmt, task::Waker, time::Instant};

use crate::{error::cycle::Cycle, hooks::wait::Wait, sync::WakerArc as Arc, time::clock::Clock};

/// Asked on a thread that it was [set](super::watch) for.
///
/// It is called outside of all locks of this crate. It must not block for a request itself: it
/// would be asked about that.
pub trait Watcher: Send + Sync {
    /// A caller is about to sleep. Called once for a wait, however often that is woken for nothing.
    ///
    /// # Errors
    /// The cycle in which the caller would wait for itself: its wait ends, and its request with it.
    fn before(&self, wait: &Wait) -> Result<(), Cycle>;

    /// The caller sleeps no more: the outcome is there, the deadline has passed, or its thread
    /// unwinds. Called once for each [`before`](Self::before) that let it sleep.
    fn after(&self, _wait: &Wait) {}

    /// A task is about to leave word with this waker, to be woken when the outcome is there. Called
    /// whenever it is polled for that: first before the request is sent (for the reply), and then
    /// again if that waits for room (for that).
    ///
    /// Word is left with the returned waker instead, if there is one: it has to wake the same task.
    /// The request keeps one clone of it, or two if it has a deadline; they are gone, woken or
    /// dropped, by the time when the request has an outcome, is cancelled, or has left word with
    /// another waker. So one who gives each request a waker of its own can tell by the clones which
    /// of them the task waits for. A request that waits for room has left word for the reply
    /// already, which cannot come before there is room: give the two waits wakers of their own.
    /// That for room is gone when the request is let in or given up.
    ///
    /// It is not told when the task stops waiting.
    ///
    /// # Errors
    /// The cycle in which the task would wait for itself: its wait ends, and its request with it.
    /// It is the watcher that has to be certain that the task waits for nothing else, by what it
    /// has learned from the polls before. A request that has not been sent is sent first, and asked
    /// about again.
    fn polled(&self, _wait: &Wait, _waker: &Waker) -> Result<Option<Waker>, Cycle> {
        Ok(None)
    }

    /// A task is about to sleep until an instant of this clock, which is moved by hand: because of
    /// a [`Sleep`](crate::Sleep) or of the deadline of something else. The clock keeps the returned
    /// value until the task does not sleep for that any more. So the clones say how many sleeps
    /// there are.
    fn sleeps(&self, _clock: &Clock) -> Option<Arc<()>> {
        None
    }

    /// A caller is about to sleep until any of these is over, at most [`MANY`] of them: the
    /// [`before`](Self::before) of a [`Gather`](crate::Gather).
    ///
    /// # Errors
    /// The cycle in which the caller would wait for itself: one of its requests ends.
    fn before_any(&self, waits: &[Wait]) -> Result<(), Cycle> {
        match waits {
            [wait] => self.before(wait),
            _ => Ok(()),
        }
    }

    /// The [`after`](Self::after) of [`before_any`](Self::before_any).
    fn after_any(&self, waits: &[Wait]) {
        if let [wait] = waits {
            self.after(wait);
        }
    }

    /// The [`polled`](Self::polled) of a [`Gather`](crate::Gather), which leaves word with one
    /// waker for all its requests, at most [`MANY`].
    ///
    /// # Errors
    /// The cycle in which the task would wait for itself: one of its requests ends.
    fn polled_any(&self, waits: &[Wait], waker: &Waker) -> Result<Option<Waker>, Cycle> {
        match waits {
            [wait] => self.polled(wait, waker),
            _ => Ok(None),
        }
    }

    /// [`Clock::block_on`](crate::Clock::block_on) is about to drive a future on this thread, which
    /// `unpark` wakes. It polls the future with the waker that is returned, which has to unpark the
    /// thread as well, and sets the returned watcher meanwhile. None: it does as it would have
    /// done.
    fn drives(&self, _unpark: &Waker) -> Option<Driven> {
        None
    }

    /// The future that the thread drives has returned `Pending`, and the thread is about to park,
    /// until `deadline` by this clock if there is one. Returns whether to poll the future at once
    /// instead. Asked of the watcher that [`drives`](Self::drives) has returned.
    fn parks(&self, _deadline: Option<Instant>, _clock: &Clock) -> bool {
        false
    }

    /// The thread that was let [park](Self::parks) goes on.
    fn unparks(&self) {}

    /// Itself, if a watcher that is set over this one is to know it.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }
}

/// So many requests of a [`Gather`](crate::Gather) are reported; if there are more, none is.
pub const MANY: usize = 1024;

/// What follows a future that a thread drives: see [`Watcher::drives`].
pub struct Driven {
    /// Set while the future is driven.
    pub watcher: Arc<dyn Watcher>,
    /// What the future is polled with.
    pub waker: Waker,
}

impl fmt::Debug for Driven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driven").finish_non_exhaustive()
    }
}
