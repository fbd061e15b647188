//! The model of one subscription.

use std::{collections::VecDeque, mem, time::Duration};

use ump_router::{RecvError, WhenFull};

use crate::name::Name;

pub(crate) struct Queue {
    pub(crate) pattern: Name,
    pub(crate) capacity: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) entries: VecDeque<Entry>,
    /// Missing after the last entry.
    missed: u64,
    pub(crate) end: Option<RecvError>,
    pub(crate) queued: u64,
    pub(crate) lost: u64,
    /// Publishers that wait for room, in line.
    pub(crate) line: VecDeque<u32>,
    /// Those that have been told that there was some, and did not look yet.
    pub(crate) called: Vec<u32>,
    pub(crate) is_asleep: bool,
    /// How often its subscriber was woken.
    pub(crate) rings: usize,
}

pub(crate) struct Entry {
    /// Missing before it.
    missed: u64,
    topic: String,
    pub(crate) message: u32,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Pushed {
    Queued,
    Dropped,
    Full,
    Ended,
}

impl Queue {
    pub(crate) fn new(pattern: Name, capacity: usize, when_full: WhenFull) -> Self {
        Self {
            pattern,
            capacity,
            when_full,
            entries: VecDeque::new(),
            missed: 0,
            end: None,
            queued: 0,
            lost: 0,
            line: VecDeque::new(),
            called: Vec::new(),
            is_asleep: false,
            rings: 0,
        }
    }

    pub(crate) fn patience(&self) -> Duration {
        match self.when_full {
            WhenFull::Block(patience) => patience,
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
                WhenFull::Block(_) => return Pushed::Full,
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
        self.entries.push_back(Entry {
            missed: mem::take(&mut self.missed),
            topic: topic.to_owned(),
            message,
        });
        self.queued += 1;
        self.wake();
        Pushed::Queued
    }

    /// A publisher has not waited long enough. Tells whether there is somebody to miss it.
    pub(crate) fn miss(&mut self) -> bool {
        if self.end.is_some() {
            return false;
        }
        self.missed += 1;
        self.lost += 1;
        self.wake();
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
                self.call_next();
                Ok(Some(first.message))
            }
            (None, None) => Ok(None),
            (None, Some(end)) => Err(end),
        }
    }

    pub(crate) fn close(&mut self) {
        self.end.get_or_insert(RecvError::Closed);
        self.called.extend(self.line.drain(..));
        self.wake();
    }

    pub(crate) fn call_next(&mut self) {
        self.called.extend(self.line.pop_front());
    }

    /// A publisher waits no more.
    pub(crate) fn leave_line(&mut self, publisher: u32) {
        self.line.retain(|waiting| *waiting != publisher);
        if self.take_call(publisher) {
            self.call_next();
        }
    }

    /// Whether a publisher was called; it looks.
    pub(crate) fn take_call(&mut self, publisher: u32) -> bool {
        let before = self.called.len();
        self.called.retain(|called| *called != publisher);
        self.called.len() < before
    }

    fn wake(&mut self) {
        self.rings += usize::from(mem::take(&mut self.is_asleep));
    }
}
