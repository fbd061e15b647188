//! The end of tasks whose driver ends, and their successors in another group.

use super::{Group, entry::Closing};
use crate::sans_io::{Task, TaskId};

impl<T: Task> Group<T> {
    /// Returns whether a task is shut down, and has not ended.
    pub(in crate::sans_io) fn is_closing(&self, id: TaskId) -> bool {
        self.find(id)
            .is_some_and(|entry| entry.closing != Closing::No)
    }

    /// Shuts one task down: see [`shut_down`](Self::shut_down).
    pub(in crate::sans_io) fn shut_down_task(&mut self, id: TaskId) {
        if self.find(id).is_some() {
            self.shut_down_at(id.place);
        }
    }

    pub(super) fn shut_down_at(&mut self, place: u32) {
        let Some(entry) = self.entries.get_mut(place) else {
            return;
        };
        if entry.closing == Closing::No {
            entry.closing = Closing::Requested(entry.inbox.len());
            self.queue(place);
        }
    }

    /// Gives no id to a task that one of an earlier group may have, whose latest one was `last`.
    pub(in crate::sans_io) fn continue_after(&mut self, last: TaskId) {
        self.last = self.last.max(last.serial.get());
    }
}
