//! Which worker needs which: those of all loops of the process, and the search for a circle.
//!
//! A wait has *no end* if it needs workers that are stuck. Most waits need each of some workers to be stuck for that (all that could answer); a wait for the end of a
//! loop needs one. So a set of sleepers is looked for in which each keeps the others asleep, the one who asks being taken for asleep. It is the greatest such
//! set that counts, and so what fails although more was taken for stuck than is fails for good: it is not tried again.
//!
//! # Invariants
//!
//! - Who is written down as asleep has nobody who could wake it but those who answer what it waits for, and its deadlines; and what it waits for and has
//!   in hand does not change before it says that it is awake.
//! - It says so before it does anything. So what is found under the lock holds as long as that is held; and what is certain then remains so.
//!
//! A forked child has a graph of its own: of the workers of its parent none is there, unless it is the one that forked, which is not in the child's graph.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem, ptr,
    sync::{Arc, Weak},
};

use ump::{
    PerProcess, Server,
    hooks::{ChannelId, Goal, RequestId, Wait},
};

use crate::sync::{Mutex, MutexGuard};

/// A worker, by its channel and its number.
pub(super) type WorkerId = (ChannelId, usize);

/// All loops of the process.
#[derive(Default)]
struct Graph {
    nodes: BTreeMap<ChannelId, Node>,
    /// Requests that loops answer by what they do, besides those of their channels.
    promises: BTreeMap<RequestId, Promise>,
}

static GRAPH: PerProcess<Mutex<Graph>> = PerProcess::new();

/// That of this process. There is none if the system does not let a child be told from its parent: then nobody is told of circles.
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
    /// What it sleeps over: any of these wakes it. Kept, so that its memory is used again.
    waits: Vec<Wait>,
    /// What it has in hand meanwhile: a request, as a number, or zero.
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

/// Who has to do something before a request is answered that is in no queue of theirs.
struct Promise {
    channel: ChannelId,
    queue: Weak<dyn Queue>,
    whose: Responsible,
}

/// Which of the workers of a loop have to do it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Responsible {
    /// All of them: to start, to end.
    All,
    /// This one: to make its handler.
    One(usize),
}

/// The queue of a loop, whatever is in it.
pub(super) trait Queue: Send + Sync {
    fn holds(&self, request: RequestId) -> bool;
    /// See [`Server::without_room`].
    fn without_room(&self, wait: &Wait) -> Option<Vec<RequestId>>;
}

impl<S: Send, R: Send, E: Send> Queue for Server<S, R, E> {
    fn holds(&self, request: RequestId) -> bool {
        self.is_queued(request)
    }

    fn without_room(&self, wait: &Wait) -> Option<Vec<RequestId>> {
        self.without_room(wait)
    }
}

/// A worker of a loop with that name and queue: it is awake.
///
/// There may be the node of another loop, whose last worker is about to leave: its channel is gone, and this one is in its place.
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

/// The worker of a loop with that queue is gone.
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
    /// Whether it is the loop with that queue. There is no other one with its address while somebody refers to it.
    fn is_of(&self, queue: &Weak<dyn Queue>) -> bool {
        ptr::addr_eq(self.queue.as_ptr(), queue.as_ptr())
    }
}

/// A loop with this channel and queue will answer that request, by what these workers do.
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

/// That request is about to be answered, or dropped.
pub(super) fn keep_promise(request: RequestId) {
    let kept = graph().and_then(|mut graph| graph.promises.remove(&request));
    drop(kept);
}

/// Those whose thread or task it is sleep until any of these is over, each with this in hand.
///
/// # Errors
/// The names of the loops in whose circle they would wait for themselves: they are not asleep.
pub(super) fn sleep(ours: &[(WorkerId, usize)], waits: &[Wait]) -> Result<(), Names> {
    let Some(mut graph) = graph() else {
        return Ok(());
    };
    let (circle, queues) = graph.search(ours, waits);
    if circle.is_ok() {
        graph.put_to_sleep(ours, waits);
    }
    drop(graph);
    drop(queues);
    circle
}

/// The same, without asking.
pub(super) fn sleep_anyway(ours: &[(WorkerId, usize)], waits: &[Wait]) {
    if let Some(mut graph) = graph() {
        graph.put_to_sleep(ours, waits);
    }
}

