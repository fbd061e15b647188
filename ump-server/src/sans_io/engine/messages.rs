//! The messages between tasks.

use std::time::Instant;

use super::{Engine, Message, Spawn};
use crate::sans_io::{
    BusOutput, Input, Interface, IntoTask, Sockets, Task, TaskId,
    local_bus::{Envelope, Target},
};

/// The number of messages that are delivered between two turns of the group.
const DELIVERED: usize = 1_024;

impl<T, S> Engine<T, S>
where
    T: Task,
    Spawn<T>: IntoTask<T>,
    S: Sockets<<T::Io as Interface>::Net>,
{
    /// Gives the messages of other engines to the tasks, as long as these have room. If a task has
    /// none, the rest waits for a turn. If that makes no room either, the task's messages are
    /// dropped.
    pub(super) fn deliver_messages(&mut self, now: Instant) {
        let greedy = self.blocked_by.take().filter(|&task| self.is_full(task));
        let count = self.bus.refill().min(DELIVERED);
        for _ in 0..count {
            let Some(envelope) = self.bus.next() else {
                return;
            };
            let is_blocked = |task: &TaskId| Some(*task) != greedy && self.is_full(*task);
            let blocked_by = match envelope.to {
                Target::Task(task) => Some(task).filter(is_blocked),
                Target::Channel(channel) => self
                    .bus
                    .subscribers(channel)
                    .iter()
                    .copied()
                    .find(is_blocked),
                Target::All => self.group.iter().map(|(task, _)| task).find(is_blocked),
            };
            if blocked_by.is_some() {
                self.blocked_by = blocked_by;
                self.bus.give_back(envelope);
                return;
            }
            self.deliver(now, envelope);
        }
    }

    fn is_full(&self, task: TaskId) -> bool {
        self.group.is_full(task)
    }

    /// Gives a message to the local tasks that it is for.
    fn deliver(&mut self, now: Instant, envelope: Envelope<Message<T>>) {
        match envelope.to {
            Target::Task(task) => self.deliver_to(now, task, envelope),
            Target::Channel(channel) => {
                let tasks = self.bus.subscribers(channel).to_vec();
                self.deliver_copies(now, tasks, envelope);
            }
            Target::All => {
                let tasks = self.group.iter().map(|(task, _)| task).collect();
                self.deliver_copies(now, tasks, envelope);
            }
        }
    }

    fn deliver_copies(
        &mut self,
        now: Instant,
        mut tasks: Vec<TaskId>,
        envelope: Envelope<Message<T>>,
    ) {
        tasks.retain(|&task| self.address(task) != envelope.from);
        let Some(last) = tasks.pop() else {
            return;
        };
        for task in tasks {
            self.deliver_to(now, task, envelope.clone());
        }
        self.deliver_to(now, last, envelope);
    }

    fn deliver_to(&mut self, now: Instant, task: TaskId, envelope: Envelope<Message<T>>) {
        let input = Input::Bus(envelope.into_input());
        let refused = self.group.on_input(now, task, input).is_err();
        self.bus.count_dropped(u64::from(refused));
    }

    pub(super) fn handle_bus(&mut self, id: TaskId, output: BusOutput<Message<T>>) {
        let from = self.address(id);
        let (to, message) = match output {
            BusOutput::Subscribe(channel) => return self.bus.subscribe(id, channel),
            BusOutput::Unsubscribe(channel) => return self.bus.unsubscribe(id, channel),
            BusOutput::Send { to, message } => {
                let envelope = Envelope {
                    from,
                    to: Target::Task(to.task),
                    message,
                };
                if to.worker == self.worker {
                    return self.bus.keep(envelope);
                }
                return self.bus.send(Some(to.worker), envelope);
            }
            BusOutput::Broadcast(message) => (Target::All, message),
            BusOutput::Publish { channel, message } => (Target::Channel(channel), message),
        };
        let envelope = Envelope { from, to, message };
        self.bus.send(None, envelope.clone());
        let is_local = match to {
            Target::Channel(channel) => !self.bus.subscribers(channel).is_empty(),
            Target::Task(_) | Target::All => self.group.len() > 1,
        };
        if is_local {
            self.bus.keep(envelope);
        }
    }
}
