//! The messages of this process for others.

use std::{
    collections::HashSet,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use super::types::Types;
use crate::{
    link::{
        sockets::{
            carried::{self, Carried, CarriedMessages},
            names::of_type,
        },
        wire::Codec,
    },
    protocol::Bytes,
    router::Router,
    topic::{Pattern, full_name::full_name},
};

/// The messages of this process that subscriptions of other processes want. From
/// [`Bridge::outbox`](super::Bridge::outbox).
///
/// The subscriptions are one for each type, in the eyes of publishers. Its queue has room for 4,096
/// messages of each type; when it is full, the oldest are lost ([`Outgoing::Missed`]). When the
/// subscriptions change, what is queued comes first.
pub struct Outbox {
    name: Arc<str>,
    types: Types,
    patterns: HashSet<Pattern>,
    /// One for each type.
    queues: Vec<Queue>,
    /// The queue that is polled first.
    first: usize,
}

struct Queue {
    messages: Arc<dyn CarriedMessages>,
    outbox: Option<Box<dyn carried::Outbox>>,
    /// The subscriptions have changed.
    is_stale: bool,
}

/// What comes out of an [`Outbox`]. Names are full.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outgoing {
    /// A message.
    Message {
        /// The topic, or the pattern if the message was published on one.
        topic: Pattern,
        /// The codec of the payload.
        codec: Codec,
        /// The encoded message.
        payload: Bytes,
    },
    /// So many messages are missing here: there was no room for them, or they could not be encoded.
    Missed {
        /// The topics on which they may have been.
        within: Pattern,
        /// How many.
        count: u64,
    },
}

impl Outbox {
    pub(super) fn new(router: &Router, name: &Arc<str>) -> Self {
        Self {
            name: Arc::clone(name),
            types: Types::new(router),
            patterns: HashSet::new(),
            queues: Vec::new(),
            first: 0,
        }
    }

    /// Adds a pattern of other processes, by its full name. It takes effect when the outbox is
    /// [polled](Self::poll_next) next. Returns whether it is new.
    pub fn add(&mut self, pattern: Pattern) -> bool {
        self.mark_stale(&pattern);
        self.patterns.insert(pattern)
    }

    /// Removes a pattern, likewise. Returns whether it was there.
    pub fn remove(&mut self, pattern: &Pattern) -> bool {
        self.mark_stale(pattern);
        self.patterns.remove(pattern)
    }

    /// Returns the next message.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Outgoing> {
        self.carry(cx);
        self.refresh();
        for nth in 0..self.queues.len() {
            let at = (self.first + nth) % self.queues.len();
            let queue = &mut self.queues[at];
            let Some(outbox) = &mut queue.outbox else {
                continue;
            };
            if let Poll::Ready(Some(item)) = outbox.poll_next(cx) {
                // Each type has its turn.
                self.first = at + 1;
                return Poll::Ready(outgoing(queue.messages.prefix(), item));
            }
        }
        Poll::Pending
    }

    fn mark_stale(&mut self, pattern: &Pattern) {
        for queue in &mut self.queues {
            queue.is_stale |= of_type(queue.messages.prefix(), pattern).is_some();
        }
    }

    fn carry(&mut self, cx: &mut Context<'_>) {
        for carried in self.types.poll_new(cx) {
            if let Carried::Messages(messages) = carried {
                self.queues.push(Queue {
                    messages,
                    outbox: None,
                    is_stale: true,
                });
            }
        }
    }

    fn refresh(&mut self) {
        for queue in &mut self.queues {
            if !std::mem::take(&mut queue.is_stale) {
                continue;
            }
            let Queue {
                messages, outbox, ..
            } = queue;
            let own = self.patterns.iter();
            let own = own.filter_map(|full| of_type(messages.prefix(), full));
            let own: HashSet<_> = own.collect();
            if own.is_empty() && outbox.is_none() {
                continue;
            }
            let outbox = outbox.get_or_insert_with(|| messages.outbox(&self.name));
            // An error if the router was closed.
            let _ = outbox.set_patterns(own.into_iter().collect());
        }
    }
}

fn outgoing(prefix: &str, item: carried::Outgoing) -> Outgoing {
    match item {
        carried::Outgoing::Message {
            topic,
            codec,
            payload,
            ..
        } => Outgoing::Message {
            topic: full_name(prefix, &topic),
            codec,
            payload,
        },
        carried::Outgoing::Malformed { topic } => Outgoing::Missed {
            within: full_name(prefix, &topic),
            count: 1,
        },
        carried::Outgoing::Missed(count) => {
            let all = "**".parse::<Pattern>().expect("a pattern");
            Outgoing::Missed {
                within: full_name(prefix, &all),
                count,
            }
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("patterns", &self.patterns)
            .finish_non_exhaustive()
    }
}
