//! A server or a standby of a topic, as requests see it.

use std::{fmt, sync::Weak};

use super::Servers;
use crate::{
    claims::ClaimId,
    protocol::RequestMessage,
    serve::channel::{Channel, Closed},
    sync::{AtomicBool, Ordering},
    topic::Topic,
};

/// A server of a topic, or a standby.
pub(crate) struct Serving<P: RequestMessage> {
    pub(in crate::serve) id: ClaimId,
    pub(in crate::serve) topic: Topic,
    pub(in crate::serve) channel: Channel<P>,
    /// Keeps the waker registered that is woken when the server ends.
    _closed: Closed<P>,
    /// The table that it is in.
    pub(in crate::serve) servers: Weak<Servers<P>>,
    /// Written under the lock of the table, read without it.
    has_left: AtomicBool,
}

impl<P: RequestMessage> Serving<P> {
    pub(super) fn new(
        id: ClaimId,
        topic: Topic,
        channel: Channel<P>,
        closed: Closed<P>,
        servers: Weak<Servers<P>>,
    ) -> Self {
        Self {
            id,
            topic,
            channel,
            _closed: closed,
            servers,
            has_left: AtomicBool::new(false),
        }
    }

    /// Notes that its claim has ended.
    pub(super) fn mark_left(&self) {
        // ORDERING: relaxed; see `has_left`.
        self.has_left.store(true, Ordering::Relaxed);
    }

    /// Returns whether its claim has ended, for requests that found it before.
    pub(in crate::serve) fn has_left(&self) -> bool {
        // ORDERING: relaxed. It reads what `mark_left` stores, and no other memory is read because
        // of it: the table is looked up under its lock.
        self.has_left.load(Ordering::Relaxed)
    }
}

impl<P: RequestMessage> fmt::Debug for Serving<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
