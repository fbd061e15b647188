//! The values that the methods of a group return.

use std::{fmt, time::Instant};

use super::TaskId;
use crate::sans_io::{Output, Task};

/// An output of a [`Group`](super::Group).
pub enum GroupOutput<T: Task> {
    /// An output of a task, other than [`Output::Done`].
    Task(TaskId, Output<T::Io>),
    /// A task has ended. Its outputs have been taken, unless it has panicked.
    Ended(TaskId, T, TaskEnd),
    /// The deadline of a task stays in the past, however often the task is ticked. The group now
    /// ticks it after pauses, which double up to a second. It is reported once, until its deadline
    /// is in the future again.
    Stuck(TaskId, StuckTask),
}

/// How a task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum TaskEnd {
    /// By its output [`Done`](Output::Done).
    Done,
    /// Its driver shut it down.
    ShutDown,
    /// It panicked, or an input in its inbox did when it was dropped.
    Panicked,
}

/// A task whose deadline stays in the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StuckTask {
    /// The deadline.
    pub deadline: Instant,
    /// How often the task was ticked in a row without effect.
    pub ticks: u32,
}

/// A turn of a [`Group`](super::Group), from [`Group::begin_turn`](super::Group::begin_turn).
#[derive(Debug)]
#[must_use = "a turn does nothing until its outputs are taken"]
pub struct Turn {
    pub(super) now: Instant,
    /// The number of tasks that this turn may still visit.
    pub(super) tasks: usize,
    /// The number of calls that are left.
    pub(super) calls: usize,
}

/// An input that a [`Group`](super::Group) refused, and why. The input comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum InputRefused<I> {
    /// The task has ended, ends as soon as its outputs are taken, or has never existed.
    NoTask(I),
    /// The outputs of the task have not all been taken, and its [inbox](super::Limits::inbox) is
    /// full.
    Full(I),
    /// The task does not [accept](Task::accepts) the command: it is one for another type of tasks.
    WrongKind(I),
}

impl<I> InputRefused<I> {
    /// Returns the input.
    pub fn into_input(self) -> I {
        match self {
            Self::NoTask(input) | Self::Full(input) | Self::WrongKind(input) => input,
        }
    }

    /// Converts the input.
    pub(in crate::sans_io) fn map<O>(self, convert: impl FnOnce(I) -> O) -> InputRefused<O> {
        match self {
            Self::NoTask(input) => InputRefused::NoTask(convert(input)),
            Self::Full(input) => InputRefused::Full(convert(input)),
            Self::WrongKind(input) => InputRefused::WrongKind(convert(input)),
        }
    }
}

/// A task that a [`Group`](super::Group) refused, because it has as many as its
/// [limit](super::Limits::tasks).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GroupFull<T>(pub T);

impl<T: Task> fmt::Debug for GroupOutput<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(id, output) => f.debug_tuple("Task").field(id).field(output).finish(),
            Self::Ended(id, _, end) => f.debug_tuple("Ended").field(id).field(end).finish(),
            Self::Stuck(id, stuck) => f.debug_tuple("Stuck").field(id).field(stuck).finish(),
        }
    }
}

impl<I> fmt::Debug for InputRefused<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTask(_) => "NoTask(..)",
            Self::Full(_) => "Full(..)",
            Self::WrongKind(_) => "WrongKind(..)",
        })
    }
}

impl<I> fmt::Display for InputRefused<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTask(_) => "the task has ended",
            Self::Full(_) => "the inbox of the task is full",
            Self::WrongKind(_) => "the command is for another type of tasks",
        })
    }
}

impl<I> std::error::Error for InputRefused<I> {}

impl<T> fmt::Debug for GroupFull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupFull(..)")
    }
}

impl<T> fmt::Display for GroupFull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the group has as many tasks as its limit")
    }
}

impl<T> std::error::Error for GroupFull<T> {}
