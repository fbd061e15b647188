//! The selector of a loop, and what waits for it: the loop's own thread, or a runtime.

use std::{fmt, io, sync::Arc};

use super::{
    runtime::{Runtime, WatchedSelector},
    table::WAKER,
    wake::Signal,
};

/// What runs a loop that may have sockets.
pub(super) enum Host {
    /// A thread, which sleeps in the selector.
    Thread,
    /// A task of this runtime, and what wakes it.
    Task(Runtime, Arc<dyn Fn() + Send + Sync>),
}

/// The selector of a loop.
#[derive(Debug)]
pub(super) enum Selector {
    /// The loop sleeps in it.
    Own(mio::Poll),
    /// A runtime waits for its descriptor, and wakes the loop's task.
    Watched(WatchedSelector),
}

impl Selector {
    /// Creates the selector for a loop, with what ends the sleep of that loop.
    pub(super) fn new(host: &Host) -> io::Result<(Self, mio::Registry, LoopAlarm)> {
        let poll = mio::Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let (selector, alarm) = match host {
            Host::Thread => {
                let waker = mio::Waker::new(&registry, WAKER)?;
                (Self::Own(poll), LoopAlarm::Waker(waker))
            }
            Host::Task(runtime, wake) => {
                let watched = Self::Watched(runtime.watch(poll)?);
                (watched, LoopAlarm::Task(Arc::clone(wake)))
            }
        };
        Ok((selector, registry, alarm))
    }

    #[inline]
    pub(super) fn poll(&mut self) -> &mut mio::Poll {
        match self {
            Self::Own(poll) => poll,
            Self::Watched(watched) => watched.poll(),
        }
    }
}

/// Ends the sleep of a loop.
pub(super) enum LoopAlarm {
    /// Ends the sleep of a thread in its selector. One write to an `eventfd`.
    Waker(mio::Waker),
    /// Wakes a task.
    Task(Arc<dyn Fn() + Send + Sync>),
}

impl Signal for LoopAlarm {
    #[cold]
    fn signal(&self) {
        match self {
            // It fails only if the system has no memory for it. The loop then wakes at its next
            // timer.
            Self::Waker(waker) => drop(waker.wake()),
            Self::Task(wake) => wake(),
        }
    }
}

impl fmt::Debug for LoopAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waker(_) => "Waker",
            Self::Task(_) => "Task",
        })
    }
}
