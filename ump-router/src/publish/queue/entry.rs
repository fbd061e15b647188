//! A message in a queue.

use crate::publish::received::Received;

/// A message, and the gap before it.
pub(super) struct Entry<M> {
    /// How many messages are missing before this one.
    pub(super) missed: u64,
    pub(super) message: Received<M>,
}

/// The part of a gap that says that a link was lost here: besides the messages that are counted, an
/// unknown number is missing.
pub(super) const INTERRUPTED: u64 = 1 << 63;

/// The largest count of a gap.
pub(super) const MAX_GAP: u64 = INTERRUPTED - 1;

/// Joins two gaps. Each has its count in the lower bits.
pub(super) fn join_gaps(first: u64, second: u64) -> u64 {
    let interrupted = (first | second) & INTERRUPTED;
    interrupted | ((first & MAX_GAP) + (second & MAX_GAP)).min(MAX_GAP)
}

/// A place in the queue.
pub(super) enum Slot<M> {
    Message(Entry<M>),
    /// Its message was replaced by one that comes later. This many messages are missing here.
    Hole(u64),
}
