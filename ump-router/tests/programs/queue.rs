//! The model of one subscription.

use std::{collections::VecDeque, mem, time::Duration};

use ump_router::{RecvError, WhenFull};

use crate::name::Name;

pub(crate) struct Queue {
    pub(crate) pattern: Name,
    pub(crate) capacity: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) entries: VecDeque<Entry>,
    /// The messages whose publishers wait for room.
    pub(crate) waiters: VecDeque<Entry>,
    /// The number of messages missed after the last entry.
    missed: u64,
    pub(crate) end: Option<RecvError>,
    pub(crate) queued: u64,
    pub(crate) lost: u64,
    pub(crate) is_asleep: bool,
    /// How often its subscriber was woken.
    pub(crate) wakes: usize,
}

pub(crate) struct Entry {
    /// The number of messages missed before this one.
    missed: u64,
    topic: String,
    pub(crate) message: u32,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Pushed {
    Queued,
    Dropped,
    Waiting,
    Ended,
}

impl Queue {
    pub(crate) fn new(pattern: Name, capacity: usize, when_full: WhenFull) -> Self {
        Self {
            pattern,
            capacity,
            when_full,
            entries: VecDeque::new(),
            waiters: VecDeque::new(),
            missed: 0,
            end: None,
            queued: 0,
            lost: 0,
            is_asleep: false,
            wakes: 0,
        }
    }

    pub(crate) fn block_timeout(&self) -> Duration {
        match self.when_full {
            WhenFull::Block(block_timeout) => block_timeout,
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn push(&mut self, topic: &str, message: u32) -> Pushed {
        if self.end.is_some() {
            return Pushed::Ended;
        }
        if self.when_full == WhenFull::Latest {
            let older = self.entries.iter_mut().find(|entry| entry.topic == topic);
            if let Some(older) = older {
                older.message = message;
                older.missed += 1;
                self.lost += 1;
                self.queued += 1;
                return Pushed::Queued;
            }
        }
        if self.entries.len() == self.capacity {
            match self.when_full {
                WhenFull::Block(_) => {
                    let entry = self.last(topic, message);
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
        let entry = self.last(topic, message);
        self.entries.push_back(entry);
        self.queued += 1;
        self.wake();
        Pushed::Queued
    }

    fn last(&mut self, topic: &str, message: u32) -> Entry {
        Entry {
            missed: mem::take(&mut self.missed),
            topic: topic.to_owned(),
            message,
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

    pub(crate) fn pop(&mut self) -> Result<Option<u32>, RecvError> {
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
                Ok(Some(first.message))
            }
            (None, None) => Ok(None),
            (None, Some(end)) => Err(end),
        }
    }

    /// Closes the queue. Returns the messages that waited for room.
    pub(crate) fn close(&mut self) -> Vec<u32> {
        self.end.get_or_insert(RecvError::Closed);
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

    fn wake(&mut self) {
        self.wakes += usize::from(mem::take(&mut self.is_asleep));
    }
}
