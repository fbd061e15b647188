//! The bus of an engine: its tasks' subscriptions, and the way to the other engines.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    mem,
};

use super::{BusInput, TaskAddress, TaskId};
use crate::bus::{Channel, Endpoint};

/// A message on its way to an engine.
#[derive(Clone, Debug)]
pub(super) struct Envelope<M> {
    pub(super) from: TaskAddress,
    pub(super) to: Target,
    pub(super) message: M,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Task(TaskId),
    All,
    Channel(Channel),
}

impl<M> Envelope<M> {
    pub(super) fn into_input(self) -> BusInput<M> {
        BusInput {
            from: self.from,
            channel: match self.to {
                Target::Channel(channel) => Some(channel),
                Target::Task(_) | Target::All => None,
            },
            message: self.message,
        }
    }
}

/// The number of messages to one engine that are collected before they are sent.
const BATCH: usize = 256;

/// The number of messages to deliver up to which local ones are kept, and others taken.
const KEPT: usize = 65_536;

pub(super) struct LocalBus<M> {
    endpoint: Option<Endpoint<Envelope<M>>>,
    /// The messages to each engine that have not been sent.
    outboxes: Vec<Vec<Envelope<M>>>,
    /// The messages that have come and are not delivered.
    incoming: VecDeque<Envelope<M>>,
    /// Memory for the next messages.
    taken: Vec<Envelope<M>>,
    /// The local tasks that subscribe to a channel, in the order of their subscriptions.
    channels: BTreeMap<Channel, Vec<TaskId>>,
    by_task: HashMap<TaskId, Vec<Channel>>,
    /// The number of messages that were dropped.
    dropped: u64,
}

impl<M: Clone> LocalBus<M> {
    pub(super) fn new() -> Self {
        Self {
            endpoint: None,
            outboxes: Vec::new(),
            incoming: VecDeque::new(),
            taken: Vec::new(),
            channels: BTreeMap::new(),
            by_task: HashMap::new(),
            dropped: 0,
        }
    }

    pub(super) fn connect(&mut self, endpoint: Endpoint<Envelope<M>>) {
        self.endpoint = Some(endpoint);
    }

    pub(super) fn subscribe(&mut self, task: TaskId, channel: Channel) {
        let tasks = self.channels.entry(channel).or_default();
        if tasks.contains(&task) {
            return;
        }
        tasks.push(task);
        if let ([_], Some(endpoint)) = (&tasks[..], &self.endpoint) {
            endpoint.subscribe(channel);
        }
        self.by_task.entry(task).or_default().push(channel);
    }

    pub(super) fn unsubscribe(&mut self, task: TaskId, channel: Channel) {
        if let Some(channels) = self.by_task.get_mut(&task) {
            channels.retain(|other| *other != channel);
        }
        self.remove(task, channel);
    }

    pub(super) fn ended(&mut self, task: TaskId) {
        for channel in self.by_task.remove(&task).unwrap_or_default() {
            self.remove(task, channel);
        }
    }

    fn remove(&mut self, task: TaskId, channel: Channel) {
        let Some(tasks) = self.channels.get_mut(&channel) else {
            return;
        };
        tasks.retain(|other| *other != task);
        if tasks.is_empty() {
            self.channels.remove(&channel);
            if let Some(endpoint) = &self.endpoint {
                endpoint.unsubscribe(channel);
            }
        }
    }

    /// Returns the local tasks that subscribe to a channel.
    pub(super) fn subscribers(&self, channel: Channel) -> &[TaskId] {
        self.channels.get(&channel).map_or(&[], Vec::as_slice)
    }

    /// Collects a message to other engines: to one, to those with subscribers, or to all.
    pub(super) fn send(&mut self, worker: Option<usize>, envelope: Envelope<M>) {
        let Some(endpoint) = &self.endpoint else {
            self.dropped += u64::from(worker.is_some());
            return;
        };
        match (worker, envelope.to) {
            (Some(worker), _) => self.collect(worker, envelope),
            (None, Target::Channel(channel)) => {
                for worker in endpoint.subscribers(channel) {
                    self.collect(worker, envelope.clone());
                }
            }
            (None, _) => {
                let own = endpoint.number();
                for worker in (0..endpoint.len()).filter(|&worker| worker != own) {
                    self.collect(worker, envelope.clone());
                }
            }
        }
    }

    fn collect(&mut self, worker: usize, envelope: Envelope<M>) {
        let Some(endpoint) = &self.endpoint else {
            return;
        };
        if worker >= endpoint.len() {
            self.dropped += 1;
            return;
        }
        if worker >= self.outboxes.len() {
            self.outboxes.resize_with(worker + 1, Vec::new);
        }
        let outbox = &mut self.outboxes[worker];
        outbox.push(envelope);
        if outbox.len() >= BATCH {
            self.dropped += flush(endpoint, worker, outbox);
        }
    }

    /// Sends the collected messages. Those for which a receiver has no room are dropped and
    /// counted.
    pub(super) fn flush(&mut self) {
        let Some(endpoint) = &self.endpoint else {
            return;
        };
        for (worker, outbox) in self.outboxes.iter_mut().enumerate() {
            if !outbox.is_empty() {
                self.dropped += flush(endpoint, worker, outbox);
            }
        }
    }

    /// Keeps a message of a local task for local tasks, until they have room. If there are too many
    /// such messages, it is dropped and counted.
    pub(super) fn keep(&mut self, envelope: Envelope<M>) {
        if self.incoming.len() < KEPT {
            self.incoming.push_back(envelope);
        } else {
            self.dropped += 1;
        }
    }

    /// Takes the messages that have come. Returns the number of those to deliver.
    pub(super) fn refill(&mut self) -> usize {
        if let (true, Some(endpoint)) = (self.incoming.len() < KEPT, &self.endpoint) {
            endpoint.take(&mut self.taken);
            if self.incoming.is_empty() {
                // The memory goes round: from the mailbox to the queue and back.
                let mut taken = VecDeque::from(mem::take(&mut self.taken));
                mem::swap(&mut self.incoming, &mut taken);
                self.taken = Vec::from(taken);
            } else {
                self.incoming.extend(self.taken.drain(..));
            }
        }
        self.incoming.len()
    }

    pub(super) fn next(&mut self) -> Option<Envelope<M>> {
        self.incoming.pop_front()
    }

    pub(super) fn give_back(&mut self, envelope: Envelope<M>) {
        self.incoming.push_front(envelope);
    }

    /// Returns the number of messages to deliver.
    pub(super) fn incoming(&self) -> usize {
        self.incoming.len()
    }

    pub(super) fn count_dropped(&mut self, dropped: u64) {
        self.dropped += dropped;
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn close(&mut self) {
        if let Some(endpoint) = self.endpoint.take() {
            endpoint.close();
        }
    }
}

fn flush<M>(endpoint: &Endpoint<Envelope<M>>, worker: usize, outbox: &mut Vec<Envelope<M>>) -> u64 {
    endpoint.send_all(worker, outbox);
    let dropped = outbox.len() as u64;
    outbox.clear();
    dropped
}
