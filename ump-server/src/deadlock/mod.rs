//! Requests that would wait for themselves, told so instead of made.
//!
//! A handler that asks its own server waits for the one who would have to answer: itself. So do two whose servers ask each other. Before a loop's
//! thread falls asleep over a request, the channel asks the worker's [`Seat`] ([`ump::waits`]); that looks whether it would ever be woken, and writes
//! down what it waits for.
//!
//! # When it is certain
//!
//! A worker that sleeps is *stuck* if the request that it waits for can only be answered by workers that are stuck. The one who asks is taken to be so,
//! as it is about to sleep: what follows from that is a circle, or nothing.
//!
//! | the request is | it can be answered by | stuck if |
//! |---|---|---|
//! | queued | any worker of its server | all of them are |
//! | in hand: lent to a handler's call on a thread | that worker | that one is |
//! | elsewhere: detached, in a batch, with a task, answered, on its way | who knows | never |
//!
//! Whoever sleeps with an earlier deadline than the one who asks is not stuck, since it wakes up in time. So a worker that is awake, a free one in a pool, a
//! context that was given away, or a server that is not run by a loop, all make it uncertain; then the request is made.
//!
//! Whoever closes the circle by falling asleep is told. Where deadlines differ that may be one who can wait for another's deadline; then that ends it.
//!
//! What a worker has in hand is written down when it falls asleep: it cannot change while it sleeps. Those who have nobody to wait for pay one write to a
//! thread-local for each request, and nothing else.
//!
//! Tasks are seen where they block, which they should not; where they await they may await something else as well.
//! Waiting for room in a full queue is not looked at: those queued there may leave.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Instant,
};

use ump::{
    Server,
    waits::{ChannelId, Circle, RequestId, Wait, Watcher},
};

use crate::sync::Mutex;

thread_local! {
    /// The request that is lent to the handler on this thread.
    static IN_HAND: Cell<Option<RequestId>> = const { Cell::new(None) };
}

/// Notes what the handler on this thread is called with, or that it no longer owes it.
#[inline]
pub(crate) fn note_in_hand(request: Option<RequestId>) {
    // It is not there any more while the thread is ending.
    let _ = IN_HAND.try_with(|in_hand| in_hand.set(request));
}

/// The place of a worker in the graph of who waits for whom.
#[derive(Debug)]
pub(crate) struct Seat {
    channel: ChannelId,
    number: usize,
}

impl Seat {
    /// Takes the place of a worker, until it is dropped.
    pub(crate) fn take<S, R, E>(
        name: &Arc<str>,
        server: &Arc<Server<S, R, E>>,
        number: usize,
    ) -> Arc<Self>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        let channel = server.id();
        let queue: Weak<dyn Queue> = Arc::downgrade(server) as Weak<dyn Queue>;
        let mut graph = GRAPH.lock();
        let node = graph.0.entry(channel).or_insert_with(|| Node {
            name: Arc::clone(name),
            queue,
            workers: BTreeMap::new(),
        });
        node.workers.insert(number, None);
        drop(graph);
        Arc::new(Self { channel, number })
    }

    fn place(&self) -> Place {
        (self.channel, self.number)
    }

    fn note(&self, graph: &mut Graph, sleep: Option<Sleep>) {
        if let Some(node) = graph.0.get_mut(&self.channel) {
            node.workers.insert(self.number, sleep);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut graph = GRAPH.lock();
        let Some(node) = graph.0.get_mut(&self.channel) else {
            return;
        };
        node.workers.remove(&self.number);
        let gone = if node.workers.is_empty() {
            graph.0.remove(&self.channel)
        } else {
            None
        };
        drop(graph);
        drop(gone);
    }
}

