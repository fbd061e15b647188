//! The wait-for graph: the workers of all loops of the process, and the search for a cycle.
//!
//! A wait is *in vain* if the workers that it needs are stuck. Most waits are in vain only if each
//! of some workers is stuck (all that could answer). A wait for the end of a loop is in vain if one
//! worker is. The search looks for a set of sleepers in which each keeps the others asleep; the
//! worker that is about to sleep is assumed to be asleep. Only the greatest such set matters. So if
//! a check fails under the assumption that more workers are stuck than really are, it fails for
//! good and is not repeated.
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

use std::{
    collections::{BTreeMap, BTreeSet},
    mem, ptr,
    sync::{Arc, Weak},
};

use ump::{
    PerProcess, Server,
    hooks::{ChannelId, Goal, LoopView, RequestId, Wait},
};

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
    let (cycle, queues) = graph.search(ours, waits);
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
    let (cycle, queues) = graph.search(ours, waits);
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

    /// Searches for a cycle that these waits would close. Drop the returned queues after the lock
    /// is released.
    fn search(&self, ours: &[(WorkerId, usize)], waits: &[Wait]) -> (Result<(), Names>, Queues) {
        let mut search = Search {
            graph: self,
            ours,
            waits,
            deadline: waits.iter().find(|wait| wait.deadline().is_some()),
            stuck: ours.iter().map(|(place, _)| *place).collect(),
            seen: ours.iter().map(|(place, _)| *place).collect(),
            free: BTreeSet::new(),
            rooms: Vec::new(),
            queues: Vec::new(),
        };
        let cycle =
            if search.ends_as_one() && search.is_in_vain(waits, DEPTH) && search.has_no_room() {
                Err(search.names())
            } else {
                Ok(())
            };
        (cycle, search.queues)
    }
}

/// The names of the loops of a cycle.
pub(super) type Names = Vec<Arc<str>>;

/// Queues that the search has upgraded. They may be the last references to a server.
type Queues = Vec<Arc<dyn Queue>>;

/// The maximum depth of nested waits for the end of a loop that the search follows.
const DEPTH: usize = 32;

/// The search for a reason why the worker that is about to sleep would be woken.
struct Search<'a> {
    graph: &'a Graph,
    /// The workers whose thread or task is about to sleep, with their requests in hand. There are
    /// several while one of them makes the handlers of others.
    ours: &'a [(WorkerId, usize)],
    /// The waits that they are about to sleep for.
    waits: &'a [Wait],
    /// The wait with the deadline by which they wake up at the latest.
    deadline: Option<&'a Wait>,
    /// The workers that are stuck if `ours` are, in the order in which the search found them,
    /// `ours` first.
    stuck: Vec<WorkerId>,
    /// The set of the workers in `stuck`.
    seen: BTreeSet<WorkerId>,
    /// Workers that are not stuck even if all in `stuck` are.
    free: BTreeSet<WorkerId>,
    /// The waits for room of the stuck workers.
    rooms: Vec<Wait>,
    /// Not dropped under the lock.
    queues: Queues,
}

/// The workers that have to be stuck for a wait to be in vain.
enum Needed {
    Each(Vec<WorkerId>),
    AnyOf(Vec<WorkerId>),
}

