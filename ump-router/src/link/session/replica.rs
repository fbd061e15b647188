//! A change of a retained message.

use std::time::Instant;

use crate::{
    link::wire::{Codec, RetainedChange, Stamp},
    protocol::Bytes,
    topic::Topic,
};

/// A change of the retained message of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replica {
    /// The topic.
    pub topic: Topic,
    /// When it was made, and by which router. The newest one of a topic wins.
    pub stamp: Stamp,
    /// Whether the message is removed. Then there is no payload.
    pub removed: bool,
    /// Whether it is older than the link. Otherwise it was made just now.
    pub retained: bool,
    /// When the message expires.
    pub expires_at: Option<Instant>,
    /// How the payload is encoded.
    pub codec: Codec,
    /// The payload.
    pub payload: Bytes,
}

impl Replica {
    /// Creates a change that retains a message without a time to live. The receiver gives it a
    /// stamp.
    #[must_use]
    pub fn new(topic: Topic, codec: Codec, payload: Bytes) -> Self {
        Self {
            topic,
            stamp: Stamp::default(),
            removed: false,
            retained: false,
            expires_at: None,
            codec,
            payload,
        }
    }

    /// Creates a change that removes the message of a topic. The receiver gives it a stamp.
    #[must_use]
    pub fn removal(topic: Topic) -> Self {
        Self {
            removed: true,
            ..Self::new(topic, Codec::Raw, Bytes::from([]))
        }
    }

    pub(super) fn received(now: Instant, change: RetainedChange) -> Self {
        let RetainedChange {
            topic,
            stamp,
            removed,
            retained,
            remaining,
            codec,
            payload,
        } = change;
        Self {
            topic,
            stamp,
            removed,
            retained,
            // A time beyond the clock is none.
            expires_at: remaining.and_then(|remaining| now.checked_add(remaining)),
            codec,
            payload,
        }
    }

    /// Returns what is sent, with the time that is left now.
    pub(super) fn into_change(self, now: Instant) -> RetainedChange {
        RetainedChange {
            topic: self.topic,
            stamp: self.stamp,
            removed: self.removed,
            retained: self.retained,
            remaining: self
                .expires_at
                .map(|expires_at| expires_at.saturating_duration_since(now)),
            codec: self.codec,
            payload: self.payload,
        }
    }
}
