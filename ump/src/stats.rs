//! The counters of a channel: the accepted requests, and how each of them ended.

#![forbid(unsafe_code)]

use crate::sync::{AtomicU64, Ordering};

/// A snapshot of a channel's counters: what has happened so far, and what the channel holds now.
///
/// Every accepted request is counted under exactly one ending once it has ended. So in every quiet
/// moment `accepted == queued + taken + ended()`. An ending is counted before it becomes visible to
/// the caller. A snapshot that is taken while requests are under way may show one in the middle of
/// a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct Stats {
    /// Requests and posts that entered the queue.
    pub accepted: u64,
    /// Requests that wait in the queue now.
    pub queued: u64,
    /// Requests that a handler holds now.
    pub taken: u64,
    /// Requests that ended in a reply, and posts that were handled.
    pub replied: u64,
    /// Requests that ended in the application's own error.
    pub failed: u64,
    /// Requests that the handler dropped without an answer.
    pub no_reply: u64,
    /// Requests that the handler held when it panicked.
    pub panicked: u64,
    /// Requests that were not taken before the server was dropped.
    pub server_disappeared: u64,
    /// Requests whose deadline passed in the queue: never executed.
    pub timeout_queued: u64,
    /// Requests whose deadline passed while a handler held them.
    pub timeout_taken: u64,
    /// Requests whose caller left while they were queued: never executed.
    pub cancelled_queued: u64,
    /// Requests whose caller left while a handler held them.
    pub cancelled_taken: u64,
    /// Requests that were queued when their caller got an error because it would have deadlocked:
    /// never executed. See [`hooks`](crate::hooks).
    pub would_deadlock_queued: u64,
    /// Requests that a handler held when their caller got an error because it would have
    /// deadlocked.
    pub would_deadlock_taken: u64,
    /// Permits that are [reserved](crate::Client::reserve) now, for requests that have not been
    /// sent. They are not part of `accepted`.
    pub reserved: u64,
    /// Requests, and reservations of room for one, that never entered the queue: the queue was
    /// full, the deadline had passed, the server was gone, or the caller left while it waited for
    /// room. They are not part of `accepted`.
    pub refused: u64,
}

impl Stats {
    /// Returns the number of requests that have ended in any way.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.processed()
            + self.server_disappeared
            + self.timeout_queued
            + self.cancelled_queued
            + self.would_deadlock_queued
    }

    /// Returns the number of requests that a handler took and that have ended.
    #[must_use]
    pub fn processed(&self) -> u64 {
        self.replied
            + self.failed
            + self.no_reply
            + self.panicked
            + self.timeout_taken
            + self.cancelled_taken
            + self.would_deadlock_taken
    }
}

/// The endings of a request that was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Replied,
    Failed,
    NoReply,
    Panicked,
    TimeoutTaken,
    CancelledTaken,
    WouldDeadlock,
}

impl Ending {
    pub(crate) const ALL: [Self; 7] = [
        Self::Replied,
        Self::Failed,
        Self::NoReply,
        Self::Panicked,
        Self::TimeoutTaken,
        Self::CancelledTaken,
        Self::WouldDeadlock,
    ];
}

/// The endings of taken requests. The thread that ends a request counts it, without the channel's
/// lock.
#[derive(Debug, Default)]
pub(crate) struct AtomicCounters([AtomicU64; 7]);

impl AtomicCounters {
    // ORDERING: Relaxed for every operation of this type. A count becomes visible to the caller by
    // the hand-over of the slot that follows it (the Release that sets `DONE`). For a snapshot,
    // coherence and the channel's lock suffice: it reads the endings before it takes the lock, and
    // a taking from the queue is counted under the lock before its ending. So a snapshot that
    // includes the ending includes the taking as well. The handoff passes requests on without the
    // lock; for these `QueueCounters::stats` subtracts with saturation.

    /// Counts an ending.
    #[inline]
    pub(crate) fn count(&self, ending: Ending) {
        self.0[ending as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a count back, because the other end had ended the request first.
    pub(crate) fn uncount(&self, ending: Ending) {
        self.0[ending as usize].fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts an ending without a locked instruction. The caller must be the only one that counts
    /// here.
    #[inline]
    pub(crate) fn count_exclusive(&self, ending: Ending) {
        let count = &self.0[ending as usize];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    fn get(&self, ending: Ending) -> u64 {
        self.0[ending as usize].load(Ordering::Relaxed)
    }
}

/// The endings of a request that was not taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Untaken {
    Timeout,
    Cancelled,
    ServerDisappeared,
    WouldDeadlock,
}

/// The counters under the channel's lock, for all that happens to the queue.
#[derive(Debug, Default)]
pub(crate) struct QueueCounters {
    pub(crate) accepted: u64,
    pub(crate) taken: u64,
    pub(crate) refused: u64,
    untaken: [u64; 4],
}

impl QueueCounters {
    #[inline]
    pub(crate) fn count(&mut self, ending: Untaken) {
        self.untaken[ending as usize] += 1;
    }

    /// Combines the counters. `ended` was read first, so that no ending is seen without its taking.
    /// The handoff accepted and passed on `handed_over` requests, and holds `handed` now.
    pub(crate) fn stats(&self, ended: Stats, handed_over: u64, queued: u64, handed: u64) -> Stats {
        Stats {
            accepted: self.accepted + handed_over + handed,
            queued: queued + handed,
            taken: (self.taken + handed_over).saturating_sub(ended.processed()),
            timeout_queued: self.untaken[Untaken::Timeout as usize],
            cancelled_queued: self.untaken[Untaken::Cancelled as usize],
            server_disappeared: self.untaken[Untaken::ServerDisappeared as usize],
            would_deadlock_queued: self.untaken[Untaken::WouldDeadlock as usize],
            refused: self.refused,
            ..ended
        }
    }
}

impl Stats {
    pub(crate) fn add(&mut self, counters: &AtomicCounters) {
        for ending in Ending::ALL {
            self.add_ending(ending, counters.get(ending));
        }
    }

    pub(crate) fn add_ending(&mut self, ending: Ending, count: u64) {
        *match ending {
            Ending::Replied => &mut self.replied,
            Ending::Failed => &mut self.failed,
            Ending::NoReply => &mut self.no_reply,
            Ending::Panicked => &mut self.panicked,
            Ending::TimeoutTaken => &mut self.timeout_taken,
            Ending::CancelledTaken => &mut self.cancelled_taken,
            Ending::WouldDeadlock => &mut self.would_deadlock_taken,
        } += count;
    }
}