/// Only looks whether they could.
///
/// # Errors
/// The names.
pub(super) fn look(ours: &[(WorkerId, usize)], waits: &[Wait]) -> Result<(), Names> {
    let Some(graph) = graph() else {
        return Ok(());
    };
    let (circle, queues) = graph.search(ours, waits);
    drop(graph);
    drop(queues);
    circle
}

/// These workers are awake again.
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
        // Who waits for nothing is not known to be stuck.
        if waits.is_empty() {
            return;
        }
        for &(place, in_hand) in ours {
            if let Some(worker) = self.worker(place) {
                worker.sleep(waits, in_hand);
            }
        }
    }

    /// Whether these may sleep. What comes along is to be dropped when the lock is released.
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
        let circle =
            if search.ends_as_one() && search.is_in_vain(waits, DEPTH) && search.has_no_room() {
                Err(search.names())
            } else {
                Ok(())
            };
        (circle, search.queues)
    }
}

/// Those of the loops of a circle.
pub(super) type Names = Vec<Arc<str>>;

/// They may be the last that hold a server.
type Queues = Vec<Arc<dyn Queue>>;

/// So many waits for an end, each by one that somebody waits for the end of, are followed.
const DEPTH: usize = 32;

/// Looks for a reason why the one who asks would be woken.
struct Search<'a> {
    graph: &'a Graph,
    /// The workers on whose thread or task somebody asks, and what they have in hand. Several, while one makes handlers for others.
    ours: &'a [(WorkerId, usize)],
    /// What it asks about.
    waits: &'a [Wait],
    /// The wait by whose deadline it has to be woken.
    deadline: Option<&'a Wait>,
    /// Those that are stuck if it is, in the order in which they came up; itself first.
    stuck: Vec<WorkerId>,
    /// The same.
    seen: BTreeSet<WorkerId>,
    /// Those that are not, even if all that are in `stuck` are.
    free: BTreeSet<WorkerId>,
    /// What those that are stuck wait for room for.
    rooms: Vec<Wait>,
    /// Not to be dropped under the lock.
    queues: Queues,
}

/// Who has to be stuck, so that a wait has no end.
enum Needed {
    Each(Vec<WorkerId>),
    AnyOf(Vec<WorkerId>),
}

impl Search<'_> {
    /// If it waits for several, and one of these ends by itself before the others, then nothing is certain about these.
    fn ends_as_one(&self) -> bool {
        let Some((first, others)) = self.waits.split_first() else {
            return false;
        };
        others.iter().all(|other| {
            other.deadline() == first.deadline()
                && (first.deadline().is_none() || other.shares_clock(first))
        })
    }

    /// Whether all these waits would have no end: all who could end them are stuck, as all are that they wait for, and so on.
    ///
    /// What is assumed to be stuck on the way is so if this returns true. If it returns false that is final, as only more was assumed.
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

    /// Takes a worker for stuck if it may be, which depends on what it waits for.
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

    /// Whether one of these is stuck: the first that is found is taken for it.
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

    /// Who may end a wait, if nobody else can.
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
            // Of others than our loops nothing is known.
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

    /// Whether none of those that are stuck gets the room that it waits for: each of these queues is full, and what may leave it, its caller being
    /// free to drop it or bound by a deadline, is waited for by one that is stuck.
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

    /// Whether one that is stuck waits for the reply to this request.
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

    /// Whether another one's wait ends by itself before that of the one who asks has to. What another clock tells may be any time.
    fn ends_in_time(&self, theirs: &Wait) -> bool {
        match (theirs.deadline(), self.deadline) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(at), Some(ours)) => !theirs.shares_clock(ours) || Some(at) < ours.deadline(),
        }
    }

    /// A request as a number, or zero.
    fn in_hand_of(&self, place: WorkerId) -> usize {
        if let Some((_, in_hand)) = self.ours.iter().find(|(own, _)| *own == place) {
            return *in_hand;
        }
        self.graph.asleep(place).map_or(0, |worker| worker.in_hand)
    }

    /// The names of the loops that are stuck, each once.
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
