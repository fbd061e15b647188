//! Tracks what happens to each message and each reply.
//!
//! It is not part of the model: shuttle does not switch threads while it is updated.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ump::Stats;

/// The tracker of one model. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Tracker(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    /// The number of messages that were taken.
    taken: usize,
    /// The replies that were accepted by a caller or a post.
    accepted: Accepted,
}

#[derive(Debug, Default)]
struct Accepted {
    replies: u64,
    failures: u64,
}

/// The record of one message.
#[derive(Debug)]
struct Entry {
    source: Source,
    /// Its position among the taken messages.
    taken: Option<usize>,
    message_drops: usize,
    replies: usize,
    reply_drops: usize,
    end: Option<Outcome>,
}

/// A caller and a lane. The messages of a source are taken in the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The number of the caller.
    pub caller: usize,
    /// Whether it is the urgent lane.
    pub urgent: bool,
}

/// The outcome of a request for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A reply.
    Replied,
    /// The error of the handler.
    Failed,
    /// No reply.
    NoReply,
    /// The server had gone.
    ServerDisappeared,
    /// Timed out, not executed.
    TimeoutQueued,
    /// Timed out, perhaps executed.
    TimeoutTaken,
    /// The queue was full.
    Full,
    /// The caller left before there was an outcome.
    Left,
    /// The post was accepted.
    Posted,
    /// It was never sent.
    Unsent,
}

/// The number of times each outcome occurred.
pub type Outcomes = BTreeMap<Outcome, u64>;

/// A message.
#[derive(Debug)]
pub struct Message(usize, Tracker);

/// A reply, or the error of a handler.
#[derive(Debug)]
pub struct Reply(usize, Tracker);

impl Tracker {
    fn state(&self) -> MutexGuard<'_, State> {
        // A failing model may unwind while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry<T>(&self, number: usize, write: impl FnOnce(&mut Entry) -> T) -> T {
        write(&mut self.state().entries[number])
    }

    /// Makes a message.
    #[must_use]
    pub fn write(&self, source: Source) -> Message {
        let mut state = self.state();
        state.entries.push(Entry {
            source,
            taken: None,
            message_drops: 0,
            replies: 0,
            reply_drops: 0,
            end: None,
        });
        Message(state.entries.len() - 1, self.clone())
    }

    /// Records the outcome of a request.
    ///
    /// # Panics
    /// If it had an outcome before.
    pub fn end(&self, number: usize, end: Outcome) {
        let before = self.entry(number, |entry| entry.end.replace(end));
        assert_eq!(before, None, "it has one outcome");
    }

    /// Records that a reply was accepted.
    pub fn accept(&self, is_reply: bool) {
        let mut state = self.state();
        if is_reply {
            state.accepted.replies += 1;
        } else {
            state.accepted.failures += 1;
        }
    }

    /// Checks all entries, compares them with the counters of the channel, and returns the
    /// outcomes.
    ///
    /// # Panics
    /// If they differ.
    #[must_use]
    pub fn close(&self, stats: Stats) -> Outcomes {
        assert_eq!((stats.queued, stats.taken), (0, 0), "{stats:?}");
        assert_eq!(stats.accepted, stats.ended(), "{stats:?}");
        let state = self.state();
        let mut outcomes = Outcomes::new();
        for entry in &state.entries {
            entry.check();
            *outcomes
                .entry(entry.end.expect("it was checked"))
                .or_default() += 1;
        }
        let count = |of: &[Outcome]| of.iter().filter_map(|end| outcomes.get(end)).sum::<u64>();
        let untaken = stats.server_disappeared + stats.timeout_queued + stats.cancelled_queued;
        assert_eq!(stats.accepted - untaken, state.taken as u64, "{stats:?}");
        let sent = state.entries.len() as u64 - count(&[Outcome::Unsent]);
        assert_eq!(
            stats.accepted + stats.refused,
            sent,
            "{stats:?} {outcomes:?}"
        );
        assert_eq!(stats.replied, state.accepted.replies, "{stats:?}");
        assert_eq!(stats.failed, state.accepted.failures, "{stats:?}");
        // The outcomes that the callers saw; the others are posts, and callers that left before.
        let unseen = count(&[Outcome::Left, Outcome::Posted]);
        for (end, counted) in [
            (Outcome::Replied, stats.replied),
            (Outcome::Failed, stats.failed),
            (Outcome::NoReply, stats.no_reply),
            (Outcome::TimeoutTaken, stats.timeout_taken),
        ] {
            let seen = count(&[end]);
            assert!(
                (seen..=seen + unseen).contains(&counted),
                "{end:?} {stats:?} {outcomes:?}"
            );
        }
        outcomes
    }

    /// Asserts that the messages of each source were taken in order. Use it with a single worker:
    /// one of several may be late to record what it has taken.
    ///
    /// # Panics
    /// If they were not.
    pub fn assert_in_order(&self) {
        let state = self.state();
        let mut latest = BTreeMap::new();
        for entry in &state.entries {
            if let Some(at) = entry.taken {
                let before = latest.insert(entry.source, at);
                assert!(before < Some(at), "overtaken: {entry:?}");
            }
        }
    }

    /// Records that a caller waits for none of its messages any more.
    pub fn leave_rest(&self, caller: usize) {
        let mut state = self.state();
        let entries = state.entries.iter_mut();
        for entry in entries.filter(|entry| entry.source.caller == caller) {
            entry.end.get_or_insert(Outcome::Left);
        }
    }
}

