//! The room of tasks for inputs.

use super::{Group, entry::Entry};
use crate::sans_io::{Task, TaskId};

impl<T: Task> Group<T> {
    /// Returns whether a task would get an input at once, or has room for it in its inbox.
    ///
    /// A driver that must not lose inputs asks before it takes one from its source.
    #[must_use]
    pub fn has_room(&self, id: TaskId) -> bool {
        self.find(id).is_some_and(|entry| self.takes(entry))
    }

    /// Returns whether there is such a task, and it has no room for an input.
    pub(in crate::sans_io) fn is_full(&self, id: TaskId) -> bool {
        self.find(id).is_some_and(|entry| !self.takes(entry))
    }

    /// Returns whether there is such a task, and it would not get an input at once.
    pub(in crate::sans_io) fn is_busy(&self, id: TaskId) -> bool {
        self.find(id).is_some_and(|entry| !entry.is_at_rest())
    }

    fn takes(&self, entry: &Entry<T>) -> bool {
        entry.is_at_rest() || entry.inbox.len() < self.limits.inbox
    }
}
