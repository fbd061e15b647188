//! The model of one subscription.

use std::{collections::VecDeque, mem, time::Duration};

use ump_router::{ReceivedAs, RecvError, WhenFull};

use crate::name::Name;

pub(crate) struct Queue {
    pub(crate) patterns: Vec<Name>,
    pub(crate) capacity: usize,
    pub(crate) when_full: WhenFull,
    /// Whether it is told of retained messages that are removed or expire.
    pub(crate) removals: bool,
    /// The messages that were retained before it began.
    pub(crate) backlog: VecDeque<u32>,
    pub(crate) entries: VecDeque<Entry>,
    /// The messages whose publishers wait for room.
    pub(crate) waiters: VecDeque<Entry>,
    /// The number of messages missed after the last entry.
    missed: u64,
    pub(crate) end: Option<RecvError>,
    pub(crate) queued: u64,
    pub(crate) lost: u64,
    /// How often there was a reason to wake its subscribers.
    pub(crate) wakes: usize,
}

pub(crate) struct Entry {
    /// The number of messages missed before this one.
    missed: u64,
    topic: Name,
    pub(crate) message: u32,
    received_as: ReceivedAs,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Pushed {
    Queued,
    Dropped,
    Waiting,
    Ended,
}

impl Queue {
    pub(crate) fn new(
        patterns: Vec<Name>,
        capacity: usize,
        when_full: WhenFull,
        removals: bool,
        backlog: VecDeque<u32>,
    ) -> Self {
        Self {
            patterns,
            capacity,
            when_full,
            removals,
            queued: backlog.len() as u64,
            backlog,
            entries: VecDeque::new(),
            waiters: VecDeque::new(),
            missed: 0,
            end: None,
            lost: 0,
            wakes: 0,
        }
    }

    pub(crate) fn intersects(&self, name: &Name) -> bool {
        self.patterns.iter().any(|pattern| pattern.intersects(name))
    }

    pub(crate) fn block_timeout(&self) -> Duration {
        match self.when_full {
            WhenFull::Block(block_timeout) => block_timeout,
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn push(&mut self, topic: &Name, message: u32, received_as: ReceivedAs) -> Pushed {
        if self.end.is_some() {
            return Pushed::Ended;
        }
        if self.when_full == WhenFull::Latest {
            let same = |entry: &Entry| entry.topic.canonical() == topic.canonical();
            if let Some(at) = self.entries.iter().position(same) {
                self.lost += 1;
                self.queued += 1;
                self.replace(at, topic, message, received_as);
                return Pushed::Queued;
            }
        }
        if self.entries.len() == self.capacity {
            match self.when_full {
                WhenFull::Block(_) => {
                    let entry = self.last(topic, message, received_as);
                    self.waiters.push_back(entry);
                    return Pushed::Waiting;
                }
                WhenFull::DropNewest => {
                    self.missed += 1;
                    self.lost += 1;
                    return Pushed::Dropped;
                }
                WhenFull::Disconnect => {
                    self.end = Some(RecvError::Disconnected);
                    self.missed += 1;
                    self.lost += 1;
                    self.wake();
                    return Pushed::Dropped;
                }
                _ => {
                    let oldest = self.entries.pop_front().unwrap();
                    let next = self.entries.front_mut();
                    *next.map_or(&mut self.missed, |next| &mut next.missed) += oldest.missed + 1;
                    self.lost += 1;
                }
            }
        }
        let entry = self.last(topic, message, received_as);
        self.entries.push_back(entry);
        self.queued += 1;
        self.wake();
        Pushed::Queued
    }

    /// Replaces the message of the same topic: in its place, or by the last one if a message
    /// between covers the topic, or if the topic has wildcards.
    fn replace(&mut self, at: usize, topic: &Name, message: u32, received_as: ReceivedAs) {
        let mut between = self.entries.range(at + 1..);
        let is_in_place = if topic.is_concrete() {
            !between.any(|entry| !entry.topic.is_concrete() && entry.topic.intersects(topic))
        } else {
            between.next().is_none()
        };
        let older = &mut self.entries[at];
        older.missed += 1;
        if is_in_place {
            older.message = message;
            older.received_as = received_as;
            return;
        }
        let missed = older.missed;
        self.entries.remove(at);
        self.entries[at].missed += missed;
        let entry = self.last(topic, message, received_as);
        self.entries.push_back(entry);
    }

    fn last(&mut self, topic: &Name, message: u32, received_as: ReceivedAs) -> Entry {
        Entry {
            missed: mem::take(&mut self.missed),
            topic: topic.clone(),
            message,
            received_as,
        }
    }

    pub(crate) fn is_waiting(&self, message: u32) -> bool {
        self.waiters
            .iter()
            .any(|waiting| waiting.message == message)
    }

    /// Ends the wait of a publisher. Returns whether its message is missed.
    pub(crate) fn cancel_wait(&mut self, message: u32) -> bool {
        let place = self.waiters.iter().position(|it| it.message == message);
        let left = place.and_then(|place| self.waiters.remove(place));
        let Some((place, left)) = place.zip(left) else {
            return false;
        };
        let next = self.waiters.get_mut(place);
        *next.map_or(&mut self.missed, |next| &mut next.missed) += left.missed + 1;
        self.lost += 1;
        true
    }

    pub(crate) fn pop(&mut self) -> Result<Option<(u32, ReceivedAs)>, RecvError> {
        if let Some(retained) = self.backlog.pop_front() {
            return Ok(Some((retained, ReceivedAs::Retained)));
        }
        let next = self.entries.front_mut();
        let gap = mem::take(next.map_or(&mut self.missed, |next| &mut next.missed));
        if gap > 0 {
            return Err(RecvError::Missed(gap));
        }
        match (self.entries.pop_front(), self.end) {
            (Some(first), _) => {
                if let Some(next) = self.waiters.pop_front() {
                    self.entries.push_back(next);
                    self.queued += 1;
                }
                Ok(Some((first.message, first.received_as)))
            }
            (None, None) => Ok(None),
            (None, Some(end)) => Err(end),
        }
    }

    /// Ends the queue. Returns the messages that waited for room.
    pub(crate) fn close(&mut self, end: RecvError) -> Vec<u32> {
        self.end.get_or_insert(end);
        self.missed += self
            .waiters
            .iter()
            .map(|waiting| waiting.missed)
            .sum::<u64>();
        self.wake();
        self.waiters
            .drain(..)
            .map(|waiting| waiting.message)
            .collect()
    }

    /// Tells that a message is retained no more, if the subscriber asks for that.
    pub(crate) fn tell_removed(&mut self, topic: &Name, message: u32, received_as: ReceivedAs) {
        if self.removals && self.intersects(topic) {
            if let Pushed::Waiting = self.push(topic, message, received_as) {
                // The message itself may wait, too.
                let notice = self.waiters.pop_back().unwrap();
                self.missed += notice.missed + 1;
                self.lost += 1;
            }
        }
    }

    fn wake(&mut self) {
        self.wakes += 1;
    }
}
