//! The ids of tasks.

use std::{fmt, num::NonZeroU64};

/// The id of a task in its [`Group`](super::Group). It is never reused for another task of the
/// group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// How many tasks the group had had, this one included.
    pub(super) serial: NonZeroU64,
    pub(super) place: u32,
}

impl fmt::Display for TaskId {
    /// Writes the number of the task, in the order of spawning.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.serial, f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({})", self.serial)
    }
}
