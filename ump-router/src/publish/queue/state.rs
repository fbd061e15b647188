//! The entries of a queue and the gaps between them: what its lock protects.

use std::{collections::VecDeque, fmt, task::Waker};

use super::{
    End, QueueCounters,
    entry::Entry,
    topic_positions::TopicPositions,
    wait_queue::{WaitQueue, WaiterKey},
};
use crate::publish::{deferred::Deferred, received::Received, recv_error::RecvError};

pub(super) struct State<M> {
    pub(super) entries: VecDeque<Entry<M>>,
    /// Publishers that wait for room.
    pub(super) waiters: WaitQueue<M>,
    /// How many messages are missing after the last entry and the last waiter.
    pub(super) missed: u64,
    /// Present if only the latest message of each topic is kept.
    pub(super) positions: Option<Box<TopicPositions>>,
    /// The waker of the subscriber, while it sleeps.
    pub(super) subscriber: Option<Waker>,
    pub(super) end: Option<End>,
    pub(super) counters: QueueCounters,
}

impl<M> State<M> {
    pub(super) fn new(keeps_latest: bool) -> Self {
        Self {
            entries: VecDeque::new(),
            waiters: WaitQueue::new(),
            missed: 0,
            positions: keeps_latest.then(Box::default),
            subscriber: None,
            end: None,
            counters: QueueCounters::default(),
        }
    }

    /// Whether a subscriber has something to receive: a message, a gap or the end.
    pub(super) fn is_ready(&self) -> bool {
        !self.entries.is_empty() || self.missed > 0 || self.end.is_some()
    }

    /// Notes that the newest message is missed.
    pub(super) fn miss_newest(&mut self) {
        self.missed += 1;
        self.counters.missed += 1;
    }

    pub(super) fn append(&mut self, message: Received<M>) {
        if let Some(positions) = &mut self.positions {
            positions.insert(&message, self.entries.len());
        }
        let entry = self.entry(message);
        self.push_back(entry);
    }

    pub(super) fn wait(&mut self, message: Received<M>) -> WaiterKey {
        let entry = self.entry(message);
        self.waiters.push(entry)
    }

    /// Gives the room that was made to the first waiter. Its publisher is to be woken.
    pub(super) fn admit_first(&mut self) -> Option<Waker> {
        let (entry, publisher) = self.waiters.admit_first()?;
        self.push_back(entry);
        publisher
    }

    /// Makes an entry that comes last: the gap at the end is before it.
    fn entry(&mut self, message: Received<M>) -> Entry<M> {
        let missed = std::mem::take(&mut self.missed);
        Entry { missed, message }
    }

    fn push_back(&mut self, entry: Entry<M>) {
        self.entries.push_back(entry);
        self.counters.queued += 1;
    }

    /// Takes the next message. A gap before it is reported first, once.
    pub(super) fn take_first(&mut self) -> Result<Option<Received<M>>, RecvError> {
        let Some(first) = self.entries.front_mut() else {
            return match (std::mem::take(&mut self.missed), self.end) {
                (0, None) => Ok(None),
                (0, Some(End::Disconnected)) => Err(RecvError::Disconnected),
                (0, Some(End::Closed | End::Dropped)) => Err(RecvError::Closed),
                (missed, _) => Err(RecvError::Missed(missed)),
            };
        };
        if first.missed > 0 {
            return Err(RecvError::Missed(std::mem::take(&mut first.missed)));
        }
        let first = self.entries.pop_front();
        Ok(first.map(|Entry { message, .. }| {
            self.forget_position(&message);
            message
        }))
    }

    /// Drops the first entry, to make room. The gap is noted with the next one.
    pub(super) fn evict_first(&mut self, deferred: &mut Deferred<M>) {
        let Some(Entry { missed, message }) = self.entries.pop_front() else {
            return;
        };
        self.forget_position(&message);
        deferred.messages.push(message);
        self.counters.missed += 1;
        let next = match self.entries.front_mut() {
            Some(entry) => &mut entry.missed,
            None => &mut self.missed,
        };
        *next += missed + 1;
    }

    /// Replaces the older message of the same topic, if there is one and only the latest is kept.
    pub(super) fn replace(&mut self, message: &Received<M>, deferred: &mut Deferred<M>) -> bool {
        let position = self.positions.as_ref().and_then(|all| all.of(message));
        let Some(position) = position else {
            return false;
        };
        let entry = &mut self.entries[position];
        entry.missed += 1;
        let older = std::mem::replace(&mut entry.message, message.clone());
        deferred.messages.push(older);
        self.counters.queued += 1;
        self.counters.missed += 1;
        true
    }

    /// The first entry has left.
    fn forget_position(&mut self, message: &Received<M>) {
        if let Some(positions) = &mut self.positions {
            positions.remove_first(message);
        }
    }
}

impl<M> fmt::Debug for State<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("depth", &self.entries.len())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
