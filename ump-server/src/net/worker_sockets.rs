//! The sockets of a worker, as the worker holds them.

use std::{fmt, sync::Arc};

use super::{Sockets, poller::Poller, reactor::Reactor};

/// The sockets of a worker. Dropping it ends them.
pub(crate) struct WorkerSockets {
    reactor: Arc<Reactor>,
    poller: Option<Box<Poller>>,
}

impl WorkerSockets {
    pub(crate) fn new(reactor: Arc<Reactor>) -> Self {
        Self {
            reactor,
            poller: None,
        }
    }

    /// Returns whether the loop waits in its selector. One load of an atomic.
    #[inline]
    pub(crate) fn are_used(&self) -> bool {
        self.reactor.is_active()
    }

    /// Returns the loop's part. There is one if the sockets [are used](Self::are_used).
    #[inline]
    pub(crate) fn poller(&mut self) -> Option<&mut Poller> {
        if self.poller.is_none() {
            self.begin_polling();
        }
        self.poller.as_deref_mut()
    }

    #[cold]
    fn begin_polling(&mut self) {
        self.poller = Poller::new(&self.reactor).map(Box::new);
    }

    /// Ends the sockets of the handler. Returns the handle of the next handler.
    pub(crate) fn begin_handler(&self) -> Sockets {
        self.reactor.end_handler();
        Sockets::new(&self.reactor)
    }
}

impl Drop for WorkerSockets {
    fn drop(&mut self) {
        self.reactor.close();
    }
}

impl fmt::Debug for WorkerSockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WorkerSockets").field(&self.reactor).finish()
    }
}
