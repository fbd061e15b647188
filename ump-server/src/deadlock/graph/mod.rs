//! The wait-for graph: the workers of all loops of the process, and their waits. [`search`] looks
//! for a cycle in it.
//!
//! # Invariants
//!
//! 1. Nothing wakes a worker that is registered as asleep but the workers that answer its waits,
//!    and its deadlines. Its waits and its request in hand do not change before it registers as
//!    awake.
//! 2. A worker registers as awake before it does anything else. So a finding under the lock holds
//!    as long as the lock is held, and what is certain at that time stays certain.
//!
//! A forked child has a graph of its own. It contains no workers of the parent, not even the one
//! that forked.

mod search;

use std::{
    collections::BTreeMap,
    ptr,
    sync::{Arc, Weak},
};

use ump::{
    PerProcess, Server,
    hooks::{ChannelId, LoopView, RequestId, Wait},
};

use self::search::{Names, search};
use crate::sync::{Mutex, MutexGuard};

/// The id of a worker: its channel and its number.
pub(super) type WorkerId = (ChannelId, usize);

/// The graph of all loops of the process.
#[derive(Default)]
struct Graph {
    nodes: BTreeMap<ChannelId, Node>,
    /// Requests outside the loops' own channels that loops answer by some action.
    promises: BTreeMap<RequestId, Promise>,
}

static GRAPH: PerProcess<Mutex<Graph>> = PerProcess::new();

/// Locks the graph of this process. Returns `None` if the system cannot distinguish a forked child
/// from its parent; then no cycle is found.
fn graph() -> Option<MutexGuard<'static, Graph>> {
    GRAPH.get(Mutex::default).ok().map(Mutex::lock)
}

/// A loop.
struct Node {
    name: Arc<str>,
    queue: Weak<dyn Queue>,
    workers: BTreeMap<usize, Worker>,
}

#[derive(Default)]
struct Worker {
    is_asleep: bool,
    /// The waits of its sleep: any of them wakes it. Kept when it is awake, so that the buffer is
    /// reused.
    waits: Vec<Wait>,
    /// The request that it has in hand while it sleeps, as a number, or zero.
    in_hand: usize,
}

impl Worker {
    fn sleep(&mut self, waits: &[Wait], in_hand: usize) {
        self.is_asleep = true;
        self.waits.clear();
        self.waits.extend_from_slice(waits);
        self.in_hand = in_hand;
    }
}

/// The workers that have to act before a request that is not in their queue is answered.
struct Promise {
    channel: ChannelId,
    queue: Weak<dyn Queue>,
    whose: Responsible,
}

/// The workers of a loop that fulfil a [`Promise`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Responsible {
    /// All workers: to start, or to end.
    All,
    /// This worker: to make its handler.
    One(usize),
}

/// The queue of a loop, of any message type.
pub(super) trait Queue: Send + Sync {
    fn holds(&self, request: RequestId) -> bool;
    /// See [`LoopView::without_room`].
    fn without_room(&self, wait: &Wait) -> Option<Vec<RequestId>>;
}

impl<S: Send, R: Send, E: Send> Queue for Server<S, R, E> {
    fn holds(&self, request: RequestId) -> bool {
        LoopView::new(self).is_queued(request)
    }

    fn without_room(&self, wait: &Wait) -> Option<Vec<RequestId>> {
        LoopView::new(self).without_room(wait)
    }
}

/// Adds an awake worker of the loop with this name and queue.
///
/// The channel may still have the node of another loop, whose last worker is about to leave: that
/// loop's channel is gone, and this one has its address. Then the old node is removed.
pub(super) fn enter((channel, number): WorkerId, name: &Arc<str>, queue: &Weak<dyn Queue>) {
    let Some(mut graph) = graph() else {
        return;
    };
    let gone = graph.nodes.remove(&channel);
    let (gone, mut node) = match gone {
        Some(node) if node.is_of(queue) => (None, node),
        gone => {
            let node = Node {
                name: Arc::clone(name),
                queue: Weak::clone(queue),
                workers: BTreeMap::new(),
            };
            (gone, node)
        }
    };
    node.workers.insert(number, Worker::default());
    graph.nodes.insert(channel, node);
    drop(graph);
    drop(gone);
}

