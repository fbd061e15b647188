//! The options of a request, fixed when it is made: its lane, its deadline, and the kind of its
//! caller.

#![forbid(unsafe_code)]

use std::time::Instant;

/// The lane in which a request queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Normal,
    Urgent,
}

/// The options of a request, fixed when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestOptions {
    pub(crate) lane: Lane,
    pub(crate) deadline: Option<Instant>,
    /// The caller's thread is blocked until the outcome or the deadline.
    pub(crate) blocks: bool,
    /// Nobody waits for the reply: the server's end owns the slot from the moment it is queued.
    pub(crate) post: bool,
}

impl RequestOptions {
    /// The options of a request about which nothing was said.
    pub(crate) const PLAIN: Self = Self {
        lane: Lane::Normal,
        deadline: None,
        blocks: false,
        post: false,
    };

    /// Whether it is taken in its turn, whenever that comes.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.lane == Lane::Normal && self.deadline.is_none()
    }
}
