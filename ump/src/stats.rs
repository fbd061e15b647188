//! The counters of a channel: what was accepted, and how each request ended.

#![forbid(unsafe_code)]

use crate::sync::{AtomicU64, Ordering};

/// What has happened on a channel so far, and what it holds now.
///
/// Every accepted request is counted under exactly one ending once it has ended, so at every quiet moment
/// `accepted == queued + taken + ended()`. Endings are counted before they become visible to the caller. A
/// snapshot taken while requests are under way may see one in the middle of its step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct Stats {
    /// Requests and posts that entered the queue.
    pub accepted: u64,
    /// Waiting in the queue now.
    pub queued: u64,
    /// In the hands of a handler now.
    pub taken: u64,
    /// Ended in a reply; for posts: were handled.
    pub replied: u64,
    /// Ended in the application's own error.
    pub failed: u64,
    /// The handler let go of the request without an answer.
    pub no_reply: u64,
    /// The handler panicked with the request in its hands.
    pub panicked: u64,
    /// The server went before the request was taken.
    pub server_disappeared: u64,
    /// The deadline passed in the queue: never executed.
    pub timeout_queued: u64,
    /// The deadline passed while a handler held the request.
    pub timeout_taken: u64,
    /// The caller left while the request was queued: never executed.
    pub cancelled_queued: u64,
    /// The caller left while a handler held the request.
    pub cancelled_taken: u64,
    /// The caller would have waited for itself, so it was sent away while the request was queued: never executed. See
    /// [`hooks`](crate::hooks).
    pub would_deadlock_queued: u64,
    /// The caller would have waited for itself, so it was sent away while a handler held the request.
    pub would_deadlock_taken: u64,
    /// Room that is [reserved](crate::Client::reserve) now, for requests that have not been sent. Not part of `accepted`.
    pub reserved: u64,
    /// Never entered the queue: it was full, it was too late, the server was gone, or the caller left while it waited for room; as a request or
    /// to reserve room for one. Not part of `accepted`.
    pub refused: u64,
}

impl Stats {
    /// The number of requests that have ended, one way or the other.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.processed()
            + self.server_disappeared
            + self.timeout_queued
            + self.cancelled_queued
            + self.would_deadlock_queued
    }

    /// The number of requests that a handler took and that have ended.
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

/// How a request that was taken can end.
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

/// The endings of taken requests: counted without the channel's lock, by whoever ends them.
#[derive(Debug, Default)]
pub(crate) struct AtomicCounters([AtomicU64; 7]);

impl AtomicCounters {
    // Relaxed throughout: what makes a count visible is the hand-over of the slot that follows it.

    #[inline]
    pub(crate) fn count(&self, ending: Ending) {
        self.0[ending as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a count back: the other side had ended the request first.
    pub(crate) fn uncount(&self, ending: Ending) {
        self.0[ending as usize].fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts without a locked instruction, for who is the only one to count here.
    #[inline]
    pub(crate) fn count_exclusive(&self, ending: Ending) {
        let count = &self.0[ending as usize];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    fn get(&self, ending: Ending) -> u64 {
        self.0[ending as usize].load(Ordering::Relaxed)
    }
}

/// How a request can end without having been taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Untaken {
    Timeout,
    Cancelled,
    ServerDisappeared,
    WouldDeadlock,
}

/// What is counted under the channel's lock: all that happens to the queue.
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

    /// Joins the books. `ended` was read first, so that no ending is seen without its taking. `handed_over` were accepted and taken by the
    /// handoff, `handed` wait there.
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
