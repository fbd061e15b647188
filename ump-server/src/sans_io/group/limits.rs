//! The limits and the counters of a group.

use std::time::Duration;

/// The limits of a [`Group`](super::Group). They bound its memory and the work of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Limits {
    pub(super) tasks: usize,
    pub(super) inbox: usize,
    pub(super) batch: usize,
    pub(super) turn: usize,
}

impl Limits {
    /// Creates the default limits: 2³¹ - 1 tasks, 64 inputs in an inbox, 32 calls of a task in a
    /// turn, and 1,024 calls in a turn.
    pub const fn new() -> Self {
        Self {
            tasks: (1 << 31) - 1,
            inbox: 64,
            batch: 32,
            turn: 1_024,
        }
    }

    /// Limits the number of tasks.
    pub const fn tasks(self, tasks: usize) -> Self {
        Self { tasks, ..self }
    }

    /// Limits the number of inputs that wait for a task whose outputs have not all been taken. An
    /// input to a task that is at rest does not wait.
    pub const fn inbox(self, inbox: usize) -> Self {
        Self { inbox, ..self }
    }

    /// Limits the number of calls of one task in a turn. The least is one.
    pub const fn batch(self, batch: usize) -> Self {
        let batch = if batch == 0 { 1 } else { batch };
        Self { batch, ..self }
    }

    /// Limits the number of calls of all tasks in a turn. The least is one.
    pub const fn turn(self, turn: usize) -> Self {
        let turn = if turn == 0 { 1 } else { turn };
        Self { turn, ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// The counters of a [`Group`](super::Group), since it was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct GroupStats {
    /// The number of tasks now.
    pub tasks: usize,
    /// The number of tasks that have something to do now.
    pub ready: usize,
    /// The number of tasks that have been spawned.
    pub spawned: u64,
    /// The number of inputs that tasks have got.
    pub inputs: u64,
    /// The number of inputs that were refused, because the inbox was full, the task had ended, or
    /// the command was none of the task's.
    pub refused: u64,
    /// The number of inputs that were in the inbox of a task when it ended.
    pub discarded: u64,
    /// The number of calls of `on_tick`.
    pub ticks: u64,
    /// The number of outputs that were taken.
    pub outputs: u64,
    /// The number of tasks that were found stuck: see [`GroupOutput::Stuck`](super::GroupOutput).
    pub stuck: u64,
    /// The number of tasks that have panicked.
    pub panicked: u64,
    /// The longest time from a task's deadline until the group noticed it.
    pub max_lateness: Duration,
    /// The sum of these times: divided by `ticks` it is the mean.
    pub total_lateness: Duration,
}
