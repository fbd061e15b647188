//! The interface of a watcher.

use std::{any::Any, fmt, task::Waker, time::Instant};

use crate::{error::cycle::Cycle, hooks::wait::Wait, sync::WakerArc as Arc, time::clock::Clock};

/// An observer of the waits of a thread for which it was [set](super::watch).
///
/// Its methods are called outside of all locks of this crate. They must not block for a request:
/// the watcher would be asked about that request.
pub trait Watcher: Send + Sync {
    /// Called when a caller is about to sleep. It is called once for each wait, however often the
    /// caller is woken without an outcome.
    ///
    /// # Errors
    /// Returns the cycle in which the caller would wait for itself. The wait then ends, and the
    /// request with it.
    fn before(&self, wait: &Wait) -> Result<(), Cycle>;

    /// Called when the caller sleeps no more: the outcome is there, the deadline has passed, or the
    /// thread unwinds. It is called once for each [`before`](Self::before) that let the caller
    /// sleep.
    fn after(&self, _wait: &Wait) {}

    /// Called when a task is about to register this waker, to be woken when the outcome is there.
    /// It is called on each such poll: first for the reply, before the request is sent, and then
    /// again for room, if the request waits for room.
    ///
    /// If a waker is returned, the task registers that waker instead; it has to wake the same task.
    /// The request keeps one clone of the waker, or two clones if it has a deadline. The clones are
    /// gone, woken or dropped, by the time when the request has an outcome, is cancelled, or has
    /// registered another waker. So a watcher that gives each request its own waker can count the
    /// outstanding clones to see which requests the task awaits.
    ///
    /// If a request waits for room, it has already registered a waker for the reply, which cannot
    /// come before there is room. So give each of the two waits its own waker. The waker for room
    /// is gone when the request is accepted or given up.
    ///
    /// The watcher is not notified when the task stops waiting.
    ///
    /// # Errors
    /// Returns the cycle in which the task would wait for itself. The wait then ends, and the
    /// request with it. The watcher has to be certain that the task waits for nothing else, from
    /// what it has learned in earlier polls. If the request has not been sent yet, it is sent
    /// first, and the watcher is asked about it again.
    fn polled(&self, _wait: &Wait, _waker: &Waker) -> Result<Option<Waker>, Cycle> {
        Ok(None)
    }

    /// Called when a task is about to sleep until an instant of this manual clock, because of a
    /// [`Sleep`](crate::Sleep) or of the deadline of something else. The clock keeps the returned
    /// value until the task does not sleep for that any more. So the number of clones is the number
    /// of sleeps.
    fn sleeps(&self, _clock: &Clock) -> Option<Arc<()>> {
        None
    }

    /// Called when a caller is about to sleep until any of these waits is over, at most [`MANY`] of
    /// them. This is the [`before`](Self::before) of a [`Gather`](crate::Gather).
    ///
    /// # Errors
    /// Returns the cycle in which the caller would wait for itself. One of the requests then ends.
    fn before_any(&self, waits: &[Wait]) -> Result<(), Cycle> {
        match waits {
            [wait] => self.before(wait),
            _ => Ok(()),
        }
    }

    /// Called when the caller of [`before_any`](Self::before_any) sleeps no more. This is the
    /// [`after`](Self::after) of a [`Gather`](crate::Gather).
    fn after_any(&self, waits: &[Wait]) {
        if let [wait] = waits {
            self.after(wait);
        }
    }

    /// Called when a task is about to register one waker for all requests of a
    /// [`Gather`](crate::Gather), at most [`MANY`] of them. This is the [`polled`](Self::polled) of
    /// a [`Gather`](crate::Gather).
    ///
    /// # Errors
    /// Returns the cycle in which the task would wait for itself. One of the requests then ends.
    fn polled_any(&self, waits: &[Wait], waker: &Waker) -> Result<Option<Waker>, Cycle> {
        match waits {
            [wait] => self.polled(wait, waker),
            _ => Ok(None),
        }
    }

    /// Called when [`Clock::block_on`](crate::Clock::block_on) is about to drive a future on this
    /// thread, which `unpark` wakes. The thread polls the future with the returned waker, which has
    /// to unpark the thread as well, and sets the returned watcher meanwhile. If `None` is
    /// returned, the thread drives the future without these.
    fn drives(&self, _unpark: &Waker) -> Option<Driven> {
        None
    }

    /// Called when the driven future has returned `Pending` and the thread is about to park, until
    /// `deadline` by this clock if there is one. Returns whether to poll the future at once
    /// instead. The thread calls this on the watcher that [`drives`](Self::drives) has returned.
    fn parks(&self, _deadline: Option<Instant>, _clock: &Clock) -> bool {
        false
    }

    /// Called when a thread goes on that was allowed to [park](Self::parks).
    fn unparks(&self) {}

    /// Returns itself, if a watcher that is set over this one is to know it.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }
}

/// The maximum number of requests of a [`Gather`](crate::Gather) that are reported. If there are
/// more, none is reported.
pub const MANY: usize = 1024;

/// The watcher and the waker of a future that a thread drives: see [`Watcher::drives`].
pub struct Driven {
    /// The watcher that is set while the future is driven.
    pub watcher: Arc<dyn Watcher>,
    /// The waker with which the future is polled.
    pub waker: Waker,
}

impl fmt::Debug for Driven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driven").finish_non_exhaustive()
    }
}