impl Entry {
    fn check(&self) {
        assert_eq!(self.message_drops, 1, "dropped once: {self:?}");
        assert_eq!(self.replies, self.reply_drops, "dropped once: {self:?}");
        let taken = self.taken.is_some();
        let fits = match self.end {
            None => false,
            Some(Outcome::Replied | Outcome::Failed) => taken && self.replies == 1,
            Some(Outcome::NoReply) => taken && self.replies == 0,
            Some(Outcome::TimeoutTaken) => taken,
            Some(
                Outcome::ServerDisappeared
                | Outcome::TimeoutQueued
                | Outcome::Full
                | Outcome::Unsent,
            ) => !taken,
            Some(Outcome::Left | Outcome::Posted) => true,
        };
        assert!(fits, "{self:?}");
    }
}

impl Message {
    /// Returns its number.
    #[must_use]
    pub fn number(&self) -> usize {
        self.0
    }

    /// Records that a handler has taken it, and returns a token for the reply.
    ///
    /// # Panics
    /// If it was taken before.
    #[must_use]
    pub fn take(self) -> ReplyToken {
        let Self(number, ref tracker) = self;
        let mut state = tracker.state();
        let State { entries, taken, .. } = &mut *state;
        *taken += 1;
        let before = entries[number].taken.replace(*taken);
        assert_eq!(before, None, "taken twice: {:?}", entries[number]);
        drop(state);
        ReplyToken(number, tracker.clone())
    }
}

/// Allows a handler to make one reply.
#[derive(Debug)]
pub struct ReplyToken(usize, Tracker);

impl ReplyToken {
    /// Makes the reply.
    #[must_use]
    pub fn make(&self) -> Reply {
        let Self(number, tracker) = self;
        tracker.entry(*number, |entry| entry.replies += 1);
        Reply(*number, tracker.clone())
    }

    /// Returns the tracker.
    #[must_use]
    pub fn tracker(&self) -> &Tracker {
        &self.1
    }
}

impl Reply {
    /// Returns the number of its message.
    #[must_use]
    pub fn number(&self) -> usize {
        self.0
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.1.entry(self.0, |entry| entry.message_drops += 1);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.1.entry(self.0, |entry| entry.reply_drops += 1);
    }
}
