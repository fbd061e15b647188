//! Room in the queue that is reserved for one request.

#![forbid(unsafe_code)]

use crate::{channel::Channel, options::Lane, sync::Arc};

/// Room in the queue that is reserved for one request. Dropping it gives the room back.
pub(crate) struct ReservedRoom<S, R, E> {
    /// `None` once the room is used.
    channel: Option<Arc<Channel<S, R, E>>>,
    lane: Lane,
}

impl<S, R, E> ReservedRoom<S, R, E> {
    /// Wraps room that the channel has just reserved.
    pub(crate) fn reserved(channel: &Arc<Channel<S, R, E>>, lane: Lane) -> Self {
        Self {
            channel: Some(Arc::clone(channel)),
            lane,
        }
    }

    pub(crate) fn lane(&self) -> Lane {
        self.lane
    }

    /// Marks the room as used by a request.
    pub(crate) fn spend(mut self) {
        self.channel = None;
    }
}

impl<S, R, E> Drop for ReservedRoom<S, R, E> {
    fn drop(&mut self) {
        if let Some(channel) = self.channel.take() {
            channel.give_back_room(self.lane);
        }
    }
}
