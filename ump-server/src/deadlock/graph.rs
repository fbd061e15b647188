//! Who waits for whom: the workers of all loops of the process, and the search for a circle.
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
    ptr,
    sync::{Arc, Weak},
};

use ump::{
    PerProcess, Server,
    waits::{ChannelId, RequestId, Wait},
};

use crate::sync::{Mutex, MutexGuard};

/// A worker, by its channel and its number.
pub(super) type Place = (ChannelId, usize);

/// All loops of the process, by their channels.
#[derive(Default)]
struct Graph(BTreeMap<ChannelId, Node>);

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
    fn fall_asleep(&mut self, waits: &[Wait], in_hand: usize) {
        self.is_asleep = true;
        self.waits.clear();
        self.waits.extend_from_slice(waits);
        self.in_hand = in_hand;
    }
}

/// The queue of a loop, whatever is in it.
pub(super) trait Queue: Send + Sync {
    fn holds(&self, request: RequestId) -> bool;
}

impl<S: Send, R: Send, E: Send> Queue for Server<S, R, E> {
    fn holds(&self, request: RequestId) -> bool {
        self.is_queued(request)
    }
}

/// A worker of a loop with that name and queue: it is awake.
///
/// There may be the node of another loop, whose last worker is about to leave: its channel is gone, and this one is in its place.
pub(super) fn enter((channel, number): Place, name: &Arc<str>, queue: &Weak<dyn Queue>) {
    let Some(mut graph) = graph() else {
        return;
    };
    let gone = graph.0.remove(&channel);
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
    graph.0.insert(channel, node);
    drop(graph);
    drop(gone);
}

/// The worker of a loop with that queue is gone.
pub(super) fn leave((channel, number): Place, queue: &Weak<dyn Queue>) {
    let Some(mut graph) = graph() else {
        return;
    };
    let node = graph.0.get_mut(&channel);
    let Some(node) = node.filter(|node| node.is_of(queue)) else {
        return;
    };
    node.workers.remove(&number);
    let gone = if node.workers.is_empty() {
        graph.0.remove(&channel)
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

/// The worker sleeps until any of these is over, with this in hand.
///
/// # Errors
/// The names of the loops in whose circle it would wait for itself: it is not asleep.
pub(super) fn fall_asleep(place: Place, waits: &[Wait], in_hand: usize) -> Result<(), Names> {
    let Some(mut graph) = graph() else {
        return Ok(());
    };
    let (circle, queues) = graph.search(place, waits, in_hand);
    if let (Ok(()), Some(worker)) = (&circle, graph.worker(place)) {
        worker.fall_asleep(waits, in_hand);
    }
    drop(graph);
    drop(queues);
    circle
}

/// The same, without asking.
#[cfg(feature = "tokio")]
pub(super) fn fall_asleep_anyway(place: Place, waits: &[Wait], in_hand: usize) {
    if let Some(worker) = graph().as_mut().and_then(|graph| graph.worker(place)) {
        worker.fall_asleep(waits, in_hand);
    }
}

/// Only looks whether it could.
///
/// # Errors
/// The names.
#[cfg(feature = "tokio")]
pub(super) fn look(place: Place, waits: &[Wait], in_hand: usize) -> Result<(), Names> {
    let Some(graph) = graph() else {
        return Ok(());
    };
    let (circle, queues) = graph.search(place, waits, in_hand);
    drop(graph);
    drop(queues);
    circle
}

/// The worker is awake again.
pub(super) fn wake_up(place: Place) {
    if let Some(worker) = graph().as_mut().and_then(|graph| graph.worker(place)) {
        worker.is_asleep = false;
    }
}

impl Graph {
    fn worker(&mut self, (channel, number): Place) -> Option<&mut Worker> {
        self.0.get_mut(&channel)?.workers.get_mut(&number)
    }

    fn asleep(&self, (channel, number): Place) -> Option<&Worker> {
        let worker = self.0.get(&channel)?.workers.get(&number)?;
        worker.is_asleep.then_some(worker)
    }

    /// Whether a worker may sleep. What comes along is to be dropped when the lock is released.
    fn search(&self, place: Place, waits: &[Wait], in_hand: usize) -> (Result<(), Names>, Queues) {
        let mut search = Search {
            graph: self,
            place,
            in_hand,
            deadline: waits.iter().find(|wait| wait.deadline().is_some()),
            stuck: vec![place],
            seen: BTreeSet::from([place]),
            queues: Vec::new(),
        };
        // If it waits for several, and one of these ends by itself, then nothing is certain about the others.
        let is_clear = waits.len() == 1 || search.deadline.is_none();
        let circle = if is_clear && search.is_in_vain(waits) {
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

/// Looks for a reason why the one who asks would be woken.
struct Search<'a> {
    graph: &'a Graph,
    /// The one who asks.
    place: Place,
    /// What it has in hand.
    in_hand: usize,
    /// The wait by whose deadline it has to be woken.
    deadline: Option<&'a Wait>,
    /// Those that are stuck if it is, in the order in which they came up; itself first.
    stuck: Vec<Place>,
    /// The same.
    seen: BTreeSet<Place>,
    /// Not to be dropped under the lock.
    queues: Queues,
}

impl Search<'_> {
    /// Whether all these waits would have no end: all who could end them are stuck, as all are that they wait for, and so on.
    fn is_in_vain(&mut self, waits: &[Wait]) -> bool {
        let graph = self.graph;
        let mut open = waits.to_vec();
        while let Some(wait) = open.pop() {
            let Some(answerers) = self.answerers(&wait) else {
                return false;
            };
            for place in answerers {
                if !self.seen.insert(place) {
                    continue;
                }
                match graph.asleep(place) {
                    Some(sleeper) if !sleeper.waits.iter().any(|wait| self.ends_in_time(wait)) => {
                        self.stuck.push(place);
                        open.extend_from_slice(&sleeper.waits);
                    }
                    _ => return false,
                }
            }
        }
        true
    }

    /// Who may end a wait, if nobody else can.
    fn answerers(&mut self, wait: &Wait) -> Option<Vec<Place>> {
        let node = self.graph.0.get(&wait.channel())?;
        if wait.is_for_room() {
            return None;
        }
        let places = node.workers.keys().map(|&number| (wait.channel(), number));
        let request = usize::from(wait.request());
        let holder = places
            .clone()
            .find(|&place| self.in_hand_of(place) == request);
        if let Some(holder) = holder {
            return Some(vec![holder]);
        }
        let queue = node.queue.upgrade()?;
        let is_queued = queue.holds(wait.request());
        self.queues.push(queue);
        is_queued.then(|| places.collect())
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
    fn in_hand_of(&self, place: Place) -> usize {
        if place == self.place {
            return self.in_hand;
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
            .filter_map(|channel| self.graph.0.get(channel));
        nodes.map(|node| Arc::clone(&node.name)).collect()
    }
}