impl Watcher for Seat {
    fn before(&self, wait: &Wait) -> Result<(), Circle> {
        let in_hand = IN_HAND.try_with(Cell::get).unwrap_or_default();
        let mut graph = GRAPH.lock();
        let mut search = Search {
            graph: &graph,
            in_hand,
            deadline: wait.deadline(),
            stuck: vec![self.place()],
            queues: Vec::new(),
        };
        let circle = search.is_in_vain(wait).then(|| search.names());
        let queues = search.queues;
        if circle.is_none() {
            let wait = *wait;
            self.note(&mut graph, Some(Sleep { wait, in_hand }));
        }
        drop(graph);
        drop(queues);
        circle.map_or(Ok(()), |names| Err(Circle::new(names)))
    }

    fn after(&self, _: &Wait) {
        self.note(&mut GRAPH.lock(), None);
    }
}

/// A worker, by its channel and its number.
type Place = (ChannelId, usize);

/// All loops of the process, by their channels.
struct Graph(BTreeMap<ChannelId, Node>);

static GRAPH: Mutex<Graph> = Mutex::new(Graph(BTreeMap::new()));

/// A loop.
struct Node {
    name: Arc<str>,
    queue: Weak<dyn Queue>,
    /// Those that sleep over a request, with that.
    workers: BTreeMap<usize, Option<Sleep>>,
}

/// What a worker sleeps over.
#[derive(Clone, Copy)]
struct Sleep {
    wait: Wait,
    in_hand: Option<RequestId>,
}

/// The queue of a loop, whatever is in it.
trait Queue: Send + Sync {
    fn holds(&self, request: RequestId) -> bool;
}

impl<S: Send, R: Send, E: Send> Queue for Server<S, R, E> {
    fn holds(&self, request: RequestId) -> bool {
        self.is_queued(request)
    }
}

/// Looks for a reason why the one who asks would be woken.
struct Search<'a> {
    graph: &'a Graph,
    /// What the one who asks has in hand.
    in_hand: Option<RequestId>,
    /// By when it has to be woken.
    deadline: Option<Instant>,
    /// Those that are stuck if it is, in the order in which they came up; itself first.
    stuck: Vec<Place>,
    /// Not to be dropped under the lock: they may be the last that hold a server.
    queues: Vec<Arc<dyn Queue>>,
}

impl Search<'_> {
    /// Whether a wait would have no end.
    fn is_in_vain(&mut self, wait: &Wait) -> bool {
        let Some(node) = self.graph.0.get(&wait.channel()) else {
            return false;
        };
        if wait.is_for_room() {
            return false;
        }
        let places = node.workers.keys().map(|&number| (wait.channel(), number));
        let holder = places
            .clone()
            .find(|&place| self.in_hand_of(place) == Some(wait.request()));
        if let Some(holder) = holder {
            return self.is_stuck(holder);
        }
        let Some(queue) = node.queue.upgrade() else {
            return false;
        };
        let is_queued = queue.holds(wait.request());
        self.queues.push(queue);
        is_queued && places.into_iter().all(|place| self.is_stuck(place))
    }

    fn is_stuck(&mut self, place: Place) -> bool {
        if self.stuck.contains(&place) {
            return true;
        }
        let Some(sleep) = self.sleep_of(place) else {
            return false;
        };
        let wakes_in_time = match (sleep.wait.deadline(), self.deadline) {
            (None, _) => false,
            (Some(theirs), Some(ours)) => theirs < ours,
            (Some(_), None) => true,
        };
        if wakes_in_time {
            return false;
        }
        self.stuck.push(place);
        self.is_in_vain(&sleep.wait)
    }

    fn in_hand_of(&self, place: Place) -> Option<RequestId> {
        if self.stuck.first() == Some(&place) {
            self.in_hand
        } else {
            self.sleep_of(place)?.in_hand
        }
    }

    fn sleep_of(&self, (channel, number): Place) -> Option<Sleep> {
        *self.graph.0.get(&channel)?.workers.get(&number)?
    }

    /// The names of the loops that are stuck, each once.
    fn names(&self) -> Vec<Arc<str>> {
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
