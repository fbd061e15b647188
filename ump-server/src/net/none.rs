//! The stand-in for sockets without the feature `net`, outside of unix, and in models.

use std::{fmt, sync::Arc};

use ump::Clock;

/// Wakes a loop that has no sockets.
pub(crate) struct Reactor {
    interrupt: Box<dyn Fn() + Send + Sync>,
}

impl Reactor {
    pub(crate) fn new(
        _: &Arc<str>,
        _: usize,
        _: &Clock,
        interrupt: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            interrupt: Box::new(interrupt),
        })
    }

    #[allow(clippy::unused_self, reason = "as that of the other one")]
    pub(crate) fn attach_thread(&self) {}

    pub(crate) fn wake(&self) {
        (self.interrupt)();
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").finish_non_exhaustive()
    }
}

/// The sockets of a worker, which has none. It keeps the reactor alive, of which the callbacks that
/// wake the loop have weak references.
#[derive(Debug)]
pub(crate) struct WorkerSockets(#[expect(dead_code, reason = "it is only kept")] Arc<Reactor>);

/// The handle that registers no sockets.
#[derive(Debug)]
pub(crate) struct Sockets;

#[allow(clippy::unused_self, reason = "as those of the other one")]
impl WorkerSockets {
    pub(crate) fn new(reactor: Arc<Reactor>) -> Self {
        Self(reactor)
    }

    #[inline]
    pub(crate) fn are_used(&self) -> bool {
        false
    }

    pub(crate) fn begin_handler(&self) -> Sockets {
        Sockets
    }
}