/// Removes a worker of the loop with this queue.
pub(super) fn leave((channel, number): WorkerId, queue: &Weak<dyn Queue>) {
    let Some(mut graph) = graph() else {
        return;
    };
    let node = graph.nodes.get_mut(&channel);
    let Some(node) = node.filter(|node| node.is_of(queue)) else {
        return;
    };
    node.workers.remove(&number);
    let gone = if node.workers.is_empty() {
        graph.nodes.remove(&channel)
    } else {
        None
    };
    drop(graph);
    drop(gone);
}

impl Node {
    /// Returns whether this is the loop with that queue. No other queue has its address while there
    /// is a reference to it.
    fn is_of(&self, queue: &Weak<dyn Queue>) -> bool {
        ptr::addr_eq(self.queue.as_ptr(), queue.as_ptr())
    }
}

/// Registers that a loop with this channel and queue answers the request by an action of these
/// workers.
pub(super) fn promise(
    request: RequestId,
    channel: ChannelId,
    queue: &Weak<dyn Queue>,
    whose: Responsible,
) {
    let promise = Promise {
        channel,
        queue: Weak::clone(queue),
        whose,
    };
    let replaced = graph().map(|mut graph| graph.promises.insert(request, promise));
    drop(replaced);
}

/// Unregisters the promise of a request that is about to be answered or dropped.
pub(super) fn keep_promise(request: RequestId) {
    let kept = graph().and_then(|mut graph| graph.promises.remove(&request));
    drop(kept);
}

/// Registers workers of one thread or task as asleep until any of these waits ends, each with its
/// request in hand.
///
/// # Errors
/// The names of the loops of the cycle, if there is one. Then the workers are not registered.
pub(super) fn sleep(ours: &[(WorkerId, usize)], waits: &[Wait]) -> Result<(), Names> {
    let Some(mut graph) = graph() else {
        return Ok(());
    };
    let (cycle, queues) = search(&graph, ours, waits);
    if cycle.is_ok() {
        graph.put_to_sleep(ours, waits);
    }
    drop(graph);
    drop(queues);
    cycle
}

/// Registers workers as asleep without a search for a cycle.
pub(super) fn sleep_anyway(ours: &[(WorkerId, usize)], waits: &[Wait]) {
    if let Some(mut graph) = graph() {
        graph.put_to_sleep(ours, waits);
    }
}

/// Searches for a cycle that `sleep` would close, and registers nothing.
///
/// # Errors
/// The names of the loops of the cycle.
pub(super) fn look(ours: &[(WorkerId, usize)], waits: &[Wait]) -> Result<(), Names> {
    let Some(graph) = graph() else {
        return Ok(());
    };
    let (cycle, queues) = search(&graph, ours, waits);
    drop(graph);
    drop(queues);
    cycle
}

/// Registers these workers as awake.
pub(super) fn wake_up(places: impl Iterator<Item = WorkerId>) {
    let Some(mut graph) = graph() else {
        return;
    };
    for place in places {
        if let Some(worker) = graph.worker(place) {
            worker.is_asleep = false;
        }
    }
}

impl Graph {
    fn worker(&mut self, (channel, number): WorkerId) -> Option<&mut Worker> {
        self.nodes.get_mut(&channel)?.workers.get_mut(&number)
    }

    fn asleep(&self, (channel, number): WorkerId) -> Option<&Worker> {
        let worker = self.nodes.get(&channel)?.workers.get(&number)?;
        worker.is_asleep.then_some(worker)
    }

    fn put_to_sleep(&mut self, ours: &[(WorkerId, usize)], waits: &[Wait]) {
        // A worker without waits is not known to be stuck.
        if waits.is_empty() {
            return;
        }
        for &(place, in_hand) in ours {
            if let Some(worker) = self.worker(place) {
                worker.sleep(waits, in_hand);
            }
        }
    }
}
