//! The search for a cycle in the wait-for graph.
//!
//! A wait is *in vain* if the workers that it needs are stuck. Most waits are in vain only if each
//! of some workers is stuck (all that could answer). A wait for the end of a loop is in vain if one
//! worker is. The search looks for a set of sleepers in which each keeps the others asleep; the
//! worker that is about to sleep is assumed to be asleep. Only the greatest such set matters. So if
//! a check fails under the assumption that more workers are stuck than really are, it fails for
//! good and is not repeated.

use std::{collections::BTreeSet, mem, sync::Arc};

use ump::hooks::{ChannelId, Goal, RequestId, Wait};

use super::{Graph, Promise, Queue, Responsible, WorkerId};

/// The names of the loops of a cycle.
pub(in crate::deadlock) type Names = Vec<Arc<str>>;

/// Queues that the search has upgraded. They may be the last references to a server.
type Queues = Vec<Arc<dyn Queue>>;

/// Searches for a cycle that these waits would close. Drop the returned queues after the lock of
/// the graph is released.
///
/// # Errors
/// The names of the loops of the cycle, if there is one.
pub(super) fn search(
    graph: &Graph,
    ours: &[(WorkerId, usize)],
    waits: &[Wait],
) -> (Result<(), Names>, Queues) {
    let mut search = Search {
        graph,
        ours,
        waits,
        deadline: waits.iter().find(|wait| wait.deadline().is_some()),
        stuck: ours.iter().map(|(place, _)| *place).collect(),
        seen: ours.iter().map(|(place, _)| *place).collect(),
        free: BTreeSet::new(),
        rooms: Vec::new(),
        queues: Vec::new(),
    };
    let cycle = if search.ends_as_one() && search.is_in_vain(waits, DEPTH) && search.has_no_room() {
        Err(search.names())
    } else {
        Ok(())
    };
    (cycle, search.queues)
}

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
