//! Messages between tasks.

use std::fmt;

use super::TaskId;
use crate::bus::Channel;

/// The address of a task among those that share a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskAddress {
    /// The number of the worker that runs the task, from zero.
    pub worker: usize,
    /// The task's id on that worker.
    pub task: TaskId,
}

impl fmt::Display for TaskAddress {
    /// Writes the worker and the task, as `0/7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.worker, self.task)
    }
}

/// A message that a task receives from another task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusInput<M> {
    /// The task that sent it. A message to this address is an answer.
    pub from: TaskAddress,
    /// The channel, if the message was published on one.
    pub channel: Option<Channel>,
    /// The message.
    pub message: M,
}

/// An action of a task on the bus.
///
/// A task never receives its own messages: neither those that it broadcasts, nor those that it
/// publishes on a channel that it subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusOutput<M> {
    /// Sends a message to one task.
    Send {
        /// The receiver.
        to: TaskAddress,
        /// The message.
        message: M,
    },
    /// Sends a message to all other tasks of all workers.
    Broadcast(M),
    /// Sends a message to the other tasks that subscribe to a channel.
    Publish {
        /// The channel.
        channel: Channel,
        /// The message.
        message: M,
    },
    /// Subscribes to a channel.
    Subscribe(Channel),
    /// Ends the subscription to a channel. The end of the task ends all its subscriptions.
    Unsubscribe(Channel),
}
