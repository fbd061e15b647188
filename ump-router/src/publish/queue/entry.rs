//! A message in a queue.

use crate::publish::received::Received;

/// A message, and the gap before it.
pub(super) struct Entry<M> {
    /// How many messages are missing before this one.
    pub(super) missed: u64,
    pub(super) message: Received<M>,
}
