//! The counts of a participant.

use std::ops::AddAssign;

/// The counts of a participant: the fields of `Stats` that it knows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    pub(crate) replied: u64,
    pub(crate) failed: u64,
    pub(crate) no_reply: u64,
    pub(crate) panicked: u64,
    pub(crate) server_disappeared: u64,
    pub(crate) timeout_queued: u64,
    pub(crate) timeout_taken: u64,
    pub(crate) cancelled_queued: u64,
    pub(crate) cancelled_taken: u64,
    pub(crate) refused: u64,
    /// Requests that were late or found the server gone. The caller cannot know whether they were
    /// accepted before.
    pub(crate) late: u64,
    /// Requests that were not executed, because they were cancelled or the server had gone.
    pub(crate) gone_or_cancelled: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.replied += other.replied;
        self.failed += other.failed;
        self.no_reply += other.no_reply;
        self.panicked += other.panicked;
        self.server_disappeared += other.server_disappeared;
        self.timeout_queued += other.timeout_queued;
        self.timeout_taken += other.timeout_taken;
        self.cancelled_queued += other.cancelled_queued;
        self.cancelled_taken += other.cancelled_taken;
        self.refused += other.refused;
        self.late += other.late;
        self.gone_or_cancelled += other.gone_or_cancelled;
    }
}