impl Search<'_> {
    /// Returns whether all waits end at the same time. If one of several ends by itself before the
    /// others, nothing is certain about the others.
    fn ends_as_one(&self) -> bool {
        let Some((first, others)) = self.waits.split_first() else {
            return false;
        };
        others.iter().all(|other| {
            other.deadline() == first.deadline()
                && (first.deadline().is_none() || other.shares_clock(first))
        })
    }

    /// Returns whether all these waits are in vain: all workers that could end them are stuck, and
    /// so are all workers that those wait for, and so on.
    ///
    /// If this returns true, the workers that it assumed to be stuck are stuck. If it returns
    /// false, that is final, because it only assumed more than is the case.
    fn is_in_vain(&mut self, waits: &[Wait], depth: usize) -> bool {
        let mut open = waits.to_vec();
        while let Some(wait) = open.pop() {
            let is_in_vain = match self.needed(&wait) {
                None => false,
                Some(Needed::Each(places)) => places
                    .into_iter()
                    .all(|place| self.assume(place, &mut open)),
                Some(Needed::AnyOf(places)) => self.is_any_stuck(&places, depth),
            };
            if !is_in_vain {
                return false;
            }
        }
        true
    }

    /// Assumes that a worker is stuck, if it may be: that depends on its waits, which are added to
    /// `open`.
    fn assume(&mut self, place: WorkerId, open: &mut Vec<Wait>) -> bool {
        if self.seen.contains(&place) {
            return true;
        }
        if self.free.contains(&place) {
            return false;
        }
        let graph = self.graph;
        let sleeper = graph.asleep(place);
        let Some(sleeper) =
            sleeper.filter(|it| !it.waits.iter().any(|wait| self.ends_in_time(wait)))
        else {
            self.free.insert(place);
            return false;
        };
        self.seen.insert(place);
        self.stuck.push(place);
        open.extend_from_slice(&sleeper.waits);
        true
    }

    /// Returns whether one of these workers is stuck; the first that is found is added to `stuck`.
    fn is_any_stuck(&mut self, places: &[WorkerId], depth: usize) -> bool {
        if places.iter().any(|place| self.seen.contains(place)) {
            return true;
        }
        let Some(depth) = depth.checked_sub(1) else {
            return false;
        };
        for &place in places {
            let (stuck, rooms) = (self.stuck.len(), self.rooms.len());
            let mut open = Vec::new();
            if self.assume(place, &mut open) && self.is_in_vain(&open, depth) {
                return true;
            }
            for place in self.stuck.drain(stuck..) {
                self.seen.remove(&place);
            }
            self.rooms.truncate(rooms);
            self.free.insert(place);
        }
        false
    }

    /// Returns the workers that could end a wait; `None` if anything else could.
    fn needed(&mut self, wait: &Wait) -> Option<Needed> {
        let graph = self.graph;
        if let Some(promise) = graph.promises.get(&wait.request()) {
            return self.promised(promise);
        }
        let node = graph.nodes.get(&wait.channel())?;
        let places = node.workers.keys().map(|&number| (wait.channel(), number));
        match wait.goal() {
            Goal::Reply => {}
            Goal::Room => {
                self.rooms.push(*wait);
                return Some(Needed::Each(places.collect()));
            }
            // Nothing is known of waits for anything but our loops.
            _ => return None,
        }
        let request = usize::from(wait.request());
        let holder = places
            .clone()
            .find(|&place| self.in_hand_of(place) == request);
        if let Some(holder) = holder {
            return Some(Needed::Each(vec![holder]));
        }
        let queue = node.queue.upgrade()?;
        let is_queued = queue.holds(wait.request());
        self.queues.push(queue);
        is_queued.then(|| Needed::Each(places.collect()))
    }

    fn promised(&self, promise: &Promise) -> Option<Needed> {
        let node = self.graph.nodes.get(&promise.channel)?;
        if !node.is_of(&promise.queue) {
            return None;
        }
        let places = node.workers.keys().map(|&number| (promise.channel, number));
        Some(match promise.whose {
            Responsible::All => Needed::AnyOf(places.collect()),
            Responsible::One(worker) => {
                let place = (promise.channel, worker);
                Needed::Each(vec![{ places }.find(|&known| known == place)?])
            }
        })
    }

    /// Returns whether no stuck worker gets the room that it waits for. That is so if each of these
    /// queues is full, and each request that could leave it (its caller can drop it, or it has a
    /// deadline) is waited for by a stuck worker.
    fn has_no_room(&mut self) -> bool {
        let graph = self.graph;
        for wait in mem::take(&mut self.rooms) {
            let node = graph.nodes.get(&wait.channel());
            let Some(queue) = node.and_then(|node| node.queue.upgrade()) else {
                return false;
            };
            let fickle = queue.without_room(&wait);
            self.queues.push(queue);
            let is_kept = |request: &RequestId| self.is_waited_for(*request, wait.channel());
            if !fickle.is_some_and(|fickle| fickle.iter().all(is_kept)) {
                return false;
            }
        }
        true
    }

    /// Returns whether a stuck worker waits for the reply to this request.
    fn is_waited_for(&self, request: RequestId, channel: ChannelId) -> bool {
        let is_it = |wait: &Wait| {
            (wait.goal(), wait.request(), wait.channel()) == (Goal::Reply, request, channel)
        };
        self.stuck.iter().any(|&place| {
            if self.ours.iter().any(|(own, _)| *own == place) {
                self.waits.iter().any(is_it)
            } else {
                let sleeper = self.graph.asleep(place);
                sleeper.is_some_and(|sleeper| sleeper.waits.iter().any(is_it))
            }
        })
    }

    /// Returns whether another worker's wait may end by itself before that of `ours` has to. A
    /// deadline of another clock may pass at any time.
    fn ends_in_time(&self, theirs: &Wait) -> bool {
        match (theirs.deadline(), self.deadline) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(at), Some(ours)) => !theirs.shares_clock(ours) || Some(at) < ours.deadline(),
        }
    }

    /// Returns the request that a worker has in hand, as a number, or zero.
    fn in_hand_of(&self, place: WorkerId) -> usize {
        if let Some((_, in_hand)) = self.ours.iter().find(|(own, _)| *own == place) {
            return *in_hand;
        }
        self.graph.asleep(place).map_or(0, |worker| worker.in_hand)
    }

    /// Returns the names of the loops that are stuck, each once.
    fn names(&self) -> Names {
        let mut channels: Vec<ChannelId> = Vec::new();
        for (channel, _) in &self.stuck {
            if !channels.contains(channel) {
                channels.push(*channel);
            }
        }
        let nodes = channels
            .iter()
            .filter_map(|channel| self.graph.nodes.get(channel));
        nodes.map(|node| Arc::clone(&node.name)).collect()
    }
}
